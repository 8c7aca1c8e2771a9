package postgres

import (
	"context"
	"sync/atomic"
	"time"

	"github.com/secondgate/secondgate/mfa"
)

// retryEvery is how often ends are tried that could not be written.
const retryEvery = 5 * time.Second

// endDoomed writes the ends that could not be written before.
func (s *Store) endDoomed(ctx context.Context) {
	s.doomed.WriteEnds(ctx, func(ctx context.Context, id mfa.SessionID, _ mfa.UserID) error { return s.writeEnd(ctx, id) })
}

// retryDoomed does so until the store is closed.
func (s *Store) retryDoomed() {
	tick := time.NewTicker(retryEvery)
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

// doom makes the session worthless here though its end was not written.
func (s *Store) doom(id mfa.SessionID) {
	user := s.recent.of(id)
	s.doomed.Add(id, user)
	s.db.told.users.now(string(user)) // "" where nobody knows: everybody's is looked up
}

// recent remembers whose the sessions are that were read here last: when the database is
// away nobody else can say whose session it is that has to go from the caches.
type recent struct {
	slots [1 << 14]atomic.Pointer[owner]
}

type owner struct {
	session mfa.SessionID
	user    mfa.UserID
}

func (r *recent) slot(id mfa.SessionID) *atomic.Pointer[owner] {
	return &r.slots[hash(mfa.UserID(id))%uint32(len(r.slots))]
}

func (r *recent) note(id mfa.SessionID, user mfa.UserID) {
	slot := r.slot(id)
	if have := slot.Load(); have == nil || have.session != id {
		slot.Store(&owner{id, user})
	}
}

// of returns whose it is, "" where that is not known.
func (r *recent) of(id mfa.SessionID) mfa.UserID {
	if have := r.slot(id).Load(); have != nil && have.session == id {
		return have.user
	}
	return ""
}
