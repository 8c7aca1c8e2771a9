package postgres

import (
	"testing"
	"time"

	"github.com/secondgate/secondgate/mfa"
)

// A search begins in the index where its terms do: from the beginning of the index on, "z"
// reads as many pages as there are terms of a million users.
func TestListUsers_searchReadsNoOtherTerms(t *testing.T) {
	o := withTables(t)
	keys := newKeys(t)
	s := openAt(t, o, keys)
	sql(t, o.URL, `INSERT INTO user_terms SELECT 'a' || md5(i::text), 'u' || i FROM generate_series(1, 30000) i`)
	sql(t, o.URL, `VACUUM (ANALYZE) user_terms`)
	must(t, s.Close())
	const blocks = `SELECT coalesce(sum(idx_blks_hit + idx_blks_read), 0)::bigint FROM pg_statio_user_indexes WHERE relname = 'user_terms'`
	settled := func() (n int64) { // what backends did shows when they have ended
		for n = -1; ; time.Sleep(1500 * time.Millisecond) {
			last := n
			if n = number(t, o.URL, blocks); n == last {
				return n
			}
		}
	}
	before := settled()
	s = openAt(t, o, keys)
	page, _, err := s.ListUsers(ctx, mfa.UserQuery{Search: "zz"}, "", 50)
	if err != nil || len(page) != 0 {
		t.Fatal(page, err)
	}
	must(t, s.Close())
	if read := settled() - before; read < 1 || read > 50 {
		t.Errorf("%d blocks of the index were read, want some and 50 at most", read)
	}
}
