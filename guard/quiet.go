package guard

import (
	"context"
	"strconv"
	"sync"
	"time"

	"github.com/secondgate/secondgate/mfa"
)

const (
	// quietFor is how long one network's next line of a kind is held back.
	quietFor = time.Minute
	// quietKeys bounds the networks that are kept apart; further ones share one.
	quietKeys = 1024
)

// quiet keeps strangers from filling the log: what anybody can cause without a
// session, as often as they like, is written once a minute for each network, with
// how often it happened in between.
type quiet struct {
	mu    sync.Mutex
	seen  map[string]*held
	swept time.Time
}

type held struct {
	until time.Time
	more  int
}

// speak reports whether the line is to be written now, and what it says of those
// that were held back.
func (q *quiet) speak(key string, now time.Time) (detail string, ok bool) {
	q.mu.Lock()
	defer q.mu.Unlock()
	if q.seen == nil {
		q.seen = make(map[string]*held)
	}
	h := q.seen[key]
	if h == nil && len(q.seen) >= quietKeys {
		if age := now.Sub(q.swept); age >= time.Second || age < 0 {
			q.swept = now
			for k, old := range q.seen {
				if !now.Before(old.until) || old.until.Sub(now) > quietFor {
					delete(q.seen, k)
				}
			}
		}
		if len(q.seen) >= quietKeys {
			key = "others"
			h = q.seen[key]
		}
	}
	if h == nil {
		h = new(held)
		q.seen[key] = h
	}
	if now.Before(h.until) && h.until.Sub(now) <= quietFor {
		h.more++
		return "", false
	}
	if h.more > 0 {
		detail = strconv.Itoa(h.more) + " more before"
	}
	h.until, h.more = now.Add(quietFor), 0
	return detail, true
}

// decisions gives IDs to refusals. A page that loads twenty parts is refused twenty
// times for one reason: within a minute they share one ID, which is recorded once, so
// that whoever is signed in cannot fill the disk with events.
type decisions struct {
	mu   sync.Mutex
	seen map[string]decided
}

type decided struct {
	id    string
	until time.Time
}

// id returns the ID of the decision that key describes, and whether it is new and to
// be recorded.
func (d *decisions) id(key string, now time.Time) (id string, fresh bool) {
	d.mu.Lock()
	defer d.mu.Unlock()
	old, ok := d.seen[key]
	if ok && now.Before(old.until) && old.until.Sub(now) <= quietFor {
		return old.id, false
	}
	if !ok && len(d.seen) >= quietKeys {
		for k, old := range d.seen {
			if !now.Before(old.until) || old.until.Sub(now) > quietFor {
				delete(d.seen, k)
			}
		}
	}
	id = mfa.NewDecisionID()
	if d.seen == nil {
		d.seen = make(map[string]decided)
	}
	if ok || len(d.seen) < quietKeys {
		d.seen[key] = decided{id, now.Add(quietFor)}
	}
	return id, true
}

// Quiet returns events to which each attempt is told that was looked at, and of those
// that were not, because there were too many or what they are about is gone, one a minute
// for each user and network, with how many there were: strangers cause those as often as
// they like, and would fill the disk, or drown what else is recorded (AC-209).
func Quiet(to mfa.KeptEvents, now func() time.Time) mfa.KeptEvents {
	return &quietEvents{to: to, now: now}
}

type quietEvents struct {
	to    mfa.KeptEvents
	now   func() time.Time
	quiet quiet
}

// Record implements mfa.Events.
func (q *quietEvents) Record(ctx context.Context, e mfa.Event) {
	if !e.OK && (e.Reason == "throttled" || e.Reason == "expired") {
		more, ok := q.quiet.speak(string(e.Name)+" "+e.Reason+" "+string(e.User)+" "+e.Network, q.now())
		if !ok {
			return
		}
		if e.Detail != "" && more != "" {
			more = e.Detail + ", " + more
		}
		if more != "" {
			e.Detail = more
		}
	}
	q.to.Record(ctx, e)
}

// Keep implements mfa.KeptEvents: what administrators do is never too much.
func (q *quietEvents) Keep(ctx context.Context, e mfa.Event) error {
	return q.to.Keep(ctx, e)
}
