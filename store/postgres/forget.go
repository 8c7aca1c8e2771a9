package postgres

import (
	"context"
	"encoding/hex"

	"github.com/jackc/pgx/v5"

	"github.com/secondgate/secondgate/mfa"
	"github.com/secondgate/secondgate/store"
)

// forget removes every event that is too old, the first appended first, and moves the
// beginning of the chain in the same write.
func (s *Store) forget(ctx context.Context) error {
	last, err := s.lastOld(ctx)
	if err != nil || last == 0 {
		return err
	}
	for first := uint64(0); ; { // an old store has some from before the chain began
		first, err = s.forgetSome(ctx, first, last)
		if err != nil || first > last {
			return err
		}
		if err := pause(ctx, 20); err != nil {
			return err
		}
	}
}

// lastOld returns the number of the last event that goes: all before it go, too. An event
// of the future has a wrong time: it does not keep old ones behind it for years, and goes
// together with the next one that is old.
func (s *Store) lastOld(ctx context.Context) (last uint64, err error) {
	now := s.db.now()
	to, future := nanoseconds(now.Add(-s.db.o.KeepEvents)), nanoseconds(now)
	ends, err := s.ChainEnds(ctx)
	if err != nil {
		return 0, err
	}
	for from := ends.First; ; {
		n, stop := 0, false
		err := s.read(ctx, func(b *pgx.Batch) {
			b.Queue(`SELECT number, at_nano FROM events WHERE number >= $1 ORDER BY number LIMIT $2`, int64(from), lookAt).Query(func(rows pgx.Rows) error { //nolint:gosec // no store has that many
				n, stop = 0, false
				var number, nano int64
				_, err := pgx.ForEachRow(rows, []any{&number, &nano}, func() error {
					n++
					switch {
					case stop:
					case nano < to:
						last = uint64(number) //nolint:gosec // not negative
					case nano <= future:
						stop = true
					}
					from = uint64(number) + 1 //nolint:gosec // not negative
					return nil
				})
				return err
			})
		})
		if err != nil || stop || n < lookAt {
			return last, err
		}
	}
}

// forgetSome removes some of the events between first and last, and returns the first that
// is left. What they say is not read: one that is damaged goes all the same. Both look-ups
// have a beginning, so that what was removed before is not walked through again.
func (s *Store) forgetSome(ctx context.Context, first, last uint64) (next uint64, err error) {
	err = s.update(ctx, nil, func(w *writing) error {
		var record, hash []byte
		var number int64
		next = last + 1
		err := w.ask(func(b *pgx.Batch) {
			b.Queue(`SELECT record FROM meta WHERE name = $1 FOR UPDATE`, metaStart).QueryRow(into(&record))
			b.Queue(`SELECT number, hash FROM (SELECT number, hash FROM events WHERE number >= $3 AND number <= $1 ORDER BY number LIMIT $2) AS e ORDER BY number DESC LIMIT 1`,
				int64(last), tidyBatch, int64(first)).QueryRow(func(r pgx.Row) error { //nolint:gosec // no store has that many
				if err := r.Scan(&number, &hash); !noRow(err) {
					return err
				}
				return nil
			})
		})
		if err != nil {
			return err
		}
		var start store.EventStart
		if err := s.decodeMeta(record, metaStart, &start); err != nil {
			return err
		}
		if number == 0 || uint64(number) < start.First { //nolint:gosec // not negative
			return nil
		}
		next = uint64(number) + 1                                               //nolint:gosec // not negative
		start = store.EventStart{First: next, Before: hex.EncodeToString(hash)} //nolint:gosec // not negative
		if record, err = s.encode(store.Meta, metaStart, start); err != nil {
			return err
		}
		w.put(`DELETE FROM events WHERE number >= $1 AND number <= $2`, int64(first), number) //nolint:gosec // no store has that many
		w.put(`UPDATE meta SET record = $2 WHERE name = $1`, metaStart, record)
		return nil
	})
	return next, err
}

var _ mfa.EventLog = (*Store)(nil)
