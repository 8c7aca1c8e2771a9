package postgres

import (
	"context"
	"errors"
	"fmt"
	"math"

	"github.com/jackc/pgx/v5"

	"github.com/secondgate/secondgate/mfa"
	"github.com/secondgate/secondgate/store"
)

// decodeCount returns how many events there were. Where the row is gone somebody took it
// away: numbers would begin anew.
func (s *Store) decodeCount(record []byte) (n store.EventCount, err error) {
	err = s.decodeMeta(record, metaEvents, &n)
	return n, err
}

// decodeMeta reads a row of meta that is always there.
func (s *Store) decodeMeta(record []byte, name string, v any) error {
	err := s.decode(record, store.Meta, name, v)
	if errors.Is(err, mfa.ErrNotFound) {
		return fmt.Errorf("the row %q of meta is missing: %w", name, store.ErrDamaged)
	}
	return err
}

// EventsInOrder implements mfa.EventLog. One that is there and cannot be read, or that
// cannot be found by what it says, is a *mfa.ChainError and store.ErrDamaged.
func (s *Store) EventsInOrder(ctx context.Context, from uint64, limit int) ([]mfa.Event, error) {
	if err := ctx.Err(); err != nil || limit < 1 || from > math.MaxInt64 {
		return nil, err
	}
	var list []mfa.Event
	for len(list) < limit {
		part := min(limit-len(list), lookAt)
		rows, err := s.askEvents(ctx, `SELECT `+eventColumns+` FROM events WHERE number >= $1 ORDER BY number LIMIT $2`, int64(from), part)
		if err != nil {
			return nil, err
		}
		for i := range rows {
			e, err := s.event(&rows[i])
			switch {
			case errors.Is(err, store.ErrDamaged):
				return nil, fmt.Errorf("reading events: %w: %w", &mfa.ChainError{Number: uint64(rows[i].number), What: mfa.ChainChanged}, err) //nolint:gosec // not negative
			case err != nil:
				return nil, fmt.Errorf("reading events: %w", err)
			}
			from = uint64(rows[i].number) + 1 //nolint:gosec // not negative
			if e.Number > 0 {                 // others are from before there was a chain
				list = append(list, e)
			}
		}
		if len(rows) < part {
			break
		}
	}
	return list, nil
}

// ChainEnds implements mfa.EventLog.
func (s *Store) ChainEnds(ctx context.Context) (mfa.ChainEnds, error) {
	var count, start []byte
	err := s.read(ctx, func(b *pgx.Batch) {
		// One statement, so that both are of one moment.
		b.Queue(`SELECT (SELECT record FROM meta WHERE name = $1), (SELECT record FROM meta WHERE name = $2)`, metaEvents, metaStart).
			QueryRow(func(r pgx.Row) error { return r.Scan(&count, &start) })
	})
	if err != nil {
		return mfa.ChainEnds{}, err
	}
	n, err := s.decodeCount(count)
	if err != nil {
		return mfa.ChainEnds{}, fmt.Errorf("reading the ends of the events: %w", err)
	}
	var from store.EventStart
	if err := s.decodeMeta(start, metaStart, &from); err != nil {
		return mfa.ChainEnds{}, fmt.Errorf("reading the ends of the events: %w", err)
	}
	return mfa.ChainEnds{First: from.First, Before: from.Before, Last: n.Count, Head: n.Head}, nil
}
