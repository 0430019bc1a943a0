// Package web is the page of `orrery serve`: what a question's traces think, as they
// think it, and what has been asked, trained and measured before.
//
// A [Page] is both an http.Handler, which serves files embedded in the binary, a small
// JSON API under /api/ and one event stream, and a server.Observer, which is how it
// sees every request that the server runs. It decides nothing: what it shows are the
// events, records and reports of other packages.
//
// # The event stream
//
// GET /api/events?watch=TOPIC&watch=… is the only stream. A topic is a thing that
// changes: the list of requests ("asks"), one request ("ask/ID"), the text of one of
// its traces ("trace/ID/N"), a run folder that is being written ("run/ID"). Each
// topic's changes are put together at most every [tick] into one frame, which is
// encoded once, whatever the number of readers. A reader that comes back tells where
// it was (Last-Event-ID) and gets the frames since, or, where these are no longer
// kept, the topic's whole state. So nothing is lost by a broken connection, a reload
// or a slow reader, and nobody's memory grows.
//
// # What is bounded
//
// Everything that is kept: bytes of all requests together, requests, frames of a
// topic, streams. What no longer fits is left out and said to be.
//
// # Trust
//
// What a model wrote is text: the modules under assets never make markup of it, and a
// test reads them for the ways to do so. Reports are files that others may have
// written: they are shown in a sandboxed frame of an origin of its own.
package web
