package mfa_test

import (
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/secondgate/secondgate/mfa"
	"github.com/secondgate/secondgate/mfa/mfatest"
)

const month = 30 * 24 * time.Hour

// remembering is a world whose policy remembers browsers for a month.
func remembering(t *testing.T, change ...configured) *world {
	t.Helper()
	w := lettered(t, change...)
	w.policy.RememberDevice = month
	return w
}

// home is the place of a browser that is remembered for a new user with an app.
func (w *world) home(name string) (*mfa.Place, *phone) {
	w.t.Helper()
	p, _ := w.addPhone(w.invited(name).Session.ID)
	w.wait(time.Minute)
	home := *w.at
	home.Remember = true
	out := as[*mfa.Outcome](w.t)(w.gate.VerifyTOTP(w.t.Context(), &home, w.half(name), p.code(w.clock())))
	if out.Remember == "" || out.Remember == "-" {
		w.t.Fatalf("the browser is to keep %q", out.Remember)
	}
	home.Remember, home.Remembered, home.Devices = false, out.Remember, out.Device
	w.wait(time.Minute)
	return &home, p
}

func TestGate_B29_RememberedDevice(t *testing.T) {
	w, ctx := remembering(t), t.Context()
	home, p := w.home("alice")
	st := as[*mfa.State](t)(w.gate.State(ctx, w.at, w.half("alice")))
	if st.RememberFor != month {
		t.Errorf("offered for %s", st.RememberFor)
	}
	out, err := w.gate.SignIn(ctx, home, "local", "alice", goodPassword)
	out = w.wantsNext(out, err, mfa.Allow, "")
	if !out.Session.Complete || out.Remember == "" || out.Remember == home.Remembered {
		t.Fatalf("complete %v, the browser is to keep %q", out.Session.Complete, out.Remember)
	}
	// Whoever changes factors proves it anew (B15).
	var owed *mfa.ProofError
	if _, err := w.gate.BeginTOTP(ctx, home, out.Session.ID); !errors.As(err, &owed) {
		t.Errorf("B15: %v", err)
	}
	a := as[*mfa.Account](t)(w.gate.Account(ctx, home, out.Session.ID))
	if len(a.Remembered) != 1 || a.Remembered[0].Hash != nil || a.Remembered[0].Before != nil || a.Remembered[0].Agent == "" {
		t.Errorf("%+v", a.Remembered)
	}
	if text := fmt.Sprintf("%+v", w.events.All()); strings.Contains(text, home.Remembered) || strings.Contains(text, strings.Split(home.Remembered, ".")[1]) {
		t.Error("I9: the secret is in an event")
	}
	home.Remembered = out.Remember
	// Time runs from the proof, not from the last use.
	w.wait(month - 2*time.Minute)
	out, err = w.gate.SignIn(ctx, home, "local", "alice", goodPassword)
	out = w.wantsNext(out, err, mfa.Allow, "")
	home.Remembered = out.Remember
	w.wait(2 * time.Minute)
	out, err = w.gate.SignIn(ctx, home, "local", "alice", goodPassword)
	w.wantsNext(out, err, mfa.Verify, mfa.ReasonNotVerified)
	if out.Remember != "-" {
		t.Errorf("too old, and the browser keeps %q", out.Remember)
	}
	// Not without asking, nor for a backup code, a set-up or a bypass.
	out = as[*mfa.Outcome](t)(w.gate.VerifyTOTP(ctx, w.at, out.Session.ID, p.code(w.clock())))
	if out.Remember != "" || len(w.user(out.Session.User).Remembered) != 0 {
		t.Error("remembered without being asked")
	}
}

func TestGate_B29_NotForWhatIsNoPrimaryFactor(t *testing.T) {
	w, ctx := remembering(t), t.Context()
	w.policy.Factors |= mfa.KindsOf(mfa.BackupCode)
	at := *w.at
	at.Remember = true
	out := w.invited("alice")
	p := newPhone(t, as[*mfa.TOTPSetup](t)(w.gate.BeginTOTP(ctx, &at, out.Session.ID)))
	out = as[*mfa.Outcome](t)(w.gate.FinishTOTP(ctx, &at, out.Session.ID, p.code(w.clock()), ""))
	codes, out := w.addCodes(out.Session.ID)
	w.wait(time.Minute)
	in := as[*mfa.Outcome](t)(w.gate.VerifyBackupCode(ctx, &at, w.half("alice"), codes[0]))
	bypass, _, err := mfatest.NewDesk(w.gate).Bypass(ctx, "alice", 0, "")
	must(t, err)
	by := as[*mfa.Outcome](t)(w.gate.VerifyBypass(ctx, &at, w.half("alice"), bypass))
	if in.Remember != "" || by.Remember != "" || len(w.user(out.Session.User).Remembered) != 0 {
		t.Errorf("remembered for %q, %q", in.Remember, by.Remember)
	}
}

// B29, AC-097: whoever copied what the browser holds, and the owner, come one after the
// other: the second is found out, whoever that is, nobody stands for anything any more,
// and the user is told.
func TestGate_B29_TheftIsNoticed(t *testing.T) {
	w, ctx := remembering(t), t.Context()
	for _, order := range []string{"thief first", "owner first"} {
		name := strings.Fields(order)[0]
		home, p := w.home(name)
		user := w.half(name)
		s := as[*mfa.Session](t)(w.store.Session(ctx, user))
		w.change(s.User, func(u *mfa.User) { u.Email, u.EmailVerified = name+"@example.com", true })
		thief := *home
		thief.Network, thief.Devices = "203.0.113.0/24", ""
		first, second := &thief, home
		if order == "owner first" {
			first, second = home, &thief
		}
		w.post.Reset()
		out, err := w.gate.SignIn(ctx, first, "local", name, goodPassword)
		out = w.wantsNext(out, err, mfa.Allow, "")
		next := out.Remember
		w.wait(31 * time.Second)
		out, err = w.gate.SignIn(ctx, second, "local", name, goodPassword)
		out = w.wantsNext(out, err, mfa.Verify, mfa.ReasonNotVerified)
		if out.Remember != "-" {
			t.Errorf("%s: the second keeps %q", order, out.Remember)
		}
		// The newest secret is worth nothing any more either.
		first.Remembered = next
		again, err := w.gate.SignIn(ctx, first, "local", name, goodPassword)
		w.wantsNext(again, err, mfa.Verify, mfa.ReasonNotVerified)
		told := 0
		for _, l := range w.post.To(name + "@example.com") {
			if l.Notice != nil && l.Notice.Kind == mfa.NoticeStolenDevice {
				told++
			}
		}
		if told != 1 {
			t.Errorf("%s: told %d times", order, told)
		}
		w.wait(time.Minute)
		in := as[*mfa.Outcome](t)(w.gate.VerifyTOTP(ctx, w.at, w.half(name), p.code(w.clock())))
		list := as[[]mfa.Notice](t)(w.gate.Notices(ctx, w.at, in.Session.ID))
		if n := list[len(list)-1]; !in.Notices || n.Kind != mfa.NoticeStolenDevice {
			t.Errorf("%s: %+v", order, list)
		}
	}
}

// Two tabs that sign in at once are no theft; after the leeway the old secret is.
func TestGate_B29_RotationLeeway(t *testing.T) {
	w, ctx := remembering(t), t.Context()
	home, _ := w.home("alice")
	one := as[*mfa.Outcome](t)(w.gate.SignIn(ctx, home, "local", "alice", goodPassword))
	w.wait(30 * time.Second)
	two, err := w.gate.SignIn(ctx, home, "local", "alice", goodPassword)
	w.wantsNext(two, err, mfa.Allow, "")
	if one.Remember == "" || two.Remember != "" {
		t.Errorf("the tabs are to keep %q and %q", one.Remember, two.Remember)
	}
	// The clock is set back: the old secret is no twin for ever.
	w.wait(-24 * time.Hour)
	three, err := w.gate.SignIn(ctx, home, "local", "alice", goodPassword)
	w.wantsNext(three, err, mfa.Verify, mfa.ReasonNotVerified)
}

func TestGate_B29_Ends(t *testing.T) {
	w, ctx := remembering(t), t.Context()
	const next = "another good long password"
	for what, end := range map[string]func(name string, s *mfa.Outcome, p *phone){
		"a new password": func(name string, s *mfa.Outcome, _ *phone) {
			as[*mfa.Outcome](t)(w.gate.ChangePassword(ctx, w.at, s.Session.ID, goodPassword, goodPassword+"!"))
			must(t, w.store.UpdateUser(ctx, s.Session.User, func(u *mfa.User) error { u.Password = mfa.Secret("plain " + goodPassword); return nil }))
		},
		"a reset link": func(name string, _ *mfa.Outcome, _ *phone) {
			token := as[string](t)(mfatest.NewDesk(w.gate).ResetPassword(ctx, name))
			as[*mfa.Outcome](t)(w.gate.AcceptLink(ctx, w.at, mfa.LinkInput{Token: token, Password: goodPassword}))
		},
		"removing a factor": func(_ string, s *mfa.Outcome, _ *phone) {
			added := w.addAddress(s.Session.ID, mfa.Email, otherMail)
			c := w.user(s.Session.User).Credentials
			must(t, w.gate.Remove(ctx, w.at, added.Session.ID, c[len(c)-1].ID))
		},
		"signing out everywhere": func(_ string, s *mfa.Outcome, _ *phone) {
			as[*mfa.Outcome](t)(w.gate.EndOtherSessions(ctx, w.at, s.Session.ID))
		},
		"forgetting it": func(_ string, s *mfa.Outcome, _ *phone) {
			a := as[*mfa.Account](t)(w.gate.Account(ctx, w.at, s.Session.ID))
			must(t, w.gate.ForgetDevice(ctx, w.at, s.Session.ID, a.Remembered[0].ID))
			wants(t, w.gate.ForgetDevice(ctx, w.at, s.Session.ID, a.Remembered[0].ID), mfa.ErrNotFound)
		},
		"disabling and enabling": func(name string, _ *mfa.Outcome, _ *phone) {
			must(t, mfatest.NewDesk(w.gate).SetDisabled(ctx, name, true))
			must(t, mfatest.NewDesk(w.gate).SetDisabled(ctx, name, false))
		},
		"switching it off": func(string, *mfa.Outcome, *phone) { w.policy.RememberDevice = 0 },
		"an organization that forbids it": func(_ string, s *mfa.Outcome, _ *phone) {
			w.policy.Organizations = mfa.NewDirectory([]*mfa.Organization{{ID: "acme", NoRemembering: true}})
			w.change(s.Session.User, func(u *mfa.User) { u.Organizations = []mfa.OrganizationID{"acme"} })
		},
		"another credential under its ID": func(_ string, s *mfa.Outcome, _ *phone) {
			w.change(s.Session.User, func(u *mfa.User) { u.Credentials[0].Kind = mfa.Passkey })
		},
	} {
		t.Run(what, func(t *testing.T) {
			w.policy.RememberDevice, w.policy.Organizations = month, nil
			name := "user-" + strings.ReplaceAll(what, " ", "-")
			home, p := w.home(name)
			s := as[*mfa.Outcome](t)(w.gate.VerifyTOTP(ctx, w.at, w.half(name), p.code(w.clock())))
			end(name, s, p)
			out := as[*mfa.Outcome](t)(w.gate.SignIn(ctx, home, "local", name, goodPassword))
			if out.Decision.Action != mfa.Verify || out.Session.Complete {
				t.Errorf("afterwards: %s", out.Decision.Action)
			}
			w.wait(time.Minute)
		})
	}
	_ = next
}

// What a browser holds is for one user, and nothing that was not made here is anything.
func TestGate_B29_RejectsWhatIsBent(t *testing.T) {
	w, ctx := remembering(t), t.Context()
	home, _ := w.home("alice")
	w.home("bob")
	id, secret, _ := strings.Cut(home.Remembered, ".")
	for what, bent := range map[string]string{
		"no secret": id, "an empty secret": id + ".", "no ID": "." + secret, "another's ID": "x." + secret,
		"too long": home.Remembered + strings.Repeat("x", 128), "empty": "", "a dash": "-",
	} {
		at := *home
		at.Remembered = bent
		out, err := w.gate.SignIn(ctx, &at, "local", "bob", goodPassword)
		w.wantsNext(out, err, mfa.Verify, mfa.ReasonNotVerified)
		if what == "an empty secret" {
			continue // alice's own, with a wrong secret, is the theft of another test
		}
		out, err = w.gate.SignIn(ctx, &at, "local", "alice", goodPassword)
		w.wantsNext(out, err, mfa.Verify, mfa.ReasonNotVerified)
	}
	at := *home
	out, err := w.gate.SignIn(ctx, &at, "local", "bob", goodPassword)
	w.wantsNext(out, err, mfa.Verify, mfa.ReasonNotVerified)
	if out.Remember != "" {
		t.Error("alice's browser was taken away by bob's sign-in")
	}
	out, err = w.gate.SignIn(ctx, home, "local", "alice", goodPassword)
	w.wantsNext(out, err, mfa.Allow, "")
	// The password is still asked for.
	_, err = w.gate.SignIn(ctx, home, "local", "alice", "wrong")
	wants(t, err, mfa.ErrRejected)
}

func TestGate_B29_IsBounded(t *testing.T) {
	w, ctx := remembering(t), t.Context()
	home, p := w.home("alice")
	home.Remember, home.Remembered = true, ""
	var user mfa.UserID
	for range mfa.MaxRemembered + 5 {
		w.wait(time.Minute)
		in := as[*mfa.Outcome](t)(w.gate.VerifyTOTP(ctx, home, w.half("alice"), p.code(w.clock())))
		user = in.Session.User
	}
	if n := len(w.user(user).Remembered); n != mfa.MaxRemembered {
		t.Errorf("%d browsers", n)
	}
	// One browser that is remembered again replaces itself.
	w.wait(time.Minute)
	in := as[*mfa.Outcome](t)(w.gate.VerifyTOTP(ctx, home, w.half("alice"), p.code(w.clock())))
	for range 3 {
		home.Remembered = in.Remember
		w.wait(time.Minute)
		in = as[*mfa.Outcome](t)(w.gate.VerifyTOTP(ctx, home, w.half("alice"), p.code(w.clock())))
		seen := map[string]bool{}
		for _, d := range w.user(user).Remembered {
			seen[d.ID] = true
		}
		if id, _, _ := strings.Cut(home.Remembered, "."); seen[id] {
			t.Error("one browser stands twice")
		}
	}
}

// B27, B29: a browser that stands for a code to a mailbox does not stand for it after a
// sign-in by a code to the same mailbox. Whoever has the mailbox and the browser's cookie
// must not get past an app, nor set up a factor of their own.
func TestGate_B27_RememberedMailboxAfterItsOwnCode(t *testing.T) {
	for _, optional := range []bool{false, true} {
		for _, app := range []bool{false, true} {
			t.Run(fmt.Sprintf("optional %v, with an app %v", optional, app), func(t *testing.T) {
				w, ctx := remembering(t), t.Context()
				out := w.signUp(alicesMail)
				out, _, err := w.gate.SetUpAddress(ctx, w.at, out.Session.ID, mfa.Email, mfa.AddressInput{Typed: alicesMail}, false)
				must(t, err)
				if app {
					_, out = w.addPhone(out.Session.ID)
				} else {
					out = as[*mfa.Outcome](t)(w.gate.Skip(ctx, w.at, out.Session.ID))
				}
				w.wantsNext(out, nil, mfa.Allow, "")
				w.wait(time.Hour)
				home := *w.at
				home.Remember = true
				in := as[*mfa.Outcome](t)(w.gate.SignIn(ctx, w.at, "local", alicesMail, goodPassword))
				as[*mfa.SentTo](t)(w.gate.SendCode(ctx, w.at, in.Session.ID, mfa.Email, "", false))
				in = as[*mfa.Outcome](t)(w.gate.VerifySent(ctx, &home, in.Session.ID, mfa.Email, w.post.Code(alicesMail)))
				home.Remembered, home.Remember = in.Remember, false
				w.policy.Optional = optional
				w.wait(time.Hour)

				wait := as[*mfa.Waiting](t)(w.gate.SendSignInCode(ctx, &home, alicesMail))
				thief, _, err := w.gate.FinishWaiting(ctx, &home, wait.ID, w.post.Code(alicesMail))
				w.wantsNext(thief, err, mfa.Verify, mfa.ReasonNotVerified)
				if _, err := w.gate.Skip(ctx, &home, thief.Session.ID); err == nil {
					t.Error("skipped")
				}
				if _, err := w.gate.BeginTOTP(ctx, &home, thief.Session.ID); err == nil {
					t.Error("a mailbox and a cookie reached set-up")
				}
				// After a password it stands as before.
				again, err := w.gate.SignIn(ctx, &home, "local", alicesMail, goodPassword)
				w.wantsNext(again, err, mfa.Allow, "")
			})
		}
	}
}
