package mfa_test

import (
	"errors"
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
	asked := 0
	gate := func(name string, r mfa.Route) mfa.AccessGate { return mfa.AccessGate{Name: name, Route: r} }
	ask := func(a *mfa.Administration, gates ...mfa.AccessGate) (*mfa.Access, error) {
		return a.ExplainAccess(t.Context(), out.Subject.ID, "https://app.example.com/", func(string) (*mfa.AccessQuery, error) {
			asked++
			return &mfa.AccessQuery{URL: "https://app.example.com/", Place: w.at, Gates: gates}, nil
		})
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
	const member = "organization acme, of which alice is a member by the address"
	for _, want := range []mfa.AccessAsk{
		{What: "require on", From: "policy: default", Source: mfa.FromPolicy, Of: mfa.FromDefault},
		{What: "require on", From: member, Source: mfa.FromOrganization, Of: "acme", ByAddress: true},
		{What: "factors passkey", From: member, Source: mfa.FromOrganization, Of: "acme", ByAddress: true},
		{What: "fresh 5d", From: "route: mfa", Source: mfa.FromRoute, Of: "mfa"},
		{What: "members of acme only", From: "route: mfa", Source: mfa.FromRoute, Of: "mfa", Only: "acme"},
	} {
		if !slices.Contains(x.Asks, want) {
			t.Errorf("%+v is missing in %+v", want, x.Asks)
		}
	}
	if len(x.Factors) != 2 || x.Factors[0].Counts || x.Factors[0].Why == "" || x.Factors[0].Reason != mfa.FactorNotAsked {
		t.Errorf("factors: %+v", x.Factors)
	}
	if x := as[*mfa.Access](t)(ask(w.machine())); len(x.Steps) != 0 || len(x.Notes) != 1 || x.Notes[0].Code != mfa.NoteOpen {
		t.Errorf("where no gate stands: %+v", x)
	}
	asked = 0
	for name, a := range map[string]*mfa.Administration{
		"nobody": w.gate.As(mfa.Actor{}), "who may not read the policy": w.gate.As(mfa.Actor{Powers: mfa.ReadUsers}),
		"who may not read users": w.gate.As(mfa.Actor{Powers: mfa.ReadPolicy}), "an organization's": w.gate.As(mfa.Actor{Powers: mfa.ReadUsers | mfa.ReadPolicy, Organization: "acme"}),
	} {
		if _, err := ask(a, gate("mfa", mfa.Route{})); !errors.Is(err, mfa.ErrNotAllowed) || asked != 0 {
			t.Errorf("AC-224: %s is told %v, and the gates were asked %d times: what stands at an address shows in the answer", name, err, asked)
		}
	}
}

// What somebody types is an address of a page with gates, or it is said why not: also
// where no configuration runs, and nobody who does not exist learns of addresses.
func TestAdministration_ExplainAccess_Addresses(t *testing.T) {
	w, _ := governed(t, mfa.PolicySettings{})
	_, _, out := w.alice()
	reason := func(err error) mfa.RouteReason {
		var route *mfa.RouteError
		if !errors.As(err, &route) || strings.Contains(err.Error(), "xxxx") {
			t.Fatalf("%v", err)
		}
		return route.Reason
	}
	never := func(string) (*mfa.AccessQuery, error) { t.Error("the matchers were asked"); return nil, nil }
	_, err := w.machine().ExplainAccess(t.Context(), out.Subject.ID, "https://app.example.com/"+strings.Repeat("x", 10<<10), never)
	if got := reason(err); got != mfa.RouteUnreadable {
		t.Errorf("an address of 10 KiB is %q", got)
	}
	if _, err := w.machine().ExplainAccess(t.Context(), "nobody", "https://app.example.com/", never); !errors.Is(err, mfa.ErrNotFound) {
		t.Errorf("nobody: %v", err)
	}
	for name, gates := range map[string]mfa.Gates{"no gateway": nil, "nothing": func(string) (*mfa.AccessQuery, error) { return nil, nil }} {
		if _, err := w.machine().ExplainAccess(t.Context(), out.Subject.ID, "https://app.example.com/", gates); reason(err) != mfa.RouteElsewhere {
			t.Errorf("%s: %v", name, err)
		}
	}
	if _, err := w.machine().ExplainAccess(t.Context(), out.Subject.ID, "https://app.example.com/", func(string) (*mfa.AccessQuery, error) { return new(mfa.AccessQuery), nil }); !errors.Is(err, mfa.ErrNotAllowed) {
		t.Errorf("without a place: %v", err)
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
