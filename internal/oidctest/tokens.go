package oidctest

import (
	"crypto/sha256"
	"crypto/subtle"
	"maps"
	"net/http"
	"net/url"
	"strings"
	"time"
)

func (p *Provider) serveToken(w http.ResponseWriter, r *http.Request, lies Lies) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if !p.knows(r) {
		answer(w, http.StatusUnauthorized, map[string]any{"error": "invalid_client", "error_description": "<b>no such client</b>"})
		return
	}
	var g *grant
	refused := func() {
		answer(w, http.StatusBadRequest, map[string]any{"error": "invalid_grant", "error_description": "<b>no such grant</b>"})
	}
	switch r.PostForm.Get("grant_type") {
	case "authorization_code":
		code := r.PostForm.Get("code")
		g = p.codes[code]
		delete(p.codes, code)
		sum := sha256.Sum256([]byte(r.PostForm.Get("code_verifier")))
		if g == nil || encode(sum[:]) != g.challenge || r.PostForm.Get("redirect_uri") != g.callback {
			refused()
			return
		}
	case "refresh_token":
		token := r.PostForm.Get("refresh_token")
		old := p.refresh[token]
		delete(p.refresh, token) // each is taken once
		if old == nil {
			refused()
			return
		}
		again := *old
		again.nonce = ""
		g = &again
	default:
		answer(w, http.StatusBadRequest, map[string]any{"error": "unsupported_grant_type"})
		return
	}
	if u := p.users[g.session.user]; u.Disabled || !p.lives(g.session) {
		refused()
		return
	}
	access := unique()
	p.access[access] = g
	out := map[string]any{"access_token": access, "token_type": "Bearer", "expires_in": 300, "id_token": p.idToken(g, access, lies)}
	if strings.Contains(" "+g.scope+" ", " offline_access ") {
		token := unique()
		p.refresh[token] = g
		out["refresh_token"] = token
	}
	if lies.Tokens != nil {
		lies.Tokens(out)
	}
	answer(w, http.StatusOK, out)
}

// knows reports whether the client is ours; the caller holds the lock.
func (p *Provider) knows(r *http.Request) bool {
	id, secret, ok := r.BasicAuth()
	if !ok {
		id, secret = r.PostForm.Get("client_id"), r.PostForm.Get("client_secret")
	} else {
		// RFC 6749, section 2.3.1: both are written as in a form.
		secret, _ = url.QueryUnescape(secret)
	}
	return id == p.ClientID && subtle.ConstantTimeCompare([]byte(secret), []byte(p.ClientSecret)) == 1
}

// lives reports whether a session goes on; the caller holds the lock.
func (p *Provider) lives(s *session) bool {
	for _, each := range p.sessions {
		if each == s {
			return true
		}
	}
	return false
}

// idToken makes one; the caller holds the lock.
func (p *Provider) idToken(g *grant, access string, lies Lies) string {
	u, now := p.users[g.session.user], p.cfg.Now()
	sum := sha256.Sum256([]byte(access))
	all := maps.Clone(u.Claims)
	if all == nil {
		all = map[string]any{}
	}
	maps.Copy(all, map[string]any{
		"iss": p.URL, "sub": u.Subject, "aud": p.ClientID, "iat": now.Unix(), "exp": now.Add(5 * time.Minute).Unix(), "auth_time": g.session.at.Unix(),
		"sid": g.session.id, "at_hash": encode(sum[:16]), "amr": u.AMR,
	})
	if u.ACR != "" {
		all["acr"] = u.ACR
	}
	if g.nonce != "" {
		all["nonce"] = g.nonce
	}
	header := map[string]any{}
	if lies.Header != nil {
		lies.Header(header)
	}
	if lies.IDToken != nil {
		lies.IDToken(all)
	}
	token := p.keys[0].Sign(header, all)
	if lies.Token != nil {
		token = lies.Token(token)
	}
	return token
}

func (p *Provider) serveUserInfo(w http.ResponseWriter, r *http.Request, lies Lies) {
	p.mu.Lock()
	defer p.mu.Unlock()
	token, _ := strings.CutPrefix(r.Header.Get("Authorization"), "Bearer ")
	g := p.access[token]
	if g == nil || p.users[g.session.user].Disabled {
		http.Error(w, "no such token", http.StatusUnauthorized)
		return
	}
	u := p.users[g.session.user]
	all := maps.Clone(u.Claims)
	if all == nil {
		all = map[string]any{}
	}
	all["sub"] = u.Subject
	if lies.UserInfo != nil {
		lies.UserInfo(all)
	}
	answer(w, http.StatusOK, all)
}
