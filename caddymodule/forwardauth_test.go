package caddymodule

import (
	"bufio"
	"context"
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/caddyserver/caddy/v2"

	"github.com/secondgate/secondgate/mfa"
)

// portalText is a Caddyfile with an app inline, and with the same app and the same rules
// behind other proxies, which ask at the address that is returned.
func (g *gateway) portalText(rules, portal string) (text, at string) {
	port := freePort(g.t)
	text = g.text("require on", rules+"\n\trespond ok") +
		"\nhttp://auth.localhost:" + g.port + ", http://:" + port + " {\n\t" + matchersOf(rules) + "\n\tmfa_portal {\n\t\t" + portal +
		"\n\t\tprotect localhost *.apps.localhost {\n" + linesOf(rules) + "\n\t\t}\n\t}\n}\n"
	return text, "127.0.0.1:" + port
}

func matchersOf(rules string) string {
	var b strings.Builder
	for line := range strings.Lines(rules) {
		if strings.HasPrefix(strings.TrimSpace(line), "@") {
			b.WriteString(line)
		}
	}
	return b.String()
}

func linesOf(rules string) string {
	var b strings.Builder
	for line := range strings.Lines(rules) {
		if !strings.HasPrefix(strings.TrimSpace(line), "@") {
			b.WriteString(line)
		}
	}
	return b.String()
}

const everyRule = `@js path_regexp ^/assets/[a-z]+\.js$
	@post method POST
	mfa /public/* {
		bypass
	}
	mfa @js {
		bypass
	}
	mfa /strict/* {
		phishing_resistant
	}
	mfa /api {
		fresh 5m
	}
	mfa @post {
		fresh 5m
	}
	mfa`

// asProxy sends a proxy's question as it is written and returns the status and the answer.
func asProxy(t *testing.T, at, target, host string, cookie *http.Cookie, header ...string) (int, http.Header) {
	t.Helper()
	c, err := net.Dial("tcp", at)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	_ = c.SetDeadline(time.Now().Add(10 * time.Second))
	head := "GET " + target + " HTTP/1.1\r\nHost: " + host + "\r\nConnection: close\r\n"
	for i := 0; i+1 < len(header); i += 2 {
		head += header[i] + ": " + header[i+1] + "\r\n"
	}
	if cookie != nil {
		head += "Cookie: " + cookie.String() + "\r\n"
	}
	if _, err := io.WriteString(c, head+"\r\n"); err != nil {
		t.Fatal(err)
	}
	resp, err := http.ReadResponse(bufio.NewReader(c), nil)
	if err != nil {
		return 0, nil
	}
	defer resp.Body.Close()
	return resp.StatusCode, resp.Header
}

// question returns how a dialect asks about a GET.
func (g *gateway) question(dialect, path string) (target, host string, header []string) {
	switch dialect {
	case "nginx":
		return "/.mfa/auth/nginx", "auth.localhost:" + g.port, []string{"X-Original-URL", "http://" + g.host + path, "X-Original-Method", "GET"}
	case "envoy":
		return "/.mfa/auth/envoy" + path, g.host, []string{"X-Forwarded-Proto", "http"}
	}
	return "/.mfa/auth/" + dialect, "auth.localhost:" + g.port,
		[]string{"X-Forwarded-Method", "GET", "X-Forwarded-Proto", "http", "X-Forwarded-Host", g.host, "X-Forwarded-Uri", path}
}

var proxies = []string{"nginx", "traefik", "caddy", "haproxy", "envoy"}

// Whatever a path is written like: what another proxy is allowed, somebody who comes to us
// without one is allowed as well, and the other way round (AC-059, AC-061, AC-072 to
// AC-080).
func TestForwardAuth_judges_as_inline_AC072_AC073_AC075_AC077_AC079_AC080(t *testing.T) {
	g := newGateway(t)
	text, at := g.portalText(everyRule, "peers 127.0.0.1")
	g.mustLoad(text)
	alice := g.signIn("alice", 10*time.Minute)
	allowed := 0
	for _, path := range []string{
		"/", "/x", "/public/x", "/public/", "/public", "/public/x?y", "/assets/a.js", "/assets/a.jsx", "/assets/A.js", "/strict/x", "/strict", "/strict/", "/api", "/api/", "/apix",
		"/api-secret", "/api%2fx", "/ap", "/publicx", "/PUBLIC/x", "/public%2fx", "/%70ublic/x", "/STRICT/x", "/%73trict/x",
		// AC-072
		"/public/../secret", "/public/./../secret", "/public/%2e%2e/secret", "/public/..%2fsecret", "/public%2f..%2fsecret", "/public/..;/secret", "/public/..%5csecret",
		"/public/..%c0%afsecret", "/public/%2e%2e%2f", "//public/../secret", "/public//..//secret", "/public/..", "/public/.", "//public/x", "/x/../public/a",
		// AC-073
		"/public/%252e%252e/secret", "/%2573ecret", "/public%252f..", "/public/%25%32e",
		// AC-061, AC-075, AC-076
		"/secret?/public/", "/secret?x=/assets/a.js", "/secret#/public/a", "/secret%23/public/a", "/public/%23/../secret", "/public/%23x", "/public/a%3fb", "/strict%23/x", "/secret;x=/public/",
		// AC-077
		"/strict;x", "/strict%00", "/strict%20", "/strict.", "/strict/.", "/strict%09", "/strict\\", "/strict%5c", "/strict::$DATA", "/strict%ff", "/strict/x;y", "/public/a;b", "/public/a%00",
		// AC-059, AC-080
		"/%zz", "//%", "*", "//evil.test/x", "/" + strings.Repeat("x", 5000), "/\\evil.test", "/\xff", "/public/\xff",
	} {
		open := g.rawGet(path, nil) == 200 // a bypass
		for who, cookie := range map[string]*http.Cookie{"a stranger": nil, "alice": alice} {
			inline := g.rawGet(path, cookie)
			for _, dialect := range proxies {
				if path == "*" && (dialect == "nginx" || dialect == "envoy") {
					continue // would be another word
				}
				target, host, header := g.question(dialect, path)
				header = append(header, "Accept", "text/html", "X-Forwarded-For", "127.0.0.1")
				status, answer := asProxy(t, at, target, host, cookie, header...)
				if status == 200 {
					allowed++
				}
				if status == 200 && inline != 200 {
					t.Errorf("%s, %q by %s: 200, but %d without a proxy", dialect, path, who, inline)
				}
				// A path that is no UTF-8 is refused here, and judged there.
				if status != 200 && inline == 200 && !strings.Contains(path, "\xff") {
					t.Errorf("%s, %q by %s: %d, but 200 without a proxy", dialect, path, who, status)
				}
				if dialect == "nginx" && !slices.Contains([]int{200, 401, 403}, status) {
					t.Errorf("nginx, %q: %d", path, status)
				}
				user := answer["Remote-User"]
				if want := []string{"alice"}; status == 200 && slices.Equal(user, want) != !open {
					t.Errorf("%s, %q by %s: Remote-User %q", dialect, path, who, user)
				}
				if _, ok := answer["Remote-User"]; ok && status != 200 {
					t.Errorf("%s, %q: identity in a refusal", dialect, path)
				}
			}
		}
	}
	if allowed < 60 {
		t.Errorf("only %d were allowed: the test does not look at what it should", allowed)
	}
}

// allowedSoFar is how many decisions have let somebody through.
func allowedSoFar() (n uint64) {
	for i := range counted.decisions.allowed {
		n += counted.decisions.allowed[i].n.Load()
	}
	return n
}

// The method that matchers see is the one of the request that the proxy holds.
func TestForwardAuth_matches_what_is_held(t *testing.T) {
	g := newGateway(t)
	text, at := g.portalText(everyRule, "peers 127.0.0.1")
	g.mustLoad(text)
	alice := g.signIn("alice", 10*time.Minute)
	for method, want := range map[string]int{"GET": 200, "HEAD": 200, "PUT": 200, "POST": 401} {
		status, _ := asProxy(t, at, "/.mfa/auth/traefik", "auth.localhost", alice,
			"X-Forwarded-Method", method, "X-Forwarded-Proto", "http", "X-Forwarded-Host", g.host, "X-Forwarded-Uri", "/x")
		if status != want {
			t.Errorf("%s: %d, want %d", method, status, want)
		}
	}
}

// Who may ask, and what stands at the address where they do: no page of the portal, no
// app, and nothing at all under a name that nobody has written (AC-057, AC-064, AC-216).
func TestForwardAuth_address_AC057_AC064_AC216(t *testing.T) {
	g := newGateway(t)
	text, at := g.portalText("mfa", "")
	logs := filepath.Join(t.TempDir(), "access.log")
	g.mustLoad(strings.Replace(text, "\tmfa_portal {", "\tlog {\n\t\toutput file "+logs+"\n\t}\n\tmfa_portal {", 1))
	alice := g.signIn("alice", time.Minute)
	target, host, header := g.question("caddy", "/x")
	before := allowedSoFar()
	status, answer := asProxy(t, at, target, host, alice, header...)
	if status != 200 || answer.Get("Remote-User") != "alice" || answer["Mfa-Assertion"] == nil {
		t.Fatalf("this machine may ask by default: %d %v", status, answer)
	}
	if after := allowedSoFar(); after != before+1 {
		t.Errorf("%d decisions were counted", after-before)
	}
	if raw, err := os.ReadFile(logs); err != nil || !strings.Contains(string(raw), `"user_id":"alice"`) {
		t.Errorf("the access log does not know her: %v %s", err, raw)
	}
	for _, c := range []struct {
		host, path string
		want       int
	}{
		{"evil.localhost", "/", 421}, {"evil.localhost", "/.mfa/sign-in", 421}, {"evil.localhost", "/.mfa/admin", 421}, {"192.0.2.1", "/", 421},
		{"localhost", "/", 404}, {"localhost", "/x", 404}, {"localhost", "/.mfa/admin", 404}, {"a.apps.localhost:8080", "/metrics", 404},
		{"evil.localhost", "/.mfa/health", 200}, {"localhost", "/.mfa/auth/", 404}, {"localhost", "/.mfa/auth/nobody", 404},
		{"evil.localhost", "/.mfa/auth/caddy", 400}, {"evil.localhost", "/.mfa/auth/nginx", 403},
	} {
		if status, _ := asProxy(t, at, c.path, c.host, alice, "User-Agent", "kube-probe/1.27"); status != c.want {
			t.Errorf("%s%s: %d, want %d", c.host, c.path, status, c.want)
		}
	}
	// Our pages for a protected host, which its proxy hands on.
	if status, answer := asProxy(t, at, "/.mfa/session.js", "localhost", nil); status != 404 || answer.Get("Content-Type") == "text/plain; charset=utf-8" {
		t.Errorf("a page of ours at a protected host: %d %v", status, answer)
	}

	text, at = g.portalText("mfa", "peers 192.0.2.1")
	g.mustLoad(text)
	for _, dialect := range proxies {
		target, host, header := g.question(dialect, "/x")
		if status, answer := asProxy(t, at, target, host, alice, header...); status != 403 || answer["Remote-User"] != nil {
			t.Errorf("AC-057 %s: %d %v", dialect, status, answer)
		}
	}
	store := g.generation().pooled.store
	for range 100 {
		list, _, err := store.store.Events(t.Context(), mfa.EventQuery{}, "", 100)
		if err == nil && slices.ContainsFunc(list, func(e mfa.Event) bool { return e.Name == mfa.EventForwardAuth && e.Reason == "peer" }) {
			return
		}
		time.Sleep(20 * time.Millisecond)
	}
	t.Error("AC-057: nothing in the record")
}

// Who asks why somebody is stopped at a host behind another proxy hears of the rules there.
func TestForwardAuth_explained(t *testing.T) {
	g := newGateway(t)
	text, _ := g.portalText(everyRule, "peers 127.0.0.1")
	g.mustLoad(text)
	running, err := caddy.ActiveContext().AppIfConfigured("mfa")
	if err != nil {
		t.Fatal(err)
	}
	a := running.(*App)
	for address, want := range map[string][]string{
		"https://one.apps.localhost/x": {"mfa"}, "https://one.apps.localhost/strict/x": {"mfa /strict/*", "mfa"}, "https://ONE.apps.localhost:8443/public/x": {"mfa /public/*", "mfa"},
	} {
		q, err := a.gatesAt(g.generation().guard, address)
		if err != nil {
			t.Errorf("%s: %v", address, err)
			continue
		}
		var names []string
		for _, gate := range q.Gates {
			name, where, _ := strings.Cut(gate.Name, " (")
			names = append(names, name)
			if !strings.Contains(where, "protect") {
				t.Errorf("%s: %s", address, gate.Name)
			}
		}
		if len(names) != len(want) || !strings.HasPrefix(names[0], want[0]) {
			t.Errorf("%s: %q, want %q", address, names, want)
		}
	}
	if _, err := a.gatesAt(g.generation().guard, "https://one.two.apps.localhost/"); err == nil {
		t.Error("a host that nobody protects is explained")
	}
}

// Over a Unix socket only those may ask whom the configuration means.
func TestForwardAuth_unix(t *testing.T) {
	g := newGateway(t)
	for peers, want := range map[string]int{"peers unix": 200, "peers 127.0.0.1": 403} {
		socket := filepath.Join(t.TempDir(), "ask.sock")
		text, at := g.portalText("mfa", peers)
		_, port, _ := net.SplitHostPort(at)
		text = strings.Replace(text, "mfa_portal {", "bind unix/"+socket+"\n\tmfa_portal {", 1)
		text = strings.Replace(text, "http://auth.localhost:"+g.port+", http://:"+port, "http://auth.localhost", 1)
		g.mustLoad(text)
		alice := g.signIn("alice", time.Minute)
		c := &http.Client{Transport: &http.Transport{DialContext: func(context.Context, string, string) (net.Conn, error) { return net.Dial("unix", socket) }}}
		r, err := http.NewRequest("GET", "http://auth.localhost/.mfa/auth/caddy", nil)
		if err != nil {
			t.Fatal(err)
		}
		_, _, header := g.question("caddy", "/x")
		for i := 0; i+1 < len(header); i += 2 {
			r.Header.Set(header[i], header[i+1])
		}
		r.AddCookie(alice)
		resp, err := c.Do(r)
		if err != nil {
			t.Fatal(err)
		}
		resp.Body.Close()
		if resp.StatusCode != want {
			t.Errorf("%s: %d, want %d", peers, resp.StatusCode, want)
		}
	}
}

// Nothing that a portal protects is decided by two configurations, and none of it opens
// more than its writer can mean.
func TestForwardAuth_refused(t *testing.T) {
	g := newGateway(t)
	portal := func(inner string) string { return "\tmfa_portal {\n" + inner + "\n\t}\n" }
	for _, c := range []struct{ name, text, want string }{
		{"two of them", "http://auth.localhost:PORT {\n" + portal("protect a.test") + "}\nhttp://:PORT2 {\n" + portal("protect b.test") + "}", "other peers"},
		{"open expression", "http://auth.localhost:PORT {\n\t@x path_regexp public\n" + portal("protect a.test {\nmfa @x {\nbypass\n}\n}") + "}", "may begin anywhere"},
		{"open by not", "http://auth.localhost:PORT {\n\t@x not path /secret\n" + portal("protect a.test {\nmfa @x {\nbypass\n}\n}") + "}", "opens every path"},
		{"no name, nothing protected", "http://:PORT {\n\tmfa_portal\n}", "without a name"},
	} {
		text := strings.NewReplacer("PORT2", freePort(t), "PORT", g.port).Replace("{\n\tadmin off\n\tpersist_config off\n\tmfa {\n\t\tstore badger " + g.store + "\n\t}\n}\n" + c.text + "\n")
		if err := g.load(text); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: %v", c.name, err)
		}
		_ = caddy.Stop()
	}
}
