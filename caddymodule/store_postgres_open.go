package caddymodule

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"time"

	"github.com/secondgate/secondgate/internal/clock"
	"github.com/secondgate/secondgate/internal/seal"
	"github.com/secondgate/secondgate/store/postgres"
)

// existsTime is how long a database may take to say whether there is a store in it.
const existsTime = 10 * time.Second

func (s *PostgresStore) exists(ctx context.Context) (bool, error) {
	ctx, cancel := context.WithTimeout(ctx, existsTime)
	defer cancel()
	return postgres.Exists(ctx, s.url)
}

func (s *PostgresStore) away(err error) bool { return postgres.Away(err) }

// open connects to the database, makes its tables or brings them up to date, reads the
// keys that lie in it with the master key, and proves that they open what is there.
func (s *PostgresStore) open(ctx context.Context, logger *slog.Logger) (openStore, *seal.Keyset, error) {
	return s.openWith(ctx, s.options(logger))
}

func (s *PostgresStore) options(logger *slog.Logger) postgres.Options {
	return postgres.Options{
		URL:        s.url,
		MaxConns:   s.MaxConns,
		Marker:     s.marker,
		Logger:     logger,
		Now:        clock.Now,
		KeepEvents: time.Duration(s.KeepEvents),
	}
}

func (s *PostgresStore) connect(ctx context.Context, o postgres.Options) (*postgres.DB, error) {
	if err := os.MkdirAll(filepath.Dir(s.marker), 0o700); err != nil {
		return nil, fmt.Errorf("making the directory of the marker: %w", err)
	}
	return postgres.Connect(ctx, o) // it says what it was doing
}

func (s *PostgresStore) openWith(ctx context.Context, o postgres.Options) (openStore, *seal.Keyset, error) {
	db, err := s.connect(ctx, o)
	if err != nil {
		return nil, nil, err
	}
	keys, err := s.keys(ctx, db, o.Logger)
	if err != nil {
		db.Close()
		return nil, nil, fmt.Errorf("opening the keys in the database %s: %w", s.address, err)
	}
	opened, err := db.Open(keys) // it closes db where it answers an error
	if err != nil {
		return nil, nil, err
	}
	return opened, keys, nil
}

// errKeysGone says that what the keys have sealed is there, and they are not.
var errKeysGone = errors.New("the row \"keys\" of the table meta is missing, and only those keys can read what is in the database: restore the newest backup; to begin anew and lose every user, name an empty database and remove the marker")

// keys reads the keys from the database, or makes them where nothing is sealed yet. New keys
// beside what older ones have sealed would make the gateway look empty.
func (s *PostgresStore) keys(ctx context.Context, db *postgres.DB, logger *slog.Logger) (*seal.Keyset, error) {
	keys, err := seal.OpenKeys(ctx, db.Vault(), s.masterKey)
	if !errors.Is(err, fs.ErrNotExist) {
		return keys, err
	}
	empty, err := db.Empty(ctx)
	switch {
	case err != nil:
		return nil, err
	case empty:
		keys, err = seal.CreateKeys(ctx, db.Vault(), s.masterKey)
		if err == nil {
			logger.Warn("keys were made for this database, and the master key seals them: nothing in it can be read without the master key, so keep a copy of it apart from the database and its backups", "store", s.place())
		}
		if !errors.Is(err, seal.ErrReplaced) {
			return keys, err
		}
	}
	// Another node was faster, or they are gone.
	if keys, err = seal.OpenKeys(ctx, db.Vault(), s.masterKey); errors.Is(err, fs.ErrNotExist) {
		return nil, errKeysGone
	}
	return keys, err
}
