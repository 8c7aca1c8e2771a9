package session

import (
	"hash/maphash"
	"sync"
	"sync/atomic"
	"time"
	"unique"

	lru "github.com/hashicorp/golang-lru/v2"

	"github.com/secondgate/secondgate/mfa"
)

const (
	shards = 16
	// signatureLength is the length of an HS256 signature in base64url, and of the secret
	// of an app token. Its hash is the cache's key.
	signatureLength = 43
	// seenStep is how exactly last-seen times are kept.
	seenStep = time.Second
)

// cache keeps verified sessions: who and what was proven, never a decision. A
// mutex of one list would be the bottleneck of every request, so there are
// several.
type cache struct {
	seed   maphash.Seed
	shards [shards]*lru.Cache[uint64, *entry]
	// hits are counted in as many places as there are shards, so that counting is
	// never what requests of different sessions meet at.
	hits   [shards]tally
	misses atomic.Uint64

	mu   sync.Mutex
	seen map[mfa.SessionID]time.Time // of evicted entries, until the next batch
}

// tally is a counter that shares no line of memory with another one.
type tally struct {
	n atomic.Uint64
	_ [56]byte
}

// counts returns how many requests were answered from the cache, and how many not.
func (c *cache) counts() (hits, misses uint64) {
	for i := range c.hits {
		hits += c.hits[i].n.Load()
	}
	return hits, c.misses.Load()
}

func newCache(size int) (*cache, error) {
	c := &cache{seed: maphash.MakeSeed(), seen: make(map[mfa.SessionID]time.Time)}
	// Sessions do not spread evenly: a shard of exactly its part would be too small
	// about half the time, and would then throw out what is asked for next.
	part := (size + shards - 1) / shards
	for i := range c.shards {
		shard, err := lru.NewWithEvict(max(1, part+part/4), func(_ uint64, e *entry) { c.evicted(e) })
		if err != nil {
			return nil, err
		}
		c.shards[i] = shard
	}
	return c, nil
}

// entry is one verified session. All but seen, written and sent is fixed once it is in
// the cache. With many sessions in use, a hit costs what it costs to fetch the
// entry from memory, so all that a hit and a decision read lies in one piece.
type entry struct {
	token   string
	scope   string
	epoch   epoch
	ring    *ring // the keys that verified it; nil: none did, as of app tokens
	loaded  time.Time
	seen    atomic.Int64 // when it was used last, in Unix nanoseconds
	written atomic.Int64 // … as the store knows it

	view    View
	session mfa.Session
	proofs  [2]mfa.Proof
	subject mfa.Subject
	held    [3]mfa.Held
	stale   View // the same as view, but for the mark
	sent    sent
}

func newEntry(token, scope string, v View, ep epoch, now, stored time.Time) *entry {
	e := &entry{token: token, scope: shared(scope), epoch: ep, loaded: now, session: *v.Session, subject: *v.Subject}
	e.session.Source.Kept = nil // a secret of the source, and of no use to a request
	e.draw()
	e.view = View{Session: &e.session, Subject: &e.subject, Stale: v.Stale, asserted: &e.sent, token: token}
	e.stale = e.view
	e.stale.Stale = true
	e.seen.Store(now.UnixNano())
	if !stored.IsZero() {
		e.written.Store(stored.UnixNano())
	}
	return e
}

// draw draws the lists into the entry, and makes one string of those that are
// equal: comparing a string with itself does not read it.
func (e *entry) draw() {
	s, u := &e.session, &e.subject
	s.Scope = e.scope
	if s.User == u.ID {
		s.User = u.ID
	}
	u.Held = append(e.held[:0], u.Held...)
	for i := range u.Held {
		h := &u.Held[i]
		h.Kind, h.RPID = mfa.Kind(shared(string(h.Kind))), shared(h.RPID)
	}
	s.Proofs = append(e.proofs[:0], s.Proofs...)
	for i := range s.Proofs {
		p := &s.Proofs[i]
		p.Kind = mfa.Kind(shared(string(p.Kind)))
		for _, h := range u.Held {
			if h.ID == p.Credential {
				p.Credential = h.ID
			}
		}
	}
}

// shared returns an equal string that all entries share.
func shared(s string) string { return unique.Make(s).Value() }

// name is what the times of use are kept under: the session's ID, or, of an app token,
// which has none and a cache of its own, the token's.
func (e *entry) name() mfa.SessionID {
	if e.session.AppToken != "" {
		return mfa.SessionID(e.session.AppToken)
	}
	return e.session.ID
}

func (e *entry) lastSeen() time.Time { return time.Unix(0, e.seen.Load()) }

// see reports whether the session was used within the idle limit, and if so notes
// that it is used now; moved says that this was the first use in a while.
func (e *entry) see(now time.Time, idle time.Duration) (within, moved bool) {
	n, last := now.UnixNano(), e.seen.Load()
	if n-last > int64(idle) {
		return false, false
	}
	// Not at each request: the line of memory is shared between processors. A
	// compare, so that a late request never moves it back.
	return true, n-last >= int64(seenStep) && e.seen.CompareAndSwap(last, n)
}

// due returns the time that the store should learn, and whether there is one.
func (e *entry) due() (time.Time, bool) {
	seen := e.seen.Load()
	if e.written.Swap(seen) >= seen {
		return time.Time{}, false
	}
	return time.Unix(0, seen), true
}

// place returns where the entry of a token is, if there is one: under the hash of
// its signature, which nobody can foresee.
func (c *cache) place(token string) (*lru.Cache[uint64, *entry], uint64) {
	hash := maphash.String(c.seed, token[len(token)-signatureLength:])
	return c.shards[hash%shards], hash
}

// get returns the entry of exactly this token. It does not move it to the front:
// that writes to four places of the list, under a lock that keeps out all others.
//
// hits is where a request that it answers is counted. That is not kept in the entry,
// which holds what a hit reads and nothing else.
func (c *cache) get(token string) (e *entry, hits *tally) {
	if len(token) <= signatureLength || len(token) > maxToken {
		return nil, nil
	}
	shard, hash := c.place(token)
	e, ok := shard.Peek(hash)
	// Compared whole: the signature alone would let any header and payload in
	// front of it pass.
	if !ok || e.token != token {
		return nil, nil
	}
	return e, &c.hits[hash%shards]
}

// use moves the entry to the front.
func (c *cache) use(e *entry) {
	shard, hash := c.place(e.token)
	shard.Get(hash)
}

func (c *cache) add(e *entry) {
	shard, hash := c.place(e.token)
	shard.Add(hash, e)
}

func (c *cache) remove(token string) {
	if e, _ := c.get(token); e != nil {
		shard, hash := c.place(e.token)
		shard.Remove(hash)
	}
}

func (c *cache) evicted(e *entry) {
	if t, ok := e.due(); ok {
		c.returnSeen(map[mfa.SessionID]time.Time{e.name(): t})
	}
}

// takeSeen returns every last-seen time that the store does not know.
func (c *cache) takeSeen() map[mfa.SessionID]time.Time {
	c.mu.Lock()
	due := c.seen
	c.seen = make(map[mfa.SessionID]time.Time)
	c.mu.Unlock()
	for _, shard := range c.shards {
		for _, e := range shard.Values() {
			if t, ok := e.due(); ok && t.After(due[e.name()]) {
				due[e.name()] = t
			}
		}
	}
	return due
}

// returnSeen puts times back for the next batch.
func (c *cache) returnSeen(due map[mfa.SessionID]time.Time) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for id, t := range due {
		if t.After(c.seen[id]) {
			c.seen[id] = t
		}
	}
}
