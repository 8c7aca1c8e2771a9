//go:build unix

package badger

import (
	"os"
	"syscall"
)

// lockDir takes the lock that Badger takes, or reports false where another has
// it. The files are looked at under it, or a running gateway's tidying would look
// like damage.
func lockDir(dir string) (unlock func(), ok bool, err error) {
	d, err := os.Open(dir)
	if err != nil {
		return nil, false, err
	}
	if err := syscall.Flock(int(d.Fd()), syscall.LOCK_EX|syscall.LOCK_NB); err != nil {
		_ = d.Close()
		return nil, false, nil
	}
	return func() { _ = d.Close() }, true, nil
}
