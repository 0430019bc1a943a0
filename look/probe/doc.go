// Package probe looks at what a continuous thought holds (arXiv 2505.12514,
// 2509.23365). The question is whether one vector can hold all nodes that
// a search has reached: then a two-layer model searches a graph by breadth, one step a
// thought, without ever choosing a branch.
//
// Constructed is the paper's model, exact and without training: what a thought
// holds there is known in closed form. Trained wraps a model of package nn that was
// trained on the symbol format of package task. Both are Subjects, and Run applies to
// any of them the probes (attention per edge, inner products with node
// embeddings, copying, index matching, accuracy by the number of thoughts) and the
// interventions (other vectors in the place of its thoughts). Page lays them side
// by side.
//
// Training is left to learn/recipe, charts to report.
package probe
