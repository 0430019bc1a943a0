// Package grad is reverse-mode differentiation over package tensor: a Var is a
// value, a Tape runs operations eagerly and remembers how to undo them, and
// Backward walks the memory from the end. It holds no modules and no optimiser
// (see packages nn and train), and it differentiates once: gradients are plain
// tensors, not Vars.
//
// # Ragged batches
//
// Nothing is padded. A batch of B sequences of lengths L₁…L_B is one matrix of
// N = ΣL rows; every operation but Attention works row by row and does not know
// where a sequence ends, and Attention is told.
//
// # Memory
//
// Values and gradients of a tape come from buffers that Tape.Reset takes back,
// so a training step in its steady state asks the allocator for small headers
// only. Whatever must outlive the Reset has to be cloned. The gradient of an
// intermediate value is taken back as soon as it has been passed on, unless its
// Keep is set.
//
// # Determinism
//
// Results are the same on any number of threads: rows are independent, and sums
// over rows (the gradient of a bias, of a norm's weight) are taken in blocks of
// a fixed size that are added in order.
package grad
