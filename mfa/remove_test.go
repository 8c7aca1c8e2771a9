package mfa_test

import (
	"errors"
	"slices"
	"testing"
	"time"

	"github.com/secondgate/secondgate/mfa"
	"github.com/secondgate/secondgate/mfa/mfatest"
)

// credentials returns the IDs of the user's factors of that kind.
func (w *world) credentials(user mfa.UserID, k mfa.Kind) []mfa.CredentialID {
	w.t.Helper()
	var ids []mfa.CredentialID
	for _, c := range w.user(user).Credentials {
		if c.Kind == k {
			ids = append(ids, c.ID)
		}
	}
	return ids
}

// told returns how many notices of that kind went to the address.
func (w *world) told(address string, kind mfa.NoticeKind) int {
	n := 0
	for _, l := range w.post.To(address) {
		if l.Notice != nil && l.Notice.Kind == kind {
			n++
		}
	}
	return n
}

// lastGone is alice, who has removed her last factor and owes another.
func lastGone(t *testing.T, change ...func(*world)) (*world, *mfa.Outcome) {
	t.Helper()
	w := newWorld(t)
	_, _, out := w.alice()
	for _, f := range change {
		f(w)
	}
	cred := w.credentials(out.Session.User, mfa.TOTP)[0]
	gone, err := w.gate.RemoveLast(t.Context(), w.at, out.Session.ID, cred)
	return w, w.wantsNext(gone, err, mfa.SetUp, mfa.ReasonNothingSetUp)
}

func TestGate_B34_LastFactor(t *testing.T) {
	w, ctx := newWorld(t), t.Context()
	phone, codes, out := w.alice()
	user := out.Session.User
	w.change(user, func(u *mfa.User) { u.Email, u.EmailVerified = "alice@example.com", true })
	other := as[*mfa.Outcome](t)(w.signIn("alice"))
	w.wait(time.Minute)
	other = as[*mfa.Outcome](t)(w.gate.VerifyTOTP(ctx, w.at, other.Session.ID, phone.code(w.clock())))
	half := as[*mfa.Outcome](t)(w.signIn("alice"))
	cred := w.credentials(user, mfa.TOTP)[0]

	wants(t, w.gate.Remove(ctx, w.at, out.Session.ID, cred), mfa.ErrLastFactor)
	if len(w.user(user).Credentials) != 2 {
		t.Fatal("a removal that was refused removed something")
	}
	before := w.recorded(mfa.EventRemove, true)
	gone, err := w.gate.RemoveLast(ctx, w.at, out.Session.ID, cred)
	gone = w.wantsNext(gone, err, mfa.SetUp, mfa.ReasonNothingSetUp)
	u := w.user(user)
	if len(u.Credentials) != 0 {
		t.Errorf("%d factors are left: backup codes belong to a primary factor", len(u.Credentials))
	}
	if w.recorded(mfa.EventRemove, true) != before+1 {
		t.Error("no event")
	}
	if !slices.ContainsFunc(u.Notices, func(n mfa.Notice) bool { return n.Kind == mfa.NoticeRemoved && n.Factor == mfa.TOTP }) {
		t.Error("no notice on the next page that they see")
	}
	if w.told("alice@example.com", mfa.NoticeRemoved) == 0 {
		t.Error("no notice to the verified address")
	}
	if gone.Session.ID == out.Session.ID || !gone.Changed {
		t.Error("the session kept its ID")
	}
	for name, id := range map[string]mfa.SessionID{"another session": other.Session.ID, "a sign-in under way": half.Session.ID, "the old ID": out.Session.ID} {
		_, err := w.gate.State(ctx, w.at, id)
		if !errors.Is(err, mfa.ErrNoSession) {
			t.Errorf("%s: %v, want that it ended", name, err)
		}
	}
	_, err = w.gate.Account(ctx, w.at, gone.Session.ID)
	wants(t, err, mfa.ErrNotAllowed)
	for _, code := range codes[:1] {
		if _, err := w.gate.VerifyBackupCode(ctx, w.at, gone.Session.ID, code); err == nil {
			t.Error("a code of the old set verifies")
		}
	}

	// The first factor was proven long ago by now; what was proven to remove is enough.
	w.wait(9 * time.Minute)
	st := as[*mfa.State](t)(w.gate.State(ctx, w.at, gone.Session.ID))
	if st.ProofOwed || st.Closed || st.Confirm != "" {
		t.Errorf("set-up needs more: proof %t, closed %t, confirm %q", st.ProofOwed, st.Closed, st.Confirm)
	}
	_, added := w.addPhone(gone.Session.ID)
	_, added = w.addCodes(added.Session.ID)
	if u := w.user(user); !u.EnrollmentShut.IsZero() {
		t.Error("enrollment is still shut after a factor was set up")
	}
	if s := as[*mfa.Session](t)(w.store.Session(ctx, added.Session.ID)); !s.Replacing.IsZero() {
		t.Error("the session may still enroll as if it had just removed the last factor")
	}
}

// B34: somebody removes the last factor and goes away. Whoever knows the password
// alone must not find the door open, whatever the policy opens for newcomers.
func TestGate_B34_Abandoned(t *testing.T) {
	for _, test := range []struct {
		name  string
		open  mfa.Enrollment
		email string
		want  error
	}{
		{"open, with an address on file", mfa.Enrollment{Open: true}, "alice@example.com", mfa.ErrConfirmFirst},
		{"open 14d, with an address on file", mfa.Enrollment{Open: true, Window: 14 * 24 * time.Hour}, "alice@example.com", mfa.ErrConfirmFirst},
		{"open, without", mfa.Enrollment{Open: true}, "", mfa.ErrEnrollmentClosed},
		{"confirm", mfa.Enrollment{Confirm: true}, "alice@example.com", mfa.ErrConfirmFirst},
		{"pass", mfa.Enrollment{}, "alice@example.com", mfa.ErrEnrollmentClosed},
	} {
		t.Run(test.name, func(t *testing.T) {
			w, out := lastGone(t, func(w *world) { w.policy.Enrollment = test.open })
			ctx, user := t.Context(), out.Session.User
			w.change(user, func(u *mfa.User) { u.Email = test.email })
			for _, later := range []time.Duration{0, mfa.ProofLife, 20 * 24 * time.Hour} {
				w.wait(later)
				in := as[*mfa.Outcome](t)(w.signIn("alice"))
				w.wantsNext(in, nil, mfa.SetUp, mfa.ReasonNothingSetUp)
				_, err := w.gate.BeginTOTP(ctx, w.at, in.Session.ID)
				wants(t, err, test.want)
			}
			// An administrator's reset opens it anew (rule B17).
			w.wait(time.Minute)
			must(t, mfatest.NewDesk(w.gate).RemoveFactors(ctx, "alice", ""))
			in := as[*mfa.Outcome](t)(w.signIn("alice"))
			_, err := w.gate.BeginTOTP(ctx, w.at, in.Session.ID)
			if test.open.Open != (err == nil) {
				t.Errorf("after a reset: %v", err)
			}
		})
	}
}

// The session that removed it has no more time than any other proof.
func TestGate_B34_SetUpAtOnce(t *testing.T) {
	w, out := lastGone(t)
	w.wait(mfa.ProofLife + time.Second)
	var owed *mfa.ProofError
	if _, err := w.gate.BeginTOTP(t.Context(), w.at, out.Session.ID); !errors.As(err, &owed) || owed.Kinds != 0 {
		t.Errorf("%v, want the first factor again", err)
	}
	st := as[*mfa.State](t)(w.gate.State(t.Context(), w.at, out.Session.ID))
	if st.Decision.Action != mfa.SetUp || !st.ProofOwed {
		t.Errorf("%s, proof owed: %t", st.Decision.Action, st.ProofOwed)
	}
}

func TestGate_B34_Refusals(t *testing.T) {
	var owed *mfa.ProofError
	proofOwed := func(err error) bool { return errors.As(err, &owed) }
	is := func(want error) func(error) bool { return func(err error) bool { return errors.Is(err, want) } }
	for _, test := range []struct {
		name  string
		setUp func(w *world, out *mfa.Outcome)
		want  func(error) bool
	}{
		{"B15: the proof is old", func(w *world, _ *mfa.Outcome) { w.wait(mfa.ProofLife) }, proofOwed},
		{"nothing requires one: Remove is for that", func(w *world, _ *mfa.Outcome) { w.policy.Optional = true }, is(mfa.ErrNotOwed)},
		{"it is not the last", func(w *world, out *mfa.Outcome) {
			w.change(out.Session.User, func(u *mfa.User) {
				u.Credentials = append(u.Credentials, mfa.Credential{ID: "key", Kind: mfa.Passkey, RPID: "other.example.com"})
			})
		}, is(mfa.ErrNotOwed)},
		{"another is of a kind that a newer version knows", func(w *world, out *mfa.Outcome) {
			w.change(out.Session.User, func(u *mfa.User) {
				u.Credentials = append(u.Credentials, mfa.Credential{ID: "eye", Kind: "retina"})
			})
		}, is(mfa.ErrLastFactor)},
		{"nothing could be set up here", func(w *world, _ *mfa.Outcome) {
			w.policy.Factors = mfa.KindsOf(mfa.Email)
			w.policy.ReportOnly = true // or the session would be asked first
			w.post.Off(mfa.Email)
		}, is(mfa.ErrLastFactor)},
		{"the user was disabled", func(w *world, _ *mfa.Outcome) {
			must(w.t, mfatest.NewDesk(w.gate).SetDisabled(w.t.Context(), "alice", true))
		}, is(mfa.ErrNoSession)},
	} {
		t.Run(test.name, func(t *testing.T) {
			w := newWorld(t)
			_, _, out := w.alice()
			cred := w.credentials(out.Session.User, mfa.TOTP)[0]
			test.setUp(w, out)
			before := w.user(out.Session.User)
			_, err := w.gate.RemoveLast(t.Context(), w.at, out.Session.ID, cred)
			if !test.want(err) {
				t.Errorf("%v", err)
			}
			after := w.user(out.Session.User)
			if len(after.Credentials) != len(before.Credentials) || after.Generation != before.Generation || !after.EnrollmentShut.IsZero() {
				t.Error("it changed the user")
			}
		})
	}
	w := newWorld(t)
	_, _, out := w.alice()
	_, err := w.gate.RemoveLast(t.Context(), w.at, out.Session.ID, "no such factor")
	wants(t, err, mfa.ErrNotFound)
	_, err = w.gate.RemoveLast(t.Context(), w.at, out.Session.ID, mfa.BackupCodesID)
	wants(t, err, mfa.ErrNotOwed)
}

// AC-167: of two requests that remove two different factors at the same moment, the
// second finds the other one gone. It was told about a factor more, so it is refused,
// with or without the words of the last one.
func TestGate_AC167_RemovalsRace(t *testing.T) {
	w, ctx := newWorld(t), t.Context()
	_, _, out := w.alice()
	_, out = w.addPhone(out.Session.ID)
	phones := w.credentials(out.Session.User, mfa.TOTP)
	removeLast := func(i int) error {
		_, err := w.gate.RemoveLast(ctx, w.at, out.Session.ID, phones[i%2])
		return err
	}
	if n := at64(removeLast); n != 0 {
		t.Errorf("%d of 64 removed a last factor while there were two", n)
	}
	if n := at64(func(i int) error {
		if i%3 == 0 {
			return removeLast(i)
		}
		return w.gate.Remove(ctx, w.at, out.Session.ID, phones[i%2])
	}); n == 0 {
		t.Error("nobody removed anything")
	}
	switch u := w.user(out.Session.User); {
	case len(w.credentials(u.ID, mfa.TOTP)) == 1 && u.EnrollmentShut.IsZero():
	case len(u.Credentials) == 0 && !u.EnrollmentShut.IsZero():
		// One removed the first, another one, who was warned by then, the last.
	default:
		t.Errorf("%d factors are left, enrollment shut at %s", len(u.Credentials), u.EnrollmentShut)
	}

	// Two who press the last button at once: one set-up follows, not two.
	w2, ctx2 := newWorld(t), t.Context()
	_, _, out = w2.alice()
	last := w2.credentials(out.Session.User, mfa.TOTP)[0]
	if n := at64(func(int) error { _, err := w2.gate.RemoveLast(ctx2, w2.at, out.Session.ID, last); return err }); n != 1 {
		t.Errorf("%d of 64 removed the last factor, want 1", n)
	}
}

// What the policy has switched off goes as well: nobody may be asked for it at the
// next sign-in after they were told that they start anew.
func TestGate_B34_TakesWhatIsSwitchedOff(t *testing.T) {
	w, ctx := newWorld(t), t.Context()
	_, _, out := w.alice()
	w.change(out.Session.User, func(u *mfa.User) {
		u.Credentials = append(u.Credentials, mfa.Credential{ID: "sms", Kind: mfa.SMS, Address: alicesPhone, Name: "•••• 42"})
	})
	gone, err := w.gate.RemoveLast(ctx, w.at, out.Session.ID, w.credentials(out.Session.User, mfa.TOTP)[0])
	w.wantsNext(gone, err, mfa.SetUp, mfa.ReasonNothingSetUp)
	if n := w.told(alicesPhone, mfa.NoticeRemoved); n != 2 {
		t.Errorf("the number was told of %d removals, want 2", n)
	}
}

// B35: the last administrator does not remove their own way in. Another one could make
// the pass that is needed where the set-up is abandoned; a code to the address on file
// needs nobody.
func TestGate_B35_TheLastAdministratorsLastFactor(t *testing.T) {
	for _, test := range []struct {
		name  string
		email string
		open  mfa.Enrollment
		other bool
		want  error
	}{
		{"alone", "", mfa.Enrollment{Open: true}, false, mfa.ErrLastFactor},
		{"alone, with an address", alicesMail, mfa.Enrollment{Open: true}, false, nil},
		{"alone, with an address, where a pass is asked for", alicesMail, mfa.Enrollment{}, false, mfa.ErrLastFactor},
		{"with another", "", mfa.Enrollment{Open: true}, true, nil},
	} {
		t.Run(test.name, func(t *testing.T) {
			w := newWorld(t)
			_, _, out := w.alice()
			bob := w.invited("bob").Session.User
			w.policy.Enrollment = test.open
			w.change(out.Session.User, func(u *mfa.User) { u.Admin, u.Email = true, test.email })
			w.change(bob, func(u *mfa.User) { u.Admin = test.other })
			a := as[*mfa.Account](t)(w.gate.Account(t.Context(), w.at, out.Session.ID))
			if a.CanReplace != (test.want == nil) {
				t.Errorf("the page offers it: %t", a.CanReplace)
			}
			_, err := w.gate.RemoveLast(t.Context(), w.at, out.Session.ID, w.credentials(out.Session.User, mfa.TOTP)[0])
			wants(t, err, test.want)
		})
	}
}
