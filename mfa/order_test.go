package mfa_test

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/secondgate/secondgate/mfa"
)

// AC-153: somebody who knows alice's password calls every step of every flow out of its
// order. None of them gives them anything: no session is complete, no factor is added,
// removed or renamed, and the app stays shut.
func TestGate_AC153_NoStepIsSkipped(t *testing.T) {
	w := newWorld(t)
	w.alice()
	half := as[*mfa.Outcome](t)(w.signIn("alice"))
	id, ctx := half.Session.ID, t.Context()
	before := as[*mfa.User](t)(w.store.User(ctx, half.Session.User))
	outcome := func(_ *mfa.Outcome, err error) error { return err }
	for name, step := range map[string]func() error{
		"account": func() error { _, err := w.gate.Account(ctx, w.at, id); return err },
		"notices": func() error { _, err := w.gate.Notices(ctx, w.at, id); return err },
		"rename":  func() error { return w.gate.Rename(ctx, w.at, id, before.Credentials[0].ID, "mine") },
		"remove":  func() error { return w.gate.Remove(ctx, w.at, id, before.Credentials[0].ID) },
		"password": func() error {
			return outcome(w.gate.ChangePassword(ctx, w.at, id, goodPassword, "another good password 8"))
		},
		"opt out":         func() error { return w.gate.OptOut(ctx, w.at, id) },
		"end others":      func() error { return outcome(w.gate.EndOtherSessions(ctx, w.at, id)) },
		"forget a device": func() error { return w.gate.ForgetDevice(ctx, w.at, id, "x") },
		"skip":            func() error { return outcome(w.gate.Skip(ctx, w.at, id)) },
		"begin app":       func() error { _, err := w.gate.BeginTOTP(ctx, w.at, id); return err },
		"finish app":      func() error { return outcome(w.gate.FinishTOTP(ctx, w.at, id, "000000", "")) },
		"begin passkey":   func() error { _, err := w.gate.BeginPasskey(ctx, w.at, id); return err },
		"finish passkey":  func() error { return outcome(w.gate.FinishPasskey(ctx, w.at, id, "x", []byte("{}"), "")) },
		"begin codes":     func() error { _, err := w.gate.BeginCodes(ctx, w.at, id); return err },
		"pending codes":   func() error { _, err := w.gate.PendingCodes(ctx, w.at, id); return err },
		"confirm codes":   func() error { return outcome(w.gate.ConfirmCodes(ctx, w.at, id)) },
		"an address": func() error {
			_, _, err := w.gate.SetUpAddress(ctx, w.at, id, mfa.Email, mfa.AddressInput{Typed: "mallory@example.com"}, false)
			return err
		},
		"its code":         func() error { return outcome(w.gate.FinishAddress(ctx, w.at, id, mfa.Email, "00000000")) },
		"confirmation":     func() error { _, err := w.gate.SendConfirmation(ctx, w.at, id, false); return err },
		"confirm":          func() error { return outcome(w.gate.Confirm(ctx, w.at, id, "00000000")) },
		"pass":             func() error { return outcome(w.gate.UsePass(ctx, w.at, id, "AAAA-AAAA-AAAA-AAAA")) },
		"bypass":           func() error { return outcome(w.gate.VerifyBypass(ctx, w.at, id, "AAAA-AAAA-AAAA-AAAA")) },
		"finish a passkey": func() error { return outcome(w.gate.FinishVerifyPasskey(ctx, w.at, id, "x", []byte("{}"))) },
		"a code by mail":   func() error { _, err := w.gate.SendCode(ctx, w.at, id, mfa.Email, "", false); return err },
		"that code":        func() error { return outcome(w.gate.VerifySent(ctx, w.at, id, mfa.Email, "00000000")) },
		"no factor":        func() error { return outcome(w.gate.VerifySent(ctx, w.at, id, "none", "00000000")) },
		"password kind":    func() error { return outcome(w.gate.VerifySent(ctx, w.at, id, mfa.Password, goodPassword)) },
		"sign in by link": func() error {
			return outcome(w.gate.AcceptLink(ctx, w.at, mfa.LinkInput{Token: string(id), Password: "another good password 8"}))
		},
		"waiting code":    func() error { _, _, err := w.gate.FinishWaiting(ctx, w.at, string(id), "00000000"); return err },
		"passkey sign-in": func() error { return outcome(w.gate.FinishPasskeySignIn(ctx, w.at, string(id), []byte("{}"))) },
	} {
		t.Run(name, func(t *testing.T) {
			if err := step(); err == nil {
				t.Error("the step was taken")
			}
			s := as[*mfa.Session](t)(w.store.Session(ctx, id))
			if s.Complete || len(s.Proofs) > 0 || s.MayEnroll || s.Bypassed || len(s.Pending) > 0 {
				t.Errorf("the sign-in has gained something: %+v", s)
			}
			u := as[*mfa.User](t)(w.store.User(ctx, s.User))
			if len(u.Credentials) != len(before.Credentials) || u.Credentials[0].Name != before.Credentials[0].Name || u.OptedOut || u.Generation != before.Generation {
				t.Error("the account has changed")
			}
			if d := mfa.Decide(mfa.Input{Policy: &w.policy, Place: w.at, Session: s, Subject: u.AsSubject()}, w.clock()); d.Action != mfa.Verify {
				t.Errorf("next is %s", d.Action)
			}
		})
	}
}

// AC-160, B17: a thief has the password of carol, who has no second factor yet. What
// stands in the way is the mode of enrollment; where nothing does, carol is told on the
// address that she has proven.
func TestGate_AC160_PasswordThiefEnrollsFirst(t *testing.T) {
	for _, test := range []struct {
		name   string
		mode   mfa.Enrollment
		later  time.Duration // after she was asked for the first time
		onFile bool          // an address
		want   error
	}{
		{"open", mfa.Enrollment{Open: true}, 30 * 24 * time.Hour, false, nil},
		{"open 14d, within", mfa.Enrollment{Open: true, Window: 14 * 24 * time.Hour}, 13 * 24 * time.Hour, false, nil},
		{"open 14d, over, no address", mfa.Enrollment{Open: true, Window: 14 * 24 * time.Hour}, 15 * 24 * time.Hour, false, mfa.ErrEnrollmentClosed},
		{"open 14d, over, an address", mfa.Enrollment{Open: true, Window: 14 * 24 * time.Hour}, 15 * 24 * time.Hour, true, mfa.ErrConfirmFirst},
		{"confirm, an address", mfa.Enrollment{Confirm: true}, 0, true, mfa.ErrConfirmFirst},
		{"confirm, none", mfa.Enrollment{Confirm: true}, 0, false, mfa.ErrEnrollmentClosed},
		{"pass, an address", mfa.Enrollment{}, 0, true, mfa.ErrEnrollmentClosed},
		{"pass, none", mfa.Enrollment{}, 0, false, mfa.ErrEnrollmentClosed},
	} {
		t.Run(test.name, func(t *testing.T) {
			w := newWorld(t)
			w.policy.Enrollment = test.mode
			out := w.invited("carol")
			w.signOut(out.Session.ID) // she came, and set nothing up
			if test.onFile {
				must(t, w.store.UpdateUser(t.Context(), out.Session.User, func(u *mfa.User) error {
					u.Email, u.EmailVerified = "carol@example.com", true
					return nil
				}))
			}
			w.wait(test.later)
			sent := len(w.post.All())
			thief := as[*mfa.Outcome](t)(w.gate.SignIn(t.Context(), w.elsewhere("198.51.100.0/24"), "local", "carol", goodPassword))
			_, err := w.gate.BeginTOTP(t.Context(), w.at, thief.Session.ID)
			if !errors.Is(err, test.want) {
				t.Fatalf("error %v, want %v", err, test.want)
			}
			if _, _, err := w.gate.SetUpAddress(t.Context(), w.at, thief.Session.ID, mfa.Email, mfa.AddressInput{Typed: "thief@example.com"}, false); err == nil && test.want != nil {
				t.Error("but an address of the thief's can be set up")
			}
			if test.want != nil {
				if n := len(w.post.All()) - sent; n != 0 {
					t.Errorf("%d letters went out", n)
				}
				return
			}
			w.addPhone(thief.Session.ID)
			u := as[*mfa.User](t)(w.store.User(context.Background(), thief.Session.User))
			if len(u.Notices) == 0 || u.Notices[len(u.Notices)-1].Kind != mfa.NoticeAdded {
				t.Errorf("she is not told: %+v", u.Notices)
			}
		})
	}
}
