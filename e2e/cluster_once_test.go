package e2e

import (
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/secondgate/secondgate/mfa"
	"github.com/secondgate/secondgate/mfa/mfatest"
)

// Of a hundred who send one code, one backup code, one passkey's answer or one code from a
// letter at once, through two gateways, one gets a session (AC-102, AC-104, AC-105, AC-112).
func TestCluster_Once(t *testing.T) {
	mail := newMailServer(t)
	c := startCluster(t, 2, strings.Replace(clustered, "\t\tsession {", mail.config()+`
		factors passkey totp email backup_code
		identity local {
			sign_in password email
		}
		session {`, 1))
	rounds := 2
	if *clusterLong {
		rounds = 8 // whoever has used their last code owes new ones first, and gets no session
	}
	p := c.member(t, c.nodes[0], "alice")
	key := &mfatest.Authenticator{Origin: c.front.base()}
	p.browser.addPasskey(key)
	c.nodes[0].order(t, "users/invite", map[string]any{"name": "mia", "email": "mia@example.test"})

	for round := range rounds {
		t.Run(fmt.Sprintf("AC-112 authenticator app, round %d", round), func(t *testing.T) {
			f := c.fork(t, p, "/.mfa/verify/totp")
			f.race(t, "code", p.App.Code(t))
		})
		t.Run(fmt.Sprintf("AC-104 backup code, round %d", round), func(t *testing.T) {
			f := c.fork(t, p, "/.mfa/verify/backup-code")
			f.race(t, "code", p.Backup[round])
		})
		t.Run(fmt.Sprintf("AC-102 passkey, round %d", round), func(t *testing.T) {
			f := c.fork(t, p, "/.mfa/verify/passkey")
			begun, csrf := f.browser.beginPasskey("/.mfa/verify/passkey")
			answer, err := key.Verify(begun.options(t), nil)
			if err != nil {
				t.Fatal(err)
			}
			f.run(t, func(b *client) *answered {
				return b.postJSON("/.mfa/verify/passkey/finish", csrf, begun.with(answer), nil)
			})
		})
	}
}

// fork is one half-done sign-in, in many browsers that hold the same cookie, each of one
// gateway: what is sent at once is sent through all of them.
type fork struct {
	c       *cluster
	browser *client
	page    *answered
	path    string
}

func (c *cluster) fork(t *testing.T, p *member, path string) *fork {
	t.Helper()
	c.nodes[0].order(t, "users/unlock", map[string]any{"name": p.name})
	f := &fork{c: c, browser: c.nodes[0].client(t), path: path}
	f.browser.signIn(p.name)
	f.page = f.browser.get(path)
	if f.page.Status != http.StatusOK {
		t.Fatalf("%s: %d %s", path, f.page.Status, f.page.Text())
	}
	return f
}

// race sends the form a hundred times.
func (f *fork) race(t *testing.T, field, value string) {
	t.Helper()
	csrf := f.page.CSRF()
	f.run(t, func(b *client) *answered {
		return b.once(b.formRequest(f.path, url.Values{"csrf": {csrf}, field: {value}}))
	})
}

// run has a hundred browsers do it, and counts those that got a session.
func (f *fork) run(t *testing.T, send func(b *client) *answered) {
	t.Helper()
	var (
		group sync.WaitGroup
		mu    sync.Mutex
		doors []string
		said  = map[int]int{}
	)
	begin := make(chan struct{})
	for i := range 100 {
		b := f.c.nodes[i%len(f.c.nodes)].client(t)
		for _, k := range f.browser.cookies() {
			b.setCookie(k.Name, k.Value)
		}
		group.Go(func() {
			<-begin
			a := send(b)
			mu.Lock()
			defer mu.Unlock()
			said[a.Status]++
			if token := b.cookie(b.sessionName()); token != "" {
				doors = append(doors, token)
			}
		})
	}
	close(begin)
	group.Wait()
	if len(doors) != 1 {
		t.Errorf("%d sessions for one of it; the answers are %v", len(doors), said)
		return
	}
	cookie := f.browser.sessionName() + "=" + doors[0]
	for _, n := range f.c.nodes {
		if !n.asker(cookie)(t) {
			t.Errorf("%s does not know the session", n.bind)
		}
	}
	t.Logf("one session; the answers are %v", said)
}

// A hundred wrong codes at once through two gateways: no more are compared than the curve
// allows, and all that were compared are counted, whichever gateway counted them (AC-095).
func TestCluster_Guesses_AC095(t *testing.T) {
	c := startCluster(t, 2, clustered)
	p := c.member(t, c.nodes[0], "alice")
	f := c.fork(t, p, "/.mfa/verify/totp")
	wrong, csrf := p.App.wrong(t), f.page.CSRF()
	var (
		group             sync.WaitGroup
		mu                sync.Mutex
		compared, refused int
		others            []string
	)
	for i := range 100 {
		b := c.nodes[i%2].client(t)
		for _, k := range f.browser.cookies() {
			b.setCookie(k.Name, k.Value)
		}
		group.Go(func() {
			a := b.once(b.formRequest(f.path, url.Values{"csrf": {csrf}, "code": {wrong}}))
			mu.Lock()
			defer mu.Unlock()
			switch {
			case a.Status == http.StatusUnprocessableEntity:
				compared++
			case a.Status == http.StatusTooManyRequests:
				refused++
			default:
				others = append(others, fmt.Sprintf("%d %s", a.Status, a.Text()))
			}
		})
	}
	group.Wait()
	if compared != 5 || refused != 95 {
		t.Errorf("%d guesses were compared and %d refused, want 5 and 95; others: %q", compared, refused, others)
	}
	store := c.kept
	u, err := store.UserByKey(t.Context(), mfa.SubjectKey("local", "alice"))
	if err != nil {
		t.Fatal(err)
	}
	counter, err := store.Attempts(t.Context(), "user:"+string(u.ID)+":totp")
	if err != nil || counter.Count != compared {
		t.Errorf("the counter is at %d (%v), and %d were compared", counter.Count, err, compared)
	}
	// And then one after the other, by turns.
	c.front.advance(t, 31*time.Second)
	for i := range 4 {
		b := c.nodes[i%2].client(t)
		for _, k := range f.browser.cookies() {
			b.setCookie(k.Name, k.Value)
		}
		if a := b.once(b.formRequest(f.path, url.Values{"csrf": {csrf}, "code": {p.App.wrong(t)}})); a.Status != http.StatusUnprocessableEntity {
			t.Fatalf("wrong code %d: %d %s", 6+i, a.Status, a.Text())
		}
		counter, err := store.Attempts(t.Context(), "user:"+string(u.ID)+":totp")
		if err != nil || counter.Count != 6+i {
			t.Errorf("after %d wrong codes the counter is at %d (%v)", 6+i, counter.Count, err)
		}
		c.front.advance(t, counter.Until.Sub(c.front.now())+time.Second)
	}
}
