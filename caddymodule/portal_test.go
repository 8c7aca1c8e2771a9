package caddymodule

import (
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/cookiejar"
	"net/url"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/secondgate/secondgate/mfa"
)

// An app beside the portal, once broken into, would act there for everybody who signs in;
// and people are sent to the portal by its one name.
func TestPortal_WhereItStands(t *testing.T) {
	for _, c := range []struct {
		name, sites string
		want        error // nil: it loads
	}{
		{"alone", "http://auth.localhost:PORT {\n\tmfa_portal\n}", nil},
		{"with headers and a log", "http://auth.localhost:PORT {\n\tlog\n\theader X-Robots-Tag noindex\n\tmfa_portal\n}", nil},
		{"in a named route", "http://auth.localhost:PORT {\n\tinvoke named\n}\n&(named) {\n\tmfa_portal\n}", nil},
		{"before an app", "http://auth.localhost:PORT {\n\tmfa_portal\n\treverse_proxy localhost:3000\n}", errPortalShared},
		{"with mfa", "http://auth.localhost:PORT {\n\tmfa\n\tmfa_portal\n}", errPortalShared},
		{"beside files in a handle", "http://auth.localhost:PORT {\n\thandle /x/* {\n\t\tfile_server\n\t}\n\tmfa_portal\n}", errPortalShared},
		{"under two names", "http://auth.localhost:PORT, http://login.localhost:PORT {\n\tmfa_portal\n}", errPortalTwice},
		{"twice", "http://auth.localhost:PORT {\n\tmfa_portal\n}\nhttp://login.localhost:PORT {\n\tmfa_portal\n}", errPortalTwice},
		{"with a star", "http://*.localhost:PORT {\n\tmfa_portal\n}", errPortalUnnamed},
		{"without a name", "http://:PORT {\n\tmfa_portal\n}", errPortalUnnamed},
	} {
		t.Run(c.name, func(t *testing.T) {
			g := newGateway(t)
			port := freePort(t)
			err := g.load(g.text("require on", "mfa\n\trespond ok") + "\n" + strings.ReplaceAll(c.sites, "PORT", port))
			if c.want == nil && err != nil || c.want != nil && (err == nil || !strings.Contains(err.Error(), c.want.Error())) {
				t.Errorf("got %v, want %v", err, c.want)
			}
		})
	}
}

// AC-217 of the portal's host: nothing but the gate, and the console with it.
func TestPortal_AC217_ServesTheGateAlone(t *testing.T) {
	g := newGateway(t)
	port := freePort(t)
	g.mustLoad(g.text("require on", "mfa\n\trespond ok") + "\nhttp://localhost:" + port + " {\n\tmfa_portal\n}\n")
	g.host = "localhost:" + port
	for path, want := range map[string]string{
		"/": "303 /.mfa/", "/x": "404 ", "/.mfa/admin": "303 /.mfa/sign-in?to=admin", "/.mfa/health": "200 ", "/.mfa/sign-in": "200 ",
		"/.mfa/api/admin/users": "401 ", "/.mfa/nothing": "404 ",
	} {
		res, _ := g.get(path, nil)
		if got := fmt.Sprint(res.StatusCode, " ", res.Header.Get("Location")); got != want {
			t.Errorf("%s: %s, want %s", path, got, want)
		}
	}
	if res, _ := g.get("/.mfa/account", g.signIn("alice", 0)); res.StatusCode != http.StatusOK {
		t.Errorf("the account page: %d", res.StatusCode)
	}
}

// portalWorld is a gateway for the domain example.com with its portal, two apps there, one
// of another domain, and a console.
func portalWorld(t *testing.T, options string) (*gateway, *app) {
	t.Helper()
	a, g := newApp(t), newGateway(t)
	site := func(host, what string) string { return "\nhttp://" + host + ":" + g.port + " {\n\t" + what + "\n}\n" }
	proxy := "mfa\n\treverse_proxy " + strings.TrimPrefix(a.URL, "http://")
	text := "{\n\tadmin " + g.admin + "\n\tpersist_config off\n\tservers {\n\t\ttrusted_proxies static 127.0.0.1/32 ::1/128\n\t\ttrusted_proxies_strict\n\t}\n\tmfa {\n\t\tstore badger " + g.store + "\n\t\t" + options + "\n\t}\n}\n"
	g.mustLoad(text + site("auth.example.com", "mfa_portal") + site("app.example.com", proxy) + site("wiki.example.com", proxy) + site("shop.test", proxy) +
		site("console.example.com", "mfa_console"))
	return g, a
}

// person is a browser before a proxy that ends TLS: it keeps cookies and goes where it is
// sent, and remembers where that was.
type person struct {
	t    *testing.T
	jar  *cookiejar.Jar
	hops []string
	http.Client
}

func (g *gateway) person(t *testing.T) *person {
	jar, err := cookiejar.New(nil)
	if err != nil {
		t.Fatal(err)
	}
	p := &person{t: t, jar: jar}
	p.Client = http.Client{Jar: jar, Transport: behindTLS("localhost:" + g.port), Timeout: 20 * time.Second, CheckRedirect: func(r *http.Request, via []*http.Request) error {
		p.hops = append(p.hops, r.URL.String())
		if len(via) > 12 {
			return errors.New("in circles")
		}
		return nil
	}}
	return p
}

// behindTLS sends requests as the proxy does.
type behindTLS string

func (to behindTLS) RoundTrip(r *http.Request) (*http.Response, error) {
	asked := r
	r = r.Clone(r.Context())
	r.Host, r.URL.Scheme, r.URL.Host = r.URL.Host, "http", string(to)
	r.Header.Set("X-Forwarded-Proto", "https")
	r.Header.Set("Accept", "text/html")
	if r.Method == http.MethodGet {
		r.Header.Set("Sec-Fetch-Mode", "navigate")
		r.Header.Set("Sec-Fetch-Dest", "document")
		r.Header.Set("Sec-Fetch-Site", "same-site")
	}
	res, err := http.DefaultTransport.RoundTrip(r)
	if err == nil {
		res.Request = asked
	}
	return res, err
}

func (p *person) get(address string) (at string, status int, body string) {
	p.t.Helper()
	p.hops = nil
	res, err := p.Get(address)
	if err != nil {
		p.t.Fatal(err)
	}
	defer res.Body.Close()
	raw, err := io.ReadAll(res.Body)
	if err != nil {
		p.t.Fatal(err)
	}
	return res.Request.URL.String(), res.StatusCode, string(raw)
}

// opens reports whether the app answers there, at the very address.
func (p *person) opens(address string) bool {
	p.t.Helper()
	at, status, body := p.get(address)
	return at == address && status == http.StatusOK && body == "the app"
}

// asked reports whether the person ends at the portal's sign-in page.
func (p *person) asked(address string) bool {
	p.t.Helper()
	at, status, _ := p.get(address)
	return strings.HasPrefix(at, "https://auth.example.com/.mfa/sign-in?") && status == http.StatusOK
}

// atPortal signs the person in at the portal.
func (p *person) atPortal(g *gateway, name string) {
	p.t.Helper()
	cookie := g.signInAt(name, "https://auth.example.com/", true)
	cookie.Path, cookie.Secure = "/", true
	p.jar.SetCookies(&url.URL{Scheme: "https", Host: "auth.example.com", Path: "/"}, []*http.Cookie{cookie})
}

// signOut signs out on the host's page.
func (p *person) signOut(origin string) {
	p.t.Helper()
	_, _, page := p.get(origin + "/.mfa/sign-out")
	token := regexp.MustCompile(`name="csrf" value="([^"]+)"`).FindStringSubmatch(page)
	if token == nil {
		p.t.Fatalf("no form: %s", page)
	}
	r, _ := http.NewRequest(http.MethodPost, origin+"/.mfa/sign-out", strings.NewReader(url.Values{"csrf": {token[1]}}.Encode()))
	r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	r.Header.Set("Origin", origin)
	r.Header.Set("Sec-Fetch-Site", "same-origin")
	res, err := p.Do(r)
	if err != nil {
		p.t.Fatal(err)
	}
	res.Body.Close()
	if res.StatusCode != http.StatusOK {
		p.t.Fatalf("signing out at %s: %d", origin, res.StatusCode)
	}
}

// One sign-in at the portal opens every host, and signing out of one closes all.
func TestPortal_OneSignInForAllHosts(t *testing.T) {
	g, _ := portalWorld(t, "domain example.com\n\t\trequire on")
	p := g.person(t)
	if !p.asked("https://app.example.com/x?y=%20z&u=//v") || p.hops[0] != "https://auth.example.com/.mfa/sign-in?rd=https%3A%2F%2Fapp.example.com%2Fx%3Fy%3D%2520z%26u%3D%2F%2Fv" {
		t.Errorf("a stranger is led %q", p.hops)
	}
	if !p.asked("https://shop.test/x?y") || !strings.HasPrefix(p.hops[0], "https://shop.test/.mfa/arrive?rd=%2Fx%3Fy") {
		t.Errorf("a stranger of another domain is led %q", p.hops)
	}
	hosts := []string{"https://app.example.com", "https://wiki.example.com", "https://shop.test"}
	for _, leave := range append([]string{"https://auth.example.com"}, hosts...) {
		t.Run("out at "+leave, func(t *testing.T) {
			p := g.person(t)
			p.atPortal(g, "alice")
			if !p.opens("https://app.example.com/x?y=%20z&u=//v") || len(p.hops) != 3 {
				t.Errorf("the first app: %q", p.hops)
			}
			if !p.opens("https://wiki.example.com/w?x") || len(p.hops) != 0 {
				t.Errorf("the second app of the domain: %q", p.hops)
			}
			if !p.opens("https://shop.test/s?q=1&r") || len(p.hops) != 4 {
				t.Errorf("the app of another domain: %q", p.hops)
			}
			if !p.opens("https://shop.test/other") || len(p.hops) != 0 {
				t.Errorf("the same once more: %q", p.hops)
			}
			p.signOut(leave)
			for _, host := range hosts {
				if !p.asked(host + "/") {
					t.Errorf("AC-014: after signing out %s is open: %q", host, p.hops)
				}
			}
			if at, _, _ := p.get("https://auth.example.com/.mfa/account"); !strings.HasPrefix(at, "https://auth.example.com/.mfa/sign-in") {
				t.Errorf("AC-014: the account page is open: %s", at)
			}
		})
	}
}

// AC-219 with everything in place: the address of a hand-off from a history, a log or a
// Referer is worth nothing to whoever finds it.
func TestPortal_AC219_StolenAddress(t *testing.T) {
	g, a := portalWorld(t, "domain example.com\n\t\trequire on")
	p := g.person(t)
	p.atPortal(g, "alice")
	if !p.opens("https://shop.test/s") {
		t.Fatalf("led %q", p.hops)
	}
	stolen := p.hops[2]
	if !strings.HasPrefix(stolen, "https://shop.test/.mfa/arrive?") || !strings.Contains(stolen, "code=") {
		t.Fatalf("the third hop is %q of %q", stolen, p.hops)
	}
	hits := a.hits.Load()
	thief := g.person(t)
	for name, address := range map[string]string{
		"replayed in another browser": stolen,
		"at another host":             strings.Replace(stolen, "shop.test", "app.example.com", 1),
		"guessed":                     "https://shop.test/.mfa/arrive?code=" + mfa.NewHandOffSecret() + "&rd=%2Fs",
	} {
		if !thief.asked(address) {
			t.Errorf("%s: led %q", name, thief.hops)
		}
	}
	for _, address := range []string{"https://shop.test/s", "https://app.example.com/x"} {
		if !thief.asked(address) {
			t.Errorf("afterwards %s is open", address)
		}
	}
	if a.hits.Load() != hits {
		t.Error("the app was asked")
	}
	if !p.opens("https://shop.test/s") || len(p.hops) != 0 {
		t.Errorf("alice's own session is gone: %q", p.hops)
	}
	// A browser that does not keep the cookie is told so, and does not go in circles.
	lost := g.person(t)
	lost.atPortal(g, "alice")
	lost.Transport = withoutCookiesAt{lost.Transport, "shop.test"}
	if at, status, _ := lost.get("https://shop.test/s"); status != http.StatusForbidden || !strings.HasPrefix(at, "https://shop.test/.mfa/arrive?") {
		t.Errorf("without cookies: %d at %s after %q", status, at, lost.hops)
	}
	// Only hosts of the configuration get one (AC-036).
	for _, to := range []string{"https://evil.test/x", "https://auth.example.com/.mfa/account", "https://x.example.com/", "http://shop.test/x", "https://shop.test:8443/x", "https://shop.test@evil.test/"} {
		if at, _, _ := p.get("https://auth.example.com/.mfa/hand-off?mark=" + mfa.HandOffMark("x") + "&rd=" + url.QueryEscape(to)); at != "https://auth.example.com/.mfa/account" {
			t.Errorf("the portal hands off to %s: %s", to, at)
		}
	}
}

type withoutCookiesAt struct {
	http.RoundTripper
	host string
}

func (w withoutCookiesAt) RoundTrip(r *http.Request) (*http.Response, error) {
	if r.URL.Host == w.host {
		r = r.Clone(r.Context())
		r.Header.Del("Cookie")
	}
	return w.RoundTripper.RoundTrip(r)
}

// AC-007, AC-217: the domain's cookie, which an app behind another proxy sees, opens
// neither the account page nor the console nor an API, at the portal or at a console.
func TestPortal_AC007_AC217_TheDomainsCookieIsNotThePortals(t *testing.T) {
	g, _ := portalWorld(t, "domain example.com\n\t\trequire on")
	g.signInAt("boss", "https://auth.example.com/", true)
	g.update("boss", func(u *mfa.User) { u.Admin = true })
	domain := g.signInAt("boss", "https://app.example.com/", false)
	if domain.Name != "__Secure-mfa" {
		t.Fatalf("the app's cookie is %s", domain.Name)
	}
	own := g.signInAt("boss", "https://auth.example.com/", true)
	ask := func(host, path, name, value string) int {
		return g.raw("GET " + path + " HTTP/1.1\r\nHost: " + host + "\r\nX-Forwarded-Proto: https\r\nAccept: text/html\r\nCookie: " + name + "=" + value + "\r\nConnection: close\r\n\r\n")
	}
	for _, host := range []string{"auth.example.com", "console.example.com"} {
		for _, path := range []string{"/.mfa/account", "/.mfa/admin", "/.mfa/admin/policy", "/.mfa/api/account", "/.mfa/api/admin/users", "/.mfa/hand-off?rd=https%3A%2F%2Fapp.example.com%2F"} {
			for _, name := range []string{"__Secure-mfa", "__Host-mfa"} {
				if got := ask(host, path, name, domain.Value); got != http.StatusSeeOther && got != http.StatusUnauthorized && got != http.StatusNotFound {
					t.Errorf("%s%s with the domain's token as %s: %d", host, path, name, got)
				}
			}
			if got := ask("auth.example.com", path, "__Host-mfa", own.Value); path != "/.mfa/hand-off?rd=https%3A%2F%2Fapp.example.com%2F" && got != http.StatusOK {
				t.Errorf("%s with the portal's own: %d", path, got)
			}
		}
	}
	if got := ask("console.example.com", "/.mfa/admin", "__Host-mfa", own.Value); got != http.StatusSeeOther {
		t.Errorf("the portal's session at a console: %d", got)
	}
	if got := ask("app.example.com", "/x", "__Host-mfa", own.Value); got != http.StatusFound {
		t.Errorf("the portal's session at an app: %d", got)
	}
}

// What an app's own host serves where there is a portal, and the headers that are the
// portal's alone.
func TestPortal_PagesOfOtherHosts(t *testing.T) {
	g, _ := portalWorld(t, "domain example.com\n\t\trequire on")
	p := g.person(t)
	p.CheckRedirect = func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }
	for address, want := range map[string]string{
		"https://app.example.com/.mfa/sign-in?rd=%2Fx%3Fy":     "303 https://auth.example.com/.mfa/sign-in?rd=https%3A%2F%2Fapp.example.com%2Fx%3Fy",
		"https://app.example.com/.mfa/account":                 "303 https://auth.example.com/.mfa/account?rd=https%3A%2F%2Fapp.example.com%2F",
		"https://shop.test/.mfa/verify?max_age=300&rd=%2Fx":    "303 https://auth.example.com/.mfa/verify?max_age=300&rd=https%3A%2F%2Fshop.test%2Fx",
		"https://app.example.com/.mfa/sign-in?rd=//evil.test/": "303 https://auth.example.com/.mfa/sign-in?rd=https%3A%2F%2Fapp.example.com%2F",
		"https://app.example.com/.mfa/hand-off?rd=%2Fx":        "303 https://auth.example.com/.mfa/hand-off?rd=https%3A%2F%2Fapp.example.com%2Fx",
		"https://app.example.com/.mfa/link":                    "303 https://auth.example.com/.mfa/link?rd=https%3A%2F%2Fapp.example.com%2F",
		"https://app.example.com/.mfa/nothing":                 "404 ",
		"https://app.example.com/.mfa/admin":                   "404 ",
		"https://app.example.com/.mfa/sign-out":                "200 ",
		"https://app.example.com/.mfa/health":                  "200 ",
		"https://app.example.com/.mfa/api/account":             "403 ",
		"https://app.example.com/.mfa/secondgate.js":           "200 ",
		"https://auth.example.com/.mfa/arrive":                 "404 ",
		"https://auth.example.com/":                            "303 /.mfa/",
		"https://console.example.com/":                         "303 /.mfa/admin",
		"https://console.example.com/.mfa/sign-in":             "200 ",
	} {
		res, err := p.Get(address)
		if err != nil {
			t.Fatal(err)
		}
		res.Body.Close()
		if got := fmt.Sprint(res.StatusCode, " ", res.Header.Get("Location")); got != want {
			t.Errorf("%s: %s, want %s", address, got, want)
		}
		sub := strings.Contains(res.Header.Get("Strict-Transport-Security"), "includeSubDomains")
		if sub != strings.HasPrefix(address, "https://auth.example.com") {
			t.Errorf("%s: includeSubDomains %v", address, sub)
		}
	}
}

// AC-036: people are sent to hosts of the configuration, with their scheme and port, and
// under a star to those of the domain alone.
func TestSites_Serves_AC036(t *testing.T) {
	a := &App{Domain: "example.com", portal: "https://auth.example.com"}
	s := newSites(a, []protectedSite{
		{host: "app.example.com", https: true}, {host: "shop.test", https: true, port: "8443"}, {host: "*.example.com", https: true}, {host: "*.other.test", https: true},
		{host: "localhost", port: "8080"}, {host: "", https: true},
	})
	for origin, want := range map[string]bool{
		"https://app.example.com": true, "https://shop.test:8443": true, "http://localhost:8080": true, "https://wiki.example.com": true,
		"http://app.example.com": false, "https://app.example.com:8443": false, "https://shop.test": false, "https://a.b.example.com": false, "https://example.com": false,
		"https://auth.example.com": false, "https://x.other.test": false, "https://localhost": false, "https://evil.test": false, "https://evilexample.com": false,
		"https://wiki.example.com:8443": false, "http://wiki.example.com": false, "": false, "null": false,
	} {
		if got := s.serves(a, origin); got != want {
			t.Errorf("%q: %v, want %v", origin, got, want)
		}
	}
}
