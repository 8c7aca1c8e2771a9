package totp

import (
	"crypto/rand"
	"crypto/subtle"
	"encoding/base32"
	"fmt"
	"net/url"
	"strings"
	"time"

	"github.com/pquerna/otp"
	"github.com/pquerna/otp/hotp"

	"github.com/secondgate/secondgate/mfa"
)

const (
	secretSize = 20 // bytes, RFC 4226 §4 R6
	skew       = 1  // steps to either side, RFC 6238 §5.2
	// clockOff is to either side the time in which a wrong clock is recognised.
	clockOff = 10 * time.Minute
	maxInput = 32 // bytes; nobody types more spaces than that
)

var secretText = base32.StdEncoding.WithPadding(base32.NoPadding)

// Factor is the authenticator app. It has no state; the zero value is ready.
type Factor struct{}

// New returns the factor.
func New() *Factor { return &Factor{} }

// NewSecret makes 160 random bits. The text is base32 in groups of four.
func (*Factor) NewSecret() (data, text mfa.Secret, err error) {
	data = make(mfa.Secret, 1+secretSize)
	data[0] = version
	if _, err := rand.Read(data[1:]); err != nil {
		return nil, nil, fmt.Errorf("making a secret: %w", err)
	}
	return data, grouped(secretText.EncodeToString(data[1:])), nil
}

func grouped(s string) mfa.Secret {
	var out mfa.Secret
	for i := 0; i < len(s); i += 4 {
		if i > 0 {
			out = append(out, ' ')
		}
		out = append(out, s[i:min(i+4, len(s))]...)
	}
	return out
}

// URI returns the otpauth URI for the QR code. A colon parts issuer and account
// in its label, so those in the names themselves become spaces.
func (*Factor) URI(text mfa.Secret, issuer, account string) mfa.Secret {
	issuer, account = plain(issuer), plain(account)
	label := escape(account)
	if issuer != "" {
		label = escape(issuer) + ":" + label
	}
	uri := "otpauth://totp/" + label +
		"?secret=" + strings.ReplaceAll(string([]byte(text)), " ", "")
	if issuer != "" {
		uri += "&issuer=" + escape(issuer)
	}
	return mfa.Secret(uri + "&algorithm=SHA1&digits=6&period=30")
}

func plain(s string) string { return strings.TrimSpace(strings.ReplaceAll(s, ":", " ")) }

// escape writes a space as %20: several apps show a plus sign as it is.
func escape(s string) string { return strings.ReplaceAll(url.QueryEscape(s), "+", "%20") }

// Step returns the newest step within one of now whose code was entered. Where
// the code fits a step within ten minutes it is a *mfa.ClockError; everything
// else is mfa.ErrRejected. It compares with every step, in constant time.
//
// The form is checked before anything is compared, and what counts as used is
// the step, never the text: "123456" and "123 456" are one code, and no other
// spelling is any (AC-103).
func (*Factor) Step(data mfa.Secret, code string, now time.Time) (int64, error) {
	a, err := read(data)
	if err != nil {
		return 0, err
	}
	digits, ok := parse(code, a.digits)
	if !ok || now.Unix() < 0 {
		return 0, mfa.ErrRejected
	}
	secret := secretText.EncodeToString(a.secret)
	current := now.Unix() / a.period
	around := int64(clockOff/time.Second) / a.period
	var match, off int64 = -1, -1
	for step := current - around; step <= current+around; step++ {
		if step < 0 {
			continue
		}
		want, err := hotp.GenerateCodeCustom(secret, uint64(step), hotp.ValidateOpts{
			Digits: otp.Digits(a.digits), Algorithm: a.algorithm,
		})
		if err != nil {
			// The library's error may repeat the secret; ours must not.
			return 0, fmt.Errorf("computing a code: %w", mfa.ErrRejected)
		}
		if subtle.ConstantTimeCompare([]byte(want), []byte(digits)) != 1 {
			continue
		}
		if step >= current-skew && step <= current+skew {
			match = step
		} else if off < 0 || distance(step, current) < distance(off, current) {
			off = step
		}
	}
	switch {
	case match >= 0:
		return match, nil
	case off >= 0:
		return 0, &mfa.ClockError{Off: time.Duration((off-current)*a.period) * time.Second}
	}
	return 0, mfa.ErrRejected
}

func distance(a, b int64) int64 { return max(a-b, b-a) }

// parse returns the ASCII digits of a code. Spaces between them are left out, because
// apps show them in groups; nothing else is.
func parse(code string, n int) (string, bool) {
	if len(code) > maxInput {
		return "", false
	}
	digits := make([]byte, 0, n)
	for i := 0; i < len(code); i++ {
		switch c := code[i]; {
		case c == ' ':
		case c >= '0' && c <= '9' && len(digits) < n:
			digits = append(digits, c)
		default:
			return "", false
		}
	}
	return string(digits), len(digits) == n
}

var (
	_ mfa.Authenticator      = (*Factor)(nil)
	_ mfa.AuthenticatorMover = (*Factor)(nil)
)
