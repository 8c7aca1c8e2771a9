package session

import (
	"context"
	"slices"
	"sync/atomic"
	"testing"
	"time"
)

// AC-025: a node that does not hear of the others looks sessions up after 10 s, and one
// that does after 30 s.
func TestVerify_aloneLooksUpSooner_AC025(t *testing.T) {
	w := newWorld(t)
	token, app := w.issue(w.session("alice", "s1")), w.token("alice", 1)
	w.admitted(token)
	w.takes(app)
	reads := w.store.countReads()
	w.store.alone.Store(true)
	w.clock.Advance(recheckAlone - time.Second)
	w.admitted(token)
	if n := w.store.countReads(); n != reads {
		t.Errorf("looked up after less than %v", recheckAlone)
	}
	w.clock.Advance(time.Second)
	w.store.alone.Store(false)
	w.admitted(token)
	if n := w.store.countReads(); n != reads {
		t.Error("looked up though it is in step")
	}
	w.store.alone.Store(true)
	// Another node has ended it, and this one has not heard of it.
	w.store.mu.Lock()
	delete(w.store.sessions, "s1")
	delete(w.store.users, "alice")
	w.store.mu.Unlock()
	w.refused(token)
	if _, err := w.VerifyAppToken(context.Background(), app, scope); err == nil {
		t.Error("an app token is taken that is gone")
	}
}

// A store that has missed something says so of everybody.
func TestVerify_everybodyIsLookedUpAnew(t *testing.T) {
	w := newWorld(t)
	alice, bob := w.issue(w.session("alice", "s1")), w.issue(w.session("bob", "s2"))
	w.admitted(alice)
	w.admitted(bob)
	w.store.change("", func() { clear(w.store.sessions) })
	w.refused(alice)
	w.refused(bob)
}

// With a store that hangs, sessions go on, and one request in a second waits for it; the
// others would all be as slow as the store's timeout (AC-187).
func TestVerify_storeHangs_AC187(t *testing.T) {
	w := newWorld(t)
	token, never := w.issue(w.session("alice", "s1")), w.issue(w.session("alice", "s2"))
	w.admitted(token)
	w.clock.Advance(recheck)
	w.store.mu.Lock()
	w.store.hangs = true
	w.store.mu.Unlock()
	if v := w.admitted(token); !v.Stale { // waits
		t.Error("not marked")
	}
	reads := w.store.countReads()
	for range 100 {
		if v := w.admitted(token); !v.Stale {
			t.Error("not marked")
		}
	}
	if n := w.store.countReads(); n != reads {
		t.Errorf("%d requests waited for it", n-reads)
	}
	w.store.mu.Lock()
	w.store.hangs = false
	w.store.mu.Unlock()
	w.clock.Advance(askAgain)
	if v := w.admitted(token); v.Stale {
		t.Error("the store answers again, and was not asked")
	}
	if v := w.admitted(token); v.Stale {
		t.Error("still marked")
	}
	w.admitted(never)
}

// A caller who goes says nothing of the store: whoever hangs up on purpose must not keep
// others from being looked up.
func TestVerify_callersWhoGoAreNoOutage_AC187(t *testing.T) {
	w := newWorld(t)
	token := w.issue(w.session("alice", "s1"))
	w.admitted(token)
	w.clock.Advance(recheck)
	w.store.mu.Lock()
	w.store.hangs = true
	w.store.mu.Unlock()
	for _, limit := range []func() (context.Context, context.CancelFunc){
		func() (context.Context, context.CancelFunc) {
			ctx, cancel := context.WithCancel(context.Background())
			time.AfterFunc(5*time.Millisecond, cancel)
			return ctx, cancel
		},
		func() (context.Context, context.CancelFunc) {
			return context.WithTimeout(context.Background(), 5*time.Millisecond)
		},
	} {
		ctx, cancel := limit()
		_, _ = w.Verify(ctx, token, scope)
		cancel()
		if w.down.failed.Load() != 0 {
			t.Error("taken for an outage")
		}
	}
	w.store.mu.Lock()
	w.store.hangs = false
	delete(w.store.sessions, "s1")
	w.store.mu.Unlock()
	w.refused(token)
}

// inStepStore answers as a store of several nodes does.
type inStepStore struct {
	*fakeStore
	seen atomic.Pointer[time.Time]
}

func (s *inStepStore) InStep() bool { return time.Since(*s.seen.Load()) < time.Hour }

// BenchmarkVerifyInStep measures what it costs to ask whether the node is in step: sessions
// that were loaded just now, of which it is not asked, and older ones, in turns.
func BenchmarkVerifyInStep(b *testing.B) {
	store := new(inStepStore)
	now := time.Now()
	store.seen.Store(&now)
	w := newWorld(b, func(c *Config) {
		store.fakeStore = c.Store.(*fakeStore)
		c.Store = store
	})
	token := w.issue(w.session("alice", "s1"))
	w.admitted(token)
	const turn = 2000
	ctx := context.Background()
	measure := func() time.Duration {
		began := time.Now()
		for range turn {
			if _, err := w.Verify(ctx, token, scope); err != nil {
				b.Fatal(err)
			}
		}
		return time.Since(began)
	}
	var ratios []float64
	b.ReportAllocs()
	for b.Loop() {
		young := measure()
		w.clock.Advance(recheckAlone)
		older := measure()
		w.clock.Advance(-recheckAlone)
		ratios = append(ratios, float64(older)/float64(young))
	}
	slices.Sort(ratios)
	b.ReportMetric(ratios[len(ratios)/2], "older/young")
}
