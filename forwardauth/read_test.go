package forwardauth

import (
	"net/http/httptest"
	"slices"
	"strings"
	"testing"

	"github.com/secondgate/secondgate/guard"
	"github.com/secondgate/secondgate/mfa"
)

// required are the headers that each dialect reads, each exactly once.
var required = map[Dialect][]string{
	Nginx:   {originalURL, originalMethod},
	Traefik: {forwardedMethod, forwardedProto, forwardedHost, forwardedURI},
	Caddy:   {forwardedMethod, forwardedProto, forwardedHost, forwardedURI},
	HAProxy: {forwardedMethod, forwardedProto, forwardedHost, forwardedURI},
	Envoy:   {forwardedProto},
}

// A header that is missing, empty, doubled, too long or junk is a mistake in the proxy's
// configuration. It is said, in the log, the record and the answer, and never allowed, not
// even for what needs no session (AC-058, AC-067).
func TestServe_misconfigured_AC058_AC067(t *testing.T) {
	for d, headers := range required {
		for _, header := range headers {
			for name, alter := range map[string]func(lines []string) []string{
				"is missing":            func([]string) []string { return nil },
				"is empty":              func([]string) []string { return []string{""} },
				"stands more than once": func(l []string) []string { return append(l, l[0]) },
				"is longer than 8 KiB":  func(l []string) []string { return []string{l[0] + strings.Repeat("x", 8<<10)} },
				"is ":                   func([]string) []string { return []string{"junk junk"} },
				"is n":                  func(l []string) []string { return []string{l[0] + ", " + l[0] + "\x01"} },
			} {
				w := newWorld(t)
				q := question(d, asked{uri: "/public/x", header: []string{"Cookie", w.cookie("alice")}})
				q.Header[header] = alter(q.Header[header])
				if q.Header[header] == nil {
					delete(q.Header, header)
					// Aliases are other headers (AC-067).
					q.Header["X_"+strings.TrimPrefix(header, "X-")] = []string{"/public/x"}
					q.Header[strings.ReplaceAll(header, "-", ".")] = []string{"/public/x"}
					q.Header[strings.ToLower(header)] = []string{"/public/x"}
				}
				resp := w.serve(d, q)
				refused(t, d, resp)
				want := 400
				if d == Nginx {
					want = 403
				}
				text := body(t, resp)
				spelt := header
				if n, ok := names[header]; ok {
					spelt = n
				}
				if resp.StatusCode != want || resp.Header.Get("X-Mfa-Reason") != "misconfigured" || !strings.HasPrefix(resp.Header.Get("Content-Type"), "text/plain") {
					t.Errorf("%s without a good %s (%s): %d %v", d, header, name, resp.StatusCode, resp.Header)
				}
				for _, word := range []string{spelt, d.String(), "docs/proxies/" + d.String() + ".md", name} {
					if !strings.Contains(text, word) {
						t.Errorf("%s, %s (%s): the answer does not name %q: %s", d, header, name, word, text)
					}
				}
				events := w.events.of()
				if len(events) != 1 || events[0].Reason != "misconfigured" || !strings.Contains(events[0].Detail, spelt) {
					t.Errorf("%s, %s: %+v", d, header, events)
				}
				if log := w.log.String(); !strings.Contains(log, "level=WARN") || !strings.Contains(log, spelt) || !strings.Contains(log, "dialect="+d.String()) || strings.Contains(log, "junk") {
					t.Errorf("%s, %s: %s", d, header, log)
				}
				// Once a minute, however often it is asked.
				for range 20 {
					w.serve(d, q)
				}
				if events := w.events.of(); len(events) != 0 {
					t.Errorf("%s, %s: %d more events", d, header, len(events))
				}
			}
		}
	}
}

// Targets that no server could read as one path are no permission, whoever asks (AC-059;
// CVE-2021-32637 of Authelia answered 200 to one).
func TestServe_unparsable_targets_AC059_AC061_AC076(t *testing.T) {
	w := newWorld(t)
	for _, uri := range []string{
		"/%zz", "//%", "/\x01", "/\x00", "/a\r\nb", "/a b", "/a\tb", "/\x7f", "/public/" + strings.Repeat("x", 20000), "/\xff\xfe", "/public/\xc0\xaf",
		"*", "public/x", "?x", "/secret#/public/", "/public/#", "/public/x?y#z", "/%", "/public/%4",
	} {
		for _, d := range dialects {
			for _, cookie := range []string{"x=y", w.cookie("alice")} {
				if d == Nginx && !strings.HasPrefix(uri, "/") {
					continue // would be part of the host
				}
				resp := w.serve(d, question(d, asked{uri: uri, header: []string{"Cookie", cookie}}))
				refused(t, d, resp)
				if status := resp.StatusCode; status != 400 && !(d == Nginx && status == 403) {
					t.Errorf("%s: %.40q: %d", d, uri, status)
				}
			}
		}
	}
	for _, whole := range []string{
		"/secret", "//app.a.test/public/x", "https:/app.a.test/public/x", "https://app.a.test", "https:///public/x", "ftp://app.a.test/public/x",
		"javascript://app.a.test/public/x", "https://app.a.test?/public/x", "HTTPS://app.a.test/public/x", "https://[::1/public/x", "https://user@app.a.test/public/x", "://app.a.test/public/x",
	} {
		q := question(Nginx, asked{})
		q.Header[originalURL] = []string{whole}
		if resp := w.serve(Nginx, q); resp.StatusCode != 403 {
			t.Errorf("X-Original-URL %q: %d", whole, resp.StatusCode)
		}
	}
	for _, target := range []string{Prefix + "envoy", Prefix + "envoy?/public/x", Prefix + "envoypublic/x", "/public/x", Prefix + "nginx/public/x"} {
		q := question(Envoy, asked{})
		q.RequestURI = target
		if resp := w.serve(Envoy, q); resp.StatusCode != 400 {
			t.Errorf("Envoy at %q: %d", target, resp.StatusCode)
		}
	}
}

// A client speaks the dialect of another proxy than the one that asks, to be taken for
// somebody who wants less: what its proxy says counts, and a second voice that says
// otherwise is refused (AC-060, CVE-2026-40575 of oauth2-proxy).
func TestServe_two_dialects_AC060(t *testing.T) {
	w := newWorld(t)
	alice := []string{"Cookie", w.cookie("alice")}
	for _, c := range []struct {
		d             Dialect
		header, value string
		ok            bool
	}{
		{Nginx, forwardedURI, "/public/x", false},
		{Nginx, forwardedURI, "/secret", true},
		{Nginx, forwardedHost, "lax.a.test", false},
		{Nginx, forwardedHost, "App.a.test", true},
		{Nginx, forwardedProto, "http", false},
		{Nginx, forwardedProto, "https", true},
		{Nginx, forwardedMethod, "OPTIONS", false},
		{Traefik, originalURL, "https://app.a.test/public/x", false},
		{Traefik, originalURL, "https://lax.a.test/secret", false},
		{Traefik, originalURL, "http://app.a.test/secret", false},
		{Traefik, originalURL, "/public/x", false},
		{Traefik, originalURL, "/secret", true},
		{Traefik, originalURL, "https://app.a.test/secret", true},
		{Traefik, originalMethod, "OPTIONS", false},
		{Caddy, originalURL, "", false},
		{HAProxy, originalMethod, "POST", false},
		{Envoy, forwardedURI, "/public/x", false},
		{Envoy, forwardedHost, "lax.a.test", false},
		{Envoy, forwardedMethod, "POST", false},
		{Envoy, originalURL, "https://app.a.test/public/x", false},
	} {
		resp := w.serve(c.d, question(c.d, asked{uri: "/secret", header: append([]string{c.header, c.value}, alice...)}))
		if c.ok {
			if resp.StatusCode != 200 {
				t.Errorf("%s with %s: %q: %d", c.d, c.header, c.value, resp.StatusCode)
			}
			continue
		}
		refused(t, c.d, resp)
		if text := body(t, resp); !strings.Contains(text, "says something else") {
			t.Errorf("%s with %s: %q: %d %s", c.d, c.header, c.value, resp.StatusCode, text)
		}
		// Without a session it is not allowed either, and no bypass applies.
		refused(t, c.d, w.serve(c.d, question(c.d, asked{uri: "/secret", header: []string{c.header, c.value}})))
	}
}

func TestRead(t *testing.T) {
	for _, c := range []struct {
		d    Dialect
		a    asked
		want guard.Held
	}{
		{Nginx, asked{uri: "/a/../b?c=https://evil.test/#"[:23]}, guard.Held{Method: "GET", Host: "app.a.test", Target: "/a/../b?c=https://evil.", HTTPS: true}},
		{Traefik, asked{scheme: "wss", method: "GET", uri: "//evil.test/x"}, guard.Held{Method: "GET", Host: "app.a.test", Target: "//evil.test/x", HTTPS: true}},
		{Caddy, asked{scheme: "http", host: "localhost:8080", method: "PUT"}, guard.Held{Method: "PUT", Host: "localhost:8080", Target: "/"}},
		{Envoy, asked{scheme: "ws", method: "DELETE", uri: "/.mfa/auth/envoy/x"}, guard.Held{Method: "DELETE", Host: "app.a.test", Target: "/.mfa/auth/envoy/x"}},
	} {
		held, fault := read(c.d, question(c.d, c.a))
		if fault != nil {
			t.Errorf("%s: %v", c.d, fault)
			continue
		}
		if held.Client != "203.0.113.9" || held.URL == nil || held.URL.Host != "" {
			t.Errorf("%s: %+v", c.d, held)
		}
		held.Client, held.URL = "", nil
		if held != c.want {
			t.Errorf("%s: %+v, want %+v", c.d, held, c.want)
		}
	}
	for _, c := range []struct {
		lines []string
		want  string
	}{
		{nil, ""}, {[]string{""}, ""}, {[]string{"192.0.2.1"}, "192.0.2.1"}, {[]string{"1.1.1.1, 192.0.2.1 "}, "192.0.2.1"}, {[]string{"1.1.1.1", "2.2.2.2,192.0.2.1"}, "192.0.2.1"}, {[]string{"1.1.1.1,"}, ""},
	} {
		if got := Client(map[string][]string{forwardedFor: c.lines}); got != c.want {
			t.Errorf("%q: %q", c.lines, got)
		}
	}
}

// Whatever the headers say: what is read is one path of one host, the same that any server
// would read, or nothing.
func FuzzRead(f *testing.F) {
	f.Add(byte(Nginx), "https://app.a.test/x?y", "GET", "", "", "", "")
	f.Add(byte(Traefik), "", "", "GET", "https", "app.a.test", "//x/%2e%2e/y")
	f.Add(byte(Envoy), "/public/x", "", "", "https", "app.a.test", "/secret")
	f.Fuzz(func(t *testing.T, d byte, original, method, fmethod, proto, host, uri string) {
		q := httptest.NewRequest("GET", "/", nil)
		q.RequestURI, q.Host = Prefix+"envoy"+uri, host
		for name, value := range map[string]string{
			originalURL: original, originalMethod: method, forwardedMethod: fmethod, forwardedProto: proto, forwardedHost: host, forwardedURI: uri,
		} {
			if value != "" {
				q.Header[name] = []string{value}
			}
		}
		held, fault := read(Dialect(d), q)
		if (fault == nil) != (held.URL != nil) {
			t.Fatalf("%+v, %v", held, fault)
		}
		if fault != nil {
			if fault.Header == "" || fault.What == "" {
				t.Fatalf("%+v", fault)
			}
			return
		}
		if held.URL.Host != "" || held.URL.Scheme != "" || held.URL.Fragment != "" || held.URL.User != nil || held.Target[0] != '/' || strings.ContainsAny(held.Target, "#\r\n \x00") {
			t.Fatalf("%+v %+v", held, held.URL)
		}
		if !slices.Contains(dialects, Dialect(d)) {
			t.Fatalf("read by no dialect: %+v", held)
		}
	})
}

// newPolicyless is a guard that cannot read the policy.
func newPolicyless(t *testing.T, w *world) *guard.Guard {
	t.Helper()
	g, err := guard.New(guard.Config{Sessions: w.sessions, Policy: func() *mfa.Policy { return nil }, Events: w.events, Now: w.clock.Now, Domain: "a.test", Portal: "https://auth.a.test"})
	if err != nil {
		t.Fatal(err)
	}
	return g
}
