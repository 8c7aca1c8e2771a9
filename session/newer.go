package session

import (
	"context"
	"errors"
	"fmt"
)

// errUnknownKey is a token of a key that this node does not have.
var errUnknownKey = fmt.Errorf("%w: no such key", ErrInvalid)

// known has f look at a token with the keys that there are, and once more with newer ones
// where it knows none of that name: another node may have signed with a key that this one
// has not heard of yet. Refused as forged, its cookie would be taken from somebody who has
// just signed in. Any error but ErrNoSession means that nobody can tell.
func (m *Manager) known(ctx context.Context, f func(*ring) (*View, error)) (*View, error) {
	ring := m.ring.Load()
	v, err := f(ring)
	if !errors.Is(err, errUnknownKey) || m.newer == nil {
		return v, err
	}
	if err := m.newer(ctx); err != nil {
		return nil, fmt.Errorf("looking for the key of a token: %w", err)
	}
	if next := m.ring.Load(); next != ring {
		return f(next)
	}
	return v, err
}
