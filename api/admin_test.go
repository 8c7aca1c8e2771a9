package api_test

import (
	"bufio"
	"bytes"
	"encoding/json"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/secondgate/secondgate/mfa"
)

// names are the user names on a page.
func (a *answer) names() (list []string) {
	for _, key := range []string{"users", "page"} {
		people, _ := a.body[key].([]any)
		for _, u := range people {
			list = append(list, u.(map[string]any)["name"].(string))
		}
	}
	return list
}

func TestAdmin_UsersPageByPage(t *testing.T) {
	o := newOffice(t)
	p := o.program()
	var want []string
	for range 25 {
		want = append(want, o.target().Name)
	}
	var got []string
	cursor := ""
	for {
		a := p.ask(http.MethodGet, admin+"/users?search=target&limit=10&cursor="+url.QueryEscape(cursor), "", http.StatusOK)
		got = append(got, a.names()...)
		if cursor = a.text("next"); cursor == "" {
			break
		}
	}
	if !slices.Equal(got, want) {
		t.Errorf("the pages have %v", got)
	}
	if a := p.ask(http.MethodGet, admin+"/users", "", http.StatusOK); len(a.names()) != 26 {
		t.Errorf("everybody is %v", a.names())
	}
}

func TestAdmin_UsersFiltered(t *testing.T) {
	o := newOffice(t)
	p := o.program()
	target := o.target()
	bare, disabled := o.target(), o.target()
	must(t, o.store.UpdateUser(t.Context(), bare.ID, func(u *mfa.User) error { u.Credentials, u.Organizations = nil, nil; return nil }))
	must(t, o.machine().SetDisabled(t.Context(), disabled.ID, true))
	for query, want := range map[string][]string{
		"factor=totp":                     {"root", target.Name, disabled.Name},
		"factor=none":                     {bare.Name},
		"factor=passkey":                  nil,
		"is=disabled":                     {disabled.Name},
		"is=role":                         {"root"},
		"organization=acme":               {target.Name, disabled.Name},
		"organization=acme&enabled=true":  {target.Name},
		"search=" + target.Name:           {target.Name},
		"search=ROOT":                     {"root"},
		"search=nobody":                   nil,
		"name=root":                       {"root"},
		"name=nobody":                     nil,
		"factor=totp&organization=globex": nil,
	} {
		if a := p.ask(http.MethodGet, admin+"/users?"+query, "", http.StatusOK); !slices.Equal(a.names(), want) {
			t.Errorf("%s: %v, want %v", query, a.names(), want)
		}
	}
	if a := p.ask(http.MethodGet, admin+"/organizations/acme/members?enabled=true", "", http.StatusOK); !slices.Equal(a.names(), []string{target.Name}) {
		t.Errorf("the members are %v", a.names())
	}
	p.ask(http.MethodGet, admin+"/users?organization=nowhere", "", http.StatusNotFound)
	if a := p.ask(http.MethodGet, admin+"/forecast", "", http.StatusOK); !slices.Equal(a.names(), []string{bare.Name}) || a.body["stopped"] != 1.0 || a.body["users"] != 3.0 {
		t.Errorf("the forecast is %s", a.raw)
	}
	if a := p.ask(http.MethodGet, admin+"/coverage", "", http.StatusOK); a.body["users"] != 3.0 || a.body["none"] != 1.0 || a.body["factors"].(map[string]any)["totp"] != 2.0 {
		t.Errorf("the coverage is %s", a.raw)
	}
}

// Whoever loses everything is helped by a program: their factors go, their sessions with
// them, and the pass lets them set one up anew.
func TestAdmin_B35_LostEverything(t *testing.T) {
	o := newOffice(t)
	p := o.program()
	carol := o.person("carol")
	path := admin + "/users/" + string(o.user("carol").ID)
	carol.ask(http.MethodGet, "/.mfa/api/account", "", http.StatusOK)
	if a := p.ask(http.MethodGet, path, "", http.StatusOK); len(a.body["factors"].([]any)) != 2 || a.body["detail"].(map[string]any)["sessions"] != 1.0 {
		t.Errorf("carol is %s", a.raw)
	}
	if a := p.ask(http.MethodDelete, path+"/factors", "", http.StatusOK); len(a.body["factors"].([]any)) != 0 {
		t.Errorf("carol has %s", a.raw)
	}
	if a := carol.ask(http.MethodGet, "/.mfa/api/account", "", http.StatusUnauthorized); a.reason() != "no_session" {
		t.Errorf("her next request: %s", a.raw)
	}
	pass := p.ask(http.MethodPost, path+"/enrollment-pass", `{"expires_in":3600}`, http.StatusCreated)
	if expires, err := time.Parse(time.RFC3339, pass.text("expires")); err != nil || !expires.Equal(o.clock.Now().Add(time.Hour)) {
		t.Errorf("it expires at %q", pass.text("expires"))
	}
	must(t, o.machine().SetPolicy(t.Context(), "enrollment", []string{"pass"}, true))
	b := o.browser()
	out, err := o.gate.SignIn(t.Context(), b.place(), mfa.LocalSource, "carol", goodPassword)
	must(t, err)
	if out, err = o.gate.UsePass(t.Context(), b.place(), out.Session.ID, pass.text("secret")); err != nil || out.Decision.Action != mfa.SetUp {
		t.Errorf("the pass leads to %+v %v", out, err)
	}
	last := o.events.Named(mfa.EventAdmin)
	if e := last[len(last)-2]; !e.OK || e.Actor != "key deploy" || e.UserName != "carol" || !strings.HasPrefix(e.Detail, "enrollment-pass") {
		t.Errorf("the event is %+v", e)
	}
	for _, life := range []string{"59", "604801", "-1"} {
		if a := p.ask(http.MethodPost, path+"/bypass", `{"why":"lost","expires_in":`+life+`}`, http.StatusBadRequest); a.text("field") != "expires_in" {
			t.Errorf("%s seconds: %s", life, a.raw)
		}
	}
	for _, why := range []string{"", " ", "two\nlines", strings.Repeat("a", 201)} {
		if a := p.ask(http.MethodPost, path+"/bypass", `{"why":`+quote(why)+`}`, http.StatusBadRequest); a.text("field") != "why" {
			t.Errorf("why %q: %s", why, a.raw)
		}
	}
}

func TestAdmin_OneFactorAndOneSession(t *testing.T) {
	o := newOffice(t)
	p := o.program()
	carol := o.person("carol")
	other := carol.again("carol")
	path := admin + "/users/" + string(o.user("carol").ID)
	list := p.ask(http.MethodGet, path+"/sessions", "", http.StatusOK).body["sessions"].([]any)
	if len(list) != 2 {
		t.Fatalf("the sessions are %v", list)
	}
	p.ask(http.MethodDelete, path+"/sessions/"+list[0].(map[string]any)["id"].(string), "", http.StatusNoContent)
	other.ask(http.MethodGet, "/.mfa/api/account", "", http.StatusUnauthorized)
	carol.ask(http.MethodGet, "/.mfa/api/account", "", http.StatusOK)
	a := p.ask(http.MethodDelete, path+"/factors/backup-codes", "", http.StatusOK)
	if held := a.body["factors"].([]any); len(held) != 1 || held[0].(map[string]any)["factor"] != "totp" {
		t.Errorf("carol has %s", a.raw)
	}
	carol.ask(http.MethodGet, "/.mfa/api/account", "", http.StatusUnauthorized)
	p.ask(http.MethodDelete, path+"/factors/backup-codes", "", http.StatusNotFound)
	if a := p.ask(http.MethodDelete, path+"/factors?factor=totp", "", http.StatusOK); len(a.body["factors"].([]any)) != 0 {
		t.Errorf("carol has %s", a.raw)
	}
}

// A link leads to a host that the gateway protects and to no other: who owns a name that
// was mistyped would be handed the account (AC-169).
func TestAdmin_Links(t *testing.T) {
	o := newOffice(t)
	p := o.program()
	a := p.ask(http.MethodPost, admin+"/users", `{"name":"dave","email":"dave@mail.example","organizations":["acme"],"groups":["staff"]}`, http.StatusCreated)
	link := a.text("link")
	token, ok := strings.CutPrefix(link, "https://wiki.example.com/.mfa/link#")
	if !ok {
		t.Fatalf("the link is %q", link)
	}
	if u := a.body["user"].(map[string]any); u["name"] != "dave" || u["email_verified"] != false || u["invited"] != true || u["role"] != "none" {
		t.Errorf("dave is %v", u)
	}
	if _, err := o.gate.AcceptLink(t.Context(), o.browser().place(), mfa.LinkInput{Token: token, Password: goodPassword}); err != nil {
		t.Errorf("the link opens nothing: %v", err)
	}
	if a := p.ask(http.MethodPost, admin+"/users", `{"name":"dave"}`, http.StatusConflict); a.reason() != "name_taken" {
		t.Errorf("the name again: %s", a.raw)
	}
	path := admin + "/users/" + string(o.user("dave").ID) + "/password-link"
	if a := p.ask(http.MethodPost, path, `{"origin":"https://shop.example.com"}`, http.StatusCreated); !strings.HasPrefix(a.text("link"), "https://shop.example.com/.mfa/link#") {
		t.Errorf("the link is %s", a.raw)
	}
	for _, origin := range []string{"https://evil.example", "https://shop.example.com.evil.example", "http://shop.example.com", "https://shop.example.com/", "javascript:"} {
		if a := p.ask(http.MethodPost, path, `{"origin":`+quote(origin)+`}`, http.StatusBadRequest); a.text("field") != "origin" {
			t.Errorf("%s: %s", origin, a.raw)
		}
		p.ask(http.MethodPost, admin+"/users", `{"name":"erin","origin":`+quote(origin)+`}`, http.StatusBadRequest)
	}
	for _, body := range []string{`{"name":"no such name!"}`, `{"name":"erin","email":"nowhere"}`, `{"name":"erin","phone":"call me"}`} {
		p.ask(http.MethodPost, admin+"/users", body, http.StatusUnprocessableEntity)
	}
	p.ask(http.MethodPost, admin+"/users", `{"name":"erin","role":"root"}`, http.StatusBadRequest)
	p.ask(http.MethodPost, admin+"/users", `{"name":"erin","organizations":["nowhere"]}`, http.StatusNotFound)
}

func TestAdmin_Guards(t *testing.T) {
	o := newOffice(t)
	root := string(o.user("root").ID)
	for _, c := range []struct{ method, path, body string }{
		{http.MethodDelete, "/factors", ""}, {http.MethodPost, "/disable", "{}"}, {http.MethodPut, "/role", `{"role":"none"}`},
		{http.MethodPost, "/bypass", `{"why":"x"}`}, {http.MethodPost, "/password-link", "{}"},
	} {
		if a := o.root.ask(c.method, admin+"/users/"+root+c.path, c.body, http.StatusForbidden); a.reason() != "self" {
			t.Errorf("%s to oneself: %s", c.path, a.raw)
		}
	}
	p := o.program()
	for _, c := range []struct{ path, method, body string }{{"/role", http.MethodPut, `{"role":"auditor"}`}, {"/disable", http.MethodPost, "{}"}} {
		if a := p.ask(c.method, admin+"/users/"+root+c.path, c.body, http.StatusConflict); a.reason() != "last_administrator" {
			t.Errorf("the last administrator, %s: %s", c.path, a.raw)
		}
	}
	// A key that may change users may not change those who administrate.
	small := program{o, o.key("", "", time.Hour, "users:read", "users:write")}
	if a := small.ask(http.MethodDelete, admin+"/users/"+root+"/factors", "", http.StatusForbidden); a.reason() != "role" {
		t.Errorf("a small key: %s", a.raw)
	}
	target := o.target()
	if a := p.ask(http.MethodPut, admin+"/users/"+string(target.ID)+"/role", `{"role":"auditor","admin_of":["globex"]}`, http.StatusOK); a.text("role") != "auditor" || len(a.body["admin_of"].([]any)) != 1 {
		t.Errorf("the role is %s", a.raw)
	}
	p.ask(http.MethodPut, admin+"/users/"+string(target.ID)+"/role", `{"role":"none","admin_of":["nowhere"]}`, http.StatusNotFound)
}

func TestAdmin_Organizations(t *testing.T) {
	o := newOffice(t)
	p := o.program()
	a := p.ask(http.MethodPut, admin+"/organizations/hooli", `{"name":"Hooli","require":true,"factors":["passkey"],"fresh":"12h","enrollment":"open 14d","domains":["hooli.example"]}`, http.StatusOK)
	if a.text("fresh") != "12h" || a.text("enrollment") != "open 14d" || a.body["declared"] != false || a.body["require"] != true {
		t.Errorf("hooli is %s", a.raw)
	}
	// It is all of it: what is left out asks nothing.
	if a := p.ask(http.MethodPut, admin+"/organizations/hooli", `{"name":"Hooli"}`, http.StatusOK); a.body["require"] != false || a.text("fresh") != "" {
		t.Errorf("hooli is %s", a.raw)
	}
	for body, field := range map[string]string{
		`{"fresh":"soon"}`: "fresh", `{"factors":["face"]}`: "factors", `{"domains":["<svg/onload=1>"]}`: "domains", `{"enrollment":"maybe"}`: "enrollment",
	} {
		if a := p.ask(http.MethodPut, admin+"/organizations/hooli", body, http.StatusUnprocessableEntity); a.text("field") != field || strings.Contains(string(a.raw), "svg") {
			t.Errorf("%s: %s", body, a.raw)
		}
	}
	p.ask(http.MethodPut, admin+"/organizations/No%20Name", `{}`, http.StatusUnprocessableEntity)
	for method, body := range map[string]string{http.MethodPut: "{}", http.MethodDelete: ""} {
		if a := p.ask(method, admin+"/organizations/initech", body, http.StatusConflict); a.reason() != "configured" {
			t.Errorf("%s: %s", method, a.raw)
		}
	}
	target := o.target()
	member := admin + "/organizations/hooli/members/" + string(target.ID)
	if a := p.ask(http.MethodPut, member, "{}", http.StatusOK); len(a.body["organizations"].([]any)) != 2 {
		t.Errorf("the member is %s", a.raw)
	}
	p.ask(http.MethodDelete, member, "", http.StatusNoContent)
	p.ask(http.MethodPut, admin+"/organizations/nowhere/members/"+string(target.ID), "{}", http.StatusNotFound)
	p.ask(http.MethodDelete, admin+"/organizations/hooli", "", http.StatusNoContent)
	p.ask(http.MethodDelete, admin+"/organizations/hooli", "", http.StatusNotFound)
	p.ask(http.MethodGet, admin+"/organizations/hooli", "", http.StatusNotFound)
}

func TestAdmin_Policy(t *testing.T) {
	o := newOffice(t)
	p := o.program()
	field := func(a *answer, name string) map[string]any {
		for _, f := range a.body["fields"].([]any) {
			if f := f.(map[string]any); f["field"] == name {
				return f
			}
		}
		return nil
	}
	if f := field(p.ask(http.MethodPut, admin+"/policy/grace", `{"values":["7d"]}`, http.StatusOK), "grace"); f["value"] != "7d" || f["from"] != "stored" {
		t.Errorf("grace is %v", f)
	}
	if f := field(p.ask(http.MethodDelete, admin+"/policy/grace?force=true", "", http.StatusOK), "grace"); f["value"] != "0" || f["from"] != "default" {
		t.Errorf("grace is %v", f)
	}
	if f := field(p.ask(http.MethodGet, admin+"/policy", "", http.StatusOK), "factors"); f["fixed"] != true || f["from"] != "configuration" {
		t.Errorf("factors is %v", f)
	}
	if a := p.ask(http.MethodPut, admin+"/policy/factors", `{"values":["totp"]}`, http.StatusConflict); a.reason() != "configured" {
		t.Errorf("a field of the configuration: %s", a.raw)
	}
	for path, body := range map[string]string{"grace": `{"values":["<svg/onload=1>"]}`, "require": `{"values":[]}`, "nothing": `{"values":["on"]}`, "prompt": `{"values":["never"]}`} {
		if a := p.ask(http.MethodPut, admin+"/policy/"+path, body, http.StatusUnprocessableEntity); strings.Contains(string(a.raw), "svg") {
			t.Errorf("%s: %s", path, a.raw)
		}
	}
}

func TestAdmin_Keys(t *testing.T) {
	o := newOffice(t)
	a := o.root.ask(http.MethodPost, admin+"/keys", `{"name":"ticket desk","scopes":["users:read","users:write"],"expires_in":3600}`, http.StatusCreated)
	p := program{o, a.text("text")}
	who := p.ask(http.MethodGet, admin, "", http.StatusOK)
	if who.text("name") != "key ticket desk of root" || who.body["key"] != true || len(who.body["scopes"].([]any)) != 2 {
		t.Errorf("who asks is %s", who.raw)
	}
	list := o.root.ask(http.MethodGet, admin+"/keys", "", http.StatusOK)
	k := list.body["keys"].([]any)[0].(map[string]any)
	if k["made_by"] != "root" || k["last_used"] == nil || k["last_network"] != "192.0.2.0/24" || strings.Contains(string(list.raw), p.key[len(p.key)-43:]) {
		t.Errorf("the keys are %s", list.raw)
	}
	o.root.ask(http.MethodDelete, admin+"/keys/"+k["id"].(string), "", http.StatusNoContent)
	p.ask(http.MethodGet, admin, "", http.StatusUnauthorized)
	o.root.ask(http.MethodDelete, admin+"/keys/"+k["id"].(string), "", http.StatusNotFound)
	for body, field := range map[string]string{
		`{"name":"n","scopes":[],"expires_in":3600}`:                 "scopes",
		`{"name":"n","scopes":["all"],"expires_in":3600}`:            "scopes",
		`{"name":"n","scopes":["users:read"],"expires_in":0}`:        "expires_in",
		`{"name":"n","scopes":["users:read"],"expires_in":60}`:       "expires_in",
		`{"name":"n","scopes":["users:read"],"expires_in":99999999}`: "expires_in",
		`{"name":"n","scopes":["users:read"]}`:                       "expires_in",
	} {
		if a := o.root.ask(http.MethodPost, admin+"/keys", body, http.StatusBadRequest); a.text("field") != field {
			t.Errorf("%s: %s", body, a.raw)
		}
	}
	// A key makes none that may more than it does itself.
	small := program{o, o.key("", "", time.Hour, "keys:write", "users:read")}
	small.ask(http.MethodPost, admin+"/keys", `{"name":"n","scopes":["users:write"],"expires_in":3600}`, http.StatusForbidden)
	small.ask(http.MethodPost, admin+"/keys", `{"name":"n","scopes":["users:read"],"expires_in":3600}`, http.StatusCreated)
}

// An export is the record to the hash: whoever has it can verify the chain without us.
func TestAdmin_Audit(t *testing.T) {
	o := newOffice(t)
	o.keepEvents = true
	p := o.program()
	target := o.target()
	for range 5 {
		p.ask(http.MethodPost, admin+"/users/"+string(target.ID)+"/unlock", "{}", http.StatusOK)
	}
	must(t, o.store.AppendEvents(t.Context(), []mfa.Event{{At: o.clock.Now(), Name: mfa.EventSignIn, Detail: "<b>&</b>", User: "somebody"}}))
	a := p.ask(http.MethodGet, admin+"/audit/verification", "", http.StatusOK)
	if a.body["ok"] != true || a.body["count"] != a.body["last"] || a.body["count"].(float64) < 6 {
		t.Errorf("the verification is %s", a.raw)
	}
	export := p.ask(http.MethodGet, admin+"/audit/export", "", http.StatusOK)
	if kind := export.Header.Get("Content-Type"); kind != "application/x-ndjson" {
		t.Errorf("it is %s", kind)
	}
	var chain mfa.Chain
	lines := bufio.NewScanner(bytes.NewReader(export.raw))
	for lines.Scan() {
		var e mfa.Event
		must(t, json.Unmarshal(lines.Bytes(), &e))
		must(t, chain.Next(e))
	}
	if chain.Hash != a.text("head") || chain.Number == 0 {
		t.Errorf("the export ends with %d %s, the verification said %s", chain.Number, chain.Hash, a.raw)
	}
	if rest := p.ask(http.MethodGet, admin+"/audit/export?from=3", "", http.StatusOK); !bytes.HasSuffix(export.raw, rest.raw) || len(rest.raw) >= len(export.raw) {
		t.Errorf("from the third on it is %s", rest.raw)
	}
	if head := p.ask(http.MethodHead, admin+"/audit/export", "", http.StatusOK); len(head.raw) != 0 {
		t.Errorf("HEAD has the body %s", head.raw)
	}
	seen := 0
	for cursor := ""; ; {
		page := p.ask(http.MethodGet, admin+"/audit?event=admin&user="+target.Name+"&limit=2&cursor="+url.QueryEscape(cursor), "", http.StatusOK)
		seen += len(page.body["events"].([]any))
		if cursor = page.text("next"); cursor == "" {
			break
		}
	}
	if seen != 5 {
		t.Errorf("%d events of the unlocking", seen)
	}
	later := url.QueryEscape(o.clock.Now().Add(time.Minute).Format(time.RFC3339))
	if a := p.ask(http.MethodGet, admin+"/audit?since="+later, "", http.StatusOK); len(a.body["events"].([]any)) != 0 {
		t.Errorf("later there is %s", a.raw)
	}
	p.ask(http.MethodGet, admin+"/audit?user=nobody", "", http.StatusNotFound)
}

func TestAdmin_B32_Explain(t *testing.T) {
	o := newOffice(t)
	p := o.program()
	target := o.target()
	must(t, o.store.AppendEvents(t.Context(), []mfa.Event{{
		At: o.clock.Now(), Name: mfa.EventDecision, Decision: "K7QX2MPLDN4A", User: target.ID, UserName: target.Name, Reason: "refuse:" + string(mfa.Reasons()[0]),
	}}))
	a := p.ask(http.MethodGet, admin+"/decisions/k7qx2mpldn4a", "", http.StatusOK)
	if a.text("decided") != target.Name+" was refused" || a.text("why") == "" || a.text("help") == "" || a.body["event"].(map[string]any)["user"] != string(target.ID) {
		t.Errorf("the decision is %s", a.raw)
	}
	p.ask(http.MethodGet, admin+"/decisions/NOTHING", "", http.StatusNotFound)
}

func TestAdmin_Campaigns(t *testing.T) {
	o := newOffice(t)
	p := o.program()
	must(t, o.machine().SetPolicy(t.Context(), "require", []string{"off"}, true))
	o.target()
	deadline := o.clock.Now().Add(30 * 24 * time.Hour).Format(time.RFC3339)
	a := p.ask(http.MethodPut, admin+"/organizations/acme/campaign", `{"deadline":"`+deadline+`","factors":["passkey"],"remind_before":[86400,604800],"require":true}`, http.StatusOK)
	if a.text("organization") != "acme" || a.body["users"] != 1.0 || a.body["reached"] != 0.0 || a.body["days_left"] != 30.0 || len(a.body["reminders"].([]any)) != 2 {
		t.Errorf("the campaign is %s", a.raw)
	}
	p.ask(http.MethodPut, admin+"/campaign", `{"deadline":"`+deadline+`"}`, http.StatusOK)
	if a := p.ask(http.MethodGet, admin+"/campaigns", "", http.StatusOK); len(a.body["campaigns"].([]any)) != 2 {
		t.Errorf("the campaigns are %s", a.raw)
	}
	for body, status := range map[string]int{
		`{"deadline":"tomorrow"}`:                                               http.StatusBadRequest,
		`{"deadline":"2001-01-01T00:00:00Z"}`:                                   http.StatusUnprocessableEntity,
		`{"deadline":"` + deadline + `","remind_before":[60]}`:                  http.StatusUnprocessableEntity,
		`{"deadline":"` + deadline + `","remind_before":[9223372036854775807]}`: http.StatusBadRequest,
		`{"deadline":"` + deadline + `","factors":["face"]}`:                    http.StatusBadRequest,
		`{"deadline":"` + deadline + `","factors":[]}`:                          http.StatusBadRequest,
		`{"deadline":"` + deadline + `","sent":5}`:                              http.StatusBadRequest,
	} {
		p.ask(http.MethodPut, admin+"/campaign", body, status)
	}
	p.ask(http.MethodPut, admin+"/organizations/nowhere/campaign", `{"deadline":"`+deadline+`"}`, http.StatusNotFound)
	p.ask(http.MethodDelete, admin+"/campaign", "", http.StatusNoContent)
	p.ask(http.MethodGet, admin+"/campaign", "", http.StatusNotFound)
}
