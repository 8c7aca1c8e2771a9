package api_test

import (
	"fmt"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/secondgate/secondgate/api"
	"github.com/secondgate/secondgate/mfa"
)

// who asks, in the order of the columns of the matrix.
var who = []string{
	"nobody", "user", "auditor", "admin of another", "organization admin", "admin",
	"expired key", "revoked key", "key of a former admin", "forged key", "key to read users", "key of an organization", "key",
}

// matrix says what each may do. {user} is a member of acme, {n} counts up.
var matrix = []struct {
	method, path, body string
	status             string
}{
	{"GET", "admin", "", "401 403 200 200 200 200  401 401 401 401 200 200 200"},
	{"GET", "admin/users", "", "401 403 200 200 200 200  401 401 401 401 200 200 200"},
	{"POST", "admin/users", `{"name":"new{n}"}`, "401 403 403 201 201 201  401 401 401 401 403 201 201"},
	{"GET", "admin/users/{user}", "", "401 403 200 404 200 200  401 401 401 401 200 200 200"},
	{"GET", "admin/users/{user}/sessions", "", "401 403 200 404 200 200  401 401 401 401 200 200 200"},
	{"DELETE", "admin/users/{user}/sessions", "", "401 403 403 404 204 204  401 401 401 401 403 204 204"},
	{"DELETE", "admin/users/{user}/sessions/{id}", "", "401 403 403 404 404 404  401 401 401 401 403 404 404"},
	{"GET", "admin/users/{user}/app-tokens", "", "401 403 200 404 200 200  401 401 401 401 200 200 200"},
	{"DELETE", "admin/users/{user}/app-tokens", "", "401 403 403 404 204 204  401 401 401 401 403 204 204"},
	{"DELETE", "admin/users/{user}/app-tokens/{id}", "", "401 403 403 404 404 404  401 401 401 401 403 404 404"},
	{"GET", "admin/users/{user}/activity", "", "401 403 200 404 200 200  401 401 401 401 200 200 200"},
	{"GET", "admin/users/{user}/access?url=https%3A%2F%2Fwiki.example.com%2F", "", "401 403 200 403 403 200  401 401 401 401 403 403 200"},
	{"DELETE", "admin/users/{user}/factors", "", "401 403 403 404 200 200  401 401 401 401 403 200 200"},
	{"DELETE", "admin/users/{user}/factors/app", "", "401 403 403 404 200 200  401 401 401 401 403 200 200"},
	{"POST", "admin/users/{user}/enrollment-pass", `{}`, "401 403 403 404 201 201  401 401 401 401 403 201 201"},
	{"POST", "admin/users/{user}/bypass", `{"why":"lost"}`, "401 403 403 404 201 201  401 401 401 401 403 201 201"},
	{"POST", "admin/users/{user}/password-link", `{}`, "401 403 403 404 403 201  401 401 401 401 403 403 201"},
	{"POST", "admin/users/{user}/unlock", `{}`, "401 403 403 404 200 200  401 401 401 401 403 200 200"},
	{"POST", "admin/users/{user}/reset-skip", `{}`, "401 403 403 404 200 200  401 401 401 401 403 200 200"},
	{"POST", "admin/users/{user}/disable", `{}`, "401 403 403 404 200 200  401 401 401 401 403 200 200"},
	{"POST", "admin/users/{user}/enable", `{}`, "401 403 403 404 200 200  401 401 401 401 403 200 200"},
	{"PUT", "admin/users/{user}/role", `{"role":"auditor"}`, "401 403 403 403 403 200  401 401 401 401 403 403 200"},
	{"GET", "admin/organizations", "", "401 403 200 200 200 200  401 401 401 401 403 200 200"},
	{"GET", "admin/organizations/acme", "", "401 403 200 404 200 200  401 401 401 401 403 200 200"},
	{"PUT", "admin/organizations/acme", `{}`, "401 403 403 403 403 200  401 401 401 401 403 403 200"},
	{"DELETE", "admin/organizations/{organization}", "", "401 403 403 403 403 204  401 401 401 401 403 403 204"},
	{"GET", "admin/organizations/acme/members", "", "401 403 200 404 200 200  401 401 401 401 200 200 200"},
	{"PUT", "admin/organizations/acme/members/{user}", `{}`, "401 403 403 403 403 200  401 401 401 401 403 403 200"},
	{"DELETE", "admin/organizations/acme/members/{user}", "", "401 403 403 403 204 204  401 401 401 401 403 204 204"},
	{"PUT", "admin/organizations/acme/campaign", `{"deadline":"2026-02-01T00:00:00Z"}`, "401 403 403 403 403 200  401 401 401 401 403 403 200"},
	{"GET", "admin/organizations/acme/campaign", "", "401 403 200 404 200 200  401 401 401 401 403 200 200"},
	{"DELETE", "admin/organizations/{organization}/campaign", "", "401 403 403 403 403 404  401 401 401 401 403 403 404"},
	{"GET", "admin/campaigns", "", "401 403 200 200 200 200  401 401 401 401 403 200 200"},
	{"PUT", "admin/campaign", `{"deadline":"2026-02-01T00:00:00Z"}`, "401 403 403 403 403 200  401 401 401 401 403 403 200"},
	{"GET", "admin/campaign", "", "401 403 200 404 404 200  401 401 401 401 403 404 200"},
	{"DELETE", "admin/campaign", "", "401 403 403 403 403 204  401 401 401 401 403 403 404"},
	{"GET", "admin/policy", "", "401 403 200 403 403 200  401 401 401 401 403 403 200"},
	{"PUT", "admin/policy/grace", `{"values":["7d"]}`, "401 403 403 403 403 200  401 401 401 401 403 403 200"},
	{"DELETE", "admin/policy/grace", "", "401 403 403 403 403 200  401 401 401 401 403 403 200"},
	{"GET", "admin/coverage?organization=acme", "", "401 403 200 404 200 200  401 401 401 401 200 200 200"},
	{"GET", "admin/forecast?organization=acme", "", "401 403 200 404 200 200  401 401 401 401 200 200 200"},
	{"GET", "admin/audit", "", "401 403 200 403 403 200  401 401 401 401 403 403 200"},
	{"GET", "admin/audit/export", "", "401 403 200 403 403 200  401 401 401 401 403 403 200"},
	{"GET", "admin/audit/verification", "", "401 403 200 403 403 200  401 401 401 401 403 403 200"},
	{"GET", "admin/decisions/{decision}", "", "401 403 200 404 200 200  401 401 401 401 200 200 200"},
	{"GET", "admin/keys", "", "401 403 403 403 403 200  401 401 401 401 403 403 200"},
	{"POST", "admin/keys", `{"name":"n","scopes":["users:read"],"expires_in":3600}`, "401 403 403 403 403 201  401 401 401 401 403 403 201"},
	{"DELETE", "admin/keys/{key}", "", "401 403 403 403 403 204  401 401 401 401 403 403 204"},
}

// Whoever forgets to ask for a role on one route lets everybody in there; whoever forgets
// the organization lets one reach into another (AC-155, AC-224).
func TestAdmin_AC224_WhoMayDoWhat(t *testing.T) {
	o := newOffice(t)
	former := o.staff("former", mfa.RoleAdmin)
	id := o.user("former").ID
	expired := o.key("", "", time.Hour, allScopes()...)
	lost := o.key(id, "", 24*time.Hour, allScopes()...)
	must(t, o.machine().SetRole(t.Context(), id, mfa.RoleNone, nil))
	revoked := o.key("", "", 24*time.Hour, allScopes()...)
	must(t, o.machine().RevokeAPIKey(t.Context(), strings.Split(revoked, "_")[1]))
	o.clock.Advance(time.Hour)
	full := o.key("", "", 24*time.Hour, allScopes()...)
	browsers := map[string]*browser{
		"nobody": o.browser(), "user": former.again("former"), "auditor": o.staff("auditor", mfa.RoleAuditor),
		"admin of another": o.staff("globexadmin", mfa.RoleNone, "globex"), "organization admin": o.staff("acmeadmin", mfa.RoleNone, "acme"),
		"admin": o.root.again("root"),
	}
	keys := map[string]string{
		"expired key": expired, "revoked key": revoked, "key of a former admin": lost, "key": full,
		"forged key":             full[:len(full)-4] + "AAAA",
		"key to read users":      o.key("", "", 24*time.Hour, "users:read"),
		"key of an organization": o.key("", "acme", 24*time.Hour, "users:read", "users:write", "organizations:read"),
	}
	must(t, o.store.AppendEvents(t.Context(), []mfa.Event{{At: o.clock.Now(), Name: mfa.EventDecision, Decision: "DECISION", User: o.target().ID}}))

	var rows []string
	for n, row := range matrix {
		o.client = fmt.Sprintf("192.0.%d.7", n) // keys that open nothing are counted for each network
		path, _, _ := strings.Cut(row.path, "?")
		path = strings.NewReplacer("factors/app", "factors/{id}", "/acme", "/{id}", "{organization}", "{id}", "{decision}", "{id}", "{key}", "{id}", "/grace", "/{field}").Replace(path)
		rows = append(rows, row.method+" "+path)
		statuses := strings.Fields(row.status)
		if len(statuses) != len(who) {
			t.Fatalf("%s %s: %d columns", row.method, row.path, len(statuses))
		}
		for i, name := range who {
			target := o.target()
			made := strconv.Itoa(o.made)
			organization := mfa.OrganizationID("o" + made)
			if strings.Contains(row.path, "{organization}") {
				must(t, o.machine().SetOrganization(t.Context(), mfa.Organization{ID: organization}, false))
			}
			key := ""
			if strings.Contains(row.path, "{key}") {
				key = strings.Split(o.key("", "", time.Hour, "users:read"), "_")[1]
			}
			path := "/.mfa/api/" + strings.NewReplacer("{user}", string(target.ID), "{id}", "none", "{organization}", string(organization), "{decision}", "decision", "{key}", key).Replace(row.path)
			body := strings.ReplaceAll(row.body, "{n}", made)
			var a *answer
			if b := browsers[name]; b != nil {
				a = b.do(b.request(row.method, path, body))
			} else {
				p := program{o, keys[name]}
				a = o.browser().do(p.request(row.method, path, body))
			}
			if strconv.Itoa(a.StatusCode) != statuses[i] {
				t.Errorf("%s %s: %s got %d, want %s\n%s", row.method, row.path, name, a.StatusCode, statuses[i], a.raw)
			}
			after := o.user(target.Name)
			if a.StatusCode >= 400 && (len(after.Credentials) != len(target.Credentials) || after.Disabled || after.Auditor || after.Generation != target.Generation) {
				t.Errorf("%s %s: %s was told %d, and it was done", row.method, row.path, name, a.StatusCode)
			}
		}
	}
	for _, r := range o.api.Routes() {
		if _, path, _ := strings.Cut(r, " "); strings.HasPrefix(path, "admin") && !slices.Contains(rows, r) {
			t.Errorf("the matrix has no row for %s", r)
		}
	}
}

// IDs of users whom somebody does not reach look like those of nobody, to the byte.
func TestAdmin_AC224_OthersLookLikeNobody(t *testing.T) {
	o := newOffice(t)
	b := o.staff("globexadmin", mfa.RoleNone, "globex")
	target := o.target()
	for _, path := range []string{"", "/sessions", "/activity"} {
		there := b.ask(http.MethodGet, admin+"/users/"+string(target.ID)+path, "", http.StatusNotFound)
		nobody := b.ask(http.MethodGet, admin+"/users/nobody"+path, "", http.StatusNotFound)
		if string(there.raw) != string(nobody.raw) {
			t.Errorf("%s: they can be told apart:\n%s%s", path, there.raw, nobody.raw)
		}
	}
	for _, path := range []string{"?search=" + target.Name, "?name=" + target.Name} {
		if a := b.ask(http.MethodGet, admin+"/users"+path, "", http.StatusOK); strings.Contains(string(a.raw), target.Name) {
			t.Errorf("%s shows %s", path, a.raw)
		}
	}
	if a := b.ask(http.MethodGet, admin+"/organizations", "", http.StatusOK); strings.Contains(string(a.raw), "acme") {
		t.Errorf("the organizations are %s", a.raw)
	}
	// Nor does it help to ask for another organization's view.
	b.ask(http.MethodGet, admin+"/users?organization=acme", "", http.StatusNotFound)
	b.ask(http.MethodGet, admin+"/users?for=acme", "", http.StatusForbidden)
}

// What somebody may do over one organization they may not do over another by naming it,
// and over two by taking turns.
func TestAdmin_OfTwoOrganizations(t *testing.T) {
	o := newOffice(t)
	b := o.staff("both", mfa.RoleNone, "acme", "globex")
	target := o.target()
	b.ask(http.MethodGet, admin+"/users/"+string(target.ID)+"?for=acme", "", http.StatusOK)
	b.ask(http.MethodGet, admin+"/users/"+string(target.ID)+"?for=globex", "", http.StatusNotFound)
	a := b.ask(http.MethodGet, admin+"?for=globex", "", http.StatusOK)
	if a.text("organization") != "globex" || a.text("role") != "none" || len(a.body["organizations"].([]any)) != 2 {
		t.Errorf("who asks is %s", a.raw)
	}
	b.ask(http.MethodDelete, admin+"/users/"+string(target.ID)+"/factors?for=acme", "", http.StatusOK)
}

// A role that is taken away ends on the next request, and so does that of a key's maker.
func TestAdmin_RoleEndsAtOnce(t *testing.T) {
	o := newOffice(t)
	b := o.staff("second", mfa.RoleAdmin)
	p := program{o, o.key(o.user("second").ID, "", time.Hour, allScopes()...)}
	b.ask(http.MethodGet, admin+"/users", "", http.StatusOK)
	p.ask(http.MethodGet, admin+"/users", "", http.StatusOK)
	must(t, o.machine().SetRole(t.Context(), o.user("second").ID, mfa.RoleNone, nil))
	if a := b.ask(http.MethodGet, admin+"/users", "", http.StatusForbidden); a.reason() != "no_role" {
		t.Errorf("the reason is %s", a.reason())
	}
	p.ask(http.MethodGet, admin+"/users", "", http.StatusUnauthorized)
	must(t, o.machine().SetRole(t.Context(), o.user("second").ID, mfa.RoleAdmin, nil))
	must(t, o.machine().SetDisabled(t.Context(), o.user("second").ID, true))
	p.ask(http.MethodGet, admin+"/users", "", http.StatusUnauthorized)
}

// On a host that carries an app there is nothing to administrate, for whoever asks.
func TestAdmin_NotBesideAnApp(t *testing.T) {
	o := newOffice(t)
	p := o.program()
	o.console = false
	for _, r := range o.api.Routes() {
		method, path, _ := strings.Cut(r, " ")
		if !strings.HasPrefix(path, "admin") {
			continue
		}
		body := ""
		if method == http.MethodPost || method == http.MethodPut {
			body = "{}"
		}
		if a := o.root.ask(method, api.Root+path, body, http.StatusNotFound); a.reason() != "no_such_resource" {
			t.Errorf("%s: %s", r, a.raw)
		}
		p.ask(method, api.Root+path, body, http.StatusNotFound)
	}
	o.root.ask(http.MethodGet, "/.mfa/api/account", "", http.StatusOK)
}
