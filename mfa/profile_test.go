package mfa_test

import (
	"errors"
	"testing"
	"time"

	"github.com/secondgate/secondgate/mfa"
)

const newMail = "alice.new@example.net"

// addressed is alice with an address of her account that she has proven, signed in.
func addressed(t *testing.T) (*world, *phone, *mfa.Outcome) {
	t.Helper()
	w := newWorld(t)
	app, _, out := w.alice()
	w.change(out.Session.User, func(u *mfa.User) { u.Email, u.EmailVerified = alicesMail, true })
	return w, app, out
}

// changeEmail puts another address in the place of alice's.
func (w *world) changeEmail(id mfa.SessionID, address string) error {
	w.t.Helper()
	if _, err := w.gate.BeginEmail(w.t.Context(), w.at, id, address, false); err != nil {
		return err
	}
	return w.gate.FinishEmail(w.t.Context(), w.at, id, w.post.Code(address))
}

// forgets reports whether a link for a new password goes to the address.
func (w *world) forgets(address string) bool {
	w.t.Helper()
	before := len(w.post.To(address))
	must(w.t, w.gate.ForgotPassword(w.t.Context(), w.at, "alice", func(token string) string { return token }))
	return len(w.post.To(address)) > before
}

func TestGate_ChangeName(t *testing.T) {
	w, _, out := addressed(t)
	w.wait(time.Hour) // it needs no newer proof
	must(t, w.gate.ChangeName(t.Context(), w.at, out.Session.ID, "  Alice Example "))
	if got := w.user(out.Session.User).DisplayName; got != "Alice Example" {
		t.Errorf("%q", got)
	}
	if w.recorded(mfa.EventProfile, true) != 1 {
		t.Error("no event")
	}
	// AC-133 … 135, and what an app would read as two values.
	for _, name := range []string{"", " ", "a\nb", "a,b", "x\u202ey", string(make([]byte, 300)), "a|b"} {
		wants(t, w.gate.ChangeName(t.Context(), w.at, out.Session.ID, name), mfa.ErrName)
	}
	w.change(out.Session.User, func(u *mfa.User) { u.Generation++ })
	wants(t, w.gate.ChangeName(t.Context(), w.at, out.Session.ID, "Eve"), mfa.ErrNoSession)
}

// AC-164, AC-165: a new address counts once its code was entered, the old one is told,
// and for a day the new one recovers nothing.
func TestGate_AC165_ChangingTheAddress(t *testing.T) {
	w, app, out := addressed(t)
	ctx, id, user := t.Context(), out.Session.ID, out.Session.User
	if !w.forgets(alicesMail) {
		t.Fatal("no link goes to the old address")
	}
	old := w.post.Link(alicesMail)

	w.wait(mfa.ProofLife)
	var owed *mfa.ProofError
	if _, err := w.gate.BeginEmail(ctx, w.at, id, newMail, false); !errors.As(err, &owed) || owed.Kinds == 0 {
		t.Fatalf("B15: with an old proof: %v", err)
	}
	out = as[*mfa.Outcome](t)(w.gate.VerifyTOTP(ctx, w.at, id, app.code(w.clock())))
	id = out.Session.ID
	for _, typed := range []string{"", "alice", "a@b@c.example", "eve@example.com, x@example.com"} {
		_, err := w.gate.BeginEmail(ctx, w.at, id, typed, false)
		wants(t, err, mfa.ErrName)
	}
	_, err := w.gate.BeginEmail(ctx, w.at, id, " Alice@Example.com ", false)
	wants(t, err, mfa.ErrNotOwed)
	wants(t, w.gate.FinishEmail(ctx, w.at, id, "12345678"), mfa.ErrExpired)

	to := as[*mfa.SentTo](t)(w.gate.BeginEmail(ctx, w.at, id, newMail, false))
	if _, address, err := w.gate.PendingEmail(ctx, w.at, id); err != nil || address != newMail || to.Masked == newMail {
		t.Errorf("%q, %v, masked %q", address, err, to.Masked)
	}
	wants(t, w.gate.FinishEmail(ctx, w.at, id, "00000000"), mfa.ErrRejected)
	if u := w.user(user); u.Email != alicesMail || w.told(alicesMail, mfa.NoticeEmail) != 0 {
		t.Fatal("AC-164: it changed without a code")
	}
	code := w.post.Code(newMail)
	must(t, w.gate.FinishEmail(ctx, w.at, id, code))
	u := w.user(user)
	if u.Email != newMail || !u.EmailVerified || !u.EmailChanged.Equal(w.clock()) {
		t.Errorf("%s %t %s", u.Email, u.EmailVerified, u.EmailChanged)
	}
	if w.told(alicesMail, mfa.NoticeEmail) != 1 || w.told(newMail, mfa.NoticeEmail) != 0 {
		t.Error("AC-165: the old address is to be told, and it alone")
	}
	if n := len(u.Credentials); n != 2 {
		t.Errorf("%d factors: the address of the account is none", n)
	}
	wants(t, w.gate.FinishEmail(ctx, w.at, id, code), mfa.ErrExpired) // once
	if _, err := w.gate.AcceptLink(ctx, w.at, mfa.LinkInput{Token: old, Password: "another good long password"}); !errors.Is(err, mfa.ErrExpired) {
		t.Errorf("AC-164: a link that went to the old address: %v", err)
	}

	for _, wait := range []time.Duration{time.Minute, mfa.RecoveryWait - 2*time.Minute} {
		w.wait(wait)
		if w.forgets(newMail) || w.forgets(alicesMail) {
			t.Fatal("AC-165: the account can be recovered by mail within a day")
		}
		w.change(user, func(u *mfa.User) { u.EnrollmentShut, u.EnrollmentOpened = w.clock(), w.clock() })
	}
	w.wait(time.Minute)
	if !w.forgets(newMail) {
		t.Error("no link goes to the new address a day later")
	}
}

// AC-165: nor does the new address open a first enrollment within that time.
func TestGate_AC165_ConfirmsNothing(t *testing.T) {
	w, _, out := addressed(t)
	must(t, w.changeEmail(out.Session.ID, newMail))
	gone, err := w.gate.RemoveLast(t.Context(), w.at, out.Session.ID, w.credentials(out.Session.User, mfa.TOTP)[0])
	w.wantsNext(gone, err, mfa.SetUp, mfa.ReasonNothingSetUp)
	in := as[*mfa.Outcome](t)(w.signIn("alice"))
	_, err = w.gate.BeginTOTP(t.Context(), w.at, in.Session.ID)
	wants(t, err, mfa.ErrEnrollmentClosed)
	w.wait(mfa.RecoveryWait)
	in = as[*mfa.Outcome](t)(w.signIn("alice"))
	_, err = w.gate.BeginTOTP(t.Context(), w.at, in.Session.ID)
	wants(t, err, mfa.ErrConfirmFirst)
}

// Whoever has nothing enrolled proves the first factor again.
func TestGate_AC165_WithoutAFactor(t *testing.T) {
	w := newWorld(t)
	w.policy.Optional, w.policy.Prompt = true, mfa.PromptNever
	out := w.invited("alice")
	w.wait(mfa.ProofLife + time.Minute)
	var owed *mfa.ProofError
	if err := w.changeEmail(out.Session.ID, newMail); !errors.As(err, &owed) || owed.Kinds != 0 {
		t.Fatalf("%v", err)
	}
	out = as[*mfa.Outcome](t)(w.signIn("alice"))
	must(t, w.changeEmail(out.Session.ID, newMail))
	if w.forgets(newMail) {
		t.Error("an address that was added a moment ago recovers the account")
	}
}

// AC-165 by another door: an address that becomes a factor is the account's, where that
// has none.
func TestGate_AC165_AFactorBecomesTheAddress(t *testing.T) {
	w := newWorld(t)
	w.policy.Factors |= mfa.KindsOf(mfa.Email)
	_, _, out := w.alice()
	w.addAddress(out.Session.ID, mfa.Email, newMail)
	if u := w.user(out.Session.User); u.Email != newMail || !u.EmailVerified {
		t.Fatalf("%q %t", u.Email, u.EmailVerified)
	}
	if w.forgets(newMail) {
		t.Error("it recovers the account at once")
	}
	w.wait(mfa.RecoveryWait)
	if !w.forgets(newMail) {
		t.Error("it recovers nothing a day later")
	}
}

func TestGate_AC164_AnothersAddress(t *testing.T) {
	w, _, out := addressed(t)
	bob := w.invited("bob")
	w.change(bob.Session.User, func(u *mfa.User) { u.Email, u.EmailVerified = newMail, true })
	wants(t, w.changeEmail(out.Session.ID, newMail), mfa.ErrNameTaken)
	if u := w.user(out.Session.User); u.Email != alicesMail || !u.EmailChanged.IsZero() {
		t.Errorf("%q", u.Email)
	}
}

// A code of one purpose is worth nothing for another.
func TestGate_AC164_CodesAreApart(t *testing.T) {
	w, _, out := addressed(t)
	w.policy.Factors |= mfa.KindsOf(mfa.Email)
	ctx, id := t.Context(), out.Session.ID
	as[*mfa.SentTo](t)(w.gate.BeginEmail(ctx, w.at, id, newMail, false))
	if _, err := w.gate.FinishAddress(ctx, w.at, id, mfa.Email, w.post.Code(newMail)); !errors.Is(err, mfa.ErrExpired) {
		t.Errorf("a code for the account's address sets up a factor: %v", err)
	}
	must(t, w.setUp(id, mfa.Email, "second@example.net"))
	wants(t, w.gate.FinishEmail(ctx, w.at, id, w.post.Code("second@example.net")), mfa.ErrRejected)
	if u := w.user(out.Session.User); u.Email != alicesMail || len(u.Credentials) != 2 {
		t.Errorf("%s, %d factors", u.Email, len(u.Credentials))
	}
}

func TestGate_ChangingTheAddress_Refusals(t *testing.T) {
	w, _, out := addressed(t)
	id := out.Session.ID
	half := as[*mfa.Outcome](t)(w.signIn("alice"))
	if err := w.changeEmail(half.Session.ID, newMail); err == nil {
		t.Error("half-done")
	}
	w.post.Off(mfa.Email)
	wants(t, w.changeEmail(id, newMail), mfa.ErrNotSent)
	if a := as[*mfa.Account](t)(w.gate.Account(t.Context(), w.at, id)); a.CanEmail || !a.Local {
		t.Error("the page offers it where nothing can be sent")
	}
	w.post.Off()
	w.change(out.Session.User, func(u *mfa.User) { u.Credentials = append(u.Credentials, mfa.Credential{ID: "eye", Kind: "retina"}) })
	// The code comes too late: the password was changed in between.
	as[*mfa.SentTo](t)(w.gate.BeginEmail(t.Context(), w.at, id, newMail, false))
	w.change(out.Session.User, func(u *mfa.User) { u.Generation++ })
	wants(t, w.gate.FinishEmail(t.Context(), w.at, id, w.post.Code(newMail)), mfa.ErrNoSession)
	if w.user(out.Session.User).Email != alicesMail {
		t.Error("it landed")
	}
}

// AC-165: for that time it signs nobody in by code either. Whoever sat at the open session
// would need no password any more, from any place.
func TestGate_AC165_SignsNobodyIn(t *testing.T) {
	w, _, out := addressed(t)
	ctx := t.Context()
	before := as[*mfa.Waiting](t)(w.gate.SendSignInCode(ctx, w.at, alicesMail))
	code := w.post.Code(alicesMail)
	must(t, w.changeEmail(out.Session.ID, newMail))
	signs := func() bool {
		t.Helper()
		n := len(w.post.To(newMail))
		wait := as[*mfa.Waiting](t)(w.gate.SendSignInCode(ctx, w.at, newMail))
		if len(w.post.To(newMail)) == n {
			return false
		}
		_, _, err := w.gate.FinishWaiting(ctx, w.at, wait.ID, w.post.Code(newMail))
		return err == nil
	}
	if signs() {
		t.Error("AC-165: the new address signs in at once")
	}
	if _, _, err := w.gate.FinishWaiting(ctx, w.at, before.ID, code); !errors.Is(err, mfa.ErrRejected) {
		t.Errorf("AC-164: a code that went to the old one: %v", err)
	}
	w.wait(mfa.RecoveryWait)
	if !signs() {
		t.Error("it does not sign in a day later")
	}
}

// AC-165: a code that was asked for before the address went away and came back is worth
// nothing within that time.
func TestGate_AC165_BackAgain(t *testing.T) {
	w, _, out := addressed(t)
	ctx := t.Context()
	before := as[*mfa.Waiting](t)(w.gate.SendSignInCode(ctx, w.at, alicesMail))
	code := w.post.Code(alicesMail)
	w.change(out.Session.User, func(u *mfa.User) { u.EmailChanged = w.clock() })
	if _, _, err := w.gate.FinishWaiting(ctx, w.at, before.ID, code); !errors.Is(err, mfa.ErrRejected) {
		t.Errorf("%v", err)
	}
}

// AC-165: nor does the policy make the new address a factor within that time.
func TestGate_AC165_NoFactorByItself(t *testing.T) {
	w := newWorld(t)
	w.policy.Factors |= mfa.KindsOf(mfa.Email)
	w.policy.Optional, w.policy.Prompt, w.policy.AutoEnroll = true, mfa.PromptNever, true
	out := w.invited("alice")
	must(t, w.changeEmail(out.Session.ID, newMail))
	as[*mfa.Outcome](t)(w.signIn("alice"))
	if n := len(w.user(out.Session.User).Credentials); n != 0 {
		t.Errorf("AC-165: %d factors", n)
	}
	w.wait(mfa.RecoveryWait)
	as[*mfa.Outcome](t)(w.signIn("alice"))
	if n := len(w.user(out.Session.User).Credentials); n != 1 {
		t.Errorf("%d factors a day later", n)
	}
}

// AC-165 of numbers: one that becomes a factor is the account's, where that has none.
func TestGate_AC165_ANumber(t *testing.T) {
	const number = "+4915112345678"
	w := newWorld(t)
	w.policy.Factors |= mfa.KindsOf(mfa.SMS)
	_, _, out := w.alice()
	w.addAddress(out.Session.ID, mfa.SMS, number)
	if u := w.user(out.Session.User); u.Phone != number || !u.PhoneVerified {
		t.Fatalf("%q %t", u.Phone, u.PhoneVerified)
	}
	for _, day := range []int{0, 1} {
		n := len(w.post.To(number))
		as[*mfa.Waiting](t)(w.gate.SendSignInCode(t.Context(), w.at, number))
		if signs := len(w.post.To(number)) > n; signs != (day == 1) {
			t.Errorf("day %d: signs in %t", day, signs)
		}
		w.wait(mfa.RecoveryWait)
	}
}
