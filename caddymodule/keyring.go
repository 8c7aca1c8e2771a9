package caddymodule

import (
	"context"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"

	"github.com/secondgate/secondgate/internal/clock"
	"github.com/secondgate/secondgate/internal/seal"
	"github.com/secondgate/secondgate/session"
	"github.com/secondgate/secondgate/store"
	"github.com/secondgate/secondgate/store/postgres"
)

const (
	// knownAfter is how long apps may keep the published keys, and a little: a key signs
	// assertions from then on.
	knownAfter = 6 * time.Minute
	// sharedWait is how long a new key waits where several nodes have the same store, and
	// sharedPoll how often each of them looks, should it not be told.
	sharedWait = 10 * time.Second
	sharedPoll = 4 * time.Second
)

// keysTeller is a store of several nodes, which tells when another one has changed the keys.
type keysTeller interface {
	OnKeysChange(fn func()) (remove func())
}

// keyring are the keys of an open store, and what carries their rotation on.
type keyring struct {
	*seal.Keyset
	rotation *store.Rotation // nil: the store cannot seal its records anew
	// newer looks whether another node has changed the keys; nil: there is none.
	newer   func(context.Context) error
	longest atomic.Int64 // the longest life of a token that there was, in nanoseconds
	stop    context.CancelFunc
	running sync.WaitGroup
}

// newKeyring returns the keyring of a store that was just opened. run carries rotations on
// until close.
func newKeyring(opened openStore, keys *seal.Keyset, logger *slog.Logger) *keyring {
	k := &keyring{Keyset: keys, stop: func() {}}
	opened = unmeasured(opened)
	if resealer, ok := opened.(store.Resealer); ok {
		cfg := store.Rotation{
			Keys: keys, Store: resealer, Locks: opened, Logger: logger, Now: clock.Now,
			Life: func() time.Duration { return time.Duration(k.longest.Load()) },
		}
		teller, shared := opened.(keysTeller)
		if shared {
			cfg.Wait, cfg.Poll = sharedWait, sharedPoll
		}
		k.rotation = store.NewRotation(cfg)
		if shared {
			k.newer = keys.Newer
			teller.OnKeysChange(k.rotation.Wake)
		}
	}
	return k
}

func (k *keyring) run() {
	if k.rotation == nil {
		return
	}
	ctx, cancel := context.WithCancel(context.Background())
	k.stop = cancel
	k.running.Go(func() { k.rotation.Run(ctx) })
}

func (k *keyring) close() {
	k.stop()
	k.running.Wait()
}

// lives notes how long a token may live: keys verify for at least as long after they have
// signed. A configuration that ends earlier leaves tokens behind.
func (k *keyring) lives(d time.Duration) {
	for {
		was := k.longest.Load()
		if int64(d) <= was || k.longest.CompareAndSwap(was, int64(d)) {
			return
		}
	}
}

// follow has set called with the keys of that purpose at each change of them, until remove.
// Changes may come at once, so each takes what holds when it is its turn.
func follow(ks *seal.Keyset, purpose string, logger *slog.Logger, set func([]session.Key) error) (remove func()) {
	var turn sync.Mutex
	take := func() {
		turn.Lock()
		defer turn.Unlock()
		if err := set(derivedKeys(ks, purpose)); err != nil {
			logger.Error("keys: a change of them was not taken", "of", purpose, "error", err)
		}
	}
	remove = ks.OnChange(take)
	take() // one that came since the caller looked
	return remove
}

// derivedKeys derives the keys of one purpose. The primary one comes first.
func derivedKeys(ks *seal.Keyset, purpose string) []session.Key {
	var keys []session.Key
	for _, k := range ks.Derived(purpose) {
		keys = append(keys, session.Key{ID: k.ID, Secret: k.Secret, Known: k.Created.Add(knownAfter)})
	}
	return keys
}

// What keys are derived for.
const (
	forTokens     = "session token"
	forAssertions = "assertion"
)

// A store of several nodes that were none for the keyring would not wait for the others.
var (
	_ keysTeller     = (*postgres.Store)(nil)
	_ store.Resealer = (*postgres.Store)(nil)
)
