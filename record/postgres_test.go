package record

import (
	"context"
	"fmt"
	"net/url"
	"os"
	"strings"
	"testing"

	"github.com/jackc/pgx/v5"
)

// PostgresURL is a fresh schema on the server that ORRERY_TEST_POSTGRES names: a
// database of one's own takes half a second to make.
func PostgresURL(t *testing.T) string {
	t.Helper()
	return postgresPlace(t, "SCHEMA", "CASCADE", func(u *url.URL, name string) {
		q := u.Query()
		q.Set("search_path", name)
		u.RawQuery = q.Encode()
	})
}

// postgresDatabase is a fresh database there.
func postgresDatabase(t *testing.T) string {
	t.Helper()
	return postgresPlace(t, "DATABASE", "WITH (FORCE)", func(u *url.URL, name string) { u.Path = "/" + name })
}

func postgresPlace(t *testing.T, kind, whole string, in func(*url.URL, string)) string {
	t.Helper()
	server := os.Getenv("ORRERY_TEST_POSTGRES")
	if server == "" {
		t.Skip("no PostgreSQL: set ORRERY_TEST_POSTGRES to the URL of a server on which databases may be made, as .ci/run does")
	}
	ctx := context.Background()
	admin, err := pgx.Connect(ctx, server)
	if err != nil {
		t.Fatal(err)
	}
	name := fmt.Sprintf("orrery_%d_%s", os.Getpid(), strings.ToLower(strings.ReplaceAll(t.Name(), "/", "_")))
	if _, err := admin.Exec(ctx, "CREATE "+kind+" "+name); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if _, err := admin.Exec(ctx, "DROP "+kind+" "+name+" "+whole); err != nil {
			t.Error(err)
		}
		admin.Close(ctx)
	})
	u, err := url.Parse(server)
	if err != nil {
		t.Fatal(err)
	}
	in(u, name)
	return u.String()
}
