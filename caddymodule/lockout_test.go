package caddymodule

import (
	"net/http"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/caddyserver/caddy/v2"

	"github.com/secondgate/secondgate/mfa"
)

// administrator makes alice one, who has these factors.
func (g *gateway) administrator(list ...mfa.Credential) {
	g.t.Helper()
	g.signIn("alice", 0)
	g.update("alice", func(u *mfa.User) { u.Admin, u.Credentials, u.EverEnrolled = true, list, len(list) > 0 })
}

// B35: a reload under which no administrator could sign in is refused with the reason,
// before it takes effect, unless the configuration says that this is meant.
func TestReload_B35_Lockout(t *testing.T) {
	g := newGateway(t)
	site := "mfa\n\trespond ok"
	good := g.text("enrollment open", site)
	shut := g.text("enrollment pass", site)
	g.mustLoad(good)
	// Nobody administrates yet, so nobody is missed.
	g.mustLoad(shut)
	g.mustLoad(good)
	g.administrator()
	g.mustLoad(good)

	err := g.load(shut)
	if err == nil || !strings.Contains(err.Error(), "no administrator could sign in any more: alice has no second factor, and may not set one up") ||
		!strings.Contains(err.Error(), "accept_lockout") {
		t.Fatalf("the configuration was loaded, or is refused without the reason: %v", err)
	}
	if p := g.generation().policies.Current(); !p.Enrollment.Open {
		t.Error("what was refused holds")
	}
	if resp, _ := g.get("/", nil); resp.StatusCode != http.StatusFound {
		t.Errorf("what ran before answers %d", resp.StatusCode)
	}
	key := g.generation().key
	if n, m := refs(key), refs(key.place); n != 1 || m != 1 {
		t.Errorf("the session manager is used %d times, the store %d times", n, m)
	}
	g.mustLoad(g.text("enrollment pass\n\t\taccept_lockout", site))
	if p := g.generation().policies.Current(); p.Enrollment.Open {
		t.Error("what was forced does not hold")
	}
	// Whoever is out already loses nothing by the next one.
	g.mustLoad(shut)
}

func refs(key any) int {
	n, _ := pool.References(key)
	return n
}

// B35: what is stored, and the hosts, count as well as the configuration.
func TestReload_B35_LockoutByWhatIsAround(t *testing.T) {
	passkey := mfa.Credential{ID: "key", Kind: mfa.Passkey, RPID: "localhost", Created: time.Now()}
	app := mfa.Credential{ID: "app", Kind: mfa.TOTP, Created: time.Now()}
	for _, test := range []struct {
		name, before, after string
		factors             []mfa.Credential
		refused             bool
	}{
		{"factors that nobody has, and no way to set one up", "require on", "factors passkey\n\t\tenrollment pass", nil, true},
		{"B16: the app is switched off, and leads to a passkey", "require on", "factors passkey\n\t\tenrollment pass", []mfa.Credential{app}, false},
		{"a passkey stays", "require on", "factors passkey\n\t\tenrollment pass", []mfa.Credential{passkey}, false},
		{"a mailbox whose sender goes", "sender email log {\n\t\t\tinsecure_trial\n\t\t}\n\t\tfactors email totp\n\t\tenrollment pass", "factors totp\n\t\tenrollment pass",
			[]mfa.Credential{{ID: "mail", Kind: mfa.Email, Address: "alice@example.com", Created: time.Now()}}, true},
		{"require comes on", "require off\n\t\tenrollment pass", "enrollment pass", nil, true},
	} {
		t.Run(test.name, func(t *testing.T) {
			g := newGateway(t)
			g.mustLoad(g.text(test.before, "mfa\n\trespond ok"))
			g.administrator(test.factors...)
			if err := g.load(g.text(test.after, "mfa\n\trespond ok")); (err != nil) != test.refused {
				t.Errorf("refused: %v", err)
			}
		})
	}
	t.Run("the stored policy", func(t *testing.T) {
		g := newGateway(t)
		g.mustLoad(g.text("require off", "mfa\n\trespond ok"))
		g.administrator()
		says(t, g.run(t, 0, "policy", "set", "enrollment", "pass"), "enrollment             pass")
		if err := g.load(g.text("issuer Acme", "mfa\n\trespond ok")); err == nil {
			t.Error("the configuration was loaded, and the stored policy locks out")
		}
	})
}

// B35: commands are refused as well, and do it when they are told to.
func TestCommands_B35_Lockout(t *testing.T) {
	g := newGateway(t)
	g.mustLoad(g.text("issuer Acme", "mfa\n\trespond ok"))
	g.administrator()
	g.bothWays(t, func(t *testing.T) {
		says(t, g.run(t, exitRefused, "policy", "set", "enrollment", "pass"), "no administrator could sign in any more: alice has no second factor", "--force")
		says(t, g.run(t, 0, "policy", "set", "enrollment", "pass", "--force"), "enrollment             pass")
		g.run(t, 0, "policy", "clear", "enrollment")
		g.run(t, 0, "orgs", "set", "acme")
		g.run(t, 0, "orgs", "add", "acme", "alice")
		says(t, g.run(t, exitRefused, "orgs", "set", "acme", "--enrollment", "pass"), "no administrator could sign in any more", "--force")
		g.run(t, 0, "orgs", "set", "acme", "--enrollment", "pass", "--force")
		g.run(t, 0, "orgs", "remove", "acme", "--yes")
	})
}

// B35: a start is no reload. A gateway that did not start would shut everybody out, and
// validate looks at no store at all.
func TestStart_B35_LockoutIsLogged(t *testing.T) {
	g := newGateway(t)
	g.mustLoad(g.text("issuer Acme", "mfa\n\trespond ok"))
	g.administrator()
	g.must(caddy.Stop())
	log := g.dir + "/mfa.log"
	shut := strings.Replace(g.text("enrollment pass", "mfa\n\trespond ok"), "\tmfa {", "\tlog test {\n\t\tinclude mfa\n\t\toutput file "+log+"\n\t}\n\tmfa {", 1)
	g.mustLoad(shut)
	says(t, readFile(t, log), "secondgate mfa setup-link", "no administrator could sign in any more: alice")
	g.mustLoad(g.text("enrollment open", "mfa\n\trespond ok"))
	g.must(os.WriteFile(g.file, []byte(shut), 0o600))
	for _, command := range []string{"validate", "adapt"} {
		if _, stderr, code := program(t, command, "--config", g.file); code != 0 {
			t.Errorf("%s: %d\n%s", command, code, stderr)
		}
	}
}

// Where a passkey works is what the guard says when it is made.
func TestSites_RelyingParties(t *testing.T) {
	site := func(host string, https bool) protectedSite { return protectedSite{host: host, https: https} }
	for _, test := range []struct {
		name string
		app  *App
		list []protectedSite
		want []string
		any  bool
	}{
		{"each host its own", &App{}, []protectedSite{site("a.example.com", true), site("b.example.com", true)}, []string{"a.example.com", "b.example.com"}, false},
		{"a domain", &App{Domain: "example.com"}, []protectedSite{site("a.example.com", true), site("c.example.org", true)}, []string{"c.example.org", "example.com"}, false},
		{"stars in the domain", &App{Domain: "example.com"}, []protectedSite{site("*.example.com", true)}, []string{"example.com"}, false},
		{"stars without one", &App{}, []protectedSite{site("*.example.com", true)}, nil, true},
		{"any host", &App{}, []protectedSite{site("", true)}, []string{"localhost"}, true},
		{"localhost", &App{}, []protectedSite{site("localhost", false)}, []string{"localhost"}, false},
		{"numbers", &App{}, []protectedSite{site("192.0.2.1", true), site("::1", true)}, nil, false},
		{"plain http", &App{InsecureHTTP: true}, []protectedSite{site("a.example.com", false)}, nil, false},
		{"behind a proxy", &App{Origin: "https://a.example.com"}, []protectedSite{site("a.example.com", false)}, []string{"a.example.com"}, false},
	} {
		t.Run(test.name, func(t *testing.T) {
			ids, any := newSites(test.app, test.list).relyingParties(test.app)
			if !slices.Equal(ids, test.want) || any != test.any {
				t.Errorf("%v, %t, want %v, %t", ids, any, test.want, test.any)
			}
		})
	}
}
