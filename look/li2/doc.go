// Package li2 reads a two-layer network on a group as Li2 does (arXiv
// 2509.21519): the energy that every hidden node climbs, its maxima, the
// gradient G_F that reaches the hidden layer, three stages that need no held-out
// pairs, and the boundary between generalising and memorising. What theory
// predicts stands beside what was measured.
//
// It is mathematics on weights, tables and irreducible components, in float64.
// It trains nothing, and reads and writes no files.
//
//	Samples       pairs of group elements, and the labels that they have
//	Energy        E(w) = ½‖Ỹᵀσ(Xw)‖², its gradient, its ascents
//	Nodes         how pure the nodes of a network are, and what they cover
//	Flow          ‖G_F‖ and its alignment with ỸỸᵀF̃; RidgeV, LimitG
//	Repulsion     B = (F̃ᵀF̃+ηI)⁻¹: similar nodes repel
//	FindStages    when memorising, feature learning and the clean-up ended
//	FitBoundary   which share of the pairs a group of M elements needs
//	Coupons, …    sufficient widths and sample counts
//
// The notation is the paper's, but for the output layer: V (K, M) there is kept
// as C = Vᵀ (M, K) here. A tilde takes means over samples out of columns.
package li2
