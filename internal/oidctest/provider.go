package oidctest

import (
	"crypto/rand"
	"crypto/x509"
	"encoding/json"
	"encoding/pem"
	"maps"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"testing"
	"time"
)

// Password is the password of everybody.
const Password = "correct horse battery"

// Config says what the provider is like. The zero value is one over http on this machine.
type Config struct {
	TLS          bool
	ClientID     string           // "secondgate"
	ClientSecret string           // "a secret between the two"; "-": none, a public client
	Redirects    []string         // addresses to come back to, beside which there are none; nil: any
	BackChannel  string           // where sign-outs are told of; see SetBackChannel
	Now          func() time.Time // time.Now
	Users        []User           // nil: alice and bob
}

// User is a person.
type User struct {
	Name, Password, Subject string
	Claims                  map[string]any // for ID tokens and UserInfo
	AMR                     []string
	ACR                     string
	Disabled                bool
}

// Lies are where the provider departs from the standard. Each may be nil. They are called
// in the middle of an answer: they must not call the provider's methods.
type Lies struct {
	Description func(map[string]any)
	Header      func(map[string]any)                          // of ID tokens
	IDToken     func(map[string]any)                          // its claims
	Token       func(idToken string) string                   // the finished ID token
	Answer      func(url.Values)                              // of the sign-in page
	Tokens      func(map[string]any)                          // of the token endpoint
	UserInfo    func(map[string]any)                          //
	Keys        func([]any) []any                             // of the key set
	Serve       func(http.ResponseWriter, *http.Request) bool // whether it has answered instead
}

// Request is one that the provider had.
type Request struct {
	Path string
	Form url.Values
	User string // of Basic authentication
	Pass string
}

// Provider is a provider that is running. Its methods are safe for concurrent use.
type Provider struct {
	URL                    string // its issuer
	ClientID, ClientSecret string

	server *httptest.Server
	cfg    Config

	mu       sync.Mutex
	lies     Lies
	keys     []Key
	users    map[string]*User
	sessions map[string]*session // by cookie
	codes    map[string]*grant
	refresh  map[string]*grant
	access   map[string]*grant
	requests []Request
}

// session is a person's session at the provider.
type session struct {
	id   string
	user string
	at   time.Time
}

// grant is what a code or a token stands for.
type grant struct {
	session                    *session
	nonce, challenge, callback string
	scope                      string
}

// Start runs a provider until the test is over.
func Start(t testing.TB, c Config) *Provider {
	t.Helper()
	if c.ClientID == "" {
		c.ClientID = "secondgate"
	}
	switch c.ClientSecret {
	case "":
		c.ClientSecret = "a secret between the two"
	case "-":
		c.ClientSecret = ""
	}
	if c.Now == nil {
		c.Now = time.Now
	}
	if c.Users == nil {
		c.Users = people()
	}
	p := &Provider{
		ClientID: c.ClientID, ClientSecret: c.ClientSecret, cfg: c, keys: []Key{NewKey()},
		users: map[string]*User{}, sessions: map[string]*session{}, codes: map[string]*grant{}, refresh: map[string]*grant{}, access: map[string]*grant{},
	}
	for _, u := range c.Users {
		u.Claims = maps.Clone(u.Claims)
		p.users[u.Name] = &u
	}
	p.server = httptest.NewUnstartedServer(p)
	if c.TLS {
		p.server.StartTLS()
	} else {
		p.server.Start()
	}
	p.URL = p.server.URL
	t.Cleanup(p.server.Close)
	return p
}

func people() []User {
	person := func(name, display string, groups ...any) User {
		return User{Name: name, Password: Password, Subject: "sub-" + name, AMR: []string{"pwd"}, Claims: map[string]any{
			"preferred_username": name, "name": display, "email": name + "@example.com", "email_verified": true, "groups": groups,
		}}
	}
	return []User{person("alice", "Alice Adams", "staff", "ops"), person("bob", "Bob Brown", "staff")}
}

// Lie changes where the provider departs from the standard.
func (p *Provider) Lie(l Lies) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.lies = l
}

// Change changes a person.
func (p *Provider) Change(name string, f func(*User)) {
	p.mu.Lock()
	defer p.mu.Unlock()
	f(p.users[name])
}

// RotateKey makes a new key and forgets the others.
func (p *Provider) RotateKey() Key {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.keys = []Key{NewKey()}
	return p.keys[0]
}

// Key returns the key that signs.
func (p *Provider) Key() Key {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.keys[0]
}

// UseKey makes the provider sign with that key.
func (p *Provider) UseKey(k Key) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.keys = []Key{k}
}

// SetBackChannel says where sign-outs are told of: the gateway's port is known late.
func (p *Provider) SetBackChannel(url string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.cfg.BackChannel = url
}

// Requests returns the requests of a path, oldest first.
func (p *Provider) Requests(path string) []Request {
	p.mu.Lock()
	defer p.mu.Unlock()
	return slices.DeleteFunc(slices.Clone(p.requests), func(r Request) bool { return r.Path != path })
}

// Roots returns whose certificates hold for a client of the provider; nil without TLS.
func (p *Provider) Roots() *x509.CertPool {
	if !p.cfg.TLS {
		return nil
	}
	pool := x509.NewCertPool()
	pool.AddCert(p.server.Certificate())
	return pool
}

// CertFile writes the provider's certificate to a file and returns its path; "" without TLS.
func (p *Provider) CertFile(t testing.TB) string {
	t.Helper()
	if !p.cfg.TLS {
		return ""
	}
	file := filepath.Join(t.TempDir(), "provider.pem")
	raw := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: p.server.Certificate().Raw})
	if err := os.WriteFile(file, raw, 0o600); err != nil {
		t.Fatal(err)
	}
	return file
}

// ServeHTTP answers as the provider does.
func (p *Provider) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if err := r.ParseForm(); err != nil {
		http.Error(w, "bad form", http.StatusBadRequest)
		return
	}
	user, pass, _ := r.BasicAuth()
	p.mu.Lock()
	p.requests = append(p.requests, Request{Path: r.URL.Path, Form: maps.Clone(r.Form), User: user, Pass: pass})
	lies := p.lies
	p.mu.Unlock()
	if lies.Serve != nil && lies.Serve(w, r) {
		return
	}
	w.Header().Set("Cache-Control", "no-store")
	switch r.URL.Path {
	case "/.well-known/openid-configuration":
		p.serveDescription(w, lies)
	case "/jwks":
		p.serveKeys(w, lies)
	case "/authorize":
		p.serveAuthorize(w, r, lies)
	case "/token":
		p.serveToken(w, r, lies)
	case "/userinfo":
		p.serveUserInfo(w, r, lies)
	case "/end-session":
		p.serveEndSession(w, r)
	default:
		http.NotFound(w, r)
	}
}

func (p *Provider) serveDescription(w http.ResponseWriter, lies Lies) {
	d := map[string]any{
		"issuer": p.URL, "authorization_endpoint": p.URL + "/authorize", "token_endpoint": p.URL + "/token", "userinfo_endpoint": p.URL + "/userinfo",
		"jwks_uri": p.URL + "/jwks", "end_session_endpoint": p.URL + "/end-session",
		"response_types_supported": []string{"code"}, "subject_types_supported": []string{"public"},
		"id_token_signing_alg_values_supported": []string{"ES256", "RS256"}, "code_challenge_methods_supported": []string{"S256"},
		"token_endpoint_auth_methods_supported":          []string{"client_secret_basic", "client_secret_post", "none"},
		"authorization_response_iss_parameter_supported": true,
		"backchannel_logout_supported":                   true, "backchannel_logout_session_supported": true,
	}
	if lies.Description != nil {
		lies.Description(d)
	}
	answer(w, http.StatusOK, d)
}

func (p *Provider) serveKeys(w http.ResponseWriter, lies Lies) {
	p.mu.Lock()
	var list []any
	for _, k := range p.keys {
		list = append(list, k.public())
	}
	p.mu.Unlock()
	if lies.Keys != nil {
		list = lies.Keys(list)
	}
	answer(w, http.StatusOK, map[string]any{"keys": list})
}

func answer(w http.ResponseWriter, status int, v any) {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	_ = json.NewEncoder(w).Encode(v) // a client that went away
}

func unique() string { return rand.Text() }
