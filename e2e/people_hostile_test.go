package e2e

import (
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/secondgate/secondgate/internal/oidctest"
)

// atOther is a second provider.
const atOther = `identity oidc other {
			title "Other"
			issuer {$ISSUER2}
			client_id secondgate
			client_secret {env.OIDC_SECRET}
		}
`

// refuses holds that a page refuses, and that nobody is signed in behind it.
func (c *client) refuses(what string, p *answered, status int, says string) {
	c.t.Helper()
	if p.Status != status || !p.Has(says) {
		c.t.Errorf("%s: %d %s", what, p.Status, p.Text())
	}
	if c.cookie(c.sessionName()) != "" || c.cookie(c.halfDoneName()) != "" || c.inside() {
		c.t.Errorf("%s: somebody is signed in", what)
	}
}

// What comes to the callback counts once, in the browser that began it, at the source that
// it began at, and not for long; and of what a provider says nothing but what holds.
func TestPeople_HostileAnswers(t *testing.T) {
	t.Parallel()
	g, p := withProvider(t, "identity local\n", atAcme, atOther)
	second := oidctest.Start(t, oidctest.Config{Now: g.now})
	g.env = append(g.env, "ISSUER2="+second.URL)
	g.launch(t)
	const late, no = "Sign in once more", "You’re not signed in"
	c := g.client(t)

	c.refuses("AC-173 nobody has begun", c.comesBack("acme", url.Values{"code": {"x"}, "state": {"y"}}), 400, late)
	to := c.begins("acme")
	q := to.Query()
	if q.Get("code_challenge_method") != "S256" || len(q.Get("code_challenge")) != 43 || len(q.Get("nonce")) < 22 || len(q.Get("state")) < 22 || q.Has("code_verifier") {
		t.Errorf("AC-175 the browser is sent to %s", to)
	}
	answer := p.SignIn(t, to.String(), "bob")
	other := c.another()
	other.refuses("AC-173 a browser without the cookie", other.comesBack("acme", answer), 400, late)
	other.begins("acme") // it has a cookie of its own now
	other.refuses("AC-173 the state of another browser", other.comesBack("acme", answer), 400, late)
	c.refuses("AC-174 an answer that was tried elsewhere", c.comesBack("acme", answer), 400, late)

	answer = p.SignIn(t, c.begins("acme").String(), "bob")
	c.refuses("AC-177 at another source than it began at", c.comesBack("other", answer), 400, late)

	answer = p.SignIn(t, c.begins("acme").String(), "bob")
	g.advance(t, 11*time.Minute)
	c.refuses("AC-174 eleven minutes later", c.comesBack("acme", answer), 400, late)

	// The code of somebody else's sign-in, in a sign-in of one's own: the provider compares
	// the challenge that came with it.
	stolen := p.SignIn(t, other.begins("acme").String(), "alice")
	answer = p.SignIn(t, c.begins("acme").String(), "bob")
	answer.Set("code", stolen.Get("code"))
	c.refuses("AC-175 another's code", c.comesBack("acme", answer), 403, no)

	claim := func(name string, value any) oidctest.Lies {
		return oidctest.Lies{IDToken: func(claims map[string]any) {
			if claims[name] = value; value == nil {
				delete(claims, name)
			}
		}}
	}
	forged := func(sign func(claims string) string) oidctest.Lies { return oidctest.Lies{Token: sign} }
	for name, lies := range map[string]oidctest.Lies{
		"AC-175 another nonce":             claim("nonce", "another"),
		"AC-175 no nonce":                  claim("nonce", nil),
		"AC-177 another provider answers":  {Answer: func(q url.Values) { q.Set("iss", "https://evil.example") }},
		"AC-176 for another":               claim("aud", "another"),
		"AC-176 of another":                claim("iss", second.URL),
		"AC-176 expired":                   claim("exp", g.now().Add(-time.Hour).Unix()),
		"AC-176 of tomorrow":               claim("iat", g.now().Add(24*time.Hour).Unix()),
		"AC-176 nobody":                    claim("sub", ""),
		"AC-176 a number":                  claim("sub", 7),
		"AC-176 signed by nobody":          forged(func(token string) string { return strings.Join(strings.Split(token, ".")[:2], ".") + "." }),
		"AC-176 userinfo of somebody else": {UserInfo: func(claims map[string]any) { claims["sub"] = "sub-alice" }, IDToken: func(claims map[string]any) { delete(claims, "preferred_username") }},
	} {
		// Keys are looked for once in five seconds; a signature that waits for them is no answer yet.
		g.advance(t, 6*time.Second)
		p.Lie(lies)
		c.refuses(name, c.signInAt(p, "bob"), 403, no)
	}
	secret := oidctest.HMAC([]byte(p.ClientSecret), p.Key().ID, map[string]any{
		"iss": p.URL, "sub": "sub-bob", "aud": p.ClientID, "exp": g.now().Add(time.Hour).Unix(), "iat": g.now().Unix(), "preferred_username": "bob",
	})
	g.advance(t, 6*time.Second)
	p.Lie(oidctest.Lies{Token: func(string) string { return secret }})
	c.refuses("AC-176 signed with the secret", c.signInAt(p, "bob"), 403, no)
	p.Lie(oidctest.Lies{})
	answer = p.SignIn(t, c.begins("acme").String(), "bob")
	c.refuses("the person says no", c.comesBack("acme", url.Values{"state": answer["state"], "iss": answer["iss"], "error": {"access_denied"}, "error_description": {"<script>"}}), 403, "was stopped")

	// A description that names another issuer (AC-177).
	second.Lie(oidctest.Lies{Description: func(d map[string]any) { d["issuer"] = p.URL }})
	c.refuses("AC-177 a description of another", c.get("/.mfa/sign-in/with/other"), 503, "can’t be reached now")
	second.Lie(oidctest.Lies{})
	g.advance(t, time.Minute) // it was left alone for a while

	// AC-021: what nobody mapped is nothing, and a second factor there is none here.
	p.Lie(oidctest.Lies{IDToken: func(claims map[string]any) {
		claims["amr"], claims["acr"], claims["org"], claims["roles"], claims["admin"] = []any{"mfa", "hwk"}, "urn:mfa", "acme", []any{"admin"}, true
	}})
	page := c.signInAt(p, "bob")
	if page.Title() != "Set up a second step" {
		t.Errorf("AC-021 a provider that nobody trusts in this has proven a second factor: %d %s", page.Status, page.Text())
	}
	p.Lie(oidctest.Lies{})
	c.settle("bob")
	g.App.told(t, "bob", "Bob Brown", "bob@example.com", "staff")
	if shown := g.mfa(t, "users", "show", "bob"); strings.Contains(shown, "admin") {
		t.Errorf("AC-021 bob is\n%s", shown)
	}

	// AC-176: the same subject at another provider is another person, and has no way to the
	// name that is taken.
	page = signInAtOther(other, second)
	other.refuses("the name of somebody else", page, 409, "that somebody else has here already")
	second.Change("bob", func(u *oidctest.User) { u.Claims["preferred_username"] = "robert" })
	if page = signInAtOther(other, second); page.Title() != "Set up a second step" || !page.Has("as Bob Brown") {
		t.Errorf("AC-176 the same subject elsewhere: %d %s", page.Status, page.Text())
	}
	if list := g.mfa(t, "users", "list"); !strings.Contains(list, "bob") || !strings.Contains(list, "robert") {
		t.Errorf("AC-176 two people of one subject are\n%s", list)
	}
	// And at a new sight the other way round (rule B8: the record is of source and subject).
	second.Change("bob", func(u *oidctest.User) { u.Claims["preferred_username"] = "bob" })
	third := c.another()
	third.refuses("a name that is taken later", signInAtOther(third, second), 409, "that somebody else has here already")
}

func signInAtOther(c *client, p *oidctest.Provider) *answered {
	return c.comesBack("other", p.SignIn(c.t, c.begins("other").String(), "bob"))
}

// AC-182: per-login state that sits in one place for all swapped identities elsewhere. Fifty
// people sign in at once, each in a browser of their own, and each is who they are.
func TestPeople_ManyAtOnce_AC182(t *testing.T) {
	t.Parallel()
	const many = 50
	g := prepare(t, peopleOf(atAcme))
	var users []oidctest.User
	for n := range many {
		name := fmt.Sprintf("person%d", n)
		users = append(users, oidctest.User{Name: name, Password: oidctest.Password, Subject: "sub-" + name, Claims: map[string]any{
			"preferred_username": name, "name": fmt.Sprintf("Number %d", n),
		}})
	}
	p := oidctest.Start(t, oidctest.Config{Now: g.now, Users: users})
	g.env = append(g.env, "ISSUER="+p.URL, "OIDC_SECRET="+p.ClientSecret)
	g.launch(t)
	var all sync.WaitGroup
	for n := range many {
		c := g.client(t)
		all.Go(func() {
			page := c.signInAt(p, fmt.Sprintf("person%d", n))
			if !page.Has(fmt.Sprintf("as Number %d · ", n)) || page.Title() != "Set up a second step" {
				t.Errorf("person %d: %d %s", n, page.Status, page.Text())
			}
		})
	}
	all.Wait()
}

// AC-180, AC-115: whatever is typed in place of a name, the answer is that to a wrong
// password. AC-181: by whatever name somebody comes, they are one account with its factors.
func TestPeople_HostileNames_AC180(t *testing.T) {
	t.Parallel()
	g := prepare(t, peopleOf("identity local\n", atStaff))
	d := g.withDirectory(t)
	g.launch(t)
	c := g.client(t)
	c.bind("staff", "alice", "alice's own")
	alice := c.settle("alice")
	for _, name := range []string{"ALICE", "alice@example.test", "Alice@Example.Test", " alice "} {
		c := c.another()
		if page := c.verifyTOTP(c.bind("staff", name, "alice's own"), alice.App.Code(t)); !c.inside() {
			t.Errorf("AC-181 as %q: %d %s", name, page.Status, page.Text())
		}
	}
	if list := g.mfa(t, "users", "list"); strings.Count(list, "active") != 1 {
		t.Errorf("AC-181 there is more than one alice:\n%s", list)
	}

	d.Person("twin", "twin's own", "mail", "bob@example.test")
	wrong := c.another()
	want := wrong.bind("staff", "alice", "wrong")
	wrong.refuses("a wrong password", want, http.StatusUnprocessableEntity, "don’t match")
	for what, typed := range map[string][2]string{
		"nobody": {"nobody", "x"}, "everybody": {"*", "alice's own"}, "a filter": {"*)(uid=*", "alice's own"}, "another": {"alice)(|(a=b", "alice's own"},
		"an escape": {`\2a`, "alice's own"}, "a NUL": {"alice\x00", "alice's own"}, "a DN": {"uid=alice,ou=people,dc=example,dc=test", "alice's own"},
		"DN specials": {`alice,ou=people+cn="x"#`, "alice's own"}, "no password": {"alice", ""}, "a NUL as password": {"alice", "\x00"},
		"the service account": {"gate", "the gate's own"}, "two of one address": {"bob@example.test", "bob's own"}, "no name": {"", "x"},
		"a name that no app could take": {"zoë", "wrong"},
	} {
		c := c.another()
		page := c.bind("staff", typed[0], typed[1])
		c.refuses("AC-180 "+what, page, want.Status, "don’t match")
		if page.Text() != want.Text() || page.Header.Get("Content-Security-Policy") != want.Header.Get("Content-Security-Policy") {
			t.Errorf("AC-115 %s: %s\na wrong password: %s", what, page.Text(), want.Text())
		}
	}
	zoe := c.another()
	zoe.refuses("a name that no app could take, with its password", zoe.bind("staff", "zoë", "zoë's own"), http.StatusForbidden, "can’t be used here")
}
