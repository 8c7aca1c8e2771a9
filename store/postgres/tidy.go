package postgres

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/secondgate/secondgate/mfa"
)

const (
	// Old rows are removed so often, and for the first time when the start is over. Every
	// node does it: what another one has removed is not there any more.
	tidyEvery = 10 * time.Minute
	tidyFirst = time.Minute
	// tidyBatch is how many rows one statement removes: whoever waits for one of them, or
	// for the disk, waits for that.
	tidyBatch = 500
	// tidyAhead is how far the clock of a node may be ahead of the database's so that it
	// still removes what is too old: nothing has a shorter margin.
	tidyAhead = time.Minute
	// tidyLeast is how few it removes where the database is too slow for more.
	tidyLeast = 20
)

// keepTidy removes old rows until the store is closed.
func (s *Store) keepTidy() {
	next := time.NewTimer(tidyFirst)
	defer next.Stop()
	for {
		select {
		case <-s.ctx.Done():
			return
		case <-next.C:
		}
		if err := s.tidyByClock(s.ctx); err != nil && s.ctx.Err() == nil {
			s.db.log.Warn("store: old rows were not removed; it is tried again", "error", err)
		}
		next.Reset(tidyEvery)
	}
}

// tidyByClock is tidy where this node can tell what is old. One whose clock runs a year ahead
// would take away what all others still need: counters of wrong codes, and every event.
func (s *Store) tidyByClock(ctx context.Context) error {
	switch c := s.compared.Load(); {
	case c == nil:
		return nil // the next time
	case c.ahead > tidyAhead:
		return fmt.Errorf("the clock of this machine is %v ahead of the database's; have both follow NTP", c.ahead.Round(time.Second))
	}
	return s.tidy(ctx)
}

// expiring are the tables whose rows go by time, always from the oldest end: so what it
// costs does not grow with what is kept. $1 is the time before which they go, $2 how many,
// $3 where the part before ended.
//
// What was put off meanwhile stays: its time is looked at when it is locked, and there alone.
// A range with two ends, of which the server knows nothing, it believes to be so small that
// it reads and sorts all of it. The array is made first: with IN, the plan for any values
// goes through all that is too old for each part of it.
var expiring = []string{
	`DELETE FROM sessions WHERE id = ANY (ARRAY (SELECT id FROM sessions WHERE delete_after >= $3 ORDER BY delete_after LIMIT $2)) AND delete_after < $1 RETURNING delete_after`,
	`DELETE FROM challenges WHERE id = ANY (ARRAY (SELECT id FROM challenges WHERE delete_after >= $3 ORDER BY delete_after LIMIT $2)) AND delete_after < $1 RETURNING delete_after`,
	`DELETE FROM attempts WHERE key = ANY (ARRAY (SELECT key FROM attempts WHERE delete_after >= $3 ORDER BY delete_after LIMIT $2)) AND delete_after < $1 RETURNING delete_after`,
}

// tidy removes every row that is too old; those of changes are the feed's (trim).
func (s *Store) tidy(ctx context.Context) error {
	var errs []error
	for _, sql := range expiring {
		errs = append(errs, s.expire(ctx, sql, s.db.now()))
	}
	return errors.Join(append(errs, s.forget(ctx))...)
}

// expire runs one of these until it removes nothing more. Each part begins where the one
// before ended: an index keeps what was removed until the server tidies it up, and the
// hundredth part would walk through what the ninety-nine before it have removed. The next
// run begins at the oldest end again, for a row that came late.
func (s *Store) expire(ctx context.Context, sql string, before time.Time) error {
	var from time.Time
	for most := tidyBatch; ; {
		gone, last, err := s.expireSome(ctx, sql, before, from, most)
		switch {
		case slow(err) && ctx.Err() == nil && most > tidyLeast:
			most /= 2 // a part that takes too long would never be done
		case err != nil || gone < most:
			return err
		default:
			from, most = last, min(2*most, tidyBatch)
		}
		// Others come first.
		if err := pause(ctx, 20); err != nil {
			return err
		}
	}
}

// expireSome removes so many rows at most, and returns how many and the time of the last one.
func (s *Store) expireSome(ctx context.Context, sql string, before, from time.Time, most int) (gone int, last time.Time, err error) {
	err = s.read(ctx, func(b *pgx.Batch) {
		b.Queue(sql, before.UTC(), most, from.UTC()).Query(func(rows pgx.Rows) error {
			gone, last = 0, from
			var at time.Time
			_, err := pgx.ForEachRow(rows, []any{&at}, func() error {
				gone++
				if at.After(last) {
					last = at
				}
				return nil
			})
			return err
		})
	})
	return gone, last, err
}

// slow reports whether the database had no time for what was asked.
func slow(err error) bool {
	return errors.Is(err, context.DeadlineExceeded) || errors.Is(err, mfa.ErrBusy)
}
