package e2e

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"net"
	"net/http"
	"strings"
	"testing"

	"github.com/secondgate/secondgate/mfa/mfatest"
)

// hostileSite has one rule of each kind: everybody needs a second factor, one
// part needs a passkey, and two are open, one of them by a regular expression.
const hostileSite = `{
	mfa
	default_bind 127.0.0.1
	auto_https off
	servers {
		protocols h1 h2 h3
	}
}
https://app.example.test:{$TLS_PORT} {
	tls {$CERT} {$KEY}
	mfa
	@strict path /strict /strict/*
	mfa @strict {
		phishing_resistant
	}
	mfa /public/* {
		bypass
	}
	@script path_regexp ^/assets/[a-z]+\.js$
	mfa @script {
		bypass
	}
	reverse_proxy {$APP}
}
http://app.example.test:{$PORT} {
	mfa
	reverse_proxy {$APP}
}
`

// target is a gateway under attack, with alice signed in by her authenticator app.
type target struct {
	*gateway
	wire
	browser *client // alice's
	alice   *account
	session string // Cookie line of her session
}

// attack starts a gateway with the hostile site, or with another.
func attack(t *testing.T, caddyfile ...string) *target {
	t.Helper()
	text := hostileSite
	if len(caddyfile) > 0 {
		text = caddyfile[0]
	}
	g := start(t, text)
	w := &target{gateway: g, wire: g.secureWire()}
	if text == hostileSite {
		w.quic = new(quicWire)
		t.Cleanup(w.quic.drop)
	}
	w.browser = g.from(g.secureClient(t, "app", true), network())
	w.alice = w.browser.signUp("alice")
	w.session = w.browser.line()
	return w
}

// secureWire is the way to app.example.test over TLS.
func (g *gateway) secureWire() wire {
	return wire{
		addr: fmt.Sprintf("127.0.0.1:%d", g.TLSPort), host: fmt.Sprintf("app.example.test:%d", g.TLSPort),
		name: "app.example.test", from: network(),
	}
}

// plainWire is the way to the plain http port, as that host.
func (g *gateway) plainWire(host string) wire {
	return wire{addr: fmt.Sprintf("127.0.0.1:%d", g.Port), host: fmt.Sprintf("%s:%d", host, g.Port), from: network()}
}

// from lets the client connect from that address on the loopback net.
func (g *gateway) from(c *client, address string) *client {
	transport := c.http.Transport.(*http.Transport)
	transport.DialContext = func(ctx context.Context, network, addr string) (net.Conn, error) {
		_, port, err := net.SplitHostPort(addr)
		if err != nil {
			return nil, err
		}
		d := net.Dialer{LocalAddr: &net.TCPAddr{IP: net.ParseIP(address)}}
		return d.DialContext(ctx, network, net.JoinHostPort("127.0.0.1", port))
	}
	return c
}

// move lets the client come from another network from now on, so that what it did
// before throttles nothing.
func (g *gateway) move(c *client) {
	c.http.CloseIdleConnections()
	g.from(c, network())
}

// stranger is a browser of somebody else, from a network of their own.
func (w *target) stranger(t testing.TB) *client {
	c := w.gateway.from(w.browser.another(), network())
	c.t = t
	return c
}

// line is the Cookie line that the client sends.
func (c *client) line() string {
	var list []string
	for _, k := range c.cookies() {
		list = append(list, k.Name+"="+k.Value)
	}
	return strings.Join(list, "; ")
}

// only is the Cookie line with that one cookie of the client, or nothing.
func (c *client) only(name string) string {
	if value := c.cookie(name); value != "" {
		return name + "=" + value
	}
	return ""
}

// reaches sends the request and reports whether it reached the app, and what the
// app saw.
func (w *target) reaches(send func(message) answer, m message) (answer, *hit) {
	before := w.App.Count()
	a := send(m)
	if w.App.Count() == before {
		return a, nil
	}
	h := w.App.last()
	return a, &h
}

// last is Last for callers that know that there is one.
func (a *app) last() hit {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.hits[len(a.hits)-1]
}

// denied reports with "" that the answer is DENY of security.md §0: nothing
// reached the app, no identity, nothing cached, a page load redirected to our
// sign-in page or a refusal.
func denied(a answer, h *hit) string {
	switch {
	case h != nil:
		return "it reached the app as " + h.Request.RequestURI
	case a.err != nil:
		return "" // the connection was closed on the request
	case a.status >= 200 && a.status < 300:
		return fmt.Sprintf("status %d", a.status)
	case a.status >= 500:
		return fmt.Sprintf("status %d: an error path", a.status)
	}
	if a.status == http.StatusBadRequest && a.header.Get("Content-Type") == "text/plain; charset=utf-8" {
		return "" // net/http's own, before any handler
	}
	if a.status < 400 {
		scheme, host := browserTarget("app", a.header.Get("Location"))
		if scheme != "https" || host != "app" || !strings.HasPrefix(a.header.Get("Location"), "/.mfa/") {
			return "it redirects to " + a.header.Get("Location")
		}
	}
	for name := range a.header {
		if strings.HasPrefix(strings.ToLower(name), "remote-") {
			return "identity in the answer: " + name
		}
	}
	if a.header.Get("Cache-Control") != "no-store" {
		return fmt.Sprintf("status %d may be cached: %q", a.status, a.header.Get("Cache-Control"))
	}
	return ""
}

// plainGet is a page load.
func plainGet(path string) message {
	return message{method: "GET", target: path, header: [][2]string{{"Accept", "text/html"}}}
}

// postJSON sends a document as our script does, and decodes the answer into out
// where that is not nil.
func (c *client) postJSON(path, csrf string, document any, out any) *answered {
	c.t.Helper()
	body, err := json.Marshal(document)
	if err != nil {
		c.t.Fatal(err)
	}
	r := c.request(http.MethodPost, path, bytes.NewReader(body))
	r.Header.Set("Content-Type", "application/json")
	r.Header.Set("Accept", "application/json")
	r.Header.Set("X-Csrf-Token", csrf)
	r.Header.Set("Origin", c.Base)
	r.Header.Set("Sec-Fetch-Site", "same-origin")
	r.Header.Set("Sec-Fetch-Mode", "cors")
	r.Header.Set("Sec-Fetch-Dest", "empty")
	p := c.once(r)
	if out != nil && p.Status == http.StatusOK {
		if err := json.Unmarshal([]byte(p.Body), out); err != nil {
			c.t.Fatalf("%s answers %q: %v", path, p.Body, err)
		}
	}
	return p
}

// begun is what both ceremonies of passkeys begin with.
type begun struct {
	ID        string          `json:"id"`
	PublicKey json.RawMessage `json:"publicKey"`
}

func (b begun) options(t testing.TB) []byte {
	t.Helper()
	text, err := json.Marshal(map[string]json.RawMessage{"publicKey": b.PublicKey})
	if err != nil {
		t.Fatal(err)
	}
	return text
}

func (b begun) with(answer []byte) map[string]any {
	return map[string]any{"id": b.ID, "answer": json.RawMessage(answer)}
}

// origin is the client's as its browser writes it.
func (c *client) newAuthenticator() *mfatest.Authenticator {
	return &mfatest.Authenticator{Origin: c.Base}
}

// beginPasskey begins a ceremony; page shows it, and gives the token.
func (c *client) beginPasskey(page string) (b begun, csrf string) {
	c.t.Helper()
	p := c.get(page)
	csrf = p.CSRF()
	path, _, _ := strings.Cut(page, "?")
	q := ""
	if p.URL.RawQuery != "" {
		q = "?" + p.URL.RawQuery
	}
	if a := c.postJSON(path+"/begin"+q, csrf, map[string]any{}, &b); a.Status != http.StatusOK || b.ID == "" {
		c.t.Fatalf("beginning at %s: %d %s", page, a.Status, a.Body)
	}
	return b, csrf
}

// addPasskey sets up a passkey in the account.
func (c *client) addPasskey(a *mfatest.Authenticator) {
	c.t.Helper()
	b, csrf := c.beginPasskey("/.mfa/set-up/passkey?from=account")
	answer, err := a.Enroll(b.options(c.t), nil)
	if err != nil {
		c.t.Fatal(err)
	}
	if p := c.postJSON("/.mfa/set-up/passkey/finish?from=account", csrf, b.with(answer), nil); p.Status != http.StatusOK {
		c.t.Fatalf("setting up a passkey: %d %s", p.Status, p.Body)
	}
}

// verifyPasskey verifies with a passkey and returns the gateway's answer.
func (c *client) verifyPasskey(a *mfatest.Authenticator, bend func(*mfatest.Bend)) *answered {
	c.t.Helper()
	b, csrf := c.beginPasskey("/.mfa/verify/passkey")
	answer, err := a.Verify(b.options(c.t), bend)
	if err != nil {
		c.t.Fatal(err)
	}
	return c.postJSON("/.mfa/verify/passkey/finish", csrf, b.with(answer), nil)
}
