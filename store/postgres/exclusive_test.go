package postgres

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/secondgate/secondgate/mfa"
)

func newTestLocks(t *testing.T, pool *pgxpool.Pool) *exclusive {
	t.Helper()
	l, err := newExclusive(pool, slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(l.close)
	return l
}

// Two nodes, each with many who want the same lock: one of all of them at a time.
func TestExclusively_oneAtATimeOnAllNodes(t *testing.T) {
	at := withTables(t).URL
	nodes := []*exclusive{newTestLocks(t, poolOf(t, at)), newTestLocks(t, poolOf(t, at))}
	var in, most, done atomic.Int32
	var tasks sync.WaitGroup
	for i := range 40 {
		tasks.Go(func() {
			err := nodes[i%2].run(context.Background(), "roles", func(context.Context) error {
				most.Store(max(most.Load(), in.Add(1)))
				time.Sleep(2 * time.Millisecond)
				in.Add(-1)
				done.Add(1)
				return nil
			})
			if err != nil && !errors.Is(err, mfa.ErrBusy) {
				t.Error(err)
			}
		})
	}
	tasks.Wait()
	if most.Load() != 1 || done.Load() == 0 {
		t.Errorf("%d at once, %d in all", most.Load(), done.Load())
	}
}

// Work uses the store. With the store's connections held by those who wait for the lock,
// nobody would go on.
func TestExclusively_neverTakesTheConnectionsOfWork(t *testing.T) {
	at := withTables(t).URL
	cfg, err := pgxpool.ParseConfig(at)
	if err != nil {
		t.Fatal(err)
	}
	cfg.MaxConns = 4
	pool, err := pgxpool.NewWithConfig(context.Background(), cfg)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(pool.Close)
	for _, names := range []int{1, 50} {
		t.Run(fmt.Sprint("names: ", names), func(t *testing.T) {
			l := newTestLocks(t, pool)
			var done atomic.Int32
			var tasks sync.WaitGroup
			for i := range 50 {
				tasks.Go(func() {
					err := l.run(context.Background(), fmt.Sprint("n", i%names), func(ctx context.Context) error {
						_, err := pool.Exec(ctx, "SELECT pg_sleep(0.001)")
						return err
					})
					switch {
					case err == nil:
						done.Add(1)
					case !errors.Is(err, mfa.ErrBusy): // on a machine that is very busy
						t.Error(err)
					}
				})
			}
			tasks.Wait()
			if done.Load() < 10 {
				t.Errorf("only %d of 50 came to their turn", done.Load())
			}
		})
	}
}

// The line is cut in the middle of the work: the work is told, and another node goes on.
func TestExclusively_cutInTheMiddle(t *testing.T) {
	at := withTables(t).URL
	for name, how := range map[string]mode{"refused": refusing, "silent": silent} {
		t.Run(name, func(t *testing.T) {
			p, behind := newProxy(t, at)
			cut, other := newTestLocks(t, poolOf(t, behind)), newTestLocks(t, poolOf(t, at))
			own := errors.New("own")
			inside, result := make(chan struct{}), make(chan error, 1)
			var lost atomic.Bool
			go func() {
				result <- cut.run(context.Background(), "roles", func(ctx context.Context) error {
					close(inside)
					<-ctx.Done()
					lost.Store(true)
					return errors.Join(own, ctx.Err())
				})
			}()
			<-inside
			began := time.Now()
			p.set(how)
			eventually(t, "the work is told", lost.Load)
			t.Logf("told after %v", time.Since(began))
			p.set(refusing) // what waits to be written is let go
			if err := <-result; !errors.Is(err, own) || !errors.Is(err, errLockLost) {
				t.Error(err)
			}
			eventually(t, "another node has the lock", func() bool {
				return other.run(context.Background(), "roles", func(context.Context) error { return nil }) == nil
			})
		})
	}
}

// A node that vanishes without a word holds its lock for some seconds, not for the hours
// that a connection may stay open.
func TestExclusively_theServerLetsGoOfANodeThatIsGone(t *testing.T) {
	at := withTables(t).URL
	a, b := newTestLocks(t, poolOf(t, at)), newTestLocks(t, poolOf(t, at))
	h, err := a.take(context.Background(), "roles") // and nobody asks whether it stands
	if err != nil {
		t.Fatal(err)
	}
	defer h.conn.Release()
	none := func(context.Context) error { return nil }
	if err := b.run(context.Background(), "roles", none); !errors.Is(err, mfa.ErrBusy) {
		t.Fatalf("while it is held: %v", err)
	}
	took := eventually(t, "the other one has it", func() bool {
		return b.run(context.Background(), "roles", none) == nil
	})
	t.Logf("free %v after the first wait", took)
}

// It is held for as long as work lasts, also beyond what the server allows to who is silent.
func TestExclusively_isKeptAlive(t *testing.T) {
	if testing.Short() {
		t.Skip("waits for longer than the server's timeout")
	}
	at := withTables(t).URL
	l := newTestLocks(t, poolOf(t, at))
	err := l.run(context.Background(), "roles", func(ctx context.Context) error {
		select {
		case <-ctx.Done():
			return context.Cause(ctx)
		case <-time.After(lockOrphan + 2*time.Second):
			return nil
		}
	})
	if err != nil {
		t.Error(err)
	}
}

func TestExclusively_noDatabaseIsNoLock(t *testing.T) {
	at := withTables(t).URL
	p, behind := newProxy(t, at)
	l := newTestLocks(t, poolOf(t, behind))
	p.set(refusing)
	err := l.run(context.Background(), "roles", func(context.Context) error {
		t.Error("work ran")
		return nil
	})
	if err == nil {
		t.Error("it was had")
	}
}
