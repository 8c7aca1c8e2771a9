package mfa

import (
	"context"
	"crypto/rand"
	"encoding/base32"
	"errors"
	"fmt"
	"strings"
	"time"
	"unicode"
)

// PassLife is how long an administrator's pass or bypass is good, where nothing else
// is said; MaxPassLife is the most that may be said.
const (
	PassLife    = 24 * time.Hour
	MaxPassLife = 7 * 24 * time.Hour
)

// EnrollmentPass makes a secret that opens a first enrollment to the user, good once
// (rule B17). life 0: PassLife. ErrNotFound.
func (a *Administration) EnrollmentPass(ctx context.Context, id UserID, life time.Duration) (pass string, expires time.Time, err error) {
	return a.makePass(ctx, id, ForPass, life, "enrollment-pass")
}

// Bypass makes a secret that stands for the user's second factor at one sign-in and
// then leads to set-up, good once (rule B29). why is for the record. ErrNotFound.
func (a *Administration) Bypass(ctx context.Context, id UserID, life time.Duration, why string) (code string, expires time.Time, err error) {
	return a.makePass(ctx, id, ForBypass, life, "bypass: "+oneLine(why))
}

// maxReason is how many bytes of a reason are kept.
const maxReason = 200

// oneLine returns a text as one line of the record: nothing in it can pass for another
// line, or move the cursor of who reads it in a terminal (AC-133).
func oneLine(s string) string {
	s = strings.Join(strings.FieldsFunc(strings.ToValidUTF8(s, "\uFFFD"), func(r rune) bool {
		return unicode.IsSpace(r) || unicode.IsControl(r) || unicode.Is(unicode.Cf, r)
	}), " ")
	return strings.ToValidUTF8(s[:min(len(s), maxReason)], "")
}

func (a *Administration) makePass(ctx context.Context, id UserID, purpose Purpose, life time.Duration, what string) (pass string, expires time.Time, err error) {
	if life <= 0 {
		life = PassLife
	}
	expires = a.g.now().Add(min(life, MaxPassLife))
	err = a.change(ctx, id, what, func(u *User) error {
		secret := newPass()
		err := a.g.cfg.Store.PutChallenge(ctx, &Challenge{ID: linkID(cleanPass(secret)), Purpose: purpose, User: u.ID, Data: a.warrant(), Expires: expires})
		if err == nil {
			// Whoever wore out the tries before must not keep this one from its user.
			err = a.g.unlock(ctx, u.ID, "pass")
		}
		if err == nil {
			pass = secret
		}
		return err
	})
	if err != nil {
		return "", time.Time{}, err
	}
	return pass, expires, nil
}

// takePass spends a pass of that purpose and user, counting the try before.
func (g *Gate) takePass(ctx context.Context, at *Place, u *User, purpose Purpose, pass string) error {
	r, err := g.reserve(ctx, at, counter{key: factorKey(u.ID, "pass"), lockAt: lockFactorAt, of: holderOf(u), kind: "pass"})
	if err != nil {
		return err
	}
	id := linkID(cleanPass(pass))
	// Looked at before it is taken: another user's pass, typed by mistake or by a
	// thief, stays its owner's.
	c, err := g.cfg.Store.Challenge(ctx, id)
	if errors.Is(err, ErrNotFound) || err == nil && (c.Purpose != purpose || c.User != u.ID || !g.now().Before(c.Expires)) {
		return ErrRejected
	}
	if err != nil {
		return fmt.Errorf("reading a pass: %w", err)
	}
	maker, err := g.warranted(ctx, c.Data)
	if err == nil {
		err = maker.may(ChangeUsers, u)
	}
	if isDenied(err) {
		return ErrRejected
	}
	if err != nil {
		return err
	}
	if _, err := g.cfg.Store.TakeChallenge(ctx, id); errors.Is(err, ErrNotFound) {
		return ErrRejected
	} else if err != nil {
		return fmt.Errorf("taking a pass: %w", err)
	}
	if err := g.forgive(ctx, r); err != nil {
		return fmt.Errorf("clearing attempts: %w", err)
	}
	return nil
}

// UsePass opens a first enrollment to this sign-in (rule B17). ErrRejected, ErrNotOwed
// where enrollment is open anyway, *ThrottledError.
func (g *Gate) UsePass(ctx context.Context, at *Place, id SessionID, pass string) (*Outcome, error) {
	s, u, err := g.load(ctx, at, id)
	if err != nil {
		return nil, err
	}
	err = g.checkProof(g.policyOf(u), s, u, g.now())
	if !errors.Is(err, ErrEnrollmentClosed) && !errors.Is(err, ErrConfirmFirst) {
		return nil, ErrNotOwed
	}
	err = g.takePass(ctx, at, u, ForPass, pass)
	g.record(ctx, at, s, u, Event{Name: EventLink, OK: err == nil, Reason: reasonOf(err), Detail: string(ForPass)})
	if err != nil {
		return nil, err
	}
	s.MayEnroll = true
	return g.settle(ctx, at, s.ID, s, u)
}

// VerifyBypass takes an administrator's bypass in place of a second factor at this
// sign-in (rule B29). ErrRejected, ErrNotOwed where none is owed, *ThrottledError.
func (g *Gate) VerifyBypass(ctx context.Context, at *Place, id SessionID, code string) (*Outcome, error) {
	s, u, err := g.load(ctx, at, id)
	if err != nil {
		return nil, err
	}
	d, err := g.decide(at, s, u)
	if err != nil {
		return nil, err
	}
	if s.Complete || d.Action != Verify {
		return nil, ErrNotOwed
	}
	err = g.takePass(ctx, at, u, ForBypass, code)
	g.record(ctx, at, s, u, Event{Name: EventVerify, OK: err == nil, Reason: reasonOf(err), Detail: string(ForBypass)})
	if err != nil {
		return nil, err
	}
	s.Bypassed = true
	return g.settle(ctx, at, s.ID, s, u)
}

// newPass returns a secret that people type: 80 bits in groups of four.
func newPass() string {
	b := make([]byte, 10)
	rand.Read(b)
	text := base32.StdEncoding.EncodeToString(b)
	return strings.Join([]string{text[:4], text[4:8], text[8:12], text[12:]}, "-")
}

// cleanPass returns the one spelling of a pass.
func cleanPass(s string) string {
	return strings.Map(func(r rune) rune {
		switch {
		case r >= 'a' && r <= 'z':
			return r - 'a' + 'A'
		case r >= 'A' && r <= 'Z', r >= '2' && r <= '7':
			return r
		case r == ' ' || r == '-' || r == '\u00a0':
			return -1
		}
		return '?'
	}, s)
}
