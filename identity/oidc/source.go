package oidc

import (
	"context"
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"net/url"
	"slices"
	"strings"
	"time"

	"golang.org/x/oauth2"

	"github.com/secondgate/secondgate/mfa"
)

// Source is the identity source of one provider. It is safe for concurrent use.
type Source struct {
	cfg       Config
	claims    Claims
	providers *directory
	refreshes *refreshes
}

// New checks the configuration. It asks nobody.
func New(c Config) (*Source, error) {
	if err := c.Validate(); err != nil {
		return nil, err
	}
	if c.Scopes == nil {
		c.Scopes = []string{"openid", "profile", "email"}
	}
	if c.Now == nil {
		c.Now = time.Now
	}
	return &Source{cfg: c, claims: c.Claims.with(), providers: newDirectory(c), refreshes: newRefreshes(c.Now)}, nil
}

// Source returns the source's name.
func (s *Source) Source() string { return s.cfg.Name }

// start is what Finish needs to know of a start.
type start struct {
	Nonce    string    `json:"nonce"`
	Verifier string    `json:"verifier"`
	Callback string    `json:"callback"`
	Again    bool      `json:"again,omitempty"`
	At       time.Time `json:"at"`
}

// Begin returns the address of the provider's sign-in page; see mfa.RedirectSource. It
// asks the provider for its description where that is not known yet.
func (s *Source) Begin(ctx context.Context, in mfa.RedirectStart) (string, mfa.Secret, error) {
	p, err := s.providers.provider(ctx)
	if err != nil {
		return "", nil, err
	}
	st := start{Nonce: rand.Text(), Verifier: oauth2.GenerateVerifier(), Callback: in.Callback, Again: in.Again, At: s.cfg.Now()}
	kept, err := json.Marshal(st)
	if err != nil {
		return "", nil, fmt.Errorf("keeping the start: %w", err)
	}
	// The configuration comes first, so that it never changes what protects the sign-in.
	var with []oauth2.AuthCodeOption
	for name, value := range s.cfg.AuthParams {
		with = append(with, oauth2.SetAuthURLParam(name, value))
	}
	if len(s.cfg.ACRValues) > 0 {
		with = append(with, oauth2.SetAuthURLParam("acr_values", strings.Join(s.cfg.ACRValues, " ")))
	}
	if in.Again {
		with = append(with, oauth2.SetAuthURLParam("prompt", "login"), oauth2.SetAuthURLParam("max_age", "0"))
	}
	with = append(with, oauth2.SetAuthURLParam("nonce", st.Nonce), oauth2.S256ChallengeOption(st.Verifier))
	oauth := p.oauth
	oauth.RedirectURL = in.Callback
	return oauth.AuthCodeURL(in.State, with...), kept, nil
}

// maxParameter is the most bytes of a parameter of an answer.
const maxParameter = 8 << 10

// answer is what a browser brought back.
type answer struct{ code, issuer, fault string }

// parseAnswer refuses an answer in which anything stands twice or is too long: who reads
// the first of two and who reads the last would see two answers.
func parseAnswer(values url.Values) (answer, error) {
	for _, name := range []string{"code", "state", "iss", "error"} {
		if list := values[name]; len(list) > 1 || len(list) == 1 && len(list[0]) > maxParameter {
			return answer{}, rejected("a parameter of the answer stands twice or is too long")
		}
	}
	return answer{values.Get("code"), values.Get("iss"), values.Get("error")}, nil
}

// Finish returns whom the provider has signed in; see mfa.RedirectSource.
func (s *Source) Finish(ctx context.Context, kept mfa.Secret, values url.Values) (*mfa.Identity, error) {
	var st start
	if err := json.Unmarshal(kept, &st); err != nil || st.Nonce == "" || st.Verifier == "" {
		return nil, rejected("what was kept of the start cannot be read")
	}
	a, err := parseAnswer(values)
	if err != nil {
		return nil, err
	}
	p, err := s.providers.provider(ctx)
	if err != nil {
		return nil, err
	}
	if err := s.answered(p, a, values.Has("iss")); err != nil {
		return nil, err
	}
	oauth := p.oauth
	oauth.RedirectURL = st.Callback
	ctx = s.providers.with(ctx)
	token, err := oauth.Exchange(ctx, a.code, oauth2.VerifierOption(st.Verifier))
	if err != nil {
		return nil, exchanging(err)
	}
	raw, _ := token.Extra("id_token").(string)
	t, err := s.idToken(ctx, p, raw, token.AccessToken)
	if err != nil {
		return nil, err
	}
	if err := t.belongs(st); err != nil {
		return nil, err
	}
	if err := s.complete(ctx, p, t, token); err != nil {
		return nil, err
	}
	return s.identity(p, t, token.RefreshToken, &held{})
}

// answered refuses an answer that is another issuer's (RFC 9207, mix-up), and one that
// says no.
func (s *Source) answered(p *provider, a answer, named bool) error {
	switch {
	case named && a.issuer != s.cfg.Issuer:
		return rejected("the answer is another issuer's")
	case !named && p.issuers:
		return rejected("the answer does not name its issuer, which the provider says it does")
	case a.fault != "" && a.code != "":
		return rejected("the answer is an error and none")
	case a.code == "" && a.fault == "":
		return rejected("the answer has no code")
	}
	switch code := errorCode(a.fault); code {
	case "":
		if a.fault != "" {
			return mfa.ErrDenied
		}
		return nil
	case "server_error", "temporarily_unavailable", "invalid_request", "unauthorized_client", "unsupported_response_type", "invalid_scope",
		"request_not_supported", "request_uri_not_supported", "invalid_request_object", "invalid_request_uri", "registration_not_supported":
		// Trouble at the provider, or in what was configured there or here: no decision.
		return fmt.Errorf("the provider answers %s", code)
	default:
		return fmt.Errorf("%w: the provider answers %s", mfa.ErrDenied, code)
	}
}

// exchanging returns what an error of the exchange of a code means.
func exchanging(err error) error {
	e, ok := errors.AsType[*oauth2.RetrieveError](err)
	switch {
	case ok && e.ErrorCode == "invalid_grant":
		return rejected("the provider does not take the code")
	case ok && slices.Contains([]string{"invalid_client", "unauthorized_client"}, e.ErrorCode):
		return errors.New("exchanging the code: the provider does not take the client_id or the client_secret")
	}
	return fmt.Errorf("exchanging the code: %w", plain(err))
}

var (
	_ mfa.RedirectSource    = (*Source)(nil)
	_ mfa.StandingSource    = (*Source)(nil)
	_ mfa.SignOutSource     = (*Source)(nil)
	_ mfa.BackChannelSource = (*Source)(nil)
)
