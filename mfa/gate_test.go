package mfa_test

import (
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/secondgate/secondgate/mfa"
	"github.com/secondgate/secondgate/mfa/mfatest"
)

func TestGate_FromLinkToApp(t *testing.T) {
	w, ctx := newWorld(t), t.Context()
	token := as[string](t)(w.gate.SetupLink(ctx))
	link := as[*mfa.Link](t)(w.gate.OpenLink(ctx, w.at, token))
	if link.Purpose != mfa.ForSetupLink || link.UserName != "" {
		t.Fatalf("the link says %+v", link)
	}
	out, err := w.gate.AcceptLink(ctx, w.at, mfa.LinkInput{Token: token, Name: " Alice ", DisplayName: "Alice A.", Email: "Alice@Example.com", Password: goodPassword})
	out = w.wantsNext(out, err, mfa.SetUp, mfa.ReasonNothingSetUp)
	if out.Session.Complete || out.Subject.Name != "alice" || !out.Subject.Admin {
		t.Fatalf("session complete %v, subject %+v", out.Session.Complete, out.Subject)
	}
	if out.Subject.Email != "" {
		t.Error("B38: an unverified address is shown to apps")
	}
	half := out.Session.ID
	phone, out := w.addPhone(half)
	w.wantsNext(out, nil, mfa.SetUp, mfa.ReasonNoCodes)
	if out.Decision.Skippable {
		t.Error("B14: backup codes at the tail of a set-up can be skipped")
	}
	if out.Session.ID == half {
		t.Error("the token did not change with what was proven")
	}
	codes, out := w.addCodes(out.Session.ID)
	w.wantsNext(out, nil, mfa.Allow, "")
	if !out.Session.Complete || len(codes) != 10 {
		t.Fatalf("complete %v, %d codes", out.Session.Complete, len(codes))
	}
	if _, err := w.store.Session(ctx, half); !errors.Is(err, mfa.ErrNotFound) {
		t.Errorf("AC-012: the half-done session is still there: %v", err)
	}

	// Later: sign in again with the app, with a code, and not with the same step.
	w.wait(time.Hour)
	out, err = w.signIn("ALICE")
	w.wantsNext(out, err, mfa.Verify, mfa.ReasonNotVerified)
	out, err = w.gate.VerifyTOTP(ctx, w.at, out.Session.ID, phone.code(w.clock()))
	w.wantsNext(out, err, mfa.Allow, "")
	out, err = w.signIn("alice")
	w.wantsNext(out, err, mfa.Verify, mfa.ReasonNotVerified)
	if _, err := w.gate.VerifyTOTP(ctx, w.at, out.Session.ID, phone.code(w.clock())); !errors.Is(err, mfa.ErrRejected) {
		t.Errorf("AC-103: a code was accepted twice: %v", err)
	}
	out, err = w.gate.VerifyBackupCode(ctx, w.at, out.Session.ID, codes[3])
	w.wantsNext(out, err, mfa.Allow, "")
	w.signOut(out.Session.ID)
	if _, err := w.gate.State(ctx, w.at, out.Session.ID); !errors.Is(err, mfa.ErrNoSession) {
		t.Errorf("AC-014: after signing out: %v", err)
	}
}

func TestGate_SignIn_RejectsAlike(t *testing.T) {
	w, ctx := newWorld(t), t.Context()
	w.invited("alice")
	w.invited("bob")
	must(t, mfatest.NewDesk(w.gate).SetDisabled(ctx, "bob", true))
	as[string](t)(mfatest.NewDesk(w.gate).Invite(ctx, mfa.InviteInput{Name: "carol"}))
	for _, try := range []struct{ name, password string }{
		{"alice", "wrong"}, {"nobody", goodPassword}, {"bob", goodPassword}, {"carol", ""}, {"carol", goodPassword},
		{"al\u200bice", goodPassword}, {"", ""}, {"alice", ""},
	} {
		// From networks of their own: nothing is to hide behind the throttle.
		_, err := w.gate.SignIn(ctx, w.elsewhere(try.name+"/"+try.password), "local", try.name, try.password)
		if err != mfa.ErrRejected {
			t.Errorf("AC-114 %q %q: %v, want the one rejection", try.name, try.password, err)
		}
	}
	if _, err := w.gate.SignIn(ctx, w.at, "nowhere", "alice", goodPassword); err != mfa.ErrRejected {
		t.Errorf("an unknown source: %v", err)
	}
}

func TestGate_AC015_HalfDoneReachesNothing(t *testing.T) {
	w, ctx := newWorld(t), t.Context()
	w.alice()
	out := as[*mfa.Outcome](t)(w.signIn("alice"))
	id := out.Session.ID
	for name, try := range map[string]func() error{
		"begin totp (AC-161)": func() error { _, err := w.gate.BeginTOTP(ctx, w.at, id); return err },
		"finish totp":         func() error { _, err := w.gate.FinishTOTP(ctx, w.at, id, "123456", ""); return err },
		"begin passkey":       func() error { _, err := w.gate.BeginPasskey(ctx, w.at, id); return err },
		"finish passkey":      func() error { _, err := w.gate.FinishPasskey(ctx, w.at, id, "x", nil, ""); return err },
		"begin codes":         func() error { _, err := w.gate.BeginCodes(ctx, w.at, id); return err },
		"confirm codes":       func() error { _, err := w.gate.ConfirmCodes(ctx, w.at, id); return err },
		"pending codes":       func() error { _, err := w.gate.PendingCodes(ctx, w.at, id); return err },
		"skip":                func() error { _, err := w.gate.Skip(ctx, w.at, id); return err },
		"account":             func() error { _, err := w.gate.Account(ctx, w.at, id); return err },
		"rename":              func() error { return w.gate.Rename(ctx, w.at, id, mfa.BackupCodesID, "x") },
		"remove":              func() error { return w.gate.Remove(ctx, w.at, id, mfa.BackupCodesID) },
		"change password":     func() error { _, err := w.gate.ChangePassword(ctx, w.at, id, goodPassword, "x"); return err },
		"opt out":             func() error { return w.gate.OptOut(ctx, w.at, id) },
		"end other sessions":  func() error { _, err := w.gate.EndOtherSessions(ctx, w.at, id); return err },
		"end a session":       func() error { return w.gate.EndSession(ctx, w.at, id, "x") },
	} {
		if err := try(); err == nil {
			t.Errorf("%s: allowed", name)
		}
	}
	st := as[*mfa.State](t)(w.gate.State(ctx, w.at, id))
	if st.Decision.Action != mfa.Verify {
		t.Errorf("afterwards: %s", st.Decision.Action)
	}
	w.wait(mfa.HalfDoneLife)
	_, err := w.gate.State(ctx, w.at, id)
	wants(t, err, mfa.ErrExpired)
}

func TestGate_AC008_SessionOfAnotherPlace(t *testing.T) {
	w, ctx := newWorld(t), t.Context()
	_, _, out := w.alice()
	other := *w.at
	other.Scope = "other.example.com"
	_, err := w.gate.Account(ctx, &other, out.Session.ID)
	wants(t, err, mfa.ErrNoSession)
}

func TestGate_B14_CodesArePendingUntilConfirmed(t *testing.T) {
	w, ctx := hashingWorld(t), t.Context()
	phone, old, out := w.alice()
	id := out.Session.ID
	first := as[[]string](t)(w.gate.BeginCodes(ctx, w.at, id))
	again := as[[]string](t)(w.gate.BeginCodes(ctx, w.at, id))
	download := as[[]string](t)(w.gate.PendingCodes(ctx, w.at, id))
	if fmt.Sprint(first) != fmt.Sprint(again) || fmt.Sprint(first) != fmt.Sprint(download) {
		t.Error("a reload or the download shows other codes")
	}
	// Until then the old set is the live one.
	in := as[*mfa.Outcome](t)(w.signIn("alice"))
	if _, err := w.gate.VerifyBackupCode(ctx, w.at, in.Session.ID, first[0]); !errors.Is(err, mfa.ErrRejected) {
		t.Errorf("a pending code signs in: %v", err)
	}
	_, err := w.gate.VerifyBackupCode(ctx, w.at, in.Session.ID, old[0])
	must(t, err)
	as[*mfa.Outcome](t)(w.gate.ConfirmCodes(ctx, w.at, id))
	in = as[*mfa.Outcome](t)(w.signIn("alice"))
	if _, err := w.gate.VerifyBackupCode(ctx, w.at, in.Session.ID, old[1]); !errors.Is(err, mfa.ErrRejected) {
		t.Errorf("AC-168: a code of the replaced set signs in: %v", err)
	}
	_, err = w.gate.VerifyBackupCode(ctx, w.at, in.Session.ID, first[1])
	must(t, err)
	_ = phone
}

func TestGate_B14_PendingCodesExpire(t *testing.T) {
	w, ctx := newWorld(t), t.Context()
	_, _, out := w.alice()
	first := as[[]string](t)(w.gate.BeginCodes(ctx, w.at, out.Session.ID))
	w.wait(mfa.PendingLife)
	_, err := w.gate.ConfirmCodes(ctx, w.at, out.Session.ID)
	wants(t, err, mfa.ErrExpired)
	_, err = w.gate.PendingCodes(ctx, w.at, out.Session.ID)
	wants(t, err, mfa.ErrExpired)
	_ = first
}

func TestGate_B13_PendingSecretExpires(t *testing.T) {
	w, ctx := newWorld(t), t.Context()
	out := w.invited("alice")
	setup := as[*mfa.TOTPSetup](t)(w.gate.BeginTOTP(ctx, w.at, out.Session.ID))
	same := as[*mfa.TOTPSetup](t)(w.gate.BeginTOTP(ctx, w.at, out.Session.ID))
	if string([]byte(setup.Secret)) != string([]byte(same.Secret)) {
		t.Error("a reload shows another secret")
	}
	p := newPhone(t, setup)
	if _, err := w.gate.FinishTOTP(ctx, w.at, out.Session.ID, "000000", ""); !errors.Is(err, mfa.ErrRejected) {
		t.Fatalf("a wrong code: %v", err)
	}
	// The wrong code did not make another secret.
	_, err := w.gate.FinishTOTP(ctx, w.at, out.Session.ID, p.code(w.clock()), "")
	must(t, err)

	bob := w.invited("bob")
	p = newPhone(t, as[*mfa.TOTPSetup](t)(w.gate.BeginTOTP(ctx, w.at, bob.Session.ID)))
	w.wait(mfa.PendingLife - time.Second)
	as[*mfa.State](t)(w.gate.State(ctx, w.at, bob.Session.ID))
	w.wait(time.Second)
	if _, err = w.gate.FinishTOTP(ctx, w.at, bob.Session.ID, p.code(w.clock()), ""); err == nil {
		t.Error("a secret that waited ten minutes was accepted")
	}
}

func TestGate_AC113_EnrollmentCodeDoesNotSignIn(t *testing.T) {
	w, ctx := newWorld(t), t.Context()
	out := w.invited("alice")
	p, _ := w.addPhone(out.Session.ID)
	in := as[*mfa.Outcome](t)(w.signIn("alice"))
	if _, err := w.gate.VerifyTOTP(ctx, w.at, in.Session.ID, p.code(w.clock())); !errors.Is(err, mfa.ErrRejected) {
		t.Errorf("the code that confirmed the app also signed in: %v", err)
	}
}

func TestGate_AC109_StepsOnlyGoForward(t *testing.T) {
	w, ctx := newWorld(t), t.Context()
	p, _, _ := w.alice()
	now := w.clock()
	in := as[*mfa.Outcome](t)(w.signIn("alice"))
	try := func(at time.Time) error {
		out, err := w.gate.VerifyTOTP(ctx, w.at, in.Session.ID, p.code(at))
		if err == nil {
			in = out
		}
		return err
	}
	wants(t, try(now.Add(-60*time.Second)), mfa.ErrRejected)
	wants(t, try(now.Add(60*time.Second)), mfa.ErrRejected)
	must(t, try(now.Add(30*time.Second)))
	wants(t, try(now), mfa.ErrRejected)
	wants(t, try(now.Add(30*time.Second)), mfa.ErrRejected)
}

func TestGate_ClockIsOff(t *testing.T) {
	w, ctx := newWorld(t), t.Context()
	p, _, _ := w.alice()
	in := as[*mfa.Outcome](t)(w.signIn("alice"))
	_, err := w.gate.VerifyTOTP(ctx, w.at, in.Session.ID, p.code(w.clock().Add(5*time.Minute)))
	var clock *mfa.ClockError
	if !errors.As(err, &clock) {
		t.Errorf("a code from a clock that is five minutes ahead: %v", err)
	}
}

func TestGate_AC089_FactorLocks(t *testing.T) {
	w, ctx := newWorld(t), t.Context()
	p, codes, _ := w.alice()
	in := as[*mfa.Outcome](t)(w.signIn("alice"))
	evaluated := 0
	for range 500 {
		// Each try from another network: the account's own counter must hold.
		out, err := w.gate.VerifyTOTP(ctx, w.elsewhere(fmt.Sprint("net", evaluated)), in.Session.ID, "000000")
		if err == nil {
			t.Fatal("a wrong code was accepted", out)
		}
		var throttled *mfa.ThrottledError
		if !errors.As(err, &throttled) {
			evaluated++
			continue
		}
		if throttled.Locked {
			break
		}
		w.wait(throttled.RetryAfter)
		in = as[*mfa.Outcome](t)(w.gate.SignIn(ctx, w.elsewhere(fmt.Sprint("sign-in", evaluated)), "local", "alice", goodPassword))
	}
	if evaluated != 50 {
		t.Errorf("%d wrong codes were compared before the lock, want 50", evaluated)
	}
	in = as[*mfa.Outcome](t)(w.signIn("alice"))
	_, err := w.gate.VerifyTOTP(ctx, w.at, in.Session.ID, p.code(w.clock()))
	wants(t, err, mfa.ErrRejected)
	st := as[*mfa.State](t)(w.gate.State(ctx, w.at, in.Session.ID))
	if st.Preferred != mfa.BackupCode {
		t.Errorf("AC-012 with the app locked, the page that opens is %q", st.Preferred)
	}
	// The other factor was never touched, and an administrator unlocks.
	_, err = w.gate.VerifyBackupCode(ctx, w.at, in.Session.ID, codes[0])
	must(t, err)
	must(t, mfatest.NewDesk(w.gate).Unlock(ctx, "alice"))
	in = as[*mfa.Outcome](t)(w.signIn("alice"))
	_, err = w.gate.VerifyTOTP(ctx, w.at, in.Session.ID, p.code(w.clock()))
	must(t, err)
}

func TestGate_AC093_OneCounterForAllSpellings(t *testing.T) {
	w, ctx := newWorld(t), t.Context()
	w.alice()
	tried := 0
	for i, name := range []string{"alice", "ALICE", " alice ", "Alice", "aLICE", "alice", "ALICE"} {
		_, err := w.gate.SignIn(ctx, w.elsewhere(fmt.Sprint(i)), "local", name, "wrong")
		var throttled *mfa.ThrottledError
		if !errors.As(err, &throttled) {
			tried++
		}
	}
	if tried != 5 {
		t.Errorf("%d wrong passwords were compared, want 5", tried)
	}
	for i := range 7 {
		_, err := w.gate.SignIn(ctx, w.elsewhere(fmt.Sprint("n", i)), "local", "nobody", "wrong")
		var throttled *mfa.ThrottledError
		if errors.As(err, &throttled) != (i >= 5) {
			t.Errorf("AC-094 try %d at an unknown name: %v", i+1, err)
		}
	}
}

func TestGate_AC092_NoAddressIsNoFreedom(t *testing.T) {
	w, ctx := newWorld(t), t.Context()
	throttled := 0
	for i := range 20 {
		_, err := w.gate.SignIn(ctx, w.elsewhere(""), "local", fmt.Sprint("user", i), "wrong")
		var e *mfa.ThrottledError
		if errors.As(err, &e) {
			throttled++
		}
	}
	if throttled != 10 {
		t.Errorf("%d of 20 tries without an address were refused, want 10", throttled)
	}
}

// at64 runs try 64 times at once and returns how many succeeded.
func at64(try func(i int) error) int {
	var wins atomic.Int32
	var wg sync.WaitGroup
	start := make(chan struct{})
	for i := range 64 {
		wg.Go(func() {
			<-start
			if try(i) == nil {
				wins.Add(1)
			}
		})
	}
	close(start)
	wg.Wait()
	return int(wins.Load())
}

// unthrottled tries until the answer is about the proof and not about how many
// tries there were.
func (w *world) unthrottled(try func() error) error {
	for {
		err := try()
		var throttled *mfa.ThrottledError
		if !errors.As(err, &throttled) {
			return err
		}
		if err := mfatest.NewDesk(w.gate).Unlock(w.t.Context(), "alice"); err != nil {
			return err
		}
	}
}

func TestGate_AC104_OneTakerOfACode(t *testing.T) {
	w, ctx := hashingWorld(t), t.Context()
	p, codes, out := w.alice()
	user := out.Session.User
	halves := make([]mfa.SessionID, 64)
	half := func() {
		for i := range halves {
			halves[i] = as[*mfa.Outcome](t)(w.gate.SignIn(ctx, w.elsewhere(fmt.Sprint("s", i)), "local", "alice", goodPassword)).Session.ID
		}
	}
	half()
	// Each comes from its own network, and the counter is out of the way: what is
	// tested is the write that spends, not the throttle before it.
	if n := at64(func(i int) error {
		return w.unthrottled(func() error {
			_, err := w.gate.VerifyBackupCode(ctx, w.elsewhere(fmt.Sprint(i)), halves[i], codes[0])
			return err
		})
	}); n != 1 {
		t.Errorf("one backup code signed in %d times", n)
	}
	u := as[*mfa.User](t)(w.store.User(ctx, user))
	if left := u.Credential(mfa.BackupCodesID).Left; left != 9 {
		t.Errorf("%d codes are left, want 9", left)
	}
	must(t, mfatest.NewDesk(w.gate).Unlock(ctx, "alice"))
	w.wait(2 * time.Minute)
	half()
	if n := at64(func(i int) error {
		return w.unthrottled(func() error {
			_, err := w.gate.VerifyTOTP(ctx, w.elsewhere(fmt.Sprint(i)), halves[i], p.code(w.clock()))
			return err
		})
	}); n != 1 {
		t.Errorf("AC-102 one code of an app signed in %d times", n)
	}
}

func TestGate_AC228_OneTakerOfASetupLink(t *testing.T) {
	w, ctx := newWorld(t), t.Context()
	token := as[string](t)(w.gate.SetupLink(ctx))
	if n := at64(func(i int) error {
		_, err := w.gate.AcceptLink(ctx, w.elsewhere(fmt.Sprint(i)), mfa.LinkInput{Token: token, Name: fmt.Sprint("admin", i), Password: goodPassword})
		return err
	}); n != 1 {
		t.Errorf("one set-up link made %d accounts", n)
	}
	page, _, err := w.store.ListUsers(ctx, mfa.UserQuery{}, "", 100)
	if err != nil || len(page) != 1 {
		t.Errorf("%d users: %v", len(page), err)
	}
}

func TestGate_AC095_ParallelGuesses(t *testing.T) {
	w, ctx := newWorld(t), t.Context()
	w.alice()
	in := as[*mfa.Outcome](t)(w.signIn("alice"))
	var compared atomic.Int32
	at64(func(i int) error {
		_, err := w.gate.VerifyTOTP(ctx, w.elsewhere(fmt.Sprint(i)), in.Session.ID, "000000")
		var throttled *mfa.ThrottledError
		if !errors.As(err, &throttled) {
			compared.Add(1)
		}
		return err
	})
	if n := compared.Load(); n != 5 {
		t.Errorf("%d of 64 parallel guesses were compared, want 5", n)
	}
}

func TestGate_Links(t *testing.T) {
	w, ctx := newWorld(t), t.Context()
	first := as[string](t)(mfatest.NewDesk(w.gate).Invite(ctx, mfa.InviteInput{Name: "bob", Groups: []string{"staff"}}))
	second := as[string](t)(mfatest.NewDesk(w.gate).Invite(ctx, mfa.InviteInput{Name: "bob"}))
	_, err := w.gate.OpenLink(ctx, w.at, first)
	wants(t, err, mfa.ErrExpired)
	// A form that is not in order does not spend the link.
	var rule *mfa.PasswordError
	if _, err := w.gate.AcceptLink(ctx, w.at, mfa.LinkInput{Token: second, Password: "short"}); !errors.As(err, &rule) {
		t.Errorf("a short password: %v", err)
	}
	out := as[*mfa.Outcome](t)(w.gate.AcceptLink(ctx, w.at, mfa.LinkInput{Token: second, Password: goodPassword}))
	if out.Subject.Name != "bob" || out.Subject.Admin {
		t.Errorf("%+v", out.Subject)
	}
	_, err = w.gate.AcceptLink(ctx, w.at, mfa.LinkInput{Token: second, Password: goodPassword})
	wants(t, err, mfa.ErrExpired)
	_, err = mfatest.NewDesk(w.gate).Invite(ctx, mfa.InviteInput{Name: "bob"})
	wants(t, err, mfa.ErrNameTaken)
	for _, bad := range []mfa.InviteInput{{Name: "a,b"}, {Name: "x", Groups: []string{"a,b"}}, {Name: "x", Email: "a@b@c.com"}, {Name: "x", DisplayName: "a\r\nb"}} {
		if _, err := mfatest.NewDesk(w.gate).Invite(ctx, bad); !errors.Is(err, mfa.ErrName) {
			t.Errorf("AC-055 %+v: %v", bad, err)
		}
	}
	late := as[string](t)(mfatest.NewDesk(w.gate).Invite(ctx, mfa.InviteInput{Name: "carol"}))
	w.wait(mfa.InvitationLife)
	_, err = w.gate.AcceptLink(ctx, w.at, mfa.LinkInput{Token: late, Password: goodPassword})
	wants(t, err, mfa.ErrExpired)
	setup := as[string](t)(w.gate.SetupLink(ctx))
	_, err = w.gate.AcceptLink(ctx, w.at, mfa.LinkInput{Token: setup, Name: "BOB", Password: goodPassword})
	wants(t, err, mfa.ErrNameTaken)
	_, err = w.gate.AcceptLink(ctx, w.at, mfa.LinkInput{Token: setup, Name: "root", Password: goodPassword})
	must(t, err)
}

func TestGate_AC169_ResetKeepsFactors(t *testing.T) {
	w, ctx := newWorld(t), t.Context()
	p, _, out := w.alice()
	token := as[string](t)(mfatest.NewDesk(w.gate).ResetPassword(ctx, "alice"))
	in, err := w.gate.AcceptLink(ctx, w.at, mfa.LinkInput{Token: token, Password: "another good long password"})
	w.wantsNext(in, err, mfa.Verify, mfa.ReasonNotVerified)
	if _, err := w.gate.BeginTOTP(ctx, w.at, in.Session.ID); err == nil {
		t.Error("a reset link reached set-up past the enrolled factor")
	}
	_, err = w.gate.State(ctx, w.at, out.Session.ID)
	wants(t, err, mfa.ErrNoSession)
	_, err = w.signIn("alice")
	wants(t, err, mfa.ErrRejected)
	_, err = w.gate.VerifyTOTP(ctx, w.at, in.Session.ID, p.code(w.clock()))
	must(t, err)
}

func TestGate_B17_EnrollmentWindow(t *testing.T) {
	w, ctx := newWorld(t), t.Context()
	w.invited("alice") // leaves before setting anything up
	w.wait(time.Hour)
	in := as[*mfa.Outcome](t)(w.signIn("alice"))
	as[*mfa.TOTPSetup](t)(w.gate.BeginTOTP(ctx, w.at, in.Session.ID))
	w.wait(14*24*time.Hour + time.Second)
	in = as[*mfa.Outcome](t)(w.signIn("alice"))
	_, err := w.gate.BeginTOTP(ctx, w.at, in.Session.ID)
	wants(t, err, mfa.ErrEnrollmentClosed)
	st := as[*mfa.State](t)(w.gate.State(ctx, w.at, in.Session.ID))
	if !st.Closed {
		t.Error("the page is not told that enrollment is closed")
	}
	// An administrator's reset opens the window anew; so does a link, for whoever
	// holds it.
	must(t, mfatest.NewDesk(w.gate).RemoveFactors(ctx, "alice", ""))
	in = as[*mfa.Outcome](t)(w.signIn("alice"))
	as[*mfa.TOTPSetup](t)(w.gate.BeginTOTP(ctx, w.at, in.Session.ID))
	w.policy.Enrollment = mfa.Enrollment{}
	_, err = w.gate.BeginTOTP(ctx, w.at, in.Session.ID)
	wants(t, err, mfa.ErrEnrollmentClosed)
	token := as[string](t)(mfatest.NewDesk(w.gate).ResetPassword(ctx, "alice"))
	in = as[*mfa.Outcome](t)(w.gate.AcceptLink(ctx, w.at, mfa.LinkInput{Token: token, Password: goodPassword}))
	w.addPhone(in.Session.ID)
}

func TestGate_B15_ChangesNeedANewProof(t *testing.T) {
	w, ctx := newWorld(t), t.Context()
	p, codes, out := w.alice()
	w.wait(mfa.ProofLife)
	id := out.Session.ID
	var owed *mfa.ProofError
	if _, err := w.gate.BeginTOTP(ctx, w.at, id); !errors.As(err, &owed) {
		t.Fatalf("adding with an old proof: %v", err)
	}
	if err := w.gate.Remove(ctx, w.at, id, mfa.BackupCodesID); !errors.As(err, &owed) {
		t.Fatalf("removing with an old proof: %v", err)
	}
	if _, err := w.gate.BeginCodes(ctx, w.at, id); !errors.As(err, &owed) {
		t.Fatalf("new codes with an old proof: %v", err)
	}
	if _, err := w.gate.ChangePassword(ctx, w.at, id, goodPassword, "another good long password"); !errors.As(err, &owed) {
		t.Fatalf("password with an old proof: %v", err)
	}
	at := *w.at
	at.Asked = mfa.Requirement{Fresh: 9 * time.Minute}
	st := as[*mfa.State](t)(w.gate.State(ctx, &at, id))
	if st.Decision.Action != mfa.StepUp || st.Preferred != mfa.TOTP {
		t.Fatalf("the verify page sees %s, preferred %q", st.Decision.Action, st.Preferred)
	}
	out, err := w.gate.VerifyTOTP(ctx, &at, id, p.code(w.clock()))
	w.wantsNext(out, err, mfa.Allow, "")
	if out.Session.ID == id {
		t.Error("a step-up kept the token")
	}
	account := as[*mfa.Account](t)(w.gate.Account(ctx, w.at, out.Session.ID))
	if len(account.Credentials) != 2 || account.CodesLeft != 10 || !account.Required {
		t.Errorf("%+v", account)
	}
	for _, c := range account.Credentials {
		if c.Data != nil {
			t.Error("AC-131: the account page is given secrets")
		}
	}
	err = w.gate.Remove(ctx, w.at, out.Session.ID, account.Credentials[0].ID)
	wants(t, err, mfa.ErrLastFactor)
	_ = codes
}

func TestGate_AC167_TwoRemovalsAtOnce(t *testing.T) {
	w, ctx := newWorld(t), t.Context()
	_, _, out := w.alice()
	_, out = w.addPhone(out.Session.ID)
	a := as[*mfa.Account](t)(w.gate.Account(ctx, w.at, out.Session.ID))
	var phones []mfa.CredentialID
	for _, c := range a.Credentials {
		if c.Kind == mfa.TOTP {
			phones = append(phones, c.ID)
		}
	}
	if len(phones) != 2 {
		t.Fatalf("%d phones", len(phones))
	}
	if n := at64(func(i int) error { return w.gate.Remove(ctx, w.at, out.Session.ID, phones[i%2]) }); n != 1 {
		t.Errorf("%d removals succeeded, want 1", n)
	}
}

func TestGate_B23_LastCode(t *testing.T) {
	w, ctx := hashingWorld(t), t.Context()
	_, codes, _ := w.alice()
	var out *mfa.Outcome
	for i, code := range codes {
		w.wait(time.Minute)
		in := as[*mfa.Outcome](t)(w.signIn("alice"))
		var err error
		out, err = w.gate.VerifyBackupCode(ctx, w.at, in.Session.ID, code)
		if err != nil {
			t.Fatalf("code %d: %v", i+1, err)
		}
	}
	w.wantsNext(out, nil, mfa.SetUp, mfa.ReasonNoCodes)
	fresh, out := w.addCodes(out.Session.ID)
	w.wantsNext(out, nil, mfa.Allow, "")
	if len(fresh) != 10 {
		t.Errorf("%d new codes", len(fresh))
	}
}

func TestGate_B24_OnlyCodesLeft(t *testing.T) {
	w, ctx := newWorld(t), t.Context()
	_, codes, _ := w.alice()
	must(t, mfatest.NewDesk(w.gate).RemoveFactors(ctx, "alice", mfa.TOTP))
	in := as[*mfa.Outcome](t)(w.signIn("alice"))
	w.wantsNext(in, nil, mfa.Verify, mfa.ReasonNotVerified)
	if _, err := w.gate.BeginTOTP(ctx, w.at, in.Session.ID); err == nil {
		t.Error("a password alone reached set-up past the backup codes")
	}
	out, err := w.gate.VerifyBackupCode(ctx, w.at, in.Session.ID, codes[0])
	w.wantsNext(out, err, mfa.SetUp, mfa.ReasonOnlyCodes)
	_, out = w.addPhone(out.Session.ID)
	w.wantsNext(out, nil, mfa.Allow, "")
}

func TestGate_B23_LastCodeWithNothingElse(t *testing.T) {
	w, ctx := newWorld(t), t.Context()
	_, codes, _ := w.alice()
	for _, code := range codes[:9] {
		w.wait(time.Minute)
		in := as[*mfa.Outcome](t)(w.signIn("alice"))
		as[*mfa.Outcome](t)(w.gate.VerifyBackupCode(ctx, w.at, in.Session.ID, code))
	}
	must(t, mfatest.NewDesk(w.gate).RemoveFactors(ctx, "alice", mfa.TOTP))
	w.wait(365 * 24 * time.Hour) // every window is over
	in := as[*mfa.Outcome](t)(w.signIn("alice"))
	out, err := w.gate.VerifyBackupCode(ctx, w.at, in.Session.ID, codes[9])
	w.wantsNext(out, err, mfa.SetUp, mfa.ReasonNothingSetUp)
	w.addPhone(out.Session.ID) // no dead end: the code was the proof
}

func TestGate_B7_Skip(t *testing.T) {
	w, ctx := newWorld(t), t.Context()
	w.policy.Optional = true
	out := w.invited("alice")
	w.wantsNext(out, nil, mfa.SetUp, mfa.ReasonPrompt)
	out, err := w.gate.Skip(ctx, w.at, out.Session.ID)
	out = w.wantsNext(out, err, mfa.Allow, "")
	if !out.Session.Complete {
		t.Fatal("not signed in")
	}
	out, err = w.signIn("alice")
	w.wantsNext(out, err, mfa.Allow, "")
	// A requirement ignores the skip, at once and for the session that stands.
	w.policy.Optional = false
	st := as[*mfa.State](t)(w.gate.State(ctx, w.at, out.Session.ID))
	if st.Decision.Action != mfa.SetUp || st.Decision.Skippable {
		t.Errorf("%+v", st.Decision)
	}
	if _, err := w.gate.Skip(ctx, w.at, out.Session.ID); err == nil {
		t.Error("a requirement was skipped")
	}
}

func TestGate_B10_Grace(t *testing.T) {
	w, ctx := newWorld(t), t.Context()
	w.policy.Grace = 48 * time.Hour
	w.policy.Enrollment = mfa.Enrollment{Open: true}
	out := w.invited("alice")
	if !out.Decision.Skippable {
		t.Fatalf("%+v", out.Decision)
	}
	out = as[*mfa.Outcome](t)(w.gate.Skip(ctx, w.at, out.Session.ID))
	w.wantsNext(out, nil, mfa.Allow, "")
	w.wait(47 * time.Hour)
	out = as[*mfa.Outcome](t)(w.signIn("alice"))
	st := as[*mfa.State](t)(w.gate.State(ctx, w.at, out.Session.ID))
	if left := st.GraceEnds.Sub(w.clock()); !st.Decision.Skippable || left != time.Hour {
		t.Fatalf("skippable %v, %s left", st.Decision.Skippable, left)
	}
	w.wait(time.Hour)
	out = as[*mfa.Outcome](t)(w.signIn("alice"))
	w.wantsNext(out, nil, mfa.SetUp, mfa.ReasonNothingSetUp)
	if out.Decision.Skippable {
		t.Error("grace did not end")
	}
}

func TestGate_ChangePasswordEndsOthers(t *testing.T) {
	w, ctx := newWorld(t), t.Context()
	p, _, first := w.alice()
	in := as[*mfa.Outcome](t)(w.signIn("alice"))
	out := as[*mfa.Outcome](t)(w.gate.VerifyTOTP(ctx, w.at, in.Session.ID, p.code(w.clock())))
	_, err := w.gate.ChangePassword(ctx, w.at, out.Session.ID, "wrong", "another good long password")
	wants(t, err, mfa.ErrRejected)
	next := as[*mfa.Outcome](t)(w.gate.ChangePassword(ctx, w.at, out.Session.ID, goodPassword, "another good long password"))
	w.wantsNext(next, nil, mfa.Allow, "")
	for name, id := range map[string]mfa.SessionID{"the other session": first.Session.ID, "the old token": out.Session.ID} {
		if _, err := w.gate.State(ctx, w.at, id); !errors.Is(err, mfa.ErrNoSession) {
			t.Errorf("AC-023 %s: %v", name, err)
		}
	}
	as[*mfa.Account](t)(w.gate.Account(ctx, w.at, next.Session.ID))
}

func TestGate_AC152_DisabledEndsAll(t *testing.T) {
	w, ctx := newWorld(t), t.Context()
	_, _, out := w.alice()
	must(t, mfatest.NewDesk(w.gate).SetDisabled(ctx, "alice", true))
	if _, err := w.gate.State(ctx, w.at, out.Session.ID); err == nil {
		t.Error("a disabled user's session stands")
	}
	must(t, mfatest.NewDesk(w.gate).SetDisabled(ctx, "alice", false))
	_, err := w.gate.State(ctx, w.at, out.Session.ID)
	wants(t, err, mfa.ErrNoSession)
}

func TestGate_Sessions(t *testing.T) {
	w, ctx := newWorld(t), t.Context()
	p, _, first := w.alice()
	in := as[*mfa.Outcome](t)(w.signIn("alice"))
	second := as[*mfa.Outcome](t)(w.gate.VerifyTOTP(ctx, w.at, in.Session.ID, p.code(w.clock())))
	a := as[*mfa.Account](t)(w.gate.Account(ctx, w.at, second.Session.ID))
	if len(a.Sessions) != 2 {
		t.Fatalf("%d sessions", len(a.Sessions))
	}
	wants(t, w.gate.EndSession(ctx, w.at, second.Session.ID, "nothing"), mfa.ErrNotFound)
	must(t, w.gate.EndSession(ctx, w.at, second.Session.ID, w.otherHandle(second.Session.ID)))
	_, err := w.gate.State(ctx, w.at, first.Session.ID)
	wants(t, err, mfa.ErrNoSession)
	second = as[*mfa.Outcome](t)(w.gate.EndOtherSessions(ctx, w.at, second.Session.ID))
	as[*mfa.Account](t)(w.gate.Account(ctx, w.at, second.Session.ID))
}

// otherHandle returns the handle of the one session beside this one.
func (w *world) otherHandle(id mfa.SessionID) string {
	w.t.Helper()
	for _, s := range as[*mfa.Account](w.t)(w.gate.Account(w.t.Context(), w.at, id)).Sessions {
		if !s.Current {
			return s.Handle
		}
	}
	w.t.Fatal("there is no other session")
	return ""
}

func TestGate_AC012_SignInEndsWhatTheBrowserHeld(t *testing.T) {
	w, ctx := newWorld(t), t.Context()
	_, _, out := w.alice()
	w.invited("bob")
	at := *w.at
	at.Replaces = out.Session.ID
	_, err := w.gate.SignIn(ctx, &at, "local", "bob", goodPassword)
	must(t, err)
	_, err = w.gate.State(ctx, w.at, out.Session.ID)
	wants(t, err, mfa.ErrNoSession)
}

func TestGate_OptOut(t *testing.T) {
	w, ctx := newWorld(t), t.Context()
	p, _, out := w.alice()
	wants(t, w.gate.OptOut(ctx, w.at, out.Session.ID), mfa.ErrNotAllowed)
	w.policy.Optional = true
	must(t, w.gate.OptOut(ctx, w.at, out.Session.ID))
	in, err := w.signIn("alice")
	in = w.wantsNext(in, err, mfa.Allow, "")
	// Without a proof, what protects the account stays as it is.
	var owed *mfa.ProofError
	if err := w.gate.Remove(ctx, w.at, in.Session.ID, mfa.BackupCodesID); !errors.As(err, &owed) {
		t.Errorf("B15: %v", err)
	}
	must(t, w.gate.OptIn(ctx, w.at, in.Session.ID))
	st := as[*mfa.State](t)(w.gate.State(ctx, w.at, in.Session.ID))
	if st.Decision.Action != mfa.Verify {
		t.Errorf("after opting in: %s", st.Decision.Action)
	}
	_ = p
}

func TestGate_EventsTellEachAttempt(t *testing.T) {
	w, ctx := newWorld(t), t.Context()
	w.alice()
	in := as[*mfa.Outcome](t)(w.signIn("alice"))
	before := w.recorded(mfa.EventVerify, false)
	for range 3 {
		_, _ = w.gate.VerifyTOTP(ctx, w.at, in.Session.ID, "000000")
	}
	if n := w.recorded(mfa.EventVerify, false) - before; n != 3 {
		t.Errorf("AC-231: %d events for 3 attempts", n)
	}
}

func TestGate_AC156_UnknownFactorIsAFactor(t *testing.T) {
	w, ctx := newWorld(t), t.Context()
	out := w.invited("alice")
	must(t, w.store.UpdateUser(ctx, out.Session.User, func(u *mfa.User) error {
		u.Credentials = append(u.Credentials, mfa.Credential{ID: "future", Kind: "retina"})
		return nil
	}))
	in := as[*mfa.Outcome](t)(w.signIn("alice"))
	w.wantsNext(in, nil, mfa.Verify, mfa.ReasonNotVerified)
	if _, err := w.gate.BeginTOTP(ctx, w.at, in.Session.ID); !errors.Is(err, mfa.ErrNotAllowed) {
		t.Errorf("a password alone set a factor up beside one of an unknown kind: %v", err)
	}
}

func TestGate_ManyPeopleBehindOneAddress(t *testing.T) {
	w := newWorld(t)
	w.policy = mfa.Policy{Off: true, Optional: true}
	w.invited("alice")
	for i := range 120 {
		if _, err := w.signIn("alice"); err != nil {
			t.Fatalf("sign-in %d from one address within a minute: %v", i+1, err)
		}
	}
	refused := 0
	for i := range 60 {
		_, err := w.gate.SignIn(t.Context(), w.at, "local", fmt.Sprint("user", i), "wrong")
		var throttled *mfa.ThrottledError
		if errors.As(err, &throttled) {
			refused++
		}
	}
	if refused != 30 {
		t.Errorf("%d of 60 failures from one address within a minute were refused, want 30", refused)
	}
}

func TestGate_UserInfoTellsLocks(t *testing.T) {
	w, ctx := newWorld(t), t.Context()
	w.alice()
	for range 6 {
		_, _ = w.gate.SignIn(ctx, w.at, "local", "alice", "wrong")
	}
	info := as[*mfa.UserInfo](t)(mfatest.NewDesk(w.gate).UserInfo(ctx, "alice"))
	if !info.PasswordLocked || info.PasswordLockedUntil.Sub(w.clock()) != 30*time.Second || info.Factors[0].Locked {
		t.Errorf("%+v", info)
	}
	must(t, mfatest.NewDesk(w.gate).Unlock(ctx, "alice"))
	if info = as[*mfa.UserInfo](t)(mfatest.NewDesk(w.gate).UserInfo(ctx, "alice")); info.PasswordLocked {
		t.Errorf("%+v", info)
	}
}

func TestGate_RefusedFormsAreNoFaults(t *testing.T) {
	w, ctx := newWorld(t), t.Context()
	token := as[string](t)(w.gate.SetupLink(ctx))
	for _, in := range []mfa.LinkInput{
		{Token: token, Name: "a b", Password: goodPassword},
		{Token: token, Name: "root", Password: "short"},
	} {
		if _, err := w.gate.AcceptLink(ctx, w.at, in); err == nil {
			t.Fatal("accepted")
		}
		if e := w.events.Last(); e.OK || e.Reason == "fault" || e.Reason == "" {
			t.Errorf("%+v", e)
		}
	}
}
