package forwardauth

import (
	"context"
	"encoding/base64"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/secondgate/secondgate/mfa"
)

func body(t *testing.T, resp *http.Response) string {
	t.Helper()
	b, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

// Whoever is allowed is named in every header, and where there is nothing to say the header
// is there and empty: a proxy that got none would leave the client's own in its place
// (CVE-2026-30851; AC-044, AC-066).
func TestServe_allows_with_every_identity_header_AC044_AC066(t *testing.T) {
	w := newWorld(t)
	for _, c := range []struct {
		name string
		who  string
		uri  string
		want []string // as identity
	}{
		{"alice", "alice", "/x", []string{"alice", "", "alice@a.test", "users,admins", ""}},
		{"carol has no address and no group", "carol", "/x", []string{"carol", "", "", "", ""}},
		{"nobody at a bypass", "", "/public/x", []string{"", "", "", "", ""}},
		{"somebody at a bypass", "alice", "/public/x", []string{"", "", "", "", ""}},
	} {
		for _, d := range dialects {
			for _, method := range []string{"GET", "HEAD", "POST", "PROPFIND", "get"} {
				a := asked{method: method, uri: c.uri}
				for _, name := range identity {
					a.header = append(a.header, name, "evil")
				}
				if c.who != "" {
					a.header = append(a.header, "Cookie", w.cookie(c.who))
				}
				resp := w.serve(d, question(d, a))
				if resp.StatusCode != 200 {
					t.Errorf("%s, %s %s: status %d", c.name, d, method, resp.StatusCode)
				}
				for i, name := range identity {
					if got, ok := resp.Header[name]; !ok || !slices.Equal(got, c.want[i:i+1]) {
						t.Errorf("%s, %s: %s is %q, want %q", c.name, d, name, got, c.want[i])
					}
				}
				if resp.Header.Get("Cache-Control") != "no-store" || resp.Header["Set-Cookie"] != nil || body(t, resp) != "" {
					t.Errorf("AC-069 %s, %s: %v", c.name, d, resp.Header)
				}
			}
		}
	}
}

// The proxy still has the Authorization of the client, and would hand an app the token that
// opens it (AC-053). It is told of one wherever the request may pass, needed or not.
func TestServe_AC053_TellsOfAppTokens(t *testing.T) {
	w := newWorld(t)
	token := mfa.AppTokenPrefix + strings.Repeat("a", mfa.AppTokenLength-len(mfa.AppTokenPrefix))
	for _, c := range []struct{ who, uri, authorization, want string }{
		{"", "/public/x", "Bearer " + token, "1"},
		{"alice", "/public/x", "Bearer " + token, "1"},
		{"alice", "/x", "Bearer " + token, "1"}, // by the session
		{"alice", "/x", "Basic " + base64.StdEncoding.EncodeToString([]byte("alice:"+token)), "1"},
		{"alice", "/x", "Bearer of-the-app", ""},
		{"alice", "/x", "", ""},
	} {
		for _, d := range dialects {
			a := asked{uri: c.uri, header: []string{"Mfa-App-Token", "evil"}}
			if c.authorization != "" {
				a.header = append(a.header, "Authorization", c.authorization)
			}
			if c.who != "" {
				a.header = append(a.header, "Cookie", w.cookie(c.who))
			}
			resp := w.serve(d, question(d, a))
			if got := resp.Header.Get("Mfa-App-Token"); resp.StatusCode != 200 || got != c.want {
				t.Errorf("%s, %s as %q with %.12q: %d, told %q", d, c.uri, c.who, c.authorization, resp.StatusCode, got)
			}
		}
	}
}

// The answers to somebody without a session, by who asks (rule B31; AC-081, AC-083).
func TestServe_answers_without_a_session_AC081_AC083(t *testing.T) {
	w := newWorld(t)
	portal := "https://auth.a.test/.mfa/sign-in?rd=" + url.QueryEscape("https://app.a.test/a?b=c")
	for _, c := range []struct {
		name   string
		a      asked
		status int
		to     string // Location
	}{
		{"page load", asked{header: person}, 302, portal},
		{"page load, HEAD", asked{method: "HEAD", header: person}, 302, portal},
		{"old browser", asked{header: []string{"Accept", "text/html,*/*;q=0.8"}}, 302, portal},
		{"fetch", asked{header: []string{"Sec-Fetch-Mode", "cors", "Sec-Fetch-Dest", "empty", "Accept", "text/html"}}, 401, ""},
		{"XMLHttpRequest", asked{header: []string{"Accept", "text/html", "X-Requested-With", "XMLHttpRequest"}}, 401, ""},
		{"JSON", asked{header: []string{"Accept", "application/json"}}, 401, ""},
		{"no Accept", asked{}, 401, ""},
		{"image", asked{header: []string{"Sec-Fetch-Mode", "no-cors", "Sec-Fetch-Dest", "image"}}, 401, ""},
		{"form", asked{method: "POST", header: append([]string{"Content-Type", "application/x-www-form-urlencoded"}, person...)}, 401, ""},
		{"POST of JSON", asked{method: "POST", header: append([]string{"Content-Type", "application/json"}, person...)}, 401, ""},
		{"CORS preflight", asked{method: "OPTIONS", header: []string{"Origin", "https://evil.test", "Access-Control-Request-Method", "POST"}}, 401, ""},
		{"AC-081 WebSocket", asked{header: []string{"Upgrade", "websocket", "Sec-Websocket-Key", "x", "Accept", "text/html"}}, 401, ""},
		{"AC-081 WebSocket whose Upgrade the proxy took out", asked{scheme: "wss", header: []string{"Sec-Websocket-Key", "x", "Accept", "text/html"}}, 401, ""},
	} {
		for _, d := range dialects {
			c.a.uri = "/a?b=c"
			if c.a.scheme == "wss" && d == Nginx {
				continue // its $scheme is never that
			}
			resp := w.serve(d, question(d, c.a))
			refused(t, d, resp)
			status := c.status
			if d == Nginx {
				status = 401
				if resp.Header.Get("X-Mfa-Reason") != "no_session" || !strings.HasPrefix(resp.Header.Get("X-Mfa-Next"), "https://auth.a.test/.mfa/sign-in") || body(t, resp) != "" {
					t.Errorf("%s, nginx: %v", c.name, resp.Header)
				}
			}
			if resp.StatusCode != status || resp.Header.Get("Location") != c.to {
				t.Errorf("%s, %s: %d to %q, want %d to %q", c.name, d, resp.StatusCode, resp.Header.Get("Location"), status, c.to)
			}
			if c.status == 401 && c.name != "form" && resp.Header.Get("Www-Authenticate") != `Bearer realm="secondgate"` {
				t.Errorf("%s, %s: WWW-Authenticate %q", c.name, d, resp.Header.Get("Www-Authenticate"))
			}
			if c.status == 401 && c.name != "form" && d != Nginx {
				if kind, text := resp.Header.Get("Content-Type"), body(t, resp); kind != "application/problem+json" || !strings.Contains(text, `"next":"https://auth.a.test/.mfa/sign-in`) {
					t.Errorf("%s, %s: %s %s", c.name, d, kind, text)
				}
			}
		}
	}
}

// A host of another domain than the portal's begins at its own page, where hand-offs
// arrive; the portal cannot set a cookie there.
func TestServe_other_domain(t *testing.T) {
	w := newWorld(t)
	for _, d := range dialects {
		resp := w.serve(d, question(d, asked{host: "app.b.test", uri: "/a?b=c", header: person}))
		if got, want := resp.Header.Get("Location"), "https://app.b.test/.mfa/arrive?rd="+url.QueryEscape("/a?b=c"); got != want {
			t.Errorf("%s: %q, want %q", d, got, want)
		}
	}
}

// What a known person still owes, or is refused.
func TestServe_step_up_and_refusals(t *testing.T) {
	w := newWorld(t)
	for _, c := range []struct {
		name, who, uri string
		status         int // of a page load, elsewhere than at nginx
		nginx          int
		reason         string
	}{
		{"strict with a passkey", "alice", "/strict/x", 200, 200, ""},
		{"strict with a code", "carol", "/strict/x", 302, 401, "needs_factor"},
		{"a disabled user", "dora", "/x", 403, 403, "user_disabled"},
		{"ambiguous path meets the strictest", "carol", "//public/x", 302, 401, "needs_factor"},
	} {
		for _, d := range dialects {
			resp := w.serve(d, question(d, asked{uri: c.uri, header: append([]string{"Cookie", w.cookie(c.who)}, person...)}))
			want := c.status
			if d == Nginx {
				want = c.nginx
			}
			if resp.StatusCode != want {
				t.Errorf("%s, %s: status %d, want %d", c.name, d, resp.StatusCode, want)
			}
			if want == 200 {
				continue
			}
			refused(t, d, resp)
			if d == Nginx && (resp.Header.Get("X-Mfa-Reason") != c.reason || resp.Header.Get("X-Mfa-Decision") == "") {
				t.Errorf("%s: %v", c.name, resp.Header)
			}
			if text := body(t, resp); want == 403 && d != Nginx && !strings.Contains(text, "You may not open this page") {
				t.Errorf("%s, %s: %s", c.name, d, text)
			}
		}
	}
}

// Whoever is not a configured proxy may not even ask: with perfect headers and a good
// cookie it would learn whose it is, or use a bypass (AC-057, CVE-2026-40575).
func TestServe_RejectsStrangers_AC057(t *testing.T) {
	w := newWorld(t)
	for _, remote := range []string{"10.0.0.6:1", "127.0.0.1:1", "[::1]:1", "203.0.113.9:1", "", "@", "/run/x.sock", "10.0.0.5", "nonsense:1"} {
		for _, d := range dialects {
			for _, a := range []asked{
				{}, {uri: "/public/x"}, {header: []string{"Cookie", w.cookie("alice")}},
				{header: []string{"Cookie", w.cookie("alice"), "X-Forwarded-For", "10.0.0.5"}},
			} {
				q := question(d, a)
				q.RemoteAddr = remote
				resp := w.serve(d, q)
				refused(t, d, resp)
				if resp.StatusCode != 403 || resp.Header.Get("X-Mfa-Reason") != "peer" {
					t.Errorf("%s from %q: %d %v", d, remote, resp.StatusCode, resp.Header)
				}
			}
		}
	}
	events := w.events.of()
	if len(events) == 0 || events[0].Reason != "peer" || events[0].OK || !strings.Contains(w.log.String(), "peers") {
		t.Errorf("no audit: %v\n%s", events, w.log)
	}
	if len(events) > 6 {
		t.Errorf("a stranger filled the record with %d events", len(events))
	}
	if strings.Contains(w.log.String(), "__Secure-mfa") {
		t.Error("a cookie is in the log")
	}
	q := question(Caddy, asked{uri: "/public/x"})
	q.RemoteAddr = "[::ffff:10.0.0.5]:77"
	if resp := w.serve(Caddy, q); resp.StatusCode != 200 {
		t.Errorf("the peer over an IPv6 socket: %d", resp.StatusCode)
	}
}

func TestPeers(t *testing.T) {
	for _, c := range []struct {
		words       []string
		may, mayNot []string
	}{
		{nil, nil, []string{"127.0.0.1:1", "@", ""}},
		{Loopback, []string{"127.0.0.1:1", "127.9.9.9:1", "[::1]:1", "[::ffff:127.0.0.1]:1"}, []string{"10.0.0.1:1", "@", "", "[fe80::1%lo]:1"}},
		{[]string{"unix"}, []string{"@", "", "/run/gate.sock"}, []string{"127.0.0.1:1", "127.0.0.1", "x"}},
		{[]string{"10.1.0.0/16", "2001:db8::/32"}, []string{"10.1.2.3:1", "[2001:db8::7]:1"}, []string{"10.2.0.1:1", "[2001:db9::1]:1"}},
	} {
		p, err := ParsePeers(c.words)
		if err != nil {
			t.Fatal(err)
		}
		for _, remote := range c.may {
			if !p.Allow(remote) {
				t.Errorf("%v: %q may not", c.words, remote)
			}
		}
		for _, remote := range c.mayNot {
			if p.Allow(remote) {
				t.Errorf("%v: %q may", c.words, remote)
			}
		}
	}
	for _, bad := range []string{"", "example.com", "0.0.0.0/0", "::/0", "10.0.0.0/33", "10.0.0.5:80", "fe80::1%eth0", "private_ranges"} {
		if _, err := ParsePeers([]string{bad}); err == nil || !strings.Contains(err.Error(), "write") {
			t.Errorf("%q: %v", bad, err)
		}
	}
}

// A cookie that cannot be read is no session, never an empty permission (AC-063;
// CVE-2026-25748 of authentik answered 200 without identity).
func TestServe_broken_cookies_AC063(t *testing.T) {
	w := newWorld(t)
	good := strings.TrimPrefix(w.cookie("alice"), "__Secure-mfa=")
	gone := w.cookie("carol")
	delete(w.store.sessions, "s-carol")
	for name, cookie := range map[string]string{
		"cut":          "__Secure-mfa=" + good[:len(good)-5],
		"not base64":   "__Secure-mfa=%%%",
		"empty":        "__Secure-mfa=",
		"another key":  "__Secure-mfa=" + good[:len(good)-10] + "AAAAAAAAAA",
		"two of them":  "__Secure-mfa=" + good + "; __Secure-mfa=" + good,
		"session gone": gone,
		"half done":    "__Secure-mfa-half=" + good,
		"another name": "__Host-mfa=" + good,
	} {
		for _, d := range dialects {
			resp := w.serve(d, question(d, asked{uri: "/x", header: []string{"Cookie", cookie}}))
			refused(t, d, resp)
			if resp.StatusCode != 401 {
				t.Errorf("%s, %s: status %d", name, d, resp.StatusCode)
			}
			cleared := strings.Contains(strings.Join(resp.Header["Set-Cookie"], " "), "__Secure-mfa=;")
			if want := strings.HasPrefix(cookie, "__Secure-mfa=") && name != "session gone"; cleared != want {
				t.Errorf("%s, %s: cleared %v, want %v: %v", name, d, cleared, want, resp.Header["Set-Cookie"])
			}
		}
	}
}

// The store is down, or slow: an answer comes in two seconds, and it is no permission but
// where none was needed (AC-065).
func TestServe_store_down_AC065(t *testing.T) {
	for name, fault := range map[string]func(context.Context) error{
		"down": func(context.Context) error { return errDown },
		"slow": func(ctx context.Context) error { <-ctx.Done(); return ctx.Err() },
	} {
		w := newWorld(t)
		w.store.fault = fault
		for _, d := range []Dialect{Nginx, Caddy} {
			begin := time.Now()
			resp := w.serve(d, question(d, asked{uri: "/x", header: append([]string{"Cookie", w.cookie("alice")}, person...)}))
			if took := time.Since(begin); took > 2*time.Second {
				t.Errorf("%s, %s: took %s", name, d, took)
			}
			refused(t, d, resp)
			want := 503
			if d == Nginx {
				want = 403
			}
			if resp.StatusCode != want || resp.Header.Get("Retry-After") == "" || d == Nginx && resp.Header.Get("X-Mfa-Reason") != "unavailable" {
				t.Errorf("%s, %s: %d %v", name, d, resp.StatusCode, resp.Header)
			}
			if resp := w.serve(d, question(d, asked{uri: "/public/x"})); resp.StatusCode != 200 {
				t.Errorf("%s, %s: a bypass needs no store: %d", name, d, resp.StatusCode)
			}
		}
	}
	w := newWorld(t)
	w.Config.Guard, w.policy = newPolicyless(t, w), nil
	for _, d := range dialects {
		refused(t, d, w.serve(d, question(d, asked{header: []string{"Cookie", w.cookie("alice")}})))
		refused(t, d, w.serve(d, question(d, asked{host: "broken.a.test"})))
	}
}

// Health probes are for the health page alone: by name or path they open nothing (AC-064,
// CVE-2026-34457 of oauth2-proxy).
func TestServe_probes_AC064(t *testing.T) {
	w := newWorld(t)
	for _, agent := range []string{"GoogleHC/1.0", "kube-probe/1.27", "ELB-HealthChecker/2.0"} {
		for _, uri := range []string{"/", "/health", "/ping", "/ready", "/metrics", "/.mfa/health", "/.well-known/x"} {
			for _, d := range dialects {
				refused(t, d, w.serve(d, question(d, asked{uri: uri, header: []string{"User-Agent", agent}})))
			}
		}
	}
}

// Hosts in all their spellings, and with two stars the right one (AC-068, AC-215,
// CVE-2026-48794 of Authelia).
func TestServe_hosts_AC068_AC215(t *testing.T) {
	w := newWorld(t)
	for _, c := range []struct {
		host   string
		nobody int // status of a program without a session
	}{
		{"app.a.test", 401}, {"APP.A.TEST", 401}, {"app.a.test.", 401}, {"app.a.test:443", 401}, {"app.a.test:8443", 401}, {"App.A.Test.:443", 401},
		{"x.b.a.test", 401}, {"x.B.a.test", 401}, {"X.B.A.TEST.", 401}, // strict, though "*.a.test" is lax
		{"lax.a.test", 200}, {"LAX.a.test", 200},
		{"a.test", 403}, {"deep.lax.a.test", 403}, {"evil.test", 403}, {"app.a.test.evil.test", 403}, {"xapp.b.test", 403}, {"[::1]", 403}, {"192.0.2.1", 403},
		{" app.a.test", 400}, {"app.a.test ", 400}, {"app.a.test, evil.test", 400}, {"app.a.test/", 400}, {"user@app.a.test", 400},
		{"app.a.test:0", 400}, {"app..a.test", 400}, {"app.a.test\\", 400}, {"[::1", 400},
	} {
		for _, d := range dialects {
			want := c.nobody
			if d == Nginx && want == 400 {
				want = 403
			}
			if d == Nginx && strings.HasSuffix(c.host, "/") {
				continue // is another path there
			}
			if resp := w.serve(d, question(d, asked{host: c.host})); resp.StatusCode != want {
				t.Errorf("%s: %q: status %d, want %d", d, c.host, resp.StatusCode, want)
			}
		}
	}
	for _, e := range w.events.of() {
		if e.Reason == string(mfa.ReasonUnknownHost) {
			return
		}
	}
	t.Error("an unknown host is not in the record")
}

// Among one host and among thousands the same one is found (AC-215, CVE-2026-27588 of
// Caddy, whose large lists minded case).
func TestHosts_AC215(t *testing.T) {
	for _, n := range []int{1, 100, 101, 5000} {
		var h Hosts[string]
		for i := range n {
			if err := h.Add(fmt.Sprintf("App%d.A.test.", i), fmt.Sprint(i)); err != nil {
				t.Fatal(err)
			}
		}
		for _, name := range []string{"*.a.test", "*.deep.a.test", "xn--bcher-kva.a.test"} {
			if err := h.Add(name, name); err != nil {
				t.Fatal(err)
			}
		}
		for host, want := range map[string]string{
			"app0.a.test": "0", "app0.a.test:8443": "0", "other.a.test": "*.a.test", "x.deep.a.test": "*.deep.a.test", "xn--bcher-kva.a.test": "xn--bcher-kva.a.test",
			"deep.a.test": "*.a.test", "a.test": "", "x.y.a.test": "", "app0.b.test": "", "": "", "test": "", "[::1]:80": "",
		} {
			if got, ok := h.Find(host); got != want || ok != (want != "") {
				t.Errorf("%d hosts: %q: %q", n, host, got)
			}
		}
		if h.Add("APP0.a.test", "again") == nil || h.Add("*.A.test", "again") == nil {
			t.Error("a host can stand twice")
		}
	}
	for _, bad := range []string{"", "*", "*.test", "a.*.test", "**.a.test", "https://a.test", "a.test:80", "a.test/x", "bücher.test", "a..test", "-a.test", "*.192.0.2.1", "[::1]", "a b"} {
		var h Hosts[bool]
		if err := h.Add(bad, true); err == nil || !strings.HasPrefix(err.Error(), "protect: ") || !strings.Contains(err.Error(), "write") {
			t.Errorf("%q: %v", bad, err)
		}
	}
}

// What was allowed in one context is nothing in another (AC-071, CVE-2026-33496 of
// Oathkeeper): the cache knows who somebody is and never what was decided.
func TestServe_decisions_are_not_cached_AC071(t *testing.T) {
	w := newWorld(t)
	cookie := []string{"Cookie", w.cookie("carol")}
	for range 2 {
		for _, c := range []struct {
			a    asked
			want int
		}{
			{asked{uri: "/public/x"}, 200}, {asked{uri: "/x"}, 200}, {asked{uri: "/strict/x"}, 401}, {asked{uri: "/strict/x", method: "POST"}, 401},
			{asked{host: "x.b.a.test"}, 401}, {asked{host: "app.b.test"}, 401}, {asked{host: "lax.a.test"}, 200},
		} {
			c.a.header = cookie
			if resp := w.serve(Traefik, question(Traefik, c.a)); resp.StatusCode != c.want {
				t.Errorf("%+v: %d, want %d", c.a, resp.StatusCode, c.want)
			}
		}
	}
	w.store.mu.Lock()
	w.store.users["u-carol"].Disabled = true
	w.store.mu.Unlock()
	w.store.changed("u-carol")
	if resp := w.serve(Traefik, question(Traefik, asked{uri: "/x", header: cookie})); resp.StatusCode != 403 {
		t.Errorf("after she was disabled: %d", resp.StatusCode)
	}
}

// Methods (AC-084): what no app should see is refused, what nobody knows is protected, and
// a header is no method.
func TestServe_methods_AC084(t *testing.T) {
	w := newWorld(t)
	for method, want := range map[string]int{
		"CONNECT": 405, "TRACE": 405, "TRACK": 405, "get": 401, "PRI": 401, strings.Repeat("M", 33): 401, "OPTIONS": 401,
	} {
		for _, d := range dialects {
			if d == Nginx && want == 405 {
				want = 403
			}
			a := asked{method: method, uri: "/x", header: []string{"X-Http-Method-Override", "GET"}}
			resp := w.serve(d, question(d, a))
			refused(t, d, resp)
			if status := resp.StatusCode; status != want && !(d != Nginx && want == 403 && status == 405) {
				t.Errorf("%s %s: %d, want %d", d, method, status, want)
			}
		}
	}
	for _, d := range dialects {
		refused(t, d, w.serve(d, question(d, asked{uri: "/x", method: "POST", header: []string{"Early-Data", "1", "Cookie", w.cookie("alice")}}))) // AC-088
	}
}

// What belongs to the connection between the proxy and us says nothing of the request that
// it holds: trailers, names in Connection, the body, TLS.
func TestServe_hop_by_hop(t *testing.T) {
	w := newWorld(t)
	for _, d := range dialects {
		q := question(d, asked{uri: "/x", header: []string{"Connection", "X-Forwarded-Uri, X-Original-Url, Cookie", "Te", "trailers"}})
		q.Trailer = http.Header{"X-Forwarded-Uri": {"/public/x"}, "Cookie": {w.cookie("alice")}}
		q.Body = io.NopCloser(strings.NewReader("X-Forwarded-Uri: /public/x"))
		refused(t, d, w.serve(d, q))
	}
}

// Plain http is refused as it is inline, but for localhost.
func TestServe_plain_http(t *testing.T) {
	w := newWorld(t)
	for _, d := range dialects {
		resp := w.serve(d, question(d, asked{scheme: "http", header: []string{"Cookie", w.cookie("alice")}}))
		refused(t, d, resp)
		if resp.StatusCode != 403 {
			t.Errorf("%s: %d", d, resp.StatusCode)
		}
	}
}

// The client that is in the record is the one that the peer has added, whatever the client
// has sent before it.
func TestServe_client_address(t *testing.T) {
	w := newWorld(t)
	q := question(Caddy, asked{uri: "/x", header: append([]string{"Cookie", w.cookie("dora")}, person...)})
	q.Header["X-Forwarded-For"] = []string{"192.0.2.1", "192.0.2.2, 198.51.100.7"}
	w.serve(Caddy, q)
	w.events.mu.Lock()
	defer w.events.mu.Unlock()
	if len(w.events.events) != 1 || w.events.events[0].Network != "198.51.100.0/24" {
		t.Errorf("%+v", w.events.events)
	}
}

func TestServes(t *testing.T) {
	for target, want := range map[string]Dialect{
		"/.mfa/auth/nginx": Nginx, "/.mfa/auth/nginx?x": Nginx, "/.mfa/auth/traefik": Traefik, "/.mfa/auth/caddy": Caddy, "/.mfa/auth/haproxy": HAProxy,
		"/.mfa/auth/envoy": Envoy, "/.mfa/auth/envoy/x": Envoy, "/.mfa/auth/envoy//x?y": Envoy, "/.mfa/auth/envoy?x": Envoy,
		"/.mfa/auth/": None, "/.mfa/auth/envoyx": None, "/.mfa/auth/nginx/": None, "/.mfa/auth/nginx/x": None, "/.mfa/auth/NGINX": None, "/.mfa/auth/ng%69nx": None,
	} {
		r := httptest.NewRequest("GET", target, nil)
		if d, ok := Serves(r); !ok || d != want {
			t.Errorf("%s: %s, %v", target, d, ok)
		}
	}
	for _, target := range []string{"/", "/.mfa/sign-in", "/.mfa/auth", "/x/.mfa/auth/nginx"} {
		if d, ok := Serves(httptest.NewRequest("GET", target, nil)); ok {
			t.Errorf("%s: %s", target, d)
		}
	}
	// Whatever comes below the prefix and is none of ours is no permission.
	w := newWorld(t)
	q := question(Caddy, asked{uri: "/public/x"})
	if resp := w.serve(None, q); resp.StatusCode != 404 {
		t.Errorf("no dialect: %d", resp.StatusCode)
	}
}
