package mfa_test

import (
	"errors"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/secondgate/secondgate/mfa"
)

// governed is a world whose policy administrators can change.
func governed(t *testing.T, configured mfa.PolicySettings, declared ...*mfa.Organization) (*world, *mfa.Policies) {
	t.Helper()
	store := newStore(t)
	p, _ := newPolicies(t, store, configured, mfa.KindsOf(mfa.Passkey, mfa.TOTP, mfa.BackupCode), declared...)
	return newWorldOn(t, store, func(c *mfa.Config) { c.Policy, c.Policies = nil, p }), p
}

// machine is the administration of whoever runs commands.
func (w *world) machine() *mfa.Administration { return w.gate.As(mfa.OnMachine()) }

// field returns one field of the policy.
func (w *world) field(name string) mfa.FieldInfo {
	w.t.Helper()
	info := as[*mfa.PolicyInfo](w.t)(w.machine().Policy(w.t.Context()))
	i := slices.IndexFunc(info.Fields, func(f mfa.FieldInfo) bool { return f.Field == name })
	if i < 0 {
		w.t.Fatalf("there is no field %s", name)
	}
	return info.Fields[i]
}

// What is set holds at once, is shown with where it comes from, and stands in the record
// before it is done.
func TestAdministration_Policy(t *testing.T) {
	w, p := governed(t, mfa.PolicySettings{Factors: ptr(mfa.KindsOf(mfa.TOTP))})
	a := w.machine()
	for _, set := range []string{
		"require off", "require on", "organization_required at_access", "enrollment open 7d", "grace 7d", "remember_device 36h", "report_only on",
	} {
		words := strings.Fields(set)
		must(t, a.SetPolicy(t.Context(), words[0], words[1:], false))
		want := mfa.FieldInfo{Field: words[0], Value: strings.Join(words[1:], " "), From: mfa.FromStore}
		got := w.field(words[0])
		got.Values = ""
		if got != want {
			t.Errorf("after %s: %+v", set, got)
		}
		if e := w.events.Named(mfa.EventAdmin); !e[len(e)-1].OK || e[len(e)-1].Detail != "policy set "+set || e[len(e)-1].Actor != "command line" {
			t.Errorf("recorded: %+v", e[len(e)-1])
		}
	}
	if f := w.field("factors"); !f.Fixed || f.From != mfa.FromConfiguration || f.Value != "totp" || f.Values == "" {
		t.Errorf("what the configuration names: %+v", f)
	}
	if info := as[*mfa.PolicyInfo](t)(a.Policy(t.Context())); len(info.Warnings) != 1 || len(info.Fields) != len(mfa.PolicyFields()) {
		t.Errorf("%+v", info)
	}
	must(t, a.ClearPolicy(t.Context(), "report_only", false))
	if p.Current().ReportOnly || w.field("report_only").From != mfa.FromDefault {
		t.Error("what was taken away still holds")
	}
	before := len(w.events.Named(mfa.EventAdmin))
	must(t, a.ClearPolicy(t.Context(), "report_only", false))
	if len(w.events.Named(mfa.EventAdmin)) != before {
		t.Error("that nothing was done is recorded")
	}
}

// Words that are not understood are refused and not kept: they may be anything.
func TestAdministration_Policy_RejectsOtherWords(t *testing.T) {
	w, p := governed(t, mfa.PolicySettings{Factors: ptr(mfa.KindsOf(mfa.TOTP))})
	before := p.Current()
	for set, want := range map[string]string{
		"factors totp": "factors: not allowed: the configuration says so; change it there",
		"require":      "say what require is to be: on or off", "require maybe": "neither on nor off", "require on off": "is one word",
		"domain secret-word": "there is no field \"domain\"; there are factors, require", "grace secret-word": "is no duration",
		"remember_device 366d": "365 days or less", "prompt secret-word": "is none of", "enrollment open -3d": "no duration above zero",
		"prompt never": "has a meaning only with", "enrollment confirm": "write: pass",
	} {
		words := strings.Fields(set)
		if err := w.machine().SetPolicy(t.Context(), words[0], words[1:], false); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v, want %s", set, err, want)
		}
	}
	for _, e := range w.events.Named(mfa.EventAdmin) {
		if strings.Contains(e.Detail, "secret-word") {
			t.Errorf("the record keeps %q", e.Detail)
		}
	}
	if p.Current() != before {
		t.Error("the policy changed")
	}
	wants(t, w.machine().ClearPolicy(t.Context(), "factors", false), mfa.ErrNotAllowed)
	var wrong *mfa.PolicyError
	if err := w.machine().ClearPolicy(t.Context(), "domain", false); !errors.As(err, &wrong) {
		t.Error(err)
	}
}

// B35: who may only look at the policy does not change it, and who may not look at it
// learns nothing of its fields.
func TestAdministration_Policy_RejectsWhoMayNot(t *testing.T) {
	w, p := governed(t, mfa.PolicySettings{})
	before := p.Current()
	for name, actor := range map[string]mfa.Actor{
		"nobody":                        {},
		"an auditor":                    {Powers: mfa.ReadPolicy | mfa.ReadUsers},
		"an organization's":             {Powers: mfa.ReadPolicy | mfa.ChangePolicy, Organization: "acme"},
		"whoever changes organizations": {Powers: mfa.ChangeOrganizations},
	} {
		a := w.gate.As(actor)
		for _, err := range []error{
			a.SetPolicy(t.Context(), "require", []string{"off"}, true), a.SetPolicy(t.Context(), "nonsense", nil, true),
			a.ClearPolicy(t.Context(), "require", true), a.ClearPolicy(t.Context(), "nonsense", true),
		} {
			if !errors.Is(err, mfa.ErrNotAllowed) || strings.Contains(err.Error(), "field") {
				t.Errorf("%s: %v", name, err)
			}
		}
		if _, err := a.Policy(t.Context()); (err == nil) != (name == "an auditor") {
			t.Errorf("%s reads: %v", name, err)
		}
	}
	if p.Current() != before {
		t.Error("the policy changed")
	}
}

// An organization's words read back what they were written from.
func TestOrganizationSettings(t *testing.T) {
	for _, o := range []mfa.Organization{
		{ID: "acme"},
		{
			ID: "acme", Name: "Acme", Require: true, Factors: mfa.KindsOf(mfa.Passkey, mfa.TOTP), Fresh: 12 * time.Hour, PhishingResistant: true,
			Enrollment: &mfa.Enrollment{Open: true, Window: 14 * day}, NoRemembering: true, Domains: []string{"example.com"},
		},
		{ID: "acme", Enrollment: &mfa.Enrollment{Confirm: true}},
		{ID: "acme", Enrollment: &mfa.Enrollment{Open: true}},
		{ID: "acme", Enrollment: &mfa.Enrollment{}},
	} {
		back, err := mfa.SettingsOf(&o).Read("acme")
		if err != nil || !reflect.DeepEqual(*back, o) {
			t.Errorf("%+v is %+v, %v", o, back, err)
		}
	}
	for want, s := range map[string]mfa.OrganizationSettings{
		"one minute or more": {Fresh: "30s"}, "one minute": {Fresh: "-1h"}, "no duration above zero": {Enrollment: "open 0"},
		"write one of": {Enrollment: "sometimes"}, "not a factor": {Factors: []mfa.Kind{"toto"}}, "the list is empty": {Factors: []mfa.Kind{}},
		"stands twice": {Factors: []mfa.Kind{mfa.TOTP, mfa.TOTP}}, "too long": {Name: strings.Repeat("x", 65)},
	} {
		var wrong *mfa.OrganizationError
		if _, err := s.Read("acme"); !errors.As(err, &wrong) || !strings.Contains(err.Error(), want) {
			t.Errorf("%+v: %v, want %s", s, err, want)
		}
	}
	if _, err := (mfa.OrganizationSettings{}).Read("No Name"); err == nil {
		t.Error("any name will do")
	}
}
