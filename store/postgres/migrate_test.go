package postgres

import (
	"io/fs"
	"strings"
	"testing"
	"testing/fstest"
	"time"

	"github.com/secondgate/secondgate/mfa"
	"github.com/secondgate/secondgate/store"
)

// next returns the steps of this program and one more.
func next(t *testing.T, step string) fs.FS {
	t.Helper()
	steps := fstest.MapFS{}
	names, err := fs.Glob(migrations, "migrations/*.sql")
	must(t, err)
	for _, name := range names {
		raw, err := fs.ReadFile(migrations, name)
		must(t, err)
		steps[strings.TrimPrefix(name, "migrations/")] = &fstest.MapFile{Data: raw}
	}
	steps["99998_next.sql"] = &fstest.MapFile{Data: []byte("-- +goose Up\n" + step)}
	return steps
}

// A node that serves goes on while a newer one brings the schema up to date; a program that
// does not know the newer schema does not start on it.
func TestMigrate_whileAnotherServes(t *testing.T) {
	o, keys := newOptions(t), newKeys(t)
	old := openAt(t, o, keys)
	must(t, old.CreateUser(ctx, person("alice")))
	stop, failed := make(chan struct{}), make(chan error, 1)
	go func() {
		for i := 0; ; i++ {
			select {
			case <-stop:
				failed <- nil
				return
			default:
			}
			if err := old.UpdateUser(ctx, "id-alice", func(u *mfa.User) error { u.Generation = i; return nil }); err != nil {
				failed <- err
				return
			}
		}
	}()
	newer := connectTo(t, o)
	must(t, newer.migrateBy(ctx, next(t, `ALTER TABLE users ADD COLUMN colour text; CREATE INDEX users_by_colour ON users (colour);`)))
	close(stop)
	must(t, <-failed)
	must(t, old.CreateUser(ctx, person("bob")))
	_, err := Connect(ctx, o)
	wantErr(t, err, store.ErrNewer)
	must(t, old.CreateSession(ctx, sessionOf("s", "id-bob")))
}

// A step that fails leaves nothing behind, and the one before goes on.
func TestMigrate_aStepThatFailsLeavesNothing(t *testing.T) {
	o, keys := newOptions(t), newKeys(t)
	must(t, openAt(t, o, keys).Close())
	d := connectTo(t, o)
	if err := d.migrateBy(ctx, next(t, `CREATE TABLE half (n int); SELECT 1/0;`)); err == nil {
		t.Fatal("a step that fails is taken for done")
	}
	var half *string
	must(t, d.pool.QueryRow(ctx, `SELECT to_regclass('half')::text`).Scan(&half))
	if half != nil {
		t.Error("half a step was kept")
	}
	openAt(t, o, keys)
	must(t, d.migrateBy(ctx, next(t, `CREATE TABLE whole (n int);`)))
}

// Long steps are no statement of ours that takes too long.
func TestMigrate_mayTakeLongerThanAStatement(t *testing.T) {
	d := connectTo(t, newOptions(t))
	must(t, d.migrateBy(ctx, next(t, `SELECT pg_sleep(2.2);`)))
}

// A node that died in the middle does not keep the others out.
func TestMigrate_goesOnWhereAnotherDied(t *testing.T) {
	d := connectTo(t, newOptions(t))
	changed(t, d.o.URL, 1, `UPDATE schema_lock SET locked = true, locked_by = 'dead', lease_expires_at = now() + interval '1 second'`)
	began := time.Now()
	must(t, d.migrateBy(ctx, next(t, `SELECT 1;`)))
	if took := time.Since(began); took < 500*time.Millisecond {
		t.Errorf("it took a lock that was held, after %s", took)
	}
}
