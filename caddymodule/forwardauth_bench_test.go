package caddymodule

import (
	"net/http"
	"net/http/httptest"
	"testing"
	"time"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/modules/caddyhttp"
)

// asking returns a function that sends one question, which is allowed, through the portal's
// handler, and one that only prepares it.
func asking(tb testing.TB, g *gateway, cookie *http.Cookie) (through, prepared func()) {
	tb.Helper()
	running, err := caddy.ActiveContext().AppIfConfigured("mfa")
	if err != nil {
		tb.Fatal(err)
	}
	h := &PortalHandler{app: running.(*App)}
	prepare := func(w http.ResponseWriter) *http.Request {
		r := httptest.NewRequest(http.MethodGet, "/.mfa/auth/caddy", nil)
		r.Host, r.RemoteAddr = "auth.localhost", "127.0.0.1:40000"
		for name, value := range map[string]string{
			"Cookie": cookie.String(), "Accept": "text/html", "X-Forwarded-Method": "GET", "X-Forwarded-Proto": "http", "X-Forwarded-Host": g.host,
			"X-Forwarded-Uri": "/page", "X-Forwarded-For": "192.0.2.7",
		} {
			r.Header.Set(name, value)
		}
		return caddyhttp.PrepareRequest(r, caddy.NewReplacer(), w, nil)
	}
	through = func() {
		w := discard{http.Header{}}
		if err := h.ServeHTTP(w, prepare(w), nil); err != nil {
			tb.Fatal(err)
		}
		if lines := w.h["Remote-User"]; len(lines) != 1 || lines[0] != "alice" {
			tb.Fatalf("not allowed: %v", w.h)
		}
	}
	return through, func() { w := discard{http.Header{}}; prepare(w) }
}

// What one question costs in memory, above what Caddy itself makes for it.
func TestForwardAuth_Allocations(t *testing.T) {
	g := newGateway(t)
	text, _ := g.portalText("mfa", "peers 127.0.0.1")
	g.mustLoad(text)
	through, prepared := asking(t, g, g.signIn("alice", time.Minute))
	through()
	got := testing.AllocsPerRun(200, through) - testing.AllocsPerRun(200, prepared)
	t.Logf("%.0f allocations", got)
	if got > 10 {
		t.Errorf("a question that is allowed makes %.0f allocations, want at most 10", got)
	}
}

func BenchmarkForwardAuth(b *testing.B) {
	g := newGateway(b)
	text, _ := g.portalText("mfa", "peers 127.0.0.1")
	g.mustLoad(text)
	through, prepared := asking(b, g, g.signIn("alice", time.Minute))
	b.Run("Through", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			through()
		}
	})
	b.Run("PreparedOnly", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			prepared()
		}
	})
}
