// Package orrery is the root of the module and holds no code: it is a tour of
// the house, from the bottom up. The command is in cmd/orrery. What may import
// what is written, and tested, in layers_test.go.
//
// # learn: making models
//
// tensor is dense float32 arrays and the kernels over them: a plain Go twin for
// each, AVX2 and AVX-512 assembly generated with avo. Its package comment fixes
// the order of every sum, which all the bit-for-bit claims further up rest on.
// grad is reverse mode on a tape, eager: every value can be looked at, and any
// mask, feedback or hook is plain Go. nn is one transformer, configured, with a
// paged cache for decoding many sequences that share a prompt.
//
// checkpoint reads and writes safetensors and writes GGUF; token cuts text into
// the longest pieces of a word list; sample draws tokens; export makes folders
// for other engines. train is the loop with exact resume, for cross-entropy and for
// GRPO, whose sampler and trainer share kernels and so their log-probabilities;
// recipe is the named experiments. Objectives (supervised, GRPO) are train's.
//
// latent says what models that think in hidden states (Coconut, arXiv 2412.06769), and
// their controls, are trained on at which step, and lets them answer.
//
// # look: seeing what happened
//
// coconut asks of such models whether their thoughts do any work: fewer of them, none,
// noise, another problem's, pauses in their place; and prints the published table beside.
//
// group is finite groups as checked tables, and their real irreducible components
// from the table alone. grok trains two-layer nets on them, with a gradient derived by
// hand and weights kept along the way, and lets an Analysis say what they mean.
// li2 (arXiv 2509.21519) says of such a net by weights and training pairs alone which
// stage it is in and whether it generalises, and fits the share of pairs that it takes.
//
// circuit trains deeper ones on the same tables, by the tape: the transformers of
// Nanda et al. and of Grokfast.
//
// cogs (arXiv 2410.01779) takes a trained one apart into named algebraic factors, and
// builds exact ones from them.
//
// spectrum compares the singular values and directions of a pair of matrices, with
// certificates. delta is the update between two checkpoints as a file, byte for byte.
// audit says with both what training changed, and how much of that precision explains.
//
// probe asks what a continuous thought holds (arXiv 2505.12514): the two-layer model that
// theory writes down and trained ones go through the same measurements and interventions.
//
// # think: making a model reason well
//
// confidence turns log-probabilities into the confidence of tokens, groups and
// traces. answer takes the answer out of a text and decides when two are the
// same. vote is the rules: who votes, who is stopped, when it is enough; a state
// machine without clock or goroutine. llm is the one door to whatever makes
// tokens, and llmtest its fake and its contract. reason drives the machine with
// live traces: a Method takes a Generator and yields events.
//
// The two wings do not know each other. task (problems with a generator, a
// verifier and a worked solution) stands beside them, and so does report, which
// writes one HTML file out of text, tables and plots; and record, which keeps what
// was run, in SQLite or PostgreSQL.
//
// # internal: putting it together
//
// upstream makes Generators of servers over HTTP, and local of our own models.
// eval runs methods on tasks side by side. sweep runs many small trainings
// through River, on one machine or many. server is the HTTP API, metrics counts for
// Prometheus what it does, and web is the page that shows its requests as they think.
// journal writes requests down in the record, and makes replays of what was written.
// cli is the command line, one file a subcommand; nothing imports it but main.
//
// # Doubts
//
// The built-in model is small enough to train in an hour on two cores. It shows
// that the machinery works and where confidence helps; it does not show what
// DeepConf does for a large model, and its card, internal/local/builtin/README.md, does not claim it.
//
// Confidence is measured on the alternatives that a server sends. Servers differ
// in how many, in whether before or after the temperature, and in what they call
// log 0; thresholds are therefore never carried from one request to another.
//
// The built-in model finds no sentence of a ProsQA question again; learn/recipe says
// what brought that about in another one, at the price of arithmetic.
//
// Published pairs differ in more than their algorithm, and so do ours (docs/pairs.md):
// an audit's verdict says what a pair resembles, and its null what precision alone does.
//
// The order of summation forbids some speed: a dot product cannot be split over
// k. Where a shape is all k and no rows, a split would be faster.
package orrery
