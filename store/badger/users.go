package badger

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/dgraph-io/badger/v4"

	"github.com/secondgate/secondgate/mfa"
	"github.com/secondgate/secondgate/store"
)

// holder is what stands under a unique key.
type holder struct {
	User mfa.UserID `json:"user"`
}

func userRow(id mfa.UserID) row { return row{store.Users, string(id)} }
func keyRow(key string) row     { return row{store.UniqueKeys, key} }
func userLock(id mfa.UserID) string {
	return "user:" + string(id)
}

// User implements mfa.Users.
func (s *Store) User(ctx context.Context, id mfa.UserID) (*mfa.User, error) {
	var u mfa.User
	err := s.view(ctx, func(txn *badger.Txn) error { return s.readUser(txn, id, &u) })
	if err != nil {
		return nil, err
	}
	return &u, nil
}

func (s *Store) readUser(txn *badger.Txn, id mfa.UserID, u *mfa.User) error {
	if !usable(string(id)) {
		return mfa.ErrNotFound
	}
	if err := s.read(txn, userRow(id), u); err != nil {
		return err
	}
	if u.ID != id {
		return fmt.Errorf("reading a user: %w", store.ErrDamaged)
	}
	return nil
}

// UserByKey implements mfa.Users.
func (s *Store) UserByKey(ctx context.Context, key string) (*mfa.User, error) {
	var u mfa.User
	err := s.view(ctx, func(txn *badger.Txn) error {
		var h holder
		if err := s.read(txn, keyRow(key), &h); err != nil {
			return err
		}
		err := s.readUser(txn, h.User, &u)
		// An index that leads to nobody, or to somebody without that key, is
		// damage. "Not found" would let the key be taken again.
		if errors.Is(err, mfa.ErrNotFound) || err == nil && !slices.Contains(u.UniqueKeys(), key) {
			return fmt.Errorf("looking up a user: the index does not fit: %w", store.ErrDamaged)
		}
		return err
	})
	if err != nil {
		return nil, err
	}
	return &u, nil
}

// CreateUser implements mfa.Users.
func (s *Store) CreateUser(ctx context.Context, u *mfa.User) error {
	if err := checkUser(u); err != nil {
		return fmt.Errorf("creating a user: %w", err)
	}
	return s.update(ctx, []string{userLock(u.ID), shardLock(u.ID)}, func(w *writing) error {
		taken, err := w.taken(userRow(u.ID))
		if err != nil {
			return err
		}
		if taken {
			return mfa.ErrTaken
		}
		if err := w.moveKeys(u.ID, nil, u.UniqueKeys()); err != nil {
			return err
		}
		if err := w.list(u.ID, listed{}, listedAs(u)); err != nil {
			return err
		}
		w.announces(u.ID)
		return w.put(userRow(u.ID), u, 0)
	})
}

// checkUser refuses what could not be found again.
func checkUser(u *mfa.User) error {
	switch {
	case u == nil || !usable(string(u.ID)):
		return errors.New("the ID is empty, too long or not text")
	case len(u.Name) > maxRow/4 || strings.Contains(u.Name, separator):
		return errors.New("the name is too long or not text")
	}
	for _, key := range u.UniqueKeys() {
		if len(key) > maxRow-2 {
			return errors.New("a unique key is too long")
		}
	}
	return nil
}

// moveKeys gives the user the unique keys in now and takes those away that were
// only in before.
func (w *writing) moveKeys(id mfa.UserID, before, now []string) error {
	for _, key := range now {
		if slices.Contains(before, key) {
			continue
		}
		var h holder
		err := w.read(keyRow(key), &h)
		switch {
		case err == nil && h.User != id:
			return mfa.ErrTaken
		case err != nil && !errors.Is(err, mfa.ErrNotFound):
			return err
		}
		if err := w.put(keyRow(key), holder{User: id}, 0); err != nil {
			return err
		}
	}
	for _, key := range before {
		if slices.Contains(now, key) {
			continue
		}
		if err := w.remove(keyRow(key).key()); err != nil {
			return err
		}
	}
	return nil
}

// UpdateUser implements mfa.Users.
func (s *Store) UpdateUser(ctx context.Context, id mfa.UserID, change func(*mfa.User) error) error {
	return s.takeAway(ctx, []string{userLock(id)}, func(w *writing) error {
		var u mfa.User
		if err := s.readUser(w.Txn, id, &u); err != nil {
			return err
		}
		generation := u.Generation
		source, subject, keys, place := u.Source, u.Subject, u.UniqueKeys(), listedAs(&u)
		before, err := json.Marshal(&u)
		if err != nil {
			return fmt.Errorf("updating a user: %w", err)
		}
		if err := change(&u); err != nil {
			return err
		}
		if u.ID != id || u.Source != source || u.Subject != subject {
			return errors.New("updating a user: a change must leave ID, source and subject alone")
		}
		after, err := json.Marshal(&u)
		if err != nil {
			return fmt.Errorf("updating a user: %w", err)
		}
		if bytes.Equal(before, after) {
			return nil
		}
		// A change that ends all sessions of the user goes on where others stop.
		if u.Generation == generation {
			if err := s.space.check(); err != nil {
				return err
			}
		}
		if err := checkUser(&u); err != nil {
			return fmt.Errorf("updating a user: %w", err)
		}
		if err := w.moveKeys(id, keys, u.UniqueKeys()); err != nil {
			return err
		}
		if err := w.list(id, place, listedAs(&u)); err != nil {
			return err
		}
		w.announces(id)
		return w.put(userRow(id), &u, 0)
	})
}
