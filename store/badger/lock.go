package badger

import (
	"context"
	"hash/maphash"
	"slices"
)

const stripes = 256

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
