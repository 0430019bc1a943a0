// Package grok trains two-layer networks on the multiplication of finite
// groups, where memorisation turns into structure within seconds, and keeps
// what is needed to see how: the setting of CoGS (arXiv 2410.01779) and of Li2
// (arXiv 2509.21519).
//
// The gradient is derived by hand: one-hot inputs are gathers, the loss is
// fused, and with the square as activation most of the table never goes through
// the network at all (see full). Tests hold it to package grad's tape.
//
// What the weights mean is not decided here: an Analysis registers itself and
// is shown every evaluation and the finished run.
package grok
