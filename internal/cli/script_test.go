package cli

import (
	"flag"
	"os"
	"path/filepath"
	"testing"

	"github.com/rogpeppe/go-internal/testscript"
)

func TestMain(m *testing.M) {
	if filepath.Base(os.Args[0]) != "orrery" { // a script's, which has an environment of its own
		os.Setenv(storeVariable, noStore) // nothing is recorded in the data folder of who runs the tests
	}
	testscript.Main(m, map[string]func(){
		"orrery": func() { os.Exit(Main(os.Args[1:], os.Stdin, os.Stdout, os.Stderr)) },

		"mkcheckpoint": mkCheckpoint,
		"mklatent":     mkLatent,
	})
}

var update = flag.Bool("update", false, "write what commands print into the scripts that compare it")

// TestScripts is the command line's specification: each file in
// testdata/script runs the real program.
func TestScripts(t *testing.T) {
	testscript.Run(t, testscript.Params{
		Dir: "testdata/script",
		Setup: func(env *testscript.Env) error {
			env.Setenv("ORRERY_UPSTREAM_KEY", "")
			env.Setenv(storeVariable, noStore)
			return nil
		},
		RequireExplicitExec: true,
		UpdateScripts:       *update,
	})
}
