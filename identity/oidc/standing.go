package oidc

import (
	"context"
	"crypto/sha256"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"sync"
	"time"

	"golang.org/x/oauth2"

	"github.com/secondgate/secondgate/mfa"
)

// maxKept is the most bytes of a token that is kept with a session.
const maxKept = 8 << 10

// held is what is kept with a session: mfa.Identity.Kept.
type held struct {
	Refresh string `json:"refresh,omitempty"`
	IDToken string `json:"id_token,omitempty"` // says at the sign-out there whose session ends
	Nonce   string `json:"nonce,omitempty"`
	// SignedIn is the provider's auth_time: no later token makes it newer.
	SignedIn time.Time `json:"signed_in,omitzero"`
	End      string    `json:"end,omitempty"` // where people sign out there
}

// identity returns the person of a token, with what is kept of them. Before is what was
// kept until now.
func (s *Source) identity(p *provider, t *token, refresh string, before *held) (*mfa.Identity, error) {
	id, err := s.person(t)
	if err != nil {
		return nil, err
	}
	h := held{Refresh: refresh, IDToken: t.raw, Nonce: before.Nonce, SignedIn: t.signedIn, End: p.end}
	if h.Nonce == "" {
		h.Nonce = t.nonce
	}
	if len(h.IDToken) > maxKept {
		h.IDToken = ""
	}
	if len(h.Refresh) > maxKept {
		h.Refresh = ""
	}
	if id.Kept, err = json.Marshal(h); err != nil {
		return nil, fmt.Errorf("keeping what the provider gave: %w", err)
	}
	return id, nil
}

// errNoRefresh says that the provider gave nothing to ask with. The guest asks only where
// the provider was told to give it, or where the configuration says that it does.
var errNoRefresh = errors.New("the provider gave no refresh token to ask with; have it do so, for example for the scope offline_access")

// Standing asks the provider with the session's refresh token; see mfa.StandingSource.
// Two that ask with the same one at a time get the same answer: many providers take a
// refresh token once and end the session when it comes again.
func (s *Source) Standing(ctx context.Context, subject string, kept mfa.Secret) (*mfa.Identity, error) {
	var h held
	if err := json.Unmarshal(kept, &h); err != nil {
		return nil, errors.New("what was kept of the provider cannot be read")
	}
	if h.Refresh == "" {
		return nil, errNoRefresh
	}
	return s.refreshes.once(ctx, subject+"\x00"+h.Refresh, func(ctx context.Context) (*mfa.Identity, error) {
		return s.refresh(ctx, subject, &h)
	})
}

func (s *Source) refresh(ctx context.Context, subject string, h *held) (*mfa.Identity, error) {
	p, err := s.providers.provider(ctx)
	if err != nil {
		return nil, err
	}
	ctx = s.providers.with(ctx)
	access, err := p.oauth.TokenSource(ctx, &oauth2.Token{RefreshToken: h.Refresh}).Token()
	if e, ok := errors.AsType[*oauth2.RetrieveError](err); ok && slices.Contains(over, e.ErrorCode) {
		return nil, mfa.ErrDisabled
	}
	if err != nil {
		return nil, fmt.Errorf("asking whether the person still stands: %w", plain(err))
	}
	t, err := s.renewed(ctx, p, subject, h, access)
	if err != nil {
		return nil, err
	}
	id, err := s.identity(p, t, access.RefreshToken, h)
	if errors.Is(err, mfa.ErrDenied) {
		return nil, fmt.Errorf("%w: the provider says something else of the person than at the sign-in", mfa.ErrDisabled)
	}
	return id, err
}

// renewed returns what the provider says now: with an ID token, without one by the
// person's claims, and where there is neither as before.
func (s *Source) renewed(ctx context.Context, p *provider, subject string, h *held, access *oauth2.Token) (*token, error) {
	raw, _ := access.Extra("id_token").(string)
	if raw == "" {
		return s.unrenewed(ctx, p, subject, h, access)
	}
	t, err := s.idToken(ctx, p, raw, access.AccessToken)
	switch {
	case err != nil:
		return nil, err
	case t.subject != subject:
		return nil, rejected("the new ID token is another person's")
	case t.nonce != "" && t.nonce != h.Nonce:
		return nil, rejected("the new ID token is of another sign-in")
	}
	if h.SignedIn.IsZero() || t.signedIn.After(h.SignedIn) {
		t.signedIn = h.SignedIn // a refresh is no sign-in
	}
	return t, s.complete(ctx, p, t, access)
}

func (s *Source) unrenewed(ctx context.Context, p *provider, subject string, h *held, access *oauth2.Token) (*token, error) {
	before, ok := unverified(h.IDToken, 1) // it was verified when it was kept
	if !ok {
		return nil, errors.New("the provider gave no new ID token, and none is kept")
	}
	if who, _ := before.text("sub"); who != subject {
		return nil, rejected("what is kept is another person's")
	}
	t := &token{claims: before, raw: h.IDToken, subject: subject, signedIn: h.SignedIn}
	t.session, _ = before.text("sid")
	if s.cfg.NoUserInfo || p.oidc.UserInfoEndpoint() == "" {
		return t, nil
	}
	now, err := s.userInfo(ctx, p, subject, access)
	if err != nil {
		return nil, err
	}
	for _, name := range []string{"amr", "acr"} {
		delete(now, name)
		if raw, ok := before[name]; ok {
			now[name] = raw // of the sign-in, which the claims of a person do not tell
		}
	}
	t.claims = now
	return t, nil
}

// lingers is how long an answer is given again to whoever asks with the same refresh
// token: two requests of a session that came due at the same time.
const lingers = 30 * time.Second

// refreshes makes one question of several that are the same.
type refreshes struct {
	now func() time.Time
	mu  sync.Mutex
	all map[[sha256.Size]byte]*refreshing
}

type refreshing struct {
	done  chan struct{}
	until time.Time // zero: it is under way
	id    *mfa.Identity
	err   error
}

func newRefreshes(now func() time.Time) *refreshes {
	return &refreshes{now: now, all: map[[sha256.Size]byte]*refreshing{}}
}

// once calls ask unless somebody does so with the same key, or did a moment ago and had an
// answer.
func (r *refreshes) once(ctx context.Context, key string, ask func(context.Context) (*mfa.Identity, error)) (*mfa.Identity, error) {
	sum := sha256.Sum256([]byte(key))
	r.mu.Lock()
	now := r.now()
	for k, each := range r.all {
		if !each.until.IsZero() && !now.Before(each.until) {
			delete(r.all, k)
		}
	}
	c, ok := r.all[sum]
	if !ok {
		c = &refreshing{done: make(chan struct{})}
		r.all[sum] = c
		// Whoever waits for it may go away; what the provider answers is not lost then.
		go func(ctx context.Context) {
			ctx, cancel := context.WithTimeout(ctx, 3*askTime)
			defer cancel()
			id, err := ask(ctx)
			r.mu.Lock()
			defer r.mu.Unlock()
			c.id, c.err, c.until = id, err, r.now().Add(lingers)
			if err != nil && !errors.Is(err, mfa.ErrDisabled) {
				delete(r.all, sum) // it may be asked again at once
			}
			close(c.done)
		}(context.WithoutCancel(ctx))
	}
	r.mu.Unlock()
	select {
	case <-c.done:
	case <-ctx.Done():
		return nil, ctx.Err()
	}
	if c.err != nil {
		return nil, c.err
	}
	id := *c.id
	return &id, nil
}
