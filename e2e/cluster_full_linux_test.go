package e2e

import (
	"errors"
	"net/http"
	"os"
	"path/filepath"
	"syscall"
	"testing"
	"time"

	"github.com/secondgate/secondgate/internal/pgtest"
)

// AC-188 with PostgreSQL: its disk is full to the last byte. Whoever is signed in goes on,
// sign-ins are told to come again, nothing else falls over; with room again, everything that
// was acknowledged is there.
func TestCluster_FullDisk_AC188(t *testing.T) {
	disk, err := os.MkdirTemp("", "pgdisk")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.Remove(disk) })
	if err := syscall.Mount("tmpfs", disk, "tmpfs", 0, "size=160m,mode=1777"); err != nil {
		require(t, os.Geteuid() != 0, "to mount a tmpfs, which this machine refuses")
		t.Skipf("NOT RUN: this needs root, to mount a small disk: %v", err)
	}
	t.Cleanup(func() {
		if err := syscall.Unmount(disk, syscall.MNT_DETACH); err != nil {
			t.Error(err)
		}
	})
	t.Setenv("TMPDIR", disk) // where the server is made
	server := pgtest.Start(t)
	t.Setenv("TMPDIR", "")
	c := prepareOn(t, server, 2, clustered)
	c.start()
	n := c.nodes[0]
	p := c.member(t, n, "alice")
	seat := n.asker(p.victim())

	ballast := filepath.Join(disk, "ballast")
	f, err := os.Create(ballast)
	if err != nil {
		t.Fatal(err)
	}
	fill := func() {
		for err := error(nil); err == nil; {
			_, err = f.Write(make([]byte, 1<<12))
			if err != nil && !errors.Is(err, syscall.ENOSPC) {
				t.Fatal(err)
			}
		}
	}
	// Invitations until one cannot be kept; those before were acknowledged.
	var kept []string
	status := 0
	for end := time.Now().Add(2 * time.Minute); status < http.StatusInternalServerError && time.Now().Before(end); {
		fill()
		name := "guest-" + time.Now().Format("150405.000000")
		if status = n.tryOrder(t, "users/invite", name); status == http.StatusOK {
			kept = append(kept, name)
		}
	}
	if status < http.StatusInternalServerError {
		t.Fatalf("after %d invitations the disk is not full", len(kept))
	}
	begun := time.Now()
	refused := false
	for time.Since(begun) < 30*time.Second && !refused {
		fill()
		b := n.client(t)
		page, err := b.try(b.request(http.MethodGet, "/.mfa/sign-in", nil))
		if err != nil {
			t.Fatal(err)
		}
		if page.Status == http.StatusOK {
			if page, err = b.try(b.fill(page, "/.mfa/sign-in", "name", "alice", "password", password)); err != nil {
				t.Fatal(err)
			}
		}
		if refused = page.Status == http.StatusServiceUnavailable; refused && page.Header.Get("Retry-After") == "" {
			t.Error("503 without Retry-After")
		}
		if time.Since(begun) < 20*time.Second && !seat(t) {
			t.Error("the session does not go on")
		}
	}
	if !refused {
		t.Error("sign-ins go on though nothing can be written")
	}
	_ = f.Close()
	if err := os.Remove(ballast); err != nil {
		t.Fatal(err)
	}
	// The server may have given itself up, as it does when it cannot write its log.
	if n.healthy() != nil {
		time.Sleep(5 * time.Second)
	}
	if n.healthy() != nil {
		c.db.Restart(t)
	}
	c.ready()
	if !seat(t) {
		t.Error("the session from before is lost")
	}
	for _, name := range kept {
		if status := n.tryOrder(t, "users/show", name); status != http.StatusOK {
			t.Errorf("%s was invited, and is gone: %d", name, status)
		}
	}
	c.nodes[1].client(t).enter(p.account)
	t.Logf("%d invitations were acknowledged before the disk was full, and are there", len(kept))
}
