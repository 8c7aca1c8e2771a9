package guard

import (
	"context"
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/secondgate/secondgate/internal/web"
	"github.com/secondgate/secondgate/mfa"
)

// What a browser says of a page load, and of other requests.
var (
	pageLoad = []string{"Sec-Fetch-Mode", "navigate", "Sec-Fetch-Dest", "document", "Accept", "text/html"}
	oldPage  = []string{"Accept", "text/html,application/xhtml+xml,*/*;q=0.8"}
)

// visit sends a request through Strip and Check, and returns the answer, and what
// the app got, or nil.
func (w *world) visit(r *http.Request, needs ...mfa.Requirement) (*http.Response, *http.Request) {
	w.t.Helper()
	rec := httptest.NewRecorder()
	rw, r := w.Strip(rec, r)
	if len(needs) == 0 {
		needs = []mfa.Requirement{{}}
	}
	for _, need := range needs {
		if !w.Check(rw, r, mfa.Route{Need: need}) {
			return rec.Result(), nil
		}
	}
	return nil, r
}

// denied checks what every refusal has in common.
func denied(t *testing.T, resp *http.Response, app *http.Request, status int) {
	t.Helper()
	if app != nil {
		t.Fatalf("it reached the app as %v", app.Header)
	}
	if resp.StatusCode != status {
		t.Errorf("status %d, want %d", resp.StatusCode, status)
	}
	h := resp.Header
	for name, want := range map[string]string{
		"Cache-Control": "no-store", "X-Content-Type-Options": "nosniff", "X-Frame-Options": "DENY", "Strict-Transport-Security": "max-age=31536000",
	} {
		if strings.HasPrefix(h.Get("Content-Type"), "text/plain") && name == "Strict-Transport-Security" {
			continue
		}
		if h.Get(name) != want {
			t.Errorf("AC-129, AC-132: %s is %q", name, h.Get(name))
		}
	}
	if h.Get("Content-Security-Policy") == "" || h.Get("Referrer-Policy") == "" || h.Get("Server") != "" {
		t.Errorf("AC-132: %v", h)
	}
	for name := range h {
		if strings.HasPrefix(name, "Access-Control-") || strings.HasPrefix(name, "Remote-") {
			t.Errorf("%s in a refusal", name)
		}
	}
}

func TestCheck_admits_with_identity(t *testing.T) {
	w := newWorld(t, nil)
	_, app := w.visit(request("GET", "/x", "Cookie", w.cookie("s-alice"), "Remote-User", "evil"))
	if app == nil {
		t.Fatal("refused")
	}
	want := map[string][]string{
		"Remote-User": {"alice"}, "Remote-Name": {"Alice Ä."}, "Remote-Email": {"alice@a.test"}, "Remote-Groups": {"users,admins"},
	}
	got := identityOf(app.Header)
	if len(got) != len(want) {
		t.Errorf("%v", got)
	}
	for name, value := range want {
		if !slices.Equal(got[name], value) {
			t.Errorf("%s: %q, want %q", name, got[name], value)
		}
	}
	if v := ViewFrom(app.Context()); v == nil || v.Subject.ID != "u-alice" {
		t.Errorf("view %v", v)
	}
	if ViewFrom(context.Background()) != nil {
		t.Error("a view out of nothing")
	}
}

func TestCheck_renamed_headers_and_email(t *testing.T) {
	w := newWorld(t, func(c *Config) { c.Headers = Headers{User: "x-webauth-user", UserField: "email"} })
	_, app := w.visit(request("GET", "/", "Cookie", w.cookie("s-alice"), "X-Webauth-User", "evil"))
	if got := app.Header["X-Webauth-User"]; !slices.Equal(got, []string{"alice@a.test"}) {
		t.Errorf("%q", got)
	}
	// Nobody proved carol's address: she has no name for an app that goes by it.
	_, app = w.visit(request("GET", "/", "Cookie", w.cookie("s-carol"), "X-Webauth-User", "evil"))
	if got, ok := app.Header["X-Webauth-User"]; ok {
		t.Errorf("B38: %q", got)
	}
}

// Values that an app could read as two are left out; they are refused when users
// are made, and this is the second lock (AC-055, AC-135).
func TestCheck_values_AC055_AC135(t *testing.T) {
	w := newWorld(t, nil)
	u := w.store.users["u-alice"]
	u.Groups = []string{"users", "users,admin", "a|b", "", "line\nend", "two words", "{env.SECRET}"}
	u.DisplayName = "evil\r\nRemote-User: root"
	_, app := w.visit(request("GET", "/", "Cookie", w.cookie("s-alice")))
	if got := app.Header.Get("Remote-Groups"); got != "users,two words,{env.SECRET}" {
		t.Errorf("groups %q", got)
	}
	if got, ok := app.Header["Remote-Name"]; ok {
		t.Errorf("name %q", got)
	}
}

// Rule B31: who is redirected, and who gets a word that programs understand.
func TestCheck_answers_without_a_session_B31_AC081_AC083(t *testing.T) {
	w := newWorld(t, nil)
	for _, c := range []struct {
		name   string
		r      *http.Request
		status int
	}{
		{"page load", request("GET", "/a?b=c", pageLoad...), 302},
		{"page load, HEAD", request("HEAD", "/a?b=c", pageLoad...), 302},
		{"old browser", request("GET", "/a?b=c", oldPage...), 302},
		{"iframe", request("GET", "/", "Sec-Fetch-Mode", "navigate", "Sec-Fetch-Dest", "iframe", "Accept", "text/html"), 401},
		{"image", request("GET", "/", "Sec-Fetch-Mode", "no-cors", "Sec-Fetch-Dest", "image", "Accept", "image/*"), 401},
		{"fetch", request("GET", "/", "Sec-Fetch-Mode", "cors", "Sec-Fetch-Dest", "empty", "Accept", "text/html"), 401},
		{"service worker", request("GET", "/", "Sec-Fetch-Mode", "same-origin", "Sec-Fetch-Dest", "serviceworker"), 401},
		{"XHR of an old browser", request("GET", "/", "Accept", "text/html", "X-Requested-With", "XMLHttpRequest"), 401},
		{"JSON", request("GET", "/", "Accept", "application/json"), 401},
		{"curl", request("GET", "/", "Accept", "*/*"), 401},
		{"nothing said", request("GET", "/"), 401},
		{"SSE", request("GET", "/", "Accept", "text/event-stream"), 401},
		{"gRPC", request("POST", "/", "Content-Type", "application/grpc", "Te", "trailers"), 401},
		{"API", request("POST", "/", "Content-Type", "application/json", "Accept", "application/json"), 401},
		{"DELETE", request("DELETE", "/", pageLoad...), 401},
		{"form", request("POST", "/", append([]string{"Content-Type", "application/x-www-form-urlencoded"}, pageLoad...)...), 401},
		{"form of an old browser", request("POST", "/", append([]string{"Content-Type", "multipart/form-data; boundary=x"}, oldPage...)...), 401},
		{"WebSocket", request("GET", "/", "Connection", "Upgrade", "Upgrade", "websocket", "Accept", "text/html"), 401},
		{"preflight", request("OPTIONS", "/", "Origin", "https://evil.test", "Access-Control-Request-Method", "PUT"), 401},
		{"method nobody knows", request("get", "/", pageLoad...), 401},
		{"AC-084 override", request("POST", "/", append([]string{"X-Http-Method-Override", "GET"}, pageLoad...)...), 401},
		{"AC-016 token elsewhere", request("GET", "/?token="+strings.TrimPrefix(w.cookie("s-alice"), "__Host-mfa="),
			"Authorization", "Bearer "+strings.TrimPrefix(w.cookie("s-alice"), "__Host-mfa="), "X-Session", "x", "Accept", "*/*"), 401},
	} {
		t.Run(c.name, func(t *testing.T) {
			resp, app := w.visit(c.r)
			denied(t, resp, app, c.status)
			form := strings.HasPrefix(c.name, "form") || strings.HasPrefix(c.name, "AC-084")
			switch {
			case c.status == 302:
				if got := resp.Header.Get("Location"); got != "/.mfa/sign-in?rd=%2Fa%3Fb%3Dc" {
					t.Errorf("Location %q", got)
				}
			case !form:
				if got := resp.Header.Get("Content-Type"); got != "application/problem+json" {
					t.Errorf("Content-Type %q", got)
				}
				var p web.Problem
				if err := json.NewDecoder(resp.Body).Decode(&p); err != nil || p.Status != 401 || p.Next != "/.mfa/sign-in" || p.Reason != "no_session" {
					t.Errorf("%+v, %v", p, err)
				}
				if got := resp.Header.Get("WWW-Authenticate"); !strings.HasPrefix(got, "Bearer") {
					t.Errorf("WWW-Authenticate %q", got)
				}
				if resp.Header.Get("Location") != "" {
					t.Error("a program is redirected")
				}
			}
		})
	}
	if events := w.events.take(); len(events) != 0 {
		t.Errorf("B32: strangers are counted, not recorded: %+v", events)
	}
}

// A half-done sign-in opens nothing (AC-015).
func TestCheck_half_done_AC015(t *testing.T) {
	w := newWorld(t, nil)
	half := w.cookie("h-alice")
	for name, cookie := range map[string]string{
		"half-done":                  half,
		"half-done as the session's": strings.Replace(half, "-half", "", 1),
	} {
		resp, app := w.visit(request("GET", "/", append([]string{"Cookie", cookie}, pageLoad...)...))
		denied(t, resp, app, 302)
		if got := resp.Header.Get("Location"); got != "/.mfa/sign-in" {
			t.Errorf("%s: %q", name, got)
		}
	}
	r := request("GET", "/", "Cookie", half)
	req, err := w.Parse(r)
	if err != nil {
		t.Fatal(err)
	}
	if v, err := w.HalfDone(r, req); err != nil || v.Session.ID != "h-alice" {
		t.Errorf("%v, %v", v, err)
	}
	r = request("GET", "/", "Cookie", "__Host-mfa-half="+strings.TrimPrefix(w.cookie("s-alice"), "__Host-mfa="))
	if v, err := w.HalfDone(r, req); err == nil {
		t.Errorf("a session passes for a half-done sign-in: %v", v)
	}
}

// Cookies that are wrong are taken away and recorded; ended ones are not, because
// another tab may have been given a new one a moment ago (AC-001, AC-013, AC-063).
func TestCheck_bad_cookies_AC001_AC013_AC063(t *testing.T) {
	good := func(w *world) string { return w.cookie("s-alice") }
	for _, c := range []struct {
		name    string
		cookies func(*world) []string
		reason  string // of the event; "": none, and nothing is cleared
	}{
		{"forged", func(w *world) []string { return []string{good(w)[:60] + "x"} }, "forged"},
		{"alg none", func(w *world) []string { return []string{"__Host-mfa=eyJhbGciOiJub25lIn0.e30."} }, "forged"},
		{"empty", func(w *world) []string { return []string{"__Host-mfa="} }, "forged"},
		{"quoted", func(w *world) []string {
			return []string{`__Host-mfa="` + strings.TrimPrefix(good(w), "__Host-mfa=") + `"`}
		}, "forged"},
		{"twice", func(w *world) []string { return []string{good(w) + "; " + w.cookie("s-carol")} }, "two_cookies"},
		{"twice, other order", func(w *world) []string { return []string{w.cookie("s-carol") + "; " + good(w)} }, "two_cookies"},
		{"twice on two lines", func(w *world) []string { return []string{good(w), good(w)} }, "two_cookies"},
		{"200 times", func(w *world) []string { return slices.Repeat([]string{"__Host-mfa=x"}, 200) }, "two_cookies"},
		{"ended", func(w *world) []string {
			line := good(w)
			w.store.change("u-alice", func() { delete(w.store.sessions, "s-alice") })
			return []string{line}
		}, ""},
		{"names without the prefix", func(w *world) []string {
			token := strings.TrimPrefix(good(w), "__Host-mfa=")
			return []string{"mfa=" + token + "; mfa-443=" + token + "; __Secure-mfa=" + token + "; __host-mfa=" + token}
		}, ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			w := newWorld(t, nil)
			r := request("GET", "/", pageLoad...)
			r.Header["Cookie"] = c.cookies(w)
			resp, app := w.visit(r)
			denied(t, resp, app, 302)
			cleared := slices.ContainsFunc(resp.Header["Set-Cookie"], func(line string) bool {
				return strings.HasPrefix(line, "__Host-mfa=;") && strings.Contains(line, "Max-Age=0")
			})
			events := w.events.take()
			if c.reason == "" {
				if cleared || len(events) > 0 {
					t.Errorf("cleared %v, events %+v", cleared, events)
				}
				return
			}
			if !cleared || len(events) != 1 || events[0].Name != mfa.EventSessionInvalid || events[0].Reason != c.reason {
				t.Errorf("cleared %v, events %+v", cleared, events)
			}
		})
	}
}

// Step-up, set-up and refusal of a known user carry an ID and the way to mend it
// (B30, B31, B32).
func TestCheck_known_users_B30_B31_B32(t *testing.T) {
	fresh := mfa.Requirement{Fresh: 5 * time.Minute, PhishingResistant: true}
	for _, c := range []struct {
		name       string
		session    mfa.SessionID
		needs      []mfa.Requirement
		later      time.Duration
		policy     func(*mfa.Policy)
		action     string
		location   string
		status     int // for programs
		challenged []string
	}{
		{"too old", "s-alice", []mfa.Requirement{{Fresh: 5 * time.Minute}}, 6 * time.Minute, nil, "step_up:too_old",
			"/.mfa/verify?max_age=300&rd=%2Fx", 401, []string{"insufficient_user_authentication", `max_age="300"`}},
		{"several gates add up", "s-alice", []mfa.Requirement{{Fresh: time.Hour}, {PhishingResistant: true}, {Fresh: 5 * time.Minute}}, 6 * time.Minute, nil, "step_up:too_old",
			"/.mfa/verify?max_age=300&phr=1&rd=%2Fx", 401, []string{`acr_values="phr"`, `max_age="300"`}},
		{"too weak, and needs another factor", "s-carol", []mfa.Requirement{fresh}, 0, nil, "set_up:needs_factor",
			"/.mfa/set-up?max_age=300&phr=1&rd=%2Fx", 401, []string{"insufficient_user_authentication"}},
		{"nothing set up", "s-dora", nil, 0, nil, "set_up:nothing_set_up", "/.mfa/set-up?rd=%2Fx", 401, nil},
		{"nobody can meet two gates", "s-alice", []mfa.Requirement{{Factors: mfa.KindsOf(mfa.Passkey)}, {Factors: mfa.KindsOf(mfa.TOTP)}}, 0, nil, "refuse:cannot_be_here", "", 403, nil},
		{"no policy", "s-alice", nil, 0, func(p *mfa.Policy) { *p = mfa.Policy{} }, "refuse:no_policy", "", 403, nil},
	} {
		t.Run(c.name, func(t *testing.T) {
			w := newWorld(t, nil)
			if c.policy != nil {
				c.policy(w.policy)
			}
			w.clock.Advance(c.later)
			cookie := w.cookie(c.session)

			resp, app := w.visit(request("GET", "/x", append([]string{"Cookie", cookie}, pageLoad...)...), c.needs...)
			if c.status == 403 {
				denied(t, resp, app, 403)
			} else {
				denied(t, resp, app, 302)
				if got := resp.Header.Get("Location"); got != c.location {
					t.Errorf("Location %q, want %q", got, c.location)
				}
			}
			events := w.events.take()
			if len(events) != 1 || events[0].Name != mfa.EventDecision || events[0].Reason != c.action || events[0].Decision == "" || events[0].User == "" {
				t.Fatalf("events %+v", events)
			}
			if strings.Contains(events[0].Session, string(c.session)) || events[0].Session == "" {
				t.Errorf("the event gives the session away: %q", events[0].Session)
			}

			resp, app = w.visit(request("GET", "/x", "Cookie", cookie, "Accept", "application/json"), c.needs...)
			denied(t, resp, app, c.status)
			var p web.Problem
			if err := json.NewDecoder(resp.Body).Decode(&p); err != nil || p.Decision != events[0].Decision {
				t.Errorf("%+v, %v", p, err)
			}
			if again := w.events.take(); len(again) > 0 {
				t.Errorf("the same decision is recorded again: %+v", again)
			}
			for _, part := range c.challenged {
				if !strings.Contains(resp.Header.Get("WWW-Authenticate"), part) {
					t.Errorf("WWW-Authenticate %q lacks %q", resp.Header.Get("WWW-Authenticate"), part)
				}
			}
		})
	}
}

func TestCheck_disabled_user(t *testing.T) {
	w := newWorld(t, nil)
	cookie := w.cookie("s-alice")
	if _, app := w.visit(request("GET", "/", "Cookie", cookie)); app == nil {
		t.Fatal("refused")
	}
	w.store.change("u-alice", func() { w.store.users["u-alice"].Disabled = true })
	resp, app := w.visit(request("GET", "/", "Cookie", cookie))
	denied(t, resp, app, 403)
}

// A later gate takes back what an earlier one allowed: the app is not reached.
func TestCheck_second_gate_refuses(t *testing.T) {
	w := newWorld(t, nil)
	w.clock.Advance(10 * time.Minute)
	resp, app := w.visit(request("GET", "/", "Cookie", w.cookie("s-alice")), mfa.Requirement{}, mfa.Requirement{Fresh: time.Minute})
	denied(t, resp, app, 401)
}

func TestCheck_store_down_AC187(t *testing.T) {
	w := newWorld(t, nil)
	cookie := w.cookie("s-alice")
	if _, app := w.visit(request("GET", "/", "Cookie", cookie)); app == nil {
		t.Fatal("refused")
	}
	w.store.change("u-bob", func() { w.store.down = true })
	w.clock.Advance(45 * time.Second)
	if _, app := w.visit(request("GET", "/", "Cookie", cookie)); app == nil {
		t.Error("who was verified a moment ago is refused")
	}
	resp, app := w.visit(request("GET", "/", "Cookie", cookie), mfa.Requirement{Fresh: time.Hour})
	denied(t, resp, app, 503)
	resp, app = w.visit(request("GET", "/", "Cookie", w.cookie("s-carol")))
	denied(t, resp, app, 503)
	if resp.Header.Get("Retry-After") == "" {
		t.Error("no Retry-After")
	}
	resp, app = w.visit(request("GET", "/", append([]string{"Cookie", w.cookie("s-carol")}, pageLoad...)...))
	denied(t, resp, app, 503)
}

// A node that does not hear of the others may hold a proof for fresh whose factor was
// removed a moment ago: routes that want fresh proofs close at once, and others go on.
func TestCheck_fresh_routes_of_a_node_that_is_cut_off_AC024(t *testing.T) {
	w := newWorld(t, nil)
	cookie := w.cookie("s-alice")
	fresh := mfa.Requirement{Fresh: time.Hour}
	if _, app := w.visit(request("GET", "/", "Cookie", cookie), fresh); app == nil {
		t.Fatal("refused")
	}
	w.store.alone.Store(true)
	if _, app := w.visit(request("GET", "/", "Cookie", cookie)); app == nil {
		t.Error("an ordinary route is closed")
	}
	resp, app := w.visit(request("GET", "/", "Cookie", cookie), fresh)
	denied(t, resp, app, 503)
	w.store.alone.Store(false)
	if _, app := w.visit(request("GET", "/", "Cookie", cookie), fresh); app == nil {
		t.Error("still closed")
	}
}

func TestCheck_policy_asks_nothing(t *testing.T) {
	w := newWorld(t, nil)
	w.policy.Bypass = true
	_, app := w.visit(request("GET", "/", "Remote-User", "evil"))
	if app == nil || len(identityOf(app.Header)) != 0 || ViewFrom(app.Context()) != nil {
		t.Errorf("%v", app)
	}
}

// A check without a strip would let forged identity through: it refuses.
func TestCheck_not_stripped(t *testing.T) {
	w := newWorld(t, nil)
	rec := httptest.NewRecorder()
	if w.Check(rec, request("GET", "/", "Cookie", w.cookie("s-alice")), mfa.Route{}) || rec.Code != 500 {
		t.Errorf("status %d", rec.Code)
	}
}

func TestCheck_rejects_what_is_not_canonical(t *testing.T) {
	w := newWorld(t, nil)
	cookie := w.cookie("s-alice")
	for status, alter := range map[int]func(*http.Request){
		400: func(r *http.Request) { r.Host = "app.a.test evil.test" },
		403: func(r *http.Request) { r.TLS = nil },
		405: func(r *http.Request) { r.Method = "TRACE" },
		425: func(r *http.Request) { r.Method = "POST"; r.TLS.HandshakeComplete = false },
		204: func(r *http.Request) { r.Method, r.RequestURI, r.URL.Path = "OPTIONS", "*", "*" },
	} {
		r := request("GET", "/", "Cookie", cookie)
		alter(r)
		resp, app := w.visit(r)
		if app != nil || resp.StatusCode != status {
			t.Errorf("want %d: %v, %v", status, resp, app)
		}
	}
	r := request("GET", "/", append([]string{"Cookie", cookie}, pageLoad...)...)
	r.TLS = nil
	if resp, app := w.visit(r); app != nil || resp.StatusCode != 403 {
		t.Errorf("AC-220: a page over plain http: %v", resp)
	}
}

func TestSetSession(t *testing.T) {
	for _, c := range []struct {
		name   string
		domain string
		plain  bool
		id     mfa.SessionID
		set    string
		clear  string
	}{
		{"complete", "", false, "s-alice", "__Host-mfa=", "__Host-mfa-half=;"},
		{"half-done", "", false, "h-alice", "__Host-mfa-half=", "__Host-mfa=;"},
		{"with a domain", "a.test", false, "s-alice", "__Secure-mfa=", "__Secure-mfa-half=;"},
		{"plain http", "", true, "s-alice", "mfa-8080=", "mfa-8080-half=;"},
	} {
		t.Run(c.name, func(t *testing.T) {
			w := newWorld(t, func(cfg *Config) { cfg.Domain = c.domain })
			r := request("GET", "/")
			if c.plain {
				r.TLS, r.Host = nil, "localhost:8080"
			}
			req, err := w.Parse(r)
			if err != nil {
				t.Fatal(err)
			}
			s := *w.store.sessions[c.id]
			s.Scope = req.Place.Scope
			rec := httptest.NewRecorder()
			if err := w.SetSession(rec, req, &s); err != nil {
				t.Fatal(err)
			}
			lines := rec.Header()["Set-Cookie"]
			if len(lines) != 2 || !strings.HasPrefix(lines[0], c.set) || !strings.HasPrefix(lines[1], c.clear) {
				t.Fatalf("%q", lines)
			}
			for _, attribute := range []string{"Path=/", "HttpOnly", "SameSite=Lax"} {
				if !strings.Contains(lines[0], attribute) {
					t.Errorf("no %s in %q", attribute, lines[0])
				}
			}
			if strings.Contains(lines[0], "Secure;") == c.plain || strings.Contains(lines[0], "Domain=") != (c.domain != "") {
				t.Errorf("%q", lines[0])
			}
			rec = httptest.NewRecorder()
			w.ClearSession(rec, req)
			if lines := rec.Header()["Set-Cookie"]; len(lines) != 2 {
				t.Errorf("%q", lines)
			}
		})
	}
	w := newWorld(t, nil)
	req, _ := w.Parse(request("GET", "/"))
	if err := w.SetSession(httptest.NewRecorder(), req, &mfa.Session{}); err == nil {
		t.Error("a session of nobody")
	}
}

// browserRequest is what a browser sends, as the server hands it over.
func browserRequest(cookie string) (*http.Request, func()) {
	r := request("GET", "/dashboard/data?x=1",
		"User-Agent", "Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0",
		"Accept", "text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8", "Accept-Language", "en-US,en;q=0.5", "Accept-Encoding", "gzip, deflate, br",
		"Connection", "keep-alive", "Upgrade-Insecure-Requests", "1", "Sec-Fetch-Dest", "document", "Sec-Fetch-Mode", "navigate", "Sec-Fetch-Site", "same-origin",
		"Referer", "https://app.a.test/", "X-Forwarded-For", "192.0.2.1", "X-Forwarded-Proto", "https", "Priority", "u=0, i")
	lines := []string{""}
	return r, func() {
		// As each request brings it: no identity, and its own cookies.
		for _, name := range []string{"Remote-User", "Remote-Name", "Remote-Email", "Remote-Groups"} {
			delete(r.Header, name)
		}
		lines[0] = cookie
		r.Header["Cookie"] = lines
	}
}

func TestCheck_allocations(t *testing.T) {
	w := newWorld(t, nil)
	token := w.cookie("s-alice")
	rec := httptest.NewRecorder()
	for name, cookie := range map[string]string{"alone": token, "among others": "theme=dark; " + token + "; app=0123456789"} {
		r, reset := browserRequest(cookie)
		n := testing.AllocsPerRun(500, func() {
			reset()
			rw, r := w.Strip(rec, r)
			if !w.Check(rw, r, mfa.Route{}) {
				t.Fatal("refused")
			}
		})
		t.Logf("%s: %v allocations", name, n)
		if n > 6 {
			t.Errorf("%s: %v allocations, at most 6", name, n)
		}
	}
}

func TestGlance_allocates_nothing(t *testing.T) {
	g := newGuard(t, nil)
	r, _ := browserRequest("")
	if n := testing.AllocsPerRun(100, func() {
		if req, err := g.Glance(r); err != nil || req.Path != "/dashboard/data" || req.Host != appHost {
			t.Fatal(req, err)
		}
	}); n != 0 {
		t.Errorf("%v allocations", n)
	}
}

// What a check goes by after StripSeen is what it would have read itself.
func TestStripSeen_changes_no_decision(t *testing.T) {
	w := newWorld(t, nil)
	for _, target := range []string{"/dashboard", "/a%2fb", "//x"} {
		r := request("GET", target, "Cookie", w.cookie("s-alice"))
		seen, err := w.Glance(r)
		if err != nil {
			t.Fatal(err)
		}
		_, known := w.StripSeen(httptest.NewRecorder(), r, &seen)
		rec, read := w.Strip(httptest.NewRecorder(), request("GET", target, "Cookie", w.cookie("s-alice")))
		if !w.Check(httptest.NewRecorder(), known, mfa.Route{}) || !w.Check(rec, read, mfa.Route{}) {
			t.Errorf("%s: refused", target)
		}
		if a, b := stateOf(known.Context()).req, stateOf(read.Context()).req; a.Place != b.Place || a.Path != b.Path || a.Target != b.Target || a.Ambiguous != b.Ambiguous || a.HTTPS != b.HTTPS || a.Cookies != b.Cookies {
			t.Errorf("%s: known %+v, read %+v", target, a, b)
		}
	}
}

func BenchmarkGuardCached(b *testing.B) {
	w := newWorld(b, nil)
	r, reset := browserRequest("theme=dark; " + w.cookie("s-alice") + "; app=0123456789")
	rec := httptest.NewRecorder()
	b.ReportAllocs()
	for b.Loop() {
		reset()
		rw, r := w.Strip(rec, r)
		if !w.Check(rw, r, mfa.Route{}) {
			b.Fatal("refused")
		}
	}
}

// Whoever is signed in and refused cannot fill the record: one decision a minute for
// each reason, under one ID (rule B32).
func TestGuard_DecisionsShareAnID(t *testing.T) {
	var d decisions
	now := time.Date(2026, 11, 26, 12, 0, 0, 0, time.UTC)
	first, fresh := d.id("alice refuse:not_member a.test", now)
	if !fresh {
		t.Error("the first is not recorded")
	}
	for range 20 {
		if id, fresh := d.id("alice refuse:not_member a.test", now.Add(59*time.Second)); fresh || id != first {
			t.Error("the same refusal is recorded again")
		}
	}
	for name, key := range map[string]string{"another reason": "alice refuse:cannot_be_here a.test", "another user": "bob refuse:not_member a.test"} {
		if id, fresh := d.id(key, now); !fresh || id == first {
			t.Errorf("%s has no ID of its own", name)
		}
	}
	if id, fresh := d.id("alice refuse:not_member a.test", now.Add(time.Minute)); !fresh || id == first {
		t.Error("a minute later it is not recorded again")
	}
	if _, fresh := d.id("alice refuse:not_member a.test", now.Add(-time.Hour)); !fresh {
		t.Error("a clock that was set back keeps it quiet")
	}
	for i := range 3 * quietKeys {
		if _, fresh := d.id(strconv.Itoa(i), now.Add(time.Duration(i)*time.Second)); !fresh {
			t.Fatal("a new decision is not recorded")
		}
	}
	if len(d.seen) > quietKeys {
		t.Errorf("%d are remembered", len(d.seen))
	}
}

// A policy that cannot be read lets nobody in, and says that it is for a moment.
func TestCheck_NoPolicyIsUnavailable(t *testing.T) {
	w := newWorld(t, func(c *Config) { c.Policy = func() *mfa.Policy { return nil } })
	resp, app := w.visit(request("GET", "/x", append([]string{"Cookie", w.cookie("s-alice")}, pageLoad...)...))
	denied(t, resp, app, http.StatusServiceUnavailable)
	if resp.Header.Get("Retry-After") == "" {
		t.Error("it does not say when to come again")
	}
}
