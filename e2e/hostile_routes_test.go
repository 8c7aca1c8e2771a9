package e2e

import (
	"bytes"
	"flag"
	"fmt"
	"net/http"
	"net/url"
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/secondgate/secondgate/api"
	"github.com/secondgate/secondgate/pages"
)

var updateRoutes = flag.Bool("update-routes", false, "write testdata/routes.txt anew; read the difference before you keep it")

// kinds are who asks, in the order of the table's columns.
var kinds = []struct{ name, means string }{
	{"none", "nobody is signed in"},
	{"new", "the password was proven; nothing is set up"},
	{"half", "the password was proven; the second factor is owed"},
	{"stale", "signed in, with a proof of more than ten minutes ago"},
	{"full", "signed in, with a proof of just now"},
}

// served lists every route of ours, from the program itself, and one of each rule
// of hostileSite.
func served(t *testing.T) []string {
	t.Helper()
	p, err := pages.New(pages.Config{Gate: struct{ pages.Gate }{}, Guard: struct{ pages.Guard }{}})
	if err != nil {
		t.Fatal(err)
	}
	list := []string{"GET /x", "POST /x", "GET /strict/x", "GET /public/x", "GET /.mfa/nothing", "POST /.mfa/nothing", "GET /.mfa", "GET /.mfa/auth/nginx", "GET /.mfa/health", "POST /.mfa/health", "GET /.mfa/jwks.json", "POST /.mfa/jwks.json", "GET /.mfa/assets/nothing",
		"GET /.mfa/set-up?from=account", "GET /.mfa/set-up/totp?from=account", "GET /.mfa/set-up/passkey?from=account", "GET /.mfa/set-up/backup-codes?from=account",
		"POST /.mfa/set-up/passkey/begin?from=account", "POST /.mfa/account/remove?held", "POST /.mfa/account/rename?held",
	}
	for _, r := range p.Routes() {
		method, name, _ := strings.Cut(r, " ")
		list = append(list, method+" /.mfa/"+strings.ReplaceAll(name, "{source}", "none"))
	}
	programs, err := api.New(api.Config{Gate: struct{ api.Gate }{}, Guard: struct{ api.Guard }{}})
	if err != nil {
		t.Fatal(err)
	}
	list = append(list, "GET "+api.ScriptPath, "GET /.mfa/api", "GET /.mfa/api/nothing", "PATCH /.mfa/api/account/factors/none?held", "DELETE /.mfa/api/account/factors/none?held")
	for _, r := range programs.Routes() {
		method, name, _ := strings.Cut(r, " ")
		list = append(list, method+" "+api.Root+strings.NewReplacer("{id}", "none", "{user}", "none", "{field}", "grace").Replace(name))
	}
	slices.Sort(list)
	return list
}

// cast plays the kinds.
type cast struct {
	w    *target
	http bool // HTTP/2
	c    *client
	kind string
	made time.Time
}

// browser returns a browser of that kind, the one before where that still is.
func (k *cast) browser(t *testing.T, kind string) *client {
	t.Helper()
	if k.c != nil && k.kind == kind && k.w.now().Sub(k.made) < 5*time.Minute {
		return k.c
	}
	g := k.w.gateway
	c := g.from(g.secureClient(t, "app", k.http), network())
	switch kind {
	case "new":
		c.signIn("carol")
	case "half":
		c.signIn("alice")
	case "stale", "full":
		c.enter(k.w.alice)
	}
	k.c, k.kind, k.made = c, kind, k.w.now()
	if kind == "stale" {
		g.advance(t, 10*time.Minute+5*time.Second)
		k.made = k.w.now()
	}
	return c
}

// outcome is one cell of the table: the status, and where a redirect leads.
func outcome(a *answered) string {
	text := fmt.Sprint(a.Status)
	if location := a.Header.Get("Location"); location != "" {
		u, err := url.Parse(location)
		if err != nil {
			return text + ">?"
		}
		text += ">" + strings.TrimPrefix(u.Path, "/.mfa/")
	}
	if a.FromApp() {
		text += ">app"
	}
	return text
}

// AC-155, AC-194: every route of ours against every kind of session. The table is checked
// in; a route without a row fails. Every answer is looked at for AC-127, AC-129,
// AC-131 and AC-132 as well.
func TestHostile_routes_AC155(t *testing.T) {
	w := attack(t)
	carol := w.stranger(t)
	carol.openLink(w.invite(t, "carol"), "carol")
	routes := served(t)
	m := held.FindStringSubmatch(w.browser.get("/.mfa/account").Body)
	if m == nil {
		t.Fatal("no factor on the account page")
	}
	credential := m[1]
	const file = "testdata/routes.txt"
	wanted, err := os.ReadFile(file)
	if err != nil && !*updateRoutes {
		t.Fatal(err)
	}
	for _, protocol := range []string{"HTTP/2", "HTTP/1.1"} {
		t.Run(protocol, func(t *testing.T) {
			if protocol == "HTTP/1.1" {
				// What holds must hold right after a restart and a reload, too (AC-194).
				w.restart(t)
				w.reload(t, hostileSite)
			}
			cells := map[string][]string{}
			k := &cast{w: w, http: protocol == "HTTP/2"}
			for _, kind := range kinds {
				k.c = nil
				for _, route := range routes {
					method, path, _ := strings.Cut(route, " ")
					if method != http.MethodGet {
						w.unlock(t, "alice", "carol") // the guesses below are not what is tested
					}
					c := k.browser(t, kind.name)
					a := c.once(c.knock(method, path, credential))
					w.look(t, kind.name+" "+route, a)
					cells[route] = append(cells[route], outcome(a))
					for _, set := range a.Header["Set-Cookie"] {
						if name, _, _ := strings.Cut(set, "="); name == c.sessionName() || name == c.halfDoneName() {
							k.c = nil // it is of another kind now
						}
					}
				}
			}
			got := table(routes, cells)
			if *updateRoutes {
				if err := os.WriteFile(file, got, 0o644); err != nil { //nolint:gosec // no secret
					t.Fatal(err)
				}
				return
			}
			if !bytes.Equal(got, wanted) {
				old, now := strings.Split(string(wanted), "\n"), strings.Split(string(got), "\n")
				for _, line := range now {
					if !slices.Contains(old, line) {
						t.Errorf("now  %s", line)
					}
				}
				for _, line := range old {
					if !slices.Contains(now, line) {
						t.Errorf("want %s", line)
					}
				}
				t.Log("where the change is meant: go test ./e2e -run TestHostile_routes -update-routes")
			}
		})
	}
	t.Run("no other method", func(t *testing.T) {
		for _, route := range routes {
			_, path, _ := strings.Cut(route, " ")
			if !strings.HasPrefix(path, "/.mfa/") || strings.HasSuffix(path, "?held") {
				continue
			}
			for _, method := range []string{"PUT", "PATCH", "DELETE", "OPTIONS", "PROPFIND", "post", "get"} {
				a, h := w.reaches(w.h2, message{method: method, target: path, header: [][2]string{{"Origin", "https://evil.test"}, {"Access-Control-Request-Method", "POST"}}}.cookie(w.session))
				switch known := slices.Contains(routes, method+" "+path); {
				case h == nil && known && a.status == http.StatusForbidden: // it comes from another origin
				case h == nil && strings.HasPrefix(path, api.Root+"admin") && a.status == http.StatusNotFound: // beside an app there is none
				case h != nil || known || a.status != http.StatusMethodNotAllowed && a.status != http.StatusNotFound:
					t.Errorf("%s %s: %s", method, path, a)
				}
				for name := range a.header {
					if strings.HasPrefix(name, "Access-Control-") {
						t.Errorf("AC-125 %s %s: %s", method, path, name)
					}
				}
			}
		}
	})
}

var held = regexp.MustCompile(`credential=([A-Za-z0-9_-]+)`)

// knock is a request for the route, with a form or a document where it takes one,
// and with nothing in it that succeeds. With "?held" it is about alice's
// authenticator app.
func (c *client) knock(method, path, credential string) *http.Request {
	c.t.Helper()
	path, own := strings.CutSuffix(path, "?held")
	if !own {
		credential = "none"
	}
	if strings.HasPrefix(path, api.Root) {
		return c.knockAPI(method, path, credential)
	}
	if method == http.MethodGet {
		r := c.request(method, path, nil)
		r.Header.Set("Sec-Fetch-Mode", "navigate")
		r.Header.Set("Sec-Fetch-Dest", "document")
		return r
	}
	csrf := c.get("/.mfa/link").CSRF()
	if strings.Contains(path, "/begin") || strings.HasSuffix(path, "/finish") {
		r := c.request(method, path, strings.NewReader(`{"id":"none","answer":{"id":"none"}}`))
		r.Header.Set("Content-Type", "application/json")
		r.Header.Set("X-Csrf-Token", csrf)
		r.Header.Set("Origin", c.Base)
		r.Header.Set("Sec-Fetch-Site", "same-origin")
		return r
	}
	return c.formRequest(path, url.Values{
		"csrf": {csrf}, "name": {"alice"}, "password": {"wrong wrong wrong"}, "old": {"wrong wrong wrong"}, "code": {"12345"},
		"credential": {credential}, "session": {"none"}, "handle": {"none"}, "token": {"none"}, "language": {"en"}, "back": {"/.mfa/sign-in"},
	})
}

// bodies are what a program could send to change nothing, by the end of the path.
var bodies = []struct{ path, body string }{
	{"/totp/begin", `{}`}, {"/passkey/begin", `{}`}, {"/passkey/finish", `{"id":"none","answer":{"id":"none"}}`},
	{"/totp/finish", `{"code":"12345"}`}, {"/email/finish", `{"code":"12345"}`}, {"/sms/finish", `{"code":"12345"}`},
	{"factors/email/send", `{"address":"nobody"}`}, {"factors/sms/send", `{"address":"nobody"}`}, {"verification/send", `{"factor":"email"}`},
	{"verification/totp", `{"code":"12345"}`}, {"verification/email", `{"code":"12345"}`}, {"verification/sms", `{"code":"12345"}`},
	{"verification/backup-code", `{"code":"12345"}`}, {"account/password", `{"old":"wrong wrong wrong","new":"another wrong wrong"}`},
	{"account/email/send", `{"address":"nobody"}`}, {"account/email/finish", `{"code":"12345"}`},
	{"notices/seen", `{"until":"2000-01-01T00:00:00Z"}`},
	{"backup-codes/confirm", `{"none":1}`}, // after the route before it there is a set to confirm
}

// knockAPI is what a script of the app sends.
func (c *client) knockAPI(method, path, credential string) *http.Request {
	body := `{"name":"Phone"}` // of a factor
	if strings.HasSuffix(path, "/account") {
		body = `{"display_name":""}`
	}
	if method == http.MethodPost || method == http.MethodPut {
		body = `{}`
	}
	for _, b := range bodies {
		if strings.HasSuffix(path, b.path) {
			body = b.body
		}
	}
	r := c.request(method, strings.ReplaceAll(path, "factors/none", "factors/"+credential), nil)
	if method == http.MethodPost || method == http.MethodPut || method == http.MethodPatch {
		r = c.request(method, strings.ReplaceAll(path, "factors/none", "factors/"+credential), strings.NewReader(body))
		r.Header.Set("Content-Type", "application/json")
	}
	r.Header.Set("Sec-Fetch-Site", "same-origin")
	r.Header.Set("Sec-Fetch-Mode", "cors")
	r.Header.Set("Sec-Fetch-Dest", "empty")
	if method != http.MethodGet {
		r.Header.Set("Origin", c.Base)
	}
	return r
}

// table writes the table as it is checked in.
func table(routes []string, cells map[string][]string) []byte {
	var b bytes.Buffer
	b.WriteString("# Who may open what (AC-155). Rows are routes, with a form or document that changes nothing; columns are who asks:\n")
	for _, k := range kinds {
		fmt.Fprintf(&b, "#   %-6s %s\n", k.name, k.means)
	}
	b.WriteString("# A cell is the status and where a redirect leads. To write it anew: go test ./e2e -run TestHostile_routes -update-routes\n")
	width := 0
	for _, r := range routes {
		width = max(width, len(r))
	}
	fmt.Fprintf(&b, "%-*s", width, "")
	for _, k := range kinds {
		fmt.Fprintf(&b, "  %-24s", k.name)
	}
	b.WriteString("\n")
	for _, r := range routes {
		fmt.Fprintf(&b, "%-*s", width, r)
		for _, cell := range cells[r] {
			fmt.Fprintf(&b, "  %-24s", cell)
		}
		b.WriteString("\n")
	}
	lines := strings.Split(b.String(), "\n")
	for i, line := range lines {
		lines[i] = strings.TrimRight(line, " ")
	}
	return []byte(strings.Join(lines, "\n"))
}

// look complains about what no answer of ours may be: framed, cached, without the
// headers that defend it, with a secret in it.
func (w *target) look(t testing.TB, where string, a *answered) {
	t.Helper()
	if a.FromApp() {
		return // the app's answers are its own
	}
	h := a.Header
	want := map[string]string{
		"X-Content-Type-Options": "nosniff", "X-Frame-Options": "DENY", "Cross-Origin-Opener-Policy": "same-origin",
		"Cross-Origin-Resource-Policy": "same-origin", "Cache-Control": "no-store", "Strict-Transport-Security": "max-age=31536000",
	}
	// The keys of assertions are the one thing that everybody may keep and read.
	public := a.Status == http.StatusOK && strings.HasSuffix(where, "GET /.mfa/jwks.json")
	if public {
		want["Cross-Origin-Resource-Policy"], want["Cache-Control"], want["Access-Control-Allow-Origin"] = "cross-origin", "public, max-age=300", "*"
	}
	for name, value := range want {
		if got := h.Values(name); len(got) != 1 || got[0] != value {
			t.Errorf("AC-132 %s (%d): %s: %q", where, a.Status, name, got)
		}
	}
	csp := h.Get("Content-Security-Policy")
	for _, part := range []string{"default-src 'none'", "frame-ancestors 'none'", "base-uri 'none'"} {
		if !strings.Contains(csp, part) {
			t.Errorf("AC-127 %s (%d): CSP %q", where, a.Status, csp)
		}
	}
	if strings.Contains(csp, "unsafe") || strings.Contains(csp, "*") || len(h.Values("Content-Security-Policy")) != 1 {
		t.Errorf("AC-132 %s: CSP %q", where, h.Values("Content-Security-Policy"))
	}
	if rp := h.Get("Referrer-Policy"); rp != "no-referrer" && rp != "same-origin" {
		t.Errorf("AC-132 %s: Referrer-Policy %q", where, rp)
	}
	if !strings.Contains(h.Get("Permissions-Policy"), "publickey-credentials-get=(self)") {
		t.Errorf("AC-132 %s: Permissions-Policy %q", where, h.Get("Permissions-Policy"))
	}
	if strings.ContainsAny(h.Get("Server"), "0123456789") || h.Get("X-Powered-By") != "" {
		t.Errorf("AC-132 %s: a banner: %q", where, h.Get("Server"))
	}
	if a.Body != "" && !strings.Contains(h.Get("Content-Type"), "charset=utf-8") && !strings.Contains(h.Get("Content-Type"), "json") {
		t.Errorf("AC-132 %s: Content-Type %q", where, h.Get("Content-Type"))
	}
	for name := range h {
		if strings.HasPrefix(name, "Access-Control-") && (!public || name != "Access-Control-Allow-Origin") || strings.HasPrefix(name, "Remote-") || strings.HasPrefix(name, "Mfa-") {
			t.Errorf("AC-125 %s: %s", where, name)
		}
	}
	if strings.Contains(a.Body, "<script>") || strings.Contains(a.Body, " style=") || strings.Contains(a.Body, " onclick=") {
		t.Errorf("AC-133 %s: inline script or style", where)
	}
	secrets := []string{"$argon2", password, w.alice.App.Secret, strings.Split(w.browser.cookie(w.hostCookie()), ".")[2]}
	secrets = append(secrets, w.alice.Backup...)
	for _, secret := range secrets {
		if strings.Contains(a.Body, secret) || strings.Contains(fmt.Sprint(h["Location"]), secret) {
			t.Errorf("AC-131 %s: a secret is in the answer: %.12s…", where, secret)
		}
	}
}
