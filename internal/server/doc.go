// Package server is the HTTP API: OpenAI's routes and shapes in front of a
// [llm.Generator], with the methods of package reason behind model names such
// as "builtin@deepconf-low".
//
// It decides nothing about traces and votes. What it adds is what a service
// needs: keys, limits, a bounded queue, streams that a slow or vanished reader
// cannot hold up, draining, and for every request exactly one recorded
// [Reason] why it ended. It keeps no state between requests.
//
// A tour: config.go is what can be set; server.go the routes, server's life and
// draining; exchange.go one request from its first byte to its reason, and
// stats.go the counts of those; admit.go the places and the queue; auth.go the
// keys. request.go and params.go read what a client asks for; ask.go runs it;
// reply.go, stream.go, logprobs.go and progress.go write what comes of it;
// errors.go what goes wrong, in OpenAI's shape.
package server
