package session

import (
	"bytes"
	"crypto/rand"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/golang-jwt/jwt/v5"

	"github.com/secondgate/secondgate/mfa"
)

const (
	algorithm = "HS256"
	// maxToken is the most that is looked at: decoding comes after it (AC-011).
	maxToken = 4 << 10
	leeway   = 10 * time.Second
	keySize  = 32
)

// kind is one kind of token. Each has a type of its own, so that none passes for
// another (RFC 8725 §3.11, AC-008).
type kind uint8

const (
	complete kind = iota
	halfDone
	kinds // how many there are
)

var types = [kinds]string{
	complete: "mfa-session+jwt",
	halfDone: "mfa-half-done+jwt",
}

// header is the protected header of our tokens, in the order in which we write
// it.
type header struct {
	Algorithm string `json:"alg"`
	Key       string `json:"kid"`
	Type      string `json:"typ"`
}

// claims are the claims of our tokens, in the order in which we write them. What
// was proven is not among them: it stands in the record, where it can change.
type claims struct {
	Issuer    string `json:"iss"`
	Audience  string `json:"aud"`
	User      string `json:"sub"`
	Session   string `json:"sid"`
	Token     string `json:"jti"`
	IssuedAt  int64  `json:"iat"`
	NotBefore int64  `json:"nbf"`
	Expires   int64  `json:"exp"`
}

// These make claims a jwt.Claims; the library's validator reads them.

func (c *claims) GetIssuer() (string, error)              { return c.Issuer, nil }
func (c *claims) GetSubject() (string, error)             { return c.User, nil }
func (c *claims) GetAudience() (jwt.ClaimStrings, error)  { return jwt.ClaimStrings{c.Audience}, nil }
func (c *claims) GetIssuedAt() (*jwt.NumericDate, error)  { return date(c.IssuedAt), nil }
func (c *claims) GetNotBefore() (*jwt.NumericDate, error) { return date(c.NotBefore), nil }
func (c *claims) GetExpirationTime() (*jwt.NumericDate, error) {
	return date(c.Expires), nil
}

// date is nil for 0, which the library takes for "not there".
func date(seconds int64) *jwt.NumericDate {
	if seconds == 0 {
		return nil
	}
	return jwt.NewNumericDate(time.Unix(seconds, 0))
}

// ErrInvalid is a token that this installation did not issue for this use: worth
// an event, unlike a session that has ended. It wraps mfa.ErrNoSession.
var ErrInvalid = fmt.Errorf("invalid token: %w", mfa.ErrNoSession)

// sign returns the token of a session.
func (m *Manager) sign(k kind, s *mfa.Session, now time.Time) (string, error) {
	c := &claims{
		Issuer:    m.issuer,
		Audience:  s.Scope,
		User:      string(s.User),
		Session:   string(s.ID),
		Token:     rand.Text(),
		IssuedAt:  now.Unix(),
		NotBefore: now.Unix(),
		Expires:   s.Expires.Unix(),
	}
	if k == halfDone {
		// The end of a half-done sign-in moves with each step, in its record; its
		// token must not end before.
		c.Expires = now.Add(m.absolute).Unix()
	}
	switch {
	case c.Audience == "" || c.User == "" || c.Session == "":
		return "", errors.New("issuing a token: the session lacks its ID, user or scope")
	case c.Expires <= c.IssuedAt || c.Expires-c.IssuedAt > seconds(m.absolute)+1:
		return "", errors.New("issuing a token: the session has ended or lives too long")
	}
	ring := m.ring.Load()
	token := jwt.NewWithClaims(jwt.SigningMethodHS256, c)
	token.Header["kid"] = ring.signing
	token.Header["typ"] = types[k]
	signed, err := token.SignedString(ring.keys[ring.signing])
	if err != nil {
		return "", fmt.Errorf("issuing a token: %w", err)
	}
	return signed, nil
}

// parse checks all that a token says by itself: that we wrote exactly these
// bytes with one of these keys, for this kind of use and this scope, and that it is its
// time.
func (m *Manager) parse(ring *ring, k kind, token, scope string, now time.Time) (*claims, error) {
	if len(token) > maxToken || scope == "" || !plain(token) {
		return nil, ErrInvalid
	}
	// The header is compared with what we would have written before anything else
	// is decoded: no other member (crit, jku, jwk, x5u, b64), no other spelling,
	// no other algorithm gets further (AC-001, AC-003, AC-009).
	first, _, ok := strings.Cut(token, ".")
	if !ok {
		return nil, ErrInvalid
	}
	head, err := base64.RawURLEncoding.Strict().DecodeString(first)
	if err != nil {
		return nil, ErrInvalid
	}
	var h header
	if !canonical(head, &h) || h.Algorithm != algorithm || h.Type != types[k] {
		return nil, ErrInvalid
	}
	key, ok := ring.keys[h.Key]
	if !ok {
		return nil, errUnknownKey
	}

	var c claims
	parser := jwt.NewParser(
		jwt.WithValidMethods([]string{algorithm}),
		jwt.WithStrictDecoding(),
		jwt.WithExpirationRequired(),
		jwt.WithNotBeforeRequired(),
		jwt.WithIssuedAt(),
		jwt.WithIssuer(m.issuer),
		jwt.WithAudience(scope),
		jwt.WithLeeway(leeway),
		jwt.WithTimeFunc(func() time.Time { return now }),
	)
	_, err = parser.ParseWithClaims(token, &c, func(*jwt.Token) (any, error) { return key, nil })
	if errors.Is(err, jwt.ErrTokenExpired) {
		return nil, mfa.ErrNoSession // it was ours once
	}
	if err != nil {
		return nil, ErrInvalid
	}
	// The payload too must be what we would have written. Duplicate members and
	// members in another case mean different things to different readers (AC-020).
	second, _, _ := strings.Cut(token[len(first)+1:], ".")
	payload, err := base64.RawURLEncoding.Strict().DecodeString(second)
	if err != nil {
		return nil, ErrInvalid
	}
	var again claims
	if !canonical(payload, &again) || again != c {
		return nil, ErrInvalid
	}
	switch {
	case c.User == "" || c.Session == "" || c.Token == "" || c.IssuedAt <= 0 || c.Expires <= 0:
		return nil, ErrInvalid
	case c.Expires-c.IssuedAt > seconds(m.absolute)+1:
		// A token that outlives every session of ours was not made by this
		// configuration (AC-005).
		return nil, ErrInvalid
	}
	return &c, nil
}

// plain reports whether the token has only the characters of one. Go's base64
// skips line ends, even strictly, and would give one token many spellings.
func plain(token string) bool {
	for i := 0; i < len(token); i++ {
		switch c := token[i]; {
		case 'a' <= c && c <= 'z', 'A' <= c && c <= 'Z', '0' <= c && c <= '9', c == '-', c == '_', c == '.':
		default:
			return false
		}
	}
	return true
}

// canonical decodes data into v and reports whether encoding v gives the same
// bytes again.
func canonical(data []byte, v any) bool {
	if json.Unmarshal(data, v) != nil {
		return false
	}
	again, err := json.Marshal(v)
	return err == nil && bytes.Equal(again, data)
}

func seconds(d time.Duration) int64 { return int64(d / time.Second) }
