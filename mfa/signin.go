package mfa

import (
	"context"
	"errors"
	"fmt"
)

// SignIn tries a name and a password at a source. Unknown name, wrong password,
// disabled user and too many tries are all rejections; pages must show them as
// the same. ErrBusy where too many passwords are being checked already.
func (g *Gate) SignIn(ctx context.Context, at *Place, source, name, password string) (*Outcome, error) {
	u, err := g.firstFactor(ctx, at, source, name, password)
	g.record(ctx, at, nil, u, Event{Name: EventSignIn, OK: err == nil, Reason: reasonOf(err), Factor: Password})
	if err != nil {
		return nil, err
	}
	return g.begin(ctx, at, u, start{first: Proof{Kind: Password, At: g.now()}})
}

// firstFactor checks the password. The user is returned beside a rejection where
// one is known, for the event.
func (g *Gate) firstFactor(ctx context.Context, at *Place, source, name, password string) (*User, error) {
	src := g.source(source)
	if src == nil {
		return nil, ErrRejected
	}
	account, u, err := g.find(ctx, src, name)
	if err != nil {
		return nil, err
	}
	own := g.unknownNameCounter(source, account)
	if u != nil {
		own = passwordCounter(u)
	}
	r, err := g.reserve(ctx, at, own)
	if err != nil {
		return u, err
	}
	id, err := src.Authenticate(ctx, account, password)
	if errors.Is(err, ErrBusy) {
		g.refund(ctx, r)
		return u, ErrBusy
	}
	if err != nil {
		g.noteRejection(ctx, at, u, r, Password, err)
		return u, err
	}
	before := u
	// The source may know the person by another name than the one typed: the
	// user is who the source says, never who the form says.
	if u, err = g.cfg.Store.UserByKey(ctx, SubjectKey(id.Source, id.Subject)); err != nil {
		return nil, fmt.Errorf("reading user: %w", err)
	}
	// A password that was replaced while it was being checked proves nothing.
	if u.Disabled || before != nil && before.Generation != u.Generation {
		return u, ErrRejected
	}
	return u, g.forgive(ctx, r)
}

// find returns the account that a sign-in means, by user name or by an address that
// its owner has proven, and its user, or nil where there is none. All spellings of
// one account come to one name (AC-093); a name that no account could have comes back
// as it is, to be counted and worked for like any other.
func (g *Gate) find(ctx context.Context, src PasswordSource, name string) (account string, u *User, err error) {
	account, err = src.Account(name)
	if err != nil {
		account = name
	}
	// Both are looked up whatever the first has found, so that an account by name and
	// one by address take the same time.
	u, err = g.userByKey(ctx, SubjectKey(src.Source(), account))
	if err != nil {
		return "", nil, err
	}
	if src.Source() != LocalSource || g.cfg.SentCodes == nil {
		return account, u, nil
	}
	for _, k := range []Kind{Email, SMS} {
		address, err := g.cfg.SentCodes.Address(k, name)
		if err != nil {
			continue
		}
		other, err := g.userByKey(ctx, AddressKey(k, address))
		if err != nil {
			return "", nil, err
		}
		if u == nil {
			account, u = address, other
		}
	}
	if u != nil {
		account = u.Subject
	}
	return account, u, nil
}

// userByKey is Users.UserByKey with nil where there is none.
func (g *Gate) userByKey(ctx context.Context, key string) (*User, error) {
	u, err := g.cfg.Store.UserByKey(ctx, key)
	if errors.Is(err, ErrNotFound) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("reading user: %w", err)
	}
	return u, nil
}

// source returns the password source of that name, or nil.
func (g *Gate) source(name string) PasswordSource {
	for _, s := range g.cfg.Sources {
		if s.Password != nil && s.Name() == name {
			return s.Password
		}
	}
	return nil
}

// start is what a sign-in begins with.
type start struct {
	first  Proof   // the first factor
	proofs []Proof // second factors that came with it: a passkey is both (rule B28)
	// mayEnroll is true where a link from an administrator was the first factor, or
	// the account was just made.
	mayEnroll bool
	verified  []VerifiedAddress
}

// begin makes the session of somebody who proved a first factor. u is the user as the
// proof found it: the session belongs to that generation.
func (g *Gate) begin(ctx context.Context, at *Place, u *User, in start) (*Outcome, error) {
	now, generation, registering := in.first.At, u.Generation, false
	p := g.policyOf(u)
	var added []Credential
	err := g.cfg.Store.UpdateUser(ctx, u.ID, func(u *User) error {
		registering = u.FirstSignIn.IsZero()
		if registering {
			u.FirstSignIn = now
		}
		u.LastSignIn, u.LastHost = now, at.Host
		if len(at.Language) <= maxLanguage {
			u.Language = at.Language
		}
		added = g.autoEnroll(at, p, u, in.first)
		return nil
	})
	if err != nil {
		return nil, fmt.Errorf("recording sign-in: %w", err)
	}
	if u, err = g.cfg.Store.User(ctx, u.ID); err != nil {
		return nil, fmt.Errorf("reading user: %w", err)
	}
	if at.Replaces != "" {
		if err := g.cfg.Store.EndSession(ctx, at.Replaces); err != nil {
			return nil, fmt.Errorf("ending the session before: %w", err)
		}
	}
	s := &Session{
		User: u.ID, Scope: at.Scope, Line: randomText(16), Created: now, Expires: now.Add(HalfDoneLife),
		First: in.first, Proofs: in.proofs, Verified: in.verified,
		Generation: generation, Registering: registering, MayEnroll: in.mayEnroll,
		Agent: at.Agent, Network: at.Network,
	}
	for _, c := range added {
		g.record(ctx, at, s, u, Event{Name: EventEnroll, OK: true, Factor: c.Kind, Detail: "auto_enroll"})
		g.tell(at, u, g.autoEnrolled(at, c))
		if proven, ok := s.verifiedHere(c.Kind, c.Address); ok {
			// As if it had been chosen (rule B12).
			s.prove(Proof{Kind: c.Kind, Credential: c.ID, At: proven})
			s.Enrolled, s.AddAnother = true, true
		}
	}
	remembered, err := g.recall(ctx, at, s, u)
	if err != nil {
		return nil, err
	}
	out, err := g.settle(ctx, at, "", s, u)
	if err == nil {
		out.Remember = remembered
	}
	return out, err
}

// autoEnroll makes verified addresses factors where the policy says so, and returns
// those. The one that signed in is left out: it would be of no use in this session (rule
// B27).
func (g *Gate) autoEnroll(at *Place, p *Policy, u *User, first Proof) (added []Credential) {
	if !p.AutoEnroll || g.cfg.SentCodes == nil {
		return nil
	}
	for _, a := range []struct {
		k        Kind
		address  string
		verified bool
	}{{Email, u.Email, u.EmailVerified}, {SMS, u.Phone, u.PhoneVerified}} {
		if !a.verified || a.address == "" || !g.recovers(u, a.k) || !p.Factors.Has(a.k) || first.Kind == a.k && first.Address == a.address || checkLimit(u, a.k) != nil {
			continue
		}
		if !u.reaches(a.k, a.address) {
			c := g.addressCredential(a.k, a.address)
			u.Credentials = append(u.Credentials, c)
			u.EverEnrolled = true
			u.notify(g.autoEnrolled(at, c))
			added = append(added, c)
		}
	}
	return added
}

// autoEnrolled tells of a factor that the policy has set up (rule B17). It is quiet:
// nobody did it.
func (g *Gate) autoEnrolled(at *Place, c Credential) Notice {
	n := g.noticed(at, NoticeAdded, c.Kind)
	n.Name, n.Quiet = c.Name, true
	return n
}

// Skip skips a set-up that the decision says may be skipped (rules B7, B9, B14).
// ErrNotAllowed otherwise.
func (g *Gate) Skip(ctx context.Context, at *Place, id SessionID) (*Outcome, error) {
	s, u, err := g.load(ctx, at, id)
	if err != nil {
		return nil, err
	}
	if s.Complete {
		return nil, ErrNotOwed
	}
	d, err := g.decide(at, s, u)
	if err != nil {
		return nil, err
	}
	if d.Action != SetUp || !d.Skippable {
		return nil, ErrNotAllowed
	}
	p := g.policyOf(u)
	err = g.cfg.Store.UpdateUser(ctx, u.ID, func(u *User) error {
		if err := s.owns(u); err != nil {
			return err
		}
		switch {
		case d.Reason == ReasonNoCodes:
			u.SkippedCodes = true
		case d.Reason == ReasonAddAnother, d.Reason == ReasonBypassed: // of this sign-in alone
		case p.Optional:
			u.SkippedPrompt = p.Prompt.String()
		}
		return nil
	})
	if err != nil {
		return nil, fmt.Errorf("recording the skip: %w", err)
	}
	if u, err = g.cfg.Store.User(ctx, u.ID); err != nil {
		return nil, fmt.Errorf("reading user: %w", err)
	}
	g.record(ctx, at, s, u, Event{Name: EventSkip, OK: true, Reason: string(d.Reason)})
	s.Skipped = true
	return g.settle(ctx, at, s.ID, s, u)
}

// SignOut ends the session. Whoever asks again later gets the same answer.
func (g *Gate) SignOut(ctx context.Context, at *Place, id SessionID) error {
	if id == "" {
		return nil
	}
	s, u, err := g.load(ctx, at, id)
	if err != nil {
		s, u = nil, nil // an expired session ends all the same
	}
	if err := g.cfg.Store.EndSession(ctx, id); err != nil {
		return fmt.Errorf("ending session: %w", err)
	}
	g.record(ctx, at, s, u, Event{Name: EventSignOut, OK: true})
	return nil
}
