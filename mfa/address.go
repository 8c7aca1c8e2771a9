package mfa

import (
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"slices"
	"time"
)

// addressRef names an address on file to a page that shows it masked. It takes a key to
// make one: with a plain hash, whoever has the password alone would try all numbers.
func (g *Gate) addressRef(u *User, k Kind, address string) string {
	mac := hmac.New(sha256.New, g.cfg.NameKey())
	mac.Write([]byte("address on file\x00" + string(u.ID) + "\x00" + string(k) + "\x00" + address))
	return hex.EncodeToString(mac.Sum(nil)[:6])
}

// known returns the addresses of that kind that the gate knows of the user and that
// are no factors yet: those that this session has proven, and the one on file.
func known(s *Session, u *User, k Kind) []string {
	var list []string
	add := func(address string) {
		if address != "" && !u.reaches(k, address) && !slices.Contains(list, address) {
			list = append(list, address)
		}
	}
	for _, v := range s.Verified {
		if v.Kind == k {
			add(v.Address)
		}
	}
	if s.First.Kind == k {
		add(s.First.Address)
	}
	switch k {
	case Email:
		add(u.Email)
	case SMS:
		add(u.Phone)
	}
	return list
}

// verifiedHere reports whether this session has proven the address, as a first factor
// or to make the account, and when.
func (s *Session) verifiedHere(k Kind, address string) (time.Time, bool) {
	if s.first(k, address) {
		return s.First.At, true
	}
	for _, v := range s.Verified {
		if v.Kind == k && v.Address == address {
			return v.At, true
		}
	}
	return time.Time{}, false
}

func (g *Gate) addressChoices(s *Session, u *User, k Kind) []AddressChoice {
	var list []AddressChoice
	for _, address := range known(s, u, k) {
		_, verified := s.verifiedHere(k, address)
		list = append(list, AddressChoice{Masked: g.cfg.SentCodes.Mask(k, address), Ref: g.addressRef(u, k, address), Verified: verified})
	}
	return list
}

// AddressInput is the address that a person sets up: typed, or chosen from those on
// file by its Ref.
type AddressInput struct {
	Typed string
	Ref   string
}

// SetUpAddress sets up an address as a factor. One that this session has proven
// already becomes a factor at once, and the outcome is returned (rule B12); to any
// other a code is sent, which FinishAddress takes. ErrName, ErrCountry,
// *ThrottledError, ErrNotSent, ErrBusy, and what checkEnroll says.
func (g *Gate) SetUpAddress(ctx context.Context, at *Place, id SessionID, k Kind, in AddressInput, again bool) (*Outcome, *SentTo, error) {
	s, u, err := g.load(ctx, at, id)
	if err != nil {
		return nil, nil, err
	}
	if k != SMS && k != Email || g.cfg.SentCodes == nil {
		return nil, nil, ErrNotAllowed
	}
	if err := g.checkEnroll(at, s, u, k, g.now()); err != nil {
		return nil, nil, err
	}
	if !g.cfg.Post.Channels().Has(k) {
		return nil, nil, ErrNotSent // one that is proven already could not be used either
	}
	address, err := g.pickAddress(s, u, k, in)
	if err != nil {
		return nil, nil, err
	}
	if u.reaches(k, address) {
		return nil, nil, ErrNotOwed
	}
	if proven, ok := s.verifiedHere(k, address); ok {
		out, err := g.addAddress(ctx, at, s, u, k, address, proven)
		g.enrollFailed(ctx, at, s, u, k, err)
		return out, nil, err
	}
	to, err := g.send(ctx, at, s, u, LetterSetUp, k, address, "", again)
	return nil, to, err
}

func (g *Gate) pickAddress(s *Session, u *User, k Kind, in AddressInput) (string, error) {
	if in.Ref == "" {
		return g.cfg.SentCodes.Address(k, in.Typed)
	}
	for _, address := range known(s, u, k) {
		if g.addressRef(u, k, address) == in.Ref {
			// What was put on file by others is read like what is typed.
			return g.cfg.SentCodes.Address(k, address)
		}
	}
	return "", ErrName
}

// PendingAddress returns where the code of a set-up is on its way to, or ErrExpired.
func (g *Gate) PendingAddress(ctx context.Context, at *Place, id SessionID, k Kind) (*SentTo, error) {
	s, _, err := g.load(ctx, at, id)
	if err != nil {
		return nil, err
	}
	if c := s.sent(k, LetterSetUp, g.now()); c != nil && g.cfg.SentCodes != nil {
		return g.sentTo(c), nil
	}
	return nil, ErrExpired
}

// FinishAddress takes the code of a set-up, which makes the address a factor.
// ErrRejected, ErrExpired (send another), *ThrottledError, and what checkEnroll says.
func (g *Gate) FinishAddress(ctx context.Context, at *Place, id SessionID, k Kind, code string) (*Outcome, error) {
	s, u, err := g.load(ctx, at, id)
	if err != nil {
		return nil, err
	}
	out, err := g.finishAddress(ctx, at, s, u, k, code)
	g.enrollFailed(ctx, at, s, u, k, err)
	return out, err
}

func (g *Gate) finishAddress(ctx context.Context, at *Place, s *Session, u *User, k Kind, code string) (*Outcome, error) {
	now := g.now()
	if k != SMS && k != Email || g.cfg.SentCodes == nil {
		return nil, ErrNotAllowed
	}
	if err := g.checkEnroll(at, s, u, k, now); err != nil {
		return nil, err
	}
	if s.sent(k, LetterSetUp, now) == nil {
		return nil, ErrExpired
	}
	r, err := g.reserve(ctx, at, counter{key: factorKey(u.ID, "enroll_"+k), lockAt: lockFactorAt})
	if err != nil {
		return nil, err
	}
	spent, err := g.takeSent(ctx, s, k, LetterSetUp, code)
	if err == nil && spent.Credential != "" {
		err = ErrRejected // the code of a confirmation
	}
	if err != nil {
		return nil, err
	}
	if err := g.forgive(ctx, r); err != nil {
		return nil, fmt.Errorf("clearing attempts: %w", err)
	}
	if err := g.verified(ctx, s, u.ID, k, spent.Address); err != nil {
		return nil, err
	}
	return g.add(ctx, at, s, u, g.addressCredential(k, spent.Address), Proof{Kind: k, At: now})
}

func (g *Gate) addressCredential(k Kind, address string) Credential {
	return Credential{ID: newCredentialID(), Kind: k, Name: g.cfg.SentCodes.Mask(k, address), Created: g.now(), Address: address}
}

// addAddress makes an address that this session has proven a factor. Where it signed
// in with it, that proves nothing further, and a further factor is asked for
// (rules B12, B27); Decide sees it by the address. The proof is as old as it is: choosing
// proves nothing anew.
func (g *Gate) addAddress(ctx context.Context, at *Place, s *Session, u *User, k Kind, address string, proven time.Time) (*Outcome, error) {
	s.AddAnother = !s.Complete && !slices.ContainsFunc(u.Credentials, func(c Credential) bool { return c.Kind.Primary() })
	return g.add(ctx, at, s, u, g.addressCredential(k, address), Proof{Kind: k, At: proven})
}

// verified records that the user has proven the address, where it is the one on
// file, or none is. Where another user has proven it before, it signs nobody else in,
// and the record stays as it is.
func (g *Gate) verified(ctx context.Context, s *Session, id UserID, k Kind, address string) error {
	err := g.cfg.Store.UpdateUser(ctx, id, func(u *User) error {
		if err := s.owns(u); err != nil {
			return err
		}
		switch {
		case k == Email && u.Source != LocalSource: // the source alone says what it is
		case k == Email && (u.Email == address || u.Email == ""):
			if u.Email == "" && s.Complete {
				u.EmailChanged = g.now() // as if it had been changed (AC-165)
			}
			u.Email, u.EmailVerified = address, true
		case k == SMS && (u.Phone == address || u.Phone == ""):
			if u.Phone == "" && s.Complete {
				u.PhoneChanged = g.now()
			}
			u.Phone, u.PhoneVerified = address, true
		}
		return nil
	})
	if errors.Is(err, ErrTaken) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("recording a verified address: %w", err)
	}
	return nil
}

// onFile returns the address on file to which a first enrollment can be confirmed, or
// nil where there is none, or none to which anything is sent (rule B17). The e-mail
// address comes first: it costs nothing.
func (g *Gate) onFile(u *User) *VerifiedAddress {
	have := g.cfg.Post.Channels()
	for _, a := range []VerifiedAddress{{Kind: Email, Address: u.Email}, {Kind: SMS, Address: u.Phone}} {
		if a.Address == "" || !have.Has(a.Kind) || !g.recovers(u, a.Kind) {
			continue
		}
		if address, err := g.cfg.SentCodes.Address(a.Kind, a.Address); err == nil {
			return &VerifiedAddress{Kind: a.Kind, Address: address}
		}
	}
	return nil
}

// confirmOwed loads a session that needs a code to the address on file before its
// first enrollment. ErrNotOwed otherwise.
func (g *Gate) confirmOwed(ctx context.Context, at *Place, id SessionID) (*Session, *User, *VerifiedAddress, error) {
	s, u, err := g.load(ctx, at, id)
	if err != nil {
		return nil, nil, nil, err
	}
	if err := g.checkProof(g.policyOf(u), s, u, g.now()); !errors.Is(err, ErrConfirmFirst) {
		return nil, nil, nil, ErrNotOwed
	}
	return s, u, g.onFile(u), nil
}

// SendConfirmation sends the code that a first enrollment needs to the address on
// file (rule B17). ErrNotOwed, *ThrottledError, ErrNotSent, ErrBusy.
func (g *Gate) SendConfirmation(ctx context.Context, at *Place, id SessionID, again bool) (*SentTo, error) {
	s, u, to, err := g.confirmOwed(ctx, at, id)
	if err != nil {
		return nil, err
	}
	return g.send(ctx, at, s, u, LetterSetUp, to.Kind, to.Address, confirming, again)
}

// confirming stands in place of a credential in the code of a confirmation: it is
// good for that alone.
const confirming CredentialID = "confirmation"

// Confirm takes the code of a confirmation; enrollment is open to this sign-in then.
// ErrRejected, ErrExpired, ErrNotOwed, *ThrottledError.
func (g *Gate) Confirm(ctx context.Context, at *Place, id SessionID, code string) (*Outcome, error) {
	s, u, to, err := g.confirmOwed(ctx, at, id)
	if err != nil {
		return nil, err
	}
	err = g.confirm(ctx, at, s, u, to, code)
	g.record(ctx, at, s, u, Event{Name: EventConfirm, OK: err == nil, Reason: reasonOf(err), Factor: to.Kind})
	if err != nil {
		return nil, err
	}
	if u, err = g.cfg.Store.User(ctx, u.ID); err != nil {
		return nil, fmt.Errorf("reading user: %w", err)
	}
	s.MayEnroll = true
	return g.settle(ctx, at, s.ID, s, u)
}

func (g *Gate) confirm(ctx context.Context, at *Place, s *Session, u *User, to *VerifiedAddress, code string) error {
	c := s.sent(to.Kind, LetterSetUp, g.now())
	if c == nil || c.Credential != confirming {
		return ErrExpired
	}
	r, err := g.reserve(ctx, at, counter{key: factorKey(u.ID, "confirm"), lockAt: lockFactorAt})
	if err != nil {
		return err
	}
	spent, err := g.takeSent(ctx, s, to.Kind, LetterSetUp, code)
	if err != nil {
		return err
	}
	if spent.Credential != confirming {
		return ErrRejected
	}
	if err := g.forgive(ctx, r); err != nil {
		return fmt.Errorf("clearing attempts: %w", err)
	}
	return g.verified(ctx, s, u.ID, to.Kind, spent.Address)
}
