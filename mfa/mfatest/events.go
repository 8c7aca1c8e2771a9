package mfatest

import (
	"context"
	"slices"
	"sync"

	"github.com/secondgate/secondgate/mfa"
)

// Events records events. The zero value is ready; it is safe for concurrent use.
type Events struct {
	mu   sync.Mutex
	list []mfa.Event
}

// Record keeps the event.
func (r *Events) Record(_ context.Context, e mfa.Event) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.list = append(r.list, e)
}

// Keep is Record.
func (r *Events) Keep(ctx context.Context, e mfa.Event) error {
	r.Record(ctx, e)
	return nil
}

// All returns what was recorded, oldest first.
func (r *Events) All() []mfa.Event {
	r.mu.Lock()
	defer r.mu.Unlock()
	return slices.Clone(r.list)
}

// Named returns the events of that name, oldest first.
func (r *Events) Named(name mfa.EventName) []mfa.Event {
	var found []mfa.Event
	for _, e := range r.All() {
		if e.Name == name {
			found = append(found, e)
		}
	}
	return found
}

// Last returns the newest event, or the zero one.
func (r *Events) Last() mfa.Event {
	all := r.All()
	if len(all) == 0 {
		return mfa.Event{}
	}
	return all[len(all)-1]
}

// Reset forgets what was recorded.
func (r *Events) Reset() {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.list = nil
}

var _ mfa.KeptEvents = (*Events)(nil)
