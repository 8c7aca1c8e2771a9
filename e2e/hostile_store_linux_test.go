package e2e

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"
)

// AC-188: a full disk stops what has to be written, says so, and takes nothing
// else down; freed, it goes on, and nothing that was acknowledged is lost.
func TestHostile_full_disk_AC188(t *testing.T) {
	g := prepare(t, hostileSite)
	if err := os.MkdirAll(g.file("data"), 0o700); err != nil {
		t.Fatal(err)
	}
	if err := syscall.Mount("tmpfs", g.file("data"), "tmpfs", 0, "size=700m"); err != nil {
		require(t, os.Geteuid() != 0, "to mount a tmpfs, which this machine refuses")
		t.Skipf("NOT RUN: this needs root, to mount a small disk: %v", err)
	}
	t.Cleanup(func() {
		g.kill()
		if err := syscall.Unmount(g.file("data"), syscall.MNT_DETACH); err != nil {
			t.Error(err)
		}
	})
	g.launch(t)
	w := &target{gateway: g, wire: g.secureWire()}
	w.browser = g.from(g.secureClient(t, "app", true), network())
	w.alice = w.browser.signUp("alice")
	w.session = w.browser.line()

	filler := g.file("data/filler")
	fill := func() {
		t.Helper()
		f, err := os.Create(filler)
		if err != nil {
			t.Fatal(err)
		}
		defer f.Close()
		chunk := make([]byte, 1<<20)
		for range 4096 {
			var disk syscall.Statfs_t
			if err := syscall.Statfs(g.file("data"), &disk); err != nil {
				t.Fatal(err)
			}
			if disk.Bavail*uint64(disk.Bsize) < 64<<20 { //nolint:gosec // a size
				return
			}
			if _, err := f.Write(chunk); err != nil && !errors.Is(err, syscall.ENOSPC) {
				t.Fatal(err)
			}
		}
	}
	signIn := func() *answered {
		c := w.stranger(t)
		return c.submit(c.get("/.mfa/sign-in"), "/.mfa/sign-in", "name", "alice", "password", password)
	}
	fill()
	full := func() bool {
		for end := time.Now().Add(15 * time.Second); time.Now().Before(end); time.Sleep(200 * time.Millisecond) {
			if a := signIn(); a.Status == 503 {
				if a.Header.Get("Retry-After") == "" {
					t.Error("no Retry-After")
				}
				return true
			}
		}
		return false
	}
	if !full() {
		t.Fatal("sign-ins go on though the disk is full")
	}
	if a, h := w.reaches(w.h2, plainGet("/x").cookie(w.session)); h == nil {
		t.Errorf("the session does not go on: %s", a)
	}
	if a, h := w.reaches(w.h2, plainGet("/public/x")); h == nil {
		t.Errorf("the open part does not go on: %s", a)
	}
	if fault := denied(w.reaches(w.h2, plainGet("/x"))); fault != "" {
		t.Errorf("a stranger: %s", fault)
	}
	// A session that cannot be ended is not said to be.
	c := w.browser
	p := c.submit(c.get("/.mfa/sign-out"), "/.mfa/sign-out")
	if p.Status != 503 {
		t.Errorf("AC-191 sign-out on a full disk: %d %s", p.Status, p.Text())
	}
	// It starts on the full disk, too.
	g.stop()
	err := g.tryLaunch()
	if err == nil {
		// The ports may be open before the store is looked at.
		select {
		case <-g.exited:
			err = errors.New("it has ended")
		case <-time.After(3 * time.Second):
		}
	}
	if err != nil {
		t.Logf("on the full disk it refuses to start: %s", g.output.last(2<<10))
	} else if !full() {
		t.Error("after a restart on the full disk sign-ins go on")
	}
	g.stop()
	if err := os.Remove(filler); err != nil {
		t.Fatal(err)
	}
	g.launch(t)
	second := w.stranger(t)
	second.enter(w.alice)
	if a, h := w.reaches(w.h2, plainGet("/x").cookie(w.session)); h == nil {
		t.Errorf("the session from before is lost: %s", a)
	}
}

// AC-189: a store that is damaged, or without its keys, is never taken for a new
// one: everybody would be without a second factor, and the first account up for
// grabs.
func TestHostile_damaged_store_AC189(t *testing.T) {
	for name, damage := range map[string]func(t *testing.T, dir string){
		"no key file":         func(t *testing.T, dir string) { remove(t, dir+".keys.json") },
		"another key file":    func(t *testing.T, dir string) { copyKeys(t, dir) },
		"no MANIFEST":         func(t *testing.T, dir string) { remove(t, filepath.Join(dir, "MANIFEST")) },
		"a broken MANIFEST":   func(t *testing.T, dir string) { flip(t, filepath.Join(dir, "MANIFEST")) },
		"an empty directory":  func(t *testing.T, dir string) { removeAll(t, dir) },
		"a table flipped":     func(t *testing.T, dir string) { flip(t, newest(t, dir, "*.sst")) },
		"a table gone":        func(t *testing.T, dir string) { remove(t, newest(t, dir, "*.sst")) },
		"a table cut in half": func(t *testing.T, dir string) { cut(t, newest(t, dir, "*.sst")) },
	} {
		t.Run("AC-189 "+name, func(t *testing.T) {
			w := attack(t)
			w.stop()                                    // in order: what was in memory is in tables now
			_ = os.Remove(w.storeDir() + ".setup-link") // if it is still there
			damage(t, w.storeDir())
			err := w.tryLaunch()
			if err == nil {
				// The ports may be open before the store is.
				select {
				case <-w.exited:
					err = errors.New("it has ended")
				case <-time.After(5 * time.Second):
				}
			}
			if err == nil {
				if fault := denied(w.reaches(w.h2, plainGet("/x").cookie(w.session))); fault != "" && !strings.Contains(fault, "503") {
					t.Errorf("it started, and: %s", fault)
				}
				t.Error("it started")
			}
			if _, err := os.Stat(w.storeDir() + ".setup-link"); err == nil {
				t.Error("AC-228 the first account is open again")
			}
			last := w.output.last(4 << 10)
			if !strings.Contains(last, w.dir) {
				t.Errorf("it does not name the file:\n%s", last)
			}
		})
	}
}

// AC-190: where the store or its keys cannot be had, nothing starts, and it says
// why; nothing waits for the first sign-in to fail.
func TestHostile_unusable_store_AC190(t *testing.T) {
	for name, c := range map[string]struct {
		store string
		spoil func(t *testing.T, g *gateway)
	}{
		"a placeholder that stands for nothing": {"{env.NO_SUCH_VARIABLE}/store", func(*testing.T, *gateway) {}},
		"a file in the place of the directory":  {"{env.HOME}/store", func(t *testing.T, g *gateway) { write(t, g.file("store"), "x", 0o600) }},
		"keys that others can read":             {"{env.HOME}/store", func(t *testing.T, g *gateway) { write(t, g.file("store.keys.json"), "{}", 0o644) }},
		"keys that are none":                    {"{env.HOME}/store", func(t *testing.T, g *gateway) { write(t, g.file("store.keys.json"), "", 0o600) }},
		"keys that are too short": {"{env.HOME}/store", func(t *testing.T, g *gateway) {
			write(t, g.file("store.keys.json"), `{"primary":"a","keys":[{"id":"a","secret":"AAAA"}]}`, 0o600)
		}},
	} {
		t.Run("AC-190 "+name, func(t *testing.T) {
			g := prepare(t, strings.Replace(hostileSite, "\tmfa\n\tdefault_bind", "\tmfa {\n\t\tstore badger "+c.store+"\n\t}\n\tdefault_bind", 1))
			c.spoil(t, g)
			err := g.tryLaunch()
			if err == nil {
				select {
				case <-g.exited:
				case <-time.After(5 * time.Second):
					t.Error("it started")
				}
			}
			if !strings.Contains(g.output.last(4<<10), "store") {
				t.Errorf("it does not say why:\n%s", g.output.last(2<<10))
			}
		})
	}
}

func write(t *testing.T, path, text string, mode os.FileMode) {
	t.Helper()
	if err := os.WriteFile(path, []byte(text), mode); err != nil {
		t.Fatal(err)
	}
}

func remove(t *testing.T, path string) {
	t.Helper()
	if err := os.Remove(path); err != nil {
		t.Fatal(err)
	}
}

func removeAll(t *testing.T, dir string) {
	t.Helper()
	if err := os.RemoveAll(dir); err != nil {
		t.Fatal(err)
	}
	if err := os.Mkdir(dir, 0o700); err != nil {
		t.Fatal(err)
	}
}

// copyKeys puts the keys of another gateway in the place of these.
func copyKeys(t *testing.T, dir string) {
	t.Helper()
	other := start(t, hostileSite)
	other.stop()
	keys, err := os.ReadFile(other.storeDir() + ".keys.json")
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(dir+".keys.json", keys, 0o600); err != nil {
		t.Fatal(err)
	}
}

func newest(t *testing.T, dir, pattern string) string {
	t.Helper()
	list, err := filepath.Glob(filepath.Join(dir, pattern))
	if err != nil || len(list) == 0 {
		t.Fatalf("no %s in %s: %v", pattern, dir, err)
	}
	return list[len(list)-1]
}

// flip changes a byte in the middle.
func flip(t *testing.T, path string) {
	t.Helper()
	data, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	data[len(data)/2] ^= 0xff
	if err := os.WriteFile(path, data, 0o600); err != nil {
		t.Fatal(err)
	}
}

func cut(t *testing.T, path string) {
	t.Helper()
	info, err := os.Stat(path)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.Truncate(path, info.Size()/2); err != nil {
		t.Fatal(err)
	}
}
