package archive

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/secondgate/secondgate/internal/durable"
)

// File is a backup that is being written. It has its name when it is whole, and not before.
type File struct {
	*os.File
	path  string
	force bool
}

// Partial is the name of the file while it is being written.
func Partial(path string) string { return path + ".partial" }

// CreateFile begins a file that only its owner can read. An older one of that name is
// replaced where force says so, and fs.ErrExist otherwise.
func CreateFile(path string, force bool) (*File, error) {
	if _, err := os.Lstat(path); !force && !errors.Is(err, fs.ErrNotExist) {
		if err == nil {
			err = fmt.Errorf("%s: %w; name another file, or say --force to replace it", path, fs.ErrExist)
		}
		return nil, err
	}
	f, err := os.OpenFile(Partial(path), os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if errors.Is(err, fs.ErrExist) {
		return nil, fmt.Errorf("%s: %w: another backup is being written there, or one was cut short; where none is, remove it", Partial(path), err)
	}
	if err != nil {
		return nil, err
	}
	return &File{f, path, force}, nil
}

// Keep gives the file its name, once all of it is on disk.
func (f *File) Keep() error {
	err := f.Sync()
	if closeErr := f.Close(); err == nil {
		err = closeErr
	}
	if err == nil {
		err = f.name()
	}
	if err != nil {
		_ = os.Remove(Partial(f.path))
		return fmt.Errorf("writing %s: %w", f.path, err)
	}
	return durable.SyncFolder(filepath.Dir(f.path))
}

func (f *File) name() error {
	if f.force {
		return os.Rename(Partial(f.path), f.path)
	}
	// A link, unlike a new name, replaces nothing that came meanwhile.
	switch err := os.Link(Partial(f.path), f.path); {
	case err == nil:
		return os.Remove(Partial(f.path))
	case errors.Is(err, fs.ErrExist):
		return err
	}
	return os.Rename(Partial(f.path), f.path) // a file system without links
}

// Drop removes what was written.
func (f *File) Drop() {
	_ = f.Close()
	_ = os.Remove(Partial(f.path))
}
