package postgres

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
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
// costs does not grow with what is kept.
// What was put off meanwhile stays: its time is looked at once more when it is locked. The
// array is made first: with IN, the plan for any values goes through all that is too old
// for each part of it.
var expiring = []string{
	`DELETE FROM sessions WHERE id = ANY (ARRAY (SELECT id FROM sessions WHERE delete_after < $1 ORDER BY delete_after LIMIT $2)) AND delete_after < $1`,
	`DELETE FROM challenges WHERE id = ANY (ARRAY (SELECT id FROM challenges WHERE delete_after < $1 ORDER BY delete_after LIMIT $2)) AND delete_after < $1`,
	`DELETE FROM attempts WHERE key = ANY (ARRAY (SELECT key FROM attempts WHERE delete_after < $1 ORDER BY delete_after LIMIT $2)) AND delete_after < $1`,
}

// tidy removes every row that is too old; those of changes are the feed's (trim).
func (s *Store) tidy(ctx context.Context) error {
	var errs []error
	for _, sql := range expiring {
		errs = append(errs, s.expire(ctx, sql, s.db.now()))
	}
	return errors.Join(append(errs, s.forget(ctx))...)
}

// expire runs one of these until it removes nothing more.
func (s *Store) expire(ctx context.Context, sql string, before time.Time) error {
	for {
		var gone int64
		err := s.read(ctx, func(b *pgx.Batch) {
			b.Queue(sql, before.UTC(), tidyBatch).Exec(func(tag pgconn.CommandTag) error {
				gone = tag.RowsAffected()
				return nil
			})
		})
		if err != nil || gone < tidyBatch {
			return err
		}
		// Others come first.
		if err := pause(ctx, 20); err != nil {
			return err
		}
	}
}
