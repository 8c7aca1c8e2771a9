package pages_test

import (
	"context"
	"encoding/base32"
	"fmt"
	"io"
	"net/http"
	"net/http/cookiejar"
	"net/http/httptest"
	"net/url"
	"regexp"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/chromedp/cdproto/webauthn"
	"github.com/chromedp/chromedp"
	"github.com/pquerna/otp/hotp"

	"github.com/secondgate/secondgate/guard"
	"github.com/secondgate/secondgate/identity/local"
	"github.com/secondgate/secondgate/internal/seal"
	"github.com/secondgate/secondgate/mfa"
	"github.com/secondgate/secondgate/mfa/factor/backupcode"
	"github.com/secondgate/secondgate/mfa/factor/passkey"
	"github.com/secondgate/secondgate/mfa/factor/totp"
	"github.com/secondgate/secondgate/mfa/mfatest"
	"github.com/secondgate/secondgate/pages"
	"github.com/secondgate/secondgate/session"
	"github.com/secondgate/secondgate/store/badger"
)

const password = "correct horse battery staple 7"

// house is the pages before an app, with everything real behind them but the
// clock.
type house struct {
	gate   *mfa.Gate
	policy mfa.Policy
	url    string

	mu  sync.Mutex
	now time.Time
}

type silent struct{}

func (silent) Record(context.Context, mfa.Event) {}

func (silent) Keep(context.Context, mfa.Event) error { return nil }

func (h *house) clock() time.Time {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.now
}

func (h *house) wait(d time.Duration) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.now = h.now.Add(d)
}

func newHouse(t *testing.T, adjust ...func(*mfa.Config)) *house {
	t.Helper()
	h := &house{policy: mfa.DefaultPolicy(), now: time.Now()}
	keys, err := seal.NewKeys()
	if err != nil {
		t.Fatal(err)
	}
	store, err := badger.Open(badger.Options{Dir: t.TempDir() + "/store", Keys: keys, MinFree: 1})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { store.Close() })
	hasher, err := seal.NewHasher(seal.HasherConfig{Params: seal.CodeParams})
	if err != nil {
		t.Fatal(err)
	}
	source, err := local.New(local.Config{Users: store, Hasher: hasher})
	if err != nil {
		t.Fatal(err)
	}
	policy := func() *mfa.Policy { return &h.policy }
	cfg := mfa.Config{
		Store: store, Sources: []mfa.Source{{Password: source}}, Passwords: source,
		TOTP: totp.New(), Codes: backupcode.New(hasher), Passkeys: passkey.New(passkey.Config{Now: h.clock}),
		Events: silent{}, Policy: policy, Now: h.clock,
	}
	for _, f := range adjust {
		f(&cfg)
	}
	h.gate, err = mfa.NewGate(cfg)
	if err != nil {
		t.Fatal(err)
	}
	sessions, err := session.New(session.Config{
		Store: store, Keys: []session.Key{{ID: "k1", Secret: keys.Derived("test")[0].Secret}}, Issuer: "test", Now: h.clock,
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { sessions.Close(context.Background()) })
	edge, err := guard.New(guard.Config{Sessions: sessions, Policy: policy, Events: silent{}, Now: h.clock})
	if err != nil {
		t.Fatal(err)
	}
	people, err := pages.New(pages.Config{Gate: h.gate, Guard: edge, Brand: pages.Brand{Name: "Acme"}, Now: h.clock})
	if err != nil {
		t.Fatal(err)
	}
	edge.SetRefusals(people)
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if pages.Serves(r.URL.Path) {
			people.ServeHTTP(w, r)
			return
		}
		w, r = edge.Strip(w, r)
		var need mfa.Requirement
		if strings.HasPrefix(r.URL.Path, "/strict") {
			need.PhishingResistant = true
		}
		route := mfa.Route{Need: need}
		if strings.HasPrefix(r.URL.Path, "/finance") {
			route.Organization = "finance"
		}
		if edge.Check(w, r, route) {
			w.Header().Set("Content-Type", "text/html")
			fmt.Fprintf(w, "<title>The app</title>Hello %s at %s", r.Header.Get("Remote-User"), r.URL.Path)
		}
	}))
	t.Cleanup(server.Close)
	h.url = strings.Replace(server.URL, "127.0.0.1", "localhost", 1)
	return h
}

// code is what an authenticator app shows for the text of a secret.
func (h *house) code(t *testing.T, secret string) string {
	t.Helper()
	secret = strings.ReplaceAll(secret, " ", "")
	if _, err := base32.StdEncoding.WithPadding(base32.NoPadding).DecodeString(secret); err != nil {
		t.Fatalf("the secret is no base32: %v", err)
	}
	code, err := hotp.GenerateCode(secret, uint64(h.clock().Unix()/30))
	if err != nil {
		t.Fatal(err)
	}
	return code
}

// reader is a browser without scripts.
type reader struct {
	t      *testing.T
	client *http.Client
	at     *url.URL
	body   string
	status int
}

func newReader(t *testing.T) *reader {
	t.Helper()
	jar, err := cookiejar.New(nil)
	if err != nil {
		t.Fatal(err)
	}
	return &reader{t: t, client: &http.Client{Jar: jar}}
}

func (r *reader) send(req *http.Request) {
	r.t.Helper()
	req.Header.Set("Accept", "text/html")
	req.Header.Set("Sec-Fetch-Mode", "navigate")
	req.Header.Set("Sec-Fetch-Dest", "document")
	req.Header.Set("Sec-Fetch-Site", "same-origin")
	res, err := r.client.Do(req)
	if err != nil {
		r.t.Fatal(err)
	}
	defer res.Body.Close()
	b, err := io.ReadAll(res.Body)
	if err != nil {
		r.t.Fatal(err)
	}
	r.at, r.body, r.status = res.Request.URL, string(b), res.StatusCode
}

func (r *reader) open(address string) {
	r.t.Helper()
	req, err := http.NewRequest(http.MethodGet, address, nil)
	if err != nil {
		r.t.Fatal(err)
	}
	r.send(req)
}

var (
	formTag  = regexp.MustCompile(`(?s)<form[^>]*action="([^"]*)"[^>]*>(.*?)</form>`)
	inputTag = regexp.MustCompile(`<input type="hidden" name="([^"]*)" value="([^"]*)"`)
)

// submit fills in the first form of the page that holds the field and sends it.
func (r *reader) submit(field string, values ...string) {
	r.t.Helper()
	for _, m := range formTag.FindAllStringSubmatch(r.body, -1) {
		if !strings.Contains(m[2], `name="`+field+`"`) || strings.Contains(m[1], "preferences") {
			continue
		}
		form := url.Values{}
		for _, in := range inputTag.FindAllStringSubmatch(m[2], -1) {
			form.Set(in[1], in[2])
		}
		for i := 0; i+1 < len(values); i += 2 {
			form.Set(values[i], values[i+1])
		}
		r.sendForm(strings.ReplaceAll(m[1], "&amp;", "&"), form)
		return
	}
	r.t.Fatalf("no form with %q at %s:\n%s", field, r.at, r.body)
}

func (r *reader) sendForm(action string, form url.Values) {
	r.t.Helper()
	to, err := r.at.Parse(action)
	if err != nil {
		r.t.Fatal(err)
	}
	req, err := http.NewRequest(http.MethodPost, to.String(), strings.NewReader(form.Encode()))
	if err != nil {
		r.t.Fatal(err)
	}
	req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	req.Header.Set("Origin", r.at.Scheme+"://"+r.at.Host)
	r.send(req)
}

// post sends a form that no page has, with the token of this one.
func (r *reader) post(action string, values ...string) {
	r.t.Helper()
	form := url.Values{"csrf": {regexp.MustCompile(`name="csrf" value="([^"]*)"`).FindStringSubmatch(r.body)[1]}}
	for i := 0; i+1 < len(values); i += 2 {
		form.Set(values[i], values[i+1])
	}
	r.sendForm(action, form)
}

func (r *reader) expect(path string, texts ...string) {
	r.t.Helper()
	if r.at.Path != path {
		r.t.Fatalf("at %s (%d), want %s\n%s", r.at, r.status, path, r.body)
	}
	for _, text := range texts {
		if !strings.Contains(r.body, text) {
			r.t.Fatalf("%s does not say %q:\n%s", path, text, r.body)
		}
	}
}

var (
	secretText = regexp.MustCompile(`id="secret">([A-Z2-7 ]+)<`)
	codeText   = regexp.MustCompile(`<span data-code>([^<]+)<`)
)

// A person without scripts comes by an invitation, sets up an authenticator app
// and backup codes, and signs in with each of them (rules B11, B13, B14, B20).
func TestFlow_WithoutScripts(t *testing.T) {
	h := newHouse(t)
	token, err := mfatest.NewDesk(h.gate).Invite(t.Context(), mfa.InviteInput{Name: "alice", DisplayName: "Alice"})
	if err != nil {
		t.Fatal(err)
	}
	r := newReader(t)

	r.open(h.url + "/private?x=1")
	r.expect("/.mfa/sign-in", "Sign in")
	r.open(h.url + "/.mfa/link")
	r.submit("token", "token", token)
	r.expect("/.mfa/link", "Your user name is alice")
	r.submit("password", "password", "too short", "display", "Alice")
	r.expect("/.mfa/link", "This is too short", "<title>Error:")
	r.submit("password", "password", password, "display", "Alice")
	r.expect("/.mfa/set-up", "Set up a second step", "Step 1 of 2")
	r.open(h.url + "/.mfa/set-up/totp")
	secret := secretText.FindStringSubmatch(r.body)
	if secret == nil {
		t.Fatal("no secret on the page")
	}
	r.submit("code", "code", "000000")
	r.expect("/.mfa/set-up/totp", "match", secret[1])
	r.submit("code", "code", h.code(t, secret[1]))
	r.expect("/.mfa/set-up/backup-codes", "Step 2 of 2")
	var codes []string
	for _, m := range codeText.FindAllStringSubmatch(r.body, -1) {
		codes = append(codes, m[1])
	}
	if len(codes) != mfa.CodesPerSet {
		t.Fatalf("%d codes on the page", len(codes))
	}
	file := *r
	file.open(h.url + "/.mfa/set-up/backup-codes.txt")
	if file.status != 200 || !strings.Contains(file.body, codes[9]) {
		t.Fatalf("the download: %d %q", file.status, file.body)
	}
	r.submit("saved")
	r.expect("/.mfa/set-up/backup-codes", "then tick this box", codes[0])
	r.submit("saved", "saved", "yes")
	r.expect("/", "Hello alice")
	r.open(h.url + "/.mfa/account")
	r.expect("/.mfa/account", "Alice", "Authenticator app", "10 unused codes left")

	r.open(h.url + "/.mfa/sign-out")
	r.submit("csrf")
	r.expect("/.mfa/sign-out", "You’re signed out")

	h.wait(time.Minute)
	r.open(h.url + "/private?x=1")
	r.expect("/.mfa/sign-in")
	r.submit("name", "name", "alice", "password", "wrong wrong wrong")
	r.expect("/.mfa/sign-in", "don’t match", `value="alice"`)
	r.submit("name", "name", "Alice", "password", password)
	r.expect("/.mfa/verify", "Code from your authenticator app", "Try another method")
	code := h.code(t, secret[1])
	r.submit("code", "code", code[:3]+" "+code[3:])
	r.expect("/private", "Hello alice at /private")

	// The back button, and the form once more: nothing is owed, the person goes on.
	r.open(h.url + "/.mfa/verify?rd=%2Fprivate")
	r.expect("/private", "Hello alice")

	r.open(h.url + "/.mfa/sign-out")
	r.submit("csrf")
	r.open(h.url + "/.mfa/sign-in?rd=%2Fother")
	r.submit("name", "name", "alice", "password", password)
	r.open(h.url + "/.mfa/verify/methods?rd=%2Fother")
	r.expect("/.mfa/verify/methods", "Backup code")
	r.open(h.url + "/.mfa/verify/backup-code?rd=%2Fother")
	r.submit("code", "code", strings.ToLower(strings.ReplaceAll(codes[0], "-", " ")))
	r.expect("/other", "Hello alice")

	// Ten minutes later a change needs a new proof, and then goes on (rule B15).
	h.wait(11 * time.Minute)
	r.open(h.url + "/.mfa/set-up/backup-codes?from=account")
	r.expect("/.mfa/verify", "Before you change how you sign in")
	r.submit("code", "code", h.code(t, secret[1]))
	r.expect("/.mfa/set-up/backup-codes", "Your old codes stop working")
	r.submit("saved", "saved", "yes")
	r.expect("/.mfa/account", "10 unused codes left")
}

// Somebody has nothing but backup codes left and takes long over the set-up: the
// proof grows too old for it (rule B15), and asking for another must not go round
// in circles (rules B16, B24).
func TestFlow_OnlyCodesAndSlow(t *testing.T) {
	h := newHouse(t)
	codes, _ := h.alice(t)
	if err := mfatest.NewDesk(h.gate).RemoveFactors(t.Context(), "alice", mfa.TOTP); err != nil {
		t.Fatal(err)
	}
	h.wait(time.Hour)
	r := newReader(t)
	r.open(h.url + "/private")
	r.submit("name", "name", "alice", "password", password)
	r.expect("/.mfa/verify", "Use a backup code")
	r.submit("code", "code", codes[0])
	r.expect("/.mfa/set-up", "Set up a new second step")
	h.wait(5 * time.Minute)
	r.open(h.url + "/.mfa/set-up/totp?rd=%2Fprivate")
	r.expect("/.mfa/set-up/totp")
	h.wait(6 * time.Minute)
	r.open(h.url + "/.mfa/set-up/totp?rd=%2Fprivate")
	r.expect("/.mfa/verify", "Use a backup code", "Before you change")
	r.submit("code", "code", codes[1])
	r.open(h.url + "/.mfa/set-up/totp?rd=%2Fprivate")
	r.expect("/.mfa/set-up/totp")
	r.submit("code", "code", h.code(t, secretText.FindStringSubmatch(r.body)[1]))
	// What happened before this sign-in is told before the app opens.
	r.expect("/.mfa/notices", "Since you were last here", "Removed: Authenticator app", "by an administrator")
	r.submit("last")
	r.expect("/private", "Hello alice")
}

// Nobody has a factor and nothing requires one: skip leads to the app (B7).
func TestFlow_Skip(t *testing.T) {
	h := newHouse(t)
	h.policy.Optional = true
	token, err := mfatest.NewDesk(h.gate).Invite(t.Context(), mfa.InviteInput{Name: "alice"})
	if err != nil {
		t.Fatal(err)
	}
	r := newReader(t)
	r.open(h.url + "/.mfa/link")
	r.submit("token", "token", token)
	r.submit("password", "password", password)
	r.expect("/.mfa/set-up", "Skip for now")
	r.submit("do")
	r.expect("/", "Hello alice")

	// A route that wants a passkey: asked to verify anew, then to set one up.
	r.open(h.url + "/strict/x")
	r.expect("/.mfa/set-up/passkey", "needs a passkey", "Create passkey", "Back to localhost")
	r.open(h.url + "/.mfa/account")
	r.expect("/.mfa/account", "Not protected yet")
}

// Ten minutes after the password, adding a first factor asks for it again.
func TestFlow_PasswordAgain(t *testing.T) {
	h := newHouse(t)
	h.policy.Optional = true
	token, err := mfatest.NewDesk(h.gate).Invite(t.Context(), mfa.InviteInput{Name: "alice"})
	if err != nil {
		t.Fatal(err)
	}
	r := newReader(t)
	r.open(h.url + "/.mfa/link")
	r.submit("token", "token", token)
	r.submit("password", "password", password)
	r.submit("do")
	h.wait(11 * time.Minute)
	r.open(h.url + "/.mfa/set-up/totp?from=account")
	r.expect("/.mfa/sign-in", "Enter your password once more", `value="alice"`)
	r.submit("name", "name", "alice", "password", password)
	r.expect("/.mfa/set-up/totp", "Scan this")
	r.submit("code", "code", h.code(t, secretText.FindStringSubmatch(r.body)[1]))
	// B14: the tail of a set-up has no Skip; whoever leaves finds it on the page.
	r.expect("/.mfa/set-up/backup-codes", "I saved my backup codes")
	if strings.Contains(r.body, "Skip for now") {
		t.Error("B14: the tail of a set-up can be skipped")
	}
	r.open(h.url + "/.mfa/account")
	r.expect("/.mfa/account", "Make backup codes")
}

// alice has an authenticator app and backup codes.
func (h *house) alice(t *testing.T) (codes []string, secret string) {
	t.Helper()
	token, err := mfatest.NewDesk(h.gate).Invite(t.Context(), mfa.InviteInput{Name: "alice"})
	if err != nil {
		t.Fatal(err)
	}
	r := newReader(t)
	r.open(h.url + "/.mfa/link")
	r.submit("token", "token", token)
	r.submit("password", "password", password)
	r.open(h.url + "/.mfa/set-up/totp")
	secret = secretText.FindStringSubmatch(r.body)[1]
	r.submit("code", "code", h.code(t, secret))
	for _, m := range codeText.FindAllStringSubmatch(r.body, -1) {
		codes = append(codes, m[1])
	}
	r.submit("saved", "saved", "yes")
	r.open(h.url + "/.mfa/account")
	r.expect("/.mfa/account", "10 unused")
	return codes, secret
}

// The account page, from end to end (rules B15, B33, B34).
func TestFlow_Account(t *testing.T) {
	h := newHouse(t)
	_, secret := h.alice(t)
	h.wait(time.Hour / 2)
	r := newReader(t)
	r.open(h.url + "/.mfa/account")
	r.submit("name", "name", "alice", "password", password)
	r.submit("code", "code", h.code(t, secret))
	r.expect("/.mfa/account", "This device", "Sign out everywhere else")

	rename := regexp.MustCompile(`href="(/\.mfa/account/rename[^"]*)"`).FindStringSubmatch(r.body)
	r.open(h.url + strings.ReplaceAll(rename[1], "&amp;", "&"))
	r.submit("name", "name", "\u200b")
	r.expect("/.mfa/account/rename", "Use 1 to 64 characters")
	r.submit("name", "name", "My phone")
	r.expect("/.mfa/account", "Renamed.", "My phone")
	r.submit("session")
	h.wait(11 * time.Minute)
	remove := regexp.MustCompile(`href="(/\.mfa/account/remove[^"]*)"`).FindStringSubmatch(r.body)
	r.open(h.url + strings.ReplaceAll(remove[1], "&amp;", "&"))
	r.expect("/.mfa/account/remove", "is your last one")
	h.policy.Optional = true
	r.open(h.url + strings.ReplaceAll(remove[1], "&amp;", "&"))
	r.expect("/.mfa/account/remove", "Remove My phone?", "your only second step")
	r.submit("credential")
	r.expect("/.mfa/verify", "Before you change how you sign in")
	r.submit("code", "code", h.code(t, secret))
	r.expect("/.mfa/account", "My phone")
	h.policy.Optional = false
	r.open(h.url + strings.ReplaceAll(remove[1], "&amp;", "&"))
	r.expect("/.mfa/account/remove", "is your last one")

	r.open(h.url + "/.mfa/account/password")
	r.submit("old", "old", "not my password", "password", password+"8")
	r.expect("/.mfa/account/password", "not your present password")
	r.submit("old", "old", password, "password", "short")
	r.expect("/.mfa/account/password", "too short")
	r.submit("old", "old", password, "password", password+" and more")
	r.expect("/.mfa/account", "Your password was changed")
}

// A person with a passkey: the ceremonies in a real browser, under the policy
// that forbids inline scripts and untrusted types.
func TestFlow_WithPasskey(t *testing.T) {
	path := pages.FindChromium(t)
	h := newHouse(t)
	token, err := h.gate.SetupLink(t.Context())
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
	withoutAutofill(t, ctx)
	eval := func(js string) string {
		t.Helper()
		s, err := chromedp.Run(ctx, chromedp.Evaluate[string](js))
		if err != nil {
			t.Fatal(err)
		}
		return s
	}
	at := func(path, text string) {
		t.Helper()
		want := fmt.Sprintf("String(document.readyState === \"complete\" && location.pathname === %q && document.body !== null && document.body.innerText.includes(%q))", path, text)
		for deadline := time.Now().Add(10 * time.Second); time.Now().Before(deadline); time.Sleep(20 * time.Millisecond) {
			// An error is a page that is just going away.
			if ok, err := chromedp.Run(ctx, chromedp.Evaluate[string](want)); err == nil && ok == "true" {
				return
			}
		}
		t.Fatalf("not at %s with %q, but at %s:\n%s", path, text, eval("location.href"), eval("document.body.innerText"))
	}

	until := func(want, js string) {
		t.Helper()
		for deadline := time.Now().Add(10 * time.Second); time.Now().Before(deadline); time.Sleep(20 * time.Millisecond) {
			if got, err := chromedp.Run(ctx, chromedp.Evaluate[string](js)); err == nil && got == want {
				return
			}
		}
		t.Fatalf("waited in vain for %q of %s", want, js)
	}

	do(chromedp.Navigate(h.url + "/.mfa/link#" + token))
	at("/.mfa/link", "Create an administrator’s account")
	if got := eval("location.href"); strings.Contains(got, token) {
		t.Errorf("the secret stayed in the address: %s", got)
	}

	// Neither a language nor a theme loses the link, or what was typed.
	do(chromedp.SendKeys(chromedp.ID("name"), "root"), chromedp.Click(chromedp.CSS("button[value=de]")))
	at("/.mfa/link", "Administrationskonto anlegen")
	do(chromedp.Click(chromedp.CSS("button[value=light]")))
	until("light", "String(document.documentElement?.dataset.theme)") // else the next click could overtake this one
	at("/.mfa/link", "Administrationskonto anlegen")
	do(chromedp.Click(chromedp.CSS("button[value=en]")))
	at("/.mfa/link", "Create an administrator’s account")
	if name, theme := eval("document.getElementById('name').value"), eval("document.documentElement.dataset.theme"); name != "root" || theme != "light" {
		t.Errorf("name %q, theme %q", name, theme)
	}
	do(chromedp.SendKeys(chromedp.ID("display"), "Root"),
		chromedp.SendKeys(chromedp.ID("password"), password), chromedp.Click(chromedp.CSS("form .button")))
	at("/.mfa/set-up", "Set up a second step")
	if _, err := chromedp.Call(ctx, webauthn.Enable, webauthn.EnableParams{}); err != nil {
		t.Fatal(err)
	}
	virtual, err := chromedp.Call(ctx, webauthn.AddVirtualAuthenticator, webauthn.AddVirtualAuthenticatorParams{
		Options: &webauthn.VirtualAuthenticatorOptions{
			Protocol: webauthn.AuthenticatorProtocolCtap2, Ctap2version: webauthn.Ctap2versionCtap21, Transport: webauthn.AuthenticatorTransportInternal,
			HasResidentKey: true, HasUserVerification: true, IsUserVerified: false, AutomaticPresenceSimulation: true,
		},
	})
	if err != nil {
		t.Fatal(err)
	}
	do(chromedp.Navigate(h.url + "/.mfa/set-up/passkey?rd=%2Fprivate"))
	at("/.mfa/set-up/passkey", "Create a passkey")

	// The person does not unlock the device: the page says so, and goes on working.
	do(chromedp.Click(chromedp.CSS("[data-passkey]")))
	at("/.mfa/set-up/passkey", "No passkey was created")
	if title := eval("document.title"); !strings.HasPrefix(title, "Error:") {
		t.Errorf("title %q", title)
	}
	_, err = chromedp.Call(ctx, webauthn.SetUserVerified, webauthn.SetUserVerifiedParams{AuthenticatorID: virtual.AuthenticatorID, IsUserVerified: true})
	if err != nil {
		t.Fatal(err)
	}
	do(chromedp.Click(chromedp.CSS("[data-passkey]")))
	at("/.mfa/set-up/backup-codes", "Save your backup codes")
	do(chromedp.Click(chromedp.CSS("input[name=saved]")), chromedp.Click(chromedp.CSS("main form .button")))
	at("/private", "Hello root")

	do(chromedp.Navigate(h.url+"/.mfa/sign-out?rd=%2Fprivate"), chromedp.Click(chromedp.CSS("main form .button")))
	at("/.mfa/sign-out", "signed out")
	h.policy.RememberDevice = 24 * time.Hour
	signIn := func() {
		do(chromedp.Navigate(h.url + "/private"))
		at("/.mfa/sign-in", "Sign in")
		do(chromedp.SendKeys(chromedp.ID("name"), "root"), chromedp.SendKeys(chromedp.ID("password"), password+"\r"))
	}
	signIn()
	at("/.mfa/verify", "Use passkey")
	do(chromedp.Click(chromedp.CSS("[data-remember]")), chromedp.Click(chromedp.CSS("[data-passkey]")))
	at("/private", "Hello root")

	// What was ticked there counts: this browser is not asked again (rule B29). A
	// change of factors asks all the same.
	do(chromedp.Navigate(h.url+"/.mfa/sign-out?rd=%2Fprivate"), chromedp.Click(chromedp.CSS("main form .button")))
	at("/.mfa/sign-out", "signed out")
	signIn()
	at("/private", "Hello root")
	do(chromedp.Navigate(h.url + "/.mfa/account/password"))
	at("/.mfa/account/password", "Change your password")
	do(chromedp.Navigate(h.url + "/.mfa/verify?for=account"))
	at("/.mfa/verify", "Use passkey")
	do(chromedp.Click(chromedp.CSS("[data-passkey]")))
	at("/.mfa/account", "Your account")

	// An authenticator app beside it; its code is sent on the last digit.
	do(chromedp.Navigate(h.url + "/.mfa/set-up/totp?from=account"))
	at("/.mfa/set-up/totp", "Set up your authenticator app")
	do(chromedp.SendKeys(chromedp.ID("code"), h.code(t, eval("document.getElementById('secret').textContent"))))
	at("/.mfa/account", "Authenticator app")

	// The theme switches at once and stays.
	do(chromedp.Click(chromedp.CSS("button[value=dark]")))
	if got := eval("document.documentElement.dataset.theme"); got != "dark" {
		t.Errorf("theme %q", got)
	}
}
