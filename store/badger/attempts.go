package badger

import (
	"context"
	"errors"
	"slices"
	"time"

	"github.com/dgraph-io/badger/v4"

	"github.com/secondgate/secondgate/mfa"
	"github.com/secondgate/secondgate/store"
)

func attemptsRow(key string) row     { return row{store.Attempts, key} }
func attemptsLock(key string) string { return "attempts:" + key }

// attemptsLife says how long counters are kept; 0: for ever.
func (s *Store) attemptsLife(a mfa.Attempts) time.Duration {
	until, margin, forever := store.AttemptsMargin(a)
	if forever {
		return 0
	}
	return s.life(until, margin)
}

// UpdateAttempts implements mfa.Throttle.
func (s *Store) UpdateAttempts(ctx context.Context, keys []string, change func([]mfa.Attempts) error) error {
	names := make([]string, 0, len(keys))
	for i, key := range keys {
		if !usable(key) {
			return errors.New("counting attempts: a key is empty, too long or not text")
		}
		if slices.Contains(keys[:i], key) {
			return errors.New("counting attempts: a key stands twice")
		}
		names = append(names, attemptsLock(key))
	}
	return s.update(ctx, names, func(w *writing) error {
		before := make([]mfa.Attempts, len(keys))
		for i, key := range keys {
			err := w.read(attemptsRow(key), &before[i])
			if err != nil && !errors.Is(err, mfa.ErrNotFound) {
				return err
			}
		}
		after := slices.Clone(before)
		if err := change(after); err != nil {
			return err
		}
		for i, key := range keys {
			if err := w.putAttempts(attemptsRow(key), before[i], after[i]); err != nil {
				return err
			}
		}
		return nil
	})
}

func (w *writing) putAttempts(r row, before, after mfa.Attempts) error {
	switch {
	case before.Count == after.Count && before.Since.Equal(after.Since) && before.Until.Equal(after.Until) && before.Forget.Equal(after.Forget):
		return nil
	case after.Count == 0 && after.Since.IsZero() && after.Until.IsZero():
		return w.remove(r.key())
	}
	return w.put(r, after, w.s.attemptsLife(after))
}

// Attempts implements mfa.Throttle.
func (s *Store) Attempts(ctx context.Context, key string) (mfa.Attempts, error) {
	var a mfa.Attempts
	if !usable(key) {
		return a, nil
	}
	err := s.view(ctx, func(txn *badger.Txn) error { return s.read(txn, attemptsRow(key), &a) })
	if errors.Is(err, mfa.ErrNotFound) {
		return mfa.Attempts{}, nil
	}
	if err != nil {
		return mfa.Attempts{}, err
	}
	return a, nil
}
