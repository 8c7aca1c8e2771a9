package mfa

import (
	"context"
	"crypto/rand"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/base64"
	"errors"
	"fmt"
	"slices"
	"time"
)

// People sign in at the portal, whose session is good there alone. The hosts that they go
// on to get sessions of their own, which follow from it: the same person, the same proofs
// and the same end, never more and never longer. Together they are a family: whoever signs
// out of one is signed out of all (Session.Family).
//
// A host of the portal's domain gets its session from the portal directly, which sets the
// domain's cookie (HandOn). Any other host gets it by a code in an address, which is good
// once, for half a minute, for that origin, and in the browser that asked for it
// (BeginHandOff, FinishHandOff).

// HandOffLife is how long the code of a hand-off is good for.
const HandOffLife = 30 * time.Second

// HandOff is where a hand-off goes.
type HandOff struct {
	Origin string // of the host, as its own Place has it
	Mark   string // what HandOffMark returns of the secret that the browser holds there
}

// NewHandOffSecret returns 256 random bits, which a browser keeps at the host that it comes
// from. Only their mark leaves that host.
func NewHandOffSecret() string {
	b := make([]byte, 32)
	rand.Read(b) // never fails: crypto/rand
	return base64.RawURLEncoding.EncodeToString(b)
}

// HandOffMark returns the mark of a secret, which tells nobody the secret.
func HandOffMark(secret string) string {
	sum := sha256.Sum256([]byte("hand-off mark\x00" + secret))
	return base64.RawURLEncoding.EncodeToString(sum[:])
}

// plainSecret reports whether s has the form of a secret, a mark or a code.
func plainSecret(s string) bool {
	raw, err := base64.RawURLEncoding.Strict().DecodeString(s)
	return err == nil && len(raw) == 32
}

// handOffID is the challenge under which the store knows a code: only its hash, so that a
// copy of the store opens no host.
func handOffID(code string) string { return linkID("hand-off\x00" + code) }

// handed returns the session of another scope that follows from s.
func (s *Session) handed(scope string, now time.Time) *Session {
	return &Session{
		ID: NewSessionID(), User: s.User, Scope: scope, Line: randomText(16), Family: s.family(),
		Generation: s.Generation, Complete: true, Created: s.Created, Expires: s.Expires, LastSeen: now,
		First: s.First, Proofs: slices.Clone(s.Proofs), Bypassed: s.Bypassed, Provided: s.Provided, Source: s.Source,
		Agent: s.Agent, Network: s.Network,
	}
}

// follows reports whether s is what handed would make of the portal's session.
func (s *Session) follows(portal *Session, scope string) bool {
	return s.Complete && s.User == portal.User && s.Scope == scope && s.Family == portal.family() &&
		s.Generation == portal.Generation && s.Expires.Equal(portal.Expires) && s.First == portal.First &&
		slices.Equal(s.Proofs, portal.Proofs) && s.Bypassed == portal.Bypassed && s.Provided == portal.Provided
}

// HandOn makes the session of scope that follows from the complete session id at the
// portal, in place of the one that the browser holds there (replaces; "" for none). Where
// that one follows from it already, it stays, and Changed is false. What the hosts of scope
// ask they decide themselves. ErrNoSession, ErrExpired, ErrDisabled, and ErrNotAllowed for a
// half-done sign-in (AC-015).
func (g *Gate) HandOn(ctx context.Context, at *Place, id SessionID, scope string, replaces SessionID) (*Outcome, error) {
	s, u, err := g.load(ctx, at, id)
	if err != nil {
		return nil, err
	}
	switch {
	case !s.Complete, scope == "", scope == at.Scope:
		return nil, ErrNotAllowed
	case s.Over(g.now()):
		return nil, ErrNoSession
	}
	if replaces != "" {
		held, err := g.cfg.Store.Session(ctx, replaces)
		if err != nil && !errors.Is(err, ErrNotFound) {
			return nil, fmt.Errorf("reading session: %w", err)
		}
		if err == nil && held.follows(s, scope) {
			return &Outcome{Session: held, Subject: u.AsSubject(), Decision: Decision{Action: Allow}}, nil
		}
	}
	next := s.handed(scope, g.now())
	err = g.keepHanded(ctx, s, next, replaces)
	g.record(ctx, at, next, u, Event{Name: EventHandOff, OK: err == nil, Reason: reasonOf(err), Detail: scope})
	if err != nil {
		return nil, err
	}
	return &Outcome{Session: next, Changed: true, Subject: u.AsSubject(), Decision: Decision{Action: Allow}}, nil
}

// keepHanded keeps next, which follows from the portal's session, and ends what the browser
// held in its place: nothing that was planted before may live on (AC-012).
func (g *Gate) keepHanded(ctx context.Context, portal, next *Session, replaces SessionID) error {
	if replaces != "" {
		if err := g.cfg.Store.EndSession(ctx, replaces); err != nil {
			return fmt.Errorf("ending the session before: %w", err)
		}
	}
	if err := g.cfg.Store.CreateSession(ctx, next); err != nil {
		return fmt.Errorf("keeping session: %w", err)
	}
	// Whoever signs out ends the portal's session and then looks for its family. One that
	// was kept after that look must not live on, and it finds the portal's session gone.
	_, err := g.cfg.Store.Session(ctx, portal.ID)
	if err == nil {
		return nil
	}
	if end := g.cfg.Store.EndSession(ctx, next.ID); end != nil {
		return fmt.Errorf("ending session: %w", end)
	}
	if errors.Is(err, ErrNotFound) {
		return ErrNoSession
	}
	return fmt.Errorf("reading session: %w", err)
}

// endReplaced ends the session that a sign-in of the user takes the place of. Where that
// was somebody else's, all that follow from it end as well: the browser holds those of other
// hosts, and whoever signs in now must not find themselves there as the one before (AC-012).
// Where it was the user's own, those go on, and it returns the family that they are of: who
// signs out later means them, too.
func (g *Gate) endReplaced(ctx context.Context, id SessionID, by UserID) (family string, err error) {
	old, err := g.cfg.Store.Session(ctx, id)
	if err != nil && !errors.Is(err, ErrNotFound) {
		return "", err
	}
	if err := g.cfg.Store.EndSession(ctx, id); err != nil {
		return "", err
	}
	switch {
	case old == nil || old.family() == "":
		return "", nil
	case old.User == by:
		return old.family(), nil
	}
	return "", g.endSessions(ctx, old.User, func(other *Session) bool { return other.family() == old.family() })
}

// handOffCounter bounds the codes of one user, for the store's sake.
func handOffCounter(u *User) counter {
	return counter{key: "hand-off:" + string(u.ID), window: time.Minute, budget: 120}
}

// BeginHandOff returns the code with which the host of to makes a session that follows from
// the complete session id at the portal. What the host asks (at.Asked) must be met. The
// caller answers for to.Origin: codes are made for configured hosts alone. ErrNoSession,
// ErrExpired, ErrDisabled, ErrNotAllowed, *ThrottledError.
func (g *Gate) BeginHandOff(ctx context.Context, at *Place, id SessionID, to HandOff) (code string, err error) {
	s, u, err := g.load(ctx, at, id)
	if err != nil {
		return "", err
	}
	d, err := g.decide(at, s, u)
	if err != nil {
		return "", err
	}
	if !s.Complete || d.Action != Allow || to.Origin == "" || to.Origin == at.Origin || !plainSecret(to.Mark) {
		return "", ErrNotAllowed
	}
	if err := g.count(ctx, handOffCounter(u)); err != nil {
		return "", err
	}
	code = randomText(32)
	c := &Challenge{
		ID: handOffID(code), Purpose: ForHandOff, User: u.ID, Session: s.ID, Origin: to.Origin, Data: Secret(to.Mark),
		Expires: g.now().Add(HandOffLife),
	}
	if err := g.cfg.Store.PutChallenge(ctx, c); err != nil {
		return "", fmt.Errorf("keeping the hand-off: %w", err)
	}
	return code, nil
}

// FinishHandOff takes the code that somebody arrives with at a host, and makes their
// session there, in place of at.Replaces. secret is what their browser holds. ErrExpired
// for a code that is unknown, was used or is too old; ErrRejected for one of another origin
// or browser, and where the portal's session is over. Whatever is wrong with it, the code is
// spent (AC-219).
func (g *Gate) FinishHandOff(ctx context.Context, at *Place, code, secret string) (*Outcome, error) {
	next, u, err := g.takeHandOff(ctx, at, code, secret)
	g.record(ctx, at, next, u, Event{Name: EventHandOff, OK: err == nil, Reason: reasonOf(err), Detail: at.Scope})
	if err != nil {
		return nil, err
	}
	return &Outcome{Session: next, Changed: true, Subject: u.AsSubject(), Decision: Decision{Action: Allow}}, nil
}

func (g *Gate) takeHandOff(ctx context.Context, at *Place, code, secret string) (*Session, *User, error) {
	if !plainSecret(code) {
		return nil, nil, ErrExpired
	}
	// Taken before anything is looked at, so that a code is tried once.
	c, err := g.cfg.Store.TakeChallenge(ctx, handOffID(code))
	if errors.Is(err, ErrNotFound) {
		return nil, nil, ErrExpired
	}
	if err != nil {
		return nil, nil, fmt.Errorf("taking the hand-off: %w", err)
	}
	mark := []byte(HandOffMark(secret))
	switch {
	case c.Purpose != ForHandOff, c.Origin == "", c.Origin != at.Origin:
		return nil, nil, ErrRejected
	case !g.now().Before(c.Expires):
		return nil, nil, ErrExpired
	case !plainSecret(secret), subtle.ConstantTimeCompare(mark, []byte(c.Data)) != 1:
		return nil, nil, ErrRejected
	}
	portal, u, err := g.portalSession(ctx, c)
	if err != nil {
		return nil, u, err
	}
	next := portal.handed(at.Scope, g.now())
	if at.Agent != "" {
		next.Agent, next.Network = at.Agent, at.Network
	}
	if err := g.keepHanded(ctx, portal, next, at.Replaces); err != nil {
		if errors.Is(err, ErrNoSession) {
			err = ErrRejected
		}
		return nil, u, err
	}
	return next, u, nil
}

// portalSession returns the session that a code was made by, and its user, as they stand
// now; ErrRejected where either does not.
func (g *Gate) portalSession(ctx context.Context, c *Challenge) (*Session, *User, error) {
	s, err := g.cfg.Store.Session(ctx, c.Session)
	if errors.Is(err, ErrNotFound) {
		return nil, nil, ErrRejected
	}
	if err != nil {
		return nil, nil, fmt.Errorf("reading session: %w", err)
	}
	u, err := g.cfg.Store.User(ctx, c.User)
	if errors.Is(err, ErrNotFound) {
		return nil, nil, ErrRejected
	}
	if err != nil {
		return nil, nil, fmt.Errorf("reading user: %w", err)
	}
	if !s.Complete || s.Over(g.now()) || s.owns(u) != nil {
		return nil, u, ErrRejected
	}
	return s, u, nil
}
