// Package nn is one transformer: decoder-only as Llama, or with learned
// positions, LayerNorm and GELU as GPT-2; causal, bidirectional or under any
// mask; with embeddings as input, so that hidden states can be fed back as
// latent thoughts; with every inner value open to be seen or replaced. A Model
// computes on tapes of package grad, for training and for study; a Decoder
// makes tokens, with a cache of keys and values, for many sequences at once.
//
// The two agree bit for bit: whatever the batch is made of, wherever a sequence
// was forked, and whether a prefix came from the cache or not, a position's
// hidden state and logits are the same float32 numbers. It holds because package
// tensor sums in an order that does not depend on the shape of the batch, and
// because both call the same kernels; the tests hold it.
//
// Optimisers and losses are left to package train, tokenizers to token.
package nn
