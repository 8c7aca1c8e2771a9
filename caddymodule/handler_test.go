package caddymodule

import (
	"context"
	"errors"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/caddyserver/caddy/v2/modules/caddyhttp"

	"github.com/secondgate/secondgate/pages"
)

// site is a site with one part that asks for more, one that asks for nothing,
// and the rest.
func site(a *app) string {
	return `mfa
	mfa /strict/* {
		fresh 5m
	}
	mfa /strict {
		fresh 5m
	}
	mfa /public/* {
		bypass
	}
	reverse_proxy ` + strings.TrimPrefix(a.URL, "http://")
}

func TestHandler_ProtectsAndLetsThrough(t *testing.T) {
	a, g := newApp(t), newGateway(t)
	g.mustLoad(g.text("require on", site(a)))

	t.Run("a stranger is sent to sign in and the app hears nothing", func(t *testing.T) {
		before := a.hits.Load()
		resp, _ := g.get("/secret?x=1", nil)
		if resp.StatusCode != http.StatusFound || resp.Header.Get("Location") != "/.mfa/sign-in?rd=%2Fsecret%3Fx%3D1" {
			t.Errorf("got %d to %q", resp.StatusCode, resp.Header.Get("Location"))
		}
		if a.hits.Load() != before {
			t.Error("the request reached the app")
		}
	})
	t.Run("a program gets 401", func(t *testing.T) {
		resp, _ := g.get("/api", nil, "Accept", "application/json", "Sec-Fetch-Mode", "cors", "Sec-Fetch-Dest", "empty")
		if resp.StatusCode != http.StatusUnauthorized {
			t.Errorf("got %d", resp.StatusCode)
		}
	})
	t.Run("who signed in reaches the app, which is told who it is", func(t *testing.T) {
		cookie := g.signIn("alice", time.Minute)
		resp, body := g.get("/secret", cookie, "Remote-User", "evil", "X-Test", "kept")
		if resp.StatusCode != http.StatusOK || body != "the app" {
			t.Fatalf("got %d %q", resp.StatusCode, body)
		}
		h := a.seen().Header
		if h.Get("Remote-User") != "alice" || h.Get("Remote-Name") != "The alice" || h.Get("Remote-Groups") != "staff" {
			t.Errorf("the app was told %v", h)
		}
		if h.Get("X-Test") != "kept" {
			t.Error("a header that is none of ours was lost")
		}
		if strings.Contains(h.Get("Cookie"), cookie.Value) {
			t.Error("the app received our cookie (AC-017)")
		}
	})
	t.Run("the strict part asks again for a proof that is too old", func(t *testing.T) {
		old, young := g.signIn("alice", time.Hour), g.signIn("alice", time.Minute)
		if resp, _ := g.get("/strict/a", old); resp.StatusCode != http.StatusFound || !strings.HasPrefix(resp.Header.Get("Location"), "/.mfa/verify") {
			t.Errorf("old proof: got %d to %q", resp.StatusCode, resp.Header.Get("Location"))
		}
		if resp, _ := g.get("/strict/a", young); resp.StatusCode != http.StatusOK {
			t.Errorf("young proof: got %d", resp.StatusCode)
		}
		if resp, _ := g.get("/other", old); resp.StatusCode != http.StatusOK {
			t.Errorf("old proof elsewhere: got %d", resp.StatusCode)
		}
	})
	t.Run("AC-043 the open part carries no identity", func(t *testing.T) {
		resp, _ := g.get("/public/a", nil, "Remote-User", "evil", "Remote-Groups", "admins", "Mfa-Assertion", "x")
		if resp.StatusCode != http.StatusOK {
			t.Fatalf("got %d", resp.StatusCode)
		}
		for _, name := range []string{"Remote-User", "Remote-Groups", "Mfa-Assertion"} {
			if v := a.seen().Header.Get(name); v != "" {
				t.Errorf("%s reached the app as %q", name, v)
			}
		}
	})
	t.Run("AC-047 a client cannot have our headers removed on the way", func(t *testing.T) {
		cookie := g.signIn("alice", time.Minute)
		code := g.raw("GET /secret HTTP/1.1\r\nHost: " + g.host + "\r\nConnection: close, Remote-User\r\nConnection: rEmote-gRoups\r\nCookie: " + cookie.String() + "\r\n\r\n")
		if code != http.StatusOK {
			t.Fatalf("got %d", code)
		}
		if h := a.seen().Header; h.Get("Remote-User") != "alice" || h.Get("Remote-Groups") != "staff" {
			t.Errorf("the app was told %v", h)
		}
	})
	t.Run("AC-049 trailers bring nothing in", func(t *testing.T) {
		for _, path := range []string{"/secret", "/public/a"} {
			code := g.raw("POST " + path + " HTTP/1.1\r\nHost: " + g.host + "\r\nConnection: close\r\nTransfer-Encoding: chunked\r\nTrailer: X-Any, Remote-User\r\nCookie: " +
				g.signIn("alice", time.Minute).String() + "\r\n\r\n1\r\na\r\n0\r\nX-Any: 1\r\nRemote-User: evil\r\nRemote_User: evil\r\nCookie: a=b\r\n\r\n")
			if code != http.StatusOK {
				t.Fatalf("%s: got %d", path, code)
			}
			for name := range a.seen().Trailer {
				t.Errorf("%s: the trailer %s reached the app", path, name)
			}
		}
	})
}

// What an app could resolve to a protected path is never judged by a weaker rule
// than that path's own.
func TestHandler_AmbiguousPathsMeetTheStrictest(t *testing.T) {
	a, g := newApp(t), newGateway(t)
	g.mustLoad(g.text("require on", site(a)))

	t.Run("AC-072 AC-073 no way from the open part to the rest", func(t *testing.T) {
		for _, path := range []string{
			"/public/../secret", "/public/./../secret", "/public/%2e%2e/secret", "/public/..%2fsecret",
			"/public%2f..%2fsecret", "/public/..;/secret", "/public/..%5csecret", "/public/..%c0%afsecret",
			"/public/%2e%2e%2f", "//public/../secret", "/public//..//secret", "/public/..%255csecret",
			"/public/%252e%252e/secret", "/%2573ecret", "/public%252f..", "/public/%23/../secret", "/public/a;b",
			"//public/a", "/public/a%00", "/public/a%2fb", `/public/..\secret`, "/public/a//b", "/secret?/public/", "/secret%23/public/",
		} {
			before := a.hits.Load()
			code := g.rawGet(path, nil)
			if code == http.StatusOK || a.hits.Load() != before {
				t.Errorf("%s: got %d, and the app was asked %d times", path, code, a.hits.Load()-before)
			}
		}
	})
	t.Run("AC-077 no spelling of the strict part meets less", func(t *testing.T) {
		old := g.signIn("alice", time.Hour)
		for _, path := range []string{
			"/strict;x", "/strict%00", `/strict\`, "/strict%5c", "/strict%09", "//strict", "/strict%2fa", "/strict%252fa",
			"/x/../strict", "/x/%2e%2e/strict/a", "/strict/;/a", "/STRICT/a", "/%73trict/a", "/strict/./a", "//strict//a",
		} {
			before := a.hits.Load()
			code := g.rawGet(path, old)
			if code == http.StatusOK || a.hits.Load() != before {
				t.Errorf("%s: got %d, and the app was asked %d times", path, code, a.hits.Load()-before)
			}
		}
	})
	t.Run("AC-077 other suffixes meet the rule of the site", func(t *testing.T) {
		for _, path := range []string{"/strict%20", "/strict.", "/strict/.", "/strict::$DATA", "/strict%ff"} {
			before := a.hits.Load()
			if code := g.rawGet(path, nil); code == http.StatusOK || a.hits.Load() != before {
				t.Errorf("%s: got %d without a session", path, code)
			}
		}
	})
	t.Run("AC-079 a rule ends at a segment", func(t *testing.T) {
		for _, path := range []string{"/publicx", "/public-secret", "/pub", "/public"} {
			if code := g.rawGet(path, nil); code != http.StatusFound {
				t.Errorf("%s: got %d", path, code)
			}
		}
	})
	t.Run("AC-075 what is plain is let through", func(t *testing.T) {
		for _, path := range []string{"/public/a", "/public/a.b/c", "/public/?x=..%2f", "/public/%C3%A4"} {
			if code := g.rawGet(path, nil); code != http.StatusOK {
				t.Errorf("%s: got %d", path, code)
			}
		}
	})
}

// Two directives with a requirement each: neither replaces the other's.
func TestHandler_B4_RequirementsAddUp(t *testing.T) {
	a, g := newApp(t), newGateway(t)
	up := strings.TrimPrefix(a.URL, "http://")
	g.mustLoad(g.text("require on", `mfa {
		fresh 30m
	}
	mfa /strict/* {
		fresh 5m
	}
	mfa /strict/public/* {
		bypass
	}
	reverse_proxy `+up))
	ten, hour := g.signIn("alice", 10*time.Minute), g.signIn("alice", time.Hour)
	for _, c := range []struct {
		path   string
		cookie *http.Cookie
		want   int
	}{
		{"/a", ten, 200}, {"/a", hour, 302}, {"/strict/a", ten, 302}, {"/strict/a", hour, 302},
		// A bypass lifts what asks nothing of its own, and no more.
		{"/strict/public/a", ten, 302}, {"/strict/public/a", nil, 302},
	} {
		if resp, _ := g.get(c.path, c.cookie); resp.StatusCode != c.want {
			t.Errorf("%s: got %d, want %d", c.path, resp.StatusCode, c.want)
		}
	}
}

// A site that rewrites every path to one file still has its sign-in page, and
// people come back to where they wanted.
func TestHandler_SeesThroughRewrites(t *testing.T) {
	a, g := newApp(t), newGateway(t)
	g.mustLoad(g.text("require on", "rewrite * /index.html\n\tmfa\n\treverse_proxy "+strings.TrimPrefix(a.URL, "http://")))
	resp, _ := g.get("/deep/link?x=1", nil)
	if got := resp.Header.Get("Location"); got != "/.mfa/sign-in?rd=%2Fdeep%2Flink%3Fx%3D1" {
		t.Errorf("sent to %q", got)
	}
	if resp, body := g.get("/.mfa/sign-in", nil); resp.StatusCode != http.StatusOK || !strings.Contains(body, "password") {
		t.Errorf("the sign-in page: got %d", resp.StatusCode)
	}
	if resp, _ := g.get("/deep/link", g.signIn("alice", 0)); resp.StatusCode != http.StatusOK || a.seen().URL.Path != "/index.html" {
		t.Errorf("got %d", resp.StatusCode)
	}
}

// The name stands where Caddy's own authentication leaves it.
func TestHandler_SetsTheUserPlaceholder(t *testing.T) {
	g := newGateway(t)
	g.mustLoad(g.text("require on", `mfa
	respond "hello {http.auth.user.id}"`))
	if _, body := g.get("/", g.signIn("alice", 0)); body != "hello alice" {
		t.Errorf("got %q", body)
	}
}

// X-Forwarded-Proto is believed from a configured proxy and from nobody else
// (AC-051): otherwise anyone could have the gate set cookies over plain http.
func TestHandler_BelievesOnlyConfiguredProxies(t *testing.T) {
	for _, c := range []struct {
		name, servers, options, proto string
		want                          int
	}{
		{"plain http beyond localhost is refused", "", "", "", http.StatusForbidden},
		{"anybody says https", "", "", "https", http.StatusForbidden},
		{"a configured proxy says https", "trusted_proxies static 127.0.0.1/32", "", "https", http.StatusFound},
		{"a configured proxy says http", "trusted_proxies static 127.0.0.1/32", "", "http", http.StatusForbidden},
		{"another proxy says https", "trusted_proxies static 192.0.2.1/32", "", "https", http.StatusForbidden},
		{"the origin is configured", "", "origin https://app.example.com", "", http.StatusFound},
		{"insecure_http", "", "insecure_http", "", http.StatusFound},
	} {
		t.Run(c.name, func(t *testing.T) {
			g := newGateway(t)
			text := g.text(c.options, "")
			text = strings.Replace(text, "\n\tmfa {", "\n\tservers {\n\t\t"+c.servers+"\n\t}\n\tmfa {", 1)
			text = strings.Replace(text, "http://localhost:"+g.port+" {", "http://app.example.com:"+g.port+" {\n\tmfa\n\trespond ok\n", 1)
			g.mustLoad(text)
			head := "GET / HTTP/1.1\r\nHost: app.example.com:" + g.port + "\r\nAccept: text/html\r\nConnection: close\r\n"
			if c.options != "" && strings.HasPrefix(c.options, "origin") {
				head = strings.Replace(head, "app.example.com:"+g.port, "app.example.com", 1)
			}
			if c.proto != "" {
				head += "X-Forwarded-Proto: " + c.proto + "\r\n"
			}
			if code := g.raw(head + "\r\n"); code != c.want {
				t.Errorf("got %d, want %d", code, c.want)
			}
		})
	}
}

// Whoever would be sent to a sign-in page that is not there is told at the start.
func TestApp_RefusesShutOutPages(t *testing.T) {
	for _, c := range []struct {
		name, site string
		ok         bool
	}{
		{"a handle that shuts the pages out", "handle /admin/* {\n\t\tmfa\n\t\trespond ok\n\t}", false},
		{"a route that shuts the pages out", "@admin path /admin/*\n\troute @admin {\n\t\tmfa\n\t\trespond ok\n\t}", false},
		{"handle_path", "handle_path /admin/* {\n\t\tmfa\n\t\trespond ok\n\t}", false},
		{"a pattern", "@a path_regexp ^/admin\n\thandle @a {\n\t\tmfa\n\t\trespond ok\n\t}", false},
		{"the rest of a site", "handle /public/* {\n\t\trespond ok\n\t}\n\thandle {\n\t\tmfa\n\t\trespond ok\n\t}", true},
		{"a part and the rest", "handle /admin/* {\n\t\tmfa {\n\t\t\tfresh 5m\n\t\t}\n\t\trespond ok\n\t}\n\thandle {\n\t\tmfa\n\t\trespond ok\n\t}", true},
		{"a method", "@post method POST\n\tmfa @post\n\trespond ok", true},
		{"beside", "mfa /admin/*\n\trespond ok", true},
	} {
		t.Run(c.name, func(t *testing.T) {
			g := newGateway(t)
			err := g.load(g.text("require on", c.site))
			if c.ok != (err == nil) || err != nil && !errors.Is(err, errShutOut) && !strings.Contains(err.Error(), errShutOut.Error()) {
				t.Errorf("got %v", err)
			}
		})
	}
}

// Requests come before the store is open: apps start in no fixed order.
func TestHandler_WaitsForTheStore(t *testing.T) {
	closed, err := pages.NewClosed(pages.Brand{})
	if err != nil {
		t.Fatal(err)
	}
	h := &Handler{app: &App{ready: make(chan struct{}), closed: closed}}
	next := caddyhttp.HandlerFunc(func(http.ResponseWriter, *http.Request) error {
		t.Error("the request went on")
		return nil
	})
	w := httptest.NewRecorder()
	start := time.Now()
	if err := h.ServeHTTP(w, httptest.NewRequest(http.MethodGet, "/", nil), next); err != nil {
		t.Fatal(err)
	}
	if w.Code != http.StatusServiceUnavailable || w.Header().Get("Retry-After") == "" {
		t.Errorf("got %d, Retry-After %q", w.Code, w.Header().Get("Retry-After"))
	}
	if csp := w.Header().Get("Content-Security-Policy"); !strings.Contains(csp, "frame-ancestors 'none'") || w.Header().Get("Cache-Control") != "no-store" {
		t.Errorf("AC-127, AC-132: %v", w.Header())
	}
	if took := time.Since(start); took < readyWait || took > 2*readyWait {
		t.Errorf("it took %s", took)
	}

	t.Run("and not for a browser that went away", func(t *testing.T) {
		ctx, cancel := context.WithCancel(t.Context())
		cancel()
		start := time.Now()
		_ = h.ServeHTTP(httptest.NewRecorder(), httptest.NewRequest(http.MethodGet, "/", nil).WithContext(ctx), next)
		if took := time.Since(start); took > time.Second {
			t.Errorf("it took %s", took)
		}
	})
}
