package session

import (
	"context"
	"errors"
	"time"

	"github.com/secondgate/secondgate/mfa"
)

// Look returns what has become of a session that Verify has returned, for what stays open
// on the strength of it, or mfa.ErrNoSession where it is over. The session is not taken for
// seen, and whether it was idle is not asked: a connection that is open would answer that
// for ever. While the store cannot say, v is returned as it is, until a minute after last,
// when the store could; afterwards an error.
func (m *Manager) Look(ctx context.Context, v *View, last time.Time) (*View, error) {
	if _, err := m.parse(m.ring.Load(), complete, v.token, v.Session.Scope, m.now()); err != nil {
		return nil, err
	}
	next, err := m.records(ctx, &claims{Session: string(v.Session.ID), User: string(v.Session.User)})
	now := m.now()
	if err != nil && !errors.Is(err, mfa.ErrNoSession) {
		if age := now.Sub(last); age < 0 || age >= storeDown || v.Session.Over(now) {
			return nil, err
		}
		return v, nil
	}
	if err != nil {
		return nil, err
	}
	if s := next.Session; !s.Complete || s.Scope != v.Session.Scope || s.Over(now) {
		return nil, mfa.ErrNoSession
	}
	next.token = v.token
	return next, nil
}
