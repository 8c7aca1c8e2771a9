package scale

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/secondgate/secondgate/internal/pgtest"
	"github.com/secondgate/secondgate/store/postgres"
)

// TestScale_Postgres is TestScale_Badger for the other store: both databases are of one
// server, which waits for the disk at each commit as in production.
func TestScale_Postgres(t *testing.T) {
	if *only == "badger" {
		t.Skip("-scalestore badger")
	}
	hasher := newHasher(t)
	dir := folder(t)
	server := bigServer(t)
	c := newCrowd(t, hasher, crowdPath(dir))
	for _, users := range []int{few, *scale} {
		fillDatabase(t, server, c, dir, users)
	}
	settle(t, server)
	where := func(users int) string { return filepath.Join(dir, databaseOf(users)) }
	rounds, _, _ := limits()
	ofSmall, ofLarge := starts(t, "TestStart_Postgres", where(few), where(*scale), max(1, int(5*rounds)))
	open := func(users int) *world {
		s := openDatabase(t, where(users))
		t.Cleanup(func() { ok(t, s.Close()) })
		return newWorld(t, c, hasher, s, users)
	}
	compare(t, "postgres", open(few), open(*scale))
	_, took := tellStarts(t, ofSmall, ofLarge)
	holdStart(t, took)
	tellSizes(t, server.URL(databaseOf(*scale)), *scale)
}

// TestStart_Postgres is the child of TestScale_Postgres that starts.
func TestStart_Postgres(t *testing.T) {
	where := os.Getenv(startVar)
	if where == "" {
		t.Skip("a child of TestScale_Postgres")
	}
	c := newCrowd(t, nil, crowdPath(filepath.Dir(where)))
	began := time.Now()
	s := openDatabase(t, where)
	answer(t, s, c, began)
	ok(t, s.Close())
}

// bigServer is a server with more memory than those of other tests.
func bigServer(t testing.TB) *pgtest.Server {
	t.Helper()
	var s *pgtest.Server
	if *keep == "" {
		s = pgtest.Start(t)
	} else {
		s = pgtest.StartIn(t, filepath.Join(*keep, "postgresql"))
	}
	s.Set(t, map[string]string{"shared_buffers": "512MB", "max_wal_size": "4GB", "checkpoint_timeout": "30min"})
	s.Restart(t)
	return s
}

func databaseOf(users int) string { return fmt.Sprintf("users_%d", users) }

// fillDatabase makes a database with that many users. Nothing waits for the disk meanwhile.
func fillDatabase(t testing.TB, server *pgtest.Server, c *crowd, dir string, users int) {
	t.Helper()
	done := filepath.Join(dir, databaseOf(users), "done")
	if _, err := os.Stat(done); err == nil {
		at(t, server, dir, users)
		return
	}
	where := makeDatabase(t, server, dir, users)
	server.Set(t, map[string]string{"fsync": "off"})
	ok(t, openDatabase(t, where).Close()) // it makes the tables
	fillBulk(t, c, server.URL(databaseOf(users)), keysOf(t, where), users)
	server.Set(t, map[string]string{"fsync": "on"})
	server.Exec(t, "CHECKPOINT")
	ok(t, os.WriteFile(done, nil, 0o600))
}

// makeDatabase makes an empty one, and the folder that has its address and keys.
func makeDatabase(t testing.TB, server *pgtest.Server, dir string, users int) string {
	t.Helper()
	server.Exec(t, "DROP DATABASE IF EXISTS "+databaseOf(users)) // of a run that was cut short
	server.Exec(t, "CREATE DATABASE "+databaseOf(users))
	return at(t, server, dir, users)
}

// at notes where the server is now.
func at(t testing.TB, server *pgtest.Server, dir string, users int) (where string) {
	t.Helper()
	where = filepath.Join(dir, databaseOf(users))
	ok(t, os.MkdirAll(where, 0o700))
	ok(t, os.WriteFile(filepath.Join(where, "url"), []byte(server.URL(databaseOf(users))), 0o600))
	return where
}

// settle writes what waits in the server's memory, and looks at what there is, as the
// server's own maintenance does a minute later.
func settle(t testing.TB, server *pgtest.Server) {
	t.Helper()
	for _, users := range []int{few, *scale} {
		query(t, server.URL(databaseOf(users)), "VACUUM (ANALYZE)")
	}
	server.Exec(t, "CHECKPOINT")
}

// openDatabase opens the store of that folder, which has its keys and its address in it.
func openDatabase(t testing.TB, where string) *postgres.Store {
	t.Helper()
	url, err := os.ReadFile(filepath.Join(where, "url"))
	ok(t, err)
	db, err := postgres.Connect(t.Context(), postgres.Options{URL: string(url)})
	ok(t, err)
	s, err := db.Open(keysOf(t, where))
	ok(t, err)
	return s
}

// query runs one statement beside the store, and returns the rows as text.
func query(t testing.TB, url, statement string) [][]string {
	t.Helper()
	ctx := context.Background()
	c, err := pgx.Connect(ctx, url)
	ok(t, err)
	defer func() { _ = c.Close(ctx) }()
	rows, err := c.Query(ctx, statement)
	ok(t, err)
	defer rows.Close()
	var list [][]string
	for rows.Next() {
		values, err := rows.Values()
		ok(t, err)
		var line []string
		for _, v := range values {
			line = append(line, fmt.Sprint(v))
		}
		list = append(list, line)
	}
	ok(t, rows.Err())
	return list
}

// tellSizes prints what the tables and their indexes take.
func tellSizes(t testing.TB, url string, users int) {
	t.Helper()
	say(t, "")
	say(t, "| table | rows | table, MB | indexes, MB | bytes a user |")
	say(t, "|---|---|---|---|---|")
	var total float64
	for _, line := range query(t, url, `SELECT c.relname, c.reltuples::bigint, pg_table_size(c.oid), pg_indexes_size(c.oid)
		FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
		WHERE c.relkind IN ('r', 'p') AND n.nspname NOT IN ('pg_catalog', 'information_schema') AND pg_total_relation_size(c.oid) > 1000000
		ORDER BY pg_total_relation_size(c.oid) DESC`) {
		var table, index float64
		_, _ = fmt.Sscan(line[2], &table)
		_, _ = fmt.Sscan(line[3], &index)
		total += table + index
		say(t, "| %s | %s | %.0f | %.0f | %.0f |", line[0], line[1], table/1e6, index/1e6, (table+index)/float64(users))
	}
	say(t, "| all | | %.0f | | %.0f |", total/1e6, total/float64(users))
	say(t, "")
	say(t, "ten million users, ten times as much: %.1f GB (extrapolated)", total/float64(users)*10e6/1e9)
}
