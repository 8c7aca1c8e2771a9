package session

import (
	"context"
	"errors"
	"sync/atomic"
	"time"

	"github.com/secondgate/secondgate/mfa"
)

// askAgain is how often a store that hangs is asked for sessions that go on without it. Each
// request would otherwise wait for it in vain (AC-187).
const askAgain = time.Second

// outage is what is known of a store that hangs.
type outage struct{ failed atomic.Int64 } // when it did, in Unix nanoseconds; 0: it answers

// note notes how the store answered who asked at ctx. A store that hangs is left alone for
// a while; one that says no at once costs nothing to ask, and a caller who has gone, or one
// damaged record, says nothing of the store.
func (o *outage) note(ctx context.Context, err error, now time.Time) {
	switch {
	case err == nil || errors.Is(err, mfa.ErrNoSession):
		if o.failed.Load() != 0 {
			o.failed.Store(0)
		}
	case errors.Is(err, context.DeadlineExceeded) && ctx.Err() == nil:
		o.failed.Store(now.UnixNano())
	}
}

// over reports whether the store is to be asked: of many callers, one in a second while it
// hangs.
func (o *outage) over(now time.Time) bool {
	last, n := o.failed.Load(), now.UnixNano()
	if last == 0 {
		return true
	}
	if since := n - last; 0 <= since && since < int64(askAgain) {
		return false
	}
	return o.failed.CompareAndSwap(last, n)
}

// during answers without asking a store that hung a moment ago; nil: it is to be asked.
func (m *Manager) during(old *entry, scope string, now time.Time, idle time.Duration) *View {
	if old == nil || m.down.over(now) {
		return nil
	}
	return m.goesOn(old, scope, now, idle)
}

// goesOn answers while the store cannot be asked: a session that was loaded less than a
// minute ago goes on, unless something of its user has changed. Otherwise nil.
func (m *Manager) goesOn(old *entry, scope string, now time.Time, idle time.Duration) *View {
	if old == nil || old.scope != scope || !old.epoch.holds() || old.session.Over(now) {
		return nil
	}
	if age := now.Sub(old.loaded); age < 0 || age >= storeDown {
		return nil
	}
	if within, _ := old.see(now, idle); !within {
		return nil
	}
	return &old.stale
}
