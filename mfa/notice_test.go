package mfa_test

import (
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/secondgate/secondgate/mfa"
	"github.com/secondgate/secondgate/mfa/mfatest"
)

// B17, B23: what was done to an account is told at the next sign-in, and whoever did
// it cannot take that away in the same one.
func TestGate_B23_Notices(t *testing.T) {
	w, ctx := newWorld(t), t.Context()
	p, codes, out := w.alice()
	a := as[*mfa.Account](t)(w.gate.Account(ctx, w.at, out.Session.ID))
	if len(a.Notices) != 2 || a.PutAway {
		t.Errorf("after the set-up: %+v, can be put away: %t", a.Notices, a.PutAway)
	}
	in := as[*mfa.Outcome](t)(w.signIn("alice"))
	in = as[*mfa.Outcome](t)(w.gate.VerifyTOTP(ctx, w.at, in.Session.ID, p.code(w.clock())))
	if in.Notices {
		t.Error("a set-up by an administrator's link stands in the way of the next sign-in")
	}
	w.wait(time.Minute)

	thief := as[*mfa.Outcome](t)(w.signIn("alice"))
	thief = as[*mfa.Outcome](t)(w.gate.VerifyBackupCode(ctx, w.at, thief.Session.ID, codes[0]))
	_, thief = w.addPhone(thief.Session.ID)
	must(t, w.gate.SeenNotices(ctx, w.at, thief.Session.ID, w.clock().Add(time.Hour)))
	w.wait(time.Minute)

	in = as[*mfa.Outcome](t)(w.signIn("alice"))
	if in.Notices {
		t.Error("told to whoever has the password alone")
	}
	_, err := w.gate.Notices(ctx, w.at, in.Session.ID)
	wants(t, err, mfa.ErrNotAllowed)
	in = as[*mfa.Outcome](t)(w.gate.VerifyTOTP(ctx, w.at, in.Session.ID, p.code(w.clock())))
	if !in.Notices {
		t.Fatal("the sign-in does not tell")
	}
	list := as[[]mfa.Notice](t)(w.gate.Notices(ctx, w.at, in.Session.ID))
	var kinds []mfa.NoticeKind
	for _, n := range list {
		kinds = append(kinds, n.Kind)
	}
	if len(kinds) != 2 || kinds[0] != mfa.NoticeCodeUsed || kinds[1] != mfa.NoticeAdded {
		t.Errorf("told: %v", kinds)
	}
	// What came in after the page was shown stays.
	must(t, w.gate.SeenNotices(ctx, w.at, in.Session.ID, list[0].At))
	if left := as[[]mfa.Notice](t)(w.gate.Notices(ctx, w.at, in.Session.ID)); len(left) != 0 && left[0].Kind != mfa.NoticeAdded {
		t.Errorf("left: %+v", left)
	}
	must(t, w.gate.SeenNotices(ctx, w.at, in.Session.ID, w.clock()))
	if left := as[[]mfa.Notice](t)(w.gate.Notices(ctx, w.at, in.Session.ID)); len(left) != 0 {
		t.Errorf("seen, and still there: %+v", left)
	}
}

func TestGate_Notices_AreBounded(t *testing.T) {
	w, ctx := newWorld(t), t.Context()
	w.invited("alice")
	for range mfa.MaxNotices + 5 {
		must(t, mfatest.NewDesk(w.gate).RemoveFactors(ctx, "alice", ""))
	}
	page, _, err := w.store.ListUsers(ctx, mfa.UserQuery{Search: "alice"}, "", 1)
	must(t, err)
	if n := len(page[0].Notices); n != mfa.MaxNotices {
		t.Errorf("%d notices", n)
	}
}

// B9: a skip holds until an administrator resets it.
func TestGate_B9_ResetEndsASkip(t *testing.T) {
	w, ctx := newWorld(t), t.Context()
	w.policy.Optional = true
	out := w.invited("alice")
	out = as[*mfa.Outcome](t)(w.gate.Skip(ctx, w.at, out.Session.ID))
	w.wantsNext(out, nil, mfa.Allow, "")
	out, err := w.signIn("alice")
	w.wantsNext(out, err, mfa.Allow, "")
	must(t, mfatest.NewDesk(w.gate).RemoveFactors(ctx, "alice", ""))
	out, err = w.signIn("alice")
	w.wantsNext(out, err, mfa.SetUp, mfa.ReasonPrompt)
}

// B19: an opt-out is the user's own, and adding a factor does not end it.
func TestGate_B19_OptOutStands(t *testing.T) {
	w, ctx := newWorld(t), t.Context()
	_, _, out := w.alice()
	w.policy.Optional = true
	must(t, w.gate.OptOut(ctx, w.at, out.Session.ID))
	_, out = w.addPhone(out.Session.ID)
	u := as[*mfa.User](t)(w.store.User(ctx, out.Session.User))
	if !u.OptedOut {
		t.Error("adding a factor has ended the opt-out")
	}
	// A route's own requirement ignores it, and the page that asks knows what for:
	// else it would send the person back unasked, in a circle.
	in, err := w.signIn("alice")
	in = w.wantsNext(in, err, mfa.Allow, "")
	need := mfa.Requirement{Fresh: 5 * time.Minute}
	policy := w.policy.With(need)
	d := mfa.Decide(mfa.Input{Policy: &policy, Place: w.at, Session: in.Session, Subject: in.Subject}, w.clock())
	if d.Action != mfa.Verify || d.Need != need {
		t.Errorf("%s for %+v, want verify for %+v", d.Action, d.Need, need)
	}
}

// B32: what a page says no by has an ID, and the event has the same one.
func TestGate_B32_RefusalsHaveAnID(t *testing.T) {
	w, ctx := newWorld(t), t.Context()
	out := w.invited("alice")
	id := w.gate.NoteRefusal(ctx, w.at, out.Session, out.Subject, mfa.ReasonClosed)
	events := w.events.Named(mfa.EventDecision)
	if len(events) != 1 || id == "" || events[0].Decision != id || events[0].UserName != "alice" || events[0].Reason != "refuse:enrollment_closed" {
		t.Errorf("ID %q, events %+v", id, events)
	}
}

// B38 and the second invitation: what it says holds beside what was said before.
func TestGate_Invite_Again(t *testing.T) {
	w, ctx := newWorld(t), t.Context()
	as[string](t)(mfatest.NewDesk(w.gate).Invite(ctx, mfa.InviteInput{Name: "bob", DisplayName: "Bob", Groups: []string{"staff"}}))
	as[string](t)(mfatest.NewDesk(w.gate).Invite(ctx, mfa.InviteInput{Name: "bob", Email: "bob@example.com", Role: mfa.RoleAdmin}))
	as[string](t)(mfatest.NewDesk(w.gate).Invite(ctx, mfa.InviteInput{Name: "bob"}))
	u := as[*mfa.UserInfo](t)(mfatest.NewDesk(w.gate).UserInfo(ctx, "bob"))
	if u.DisplayName != "Bob" || u.Email != "bob@example.com" || u.Verified || len(u.Groups) != 1 || !u.Admin {
		t.Errorf("%+v", u)
	}
}

// A thief with the password and one code adds an app, and then makes backup codes
// again and again, so that the notice of the app is pushed out.
func TestGate_Notices_RejectPushingOut(t *testing.T) {
	w, ctx := newWorld(t), t.Context()
	p, _, _ := w.alice()
	thief := as[*mfa.Outcome](t)(w.signIn("alice"))
	thief = as[*mfa.Outcome](t)(w.gate.VerifyTOTP(ctx, w.at, thief.Session.ID, p.code(w.clock())))
	_, thief = w.addPhone(thief.Session.ID)
	for range mfa.MaxNotices + 5 {
		_, thief = w.addCodes(thief.Session.ID)
	}
	w.wait(time.Minute)
	in := as[*mfa.Outcome](t)(w.signIn("alice"))
	in = as[*mfa.Outcome](t)(w.gate.VerifyTOTP(ctx, w.at, in.Session.ID, p.code(w.clock())))
	told := map[mfa.NoticeKind]bool{}
	for _, n := range as[[]mfa.Notice](t)(w.gate.Notices(ctx, w.at, in.Session.ID)) {
		told[n.Kind] = told[n.Kind] || !n.Quiet
	}
	if !in.Notices || !told[mfa.NoticeAdded] || !told[mfa.NoticeNewCodes] {
		t.Errorf("told: %v", told)
	}
}

// notices returns the kinds of the notices that went to that address.
func (w *world) noticesTo(address string) (kinds []mfa.NoticeKind) {
	for _, l := range w.post.To(address) {
		if l.Kind == mfa.LetterNotice {
			kinds = append(kinds, l.Notice.Kind)
		}
	}
	return kinds
}

// What touches how a user signs in is told to every verified address, or, where there is
// none, to the numbers; to the address that was removed as well; to no other.
func TestGate_Notices_ByPost(t *testing.T) {
	w, ctx := lettered(t), t.Context()
	w.policy.Factors |= mfa.KindsOf(mfa.BackupCode)
	const unverified, factor = "unverified@example.com", "factor@example.com"
	p, out := w.addPhone(w.invited("alice").Session.ID)
	codes, out := w.addCodes(out.Session.ID)
	out = w.addAddress(out.Session.ID, mfa.Email, alicesMail) // verified, and on file
	out = w.addAddress(out.Session.ID, mfa.Email, factor)
	out = w.addAddress(out.Session.ID, mfa.SMS, alicesPhone)
	user := out.Session.User
	w.change(user, func(u *mfa.User) { u.Phone, u.PhoneVerified = alicesPhone, true })
	bob := w.invited("bob").Session.User
	w.change(bob, func(u *mfa.User) { u.Email = unverified })
	for _, c := range w.user(user).Credentials {
		if c.Address == alicesMail {
			must(t, w.gate.Remove(ctx, w.at, out.Session.ID, c.ID))
		}
	}
	const next = "another good long password"
	home := *w.at
	for _, step := range []struct {
		what string
		do   func()
		want mfa.NoticeKind // "": nothing is told
	}{
		{"a sign-in in a browser that is not known", func() {
			out = as[*mfa.Outcome](t)(w.gate.VerifyTOTP(ctx, w.at, w.half("alice"), p.code(w.clock())))
		}, mfa.NoticeNewDevice},
		{"… in one that is", func() {
			home.Devices = out.Device
			in := as[*mfa.Outcome](t)(w.gate.SignIn(ctx, &home, "local", "alice", goodPassword))
			out = as[*mfa.Outcome](t)(w.gate.VerifyTOTP(ctx, &home, in.Session.ID, p.code(w.clock())))
		}, ""},
		{"a factor is set up", func() { out = w.addKey(out.Session.ID, w.key()) }, mfa.NoticeAdded},
		{"a factor is renamed", func() {
			must(t, w.gate.Rename(ctx, w.at, out.Session.ID, w.user(user).Credentials[0].ID, "my phone"))
		}, mfa.NoticeRenamed},
		{"a factor is removed", func() {
			list := w.user(user).Credentials
			must(t, w.gate.Remove(ctx, w.at, out.Session.ID, list[len(list)-1].ID))
		}, mfa.NoticeRemoved},
		{"a factor is not removed", func() { _ = w.gate.Remove(ctx, w.at, out.Session.ID, "nothing") }, ""},
		{"backup codes are made", func() { codes, out = w.addCodes(out.Session.ID) }, mfa.NoticeNewCodes},
		{"a backup code is used", func() {
			in := as[*mfa.Outcome](t)(w.gate.SignIn(ctx, &home, "local", "alice", goodPassword))
			as[*mfa.Outcome](t)(w.gate.VerifyBackupCode(ctx, &home, in.Session.ID, codes[0]))
		}, mfa.NoticeCodeUsed},
		{"a wrong one is tried", func() {
			in := as[*mfa.Outcome](t)(w.gate.SignIn(ctx, &home, "local", "alice", goodPassword))
			_, _ = w.gate.VerifyBackupCode(ctx, &home, in.Session.ID, codes[0])
		}, ""},
		{"the user opts out", func() {
			w.policy.Optional = true
			must(t, w.gate.OptOut(ctx, w.at, out.Session.ID))
		}, mfa.NoticeOptedOut},
		{"… again", func() { must(t, w.gate.OptOut(ctx, w.at, out.Session.ID)) }, ""},
		{"a new password", func() {
			out = as[*mfa.Outcome](t)(w.gate.ChangePassword(ctx, &home, out.Session.ID, goodPassword, next))
		}, mfa.NoticePassword},
		{"a reset link is used", func() {
			token := as[string](t)(mfatest.NewDesk(w.gate).ResetPassword(ctx, "alice"))
			as[*mfa.Outcome](t)(w.gate.AcceptLink(ctx, w.at, mfa.LinkInput{Token: token, Password: goodPassword}))
		}, mfa.NoticePassword},
		{"an administrator removes a factor", func() { must(t, mfatest.NewDesk(w.gate).RemoveFactors(ctx, "alice", mfa.TOTP)) }, mfa.NoticeReset},
	} {
		w.wait(24 * time.Hour) // budgets
		w.renew(out.Session.ID)
		w.post.Reset()
		step.do()
		for _, address := range []string{alicesMail, factor} {
			got := w.noticesTo(address)
			if step.want == "" && len(got) != 0 || step.want != "" && (len(got) == 0 || got[0] != step.want) {
				t.Errorf("%s: %s is told %v, want %q", step.what, address, got, step.want)
			}
		}
		if n := len(w.post.To(alicesPhone)) + len(w.post.To(unverified)); n != 0 {
			t.Errorf("%s: %d letters to a number beside mailboxes, or to an unverified address", step.what, n)
		}
	}
}

// renew makes the session's proofs those of this moment, and keeps it alive, where it is.
func (w *world) renew(id mfa.SessionID) {
	w.t.Helper()
	err := w.store.UpdateSession(w.t.Context(), id, func(s *mfa.Session) error {
		s.First.At, s.Expires = w.clock(), w.clock().Add(time.Hour)
		for i := range s.Proofs {
			s.Proofs[i].At = w.clock()
		}
		return nil
	})
	if err != nil {
		wants(w.t, err, mfa.ErrNotFound)
	}
}

// Who has numbers and no mailbox, or whose mail cannot be sent, is told by text message;
// who has nothing is told on the pages alone.
func TestGate_Notices_WhereThereIsNoMailbox(t *testing.T) {
	w, ctx := lettered(t), t.Context()
	out := w.addAddress(w.invited("alice").Session.ID, mfa.SMS, alicesPhone)
	w.wait(24 * time.Hour)
	w.post.Reset()
	must(t, mfatest.NewDesk(w.gate).RemoveFactors(ctx, "alice", ""))
	if got := w.noticesTo(alicesPhone); len(got) != 1 || got[0] != mfa.NoticeReset {
		t.Errorf("the number that was removed is told %v", got)
	}
	w.change(out.Session.User, func(u *mfa.User) {
		u.Email, u.EmailVerified, u.Phone, u.PhoneVerified = alicesMail, true, alicesPhone, true
	})
	for _, test := range []struct {
		off  []mfa.Kind
		want string
	}{{nil, alicesMail}, {[]mfa.Kind{mfa.Email}, alicesPhone}, {[]mfa.Kind{mfa.SMS}, alicesMail}, {[]mfa.Kind{mfa.Email, mfa.SMS}, ""}} {
		w.wait(24 * time.Hour)
		w.post.Reset()
		w.post.Off(test.off...)
		must(t, mfatest.NewDesk(w.gate).RemoveFactors(ctx, "alice", ""))
		if all := w.post.All(); test.want == "" && len(all) != 0 || test.want != "" && (len(all) != 1 || all[0].To != test.want) {
			t.Errorf("without %v: %+v", test.off, all)
		}
	}
	// A post that takes nothing stops nobody: what it would say waits in the record.
	w.post.Off()
	w.post.Fail(mfa.ErrNotSent)
	must(t, mfatest.NewDesk(w.gate).RemoveFactors(ctx, "alice", ""))
	if n := w.user(out.Session.User).Notices; n[len(n)-1].Kind != mfa.NoticeReset {
		t.Errorf("%+v", n)
	}
}

// AC-097: whoever has the password makes notices without end, and the mailbox is not
// filled with them, nor is what they do then kept back.
func TestGate_Notices_DoNotFillAMailbox(t *testing.T) {
	w, ctx := lettered(t), t.Context()
	w.policy.Optional, w.policy.Prompt = true, mfa.PromptNever
	w.signUp(alicesMail)
	w.wait(time.Hour)
	w.post.Reset()
	for i := range 100 {
		as[*mfa.Outcome](t)(w.gate.SignIn(ctx, w.elsewhere(fmt.Sprint("bot", i)), "local", alicesMail, goodPassword))
	}
	if n := len(w.noticesTo(alicesMail)); n != 5 {
		t.Errorf("%d letters of new browsers in an hour, want 5", n)
	}
	thief := as[*mfa.Outcome](t)(w.gate.SignIn(ctx, w.at, "local", alicesMail, goodPassword))
	w.addPhone(thief.Session.ID)
	if got := w.noticesTo(alicesMail); got[len(got)-1] != mfa.NoticeAdded {
		t.Errorf("that a factor was set up is not told: %v", got)
	}
}

// B23: from three left on, a letter says so, once.
func TestGate_B23_CodesLow(t *testing.T) {
	w, ctx := lettered(t), t.Context()
	w.policy.Factors |= mfa.KindsOf(mfa.BackupCode)
	_, codes, out := w.alice()
	w.change(out.Session.User, func(u *mfa.User) { u.Email, u.EmailVerified = alicesMail, true })
	for i, code := range codes {
		w.wait(24 * time.Hour)
		w.post.Reset()
		as[*mfa.Outcome](t)(w.gate.VerifyBackupCode(ctx, w.at, w.half("alice"), code))
		low := slices.Contains(w.noticesTo(alicesMail), mfa.NoticeCodesLow)
		if left := len(codes) - i - 1; low != (left == mfa.CodesLow) {
			t.Errorf("with %d codes left: told %v", left, w.noticesTo(alicesMail))
		}
	}
}
