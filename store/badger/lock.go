package badger

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/secondgate/secondgate/mfa"
)

// exclusiveWait is how long Exclusively waits for its turn.
const exclusiveWait = 5 * time.Second

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
		return fmt.Errorf("waiting for %s: %w", name, mfa.ErrInTurn)
	}
	defer func() { <-turn }()
	return work(ctx)
}
