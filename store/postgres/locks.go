package postgres

import (
	"context"
	"hash/maphash"
	"slices"
)

const stripes = 256

// locks lets changes of this node to one user, challenge or counter wait for each other
// here, without each holding a connection while it waits for a row: a hot user would use up
// the pool. Between nodes the rows decide. Two names may share a stripe.
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
		want = append(want, int(maphash.String(l.seed, name)%stripes))
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

func (l *locks) unlock(held []int) {
	for _, n := range held {
		<-l.stripes[n]
	}
}
