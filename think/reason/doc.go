// Package reason holds the methods: what to ask of a model, how often, and when
// to stop. A [Method] takes an [llm.Generator] and a [Question], yields events
// while it thinks and returns a [Result].
//
// It leaves the arithmetic of confidence to package confidence, every decision
// about stopping and voting to the state machine of package vote, and all wires
// to the generators. What is here is the engine between them: one goroutine a
// trace, which only reads, and one that owns the state machine, the clock and
// the event sink, so that nothing is decided twice and events come in order.
//
// A tour: params.go is what can be set; method.go the registry and methods.go
// the methods themselves; engine.go and stream.go run traces; event.go and
// result.go are what a caller sees; replay.go makes the same decisions on
// recorded traces, driving the same state machine; record.go reads and writes
// such traces.
package reason
