package postgres

import (
	"context"
	"fmt"

	"github.com/jackc/pgx/v5"
)

// Exists reports whether there is an installation in that database. It makes and changes
// nothing.
func Exists(ctx context.Context, url string) (bool, error) {
	cfg, err := pgx.ParseConfig(url)
	if err != nil {
		return false, ErrAddress
	}
	c, err := pgx.ConnectConfig(ctx, cfg)
	if err != nil {
		return false, fmt.Errorf("connecting to the database: %w", err)
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
