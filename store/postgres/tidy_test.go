package postgres

import (
	"fmt"
	"sync/atomic"
	"testing"
	"time"

	"github.com/secondgate/secondgate/mfa"
)

// clock is one that a test sets.
type clock struct{ ahead atomic.Int64 }

func (c *clock) now() time.Time { return time.Now().Add(time.Duration(c.ahead.Load())) }

func count(t *testing.T, s *Store, table string) (n int) {
	t.Helper()
	must(t, s.db.pool.QueryRow(ctx, `SELECT count(*) FROM `+table).Scan(&n))
	return n
}

func TestStore_removesWhatIsTooOld(t *testing.T) {
	var c clock
	o := withTables(t)
	o.Now, o.KeepEvents = c.now, 10*24*time.Hour
	s := openAt(t, o, newKeys(t))
	const n = tidyBatch + 20 // more than one statement takes
	for i := range n {
		must(t, s.PutChallenge(ctx, &mfa.Challenge{ID: fmt.Sprintf("c%d", i), Expires: time.Now().Add(time.Minute)}))
	}
	must(t, s.CreateSession(ctx, sessionOf("ended", "id-alice")))
	must(t, s.CreateSession(ctx, sessionOf("lives", "id-alice")))
	must(t, s.EndSession(ctx, "ended"))
	must(t, s.UpdateAttempts(ctx, []string{"low", "high", "budget"}, func(a []mfa.Attempts) error {
		a[0].Count, a[1].Count, a[2] = 1, 20, mfa.Attempts{Count: 9, Since: time.Now(), Forget: time.Now().Add(time.Hour)}
		return nil
	}))
	for part := range 3 {
		var list []mfa.Event
		for range 250 {
			list = append(list, mfa.Event{At: c.now(), Name: mfa.EventSignIn, Detail: fmt.Sprint(part)})
		}
		must(t, s.AppendEvents(ctx, list))
	}
	// Its clock was wrong: it goes with the next one that is old, not before and not never.
	must(t, s.AppendEvents(ctx, []mfa.Event{{At: time.Now().AddDate(50, 0, 0), Name: mfa.EventSignIn}, {At: c.now(), Name: mfa.EventSignIn}}))
	c.ahead.Store(int64(5 * 24 * time.Hour))
	must(t, s.AppendEvents(ctx, []mfa.Event{{At: c.now(), Name: mfa.EventSignIn, Detail: "young"}}))

	c.ahead.Store(0)
	must(t, s.tidy(ctx))
	for table, want := range map[string]int{"challenges": n, "sessions": 2, "attempts": 3, "events": 753} {
		if got := count(t, s, table); got != want {
			t.Errorf("now: %d %s, want %d", got, table, want)
		}
	}
	c.ahead.Store(int64(time.Hour + 24*time.Hour + time.Minute)) // the fact that a session ended stays longest
	must(t, s.tidy(ctx))
	for table, want := range map[string]int{"challenges": 0, "sessions": 1, "attempts": 2, "events": 753} {
		if got := count(t, s, table); got != want {
			t.Errorf("in a day: %d %s, want %d", got, table, want)
		}
	}
	_, err := s.Session(ctx, "ended")
	wantErr(t, err, mfa.ErrNotFound)
	wantErr(t, s.CreateSession(ctx, sessionOf("ended", "id-alice")), mfa.ErrTaken)
	c.ahead.Store(int64(14 * 24 * time.Hour))
	must(t, s.tidy(ctx))
	if got := count(t, s, "events"); got != 1 {
		t.Errorf("%d events are left, want 1", got)
	}
	ends, err := mfa.CheckChain(ctx, s, mfa.Chain{})
	must(t, err)
	if ends.First != 753 || ends.Last != 753 {
		t.Errorf("the chain is %+v", ends)
	}
	c.ahead.Store(int64(2000 * 24 * time.Hour))
	must(t, s.tidy(ctx))
	for table, want := range map[string]int{"sessions": 0, "attempts": 1, "events": 0} {
		if got := count(t, s, table); got != want {
			t.Errorf("in years: %d %s, want %d", got, table, want)
		}
	}
	a, err := s.Attempts(ctx, "high")
	must(t, err)
	if a.Count != 20 {
		t.Errorf("time opened a lock: %+v", a)
	}
	must(t, s.AppendEvents(ctx, []mfa.Event{{At: c.now(), Name: mfa.EventSignIn}}))
	ends, err = mfa.CheckChain(ctx, s, mfa.Chain{})
	must(t, err)
	if ends.First != 754 || ends.Last != 754 {
		t.Errorf("the chain goes on as %+v", ends)
	}
}

// A session that was put off while old ones are removed stays.
func TestStore_removesNothingThatWasPutOff(t *testing.T) {
	o := withTables(t)
	s := openAt(t, o, newKeys(t))
	half := sessionOf("s", "id-alice")
	half.Complete, half.Expires = false, time.Now().Add(-2*time.Hour)
	must(t, s.CreateSession(ctx, half))
	changed(t, o.URL, 1, `UPDATE sessions SET delete_after = now() - interval '1 minute'`)
	tx, err := s.db.pool.Begin(ctx)
	must(t, err)
	defer func() { _ = tx.Rollback(ctx) }()
	_, err = tx.Exec(ctx, `UPDATE sessions SET delete_after = now() + interval '1 hour'`)
	must(t, err)
	done := make(chan error, 1)
	go func() { done <- s.tidy(ctx) }()
	time.Sleep(200 * time.Millisecond)
	must(t, tx.Commit(ctx))
	must(t, <-done)
	if got := count(t, s, "sessions"); got != 1 {
		t.Errorf("%d sessions are left", got)
	}
}

// A node whose clock is wrong takes nothing away that is not old for the others.
func TestStore_removesNothingByAWrongClock(t *testing.T) {
	var c clock
	o := newOptions(t)
	o.Now = c.now
	s := openAt(t, o, newKeys(t))
	must(t, s.AppendEvents(ctx, []mfa.Event{{At: time.Now(), Name: mfa.EventSignIn}}))
	must(t, s.UpdateAttempts(ctx, []string{"alice"}, func(a []mfa.Attempts) error { a[0].Count = 4; return nil }))
	eventually(t, "the clocks are compared", func() bool { return s.compared.Load() != nil })
	c.ahead.Store(int64(365 * 24 * time.Hour))
	s.compared.Store(&clocks{at: time.Now(), ahead: 365 * 24 * time.Hour})
	if err := s.tidyByClock(ctx); err == nil {
		t.Error("nobody is told")
	}
	if e, a := count(t, s, "events"), count(t, s, "attempts"); e != 1 || a != 1 {
		t.Errorf("%d events and %d counters are left", e, a)
	}
	s.compared.Store(&clocks{at: time.Now()})
	must(t, s.tidyByClock(ctx))
	if e, a := count(t, s, "events"), count(t, s, "attempts"); e != 0 || a != 0 {
		t.Errorf("%d events and %d counters are left", e, a)
	}
}
