package mfa

import (
	"context"
	"errors"
	"fmt"
	"time"
)

// RecoveryWait is how long an address that was changed proves nothing but itself: no
// link for a forgotten password goes to it, no code for it signs in, no first enrollment
// is confirmed by it, and no policy makes it a factor.
// Whoever sat down at an open session could otherwise take the account along (AC-165);
// the owner is told at the old address, and has that long to act.
const RecoveryWait = 24 * time.Hour

// contactCode is the purpose of a code that proves a new e-mail address of the account.
// It is kept apart from those that set a factor up, and its letter is theirs.
const contactCode LetterKind = "contact"

// Details of EventProfile.
const (
	profileName  = "display_name"
	profileEmail = "email"
)

// ChangeName changes how a local account's person is called: what apps are given as the
// name. It protects nothing, so it needs no newer proof. ErrName, ErrNotAllowed.
func (g *Gate) ChangeName(ctx context.Context, at *Place, id SessionID, display string) error {
	s, u, err := g.member(ctx, at, id)
	if err != nil {
		return err
	}
	display, err = cleanText(display)
	switch {
	case err != nil:
		return err
	case display == "":
		return ErrName // a form without the field is no wish to be nobody
	case u.Source != LocalSource:
		return ErrNotAllowed // the source says it again at the next sign-in
	}
	err = g.cfg.Store.UpdateUser(ctx, u.ID, func(u *User) error {
		if err := s.owns(u); err != nil {
			return err
		}
		u.DisplayName = display
		return nil
	})
	g.record(ctx, at, s, u, Event{Name: EventProfile, OK: err == nil, Reason: reasonOf(err), Detail: profileName})
	return err
}

// checkContact is rule B15 for the account's address: a second factor proven within
// ProofLife by whoever has one, the first factor by whoever has none.
func (g *Gate) checkContact(s *Session, u *User) error {
	if u.Source != LocalSource || g.cfg.SentCodes == nil {
		return ErrNotAllowed
	}
	if len(u.Credentials) > 0 {
		return g.checkChange(s, u, nil)
	}
	if !s.First.recent(g.now(), ProofLife) {
		return &ProofError{}
	}
	return nil
}

// BeginEmail sends a code to a new e-mail address of the account. It counts for nothing
// until FinishEmail took the code (rule B38). again asks for another code. ErrName,
// ErrNotOwed (it is the account's and proven already), ErrNotAllowed, *ProofError,
// *ThrottledError, ErrNotSent, ErrBusy.
func (g *Gate) BeginEmail(ctx context.Context, at *Place, id SessionID, typed string, again bool) (*SentTo, error) {
	s, u, err := g.member(ctx, at, id)
	if err != nil {
		return nil, err
	}
	if err := g.checkContact(s, u); err != nil {
		return nil, err
	}
	if !g.cfg.Post.Channels().Has(Email) {
		return nil, ErrNotSent
	}
	address, err := g.cfg.SentCodes.Address(Email, typed)
	if err != nil {
		return nil, err
	}
	if address == u.Email && u.EmailVerified {
		return nil, ErrNotOwed
	}
	return g.send(ctx, at, s, u, contactCode, Email, address, "", again)
}

// PendingEmail returns where the code of a new address is on its way to, and the
// address, for the page that sends another. ErrExpired.
func (g *Gate) PendingEmail(ctx context.Context, at *Place, id SessionID) (*SentTo, string, error) {
	s, _, err := g.member(ctx, at, id)
	if err != nil {
		return nil, "", err
	}
	if c := s.sent(Email, contactCode, g.now()); c != nil && g.cfg.SentCodes != nil {
		return g.sentTo(c), c.Address, nil
	}
	return nil, "", ErrExpired
}

// FinishEmail takes the code that was sent to a new address, which makes it the
// account's. The old one is told, links that were sent to it are worth nothing any more,
// and for RecoveryWait the new one recovers nothing (AC-165). ErrRejected, ErrExpired,
// ErrNameTaken (another account has proven it before), *ProofError, *ThrottledError.
func (g *Gate) FinishEmail(ctx context.Context, at *Place, id SessionID, code string) error {
	s, u, err := g.member(ctx, at, id)
	if err != nil {
		return err
	}
	err = g.finishEmail(ctx, at, s, u, code)
	g.record(ctx, at, s, u, Event{Name: EventProfile, OK: err == nil, Reason: reasonOf(err), Factor: Email, Detail: profileEmail})
	return err
}

func (g *Gate) finishEmail(ctx context.Context, at *Place, s *Session, u *User, code string) error {
	if err := g.checkContact(s, u); err != nil {
		return err
	}
	now := g.now()
	if s.sent(Email, contactCode, now) == nil {
		return ErrExpired
	}
	r, err := g.reserve(ctx, at, counter{key: factorKey(u.ID, "enroll_email"), lockAt: lockFactorAt})
	if err != nil {
		return err
	}
	spent, err := g.takeSent(ctx, s, Email, contactCode, code)
	if err != nil {
		return err
	}
	if err := g.forgive(ctx, r); err != nil {
		return fmt.Errorf("clearing attempts: %w", err)
	}
	changed := g.noticed(at, NoticeEmail, Email)
	err = g.cfg.Store.UpdateUser(ctx, u.ID, func(u *User) error {
		if err := s.owns(u); err != nil {
			return err
		}
		if err := g.checkContact(s, u); err != nil {
			return err
		}
		if u.Email != spent.Address {
			u.EmailChanged = now
			u.Link = "" // what is on its way to the old one
		}
		u.Email, u.EmailVerified = spent.Address, true
		u.notify(changed)
		return nil
	})
	if errors.Is(err, ErrTaken) {
		return ErrNameTaken
	}
	if err != nil {
		return err
	}
	g.tell(at, u, changed) // as the record was: to the old address
	return nil
}

// recovers reports whether the user's address or number of that kind may stand for the
// user by itself: it was not changed a moment ago.
func (g *Gate) recovers(u *User, k Kind) bool {
	changed := u.EmailChanged
	if k == SMS {
		changed = u.PhoneChanged
	}
	return changed.IsZero() || g.now().Sub(changed) >= RecoveryWait
}
