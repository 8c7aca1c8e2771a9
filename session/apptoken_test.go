package session

import (
	"context"
	"crypto/sha256"
	"encoding/base64"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/secondgate/secondgate/mfa"
)

func (f *fakeStore) UserByKey(_ context.Context, key string) (*mfa.User, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.reads++
	if f.down {
		return nil, errDown
	}
	for _, u := range f.users {
		for _, k := range u.UniqueKeys() {
			if k == key {
				clone := *u
				return &clone, nil
			}
		}
	}
	return nil, mfa.ErrNotFound
}

func (f *fakeStore) UpdateUser(_ context.Context, id mfa.UserID, change func(*mfa.User) error) error {
	f.mu.Lock()
	u, down := f.users[id], f.down
	f.mu.Unlock()
	switch {
	case down:
		return errDown
	case u == nil:
		return mfa.ErrNotFound
	}
	clone := *u
	clone.AppTokens = append([]mfa.AppToken(nil), u.AppTokens...)
	if err := change(&clone); err != nil {
		return err
	}
	f.change(id, func() { f.users[id] = &clone })
	f.mu.Lock()
	f.writes++
	f.mu.Unlock()
	return nil
}

// token gives the user an app token for the scope and returns its text.
func (w *world) token(user mfa.UserID, n int) string {
	now := w.clock.Now()
	secret := base64.RawURLEncoding.EncodeToString(fmt.Appendf(nil, "%032d", n))
	id := fmt.Sprintf("%016x", n)
	sum := sha256.Sum256([]byte("app token\x00" + secret))
	w.store.change(user, func() {
		u := *w.store.users[user]
		u.AppTokens = append(append([]mfa.AppToken(nil), u.AppTokens...), mfa.AppToken{
			ID: id, Name: "git", Host: scope, Hash: sum[:], Factor: mfa.TOTP, Created: now, Expires: now.Add(24 * time.Hour),
		})
		w.store.users[user] = &u
	})
	return mfa.AppTokenPrefix + id + "_" + secret
}

func (w *world) takes(token string) *View {
	w.t.Helper()
	v, err := w.VerifyAppToken(context.Background(), token, scope)
	if err != nil {
		w.t.Fatalf("refused: %v", err)
	}
	return v
}

func (w *world) turnsAway(token, host string) {
	w.t.Helper()
	v, err := w.VerifyAppToken(context.Background(), token, host)
	if !errors.Is(err, mfa.ErrNoSession) || v != nil {
		w.t.Errorf("got %v, %v; want a refusal", v, err)
	}
}

func TestVerifyAppToken_is_cached(t *testing.T) {
	w := newWorld(t)
	token := w.token("alice", 1)
	first := w.takes(token)
	if s := first.Session; s.ID != "" || s.AppToken != "0000000000000001" || s.Scope != scope || first.Subject.ID != "alice" || len(s.Proofs) != 1 {
		t.Fatalf("%+v", s)
	}
	for range 100 {
		if w.takes(token) != first {
			t.Fatal("another view")
		}
	}
	if n := w.store.countReads(); n != 1 {
		t.Errorf("%d reads", n)
	}
	w.clock.Advance(recheck)
	w.takes(token)
	if n := w.store.countReads(); n != 2 {
		t.Errorf("after %v: %d reads", recheck, n)
	}
}

// A change holds for the very next request, whatever is cached (AC-025).
func TestVerifyAppToken_after_a_change_AC025(t *testing.T) {
	alter := func(w *world, f func(u *mfa.User)) {
		u := *w.store.users["alice"]
		u.AppTokens = append([]mfa.AppToken(nil), u.AppTokens...)
		f(&u)
		w.store.users["alice"] = &u
	}
	for name, end := range map[string]func(*world){
		"revoked":        func(w *world) { alter(w, func(u *mfa.User) { u.AppTokens = nil }) },
		"user removed":   func(w *world) { delete(w.store.users, "alice") },
		"end moved here": func(w *world) { alter(w, func(u *mfa.User) { u.AppTokens[0].Expires = w.clock.Now() }) },
		"other host":     func(w *world) { alter(w, func(u *mfa.User) { u.AppTokens[0].Host = "app.b.test" }) },
		"other secret":   func(w *world) { alter(w, func(u *mfa.User) { u.AppTokens[0].Hash = []byte("x") }) },
		"no secret":      func(w *world) { alter(w, func(u *mfa.User) { u.AppTokens[0].Hash = nil }) },
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t)
			token := w.token("alice", 1)
			w.takes(token)
			w.store.change("alice", func() { end(w) })
			w.turnsAway(token, scope)
			w.turnsAway(token, scope)
		})
	}
	t.Run("disabled: the view says it, and Decide refuses", func(t *testing.T) {
		w := newWorld(t)
		token := w.token("alice", 1)
		w.takes(token)
		w.store.change("alice", func() { alter(w, func(u *mfa.User) { u.Disabled = true }) })
		if !w.takes(token).Subject.Disabled {
			t.Error("it does not")
		}
	})
	t.Run("its end is seen in the cache", func(t *testing.T) {
		w := newWorld(t)
		token := w.token("alice", 1)
		w.clock.Advance(24*time.Hour - time.Second)
		w.takes(token)
		w.clock.Advance(time.Second)
		w.turnsAway(token, scope)
	})
}

func TestVerifyAppToken_RejectsOthers(t *testing.T) {
	w := newWorld(t)
	good, other := w.token("alice", 1), w.token("bob", 2)
	w.takes(good)
	w.takes(other)
	session := w.issue(w.session("alice", "s1"))
	for name, token := range map[string]string{
		"AC-008 a session's token":            session,
		"the ID of one, the secret of other":  good[:22] + other[22:],
		"AC-011 15 kB":                        mfa.AppTokenPrefix + strings.Repeat("a", 15_000),
		"nothing":                             "",
		"the prefix":                          mfa.AppTokenPrefix,
		"no such ID, and the secret of one":   strings.Replace(good, "0000000000000001", "0000000000000009", 1),
		"another first part, the same ending": "mfax_" + good[5:],
	} {
		t.Run(name, func(t *testing.T) { w.turnsAway(token, scope) })
	}
	t.Run("another host", func(t *testing.T) {
		w.turnsAway(good, "app.b.test")
		w.takes(good)
	})
	t.Run("AC-008 where a session is asked for", func(t *testing.T) { w.refused(good) })
}

// AC-212: made-up tokens push no real one out, and none is kept.
func TestVerifyAppToken_AC212_KeepsNothingOfRefusals(t *testing.T) {
	w := newWorld(t, func(c *Config) { c.CacheSize = 16 })
	good := w.token("alice", 1)
	w.takes(good)
	reads := w.store.countReads()
	for n := range 1000 {
		w.turnsAway(fmt.Sprintf("%s%016x_%s", mfa.AppTokenPrefix, n+10, good[22:]), scope)
	}
	if n := w.store.countReads(); n != reads+1000 {
		t.Errorf("%d reads for 1000 made-up tokens", n-reads)
	}
	w.takes(good)
	if n := w.store.countReads(); n != reads+1000 {
		t.Error("the good one was pushed out")
	}
}

// With the store down a token that was just looked up goes on for a minute, as a session
// does, and a change that was announced ends it all the same.
func TestVerifyAppToken_store_down(t *testing.T) {
	w := newWorld(t)
	token := w.token("alice", 1)
	w.takes(token)
	w.store.setDown(true)
	w.clock.Advance(recheck)
	if v := w.takes(token); !v.Stale {
		t.Error("it is not said")
	}
	w.clock.Advance(storeDown - recheck)
	if _, err := w.VerifyAppToken(context.Background(), token, scope); !errors.Is(err, errDown) {
		t.Errorf("after a minute: %v", err)
	}
	if _, err := w.VerifyAppToken(context.Background(), w.token("bob", 2), scope); !errors.Is(err, errDown) {
		t.Errorf("one that was never looked up: %v", err)
	}
}

// When a token was used last is written in batches, and no more often than it says.
func TestVerifyAppToken_last_used(t *testing.T) {
	w := newWorld(t)
	token := w.token("alice", 1)
	used := func() time.Time { return w.store.users["alice"].AppTokens[0].LastUsed }
	flush := func() {
		t.Helper()
		if err := w.flush(context.Background()); err != nil {
			t.Fatal(err)
		}
	}
	w.takes(token)
	if w.store.writes != 0 || !used().IsZero() {
		t.Fatal("a request has written")
	}
	flush()
	if at := used(); !at.Equal(w.clock.Now()) || w.store.writes != 1 {
		t.Fatalf("used %v, %d writes", at, w.store.writes)
	}
	for range 5 {
		w.clock.Advance(time.Minute)
		w.takes(token)
		flush()
	}
	if w.store.writes != 1 {
		t.Errorf("%d writes in five minutes", w.store.writes)
	}
	w.clock.Advance(mfa.AppTokenUsedStep)
	w.takes(token)
	flush()
	if at := used(); !at.Equal(w.clock.Now()) || w.store.writes != 2 {
		t.Errorf("used %v, %d writes", at, w.store.writes)
	}
	if n := len(w.store.lastTouch()); n != 0 {
		t.Errorf("%d sessions were touched", n)
	}
	t.Run("one that is revoked meanwhile is no error, and comes back not", func(t *testing.T) {
		w.clock.Advance(mfa.AppTokenUsedStep)
		w.takes(token)
		w.store.change("alice", func() {
			u := *w.store.users["alice"]
			u.AppTokens = nil
			w.store.users["alice"] = &u
		})
		flush()
		if len(w.store.users["alice"].AppTokens) != 0 {
			t.Error("it is back")
		}
	})
	t.Run("with the store down it is tried again", func(t *testing.T) {
		token := w.token("bob", 2)
		w.takes(token)
		w.store.setDown(true)
		if err := w.flush(context.Background()); !errors.Is(err, errDown) {
			t.Fatalf("error %v", err)
		}
		w.store.setDown(false)
		flush()
		if w.store.users["bob"].AppTokens[0].LastUsed.IsZero() {
			t.Error("it was lost")
		}
	})
}

func BenchmarkVerifyAppToken(b *testing.B) {
	w := newWorld(b)
	token := w.token("alice", 1)
	b.ReportAllocs()
	for b.Loop() {
		if _, err := w.VerifyAppToken(context.Background(), token, scope); err != nil {
			b.Fatal(err)
		}
	}
}
