package mfa

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"
)

// Ways are how people can come in at a gateway, as its configuration says.
type Ways struct {
	Sources []string // whose users can sign in, with a password or at the source itself
	Codes   Kinds    // channels whose codes are a first factor
	Have    Kinds    // factors that can be carried out: sms and email need a sender
	// RPIDs are the relying parties of the protected hosts; none: passkeys cannot work.
	RPIDs []string
	// AnyHost says that a site answers to any host, so that any passkey may fit.
	AnyHost bool
}

// CanSignIn reports whether the user could come in under that policy: with a first
// factor, and a second one that is accepted and works here, or the set-up of one, by the
// rules that hold for everybody (B15 to B17, B27). It asks Decide, as a sign-in does, and
// looks at nothing else: locks that end by themselves, and secrets that an administrator
// handed out, do not count.
func CanSignIn(p *Policy, w Ways, u *User, now time.Time) bool {
	return w.stops(p, u, now) == ""
}

// stops says in words for administrators why the user cannot come in; "" where they can.
func (w Ways) stops(p *Policy, u *User, now time.Time) string {
	switch {
	case p == nil:
		return "there is no policy"
	case u == nil || u.Disabled:
		return "is disabled"
	}
	why := "cannot prove a first factor"
	for _, at := range w.places(u) {
		for _, first := range w.firsts(&at, u, now) {
			if why = w.stopsAfter(p, &at, first, u, now); why == "" {
				return ""
			}
		}
	}
	return why
}

// places are those where the user's sign-in could differ.
func (w Ways) places(u *User) []Place {
	ids := slices.Clone(w.RPIDs)
	if w.AnyHost {
		ids = append(ids, "any host")
		for _, c := range u.Credentials {
			if c.Kind == Passkey {
				ids = append(ids, c.RPID)
			}
		}
	}
	list := []Place{{}}
	for _, id := range ids {
		list = append(list, Place{RPID: id})
	}
	return list
}

// firsts are the proofs that a sign-in of the user can begin with.
func (w Ways) firsts(at *Place, u *User, now time.Time) []Proof {
	var list []Proof
	if slices.Contains(w.Sources, u.Source) && (len(u.Password) > 0 || u.Source != LocalSource) && !slices.Contains(u.Locked, Password) {
		list = append(list, Proof{Kind: Password, At: now})
	}
	if u.Source == LocalSource {
		for _, a := range []struct {
			kind     Kind
			address  string
			verified bool
		}{{Email, u.Email, u.EmailVerified}, {SMS, u.Phone, u.PhoneVerified}} {
			if a.address != "" && a.verified && (w.Codes & w.Have).Has(a.kind) {
				list = append(list, Proof{Kind: a.kind, Address: a.address, At: now})
			}
		}
	}
	for _, c := range u.Credentials {
		// Of other sources, the source is asked besides: that is a first factor of its own.
		if c.Kind == Passkey && u.Source == LocalSource && at.RPID != "" && c.RPID == at.RPID {
			list = append(list, Proof{Kind: Passkey, Credential: c.ID, At: now, UserVerified: true, PhishingResistant: true}) // rule B28
		}
	}
	return list
}

// stopsAfter says why a sign-in that began so does not end well. It takes the steps that
// the person would be asked for, in a copy of their record, until there is none left.
func (w Ways) stopsAfter(p *Policy, at *Place, first Proof, real *User, now time.Time) string {
	u := *real
	u.Credentials = slices.Clone(real.Credentials)
	s := &Session{User: u.ID, Generation: u.Generation, Created: now, Expires: now.Add(HalfDoneLife), First: first}
	if first.Kind == Passkey {
		s.Proofs = []Proof{first}
	}
	for range maxSteps {
		d := Decide(Input{Policy: p, Place: at, Session: s, Subject: u.AsSubject()}, now)
		why := ""
		switch d.Action {
		case Allow:
			return ""
		case Verify, StepUp:
			why = w.verifies(at, s, &u, d.Kinds, now)
		case SetUp:
			why = w.setsUp(p, at, s, &u, d, now)
		case Refuse, SignIn:
			why = "would be refused (" + string(d.Reason) + ")"
		}
		if why != "" {
			return why
		}
	}
	return "would go in a circle"
}

// maxSteps is more than any sign-in has: verify, set up, backup codes, step up, set up.
const maxSteps = 8

// verifies takes the step of a verification with all that the user has, or says why
// there is nothing.
func (w Ways) verifies(at *Place, s *Session, u *User, asked Kinds, now time.Time) string {
	done := len(s.Proofs)
	for _, c := range u.Credentials {
		if asked.Has(c.Kind) && w.works(at, s, u, &c) {
			s.prove(proofOf(&c, now))
		}
	}
	if len(s.Proofs) == done {
		return "has no second factor that is accepted and works here"
	}
	return ""
}

func proofOf(c *Credential, now time.Time) Proof {
	return Proof{Kind: c.Kind, Credential: c.ID, At: now, UserVerified: c.Kind == Passkey, PhishingResistant: c.Kind == Passkey}
}

// works reports whether the user can verify with the credential there.
func (w Ways) works(at *Place, s *Session, u *User, c *Credential) bool {
	return Held{Kind: c.Kind, Left: c.Left}.Enrolled() && w.Have.Has(c.Kind) && !slices.Contains(u.Locked, c.Kind) &&
		!s.first(c.Kind, c.Address) && (c.Kind != Passkey || at.RPID != "" && c.RPID == at.RPID)
}

// setsUp takes the step of a set-up with all that can be set up, or says why nothing can.
func (w Ways) setsUp(p *Policy, at *Place, s *Session, u *User, d Decision, now time.Time) string {
	if d.Skippable && !s.Skipped {
		s.Skipped, u.SkippedCodes = true, true
		return ""
	}
	onFile := u.Email != "" && w.Have.Has(Email) || u.Phone != "" && w.Have.Has(SMS)
	effective, _ := p.For(u.AsSubject())
	err := addingNeeds(&effective, s, u, now, func() bool { return onFile })
	if err != nil && !errors.Is(err, ErrConfirmFirst) {
		return "has no second factor, and may not set one up with the password alone"
	}
	done := false
	for _, k := range d.Kinds.List() {
		if !w.Have.Has(k) || checkLimit(u, k) != nil || k == Passkey && at.RPID == "" {
			continue
		}
		c := Credential{ID: "new " + CredentialID(k), Kind: k}
		switch k {
		case Passkey:
			c.RPID = at.RPID
		case SMS, Email:
			c.Address = "new"
		case BackupCode:
			c.ID, c.Left = BackupCodesID, CodesPerSet
			u.Credentials = slices.DeleteFunc(u.Credentials, func(c Credential) bool { return c.ID == BackupCodesID })
		}
		u.Credentials = append(u.Credentials, c)
		s.prove(proofOf(&c, now))
		done = true
	}
	if !done {
		return "has none of the factors that are asked, and could not set one up here"
	}
	s.Enrolled, u.EverEnrolled = true, true
	return ""
}

// Standing is a policy with the gateway that carries it out.
type Standing struct {
	Policy *Policy
	Ways   Ways
}

// maxLockoutLook bounds how many administrators are looked at.
const maxLockoutLook = 500

// CheckLockout returns a *LockoutError where an administrator could sign in before, and
// none could any more after (rule B35). Where there is none, or none could before, there
// is nothing to lose, and a change may be what mends it. Any other error: it could not be
// found out.
func CheckLockout(ctx context.Context, users Users, before, after Standing, now time.Time) error {
	list, err := administrators(ctx, users, maxLockoutLook)
	if err != nil {
		return err
	}
	if err := lockout(list, before, after, now); err != nil {
		return err
	}
	// Strangers lock an administrator by wrong passwords. Who is out for that alone has
	// still something to lose, or the guard would be theirs to switch off.
	unlocked := make([]*User, len(list))
	for i, u := range list {
		without := *u
		without.Locked = nil
		unlocked[i] = &without
	}
	return lockout(unlocked, before, after, now)
}

func lockout(list []*User, before, after Standing, now time.Time) error {
	could := false
	var whys []string
	for _, u := range list {
		why := after.Ways.stops(after.Policy, u, now)
		if why == "" {
			return nil
		}
		could = could || CanSignIn(before.Policy, before.Ways, u, now)
		if len(whys) < 3 {
			whys = append(whys, u.Name+" "+why)
		}
	}
	if !could {
		return nil
	}
	more := ""
	if n := len(list) - len(whys); n > 0 {
		more = fmt.Sprintf("; and so on for %d more", n)
	}
	return &LockoutError{"no administrator could sign in any more: " + strings.Join(whys, "; ") + more}
}

// checkLockout is CheckLockout for a change of the policy alone.
func (g *Gate) checkLockout(ctx context.Context, before, after *Policy) error {
	w := g.ways()
	return CheckLockout(ctx, g.cfg.Store, Standing{before, w}, Standing{after, w}, g.now())
}

// ways returns how people can come in at this gateway.
func (g *Gate) ways() Ways {
	w := Ways{Codes: g.cfg.SignInCodes, Have: KindsOf(Passkey, TOTP, BackupCode), AnyHost: g.cfg.Hosts == nil}
	for _, s := range g.cfg.Sources {
		w.Sources = append(w.Sources, s.Name())
	}
	if g.cfg.SentCodes != nil {
		w.Have |= g.cfg.Post.Channels() & KindsOf(SMS, Email)
	}
	if g.cfg.Policies != nil {
		w.Have = g.cfg.Policies.have // a command on the store sends nothing, the gateway does
	}
	if g.cfg.Hosts != nil {
		w.RPIDs, w.AnyHost = g.cfg.Hosts()
	}
	return w
}

// Standing returns the policy as it holds now, with how people can come in.
func (g *Gate) Standing() Standing { return Standing{g.cfg.Policy(), g.ways()} }
