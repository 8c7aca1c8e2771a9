package guard

import (
	"bytes"
	"context"
	"errors"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/secondgate/secondgate/mfa"
	"github.com/secondgate/secondgate/mfa/mfatest"
	"github.com/secondgate/secondgate/session"
)

// fakeStore is as much of a store as sessions need.
type fakeStore struct {
	mfa.Users
	mfa.Sessions

	mu        sync.Mutex
	users     map[mfa.UserID]*mfa.User
	sessions  map[mfa.SessionID]*mfa.Session
	listeners []func(mfa.UserID)
	alone     atomic.Bool // it does not hear of what other nodes change
	down      bool
}

func (f *fakeStore) OnChange(listen func(mfa.UserID)) { f.listeners = append(f.listeners, listen) }

func (f *fakeStore) InStep() bool { return !f.alone.Load() }

func (f *fakeStore) User(_ context.Context, id mfa.UserID) (*mfa.User, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if u, ok := f.users[id]; ok {
		clone := *u
		return &clone, nil
	}
	return nil, mfa.ErrNotFound
}

func (f *fakeStore) Session(_ context.Context, id mfa.SessionID) (*mfa.Session, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.down {
		return nil, errors.New("store down")
	}
	if s, ok := f.sessions[id]; ok {
		clone := *s
		return &clone, nil
	}
	return nil, mfa.ErrNotFound
}

func (f *fakeStore) Touch(context.Context, map[mfa.SessionID]time.Time) error { return nil }

// change alters records as a committed write does.
func (f *fakeStore) change(user mfa.UserID, alter func()) {
	f.mu.Lock()
	alter()
	f.mu.Unlock()
	for _, listen := range f.listeners {
		listen(user)
	}
}

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

func (r *recorder) take() []mfa.Event {
	r.mu.Lock()
	defer r.mu.Unlock()
	list := r.events
	r.events = nil
	return list
}

// world is a guard, and alice, who has verified with a passkey, and carol, who
// has verified with an authenticator app.
type world struct {
	t        testing.TB
	store    *fakeStore
	clock    *mfatest.Clock
	events   *recorder
	sessions *session.Manager
	policy   *mfa.Policy
	*Guard
}

const appHost = "app.a.test"

func newWorld(t testing.TB, alter func(*Config)) *world {
	t.Helper()
	policy := mfa.DefaultPolicy()
	w := &world{
		t: t, clock: mfatest.NewClock(), events: &recorder{}, policy: &policy,
		store: &fakeStore{users: map[mfa.UserID]*mfa.User{}, sessions: map[mfa.SessionID]*mfa.Session{}},
	}
	now := w.clock.Now()
	codes := mfa.Credential{ID: mfa.BackupCodesID, Kind: mfa.BackupCode, Left: 10}
	w.store.users["u-alice"] = &mfa.User{
		ID: "u-alice", Name: "alice", DisplayName: "Alice Ä.", Email: "alice@a.test", EmailVerified: true, Groups: []string{"users", "admins"},
		Credentials: []mfa.Credential{{ID: "pk", Kind: mfa.Passkey, RPID: appHost}, codes}, EverEnrolled: true,
	}
	w.store.users["u-carol"] = &mfa.User{
		ID: "u-carol", Name: "carol", Email: "carol@a.test",
		Credentials: []mfa.Credential{{ID: "otp", Kind: mfa.TOTP}, codes}, EverEnrolled: true,
	}
	w.store.users["u-dora"] = &mfa.User{ID: "u-dora", Name: "dora"}
	add := func(id mfa.SessionID, user mfa.UserID, complete bool, proofs ...mfa.Proof) {
		w.store.sessions[id] = &mfa.Session{
			ID: id, User: user, Scope: appHost, Complete: complete, Created: now, LastSeen: now, Expires: now.Add(11 * time.Hour), Proofs: proofs,
		}
	}
	add("s-alice", "u-alice", true, mfa.Proof{Kind: mfa.Passkey, Credential: "pk", At: now, UserVerified: true, PhishingResistant: true})
	add("s-carol", "u-carol", true, mfa.Proof{Kind: mfa.TOTP, Credential: "otp", At: now})
	add("s-dora", "u-dora", true)
	add("h-alice", "u-alice", false)

	var err error
	w.sessions, err = session.New(session.Config{
		Store: w.store, Keys: []session.Key{{ID: "k1", Secret: bytes.Repeat([]byte{7}, 32)}}, Issuer: "gateway-1", Now: w.clock.Now,
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = w.sessions.Close(context.Background()) })
	cfg := Config{Sessions: w.sessions, Policy: func() *mfa.Policy { return w.policy }, Events: w.events, Now: w.clock.Now}
	if alter != nil {
		alter(&cfg)
	}
	if w.Guard, err = New(cfg); err != nil {
		t.Fatal(err)
	}
	return w
}

func newGuard(t testing.TB, alter func(*Config)) *Guard {
	t.Helper()
	return newWorld(t, alter).Guard
}

// cookie returns the Cookie line of that session.
func (w *world) cookie(id mfa.SessionID) string {
	w.t.Helper()
	s := w.store.sessions[id]
	token, err := w.sessions.Issue(s)
	if err != nil {
		w.t.Fatal(err)
	}
	if s.Complete {
		return "__Host-mfa=" + token
	}
	return "__Host-mfa-half=" + token
}
