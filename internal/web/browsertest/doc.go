// Package browsertest drives the page in a real Chromium through the DevTools protocol.
// It is a module of its own so that the program does not depend on what only these
// tests need.
//
//	cd internal/web/browsertest && go test ./...
package browsertest
