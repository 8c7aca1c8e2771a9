package scale

import (
	"context"
	"errors"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/secondgate/secondgate/mfa"
)

// eventsFor is how many events stand beside so many users.
func eventsFor(users int) int { return users }

// fill puts that many users with a session each, and their events, into the store, and says
// now and then how far it is.
func fill(t testing.TB, c *crowd, s mfa.Store, users int) {
	t.Helper()
	began := time.Now()
	told := began
	ok(t, fillEach(c, s, users, func(what string, n int) {
		if time.Since(told) > 30*time.Second {
			told = time.Now()
			t.Logf("filling: %d of %d %s after %s", n, users, what, time.Since(began).Round(time.Second))
		}
	}))
	t.Logf("%d users, %d sessions and %d events in %s", users, users, eventsFor(users), time.Since(began).Round(time.Second))
}

// fillEach takes the way of people, many at a time.
func fillEach(c *crowd, s mfa.Store, users int, tell func(what string, n int)) error {
	ctx := context.Background()
	err := atOnce(128, users, func(i int) error {
		if err := s.CreateUser(ctx, c.user(i)); err != nil {
			return err
		}
		return s.CreateSession(ctx, c.session(i))
	}, func(n int) { tell("users", n) })
	if err != nil {
		return err
	}
	var list []mfa.Event
	for i := range eventsFor(users) {
		if list = append(list, c.event(i, users)); len(list) == 256 || i+1 == eventsFor(users) {
			if err := s.AppendEvents(ctx, list); err != nil {
				return err
			}
			list = list[:0]
			tell("events", i)
		}
	}
	return nil
}

// atOnce does the work for 0 to n-1, so many at a time; tell hears of it from one of them.
func atOnce(workers, n int, work func(int) error, tell func(int)) error {
	var next atomic.Int64
	var all sync.WaitGroup
	errs := make([]error, workers)
	for w := range workers {
		all.Go(func() {
			for errs[w] == nil {
				i := int(next.Add(1)) - 1
				if i >= n {
					return
				}
				errs[w] = work(i)
				if w == 0 {
					tell(i)
				}
			}
		})
	}
	all.Wait()
	return errors.Join(errs...)
}
