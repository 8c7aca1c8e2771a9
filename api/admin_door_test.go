package api_test

import (
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/secondgate/secondgate/api"
	"github.com/secondgate/secondgate/mfa"
)

// changes are the rows of the matrix that change something.
func changes() (list []struct{ method, path, body string }) {
	for _, row := range matrix {
		if row.method == http.MethodGet {
			continue
		}
		path := strings.NewReplacer("{user}", "nobody", "{id}", "none", "{organization}", "acme", "{key}", "none").Replace(row.path)
		list = append(list, struct{ method, path, body string }{row.method, api.Root + path, row.body})
	}
	return list
}

// A page of another site sends what it can send without asking first, and what a browser
// says of where it comes from (AC-121, AC-124). With the cookie of an administrator, and
// with a key, which no page of a stranger has any business with.
func TestAdmin_AC121_RequestsOfOtherSites(t *testing.T) {
	o := newOffice(t)
	key := o.program().key
	senders := map[string]func(method, path, body string) *http.Request{
		"session": func(method, path, body string) *http.Request { return o.root.request(method, path, body) },
		"key": func(method, path, body string) *http.Request {
			r := o.browser().request(method, path, body)
			r.Header.Set("Authorization", "Bearer "+key)
			return r
		},
	}
	for sender, request := range senders {
		for _, c := range changes() {
			body := c.body
			if body == "" {
				body = "{}"
			}
			for _, kind := range []string{"", "text/plain", "application/x-www-form-urlencoded", "multipart/form-data; boundary=x", "application/json, text/plain", "text/json"} {
				r := request(c.method, c.path, body)
				r.Header.Set("Content-Type", kind)
				if kind == "" {
					r.Header.Del("Content-Type")
				}
				if a := o.root.do(r); a.StatusCode != http.StatusUnsupportedMediaType {
					t.Errorf("%s %s by %s as %q: %d", c.method, c.path, sender, kind, a.StatusCode)
				}
			}
			for name, change := range foreign {
				r := request(c.method, c.path, c.body)
				change(r)
				if a := o.root.do(r); a.StatusCode != http.StatusForbidden || a.reason() != "cross_origin" {
					t.Errorf("%s %s by %s, %s: %d %s", c.method, c.path, sender, name, a.StatusCode, a.raw)
				}
			}
		}
		for _, path := range []string{"", "/users", "/audit/export", "/keys", "/policy"} {
			for name, change := range foreign {
				r := request(http.MethodGet, admin+path, "")
				change(r)
				if a := o.root.do(r); a.StatusCode != http.StatusForbidden || strings.Contains(string(a.raw), "root") {
					t.Errorf("GET %s by %s, %s: %d %s", path, sender, name, a.StatusCode, a.raw)
				}
			}
		}
	}
}

// foreign are the ways in which a request says that it comes from elsewhere.
var foreign = map[string]func(*http.Request){
	"an evil origin":     func(r *http.Request) { r.Header.Set("Origin", "https://evil.example") },
	"the origin null":    func(r *http.Request) { r.Header.Set("Origin", "null") },
	"plain http":         func(r *http.Request) { r.Header.Set("Origin", "http://"+host) },
	"another port":       func(r *http.Request) { r.Header.Set("Origin", origin+":8443") },
	"two origins":        func(r *http.Request) { r.Header["Origin"] = []string{origin, "https://evil.example"} },
	"another site":       func(r *http.Request) { r.Header.Set("Sec-Fetch-Site", "cross-site") },
	"a sibling host":     func(r *http.Request) { r.Header.Set("Sec-Fetch-Site", "same-site") },
	"two fetch metadata": func(r *http.Request) { r.Header["Sec-Fetch-Site"] = []string{"same-origin", "cross-site"} },
}

// A preflight is refused, and nothing in the answer allows anything (AC-125).
func TestAdmin_AC125_NoPreflight(t *testing.T) {
	o := newOffice(t)
	for _, row := range matrix {
		path, _, _ := strings.Cut(api.Root+row.path, "?")
		r := o.browser().request(http.MethodOptions, path, "")
		r.Header.Set("Origin", "https://evil.example")
		r.Header.Set("Access-Control-Request-Method", row.method)
		r.Header.Set("Access-Control-Request-Headers", "authorization")
		if a := o.browser().do(r); a.StatusCode != http.StatusMethodNotAllowed { // do looks for Access-Control-*
			t.Errorf("%s: %d", path, a.StatusCode)
		}
	}
}

// A name of the attacker's that leads to this machine is another origin to the browser:
// it has no cookie there, and one of here is worth nothing under it (AC-124).
func TestAdmin_AC124_Rebinding(t *testing.T) {
	o := newOffice(t)
	for _, cookies := range []bool{false, true} {
		r := o.root.request(http.MethodPost, admin+"/users", `{"name":"mallory"}`)
		if !cookies {
			r.Header.Del("Cookie")
		}
		r.Host = "evil.example:2020"
		r.Header.Set("Origin", "https://evil.example:2020")
		if a := o.browser().do(r); a.StatusCode != http.StatusUnauthorized {
			t.Errorf("cookies %v: %d %s", cookies, a.StatusCode, a.raw)
		}
	}
}

// What a key may be given in, and what not. A request with a key is the key's alone: the
// session of whoever's browser it came from lends it nothing.
func TestAdmin_KeysAreBelieved(t *testing.T) {
	o := newOffice(t)
	good := o.program().key
	small := o.key("", "", time.Hour, "users:read")
	for name, c := range map[string]struct {
		header []string
		query  string
		cookie bool
		method string
		status int
		reason string
	}{
		"a key":                      {header: []string{"Bearer " + good}, status: 200},
		"in lower case":              {header: []string{"bearer " + good}, status: 200},
		"two":                        {header: []string{"Bearer " + good, "Bearer " + good}, status: 401, reason: "key"},
		"none behind the word":       {header: []string{"Bearer "}, cookie: true, status: 401, reason: "key"},
		"a bad one beside a session": {header: []string{"Bearer sg_x_y"}, cookie: true, status: 401, reason: "key"},
		"something else":             {header: []string{"Bearer eyJhbGciOiJIUzI1NiJ9.e30.x"}, status: 401, reason: "key"},
		"another scheme":             {header: []string{"Basic cm9vdDpyb290"}, cookie: true, status: 200},
		"another scheme alone":       {header: []string{"Basic " + good}, status: 401, reason: "no_session"},
		"in the address":             {query: "?access_token=" + good, status: 400, reason: "key_in_url"},
		"under any name":             {query: "?search=" + good, cookie: true, status: 400, reason: "key_in_url"},
		"there as well":              {header: []string{"Bearer " + good}, query: "?key=" + good, status: 400, reason: "key_in_url"},
		"encoded":                    {query: "?x=%73g_" + good[3:], cookie: true, status: 400, reason: "key_in_url"},
		"too small beside a session": {header: []string{"Bearer " + small}, cookie: true, method: http.MethodPost, status: 403, reason: "not_allowed"},
	} {
		method, body := http.MethodGet, ""
		if c.method != "" {
			method, body = c.method, `{"name":"somebody"}`
		}
		r := o.browser().request(method, admin+"/users"+c.query, body)
		if c.cookie {
			r = o.root.request(method, admin+"/users"+c.query, body)
		}
		if c.header != nil {
			r.Header["Authorization"] = c.header
		}
		a := o.browser().do(r)
		if a.StatusCode != c.status || a.reason() != c.reason {
			t.Errorf("%s: %d %s, want %d %s", name, a.StatusCode, a.raw, c.status, c.reason)
		}
		want := map[string]string{"key": `Bearer realm="secondgate", error="invalid_token"`, "not_allowed": `Bearer realm="secondgate", error="insufficient_scope"`}[c.reason]
		if got := a.Header.Get("WWW-Authenticate"); want != "" && got != want {
			t.Errorf("%s: WWW-Authenticate is %q", name, got)
		}
		if strings.Contains(string(a.raw), good[20:]) {
			t.Errorf("%s: the answer has the key", name)
		}
	}
}

// Guessing is stopped for the network, is on the record without what was tried, and keeps
// nobody from working who has a key.
func TestAdmin_GuessesAreStopped(t *testing.T) {
	o := newOffice(t)
	good := o.program()
	o.events.Reset()
	tries, late := 0, 0
	for i := range 100 {
		guess := program{o, fmt.Sprintf("sg_%016x_guessed-secret-%d", i, i)}
		a := o.browser().do(guess.request(http.MethodGet, admin+"/users", ""))
		switch {
		case a.StatusCode == http.StatusUnauthorized && late == 0:
			tries++
		case a.StatusCode == http.StatusTooManyRequests && a.Header.Get("Retry-After") != "":
			late++
		default:
			t.Fatalf("guess %d: %d %s", i, a.StatusCode, a.raw)
		}
	}
	if tries != 30 || late != 70 {
		t.Errorf("%d guesses were looked at and %d refused", tries, late)
	}
	good.ask(http.MethodGet, admin+"/users", "", http.StatusOK)
	o.client = "198.51.100.9"
	program{o, "sg_0_0"}.ask(http.MethodGet, admin+"/users", "", http.StatusUnauthorized)
	list := o.events.Named(mfa.EventKey)
	if len(list) != 101 {
		t.Errorf("%d events", len(list))
	}
	for _, e := range list {
		if text, _ := json.Marshal(e); e.OK || strings.Contains(string(text), "guessed") {
			t.Errorf("the event is %s", text)
		}
	}
}

// A change needs a second factor of the last fifteen minutes; to look, one of this session
// is enough. The answer says what is owed as RFC 9470 does.
func TestAdmin_ProofIsOwed(t *testing.T) {
	o := newOffice(t)
	target := o.target()
	path := admin + "/users/" + string(target.ID)
	o.root.ask(http.MethodPost, path+"/unlock", "{}", http.StatusOK)
	o.clock.Advance(mfa.AdminProofLife + time.Second)
	o.root.ask(http.MethodGet, path, "", http.StatusOK)
	for _, c := range changes() {
		a := o.root.ask(c.method, strings.ReplaceAll(c.path, "nobody", string(target.ID)), c.body, http.StatusUnauthorized)
		if challenge := a.Header.Get("WWW-Authenticate"); !strings.Contains(challenge, "insufficient_user_authentication") || !strings.Contains(challenge, "max_age=900") && !strings.Contains(challenge, `max_age="900"`) {
			t.Errorf("%s %s: the challenge is %s", c.method, c.path, challenge)
		}
		if !strings.HasPrefix(a.text("next"), "/.mfa/verify?") || !strings.Contains(a.text("next"), "for=app") {
			t.Errorf("%s %s: next is %q", c.method, c.path, a.text("next"))
		}
	}
	if u := o.user(target.Name); len(u.Credentials) != 2 || u.Disabled {
		t.Error("it was done all the same")
	}
	// A key is not asked: it has nobody to prove anything.
	o.program().ask(http.MethodDelete, path+"/factors", "", http.StatusOK)
}

// Somebody with a role and no second factor is sent to set one up, and not let in, even
// where nobody else has to have one (rule B33).
func TestAdmin_NoSecondFactor(t *testing.T) {
	o := newOffice(t)
	must(t, o.machine().SetPolicy(t.Context(), "require", []string{"off"}, true))
	must(t, o.machine().SetPolicy(t.Context(), "prompt", []string{"never"}, true))
	b := o.newcomer("plain")
	must(t, o.machine().SetRole(t.Context(), o.user("plain").ID, mfa.RoleAdmin, nil))
	a := b.ask(http.MethodGet, admin+"/users", "", http.StatusUnauthorized)
	if !strings.HasPrefix(a.text("next"), "/.mfa/set-up") {
		t.Errorf("%s", a.raw)
	}
}

// What proves who somebody is, of people and programs, is in no answer (AC-225).
func TestAdmin_AC225_NoSecretsOut(t *testing.T) {
	o := newOffice(t)
	target := o.target()
	b := o.person("carol")
	text := o.program().key
	secrets := map[string][]byte{
		"password": []byte("secret-password"), "app": []byte("secret-totp"), "code": []byte("secret-code"), "handle": target.Handle,
		"key": []byte(text[len(text)-43:]),
	}
	for _, name := range []string{"root", "carol"} {
		u := o.user(name)
		secrets["password of "+name], secrets["handle of "+name] = u.Password, u.Handle
		for _, c := range u.Credentials {
			secrets[string(c.Kind)+" of "+name] = c.Data
		}
		sessions, err := o.store.UserSessions(t.Context(), u.ID)
		must(t, err)
		for _, s := range sessions {
			secrets["session of "+name] = []byte(s.ID)
		}
	}
	for name, value := range b.cookies {
		secrets["cookie "+name] = []byte(value)
	}
	keys, err := o.store.ListAPIKeys(t.Context())
	must(t, err)
	secrets["key's hash"] = keys[0].Hash
	must(t, o.store.AppendEvents(t.Context(), o.events.All()))
	must(t, o.store.AppendEvents(t.Context(), []mfa.Event{{At: o.clock.Now(), Name: mfa.EventDecision, Decision: "DECISION", User: target.ID}}))

	for _, of := range []string{"/campaign", "/organizations/acme/campaign"} {
		o.root.ask(http.MethodPut, admin+of, `{"deadline":"2026-02-01T00:00:00Z"}`, http.StatusOK)
	}
	for _, row := range matrix {
		if row.method != http.MethodGet {
			continue
		}
		for _, id := range []mfa.UserID{target.ID, o.user("root").ID, o.user("carol").ID} {
			path := api.Root + strings.NewReplacer("{user}", string(id), "{decision}", "DECISION").Replace(row.path)
			a := o.root.ask(http.MethodGet, path, "", http.StatusOK)
			for what, secret := range secrets {
				for _, form := range []string{
					string(secret), hex.EncodeToString(secret), base64.StdEncoding.EncodeToString(secret), base64.RawURLEncoding.EncodeToString(secret),
				} {
					if len(secret) > 0 && strings.Contains(string(a.raw), form) {
						t.Errorf("%s has the %s", path, what)
					}
				}
			}
		}
	}
}

// Fields that are not a caller's to set are refused by name, wherever they are put, and
// nothing of the request is done (AC-227).
func TestAdmin_AC227_MassAssignment(t *testing.T) {
	o := newOffice(t)
	for _, c := range changes() {
		if c.body == "" {
			continue
		}
		for _, field := range []string{"id", "user_id", "admin", "verified", "email_verified", "created", "created_at", "failures", "password", "source", "hash", "declared", "powers", "locked"} {
			body := strings.TrimSuffix(c.body, "}")
			if len(body) > 1 {
				body += ","
			}
			a := o.root.ask(c.method, c.path, body+`"`+field+`":true}`, http.StatusBadRequest)
			if a.reason() != "unknown_field" || a.text("field") != field {
				t.Errorf("%s %s with %s: %s", c.method, c.path, field, a.raw)
			}
		}
		// Neither another spelling of a field, nor one twice, nor what only looks like one.
		for _, body := range []string{`{"NAME":"x"}`, `{"Role":"admin"}`, `{"<svg/onload=1>":1}`, `{"why":"a","why":"b"}`, `[]`, `null`, `{"name":"a"}{"name":"b"}`, `{"expires_in":"60"}`, `{"role":["admin"]}`} {
			if a := o.root.ask(c.method, c.path, body, http.StatusBadRequest); strings.Contains(string(a.raw), "svg") {
				t.Errorf("%s %s repeats %s", c.method, c.path, a.raw)
			}
		}
	}
	if list := o.events.Named(mfa.EventAdmin); len(list) > 0 && list[len(list)-1].ActorID != "" {
		t.Errorf("something was done: %+v", list[len(list)-1])
	}
}

// Nor can the query say what it does not say.
func TestAdmin_UnknownParameters(t *testing.T) {
	o := newOffice(t)
	p := o.program()
	for path, field := range map[string]string{
		"/users?serach=a":         "serach",
		"/users?search=a&search=": "search",
		"/users?limit=201":        "limit",
		"/users?limit=0":          "limit",
		"/users?limit=x":          "limit",
		"/users?factor=face":      "factor",
		"/users?is=happy":         "is",
		"/users?enabled=yes":      "enabled",
		"/users?for=acme":         "for", // a key has its own
		"/users?name=a&search=b":  "search",
		"/users?%3Csvg%3E=1":      "",
		"/audit?event=party":      "event",
		"/audit?since=yesterday":  "since",
		"/audit/export?from=-1":   "from",
		"/keys?limit=3":           "limit",
		"/policy?force=true":      "force",
	} {
		a := p.ask(http.MethodGet, admin+path, "", http.StatusBadRequest)
		if a.reason() != "query" || a.text("field") != field || strings.Contains(string(a.raw), "svg") {
			t.Errorf("%s: %s", path, a.raw)
		}
	}
	if a := p.ask(http.MethodGet, admin+"/users?cursor=made-up", "", http.StatusBadRequest); a.reason() != "cursor" {
		t.Errorf("a made-up cursor: %s", a.raw)
	}
	p.ask(http.MethodGet, admin+"/users?a=%zz", "", http.StatusBadRequest)
	o.root.ask(http.MethodGet, admin+"/users?for=acme&for=globex", "", http.StatusBadRequest)
}
