package caddymodule

import (
	"encoding/json"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/caddyconfig"
)

// The running gateway and the commands beside one that is down find the same
// hosts, and links begin with an address that people can open.
func TestSites(t *testing.T) {
	const proxied = "\tservers {\n\t\ttrusted_proxies static 10.0.0.0/8\n\t\ttrusted_proxies_strict\n\t}\n"
	for _, c := range []struct {
		name, options, global, sites string
		origins, plain               []string
		has, hasNot                  string
	}{
		{
			name: "https", sites: "app.example.com {\n\tmfa\n}\nother.example.com {\n\trespond ok\n}\n",
			origins: []string{"https://app.example.com"}, has: "app.example.com:8443", hasNot: "other.example.com",
		},
		{
			name: "https on a port", sites: "app.example.com:8443 {\n\tmfa\n}\n",
			origins: []string{"https://app.example.com:8443"}, has: "APP.example.com", hasNot: "app.example.co",
		},
		{
			name: "http on localhost", sites: "http://localhost:8080 {\n\tmfa\n}\n",
			origins: []string{"http://localhost:8080"}, has: "localhost:8080", hasNot: "app.example.com",
		},
		{
			name: "http on a name", sites: "http://app.example.com {\n\tmfa\n}\n",
			origins: []string{"https://app.example.com"}, plain: []string{"http://app.example.com"},
		},
		{
			name: "http behind a trusted proxy", global: proxied, sites: "http://app.example.com:8080 {\n\tmfa\n}\n",
			origins: []string{"https://app.example.com"},
		},
		{
			name: "http that is allowed", options: "insecure_http", sites: "http://app.example.com:8080 {\n\tmfa\n}\n",
			origins: []string{"http://app.example.com:8080"},
		},
		{
			name: "http with an origin", options: "origin https://app.example.com", sites: "http://app.example.com:8080 {\n\tmfa\n}\n",
			origins: []string{"https://app.example.com"}, has: "app.example.com", hasNot: "app.example.org",
		},
		{
			name: "http on an address of this machine", sites: "http://[::1]:8080 {\n\tmfa\n}\n",
			origins: []string{"http://[::1]:8080"}, has: "[::1]", hasNot: "[::2]:8080",
		},
		{
			name: "a site without a name", sites: "http://:8080 {\n\tmfa\n}\n",
			origins: []string{"http://localhost:8080"}, plain: []string{"http://:8080"}, has: "any.example.com",
		},
		{
			name: "a site with a star", sites: "http://*.example.com {\n\tmfa\n}\n", options: "insecure_http",
			has: "a.example.com", hasNot: "a.b.example.com",
		},
	} {
		t.Run(c.name, func(t *testing.T) {
			text := "{\n\tadmin off\n" + c.global + "\tmfa {\n\t\tstore badger " + t.TempDir() + "/store\n\t\t" + c.options + "\n\t}\n}\n\n" + c.sites
			raw, _, err := caddyconfig.GetAdapter("caddyfile").Adapt([]byte(text), map[string]any{"filename": "Caddyfile"})
			if err != nil {
				t.Fatal(err)
			}
			offline, app := new(gatewayConfig), new(App)
			if err := json.Unmarshal(raw, offline); err != nil {
				t.Fatal(err)
			}
			if err := json.Unmarshal(offline.Apps.MFA, app); err != nil {
				t.Fatal(err)
			}
			var cfg caddy.Config
			if err := json.Unmarshal(raw, &cfg); err != nil {
				t.Fatal(err)
			}
			ctx, err := caddy.ProvisionContext(&cfg)
			if err != nil {
				t.Fatal(err)
			}
			running, err := ctx.App("mfa")
			if err != nil {
				t.Fatal(err)
			}
			for how, s := range map[string]sites{"running": running.(*App).sites(), "offline": offline.sites(app)} {
				if !slices.Equal(s.origins, c.origins) || !slices.Equal(s.plain, c.plain) {
					t.Errorf("%s: origins %v, plain %v", how, s.origins, s.plain)
				}
				if c.has != "" && !s.has(c.has) || c.hasNot != "" && s.has(c.hasNot) {
					t.Errorf("%s: hosts are %v", how, s.hosts)
				}
			}
		})
	}
}

// What is the matter with the sites is said when the gateway starts, and not
// only to whoever opens one.
func TestStart_WarnsOfSites(t *testing.T) {
	g := newGateway(t)
	for _, c := range []struct{ name, options, sites, want string }{
		{"nothing is protected", "require on", "respond ok", "nothing is protected"},
		{"plain http on a name", "require on", "mfa\n}\n\nhttp://app.example.com:" + g.port + " {\n\tmfa", "http://app.example.com:" + g.port},
		{"a host outside of the domain", "domain example.com", "mfa", "not within the domain"},
		{"nothing is the matter", "require on", "mfa", ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			path := filepath.Join(t.TempDir(), "mfa.log")
			text := g.text(c.options, c.sites)
			g.mustLoad(strings.Replace(text, "\tmfa {", "\tlog test {\n\t\tinclude mfa\n\t\toutput file "+path+"\n\t}\n\tmfa {", 1))
			raw, err := os.ReadFile(path)
			if err != nil {
				t.Fatal(err)
			}
			warned := strings.Contains(string(raw), `"level":"warn"`)
			if c.want == "" && warned || c.want != "" && (!warned || !strings.Contains(string(raw), c.want)) {
				t.Errorf("the log is\n%s", raw)
			}
			if c.want == "" && !strings.Contains(string(raw), `"protects":["http://`+g.host+`"]`) {
				t.Errorf("the first line does not name the host:\n%s", raw)
			}
		})
	}
}

// AC-169: a letter's link begins with a host that the configuration spells out.
func TestSites_Names(t *testing.T) {
	for _, c := range []struct {
		name    string
		sites   []protectedSite
		origin  string
		yes, no []string
	}{
		{"named", []protectedSite{{host: "app.example.com", https: true}}, "", []string{"app.example.com", "APP.example.com:8443"}, []string{"evil.test", "app.example.com.evil.test", "", "example.com"}},
		{"a star", []protectedSite{{host: "*.example.com", https: true}, {host: "app.example.org", https: true}}, "", []string{"app.example.org"}, []string{"evil.example.com", "*.example.com"}},
		{"any", []protectedSite{{https: true}, {host: "app.example.com", https: true}}, "", []string{"app.example.com", "localhost"}, []string{"evil.test"}},
		{"an origin", []protectedSite{{https: true}}, "https://sso.example.com", []string{"sso.example.com"}, []string{"evil.test", "localhost"}},
	} {
		s := newSites(&App{Origin: c.origin}, c.sites)
		for _, host := range c.yes {
			if !s.names(host) {
				t.Errorf("%s: %q is not named", c.name, host)
			}
		}
		for _, host := range c.no {
			if s.names(host) {
				t.Errorf("%s: %q is named", c.name, host)
			}
		}
	}
}

// AC-169: a letter names a host of the configuration, whatever was asked. "evil.test"
// gets here where a site answers to any host; a letter "for evil.test" would be a trap.
func TestSites_AC169_LettersName(t *testing.T) {
	for _, c := range []struct {
		name  string
		app   *App
		sites []protectedSite
		want  map[string]string // by what was asked
	}{
		{"named", &App{}, []protectedSite{{host: "app.example.com", https: true}}, map[string]string{
			"https://app.example.com": "https://app.example.com", "https://app.example.com:8443": "https://app.example.com:8443",
			"https://evil.test": "https://app.example.com", "": "",
		}},
		{"a star", &App{}, []protectedSite{{host: "*.example.com", https: true}, {host: "app.*.example.org", https: true}}, map[string]string{
			"https://a.example.com": "https://a.example.com", "https://app.b.example.org": "https://app.b.example.org",
			"https://a.b.example.com": "", "https://example.com": "", "https://evil.test": "", "https://aexample.com": "",
		}},
		{"a star and any", &App{}, []protectedSite{{https: true}, {host: "*.example.com", https: true}}, map[string]string{
			"https://a.example.com": "https://a.example.com", "https://evil.test": "",
		}},
		{"stars over everybody's", &App{}, []protectedSite{{host: "*.com", https: true}, {host: "*.co.uk", https: true}, {host: "*.github.io", https: true}, {host: "*", https: true}, {host: "app.*", https: true}, {host: "*.*", https: true}}, map[string]string{
			"https://evil.com": "", "https://evil.co.uk": "", "https://evil.github.io": "", "https://evil": "", "https://app.evil": "", "https://evil.test": "",
		}},
		{"a star in this network", &App{}, []protectedSite{{host: "*.lan", https: true}}, map[string]string{"https://app.lan": "https://app.lan", "https://evil.test": ""}},
		{"any", &App{}, []protectedSite{{https: true}}, map[string]string{"https://evil.test": "", "https://localhost": "https://localhost"}},
		{"any, and one", &App{}, []protectedSite{{https: true}, {host: "app.example.com", https: true}}, map[string]string{"https://evil.test": "https://app.example.com"}},
		{"any of a domain", &App{Domain: "example.com", RelatedOrigins: []string{"https://example.de"}}, []protectedSite{{https: true}}, map[string]string{
			"https://a.b.example.com": "https://a.b.example.com", "https://example.com": "https://example.com", "https://example.de": "https://example.de",
			"https://evil.test": "https://example.com", "https://evilexample.com": "https://example.com",
		}},
		{"an origin", &App{Origin: "https://sso.example.com"}, []protectedSite{{https: true}}, map[string]string{
			"https://sso.example.com": "https://sso.example.com", "https://evil.test": "https://sso.example.com",
		}},
		{"a placeholder", &App{}, []protectedSite{{host: "*.{env.ZONE}", https: true}}, map[string]string{"https://evil.test": ""}},
	} {
		s := newSites(c.app, c.sites)
		for asked, want := range c.want {
			if got := s.letterNames(c.app, asked); got != want {
				t.Errorf("%s: a letter for %q names %q, want %q", c.name, asked, got, want)
			}
		}
	}
}
