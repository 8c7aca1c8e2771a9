package e2e

import (
	"bufio"
	"fmt"
	"html"
	"io"
	"net"
	"net/http"
	"regexp"
	"strings"
	"testing"
)

// frontChecks is what holds in front of an app whichever proxy serves it.
var frontChecks = []struct {
	name  string
	check func(*front, *testing.T)
}{
	{"sign-in leads back, and sign-out ends it", (*front).goesThereAndBack},
	{"the same in a browser", (*front).goesThereAndBackInBrowser},
	{"scripts", (*front).tellsScripts},
	{"forged identity", (*front).refusesForgery},
	{"WebSocket", (*front).upgrades},
	{"cookies", (*front).hidesCookies},
	{"methods and bodies", (*front).handsOn},
	{"what the app refuses", (*front).leavesAppAlone},
	{"refusals", (*front).refuses},
}

// Real proxies ask the gateway about every request, with the configuration of their
// documents: nginx, HAProxy and a second Caddy, over one gateway and before one app.
func TestProxies_Ask(t *testing.T) {
	t.Parallel()
	g, ask, c := startElsewhere(t)
	alice := c.signUpAtPortal("alice")
	var fronts []*front
	for _, at := range []string{startNginxAt(t, g, ask, frontPort(t, "nginx")), startHAProxy(t, g, ask), startCaddy(t, g, ask)} {
		f := c.meet(alice, at)
		f.shows = strings.HasPrefix(f.host, "nginx.")
		f.trailers = !f.shows
		fronts = append(fronts, f)
	}
	for _, f := range fronts {
		f.checks(t)
	}
	t.Run("traefik and envoy", func(t *testing.T) { fronts[0].replays(t, ask) })
	g.mfa(t, "users", "end-sessions", "alice")
	for _, f := range fronts {
		f.closed(t, "AC-040: the sessions were ended", http.StatusUnauthorized)
	}
	g.kill()
	for _, f := range fronts {
		f.closed(t, "AC-065: the gateway is gone", http.StatusServiceUnavailable)
	}
}

// replays asks as Traefik and Envoy do, which could not be had: with what forwardauth's own
// tests have of them, over a connection to the running gateway.
func (f *front) replays(t *testing.T, ask int) {
	names := strings.NewReplacer("app.a.test", "app.example.test", "auth.a.test", "auth.example.test", "{alice}", f.session, "\n", "\r\n")
	w, played := wire{addr: fmt.Sprintf("127.0.0.1:%d", ask)}, 0
	for _, name := range []string{"traefik", "envoy"} {
		for _, part := range strings.Split(readFile(t, "../forwardauth/testdata/"+name+".txt"), "\n## ")[1:] {
			title, lines, _ := strings.Cut(part, "\n")
			asked, answered, _ := strings.Cut(strings.ReplaceAll(lines, "> ", ""), "\n< ")
			want, _, _ := strings.Cut(answered, "\n")
			if strings.Contains(asked, "{carol}") || strings.Contains(asked, "{dora}") {
				continue // there is alice alone
			}
			method, _, _ := strings.Cut(asked, " ")
			a := w.raw(method, names.Replace(asked)+"\r\n\r\n", 1)[0]
			if fmt.Sprint(a.status) != want || a.status == http.StatusOK && strings.Contains(asked, "{alice}") != (a.header.Get("Remote-User") == "alice") {
				t.Errorf("%s, %s: %s as %q, want %s: %s", name, title, a, a.header.Get("Remote-User"), want, a.body)
			}
			played++
		}
	}
	if played < 14 {
		t.Errorf("only %d conversations were played", played)
	}
}

// Apache ends TLS in front of the gateway, which has the app behind it.
func TestProxies_Apache(t *testing.T) {
	t.Parallel()
	f := behindApache(t)
	f.checks(t)
	f.mfa(t, "users", "end-sessions", "alice")
	f.closed(t, "AC-040: the sessions were ended", http.StatusUnauthorized)
	f.kill()
	f.closed(t, "AC-065: the gateway is gone", http.StatusServiceUnavailable)
}

func (f *front) checks(t *testing.T) {
	name, _, _ := strings.Cut(f.host, ".")
	for _, row := range frontChecks {
		t.Run(name+": "+row.name, func(t *testing.T) {
			f.browser.t = t
			f.App.Answer(nil)
			row.check(f, t)
		})
	}
}

// somewhere is an address that has to be there again, letter by letter, after a sign-in.
const somewhere = "/reports?q=a%20b&u=//x&n"

// refreshes finds where a page leads on by itself.
var refreshes = regexp.MustCompile(`http-equiv="refresh" content="0; ?url=([^"]+)"`)

// A stranger is led through the sign-in to the address that was asked for. The session
// ends with the sign-out, on the proxy's own host, for whoever holds the cookie.
func (f *front) goesThereAndBack(t *testing.T) {
	c := f.browser.another()
	p := c.get(f.at + somewhere)
	if p.Title() != "Sign in" || f.App.Count() > 0 && f.App.last().Request.RequestURI == somewhere {
		t.Fatalf("a stranger got %d %q by %v", p.Status, p.Title(), p.Via)
	}
	p = c.verifyTOTP(c.submit(p, "/.mfa/sign-in", "name", "alice", "password", password), f.alice.App.Code(t))
	if on := refreshes.FindStringSubmatch(p.Body); on != nil { // out of a form it goes on by a page
		p = c.get(html.UnescapeString(on[1]))
	}
	if !p.FromApp() || p.URL.String() != f.at+somewhere {
		t.Fatalf("after the sign-in alice got %d at %s by %v", p.Status, p.URL, p.Via)
	}
	got := f.App.last().Request
	if got.RequestURI != somewhere || got.Header.Get("Remote-User") != "alice" {
		t.Errorf("the app was asked for %s by %q", got.RequestURI, got.Header.Get("Remote-User"))
	}
	stolen := c.only(f.cookieName())
	if a, h := f.reaches(f.h1, plainGet("/x").cookie(stolen)); h == nil {
		t.Fatalf("a second connection of the same person: %s", a)
	}

	p = c.get(f.at + "/.mfa/sign-out")
	c.Base = p.URL.Scheme + "://" + p.URL.Host
	if p = c.submit(p, "/.mfa/sign-out"); p.Title() != "You’re signed out" {
		t.Errorf("signing out led to %d %q by %v", p.Status, p.Title(), p.Via)
	}
	for _, m := range []message{script("GET", "/x"), webSocket("/x")} {
		if a, h := f.reaches(f.h1, m.cookie(stolen)); h != nil || a.status != http.StatusUnauthorized {
			t.Errorf("AC-040: the cookie of an ended session: %s, reached the app: %v", a, h != nil)
		}
	}
	if p := c.get(f.at + "/"); p.Title() != "Sign in" {
		t.Errorf("after the sign-out: %d %q", p.Status, p.Title())
	}
}

// In a browser: there and back, then a page that stays open while its session ends, whose
// scripts are told so.
func (f *front) goesThereAndBackInBrowser(t *testing.T) {
	b := f.browse(t)
	b.goTo(f.at + somewhere)
	b.signIn("alice")
	b.says("Verify it’s you")
	b.enterCode(f.alice.App.Code(t))
	b.arriveAt(f.at, somewhere)
	const fetched = `fetch("/api", {headers: {Accept: "application/json"}}).then((r) => r.status)`
	if status := js[int](b, fetched); status != http.StatusOK {
		t.Errorf("a script of the page got %d", status)
	}
	b.signOutFrom(f.at)
	if status := js[int](b, fetched); status != http.StatusUnauthorized {
		t.Errorf("AC-083: after the sign-out a script of the page got %d", status)
	}
	b.goTo(f.at + "/x")
	b.until("the sign-in page", `document.querySelector("h1")?.textContent === "Sign in"`)
}

// signOutFrom signs out on the page of a host in another tab.
func (b *tab) signOutFrom(origin string) {
	b.t.Helper()
	other := b.second()
	other.goTo(origin + "/.mfa/sign-out")
	other.button("Sign out")
	other.says("You’re signed out")
}

// script is what a page's script sends.
func script(method, path string) message {
	return message{method: method, target: path, header: [][2]string{{"Accept", "application/json"}, {"Sec-Fetch-Mode", "cors"}, {"Sec-Fetch-Dest", "empty"}}}
}

func (f *front) tellsScripts(t *testing.T) {
	for _, m := range []message{script("GET", "/api?x=1"), script("POST", "/api"), script("DELETE", "/api"), {method: "GET", target: "/api"}} {
		a, h := f.reaches(f.h1, m)
		if h != nil || a.status != http.StatusUnauthorized || a.header.Get("Location") != "" || a.header.Get("Www-Authenticate") == "" ||
			!strings.Contains(a.header.Get("Content-Type"), "problem+json") || !strings.Contains(a.body, `"next":"`) || a.header.Get("Cache-Control") != "no-store" {
			t.Errorf("AC-083 %s: %s %v %s, reached the app: %v", m.method, a, a.header, a.body, h != nil)
		}
	}
	if a, h := f.reaches(f.h1, script("HEAD", "/api")); h != nil || a.status != http.StatusUnauthorized || a.body != "" {
		t.Errorf("HEAD: %s %q", a, a.body)
	}
}

// told returns what the app could take for that header, however it folds names.
func told(h *hit, name string) []string {
	var list []string
	fold := strings.NewReplacer("_", "-", ".", "-", " ", "-")
	head, _, _ := strings.Cut(h.Raw, "\r\n\r\n")
	for _, line := range strings.Split(head, "\r\n")[1:] {
		key, value, _ := strings.Cut(line, ":")
		if strings.EqualFold(fold.Replace(key), name) && strings.TrimSpace(value) != "" {
			list = append(list, strings.TrimSpace(value))
		}
	}
	return list
}

// Whatever a client writes about who it is, the app hears from us or not at all (AC-043 to
// AC-049).
func (f *front) refusesForgery(t *testing.T) {
	names := []string{"Remote-User", "Remote-Name", "Remote-Email", "Remote-Groups", "Mfa-Assertion"}
	forge := map[string]func(name string) message{
		"AC-043 as it is written": func(name string) message { return message{header: [][2]string{{name, "evil"}}} },
		"AC-045 in capitals":      func(name string) message { return message{header: [][2]string{{strings.ToUpper(name), "evil"}}} },
		"AC-045 twice": func(name string) message {
			return message{header: [][2]string{{name, "evil"}, {strings.ToLower(name), "evil"}}}
		},
		"AC-046 with underscores": func(name string) message {
			return message{header: [][2]string{{strings.ReplaceAll(name, "-", "_"), "evil"}}}
		},
		"AC-046 with dots": func(name string) message {
			return message{header: [][2]string{{strings.ReplaceAll(name, "-", "."), "evil"}}}
		},
		"AC-047 in Connection": func(name string) message { return message{header: [][2]string{{"Connection", "close, " + name}}} },
		"AC-047 in a second line": func(name string) message {
			return message{header: [][2]string{{"Connection", "keep-alive"}, {"Connection", strings.ToLower(name)}}}
		},
		"AC-049 in a trailer": func(name string) message {
			return message{method: "POST", body: "x", chunked: true, announce: true, trailer: [][2]string{{name, "evil"}}}
		},
		"AC-049 unannounced": func(name string) message {
			return message{method: "POST", body: "x", chunked: true, trailer: [][2]string{{name, "evil"}}}
		},
	}
	for title, make := range forge {
		for _, name := range names {
			m := make(name)
			if m.method == "" {
				m.method = "GET"
			}
			m.target = "/public/x"
			if a, h := f.reaches(f.h1, m); h != nil {
				if got := told(h, name); len(got) > 0 {
					t.Errorf("%s: at a bypass the app was told %s: %q", title, name, got)
				}
			} else if a.err == nil && a.status < 400 {
				t.Errorf("%s: %s at a bypass got %s", title, name, a)
			}
			m.target = "/x"
			a, h := f.reaches(f.h1, m.cookie(f.session))
			if h == nil {
				if a.err == nil && a.status < 400 || a.status >= 500 {
					t.Errorf("%s: %s of alice got %s", title, name, a)
				}
				continue
			}
			if got := told(h, name); strings.Contains(strings.Join(got, " "), "evil") || len(got) > 1 {
				t.Errorf("%s: the app was told %s: %q", title, name, got)
			}
			if len(h.Request.Trailer) > 0 && !f.trailers {
				t.Errorf("%s: the app got the trailers %v", title, h.Request.Trailer)
			}
			if got := told(h, "Remote-User"); len(got) != 1 || got[0] != "alice" {
				t.Errorf("%s: the app was told %q", title, got)
			}
			if got := told(h, "Mfa-Assertion"); len(got) != 1 || got[0] != "of alice" {
				t.Errorf("%s: the assertion is %q", title, got)
			}
			if got := told(h, "Connection"); strings.Contains(strings.ToLower(strings.Join(got, " ")), strings.ToLower(name)) {
				t.Errorf("%s: the app was told to drop it: %q", title, got)
			}
		}
	}
}

func (f *front) upgrades(t *testing.T) {
	f.App.Answer(echo)
	for title, cookie := range map[string]string{"without a session": "", "with a forged one": "__Secure-mfa=evil; " + f.hostCookie() + "=evil"} {
		if a, h := f.reaches(f.h1, webSocket("/live").cookie(cookie)); h != nil || a.status != http.StatusUnauthorized {
			t.Errorf("AC-081 %s: %s, reached the app: %v", title, a, h != nil)
		}
	}
	c, err := f.dial("http/1.1")
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	fmt.Fprintf(c, "GET /live?x HTTP/1.1\r\nHost: %s\r\n", f.host)
	for _, h := range webSocket("").cookie(f.session).header {
		fmt.Fprintf(c, "%s: %s\r\n", h[0], h[1])
	}
	_, _ = io.WriteString(c, "\r\n")
	r := bufio.NewReader(c)
	if a := readAnswer(r, "GET"); a.status != http.StatusSwitchingProtocols {
		t.Fatalf("AC-081 with a session: %s %v", a, a.header)
	}
	for _, text := range []string{"hello\n", "and again\n"} {
		_, _ = io.WriteString(c, text)
		if line, err := r.ReadString('\n'); line != text {
			t.Fatalf("the app answered %q, %v", line, err)
		}
	}
	if h := f.App.last(); h.Request.RequestURI != "/live?x" || h.Request.Header.Get("Remote-User") != "alice" {
		t.Errorf("the app was asked for %s by %q", h.Request.RequestURI, h.Request.Header.Get("Remote-User"))
	}
}

func (f *front) hidesCookies(t *testing.T) {
	for _, lines := range [][]string{
		{f.session}, {"theme=dark; " + f.session + "; lang=de"}, {f.session + "; theme=dark; lang=de"}, {"theme=dark; lang=de;" + f.session}, {"theme=dark", f.session, "lang=de"},
	} {
		m := plainGet("/x")
		for _, line := range lines {
			m = m.cookie(line)
		}
		send := f.h1
		if len(lines) > 1 && !f.shows {
			send = f.h2 // where browsers do so
		}
		a, h := f.reaches(send, m)
		if h == nil {
			t.Errorf("%d lines: %s", len(lines), a)
			continue
		}
		got := strings.Join(h.Request.Header["Cookie"], "; ")
		if shown := strings.Contains(got, "mfa"); shown != f.shows {
			t.Errorf("the app saw the cookie of the gateway: %v (%d lines)", shown, len(lines))
		}
		if f.shows {
			continue
		}
		if want := "theme=dark; lang=de"; got != want && (lines[0] != f.session || got != "") {
			t.Errorf("of %d lines the app saw %q", len(lines), h.Request.Header["Cookie"])
		}
	}
}

func (f *front) handsOn(t *testing.T) {
	big := strings.Repeat("a line of a form\n", 8<<10)
	for _, m := range []message{
		{method: "POST", target: "/form?a=b", body: "note=1"}, {method: "POST", target: "/form", body: big}, {method: "PUT", target: "/form", body: big, chunked: true},
		{method: "HEAD", target: "/x?y"}, {method: "OPTIONS", target: "/x"}, {method: "PATCH", target: "/x%2Fy/%C3%A4;z=1", body: "x"}, {method: "DELETE", target: "/a//b?c=%0A"},
	} {
		a, h := f.reaches(f.h1, m.cookie(f.session))
		if h == nil || a.status != http.StatusOK {
			t.Errorf("%s %s: %s", m.method, m.target, a)
			continue
		}
		if h.Request.Method != m.method || h.Request.RequestURI != m.target || string(h.Body) != m.body {
			t.Errorf("%s %s with %d bytes became %s %s with %d", m.method, m.target, len(m.body), h.Request.Method, h.Request.RequestURI, len(h.Body))
		}
		if m.method == "HEAD" && a.body != "" {
			t.Errorf("HEAD was answered with %q", a.body)
		}
	}
}

// What the app itself answers with 401 and 403 is the app's to say.
func (f *front) leavesAppAlone(t *testing.T) {
	for _, status := range []string{"401 Unauthorized", "403 Forbidden", "500 Internal Server Error"} {
		f.App.Answer(func(conn net.Conn, _ hit) bool {
			_, err := io.WriteString(conn, "HTTP/1.1 "+status+"\r\nX-App: own\r\nWWW-Authenticate: Basic realm=\"app\"\r\nContent-Length: 3\r\n\r\nown")
			return err == nil
		})
		a, h := f.reaches(f.h1, plainGet("/own").cookie(f.session))
		if h == nil || !strings.HasPrefix(status, fmt.Sprint(a.status)) || a.body != "own" || a.header.Get("X-App") != "own" || a.header.Get("Www-Authenticate") != `Basic realm="app"` {
			t.Errorf("%s of the app became %s %v %q", status, a, a.header, a.body)
		}
	}
}

// However it is refused: nothing reaches the app, and nothing looks like a fault (nginx
// makes a 500 of whatever it does not understand).
func (f *front) refuses(t *testing.T) {
	host := f.host
	asking := [][2]string{{"X-Forwarded-Method", "GET"}, {"X-Forwarded-Proto", "https"}, {"X-Forwarded-Host", host}, {"X-Forwarded-Uri", "/public/x"}}
	var list []message
	for _, path := range []string{
		"/public/../x", "//public/x", "/public/..%2fx", "/public/%2e%2e/x", "/public%2f..%2fx", "/x;y", "/x%00", "/%zz", "/%", "/x%0d%0aRemote-User:evil", "/public\\..\\x",
		"/x?" + strings.Repeat("y", 7000), "/" + strings.Repeat("x", 20000), "*", "/x#/public/", "/secret?x=/public/",
		"/.mfa/ask", "/.mfa/auth/nginx", "/.mfa/auth/haproxy", "/.mfa/auth/caddy", "/.mfa/auth/envoy/public/x", "/.mfa/x/../auth/caddy", "/.mfa/%61uth/caddy", "/.mfa//auth/caddy", "/.mfa/./auth/caddy", "/%2emfa/auth/caddy",
	} {
		list = append(list, plainGet(path), plainGet(path).with(asking...), script("GET", path).with(asking...))
	}
	for _, header := range [][2]string{
		{"X-Forwarded-Uri", "/public/x"}, {"X_Forwarded_Uri", "/public/x"}, {"X-Forwarded-Method", "OPTIONS"}, {"X-Forwarded-Host", "localhost"}, {"X-Forwarded-Proto", "http"}, {"X-Forwarded-For", "127.0.0.1"},
		{"X-Original-URL", "https://" + host + "/public/x"}, {"X-Original-URL", "/public/x"}, {"X-Rewrite-Url", "/public/x"}, {"X-Original-Method", "OPTIONS"}, {"Forwarded", "for=127.0.0.1;proto=http"},
		{"Cookie", "__Secure-mfa=evil"}, {"Cookie", "__Secure-mfa=" + strings.Repeat("x", 6000)}, {"Cookie", "__Secure-mfa=\x80\x81"}, {"Cookie", f.session + "x"}, {"Cookie", "__Secure-mfa=; __Secure-mfa="},
		{"Authorization", "Basic Og=="}, {"Authorization", "Bearer x"}, {"User-Agent", "kube-probe/1.27"}, {"Content-Length", "x"}, {"Transfer-Encoding", "x"}, {"Range", "bytes=0-1"},
	} {
		list = append(list, plainGet("/x").with(header), script("POST", "/x").with(header))
	}
	for _, method := range []string{"TRACE", "CONNECT", "get", "FOO", "PRI", "TRACK", "POST", "OPTIONS"} {
		m := message{method: method, target: "/x"}
		list = append(list, m, m.with([2]string{"Early-Data", "1"}))
		if method == "TRACE" || method == "CONNECT" {
			list = append(list, m.cookie(f.session))
		}
	}
	list = append(list, script("POST", "/x").cookie(f.session).with([2]string{"Early-Data", "1"}))
	for _, m := range list {
		a, h := f.reaches(f.h1, m)
		if h != nil && h.Request.RequestURI == "/public/x" && len(told(h, "Remote-User")) == 0 {
			continue // what was asked about is what the app gets
		}
		if h != nil || a.err == nil && a.status < 300 && !strings.HasPrefix(m.target, "/.mfa/") || a.status == http.StatusInternalServerError || a.status == http.StatusBadGateway {
			t.Errorf("%s %.60s %.120q: %s, reached the app: %v", m.method, m.target, m.header, a, h != nil)
		}
		for _, name := range []string{"Remote-User", "Mfa-Assertion"} {
			if _, ok := a.header[name]; ok {
				t.Errorf("%s %.60s: the client was told %s", m.method, m.target, name)
			}
		}
	}
	if a, h := f.reaches(f.h1, plainGet("http://evil.test/x").cookie(f.session)); h != nil && h.Request.Host == "evil.test" || a.status == http.StatusInternalServerError {
		t.Errorf("AC-080: %s, reached the app: %v", a, h != nil)
	}
	for _, other := range []string{"evil.test", "app.example.test.evil.test", host + ", " + host, "-", host + "\r\nHost: evil.test", "a b", ""} {
		m := plainGet("/x").cookie(f.session)
		if m.host = other; other == "" {
			m.host = " "
		}
		if a, h := f.reaches(f.h1, m); h != nil || a.status == http.StatusInternalServerError || a.status == http.StatusBadGateway {
			t.Errorf("AC-068 host %q: %s, reached the app: %v", other, a, h != nil)
		}
	}
}

// closed is how it is once nobody may go on: at once, and at every kind of request.
func (f *front) closed(t *testing.T, why string, status int) {
	t.Helper()
	for _, m := range []message{script("GET", "/x"), script("POST", "/x"), webSocket("/x"), plainGet("/x"), script("HEAD", "/x")} {
		a, h := f.reaches(f.h1, m.cookie(f.session))
		want := status
		if want == http.StatusServiceUnavailable && strings.HasPrefix(f.host, "caddy.") {
			want = http.StatusBadGateway
		}
		if h != nil || a.status != want && !(want == http.StatusUnauthorized && a.status == http.StatusFound && m.header[0][1] == "text/html") {
			t.Errorf("%s: %s %s of %s: %s, reached the app: %v", why, m.method, m.target, f.host, a, h != nil)
		}
	}
}
