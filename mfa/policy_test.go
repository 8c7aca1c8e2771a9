package mfa

import (
	"testing"
	"time"
)

func TestRequirement_Plus(t *testing.T) {
	passkey, totp := KindsOf(Passkey), KindsOf(TOTP)
	for _, c := range []struct{ a, b, want Requirement }{
		{Requirement{}, Requirement{}, Requirement{}},
		{Requirement{Fresh: time.Hour}, Requirement{}, Requirement{Fresh: time.Hour}},
		{Requirement{Fresh: time.Hour}, Requirement{Fresh: time.Minute}, Requirement{Fresh: time.Minute}},
		{Requirement{Factors: passkey | totp}, Requirement{Factors: totp}, Requirement{Factors: totp}},
		{Requirement{Factors: totp}, Requirement{PhishingResistant: true}, Requirement{Factors: totp, PhishingResistant: true}},
		{Requirement{Factors: passkey}, Requirement{Factors: totp}, Requirement{Factors: impossible}},
		{Requirement{Factors: impossible}, Requirement{Factors: totp}, Requirement{Factors: impossible}},
	} {
		if got := c.a.Plus(c.b); got != c.want {
			t.Errorf("%+v + %+v = %+v, want %+v", c.a, c.b, got, c.want)
		}
		if got := c.b.Plus(c.a); got != c.want {
			t.Errorf("%+v + %+v = %+v, want %+v", c.b, c.a, got, c.want)
		}
	}
}
