package postgres

import (
	"context"

	"github.com/jackc/pgx/v5"
)

// Exists reports whether there is an installation in that database. It makes and changes
// nothing.
func Exists(ctx context.Context, url string) (bool, error) {
	cfg, _, err := parse(url)
	if err != nil {
		return false, err // it says what it was doing
	}
	c, err := pgx.ConnectConfig(ctx, cfg.ConnConfig)
	if err != nil {
		return false, (&DB{config: cfg}).fault("connecting to the database", err)
	}
	defer func() { _ = c.Close(context.WithoutCancel(ctx)) }()
	var tables bool
	if err := c.QueryRow(ctx, "SELECT to_regclass('installation') IS NOT NULL").Scan(&tables); err != nil || !tables {
		return false, err
	}
	var made bool
	err = c.QueryRow(ctx, "SELECT EXISTS (SELECT FROM installation)").Scan(&made)
	return made, err
}

// Empty reports whether nothing was ever sealed in the database: no keys are missed.
func (d *DB) Empty(ctx context.Context) (empty bool, err error) {
	err = d.brief(ctx, "looking for what is kept", func(ctx context.Context) error {
		return d.pool.QueryRow(ctx, `SELECT NOT EXISTS (SELECT FROM meta WHERE name <> $1) AND NOT EXISTS (SELECT FROM users)
			AND NOT EXISTS (SELECT FROM sessions) AND NOT EXISTS (SELECT FROM events)`, metaKeys).Scan(&empty)
	})
	return empty, err
}
