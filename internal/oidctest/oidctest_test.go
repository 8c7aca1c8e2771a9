package oidctest_test

import (
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"net/http"
	"net/url"
	"strings"
	"testing"

	"github.com/secondgate/secondgate/internal/oidctest"
)

const back = "https://app.example.com/callback"

// location is the address of a sign-in page; with changes it.
func location(p *oidctest.Provider, with url.Values) string {
	sum := sha256.Sum256([]byte("the verifier"))
	q := url.Values{
		"client_id": {p.ClientID}, "redirect_uri": {back}, "response_type": {"code"}, "scope": {"openid offline_access"}, "state": {"s"}, "nonce": {"n"},
		"code_challenge": {base64.RawURLEncoding.EncodeToString(sum[:])}, "code_challenge_method": {"S256"},
	}
	for name, values := range with {
		q[name] = values
	}
	return p.URL + "/authorize?" + q.Encode()
}

func exchange(t *testing.T, p *oidctest.Provider, secret string, form url.Values) (int, map[string]any) {
	t.Helper()
	r, err := http.NewRequestWithContext(t.Context(), http.MethodPost, p.URL+"/token", strings.NewReader(form.Encode()))
	if err != nil {
		t.Fatal(err)
	}
	r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	r.SetBasicAuth(p.ClientID, url.QueryEscape(secret))
	resp, err := http.DefaultClient.Do(r)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	var out map[string]any
	if err := json.NewDecoder(resp.Body).Decode(&out); err != nil {
		t.Fatal(err)
	}
	return resp.StatusCode, out
}

// A provider that took anything would hide what a client does wrong.
func TestProvider_IsStrict(t *testing.T) {
	p := oidctest.Start(t, oidctest.Config{Redirects: []string{back}})
	code := func() string { return p.SignIn(t, location(p, nil), "alice").Get("code") }
	form := func(with ...string) url.Values {
		f := url.Values{"grant_type": {"authorization_code"}, "code": {code()}, "redirect_uri": {back}, "code_verifier": {"the verifier"}}
		for i := 0; i < len(with); i += 2 {
			f.Set(with[i], with[i+1])
		}
		return f
	}
	good := form()
	status, tokens := exchange(t, p, p.ClientSecret, good)
	if status != http.StatusOK || tokens["id_token"] == nil || tokens["refresh_token"] == nil {
		t.Fatalf("%d %v", status, tokens)
	}
	refresh := url.Values{"grant_type": {"refresh_token"}, "refresh_token": {tokens["refresh_token"].(string)}}
	if status, _ := exchange(t, p, p.ClientSecret, refresh); status != http.StatusOK {
		t.Errorf("a refresh: %d", status)
	}
	for name, tt := range map[string]struct {
		secret string
		form   url.Values
		want   int
	}{
		"a code twice":             {p.ClientSecret, good, 400},
		"a refresh token twice":    {p.ClientSecret, refresh, 400},
		"another verifier":         {p.ClientSecret, form("code_verifier", "another"), 400},
		"no verifier":              {p.ClientSecret, form("code_verifier", ""), 400},
		"another redirect address": {p.ClientSecret, form("redirect_uri", "https://evil.example"), 400},
		"another secret":           {"another", form(), 401},
		"another grant":            {p.ClientSecret, url.Values{"grant_type": {"password"}}, 400},
	} {
		if status, out := exchange(t, p, tt.secret, tt.form); status != tt.want {
			t.Errorf("%s: %d %v", name, status, out)
		}
	}
	for name, with := range map[string]url.Values{
		"no challenge": {"code_challenge": nil}, "a plain one": {"code_challenge_method": {"plain"}}, "another response": {"response_type": {"token"}}, "no openid": {"scope": {"email"}},
	} {
		if got := p.SignIn(t, location(p, with), "alice"); got.Get("error") != "invalid_request" || got.Has("code") {
			t.Errorf("%s: %v", name, got)
		}
	}
	for name, with := range map[string]url.Values{
		"another client": {"client_id": {"another"}}, "a redirect address that it does not know": {"redirect_uri": {back + "/x"}}, "one with more": {"redirect_uri": {back + "?x=1"}},
	} {
		resp, err := p.Browser(t).Get(location(p, with))
		if err != nil || resp.StatusCode != http.StatusBadRequest {
			t.Errorf("%s: %v, error %v", name, resp, err)
		}
		resp.Body.Close()
	}
	resp, err := p.Browser(t).PostForm(location(p, nil), url.Values{"username": {"alice"}, "password": {"wrong"}, "do": {"sign-in"}})
	if err != nil || resp.StatusCode != http.StatusForbidden {
		t.Errorf("a wrong password: %v, error %v", resp, err)
	}
	resp.Body.Close()
}

func TestProvider_SignsOut(t *testing.T) {
	p := oidctest.Start(t, oidctest.Config{TLS: true})
	browser := p.Browser(t)
	fields := url.Values{"username": {"bob"}, "password": {oidctest.Password}, "do": {"sign-in"}}
	p.SignInWith(t, browser, location(p, nil), fields)
	if got := p.SignInWith(t, browser, location(p, nil), nil); !got.Has("code") || len(p.Sessions("bob")) != 1 {
		t.Errorf("the session there does not sign in: %v", got)
	}
	resp, err := browser.Get(p.URL + "/end-session?client_id=secondgate&post_logout_redirect_uri=" + url.QueryEscape(back))
	if err != nil || resp.Header.Get("Location") != back || len(p.Sessions("bob")) != 0 {
		t.Errorf("%v, error %v, sessions %v", resp, err, p.Sessions("bob"))
	}
	resp.Body.Close()
	if resp, err = browser.Get(location(p, nil)); err != nil || resp.StatusCode != http.StatusOK {
		t.Errorf("signed in without a session: %v, error %v", resp, err)
	}
	resp.Body.Close()
}
