package badger

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/secondgate/secondgate/mfa"
)

// exclusiveWait is how long Exclusively waits for its turn.
const exclusiveWait = 5 * time.Second

// Exclusively implements mfa.Locks. The locks are their own: work that changes users must
// not wait for itself.
func (s *Store) Exclusively(ctx context.Context, name string, work func(context.Context) error) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	wait, cancel := context.WithTimeout(ctx, exclusiveWait)
	defer cancel()
	unlock, err := s.exclusive.Lock(wait, name)
	switch {
	case err == nil:
	case errors.Is(ctx.Err(), context.Canceled):
		return ctx.Err()
	default:
		return fmt.Errorf("waiting for %s: %w", name, mfa.ErrBusy)
	}
	defer unlock()
	return work(ctx)
}
