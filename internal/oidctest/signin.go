package oidctest

import (
	"html/template"
	"net/http"
	"net/http/cookiejar"
	"net/url"
	"slices"
	"strings"
	"testing"
)

// cookie holds the session at the provider.
const cookie = "provider_session"

// form is the sign-in page. Its query goes with it to where the form is sent.
var form = template.Must(template.New("").Parse(`<!doctype html>
<html lang="en"><title>Provider</title>
<h1>Sign in to the provider</h1>
{{with .}}<p role="alert">{{.}}</p>{{end}}
<form method="post">
<label>User name <input name="username" autocomplete="username"></label>
<label>Password <input name="password" type="password" autocomplete="current-password"></label>
<button name="do" value="sign-in">Sign in at the provider</button>
<button name="do" value="deny">Deny</button>
</form>`))

func (p *Provider) serveAuthorize(w http.ResponseWriter, r *http.Request, lies Lies) {
	q := r.URL.Query()
	p.mu.Lock()
	defer p.mu.Unlock()
	back, err := url.Parse(q.Get("redirect_uri"))
	switch {
	case q.Get("client_id") != p.ClientID:
		http.Error(w, "no such client", http.StatusBadRequest)
		return
	case err != nil || back.Host == "" || p.cfg.Redirects != nil && !slices.Contains(p.cfg.Redirects, back.String()):
		http.Error(w, "no such redirect address", http.StatusBadRequest)
		return
	}
	out := url.Values{"state": {q.Get("state")}, "iss": {p.URL}}
	send := func() {
		if lies.Answer != nil {
			lies.Answer(out)
		}
		to := *back
		both := to.Query()
		for name, values := range out {
			both[name] = values
		}
		to.RawQuery = both.Encode()
		http.Redirect(w, r, to.String(), http.StatusSeeOther)
	}
	if q.Get("response_type") != "code" || q.Get("code_challenge_method") != "S256" || q.Get("code_challenge") == "" || !strings.Contains(q.Get("scope"), "openid") {
		out.Set("error", "invalid_request")
		send()
		return
	}
	s := p.here(r)
	if s != nil && (q.Get("prompt") == "login" || q.Get("max_age") == "0") {
		s = nil
	}
	if r.Method == http.MethodPost {
		if r.PostForm.Get("do") == "deny" {
			out.Set("error", "access_denied")
			out.Set("error_description", "<script>the person said no</script>")
			send()
			return
		}
		u := p.users[r.PostForm.Get("username")]
		if u == nil || u.Password != r.PostForm.Get("password") || u.Disabled {
			w.WriteHeader(http.StatusForbidden)
			_ = form.Execute(w, "Wrong user name or password.")
			return
		}
		s = &session{id: unique(), user: u.Name, at: p.cfg.Now()}
		value := unique()
		p.sessions[value] = s
		http.SetCookie(w, &http.Cookie{Name: cookie, Value: value, Path: "/", HttpOnly: true, SameSite: http.SameSiteLaxMode, Secure: p.cfg.TLS})
	}
	if s == nil {
		w.Header().Set("Content-Type", "text/html; charset=utf-8")
		_ = form.Execute(w, nil)
		return
	}
	code := unique()
	p.codes[code] = &grant{session: s, nonce: q.Get("nonce"), challenge: q.Get("code_challenge"), callback: q.Get("redirect_uri"), scope: q.Get("scope")}
	out.Set("code", code)
	send()
}

// here returns the session of a browser; the caller holds the lock.
func (p *Provider) here(r *http.Request) *session {
	c, err := r.Cookie(cookie)
	if err != nil {
		return nil
	}
	s := p.sessions[c.Value]
	if s == nil || p.users[s.user].Disabled {
		return nil
	}
	return s
}

// Browser returns a browser that keeps its session at the provider and follows nobody.
func (p *Provider) Browser(t testing.TB) *http.Client {
	t.Helper()
	jar, err := cookiejar.New(nil)
	if err != nil {
		t.Fatal(err)
	}
	return &http.Client{
		Jar: jar, Transport: p.server.Client().Transport,
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}
}

// SignIn is a new browser that signs in by password at the address of a sign-in page. It
// returns what the browser brings back.
func (p *Provider) SignIn(t testing.TB, location, name string) url.Values {
	t.Helper()
	return p.SignInWith(t, p.Browser(t), location, url.Values{"username": {name}, "password": {Password}, "do": {"sign-in"}})
}

// SignInWith is a browser that sends a form to the address of a sign-in page; nil is one
// that only opens it. It returns what the browser brings back.
func (p *Provider) SignInWith(t testing.TB, browser *http.Client, location string, fields url.Values) url.Values {
	t.Helper()
	var resp *http.Response
	var err error
	if fields == nil {
		resp, err = browser.Get(location)
	} else {
		resp, err = browser.PostForm(location, fields)
	}
	if err != nil {
		t.Fatal(err)
	}
	resp.Body.Close()
	to, err := resp.Location()
	if err != nil {
		t.Fatalf("the provider did not send the browser back: %s", resp.Status)
	}
	return to.Query()
}
