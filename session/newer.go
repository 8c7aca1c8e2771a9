package session

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"
)

// newerPause is how much time lies between two looks for newer keys, however many tokens
// name a key that nobody knows: anybody can send such tokens.
const newerPause = 100 * time.Millisecond

// errUnknownKey is a token of a key that this node does not have.
var errUnknownKey = fmt.Errorf("%w: no such key", ErrInvalid)

// newer looks for keys that another node has made, and that this one has not heard of yet:
// after a theft of the keys a new one signs at once, and a node that stood still for longer
// than a new key waits missed it. What it would refuse as forged, and take the cookie of,
// is good on every other node.
type newer struct {
	look func(context.Context) error // nil: there is no other node

	turn sync.Mutex
	told time.Time // when the last look began
	err  error     // what it ended with
}

// ask returns when a look has ended that began after the call of ask. One look answers
// everybody who waits.
func (n *newer) ask(ctx context.Context) error {
	came := time.Now()
	n.turn.Lock()
	defer n.turn.Unlock()
	if n.told.After(came) {
		return n.err
	}
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-time.After(time.Until(n.told.Add(newerPause))):
	}
	n.told = time.Now()
	// Not with the caller's context: the answer is everybody's.
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), storeTimeout)
	defer cancel()
	n.err = n.look(ctx)
	return n.err
}

// known has f look at a token with the keys that there are, and once more with newer ones
// where it knows none of that name. Any error but ErrNoSession means that nobody can tell.
func (m *Manager) known(ctx context.Context, f func(*ring) (*View, error)) (*View, error) {
	ring := m.ring.Load()
	v, err := f(ring)
	if !errors.Is(err, errUnknownKey) || m.newer.look == nil {
		return v, err
	}
	if err := m.newer.ask(ctx); err != nil {
		return nil, fmt.Errorf("looking for the key of a token: %w", err)
	}
	if next := m.ring.Load(); next != ring {
		return f(next)
	}
	return v, err
}
