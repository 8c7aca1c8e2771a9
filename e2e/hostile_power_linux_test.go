package e2e

import (
	"bytes"
	"os"
	"os/exec"
	"strings"
	"syscall"
	"testing"
	"time"
)

// AC-193: the power goes the moment after something was acknowledged. What the
// system held in memory for the disk is gone, and what we said was done is done.
//
// The data lies on a file system in a file. Only what was written through reaches
// that file, so a copy of it is what a disk holds after a power cut.
func TestHostile_power_cut_AC193(t *testing.T) {
	g := prepare(t, hostileSite)
	d := newDisk(t, g)
	g.launch(t)
	w := &target{gateway: g, wire: g.secureWire()}
	w.browser = g.from(g.secureClient(t, "app", true), network())
	w.alice = w.browser.signUp("alice")
	w.session = w.browser.line()
	passes := func(what, session string) {
		t.Helper()
		if a, h := w.reaches(w.h2, plainGet("/x").cookie(session)); h == nil {
			t.Errorf("after the cut %s is lost: %s", what, a)
		}
	}
	refused := func(what, session string) {
		t.Helper()
		if fault := denied(w.reaches(w.h2, plainGet("/x").cookie(session))); fault != "" {
			t.Errorf("after the cut %s: %s", what, fault)
		}
	}

	d.cut(t)
	passes("the first account's session", w.session)

	second := w.stranger(t)
	code := w.alice.Backup[0]
	if p := second.verifyCode(second.signIn("alice"), code); p.Status >= 400 {
		t.Fatalf("a backup code: %d %s", p.Status, p.Text())
	}
	d.cut(t)
	again := w.stranger(t)
	p := again.verifyCode(again.signIn("alice"), code)
	if p.FromApp() || again.cookie(again.sessionName()) != "" {
		t.Error("after the cut a backup code works a second time")
	}
	again.verifyCode(p, w.alice.Backup[1])
	third := again.line()
	passes("a session that a backup code opened", third)

	// What the browser holds still names the session that ends here.
	again.signOut()
	d.cut(t)
	refused("a session that was signed out", third)
	passes("the session beside it", w.session)

	other := w.stranger(t)
	other.join(g.invite(t, "bob", "--url", g.secureBase("app")), "bob")
	bob := other.line()
	g.mfa(t, "users", "disable", "bob", "--yes")
	d.cut(t)
	refused("the session of a disabled user", bob)
	passes("everybody else's session", w.session)
}

// disk is the file system that the gateway's data lie on.
type disk struct {
	g           *gateway
	file, mount string
}

// newDisk makes a file system for the gateway's data. It skips the test where
// that is not allowed.
func newDisk(t *testing.T, g *gateway) *disk {
	t.Helper()
	d := &disk{g: g, file: g.file("disk"), mount: g.file("data")}
	if err := os.Mkdir(d.mount, 0o700); err != nil {
		t.Fatal(err)
	}
	f, err := os.Create(d.file)
	if err != nil {
		t.Fatal(err)
	}
	// Nothing but what is written takes room.
	if err := f.Truncate(1 << 30); err != nil {
		t.Fatal(err)
	}
	if err := f.Close(); err != nil {
		t.Fatal(err)
	}
	if out, err := d.run("mkfs.ext4", "-q", "-F", "-E", "nodiscard", d.file); err != nil {
		t.Skipf("NOT RUN: this needs mkfs.ext4 (Debian: apt-get install e2fsprogs): %v %s", err, out)
	}
	if err := d.attach(); err != nil {
		t.Skipf("NOT RUN: this needs root, to mount a file as a disk: %v", err)
	}
	t.Cleanup(func() {
		g.kill()
		d.detach(t)
	})
	return d
}

// run runs a program of the system's administrators.
func (d *disk) run(name string, args ...string) (string, error) {
	cmd := exec.Command(name, args...)
	if _, err := exec.LookPath(name); err != nil {
		cmd = exec.Command("/usr/sbin/"+name, args...)
	}
	out, err := cmd.CombinedOutput()
	return strings.TrimSpace(string(out)), err
}

func (d *disk) attach() error {
	// By itself the system would write what it holds after five seconds, and a
	// slow test would find on the disk what nobody had asked to be there.
	out, err := d.run("mount", "-o", "loop,commit=300", d.file, d.mount)
	if err != nil {
		return &os.PathError{Op: "mount " + out, Path: d.file, Err: err}
	}
	return nil
}

func (d *disk) detach(t *testing.T) {
	t.Helper()
	var err error
	for range 50 {
		if err = syscall.Unmount(d.mount, 0); err == nil {
			return
		}
		time.Sleep(100 * time.Millisecond)
	}
	t.Errorf("taking the disk away: %v", err)
}

// cut takes the power away and starts the gateway again on what the disk has.
func (d *disk) cut(t *testing.T) {
	t.Helper()
	if err := d.g.cmd.Process.Signal(syscall.SIGSTOP); err != nil {
		t.Fatal(err)
	}
	// The proof that the cut is one: this was written and not asked to be kept.
	const loose = "written, and not kept"
	if err := os.WriteFile(d.mount+"/loose", []byte(loose), 0o600); err != nil {
		t.Fatal(err)
	}
	left := d.file + ".left"
	if out, err := d.run("cp", "--sparse=always", "--reflink=never", d.file, left); err != nil {
		t.Fatalf("%v %s", err, out)
	}
	d.g.kill()
	d.detach(t)
	if err := os.Rename(left, d.file); err != nil {
		t.Fatal(err)
	}
	if err := d.attach(); err != nil {
		t.Fatal(err)
	}
	if text, err := os.ReadFile(d.mount + "/loose"); err == nil && bytes.Equal(text, []byte(loose)) {
		t.Fatal("what nobody had asked to be kept is there: this was no power cut")
	}
	d.g.launch(t)
}
