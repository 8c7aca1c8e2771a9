package mfa_test

import (
	"slices"
	"strings"
	"testing"

	"github.com/secondgate/secondgate/mfa"
)

// B32: what a user meets at an address is said by the decision itself, to nobody who may
// not read the policy, and nothing is changed by the question.
func TestAdministration_B32_ExplainAccess(t *testing.T) {
	acme := &mfa.Organization{ID: "acme", Require: true, Factors: mfa.KindsOf(mfa.Passkey), Domains: []string{"example.com"}, Declared: true}
	w, _ := governed(t, mfa.PolicySettings{}, acme)
	_, _, out := w.alice()
	must(t, w.store.UpdateUser(t.Context(), out.Subject.ID, func(u *mfa.User) error {
		u.Email, u.EmailVerified = "alice@example.com", true
		return nil
	}))
	gate := func(name string, r mfa.Route) mfa.AccessGate { return mfa.AccessGate{Name: name, Route: r} }
	ask := func(a *mfa.Administration, gates ...mfa.AccessGate) (*mfa.Access, error) {
		return a.ExplainAccess(t.Context(), out.Subject.ID, mfa.AccessQuery{URL: "https://app.example.com/", Place: w.at, Gates: gates})
	}
	for _, test := range []struct {
		name  string
		gates []mfa.AccessGate
		want  string // the last step: the session that there is
		where string
	}{
		{"the gateway's policy", []mfa.AccessGate{gate("mfa", mfa.Route{})}, "allow", ""},
		{"a second gate asks more", []mfa.AccessGate{gate("mfa", mfa.Route{}), gate("mfa /x", mfa.Route{Need: mfa.Requirement{PhishingResistant: true}})}, "set_up:needs_factor", "mfa /x"},
		{"needs add up", []mfa.AccessGate{
			gate("one", mfa.Route{Need: mfa.Requirement{Factors: mfa.KindsOf(mfa.Passkey, mfa.TOTP)}}), gate("two", mfa.Route{Need: mfa.Requirement{Factors: mfa.KindsOf(mfa.Email)}}),
		}, "refuse:cannot_be_here", "two"},
		{"a bypass lifts what asks nothing", []mfa.AccessGate{{Name: "open", Bypass: true}, gate("mfa", mfa.Route{})}, "allow:bypass", ""},
		{"a bypass lifts nothing else", []mfa.AccessGate{{Name: "open", Bypass: true}, gate("mfa /x", mfa.Route{Need: mfa.Requirement{PhishingResistant: true}})}, "set_up:needs_factor", "mfa /x"},
		{"an organization's route, by address", []mfa.AccessGate{gate("mfa", mfa.Route{Organization: "acme"})}, "set_up:needs_factor", "mfa"},
		{"another organization's", []mfa.AccessGate{gate("mfa", mfa.Route{Organization: "beta"})}, "refuse:not_member", "mfa"},
	} {
		t.Run(test.name, func(t *testing.T) {
			before := as[*mfa.User](t)(w.store.User(t.Context(), out.Subject.ID))
			x := as[*mfa.Access](t)(ask(w.machine(), test.gates...))
			last := x.Steps[len(x.Steps)-1]
			got := last.Action
			if last.Reason != "" {
				got += ":" + string(last.Reason)
			}
			if got != test.want || last.Gate != test.where || !strings.HasPrefix(last.With, "the newest session") || last.Why == "" {
				t.Errorf("%s at %q, want %s at %q", got, last.Gate, test.want, test.where)
			}
			if x.Steps[0].With != "nothing: nobody is signed in" || x.Steps[1].With != "the password" || len(x.Steps) != 5 {
				t.Errorf("steps: %+v", x.Steps)
			}
			if after := as[*mfa.User](t)(w.store.User(t.Context(), out.Subject.ID)); after.EnrollmentOpened != before.EnrollmentOpened || after.GraceStarted != before.GraceStarted {
				t.Error("the question started a clock of the user")
			}
		})
	}
	x := as[*mfa.Access](t)(ask(w.machine(), gate("mfa", mfa.Route{Organization: "acme", Need: mfa.Requirement{Fresh: 5 * day}})))
	for _, want := range []mfa.AccessAsk{
		{What: "require on", From: "policy: default"}, {What: "require on", From: "organization acme, of which alice is a member by the address"},
		{What: "factors passkey", From: "organization acme, of which alice is a member by the address"}, {What: "fresh 5d", From: "route: mfa"}, {What: "members of acme only", From: "route: mfa"},
	} {
		if !slices.Contains(x.Asks, want) {
			t.Errorf("%+v is missing in %+v", want, x.Asks)
		}
	}
	if len(x.Factors) != 2 || x.Factors[0].Counts || x.Factors[0].Why == "" {
		t.Errorf("factors: %+v", x.Factors)
	}
	if x := as[*mfa.Access](t)(ask(w.machine())); len(x.Steps) != 0 || len(x.Notes) != 1 {
		t.Errorf("where no gate stands: %+v", x)
	}
	for name, a := range map[string]*mfa.Administration{
		"nobody": w.gate.As(mfa.Actor{}), "who may not read the policy": w.gate.As(mfa.Actor{Powers: mfa.ReadUsers}),
		"who may not read users": w.gate.As(mfa.Actor{Powers: mfa.ReadPolicy}), "an organization's": w.gate.As(mfa.Actor{Powers: mfa.ReadUsers | mfa.ReadPolicy, Organization: "acme"}),
	} {
		if _, err := ask(a, gate("mfa", mfa.Route{})); err == nil {
			t.Errorf("%s is told", name)
		}
	}
}

// What would happen is said, and nothing happens.
func TestAdministration_TestPolicy(t *testing.T) {
	w, p := governedBy(t)
	before := p.Current()
	a := w.machine()
	test := as[*mfa.PolicyTest](t)(a.TestPolicy(t.Context(), "enrollment", []string{"pass"}))
	if !test.Lockout || !strings.Contains(test.Refused, "root") || len(test.Changes) != 1 || test.Users != 1 || test.Stopped != 1 || test.WouldStop != 1 || !test.Closed {
		t.Errorf("%+v", test)
	}
	test = as[*mfa.PolicyTest](t)(a.TestPolicy(t.Context(), "require", []string{"off"}))
	if test.Refused != "" || test.WouldStop != 0 || test.Stopped != 1 || test.Changes[0] != (mfa.FieldChange{Field: "require", Before: "on", After: "off"}) {
		t.Errorf("%+v", test)
	}
	test = as[*mfa.PolicyTest](t)(a.TestPolicy(t.Context(), "factors", []string{"email"}))
	if test.Lockout || !strings.Contains(test.Refused, "without a sender") {
		t.Errorf("%+v", test)
	}
	if p.Current() != before || len(w.events.Named(mfa.EventAdmin)) != 0 {
		t.Error("something was done")
	}
	for _, actor := range []mfa.Actor{{}, {Powers: mfa.ReadPolicy}, {Powers: mfa.ReadUsers}, {Powers: mfa.ReadUsers | mfa.ReadPolicy, Organization: "acme"}} {
		if _, err := w.gate.As(actor).TestPolicy(t.Context(), "require", nil); err == nil {
			t.Errorf("%+v is told", actor)
		}
	}
}
