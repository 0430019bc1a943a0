package web

import (
	"crypto/sha256"
	"embed"
	"encoding/hex"
	"io/fs"
	"mime"
	"net/http"
	"path"
	"strings"
)

//go:embed assets
var assets embed.FS

// types are said here, and not by the machine's tables, which may be wrong.
var types = map[string]string{
	".html": "text/html; charset=utf-8", ".css": "text/css; charset=utf-8", ".js": "text/javascript; charset=utf-8", ".svg": "image/svg+xml",
}

// file is one of the page's, as it is sent.
type file struct {
	body []byte
	kind string
	tag  string
}

// files serves the page's own files: "/" is its document, the rest is under /assets/.
// They are small and change with the binary, so browsers keep them and ask each time.
func files() http.Handler {
	all := map[string]file{}
	err := fs.WalkDir(assets, "assets", func(name string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		body, err := assets.ReadFile(name)
		if err != nil {
			return err
		}
		sum := sha256.Sum256(body)
		kind := types[path.Ext(name)]
		if kind == "" {
			kind = mime.FormatMediaType("text/plain", map[string]string{"charset": "utf-8"})
		}
		all["/"+name] = file{body, kind, `"` + hex.EncodeToString(sum[:16]) + `"`}
		return nil
	})
	if err != nil {
		panic(err) // the files are in the binary
	}
	all["/"] = all["/assets/index.html"]
	delete(all, "/assets/index.html")
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		f, ok := all[r.URL.Path]
		switch {
		case !ok:
			fail(w, http.StatusNotFound, "there is no such page; the page is at /")
			return
		case r.Method != http.MethodGet && r.Method != http.MethodHead:
			w.Header().Set("Allow", "GET, HEAD")
			fail(w, http.StatusMethodNotAllowed, "files are read with GET")
			return
		}
		h := w.Header()
		h.Set("Content-Type", f.kind)
		h.Set("Cache-Control", "no-cache")
		h.Set("ETag", f.tag)
		if strings.Contains(r.Header.Get("If-None-Match"), f.tag) {
			w.WriteHeader(http.StatusNotModified)
			return
		}
		w.Write(f.body)
	})
}
