package session

import (
	"context"
	"errors"
	"sync/atomic"
	"testing"

	"github.com/secondgate/secondgate/mfa"
)

// Another node signs with a key that this one has not heard of: it stood still while the key
// was made, or the old one was stolen and the new one does not wait. Refused as forged, the
// token would be taken away from somebody who has just signed in (AC-197).
func TestManager_AC197_aKeyOfAnotherNodeIsLookedFor(t *testing.T) {
	w := newWorld(t)
	w.session("alice", "s1")
	w.session("alice", "s2").Complete = false
	var looks atomic.Int64
	var made atomic.Bool
	var m *Manager
	m, err := New(Config{
		Store: w.store, Keys: []Key{signing("k1")}, Issuer: issuer, Now: w.clock.Now,
		Newer: func(context.Context) error {
			looks.Add(1)
			if made.Load() {
				return m.SetKeys([]Key{signing("k2"), signing("k1")})
			}
			return nil
		},
	})
	must(t, err)
	t.Cleanup(func() { _ = m.Close(context.Background()) })
	old := issue(t, w.Manager, w, "s1")
	must(t, w.Manager.SetKeys([]Key{signing("k2")}))
	token, half := issue(t, w.Manager, w, "s1"), issue(t, w.Manager, w, "s2")
	verifies(t, m, old)
	if n := looks.Load(); n != 0 {
		t.Errorf("%d looks for a key that is known", n)
	}
	refuses(t, m, token)

	if n := looks.Load(); n != 1 {
		t.Errorf("%d looks", n)
	}
	made.Store(true)
	if _, err := m.VerifyHalfDone(context.Background(), half, scope); err != nil {
		t.Errorf("half done: %v", err)
	}
	verifies(t, m, token)
}

// Where nobody can say whether there is such a key, the answer is no refusal: it would take
// the cookie away. Nobody gets in either (AC-187).
func TestManager_AC187_nobodyCanSayWhetherThereIsSuchAKey(t *testing.T) {
	w := newWorld(t)
	w.session("alice", "s1")
	m, err := New(Config{
		Store: w.store, Keys: []Key{signing("k1")}, Issuer: issuer, Now: w.clock.Now,
		Newer: func(context.Context) error { return errDown },
	})
	must(t, err)
	t.Cleanup(func() { _ = m.Close(context.Background()) })
	must(t, w.Manager.SetKeys([]Key{signing("k2")}))
	token := issue(t, w.Manager, w, "s1")
	for _, verify := range []func(context.Context, string, string) (*View, error){m.Verify, m.VerifyHalfDone} {
		if v, err := verify(context.Background(), token, scope); v != nil || err == nil {
			t.Errorf("%v, %v", v, err)
		}
	}
	if v, err := m.Verify(context.Background(), token, scope); v != nil || !errors.Is(err, errDown) || errors.Is(err, mfa.ErrNoSession) {
		t.Errorf("%v, %v", v, err)
	}
}
