package session

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"runtime"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/secondgate/secondgate/mfa"
)

func TestVerify_is_cached(t *testing.T) {
	w := newWorld(t)
	token := w.issue(w.session("alice", "s1"))
	first := w.admitted(token)
	if first.Session.ID != "s1" || first.Subject.ID != "alice" || first.Stale {
		t.Fatalf("%+v", first)
	}
	for range 100 {
		if w.admitted(token) != first {
			t.Fatal("another view")
		}
	}
	if n := w.store.countReads(); n != 1 {
		t.Errorf("%d reads", n)
	}
	w.clock.Advance(recheck)
	w.admitted(token)
	if n := w.store.countReads(); n != 2 {
		t.Errorf("after %v: %d reads", recheck, n)
	}
}

// A change holds for the very next request, whatever is cached.
func TestVerify_after_a_change_AC025(t *testing.T) {
	ends := map[string]func(*world){
		"session ended":   func(w *world) { delete(w.store.sessions, "s1") },
		"user removed":    func(w *world) { delete(w.store.users, "alice") },
		"all ended":       func(w *world) { w.store.users["alice"].Generation++ },
		"now half-done":   func(w *world) { w.store.sessions["s1"].Complete = false },
		"other scope":     func(w *world) { w.store.sessions["s1"].Scope = "app.b.test" },
		"other user":      func(w *world) { w.store.sessions["s1"].User = "bob" },
		"end moved ahead": func(w *world) { w.store.sessions["s1"].Expires = w.clock.Now() },
	}
	for name, end := range ends {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t)
			token := w.issue(w.session("alice", "s1"))
			w.admitted(token)
			w.store.change("alice", func() { end(w) })
			w.refused(token)
			w.refused(token)
		})
	}
	t.Run("disabled is told, not refused", func(t *testing.T) {
		w := newWorld(t)
		token := w.issue(w.session("alice", "s1"))
		w.admitted(token)
		w.store.change("alice", func() { w.store.users["alice"].Disabled = true })
		if v := w.admitted(token); !v.Subject.Disabled {
			t.Error("the view is old")
		}
	})
	t.Run("of somebody else", func(t *testing.T) {
		w := newWorld(t)
		token := w.issue(w.session("alice", "s1"))
		w.admitted(token)
		w.store.change("bob", func() { delete(w.store.users, "bob") })
		w.admitted(token)
	})
}

// A change that is committed while a session is being loaded must not be missed:
// what was loaded is then of yesterday, and must not be kept.
func TestVerify_change_while_loading(t *testing.T) {
	w := newWorld(t)
	token := w.issue(w.session("alice", "s1"))
	w.store.duringLoad = func() {
		w.store.duringLoad = nil
		w.store.change("alice", func() { delete(w.store.sessions, "s1") })
	}
	w.admitted(token) // it was there when it was asked for
	w.refused(token)
}

// Ended sessions are not remembered in a cache that could overflow (AC-029), and
// made-up tokens never push real ones out (AC-212).
func TestVerify_overflow_AC029_AC212(t *testing.T) {
	w := newWorld(t, func(c *Config) { c.CacheSize = 64 })
	ended := w.issue(w.session("alice", "s0"))
	w.admitted(ended)
	w.store.change("alice", func() { delete(w.store.sessions, "s0") })
	w.refused(ended)

	real := w.issue(w.session("alice", "s1"))
	w.admitted(real)
	before := w.store.countReads()
	secret := key("k1").Secret
	for i := range 2000 {
		w.refused(forge(goodHeader, w.payload("alice", fmt.Sprint("none", i)), secret))
		w.refused(fmt.Sprintf("a.b.%043d", i))
	}
	asked := w.store.countReads()
	if asked-before != 2000 {
		t.Errorf("%d reads: only well-signed tokens are looked up", asked-before)
	}
	w.admitted(real)
	if w.store.countReads() != asked {
		t.Error("made-up tokens pushed a real one out")
	}
	for i := range 2000 {
		w.admitted(w.issue(w.session("bob", mfa.SessionID(fmt.Sprint("b", i)))))
	}
	w.refused(ended)
}

func TestVerify_limits_AC031(t *testing.T) {
	t.Run("idle", func(t *testing.T) {
		w := newWorld(t)
		token := w.issue(w.session("alice", "s1"))
		w.admitted(token)
		w.clock.Advance(time.Hour + time.Second)
		w.refused(token)
	})
	t.Run("each request moves it", func(t *testing.T) {
		w := newWorld(t)
		token := w.issue(w.session("alice", "s1"))
		for range 11 {
			w.clock.Advance(59 * time.Minute)
			w.admitted(token)
		}
		w.clock.Advance(61 * time.Minute)
		w.refused(token)
	})
	t.Run("absolute, however busy", func(t *testing.T) {
		w := newWorld(t)
		token := w.issue(w.session("alice", "s1"))
		for range 24*2 - 1 {
			w.clock.Advance(15 * time.Minute)
			w.admitted(token)
		}
		w.clock.Advance(15*time.Minute - time.Second)
		w.admitted(token)
		w.clock.Advance(time.Second)
		w.refused(token)
	})
	t.Run("idle from the record, with the tolerance of the batch", func(t *testing.T) {
		w := newWorld(t)
		token := w.issue(w.session("alice", "s1"))
		w.clock.Advance(time.Hour + flushEvery)
		w.admitted(token)

		w = newWorld(t)
		token = w.issue(w.session("alice", "s1"))
		w.clock.Advance(time.Hour + flushEvery + time.Second)
		w.refused(token)
	})
}

// While the store cannot be asked, who was verified a moment ago goes on for a
// minute, marked; nobody else gets in.
func TestVerify_store_down_AC187(t *testing.T) {
	w := newWorld(t)
	token := w.issue(w.session("alice", "s1"))
	other := w.issue(w.session("alice", "s2"))
	w.admitted(token)
	w.store.setDown(true)

	w.clock.Advance(recheck - time.Second)
	if w.admitted(token).Stale {
		t.Error("marked too early")
	}
	w.clock.Advance(time.Second)
	if v := w.admitted(token); !v.Stale || v.Subject.ID != "alice" {
		t.Errorf("%+v", v)
	}
	fails := func(token, why string) {
		t.Helper()
		if v, err := w.Verify(context.Background(), token, scope); err == nil || errors.Is(err, mfa.ErrNoSession) || v != nil {
			t.Errorf("%s: %v, %v; want a failure that is no refusal", why, v, err)
		}
	}
	fails(other, "was never verified")
	if _, err := w.Verify(context.Background(), token, "app.b.test"); err == nil {
		t.Error("another scope is admitted")
	}
	w.clock.Advance(storeDown - recheck)
	fails(token, "a minute is over")

	w.store.setDown(false)
	if w.admitted(token).Stale {
		t.Error("still marked")
	}
	// A change that was announced counts even if it cannot be read.
	w.store.setDown(true)
	w.store.change("alice", func() {})
	fails(token, "something has changed")

	w.store.setDown(false)
	if _, err := w.VerifyHalfDone(context.Background(), token, scope); !errors.Is(err, mfa.ErrNoSession) {
		t.Error(err)
	}
}

// A clock that was set back must not keep what was loaded for longer.
func TestVerify_clock_set_back(t *testing.T) {
	w := newWorld(t)
	token := w.issue(w.session("alice", "s1"))
	w.clock.Advance(time.Minute)
	w.admitted(token)
	before := w.store.countReads()
	w.clock.Advance(-5 * time.Second)
	w.admitted(token)
	if w.store.countReads() == before {
		t.Error("not asked again")
	}
}

func TestClose_writes_last_seen(t *testing.T) {
	w := newWorld(t)
	token := w.issue(w.session("alice", "s1"))
	w.admitted(token)
	w.clock.Advance(10 * time.Second)
	w.admitted(token)
	if err := w.Close(context.Background()); err != nil {
		t.Fatal(err)
	}
	if got := w.store.lastTouch()["s1"]; !got.Equal(w.clock.Now()) {
		t.Errorf("last seen %v, want %v", got, w.clock.Now())
	}
	if err := w.Close(context.Background()); err != nil {
		t.Fatal(err)
	}
	if n := len(w.store.touched); n != 1 {
		t.Errorf("%d writes: nothing was new for the second", n)
	}
	w.admitted(token) // requests outlive a reload
}

func TestFlush_failed_write_is_tried_again(t *testing.T) {
	w := newWorld(t)
	token := w.issue(w.session("alice", "s1"))
	w.clock.Advance(10 * time.Second)
	w.admitted(token)
	w.store.setDown(true)
	if err := w.flush(context.Background()); err == nil {
		t.Fatal("no error")
	}
	w.store.setDown(false)
	if err := w.flush(context.Background()); err != nil {
		t.Fatal(err)
	}
	if got := w.store.lastTouch()["s1"]; !got.Equal(w.clock.Now()) {
		t.Errorf("last seen %v", got)
	}
}

func TestFlush_evicted_sessions_too(t *testing.T) {
	w := newWorld(t, func(c *Config) { c.CacheSize = shards })
	for i := range 200 {
		w.clock.Advance(2 * time.Second)
		s := w.session("alice", mfa.SessionID(fmt.Sprint("s", i)))
		token := w.issue(s)
		w.clock.Advance(2 * time.Second)
		w.admitted(token)
	}
	if err := w.flush(context.Background()); err != nil {
		t.Fatal(err)
	}
	if n := len(w.store.lastTouch()); n != 200 {
		t.Errorf("%d of 200 sessions were written", n)
	}
}

// Managers come and go with reloads, the store stays: it must not keep them.
func TestManager_is_not_kept_by_its_store(t *testing.T) {
	store := newFakeStore()
	var gone atomic.Bool
	func() {
		m, err := New(Config{Store: store, Keys: []Key{key("k1")}, Issuer: issuer})
		if err != nil {
			t.Fatal(err)
		}
		runtime.AddCleanup(m.epochs, func(flag *atomic.Bool) { flag.Store(true) }, &gone)
		if err := m.Close(context.Background()); err != nil {
			t.Fatal(err)
		}
	}()
	for range 50 {
		runtime.GC()
		if gone.Load() {
			break
		}
		time.Sleep(10 * time.Millisecond)
	}
	if !gone.Load() {
		t.Error("it is still there")
	}
	store.change("alice", func() {}) // and a late change does no harm
}

// Requests, changes and flushes at once; -race watches.
func TestVerify_concurrent(t *testing.T) {
	w := newWorld(t, func(c *Config) { c.CacheSize = 32 })
	var tokens []string
	for i := range 64 {
		tokens = append(tokens, w.issue(w.session("alice", mfa.SessionID(fmt.Sprint("s", i)))))
	}
	var group sync.WaitGroup
	for range 8 {
		group.Go(func() {
			for i := range 500 {
				token := tokens[i%len(tokens)]
				if _, err := w.Verify(context.Background(), token, scope); err != nil {
					t.Error(err)
					return
				}
				switch i % 50 {
				case 7:
					w.store.change("alice", func() {})
				case 9:
					w.clock.Advance(time.Second)
				case 11:
					_ = w.flush(context.Background())
				}
			}
		})
	}
	group.Wait()
}

func TestVerify_cached_allocates_nothing(t *testing.T) {
	w := newWorld(t, func(c *Config) { c.Now = nil })
	s := w.session("alice", "s1")
	s.Created, s.LastSeen, s.Expires = time.Now(), time.Now(), time.Now().Add(time.Hour)
	s.Source.Due, s.Source.Until = time.Now().Add(time.Minute), time.Now().Add(time.Hour)
	token := w.issue(s)
	w.admitted(token)
	ctx := context.Background()
	place, policy := &mfa.Place{Scope: scope}, mfa.DefaultPolicy()
	n := testing.AllocsPerRun(1000, func() {
		v, err := w.Verify(ctx, token, scope)
		if err != nil {
			t.Fatal(err)
		}
		mfa.Decide(mfa.Input{Policy: &policy, Place: place, Session: v.Session, Subject: v.Subject}, time.Now())
	})
	if n != 0 {
		t.Errorf("%v allocations", n)
	}
}

// benchTokens returns a manager and tokens of n sessions; size is its cache's.
func benchTokens(b *testing.B, n, size int) (*world, []string) {
	w := newWorld(b, func(c *Config) { c.Now, c.CacheSize = nil, size })
	tokens := make([]string, n)
	for i := range tokens {
		s := w.session("alice", mfa.SessionID(fmt.Sprintf("%043d", i)))
		s.Created, s.LastSeen, s.Expires = time.Now(), time.Now(), time.Now().Add(11*time.Hour)
		tokens[i] = w.issue(s)
		w.admitted(tokens[i])
	}
	return w, tokens
}

func benchVerify(b *testing.B, n, size int) {
	w, tokens := benchTokens(b, n, size)
	ctx := context.Background()
	b.ReportAllocs()
	i := 0
	for b.Loop() {
		if _, err := w.Verify(ctx, tokens[i], scope); err != nil {
			b.Fatal(err)
		}
		if i++; i == len(tokens) {
			i = 0
		}
	}
}

func BenchmarkVerifyCached1(b *testing.B)   { benchVerify(b, 1, 10_000) }
func BenchmarkVerifyCached10k(b *testing.B) { benchVerify(b, 10_000, 20_000) }

// BenchmarkVerifyMiss parses, checks the signature, and asks a store that answers
// from memory; the real store's time comes on top.
func BenchmarkVerifyMiss(b *testing.B) { benchVerify(b, 4096, 16) }

func BenchmarkVerifyCached10kParallel(b *testing.B) {
	w, tokens := benchTokens(b, 10_000, 20_000)
	ctx := context.Background()
	b.ReportAllocs()
	b.ResetTimer()
	b.RunParallel(func(pb *testing.PB) {
		for i := 0; pb.Next(); i++ {
			if _, err := w.Verify(ctx, tokens[i%len(tokens)], scope); err != nil {
				b.Fatal(err)
			}
		}
	})
}

// BenchmarkVerifyForged is what somebody pays us who sprays made-up tokens.
func BenchmarkVerifyForged(b *testing.B) {
	w, tokens := benchTokens(b, 1, 16)
	forged := tokens[0][:len(tokens[0])-20] + strings.Repeat("A", 20)
	b.ReportAllocs()
	for b.Loop() {
		if _, err := w.Verify(context.Background(), forged, scope); err == nil {
			b.Fatal("admitted")
		}
	}
}

// BenchmarkSHA256Token is the yardstick for a cached verification.
func BenchmarkSHA256Token(b *testing.B) {
	_, tokens := benchTokens(b, 1, 16)
	data := []byte(tokens[0])
	b.ReportAllocs()
	for b.Loop() {
		sha256.Sum256(data)
	}
}
