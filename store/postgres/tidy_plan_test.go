package postgres

import (
	"strings"
	"testing"
	"time"

	"github.com/secondgate/secondgate/internal/pgtest"
)

// One part of what is too old must cost as much as that part, also with the plan that a
// prepared statement has for any values, and where the server knows nothing of the table.
func TestTidy_goesAlongTheIndex(t *testing.T) {
	server := pgtest.Start(t)
	server.Exec(t, "CREATE DATABASE plans")
	server.Set(t, map[string]string{"autovacuum": "off"})
	keys := newKeys(t)
	o := Options{URL: server.URL("plans"), Now: func() time.Time { return time.Now().Add(100 * time.Hour) }}
	must(t, openAt(t, o, keys).Close())
	for _, known := range []bool{false, true} {
		server.Explain(t, "force_generic_plan")
		s := openAt(t, o, keys)
		sql(t, o.URL, `INSERT INTO sessions SELECT md5(i::text), 'v' || i, i % 4096, 'h', true, now(), now(), now(), NULL, now(), '' FROM generate_series(1, 10000) i`)
		sql(t, o.URL, `INSERT INTO challenges SELECT md5(i::text), 'p', now(), NULL, now(), '' FROM generate_series(1, 10000) i`)
		sql(t, o.URL, `INSERT INTO attempts SELECT md5(i::text), 1, NULL, now(), '' FROM generate_series(1, 10000) i`)
		if known {
			sql(t, o.URL, `ANALYZE`)
		}
		server.Plans(t)
		must(t, s.tidy(ctx))
		must(t, s.Close())
		removed := 0
		for _, p := range server.Plans(t) {
			if !strings.HasPrefix(p.Query, "DELETE FROM") || strings.Contains(p.Query, " changes ") {
				continue
			}
			removed++
			if strings.Contains(p.Text, "Hash") || strings.Contains(p.Text, "Seq Scan") {
				t.Fatalf("statistics %v: %s\n%s", known, p.Query, p.Text)
			}
		}
		if removed < 60 {
			t.Errorf("%d statements removed something, want 60 at least", removed)
		}
	}
}

// An index keeps what was removed, for as long as anybody may still look at it: a backup
// under way, say. No part may walk through what the parts before it have removed.
func TestTidy_walksThroughNothingTwice(t *testing.T) {
	server := pgtest.Start(t)
	server.Exec(t, "CREATE DATABASE walks")
	server.Set(t, map[string]string{"autovacuum": "off"})
	o := Options{URL: server.URL("walks"), Now: func() time.Time { return time.Now().Add(100 * time.Hour) }}
	s := openAt(t, o, newKeys(t))
	const n = 10_000
	sql(t, o.URL, `INSERT INTO sessions SELECT md5(i::text), 'v' || i, i % 4096, 'h', true, now(), now(), now(), NULL, now() + i * interval '1 millisecond', '' FROM generate_series(1, 10000) i`)
	looks, err := s.db.pool.Begin(ctx)
	must(t, err)
	_, err = looks.Exec(ctx, `SET TRANSACTION ISOLATION LEVEL REPEATABLE READ; SET LOCAL idle_in_transaction_session_timeout = 0`)
	must(t, err)
	_, err = looks.Exec(ctx, `SELECT count(*) FROM organizations`)
	must(t, err)
	must(t, s.tidy(ctx))
	must(t, looks.Rollback(ctx))
	must(t, s.Close()) // backends tell what they did when they end
	walked := func() int64 {
		return number(t, o.URL, `SELECT idx_tup_read FROM pg_stat_user_indexes WHERE indexrelname = 'sessions_to_delete'`)
	}
	for end := time.Now().Add(20 * time.Second); time.Now().Before(end) && walked() < n; {
		time.Sleep(100 * time.Millisecond)
	}
	if got := walked(); got < n || got > 2*n { // from the oldest end each time, it would be ten times as much
		t.Errorf("%d entries of the index were read to remove %d rows", got, n)
	}
}
