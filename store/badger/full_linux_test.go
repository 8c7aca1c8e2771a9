package badger

import (
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/secondgate/secondgate/internal/seal"
)

// AC-188 on a disk that is really full. It runs in a process of its own, because
// what must not happen is that the process dies.
func TestStore_AC188_survivesADiskThatIsReallyFull(t *testing.T) {
	if dir := os.Getenv("SECONDGATE_TEST_FULL"); dir != "" {
		fillDisk(t, dir)
		return
	}
	dir := t.TempDir()
	if err := syscall.Mount("tmpfs", dir, "tmpfs", 0, "size=240m"); err != nil {
		t.Skipf("a small disk is needed, which only root can mount: %v", err)
	}
	t.Cleanup(func() { _ = syscall.Unmount(dir, 0) })
	for _, part := range []string{"fill", "refuse", "free"} {
		child := exec.Command(os.Args[0], "-test.run=^TestStore_AC188_survivesADiskThatIsReallyFull$", "-test.v")
		child.Env = append(os.Environ(), "SECONDGATE_TEST_FULL="+dir, "SECONDGATE_TEST_PART="+part)
		out, err := child.CombinedOutput()
		if err != nil || !strings.Contains(string(out), "survived") {
			t.Fatalf("%s: %v\n%s", part, err, out)
		}
	}
}

func fillDisk(t *testing.T, dir string) {
	ballast := filepath.Join(dir, "ballast")
	keyFile := filepath.Join(dir, "keys")
	o := Options{Dir: filepath.Join(dir, "store"), MinFree: 80 << 20}
	ok := func(err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	var err error
	switch os.Getenv("SECONDGATE_TEST_PART") {
	case "fill":
		o.Keys, err = seal.CreateKeys(ctx, seal.FileVault(keyFile), nil)
		ok(err)
		s, err := Open(o)
		ok(err)
		fill(t, s)
		// Somebody else fills the disk to the last byte.
		f, err := os.Create(ballast)
		ok(err)
		for err == nil {
			_, err = f.Write(make([]byte, 1<<16))
		}
		if !errors.Is(err, syscall.ENOSPC) {
			t.Fatal(err)
		}
		s.space.until.Store(0) // the five seconds are over
		for i := range 1000 {
			if err := s.CreateUser(ctx, user(users+i)); !errors.Is(err, ErrFull) {
				t.Fatalf("writing: %v", err)
			}
		}
		ok(intact(s))
		if err := s.Close(); !errors.Is(err, ErrFull) {
			t.Fatalf("closing: %v", err)
		}
	case "refuse":
		o.Keys, err = seal.OpenKeys(ctx, seal.FileVault(keyFile), nil)
		ok(err)
		if _, err := Open(o); !errors.Is(err, ErrFull) {
			t.Fatalf("opening: %v", err)
		}
	case "free":
		ok(os.Remove(ballast))
		o.Keys, err = seal.OpenKeys(ctx, seal.FileVault(keyFile), nil)
		ok(err)
		if err := reopen(t, "with room again", o); err != nil {
			t.Fatal(err)
		}
		s, err := Open(o)
		ok(err)
		if _, err := s.User(ctx, user(1).ID); err != nil {
			t.Fatal(err)
		}
		ok(s.CreateUser(ctx, user(users)))
		ok(s.Close())
	}
	t.Log("survived")
}
