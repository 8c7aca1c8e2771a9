package scale

import (
	"context"
	"sync/atomic"
	"testing"
	"time"

	"github.com/secondgate/secondgate/mfa"
)

// TestThroughput counts whole sign-ins a second (password without Argon2, authenticator
// app, sign-out) through one node and through two of one database, and sees that checks of
// sessions at hand ask the database nothing.
func TestThroughput(t *testing.T) {
	if *only == "badger" {
		t.Skip("-scalestore badger")
	}
	hasher := newHasher(t)
	server, dir := bigServer(t), folder(t)
	c := newCrowd(t, hasher, crowdPath(dir))
	users := min(*scale, 20_000)
	fillDatabase(t, server, c, dir, users)
	where := dir + "/" + databaseOf(users)
	node := func() *world {
		s := openDatabase(t, where)
		t.Cleanup(func() { ok(t, s.Close()) })
		return newWorld(t, c, hasher, s, users)
	}
	nodes := []*world{node(), node()}
	var next atomic.Int64
	say(t, "")
	turns := 1
	if *scale >= 1_000_000 {
		turns = 5
	}
	for range turns { // one after the other, so that what else happens falls on both
		one, two := signIns(t, nodes[:1], &next, 64, 3*time.Second), signIns(t, nodes, &next, 64, 3*time.Second)
		say(t, "sign-ins a second: %.0f through one node, %.0f through two", one, two)
	}

	w := nodes[0]
	asked := func() string {
		// Of what the store asks for itself (the feed, the clean-up) nothing reads a session.
		rows := query(t, server.URL(databaseOf(users)), `SELECT coalesce(sum(seq_scan) + sum(idx_scan), 0) FROM pg_stat_user_tables WHERE relname IN ('sessions', 'users')`)
		return rows[0][0]
	}
	ok(t, w.hits(stepHit, 1000, func(string, time.Duration) {}))
	time.Sleep(2 * time.Second) // backends tell what they did once a second
	before := asked()
	const checks = 1_000_000
	began := time.Now()
	for n := range checks {
		if _, err := w.cached.Verify(t.Context(), w.tokens[1000][n%1000], scope); err != nil {
			t.Fatal(err)
		}
		if time.Since(began) > 20*time.Second {
			t.Fatalf("a million checks are not done after 20 s: %d", n)
		}
	}
	took := time.Since(began)
	time.Sleep(2 * time.Second)
	if after := asked(); after != before {
		t.Errorf("the tables of users and sessions were looked at %s times before a million checks and %s after", before, after)
	}
	say(t, "%.0f checks a second by one processor, none of which asks the database", checks/took.Seconds())
}

// signIns returns how many whole sign-ins the nodes did in a second.
func signIns(t *testing.T, nodes []*world, next *atomic.Int64, workers int, long time.Duration) float64 {
	t.Helper()
	var done atomic.Int64
	began := time.Now()
	ctx := context.Background()
	err := atOnce(workers, workers, func(worker int) error {
		w := nodes[worker%len(nodes)]
		for time.Since(began) < long {
			i := int(next.Add(1)) % w.users
			if !armed(i) {
				continue
			}
			in, err := w.signIn(w.quick, i)
			if err != nil {
				return err
			}
			at := placeOf(i)
			code, err := w.codeAt(time.Now())
			if err != nil {
				return err
			}
			out, err := w.quick.VerifyTOTP(ctx, at, in.Session.ID, code)
			if err != nil {
				return err
			}
			if err := expect(out.Decision, mfa.Allow); err != nil {
				return err
			}
			if _, err := w.quick.SignOut(ctx, at, out.Session.ID, ""); err != nil {
				return err
			}
			done.Add(1)
		}
		return nil
	}, func(int) {})
	ok(t, err)
	return float64(done.Load()) / time.Since(began).Seconds()
}
