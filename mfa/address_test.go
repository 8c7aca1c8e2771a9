package mfa_test

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/secondgate/secondgate/mfa"
	"github.com/secondgate/secondgate/mfa/mfatest"
)

// setUp asks for a code to an address that is typed.
func (w *world) setUp(id mfa.SessionID, k mfa.Kind, typed string) error {
	w.t.Helper()
	_, _, err := w.gate.SetUpAddress(w.t.Context(), w.at, id, k, mfa.AddressInput{Typed: typed}, false)
	return err
}

func TestGate_SetUpAddress(t *testing.T) {
	w, ctx := lettered(t), t.Context()
	out := w.invited("alice")
	id := out.Session.ID
	wants(t, w.setUp(id, mfa.Email, "alice"), mfa.ErrName)
	wants(t, w.setUp(id, mfa.Email, "a@example.com\r\nBcc: b@example.com"), mfa.ErrName)
	wants(t, w.setUp(id, mfa.SMS, "hello"), mfa.ErrName)
	wants(t, w.setUp(id, mfa.SMS, "+33612345678"), mfa.ErrCountry)
	wants(t, w.setUp(id, mfa.SMS, "+491805123456"), mfa.ErrCountry) // AC-171 premium
	for _, k := range []mfa.Kind{mfa.TOTP, mfa.Passkey, mfa.BackupCode, mfa.Password, ""} {
		wants(t, w.setUp(id, k, alicesMail), mfa.ErrNotAllowed)
		_, err := w.gate.FinishAddress(ctx, w.at, id, k, "12345678")
		wants(t, err, mfa.ErrNotAllowed)
	}
	_, err := w.gate.PendingAddress(ctx, w.at, id, mfa.Email)
	wants(t, err, mfa.ErrExpired)
	_, err = w.gate.FinishAddress(ctx, w.at, id, mfa.Email, "12345678")
	wants(t, err, mfa.ErrExpired)
	if n := len(w.post.All()); n != 0 {
		t.Fatalf("%d letters", n)
	}

	must(t, w.setUp(id, mfa.Email, " ALICE@example.com"))
	l := w.post.To(alicesMail)
	if len(l) != 1 || l[0].Kind != mfa.LetterSetUp || l[0].UserName != "alice" || len(l[0].Code) != 8 {
		t.Fatalf("%+v", l)
	}
	to := as[*mfa.SentTo](t)(w.gate.PendingAddress(ctx, w.at, id, mfa.Email))
	if to.Masked != "al****@example.com" {
		t.Errorf("%+v", to)
	}
	// B13: nothing is live before its first right proof, nor an address verified.
	u := w.user(out.Session.User)
	if len(u.Credentials) != 0 || u.EmailVerified || u.Email != "" {
		t.Errorf("before the proof: %+v", u)
	}
	code := w.post.Code(alicesMail)
	_, err = w.gate.FinishAddress(ctx, w.at, id, mfa.Email, wrong(code))
	wants(t, err, mfa.ErrRejected)
	_, err = w.gate.FinishAddress(ctx, w.at, id, mfa.SMS, code)
	wants(t, err, mfa.ErrExpired)
	// A code of a set-up verifies nothing, and confirms nothing.
	if _, err = w.gate.VerifySent(ctx, w.at, id, mfa.Email, code); err == nil {
		t.Error("the code of a set-up verified")
	}
	out = as[*mfa.Outcome](t)(w.gate.FinishAddress(ctx, w.at, id, mfa.Email, code))
	w.wantsNext(out, nil, mfa.Allow, "")
	u = w.user(out.Session.User)
	if c := u.Credentials[0]; c.Kind != mfa.Email || c.Address != alicesMail || !c.LastUsed.IsZero() || strings.Contains(c.Name, "alice") {
		t.Errorf("B13 %+v", c)
	}
	if !u.EmailVerified || u.Email != alicesMail || !u.EverEnrolled {
		t.Error("what was proven is not recorded")
	}
	// The same again is there already, however it is spelled.
	wants(t, w.setUp(out.Session.ID, mfa.Email, "Alice@Example.com"), mfa.ErrNotOwed)
	if e := w.events.Named(mfa.EventEnroll); !e[len(e)-1].OK || e[len(e)-1].Factor != mfa.Email {
		t.Errorf("%+v", e[len(e)-1])
	}
	// The code is spent, and the session that asked for it is another one by now.
	_, err = w.gate.FinishAddress(ctx, w.at, out.Session.ID, mfa.Email, code)
	wants(t, err, mfa.ErrExpired)
}

// behaviour.md §5: three addresses and three numbers, checked where the factor is written.
func TestGate_SetUpAddress_Limit(t *testing.T) {
	w, ctx := lettered(t), t.Context()
	out := w.invited("alice")
	for i := range mfa.MaxAddresses {
		out = w.addAddress(out.Session.ID, mfa.Email, fmt.Sprintf("alice%d@example.com", i))
		w.wait(2 * time.Minute)
	}
	wants(t, w.setUp(out.Session.ID, mfa.Email, "alice9@example.com"), mfa.ErrLimit)
	a := as[*mfa.Account](t)(w.gate.Account(ctx, w.at, out.Session.ID))
	i := slices.IndexFunc(a.Choices, func(c mfa.Choice) bool { return c.Kind == mfa.Email })
	if a.Choices[i].Available || a.Choices[i].Why != mfa.ReasonLimit {
		t.Errorf("%+v", a.Choices[i])
	}
	// The last place is taken by another session while a code is on its way.
	must(t, w.gate.Remove(ctx, w.at, out.Session.ID, w.user(out.Session.User).Credentials[0].ID))
	must(t, w.setUp(out.Session.ID, mfa.Email, "alice9@example.com"))
	w.change(out.Session.User, func(u *mfa.User) {
		u.Credentials = append(u.Credentials, mfa.Credential{ID: "x", Kind: mfa.Email, Address: "x@example.com"})
	})
	_, err := w.gate.FinishAddress(ctx, w.at, out.Session.ID, mfa.Email, w.post.Code("alice9@example.com"))
	wants(t, err, mfa.ErrLimit)
}

// AC-163, AC-164: what becomes a factor, and what is verified, comes from what this
// session was sent, never from what a browser says.
func TestGate_AC163_NothingIsChosenForTheServer(t *testing.T) {
	w, ctx := lettered(t), t.Context()
	out := w.invited("alice")
	w.change(out.Session.User, func(u *mfa.User) { u.Email, u.Phone = alicesMail, alicesPhone })
	id := out.Session.ID
	st := as[*mfa.State](t)(w.gate.State(ctx, w.at, id))
	refs := map[mfa.Kind]string{}
	for _, c := range st.Choices {
		if len(c.Addresses) == 1 {
			refs[c.Kind] = c.Addresses[0].Ref
			if c.Addresses[0].Verified {
				t.Errorf("B38 %s on file counts as verified", c.Kind)
			}
		}
	}
	// On file and not verified: choosing it takes a code.
	_, sent, err := w.gate.SetUpAddress(ctx, w.at, id, mfa.Email, mfa.AddressInput{Ref: refs[mfa.Email]}, false)
	if err != nil || sent == nil || w.codesTo(alicesMail) != 1 {
		t.Fatalf("%+v, %v", sent, err)
	}
	// A Ref is for its own user, kind and address; it cannot be made, and tells nothing.
	bob := w.invited("bob")
	w.change(bob.Session.User, func(u *mfa.User) { u.Email = alicesMail })
	bobs := as[*mfa.State](t)(w.gate.State(ctx, w.at, bob.Session.ID))
	for _, c := range bobs.Choices {
		if c.Kind == mfa.Email && c.Addresses[0].Ref == refs[mfa.Email] {
			t.Error("AC-119 the Ref of one address is the same for everybody: a list of guesses finds the address out")
		}
	}
	for what, in := range map[string]mfa.AddressInput{
		"another kind's": {Ref: refs[mfa.SMS]}, "made up": {Ref: "000000000000"}, "the address": {Ref: alicesMail}, "nothing": {},
	} {
		if _, _, err := w.gate.SetUpAddress(ctx, w.at, id, mfa.Email, in, true); !errors.Is(err, mfa.ErrName) {
			t.Errorf("%s: %v", what, err)
		}
	}
	// A code for one address, and then another one asked for: the old code sets up nothing.
	code := w.post.Code(alicesMail)
	must(t, w.setUp(id, mfa.Email, otherMail))
	_, err = w.gate.FinishAddress(ctx, w.at, id, mfa.Email, code)
	wants(t, err, mfa.ErrRejected)
	out = as[*mfa.Outcome](t)(w.gate.FinishAddress(ctx, w.at, id, mfa.Email, w.post.Code(otherMail)))
	// It is not the one on file, which stays unverified.
	if u := w.user(out.Session.User); u.Email != alicesMail || u.EmailVerified || u.Credentials[0].Address != otherMail {
		t.Errorf("AC-164 %q %v, %+v", u.Email, u.EmailVerified, u.Credentials)
	}
}

// A thief holds a session of alice's whose proof is about to be too old for changes. They
// take an address away and choose it again, which costs no code, and so on for hours.
func TestGate_B15_ChoosingProvesNothingAnew(t *testing.T) {
	w, ctx := lettered(t), t.Context()
	out := w.invited("alice")
	out = w.addAddress(out.Session.ID, mfa.Email, alicesMail)
	out = w.addAddress(out.Session.ID, mfa.Email, otherMail)
	user, id := out.Session.User, out.Session.ID
	w.wait(9 * time.Minute)
	must(t, w.gate.Remove(ctx, w.at, id, w.user(user).Credentials[1].ID))
	w.post.Reset()
	again, _, err := w.gate.SetUpAddress(ctx, w.at, id, mfa.Email, mfa.AddressInput{Typed: otherMail}, false)
	if err != nil || again != nil || w.codesTo(otherMail) != 1 {
		t.Errorf("chosen again without a code: %+v, %v", again, err)
	}
	w.wait(2 * time.Minute)
	var owed *mfa.ProofError
	if _, err := w.gate.BeginTOTP(ctx, w.at, id); !errors.As(err, &owed) {
		t.Errorf("the proof does not grow old: %v", err)
	}

	// The same with the address that signed in, which never counts.
	app, _ := w.addPhone(w.signUp("carol@example.com").Session.ID)
	w.wait(time.Minute)
	in := as[*mfa.Outcome](t)(w.byCode("carol@example.com"))
	in = as[*mfa.Outcome](t)(w.gate.VerifyTOTP(ctx, w.at, in.Session.ID, app.code(w.clock())))
	w.wait(9 * time.Minute)
	in, _, err = w.gate.SetUpAddress(ctx, w.at, in.Session.ID, mfa.Email, mfa.AddressInput{Typed: "carol@example.com"}, false)
	must(t, err)
	w.wait(2 * time.Minute)
	if _, err := w.gate.BeginTOTP(ctx, w.at, in.Session.ID); !errors.As(err, &owed) {
		t.Errorf("… of the address that signed in: %v", err)
	}
}

// A factor that is enrolled is proven before another one is added, whatever the way.
func TestGate_B15_PasswordAloneAddsNothing(t *testing.T) {
	w, ctx := lettered(t), t.Context()
	p, _ := w.addPhone(w.signUp(alicesMail).Session.ID)
	w.wait(time.Hour)
	pass, _, err := mfatest.NewDesk(w.gate).EnrollmentPass(ctx, alicesMail, 0)
	must(t, err)
	for name, in := range map[string]*mfa.Outcome{
		"a password": as[*mfa.Outcome](t)(w.gate.SignIn(ctx, w.at, "local", alicesMail, goodPassword)),
		"a code":     as[*mfa.Outcome](t)(w.byCode(alicesMail)),
	} {
		id := in.Session.ID
		for what, try := range map[string]func() error{
			"an address": func() error { return w.setUp(id, mfa.Email, "thief@example.com") },
			"its own":    func() error { return w.setUp(id, mfa.Email, alicesMail) },
			"a number":   func() error { return w.setUp(id, mfa.SMS, alicesPhone) },
			"an app":     func() error { _, err := w.gate.BeginTOTP(ctx, w.at, id); return err },
			"a passkey":  func() error { _, err := w.gate.BeginPasskey(ctx, w.at, id); return err },
			"codes":      func() error { _, err := w.gate.BeginCodes(ctx, w.at, id); return err },
			"a pass":     func() error { _, err := w.gate.UsePass(ctx, w.at, id, pass); return err },
			"a code to confirm": func() error {
				_, err := w.gate.SendConfirmation(ctx, w.at, id, false)
				return err
			},
			"a skip": func() error { _, err := w.gate.Skip(ctx, w.at, id); return err },
		} {
			if try() == nil {
				t.Errorf("%s alone: %s", name, what)
			}
		}
	}
	_ = p
}

// B17: who has nothing enrolled confirms the address on file first, where the mode says
// so, or comes with an administrator's pass.
func TestGate_B17_Confirm(t *testing.T) {
	w, ctx := lettered(t), t.Context()
	w.invited("alice") // leaves before anything is set up
	user := w.half2("alice").Session.User
	w.change(user, func(u *mfa.User) { u.Email = alicesMail })
	w.policy.Enrollment = mfa.Enrollment{Confirm: true}
	in := as[*mfa.Outcome](t)(w.signIn("alice"))
	id := in.Session.ID
	st := as[*mfa.State](t)(w.gate.State(ctx, w.at, id))
	if st.Confirm != "al****@example.com" || st.Closed || st.ProofOwed {
		t.Fatalf("confirm %q, closed %v", st.Confirm, st.Closed)
	}
	_, err := w.gate.BeginTOTP(ctx, w.at, id)
	wants(t, err, mfa.ErrConfirmFirst)
	wants(t, w.setUp(id, mfa.Email, "thief@example.com"), mfa.ErrConfirmFirst)
	wants(t, w.setUp(id, mfa.Email, alicesMail), mfa.ErrConfirmFirst)
	_, err = w.gate.Confirm(ctx, w.at, id, "12345678")
	wants(t, err, mfa.ErrExpired)
	first := as[*mfa.SentTo](t)(w.gate.SendConfirmation(ctx, w.at, id, false))
	same := as[*mfa.SentTo](t)(w.gate.SendConfirmation(ctx, w.at, id, true))
	if *first != *same || w.codesTo(alicesMail) != 1 {
		t.Errorf("%d codes", w.codesTo(alicesMail))
	}
	code := w.post.Code(alicesMail)
	_, err = w.gate.Confirm(ctx, w.at, id, wrong(code))
	wants(t, err, mfa.ErrRejected)
	if e := w.events.Last(); e.Name != mfa.EventConfirm || e.OK {
		t.Errorf("%+v", e)
	}
	// It is good for confirming alone.
	if _, err = w.gate.FinishAddress(ctx, w.at, id, mfa.Email, code); err == nil {
		t.Error("a code that confirms set a factor up")
	}
	out, err := w.gate.Confirm(ctx, w.at, id, code)
	out = w.wantsNext(out, err, mfa.SetUp, mfa.ReasonNothingSetUp)
	if u := w.user(user); !u.EmailVerified {
		t.Error("the mailbox is proven, and not recorded so")
	}
	_, err = w.gate.SendConfirmation(ctx, w.at, out.Session.ID, false)
	wants(t, err, mfa.ErrNotOwed)
	_, out = w.addPhone(out.Session.ID)
	w.wantsNext(out, nil, mfa.Allow, "")
	if out.Session.MayEnroll {
		t.Error("the complete session may enroll")
	}
}

// half2 signs in whatever is owed.
func (w *world) half2(name string) *mfa.Outcome {
	w.t.Helper()
	return as[*mfa.Outcome](w.t)(w.signIn(name))
}

// B17: what mode asks for what, by what is on file and what can be sent.
func TestGate_B17_Modes(t *testing.T) {
	day := 24 * time.Hour
	open, open14, confirm, pass := mfa.Enrollment{Open: true}, mfa.Enrollment{Open: true, Window: 14 * day}, mfa.Enrollment{Confirm: true}, mfa.Enrollment{}
	mail := func(u *mfa.User) { u.Email = alicesMail }
	number := func(u *mfa.User) { u.Phone = alicesPhone }
	abroad := func(u *mfa.User) { u.Phone = "+33612345678" }
	both := func(u *mfa.User) { mail(u); number(u) }
	none := func(*mfa.User) {}
	late := 14*day + time.Second
	strict := []*mfa.Organization{{ID: "acme", Enrollment: &pass}, {ID: "beta", Enrollment: &confirm}}
	for _, test := range []struct {
		name string
		mode mfa.Enrollment
		file func(*mfa.User)
		off  []mfa.Kind // channels without a sender
		of   []mfa.OrganizationID
		wait time.Duration
		want error
	}{
		{"open", open, none, nil, nil, 1000 * day, nil},
		{"open 14d, within", open14, none, nil, nil, 14 * day, nil},
		{"open 14d, after it, as confirm", open14, mail, nil, nil, late, mfa.ErrConfirmFirst},
		{"open 14d, after it, nothing on file: pass", open14, none, nil, nil, late, mfa.ErrEnrollmentClosed},
		{"open 14d, the clock set back", open14, none, nil, nil, -day, nil},
		{"confirm, a mailbox", confirm, mail, nil, nil, 0, mfa.ErrConfirmFirst},
		{"confirm, a number", confirm, number, nil, nil, 0, mfa.ErrConfirmFirst},
		{"confirm, both", confirm, both, nil, nil, 0, mfa.ErrConfirmFirst},
		{"confirm, nothing on file: pass", confirm, none, nil, nil, 0, mfa.ErrEnrollmentClosed},
		{"confirm, no sender for it: pass", confirm, mail, []mfa.Kind{mfa.Email}, nil, 0, mfa.ErrEnrollmentClosed},
		{"confirm, a sender for the other", confirm, both, []mfa.Kind{mfa.Email}, nil, 0, mfa.ErrConfirmFirst},
		{"confirm, a number to which nothing is sent: pass", confirm, abroad, nil, nil, 0, mfa.ErrEnrollmentClosed},
		{"pass", pass, both, nil, nil, 0, mfa.ErrEnrollmentClosed},
		{"B3 open, an organization wants a pass", open, mail, nil, []mfa.OrganizationID{"acme"}, 0, mfa.ErrEnrollmentClosed},
		{"B3 open, an organization wants a confirmation", open, mail, nil, []mfa.OrganizationID{"beta"}, 0, mfa.ErrConfirmFirst},
		{"B3 the strictest of two", open, mail, nil, []mfa.OrganizationID{"beta", "acme"}, 0, mfa.ErrEnrollmentClosed},
		{"B3 a laxer one does not help", pass, mail, nil, []mfa.OrganizationID{"beta"}, 0, mfa.ErrEnrollmentClosed},
	} {
		for _, where := range []mfa.OrganizationRequired{mfa.AtSignIn, mfa.AtAccess} {
			t.Run(test.name+" "+where.String(), func(t *testing.T) {
				if where == mfa.AtAccess && test.of == nil {
					t.Skip("the same")
				}
				w, ctx := lettered(t), t.Context()
				w.policy.Enrollment, w.policy.OrganizationRequired = test.mode, where
				w.policy.Organizations = mfa.NewDirectory(strict)
				user := w.invited("alice").Session.User
				w.change(user, func(u *mfa.User) { test.file(u); u.Organizations = test.of })
				w.post.Off(test.off...)
				w.wait(test.wait)
				in := as[*mfa.Outcome](t)(w.signIn("alice"))
				_, err := w.gate.BeginTOTP(ctx, w.at, in.Session.ID)
				if !errors.Is(err, test.want) {
					t.Fatalf("%v, want %v", err, test.want)
				}
				st := as[*mfa.State](t)(w.gate.State(ctx, w.at, in.Session.ID))
				if st.Closed != errors.Is(test.want, mfa.ErrEnrollmentClosed) || (st.Confirm != "") != errors.Is(test.want, mfa.ErrConfirmFirst) {
					t.Errorf("the page is told closed %v, confirm %q", st.Closed, st.Confirm)
				}
				if errors.Is(test.want, mfa.ErrConfirmFirst) {
					as[*mfa.SentTo](t)(w.gate.SendConfirmation(ctx, w.at, in.Session.ID, false))
				} else if _, err := w.gate.SendConfirmation(ctx, w.at, in.Session.ID, false); !errors.Is(err, mfa.ErrNotOwed) {
					t.Errorf("a confirmation: %v", err)
				}
				// An administrator's pass opens each of them.
				if test.want == nil {
					return
				}
				pass, _, err := mfatest.NewDesk(w.gate).EnrollmentPass(ctx, "alice", 0)
				must(t, err)
				out := as[*mfa.Outcome](t)(w.gate.UsePass(ctx, w.at, in.Session.ID, strings.ToLower(pass)))
				w.addPhone(out.Session.ID)
			})
		}
	}
}

// B17: an administrator's reset opens the window anew; MayEnroll of one sign-in is not
// that of the next.
func TestGate_B17_ConfirmationIsForOneSignIn(t *testing.T) {
	w, ctx := lettered(t), t.Context()
	user := w.invited("alice").Session.User
	w.change(user, func(u *mfa.User) { u.Email = alicesMail })
	w.policy.Enrollment = mfa.Enrollment{Confirm: true}
	w.policy.Optional, w.policy.Prompt = true, mfa.PromptNever
	in := as[*mfa.Outcome](t)(w.signIn("alice"))
	as[*mfa.SentTo](t)(w.gate.SendConfirmation(ctx, w.at, in.Session.ID, false))
	in = as[*mfa.Outcome](t)(w.gate.Confirm(ctx, w.at, in.Session.ID, w.post.Code(alicesMail)))
	// The first factor is too old by now.
	w.wait(mfa.ProofLife + time.Second)
	var owed *mfa.ProofError
	if _, err := w.gate.BeginTOTP(ctx, w.at, in.Session.ID); !errors.As(err, &owed) {
		t.Errorf("B15: %v", err)
	}
	in = as[*mfa.Outcome](t)(w.signIn("alice"))
	_, err := w.gate.BeginTOTP(ctx, w.at, in.Session.ID)
	wants(t, err, mfa.ErrConfirmFirst)
	// In a complete session it is good for one factor: after that one is gone, B17 again.
	w.wait(time.Minute)
	as[*mfa.SentTo](t)(w.gate.SendConfirmation(ctx, w.at, in.Session.ID, false))
	in = as[*mfa.Outcome](t)(w.gate.Confirm(ctx, w.at, in.Session.ID, w.post.Code(alicesMail)))
	_, in = w.addPhone(in.Session.ID)
	must(t, w.gate.Remove(ctx, w.at, in.Session.ID, w.user(user).Credentials[0].ID))
	_, err = w.gate.BeginTOTP(ctx, w.at, in.Session.ID)
	wants(t, err, mfa.ErrConfirmFirst)
}

func TestGate_Pass(t *testing.T) {
	w, ctx := lettered(t), t.Context()
	w.invited("alice")
	w.invited("bob")
	w.policy.Enrollment = mfa.Enrollment{}
	in := as[*mfa.Outcome](t)(w.signIn("alice"))
	id := in.Session.ID
	pass, expires, err := mfatest.NewDesk(w.gate).EnrollmentPass(ctx, "alice", 0)
	must(t, err)
	if expires.Sub(w.clock()) != mfa.PassLife || len(strings.ReplaceAll(pass, "-", "")) != 16 {
		t.Errorf("%q until %s", pass, expires)
	}
	if text := fmt.Sprintf("%+v", w.events.All()); strings.Contains(text, pass) {
		t.Error("I9: the pass is in an event")
	}
	_, expires, err = mfatest.NewDesk(w.gate).EnrollmentPass(ctx, "alice", 1000*time.Hour)
	if err != nil || expires.Sub(w.clock()) != mfa.MaxPassLife {
		t.Errorf("%s, %v", expires.Sub(w.clock()), err)
	}
	_, _, err = mfatest.NewDesk(w.gate).EnrollmentPass(ctx, "nobody", 0)
	wants(t, err, mfa.ErrNotFound)

	bobs, _, err := mfatest.NewDesk(w.gate).EnrollmentPass(ctx, "bob", 0)
	must(t, err)
	bypass, _, err := mfatest.NewDesk(w.gate).Bypass(ctx, "alice", 0, "x")
	must(t, err)
	link := as[string](t)(mfatest.NewDesk(w.gate).ResetPassword(ctx, "alice"))
	for what, bad := range map[string]string{"another user's": bobs, "a bypass": bypass, "a link": link, "nothing": "", "made up": "AAAA-AAAA-AAAA-AAAA"} {
		if _, err := w.gate.UsePass(ctx, w.elsewhere(what), id, bad); !errors.Is(err, mfa.ErrRejected) {
			t.Errorf("%s: %v", what, err)
		}
		must(t, mfatest.NewDesk(w.gate).Unlock(ctx, "alice"))
	}
	// Bob's is bob's still, and the link a link.
	bob := as[*mfa.Outcome](t)(w.signIn("bob"))
	as[*mfa.Outcome](t)(w.gate.UsePass(ctx, w.at, bob.Session.ID, strings.ReplaceAll(bobs, "-", " ")))
	as[*mfa.Link](t)(w.gate.OpenLink(ctx, w.at, link))

	out, err := w.gate.UsePass(ctx, w.at, id, pass)
	out = w.wantsNext(out, err, mfa.SetUp, mfa.ReasonNothingSetUp)
	_, err = w.gate.UsePass(ctx, w.at, out.Session.ID, pass)
	wants(t, err, mfa.ErrNotOwed)
	in = as[*mfa.Outcome](t)(w.signIn("alice"))
	_, err = w.gate.UsePass(ctx, w.at, in.Session.ID, pass)
	wants(t, err, mfa.ErrRejected)

	// AC-108, AC-089.
	late, _, err := mfatest.NewDesk(w.gate).EnrollmentPass(ctx, "alice", time.Hour)
	must(t, err)
	w.wait(time.Hour)
	in = as[*mfa.Outcome](t)(w.signIn("alice"))
	_, err = w.gate.UsePass(ctx, w.at, in.Session.ID, late)
	wants(t, err, mfa.ErrRejected)
	must(t, mfatest.NewDesk(w.gate).Unlock(ctx, "alice"))
	compared := 0
	for i := range 20 {
		if _, err := w.gate.UsePass(ctx, w.elsewhere(fmt.Sprint(i)), in.Session.ID, "AAAA"); !throttled(err) {
			compared++
		}
	}
	if compared != 5 {
		t.Errorf("%d wrong passes were compared, want 5", compared)
	}
	// Guessing at passes touches no factor (AC-097).
	pass, _, err = mfatest.NewDesk(w.gate).EnrollmentPass(ctx, "alice", 0)
	must(t, err)
	must(t, mfatest.NewDesk(w.gate).Unlock(ctx, "alice"))
	out = as[*mfa.Outcome](t)(w.gate.UsePass(ctx, w.at, in.Session.ID, pass))
	w.addPhone(out.Session.ID)
	// Where something is enrolled a pass opens nothing (B15).
	w.wait(time.Hour)
	pass, _, err = mfatest.NewDesk(w.gate).EnrollmentPass(ctx, "alice", 0)
	must(t, err)
	_, err = w.gate.UsePass(ctx, w.at, w.half("alice"), pass)
	wants(t, err, mfa.ErrNotOwed)
}

// B29: a bypass stands for one second factor at one sign-in, leads to set-up, and for
// nothing more.
func TestGate_B29_Bypass(t *testing.T) {
	w, ctx := lettered(t), t.Context()
	p, out := w.addPhone(w.invited("alice").Session.ID)
	user := out.Session.User
	w.wait(time.Hour)
	code, _, err := mfatest.NewDesk(w.gate).Bypass(ctx, "alice", 0, "lost phone")
	must(t, err)
	if e := w.events.Named(mfa.EventAdmin); !strings.Contains(e[len(e)-1].Detail, "lost phone") || strings.Contains(fmt.Sprintf("%+v", e), code) {
		t.Errorf("%+v", e[len(e)-1])
	}
	_, err = w.gate.VerifyBypass(ctx, w.at, out.Session.ID, code)
	wants(t, err, mfa.ErrNotOwed) // nothing is owed in a complete session
	out, err = w.gate.VerifyBypass(ctx, w.at, w.half("alice"), code)
	out = w.wantsNext(out, err, mfa.SetUp, mfa.ReasonBypassed)
	_, err = w.gate.VerifyBypass(ctx, w.at, w.half("alice"), code)
	wants(t, err, mfa.ErrRejected)
	next, out := w.addPhone(out.Session.ID)
	out = w.wantsNext(out, nil, mfa.Allow, "")
	// What was lost can be removed now, and the new one signs in.
	must(t, w.gate.Remove(ctx, w.at, out.Session.ID, w.user(user).Credentials[0].ID))
	w.wait(time.Minute)
	in := as[*mfa.Outcome](t)(w.gate.VerifyTOTP(ctx, w.at, w.half("alice"), next.code(w.clock())))
	w.wantsNext(in, nil, mfa.Allow, "")

	// Skipped, it is a session that changes no factor, and no route of its own asks for less.
	code, _, err = mfatest.NewDesk(w.gate).Bypass(ctx, "alice", 0, "")
	must(t, err)
	out = as[*mfa.Outcome](t)(w.gate.VerifyBypass(ctx, w.at, w.half("alice"), code))
	out = as[*mfa.Outcome](t)(w.gate.Skip(ctx, w.at, out.Session.ID))
	w.wantsNext(out, nil, mfa.Allow, "")
	id := out.Session.ID
	var owed *mfa.ProofError
	if _, err := w.gate.BeginTOTP(ctx, w.at, id); !errors.As(err, &owed) {
		t.Errorf("B15 a bypassed session adds a factor: %v", err)
	}
	if err := w.gate.Remove(ctx, w.at, id, w.user(user).Credentials[0].ID); !errors.As(err, &owed) {
		t.Errorf("B15 … removes one: %v", err)
	}
	if _, err := w.gate.ChangePassword(ctx, w.at, id, goodPassword, "another good long password"); !errors.As(err, &owed) {
		t.Errorf("B15 … replaces the password: %v", err)
	}
	at := *w.at
	at.Asked = mfa.Requirement{Fresh: 1000 * time.Hour}
	if st := as[*mfa.State](t)(w.gate.State(ctx, &at, id)); st.Decision.Action != mfa.StepUp {
		t.Errorf("it is fresh: %s", st.Decision.Action)
	}
	_ = p
}

// AC-156: a bypass for whoever holds a factor that this version does not know leads on
// like any other.
func TestGate_AC156_BypassOfAnUnknownFactor(t *testing.T) {
	w, ctx := lettered(t), t.Context()
	user := w.invited("alice").Session.User
	w.change(user, func(u *mfa.User) { u.Credentials = []mfa.Credential{{ID: "future", Kind: "retina"}} })
	code, _, err := mfatest.NewDesk(w.gate).Bypass(ctx, "alice", 0, "")
	must(t, err)
	out, err := w.gate.VerifyBypass(ctx, w.at, w.half("alice"), code)
	out = w.wantsNext(out, err, mfa.SetUp, mfa.ReasonOnlyCodes)
	_, out = w.addPhone(out.Session.ID)
	w.wantsNext(out, nil, mfa.Allow, "")
}

// auto_enroll: a verified address is a factor from the next sign-in on; an unverified one
// never, nor the one that signed in; and each is told and recorded (B17).
func TestGate_AutoEnroll(t *testing.T) {
	w, ctx := lettered(t), t.Context()
	w.policy.Optional, w.policy.Prompt = true, mfa.PromptNever
	out := w.signUp(alicesMail)
	user := out.Session.User
	w.change(user, func(u *mfa.User) { u.Phone = alicesPhone }) // not verified
	w.policy.AutoEnroll = true
	w.wait(time.Hour)
	w.post.Reset()
	in := as[*mfa.Outcome](t)(w.byCode(alicesMail))
	if n := len(w.user(user).Credentials); n != 0 {
		t.Fatalf("%d factors after a sign-in by that mailbox", n)
	}
	w.wantsNext(in, nil, mfa.Allow, "")
	before := w.recorded(mfa.EventEnroll, true)
	in, err := w.gate.SignIn(ctx, w.at, "local", alicesMail, goodPassword)
	in = w.wantsNext(in, err, mfa.Verify, mfa.ReasonNotVerified)
	u := w.user(user)
	if len(u.Credentials) != 1 || u.Credentials[0].Kind != mfa.Email || u.Credentials[0].Address != alicesMail || !u.EverEnrolled {
		t.Fatalf("%+v", u.Credentials)
	}
	if n := w.recorded(mfa.EventEnroll, true) - before; n != 1 {
		t.Errorf("B17 %d events", n)
	}
	told := 0
	for _, l := range w.post.To(alicesMail) {
		if l.Notice != nil && l.Notice.Kind == mfa.NoticeAdded {
			told++
		}
	}
	if n := u.Notices; told != 1 || len(n) != 1 || n[0].Kind != mfa.NoticeAdded || !n[0].Quiet {
		t.Errorf("B17 told %d times, %+v", told, n)
	}
	as[*mfa.SentTo](t)(w.gate.SendCode(ctx, w.at, in.Session.ID, mfa.Email, "", false))
	in, err = w.gate.VerifySent(ctx, w.at, in.Session.ID, mfa.Email, w.post.Code(alicesMail))
	w.wantsNext(in, err, mfa.Allow, "")
	// Once.
	w.wait(time.Hour)
	as[*mfa.Outcome](t)(w.gate.SignIn(ctx, w.at, "local", alicesMail, goodPassword))
	if n := len(w.user(user).Credentials); n != 1 || w.recorded(mfa.EventEnroll, true)-before != 1 {
		t.Errorf("%d factors", n)
	}
	// Who signs up with it has proven it, and is offered another one (B12).
	w.policy.Optional, w.policy.Prompt = false, 0
	out = w.signUp("carol@example.com")
	out = w.wantsNext(out, nil, mfa.SetUp, mfa.ReasonAddAnother)
	out, err = w.gate.Skip(ctx, w.at, out.Session.ID)
	w.wantsNext(out, err, mfa.Allow, "")
	// Not a channel that the policy has not.
	w.change(user, func(u *mfa.User) { u.PhoneVerified = true })
	w.policy.Factors = mfa.KindsOf(mfa.TOTP, mfa.Email)
	as[*mfa.Outcome](t)(w.gate.SignIn(ctx, w.at, "local", alicesMail, goodPassword))
	if n := len(w.user(user).Credentials); n != 1 {
		t.Errorf("%d factors", n)
	}
}

// AC-097: a thief with the password alone wears out the tries at passes. The one that an
// administrator makes then works: they have looked who asks.
func TestGate_AC097_WornOutPasses(t *testing.T) {
	w, ctx := lettered(t), t.Context()
	w.addPhone(w.invited("alice").Session.ID)
	w.wait(time.Hour)
	id := w.half("alice")
	for i := range 6 {
		_, _ = w.gate.VerifyBypass(ctx, w.elsewhere(fmt.Sprint(i)), id, "AAAA-AAAA-AAAA-AAAA")
	}
	code, _, err := mfatest.NewDesk(w.gate).Bypass(ctx, "alice", 0, "lost")
	must(t, err)
	out, err := w.gate.VerifyBypass(ctx, w.at, id, code)
	w.wantsNext(out, err, mfa.SetUp, mfa.ReasonBypassed)
}

// One session adds apps and takes them away again for hours. What it keeps does not grow.
func TestGate_Session_DoesNotGrow(t *testing.T) {
	w, ctx := lettered(t), t.Context()
	_, out := w.addPhone(w.invited("alice").Session.ID)
	user := out.Session.User
	for range 20 {
		_, out = w.addPhone(out.Session.ID)
		list := w.user(user).Credentials
		must(t, w.gate.Remove(ctx, w.at, out.Session.ID, list[0].ID))
	}
	s := as[*mfa.Session](t)(w.store.Session(ctx, out.Session.ID))
	if len(s.Proofs) > 3 || len(s.Verified)+len(s.Pending)+len(s.Sent) != 0 {
		t.Errorf("%d proofs, %d addresses, %d that wait, %d codes", len(s.Proofs), len(s.Verified), len(s.Pending), len(s.Sent))
	}
}
