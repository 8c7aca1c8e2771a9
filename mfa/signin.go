package mfa

import (
	"context"
	"errors"
	"fmt"
)

// SignIn tries a name and a password at a source. Unknown name, wrong password,
// disabled user and too many tries are all rejections; pages must show them as
// the same. ErrBusy where too many passwords are being checked already. ErrName and
// ErrNameTaken where the password was right, and the name that the source gives cannot be
// used or is that of another source's user.
func (g *Gate) SignIn(ctx context.Context, at *Place, source, name, password string) (*Outcome, error) {
	u, id, err := g.firstFactor(ctx, at, source, name, password)
	e := Event{Name: EventSignIn, OK: err == nil, Reason: reasonOf(err), Factor: Password}
	if source != LocalSource {
		e.UserName, e.Detail = nameOf(id), oneLine(source)
	}
	g.record(ctx, at, nil, u, e)
	if err != nil {
		return nil, err
	}
	if source == LocalSource {
		return g.begin(ctx, at, u, start{first: Proof{Kind: Password, At: g.now()}})
	}
	return g.begin(ctx, at, u, g.startAt(source, Password, id))
}

// firstFactor checks the password. The user is returned beside a rejection where
// one is known, for the event.
func (g *Gate) firstFactor(ctx context.Context, at *Place, source, name, password string) (*User, *Identity, error) {
	src := g.source(source)
	if src == nil {
		return nil, nil, ErrRejected
	}
	means, err := g.find(ctx, src, name)
	if err != nil {
		return nil, nil, err
	}
	u := means.user
	r, err := g.reserve(ctx, at, g.tries(source, means))
	if err != nil {
		return u, nil, err
	}
	asking, cancel := ctx, context.CancelFunc(func() {})
	if source != LocalSource {
		asking, cancel = context.WithTimeout(ctx, sourceTimeout)
	}
	defer cancel()
	id, err := src.Authenticate(asking, means.account, password)
	if err != nil && !errors.Is(err, ErrRejected) {
		// Nothing was compared. A source that is away must not wear out its users' tries.
		g.refund(ctx, r)
		return u, nil, err
	}
	if err != nil {
		g.noteRejection(ctx, at, u, r, Password, err)
		return u, nil, err
	}
	if source != LocalSource {
		return g.outsider(ctx, at, source, means, id, r)
	}
	before := u
	// The source may know the person by another name than the one typed: the
	// user is who the source says, never who the form says.
	if u, err = g.cfg.Store.UserByKey(ctx, SubjectKey(id.Source, id.Subject)); err != nil {
		return nil, nil, fmt.Errorf("reading user: %w", err)
	}
	// A password that was replaced while it was being checked proves nothing.
	if u.Disabled || u.Source != LocalSource || before != nil && before.Generation != u.Generation {
		return u, nil, ErrRejected
	}
	return u, id, g.forgive(ctx, r)
}

// outsider is the end of firstFactor for a source other than the local accounts.
func (g *Gate) outsider(ctx context.Context, at *Place, source string, means meant, id *Identity, r reservation) (*User, *Identity, error) {
	if id == nil || means.resolves && id.Subject != means.subject {
		// It was counted for another account than the one that was opened: whoever could
		// choose a name would choose the counter (AC-181).
		return means.user, nil, ErrRejected
	}
	if err := g.forgive(ctx, r); err != nil {
		return means.user, id, fmt.Errorf("clearing attempts: %w", err)
	}
	u, _, err := g.admit(ctx, at, source, id)
	if err == nil && means.user != nil && means.user.Generation != u.Generation {
		return u, id, ErrRejected // all sessions were ended meanwhile
	}
	return u, id, err
}

// meant is the account that a sign-in means.
type meant struct {
	account string // as the source takes it
	user    *User  // nil: none is known here
	// resolves says that the source has said whom the name means: subject, or nobody.
	resolves bool
	subject  string
}

// tries is the counter of tries at what a sign-in means.
func (g *Gate) tries(source string, means meant) counter {
	switch {
	case means.user != nil:
		return passwordCounter(means.user)
	case source == LocalSource:
		return g.unknownNameCounter(source, means.account)
	}
	name := "name " + means.account
	if means.subject != "" {
		name = "subject " + means.subject // all spellings and aliases together (AC-093)
	}
	// Somebody may have that name, and come for the first time tomorrow. Nobody could end
	// a lock of whom there is no record.
	c := g.unknownNameCounter(source, name)
	c.lockAt = lockNever
	return c
}

// find returns the account that a sign-in means, and its user where there is one: of a
// local account by user name or by an address that its owner has proven, of another
// source by whom that says the name means. All spellings of
// one account come to one name (AC-093); a name that no account could have comes back
// as it is, to be counted and worked for like any other.
func (g *Gate) find(ctx context.Context, src PasswordSource, name string) (meant, error) {
	account, err := src.Account(name)
	if err != nil {
		account = name
	}
	if src.Source() != LocalSource {
		return g.findThere(ctx, src, account, err == nil)
	}
	// Both are looked up whatever the first has found, so that an account by name and
	// one by address take the same time.
	u, err := g.localByName(ctx, account)
	if err != nil || g.cfg.SentCodes == nil {
		return meant{account: account, user: u}, err
	}
	for _, k := range []Kind{Email, SMS} {
		address, err := g.cfg.SentCodes.Address(k, name)
		if err != nil {
			continue
		}
		other, err := g.userByKey(ctx, AddressKey(k, address))
		if err != nil {
			return meant{}, err
		}
		if u == nil {
			account, u = address, other
		}
	}
	if u != nil {
		account = u.Subject
	}
	return meant{account: account, user: u}, nil
}

// localByName returns the local account of that name, or nil. The key may be that of
// another source's user, who has no password here.
func (g *Gate) localByName(ctx context.Context, account string) (*User, error) {
	u, err := g.userByKey(ctx, NameKey(account))
	if u != nil && u.Source != LocalSource {
		u = nil
	}
	return u, err
}

// findThere asks a source other than the local accounts whom a name means, where it can
// be asked; plain says that somebody could have that name.
func (g *Gate) findThere(ctx context.Context, src PasswordSource, account string, plain bool) (meant, error) {
	m := meant{account: account}
	resolver, ok := src.(Resolver)
	if !ok || !plain {
		u, err := g.userByKey(ctx, SubjectKey(src.Source(), account))
		m.user = u
		return m, err
	}
	asking, cancel := context.WithTimeout(ctx, sourceTimeout)
	defer cancel()
	subject, err := resolver.Resolve(asking, account)
	if err != nil && !errors.Is(err, ErrNotFound) {
		return m, fmt.Errorf("asking %s whom a name means: %w", src.Source(), err)
	}
	m.resolves = true
	if err != nil || subject == "" {
		return m, nil
	}
	// The password is tried at that very account, whatever name it has by then.
	m.subject, m.account = subject, subject
	m.user, err = g.userByKey(ctx, SubjectKey(src.Source(), subject))
	return m, err
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
	provided  Proof         // the second factor that the source has asked for
	source    SourceSession // what it said of its own session
}

// begin makes the session of somebody who proved a first factor. u is the user as the
// proof found it: the session belongs to that generation.
func (g *Gate) begin(ctx context.Context, at *Place, u *User, in start) (*Outcome, error) {
	now, generation, registering := in.first.At, u.Generation, false
	p := g.policyOf(u)
	var added []Credential
	err := g.cfg.Store.UpdateUser(ctx, u.ID, func(u *User) error {
		registering = u.FirstSignIn.IsZero() && u.Imported.IsZero()
		if u.FirstSignIn.IsZero() {
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
	family := ""
	if at.Replaces != "" {
		if family, err = g.endReplaced(ctx, at.Replaces, u.ID); err != nil {
			return nil, fmt.Errorf("ending the session before: %w", err)
		}
	}
	s := &Session{
		User: u.ID, Scope: at.Scope, Line: randomText(16), Family: family, Created: now, Expires: now.Add(HalfDoneLife),
		First: in.first, Proofs: in.proofs, Verified: in.verified,
		Generation: generation, Registering: registering, MayEnroll: in.mayEnroll,
		Provided: in.provided, Source: in.source,
		Agent: at.Agent, Network: at.Network,
	}
	if err := g.noteSourceSession(ctx, u, in.source.ID); err != nil {
		return nil, err
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
