package mfa

import (
	"context"
	"errors"
	"fmt"
	"slices"
)

// State says where the session stands and what it owes next. A half-done sign-in
// that owes nothing any more, because the policy or the user changed meanwhile,
// is completed.
func (g *Gate) State(ctx context.Context, at *Place, id SessionID) (*State, error) {
	s, u, err := g.load(ctx, at, id)
	if err != nil {
		return nil, err
	}
	d, err := g.decide(at, s, u)
	if err != nil {
		return nil, err
	}
	st := &State{Outcome: Outcome{Session: s, Subject: u.AsSubject(), Decision: d}}
	if !s.Complete && d.Action == Allow {
		out, err := g.settle(ctx, at, s.ID, s, u)
		if err != nil {
			return nil, err
		}
		st.Outcome = *out
	} else if err := g.noteFirstPrompt(ctx, u, d); err != nil {
		return nil, err
	}
	return st, g.describe(ctx, at, st, u)
}

// describe fills in what pages show beside the decision.
func (g *Gate) describe(ctx context.Context, at *Place, st *State, u *User) error {
	asked, err := g.policy(at, st.Session)
	if err != nil {
		return err
	}
	effective, _ := asked.For(u.AsSubject())
	p := &effective
	if st.Methods, err = g.methods(ctx, at, st.Session, p, u); err != nil {
		return err
	}
	wanted := st.Decision.Kinds
	if st.Decision.Action != StepUp {
		wanted = verifiable(p, u)
	}
	st.Preferred = preferred(st.Methods, u, wanted)
	offered := p.Factors & PrimaryKinds
	if st.Decision.Action == SetUp {
		offered = st.Decision.Kinds
		if st.Decision.Skippable && p.required() && p.Grace > 0 {
			if st.GraceEnds = g.now().Add(p.Grace); !u.GraceStarted.IsZero() {
				st.GraceEnds = u.GraceStarted.Add(p.Grace)
			}
		}
	}
	st.Choices = g.choices(at, st.Session, u, offered)
	st.CodesOffered = p.Factors.Has(BackupCode)
	if g.mayRemember(p) {
		st.RememberFor = p.RememberDevice
	}
	var proof *ProofError
	switch err := g.checkProof(p, st.Session, u, g.now()); {
	case errors.As(err, &proof):
		st.ProofOwed = true
	case errors.Is(err, ErrConfirmFirst):
		c := g.onFile(u)
		st.Confirm = g.cfg.SentCodes.Mask(c.Kind, c.Address)
	default:
		// Nor can anybody set something up beside a factor that this version does not
		// know: an administrator helps.
		st.Closed = errors.Is(err, ErrEnrollmentClosed) || errors.Is(err, ErrNotAllowed)
	}
	return nil
}

// methods lists what the user can verify with, and why what cannot be used now
// cannot (rules B16, B20, B21).
func (g *Gate) methods(ctx context.Context, at *Place, s *Session, p *Policy, u *User) ([]Method, error) {
	var list []Method
	for _, k := range verifiable(p, u).List() {
		if k == SMS || k == Email {
			sent, err := g.sentMethods(ctx, at, s, u, k)
			if err != nil {
				return nil, err
			}
			list = append(list, sent...)
			continue
		}
		m := Method{Kind: k, Available: true}
		if k == Passkey && !worksHere(u, at) {
			m.Available = false
			m.Why, m.Hint = at.NoPasskey, ""
			if at.RPID != "" {
				m.Why = ReasonOtherHost
			}
			for _, c := range u.Credentials {
				if c.Kind == Passkey {
					m.Hint = c.RPID
				}
			}
		}
		if k == BackupCode {
			m.Left = u.Credential(BackupCodesID).Left
		}
		wait, locked, err := g.lockedUntil(ctx, at, u, k)
		if err != nil {
			return nil, fmt.Errorf("reading attempts: %w", err)
		}
		if locked {
			m.Available, m.Why, m.Wait = false, ReasonLocked, wait
		}
		list = append(list, m)
	}
	return list, nil
}

// preferred is rule B20: the method whose page opens, or "" for the list.
func preferred(methods []Method, u *User, wanted Kinds) Kind {
	var primary []Kind
	codes := false
	for _, m := range methods {
		switch {
		case !m.Available || !wanted.Has(m.Kind):
		case m.Kind == BackupCode:
			codes = true
		default:
			primary = append(primary, m.Kind)
		}
	}
	primary = slices.Compact(primary) // an address more is no other method
	switch {
	case len(primary) == 0 && codes:
		return BackupCode
	case len(primary) == 0:
		return ""
	case len(primary) == 1:
		return primary[0]
	case primary[0] == Passkey: // methods are in the order of the kinds
		return Passkey
	}
	var last *Credential
	for i := range u.Credentials {
		c := &u.Credentials[i]
		if !KindsOf(primary...).Has(c.Kind) || c.LastUsed.IsZero() {
			continue
		}
		if last == nil || c.LastUsed.After(last.LastUsed) {
			last = c
		}
	}
	if last == nil {
		return ""
	}
	return last.Kind
}

// choices lists what can be set up, and why what cannot be here cannot (rule
// B11).
func (g *Gate) choices(at *Place, s *Session, u *User, offered Kinds) []Choice {
	var list []Choice
	for _, k := range offered.List() {
		c := Choice{Kind: k, Available: true, Held: count(u, k)}
		switch {
		case k == Passkey && at.RPID == "":
			c.Available, c.Why = false, at.NoPasskey
		case checkLimit(u, k) != nil:
			c.Available, c.Why = false, ReasonLimit
		case (k == SMS || k == Email) && !g.cfg.Post.Channels().Has(k):
			c.Available, c.Why = false, ReasonNoSender
		case k == SMS || k == Email:
			c.Addresses = g.addressChoices(s, u, k)
		}
		list = append(list, c)
	}
	return list
}
