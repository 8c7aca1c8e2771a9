package session

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/secondgate/secondgate/mfa"
)

// VerifyAppToken returns what an app token stands for at that host, or mfa.ErrNoSession,
// the same for a token that never was, is over, was revoked, or belongs to another host.
// Any other error means that the store could not tell, and the caller must refuse.
//
// The view's session says which token it is (Session.AppToken) and has no ID, so that
// nothing else takes it for a session: it is for mfa.Decide.
func (m *Manager) VerifyAppToken(ctx context.Context, token, host string) (*View, error) {
	now := m.now()
	old, _ := m.tokens.get(token)
	if old != nil && old.scope == host {
		if v := m.hit(m.tokens, old, now, mfa.MaxAppTokenLife); v != nil {
			return v, nil
		}
	}
	id, ok := mfa.AppTokenID(token)
	if !ok {
		return nil, mfa.ErrNoSession
	}
	if v := m.during(old, host, now, mfa.MaxAppTokenLife); v != nil {
		return v, nil
	}
	limited, cancel := context.WithTimeout(ctx, storeTimeout)
	defer cancel()
	v, epoch, err := m.tokenRecord(limited, id, token, host, now)
	m.down.note(ctx, err, m.now())
	switch {
	case err == nil:
	case errors.Is(err, mfa.ErrNoSession):
		// Not kept anywhere, as in load.
		if old != nil && old.scope == host {
			m.tokens.remove(token)
		}
		return nil, err
	default:
		if v := m.goesOn(old, host, now, mfa.MaxAppTokenLife); v != nil {
			return v, nil
		}
		return nil, err
	}
	e := newEntry(token, host, *v, epoch, now, v.Session.LastSeen)
	m.tokens.add(e)
	return &e.view, nil
}

// tokenRecord looks the token up. Whose it is stands in the index alone, and the epoch has
// to be read before the record: so the record is read twice.
func (m *Manager) tokenRecord(ctx context.Context, id, token, host string, now time.Time) (*View, epoch, error) {
	u, err := m.store.UserByKey(ctx, mfa.AppTokenKey(id))
	var ep epoch
	if err == nil {
		ep = m.epochs.of(u.ID)
		u, err = m.store.User(ctx, u.ID)
	}
	if errors.Is(err, mfa.ErrNotFound) {
		return nil, ep, mfa.ErrNoSession
	}
	if err != nil {
		return nil, ep, fmt.Errorf("loading the user of an app token: %w", err)
	}
	s, err := u.AppTokenSession(token, host, now)
	if err != nil {
		return nil, ep, err
	}
	return &View{Session: s, Subject: u.AsSubject()}, ep, nil
}

// errUsedRecently ends a write that would say nothing new.
var errUsedRecently = errors.New("used recently")

// flushTokens writes when app tokens were used last, where that is news: each write has
// the user's sessions looked up anew, so that a token in steady use is written once in
// mfa.AppTokenUsedStep.
func (m *Manager) flushTokens(ctx context.Context) error {
	due := m.tokens.takeSeen()
	for id, at := range due {
		err := m.used(ctx, string(id), at)
		if err != nil && !errors.Is(err, errUsedRecently) && !errors.Is(err, mfa.ErrNotFound) {
			m.tokens.returnSeen(due) // those that are written already cost a look
			return fmt.Errorf("writing when app tokens were used: %w", err)
		}
	}
	return nil
}

func (m *Manager) used(ctx context.Context, token string, at time.Time) error {
	u, err := m.store.UserByKey(ctx, mfa.AppTokenKey(token))
	if err != nil {
		return err
	}
	return m.store.UpdateUser(ctx, u.ID, func(u *mfa.User) error {
		if !u.UsedAppToken(token, at) {
			return errUsedRecently
		}
		return nil
	})
}
