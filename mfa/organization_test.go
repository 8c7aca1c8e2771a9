package mfa

import (
	"errors"
	"strings"
	"testing"
	"time"
)

// acme, beta and gone are organizations of the tables below; gone is in no directory.
func acme(change func(*Organization)) *Organization {
	o := &Organization{ID: "acme"}
	if change != nil {
		change(o)
	}
	return o
}

func beta(change func(*Organization)) *Organization {
	o := acme(change)
	o.ID = "beta"
	return o
}

// knows puts organizations into the scene's directory.
func (s *scene) knows(list ...*Organization) *scene {
	s.policy.Organizations = NewDirectory(append(s.policy.Organizations.List(), list...))
	return s
}

func (s *scene) of(ids ...OrganizationID) *scene {
	s.subject.Organizations = append(s.subject.Organizations, ids...)
	return s
}

func (s *scene) mail(verified string) *scene { s.subject.Email = verified; return s }

// on puts the request on a route of that organization.
func (s *scene) on(id OrganizationID) *scene { s.policy.Organization = id; return s }

func (s *scene) atAccess() *scene { s.policy.OrganizationRequired = AtAccess; return s }
func (s *scene) noCodes() *scene  { return s.enables(Passkey, TOTP) }

func TestDecide_Organizations(t *testing.T) {
	required := func(o *Organization) { o.Require = true }
	hourly := func(o *Organization) { o.Fresh = time.Hour }
	daily := func(o *Organization) { o.Fresh = 24 * time.Hour }
	strong := func(o *Organization) { o.PhishingResistant = true }
	apps := func(o *Organization) { o.Factors = KindsOf(TOTP) }
	domain := func(o *Organization) { o.Require, o.Domains = true, []string{"acme.example"} }
	free := func() *scene { return newScene().optional(PromptNever).noCodes() }
	plainHTTP := *testPlace
	plainHTTP.RPID, plainHTTP.NoPasskey = "", ReasonPlainHTTP

	for _, test := range []struct {
		name  string
		scene *scene
		want  string
	}{
		// B3: what adds up, and where.
		{"B3 nobody requires", free().knows(acme(nil)).of("acme"), "allow"},
		{"B3 a membership requires, everywhere", free().knows(acme(required)).of("acme"), "set_up nothing_set_up [passkey totp]"},
		{"B3 … at the sign-in too", free().knows(acme(required)).of("acme").halfDone(), "set_up nothing_set_up [passkey totp]"},
		{"B3 … of a stranger nothing", free().knows(acme(required)), "allow"},
		{"B3 at_access: not beside its own routes", free().atAccess().knows(acme(required)).of("acme"), "allow"},
		{"B3 at_access: on its own routes", free().atAccess().knows(acme(required)).of("acme").on("acme"), "set_up nothing_set_up [passkey totp]"},
		{"B3 at_access: another membership does not count there", free().atAccess().knows(acme(nil), beta(required)).of("acme", "beta").on("acme"), "allow"},
		{"B3 at_sign_in: it does", free().knows(acme(nil), beta(required)).of("acme", "beta").on("acme"), "set_up nothing_set_up [passkey totp]"},
		{"B3 the global requirement holds under a lax organization (AC-159)", newScene().noCodes().knows(acme(nil)).of("acme").on("acme"), "set_up nothing_set_up [passkey totp]"},
		{"B3 fresh of a membership", free().knows(acme(hourly)).of("acme").holds(TOTP).proved(time.Hour+1, TOTP), "step_up too_old [totp]"},
		{"B3 … and young enough", free().knows(acme(hourly)).of("acme").holds(TOTP).proved(time.Hour, TOTP), "allow"},
		{"B3 the shorter fresh of two memberships", free().knows(acme(daily), beta(hourly)).of("acme", "beta").holds(TOTP).proved(2*time.Hour, TOTP), "step_up too_old [totp]"},
		{"B3 the route's fresh, where that is shorter", free().needs(Requirement{Fresh: time.Minute}).knows(acme(hourly)).of("acme").holds(TOTP).proved(2*time.Minute, TOTP), "step_up too_old [totp]"},
		{"B3 the membership's fresh, where that is shorter", free().needs(Requirement{Fresh: 24 * time.Hour}).knows(acme(hourly)).of("acme").holds(TOTP).proved(2*time.Hour, TOTP), "step_up too_old [totp]"},
		{"B3 phishing_resistant of a membership", free().knows(acme(strong)).of("acme").holds(TOTP, Passkey).proved(0, TOTP), "step_up too_weak [passkey]"},
		{"B3 an organization's factors hold on its own routes", free().knows(acme(apps)).of("acme").on("acme").holds(TOTP, Passkey).proved(0, Passkey), "step_up too_weak [totp]"},
		{"B3 … and nowhere else", free().knows(acme(apps)).of("acme").holds(TOTP, Passkey).proved(0, Passkey), "allow"},
		{"B3 … not on another organization's", free().knows(acme(apps), beta(nil)).of("acme", "beta").on("beta").holds(TOTP, Passkey).proved(0, Passkey), "allow"},
		{"B3 factors imply require there", free().knows(acme(apps)).of("acme").on("acme"), "set_up nothing_set_up [totp]"},
		{"B3 factors that leave nothing refuse", free().needs(Requirement{Factors: KindsOf(Passkey)}).knows(acme(apps)).of("acme").on("acme").holds(TOTP, Passkey).proved(0, TOTP, Passkey), "refuse cannot_be_here"},
		{"B3 … also whoever has nothing: no empty list", free().needs(Requirement{Factors: KindsOf(Passkey)}).knows(acme(apps)).of("acme").on("acme"), "refuse cannot_be_here"},
		{"B3 memberships that want what no route of another can give", free().knows(acme(strong), beta(apps)).of("acme", "beta").on("beta").holds(TOTP, Passkey).proved(0, TOTP, Passkey), "refuse cannot_be_here"},
		{"B3 an organization that is gone asks nothing", free().of("gone"), "allow"},
		{"B3 a verified address of the domain is a membership", free().knows(acme(domain)).mail("a@acme.example"), "set_up nothing_set_up [passkey totp]"},
		{"B3 … whatever the case of its letters", free().knows(acme(domain)).mail("A@ACME.Example"), "set_up nothing_set_up [passkey totp]"},
		{"B38 an unverified one is none", free().knows(acme(domain)).mail(""), "allow"},
		{"B3 a subdomain is another domain", free().knows(acme(domain)).mail("a@x.acme.example"), "allow"},
		{"B3 … and a domain that ends like it", free().knows(acme(domain)).mail("a@evilacme.example"), "allow"},
		{"B3 the last @ counts", free().knows(acme(domain)).mail(`"x@acme.example"@other.example`), "allow"},
		{"B3 by hand and by domain at once", free().knows(acme(domain)).mail("a@acme.example").of("acme", "acme").holds(TOTP).proved(0, TOTP), "allow"},

		// B4: the order, with membership in it.
		{"B4 the second factor before membership", free().knows(acme(nil)).on("acme").holds(TOTP), "verify not_verified [totp]"},
		{"B4 membership before set-up", newScene().noCodes().knows(acme(nil)).on("acme"), "refuse not_member"},
		{"B4 membership before step-up", free().needs(Requirement{Fresh: time.Minute}).knows(acme(nil)).on("acme").holds(TOTP).proved(time.Hour, TOTP), "refuse not_member"},
		{"B4 disabled before membership", free().knows(acme(nil)).on("acme").with(func(s *scene) { s.subject.Disabled = true }), "refuse user_disabled"},
		{"B4 expired before membership", free().knows(acme(nil)).on("acme").with(func(s *scene) { s.session.Expires = testNow }), "sign_in session_expired"},
		{"B4 a member on the way in", free().knows(acme(nil)).of("acme").on("acme").holds(TOTP).proved(0, TOTP), "allow"},
		{"B4 a member by domain", free().knows(acme(domain)).mail("a@acme.example").on("acme").holds(TOTP).proved(0, TOTP), "allow"},
		{"B2 off keeps strangers out of an organization", newScene().with(func(s *scene) { s.policy = Policy{Off: true, Optional: true} }).knows(acme(nil)).on("acme"), "refuse not_member"},
		{"B2 … and lets its members in", newScene().with(func(s *scene) { s.policy = Policy{Off: true, Optional: true} }).knows(acme(nil)).of("acme").on("acme"), "allow off"},

		// B6, B9, B19: an organization overrides what a user chose.
		{"B6 an opt-out ends where a membership requires", free().knows(acme(required)).of("acme").holds(TOTP).with(func(s *scene) { s.subject.OptedOut = true }), "verify not_verified [totp]"},
		{"B6 … and holds elsewhere under at_access", free().atAccess().knows(acme(required)).of("acme").holds(TOTP).with(func(s *scene) { s.subject.OptedOut = true }), "allow"},
		{"B6 … not on its routes", free().atAccess().knows(acme(required)).of("acme").on("acme").holds(TOTP).with(func(s *scene) { s.subject.OptedOut = true }), "verify not_verified [totp]"},
		{"B19 membership alone ends no opt-out", free().knows(acme(nil)).of("acme").on("acme").holds(TOTP).with(func(s *scene) { s.subject.OptedOut = true }), "allow"},
		{"B9 a skip is ignored", newScene().optional(PromptAtRegistration).noCodes().knows(acme(required)).of("acme").halfDone().with(func(s *scene) {
			s.subject.SkippedPrompt, s.session.Skipped = "at_registration", true
		}), "set_up nothing_set_up [passkey totp]"},
		{"B6 a proof by a removed credential does not count for it", free().knows(acme(required)).of("acme").holds(TOTP).proved(0, TOTP).with(func(s *scene) { s.subject.Held[0].ID = "another" }), "verify not_verified [totp]"},

		// B10: grace is for the gateway's own requirement.
		{"B10 no grace for a membership", newScene().noCodes().halfDone().knows(acme(required)).of("acme").with(func(s *scene) { s.policy.Grace = time.Hour }), "set_up nothing_set_up [passkey totp]"},
		{"B10 no grace on its route", newScene().noCodes().halfDone().atAccess().knows(acme(apps)).of("acme").on("acme").with(func(s *scene) { s.policy.Grace = time.Hour }), "set_up nothing_set_up [totp]"},
		{"B10 grace under at_access elsewhere", newScene().noCodes().halfDone().atAccess().knows(acme(required)).of("acme").with(func(s *scene) { s.policy.Grace = time.Hour }), "set_up nothing_set_up [passkey totp] skippable"},
		{"B10 grace with a membership that asks nothing", newScene().noCodes().halfDone().knows(acme(nil)).of("acme").with(func(s *scene) { s.policy.Grace = time.Hour }), "set_up nothing_set_up [passkey totp] skippable"},

		// B30 where a membership asks for a passkey.
		{"B30 a member without a passkey sets one up", free().knows(acme(strong)).of("acme").holds(TOTP).proved(0, TOTP), "set_up needs_factor [passkey]"},
		{"B30 … cannot on plain http", free().knows(acme(strong)).of("acme").holds(TOTP).proved(0, TOTP).with(func(s *scene) { s.place = &plainHTTP }), "refuse cannot_be_here"},
	} {
		t.Run(test.name, func(t *testing.T) {
			if got := test.scene.decide().words(); got != test.want {
				t.Errorf("got  %s\nwant %s", got, test.want)
			}
		})
	}
}

// B5: whoever is no member, or asks for an organization that there is not, or asks where
// there are none at all, gets one answer, and not before the second factor is proven.
func TestDecide_B5_OneAnswerToStrangers(t *testing.T) {
	strict := acme(func(o *Organization) {
		o.Require, o.Fresh, o.PhishingResistant, o.Factors = true, time.Hour, true, KindsOf(Passkey)
	})
	for name, own := range map[string]func(*scene){
		"a stranger":         func(s *scene) { s.knows(strict).on("acme") },
		"no such one":        func(s *scene) { s.knows(strict).on("nobodys") },
		"no directory":       func(s *scene) { s.on("acme") },
		"a name that cannot": func(s *scene) { s.knows(strict).on("?") },
		"an old member of one that is gone": func(s *scene) {
			s.knows(strict).on("gone").of("gone")
		},
	} {
		t.Run(name, func(t *testing.T) {
			for _, c := range []struct {
				what  string
				scene *scene
				want  Decision
			}{
				{"half-done", newScene().holds(TOTP).halfDone(), Decision{Action: Verify, Reason: ReasonNotVerified, Kinds: KindsOf(TOTP)}},
				{"not verified", newScene().holds(TOTP), Decision{Action: Verify, Reason: ReasonNotVerified, Kinds: KindsOf(TOTP)}},
				{"verified", newScene().holds(TOTP).proved(0, TOTP), Decision{Reason: ReasonNotMember}},
				{"verified long ago", newScene().holds(TOTP).proved(100*time.Hour, TOTP), Decision{Reason: ReasonNotMember}},
				{"nothing set up", newScene(), Decision{Reason: ReasonNotMember}},
				{"reported only (B18)", newScene().holds(TOTP).proved(0, TOTP).with(func(s *scene) { s.policy.ReportOnly = true }), Decision{Reason: ReasonNotMember}},
				{"reported only, not verified (B18)", newScene().holds(TOTP).with(func(s *scene) { s.policy.ReportOnly = true }), Decision{Reason: ReasonNotMember}},
			} {
				own(c.scene)
				if got := c.scene.decide(); got != c.want {
					t.Errorf("%s: %+v, want %+v", c.what, got, c.want)
				}
			}
			s := newScene()
			own(s)
			if d := Decide(Input{Policy: &s.policy, Place: s.place}, testNow); d != (Decision{Action: SignIn, Reason: ReasonNoSession}) {
				t.Errorf("nobody signed in: %+v", d)
			}
		})
	}
}

// B3: the enrollment mode is the strictest of the gateway's and those of a user's
// organizations. A factor is set up once and good everywhere, so that it cannot wait for
// a route.
func TestPolicy_For_B3_StrictestEnrollment(t *testing.T) {
	open, open14, open3 := Enrollment{Open: true}, Enrollment{Open: true, Window: 14 * 24 * time.Hour}, Enrollment{Open: true, Window: 72 * time.Hour}
	confirm, pass := Enrollment{Confirm: true}, Enrollment{}
	order := []Enrollment{open, open14, open3, confirm, pass}
	for i, own := range order {
		for j, theirs := range order {
			for _, where := range []OrganizationRequired{AtSignIn, AtAccess} {
				p := DefaultPolicy()
				p.Enrollment, p.OrganizationRequired = own, where
				p.Organizations = NewDirectory([]*Organization{acme(func(o *Organization) { o.Enrollment = &theirs }), beta(nil)})
				got, _ := p.For(&Subject{Organizations: []OrganizationID{"acme", "beta"}})
				if want := order[max(i, j)]; got.Enrollment != want {
					t.Errorf("%+v and %+v, %s: %+v, want %+v", own, theirs, where, got.Enrollment, want)
				}
				if got, _ := p.For(&Subject{Organizations: []OrganizationID{"beta"}}); got.Enrollment != own {
					t.Errorf("a stranger is under %+v, want %+v", got.Enrollment, own)
				}
				if p.Enrollment != own {
					t.Error("For has changed the gateway's policy")
				}
			}
		}
	}
}

// Zero values are the strict ones, or ask nothing beyond what others ask.
func TestZeroValuesAreStrict(t *testing.T) {
	if (Enrollment{}) != stricter(Enrollment{}, Enrollment{Confirm: true}) || stricter(Enrollment{Open: true}, Enrollment{}) != (Enrollment{}) {
		t.Error("the zero Enrollment is not the strictest")
	}
	if p := new(Policy); !p.required() {
		t.Error("the zero Policy requires nothing")
	}
	if (Policy{}).OrganizationRequired != AtSignIn || (SignUp{}).Open() || (Decision{}).Action != Refuse {
		t.Error("a zero value permits")
	}
	var d *Directory
	if d.Find("acme") != nil || d.List() != nil || d.Of(&Subject{Organizations: []OrganizationID{"acme"}}) != nil {
		t.Error("a nil directory has something in it")
	}
	for name, in := range map[string]Input{
		"all zero":        {Policy: &Policy{}, Place: &Place{}, Session: &Session{}, Subject: &Subject{}},
		"a zero session":  {Policy: &Policy{Factors: KindsOf(TOTP)}, Place: testPlace, Session: &Session{}, Subject: &Subject{}},
		"a zero policy":   {Policy: &Policy{}, Place: testPlace, Session: &newScene().session, Subject: &Subject{ID: "u"}},
		"only report":     {Policy: &Policy{ReportOnly: true}, Place: testPlace, Session: &newScene().session, Subject: &Subject{ID: "u"}},
		"only optional":   {Policy: &Policy{Optional: true}, Place: testPlace, Session: &newScene().session, Subject: &Subject{ID: "u"}},
		"no place":        {Policy: &Policy{Factors: KindsOf(TOTP), ReportOnly: true}, Session: &newScene().session, Subject: &Subject{ID: "u"}},
		"an unknown user": {Policy: &Policy{Factors: KindsOf(TOTP), ReportOnly: true}, Place: testPlace, Session: &newScene().session, Subject: &Subject{}},
	} {
		if d := Decide(in, testNow); d.Action != Refuse && d.Action != SignIn {
			t.Errorf("%s: %s", name, d.words())
		}
	}
}

func TestOrganization_Validate(t *testing.T) {
	p := DefaultPolicy()
	off := Policy{Off: true, Optional: true}
	for _, test := range []struct {
		name string
		p    *Policy
		o    Organization
		ok   bool
	}{
		{"nothing asked", &p, Organization{ID: "acme"}, true},
		{"everything asked", &p, Organization{ID: "acme", Require: true, Factors: KindsOf(Passkey), Fresh: time.Minute, PhishingResistant: true, Enrollment: &Enrollment{}, NoRemembering: true, Domains: []string{"acme.example"}}, true},
		{"B1 no name", &p, Organization{}, false},
		{"B1 capitals", &p, Organization{ID: "Acme"}, false},
		{"B1 a dash first", &p, Organization{ID: "-acme"}, false},
		{"B1 too long", &p, Organization{ID: OrganizationID(strings.Repeat("a", 64))}, false},
		{"B1 fresh under a minute", &p, Organization{ID: "acme", Fresh: time.Second}, false},
		{"B1 fresh below zero", &p, Organization{ID: "acme", Fresh: -1}, false},
		{"B1 a window below zero", &p, Organization{ID: "acme", Enrollment: &Enrollment{Open: true, Window: -1}}, false},
		{"B1 a factor that is off", &p, Organization{ID: "acme", Factors: KindsOf(SMS)}, false},
		{"B1 codes alone", &p, Organization{ID: "acme", Factors: KindsOf(BackupCode)}, false},
		{"B1 no primary factor is left", &p, Organization{ID: "acme", Factors: KindsOf(TOTP, BackupCode), PhishingResistant: true}, false},
		{"B1 a domain with capitals", &p, Organization{ID: "acme", Domains: []string{"Acme.example"}}, false},
		{"B1 a domain that is none", &p, Organization{ID: "acme", Domains: []string{"acme"}}, false},
		{"B1 an address for a domain", &p, Organization{ID: "acme", Domains: []string{"a@acme.example"}}, false},
		{"B2 off, and asked", &off, Organization{ID: "acme", Require: true}, false},
		{"B2 off, and nothing asked", &off, Organization{ID: "acme"}, true},
	} {
		if err := test.o.Validate(test.p); (err == nil) != test.ok {
			t.Errorf("%s: %v", test.name, err)
		}
	}
	if _, err := ParseOrganizationRequired(""); err == nil {
		t.Error("an empty organization_required was read")
	}
	var e *OrganizationError
	if err := error(&OrganizationError{errors.New("x")}); !errors.As(err, &e) || err.Error() != "x" {
		t.Error("an OrganizationError says something else")
	}
}
