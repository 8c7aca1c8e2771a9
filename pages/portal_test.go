package pages

import (
	"errors"
	"net/http"
	"net/http/httptest"
	"net/url"
	"slices"
	"strings"
	"testing"

	"github.com/secondgate/secondgate/mfa"
	"github.com/secondgate/secondgate/session"
)

// portalWorld is withPortal of a new world.
func portalWorld(t *testing.T, host string) *world {
	t.Helper()
	return newWorld(t, acme).withPortal(host)
}

// withPortal makes a world one with the portal auth.example.com of the domain example.com,
// seen from a host.
func (w *world) withPortal(host string) *world {
	w.guard.place = mfa.Place{Origin: "https://" + host, Host: host, Scope: host, RPID: "example.com", Network: "192.0.2.0"}
	w.guard.domain = "example.com"
	w.pages.portal = &Portal{Origin: "https://auth.example.com", Serves: func(origin string) bool {
		return slices.Contains([]string{"https://app.example.com", "https://shop.test"}, origin)
	}}
	return w
}

// at asks the portal, or the host of an app, as a browser that came from fetchSite.
func (w *world) at(method, address, fetchSite string, cookies ...string) answer {
	r := httptest.NewRequest(method, address, nil)
	r.Header.Set("Sec-Fetch-Site", fetchSite)
	for _, c := range cookies {
		r.Header.Add("Cookie", c)
	}
	rec := httptest.NewRecorder()
	if strings.HasPrefix(address, "https://auth.") {
		w.pages.Console().ServeHTTP(rec, r)
	} else {
		w.pages.ServeHTTP(rec, r)
	}
	res := rec.Result()
	return answer{res, rec.Body.String()}
}

const (
	toApp  = "https://auth.example.com/.mfa/hand-off?rd=https%3A%2F%2Fapp.example.com%2Fx%3Fy"
	toShop = "https://auth.example.com/.mfa/hand-off?rd=https%3A%2F%2Fshop.test%2Fx%3Fy"
)

func TestHandOff_ToTheDomain(t *testing.T) {
	w := portalWorld(t, "auth.example.com")
	w.signedIn(mfa.Decision{Action: mfa.Allow})
	w.guard.shared = &session.View{Session: &mfa.Session{ID: "old", User: "u2"}, Subject: alice()}
	res := w.at(http.MethodGet, toApp, "cross-site")
	if res.StatusCode != http.StatusSeeOther || res.Header.Get("Location") != "https://app.example.com/x?y" {
		t.Fatalf("%d %q", res.StatusCode, res.Header.Get("Location"))
	}
	if !slices.Equal(w.gate.args, []string{"full", "example.com", "old"}) || !w.gate.did("HandOn") {
		t.Errorf("the gate was asked %v %v", w.gate.calls, w.gate.args)
	}
	set := res.Cookies()
	if len(set) == 0 || set[0].Name != "__Secure-mfa" || set[0].Domain != "example.com" || set[0].Value != "token-of-shared" {
		t.Errorf("it sets %v", set)
	}
	// A redirect after our own form would be stopped by our own policy, so a page comes
	// between, which goes on by itself and tells no other host where it came from.
	res = w.at(http.MethodGet, toApp, "same-origin")
	if res.StatusCode != http.StatusOK || !strings.Contains(res.body, `<meta http-equiv="refresh" content="0; url=https://app.example.com/x?y">`) ||
		!strings.Contains(res.body, `href="https://app.example.com/x?y"`) || res.Header.Get("Referrer-Policy") != "same-origin" {
		t.Errorf("%d %s", res.StatusCode, res.body)
	}
	w.gate.handOnOf = errors.New("store down")
	if res := w.at(http.MethodGet, toApp, "cross-site"); res.StatusCode != http.StatusServiceUnavailable {
		t.Errorf("with the store down: %d", res.StatusCode)
	}
}

func TestHandOff_ToAnotherDomain_AC219(t *testing.T) {
	w := portalWorld(t, "auth.example.com")
	w.signedIn(mfa.Decision{Action: mfa.Allow})
	res := w.at(http.MethodGet, toShop+"&max_age=300", "cross-site")
	if want := "https://shop.test/.mfa/arrive?max_age=300&rd=%2Fx%3Fy"; res.Header.Get("Location") != want {
		t.Errorf("without a mark: %q, want %q", res.Header.Get("Location"), want)
	}
	res = w.at(http.MethodGet, toShop+"&max_age=300&mark=m", "cross-site")
	if want := "https://shop.test/.mfa/arrive?code=the-code&max_age=300&rd=%2Fx%3Fy"; res.StatusCode != http.StatusSeeOther || res.Header.Get("Location") != want {
		t.Errorf("with a mark: %d %q, want %q", res.StatusCode, res.Header.Get("Location"), want)
	}
	if res.Header.Get("Referrer-Policy") != "no-referrer" || res.Header.Get("Cache-Control") != "no-store" {
		t.Error("the code is told to others")
	}
	if !slices.Equal(w.gate.args, []string{"full", "https://shop.test", "m"}) || w.gate.at.Asked.Fresh == 0 {
		t.Errorf("the gate was asked %v of %+v", w.gate.args, w.gate.at.Asked)
	}
	for name, c := range map[string]struct {
		err    error
		status int
	}{
		"a mark that is none": {mfa.ErrNotAllowed, http.StatusNotFound}, "too many": {&mfa.ThrottledError{}, http.StatusServiceUnavailable},
		"signed out": {mfa.ErrNoSession, http.StatusSeeOther}, "the store": {errors.New("down"), http.StatusServiceUnavailable},
	} {
		w.gate.err = c.err
		if res := w.at(http.MethodGet, toShop+"&mark=m", "cross-site"); res.StatusCode != c.status || strings.Contains(res.Header.Get("Location"), "code=") {
			t.Errorf("%s: %d %q", name, res.StatusCode, res.Header.Get("Location"))
		}
	}
}

// Whoever owes something does it first, and comes back; and addresses that lead to no host
// of the configuration lead nowhere (AC-033, AC-035, AC-036, AC-037).
func TestHandOff_AC033_AC035_AC036_AC037_OnlyWhereItMay(t *testing.T) {
	w := portalWorld(t, "auth.example.com")
	if res := w.at(http.MethodGet, toApp, "cross-site"); res.Header.Get("Location") != "/.mfa/sign-in?rd=https%3A%2F%2Fapp.example.com%2Fx%3Fy" {
		t.Errorf("a stranger: %q", res.Header.Get("Location"))
	}
	w.halfDone(mfa.Decision{Action: mfa.Verify})
	if res := w.at(http.MethodGet, toShop+"&mark=m", "cross-site"); res.Header.Get("Location") != "/.mfa/verify?rd=https%3A%2F%2Fshop.test%2Fx%3Fy" || w.gate.did("BeginHandOff") {
		t.Errorf("AC-015: half-way: %q", res.Header.Get("Location"))
	}
	w.signedIn(mfa.Decision{Action: mfa.StepUp})
	if res := w.at(http.MethodGet, toShop+"&mark=m&max_age=300", "cross-site"); !strings.HasPrefix(res.Header.Get("Location"), "/.mfa/verify?max_age=300&") {
		t.Errorf("an old proof: %q", res.Header.Get("Location"))
	}
	w.signedIn(mfa.Decision{Action: mfa.Allow})
	for _, to := range []string{
		"", "/x", "//evil.test", "https://evil.test/", "https://app.example.com@evil.test/", "https://evil.test\\@app.example.com/", "http://app.example.com/", "https://app.example.com:8443/",
		"https://auth.example.com/.mfa/sign-out", "https://app.example.com/.mfa/sign-out", "https://app.example.com.evil.test/", "https://app.example.com./", "javascript:alert(1)", "https:app.example.com",
		"/.mfa/hand-off?rd=https://evil.test/",
	} {
		for _, page := range []string{"hand-off?mark=m&", "sign-in?", "verify?"} {
			res := w.at(http.MethodGet, "https://auth.example.com/.mfa/"+page+"rd="+url.QueryEscape(to), "cross-site")
			if at := res.Header.Get("Location"); at != "/.mfa/account" {
				t.Errorf("%s to %q: %d %q", page, to, res.StatusCode, at)
			}
		}
	}
	for _, page := range []string{"sign-in?", "verify?"} {
		if res := w.at(http.MethodGet, "https://auth.example.com/.mfa/"+page+toApp[strings.Index(toApp, "rd="):], "cross-site"); res.Header.Get("Location") != strings.TrimPrefix(toApp, "https://auth.example.com") {
			t.Errorf("%s: %q", page, res.Header.Get("Location"))
		}
	}
}

// AC-039: where people are sent is the configuration's word, whatever headers say.
func TestArrive_AC039_AC219(t *testing.T) {
	w := portalWorld(t, "shop.test")
	res := w.at(http.MethodGet, "https://shop.test/.mfa/arrive?rd=%2Fx%3Fy&max_age=300", "none")
	set := res.Cookies()
	if len(set) != 1 || set[0].Name != "__Host-mfa-arrive" || set[0].MaxAge != 300 {
		t.Fatalf("it sets %v", set)
	}
	want := "https://auth.example.com/.mfa/hand-off?mark=" + mfa.HandOffMark(set[0].Value) + "&max_age=300&rd=https%3A%2F%2Fshop.test%2Fx%3Fy"
	if res.StatusCode != http.StatusSeeOther || res.Header.Get("Location") != want {
		t.Errorf("%d %q, want %q", res.StatusCode, res.Header.Get("Location"), want)
	}
	if strings.Contains(res.Header.Get("Location"), set[0].Value) {
		t.Error("the secret leaves the host")
	}

	w.gate.outcome = completed()
	w.guard.full = &session.View{Session: &mfa.Session{ID: "old", User: "u2", Complete: true}, Subject: alice()}
	res = w.at(http.MethodGet, "https://shop.test/.mfa/arrive?code=c&rd=%2Fx%3Fy", "cross-site", "__Host-mfa-arrive=s")
	if res.StatusCode != http.StatusSeeOther || res.Header.Get("Location") != "/x?y" || !slices.Equal(w.gate.args, []string{"c", "s"}) || w.gate.at.Replaces != "old" {
		t.Errorf("arriving: %d %q, asked %v, in place of %q", res.StatusCode, res.Header.Get("Location"), w.gate.args, w.gate.at.Replaces)
	}
	names := map[string]int{}
	for _, c := range res.Cookies() {
		names[c.Name] = c.MaxAge
	}
	if _, ok := names["__Host-mfa"]; !ok || names["__Host-mfa-arrive"] != -1 {
		t.Errorf("it sets %v", names)
	}
	for _, c := range []struct {
		name, query, cookie string
		err                 error
		status              int
		text, location      string
	}{
		{"a code that is spent", "code=c&rd=%2Fx", "__Host-mfa-arrive=s", mfa.ErrExpired, http.StatusSeeOther, "", "https://auth.example.com/.mfa/hand-off?again=arrive&mark="},
		{"another browser's", "code=c&rd=%2Fx", "", mfa.ErrRejected, http.StatusSeeOther, "", "https://auth.example.com/.mfa/hand-off?again=arrive&mark="},
		{"again, without a cookie", "code=c&rd=%2Fx&again=arrive", "", mfa.ErrRejected, http.StatusForbidden, "cookie", ""},
		{"again", "code=c&rd=%2Fx&again=arrive", "__Host-mfa-arrive=s", mfa.ErrExpired, http.StatusForbidden, "You did not arrive", ""},
		{"the store", "code=c&rd=%2Fx", "__Host-mfa-arrive=s", errors.New("down"), http.StatusServiceUnavailable, "", ""},
	} {
		w.gate.err = c.err
		res := w.at(http.MethodGet, "https://shop.test/.mfa/arrive?"+c.query, "cross-site", c.cookie)
		if res.StatusCode != c.status || !strings.Contains(res.body, c.text) || !strings.HasPrefix(res.Header.Get("Location"), c.location) {
			t.Errorf("%s: %d %q %s", c.name, res.StatusCode, res.Header.Get("Location"), res.body)
		}
		for _, set := range res.Cookies() {
			if set.Name == "__Host-mfa" && set.MaxAge >= 0 && set.Value != "" {
				t.Errorf("%s: a session is set", c.name)
			}
		}
	}
	w.guard.place.Origin, w.guard.place.Host = "https://evil.test", "evil.test"
	if res := w.at(http.MethodGet, "https://evil.test/.mfa/arrive", "none"); res.StatusCode != http.StatusForbidden || len(res.Header["Location"]) > 0 {
		t.Errorf("a host that nobody configured: %d %q", res.StatusCode, res.Header.Get("Location"))
	}
	if res := portalWorld(t, "auth.example.com").at(http.MethodGet, "https://auth.example.com/.mfa/arrive?code=c", "none"); res.StatusCode != http.StatusNotFound {
		t.Errorf("at the portal: %d", res.StatusCode)
	}
	without := newWorld(t, acme)
	for _, page := range []string{"arrive", "hand-off?rd=%2Fx"} {
		if res := without.get("/.mfa/" + page); res.StatusCode != http.StatusNotFound {
			t.Errorf("%s without a portal: %d", page, res.StatusCode)
		}
	}
}

// What changes at the portal changes for the domain with it, so that nobody who signed in
// before goes on there (AC-012).
func TestPortal_AC012_TheDomainFollows(t *testing.T) {
	w := portalWorld(t, "auth.example.com")
	w.halfDone(mfa.Decision{Action: mfa.Verify})
	w.gate.outcome = completed()
	r := w.postRequest(t, "/.mfa/verify/totp?rd=https%3A%2F%2Fapp.example.com%2Fx", url.Values{"code": {"123456"}})
	r.URL.Host, r.Host = "auth.example.com", "auth.example.com"
	r.Header.Set("Origin", "https://auth.example.com")
	rec := httptest.NewRecorder()
	w.pages.Console().ServeHTTP(rec, r)
	res := rec.Result()
	if res.StatusCode != http.StatusSeeOther || res.Header.Get("Location") != "/.mfa/hand-off?rd=https%3A%2F%2Fapp.example.com%2Fx&c=1" {
		t.Errorf("%d %q", res.StatusCode, res.Header.Get("Location"))
	}
	names := map[string]string{}
	for _, c := range res.Cookies() {
		names[c.Name] = c.Domain
	}
	if domain, ok := names["__Secure-mfa"]; !ok || domain != "example.com" || !w.gate.did("HandOn") {
		t.Errorf("it sets %v", names)
	}
	if domain, ok := names["__Host-mfa"]; !ok || domain != "" {
		t.Errorf("it sets %v", names)
	}
}

// The context line names the host that the person goes to, not the portal.
func TestPortal_NamesWhereItLeads(t *testing.T) {
	w := portalWorld(t, "auth.example.com")
	for query, want := range map[string]string{"?rd=https%3A%2F%2Fshop.test%2Fx": "shop.test", "": "auth.example.com", "?rd=https%3A%2F%2Fevil.test%2F": "auth.example.com"} {
		res := w.at(http.MethodGet, "https://auth.example.com/.mfa/sign-in"+query, "cross-site")
		if !strings.Contains(res.body, "to <strong><bdi>"+want+"</bdi></strong>") {
			t.Errorf("%q does not name %s: %s", query, want, res.body)
		}
	}
}
