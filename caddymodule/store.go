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

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/caddyconfig/caddyfile"

	"github.com/secondgate/secondgate/internal/clock"
	"github.com/secondgate/secondgate/internal/seal"
	"github.com/secondgate/secondgate/mfa"
	"github.com/secondgate/secondgate/store/badger"
)

func init() {
	caddy.RegisterModule(new(BadgerStore))
}

// StoreModule is a guest of the namespace mfa.stores.
type StoreModule interface {
	caddy.Module
	// place names the store to people. There is no secret in it.
	place() string
	// instance is the one name of the open store in this process: configurations with
	// the same share one. It is never shown.
	instance() string
	// linkFile is where the link for the first account is written.
	linkFile() string
	// master is the master key that seals the keys, or nil.
	master() *seal.Master
	// exists reports whether a store was ever made at that place.
	exists(ctx context.Context) (bool, error)
	// open opens the store, or makes it, with the keys that seal what it keeps.
	open(ctx context.Context, logger *slog.Logger) (openStore, *seal.Keyset, error)
	// away reports whether an error of open says no more than that the store cannot be
	// reached now. All others need somebody to do something.
	away(err error) bool
}

// openStore is a store that was opened.
type openStore interface {
	mfa.Store
	// Fresh reports whether there was no store before this one was opened.
	Fresh() bool
	Close() error
}

// BadgerStore keeps everything in a directory of this machine. It needs no
// database and is made for one gateway.
type BadgerStore struct {
	// Dir is the directory. The default is "secondgate/store" in Caddy's data
	// directory. Beside it lie the key file (DIR.keys.json), without which what
	// is in it cannot be read, and a marker (DIR.initialized). Back all three
	// up, the key file apart from the others.
	Dir string `json:"dir,omitempty"`

	// KeepEvents is how long events are kept. The default is 90 days.
	KeepEvents caddy.Duration `json:"keep_events,omitempty"`

	// MasterKey is a key that seals the key file, a placeholder:
	// "{file./run/secrets/master-key}". Make one with: secondgate mfa keys master. The
	// default is none: the file's mode protects it.
	MasterKey string `json:"master_key,omitempty"`

	// PreviousMasterKey is the one before, while it is being changed.
	PreviousMasterKey string `json:"previous_master_key,omitempty"`

	dir       string       // absolute
	masterKey *seal.Master // secret; nil: none
}

// CaddyModule returns the Caddy module information.
func (*BadgerStore) CaddyModule() caddy.ModuleInfo {
	return caddy.ModuleInfo{ID: "mfa.stores.badger", New: func() caddy.Module { return new(BadgerStore) }}
}

// Provision finds out where the store is. It opens and makes nothing.
func (s *BadgerStore) Provision(caddy.Context) error {
	dir, err := caddy.NewReplacer().ReplaceOrErr(s.Dir, true, true)
	if err != nil {
		return fmt.Errorf("store: reading the directory: %w", err)
	}
	if dir == "" {
		dir = filepath.Join(caddy.AppDataDir(), "secondgate", "store")
	}
	if s.dir, err = filepath.Abs(dir); err != nil {
		return fmt.Errorf("store: finding the directory: %w", err)
	}
	if s.masterKey, err = readMasterKey(s.MasterKey, s.PreviousMasterKey); err != nil {
		return fmt.Errorf("store badger: %w", err)
	}
	return nil
}

// Validate refuses what could never be opened. It reads names only, so that it
// can run beside the gateway that has the store open. A configuration that fails
// here never listens; one that fails when it starts has listened for a moment.
func (s *BadgerStore) Validate() error {
	if s.KeepEvents < 0 || s.KeepEvents > 0 && time.Duration(s.KeepEvents) < time.Hour {
		return errors.New("store: keep_events must be an hour or more; write for example: keep_events 90d")
	}
	if f, err := os.Stat(s.dir); err == nil && !f.IsDir() {
		return fmt.Errorf("store: %s is not a directory; write: store badger DIR", s.dir)
	}
	if _, err := s.exists(context.Background()); err != nil {
		return fmt.Errorf("store: looking for the store: %w", err)
	}
	return nil
}

// UnmarshalCaddyfile reads
//
//	badger [DIR] {
//		keep_events DURATION
//		master_key {file./path}|{env.NAME} [{
//			previous {file./path}|{env.NAME}
//		}]
//	}
func (s *BadgerStore) UnmarshalCaddyfile(d *caddyfile.Dispenser) error {
	for d.Next() {
		if d.NextArg() {
			s.Dir = d.Val()
		}
		if d.NextArg() {
			return d.Errf("store badger: %q is one word too many; write: store badger [DIR]", d.Val())
		}
		for nesting := d.Nesting(); d.NextBlock(nesting); {
			if d.Val() == "master_key" {
				if err := parseMasterKey(d, &s.MasterKey, &s.PreviousMasterKey); err != nil {
					return err
				}
				continue
			}
			if d.Val() != "keep_events" {
				return d.Errf("store badger: unknown option %q; there are keep_events and master_key", d.Val())
			}
			args := d.RemainingArgs()
			if len(args) != 1 {
				return d.Err("keep_events: needs one word; write for example: keep_events 90d")
			}
			keep, err := caddy.ParseDuration(args[0])
			if err != nil || keep < time.Hour {
				return d.Errf("keep_events: %q is no duration of an hour or more; write for example: keep_events 90d", args[0])
			}
			s.KeepEvents = caddy.Duration(keep)
		}
	}
	return nil
}

func (s *BadgerStore) place() string        { return "badger:" + s.dir }
func (s *BadgerStore) instance() string     { return s.place() }
func (s *BadgerStore) linkFile() string     { return s.dir + ".setup-link" }
func (s *BadgerStore) marker() string       { return s.dir + ".initialized" }
func (s *BadgerStore) master() *seal.Master { return s.masterKey }

// keyFile is the file of the keys. It lies outside the store, so that neither is worth
// anything alone.
func (s *BadgerStore) keyFile() string { return s.dir + ".keys.json" }

// away is never so: a directory is there or it is not.
func (s *BadgerStore) away(error) bool { return false }

func (s *BadgerStore) exists(context.Context) (bool, error) {
	for _, path := range []string{s.marker(), filepath.Join(s.dir, "MANIFEST")} {
		_, err := os.Stat(path)
		switch {
		case err == nil:
			return true, nil
		case !errors.Is(err, fs.ErrNotExist):
			return false, err
		}
	}
	return false, nil
}

func (s *BadgerStore) open(ctx context.Context, logger *slog.Logger) (openStore, *seal.Keyset, error) {
	keys, err := loadKeys(ctx, s)
	if err != nil {
		return nil, nil, err
	}
	_, markErr := os.Stat(s.marker())
	_, storeErr := os.Stat(filepath.Join(s.dir, "MANIFEST"))
	if errors.Is(markErr, fs.ErrNotExist) && storeErr == nil {
		logger.Warn("the marker of the store is missing and is made anew: that a part of the store is lost, or an old copy was restored, cannot be told this time", "marker", s.marker())
	}
	opened, err := badger.Open(s.options(keys, logger))
	if err != nil {
		return nil, nil, err // it says what it was doing
	}
	return opened, keys, nil
}

func (s *BadgerStore) options(keys *seal.Keyset, logger *slog.Logger) badger.Options {
	return badger.Options{
		Dir:    s.dir,
		Marker: s.marker(),
		Keys:   keys,
		Logger: logger,
		Now:    clock.Now,

		KeepEvents: time.Duration(s.KeepEvents),
	}
}

// loadKeys reads the keys of a store, or makes them for a store that is new.
func loadKeys(ctx context.Context, s *BadgerStore) (*seal.Keyset, error) {
	path := s.keyFile()
	exists, err := s.exists(ctx)
	if err != nil {
		return nil, fmt.Errorf("looking for the store: %w", err)
	}
	vault := seal.FileVault(path)
	keys, err := seal.OpenKeys(ctx, vault, s.master())
	switch {
	case err == nil && !exists:
		// The store and its marker went away together. A new one would open the
		// first account to whoever reads the next link (AC-228).
		return nil, fmt.Errorf("the key file %s is here, but its store is gone (%s): restore the store and its marker from your backup; to begin anew and lose every user, remove the key file as well", path, s.place())
	case err == nil:
		return keys, nil
	case !errors.Is(err, fs.ErrNotExist):
		return nil, fmt.Errorf("loading the keys from %s: %w", path, err)
	}
	if exists {
		// New keys could not read what is there, and the gateway would look empty:
		// everyone without a second factor, and the first account up for grabs.
		return nil, fmt.Errorf("the key file %s is missing, but there is a store (%s), and only those keys can read it: restore the key file from your backup; to begin anew and lose every user, move the store and its marker away as well", path, s.place())
	}
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		return nil, fmt.Errorf("making the directory of the key file: %w", err)
	}
	if keys, err = seal.CreateKeys(ctx, vault, s.master()); err != nil {
		return nil, fmt.Errorf("making the key file %s: %w", path, err)
	}
	return keys, nil
}

var (
	_ StoreModule           = (*BadgerStore)(nil)
	_ caddy.Provisioner     = (*BadgerStore)(nil)
	_ caddy.Validator       = (*BadgerStore)(nil)
	_ caddyfile.Unmarshaler = (*BadgerStore)(nil)
)
