package postgres

import (
	"hash/fnv"
	"maps"
	"slices"
	"strings"
	"unicode/utf8"

	"github.com/secondgate/secondgate/mfa"
)

const (
	// maxTerm is how much of a term is indexed; the record says the rest.
	maxTerm = 200
	// Counters are cut into so many shards, by user: each is a row that one writer at a
	// time can change, and whoever creates users creates many at a time.
	shards = 64
)

// listed is everything about a user that lists and counters hang on.
type listed struct {
	name   string
	facets []string
	terms  []string
	groups []string
	holds  string
}

func listedAs(u *mfa.User) listed {
	l := listed{name: u.Name, facets: texts(u.Facets()), terms: searchTerms(u), holds: factorsName(u.Enrolled())}
	for _, facets := range u.CountedIn() {
		l.groups = append(l.groups, groupName(facets))
	}
	return l
}

// texts returns the facets as they are indexed, sorted, each once.
func texts(facets []mfa.Facet) []string {
	list := make([]string, len(facets))
	for i, f := range facets {
		list[i] = exact(string(f))
	}
	slices.Sort(list)
	return slices.Compact(list)
}

// searchTerms returns the user's terms as they are indexed.
func searchTerms(u *mfa.User) []string {
	list := u.Terms()
	for i := range list {
		list[i] = clipTerm(shown(list[i]))
	}
	slices.Sort(list)
	return slices.Compact(list)
}

// clipTerm cuts between two characters, so that what is left is text.
func clipTerm(s string) string {
	if len(s) <= maxTerm {
		return s
	}
	n := maxTerm
	for n > 0 && !utf8.RuneStart(s[n]) {
		n--
	}
	return s[:n]
}

// groupName is how a group of users that are counted stands in user_counts; "" is everybody.
func groupName(sorted []mfa.Facet) string {
	names := make([]string, len(sorted))
	for i, f := range sorted {
		names[i] = exact(string(f))
	}
	return strings.Join(names, " + ")
}

func factorsName(k mfa.Kinds) string {
	return strings.TrimPrefix(string(mfa.FacetHolds(k)), string(mfa.FacetHolds(0)))
}

func parseFactors(name string) mfa.Kinds {
	var list []mfa.Kind
	for _, kind := range strings.FieldsFunc(name, func(r rune) bool { return r == ',' }) {
		list = append(list, mfa.Kind(kind))
	}
	return mfa.KindsOf(list...)
}

func hash(id mfa.UserID) uint32 {
	h := fnv.New32a()
	_, _ = h.Write([]byte(id))
	return h.Sum32()
}

func shardOf(id mfa.UserID) int16 { return int16(hash(id) % shards) } //nolint:gosec // bounded

// list moves the user's index rows and counters.
func (w *writing) list(id mfa.UserID, before, now listed) {
	w.moveFacets(id, before, now)
	if lost := without(before.terms, now.terms); len(lost) > 0 {
		w.put(`DELETE FROM user_terms WHERE term = ANY ($1::text[]) AND user_id = $2`, lost, string(id))
	}
	if won := without(now.terms, before.terms); len(won) > 0 {
		w.put(`INSERT INTO user_terms (term, user_id) SELECT t, $2 FROM unnest($1::text[]) AS t ON CONFLICT DO NOTHING`, won, string(id))
	}
	w.count(id, before, now)
}

// moveFacets writes facet rows, which hold the name as well: all of them move with it.
func (w *writing) moveFacets(id mfa.UserID, before, now listed) {
	lost, won := without(before.facets, now.facets), without(now.facets, before.facets)
	if before.name != now.name {
		lost, won = before.facets, now.facets
	}
	if len(lost) > 0 {
		w.put(`DELETE FROM user_facets WHERE facet = ANY ($1::text[]) AND name = $2 AND user_id = $3`, lost, before.name, string(id))
	}
	if len(won) > 0 {
		w.put(`INSERT INTO user_facets (facet, name, user_id) SELECT f, $2, $3 FROM unnest($1::text[]) AS f ON CONFLICT DO NOTHING`, won, now.name, string(id))
	}
}

// count moves the user from the counters of before to those of now. The rows are locked
// until the commit, so they come last, and in one order.
func (w *writing) count(id mfa.UserID, before, now listed) {
	if before.holds == now.holds && slices.Equal(before.groups, now.groups) {
		return
	}
	type cell struct{ group, factors string }
	change := make(map[cell]int64)
	for _, g := range before.groups {
		change[cell{g, before.holds}]--
	}
	for _, g := range now.groups {
		change[cell{g, now.holds}]++
	}
	cells := slices.SortedFunc(maps.Keys(change), func(a, b cell) int {
		if c := strings.Compare(a.group, b.group); c != 0 {
			return c
		}
		return strings.Compare(a.factors, b.factors)
	})
	var groups, factors []string
	var ns []int64
	for _, c := range cells {
		if change[c] != 0 {
			groups, factors, ns = append(groups, c.group), append(factors, c.factors), append(ns, change[c])
		}
	}
	if len(ns) == 0 {
		return
	}
	w.put(`INSERT INTO user_counts (grp, factors, shard, n)
		SELECT g, f, $4, n FROM unnest($1::text[], $2::text[], $3::bigint[]) WITH ORDINALITY AS c (g, f, n, i) ORDER BY i
		ON CONFLICT (grp, factors, shard) DO UPDATE SET n = user_counts.n + excluded.n`, groups, factors, ns, shardOf(id))
}
