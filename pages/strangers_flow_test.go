package pages_test

import (
	"context"
	"fmt"
	"net/http"
	"net/http/cookiejar"
	"net/url"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	cdppage "github.com/chromedp/cdproto/page"
	"github.com/chromedp/cdproto/webauthn"
	"github.com/chromedp/chromedp"

	"github.com/secondgate/secondgate/mfa"
	"github.com/secondgate/secondgate/mfa/mfatest"
	"github.com/secondgate/secondgate/pages"
)

const (
	aliceMail  = "alice@example.com"
	doraMail   = "dora@example.com"
	nobodyMail = "nobody@example.com"
)

// signUp makes an account with an address and an authenticator app, and returns the
// app's secret. The browser is signed in.
func (h *house) signUp(t *testing.T, b *postbox, r *reader, address string) (secret string) {
	t.Helper()
	r.open(h.url + "/.mfa/sign-up")
	r.submit("password", "name", address, "display", "Somebody", "password", password)
	r.expect("/.mfa/sign-up/code", "We sent a code to", address)
	r.submit("code", "code", b.code(t, address, mfa.LetterSignUp))
	r.open(h.url + "/.mfa/set-up/totp")
	r.expect("/.mfa/set-up/totp")
	secret = secretText.FindStringSubmatch(r.body)[1]
	r.submit("code", "code", h.code(t, secret))
	r.submit("saved", "saved", "yes")
	r.expect("/", "Hello "+address)
	return secret
}

// A stranger makes an account with an address, without scripts, and comes back with a
// code in place of the password (rules B7, B12, B19, B31).
func TestFlow_SignUpAndCode(t *testing.T) {
	h, b := openHouse(t)
	r := newReader(t)
	r.open(h.url + "/private")
	r.expect("/.mfa/sign-in", "User name, email address or phone number", "Make an account", "Send me a code instead", "Forgot your password?")
	r.open(h.url + "/.mfa/sign-up?rd=%2Fprivate")
	r.submit("password", "name", "alice@example", "password", password)
	r.expect("/.mfa/sign-up", "not a whole email address", `value="alice@example"`, "<title>Error:")
	r.submit("password", "name", "Alice@Example.com", "display", "Ng, Alice", "password", password)
	r.expect("/.mfa/sign-up", "Leave commas", `value="Ng, Alice"`)
	r.submit("password", "name", "Alice@Example.com", "password", "alice's example")
	r.expect("/.mfa/sign-up", "holds your user name")
	if strings.Contains(r.body, "alice's example") || strings.Contains(r.body, "alice&#39;s example") {
		t.Error("the password came back")
	}
	r.submit("password", "name", "Alice@Example.com", "display", "Alice", "password", password)
	r.expect("/.mfa/sign-up/code", "We sent a code to", aliceMail)
	code := b.code(t, aliceMail, mfa.LetterSignUp)
	r.submit("code", "code", wrong(code))
	r.expect("/.mfa/sign-up/code", "didn’t work", aliceMail)
	r.submit("code", "code", code[:4]+" "+code[4:])
	// A new account is set up as the policy asks, and in the same session.
	r.expect("/.mfa/set-up", "Set up a second step")
	r.open(h.url + "/.mfa/set-up/totp?rd=%2Fprivate")
	secret := secretText.FindStringSubmatch(r.body)[1]
	r.submit("code", "code", h.code(t, secret))
	r.submit("saved", "saved", "yes")
	r.expect("/private", "Hello alice@example.com")

	// In another browser, with a code.
	h.wait(time.Hour)
	r = newReader(t)
	r.open(h.url + "/.mfa/sign-in/code?rd=%2Fprivate")
	r.submit("address", "address", "alice at example")
	r.expect("/.mfa/sign-in/code", "neither an email address nor a phone number", `value="alice at example"`)
	r.submit("address", "address", "+1 202 555 0100")
	r.expect("/.mfa/sign-in/code", "No text message goes to this number")
	r.submit("address", "address", " ALICE@example.com")
	r.expect("/.mfa/sign-in/code/enter", "If somebody here has proven this address", aliceMail, `data-digits="8"`)
	code = b.code(t, aliceMail, mfa.LetterSignIn)
	for range 3 {
		r.submit("code", "code", wrong(code))
		r.expect("/.mfa/sign-in/code/enter", "didn’t work")
		if r.status != http.StatusUnprocessableEntity {
			t.Errorf("status %d", r.status)
		}
	}
	// The page can be opened anew between the tries.
	r.open(h.url + "/.mfa/sign-in/code/enter?rd=%2Fprivate")
	r.submit("code", "code", code)
	r.expect("/.mfa/verify", "Code from your authenticator app")
	for _, c := range r.cookies(h) {
		if strings.HasSuffix(c.Name, "-code") {
			t.Error("the cookie of the code stayed")
		}
	}
	r.submit("code", "code", h.code(t, secret))
	r.expect("/private", "Hello alice@example.com")
	if _, _, err := h.gate.FinishWaiting(t.Context(), &mfa.Place{Origin: h.url}, "", code); err == nil {
		t.Error("no name, and a code that counts")
	}
}

func (r *reader) cookies(h *house) []*http.Cookie {
	u, err := url.Parse(h.url + "/.mfa/")
	if err != nil {
		r.t.Fatal(err)
	}
	return r.client.Jar.Cookies(u)
}

// A user name is signed up with at once; whose it is already says so.
func TestFlow_SignUpByName(t *testing.T) {
	h, _ := openHouse(t, func(cfg *mfa.Config) { cfg.SignUp = mfa.SignUp{Name: true} })
	r := newReader(t)
	r.open(h.url + "/.mfa/sign-in")
	r.open(h.url + "/.mfa/sign-up")
	r.expect("/.mfa/sign-up", "User name", "Small letters")
	r.submit("password", "name", "al ice", "password", password)
	r.expect("/.mfa/sign-up", "Use only letters a to z")
	r.submit("password", "name", "Alice", "password", password)
	r.expect("/.mfa/set-up", "Set up a second step")
	r = newReader(t)
	r.open(h.url + "/.mfa/sign-up")
	r.submit("password", "name", "alice", "password", password+"!")
	r.expect("/.mfa/sign-up", "Somebody has this name already", `value="alice"`)
}

// Where nothing of it is configured, nothing of it is there.
func TestFlow_NothingForStrangers(t *testing.T) {
	h := newHouse(t)
	r := newReader(t)
	r.open(h.url + "/.mfa/sign-in")
	for _, never := range []string{"Make an account", "code instead", "/.mfa/forgotten", "email address"} {
		if strings.Contains(r.body, never) {
			t.Errorf("the page says %q", never)
		}
	}
	r.expect("/.mfa/sign-in", "Forgot your password? Ask your administrator")
	for _, page := range []string{"sign-in/code", "sign-up", "forgotten"} {
		r.open(h.url + "/.mfa/" + page)
		if r.status != http.StatusNotFound {
			t.Errorf("%s: %d", page, r.status)
		}
	}
	for _, page := range []string{"sign-in/code/enter", "sign-up/code"} {
		r.open(h.url + "/.mfa/" + page)
		if r.status != http.StatusNotFound {
			t.Errorf("%s: %d", page, r.status)
		}
	}
}

// A code is sent once however often the button is pressed within a minute, and a new
// one replaces it.
func TestFlow_AnotherCode(t *testing.T) {
	h, b := openHouse(t)
	h.signUp(t, b, newReader(t), aliceMail)
	h.wait(time.Hour)
	r := newReader(t)
	r.open(h.url + "/.mfa/sign-in/code")
	before := len(b.to(aliceMail))
	sent := func() int { return len(b.to(aliceMail)) - before }
	r.submit("address", "address", aliceMail)
	r.expect("/.mfa/sign-in/code/enter", `data-countdown="60"`, "Send another code")
	first := b.code(t, aliceMail, mfa.LetterSignIn)
	h.wait(20 * time.Second)
	// The second form of the page: without scripts its button is always there.
	again := func() {
		t.Helper()
		if !strings.Contains(r.body, `action="/.mfa/sign-in/code"`) {
			t.Fatalf("no form for another code:\n%s", r.body)
		}
		r.body = r.body[strings.Index(r.body, `<form method="post" action="/.mfa/sign-in/code"`):]
		r.submit("address")
	}
	again()
	r.expect("/.mfa/sign-in/code/enter", `data-countdown="40"`)
	if sent() != 1 {
		t.Fatalf("%d codes were sent within a minute", sent())
	}
	h.wait(41 * time.Second)
	r.open(h.url + "/.mfa/sign-in/code/enter")
	if strings.Contains(r.body, "data-countdown") {
		t.Error("it still counts down")
	}
	again()
	r.expect("/.mfa/sign-in/code/enter", `data-countdown="60"`)
	if sent() != 2 {
		t.Fatalf("%d codes were sent", sent())
	}
	r.submit("code", "code", first)
	r.expect("/.mfa/sign-in/code/enter", "didn’t work")
	r.submit("code", "code", b.code(t, aliceMail, mfa.LetterSignIn))
	r.expect("/.mfa/verify")

	// Too late: the page says so, and another one can be had from there.
	r = newReader(t)
	r.open(h.url + "/.mfa/sign-in/code")
	r.submit("address", "address", aliceMail)
	late := b.code(t, aliceMail, mfa.LetterSignIn)
	h.wait(mfa.SentCodeLife + time.Second)
	r.submit("code", "code", late)
	r.expect("/.mfa/sign-in/code/enter", "didn’t work", aliceMail, `data-digits="8"`)
	again()
	r.expect("/.mfa/sign-in/code/enter")
	r.submit("code", "code", b.code(t, aliceMail, mfa.LetterSignIn))
	r.expect("/.mfa/verify")
	h.wait(11 * time.Minute)
	r.open(h.url + "/.mfa/sign-in/code/enter")
	r.expect("/.mfa/sign-in/code", "waited too long")
}

// The code of one browser is worth nothing in another, and one of a text message has
// six digits.
func TestFlow_CodeIsTheBrowsersOwn(t *testing.T) {
	h, b := openHouse(t)
	const number = "+4915112345642"
	r := newReader(t)
	r.open(h.url + "/.mfa/sign-up")
	r.submit("password", "name", "0151 123 456 42", "password", password)
	r.expect("/.mfa/sign-up/code", "We sent a code to", `data-digits="6"`)
	r.submit("code", "code", b.code(t, number, mfa.LetterSignUp))
	r.expect("/.mfa/set-up")
	r = newReader(t)
	r.open(h.url + "/.mfa/sign-in/code")
	r.submit("address", "address", "+49 151 12345642")
	r.expect("/.mfa/sign-in/code/enter", "this number", `data-digits="6"`)
	code := b.code(t, number, mfa.LetterSignIn)
	thief := newReader(t)
	thief.open(h.url + "/.mfa/sign-in/code")
	thief.submit("address", "address", nobodyMail)
	thief.submit("code", "code", code)
	thief.expect("/.mfa/sign-in/code/enter", "didn’t work")
	r.submit("code", "code", code)
	r.expect("/.mfa/set-up")
}

// A new sign-in by a code ends what the browser held (session fixation).
func TestFlow_CodeReplacesTheSessionBefore(t *testing.T) {
	h, b := openHouse(t)
	r := newReader(t)
	h.signUp(t, b, r, aliceMail)
	h.signUp(t, b, newReader(t), doraMail)
	// Somebody asked for a code before another tab signed in.
	other := newReader(t)
	other.open(h.url + "/.mfa/sign-in/code")
	other.submit("address", "address", doraMail)
	code := b.code(t, doraMail, mfa.LetterSignIn)
	u, _ := url.Parse(h.url)
	r.client.Jar.SetCookies(u, other.cookies(h))
	old := sessionCookie(t, r.cookies(h))
	r.at, r.body = other.at, other.body
	r.submit("code", "code", code)
	r.expect("/.mfa/verify")
	planted := newReader(t)
	planted.client.Jar.SetCookies(u, []*http.Cookie{{Name: old.Name, Value: old.Value, Path: "/"}})
	planted.open(h.url + "/private")
	planted.expect("/.mfa/sign-in")
}

func sessionCookie(t *testing.T, list []*http.Cookie) *http.Cookie {
	t.Helper()
	for _, c := range list {
		if regexp.MustCompile(`^mfa-\d+$`).MatchString(c.Name) {
			return c
		}
	}
	t.Fatal("no session")
	return nil
}

// B15: who has nothing enrolled confirms a change by signing in again, with a code as
// well as with the password, and comes back to what waited.
func TestFlow_CodeAgain(t *testing.T) {
	h, b := openHouse(t)
	h.policy.Optional = true
	r := newReader(t)
	r.open(h.url + "/.mfa/sign-up")
	r.submit("password", "name", aliceMail, "password", password)
	r.submit("code", "code", b.code(t, aliceMail, mfa.LetterSignUp))
	r.expect("/.mfa/set-up", "Skip for now")
	r.submit("do")
	r.expect("/", "Hello alice@example.com")
	h.wait(11 * time.Minute)
	r.open(h.url + "/.mfa/set-up/totp?from=account")
	r.expect("/.mfa/sign-in", "Enter your password once more", "Send me a code instead")
	href := regexp.MustCompile(`href="(/\.mfa/sign-in/code[^"]*)"`).FindStringSubmatch(r.body)
	r.open(h.url + strings.ReplaceAll(href[1], "&amp;", "&"))
	r.expect("/.mfa/sign-in/code", "as <strong>")
	r.submit("address", "address", aliceMail)
	r.submit("code", "code", "00000000")
	r.expect("/.mfa/sign-in/code/enter", "didn’t work")
	r.submit("code", "code", b.code(t, aliceMail, mfa.LetterSignIn))
	r.expect("/.mfa/set-up/totp", "Scan this")
}

// A forgotten password: the link proves the mailbox once, ends all sessions, and the
// second factor is asked for as ever (rules B27, B39).
func TestFlow_Forgotten(t *testing.T) {
	h, b := openHouse(t)
	h.policy.Factors |= mfa.KindsOf(mfa.Email)
	here := newReader(t)
	secret := h.signUp(t, b, here, aliceMail)
	h.wait(time.Hour)

	r := newReader(t)
	r.open(h.url + "/private")
	r.open(h.url + "/.mfa/forgotten?rd=%2Fprivate")
	r.submit("name", "name", "Alice@example.com")
	r.expect("/.mfa/forgotten", "If there is an account", "30 minutes", "ask your administrator")
	letter := b.last(t, aliceMail, mfa.LetterPasswordReset)
	link := string([]byte(letter.Link))
	address, token, ok := strings.Cut(link, "#")
	if !ok || address != h.url+"/.mfa/link" || len(token) < 40 {
		t.Fatalf("the link is %q", link)
	}
	// A newer link makes the older one worthless (AC-169).
	h.wait(time.Minute)
	r.open(h.url + "/.mfa/forgotten")
	r.submit("name", "name", aliceMail)
	_, newer, _ := strings.Cut(string([]byte(b.last(t, aliceMail, mfa.LetterPasswordReset).Link)), "#")
	r.open(address)
	r.submit("token", "token", token)
	r.expect("/.mfa/link", "This link is used up", "Send me a new link")

	r.open(address)
	r.submit("token", "token", newer)
	r.expect("/.mfa/link", "Choose a new password", "alice@example.com", "second step")
	r.submit("password", "password", "short")
	r.expect("/.mfa/link", "too short")
	if strings.Contains(r.at.String(), newer) || strings.Contains(r.at.String(), token) {
		t.Error("the secret got into an address")
	}
	r.submit("password", "password", password+" anew", "email", "thief@example.com", "display", "Thief")
	r.expect("/.mfa/verify", "Code from your authenticator app")
	// Not a session: nothing but the second factor leads on.
	r.open(h.url + "/private")
	r.expect("/.mfa/verify")
	r.submit("code", "code", h.code(t, secret))
	// Who did it is told before the app opens, or goes on.
	if r.at.Path == "/.mfa/notices" {
		r.submit("last")
	}
	r.expect("/private", "Hello alice@example.com")
	r.open(h.url + "/.mfa/account")
	r.expect("/.mfa/account", "Authenticator app", "10 unused codes left", "Somebody", aliceMail)
	if strings.Contains(r.body, "thief") {
		t.Error("the form changed more than the password")
	}
	here.open(h.url + "/private")
	here.expect("/.mfa/sign-in")
	// Used twice.
	r = newReader(t)
	r.open(address)
	r.submit("token", "token", newer)
	r.expect("/.mfa/link", "This link is used up")
	// The old password is gone, the new one signs in, by address as well.
	r.open(h.url + "/.mfa/sign-in")
	r.submit("name", "name", aliceMail, "password", password)
	r.expect("/.mfa/sign-in", "don’t match")
	r.submit("name", "name", aliceMail, "password", password+" anew")
	r.expect("/.mfa/verify")
}

// walker is a reader that stops at each answer, to compare it.
type walker struct {
	*reader
	secrets []string
	log     []string
}

func newWalker(t *testing.T) *walker {
	jar, err := cookiejar.New(nil)
	if err != nil {
		t.Fatal(err)
	}
	w := &walker{}
	w.reader = &reader{t: t, client: &http.Client{Jar: jar, CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }, Transport: w}}
	return w
}

var (
	tokenText = regexp.MustCompile(`="[A-Za-z0-9_-]{80,}"`)
	// Values of cookies are of one length each; what they are is anybody's guess.
	cookieValue = regexp.MustCompile(`^([^=]+)=([^;]*)`)
)

// RoundTrip writes down what the answer looks like to whoever asked.
func (w *walker) RoundTrip(r *http.Request) (*http.Response, error) {
	res, err := http.DefaultTransport.RoundTrip(r)
	if err != nil {
		return nil, err
	}
	var head []string
	for name, values := range res.Header {
		for _, v := range values {
			switch name {
			case "Date", "Content-Length":
				continue
			case "Set-Cookie":
				m := cookieValue.FindStringSubmatch(v)
				w.secrets = append(w.secrets, m[2])
				v = cookieValue.ReplaceAllString(v, fmt.Sprintf("$1=%d characters", len(m[2])))
			}
			head = append(head, name+": "+v)
		}
		if name == "Location" {
			for _, s := range w.secrets {
				if s != "" && strings.Contains(res.Header.Get(name), s) {
					w.t.Errorf("a secret in %s", res.Header.Get(name))
				}
			}
		}
	}
	slices.Sort(head)
	w.log = append(w.log, fmt.Sprintf("%s %s\n%s\n%s", r.Method, r.URL.RequestURI(), res.Status, strings.Join(head, "\n")))
	return res, nil
}

// seen returns the answers to all requests, without what was typed and without form
// tokens, and with the pages that came.
func (w *walker) seen(typed string) string {
	return strings.ReplaceAll(strings.Join(w.log, "\n\n"), typed, "TYPED")
}

func (w *walker) look() {
	w.log = append(w.log, tokenText.ReplaceAllString(w.body, `="TOKEN"`))
}

// AC-116, AC-117, AC-119: whether somebody has an account with an address shows in no
// byte of any answer, and in no header but for the values of random cookies: not when
// a code is asked for, not when wrong ones are tried until the end, not when an
// account is made and not when a password is forgotten.
func TestFlow_TellsNobodyWhoIsHere(t *testing.T) {
	h, b := openHouse(t)
	h.signUp(t, b, newReader(t), aliceMail)
	h.signUp(t, b, newReader(t), doraMail)
	if err := mfatest.NewDesk(h.gate).SetDisabled(t.Context(), doraMail, true); err != nil {
		t.Fatal(err)
	}
	h.wait(time.Hour)
	already := len(b.to(aliceMail)) + len(b.to(doraMail))
	walks := map[string]func(w *walker, address string){
		"a code": func(w *walker, address string) {
			w.open(h.url + "/.mfa/sign-in/code?rd=%2Fprivate")
			w.look()
			w.submit("address", "address", address)
			for range 8 { // through wrong, worn out and throttled
				w.open(h.url + "/.mfa/sign-in/code/enter?rd=%2Fprivate")
				if w.status != 200 {
					continue
				}
				w.look()
				w.submit("code", "code", "00000000")
				w.look()
			}
			for range 4 {
				w.open(h.url + "/.mfa/sign-in/code")
				w.submit("address", "address", address)
				w.open(h.url + "/.mfa/sign-in/code/enter")
				w.look()
				w.submit("code", "code", "12")
				w.look()
				h.wait(61 * time.Second)
			}
		},
		"an account": func(w *walker, address string) {
			w.open(h.url + "/.mfa/sign-up")
			w.look()
			w.submit("password", "name", address, "password", "short")
			w.look()
			w.submit("password", "name", address, "password", password)
			w.look()
			w.open(h.url + "/.mfa/sign-up/code")
			w.look()
			for range 6 {
				w.submit("code", "code", "00000000")
				w.look()
			}
			w.open(h.url + "/.mfa/sign-up")
			w.look()
		},
		"a forgotten password": func(w *walker, address string) {
			for range 5 { // more than anybody is sent
				w.open(h.url + "/.mfa/forgotten")
				w.look()
				w.submit("name", "name", address)
				w.open(h.url + "/.mfa/forgotten?done=sent")
				w.look()
			}
		},
	}
	for name, walk := range walks {
		t.Run(name, func(t *testing.T) {
			var first string
			for _, address := range []string{nobodyMail, aliceMail, doraMail} {
				h.wait(2 * time.Hour) // the budgets of the network are everybody's
				w := newWalker(t)
				walk(w, address)
				got := w.seen(url.QueryEscape(address))
				got = strings.ReplaceAll(got, address, "TYPED")
				if strings.Contains(got, "503") || len(w.log) < 5 {
					t.Fatal(got)
				}
				if first == "" {
					first = got
				}
				if got != first {
					t.Errorf("%s is told apart:\n%s", address, difference(first, got))
				}
			}
		})
	}
	if n := len(b.to(doraMail)) + len(b.to(nobodyMail)); n == 0 {
		t.Error("nothing was sent to a stranger who signs up")
	}
	for _, l := range b.to(doraMail)[1:] {
		t.Errorf("a letter %q to somebody who is disabled", l.Kind)
	}
	for _, l := range b.to(nobodyMail) {
		if l.Kind != mfa.LetterSignUp {
			t.Errorf("a letter %q to nobody", l.Kind)
		}
	}
	kinds := map[mfa.LetterKind]int{}
	for _, l := range b.to(aliceMail) {
		kinds[l.Kind]++
	}
	if kinds[mfa.LetterSignIn] == 0 || kinds[mfa.LetterHasAccount] != 1 || kinds[mfa.LetterPasswordReset] != 3 || already == 0 {
		t.Errorf("letters to alice: %v", kinds)
	}
}

// difference is the first line that differs.
func difference(a, b string) string {
	x, y := strings.Split(a, "\n"), strings.Split(b, "\n")
	for i := range min(len(x), len(y)) {
		if x[i] != y[i] {
			return fmt.Sprintf("line %d\n%s\n%s", i, x[i], y[i])
		}
	}
	return fmt.Sprintf("%d lines, %d lines", len(x), len(y))
}

// B28: a passkey signs in without name and password, by the button; the fill-in of the
// field for the name is the browser's own matter.
func TestFlow_B28_PasskeySignsIn(t *testing.T) {
	path := pages.FindChromium(t)
	h, _ := openHouse(t)
	token, err := mfatest.NewDesk(h.gate).Invite(t.Context(), mfa.InviteInput{Name: "alice"})
	if err != nil {
		t.Fatal(err)
	}
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
	is := func(js string) bool {
		ok, err := chromedp.Run(ctx, chromedp.Evaluate[string]("String("+js+")"))
		return err == nil && ok == "true" // an error is a page that is just going away
	}
	soon := func(what, js string) {
		t.Helper()
		for deadline := time.Now().Add(10 * time.Second); time.Now().Before(deadline); time.Sleep(20 * time.Millisecond) {
			if is(js) {
				return
			}
		}
		text, _ := chromedp.Run(ctx, chromedp.Evaluate[string]("location.href + '\\n' + document.body.innerText"))
		t.Fatalf("not %s, but at %s", what, text)
	}
	at := func(path, text string) {
		t.Helper()
		soon(path+" with "+text, fmt.Sprintf("document.readyState === 'complete' && location.pathname === %q && document.body.innerText.includes(%q)", path, text))
	}

	do(chromedp.Navigate(h.url + "/.mfa/link#" + token))
	at("/.mfa/link", "Your user name is alice")
	do(chromedp.SendKeys(chromedp.ID("password"), password+"\r"))
	at("/.mfa/set-up", "Set up a second step")
	if _, err := chromedp.Call(ctx, webauthn.Enable, webauthn.EnableParams{}); err != nil {
		t.Fatal(err)
	}
	virtual, err := chromedp.Call(ctx, webauthn.AddVirtualAuthenticator, webauthn.AddVirtualAuthenticatorParams{
		Options: &webauthn.VirtualAuthenticatorOptions{
			Protocol: webauthn.AuthenticatorProtocolCtap2, Ctap2version: webauthn.Ctap2versionCtap21, Transport: webauthn.AuthenticatorTransportInternal,
			HasResidentKey: true, HasUserVerification: true, IsUserVerified: true, AutomaticPresenceSimulation: true,
		},
	})
	if err != nil {
		t.Fatal(err)
	}
	do(chromedp.Navigate(h.url + "/.mfa/set-up/passkey?rd=%2Fprivate"))
	at("/.mfa/set-up/passkey", "Create a passkey")
	do(chromedp.Click(chromedp.CSS("[data-passkey]")))
	at("/.mfa/set-up/backup-codes", "Save your backup codes")
	do(chromedp.Click(chromedp.CSS("input[name=saved]")), chromedp.Click(chromedp.CSS("main form .button")))
	at("/private", "Hello alice")
	do(chromedp.Navigate(h.url+"/.mfa/sign-out"), chromedp.Click(chromedp.CSS("main form .button")))
	at("/.mfa/sign-out", "signed out")

	// The virtual authenticator answers the fill-in by itself, as if somebody had
	// picked the passkey in the field for the name.
	do(chromedp.Navigate(h.url + "/.mfa/sign-in?rd=%2Fprivate"))
	at("/private", "Hello alice")
	do(chromedp.Navigate(h.url+"/.mfa/sign-out"), chromedp.Click(chromedp.CSS("main form .button")))
	at("/.mfa/sign-out", "signed out")

	// A browser without fill-in, and a person who first says no.
	withoutAutofill(t, ctx)
	verified := func(yes bool) {
		t.Helper()
		if _, err := chromedp.Call(ctx, webauthn.SetUserVerified, webauthn.SetUserVerifiedParams{AuthenticatorID: virtual.AuthenticatorID, IsUserVerified: yes}); err != nil {
			t.Fatal(err)
		}
	}
	verified(false)
	do(chromedp.Navigate(h.url + "/private"))
	at("/.mfa/sign-in", "Sign in with a passkey")
	do(chromedp.Click(chromedp.CSS("[data-passkey]")))
	at("/.mfa/sign-in", "or use your password")
	soon("an error in the title", `document.title.startsWith("Error:")`)
	verified(true)
	do(chromedp.Click(chromedp.CSS("[data-passkey]")))
	at("/private", "Hello alice")

	// Where the policy excludes passkeys it is the first factor alone.
	do(chromedp.Navigate(h.url+"/.mfa/sign-out"), chromedp.Click(chromedp.CSS("main form .button")))
	at("/.mfa/sign-out", "signed out")
	h.policy.Factors = mfa.KindsOf(mfa.TOTP, mfa.BackupCode)
	do(chromedp.Navigate(h.url+"/.mfa/sign-in?rd=%2Fprivate"), chromedp.Click(chromedp.CSS("[data-passkey]")))
	at("/.mfa/verify", "backup code")
}

// withoutAutofill makes the browser one that fills in no passkeys. Its virtual
// authenticator would answer before anybody could type.
func withoutAutofill(t *testing.T, ctx context.Context) {
	t.Helper()
	_, err := chromedp.Call(ctx, cdppage.AddScriptToEvaluateOnNewDocument, cdppage.AddScriptToEvaluateOnNewDocumentParams{
		Source: "if (window.PublicKeyCredential) PublicKeyCredential.isConditionalMediationAvailable = async () => false;",
	})
	if err != nil {
		t.Fatal(err)
	}
}
