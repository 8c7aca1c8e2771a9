package badger

import (
	"context"
	"time"

	"github.com/secondgate/secondgate/mfa"
)

// doom makes the session worthless here though its end was not written.
func (s *Store) doom(id mfa.SessionID, user mfa.UserID) {
	s.doomed.Add(id, user)
	s.announce(user)
}

// endDoomed writes the ends that could not be written before.
func (s *Store) endDoomed(ctx context.Context) { s.doomed.WriteEnds(ctx, s.writeEnd) }

// retryDoomed does so until the store is closed.
func (s *Store) retryDoomed() {
	tick := time.NewTicker(spaceEvery)
	defer tick.Stop()
	for {
		select {
		case <-s.ctx.Done():
			return
		case <-tick.C:
			s.endDoomed(s.ctx)
		}
	}
}
