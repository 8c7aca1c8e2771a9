package caddymodule

import (
	"fmt"
	"strings"
	"testing"
)

// The document of related origins is served to who reads it, at the host that is the
// domain, and opens nothing beside it.
func TestHandler_RelatedOrigins(t *testing.T) {
	a, g := newApp(t), newGateway(t)
	text := g.text("domain example.com\n\t\trelated_origins https://example.de", "mfa\n\treverse_proxy "+strings.TrimPrefix(a.URL, "http://"))
	text = strings.Replace(text, "http://localhost:"+g.port, "http://:"+g.port, 1)
	text = strings.Replace(text, "\tmfa {", "\tservers {\n\t\ttrusted_proxies static 127.0.0.1/32 ::1/128\n\t}\n\tmfa {", 1)
	g.mustLoad(text)
	ask := func(method, host, path string) int {
		return g.raw(fmt.Sprintf("%s %s HTTP/1.1\r\nHost: %s\r\nX-Forwarded-Proto: https\r\nContent-Length: 0\r\nConnection: close\r\n\r\n", method, path, host))
	}
	for _, c := range []struct {
		method, host, path string
		want               int
	}{
		{"GET", "example.com", "/.well-known/webauthn", 200},
		{"HEAD", "example.com", "/.well-known/webauthn", 200},
		{"GET", "example.com", "/.well-known/webauthn?x", 200},
		{"POST", "example.com", "/.well-known/webauthn", 401},
		{"DELETE", "example.com", "/.well-known/webauthn", 401},
		{"GET", "app.example.com", "/.well-known/webauthn", 401},
		{"GET", "example.de", "/.well-known/webauthn", 401},
		{"GET", "example.com:8443", "/.well-known/webauthn", 401},
		{"GET", "example.com", "/.well-known/webauthn/", 401},
		{"GET", "example.com", "/.well-known/webauthn/x", 401},
		{"GET", "example.com", "/.well-known/webauthn;x", 401},
		{"GET", "example.com", "/.well-known/webauthn%00", 401},
		{"GET", "example.com", "/.well-known", 401},
	} {
		if got := ask(c.method, c.host, c.path); got != c.want {
			t.Errorf("%s %s%s: %d, want %d", c.method, c.host, c.path, got, c.want)
		}
	}
	if n := a.hits.Load(); n != 0 {
		t.Errorf("the app was asked %d times", n)
	}
}
