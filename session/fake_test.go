package session

import (
	"bytes"
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"errors"
	"fmt"
	"maps"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/secondgate/secondgate/mfa"
	"github.com/secondgate/secondgate/mfa/mfatest"
)

var errDown = errors.New("store down")

// fakeStore keeps sessions and users in memory. What it does not say is not used
// by this package, and panics.
type fakeStore struct {
	mfa.Users
	mfa.Sessions

	mu        sync.Mutex
	users     map[mfa.UserID]*mfa.User
	sessions  map[mfa.SessionID]*mfa.Session
	touched   []map[mfa.SessionID]time.Time
	listeners []func(mfa.UserID)
	alone     atomic.Bool // it does not hear of what other nodes change
	reads     int
	writes    int
	down      bool
	hangs     bool // until the caller gives up
	// duringLoad runs after the session was read and before the answer is given.
	duringLoad func()
}

func newFakeStore() *fakeStore {
	return &fakeStore{users: map[mfa.UserID]*mfa.User{}, sessions: map[mfa.SessionID]*mfa.Session{}}
}

func (f *fakeStore) OnChange(listen func(mfa.UserID)) { f.listeners = append(f.listeners, listen) }

func (f *fakeStore) InStep() bool { return !f.alone.Load() }

func (f *fakeStore) User(_ context.Context, id mfa.UserID) (*mfa.User, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.down {
		return nil, errDown
	}
	u, ok := f.users[id]
	if !ok {
		return nil, mfa.ErrNotFound
	}
	clone := *u
	return &clone, nil
}

func (f *fakeStore) Session(ctx context.Context, id mfa.SessionID) (*mfa.Session, error) {
	f.mu.Lock()
	f.reads++
	s, ok := f.sessions[id]
	var clone mfa.Session
	if ok {
		clone = *s
	}
	down, hangs, hook := f.down, f.hangs, f.duringLoad
	f.mu.Unlock()
	if _, limited := ctx.Deadline(); !limited {
		return nil, errors.New("a store must not be asked without a time limit")
	}
	if hook != nil {
		hook()
	}
	switch {
	case down:
		return nil, errDown
	case hangs:
		<-ctx.Done()
		return nil, ctx.Err()
	case !ok:
		return nil, mfa.ErrNotFound
	}
	return &clone, nil
}

func (f *fakeStore) Touch(_ context.Context, seen map[mfa.SessionID]time.Time) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.down {
		return errDown
	}
	f.touched = append(f.touched, maps.Clone(seen))
	for id, at := range seen {
		if s, ok := f.sessions[id]; ok && at.After(s.LastSeen) {
			s.LastSeen = at
		}
	}
	return nil
}

func (f *fakeStore) lastTouch() map[mfa.SessionID]time.Time {
	f.mu.Lock()
	defer f.mu.Unlock()
	all := map[mfa.SessionID]time.Time{}
	for _, seen := range f.touched {
		maps.Copy(all, seen)
	}
	return all
}

// change alters records as a committed write does: the listeners are called
// before it returns.
func (f *fakeStore) change(user mfa.UserID, alter func()) {
	f.mu.Lock()
	alter()
	f.mu.Unlock()
	for _, listen := range f.listeners {
		listen(user)
	}
}

func (f *fakeStore) setDown(down bool) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.down = down
}

func (f *fakeStore) countReads() int {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.reads
}

const (
	scope  = "app.a.test"
	issuer = "gateway-1"
)

func key(id string) Key { return Key{ID: id, Secret: bytes.Repeat([]byte(id[:1]), keySize)} }

// world is a manager with alice in its store.
type world struct {
	t     testing.TB
	store *fakeStore
	clock *mfatest.Clock
	*Manager
}

func newWorld(t testing.TB, alter ...func(*Config)) *world {
	w := &world{t: t, store: newFakeStore(), clock: mfatest.NewClock()}
	w.store.users["alice"] = &mfa.User{ID: "alice", Name: "alice"}
	w.store.users["bob"] = &mfa.User{ID: "bob", Name: "bob"}
	cfg := Config{Store: w.store, Keys: []Key{key("k1")}, Issuer: issuer, Now: w.clock.Now}
	for _, f := range alter {
		f(&cfg)
	}
	m, err := New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	w.Manager = m
	t.Cleanup(func() { _ = m.Close(context.Background()) })
	return w
}

// session keeps a new complete session of the user.
func (w *world) session(user mfa.UserID, id mfa.SessionID) *mfa.Session {
	now := w.clock.Now()
	s := &mfa.Session{
		ID: id, User: user, Scope: scope, Complete: true,
		Created: now, LastSeen: now, Expires: now.Add(12 * time.Hour),
	}
	w.store.mu.Lock()
	defer w.store.mu.Unlock()
	w.store.sessions[id] = s
	return s
}

func (w *world) issue(s *mfa.Session) string {
	w.t.Helper()
	token, err := w.Issue(s)
	if err != nil {
		w.t.Fatal(err)
	}
	return token
}

func (w *world) admitted(token string) *View {
	w.t.Helper()
	v, err := w.Verify(context.Background(), token, scope)
	if err != nil {
		w.t.Fatalf("refused: %v", err)
	}
	return v
}

func (w *world) refused(token string) {
	w.t.Helper()
	v, err := w.Verify(context.Background(), token, scope)
	if !errors.Is(err, mfa.ErrNoSession) || v != nil {
		w.t.Errorf("got %v, %v; want a refusal", v, err)
	}
}

// forge signs any header and payload with any key.
func forge(header, payload string, secret []byte) string {
	enc := base64.RawURLEncoding.EncodeToString
	signed := enc([]byte(header)) + "." + enc([]byte(payload))
	mac := hmac.New(sha256.New, secret)
	mac.Write([]byte(signed))
	return signed + "." + enc(mac.Sum(nil))
}

const goodHeader = `{"alg":"HS256","kid":"k1","typ":"mfa-session+jwt"}`

func (w *world) payload(user, id string) string {
	now := w.clock.Now().Unix()
	return fmt.Sprintf(`{"iss":%q,"aud":%q,"sub":%q,"sid":%q,"jti":"J","iat":%d,"nbf":%d,"exp":%d}`,
		issuer, scope, user, id, now, now, now+3600)
}
