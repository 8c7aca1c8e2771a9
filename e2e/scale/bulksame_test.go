package scale

import (
	"fmt"
	"path/filepath"
	"slices"
	"testing"
)

// What is copied past the store must be what the store would have written, or everything is
// measured on something that never is.
func TestBulk_writesWhatTheStoreWrites(t *testing.T) {
	const users = 300
	server, dir := bigServer(t), folder(t)
	c := newCrowd(t, newHasher(t), crowdPath(dir))
	fillDatabase(t, server, c, dir, users)
	copied := openDatabase(t, filepath.Join(dir, databaseOf(users)))
	defer func() { ok(t, copied.Close()) }()
	other := users + 1
	makeDatabase(t, server, dir, other)
	written := openDatabase(t, filepath.Join(dir, databaseOf(other)))
	defer func() { ok(t, written.Close()) }()
	ok(t, fillEach(c, written, users, func(string, int) {}))
	for _, table := range (&bulk{}).tables() {
		// No record is sealed twice alike.
		all := fmt.Sprintf(`SELECT (to_jsonb(t) - 'record')::text FROM %s t ORDER BY 1`, table.table)
		a, b := query(t, server.URL(databaseOf(users)), all), query(t, server.URL(databaseOf(other)), all)
		if len(a) != len(b) || len(a) == 0 {
			t.Errorf("%s: %d rows copied, %d written", table.table, len(a), len(b))
			continue
		}
		for i := range a {
			if !slices.Equal(a[i], b[i]) {
				t.Errorf("%s: copied %s, written %s", table.table, a[i], b[i])
				break
			}
		}
	}
	a, err := copied.ChainEnds(t.Context())
	ok(t, err)
	b, err := written.ChainEnds(t.Context())
	ok(t, err)
	if a != b {
		t.Errorf("the chain ends with %+v copied and %+v written", a, b)
	}
	for i := range users { // the records
		if _, err := copied.Session(t.Context(), sessionID(i)); err != nil {
			t.Error(err)
		}
		if _, err := copied.UserByKey(t.Context(), c.user(i).UniqueKeys()[0]); err != nil {
			t.Error(err)
		}
	}
	if list, err := copied.EventsInOrder(t.Context(), 1, users); err != nil || len(list) != users {
		t.Errorf("%d events: %v", len(list), err)
	}
}
