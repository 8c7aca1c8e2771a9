package postgres

import (
	"context"
	"fmt"
	"io/fs"
	"regexp"
	"slices"

	"github.com/secondgate/secondgate/store"
)

var (
	makesTable = regexp.MustCompile(`(?m)^CREATE TABLE (?:IF NOT EXISTS )?(\w+)`)
	dropsTable = regexp.MustCompile(`(?m)^DROP TABLE (?:IF EXISTS )?(\w+)`)
)

// ownTables are the tables that the migrations leave behind.
func ownTables() ([]string, error) {
	files, err := fs.Glob(migrations, "migrations/*.sql")
	if err != nil {
		return nil, err
	}
	var list []string
	for _, file := range files { // in their order
		text, err := migrations.ReadFile(file)
		if err != nil {
			return nil, err
		}
		for _, m := range makesTable.FindAllSubmatch(text, -1) {
			list = append(list, string(m[1]))
		}
		for _, m := range dropsTable.FindAllSubmatch(text, -1) {
			list = slices.DeleteFunc(list, func(t string) bool { return t == string(m[1]) })
		}
	}
	return list, nil
}

// complete refuses a database that has lost a table, or whose tables may not be read (AC-189).
// Each question about that table would fail, so that nobody got in by it; but a gateway that
// starts and answers nobody looks well to whoever has just restored a part of a backup.
func (d *DB) complete(ctx context.Context) error {
	list, err := ownTables()
	if err != nil {
		return fmt.Errorf("reading the migrations: %w", err)
	}
	for _, table := range list {
		_, err := d.pool.Exec(ctx, "SELECT 1 FROM "+table+" LIMIT 0")
		switch {
		case err == nil:
		case codeOf(err) == codeNoTable:
			return fmt.Errorf("%w: the table %s is missing; restore the database from its newest backup", store.ErrDamaged, table)
		default:
			return d.fault("looking for the table "+table, err)
		}
	}
	return nil
}
