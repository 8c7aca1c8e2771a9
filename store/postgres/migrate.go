package postgres

import (
	"context"
	"embed"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/stdlib"
	"github.com/pressly/goose/v3"
	"github.com/pressly/goose/v3/lock"

	"github.com/secondgate/secondgate/store"
)

// migrations are the steps from nothing to the newest form, in the order of their numbers.
//
//go:embed migrations/*.sql
var migrations embed.FS

const (
	versionTable = "schema_version"
	lockTable    = "schema_lock"
	// migrateTries is how often a node tries that came in between another's first steps.
	migrateTries = 5
)

// newest is the number of the last step that this program knows.
func newest(steps fs.FS) (int64, error) {
	files, err := fs.Glob(steps, "*.sql")
	if err != nil || len(files) == 0 {
		return 0, fmt.Errorf("the steps of the schema are missing from this program: %w", err)
	}
	return goose.NumericComponent(files[len(files)-1])
}

// schemaVersion returns how far the schema has come; 0: there is none.
func (d *DB) schemaVersion(ctx context.Context) (int64, error) {
	var v int64
	err := d.pool.QueryRow(ctx, `SELECT coalesce(max(version_id), 0) FROM `+versionTable+` WHERE is_applied`).Scan(&v)
	if codeOf(err) == codeNoTable {
		return 0, nil
	}
	return v, d.fault("reading the schema's version", err)
}

// migrate brings the schema up to date. Where it is so already nothing is done but read: the
// role that serves need not be able to change it.
func (d *DB) migrate(ctx context.Context) error {
	steps, err := fs.Sub(migrations, "migrations")
	if err != nil {
		return err
	}
	return d.migrateBy(ctx, steps)
}

func (d *DB) migrateBy(ctx context.Context, steps fs.FS) error {
	want, err := newest(steps)
	if err != nil {
		return err
	}
	for try := 1; ; try++ {
		have, err := d.schemaVersion(ctx)
		switch {
		case err != nil:
			return err
		case have > want:
			return fmt.Errorf("the schema has version %d, this program knows %d: %w", have, want, store.ErrNewer)
		case have == want:
			return nil
		}
		err = d.stepUp(ctx, steps, have, want)
		switch {
		case err == nil:
			continue // look again: it must be current now
		case ctx.Err() != nil:
			return ctx.Err()
		case codeOf(err) == codeNoRight:
			return fmt.Errorf("%w: its schema has version %d and must have %d, and this role may not change it. Start once with the role that owns the database; see docs/postgres.md", ErrUnfit, have, want)
		case try == migrateTries || !crossed(err):
			return d.fault("bringing the schema up to date", err)
		}
		// Several nodes that start at once meet where the very first tables are made.
		if err := pause(ctx, 100*try); err != nil {
			return err
		}
	}
}

// crossed reports whether another node did the same at that moment.
func crossed(err error) bool {
	switch codeOf(err) {
	case "", codeUnique, codeSerialization, codeDeadlock, codeLockTimeout, "42P07", "42710", "XX000": // … exists already; a catalogue row changed
		return true
	}
	return false
}

// stepUp carries out what is missing, while other nodes wait. The lock is a row that is
// kept alive: not every engine has advisory locks, and none has them behind a pooler.
func (d *DB) stepUp(ctx context.Context, steps fs.FS, have, want int64) error {
	config := d.config.ConnConfig.Copy()
	// An index over millions of rows takes as long as it takes.
	config.RuntimeParams["statement_timeout"] = "0"
	config.RuntimeParams["idle_in_transaction_session_timeout"] = "0"
	// But whoever stands in line for a table makes everybody wait who comes after.
	config.RuntimeParams["lock_timeout"] = "5000"
	db := stdlib.OpenDB(*config, stdlib.OptionAfterConnect(func(ctx context.Context, c *pgx.Conn) error { return harden(ctx, c) }))
	defer db.Close()
	quiet := slog.New(slog.DiscardHandler)
	locker, err := lock.NewPostgresTableLocker(
		lock.WithTableName(lockTable), lock.WithTableLockTimeout(200*time.Millisecond, 1500),
		lock.WithTableLogger(quiet))
	if err != nil {
		return err
	}
	p, err := goose.NewProvider(goose.DialectPostgres, db, steps,
		goose.WithTableName(versionTable), goose.WithLocker(locker), goose.WithSlog(quiet), goose.WithDisableGlobalRegistry(true))
	if err != nil {
		return err
	}
	if have > 0 {
		d.log.Info("store: the schema of the database is brought up to date; this may take a while", "from", have, "to", want)
	}
	began := time.Now()
	done, err := p.Up(ctx)
	if err != nil {
		return err
	}
	if len(done) > 0 {
		if err := d.tune(ctx, db); err != nil {
			d.log.Warn("store: the database was not told how to keep its tables; it works, and takes more room than it needs", "error", d.fault("tuning the tables", err))
		}
		d.log.Info("store: the schema of the database is up to date", "version", want, "took", time.Since(began).Round(time.Millisecond).String())
	}
	return nil
}

var errNoRow = pgx.ErrNoRows

func noRow(err error) bool { return errors.Is(err, errNoRow) }
