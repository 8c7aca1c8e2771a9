package mfa

import (
	"context"
	"errors"
	"fmt"
	"slices"
)

// member loads a session that may look at and change the account: complete, and
// owing nothing that a page before the account page would ask for.
func (g *Gate) member(ctx context.Context, at *Place, id SessionID) (*Session, *User, error) {
	s, u, err := g.load(ctx, at, id)
	if err != nil {
		return nil, nil, err
	}
	if !s.Complete {
		return nil, nil, ErrNotAllowed
	}
	plain := *at
	plain.Asked = Requirement{}
	d, err := g.decide(&plain, s, u)
	if err != nil {
		return nil, nil, err
	}
	if d.Action != Allow {
		return nil, nil, ErrNotAllowed
	}
	return s, u, nil
}

// Account returns what the account page shows. ErrNotAllowed where the session
// owes something first: ask State.
func (g *Gate) Account(ctx context.Context, at *Place, id SessionID) (*Account, error) {
	s, u, err := g.member(ctx, at, id)
	if err != nil {
		return nil, err
	}
	p := g.policyOf(u)
	a := &Account{
		Outcome:  Outcome{Session: s, Subject: u.AsSubject(), Decision: Decision{Action: Allow}},
		UserName: u.Name, DisplayName: u.DisplayName, Email: u.Email, EmailVerified: u.EmailVerified,
		Off: p.Off, Required: p.required(), OptedOut: u.OptedOut, LocalPassword: u.Source == LocalSource,
		Choices:      g.choices(at, s, u, p.Factors&PrimaryKinds),
		CodesOffered: p.Factors.Has(BackupCode),
		Local:        u.Source == LocalSource, CanEmail: u.Source == LocalSource && g.cfg.SentCodes != nil && g.cfg.Post.Channels().Has(Email),
		CanReplace: g.canReplace(at, s, u),
	}
	if a.CanReplace && u.Admin {
		last, err := g.lastOfAll(ctx, u)
		if err != nil {
			return nil, err
		}
		a.CanReplace = !last
	}
	a.Score = ScoreOf(p, a.Subject, canSetUp(a.Choices))
	if g.cfg.SentCodes != nil && u.Phone != "" {
		a.Phone, a.PhoneVerified = g.cfg.SentCodes.Display(SMS, u.Phone), u.PhoneVerified
	}
	for _, o := range p.Organizations.Of(a.Subject) {
		a.Organizations = append(a.Organizations, o.Title())
	}
	for _, d := range u.Remembered {
		if age := g.now().Sub(d.Proven); p.RememberDevice > 0 && age <= p.RememberDevice {
			d.Hash, d.Before = nil, nil
			a.Remembered = append(a.Remembered, d)
		}
	}
	a.AppTokens, a.AppHosts = shownAppTokens(u), g.appHosts(at)
	for _, n := range slices.Backward(u.Notices) {
		a.Notices = append(a.Notices, n)
		a.PutAway = a.PutAway || n.before(s)
	}
	for _, c := range u.Credentials {
		if c.Kind == BackupCode {
			a.CodesLeft = c.Left
		}
		c.Data = nil
		a.Credentials = append(a.Credentials, c)
	}
	if a.Campaign, err = g.campaignOf(ctx, p, u); err != nil {
		return nil, err
	}
	sessions, err := g.cfg.Store.UserSessions(ctx, u.ID)
	if err != nil {
		return nil, fmt.Errorf("reading sessions: %w", err)
	}
	now := g.now()
	for _, other := range sessions {
		if !other.Complete || other.Over(now) {
			continue
		}
		a.Sessions = append(a.Sessions, SessionInfo{
			Handle: other.handle(), Current: other.ID == s.ID, Host: other.Scope,
			Agent: other.Agent, Network: other.Network, Created: other.Created, LastSeen: other.LastSeen,
		})
	}
	return a, nil
}

// checkChange is rule B15 for what is renamed, removed or replaced: a proof
// within ProofLife of a factor at least as strong as c. Where the request came in
// does not matter: whoever holds a code could otherwise choose a host at which the
// owner's passkey does not work, and remove it there. It is asked inside the write.
func (g *Gate) checkChange(s *Session, u *User, c *Credential) error {
	p := g.policyOf(u)
	now := g.now()
	kinds := verifiable(p, u)
	if kinds == 0 {
		return g.checkProof(p, s, u, now)
	}
	if c != nil {
		if strong := kinds & atLeast(c.Kind); strong != 0 {
			kinds = strong
		}
	}
	if newestProof(s, u, kinds, now) {
		return nil
	}
	return &ProofError{Kinds: kinds}
}

// Rename gives a passkey or an authenticator app another name. ErrName, ErrNotFound,
// *ProofError.
func (g *Gate) Rename(ctx context.Context, at *Place, id SessionID, cred CredentialID, name string) error {
	s, u, err := g.member(ctx, at, id)
	if err != nil {
		return err
	}
	if name, err = CleanName(name); err != nil {
		return err
	}
	var renamed Notice
	err = g.cfg.Store.UpdateUser(ctx, u.ID, func(u *User) error {
		if err := s.owns(u); err != nil {
			return err
		}
		c := u.Credential(cred)
		// An address is called by its mask: another name would hide whose it is, on the
		// account page and in the notice of its removal.
		if c == nil || c.Kind == BackupCode || c.Kind == Email || c.Kind == SMS {
			return ErrNotFound
		}
		// A name protects nothing: any second factor will do.
		if err := g.checkChange(s, u, nil); err != nil {
			return err
		}
		renamed = g.noticed(at, NoticeRenamed, c.Kind)
		// It interrupts nobody; the factor is what it was. Told all the same: a
		// stranger's passkey could take the name of the owner's.
		renamed.Name, renamed.Quiet = name, true
		c.Name = name
		u.notify(renamed)
		return nil
	})
	g.record(ctx, at, s, u, Event{Name: EventRename, OK: err == nil, Reason: reasonOf(err), Factor: renamed.Factor})
	if err == nil {
		g.tell(at, u, renamed)
	}
	return err
}

// ChangePassword changes a local account's password and ends the user's other
// sessions. ErrRejected (the old one is wrong), *ThrottledError, *PasswordError,
// *ProofError, ErrBusy.
func (g *Gate) ChangePassword(ctx context.Context, at *Place, id SessionID, old, next string) (*Outcome, error) {
	s, u, err := g.member(ctx, at, id)
	if err != nil {
		return nil, err
	}
	err = g.changePassword(ctx, at, s, u, old, next)
	g.record(ctx, at, s, u, Event{Name: EventPassword, OK: err == nil, Reason: reasonOf(err)})
	if err != nil {
		return nil, err
	}
	if u, err = g.cfg.Store.User(ctx, u.ID); err != nil {
		return nil, fmt.Errorf("reading user: %w", err)
	}
	s.First = Proof{Kind: Password, At: g.now()}
	return g.settle(ctx, at, s.ID, s, u)
}

func (g *Gate) changePassword(ctx context.Context, at *Place, s *Session, u *User, old, next string) error {
	if u.Source != LocalSource || g.cfg.Passwords == nil {
		return ErrNotAllowed
	}
	if verifiable(g.policyOf(u), u) != 0 {
		if err := g.checkChange(s, u, nil); err != nil {
			return err
		}
	}
	if err := g.cfg.Passwords.Check(next, u.Name, at.Host); err != nil {
		return err
	}
	// The same counter as at the sign-in page: this form is no side door for
	// guessing (AC-099).
	known, _, err := g.firstFactor(ctx, at, LocalSource, u.Name, old)
	if err != nil {
		return err
	}
	if known.ID != u.ID {
		return ErrRejected
	}
	hash, err := g.cfg.Passwords.Hash(ctx, next)
	if err != nil {
		return err
	}
	raised := s.Generation + 1
	changed := g.noticed(at, NoticePassword, Password)
	err = g.cfg.Store.UpdateUser(ctx, u.ID, func(u *User) error {
		if err := s.owns(u); err != nil {
			return err
		}
		if string(u.Password) != string(known.Password) {
			return ErrRejected // changed by another request in the meantime
		}
		u.Password, u.Link = hash, ""
		u.endAll()
		u.Generation = raised
		u.notify(changed)
		return nil
	})
	if err != nil {
		return err
	}
	s.Generation = raised
	g.tell(at, u, changed)
	if err := g.cfg.Store.EndUserSessions(ctx, u.ID, s.ID); err != nil {
		return fmt.Errorf("ending sessions: %w", err)
	}
	return nil
}

// OptOut makes the user's own exception from verification, where nothing
// requires it (rule B19). *ProofError, ErrNotAllowed.
func (g *Gate) OptOut(ctx context.Context, at *Place, id SessionID) error {
	return g.setOptedOut(ctx, at, id, true)
}

// OptIn ends the exception.
func (g *Gate) OptIn(ctx context.Context, at *Place, id SessionID) error {
	return g.setOptedOut(ctx, at, id, false)
}

func (g *Gate) setOptedOut(ctx context.Context, at *Place, id SessionID, out bool) error {
	s, u, err := g.member(ctx, at, id)
	if err != nil {
		return err
	}
	optedOut := g.noticed(at, NoticeOptedOut, "")
	err = g.cfg.Store.UpdateUser(ctx, u.ID, func(u *User) error {
		if err := s.owns(u); err != nil {
			return err
		}
		if out {
			if p := g.policyOf(u); p.required() || verifiable(p, u) == 0 {
				return ErrNotAllowed
			}
			if err := g.checkChange(s, u, nil); err != nil {
				return err
			}
		}
		if out && !u.OptedOut {
			u.notify(optedOut)
		}
		u.OptedOut = out
		return nil
	})
	name := EventOptIn
	if out {
		name = EventOptOut
	}
	g.record(ctx, at, s, u, Event{Name: name, OK: err == nil, Reason: reasonOf(err)})
	if out && err == nil && !u.OptedOut {
		g.tell(at, u, optedOut)
	}
	return err
}

// EndOtherSessions ends every session of the user but this one, which goes on
// under a new ID. A request of another session that is under way does not land
// any more.
func (g *Gate) EndOtherSessions(ctx context.Context, at *Place, id SessionID) (*Outcome, error) {
	s, u, err := g.member(ctx, at, id)
	if err != nil {
		return nil, err
	}
	raised := s.Generation + 1
	err = g.cfg.Store.UpdateUser(ctx, u.ID, func(u *User) error {
		if err := s.owns(u); err != nil {
			return err
		}
		u.endSessions()
		u.Generation = raised
		return nil
	})
	if err == nil {
		s.Generation = raised
		err = g.cfg.Store.EndUserSessions(ctx, u.ID, s.ID)
	}
	g.record(ctx, at, s, u, Event{Name: EventEndSessions, OK: err == nil, Reason: reasonOf(err)})
	if err != nil {
		return nil, err
	}
	if u, err = g.cfg.Store.User(ctx, u.ID); err != nil {
		return nil, fmt.Errorf("reading user: %w", err)
	}
	return g.settle(ctx, at, s.ID, s, u)
}

// EndSession ends the session of the user that has that handle. ErrNotFound.
func (g *Gate) EndSession(ctx context.Context, at *Place, id SessionID, handle string) error {
	s, u, err := g.member(ctx, at, id)
	if err != nil {
		return err
	}
	err = g.endLine(ctx, u.ID, handle)
	g.record(ctx, at, s, u, Event{Name: EventEndSessions, OK: err == nil, Reason: reasonOf(err)})
	return err
}

// endLine ends the session whatever ID it has by now. One that changes its ID in
// between is met again; once it has ended under the one that it has, no other can
// follow, because ReplaceSession needs one that lives.
func (g *Gate) endLine(ctx context.Context, user UserID, handle string) error {
	const most = 100
	for n := range most {
		sessions, err := g.cfg.Store.UserSessions(ctx, user)
		if err != nil {
			return fmt.Errorf("reading sessions: %w", err)
		}
		i := slices.IndexFunc(sessions, func(other *Session) bool { return other.handle() == handle })
		switch {
		case i >= 0:
		case n == 0:
			return ErrNotFound
		default:
			return nil
		}
		if err := g.cfg.Store.EndSession(ctx, sessions[i].ID); err != nil {
			return fmt.Errorf("ending session: %w", err)
		}
	}
	return errors.New("the session changed its ID again and again")
}

// handle is the name under which its owner ends the session; it is no token.
func (s *Session) handle() string {
	if s.Line == "" {
		return s.ID.Short()
	}
	return SessionID(s.Line).Short()
}

// errUser is what commands say of a user that is not there.
func errUser(err error, name string) error {
	if errors.Is(err, ErrNotFound) || errors.Is(err, ErrRejected) {
		return fmt.Errorf("user %q: %w", name, ErrNotFound)
	}
	return err
}
