package seal

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"time"
)

// What is wrong with a text that came to stand where the key set was.
var (
	// ErrOlder says that an older text stands there: what was made since could not be read
	// with it.
	ErrOlder = errors.New("an older key set was put in the place of the newest one; put the newest one back")
	// ErrForeign says that the keys of another installation stand there.
	ErrForeign = errors.New("the keys of another installation were put in the place of these; put these back")
)

// OpenKeys reads a key set. fs.ErrNotExist where there is none; ErrExposed, ErrKeyFile,
// ErrMasterMissing, ErrMasterWrong, ErrMasterNeeded, ErrNotSealed. master is nil where
// there is no master key.
func OpenKeys(ctx context.Context, vault Vault, master *Master) (*Keyset, error) {
	raw, st, err := readState(ctx, vault, master)
	if err != nil {
		return nil, err
	}
	ks := newKeyset(st)
	ks.vault, ks.master, ks.text = vault, master, raw
	return ks, nil
}

// CreateKeys makes a key set with one new key, and returns when it is kept. It never
// replaces one (ErrReplaced): the keys in it may be all that opens a store.
func CreateKeys(ctx context.Context, vault Vault, master *Master) (*Keyset, error) {
	if _, guarded := vault.(guardedVault); !guarded && master == nil {
		return nil, fmt.Errorf("making keys: %w", ErrMasterNeeded)
	}
	k, err := newKey(time.Now(), Primary)
	if err != nil {
		return nil, err
	}
	ks := newKeyset(firstState(k))
	ks.vault, ks.master = vault, master
	if ks.text, err = ks.seal(ks.state.Load()); err != nil {
		return nil, fmt.Errorf("making keys: %w", err)
	}
	if err := vault.Replace(ctx, nil, ks.text); err != nil {
		return nil, err // it says what it was doing
	}
	return ks, nil
}

// OpenOrCreateKeys is OpenKeys, or CreateKeys where there are none yet. The caller knows that
// there is no store yet either. Of several nodes that make some at once, all get the same.
func OpenOrCreateKeys(ctx context.Context, vault Vault, master *Master) (*Keyset, error) {
	ks, err := OpenKeys(ctx, vault, master)
	if !errors.Is(err, fs.ErrNotExist) {
		return ks, err
	}
	ks, err = CreateKeys(ctx, vault, master)
	if errors.Is(err, ErrReplaced) {
		return OpenKeys(ctx, vault, master)
	}
	return ks, err
}

// readState reads and opens what is in the vault.
func readState(ctx context.Context, vault Vault, master *Master) ([]byte, *state, error) {
	raw, err := vault.Read(ctx)
	if err != nil {
		return nil, nil, err
	}
	st, err := openState(vault, master, raw)
	if path, ok := vault.(FileVault); ok && err != nil {
		return nil, nil, fmt.Errorf("reading the key file %s: %w", string(path), err)
	}
	if err != nil {
		return nil, nil, fmt.Errorf("reading the keys: %w", err)
	}
	return raw, st, nil
}

func openState(vault Vault, master *Master, raw []byte) (*state, error) {
	_, guarded := vault.(guardedVault)
	if !guarded && master == nil {
		return nil, ErrMasterNeeded
	}
	t, err := parseText(raw)
	if err != nil {
		return nil, err
	}
	if t.Master == "" {
		if !guarded {
			// Whoever can write the database must not be able to bring keys of their own.
			return nil, ErrNotSealed
		}
		return t.state()
	}
	text, _, err := master.open(t)
	if err != nil {
		return nil, err
	}
	if t, err = parseText(text); err != nil {
		return nil, err
	}
	return t.state()
}

// seal returns the text of st as it is to stand in the vault.
func (ks *Keyset) seal(st *state) ([]byte, error) {
	text, err := st.encode()
	if err != nil || ks.master == nil {
		return text, err
	}
	return ks.master.seal(text)
}

// UseMaster takes the master key that is given from now on (nil: none), and seals the text
// in the vault with it where something else did, or nothing; it reports whether it had to.
// ErrMasterMissing and ErrMasterWrong where the master key cannot open what stands there.
func (ks *Keyset) UseMaster(ctx context.Context, m *Master) (sealed bool, err error) {
	ks.changing.Lock()
	defer ks.changing.Unlock()
	if ks.vault == nil {
		return false, nil
	}
	if _, err := openState(ks.vault, m, ks.text); err != nil {
		return false, fmt.Errorf("reading the keys: %w", err)
	}
	ks.master = m
	if t, err := parseText(ks.text); m == nil || err == nil && t.Master == m.id() {
		return false, nil
	}
	next, err := ks.seal(ks.state.Load())
	if err == nil {
		err = ks.vault.Replace(ctx, ks.text, next)
	}
	if errors.Is(err, ErrReplaced) {
		return false, nil // another node was faster; the next look says what it made of it
	}
	if err != nil {
		return false, fmt.Errorf("sealing the keys with the master key: %w", err)
	}
	ks.text = next
	return true, nil
}

// Refresh reads the vault again and takes what another node, or a command, made of the
// keys. Where that cannot be (it is gone, damaged, older, or another installation's), the
// error says so and the keys stay as they are: what they made could not be read without
// them.
func (ks *Keyset) Refresh(ctx context.Context) error {
	ks.changing.Lock()
	defer ks.changing.Unlock()
	return ks.refresh(ctx)
}

func (ks *Keyset) refresh(ctx context.Context) error {
	if ks.vault == nil {
		return nil
	}
	raw, err := ks.vault.Read(ctx)
	if err != nil {
		return fmt.Errorf("looking for new keys: %w", err)
	}
	if bytes.Equal(raw, ks.text) {
		return nil
	}
	st, err := openState(ks.vault, ks.master, raw)
	if err != nil {
		return fmt.Errorf("looking for new keys: %w", err)
	}
	now := ks.state.Load()
	switch {
	case !bytes.Equal(st.set, now.set):
		return fmt.Errorf("looking for new keys: %w", ErrForeign)
	case st.serial < now.serial:
		return fmt.Errorf("looking for new keys: %w", ErrOlder)
	case st.serial == now.serial && !st.equal(now):
		return fmt.Errorf("looking for new keys: %w", ErrForeign)
	}
	ks.text = raw
	if st.serial > now.serial {
		ks.swap(st)
	}
	return nil
}
