package e2e

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/secondgate/secondgate/identity/local"
	"github.com/secondgate/secondgate/internal/seal"
	"github.com/secondgate/secondgate/mfa"
	"github.com/secondgate/secondgate/mfa/factor/totp"
	"github.com/secondgate/secondgate/store/badger"
)

var (
	many    = flag.Int("users", 3000, "how many users TestStart_WithManyUsers starts with")
	settled = flag.Bool("idle", false, "run TestIdle_Memory, which waits for processes to come to rest")
)

// filled is a store on disk with that many users, each with a password, an
// authenticator app, backup codes and a session, as the gateway would have
// written them.
type filled struct {
	dir  string // of the store
	last string // name of the last user
	took time.Duration
}

// fill writes the records by the store's own methods.
func fill(t testing.TB, g *gateway, n int) filled {
	t.Helper()
	return fillWith(t, g, n, func(store *badger.Store, u *mfa.User, s *mfa.Session) error {
		return errors.Join(store.CreateUser(context.Background(), u), store.CreateSession(context.Background(), s))
	})
}

// fillWith gives write each of n users, many at a time, on a memory file system where
// there is one, and copies what it wrote to the disk then: each change waits for the
// disk, and a million would wait for hours.
func fillWith(t testing.TB, g *gateway, n int, write func(*badger.Store, *mfa.User, *mfa.Session) error) filled {
	t.Helper()
	start := time.Now()
	where := "/dev/shm"
	if _, err := os.Stat(where); err != nil {
		where = ""
	}
	scratch, err := os.MkdirTemp(where, "secondgate-fill")
	if err != nil {
		t.Fatal(err)
	}
	defer os.RemoveAll(scratch)
	dir := filepath.Join(scratch, "store")
	keys, err := seal.CreateKeys(context.Background(), seal.FileVault(dir+".keys.json"), nil)
	if err != nil {
		t.Fatal(err)
	}
	store, err := badger.Open(badger.Options{Dir: dir, Keys: keys})
	if err != nil {
		t.Fatal(err)
	}
	hasher, err := seal.NewHasher(seal.HasherConfig{})
	if err != nil {
		t.Fatal(err)
	}
	// One password for all: a million hashes would take days.
	source, err := local.New(local.Config{Users: store, Hasher: hasher})
	if err != nil {
		t.Fatal(err)
	}
	hash, err := source.Hash(context.Background(), password)
	if err != nil {
		t.Fatal(err)
	}
	secret, _, err := totp.New().NewSecret()
	if err != nil {
		t.Fatal(err)
	}
	var next atomic.Int64
	errs := make([]error, 256)
	var writers sync.WaitGroup
	for w := range errs {
		writers.Go(func() {
			for errs[w] == nil {
				i := int(next.Add(1)) - 1
				if i >= n {
					return
				}
				u, s := oneOfMany(i, hash, secret)
				errs[w] = write(store, u, s)
			}
		})
	}
	writers.Wait()
	if err := errors.Join(append(errs, store.Close())...); err != nil {
		t.Fatal(err)
	}
	if err := os.MkdirAll(filepath.Dir(g.storeDir()), 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.CopyFS(filepath.Dir(g.storeDir()), os.DirFS(scratch)); err != nil {
		t.Fatal(err)
	}
	if err := os.Chmod(g.storeDir()+".keys.json", 0o600); err != nil {
		t.Fatal(err)
	}
	syscall.Sync() // or the first change would wait for all of it
	return filled{g.storeDir(), manyName(n - 1), time.Since(start)}
}

func manyName(i int) string { return fmt.Sprintf("person-%07d", i) }

func oneOfMany(i int, hash, secret mfa.Secret) (*mfa.User, *mfa.Session) {
	now, name := time.Now(), manyName(i)
	u := &mfa.User{
		ID: mfa.UserID(fmt.Sprintf("id-%019d", i)), Handle: []byte(fmt.Sprintf("%032d", i)),
		Source: "local", Subject: name, Name: name, DisplayName: "Person " + name, Email: name + "@example.test",
		Groups: []string{"staff"}, Created: now, FirstSignIn: now, LastSignIn: now, EverEnrolled: true, Password: hash,
		Credentials: []mfa.Credential{
			{ID: "app", Kind: mfa.TOTP, Created: now, Data: secret},
			{ID: mfa.BackupCodesID, Kind: mfa.BackupCode, Created: now, Left: mfa.CodesPerSet, Data: make([]byte, 400)},
		},
	}
	s := &mfa.Session{
		ID: mfa.SessionID(fmt.Sprintf("%043d", i)), User: u.ID, Scope: "localhost", Complete: true,
		Created: now, LastSeen: now, Expires: now.Add(11 * time.Hour),
		First:  mfa.Proof{Kind: mfa.Password, At: now},
		Proofs: []mfa.Proof{{Kind: mfa.TOTP, Credential: "app", At: now}},
	}
	return u, s
}

// A start does not look at the users: how many there are must not show, neither in
// the time to the first answer nor in memory.
func TestStart_WithManyUsers(t *testing.T) {
	bin, err := released()
	if err != nil {
		t.Fatal(err)
	}
	g := prepare(t, site(true, "reverse_proxy {$APP}"))
	g.bin = bin
	f := fill(t, g, *many)
	var first, anonymous []float64
	for range 3 {
		begun := time.Now()
		if err := g.tryLaunch(); err != nil {
			t.Fatal(err)
		}
		c := g.client(t)
		p, err := c.try(c.request(http.MethodGet, "/.mfa/sign-in", nil))
		if err != nil || p.Status != http.StatusOK {
			t.Fatalf("the first answer: %v %v", p, err)
		}
		first = append(first, time.Since(begun).Seconds())
		time.Sleep(2 * time.Second)
		m := memoryOf(t, g) // before a password: the work on one needs 64 MiB
		// Somebody signs in: their password, and then the page of the second factor.
		begun = time.Now()
		p = c.submit(p, "/.mfa/sign-in", "name", f.last, "password", password)
		took := time.Since(begun)
		if p.Title() != "Verify it’s you" {
			t.Fatalf("signing in led to %d %q: %s", p.Status, p.Title(), p.Text())
		}
		anonymous = append(anonymous, float64(m.anonymous))
		t.Logf("%d users: first answer after %.3f s, then %s; a sign-in in %s, then %s",
			*many, first[len(first)-1], m, took.Round(time.Millisecond), memoryOf(t, g))
		g.stop()
	}
	t.Logf("filled in %s; %s on disk", f.took.Round(time.Second), size(dirSize(t, f.dir)))
	if got := median(first); got > 5 {
		t.Errorf("the first answer came after %.1f s", got)
	}
	// What else is resident are pages of files, which the system takes back when it
	// likes.
	if got := int64(median(anonymous)); got > 150<<20 {
		t.Errorf("%s of anonymous memory", size(got))
	}
}

// What the gate adds to an idle Caddy.
func TestIdle_Memory(t *testing.T) {
	if !*settled {
		t.Skip("NOT RUN: this waits for processes to come to rest; run it with -idle")
	}
	var added []float64
	for range 5 {
		plain := startReleased(t, site(false, "reverse_proxy {$APP}"))
		gated := startReleased(t, site(true, "reverse_proxy {$APP}"))
		sessionFor(t, gated)
		gated.restart(t) // at rest, not after the work of a password
		time.Sleep(15 * time.Second)
		p, m := memoryOf(t, plain), memoryOf(t, gated)
		t.Logf("plain: %s; with mfa: %s", p, m)
		added = append(added, float64(m.anonymous-p.anonymous))
		plain.stop()
		gated.stop()
	}
	t.Logf("added: %s of anonymous memory", size(int64(median(added))))
	if got := int64(median(added)); got > 8<<20 {
		t.Errorf("the gate adds %s of anonymous memory, at most 8 MiB are allowed", size(got))
	}
}

// memory is what a process uses, in bytes.
type memory struct{ resident, anonymous int64 }

func (m memory) String() string {
	return size(m.resident) + " resident, " + size(m.anonymous) + " of it anonymous"
}

func memoryOf(t testing.TB, g *gateway) memory {
	t.Helper()
	status, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", g.pid()))
	require(t, err == nil, "/proc (Linux)")
	var m memory
	for line := range strings.Lines(string(status)) {
		var kib int64
		if _, err := fmt.Sscanf(line, "VmRSS: %d kB", &kib); err == nil {
			m.resident = kib << 10
		}
		if _, err := fmt.Sscanf(line, "RssAnon: %d kB", &kib); err == nil {
			m.anonymous = kib << 10
		}
	}
	if m.resident == 0 {
		t.Fatalf("no memory in %s", status)
	}
	return m
}

func size(n int64) string { return fmt.Sprintf("%.1f MiB", float64(n)/(1<<20)) }

func dirSize(t testing.TB, dir string) (total int64) {
	t.Helper()
	entries, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range entries {
		if info, err := e.Info(); err == nil {
			total += info.Size()
		}
	}
	return total
}
