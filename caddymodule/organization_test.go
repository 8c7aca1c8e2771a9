package caddymodule

import (
	"net/http"
	"net/http/httptest"
	"net/url"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/modules/caddyhttp"

	"github.com/secondgate/secondgate/mfa"
)

// Rule B5: the organization of a placeholder is the one that the app will take the
// request for, or nobody's. Caddy counts the labels of "acme.example.com." from the
// dot at its end; a member of an organization "example" would be one of acme's. Where a
// path can be read in two ways, the app may read another organization's.
func TestHandler_B5_OrganizationOfAPlaceholder(t *testing.T) {
	const label, first = "{http.request.host.labels.2}", "{http.request.uri.path.0}"
	for _, c := range []struct {
		text, host, path string
		ambiguous        bool
		want             mfa.OrganizationID
	}{
		{label, "acme.example.com", "/", false, "acme"},
		{label, "ACME.example.com:8443", "/", false, "acme"},
		{label, "acme.example.com.", "/", false, nobodys},
		{label, "acme.example.com.:8443", "/", false, nobodys},
		{label, "example.com", "/", false, nobodys},
		{label, "a.b.example.com", "/", false, "b"},
		{label, "acme.example.com", "/a;b//c", true, "acme"},
		{"x-" + label, "example.com", "/", false, nobodys},
		{"{http.request.host.labels.-1}", "acme.example.com", "/", false, nobodys},
		{"{nothing.of.this.name}", "acme.example.com", "/", false, nobodys},
		{"{http.request.header.Tenant}", "acme.example.com", "/", false, nobodys},
		{first, "example.com", "/acme/x", false, "acme"},
		{first, "example.com", "/", false, nobodys},
		{first, "example.com", "/acme%2f../beta/x", true, nobodys},
		{first, "example.com", "/acme/%2e%2e/beta/x", true, nobodys},
		{label + first, "acme.example.com", "/x/%2e%2e/y", true, nobodys},
		{"{http.vars.tenant}", "acme.example.com", "/x/../y", true, nobodys},
	} {
		h := &Handler{Organization: c.text, app: new(App)}
		if err := h.check(&App{}, mfa.DefaultPolicy()); err != nil {
			t.Fatal(err)
		}
		r := httptest.NewRequest(http.MethodGet, c.path, nil)
		r.Host = c.host
		r = caddyhttp.PrepareRequest(r, caddy.NewReplacer(), httptest.NewRecorder(), nil)
		if got := h.route(r, c.ambiguous).Organization; got != c.want {
			t.Errorf("%s at %s%s: %q, want %q", c.text, c.host, c.path, got, c.want)
		}
	}
}

// varies are the parts of an answer that are never twice the same: IDs and tokens.
var varies = regexp.MustCompile(`value="[^"]{40,}"|\b[0-9A-Z]{12}\b`)

// Rule B5: whoever is no member hears the same of an organization that there is and of
// one that there is not, however they ask and whatever stands beside it. Nothing of the
// request reaches the app.
func TestHandler_B5_SaysNothingOfTheOrganization(t *testing.T) {
	const strict = "\n\t\torganization acme {\n\t\t\trequire on\n\t\t\tfresh 5m\n\t\t\tphishing_resistant\n\t\t}"
	for _, options := range []string{"require on" + strict, "report_only" + strict, "require off" + strict, "require off\n\t\tfactors off\n\t\torganization acme"} {
		a, g := newApp(t), newGateway(t)
		g.mustLoad(g.text(options, `@open path /real/* /none/* /holder/*
	mfa @open {
		bypass
	}
	mfa /real/* {
		organization acme
	}
	mfa /none/* {
		organization nosuch
	}
	mfa /holder/* {
		organization {http.request.header.Tenant}
	}
	reverse_proxy `+strings.TrimPrefix(a.URL, "http://")))
		alice := g.signIn("alice", time.Minute)
		for name, header := range map[string][]string{
			"page": nil, "fetch": {"Accept", "application/json", "Sec-Fetch-Mode", "cors", "Sec-Fetch-Dest", "empty"},
			"websocket": {"Connection", "Upgrade", "Upgrade", "websocket", "Sec-WebSocket-Version", "13", "Sec-WebSocket-Key", "dGhlIHNhbXBsZSBub25jZQ==", "Sec-Fetch-Mode", "websocket"},
		} {
			seen := map[string]string{}
			for _, path := range []string{"/real/x", "/none/x", "/holder/x"} {
				before := a.hits.Load()
				resp, body := g.get(path, alice, append([]string{"Tenant", "nosuch"}, header...)...)
				if resp.StatusCode != http.StatusForbidden || a.hits.Load() != before {
					t.Errorf("%s, %s by %s: %d", options, path, name, resp.StatusCode)
				}
				body = varies.ReplaceAllString(strings.NewReplacer(path, "/x", url.QueryEscape(path), "%2Fx").Replace(body), "…")
				seen[body] = path
				anonymous, _ := g.get(path, nil, append([]string{"Tenant", "nosuch"}, header...)...)
				if s := anonymous.StatusCode; s != http.StatusFound && s != http.StatusUnauthorized || strings.Contains(anonymous.Header.Get("Location"), "max_age") {
					t.Errorf("%s, %s by %s: a stranger gets %d to %s", options, path, name, s, anonymous.Header.Get("Location"))
				}
			}
			if len(seen) != 1 {
				t.Errorf("%s, by %s: %d different answers: %q", options, name, len(seen), seen)
			}
		}
	}
}
