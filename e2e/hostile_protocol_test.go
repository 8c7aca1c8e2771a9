package e2e

import (
	"bufio"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"testing"
	"time"
)

func webSocket(path string) message {
	return message{method: "GET", target: path, header: [][2]string{
		{"Connection", "Upgrade"}, {"Upgrade", "websocket"}, {"Sec-WebSocket-Version", "13"},
		{"Sec-WebSocket-Key", "dGhlIHNhbXBsZSBub25jZQ=="}, {"Origin", "https://app.example.test"}, {"Accept", "text/html"},
	}}
}

// echo answers an upgrade and then gives back what comes.
func echo(c net.Conn, h hit) bool {
	if h.Request.Header.Get("Upgrade") == "" {
		return appPage(c, h)
	}
	_, _ = io.WriteString(c, "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\nSet-Cookie: __Host-mfa=evil\r\n\r\n")
	_, _ = io.Copy(c, c)
	return false
}

// AC-081: no WebSocket without a session, or with one that is too weak; with one,
// it works, and the app knows who is there.
func TestHostile_websocket_AC081(t *testing.T) {
	w := attack(t)
	w.App.Answer(echo)
	half := w.stranger(t)
	half.signIn("alice")
	for _, c := range []struct {
		name, path, cookie string
	}{
		{"no session", "/ws", ""},
		{"a forged one", "/ws", w.hostCookie() + "=evil"},
		{"half-done", "/ws", half.line()},
		{"half-done as a session", "/ws", w.hostCookie() + "=" + half.cookie(half.halfDoneName())},
		{"too weak", "/strict/ws", w.session},
		{"two sessions", "/ws", w.session + "; " + w.browser.only(w.browser.sessionName())},
		{"an ambiguous path", "/public/..%2fws", ""},
	} {
		t.Run("AC-081 "+c.name, func(t *testing.T) {
			m := webSocket(c.path).cookie(c.cookie)
			for forgery, m := range map[string]message{"": m, "Remote-User": m.with([2]string{"Remote-User", "evil"}), "named in Connection": m.with([2]string{"Connection", "Remote-User"})} {
				a, h := w.reaches(w.h1, m)
				if h != nil || a.status != http.StatusUnauthorized {
					t.Errorf("%s: %s, reached the app: %v", forgery, a, h != nil)
				}
			}
		})
		t.Run("AC-081 over HTTP/2, "+c.name, func(t *testing.T) {
			before := w.App.Count()
			a := w.frames([][2]string{
				{":method", "CONNECT"}, {":protocol", "websocket"}, {":scheme", "https"}, {":authority", w.host}, {":path", c.path},
				{"sec-websocket-version", "13"}, {"origin", "https://app.example.test"}, {"cookie", c.cookie},
			}, "", nil)
			if w.App.Count() != before || a.err == nil && a.status/100 == 2 {
				t.Errorf("%s, reached the app: %v", a, w.App.Count() != before)
			}
		})
	}
	t.Run("AC-081 with a session it works", func(t *testing.T) {
		c, err := w.dial("http/1.1")
		if err != nil {
			t.Fatal(err)
		}
		defer c.Close()
		var b strings.Builder
		fmt.Fprintf(&b, "GET /ws HTTP/1.1\r\nHost: %s\r\n", w.host)
		for _, h := range webSocket("/ws").cookie(w.session).with([2]string{"Remote-User", "evil"}, [2]string{"Connection", "Remote-User"}).header {
			fmt.Fprintf(&b, "%s: %s\r\n", h[0], h[1])
		}
		if _, err := io.WriteString(c, b.String()+"\r\n"); err != nil {
			t.Fatal(err)
		}
		r := bufio.NewReader(c)
		a := readAnswer(r, "GET")
		if a.status != http.StatusSwitchingProtocols {
			t.Fatal(a)
		}
		if a.header.Get("Set-Cookie") != "" {
			t.Errorf("AC-017 the app set our cookie: %q", a.header["Set-Cookie"])
		}
		if _, err := io.WriteString(c, "hello\n"); err != nil {
			t.Fatal(err)
		}
		if line, err := r.ReadString('\n'); line != "hello\n" {
			t.Errorf("%q, %v", line, err)
		}
		h := w.App.last()
		if got := identities(&h); !slices.Equal(got, []string{"Mfa-Assertion: of alice", "Remote-User: alice"}) || strings.Contains(h.Raw, "evil") || ours.MatchString(h.Raw) {
			t.Errorf("the app saw\n%s", h.Raw)
		}
	})
	t.Run("AC-081 our pages upgrade to nothing", func(t *testing.T) {
		if a, h := w.reaches(w.h1, webSocket("/.mfa/account").cookie(w.session)); h != nil || a.status == http.StatusSwitchingProtocols {
			t.Errorf("%s", a)
		}
	})
}

// AC-083: programs get 401 and a document, never a redirect to a page.
func TestHostile_programs_AC083(t *testing.T) {
	w := attack(t)
	w.each(t, func(t *testing.T, send func(message) answer, _ string) {
		for name, m := range map[string]message{
			"fetch":             {method: "GET", target: "/x", header: [][2]string{{"Sec-Fetch-Mode", "cors"}, {"Sec-Fetch-Dest", "empty"}, {"Accept", "text/html"}}},
			"image":             {method: "GET", target: "/x", header: [][2]string{{"Sec-Fetch-Mode", "no-cors"}, {"Sec-Fetch-Dest", "image"}, {"Accept", "image/*"}}},
			"frame":             {method: "GET", target: "/x", header: [][2]string{{"Sec-Fetch-Mode", "navigate"}, {"Sec-Fetch-Dest", "iframe"}, {"Accept", "text/html"}}},
			"service worker":    {method: "GET", target: "/sw.js", header: [][2]string{{"Sec-Fetch-Mode", "same-origin"}, {"Sec-Fetch-Dest", "serviceworker"}}},
			"JSON":              {method: "GET", target: "/x", header: [][2]string{{"Accept", "application/json"}}},
			"nothing said":      {method: "GET", target: "/x"},
			"XHR":               {method: "GET", target: "/x", header: [][2]string{{"X-Requested-With", "XMLHttpRequest"}, {"Accept", "text/html"}}},
			"event stream":      {method: "GET", target: "/x", header: [][2]string{{"Accept", "text/event-stream"}}},
			"gRPC":              {method: "POST", target: "/x", header: [][2]string{{"Content-Type", "application/grpc"}, {"TE", "trailers"}}, body: "x"},
			"POST of JSON":      {method: "POST", target: "/x", header: [][2]string{{"Content-Type", "application/json"}, {"Accept", "text/html"}}, body: "{}"},
			"PUT":               {method: "PUT", target: "/x", header: [][2]string{{"Accept", "text/html"}}, body: "x"},
			"preflight":         {method: "OPTIONS", target: "/x", header: [][2]string{{"Origin", "https://evil.test"}, {"Access-Control-Request-Method", "PUT"}}},
			"prefetched module": {method: "GET", target: "/x.js", header: [][2]string{{"Sec-Fetch-Mode", "cors"}, {"Sec-Fetch-Dest", "script"}}},
		} {
			for kind, path := range map[string]string{"no session": m.target, "too weak": "/strict/x"} {
				t.Run("AC-083 "+name+", "+kind, func(t *testing.T) {
					m := m
					m.target = path
					if kind == "too weak" {
						m = m.cookie(w.session)
					}
					a, h := w.reaches(send, m)
					var document struct{ Title, Next string }
					err := json.Unmarshal([]byte(a.body), &document)
					switch {
					case h != nil:
						t.Error("it reached the app")
					case a.status != http.StatusUnauthorized || a.header.Get("WWW-Authenticate") == "" || a.header.Get("Location") != "":
						t.Errorf("%s %v", a, a.header)
					case a.header.Get("Content-Type") != "application/problem+json" || err != nil || document.Title == "" || !strings.HasPrefix(document.Next, "/.mfa/"):
						t.Errorf("%q: %v", a.body, err)
					case a.header.Get("Access-Control-Allow-Origin") != "":
						t.Error("AC-125 CORS on a refusal")
					}
					if kind == "too weak" && !strings.Contains(a.header.Get("WWW-Authenticate"), "insufficient_user_authentication") {
						t.Errorf("RFC 9470: %q", a.header.Get("WWW-Authenticate"))
					}
				})
			}
		}
		t.Run("a form is told that it was not sent (B31)", func(t *testing.T) {
			m := message{method: "POST", target: "/x", header: [][2]string{{"Accept", "text/html"}, {"Content-Type", "application/x-www-form-urlencoded"}}, body: "note=1"}
			a, h := w.reaches(send, m)
			if h != nil || a.status != http.StatusUnauthorized || !strings.HasPrefix(a.header.Get("Content-Type"), "text/html") {
				t.Errorf("%s", a)
			}
		})
	})
}

// AC-085: the app sees one request for each that was judged. What is smuggled has
// no session; so it must never arrive.
func TestHostile_smuggling_AC085(t *testing.T) {
	w := attack(t)
	hidden := "GET /smuggled HTTP/1.1\r\nHost: " + w.host + "\r\nX: "
	head := "POST /x HTTP/1.1\r\nHost: " + w.host + "\r\nCookie: " + w.session + "\r\n"
	for name, text := range map[string]string{
		"both lengths":                    head + fmt.Sprintf("Content-Length: %d\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n", 5+len(hidden)) + hidden,
		"both, the other way":             head + "Transfer-Encoding: chunked\r\nContent-Length: 3\r\n\r\n1\r\na\r\n0\r\n\r\n" + hidden,
		"two lengths":                     head + fmt.Sprintf("Content-Length: 0\r\nContent-Length: %d\r\n\r\n", len(hidden)) + hidden,
		"a list of lengths":               head + fmt.Sprintf("Content-Length: 0, %d\r\n\r\n", len(hidden)) + hidden,
		"an unknown coding":               head + fmt.Sprintf("Transfer-Encoding: xchunked\r\nContent-Length: %d\r\n\r\n", len(hidden)) + hidden,
		"a coding of tab":                 head + fmt.Sprintf("Transfer-Encoding:\tchunked\r\nContent-Length: %d\r\n\r\n0\r\n\r\n", len(hidden)+5) + hidden,
		"blank before the colon":          head + fmt.Sprintf("Transfer-Encoding : chunked\r\nContent-Length: %d\r\n\r\n0\r\n\r\n", len(hidden)+5) + hidden,
		"two codings":                     head + "Transfer-Encoding: chunked\r\nTransfer-Encoding: identity\r\n\r\n0\r\n\r\n" + hidden,
		"chunked twice":                   head + "Transfer-Encoding: chunked, chunked\r\n\r\n0\r\n\r\n" + hidden,
		"a bare line feed in a chunk":     head + "Transfer-Encoding: chunked\r\n\r\n2;\nxx\r\n50\r\n\r\n0\r\n\r\n" + hidden,
		"a chunk extension with an end":   head + "Transfer-Encoding: chunked\r\n\r\n1;a=\"\n\"\r\nx\r\n0\r\n\r\n" + hidden,
		"a length with a sign":            head + fmt.Sprintf("Content-Length: +%d\r\n\r\n", len(hidden)) + hidden,
		"a length with a blank":           head + fmt.Sprintf("Content-Length: %d 1\r\n\r\n", len(hidden)) + hidden,
		"a chunk length with a sign":      head + "Transfer-Encoding: chunked\r\n\r\n+0\r\n\r\n" + hidden,
		"a chunk length with 0x":          head + "Transfer-Encoding: chunked\r\n\r\n0x0\r\n\r\n" + hidden,
		"an overflowing chunk length":     head + "Transfer-Encoding: chunked\r\n\r\n10000000000000000\r\n" + hidden,
		"a folded header":                 head + "X-A: b\r\n Content-Length: 5\r\n\r\n" + hidden,
		"a folded first header":           "POST /x HTTP/1.1\r\n Host: " + w.host + "\r\n\r\n" + hidden,
		"NUL in a header":                 head + "X-A: \x00\r\nContent-Length: 0\r\n\r\n" + hidden,
		"a bare carriage return":          head + "X-A: b\rTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n" + hidden,
		"HTTP/1.0 with chunks":            strings.Replace(head, "HTTP/1.1", "HTTP/1.0", 1) + "Transfer-Encoding: chunked\r\n\r\n0\r\n\r\n" + hidden,
		"a request after one that is let": head + "Content-Length: 0\r\n\r\n" + hidden + "y\r\n\r\n",
		"a length on a GET":               strings.Replace(head, "POST", "GET", 1) + fmt.Sprintf("Content-Length: %d\r\n\r\n", len(hidden)) + hidden,
		"Expect":                          head + fmt.Sprintf("Expect: 100-continue\r\nContent-Length: %d\r\n\r\n", len(hidden)) + hidden,
		"a version of its own":            "POST /x HTTP/1.2\r\nHost: " + w.host + "\r\nCookie: " + w.session + "\r\nContent-Length: 0\r\n\r\n" + hidden,
		"upgrade to h2c":                  head + "Connection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\nHTTP2-Settings: AAMAAABkAAQAAP__\r\nContent-Length: 0\r\n\r\n" + hidden,
	} {
		t.Run("AC-085 "+name, func(t *testing.T) {
			before := w.App.Count()
			answers := w.wire.raw("POST", text, 3)
			w.wire.raw("GET", "GET /after HTTP/1.1\r\nHost: "+w.host+"\r\nCookie: "+w.session+"\r\n\r\n", 1)
			for _, h := range w.App.Hits("/smuggled") {
				t.Errorf("the app saw\n%s", h.Raw)
			}
			if n := w.App.Count() - before; n > 2 {
				t.Errorf("the app saw %d requests", n)
			}
			for _, a := range answers {
				if a.err == nil && a.status >= 500 && a.status != http.StatusNotImplemented && a.status != http.StatusHTTPVersionNotSupported && a.status != http.StatusBadGateway {
					t.Errorf("%s", a)
				}
			}
		})
	}
	base := [][2]string{{":method", "POST"}, {":scheme", "https"}, {":authority", w.host}, {":path", "/x"}, {"cookie", w.session}}
	for name, more := range map[string][][2]string{
		"a coding":                   {{"transfer-encoding", "chunked"}},
		"a line end in a value":      {{"x-a", "b\r\nRemote-User: evil"}},
		"a line feed in a value":     {{"x-a", "b\nRemote-User: evil"}},
		"a line end in a name":       {{"x-a\r\nremote-user", "evil"}},
		"a colon in a name":          {{"remote-user: evil\r\nx", "y"}},
		"NUL in a value":             {{"x-a", "b\x00c"}},
		"another length":             {{"content-length", "100"}},
		"two lengths":                {{"content-length", "5"}, {"content-length", "0"}},
		"Connection":                 {{"connection", "transfer-encoding"}},
		"Upgrade":                    {{"upgrade", "h2c"}},
		"a request in the cookie":    {{"cookie", "a=b\r\n\r\nGET /smuggled HTTP/1.1"}},
		"a second method":            {{":method", "GET"}},
		"TE with more than trailers": {{"te", "gzip, trailers"}},
	} {
		t.Run("AC-085 HTTP/2 with "+name, func(t *testing.T) {
			before := w.App.Count()
			w.frames(append(append([][2]string(nil), base...), more...), "0\r\n\r\n"+hidden, nil)
			for _, h := range w.App.Hits("/smuggled") {
				t.Errorf("the app saw\n%s", h.Raw)
			}
			if w.App.Count() > before {
				h := w.App.last()
				if w.App.Count()-before > 1 || strings.Contains(h.Raw[:strings.Index(h.Raw, "\r\n\r\n")], "evil") {
					t.Errorf("the app saw\n%s", h.Raw)
				}
			}
		})
	}
}

// throttledSite believes X-Forwarded-For from the machine itself.
const throttledSite = `{
	mfa
	default_bind 127.0.0.1
	auto_https off
	servers {
		trusted_proxies static 127.66.0.0/16
		trusted_proxies_strict
	}
}
https://app.example.test:{$TLS_PORT} {
	tls {$CERT} {$KEY}
	mfa
	reverse_proxy {$APP}
}
http://app.example.test:{$PORT} {
	mfa
	reverse_proxy {$APP}
}
`

// guesses tries links that are none, with one header line each, and reports
// whether the budget of one network stopped them in the end.
func (w *target) guesses(t *testing.T, c *client, n int, header func(i int) [2]string) (stopped bool) {
	t.Helper()
	p := c.get("/.mfa/link")
	for i := range n {
		h := header(i)
		r := c.fill(p, "/.mfa/link", "token", fmt.Sprintf("nothing%d", i))
		r.Header[h[0]] = []string{h[1]}
		a := c.once(r)
		stopped = a.Status == http.StatusTooManyRequests
		if !stopped && a.Status != http.StatusGone {
			t.Fatalf("guess %d: %d", i, a.Status)
		}
	}
	return stopped
}

// AC-091: a client cannot choose the network that it is counted under.
func TestHostile_client_address_AC091_AC092(t *testing.T) {
	w := attack(t, throttledSite)
	const budget = 60 // a minute
	rotating := func(i int) [2]string { return [2]string{"X-Forwarded-For", fmt.Sprintf("198.51.%d.7", i)} }
	proxy := func(t *testing.T) *client { return w.gateway.from(w.stranger(t), "127.66.0.1") }
	for _, name := range []string{"X-Forwarded-For", "X-Real-Ip", "Forwarded"} {
		t.Run("AC-091 "+name+" of an untrusted client", func(t *testing.T) {
			if !w.guesses(t, w.stranger(t), budget+1, func(i int) [2]string { return [2]string{name, rotating(i)[1]} }) {
				t.Error("each address counted as a client of its own")
			}
		})
	}
	t.Run("AC-091 passwords of an untrusted client", func(t *testing.T) {
		c := w.stranger(t)
		p := c.get("/.mfa/sign-in")
		for i := range 31 {
			name, secret := fmt.Sprintf("nobody%d", i), "wrong wrong wrong"
			if i == 30 {
				name, secret = "alice", password
			}
			r := c.fill(p, "/.mfa/sign-in", "name", name, "password", secret)
			r.Header.Set("X-Forwarded-For", rotating(i)[1])
			if a := c.once(r); a.Status != http.StatusUnprocessableEntity {
				t.Errorf("guess %d: %d", i, a.Status)
			}
		}
	})
	t.Run("AC-091 a list behind a trusted proxy", func(t *testing.T) {
		if !w.guesses(t, proxy(t), budget+1, func(i int) [2]string {
			return [2]string{"X-Forwarded-For", fmt.Sprintf("198.51.%d.7, 203.0.113.9", i)}
		}) {
			t.Error("the left-most address was believed")
		}
	})
	t.Run("AC-091 IPv6 is counted by /64", func(t *testing.T) {
		if !w.guesses(t, proxy(t), budget+1, func(i int) [2]string {
			return [2]string{"X-Forwarded-For", fmt.Sprintf("2001:db8:1:2::%x", i+1)}
		}) {
			t.Error("each address counted as a client of its own")
		}
	})
	t.Run("AC-091 mapped addresses are those that they map", func(t *testing.T) {
		if !w.guesses(t, proxy(t), budget+1, func(i int) [2]string {
			return [2]string{"X-Forwarded-For", []string{"::ffff:192.0.2.4", "192.0.2.5"}[i%2]}
		}) {
			t.Error("a mapped address counted as another client")
		}
	})
	t.Run("AC-091 a client that a trusted proxy names is another client", func(t *testing.T) {
		if w.guesses(t, proxy(t), budget+1, rotating) {
			t.Error("a trusted proxy is not believed")
		}
	})
	t.Run("AC-092 what is no address is no way around", func(t *testing.T) {
		if !w.guesses(t, w.gateway.from(w.stranger(t), "127.66.1.1"), budget+1, func(i int) [2]string {
			return [2]string{"X-Forwarded-For", []string{"unknown", "", "1.2.3.4.5", "999.1.1.1", "a, b", "_hidden"}[i%6]}
		}) {
			t.Error("attempts without an address have no limit")
		}
	})
}

// https is believed from TLS, from a trusted proxy or from "origin", and plain
// http beyond localhost is refused.
func TestHostile_plain_http(t *testing.T) {
	g := start(t, throttledSite)
	claims := [][2]string{
		{"X-Forwarded-Proto", "https"}, {"X-Forwarded-Ssl", "on"}, {"X-Forwarded-Scheme", "https"}, {"Forwarded", "proto=https"},
		{"X-Forwarded-Port", "443"}, {"Front-End-Https", "on"}, {"X-Url-Scheme", "https"}, {"Upgrade-Insecure-Requests", "1"},
	}
	plain := g.plainWire("app.example.test")
	t.Run("refused, whatever a client claims", func(t *testing.T) {
		for _, claim := range append(claims, [2]string{"Accept", "text/html"}) {
			for _, path := range []string{"/x", "/.mfa/sign-in", "/.mfa/account"} {
				a := plain.h1(plainGet(path).with(claim))
				if a.status != http.StatusForbidden || strings.Contains(a.body, `type="password"`) || a.header.Get("Strict-Transport-Security") != "" {
					t.Errorf("%s with %v: %s", path, claim, a)
				}
				if a := plain.h1(message{method: "POST", target: path, header: [][2]string{claim, {"Content-Type", "application/x-www-form-urlencoded"}}, body: "name=a&password=b"}); a.status != http.StatusForbidden {
					t.Errorf("POST %s with %v: %s", path, claim, a)
				}
			}
		}
	})
	t.Run("hosts that only look like localhost", func(t *testing.T) {
		g := start(t, strings.Replace(throttledSite, "http://app.example.test:{$PORT}", "http://:{$PORT}", 1))
		for _, host := range []string{"localhost.evil.test", "evil-localhost", "127.0.0.1.evil.test", "app.example.test", "10.0.0.1", "xn--localhost"} {
			if a := g.plainWire(host).h1(plainGet("/.mfa/sign-in")); a.status != http.StatusForbidden {
				t.Errorf("%s: %s", host, a)
			}
		}
		for _, host := range []string{"127.1", "2130706433", "0x7f.1", "localhost%00.evil.test"} {
			if a := g.plainWire(host).h1(plainGet("/.mfa/sign-in")); a.status < 400 {
				t.Errorf("%s: %s", host, a)
			}
		}
		for _, host := range []string{"localhost", "app.localhost", "127.0.0.1", "[::1]", "LOCALHOST"} {
			if a := g.plainWire(host).h1(plainGet("/.mfa/sign-in")); a.status != http.StatusOK {
				t.Errorf("%s: %s", host, a)
			}
		}
	})
	t.Run("a trusted proxy is believed", func(t *testing.T) {
		trusted := plain
		trusted.from = "127.66.0.1"
		a := trusted.h1(plainGet("/.mfa/sign-in").with([2]string{"X-Forwarded-Proto", "https"}))
		if a.status != http.StatusOK || !strings.Contains(strings.Join(a.header["Set-Cookie"], ""), "Secure") {
			t.Errorf("%s %v", a, a.header)
		}
		for _, lines := range [][][2]string{
			{{"X-Forwarded-Proto", "http"}}, {{"X-Forwarded-Proto", "https, http"}}, {{"X-Forwarded-Proto", "http, https"}},
			{{"X-Forwarded-Proto", "https"}, {"X-Forwarded-Proto", "http"}}, {{"X-Forwarded-Proto", "http"}, {"X-Forwarded-Proto", "https"}},
			{{"X-Forwarded-Proto", ""}}, {{"X-Forwarded-Proto", "HTTPS://"}}, {{"X_Forwarded_Proto", "https"}}, {{"X.Forwarded.Proto", "https"}},
		} {
			if a := trusted.h1(plainGet("/.mfa/sign-in").with(lines...)); a.status != http.StatusForbidden {
				t.Errorf("%q: %s", lines, a)
			}
		}
	})
	t.Run("origin is believed for its own host alone", func(t *testing.T) {
		g := start(t, strings.Replace(throttledSite, "\tmfa\n\tdefault", "\tmfa {\n\t\torigin https://app.example.test\n\t}\n\tdefault", 1))
		if a := g.plainWire("app.example.test").h1(plainGet("/.mfa/sign-in")); a.status != http.StatusOK || !strings.Contains(strings.Join(a.header["Set-Cookie"], ""), "__Host-mfa-csrf") {
			t.Errorf("%s %v", a, a.header)
		}
	})
	t.Run("AC-220 a session of https is none over plain http", func(t *testing.T) {
		w := attack(t)
		a := w.plainWire("app.example.test").h1(plainGet("/x").cookie(w.session))
		if a.status != http.StatusForbidden {
			t.Errorf("%s", a)
		}
	})
	t.Run("the sign-in page's own address stays on plain localhost", func(t *testing.T) {
		g := start(t, localhost)
		a := g.plainWire("localhost").h1(plainGet("/x?y=" + url.QueryEscape("https://e.test")))
		if a.status != http.StatusFound || !strings.HasPrefix(a.header.Get("Location"), "/.mfa/sign-in?rd=") {
			t.Errorf("%s", a)
		}
	})
}

// AC-011, AC-206: oversized requests end early.
func TestHostile_sizes_AC011(t *testing.T) {
	w := attack(t)
	w.each(t, func(t *testing.T, send func(message) answer, _ string) {
		many := make([]string, 200)
		for i := range many {
			many[i] = fmt.Sprintf(w.hostCookie()+"=%d", i)
		}
		for name, line := range map[string]string{
			"dots":         w.hostCookie() + "=" + strings.Repeat(".", 15<<10),
			"nesting":      w.hostCookie() + "=" + strings.Repeat("eyJ7", 3<<10) + ".e30.e30",
			"200 cookies":  strings.Join(many, "; "),
			"beyond 16 kB": w.hostCookie() + "=" + strings.Repeat("a", 20<<10),
		} {
			t.Run("AC-011 "+name, func(t *testing.T) {
				begun := time.Now()
				a, h := w.reaches(send, plainGet("/x").cookie(line))
				if fault := denied(a, h); fault != "" && a.status != http.StatusRequestHeaderFieldsTooLarge {
					t.Error(fault)
				}
				if took := time.Since(begun); took > 2*time.Second {
					t.Errorf("it took %s", took)
				}
			})
		}
		t.Run("AC-148 a body beyond 64 kB", func(t *testing.T) {
			m := message{method: "POST", target: "/.mfa/sign-in", header: [][2]string{{"Content-Type", "application/x-www-form-urlencoded"}}, body: "csrf=x&name=" + strings.Repeat("a", 200<<10)}
			if a, h := w.reaches(send, m); h != nil || a.err == nil && (a.status < 400 || a.status >= 500) {
				t.Errorf("%s", a)
			}
		})
	})
}

// AC-085: an app that speaks HTTP/2 in the clear says yes to an upgrade. Past that
// answer nobody reads what the client sends, so it must never be asked: neither by a
// stranger on an open path nor by somebody who is signed in.
func TestHostile_no_tunnel_into_the_app_AC085(t *testing.T) {
	upgraded := make(chan string, 100)
	app := listen(t, func(c net.Conn) {
		head := make([]byte, 4<<10)
		n, _ := c.Read(head)
		if strings.Contains(strings.ToLower(string(head[:n])), "\nupgrade:") {
			upgraded <- string(head[:n])
			_, _ = io.WriteString(c, "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: h2c\r\n\r\n")
			return
		}
		_, _ = io.WriteString(c, "HTTP/1.1 200 OK\r\nX-App: 1\r\nContent-Length: 2\r\nConnection: close\r\n\r\nok")
	})
	g := start(t, hostileSite, "APP="+app)
	c := g.from(g.secureClient(t, "app", false), network())
	c.signUp("alice")
	w := g.secureWire()
	for _, upgrade := range []string{"h2c", "h2c, websocket", "websocket, h2c", "TLS/1.2", "foo"} {
		for path, cookie := range map[string]string{"/public/x": "", "/x": "Cookie: " + c.line() + "\r\n"} {
			text := "GET " + path + " HTTP/1.1\r\nHost: " + w.host + "\r\n" + cookie +
				"Connection: Upgrade, HTTP2-Settings\r\nUpgrade: " + upgrade + "\r\nHTTP2-Settings: AAMAAABkAAQAAP__\r\n\r\n"
			answers := w.raw("GET", text, 1)
			if len(answers) != 1 || answers[0].status != 200 {
				t.Errorf("%s at %s: %v", upgrade, path, answers)
			}
		}
	}
	select {
	case head := <-upgraded:
		t.Errorf("the app was asked to upgrade:\n%s", head)
	default:
	}
}

// listen runs a server that speaks for itself, one function for each connection.
func listen(t *testing.T, serve func(net.Conn)) (address string) {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = l.Close() })
	go func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			go func() {
				defer c.Close()
				serve(c)
			}()
		}
	}()
	return l.Addr().String()
}
