package mfa

import (
	"context"
	"errors"
	"fmt"
)

// SignUp says with what strangers may make an account for themselves. The zero value
// lets nobody.
type SignUp struct {
	Name     bool  // a user name of their choice
	Channels Kinds // an address that they prove: Email, SMS
}

// Open reports whether strangers may make accounts.
func (s SignUp) Open() bool { return s.Name || s.Channels != 0 }

// SignInWays returns the first factors that the sign-in page offers beside the
// password: channels whose codes sign in.
func (g *Gate) SignInWays() Kinds { return g.cfg.SignInCodes & g.cfg.Post.Channels() }

// SignUpWays returns with what strangers may make an account here.
func (g *Gate) SignUpWays() SignUp {
	ways := g.cfg.SignUp
	ways.Channels &= g.cfg.Post.Channels()
	if g.cfg.Passwords == nil {
		return SignUp{}
	}
	return ways
}

// channelOf returns the channel and the one spelling of an address that somebody
// typed, of those that are allowed. ErrName, ErrCountry.
func (g *Gate) channelOf(typed string, allowed Kinds) (Kind, string, error) {
	var last error = ErrName
	for _, k := range []Kind{Email, SMS} {
		if !allowed.Has(k) {
			continue
		}
		address, err := g.cfg.SentCodes.Address(k, typed)
		if err == nil {
			return k, address, nil
		}
		if errors.Is(err, ErrCountry) {
			last = ErrCountry
		}
	}
	return "", "", last
}

// SignUpInput is what somebody enters to make an account.
type SignUpInput struct {
	Name        string // a user name, an e-mail address or a phone number
	DisplayName string
	Password    string
}

// BeginSignUp makes an account with a user name and signs in, or sends a code to the
// address that the account will have, which FinishWaiting takes. Whether somebody has
// an account with that address is told to its owner alone. ErrName, ErrCountry,
// ErrNameTaken (of user names), *PasswordError, ErrBusy, *ThrottledError.
func (g *Gate) BeginSignUp(ctx context.Context, at *Place, in SignUpInput) (*Outcome, *Waiting, error) {
	ways := g.SignUpWays()
	if !ways.Open() {
		return nil, nil, ErrNotAllowed
	}
	display, err := cleanText(in.DisplayName)
	if err != nil {
		return nil, nil, err
	}
	if err := g.count(ctx, startCounters(at.Network)...); err != nil {
		return nil, nil, err
	}
	c := letterCode{Display: display}
	if ways.Channels != 0 {
		c.Kind, c.Address, err = g.channelOf(in.Name, ways.Channels)
	}
	if c.Kind == "" && (!ways.Name || errors.Is(err, ErrCountry)) {
		return nil, nil, errors.Join(ErrName, err)
	}
	name := in.Name
	if c.Kind != "" {
		name = c.Address
	}
	if err := g.cfg.Passwords.Check(in.Password, name, at.Host); err != nil {
		return nil, nil, err
	}
	if c.Password, err = g.cfg.Passwords.Hash(ctx, in.Password); err != nil {
		return nil, nil, err
	}
	if c.Kind == "" {
		out, err := g.signUpByName(ctx, at, name, c)
		return out, nil, err
	}
	u, err := g.userByKey(ctx, AddressKey(c.Kind, c.Address))
	if err != nil {
		return nil, nil, err
	}
	// The address is what the account would be called, and somebody of another source may
	// be called so. It is looked up whatever the first has found (AC-116).
	named, err := g.userByKey(ctx, NameKey(c.Address))
	if err != nil {
		return nil, nil, err
	}
	if u == nil {
		u = named
	}
	l := g.letter(at, nil, LetterSignUp, c.Kind, c.Address)
	if u != nil {
		// Its owner is told; whoever asks sees what they would see anyway.
		l = g.letter(at, u, LetterHasAccount, c.Kind, c.Address)
		if u.Disabled {
			l = nil
		}
	}
	w, err := g.wait(ctx, at, ForSignUp, u, c, l, stranger)
	return nil, w, err
}

func (g *Gate) signUpByName(ctx context.Context, at *Place, name string, c letterCode) (*Outcome, error) {
	u, err := g.newLocalUser(ctx, name)
	if err == nil {
		u.Password, u.DisplayName = c.Password, c.Display
		if err = g.cfg.Store.CreateUser(ctx, u); errors.Is(err, ErrTaken) {
			err = ErrNameTaken
		}
	}
	g.record(ctx, at, nil, u, Event{Name: EventSignUp, OK: err == nil, Reason: reasonOf(err), UserName: name})
	if err != nil {
		return nil, err
	}
	return g.begin(ctx, at, u, start{first: Proof{Kind: Password, At: g.now()}, mayEnroll: true})
}

// makeAccount makes the account of somebody who has proven an address. The account's
// name is the address.
func (g *Gate) makeAccount(ctx context.Context, c letterCode) (*User, error) {
	u := &User{
		ID: NewUserID(), Handle: newUserHandle(), Source: LocalSource, Subject: c.Address, Name: c.Address,
		DisplayName: c.Display, Password: c.Password, Created: g.now(),
	}
	switch c.Kind {
	case Email:
		u.Email, u.EmailVerified = c.Address, true
	case SMS:
		u.Phone, u.PhoneVerified = c.Address, true
	}
	if err := g.cfg.Store.CreateUser(ctx, u); errors.Is(err, ErrTaken) {
		return nil, ErrRejected // made meanwhile, by whoever has the mailbox
	} else if err != nil {
		return nil, fmt.Errorf("making the account: %w", err)
	}
	return u, nil
}
