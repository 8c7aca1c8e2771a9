package postgres

import (
	"strings"
	"testing"

	"github.com/jackc/pgx/v5"

	"github.com/secondgate/secondgate/mfa"
)

// Lists go along their indexes also where the planner knows nothing of the tables, as after
// many users were taken in: it would read and sort all of them for one page.
func TestListUsers_readsNoWholeTable(t *testing.T) {
	o := withTables(t)
	s := openAt(t, o, newKeys(t))
	sql(t, o.URL, `ALTER TABLE users SET (autovacuum_enabled = false)`)
	sql(t, o.URL, `INSERT INTO users SELECT 'id-'||i, 'user'||i, 'local', '', '', false, false, false, '{}', '{}', now(), now(), ''
		FROM generate_series(1, 20000) AS i`)
	sql(t, o.URL, `INSERT INTO user_facets SELECT f, 'user'||i, 'id-'||i FROM generate_series(1, 20000) AS i, unnest(ARRAY['never_signed_in', 'organization:acme', 'holds:']) AS f`)
	sql(t, o.URL, `INSERT INTO user_terms SELECT 'user'||i, 'id-'||i FROM generate_series(1, 20000) AS i`)
	for name, q := range map[string]mfa.UserQuery{
		"everybody":         {},
		"a facet":           {Where: [][]mfa.Facet{{mfa.FacetOrganization("acme")}}},
		"one of two":        {Where: [][]mfa.Facet{{mfa.FacetOrganization("acme"), none}}},
		"two":               {Where: [][]mfa.Facet{{mfa.FacetNewcomer}, {mfa.FacetLocked}}},
		"not":               {Not: []mfa.Facet{mfa.FacetNewcomer}},
		"a search":          {Search: "user1"},
		"a search, and not": {Search: "user1", Where: [][]mfa.Facet{{mfa.FacetLocked}}, Not: []mfa.Facet{mfa.FacetNewcomer}},
	} {
		w := newWalk(q)
		args := []any{"", "", w.most, 51, any(w.search)}
		if w.along != nil {
			args[4] = w.along
		}
		for _, r := range w.rules {
			args = append(args, r)
		}
		var plan []string
		must(t, pgx.BeginFunc(ctx, s.db.pool, func(tx pgx.Tx) error {
			if _, err := tx.Exec(ctx, inOrder); err != nil {
				return err
			}
			rows, err := tx.Query(ctx, `EXPLAIN (COSTS OFF) `+w.sql, args...)
			if err != nil {
				return err
			}
			plan, err = pgx.CollectRows(rows, pgx.RowTo[string])
			return err
		}))
		if text := strings.Join(plan, "\n"); strings.Contains(text, "Seq Scan") || strings.Contains(text, "Bitmap") || strings.Contains(text, "Hash Join") {
			t.Errorf("%s:\n%s", name, text)
		}
	}
}

var none = mfa.FacetHolds(0)
