// Package cogs is the mathematics of CoGS (arXiv 2410.01779): how a two-layer
// network with square activation adds modulo an odd d, exactly.
//
//	h_j(x, y) = (a_j(x) + b_j(y))²,  o(s) = Σ_j c_j(s)·h_j(x, y)
//
// Its loss over the whole table is a sum of squares of potentials, cubic in the
// Fourier coefficients of the weights (Potentials). Potentials are additive and
// multiplicative on a semiring of network parts (Element), so that parts which
// cancel some of them multiply to networks that cancel all (Build). The other
// way round, a trained network comes apart into the same parts (Factorise).
//
// The package knows weights alone: neither how they are trained nor where they
// are kept.
package cogs
