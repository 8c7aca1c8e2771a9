package mfa

import (
	"testing"
	"time"
)

const mailbox, otherBox, number = "a@example.com", "b@example.com", "+4915112345678"

// by says what the first factor was: a code to that address.
func (s *scene) by(k Kind, address string) *scene {
	s.session.First = Proof{Kind: k, Address: address, At: testNow}
	return s
}

// holdsAt adds an address as a factor. Its credential is named like the address.
func (s *scene) holdsAt(k Kind, address string) *scene {
	s.subject.Held = append(s.subject.Held, Held{ID: CredentialID(address), Kind: k, Address: address})
	s.subject.EverEnrolled = true
	return s
}

func (s *scene) provedAt(age time.Duration, k Kind, address string) *scene {
	s.session.Proofs = append(s.session.Proofs, Proof{Kind: k, Credential: CredentialID(address), At: testNow.Add(-age)})
	return s
}

// remembered makes the browser stand for a proof of that age, for thirty days.
func (s *scene) remembered(age time.Duration, kinds ...Kind) *scene {
	s.policy.RememberDevice = 30 * 24 * time.Hour
	s.proved(age, kinds...)
	for i := range s.session.Proofs {
		s.session.Proofs[i].Remembered = true
	}
	return s
}

// provided says that the identity source asked for a second factor, so long ago.
func (s *scene) provided(age time.Duration, strong bool) *scene {
	s.session.Provided = Proof{Kind: Provided, At: testNow.Add(-age), PhishingResistant: strong}
	return s
}

func (s *scene) bypassed() *scene    { s.session.Bypassed = true; return s }
func (s *scene) reportOnly() *scene  { s.policy.ReportOnly = true; return s }
func (s *scene) letters() *scene     { return s.enables(Passkey, TOTP, SMS, Email) }
func (s *scene) choseFirst() *scene  { return s.holdsAt(Email, mailbox).provedAt(0, Email, mailbox) }
func (s *scene) optedOut() *scene    { s.subject.OptedOut = true; return s }
func (s *scene) enrolledNow() *scene { s.session.Enrolled = true; return s }
func (s *scene) skippedNow() *scene  { s.session.Skipped = true; return s }

func TestDecide_FirstFactorByCode(t *testing.T) {
	byMail := func() *scene { return newScene().letters().halfDone().by(Email, mailbox) }
	for _, test := range []struct {
		name  string
		scene *scene
		want  string
	}{
		// B27: the address that signed in is no second factor.
		{"B27 a code signed in and an app is owed", byMail().holds(TOTP), "verify not_verified [totp]"},
		{"B27 only the same mailbox is enrolled: verify, which it cannot", byMail().holdsAt(Email, mailbox), "verify not_verified [email]"},
		{"B27 another mailbox is a factor", byMail().holdsAt(Email, otherBox).provedAt(0, Email, otherBox), "allow"},
		{"B27 a number is a factor", byMail().holdsAt(SMS, number).provedAt(0, SMS, number), "allow"},
		{"B27 the same text on another channel is another channel", byMail().holdsAt(SMS, mailbox).provedAt(0, SMS, mailbox), "allow"},
		{"B27 after a password the mailbox is a factor", newScene().letters().holdsAt(Email, mailbox).provedAt(0, Email, mailbox), "allow"},
		{"B27 a first factor without an address excludes none", newScene().letters().by(Email, "").holdsAt(Email, "").provedAt(0, Email, ""), "allow"},
		{"B27 … nor does it stand for one", byMail().holdsAt(Email, mailbox).holds(TOTP).provedAt(0, Email, mailbox), "verify not_verified [totp email]"},
		{"B27 … wherever that was set up: an app of another tab is asked for", byMail().choseFirst().holds(TOTP), "verify not_verified [totp email]"},
		{"B27 … where nothing requires, too", byMail().optional(PromptAtRegistration).choseFirst().holds(TOTP), "verify not_verified [totp email]"},
		{"B27 … and codes on paper", byMail().optional(PromptAtRegistration).choseFirst().enables(Email, TOTP, BackupCode).holds(BackupCode), "verify not_verified [email backup_code]"},
		{"B27 a remembered browser does not stand for it", byMail().with(func(s *scene) {
			s.remembered(time.Hour, Email)
			s.session.Proofs[0].Credential = mailbox
		}).holdsAt(Email, mailbox), "verify not_verified [email]"},
		{"B27 … nor skip what else is enrolled", byMail().optional(PromptNever).with(func(s *scene) {
			s.remembered(time.Hour, Email)
			s.session.Proofs[0].Credential = mailbox
		}).holdsAt(Email, mailbox).holds(TOTP), "verify not_verified [totp email]"},

		// B12: chosen as a factor, it never completes a set-up under require.
		{"B12 the channel of the first factor does not complete: a further one is forced", byMail().choseFirst(), "set_up add_another [passkey totp sms]"},
		{"B12 … at any later request too", byMail().choseFirst().with(func(s *scene) { s.session.Complete = true }), "set_up add_another [passkey totp sms]"},
		{"B12 … a skip does not help", byMail().choseFirst().skippedNow(), "set_up add_another [passkey totp sms]"},
		{"B12 … nor grace, which is for who never had one", byMail().choseFirst().with(func(s *scene) { s.policy.Grace = time.Hour }), "set_up add_another [passkey totp sms]"},
		{"B12 … skippable where nothing requires", byMail().optional(PromptAtRegistration).choseFirst(), "set_up add_another [passkey totp sms] skippable"},
		{"B12 … once", byMail().optional(PromptAtRegistration).choseFirst().skippedNow(), "allow"},
		{"B12 … and never stops a request", byMail().optional(PromptAtRegistration).choseFirst().with(func(s *scene) { s.session.Complete = true }), "allow"},
		{"B12 nothing else is enabled: a refusal that says why", byMail().enables(Email).choseFirst(), "refuse same_channel"},
		{"B12 … not where nothing requires", byMail().optional(PromptAtRegistration).enables(Email).choseFirst(), "allow"},
		{"B12 a further factor completes it", byMail().choseFirst().holds(TOTP).proved(0, TOTP), "allow"},
		{"B12 a membership forces it as well", byMail().optional(PromptAtRegistration).choseFirst().knows(acme(func(o *Organization) { o.Require = true })).of("acme"), "set_up add_another [passkey totp sms]"},
		{"B12 … for its members' passkeys", byMail().choseFirst().knows(acme(func(o *Organization) { o.PhishingResistant = true })).of("acme"), "set_up add_another [passkey]"},

		// B12: verified while signing up, after which one more is offered.
		{"B12 pre-verified: add another, once", newScene().letters().halfDone().choseFirst().enrolledNow().with(func(s *scene) { s.session.AddAnother = true }), "set_up add_another [passkey totp sms] skippable"},
		{"B12 … skipped", newScene().letters().halfDone().choseFirst().enrolledNow().skippedNow().with(func(s *scene) { s.session.AddAnother = true }), "allow"},
		{"B12 … or codes, where no other factor is enabled", newScene().enables(Email, BackupCode).halfDone().choseFirst().enrolledNow().with(func(s *scene) { s.session.AddAnother = true }), "set_up no_codes [backup_code]"},
		{"B12 … never in a complete session", newScene().letters().choseFirst().with(func(s *scene) { s.session.AddAnother = true }), "allow"},

		// B30: a route that wants the very channel that signed in.
		{"B30 the route's factor signed in: another address is set up", byMail().with(func(s *scene) { s.session.Complete = true }).holdsAt(Email, mailbox).holds(TOTP).proved(0, TOTP).needs(Requirement{Factors: KindsOf(Email, SMS)}), "set_up needs_factor [sms]"},
		{"B30 … a refusal that says why, where there is none", byMail().with(func(s *scene) { s.session.Complete = true }).holdsAt(Email, mailbox).holds(TOTP).proved(0, TOTP).needs(Requirement{Factors: KindsOf(Email)}), "refuse same_channel"},
		{"B30 … and another mailbox will do", byMail().with(func(s *scene) { s.session.Complete = true }).holdsAt(Email, mailbox).holdsAt(Email, otherBox).holds(TOTP).proved(0, TOTP).needs(Requirement{Factors: KindsOf(Email)}), "step_up too_weak [email]"},

		// B28: a passkey alone.
		{"B28 a passkey is two factors at once", newScene().noCodes().halfDone().by(Passkey, "").holds(Passkey).proved(0, Passkey), "allow"},
		{"B28 … the first only where the policy excludes it", newScene().enables(TOTP).halfDone().by(Passkey, "").holds(Passkey, TOTP).proved(0, Passkey), "verify not_verified [totp]"},
		{"B28 … with nothing else it leads to set-up", newScene().enables(TOTP).halfDone().by(Passkey, "").holds(Passkey).proved(0, Passkey), "set_up only_codes [totp]"},
	} {
		t.Run(test.name, func(t *testing.T) {
			if got := test.scene.decide().words(); got != test.want {
				t.Errorf("got  %s\nwant %s", got, test.want)
			}
		})
	}
}

func TestDecide_RememberedAndBypassed(t *testing.T) {
	const month = 30 * 24 * time.Hour
	fresh := Requirement{Fresh: 365 * 24 * time.Hour}
	strong := Requirement{PhishingResistant: true}
	onlyTOTP := Requirement{Factors: KindsOf(TOTP)}
	required := Requirement{Required: true}
	started := func() *scene { return newScene().noCodes().halfDone() }
	forbids := acme(func(o *Organization) { o.NoRemembering = true })
	permits := acme(func(o *Organization) { o.Require = true })
	plainHTTP := *testPlace
	plainHTTP.RPID, plainHTTP.NoPasskey = "", ReasonPlainHTTP

	for _, test := range []struct {
		name  string
		scene *scene
		want  string
	}{
		{"B29 stands for require", started().holds(TOTP).remembered(time.Hour, TOTP), "allow"},
		{"B29 … to the last moment", started().holds(TOTP).remembered(month, TOTP), "allow"},
		{"B29 … and not a moment longer", started().holds(TOTP).remembered(month+1, TOTP), "verify not_verified [totp]"},
		{"B29 … in a complete session too", newScene().noCodes().holds(TOTP).remembered(month+1, TOTP), "verify not_verified [totp]"},
		{"B29 … where nothing requires (B19)", started().optional(PromptNever).holds(TOTP).remembered(time.Hour, TOTP), "allow"},
		{"B29 switched off meanwhile", started().holds(TOTP).remembered(time.Hour, TOTP).with(func(s *scene) { s.policy.RememberDevice = 0 }), "verify not_verified [totp]"},
		{"B29 … at the very moment", started().holds(TOTP).remembered(0, TOTP).with(func(s *scene) { s.policy.RememberDevice = 0 }), "verify not_verified [totp]"},
		{"B29 switched off, and the clock set back", started().holds(TOTP).remembered(-time.Hour, TOTP).with(func(s *scene) { s.policy.RememberDevice = 0 }), "verify not_verified [totp]"},
		{"B29 the clock set back: a proof of the future is none", started().holds(TOTP).remembered(-time.Hour, TOTP), "verify not_verified [totp]"},
		{"B29 … but clocks may differ a little", started().holds(TOTP).remembered(-time.Second, TOTP), "allow"},
		{"B29 the credential was removed", started().holds(TOTP, Passkey).remembered(time.Hour, TOTP).with(func(s *scene) { s.subject.Held = s.subject.Held[1:] }), "verify not_verified [passkey]"},
		{"B29 … and all others", started().holds(TOTP).remembered(time.Hour, TOTP).with(func(s *scene) { s.subject.Held = nil }), "set_up nothing_set_up [passkey totp]"},
		{"B29 the factor was switched off", started().holds(TOTP, Passkey).remembered(time.Hour, TOTP).enables(Passkey), "verify not_verified [passkey]"},
		{"B29 an organization forbids it", started().holds(TOTP).remembered(time.Hour, TOTP).knows(forbids).of("acme"), "verify not_verified [totp]"},
		// The page that verifies does not know the route: it would send back at once.
		{"B29 … for its members everywhere, at_access too", newScene().noCodes().atAccess().holds(TOTP).remembered(time.Hour, TOTP).knows(forbids).of("acme"), "verify not_verified [totp]"},
		{"B29 … and there", newScene().noCodes().atAccess().holds(TOTP).remembered(time.Hour, TOTP).knows(forbids).of("acme").on("acme"), "verify not_verified [totp]"},
		{"B29 … of a stranger not", started().holds(TOTP).remembered(time.Hour, TOTP).knows(forbids), "allow"},
		{"B29 an organization allows it", started().optional(PromptNever).holds(TOTP).remembered(time.Hour, TOTP).knows(permits).of("acme"), "allow"},
		{"B29 a route that only requires", newScene().noCodes().holds(TOTP).remembered(time.Hour, TOTP).needs(required), "allow"},
		{"B29 never fresh, however long that is", newScene().noCodes().holds(TOTP).remembered(time.Hour, TOTP).needs(fresh), "step_up too_weak [totp]"},
		{"B29 never phishing_resistant, though a passkey was used", newScene().noCodes().holds(Passkey).remembered(time.Hour, Passkey).needs(strong), "step_up too_weak [passkey]"},
		{"B29 never a route's factors", newScene().noCodes().holds(TOTP).remembered(time.Hour, TOTP).needs(onlyTOTP), "step_up too_weak [totp]"},
		{"B29 never a membership's fresh", started().holds(TOTP).remembered(time.Hour, TOTP).knows(acme(func(o *Organization) { o.Fresh = fresh.Fresh })).of("acme"), "step_up too_weak [totp]"},
		{"B29 a proof of now beside it counts", newScene().noCodes().holds(TOTP, Passkey).remembered(time.Hour, TOTP).proved(0, Passkey).needs(strong), "allow"},

		{"B29 a bypass stands for require, and leads to set-up", started().holds(TOTP).bypassed(), "set_up bypassed [passkey totp] skippable"},
		{"B29 … where nothing requires as well", started().optional(PromptNever).holds(TOTP).bypassed(), "set_up bypassed [passkey totp] skippable"},
		{"B29 … skipped", started().holds(TOTP).bypassed().skippedNow(), "allow"},
		{"B29 … or done", started().holds(TOTP, Passkey).bypassed().proved(0, Passkey).enrolledNow(), "allow"},
		{"B29 … in a complete session", newScene().noCodes().holds(TOTP).bypassed(), "allow"},
		{"B29 … at a route that only requires", newScene().noCodes().holds(TOTP).bypassed().needs(required), "allow"},
		{"B29 … never fresh", newScene().noCodes().holds(TOTP).bypassed().needs(fresh), "step_up too_weak [totp]"},
		{"B29 … never phishing_resistant", newScene().noCodes().holds(Passkey).bypassed().needs(strong), "step_up too_weak [passkey]"},
		{"B29 … never a route's factors", newScene().noCodes().holds(TOTP).bypassed().needs(onlyTOTP), "step_up too_weak [totp]"},
		{"B29 … nothing to set it up for", newScene().noCodes().holds(TOTP).bypassed().needs(strong), "set_up needs_factor [passkey]"},
		{"B29 only codes were left: set-up is forced", newScene().halfDone().holds(BackupCode).bypassed(), "set_up only_codes [passkey totp]"},
		{"B29 all were switched off (B16)", started().holds(TOTP).enables(Passkey).bypassed(), "set_up only_codes [passkey]"},
		{"B29 where a membership wants more than a bypass gives, set-up is forced", started().holds(TOTP).bypassed().knows(acme(func(o *Organization) { o.Fresh = time.Hour })).of("acme"), "set_up bypassed [passkey totp]"},
		{"B29 … of what it wants", started().holds(TOTP, Passkey).bypassed().knows(acme(func(o *Organization) { o.PhishingResistant = true })).of("acme"), "set_up bypassed [passkey]"},
		{"B29 … shown with the reason where it cannot be", started().holds(TOTP, Passkey).bypassed().knows(acme(func(o *Organization) { o.PhishingResistant = true })).of("acme").with(func(s *scene) { s.place = &plainHTTP }), "set_up bypassed [passkey]"},
		{"AC-156 a factor of an unknown kind is bypassed like any", started().holds("retina").bypassed(), "set_up only_codes [passkey totp]"},
		{"B4 a bypass makes nobody a member", newScene().noCodes().holds(TOTP).bypassed().knows(acme(nil)).on("acme"), "refuse not_member"},
	} {
		t.Run(test.name, func(t *testing.T) {
			if got := test.scene.decide().words(); got != test.want {
				t.Errorf("got  %s\nwant %s", got, test.want)
			}
		})
	}
}

// B18: Verify, SetUp and StepUp become Allow; what would have been asked is told. SignIn,
// Refuse and B5 stand.
func TestDecide_B18_ReportOnly(t *testing.T) {
	strong := Requirement{PhishingResistant: true}
	plainHTTP := *testPlace
	plainHTTP.RPID, plainHTTP.NoPasskey = "", ReasonPlainHTTP
	for _, test := range []struct {
		name    string
		scene   *scene
		want    Action
		would   Action
		because Reason
	}{
		{"verify", newScene().noCodes().holds(TOTP).halfDone(), Allow, Verify, ReasonNotVerified},
		{"set-up", newScene().noCodes().halfDone(), Allow, SetUp, ReasonNothingSetUp},
		{"set-up that could be skipped", newScene().noCodes().optional(PromptAtRegistration).halfDone(), Allow, SetUp, ReasonPrompt},
		{"step-up", newScene().noCodes().holds(TOTP, Passkey).proved(0, TOTP).needs(strong), Allow, StepUp, ReasonTooWeak},
		{"a factor that is lacking", newScene().noCodes().holds(TOTP).proved(0, TOTP).needs(strong), Allow, SetUp, ReasonNeedsFactor},
		{"nothing", newScene().noCodes().holds(TOTP).proved(0, TOTP), Allow, Refuse, ReasonNone},
		{"B19 an opt-out", newScene().noCodes().optional(PromptNever).holds(TOTP).optedOut(), Allow, Refuse, ReasonNone},
		{"sign-in", newScene().noCodes().with(func(s *scene) { s.session.Expires = testNow }), SignIn, Refuse, ReasonNone},
		{"another user's session", newScene().noCodes().with(func(s *scene) { s.session.User = "v" }), SignIn, Refuse, ReasonNone},
		{"disabled", newScene().noCodes().with(func(s *scene) { s.subject.Disabled = true }), Refuse, Refuse, ReasonNone},
		{"no policy", newScene().with(func(s *scene) { s.policy.Factors = 0 }), Refuse, Refuse, ReasonNone},
		{"no place", newScene().with(func(s *scene) { s.place = nil }), Refuse, Refuse, ReasonNone},
		{"a refusal", newScene().noCodes().holds(TOTP).proved(0, TOTP).needs(strong).with(func(s *scene) { s.place = &plainHTTP }), Refuse, Refuse, ReasonNone},
		{"B5 no member", newScene().noCodes().holds(TOTP).proved(0, TOTP).knows(acme(nil)).on("acme"), Refuse, Refuse, ReasonNone},
		{"B5 no member, not verified", newScene().noCodes().holds(TOTP).halfDone().knows(acme(nil)).on("acme"), Refuse, Refuse, ReasonNone},
		{"a member", newScene().noCodes().holds(TOTP).halfDone().knows(acme(nil)).of("acme").on("acme"), Allow, Verify, ReasonNotVerified},
		{"B2 off asks nothing that could be reported", newScene().with(func(s *scene) { s.policy = Policy{Off: true, Optional: true} }), Allow, Refuse, ReasonNone},
	} {
		t.Run(test.name, func(t *testing.T) {
			d := test.scene.reportOnly().decide()
			if d.Action != test.want || d.Would != test.would || d.Because != test.because {
				t.Errorf("%s, would be %s %s; want %s, would be %s %s", d.words(), d.Would, d.Because, test.want, test.would, test.because)
			}
			if (d.Would != Refuse) != (d.Reason == ReasonReportOnly) {
				t.Errorf("the reason is %q", d.Reason)
			}
		})
	}
}

// B16 with codes by letter: what is switched off verifies once and leads on.
func TestDecide_B16_Letters(t *testing.T) {
	for _, test := range []struct {
		name  string
		scene *scene
		want  string
	}{
		{"switched off, it verifies", newScene().noCodes().halfDone().holdsAt(SMS, number), "verify not_verified [sms]"},
		{"… and leads to set-up", newScene().noCodes().halfDone().holdsAt(SMS, number).provedAt(0, SMS, number), "set_up only_codes [passkey totp]"},
		{"… in a complete session as well", newScene().noCodes().holdsAt(SMS, number).provedAt(0, SMS, number), "set_up only_codes [passkey totp]"},
		{"… not where something enabled is left", newScene().noCodes().halfDone().holdsAt(SMS, number).holds(TOTP).provedAt(0, SMS, number), "verify not_verified [totp]"},
		{"the channel of the first factor, switched off, verifies nothing", newScene().noCodes().halfDone().by(SMS, number).holdsAt(SMS, number), "verify not_verified [sms]"},
		{"an organization's factors switch nothing off elsewhere", newScene().letters().holdsAt(SMS, number).provedAt(0, SMS, number).knows(acme(func(o *Organization) { o.Factors = KindsOf(TOTP) })).of("acme"), "allow"},
		{"… on its routes they ask for another one", newScene().letters().holdsAt(SMS, number).provedAt(0, SMS, number).knows(acme(func(o *Organization) { o.Factors = KindsOf(TOTP) })).of("acme").on("acme"), "set_up needs_factor [totp]"},
	} {
		t.Run(test.name, func(t *testing.T) {
			if got := test.scene.decide().words(); got != test.want {
				t.Errorf("got  %s\nwant %s", got, test.want)
			}
		})
	}
}

// A route sends somebody to a page, which decides by what the address says that the route
// asks, and sends back whom it asks nothing. What the route asked must be asked there as
// well, or the two send people to and fro for ever (B30: no bounce).
func TestDecide_PagesAskWhatRoutesAsk(t *testing.T) {
	routes := []Requirement{{}, {Required: true}, {Fresh: time.Minute}, {PhishingResistant: true}, {Factors: KindsOf(TOTP)}, {Factors: KindsOf(Email, Passkey), Fresh: time.Hour}}
	var clubs []*Organization
	for _, own := range []Kinds{0, KindsOf(TOTP), KindsOf(Passkey, Email)} {
		for bits := range 16 {
			o := acme(func(o *Organization) {
				o.Factors, o.Require, o.PhishingResistant, o.NoRemembering = own, bits&1 != 0, bits&2 != 0, bits&4 != 0
				if bits&8 != 0 {
					o.Fresh = 2 * time.Minute
				}
			})
			clubs = append(clubs, o)
		}
	}
	elsewhere := *testPlace
	elsewhere.RPID = "other.example.com"
	sets, did := [][]Kind{nil, {TOTP}, {Passkey}, {Email}, {TOTP, Email}, {"retina"}}, [][]Kind{nil, {TOTP}, {Passkey}, {Email}}
	cells := 0
	for _, where := range []OrganizationRequired{AtSignIn, AtAccess} {
		for _, need := range routes {
			for _, club := range clubs {
				for _, held := range sets {
					for _, proven := range did {
						for _, how := range []string{"now", "long ago", "remembered", "bypass"} {
							for bits := range 16 {
								s := newScene().holds(held...).enables(Passkey, TOTP, Email).knows(club).of("acme")
								if how == "long ago" {
									s.proved(3*time.Hour, proven...)
								} else {
									s.proved(0, proven...)
								}
								s.policy.RememberDevice, s.policy.OrganizationRequired = time.Hour, where
								s.policy.Optional, s.subject.OptedOut = bits&1 != 0, bits&2 != 0
								for i := range s.session.Proofs {
									s.session.Proofs[i].Remembered = how == "remembered"
								}
								for i := range s.subject.Held {
									if s.subject.Held[i].Kind == Email {
										s.subject.Held[i].Address = mailbox
									}
								}
								s.session.Bypassed = how == "bypass"
								if bits&4 != 0 {
									s.by(Email, mailbox)
								}
								if bits&8 != 0 {
									s.place = &elsewhere
								}
								base := s.policy
								d := s.needs(need).on("acme").decide()
								if cells++; d.Action == Allow || d.Action == Refuse {
									continue
								}
								page := *s.place
								page.Asked = d.Need
								p, err := (&Gate{cfg: Config{Policy: func() *Policy { return &base }}}).policy(&page, &s.session)
								if err != nil {
									t.Fatal(err)
								}
								got := Decide(Input{Policy: p, Place: &page, Session: &s.session, Subject: &s.subject}, testNow)
								if got.Action == Allow {
									t.Fatalf("the route asks %s for %+v, the page nothing: %s, route %+v, organization %+v, held %v, proven %v %s, opted out %v, optional %v, by mail %v",
										d.words(), d.Need, where, need, club, held, proven, how, s.subject.OptedOut, base.Optional, bits&4 != 0)
								}
							}
						}
					}
				}
			}
		}
	}
	if cells < 800_000 {
		t.Errorf("the walk has %d cells; did a dimension get lost?", cells)
	}
}
