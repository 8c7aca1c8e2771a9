package forwardauth

import (
	"bytes"
	"context"
	"errors"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/secondgate/secondgate/guard"
	"github.com/secondgate/secondgate/mfa"
	"github.com/secondgate/secondgate/mfa/mfatest"
	"github.com/secondgate/secondgate/session"
)

// fakeStore is as much of a store as sessions need.
type fakeStore struct {
	mfa.Users
	mfa.Sessions

	mu       sync.Mutex
	users    map[mfa.UserID]*mfa.User
	sessions map[mfa.SessionID]*mfa.Session
	fault    func(context.Context) error // what a look-up meets; nil: nothing
	changed  func(mfa.UserID)
}

func (f *fakeStore) OnChange(listen func(mfa.UserID)) { f.changed = listen }

func (f *fakeStore) InStep() bool { return true }

func (f *fakeStore) User(_ context.Context, id mfa.UserID) (*mfa.User, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if u, ok := f.users[id]; ok {
		clone := *u
		return &clone, nil
	}
	return nil, mfa.ErrNotFound
}

func (f *fakeStore) Session(ctx context.Context, id mfa.SessionID) (*mfa.Session, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.fault != nil {
		if err := f.fault(ctx); err != nil {
			return nil, err
		}
	}
	if s, ok := f.sessions[id]; ok {
		clone := *s
		return &clone, nil
	}
	return nil, mfa.ErrNotFound
}

func (f *fakeStore) Touch(context.Context, map[mfa.SessionID]time.Time) error { return nil }

var errDown = errors.New("store down")

// recorder keeps events.
type recorder struct {
	mu     sync.Mutex
	events []mfa.Event
}

func (r *recorder) Record(_ context.Context, e mfa.Event) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.events = append(r.events, e)
}

// of returns the forward-auth events, and forgets all.
func (r *recorder) of() []mfa.Event {
	r.mu.Lock()
	defer r.mu.Unlock()
	var list []mfa.Event
	for _, e := range r.events {
		if e.Name == mfa.EventForwardAuth {
			list = append(list, e)
		}
	}
	r.events = nil
	return list
}

// rules are a site that goes by the beginning of a path, as caddymodule's goes by
// matchers.
type rules struct {
	public, strict string // "" : none
	need           mfa.Requirement
	fault          error
}

func (s rules) Routes(_ *http.Request, req *guard.Request) ([]mfa.Route, error) {
	switch {
	case s.fault != nil:
		return nil, s.fault
	case s.strict != "" && (req.Ambiguous || strings.HasPrefix(req.Path, s.strict)):
		return []mfa.Route{{}, {Need: mfa.Requirement{PhishingResistant: true}}}, nil
	case s.public != "" && strings.HasPrefix(req.Path, s.public) && !req.Ambiguous && !req.Cut:
		return nil, nil
	}
	return []mfa.Route{{Need: s.need}}, nil
}

// world is a gateway whose portal is auth.a.test; alice has verified with a passkey, carol
// with an authenticator app, and dora is disabled.
type world struct {
	t        testing.TB
	store    *fakeStore
	clock    *mfatest.Clock
	events   *recorder
	log      *bytes.Buffer
	sessions *session.Manager
	policy   *mfa.Policy
	*Auth
}

func newWorld(t testing.TB) *world {
	t.Helper()
	policy := mfa.DefaultPolicy()
	w := &world{
		t: t, clock: mfatest.NewClock(), events: new(recorder), log: new(bytes.Buffer), policy: &policy,
		store: &fakeStore{users: map[mfa.UserID]*mfa.User{}, sessions: map[mfa.SessionID]*mfa.Session{}},
	}
	now := w.clock.Now()
	codes := mfa.Credential{ID: mfa.BackupCodesID, Kind: mfa.BackupCode, Left: 10}
	add := func(name, email string, groups []string, c mfa.Credential, p mfa.Proof, scope string) {
		id := mfa.UserID("u-" + name)
		w.store.users[id] = &mfa.User{
			ID: id, Name: name, Email: email, EmailVerified: email != "", Groups: groups, Credentials: []mfa.Credential{c, codes}, EverEnrolled: true,
		}
		p.Credential, p.At = c.ID, now
		s := &mfa.Session{
			ID: mfa.SessionID("s-" + name), User: id, Scope: scope, Complete: true, Created: now, LastSeen: now, Expires: now.Add(11 * time.Hour), Proofs: []mfa.Proof{p},
		}
		w.store.sessions[s.ID] = s
	}
	add("alice", "alice@a.test", []string{"users", "admins"}, mfa.Credential{ID: "pk", Kind: mfa.Passkey, RPID: "a.test"}, mfa.Proof{Kind: mfa.Passkey, UserVerified: true, PhishingResistant: true}, "a.test")
	add("carol", "", nil, mfa.Credential{ID: "otp", Kind: mfa.TOTP}, mfa.Proof{Kind: mfa.TOTP}, "a.test")
	add("dora", "", nil, mfa.Credential{ID: "otp", Kind: mfa.TOTP}, mfa.Proof{Kind: mfa.TOTP}, "a.test")
	w.store.users["u-dora"].Disabled = true

	var err error
	w.sessions, err = session.New(session.Config{
		Store: w.store, Keys: []session.Key{{ID: "k1", Secret: bytes.Repeat([]byte{7}, 32)}}, Issuer: "gateway-1", Now: w.clock.Now,
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = w.sessions.Close(context.Background()) })
	g, err := guard.New(guard.Config{
		Sessions: w.sessions, Policy: func() *mfa.Policy { return w.policy }, Events: w.events, Now: w.clock.Now,
		Domain: "a.test", Portal: "https://auth.a.test",
	})
	if err != nil {
		t.Fatal(err)
	}
	var hosts Hosts[Site]
	for name, site := range map[string]Site{
		"app.a.test":    rules{public: "/public/", strict: "/strict/"},
		"app.b.test":    rules{},
		"*.a.test":      rules{public: "/"},
		"*.b.a.test":    rules{strict: "/"},
		"broken.a.test": rules{fault: errors.New("a matcher that cannot be asked")},
	} {
		if err := hosts.Add(name, site); err != nil {
			t.Fatal(err)
		}
	}
	peers, err := ParsePeers([]string{"10.0.0.5"})
	if err != nil {
		t.Fatal(err)
	}
	w.Auth, err = New(Config{
		Guard: g, Events: w.events, Peers: peers, Find: hosts.Find, Portal: "https://auth.a.test",
		Logger: slog.New(slog.NewTextHandler(w.log, nil)), Now: w.clock.Now,
	})
	if err != nil {
		t.Fatal(err)
	}
	return w
}

// cookie returns the Cookie line of somebody's session.
func (w *world) cookie(name string) string {
	w.t.Helper()
	token, err := w.sessions.Issue(w.store.sessions[mfa.SessionID("s-"+name)])
	if err != nil {
		w.t.Fatal(err)
	}
	return "__Secure-mfa=" + token
}

// asked is a request that a proxy holds.
type asked struct {
	method, scheme, host, uri string
	header                    []string // of the client
}

func (a asked) withDefaults() asked {
	for _, f := range []struct {
		to      *string
		initial string
	}{{&a.method, "GET"}, {&a.scheme, "https"}, {&a.host, "app.a.test"}, {&a.uri, "/"}} {
		if *f.to == "" {
			*f.to = f.initial
		}
	}
	return a
}

var dialects = []Dialect{Nginx, Traefik, Caddy, HAProxy, Envoy}

// question is how a proxy of that dialect asks about it.
func question(d Dialect, a asked) *http.Request {
	a = a.withDefaults()
	method, host, target := "GET", "auth.a.test", Prefix+d.String()
	if d == Envoy {
		method, host, target = a.method, a.host, target+a.uri
	}
	q := httptest.NewRequest("GET", "http://auth.a.test/", nil)
	q.Method, q.Host, q.RequestURI, q.RemoteAddr = method, host, target, "10.0.0.5:40000"
	for i := 0; i+1 < len(a.header); i += 2 {
		q.Header.Add(a.header[i], a.header[i+1])
	}
	set := func(name, value string) { q.Header[name] = append(q.Header[name], value) }
	set(forwardedFor, "203.0.113.9")
	switch d {
	case Nginx:
		set(originalURL, a.scheme+"://"+a.host+a.uri)
		set(originalMethod, a.method)
	case Envoy:
		set(forwardedProto, a.scheme)
	default:
		set(forwardedMethod, a.method)
		set(forwardedProto, a.scheme)
		set(forwardedHost, a.host)
		set(forwardedURI, a.uri)
	}
	return q
}

// serve answers the question.
func (w *world) serve(d Dialect, q *http.Request) *http.Response {
	w.t.Helper()
	rec := httptest.NewRecorder()
	w.Serve(rec, q, d)
	return rec.Result()
}

// person is what a browser says of a page load.
var person = []string{"Sec-Fetch-Mode", "navigate", "Sec-Fetch-Dest", "document", "Accept", "text/html"}

var identity = []string{"Remote-User", "Remote-Name", "Remote-Email", "Remote-Groups", "Mfa-Assertion"}

// refused checks what every refusal has in common.
func refused(t *testing.T, d Dialect, resp *http.Response) {
	t.Helper()
	if resp.StatusCode < 300 || d == Nginx && resp.StatusCode != 401 && resp.StatusCode != 403 {
		t.Errorf("%s: status %d", d, resp.StatusCode)
	}
	if resp.Header.Get("Cache-Control") != "no-store" {
		t.Errorf("AC-069 %s: Cache-Control %q", d, resp.Header.Get("Cache-Control"))
	}
	for _, name := range identity {
		if _, ok := resp.Header[name]; ok {
			t.Errorf("%s: %s in a refusal", d, name)
		}
	}
}
