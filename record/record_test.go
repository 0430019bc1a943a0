package record_test

import (
	"path/filepath"
	"testing"

	"orrery/record"
	"orrery/record/recordtest"
)

func sqliteURL(t *testing.T) string {
	return "sqlite:" + filepath.Join(t.TempDir(), "with ? and %", "record.sqlite")
}

func TestSQLite(t *testing.T)   { recordtest.Suite(t, sqliteURL) }
func TestPostgres(t *testing.T) { recordtest.Suite(t, record.PostgresURL) }
