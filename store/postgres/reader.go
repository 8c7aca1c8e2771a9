package postgres

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"
)

const (
	// readAtOnce is how many rows are read at once.
	readAtOnce = 5000
	// maxGaps is how many numbers are looked for that were drawn and not seen. It is far
	// more than there can be writers; beyond are a sequence that was moved, or thousands
	// of writes a minute that fail.
	maxGaps = 4096
)

// What a row says of.
const (
	changeUser   = "user"
	changePolicy = "policy" // or organizations
	changeKeys   = "keys"
)

// change is one row.
type change struct {
	number int64
	at     time.Time
	node   string
	kind   string
	user   string
}

// errNotOurs says that the table does not go on from where we were.
var errNotOurs = errors.New("the table of changes is another one, or what was not read is gone")

// reader reads the table of changes, each row once, and none is missed.
//
// Numbers are drawn in one order and committed in another: 10 can be there before 9. So
// the numbers that were skipped are looked for again at each look, until they are older
// than any write can be. This needs a sequence that hands out its numbers one after the
// other (CACHE 1): an engine that gives each connection a stock of them may use an old one
// at any time.
type reader struct {
	last  change              // the newest that was seen; with a zero time: nothing of it was
	gaps  map[int64]time.Time // numbers before it that were not seen, and since when
	until time.Time           // gaps were forgotten: until then, anything may have changed
}

// newReader returns a reader that begins with a row so old that whoever drew a number
// before it has finished, and so what was read from now on has in it all that comes
// earlier.
func newReader(ctx context.Context, pool *pgxpool.Pool) (reader, error) {
	r := reader{gaps: make(map[int64]time.Time)}
	err := pool.QueryRow(ctx, `SELECT number, at FROM changes
		WHERE at < clock_timestamp() - $1::float8 * interval '1 second' ORDER BY at DESC LIMIT 1`,
		longestWrite.Seconds()).Scan(&r.last.number, &r.last.at)
	if !errors.Is(err, pgx.ErrNoRows) {
		return r, wrapRead(err)
	}
	// No row is as old: the database is new. Writers that are at it now have drawn one of
	// the numbers just before the first that is there.
	var first *int64
	if err := pool.QueryRow(ctx, "SELECT min(number) FROM changes").Scan(&first); err != nil {
		return r, wrapRead(err)
	}
	if first != nil {
		r.last.number = max(0, *first-maxGaps/4)
	}
	return r, nil
}

func wrapRead(err error) error {
	if err != nil {
		return fmt.Errorf("reading the table of changes: %w", err)
	}
	return nil
}

// blind reports whether something may have changed that next does not tell.
func (r *reader) blind(now time.Time) bool { return now.Before(r.until) }

// next returns rows that were not returned before; more says that there are others. began
// is a moment before the call. What it returns counts also beside an error. errNotOurs.
func (r *reader) next(ctx context.Context, pool *pgxpool.Pool, began time.Time) (page []change, more bool, err error) {
	rows, err := read(ctx, pool, "number >= $1 ORDER BY number LIMIT $2", r.last.number, readAtOnce)
	if err != nil {
		return nil, false, err
	}
	more = len(rows) == readAtOnce
	if !r.last.at.IsZero() {
		// The row that we saw last must be there, and be the same one: rows behind it may
		// have been trimmed otherwise, or be others under the same numbers.
		if len(rows) == 0 || rows[0].number != r.last.number || !rows[0].at.Equal(r.last.at) {
			return nil, false, errNotOurs
		}
		rows = rows[1:]
	}
	for _, c := range rows {
		r.skipped(r.last.number+1, c.number, began)
		r.last = c
	}
	found, err := r.fill(ctx, pool, began)
	return append(rows, found...), more, err
}

// skipped notes that the numbers from first to before next were not seen.
func (r *reader) skipped(first, next int64, began time.Time) {
	if room := int64(maxGaps - len(r.gaps)); next-first > room {
		r.until = began.Add(longestWrite)
		first = next - max(0, room)
	}
	for n := first; n < next; n++ {
		r.gaps[n] = began
	}
}

// fill returns the rows of numbers that were skipped before, and forgets those that have
// not come for as long as a write can last. They are looked for once more before that.
func (r *reader) fill(ctx context.Context, pool *pgxpool.Pool, began time.Time) ([]change, error) {
	if len(r.gaps) == 0 {
		return nil, nil
	}
	found, err := read(ctx, pool, "number = ANY($1) ORDER BY number", slices.Collect(maps.Keys(r.gaps)))
	if err != nil {
		return nil, err
	}
	for _, c := range found {
		delete(r.gaps, c.number)
	}
	maps.DeleteFunc(r.gaps, func(_ int64, since time.Time) bool { return began.Sub(since) > longestWrite })
	return found, nil
}

func read(ctx context.Context, pool *pgxpool.Pool, where string, args ...any) ([]change, error) {
	rows, err := pool.Query(ctx, "SELECT number, at, node, kind, user_id FROM changes WHERE "+where, args...)
	if err != nil {
		return nil, wrapRead(err)
	}
	list, err := pgx.CollectRows(rows, func(row pgx.CollectableRow) (c change, err error) {
		return c, row.Scan(&c.number, &c.at, &c.node, &c.kind, &c.user)
	})
	return list, wrapRead(err)
}
