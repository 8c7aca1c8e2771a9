package e2e

import (
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/secondgate/secondgate/internal/oidctest"
)

// Where the configuration believes the provider in its second factor, nobody is asked for
// another; for something fresh they are, and for whom the provider says nothing of it.
func TestPeople_TrustMFA(t *testing.T) {
	t.Parallel()
	g, p := withProvider(t, strings.Replace(atAcme, "confirm 1m", "trust_mfa {\n\t\t\t\tamr otp\n\t\t\t}", 1))
	g.launch(t)
	p.Change("alice", func(u *oidctest.User) { u.AMR = []string{"pwd", "otp"} })
	c := g.client(t)
	if page := c.signInAt(p, "alice"); !page.FromApp() {
		t.Fatalf("a second factor at the provider led to %d %s", page.Status, page.Text())
	}
	g.App.told(t, "alice", "Alice Adams", "alice@example.com", "staff,ops")
	if page := c.get("/vault/x"); !page.FromApp() {
		t.Errorf("fresh, a moment after: %d %s", page.Status, page.Text())
	}
	g.advance(t, 6*time.Minute)
	if page := c.get("/vault/x"); page.FromApp() || page.Status != http.StatusOK {
		t.Errorf("fresh, six minutes later: %d %s", page.Status, page.Text())
	}
	if page := c.get("/x"); !page.FromApp() {
		t.Errorf("beside it, six minutes later: %d %s", page.Status, page.Text())
	}
	if page := c.another().signInAt(p, "bob"); page.Title() != "Set up a second step" {
		t.Errorf("without a second factor at the provider: %d %s", page.Status, page.Text())
	}
}

// A gateway without accounts of its own: its first start makes no link, and says what to do
// instead; that makes an administrator.
func TestPeople_FirstStart(t *testing.T) {
	t.Parallel()
	console := "http://localhost:{$TLS_PORT} {\n\tmfa_console\n}\n"
	g, p := withProvider(t, atAcme)
	g.configure(t, g.caddyfile+console)
	g.launch(t)
	const says = "secondgate mfa users role NAME admin"
	if !soon(func() bool { return strings.Contains(g.log(), says) }) {
		t.Errorf("the log does not say %q", says)
	}
	if r := g.run("mfa", "--config", g.file("Caddyfile"), "setup-link"); r.Code == 0 || !strings.Contains(r.Stderr, "users role") {
		t.Errorf("setup-link: exit status %d, %s", r.Code, r.Stderr)
	}
	c := g.client(t)
	c.signInAt(p, "alice")
	c.settle("alice")
	g.mfa(t, "users", "role", "alice", "admin")
	if shown := g.mfa(t, "users", "show", "alice"); !strings.Contains(shown, "admin") {
		t.Errorf("alice is\n%s", shown)
	}
}
