package session

import (
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"errors"
	"fmt"
	"strings"
	"sync/atomic"
	"time"

	"github.com/golang-jwt/jwt/v5"

	"github.com/secondgate/secondgate/mfa"
)

const (
	// AssertionLife is how long an assertion is good. An app that is sent one must not
	// believe it any longer, and so this is also how long one outlives a sign-out.
	AssertionLife = 60 * time.Second
	// assertionSpare is the life that an assertion has left at least when it is sent: it
	// is made anew before. An app's clock may be late by as much.
	assertionSpare = 30 * time.Second
	// maxAssertion is the most that a header of ours takes: many servers refuse
	// requests with more than 8 KB of headers.
	maxAssertion = 6 << 10
	// assertionType keeps it apart from every other token, ours and others' (RFC 8725
	// §3.11, AC-008).
	assertionType = "mfa-assertion+jwt"
)

// AssertionConfig is what Assertions are made of. Every field without a note is required.
type AssertionConfig struct {
	Algorithm Algorithm // EdDSA or ES256
	// Keys are secrets that signing keys are made of. The first one that apps can know by
	// now signs, all are published.
	Keys []Key
	// Issuer is who says it: "https://auth.example.com". Empty: the app's own origin,
	// below which the gateway has its pages and its keys.
	Issuer string
	// Passwords reports whether people sign in with a password at the source of that
	// name. nil: at none, and nothing is said of passwords.
	Passwords func(source string) bool
	// Policy knows the organizations. It may return nil, and then there are none.
	Policy func() *mfa.Policy
	Now    func() time.Time // nil: time.Now
}

// Assertions makes the signed statements that tell apps who somebody is and what was
// proven. They are of use to apps alone: no function of this package takes one. It is safe
// for concurrent use.
type Assertions struct {
	algorithm Algorithm
	signers   atomic.Pointer[signers]
	issuer    string
	passwords func(string) bool
	policy    func() *mfa.Policy
	now       func() time.Time
}

// NewAssertions checks the configuration and makes the keys.
func NewAssertions(cfg AssertionConfig) (*Assertions, error) {
	a := &Assertions{algorithm: cfg.Algorithm, issuer: cfg.Issuer, passwords: cfg.Passwords, policy: cfg.Policy, now: cfg.Now}
	if cfg.Policy == nil {
		return nil, errors.New("making assertions: no policy")
	}
	if a.passwords == nil {
		a.passwords = func(string) bool { return false }
	}
	if a.now == nil {
		a.now = time.Now
	}
	if err := a.SetKeys(cfg.Keys); err != nil {
		return nil, err // it says what it was doing
	}
	return a, nil
}

// KeySet returns the public keys as a JWK Set (RFC 7517 §5). It must not be changed.
func (a *Assertions) KeySet() []byte { return a.signers.Load().published }

// assertion is what is said, in the form of claims.
type assertion struct {
	Issuer    string   `json:"iss"`
	Audience  string   `json:"aud"`
	User      string   `json:"sub"`
	UserName  string   `json:"preferred_username"`
	Name      string   `json:"name,omitempty"`
	Email     string   `json:"email,omitempty"`
	Groups    []string `json:"groups,omitempty"`
	Org       []string `json:"org,omitempty"`
	Methods   []string `json:"amr,omitempty"`
	Class     string   `json:"acr"`
	AuthTime  int64    `json:"auth_time,omitempty"`
	Session   string   `json:"sid"`
	Token     string   `json:"jti"`
	IssuedAt  int64    `json:"iat"`
	NotBefore int64    `json:"nbf"`
	Expires   int64    `json:"exp"`
}

// These make assertion a jwt.Claims; nothing here reads one again.

func (c *assertion) GetIssuer() (string, error)              { return c.Issuer, nil }
func (c *assertion) GetSubject() (string, error)             { return c.User, nil }
func (c *assertion) GetAudience() (jwt.ClaimStrings, error)  { return jwt.ClaimStrings{c.Audience}, nil }
func (c *assertion) GetIssuedAt() (*jwt.NumericDate, error)  { return date(c.IssuedAt), nil }
func (c *assertion) GetNotBefore() (*jwt.NumericDate, error) { return date(c.NotBefore), nil }
func (c *assertion) GetExpirationTime() (*jwt.NumericDate, error) {
	return date(c.Expires), nil
}

// Audience is the app that an assertion is for. In two parts, because the hot path has them
// so, and putting them together costs it an allocation.
type Audience struct {
	HTTPS bool
	Host  string // host and, where it is not the scheme's own, port
}

// ParseAudience returns the audience of an origin as browsers write it:
// "https://app.example.com". Another text gives the zero value, which is no app's.
func ParseAudience(origin string) Audience {
	if host, ok := strings.CutPrefix(origin, "https://"); ok {
		return Audience{true, host}
	}
	host, _ := strings.CutPrefix(origin, "http://")
	if host == origin {
		host = ""
	}
	return Audience{false, host}
}

// String returns the origin.
func (to Audience) String() string {
	if to.HTTPS {
		return "https://" + to.Host
	}
	return "http://" + to.Host
}

// Of returns the assertion of a complete session for that app, with at least half a minute to live where the session has as
// much. mfa.ErrNoSession where the view is nobody's or not a complete session's; any other
// error means that none can be made. The caller has decided that the request may pass: Of
// looks at no policy for that.
//
// A view that came from Manager.Verify keeps what was made, for a few origins; another one
// pays for a signature each time.
func (a *Assertions) Of(v *View, to Audience) (string, error) {
	if v == nil || v.Session == nil || v.Subject == nil {
		return "", mfa.ErrNoSession
	}
	now := a.now()
	signers := a.signers.Load()
	by := signers.at(now)
	var orgs *mfa.Directory
	if p := a.policy(); p != nil {
		orgs = p.Organizations
	}
	if v.asserted != nil {
		if token := v.asserted.find(by.stamp, orgs, to, now); token != "" {
			return token, nil
		}
	}
	c, err := a.claims(v, orgs, to, now)
	if err != nil {
		return "", err
	}
	token := jwt.NewWithClaims(signers.method, c)
	token.Header["kid"] = by.kid
	token.Header["typ"] = assertionType
	signed, err := token.SignedString(by.private)
	switch {
	case err != nil:
		return "", fmt.Errorf("signing an assertion: %w", err)
	case len(signed) > maxAssertion:
		return "", fmt.Errorf("signing an assertion: %d bytes are more than a header may have (%d); the user is in too many groups", len(signed), maxAssertion)
	}
	if v.asserted != nil {
		v.asserted.keep(&asserted{
			by: by.stamp, orgs: orgs, to: to, token: signed, from: now.UnixNano(), until: renewal(c).UnixNano(),
		}, now)
	}
	return signed, nil
}

// renewal is from when on the assertion is not sent any more. One that the end of its
// session cuts short cannot be made longer, and is sent to its end.
func renewal(c *assertion) time.Time {
	end := time.Unix(c.Expires, 0)
	if c.Expires-c.IssuedAt < seconds(AssertionLife) {
		return end
	}
	return end.Add(-assertionSpare)
}

func (a *Assertions) claims(v *View, orgs *mfa.Directory, to Audience, now time.Time) (*assertion, error) {
	s, u := v.Session, v.Subject
	switch {
	case to.Host == "":
		return nil, errors.New("signing an assertion: for no app")
	case !s.Complete, s.ID == "", u.ID == "", s.User != u.ID, s.Generation != u.Generation, u.Disabled, !now.Before(s.Expires):
		return nil, mfa.ErrNoSession
	}
	end := now.Add(AssertionLife)
	if s.Expires.Before(end) {
		end = s.Expires
	}
	origin := to.String()
	d := doneIn(s, u, a.passwords(u.Source))
	c := &assertion{
		Issuer: a.issuer, Audience: origin, User: string(u.ID), UserName: u.Name, Name: u.DisplayName, Email: u.Email,
		Groups: u.Groups, Methods: d.amr, Class: d.acr, Session: handle(s, origin), Token: rand.Text(),
		IssuedAt: now.Unix(), NotBefore: now.Unix(), Expires: end.Unix(),
	}
	if !d.at.IsZero() {
		c.AuthTime = d.at.Unix()
	}
	if c.Issuer == "" {
		c.Issuer = origin
	}
	for _, o := range orgs.Of(u) {
		c.Org = append(c.Org, string(o.ID))
	}
	if c.Expires <= c.IssuedAt {
		return nil, mfa.ErrNoSession // it ends within this second
	}
	return c, nil
}

// handle names the session to one app, over all changes of its ID. It is good for nothing
// but comparing, and two apps cannot compare theirs.
func handle(s *mfa.Session, origin string) string {
	name := s.Line
	if name == "" {
		name = string(s.ID)
	}
	sum := sha256.Sum256([]byte("secondgate:v1:assertion sid\x00" + origin + "\x00" + name))
	return base64.RawURLEncoding.EncodeToString(sum[:16])
}
