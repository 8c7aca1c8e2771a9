package e2e

import (
	"errors"
	"flag"
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/secondgate/secondgate/internal/faultproxy"
)

var clusterLong = flag.Bool("cluster", false, "the long form of the tests of several gateways: longer faults, three gateways, more rounds")

// lasts is how long something is to last: in the long form, and in the short one.
func lasts(long, short time.Duration) time.Duration {
	if *clusterLong {
		return long
	}
	return short
}

// Several gateways and one database, people at work and 200 requests a second, while a
// gateway is killed, hangs, is cut off from the database, the database is killed, and all of
// them are upgraded one after the other. Nobody gets in who may not, and what was
// acknowledged is kept (AC-192; security.md §4.3, I1 to I5).
func TestCluster_Faults(t *testing.T) {
	for _, n := range []int{2, 3} {
		if n > 2 && !*clusterLong {
			break
		}
		t.Run(fmt.Sprintf("%d gateways", n), func(t *testing.T) {
			c := startCluster(t, n, clustered)
			s := newStorm(t, c.front)
			s.shaky, s.open = true, c.store
			s.readers = c.read(200)
			for _, f := range []struct {
				name string
				do   func(*cluster)
			}{
				{"nothing at all", func(*cluster) {}},
				{"a gateway is killed and started again", (*cluster).killOne},
				{"a gateway hangs", (*cluster).pauseOne},
				{"a gateway is cut off from the database", (*cluster).cutOne},
				{"the lines to the database are reset", (*cluster).resetLines},
				{"the database is killed and started again", (*cluster).killDatabase},
				{"one gateway after the other is upgraded", (*cluster).upgrade},
			} {
				s.round++
				begun, answers := time.Now(), s.answers.Load()
				s.rage(func() {
					time.Sleep(2 * time.Second)
					s.readers.broken.Store(true)
					f.do(c)
					c.settle()
					s.readers.broken.Store(false)
					time.Sleep(time.Second)
				})
				s.compare()
				s.tryAgain()
				t.Logf("%s: %s, %d answers to people", f.name, time.Since(begun).Round(time.Second), s.answers.Load()-answers)
				if t.Failed() {
					break
				}
			}
			s.readers.end()
			s.report()
		})
	}
}

// settle waits until every gateway works, and what was under way has ended: nothing of ours
// goes on in the database for longer than its time bounds.
func (c *cluster) settle() {
	c.t.Helper()
	c.ready()
	time.Sleep(3 * time.Second)
}

// leave takes the gateway out of the balancer's list, or lets it stay for a moment first,
// and returns what puts it back.
func (n *node) leave() (back func()) {
	n.away.Store(true)
	return func() { n.away.Store(false) }
}

func (c *cluster) killOne() {
	n := c.nodes[len(c.nodes)-1]
	n.down.Store(true)
	n.kill()
	time.Sleep(time.Second) // as long as a balancer takes to notice
	back := n.leave()
	time.Sleep(lasts(5*time.Second, time.Second))
	n.launch(c.t)
	n.ready(c.t)
	n.down.Store(false)
	back()
}

func (c *cluster) pauseOne() {
	n := c.nodes[0]
	over := n.gap(time.Hour, otherNode)
	n.down.Store(true)
	n.pause(c.t)
	time.Sleep(time.Second)
	back := n.leave()
	time.Sleep(lasts(10*time.Second, 5*time.Second) - time.Second)
	n.resume(c.t)
	over()
	n.down.Store(false)
	back()
}

func (c *cluster) cutOne() {
	n := c.nodes[len(c.nodes)-1]
	over := n.gap(storeDown, feedCut)
	n.line.Silence(faultproxy.Both)
	time.Sleep(time.Second)
	back := n.leave()
	time.Sleep(lasts(20*time.Second, 8*time.Second) - time.Second)
	// Nobody signs in where nobody can be looked up, and nobody is told that they are wrong.
	b := n.client(c.t)
	if p, err := b.try(b.request(http.MethodGet, "/.mfa/health", nil)); err != nil || p.Status != http.StatusServiceUnavailable {
		c.t.Errorf("cut off from the database, the health check says %v, %v", p, err)
	}
	n.line.Heal()
	over()
	n.ready(c.t)
	back()
}

// resetLines resets every connection to the database several times over, and loses the
// answers to commits.
func (c *cluster) resetLines() {
	lost := 0
	for range 5 {
		for _, n := range c.nodes {
			before := n.line.Lost()
			for range 3 {
				n.line.LoseReply("COMMIT")
			}
			time.Sleep(500 * time.Millisecond)
			n.line.Heal()
			lost += n.line.Lost() - before
			n.line.Cut()
		}
	}
	c.t.Logf("%d commits happened and were not heard of", lost)
	if lost == 0 {
		c.t.Error("no commit passed by in all this time")
	}
}

func (c *cluster) killDatabase() {
	var ends []func()
	for _, n := range c.nodes {
		ends = append(ends, n.gap(storeDown, feedCut))
	}
	c.db.Kill(c.t)
	time.Sleep(lasts(10*time.Second, 3*time.Second))
	c.db.Restart(c.t)
	for _, end := range ends {
		end()
	}
}

// upgrade starts each gateway anew as the next version, whose schema has one step more.
func (c *cluster) upgrade() {
	newer := c.newer()
	for _, n := range c.nodes {
		back := n.leave()
		n.down.Store(true)
		n.stop()
		n.bin = newer
		n.launch(c.t)
		n.ready(c.t)
		n.down.Store(false)
		back()
		// The old version goes on beside it on the new schema.
		time.Sleep(lasts(5*time.Second, 2*time.Second))
	}
	// And back: the old version cannot know what the new one has written (AC-205).
	n := c.nodes[0]
	back := n.leave()
	n.down.Store(true)
	n.stop()
	bin := n.bin
	n.bin, _ = program()
	if err := n.starts(); err == nil || !strings.Contains(n.log(), "version") {
		c.t.Errorf("the old version starts on the new one's schema, or does not say why not: %v\n%s", err, n.output.last(2<<10))
	}
	n.stop()
	n.bin = bin
	n.launch(c.t)
	n.ready(c.t)
	n.down.Store(false)
	back()
}

// starts starts the gateway and returns an error unless it works within some seconds: where
// the store is not what it should be, the ports may be open for a moment before it ends.
func (n *node) starts() error {
	if err := n.tryLaunch(); err != nil {
		return err
	}
	for end := time.Now().Add(10 * time.Second); time.Now().Before(end); time.Sleep(50 * time.Millisecond) {
		select {
		case <-n.exited:
			return errors.New("the gateway has ended")
		default:
		}
		if n.healthy() == nil {
			return nil
		}
	}
	return errors.New("the gateway does not work")
}
