package seal

import (
	"bytes"
	"context"
	"fmt"
)

// CopyKeys puts the same keys into another vault, sealed with master where it is not nil,
// and returns them as they are kept there. It never replaces any (ErrReplaced).
func CopyKeys(ctx context.Context, ks *Keyset, vault Vault, master *Master) (*Keyset, error) {
	if _, guarded := vault.(guardedVault); !guarded && master == nil {
		return nil, fmt.Errorf("copying the keys: %w", ErrMasterNeeded)
	}
	st := ks.state.Load()
	copied := newKeyset(st)
	copied.vault, copied.master = vault, master
	var err error
	if copied.text, err = copied.seal(st); err != nil {
		return nil, fmt.Errorf("copying the keys: %w", err)
	}
	if err := vault.Replace(ctx, nil, copied.text); err != nil {
		return nil, err // it says what it was doing
	}
	return copied, nil
}

// SealedText returns the keys sealed with the master key, for a place that others may read;
// nil where there is no master key: in plain text they go nowhere.
func (ks *Keyset) SealedText() ([]byte, error) {
	if ks.master == nil {
		return nil, nil
	}
	return ks.seal(ks.state.Load())
}

// OpenSealed reads what SealedText wrote. ErrMasterMissing, ErrMasterWrong, ErrNotSealed,
// ErrKeyFile.
func OpenSealed(text []byte, master *Master) (*Keyset, error) {
	if master == nil {
		return nil, ErrMasterMissing
	}
	st, err := openState(nil, master, text)
	if err != nil {
		return nil, fmt.Errorf("reading the keys: %w", err)
	}
	ks := newKeyset(st)
	ks.master = master
	return ks, nil
}

// Holds reports whether the primary key of other is one of these: what other made can be
// read and verified with them.
func (ks *Keyset) Holds(other *Keyset) bool {
	const purpose = "comparison"
	theirs := other.Derived(purpose)[0]
	for _, k := range ks.Derived(purpose) {
		if k.ID == theirs.ID {
			return bytes.Equal(k.Secret, theirs.Secret)
		}
	}
	return false
}
