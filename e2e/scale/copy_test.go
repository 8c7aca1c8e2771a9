package scale

import (
	"bufio"
	"context"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/secondgate/secondgate/internal/pgtest"
	"github.com/secondgate/secondgate/internal/seal"
	"github.com/secondgate/secondgate/store"
	"github.com/secondgate/secondgate/store/archive"
	"github.com/secondgate/secondgate/store/badger"
	"github.com/secondgate/secondgate/store/postgres"
	"github.com/secondgate/secondgate/store/transfer"
)

// TestCopies says how long backup, restore and migration take: the rows a second from a
// store into a file, from there into a new store of each kind, and of the comparison that
// ends a copy.
func TestCopies(t *testing.T) {
	hasher := newHasher(t)
	dir := folder(t)
	c := newCrowd(t, hasher, crowdPath(dir))
	users := few
	if *scale >= 100_000 {
		users = *scale
	}
	from := filled(t, c, dir, users)
	keys := keysOf(t, from)
	o := options(t, from)
	o.Still = true
	source, err := badger.Open(o)
	ok(t, err)
	t.Cleanup(func() { _ = source.Close() })
	say(t, "")
	say(t, "| of %d users | rows | took | rows a second |", users)
	say(t, "|---|---|---|---|")
	var want archive.Totals
	tell := func(what string, do func() (archive.Totals, error)) {
		t.Helper()
		began := time.Now()
		totals, err := do()
		ok(t, err)
		took := time.Since(began)
		if want == nil {
			want = totals
		}
		ok(t, want.Differ(totals))
		say(t, "| %s | %d | %s | %.0f |", what, totals.Rows(), took.Round(10*time.Millisecond), float64(totals.Rows())/took.Seconds())
	}
	file := filepath.Join(t.TempDir(), "backup")
	tell("backup into a file", func() (archive.Totals, error) { return backUp(t, source, keys, file) })
	rows := transfer.Archive(context.Background(), file, func(r *archive.Reader) error { return r.Unlock(keys) })
	for kind, make := range map[string]func(testing.TB, *seal.Keyset) target{"badger": newBadger, "postgres": newPostgres} {
		if *only != "" && *only != kind {
			continue
		}
		into := make(t, keys)
		tell("restore into "+kind, func() (archive.Totals, error) { return transfer.Fill(t.Context(), rows, into, nil) })
		tell("… comparing it with the file", func() (archive.Totals, error) {
			return transfer.Compare(rows, transfer.Store(t.Context(), into), nil)
		})
		ok(t, into.Filled(t.Context(), nil))
		ok(t, into.Close())
	}
}

// target is a store that is filled.
type target interface {
	store.Target
	Close() error
}

func newBadger(t testing.TB, keys *seal.Keyset) target {
	t.Helper()
	s, err := badger.Open(badger.Options{Dir: filepath.Join(t.TempDir(), "store"), Keys: keys, Fill: "the test"})
	ok(t, err)
	return s
}

func newPostgres(t testing.TB, keys *seal.Keyset) target {
	t.Helper()
	server := pgtest.Start(t)
	server.Set(t, map[string]string{"shared_buffers": "512MB", "max_wal_size": "4GB", "checkpoint_timeout": "30min"})
	server.Restart(t)
	server.Exec(t, "CREATE DATABASE copied")
	db, err := postgres.Connect(t.Context(), postgres.Options{URL: server.URL("copied"), Fill: "the test"})
	ok(t, err)
	s, err := db.Open(keys)
	ok(t, err)
	return s
}

// backUp makes the file, and waits until it is on disk.
func backUp(t *testing.T, source store.Portable, keys *seal.Keyset, path string) (archive.Totals, error) {
	f, err := os.Create(path)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	buffer := bufio.NewWriterSize(f, 1<<20)
	w, err := archive.NewWriter(buffer, keys, archive.Header{Made: time.Now(), Store: "badger"})
	if err != nil {
		return nil, err
	}
	totals, err := transfer.Backup(t.Context(), source, w, nil)
	if err != nil {
		return nil, err
	}
	if err := buffer.Flush(); err != nil {
		return nil, err
	}
	if info, err := f.Stat(); err == nil {
		t.Logf("the file has %.1f MB", float64(info.Size())/1e6)
	}
	return totals, f.Sync()
}
