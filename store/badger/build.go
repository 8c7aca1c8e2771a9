package badger

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/dgraph-io/badger/v4"

	"github.com/secondgate/secondgate/mfa"
	"github.com/secondgate/secondgate/store"
)

// openIndex reads how users are indexed, and builds the index where a store has none,
// or one that was not finished, or of another version. A program that knows of no index
// would leave it behind with each change: the anchor's format keeps such ones away
// before the first row is written.
func (s *Store) openIndex() error {
	var kept indexMeta
	found := true
	err := s.view(s.ctx, func(txn *badger.Txn) error { return s.read(txn, indexRow, &kept) })
	switch {
	case errors.Is(err, mfa.ErrNotFound):
		found = false
	case err != nil:
		return fmt.Errorf("reading the index's version: %w", err)
	case kept.Version > indexVersion:
		return fmt.Errorf("index version %d, this program reads up to %d: %w", kept.Version, indexVersion, store.ErrNewer)
	case kept.Version == indexVersion && !kept.Building:
		s.index = &kept
		return nil
	}
	if s.index, err = newIndex(); err != nil {
		return err
	}
	s.index.Building = true
	if err := s.writeAnchor(); err != nil { // with s.index
		return err
	}
	if found {
		if err := s.dropIndex(s.ctx); err != nil {
			return fmt.Errorf("removing the old index of users: %w", err)
		}
	}
	if err := s.buildIndex(s.ctx); err != nil {
		return fmt.Errorf("building the index of users: %w", err)
	}
	s.index.Building = false
	return s.update(s.ctx, nil, func(w *writing) error { return w.put(indexRow, s.index, 0) })
}

// batch runs fn with what keeps rows many at a time. Nothing else uses the store yet.
func (s *Store) batch(ctx context.Context, fn func(txn *badger.Txn, b *badger.WriteBatch) error) error {
	return s.view(ctx, func(txn *badger.Txn) error {
		b := s.db.NewWriteBatch()
		defer b.Cancel()
		if err := fn(txn, b); err != nil {
			return err
		}
		return b.Flush()
	})
}

// dropIndex removes all rows that buildIndex makes, and no others: the index of names
// was there before.
func (s *Store) dropIndex(ctx context.Context) error {
	return s.batch(ctx, func(txn *badger.Txn, b *badger.WriteBatch) error {
		for _, prefix := range []string{facetPrefix, termPrefix, prefixes[store.Counters]} {
			err := scan(txn, prefix, "", func(rest string) (bool, error) {
				if err := s.space.check(); err != nil {
					return false, err
				}
				return true, b.Delete([]byte(prefix + rest))
			})
			if err != nil {
				return err
			}
		}
		return nil
	})
}

// Building goes by so many users at a time, so that it needs little memory, and says how
// far it is now and then.
const (
	buildPart = 5000
	tellBuilt = 15 * time.Second
)

// building is how far the building of the index is.
type building struct {
	users, unreadable int
	counters          counted
}

// buildIndex writes the index rows and counters of all users.
func (s *Store) buildIndex(ctx context.Context) error {
	began := time.Now()
	told := began
	done := building{counters: make(counted)}
	for last := ""; ; {
		after := last
		err := s.batch(ctx, func(txn *badger.Txn, b *badger.WriteBatch) (err error) {
			last, err = s.buildSome(txn, b, after, &done)
			return err
		})
		if err != nil {
			return err
		}
		if last == "" {
			break
		}
		if time.Since(told) > tellBuilt {
			told = time.Now()
			s.log.Info("store: the index of users is being built, once", "users", done.users)
		}
	}
	err := s.batch(ctx, func(_ *badger.Txn, b *badger.WriteBatch) error {
		for r, c := range done.counters {
			record, err := s.codec.Encode(r.table, r.id, c)
			if err != nil {
				return err
			}
			if err := b.Set(r.key(), record); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		return err
	}
	if done.unreadable > 0 {
		s.log.Error("store: users whose records are damaged are in no list; restore the newest backup", "count", done.unreadable)
	}
	if done.users > 0 {
		s.log.Info("store: the index of users is built", "users", done.users, "took", time.Since(began).Round(time.Millisecond).String())
	}
	return nil
}

// buildSome writes the index rows of the next users behind after, and returns the last of
// them; "" where there are no more.
func (s *Store) buildSome(txn *badger.Txn, b *badger.WriteBatch, after string, done *building) (last string, err error) {
	n := 0
	err = scan(txn, prefixes[store.Users], after, func(id string) (bool, error) {
		if err := s.space.check(); err != nil {
			return false, err
		}
		n++
		last = id
		var u mfa.User
		err := s.readUser(txn, mfa.UserID(id), &u)
		if errors.Is(err, store.ErrDamaged) {
			done.unreadable++ // one of them must not keep all others out
			return n < buildPart, nil
		}
		if err != nil {
			return false, err
		}
		done.users++
		place := listedAs(&u)
		for _, name := range s.rows(u.ID, place) {
			if err := b.Set(name, nil); err != nil {
				return false, err
			}
		}
		done.counters.add(s, u.ID, place)
		return n < buildPart, nil
	})
	return last, err
}
