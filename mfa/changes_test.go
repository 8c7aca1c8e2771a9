package mfa_test

import (
	"errors"
	"testing"

	"github.com/secondgate/secondgate/mfa"
)

// B33: everything on the account page that changes how somebody gets in needs a proof of
// the last ten minutes (B15), is an event however it ends, waits for the person as a
// notice, and is told to the address that they had before.
func TestGate_B33_EveryChange(t *testing.T) {
	type change struct {
		name   string
		do     func(w *world, id mfa.SessionID) error
		event  mfa.EventName
		notice mfa.NoticeKind
		// set makes the world that it needs.
		set func(w *world, user mfa.UserID)
	}
	factor := func(w *world, k mfa.Kind) mfa.CredentialID {
		u := as[*mfa.User](w.t)(w.store.UserByKey(w.t.Context(), mfa.SubjectKey(mfa.LocalSource, "alice")))
		return w.credentials(u.ID, k)[0]
	}
	changes := []change{
		{"adds an app", func(w *world, id mfa.SessionID) error {
			s, err := w.gate.BeginTOTP(w.t.Context(), w.at, id)
			if err != nil {
				return err
			}
			_, err = w.gate.FinishTOTP(w.t.Context(), w.at, id, newPhone(w.t, s).code(w.clock()), "")
			return err
		}, mfa.EventEnroll, mfa.NoticeAdded, nil},
		{"adds a passkey", func(w *world, id mfa.SessionID) error {
			c, err := w.gate.BeginPasskey(w.t.Context(), w.at, id)
			if err != nil {
				return err
			}
			answer := as[[]byte](w.t)(w.key().Enroll(c.Options, nil))
			_, err = w.gate.FinishPasskey(w.t.Context(), w.at, id, c.ID, answer, "")
			return err
		}, mfa.EventEnroll, mfa.NoticeAdded, nil},
		{"adds an address", func(w *world, id mfa.SessionID) error {
			if err := w.setUp(id, mfa.Email, "second@example.net"); err != nil {
				return err
			}
			_, err := w.gate.FinishAddress(w.t.Context(), w.at, id, mfa.Email, w.post.Code("second@example.net"))
			return err
		}, mfa.EventEnroll, mfa.NoticeAdded, nil},
		{"makes new codes", func(w *world, id mfa.SessionID) error {
			if _, err := w.gate.BeginCodes(w.t.Context(), w.at, id); err != nil {
				return err
			}
			_, err := w.gate.ConfirmCodes(w.t.Context(), w.at, id)
			return err
		}, mfa.EventEnroll, mfa.NoticeNewCodes, nil},
		{"renames one", func(w *world, id mfa.SessionID) error {
			return w.gate.Rename(w.t.Context(), w.at, id, factor(w, mfa.TOTP), "mine")
		}, mfa.EventRename, mfa.NoticeRenamed, nil},
		{"removes one", func(w *world, id mfa.SessionID) error {
			return w.gate.Remove(w.t.Context(), w.at, id, factor(w, mfa.TOTP))
		}, mfa.EventRemove, mfa.NoticeRemoved, func(w *world, user mfa.UserID) {
			w.change(user, func(u *mfa.User) {
				u.Credentials = append(u.Credentials, mfa.Credential{ID: "sms", Kind: mfa.SMS, Address: alicesPhone})
			})
		}},
		{"removes the codes", func(w *world, id mfa.SessionID) error {
			return w.gate.Remove(w.t.Context(), w.at, id, mfa.BackupCodesID)
		}, mfa.EventRemove, mfa.NoticeRemoved, nil},
		{"removes the last", func(w *world, id mfa.SessionID) error {
			_, err := w.gate.RemoveLast(w.t.Context(), w.at, id, factor(w, mfa.TOTP))
			return err
		}, mfa.EventRemove, mfa.NoticeRemoved, nil},
		{"changes the password", func(w *world, id mfa.SessionID) error {
			_, err := w.gate.ChangePassword(w.t.Context(), w.at, id, goodPassword, "another good long password")
			return err
		}, mfa.EventPassword, mfa.NoticePassword, nil},
		{"changes the address", func(w *world, id mfa.SessionID) error {
			if _, err := w.gate.BeginEmail(w.t.Context(), w.at, id, newMail, false); err != nil {
				return err
			}
			return w.gate.FinishEmail(w.t.Context(), w.at, id, w.post.Code(newMail))
		}, mfa.EventProfile, mfa.NoticeEmail, nil},
		{"opts out", func(w *world, id mfa.SessionID) error {
			return w.gate.OptOut(w.t.Context(), w.at, id)
		}, mfa.EventOptOut, mfa.NoticeOptedOut, func(w *world, _ mfa.UserID) { w.policy.Optional = true }},
	}
	for _, c := range changes {
		t.Run(c.name, func(t *testing.T) {
			w, app, out := addressed(t)
			w.policy.Factors |= mfa.KindsOf(mfa.Email, mfa.SMS)
			user := out.Session.User
			if c.set != nil {
				c.set(w, user)
			}
			w.wait(mfa.ProofLife)
			w.change(user, func(u *mfa.User) { u.Notices = nil })
			w.post.Reset()
			w.events.Reset()
			before := w.user(user)
			var owed *mfa.ProofError
			if err := c.do(w, out.Session.ID); !errors.As(err, &owed) {
				t.Fatalf("B15: with a proof of ten minutes ago: %v", err)
			}
			if after := w.user(user); !sameAccess(before, after) || len(after.Notices) > 0 || len(w.post.All()) > 0 {
				t.Error("B15: it changed something, or told of it")
			}
			out = as[*mfa.Outcome](t)(w.gate.VerifyTOTP(t.Context(), w.at, out.Session.ID, app.code(w.clock())))
			before = w.user(user)
			must(t, c.do(w, out.Session.ID))
			after := w.user(user)
			if sameAccess(before, after) {
				t.Error("nothing changed")
			}
			if n := w.recorded(c.event, true); n != 1 {
				t.Errorf("%d events %s", n, c.event)
			}
			waiting := 0
			for _, n := range after.Notices {
				if n.Kind == c.notice && n.At.Equal(w.clock()) {
					waiting++
				}
			}
			if waiting != 1 {
				t.Errorf("%d notices %s wait: %+v", waiting, c.notice, after.Notices)
			}
			if n := w.told(alicesMail, c.notice); n != 1 {
				t.Errorf("%d letters to the address", n)
			}
		})
	}
}

// sameAccess reports whether two records let the same people in by the same means.
func sameAccess(a, b *mfa.User) bool {
	if len(a.Credentials) != len(b.Credentials) || string(a.Password) != string(b.Password) || a.Email != b.Email || a.OptedOut != b.OptedOut {
		return false
	}
	for i := range a.Credentials {
		x, y := a.Credentials[i], b.Credentials[i]
		if x.ID != y.ID || x.Name != y.Name || string(x.Data) != string(y.Data) {
			return false
		}
	}
	return true
}
