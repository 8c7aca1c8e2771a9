package seal

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/secondgate/secondgate/internal/durable"
)

// ErrExposed says that others than its owner could read or change the file.
var ErrExposed = errors.New("others can read or change the key file")

// FileVault keeps a key set in the file of that path, which its owner alone can read. It is
// a Vault: it replaces the file whole, and two processes do so one after the other.
type FileVault string

func (FileVault) guarded() {}

// Read implements Vault. A file that others than its owner can read or change is
// ErrExposed.
func (v FileVault) Read(context.Context) ([]byte, error) {
	path := string(v)
	f, err := os.Open(path)
	if err != nil {
		return nil, fmt.Errorf("reading the key file: %w", err)
	}
	defer f.Close()
	// What is open is looked at: a name can be given to another file in between.
	info, err := f.Stat()
	if err != nil {
		return nil, fmt.Errorf("reading the key file: %w", err)
	}
	if !info.Mode().IsRegular() {
		return nil, fmt.Errorf("reading the key file %s: %w: not a regular file", path, ErrKeyFile)
	}
	if err := checkPrivate(info); err != nil {
		return nil, fmt.Errorf("reading the key file %s: %w", path, err)
	}
	raw, err := io.ReadAll(io.LimitReader(f, maxText+1))
	if err != nil {
		return nil, fmt.Errorf("reading the key file: %w", err)
	}
	return raw, nil
}

// Replace implements Vault. The file is there whole, before or after, whatever happens in
// between.
func (v FileVault) Replace(ctx context.Context, old, next []byte) error {
	path := string(v)
	unlock, err := lockFolder(ctx, filepath.Dir(path))
	if err != nil {
		return fmt.Errorf("writing the key file: %w", err)
	}
	defer unlock()
	if old == nil {
		return v.create(next)
	}
	now, err := v.Read(ctx)
	switch {
	case errors.Is(err, fs.ErrNotExist), err == nil && !bytes.Equal(now, old):
		return fmt.Errorf("writing the key file: %w", ErrReplaced)
	case err != nil:
		return err // it says what it was doing
	}
	if err := durable.Replace(path, next); err != nil {
		return fmt.Errorf("writing the key file: %w", err)
	}
	return nil
}

// create never replaces a file: the keys in it may be all that opens a store.
func (v FileVault) create(text []byte) error {
	err := durable.Create(string(v), text)
	switch {
	case errors.Is(err, fs.ErrExist):
		return fmt.Errorf("creating the key file: %w: %w", ErrReplaced, err)
	case err != nil:
		return fmt.Errorf("creating the key file: %w", err)
	}
	return nil
}

var _ Vault = FileVault("")
