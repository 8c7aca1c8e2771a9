package postgres

import (
	"fmt"
	"log/slog"
	"slices"
	"sync"
	"time"

	"github.com/secondgate/secondgate/mfa"
)

// maxPending is how many different changes a listener may be behind before it is told
// that anything may have changed.
const maxPending = 10_000

// told are those who want to know what changes.
type told struct{ users, policy, keys listeners }

// OnChange implements mfa.Changes.
func (s *Store) OnChange(fn func(mfa.UserID)) {
	s.db.told.users.add(func(user string) { fn(mfa.UserID(user)) })
}

// OnOrganizationChange implements mfa.Organizations.
func (s *Store) OnOrganizationChange(fn func()) (remove func()) {
	return s.db.told.policy.add(func(string) { fn() })
}

// OnKeysChange registers a function that is called, some time after each change of the key
// set on this node or another one, by a goroutine of its own: what Vault reads then is the
// newest. The function returned takes it away again.
func (s *Store) OnKeysChange(fn func()) (remove func()) {
	return s.db.told.keys.add(func(string) { fn() })
}

func newTold(logger *slog.Logger) *told {
	return &told{listeners{log: logger}, listeners{log: logger}, listeners{log: logger}}
}

// everything says that anything may have changed.
func (t *told) everything() {
	t.users.soon("")
	t.policy.soon("")
	t.keys.soon("")
}

// behind returns for how long somebody has owed to finish with what others changed.
func (t *told) behind(now time.Time) time.Duration {
	return max(t.users.behind(now), t.policy.behind(now), t.keys.behind(now))
}

// listeners are functions that are called with what changed: the ID of a user, or "" for
// anything. They are safe for concurrent use.
type listeners struct {
	log  *slog.Logger
	mu   sync.RWMutex
	list []*listener
}

// listener is one of them. What others changed waits for it in a line of its own, so that
// one that hangs keeps nobody else from being told.
type listener struct {
	fn  func(what string)
	log *slog.Logger

	mu      sync.Mutex
	pending map[string]struct{}
	since   time.Time // when it was given what it has not finished; zero: nothing
}

func (ls *listeners) add(fn func(what string)) (remove func()) {
	l := &listener{fn: fn, log: ls.log}
	ls.mu.Lock()
	defer ls.mu.Unlock()
	ls.list = append(slices.Clip(ls.list), l) // whoever reads the old list keeps it
	return func() {
		ls.mu.Lock()
		defer ls.mu.Unlock()
		ls.list = slices.DeleteFunc(slices.Clone(ls.list), func(other *listener) bool { return other == l })
	}
}

func (ls *listeners) all() []*listener {
	ls.mu.RLock()
	defer ls.mu.RUnlock()
	return ls.list
}

// now calls all of them, and returns when they have: for what this node changed itself.
func (ls *listeners) now(what string) {
	for _, l := range ls.all() {
		l.call(what)
	}
}

// soon has all of them called, and waits for none: for what others changed.
func (ls *listeners) soon(what string) {
	for _, l := range ls.all() {
		l.soon(what)
	}
}

func (ls *listeners) behind(now time.Time) (longest time.Duration) {
	for _, l := range ls.all() {
		l.mu.Lock()
		if !l.since.IsZero() {
			longest = max(longest, now.Sub(l.since))
		}
		l.mu.Unlock()
	}
	return longest
}

func (l *listener) soon(what string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if _, anything := l.pending[""]; anything {
		return
	}
	if len(l.pending) >= maxPending {
		what = ""
	}
	if what == "" || l.pending == nil {
		l.pending = make(map[string]struct{})
	}
	l.pending[what] = struct{}{}
	if l.since.IsZero() {
		l.since = time.Now()
		go l.catchUp()
	}
}

// catchUp calls the listener until nothing waits for it.
func (l *listener) catchUp() {
	for {
		l.mu.Lock()
		pending := l.pending
		l.pending = nil
		if pending == nil {
			l.since = time.Time{}
			l.mu.Unlock()
			return
		}
		l.since = time.Now()
		l.mu.Unlock()
		for what := range pending {
			l.call(what)
		}
	}
}

// call calls the listener. The change is committed, whatever it does.
func (l *listener) call(what string) {
	defer func() {
		if p := recover(); p != nil {
			l.log.Error("a listener of changes failed", "cause", fmt.Sprint(p))
		}
	}()
	l.fn(what)
}
