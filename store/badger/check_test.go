package badger

import (
	"context"
	"errors"
	"os"
	"testing"
	"time"

	"github.com/secondgate/secondgate/store"
)

// Badger may rewrite tables while they are still being compared with their
// checksums, and empties a file before it removes it. A store of a million users
// was once declared damaged for that, a second after its start.
func TestVerify_takes_no_removed_table_for_damage(t *testing.T) {
	o := newOptions(t)
	s := openAt(t, o)
	if err := load(s, 5000); err != nil {
		t.Fatal(err)
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	files, err := findTables(o.Dir)
	if err != nil || len(files) == 0 {
		t.Fatalf("%d tables, %v", len(files), err)
	}
	if err := files.verify(context.Background()); err != nil {
		t.Fatal(err)
	}
	gone := files[0].name
	if err := os.Truncate(gone, 0); err != nil {
		t.Fatal(err)
	}
	time.AfterFunc(50*time.Millisecond, func() { _ = os.Remove(gone) })
	if err := files.verify(context.Background()); err != nil {
		t.Errorf("a table that Badger removed: %v", err)
	}
	if len(files) < 2 {
		t.Fatal("there is no second table")
	}
	// What is cut short and stays is damage all the same.
	if err := os.Truncate(files[1].name, files[1].size-1); err != nil {
		t.Fatal(err)
	}
	if err := files.verify(context.Background()); !errors.Is(err, store.ErrDamaged) {
		t.Errorf("a table that is cut short: %v", err)
	}
}
