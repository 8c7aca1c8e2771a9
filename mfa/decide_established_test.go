package mfa_test

import (
	"testing"
	"time"

	"github.com/secondgate/secondgate/mfa"
)

// AC-183: where nobody was established and nothing else signs in, a page for signing in has
// nothing to offer, and a redirect to it is a loop.
func TestDecide_AC183_NotEstablished(t *testing.T) {
	now := time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)
	policy := mfa.DefaultPolicy()
	alice := mfa.Claim{Source: "proxied", Subject: "alice"}
	for _, c := range []struct {
		what string
		only bool
		who  mfa.Claim
		in   func(*mfa.Input)
		want mfa.Decision
	}{
		{"nobody, and other sources", false, mfa.Claim{}, nil, mfa.Decision{Action: mfa.SignIn, Reason: mfa.ReasonNoSession}},
		{"nobody, and no other source", true, mfa.Claim{}, nil, mfa.Decision{Reason: mfa.ReasonNotEstablished}},
		{"alice, and no other source", true, alice, nil, mfa.Decision{Action: mfa.SignIn, Reason: mfa.ReasonNoSession}},
		{"nobody on a bypass", true, mfa.Claim{}, func(in *mfa.Input) {
			p := *in.Policy
			p.Bypass = true
			in.Policy = &p
		}, mfa.Decision{Action: mfa.Allow, Reason: mfa.ReasonBypass}},
		{"nobody, without a policy", true, mfa.Claim{}, func(in *mfa.Input) { in.Policy = nil }, mfa.Decision{Reason: mfa.ReasonNoPolicy}},
		{"nobody, and a policy that is off", true, mfa.Claim{}, func(in *mfa.Input) {
			in.Policy = &mfa.Policy{Off: true, Optional: true}
		}, mfa.Decision{Reason: mfa.ReasonNotEstablished}},
	} {
		in := mfa.Input{Policy: &policy, Place: &mfa.Place{Host: "app.example.com", Established: c.who}, OnlyEstablished: c.only}
		if c.in != nil {
			c.in(&in)
		}
		if got := mfa.Decide(in, now); got != c.want {
			t.Errorf("AC-183 %s: %+v", c.what, got)
		}
	}
}
