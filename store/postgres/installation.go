package postgres

import (
	"bytes"
	"context"
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"

	"github.com/jackc/pgx/v5"

	"github.com/secondgate/secondgate/internal/durable"
	"github.com/secondgate/secondgate/store"
)

// compare refuses a database that is not the one of the marker, before anything is written
// to it. An emptied database, or another one, must never look like a first start, whose
// visitor becomes the administrator (AC-228).
func (d *DB) compare(ctx context.Context) error {
	marked, err := readMarker(d.o.Marker)
	if err != nil || marked == "" {
		return err
	}
	version, err := d.schemaVersion(ctx)
	if err != nil {
		return err
	}
	found := ""
	if version > 0 {
		if found, err = d.readInstallation(ctx); err != nil {
			return err
		}
	}
	switch found {
	case marked:
		return nil
	case "":
		return d.lost("it is empty")
	}
	return d.lost("it is the database of another installation")
}

// install finds the installation that the database is of, or makes it where there never was
// one, and writes the marker where there is none.
func (d *DB) install(ctx context.Context) (err error) {
	if d.installation, err = d.readInstallation(ctx); err != nil {
		return err
	}
	if d.installation == "" {
		if err := d.makeInstallation(ctx); err != nil {
			return err
		}
	}
	marked, err := readMarker(d.o.Marker)
	switch {
	case err != nil:
		return err
	case marked == "" && d.o.Marker != "":
		return writeMarker(d.o.Marker, d.installation)
	case marked != "" && marked != d.installation:
		return d.lost("it is the database of another installation") // it was emptied a moment ago
	}
	return nil
}

// same refuses a connection that leads to another database than the one that was opened. A
// name may come to mean another one while the gateway serves (a server that takes over, a
// database that was renamed), and in an empty one nobody has a second factor (AC-228).
func (d *DB) same(ctx context.Context, c *pgx.Conn) error {
	var found string
	err := c.QueryRow(ctx, `SELECT id FROM installation`).Scan(&found)
	switch {
	case noRow(err), codeOf(err) == codeNoTable:
		return d.lost("it is empty")
	case err != nil:
		return err
	case found != d.installation:
		return d.lost("it is the database of another installation")
	}
	return nil
}

func (d *DB) lost(what string) error {
	return fmt.Errorf("%w: %s. Correct the address, or restore the newest backup (or, to go on with what is there, remove the marker file %s)", ErrLost, what, d.o.Marker)
}

func (d *DB) readInstallation(ctx context.Context) (id string, err error) {
	err = d.pool.QueryRow(ctx, `SELECT id FROM installation`).Scan(&id)
	if noRow(err) {
		return "", nil
	}
	return id, d.fault("reading the installation", err)
}

// makeInstallation makes one; of several nodes that do so at once one wins, and has a fresh
// store.
func (d *DB) makeInstallation(ctx context.Context) error {
	var used bool
	err := d.pool.QueryRow(ctx, `SELECT EXISTS (SELECT FROM users) OR EXISTS (SELECT FROM user_keys) OR EXISTS (SELECT FROM sessions)
		OR EXISTS (SELECT FROM events) OR EXISTS (SELECT FROM meta)`).Scan(&used)
	if err != nil {
		return d.fault("looking for an installation", err)
	}
	tag, err := d.pool.Exec(ctx, `INSERT INTO installation (id) SELECT $1 WHERE NOT $2 ON CONFLICT DO NOTHING`, rand.Text(), used)
	if err != nil {
		return d.fault("making the installation", err)
	}
	d.fresh = tag.RowsAffected() == 1
	if d.installation, err = d.readInstallation(ctx); err != nil {
		return err
	}
	if d.installation == "" {
		return fmt.Errorf("it holds data, but no row says of which installation; restore the newest backup: %w", store.ErrDamaged)
	}
	return nil
}

// marker is the file outside of the database.
type marker struct {
	Version      int    `json:"version"`
	Installation string `json:"installation"`
}

const markerVersion = 1

// readMarker returns "" where there is none.
func readMarker(path string) (installation string, err error) {
	if path == "" {
		return "", nil
	}
	raw, err := os.ReadFile(path)
	if errors.Is(err, fs.ErrNotExist) {
		return "", nil
	}
	if err != nil {
		return "", fmt.Errorf("reading the marker file: %w", err)
	}
	var m marker
	if err := json.NewDecoder(bytes.NewReader(raw)).Decode(&m); err != nil || m.Version < 1 || m.Installation == "" {
		// It is there, so there was an installation.
		return "", fmt.Errorf("%w: the marker file %s is damaged; restore it from a backup (or, to go on with what is in the database, remove it)", ErrLost, path)
	}
	if m.Version > markerVersion {
		return "", fmt.Errorf("reading the marker file %s: %w", path, store.ErrNewer)
	}
	return m.Installation, nil
}

// writeMarker writes the file whole and returns when it is on disk.
func writeMarker(path, installation string) error {
	raw, err := json.Marshal(marker{markerVersion, installation})
	if err != nil {
		return fmt.Errorf("writing the marker file: %w", err)
	}
	if err := durable.Replace(path, append(raw, '\n')); err != nil {
		return fmt.Errorf("writing the marker file: %w", err)
	}
	return nil
}
