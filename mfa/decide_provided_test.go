package mfa

import (
	"testing"
	"time"
)

// A second factor that the identity source has asked for, where the configuration
// believes it in this (decision 0029).
func TestDecide_Provided(t *testing.T) {
	fresh := Requirement{Fresh: 10 * time.Minute}
	strong := Requirement{PhishingResistant: true}
	onlyTOTP := Requirement{Factors: KindsOf(TOTP)}
	required := Requirement{Required: true}
	from := func() *scene { return newScene().halfDone().by(Redirected, "").provided(time.Minute, false) }
	weeksAgo := 21 * 24 * time.Hour
	timeless := func(s *scene) { s.session.Provided.At = time.Time{} }

	for _, test := range []struct {
		name  string
		scene *scene
		want  string
	}{
		{"it stands for require: no set-up is forced", from(), "allow"},
		{"… whatever its age", from().provided(weeksAgo, false), "allow"},
		{"… without a time", from().with(timeless), "allow"},
		{"… in a complete session", newScene().provided(weeksAgo, false), "allow"},
		{"no set-up is prompted", from().registering().optional(PromptAtRegistration), "allow"},
		{"… nor a further factor, nor codes", from().holds(TOTP).with(func(s *scene) { s.session.AddAnother = true }), "allow"},
		{"nothing enrolled is asked", from().holds(TOTP, Passkey), "allow"},
		{"… nor what is switched off", from().holds(TOTP).enables(Passkey), "allow"},
		{"… nor what this version does not know", from().holds("retina"), "allow"},
		{"an organization's require", from().knows(acme(func(o *Organization) { o.Require = true })).of("acme"), "allow"},
		{"… on its own route", newScene().provided(time.Hour, false).knows(acme(func(o *Organization) { o.Require = true })).of("acme").on("acme"), "allow"},
		{"a route that only requires", newScene().optional(PromptNever).provided(time.Hour, false).needs(required), "allow"},

		{"fresh by its own time", newScene().provided(9*time.Minute, false).needs(fresh), "allow"},
		{"… and not later", newScene().holds(TOTP).provided(11*time.Minute, false).needs(fresh), "step_up too_old [totp]"},
		{"… never without a time", newScene().holds(TOTP).provided(0, false).with(timeless).needs(fresh), "step_up too_old [totp]"},
		{"… never from the future: the clock was set back", newScene().holds(TOTP).provided(-time.Hour, false).needs(fresh), "step_up too_old [totp]"},
		{"… a proof of ours beside it is fresh", newScene().holds(TOTP).proved(0, TOTP).provided(time.Hour, false).needs(fresh), "allow"},
		{"… where nothing is enrolled, a factor is set up", newScene().provided(11*time.Minute, false).needs(fresh), "set_up needs_factor [passkey totp]"},
		{"an organization's fresh", from().provided(time.Hour, false).holds(TOTP).knows(acme(func(o *Organization) { o.Fresh = 10 * time.Minute })).of("acme"), "step_up too_old [totp]"},

		{"phishing_resistant where it was", newScene().provided(time.Hour, true).needs(strong), "allow"},
		{"… and not where it was not", newScene().holds(Passkey).provided(time.Hour, false).needs(strong), "step_up too_weak [passkey]"},
		{"… in which case a passkey is set up", newScene().provided(time.Hour, false).needs(strong), "set_up needs_factor [passkey]"},
		{"… both, and too old", newScene().holds(Passkey).provided(time.Hour, true).needs(Requirement{PhishingResistant: true, Fresh: 10 * time.Minute}), "step_up too_old [passkey]"},

		{"never a route's factors", newScene().holds(TOTP).provided(0, true).needs(onlyTOTP), "step_up too_weak [totp]"},
		{"… not those of an organization on its route", newScene().holds(TOTP).provided(0, true).knows(acme(func(o *Organization) { o.Factors = KindsOf(TOTP) })).of("acme").on("acme"), "step_up too_weak [totp]"},
		{"… in which case one is set up", newScene().provided(0, true).needs(onlyTOTP), "set_up needs_factor [totp]"},

		{"B4 it makes nobody a member", newScene().provided(0, true).knows(acme(nil)).on("acme"), "refuse not_member"},
		{"B4 nor lets in who is disabled", newScene().provided(0, true).with(func(s *scene) { s.subject.Disabled = true }), "refuse user_disabled"},
		{"AC-021 a proof of another kind in its place is none", newScene().with(func(s *scene) { s.session.Provided = Proof{Kind: Passkey, At: testNow, PhishingResistant: true} }), "set_up nothing_set_up [passkey totp]"},
		{"AC-021 one that says that it is of a credential proves that credential to nobody", newScene().holds(TOTP).with(func(s *scene) {
			s.session.Proofs = []Proof{{Kind: Provided, Credential: "totp", At: testNow}}
		}), "verify not_verified [totp]"},

		{"AC-032 a session that its source did not confirm in time is over", newScene().holds(TOTP).proved(0, TOTP).with(func(s *scene) { s.session.Source.Until = testNow }), "sign_in session_expired"},
		{"… and not before", newScene().holds(TOTP).proved(0, TOTP).with(func(s *scene) { s.session.Source.Until = testNow.Add(1) }), "allow"},
		{"… half-done as well", from().with(func(s *scene) { s.session.Source.Until = testNow }), "sign_in session_expired"},
	} {
		t.Run(test.name, func(t *testing.T) {
			if got := test.scene.decide().words(); got != test.want {
				t.Errorf("got  %s\nwant %s", got, test.want)
			}
		})
	}
}
