package e2e

import (
	"bytes"
	"crypto/tls"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"
)

// elsewhere is a gateway that protects nothing but what other proxies serve: they ask at
// ASK, as hosts of example.test.
const elsewhere = `{
	mfa {
		domain example.test
	}
	default_bind 127.0.0.1
}
(portal) {
	mfa_portal {
		peers 127.0.0.1
		protect *.example.test {
			mfa /vault/* {
				fresh 5m
			}
			mfa /public/* {
				bypass
			}
			mfa
			mfa /git/* {
				app_tokens
			}
		}
	}
}
https://auth.example.test:{$TLS_PORT} {
	tls {$CERT} {$KEY}
	import portal
}
http://:{$ASK} {
	import portal
}
http://localhost:{$PORT} {
	respond "up"
}
`

// startElsewhere starts such a gateway, and returns it, where proxies ask, and a client
// that is at the portal.
func startElsewhere(t testing.TB) (*gateway, int, *client) {
	t.Helper()
	ask := freePort(t)
	g := start(t, elsewhere, "ASK="+strconv.Itoa(ask))
	return g, ask, g.newClient(t, g.secureBase("auth"), false)
}

// signUpAtPortal makes the first account and goes the whole way at the portal.
func (c *client) signUpAtPortal(name string) *account {
	c.t.Helper()
	c.openLink(c.g.firstLink(c.t), name)
	a := &account{Name: name}
	a.App, a.Backup = c.setUpTOTP(), c.confirmCodes()
	return a
}

// ofDocument returns the block of that language on a page of docs/proxies.
func ofDocument(t testing.TB, page, language string) string {
	t.Helper()
	raw, err := os.ReadFile(filepath.Join("..", "docs", "proxies", page))
	if err != nil {
		t.Fatal(err)
	}
	m := regexp.MustCompile("(?ms)^```" + language + "\n(.*?)^```$").FindSubmatch(raw)
	if m == nil {
		t.Fatalf("%s has no block of %s", page, language)
	}
	return string(m[1])
}

// startNginx runs nginx with the configuration of its document, and returns the address
// that it serves, which is a host of example.test.
func startNginx(t testing.TB, g *gateway, ask int, alter ...string) string {
	t.Helper()
	return startNginxAt(t, g, ask, freePort(t), alter...)
}

// startNginxAt is startNginx with the port to listen on.
func startNginxAt(t testing.TB, g *gateway, ask, port int, alter ...string) string {
	t.Helper()
	nginx := systemProgram(t, "nginx", "nginx (Debian: apt-get install nginx-light)")
	site := strings.NewReplacer(append(alter,
		"listen 443 ssl;", fmt.Sprintf("listen 127.0.0.1:%d ssl;", port), "server_name app.example.com;", "server_name nginx.example.test;",
		"/etc/ssl/app.example.com.pem", g.file("cert.pem"), "/etc/ssl/app.example.com.key", g.file("key.pem"),
		"127.0.0.1:9091", fmt.Sprintf("127.0.0.1:%d", ask), "127.0.0.1:3000", g.App.Addr, "auth.example.com", "auth.example.test")...,
	).Replace(ofDocument(t, "nginx.md", "nginx"))
	dir := t.TempDir()
	var temp strings.Builder
	for _, kind := range []string{"client_body", "proxy", "fastcgi", "uwsgi", "scgi"} {
		fmt.Fprintf(&temp, "\t%s_temp_path %s;\n", kind, filepath.Join(dir, kind))
	}
	conf := filepath.Join(dir, "nginx.conf")
	text := "daemon off;\nworker_processes 1;\npid " + dir + "/pid;\nerror_log " + dir + "/error.log;\n" + workerUser() +
		"events {}\nhttp {\n\taccess_log off;\n" + temp.String() + site + "}\n"
	if err := os.WriteFile(conf, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return startProxy(t, exec.Command(nginx, "-p", dir, "-c", conf), filepath.Join(dir, "error.log"), "nginx", port)
}

// workerUser keeps nginx from changing to a user who may not read the test's files.
func workerUser() string {
	if os.Getuid() == 0 {
		return "user root;\n"
	}
	return ""
}

// startProxy runs a proxy until the test ends, waits until it listens, and returns its
// address, which is a host of example.test.
func startProxy(t testing.TB, cmd *exec.Cmd, log, name string, port int) string {
	t.Helper()
	var output bytes.Buffer
	cmd.Stdout, cmd.Stderr = &output, &output
	cmd.SysProcAttr = childAttributes() // it must not outlive a test that is killed
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	exited := make(chan error, 1)
	go func() { exited <- cmd.Wait() }()
	t.Cleanup(func() {
		_ = cmd.Process.Signal(syscall.SIGTERM)
		select {
		case <-exited:
		case <-time.After(5 * time.Second):
			_ = cmd.Process.Kill()
			<-exited
		}
		if raw, err := os.ReadFile(log); t.Failed() && err == nil {
			t.Logf("%s wrote:\n%s%s", name, output.String(), raw)
		}
	})
	for range 100 {
		if l, err := net.Dial("tcp", fmt.Sprintf("127.0.0.1:%d", port)); err == nil {
			_ = l.Close()
			return fmt.Sprintf("https://%s.example.test:%d", name, port)
		}
		select {
		case err := <-exited:
			exited <- err
			t.Fatalf("%s ended: %v\n%s", name, err, output.String())
		case <-time.After(50 * time.Millisecond):
		}
	}
	t.Fatalf("%s does not listen", name)
	return ""
}

// script asks as a script of the app does.
func (c *client) script(method, address string, header ...string) *answered {
	c.t.Helper()
	r := c.request(method, address, nil)
	r.Header.Set("Accept", "application/json")
	r.Header.Set("Sec-Fetch-Mode", "cors")
	r.Header.Set("Sec-Fetch-Dest", "empty")
	for i := 0; i+1 < len(header); i += 2 {
		r.Header.Set(header[i], header[i+1])
	}
	return c.once(r)
}

// A client sends "GET https://vault/x HTTP/1.1" and in Host the name of another app, which
// is open to everybody. nginx serves the site that the first names, and what it asks about
// must be that site, or the open one lends its rules to the other (AC-216).
func TestForwardAuth_AC216_NginxTwoHosts(t *testing.T) {
	t.Parallel()
	ask := freePort(t)
	open := strings.Replace(elsewhere, "\t\tprotect *.example.test {", "\t\tprotect open.example.test {\n\t\t\tmfa /vault/* {\n\t\t\t\tbypass\n\t\t\t}\n\t\t}\n\t\tprotect *.example.test {", 1)
	g := start(t, open, "ASK="+strconv.Itoa(ask))
	at := strings.TrimPrefix(startNginx(t, g, ask), "https://")
	for _, host := range []string{"open.example.test", "open.example.test:443", "OPEN.example.test", "open.example.test.", "nginx.example.test.open.example.test"} {
		conn, err := tls.Dial("tcp", "127.0.0.1"+at[strings.LastIndexByte(at, ':'):], &tls.Config{InsecureSkipVerify: true}) //nolint:gosec // it is not about the certificate
		if err != nil {
			t.Fatal(err)
		}
		fmt.Fprintf(conn, "GET https://%s/vault/x HTTP/1.1\r\nHost: %s\r\nConnection: close\r\n\r\n", at, host)
		answer, _ := io.ReadAll(conn)
		_ = conn.Close()
		if n := g.App.Count(); n != 0 || len(answer) == 0 {
			t.Errorf("AC-216 Host %q: %d requests of a stranger reached the app: %.60q", host, n, answer)
		}
	}
}

// The configuration of docs/proxies/nginx.md in a real nginx: there and back, what a
// client makes up, what the app itself says, and never a 500.
func TestForwardAuth_Nginx(t *testing.T) {
	t.Parallel()
	g, ask, c := startElsewhere(t)
	at := startNginx(t, g, ask)

	stranger := c.another()
	if p := stranger.script("GET", at+"/api?x=1"); p.Status != http.StatusUnauthorized || !strings.Contains(p.Header.Get("Content-Type"), "problem+json") || p.Header.Get("Www-Authenticate") == "" {
		t.Errorf("AC-083: a script of a stranger got %d %v %s", p.Status, p.Header, p.Body)
	}
	if p := stranger.script("GET", at+"/live", "Connection", "Upgrade", "Upgrade", "websocket", "Sec-WebSocket-Key", "dGhlIHNhbXBsZSBub25jZQ==", "Sec-WebSocket-Version", "13"); p.Status != http.StatusUnauthorized {
		t.Errorf("AC-081: a WebSocket of a stranger got %d", p.Status)
	}
	r := stranger.request("GET", at+"/reports?q=1", nil)
	p := stranger.once(r)
	if to := p.Header.Get("Location"); p.Status != http.StatusFound || !strings.HasPrefix(to, g.secureBase("auth")+"/.mfa/sign-in?") || !strings.Contains(to, "reports%3Fq%3D1") {
		t.Errorf("a page load of a stranger led to %d %q", p.Status, to)
	}
	for _, path := range []string{"/public/../x", "//public/x", "/x;y", "/x%00", "/%zz", "/.mfa/auth/nginx", "/.mfa/ask", "/" + strings.Repeat("x", 9000)} {
		raw := stranger.request("GET", at+"/", nil)
		raw.URL.Opaque = strings.TrimPrefix(at, "https:") + path
		if p := stranger.once(raw); p.Status < 300 || p.Status == 500 {
			t.Errorf("AC-072 %.40s: %d", path, p.Status)
		}
	}
	if n := g.App.Count(); n != 0 {
		t.Fatalf("%d requests of a stranger reached the app", n)
	}
	if p := stranger.get(at + "/public/logo"); !p.FromApp() || g.App.Last(t).Request.Header.Get("Remote-User") != "" {
		t.Errorf("a bypass: %d %v", p.Status, g.App.Last(t).Request.Header)
	}
	forged := stranger.request("GET", at+"/public/logo", nil)
	for _, name := range []string{"Remote-User", "Remote-Name", "Remote-Email", "Remote-Groups", "Mfa-Assertion", "X-Original-Url", "X-Forwarded-Uri"} {
		forged.Header.Set(name, "evil")
	}
	stranger.once(forged)
	for name, lines := range g.App.Last(t).Request.Header {
		if strings.Contains(strings.Join(lines, " "), "evil") && name != "X-Forwarded-Uri" {
			t.Errorf("AC-043: the app was told %s: %q", name, lines)
		}
	}

	// An app token never reaches the app: not where nothing is asked, nor with a session. What
	// is the app's own does.
	token := "Bearer mfat_0123456789abcdef_" + strings.Repeat("x", 43)
	if p := stranger.script("GET", at+"/public/logo", "Authorization", token); !p.FromApp() || g.App.Last(t).Request.Header.Get("Authorization") != "" {
		t.Errorf("AC-053: an open path: %d %v", p.Status, g.App.Last(t).Request.Header)
	}
	if p := stranger.script("GET", at+"/public/logo", "Authorization", "Bearer own"); !p.FromApp() || g.App.Last(t).Request.Header.Get("Authorization") != "Bearer own" {
		t.Errorf("the app's own: %d %v", p.Status, g.App.Last(t).Request.Header)
	}
	before := g.App.Count()
	for _, accept := range []string{"*/*", "text/html"} {
		r := stranger.request("GET", at+"/git/x", nil)
		r.Header.Set("Accept", accept)
		r.Header.Set("Authorization", token)
		if p := stranger.once(r); p.Status != http.StatusUnauthorized || p.Header.Get("Location") != "" || p.Header.Get("Www-Authenticate") == "" {
			t.Errorf("AC-016: a bad token got %d %v", p.Status, p.Header)
		}
	}
	if n := g.App.Count(); n != before {
		t.Error("a bad token reached the app")
	}

	c.signUpAtPortal("alice")
	p = c.get(at + "/reports?q=1")
	if !p.FromApp() || p.URL.RequestURI() != "/reports?q=1" {
		t.Fatalf("alice got %d at %s by %v: %s", p.Status, p.URL, p.Via, p.Text())
	}
	got := g.App.Last(t).Request
	if got.Header.Get("Remote-User") != "alice" || got.RequestURI != "/reports?q=1" {
		t.Errorf("the app was told %q of %s", got.Header.Get("Remote-User"), got.RequestURI)
	}
	if p := c.script("POST", at+"/api", "Remote-User", "root", "X-Original-Method", "GET", "X-Forwarded-Uri", "/public/x"); !p.FromApp() || g.App.Last(t).Request.Header.Get("Remote-User") != "alice" {
		t.Errorf("a script of alice: %d, as %q", p.Status, g.App.Last(t).Request.Header.Get("Remote-User"))
	}
	if p := c.script("GET", at+"/git/x", "Authorization", token); !p.FromApp() || g.App.Last(t).Request.Header.Get("Authorization") != "" {
		t.Errorf("AC-053: beside a session: %d %v", p.Status, g.App.Last(t).Request.Header)
	}
	g.App.Answer(func(conn net.Conn, _ hit) bool {
		_, err := io.WriteString(conn, "HTTP/1.1 401 Unauthorized\r\nX-App: own\r\nWWW-Authenticate: Basic\r\nContent-Length: 3\r\n\r\nown")
		return err == nil
	})
	if p := c.get(at + "/own"); p.Status != http.StatusUnauthorized || p.Body != "own" || p.Header.Get("X-App") != "own" {
		t.Errorf("what the app itself refuses became %d %v", p.Status, p.Header)
	}
	g.advance(t, 10*time.Minute)
	if p := c.once(c.request("GET", at+"/vault/x", nil)); p.Status != http.StatusFound || !strings.Contains(p.Header.Get("Location"), "/.mfa/verify?") {
		t.Errorf("an old proof: %d %q", p.Status, p.Header.Get("Location"))
	}
	g.kill()
	if p := c.script("GET", at+"/api"); p.Status != http.StatusServiceUnavailable || p.Header.Get("Retry-After") == "" {
		t.Errorf("AC-065: with the gateway gone: %d", p.Status)
	}
}
