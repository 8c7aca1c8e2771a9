package e2e

import (
	"errors"
	"net/http"
	"strings"
	"testing"
)

// Two tenants below one site, each an organization of its own, named by the host.
const tenants = `{
	mfa {
		require off
		prompt never
		organization_required at_access
		organization acme {
			name "Acme Ltd"
			require on
		}
		organization beta {
			name "Beta"
		}
		organization strict {
			phishing_resistant
		}
	}
	default_bind 127.0.0.1
}
http://localhost:{$PORT} {
	mfa
	mfa /acme/* {
		organization acme
	}
	mfa /strict/* {
		organization strict
	}
	mfa /by-header/* {
		organization {http.request.header.X-Tenant}
	}
	reverse_proxy {$APP}
}
`

// B5, B6: a route of an organization admits its members alone, and asks of them what
// the organization asks, and of nobody else.
func TestOrganization_Routes(t *testing.T) {
	t.Parallel()
	g := start(t, tenants)
	c := g.client(t)
	c.openLink(g.firstLink(t), "alice")
	if p := c.get("/"); !p.FromApp() {
		t.Fatalf("nothing requires a second factor, and still: %d %s", p.Status, p.Text())
	}

	hits := g.App.Count()

	// Nobody's member: the same answer for an organization that is there, one that is
	// not, and one without a name.
	var texts []string
	for _, tenant := range []string{"acme", "nobody", "", "../acme", "{http.request.host}", "ACME; DROP"} {
		r := c.request(http.MethodGet, "/by-header/x", nil)
		r.Header.Set("X-Tenant", tenant)
		p := c.follow(r)
		if p.FromApp() || p.Status != http.StatusForbidden {
			t.Fatalf("tenant %q: %d %s", tenant, p.Status, p.Text())
		}
		text, _, _ := strings.Cut(p.Text(), "Decision")
		if strings.Contains(text, "Acme") {
			t.Errorf("tenant %q: the page names the organization: %s", tenant, text)
		}
		texts = append(texts, text)
	}
	for _, text := range texts[1:] {
		if text != texts[0] {
			t.Errorf("one can see which organization there is:\n%s\n%s", texts[0], text)
		}
	}
	if n := g.App.Count() - hits; n != 0 {
		t.Fatalf("%d requests reached the app", n)
	}
}

// report_only asks nobody, and says in the record what it would have asked (rule B18).
func TestReportOnly(t *testing.T) {
	t.Parallel()
	g := start(t, withOptions("report_only"))
	c := g.client(t)
	c.openLink(g.firstLink(t), "alice")
	if p := c.get("/vault/x"); !p.FromApp() {
		t.Fatalf("report_only stops somebody: %d %s", p.Status, p.Text())
	}
	if got := g.App.Last(t).Request.Header.Get("Remote-User"); got != "alice" {
		t.Errorf("the app was told of %q", got)
	}
	if log := g.log(); !strings.Contains(log, `"report_only"`) || !strings.Contains(log, "set_up:nothing_set_up") {
		t.Error("nothing says what would have been asked")
	}
	if log := g.log(); !strings.Contains(log, "a password alone opens every protected app") {
		t.Error("the start does not shout")
	}
	if p := c.another().get("/"); p.FromApp() {
		t.Error("a stranger came in")
	}
}

// A route of an organization that nobody has made refuses everybody. The start says so,
// and once it is made its members come in, without a reload (B36).
func TestOrganization_MadeLater(t *testing.T) {
	t.Parallel()
	g := start(t, strings.Replace(withOptions("require off\n\t\tprompt never"), "mfa /vault/*", "mfa /tenant/* {\n\t\torganization later\n\t}\n\tmfa /vault/*", 1))
	if err := g.wait(func() error {
		if !strings.Contains(g.log(), "secondgate mfa orgs set later") {
			return errors.New("the start does not warn of it")
		}
		return nil
	}); err != nil {
		t.Error(err)
	}
	c := g.client(t)
	c.openLink(g.firstLink(t), "alice")
	if p := c.get("/tenant/x"); p.FromApp() || p.Status != http.StatusForbidden {
		t.Fatalf("a route of nobody's is open: %d", p.Status)
	}
	g.mfa(t, "orgs", "set", "later", "--name", "Later Ltd")
	if p := c.get("/tenant/x"); p.FromApp() {
		t.Error("who is no member came in")
	}
	g.mfa(t, "orgs", "add", "later", "alice")
	if p := c.get("/tenant/x"); !p.FromApp() {
		t.Errorf("a member is kept out: %d %s", p.Status, p.Text())
	}
	// What the organization asks holds on the next request.
	g.mfa(t, "orgs", "set", "later", "--require")
	if p := c.get("/tenant/x"); p.FromApp() || !p.Has("Set up a second step") {
		t.Errorf("the requirement does not hold: %d %s", p.Status, p.Text())
	}
	if p := c.get("/tenant/x"); p.FromApp() {
		t.Error("the requirement does not hold the second time")
	}
	g.mfa(t, "orgs", "drop", "later", "alice")
	if p := c.get("/tenant/x"); p.FromApp() || p.Status != http.StatusForbidden {
		t.Errorf("who is a member no more came in: %d", p.Status)
	}
}
