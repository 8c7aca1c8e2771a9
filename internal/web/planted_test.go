package web

import (
	"net/http"
	"net/http/cookiejar"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"
)

// A sibling host under a shared domain sets a cookie of our name with a path of
// its own. There are two of it then, neither counts, and no form could ever be
// sent again.
func TestCSRF_AC013_PlantedCookieIsNoLoop(t *testing.T) {
	names := Cookies{Secure: true, Domain: "example.com"}
	csrf := NewCSRF()
	jar, err := cookiejar.New(nil)
	if err != nil {
		t.Fatal(err)
	}
	page := &url.URL{Scheme: "https", Host: "app.example.com", Path: "/.mfa/verify/totp"}
	request := func(method, body string) *http.Request {
		r := httptest.NewRequest(method, page.String(), strings.NewReader(body))
		for _, c := range jar.Cookies(page) {
			r.AddCookie(c)
		}
		return r
	}
	visit := func() error {
		rec := httptest.NewRecorder()
		csrf.Token(rec, request("GET", ""), names)
		token := csrf.Token(rec, request("GET", ""), names) // a page has several forms
		jar.SetCookies(page, rec.Result().Cookies())
		r := request("POST", url.Values{CSRFField: {token}}.Encode())
		r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
		r.Header.Set("Sec-Fetch-Site", "same-origin")
		return csrf.Check(r, names)
	}
	if err := visit(); err != nil {
		t.Fatal(err)
	}
	for _, path := range []string{"/.mfa", "/.mfa/", "/.mfa/verify", "/.mfa/verify/totp"} {
		sibling := &url.URL{Scheme: "https", Host: "evil.example.com", Path: "/"}
		jar.SetCookies(sibling, []*http.Cookie{{Name: names.Name(CSRFCookie), Value: "planted", Domain: "example.com", Path: path, Secure: true}})
		if len(jar.Cookies(page)) < 2 {
			t.Fatalf("%s: nothing was planted", path)
		}
		if err := visit(); err != nil {
			t.Errorf("planted at %s: %v", path, err)
		}
	}
}
