package pages

import (
	"testing"

	"github.com/secondgate/secondgate/mfa"
)

// A form that goes off after six digits would spend an attempt of who has eight.
func TestCodeDigits(t *testing.T) {
	app := func(digits int) mfa.Held { return mfa.Held{Kind: mfa.TOTP, Digits: digits} }
	other := mfa.Held{Kind: mfa.Passkey}
	for _, tc := range []struct {
		held []mfa.Held
		want int
	}{
		{nil, 6},
		{[]mfa.Held{other}, 6},
		{[]mfa.Held{app(0)}, 6},
		{[]mfa.Held{other, app(8)}, 8},
		{[]mfa.Held{app(8), app(8)}, 8},
		{[]mfa.Held{app(0), app(8)}, 0},
		{[]mfa.Held{app(7), other, app(0)}, 0},
	} {
		if got := codeDigits(&mfa.Subject{Held: tc.held}); got != tc.want {
			t.Errorf("%+v: %d, want %d", tc.held, got, tc.want)
		}
	}
}
