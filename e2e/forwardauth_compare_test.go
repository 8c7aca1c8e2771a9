package e2e

import (
	"bytes"
	"context"
	"net/http"
	"os/exec"
	"strconv"
	"strings"
	"testing"
	"time"
)

// What nginx's page gets for the measurement: a location that is not asked about, before
// the same app.
const notAsked = `	location /plain/ {
		auth_request off;
		proxy_pass http://app;
		proxy_http_version 1.1;
		proxy_set_header Connection "";
	}
	location / {
`

// TestCompareForwardAuth measures what a proxy's question costs: the processor time of an
// answer beside that of a bare answer of the same Caddy, and requests through a real nginx
// with and without asking. In turns, as TestCompare does, for somebody who is signed in.
func TestCompareForwardAuth(t *testing.T) {
	if !*compare {
		t.Skip("NOT RUN: this takes some minutes; run it with -compare")
	}
	wrk, err := exec.LookPath("wrk")
	require(t, err == nil, "wrk (Debian: apt-get install wrk)")
	ask := freePort(t)
	gated := startReleased(t, elsewhere, "ASK="+strconv.Itoa(ask))
	plain := startReleased(t, "{\n\tdefault_bind 127.0.0.1\n}\nhttp://localhost:{$PORT} {\n\trespond 200\n}\n")
	at := startNginx(t, gated, ask, "127.0.0.1:3000", quickApp(t), "\tlocation / {\n", notAsked)
	c := gated.newClient(t, gated.secureBase("auth"), false)
	c.signUpAtPortal("alice")
	if p := c.get(at + "/"); p.Status != http.StatusOK || p.Body != "hello" {
		t.Fatalf("alice got %d %s", p.Status, p.Text())
	}
	cookie := "__Secure-mfa=" + c.cookie("__Secure-mfa")
	held := []string{"Cookie: theme=dark; " + cookie, "X-Forwarded-Method: GET", "X-Forwarded-Proto: https", "X-Forwarded-Host: app.example.test",
		"X-Forwarded-Uri: /dashboard/data?page=2", "X-Forwarded-For: 192.0.2.7"}
	question := "http://127.0.0.1:" + strconv.Itoa(ask) + "/.mfa/auth/caddy"

	t.Run("answer", func(t *testing.T) {
		var work []float64
		var bare, asked []turn
		pairs(func() { bare = append(bare, loadAt(t, wrk, plain, plain.base()+"/", held)) },
			func() { asked = append(asked, loadAt(t, wrk, gated, question, held)) },
			func(i int) { work = append(work, asked[i].cpu/bare[i].cpu) })
		low, high := interval(work)
		t.Logf("CPU: a bare answer %.1f µs, a question's %.1f µs; ratio %.3f (95 %%: %.3f to %.3f); %d pairs of %s each",
			medianOf(bare, turn.micros), medianOf(asked, turn.micros), median(work), low, high, *comparePairs, *compareTime)
	})
	t.Run("nginx", func(t *testing.T) {
		var speed []float64
		var without, with []turn
		// wrk asks the system for names, which does not know this one.
		named := strings.TrimPrefix(at, "https://")
		header := []string{held[0], "Host: " + named}
		at := "https://127.0.0.1" + named[strings.IndexByte(named, ':'):]
		pairs(func() { without = append(without, loadAt(t, wrk, gated, at+"/plain/data?page=2", header)) },
			func() { with = append(with, loadAt(t, wrk, gated, at+"/dashboard/data?page=2", header)) },
			func(i int) { speed = append(speed, with[i].perSecond/without[i].perSecond) })
		low, high := interval(speed)
		t.Logf("nginx: %.0f requests/s without auth_request, %.0f with; ratio %.3f (95 %%: %.3f to %.3f); the gateway's CPU per request %.1f µs",
			medianOf(without, turn.rate), medianOf(with, turn.rate), median(speed), low, high, medianOf(with, turn.micros))
	})
}

// pairs measures two things in turns.
func pairs(one, other func(), both func(i int)) {
	for i := range *comparePairs {
		if i%2 == 0 { // so that neither is always the first
			one()
			other()
		} else {
			other()
			one()
		}
		both(i)
	}
}

// loadAt has wrk send requests to an address for a turn, and counts the time of that
// gateway's process. Every answer must be a good one.
func loadAt(t testing.TB, wrk string, g *gateway, address string, header []string) turn {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), *compareTime+30*time.Second)
	defer cancel()
	args := []string{"-t", "1", "-c", "16", "-d", strconv.Itoa(max(1, int(compareTime.Seconds()))), "-H", "Accept: text/html,application/xhtml+xml",
		"-H", "User-Agent: Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0"}
	for _, line := range header {
		args = append(args, "-H", line)
	}
	before := cpuTime(t, g)
	out, err := exec.CommandContext(ctx, wrk, append(args, address)...).CombinedOutput()
	after := cpuTime(t, g)
	rate, count := wrkRate.FindSubmatch(out), wrkCount.FindSubmatch(out)
	if err != nil || rate == nil || count == nil || bytes.Contains(out, []byte("Non-2xx")) || bytes.Contains(out, []byte("Socket errors")) {
		t.Fatalf("wrk: %v\n%s", err, out)
	}
	perSecond, _ := strconv.ParseFloat(string(rate[1]), 64)
	requests, _ := strconv.ParseFloat(string(count[1]), 64)
	return turn{perSecond, (after - before).Seconds() / requests}
}
