package api_test

import (
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/secondgate/secondgate/api"
	"github.com/secondgate/secondgate/mfa"
)

// operations are the routes of the account, with something in the place of names.
func operations(w *world) (list [][2]string) {
	for _, r := range w.api.Routes() {
		method, path, _ := strings.Cut(r, " ")
		if strings.HasPrefix(path, "account") {
			list = append(list, [2]string{method, api.Root + strings.ReplaceAll(path, "{id}", "none")})
		}
	}
	return list
}

// AC-120, AC-121, AC-123, AC-125: another site makes the browser of somebody who is signed
// in ask every route, to read and to change. None is answered with anything but a refusal.
func TestEveryRoute_RefusesOtherOrigins_AC121_AC125(t *testing.T) {
	w := newWorld(t)
	b := w.person("alice")
	headers := []http.Header{
		{"Origin": {"https://evil.test"}, "Sec-Fetch-Site": {"cross-site"}},
		{"Origin": {"https://evil.test"}},
		{"Origin": {"null"}},
		{"Origin": {"null"}, "Sec-Fetch-Site": {"same-origin"}},
		{"Origin": {"http://" + host}, "Sec-Fetch-Site": {"cross-site"}}, // written by somebody on the line
		{"Origin": {"http://" + host}},
		{"Origin": {"https://evil." + host}, "Sec-Fetch-Site": {"same-site"}},
		{"Origin": {origin + ":8443"}, "Sec-Fetch-Site": {"same-site"}},
		{"Origin": {origin, "https://evil.test"}, "Sec-Fetch-Site": {"same-origin"}},
		{"Sec-Fetch-Site": {"cross-site"}},
		{"Sec-Fetch-Site": {"same-site"}},
		{"Sec-Fetch-Site": {"same-origin", "cross-site"}},
		{"Sec-Fetch-Site": {"Same-Origin"}},
		{"Sec-Fetch-Site": {""}},
		{"Origin": {""}},
	}
	for _, op := range operations(w) {
		for _, h := range headers {
			r := b.request(op[0], op[1], "{}")
			r.Header.Del("Origin")
			r.Header.Del("Sec-Fetch-Site")
			for name, values := range h {
				r.Header[name] = values
			}
			if a := b.do(r); a.StatusCode != http.StatusForbidden || a.reason() != "cross_origin" || len(a.Cookies()) > 0 {
				t.Errorf("%s %s with %v: %d %s", op[0], op[1], h, a.StatusCode, a.raw)
			}
		}
	}
	// She is signed in still, so what was refused was refused for where it came from.
	b.ask(http.MethodGet, accountPath, "", http.StatusOK)
}

// AC-121: what a form of another site could send is refused for its type alone, also
// where the browser says nothing of the origin.
func TestEveryRoute_TakesJSONOnly_AC121(t *testing.T) {
	w := newWorld(t)
	b := w.person("alice")
	for _, op := range operations(w) {
		if op[0] == http.MethodGet {
			continue
		}
		for _, kind := range [][]string{
			nil, {""}, {"text/plain"}, {"application/x-www-form-urlencoded"}, {"multipart/form-data; boundary=x"}, {"text/json"},
			{"application/json-patch+json"}, {"application/problem+json"}, {"text/plain; application/json"}, {"application/json", "text/plain"},
		} {
			r := b.request(op[0], op[1], "{}")
			r.Header.Del("Origin")
			r.Header.Del("Sec-Fetch-Site")
			r.Header["Content-Type"] = kind
			if kind == nil {
				r.Header.Del("Content-Type")
			}
			if a := b.do(r); a.StatusCode != http.StatusUnsupportedMediaType {
				t.Errorf("%s %s with type %q: %d %s", op[0], op[1], kind, a.StatusCode, a.raw)
			}
		}
	}
}

// AC-125: a preflight is refused at every route, and nothing in the answer allows a thing.
func TestEveryRoute_RefusesPreflights_AC125(t *testing.T) {
	w := newWorld(t)
	b := w.person("alice")
	for _, op := range operations(w) {
		r := b.request(http.MethodOptions, op[1], "")
		r.Header.Set("Origin", "https://evil.test")
		r.Header.Set("Access-Control-Request-Method", op[0])
		if a := b.do(r); a.StatusCode != http.StatusMethodNotAllowed || !strings.Contains(a.Header.Get("Allow"), op[0]) {
			t.Errorf("%s %s: %d, Allow: %q", op[0], op[1], a.StatusCode, a.Header.Get("Allow"))
		}
	}
}

func TestEveryRoute_RefusesOtherMethods(t *testing.T) {
	w := newWorld(t)
	b := w.person("alice")
	known := map[string]string{}
	for _, op := range operations(w) {
		known[op[1]] += " " + op[0]
	}
	for path, methods := range known {
		for _, method := range []string{"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "PROPFIND", "get"} {
			as := method
			if method == http.MethodHead {
				as = http.MethodGet
			}
			if strings.Contains(methods, " "+as) {
				continue
			}
			a := b.do(b.request(method, path, "{}"))
			if a.StatusCode != http.StatusMethodNotAllowed || a.Header.Get("Allow") == "" {
				t.Errorf("%s %s: %d, Allow: %q", method, path, a.StatusCode, a.Header.Get("Allow"))
			}
		}
	}
}

// B31, AC-161: who is not signed in, or half-done, gets nothing from any route but a way
// to sign out.
func TestEveryRoute_NeedsASession_AC161(t *testing.T) {
	w := newWorld(t)
	w.person("alice")
	half := w.browser()
	out, err := w.gate.SignIn(t.Context(), half.place(), "local", "alice", goodPassword)
	must(t, err)
	half.hold(out)
	forged := w.browser()
	forged.cookies["__Host-mfa"] = half.cookies["__Host-mfa-half"] // a half-done token in the other cookie
	for who, b := range map[string]*browser{"nobody": w.browser(), "half-done": half, "forged": forged} {
		for _, op := range operations(w) {
			if strings.HasSuffix(op[1], "/sign-out") {
				continue
			}
			body := "{}"
			if op[0] == http.MethodGet || op[0] == http.MethodDelete {
				body = ""
			}
			a := b.do(b.request(op[0], op[1], body))
			if a.StatusCode != http.StatusUnauthorized || a.text("next") != "/.mfa/sign-in" || len(a.Cookies()) > 0 {
				t.Errorf("%s: %s %s: %d %s", who, op[0], op[1], a.StatusCode, a.raw)
			}
		}
	}
}

// Two readers could understand such a path in two ways: it is none of ours.
func TestServeHTTP_RefusesAmbiguousPaths(t *testing.T) {
	w := newWorld(t)
	b := w.person("alice")
	for _, path := range []string{
		"/.mfa/api/", "/.mfa/api/account/", "/.mfa/api/nothing", "/.mfa/api/account%2ffactors", "/.mfa/api/account;x",
		"/.mfa/api//account", "/.mfa/api/./account", "/.mfa/api/x/../account", "/.mfa/api/account/factors/", "/.mfa/api/account%00",
		"/.mfa/api/ACCOUNT", "/.mfa/api/account/factors/a/b/c",
	} {
		a := b.do(b.request(http.MethodGet, path, ""))
		if a.StatusCode != http.StatusNotFound {
			t.Errorf("%s: %d %s", path, a.StatusCode, a.raw)
		}
	}
}

// AC-227, AC-163, AC-164: what a program must not set is not a member of any body, and a
// member that is not there refuses the whole request.
func TestEveryRoute_RefusesUnknownMembers_AC227(t *testing.T) {
	w := newWorld(t)
	b := w.person("alice")
	before := w.user("alice")
	for _, op := range operations(w) {
		if op[0] == http.MethodGet {
			continue
		}
		for _, member := range []string{
			"org", "organizations", "role", "admin", "verified", "email_verified", "failures", "created_at", "kind", "data", "secret", "codes",
			"user", "generation", "CODE", "Name", "left", "remember", "__proto__", "",
		} {
			body := fmt.Sprintf(`{"code":"123456","name":"x","old":"a","new":"b","address":"a@b.example","id":"i","answer":{},"until":"2026-01-01T00:00:00Z","factor":"email",%q:true}`, member)
			if a := b.do(b.request(op[0], op[1], body)); a.StatusCode != http.StatusBadRequest {
				t.Errorf("%s %s with %q: %d %s", op[0], op[1], member, a.StatusCode, a.raw)
			}
		}
	}
	after := w.user("alice")
	if fmt.Sprint(before) != fmt.Sprint(after) {
		t.Error("the record has changed")
	}
}

// AC-148: bodies that are no JSON, or more than one, or too large, or too deep.
func TestBodies_Refused_AC148(t *testing.T) {
	w := newWorld(t)
	b := w.person("alice")
	const path = accountPath + "/verification/totp"
	for _, body := range []string{
		"", "null", "[]", `"code"`, "{", `{"code":"1"`, `{"code":"1"}x`, `{"code":"1"}{"code":"2"}`, `{"code":1}`, `{"code":null}`, `{"code":["1"]}`,
		`{"code":"1","code":"2"}`, "{}", `{"code":}`, `{code:"1"}`, "\xff\xfe", `{"code":` + strings.Repeat("[", 5000) + strings.Repeat("]", 5000) + `}`,
	} {
		r := b.request(http.MethodPost, path, "{}")
		r.Body, r.ContentLength = io.NopCloser(strings.NewReader(body)), int64(len(body))
		if a := b.do(r); a.StatusCode != http.StatusBadRequest {
			t.Errorf("%.40q: %d %s", body, a.StatusCode, a.raw)
		}
	}
	if n := len(w.events.Named(mfa.EventVerify)); n != 0 {
		t.Errorf("%d codes were tried", n)
	}
	large := `{"code":"` + strings.Repeat("1", 64<<10) + `"}`
	if a := b.do(b.request(http.MethodPost, path, large)); a.StatusCode != http.StatusRequestEntityTooLarge {
		t.Errorf("large: %d %s", a.StatusCode, a.raw)
	}
	if a := b.do(b.request(http.MethodDelete, accountPath+"/opt-out", large)); a.StatusCode != http.StatusRequestEntityTooLarge {
		t.Errorf("a large body of DELETE: %d %s", a.StatusCode, a.raw)
	}
}

// AC-133: nothing that a request held comes back in a refusal.
func TestProblems_EchoNothing_AC133(t *testing.T) {
	w := newWorld(t)
	b := w.person("alice")
	const probe = `"><svg/onload=1>`
	for _, r := range []*http.Request{
		b.request(http.MethodPatch, accountPath+"/factors/none", `{`+quote(probe)+`:1}`),
		b.request(http.MethodPatch, accountPath+"/factors/none", `{"name":`+quote(probe)+`}`),
		b.request(http.MethodPost, accountPath+"/verification/totp", `{"code":`+quote(probe)+`}`),
		b.request(http.MethodPost, accountPath+"/factors/email/send", `{"address":`+quote(probe)+`}`),
		b.request(http.MethodPost, accountPath+"/verification/passkey/finish", `{"id":`+quote(probe)+`,"answer":{"id":`+quote(probe)+`}}`),
		b.request(http.MethodGet, accountPath+"/%22%3E%3Csvg%2Fonload=1%3E", ""),
		b.request(http.MethodDelete, accountPath+"/sessions/%22%3E%3Csvg", ""),
		b.request(http.MethodGet, accountPath+"/verification?factors=%22%3E%3Csvg", ""),
	} {
		r.Header.Set("Accept-Language", probe)
		r.Header.Set("User-Agent", probe)
		a := b.do(r)
		if a.StatusCode < 400 || strings.Contains(string(a.raw), "svg") {
			t.Errorf("%s %s: %d %s", r.Method, r.URL, a.StatusCode, a.raw)
		}
		if a.Header.Get("Content-Type") != "application/problem+json" {
			t.Errorf("%s %s: Content-Type %q", r.Method, r.URL, a.Header.Get("Content-Type"))
		}
	}
}

func TestScript_IsServedToEverybody(t *testing.T) {
	w := newWorld(t)
	rec := httptest.NewRecorder()
	w.api.ServeHTTP(rec, httptest.NewRequest(http.MethodGet, origin+api.ScriptPath, nil))
	if rec.Code != http.StatusOK || rec.Header().Get("Content-Type") != "text/javascript; charset=utf-8" {
		t.Errorf("%d %v", rec.Code, rec.Header())
	}
	if n := rec.Body.Len(); n == 0 || n >= 6<<10 {
		t.Errorf("the script has %d bytes", n)
	}
	for _, no := range []string{"innerHTML", "outerHTML", "insertAdjacentHTML", "document.write", "eval(", "Function(", "http://", "https://"} {
		if strings.Contains(rec.Body.String(), no) {
			t.Errorf("the script has %s", no)
		}
	}
	rec = httptest.NewRecorder()
	w.api.ServeHTTP(rec, httptest.NewRequest(http.MethodPost, origin+api.ScriptPath, nil))
	if rec.Code != http.StatusMethodNotAllowed || rec.Header().Get("Allow") != "GET, HEAD" {
		t.Errorf("POST: %d %q", rec.Code, rec.Header().Get("Allow"))
	}
}
