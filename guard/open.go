package guard

import (
	"context"
	"errors"
	"net/http"
	"time"

	"github.com/secondgate/secondgate/mfa"
	"github.com/secondgate/secondgate/session"
)

// What stays open was judged when it began: a WebSocket, or an answer that the app sends
// piece by piece. It is judged anew as often as this, as a request would be now; otherwise a
// session that has ended would live on in it for hours (AC-028). An answer that the app sends
// in one go, such as a file, may end.
const lookEvery = 30 * time.Second

// errOver says that what stays open may no longer.
var errOver = errors.New("the session that this was opened with may not pass any more")

// open is what a request has left open.
type open struct {
	watched bool      // a timer looks after it
	since   time.Time // when a piece was first sent, or last looked at
	view    *session.View
	last    time.Time // when the store last said what view is
}

// stays reports with nil that a response that is sent piece by piece may go on.
func (w *writer) stays() error {
	if w.state.decision.Action != mfa.Allow || w.open.watched || w.open.since.IsZero() {
		return nil
	}
	now := w.guard.now()
	if age := now.Sub(w.open.since); age >= 0 && age < w.guard.lookEvery {
		return nil
	}
	w.open.since = now
	return w.judge()
}

// watch judges what a connection was handed over for, again and again, and calls end once
// where it may not go on. The watch ends with the request.
func (w *writer) watch(end func()) {
	if w.open.watched || w.state.decision.Action != mfa.Allow {
		return
	}
	w.open.watched, w.open.since = true, w.guard.now()
	go func() {
		tick := time.NewTicker(w.guard.lookEvery)
		defer tick.Stop()
		for {
			select {
			case <-w.state.Done():
				return
			case <-tick.C:
			}
			if w.stillMay() != nil {
				end()
				return
			}
		}
	}()
}

// stillMay is judge beside all requests, where nobody else catches a panic: it must end what
// is open, and not the process (AC-204).
func (w *writer) stillMay() (err error) {
	defer func() {
		if recover() != nil {
			err = errOver
		}
	}()
	return w.judge()
}

// judge judges what is open as if its request came now, but for the time since its session
// was last seen, and how long ago it was verified: that was asked when it began.
func (w *writer) judge() error {
	g, was, o := w.guard, w.state, &w.open
	ctx, cancel := context.WithTimeout(context.WithoutCancel(was), 5*time.Second)
	defer cancel()
	if o.view == nil {
		o.view, o.last = was.view, o.since
		if o.view != nil && o.view.Stale {
			o.last = time.Time{} // the store was away already: its minute does not begin anew
		}
	}
	s := &state{Context: ctx, peer: was.peer, parsed: true, req: was.req, token: was.token, again: true}
	if o.view != nil {
		v, err := g.lookAt(ctx, s, o)
		if err != nil {
			return errOver
		}
		if v != o.view {
			o.view, o.last = v, g.now()
		}
		s.view = v
	}
	for _, route := range was.asked {
		route.Need.Fresh = 0
		d, err := g.judge(nil, s, route)
		if err != nil || d.Action != mfa.Allow && !stale(d) {
			return errOver
		}
	}
	return nil
}

// stale reports whether nothing is missing but a proof of late.
func stale(d mfa.Decision) bool { return d.Action == mfa.StepUp && d.Because == mfa.ReasonTooOld }

func (g *Guard) lookAt(ctx context.Context, s *state, o *open) (*session.View, error) {
	if o.view.Session.AppToken != "" {
		return g.sessions.VerifyAppToken(ctx, s.token.token, s.req.Place.Host)
	}
	return g.sessions.Look(ctx, o.view, o.last)
}

// closeTunnel ends both directions of a WebSocket over HTTP/2 or HTTP/3.
func closeTunnel(w http.ResponseWriter) {
	c, past := http.NewResponseController(w), time.Unix(1, 0)
	_ = c.SetReadDeadline(past)
	_ = c.SetWriteDeadline(past)
}
