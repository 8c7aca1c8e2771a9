package scale

import (
	"regexp"
	"slices"
	"testing"

	"github.com/secondgate/secondgate/internal/pgtest"
	"github.com/secondgate/secondgate/mfa"
)

// grows are the tables that hold a row for each user, or more: no statement may read the
// whole of one.
var grows = []string{"users", "user_keys", "user_facets", "user_terms", "sessions", "challenges", "attempts", "events"}

var (
	seqScan = regexp.MustCompile(`Seq Scan on (?:public\.)?(\w+)`)
	filters = regexp.MustCompile(`Rows Removed by Filter: (\d{4,})`)
)

// TestPlans looks at every statement of whole operations as the server carried it out: with
// the plan that fits the values and with the one that a prepared statement has from its
// sixth use on, with statistics and, as after a restore, without.
func TestPlans(t *testing.T) {
	hasher := newHasher(t)
	server, dir := bigServer(t), folder(t)
	c := newCrowd(t, hasher, crowdPath(dir))
	// A bulk load is not looked at before somebody asks.
	server.Set(t, map[string]string{"autovacuum": "off"})
	// Reading the whole of a small table is no mistake.
	users := min(max(*scale, 30_000), 100_000)
	fillDatabase(t, server, c, dir, users)
	// What people leave behind who sign in: nobody reads these.
	query(t, server.URL(databaseOf(users)), `INSERT INTO challenges SELECT md5(i::text), 'p', now(), NULL, now() + interval '1 day', '' FROM generate_series(1, 30000) i`)
	query(t, server.URL(databaseOf(users)), `INSERT INTO attempts SELECT md5(i::text), 1, NULL, now() + interval '1 day', '' FROM generate_series(1, 30000) i`)
	for _, statistics := range []string{"none", "analyzed"} {
		if statistics == "analyzed" {
			query(t, server.URL(databaseOf(users)), "ANALYZE")
		}
		for _, mode := range []string{"force_custom_plan", "force_generic_plan"} {
			t.Run(statistics+" "+mode, func(t *testing.T) { lookAtPlans(t, server, c, dir, mode, users) })
		}
	}
}

func lookAtPlans(t *testing.T, server *pgtest.Server, c *crowd, dir, mode string, users int) {
	server.Explain(t, mode)
	s := openDatabase(t, dir+"/"+databaseOf(users))
	defer func() { ok(t, s.Close()) }()
	w := newWorld(t, c, newHasher(t), s, users)
	var err error
	_, w.late, err = s.ListUsers(t.Context(), mfa.UserQuery{}, "", 50)
	ok(t, err)
	server.Plans(t) // those of the start
	inTurns(t, 0.03, w)
	plans := server.Plans(t)
	if len(plans) < 100 {
		t.Fatalf("%d plans were logged", len(plans))
	}
	seen := make(map[string]bool)
	for _, p := range plans {
		bad := false
		for _, m := range seqScan.FindAllStringSubmatch(p.Text, -1) {
			bad = bad || slices.Contains(grows, m[1])
		}
		if (bad || filters.MatchString(p.Text)) && !seen[p.Query] {
			seen[p.Query] = true
			t.Errorf("%s\n%s", p.Query, p.Text)
		}
	}
}
