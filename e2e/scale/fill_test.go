package scale

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/secondgate/secondgate/mfa"
	"github.com/secondgate/secondgate/store"
)

// eventsFor is how many events stand beside so many users.
func eventsFor(users int) int { return users }

// part is how many rows one write takes; one that is too large is cut in two.
const part = 64

// fill puts that many users with a session each, and their events, into the store.
func fill(t testing.TB, c *crowd, s mfa.Store, users int) {
	t.Helper()
	began := time.Now()
	told := began
	tell := func(what string, n int) {
		if time.Since(told) > 30*time.Second {
			told = time.Now()
			t.Logf("filling: %d %s after %s", n, what, time.Since(began).Round(time.Second))
		}
	}
	var err error
	if p, portable := s.(store.Target); portable {
		err = fillRows(c, p, users, tell)
	} else {
		err = fillEach(c, s, users, tell)
	}
	ok(t, err)
	t.Logf("%d users, %d sessions, %d events in %s", users, users, eventsFor(users), time.Since(began).Round(time.Second))
}

// fillRows takes the way of a restored backup.
func fillRows(c *crowd, s store.Target, users int, tell func(string, int)) error {
	people := func(i int) (store.Row, error) { return row(store.Users, string(userID(i)), c.user(i)) }
	if err := rowsAtOnce(s, users, people, func(n int) { tell("users", n) }); err != nil {
		return fmt.Errorf("users: %w", err)
	}
	sessions := func(i int) (store.Row, error) {
		return row(store.Sessions, string(sessionID(i)), store.Session{Session: *c.session(i)})
	}
	if err := rowsAtOnce(s, users, sessions, func(n int) { tell("sessions", n) }); err != nil {
		return fmt.Errorf("sessions: %w", err)
	}
	head := ""
	var list []store.Row
	for i := range eventsFor(users) {
		e, err := c.event(i, users).Chained(uint64(i+1), head)
		if err != nil {
			return err
		}
		head = e.Hash
		r, err := row(store.Events, fmt.Sprint(e.Number), e)
		if err != nil {
			return err
		}
		if list = append(list, r); len(list) == part || i+1 == eventsFor(users) {
			if err := take(s, list); err != nil {
				return fmt.Errorf("events: %w", err)
			}
			list = list[:0]
			tell("events", i)
		}
	}
	end, err := row(store.Chain, "count", store.EventCount{Count: uint64(eventsFor(users)), Began: 1, Head: head})
	if err != nil {
		return err
	}
	return take(s, []store.Row{end})
}

// rowsAtOnce takes n rows in, some parts at a time.
func rowsAtOnce(s store.Target, n int, make func(i int) (store.Row, error), tell func(int)) error {
	return atOnce(4, (n+part-1)/part, func(p int) error {
		var list []store.Row
		for i := p * part; i < min(n, (p+1)*part); i++ {
			r, err := make(i)
			if err != nil {
				return err
			}
			list = append(list, r)
		}
		return take(s, list)
	}, func(p int) { tell(p * part) })
}

func take(s store.Target, list []store.Row) error {
	err := s.Import(context.Background(), list)
	if errors.Is(err, mfa.ErrTooLarge) && len(list) > 1 {
		half := len(list) / 2
		return errors.Join(take(s, list[:half]), take(s, list[half:]))
	}
	return err
}

// fillEach takes the way of people, many at a time.
func fillEach(c *crowd, s mfa.Store, users int, tell func(string, int)) error {
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
