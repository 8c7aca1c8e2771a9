package session

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"time"

	"github.com/secondgate/secondgate/mfa"
)

// How long things hold.
const (
	// recheck is how old what was loaded may be before the store is asked again.
	recheck = 30 * time.Second
	// recheckAlone is the same while this node does not hear of what others change.
	recheckAlone = 10 * time.Second
	// storeDown is how old it may be while the store cannot be asked.
	storeDown = 60 * time.Second
	// flushEvery is how often last-seen times are written, and so how much later
	// than said an idle session may end after a restart.
	flushEvery = 60 * time.Second
	// storeTimeout is how long a request waits for the store (AC-187).
	storeTimeout = 2 * time.Second
)

// Store is what a Manager needs of a store.
type Store interface {
	mfa.Users
	mfa.Sessions
	mfa.Changes
}

// Config is what a Manager is made of. Every field without a note is required.
type Config struct {
	Store Store
	Keys  []Key // the first signs, all verify
	// Newer looks whether another node has made keys, and has had SetKeys called with them
	// when it returns. It is called before a token of an unknown key is refused, which
	// anybody can send: it bounds what that costs. nil: there is no other node.
	Newer     func(context.Context) error
	Issuer    string           // this installation; tokens of another are refused
	Idle      time.Duration    // 0: 1 h
	Absolute  time.Duration    // the most that a token may live; 0: 12 h
	Now       func() time.Time // nil: time.Now
	CacheSize int              // verified sessions kept at hand; 0: 10000
}

// View is a verified session and its user. It is shared between requests and
// must not be changed.
type View struct {
	Session *mfa.Session
	Subject *mfa.Subject
	// Stale says that the store could not be asked when it should have been. The
	// session goes on for a minute; routes that want fresh proofs must refuse.
	Stale bool

	asserted *sent  // where assertions of it are kept; nil: nowhere
	token    string // that was verified
}

// Manager issues and verifies tokens. It is safe for concurrent use.
type Manager struct {
	store    Store
	ring     atomic.Pointer[ring]
	issuer   string
	idle     time.Duration
	absolute time.Duration
	now      func() time.Time

	cache  *cache
	tokens *cache // of app tokens, so that they and sessions do not push each other out
	epochs *epochs
	down   outage
	newer  func(context.Context) error

	closing sync.Once
	stop    chan struct{}
	stopped chan struct{}
}

// New checks the configuration, registers for the store's changes and starts
// writing last-seen times. Close stops it.
func New(cfg Config) (*Manager, error) {
	m := &Manager{
		store: cfg.Store, issuer: cfg.Issuer,
		idle: cfg.Idle, absolute: cfg.Absolute, now: cfg.Now, epochs: newEpochs(), newer: cfg.Newer,
		stop: make(chan struct{}), stopped: make(chan struct{}),
	}
	switch {
	case cfg.Store == nil:
		return nil, errors.New("making a session manager: no store")
	case cfg.Issuer == "":
		return nil, errors.New("making a session manager: no issuer")
	case cfg.Idle < 0 || cfg.Absolute < 0 || cfg.CacheSize < 0:
		return nil, errors.New("making a session manager: a limit is negative")
	}
	r, err := newRing(cfg.Keys)
	if err != nil {
		return nil, fmt.Errorf("making a session manager: %w", err)
	}
	m.ring.Store(r)
	if m.idle == 0 {
		m.idle = time.Hour
	}
	if m.absolute == 0 {
		m.absolute = 12 * time.Hour
	}
	if m.now == nil {
		m.now = time.Now
	}
	size := cfg.CacheSize
	if size == 0 {
		size = 10_000
	}
	if m.cache, err = newCache(size); err != nil {
		return nil, fmt.Errorf("making a session manager: %w", err)
	}
	if m.tokens, err = newCache(max(1, size/10)); err != nil {
		return nil, fmt.Errorf("making a session manager: %w", err)
	}
	m.epochs.follow(cfg.Store)
	go m.flushUntilClosed()
	return m, nil
}

// Issue returns a token for s: a session's where s is complete, a half-done
// sign-in's otherwise. Each is refused where the other is asked for.
func (m *Manager) Issue(s *mfa.Session) (string, error) {
	if s == nil {
		return "", mfa.ErrNoSession
	}
	if s.Complete {
		return m.sign(complete, s, m.now())
	}
	return m.sign(halfDone, s, m.now())
}

// Verify returns the complete session whose token this is, for that scope, or
// mfa.ErrNoSession (ErrInvalid where the token was never one of ours). Any other
// error means that the store could not tell, and the caller must refuse.
func (m *Manager) Verify(ctx context.Context, token, scope string) (*View, error) {
	e, hits := m.cache.get(token)
	// What another set of keys verified is looked at anew: the key may be gone, and with
	// it all that it signed (AC-197).
	if e != nil && e.scope == scope && e.ring == m.ring.Load() {
		if v := m.hit(m.cache, e, m.now(), m.idle); v != nil {
			hits.n.Add(1)
			return v, nil
		}
	}
	m.cache.misses.Add(1)
	return m.load(ctx, e, token, scope)
}

// CacheCounts returns how many calls of Verify were answered from memory since the
// manager was made, and how many were not, those with a token that is none among them.
func (m *Manager) CacheCounts() (hits, misses uint64) { return m.cache.counts() }

// hit returns what the entry holds where it still holds, else nil.
func (m *Manager) hit(c *cache, e *entry, now time.Time, idle time.Duration) *View {
	age := now.Sub(e.loaded)
	if !e.epoch.holds() || age < 0 || age >= recheck || e.session.Over(now) {
		return nil
	}
	if age >= recheckAlone && !m.store.InStep() {
		return nil
	}
	within, moved := e.see(now, idle)
	if !within {
		return nil
	}
	if moved {
		c.use(e)
	}
	return &e.view
}

// load verifies the token and asks the store, and keeps what it says. old is the entry
// that was there. Where the keys were changed meanwhile, it begins anew: a key that was
// removed opens nothing from that moment on.
func (m *Manager) load(ctx context.Context, old *entry, token, scope string) (*View, error) {
	for {
		var with *ring
		v, err := m.known(ctx, func(r *ring) (*View, error) {
			with = r
			return m.loadWith(ctx, r, old, token, scope)
		})
		if err != nil || m.ring.Load() == with {
			return v, err
		}
	}
}

func (m *Manager) loadWith(ctx context.Context, ring *ring, old *entry, token, scope string) (*View, error) {
	now := m.now()
	c, err := m.parse(ring, complete, token, scope, now)
	if err != nil {
		return nil, err
	}
	if v := m.during(old, scope, now, m.idle); v != nil {
		return v, nil
	}
	// The epoch is read before the records: a change that comes in between makes
	// the entry void instead of being missed.
	epoch := m.epochs.of(mfa.UserID(c.User))
	v, err := m.records(ctx, c)
	m.down.note(ctx, err, m.now())
	switch {
	case err == nil:
	case errors.Is(err, mfa.ErrNoSession):
		// Not kept anywhere: made-up tokens must not push real ones out.
		m.cache.remove(token)
		return nil, err
	default:
		if v := m.goesOn(old, scope, now, m.idle); v != nil {
			return v, nil
		}
		return nil, err
	}
	s := v.Session
	if !s.Complete || s.Scope != scope || s.Over(now) {
		m.cache.remove(token)
		return nil, mfa.ErrNoSession
	}
	// What the store knows of the last request may be older than the batch; what
	// we remember ourselves is exact.
	seen, limit := s.LastSeen, m.idle+flushEvery
	if seen.Before(s.Created) {
		seen = s.Created
	}
	if old != nil {
		if t := old.lastSeen(); !t.Before(seen) {
			seen, limit = t, m.idle
		}
	}
	if now.Sub(seen) > limit {
		m.cache.remove(token)
		return nil, mfa.ErrNoSession
	}
	e := newEntry(token, scope, *v, epoch, now, s.LastSeen)
	e.ring = ring
	m.cache.add(e)
	return &e.view, nil
}

// VerifyHalfDone is Verify for half-done sign-ins. It asks the store each time.
func (m *Manager) VerifyHalfDone(ctx context.Context, token, scope string) (*View, error) {
	for {
		var with *ring
		v, err := m.known(ctx, func(r *ring) (*View, error) {
			with = r
			return m.halfDoneWith(ctx, r, token, scope)
		})
		if err != nil || m.ring.Load() == with { // as in load
			return v, err
		}
	}
}

func (m *Manager) halfDoneWith(ctx context.Context, ring *ring, token, scope string) (*View, error) {
	now := m.now()
	c, err := m.parse(ring, halfDone, token, scope, now)
	if err != nil {
		return nil, err
	}
	v, err := m.records(ctx, c)
	if err != nil {
		return nil, err
	}
	if s := v.Session; s.Complete || s.Scope != scope || s.Over(now) {
		return nil, mfa.ErrNoSession
	}
	return v, nil
}

// records returns the session and the user that the claims name, or
// mfa.ErrNoSession where one of them is gone or they do not belong together.
func (m *Manager) records(ctx context.Context, c *claims) (*View, error) {
	ctx, cancel := context.WithTimeout(ctx, storeTimeout)
	defer cancel()
	s, err := m.store.Session(ctx, mfa.SessionID(c.Session))
	if errors.Is(err, mfa.ErrNotFound) {
		return nil, mfa.ErrNoSession
	}
	if err != nil {
		return nil, fmt.Errorf("loading a session: %w", err)
	}
	if s.User != mfa.UserID(c.User) {
		return nil, mfa.ErrNoSession
	}
	u, err := m.store.User(ctx, s.User)
	if errors.Is(err, mfa.ErrNotFound) {
		return nil, mfa.ErrNoSession
	}
	if err != nil {
		return nil, fmt.Errorf("loading the user of a session: %w", err)
	}
	if s.Generation != u.Generation {
		return nil, mfa.ErrNoSession // all sessions were ended while this one was being made
	}
	return &View{Session: s, Subject: u.AsSubject()}, nil
}

// InStep reports whether this node hears of what other nodes change. While it does not, it
// cannot say that a proof still stands which was fresh a moment ago.
func (m *Manager) InStep() bool { return m.store.InStep() }

// Forget makes every verified session of the user be looked up anew, as a
// committed change does.
func (m *Manager) Forget(user mfa.UserID) { m.epochs.bump(user) }

// Close stops the writing of last-seen times after writing what is due. Verify
// goes on working: requests outlive a reload.
func (m *Manager) Close(ctx context.Context) error {
	m.closing.Do(func() { close(m.stop) })
	<-m.stopped
	return m.flush(ctx)
}

func (m *Manager) flushUntilClosed() {
	defer close(m.stopped)
	tick := time.NewTicker(flushEvery)
	defer tick.Stop()
	for {
		select {
		case <-m.stop:
			return
		case <-tick.C:
			ctx, cancel := context.WithTimeout(context.Background(), flushEvery)
			// What could not be written is tried again with the next batch.
			_ = m.flush(ctx)
			cancel()
		}
	}
}

// flush writes the last-seen times that the store does not have yet.
func (m *Manager) flush(ctx context.Context) error {
	return errors.Join(m.flushSessions(ctx), m.flushTokens(ctx))
}

func (m *Manager) flushSessions(ctx context.Context) error {
	due := m.cache.takeSeen()
	if len(due) == 0 {
		return nil
	}
	if err := m.store.Touch(ctx, due); err != nil {
		m.cache.returnSeen(due)
		return fmt.Errorf("writing when sessions were last seen: %w", err)
	}
	return nil
}
