// Package upstream makes an [llm.Generator] of a server that speaks HTTP:
// vLLM, SGLang, llama.cpp's server, Ollama, or anything OpenAI-compatible.
//
// The servers agree on little. What differs between them is a dialect, one
// file each: which route to take, what to put into the request, how to read an
// event, how the end is told. What must not differ is here, once: one request
// per trace, the stream parser, stop strings found by us, one End with a
// reason written down when it was decided, retries before the first token
// only, timeouts, cancelling by the request's context, and a limit on how many
// run at once.
//
// # A tour, from the bottom
//
//   - scan.go reads JSON without building values; frames.go cuts a body into
//     events (SSE or one JSON text a line).
//   - chunk.go is one event in normal form, and the decoder of OpenAI's shape.
//   - vllm.go, sglang.go, llamacpp.go, ollama.go, openai.go are the dialects.
//   - stream.go drives one attempt; retry.go decides on the next one.
//   - client.go holds the limits; resolve.go finds out what is at the other end.
//   - errors.go turns statuses and servers' words into [llm.Error].
//   - check.go measures what a server can do, and table.go prints it.
//
// # Doubts
//
// A server that trims a stop string and does not say so looks like one whose
// model ended: therefore stop strings are sent only to servers that keep or
// report them. An early-stopped text may lack log-probabilities of its last
// characters, or have more than its text: the two come independently.
// Bodies are read by the goroutine that ranges over the stream, so a consumer
// that stalls lets TCP push back on the server.
package upstream
