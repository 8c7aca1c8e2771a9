package e2e

import (
	"fmt"
	"net/http"
	"net/http/httputil"
	"net/url"
	"os"
	"strings"
	"sync"
	"testing"
	"time"
)

// balance serves the site at the address that browsers know, and gives each request to the
// next gateway: whatever two requests share has to be in the database, or in the browser.
func (c *cluster) balance() {
	c.t.Helper()
	proxy := &httputil.ReverseProxy{Rewrite: func(r *httputil.ProxyRequest) {
		n := c.front.one()
		r.SetURL(&url.URL{Scheme: "http", Host: n.at(n.Port)})
		r.Out.Host = r.In.Host
		r.SetXForwarded()
	}}
	server := &http.Server{Addr: c.front.at(c.front.Port), Handler: proxy}
	failed := make(chan error, 1)
	go func() { failed <- server.ListenAndServe() }()
	c.t.Cleanup(func() {
		_ = server.Close()
		if err := <-failed; err != http.ErrServerClosed {
			c.t.Error(err)
		}
	})
}

// link waits for the one link for the first account, and holds that no other gateway has
// made one.
func (c *cluster) link() string {
	c.t.Helper()
	var links []string
	for _, n := range c.nodes {
		text, err := os.ReadFile(n.file("data/caddy/secondgate/postgres.setup-link"))
		if err == nil {
			links = append(links, strings.TrimSpace(string(text)))
		}
	}
	if len(links) != 1 {
		c.t.Fatalf("the first start of %d gateways made %d links (AC-228)", len(c.nodes), len(links))
	}
	return links[0]
}

// Two gateways that start at once on a new database, and people whose every request comes to
// the other one: the first account, factors, codes, passkeys, the account pages, a sign-in at
// a provider. Then what the gateways say of it.
func TestCluster_EachRequestToTheOtherGateway(t *testing.T) {
	c := prepareCluster(t, 2, strings.Replace(clustered, "\t\tsession {", "\t\tidentity local\n"+atAcme+"\t\tsession {", 1))
	p := startCertified(t, c.front.base())
	var group sync.WaitGroup
	for _, n := range c.nodes {
		n.env = append(n.env, "ISSUER="+p.Issuer, "OIDC_SECRET="+oidcSecret)
		group.Go(func() {
			if err := n.tryLaunch(); err != nil {
				t.Errorf("starting a gateway: %v\n%s", err, n.output.last(4<<10))
			}
		})
	}
	group.Wait()
	c.ready()
	link := c.link()
	c.balance()

	b := c.front.browse(t)
	b.beginWith(link, "alice")
	phone := b.addApp()
	b.takeCodes()
	b.arrive("alice", "/")
	b.goTo("/.mfa/account")
	b.until("the account", `document.querySelector("h1")`)
	b.signOut()
	b.goTo("/reports?q=1")
	b.signIn("alice")
	b.see("Verify it’s you")
	b.enterCode(phone.code(t))
	b.arrive("alice", "/reports?q=1")
	b.signOut()

	other := c.front.browse(t)
	other.goTo("/reports?q=a%20b")
	other.see("Sign in")
	other.button("Continue with Acme")
	other.atProvider("anna", "anna's own")
	other.see("Set up a second step")
	other.addPasskey()
	other.takeCodes()
	other.arrive("anna", "/reports?q=a%20b")
	other.signOut()

	// What the one did, the other one shows; the record of both is one chain.
	for i, n := range c.nodes {
		list := n.mfa(t, "users", "list")
		if !strings.Contains(list, "alice") || !strings.Contains(list, "anna") {
			t.Errorf("%s does not list both:\n%s", n.bind, list)
		}
		n.mfa(t, "explain", "alice", c.front.base()+"/reports")
		var key struct {
			Secret string
			Key    struct{ ID string }
		}
		there := c.nodes[1-i]
		n.ask(t, "keys/create", map[string]any{"name": "desk", "scopes": []string{"users:read"}, "for": "1d"}, &key)
		there.order(t, "keys/revoke", map[string]any{"key": key.Key.ID})
		var keys struct{ Keys []struct{ ID string } }
		if n.ask(t, "keys/list", nil, &keys); len(keys.Keys) != 0 {
			t.Errorf("a key that the other gateway revoked is there: %v", keys)
		}
	}
	before := time.Now()
	for i := range 200 { // at once, with every append of the one between two of the other
		group.Go(func() {
			c.nodes[i%2].order(t, "policy/set", map[string]any{"field": "grace", "values": []string{fmt.Sprintf("%dd", 1+i%20)}, "force": true})
		})
		if i%20 == 19 {
			group.Wait()
		}
	}
	group.Wait()
	t.Logf("200 changes by two gateways: %s", time.Since(before).Round(time.Millisecond))
	for _, n := range c.nodes {
		n.mfa(t, "audit", "verify")
	}
}
