package scale

import (
	"context"
	"encoding/hex"
	"fmt"
	"hash/fnv"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/secondgate/secondgate/internal/seal"
	"github.com/secondgate/secondgate/mfa"
	"github.com/secondgate/secondgate/store"
)

// bulk writes the rows that store/postgres would have written, by COPY and without indexes,
// which are made afterwards: twenty times as fast as one user after the other.
// TestBulk_writesWhatTheStoreWrites compares the two.
type bulk struct {
	*crowd
	url    string
	codec  store.Codec
	users  int
	events int
	head   string // of the chain of events
}

// copied is one table and how its rows follow from number i.
type copied struct {
	table   string
	columns []string
	n       int
	rows    func(i int) ([][]any, error)
}

func (b *bulk) tables() []copied {
	return []copied{
		{"users", strings.Fields("id name source display_name email email_verified disabled admin organizations factors created first_sign_in record"), b.users, b.userRows},
		{"user_keys", strings.Fields("key user_id"), b.users, b.each(func(u *mfa.User, add func(...any)) {
			for _, key := range u.UniqueKeys() {
				add(key, string(u.ID))
			}
		})},
		{"user_facets", strings.Fields("facet name user_id"), b.users, b.each(func(u *mfa.User, add func(...any)) {
			for _, f := range u.Facets() {
				add(string(f), u.Name, string(u.ID))
			}
		})},
		{"user_terms", strings.Fields("term user_id"), b.users, b.each(func(u *mfa.User, add func(...any)) {
			for _, term := range u.Terms() {
				add(term, string(u.ID))
			}
		})},
		{"user_counts", strings.Fields("grp factors shard n"), 1, b.countRows},
		{"sessions", strings.Fields("id user_id line scope complete created last_seen expires delete_after record"), b.users, b.sessionRows},
		{"events", strings.Fields("number at at_nano name user_id decision hash record"), b.events, b.eventRows},
	}
}

func (b *bulk) each(fn func(u *mfa.User, add func(...any))) func(int) ([][]any, error) {
	return func(i int) (list [][]any, err error) {
		fn(b.user(i), func(values ...any) { list = append(list, values) })
		return list, nil
	}
}

func (b *bulk) userRows(i int) ([][]any, error) {
	u := b.user(i)
	record, err := b.codec.Encode(store.Users, string(u.ID), u)
	organizations := []string{}
	for _, id := range u.Organizations {
		organizations = append(organizations, string(id))
	}
	return [][]any{{
		string(u.ID), u.Name, u.Source, u.DisplayName, u.Email, u.EmailVerified, u.Disabled, u.Admin,
		organizations, strings.Fields(u.Enrolled().String()), orNil(u.Created), orNil(u.FirstSignIn), record,
	}}, err
}

func orNil(t time.Time) *time.Time {
	if t.IsZero() {
		return nil
	}
	return &t
}

func fnv32(id mfa.UserID) uint32 {
	h := fnv.New32a()
	_, _ = h.Write([]byte(id))
	return h.Sum32()
}

func (b *bulk) countRows(int) (list [][]any, err error) {
	type cell struct {
		group, factors string
		shard          int16
	}
	sum := make(map[cell]int64)
	for i := range b.users {
		u := b.user(i)
		for _, facets := range u.CountedIn() {
			var names []string
			for _, f := range facets {
				names = append(names, string(f))
			}
			holds := strings.TrimPrefix(string(mfa.FacetHolds(u.Enrolled())), string(mfa.FacetHolds(0)))
			sum[cell{strings.Join(names, " + "), holds, int16(fnv32(u.ID) % 64)}]++ //nolint:gosec // small
		}
	}
	for c, n := range sum {
		list = append(list, []any{c.group, c.factors, c.shard, n})
	}
	return list, nil
}

func (b *bulk) sessionRows(i int) ([][]any, error) {
	s := b.session(i)
	record, err := b.codec.Encode(store.Sessions, string(s.ID), store.Session{Session: *s})
	return [][]any{{
		string(s.ID), string(s.User), int16(fnv32(s.User) % 4096), s.Scope, s.Complete, s.Created, s.LastSeen, s.Expires, //nolint:gosec // small
		s.Expires.Add(24 * time.Hour), record,
	}}, err
}

func (b *bulk) eventRows(i int) ([][]any, error) {
	e, err := b.event(i, b.users).Chained(uint64(i+1), b.head)
	if err != nil {
		return nil, err
	}
	b.head = e.Hash
	hash, err := hex.DecodeString(e.Hash)
	if err != nil {
		return nil, err
	}
	record, err := b.codec.Encode(store.Events, fmt.Sprint(e.Number), e)
	return [][]any{{i + 1, e.At, e.At.UnixNano(), string(e.Name), string(e.User), e.Decision, hash, record}}, err
}

// fillBulk fills the empty database of a store that is open.
func fillBulk(t testing.TB, c *crowd, url string, keys *seal.Keyset, users int) {
	t.Helper()
	began := time.Now()
	b := &bulk{crowd: c, url: url, codec: store.NewCodec(keys), users: users, events: eventsFor(users)}
	ctx := context.Background()
	conn, err := pgx.Connect(ctx, url)
	ok(t, err)
	defer func() { _ = conn.Close(ctx) }()
	again := dropIndexes(t, conn, b.tables())
	tables := b.tables()
	ok(t, atOnce(3, len(tables), func(i int) error { return b.copy(ctx, tables[i]) }, func(int) {}))
	t.Logf("%d users, %d sessions and %d events copied in %s", users, users, b.events, time.Since(began).Round(time.Second))
	_, err = conn.Exec(ctx, "SET maintenance_work_mem = '512MB'")
	ok(t, err)
	for _, statement := range again {
		_, err := conn.Exec(ctx, statement)
		ok(t, err)
	}
	record, err := b.codec.Encode(store.Meta, "events", store.EventCount{Count: uint64(b.events), Began: 1, Head: b.head}) //nolint:gosec // small
	ok(t, err)
	_, err = conn.Exec(ctx, "UPDATE meta SET record = $1 WHERE name = 'events'", record)
	ok(t, err)
	t.Logf("… and with their indexes after %s", time.Since(began).Round(time.Second))
}

func (b *bulk) copy(ctx context.Context, c copied) error {
	conn, err := pgx.Connect(ctx, b.url)
	if err != nil {
		return err
	}
	defer func() { _ = conn.Close(ctx) }()
	next, waiting := 0, [][]any(nil)
	_, err = conn.CopyFrom(ctx, pgx.Identifier{c.table}, c.columns, pgx.CopyFromFunc(func() ([]any, error) {
		for len(waiting) == 0 {
			if next == c.n {
				return nil, nil
			}
			var err error
			if waiting, err = c.rows(next); err != nil {
				return nil, err
			}
			next++
		}
		row := waiting[0]
		waiting = waiting[1:]
		return row, nil
	}))
	if err != nil {
		return fmt.Errorf("copying %s: %w", c.table, err)
	}
	return nil
}

// dropIndexes drops all indexes of the tables, and returns what makes them again.
func dropIndexes(t testing.TB, conn *pgx.Conn, tables []copied) (again []string) {
	t.Helper()
	ctx := context.Background()
	var names []string
	for _, c := range tables {
		names = append(names, c.table)
	}
	rows, err := conn.Query(ctx, `
		SELECT format('ALTER TABLE %I DROP CONSTRAINT %I', t.relname, c.conname), format('ALTER TABLE %I ADD CONSTRAINT %I %s', t.relname, c.conname, pg_get_constraintdef(c.oid))
		FROM pg_constraint c JOIN pg_class t ON t.oid = c.conrelid WHERE t.relname = ANY ($1) AND c.contype = 'p'
		UNION ALL
		SELECT format('DROP INDEX %I', i.relname), pg_get_indexdef(i.oid)
		FROM pg_index x JOIN pg_class i ON i.oid = x.indexrelid JOIN pg_class t ON t.oid = x.indrelid
		WHERE t.relname = ANY ($1) AND NOT x.indisprimary`, names)
	ok(t, err)
	var drop []string
	var d, a string
	_, err = pgx.ForEachRow(rows, []any{&d, &a}, func() error { drop, again = append(drop, d), append(again, a); return nil })
	ok(t, err)
	for _, statement := range drop {
		_, err := conn.Exec(ctx, statement)
		ok(t, err)
	}
	return again
}
