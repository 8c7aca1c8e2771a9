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

// openFill implements copiedStore.
func (s *BadgerStore) openFill(ctx context.Context, from string, keys *seal.Keyset, logger *slog.Logger) (filledStore, *seal.Keyset, error) {
	exists, err := s.exists(ctx)
	if err != nil {
		return nil, nil, fmt.Errorf("looking for the store: %w", err)
	}
	own, err := s.ownKeys(ctx)
	switch {
	case err == nil:
	case !errors.Is(err, fs.ErrNotExist):
		return nil, nil, fmt.Errorf("loading the keys from %s: %w", s.keyFile(), err)
	case exists:
		return nil, nil, fmt.Errorf("%w: %s, whose key file %s is missing; move it and %s away, or name another folder", store.ErrNotEmpty, s.dir, s.keyFile(), s.marker())
	default:
		if err := os.MkdirAll(filepath.Dir(s.keyFile()), 0o700); err != nil {
			return nil, nil, fmt.Errorf("making the directory of the key file: %w", err)
		}
		if own, err = seal.CopyKeys(ctx, keys, seal.FileVault(s.keyFile()), s.masterKey); err != nil {
			return nil, nil, err
		}
	}
	o := s.options(own, logger)
	o.Fill = from
	opened, err := badger.Open(o)
	if err != nil {
		return nil, nil, err
	}
	return opened, own, nil
}

var _ copiedStore = (*BadgerStore)(nil)
