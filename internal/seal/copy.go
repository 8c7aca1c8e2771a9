package seal

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
)

// CopyKeys makes a key file with the same keys, readable by its owner alone, and returns
// when it is on disk. It never replaces a file (fs.ErrExist).
func CopyKeys(ks *Keyset, path string) error {
	raw, err := ks.encode()
	if err != nil {
		return fmt.Errorf("copying the keys: %w", err)
	}
	f, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return fmt.Errorf("copying the keys: %w", err)
	}
	if err := writeSynced(f, raw); err != nil {
		_ = os.Remove(path) // half a file would stop every start
		return fmt.Errorf("copying the keys: %w", err)
	}
	if err := syncDir(filepath.Dir(path)); err != nil {
		return fmt.Errorf("copying the keys: %w", err)
	}
	return nil
}

// Holds reports whether the primary key of other is one of these: what other made can be
// read and verified with them.
func (ks *Keyset) Holds(other *Keyset) bool {
	const purpose = "comparison"
	_, byID := ks.Derived(purpose)
	id, theirs := other.Derived(purpose)
	return bytes.Equal(byID[id], theirs[id])
}
