package e2e

import (
	"sync"
	"testing"
	"time"
)

// TestStorm on PostgreSQL: of two gateways one is killed, or both, or the database, or all of
// it, while people are at work (AC-192).
func TestStorm_PostgreSQL(t *testing.T) {
	t.Parallel()
	c := startCluster(t, 2, clustered)
	s := newStorm(t, c.front)
	s.open, s.shaky = c.store, true
	s.rounds = max(1, s.rounds/4) // each takes longer than with one gateway
	for s.next() {
		both, database := s.chance.IntN(3) == 0, s.chance.IntN(3) == 0
		victims := c.nodes[s.chance.IntN(2):][:1]
		switch {
		case both:
			victims = c.nodes
		case database && s.chance.IntN(2) == 0:
			victims = nil
		}
		s.rage(func() {
			s.middle()
			// At once, while requests are under way: nobody is told to stop first.
			for _, n := range victims {
				n.away.Store(true)
				_ = n.cmd.Process.Kill()
			}
			if database {
				c.db.Kill(t)
			}
			if len(victims) == 1 && !database {
				time.Sleep(500 * time.Millisecond) // the other one goes on
			}
		})
		if database {
			c.db.Restart(t)
		}
		var group sync.WaitGroup
		for _, n := range victims {
			group.Go(func() { n.kill() })
		}
		group.Wait()
		// What was under way in the gateway that lives, and in the database, comes to its end.
		rest := 3 * time.Second
		if database && !both {
			// It goes on for ten seconds with what it began, and writes the ends of sessions
			// that it could not write, every five (AC-191).
			rest = 12 * time.Second
		}
		time.Sleep(rest)
		c.front.App.Forget()
		s.compare()
		for _, n := range victims {
			n.launch(t)
			n.away.Store(false)
		}
		c.ready()
		s.tryAgain()
	}
	s.report()
}
