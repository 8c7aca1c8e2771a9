package e2e

import (
	"bytes"
	"context"
	"flag"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"
)

var (
	compare      = flag.Bool("compare", false, "run TestCompare, which takes some minutes")
	comparePairs = flag.Int("pairs", 24, "how often TestCompare measures both")
	compareTime  = flag.Duration("turn", 2*time.Second, "how long TestCompare measures each")
)

// released builds the gateway as it is released: nothing of the tests is in it.
var released = sync.OnceValues(func() (string, error) {
	dir, err := scratchDir()
	if err != nil {
		return "", err
	}
	bin := filepath.Join(dir, "secondgate-released")
	cmd := exec.Command("go", "build", "-trimpath", "-ldflags", "-s -w", "-o", bin, "../cmd/secondgate")
	if out, err := cmd.CombinedOutput(); err != nil {
		return "", fmt.Errorf("building the gateway: %w\n%s", err, out)
	}
	return bin, nil
})

// startReleased is start with the released build, whose clock cannot be moved.
func startReleased(t testing.TB, caddyfile string, env ...string) *gateway {
	t.Helper()
	bin, err := released()
	if err != nil {
		t.Fatal(err)
	}
	g := prepare(t, caddyfile, env...)
	g.bin = bin
	g.launch(t)
	return g
}

// site returns the Caddyfile of one site, with and without the gate.
func site(gate bool, handler string) string {
	option, directive := "", ""
	if gate {
		option, directive = "\tmfa\n", "\tmfa\n"
	}
	return "{\n" + option + "\tdefault_bind 127.0.0.1\n}\nhttp://localhost:{$PORT} {\n" + directive + "\t" + handler + "\n}\n"
}

// TestCompare measures the same Caddy with and without mfa in front of the same
// app, in turns, for somebody who is signed in. What else runs on the machine
// falls on both of a pair alike; the result is the median of the pairs' ratios,
// with the interval that holds 95 % of the medians of as many pairs drawn again.
func TestCompare(t *testing.T) {
	if !*compare {
		t.Skip("NOT RUN: this takes some minutes; run it with -compare")
	}
	wrk, err := exec.LookPath("wrk")
	require(t, err == nil, "wrk (Debian: apt-get install wrk)")
	upstream := quickApp(t)
	for _, c := range []struct{ name, handler string }{
		{"reverse_proxy", "reverse_proxy " + upstream},
		{"respond", `respond "hello"`},
	} {
		t.Run(c.name, func(t *testing.T) {
			plain := startReleased(t, site(false, c.handler))
			gated := startReleased(t, site(true, c.handler))
			cookie := sessionFor(t, gated)
			measure := func(g *gateway) turn { return loadWith(t, wrk, g, cookie, *compareTime) }
			measure(plain)
			measure(gated)
			var speed, work []float64
			var plainTurns, gatedTurns []turn
			for i := range *comparePairs {
				var p, m turn
				if i%2 == 0 { // so that neither is always the first
					p, m = measure(plain), measure(gated)
				} else {
					m, p = measure(gated), measure(plain)
				}
				plainTurns, gatedTurns = append(plainTurns, p), append(gatedTurns, m)
				speed = append(speed, m.perSecond/p.perSecond)
				work = append(work, m.cpu/p.cpu)
			}
			low, high := interval(speed)
			t.Logf("requests/s: plain %.0f, with mfa %.0f; ratio %.3f (95 %%: %.3f to %.3f)",
				medianOf(plainTurns, turn.rate), medianOf(gatedTurns, turn.rate), median(speed), low, high)
			t.Logf("CPU per request: plain %.1f µs, with mfa %.1f µs; ratio %.3f",
				medianOf(plainTurns, turn.micros), medianOf(gatedTurns, turn.micros), median(work))
			low, high = interval(work)
			t.Logf("CPU ratio (95 %%: %.3f to %.3f); %d pairs of %s each", low, high, *comparePairs, *compareTime)
			ours, total := profile(t, wrk, gated, cookie)
			t.Logf("our frames' share of a CPU profile: %.2f %% of %s", 100*ours.Seconds()/total.Seconds(), total)
		})
	}
}

// quickApp is an app that does as little as a server in Go can.
func quickApp(t testing.TB) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	srv := &http.Server{Handler: http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		_, _ = io.WriteString(w, "hello")
	})}
	go func() { _ = srv.Serve(l) }()
	t.Cleanup(func() { _ = srv.Close() })
	return l.Addr().String()
}

// sessionFor signs somebody up and returns the Cookie header of their session.
func sessionFor(t testing.TB, g *gateway) string {
	t.Helper()
	c := g.client(t)
	c.openLink(g.firstLink(t), "alice")
	c.setUpTOTP()
	c.confirmCodes()
	token := c.cookie(c.sessionName())
	if token == "" {
		t.Fatal("there is no session")
	}
	return c.sessionName() + "=" + token
}

// turn is one measurement.
type turn struct {
	perSecond float64
	cpu       float64 // seconds per request, user and system
}

func (m turn) rate() float64   { return m.perSecond }
func (m turn) micros() float64 { return m.cpu * 1e6 }

var (
	wrkRate  = regexp.MustCompile(`Requests/sec:\s+([0-9.]+)`)
	wrkCount = regexp.MustCompile(`(\d+) requests in`)
)

// loadWith has wrk send requests for so long. Every answer must be the app's.
func loadWith(t testing.TB, wrk string, g *gateway, cookie string, length time.Duration) turn {
	t.Helper()
	before := cpuTime(t, g)
	out, err := runWrk(wrk, g, cookie, length)
	after := cpuTime(t, g)
	rate, count := wrkRate.FindSubmatch(out), wrkCount.FindSubmatch(out)
	if err != nil || rate == nil || count == nil || bytes.Contains(out, []byte("Non-2xx")) || bytes.Contains(out, []byte("Socket errors")) {
		t.Fatalf("wrk: %v\n%s", err, out)
	}
	perSecond, _ := strconv.ParseFloat(string(rate[1]), 64)
	requests, _ := strconv.ParseFloat(string(count[1]), 64)
	return turn{perSecond, (after - before).Seconds() / requests}
}

func runWrk(wrk string, g *gateway, cookie string, length time.Duration) ([]byte, error) {
	ctx, cancel := context.WithTimeout(context.Background(), length+30*time.Second)
	defer cancel()
	seconds := strconv.Itoa(max(1, int(length.Round(time.Second).Seconds())))
	return exec.CommandContext(ctx, wrk, "-t", "1", "-c", "16", "-d", seconds, "-H", "Cookie: theme=dark; "+cookie,
		"-H", "User-Agent: Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0",
		"-H", "Accept: text/html,application/xhtml+xml", "-H", "Accept-Language: en-GB,en;q=0.5", "-H", "Accept-Encoding: gzip",
		g.base()+"/dashboard/data?page=2").CombinedOutput()
}

// cpuTime is the processor time that the gateway has used so far.
func cpuTime(t testing.TB, g *gateway) time.Duration {
	t.Helper()
	stat, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", g.pid()))
	require(t, err == nil, "/proc (Linux)")
	// After the name, which may hold anything, in brackets.
	fields := strings.Fields(string(stat[bytes.LastIndexByte(stat, ')')+1:]))
	var ticks int64
	for _, i := range []int{11, 12} { // utime, stime
		n, err := strconv.ParseInt(fields[i], 10, 64)
		if err != nil {
			t.Fatal(err)
		}
		ticks += n
	}
	return time.Duration(ticks) * time.Second / 100 // USER_HZ, which Linux shows everywhere
}

// profile takes a CPU profile under load and returns how much of it is ours:
// everything below the handler's own part, and what the response writer does.
// What comes after the handler in the chain is not.
func profile(t testing.TB, wrk string, g *gateway, cookie string) (ours, total time.Duration) {
	t.Helper()
	const length = 20 * time.Second // two thousand samples: the share is known to a few tenths
	done := make(chan struct{})
	go func() {
		defer close(done)
		_, _ = runWrk(wrk, g, cookie, length+2*time.Second)
	}()
	time.Sleep(time.Second)
	res, err := http.Get("http://" + g.adminAddress() + "/debug/pprof/profile?seconds=" + strconv.Itoa(int(length.Seconds())))
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	file := g.file("cpu.pprof")
	raw, err := io.ReadAll(res.Body)
	if err == nil {
		err = os.WriteFile(file, raw, 0o600)
	}
	if err != nil {
		t.Fatal(err)
	}
	<-done
	out, err := exec.Command("go", "tool", "pprof", "-traces", "-unit", "ms", file).Output()
	if err != nil {
		t.Fatalf("reading the profile: %v", err)
	}
	for _, trace := range strings.Split(string(out), "-----------+-")[1:] {
		lines := strings.Split(trace, "\n")[1:]
		if len(lines) == 0 {
			continue
		}
		value, _, _ := strings.Cut(strings.TrimSpace(lines[0]), " ")
		took, err := time.ParseDuration(value)
		if err != nil {
			continue
		}
		total += took
		leaf := strings.Contains(lines[0], "secondgate/secondgate/")
		inside := slices.ContainsFunc(lines, func(frame string) bool {
			return strings.Contains(frame, "caddymodule.(*Handler).admit") || strings.Contains(frame, "guard.(*writer).filter")
		})
		if leaf || inside {
			ours += took
		}
	}
	if total == 0 {
		t.Fatal("the profile is empty")
	}
	return ours, total
}

func median(list []float64) float64 {
	list = slices.Sorted(slices.Values(list))
	if n := len(list); n%2 == 0 {
		return (list[n/2-1] + list[n/2]) / 2
	}
	return list[len(list)/2]
}

func medianOf(turns []turn, of func(turn) float64) float64 {
	var list []float64
	for _, m := range turns {
		list = append(list, of(m))
	}
	return median(list)
}

// interval is the 95 % interval of the median, by drawing again.
func interval(list []float64) (low, high float64) {
	chance := rand.New(rand.NewPCG(1, 1))
	medians := make([]float64, 10_000)
	again := make([]float64, len(list))
	for i := range medians {
		for j := range again {
			again[j] = list[chance.IntN(len(list))]
		}
		medians[i] = median(again)
	}
	slices.Sort(medians)
	return medians[len(medians)*25/1000], medians[len(medians)*975/1000]
}
