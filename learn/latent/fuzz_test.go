package latent

import (
	"errors"
	"io/fs"
	"testing"
	"testing/fstest"
)

// How a model thinks, in a file of any bytes: an error that is not "there is no
// such file", or an Info that is read again from what it is written as.
func FuzzRead(f *testing.F) {
	for _, s := range []string{
		`{"version": 1, "method": "coconut", "thoughts": 2, "trained": 6, "bot": 3, "eot": 4}`,
		string(NewSymbolsInfo(ReachThoughts, 4).Bytes()), string(NewSymbolsInfo(ReachCoT, 0).Bytes()), `{} {}`, `null`, `{"thoughts": -1}`,
	} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		folder := func(b []byte) fs.FS { return fstest.MapFS{FileName: {Data: b}, SymbolsFile: {Data: b}} }
		i, err := Read(folder(b))
		switch {
		case errors.Is(err, fs.ErrNotExist):
			t.Fatal(err)
		case err == nil:
			if again, err := Read(folder(i.Bytes())); err != nil || again != i {
				t.Fatalf("%q is %+v, written and read %+v, %v", b, i, again, err)
			}
		}
		s, err := ReadSymbols(folder(b))
		switch {
		case errors.Is(err, fs.ErrNotExist):
			t.Fatal(err)
		case err == nil:
			if again, err := ReadSymbols(folder(s.Bytes())); err != nil || again != s {
				t.Fatalf("%q is %+v, written and read %+v, %v", b, s, again, err)
			}
		}
	})
}
