package mfa

import (
	"fmt"
	"strings"
)

// Kind names a mechanism that a user enrolls. A kind that this version does not
// know (a record written by a newer one) is still a kind: it counts as enrolled,
// so that a downgrade never turns a protected user into an unprotected one.
type Kind string

// The kinds of factor. All but BackupCode are primary.
const (
	Passkey    Kind = "passkey"
	TOTP       Kind = "totp"
	SMS        Kind = "sms"
	Email      Kind = "email"
	BackupCode Kind = "backup_code"
)

// kinds is the order in which pages list factors.
var kinds = [...]Kind{Passkey, TOTP, SMS, Email, BackupCode}

// Kinds is a set of kinds.
type Kinds uint8

const unknownKind Kinds = 1 << 7

// PrimaryKinds holds every primary factor.
const PrimaryKinds Kinds = 1<<0 | 1<<1 | 1<<2 | 1<<3

// allKinds holds every factor.
const allKinds Kinds = PrimaryKinds | 1<<4

// KindsOf returns the set of the given kinds.
func KindsOf(list ...Kind) Kinds {
	var s Kinds
	for _, k := range list {
		s |= k.set()
	}
	return s
}

func (k Kind) set() Kinds {
	for i, known := range kinds {
		if k == known {
			return 1 << i
		}
	}
	return unknownKind
}

// Primary reports whether k is a primary factor.
func (k Kind) Primary() bool { return k.set()&PrimaryKinds != 0 }

// Has reports whether k is in s. An unknown kind is in no set.
func (s Kinds) Has(k Kind) bool { return s&k.set()&^unknownKind != 0 }

// List returns the known kinds of s in the order in which pages show them.
func (s Kinds) List() []Kind {
	var list []Kind
	for _, k := range kinds {
		if s.Has(k) {
			list = append(list, k)
		}
	}
	return list
}

// String returns the kinds as the Caddyfile writes them.
func (s Kinds) String() string {
	var names []string
	for _, k := range s.List() {
		names = append(names, string(k))
	}
	return strings.Join(names, " ")
}

// MarshalText writes the kinds as the Caddyfile does, so that records can be read.
func (s Kinds) MarshalText() ([]byte, error) { return []byte(s.String()), nil }

// UnmarshalText reads what MarshalText wrote. A name that this version does not know is
// an error: left out, a set would ask less, or nothing.
func (s *Kinds) UnmarshalText(text []byte) error {
	*s = 0
	names := strings.Fields(string(text))
	if len(names) == 0 {
		return nil
	}
	var err error
	*s, err = ParseKinds(names)
	return err
}

// ParseKinds reads a list of factors. It refuses an empty list, an unknown name
// and a repeated one (rule B1).
func ParseKinds(names []string) (Kinds, error) {
	if len(names) == 0 {
		return 0, fmt.Errorf("factors: the list is empty; write for example: factors passkey totp backup_code")
	}
	var s Kinds
	for _, name := range names {
		bit := Kind(name).set()
		if bit == unknownKind {
			return 0, fmt.Errorf("factors: %q is not a factor; there are passkey, totp, sms, email and backup_code", name)
		}
		if s&bit != 0 {
			return 0, fmt.Errorf("factors: %q stands twice; write it once", name)
		}
		s |= bit
	}
	return s, nil
}
