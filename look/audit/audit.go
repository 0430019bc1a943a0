// Package audit says what changed between two checkpoints, or more: which
// entries, how far, along which directions of the base, how much of it the
// precision of the weights explains, and how small the update is as a file.
// The definitions are those of arXiv 2511.08567 and of its critics, written
// down in docs/audit.md.
//
// A pair of tensors is in memory at a time, and what is reported depends on
// the weights alone: not on shards, order, threads or the size of a chunk.
// Spectra come from package spectrum, sizes of updates from package delta, and
// the page is written through package report.
package audit
