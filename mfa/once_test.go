package mfa_test

import (
	"errors"
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/secondgate/secondgate/mfa"
	"github.com/secondgate/secondgate/mfa/mfatest"
)

// Whatever is good once is tried by 64 at once, each from a network of its own, so that
// what decides is the write that spends it and not the throttle before it: one succeeds.

func (w *world) halves(name string) []mfa.SessionID {
	w.t.Helper()
	list := make([]mfa.SessionID, 64)
	for i := range list {
		out := as[*mfa.Outcome](w.t)(w.gate.SignIn(w.t.Context(), w.elsewhere(fmt.Sprint("s", i)), "local", name, goodPassword))
		list[i] = out.Session.ID
	}
	return list
}

func TestGate_AC105_OneTakerOfASentCode(t *testing.T) {
	for _, k := range []mfa.Kind{mfa.Email, mfa.SMS} {
		t.Run(string(k), func(t *testing.T) {
			w, ctx := lettered(t), t.Context()
			address := map[mfa.Kind]string{mfa.Email: alicesMail, mfa.SMS: alicesPhone}[k]
			if k == mfa.Email {
				w.mailed("alice", address)
			} else {
				w.texted("alice", address)
			}
			id := w.half("alice")
			as[*mfa.SentTo](t)(w.gate.SendCode(ctx, w.at, id, k, "", false))
			code := w.post.Code(address)
			if n := at64(func(i int) error {
				return w.unthrottled(func() error {
					_, err := w.gate.VerifySent(ctx, w.elsewhere(fmt.Sprint(i)), id, k, code)
					return err
				})
			}); n != 1 {
				t.Errorf("one code signed in %d times", n)
			}
		})
	}
}

// AC-105: submitted while another is asked for: the old code or the new one, never both.
func TestGate_AC105_CodeDuringResend(t *testing.T) {
	w, ctx := lettered(t), t.Context()
	w.mailed("alice", alicesMail)
	for range 5 {
		must(t, mfatest.NewDesk(w.gate).Unlock(ctx, "alice"))
		w.wait(time.Hour)
		id := w.half("alice")
		as[*mfa.SentTo](t)(w.gate.SendCode(ctx, w.at, id, mfa.Email, "", false))
		code := w.post.Code(alicesMail)
		w.wait(time.Minute)
		var mu sync.Mutex
		var sent []string
		n := at64(func(i int) error {
			if i%8 == 0 {
				_, err := w.gate.SendCode(ctx, w.elsewhere(fmt.Sprint(i)), id, mfa.Email, "", true)
				mu.Lock()
				defer mu.Unlock()
				sent = append(sent, fmt.Sprint(err))
				return errors.New("no try")
			}
			if i > 4 {
				// Of the new code, five tries with the old one would be the end, and one
				// more letter may follow at once.
				return errors.New("no try")
			}
			_, err := w.gate.VerifySent(ctx, w.elsewhere(fmt.Sprint(i)), id, mfa.Email, code)
			return err
		})
		if n > 1 {
			t.Errorf("one code signed in %d times", n)
		}
		if letters := w.codesTo(alicesMail); letters > 2 {
			t.Errorf("eight presses of a button sent %d letters: %v", letters-1, sent)
		}
		w.post.Reset()
	}
}

func TestGate_OneTaker_OfACodeThatWaits(t *testing.T) {
	w, ctx := lettered(t), t.Context()
	_, wait, err := w.gate.BeginSignUp(ctx, w.at, mfa.SignUpInput{Name: alicesMail, Password: goodPassword})
	must(t, err)
	finish := func(id, code string) int {
		return at64(func(i int) error {
			for {
				_, _, err := w.gate.FinishWaiting(ctx, w.elsewhere(fmt.Sprint(i)), id, code)
				if !throttled(err) {
					return err
				}
				if err := w.store.UpdateAttempts(ctx, []string{"x"}, func([]mfa.Attempts) error { return nil }); err != nil {
					return err
				}
			}
		})
	}
	if n := finish(wait.ID, w.post.Code(alicesMail)); n != 1 {
		t.Errorf("one code made %d accounts", n)
	}
	w.wait(time.Hour)
	wait = as[*mfa.Waiting](t)(w.gate.SendSignInCode(ctx, w.at, alicesMail))
	if n := finish(wait.ID, w.post.Code(alicesMail)); n != 1 {
		t.Errorf("one code signed in %d times", n)
	}
	page, _, err := w.store.ListUsers(ctx, mfa.UserQuery{}, "", 10)
	if err != nil || len(page) != 1 {
		t.Errorf("%d users, %v", len(page), err)
	}
}

func TestGate_OneTaker_OfLinks(t *testing.T) {
	w, ctx := lettered(t), t.Context()
	accept := func(token string) int {
		return at64(func(i int) error {
			_, err := w.gate.AcceptLink(ctx, w.elsewhere(fmt.Sprint(i)), mfa.LinkInput{Token: token, Password: goodPassword})
			return err
		})
	}
	if n := accept(as[string](t)(mfatest.NewDesk(w.gate).Invite(ctx, mfa.InviteInput{Name: "bob"}))); n != 1 {
		t.Errorf("one invitation was accepted %d times", n)
	}
	w.signUp(alicesMail)
	must(t, w.gate.ForgotPassword(ctx, w.at, alicesMail, func(token string) string { return token }))
	if n := accept(w.post.Link(alicesMail)); n != 1 {
		t.Errorf("one link for a forgotten password was used %d times", n)
	}
}

func TestGate_OneTaker_OfAPassAndABypass(t *testing.T) {
	w, ctx := lettered(t), t.Context()
	w.invited("alice") // leaves before anything is set up
	w.policy.Enrollment = mfa.Enrollment{}
	pass, _, err := mfatest.NewDesk(w.gate).EnrollmentPass(ctx, "alice", 0)
	must(t, err)
	halves := w.halves("alice")
	if n := at64(func(i int) error {
		return w.unthrottled(func() error {
			_, err := w.gate.UsePass(ctx, w.elsewhere(fmt.Sprint(i)), halves[i], pass)
			return err
		})
	}); n != 1 {
		t.Errorf("one pass opened %d sign-ins", n)
	}
	w.policy.Enrollment = mfa.Enrollment{Open: true}
	w.addPhone(as[*mfa.Outcome](t)(w.signIn("alice")).Session.ID)
	bypass, _, err := mfatest.NewDesk(w.gate).Bypass(ctx, "alice", 0, "lost")
	must(t, err)
	halves = w.halves("alice")
	if n := at64(func(i int) error {
		return w.unthrottled(func() error {
			_, err := w.gate.VerifyBypass(ctx, w.elsewhere(fmt.Sprint(i)), halves[i], bypass)
			return err
		})
	}); n != 1 {
		t.Errorf("one bypass signed in %d times", n)
	}
}

// B29: of many that come with one secret of a remembered browser, one is given the next.
// The others are tabs of the same browser that came in the same moment.
func TestGate_OneTaker_OfARememberedSecret(t *testing.T) {
	w, ctx := remembering(t), t.Context()
	home, _ := w.home("alice")
	var mu sync.Mutex
	next := map[string]int{}
	if n := at64(func(i int) error {
		at := *home
		at.Network = fmt.Sprint(i)
		return w.unthrottled(func() error {
			out, err := w.gate.SignIn(ctx, &at, "local", "alice", goodPassword)
			if err == nil {
				mu.Lock()
				next[out.Remember]++
				mu.Unlock()
			}
			return err
		})
	}); n != 64 {
		t.Errorf("%d passwords were right", n)
	}
	if len(next) != 2 || next[""] != 63 {
		t.Errorf("the next secret was given so: %v", next)
	}
	if n := w.recorded(mfa.EventForget, true); n != 0 {
		t.Errorf("tabs of one browser are called %d thieves", n)
	}
}

// latest returns the user's newest session.
func (w *world) latest(user mfa.UserID) (*mfa.Session, error) {
	list, err := w.store.UserSessions(w.t.Context(), user)
	if err != nil || len(list) == 0 {
		return nil, fmt.Errorf("%d sessions, %w", len(list), err)
	}
	return list[0], nil
}

// The write that keeps a factor looks again: of many tabs that set up one address, one
// makes a factor of it, with or without a code.
func TestGate_OneTaker_OfASetUp(t *testing.T) {
	w, ctx := lettered(t), t.Context()
	out := w.signUp(alicesMail)
	at64(func(i int) error {
		_, _, err := w.gate.SetUpAddress(ctx, w.elsewhere(fmt.Sprint(i)), out.Session.ID, mfa.Email, mfa.AddressInput{Typed: alicesMail}, false)
		return err
	})
	if n := len(w.user(out.Session.User).Credentials); n != 1 {
		t.Errorf("one address that was proven before became %d factors", n)
	}
	// The same in a session that the mailbox has signed in, beside an app.
	p, out := w.addPhone(as[*mfa.Session](t)(w.latest(out.Session.User)).ID)
	w.change(out.Session.User, func(u *mfa.User) { u.Credentials = u.Credentials[1:] })
	w.wait(time.Minute)
	out = as[*mfa.Outcome](t)(w.byCode(alicesMail))
	out = as[*mfa.Outcome](t)(w.gate.VerifyTOTP(ctx, w.at, out.Session.ID, p.code(w.clock())))
	at64(func(i int) error {
		_, _, err := w.gate.SetUpAddress(ctx, w.elsewhere(fmt.Sprint(i)), out.Session.ID, mfa.Email, mfa.AddressInput{Typed: alicesMail}, false)
		return err
	})
	if n := len(w.user(out.Session.User).Credentials); n != 2 {
		t.Errorf("beside an app one address became %d factors", n-1)
	}
	bob := w.invited("bob")
	_, _, err := w.gate.SetUpAddress(ctx, w.at, bob.Session.ID, mfa.SMS, mfa.AddressInput{Typed: alicesPhone}, false)
	must(t, err)
	code := w.post.Code(alicesPhone)
	if n := at64(func(i int) error {
		_, err := w.gate.FinishAddress(ctx, w.elsewhere(fmt.Sprint(i)), bob.Session.ID, mfa.SMS, code)
		return err
	}); n != 1 {
		t.Errorf("one code of a set-up was taken %d times", n)
	}
	if n := len(w.user(bob.Session.User).Credentials); n != 1 {
		t.Errorf("one number became %d factors", n)
	}
}

// The code of a set-up is spent, and in the same moment another tab moves the session on
// with the copy that it had read before: the code must not come back with it.
func TestGate_AC105_SpentCodeStaysSpent(t *testing.T) {
	store := &between{Store: newStore(t)}
	w, ctx := newWorldOn(t, store), t.Context()
	w.policy.Factors = mfa.KindsOf(mfa.TOTP, mfa.Email)
	p, out := w.addPhone(w.invited("alice").Session.ID)
	w.wait(time.Minute)
	id := out.Session.ID
	_, _, err := w.gate.SetUpAddress(ctx, w.at, id, mfa.Email, mfa.AddressInput{Typed: alicesMail}, false)
	must(t, err)
	code := w.post.Code(alicesMail)
	w.wait(time.Minute)
	// The slow tab has read the session, and verifies; while it writes, the code is used.
	store.first = func() {
		if _, err := w.gate.FinishAddress(ctx, w.at, id, mfa.Email, wrong(code)); !errors.Is(err, mfa.ErrRejected) {
			t.Errorf("a wrong code: %v", err)
		}
		for range mfa.SentCodeTries - 1 {
			_, _ = w.gate.FinishAddress(ctx, w.at, id, mfa.Email, wrong(code))
		}
	}
	out = as[*mfa.Outcome](t)(w.gate.VerifyTOTP(ctx, w.at, id, p.code(w.clock())))
	must(t, mfatest.NewDesk(w.gate).Unlock(ctx, "alice"))
	if _, err := w.gate.FinishAddress(ctx, w.at, out.Session.ID, mfa.Email, code); !errors.Is(err, mfa.ErrExpired) {
		t.Errorf("a code whose tries were used up came back: %v", err)
	}
}

// Two sessions set up one number, each by a code of its own; while the second writes, the
// first has done so.
func TestGate_SetUpAddress_RejectsASecondTime(t *testing.T) {
	store := &between{Store: newStore(t)}
	w, ctx := newWorldOn(t, store), t.Context()
	w.policy.Factors = mfa.KindsOf(mfa.TOTP, mfa.SMS)
	p, one := w.addPhone(w.invited("alice").Session.ID)
	w.wait(time.Minute)
	two := as[*mfa.Outcome](t)(w.gate.VerifyTOTP(ctx, w.at, w.half("alice"), p.code(w.clock())))
	var codes []string
	for _, s := range []*mfa.Outcome{one, two} {
		_, _, err := w.gate.SetUpAddress(ctx, w.at, s.Session.ID, mfa.SMS, mfa.AddressInput{Typed: alicesPhone}, false)
		must(t, err)
		codes = append(codes, w.post.Code(alicesPhone))
	}
	store.skip = 1 // the write that records the verified number
	store.first = func() {
		as[*mfa.Outcome](t)(w.gate.FinishAddress(ctx, w.at, one.Session.ID, mfa.SMS, codes[0]))
	}
	_, err := w.gate.FinishAddress(ctx, w.at, two.Session.ID, mfa.SMS, codes[1])
	wants(t, err, mfa.ErrNotOwed)
	if n := len(w.user(one.Session.User).Credentials); n != 2 {
		t.Errorf("one number became %d factors", n-1)
	}
}
