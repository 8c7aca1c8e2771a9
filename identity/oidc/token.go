package oidc

import (
	"context"
	"crypto/subtle"
	"encoding/base64"
	"encoding/json"
	"math"
	"slices"
	"strings"
	"time"
)

const (
	maxToken = 64 << 10
	// leeway is by how much a provider's clock may differ from ours.
	leeway = time.Minute
	// maxAge is how old an ID token may be when it arrives: it was made for us just now.
	maxAge = 10 * time.Minute
)

// token is an ID token whose signature, issuer, audience and times hold.
type token struct {
	claims   claims
	raw      string
	subject  string
	nonce    string
	session  string
	issued   time.Time
	signedIn time.Time // zero: the provider does not say
}

// idToken checks an ID token (OpenID Connect Core 1.0, section 3.1.3.7) that came straight
// from the provider, and the access token beside it. ErrRejected, or that the provider's
// keys could not be fetched.
func (s *Source) idToken(ctx context.Context, p *provider, raw, access string) (*token, error) {
	if raw == "" {
		return nil, rejected("the provider gave no ID token")
	}
	if len(raw) > maxToken {
		return nil, rejected("the ID token is too long")
	}
	var unreachable error
	verified, err := p.verifier.Verify(context.WithValue(ctx, fault{}, &unreachable), raw)
	switch {
	case unreachable != nil:
		return nil, plain(unreachable)
	case err != nil:
		// The library's text repeats what the token says.
		return nil, rejected("the ID token's signature, issuer, audience or time does not hold")
	}
	if verified.AccessTokenHash != "" {
		if err := verified.VerifyAccessToken(access); err != nil {
			return nil, rejected("the access token is not the one of the ID token")
		}
	}
	var all claims
	if err := verified.Claims(&all); err != nil || all == nil {
		return nil, rejected("the ID token holds no claims")
	}
	t := &token{claims: all, raw: raw, issued: verified.IssuedAt}
	if err := t.read(s.cfg, s.cfg.Now()); err != nil {
		return nil, err
	}
	// The library reads names in any case of letters, the map only as they are written.
	if verified.Subject != t.subject || verified.Issuer != s.cfg.Issuer {
		return nil, rejected("the ID token says two things")
	}
	return t, nil
}

// read takes the claims of the token itself out of all, and checks them.
func (t *token) read(c Config, now time.Time) error {
	all := t.claims
	issuer, _ := all.text("iss")
	if issuer != c.Issuer {
		return rejected("the ID token is another issuer's")
	}
	if err := all.checkAudience(c); err != nil {
		return err
	}
	var ok bool
	if t.subject, ok = all.text("sub"); !ok || t.subject == "" || len(t.subject) > 255 || !printable(t.subject) {
		return rejected("the ID token names nobody")
	}
	expires, ok := all.time("exp")
	if !ok || !now.Before(expires) {
		return rejected("the ID token is over")
	}
	if t.issued, ok = all.time("iat"); !ok || t.issued.After(now.Add(leeway)) || now.Sub(t.issued) > maxAge {
		return rejected("the ID token is not of now")
	}
	if all.has("auth_time") {
		if t.signedIn, ok = all.time("auth_time"); !ok || t.signedIn.After(now.Add(leeway)) {
			return rejected("the ID token does not say when the person signed in")
		}
	}
	for _, each := range []struct {
		name string
		to   *string
	}{{"nonce", &t.nonce}, {"sid", &t.session}} {
		if !all.has(each.name) {
			continue
		}
		if *each.to, ok = all.text(each.name); !ok || len(*each.to) > 255 {
			return rejected("a claim of the ID token is of another type")
		}
	}
	return nil
}

// checkAudience refuses a token that is for others, too, unless they are known and it was
// made for us.
func (all claims) checkAudience(c Config) error {
	audiences, ok := all.texts("aud")
	if !ok || !slices.Contains(audiences, c.ClientID) {
		return rejected("the token is not for us")
	}
	for _, a := range audiences {
		if a != c.ClientID && !slices.Contains(c.Audiences, a) {
			return rejected("the token is for others, too, whom the option audiences does not name")
		}
	}
	if azp, ok := all.text("azp"); (all.has("azp") || len(audiences) > 1) && (!ok || azp != c.ClientID) {
		return rejected("the token was made for another client")
	}
	return nil
}

// belongs refuses a token of another sign-in than the one that was begun.
func (t *token) belongs(st start) error {
	if subtle.ConstantTimeCompare([]byte(t.nonce), []byte(st.Nonce)) != 1 {
		return rejected("the ID token is of another sign-in")
	}
	if st.Again && (t.signedIn.IsZero() || t.signedIn.Before(st.At.Add(-leeway))) {
		// Without it nobody could tell whether the person was asked, or a session there
		// has answered for them.
		return rejected("the ID token does not show that the person signed in anew")
	}
	return nil
}

// claims are those of a token, by their exact names.
type claims map[string]json.RawMessage

// has reports whether the claim is there. What is null is not.
func (all claims) has(name string) bool {
	raw, ok := all[name]
	return ok && string(raw) != "null"
}

// text returns a claim that is a text.
func (all claims) text(name string) (string, bool) { return asText(all[name]) }

// texts returns a claim that is a text or a list of them.
func (all claims) texts(name string) ([]string, bool) { return asTexts(all[name]) }

// time returns a claim that is a number of seconds.
func (all claims) time(name string) (time.Time, bool) {
	var seconds float64
	if !all.has(name) || json.Unmarshal(all[name], &seconds) != nil || !(seconds >= 0 && seconds < math.MaxInt32*100) {
		return time.Time{}, false
	}
	return time.Unix(int64(seconds), 0).UTC(), true
}

func asText(raw json.RawMessage) (string, bool) {
	var text string
	if len(raw) == 0 || raw[0] != '"' || json.Unmarshal(raw, &text) != nil {
		return "", false
	}
	return text, true
}

func asTexts(raw json.RawMessage) ([]string, bool) {
	if text, ok := asText(raw); ok {
		return []string{text}, true
	}
	var list []json.RawMessage
	if len(raw) == 0 || raw[0] != '[' || json.Unmarshal(raw, &list) != nil {
		return nil, false
	}
	texts := make([]string, len(list))
	for i := range list {
		var ok bool
		if texts[i], ok = asText(list[i]); !ok {
			return nil, false
		}
	}
	return texts, true
}

// unverified returns a part of a token before its signature was checked: for what can
// only refuse it.
func unverified(token string, part int) (claims, bool) {
	parts := strings.Split(token, ".")
	if len(parts) != 3 {
		return nil, false
	}
	raw, err := base64.RawURLEncoding.Strict().DecodeString(parts[part])
	if err != nil {
		return nil, false
	}
	var all claims
	return all, json.Unmarshal(raw, &all) == nil && all != nil
}
