//go:build linux || darwin || freebsd

package badger

import "syscall"

// freeSpace returns how many bytes this process may still write under dir.
func freeSpace(dir string) (uint64, error) {
	var st syscall.Statfs_t
	if err := syscall.Statfs(dir, &st); err != nil {
		return 0, err
	}
	if st.Bavail <= 0 { // signed on some systems
		return 0, nil
	}
	return uint64(st.Bavail) * uint64(st.Bsize), nil
}
