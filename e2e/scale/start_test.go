package scale

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/secondgate/secondgate/mfa"
	"github.com/secondgate/secondgate/session"
)

// startVar tells a child of this program to start, and where.
const startVar = "SECONDGATE_TEST_SCALE_START"

// A start is one of a process: how long it took to the first answer, and what it held in
// memory two seconds later, in MiB.
type start struct {
	took                time.Duration
	resident, anonymous int
}

// starts starts processes on the small and on the large store in turns.
func starts(t *testing.T, child string, small, large string, rounds int) (ofSmall, ofLarge []start) {
	t.Helper()
	for range rounds {
		ofSmall = append(ofSmall, startOnce(t, child, small))
		ofLarge = append(ofLarge, startOnce(t, child, large))
	}
	return ofSmall, ofLarge
}

var started = regexp.MustCompile(`=> started in (\d+) ns, (\d+) MiB, (\d+) MiB`)

func startOnce(t *testing.T, child, where string) start {
	t.Helper()
	c := exec.Command(os.Args[0], "-test.run=^"+child+"$", "-test.v", "-test.count=1") //nolint:gosec // this program
	c.Env = append(os.Environ(), startVar+"="+where)
	out, err := c.CombinedOutput()
	m := started.FindStringSubmatch(string(out))
	if err != nil || m == nil {
		t.Fatalf("starting on %s: %v\n%s", where, err, out)
	}
	n := func(s string) int { v, _ := strconv.Atoi(s); return v }
	return start{time.Duration(n(m[1])), n(m[2]), n(m[3])}
}

// answer is the first thing that somebody asks: whether this session holds. The store was
// opened at began.
func answer(t *testing.T, s mfa.Store, c *crowd, began time.Time) {
	t.Helper()
	m, err := session.New(session.Config{Store: s, Keys: []session.Key{{ID: "k", Secret: make([]byte, 32)}}, Issuer: "scale", Idle: 12 * time.Hour})
	ok(t, err)
	token, err := m.Issue(c.session(7))
	ok(t, err)
	_, err = m.Verify(t.Context(), token, scope)
	ok(t, err)
	took := time.Since(began)
	time.Sleep(2 * time.Second)
	resident, anonymous := memory()
	t.Logf("=> started in %d ns, %d MiB, %d MiB", took, resident, anonymous)
	ok(t, m.Close(context.Background()))
}

// memory is what this process holds in MiB, where the system says so.
func memory() (resident, anonymous int) {
	raw, err := os.ReadFile("/proc/self/status")
	if err != nil {
		return 0, 0
	}
	find := func(name string) int {
		m := regexp.MustCompile(name + `:\s+(\d+) kB`).FindSubmatch(raw)
		if m == nil {
			return 0
		}
		kb, _ := strconv.Atoi(string(m[1]))
		return kb >> 10
	}
	return find("VmRSS"), find("RssAnon")
}

// tellStarts prints the rows of the table.
func tellStarts(t *testing.T, small, large []start) (ofSmall, ofLarge time.Duration) {
	t.Helper()
	median := func(list []start) start {
		list = slices.Clone(list)
		slices.SortFunc(list, func(a, b start) int { return int(a.took - b.took) })
		return list[len(list)/2]
	}
	each := func(list []start, what func(start) string) string {
		var all []string
		for _, s := range list {
			all = append(all, what(s))
		}
		return strings.Join(all, ", ")
	}
	a, b := median(small), median(large)
	say(t, "| start, to the first answer | %s | %s | | %.2f |", short(a.took), short(b.took), float64(b.took)/float64(a.took))
	mib := func(s start) string { return fmt.Sprintf("%d (%d)", s.resident, s.anonymous) }
	say(t, "| … resident two seconds later, MiB (of it anonymous) | %s | %s | | |", each(small, mib), each(large, mib))
	return a.took, b.took
}

// holdStart holds a start to its limit.
func holdStart(t *testing.T, took time.Duration) {
	t.Helper()
	most := time.Second
	if *scale < 1_000_000 {
		most = 10 * time.Second // the machine may be busy
	}
	if took > most {
		t.Errorf("starting took %s, at most %s is allowed", took, most)
	}
}

// crowdPath is where the crowd of a folder's stores is kept.
func crowdPath(dir string) string { return filepath.Join(dir, "crowd") }
