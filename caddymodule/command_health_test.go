package caddymodule

import (
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/caddyserver/caddy/v2"
)

// What watches a container asks without a shell, and knows two numbers.
func TestCommand_Health(t *testing.T) {
	g := newGateway(t)
	text := g.text("require on", "mfa\n\trespond app")
	g.mustLoad(text)
	ask := func(code int, want string, args ...string) {
		t.Helper()
		out, errs, got := program(t, append([]string{"mfa", "health"}, args...)...)
		if got != code || !strings.Contains(out+errs, want) {
			t.Errorf("%v: %d %q %q, want %d and %q", args, got, out, errs, code, want)
		}
	}
	ask(0, "serves", "--config", g.file)
	ask(0, "serves", "--address", g.admin)
	ask(0, `"status":"ok"`, "--json", "--url", "http://"+g.host)
	ask(1, "no address", "--url", "localhost")

	other := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write([]byte("hello")) }))
	defer other.Close()
	ask(1, "no gateway", "--url", other.URL)

	running, err := caddy.ActiveContext().AppIfConfigured("mfa")
	if err != nil {
		t.Fatal(err)
	}
	app := running.(*App)
	pooled := app.rt.Load().pooled.store
	sick := &sickStore{openStore: pooled.store}
	sick.fail.Store(true)
	// What asks runs in this process, for a program that runs in another one.
	app.health.onStore(func() { pooled.store = sick })
	ask(1, "the store does not answer", "--address", g.admin)
	ask(1, "the store does not answer", "--url", "http://"+g.host)

	deaf := &deafStore{openStore: sick.openStore}
	app.health.onStore(func() { pooled.store = deaf })
	ask(1, "not heard of", "--config", g.file)
	app.health.onStore(func() { pooled.store = sick.openStore })

	g.stopped(text)
	ask(1, "no configuration with mfa is running", "--config", g.file)
	ask(1, "no gateway answers", "--address", "localhost:"+freePort(t))
	g.stopped(strings.Replace(text, "admin "+g.admin, "admin off", 1))
	ask(1, "--url", "--config", g.file)
}

// onStore has put another store in the place of the one that is asked, and what it said
// forgotten.
func (h *health) onStore(put func()) {
	h.mu.Lock()
	defer h.mu.Unlock()
	put()
	h.at = time.Time{}
}

// deafStore does not hear of what other nodes change.
type deafStore struct{ openStore }

func (*deafStore) InStep() bool { return false }
