package mfa

import (
	"context"
	"errors"
	"fmt"
	"time"
)

// passkeySignInCounters bound the ceremonies that strangers begin: each is kept until
// it expires, and a sign-in page begins one each time that it is opened.
func passkeySignInCounters(network string) []counter {
	if network == "" {
		network = unknownNetwork
	}
	var list []counter
	for i, network := range append([]string{network}, widerNetworks(network)...) {
		key := "passkeys:" + network + ":"
		list = append(list,
			counter{key: key + "1m", window: time.Minute, budget: 120 << i},
			counter{key: key + "10m", window: 10 * time.Minute, budget: 600 << i})
	}
	return list
}

// BeginPasskeySignIn starts a sign-in with whatever passkey of this place the browser
// holds (rule B28). ErrNotAllowed where passkeys cannot work, *ThrottledError of the
// network.
func (g *Gate) BeginPasskeySignIn(ctx context.Context, at *Place) (*Ceremony, error) {
	if at.RPID == "" {
		return nil, ErrNotAllowed
	}
	if err := g.count(ctx, passkeySignInCounters(at.Network)...); err != nil {
		return nil, err
	}
	options, state, err := g.cfg.Passkeys.BeginSignIn(at)
	if err != nil {
		return nil, fmt.Errorf("beginning sign-in: %w", err)
	}
	c := &Challenge{ID: randomText(32), Purpose: ForSignIn, Origin: at.Origin, Data: state, Expires: g.now().Add(ChallengeLife)}
	if err := g.cfg.Store.PutChallenge(ctx, c); err != nil {
		return nil, fmt.Errorf("keeping challenge: %w", err)
	}
	return &Ceremony{ID: c.ID, Options: options}, nil
}

// FinishPasskeySignIn checks the browser's answer and signs its user in: a passkey
// with user verification is both factors at once, or, where the policy excludes
// passkeys, the first alone (rule B28). ErrRejected, ErrExpired (begin again),
// ErrCloned, *ThrottledError.
func (g *Gate) FinishPasskeySignIn(ctx context.Context, at *Place, ceremony string, answer []byte) (*Outcome, error) {
	u, cred, r, err := g.spendSignIn(ctx, at, ceremony, answer)
	var source SourceSession
	if err == nil && u.Source != LocalSource {
		u, source, err = g.vouched(ctx, u)
	}
	g.record(ctx, at, nil, u, Event{Name: EventSignIn, OK: err == nil, Reason: reasonOf(err), Factor: Passkey})
	if err != nil {
		if errors.Is(err, ErrCloned) {
			g.noteRejection(ctx, at, u, r, Passkey, err)
		}
		return nil, err
	}
	g.uncount(ctx, r) // only failures count against a network
	proof := Proof{Kind: Passkey, Credential: cred, At: g.now(), UserVerified: true, PhishingResistant: true}
	// Decide leaves the second one out where the policy excludes passkeys.
	return g.begin(ctx, at, u, start{first: proof, proofs: []Proof{proof}, source: source})
}

// vouched asks the identity source of a user who came by a passkey of ours whether they
// still stand there. A source that cannot say so lets nobody in beside it, or who was
// disabled there could come in here for ever (AC-179). ErrRejected.
func (g *Gate) vouched(ctx context.Context, u *User) (*User, SourceSession, error) {
	src := g.sourceNamed(u.Source)
	if src.standing() == nil {
		return u, SourceSession{}, fmt.Errorf("%w: %s is to be asked first", ErrRejected, u.Source)
	}
	ctx, cancel := context.WithTimeout(ctx, sourceTimeout)
	defer cancel()
	id, err := src.standing().Standing(ctx, u.Subject, nil)
	if err != nil {
		return u, SourceSession{}, fmt.Errorf("%w: asking %s: %w", ErrRejected, u.Source, err)
	}
	heard, err := g.hear(u.Source, id)
	if err != nil || heard.subject != u.Subject {
		return u, SourceSession{}, errors.Join(ErrRejected, err)
	}
	after, err := g.bring(ctx, u, heard)
	if err == nil && (after.Disabled || after.Generation != u.Generation) {
		err = ErrRejected
	}
	return after, g.sourceSession(src, id), err
}

func (g *Gate) spendSignIn(ctx context.Context, at *Place, ceremony string, answer []byte) (*User, CredentialID, reservation, error) {
	// Taken before anything is looked at, so that an answer is tried once.
	c, err := g.cfg.Store.TakeChallenge(ctx, ceremony)
	if errors.Is(err, ErrNotFound) {
		return nil, "", nil, ErrExpired
	}
	if err != nil {
		return nil, "", nil, fmt.Errorf("taking challenge: %w", err)
	}
	switch {
	case !g.now().Before(c.Expires):
		return nil, "", nil, ErrExpired
	case c.Purpose != ForSignIn, c.Origin != at.Origin:
		return nil, "", nil, ErrRejected
	}
	// Nobody guesses a signature: what is counted here is work, by network.
	r := reservation(networkCounters(at.Network, counter{first: true}))
	if err := g.count(ctx, r...); err != nil {
		return nil, "", nil, err
	}
	var found *User
	u, cred, data, err := g.cfg.Passkeys.FinishSignIn(at, c.Data, answer, func(handle []byte) (*User, error) {
		var err error
		found, err = g.cfg.Store.UserByKey(ctx, HandleKey(handle))
		return found, err
	})
	if errors.Is(err, ErrCloned) {
		return found, "", r, err // the signature was right, so this is who it was
	}
	if err != nil {
		return nil, "", r, err
	}
	if u.Disabled {
		return u, "", r, ErrRejected
	}
	now, generation := g.now(), u.Generation
	return u, cred, r, g.cfg.Store.UpdateUser(ctx, u.ID, func(u *User) error {
		if u.Disabled || u.Generation != generation {
			return ErrRejected
		}
		c := u.Credential(cred)
		if c == nil || c.RPID != at.RPID {
			return ErrRejected // removed since the ceremony began
		}
		advanced, err := g.cfg.Passkeys.Advance(c.Data, data)
		if err != nil {
			return err
		}
		c.Data, c.LastUsed = advanced, now
		return nil
	})
}
