package caddymodule

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"

	"github.com/secondgate/secondgate/internal/seal"
	"github.com/secondgate/secondgate/store"
	"github.com/secondgate/secondgate/store/badger"
)

// copiedStore is a store that copies are made of, and into.
type copiedStore interface {
	StoreModule
	// ownKeys are the keys that the store has, whether there is a store or not;
	// fs.ErrNotExist where it has none.
	ownKeys(ctx context.Context) (*seal.Keyset, error)
	// openStill opens a store that is there; nothing in it is removed by time meanwhile.
	openStill(ctx context.Context, logger *slog.Logger) (openStore, *seal.Keyset, error)
	// openFill opens a new store to be filled with what from says in words, or one in
	// which that was begun. Where it has no keys of its own yet, it gets those.
	openFill(ctx context.Context, from string, keys *seal.Keyset, logger *slog.Logger) (filledStore, *seal.Keyset, error)
}

// filledStore is a store that is being filled.
type filledStore interface {
	openStore
	store.Target
}

// openStill implements copiedStore.
func (s *BadgerStore) openStill(ctx context.Context, logger *slog.Logger) (openStore, *seal.Keyset, error) {
	keys, err := loadKeys(ctx, s)
	if err != nil {
		return nil, nil, err
	}
	o := s.options(keys, logger)
	o.Still = true
	opened, err := badger.Open(o)
	if err != nil {
		return nil, nil, err
	}
	return opened, keys, nil
}

// ownKeys implements copiedStore.
func (s *BadgerStore) ownKeys(ctx context.Context) (*seal.Keyset, error) {
	return seal.OpenKeys(ctx, seal.FileVault(s.keyFile()), s.masterKey)
}

// openFill implements copiedStore. Keys that come with the copy have their file when the
// mark is in the store, and not before: a command that is killed in between leaves a store
// without keys, which is refused, and not an empty one with them, which a gateway would
// take for a first start (AC-189).
func (s *BadgerStore) openFill(ctx context.Context, from string, keys *seal.Keyset, logger *slog.Logger) (filledStore, *seal.Keyset, error) {
	exists, err := s.exists(ctx)
	if err != nil {
		return nil, nil, fmt.Errorf("looking for the store: %w", err)
	}
	own, err := s.ownKeys(ctx)
	missing := errors.Is(err, fs.ErrNotExist)
	switch {
	case missing:
		own = keys
	case err != nil:
		return nil, nil, fmt.Errorf("loading the keys from %s: %w", s.keyFile(), err)
	}
	o := s.options(own, logger)
	o.Fill = from
	opened, err := badger.Open(o)
	if err != nil && missing && exists {
		return nil, nil, fmt.Errorf("%w: %s, whose key file %s is missing; move it and %s away, or name another folder (%w)", store.ErrNotEmpty, s.dir, s.keyFile(), s.marker(), err)
	}
	if err != nil {
		return nil, nil, err
	}
	if missing {
		if own, err = s.giveKeys(ctx, keys); err != nil {
			return nil, nil, errors.Join(err, opened.Close())
		}
	}
	return opened, own, nil
}

// giveKeys puts the keys that come with a copy into the key file.
func (s *BadgerStore) giveKeys(ctx context.Context, keys *seal.Keyset) (*seal.Keyset, error) {
	if err := os.MkdirAll(filepath.Dir(s.keyFile()), 0o700); err != nil {
		return nil, fmt.Errorf("making the directory of the key file: %w", err)
	}
	return seal.CopyKeys(ctx, keys, seal.FileVault(s.keyFile()), s.masterKey)
}

var _ copiedStore = (*BadgerStore)(nil)
