package store

import (
	"context"
	"errors"
	"maps"
	"sync"
	"sync/atomic"

	"github.com/secondgate/secondgate/mfa"
)

// Doomed are the sessions whose end could not be written: the disk was full, the database
// away, or it failed. Whoever asked was told so; until the end is written, nobody on this
// node takes them for live ones all the same (AC-191). They are tried again and again. The
// zero value holds none. It is safe for concurrent use.
type Doomed struct {
	mu    sync.Mutex
	ids   map[mfa.SessionID]mfa.UserID
	count atomic.Int32 // so that a read without any takes no lock
}

// Has reports whether the end of the session is still to be written.
func (d *Doomed) Has(id mfa.SessionID) bool {
	if d.count.Load() == 0 {
		return false
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	_, ok := d.ids[id]
	return ok
}

// Len returns how many they are. It takes no lock.
func (d *Doomed) Len() int { return int(d.count.Load()) }

// Add notes that the end of the session, which is that user's ("": nobody knows whose), is
// still to be written.
func (d *Doomed) Add(id mfa.SessionID, user mfa.UserID) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.ids == nil {
		d.ids = make(map[mfa.SessionID]mfa.UserID)
	}
	d.ids[id] = user
	d.count.Store(int32(len(d.ids))) //nolint:gosec // as many as there are sessions
}

// WriteEnds calls write for each of them, and forgets those whose end it has written. One
// whose record nobody here can read opens nothing anyway, and keeps the others from nothing;
// any other error ends it.
func (d *Doomed) WriteEnds(ctx context.Context, write func(context.Context, mfa.SessionID, mfa.UserID) error) {
	d.mu.Lock()
	list := maps.Clone(d.ids)
	d.mu.Unlock()
	for id, user := range list {
		switch err := write(ctx, id, user); {
		case errors.Is(err, ErrDamaged), errors.Is(err, ErrNewer):
			continue
		case err != nil:
			return
		}
		d.mu.Lock()
		delete(d.ids, id)
		d.count.Store(int32(len(d.ids))) //nolint:gosec // as many as there are sessions
		d.mu.Unlock()
	}
}
