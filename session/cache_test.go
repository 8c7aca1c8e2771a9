package session

import (
	"fmt"
	"testing"
	"time"

	"github.com/secondgate/secondgate/mfa"
)

// A cache of ten thousand holds ten thousand sessions at once, however unevenly
// they fall into its shards: a shard that is one too small would throw out each
// time what is asked for next.
func TestCache_holds_as_many_as_it_says(t *testing.T) {
	w := newWorld(t)
	tokens := make([]string, 10_000)
	for i := range tokens {
		tokens[i] = w.issue(w.session("alice", mfa.SessionID(fmt.Sprintf("%043d", i))))
		w.admitted(tokens[i])
	}
	before := w.store.countReads()
	for _, token := range tokens {
		w.admitted(token)
	}
	if n := w.store.countReads() - before; n != 0 {
		t.Errorf("the store was asked %d times for sessions that fit into the cache", n)
	}
}

// What is in use stays, whatever passes through, although a hit moves nothing but
// once a second.
func TestCache_keeps_what_is_used(t *testing.T) {
	w := newWorld(t, func(c *Config) { c.CacheSize = 320 })
	token := w.issue(w.session("alice", "kept"))
	w.admitted(token)
	for i := range 25 {
		w.clock.Advance(seenStep)
		before := w.store.countReads()
		w.admitted(token)
		if w.store.countReads() != before {
			t.Fatalf("thrown out in round %d, although it was used a second ago", i)
		}
		for j := range 32 { // about two for each shard, which has room for 25
			w.admitted(w.issue(w.session("alice", mfa.SessionID(fmt.Sprintf("passing-%d-%d", i, j)))))
		}
	}
}

// An entry holds copies: what was loaded may be changed, or dropped, by whoever
// made it, and the decision's inputs are the same as they were.
func TestEntry_holds_what_was_loaded(t *testing.T) {
	now := time.Now()
	s := &mfa.Session{
		ID: "s", User: "u", Scope: scope, Proofs: []mfa.Proof{
			{Kind: mfa.Password, At: now}, {Kind: "later", Credential: "c1", At: now}, {Kind: mfa.TOTP, Credential: "c2", At: now},
		},
	}
	u := &mfa.Subject{ID: "u"}
	for i := range 5 { // more than the entry has room for
		u.Held = append(u.Held, mfa.Held{ID: mfa.CredentialID(fmt.Sprintf("c%d", i)), Kind: mfa.TOTP, RPID: scope, Left: i})
	}
	e := newEntry("token", scope, View{Session: s, Subject: u}, epoch{}, now, now)
	for i := range s.Proofs {
		if e.view.Session.Proofs[i] != s.Proofs[i] {
			t.Errorf("proof %d: %+v, want %+v", i, e.view.Session.Proofs[i], s.Proofs[i])
		}
	}
	for i := range u.Held {
		if e.view.Subject.Held[i] != u.Held[i] {
			t.Errorf("credential %d: %+v, want %+v", i, e.view.Subject.Held[i], u.Held[i])
		}
	}
	if e.view.Stale || !e.stale.Stale || e.stale.Session != e.view.Session {
		t.Error("the two views are not the same but for the mark")
	}
	u.Held[0].Left, s.Proofs[0].At = 99, time.Time{}
	if e.view.Subject.Held[0].Left == 99 || e.view.Session.Proofs[0].At.IsZero() {
		t.Error("the entry shares memory with what it was made of")
	}
}

// Each call counts once: as a hit where memory answered, as a miss where the store was
// asked, or would have been.
func TestManager_CacheCounts(t *testing.T) {
	w := newWorld(t)
	a, b := w.issue(w.session("alice", "s1")), w.issue(w.session("bob", "s2"))
	counted := func(what string, hits, misses uint64) {
		t.Helper()
		if h, m := w.CacheCounts(); h != hits || m != misses {
			t.Errorf("%s: %d hits and %d misses, want %d and %d", what, h, m, hits, misses)
		}
	}
	counted("new", 0, 0)
	w.admitted(a)
	w.admitted(b)
	counted("first use", 0, 2)
	for range 5 {
		w.admitted(a)
		w.admitted(b)
	}
	counted("in use", 10, 2)
	w.refused("made.up.token")
	counted("made up", 10, 3)
	w.store.change("alice", func() {})
	w.admitted(a)
	counted("after a change", 10, 4)
}
