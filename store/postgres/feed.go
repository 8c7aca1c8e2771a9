package postgres

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"sync"
	"sync/atomic"
	"time"

	"github.com/jackc/pgx/v5/pgxpool"
)

const (
	// lookEvery is how often the table is read without a bell: half of the two seconds in
	// which a change has to hold on every node.
	lookEvery = time.Second
	// lookTimeout is how long one look may take, the connection included.
	lookTimeout = 1500 * time.Millisecond
	// inStepFor is how old the last look that worked may be.
	inStepFor = 3 * time.Second
	// longestWrite bounds the time between drawing a number and being seen with it. The row
	// is the last statement of its write, and so this is that statement, the pause before
	// COMMIT, and COMMIT: each is ended by a timeout of the connection, and all of them
	// together take less. A number that shows nothing for so long was rolled back.
	longestWrite = time.Minute
	// keepChanges is how long rows are kept, and trimEvery how often old ones are deleted.
	keepChanges = time.Hour
	trimEvery   = time.Minute
	trimBatch   = 1000
	// feedConns are a look, a bell and a deletion. The bell is heard on one more.
	feedConns = 3
)

// feed tells this node what other nodes change. Each change has its row in table changes,
// written in the change's own transaction, and so nothing is missed over whatever outage: a
// node reads on where it was. The bell (LISTEN, NOTIFY) only says that it is worth
// looking; where it is not heard, or the engine has none, a look each second holds the two
// seconds.
type feed struct {
	pool *pgxpool.Pool // its own: whoever serves may need all of the other one
	node string
	told *told
	log  *slog.Logger

	poked chan struct{}             // there is something to ring for
	rung  chan struct{}             // there may be something to read
	seen  atomic.Pointer[time.Time] // when all that was read by then had been heard
	stop  context.CancelFunc
	tasks sync.WaitGroup

	reader           // of the goroutine that looks alone
	looked time.Time // … when it last read all there was
}

// newFeed notes where the table of changes stands: before anybody reads anything that
// could then be old. node names this process and no other one, in the rows that it writes.
// Nothing is announced before start.
func newFeed(ctx context.Context, pool *pgxpool.Pool, node string, told *told, logger *slog.Logger) (*feed, error) {
	own, err := smallPool(pool, feedConns)
	if err != nil {
		return nil, fmt.Errorf("following changes: %w", err)
	}
	f := &feed{
		pool: own, node: node, told: told, log: logger,
		poked: make(chan struct{}, 1), rung: make(chan struct{}, 1), stop: func() {},
	}
	ctx, cancel := context.WithTimeout(ctx, 10*time.Second)
	defer cancel()
	began := time.Now()
	if f.reader, err = newReader(ctx, own); err != nil {
		own.Close()
		return nil, fmt.Errorf("following changes: %w", err)
	}
	f.seen.Store(&began)
	f.looked = began
	return f, nil
}

// smallPool returns a pool of its own with the same settings.
func smallPool(pool *pgxpool.Pool, conns int32) (*pgxpool.Pool, error) {
	cfg := pool.Config()
	cfg.MaxConns, cfg.MinConns, cfg.MinIdleConns = conns, 0, 0
	return pgxpool.NewWithConfig(context.Background(), cfg)
}

// start begins to announce.
func (f *feed) start() {
	ctx, cancel := context.WithCancel(context.Background())
	f.stop = cancel
	for _, task := range []func(context.Context){f.follow, f.listen, f.ring, f.trim} {
		f.tasks.Go(func() { task(ctx) })
	}
}

// close ends the feed. Listeners that are being called are not waited for.
func (f *feed) close() {
	f.stop()
	f.tasks.Wait()
	f.pool.Close()
}

// poke says that this node has committed a row. It never waits.
func (f *feed) poke() { signal(f.poked) }

// wake says that there may be rows of others.
func (f *feed) wake() { signal(f.rung) }

func signal(c chan struct{}) {
	select {
	case c <- struct{}{}:
	default:
	}
}

// InStep implements mfa.Changes.
func (s *Store) InStep() bool { return s.db.feed.inStep() }

// inStep reports whether this node knows what others changed up to a moment ago. It
// allocates nothing and takes no lock.
func (f *feed) inStep() bool { return time.Since(*f.seen.Load()) < inStepFor }

// follow looks on each bell and each second.
func (f *feed) follow(ctx context.Context) {
	timer := time.NewTimer(0)
	defer timer.Stop()
	failed := 0
	for {
		select {
		case <-ctx.Done():
			return
		case <-f.rung:
		case <-timer.C:
		}
		err := f.look(ctx)
		switch {
		case ctx.Err() != nil:
			return
		case err == nil && failed > 0:
			f.log.Info("changes of other nodes are read again")
			failed = 0
		case err == nil:
		default:
			if failed == 0 {
				f.log.Warn("changes of other nodes cannot be read; it is tried again", "error", err)
			}
			failed++
		}
		timer.Reset(nextLook(failed))
	}
}

// nextLook is how long to wait for the next look after so many that failed: soon after the
// first one, which a restart of the server fails, and not all nodes at once.
func nextLook(failed int) time.Duration {
	if failed == 0 {
		return lookEvery
	}
	return jitter(min(lookEvery, 100*time.Millisecond<<min(failed-1, 10)))
}

// jitter returns between three and five quarters of d.
func jitter(d time.Duration) time.Duration { return d - d/4 + rand.N(d/2+1) }

// look reads what is new and has it announced.
func (f *feed) look(ctx context.Context) error {
	began := time.Now()
	ctx, cancel := context.WithTimeout(ctx, lookTimeout)
	defer cancel()
	// Whoever was away for so long knows nothing of numbers that were drawn and not seen.
	away := began.Sub(f.looked) > longestWrite
	for !away {
		page, more, err := f.next(ctx, f.pool, began)
		f.announce(page)
		if errors.Is(err, errNotOurs) {
			break
		}
		if err != nil {
			return err
		}
		if more {
			continue
		}
		if f.blind(began) {
			f.told.everything()
		}
		f.reads(began)
		return nil
	}
	// The place is lost: it was trimmed, or the database is an older one, restored or
	// taken over. The new place is noted before anybody is told to read again.
	r, err := newReader(ctx, f.pool)
	if err != nil {
		return err
	}
	f.reader = r
	f.told.everything()
	f.reads(began)
	f.log.Warn("changes of other nodes may have been missed; all that is cached is read again")
	f.wake()
	return nil
}

// reads notes that all there was at that moment was read.
func (f *feed) reads(began time.Time) {
	f.looked = began
	// A listener that hangs has not heard of it: this node does not know, then.
	if f.told.behind(began) < inStepFor/2 {
		f.seen.Store(&began)
	}
}

// announce has the listeners told what others changed. What this node changed itself was
// announced when it was done, but for the keys.
func (f *feed) announce(page []change) {
	for _, c := range page {
		if c.node == f.node && c.kind != changeKeys {
			continue
		}
		switch c.kind {
		case changeUser:
			f.told.users.soon(c.user)
		case changePolicy:
			f.told.policy.soon("")
		case changeKeys:
			f.told.keys.soon("")
		default: // of a newer version
			f.told.everything()
		}
	}
}

// trim deletes old rows, in small pieces. All nodes do it, each what the others are not at.
//
// The newest of the old ones stays: it is where whoever comes begins to read.
func (f *feed) trim(ctx context.Context) {
	timer := time.NewTimer(jitter(trimEvery))
	defer timer.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-timer.C:
		}
		if err := f.trimAll(ctx, keepChanges); err != nil && ctx.Err() == nil {
			f.log.Warn("old rows of the table of changes cannot be deleted; it is tried again", "error", err)
		}
		// Sessions are looked at anew after a while whatever is heard, the policy is not:
		// rows that somebody forged or took away must not keep a stricter one from here.
		f.told.policy.soon("")
		timer.Reset(jitter(trimEvery))
	}
}

const trimSQL = `DELETE FROM changes WHERE number IN (
	SELECT number FROM changes
	WHERE at < clock_timestamp() - $1::float8 * interval '1 second'
	AND number < (SELECT number FROM changes WHERE at < clock_timestamp() - $1::float8 * interval '1 second' ORDER BY at DESC LIMIT 1)
	ORDER BY at LIMIT $2 FOR UPDATE SKIP LOCKED)`

func (f *feed) trimAll(ctx context.Context, keep time.Duration) error {
	ctx, cancel := context.WithTimeout(ctx, trimEvery)
	defer cancel()
	for {
		tag, err := f.pool.Exec(ctx, trimSQL, keep.Seconds(), trimBatch)
		if err != nil || tag.RowsAffected() < trimBatch {
			return err
		}
	}
}
