package postgres

import (
	"context"
	database "database/sql"
	"fmt"
)

// storage is how PostgreSQL keeps the tables whose rows change or go all the time. By
// itself it tidies a table up when a fifth of it is garbage, which of ten million users are
// two million rows; and a page that is full to the brim takes no new version of a row, so
// that every index has to learn of it. Other engines have nothing of the kind, and need
// none.
var storage = []string{
	`ALTER TABLE users SET (fillfactor = 85, autovacuum_vacuum_scale_factor = 0.02, toast.autovacuum_vacuum_scale_factor = 0.02)`,
	`ALTER TABLE sessions SET (fillfactor = 80, autovacuum_vacuum_scale_factor = 0.02, autovacuum_analyze_scale_factor = 0.05)`,
	`ALTER TABLE session_lines SET (fillfactor = 50, autovacuum_vacuum_scale_factor = 0, autovacuum_vacuum_threshold = 2000)`,
	`ALTER TABLE challenges SET (fillfactor = 80, autovacuum_vacuum_scale_factor = 0.02)`,
	`ALTER TABLE attempts SET (fillfactor = 70, autovacuum_vacuum_scale_factor = 0.02, autovacuum_vacuum_threshold = 1000)`,
	`ALTER TABLE changes SET (autovacuum_vacuum_scale_factor = 0.02, autovacuum_vacuum_threshold = 1000)`,
	`ALTER TABLE user_counts SET (fillfactor = 70, autovacuum_vacuum_scale_factor = 0.05)`,
	`ALTER TABLE meta SET (fillfactor = 20, autovacuum_vacuum_scale_factor = 0, autovacuum_vacuum_threshold = 500)`,
	// What is sealed does not become smaller; trying takes as long as sealing it did.
	`ALTER TABLE users ALTER COLUMN record SET STORAGE EXTERNAL`,
	`ALTER TABLE sessions ALTER COLUMN record SET STORAGE EXTERNAL`,
	`ALTER TABLE events ALTER COLUMN record SET STORAGE EXTERNAL`,
}

// tune says so to the server, after the steps of the schema.
func (d *DB) tune(ctx context.Context, db *database.DB) error {
	if d.engine.name != "PostgreSQL" {
		return nil
	}
	for _, statement := range storage {
		if _, err := db.ExecContext(ctx, statement); err != nil {
			return fmt.Errorf("%s: %w", statement, err)
		}
	}
	return nil
}
