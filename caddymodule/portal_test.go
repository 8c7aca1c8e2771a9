package caddymodule

import (
	"fmt"
	"net/http"
	"strings"
	"testing"
)

// An app beside the portal, once broken into, would act there for everybody who signs in;
// and people are sent to the portal by its one name.
func TestPortal_WhereItStands(t *testing.T) {
	for _, c := range []struct {
		name, sites string
		want        error // nil: it loads
	}{
		{"alone", "http://auth.localhost:PORT {\n\tmfa_portal\n}", nil},
		{"with headers and a log", "http://auth.localhost:PORT {\n\tlog\n\theader X-Robots-Tag noindex\n\tmfa_portal\n}", nil},
		{"in a named route", "http://auth.localhost:PORT {\n\tinvoke named\n}\n&(named) {\n\tmfa_portal\n}", nil},
		{"before an app", "http://auth.localhost:PORT {\n\tmfa_portal\n\treverse_proxy localhost:3000\n}", errPortalShared},
		{"with mfa", "http://auth.localhost:PORT {\n\tmfa\n\tmfa_portal\n}", errPortalShared},
		{"beside files in a handle", "http://auth.localhost:PORT {\n\thandle /x/* {\n\t\tfile_server\n\t}\n\tmfa_portal\n}", errPortalShared},
		{"under two names", "http://auth.localhost:PORT, http://login.localhost:PORT {\n\tmfa_portal\n}", errPortalTwice},
		{"twice", "http://auth.localhost:PORT {\n\tmfa_portal\n}\nhttp://login.localhost:PORT {\n\tmfa_portal\n}", errPortalTwice},
		{"with a star", "http://*.localhost:PORT {\n\tmfa_portal\n}", errPortalUnnamed},
		{"without a name", "http://:PORT {\n\tmfa_portal\n}", errPortalUnnamed},
	} {
		t.Run(c.name, func(t *testing.T) {
			g := newGateway(t)
			port := freePort(t)
			err := g.load(g.text("require on", "mfa\n\trespond ok") + "\n" + strings.ReplaceAll(c.sites, "PORT", port))
			if c.want == nil && err != nil || c.want != nil && (err == nil || !strings.Contains(err.Error(), c.want.Error())) {
				t.Errorf("got %v, want %v", err, c.want)
			}
		})
	}
}

// AC-217 of the portal's host: nothing but the gate, and the console with it.
func TestPortal_AC217_ServesTheGateAlone(t *testing.T) {
	g := newGateway(t)
	port := freePort(t)
	g.mustLoad(g.text("require on", "mfa\n\trespond ok") + "\nhttp://localhost:" + port + " {\n\tmfa_portal\n}\n")
	g.host = "localhost:" + port
	for path, want := range map[string]string{
		"/": "303 /.mfa/admin", "/x": "404 ", "/.mfa/admin": "303 /.mfa/sign-in?to=admin", "/.mfa/health": "200 ", "/.mfa/sign-in": "200 ",
		"/.mfa/api/admin/users": "401 ", "/.mfa/nothing": "404 ",
	} {
		res, _ := g.get(path, nil)
		if got := fmt.Sprint(res.StatusCode, " ", res.Header.Get("Location")); got != want {
			t.Errorf("%s: %s, want %s", path, got, want)
		}
	}
	if res, _ := g.get("/.mfa/account", g.signIn("alice", 0)); res.StatusCode != http.StatusOK {
		t.Errorf("the account page: %d", res.StatusCode)
	}
}
