package e2e

import (
	"net/http"
	"strings"
	"testing"
	"time"
)

// The shortest way through, without a browser: the tests of everything else stand
// on it.
func TestGateway_FromTheLinkToTheApp(t *testing.T) {
	t.Parallel()
	gw := start(t, localhost)
	c := gw.client(t)
	if p := c.get("/reports?q=1"); p.FromApp() || p.Title() != "Sign in" {
		t.Fatalf("a stranger got %d %q", p.Status, p.Title())
	}
	if n := gw.App.Count(); n != 0 {
		t.Fatalf("%d requests of a stranger reached the app", n)
	}
	alice := c.signUp("alice")
	c.get("/reports?q=1")
	if got := gw.App.Last(t).Request.Header.Get("Remote-User"); got != "alice" {
		t.Errorf("the app was told of %q", got)
	}
	if p := c.signOut(); p.Title() != "You’re signed out" {
		t.Errorf("signing out led to %q", p.Title())
	}
	c.enter(alice)
	c.signOut()
	c.verifyCode(c.signIn("alice"), alice.Backup[0])
	if p := c.get("/"); !p.FromApp() {
		t.Errorf("a backup code did not open the app: %s", p.Text())
	}
	if list := gw.mfa(t, "users", "list"); !strings.Contains(list, "alice") {
		t.Errorf("the list of users has no alice:\n%s", list)
	}
}

func TestGateway_SessionSurvivesRestartAndKill(t *testing.T) {
	t.Parallel()
	gw := start(t, localhost)
	c := gw.client(t)
	c.signUp("alice")
	gw.restart(t)
	if p := c.get("/"); !p.FromApp() {
		t.Errorf("after a restart the session is gone: %s", p.Text())
	}
	gw.kill()
	gw.launch(t)
	if p := c.get("/"); !p.FromApp() {
		t.Errorf("after a kill the session is gone: %s", p.Text())
	}
}

// The cookie of a session that was signed out is worth nothing, at once and for
// ever (AC-040).
func TestGateway_SignOutIsFinalAtOnce(t *testing.T) {
	t.Parallel()
	gw := start(t, localhost)
	c := gw.client(t)
	c.signUp("alice")
	old := c.cookie(c.sessionName())
	if old == "" {
		t.Fatalf("there is no session cookie among %v", c.cookies())
	}
	c.signOut()
	if c.cookie(c.sessionName()) != "" {
		t.Error("the cookie was not taken away")
	}
	thief := c.another()
	for range 2 {
		thief.setCookie(c.sessionName(), old)
		hits := gw.App.Count()
		if p := thief.get("/"); p.FromApp() || gw.App.Count() != hits {
			t.Error("the cookie of an ended session opened the app")
		}
		gw.restart(t)
	}
}

func TestGateway_TwoHostsShareASession(t *testing.T) {
	t.Parallel()
	for _, http2 := range []bool{false, true} {
		gw := start(t, secure)
		c := gw.secureClient(t, "app", http2)
		c.signUp("alice")
		p := c.get(gw.secureBase("wiki") + "/")
		if !p.FromApp() {
			t.Errorf("the second host did not know the session: %s", p.Text())
		}
		if want := map[bool]string{false: "HTTP/1.1", true: "HTTP/2.0"}[http2]; p.Proto != want {
			t.Errorf("spoke %s, want %s", p.Proto, want)
		}
	}
}

func TestGateway_HalfDoneSessionEndsAfterTenMinutes(t *testing.T) {
	t.Parallel()
	gw := start(t, localhost)
	c := gw.client(t)
	alice := c.signUp("alice")
	c.signOut()
	p := c.signIn("alice")
	gw.advance(t, 11*time.Minute)
	if p = c.verifyTOTP(p, alice.App.Code(t)); p.Title() != "Sign in" || !p.Has("waited too long") {
		t.Errorf("a late code led to %d %q", p.Status, p.Title())
	}
	if p := c.get("/"); p.FromApp() || p.Status != http.StatusOK {
		t.Errorf("a late code opened the app: %d", p.Status)
	}
}

// The client's own codes are those of oathtool, which the tests in a browser use.
func TestAuthenticator_AgreesWithOathtool(t *testing.T) {
	a := &authenticator{Secret: "GEZDGNBVGY3TQOJQGEZDGNBVGY3TQOJQ"}
	for _, at := range []int64{59, 1111111109, 2000000000} {
		moment := time.Unix(at, 0)
		if got, want := a.CodeAt(t, moment), oathtool(t, a.Secret, moment); got != want {
			t.Errorf("at %d: %s, oathtool says %s", at, got, want)
		}
	}
}
