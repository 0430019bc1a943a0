// Package clients runs OpenAI's own clients, for Go and for Node, against a
// served Orrery: `orrery serve` as a process, in front of a scripted model
// server, of the built-in model, and of the latent one. What the clients make of
// a reply, an error or a broken stream is what is tested, not the bytes.
//
// It is a module of its own, so that the program does not depend on a client.
// run.sh fetches the Node client and runs everything.
package clients
