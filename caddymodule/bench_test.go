package caddymodule

import (
	"net/http"
	"net/http/httptest"
	"testing"
	"time"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/modules/caddyhttp"
)

// discard is a writer that keeps nothing.
type discard struct{ h http.Header }

func (d discard) Header() http.Header         { return d.h }
func (d discard) Write(b []byte) (int, error) { return len(b), nil }
func (d discard) WriteHeader(int)             {}

// passing returns a function that sends one allowed request through the handler,
// as Caddy prepares it, and one that only prepares it.
func passing(tb testing.TB, g *gateway, cookie *http.Cookie) (through, prepared func()) {
	tb.Helper()
	running, err := caddy.ActiveContext().AppIfConfigured("mfa")
	if err != nil {
		tb.Fatal(err)
	}
	app := running.(*App)
	h := &Handler{app: app}
	w := discard{http.Header{}}
	next := caddyhttp.HandlerFunc(func(http.ResponseWriter, *http.Request) error { return nil })
	prepare := func() *http.Request {
		r := httptest.NewRequest(http.MethodGet, "http://"+g.host+"/page", nil)
		r.Header.Set("Cookie", cookie.String())
		r.Header.Set("User-Agent", "Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0")
		r.Header.Set("Accept", "text/html")
		return caddyhttp.PrepareRequest(r, caddy.NewReplacer(), w, nil)
	}
	through = func() {
		r := prepare()
		if err := h.ServeHTTP(w, r, next); err != nil {
			tb.Fatal(err)
		}
		if user, _ := r.Context().Value(caddy.ReplacerCtxKey).(*caddy.Replacer).GetString("http.auth.user.id"); user != "alice" {
			tb.Fatal("the request was not allowed")
		}
	}
	return through, func() {
		_, _ = prepare().Context().Value(caddy.ReplacerCtxKey).(*caddy.Replacer).GetString("http.auth.user.id")
	}
}

// What one allowed request costs in memory, above what Caddy itself makes for it:
// the guard's six, and the name for Caddy's placeholder.
func TestHandler_Allocations(t *testing.T) {
	g := newGateway(t)
	g.mustLoad(g.text("require on", "mfa\n\trespond ok"))
	through, prepared := passing(t, g, g.signIn("alice", time.Minute))
	through()
	got := testing.AllocsPerRun(200, through) - testing.AllocsPerRun(200, prepared)
	t.Logf("%.0f allocations", got)
	if got > 7 {
		t.Errorf("an allowed request makes %.0f allocations, want at most 7", got)
	}
}

func BenchmarkHandlerCached(b *testing.B) {
	g := newGateway(b)
	g.mustLoad(g.text("require on", "mfa\n\trespond ok"))
	through, prepared := passing(b, g, g.signIn("alice", time.Minute))
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
