package postgres

import (
	"errors"
	"slices"
	"testing"

	"github.com/secondgate/secondgate/store"
)

// AC-189: a part of the database is gone. It is said when the gateway starts.
func TestConnect_AC189_missingTablesAreDamage(t *testing.T) {
	list, err := ownTables()
	must(t, err)
	if len(list) < 15 || !slices.Contains(list, "users") {
		t.Fatalf("the tables are %q", list)
	}
	for _, table := range list {
		o := withTables(t)
		d, err := Connect(ctx, o)
		must(t, err)
		d.Close()
		sql(t, o.URL, "DROP TABLE "+table+" CASCADE")
		if d, err = Connect(ctx, o); err == nil {
			d.Close()
		}
		if !errors.Is(err, store.ErrDamaged) && !errors.Is(err, ErrLost) && table != "installation" || err == nil {
			t.Errorf("without %s: %v, want ErrDamaged or ErrLost", table, err)
		}
	}
}
