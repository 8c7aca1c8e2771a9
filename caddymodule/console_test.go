package caddymodule

import (
	"errors"
	"fmt"
	"html"
	"io"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/secondgate/secondgate/mfa"
)

// console returns the gateway's text with a site that is a console, and its host.
func (g *gateway) console(options string) (text, host string) {
	g.t.Helper()
	port := freePort(g.t)
	return g.text(options, "mfa\n\trespond ok") + "\nhttp://localhost:" + port + " {\n\tmfa_console\n}\n", "localhost:" + port
}

// An app beside the console, once broken into, would administrate with it.
func TestConsole_RefusesToShareItsHost(t *testing.T) {
	for _, c := range []struct {
		name, site string
		ok         bool
	}{
		{"alone", "mfa_console", true},
		{"with headers and a log", "log\n\theader X-Robots-Tag noindex\n\tencode\n\tmfa_console", true},
		{"with a redirect", "redir /old /.mfa/admin\n\tmfa_console", true},
		{"with mfa", "mfa\n\tmfa_console", false},
		{"with mfa on a part", "mfa /x/*\n\tmfa_console", false},
		{"before an app", "mfa_console\n\treverse_proxy localhost:3000", false},
		{"beside an app in another handle", "handle /app/* {\n\t\treverse_proxy localhost:3000\n\t}\n\thandle {\n\t\tmfa_console\n\t}", false},
		{"beside files", "route {\n\t\tfile_server /files/*\n\t\tmfa_console\n\t}", false},
	} {
		t.Run(c.name, func(t *testing.T) {
			g := newGateway(t)
			err := g.load(g.text("require on", c.site))
			if c.ok != (err == nil) || err != nil && !errors.Is(err, errConsoleShared) && !strings.Contains(err.Error(), errConsoleShared.Error()) {
				t.Errorf("got %v", err)
			}
		})
	}
}

// What is hidden in a named route stands in the site all the same.
func TestConsole_RefusesToShareItsHostByName(t *testing.T) {
	for _, c := range []struct {
		name, site, route string
		ok                bool
	}{
		{"an app", "invoke /app/* named\n\tmfa_console", "reverse_proxy localhost:3000", false},
		{"a console", "invoke /.mfa/* named\n\treverse_proxy localhost:3000", "mfa_console", false},
		{"both", "invoke named", "handle /x/* {\n\t\tfile_server\n\t}\n\tmfa_console", false},
		{"an app in a handle", "invoke named\n\tmfa_console", "handle /x/* {\n\t\tfile_server\n\t}", false},
		{"a console alone", "invoke named", "mfa_console", true},
		{"headers", "invoke named\n\tmfa_console", "header X-Robots-Tag noindex", true},
		{"itself", "invoke named\n\tmfa_console", "handle /x/* {\n\t\tinvoke named\n\t}\n\tinvoke named", true},
	} {
		t.Run(c.name, func(t *testing.T) {
			g := newGateway(t)
			err := g.load(g.text("require on", c.site) + "\n&(named) {\n\t" + c.route + "\n}\n")
			if c.ok != (err == nil) || err != nil && !strings.Contains(err.Error(), errConsoleShared.Error()) {
				t.Errorf("got %v", err)
			}
		})
	}
}

// consolePages are pages of the console, each of another kind.
var consolePages = []string{
	"/.mfa/admin", "/.mfa/admin?q=a", "/.mfa/admin/user?id=id-alice", "/.mfa/admin/user/change?id=id-alice&do=unlock", "/.mfa/admin/invite",
	"/.mfa/admin/organizations", "/.mfa/admin/organization?id=acme", "/.mfa/admin/organization/edit?id=acme", "/.mfa/admin/coverage",
	"/.mfa/admin/forecast", "/.mfa/admin/policy", "/.mfa/admin/policy/change?id=require", "/.mfa/admin/campaigns", "/.mfa/admin/campaign",
	"/.mfa/admin/audit", "/.mfa/admin/audit/export", "/.mfa/admin/keys", "/.mfa/admin/key/make", "/.mfa/admin/explain", "/.mfa/doctor",
}

// AC-155: the console is on its own host and nowhere else, for administrators too; and on
// its host there is nothing but the gate.
func TestConsole_AC155_OnlyOnItsHost(t *testing.T) {
	g := newGateway(t)
	text, host := g.console("require on")
	g.mustLoad(text)
	boss := g.signIn("boss", 0)
	g.update("boss", func(u *mfa.User) { u.Admin = true })
	for _, page := range append(consolePages, "/.mfa/api/admin/users") {
		if res, body := g.get(page, boss); res.StatusCode != http.StatusNotFound || strings.Contains(body, "boss@") {
			t.Errorf("on the app's host %s is %d", page, res.StatusCode)
		}
	}
	if res, _ := g.get("/x", boss); res.StatusCode != http.StatusOK {
		t.Errorf("the app answers %d", res.StatusCode)
	}

	g.host = host
	for path, want := range map[string]string{"/": "303 /.mfa/admin", "/x": "404 ", "/admin": "404 ", "/.mfa/nothing": "404 ", "/.mfa/admin": "303 /.mfa/sign-in?to=admin"} {
		res, _ := g.get(path, nil)
		if got := fmt.Sprint(res.StatusCode, " ", res.Header.Get("Location")); got != want {
			t.Errorf("%s: %s, want %s", path, got, want)
		}
	}
	if res, body := g.get("/.mfa/health", nil); res.StatusCode != http.StatusOK || !strings.Contains(body, "ok") {
		t.Errorf("the health: %d %s", res.StatusCode, body)
	}
	if res, body := g.get("/.mfa/sign-in?to=admin", nil); res.StatusCode != http.StatusOK || strings.Contains(body, "acme") {
		t.Errorf("the sign-in page: %d", res.StatusCode)
	}
	boss = g.signIn("boss", 0)
	if res, _ := g.get("/.mfa/admin", boss); res.StatusCode != http.StatusOK {
		t.Errorf("the console: %d", res.StatusCode)
	}
}

// AC-224: who may open which page, with the real core and the real store behind it. What
// is another organization's is not there.
func TestConsole_AC224_Roles(t *testing.T) {
	g := newGateway(t)
	text, host := g.console("require on\n\t\torganization acme {\n\t\t\tname Acme\n\t\t}\n\t\torganization globex {\n\t\t\tname Globex\n\t\t}")
	g.mustLoad(text)
	g.host = host
	cookies := map[string]*http.Cookie{"none": nil}
	for _, name := range []string{"alice", "mallory", "plain", "auditor", "chief", "boss", "stale"} {
		cookies[name] = g.signIn(name, map[string]time.Duration{"stale": time.Hour}[name])
	}
	g.update("alice", func(u *mfa.User) { u.Organizations = []mfa.OrganizationID{"acme"} })
	g.update("mallory", func(u *mfa.User) { u.Organizations = []mfa.OrganizationID{"globex"} })
	g.update("auditor", func(u *mfa.User) { u.Auditor = true })
	g.update("chief", func(u *mfa.User) { u.AdminOf = []mfa.OrganizationID{"acme"}; u.Organizations = u.AdminOf })
	g.update("boss", func(u *mfa.User) { u.Admin = true })
	g.update("stale", func(u *mfa.User) { u.Admin = true })
	sees := func(who, path string, want int) {
		t.Helper()
		res, body := g.get(path, cookies[who])
		if res.StatusCode != want {
			t.Errorf("%s at %s: %d %s, want %d", who, path, res.StatusCode, res.Header.Get("Location"), want)
		}
		if res.StatusCode == http.StatusOK && res.Header.Get("Cache-Control") != "no-store" {
			t.Errorf("AC-129: %s may be cached", path)
		}
		if (who == "chief" || who == "plain" || who == "none") && strings.Contains(body, "The mallory") {
			t.Errorf("%s sees another organization's user at %s", who, path)
		}
	}
	// In the order of consolePages: auditor, chief (of acme), boss, boss whose proof is old.
	want := [][4]int{
		{200, 200, 200, 200}, {200, 200, 200, 200}, {200, 200, 200, 200}, {403, 200, 200, 303}, {403, 200, 200, 303},
		{200, 200, 200, 200}, {200, 200, 200, 200}, {403, 403, 403, 303}, {200, 200, 200, 200},
		{200, 200, 200, 200}, {200, 403, 200, 200}, {403, 403, 200, 303}, {200, 200, 200, 200}, {403, 403, 200, 303},
		{200, 403, 200, 200}, {200, 403, 200, 200}, {403, 403, 200, 200}, {403, 403, 200, 303}, {200, 200, 200, 200}, {200, 403, 200, 200},
	}
	for i, page := range consolePages {
		sees("none", page, http.StatusSeeOther)
		sees("plain", page, http.StatusForbidden)
		for j, who := range []string{"auditor", "chief", "boss", "stale"} {
			sees(who, page, want[i][j])
		}
	}
	for _, page := range []string{
		"/.mfa/admin/user?id=id-mallory", "/.mfa/admin/user/change?id=id-mallory&do=remove-factors", "/.mfa/admin/organization?id=globex",
		"/.mfa/admin/coverage?of=globex", "/.mfa/admin/forecast?of=globex", "/.mfa/admin?of=globex", "/.mfa/admin/user?id=nobody",
		"/.mfa/admin/invite?id=id-mallory", "/.mfa/admin/user?id=id-mallory&after=x",
	} {
		sees("chief", page, http.StatusNotFound)
	}
	sees("chief", "/.mfa/admin?as=globex", http.StatusForbidden)
	sees("chief", "/.mfa/admin?as=nowhere", http.StatusForbidden)
	if _, body := g.get("/.mfa/admin?q=mallory", cookies["boss"]); !strings.Contains(body, "The mallory") {
		t.Error("the administrator does not find mallory")
	}

	// The same for what changes something.
	does := func(who, path string, form url.Values, want int) {
		t.Helper()
		if res := g.send(cookies[who], path, form); res.StatusCode != want {
			t.Errorf("%s does %s: %d, want %d", who, path, res.StatusCode, want)
		}
	}
	disable := "/.mfa/admin/user/change?do=disable&id=id-"
	does("plain", disable+"alice", nil, http.StatusForbidden)
	does("auditor", disable+"alice", nil, http.StatusForbidden)
	does("chief", disable+"mallory", nil, http.StatusNotFound)
	does("chief", disable+"chief", nil, http.StatusForbidden)
	does("chief", "/.mfa/admin/user/change?do=roles&id=id-alice", url.Values{"role": {"admin"}}, http.StatusForbidden)
	does("chief", "/.mfa/admin/user/change?do=join&id=id-alice", url.Values{"organization": {"acme"}}, http.StatusForbidden)
	does("chief", "/.mfa/admin/user/change?do=password&id=id-alice", nil, http.StatusForbidden)
	does("chief", "/.mfa/admin/invite", url.Values{"name": {"eve"}, "role": {"admin"}, "organizations": {"globex"}}, http.StatusOK)
	does("boss", disable+"boss", nil, http.StatusForbidden)
	for _, name := range []string{"alice", "mallory", "boss"} {
		if g.user(name).Disabled {
			t.Errorf("%s is disabled", name)
		}
	}
	if u := g.user("alice"); u.Admin || len(u.AdminOf) > 0 {
		t.Error("AC-122: a role was given")
	}
	if u := g.user("eve"); u.Admin || len(u.Organizations) != 1 || u.Organizations[0] != "acme" {
		t.Errorf("AC-122: the invitation made %+v", u)
	}
	does("stale", disable+"alice", nil, http.StatusSeeOther)
	if g.user("alice").Disabled {
		t.Error("AC-128: a proof of an hour ago was enough for a change")
	}
	does("chief", disable+"alice", nil, http.StatusSeeOther)
	if !g.user("alice").Disabled {
		t.Error("the organization's administrator could not disable its member")
	}
	// B36: it holds on the very next request.
	sees("alice", "/.mfa/account", http.StatusSeeOther)
}

var hiddenToken = regexp.MustCompile(`name="csrf" value="([^"]+)"`)

// send sends a form as our own page would, with a token of the gateway.
func (g *gateway) send(cookie *http.Cookie, path string, form url.Values) *http.Response {
	g.t.Helper()
	res, body := g.get("/.mfa/sign-out", cookie)
	m := hiddenToken.FindStringSubmatch(body)
	if m == nil {
		g.t.Fatalf("no form on the page: %s", body)
	}
	sent := url.Values{"csrf": {html.UnescapeString(m[1])}}
	for name, values := range form {
		sent[name] = values
	}
	var cookies []*http.Cookie
	if cookie != nil {
		cookies = append(cookies, cookie)
	}
	return g.form(path, io.Reader(strings.NewReader(sent.Encode())), append(cookies, res.Cookies()...))
}

func (g *gateway) user(name string) *mfa.User {
	g.t.Helper()
	u, err := g.generation().pooled.store.store.UserByKey(g.t.Context(), mfa.SubjectKey(mfa.LocalSource, name))
	g.must(err)
	return u
}

// The start names the consoles beside the apps, and warns of one that nobody can use:
// over plain http, or where the sign-in of the apps does not reach.
func TestConsole_IsNamedAtTheStart(t *testing.T) {
	g := newGateway(t)
	lines := filepath.Join(g.dir, "all.log")
	text, own := g.console("domain example.com")
	text += "\nhttp://console.example.org:" + g.port + " {\n\tmfa_console\n}\n"
	g.mustLoad(strings.Replace(text, "\tmfa {", "\tlog {\n\t\toutput file "+lines+"\n\t}\n\tmfa {", 1))
	raw, err := os.ReadFile(lines)
	if err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{
		`"msg":"the gate is up","protects":\["http://` + g.host + `"\],"consoles":\["http://` + own + `","https://console.example.org"\]`,
		`"msg":"this site is served over plain http[^"]*","site":"http://console.example.org:` + g.port + `"`,
		`"msg":"a protected host is not within the domain[^"]*","host":"console.example.org"`,
	} {
		if !regexp.MustCompile(want).Match(raw) {
			t.Errorf("there is no line like %s in\n%s", want, raw)
		}
	}
}
