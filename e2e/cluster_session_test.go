package e2e

import (
	"crypto/rand"
	"encoding/base64"
	"strings"
	"sync"
	"testing"
	"time"
)

// A session is one on all gateways: seen on one, it is not idle on another; idle, or over, it
// is so on each (AC-031). One that was ended stays ended when both are killed and started
// again (AC-025), and after a flood of tokens that are none (AC-029, AC-212), which pushes
// nobody out.
func TestCluster_Session_AC025_AC029_AC031(t *testing.T) {
	c := startCluster(t, 2, strings.NewReplacer("idle 30d", "idle 1h", "absolute 30d", "absolute 12h").Replace(clustered))
	here, there := c.nodes[0], c.nodes[1]
	p := c.member(t, here, "alice")
	gone := p.victim()
	p.browser.signOut()
	p.browser.enter(p.account)
	cookie := p.victim()
	if !here.asker(cookie)(t) || !there.asker(cookie)(t) {
		t.Fatal("the session does not hold on both")
	}

	t.Run("AC-029 a flood of tokens", func(t *testing.T) {
		name, token, _ := strings.Cut(cookie, "=")
		head := token[:strings.LastIndex(token, ".")+1]
		var group sync.WaitGroup
		for _, n := range c.nodes {
			for range 4 {
				group.Go(func() {
					raw := make([]byte, 32)
					for range 500 {
						_, _ = rand.Read(raw)
						if n.asker(name + "=" + head + base64.RawURLEncoding.EncodeToString(raw))(t) {
							t.Error("a made-up token opens the app")
						}
					}
				})
			}
		}
		group.Wait()
		for _, n := range c.nodes {
			if n.asker(gone)(t) {
				t.Error("a session that was ended is back")
			}
			if !n.asker(cookie)(t) {
				t.Error("a session was pushed out")
			}
		}
	})
	t.Run("AC-025 killed and started again", func(t *testing.T) {
		for _, n := range c.nodes {
			n.kill()
			n.launch(t)
		}
		c.ready()
		for _, n := range c.nodes {
			if n.asker(gone)(t) {
				t.Error("a session that was ended is back")
			}
			if !n.asker(cookie)(t) {
				t.Error("a session is lost")
			}
		}
	})
	t.Run("AC-031 seen on one, and not idle on the other", func(t *testing.T) {
		if !*clusterLong {
			t.Skip("NOT RUN: what was seen is written once a minute; run it with -cluster")
		}
		c.front.advance(t, 50*time.Minute)
		if !there.asker(cookie)(t) {
			t.Fatal("idle after 50 minutes of 60")
		}
		time.Sleep(65 * time.Second)
		c.front.advance(t, 20*time.Minute)
		if !here.asker(cookie)(t) {
			t.Error("the other gateway does not know that the session was seen")
		}
	})
	t.Run("AC-031 idle on both", func(t *testing.T) {
		c.front.advance(t, time.Hour+2*time.Minute)
		for _, n := range c.nodes {
			if n.asker(cookie)(t) {
				t.Errorf("%s lets an idle session through", n.bind)
			}
		}
	})
	t.Run("AC-031 the absolute end", func(t *testing.T) {
		b := here.client(t)
		b.enter(p.account)
		line := b.only(b.sessionName())
		for i := range 14 {
			n := c.nodes[i%2]
			// Each of them is asked, so that none takes it for idle.
			if got := n.asker(line)(t); got != (i < 12) {
				t.Errorf("after %d times 59 minutes: through is %v", i, got)
			}
			c.nodes[(i+1)%2].asker(line)(t)
			c.front.advance(t, 59*time.Minute+30*time.Second)
			if i == 11 {
				c.front.advance(t, 10*time.Minute)
			}
		}
	})
}
