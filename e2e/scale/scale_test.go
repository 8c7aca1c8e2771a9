package scale

import (
	"context"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"syscall"
	"testing"
	"time"

	"github.com/secondgate/secondgate/internal/seal"
	"github.com/secondgate/secondgate/mfa"
	"github.com/secondgate/secondgate/store/badger"
)

var (
	scale = flag.Int("scale", 20_000, "how many users the large store holds; the figures in docs/benchmarks.md are of 1,000,000")
	keep  = flag.String("scaledir", "", "where TestScale keeps its stores; those that are there are used again")
	only  = flag.String("scalestore", "", "badger or postgres; empty: both")
)

const few = 1000

// limits are what is asked of a store of a million; with fewer users, in the tests of every
// day, there are a few rounds alone, and the machine may be busy.
func limits() (rounds, ratio float64, page time.Duration) {
	if *scale >= 1_000_000 {
		return 1, 1.3, 50 * time.Millisecond
	}
	return 0.1, 6, 2 * time.Second // a walk through all would be twenty times as long
}

// TestScale_Badger measures with few and with many users in turns.
func TestScale_Badger(t *testing.T) {
	if *only == "postgres" {
		t.Skip("-scalestore postgres")
	}
	hasher := newHasher(t)
	dir := folder(t)
	c := newCrowd(t, hasher, crowdPath(dir))
	rounds, _, _ := limits()
	ofSmall, ofLarge := starts(t, "TestStart_Badger", filled(t, c, dir, few), filled(t, c, dir, *scale), max(1, int(5*rounds)))
	open := func(users int) mfa.Store {
		s, err := badger.Open(options(t, filled(t, c, dir, users)))
		ok(t, err)
		t.Cleanup(func() { ok(t, s.Close()) })
		return s
	}
	small, large := newWorld(t, c, hasher, open(few), few), newWorld(t, c, hasher, open(*scale), *scale)
	compare(t, "badger", small, large)
	_, took := tellStarts(t, ofSmall, ofLarge)
	holdStart(t, took)
}

// TestStart_Badger is the child of TestScale_Badger that starts.
func TestStart_Badger(t *testing.T) {
	dir := os.Getenv(startVar)
	if dir == "" {
		t.Skip("a child of TestScale_Badger")
	}
	c := newCrowd(t, nil, crowdPath(filepath.Dir(dir)))
	o := options(t, dir)
	began := time.Now()
	s, err := badger.Open(o)
	ok(t, err)
	answer(t, s, c, began)
	ok(t, s.Close())
}

func newHasher(t testing.TB) *seal.Hasher {
	t.Helper()
	h, err := seal.NewHasher(seal.HasherConfig{})
	ok(t, err)
	return h
}

// folder is where stores are for as long as the test runs, or longer.
func folder(t testing.TB) string {
	t.Helper()
	if *keep == "" {
		return t.TempDir()
	}
	return *keep
}

// options open the store in that folder, which has its keys beside it.
func options(t testing.TB, dir string) badger.Options {
	t.Helper()
	return badger.Options{Dir: filepath.Join(dir, "store"), Keys: keysOf(t, dir)}
}

// keysOf returns the keys in that folder.
func keysOf(t testing.TB, dir string) *seal.Keyset {
	t.Helper()
	keys, err := seal.OpenOrCreateKeys(context.Background(), seal.FileVault(filepath.Join(dir, "keys")), nil)
	ok(t, err)
	return keys
}

// filled returns the folder of a store with that many users. It is made on a memory file
// system where there is one, and copied to the disk then: each change waits for the disk,
// and a million would wait for hours.
func filled(t testing.TB, c *crowd, dir string, users int) string {
	t.Helper()
	own := filepath.Join(dir, fmt.Sprintf("badger-%d", users))
	if _, err := os.Stat(filepath.Join(own, "done")); err == nil {
		return own
	}
	shm := "/dev/shm"
	if _, err := os.Stat(shm); err != nil {
		shm = ""
	}
	scratch, err := os.MkdirTemp(shm, "secondgate-scale")
	ok(t, err)
	defer os.RemoveAll(scratch)
	s, err := badger.Open(options(t, scratch))
	ok(t, err)
	fill(t, c, s, users)
	ok(t, s.Close())
	ok(t, os.CopyFS(own, os.DirFS(scratch)))
	ok(t, os.Chmod(filepath.Join(own, "keys"), 0o600))
	syscall.Sync() // or the first change would wait for all of it
	ok(t, os.WriteFile(filepath.Join(own, "done"), nil, 0o600))
	return own
}

// compare measures both, prints the rows of the table and holds them to the limits.
func compare(t *testing.T, kind string, small, large *world) {
	t.Helper()
	rounds, most, page := limits()
	for _, w := range []*world{small, large} {
		ok(t, w.seekLate())
	}
	began := time.Now()
	of := inTurns(t, rounds, small, large)
	ofSmall, ofLarge := of[0], of[1]
	say(t, "")
	say(t, "| %s | %d users | %d users | worst | ratio |", kind, small.users, large.users)
	say(t, "|---|---|---|---|---|")
	for _, step := range steps {
		a, b := ofSmall.median(step), ofLarge.median(step)
		if step == stepHitMany {
			if b > 0 {
				say(t, "| %s | | %s | %s | |", step, short(b), short(ofLarge.worst(step)))
			}
			continue
		}
		if a == 0 || b == 0 {
			t.Errorf("%s was not measured", step)
			continue
		}
		ratio := float64(b) / float64(a)
		say(t, "| %s | %s | %s | %s | %.2f |", step, short(a), short(b), short(ofLarge.worst(step)), ratio)
		if ratio > most && !isPage(step) { // fewer than fifty of a thousand fill no page
			t.Errorf("%s: %s with %d users and %s with %d: %.2f times as long, at most %.1f are allowed", step, a, small.users, b, large.users, ratio, most)
		}
		if isPage(step) && b > page {
			t.Errorf("%s: %s, at most %s are allowed", step, b, page)
		}
	}
	t.Logf("measured in %s", time.Since(began).Round(time.Second))
}

// short is a duration with three digits.
func short(d time.Duration) string {
	switch {
	case d >= 100*time.Millisecond:
		return fmt.Sprintf("%.0f ms", float64(d)/1e6)
	case d >= time.Millisecond:
		return fmt.Sprintf("%.1f ms", float64(d)/1e6)
	case d >= 10*time.Microsecond:
		return fmt.Sprintf("%.0f µs", float64(d)/1e3)
	case d >= time.Microsecond:
		return fmt.Sprintf("%.1f µs", float64(d)/1e3)
	}
	return fmt.Sprintf("%d ns", d)
}
