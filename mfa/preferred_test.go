package mfa

import (
	"testing"
	"time"
)

// Which page opens, by the primary factors that are available (rule B20).
func TestPreferred_B20(t *testing.T) {
	at := func(minutes int) time.Time { return time.Date(2026, 11, 26, 9, minutes, 0, 0, time.UTC) }
	used := func(k Kind, minute int) Credential {
		return Credential{ID: CredentialID(k), Kind: k, LastUsed: at(minute)}
	}
	unused := func(k Kind) Credential { return Credential{ID: CredentialID(k), Kind: k} }
	can := func(list ...Kind) (methods []Method) {
		for _, k := range KindsOf(list...).List() {
			methods = append(methods, Method{Kind: k, Available: true})
		}
		return methods
	}
	everything := PrimaryKinds | KindsOf(BackupCode)
	for _, c := range []struct {
		name    string
		held    []Credential
		methods []Method
		wanted  Kinds
		want    Kind
	}{
		{"one", []Credential{unused(Email)}, can(Email), everything, Email},
		{"one, and codes", []Credential{unused(TOTP)}, can(TOTP, BackupCode), everything, TOTP},
		{"several with a passkey", []Credential{unused(Passkey), used(TOTP, 5)}, can(Passkey, TOTP), everything, Passkey},
		{"several without, one used before", []Credential{unused(TOTP), used(SMS, 1)}, can(TOTP, SMS), everything, SMS},
		{"several without, the one used last", []Credential{used(TOTP, 1), used(SMS, 3), used(Email, 2)}, can(TOTP, SMS, Email), everything, SMS},
		{"several, none ever used: the list", []Credential{unused(TOTP), unused(SMS)}, can(TOTP, SMS), everything, ""},
		{"a code was used last, which is no primary factor", []Credential{unused(TOTP), unused(SMS), used(BackupCode, 9)}, can(TOTP, SMS, BackupCode), everything, ""},
		{"none but codes", []Credential{used(TOTP, 1)}, can(BackupCode), everything, BackupCode},
		{"nothing", nil, nil, everything, ""},
		{"the passkey is locked", []Credential{unused(Passkey), used(TOTP, 1), used(SMS, 2)}, append([]Method{{Kind: Passkey}}, can(TOTP, SMS)...), everything, SMS},
		{"the one used last is not asked for here", []Credential{used(TOTP, 1), used(SMS, 2)}, can(TOTP, SMS), KindsOf(TOTP), TOTP},
	} {
		t.Run("B20 "+c.name, func(t *testing.T) {
			if got := preferred(c.methods, &User{Credentials: c.held}, c.wanted); got != c.want {
				t.Errorf("%q opens, want %q", got, c.want)
			}
		})
	}
}
