package e2e

import (
	"context"
	"encoding/json"
	"flag"
	"fmt"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/chromedp/cdproto/cdp"
	"github.com/chromedp/cdproto/emulation"
	cdplog "github.com/chromedp/cdproto/log"
	cdpnetwork "github.com/chromedp/cdproto/network"
	cdppage "github.com/chromedp/cdproto/page"
	cdpruntime "github.com/chromedp/cdproto/runtime"
	"github.com/chromedp/cdproto/webauthn"
	"github.com/chromedp/chromedp"
)

var shots = flag.String("shots", "", "write a picture of each page that the tests in the browser meet into this directory")

// patience is how long a page may take to show what a test waits for.
const patience = 15 * time.Second

// chromium is the browser of all tests; each has a browser context of its own,
// with its own cookies.
var chromium struct {
	once   sync.Once
	ctx    context.Context
	cancel []context.CancelFunc
	err    error
}

// browserPath finds a browser.
func browserPath() string {
	if path := os.Getenv("CHROME_BIN"); path != "" {
		return path
	}
	for _, name := range []string{"chromium", "chromium-browser", "google-chrome"} {
		if path, err := exec.LookPath(name); err == nil {
			return path
		}
	}
	return ""
}

func openBrowser(t testing.TB) context.Context {
	t.Helper()
	path := browserPath()
	require(t, path != "", "Chromium (Debian: apt-get install chromium; or name one in CHROME_BIN)")
	chromium.once.Do(func() {
		options := append(chromedp.DefaultExecAllocatorOptions[:],
			chromedp.ExecPath(path),
			chromedp.Flag("disable-gpu", true),
			chromedp.Flag("disable-quic", true),
			chromedp.Flag("disable-component-update", true),
			chromedp.Flag("ignore-certificate-errors", true),
			chromedp.Flag("lang", "en-US"),
			chromedp.Flag("host-resolver-rules", frontRules(t)+"MAP *.example.test 127.0.0.1, MAP *.other.test 127.0.0.1, MAP * ~NOTFOUND, EXCLUDE localhost, EXCLUDE 127.0.0.1"),
		)
		allocator, cancel := chromedp.NewExecAllocator(context.Background(), options...)
		ctx, cancel2 := chromedp.NewContext(allocator)
		chromium.cancel = []context.CancelFunc{cancel2, cancel}
		chromium.ctx, chromium.err = ctx, chromedp.Do(ctx)
	})
	if chromium.err != nil {
		t.Fatalf("starting %s: %v", path, chromium.err)
	}
	return chromium.ctx
}

// closeBrowser ends the browser after the last test.
func closeBrowser() {
	for _, cancel := range chromium.cancel {
		cancel()
	}
}

// tab is one tab of a browser. What it sees is checked for accessibility, and
// errors of its scripts fail the test.
type tab struct {
	t   testing.TB
	g   *gateway
	ctx context.Context

	key       webauthn.AuthenticatorID // of the virtual authenticator
	scriptOff bool
	language  string
}

// browse opens a tab in a browser context of its own, with an authenticator in
// the device.
func (g *gateway) browse(t testing.TB) *tab {
	t.Helper()
	return g.open(t, openBrowser(t), chromedp.WithNewBrowserContext())
}

// second opens another tab of the same browser: it shares the cookies.
func (b *tab) second() *tab {
	b.t.Helper()
	id := chromedp.FromContext(b.ctx).BrowserContextID
	return b.g.open(b.t, openBrowser(b.t), chromedp.WithExistingBrowserContext(id))
}

func (g *gateway) open(t testing.TB, parent context.Context, options ...chromedp.ContextOption) *tab {
	t.Helper()
	b := &tab{t: t, g: g, language: "en"}
	var faults struct {
		sync.Mutex
		list []string
	}
	options = append(options, chromedp.WithListener(func(event any) {
		fault := ""
		switch e := event.(type) {
		case *cdpruntime.EventExceptionThrown:
			fault = "script: " + e.ExceptionDetails.Text
			if e.ExceptionDetails.Exception != nil {
				fault += " " + e.ExceptionDetails.Exception.Description
			}
		case *cdplog.EventEntryAdded:
			// Statuses that are no success are what many tests are about.
			if e.Entry.Level == cdplog.EntryLevelError && e.Entry.Source != cdplog.EntrySourceNetwork {
				fault = string(e.Entry.Source) + ": " + e.Entry.Text
			}
		}
		if fault != "" {
			faults.Lock()
			faults.list = append(faults.list, fault)
			faults.Unlock()
		}
	}))
	ctx, cancel := chromedp.NewContext(parent, options...)
	b.ctx = ctx
	t.Cleanup(func() {
		if t.Failed() {
			b.report()
		}
		cancel()
		faults.Lock()
		defer faults.Unlock()
		for _, fault := range faults.list {
			t.Errorf("the browser complains: %s", fault)
		}
	})
	b.do(chromedp.EmulateViewport(1280, 900))
	call(b, cdplog.Enable, cdp.Empty{})
	call(b, webauthn.Enable, webauthn.EnableParams{})
	b.addDevice()
	// That authenticator would answer the sign-in page's fill-in before anybody could
	// type: these people have a browser without it.
	call(b, cdppage.AddScriptToEvaluateOnNewDocument, cdppage.AddScriptToEvaluateOnNewDocumentParams{
		Source: "if (window.PublicKeyCredential) PublicKeyCredential.isConditionalMediationAvailable = async () => false;",
	})
	return b
}

// addDevice gives the browser an authenticator.
func (b *tab) addDevice() {
	b.t.Helper()
	b.key = call(b, webauthn.AddVirtualAuthenticator, webauthn.AddVirtualAuthenticatorParams{Options: &webauthn.VirtualAuthenticatorOptions{
		Protocol: webauthn.AuthenticatorProtocolCtap2, Ctap2version: webauthn.Ctap2versionCtap21, Transport: webauthn.AuthenticatorTransportInternal,
		HasResidentKey: true, HasUserVerification: true, IsUserVerified: true, AutomaticPresenceSimulation: true,
		DefaultBackupEligibility: true, DefaultBackupState: true,
	}}).AuthenticatorID
}

// report shows where the tab stands, for a test that failed.
func (b *tab) report() {
	var at struct{ URL, Title, Text string }
	err := b.eval(&at, `({URL: location.href, Title: document.title, Text: document.body.innerText})`)
	b.t.Logf("the tab is at %s (%s): %s (%v)", at.URL, at.Title, strings.Join(strings.Fields(at.Text), " "), err)
}

// call sends a command of the browser's protocol.
func call[P, R any](b *tab, command cdp.Command[P, R], params P) R {
	b.t.Helper()
	ctx, cancel := context.WithTimeout(b.ctx, patience)
	defer cancel()
	r, err := chromedp.Call(ctx, command, params)
	if err != nil {
		b.t.Fatalf("%s: %v", command.Method, err)
	}
	return r
}

func (b *tab) do(steps ...chromedp.Action[chromedp.Void]) {
	b.t.Helper()
	if chromedp.FromContext(b.ctx).Target == nil {
		// The first run binds the tab's life to its context.
		if err := chromedp.Do(b.ctx, steps...); err != nil {
			b.t.Fatal(err)
		}
		return
	}
	ctx, cancel := context.WithTimeout(b.ctx, patience)
	defer cancel()
	if err := chromedp.Do(ctx, steps...); err != nil {
		b.t.Fatal(err)
	}
}

// eval evaluates an expression and decodes what it gives.
func (b *tab) eval(into any, expression string) error {
	ctx, cancel := context.WithTimeout(b.ctx, patience)
	defer cancel()
	raw, err := chromedp.Run(ctx, chromedp.Evaluate[[]byte](expression, chromedp.EvalAwaitPromise))
	if err != nil {
		return err
	}
	return json.Unmarshal(raw, into)
}

// js is eval for expressions that cannot fail.
func js[T any](b *tab, expression string) T {
	b.t.Helper()
	var v T
	if err := b.eval(&v, expression); err != nil {
		b.t.Fatalf("%s: %v", expression, err)
	}
	return v
}

// goTo opens an address; a path is one of the gateway's site.
func (b *tab) goTo(address string) {
	b.t.Helper()
	if strings.HasPrefix(address, "/") {
		address = b.g.base() + address
	}
	ctx, cancel := context.WithTimeout(b.ctx, patience)
	defer cancel()
	// The page may lead on by itself before it is loaded: what it leads to is
	// what a test waits for.
	if _, err := chromedp.Call(ctx, cdppage.Navigate, cdppage.NavigateParams{URL: address}); err != nil {
		b.t.Fatalf("opening %s: %v", address, err)
	}
}

// until waits until the expression is true.
func (b *tab) until(what, expression string) {
	b.t.Helper()
	var last error
	for end := time.Now().Add(patience); time.Now().Before(end); time.Sleep(15 * time.Millisecond) {
		var ok bool
		// Between two pages there is nothing to ask.
		if last = b.eval(&ok, "!!("+expression+")"); last == nil && ok {
			return
		}
	}
	b.t.Fatalf("waited in vain for %s (%v)", what, last)
}

// see waits for the page with that heading, whose title says the same, and looks
// at it as somebody does who needs contrast, names and order.
func (b *tab) see(heading string) {
	b.t.Helper()
	b.until(fmt.Sprintf("the page %q", heading), fmt.Sprintf(`document.readyState === "complete" && document.querySelector("h1")?.textContent === %s`, quote(heading)))
	b.inspect(heading)
}

// arrive waits until the app is there, and sees whom and what it should.
func (b *tab) arrive(user, path string) {
	b.t.Helper()
	b.until(fmt.Sprintf("the app at %s as %s", path, user), `document.readyState === "complete" && document.getElementById("user")?.textContent === `+quote(user)+` && document.getElementById("path")?.textContent === `+quote(path))
}

// says waits for a text that a person can see.
func (b *tab) says(text string) {
	b.t.Helper()
	b.until(fmt.Sprintf("the words %q", text), `document.readyState === "complete" && document.body.innerText.replace(/\s+/g, " ").includes(`+quote(text)+`)`)
}

func (b *tab) path() string {
	b.t.Helper()
	return js[string](b, `location.pathname + location.search`)
}

// button presses the button or link with these words: those that are seen, or those
// that a screen reader says.
func (b *tab) button(words string) {
	b.t.Helper()
	find := `[...document.querySelectorAll("button, a, summary")].find((e) => e.getClientRects().length && [e.innerText,
		(e.getAttribute("aria-labelledby") || "").split(" ").map((id) => document.getElementById(id)?.textContent || "").join(" "), e.getAttribute("aria-label") || ""].
		some((name) => name.replace(/\s+/g, " ").trim() === ` + quote(words) + `))`
	b.until(fmt.Sprintf("the button %q", words), `document.readyState === "complete" && `+find)
	// A real press with the mouse, where it lies.
	at := js[[]float64](b, `(() => { const e = `+find+`; e.scrollIntoView({block: "center", behavior: "instant"}); const r = e.getClientRects()[0]; return [r.x + r.width / 2, r.y + r.height / 2]; })()`)
	b.do(chromedp.MouseClickXY(at[0], at[1]))
}

// click presses what the selector finds.
func (b *tab) click(selector string) {
	b.t.Helper()
	b.until(selector, `document.readyState === "complete" && document.querySelector(`+quote(selector)+`)?.getClientRects().length`)
	b.do(chromedp.Click(chromedp.CSS(selector)))
}

// write types into a field, in place of what stands there.
func (b *tab) write(selector, text string) {
	b.t.Helper()
	// The page's script listens once the page is complete; nobody types faster.
	b.until(selector, `(() => { const e = document.querySelector(`+quote(selector)+`); e?.focus(); e?.select(); return e && document.activeElement === e && document.readyState === "complete"; })()`)
	b.press(text)
}

// press types on the keyboard, wherever the focus is.
func (b *tab) press(keys string) {
	b.t.Helper()
	b.do(chromedp.KeyEvent(keys))
}

func (b *tab) back() {
	b.t.Helper()
	h := call(b, cdppage.GetNavigationHistory, cdp.Empty{})
	if h.CurrentIndex == 0 {
		b.t.Fatal("there is no page to go back to")
	}
	call(b, cdppage.NavigateToHistoryEntry, cdppage.NavigateToHistoryEntryParams{EntryID: h.Entries[h.CurrentIndex-1].ID})
}

// noScripts turns the page's scripts off from the next page on.
func (b *tab) noScripts() {
	b.t.Helper()
	b.scriptOff = true
	call(b, emulation.SetScriptExecutionDisabled, emulation.SetScriptExecutionDisabledParams{Value: true})
}

// speaks makes the browser prefer a language.
func (b *tab) speaks(language string) {
	b.t.Helper()
	b.language, _, _ = strings.Cut(language, "-")
	agent := js[string](b, `navigator.userAgent`)
	call(b, emulation.SetUserAgentOverride, emulation.SetUserAgentOverrideParams{UserAgent: agent, AcceptLanguage: language})
}

// cookies returns the names and values that the browser holds for the site.
func (b *tab) cookies() map[string]string {
	b.t.Helper()
	u := js[string](b, `location.origin + "/"`)
	found := map[string]string{}
	for _, c := range call(b, cdpnetwork.GetCookies, cdpnetwork.GetCookiesParams{URLs: []string{u}}).Cookies {
		found[c.Name] = c.Value
	}
	return found
}

// forgetCookies takes the cookies away whose names end so.
func (b *tab) forgetCookies(suffix string) {
	b.t.Helper()
	u := js[string](b, `location.origin + "/"`)
	for name := range b.cookies() {
		if strings.HasSuffix(name, suffix) {
			call(b, cdpnetwork.DeleteCookies, cdpnetwork.DeleteCookiesParams{Name: name, URL: u})
		}
	}
}

// passkeys counts what the authenticator holds.
func (b *tab) passkeys() []*webauthn.Credential {
	b.t.Helper()
	return call(b, webauthn.GetCredentials, webauthn.GetCredentialsParams{AuthenticatorID: b.key}).Credentials
}

func quote(s string) string {
	q, _ := json.Marshal(s) //nolint:errcheck // a string always becomes JSON
	return string(q)
}

// axe is the accessibility checker, vendored with the pages' tests.
var axe = sync.OnceValues(func() (string, error) {
	script, err := os.ReadFile("../pages/testdata/axe/axe.min.js")
	return string(script), err
})

// inspected are the pages that were looked at already, each once per language.
var inspected sync.Map

// violation is what axe finds.
type violation struct {
	ID, Impact, Help string
	Nodes            []struct{ Target []any }
}

// inspect runs axe over the page as it stands, in light and dark, and takes
// pictures where they are asked for.
func (b *tab) inspect(heading string) {
	b.t.Helper()
	if b.scriptOff {
		return // axe is a script
	}
	state := js[string](b, `location.pathname + " " + document.title + " " + [...document.querySelectorAll("[role=alert]:not([hidden]), [role=status]")].map((e) => e.textContent).join(" ")`)
	if _, done := inspected.LoadOrStore(b.language+" "+state, true); done {
		return
	}
	script, err := axe()
	if err != nil {
		b.t.Fatalf("reading axe: %v", err)
	}
	if strings.HasPrefix(state, "/.mfa/") && !js[bool](b, `document.title.includes(document.querySelector("h1").textContent)`) {
		b.t.Errorf("the title %q is not about %q", js[string](b, "document.title"), heading)
	}
	if err := b.eval(new(bool), script+"; true"); err != nil {
		b.t.Fatalf("loading axe: %v", err)
	}
	for _, look := range []struct{ scheme, rules string }{
		{"light", `["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa", "best-practice"]`},
		{"dark", `["color-contrast"]`}, // nothing else changes
	} {
		scheme := look.scheme
		call(b, emulation.SetEmulatedMedia, emulation.SetEmulatedMediaParams{Features: []*emulation.MediaFeature{
			{Name: "prefers-color-scheme", Value: scheme}, {Name: "prefers-reduced-motion", Value: "reduce"},
		}})
		var violations []violation
		if err := b.eval(&violations, `(async () => {
			const r = await axe.run(document, {runOnly: `+look.rules+`, resultTypes: ["violations"]});
			return r.violations.map((v) => ({ID: v.id, Impact: v.impact, Help: v.help, Nodes: v.nodes.map((n) => ({Target: n.target}))})); })()`); err != nil {
			b.t.Fatalf("axe on %s: %v", state, err)
		}
		for _, v := range violations {
			b.t.Errorf("axe, %s, %s: %s (%s): %s %v", scheme, state, v.ID, v.Impact, v.Help, v.Nodes)
		}
		b.shoot(heading, scheme)
	}
	call(b, emulation.SetEmulatedMedia, emulation.SetEmulatedMediaParams{})
}

// shoot writes pictures of the page.
func (b *tab) shoot(name, scheme string) {
	if *shots == "" {
		return
	}
	b.t.Helper()
	if err := os.MkdirAll(*shots, 0o755); err != nil {
		b.t.Fatal(err)
	}
	name = strings.Map(func(r rune) rune {
		if strings.ContainsRune("/?&=:#%. ’'…,", r) {
			return '-'
		}
		return r
	}, strings.Trim(strings.SplitN(b.path(), "?", 2)[0], "/")+"-"+name)
	for _, width := range []int64{360, 1280} {
		b.do(chromedp.EmulateViewport(width, 800))
		picture, err := chromedp.Run(b.ctx, chromedp.FullScreenshot(100))
		if err != nil {
			b.t.Fatal(err)
		}
		file := filepath.Join(*shots, fmt.Sprintf("%s-%s-%s-%d.png", name, b.language, scheme, width))
		for n := 2; ; n++ {
			if _, err := os.Stat(file); err != nil {
				break
			}
			file = filepath.Join(*shots, fmt.Sprintf("%s-%d-%s-%s-%d.png", name, n, b.language, scheme, width))
		}
		if err := os.WriteFile(file, picture, 0o644); err != nil {
			b.t.Fatal(err)
		}
	}
	b.do(chromedp.EmulateViewport(1280, 900))
}

// Flows that several tests walk.

// begin opens the link for the first account and creates it; the list of factors
// is there afterwards.
func (b *tab) begin(name string) {
	b.t.Helper()
	b.beginWith(b.g.firstLink(b.t), name)
}

// beginWith is begin with a link that was asked for.
func (b *tab) beginWith(link, name string) {
	b.t.Helper()
	b.goTo(link)
	b.see("Create an administrator’s account")
	if hash := js[string](b, "location.hash"); hash != "" {
		b.t.Errorf("the secret of the link stayed in the address: %q", hash)
	}
	b.write("#name", name)
	b.write("#password", password)
	b.button("Create account")
	b.see("Set up a second step")
}

// addPasskey goes from the list to the codes.
func (b *tab) addPasskey() {
	b.t.Helper()
	b.way("Passkey")
	b.see("Create a passkey")
	b.button("Create passkey")
	b.see("Save your backup codes")
}

// addApp goes from the list to the codes with an authenticator app, and returns
// its secret.
func (b *tab) addApp() *phone {
	b.t.Helper()
	b.way("Authenticator app")
	b.see("Set up your authenticator app")
	p := b.scan()
	b.enterCode(p.code(b.t))
	b.see("Save your backup codes")
	return p
}

// way picks an entry of a list of factors.
func (b *tab) way(name string) {
	b.t.Helper()
	find := `[...document.querySelectorAll("a.way")].find((e) => e.querySelector("b").textContent === ` + quote(name) + `)`
	b.until(name+" on the list", find)
	at := js[[]float64](b, `(() => { const e = `+find+`; e.scrollIntoView({block: "center", behavior: "instant"}); const r = e.getBoundingClientRect(); return [r.x + r.width / 2, r.y + r.height / 2]; })()`)
	b.do(chromedp.MouseClickXY(at[0], at[1]))
}

// takeCodes reads the backup codes, confirms them and returns them.
func (b *tab) takeCodes() []string {
	b.t.Helper()
	b.until("the backup codes", `document.readyState === "complete" && document.querySelector("[data-code]")`)
	list := js[[]string](b, `[...document.querySelectorAll("[data-code]")].map((e) => e.textContent)`)
	if len(list) != 10 {
		b.t.Fatalf("%d backup codes are shown", len(list))
	}
	b.click("input[name=saved]")
	b.button("Continue")
	return list
}

// signIn gives name and password.
func (b *tab) signIn(name string) {
	b.t.Helper()
	b.see("Sign in")
	b.write("#name", name)
	b.write("#password", password)
	b.button("Sign in")
}

// signOut signs out by the page.
// told sees what happened before this sign-in, and goes on.
func (b *tab) told(what ...string) {
	b.t.Helper()
	b.see("Since you were last here")
	for _, text := range what {
		b.says(text)
	}
	b.press("\r") // the button has the keyboard
}

func (b *tab) signOut() {
	b.t.Helper()
	b.goTo("/.mfa/sign-out")
	b.see("Sign out?")
	b.button("Sign out")
	b.see("You’re signed out")
}

// enterCode types a code; with scripts it is sent on its last digit.
func (b *tab) enterCode(code string) {
	b.t.Helper()
	b.write("#code", code)
	if b.scriptOff || len(code) != 6 {
		b.click("form[action*='/.mfa/'] button.button")
	}
}

// phone is an authenticator app whose codes come from oathtool.
type phone struct {
	g      *gateway
	Secret string
	last   int64
}

// scan takes the secret that the page shows as text.
func (b *tab) scan() *phone {
	b.t.Helper()
	b.until("the secret", `document.getElementById("secret")`)
	return &phone{g: b.g, Secret: js[string](b, `document.getElementById("secret").textContent`)}
}

// code returns a code that was not used before. Where that would be one of the
// future, the gateway's clock moves on.
func (p *phone) code(t testing.TB) string {
	t.Helper()
	step := p.g.now().Unix() / 30
	for step <= p.last {
		p.g.advance(t, 30*time.Second)
		step = p.g.now().Unix() / 30
	}
	p.last = step
	return oathtool(t, p.Secret, time.Unix(step*30, 0))
}

// origin is the scheme, host and port where the tab is.
func (b *tab) origin() string {
	b.t.Helper()
	u, err := url.Parse(js[string](b, "location.href"))
	if err != nil {
		b.t.Fatal(err)
	}
	return u.Scheme + "://" + u.Host
}

// focus is what the keyboard is on: its words, or the name of the field.
func (b *tab) focus() string {
	b.t.Helper()
	return js[string](b, `(() => { const e = document.activeElement; return e.name && e.tagName === "INPUT" ? e.name : e.innerText.replace(/\s+/g, " ").trim(); })()`)
}

// tabTo presses the tab key until the keyboard is on what begins with these words,
// at most as often as there are things on the page.
func (b *tab) tabTo(want string) {
	b.t.Helper()
	var seen []string
	for range 30 {
		at := b.focus()
		if strings.HasPrefix(at, want) && len(at) < len(want)+120 {
			if !js[bool](b, `document.activeElement.matches(":focus-visible")`) {
				b.t.Errorf("nothing shows that the keyboard is on %q", want)
			}
			return
		}
		seen = append(seen, at)
		b.press("\t")
	}
	b.t.Fatalf("the keyboard never came to %q, only to %q", want, slices.Compact(seen))
}
