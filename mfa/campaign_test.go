package mfa_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/secondgate/secondgate/mfa"
	"github.com/secondgate/secondgate/mfa/mfatest"
)

const accountPage = "https://app.example.com/.mfa/account"

// drive is a gate with policies of its store, whose campaigns run.
type drive struct {
	*world
	policies *mfa.Policies
	desk     mfatest.Desk
}

func newDrive(t *testing.T, configured mfa.PolicySettings, declared ...*mfa.Organization) *drive {
	t.Helper()
	return driveOn(t, newStore(t), configured, declared...)
}

func driveOn(t *testing.T, store mfa.Store, configured mfa.PolicySettings, declared ...*mfa.Organization) *drive {
	t.Helper()
	return driveAt(t, store, configured, 60_000, declared...)
}

// driveAt is driveOn with so many letters a minute.
func driveAt(t *testing.T, store mfa.Store, configured mfa.PolicySettings, letters int, declared ...*mfa.Organization) *drive {
	t.Helper()
	p, _ := newPolicies(t, store, configured, allKinds, declared...)
	w := newWorldOn(t, store, func(cfg *mfa.Config) {
		cfg.Policies, cfg.Policy = p, p.Current
		cfg.AccountPage, cfg.CampaignLetters = accountPage, letters
	})
	return &drive{w, p, mfatest.NewDesk(w.gate)}
}

// again is the gateway after a restart: nothing but the store and the time are the same.
func (d *drive) again(configured mfa.PolicySettings, declared ...*mfa.Organization) *drive {
	next := driveOn(d.t, d.store, configured, declared...)
	next.time = d.time
	return next
}

// posting returns another gate on the same store and time, whose letters go there.
func (d *drive) posting(post mfa.Post) *mfa.Gate {
	return newWorldOn(d.t, d.store, func(cfg *mfa.Config) {
		cfg.Policies, cfg.Policy, cfg.Now = d.policies, d.policies.Current, d.clock
		cfg.Post, cfg.CampaignLetters = post, 60_000
	}).gate
}

func (d *drive) person(name string, change ...func(*mfa.User)) {
	d.t.Helper()
	u := &mfa.User{
		ID: mfa.UserID("id-" + name), Handle: []byte("handle-" + name), Source: mfa.LocalSource, Subject: name, Name: name,
		Email: name + "@example.com", EmailVerified: true, Created: d.clock(), FirstSignIn: d.clock(), Password: mfa.Secret("x"),
	}
	for _, f := range change {
		f(u)
	}
	must(d.t, d.store.CreateUser(d.t.Context(), u))
}

func in(of mfa.OrganizationID) func(*mfa.User) {
	return func(u *mfa.User) { u.Organizations = append(u.Organizations, of) }
}

func with(k mfa.Kind) func(*mfa.User) {
	return func(u *mfa.User) {
		u.Credentials = append(u.Credentials, mfa.Credential{ID: mfa.CredentialID("c-" + string(k)), Kind: k, Left: 1})
	}
}

func (d *drive) start(c mfa.CampaignInput) {
	d.t.Helper()
	must(d.t, d.desk.SetCampaign(d.t.Context(), c))
}

func (d *drive) run() {
	d.t.Helper()
	must(d.t, d.gate.RunCampaigns(d.t.Context()))
}

// reminded returns who got letters of campaigns since the last call, sorted, once for each
// letter.
func (d *drive) reminded() []string {
	d.t.Helper()
	var list []string
	for _, l := range d.post.All() {
		if l.Kind != mfa.LetterCampaign {
			d.t.Errorf("a letter %q", l.Kind)
		}
		list = append(list, strings.TrimSuffix(l.To, "@example.com"))
	}
	d.post.Reset()
	slices.Sort(list)
	return list
}

func (d *drive) wantReminded(when string, want ...string) {
	d.t.Helper()
	if got := d.reminded(); !slices.Equal(got, want) {
		d.t.Errorf("%s: letters to %v, want %v", when, got, want)
	}
}

func (d *drive) campaign(of mfa.OrganizationID) *mfa.CampaignInfo {
	d.t.Helper()
	return as[*mfa.CampaignInfo](d.t)(d.desk.Campaign(d.t.Context(), of))
}

// B37: what a campaign cannot be is refused in words that say what to write instead.
func TestAdministration_B37_SetCampaign(t *testing.T) {
	d := newDrive(t, mfa.PolicySettings{Factors: ptr(mfa.KindsOf(mfa.Passkey, mfa.TOTP, mfa.BackupCode))}, &mfa.Organization{ID: "fixed", Declared: true})
	must(t, d.desk.SetOrganization(t.Context(), mfa.Organization{ID: "acme", Factors: mfa.KindsOf(mfa.Passkey)}, false))
	at := func(d2 time.Duration) time.Time { return d.clock().Add(d2) }
	for _, tt := range []struct {
		name string
		in   mfa.CampaignInput
		want string // of the error; empty: none
	}{
		{"the least", mfa.CampaignInput{Deadline: at(time.Hour)}, ""},
		{"all of it", mfa.CampaignInput{Organization: "acme", Factors: mfa.KindsOf(mfa.Passkey), Deadline: at(30 * day), Remind: []time.Duration{day, 14 * day, 7 * day}, Require: true}, ""},
		{"a reminder at once", mfa.CampaignInput{Organization: "acme", Deadline: at(14 * day), Remind: []time.Duration{14 * day}}, ""},
		{"a whole year", mfa.CampaignInput{Deadline: at(mfa.MaxCampaign)}, ""},
		{"no deadline", mfa.CampaignInput{}, "in the past"},
		{"now", mfa.CampaignInput{Deadline: at(0)}, "in the past"},
		{"too far away", mfa.CampaignInput{Deadline: at(mfa.MaxCampaign + time.Hour)}, "more than a year"},
		{"a factor that is not enabled", mfa.CampaignInput{Deadline: at(day), Factors: mfa.KindsOf(mfa.SMS)}, "sms cannot be set up here; write some of those: passkey totp"},
		{"one that the organization does not take", mfa.CampaignInput{Organization: "acme", Deadline: at(day), Factors: mfa.KindsOf(mfa.TOTP)}, "totp cannot be set up here; write some of those: passkey"},
		{"backup codes", mfa.CampaignInput{Deadline: at(day), Factors: mfa.KindsOf(mfa.BackupCode)}, "backup_code is no goal"},
		{"an unknown factor", mfa.CampaignInput{Deadline: at(day), Factors: 1 << 7}, "no goal"},
		{"a reminder on the last day", mfa.CampaignInput{Deadline: at(9 * day), Remind: []time.Duration{23 * time.Hour}}, "write 1d or more"},
		{"one after the deadline", mfa.CampaignInput{Deadline: at(9 * day), Remind: []time.Duration{-day}}, "write 1d or more"},
		{"one before today", mfa.CampaignInput{Organization: "fixed", Deadline: at(9 * day), Remind: []time.Duration{10 * day}}, "10d before the deadline is over already; write less"},
		{"two in a day", mfa.CampaignInput{Deadline: at(9 * day), Remind: []time.Duration{36 * time.Hour, day}}, "36h and 1d are less than a day apart"},
		{"twice the same", mfa.CampaignInput{Deadline: at(9 * day), Remind: []time.Duration{day, day}}, "less than a day apart"},
		{"too many", mfa.CampaignInput{Deadline: at(99 * day), Remind: make([]time.Duration, 11)}, "write 10 at most"},
		{"no such organization", mfa.CampaignInput{Organization: "nobody", Deadline: at(day)}, "not found"},
		{"no name for one", mfa.CampaignInput{Organization: "A B\n", Deadline: at(day)}, "not found"},
		{"to require of a declared one", mfa.CampaignInput{Organization: "fixed", Deadline: at(day), Require: true}, "the configuration declares the organization fixed"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			err := d.desk.SetCampaign(t.Context(), tt.in)
			var wrong *mfa.CampaignError
			switch {
			case tt.want == "" && err != nil:
				t.Errorf("%v", err)
			case tt.want == "":
			case err == nil || !strings.Contains(err.Error(), tt.want):
				t.Errorf("%v, want %q", err, tt.want)
			case !errors.As(err, &wrong) && !errors.Is(err, mfa.ErrNotFound):
				t.Errorf("%T", err)
			}
		})
	}
	if c := d.campaign("acme"); len(c.Reminders) != 1 || !c.Running || c.DaysLeft != 14 || c.By != "command line" {
		t.Errorf("%+v", c)
	}
	// Where the configuration says "require", nothing else can.
	fixed := newDrive(t, mfa.PolicySettings{Optional: ptr(true)})
	err := fixed.desk.SetCampaign(t.Context(), mfa.CampaignInput{Deadline: fixed.clock().Add(day), Require: true})
	if err == nil || !strings.Contains(err.Error(), "the configuration says whether") {
		t.Errorf("%v", err)
	}
	off := newDrive(t, mfa.PolicySettings{Off: true, Optional: ptr(true)})
	if err := off.desk.SetCampaign(t.Context(), mfa.CampaignInput{Deadline: off.clock().Add(day)}); err == nil || !strings.Contains(err.Error(), "factors off") {
		t.Errorf("%v", err)
	}
}

// AC-224: an organization's administrators see its campaign, and no other one; nobody but
// who may change organizations, or the policy, changes one. What is refused is an event.
func TestAdministration_AC224_Campaigns(t *testing.T) {
	c, ctx := newCompany(t), t.Context()
	deadline := c.clock().Add(day)
	for _, of := range []mfa.OrganizationID{"", "acme", "globex"} {
		must(t, c.as("root", "").SetCampaign(ctx, mfa.CampaignInput{Organization: of, Deadline: deadline}))
	}
	organizations := c.gate.As(mfa.Actor{Powers: mfa.ReadOrganizations | mfa.ChangeOrganizations, Name: "key of organizations"})
	policy := c.gate.As(mfa.Actor{Powers: mfa.ReadPolicy | mfa.ChangePolicy, Name: "key of the policy"})
	for _, tt := range []struct {
		who  string
		a    *mfa.Administration
		sees []mfa.OrganizationID
		may  []mfa.OrganizationID
	}{
		{"root", c.as("root", ""), []mfa.OrganizationID{"", "acme", "globex"}, []mfa.OrganizationID{"", "acme", "globex"}},
		{"auditor", c.as("auditor", ""), []mfa.OrganizationID{"", "acme", "globex"}, nil},
		{"boss of acme", c.as("boss", "acme"), []mfa.OrganizationID{"acme"}, nil},
		{"ann", c.as("ann", "acme"), nil, nil},
		{"organizations", organizations, []mfa.OrganizationID{"", "acme", "globex"}, []mfa.OrganizationID{"acme", "globex"}},
		{"policy", policy, nil, []mfa.OrganizationID{""}},
	} {
		list, err := tt.a.Campaigns(ctx)
		var sees []mfa.OrganizationID
		for _, c := range list {
			sees = append(sees, c.Organization)
		}
		if !slices.Equal(sees, tt.sees) || tt.sees == nil && !errors.Is(err, mfa.ErrNotAllowed) {
			t.Errorf("%s sees %q, %v", tt.who, sees, err)
		}
		for _, of := range []mfa.OrganizationID{"", "acme", "globex"} {
			want := error(nil)
			if !slices.Contains(tt.may, of) {
				want = mfa.ErrNotAllowed
			}
			if err := tt.a.SetCampaign(ctx, mfa.CampaignInput{Organization: of, Deadline: deadline}); !errors.Is(err, want) {
				t.Errorf("%s changes %q: %v", tt.who, of, err)
			}
			if want == nil {
				continue
			}
			if err := tt.a.EndCampaign(ctx, of); !errors.Is(err, want) {
				t.Errorf("%s ends %q: %v", tt.who, of, err)
			}
		}
	}
	must(t, c.as("root", "").EndCampaign(ctx, "acme"))
	wants(t, c.as("root", "").EndCampaign(ctx, "acme"), mfa.ErrNotFound)
	if _, err := c.as("boss", "acme").Campaign(ctx, "globex"); !errors.Is(err, mfa.ErrNotFound) {
		t.Errorf("%v", err)
	}
	refused := slices.ContainsFunc(c.events.Named(mfa.EventAdmin), func(e mfa.Event) bool {
		return !e.OK && e.Reason == "not_allowed" && e.Actor == "boss" && e.Detail == "campaign"
	})
	kept := slices.ContainsFunc(c.events.Named(mfa.EventAdmin), func(e mfa.Event) bool {
		return e.OK && e.Actor == "root" && strings.HasPrefix(e.Detail, "campaign of acme until 2026-01-03")
	})
	if !refused || !kept {
		t.Errorf("refused %t, kept %t: %+v", refused, kept, c.events.Named(mfa.EventAdmin))
	}
}

// B37 from the start to the deadline: who gets what when.
func TestGate_B37_CampaignFromStartToDeadline(t *testing.T) {
	var none mfa.PolicySettings
	d := newDrive(t, none)
	must(t, d.desk.SetOrganization(t.Context(), mfa.Organization{ID: "acme", Name: "Acme & Co", Domains: []string{"acme.example"}}, false))
	d.person("ann", in("acme"), func(u *mfa.User) { u.Language = "de" })
	d.person("ben", in("acme"), with(mfa.TOTP))
	d.person("cay", in("acme"), func(u *mfa.User) { u.Disabled = true })
	d.person("dan", in("acme"), func(u *mfa.User) { u.EmailVerified = false }) // B38
	d.person("eve", func(u *mfa.User) { u.Email = "eve@acme.example" })        // by her address
	d.person("fay")                                                            // nobody's
	d.person("gus", in("acme"), func(u *mfa.User) { u.Email = "" })
	d.person("hal", in("acme"), func(u *mfa.User) { u.Email = "hal@acme.example" }) // both ways
	d.person("ida", in("acme"), with(mfa.BackupCode))
	d.start(mfa.CampaignInput{
		Organization: "acme", Deadline: d.clock().Add(15 * day), Remind: []time.Duration{day, 7 * day, 14 * day}, Require: true,
	})
	if c := d.campaign("acme"); c.Users != 7 || c.Reached != 1 || c.Percent != 14 || c.Title != "Acme & Co" || c.DaysLeft != 15 || !c.Running {
		t.Errorf("%+v", c)
	}
	d.run()
	d.wantReminded("at the start")

	d.wait(day)
	d.run()
	if l := d.post.To("ann@example.com"); len(l) != 1 || l[0].Language != "de" || string(l[0].Link) != accountPage || l[0].Origin != "https://app.example.com" ||
		l[0].Channel != mfa.Email || l[0].UserName != "ann" || l[0].Campaign == nil || l[0].Campaign.Organization != "Acme & Co" || l[0].Campaign.DaysLeft != 14 || !l[0].Campaign.Required {
		t.Errorf("%+v", l)
	}
	d.wantReminded("14 days before", "ann", "eve@acme.example", "hal@acme.example", "ida")
	d.run()
	d.wait(time.Hour)
	d = d.again(none)
	d.run()
	d.wantReminded("an hour and a restart later")

	d.change("id-eve", with(mfa.Passkey)) // she sets one up
	d.change("id-dan", func(u *mfa.User) { u.EmailVerified = true })
	d.change("id-hal", func(u *mfa.User) { u.Disabled = true })
	d.wait(7*day - time.Hour)
	d.run()
	d.wantReminded("7 days before", "ann", "dan", "ida")
	d.wait(3 * day)
	d.run()
	d.wantReminded("in between")
	d.wait(3 * day)
	d.run()
	d.wantReminded("the day before", "ann", "dan", "ida")
	if d.policies.Current().Organizations.Find("acme").Require {
		t.Error("it requires before the deadline")
	}

	d.wait(day)
	if out := as[*mfa.CampaignInfo](t)(d.desk.Campaign(t.Context(), "acme")); out.Running || !out.Done.IsZero() {
		t.Errorf("%+v", out)
	}
	d = d.again(none)
	d.run()
	d.wantReminded("at the deadline")
	if !d.policies.Current().Organizations.Find("acme").Require {
		t.Error("nothing is required after the deadline")
	}
	c := d.campaign("acme")
	if c.Done.IsZero() || c.Note != "" || c.Sent != 10 || c.Users != 6 || c.Reached != 2 || c.Percent != 33 {
		t.Errorf("%+v", c)
	}
	for _, r := range c.Reminders {
		if !r.Done {
			t.Errorf("%+v", c.Reminders)
		}
	}
	if n := d.recorded(mfa.EventCampaign, true); n != 1 {
		t.Errorf("%d events of the deadline", n)
	}
	d.run()
	d.wait(day)
	d.run()
	if n := d.recorded(mfa.EventCampaign, true); n != 1 || d.recorded(mfa.EventAdmin, true) != 1 {
		t.Errorf("the deadline is dealt with again: %+v", d.events.Named(mfa.EventCampaign))
	}
}

// The deadline of everybody's campaign changes the gateway's policy, and takes a prompt
// with it, which has no meaning then.
func TestGate_B37_DeadlineOfEverybody(t *testing.T) {
	var none mfa.PolicySettings
	d := newDrive(t, none)
	optional := func(s *mfa.PolicySettings) error {
		s.Optional, s.Prompt = ptr(true), ptr(mfa.PromptNever)
		return nil
	}
	must(t, d.store.UpdatePolicySettings(t.Context(), optional))
	d.person("ann")
	d.start(mfa.CampaignInput{Deadline: d.clock().Add(day), Require: true})
	d.wait(day)
	d.run()
	if p := d.policies.Current(); p.Optional || p.Prompt != mfa.PromptAtRegistration {
		t.Errorf("%+v", p)
	}
	if c := d.campaign(""); c.Done.IsZero() || c.Note != "" {
		t.Errorf("%+v", c)
	}
	by := slices.ContainsFunc(d.events.Named(mfa.EventAdmin), func(e mfa.Event) bool {
		return e.OK && e.Actor == "campaign, started by command line" && e.Detail == "policy set require on"
	})
	if !by {
		t.Errorf("%+v", d.events.Named(mfa.EventAdmin))
	}

	// The configuration says so by now: it is left alone, and administrators read why.
	must(t, d.store.UpdatePolicySettings(t.Context(), optional))
	d.start(mfa.CampaignInput{Deadline: d.clock().Add(day), Require: true})
	d = d.again(mfa.PolicySettings{Optional: ptr(true)})
	d.wait(day)
	d.run()
	c := d.campaign("")
	if !d.policies.Current().Optional || c.Done.IsZero() || !strings.Contains(c.Note, "the configuration says so") {
		t.Errorf("%+v", c)
	}
	if d.recorded(mfa.EventCampaign, false) != 1 {
		t.Errorf("%+v", d.events.Named(mfa.EventCampaign))
	}
}

// B35: a deadline that would lock every administrator out requires nothing, and
// says why.
func TestGate_B37_DeadlineRejectsLockout(t *testing.T) {
	for _, of := range []mfa.OrganizationID{"", "acme"} {
		var none mfa.PolicySettings
		d := newDrive(t, none)
		must(t, d.store.UpdatePolicySettings(t.Context(), func(s *mfa.PolicySettings) error {
			// Whoever has no factor needs an administrator's pass for the first.
			s.Optional, s.Enrollment = ptr(true), ptr(mfa.Enrollment{})
			return nil
		}))
		must(t, d.desk.SetOrganization(t.Context(), mfa.Organization{ID: "acme"}, false))
		d.person("root", in("acme"), func(u *mfa.User) { u.Admin = true })
		d.start(mfa.CampaignInput{Organization: of, Deadline: d.clock().Add(day), Require: true})
		d.wait(day)
		d.run()
		if p := d.policies.Current(); !p.Optional || p.Organizations.Find("acme").Require {
			t.Errorf("%q: it is required", of)
		}
		c := d.campaign(of)
		if c.Done.IsZero() || !strings.Contains(c.Note, "no administrator could sign in any more") {
			t.Errorf("%q: %+v", of, c)
		}
		e := d.events.Named(mfa.EventCampaign)
		if len(e) != 1 || e[0].OK || e[0].Reason != "lockout" || !strings.Contains(e[0].Detail, "root has") {
			t.Errorf("%q: %+v", of, e)
		}
		if strings.Contains(c.Note, "root") {
			t.Errorf("AC-224 %q: the note tells an organization's administrator who administrates: %q", of, c.Note)
		}
	}
}

// A campaign whose organization is gone reminds nobody and requires nothing.
func TestGate_B37_OrganizationIsGone(t *testing.T) {
	var none mfa.PolicySettings
	d := newDrive(t, none, &mfa.Organization{ID: "fixed", Declared: true})
	must(t, d.desk.SetOrganization(t.Context(), mfa.Organization{ID: "acme"}, false))
	d.person("ann", in("acme"))
	d.person("ben", in("fixed"))
	for _, of := range []mfa.OrganizationID{"acme", "fixed"} {
		d.start(mfa.CampaignInput{Organization: of, Deadline: d.clock().Add(2 * day), Remind: []time.Duration{day}})
	}
	must(t, d.desk.RemoveOrganization(t.Context(), "acme"))
	must(t, d.desk.SetOrganization(t.Context(), mfa.Organization{ID: "acme"}, false)) // another one of that name
	if _, err := d.desk.Campaign(t.Context(), "acme"); !errors.Is(err, mfa.ErrNotFound) {
		t.Errorf("%v", err)
	}
	d = d.again(none) // a configuration without "fixed"
	d.wait(day)
	d.run()
	d.wantReminded("a day before")
	if c := d.campaign("fixed"); !strings.Contains(c.Note, "no such organization") || c.Users != 0 || c.Title != "fixed" {
		t.Errorf("%+v", c)
	}
	d.wait(day)
	d.run()
	if c := d.campaign("fixed"); c.Done.IsZero() {
		t.Errorf("%+v", c)
	}
}

// many makes so many people without a factor.
func (d *drive) many(n int) {
	for i := range n {
		d.person(fmt.Sprintf("user%03d", i))
	}
}

// once holds that everybody got one letter.
func (d *drive) once(n int) {
	d.t.Helper()
	got := d.reminded()
	if each := slices.Compact(slices.Clone(got)); len(got) != n || len(each) != n {
		d.t.Errorf("%d letters to %d people, want one for each of %d", len(got), len(each), n)
	}
}

// stopping is a Post that ends the gateway after so many letters.
type stopping struct {
	mfa.Post
	left int
	stop context.CancelFunc
}

func (s *stopping) Send(ctx context.Context, l *mfa.Letter) error {
	if s.left--; s.left == 0 {
		s.stop()
	}
	return s.Post.Send(ctx, l)
}

// A gateway that stops anywhere in a list goes on there: each person gets one letter,
// also where the policy changed in between, so that the list is another one.
func TestGate_B37_RestartInBetween(t *testing.T) {
	for _, after := range []int{1, 20, 50, 51, 79} {
		for _, changed := range []bool{false, true} {
			t.Run(fmt.Sprintf("after %d, changed %t", after, changed), func(t *testing.T) {
				var none mfa.PolicySettings
				d := newDrive(t, none)
				d.many(80)
				d.start(mfa.CampaignInput{Deadline: d.clock().Add(7 * day), Remind: []time.Duration{7 * day}})
				ctx, stop := context.WithCancel(t.Context())
				if err := d.posting(&stopping{&d.post, after, stop}).RunCampaigns(ctx); !errors.Is(err, context.Canceled) {
					t.Errorf("%v", err)
				}
				if n := len(d.post.All()); n != after {
					t.Fatalf("%d letters", n)
				}
				if changed {
					d.wait(30 * time.Hour)
					must(t, d.store.UpdatePolicySettings(t.Context(), func(s *mfa.PolicySettings) error {
						s.Factors = ptr(mfa.KindsOf(mfa.Passkey))
						return nil
					}))
				}
				d.run()
				d.once(80)
				if c := d.campaign(""); c.Sent != 80 || !c.Reminders[0].Done {
					t.Errorf("%+v", c)
				}
			})
		}
	}
}

// Two gates at once, as there are for a moment at each reload, do the work of one.
func TestGate_B37_TwoAtOnce(t *testing.T) {
	var none mfa.PolicySettings
	d := newDrive(t, none)
	d.many(70)
	d.start(mfa.CampaignInput{Deadline: d.clock().Add(7 * day), Remind: []time.Duration{7 * day}})
	var all sync.WaitGroup
	for range 3 {
		other := d.posting(&d.post)
		all.Go(func() {
			if err := other.RunCampaigns(t.Context()); err != nil {
				t.Error(err)
			}
		})
	}
	all.Wait()
	d.run()
	d.once(70)
	if c := d.campaign(""); c.Sent != 70 || !c.Reminders[0].Done {
		t.Errorf("%+v", c)
	}
}

// Whoever ends campaigns and starts them again, with a key that somebody lost, fills no
// mailbox: a person gets one letter of one campaign in a day.
func TestGate_B37_StartedAgainAndAgain(t *testing.T) {
	var none mfa.PolicySettings
	d := newDrive(t, none)
	d.person("ann")
	for i := range 10 {
		d.start(mfa.CampaignInput{Deadline: d.clock().Add(time.Duration(i+1) * day), Remind: []time.Duration{time.Duration(i+1) * day}})
		d.run()
		must(t, d.desk.EndCampaign(t.Context(), ""))
		d.run()
		d.wait(time.Hour)
	}
	d.wantReminded("ten campaigns", "ann")
}

// After a standstill through several reminders, the last one of them is sent, and not all.
func TestGate_B37_Standstill(t *testing.T) {
	var none mfa.PolicySettings
	d := newDrive(t, none)
	d.person("ann")
	d.start(mfa.CampaignInput{Deadline: d.clock().Add(20 * day), Remind: []time.Duration{14 * day, 7 * day, 2 * day}})
	d.wait(14 * day)
	d.run()
	d.wantReminded("6 days before", "ann")
	d.run()
	d.wait(3 * day)
	d.run()
	d.wantReminded("3 days before")
	d.wait(day)
	d.run()
	d.wantReminded("2 days before", "ann")
}

// A campaign that is changed while it runs keeps what was sent.
func TestGate_B37_ChangedWhileItRuns(t *testing.T) {
	var none mfa.PolicySettings
	d := newDrive(t, none)
	d.person("ann")
	c := mfa.CampaignInput{Deadline: d.clock().Add(14 * day), Remind: []time.Duration{14 * day, 7 * day, day}}
	d.start(c)
	d.run()
	d.wantReminded("at the start", "ann")
	d.wait(2 * day)
	c.Require = true
	d.start(c) // 14 days before is over, and that is no error now
	d.run()
	d.wantReminded("with another end")
	c.Deadline = c.Deadline.Add(10 * day)
	d.start(c)
	d.run()
	d.wantReminded("with a later deadline")
	d.wait(8 * day) // 14 days before the new one
	d.run()
	d.wantReminded("14 days before the new deadline", "ann")
	if got := d.campaign(""); got.Sent != 2 || got.DaysLeft != 14 {
		t.Errorf("%+v", got)
	}
	c.Deadline, c.Remind = d.clock().Add(9*day), []time.Duration{8 * day}
	d.start(c)
	d.wait(day)
	d.run()
	d.wantReminded("with other reminders", "ann")
}

// … also in the middle of a reminder: who was not reminded yet is.
func TestGate_B37_ChangedInAReminder(t *testing.T) {
	var none mfa.PolicySettings
	d := newDrive(t, none)
	d.many(80)
	c := mfa.CampaignInput{Deadline: d.clock().Add(7 * day), Remind: []time.Duration{7 * day}}
	d.start(c)
	ctx, stop := context.WithCancel(t.Context())
	_ = d.posting(&stopping{&d.post, 55, stop}).RunCampaigns(ctx)
	d.wait(day)
	c.Remind = append(c.Remind, 5*day)
	d.start(c)
	d.run()
	d.once(80)
}

// Whoever sets a factor up, is disabled, or leaves, between being looked up and being
// written to, gets no letter; and none goes out once the campaign has ended.
func TestGate_B37_MeanwhileNothingIsOwed(t *testing.T) {
	var none mfa.PolicySettings
	for name, change := range map[string]func(*drive){
		"a factor":     func(d *drive) { d.change("id-user001", with(mfa.TOTP)) },
		"disabled":     func(d *drive) { d.change("id-user001", func(u *mfa.User) { u.Disabled = true }) },
		"has left":     func(d *drive) { d.change("id-user001", func(u *mfa.User) { u.Organizations = nil }) },
		"not verified": func(d *drive) { d.change("id-user001", func(u *mfa.User) { u.EmailVerified = false }) },
	} {
		t.Run(name, func(t *testing.T) {
			d := newDrive(t, none)
			must(t, d.desk.SetOrganization(t.Context(), mfa.Organization{ID: "acme"}, false))
			for i := range 3 {
				d.person(fmt.Sprintf("user%03d", i), in("acme"))
			}
			d.start(mfa.CampaignInput{Organization: "acme", Deadline: d.clock().Add(7 * day), Remind: []time.Duration{7 * day}})
			must(t, d.posting(&stopping{&d.post, 1, func() { change(d) }}).RunCampaigns(t.Context()))
			d.wantReminded("meanwhile", "user000", "user002")
		})
	}
	d := newDrive(t, none)
	d.many(3)
	d.start(mfa.CampaignInput{Deadline: d.clock().Add(7 * day), Remind: []time.Duration{7 * day}})
	end := func() { must(t, d.desk.EndCampaign(t.Context(), "")) }
	must(t, d.posting(&stopping{&d.post, 1, end}).RunCampaigns(t.Context()))
	d.wantReminded("ended", "user000")
}

// While letters cannot be sent, few are tried, and nobody else's is lost.
func TestGate_B37_Outage(t *testing.T) {
	var none mfa.PolicySettings
	d := newDrive(t, none)
	d.many(60)
	d.start(mfa.CampaignInput{Deadline: d.clock().Add(7 * day), Remind: []time.Duration{7 * day}})
	d.post.Fail(mfa.ErrNotSent)
	failed := 0
	for range 60 { // an hour of passes
		if err := d.gate.RunCampaigns(t.Context()); err != nil {
			failed++
		}
		d.wait(time.Minute)
	}
	if failed != 6 { // after 3 letters, and then one each after 1, 2, 4, 8 and 16 minutes; the next after 32
		t.Errorf("%d passes found that nothing goes out", failed)
	}
	d.post.Fail(nil)
	d.wait(time.Hour)
	d.run()
	d.once(60 - 3 - 5)

	// Without a sender, reminders wait for one.
	d.post.Off(mfa.Email)
	d.start(mfa.CampaignInput{Deadline: d.clock().Add(5 * day), Remind: []time.Duration{3 * day}})
	d.wait(2 * day)
	d.run()
	d.wantReminded("without a sender")
	d.post.Off()
	d.run()
	d.once(60)
}

// Codes go first: where too many letters are under way, a reminder waits its turn.
func TestGate_B37_CodesGoFirst(t *testing.T) {
	var none mfa.PolicySettings
	d := newDrive(t, none)
	d.many(3)
	busy := &busyPost{Post: &d.post, left: 4}
	d.start(mfa.CampaignInput{Deadline: d.clock().Add(7 * day), Remind: []time.Duration{7 * day}})
	must(t, d.posting(busy).RunCampaigns(t.Context()))
	d.once(3)
}

type busyPost struct {
	mfa.Post
	left int
}

func (b *busyPost) Send(ctx context.Context, l *mfa.Letter) error {
	if b.left > 0 {
		b.left--
		return mfa.ErrBusy
	}
	return b.Post.Send(ctx, l)
}

// Queue is what reminders must not use: codes wait there.
func (b *busyPost) Queue(*mfa.Letter) bool { panic("queued") }

// What people see: of the campaigns that they are in, the one that ends first, until its
// goal is reached or it is over.
func TestGate_B37_Prompt(t *testing.T) {
	var none mfa.PolicySettings
	d := newDrive(t, none)
	must(t, d.store.UpdatePolicySettings(t.Context(), func(s *mfa.PolicySettings) error {
		s.Optional = ptr(true)
		return nil
	}))
	must(t, d.desk.SetOrganization(t.Context(), mfa.Organization{ID: "acme", Name: "Acme"}, false))
	must(t, d.desk.SetOrganization(t.Context(), mfa.Organization{ID: "other"}, false))
	_, _, out := d.alice()
	prompt := func() *mfa.CampaignPrompt {
		t.Helper()
		return as[*mfa.Account](t)(d.gate.Account(t.Context(), d.at, out.Session.ID)).Campaign
	}
	if c := prompt(); c != nil {
		t.Errorf("%+v", c)
	}
	d.start(mfa.CampaignInput{Organization: "acme", Factors: mfa.KindsOf(mfa.Passkey), Deadline: d.clock().Add(5 * day), Require: true})
	d.start(mfa.CampaignInput{Organization: "other", Factors: mfa.KindsOf(mfa.Passkey), Deadline: d.clock().Add(day)})
	d.start(mfa.CampaignInput{Deadline: d.clock().Add(2 * day)}) // she has an authenticator app
	if c := prompt(); c != nil {
		t.Errorf("no member: %+v", c)
	}
	must(t, d.desk.SetMember(t.Context(), "alice", "acme", true))
	want := mfa.CampaignPrompt{Organization: "Acme", Factors: mfa.KindsOf(mfa.Passkey), Deadline: d.clock().Add(5 * day), DaysLeft: 5, Required: true}
	if c := prompt(); c == nil || *c != want {
		t.Errorf("%+v", c)
	}
	d.start(mfa.CampaignInput{Factors: mfa.KindsOf(mfa.Passkey), Deadline: d.clock().Add(2 * day)})
	if c := prompt(); c == nil || c.Organization != "" || c.DaysLeft != 2 || c.Required {
		t.Errorf("%+v", c)
	}
	must(t, d.store.UpdatePolicySettings(t.Context(), func(s *mfa.PolicySettings) error {
		s.Factors = ptr(mfa.KindsOf(mfa.TOTP))
		return nil
	}))
	if c := prompt(); c != nil {
		t.Errorf("what cannot be set up: %+v", c)
	}
	must(t, d.store.UpdatePolicySettings(t.Context(), func(s *mfa.PolicySettings) error {
		s.Factors = nil
		return nil
	}))
	d.change(out.Session.User, with(mfa.Passkey))
	if c := prompt(); c != nil {
		t.Errorf("the goal is reached: %+v", c)
	}
}

// bounded counts what a pass asks of the store.
type bounded struct {
	mfa.Store
	mu             sync.Mutex
	lists, largest int
	users          int
}

func (b *bounded) ListUsers(ctx context.Context, q mfa.UserQuery, after string, limit int) ([]*mfa.User, string, error) {
	b.mu.Lock()
	b.lists++
	b.largest = max(b.largest, limit)
	b.mu.Unlock()
	return b.Store.ListUsers(ctx, q, after, limit)
}

func (b *bounded) User(ctx context.Context, id mfa.UserID) (*mfa.User, error) {
	b.mu.Lock()
	b.users++
	b.mu.Unlock()
	return b.Store.User(ctx, id)
}

// What a pass holds in memory, and what progress costs, does not grow with the people; and
// who has reached the goal is not even looked at.
func TestGate_B37_CostIsFlat(t *testing.T) {
	var none mfa.PolicySettings
	store := &bounded{Store: newStore(t)}
	d := driveOn(t, store, none)
	d.many(120)
	for i := range 80 {
		d.person(fmt.Sprintf("done%03d", i), with(mfa.TOTP))
	}
	d.start(mfa.CampaignInput{Deadline: d.clock().Add(7 * day), Remind: []time.Duration{7 * day}})
	store.users = 0
	if c := d.campaign(""); c.Users != 200 || c.Reached != 80 || c.Percent != 40 || store.lists != 0 || store.users != 0 {
		t.Errorf("%+v; %d lists, %d users", c, store.lists, store.users)
	}
	d.run()
	if store.largest > 50 || store.lists != 3 || store.users != 120 {
		t.Errorf("%d lists of up to %d, %d users", store.lists, store.largest, store.users)
	}
	store.lists, store.users = 0, 0
	d.run()
	if store.lists != 0 || store.users != 0 {
		t.Errorf("nothing is due: %d lists, %d users", store.lists, store.users)
	}
	d.once(120)
}
