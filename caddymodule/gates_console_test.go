package caddymodule

import (
	"encoding/json"
	"net/http"
	"net/url"
	"strings"
	"testing"

	"github.com/secondgate/secondgate/mfa"
)

// B4, B32, AC-224: the console and the admin API say of a person at an address what the
// command says, with the routes that run; to administrators and auditors of the whole
// gateway, and to nobody else.
func TestConsole_B32_ExplainAccess(t *testing.T) {
	g := newGateway(t)
	text, host := g.console("require on\n\t\torganization acme\n\t\torganization globex")
	text = strings.Replace(text, "\tmfa\n", "\tmfa\n\tmfa /danger/* {\n\t\tphishing_resistant\n\t}\n\thandle /globex/* {\n\t\tmfa {\n\t\t\torganization globex\n\t\t}\n\t\trespond globex\n\t}\n", 1)
	g.mustLoad(text)
	app := "http://" + g.host
	g.host = host
	cookies := map[string]*http.Cookie{}
	for _, name := range []string{"alice", "auditor", "chief", "boss"} {
		cookies[name] = g.signIn(name, 0)
	}
	g.update("alice", func(u *mfa.User) { u.Organizations = []mfa.OrganizationID{"acme"} })
	g.update("auditor", func(u *mfa.User) { u.Auditor = true })
	g.update("chief", func(u *mfa.User) { u.AdminOf = []mfa.OrganizationID{"acme"}; u.Organizations = u.AdminOf })
	g.update("boss", func(u *mfa.User) { u.Admin = true })
	page := func(address string) string {
		return "/.mfa/admin/explain/access?" + url.Values{"user": {"id-alice"}, "at": {address}}.Encode()
	}
	programs := func(address string) string {
		return "/.mfa/api/admin/users/id-alice/access?" + url.Values{"url": {address}}.Encode()
	}
	for who, want := range map[string]int{"alice": http.StatusForbidden, "auditor": http.StatusOK, "chief": http.StatusForbidden, "boss": http.StatusOK} {
		for _, address := range []string{app + "/danger/x", app + "/globex/x"} {
			res, body := g.get(page(address), cookies[who])
			if res.StatusCode != want || want != http.StatusOK && strings.Contains(body, "server srv") {
				t.Errorf("%s at %s: %d, want %d", who, address, res.StatusCode, want)
			}
			res, body = g.get(programs(address), cookies[who], "Sec-Fetch-Site", "same-origin", "Sec-Fetch-Mode", "cors", "Sec-Fetch-Dest", "empty")
			if res.StatusCode != want || want != http.StatusOK && strings.Contains(body, "server srv") {
				t.Errorf("%s as a program at %s: %d, want %d: %s", who, address, res.StatusCode, want, body)
			}
		}
	}
	_, body := g.get(page(app+"/danger/x"), cookies["auditor"])
	says(t, body, "needs_factor · mfa /danger/*", "phishing_resistant", "Asked to set up a second step", "Only others count at this address")
	_, body = g.get(page(app+"/globex/x"), cookies["auditor"])
	says(t, body, "not_member", "Members of globex only")
	var x struct {
		URL   string
		Steps []struct{ Action string }
	}
	_, body = g.get(programs(app+"/danger/x?token=proberef"), cookies["auditor"], "Sec-Fetch-Site", "same-origin")
	if err := json.Unmarshal([]byte(body), &x); err != nil || x.URL != app+"/danger/x" || len(x.Steps) < 3 || x.Steps[0].Action != "sign_in" || strings.Contains(body, "proberef") {
		t.Errorf("the API: %v %s", err, body)
	}

	// What is no address of an app is said, and not repeated.
	for address, word := range map[string]string{
		"https://proberef:pw@localhost/": "no address of a page", "ftp://localhost/proberef": "no address of a page", "http://localhost/\r\nproberef": "no address of a page",
		"http://app.example.com/proberef": "Plain http is refused", "http://" + host + "/proberef": "a page of the gate itself", app + "/.mfa/proberef": "a page of the gate itself",
		"https://proberef.example.com/": "Nothing that is set up here", app + "/" + strings.Repeat("proberef", 1280): "too long",
	} {
		res := g.send(cookies["boss"], "/.mfa/admin/explain/access", url.Values{"user": {"alice"}, "at": {address}})
		if res.StatusCode != http.StatusUnprocessableEntity || res.Header.Get("Location") != "" {
			t.Errorf("the form with %.60q: %d %s", address, res.StatusCode, res.Header.Get("Location"))
		}
		if res, body := g.get(page(address), cookies["boss"]); res.StatusCode != http.StatusUnprocessableEntity || !strings.Contains(body, word) {
			t.Errorf("%.60q: %d, want a word of %q", address, res.StatusCode, word)
		}
		res, body := g.get(programs(address), cookies["boss"], "Sec-Fetch-Site", "same-origin")
		if res.StatusCode != http.StatusUnprocessableEntity || strings.Contains(body, "proberef") {
			t.Errorf("%.60q as a program: %d %s", address, res.StatusCode, body)
		}
	}
	res := g.send(cookies["auditor"], "/.mfa/admin/explain/access", url.Values{"user": {"alice"}, "at": {app + "/x?token=proberef"}})
	if want := page(app + "/x"); res.StatusCode != http.StatusSeeOther || res.Header.Get("Location") != want {
		t.Errorf("%d %s, want %s", res.StatusCode, res.Header.Get("Location"), want)
	}
}
