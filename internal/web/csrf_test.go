package web

import (
	"encoding/json"
	"errors"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"
)

var here = Cookies{Secure: true}

// formPage is a browser that has loaded a page with a form.
func formPage(t *testing.T, c *CSRF) (cookie, token string) {
	t.Helper()
	w := httptest.NewRecorder()
	token = c.Token(w, httptest.NewRequest("GET", "https://app.a.test/.mfa/sign-in", nil), here)
	cookies := w.Result().Cookies()
	if len(cookies) != 1 || cookies[0].Name != "__Host-mfa-csrf" || !cookies[0].HttpOnly {
		t.Fatalf("cookies %v", cookies)
	}
	return cookies[0].Name + "=" + cookies[0].Value, token
}

func post(cookie, token string, alter ...func(*http.Request)) *http.Request {
	r := httptest.NewRequest("POST", "https://app.a.test/.mfa/sign-in", strings.NewReader(url.Values{"csrf": {token}, "name": {"alice"}}.Encode()))
	r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	r.Header.Set("Cookie", cookie)
	r.Header.Set("Sec-Fetch-Site", "same-origin")
	r.Header.Set("Origin", "https://app.a.test")
	for _, f := range alter {
		f(r)
	}
	return r
}

func set(name, value string) func(*http.Request) {
	return func(r *http.Request) { r.Header.Set(name, value) }
}

func del(names ...string) func(*http.Request) {
	return func(r *http.Request) {
		for _, name := range names {
			r.Header.Del(name)
		}
	}
}

func TestCSRF_Check_AC120_AC121(t *testing.T) {
	c := NewCSRF()
	cookie, token := formPage(t, c)
	_, strange := formPage(t, c)
	for _, tt := range []struct {
		name string
		r    *http.Request
		want error
	}{
		{"our form", post(cookie, token), nil},
		{"our form, with a charset", post(cookie, token, set("Content-Type", "application/x-www-form-urlencoded; charset=UTF-8")), nil},
		{"a browser that says only Origin", post(cookie, token, del("Sec-Fetch-Site")), nil},
		{"a browser that says nothing", post(cookie, token, del("Sec-Fetch-Site", "Origin")), nil},
		{"our script", post(cookie, "", set("Content-Type", "application/json"), set(CSRFHeader, token)), nil},

		{"cross-site", post(cookie, token, set("Sec-Fetch-Site", "cross-site"), set("Origin", "https://evil.test")), ErrCrossOrigin},
		{"a sibling", post(cookie, token, set("Sec-Fetch-Site", "same-site"), set("Origin", "https://evil.a.test")), ErrCrossOrigin},
		{"other origin, old browser", post(cookie, token, del("Sec-Fetch-Site"), set("Origin", "https://evil.test")), ErrCrossOrigin},
		{"other port, old browser", post(cookie, token, del("Sec-Fetch-Site"), set("Origin", "https://app.a.test:8443")), ErrCrossOrigin},
		{"the same host without TLS, old browser", post(cookie, token, del("Sec-Fetch-Site"), set("Origin", "http://app.a.test")), ErrCrossOrigin},
		{"origin null", post(cookie, token, set("Origin", "null")), ErrCrossOrigin},
		{"two origins", post(cookie, token, func(r *http.Request) { r.Header.Add("Origin", "https://app.a.test") }), ErrCrossOrigin},
		{"no token", post(cookie, ""), ErrCSRFToken},
		{"token of another browser", post(cookie, strange), ErrCSRFToken},
		{"token cut", post(cookie, token[:len(token)-2]), ErrCSRFToken},
		{"the cookie as token", post(cookie, strings.TrimPrefix(cookie, "__Host-mfa-csrf=")), ErrCSRFToken},
		{"no cookie", post("", token), ErrCSRFToken},
		{"two cookies", post(cookie+"; "+cookie, token), ErrCSRFToken},
		{"short cookie", post("__Host-mfa-csrf=AAAA", token), ErrCSRFToken},
		{"token in the address", post(cookie, "", func(r *http.Request) { r.URL.RawQuery = "csrf=" + token }), ErrCSRFToken},
		{"script without the header", post(cookie, token, set("Content-Type", "application/json")), ErrCSRFToken},
		{"form with the header", post(cookie, "", set(CSRFHeader, token)), ErrCSRFToken},
		{"text", post(cookie, token, set("Content-Type", "text/plain")), ErrContentType},
		{"multipart", post(cookie, token, set("Content-Type", "multipart/form-data; boundary=x")), ErrContentType},
		{"JSON in disguise", post(cookie, token, set("Content-Type", "text/plain; application/json"), set(CSRFHeader, token)), ErrContentType},
		{"no type", post(cookie, token, del("Content-Type")), ErrContentType},
	} {
		if err := c.Check(tt.r, here); !errors.Is(err, tt.want) {
			t.Errorf("%s: %v, want %v", tt.name, err, tt.want)
		}
	}
}

func TestCSRF_Token(t *testing.T) {
	c := NewCSRF()
	w := httptest.NewRecorder()
	r := httptest.NewRequest("GET", "https://app.a.test/", nil)
	first, second := c.Token(w, r, here), c.Token(w, r, here)
	if first == second {
		t.Error("the same mask twice")
	}
	lines := w.Header()["Set-Cookie"]
	if len(lines) != 1 {
		t.Fatalf("%q: two forms on a page share one cookie", lines)
	}
	cookie, _, _ := strings.Cut(lines[0], ";")
	for _, token := range []string{first, second} {
		if err := c.Check(post(cookie, token), here); err != nil {
			t.Error(err)
		}
	}
	// A second page of the same browser leaves the cookie as it is.
	w = httptest.NewRecorder()
	r.Header.Set("Cookie", cookie)
	third := c.Token(w, r, here)
	if len(w.Header()["Set-Cookie"]) != 0 {
		t.Error("set again")
	}
	if err := c.Check(post(cookie, third), here); err != nil {
		t.Error(err)
	}
}

func TestHeaders_AC127_AC129_AC132(t *testing.T) {
	for name, c := range map[string]struct {
		set   func(http.Header, bool)
		https bool
	}{
		"page": {SecurityHeaders, true}, "page on http": {SecurityHeaders, false}, "API": {APIHeaders, true}, "API on http": {APIHeaders, false},
	} {
		h := http.Header{}
		c.set(h, c.https)
		for _, want := range []string{
			"Cache-Control", "X-Content-Type-Options", "X-Frame-Options", "Referrer-Policy", "Cross-Origin-Opener-Policy", "Cross-Origin-Resource-Policy", "Permissions-Policy",
		} {
			if h.Get(want) == "" {
				t.Errorf("%s: no %s", name, want)
			}
		}
		csp := h.Get("Content-Security-Policy")
		if !strings.Contains(csp, "frame-ancestors 'none'") || !strings.Contains(csp, "default-src 'none'") || strings.Contains(csp, "unsafe") {
			t.Errorf("%s: %s", name, csp)
		}
		hsts := h.Get("Strict-Transport-Security")
		if (hsts != "") != c.https || strings.Contains(hsts, "includeSubDomains") {
			t.Errorf("%s: HSTS %q", name, hsts)
		}
	}
}

func TestWriteProblem(t *testing.T) {
	w := httptest.NewRecorder()
	WriteProblem(w, true, Problem{Title: "Sign in first", Status: 401, Next: "/.mfa/sign-in"})
	var p map[string]any
	if err := json.NewDecoder(w.Body).Decode(&p); err != nil || w.Code != 401 || w.Header().Get("Content-Type") != "application/problem+json" {
		t.Fatalf("%d %v %v", w.Code, w.Header(), err)
	}
	if p["title"] != "Sign in first" || p["status"] != 401.0 || p["next"] != "/.mfa/sign-in" || len(p) != 3 {
		t.Errorf("%v", p)
	}
}
