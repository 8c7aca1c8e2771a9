package postgres

import (
	"context"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"unicode/utf8"

	"github.com/jackc/pgx/v5"

	"github.com/secondgate/secondgate/mfa"
	"github.com/secondgate/secondgate/store"
)

const (
	// lookAtUsers is how many users one page looks at. A query that matches next to nobody
	// must not read a million of them in one call. Whose record has to be read counts as
	// so many: that takes as much longer.
	lookAtUsers = 4096
	readCost    = 8
	// maxRulings is how many facets are looked up at most to spare reading a record.
	maxRulings = 6
)

// entry is a place in a list: the name or the term that it is in the order of, and whose.
type entry struct {
	Key  string     `json:"key"`
	User mfa.UserID `json:"user"`
}

// errIndex says that an index row leads to nobody, or to somebody who is not of it.
var errIndex = fmt.Errorf("the index does not fit: %w", store.ErrDamaged)

// ListUsers implements mfa.Users. The cursor is the index entry that was looked at last,
// sealed: it may be the name of somebody whom the query does not match, and whoever
// administrates one organization must not read there who is in another.
func (s *Store) ListUsers(ctx context.Context, q mfa.UserQuery, after string, limit int) ([]*mfa.User, string, error) {
	if err := ctx.Err(); err != nil || limit < 1 {
		return nil, "", err
	}
	last, err := s.openCursor(q, after)
	if err != nil {
		return nil, "", fmt.Errorf("listing users: %w", err)
	}
	if !possible(q) {
		return nil, "", nil
	}
	w := newWalk(q)
	var page []*mfa.User
	for looked := 0; looked < lookAtUsers; {
		part, err := s.walkOn(ctx, w, last, min(w.step, lookAtUsers-looked), min(limit-len(page), lookAtUsers/readCost)+1)
		if err != nil {
			return nil, "", err
		}
		for _, c := range part.found {
			u, err := s.readListed(q, c)
			if err != nil {
				return nil, "", fmt.Errorf("listing users: %w", err)
			}
			looked += readCost
			if u != nil {
				// Whether there is another page is only known here.
				if len(page) == limit {
					return s.pageBefore(q, page, last)
				}
				page = append(page, u)
			}
			last = c.entry
			if looked >= lookAtUsers {
				break
			}
		}
		switch {
		case looked >= lookAtUsers, part.cut:
		case part.over:
			return page, "", nil
		default:
			looked += part.looked
			last = part.last
		}
		w.step = w.most
	}
	return s.pageBefore(q, page, last)
}

// pageBefore returns the page with the cursor that goes on behind last.
func (s *Store) pageBefore(q mfa.UserQuery, page []*mfa.User, last entry) ([]*mfa.User, string, error) {
	next, err := s.sealCursor(q, last)
	if err != nil {
		return nil, "", fmt.Errorf("listing users: %w", err)
	}
	return page, next, nil
}

// possible reports whether the query can match anybody.
func possible(q mfa.UserQuery) bool {
	return utf8.ValidString(q.Search) && !slices.ContainsFunc(q.Where, func(any []mfa.Facet) bool { return len(any) == 0 })
}

// searched is what indexed terms begin with.
func searched(q mfa.UserQuery) string { return clipTerm(shown(q.Search)) }

// walk is how a list is gone along.
type walk struct {
	sql    string
	search string     // "": in the order of names
	along  []string   // facets whose rows are gone along; none: all users, or the terms
	rules  [][]string // arguments of what the index says against somebody
	step   int        // how many entries are looked at next
	most   int
}

// newWalk writes the statement. It takes so many entries behind the last one, then the
// records of those of whom the index says nothing against, and says where it stopped: so
// its cost is bounded whatever the query is, and a page far behind costs what the first
// does.
func newWalk(q mfa.UserQuery) *walk {
	w := &walk{search: searched(q), step: 64, most: 1024}
	var candidates string
	name := `c.key` // what facet rows hold besides the user
	switch {
	case w.search != "":
		candidates = `SELECT term AS key, user_id FROM user_terms WHERE (term, user_id) > ($1, $2) AND $5 <> '' ORDER BY term, user_id LIMIT $3`
		name = `(SELECT name FROM users WHERE id = c.user_id)`
	case len(q.Where) > 0:
		w.along = texts(q.Where[0])
		candidates = `SELECT DISTINCT f.name AS key, f.user_id FROM unnest($5::text[]) AS a (facet) CROSS JOIN LATERAL
			(SELECT name, user_id FROM user_facets WHERE facet = a.facet AND (name, user_id) > ($1, $2) ORDER BY name, user_id LIMIT $3) AS f
			ORDER BY key, user_id LIMIT $3`
		// Every facet gives as many as might all be needed.
		w.most = max(w.step, w.most/max(1, len(w.along)/4))
	default:
		candidates = `SELECT name AS key, id AS user_id FROM users WHERE (name, id) > ($1, $2) AND $5 = '' ORDER BY name, id LIMIT $3`
	}
	rules := w.rulings(q, name)
	// Each user is looked up by itself: a join would be planned by how many there may be,
	// and be done by reading all of them.
	w.sql = `WITH c AS MATERIALIZED (` + candidates + `)
		(SELECT 0 AS looked, p.key, p.user_id, (SELECT record FROM users WHERE id = p.user_id)
			FROM (SELECT c.key, c.user_id FROM c` + rules + ` ORDER BY c.key, c.user_id LIMIT $4) AS p)
		UNION ALL
		(SELECT (SELECT count(*) FROM c), c.key, c.user_id, NULL FROM c ORDER BY c.key DESC, c.user_id DESC LIMIT 1)`
	return w
}

// inOrder has the database go along its indexes in their order, whatever it believes to
// know of the tables: after many users were taken in it knows nothing, and would read and
// sort all of them. It holds for what is sent together with it.
const inOrder = `SELECT CASE WHEN current_setting(n, true) IS NOT NULL THEN set_config(n, 'off', true) END
	FROM unnest(ARRAY['enable_seqscan', 'enable_bitmapscan', 'enable_sort', 'enable_incremental_sort', 'enable_hashjoin', 'enable_mergejoin', 'enable_hashagg']) AS n`

// rulings returns the conditions by which the index alone says that the query does not
// match somebody. Where there are many of them, reading the records is as fast.
func (w *walk) rulings(q mfa.UserQuery, name string) string {
	var need [][]mfa.Facet
	n := len(q.Not)
	for i, any := range q.Where {
		if i > 0 || w.search != "" { // the walk goes along the first
			need = append(need, any)
			n += len(any)
		}
	}
	if n == 0 || n > maxRulings {
		return ""
	}
	var conditions []string
	rule := func(facets []mfa.Facet, is string) {
		w.rules = append(w.rules, texts(facets))
		conditions = append(conditions, fmt.Sprintf(`(SELECT true FROM user_facets r WHERE r.facet = ANY ($%d::text[]) AND r.name = %s AND r.user_id = c.user_id LIMIT 1) %s`,
			5+len(w.rules), name, is))
	}
	for _, facets := range need {
		rule(facets, `IS NOT NULL`)
	}
	if len(q.Not) > 0 {
		rule(q.Not, `IS NULL`)
	}
	return ` WHERE ` + strings.Join(conditions, ` AND `)
}

// candidate is an entry and the record of whom it leads to.
type candidate struct {
	entry
	record []byte
}

// part is what one statement found.
type part struct {
	found  []candidate
	looked int   // entries
	last   entry // of them
	cut    bool  // there may be more found among them
	over   bool  // there are no more entries
}

// walkOn looks at so many entries behind last and finds at most so many users.
func (s *Store) walkOn(ctx context.Context, w *walk, last entry, entries, most int) (p part, err error) {
	if last.Key < w.search {
		// Not as a condition of its own: then the index is gone along from its beginning.
		last = entry{Key: w.search}
	}
	args := []any{last.Key, string(last.User), entries, most, any(w.search)}
	if w.along != nil {
		args[4] = w.along
	}
	for _, r := range w.rules {
		args = append(args, r)
	}
	err = s.read(ctx, func(b *pgx.Batch) {
		b.Queue(inOrder)
		b.Queue(w.sql, args...).Query(func(rows pgx.Rows) error {
			p = part{}
			for rows.Next() {
				var c candidate
				var looked int
				if err := rows.Scan(&looked, &c.Key, &c.User, &c.record); err != nil {
					return err
				}
				if looked > 0 {
					p.looked, p.last = looked, c.entry
					continue
				}
				p.found = append(p.found, c)
			}
			return rows.Err()
		})
	})
	p.cut = len(p.found) == most
	p.over = p.looked < entries
	if w.search != "" {
		p.until(w.search)
	}
	return p, err
}

// until ends the part where terms begin with something else.
func (p *part) until(search string) {
	i := slices.IndexFunc(p.found, func(c candidate) bool { return !strings.HasPrefix(c.Key, search) })
	if i >= 0 {
		p.found, p.cut = p.found[:i], false
	}
	if i >= 0 || !strings.HasPrefix(p.last.Key, search) {
		p.over = true
	}
}

// readListed returns the user that the entry leads to, or nil where q does not match, or
// where another entry of the same list does the leading.
func (s *Store) readListed(q mfa.UserQuery, c candidate) (*mfa.User, error) {
	u, err := s.decodeUser(c.record, c.User)
	if errors.Is(err, mfa.ErrNotFound) {
		return nil, errIndex
	}
	if err != nil {
		return nil, err
	}
	search := searched(q)
	if search == "" {
		if u.Name != c.Key {
			return nil, errIndex
		}
	} else {
		terms := searchTerms(u)
		i := slices.IndexFunc(terms, func(t string) bool { return strings.HasPrefix(t, search) })
		if !slices.Contains(terms, c.Key) {
			return nil, errIndex
		}
		if terms[i] != c.Key {
			return nil, nil // it stood before already
		}
	}
	if search == "" && len(q.Where) > 0 {
		has := texts(u.Facets())
		if !slices.ContainsFunc(texts(q.Where[0]), func(f string) bool { return slices.Contains(has, f) }) {
			return nil, errIndex
		}
	}
	if !q.Matches(u) {
		return nil, nil
	}
	return u, nil
}

// cursorPlace binds cursors to their query.
func cursorPlace(q mfa.UserQuery) (string, error) {
	text, err := json.Marshal(q)
	if err != nil {
		return "", err
	}
	sum := sha256.Sum256(text)
	return hex.EncodeToString(sum[:]), nil
}

func (s *Store) sealCursor(q mfa.UserQuery, e entry) (string, error) {
	place, err := cursorPlace(q)
	if err != nil {
		return "", err
	}
	record, err := s.codec.Encode(store.Cursors, place, e)
	if err != nil {
		return "", err
	}
	return base64.RawURLEncoding.EncodeToString(record), nil
}

func (s *Store) openCursor(q mfa.UserQuery, cursor string) (e entry, err error) {
	if cursor == "" {
		return e, nil
	}
	place, err := cursorPlace(q)
	if err != nil {
		return e, err
	}
	record, err := base64.RawURLEncoding.DecodeString(cursor)
	if err != nil || s.codec.Decode(record, store.Cursors, place, &e) != nil {
		return entry{}, mfa.ErrCursor
	}
	return e, nil
}

// CountUsers implements mfa.Users.
func (s *Store) CountUsers(ctx context.Context, facets ...mfa.Facet) (map[mfa.Kinds]int, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	sorted, ok := mfa.CountedGroup(facets...)
	if !ok {
		return nil, fmt.Errorf("counting users: nobody counts by %q", facets)
	}
	sum := make(map[mfa.Kinds]int)
	name := groupName(sorted)
	err := s.read(ctx, func(b *pgx.Batch) {
		b.Queue(`SELECT factors, sum(n)::bigint FROM user_counts WHERE grp = $1 GROUP BY factors`, name).Query(func(rows pgx.Rows) error {
			clear(sum)
			var factors string
			var n int64
			_, err := pgx.ForEachRow(rows, []any{&factors, &n}, func() error {
				if n != 0 {
					sum[parseFactors(factors)] += int(n)
				}
				return nil
			})
			return err
		})
	})
	if err != nil {
		return nil, err
	}
	return sum, nil
}
