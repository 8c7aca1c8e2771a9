package mfa

import (
	"context"
	"errors"
	"fmt"
	"time"
)

// verifiable returns the factors that a verification takes: those that the user
// can use, or, where the policy switched all of them off, any (rule B16).
func verifiable(p *Policy, u *User) Kinds {
	var enrolled Kinds
	for _, c := range u.Credentials {
		if (Held{Kind: c.Kind, Left: c.Left}).Enrolled() {
			enrolled |= c.Kind.set()
		}
	}
	if usable := enrolled & p.Factors; usable != 0 {
		return usable
	}
	return enrolled &^ unknownKind
}

// mayVerify reports with nil that the session may try that factor now.
func (g *Gate) mayVerify(u *User, k Kind) error {
	p := g.policyOf(u)
	if p.Off || !verifiable(p, u).Has(k) {
		return ErrNotAllowed
	}
	return nil
}

// proven records a verification in the session and says what comes next.
func (g *Gate) proven(ctx context.Context, at *Place, s *Session, u *User, r reservation, p Proof) (*Outcome, error) {
	if err := g.forgive(ctx, r); err != nil {
		return nil, fmt.Errorf("clearing attempts: %w", err)
	}
	u, err := g.cfg.Store.User(ctx, u.ID)
	if err != nil {
		return nil, fmt.Errorf("reading user: %w", err)
	}
	s.prove(p)
	remembered, err := g.remember(ctx, at, s, u, p)
	if err != nil {
		return nil, err
	}
	out, err := g.settle(ctx, at, s.ID, s, u)
	if err == nil {
		out.Remember = remembered
	}
	return out, err
}

// VerifyTOTP tries a code of an authenticator app. ErrRejected for a wrong or
// used one, *ClockError where the clocks differ, *ThrottledError.
func (g *Gate) VerifyTOTP(ctx context.Context, at *Place, id SessionID, code string) (*Outcome, error) {
	s, u, err := g.load(ctx, at, id)
	if err != nil {
		return nil, err
	}
	cred, r, err := g.spendTOTP(ctx, at, s, u, code)
	g.record(ctx, at, s, u, Event{Name: EventVerify, OK: err == nil, Reason: reasonOf(err), Factor: TOTP})
	if err != nil {
		g.noteRejection(ctx, at, u, r, TOTP, err)
		return nil, err
	}
	return g.proven(ctx, at, s, u, r, Proof{Kind: TOTP, Credential: cred, At: g.now()})
}

func (g *Gate) spendTOTP(ctx context.Context, at *Place, s *Session, u *User, code string) (CredentialID, reservation, error) {
	if err := g.mayVerify(u, TOTP); err != nil {
		return "", nil, err
	}
	r, err := g.reserve(ctx, at, factorCounter(u, TOTP))
	if err != nil {
		return "", r, err
	}
	now := g.now()
	rejection := ErrRejected
	for _, c := range u.Credentials {
		if c.Kind != TOTP {
			continue
		}
		step, err := g.cfg.TOTP.Step(c.Data, code, now)
		if errors.Is(err, ErrRejected) {
			var clock *ClockError
			if errors.As(err, &clock) {
				rejection = clock
			}
			continue
		}
		if err != nil {
			return "", r, err
		}
		return c.ID, r, g.cfg.Store.UpdateUser(ctx, u.ID, func(u *User) error {
			if err := s.owns(u); err != nil {
				return err
			}
			c := u.Credential(c.ID)
			// A step is accepted once, decided in the write that spends it: of two
			// requests with one code, one gets here first (RFC 6238 §5.2).
			if c == nil || step <= c.Step {
				return ErrRejected
			}
			c.Step, c.LastUsed = step, now
			return nil
		})
	}
	return "", r, rejection
}

// VerifyBackupCode tries a backup code. ErrRejected for a wrong or used one,
// *ThrottledError, ErrBusy.
func (g *Gate) VerifyBackupCode(ctx context.Context, at *Place, id SessionID, code string) (*Outcome, error) {
	s, u, err := g.load(ctx, at, id)
	if err != nil {
		return nil, err
	}
	r, err := g.spendBackupCode(ctx, at, s, u, code)
	g.record(ctx, at, s, u, Event{Name: EventVerify, OK: err == nil, Reason: reasonOf(err), Factor: BackupCode})
	if err != nil {
		g.noteRejection(ctx, at, u, r, BackupCode, err)
		return nil, err
	}
	return g.proven(ctx, at, s, u, r, Proof{Kind: BackupCode, Credential: BackupCodesID, At: g.now()})
}

func (g *Gate) spendBackupCode(ctx context.Context, at *Place, s *Session, u *User, code string) (reservation, error) {
	if err := g.mayVerify(u, BackupCode); err != nil {
		return nil, err
	}
	set := u.Credential(BackupCodesID)
	if set == nil {
		return nil, ErrRejected
	}
	r, err := g.reserve(ctx, at, factorCounter(u, BackupCode))
	if err != nil {
		return r, err
	}
	index, err := g.cfg.Codes.Match(ctx, set.Data, code)
	if errors.Is(err, ErrBusy) {
		g.refund(ctx, r)
	}
	if err != nil {
		return r, err
	}
	now := g.now()
	generation := set.Step
	used := g.noticed(at, NoticeCodeUsed, BackupCode)
	left := 0
	err = g.cfg.Store.UpdateUser(ctx, u.ID, func(u *User) error {
		if err := s.owns(u); err != nil {
			return err
		}
		set := u.Credential(BackupCodesID)
		// The set may have been replaced since the code was compared: an index is
		// good for the set that it was found in, and for no other.
		if set == nil || set.Step != generation {
			return ErrRejected
		}
		var data Secret
		var err error
		if data, left, err = g.cfg.Codes.Spend(set.Data, index); err != nil {
			return err
		}
		set.Data, set.Left, set.LastUsed = data, left, now
		u.notify(used) // rule B23
		if left == 0 {
			u.SkippedCodes = false // new ones are asked for (rule B23)
		}
		return nil
	})
	if err == nil {
		g.tell(at, u, used)
		if left == CodesLow {
			g.tell(at, u, g.noticed(at, NoticeCodesLow, BackupCode))
		}
	}
	return r, err
}

// CodesLow is how many codes are left when pages and notices begin to say so
// (rule B23).
const CodesLow = 3

// ChallengeLife is how long a passkey ceremony may take.
const ChallengeLife = 5 * time.Minute

// BeginVerifyPasskey starts a verification with one of the user's passkeys that
// work here. ErrNotAllowed where there is none.
func (g *Gate) BeginVerifyPasskey(ctx context.Context, at *Place, id SessionID) (*Ceremony, error) {
	s, u, err := g.load(ctx, at, id)
	if err != nil {
		return nil, err
	}
	if err := g.mayVerify(u, Passkey); err != nil {
		return nil, err
	}
	if !worksHere(u, at) {
		return nil, ErrNotAllowed
	}
	if _, locked, err := g.lockedUntil(ctx, at, u, Passkey); err != nil || locked {
		return nil, errors.Join(ErrRejected, err)
	}
	options, state, err := g.cfg.Passkeys.BeginVerification(at, u)
	if err != nil {
		return nil, fmt.Errorf("beginning verification: %w", err)
	}
	return g.putCeremony(ctx, at, s, ForVerification, options, state)
}

// worksHere reports whether the user has a passkey that was made for this place.
func worksHere(u *User, at *Place) bool {
	for _, c := range u.Credentials {
		if c.Kind == Passkey && at.RPID != "" && c.RPID == at.RPID {
			return true
		}
	}
	return false
}

// ceremonyCounter bounds the ceremonies that one user begins: each is kept until it
// expires, and whoever knows a password could fill the disk with them.
// A known device has a budget of its own, or such a stranger would use up the owner's.
func (g *Gate) ceremonyCounter(at *Place, s *Session) counter {
	device := g.knownDevice(at, holder{s.User, s.Generation})
	return counter{key: "ceremony:" + string(s.User) + ":" + device, window: 10 * time.Minute, budget: 100}
}

func (g *Gate) putCeremony(ctx context.Context, at *Place, s *Session, purpose Purpose, options, state []byte) (*Ceremony, error) {
	if err := g.count(ctx, g.ceremonyCounter(at, s)); err != nil {
		return nil, err
	}
	c := &Challenge{
		ID: randomText(32), Purpose: purpose, User: s.User, Session: s.ID,
		Origin: at.Origin, Data: state, Expires: g.now().Add(ChallengeLife),
	}
	if err := g.cfg.Store.PutChallenge(ctx, c); err != nil {
		return nil, fmt.Errorf("keeping challenge: %w", err)
	}
	return &Ceremony{ID: c.ID, Options: options}, nil
}

// takeCeremony takes the challenge before anything is verified, so that an answer
// is tried once, whatever it holds, and returns its state.
func (g *Gate) takeCeremony(ctx context.Context, at *Place, s *Session, purpose Purpose, id string) (Secret, error) {
	c, err := g.cfg.Store.TakeChallenge(ctx, id)
	if errors.Is(err, ErrNotFound) {
		return nil, ErrExpired
	}
	if err != nil {
		return nil, fmt.Errorf("taking challenge: %w", err)
	}
	switch {
	case !g.now().Before(c.Expires):
		return nil, ErrExpired
	case c.Purpose != purpose, c.User != s.User, c.Session != s.ID, c.Origin != at.Origin:
		return nil, ErrRejected
	}
	return c.Data, nil
}

// FinishVerifyPasskey checks the browser's answer. ErrRejected, ErrExpired (the
// challenge is gone: begin again), ErrCloned, *ThrottledError.
func (g *Gate) FinishVerifyPasskey(ctx context.Context, at *Place, id SessionID, ceremony string, answer []byte) (*Outcome, error) {
	s, u, err := g.load(ctx, at, id)
	if err != nil {
		return nil, err
	}
	cred, r, err := g.spendPasskey(ctx, at, s, u, ceremony, answer)
	g.record(ctx, at, s, u, Event{Name: EventVerify, OK: err == nil, Reason: reasonOf(err), Factor: Passkey})
	if err != nil {
		g.noteRejection(ctx, at, u, r, Passkey, err)
		return nil, err
	}
	return g.proven(ctx, at, s, u, r, Proof{
		Kind: Passkey, Credential: cred, At: g.now(), UserVerified: true, PhishingResistant: true,
	})
}

func (g *Gate) spendPasskey(ctx context.Context, at *Place, s *Session, u *User, ceremony string, answer []byte) (CredentialID, reservation, error) {
	state, err := g.takeCeremony(ctx, at, s, ForVerification, ceremony)
	if err != nil {
		return "", nil, err
	}
	if err := g.mayVerify(u, Passkey); err != nil {
		return "", nil, err
	}
	r, err := g.reserve(ctx, at, factorCounter(u, Passkey))
	if err != nil {
		return "", r, err
	}
	cred, data, err := g.cfg.Passkeys.FinishVerification(at, u, state, answer)
	if err != nil {
		return "", r, err
	}
	now := g.now()
	return cred, r, g.cfg.Store.UpdateUser(ctx, u.ID, func(u *User) error {
		if err := s.owns(u); err != nil {
			return err
		}
		// The credential may have been removed since the ceremony began.
		c := u.Credential(cred)
		if c == nil || c.RPID != at.RPID {
			return ErrRejected
		}
		advanced, err := g.cfg.Passkeys.Advance(c.Data, data)
		if err != nil {
			return err
		}
		c.Data, c.LastUsed = advanced, now
		return nil
	})
}
