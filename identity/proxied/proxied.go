// Package proxied is the identity source of people whom something before the gate has
// signed in already: an authenticator of the server, a client certificate, another
// gateway. The HTTP edge says whom it found; this package says whether that can be
// somebody, and who.
//
// Nobody is a name that is empty, or that looks as if a placeholder had not been replaced:
// to take either for a name would make everybody one and the same user (AC-183).
package proxied

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/secondgate/secondgate/mfa"
)

// Config is what a Source is made of.
type Config struct {
	Name string // the source's name in users' records
	// EmailVerified believes that the addresses are the people's own.
	EmailVerified bool
}

// Source takes identities that were established before the gate. It is safe for
// concurrent use.
type Source struct{ cfg Config }

// New returns a Source.
func New(c Config) (*Source, error) {
	if c.Name == "" {
		return nil, errors.New("making the source of established identities: it has no name")
	}
	return &Source{c}, nil
}

// Source returns the source's name.
func (s *Source) Source() string { return s.cfg.Name }

// maxSubject is how long what names somebody may be, in bytes.
const maxSubject = 256

// maxGroups is how many groups of a person count.
const maxGroups = 1000

var errNobody = fmt.Errorf("%w: nobody was established before the gate", mfa.ErrRejected)

// Identify returns the identity that the claim stands for. Names count as they are,
// upper and lower case apart: whoever established them knows whether the two are one.
// mfa.ErrRejected where it is nobody's.
func (s *Source) Identify(c mfa.Claim) (*mfa.Identity, error) {
	if c.Source != s.cfg.Name || !Somebody(c.Subject) {
		return nil, errNobody
	}
	id := &mfa.Identity{Source: s.cfg.Name, Subject: c.Subject, Name: c.Subject}
	if Somebody(c.DisplayName) {
		id.DisplayName = c.DisplayName
	}
	if Somebody(c.Email) && strings.Contains(c.Email, "@") && !strings.ContainsAny(c.Email, " ,;<>") {
		id.Email, id.EmailVerified = c.Email, s.cfg.EmailVerified
	}
	for group := range strings.SplitSeq(c.Groups, ",") {
		if group = strings.TrimSpace(group); Somebody(group) && !slices.Contains(id.Groups, group) && len(id.Groups) < maxGroups {
			id.Groups = append(id.Groups, group)
		}
	}
	return id, nil
}

// Somebody reports whether a text can be the name of somebody: it is not empty nor too
// long, one line without blanks around it, and no placeholder.
func Somebody(name string) bool {
	if name == "" || len(name) > maxSubject || !utf8.ValidString(name) || strings.TrimSpace(name) != name {
		return false
	}
	return !strings.ContainsFunc(name, func(r rune) bool {
		return r == '{' || r == '}' || unicode.IsControl(r) || r == '\u2028' || r == '\u2029'
	})
}

var _ mfa.ClaimSource = (*Source)(nil)
