package e2e

import (
	"bufio"
	"bytes"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"html"
	"io"
	"net"
	"net/http"
	"regexp"
	"strings"
	"sync"
	"testing"
)

// app is the app behind the gate. It keeps the bytes of every request as they
// came, because what a library has parsed no longer shows a second header line or
// a trailer.
type app struct {
	Addr string

	mu     sync.Mutex
	hits   []hit
	answer func(c net.Conn, h hit) bool
}

// hit is one request that reached the app.
type hit struct {
	Raw     string // head, body and trailers, byte for byte
	Request *http.Request
	Body    []byte
}

// newApp listens until the test ends.
func newApp(t testing.TB) *app {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = l.Close() })
	a := &app{Addr: l.Addr().String()}
	go func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			go a.serve(c)
		}
	}()
	return a
}

// Hits returns the requests so far whose target begins with prefix.
func (a *app) Hits(prefix string) []hit {
	a.mu.Lock()
	defer a.mu.Unlock()
	var list []hit
	for _, h := range a.hits {
		if strings.HasPrefix(h.Request.RequestURI, prefix) {
			list = append(list, h)
		}
	}
	return list
}

// Count returns how many requests reached the app so far.
func (a *app) Count() int {
	a.mu.Lock()
	defer a.mu.Unlock()
	return len(a.hits)
}

// Last returns the newest request.
func (a *app) Last(t testing.TB) hit {
	t.Helper()
	a.mu.Lock()
	defer a.mu.Unlock()
	if len(a.hits) == 0 {
		t.Fatal("nothing reached the app")
	}
	return a.hits[len(a.hits)-1]
}

// Forget drops what was kept, for tests that send very much.
func (a *app) Forget() {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.hits = nil
}

// Answer replaces the app's answer. It writes the whole response itself and
// reports whether the connection stays open.
func (a *app) Answer(f func(c net.Conn, h hit) (keep bool)) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.answer = f
}

func (a *app) serve(c net.Conn) {
	defer c.Close()
	rec := new(bytes.Buffer)
	in := bufio.NewReader(io.TeeReader(c, rec))
	for {
		r, err := http.ReadRequest(in)
		if err != nil {
			return
		}
		if strings.EqualFold(r.Header.Get("Expect"), "100-continue") {
			_, _ = io.WriteString(c, "HTTP/1.1 100 Continue\r\n\r\n")
		}
		body, err := io.ReadAll(r.Body)
		if err != nil {
			return
		}
		h := hit{Raw: legible(string(rec.Next(rec.Len() - in.Buffered()))), Request: r, Body: body}
		a.mu.Lock()
		a.hits = append(a.hits, h)
		answer := a.answer
		a.mu.Unlock()
		if answer == nil {
			answer = appPage
		}
		if !answer(c, h) {
			return
		}
	}
}

// appPage is the app's usual answer: it says whom it sees and where.
func appPage(c net.Conn, h hit) bool {
	r := h.Request
	status, body := "200 OK", fmt.Sprintf(`<!doctype html><html lang="en"><head><meta charset="utf-8"><meta name="viewport" content="width=device-width, initial-scale=1"><title>The app</title></head><body><main><h1>The app</h1>
<p>User: <b id="user">%s</b></p><p>Path: <b id="path">%s</b></p>
<form method="post" action="/form"><label for="note">Note</label> <input id="note" name="note"><button>Send</button></form>
<p><a href="/.mfa/account">Account</a> <a href="/.mfa/sign-out">Sign out</a></p></main></body></html>
`, html.EscapeString(r.Header.Get("Remote-User")), html.EscapeString(r.RequestURI))
	if r.URL.Path == "/favicon.ico" {
		status, body = "404 Not Found", ""
	}
	_, err := fmt.Fprintf(c, "HTTP/1.1 %s\r\nContent-Type: text/html; charset=utf-8\r\nContent-Length: %d\r\nX-App: hit\r\n\r\n", status, len(body))
	if err == nil && r.Method != http.MethodHead {
		_, err = io.WriteString(c, body)
	}
	return err == nil && !r.Close
}

// signedLine is the header of an assertion.
var signedLine = regexp.MustCompile(`(?im)^mfa-assertion: [\w-]+\.([\w-]+)\.[\w-]+\r$`)

// legible puts whose assertion it is in place of the assertion, which no test could compare,
// and in which any word may stand by chance. Whether it holds is tested elsewhere.
func legible(raw string) string {
	return signedLine.ReplaceAllStringFunc(raw, func(line string) string {
		payload, err := base64.RawURLEncoding.DecodeString(signedLine.FindStringSubmatch(line)[1])
		var claims struct {
			User string `json:"preferred_username"`
		}
		if err != nil || json.Unmarshal(payload, &claims) != nil {
			return line
		}
		return "Mfa-Assertion: of " + claims.User + "\r"
	})
}
