// Package circuit trains networks deeper than look/grok's two layers on tables of
// products, by package grad's tape: the transformers of Nanda et al.
// (arXiv 2301.05217), of Grokfast and of Power et al. (arXiv 2201.02177), and the
// residual network of Li2's fig. 17 (arXiv 2509.21519). Runs have look/grok's
// folders and metrics, so that they can be laid over each other.
package circuit
