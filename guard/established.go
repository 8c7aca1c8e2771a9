package guard

import (
	"context"
	"net/http"

	"github.com/secondgate/secondgate/mfa"
	"github.com/secondgate/secondgate/session"
)

// claims is what the guard knows of identities that are established before the gate. The
// zero value: there are none.
type claims struct {
	established func(*http.Request) mfa.Claim
	source      string
	only        bool
	end         func(context.Context, mfa.SessionID) error
}

// claim returns who was established for the request. What Strip has seen holds for the
// whole request: afterwards the header that said so may be gone.
func (g *Guard) claim(r *http.Request) mfa.Claim {
	if g.claims.established == nil {
		return mfa.Claim{}
	}
	if s := stateOf(r.Context()); s != nil {
		return s.req.Place.Established
	}
	return g.claims.established(r)
}

// agreed passes on a session that may count beside the established identity, and otherwise
// says mfa.ErrNoSession. Under another identity than that of its user a session ends: it
// may be that of whoever sat at this browser before (rule B26). Without any, one that
// began with an established identity does not count, and goes on where there is one again.
func (g *Guard) agreed(ctx context.Context, req *Request, v *session.View, err error) (*session.View, error) {
	if g.claims.established == nil || err != nil {
		return v, err
	}
	c, u := &req.Place.Established, v.Subject
	switch {
	case c.Subject == "" && u.Source != g.claims.source:
		return v, nil
	case c.Subject == "":
		return nil, mfa.ErrNoSession
	case agrees(c, u):
		return v, nil
	}
	reason := ""
	if g.claims.end(ctx, v.Session.ID) != nil {
		reason = "fault" // it counts no more than if it had ended
	}
	g.record(ctx, mfa.Event{
		Name: mfa.EventEndSessions, OK: reason == "", Reason: reason, Detail: string(mfa.ReasonOtherUser),
		User: u.ID, UserName: u.Name, Session: v.Session.ID.Short(), Network: network(req.peer.Client), Host: req.Host,
	})
	return nil, mfa.ErrNoSession
}

// agrees reports whether the established identity is the user's, or none is.
func agrees(c *mfa.Claim, u *mfa.Subject) bool {
	return c.Subject == "" || u.Source == c.Source && u.SourceSubject == c.Subject
}
