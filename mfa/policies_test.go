package mfa_test

import (
	"context"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/secondgate/secondgate/mfa"
)

func ptr[T any](v T) *T { return &v }

var allKinds = mfa.KindsOf(mfa.Passkey, mfa.TOTP, mfa.SMS, mfa.Email, mfa.BackupCode)

// newPolicies returns policies on a store of their own, and what they warned of.
func newPolicies(t *testing.T, store mfa.PolicyStore, configured mfa.PolicySettings, have mfa.Kinds, declared ...*mfa.Organization) (*mfa.Policies, *[]string) {
	t.Helper()
	warned := new([]string)
	p, err := mfa.NewPolicies(t.Context(), mfa.PoliciesConfig{
		Configured: configured, Declared: declared, Have: have, Store: store,
		Warn: func(err error) { *warned = append(*warned, err.Error()) },
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(p.Close)
	return p, warned
}

// What the configuration says wins; where it is silent, what an administrator has
// stored holds, from the next request on.
func TestPolicies_ConfigurationWins(t *testing.T) {
	store := newWorld(t).store
	p, _ := newPolicies(t, store, mfa.PolicySettings{Factors: ptr(mfa.KindsOf(mfa.TOTP))}, allKinds)
	must(t, store.UpdatePolicySettings(t.Context(), func(s *mfa.PolicySettings) error {
		s.Factors, s.Optional, s.Prompt = ptr(mfa.KindsOf(mfa.Email)), ptr(true), ptr(mfa.PromptNever)
		return nil
	}))
	got := p.Current()
	if got.Factors != mfa.KindsOf(mfa.TOTP) || !got.Optional || got.Prompt != mfa.PromptNever {
		t.Errorf("%+v", got)
	}
}

// B1: what was stored under another configuration holds with the part that does not
// fit removed, and is never weaker than what the configuration alone says.
func TestPolicies_B1_StoredThatDoesNotFit(t *testing.T) {
	for _, test := range []struct {
		name   string
		stored mfa.PolicySettings
		want   mfa.Policy
	}{
		{"its sender went away", mfa.PolicySettings{Factors: ptr(mfa.KindsOf(mfa.TOTP, mfa.Email))}, func() mfa.Policy {
			p := mfa.DefaultPolicy()
			p.Factors = mfa.KindsOf(mfa.TOTP)
			return p
		}()},
		{"nothing primary is left", mfa.PolicySettings{Factors: ptr(mfa.KindsOf(mfa.Email)), Optional: ptr(true)}, mfa.DefaultPolicy()},
		// An account that has no factor would be open to whoever has its password first.
		{"what is stricter stays", mfa.PolicySettings{
			Factors: ptr(mfa.KindsOf(mfa.TOTP, mfa.Email)), AutoEnroll: ptr(true), Enrollment: ptr(mfa.Enrollment{}),
		}, func() mfa.Policy {
			p := mfa.DefaultPolicy()
			p.Factors, p.Enrollment = mfa.KindsOf(mfa.TOTP), mfa.Enrollment{}
			return p
		}()},
		{"what is stricter stays, whatever else goes", mfa.PolicySettings{
			Factors: ptr(mfa.KindsOf(mfa.Email)), Optional: ptr(true), Prompt: ptr(mfa.PromptNever), Enrollment: ptr(mfa.Enrollment{}),
		}, func() mfa.Policy {
			p := mfa.DefaultPolicy()
			p.Enrollment = mfa.Enrollment{}
			return p
		}()},
		{"a prompt without require off", mfa.PolicySettings{Prompt: ptr(mfa.PromptNever)}, mfa.DefaultPolicy()},
	} {
		t.Run(test.name, func(t *testing.T) {
			store := newWorld(t).store
			p, warned := newPolicies(t, store, mfa.PolicySettings{}, mfa.KindsOf(mfa.Passkey, mfa.TOTP, mfa.BackupCode))
			must(t, store.UpdatePolicySettings(t.Context(), func(s *mfa.PolicySettings) error { *s = test.stored; return nil }))
			got := *p.Current()
			got.Organizations = nil
			if got != test.want {
				t.Errorf("got  %+v\nwant %+v", got, test.want)
			}
			if len(*warned) == 0 {
				t.Error("nobody was warned")
			}
		})
	}
}

func TestPolicies_Organizations(t *testing.T) {
	w := newWorld(t)
	declared := &mfa.Organization{ID: "acme", Require: true, Declared: true}
	p, _ := newPolicies(t, w.store, mfa.PolicySettings{Optional: ptr(true)}, allKinds, declared)
	must(t, w.store.CreateOrganization(t.Context(), &mfa.Organization{ID: "acme", Name: "the stored one"}))
	must(t, w.store.CreateOrganization(t.Context(), &mfa.Organization{ID: "beta", Fresh: time.Hour}))
	list := p.Current().Organizations.List()
	if len(list) != 2 || list[0] != declared || list[1].ID != "beta" {
		t.Errorf("%v", list)
	}
	must(t, w.store.RemoveOrganization(t.Context(), "beta"))
	if o := p.Current().Organizations.Find("beta"); o != nil {
		t.Error("an organization that was removed is still there")
	}
}

// An organization that asks for a factor which this gateway has switched off asks for
// it all the same: its routes are shut, not opened.
func TestPolicies_B1_OrganizationThatDoesNotFit(t *testing.T) {
	w := newWorld(t)
	must(t, w.store.CreateOrganization(t.Context(), &mfa.Organization{ID: "acme", Factors: mfa.KindsOf(mfa.Passkey)}))
	p, warned := newPolicies(t, w.store, mfa.PolicySettings{Factors: ptr(mfa.KindsOf(mfa.TOTP))}, allKinds)
	if len(*warned) == 0 {
		t.Error("nobody was warned")
	}
	route := *p.Current()
	route.Organization = "acme"
	u := &mfa.Subject{ID: "u", Organizations: []mfa.OrganizationID{"acme"}, Held: []mfa.Held{{ID: "c", Kind: mfa.TOTP}}}
	s := &mfa.Session{User: "u", Complete: true, Expires: w.clock().Add(time.Hour), Proofs: []mfa.Proof{{Kind: mfa.TOTP, Credential: "c", At: w.clock()}}}
	if d := mfa.Decide(mfa.Input{Policy: &route, Place: w.at, Session: s, Subject: u}, w.clock()); d.Action != mfa.Refuse {
		t.Errorf("%s %s, want a refusal", d.Action, d.Reason)
	}
}

type brokenPolicies struct {
	mfa.PolicyStore
	broken bool
	tell   func()
}

func (b *brokenPolicies) PolicySettings(ctx context.Context) (mfa.PolicySettings, error) {
	if b.broken {
		return mfa.PolicySettings{}, errors.New("the disk is on fire")
	}
	return b.PolicyStore.PolicySettings(ctx)
}

func (b *brokenPolicies) OnOrganizationChange(fn func()) func() {
	b.tell = fn
	return b.PolicyStore.OnOrganizationChange(fn)
}

// A change that cannot be read lets nobody in until it can be.
func TestPolicies_UnreadableIsClosed(t *testing.T) {
	store := &brokenPolicies{PolicyStore: newWorld(t).store}
	p, warned := newPolicies(t, store, mfa.PolicySettings{}, allKinds)
	store.broken = true
	store.tell()
	if p.Current() != nil {
		t.Error("the policy before the change goes on")
	}
	if d := mfa.Decide(mfa.Input{Policy: p.Current()}, time.Now()); d.Action != mfa.Refuse {
		t.Error(d.Action)
	}
	if len(*warned) == 0 || !strings.Contains((*warned)[0], "fire") {
		t.Errorf("%q", *warned)
	}
	store.broken = false
	for end := time.Now().Add(5 * time.Second); p.Current() == nil; time.Sleep(50 * time.Millisecond) {
		if time.Now().After(end) {
			t.Fatal("it can be read again, and is not")
		}
	}
}

// recorded returns policies that record what is done to them.
func recorded(t *testing.T, configured mfa.PolicySettings, have mfa.Kinds, declared ...*mfa.Organization) (*mfa.Policies, *world) {
	t.Helper()
	w := newWorld(t)
	p, err := mfa.NewPolicies(t.Context(), mfa.PoliciesConfig{
		Configured: configured, Declared: declared, Have: have, Store: w.store, Events: &w.events, Now: w.clock,
	})
	must(t, err)
	t.Cleanup(p.Close)
	return p, w
}

// What an administrator sets holds at once.
func TestPolicies_Set(t *testing.T) {
	p, _ := recorded(t, mfa.PolicySettings{Factors: ptr(mfa.KindsOf(mfa.TOTP))}, allKinds)
	must(t, p.Set(t.Context(), func(s *mfa.PolicySettings) error { s.Optional = ptr(true); return nil }))
	if !p.Current().Optional {
		t.Error("it does not hold")
	}
	if s := as[mfa.PolicySettings](t)(p.Stored(t.Context())); s.Optional == nil || !s.Names("require") || s.Names("factors") {
		t.Errorf("stored is %+v", s)
	}
	if c := p.Configured(); !c.Names("factors") || c.Names("require") {
		t.Errorf("configured is %+v", c)
	}
	must(t, p.Set(t.Context(), func(s *mfa.PolicySettings) error { *s = mfa.PolicySettings{}; return nil }))
	if p.Current().Optional {
		t.Error("what was taken away still holds")
	}
	broken := errors.New("no")
	wants(t, p.Set(t.Context(), func(*mfa.PolicySettings) error { return broken }), broken)
}

// What the configuration names can be changed there alone. What was stored before it
// did so can be taken away, or it would hold again when the line goes.
func TestPolicies_Set_RejectsWhatTheConfigurationNames(t *testing.T) {
	all := mfa.PolicySettings{
		Factors: ptr(mfa.KindsOf(mfa.TOTP, mfa.Email)), Optional: ptr(true), Prompt: ptr(mfa.PromptNever), Grace: ptr(time.Duration(0)),
		Enrollment: &mfa.Enrollment{Open: true}, OrganizationRequired: ptr(mfa.AtAccess), RememberDevice: ptr(time.Hour),
		AutoEnroll: ptr(true), ReportOnly: ptr(false),
	}
	changes := map[string]func(*mfa.PolicySettings){
		"factors":               func(s *mfa.PolicySettings) { s.Factors = ptr(mfa.KindsOf(mfa.Email)) },
		"factors off":           func(s *mfa.PolicySettings) { s.Off = true },
		"require":               func(s *mfa.PolicySettings) { s.Optional = ptr(true) },
		"prompt":                func(s *mfa.PolicySettings) { s.Prompt = ptr(mfa.PromptAtNextSignIn) },
		"grace":                 func(s *mfa.PolicySettings) { s.Grace = ptr(time.Duration(0)) },
		"enrollment":            func(s *mfa.PolicySettings) { s.Enrollment = &mfa.Enrollment{Open: true, Window: 1} },
		"organization_required": func(s *mfa.PolicySettings) { s.OrganizationRequired = ptr(mfa.AtSignIn) },
		"remember_device":       func(s *mfa.PolicySettings) { s.RememberDevice = ptr(time.Minute) },
		"auto_enroll":           func(s *mfa.PolicySettings) { s.AutoEnroll = ptr(false) },
		"report_only":           func(s *mfa.PolicySettings) { s.ReportOnly = ptr(true) },
	}
	p, w := recorded(t, all, allKinds)
	for name, change := range changes {
		set := func(s *mfa.PolicySettings) error { change(s); return nil }
		err := p.Set(t.Context(), set)
		wants(t, err, mfa.ErrNotAllowed)
		field, _, _ := strings.Cut(name, " ")
		if want := field + ": not allowed: the configuration says so; change it there"; err.Error() != want {
			t.Errorf("%q, want %q", err, want)
		}
		must(t, w.store.UpdatePolicySettings(t.Context(), set)) // of an older configuration
		must(t, p.Set(t.Context(), func(s *mfa.PolicySettings) error { *s = mfa.PolicySettings{}; return nil }))
	}
}

// B1: what could not be is refused, in the words of a configuration that says it.
func TestPolicies_B1_RejectsWhatCouldNotBe(t *testing.T) {
	declared := &mfa.Organization{ID: "acme", Factors: mfa.KindsOf(mfa.Passkey), Declared: true}
	noSender := mfa.KindsOf(mfa.Passkey, mfa.TOTP, mfa.BackupCode)
	for _, test := range []struct {
		name   string
		change func(*mfa.PolicySettings)
		want   string
	}{
		{"a factor without a sender", func(s *mfa.PolicySettings) { s.Factors = ptr(mfa.KindsOf(mfa.Passkey, mfa.SMS)) }, "factors: sms cannot be used without a sender"},
		{"backup codes alone", func(s *mfa.PolicySettings) { s.Factors = ptr(mfa.KindsOf(mfa.BackupCode)) }, "backup_code cannot stand alone"},
		{"off without require off", func(s *mfa.PolicySettings) { s.Off = true }, "require off"},
		{"a prompt where it is required", func(s *mfa.PolicySettings) { s.Prompt = ptr(mfa.PromptAtRegistration) }, "has a meaning only with"},
		{"a confirmation that nothing sends", func(s *mfa.PolicySettings) { s.Enrollment = &mfa.Enrollment{Confirm: true} }, "write: pass"},
		{"no factor left to an organization", func(s *mfa.PolicySettings) { s.Factors = ptr(mfa.KindsOf(mfa.TOTP)) }, "organization acme would not fit: factors: passkey"},
	} {
		t.Run(test.name, func(t *testing.T) {
			p, _ := recorded(t, mfa.PolicySettings{}, noSender, declared)
			before := p.Current()
			err := p.Set(t.Context(), func(s *mfa.PolicySettings) error { test.change(s); return nil })
			var wrong *mfa.PolicyError
			if !errors.As(err, &wrong) || !strings.Contains(err.Error(), test.want) {
				t.Errorf("%v, want %s", err, test.want)
			}
			if p.Current() != before || as[mfa.PolicySettings](t)(p.Stored(t.Context())) != (mfa.PolicySettings{}) {
				t.Error("it is kept all the same")
			}
		})
	}
}

// B1: what a reload made invalid does not stand in the way of what mends it.
func TestPolicies_B1_SetMends(t *testing.T) {
	w := newWorld(t)
	must(t, w.store.UpdatePolicySettings(t.Context(), func(s *mfa.PolicySettings) error {
		s.Factors, s.Enrollment = ptr(mfa.KindsOf(mfa.TOTP, mfa.Email)), &mfa.Enrollment{Confirm: true}
		return nil
	}))
	must(t, w.store.CreateOrganization(t.Context(), &mfa.Organization{ID: "acme", Factors: mfa.KindsOf(mfa.Email)}))
	p, _ := newPolicies(t, w.store, mfa.PolicySettings{}, mfa.KindsOf(mfa.Passkey, mfa.TOTP, mfa.BackupCode))
	if err := p.Set(t.Context(), func(s *mfa.PolicySettings) error { s.ReportOnly = ptr(false); return nil }); err == nil {
		t.Error("what does not fit is kept in silence")
	}
	must(t, p.Set(t.Context(), func(s *mfa.PolicySettings) error { s.Factors = ptr(mfa.KindsOf(mfa.TOTP)); return nil }))
	must(t, p.Set(t.Context(), func(s *mfa.PolicySettings) error { s.Enrollment = nil; return nil }))
}

// B2: that 2-step verification goes off is an event of its own, once.
func TestPolicies_B2_SetOff(t *testing.T) {
	p, w := recorded(t, mfa.PolicySettings{}, allKinds)
	off := func(s *mfa.PolicySettings) error { s.Off, s.Factors, s.Optional = true, nil, ptr(true); return nil }
	must(t, p.Set(t.Context(), off))
	must(t, p.Set(t.Context(), off))
	if n := w.recorded(mfa.EventMFAOff, true); n != 1 || !p.Current().Off {
		t.Errorf("%d events", n)
	}
}

// A policy that cannot be read is not changed blindly.
func TestPolicies_Set_Unreadable(t *testing.T) {
	store := &brokenPolicies{PolicyStore: newWorld(t).store}
	p, _ := newPolicies(t, store, mfa.PolicySettings{}, allKinds)
	store.broken = true
	store.tell()
	if err := p.Set(t.Context(), func(*mfa.PolicySettings) error { return nil }); err == nil {
		t.Error("it was changed")
	}
}
