package mfa_test

import (
	"context"
	"errors"
	"fmt"
	"testing"
	"time"

	"github.com/secondgate/secondgate/mfa"
	"github.com/secondgate/secondgate/mfa/mfatest"
)

// A thief who knows a password and one code of alice's app, and whom alice wants to
// put out by "sign out" beside their session, takes a new ID with a script every
// moment: what alice clicks on must be the session and not the ID that it had.
func TestGate_EndSession_RejectsDodging(t *testing.T) {
	w, ctx := newWorld(t), t.Context()
	_, out := w.keyed("alice")
	p, owner := w.addPhone(out.Session.ID)
	w.wait(time.Minute)
	thief := as[*mfa.Outcome](t)(w.signIn("alice"))
	thief = as[*mfa.Outcome](t)(w.gate.VerifyTOTP(ctx, w.at, thief.Session.ID, p.code(w.clock())))
	own := &mfatest.Authenticator{Origin: w.at.Origin}
	thief = w.addKey(thief.Session.ID, own)
	handle := w.otherHandle(owner.Session.ID)
	thief = as[*mfa.Outcome](t)(w.verifyKey(thief.Session.ID, own, nil))
	must(t, w.gate.EndSession(ctx, w.at, owner.Session.ID, handle))
	_, err := w.gate.State(ctx, w.at, thief.Session.ID)
	wants(t, err, mfa.ErrNoSession)
	wants(t, w.gate.EndSession(ctx, w.at, owner.Session.ID, handle), mfa.ErrNotFound)
}

// The same thief wants alice's passkey gone. A code does not remove one (B15), and
// naming a host at which that passkey does not work changes nothing.
func TestGate_B15_RejectsRemovingAPasskeyByCodeElsewhere(t *testing.T) {
	w, ctx := newWorld(t), t.Context()
	_, out := w.keyed("alice")
	p, _ := w.addPhone(out.Session.ID)
	w.wait(time.Hour)
	at := *w.at
	at.Host, at.Scope, at.RPID, at.Origin = "x.test", "x.test", "x.test", "https://x.test"
	for name, at := range map[string]*mfa.Place{"here": w.at, "at another host": &at} {
		thief := as[*mfa.Outcome](t)(w.gate.SignIn(ctx, at, "local", "alice", goodPassword))
		thief = as[*mfa.Outcome](t)(w.gate.VerifyTOTP(ctx, at, thief.Session.ID, p.code(w.clock())))
		u := as[*mfa.User](t)(w.store.User(ctx, thief.Session.User))
		var owed *mfa.ProofError
		if err := w.gate.Remove(ctx, at, thief.Session.ID, u.Credentials[0].ID); u.Credentials[0].Kind != mfa.Passkey || !errors.As(err, &owed) {
			t.Errorf("%s: %v, want a proof by the passkey", name, err)
		}
		w.wait(time.Minute)
	}
}

// Whoever has a password and no second factor begins ceremonies without end, each of
// which is kept until it expires: the disk would be full some day.
func TestGate_BeginVerifyPasskey_RejectsWithoutEnd(t *testing.T) {
	w, ctx := newWorld(t), t.Context()
	key, _ := w.keyed("alice")
	w.wait(10 * time.Minute)
	thief := as[*mfa.Outcome](t)(w.signIn("alice"))
	begun := 0
	var throttled *mfa.ThrottledError
	for range 300 {
		_, err := w.gate.BeginVerifyPasskey(ctx, w.at, thief.Session.ID)
		switch {
		case err == nil:
			begun++
		case !errors.As(err, &throttled):
			t.Fatal(err)
		}
	}
	if begun != 100 {
		t.Errorf("%d of 300 ceremonies were begun, want 100", begun)
	}
	// The owner's own browser has a budget of its own, whatever the thief uses up.
	w.wait(10 * time.Minute)
	in := as[*mfa.Outcome](t)(w.signIn("alice"))
	in = as[*mfa.Outcome](t)(w.verifyKey(in.Session.ID, key, nil))
	home := *w.at
	home.Devices = in.Device
	thief = as[*mfa.Outcome](t)(w.signIn("alice"))
	for range 110 {
		_, _ = w.gate.BeginVerifyPasskey(ctx, w.at, thief.Session.ID)
	}
	in = as[*mfa.Outcome](t)(w.gate.SignIn(ctx, &home, "local", "alice", goodPassword))
	as[*mfa.Ceremony](t)(w.gate.BeginVerifyPasskey(ctx, &home, in.Session.ID))
}

// Answers that no authenticator made are refused for longer and longer, and never
// for good: nobody guesses a signature, and the owner would be out (AC-097).
func TestGate_AC097_GarbageDoesNotLockAPasskey(t *testing.T) {
	w, ctx := newWorld(t), t.Context()
	key, _ := w.keyed("alice")
	refused := 0
	for n := 0; n < 110; {
		in := as[*mfa.Outcome](t)(w.signIn("alice"))
		c, err := w.gate.BeginVerifyPasskey(ctx, w.at, in.Session.ID)
		if err != nil {
			refused++
			w.wait(time.Hour)
			continue
		}
		_, err = w.gate.FinishVerifyPasskey(ctx, w.at, in.Session.ID, c.ID, []byte("{}"))
		var throttled *mfa.ThrottledError
		if errors.As(err, &throttled) {
			refused++
			w.wait(throttled.RetryAfter)
			continue
		}
		n++
	}
	if refused < 50 {
		t.Errorf("AC-089: garbage was refused %d times only", refused)
	}
	w.wait(time.Hour)
	in := as[*mfa.Outcome](t)(w.signIn("alice"))
	as[*mfa.Outcome](t)(w.verifyKey(in.Session.ID, key, nil))
}

// fillUp enters wrong codes until the app is locked, and returns a session that is
// half-done.
func (w *world) fillUp(name string) mfa.SessionID {
	w.t.Helper()
	id := as[*mfa.Outcome](w.t)(w.signIn(name)).Session.ID
	for range 500 {
		_, err := w.gate.VerifyTOTP(w.t.Context(), w.at, id, "000000")
		var throttled *mfa.ThrottledError
		switch {
		case errors.As(err, &throttled) && throttled.Locked:
			w.wait(time.Second)
			return as[*mfa.Outcome](w.t)(w.signIn(name)).Session.ID
		case throttled != nil:
			w.wait(throttled.RetryAfter)
			id = as[*mfa.Outcome](w.t)(w.signIn(name)).Session.ID
		case errors.Is(err, mfa.ErrExpired):
			id = as[*mfa.Outcome](w.t)(w.signIn(name)).Session.ID
		}
	}
	w.t.Fatal("500 wrong codes do not lock")
	return ""
}

// A lock ends when the factor is set up anew (NIST SP 800-63B-4 §3.2.2), and whoever
// is locked is told at the next sign-in.
func TestGate_AC089_SetUpAnewEndsTheLock(t *testing.T) {
	w, ctx := newWorld(t), t.Context()
	_, codes, _ := w.alice()
	id := w.fillUp("alice")
	in := as[*mfa.Outcome](t)(w.gate.VerifyBackupCode(ctx, w.at, id, codes[0]))
	if !in.Notices {
		t.Error("the lock is not told")
	}
	list := as[[]mfa.Notice](t)(w.gate.Notices(ctx, w.at, in.Session.ID))
	if n := list[len(list)-1]; n.Kind != mfa.NoticeLocked || n.Factor != mfa.TOTP {
		t.Errorf("the newest notice is %+v", n)
	}
	old := as[*mfa.User](t)(w.store.User(ctx, in.Session.User)).Credentials[0].ID
	p, in := w.addPhone(in.Session.ID)
	must(t, w.gate.Remove(ctx, w.at, in.Session.ID, old))
	w.wait(time.Minute)
	in = as[*mfa.Outcome](t)(w.signIn("alice"))
	as[*mfa.Outcome](t)(w.gate.VerifyTOTP(ctx, w.at, in.Session.ID, p.code(w.clock())))
}

// then does something after the next change of a user.
type then struct {
	mfa.Store
	do func()
}

func (s *then) UpdateUser(ctx context.Context, id mfa.UserID, change func(*mfa.User) error) error {
	err := s.Store.UpdateUser(ctx, id, change)
	if do := s.do; do != nil && err == nil {
		s.do = nil
		do()
	}
	return err
}

// A stolen reset link is used. In the moment between its write and the session that
// it makes, an administrator shuts the account and opens it again for the owner: the
// thief's session belongs to the time before.
func TestGate_AcceptLink_RejectsALaterGeneration(t *testing.T) {
	store := &then{Store: newStore(t)}
	w, ctx := newWorldOn(t, store), t.Context()
	w.policy.Optional, w.policy.Prompt = true, mfa.PromptNever
	w.invited("alice")
	stolen := as[string](t)(mfatest.NewDesk(w.gate).ResetPassword(ctx, "alice"))
	store.do = func() {
		must(t, mfatest.NewDesk(w.gate).SetDisabled(ctx, "alice", true))
		must(t, mfatest.NewDesk(w.gate).SetDisabled(ctx, "alice", false))
		link := as[string](t)(mfatest.NewDesk(w.gate).ResetPassword(ctx, "alice"))
		as[*mfa.Outcome](t)(w.gate.AcceptLink(ctx, w.at, mfa.LinkInput{Token: link, Password: "another good long password"}))
	}
	thief, err := w.gate.AcceptLink(ctx, w.at, mfa.LinkInput{Token: stolen, Password: "the thief's own long password"})
	if err != nil {
		return // refused altogether is as good
	}
	_, err = w.gate.State(ctx, w.at, thief.Session.ID)
	wants(t, err, mfa.ErrNoSession)
}

// AC-091: a customer's IPv6 line is a /56 or a /48, not a /64.
func TestGate_AC091_WiderNetworks(t *testing.T) {
	w, ctx := newWorld(t), t.Context()
	tries := func(network func(i int) string) (compared int) {
		for i := range 400 {
			_, err := w.gate.SignIn(ctx, w.elsewhere(network(i)), "local", fmt.Sprint("nobody", network(i), i), "wrong")
			var throttled *mfa.ThrottledError
			if !errors.As(err, &throttled) {
				compared++
			}
		}
		return compared
	}
	if n := tries(func(i int) string { return fmt.Sprintf("2001:db8:1:%x::/64", i%256) }); n != 60 {
		t.Errorf("%d tries of one /56 in a minute were compared, want 60", n)
	}
	if n := tries(func(i int) string { return fmt.Sprintf("2001:db8:2:%x::/64", i%256*256) }); n != 120 {
		t.Errorf("%d tries of one /48 in a minute were compared, want 120", n)
	}
}
