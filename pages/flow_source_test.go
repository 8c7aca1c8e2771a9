package pages_test

import (
	"context"
	"errors"
	"net/http"
	"net/http/cookiejar"
	"net/http/httptest"
	"net/url"
	"regexp"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/secondgate/secondgate/mfa"
)

// provider is an identity source at which people sign in themselves: a server that sends
// whoever comes straight back as who the test says, and the source that reads what it sent.
type provider struct {
	name, url string

	mu    sync.Mutex
	who   string // "": it says no
	again bool   // whether the last start asked for a new proof
}

func newProvider(t *testing.T, name string) *provider {
	t.Helper()
	p := &provider{name: name, who: "alice"}
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		p.mu.Lock()
		defer p.mu.Unlock()
		q := r.URL.Query()
		if r.URL.Path == "/logout" {
			http.Redirect(w, r, q.Get("back"), http.StatusFound)
			return
		}
		back := url.Values{"state": {q.Get("state")}}
		if back.Set("code", "code-of-"+p.who); p.who == "" {
			back = url.Values{"state": {q.Get("state")}, "error": {"access_denied"}, "error_description": {`"><svg/onload=1>`}}
		}
		http.Redirect(w, r, q.Get("callback")+"?"+back.Encode(), http.StatusFound)
	}))
	t.Cleanup(server.Close)
	p.url = server.URL
	return p
}

func (p *provider) be(who string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.who = who
}

func (p *provider) Source() string { return p.name }

func (p *provider) Begin(_ context.Context, in mfa.RedirectStart) (string, mfa.Secret, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.again = in.Again
	return p.url + "/authorize?" + url.Values{"callback": {in.Callback}, "state": {in.State}}.Encode(), mfa.Secret("kept by " + p.name), nil
}

func (p *provider) Finish(_ context.Context, kept mfa.Secret, answer url.Values) (*mfa.Identity, error) {
	if string(kept) != "kept by "+p.name {
		return nil, errors.New("what was kept is another's")
	}
	if answer.Get("error") != "" {
		return nil, mfa.ErrDenied
	}
	who, ok := strings.CutPrefix(answer.Get("code"), "code-of-")
	if !ok {
		return nil, mfa.ErrRejected
	}
	return &mfa.Identity{Source: p.name, Subject: "subject-of-" + who, Name: who, DisplayName: strings.ToUpper(who), Kept: mfa.Secret("session")}, nil
}

func (p *provider) SignOutURL(_ mfa.Secret, back string) string {
	return p.url + "/logout?" + url.Values{"back": {back}}.Encode()
}

// houseOf is a house whose people come from providers alone.
func houseOf(t *testing.T, list ...*provider) *house {
	t.Helper()
	return newHouse(t, func(cfg *mfa.Config) {
		cfg.Sources = nil
		for _, p := range list {
			cfg.Sources = append(cfg.Sources, mfa.Source{Title: "Provider " + p.name, Redirect: p, SignOutThere: true})
		}
	})
}

var goesOn = regexp.MustCompile(`http-equiv="refresh" content="0; url=([^"]*)"`)

// A person comes from the only provider there is: straight to it and back to where they
// were going, through a set-up, out again here and there, and in again when they say so
// (rules B8, B15, B31).
func TestFlow_Provider(t *testing.T) {
	p := newProvider(t, "acme")
	h := houseOf(t, p)
	r := newReader(t)
	r.open(h.url + "/private?x=1&y=2")
	r.expect("/.mfa/set-up", "Set up a second step")
	if got := r.at.Query().Get("rd"); got != "/private?x=1&y=2" {
		t.Fatalf("AC-041: the way back is %q", got)
	}
	r.open(h.url + "/.mfa/set-up/totp?" + r.at.RawQuery)
	secret := secretText.FindStringSubmatch(r.body)[1]
	r.submit("code", "code", h.code(t, secret))
	r.submit("saved", "saved", "yes")
	r.expect("/private", "Hello alice")
	r.open(h.url + "/.mfa/account")
	r.expect("/.mfa/account", "Signed in with Provider acme")
	for _, never := range []string{"/.mfa/account/password", "/.mfa/account/name", "/.mfa/account/email"} {
		if strings.Contains(r.body, never) {
			t.Errorf("the account page leads to %s", never)
		}
	}

	r.open(h.url + "/.mfa/sign-out")
	r.submit("csrf")
	r.expect("/.mfa/sign-out", "You’re signed out here")
	on := goesOn.FindStringSubmatch(r.body)
	if on == nil {
		t.Fatal("it does not go on to the provider")
	}
	r.open(strings.ReplaceAll(on[1], "&amp;", "&"))
	r.expect("/.mfa/sign-out", "You’re signed out", "again=out")
	r.open(h.url + "/.mfa/sign-in?again=out")
	r.expect("/.mfa/sign-in", "Continue with Provider acme")

	h.wait(time.Minute)
	p.be("")
	r.open(h.url + "/private")
	r.expect("/.mfa/sign-in/with/acme/callback", "was stopped, by you or by Provider acme", `href="/.mfa/sign-in/with/acme?rd=%2Fprivate"`)
	if r.status != http.StatusForbidden || strings.Contains(r.body, "svg/onload") || strings.Contains(r.body, "access_denied") {
		t.Errorf("AC-133: %d\n%s", r.status, r.body)
	}
	p.be("alice")
	r.open(h.url + "/.mfa/sign-in/with/acme?rd=%2Fprivate")
	r.expect("/.mfa/verify", "Code from your authenticator app")
	r.submit("code", "code", h.code(t, secret))
	r.expect("/.mfa/notices", "Added: Authenticator app")
	r.submit("last")
	r.expect("/private", "Hello alice")
	r.open(h.url + "/.mfa/sign-in/with/acme?rd=%2Fprivate") // whoever is signed in goes on
	r.expect("/private", "Hello alice")
}

// tab is a browser that goes one step at a time.
type tab struct {
	t      *testing.T
	client *http.Client
}

func newTab(t *testing.T) *tab {
	t.Helper()
	jar, err := cookiejar.New(nil)
	if err != nil {
		t.Fatal(err)
	}
	return &tab{t, &http.Client{Jar: jar, CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}}
}

// get returns the status and where it leads.
func (b *tab) get(address string) (int, string) {
	b.t.Helper()
	req, err := http.NewRequest(http.MethodGet, address, nil)
	if err != nil {
		b.t.Fatal(err)
	}
	req.Header.Set("Accept", "text/html")
	req.Header.Set("Sec-Fetch-Mode", "navigate")
	req.Header.Set("Sec-Fetch-Dest", "document")
	res, err := b.client.Do(req)
	if err != nil {
		b.t.Fatal(err)
	}
	res.Body.Close()
	return res.StatusCode, res.Header.Get("Location")
}

// begin goes to the provider, and returns the address that it sends back to.
func (b *tab) begin(h *house, page string) string {
	b.t.Helper()
	status, there := b.get(h.url + "/.mfa/sign-in/with/" + page)
	if status != http.StatusSeeOther {
		b.t.Fatalf("%s: %d", page, status)
	}
	_, back := b.get(there)
	if back == "" {
		b.t.Fatal("the provider sends nobody back")
	}
	return back
}

// cookie returns the value of the cookie whose name ends so, or "".
func (b *tab) cookie(h *house, suffix string) string {
	u, _ := url.Parse(h.url + "/.mfa/")
	for _, c := range b.client.Jar.Cookies(u) {
		if strings.HasSuffix(c.Name, suffix) {
			return c.Value
		}
	}
	return ""
}

// plant puts a cookie of that ending of ours into the browser.
func (b *tab) plant(h *house, suffix, value string) {
	u, _ := url.Parse(h.url + "/.mfa/")
	b.client.Jar.SetCookies(u, []*http.Cookie{{Name: "mfa-" + u.Port() + suffix, Value: value, Path: "/"}})
}

// Somebody who gets hold of an answer, or can make another's browser open one, signs
// nobody in with it: an answer is worth something once, in the browser that asked, at the
// source that was asked (AC-173, AC-174).
func TestFlow_Provider_AC173_AC174(t *testing.T) {
	acme, other := newProvider(t, "acme"), newProvider(t, "other")
	h := houseOf(t, acme, other)

	t.Run("AC-173 without a start", func(t *testing.T) {
		b := newTab(t)
		if status, _ := b.get(h.url + "/.mfa/sign-in/with/acme/callback?code=code-of-alice&state=x"); status != http.StatusBadRequest || b.cookie(h, "-half") != "" {
			t.Errorf("%d", status)
		}
	})
	t.Run("AC-174 in another browser", func(t *testing.T) {
		mallory, victim := newTab(t), newTab(t)
		planted := mallory.begin(h, "acme")
		victim.begin(h, "acme")
		if status, _ := victim.get(planted); status != http.StatusBadRequest || victim.cookie(h, "-half") != "" {
			t.Errorf("%d: the victim is signed in as whom Mallory is there", status)
		}
	})
	t.Run("AC-174 at another source", func(t *testing.T) {
		b := newTab(t)
		back := b.begin(h, "acme")
		if status, _ := b.get(strings.Replace(back, "/acme/", "/other/", 1)); status != http.StatusBadRequest || b.cookie(h, "-half") != "" {
			t.Errorf("%d", status)
		}
	})
	t.Run("AC-174 a second time", func(t *testing.T) {
		b := newTab(t)
		back := b.begin(h, "acme")
		if status, _ := b.get(back); status != http.StatusSeeOther {
			t.Fatalf("the first time: %d", status)
		}
		if status, _ := b.get(back); status != http.StatusBadRequest {
			t.Errorf("%d", status)
		}
	})
	t.Run("AC-174 too late", func(t *testing.T) {
		b := newTab(t)
		back := b.begin(h, "acme")
		h.wait(mfa.RedirectLife + time.Second)
		if status, _ := b.get(back); status != http.StatusBadRequest {
			t.Errorf("%d", status)
		}
	})
	t.Run("AC-041 two tabs, each goes where it began", func(t *testing.T) {
		other.be("bob") // whose name is nobody else's
		b := newTab(t)
		first := b.begin(h, "acme?rd=%2Fprivate%2Ffirst")
		second := b.begin(h, "other?rd=%2Fprivate%2Fsecond")
		for back, want := range map[string]string{first: "/private/first", second: "/private/second"} {
			status, to := b.get(back + "&rd=%2Felsewhere")
			u, err := url.Parse(to)
			if err != nil || status != http.StatusSeeOther || u.Query().Get("rd") != want || u.Host != "" {
				t.Errorf("%d to %q, want %q", status, to, want)
			}
		}
	})
}

// What binds a sign-in elsewhere to a browser is no session, and a session is not it
// (AC-008); and whoever plants one of theirs in another's browser has nothing of the
// sign-in that goes through with it (AC-012).
func TestFlow_Provider_AC008_AC012(t *testing.T) {
	p := newProvider(t, "acme")
	h := houseOf(t, p)
	mallory := newTab(t)
	mallory.begin(h, "acme")
	known := mallory.cookie(h, "-redirect")
	if known == "" {
		t.Fatal("no cookie binds the start")
	}

	victim := newTab(t)
	victim.plant(h, "-redirect", known)
	back := victim.begin(h, "acme?rd=%2Fprivate")
	if status, _ := victim.get(back); status != http.StatusSeeOther || victim.cookie(h, "-half") == "" {
		t.Fatalf("the victim's own sign-in: %d", status)
	}
	if status, _ := mallory.get(back); status != http.StatusBadRequest || mallory.cookie(h, "-half") != "" {
		t.Errorf("AC-012: Mallory, with the same secret and the victim's answer: %d", status)
	}
	u, err := url.Parse(back)
	if err != nil {
		t.Fatal(err)
	}
	for name, value := range map[string]string{"the secret": known, "the state": u.Query().Get("state"), "the code": u.Query().Get("code")} {
		b := newTab(t)
		for _, suffix := range []string{"", "-half"} {
			b.plant(h, suffix, value)
		}
		if status, to := b.get(h.url + "/private"); status < 300 || !strings.HasPrefix(to, "/.mfa/sign-in") {
			t.Errorf("AC-008: %s as the session: %d to %q", name, status, to)
		}
		if status, to := b.get(h.url + "/.mfa/account"); status < 300 || !strings.HasPrefix(to, "/.mfa/sign-in") {
			t.Errorf("AC-008: %s as the session, at a page of ours: %d to %q", name, status, to)
		}
	}
	b := newTab(t)
	back = b.begin(h, "acme")
	b.plant(h, "-redirect", victim.cookie(h, "-half"))
	if status, _ := b.get(back); status != http.StatusBadRequest {
		t.Errorf("AC-008: a half-done session in place of the secret: %d", status)
	}
}

var (
	_ mfa.RedirectSource = (*provider)(nil)
	_ mfa.SignOutSource  = (*provider)(nil)
)
