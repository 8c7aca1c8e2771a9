package postgres

import (
	"context"
	"errors"
	"sync"
	"sync/atomic"
	"time"

	"github.com/secondgate/secondgate/mfa"
	"github.com/secondgate/secondgate/store"
)

// retryEvery is how often ends are tried that could not be written.
const retryEvery = 5 * time.Second

// doomed are the sessions whose end could not be written: the database was away, or it
// failed. Whoever asked was told so; until the end is written, nobody on this node takes
// them for live ones all the same (AC-191). They are tried again and again.
type doomed struct {
	mu    sync.Mutex
	ids   map[mfa.SessionID]mfa.UserID // "": it is not known whose it is
	count atomic.Int32                 // so that a read without any takes no lock
}

func (d *doomed) has(id mfa.SessionID) bool {
	if d.count.Load() == 0 {
		return false
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	_, ok := d.ids[id]
	return ok
}

func (d *doomed) add(id mfa.SessionID, user mfa.UserID) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.ids == nil {
		d.ids = make(map[mfa.SessionID]mfa.UserID)
	}
	d.ids[id] = user
	d.count.Store(int32(len(d.ids))) //nolint:gosec // as many as there are sessions
}

func (d *doomed) remove(id mfa.SessionID) {
	d.mu.Lock()
	defer d.mu.Unlock()
	delete(d.ids, id)
	d.count.Store(int32(len(d.ids))) //nolint:gosec // as many as there are sessions
}

func (d *doomed) list() []mfa.SessionID {
	d.mu.Lock()
	defer d.mu.Unlock()
	list := make([]mfa.SessionID, 0, len(d.ids))
	for id := range d.ids {
		list = append(list, id)
	}
	return list
}

// endDoomed writes the ends that could not be written before.
func (s *Store) endDoomed(ctx context.Context) {
	for _, id := range s.doomed.list() {
		switch err := s.writeEnd(ctx, id); {
		case errors.Is(err, store.ErrDamaged), errors.Is(err, store.ErrNewer):
			continue // it opens nothing here anyway, and must not keep the others alive
		case err != nil:
			return
		}
		s.doomed.remove(id)
	}
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
	s.doomed.add(id, user)
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
