package badger

import (
	"context"
	"errors"
	"fmt"
	"hash/maphash"
	"slices"
	"sync"
	"time"

	"github.com/secondgate/secondgate/mfa"
)

const (
	stripes = 256
	// exclusiveWait is how long Exclusively waits for its turn.
	exclusiveWait = 5 * time.Second
)

// locks lets changes to one user, challenge or counter wait for each other in
// line. Badger alone would let one of them through and fail the others, and a
// hot user would run out of retries. Two names may share a stripe.
type locks struct {
	seed    maphash.Seed
	stripes [stripes]chan struct{}
}

func newLocks() *locks {
	l := &locks{seed: maphash.MakeSeed()}
	for i := range l.stripes {
		l.stripes[i] = make(chan struct{}, 1)
	}
	return l
}

// lock waits for all names, or for ctx, and returns what unlocks them.
func (l *locks) lock(ctx context.Context, names ...string) (unlock func(), err error) {
	want := make([]int, 0, len(names))
	for _, name := range names {
		want = append(want, l.stripe(name))
	}
	// One order for everybody, or two callers could wait for each other for ever.
	slices.Sort(want)
	want = slices.Compact(want)
	for i, n := range want {
		select {
		case l.stripes[n] <- struct{}{}:
		case <-ctx.Done():
			l.unlock(want[:i])
			return nil, ctx.Err()
		}
	}
	return func() { l.unlock(want) }, nil
}

func (l *locks) stripe(name string) int { return int(maphash.String(l.seed, name) % stripes) }

func (l *locks) unlock(held []int) {
	for _, n := range held {
		<-l.stripes[n]
	}
}

// turns are the locks of Exclusively, each with its own: work under one may last for
// minutes, or take another one, and must not wait for whoever shares a stripe with it. Their
// names are few, and are kept for ever.
type turns struct {
	mu    sync.Mutex
	names map[string]chan struct{}
}

func (t *turns) of(name string) chan struct{} {
	t.mu.Lock()
	defer t.mu.Unlock()
	c := t.names[name]
	if c == nil {
		if t.names == nil {
			t.names = make(map[string]chan struct{})
		}
		c = make(chan struct{}, 1)
		t.names[name] = c
	}
	return c
}

// Exclusively implements mfa.Locks. The locks are their own: work that changes users must
// not wait for itself.
func (s *Store) Exclusively(ctx context.Context, name string, work func(context.Context) error) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	wait, cancel := context.WithTimeout(ctx, exclusiveWait)
	defer cancel()
	turn := s.exclusive.of(name)
	select {
	case turn <- struct{}{}:
	case <-wait.Done():
		if errors.Is(ctx.Err(), context.Canceled) {
			return ctx.Err()
		}
		return fmt.Errorf("waiting for %s: %w", name, mfa.ErrBusy)
	}
	defer func() { <-turn }()
	return work(ctx)
}
