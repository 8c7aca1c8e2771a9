package mfa_test

import (
	"context"
	"errors"
	"fmt"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/secondgate/secondgate/mfa"
	"github.com/secondgate/secondgate/mfa/mfatest"
)

// alive reports whether the session still counts.
func (a *abroad) alive(id mfa.SessionID) bool {
	a.t.Helper()
	_, err := a.gate.State(a.t.Context(), a.at, id)
	if err != nil && !errors.Is(err, mfa.ErrNoSession) {
		a.t.Fatal(err)
	}
	return err == nil
}

// AC-032: the source has disabled somebody, or ended their session. On its next
// confirmation every session of theirs ends, and nothing else is marked.
func TestGate_AC032_DisabledAtTheSource(t *testing.T) {
	a := newAbroad(t)
	first, second := a.must(a.comes("S-1")), a.must(a.comes("S-1"))
	a.provider.Put(mfa.Identity{Subject: "S-3", Name: "kim"})
	other := a.must(a.comes("S-3"))
	a.provider.Disable("S-1", true)
	a.wait(4 * time.Minute)
	a.confirmed(first.Session.ID)
	if a.provider.Asked() != 0 || !a.alive(first.Session.ID) {
		t.Error("asked before it was due")
	}
	a.wait(time.Minute)
	a.confirmed(first.Session.ID)
	if a.alive(first.Session.ID) || a.alive(second.Session.ID) || !a.alive(other.Session.ID) {
		t.Error("the wrong sessions ended")
	}
	u := a.user("acme", "S-1")
	if u.Disabled || u.Generation != 0 {
		t.Errorf("the record was marked: %+v", u)
	}
	if e := a.events.Named(mfa.EventEndSessions); len(e) != 1 || !e[0].OK || e[0].Reason != "disabled" || e[0].User != u.ID || e[0].Detail != "disabled at acme" {
		t.Errorf("the events are %+v", e)
	}
	a.provider.Disable("S-1", false)
	a.must(a.comes("S-1"))
}

// AC-032: the source is away. Sessions go on for twice the interval at most, and end then,
// half-done ones too.
func TestGate_AC032_OutageOfTheSource(t *testing.T) {
	a := newAbroad(t)
	out := a.must(a.comes("S-1"))
	until := out.Session.Source.Until
	a.provider.Down(true)
	a.wait(5 * time.Minute)
	a.confirmed(out.Session.ID)
	if s := as[*mfa.Session](t)(a.store.Session(t.Context(), out.Session.ID)); !s.Source.Until.Equal(until) {
		t.Errorf("an outage moved the end to %s", s.Source.Until)
	}
	if a.recorded(mfa.EventSource, false) != 1 {
		t.Error("nobody is told")
	}
	// It is not asked again by each request that comes.
	for range 20 {
		a.confirmed(out.Session.ID)
	}
	if n := a.provider.Asked(); n != 1 {
		t.Errorf("the source was asked %d times in a moment", n)
	}
	a.wait(30 * time.Second)
	a.confirmed(out.Session.ID)
	if n := a.provider.Asked(); n != 2 {
		t.Errorf("the source was asked %d times in half a minute", n)
	}
	a.wait(4*time.Minute + 29*time.Second)
	if !a.alive(out.Session.ID) {
		t.Error("the session ended before its time")
	}
	a.wait(time.Second)
	if a.alive(out.Session.ID) {
		t.Error("the session outlives what its source allows")
	}
	if _, err := a.gate.Account(t.Context(), a.at, out.Session.ID); !errors.Is(err, mfa.ErrNoSession) {
		t.Errorf("the account page: %v", err)
	}
	a.provider.Down(false)
	a.confirmed(out.Session.ID)
	if a.alive(out.Session.ID) {
		t.Error("a session that was over was confirmed")
	}
}

// A confirmation moves the end, and what the source gives to be kept is used once, though
// there are several sessions of one sign-in, and though one of them gets another ID.
func TestGate_Confirmed(t *testing.T) {
	a := newAbroad(t)
	out := a.must(a.comes("S-1"))
	// The portal has handed the sign-in to another host.
	sibling := *out.Session
	sibling.ID, sibling.Line, sibling.Family = mfa.NewSessionID(), "another", out.Session.Line
	must(t, a.store.CreateSession(t.Context(), &sibling))
	for range 5 {
		a.wait(5 * time.Minute)
		a.gate.ConfirmSession(out.Session.ID)
		a.gate.ConfirmSession(sibling.ID)
		a.gate.AwaitConfirmations()
		for _, id := range []mfa.SessionID{out.Session.ID, sibling.ID} {
			s := as[*mfa.Session](t)(a.store.Session(t.Context(), id))
			if !s.Source.Due.Equal(a.clock().Add(5*time.Minute)) || !s.Source.Until.Equal(a.clock().Add(10*time.Minute)) {
				t.Fatalf("due %s, until %s, now %s", s.Source.Due, s.Source.Until, a.clock())
			}
		}
	}
	if n := a.provider.Asked(); n != 5 {
		t.Errorf("asked %d times, want once each five minutes for both", n)
	}
	// A step of a flow gives the session another ID, and keeps what is kept.
	a.wait(5 * time.Minute)
	ended := a.must(a.gate.EndOtherSessions(t.Context(), a.at, out.Session.ID))
	a.confirmed(ended.Session.ID)
	a.wait(5 * time.Minute)
	a.confirmed(ended.Session.ID)
	if n := a.provider.Reused(); n != 0 || !a.alive(ended.Session.ID) {
		t.Errorf("what was kept was used again %d times", n)
	}
}

// What cannot be kept does not let a session go on: it ends as it would without an answer.
func TestGate_ConfirmedWithANameThatIsTaken(t *testing.T) {
	a := newAbroad(t)
	a.invited("alice")
	out := a.must(a.comes("S-1"))
	for _, name := range []string{"alice", "{env.X}"} {
		a.provider.Put(mfa.Identity{Subject: "S-1", Name: name})
		a.wait(4 * time.Minute)
		a.confirmed(out.Session.ID)
	}
	a.wait(2 * time.Minute)
	if a.alive(out.Session.ID) || a.user("acme", "S-1").Name != "erin" {
		t.Error("the session goes on under a name that is another's")
	}
}

// A passkey of a user of another source signs in only where the source says that they
// stand (AC-179).
func TestGate_AC179_PasskeysAskTheSource(t *testing.T) {
	a := newAbroad(t)
	ctx := t.Context()
	a.policy.Factors = mfa.KindsOf(mfa.Passkey, mfa.TOTP)
	key := a.key()
	in := func() (*mfa.Outcome, error) {
		c := as[*mfa.Ceremony](t)(a.gate.BeginPasskeySignIn(ctx, a.at))
		return a.gate.FinishPasskeySignIn(ctx, a.at, c.ID, as[[]byte](t)(key.Verify(c.Options, nil)))
	}
	finn := a.must(a.gate.SignIn(ctx, a.at, "corp", "finn", goodPassword))
	a.addKey(finn.Session.ID, key)
	a.directory.Put(mfa.Identity{Subject: "uuid-7", Name: "finn", Groups: []string{"new"}})
	out := a.wantsNext(a.must(in()), nil, mfa.Allow, "")
	if s := out.Session; s.Source.Until.IsZero() || len(a.user("corp", "uuid-7").Groups) != 1 {
		t.Errorf("the session is %+v", s.Source)
	}
	a.directory.Disable("uuid-7", true)
	_, err := in()
	wants(t, err, mfa.ErrRejected)
	a.directory.Disable("uuid-7", false)
	a.directory.Down(true)
	_, err = in()
	wants(t, err, mfa.ErrRejected)
}

// AC-093, AC-181: however somebody is called, it is one account, and wrong passwords are
// counted for it alone. Before there is a record, too.
func TestGate_AC093_AC181_AliasesCountAsOne(t *testing.T) {
	for _, known := range []bool{true, false} {
		a := newAbroad(t)
		ctx := t.Context()
		if known {
			a.must(a.gate.SignIn(ctx, a.at, "corp", "finn", goodPassword))
		}
		names := []string{"finn", "FINN", " finn ", "finn@corp.example", "FINN@CORP.EXAMPLE", `CORP\finn`}
		tried := a.directory.Tried()
		for i := range 30 {
			_, err := a.gate.SignIn(ctx, a.elsewhere(fmt.Sprintf("198.51.%d.0/24", i)), "corp", names[i%len(names)], "wrong")
			wants(t, err, mfa.ErrRejected)
		}
		if n := a.directory.Tried() - tried; n != 5 {
			t.Errorf("known %v: %d wrong passwords were compared, want 5", known, n)
		}
		_, err := a.gate.SignIn(ctx, a.at, "corp", "finn", goodPassword)
		wants(t, err, mfa.ErrRejected)
		a.wait(31 * time.Second)
		first := a.must(a.gate.SignIn(ctx, a.at, "corp", "finn@corp.example", goodPassword))
		second := a.must(a.gate.SignIn(ctx, a.at, "corp", `CORP\finn`, goodPassword))
		if first.Session.User != second.Session.User {
			t.Error("AC-181 two names are two users")
		}
	}
}

// Names that nobody has are counted as they are typed, and never locked for ever: somebody
// may come under one tomorrow.
func TestGate_UnknownNamesOfADirectory(t *testing.T) {
	a := newAbroad(t)
	ctx := t.Context()
	for i := range 150 {
		_, _ = a.gate.SignIn(ctx, a.elsewhere(fmt.Sprintf("198.51.%d.0/24", i)), "corp", "newcomer", "wrong")
		a.wait(time.Hour)
	}
	if n := a.directory.Tried(); n != 150 {
		t.Errorf("%d were compared", n)
	}
	a.directory.Add(mfa.Identity{Subject: "uuid-9", Name: "newcomer"}, goodPassword, "newcomer")
	a.must(a.gate.SignIn(ctx, a.at, "corp", "newcomer", goodPassword))
}

// The directory is away: that is no rejection, and no try of anybody.
func TestGate_DirectoryIsAway(t *testing.T) {
	a := newAbroad(t)
	ctx := t.Context()
	a.directory.Down(true)
	for range 20 {
		_, err := a.gate.SignIn(ctx, a.at, "corp", "finn", "wrong")
		if !errors.Is(err, mfatest.ErrDown) || errors.Is(err, mfa.ErrRejected) {
			t.Fatal(err)
		}
	}
	a.directory.Down(false)
	a.must(a.gate.SignIn(ctx, a.at, "corp", "finn", goodPassword))
}

// A sign-out ends all that follows from the sign-in, and goes on at the source.
func TestGate_SignOutOfAFamily(t *testing.T) {
	a := newAbroad(t)
	ctx := t.Context()
	portal, stranger := a.must(a.comes("S-1")), a.must(a.comes("S-1"))
	host := *portal.Session
	host.ID, host.Line, host.Family, host.Scope = mfa.NewSessionID(), "of a host", portal.Session.Line, "other.example.com"
	half := host
	half.ID, half.Complete, half.Line = mfa.NewSessionID(), false, "half-done"
	must(t, a.store.CreateSession(ctx, &host))
	must(t, a.store.CreateSession(ctx, &half))
	elsewhere := *a.at
	elsewhere.Scope = host.Scope
	there := as[string](t)(a.gate.SignOut(ctx, &elsewhere, host.ID, "https://app.example.com/.mfa/sign-out"))
	if u, err := url.Parse(there); err != nil || u.Host != "acme.test" || !strings.HasPrefix(u.Query().Get("hint"), "kept") || u.Query().Get("back") == "" {
		t.Errorf("there is %q", there)
	}
	for _, s := range []*mfa.Session{portal.Session, &host, &half} {
		if _, err := a.store.Session(ctx, s.ID); !errors.Is(err, mfa.ErrNotFound) {
			t.Errorf("%s goes on: %v", s.Line, err)
		}
	}
	if !a.alive(stranger.Session.ID) {
		t.Error("another sign-in ended, too")
	}
	if again, err := a.gate.SignOut(ctx, &elsewhere, host.ID, "x"); err != nil || again != "" {
		t.Errorf("asked again: %q, %v", again, err)
	}
	alice := a.invited("alice")
	if there := as[string](t)(a.gate.SignOut(ctx, a.at, alice.Session.ID, "x")); there != "" {
		t.Errorf("a local account signs out at %q", there)
	}
}

// Back-channel sign-out, AC-032: by subject, by the source's session with and without a
// subject, each message once.
func TestGate_AC032_SourceSignedOut(t *testing.T) {
	ctx := t.Context()
	for _, test := range []struct {
		name            string
		said            mfa.SignedOut
		first, sibling  bool // go on
		second, another bool
	}{
		{"all of a subject", mfa.SignedOut{Subject: "S-1"}, false, false, false, true},
		{"one session of a subject", mfa.SignedOut{Subject: "S-1", Session: "there-1"}, false, false, true, true},
		{"one session, of whomever", mfa.SignedOut{Session: "there-1"}, false, false, true, true},
		{"the session of another subject", mfa.SignedOut{Subject: "S-3", Session: "there-1"}, true, true, true, true},
		{"a session that is none", mfa.SignedOut{Session: "there-9"}, true, true, true, true},
		{"a subject that is nobody", mfa.SignedOut{Subject: "S-99"}, true, true, true, true},
	} {
		t.Run(test.name, func(t *testing.T) {
			a := newAbroad(t)
			a.policy.Optional = false // they stay half-done
			first := a.must(a.comes("S-1"))
			sibling := *first.Session
			sibling.ID, sibling.Line, sibling.Family, sibling.Source.ID = mfa.NewSessionID(), "sibling", first.Session.Line, ""
			must(t, a.store.CreateSession(ctx, &sibling))
			a.provider.Put(mfa.Identity{Subject: "S-1", Name: "erin", Session: "there-2"})
			second := a.must(a.comes("S-1"))
			a.provider.Put(mfa.Identity{Subject: "S-3", Name: "kim", Session: "there-3"})
			another := a.must(a.comes("S-3"))
			token := a.provider.Say(test.said, a.clock().Add(2*time.Minute))
			must(t, a.gate.SourceSignedOut(ctx, a.at, "acme", token))
			for id, want := range map[mfa.SessionID]bool{first.Session.ID: test.first, sibling.ID: test.sibling, second.Session.ID: test.second, another.Session.ID: test.another} {
				if _, err := a.store.Session(ctx, id); (err == nil) != want {
					t.Errorf("first %v, sibling %v: goes on: %v, want %v", id == first.Session.ID, id == sibling.ID, err == nil, want)
				}
			}
			wants(t, a.gate.SourceSignedOut(ctx, a.at, "acme", token), mfa.ErrRejected)
		})
	}
	a := newAbroad(t)
	wants(t, a.gate.SourceSignedOut(ctx, a.at, "corp", "x"), mfa.ErrNotAllowed)
	wants(t, a.gate.SourceSignedOut(ctx, a.at, "nowhere", "x"), mfa.ErrNotAllowed)
	wants(t, a.gate.SourceSignedOut(ctx, a.at, "acme", "made up"), mfa.ErrRejected)
	if a.recorded(mfa.EventEndSessions, false) != 1 {
		t.Error("no event")
	}
	for range 40 {
		_ = a.gate.SourceSignedOut(ctx, a.at, "acme", "made up")
	}
	var throttled *mfa.ThrottledError
	if err := a.gate.SourceSignedOut(ctx, a.at, "acme", "made up"); !errors.As(err, &throttled) {
		t.Errorf("AC-209 nobody is stopped: %v", err)
	}
}

// The same session at the source, days later: which day began it does not matter.
func TestGate_SourceSignedOutDaysLater(t *testing.T) {
	a := newAbroad(t, func(c *mfa.Config) { c.Absolute = 10 * 24 * time.Hour; c.Sources[1].Confirm = 0 })
	old := a.must(a.comes("S-1"))
	a.wait(8 * 24 * time.Hour)
	late := a.must(a.comes("S-1"))
	must(t, a.gate.SourceSignedOut(t.Context(), a.at, "acme", a.provider.Say(mfa.SignedOut{Session: "there-1"}, a.clock().Add(time.Minute))))
	if a.alive(old.Session.ID) || a.alive(late.Session.ID) {
		t.Error("one of them goes on")
	}
	a.wait(9 * 24 * time.Hour)
	last := a.must(a.comes("S-1"))
	a.wait(9 * 24 * time.Hour)
	must(t, a.gate.SourceSignedOut(t.Context(), a.at, "acme", a.provider.Say(mfa.SignedOut{Session: "there-1"}, a.clock().Add(time.Minute))))
	if a.alive(last.Session.ID) {
		t.Error("the oldest day is forgotten")
	}
}

// Without local accounts there is nobody for a link to make, and the answer says what to do.
func TestGate_WithoutLocalAccounts(t *testing.T) {
	ctx := t.Context()
	a := newAbroad(t, func(c *mfa.Config) { c.Sources, c.Passwords = c.Sources[1:], nil })
	_, err := a.gate.SetupLink(ctx)
	if !errors.Is(err, mfa.ErrNoLocal) || !errors.Is(err, mfa.ErrNotAllowed) || !strings.Contains(err.Error(), "identity local") {
		t.Errorf("a set-up link: %v", err)
	}
	_, err = mfatest.NewDesk(a.gate).Invite(ctx, mfa.InviteInput{Name: "bob"})
	wants(t, err, mfa.ErrNoLocal)
	wants(t, a.gate.ForgotPassword(ctx, a.at, "erin", func(string) string { return "" }), mfa.ErrNotAllowed)
	out := a.must(a.comes("S-1"))
	account := as[*mfa.Account](t)(a.gate.Account(ctx, a.at, out.Session.ID))
	if account.Local || account.LocalPassword || account.CanEmail {
		t.Errorf("the account page offers what only local accounts have: %+v", account)
	}
	// Everything that administrators do works by name.
	desk := mfatest.NewDesk(a.gate)
	for _, name := range []string{"erin", "acme:erin", "ERIN"} {
		if _, err := desk.Find(ctx, name); err != nil {
			t.Errorf("finding %q: %v", name, err)
		}
	}
	for _, name := range []string{"corp:erin", "local:erin", "nobody", "acme:nobody", ""} {
		if _, err := desk.Find(ctx, name); !errors.Is(err, mfa.ErrNotFound) {
			t.Errorf("finding %q: %v", name, err)
		}
	}
	if _, err := desk.ResetPassword(ctx, "erin"); !errors.Is(err, mfa.ErrNotAllowed) {
		t.Errorf("a new password for whom there is none: %v", err)
	}
	info := as[*mfa.UserInfo](t)(desk.Find(ctx, "erin"))
	if info.Source != "acme" || info.Invited {
		t.Errorf("seen as %+v", info)
	}
	must(t, desk.SetRole(ctx, info.ID, mfa.RoleAdmin, nil))
	// She is the last administrator, and can come in.
	wants(t, desk.SetDisabled(ctx, "erin", true), mfa.ErrLastAdministrator)
}

// B17: an administrator's pass opens a first enrollment to users of every source.
func TestGate_B17_PassOfAnOutsider(t *testing.T) {
	a := newAbroad(t)
	a.policy.Optional, a.policy.Enrollment = false, mfa.Enrollment{}
	out := a.must(a.comes("S-1"))
	_, err := a.gate.BeginTOTP(t.Context(), a.at, out.Session.ID)
	wants(t, err, mfa.ErrEnrollmentClosed)
	pass, _, err := mfatest.NewDesk(a.gate).EnrollmentPass(t.Context(), "erin", 0)
	must(t, err)
	out = a.must(a.gate.UsePass(t.Context(), a.at, out.Session.ID, pass))
	a.addPhone(out.Session.ID)
}

// hanging is a provider that takes questions about people and does not answer.
type hanging struct{ *mfatest.Provider }

// Standing implements mfa.StandingSource.
func (hanging) Standing(ctx context.Context, _ string, _ mfa.Secret) (*mfa.Identity, error) {
	<-ctx.Done()
	return nil, ctx.Err()
}

// AC-032: one source hangs, and hundreds of its people are due. Those of another one are
// asked for all the same, or they would be signed out with the first one's.
func TestGate_AC032_OneSourceHangs(t *testing.T) {
	a := newAbroad(t, func(c *mfa.Config) {
		for i, s := range c.Sources {
			if p, ok := s.Redirect.(*mfatest.Provider); ok {
				c.Sources[i].Redirect = hanging{p}
			}
		}
	})
	var due []mfa.SessionID
	for i := range 20 {
		subject := fmt.Sprintf("H-%d", i)
		a.provider.Put(mfa.Identity{Subject: subject, Name: fmt.Sprintf("h%d", i)})
		due = append(due, a.must(a.comes(subject)).Session.ID)
	}
	finn := a.must(a.gate.SignIn(t.Context(), a.at, "corp", "finn", goodPassword))
	a.wait(6 * time.Minute)
	for _, id := range due {
		a.gate.ConfirmSession(id)
	}
	a.gate.ConfirmSession(finn.Session.ID)
	end := time.Now().Add(8 * time.Second) // before the first question to the other is given up
	for a.directory.Asked() == 0 && time.Now().Before(end) {
		time.Sleep(5 * time.Millisecond)
	}
	if a.directory.Asked() == 0 {
		t.Error("the directory was not asked while the provider hung")
	}
}
