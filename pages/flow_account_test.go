package pages_test

import (
	"context"
	"html"
	"net/url"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/secondgate/secondgate/mfa"
)

// keeper keeps events at once.
type keeper struct{ log mfa.EventLog }

func (k keeper) Record(ctx context.Context, e mfa.Event) {
	if err := k.log.AppendEvents(ctx, []mfa.Event{e}); err != nil {
		panic(err)
	}
}

func (k keeper) Keep(ctx context.Context, e mfa.Event) error {
	return k.log.AppendEvents(ctx, []mfa.Event{e})
}

func keepingEvents(c *mfa.Config) { c.Events = keeper{c.Store} }

// link returns the address of the page's first link whose address has these words.
func (r *reader) link(words string) string {
	r.t.Helper()
	m := regexp.MustCompile(`href="(/\.mfa/[^"]*` + words + `[^"]*)"`).FindStringSubmatch(r.body)
	if m == nil {
		r.t.Fatalf("no link with %q:\n%s", words, r.body)
	}
	to, err := r.at.Parse(html.UnescapeString(m[1]))
	if err != nil {
		r.t.Fatal(err)
	}
	return to.String()
}

// signedIn is alice in another browser, with the newest code of her app.
func (h *house) signedIn(t *testing.T, secret string) *reader {
	t.Helper()
	h.wait(time.Minute)
	r := newReader(t)
	r.open(h.url + "/.mfa/account")
	r.submit("name", "name", "alice", "password", password)
	r.submit("code", "code", h.code(t, secret))
	r.expect("/.mfa/account", "Your account")
	return r
}

// B34: somebody removes the last factor under a requirement, with a new one in its
// place; the other browser is at sign-in on its next page.
func TestFlow_B34_LastFactor(t *testing.T) {
	h := newHouse(t, keepingEvents)
	_, secret := h.alice(t)
	r, other := h.signedIn(t, secret), h.signedIn(t, secret)
	r.open(r.link("account/remove"))
	r.expect("/.mfa/account/remove", "is your last one", "Add another first", "You lose:", "Backup codes", "signed out everywhere else", "You have 10 minutes")

	// What the page leads to first: another one, and then this one may go.
	r.open(r.link("set-up"))
	r.expect("/.mfa/set-up", "Authenticator app")
	r.open(h.url + "/.mfa/account")
	r.open(r.link("account/remove"))
	h.wait(11 * time.Minute)
	r.submit("last")
	r.expect("/.mfa/verify", "Before you change how you sign in")
	r.submit("code", "code", h.code(t, secret))
	r.open(r.link("account/remove"))
	r.submit("last")
	if !strings.HasPrefix(r.at.Path, "/.mfa/set-up") {
		t.Fatalf("at %s\n%s", r.at, r.body)
	}
	other.open(h.url + "/private")
	other.expect("/.mfa/sign-in")
	app := *r
	app.open(h.url + "/private")
	if !strings.HasPrefix(app.at.Path, "/.mfa/set-up") {
		t.Errorf("the app is open without a second factor: %s", app.at)
	}
	app.open(h.url + "/.mfa/account")
	if !strings.HasPrefix(app.at.Path, "/.mfa/set-up") {
		t.Errorf("the account page is open without a second factor: %s", app.at)
	}

	r.open(h.url + "/.mfa/set-up/totp?from=account")
	fresh := secretText.FindStringSubmatch(r.body)
	if fresh == nil || fresh[1] == secret {
		t.Fatalf("no new secret on the page:\n%s", r.body)
	}
	r.submit("code", "code", h.code(t, fresh[1]))
	r.expect("/.mfa/set-up/backup-codes")
	r.submit("saved", "saved", "yes")
	r.expect("/.mfa/account", "10 unused codes left")
	r.open(h.url + "/.mfa/account/activity")
	r.expect("/.mfa/account/activity", "Added: Authenticator app", "Removed, and it was the last one: Authenticator app", "Signed in")
}

// B34: … or goes away half-way. The password alone sets nothing up then.
func TestFlow_B34_Abandoned(t *testing.T) {
	h := newHouse(t)
	_, secret := h.alice(t)
	r := h.signedIn(t, secret)
	r.open(r.link("account/remove"))
	r.submit("last")
	thief := newReader(t)
	thief.open(h.url + "/.mfa/account")
	thief.submit("name", "name", "alice", "password", password)
	thief.open(h.url + "/.mfa/set-up/totp")
	if secretText.MatchString(thief.body) || !strings.Contains(thief.body, "your administrator") {
		t.Fatalf("at %s\n%s", thief.at, thief.body)
	}
}

// AC-167: the other tab has removed the other one since the question was asked.
func TestFlow_AC167_TheQuestionIsOld(t *testing.T) {
	h := newHouse(t)
	_, secret := h.alice(t)
	r := h.signedIn(t, secret)
	r.open(h.url + "/.mfa/set-up/totp?from=account")
	second := secretText.FindStringSubmatch(r.body)[1]
	r.submit("code", "code", h.code(t, second))
	r.expect("/.mfa/account")
	var ids []string
	for _, m := range regexp.MustCompile(`account/remove\?credential=([^"&]*)`).FindAllStringSubmatch(r.body, -1) {
		ids = append(ids, m[1])
	}
	if len(ids) != 2 {
		t.Fatalf("%d factors:\n%s", len(ids), r.body)
	}
	r.open(h.url + "/.mfa/account/remove?credential=" + ids[0])
	r.expect("/.mfa/account/remove", "Remove Authenticator app?")
	tab := *r
	tab.open(h.url + "/.mfa/account/remove?credential=" + ids[1])
	tab.submit("credential")
	tab.expect("/.mfa/account", "Removed.")
	r.submit("credential")
	r.expect("/.mfa/account/remove", "is your last one")
	if r.status != 409 {
		t.Errorf("status %d", r.status)
	}
	// And a form of the last one for one that is not: nothing goes.
	r.open(h.url + "/.mfa/set-up/totp?from=account")
	r.submit("code", "code", h.code(t, secretText.FindStringSubmatch(r.body)[1]))
	r.post("/.mfa/account/remove", "credential", ids[0], "last", "yes")
	r.expect("/.mfa/account/remove", "Remove Authenticator app?")
}

// AC-168: the old codes die with the new set, shown once; the rows say what is left.
func TestFlow_AC168_NewCodes(t *testing.T) {
	h := newHouse(t)
	codes, secret := h.alice(t)
	old := []string{"", codes[0]}
	r := h.signedIn(t, secret)
	r.expect("/.mfa/account", "10 unused codes left", "Make new ones")
	r.open(r.link("set-up/backup-codes"))
	fresh := codeText.FindStringSubmatch(r.body)
	if fresh[1] == old[1] {
		t.Fatal("the same codes again")
	}
	r.submit("saved", "saved", "yes")
	r.expect("/.mfa/account", "10 unused codes left")
	if strings.Contains(r.body, fresh[1]) || strings.Contains(r.body, old[1]) {
		t.Error("the account page shows codes")
	}
	in := newReader(t)
	for _, test := range []struct{ code, path string }{{old[1], "/.mfa/verify/backup-code"}, {fresh[1], "/private"}} {
		in.open(h.url + "/private")
		if in.at.Path == "/.mfa/sign-in" {
			in.submit("name", "name", "alice", "password", password)
		}
		in.open(h.url + "/.mfa/verify/backup-code?rd=%2Fprivate")
		in.submit("code", "code", test.code)
		if in.at.Path != test.path {
			t.Errorf("%s, want %s\n%s", in.at, test.path, in.body)
		}
	}
}

// A person ends another session, which then is at the sign-in page.
func TestFlow_EndsAnotherSession(t *testing.T) {
	h := newHouse(t)
	_, secret := h.alice(t)
	r := h.signedIn(t, secret)
	r.open(h.url + "/.mfa/account")
	other := h.signedIn(t, secret)
	other.open(h.url + "/private")
	other.expect("/private", "Hello alice")
	r.open(h.url + "/.mfa/account")
	handles := regexp.MustCompile(`name="session" value="([^"]*)"`).FindAllStringSubmatch(r.body, -1)
	if len(handles) != 2 { // alice's first browser, and the other
		t.Fatalf("%d other sessions:\n%s", len(handles), r.body)
	}
	for _, m := range handles {
		r.post("/.mfa/account/end-session", "session", m[1])
		r.expect("/.mfa/account", "Signed out there.")
	}
	other.open(h.url + "/private")
	other.expect("/.mfa/sign-in")
	r.open(h.url + "/private")
	r.expect("/private", "Hello alice")
}

// AC-131, AC-133: activity is the visitor's own, and what came with a request is text.
func TestFlow_Activity(t *testing.T) {
	h := newHouse(t, keepingEvents)
	_, secret := h.alice(t)
	r := h.signedIn(t, secret)
	for range 40 {
		h.wait(time.Minute)
		r.open(h.url + "/.mfa/sign-out")
		r.submit("csrf")
		r.open(h.url + "/.mfa/account")
		r.submit("name", "name", "alice", "password", password)
		r.submit("code", "code", h.code(t, secret))
	}
	r.open(h.url + "/.mfa/account/activity")
	seen := 0
	for pages := 1; ; pages++ {
		r.expect("/.mfa/account/activity", "Recent activity")
		seen += strings.Count(r.body, "<time datetime=")
		if strings.Contains(r.body, secret) || strings.Contains(r.body, password) {
			t.Fatal("AC-131: a secret")
		}
		if !strings.Contains(r.body, ">Older<") {
			break
		}
		if pages > 20 {
			t.Fatal("it does not end")
		}
		r.open(r.link("after="))
	}
	if seen < 4*40 {
		t.Errorf("%d things happened", seen)
	}
	r.open(h.url + "/.mfa/account/activity?" + url.Values{"after": {`"><svg/onload=1>`}}.Encode())
	r.expect("/.mfa/account/activity", "Recent activity")
	if strings.Contains(r.body, "<svg/onload") {
		t.Error("AC-133: what came in the address is on the page")
	}
	nobody := newReader(t)
	nobody.open(h.url + "/.mfa/account/activity")
	nobody.expect("/.mfa/sign-in")
}

// AC-165: the account's address is changed with a newer proof and a code to the new one.
func TestFlow_AC165_Email(t *testing.T) {
	h := newMailHouse(t)
	_, secret := h.alice(t)
	r := h.signedIn(t, secret)
	r.open(r.link("account/name"))
	r.submit("value", "value", "Alice|Bob")
	r.expect("/.mfa/account/name", "without commas", `value="Alice|Bob"`)
	r.submit("value", "value", `<b>Alice</b>`)
	r.expect("/.mfa/account", "Saved.", "&lt;b&gt;Alice&lt;/b&gt;")
	if strings.Contains(r.body, "<b>Alice</b>") {
		t.Error("AC-133: a name is markup")
	}

	h.wait(11 * time.Minute)
	r.open(r.link("account/email"))
	r.submit("value", "value", "alice@example.com")
	r.expect("/.mfa/verify", "Before you change how you sign in")
	r.submit("code", "code", h.code(t, secret))
	r.expect("/.mfa/account/email", "New email address")
	r.submit("value", "value", `"><svg/onload=1>@example.com`)
	r.expect("/.mfa/account/email")
	if r.status != 422 || strings.Contains(r.body, "<svg/onload") {
		t.Errorf("AC-133: %d\n%s", r.status, r.body)
	}
	r.submit("value", "value", "alice@example.com")
	r.expect("/.mfa/account/email/code", "al", "@example.com")
	if strings.Contains(r.body, "alice@example.com") {
		t.Error("the address stands there whole")
	}
	r.submit("code", "code", "00000000")
	r.expect("/.mfa/account/email/code")
	sent := h.post.count()
	h.wait(mfa.SendAgain)
	r.submit("again")
	r.expect("/.mfa/account/email/code")
	if h.post.count() != sent+1 {
		t.Errorf("%d letters, want %d", h.post.count(), sent+1)
	}
	r.submit("code", "code", h.post.code(t))
	r.expect("/.mfa/account", "Your email address was changed", "alice@example.com")

	// Nothing waits any more, and the page says where to begin.
	r.open(h.url + "/.mfa/account/email/code")
	r.expect("/.mfa/account/email")
	forgot := newReader(t)
	before := h.post.count()
	forgot.open(h.url + "/.mfa/forgotten")
	forgot.submit("name", "name", "alice")
	if h.post.count() != before {
		t.Error("a link for a new password goes to an address of a moment ago")
	}
}
