package clients

import (
	"context"
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"testing"
)

// TestNode runs node/clients.test.mjs, the client for Node. It is told where the
// servers are, and can ask what the log and the model's server have seen.
func TestNode(t *testing.T) {
	if _, err := os.Stat("node/node_modules/openai"); err != nil {
		t.Fatal("the client for Node is not installed: run scripts/clients/run.sh, which fetches it")
	}
	s, model := behind(t)
	full, _ := behind(t, "--max-requests", "1", "--max-queue", "-1")
	latent := start(t, "--model", "../../internal/local/superposition")
	ctx := within(t)
	seen := http.NewServeMux()
	say := func(w http.ResponseWriter, v any) { json.NewEncoder(w).Encode(v) }
	seen.HandleFunc("/reason", func(w http.ResponseWriter, r *http.Request) {
		at := s
		if r.FormValue("at") == "full" {
			at = full
		}
		say(w, at.reason(ctx, r.FormValue("id")))
	})
	seen.HandleFunc("/asked", func(w http.ResponseWriter, r *http.Request) { model.asked(ctx, r.FormValue("prompt")); say(w, true) })
	seen.HandleFunc("/left", func(w http.ResponseWriter, r *http.Request) {
		left, sent := model.left(ctx, r.FormValue("prompt"))
		say(w, map[string]any{"left": left, "sent": sent})
	})
	control := httptest.NewServer(seen)
	defer control.Close()
	run, cancel := context.WithTimeout(t.Context(), 2*patience)
	defer cancel()
	cmd := exec.CommandContext(run, "node", "--test", "clients.test.mjs")
	cmd.Dir = "node"
	cmd.Env = append(os.Environ(), "KEY="+key, "SERVED="+s.URL, "FULL="+full.URL, "LATENT="+latent.URL, "SEEN="+control.URL)
	out, err := cmd.CombinedOutput()
	if err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	t.Logf("%s", out)
}
