package caddymodule

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"

	"github.com/secondgate/secondgate/internal/seal"
	"github.com/secondgate/secondgate/store/postgres"
)

// ownKeys implements copiedStore.
func (s *PostgresStore) ownKeys(ctx context.Context) (*seal.Keyset, error) {
	switch made, err := s.exists(ctx); {
	case err != nil:
		return nil, err
	case !made:
		return nil, fmt.Errorf("there is no store yet (%s): %w", s.place(), fs.ErrNotExist)
	}
	db, err := postgres.Connect(ctx, s.options(slog.New(slog.DiscardHandler)))
	if err != nil {
		return nil, err
	}
	defer db.Close()
	return seal.OpenKeys(ctx, db.Vault(), s.masterKey)
}

// openStill implements copiedStore.
func (s *PostgresStore) openStill(ctx context.Context, logger *slog.Logger) (openStore, *seal.Keyset, error) {
	o := s.options(logger)
	o.Still = true
	return s.openWith(ctx, o)
}

// openFill implements copiedStore.
func (s *PostgresStore) openFill(ctx context.Context, from string, keys *seal.Keyset, logger *slog.Logger) (filledStore, *seal.Keyset, error) {
	o := s.options(logger)
	o.Fill = from
	db, err := s.connect(ctx, o)
	if err != nil {
		return nil, nil, err
	}
	own, err := s.fillKeys(ctx, db, keys)
	if err != nil {
		db.Close()
		return nil, nil, fmt.Errorf("opening the keys in the database %s: %w", s.address, err)
	}
	opened, err := db.Open(own) // it closes db where it answers an error
	if err != nil {
		return nil, nil, err
	}
	return opened, own, nil
}

// fillKeys reads the keys from the database, or puts those there that what is copied has.
func (s *PostgresStore) fillKeys(ctx context.Context, db *postgres.DB, keys *seal.Keyset) (*seal.Keyset, error) {
	own, err := seal.OpenKeys(ctx, db.Vault(), s.masterKey)
	if !errors.Is(err, fs.ErrNotExist) {
		return own, err
	}
	empty, err := db.Empty(ctx)
	switch {
	case err != nil:
		return nil, err
	case !empty:
		return nil, errKeysGone
	}
	return seal.CopyKeys(ctx, keys, db.Vault(), s.masterKey)
}

var _ copiedStore = (*PostgresStore)(nil)
