package guard

import (
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/secondgate/secondgate/internal/web"
	"github.com/secondgate/secondgate/mfa"
)

// withPortal is a gateway for the domain a.test with its portal there.
func withPortal(cfg *Config) { cfg.Domain, cfg.Portal = "a.test", "https://auth.a.test" }

func aPage(address string) *http.Request {
	r := httptest.NewRequest(http.MethodGet, address, nil)
	r.Header.Set("Accept", "text/html")
	return r
}

// Whoever must do something is sent to the portal and back: by an address of the portal
// where it can set their cookie, and by a hand-off where it cannot.
func TestGuard_Portal_WhereItLeads(t *testing.T) {
	fresh := mfa.Requirement{Fresh: 5 * time.Minute, PhishingResistant: true}
	for _, c := range []struct {
		name, domain, portal, address string
		need                          mfa.Requirement
		want                          string
	}{
		{"a host of the domain", "a.test", "https://auth.a.test", "https://app.a.test/x?y=z&u=//v", mfa.Requirement{}, "https://auth.a.test/.mfa/sign-in?rd=https%3A%2F%2Fapp.a.test%2Fx%3Fy%3Dz%26u%3D%2F%2Fv"},
		{"the domain itself", "a.test", "https://auth.a.test", "https://a.test/", mfa.Requirement{}, "https://auth.a.test/.mfa/sign-in?rd=https%3A%2F%2Fa.test%2F"},
		{"with a port", "a.test", "https://auth.a.test:8443", "https://app.a.test:8443/x", mfa.Requirement{}, "https://auth.a.test:8443/.mfa/sign-in?rd=https%3A%2F%2Fapp.a.test%3A8443%2Fx"},
		{"what the route asks", "a.test", "https://auth.a.test", "https://app.a.test/x", fresh, "https://auth.a.test/.mfa/sign-in?max_age=300&phr=1&rd=https%3A%2F%2Fapp.a.test%2Fx"},
		{"AC-037: our own page", "a.test", "https://auth.a.test", "https://app.a.test/.mfa/sign-out", mfa.Requirement{}, "https://auth.a.test/.mfa/sign-in?rd=https%3A%2F%2Fapp.a.test%2F"},
		{"another domain", "a.test", "https://auth.a.test", "https://b.test/x?y=z", mfa.Requirement{}, "/.mfa/arrive?rd=%2Fx%3Fy%3Dz"},
		{"another domain, what the route asks", "a.test", "https://auth.a.test", "https://b.test/", fresh, "/.mfa/arrive?max_age=300&phr=1"},
		{"AC-036: a near host", "a.test", "https://auth.a.test", "https://evila.test/x", mfa.Requirement{}, "/.mfa/arrive?rd=%2Fx"},
		{"no domain", "", "https://auth.a.test", "https://app.a.test/x", mfa.Requirement{}, "/.mfa/arrive?rd=%2Fx"},
		{"a portal outside the domain", "a.test", "https://auth.b.test", "https://app.a.test/x", mfa.Requirement{}, "/.mfa/arrive?rd=%2Fx"},
		{"localhost", "", "http://auth.localhost:8080", "http://app.localhost:8080/x", mfa.Requirement{}, "/.mfa/arrive?rd=%2Fx"},
		{"no portal", "a.test", "", "https://app.a.test/x", mfa.Requirement{}, "/.mfa/sign-in?rd=%2Fx"},
	} {
		t.Run(c.name, func(t *testing.T) {
			w := newWorld(t, func(cfg *Config) { cfg.Domain, cfg.Portal = c.domain, c.portal })
			if c.need.Zero() { // strangers are not told what the route asks
				res, _ := w.visit(aPage(c.address))
				if res == nil || res.StatusCode != http.StatusFound || res.Header.Get("Location") != c.want {
					t.Fatalf("%v %q, want %q", res.StatusCode, res.Header.Get("Location"), c.want)
				}
				if res.Header.Get("Referrer-Policy") != "no-referrer" {
					t.Error("the address is told to others")
				}
			}
			req, err := w.Parse(aPage(c.address))
			if err != nil {
				t.Fatal(err)
			}
			u, _ := url.Parse(c.address)
			want := c.want
			if strings.HasPrefix(want, "/") {
				want = u.Scheme + "://" + u.Host + want
			}
			got := w.NextFor(req, mfa.Decision{Action: mfa.SignIn, Need: c.need}, u.RequestURI())
			if got != want {
				t.Errorf("for another proxy: %q, want %q", got, want)
			}
		})
	}
}

// Programs are told where a person mends it, as a whole address, and forms likewise.
func TestGuard_Portal_ProgramsAndForms(t *testing.T) {
	w := newWorld(t, withPortal)
	r := httptest.NewRequest(http.MethodGet, "https://app.a.test/api/x", nil)
	res, _ := w.visit(r)
	var p web.Problem
	if err := json.NewDecoder(res.Body).Decode(&p); err != nil || res.StatusCode != http.StatusUnauthorized {
		t.Fatalf("%d, %v", res.StatusCode, err)
	}
	if want := "https://auth.a.test/.mfa/sign-in?rd=https%3A%2F%2Fapp.a.test%2F"; p.Next != want {
		t.Errorf("next is %q, want %q", p.Next, want)
	}
	if res.Header.Get("Location") != "" {
		t.Error("a program is redirected")
	}
	r = httptest.NewRequest(http.MethodPost, "https://app.a.test/x", strings.NewReader("a=b"))
	r.Header.Set("Accept", "text/html")
	r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	seen := &recordedRefusals{}
	w.SetRefusals(seen)
	if res, _ = w.visit(r); !strings.HasPrefix(seen.next, "https://auth.a.test/.mfa/sign-in?") {
		t.Errorf("a form: %d %q", res.StatusCode, seen.next)
	}
}

type recordedRefusals struct {
	plainRefusals
	next string
}

func (r *recordedRefusals) PostLost(w http.ResponseWriter, req *http.Request, d mfa.Decision, next string) {
	r.next = next
	r.plainRefusals.PostLost(w, req, d, next)
}

// AC-007, AC-217: an app under the domain sees the domain's cookie where another proxy
// stands before it. With it nobody opens the account page, the console or an API of the
// portal; and the portal's own cookie is no app's.
func TestGuard_ParseOwn_AC007_AC217(t *testing.T) {
	w := newWorld(t, withPortal)
	now := w.clock.Now()
	for id, scope := range map[mfa.SessionID]string{"s-domain": "a.test", "s-portal": "auth.a.test"} {
		w.store.sessions[id] = &mfa.Session{
			ID: id, User: "u-carol", Scope: scope, Complete: true, Created: now, LastSeen: now, Expires: now.Add(time.Hour),
			Proofs: []mfa.Proof{{Kind: mfa.TOTP, Credential: "otp", At: now}},
		}
	}
	token := func(id mfa.SessionID) string { return strings.TrimPrefix(w.cookie(id), "__Host-mfa=") }
	for _, c := range []struct {
		name, address, cookie string
		own, want             bool
	}{
		{"the portal's own", "https://auth.a.test/.mfa/account", "__Host-mfa=" + token("s-portal"), true, true},
		{"the domain's at the portal", "https://auth.a.test/.mfa/account", "__Secure-mfa=" + token("s-domain"), true, false},
		{"the domain's under the portal's name", "https://auth.a.test/.mfa/account", "__Host-mfa=" + token("s-domain"), true, false},
		{"the domain's at a console", "https://console.a.test/.mfa/admin", "__Secure-mfa=" + token("s-domain"), true, false},
		{"the portal's at a console", "https://console.a.test/.mfa/admin", "__Host-mfa=" + token("s-portal"), true, false},
		{"the domain's at an app", "https://app.a.test/", "__Secure-mfa=" + token("s-domain"), false, true},
		{"the portal's at an app", "https://app.a.test/", "__Host-mfa=" + token("s-portal"), false, false},
		{"the portal's under the domain's name", "https://app.a.test/", "__Secure-mfa=" + token("s-portal"), false, false},
		{"AC-013: two of the portal's", "https://auth.a.test/", "__Host-mfa=" + token("s-portal") + "; __Host-mfa=" + token("s-portal"), true, false},
	} {
		t.Run(c.name, func(t *testing.T) {
			r := aPage(c.address)
			r.Header.Set("Cookie", c.cookie)
			parse := w.Parse
			if c.own {
				parse = w.ParseOwn
			}
			req, err := parse(r)
			if err != nil {
				t.Fatal(err)
			}
			if _, err := w.Session(r, req); (err == nil) != c.want {
				t.Errorf("got %v", err)
			}
			if req.Place.RPID != "a.test" {
				t.Errorf("passkeys of %q work there", req.Place.RPID)
			}
			rec := httptest.NewRecorder()
			if err := w.SetSession(rec, req, w.store.sessions["s-domain"]); err != nil {
				t.Fatal(err)
			}
			set := rec.Result().Cookies()[0]
			if c.own && (set.Name != "__Host-mfa" || set.Domain != "") || !c.own && (set.Name != "__Secure-mfa" || set.Domain != "a.test") {
				t.Errorf("it sets %s for %q", set.Name, set.Domain)
			}
		})
	}
}

// Only the portal gives out the domain's session, and only where it lies in the domain.
func TestGuard_Shared(t *testing.T) {
	for _, c := range []struct {
		name, domain, portal, address string
		own, want                     bool
	}{
		{"the portal", "a.test", "https://auth.a.test", "https://auth.a.test/", true, true},
		{"a console", "a.test", "https://auth.a.test", "https://console.a.test/", true, false},
		{"an app", "a.test", "https://auth.a.test", "https://app.a.test/", false, false},
		{"the portal's host as an app's", "a.test", "https://auth.a.test", "https://auth.a.test/", false, false},
		{"the portal at another port", "a.test", "https://auth.a.test", "https://auth.a.test:8443/", true, false},
		{"a portal outside the domain", "a.test", "https://auth.b.test", "https://auth.b.test/", true, false},
		{"no domain", "", "https://auth.a.test", "https://auth.a.test/", true, false},
		{"no portal", "a.test", "", "https://auth.a.test/", true, false},
	} {
		w := newWorld(t, func(cfg *Config) { cfg.Domain, cfg.Portal = c.domain, c.portal })
		req, err := w.fullParse(aPage(c.address), &Request{own: c.own})
		if err != nil {
			t.Fatal(err)
		}
		shared, ok := w.Shared(req)
		if ok != c.want || ok && (shared.Place.Scope != "a.test" || shared.Cookies.Domain != "a.test" || req.Cookies.Domain != "") {
			t.Errorf("%s: %v, %+v", c.name, ok, shared)
		}
	}
	w := newWorld(t, withPortal)
	for origin, want := range map[string]bool{
		"https://app.a.test": true, "https://a.test": true, "https://app.a.test:8443": true, "http://app.a.test": false, "https://b.test": false, "https://evila.test": false,
		"https://app.a.test.": false, "https://APP.a.test": false, "": false, "app.a.test": false, "https://app.a.test/x": false, "https://x@app.a.test": false,
	} {
		if got := w.Shares(origin); got != want {
			t.Errorf("%q is of the domain: %v", origin, got)
		}
	}
}

// A hand-off is bound to the browser by a cookie that no sibling host can plant (AC-219,
// AC-013), and that no app sees or sets (AC-017).
func TestGuard_Arrival_AC219_AC013(t *testing.T) {
	w := newWorld(t, withPortal)
	r := aPage("https://app.a.test/.mfa/arrive")
	req, err := w.Parse(r)
	if err != nil {
		t.Fatal(err)
	}
	rec := httptest.NewRecorder()
	w.SetArrival(rec, req, "secret")
	set := rec.Result().Cookies()[0]
	if set.Name != "__Host-mfa-arrive" || set.Domain != "" || !set.HttpOnly || !set.Secure || set.SameSite != http.SameSiteLaxMode || set.MaxAge != 300 {
		t.Errorf("it sets %v", set)
	}
	if !web.Ours(set.Name) {
		t.Error("apps see it")
	}
	for line, want := range map[string]string{
		"__Host-mfa-arrive=secret": "secret", "": "", "__Secure-mfa-arrive=secret": "", "__Host-mfa-arrive=a; __Host-mfa-arrive=b": "",
		"__Host-mfa-arrive=" + strings.Repeat("a", 129): "",
	} {
		r.Header.Set("Cookie", line)
		if got := w.Arrival(r, req); got != want {
			t.Errorf("%q: %q", line, got)
		}
	}
	rec = httptest.NewRecorder()
	w.SetArrival(rec, req, "")
	if gone := rec.Result().Cookies()[0]; gone.Name != set.Name || gone.MaxAge != -1 {
		t.Errorf("it is not taken away: %v", gone)
	}
}

func TestGuard_Portal_RejectsWhatIsNone(t *testing.T) {
	w := newWorld(t, nil)
	for _, portal := range []string{"auth.a.test", "https://", "ftp://auth.a.test", "https://auth.a.test/", "https://AUTH.a.test", "https://auth.a.test:443", "https://x@auth.a.test"} {
		if _, err := New(Config{Sessions: w.sessions, Policy: func() *mfa.Policy { return w.policy }, Events: w.events, Portal: portal}); err == nil {
			t.Errorf("%q is taken", portal)
		}
	}
}
