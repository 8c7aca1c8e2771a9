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

// AC-097: a stranger guesses at alice's password from everywhere, until it is refused
// for good. Alice's own browser has tries of its own, for both steps; a new browser
// of hers waits, and her second factor was never touched.
func TestGate_AC097_StrangerDoesNotStopTheOwner(t *testing.T) {
	w, ctx := newWorld(t), t.Context()
	p, _, _ := w.alice()
	in := as[*mfa.Outcome](t)(w.signIn("alice"))
	in = as[*mfa.Outcome](t)(w.gate.VerifyTOTP(ctx, w.at, in.Session.ID, p.code(w.clock())))
	if in.Device == "" {
		t.Fatal("a full sign-in leaves no mark")
	}
	home := *w.at
	home.Devices = in.Device

	refused := 0
	for i := 0; refused < 20; i++ {
		_, err := w.gate.SignIn(ctx, w.elsewhere(fmt.Sprint("bot", i)), "local", "alice", "wrong")
		var throttled *mfa.ThrottledError
		if errors.As(err, &throttled) {
			refused++
			w.wait(throttled.RetryAfter)
		}
	}
	// … and wears out the network that both share.
	for i := range 40 {
		_, _ = w.gate.SignIn(ctx, w.at, "local", fmt.Sprint("nobody", i), "wrong")
	}
	if _, err := w.signIn("alice"); !errors.Is(err, mfa.ErrRejected) {
		t.Fatalf("a browser that nobody knows: %v", err)
	}
	in, err := w.gate.SignIn(ctx, &home, "local", "alice", goodPassword)
	if err != nil {
		t.Fatalf("her own browser: %v", err)
	}
	st := as[*mfa.State](t)(w.gate.State(ctx, &home, in.Session.ID))
	if st.Preferred != mfa.TOTP {
		t.Errorf("the second step offers %q", st.Preferred)
	}
	in = as[*mfa.Outcome](t)(w.gate.VerifyTOTP(ctx, &home, in.Session.ID, p.code(w.clock())))
	if in.Device != "" {
		t.Error("a browser that is known is marked anew")
	}
}

// The mark proves nothing: whoever stole the browser has ten tries a day, and after
// them counts like everybody.
func TestGate_AC097_KnownDeviceHasTenTries(t *testing.T) {
	w, ctx := newWorld(t), t.Context()
	p, _, _ := w.alice()
	in := as[*mfa.Outcome](t)(w.signIn("alice"))
	in = as[*mfa.Outcome](t)(w.gate.VerifyTOTP(ctx, w.at, in.Session.ID, p.code(w.clock())))
	stolen := *w.at
	stolen.Devices = in.Device
	compared := 0
	for range 40 {
		_, err := w.gate.SignIn(ctx, &stolen, "local", "alice", "wrong")
		var throttled *mfa.ThrottledError
		if !errors.As(err, &throttled) {
			compared++
		}
	}
	// Ten of its own, and then the five of everybody.
	if compared != 15 {
		t.Errorf("%d guesses were compared, want 15", compared)
	}
	w.wait(24 * time.Hour)
	as[*mfa.Outcome](t)(w.gate.SignIn(ctx, &stolen, "local", "alice", goodPassword))
}

// A mark is for one user, and nothing that somebody else made is one.
func TestGate_Devices(t *testing.T) {
	w, ctx := newWorld(t), t.Context()
	p, _, _ := w.alice()
	in := as[*mfa.Outcome](t)(w.signIn("alice"))
	in = as[*mfa.Outcome](t)(w.gate.VerifyTOTP(ctx, w.at, in.Session.ID, p.code(w.clock())))
	marks := in.Device
	at := *w.at
	// Other people of the same browser: each has a mark, the oldest goes.
	for i := range 6 {
		at.Devices = marks
		name := fmt.Sprint("user", i)
		token := as[string](t)(mfatest.NewDesk(w.gate).Invite(ctx, mfa.InviteInput{Name: name}))
		out := as[*mfa.Outcome](t)(w.gate.AcceptLink(ctx, &at, mfa.LinkInput{Token: token, Password: goodPassword}))
		_, out = w.addPhone(out.Session.ID)
		codes := as[[]string](t)(w.gate.BeginCodes(ctx, &at, out.Session.ID))
		out = as[*mfa.Outcome](t)(w.gate.ConfirmCodes(ctx, &at, out.Session.ID))
		if len(codes) == 0 || out.Device == "" || out.Device == marks {
			t.Fatalf("%s: %q", name, out.Device)
		}
		marks = out.Device
		w.wait(time.Minute)
	}
	if n := strings.Count(marks, "~") + 1; n != 4 {
		t.Errorf("%d marks, want 4", n)
	}
	// user5's mark does not count for user4 in user4's absence, nor bent ones at all.
	for name, devices := range map[string]string{
		"another user's": strings.Split(marks, "~")[0], "bent": strings.Replace(marks, ".", "x.", 4), "nonsense": "~~.~x.y~",
		"too long": marks + strings.Repeat("~x", 300), "empty": "",
	} {
		at.Devices = devices
		compared := 0
		for range 8 {
			_, err := w.gate.SignIn(ctx, &at, "local", "user4", "wrong")
			var throttled *mfa.ThrottledError
			if !errors.As(err, &throttled) {
				compared++
			}
		}
		if compared != 5 {
			t.Errorf("%s: %d guesses were compared, want 5", name, compared)
		}
		must(t, mfatest.NewDesk(w.gate).Unlock(ctx, "user4"))
		w.wait(10 * time.Minute)
	}
}

// Whoever has the password alone collects a mark at each sign-in while no second
// factor is owed, and guesses with all of them once one is: the marks of one user
// count together. A new password ends them.
func TestGate_AC097_CollectedMarks(t *testing.T) {
	w, ctx := newWorld(t), t.Context()
	w.policy.Optional, w.policy.Prompt = true, mfa.PromptNever
	out := w.invited("alice")
	var marks []string
	for range 12 {
		in := as[*mfa.Outcome](t)(w.signIn("alice"))
		marks = append(marks, in.Device)
	}
	_, out = w.addPhone(out.Session.ID)
	w.policy.Optional, w.policy.Prompt = false, mfa.PromptAtRegistration
	guess := func() (compared int) {
		for i, mark := range marks {
			at := *w.at
			at.Devices, at.Network = mark, fmt.Sprint("net", i)
			in, err := w.gate.SignIn(ctx, &at, "local", "alice", goodPassword)
			if err != nil {
				continue
			}
			for range 20 {
				_, err := w.gate.VerifyTOTP(ctx, &at, in.Session.ID, "000000")
				var throttled *mfa.ThrottledError
				if !errors.As(err, &throttled) {
					compared++
				}
			}
		}
		return compared
	}
	if n := guess(); n != 30+5 {
		t.Errorf("%d guesses were compared, want the thirty of all marks and the five of everybody", n)
	}
	w.wait(24 * time.Hour)
	link := as[string](t)(mfatest.NewDesk(w.gate).ResetPassword(ctx, "alice"))
	as[*mfa.Outcome](t)(w.gate.AcceptLink(ctx, w.at, mfa.LinkInput{Token: link, Password: goodPassword}))
	if n := guess(); n > 5 {
		t.Errorf("after a new password %d guesses were compared, want those of everybody", n)
	}
	_ = out
}
