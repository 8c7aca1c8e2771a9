package seal

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"
)

// The choices that a caller of a rotation has.
var (
	// ErrRotating says that a key waits to become the primary one already.
	ErrRotating = errors.New("the keys are being rotated already")
	// ErrNoKey says that there is no such key, or that it is not in the status for this.
	ErrNoKey = errors.New("there is no such key")
)

// changeTries is how often a change is tried anew because another node made one.
const changeTries = 8

// change replaces the content by what next makes of it, in the vault first: what is not
// kept is never used. next gets a state of its own and may run more than once.
func (ks *Keyset) change(ctx context.Context, next func(*state) error) error {
	ks.changing.Lock()
	defer ks.changing.Unlock()
	for range changeTries {
		if err := ks.refresh(ctx); err != nil {
			return err
		}
		now := ks.state.Load()
		st := &state{keys: slices.Clone(now.keys), set: now.set, names: now.names, serial: now.serial + 1}
		if err := next(st); err != nil {
			return err
		}
		if ks.vault == nil {
			ks.swap(st)
			return nil
		}
		text, err := ks.seal(st)
		if err != nil {
			return fmt.Errorf("writing the keys: %w", err)
		}
		err = ks.vault.Replace(ctx, ks.text, text)
		if errors.Is(err, ErrReplaced) {
			continue
		}
		if err != nil {
			return err // it says what it was doing
		}
		ks.text = text
		ks.swap(st)
		return nil
	}
	return fmt.Errorf("writing the keys: %w", ErrReplaced)
}

// Begin adds a new key that waits: it opens and verifies, and nothing is made with it, so
// that every node knows it before anything is. ErrRotating where one waits already.
func (ks *Keyset) Begin(ctx context.Context, now time.Time) (id string, err error) {
	k, err := newKey(now, Pending)
	if err != nil {
		return "", err
	}
	err = ks.change(ctx, func(st *state) error {
		if st.find(Pending) != nil {
			return ErrRotating
		}
		st.keys = append(st.keys, k)
		return nil
	})
	return k.name(), err
}

// Promote makes the key that waits the primary one; the one before it opens and verifies
// from then on. ErrNoKey where none of that ID waits.
func (ks *Keyset) Promote(ctx context.Context, id string, now time.Time) error {
	return ks.change(ctx, func(st *state) error {
		k := st.find(Pending)
		if k == nil || k.name() != id {
			return fmt.Errorf("key %s: %w that waits", id, ErrNoKey)
		}
		st.keys[0].become(DecryptOnly, now)
		k.become(Primary, now)
		st.primaryFirst()
		return nil
	})
}

// Compromised makes a new key the primary one at once and retires all others: no token
// that they made is good any more. What outlives rotations is made anew as well. A key that
// waited is thrown away: nothing was made with it, and it stood beside those that were
// stolen.
func (ks *Keyset) Compromised(ctx context.Context, now time.Time) (id string, err error) {
	k, err := newKey(now, Primary)
	if err != nil {
		return "", err
	}
	err = ks.change(ctx, func(st *state) error {
		st.keys = slices.DeleteFunc(st.keys, func(o key) bool { return o.status == Pending })
		for i := range st.keys {
			st.keys[i].become(Retired, now)
		}
		st.keys = append([]key{k}, st.keys...)
		st.names = k.derive("unknown names")
		return nil
	})
	return k.name(), err
}

// Revoke retires one of the keys before the primary one. ErrNoKey where it is none of
// them.
func (ks *Keyset) Revoke(ctx context.Context, id string, now time.Time) error {
	return ks.change(ctx, func(st *state) error {
		for i := range st.keys {
			if k := &st.keys[i]; k.name() == id && k.status == DecryptOnly {
				k.become(Retired, now)
				return nil
			}
		}
		return fmt.Errorf("key %s: %w that is no longer the primary one and still verifies", id, ErrNoKey)
	})
}

// Remove forgets a key that came before the primary one. What it sealed opens no more, and
// nobody can bring it back. ErrNoKey where it is none of them.
func (ks *Keyset) Remove(ctx context.Context, id string) error {
	return ks.change(ctx, func(st *state) error {
		n := len(st.keys)
		st.keys = slices.DeleteFunc(st.keys, func(k key) bool {
			return k.name() == id && (k.status == DecryptOnly || k.status == Retired)
		})
		if len(st.keys) == n {
			return fmt.Errorf("key %s: %w that came before the primary one", id, ErrNoKey)
		}
		return nil
	})
}

// become gives the key its next status.
func (k *key) become(s Status, now time.Time) {
	if k.status != s {
		k.status, k.since = s, now.UTC().Truncate(time.Second)
	}
}

// find returns the first key of that status, or nil.
func (st *state) find(s Status) *key {
	for i := range st.keys {
		if st.keys[i].status == s {
			return &st.keys[i]
		}
	}
	return nil
}

// primaryFirst puts the primary key first, and the others behind it, newest first.
func (st *state) primaryFirst() {
	slices.SortStableFunc(st.keys, func(a, b key) int {
		switch {
		case a.status == Primary:
			return -1
		case b.status == Primary:
			return 1
		}
		return b.created.Compare(a.created)
	})
}
