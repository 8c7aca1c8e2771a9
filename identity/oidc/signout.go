package oidc

import (
	"context"
	"encoding/json"
	"net/url"
	"slices"
	"strings"
	"time"

	"github.com/secondgate/secondgate/mfa"
)

// SignOutURL returns where the browser ends its session at the provider (OpenID Connect
// RP-Initiated Logout 1.0), or "" where it does not offer that; see mfa.SignOutSource.
func (s *Source) SignOutURL(kept mfa.Secret, back string) string {
	var h held
	if json.Unmarshal(kept, &h) != nil {
		h = held{}
	}
	end := h.End
	if p := s.providers.known.Load(); p != nil {
		end = p.end
	}
	issuer, err := url.Parse(s.cfg.Issuer)
	if end == "" || err != nil || checkEndpoint(issuer, end) != nil {
		return ""
	}
	u, err := url.Parse(end)
	if err != nil {
		return ""
	}
	q := u.Query()
	q.Set("client_id", s.cfg.ClientID)
	if h.IDToken != "" {
		q.Set("id_token_hint", h.IDToken)
	}
	if back != "" {
		q.Set("post_logout_redirect_uri", back)
	}
	u.RawQuery = q.Encode()
	return u.String()
}

const (
	maxLogoutToken = 16 << 10
	// logoutAge is how old a logout token may be. It is sent as soon as it is made.
	logoutAge   = 2 * time.Minute
	logoutEvent = "http://schemas.openid.net/event/backchannel-logout"
)

// SignedOut checks a logout token (OpenID Connect Back-Channel Logout 1.0, section 2.6);
// see mfa.BackChannelSource. Anybody can send one: what is wrong without its signature is
// refused before the provider is asked for keys.
func (s *Source) SignedOut(ctx context.Context, token string) (*mfa.SignedOut, error) {
	if len(token) > maxLogoutToken {
		return nil, rejected("the logout token is too long")
	}
	header, ok := unverified(token, 0)
	if !ok {
		return nil, rejected("the logout token cannot be read")
	}
	if err := checkHeader(header); err != nil {
		return nil, err
	}
	all, ok := unverified(token, 1)
	if !ok {
		return nil, rejected("the logout token cannot be read")
	}
	out, err := s.signedOut(all)
	if err != nil {
		return nil, err
	}
	p, err := s.providers.provider(ctx)
	if err != nil {
		return nil, err
	}
	var unreachable error
	verified, err := p.verifier.VerifyLogout(context.WithValue(s.providers.with(ctx), fault{}, &unreachable), token)
	switch {
	case unreachable != nil:
		return nil, plain(unreachable)
	case err != nil:
		return nil, rejected("the logout token's signature does not hold")
	case verified.Subject != out.Subject, verified.SessionID != out.Session, verified.TokenID != out.ID:
		return nil, rejected("the logout token says two things")
	}
	return out, nil
}

// checkHeader refuses a token of another kind, or signed with a secret or with nothing.
func checkHeader(header claims) error {
	if alg, ok := header.text("alg"); !ok || !slices.Contains(algorithms, alg) {
		return rejected("the logout token is signed in a way that is not accepted")
	}
	if !header.has("typ") {
		return nil
	}
	switch kind, _ := header.text("typ"); strings.ToLower(kind) {
	case "logout+jwt", "application/logout+jwt", "jwt":
		return nil
	}
	return rejected("the token is of another kind")
}

// signedOut reads the claims of a logout token.
func (s *Source) signedOut(all claims) (*mfa.SignedOut, error) {
	if issuer, _ := all.text("iss"); issuer != s.cfg.Issuer {
		return nil, rejected("the logout token is another issuer's")
	}
	if err := all.checkAudience(s.cfg); err != nil {
		return nil, err
	}
	now := s.cfg.Now()
	issued, ok := all.time("iat")
	if !ok || issued.After(now.Add(leeway)) || now.Sub(issued) > logoutAge {
		return nil, rejected("the logout token is not of now")
	}
	expires, ok := all.time("exp")
	if !ok || !now.Before(expires) {
		return nil, rejected("the logout token is over")
	}
	var events, event claims
	if json.Unmarshal(all["events"], &events) != nil || json.Unmarshal(events[logoutEvent], &event) != nil || event == nil {
		return nil, rejected("the logout token tells of no sign-out")
	}
	if _, ok := all["nonce"]; ok {
		return nil, rejected("an ID token is no logout token")
	}
	out := &mfa.SignedOut{Expires: issued.Add(logoutAge)}
	if expires.Before(out.Expires) {
		out.Expires = expires
	}
	for _, each := range []struct {
		name   string
		to     *string
		needed bool
	}{{"jti", &out.ID, true}, {"sub", &out.Subject, false}, {"sid", &out.Session, false}} {
		if _, ok := all[each.name]; !ok && !each.needed {
			continue
		}
		if *each.to, ok = all.text(each.name); !ok || *each.to == "" || len(*each.to) > 255 {
			return nil, rejected("the logout token's %s is missing or of another type", each.name)
		}
	}
	if out.Subject == "" && out.Session == "" {
		return nil, rejected("the logout token does not say whose sign-out it is")
	}
	return out, nil
}
