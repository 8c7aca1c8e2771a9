package mfa_test

import (
	"errors"
	"fmt"
	"testing"
	"time"

	"github.com/secondgate/secondgate/mfa"
	"github.com/secondgate/secondgate/mfa/mfatest"
)

// key is somebody's phone or security key at the world's place.
func (w *world) key() *mfatest.Authenticator {
	return &mfatest.Authenticator{Origin: w.at.Origin, Counts: true}
}

func (w *world) addKey(id mfa.SessionID, key *mfatest.Authenticator) *mfa.Outcome {
	w.t.Helper()
	out, err := w.tryKey(id, key, nil)
	must(w.t, err)
	return out
}

func (w *world) tryKey(id mfa.SessionID, key *mfatest.Authenticator, bend func(*mfatest.Bend)) (*mfa.Outcome, error) {
	w.t.Helper()
	c, err := w.gate.BeginPasskey(w.t.Context(), w.at, id)
	if err != nil {
		return nil, err
	}
	answer := as[[]byte](w.t)(key.Enroll(c.Options, bend))
	return w.gate.FinishPasskey(w.t.Context(), w.at, id, c.ID, answer, "")
}

func (w *world) verifyKey(id mfa.SessionID, key *mfatest.Authenticator, bend func(*mfatest.Bend)) (*mfa.Outcome, error) {
	w.t.Helper()
	c, err := w.gate.BeginVerifyPasskey(w.t.Context(), w.at, id)
	if err != nil {
		return nil, err
	}
	answer := as[[]byte](w.t)(key.Verify(c.Options, bend))
	return w.gate.FinishVerifyPasskey(w.t.Context(), w.at, id, c.ID, answer)
}

// keyed is a user with a passkey and backup codes, signed in.
func (w *world) keyed(name string) (*mfatest.Authenticator, *mfa.Outcome) {
	w.t.Helper()
	key := w.key()
	out := w.addKey(w.invited(name).Session.ID, key)
	_, out = w.addCodes(out.Session.ID)
	w.wantsNext(out, nil, mfa.Allow, "")
	return key, out
}

func TestGate_Passkey(t *testing.T) {
	w, ctx := newWorld(t), t.Context()
	key, out := w.keyed("alice")
	a := as[*mfa.Account](t)(w.gate.Account(ctx, w.at, out.Session.ID))
	if a.Credentials[0].Name != "Firefox on Linux" || a.Credentials[0].RPID != "app.example.com" {
		t.Errorf("%+v", a.Credentials[0])
	}
	if !a.Credentials[0].LastUsed.IsZero() {
		t.Error("B13: set-up counts as last used")
	}
	in := as[*mfa.Outcome](t)(w.signIn("alice"))
	st := as[*mfa.State](t)(w.gate.State(ctx, w.at, in.Session.ID))
	if st.Preferred != mfa.Passkey {
		t.Errorf("B20: the page that opens is %q", st.Preferred)
	}
	done, err := w.verifyKey(in.Session.ID, key, nil)
	w.wantsNext(done, err, mfa.Allow, "")
	if p := done.Session.Proofs[0]; !p.PhishingResistant || !p.UserVerified {
		t.Errorf("%+v", p)
	}
}

func TestGate_AC137_AnswerIsTakenOnce(t *testing.T) {
	w, ctx := newWorld(t), t.Context()
	key := w.key()
	key.Counts = false // so that the counter does not do the challenge's work
	w.addKey(w.invited("alice").Session.ID, key)
	in := as[*mfa.Outcome](t)(w.signIn("alice"))
	c := as[*mfa.Ceremony](t)(w.gate.BeginVerifyPasskey(ctx, w.at, in.Session.ID))
	answer := as[[]byte](t)(key.Verify(c.Options, nil))
	if n := at64(func(i int) error {
		_, err := w.gate.FinishVerifyPasskey(ctx, w.elsewhere(fmt.Sprint(i)), in.Session.ID, c.ID, answer)
		return err
	}); n != 1 {
		t.Errorf("one answer was accepted %d times", n)
	}
}

func TestGate_AC139_ChallengeGames(t *testing.T) {
	w, ctx := newWorld(t), t.Context()
	key, _ := w.keyed("alice")
	in := as[*mfa.Outcome](t)(w.signIn("alice"))
	other := as[*mfa.Outcome](t)(w.signIn("alice"))

	c := as[*mfa.Ceremony](t)(w.gate.BeginVerifyPasskey(ctx, w.at, other.Session.ID))
	answer := as[[]byte](t)(key.Verify(c.Options, nil))
	if _, err := w.gate.FinishVerifyPasskey(ctx, w.at, in.Session.ID, c.ID, answer); !errors.Is(err, mfa.ErrRejected) {
		t.Errorf("another session's challenge: %v", err)
	}
	_, err := w.gate.FinishVerifyPasskey(ctx, w.at, in.Session.ID, "", answer)
	wants(t, err, mfa.ErrExpired)

	c = as[*mfa.Ceremony](t)(w.gate.BeginVerifyPasskey(ctx, w.at, in.Session.ID))
	answer = as[[]byte](t)(key.Verify(c.Options, nil))
	w.wait(mfa.ChallengeLife)
	_, err = w.gate.FinishVerifyPasskey(ctx, w.at, in.Session.ID, c.ID, answer)
	wants(t, err, mfa.ErrExpired)

	// A challenge for setting up does not verify, and the reverse.
	in = as[*mfa.Outcome](t)(w.signIn("alice"))
	done := as[*mfa.Outcome](t)(w.verifyKey(in.Session.ID, key, nil))
	fresh := w.key()
	c = as[*mfa.Ceremony](t)(w.gate.BeginPasskey(ctx, w.at, done.Session.ID))
	answer = as[[]byte](t)(fresh.Enroll(c.Options, nil))
	if _, err := w.gate.FinishVerifyPasskey(ctx, w.at, done.Session.ID, c.ID, answer); !errors.Is(err, mfa.ErrRejected) {
		t.Errorf("a challenge of another purpose: %v", err)
	}
	c = as[*mfa.Ceremony](t)(w.gate.BeginVerifyPasskey(ctx, w.at, done.Session.ID))
	if _, err := w.gate.FinishPasskey(ctx, w.at, done.Session.ID, c.ID, answer, ""); !errors.Is(err, mfa.ErrRejected) {
		t.Errorf("a challenge of another purpose: %v", err)
	}
}

func TestGate_AC136_AC143_AC144_BentVerification(t *testing.T) {
	w := newWorld(t)
	key, _ := w.keyed("alice")
	in := as[*mfa.Outcome](t)(w.signIn("alice"))
	for name, bend := range map[string]func(*mfatest.Bend){
		"AC-136 another origin":    func(b *mfatest.Bend) { b.Origin = "https://evil.test" },
		"AC-136 plain http":        func(b *mfatest.Bend) { b.Origin = "http://app.example.com" },
		"AC-136 another port":      func(b *mfatest.Bend) { b.Origin = "https://app.example.com:8443" },
		"AC-143 user not verified": func(b *mfatest.Bend) { b.Flags &^= mfatest.FlagUV },
		"AC-144 user not present":  func(b *mfatest.Bend) { b.Flags &^= mfatest.FlagUP },
		"AC-145 type of set-up":    func(b *mfatest.Bend) { b.Type = "webauthn.create" },
		"AC-149 BS without BE":     func(b *mfatest.Bend) { b.Flags = b.Flags&^mfatest.FlagBE | mfatest.FlagBS },
		"cross-origin":             func(b *mfatest.Bend) { b.CrossOrigin = true },
		"a signature that is not":  func(b *mfatest.Bend) { b.Signature = func(s []byte) []byte { s[len(s)-1] ^= 1; return s } },
	} {
		must(t, mfatest.NewDesk(w.gate).Unlock(t.Context(), "alice"))
		w.wait(time.Minute)
		if _, err := w.verifyKey(in.Session.ID, key, bend); !errors.Is(err, mfa.ErrRejected) {
			t.Errorf("%s: %v", name, err)
		}
	}
	must(t, mfatest.NewDesk(w.gate).Unlock(t.Context(), "alice"))
	in = as[*mfa.Outcome](t)(w.signIn("alice"))
	_, err := w.verifyKey(in.Session.ID, key, nil)
	must(t, err)
}

func TestGate_AC140_AnotherUsersPasskey(t *testing.T) {
	w, ctx := newWorld(t), t.Context()
	aliceKey, _ := w.keyed("alice")
	daveKey, dave := w.keyed("dave")
	in := as[*mfa.Outcome](t)(w.signIn("alice"))
	c := as[*mfa.Ceremony](t)(w.gate.BeginVerifyPasskey(ctx, w.at, in.Session.ID))
	answer := as[[]byte](t)(aliceKey.Verify(c.Options, func(b *mfatest.Bend) {
		b.Key = daveKey.Keys()[0]
		b.CredentialID = b.Key.ID
	}))
	if _, err := w.gate.FinishVerifyPasskey(ctx, w.at, in.Session.ID, c.ID, answer); !errors.Is(err, mfa.ErrRejected) {
		t.Errorf("dave's passkey finished alice's sign-in: %v", err)
	}
	// AC-141: dave's credential ID under another user.
	carol := w.invited("carol")
	id := daveKey.Keys()[0].ID
	if _, err := w.tryKey(carol.Session.ID, w.key(), func(b *mfatest.Bend) { b.CredentialID = id }); !errors.Is(err, mfa.ErrRejected) {
		t.Errorf("AC-141: a credential ID was taken twice: %v", err)
	}
	a := as[*mfa.Account](t)(w.gate.Account(ctx, w.at, dave.Session.ID))
	if len(a.Credentials) != 2 {
		t.Errorf("AC-141: dave has %d credentials now", len(a.Credentials))
	}
}

func TestGate_AC142_CounterGoesBack(t *testing.T) {
	w := newWorld(t)
	key, _ := w.keyed("alice")
	in := as[*mfa.Outcome](t)(w.signIn("alice"))
	_, err := w.verifyKey(in.Session.ID, key, func(b *mfatest.Bend) { b.Counter = 1000 })
	must(t, err)
	in = as[*mfa.Outcome](t)(w.signIn("alice"))
	_, err = w.verifyKey(in.Session.ID, key, func(b *mfatest.Bend) { b.Counter = 999 })
	wants(t, err, mfa.ErrCloned)
	st := as[*mfa.State](t)(w.gate.State(t.Context(), w.at, in.Session.ID))
	if st.Decision.Action != mfa.Verify {
		t.Errorf("after a copy was seen: %s", st.Decision.Action)
	}
}

func TestGate_AC152_RemovedWhileUnderWay(t *testing.T) {
	w, ctx := newWorld(t), t.Context()
	key, _ := w.keyed("alice")
	in := as[*mfa.Outcome](t)(w.signIn("alice"))
	c := as[*mfa.Ceremony](t)(w.gate.BeginVerifyPasskey(ctx, w.at, in.Session.ID))
	answer := as[[]byte](t)(key.Verify(c.Options, nil))
	must(t, mfatest.NewDesk(w.gate).RemoveFactors(ctx, "alice", mfa.Passkey))
	if _, err := w.gate.FinishVerifyPasskey(ctx, w.at, in.Session.ID, c.ID, answer); err == nil {
		t.Error("a removed passkey finished a sign-in")
	}
}

func TestGate_B20_PasskeyOfAnotherHost(t *testing.T) {
	w, ctx := newWorld(t), t.Context()
	w.keyed("alice")
	other := *w.at
	other.Origin, other.Host, other.Scope, other.RPID = "https://two.example.com", "two.example.com", "two.example.com", "two.example.com"
	in := as[*mfa.Outcome](t)(w.gate.SignIn(ctx, &other, "local", "alice", goodPassword))
	st := as[*mfa.State](t)(w.gate.State(ctx, &other, in.Session.ID))
	if m := st.Methods[0]; m.Kind != mfa.Passkey || m.Available || m.Why != mfa.ReasonOtherHost || m.Hint != "app.example.com" {
		t.Errorf("%+v", m)
	}
	if st.Preferred != mfa.BackupCode {
		t.Errorf("the page that opens is %q", st.Preferred)
	}
	if _, err := w.gate.BeginVerifyPasskey(ctx, &other, in.Session.ID); err == nil {
		t.Error("a passkey of another host is offered")
	}
}

func TestGate_B15_CodeDoesNotRemovePasskey(t *testing.T) {
	w, ctx := newWorld(t), t.Context()
	key, out := w.keyed("alice")
	codes, out := w.addCodes(out.Session.ID)
	w.wait(time.Hour / 2)
	in := as[*mfa.Outcome](t)(w.signIn("alice"))
	in = as[*mfa.Outcome](t)(w.gate.VerifyBackupCode(ctx, w.at, in.Session.ID, codes[0]))
	_, in = w.addPhone(in.Session.ID) // a code adds …
	a := as[*mfa.Account](t)(w.gate.Account(ctx, w.at, in.Session.ID))
	var passkey mfa.CredentialID
	for _, c := range a.Credentials {
		if c.Kind == mfa.Passkey {
			passkey = c.ID
		}
	}
	var owed *mfa.ProofError
	if err := w.gate.Remove(ctx, w.at, in.Session.ID, passkey); !errors.As(err, &owed) || owed.Kinds != mfa.KindsOf(mfa.Passkey) {
		t.Errorf("… and removed a passkey that works here: %v", err)
	}
	in = as[*mfa.Outcome](t)(w.verifyKey(in.Session.ID, key, nil))
	must(t, w.gate.Remove(ctx, w.at, in.Session.ID, passkey))
	_ = out
}

func TestGate_B30_StepUp(t *testing.T) {
	w, ctx := newWorld(t), t.Context()
	p, _, out := w.alice()
	strict := *w.at
	strict.Asked = mfa.Requirement{PhishingResistant: true}
	st := as[*mfa.State](t)(w.gate.State(ctx, &strict, out.Session.ID))
	if st.Decision.Action != mfa.SetUp || st.Decision.Reason != mfa.ReasonNeedsFactor || len(st.Choices) != 1 {
		t.Fatalf("%+v", st.Decision)
	}
	w.wait(mfa.ProofLife)
	st = as[*mfa.State](t)(w.gate.State(ctx, &strict, out.Session.ID))
	if !st.ProofOwed {
		t.Fatal("set-up for a route does not ask for a new proof first")
	}
	out = as[*mfa.Outcome](t)(w.gate.VerifyTOTP(ctx, &strict, out.Session.ID, p.code(w.clock())))
	out = w.addKey(out.Session.ID, w.key())
	st = as[*mfa.State](t)(w.gate.State(ctx, &strict, out.Session.ID))
	if st.Decision.Action != mfa.Allow {
		t.Errorf("after setting a passkey up: %+v", st.Decision)
	}
}
