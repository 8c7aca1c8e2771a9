package e2e

import (
	"context"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"net/url"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/zitadel/oidc/v3/example/server/exampleop"
	"github.com/zitadel/oidc/v3/example/server/storage"
	"github.com/zitadel/oidc/v3/pkg/oidc"
	"github.com/zitadel/oidc/v3/pkg/op"

	"github.com/secondgate/secondgate/internal/oidctest"
	"github.com/secondgate/secondgate/internal/slapdtest"
)

// The sources of the tests about people of other directories. ISSUER is a provider's, LDAP
// a directory's; confirm is the least that there is, so that clocks need not move far.
const (
	atAcme = `identity oidc acme {
			title "Acme"
			issuer {$ISSUER}
			client_id secondgate
			client_secret {env.OIDC_SECRET}
			scopes openid profile email offline_access
			confirm 1m
		}
`
	atStaff = `identity ldap staff {
			title "Staff directory"
			url ldap://{$LDAP}
			bind_dn cn=gate,dc=example,dc=test
			bind_password {env.LDAP_PASSWORD}
			base ou=people,dc=example,dc=test
			email_verified
			confirm 1m
		}
`
)

// peopleOf is the configuration of a gateway on localhost with these sources.
func peopleOf(sources ...string) string {
	return strings.Replace(localhost, "\tmfa\n\tdefault_bind", "\tmfa {\n\t\t"+strings.Join(sources, "\t\t")+"\n\t}\n\tdefault_bind", 1)
}

// certified is a provider of a library that the OpenID Foundation has certified. It has
// anna, whose password is her name and "'s own"; it has no sessions of its own: whoever
// comes signs in.
type certified struct {
	Issuer string

	kept *storage.Storage
}

// startCertified runs the provider for a gateway that has these addresses.
func startCertified(t testing.TB, origins ...string) *certified {
	t.Helper()
	mux := http.NewServeMux()
	server := httptest.NewServer(mux)
	t.Cleanup(server.Close)
	p := &certified{Issuer: server.URL + "/"}
	var backs, outs []string
	for _, origin := range origins {
		backs = append(backs, origin+"/.mfa/sign-in/with/acme/callback")
		outs = append(outs, origin+"/.mfa/sign-out?done=1")
	}
	p.kept = storage.NewStorageWithClients(staff{}, map[string]*storage.Client{"secondgate": storage.WebClient("secondgate", oidcSecret, backs...)})
	providers.Lock()
	defer providers.Unlock()
	before := slog.Default() // which the example replaces
	mux.Handle("/", exampleop.SetupServer(p.Issuer, registered{p.kept, outs}, slog.New(slog.DiscardHandler), false))
	slog.SetDefault(before)
	return p
}

const oidcSecret = "a:secret/with +signs%"

var providers sync.Mutex

// signOut ends what the provider knows of anna's sessions: it renews no token of hers.
func (p *certified) signOut(t testing.TB) {
	t.Helper()
	if err := p.kept.TerminateSession(t.Context(), "subject-of-anna", "secondgate"); err != nil {
		t.Fatal(err)
	}
}

// staff are the people of the provider.
type staff struct{}

func (staff) ExampleClientID() string { return "service" }

func (s staff) GetUserByID(id string) *storage.User {
	if id != "subject-of-anna" {
		return nil
	}
	return &storage.User{
		ID: id, Username: "anna", Password: "anna's own", FirstName: "Anna", LastName: "Åberg", Email: "anna@example.test", EmailVerified: true,
	}
}

func (s staff) GetUserByUsername(name string) *storage.User {
	if name != "anna" {
		return nil
	}
	return s.GetUserByID("subject-of-anna")
}

// registered adds to the example what most providers know: groups, and where a browser
// goes after it was signed out.
type registered struct {
	*storage.Storage
	outs []string
}

func (r registered) GetClientByClientID(ctx context.Context, id string) (op.Client, error) {
	c, err := r.Storage.GetClientByClientID(ctx, id)
	if err != nil {
		return nil, err
	}
	return withOuts{c, r.outs}, nil
}

func (r registered) SetUserinfoFromToken(ctx context.Context, info *oidc.UserInfo, tokenID, subject, origin string) error {
	if err := r.Storage.SetUserinfoFromToken(ctx, info, tokenID, subject, origin); err != nil {
		return err
	}
	info.AppendClaims("groups", []string{"staff", "ops"})
	return nil
}

type withOuts struct {
	op.Client
	outs []string
}

func (c withOuts) PostLogoutRedirectURIs() []string { return c.outs }

// withCertified starts a gateway on localhost whose acme is a certified provider.
func withCertified(t testing.TB, sources ...string) (*gateway, *certified) {
	t.Helper()
	g := prepare(t, peopleOf(sources...))
	p := startCertified(t, g.base())
	g.env = append(g.env, "ISSUER="+p.Issuer, "OIDC_SECRET="+oidcSecret)
	return g, p
}

// withDirectory gives the gateway a directory, and starts it.
func (g *gateway) withDirectory(t testing.TB) *slapdtest.Directory {
	t.Helper()
	d := slapdtest.Start(t)
	g.env = append(g.env, "LDAP="+d.Plain, "LDAP_PASSWORD="+slapdtest.GatePass)
	return d
}

// withProvider prepares a gateway on localhost whose acme is a provider that goes by the
// gateway's clock, and lies where it is told to.
func withProvider(t testing.TB, sources ...string) (*gateway, *oidctest.Provider) {
	t.Helper()
	g := prepare(t, peopleOf(sources...))
	p := oidctest.Start(t, oidctest.Config{Now: g.now, Redirects: []string{g.base() + "/.mfa/sign-in/with/acme/callback"}})
	g.env = append(g.env, "ISSUER="+p.URL, "OIDC_SECRET="+p.ClientSecret)
	return g, p
}

// begins begins a sign-in at a source and returns where the browser is sent.
func (c *client) begins(source string) *url.URL {
	c.t.Helper()
	p := c.navigate("/.mfa/sign-in/with/" + source)
	to, err := url.Parse(p.Header.Get("Location"))
	if err != nil || p.Status != http.StatusSeeOther || to.Host == "" {
		c.t.Fatalf("a sign-in at %s begins with %d %s: %s", source, p.Status, p.Header.Get("Location"), p.Text())
	}
	return to
}

// navigate is get that follows nothing.
func (c *client) navigate(address string) *answered {
	c.t.Helper()
	r := c.request(http.MethodGet, address, nil)
	r.Header.Set("Sec-Fetch-Mode", "navigate")
	r.Header.Set("Sec-Fetch-Dest", "document")
	return c.once(r)
}

// comesBack brings an answer of a provider to the callback.
func (c *client) comesBack(source string, answer url.Values) *answered {
	c.t.Helper()
	return c.get("/.mfa/sign-in/with/" + source + "/callback?" + answer.Encode())
}

// signInAt signs in at a provider, in a new browser there, and returns the page that comes
// next.
func (c *client) signInAt(p *oidctest.Provider, name string) *answered {
	c.t.Helper()
	return c.comesBack("acme", p.SignIn(c.t, c.begins("acme").String(), name))
}

// bind signs in with a name and a password of a directory, and returns the page that comes
// next.
func (c *client) bind(source, name, password string) *answered {
	c.t.Helper()
	return c.submit(c.get("/.mfa/sign-in?source="+source), "/.mfa/sign-in", "name", name, "password", password)
}

// settle sets up what a new person owes. The app is there afterwards.
func (c *client) settle(name string) *account {
	c.t.Helper()
	a := &account{Name: name}
	a.App, a.Backup = c.setUpTOTP(), c.confirmCodes()
	if p := c.get("/"); !p.FromApp() {
		c.t.Fatalf("after set-up the app is not there: %d %s", p.Status, p.Text())
	}
	return a
}

// told checks whom the app was told of last.
func (a *app) told(t testing.TB, user, name, email, groups string) {
	t.Helper()
	h := a.Last(t).Request.Header
	got := []string{h.Get("Remote-User"), h.Get("Remote-Name"), h.Get("Remote-Email"), h.Get("Remote-Groups")}
	if want := []string{user, name, email, groups}; !slices.Equal(got, want) {
		t.Errorf("the app was told %q, not %q", got, want)
	}
}
