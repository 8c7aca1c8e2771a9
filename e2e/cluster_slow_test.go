package e2e

import (
	"net/http"
	"net/url"
	"sync"
	"testing"
	"time"

	"github.com/secondgate/secondgate/internal/faultproxy"
	"github.com/secondgate/secondgate/mfa"
)

// AC-187: the database answers after five seconds, and then not at all. Whoever is signed in
// goes on, whoever signs in is told to come again, and soon; what waits is let go of; no
// failure goes uncounted.
func TestCluster_SlowStore_AC187(t *testing.T) {
	c := startCluster(t, 2, clustered)
	n := c.nodes[0]
	p := c.member(t, n, "alice")
	seat := n.asker(p.victim())
	f := c.fork(t, p, "/.mfa/verify/totp")
	wrong, csrf := p.App.wrong(t), f.page.CSRF()
	u, err := c.kept.UserByKey(t.Context(), mfa.SubjectKey("local", "alice"))
	if err != nil {
		t.Fatal(err)
	}
	var late lateness
	stop := make(chan struct{})
	go late.watch(stop)
	defer close(stop)
	before := takeCensus(t, n.gateway)
	counted := 0
	for _, fault := range []struct {
		name string
		do   func()
	}{
		{"five seconds", func() { n.line.Delay(faultproxy.Both, 5*time.Second) }},
		{"no answer", func() { n.line.Silence(faultproxy.Both) }},
	} {
		if !seat(t) {
			t.Fatalf("%s: the session does not hold before", fault.name)
		}
		fault.do()
		var (
			group  sync.WaitGroup
			mu     sync.Mutex
			said   = map[int]int{}
			slow   time.Duration
			silent int
		)
		for range 60 {
			b := n.client(t)
			for _, k := range f.browser.cookies() {
				b.setCookie(k.Name, k.Value)
			}
			group.Go(func() {
				defer b.http.CloseIdleConnections()
				begun := time.Now()
				a, err := b.try(b.formRequest(f.path, url.Values{"csrf": {csrf}, "code": {wrong}}))
				mu.Lock()
				defer mu.Unlock()
				slow = max(slow, time.Since(begun))
				if err != nil {
					silent++
					return
				}
				said[a.Status]++
				if a.Status == http.StatusServiceUnavailable && a.Header.Get("Retry-After") == "" {
					t.Errorf("%s: 503 without Retry-After", fault.name)
				}
			})
		}
		for range 20 {
			begun := time.Now()
			if !seat(t) {
				t.Errorf("%s: the session does not go on", fault.name)
			}
			if took := time.Since(begun); took > 3*time.Second+late.worst() {
				t.Errorf("%s: who is signed in waits for %s", fault.name, took)
			}
			time.Sleep(100 * time.Millisecond)
		}
		group.Wait()
		if silent > 0 || said[http.StatusServiceUnavailable] == 0 || said[http.StatusOK]+said[http.StatusSeeOther] > 0 {
			t.Errorf("%s: the answers to wrong codes are %v, and %d got none", fault.name, said, silent)
		}
		if slow > 10*time.Second+late.worst() {
			t.Errorf("%s: somebody waited for %s", fault.name, slow)
		}
		t.Logf("%s: answers to 60 codes: %v, the last after %s", fault.name, said, slow.Round(time.Millisecond))
		counted += said[http.StatusUnprocessableEntity]
		n.line.Heal()
		n.ready(t)
	}
	counter, err := c.kept.Attempts(t.Context(), "user:"+string(u.ID)+":totp")
	if err != nil || counter.Count < counted {
		t.Errorf("%d wrong codes were refused as wrong, and the counter is at %d (%v)", counted, counter.Count, err)
	}
	var after census
	for end := time.Now().Add(60 * time.Second); time.Now().Before(end); time.Sleep(500 * time.Millisecond) {
		if after = takeCensus(t, n.gateway); after.goroutines <= before.goroutines+20 {
			break
		}
	}
	if after.goroutines > before.goroutines+20 {
		t.Errorf("%d goroutines before, %d a minute after it\n%s", before.goroutines, after.goroutines, n.goroutines(t))
	}
	t.Logf("%d goroutines before, %d after it", before.goroutines, after.goroutines)
}

// AC-191: the write that signs out, or uses a code up, is lost, or only the answer to it. No
// success is claimed, and afterwards it is one or the other: an acknowledged end holds
// everywhere, and a code that opened nothing opens at most one session.
func TestCluster_LostAnswer_AC191(t *testing.T) {
	c := startCluster(t, 2, clustered)
	n := c.nodes[0]
	p := c.member(t, n, "alice")
	lose := map[string]func(){
		"the answer is lost": func() { n.line.LoseReply("COMMIT") },
		"twice":              func() { n.line.LoseReply("COMMIT"); n.line.LoseReply("COMMIT") },
	}
	used := 0
	for name, lose := range lose {
		t.Run(name+": signing out", func(t *testing.T) {
			b := n.client(t)
			b.enter(p.account)
			cookie := b.only(b.sessionName())
			page := b.get("/.mfa/sign-out")
			lost := n.line.Lost()
			lose()
			a := b.once(b.fill(page, "/.mfa/sign-out"))
			n.line.Heal()
			t.Logf("the answer is %d; %d commits were lost", a.Status, n.line.Lost()-lost)
			// It was tried again, and has ended, or it is said that it has not.
			for _, node := range c.nodes {
				begun := time.Now()
				for a.Status == http.StatusSeeOther && node.asker(cookie)(t) {
					if time.Since(begun) > 30*time.Second {
						t.Fatalf("%s: signing out is acknowledged, and %s lets the session through", name, node.bind)
					}
					time.Sleep(10 * time.Millisecond)
				}
			}
			if a.Status != http.StatusSeeOther && a.Status != http.StatusServiceUnavailable {
				t.Errorf("the answer is %d %s", a.Status, a.Text())
			}
		})
		t.Run(name+": a backup code", func(t *testing.T) {
			f := c.fork(t, p, "/.mfa/verify/backup-code")
			code := p.Backup[used]
			used++
			lost := n.line.Lost()
			lose()
			a := f.browser.once(f.browser.fill(f.page, "verify/backup-code", "code", code))
			n.line.Heal()
			t.Logf("the answer is %d; %d commits were lost", a.Status, n.line.Lost()-lost)
			doors := 0
			if f.browser.cookie(f.browser.sessionName()) != "" {
				doors++
			}
			if (doors > 0) != (a.Status == http.StatusSeeOther) {
				t.Errorf("%d, and %d sessions", a.Status, doors)
			}
			for _, node := range c.nodes {
				b := node.client(t)
				if b.verifyCode(b.signIn("alice"), code); b.cookie(b.sessionName()) != "" {
					doors++
				}
			}
			if doors > 1 {
				t.Errorf("one code has opened %d sessions", doors)
			}
			n.order(t, "users/unlock", map[string]any{"name": "alice"})
		})
	}
}
