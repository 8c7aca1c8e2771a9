package postgres

import (
	"context"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/secondgate/secondgate/internal/pgtest"
	"github.com/secondgate/secondgate/internal/seal"
	"github.com/secondgate/secondgate/mfa"
	"github.com/secondgate/secondgate/store/storetest"
)

func TestMain(m *testing.M) { os.Exit(pgtest.Main(m)) }

func newKeys(t testing.TB) *seal.Keyset {
	t.Helper()
	keys, err := seal.NewKeys()
	if err != nil {
		t.Fatal(err)
	}
	return keys
}

func newOptions(t testing.TB) Options {
	t.Helper()
	return Options{URL: pgtest.Database(t), Marker: filepath.Join(t.TempDir(), "installation")}
}

// withTables are options for a database that has its tables, and nothing in them: making them
// takes longer than most tests.
func withTables(t testing.TB) Options {
	t.Helper()
	url := pgtest.Copy(t, func(url string) {
		d := connectTo(t, Options{URL: url})
		_, err := d.pool.Exec(context.Background(), "DELETE FROM installation")
		d.Close()
		if err != nil {
			t.Fatal(err)
		}
	})
	return Options{URL: url, Marker: filepath.Join(t.TempDir(), "installation")}
}

func connectTo(t testing.TB, o Options) *DB {
	t.Helper()
	d, err := Connect(context.Background(), o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(d.Close)
	return d
}

func openAt(t testing.TB, o Options, keys *seal.Keyset) *Store {
	t.Helper()
	s, err := connectTo(t, o).Open(keys)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	})
	return s
}

func TestStore_keepsItsPromises(t *testing.T) {
	storetest.Run(t, func(t *testing.T) mfa.Store { return openAt(t, withTables(t), newKeys(t)) })
}

func TestStore_keepsItsPromisesAfterARestart(t *testing.T) {
	storetest.RunReopen(t, func(t *testing.T) (mfa.Store, func() mfa.Store) {
		o, keys := withTables(t), newKeys(t)
		s := openAt(t, o, keys)
		return s, func() mfa.Store {
			if err := s.Close(); err != nil {
				t.Fatal(err)
			}
			return openAt(t, o, keys)
		}
	})
}

func TestStore_forgetsEventsInTime(t *testing.T) {
	storetest.RunRetention(t, func(t *testing.T, now func() time.Time) mfa.Store {
		o := withTables(t)
		o.Now, o.KeepEvents = now, storetest.Keep
		return openAt(t, o, newKeys(t))
	})
}
