package pages_test

import (
	"context"
	"errors"
	"fmt"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/chromedp/chromedp"

	"github.com/secondgate/secondgate/mfa"
	"github.com/secondgate/secondgate/mfa/factor/otpcode"
	"github.com/secondgate/secondgate/mfa/mfatest"
	"github.com/secondgate/secondgate/pages"
)

// mailbox keeps what the gate sends.
type mailbox struct{ mfatest.Post }

// codes returns the letters that are no notices, oldest first.
func (m *mailbox) codes() []mfa.Letter {
	return slices.DeleteFunc(m.All(), func(l mfa.Letter) bool { return l.Kind == mfa.LetterNotice })
}

func (m *mailbox) count() int { return len(m.codes()) }

// last returns the newest of them.
func (m *mailbox) last(t *testing.T) mfa.Letter {
	t.Helper()
	list := m.codes()
	if len(list) == 0 {
		t.Fatal("no letter has come")
	}
	return list[len(list)-1]
}

func (m *mailbox) code(t *testing.T) string {
	t.Helper()
	return string([]byte(m.last(t).Code))
}

// mailHouse is a house with a mailbox.
type mailHouse struct {
	*house
	post *mailbox
}

func newMailHouse(t *testing.T) *mailHouse {
	t.Helper()
	codes, err := otpcode.New(otpcode.Config{Countries: []string{"DE"}})
	if err != nil {
		t.Fatal(err)
	}
	post := &mailbox{}
	return &mailHouse{newHouse(t, func(cfg *mfa.Config) {
		cfg.Post, cfg.SentCodes = post, codes
		cfg.SignInCodes, cfg.SignUp = mfa.KindsOf(mfa.Email), mfa.SignUp{Channels: mfa.KindsOf(mfa.Email)}
	}), post}
}

// invited comes by an invitation and has chosen a password.
func (h *mailHouse) invited(t *testing.T, email string) *reader {
	t.Helper()
	token, err := mfatest.NewDesk(h.gate).Invite(t.Context(), mfa.InviteInput{Name: "alice", Email: email})
	if err != nil {
		t.Fatal(err)
	}
	r := newReader(t)
	r.open(h.url + "/.mfa/link")
	r.submit("token", "token", token)
	r.submit("password", "password", password, "email", email)
	return r
}

// signsIn enters the name and the password at a page of the app.
func (h *mailHouse) signsIn(r *reader) {
	r.t.Helper()
	r.open(h.url + "/private")
	r.submit("name", "name", "alice", "password", password)
}

func (h *mailHouse) signsOut(r *reader) {
	r.t.Helper()
	r.open(h.url + "/.mfa/sign-out")
	r.submit("csrf")
}

// not fails where the page says one of the texts.
func (r *reader) not(texts ...string) {
	r.t.Helper()
	for _, text := range texts {
		if strings.Contains(r.body, text) {
			r.t.Fatalf("%s says %q:\n%s", r.at, text, r.body)
		}
	}
}

var refButton = regexp.MustCompile(`name="ref" value="([0-9a-f]+)"`)

// A person without scripts sets an address on file up, verifies with it, lets the
// browser be remembered and forgets it again (rules B12, B13, B21, B22, B29).
func TestFlow_EmailWithoutScripts(t *testing.T) {
	h := newMailHouse(t)
	h.policy.Factors = mfa.KindsOf(mfa.Email, mfa.SMS, mfa.BackupCode)
	h.policy.RememberDevice = 30 * 24 * time.Hour
	r := h.invited(t, "alice@example.com")
	r.expect("/.mfa/set-up", "Text message", "Email code", "Only as safe as your mailbox")

	r.open(h.url + "/.mfa/set-up/email?rd=%2Fprivate")
	r.expect("/.mfa/set-up/email", "al****@example.com", "We send a code there first", "Another email address")
	r.not("alice@example.com")
	r.submit("address", "address", "alice@")
	r.expect("/.mfa/set-up/email", "not a whole email address", `value="alice@"`, "<title>Error:")
	if h.post.count() != 0 {
		t.Fatal("a code went out to an address that is none")
	}
	r.submit("ref", "ref", refButton.FindStringSubmatch(r.body)[1])
	r.expect("/.mfa/set-up/email/code", "We sent a code to <strong><bdi>al****@example.com", `autocomplete="one-time-code"`, `inputmode="numeric"`, `data-digits="8"`)
	if l := h.post.last(t); l.Kind != mfa.LetterSetUp || l.To != "alice@example.com" || l.Language != "en" || len(l.Code) != 8 {
		t.Fatalf("the letter is %+v", l)
	}
	first := h.post.code(t)
	r.open(r.at.String())
	r.submit("again")
	r.expect("/.mfa/set-up/email/code", "Another code can be sent in")
	r.not("We sent another code")
	if n := h.post.count(); n != 1 {
		t.Fatalf("B22: a reload and a press too soon sent %d codes", n)
	}
	h.wait(61 * time.Second)
	r.submit("again")
	r.expect("/.mfa/set-up/email/code", "We sent another code. Only the newest one works")
	if n := h.post.count(); n != 2 {
		t.Fatalf("%d codes went out, want 2", n)
	}
	r.submit("code", "code", first)
	r.expect("/.mfa/set-up/email/code", "That code didn’t match", "<title>Error:")
	code := h.post.code(t)
	r.submit("code", "code", code[:4]+" "+code[4:])
	r.expect("/.mfa/set-up/backup-codes", "Step 2 of 2")
	r.submit("saved", "saved", "yes")
	r.expect("/private", "Hello alice")

	// The next sign-in: the page opens, and its code goes out once.
	h.signsOut(r)
	h.wait(time.Hour)
	sent := h.post.count()
	h.signsIn(r)
	r.expect("/.mfa/verify", "We sent a code to", "al****@example.com", "Don’t ask again on this device for 30 days", "Try another method")
	for range 3 {
		r.open(r.at.String())
	}
	if n := h.post.count() - sent; n != 1 {
		t.Fatalf("B22: a page that was opened four times sent %d codes", n)
	}
	if l := h.post.last(t); l.Kind != mfa.LetterVerify {
		t.Fatalf("the letter is %+v", l)
	}
	r.submit("code", "code", wrong(h.post.code(t)), "remember", "yes")
	r.expect("/.mfa/verify/email", "That code didn’t match", `value="yes" checked`)
	h.wait(5 * time.Minute)
	r.submit("code", "code", h.post.code(t))
	r.expect("/.mfa/verify/email", "That code has run out", "5 minutes and 5 tries", "Send a new code")
	r.not(`name="code"`)
	if n := h.post.count() - sent; n != 1 {
		t.Fatalf("a code that had run out sent %d", n)
	}
	r.submit("again")
	r.expect("/.mfa/verify/email", "We sent a code to")
	r.submit("code", "code", h.post.code(t), "remember", "yes")
	r.expect("/private", "Hello alice")

	// This browser is not asked again, and says so where it can be ended.
	h.signsOut(r)
	sent = h.post.count()
	h.signsIn(r)
	r.expect("/private", "Hello alice")
	if h.post.count() != sent {
		t.Error("B29: a remembered device was sent a code")
	}
	r.open(h.url + "/.mfa/account")
	r.expect("/.mfa/account", "al****@example.com", "Where you’re not asked again", "Forget", "Add a phone number")
	r.not("Rename")
	r.submit("device", "device", regexp.MustCompile(`name="device" value="([^"]+)"`).FindStringSubmatch(r.body)[1])
	r.expect("/.mfa/account", "That browser is asked again")
	r.not("Where you’re not asked again")
	h.signsOut(r)
	h.wait(time.Hour)
	h.signsIn(r)
	r.expect("/.mfa/verify", "We sent a code to")
}

// A remembered device stands for nothing where a route asks for more, and the page of
// a step-up does not offer to remember (rule B29).
func TestFlow_RememberedIsNotAsked(t *testing.T) {
	h := newMailHouse(t)
	h.policy.RememberDevice = 24 * time.Hour
	_, secret := h.alice(t)
	h.wait(time.Hour)
	r := newReader(t)
	h.signsIn(r)
	r.expect("/.mfa/verify", "Don’t ask again on this device for 24 hours")
	r.submit("code", "code", h.code(t, secret), "remember", "yes")
	r.expect("/private")
	h.signsOut(r)
	h.wait(11 * time.Minute)
	h.signsIn(r)
	r.expect("/private", "Hello alice")
	r.open(h.url + "/.mfa/set-up/totp?from=account")
	r.expect("/.mfa/verify", "Before you change how you sign in")
	r.not("Don’t ask again")
}

// Five wrong codes are the end of one; the page then offers another, and sends none by
// itself.
func TestFlow_EmailTriesRunOut(t *testing.T) {
	h := newMailHouse(t)
	h.policy.Factors = mfa.KindsOf(mfa.Email)
	r := h.withEmail(t)
	h.signsOut(r)
	h.wait(time.Hour)
	h.signsIn(r)
	code, sent := h.post.code(t), h.post.count()
	for i := range 5 {
		if i > 0 {
			h.wait(31 * time.Second) // the throttle's own wait
		}
		r.submit("code", "code", wrong(code))
	}
	r.expect("/.mfa/verify/email", "That code has run out", "Send a new code", "<title>Error:")
	if n := h.post.count(); n != sent {
		t.Errorf("%d codes went out by themselves", n-sent)
	}
}

// withEmail has alice@example.com as the one second factor, and is signed in.
func (h *mailHouse) withEmail(t *testing.T) *reader {
	t.Helper()
	r := h.invited(t, "alice@example.com")
	r.expect("/.mfa/set-up/email") // the only one opens its page (rule B11)
	r.submit("ref", "ref", refButton.FindStringSubmatch(r.body)[1])
	r.submit("code", "code", h.post.code(t))
	r.expect("/", "Hello alice")
	return r
}

// Nothing goes out: the page says so, and the way on is another one.
func TestFlow_NothingGoesOut(t *testing.T) {
	h := newMailHouse(t)
	h.policy.Factors = mfa.KindsOf(mfa.Email)
	r := h.withEmail(t)
	h.signsOut(r)
	h.wait(time.Hour)
	h.post.Fail(mfa.ErrNotSent)
	h.signsIn(r)
	r.expect("/.mfa/verify", "We couldn’t send the code", "I have a code from my administrator", "<title>Error:")
	if r.status != 503 {
		t.Errorf("status %d", r.status)
	}
	r.not(`name="code"`)
	h.post.Fail(nil)
	r.submit("again")
	r.expect("/.mfa/verify/email", "We sent a code to", "We sent another code")
	// The code before is gone once another was asked for, whether that went out or not.
	h.wait(61 * time.Second)
	h.post.Fail(errors.New("the provider says no to alice@example.com"))
	r.submit("again")
	r.expect("/.mfa/verify/email/send", "We couldn’t send the code", "Send a new code")
	r.not("the provider")
	h.post.Fail(nil)

	// Several codes in a row: the page says how long to wait.
	h.wait(61 * time.Second)
	r.submit("again")
	r.expect("/.mfa/verify/email/send", "We sent several codes already. Wait")
	if r.status != 429 {
		t.Errorf("status %d", r.status)
	}
	h.wait(6 * time.Minute)
	h.post.Fail(mfa.ErrBusy)
	r.submit("again")
	r.expect("/.mfa/verify/email/send", "Many codes are being sent right now")
	h.post.Fail(nil)

	// No sender at all: the list says why, and a bypass still gets in.
	h.post.Off(mfa.Email)
	r.open(h.url + "/.mfa/verify?rd=%2Fprivate")
	r.expect("/.mfa/verify", "can’t verify here right now", "We can’t send codes this way right now", "al****@example.com", "verify/bypass")
}

// Two addresses and a number: one line each, and each gets its own code (rule B21).
func TestFlow_SeveralAddresses(t *testing.T) {
	h := newMailHouse(t)
	h.policy.Factors = mfa.KindsOf(mfa.Email, mfa.SMS)
	r := h.invited(t, "alice@example.com")
	r.open(h.url + "/.mfa/set-up/email")
	r.submit("ref", "ref", refButton.FindStringSubmatch(r.body)[1])
	r.submit("code", "code", h.post.code(t))
	r.open(h.url + "/.mfa/set-up/email?from=account")
	r.submit("address", "address", "Alice@Example.com ")
	r.expect("/.mfa/set-up/email", "You get codes at this address already")
	r.submit("address", "address", "other@example.org")
	r.expect("/.mfa/set-up/email/code", "ot****@example.org", "Use another address")
	// Another address before the code came: the code of the first is good for nothing.
	abandoned := h.post.code(t)
	r.open(h.url + "/.mfa/set-up/email?from=account")
	h.wait(61 * time.Second)
	r.submit("address", "address", "third@example.net")
	r.expect("/.mfa/set-up/email/code", "th****@example.net")
	r.submit("code", "code", abandoned)
	r.expect("/.mfa/set-up/email/code", "didn’t match")
	r.submit("code", "code", h.post.code(t))
	r.expect("/.mfa/account", "th****@example.net")
	r.not("ot****@example.org")

	r.open(h.url + "/.mfa/set-up/sms?from=account")
	for typed, says := range map[string]string{"12": "not a whole phone number", "+44 7700 900123": "No text message goes to this number"} {
		r.submit("address", "address", typed)
		r.expect("/.mfa/set-up/sms", says)
	}
	r.submit("address", "address", "+49 1512 3456789")
	r.expect("/.mfa/set-up/sms/code", "•••• 89", `data-digits="6"`)
	if l := h.post.last(t); l.Channel != mfa.SMS || l.To != "+4915123456789" || len(l.Code) != 6 {
		t.Fatalf("the letter is %+v", l)
	}
	r.submit("code", "code", h.post.code(t))
	r.expect("/.mfa/account", "•••• 89", "Text message")

	h.signsOut(r)
	h.wait(2 * time.Hour)
	sent := h.post.count()
	h.signsIn(r)
	r.expect("/.mfa/verify", "Choose how to verify", "al****@example.com", "th****@example.net", "•••• 89")
	if n := h.post.count(); n != sent {
		t.Errorf("B22: the list sent %d codes", n-sent)
	}
	var links []string
	for _, m := range regexp.MustCompile(`href="(/\.mfa/verify/email\?cred=[^"]+)"`).FindAllStringSubmatch(r.body, -1) {
		links = append(links, strings.ReplaceAll(m[1], "&amp;", "&"))
	}
	if len(links) != 2 {
		t.Fatalf("%d links to an address", len(links))
	}
	for i, to := range []string{"alice@example.com", "third@example.net"} {
		r.open(h.url + links[i])
		if l := h.post.last(t); l.To != to {
			t.Errorf("link %d sent to %q, want %q", i, l.To, to)
		}
	}
	// An address that is nobody's sends nothing.
	sent = h.post.count()
	r.open(h.url + "/.mfa/verify/email?cred=nonsense")
	r.expect("/.mfa/verify/email", "Choose how to verify")
	if h.post.count() != sent {
		t.Error("a code went to nobody's address")
	}
	// Nor does the page after it, which still waits for the one on its way.
	r.open(h.url + "/.mfa/verify/email?rd=%2Fprivate")
	r.expect("/.mfa/verify/email", "th****@example.net")
	if h.post.count() != sent {
		t.Error("a code went out though one was on its way")
	}
	r.submit("code", "code", h.post.code(t))
	r.expect("/.mfa/notices", "Added: Email code", "Added: Text message")
	r.submit("last")
	r.expect("/private", "Hello alice")

	// Removing one says what is lost; an address has no name to change.
	r.open(h.url + "/.mfa/account")
	remove := regexp.MustCompile(`href="(/\.mfa/account/remove[^"]*)"`).FindAllStringSubmatch(r.body, -1)
	r.open(h.url + strings.ReplaceAll(strings.Replace(remove[0][1], "remove", "rename", 1), "&amp;", "&"))
	r.expect("/.mfa/account")
	r.open(h.url + strings.ReplaceAll(remove[0][1], "&amp;", "&"))
	r.post("/.mfa/account/rename", "credential", regexp.MustCompile(`credential=([^&"]+)`).FindStringSubmatch(remove[0][1])[1], "name", "My own mailbox")
	r.expect("/.mfa/account", "al****@example.com")
	r.not("My own mailbox", "Renamed.")
	r.open(h.url + strings.ReplaceAll(remove[0][1], "&amp;", "&"))
	r.expect("/.mfa/account/remove", "Remove al****@example.com?", "Codes to this address no longer let you in")
	r.submit("credential")
	r.expect("/.mfa/account", "Removed.")
}

// Three addresses are the limit, and the list says so.
func TestFlow_LimitOfAddresses(t *testing.T) {
	h := newMailHouse(t)
	h.policy.Factors = mfa.KindsOf(mfa.Email)
	r := h.withEmail(t)
	for i := range mfa.MaxAddresses - 1 {
		h.wait(2 * time.Minute)
		r.open(h.url + "/.mfa/set-up/email?from=account")
		r.submit("address", "address", fmt.Sprintf("alice%d@example.org", i))
		r.submit("code", "code", h.post.code(t))
		r.expect("/.mfa/account")
	}
	r.expect("/.mfa/account", "You have as many of these as there can be")
	r.open(h.url + "/.mfa/set-up/email?from=account")
	r.expect("/.mfa/set-up", "You have as many of these as there can be")
}

// skipped is somebody who has a password and nothing set up, by whom no administrator
// stands any more.
func (h *mailHouse) skipped(t *testing.T, email string) *reader {
	t.Helper()
	h.policy.Optional = true
	r := h.invited(t, email)
	r.expect("/.mfa/set-up", "Skip for now")
	r.submit("do")
	h.signsOut(r)
	h.policy.Optional = false
	return r
}

// The first set-up needs a code to the address on file (rule B17).
func TestFlow_ConfirmFirst(t *testing.T) {
	h := newMailHouse(t)
	r := h.skipped(t, "alice@example.com")
	h.policy.Enrollment = mfa.Enrollment{Confirm: true}
	h.wait(time.Hour)
	h.signsIn(r)
	r.expect("/.mfa/set-up/confirm", "Confirm that it’s you", "We sent a code to", "al****@example.com", "Use a pass instead")
	r.not("alice@example.com")
	if l := h.post.last(t); l.Kind != mfa.LetterSetUp || h.post.count() != 1 {
		t.Fatalf("%d letters, the last %+v", h.post.count(), l)
	}
	r.open(r.at.String())
	r.open(h.url + "/.mfa/set-up/totp?rd=%2Fprivate")
	r.expect("/.mfa/set-up/confirm")
	if n := h.post.count(); n != 1 {
		t.Fatalf("B22: %d codes went out", n)
	}
	// The code of a confirmation is none of a set-up: nothing here goes round it.
	r.open(h.url + "/.mfa/set-up/email/code")
	r.expect("/.mfa/set-up/confirm")
	r.submit("code", "code", wrong(h.post.code(t)))
	r.expect("/.mfa/set-up/confirm", "That code didn’t match")
	h.wait(5 * time.Minute)
	r.submit("code", "code", h.post.code(t))
	r.expect("/.mfa/set-up/confirm", "That code has run out", "Send a new code")
	if n := h.post.count(); n != 1 {
		t.Fatalf("%d codes went out", n)
	}
	r.submit("again")
	r.expect("/.mfa/set-up/confirm", "We sent another code")
	r.submit("code", "code", h.post.code(t))
	r.expect("/.mfa/set-up", "Set up a second step")
	r.open(h.url + "/.mfa/set-up/totp?rd=%2Fprivate")
	r.submit("code", "code", h.code(t, secretText.FindStringSubmatch(r.body)[1]))
	r.expect("/.mfa/set-up/backup-codes")
	r.open(h.url + "/.mfa/set-up/confirm")
	r.expect("/.mfa/set-up/backup-codes")
}

// The first set-up needs an administrator's pass (rule B17).
func TestFlow_Pass(t *testing.T) {
	h := newMailHouse(t)
	r := h.skipped(t, "")
	h.policy.Enrollment = mfa.Enrollment{}
	h.signsIn(r)
	r.expect("/.mfa/set-up", "You need a pass to set this up", "Ask your administrator for one and enter it here", "For your administrator:")
	if r.status != 403 {
		t.Errorf("status %d", r.status)
	}
	r.submit("code", "code", "AAAA-BBBB-CCCC-DDDD")
	r.expect("/.mfa/set-up/pass", "That pass didn’t match", "<title>Error:")
	pass, _, err := mfatest.NewDesk(h.gate).EnrollmentPass(t.Context(), "alice", 0)
	if err != nil {
		t.Fatal(err)
	}
	r.submit("code", "code", strings.ToLower(strings.ReplaceAll(pass, "-", " ")))
	r.expect("/.mfa/set-up", "Set up a second step")
	r.open(h.url + "/.mfa/set-up/pass")
	r.expect("/.mfa/set-up", "Set up a second step")

	// Where a code to the address on file does, a pass does as well.
	h = newMailHouse(t)
	r = h.skipped(t, "alice@example.com")
	h.policy.Enrollment = mfa.Enrollment{Confirm: true}
	h.signsIn(r)
	r.open(h.url + "/.mfa/set-up/pass?rd=%2Fprivate")
	r.expect("/.mfa/set-up/pass", "Enter your pass", "Send a code to al****@example.com instead")
	if pass, _, err = mfatest.NewDesk(h.gate).EnrollmentPass(t.Context(), "alice", 0); err != nil {
		t.Fatal(err)
	}
	r.submit("code", "code", pass)
	r.expect("/.mfa/set-up", "Set up a second step")
}

// An administrator's code stands for one second factor at one sign-in, and leads to
// set-up (rule B29).
func TestFlow_Bypass(t *testing.T) {
	h := newMailHouse(t)
	h.alice(t)
	h.wait(time.Hour)
	code, _, err := mfatest.NewDesk(h.gate).Bypass(t.Context(), "alice", 0, "lost phone")
	if err != nil {
		t.Fatal(err)
	}
	r := newReader(t)
	h.signsIn(r)
	r.expect("/.mfa/verify", "Try another method")
	r.open(h.url + "/.mfa/verify/methods?rd=%2Fprivate")
	r.expect("/.mfa/verify/methods", "I have a code from my administrator")
	r.open(h.url + "/.mfa/verify/bypass?rd=%2Fprivate")
	r.submit("code", "code", "AAAA-BBBB-CCCC-DDDD")
	r.expect("/.mfa/verify/bypass", "That code didn’t match", "<title>Error:")
	r.submit("code", "code", code)
	r.expect("/.mfa/set-up", "Set up a second step of your own", "Skip for now", "Next time you need what you had before")
	r.submit("do")
	r.expect("/private", "Hello alice")
	// It is spent, and no verification is owed any more.
	r.open(h.url + "/.mfa/verify/bypass?rd=%2Fprivate")
	r.expect("/private")
	r = newReader(t)
	h.signsIn(r)
	r.open(h.url + "/.mfa/verify/bypass?rd=%2Fprivate")
	r.submit("code", "code", code)
	r.expect("/.mfa/verify/bypass", "That code didn’t match")
}

// signsUp makes an account by a code to an address, which is then proven in this
// sign-in.
func (h *mailHouse) signsUp(r *reader) {
	r.t.Helper()
	r.open(h.url + "/.mfa/sign-up?rd=%2Fprivate")
	r.submit("password", "name", "alice@example.com", "password", password)
	r.submit("code", "code", h.post.code(r.t))
	r.expect("/.mfa/set-up", "Set up a second step")
}

// The address that signed up is a factor by choosing it, without another code, and
// then one more is offered, once (rule B12).
func TestFlow_AlreadyVerified(t *testing.T) {
	h := newMailHouse(t)
	h.policy.Factors = mfa.KindsOf(mfa.Email, mfa.TOTP)
	r := newReader(t)
	h.signsUp(r)
	sent := h.post.count()
	r.open(h.url + "/.mfa/set-up/email?rd=%2Fprivate")
	r.expect("/.mfa/set-up/email", "al****@example.com", "Already verified: no code needed")
	r.submit("ref", "ref", refButton.FindStringSubmatch(r.body)[1])
	r.expect("/.mfa/set-up", "Add another second step", "You have this already", "Authenticator app", "Skip for now", "your only second step")
	if n := h.post.count(); n != sent {
		t.Errorf("B12: %d codes went out", n-sent)
	}
	r.submit("do")
	r.expect("/private", "Hello")
}

// Whoever signs in with a code to their address does not verify with it as well, and
// is told what helps (rule B27).
func TestFlow_SameChannel(t *testing.T) {
	h := newMailHouse(t)
	h.policy.Factors = mfa.KindsOf(mfa.Email, mfa.TOTP)
	r := newReader(t)
	h.signsUp(r)
	r.open(h.url + "/.mfa/set-up/email?rd=%2Fprivate")
	r.submit("ref", "ref", refButton.FindStringSubmatch(r.body)[1])
	r.submit("do")
	h.signsOut(r)
	h.wait(time.Hour)

	r.open(h.url + "/.mfa/sign-in/code?rd=%2Fprivate")
	r.submit("address", "address", "alice@example.com")
	r.submit("code", "code", h.post.code(t))
	r.expect("/.mfa/verify", "You signed in with the only way that you have", "al****@example.com", "Sign out and use your password", "For your administrator:")
	sent := h.post.count()
	r.open(h.url + "/.mfa/verify/email?rd=%2Fprivate")
	r.expect("/.mfa/verify/email", "You signed in with the only way")
	if h.post.count() != sent {
		t.Error("B27: a code went to the address that signed in")
	}
	// With the password, it works.
	h.signsOut(r)
	r.open(h.url + "/private")
	r.submit("name", "name", "alice@example.com", "password", password)
	r.expect("/.mfa/verify", "We sent a code to")
}

// Who is no member is told whom to ask, and not whether there is such a place
// (rule B5).
func TestFlow_NotMember(t *testing.T) {
	h := newMailHouse(t)
	_, secret := h.alice(t)
	h.wait(time.Hour)
	r := newReader(t)
	r.open(h.url + "/finance/x")
	r.expect("/.mfa/sign-in") // strangers learn nothing
	r.submit("name", "name", "alice", "password", password)
	r.expect("/.mfa/verify")
	r.submit("code", "code", h.code(t, secret))
	r.expect("/finance/x", "only for some people", "ask your administrator", "For your administrator:")
	unknown := r.body
	h.policy.Organizations = mfa.NewDirectory([]*mfa.Organization{{ID: "finance", Name: "The Finance Department"}})
	r.open(h.url + "/finance/x")
	same := func(s string) string {
		s = regexp.MustCompile(`<code>[^<]*</code>`).ReplaceAllString(s, "")
		return regexp.MustCompile(`name="csrf" value="[^"]*"`).ReplaceAllString(s, "")
	}
	if r.status != 403 || same(r.body) != same(unknown) {
		t.Errorf("B5: one can see whether it exists (%d)", r.status)
	}
	r.not("Finance Department")
}

// Where scripts run, the last digit sends the code, and the button counts down.
func TestFlow_SentCodeWithScripts(t *testing.T) {
	path := pages.FindChromium(t)
	h := newMailHouse(t)
	h.policy.Factors = mfa.KindsOf(mfa.Email)
	h.policy.RememberDevice = 30 * 24 * time.Hour
	r := h.withEmail(t)
	h.signsOut(r)
	h.wait(time.Hour)

	opts := append(chromedp.DefaultExecAllocatorOptions[:], chromedp.ExecPath(path), chromedp.Flag("disable-gpu", true),
		chromedp.Flag("host-resolver-rules", "MAP * ~NOTFOUND, EXCLUDE localhost, EXCLUDE 127.0.0.1"))
	ctx, cancel := chromedp.NewExecAllocator(t.Context(), opts...)
	defer cancel()
	ctx, cancel = chromedp.NewContext(ctx)
	defer cancel()
	ctx, cancel = context.WithTimeout(ctx, 60*time.Second)
	defer cancel()
	do := func(steps ...chromedp.Action[chromedp.Void]) {
		t.Helper()
		if err := chromedp.Do(ctx, steps...); err != nil {
			t.Fatal(err)
		}
	}
	at := func(path, text string) {
		t.Helper()
		want := fmt.Sprintf("String(document.readyState === \"complete\" && location.pathname === %q && document.body.innerText.includes(%q))", path, text)
		for deadline := time.Now().Add(20 * time.Second); time.Now().Before(deadline); time.Sleep(20 * time.Millisecond) {
			if ok, err := chromedp.Run(ctx, chromedp.Evaluate[string](want)); err == nil && ok == "true" {
				return
			}
		}
		body, _ := chromedp.Run(ctx, chromedp.Evaluate[string]("location.href + document.body.innerText"))
		t.Fatalf("not at %s with %q: %s", path, text, body)
	}
	eval := func(js string) string {
		t.Helper()
		s, err := chromedp.Run(ctx, chromedp.Evaluate[string](js))
		if err != nil {
			t.Fatal(err)
		}
		return s
	}
	do(chromedp.Navigate(h.url + "/private"))
	at("/.mfa/sign-in", "Sign in")
	do(chromedp.SendKeys(chromedp.ID("name"), "alice"), chromedp.SendKeys(chromedp.ID("password"), password+"\r"))
	at("/.mfa/verify", "We sent a code to")
	at("/.mfa/verify", "Send another code in 0:")
	if got := eval(`String(document.querySelector("[form=again]").disabled)`); got != "true" {
		t.Errorf("another code can be asked for at once: %s", got)
	}
	if got := eval("document.activeElement.id"); got != "code" {
		t.Errorf("the focus is on %q", got)
	}
	do(chromedp.Click(chromedp.CSS("[name=remember]")), chromedp.SendKeys(chromedp.ID("code"), wrong(h.post.code(t))))
	at("/.mfa/verify/email", "That code didn’t match")
	if got := eval(`String(document.querySelector("[name=remember]").checked)`); got != "true" {
		t.Error("what was ticked is lost")
	}
	// The button opens when a minute is over, and one press sends one code.
	sent := h.post.count()
	h.wait(61 * time.Second)
	do(chromedp.Navigate(h.url + "/.mfa/verify/email?rd=%2Fprivate"))
	at("/.mfa/verify/email", "Send another code")
	do(chromedp.Click(chromedp.CSS("[form=again]")))
	at("/.mfa/verify/email", "We sent another code")
	if n := h.post.count() - sent; n != 1 {
		t.Errorf("one press sent %d codes", n)
	}
	do(chromedp.SendKeys(chromedp.ID("code"), h.post.code(t)))
	at("/private", "Hello alice")
}
