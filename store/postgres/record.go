package postgres

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/secondgate/secondgate/mfa"
	"github.com/secondgate/secondgate/store"
)

// encode returns v as the record of that row.
func (s *Store) encode(t store.Table, row string, v any) ([]byte, error) {
	record, err := s.codec.Encode(t, row, v)
	if err != nil {
		return nil, err
	}
	if len(record) >= maxRecord {
		return nil, fmt.Errorf("writing to the database: a record of %d bytes: %w", len(record), mfa.ErrTooLarge)
	}
	return record, nil
}

// into returns what takes one record, nil where there is none.
func into(record *[]byte) func(pgx.Row) error {
	return func(r pgx.Row) error {
		*record = nil
		err := r.Scan(record)
		if noRow(err) {
			return nil
		}
		return err
	}
}

// record asks for one record; nil where there is none.
func (s *Store) record(ctx context.Context, sql string, args ...any) (record []byte, err error) {
	err = s.read(ctx, func(b *pgx.Batch) { b.Queue(sql, args...).QueryRow(into(&record)) })
	return record, err
}

// record is Store.record inside of a transaction.
func (w *writing) record(sql string, args ...any) (record []byte, err error) {
	err = w.ask(func(b *pgx.Batch) { b.Queue(sql, args...).QueryRow(into(&record)) })
	return record, err
}

// decode reads the record of that row into v, or answers mfa.ErrNotFound where there is none.
func (s *Store) decode(record []byte, t store.Table, row string, v any) error {
	if record == nil {
		return mfa.ErrNotFound
	}
	return s.codec.Decode(record, t, row, v)
}

// changedBy runs change on v and reports whether anything of it is another.
func changedBy[T any](v *T, change func(*T) error) (bool, error) {
	before, err := json.Marshal(v)
	if err != nil {
		return false, fmt.Errorf("comparing records: %w", err)
	}
	if err := change(v); err != nil {
		return false, err
	}
	after, err := json.Marshal(v)
	if err != nil {
		return false, fmt.Errorf("comparing records: %w", err)
	}
	return !bytes.Equal(before, after), nil
}

// deleteAfter is when a row goes that expires then. Expiry itself is judged by the callers.
func (s *Store) deleteAfter(expires time.Time, margin time.Duration) time.Time {
	const longest = 100 * 365 * 24 * time.Hour
	now := s.db.now()
	if expires.Before(now) {
		expires = now
	}
	if last := now.Add(longest); expires.After(last) {
		expires = last
	}
	return expires.Add(margin).UTC()
}

// orNil returns nil, which is NULL, for no time.
func orNil(t time.Time) *time.Time {
	if t.IsZero() {
		return nil
	}
	return &t
}
