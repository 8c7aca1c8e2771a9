package session

import (
	"context"
	"encoding/json"
	"errors"
	"sync"
	"testing"
	"time"

	"github.com/secondgate/secondgate/mfa"
)

// A rotation is no sign-out: what the old key signed goes on, cached or not, and what is
// signed from then on is signed with the new one (AC-197, "add, sign").
func TestManager_AC197_rotationEndsNoSession(t *testing.T) {
	w := newWorld(t)
	w.session("alice", "s1")
	m := w.Manager
	old := issue(t, m, w, "s1")
	must(t, m.SetKeys([]Key{signing("k1"), signing("k2")})) // k2 waits
	verifies(t, m, old)
	must(t, m.SetKeys([]Key{signing("k2"), signing("k1")}))
	verifies(t, m, old)
	verifies(t, m, issue(t, m, w, "s1"))
	// A node that has not heard of it yet, and one whose list has another order, know both.
	for _, keys := range [][]Key{{signing("k1"), signing("k2")}, {signing("k2"), signing("k1")}} {
		other, err := New(Config{Store: w.store, Keys: keys, Issuer: issuer, Now: w.clock.Now})
		must(t, err)
		t.Cleanup(func() { _ = other.Close(context.Background()) })
		verifies(t, other, old)
		verifies(t, other, issue(t, m, w, "s1"))
		verifies(t, m, issue(t, other, w, "s1"))
	}
	// Remove it after the overlap: what it signed is over, and nothing else.
	must(t, m.SetKeys([]Key{signing("k2")}))
	verifies(t, m, issue(t, m, w, "s1"))
	refuses(t, m, old)
}

// A key that is removed at once takes its tokens with it, those that are in memory as well
// as those that are not, and those of half-done sign-ins.
func TestManager_AC197_aRemovedKeyOpensNothing(t *testing.T) {
	w := newWorld(t)
	w.session("alice", "s1")
	w.session("alice", "s2")
	w.session("alice", "s3").Complete = false
	m := w.Manager
	cached, uncached, halfDone := issue(t, m, w, "s1"), issue(t, m, w, "s2"), issue(t, m, w, "s3")
	verifies(t, m, cached)
	if _, err := m.VerifyHalfDone(context.Background(), halfDone, scope); err != nil {
		t.Fatal(err)
	}
	must(t, m.SetKeys([]Key{signing("k2")}))
	refuses(t, m, cached)
	refuses(t, m, uncached)
	if _, err := m.VerifyHalfDone(context.Background(), halfDone, scope); !errors.Is(err, ErrInvalid) {
		t.Errorf("a half-done sign-in of a removed key: %v", err)
	}
	// While the store cannot be asked, a session in memory goes on for a minute: not one
	// of a removed key.
	must(t, m.SetKeys([]Key{signing("k1")}))
	verifies(t, m, cached)
	must(t, m.SetKeys([]Key{signing("k2")}))
	w.store.setDown(true)
	refuses(t, m, cached)
	w.store.setDown(false)
	// Rolled back to the old keys: what the old one signed is good again, what the new one
	// signed is not.
	fresh := issue(t, m, w, "s1")
	must(t, m.SetKeys([]Key{signing("k1")}))
	verifies(t, m, cached)
	refuses(t, m, fresh)
}

// A token that is being looked up while its key is removed must not come through, nor stay
// in memory behind the removal.
func TestManager_AC197_aLoadUnderWayDuringTheSwap(t *testing.T) {
	w := newWorld(t)
	w.session("alice", "s1")
	m := w.Manager
	token := issue(t, m, w, "s1")
	entered, goOn := make(chan struct{}), make(chan struct{})
	w.store.duringLoad = sync.OnceFunc(func() { close(entered); <-goOn })
	var err error
	var wg sync.WaitGroup
	wg.Go(func() { _, err = m.Verify(context.Background(), token, scope) })
	<-entered
	must(t, m.SetKeys([]Key{signing("k2")}))
	close(goOn)
	wg.Wait()
	if !errors.Is(err, ErrInvalid) {
		t.Errorf("a load that was under way: %v", err)
	}
	refuses(t, m, token)
}

func TestManager_SetKeys_RejectsWhatIsNone(t *testing.T) {
	w := newWorld(t)
	w.session("alice", "s1")
	m := w.Manager
	token := issue(t, m, w, "s1")
	for _, keys := range [][]Key{nil, {signing("k2"), signing("k2")}, {{ID: "short", Secret: []byte("x")}}, {{Secret: signing("k2").Secret}}} {
		if m.SetKeys(keys) == nil {
			t.Errorf("%d keys were taken", len(keys))
		}
	}
	verifies(t, m, token)
}

// Apps keep the published keys for minutes: what is signed with one that they do not know
// yet is refused by them (a false sign-out at each app).
func TestAssertions_AC197_signsWithAKeyThatAppsKnow(t *testing.T) {
	w := newWorld(t)
	at := w.clock.Now()
	oldKey, newKey := key("a"), key("b")
	newKey.Known = at.Add(5 * time.Minute)
	a, err := NewAssertions(AssertionConfig{Algorithm: EdDSA, Keys: []Key{oldKey}, Now: w.clock.Now, Policy: func() *mfa.Policy { return nil }})
	must(t, err)
	first := a.signers.Load().at(at).kid
	must(t, a.SetKeys([]Key{oldKey, newKey})) // it waits, and is published
	if n := published(t, a); n != 2 {
		t.Fatalf("%d keys are published", n)
	}
	must(t, a.SetKeys([]Key{newKey, oldKey}))
	for after, want := range map[time.Duration]bool{0: true, 4 * time.Minute: true, 5 * time.Minute: false, time.Hour: false} {
		if got := a.signers.Load().at(at.Add(after)).kid == first; got != want {
			t.Errorf("after %s it signs with the old key: %v", after, got)
		}
	}
	// The old one was stolen: nothing waits.
	must(t, a.SetKeys([]Key{newKey}))
	if n := published(t, a); n != 1 || a.signers.Load().at(at).kid == first {
		t.Error("a key that was taken away still signs, or is published")
	}
	if a.SetKeys(nil) == nil || published(t, a) != 1 {
		t.Error("no keys were taken")
	}
}

// signing is a key of its own secret for each ID; that of "k1" is the world's.
func signing(id string) Key {
	k := key("k1")
	if id != "k1" {
		k = key(id[1:])
	}
	k.ID = id
	return k
}

func issue(t *testing.T, m *Manager, w *world, id mfa.SessionID) string {
	t.Helper()
	w.store.mu.Lock()
	s := *w.store.sessions[id]
	w.store.mu.Unlock()
	token, err := m.Issue(&s)
	must(t, err)
	return token
}

func published(t *testing.T, a *Assertions) int {
	t.Helper()
	var set struct{ Keys []json.RawMessage }
	must(t, json.Unmarshal(a.KeySet(), &set))
	return len(set.Keys)
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func verifies(t *testing.T, m *Manager, token string) {
	t.Helper()
	for range 2 { // the second time from memory
		if _, err := m.Verify(context.Background(), token, scope); err != nil {
			t.Errorf("a false sign-out: %v", err)
		}
	}
}

func refuses(t *testing.T, m *Manager, token string) {
	t.Helper()
	if _, err := m.Verify(context.Background(), token, scope); !errors.Is(err, ErrInvalid) {
		t.Errorf("a token of a key that is gone: %v", err)
	}
}
