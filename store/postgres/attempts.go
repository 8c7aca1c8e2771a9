package postgres

import (
	"context"
	"errors"
	"slices"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/secondgate/secondgate/mfa"
	"github.com/secondgate/secondgate/store"
)

// attemptsEnd says when counters go; nil: never.
func (s *Store) attemptsEnd(a mfa.Attempts) *time.Time {
	until, margin, forever := store.AttemptsMargin(a)
	if forever {
		return nil
	}
	end := s.deleteAfter(until, margin)
	return &end
}

// UpdateAttempts implements mfa.Throttle.
func (s *Store) UpdateAttempts(ctx context.Context, keys []string, change func([]mfa.Attempts) error) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	names := make([]string, 0, len(keys))
	for i, key := range keys {
		if !usable(key) {
			return errors.New("counting attempts: a key is empty, too long or not text")
		}
		if slices.Contains(keys[:i], key) {
			return errors.New("counting attempts: a key stands twice")
		}
		names = append(names, "attempts:"+key)
	}
	return s.update(ctx, names, func(w *writing) error {
		before, err := w.lockAttempts(keys)
		if err != nil {
			return err
		}
		after := slices.Clone(before)
		if err := change(after); err != nil {
			return err
		}
		if slices.EqualFunc(before, after, sameAttempts) {
			return nil
		}
		for i, key := range keys {
			if err := w.putAttempts(key, before[i], after[i]); err != nil {
				return err
			}
		}
		return nil
	})
}

func sameAttempts(a, b mfa.Attempts) bool {
	return a.Count == b.Count && a.Since.Equal(b.Since) && a.Until.Equal(b.Until) && a.Forget.Equal(b.Forget)
}

// lockAttempts makes the rows that are missing and locks all of them, in one order for
// everybody. Those that were made are empty, and are gone again with the transaction.
func (w *writing) lockAttempts(keys []string) ([]mfa.Attempts, error) {
	sorted := slices.Sorted(slices.Values(keys))
	records := make(map[string][]byte, len(keys))
	made := make(map[string]bool)
	err := w.ask(func(b *pgx.Batch) {
		b.Queue(`INSERT INTO attempts (key, count, record) SELECT k, 0, '' FROM unnest($1::text[]) AS k ORDER BY k
			ON CONFLICT (key) DO NOTHING RETURNING key`, sorted).Query(func(rows pgx.Rows) error {
			var key string
			_, err := pgx.ForEachRow(rows, []any{&key}, func() error {
				made[key] = true
				return nil
			})
			return err
		})
		b.Queue(`SELECT key, record FROM attempts WHERE key = ANY ($1::text[]) ORDER BY key FOR UPDATE`, sorted).Query(func(rows pgx.Rows) error {
			var key string
			var record []byte
			_, err := pgx.ForEachRow(rows, []any{&key, &record}, func() error {
				records[key] = append([]byte{}, record...)
				return nil
			})
			return err
		})
	})
	if err != nil {
		return nil, err
	}
	list := make([]mfa.Attempts, len(keys))
	for i, key := range keys {
		record, ok := records[key]
		switch {
		case !ok:
			return nil, errAgain // somebody cleared it in between
		case made[key]:
			continue
		}
		if err := w.s.decode(record, store.Attempts, key, &list[i]); err != nil {
			return nil, err
		}
	}
	return list, nil
}

func (w *writing) putAttempts(key string, before, after mfa.Attempts) error {
	switch {
	case after.Count == 0 && after.Since.IsZero() && after.Until.IsZero():
		w.put(`DELETE FROM attempts WHERE key = $1`, key) // also the empty row of one that was only looked at
		return nil
	case sameAttempts(before, after):
		return nil
	}
	record, err := w.s.encode(store.Attempts, key, after)
	if err != nil {
		return err
	}
	w.put(`UPDATE attempts SET count = $2, until = $3, delete_after = $4, record = $5 WHERE key = $1`,
		key, int64(after.Count), orNil(after.Until), w.s.attemptsEnd(after), record)
	return nil
}

// Attempts implements mfa.Throttle.
func (s *Store) Attempts(ctx context.Context, key string) (mfa.Attempts, error) {
	var a mfa.Attempts
	if err := ctx.Err(); err != nil {
		return a, err
	}
	if !usable(key) {
		return a, nil
	}
	record, err := s.record(ctx, `SELECT record FROM attempts WHERE key = $1`, key)
	if err != nil || record == nil {
		return a, err
	}
	if err := s.decode(record, store.Attempts, key, &a); err != nil {
		return mfa.Attempts{}, err
	}
	return a, nil
}
