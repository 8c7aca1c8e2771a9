package badger

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"

	"github.com/dgraph-io/badger/v4"

	"github.com/secondgate/secondgate/internal/durable"
	"github.com/secondgate/secondgate/mfa"
	"github.com/secondgate/secondgate/store"
)

// marker is the file beside the folder. It is written after the store, so a
// whole store is never behind it.
type marker struct {
	Version int `json:"version"`
	// Anchor is how far the store had come at least; 0: it was about to be made.
	Anchor uint64 `json:"anchor"`
	// Damage is what was found to be wrong. It stays until somebody who restored
	// the store removes it: Badger's own tidying could have removed the traces.
	Damage string `json:"damage,omitempty"`
}

const markerVersion = 1

// anchor is the store's own row of the same number.
type anchor struct {
	Format int    `json:"format"`
	Count  uint64 `json:"count"`
}

// storeFormat is the format that this program writes; it reads all before. Since 2, users
// are indexed and events chained, which a program that knows only 1 would leave undone.
const storeFormat = 2

var anchorRow = row{store.Meta, "anchor"}

// readMarker returns nil where there is none.
func readMarker(path string) (*marker, error) {
	raw, err := os.ReadFile(path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("reading the marker file: %w", err)
	}
	var m marker
	d := json.NewDecoder(bytes.NewReader(raw))
	if err := d.Decode(&m); err != nil || m.Version < 1 {
		// It is there, so there was a store.
		return nil, fmt.Errorf("%w: the marker file %s is damaged; restore it together with the store", ErrLost, path)
	}
	if m.Version > markerVersion {
		return nil, fmt.Errorf("reading the marker file %s: %w", path, store.ErrNewer)
	}
	return &m, nil
}

// write replaces the file whole and returns when it is on disk.
func (m marker) write(path string) error {
	m.Version = markerVersion
	raw, err := json.Marshal(m)
	if err != nil {
		return fmt.Errorf("writing the marker file: %w", err)
	}
	if err := durable.Replace(path, append(raw, '\n')); err != nil {
		return fmt.Errorf("writing the marker file: %w", err)
	}
	return nil
}

// checkAnchor compares the store that was just opened with its marker, and says
// whether it is new.
func (s *Store) checkAnchor() (fresh bool, err error) {
	txn := s.db.NewTransaction(false)
	defer txn.Discard()
	var a anchor
	err = s.read(txn, anchorRow, &a)
	switch {
	case errors.Is(err, store.ErrDamaged):
		return false, fmt.Errorf("%w: the key file is not the one that this store was made with, or the store is damaged", err)
	case errors.Is(err, mfa.ErrNotFound):
		empty, err := isEmpty(txn)
		if err != nil {
			return false, err
		}
		if s.mark.Anchor > 0 || !empty {
			return false, s.lost("its newest changes are missing")
		}
		return true, nil
	case err != nil:
		return false, err
	case a.Format > storeFormat:
		return false, fmt.Errorf("format %d, this program reads up to %d: %w", a.Format, storeFormat, store.ErrNewer)
	case a.Count < s.mark.Anchor:
		return false, s.lost(fmt.Sprintf("it is at %d and was at %d already", a.Count, s.mark.Anchor))
	}
	s.anchored = a.Count
	return false, nil
}

func isEmpty(txn *badger.Txn) (bool, error) {
	empty := true
	err := scan(txn, "", "", func(string) (bool, error) {
		empty = false
		return false, nil
	})
	return empty, err
}

func (s *Store) lost(what string) error {
	return fmt.Errorf("%w: %s; restore the newest backup of %s and %s together (or, to go on with what is there, remove the marker file)",
		ErrLost, what, s.dir, s.markerPath)
}

// writeAnchor moves the anchor on, in the store first.
func (s *Store) writeAnchor() error {
	s.markMu.Lock()
	defer s.markMu.Unlock()
	s.dirty.Store(false)
	next := max(s.anchored, s.mark.Anchor) + 1
	err := s.update(s.ctx, nil, func(w *writing) error {
		w.quiet = true
		if s.index != nil && (s.anchored == 0 || s.index.Building) {
			if err := w.put(indexRow, s.index, 0); err != nil {
				return err
			}
		}
		if s.fill != "" && s.anchored == 0 {
			if err := w.put(fillingRow, store.Filling{From: s.fill, Since: s.now().UTC()}, 0); err != nil {
				return err
			}
		}
		return w.put(anchorRow, anchor{Format: storeFormat, Count: next}, 0)
	})
	if err != nil {
		s.dirty.Store(true)
		return fmt.Errorf("writing the anchor: %w", err)
	}
	s.anchored = next
	m := s.mark
	m.Anchor = next
	if err := m.write(s.markerPath); err != nil {
		return err
	}
	s.mark = m
	return nil
}

// setDamage stops every further use of the store, also after a restart.
func (s *Store) setDamage(detail string) {
	s.damage.CompareAndSwap(nil, &damageError{detail})
	s.log.Error("store: damaged; nobody can sign in until it is restored", "detail", detail)
	s.markMu.Lock()
	defer s.markMu.Unlock()
	if s.mark.Damage != "" {
		return
	}
	s.mark.Damage = detail
	if err := s.mark.write(s.markerPath); err != nil {
		s.log.Error("store: the damage could not be noted", "error", err)
	}
}

// damageError says what is damaged.
type damageError struct{ detail string }

func (e *damageError) Error() string {
	return "the store is damaged: " + e.detail + "; restore the newest backup"
}

func (e *damageError) Unwrap() error { return store.ErrDamaged }
