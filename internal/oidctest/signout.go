package oidctest

import (
	"crypto/tls"
	"fmt"
	"maps"
	"net/http"
	"net/url"
	"testing"
	"time"
)

// serveEndSession ends the browser's session (OpenID Connect RP-Initiated Logout 1.0) and
// sends it on.
func (p *Provider) serveEndSession(w http.ResponseWriter, r *http.Request) {
	p.mu.Lock()
	if c, err := r.Cookie(cookie); err == nil {
		delete(p.sessions, c.Value)
	}
	p.mu.Unlock()
	http.SetCookie(w, &http.Cookie{Name: cookie, Path: "/", MaxAge: -1})
	back := r.Form.Get("post_logout_redirect_uri")
	if back == "" || r.Form.Get("id_token_hint") == "" && r.Form.Get("client_id") != p.ClientID {
		fmt.Fprint(w, "signed out of the provider")
		return
	}
	http.Redirect(w, r, back, http.StatusSeeOther)
}

// LogoutToken returns a logout token (OpenID Connect Back-Channel Logout 1.0) about a
// person. Change changes its header and claims; nil changes nothing.
func (p *Provider) LogoutToken(name string, change func(header, claims map[string]any)) string {
	p.mu.Lock()
	defer p.mu.Unlock()
	now := p.cfg.Now()
	header := map[string]any{"typ": "logout+jwt"}
	all := map[string]any{
		"iss": p.URL, "aud": p.ClientID, "iat": now.Unix(), "exp": now.Add(2 * time.Minute).Unix(), "jti": unique(), "sub": p.users[name].Subject,
		"events": map[string]any{"http://schemas.openid.net/event/backchannel-logout": map[string]any{}},
	}
	if change != nil {
		change(header, all)
	}
	return p.keys[0].Sign(header, all)
}

// Sessions returns the provider's names for a person's sessions.
func (p *Provider) Sessions(name string) []string {
	p.mu.Lock()
	defer p.mu.Unlock()
	var list []string
	for s := range maps.Values(p.sessions) {
		if s.user == name {
			list = append(list, s.id)
		}
	}
	return list
}

// SignOut ends all of a person's sessions at the provider and tells the gateway, if the
// provider knows where. It returns the status of the gateway's answer, or 0.
func (p *Provider) SignOut(t testing.TB, name string) int {
	t.Helper()
	p.mu.Lock()
	for value, s := range p.sessions {
		if s.user == name {
			delete(p.sessions, value)
		}
	}
	to := p.cfg.BackChannel
	p.mu.Unlock()
	if to == "" {
		return 0
	}
	return Tell(t, to, p.LogoutToken(name, nil))
}

// Tell sends a logout token, as a provider does, and returns the status of the answer.
func Tell(t testing.TB, to, token string) int {
	t.Helper()
	// The gateway under test has a certificate of nobody whom the machine knows.
	c := &http.Client{Timeout: 10 * time.Second, Transport: &http.Transport{TLSClientConfig: &tls.Config{InsecureSkipVerify: true}}}
	resp, err := c.PostForm(to, url.Values{"logout_token": {token}})
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	return resp.StatusCode
}
