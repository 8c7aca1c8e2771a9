package otpcode

import (
	"strings"
	"unicode/utf8"

	"github.com/secondgate/secondgate/mfa"
)

const (
	maxEmail = 254 // bytes, RFC 5321 §4.5.3.1.3
	stars    = "****"
	dots     = "••••"
)

// Address returns the one spelling of an address or a number that is kept, or
// mfa.ErrName, or mfa.ErrCountry.
func (f *Factor) Address(channel mfa.Kind, entered string) (string, error) {
	switch channel {
	case mfa.Email:
		return emailAddress(entered)
	case mfa.SMS:
		return f.phones.address(entered)
	}
	return "", mfa.ErrName
}

// emailAddress has the rules of the core for the address of a user: exactly one @,
// no comments, no quotes, nothing that could end a header line or add a recipient.
//
// It has one more: an address is ASCII. A letter that looks like another one, or
// becomes another one in lower case (the Kelvin sign is a k), would make two people
// of one, or one of two. A domain in other letters is written as DNS writes it,
// "xn--…"; nothing is converted here, because it is not ours to say which name was
// meant.
func emailAddress(s string) (string, error) {
	s = strings.TrimSpace(s)
	if len(s) > maxEmail {
		return "", mfa.ErrName
	}
	for i := range len(s) {
		if c := s[i]; c <= ' ' || c >= 0x7f || strings.IndexByte(`,;:<>()[]\"|`, c) >= 0 {
			return "", mfa.ErrName
		}
	}
	s = strings.ToLower(s)
	local, domain, ok := strings.Cut(s, "@")
	if !ok || local == "" || strings.Contains(domain, "@") || !strings.Contains(domain, ".") ||
		strings.HasPrefix(domain, ".") || strings.HasSuffix(domain, ".") {
		return "", mfa.ErrName
	}
	return s, nil
}

// Mask returns the address as its owner recognises it and nobody else. It says
// nothing of how long an address is, and shows nothing of what it cannot read.
func (*Factor) Mask(channel mfa.Kind, address string) string {
	switch channel {
	case mfa.Email:
		return maskEmail(address)
	case mfa.SMS:
		return maskNumber(address)
	}
	return stars
}

func maskEmail(address string) string {
	local, domain, ok := strings.Cut(address, "@")
	if !ok || !utf8.ValidString(address) {
		return stars
	}
	letters := []rune(local)
	shown := 2
	switch {
	case len(letters) <= 1:
		shown = 0
	case len(letters) <= 3:
		shown = 1
	}
	return string(letters[:shown]) + stars + "@" + domain
}

func maskNumber(address string) string {
	const shown = 2
	if len(address) < 4*shown {
		return dots
	}
	last := address[len(address)-shown:]
	if strings.Trim(last, "0123456789") != "" {
		return dots
	}
	return dots + " " + last
}

// Display returns the address as people write it.
func (*Factor) Display(channel mfa.Kind, address string) string {
	if channel == mfa.SMS {
		return displayNumber(address)
	}
	return address
}
