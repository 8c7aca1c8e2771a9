package pages

import (
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/url"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/secondgate/secondgate/mfa"
)

// example is an address of each page of the console, and a form that it takes.
var example = map[string]struct {
	query string
	form  url.Values
	did   string // what the form does
}{
	"admin":                     {},
	"admin/user":                {query: "id=u2"},
	"admin/user/change":         {"id=u2&do=remove-factors", nil, "RemoveFactors u2"},
	"admin/invite":              {"", url.Values{"name": {"frank"}, "display": {"Frank"}, "email": {"f@example.com"}, "groups": {"staff, x"}, "organizations": {"globex"}, "role": {"auditor"}, "admin_of": {"acme, initech"}}, "Invite frank Frank f@example.com [staff x] auditor [acme initech] [globex]"},
	"admin/organizations":       {},
	"admin/organization":        {query: "id=globex"},
	"admin/organization/edit":   {"id=globex", url.Values{"name": {"Globex"}, "asks": {"require"}, "factors": {"passkey", "totp"}, "fresh": {"12h"}, "domains": {"globex.example"}}, "SetOrganization globex Globex true passkey totp 12h0m0s [globex.example] false"},
	"admin/organization/remove": {"id=globex", nil, "RemoveOrganization globex"},
	"admin/coverage":            {},
	"admin/forecast":            {},
	"admin/policy":              {},
	"admin/policy/change":       {"id=require", url.Values{"do": {"set"}, "require": {"on"}}, "SetPolicy require [on] false"},
	"admin/campaigns":           {},
	"admin/campaign":            {"", url.Values{"deadline": {"2026-12-31"}, "remind": {"14, 7,1"}, "require": {"yes"}, "factors": {"passkey"}, "organization": {"acme"}}, "SetCampaign acme passkey 2026-12-31T23:59:59Z [336h0m0s 168h0m0s 24h0m0s] true"},
	"admin/campaign/end":        {"id=acme", nil, "EndCampaign acme"},
	"admin/audit":               {"", nil, "VerifyAudit"},
	"admin/audit/export":        {},
	"admin/explain":             {query: "id=K7PQ2M9XTA"},
	"admin/explain/access":      {query: "user=u2&at=https%3A%2F%2Fapp.example.com%2Fx", form: url.Values{"user": {"bob"}, "at": {"https://app.example.com/x?q=secret"}}},
	"admin/keys":                {},
	"admin/key/make":            {"", url.Values{"name": {"deploy"}, "scope": {"users:read", "users:write"}, "life": {"24h0m0s"}}, "CreateAPIKey deploy users:read users:write  24h0m0s"},
	"doctor":                    {query: "proxy=nginx"},
	"admin/key/revoke":          {"id=0011223344556677", nil, "RevokeAPIKey 0011223344556677"},
}

func consoleURL(page string) string {
	u := "/.mfa/" + page
	if q := example[page].query; q != "" {
		u += "?" + q
	}
	return u
}

// AC-155: on the host of an app the console is not there, for nobody and by no method, and
// the gate is not asked who it is.
func TestConsole_IsOnItsOwnHostOnly(t *testing.T) {
	w := newWorld(t, acme)
	if len(w.pages.console) != len(example) {
		t.Errorf("%d pages, %d examples: a new page needs one", len(w.pages.console), len(example))
	}
	for page := range w.pages.console {
		w := newWorld(t, acme)
		f := w.filled(asAdmin)
		for _, a := range []answer{w.get(consoleURL(page)), w.post(t, consoleURL(page), example[page].form)} {
			if a.StatusCode != http.StatusNotFound || len(f.changes) > 0 || len(f.did) > 0 {
				t.Errorf("%s: %d, did %v", page, a.StatusCode, f.did)
			}
		}
		// … and no address leads there from a flow.
		a := w.get("/.mfa/sign-out?to=admin&for=admin")
		if strings.Contains(a.body, "/.mfa/admin") {
			t.Errorf("an app's host leads to the console: %s", a.body)
		}
	}
}

// Without an administration there is no console, wherever it is asked for.
func TestConsole_NeedsAnAdministration(t *testing.T) {
	w := newWorld(t, acme)
	p, err := New(Config{Gate: w.gate, Guard: w.guard, Brand: acme, Now: func() time.Time { return testNow }})
	if err != nil {
		t.Fatal(err)
	}
	w.pages = p
	w.administrating(asAdmin)
	if a := w.visitConsole("/.mfa/admin"); a.StatusCode != http.StatusNotFound {
		t.Errorf("status %d", a.StatusCode)
	}
}

// GETs change nothing, and each form does what it says, once, with a proof for a change.
func TestConsole_FormsDoWhatTheySay(t *testing.T) {
	for page, in := range example {
		t.Run(page, func(t *testing.T) {
			w := newWorld(t, acme)
			f := w.filled(asAdmin)
			rt := w.pages.console[page]
			if a := w.visitConsole(consoleURL(page)); a.StatusCode != http.StatusOK {
				t.Errorf("GET: %d %s", a.StatusCode, a.Header.Get("Location"))
			}
			if done := slices.DeleteFunc(slices.Clone(f.did), func(s string) bool { return s == "Export" }); len(done) > 0 {
				t.Errorf("AC-126: a GET did %v", done)
			}
			if want := rt.proof; !slices.Equal(f.changes, []bool{want}) {
				t.Errorf("the gate was asked %v, want %v", f.changes, want)
			}
			f.did, f.changes = nil, nil
			a := w.postConsole(t, consoleURL(page), in.form)
			if rt.post == nil {
				if a.StatusCode != http.StatusMethodNotAllowed || len(f.did) > 0 {
					t.Errorf("POST: %d, did %v", a.StatusCode, f.did)
				}
				return
			}
			if rt.reads {
				if len(f.did) > 0 || in.did != "" || !slices.Equal(f.changes, []bool{false}) || a.StatusCode != http.StatusSeeOther {
					t.Errorf("a form that only reads: %d, did %v, the gate was asked %v", a.StatusCode, f.did, f.changes)
				}
				return
			}
			if !slices.Equal(f.did, []string{in.did}) {
				t.Errorf("did %q, want %q (%d)\n%s", f.did, in.did, a.StatusCode, a.body)
			}
			if !slices.Equal(f.changes, []bool{true}) {
				t.Errorf("AC-128: the gate was asked %v", f.changes)
			}
			if a.StatusCode != http.StatusOK && a.StatusCode != http.StatusSeeOther || a.Header.Get("Cache-Control") != "no-store" {
				t.Errorf("%d %v", a.StatusCode, a.Header)
			}
		})
	}
}

// The changes of one user, each with what the core is asked.
func TestConsole_UserChanges(t *testing.T) {
	tests := []struct {
		do   string
		form url.Values
		did  string
		done string // "": a secret is shown
	}{
		{"remove-factor&what=t1", nil, "RemoveFactor u2 t1", "factor"},
		{"remove-factors", nil, "RemoveFactors u2", "factors"},
		{"unlock", nil, "Unlock u2", "unlock"},
		{"reset-skip", nil, "ResetSkip u2", "skip"},
		{"disable", nil, "SetDisabled u2 true", "disable"},
		{"enable", nil, "SetDisabled u2 false", "enable"},
		{"end-session&what=b2", nil, "EndSessions u2 b2", "session"},
		{"end-sessions", nil, "EndSessions u2", "sessions"},
		{"revoke-token&what=0123456789abcdef", nil, "RevokeAppToken u2 0123456789abcdef", "token"},
		{"roles", url.Values{"role": {"admin"}, "admin_of": {"acme"}}, "SetRole u2 admin [acme]", "roles"},
		{"roles", url.Values{"role": {"none"}}, "SetRole u2  []", "roles"},
		{"join", url.Values{"organization": {"globex"}}, "SetMember u2 globex true", "join"},
		{"leave&what=acme", nil, "SetMember u2 acme false", "leave"},
		{"pass", url.Values{"life": {"4h0m0s"}}, "EnrollmentPass u2 4h0m0s", ""},
		{"pass", url.Values{"life": {"900h"}}, "EnrollmentPass u2 24h0m0s", ""},
		{"bypass", url.Values{"why": {" phone lost "}}, "Bypass u2 24h0m0s phone lost", ""},
		{"password", nil, "ResetPassword u2", ""},
	}
	seen := map[string]bool{}
	for _, tt := range tests {
		name, _, _ := strings.Cut(tt.do, "&")
		seen[name] = true
		t.Run(tt.do, func(t *testing.T) {
			w := newWorld(t, acme)
			f := w.filled(asAdmin)
			a := w.postConsole(t, aboutBob(tt.do), tt.form)
			if !slices.Equal(f.did, []string{tt.did}) {
				t.Fatalf("did %q, want %q: %d %s", f.did, tt.did, a.StatusCode, a.body)
			}
			if tt.done != "" {
				goes(t, a, "/.mfa/admin/user?done="+tt.done+"&id=u2")
			} else if a.StatusCode != http.StatusOK || a.Header.Get("Location") != "" {
				t.Errorf("AC-225: a secret is answered with %d", a.StatusCode)
			}
		})
	}
	for name := range userChanges {
		if !seen[name] {
			t.Errorf("no test does %q", name)
		}
	}
}

// What a careless or an altered form says takes nobody's role, and ends no more than one
// session.
func TestConsole_RejectsFormsThatSayNothing(t *testing.T) {
	for do, form := range map[string]url.Values{
		"roles":                    nil,
		"roles&what=x":             {"role": {"superuser"}},
		"end-session":              nil,
		"revoke-token":             nil,
		"join":                     {"organization": {""}},
		"join&what=x":              {"organization": {"../acme"}},
		"leave":                    nil,
		"leave&what=globex":        nil,
		"remove-factor":            nil,
		"remove-factor&what=other": nil,
		"bypass":                   {"why": {"  "}},
		"nothing":                  nil,
		"roles&what=y":             {"role": {"none"}, "admin_of": {"nowhere"}},
	} {
		w := newWorld(t, acme)
		f := w.filled(asAdmin)
		if a := w.postConsole(t, aboutBob(do), form); len(f.did) > 0 {
			t.Errorf("%s %v: %d, did %v", do, form, a.StatusCode, f.did)
		}
	}
}

// AC-225: what is shown once stands on the answer to the POST and nowhere else: in no
// address, on no page that a GET opens.
func TestConsole_AC225_ShowsSecretsOnce(t *testing.T) {
	for _, tt := range []struct {
		path   string
		form   url.Values
		secret string
	}{
		{aboutBob("pass"), nil, "ABCD-EFGH-IJKL-MNOP"},
		{aboutBob("bypass"), url.Values{"why": {"x"}}, "QRST-UVWX-YZ23-4567"},
		{aboutBob("password"), nil, "https://payroll.example.com/.mfa/link#password-token"},
		{"/.mfa/admin/invite", url.Values{"name": {"frank"}, "role": {"none"}}, "https://payroll.example.com/.mfa/link#invitation-token"},
		{"/.mfa/admin/key/make", example["admin/key/make"].form, "sg_0011223344556677_c2VjcmV0"},
	} {
		w := newWorld(t, acme)
		w.filled(asAdmin)
		a := w.postConsole(t, tt.path, tt.form)
		if !strings.Contains(a.body, tt.secret) || a.Header.Get("Cache-Control") != "no-store" || strings.Contains(a.body, `href="`+tt.secret) {
			t.Errorf("%s: %d\n%s", tt.path, a.StatusCode, a.body)
		}
		for page := range w.pages.console {
			if got := w.visitConsole(consoleURL(page)); strings.Contains(got.body, tt.secret) {
				t.Errorf("%s shows %s", page, tt.secret)
			}
		}
	}
}

// A link of the console begins with an address of an app of ours, whatever the form says:
// its secret would go to whoever owns the other one (AC-169).
func TestConsole_AC169_LinksBeginWithOurs(t *testing.T) {
	for chosen, want := range map[string]string{"": "https://a.example.com", "https://b.example.com": "https://b.example.com", "https://evil.test": "https://a.example.com"} {
		w := newWorld(t, acme)
		w.pages.apps = func() []string { return []string{"https://a.example.com", "https://b.example.com"} }
		w.filled(asAdmin)
		a := w.postConsole(t, aboutBob("password"), url.Values{"app": {chosen}})
		if !strings.Contains(a.body, want+"/.mfa/link#password-token") {
			t.Errorf("%q: %s", chosen, a.body)
		}
	}
}

// AC-120, AC-121, AC-125: what another site makes an administrator's browser send changes
// nothing.
func TestConsole_AC120_RefusesCrossSiteRequests(t *testing.T) {
	for page, rt := range newWorld(t, acme).pages.console {
		if rt.post == nil {
			continue
		}
		for name, bend := range map[string]func(*http.Request){
			"another origin":  func(r *http.Request) { r.Header.Set("Origin", "https://evil.test"); r.Header.Del("Sec-Fetch-Site") },
			"origin null":     func(r *http.Request) { r.Header.Set("Origin", "null") },
			"cross-site":      func(r *http.Request) { r.Header.Set("Sec-Fetch-Site", "cross-site") },
			"a sibling host":  func(r *http.Request) { r.Header.Set("Sec-Fetch-Site", "same-site") },
			"text/plain":      func(r *http.Request) { r.Header.Set("Content-Type", "text/plain") },
			"no token cookie": func(r *http.Request) { r.Header.Del("Cookie") },
		} {
			w := newWorld(t, acme)
			f := w.filled(asAdmin)
			r := w.postRequest(t, consoleURL(page), url.Values{"name": {"x"}, "why": {"x"}})
			bend(r)
			a := w.ask(r)
			if a.StatusCode != http.StatusForbidden && a.StatusCode != http.StatusUnsupportedMediaType || len(f.did) > 0 || len(f.changes) > 0 {
				t.Errorf("%s with %s: %d, did %v", page, name, a.StatusCode, f.did)
			}
		}
	}
}

// The export reads the whole log: another site's link does not start it.
func TestConsole_ExportStaysOnThisSite(t *testing.T) {
	for site, want := range map[string]int{"": 200, "same-origin": 200, "none": 200, "same-site": 403, "cross-site": 403} {
		w := newWorld(t, acme)
		f := w.filled(asAuditor)
		r := httptest.NewRequest(http.MethodGet, "https://payroll.example.com/.mfa/admin/audit/export", nil)
		if site != "" {
			r.Header.Set("Sec-Fetch-Site", site)
		}
		a := w.ask(r)
		if a.StatusCode != want || (len(f.did) > 0) != (want == 200) {
			t.Errorf("%q: %d, did %v", site, a.StatusCode, f.did)
		}
		if want != 200 {
			continue
		}
		lines := strings.Split(strings.TrimSpace(a.body), "\n")
		var e mfa.Event
		if err := json.Unmarshal([]byte(lines[0]), &e); err != nil || len(lines) != len(f.events) || e.UserName != "bob" {
			t.Errorf("%d lines, %v, first %+v", len(lines), err, e)
		}
		if a.Header.Get("Content-Disposition") != `attachment; filename="audit-2026-11-23.jsonl"` || a.Header.Get("Content-Type") != "application/x-ndjson" || a.Header.Get("Cache-Control") != "no-store" {
			t.Errorf("%v", a.Header)
		}
	}
}

// A file that ends early must not look whole.
func TestConsole_ExportBreaksOffLoudly(t *testing.T) {
	w := newWorld(t, acme)
	w.filled(asAdmin).exportErr = errStore
	defer func() {
		if recover() != http.ErrAbortHandler {
			t.Error("the answer ended as if it were whole")
		}
	}()
	w.visitConsole("/.mfa/admin/audit/export")
}

// Strangers learn where to sign in and nothing else; the page that they wanted waits.
func TestConsole_SendsStrangersToSignIn(t *testing.T) {
	for page := range newWorld(t, acme).pages.console {
		w := newWorld(t, acme)
		a := w.visitConsole(consoleURL(page))
		u, err := url.Parse(a.Header.Get("Location"))
		if err != nil || a.StatusCode != http.StatusSeeOther || u.Path != "/.mfa/sign-in" {
			t.Errorf("%s: %d %s", page, a.StatusCode, a.Header.Get("Location"))
			continue
		}
		to, _, _ := strings.Cut(u.Query().Get("to"), "?")
		if to != page || strings.Contains(a.body, page) {
			t.Errorf("%s waits as %q", page, to)
		}
	}
	// Having signed in, the person is where they wanted to be.
	w := newWorld(t, acme)
	w.gate.outcome = completed()
	goes(t, w.postConsole(t, "/.mfa/sign-in?to=admin%2Fuser%3Fid%3Du2", url.Values{"name": {"alice"}}), "/.mfa/admin/user?id=u2&c=1")
}

// A change asks for a proof first, and the form opens again afterwards.
func TestConsole_AC128_AsksForAProof(t *testing.T) {
	for name, send := range map[string]func(*world) answer{
		"opening the form": func(w *world) answer { return w.visitConsole(aboutBob("remove-factors")) },
		"sending it":       func(w *world) answer { return w.postConsole(t, aboutBob("remove-factors"), nil) },
	} {
		w := newWorld(t, acme)
		f := w.filled(asAdmin)
		f.whoErr = &mfa.ProofError{Kinds: mfa.KindsOf(mfa.Passkey, mfa.TOTP)}
		a := send(w)
		const verify = "/.mfa/verify?for=admin&prove=passkey+totp&to=admin%2Fuser%2Fchange%3Fdo%3Dremove-factors%26id%3Du2"
		goes(t, a, verify)
		if len(f.did) > 0 {
			t.Errorf("%s did %v", name, f.did)
		}
		w.gate.state.ProofOwed, w.gate.state.Methods, w.gate.state.Preferred = true, bothMethods, mfa.TOTP
		if a := w.visitConsole(verify); a.StatusCode != http.StatusOK || w.gate.at.Asked.Fresh != mfa.ProofLife {
			t.Errorf("%s: the page to verify is %d %s, asked %+v", name, a.StatusCode, a.Header.Get("Location"), w.gate.at.Asked)
		}
		w.gate.outcome = completed()
		a = w.postConsole(t, strings.Replace(verify, "verify?", "verify/totp?", 1), url.Values{"code": {"123456"}})
		if to := a.Header.Get("Location"); !strings.HasPrefix(to, "/.mfa/admin/user/change?do=remove-factors&id=u2") {
			t.Errorf("%s: after the proof to %q", name, to)
		}
	}
}

// Whoever has set nothing up sets something up first, whatever the policy says.
func TestConsole_WantsASecondStep(t *testing.T) {
	w := newWorld(t, acme)
	f := w.filled(asAdmin)
	f.whoErr = mfa.ErrNotAllowed
	w.gate.state.Decision = forced(mfa.Passkey, mfa.TOTP)
	goes(t, w.visitConsole("/.mfa/admin"), "/.mfa/set-up?req=1&to=admin")
	if !w.gate.at.Asked.Required {
		t.Error("the gate was not told that one is required")
	}
}

// What waits comes from the outside: it leads to a page of the console or nowhere.
func TestConsole_AC130_LeadsNowhereElse(t *testing.T) {
	for _, to := range []string{
		"https://evil.test", "//evil.test", "/evil", "admin/../../evil", "admin/nothing", "sign-out", "account", "admin@evil.test", "admin%2f..", "admin\\..\\x",
		"admin/user?id=" + strings.Repeat("a", 3000), "javascript:alert(1)",
	} {
		w := newWorld(t, acme)
		w.filled(asAdmin)
		goes(t, w.visitConsole("/.mfa/sign-in?to="+url.QueryEscape(to)), "/")
	}
	w := newWorld(t, acme)
	w.filled(asAdmin)
	goes(t, w.visitConsole("/.mfa/sign-in?to="+url.QueryEscape("admin/user?id=u2&rd=https://evil.test&x=y&done=unlock")), "/.mfa/admin/user?done=unlock&id=u2")
}

// AC-224: each page for those who have not its powers, by GET and POST, before anything of
// it is read.
func TestConsole_AC224_PagesHoldTheirPowers(t *testing.T) {
	for page, rt := range newWorld(t, acme).pages.console {
		for name, who := range map[string]mfa.Administrator{"auditor": asAuditor, "organization": asOrganization, "nobody": {}} {
			w := newWorld(t, acme)
			f := w.filled(who)
			want := http.StatusForbidden
			if who.Actor.Powers.Has(rt.need) {
				want = http.StatusOK
			}
			if a := w.visitConsole(consoleURL(page)); a.StatusCode != want && !(want == http.StatusOK && a.StatusCode == http.StatusNotFound) {
				t.Errorf("%s for %s: %d, want %d", page, name, a.StatusCode, want)
			}
			if rt.post == nil || want == http.StatusOK {
				continue
			}
			f.did = nil
			if a := w.postConsole(t, consoleURL(page), example[page].form); a.StatusCode != http.StatusForbidden || len(f.did) > 0 {
				t.Errorf("POST %s for %s: %d, did %v", page, name, a.StatusCode, f.did)
			}
		}
	}
}

// AC-224: what the core refuses is said in plain words, with a status for each, and a
// fault of ours tells nobody its cause.
func TestConsole_SaysWhyNot(t *testing.T) {
	for err, want := range map[error]int{
		mfa.ErrNotAllowed: 403, mfa.ErrRole: 403, mfa.ErrSelf: 403, mfa.ErrLastAdministrator: 409, mfa.ErrNotFound: 404, mfa.ErrLimit: 422, errStore: 503,
		fmt.Errorf("wrapped: %w", mfa.ErrRole): 403,
	} {
		w := newWorld(t, acme)
		w.filled(asAdmin).err = err
		a := w.postConsole(t, aboutBob("disable"), nil)
		if a.StatusCode != want || errors.Is(err, errStore) && strings.Contains(a.body, err.Error()) {
			t.Errorf("%v: %d\n%s", err, a.StatusCode, a.body)
		}
	}
}

// A cursor of another list begins the list anew rather than fail.
func TestConsole_StaleCursor(t *testing.T) {
	w := newWorld(t, acme)
	w.filled(asAdmin).readErr = mfa.ErrCursor
	goes(t, w.visitConsole("/.mfa/admin?after=%00&q=x"), "/.mfa/admin")
}

// A change that would lock every administrator out is done only on a word of its own.
func TestConsole_LockoutNeedsAWord(t *testing.T) {
	w := newWorld(t, acme)
	f := w.filled(asAdmin)
	f.err = &mfa.LockoutError{Reason: "nobody would be left"}
	form := url.Values{"do": {"set"}, "require": {"on"}}
	a := w.postConsole(t, "/.mfa/admin/policy/change?id=require", form)
	if a.StatusCode != http.StatusConflict || !strings.Contains(a.body, "nobody would be left") || !strings.Contains(a.body, `name="force" value="yes"`) || strings.Contains(a.body, "checked") && strings.Contains(a.body, `name="force" value="yes" checked`) {
		t.Errorf("%d\n%s", a.StatusCode, a.body)
	}
	f.err = nil
	form.Set("force", "yes")
	w.postConsole(t, "/.mfa/admin/policy/change?id=require", form)
	if f.did[len(f.did)-1] != "SetPolicy require [on] true" {
		t.Errorf("did %v", f.did)
	}
}

// The filters say to the core what they say on the page.
func TestConsole_Filters(t *testing.T) {
	for query, want := range map[string]mfa.UserFilter{
		"":                        {},
		"q=%20Bo%20":              {Search: "Bo"},
		"factor=passkey":          {Factor: mfa.Passkey},
		"factor=none&state=role":  {NoFactor: true, Facet: mfa.FacetRole},
		"state=locked&of=acme":    {Facet: mfa.FacetLocked, Organization: "acme"},
		"factor=x&state=y&of=%2F": {},
		"state=holds:totp":        {},
	} {
		w := newWorld(t, acme)
		f := w.filled(asAdmin)
		if a := w.visitConsole("/.mfa/admin?" + query); a.StatusCode != 200 || f.filter != want {
			t.Errorf("%s: %d %+v", query, a.StatusCode, f.filter)
		}
	}
	w := newWorld(t, acme)
	f := w.filled(asAdmin)
	w.visitConsole("/.mfa/admin/audit?user=bob&event=verify&since=2026-11-01&until=2026-11-02")
	if want := (mfa.AuditQuery{User: "bob", Name: mfa.EventVerify, Since: time.Date(2026, 11, 1, 0, 0, 0, 0, time.UTC), Until: time.Date(2026, 11, 3, 0, 0, 0, 0, time.UTC)}); f.query != want {
		t.Errorf("%+v", f.query)
	}
}

// An administrator of several organizations acts for one at a time, and every address
// says for which.
func TestConsole_ActsForOneOrganization(t *testing.T) {
	w := newWorld(t, acme)
	f := w.filled(asOrganization)
	a := w.visitConsole("/.mfa/admin?as=acme")
	if !slices.Equal(f.as, []mfa.OrganizationID{"acme"}) || !strings.Contains(a.body, "/.mfa/admin/user?as=acme&amp;id=u2") || !strings.Contains(a.body, `href="/.mfa/admin?as=globex"`) {
		t.Errorf("asked for %v\n%s", f.as, a.body)
	}
	w.visitConsole("/.mfa/admin?as=%22%3E")
	if f.as[1] != "" {
		t.Errorf("asked for %q", f.as[1])
	}
}

// AC-133: nothing from the outside or from the store gets into a page unescaped.
func TestConsole_AC133_RejectsMarkup(t *testing.T) {
	const probe = `"><svg/onload=1>'{{.}}`
	clean := func(where string, a answer) {
		t.Helper()
		if strings.Contains(a.body, "<svg/onload") || strings.Contains(a.Header.Get("Location"), "<") {
			t.Errorf("%s: %s", where, a.body)
		}
	}
	q := url.QueryEscape(probe)
	for page, rt := range newWorld(t, acme).pages.console {
		for _, param := range consoleParams {
			w := newWorld(t, acme)
			w.filled(asAdmin)
			clean(page+" "+param, w.visitConsole("/.mfa/"+page+"?"+param+"="+q))
		}
		if rt.post == nil {
			continue
		}
		form := url.Values{}
		for name := range example[page].form {
			form.Set(name, probe)
		}
		for _, err := range []error{nil, mfa.ErrName, mfa.ErrNameTaken, &mfa.PolicyError{Err: fmt.Errorf("fresh: %s", probe)}, &mfa.LockoutError{Reason: probe}} {
			w := newWorld(t, acme)
			w.filled(asAdmin).err = err
			clean("POST "+page, w.postConsole(t, consoleURL(page), form))
		}
	}
	for _, path := range []string{"/" + url.PathEscape(probe), "/.mfa/admin/" + url.PathEscape(probe), "/.mfa/sign-in?to=" + q} {
		w := newWorld(t, acme)
		clean(path, w.visitConsole(path))
	}
	for page := range newWorld(t, acme).pages.console {
		w := newWorld(t, acme)
		f := w.filled(asAdmin)
		for i := range f.users {
			u := &f.users[i]
			u.Name, u.DisplayName, u.Email, u.Phone, u.LastHost, u.Groups = probe, probe, probe, probe, probe, []string{probe}
			for j := range u.Factors {
				u.Factors[j].Name, u.Factors[j].Host = probe, probe
			}
		}
		for i := range f.sessions {
			f.sessions[i].Agent, f.sessions[i].Host, f.sessions[i].Network = probe, probe, probe
		}
		for i := range f.events {
			f.events[i] = mfa.Event{Name: mfa.EventName(probe), Reason: probe, UserName: probe, User: probe, Detail: probe, Host: probe, Network: probe, Actor: probe, Decision: probe, Factor: probe}
		}
		for _, o := range f.orgs {
			o.Name, o.Domains = probe, []string{probe}
		}
		for _, k := range f.keys {
			k.Name, k.ByName, k.LastNetwork = probe, probe, probe
		}
		for i := range f.campaigns {
			f.campaigns[i].Title, f.campaigns[i].Note = probe, probe
		}
		f.policy.Warnings = []string{probe}
		f.verified.Head = probe
		clean(page+" from the store", w.visitConsole(consoleURL(page)))
		if page == "admin/audit" {
			clean(page, w.postConsole(t, consoleURL(page), nil))
		}
	}
}

// Every event and every reason has words.
func TestConsole_HasWordsForEverything(t *testing.T) {
	for _, name := range mfa.EventNames {
		if _, ok := eventWords[name]; !ok {
			t.Errorf("no words for the event %s", name)
		}
	}
	for _, reason := range mfa.Reasons() {
		if _, ok := reasonWords[reason]; !ok {
			t.Errorf("no words for the reason %q", reason)
		}
	}
	for _, f := range mfa.PolicyFields() {
		if _, ok := policyWords[f.Name]; !ok {
			t.Errorf("no words for the field %s", f.Name)
		}
	}
	for done, key := range consoleDones {
		if _, ok := newWorld(t, acme).pages.words.list[0].texts[key]; !ok {
			t.Errorf("no words for %s", done)
		}
	}
}
