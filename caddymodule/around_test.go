package caddymodule

import (
	"context"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/secondgate/secondgate/mfa"
)

// site is a protected site before the app, with these directives beside.
func (g *gateway) site(a *app, options, directives string) string {
	return g.text(options, "mfa\n\t"+directives+"\n\treverse_proxy "+strings.TrimPrefix(a.URL, "http://"))
}

// Somebody who opted out (rule B19) opens a part that asks for more: the page that
// asks for the proof must know what for, or it sends them back unasked for ever.
func TestHandler_B19_OptedOutIsAskedOnce(t *testing.T) {
	a, g := newApp(t), newGateway(t)
	g.mustLoad(g.site(a, "require off\n\t\tprompt never", "mfa /vault/* {\n\t\tfresh 5m\n\t}"))
	_ = g.signIn("alice", time.Minute)
	gen := g.generation()
	store := gen.pooled.store.store
	ctx := context.Background()
	if err := store.UpdateUser(ctx, "id-alice", func(u *mfa.User) error { u.OptedOut = true; return nil }); err != nil {
		t.Fatal(err)
	}
	cookie := g.hold(t, "http://"+g.host+"/", func(s *mfa.Session) { s.First = mfa.Proof{Kind: mfa.Password, At: time.Now()} })
	path := "/vault/x"
	for range 5 {
		resp, _ := g.get(path, cookie)
		if resp.StatusCode == http.StatusOK {
			if !strings.HasPrefix(path, "/.mfa/verify") {
				t.Errorf("it ends at %s", path)
			}
			return
		}
		path = resp.Header.Get("Location")
	}
	t.Error("it goes round in circles")
}

// hold keeps a session of alice's and returns the cookie that a browser would have.
func (g *gateway) hold(t *testing.T, address string, change func(*mfa.Session)) *http.Cookie {
	t.Helper()
	gen := g.generation()
	req, err := gen.guard.Parse(httptest.NewRequest(http.MethodGet, address, nil))
	if err != nil {
		t.Fatal(err)
	}
	now := time.Now()
	s := &mfa.Session{
		ID: mfa.NewSessionID(), User: "id-alice", Scope: req.Place.Scope, Complete: true, Created: now, LastSeen: now, Expires: now.Add(time.Hour),
	}
	change(s)
	if err := gen.pooled.store.store.CreateSession(context.Background(), s); err != nil {
		t.Fatal(err)
	}
	w := httptest.NewRecorder()
	if err := gen.guard.SetSession(w, req, s); err != nil {
		t.Fatal(err)
	}
	for _, c := range w.Result().Cookies() {
		if c.Value != "" && c.MaxAge >= 0 {
			return &http.Cookie{Name: c.Name, Value: c.Value}
		}
	}
	t.Fatal("no cookie")
	return nil
}

// An app that decodes first and cuts at "#" or "?" then serves another path than the
// one that the bypass was for (CVE-2026-41059 of oauth2-proxy; AC-061, AC-076).
// Everywhere else such a path is one like others.
func TestHandler_AC076_RejectsACutPathInABypass(t *testing.T) {
	a, g := newApp(t), newGateway(t)
	g.mustLoad(g.site(a, "require on", "@open path_regexp ^/foo/.*/bar$\n\tmfa @open {\n\t\tbypass\n\t}\n\t@css path *.css\n\tmfa @css {\n\t\tbypass\n\t}"))
	for _, path := range []string{"/foo/secret%23/bar", "/foo/secret%3f/bar", "/foo/secret%3F/bar", "/secret%23.css", "/secret%3f.css", "/a%20b%23.css"} {
		if code := g.rawGet(path, nil); code == http.StatusOK {
			t.Errorf("%s: the app answers a stranger", path)
		}
	}
	for _, path := range []string{"/foo/x/bar", "/x.css", "/a%20b.css"} {
		if code := g.rawGet(path, nil); code != http.StatusOK {
			t.Errorf("%s: %d to a stranger, want the app", path, code)
		}
	}
	if resp, _ := g.get("/wiki/C%23", g.signIn("alice", time.Minute)); resp.StatusCode != http.StatusOK {
		t.Errorf("/wiki/C%%23: %d to alice", resp.StatusCode)
	}
}

// AC-201: what opens more than its writer can mean is refused when it is loaded.
func TestHandler_AC201_RejectsAWideBypass(t *testing.T) {
	a, g := newApp(t), newGateway(t)
	for matcher, fine := range map[string]bool{
		"path_regexp public": false, "path_regexp .*": false, "path_regexp ^/.*": false, "not path /nowhere": false, "method GET HEAD": false,
		"path_regexp ^/public/": true, "path /public/*": true, "remote_ip 192.0.2.0/24": true, "method OPTIONS": true,
	} {
		err := g.load(g.site(a, "require on", "@open "+matcher+"\n\tmfa @open {\n\t\tbypass\n\t}"))
		if (err == nil) != fine {
			t.Errorf("%s: %v", matcher, err)
		}
		if err != nil && !strings.Contains(err.Error(), "bypass: ") {
			t.Errorf("%s: the refusal is %v", matcher, err)
		}
	}
}

// Many apps serve "/admin" and "/admin/" alike.
func TestHandler_ProtectsWithoutTheSlash(t *testing.T) {
	a, g := newApp(t), newGateway(t)
	g.mustLoad(g.site(a, "require on", "mfa /admin/* {\n\t\tfresh 5m\n\t}\n\tmfa /open/* {\n\t\tbypass\n\t}"))
	c := g.signIn("alice", time.Hour)
	for path, want := range map[string]int{
		"/admin/": 302, "/admin": 302, "/admin?x=1": 302, "/ADMIN": 302, "/administration": 200, "/": 200,
		"/admin%23x": 302, "/admin%3fx": 302, "/wiki/C%23": 200,
	} {
		if resp, _ := g.get(path, c); resp.StatusCode != want {
			t.Errorf("%s: %d, want %d", path, resp.StatusCode, want)
		}
	}
	// What the configuration leaves out stays out.
	g.mustLoad(g.site(a, "require on", "@not not path /health\n\tmfa @not {\n\t\tfresh 5m\n\t}\n\tmfa /open/* {\n\t\tbypass\n\t}"))
	if resp, _ := g.get("/health", c); resp.StatusCode != 200 {
		t.Errorf("/health: %d", resp.StatusCode)
	}
	if code := g.rawGet("/open", nil); code == http.StatusOK {
		t.Error("a bypass of /open/* opens /open")
	}
}

// Cookies ignore ports. Two sites of one name on two ports have sessions of their
// own, and opening one must not end the other's.
func TestGuard_TwoPortsOfOneHost(t *testing.T) {
	a, g := newApp(t), newGateway(t)
	g.mustLoad(g.site(a, "require on", ""))
	_ = g.signIn("alice", time.Minute)
	proven := func(s *mfa.Session) {
		s.Proofs = []mfa.Proof{{Kind: mfa.TOTP, Credential: "app", At: time.Now()}}
	}
	jar := map[string]string{}
	hosts := []string{"nas.test", "nas.test:8443"}
	for _, host := range hosts {
		c := g.hold(t, "https://"+host+"/", proven)
		jar[c.Name] = c.Value
	}
	gen := g.generation()
	for _, host := range append(hosts, hosts...) {
		r := httptest.NewRequest(http.MethodGet, "https://"+host+"/", nil)
		for name, value := range jar {
			r.AddCookie(&http.Cookie{Name: name, Value: value})
		}
		w := httptest.NewRecorder()
		w2, r2 := gen.guard.Strip(w, r)
		if !gen.guard.Check(w2, r2, mfa.Route{}) {
			t.Errorf("%s: %d", host, w.Code)
		}
		for _, c := range w.Result().Cookies() {
			t.Errorf("%s: %s", host, c)
		}
		if got := r2.Header.Get("Cookie"); got != "" {
			t.Errorf("AC-017 %s: the app sees %q", host, got)
		}
	}
}

// A planted cookie has a path of its own: what the browser asked for, and not what
// the site made of it, says which paths that can be (AC-013).
func TestGuard_AC013_ClearsPlantedCookiesOfTheSentPath(t *testing.T) {
	a, g := newApp(t), newGateway(t)
	g.mustLoad(strings.Replace(g.site(a, "require on", ""), "mfa\n\t", "@deep path /deep/*\n\trewrite @deep /index.html\n\tmfa\n\t", 1))
	c := g.signIn("alice", time.Minute)
	for path, want := range map[string][]string{
		"/deep/page":            {"/", "/deep", "/deep/", "/deep/page"},
		"/a%20b/c":              {"/", "/a%20b", "/a%20b/", "/a%20b/c"},
		"/1/2/3/4/5/6/7/8/9/0/": {"/1/2/3/4/5/6/7/8/9/0", "/1/2/3/4/5/6/7/8/9/0/"},
	} {
		resp, _ := g.get(path, nil, "Cookie", c.String()+"; "+c.Name+"=planted")
		var cleared []string
		for _, set := range resp.Cookies() {
			if set.Name == c.Name && set.MaxAge < 0 {
				cleared = append(cleared, set.Path)
			}
		}
		for _, p := range want {
			if !slices.Contains(cleared, p) {
				t.Errorf("%s: %s is not cleared: %q", path, p, cleared)
			}
		}
	}
}
