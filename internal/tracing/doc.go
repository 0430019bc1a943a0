// Package tracing is what a server does, as OpenTelemetry spans: one a request,
// below it one a trace of the method, below that one a request to a model's
// server, which gets the W3C traceparent.
//
// It is set up by the standard environment variables alone and off without an
// endpoint. Spans carry numbers, names and reasons: never a prompt, an answer, a
// key or a server's words. Spans go out by OTLP over HTTP in protobuf; the
// official exporter for that brings gRPC along (docs/decisions/0013-serving.md), so
// exporter.go is our own.
package tracing
