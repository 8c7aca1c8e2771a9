package mfa_test

import (
	"context"
	"errors"
	"fmt"
	"reflect"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/secondgate/secondgate/mfa"
	"github.com/secondgate/secondgate/mfa/mfatest"
)

// signUp makes an account with an address and returns its first session.
func (w *world) signUp(address string) *mfa.Outcome {
	w.t.Helper()
	ctx := w.t.Context()
	out, wait, err := w.gate.BeginSignUp(ctx, w.at, mfa.SignUpInput{Name: address, Password: goodPassword})
	if err != nil || out != nil || wait == nil || wait.Purpose != mfa.ForSignUp {
		w.t.Fatalf("signing up: %+v, %+v, %v", out, wait, err)
	}
	out, _, err = w.gate.FinishWaiting(ctx, w.at, wait.ID, w.post.Code(kept(address)))
	return as[*mfa.Outcome](w.t)(out, err)
}

func (w *world) byCode(address string) (*mfa.Outcome, error) {
	w.t.Helper()
	wait := as[*mfa.Waiting](w.t)(w.gate.SendSignInCode(w.t.Context(), w.at, address))
	out, _, err := w.gate.FinishWaiting(w.t.Context(), w.at, wait.ID, w.post.Code(kept(address)))
	return out, err
}

// kept is an address as it is kept.
func kept(address string) string { return strings.ToLower(strings.TrimSpace(address)) }

// B12, B17: who signs up with a mailbox sets it up by choosing it, without another code;
// it counts as this session's proof, and one more factor is offered, once.
func TestGate_B12_SignUpWithAnAddress(t *testing.T) {
	w, ctx := lettered(t), t.Context()
	w.policy.Enrollment = mfa.Enrollment{} // an administrator's pass, from who did not just sign up
	out := w.signUp(" Alice@Example.COM ")
	w.wantsNext(out, nil, mfa.SetUp, mfa.ReasonNothingSetUp)
	if out.Subject.Name != alicesMail || out.Subject.Email != alicesMail || !out.Session.Registering || out.Subject.Admin {
		t.Errorf("%+v", out.Subject)
	}
	id := out.Session.ID
	st := as[*mfa.State](t)(w.gate.State(ctx, w.at, id))
	var choice mfa.AddressChoice
	for _, c := range st.Choices {
		if c.Kind == mfa.Email && len(c.Addresses) == 1 {
			choice = c.Addresses[0]
		}
	}
	if !choice.Verified || choice.Masked != "al****@example.com" || choice.Ref == "" {
		t.Fatalf("the list offers %+v", st.Choices)
	}
	w.post.Reset()
	w.wait(3 * time.Minute)
	out, sent, err := w.gate.SetUpAddress(ctx, w.at, id, mfa.Email, mfa.AddressInput{Ref: choice.Ref}, false)
	if sent != nil || w.codesTo(alicesMail) != 0 {
		t.Error("another code was sent")
	}
	out = w.wantsNext(out, err, mfa.SetUp, mfa.ReasonAddAnother)
	if !out.Decision.Skippable || out.Decision.Kinds.Has(mfa.Email) {
		t.Errorf("%+v", out.Decision)
	}
	if p := out.Session.Proofs[0]; p.Kind != mfa.Email || w.clock().Sub(p.At) != 3*time.Minute {
		t.Errorf("the proof is %+v, and the code came three minutes ago", p)
	}
	// Another one ends the offer.
	out = w.addAddress(out.Session.ID, mfa.SMS, alicesPhone)
	out = w.wantsNext(out, nil, mfa.Allow, "")
	if s := out.Session; !s.Complete || s.MayEnroll || s.AddAnother || len(s.Verified) != 0 || len(s.Sent) != 0 {
		t.Errorf("a complete session keeps %+v", s)
	}
	in, err := w.gate.SignIn(ctx, w.at, "local", "ALICE@example.com", goodPassword)
	w.wantsNext(in, err, mfa.Verify, mfa.ReasonNotVerified)

	// Skipped: asked no more in this sign-in.
	out = w.signUp(otherMail)
	out, _, err = w.gate.SetUpAddress(ctx, w.at, out.Session.ID, mfa.Email, mfa.AddressInput{Typed: otherMail}, false)
	out = w.wantsNext(out, err, mfa.SetUp, mfa.ReasonAddAnother)
	out, err = w.gate.Skip(ctx, w.at, out.Session.ID)
	w.wantsNext(out, err, mfa.Allow, "")
}

// B12: a code that is asked of an address that is typed proves it, and that is another
// factor; it is not offered once more.
func TestGate_B12_AnotherAddressEndsTheOffer(t *testing.T) {
	w, ctx := lettered(t), t.Context()
	w.policy.Factors = mfa.KindsOf(mfa.TOTP, mfa.Email)
	out := w.signUp(alicesMail)
	out, _, err := w.gate.SetUpAddress(ctx, w.at, out.Session.ID, mfa.Email, mfa.AddressInput{Typed: alicesMail}, false)
	out = w.wantsNext(out, err, mfa.SetUp, mfa.ReasonAddAnother)
	out = w.addAddress(out.Session.ID, mfa.Email, otherMail)
	w.wantsNext(out, nil, mfa.Allow, "")
}

func TestGate_SignUp_ByName(t *testing.T) {
	w, ctx := lettered(t), t.Context()
	out, wait, err := w.gate.BeginSignUp(ctx, w.at, mfa.SignUpInput{Name: "Alice", DisplayName: "Alice A.", Password: goodPassword})
	out = w.wantsNext(out, err, mfa.SetUp, mfa.ReasonNothingSetUp)
	if wait != nil || !out.Session.Registering || out.Subject.Name != "alice" || out.Subject.DisplayName != "Alice A." || out.Subject.Email != "" {
		t.Errorf("%+v, %+v", wait, out.Subject)
	}
	_, _, err = w.gate.BeginSignUp(ctx, w.at, mfa.SignUpInput{Name: "ALICE", Password: goodPassword})
	wants(t, err, mfa.ErrNameTaken)
	var rule *mfa.PasswordError
	if _, _, err = w.gate.BeginSignUp(ctx, w.at, mfa.SignUpInput{Name: "bob", Password: "short"}); !errors.As(err, &rule) {
		t.Errorf("a short password: %v", err)
	}
	_, _, err = w.gate.BeginSignUp(ctx, w.at, mfa.SignUpInput{Name: "a b", Password: goodPassword})
	wants(t, err, mfa.ErrName)
	_, _, err = w.gate.BeginSignUp(ctx, w.at, mfa.SignUpInput{Name: "bob", DisplayName: "a\r\nb", Password: goodPassword})
	wants(t, err, mfa.ErrName)
	_, _, err = w.gate.BeginSignUp(ctx, w.at, mfa.SignUpInput{Name: "+33612345678", Password: goodPassword})
	wants(t, err, mfa.ErrCountry)
}

func TestGate_SignUp_WaysThatAreOff(t *testing.T) {
	w := newWorld(t, func(c *mfa.Config) { c.SignUp, c.SignInCodes = mfa.SignUp{}, 0 })
	_, _, err := w.gate.BeginSignUp(t.Context(), w.at, mfa.SignUpInput{Name: "alice", Password: goodPassword})
	wants(t, err, mfa.ErrNotAllowed)
	_, err = w.gate.SendSignInCode(t.Context(), w.at, alicesMail)
	wants(t, err, mfa.ErrNotAllowed)

	w = newWorld(t, func(c *mfa.Config) { c.SignUp.Name = false })
	_, _, err = w.gate.BeginSignUp(t.Context(), w.at, mfa.SignUpInput{Name: "alice", Password: goodPassword})
	wants(t, err, mfa.ErrName)
	w.post.Off(mfa.SMS)
	_, _, err = w.gate.BeginSignUp(t.Context(), w.at, mfa.SignUpInput{Name: alicesPhone, Password: goodPassword})
	wants(t, err, mfa.ErrName)
	if ways := w.gate.SignUpWays(); ways.Channels != mfa.KindsOf(mfa.Email) || w.gate.SignInWays() != mfa.KindsOf(mfa.Email) {
		t.Errorf("without a sender of text messages: %+v", ways)
	}

	w = newWorld(t, func(c *mfa.Config) { c.Post = nil })
	if w.gate.SignUpWays().Channels != 0 || w.gate.SignInWays() != 0 || w.gate.CanForget() {
		t.Error("with nothing to send with, a way is offered that needs letters")
	}
	wants(t, w.gate.ForgotPassword(t.Context(), w.at, "alice", nil), mfa.ErrNotAllowed)
}

// counting counts what a flow asks of the store: its reads, and its writes, which are
// what takes time.
type counting struct {
	mfa.Store
	reads, writes atomic.Int64
}

func (c *counting) User(ctx context.Context, id mfa.UserID) (*mfa.User, error) {
	c.reads.Add(1)
	return c.Store.User(ctx, id)
}

func (c *counting) UserByKey(ctx context.Context, key string) (*mfa.User, error) {
	c.reads.Add(1)
	return c.Store.UserByKey(ctx, key)
}

func (c *counting) Challenge(ctx context.Context, id string) (*mfa.Challenge, error) {
	c.reads.Add(1)
	return c.Store.Challenge(ctx, id)
}

func (c *counting) Attempts(ctx context.Context, key string) (mfa.Attempts, error) {
	c.reads.Add(1)
	return c.Store.Attempts(ctx, key)
}

func (c *counting) UpdateUser(ctx context.Context, id mfa.UserID, change func(*mfa.User) error) error {
	c.writes.Add(1)
	return c.Store.UpdateUser(ctx, id, change)
}

func (c *counting) CreateUser(ctx context.Context, u *mfa.User) error {
	c.writes.Add(1)
	return c.Store.CreateUser(ctx, u)
}

func (c *counting) UpdateAttempts(ctx context.Context, keys []string, change func([]mfa.Attempts) error) error {
	c.writes.Add(1)
	return c.Store.UpdateAttempts(ctx, keys, change)
}

func (c *counting) PutChallenge(ctx context.Context, ch *mfa.Challenge) error {
	c.writes.Add(1)
	return c.Store.PutChallenge(ctx, ch)
}

func (c *counting) TakeChallenge(ctx context.Context, id string) (*mfa.Challenge, error) {
	c.writes.Add(1)
	return c.Store.TakeChallenge(ctx, id)
}

// cost runs f and returns how much it asked of the store.
func (c *counting) cost(f func()) string {
	c.reads.Store(0)
	c.writes.Store(0)
	f()
	return fmt.Sprintf("%d reads, %d writes", c.reads.Load(), c.writes.Load())
}

// AC-116: whoever asks about an address, or a name, learns nothing of whether somebody
// has it: neither by what is answered nor by how much work it was. Only its owner is told.
func TestGate_AC116_StrangersLearnNothing(t *testing.T) {
	store := &counting{Store: newStore(t)}
	w, ctx := newWorldOn(t, store), t.Context()
	w.policy.Factors = mfa.KindsOf(mfa.TOTP, mfa.Email, mfa.SMS)
	w.signUp(alicesMail)
	w.signUp(alicesPhone)
	off := w.signUp("off@example.com").Session.User
	w.change(off, func(u *mfa.User) { u.Disabled = true })
	unverified := w.invited("bob").Session.User
	w.change(unverified, func(u *mfa.User) { u.Email = "bob@example.com" })
	w.wait(24 * time.Hour)
	w.post.Reset()

	try := func(do func(at *mfa.Place, address string) any) map[string]string {
		got := map[string]string{}
		for i, address := range []string{
			alicesMail, "off@example.com", "bob@example.com", "nobody@example.com", "noone@example.com",
		} {
			cost := store.cost(func() { got[address] = fmt.Sprint(do(w.elsewhere(fmt.Sprint("n", i)), address)) })
			got[address] += ", " + cost
			w.wait(24 * time.Hour)
		}
		return got
	}
	alike := func(what string, got map[string]string) {
		t.Helper()
		for address, answer := range got {
			if answer != got["nobody@example.com"] {
				t.Errorf("%s %s: %s; for nobody: %s", what, address, answer, got["nobody@example.com"])
			}
		}
	}
	waits := map[string]*mfa.Waiting{}
	shape := func(w *mfa.Waiting, address string) string {
		waits[address] = w
		masked := strings.ReplaceAll(w.Masked, address, "ADDRESS")
		return fmt.Sprint(w.Purpose, w.Kind, masked, w.Credential, w.Expires.Sub(w.At), w.Again.Sub(w.At), len(w.ID))
	}
	wrongCode := func(at *mfa.Place, address string) any {
		out, again, err := w.gate.FinishWaiting(ctx, at, waits[address].ID, "12345678")
		return fmt.Sprint(out, again != nil && again.ID != waits[address].ID, err)
	}
	alike("a code that signs in to", try(func(at *mfa.Place, address string) any {
		wait := as[*mfa.Waiting](t)(w.gate.SendSignInCode(ctx, at, address))
		return shape(wait, address)
	}))
	if n := len(w.post.All()); n != 1 || w.codesTo(alicesMail) != 1 {
		t.Errorf("%d letters, %d of them to her who has it", n, w.codesTo(alicesMail))
	}
	w.post.Reset()
	alike("a wrong one of", try(func(at *mfa.Place, address string) any {
		as[*mfa.Waiting](t)(w.gate.SendSignInCode(ctx, at, address))
		waits[address] = as[*mfa.Waiting](t)(w.gate.SendSignInCode(ctx, at, address))
		store.cost(func() {}) // of the try alone
		return wrongCode(at, address)
	}))
	w.post.Reset()
	alike("signing up with", try(func(at *mfa.Place, address string) any {
		out, wait, err := w.gate.BeginSignUp(ctx, at, mfa.SignUpInput{Name: address, Password: goodPassword})
		return fmt.Sprint(out, err, shape(wait, address))
	}))
	// B12: its owner alone is told, without a code; whoever has an unverified one is nobody.
	for address, want := range map[string]mfa.LetterKind{
		alicesMail: mfa.LetterHasAccount, "bob@example.com": mfa.LetterSignUp, "nobody@example.com": mfa.LetterSignUp, "off@example.com": "",
	} {
		letters := w.post.To(address)
		switch {
		case want == "" && len(letters) == 0:
		case len(letters) != 1 || letters[0].Kind != want, (len(letters[0].Code) == 0) != (want == mfa.LetterHasAccount), (letters[0].UserName == "") != (want == mfa.LetterSignUp):
			t.Errorf("%s is told %+v", address, letters)
		}
	}
	alike("a wrong code of signing up with", try(func(at *mfa.Place, address string) any {
		_, waits[address], _ = w.gate.BeginSignUp(ctx, at, mfa.SignUpInput{Name: address, Password: goodPassword})
		store.cost(func() {})
		return wrongCode(at, address)
	}))
	w.post.Reset()
	alike("a forgotten password of", try(func(at *mfa.Place, address string) any {
		return w.gate.ForgotPassword(ctx, at, address, func(token string) string { return "https://app.example.com/" + token })
	}))
	if n := len(w.post.All()); n != 1 || w.post.Link(alicesMail) == "" {
		t.Errorf("%d letters, link %q", n, w.post.Link(alicesMail))
	}
	// The fourth of a day is silent for everybody.
	alike("a fourth forgotten password of", try(func(at *mfa.Place, address string) any {
		for range 3 {
			must(t, w.gate.ForgotPassword(ctx, at, address, func(string) string { return "" }))
		}
		store.cost(func() {})
		return w.gate.ForgotPassword(ctx, at, address, func(string) string { return "" })
	}))
}

// AC-117, B38: an address that its owner has not proven signs nobody in, gets no link, no
// membership, and is nobody's.
func TestGate_B38_UnverifiedGainsNothing(t *testing.T) {
	w, ctx := lettered(t), t.Context()
	w.policy.Optional, w.policy.Prompt = true, mfa.PromptNever
	w.policy.AutoEnroll = true
	w.policy.Organizations = mfa.NewDirectory([]*mfa.Organization{{ID: "acme", Domains: []string{"example.com"}}})
	bob := w.invited("bob").Session.User
	w.change(bob, func(u *mfa.User) { u.Email, u.Phone = "bob@example.com", alicesPhone })
	for _, address := range []string{"bob@example.com", alicesPhone} {
		wait := as[*mfa.Waiting](t)(w.gate.SendSignInCode(ctx, w.at, address))
		if len(w.post.To(address)) != 0 {
			t.Errorf("%s: a code was sent", address)
		}
		for range 3 {
			if _, again, err := w.gate.FinishWaiting(ctx, w.at, wait.ID, "00000000"); err == nil {
				t.Errorf("%s: signed in", address)
			} else {
				wait = again
			}
		}
		_, err := w.gate.SignIn(ctx, w.at, "local", address, goodPassword)
		wants(t, err, mfa.ErrRejected)
		must(t, w.gate.ForgotPassword(ctx, w.at, address, func(string) string { return "" }))
	}
	must(t, w.gate.ForgotPassword(ctx, w.at, "bob", func(string) string { return "" }))
	if n := len(w.post.All()); n != 0 {
		t.Errorf("%d letters", n)
	}
	out := as[*mfa.Outcome](t)(w.signIn("bob"))
	a := as[*mfa.Account](t)(w.gate.Account(ctx, w.at, out.Session.ID))
	if out.Subject.Email != "" || len(a.Organizations) != 0 || len(a.Credentials) != 0 {
		t.Errorf("B38 it grants something: %+v, %v, %v", out.Subject, a.Organizations, a.Credentials)
	}
	// Whoever proves it makes an account with it, and bob's is as it was.
	out = w.signUp("bob@example.com")
	if out.Session.User == bob {
		t.Error("somebody's account was taken over")
	}
	if u := w.user(bob); u.EmailVerified {
		t.Error("and verified")
	}
	// Proven later by bob, it signs the other one in all the same.
	out = as[*mfa.Outcome](t)(w.signIn("bob"))
	w.addAddress(out.Session.ID, mfa.Email, "bob@example.com")
	if u := w.user(bob); u.EmailVerified || len(u.Credentials) != 1 {
		t.Errorf("verified %v with %d factors", u.EmailVerified, len(u.Credentials))
	}
}

// B27: a code that signs in is a first factor, and its mailbox no second one.
func TestGate_B27_SignInByCode(t *testing.T) {
	w, ctx := lettered(t), t.Context()
	out := w.signUp(alicesMail)
	out, _, err := w.gate.SetUpAddress(ctx, w.at, out.Session.ID, mfa.Email, mfa.AddressInput{Typed: alicesMail}, false)
	out = w.wantsNext(out, err, mfa.SetUp, mfa.ReasonAddAnother)
	p, out := w.addPhone(out.Session.ID)
	w.wantsNext(out, nil, mfa.Allow, "")
	w.wait(time.Hour)

	out, err = w.byCode("Alice@example.com")
	out = w.wantsNext(out, err, mfa.Verify, mfa.ReasonNotVerified)
	id := out.Session.ID
	st := as[*mfa.State](t)(w.gate.State(ctx, w.at, id))
	for _, m := range st.Methods {
		if m.Kind == mfa.Email && (m.Available || m.Why != mfa.ReasonSameChannel) {
			t.Errorf("%+v", m)
		}
	}
	if st.Preferred != mfa.TOTP {
		t.Errorf("the page that opens is %q", st.Preferred)
	}
	_, err = w.gate.SendCode(ctx, w.at, id, mfa.Email, "", false)
	wants(t, err, mfa.ErrNotAllowed)
	cred := w.user(out.Session.User).Credentials[0].ID
	_, err = w.gate.SendCode(ctx, w.at, id, mfa.Email, cred, false)
	wants(t, err, mfa.ErrNotAllowed)
	// Past the enrolled app there is no set-up, nor a way around it.
	for _, try := range []func() error{
		func() error {
			_, _, err := w.gate.SetUpAddress(ctx, w.at, id, mfa.Email, mfa.AddressInput{Typed: otherMail}, false)
			return err
		},
		func() error { _, err := w.gate.BeginTOTP(ctx, w.at, id); return err },
		func() error { _, err := w.gate.Skip(ctx, w.at, id); return err },
	} {
		if try() == nil {
			t.Error("a code alone gained something beside an enrolled factor")
		}
	}
	out, err = w.gate.VerifyTOTP(ctx, w.at, id, p.code(w.clock()))
	w.wantsNext(out, err, mfa.Allow, "")

	// The same mailbox after a password is a second factor.
	in := as[*mfa.Outcome](t)(w.gate.SignIn(ctx, w.at, "local", alicesMail, goodPassword))
	as[*mfa.SentTo](t)(w.gate.SendCode(ctx, w.at, in.Session.ID, mfa.Email, "", false))
	in, err = w.gate.VerifySent(ctx, w.at, in.Session.ID, mfa.Email, w.post.Code(alicesMail))
	w.wantsNext(in, err, mfa.Allow, "")
}

// B12, B27: nothing enrolled, signed in by a code: the mailbox can be chosen, completes
// nothing, and a further factor is forced, whatever is tried instead.
func TestGate_B12_ChannelOfTheFirstFactor(t *testing.T) {
	w, ctx := lettered(t), t.Context()
	w.policy.Factors |= mfa.KindsOf(mfa.BackupCode)
	w.signUp(alicesMail) // leaves before anything is set up
	w.wait(time.Hour)
	w.post.Reset()
	out, err := w.byCode(alicesMail)
	out = w.wantsNext(out, err, mfa.SetUp, mfa.ReasonNothingSetUp)
	out, sent, err := w.gate.SetUpAddress(ctx, w.at, out.Session.ID, mfa.Email, mfa.AddressInput{Typed: alicesMail}, false)
	out = w.wantsNext(out, err, mfa.SetUp, mfa.ReasonAddAnother)
	if sent != nil || out.Decision.Skippable || out.Session.Complete {
		t.Errorf("sent %+v, %+v", sent, out.Decision)
	}
	id := out.Session.ID
	_, err = w.gate.Skip(ctx, w.at, id)
	wants(t, err, mfa.ErrNotAllowed)
	// Codes on paper are not the further factor that is forced.
	if _, err := w.gate.BeginCodes(ctx, w.at, id); err == nil {
		t.Error("backup codes can be made beside the channel of the first factor alone")
	}
	p, out := w.addPhone(id)
	w.wantsNext(out, nil, mfa.SetUp, mfa.ReasonNoCodes)
	_, out = w.addCodes(out.Session.ID)
	w.wantsNext(out, nil, mfa.Allow, "")
	_ = p
}

// A code that waits is good for the browser that asked, at its place, for five tries and
// five minutes; the newest of a page is not the only one, because strangers could
// otherwise end an owner's.
func TestGate_Waiting_IsBound(t *testing.T) {
	w, ctx := lettered(t), t.Context()
	w.signUp(alicesMail)
	w.wait(time.Hour)
	wait := as[*mfa.Waiting](t)(w.gate.SendSignInCode(ctx, w.at, alicesMail))
	code := w.post.Code(alicesMail)
	seen := as[*mfa.Waiting](t)(w.gate.Waiting(ctx, w.at, wait.ID))
	if !reflect.DeepEqual(seen, wait) {
		t.Errorf("a reload shows %+v, want %+v", seen, wait)
	}
	other := *w.at
	other.Origin = "https://other.example.com"
	for name, try := range map[string]func() error{
		"at another place": func() error { _, _, err := w.gate.FinishWaiting(ctx, &other, wait.ID, code); return err },
		"in another browser": func() error {
			_, _, err := w.gate.FinishWaiting(ctx, w.at, "made up", code)
			return err
		},
		"with no name": func() error { _, _, err := w.gate.FinishWaiting(ctx, w.at, "", code); return err },
	} {
		if err := try(); !errors.Is(err, mfa.ErrExpired) {
			t.Errorf("%s: %v", name, err)
		}
	}
	// A link, a pass and a passkey's challenge are no codes.
	token := as[string](t)(mfatest.NewDesk(w.gate).ResetPassword(ctx, alicesMail))
	_, _, err := w.gate.FinishWaiting(ctx, w.at, token, code)
	wants(t, err, mfa.ErrExpired)
	if _, err := w.gate.OpenLink(ctx, w.at, token); err != nil {
		t.Errorf("and the link was spent: %v", err)
	}
	if _, err := w.gate.OpenLink(ctx, w.at, wait.ID); !errors.Is(err, mfa.ErrExpired) {
		t.Errorf("a code is a link: %v", err)
	}
	// Each wrong try gives it another name; the old one is gone.
	for n := 1; n < mfa.SentCodeTries; n++ {
		old := wait.ID
		_, again, err := w.gate.FinishWaiting(ctx, w.elsewhere(fmt.Sprint(n)), wait.ID, wrong(code))
		if !errors.Is(err, mfa.ErrRejected) || again == nil || again.Expires != wait.Expires {
			t.Fatalf("try %d: %+v, %v", n, again, err)
		}
		wait = again
		_, _, err = w.gate.FinishWaiting(ctx, w.at, old, code)
		wants(t, err, mfa.ErrExpired)
	}
	_, again, err := w.gate.FinishWaiting(ctx, w.at, wait.ID, wrong(code))
	if !errors.Is(err, mfa.ErrExpired) || again != nil {
		t.Errorf("the fifth: %+v, %v", again, err)
	}
	must(t, mfatest.NewDesk(w.gate).Unlock(ctx, alicesMail))

	w.wait(time.Hour)
	wait = as[*mfa.Waiting](t)(w.gate.SendSignInCode(ctx, w.at, alicesMail))
	w.wait(mfa.SentCodeLife)
	_, err = w.gate.Waiting(ctx, w.at, wait.ID)
	wants(t, err, mfa.ErrExpired)
	w.wait(-time.Hour) // AC-108
	_, _, err = w.gate.FinishWaiting(ctx, w.at, wait.ID, w.post.Code(alicesMail))
	wants(t, err, mfa.ErrExpired)
}

// AC-089, AC-101: wrong codes count against the account over all codes; what is refused
// is not looked at, waits on, and costs the store nothing that stays.
func TestGate_AC100_SignInCodes(t *testing.T) {
	store := &counting{Store: newStore(t)}
	w, ctx := newWorldOn(t, store), t.Context()
	w.signUp(alicesMail)
	compared := 0
	for _, address := range []string{alicesMail, "nobody@example.com"} {
		w.wait(24 * time.Hour)
		compared = 0
		for i := range 3 {
			wait := as[*mfa.Waiting](t)(w.gate.SendSignInCode(ctx, w.elsewhere(fmt.Sprint("ask", i)), address))
			for range 3 {
				id := wait.ID
				_, again, err := w.gate.FinishWaiting(ctx, w.elsewhere(fmt.Sprint("try", compared)), id, "12345678")
				if !throttled(err) {
					compared++
					wait = again
					continue
				}
				if again == nil || again.ID != id {
					t.Fatalf("%s: what is refused waits as %+v", address, again)
				}
			}
			if i < 2 {
				continue
			}
			// Whoever goes on knocking leaves nothing behind.
			if cost := store.cost(func() {
				for range 20 {
					_, _, _ = w.gate.FinishWaiting(ctx, w.at, wait.ID, "12345678")
				}
			}); cost != "40 reads, 20 writes" { // the writes are those of a counter that refuses
				t.Errorf("%s: refused tries cost %s", address, cost)
			}
		}
		if compared != 5 {
			t.Errorf("%s: %d wrong codes were compared, want 5", address, compared)
		}
	}
}

// A stranger guesses at codes of signing up with a mailbox until it is refused. Its owner
// makes an account with it all the same, some time later: nobody could end a lock.
func TestGate_SignUp_StrangersDoNotLockAnAddress(t *testing.T) {
	w, ctx := lettered(t), t.Context()
	compared := 0
	for i := 0; compared < 60; i++ {
		at := w.elsewhere(fmt.Sprint("bot", i))
		_, wait, err := w.gate.BeginSignUp(ctx, at, mfa.SignUpInput{Name: alicesMail, Password: goodPassword})
		must(t, err)
		var later *mfa.ThrottledError
		for wait != nil {
			_, again, err := w.gate.FinishWaiting(ctx, at, wait.ID, "12345678")
			if errors.As(err, &later) {
				if later.Locked {
					t.Fatal("locked for ever")
				}
				w.wait(later.RetryAfter)
				break
			}
			compared++
			wait = again
		}
	}
	w.wait(24 * time.Hour)
	w.post.Reset()
	w.signUp(alicesMail)
}

// B39, AC-169: a link for a forgotten password proves the mailbox once, ends all sessions,
// removes no factor, and its mailbox is no second factor in what follows.
func TestGate_B39_ForgottenPassword(t *testing.T) {
	w, ctx := lettered(t), t.Context()
	out := w.signUp(alicesMail)
	user := out.Session.User
	out, _, err := w.gate.SetUpAddress(ctx, w.at, out.Session.ID, mfa.Email, mfa.AddressInput{Typed: alicesMail}, false)
	must(t, err)
	p, full := w.addPhone(out.Session.ID)
	w.wantsNext(full, nil, mfa.Allow, "")
	w.wait(time.Hour)
	w.post.Reset()
	half := as[*mfa.Outcome](t)(w.gate.SignIn(ctx, w.at, "local", alicesMail, goodPassword))

	ask := func() string {
		must(t, w.gate.ForgotPassword(ctx, w.at, alicesMail, func(token string) string { return token }))
		return w.post.Link(alicesMail)
	}
	first, token := ask(), ask()
	l := w.post.To(alicesMail)[0]
	if l.Kind != mfa.LetterPasswordReset || l.UserName != alicesMail || l.Life != 30*time.Minute || len(l.Code) != 0 {
		t.Errorf("%+v", l)
	}
	_, err = w.gate.OpenLink(ctx, w.at, first)
	wants(t, err, mfa.ErrExpired) // a newer one replaces it
	as[*mfa.State](t)(w.gate.State(ctx, w.at, full.Session.ID))
	w.post.Reset()
	const next = "another good long password"
	out, err = w.gate.AcceptLink(ctx, w.at, mfa.LinkInput{Token: token, Password: next, Email: "mallory@example.org", DisplayName: "Mallory"})
	out = w.wantsNext(out, err, mfa.Verify, mfa.ReasonNotVerified)
	if u := w.user(user); u.Email != alicesMail || !u.EmailVerified || u.DisplayName != "" || len(u.Credentials) != 2 {
		t.Errorf("B39 more than the password changed: %q %v %q, %d factors", u.Email, u.EmailVerified, u.DisplayName, len(u.Credentials))
	}
	for _, id := range []mfa.SessionID{full.Session.ID, half.Session.ID} {
		_, err = w.gate.State(ctx, w.at, id)
		wants(t, err, mfa.ErrNoSession)
	}
	_, err = w.gate.SignIn(ctx, w.at, "local", alicesMail, goodPassword)
	wants(t, err, mfa.ErrRejected)
	_, err = w.gate.AcceptLink(ctx, w.at, mfa.LinkInput{Token: token, Password: next})
	wants(t, err, mfa.ErrExpired)
	if letters := w.post.To(alicesMail); len(letters) != 1 || letters[0].Notice == nil || letters[0].Notice.Kind != mfa.NoticePassword {
		t.Errorf("a new password is told by %+v", letters)
	}

	// B27, and no set-up past what is enrolled.
	_, err = w.gate.SendCode(ctx, w.at, out.Session.ID, mfa.Email, "", false)
	wants(t, err, mfa.ErrNotAllowed)
	if _, err = w.gate.BeginTOTP(ctx, w.at, out.Session.ID); err == nil {
		t.Error("a mailbox alone reached set-up past the enrolled app")
	}
	out, err = w.gate.VerifyTOTP(ctx, w.at, out.Session.ID, p.code(w.clock()))
	w.wantsNext(out, err, mfa.Allow, "")

	// Too old, and for a mailbox that is another one by now (AC-164).
	w.wait(24 * time.Hour)
	late := ask()
	w.wait(30 * time.Minute)
	_, err = w.gate.AcceptLink(ctx, w.at, mfa.LinkInput{Token: late, Password: next})
	wants(t, err, mfa.ErrExpired)
	for name, f := range map[string]func(*mfa.User){
		"another address":   func(u *mfa.User) { u.Email = otherMail },
		"not verified":      func(u *mfa.User) { u.EmailVerified = false },
		"disabled":          func(u *mfa.User) { u.Disabled = true },
		"replaced by admin": func(u *mfa.User) { u.Link = "another" },
	} {
		w.wait(24 * time.Hour)
		token := ask()
		w.change(user, f)
		if _, err = w.gate.AcceptLink(ctx, w.at, mfa.LinkInput{Token: token, Password: next}); !errors.Is(err, mfa.ErrExpired) {
			t.Errorf("%s: %v", name, err)
		}
		w.change(user, func(u *mfa.User) { u.Email, u.EmailVerified, u.Disabled = alicesMail, true, false })
	}
}

// B39: with nothing enrolled the link is a first factor like any other, and B17 holds.
func TestGate_B39_ForgottenPasswordEnrollsLikeAPassword(t *testing.T) {
	w, ctx := lettered(t), t.Context()
	w.signUp(alicesMail) // leaves before anything is set up
	w.policy.Enrollment = mfa.Enrollment{}
	must(t, w.gate.ForgotPassword(ctx, w.at, alicesMail, func(token string) string { return token }))
	out := as[*mfa.Outcome](t)(w.gate.AcceptLink(ctx, w.at, mfa.LinkInput{Token: w.post.Link(alicesMail), Password: goodPassword}))
	w.wantsNext(out, nil, mfa.SetUp, mfa.ReasonNothingSetUp)
	_, err := w.gate.BeginTOTP(ctx, w.at, out.Session.ID)
	wants(t, err, mfa.ErrEnrollmentClosed)
}

// AC-097: strangers ask for links in alice's name until no more are sent that day. Her
// own browser gets one.
func TestGate_AC097_ForgottenInAKnownBrowser(t *testing.T) {
	w, ctx := lettered(t), t.Context()
	out := w.signUp(alicesMail)
	_, out = w.addPhone(out.Session.ID)
	w.wantsNext(out, nil, mfa.Allow, "")
	home := *w.at
	home.Devices = out.Device
	w.wait(24 * time.Hour)
	w.post.Reset()
	link := func(token string) string { return token }
	for i := range 100 {
		must(t, w.gate.ForgotPassword(ctx, w.elsewhere(fmt.Sprint("bot", i)), alicesMail, link))
	}
	if n := len(w.post.To(alicesMail)); n != 3 {
		t.Errorf("%d letters of a day, want 3", n)
	}
	for i := range 30 {
		_, _ = w.gate.SendSignInCode(ctx, w.elsewhere(fmt.Sprint("bots", i)), alicesMail)
	}
	before := len(w.post.To(alicesMail))
	must(t, w.gate.ForgotPassword(ctx, &home, alicesMail, link))
	as[*mfa.Waiting](t)(w.gate.SendSignInCode(ctx, &home, alicesMail))
	if n := len(w.post.To(alicesMail)) - before; n != 2 {
		t.Errorf("her own browser got %d letters, want a link and a code", n)
	}
}

// AC-171: what one network may ask for in the name of others.
func TestGate_AC171_NetworkOfStrangers(t *testing.T) {
	w, ctx := lettered(t), t.Context()
	for _, network := range []string{"192.0.2.0/24", ""} {
		at, sent := w.elsewhere(network), 0
		for i := range 30 {
			var err error
			address := fmt.Sprintf("user%d@example.com", i)
			switch i % 3 {
			case 0:
				_, err = w.gate.SendSignInCode(ctx, at, address)
			case 1:
				_, _, err = w.gate.BeginSignUp(ctx, at, mfa.SignUpInput{Name: address, Password: goodPassword})
			default:
				err = w.gate.ForgotPassword(ctx, at, address, func(string) string { return "" })
			}
			if err == nil {
				sent++
			} else if !throttled(err) {
				t.Fatal(err)
			}
		}
		if sent != 10 {
			t.Errorf("network %q: %d of 30 requests were heard, want 10", network, sent)
		}
	}
}

// AC-091: one customer has 65,536 networks of IPv6, and is heard no more often for it,
// neither with letters nor with ceremonies that are kept.
func TestGate_AC091_StrangersOfManyNetworks(t *testing.T) {
	for name, c := range map[string]struct {
		network     func(i int) string
		ask         func(w *world, at *mfa.Place, i int) error
		tries, want int
	}{
		"letters to a /56":    {func(i int) string { return fmt.Sprintf("2001:db8:0:%x::/64", i) }, askCode, 60, 20},
		"letters to a /48":    {func(i int) string { return fmt.Sprintf("2001:db8:0:%x::/64", i<<8) }, askCode, 60, 40},
		"ceremonies of a /56": {func(i int) string { return fmt.Sprintf("2001:db8:0:%x::/64", i%256) }, askPasskey, 300, 240},
		"letters to others":   {func(i int) string { return fmt.Sprintf("2001:db8:%x::/64", i) }, askCode, 60, 60},
	} {
		w, heard := lettered(t), 0
		for i := range c.tries {
			switch err := c.ask(w, w.elsewhere(c.network(i)), i); {
			case err == nil:
				heard++
			case !throttled(err):
				t.Fatal(err)
			}
		}
		if heard != c.want {
			t.Errorf("%s: %d requests were heard, want %d", name, heard, c.want)
		}
	}
}

func askCode(w *world, at *mfa.Place, i int) error {
	_, err := w.gate.SendSignInCode(w.t.Context(), at, fmt.Sprintf("user%d@example.com", i))
	return err
}

func askPasskey(w *world, at *mfa.Place, _ int) error {
	_, err := w.gate.BeginPasskeySignIn(w.t.Context(), at)
	return err
}

// Whoever made an account with an address is a user like any: an administrator finds
// them by it.
func TestGate_B35_AccountsOfAddresses(t *testing.T) {
	w, ctx := lettered(t), t.Context()
	for _, address := range []string{alicesMail, alicesPhone} {
		out := w.signUp(address)
		_, out = w.addPhone(out.Session.ID)
		spelling := strings.ToUpper(address)
		if info, err := mfatest.NewDesk(w.gate).UserInfo(ctx, spelling); err != nil || info.ID != out.Session.User {
			t.Errorf("%s: %v", spelling, err)
			continue
		}
		as[string](t)(mfatest.NewDesk(w.gate).ResetPassword(ctx, address))
		must(t, mfatest.NewDesk(w.gate).RemoveFactors(ctx, address, mfa.TOTP))
		must(t, mfatest.NewDesk(w.gate).Unlock(ctx, address))
		must(t, mfatest.NewDesk(w.gate).SetDisabled(ctx, address, true))
		if _, _, err := mfatest.NewDesk(w.gate).Bypass(ctx, address, 0, "lost"); err != nil {
			t.Error(err)
		}
		if _, err := w.gate.SignIn(ctx, w.at, "local", address, goodPassword); !errors.Is(err, mfa.ErrRejected) {
			t.Errorf("disabled, and signed in: %v", err)
		}
	}
	_, err := mfatest.NewDesk(w.gate).UserInfo(ctx, "nobody@example.com")
	wants(t, err, mfa.ErrNotFound)
	// An unverified address is no name (B35): it could be anybody's.
	bob := w.invited("bob").Session.User
	w.change(bob, func(u *mfa.User) { u.Email = "bob@example.com" })
	_, err = mfatest.NewDesk(w.gate).UserInfo(ctx, "bob@example.com")
	wants(t, err, mfa.ErrNotFound)
}
