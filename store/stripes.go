package store

import (
	"context"
	"hash/maphash"
	"slices"
)

const stripes = 256

// Stripes lets changes of this process to one user, challenge or counter wait for each other
// in line. The database alone would let one of them through and fail the others, or have each
// hold a connection while it waits. Two names may share a stripe.
type Stripes struct {
	seed    maphash.Seed
	stripes [stripes]chan struct{}
}

// NewStripes returns stripes that nobody holds.
func NewStripes() *Stripes {
	s := &Stripes{seed: maphash.MakeSeed()}
	for i := range s.stripes {
		s.stripes[i] = make(chan struct{}, 1)
	}
	return s
}

// Lock waits for all names, or for ctx, and returns what unlocks them.
func (s *Stripes) Lock(ctx context.Context, names ...string) (unlock func(), err error) {
	want := make([]int, 0, len(names))
	for _, name := range names {
		want = append(want, s.stripe(name))
	}
	// One order for everybody, or two callers could wait for each other for ever.
	slices.Sort(want)
	want = slices.Compact(want)
	for i, n := range want {
		select {
		case s.stripes[n] <- struct{}{}:
		case <-ctx.Done():
			s.unlock(want[:i])
			return nil, ctx.Err()
		}
	}
	return func() { s.unlock(want) }, nil
}

// Share reports whether the two names have one stripe.
func (s *Stripes) Share(a, b string) bool { return s.stripe(a) == s.stripe(b) }

func (s *Stripes) stripe(name string) int { return int(maphash.String(s.seed, name) % stripes) }

func (s *Stripes) unlock(held []int) {
	for _, n := range held {
		<-s.stripes[n]
	}
}
