package session

import (
	"errors"
	"fmt"
	"time"
)

// Key signs tokens, or is what a key that signs assertions is made of. It is bound to its
// use and to its ID.
type Key struct {
	ID     string
	Secret []byte // 32 bytes
	// Known is from when on every app can know the key: until then assertions are signed
	// with another one that is known, where there is one. Session tokens do not wait.
	Known time.Time
}

// ring is the keys of one moment. It is never changed, and its address names it.
type ring struct {
	signing string // ID of the key that signs
	keys    map[string][]byte
}

func newRing(keys []Key) (*ring, error) {
	if len(keys) == 0 {
		return nil, errors.New("no key")
	}
	r := &ring{signing: keys[0].ID, keys: make(map[string][]byte, len(keys))}
	for _, k := range keys {
		if _, twice := r.keys[k.ID]; k.ID == "" || twice || len(k.Secret) != keySize {
			return nil, fmt.Errorf("key %q: IDs are unique and secrets of %d bytes", k.ID, keySize)
		}
		r.keys[k.ID] = append([]byte(nil), k.Secret...)
	}
	return r, nil
}

// SetKeys replaces the keys: the first signs, all verify. What a key signed that is not
// among them is refused from now on, also where it was verified before and is in memory
// (AC-197); everybody else goes on. On an error the keys stay as they are.
func (m *Manager) SetKeys(keys []Key) error {
	r, err := newRing(keys)
	if err != nil {
		return fmt.Errorf("setting the keys of session tokens: %w", err)
	}
	m.ring.Store(r)
	return nil
}
