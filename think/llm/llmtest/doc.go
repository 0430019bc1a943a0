// Package llmtest lets everything above a [llm.Generator] be tested without a
// model, and every Generator be held to the same contract.
//
//   - [Script] is what a model would say: tokens with bytes, log-probabilities
//     and alternatives. [Random] makes one from a seed.
//   - [Scripted] is a Generator that plays scripts, without HTTP: for tests of
//     methods.
//   - [Fake] is an http.Handler that plays scripts as one of five servers
//     would put them on the wire, misbehaves on demand, and observes what its
//     clients do. [Serve] connects it to a client in memory, so that tests run
//     under testing/synctest, whose clock cannot pass over a real network.
//   - [Conform] is the contract of any Generator; [ConformScripted] what more
//     can be asked of one whose output is known.
//
// A Fake costs little per stream: four goroutines, as any net/http connection,
// and one buffer for the event being written. A thousand streams at once are
// fine; pace them with [Wire].Delay on a fake clock, or with Gate and Release.
package llmtest
