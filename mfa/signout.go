package mfa

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"strconv"
	"time"
)

// SignOut ends the session, and every one that follows from the same sign-in. Whoever asks
// again later gets the same answer. there is the address at the identity source that
// finishes the sign-out and sends the browser on to back; empty: there is nothing to do
// there.
func (g *Gate) SignOut(ctx context.Context, at *Place, id SessionID, back string) (there string, err error) {
	if id == "" {
		return "", nil
	}
	s, err := g.cfg.Store.Session(ctx, id)
	if ending := g.cfg.Store.EndSession(ctx, id); ending != nil {
		return "", fmt.Errorf("ending session: %w", ending)
	}
	if errors.Is(err, ErrNotFound) {
		s = nil // it has ended before
	} else if err != nil {
		return "", fmt.Errorf("reading session: %w", err)
	}
	var u *User
	if s != nil && s.Scope == at.Scope {
		if u, err = g.cfg.Store.User(ctx, s.User); err != nil {
			u = nil
		}
		if err := g.endSessions(ctx, s.User, func(other *Session) bool { return s.family() != "" && other.family() == s.family() }); err != nil {
			return "", err
		}
		there = g.signOutThere(s, u, back)
	} else {
		s = nil
	}
	g.record(ctx, at, s, u, Event{Name: EventSignOut, OK: true})
	return there, nil
}

// signOutThere returns where a sign-out goes on at the source of the session, or "".
func (g *Gate) signOutThere(s *Session, u *User, back string) string {
	if u == nil || s.First.Kind != Redirected {
		return ""
	}
	src := g.sourceNamed(u.Source)
	out := optional[SignOutSource](src)
	if !src.SignOutThere || out == nil {
		return ""
	}
	return out.SignOutURL(s.Source.Kept, back)
}

// endSessions ends the user's sessions of which that holds, whatever IDs they have by now;
// see endLine.
func (g *Gate) endSessions(ctx context.Context, user UserID, which func(*Session) bool) error {
	const most = 100
	for range most {
		sessions, err := g.cfg.Store.UserSessions(ctx, user)
		if err != nil {
			return fmt.Errorf("reading sessions: %w", err)
		}
		ended := false
		for _, s := range sessions {
			if !which(s) {
				continue
			}
			ended = true
			if err := g.cfg.Store.EndSession(ctx, s.ID); err != nil {
				return fmt.Errorf("ending session: %w", err)
			}
		}
		if !ended {
			return nil
		}
	}
	return errors.New("the sessions changed their IDs again and again")
}

// SourceSignedOut ends the sessions that a source says have ended there (OpenID Connect
// Back-Channel Logout 1.0, section 2.5), half-done ones and those that follow from them,
// too. ErrNotAllowed where no such source says so; ErrRejected, or a *ThrottledError of the
// network, where what was sent does not hold or was sent before.
func (g *Gate) SourceSignedOut(ctx context.Context, at *Place, source, token string) error {
	src := optional[BackChannelSource](g.sourceNamed(source))
	if src == nil {
		return ErrNotAllowed
	}
	r := reservation(networkBudgets("signed_out:", at.Network))
	if err := g.count(ctx, r...); err != nil {
		return err
	}
	u, err := g.sourceSignedOut(ctx, src, source, token)
	if err == nil {
		g.uncount(ctx, r) // only failures count against a network
	}
	g.record(ctx, at, nil, u, Event{Name: EventEndSessions, OK: err == nil, Reason: reasonOf(err), Detail: "signed out at " + source})
	return err
}

func (g *Gate) sourceSignedOut(ctx context.Context, src BackChannelSource, source, token string) (*User, error) {
	asking, cancel := context.WithTimeout(ctx, sourceTimeout)
	defer cancel()
	said, err := src.SignedOut(asking, token)
	if err != nil {
		return nil, fmt.Errorf("reading a sign-out of %s: %w", source, err)
	}
	if said == nil || said.ID == "" || said.Subject == "" && said.Session == "" {
		return nil, errSource
	}
	spent, err := g.spendMessage(ctx, source, said)
	if err != nil {
		return nil, err
	}
	u, err := g.endSaid(ctx, source, said)
	if err != nil {
		_ = g.clear(ctx, spent) // so that the source may say it again; best effort
	}
	return u, err
}

// messageLife is how long a message that names no end is remembered.
const messageLife = 24 * time.Hour

// spendMessage notes that the message was used, or answers ErrRejected where it was before.
func (g *Gate) spendMessage(ctx context.Context, source string, said *SignedOut) (key string, err error) {
	key = "signed_out:" + hashText("message", source, said.ID)
	now := g.now()
	forget := said.Expires.Add(2 * clockLeeway)
	if said.Expires.IsZero() {
		forget = now.Add(messageLife)
	}
	err = g.cfg.Store.UpdateAttempts(ctx, []string{key}, func(all []Attempts) error {
		if all[0].Count > 0 && now.Before(all[0].Forget) {
			return fmt.Errorf("%w: the message was used before", ErrRejected)
		}
		all[0] = Attempts{Count: 1, Since: now, Forget: forget}
		return nil
	})
	return key, err
}

// endSaid ends the sessions that the source speaks of, and returns whose they were. That
// there are none is no error, and tells nobody anything.
func (g *Gate) endSaid(ctx context.Context, source string, said *SignedOut) (u *User, err error) {
	if said.Subject != "" {
		u, err = g.userByKey(ctx, SubjectKey(source, said.Subject))
	} else {
		u, err = g.sourceSessionUser(ctx, source, said.Session)
	}
	if u == nil || err != nil {
		return nil, err
	}
	if said.Session == "" {
		if err := g.cfg.Store.EndUserSessions(ctx, u.ID, ""); err != nil {
			return u, fmt.Errorf("ending sessions: %w", err)
		}
		return u, nil
	}
	families := map[string]bool{}
	return u, g.endSessions(ctx, u.ID, func(s *Session) bool {
		if s.Source.ID == said.Session {
			families[s.family()] = true
			return true
		}
		return s.family() != "" && families[s.family()]
	})
}

// sourceSessionDay is for how long one record says whose a source's session is. A record
// cannot be written again, and people come with one session there on many days.
const sourceSessionDay = 24 * time.Hour

func sourceSessionID(source, session string, day int64) string {
	return hashText("source session", source, session, strconv.FormatInt(day, 10))
}

// noteSourceSession notes whose the source's session is, for a source that ends sessions
// without saying whose.
func (g *Gate) noteSourceSession(ctx context.Context, u *User, session string) error {
	if session == "" || optional[BackChannelSource](g.sourceNamed(u.Source)) == nil {
		return nil
	}
	now := g.now()
	day := now.Unix() / int64(sourceSessionDay/time.Second)
	err := g.cfg.Store.PutChallenge(ctx, &Challenge{
		ID: sourceSessionID(u.Source, session, day), Purpose: ForSourceSession, User: u.ID,
		Expires: now.Add(g.cfg.Absolute + 2*sourceSessionDay),
	})
	if err != nil && !errors.Is(err, ErrTaken) {
		return fmt.Errorf("noting the source's session: %w", err)
	}
	return nil
}

// sourceSessionUser returns whose the source's session is, or nil.
func (g *Gate) sourceSessionUser(ctx context.Context, source, session string) (*User, error) {
	last := g.now().Unix() / int64(sourceSessionDay/time.Second)
	for day := last; day >= last-int64(g.cfg.Absolute/sourceSessionDay)-2; day-- {
		c, err := g.cfg.Store.Challenge(ctx, sourceSessionID(source, session, day))
		if errors.Is(err, ErrNotFound) {
			continue
		}
		if err != nil {
			return nil, fmt.Errorf("reading the source's session: %w", err)
		}
		u, err := g.cfg.Store.User(ctx, c.User)
		if errors.Is(err, ErrNotFound) || err == nil && (c.Purpose != ForSourceSession || u.Source != source) {
			continue
		}
		if err != nil {
			return nil, fmt.Errorf("reading user: %w", err)
		}
		return u, nil
	}
	return nil, nil
}

// hashText is a name for a list of texts, which no other list has.
func hashText(list ...string) string {
	h := sha256.New()
	for _, s := range list {
		fmt.Fprintf(h, "%d:%s", len(s), s)
	}
	return hex.EncodeToString(h.Sum(nil))
}
