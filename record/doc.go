// Package record keeps what was run: every request with its traces and their
// confidences, and every training, evaluation and audit with its folder and its
// report. One [Store] is a SQLite file, by default in the user's data folder, or a
// PostgreSQL database, which several processes share; package recordtest holds the
// suite that both pass.
//
// It has types of its own and knows no other package: internal/journal turns
// requests into entries and entries back into traces that can be replayed.
//
// A [Run] begins, its traces are put as each ends, and it ends. What a process
// that was killed left running becomes [Lost]; its finished traces are there.
// [Queue] writes behind the back of whoever is recorded, with bounded memory, and
// counts what it could not write.
//
// Numbers are exact: confidences and log-probabilities come back as the float64
// that they were, so that a decision made again from them is the same decision.
package record
