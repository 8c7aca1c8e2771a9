package mfa

import (
	"context"
	"fmt"
	"slices"
	"time"
)

// Remove removes a credential. *ProofError where a newer or stronger proof is
// needed first (rule B15); ErrLastFactor where a requirement would be left
// without a primary factor (RemoveLast is for that); ErrNotFound.
func (g *Gate) Remove(ctx context.Context, at *Place, id SessionID, cred CredentialID) error {
	s, u, err := g.member(ctx, at, id)
	if err != nil {
		return err
	}
	var kind Kind
	var gone Notice
	now := g.now()
	err = g.cfg.Store.UpdateUser(ctx, u.ID, func(u *User) error {
		if err := s.owns(u); err != nil {
			return err
		}
		c := u.Credential(cred)
		if c == nil {
			return ErrNotFound
		}
		kind = c.Kind
		if err := g.checkChange(s, u, c); err != nil {
			return err
		}
		p := g.policyOf(u)
		// Decided in the write, so that two removals of two different factors
		// cannot both be the last but one (AC-167).
		if isLast(p, u, c) {
			return ErrLastFactor
		}
		gone = g.goneNotice(at, c)
		u.notify(gone)
		u.Credentials = slices.DeleteFunc(u.Credentials, func(c Credential) bool { return c.ID == cred })
		u.Remembered = nil // rule B29
		// Backup codes belong to a primary factor. Left alone they would be asked
		// for at once, and whoever lost them would have shut themselves out.
		if kind.Primary() && !slices.ContainsFunc(u.Credentials, func(c Credential) bool { return c.Kind != BackupCode }) {
			u.Credentials = nil
		}
		if verifiable(p, u) == 0 {
			u.EnrollmentOpened = now
		}
		return nil
	})
	g.record(ctx, at, s, u, Event{Name: EventRemove, OK: err == nil, Reason: reasonOf(err), Factor: kind})
	if err == nil {
		g.tell(at, u, gone) // as the record was: to an address that was removed, too
	}
	return err
}

// isLast reports whether a requirement would be left without a primary factor if c
// went (rule B34).
func isLast(p *Policy, u *User, c *Credential) bool {
	return c.Kind.Primary() && p.required() && !slices.ContainsFunc(u.Credentials, func(other Credential) bool {
		return other.ID != c.ID && other.Kind.Primary() && p.Factors.Has(other.Kind)
	})
}

func (g *Gate) goneNotice(at *Place, c *Credential) Notice {
	n := g.noticed(at, NoticeRemoved, c.Kind)
	n.Name = c.Name
	return n
}

// lastFactor is the Detail of the event of a RemoveLast.
const lastFactor = "last_factor"

// RemoveLast removes the credential where Remove answers ErrLastFactor, once the
// person has been warned (rule B34). Everything else that is enrolled goes with it:
// backup codes, and what the policy has switched off. The user's other sessions end
// in the same write. This one goes on under a new ID, owes set-up, and may do it for
// ProofLife without a further proof. If nothing is set up by then, an open enrollment
// window does not count for the user until something is, or until an administrator
// resets. ErrNotOwed where it is not the last (any more): Remove does it;
// ErrLastFactor where nothing could be set up here in its place, where something is
// enrolled that this version does not know, or where the last administrator could be
// left without a way in; *ProofError, ErrNotFound, ErrBusy.
func (g *Gate) RemoveLast(ctx context.Context, at *Place, id SessionID, cred CredentialID) (*Outcome, error) {
	s, u, err := g.member(ctx, at, id)
	if err != nil {
		return nil, err
	}
	if !u.Admin {
		return g.removeLast(ctx, at, s, u, cred)
	}
	// Two who remove theirs come one after the other, and the second is refused.
	var out *Outcome
	err = g.withRoles(ctx, func(ctx context.Context) error {
		last, err := g.lastOfAll(ctx, u)
		if err == nil && last {
			err = ErrLastFactor
			g.record(ctx, at, s, u, Event{Name: EventRemove, Reason: reasonOf(err), Detail: lastFactor})
		}
		if err == nil {
			out, err = g.removeLast(ctx, at, s, u, cred)
		}
		return err
	})
	if err != nil {
		return nil, err
	}
	return out, nil
}

// removeLast is RemoveLast for who may be without a factor.
func (g *Gate) removeLast(ctx context.Context, at *Place, s *Session, u *User, cred CredentialID) (*Outcome, error) {
	now, raised := g.now(), s.Generation+1
	var kind Kind
	var gone []Notice
	err := g.cfg.Store.UpdateUser(ctx, u.ID, func(u *User) error {
		gone = nil
		if err := s.owns(u); err != nil {
			return err
		}
		c := u.Credential(cred)
		if c == nil {
			return ErrNotFound
		}
		kind = c.Kind
		if err := g.checkChange(s, u, c); err != nil {
			return err
		}
		// The warning was about the last one. Where another tab has added a factor
		// since, what the person agreed to is not what would happen.
		if !isLast(g.policyOf(u), u, c) {
			return ErrNotOwed
		}
		if !g.canReplace(at, s, u) {
			return ErrLastFactor
		}
		for i := range u.Credentials {
			c := &u.Credentials[i]
			if c.Kind.Primary() {
				gone = append(gone, g.goneNotice(at, c))
			}
		}
		for _, n := range gone {
			u.notify(n)
		}
		u.Credentials = nil
		u.endAll()
		u.Generation = raised
		u.EnrollmentOpened, u.EnrollmentShut = now, now
		return nil
	})
	g.record(ctx, at, s, u, Event{Name: EventRemove, OK: err == nil, Reason: reasonOf(err), Factor: kind, Detail: lastFactor})
	if err != nil {
		return nil, err
	}
	for _, n := range gone {
		g.tell(at, u, n)
	}
	s.Generation, s.Replacing = raised, now
	if err := g.cfg.Store.EndUserSessions(ctx, u.ID, s.ID); err != nil {
		return nil, fmt.Errorf("ending sessions: %w", err)
	}
	if u, err = g.cfg.Store.User(ctx, u.ID); err != nil {
		return nil, fmt.Errorf("reading user: %w", err)
	}
	return g.settle(ctx, at, s.ID, s, u)
}

// canReplace reports whether all that the user has could be removed by this session
// without leaving it at a set-up that has nothing to set up.
func (g *Gate) canReplace(at *Place, s *Session, u *User) bool {
	if slices.ContainsFunc(u.Credentials, func(c Credential) bool { return c.Kind.set() == unknownKind }) {
		return false
	}
	can := g.policyOf(u).Factors & (KindsOf(Passkey, TOTP) | g.cfg.Post.Channels()&KindsOf(SMS, Email))
	if at.RPID == "" {
		can &^= KindsOf(Passkey)
	}
	if s.First.Address != "" {
		can &^= s.First.Kind.set() // it would be no second factor (rule B27)
	}
	return can != 0
}

// lastOfAll reports whether the user is the last administrator, and nobody could make the
// pass that they would need if they stopped half-way (rule B35).
func (g *Gate) lastOfAll(ctx context.Context, u *User) (bool, error) {
	if !u.Admin || g.onFile(u) != nil && g.policyOf(u).Enrollment != (Enrollment{}) {
		return false, nil // a code to the address on file lets them in
	}
	list, err := administrators(ctx, g.cfg.Store, 2)
	if err != nil {
		return false, err
	}
	return !slices.ContainsFunc(list, func(o *User) bool { return o.ID != u.ID }), nil
}

// replaces reports whether the session removed the user's last factor so lately that
// it may set up another without a further proof.
func (s *Session) replaces(now time.Time) bool {
	return !s.Replacing.IsZero() && within(now.Sub(s.Replacing), ProofLife)
}

// shut reports whether enrollment on the first factor alone is not open to the user, whatever the policy: the
// user removed the last factor, and has set up none since. Otherwise whoever knows
// the password alone could wait for that moment (rule B34). An administrator's reset
// opens it again.
func (u *User) shut() bool {
	return !u.EnrollmentShut.IsZero() && !u.EnrollmentOpened.After(u.EnrollmentShut)
}
