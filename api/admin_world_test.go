package api_test

import (
	"fmt"
	"net/http"
	"net/url"
	"testing"
	"time"

	"github.com/secondgate/secondgate/api"
	"github.com/secondgate/secondgate/mfa"
)

// office is a world whose host is a console, with two organizations and root, who is an
// administrator.
type office struct {
	*world
	root  *browser
	parts mfa.Config // of the gate
	made  int
}

func newOffice(t *testing.T) *office {
	t.Helper()
	o := new(office)
	o.world = newWorldWith(t, func(w *world, gate *mfa.Config, programs *api.Config) {
		factors := w.policy.Factors
		policies, err := mfa.NewPolicies(t.Context(), mfa.PoliciesConfig{
			Configured: mfa.PolicySettings{Factors: &factors}, Have: factors, Store: w.store, Now: w.clock.Now,
			Declared: []*mfa.Organization{{ID: "initech", Declared: true}},
		})
		must(t, err)
		t.Cleanup(policies.Close)
		gate.Policies, gate.Policy = policies, policies.Current
		o.parts = *gate
		programs.Gates = wiki
		programs.Origins = func() []string { return []string{"https://wiki.example.com", "https://shop.example.com"} }
	})
	for _, id := range []mfa.OrganizationID{"acme", "globex"} {
		must(t, o.machine().SetOrganization(t.Context(), mfa.Organization{ID: id}, false))
	}
	o.console = true
	o.root = o.staff("root", mfa.RoleAdmin)
	return o
}

// wiki knows one site: everybody is asked at its pages, members of acme alone come to
// /acme, and of what else is typed it says why it knows nothing.
func wiki(address string) (*mfa.AccessQuery, error) {
	u, err := url.Parse(address)
	switch {
	case err != nil, u.Scheme != "https", u.User != nil:
		return nil, &mfa.RouteError{Reason: mfa.RouteUnreadable, Err: fmt.Errorf("what of %s", address)}
	case u.Host != "wiki.example.com":
		return nil, &mfa.RouteError{Reason: mfa.RouteElsewhere, Err: fmt.Errorf("what of %s", address)}
	}
	q := &mfa.AccessQuery{
		URL: "https://wiki.example.com" + u.EscapedPath(), Place: &mfa.Place{Host: u.Host, Scope: u.Host, RPID: u.Host, Origin: "https://" + u.Host},
		Notes: []mfa.AccessNote{{Code: mfa.NoteRewrite, Text: "A rewrite."}},
	}
	switch u.Path {
	case "/open":
	case "/acme":
		q.Gates = []mfa.AccessGate{{Name: "mfa /acme", Route: mfa.Route{Organization: "acme", Need: mfa.Requirement{Fresh: 5 * time.Minute}}}}
	default:
		q.Gates = []mfa.AccessGate{{Name: "mfa"}}
	}
	return q, nil
}

// gateOn is another gate, whose parts but the store are the office's.
func (o *office) gateOn(store mfa.Store) *mfa.Gate {
	o.t.Helper()
	cfg := o.parts
	cfg.Store = store
	g, err := mfa.NewGate(cfg)
	must(o.t, err)
	return g
}

// machine is the administration without anybody's role.
func (o *office) machine() *mfa.Administration { return o.gate.As(mfa.OnMachine()) }

// staff is somebody with a role, or an administrator of organizations, just signed in.
func (o *office) staff(name string, role mfa.Role, of ...mfa.OrganizationID) *browser {
	o.t.Helper()
	b := o.person(name)
	must(o.t, o.machine().SetRole(o.t.Context(), o.user(name).ID, role, of))
	return b
}

// target is a new member of acme with an authenticator app and one backup code.
func (o *office) target() *mfa.User {
	o.t.Helper()
	o.made++
	name := fmt.Sprintf("target%04d", o.made)
	u := &mfa.User{
		ID: mfa.UserID("id-" + name), Handle: []byte("handle-" + name), Source: mfa.LocalSource, Subject: name, Name: name,
		Email: name + "@mail.example", Organizations: []mfa.OrganizationID{"acme"}, Password: mfa.Secret("secret-password"),
		Created: o.clock.Now(), FirstSignIn: o.clock.Now(),
		Credentials: []mfa.Credential{
			{ID: "app", Kind: mfa.TOTP, Name: "Phone", Data: mfa.Secret("secret-totp"), Created: o.clock.Now()},
			{ID: mfa.BackupCodesID, Kind: mfa.BackupCode, Data: mfa.Secret("secret-code"), Left: 1, Created: o.clock.Now()},
		},
	}
	must(o.t, o.store.CreateUser(o.t.Context(), u))
	return u
}

// key makes a key as somebody who administrates everything, or as the user.
func (o *office) key(by mfa.UserID, of mfa.OrganizationID, life time.Duration, scopes ...string) string {
	o.t.Helper()
	powers, err := mfa.ParsePowers(scopes)
	must(o.t, err)
	actor := mfa.OnMachine()
	actor.User = by
	text, _, err := o.gate.As(actor).CreateAPIKey(o.t.Context(), mfa.APIKeyInput{Name: "deploy", Powers: powers, Organization: of, Life: life})
	must(o.t, err)
	return text
}

// allScopes are those of a key that may do everything.
func allScopes() []string { return mfa.PowerNames() }

// program is what asks with a key: no browser, no cookies.
type program struct {
	o   *office
	key string
}

func (p program) request(method, path, body string) *http.Request {
	r := p.o.browser().request(method, path, body)
	for name := range r.Header {
		if name != "Content-Type" {
			delete(r.Header, name)
		}
	}
	if p.key != "" {
		r.Header.Set("Authorization", "Bearer "+p.key)
	}
	return r
}

// ask sends a request and wants that status.
func (p program) ask(method, path, body string, status int) *answer {
	p.o.t.Helper()
	a := p.o.browser().do(p.request(method, path, body))
	if a.StatusCode != status {
		p.o.t.Fatalf("%s %s: %d, want %d\n%s", method, path, a.StatusCode, status, a.raw)
	}
	return a
}

// program returns one with a key for everything.
func (o *office) program() program {
	o.t.Helper()
	return program{o, o.key("", "", 24*time.Hour, allScopes()...)}
}

const admin = "/.mfa/api/admin"
