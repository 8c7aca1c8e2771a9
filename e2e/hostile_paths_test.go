package e2e

import (
	"fmt"
	"net/http"
	"strings"
	"testing"
)

// paths are the request targets of security.md 3.6, by abuse case.
var paths = []struct {
	name    string
	targets []string
}{
	{"AC-072 dot segments", []string{
		"/public/../secret", "/public/./../secret", "/public/%2e%2e/secret", "/public/..%2fsecret", "/public%2f..%2fsecret",
		"/public/..;/secret", "/public/..%5csecret", `/public/..\secret`, "/public/..%c0%afsecret", "/public/%2e%2e%2f", "//public/../secret",
		"/public//..//secret", "/public/..", "/public/../strict/x", "/public/..%2fstrict%2fx", "/assets/../strict/app.js",
		"/assets/%2e%2e/secret.js", "/strict/../strict/x", "/x/../strict", "/.%2e/strict", "/public/%2e%2e/%2e%2e/strict",
		"/public/.../strict", "/./public/../strict", "/public/a/../../secret", "/public;/../secret", "/public/..%252fsecret",
	}},
	{"AC-073 double encoding", []string{
		"/public/%252e%252e/secret", "/%2573ecret", "/public%252f..", "/%2573trict/x", "/public/%25%32%65%25%32%65/secret",
		"/public/%25252e%25252e/secret", "/strict%252fx", "/public/a%252f..%252f..%252fstrict",
	}},
	{"AC-074 case and encoding of letters", []string{
		"/%73trict/x", "/stric%74", "/STRICT/x", "/Strict", "/%53TRICT/x", "/s%54rict",
	}},
	{"AC-075 query", []string{
		"/secret?/public/", "/secret?x=/assets/a.js", "/strict?/public/a", "/secret?/../public/", "/secret?x=/public/../public/a",
	}},
	{"AC-076 fragment", []string{
		"/secret#/public/a", "/secret%23/public/a", "/public/%23/../secret", "/secret#/assets/a.js", "/strict#/public/", "/strict%23/x",
	}},
	{"AC-077 suffixes", []string{
		"/strict;x", "/strict%00", "/strict%20", "/strict.", "/strict/.", "/strict%09", `/strict\`, "/strict%5c", "/strict::$DATA", "/strict%ff",
		"/strict%3bx", "/strict%2e", "/strict%2f", "/strict;/x", "/strict%0a", "/strict%0d%0a", "/strict%7f", "/strict%e2%80%8b/../strict",
		"/strict./x", "/strict%20/x", "/strict::$INDEX_ALLOCATION/x",
	}},
	{"AC-079 boundaries of an expression", []string{
		"/assets/app.js%0a", "/assets/app.js/..", "/assets/app.js;x", "/assets/app.js%00.html", "/assets/app.js%0a/secret", "/assets/../assets/secret",
		"/x/assets/app.js", "/assets/app.jsx", "/assets/app%2ejs/../secret", "/assets/APP.js", "/assets/a%2fb.js", "/assets/.js",
	}},
	{"AC-079 boundaries", []string{
		"/publicx", "/public-secret", "/public%2fx", "/publi", "/public", "/strictx/../strict", "/publicx/../secret",
	}},
	{"AC-080 more than one slash", []string{
		"//strict/x", "///strict", "/public//../strict", "//public/a", "/strict//", "//evil.test/public/a",
	}},
}

// Each target is sent raw, without a session and with a session that is too weak
// for the strict part. It must never reach the app where the strictest reading of
// its path would not allow it.
func TestHostile_paths(t *testing.T) {
	w := attack(t)
	w.each(t, func(t *testing.T, send func(message) answer, _ string) {
		t.Run("the open parts are open", func(t *testing.T) {
			for _, target := range []string{"/public/a", "/assets/app.js", "/public/a?x=/../secret"} {
				if a, h := w.reaches(send, plainGet(target)); h == nil {
					t.Errorf("%s: %s", target, a)
				}
			}
		})
		t.Run("the gated part is gated, and opens", func(t *testing.T) {
			if fault := denied(w.reaches(send, plainGet("/secret"))); fault != "" {
				t.Error(fault)
			}
			if a, h := w.reaches(send, plainGet("/secret").cookie(w.session)); h == nil {
				t.Error(a)
			}
			if fault := denied(w.reaches(send, plainGet("/strict/x").cookie(w.session))); fault != "" {
				t.Error(fault)
			}
		})
		for _, c := range paths {
			t.Run(c.name, func(t *testing.T) {
				for _, target := range c.targets {
					w.judge(t, send, target)
				}
			})
		}
	})
}

// judge sends the target with and without a session and complains where it was
// judged by a weaker rule than its strictest reading has.
func (w *target) judge(t testing.TB, send func(message) answer, target string) {
	t.Helper()
	need := strictestReading(target)
	if a, h := w.reaches(send, plainGet(target)); h != nil && need > open {
		t.Errorf("%q: reached the app without a session as %q (%d)", target, h.Request.RequestURI, a.status)
	} else if fault := denied(a, h); h == nil && fault != "" {
		t.Errorf("%q without a session: %s", target, fault)
	}
	if a, h := w.reaches(send, plainGet(target).cookie(w.session)); h != nil && need > gated {
		t.Errorf("%q: reached the app with a weak session as %q (%d)", target, h.Request.RequestURI, a.status)
	} else if fault := denied(a, h); h == nil && fault != "" {
		// What is not there below /.mfa is said to be so.
		t.Errorf("%q with a weak session: %s", target, fault)
	}
}

// FuzzHostilePaths is the differential oracle of security.md 4.2 over the wire:
// no target reaches the app by a weaker rule than the strictest reading of it.
func FuzzHostilePaths(f *testing.F) {
	for _, c := range paths {
		for _, target := range c.targets {
			f.Add(target)
		}
	}
	w := attackFuzz(f)
	f.Fuzz(func(t *testing.T, target string) {
		if !strings.HasPrefix(target, "/") || strings.ContainsAny(target, " \r\n") || len(target) > 2000 {
			return
		}
		w.judge(t, w.h1, target)
		w.App.Forget()
	})
}

// attackFuzz is attack for a fuzz target, which has no *testing.T.
func attackFuzz(f *testing.F) *target {
	f.Helper()
	g := start(f, hostileSite)
	w := &target{gateway: g, wire: g.secureWire()}
	w.browser = g.from(g.secureClient(f, "app", true), network())
	w.alice = w.browser.signUp("alice")
	w.session = w.browser.line()
	return w
}

// AC-080: the host comes from the effective authority only, "*" is answered by
// us, what is malformed is refused.
func TestHostile_request_targets_AC080(t *testing.T) {
	w := attack(t)
	other := fmt.Sprintf("other.test:%d", w.TLSPort)
	t.Run("HTTP/1.1", func(t *testing.T) {
		for _, c := range []struct {
			name string
			m    message
		}{
			{"whole address of another host", message{method: "GET", target: "http://" + other + "/secret"}},
			{"whole address with credentials", message{method: "GET", target: "https://alice:x@" + w.host + "/secret"}},
			{"no slash", message{method: "GET", target: "secret"}},
			{"nothing", message{method: "GET", target: ""}},
			{"a star for GET", message{method: "GET", target: "*"}},
			{"two hosts", plainGet("/secret").with([2]string{"Host", other})},
			{"no host", message{method: "GET", target: "/secret", host: "-"}},
			{"host with a path", message{method: "GET", target: "/secret", host: w.host + "/x"}},
			{"host with a blank", message{method: "GET", target: "/secret", host: w.host + " " + other}},
			{"host with a list", message{method: "GET", target: "/secret", host: w.host + ", " + other}},
			{"host with credentials", message{method: "GET", target: "/secret", host: "a@" + w.host}},
			{"30 kB", plainGet("/" + strings.Repeat("a", 30<<10))},
		} {
			t.Run("AC-080 "+c.name, func(t *testing.T) {
				if a, h := w.reaches(w.h1, c.m); h != nil {
					t.Errorf("%s reached the app as %q", a, h.Request.RequestURI)
				}
			})
		}
		t.Run("AC-080 a session is good for its own host alone", func(t *testing.T) {
			a, h := w.reaches(w.h1, message{method: "GET", target: "http://" + other + "/secret"}.cookie(w.session))
			if h != nil {
				t.Errorf("%s reached the app as %q", a, h.Request.RequestURI)
			}
		})
		t.Run("AC-080 two slashes are a path", func(t *testing.T) {
			a, h := w.reaches(w.h1, plainGet("//evil.test/x"))
			if h != nil || strings.Contains(a.header.Get("Location"), "evil") {
				t.Errorf("%s", a)
			}
		})
		t.Run("AC-080 a star is answered by us", func(t *testing.T) {
			a, h := w.reaches(w.h1, message{method: "OPTIONS", target: "*"})
			if h != nil || a.err == nil && a.status >= 500 {
				t.Errorf("%s reached the app: %v", a, h != nil)
			}
		})
	})
	t.Run("HTTP/2", func(t *testing.T) {
		for name, fields := range map[string][][2]string{
			"path without a slash":      {{":method", "GET"}, {":scheme", "https"}, {":authority", w.host}, {":path", "secret"}},
			"empty path":                {{":method", "GET"}, {":scheme", "https"}, {":authority", w.host}, {":path", ""}},
			"no path":                   {{":method", "GET"}, {":scheme", "https"}, {":authority", w.host}},
			"two paths":                 {{":method", "GET"}, {":scheme", "https"}, {":authority", w.host}, {":path", "/public/a"}, {":path", "/secret"}},
			"path with a fragment":      {{":method", "GET"}, {":scheme", "https"}, {":authority", w.host}, {":path", "/secret#/public/a"}},
			"whole address as path":     {{":method", "GET"}, {":scheme", "https"}, {":authority", w.host}, {":path", "https://" + w.host + "/secret"}},
			"host differs":              {{":method", "GET"}, {":scheme", "https"}, {":authority", w.host}, {":path", "/secret"}, {"host", other}},
			"only a host of others":     {{":method", "GET"}, {":scheme", "https"}, {":path", "/secret"}, {"host", other}},
			"authority of others":       {{":method", "GET"}, {":scheme", "https"}, {":authority", other}, {":path", "/secret"}, {"host", w.host}},
			"authority with a path":     {{":method", "GET"}, {":scheme", "https"}, {":authority", w.host + "/x"}, {":path", "/secret"}},
			"credentials":               {{":method", "GET"}, {":scheme", "https"}, {":authority", "a@" + w.host}, {":path", "/secret"}},
			"unknown pseudo header":     {{":method", "GET"}, {":scheme", "https"}, {":authority", w.host}, {":path", "/secret"}, {":remote-user", "evil"}},
			"pseudo header after":       {{":method", "GET"}, {":scheme", "https"}, {"a", "b"}, {":authority", w.host}, {":path", "/secret"}},
			"star":                      {{":method", "OPTIONS"}, {":scheme", "https"}, {":authority", w.host}, {":path", "*"}},
			"upper case in a name":      {{":method", "GET"}, {":scheme", "https"}, {":authority", w.host}, {":path", "/secret"}, {"Remote-User", "evil"}},
			"another scheme":            {{":method", "GET"}, {":scheme", "http"}, {":authority", w.host}, {":path", "/secret"}},
			"line end in the path":      {{":method", "GET"}, {":scheme", "https"}, {":authority", w.host}, {":path", "/public/a\r\nX: y"}},
			"blank in the path":         {{":method", "GET"}, {":scheme", "https"}, {":authority", w.host}, {":path", "/secret HTTP/1.1"}},
			"line end in the authority": {{":method", "GET"}, {":scheme", "https"}, {":authority", w.host + "\r\nX: y"}, {":path", "/public/a"}},
		} {
			t.Run("AC-080 "+name, func(t *testing.T) {
				before := w.App.Count()
				a := w.frames(fields, "", nil)
				if w.App.Count() != before {
					h := w.App.last()
					t.Errorf("%s reached the app as %q", a, h.Raw)
				}
				if a.err == nil && a.status >= 500 {
					t.Errorf("%s", a)
				}
			})
		}
	})
}

// AC-084: CONNECT and TRACE are refused everywhere, other methods are protected,
// and no header changes a method.
func TestHostile_methods_AC084(t *testing.T) {
	w := attack(t)
	w.each(t, func(t *testing.T, send func(message) answer, protocol string) {
		for _, method := range []string{"TRACE", "TRACK"} {
			for _, path := range []string{"/secret", "/public/a", "/.mfa/sign-in"} {
				t.Run("AC-084 "+method+" "+path, func(t *testing.T) {
					a, h := w.reaches(send, message{method: method, target: path}.cookie(w.session))
					if h != nil || a.status != http.StatusMethodNotAllowed && a.status != http.StatusNotImplemented && a.err == nil {
						t.Errorf("%s reached the app: %v", a, h != nil)
					}
				})
			}
		}
		if protocol == "h1" {
			for _, target := range []string{w.host, "/secret", "other.test:443", "http://" + w.host + "/secret"} {
				t.Run("AC-084 CONNECT "+target, func(t *testing.T) {
					a, h := w.reaches(send, message{method: "CONNECT", target: target}.cookie(w.session))
					// A host that is not ours gets Caddy's empty answer; nobody dials it.
					ours := strings.HasPrefix(target, "/") || target == w.host
					if h != nil || ours && a.err == nil && a.status != http.StatusMethodNotAllowed {
						t.Errorf("%s reached the app: %v", a, h != nil)
					}
				})
			}
		} else {
			t.Run("AC-084 CONNECT", func(t *testing.T) {
				before := w.App.Count()
				a := w.frames([][2]string{{":method", "CONNECT"}, {":authority", w.host}}, "", nil)
				if w.App.Count() != before || a.err == nil && a.status/100 == 2 {
					t.Errorf("%s", a)
				}
			})
		}
		for _, method := range []string{"get", "PRI", "PROPFIND", "PURGE", strings.Repeat("M", 33), "OPTIONS", "DELETE", "HEAD"} {
			t.Run("AC-084 "+method+" is protected", func(t *testing.T) {
				if a, h := w.reaches(send, message{method: method, target: "/secret"}); h != nil || a.err == nil && a.status/100 == 2 {
					t.Errorf("%s reached the app: %v", a, h != nil)
				}
			})
		}
		for _, header := range []string{"X-HTTP-Method-Override", "X-HTTP-Method", "X-Method-Override"} {
			t.Run("AC-084 "+header, func(t *testing.T) {
				a, h := w.reaches(send, message{method: "POST", target: "/.mfa/sign-out", header: [][2]string{{header, "GET"}}, body: "x=y"}.cookie(w.session))
				if h != nil || a.status == http.StatusOK {
					t.Errorf("%s", a)
				}
				a, h = w.reaches(send, message{method: "GET", target: "/.mfa/sign-out", header: [][2]string{{header, "POST"}}}.cookie(w.session))
				if h != nil || a.status != http.StatusOK {
					t.Errorf("%s", a)
				}
			})
		}
	})
}
