package cli

import (
	"path/filepath"
	"testing"
)

// TestSaysWhereItRecords: a store that is not there yet is not said to be recorded in.
func TestSaysWhereItRecords(t *testing.T) {
	_, said, stop := served(t, "--store", "sqlite:"+filepath.Join(t.TempDir(), "r.sqlite"))
	said.wait(t, `recording text,confidence of requests in \S+r\.sqlite\n`)
	stop()
	_, said, stop = served(t, "--store", "postgres://nobody@127.0.0.1:1/nothing") // port 1 refuses
	said.wait(t, `recording text,confidence of requests in postgres://127\.0\.0\.1:1/nothing, as soon as it can be reached\n`)
	stop()
}
