package record

import (
	"context"
	"database/sql"
	"embed"
	"errors"
	"fmt"
	"io/fs"
	"strings"
)

//go:embed migrations/*.sql
var migrations embed.FS

// steps are the migrations in order: step i makes version i+1 of version i.
func steps() ([]string, error) {
	names, err := fs.Glob(migrations, "migrations/*.sql") // sorted
	if err != nil {
		return nil, err
	}
	out := make([]string, len(names))
	for i, name := range names {
		if !strings.HasPrefix(name, fmt.Sprintf("migrations/%04d_", i+1)) {
			return nil, fmt.Errorf("migration %s is not number %d", name, i+1)
		}
		b, err := migrations.ReadFile(name)
		if err != nil {
			return nil, err
		}
		out[i] = string(b)
	}
	return out, nil
}

// VersionError says that a store was made by a newer program.
type VersionError struct {
	Store       string
	Have, Known int
}

func (e *VersionError) Error() string {
	return fmt.Sprintf("its schema is version %d and this program knows versions up to %d: use the newer orrery that made it, or another store with --store", e.Have, e.Known)
}

// migrate brings the schema to the newest version, in one transaction that no
// other process can have at the same time.
func (s *Store) migrate(ctx context.Context) error {
	all, err := steps()
	if err != nil {
		return err
	}
	// Mostly there is nothing to do, which needs no lock: others may be writing.
	var now int
	if err := s.read.QueryRowContext(ctx, `SELECT version FROM orrery_record`).Scan(&now); err == nil && now == len(all) {
		return nil
	}
	return s.within(ctx, func(tx *sql.Tx) error {
		if err := s.dialect.lockSchema(ctx, tx); err != nil {
			return err
		}
		if _, err := tx.ExecContext(ctx, `CREATE TABLE IF NOT EXISTS orrery_record (one bigint PRIMARY KEY CHECK (one = 1), version bigint NOT NULL)`); err != nil {
			return err
		}
		have := 0
		err := tx.QueryRowContext(ctx, `SELECT version FROM orrery_record`).Scan(&have)
		if err != nil && !errors.Is(err, sql.ErrNoRows) {
			return err
		}
		if have > len(all) {
			return &VersionError{Store: s.name, Have: have, Known: len(all)}
		}
		if have == len(all) {
			return nil
		}
		for _, step := range all[have:] {
			for statement := range strings.SplitSeq(s.dialect.types.Replace(step), ";\n") {
				if strings.TrimSpace(statement) == "" {
					continue
				}
				if _, err := tx.ExecContext(ctx, statement); err != nil {
					return fmt.Errorf("migrating it from version %d to %d: %w", have, len(all), err)
				}
			}
		}
		_, err = tx.ExecContext(ctx, s.q(`INSERT INTO orrery_record (one, version) VALUES (1, ?) ON CONFLICT (one) DO UPDATE SET version = excluded.version`), len(all))
		return err
	})
}
