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

// openFill implements copiedStore. Keys that come with the copy are put there when the mark
// is, and not before; see BadgerStore.openFill.
func (s *PostgresStore) openFill(ctx context.Context, from string, keys *seal.Keyset, logger *slog.Logger) (filledStore, *seal.Keyset, error) {
	o := s.options(logger)
	o.Fill = from
	db, err := s.connect(ctx, o)
	if err != nil {
		return nil, nil, err
	}
	own, err := seal.OpenKeys(ctx, db.Vault(), s.masterKey)
	missing := errors.Is(err, fs.ErrNotExist)
	switch {
	case missing && s.masterKey == nil:
		err = seal.ErrMasterNeeded
	case missing:
		own, err = keys, nil
	}
	if err != nil {
		db.Close()
		return nil, nil, fmt.Errorf("opening the keys in the database %s: %w", s.address, err)
	}
	opened, err := db.Open(own) // it closes db where it answers an error
	if err != nil {
		return nil, nil, err
	}
	if missing {
		if own, err = seal.CopyKeys(ctx, keys, db.Vault(), s.masterKey); err != nil {
			return nil, nil, errors.Join(fmt.Errorf("putting the keys into the database %s: %w", s.address, err), opened.Close())
		}
	}
	return opened, own, nil
}

var _ copiedStore = (*PostgresStore)(nil)
