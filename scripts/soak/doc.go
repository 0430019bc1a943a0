// Package soak serves for a while at a fixed rate while everything around the
// server goes wrong, by a seed: model servers that are killed, slow, malformed,
// silent or away, clients that leave or break off, a store that is full, locked
// or gone. Afterwards the books are compared: each request that was sent has
// exactly one end, the same in the server's counts, its log, its metrics and its
// record, or is a counted loss of the record. Memory, goroutines and files are
// watched. It is all in the test files:
//
//	go test ./scripts/soak                               20 seconds
//	go test ./scripts/soak -run Soak -v -timeout 0 -args -soak 10m -rate 15 -seed 1
//
// ORRERY_TEST_POSTGRES names a PostgreSQL server on which databases may be made;
// then a second replica records there.
package soak
