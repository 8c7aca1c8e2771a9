package badger

import (
	"context"
	"errors"
	"fmt"
	"maps"

	"github.com/dgraph-io/badger/v4"

	"github.com/secondgate/secondgate/mfa"
	"github.com/secondgate/secondgate/store"
)

// CheckIndex compares the index rows and counters of users with the records of all users,
// and returns store.ErrDamaged where they do not fit. It reads the whole store; changes
// go on meanwhile.
func (s *Store) CheckIndex(ctx context.Context) error {
	return s.view(ctx, func(txn *badger.Txn) error {
		// What should be there: by its number alone, so that a store of millions is
		// checked in little memory.
		expected := 0
		counters := make(counted)
		err := scan(txn, prefixes[store.Users], "", func(id string) (bool, error) {
			if err := ctx.Err(); err != nil {
				return false, err
			}
			var u mfa.User
			if err := s.readUser(txn, mfa.UserID(id), &u); err != nil {
				return false, err
			}
			place := listedAs(&u)
			for _, name := range s.rows(u.ID, place) {
				expected++
				if _, err := txn.Get(name); errors.Is(err, badger.ErrKeyNotFound) {
					return false, fmt.Errorf("checking the index: a row of user %s is missing: %w", u.ID, store.ErrDamaged)
				} else if err != nil {
					return false, fmt.Errorf("reading from the store: %w", err)
				}
			}
			counters.add(s, u.ID, place)
			return true, nil
		})
		if err != nil {
			return err
		}
		for _, prefix := range []string{namePrefix, facetPrefix, termPrefix} {
			err := scan(txn, prefix, "", func(string) (bool, error) {
				expected--
				return true, ctx.Err()
			})
			if err != nil {
				return err
			}
		}
		if expected != 0 {
			return fmt.Errorf("checking the index: %d rows lead to nobody: %w", -expected, store.ErrDamaged)
		}
		err = scan(txn, prefixes[store.Counters], "", func(id string) (bool, error) {
			r := row{store.Counters, id}
			var c counter
			if err := s.read(txn, r, &c); err != nil {
				return false, err
			}
			if !maps.Equal(c, counters[r]) {
				return false, fmt.Errorf("checking the index: a counter is wrong: %w", store.ErrDamaged)
			}
			delete(counters, r)
			return true, ctx.Err()
		})
		if err != nil {
			return err
		}
		if len(counters) > 0 {
			return fmt.Errorf("checking the index: %d counters are missing: %w", len(counters), store.ErrDamaged)
		}
		return nil
	})
}
