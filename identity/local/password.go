package local

import (
	"context"
	"strings"
	"unicode"
	"unicode/utf8"

	"golang.org/x/text/unicode/norm"

	"github.com/secondgate/secondgate/mfa"
)

// Bounds of passwords (NIST SP 800-63B-4 §3.1.1.2). The upper one keeps what is
// hashed small.
const (
	minPassword      = 12   // code points
	maxPassword      = 256  // code points
	maxPasswordBytes = 1024 // as entered
	minWord          = 4    // shorter words of the context may be in a password
)

// Check returns a *mfa.PasswordError where a rule refuses the password. The
// words are its context: of the user name, the host and the like, each part of
// four or more letters and digits must not be in it. Nothing is asked of the
// kinds of characters: such rules make passwords worse.
func (*Source) Check(password string, words ...string) error {
	secret, err := prepare(password)
	if err != nil {
		return err
	}
	text := string(secret)
	if n := utf8.RuneCountInString(text); n < minPassword {
		return &mfa.PasswordError{Rule: mfa.PasswordTooShort}
	}
	folded := strings.ToLower(text)
	for _, word := range words {
		for _, part := range wordParts(word) {
			if strings.Contains(folded, part) {
				return &mfa.PasswordError{Rule: mfa.PasswordHasName}
			}
		}
	}
	if common(folded) {
		return &mfa.PasswordError{Rule: mfa.PasswordCommon}
	}
	return nil
}

// Hash returns the PHC string of the password in NFC, or mfa.ErrBusy, or a
// *mfa.PasswordError where the password is longer than any may be or no text.
func (s *Source) Hash(ctx context.Context, password string) (mfa.Secret, error) {
	secret, err := prepare(password)
	if err != nil {
		return nil, err
	}
	if len(secret) == 0 {
		return nil, &mfa.PasswordError{Rule: mfa.PasswordTooShort}
	}
	phc, err := s.hasher.Hash(ctx, secret)
	if err != nil {
		return nil, fault("hashing a password", err)
	}
	return mfa.Secret(phc), nil
}

// prepare brings a password to the one form that is hashed. Length and encoding
// are looked at first: normalising has hung on damaged and very long text
// (CVE-2026-56852), and hashing it costs us, not the sender. Nothing is trimmed
// and no case folded: the whole password counts.
func prepare(password string) ([]byte, error) {
	if len(password) > maxPasswordBytes {
		return nil, &mfa.PasswordError{Rule: mfa.PasswordTooLong}
	}
	if !utf8.ValidString(password) {
		return nil, &mfa.PasswordError{Rule: mfa.PasswordNotText}
	}
	secret := norm.NFC.Bytes([]byte(password))
	if utf8.RuneCount(secret) > maxPassword {
		return nil, &mfa.PasswordError{Rule: mfa.PasswordTooLong}
	}
	return secret, nil
}

// wordParts returns the parts of a name that must not be in a password.
func wordParts(word string) []string {
	var parts []string
	for _, part := range strings.FieldsFunc(strings.ToLower(word), func(r rune) bool {
		return !unicode.IsLetter(r) && !unicode.IsDigit(r)
	}) {
		if utf8.RuneCountInString(part) >= minWord {
			parts = append(parts, part)
		}
	}
	return parts
}
