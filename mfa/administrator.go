package mfa

import (
	"context"
	"crypto/rand"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/base64"
	"encoding/hex"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"
)

// AdminProofLife is how old the second factor may be with which somebody changes
// something as an administrator.
const AdminProofLife = 15 * time.Minute

// Administrator is somebody who is signed in and has a role.
type Administrator struct {
	Outcome
	Actor Actor
	Role  Role
	// Organizations are those that the person administrates where they have no role over
	// all.
	Organizations []OrganizationID
}

// Administrator returns the person as an administrator of the organization, or of the
// whole gateway with ""; where they have no role over all, "" is the first organization
// that they administrate. Whatever the policy says, a second factor was proven in this
// session; for a change, within AdminProofLife. A browser that is not asked again, or a
// bypass, is no proof.
//
// ErrNoSession, ErrDisabled; ErrNotOwed where the person has no role, or none there;
// *ProofError where a proof is needed first; ErrNotAllowed where something else is owed
// before (ask State).
func (g *Gate) Administrator(ctx context.Context, at *Place, id SessionID, of OrganizationID, change bool) (*Administrator, error) {
	s, u, err := g.load(ctx, at, id)
	if err != nil {
		return nil, err
	}
	if !s.Complete {
		return nil, ErrNotAllowed
	}
	if of == "" && u.Role() == RoleNone && len(u.AdminOf) > 0 {
		of = u.AdminOf[0]
	}
	powers := u.PowersOver(of)
	if powers == 0 {
		return nil, ErrNotOwed
	}
	if powers == allPowers || powers == auditorPowers {
		of = "" // they reach everybody
	}
	a := &Administrator{
		Outcome: Outcome{Session: s, Subject: u.AsSubject()}, Role: u.Role(), Organizations: slices.Clone(u.AdminOf),
		Actor: Actor{Powers: powers, Organization: of, User: u.ID, Name: u.Name, Network: at.Network, Host: at.Host, Session: s.ID.Short()},
	}
	plain := *at
	plain.Asked = Requirement{Required: true}
	if change {
		plain.Asked.Fresh = AdminProofLife
	}
	if a.Decision, err = g.decide(&plain, s, u); err != nil {
		return nil, err
	}
	switch a.Decision.Action {
	case Allow:
	case StepUp, Verify:
		return nil, &ProofError{Kinds: a.Decision.Kinds}
	default:
		return nil, ErrNotAllowed
	}
	p := g.policyOf(u)
	switch {
	case p.Off && (!change || s.First.recent(g.now(), AdminProofLife)):
		// The configuration says that nobody has a second factor (rule B2).
	case p.Off:
		return nil, &ProofError{}
	case !provenWithin(s, u, p, g.now(), g.cfg.Absolute):
		// report_only, a remembered browser: they open apps, and not this. Nor does the
		// mailbox that signed in, a second time (rule B27).
		return nil, &ProofError{Kinds: verifiable(p, u)}
	case change && !provenWithin(s, u, p, g.now(), AdminProofLife):
		return nil, &ProofError{Kinds: verifiable(p, u)}
	}
	return a, nil
}

// provenWithin reports whether a second factor was proven within that time, here or at the
// identity source, where that is believed and says when.
func provenWithin(s *Session, u *User, p *Policy, now time.Time, most time.Duration) bool {
	return newestProofWithin(s, u, verifiable(p, u), now, most) ||
		s.Provided.Kind == Provided && !s.Provided.At.IsZero() && s.Provided.recent(now, most)
}

// API keys: "sg_", the ID, "_", and 256 random bits.
const (
	keyPrefix  = "sg_"
	keyTouch   = time.Minute
	MaxKeyLife = 366 * 24 * time.Hour
	MaxAPIKeys = 200
)

// APIKeyInput is what a key is to be.
type APIKeyInput struct {
	Name         string
	Powers       Powers
	Organization OrganizationID
	Life         time.Duration
}

// CreateAPIKey makes a key for a program and returns its text, which is shown this once.
// A key never may more than who makes it, reaches no further, and ends with their role;
// one that a key makes ends with that key.
// ErrName, ErrNotAllowed, ErrLimit, ErrNotFound of the organization.
func (a *Administration) CreateAPIKey(ctx context.Context, in APIKeyInput) (key string, k *APIKey, err error) {
	name, err := CleanName(in.Name)
	switch {
	case err != nil:
		return "", nil, err
	case !a.actor.Powers.Has(ManageKeys), !a.actor.Powers.Has(in.Powers), a.actor.Organization != "" && a.actor.Organization != in.Organization:
		return "", nil, ErrNotAllowed
	case in.Organization != "" && in.Powers&^organizationPowers != 0:
		return "", nil, ErrNotAllowed // the rest is of the whole gateway
	case in.Life < time.Hour || in.Life > MaxKeyLife:
		return "", nil, ErrLimit
	case a.actor.key != "" && a.g.now().Add(in.Life).After(a.actor.until):
		return "", nil, ErrLimit // whoever found a key would have it for ever
	}
	if in.Organization != "" {
		if err := a.g.checkOrganizations([]OrganizationID{in.Organization}); err != nil {
			return "", nil, err
		}
	}
	list, err := a.g.cfg.Store.ListAPIKeys(ctx)
	if err != nil {
		return "", nil, fmt.Errorf("reading the keys: %w", err)
	}
	if len(list) >= MaxAPIKeys {
		return "", nil, ErrLimit
	}
	var id [8]byte
	var secret [32]byte
	rand.Read(id[:])
	rand.Read(secret[:])
	text := base64.RawURLEncoding.EncodeToString(secret[:])
	hash := sha256.Sum256([]byte(text))
	now := a.g.now()
	k = &APIKey{
		ID: hex.EncodeToString(id[:]), Name: name, Hash: hash[:], Powers: in.Powers, Organization: in.Organization,
		Created: now, Expires: now.Add(in.Life), By: a.actor.User, ByName: a.actor.Name, Of: a.actor.key,
	}
	err = a.act(ctx, nil, "create key "+k.ID+" "+k.Name+": "+k.Powers.String(), func() error { return a.g.cfg.Store.CreateAPIKey(ctx, k) })
	if err != nil {
		return "", nil, err
	}
	shown := *k
	shown.Hash = nil
	return keyPrefix + k.ID + "_" + text, &shown, nil
}

// APIKeys returns all keys without what they are checked with.
func (a *Administration) APIKeys(ctx context.Context) ([]*APIKey, error) {
	if err := a.may(ManageKeys, nil); err != nil {
		return nil, err
	}
	list, err := a.g.cfg.Store.ListAPIKeys(ctx)
	if err != nil {
		return nil, err
	}
	for i, k := range list {
		shown := *k
		shown.Hash = nil
		list[i] = &shown
	}
	return list, nil
}

// RevokeAPIKey ends a key at once. ErrNotFound.
func (a *Administration) RevokeAPIKey(ctx context.Context, id string) error {
	if err := a.may(ManageKeys, nil); err != nil {
		return err
	}
	return a.act(ctx, nil, "revoke key "+id, func() error { return a.g.cfg.Store.RemoveAPIKey(ctx, id) })
}

// KeyActor returns who acts with the key. ErrRejected, the same for a key that never was,
// has ended, or whose maker has lost their role; *ThrottledError after too many of those
// from one network.
//
// Only tries that failed are counted, and a good key works all the while: nobody guesses
// 256 bits, so that the counter bounds what guesses cost and write, and must not let a
// neighbour in the same network stop a program.
func (g *Gate) KeyActor(ctx context.Context, at *Place, key string) (Actor, error) {
	a, id, err := g.keyActor(ctx, at, key)
	if !errors.Is(err, ErrRejected) {
		return a, err
	}
	if late := g.count(ctx, networkBudgets("key:", at.Network)...); late != nil {
		err = late
	}
	// Of the key no more is kept than the ID of one that there is: whatever else was sent
	// may be a secret of somebody.
	g.cfg.Events.Record(ctx, Event{At: g.now(), Name: EventKey, Reason: reasonOf(err), Network: at.Network, Host: at.Host, Detail: id})
	return Actor{}, err
}

// keyActor is KeyActor without the counting. id is that of a key that there is.
func (g *Gate) keyActor(ctx context.Context, at *Place, key string) (a Actor, id string, err error) {
	named, secret, ok := strings.Cut(strings.TrimPrefix(key, keyPrefix), "_")
	if !ok || !strings.HasPrefix(key, keyPrefix) {
		return Actor{}, "", ErrRejected
	}
	k, err := g.cfg.Store.APIKey(ctx, named)
	if errors.Is(err, ErrNotFound) {
		return Actor{}, "", ErrRejected
	}
	if err != nil {
		return Actor{}, "", fmt.Errorf("reading a key: %w", err)
	}
	a, err = g.actorOf(ctx, at, k, secret)
	return a, k.ID, err
}

func (g *Gate) actorOf(ctx context.Context, at *Place, k *APIKey, secret string) (Actor, error) {
	hash := sha256.Sum256([]byte(secret))
	now := g.now()
	if subtle.ConstantTimeCompare(hash[:], k.Hash) != 1 || !now.Before(k.Expires) {
		return Actor{}, ErrRejected
	}
	for of := k.Of; of != ""; {
		maker, err := g.cfg.Store.APIKey(ctx, of)
		switch {
		case errors.Is(err, ErrNotFound):
			return Actor{}, ErrRejected
		case err != nil:
			return Actor{}, fmt.Errorf("reading the key that made a key: %w", err)
		}
		of = maker.Of
	}
	a := Actor{
		Powers: k.Powers, Organization: k.Organization, User: k.By, Name: "key " + k.Name,
		Network: at.Network, Host: at.Host, key: k.ID, until: k.Expires,
	}
	if k.By != "" {
		u, err := g.cfg.Store.User(ctx, k.By)
		switch {
		case errors.Is(err, ErrNotFound):
			return Actor{}, ErrRejected
		case err != nil:
			return Actor{}, fmt.Errorf("reading who made a key: %w", err)
		}
		// What its maker may not do any more, it may not either.
		a.Powers &= u.PowersOver(k.Organization)
		a.Name += " of " + u.Name
	}
	if a.Powers == 0 {
		return Actor{}, ErrRejected
	}
	if now.Sub(k.LastUsed) >= keyTouch {
		// Best effort: that it was used just now is no reason to refuse it.
		_ = g.cfg.Store.UpdateAPIKey(ctx, k.ID, func(k *APIKey) error {
			k.LastUsed, k.LastNetwork = now, at.Network
			return nil
		})
	}
	return a, nil
}
