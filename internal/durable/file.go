// Package durable writes small files that have to be there after a power cut, whole:
// keys, and markers that say that there was a store. Only their owner can read them.
package durable

import (
	"os"
	"path/filepath"
	"runtime"
)

// Create writes a new file and returns when it and its name are on disk. A file of that
// name is fs.ErrExist and stays as it is; half a file never stays.
func Create(path string, content []byte) error {
	f, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return err
	}
	if err := write(f, content); err != nil {
		_ = os.Remove(path)
		return err
	}
	return SyncFolder(filepath.Dir(path))
}

// Replace puts a file in the place of the one that may be there, and returns when it is on
// disk: whatever happens in between, one of the two is there whole.
func Replace(path string, content []byte) error {
	f, err := os.CreateTemp(filepath.Dir(path), filepath.Base(path)+".*") // 0600
	if err != nil {
		return err
	}
	err = write(f, content)
	if err == nil {
		err = os.Rename(f.Name(), path)
	}
	if err != nil {
		_ = os.Remove(f.Name())
		return err
	}
	return SyncFolder(filepath.Dir(path))
}

// write ends with the file closed.
func write(f *os.File, content []byte) error {
	_, err := f.Write(content)
	if err == nil {
		err = f.Sync()
	}
	if closeErr := f.Close(); err == nil {
		err = closeErr
	}
	return err
}

// SyncFolder makes the names of a folder as durable as what is in its files.
func SyncFolder(dir string) error {
	if runtime.GOOS == "windows" {
		return nil // it cannot, and writes names through by itself
	}
	d, err := os.Open(dir)
	if err != nil {
		return err
	}
	err = d.Sync()
	if closeErr := d.Close(); err == nil {
		err = closeErr
	}
	return err
}
