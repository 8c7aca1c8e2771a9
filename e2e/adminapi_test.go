package e2e

import (
	"bytes"
	"encoding/json"
	"net/http"
	"net/url"
	"os"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/secondgate/secondgate/mfa"
)

// managed is secure with a console on a host of its own.
const managed = secure + `
https://console.example.test:{$TLS_PORT} {
	tls {$CERT} {$KEY}
	log
	mfa_console
}
`

const adminAPI = "/.mfa/api/admin"

var keyText = regexp.MustCompile(`sg_[0-9a-f]{16}_[A-Za-z0-9_-]{43}`)

// program is what asks the admin API with a key, as a script does.
func (g *gateway) program(t *testing.T, host, key string) *client {
	t.Helper()
	c := g.secureClient(t, host, true)
	c.Header = http.Header{"User-Agent": {"help-desk/1.0"}}
	if key != "" {
		c.Header.Set("Authorization", "Bearer "+key)
	}
	return c
}

// ask sends a request of a program and wants that status. Each answer is held against the
// OpenAPI document on its way.
func (c *client) ask(method, path, body string, status int) map[string]any {
	c.t.Helper()
	r := c.request(method, adminAPI+path, nil)
	if body != "" {
		r = c.request(method, adminAPI+path, strings.NewReader(body))
		r.Header.Set("Content-Type", "application/json")
	}
	p := c.once(r)
	if p.Status != status {
		c.t.Fatalf("%s %s: %d, want %d\n%s", method, path, p.Status, status, p.Body)
	}
	if p.Body == "" {
		return nil
	}
	var answer map[string]any
	if err := json.Unmarshal([]byte(p.Body), &answer); err != nil {
		c.t.Fatalf("%s %s: %v\n%s", method, path, err, p.Body)
	}
	return answer
}

// B35, AC-224: a help desk's program finds somebody who has lost everything and removes
// their factors; the session that is open then is at sign-in on its very next request,
// and the pass of the program leads to a new factor. The key is made on the machine, is
// good for what it names and no more, and ends when it is revoked.
func TestAdminAPI_WithAKey(t *testing.T) {
	t.Parallel()
	g := start(t, managed)
	alice := g.secureClient(t, "app", true)
	alice.signUp("alice")
	carol := g.secureClient(t, "app", true)
	carol.join(g.invite(t, "carol", "--url", g.secureBase("app")), "carol")
	key := keyText.FindString(g.mfa(t, "keys", "create", "help desk", "--scope", "users:read", "--scope", "users:write"))
	if key == "" {
		t.Fatal("the command printed no key")
	}
	p := g.program(t, "console", key)

	if who := p.ask(http.MethodGet, "", "", http.StatusOK); who["key"] != true || !strings.HasPrefix(who["name"].(string), "key help desk") {
		t.Errorf("the key is %v", who)
	}
	found := p.ask(http.MethodGet, "/users?name=carol", "", http.StatusOK)["users"].([]any)
	if len(found) != 1 {
		t.Fatalf("found %v", found)
	}
	path := "/users/" + found[0].(map[string]any)["id"].(string)
	if list := p.ask(http.MethodGet, path+"/sessions", "", http.StatusOK)["sessions"].([]any); len(list) != 1 {
		t.Errorf("carol's sessions are %v", list)
	}

	hits := g.App.Count()
	if now := carol.get("/"); !now.FromApp() || g.App.Count() != hits+1 {
		t.Fatalf("carol is not in: %s", now.Text())
	}
	if left := p.ask(http.MethodDelete, path+"/factors", "", http.StatusOK)["factors"].([]any); len(left) != 0 {
		t.Errorf("carol has %v", left)
	}
	if next := carol.get("/"); next.FromApp() || next.Title() != "Sign in" || g.App.Count() != hits+1 {
		t.Errorf("carol's next request led to %d %q", next.Status, next.Title())
	}
	pass := p.ask(http.MethodPost, path+"/enrollment-pass", "{}", http.StatusCreated)
	if pass["secret"] == "" {
		t.Errorf("the pass is %v", pass)
	}
	carol.signIn("carol")
	carol.setUpTOTP()
	carol.confirmCodes()
	if now := carol.get("/"); !now.FromApp() {
		t.Errorf("carol is not in again: %s", now.Text())
	}

	// No more than it names, and not beside an app, for whoever has the key.
	p.ask(http.MethodGet, "/audit", "", http.StatusForbidden)
	p.ask(http.MethodPost, "/keys", `{"name":"more","scopes":["users:read"],"expires_in":3600}`, http.StatusForbidden)
	g.program(t, "app", key).ask(http.MethodGet, "/users", "", http.StatusNotFound)
	alice.ask(http.MethodGet, "/users", "", http.StatusNotFound)

	list := g.mfa(t, "keys", "list")
	g.mfa(t, "keys", "revoke", strings.Split(key, "_")[1])
	if !strings.Contains(list, "help desk") {
		t.Errorf("the keys are\n%s", list)
	}
	p.ask(http.MethodGet, "/users", "", http.StatusUnauthorized)
	if strings.Contains(g.log(), key[20:]) {
		t.Error("the key is in the log")
	}
}

// With the session of an administrator: on the console's host, from its own origin, and
// for a change with a proof of the last fifteen minutes. What comes from the app's page, a
// sibling under the same domain, is refused (AC-121, AC-125).
func TestAdminAPI_WithASession(t *testing.T) {
	t.Parallel()
	g := start(t, managed)
	alice := g.secureClient(t, "app", true)
	aliceIs := alice.signUp("alice")
	bob := g.secureClient(t, "app", true)
	bobIs := bob.join(g.invite(t, "bob", "--url", g.secureBase("app")), "bob")

	// The domain's cookie is sent to the console as well, and is worth nothing there
	// (AC-007): an app may have got hold of it.
	alice.Base = g.secureBase("console")
	alice.ask(http.MethodGet, "", "", http.StatusUnauthorized)
	alice.enterConsole(aliceIs)
	bob.enterConsole(bobIs)
	if who := alice.ask(http.MethodGet, "", "", http.StatusOK); who["name"] != "alice" || who["role"] != "admin" {
		t.Errorf("alice is %v", who)
	}
	bob.ask(http.MethodGet, "", "", http.StatusForbidden)
	id := alice.ask(http.MethodGet, "/users?name=bob", "", http.StatusOK)["users"].([]any)[0].(map[string]any)["id"].(string)
	for _, from := range []struct{ origin, site string }{{g.secureBase("app"), "same-site"}, {"https://evil.test", "cross-site"}, {"null", "cross-site"}} {
		for method, path := range map[string]string{http.MethodGet: "/users", http.MethodDelete: "/users/" + id + "/factors"} {
			r := alice.request(method, adminAPI+path, nil)
			r.Header.Set("Origin", from.origin)
			r.Header.Set("Sec-Fetch-Site", from.site)
			if p := alice.once(r); p.Status != http.StatusForbidden || p.Header.Get("Access-Control-Allow-Origin") != "" || strings.Contains(p.Body, "bob") {
				t.Errorf("%s %s from %s: %d %s", method, path, from.origin, p.Status, p.Body)
			}
		}
	}
	alice.ask(http.MethodPost, "/users/"+id+"/unlock", "{}", http.StatusOK)
	g.advance(t, 16*time.Minute)
	alice.ask(http.MethodGet, "/users", "", http.StatusOK)
	p := alice.ask(http.MethodPost, "/users/"+id+"/disable", "{}", http.StatusUnauthorized)
	if next, _ := p["next"].(string); !strings.HasPrefix(next, "/.mfa/verify?") {
		t.Errorf("what is owed is %v", p)
	}
}

// The export is the record to the hash, and nobody's key is in it, nor in the store.
func TestAdminAPI_Export(t *testing.T) {
	t.Parallel()
	g := start(t, managed)
	g.secureClient(t, "app", true).signUp("alice")
	key := keyText.FindString(g.mfa(t, "keys", "create", "siem", "--scope", "audit:read", "--scope", "users:read"))
	p := g.program(t, "console", key)
	// Given in an address, it is refused; that it was, is no secret.
	if a := p.ask(http.MethodGet, "/users?access_token="+url.QueryEscape(key), "", http.StatusBadRequest); a["reason"] != "key_in_url" {
		t.Errorf("a key in the address: %v", a)
	}
	g.program(t, "console", "sg_0123456789abcdef_"+strings.Repeat("A", 43)).ask(http.MethodGet, "/users", "", http.StatusUnauthorized)

	var verified map[string]any
	var export *answered
	if err := g.wait(func() error { // events are written within a second
		verified = p.ask(http.MethodGet, "/audit/verification", "", http.StatusOK)
		export = p.once(p.request(http.MethodGet, adminAPI+"/audit/export", nil))
		if !strings.Contains(export.Body, `"api_key"`) || !strings.Contains(export.Body, verified["head"].(string)) {
			return os.ErrNotExist
		}
		return nil
	}); err != nil {
		t.Fatalf("the export has no line of the wrong key, or not the head %v:\n%s", verified, export.Body)
	}
	if verified["ok"] != true {
		t.Errorf("the verification is %v", verified)
	}
	var chain mfa.Chain
	for line := range bytes.Lines([]byte(export.Body)) {
		var e mfa.Event
		if err := json.Unmarshal(line, &e); err != nil {
			t.Fatal(err)
		}
		if err := chain.Next(e); err != nil {
			t.Fatal(err)
		}
	}
	if strings.Contains(export.Body, key[20:]) || strings.Contains(export.Body, "AAAAAAAA") {
		t.Error("a key is in the export")
	}
}
