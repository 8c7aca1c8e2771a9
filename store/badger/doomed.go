package badger

import (
	"context"
	"errors"
	"sync"
	"sync/atomic"
	"time"

	"github.com/secondgate/secondgate/mfa"
	"github.com/secondgate/secondgate/store"
)

// doomed are the sessions whose end could not be written: the disk was full, or it
// failed. Whoever asked was told so; until the end is written, nobody here takes
// them for live ones all the same (AC-191). They are tried again and again.
type doomed struct {
	mu    sync.Mutex
	ids   map[mfa.SessionID]mfa.UserID
	count atomic.Int32 // so that a read without any takes no lock
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

func (d *doomed) list() map[mfa.SessionID]mfa.UserID {
	d.mu.Lock()
	defer d.mu.Unlock()
	list := make(map[mfa.SessionID]mfa.UserID, len(d.ids))
	for id, user := range d.ids {
		list[id] = user
	}
	return list
}

// doom makes the session worthless here though its end was not written.
func (s *Store) doom(id mfa.SessionID, user mfa.UserID) {
	s.doomed.add(id, user)
	s.announce(user)
}

// endDoomed writes the ends that could not be written before.
func (s *Store) endDoomed(ctx context.Context) {
	for id, user := range s.doomed.list() {
		switch err := s.writeEnd(ctx, id, user); {
		case errors.Is(err, store.ErrDamaged), errors.Is(err, store.ErrNewer):
			continue // it opens nothing anyway, and must not keep the others alive
		case err != nil:
			return
		}
		s.doomed.remove(id)
	}
}

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
