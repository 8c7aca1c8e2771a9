package postgres

import (
	"flag"
	"fmt"
	"slices"
	"sync/atomic"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/secondgate/secondgate/mfa"
)

var expiring10 = flag.Int("expire", 5000, "how many sessions and challenges come and go in each round of TestTidy_costStaysFlat")

// Sessions, challenges and counters come and go for years: what one costs must not grow
// with how many there ever were, and neither must the room they take.
func TestTidy_costStaysFlat(t *testing.T) {
	const rounds, probes = 10, 40
	o, n := withTables(t), *expiring10
	var shift atomic.Int64
	o.Now = func() time.Time { return time.Now().Add(time.Duration(shift.Load())) }
	s := openAt(t, o, newKeys(t))
	must(t, s.CreateUser(ctx, &mfa.User{ID: "u", Source: mfa.LocalSource, Subject: "u", Name: "u", Handle: []byte("u")}))
	type figure struct {
		insert, lookup, tidy time.Duration
		size                 int64
	}
	var list []figure
	for round := range rounds {
		now := o.Now().UTC()
		at := now.Format("'2006-01-02 15:04:05'")
		gone := now.Add(time.Hour).Format("'2006-01-02 15:04:05'")
		sql(t, o.URL, fmt.Sprintf(`INSERT INTO sessions SELECT md5('%d-' || i) || md5(i::text), 'v' || i, i %% 4096, 'h', true, %s, %s, %s, NULL, timestamptz %s + i * interval '10 milliseconds', decode(repeat(md5(i::text), 22), 'hex') FROM generate_series(1, %d) i`,
			round, at, at, gone, gone, n))
		sql(t, o.URL, fmt.Sprintf(`INSERT INTO challenges SELECT md5('%d-' || i) || md5(i::text), 'p', %s, NULL, timestamptz %s + i * interval '10 milliseconds', decode(repeat(md5(i::text), 10), 'hex') FROM generate_series(1, %d) i`,
			round, gone, gone, n))
		var f figure
		var inserts, lookups []time.Duration
		for i := range probes {
			session := &mfa.Session{
				ID: mfa.SessionID(fmt.Sprintf("probe-%d-%d", round, i)), User: mfa.UserID(fmt.Sprintf("w%d", i)), Scope: "h", Complete: true,
				Created: now, LastSeen: now, Expires: now.Add(time.Hour),
			}
			began := time.Now()
			must(t, s.CreateSession(ctx, session))
			inserts = append(inserts, time.Since(began))
			began = time.Now()
			if _, err := s.Session(ctx, session.ID); err != nil {
				t.Fatal(err)
			}
			lookups = append(lookups, time.Since(began))
		}
		f.insert, f.lookup = middle(inserts), middle(lookups)
		shift.Add(int64(50 * time.Hour))
		began := time.Now()
		must(t, s.tidy(ctx))
		f.tidy = time.Since(began)
		if left := number(t, o.URL, `SELECT count(*) FROM sessions`) + number(t, o.URL, `SELECT count(*) FROM challenges`); left != 0 {
			t.Fatalf("%d old rows are left", left)
		}
		sql(t, o.URL, `VACUUM sessions, challenges`) // as the server does by itself, a minute later
		f.size = number(t, o.URL, `SELECT pg_total_relation_size('sessions') + pg_total_relation_size('challenges')`)
		list = append(list, f)
		t.Logf("round %d: making one %s, reading one %s, removing %d rows %s, %.1f MB then", round+1,
			f.insert.Round(time.Microsecond), f.lookup.Round(time.Microsecond), 2*n+probes, f.tidy.Round(time.Millisecond), float64(f.size)/1e6)
	}
	// The first round warms everything up.
	early, late := list[1:4], list[rounds-3:]
	worst := func(part []figure, of func(figure) time.Duration) (d time.Duration) {
		for _, f := range part {
			d = max(d, of(f))
		}
		return d
	}
	least := func(part []figure, of func(figure) time.Duration) time.Duration {
		d := of(part[0])
		for _, f := range part {
			d = min(d, of(f))
		}
		return d
	}
	for what, of := range map[string]func(figure) time.Duration{
		"making a session":  func(f figure) time.Duration { return f.insert },
		"reading a session": func(f figure) time.Duration { return f.lookup },
		"removing old rows": func(f figure) time.Duration { return f.tidy },
	} {
		if a, b := worst(early, of), least(late, of); b > 3*a+5*time.Millisecond { // a busy machine, not a walk through what is gone
			t.Errorf("%s: %s in the first rounds, %s in the last", what, a, b)
		}
	}
	if first, last := list[1].size, list[rounds-1].size; last > 2*first+1<<20 {
		t.Errorf("the tables took %d bytes after two rounds, %d after all", first, last)
	}
}

func middle(list []time.Duration) time.Duration {
	slices.Sort(list)
	return list[len(list)/2]
}

// When sessions were last seen is written once a minute for each that is in use: that must
// not write any index, or the tables would grow all day.
func TestTouch_writesNoIndex(t *testing.T) {
	o := withTables(t)
	s := openAt(t, o, newKeys(t))
	now := time.Now().UTC()
	const n = 500
	parts := make([]map[mfa.SessionID]time.Time, 10) // what one minute finds in use is not all
	for i := range parts {
		parts[i] = make(map[mfa.SessionID]time.Time)
	}
	for i := range n {
		session := &mfa.Session{
			ID: mfa.SessionID(fmt.Sprintf("session-%d", i)), User: mfa.UserID(fmt.Sprintf("user-%d", i)), Scope: "h", Complete: true,
			Created: now, LastSeen: now, Expires: now.Add(time.Hour),
		}
		must(t, s.CreateSession(ctx, session))
		parts[i%len(parts)][session.ID] = now
	}
	for i := range 4 {
		for _, seen := range parts {
			for id := range seen {
				seen[id] = now.Add(time.Duration(i+1) * time.Minute)
			}
			must(t, s.Touch(ctx, seen))
		}
	}
	must(t, s.Close()) // backends tell what they did when they end
	var all, hot int64
	for end := time.Now().Add(20 * time.Second); time.Now().Before(end) && all < 4*n; time.Sleep(100 * time.Millisecond) {
		all = number(t, o.URL, `SELECT n_tup_upd FROM pg_stat_user_tables WHERE relname = 'sessions'`)
		hot = number(t, o.URL, `SELECT n_tup_hot_upd FROM pg_stat_user_tables WHERE relname = 'sessions'`)
	}
	t.Logf("of %d changes %d wrote no index", all, hot)
	if all != 4*n || hot < all*99/100 {
		t.Errorf("of %d changes %d wrote no index, want all of them", all, hot)
	}
}

// number asks for one.
func number(t testing.TB, url, question string) (n int64) {
	t.Helper()
	c, err := pgx.Connect(ctx, url)
	must(t, err)
	defer func() { _ = c.Close(ctx) }()
	must(t, c.QueryRow(ctx, question).Scan(&n))
	return n
}
