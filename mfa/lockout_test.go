package mfa_test

import (
	"context"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/secondgate/secondgate/mfa"
)

// lockoutUser is an administrator with a password and these factors.
func lockoutUser(list ...mfa.Credential) *mfa.User {
	return &mfa.User{
		ID: "root", Handle: []byte("root"), Source: mfa.LocalSource, Subject: "root", Name: "root", Admin: true, Password: mfa.Secret("a hash"),
		FirstSignIn: time.Date(2025, 1, 1, 0, 0, 0, 0, time.UTC), Credentials: list, EverEnrolled: len(list) > 0,
	}
}

var (
	anApp      = mfa.Credential{ID: "app", Kind: mfa.TOTP}
	aPasskey   = mfa.Credential{ID: "key", Kind: mfa.Passkey, RPID: "app.example.com"}
	threeCodes = mfa.Credential{ID: mfa.BackupCodesID, Kind: mfa.BackupCode, Left: 3}
	usedCodes  = mfa.Credential{ID: mfa.BackupCodesID, Kind: mfa.BackupCode}
	aMailbox   = mfa.Credential{ID: "mail", Kind: mfa.Email, Address: "root@example.com"}
)

// B35: who could still come in, by the rules that hold for everybody.
func TestCanSignIn(t *testing.T) {
	now := time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)
	noMail := mfa.KindsOf(mfa.Passkey, mfa.TOTP, mfa.BackupCode)
	here := mfa.Ways{Sources: []string{mfa.LocalSource}, Have: noMail, RPIDs: []string{"app.example.com"}}
	mails := here
	mails.Have |= mfa.KindsOf(mfa.Email)
	mailsIn := mails
	mailsIn.Codes = mfa.KindsOf(mfa.Email)
	plain := here
	plain.RPIDs = nil
	elsewhere := here
	elsewhere.RPIDs = []string{"other.example.com"}
	anywhere := here
	anywhere.RPIDs, anywhere.AnyHost = nil, true
	nobodys := here
	nobodys.Sources = nil
	with := func(change func(*mfa.Policy)) mfa.Policy {
		p := mfa.DefaultPolicy()
		change(&p)
		return p
	}
	only := func(list ...mfa.Kind) mfa.Policy {
		return with(func(p *mfa.Policy) { p.Factors = mfa.KindsOf(list...) })
	}
	enrollment := func(e mfa.Enrollment) mfa.Policy { return with(func(p *mfa.Policy) { p.Enrollment = e }) }
	acme := func(o mfa.Organization) mfa.Policy {
		return with(func(p *mfa.Policy) {
			o.ID = "acme"
			p.Organizations = mfa.NewDirectory([]*mfa.Organization{&o})
		})
	}
	of := func(u *mfa.User, change func(*mfa.User)) *mfa.User { change(u); return u }
	usual := mfa.DefaultPolicy()
	for _, test := range []struct {
		name string
		p    mfa.Policy
		w    mfa.Ways
		u    *mfa.User
		want bool
	}{
		{"an app", usual, here, lockoutUser(anApp), true},
		{"B20: a passkey of this host", usual, here, lockoutUser(aPasskey), true},
		{"a passkey of another host", usual, elsewhere, lockoutUser(aPasskey), false},
		{"a passkey over plain http", usual, plain, lockoutUser(aPasskey), false},
		{"a passkey where a site answers to any host", usual, anywhere, lockoutUser(aPasskey), true},
		{"B28: a passkey and no password", usual, here, of(lockoutUser(aPasskey), func(u *mfa.User) { u.Password = nil }), true},
		{"B28: a passkey is the first factor alone where the policy excludes it", only(mfa.TOTP), here, of(lockoutUser(aPasskey), func(u *mfa.User) { u.Password = nil }), true},
		{"an app and no password", usual, here, of(lockoutUser(anApp), func(u *mfa.User) { u.Password = nil }), false},
		{"disabled", usual, here, of(lockoutUser(anApp), func(u *mfa.User) { u.Disabled = true }), false},
		{"a source that is not there", usual, nobodys, lockoutUser(anApp), false},
		{"the password is locked", usual, here, of(lockoutUser(anApp), func(u *mfa.User) { u.Locked = []mfa.Kind{mfa.Password} }), false},
		{"the app is locked", usual, here, of(lockoutUser(anApp), func(u *mfa.User) { u.Locked = []mfa.Kind{mfa.TOTP} }), false},
		{"the app is locked, codes are left", usual, here, of(lockoutUser(anApp, threeCodes), func(u *mfa.User) { u.Locked = []mfa.Kind{mfa.TOTP} }), true},
		{"B16: the app is switched off: it leads to a passkey", only(mfa.Passkey), here, lockoutUser(anApp), true},
		{"B16: … which cannot be made over plain http", only(mfa.Passkey), plain, lockoutUser(anApp), false},
		{"B24: codes, and an app can be set up", usual, here, lockoutUser(threeCodes), true},
		{"B24: codes, and nothing can be set up", only(mfa.Passkey, mfa.BackupCode), plain, lockoutUser(threeCodes), false},
		{"codes that are used up are nothing", enrollment(mfa.Enrollment{}), here, lockoutUser(usedCodes), false},
		{"a mailbox without a sender", only(mfa.Email, mfa.TOTP), here, lockoutUser(aMailbox), false},
		{"a mailbox", only(mfa.Email), mails, lockoutUser(aMailbox), true},
		{"B27: a mailbox that signed in is no second factor", only(mfa.Email), mailsIn, of(lockoutUser(aMailbox), func(u *mfa.User) {
			u.Password, u.Email, u.EmailVerified = nil, "root@example.com", true
		}), false},
		{"B27: beside an app it signs in", usual, mailsIn, of(lockoutUser(anApp), func(u *mfa.User) {
			u.Password, u.Email, u.EmailVerified = nil, "root@example.com", true
		}), true},
		{"an address that was not proven signs nobody in", usual, mailsIn, of(lockoutUser(anApp), func(u *mfa.User) {
			u.Password, u.Email = nil, "root@example.com"
		}), false},

		{"B17: nothing, open", enrollment(mfa.Enrollment{Open: true}), here, lockoutUser(), true},
		{"B17: nothing, the window runs", usual, here, of(lockoutUser(), func(u *mfa.User) { u.EnrollmentOpened = now.Add(-13 * day) }), true},
		{"B17: nothing, the window is over", usual, here, of(lockoutUser(), func(u *mfa.User) { u.EnrollmentOpened = now.Add(-15 * day) }), false},
		{"B17: … but there is an address on file", usual, mails, of(lockoutUser(), func(u *mfa.User) {
			u.EnrollmentOpened, u.Email = now.Add(-15*day), "root@example.com"
		}), true},
		{"B17: nothing, confirm, no address", enrollment(mfa.Enrollment{Confirm: true}), mails, lockoutUser(), false},
		{"B17: nothing, confirm, no sender", enrollment(mfa.Enrollment{Confirm: true}), here, of(lockoutUser(), func(u *mfa.User) { u.Email = "root@example.com" }), false},
		{"B17: nothing, pass", enrollment(mfa.Enrollment{}), mails, of(lockoutUser(), func(u *mfa.User) { u.Email = "root@example.com" }), false},
		{"B17: nothing, and only passkeys over plain http", only(mfa.Passkey), plain, lockoutUser(), false},
		{"B7: nothing is required", with(func(p *mfa.Policy) { p.Optional, p.Enrollment = true, mfa.Enrollment{} }), here, lockoutUser(), true},
		{"B10: grace runs", with(func(p *mfa.Policy) { p.Grace, p.Enrollment = 7*day, mfa.Enrollment{} }), here, lockoutUser(), true},
		{"B10: grace is over", with(func(p *mfa.Policy) { p.Grace, p.Enrollment = 7*day, mfa.Enrollment{} }), here,
			of(lockoutUser(), func(u *mfa.User) { u.GraceStarted = now.Add(-8 * day) }), false},
		{"B18: it is only reported", with(func(p *mfa.Policy) { p.ReportOnly, p.Enrollment = true, mfa.Enrollment{} }), here, lockoutUser(), true},
		{"B2: it is off", mfa.Policy{Off: true, Optional: true}, here, lockoutUser(), true},
		{"B4: the zero policy refuses", mfa.Policy{}, here, lockoutUser(anApp), false},
		{"B19: who opted out where nothing is required", with(func(p *mfa.Policy) { p.Optional = true }), elsewhere,
			of(lockoutUser(aPasskey), func(u *mfa.User) { u.OptedOut = true }), true},

		{"B3: an organization asks for a passkey of who has an app", acme(mfa.Organization{PhishingResistant: true}), here,
			of(lockoutUser(anApp), func(u *mfa.User) { u.Organizations = []mfa.OrganizationID{"acme"} }), true},
		{"B3: … where none can be made", acme(mfa.Organization{PhishingResistant: true}), plain,
			of(lockoutUser(anApp), func(u *mfa.User) { u.Organizations = []mfa.OrganizationID{"acme"} }), false},
		{"B3: … of who is a member by address", acme(mfa.Organization{PhishingResistant: true, Domains: []string{"example.com"}}), plain,
			of(lockoutUser(anApp), func(u *mfa.User) { u.Email, u.EmailVerified = "root@example.com", true }), false},
		{"B3: … of somebody else", acme(mfa.Organization{PhishingResistant: true}), plain, lockoutUser(anApp), true},
		{"B17: an organization's stricter enrollment", acme(mfa.Organization{Enrollment: &mfa.Enrollment{}}), here,
			of(lockoutUser(), func(u *mfa.User) { u.Organizations = []mfa.OrganizationID{"acme"} }), false},
	} {
		t.Run(test.name, func(t *testing.T) {
			if got := mfa.CanSignIn(&test.p, test.w, test.u, now); got != test.want {
				t.Errorf("%t, want %t", got, test.want)
			}
		})
	}
	if mfa.CanSignIn(nil, here, lockoutUser(anApp), now) || mfa.CanSignIn(&usual, here, nil, now) || mfa.CanSignIn(&usual, mfa.Ways{}, lockoutUser(anApp), now) {
		t.Error("nothing is enough")
	}
}

// governedBy is a governed world with an administrator who has these factors.
func governedBy(t *testing.T, list ...mfa.Credential) (*world, *mfa.Policies) {
	t.Helper()
	w, p := governed(t, mfa.PolicySettings{})
	u := lockoutUser(list...)
	u.Organizations = []mfa.OrganizationID{"acme"}
	must(t, w.store.CreateUser(t.Context(), u))
	return w, p
}

// wantsLockout is a refusal that names the user.
func wantsLockout(t *testing.T, err error, name string) {
	t.Helper()
	var lockout *mfa.LockoutError
	if !errors.As(err, &lockout) || !strings.Contains(lockout.Reason, "no administrator could sign in any more") || !strings.Contains(lockout.Reason, name) {
		t.Fatalf("%v, want a lock-out that names %s", err, name)
	}
}

// B35: a change of the policy that no administrator would survive is refused with the
// reason, and done when it is forced.
func TestAdministration_B35_PolicyLockout(t *testing.T) {
	w, p := governedBy(t)
	a := w.machine()
	before := p.Current()
	wantsLockout(t, a.SetPolicy(t.Context(), "enrollment", []string{"pass"}, false), "root has no second factor")
	if p.Current() != before {
		t.Error("it is done all the same")
	}
	if e := w.events.Named(mfa.EventAdmin); e[len(e)-1].OK || e[len(e)-1].Reason != "lockout" {
		t.Errorf("recorded: %+v", e[len(e)-1])
	}
	must(t, a.SetPolicy(t.Context(), "enrollment", []string{"pass"}, true))
	if e := w.events.Named(mfa.EventAdmin); e[len(e)-1].Detail != "policy set enrollment pass (forced)" {
		t.Errorf("recorded: %+v", e[len(e)-1])
	}
	// Whoever is out already loses nothing, and what mends it is no lock-out.
	must(t, a.SetPolicy(t.Context(), "remember_device", []string{"1d"}, false))
	must(t, a.SetPolicy(t.Context(), "require", []string{"off"}, false))
	wantsLockout(t, a.ClearPolicy(t.Context(), "require", false), "root")
	must(t, a.ClearPolicy(t.Context(), "enrollment", false))
	must(t, a.ClearPolicy(t.Context(), "require", false))
}

// B35: one administrator who can come in is enough.
func TestAdministration_B35_OneIsEnough(t *testing.T) {
	w, _ := governedBy(t)
	other := lockoutUser(anApp)
	other.ID, other.Handle, other.Subject, other.Name = "zoe", []byte("zoe"), "zoe", "zoe"
	must(t, w.store.CreateUser(t.Context(), other))
	must(t, w.machine().SetPolicy(t.Context(), "enrollment", []string{"pass"}, false))
	// Nor is anybody missed where nobody administrates yet, or only the disabled do.
	w, _ = governedBy(t)
	must(t, w.store.UpdateUser(t.Context(), "root", func(u *mfa.User) error { u.Admin = false; return nil }))
	must(t, w.machine().SetPolicy(t.Context(), "enrollment", []string{"pass"}, false))
}

// B35: so is what an organization asks of its members.
func TestAdministration_B35_OrganizationLockout(t *testing.T) {
	w, p := governedBy(t)
	pass := mfa.Organization{ID: "acme", Enrollment: &mfa.Enrollment{}}
	wantsLockout(t, w.machine().SetOrganization(t.Context(), pass, false), "root")
	if p.Current().Organizations.Find("acme") != nil {
		t.Error("it is made all the same")
	}
	must(t, w.machine().SetOrganization(t.Context(), mfa.Organization{ID: "acme", Require: true}, false))
	wantsLockout(t, w.machine().SetOrganization(t.Context(), pass, false), "root")
	must(t, w.machine().SetOrganization(t.Context(), pass, true))
	if o := p.Current().Organizations.Find("acme"); o == nil || o.Enrollment == nil {
		t.Error("it is not done though it was forced")
	}
}

// silentUsers is a store that cannot list users.
type silentUsers struct{ mfa.Store }

func (silentUsers) ListUsers(context.Context, mfa.UserQuery, string, int) ([]*mfa.User, string, error) {
	return nil, "", errFault
}

// An answer that cannot be had is no.
func TestAdministration_B35_LockoutUnreadable(t *testing.T) {
	store := silentUsers{newStore(t)}
	p, _ := newPolicies(t, store, mfa.PolicySettings{}, allKinds)
	w := newWorldOn(t, store, func(c *mfa.Config) { c.Policy, c.Policies = nil, p })
	before := p.Current()
	wants(t, w.machine().SetPolicy(t.Context(), "grace", []string{"1d"}, false), errFault)
	if p.Current() != before {
		t.Error("it is done all the same")
	}
}

// B35: a lock does not switch the guard off. Strangers can lock an administrator by wrong
// passwords, and whoever is locked has all the more to lose. Nor does it stop the changes
// that take nothing away.
func TestAdministration_B35_LockedByStrangers(t *testing.T) {
	w, _ := governedBy(t)
	must(t, w.store.UpdateUser(t.Context(), "root", func(u *mfa.User) error { u.Locked = []mfa.Kind{mfa.Password}; return nil }))
	must(t, w.machine().SetPolicy(t.Context(), "remember_device", []string{"1d"}, false))
	wantsLockout(t, w.machine().SetPolicy(t.Context(), "enrollment", []string{"pass"}, false), "root")
	// Of two of whom one is locked, the other must not be shut out.
	other := lockoutUser(anApp)
	other.ID, other.Handle, other.Subject, other.Name, other.Locked = "zoe", []byte("zoe"), "zoe", "zoe", []mfa.Kind{mfa.Password}
	must(t, w.store.CreateUser(t.Context(), other))
	must(t, w.store.UpdateUser(t.Context(), "root", func(u *mfa.User) error { u.Locked = nil; return nil }))
	wantsLockout(t, w.machine().SetPolicy(t.Context(), "enrollment", []string{"pass"}, false), "root")
}

// B35 in two steps: a change that one administrator survives, and then that one's role.
func TestAdministration_B35_LastWhoCanSignIn(t *testing.T) {
	for name, take := range map[string]func(a *mfa.Administration) error{
		"role":    func(a *mfa.Administration) error { return a.SetRole(t.Context(), "zoe", mfa.RoleNone, nil) },
		"disable": func(a *mfa.Administration) error { return a.SetDisabled(t.Context(), "zoe", true) },
	} {
		w, _ := governedBy(t)
		other := lockoutUser(anApp)
		other.ID, other.Handle, other.Subject, other.Name = "zoe", []byte("zoe"), "zoe", "zoe"
		must(t, w.store.CreateUser(t.Context(), other))
		must(t, w.machine().SetPolicy(t.Context(), "enrollment", []string{"pass"}, false))
		if err := take(w.machine()); !errors.Is(err, mfa.ErrLastAdministrator) {
			t.Errorf("%s: %v: root has no factor, and can set none up", name, err)
		}
		must(t, w.machine().SetPolicy(t.Context(), "enrollment", []string{"open"}, false))
		must(t, take(w.machine()))
	}
}

// B35 by another door: an organization that nobody is a member of may ask for anything, and
// then the administrator is made a member of it.
func TestAdministration_B35_MemberLockout(t *testing.T) {
	w, _ := governed(t, mfa.PolicySettings{})
	must(t, w.store.CreateUser(t.Context(), lockoutUser()))
	must(t, w.machine().SetOrganization(t.Context(), mfa.Organization{ID: "acme", Enrollment: &mfa.Enrollment{}}, false))
	// A key that may change organizations and nothing else, for example.
	key := w.gate.As(mfa.Actor{Powers: mfa.ChangeOrganizations, Name: "key"})
	wants(t, key.SetMember(t.Context(), "root", "acme", true), mfa.ErrLastAdministrator)
	if u := w.user("root"); len(u.Organizations) != 0 {
		t.Error("it is done all the same")
	}
	if e := w.events.Named(mfa.EventAdmin); e[len(e)-1].OK || e[len(e)-1].Reason != "last_administrator" {
		t.Errorf("recorded: %+v", e[len(e)-1])
	}
	other := lockoutUser(anApp)
	other.ID, other.Handle, other.Subject, other.Name = "zoe", []byte("zoe"), "zoe", "zoe"
	must(t, w.store.CreateUser(t.Context(), other))
	must(t, key.SetMember(t.Context(), "root", "acme", true))
	must(t, key.SetMember(t.Context(), "zoe", "acme", true)) // she has a factor that counts
}
