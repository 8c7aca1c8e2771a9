package mfa

import (
	"fmt"
	"strings"
	"testing"
	"time"
)

var testNow = time.Date(2026, 11, 23, 12, 0, 0, 0, time.UTC)

var testPlace = &Place{Origin: "https://app.example.com", Host: "app.example.com", Scope: "app.example.com", RPID: "app.example.com"}

// scene builds an Input from few words, so that the tables below read like the
// tables of the rules.
type scene struct {
	policy  Policy
	place   *Place
	subject Subject
	session Session
}

func newScene() *scene {
	return &scene{
		policy:  DefaultPolicy(),
		place:   testPlace,
		subject: Subject{ID: "u"},
		session: Session{ID: "s", User: "u", Complete: true, Expires: testNow.Add(time.Hour), First: Proof{Kind: Password, At: testNow}},
	}
}

func (s *scene) holds(kinds ...Kind) *scene {
	for _, k := range kinds {
		h := Held{ID: CredentialID(k), Kind: k}
		switch k {
		case Passkey:
			h.RPID = "app.example.com"
		case BackupCode:
			h.ID, h.Left = BackupCodesID, 10
		}
		s.subject.Held = append(s.subject.Held, h)
		s.subject.EverEnrolled = true
	}
	return s
}

func (s *scene) proved(age time.Duration, kinds ...Kind) *scene {
	for _, k := range kinds {
		p := Proof{Kind: k, Credential: CredentialID(k), At: testNow.Add(-age)}
		if k == BackupCode {
			p.Credential = BackupCodesID
		}
		if k == Passkey {
			p.UserVerified, p.PhishingResistant = true, true
		}
		s.session.Proofs = append(s.session.Proofs, p)
	}
	return s
}

func (s *scene) halfDone() *scene    { s.session.Complete = false; return s }
func (s *scene) registering() *scene { s.session.Registering = true; return s.halfDone() }
func (s *scene) optional(p Prompt) *scene {
	s.policy.Optional, s.policy.Prompt = true, p
	return s
}
func (s *scene) needs(r Requirement) *scene { s.policy = s.policy.With(r); return s }
func (s *scene) enables(kinds ...Kind) *scene {
	s.policy.Factors = KindsOf(kinds...)
	return s
}
func (s *scene) with(f func(*scene)) *scene { f(s); return s }

func (s *scene) decide() Decision {
	return Decide(Input{Policy: &s.policy, Place: s.place, Session: &s.session, Subject: &s.subject}, testNow)
}

func (d Decision) words() string {
	w := d.Action.String()
	if d.Reason != "" {
		w += " " + string(d.Reason)
	}
	if d.Kinds != 0 {
		w += " [" + d.Kinds.String() + "]"
	}
	if d.Skippable {
		w += " skippable"
	}
	return w
}

func TestDecide(t *testing.T) {
	fresh := Requirement{Fresh: 5 * time.Minute}
	strong := Requirement{PhishingResistant: true}
	onlyTOTP := Requirement{Factors: KindsOf(TOTP)}
	plainHTTP := *testPlace
	plainHTTP.RPID, plainHTTP.NoPasskey = "", ReasonPlainHTTP
	elsewhere := *testPlace
	elsewhere.RPID = "other.example.com"

	for _, test := range []struct {
		name  string
		scene *scene
		want  string
	}{
		// B4: the order.
		{"B4 a verified session is let through", newScene().holds(TOTP).proved(0, TOTP), "allow"},
		{"B4 the zero policy refuses", newScene().with(func(s *scene) { s.policy = Policy{} }), "refuse no_policy"},
		{"B4 an unknown host refuses", newScene().holds(TOTP).proved(0, TOTP).with(func(s *scene) { s.place = nil }), "refuse unknown_host"},
		{"B4 a disabled user is refused with a perfect session", newScene().holds(TOTP).proved(0, TOTP).with(func(s *scene) { s.subject.Disabled = true }), "refuse user_disabled"},
		{"B4 disabled comes before expired", newScene().with(func(s *scene) { s.subject.Disabled = true; s.session.Expires = testNow }), "refuse user_disabled"},
		{"B4 the end of a session is its end to the instant", newScene().holds(TOTP).proved(0, TOTP).with(func(s *scene) { s.session.Expires = testNow }), "sign_in session_expired"},
		{"B4 a session of an older generation is over", newScene().holds(TOTP).proved(0, TOTP).with(func(s *scene) { s.subject.Generation = 1 }), "sign_in session_expired"},
		{"B4 verify comes before step-up", newScene().holds(TOTP).needs(fresh), "verify not_verified [totp]"},
		{"B4 set-up comes before step-up", newScene().needs(fresh), "set_up nothing_set_up [passkey totp]"},

		{"B2 off asks for a first factor only", newScene().with(func(s *scene) { s.policy = Policy{Off: true, Optional: true} }), "allow off"},
		{"B2 off without require off refuses", newScene().with(func(s *scene) { s.policy = Policy{Off: true} }), "refuse no_policy"},

		{"B26 a session of another user is nobody's", newScene().holds(TOTP).proved(0, TOTP).with(func(s *scene) { s.session.User = "v" }), "sign_in other_user"},

		// B6: what a proof is worth.
		{"B6 a proof by a removed credential no longer counts", newScene().holds(TOTP).proved(0, TOTP).with(func(s *scene) { s.subject.Held[0].ID = "another" }), "verify not_verified [totp]"},
		{"B6 a proof of another kind under the same ID does not count", newScene().holds(TOTP).proved(0, TOTP).with(func(s *scene) { s.session.Proofs[0].Kind = Passkey }), "verify not_verified [totp]"},
		{"B6 a proof of a factor that was switched off no longer counts", newScene().holds(TOTP, Passkey).proved(0, TOTP).enables(Passkey), "verify not_verified [passkey]"},

		// B7, forced rows.
		{"B7 required, registering: forced", newScene().registering(), "set_up nothing_set_up [passkey totp]"},
		{"B7 required, later: forced", newScene().halfDone(), "set_up nothing_set_up [passkey totp]"},
		{"B7 required, skipped once: forced (B9)", newScene().halfDone().with(func(s *scene) { s.subject.SkippedPrompt = "at_registration"; s.session.Skipped = true }), "set_up nothing_set_up [passkey totp]"},
		{"B10 required, complete session: set-up and nothing else", newScene(), "set_up nothing_set_up [passkey totp]"},
		{"B7 grace, registering: skippable", newScene().registering().with(func(s *scene) { s.policy.Grace = time.Hour }), "set_up nothing_set_up [passkey totp] skippable"},
		{"B7 grace, later: skippable", newScene().halfDone().with(func(s *scene) {
			s.policy.Grace = time.Hour
			s.subject.GraceStarted = testNow.Add(-time.Hour + 1)
		}), "set_up nothing_set_up [passkey totp] skippable"},
		{"B10 grace over: forced", newScene().halfDone().with(func(s *scene) {
			s.policy.Grace = time.Hour
			s.subject.GraceStarted = testNow.Add(-time.Hour)
		}), "set_up nothing_set_up [passkey totp]"},
		{"B10 grace over stops a complete session", newScene().with(func(s *scene) {
			s.policy.Grace = time.Hour
			s.subject.GraceStarted = testNow.Add(-time.Hour)
		}), "set_up nothing_set_up [passkey totp]"},
		{"B8 grace running never stops a request", newScene().with(func(s *scene) { s.policy.Grace = time.Hour }), "allow"},
		{"B10 no grace for those who had a factor", newScene().halfDone().with(func(s *scene) { s.policy.Grace = time.Hour; s.subject.EverEnrolled = true }), "set_up nothing_set_up [passkey totp]"},
		{"B10 no grace for a route's requirement", newScene().needs(strong).with(func(s *scene) { s.policy.Grace = time.Hour }), "set_up nothing_set_up [passkey]"},

		// B7, prompt rows.
		{"B7 at_registration, registering: skippable", newScene().optional(PromptAtRegistration).registering(), "set_up prompt [passkey totp] skippable"},
		{"B7 at_registration, later: skippable", newScene().optional(PromptAtRegistration).halfDone(), "set_up prompt [passkey totp] skippable"},
		{"B7 at_registration, after skip: nothing", newScene().optional(PromptAtRegistration).halfDone().with(func(s *scene) { s.subject.SkippedPrompt = "at_registration" }), "allow"},
		{"B7 at_next_sign_in, registering: nothing", newScene().optional(PromptAtNextSignIn).registering(), "allow"},
		{"B7 at_next_sign_in, later: skippable", newScene().optional(PromptAtNextSignIn).halfDone(), "set_up prompt [passkey totp] skippable"},
		{"B7 at_next_sign_in, after skip: nothing", newScene().optional(PromptAtNextSignIn).halfDone().with(func(s *scene) { s.subject.SkippedPrompt = "at_next_sign_in" }), "allow"},
		{"B9 a skip holds until the prompt changes", newScene().optional(PromptAtNextSignIn).halfDone().with(func(s *scene) { s.subject.SkippedPrompt = "at_registration" }), "set_up prompt [passkey totp] skippable"},
		{"B7 never: nothing", newScene().optional(PromptNever).halfDone(), "allow"},
		{"B8 a prompt never stops a request", newScene().optional(PromptAtRegistration), "allow"},

		// B14, B23: backup codes.
		{"B14 codes at the tail of a set-up cannot be skipped", newScene().optional(PromptAtRegistration).halfDone().holds(TOTP).proved(0, TOTP).with(func(s *scene) { s.session.Enrolled = true }), "set_up no_codes [backup_code]"},
		{"B14 at a later sign-in they can", newScene().optional(PromptAtRegistration).halfDone().holds(TOTP).proved(0, TOTP), "set_up no_codes [backup_code] skippable"},
		{"B14 unless required", newScene().halfDone().holds(TOTP).proved(0, TOTP), "set_up no_codes [backup_code]"},
		{"B14 a skip of codes holds", newScene().optional(PromptAtRegistration).halfDone().holds(TOTP).proved(0, TOTP).with(func(s *scene) { s.subject.SkippedCodes = true }), "allow"},
		{"B14 codes never stop a complete session", newScene().holds(TOTP).proved(0, TOTP), "allow"},
		{"B14 not where codes are not enabled", newScene().halfDone().holds(TOTP).proved(0, TOTP).enables(TOTP), "allow"},
		{"B23 the last code signed in: new ones are asked for", newScene().halfDone().holds(TOTP, BackupCode).proved(0, BackupCode).with(func(s *scene) { s.subject.Held[1].Left = 0 }), "set_up no_codes [backup_code]"},

		// B16, B24, B25.
		{"B16 all switched off: one of them verifies", newScene().halfDone().holds(TOTP).enables(Passkey), "verify not_verified [totp]"},
		{"B16 … and leads to set-up", newScene().halfDone().holds(TOTP).proved(0, TOTP).enables(Passkey), "set_up only_codes [passkey]"},
		{"B16 … skippable where nothing requires", newScene().optional(PromptAtRegistration).halfDone().holds(TOTP).proved(0, TOTP).enables(Passkey), "set_up prompt [passkey] skippable"},
		{"B24 only codes: verify with one", newScene().halfDone().holds(BackupCode), "verify not_verified [backup_code]"},
		{"B24 … then set-up, forced", newScene().halfDone().holds(BackupCode).proved(0, BackupCode), "set_up only_codes [passkey totp]"},
		{"B24 … or skippable", newScene().optional(PromptAtNextSignIn).halfDone().holds(BackupCode).proved(0, BackupCode), "set_up prompt [passkey totp] skippable"},
		{"B25 nothing at all: set-up", newScene().halfDone(), "set_up nothing_set_up [passkey totp]"},

		// B19.
		{"B19 asked whatever require says", newScene().optional(PromptNever).holds(TOTP), "verify not_verified [totp]"},
		{"B19 an opt-out holds where nothing requires", newScene().optional(PromptNever).holds(TOTP).with(func(s *scene) { s.subject.OptedOut = true }), "allow"},
		{"B19 … and not where something does", newScene().holds(TOTP).with(func(s *scene) { s.subject.OptedOut = true }), "verify not_verified [totp]"},
		{"B19 … nor on a route that asks", newScene().optional(PromptNever).needs(fresh).holds(TOTP).with(func(s *scene) { s.subject.OptedOut = true }), "verify not_verified [totp]"},
		{"AC-156 a factor of an unknown kind counts as enrolled", newScene().halfDone().holds("retina"), "verify not_verified"},
		{"AC-156 … also where nothing requires", newScene().optional(PromptNever).holds("retina"), "verify not_verified"},

		// B30.
		{"B30 fresh enough", newScene().holds(TOTP).proved(5*time.Minute, TOTP).needs(fresh), "allow"},
		{"B30 too old", newScene().holds(TOTP).proved(5*time.Minute+1, TOTP).needs(fresh), "step_up too_old [totp]"},
		{"B30 too weak", newScene().holds(TOTP, Passkey).proved(0, TOTP).needs(strong), "step_up too_weak [passkey]"},
		{"B30 a route's factors", newScene().holds(TOTP, Passkey).proved(0, Passkey).needs(onlyTOTP), "step_up too_weak [totp]"},
		{"B30 a passkey satisfies phishing_resistant", newScene().holds(Passkey).proved(0, Passkey).needs(strong), "allow"},
		{"B30 a passkey proof that was not phishing-resistant does not", newScene().holds(Passkey).proved(0, Passkey).needs(strong).with(func(s *scene) { s.session.Proofs[0].PhishingResistant = false }), "step_up too_weak [passkey]"},
		{"B30 who lacks the factor sets it up", newScene().holds(TOTP).proved(0, TOTP).needs(strong), "set_up needs_factor [passkey]"},
		{"B30 who holds it elsewhere only sets it up here", newScene().holds(TOTP, Passkey).proved(0, TOTP).needs(strong).with(func(s *scene) { s.place = &elsewhere }), "set_up needs_factor [passkey]"},
		{"B30 if it cannot exist here: a refusal that says why", newScene().holds(TOTP).proved(0, TOTP).needs(strong).with(func(s *scene) { s.place = &plainHTTP }), "refuse cannot_be_here"},
		{"bypass asks nothing", newScene().with(func(s *scene) { s.policy.Bypass = true; s.session.Expires = testNow }), "allow bypass"},
		{"AC-015 a half-done session with a password alone verifies", newScene().halfDone().holds(TOTP, BackupCode), "verify not_verified [totp backup_code]"},
	} {
		t.Run(test.name, func(t *testing.T) {
			if got := test.scene.decide().words(); got != test.want {
				t.Errorf("got  %s\nwant %s", got, test.want)
			}
		})
	}
}

func TestDecide_NobodySignedIn(t *testing.T) {
	p := DefaultPolicy()
	for name, in := range map[string]Input{
		"no session": {Policy: &p, Place: testPlace},
		"no user":    {Policy: &p, Place: testPlace, Session: &Session{User: "u", Expires: testNow.Add(1)}},
		"no record":  {Policy: &p, Place: testPlace, Subject: &Subject{ID: "u"}},
	} {
		if d := Decide(in, testNow); d.Action != SignIn {
			t.Errorf("%s: %s, want sign_in", name, d.words())
		}
	}
	if d := Decide(Input{}, testNow); d.Action != Refuse {
		t.Errorf("the zero input: %s, want refuse", d.words())
	}
}

// TestDecide_NeverAllowsTooLittle walks a small space in all its directions and checks
// one sentence: whoever is allowed has proven what the gateway, the route and the
// organizations ask, with what they hold now. It does not use the code that it checks.
func TestDecide_NeverAllowsTooLittle(t *testing.T) {
	kinds := func(list ...Kind) []Kind { return list }
	var (
		policies = []struct {
			enabled  []Kind
			optional bool
		}{{kinds(Passkey, TOTP, BackupCode), false}, {kinds(TOTP), false}, {kinds(Passkey, TOTP, Email), false}, {kinds(Passkey, TOTP, Email), true}}
		routes = []ask{{}, {fresh: time.Minute}, {strong: true}, {only: kinds(TOTP)}, {only: kinds(Passkey, Email), fresh: time.Hour}}
		// What an organization asks of its members, and how the user and the route are to it.
		clubs = []club{
			{}, {member: true, ask: ask{required: true}}, {member: true, ask: ask{fresh: time.Hour}}, {member: true, ask: ask{strong: true}},
			{member: true, forbids: true}, {member: true, owns: true, own: kinds(TOTP)}, {owns: true, ask: ask{required: true}},
			{member: true, atAccess: true, forbids: true, ask: ask{strong: true}}, {member: true, atAccess: true, owns: true, forbids: true, ask: ask{fresh: time.Hour}},
		}
		held   = [][]Kind{nil, {TOTP}, {Passkey}, {BackupCode}, {Email}, {TOTP, Email}, {Passkey, TOTP}, {"retina"}}
		proven = [][]Kind{nil, {TOTP}, {Passkey}, {BackupCode}, {Email}, {TOTP, Email}}
		ages   = []time.Duration{0, 2 * time.Minute, 3 * time.Hour, -time.Hour}
	)
	cells, allowed := 0, 0
	for _, p := range policies {
		for _, route := range routes {
			for _, c := range clubs {
				policy := Policy{Factors: KindsOf(p.enabled...), Optional: p.optional, Prompt: PromptNever, RememberDevice: 24 * time.Hour}
				policy.Need = Requirement{Fresh: route.fresh, PhishingResistant: route.strong, Factors: KindsOf(route.only...)}
				policy.Organizations = NewDirectory([]*Organization{{
					ID: "acme", Require: c.ask.required, Fresh: c.ask.fresh, PhishingResistant: c.ask.strong, Factors: KindsOf(c.own...), NoRemembering: c.forbids,
				}})
				if c.atAccess {
					policy.OrganizationRequired = AtAccess
				}
				if c.owns {
					policy.Organization = "acme"
				}
				for _, has := range held {
					for _, did := range proven {
						for _, age := range ages {
							for _, how := range []string{"now", "remembered", "bypass", "provided", "provided, strong", "provided, no time"} {
								for bits := range 8 {
									complete, optedOut, byMail := bits&1 != 0, bits&2 != 0, bits&4 != 0
									s := newScene().holds(has...).proved(age, did...)
									s.policy, s.session.Complete, s.subject.OptedOut = policy, complete, optedOut
									s.session.Bypassed = how == "bypass"
									if strings.HasPrefix(how, "provided") {
										s.provided(age, how == "provided, strong")
									}
									if how == "provided, no time" {
										s.session.Provided.At = time.Time{}
									}
									for i := range s.session.Proofs {
										s.session.Proofs[i].Remembered = how == "remembered"
									}
									for i := range s.subject.Held {
										if s.subject.Held[i].Kind == Email {
											s.subject.Held[i].Address = mailbox
										}
									}
									if byMail {
										s.by(Email, mailbox)
									}
									if c.member {
										s.of("acme")
									}
									cells++
									if s.decide().Action != Allow {
										continue
									}
									allowed++
									if why := tooLittle(p.enabled, p.optional, route, c, has, did, age, how, optedOut, byMail); why != "" {
										t.Fatalf("allowed, but %s: enabled %v optional %v route %+v organization %+v held %v proven %v %s ago, %s, complete %v opted out %v signed in by mail %v",
											why, p.enabled, p.optional, route, c, has, did, age, how, complete, optedOut, byMail)
									}
								}
							}
						}
					}
				}
			}
		}
	}
	if cells < 1_600_000 || allowed < 10_000 {
		t.Errorf("the walk has %d cells, %d of them allowed; did a dimension get lost?", cells, allowed)
	}
}

// ask and club are what a route and an organization ask, for the walk alone.
type ask struct {
	required bool
	fresh    time.Duration
	strong   bool
	only     []Kind
}

type club struct {
	ask               ask
	own               []Kind // its factors, on its routes
	member, owns      bool   // the user is one; the route is the club's
	atAccess, forbids bool   // it counts on its routes alone; no remembered browsers
}

func has(list []Kind, k Kind) bool {
	for _, other := range list {
		if other == k {
			return true
		}
	}
	return false
}

// tooLittle says what is missing, in the words of the rules, or "".
func tooLittle(enabled []Kind, optional bool, route ask, c club, held, proven []Kind, age time.Duration, how string, optedOut, byMail bool) string {
	if c.owns && !c.member {
		return "B5 no member"
	}
	// What holds here (B3).
	fresh, strong, only := route.fresh, route.strong, [][]Kind{}
	special := route.fresh > 0 || route.strong || route.only != nil
	if route.only != nil {
		only = append(only, route.only)
	}
	must := !optional || special
	if c.member && (!c.atAccess || c.owns) {
		if c.ask.fresh > 0 && (fresh == 0 || c.ask.fresh < fresh) {
			fresh = c.ask.fresh
		}
		strong = strong || c.ask.strong
		special = special || c.ask.fresh > 0 || c.ask.strong
		must = must || c.ask.required || c.ask.fresh > 0 || c.ask.strong
	}
	forbidden := c.member && c.forbids // everywhere: no page knows the route
	if c.member && c.owns && c.own != nil {
		only = append(only, c.own)
		special, must = true, true
	}
	// What was proven by what is held.
	stands, counts, suffices := how == "bypass", how == "bypass", how == "bypass" && !special
	if strings.HasPrefix(how, "provided") {
		stands, counts = true, true
		suffices = len(only) == 0 && (!strong || how == "provided, strong") &&
			(fresh == 0 || how != "provided, no time" && age <= fresh && age > -time.Minute)
	}
	for _, k := range proven {
		switch {
		case !has(held, k), byMail && k == Email:
			continue // B6, B27
		case how == "remembered" && (forbidden || age < -time.Minute || age > 24*time.Hour):
			continue // B29
		}
		stands = true
		if !has(enabled, k) {
			continue
		}
		counts = true
		ok := !strong || k == Passkey
		for _, list := range only {
			ok = ok && has(list, k)
		}
		ok = ok && (fresh == 0 || age <= fresh && age > -time.Minute)
		suffices = suffices || ok && (how != "remembered" || !special)
	}
	if must {
		if !suffices {
			return "nothing sufficient was proven"
		}
		return ""
	}
	if optedOut || len(held) == 0 {
		return ""
	}
	// B19: whoever has anything enrolled proves it; what is switched off, once (B16).
	usable := false
	for _, k := range held {
		usable = usable || has(enabled, k)
	}
	// All there is was set up here by the mailbox that signed in, with a skip (B12).
	if byMail && len(held) == 1 && held[0] == Email && has(proven, Email) && how == "now" {
		return ""
	}
	if usable && !counts || !usable && !stands {
		return "B19 the second factor is owed"
	}
	return ""
}

func TestDecide_AllocatesNothing(t *testing.T) {
	s := newScene().holds(Passkey, TOTP, BackupCode).proved(time.Minute, Passkey, TOTP).needs(Requirement{Fresh: time.Hour})
	in := Input{Policy: &s.policy, Place: s.place, Session: &s.session, Subject: &s.subject}
	if n := testing.AllocsPerRun(100, func() {
		if Decide(in, testNow).Action != Allow {
			t.Fatal("not allowed")
		}
	}); n != 0 {
		t.Errorf("%v allocations, want 0", n)
	}
}

// The same with organizations by hand and by domain, on a route of one.
func TestDecide_AllocatesNothingForMembers(t *testing.T) {
	domains := []string{"acme.example", "other.example"}
	s := newScene().holds(Passkey, TOTP, BackupCode).proved(time.Minute, Passkey, TOTP).needs(Requirement{Fresh: time.Hour}).
		knows(acme(func(o *Organization) { o.Require, o.Fresh, o.Enrollment = true, time.Hour, &Enrollment{} }), beta(func(o *Organization) { o.Domains, o.Factors = domains, KindsOf(TOTP) })).
		of("acme", "gone").mail("alice@other.example").on("beta")
	in := Input{Policy: &s.policy, Place: s.place, Session: &s.session, Subject: &s.subject}
	if n := testing.AllocsPerRun(100, func() {
		if Decide(in, testNow).Action != Allow {
			t.Fatal("not allowed")
		}
	}); n != 0 {
		t.Errorf("%v allocations, want 0", n)
	}
	s.policy.ReportOnly, s.session.Proofs = true, nil
	if n := testing.AllocsPerRun(100, func() {
		if Decide(in, testNow).Would != Verify {
			t.Fatal("nothing is reported")
		}
	}); n != 0 {
		t.Errorf("reporting: %v allocations, want 0", n)
	}
}

func TestPolicy_Validate(t *testing.T) {
	here := KindsOf(Passkey, TOTP, BackupCode)
	for _, test := range []struct {
		name string
		p    Policy
		ok   bool
	}{
		{"the default", DefaultPolicy(), true},
		{"off by both words", Policy{Off: true, Optional: true}, true},
		{"never, not required", Policy{Factors: here, Optional: true, Prompt: PromptNever}, true},
		{"B1 the zero policy", Policy{}, false},
		{"B1 backup codes alone", Policy{Factors: KindsOf(BackupCode)}, false},
		{"B1 off without require off", Policy{Off: true}, false},
		{"B1 prompt with require on", Policy{Factors: here, Prompt: PromptNever}, false},
		{"B1 sms without a sender", Policy{Factors: KindsOf(TOTP, SMS)}, false},
		{"B1 a route that leaves no primary factor", Policy{Factors: KindsOf(TOTP, BackupCode)}.With(Requirement{PhishingResistant: true}), false},
		{"B1 a route with codes only", DefaultPolicy().With(Requirement{Factors: KindsOf(BackupCode)}), false},
		{"B1 fresh under a minute", DefaultPolicy().With(Requirement{Fresh: time.Second}), false},
		{"B1 negative grace", Policy{Factors: here, Grace: -1}, false},
		{"B1 grace with require off", Policy{Factors: here, Grace: 1, Optional: true}, false},
		{"B1 negative window", Policy{Factors: here, Enrollment: Enrollment{Window: -1}}, false},
		{"fresh of ten minutes", DefaultPolicy().With(Requirement{Fresh: 10 * time.Minute}), true},
	} {
		if err := test.p.Validate(here); (err == nil) != test.ok {
			t.Errorf("%s: %v", test.name, err)
		}
	}
}

func TestParseKinds(t *testing.T) {
	if k, err := ParseKinds([]string{"totp", "passkey"}); err != nil || k != KindsOf(Passkey, TOTP) {
		t.Errorf("%v %v", k, err)
	}
	for _, bad := range [][]string{nil, {}, {"TOTP"}, {"totp", "totp"}, {"off"}, {""}, {"retina"}} {
		if _, err := ParseKinds(bad); err == nil {
			t.Errorf("B1 %q was accepted", bad)
		}
	}
}

func TestPenalty(t *testing.T) {
	for failures, want := range map[int]string{
		1: "0s", 4: "0s", 5: "30s", 6: "1m0s", 7: "2m0s", 8: "4m0s", 9: "8m0s", 10: "15m0s", 19: "15m0s", 20: "1h0m0s", 49: "1h0m0s", 50: "locked", 51: "locked",
	} {
		wait, locked := penalty(failures, lockFactorAt)
		got := wait.String()
		if locked {
			got = "locked"
		}
		if got != want {
			t.Errorf("after %d failures: %s, want %s", failures, got, want)
		}
	}
}

func TestSecret_IsNotPrinted(t *testing.T) {
	u := User{Name: "alice", Password: Secret("hunter2"), Credentials: []Credential{{Data: Secret("hunter2")}}}
	for _, format := range []string{"%v", "%+v", "%#v", "%s", "%q", "%x"} {
		if text := fmt.Sprintf(format, u); containsFold(text, "hunter2") || containsFold(text, "68756e746572") {
			t.Errorf("AC-229 %s prints the secret: %s", format, text)
		}
	}
}

func containsFold(s, sub string) bool {
	for i := 0; i+len(sub) <= len(s); i++ {
		if s[i:i+len(sub)] == sub {
			return true
		}
	}
	return false
}

func BenchmarkDecide(b *testing.B) {
	s := newScene().holds(Passkey, TOTP, BackupCode).proved(time.Minute, Passkey)
	in := Input{Policy: &s.policy, Place: s.place, Session: &s.session, Subject: &s.subject}
	b.ReportAllocs()
	for b.Loop() {
		if Decide(in, testNow).Action != Allow {
			b.Fatal("not allowed")
		}
	}
}
