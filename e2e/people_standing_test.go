package e2e

import (
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/secondgate/secondgate/internal/oidctest"
	"github.com/secondgate/secondgate/internal/slapdtest"
)

// confirm is how often the sources of these tests are asked.
const confirm = time.Minute

// inside reports whether the app is there for the client.
func (c *client) inside() bool { return c.get("/").FromApp() }

// soon waits until ok says yes, for what happens in the background.
func soon(ok func() bool) bool {
	for end := time.Now().Add(patience); time.Now().Before(end); time.Sleep(20 * time.Millisecond) {
		if ok() {
			return true
		}
	}
	return false
}

// endsInTime lets leave happen, and holds that the client's session ends within the time
// that the configuration says: it measures how long that takes by the gateway's clock.
func (c *client) endsInTime(what string, leave func()) {
	c.t.Helper()
	if !c.inside() {
		c.t.Fatalf("%s: the session is over before", what)
	}
	leave()
	since := c.g.now()
	c.g.advance(c.t, confirm)
	if !soon(func() bool { return !c.inside() }) {
		c.t.Fatalf("%s: the session goes on", what)
	}
	// The clock goes on by itself, too, while the source is asked and this machine is slow.
	took := c.g.now().Sub(since)
	if took > confirm+patience {
		c.t.Errorf("%s: the session ended after %s, and %s is stated", what, took, confirm)
	}
	c.t.Logf("%s: the session ended %s later; stated: %s", what, took.Round(10*time.Millisecond), confirm)
}

// Whoever is disabled or signed out at the provider is out here within the stated time; and
// at once where the provider says so by itself. Whoever is disabled here and stands there
// gets in no more.
func TestPeople_DisabledAtTheProvider_AC179(t *testing.T) {
	t.Parallel()
	g, p := withProvider(t, "identity local\n", atAcme)
	g.launch(t)
	backChannel := g.base() + "/.mfa/sign-in/with/acme/back-channel"
	c := g.client(t)
	if page := c.signInAt(p, "bob"); page.Title() != "Set up a second step" {
		t.Fatalf("bob is shown %q: %s", page.Title(), page.Text())
	}
	bob := c.settle("bob")
	g.App.told(t, "bob", "Bob Brown", "bob@example.com", "staff")
	again := func() {
		t.Helper()
		c.verifyTOTP(c.signInAt(p, "bob"), bob.App.Code(t))
		if !c.inside() {
			t.Fatal("bob is not in again")
		}
	}

	// Whoever stands goes on, and what the provider says of them now is what apps are told.
	for _, groups := range []string{"staff,ops", "ops", "staff"} {
		p.Change("bob", func(u *oidctest.User) {
			u.Claims["groups"] = []any{}
			for group := range strings.SplitSeq(groups, ",") {
				u.Claims["groups"] = append(u.Claims["groups"].([]any), group)
			}
		})
		g.advance(t, confirm+time.Second)
		if !soon(func() bool {
			if !c.inside() {
				t.Fatalf("the session of somebody who stands ended before they were %s", groups)
			}
			return g.App.Last(t).Request.Header.Get("Remote-Groups") == groups
		}) {
			t.Errorf("the app is told of %q, not of %q", g.App.Last(t).Request.Header.Get("Remote-Groups"), groups)
		}
	}

	c.endsInTime("disabled at the provider", func() { p.Change("bob", func(u *oidctest.User) { u.Disabled = true }) })
	p.Change("bob", func(u *oidctest.User) { u.Disabled = false })
	again()
	c.endsInTime("signed out at the provider, which tells nobody", func() { p.SignOut(t, "bob") })

	again()
	p.SetBackChannel(backChannel)
	if status := p.SignOut(t, "bob"); status != http.StatusOK {
		t.Errorf("the back channel answers %d", status)
	}
	if c.inside() {
		t.Error("after a message by the back channel bob is still in")
	}

	again()
	for name, token := range map[string]string{
		"for another":  p.LogoutToken("bob", func(_, claims map[string]any) { claims["aud"] = "another" }),
		"with a nonce": p.LogoutToken("bob", func(_, claims map[string]any) { claims["nonce"] = "n" }),
		"an ID token":  p.LogoutToken("bob", func(_, claims map[string]any) { delete(claims, "events") }),
		"by another": oidctest.NewKey().Sign(map[string]any{"typ": "logout+jwt"}, map[string]any{
			"iss": p.URL, "aud": p.ClientID, "sub": "sub-bob", "iat": g.now().Unix(), "exp": g.now().Add(time.Minute).Unix(), "jti": "1",
			"events": map[string]any{"http://schemas.openid.net/event/backchannel-logout": map[string]any{}},
		}),
		"by nobody": oidctest.Unsigned(map[string]any{"iss": p.URL, "aud": p.ClientID, "sub": "sub-bob"}),
		"nothing":   "",
	} {
		if status := oidctest.Tell(t, backChannel, token); status != http.StatusBadRequest {
			t.Errorf("AC-176 a message %s: %d", name, status)
		}
	}
	if !c.inside() {
		t.Error("AC-176 a message that does not hold has ended a session")
	}

	g.mfa(t, "users", "disable", "bob", "--yes")
	if c.inside() {
		t.Error("disabled here, bob is still in")
	}
	page := c.another().signInAt(p, "bob")
	if page.Status != http.StatusForbidden || page.Title() != "You’re not signed in" || page.Has("disabled") {
		t.Errorf("disabled here, bob is shown %d %s", page.Status, page.Text())
	}
}

// The same for a directory, by an entry that is gone and by one that it has locked. A
// disabled user is answered like a wrong password (AC-115).
func TestPeople_DisabledAtTheDirectory_AC179(t *testing.T) {
	t.Parallel()
	g := prepare(t, peopleOf(atStaff))
	d := g.withDirectory(t)
	g.launch(t)
	for _, tt := range []struct {
		uid, what string
		leave     func()
	}{
		{"alice", "removed from the directory", func() { d.Remove(slapdtest.DN("alice")) }},
		{"bob", "locked by the directory", func() { d.Set(slapdtest.DN("bob"), "pwdAccountLockedTime", "000001010000Z") }},
	} {
		c := g.client(t)
		c.bind("staff", tt.uid, tt.uid+"'s own")
		c.settle(tt.uid)
		c.endsInTime(tt.what, tt.leave)
		if page := c.another().bind("staff", tt.uid, tt.uid+"'s own"); page.Status != http.StatusUnprocessableEntity || !page.Has("don’t match") {
			t.Errorf("%s, they sign in: %d %s", tt.what, page.Status, page.Text())
		}
	}

	d.Person("carol", "carol's own")
	c := g.client(t)
	c.bind("staff", "carol", "carol's own")
	c.settle("carol")
	g.mfa(t, "users", "disable", "carol", "--yes")
	if c.inside() {
		t.Error("disabled here, carol is still in")
	}
	disabled, wrong := c.another().bind("staff", "carol", "carol's own"), c.another().bind("staff", "carol", "wrong")
	if disabled.Status != http.StatusUnprocessableEntity || disabled.Status != wrong.Status || disabled.Text() != wrong.Text() {
		t.Errorf("disabled here: %d %s\na wrong password: %d %s", disabled.Status, disabled.Text(), wrong.Status, wrong.Text())
	}
}

// A source that is down ends no session at once, and every one at the end of its time:
// whoever could keep the source from answering would otherwise be in for ever (AC-032).
func TestPeople_SourceIsDown(t *testing.T) {
	t.Parallel()
	g, p := withProvider(t, atAcme, atStaff)
	d := g.withDirectory(t)
	g.launch(t)
	before := g.now()
	bob, alice := g.client(t), g.client(t)
	bob.signInAt(p, "bob")
	bob.settle("bob")
	alice.bind("staff", "alice", "alice's own")
	alice.settle("alice")
	after := g.now()
	p.Lie(oidctest.Lies{Serve: func(w http.ResponseWriter, r *http.Request) bool {
		down := r.URL.Path == "/token"
		if down {
			w.WriteHeader(http.StatusBadGateway)
		}
		return down
	}})
	d.Kill()

	g.advance(t, before.Add(2*confirm-20*time.Second).Sub(g.now()))
	for name, c := range map[string]*client{"bob": bob, "alice": alice} {
		if !c.inside() {
			t.Errorf("an outage has ended the session of %s before its time", name)
		}
	}
	g.advance(t, after.Add(2*confirm+time.Second).Sub(g.now()))
	for name, c := range map[string]*client{"bob": bob, "alice": alice} {
		if c.inside() {
			t.Errorf("the session of %s goes on although nobody confirms it", name)
		}
	}
	for name, page := range map[string]*answered{
		"Acme":            bob.signInAt(p, "bob"),
		"Staff directory": alice.bind("staff", "alice", "alice's own"),
	} {
		if page.Status != http.StatusServiceUnavailable || page.Header.Get("Retry-After") == "" {
			t.Errorf("%s is down: %d %s", name, page.Status, page.Text())
		}
	}
}
