package storetest

import (
	"bytes"
	"context"
	"errors"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/secondgate/secondgate/mfa"
	"github.com/secondgate/secondgate/store"
)

// Place is where one store can be: opened to serve, or to be filled. Whatever was open there
// is closed before, and all when the test is over. Both return what the store answers.
type Place interface {
	Serve() (mfa.Store, error)
	Fill(from string) (mfa.Store, error)
}

// theCopy is what the tests copy.
const theCopy = "a copy of the tests"

// RunPortable shows that everything of a store comes out of it, and goes into an empty one:
// from one kind of store, into another or the same.
func RunPortable(t *testing.T, from, to func(t *testing.T) Place) {
	for name, run := range map[string]func(t *testing.T, source, target Place){
		"a_copy_is_the_same_and_serves":                       copied,
		"a_copy_that_was_cut_short_goes_on":                   resumed,
		"a_row_that_says_something_else_is_refused":           contradicted,
		"a_row_that_is_damaged_is_refused":                    misplaced,
		"AC-189_nobody_serves_from_a_store_that_is_not_whole": unfinished,
		"what_changes_meanwhile_is_not_in_it":                 consistent,
	} {
		t.Run(name, func(t *testing.T) { run(t, from(t), to(t)) })
	}
}

func serve(t *testing.T, p Place) mfa.Store {
	t.Helper()
	s, err := p.Serve()
	must(t, err)
	return s
}

func fill(t *testing.T, p Place) (mfa.Store, store.Target) {
	t.Helper()
	s, err := p.Fill(theCopy)
	must(t, err)
	target, ok := s.(store.Target)
	if !ok {
		t.Fatalf("%T cannot be filled", s)
	}
	return s, target
}

// everything fills a store with something of each kind.
func everything(t *testing.T, s mfa.Store) {
	t.Helper()
	must(t, s.CreateUser(ctx, newUser("alice")))
	for i := range 25 {
		must(t, s.CreateUser(ctx, person(i)))
		must(t, s.UpdateUser(ctx, person(i).ID, func(u *mfa.User) error { scramble(u, newDice(9, i)); return nil }))
	}
	for _, id := range []mfa.OrganizationID{"acme", "beta"} {
		must(t, s.CreateOrganization(ctx, newOrganization(id)))
		must(t, startCampaign(s, id))
		must(t, s.CreateAPIKey(ctx, newAPIKey(string(id))))
	}
	must(t, startCampaign(s, ""))
	optional := true
	must(t, s.UpdatePolicySettings(ctx, func(p *mfa.PolicySettings) error { p.Optional = &optional; return nil }))
	appendMany(t, s, 150)
	for _, id := range []string{"ended", "s1", "s2"} {
		must(t, s.CreateSession(ctx, newSession(id, "id-alice")))
	}
	half := newSession("half", "id-alice")
	half.Complete = false
	must(t, s.CreateSession(ctx, half))
	must(t, s.EndSession(ctx, "ended"))
	must(t, s.Touch(ctx, map[mfa.SessionID]time.Time{"s2": base.Add(time.Minute)}))
	must(t, s.PutChallenge(ctx, newChallenge("waiting")))
	must(t, s.PutChallenge(ctx, newChallenge("taken")))
	_, err := s.TakeChallenge(ctx, "taken")
	must(t, err)
	must(t, s.UpdateAttempts(ctx, []string{"few", "many"}, func(a []mfa.Attempts) error {
		a[0] = mfa.Attempts{Count: 2, Since: base, Until: time.Now().Add(time.Hour).UTC()}
		a[1] = mfa.Attempts{Count: 50, Since: base}
		return nil
	}))
}

// exported returns all rows of the store, and checks that they come in their order.
func exported(t *testing.T, s mfa.Store) []store.Row {
	t.Helper()
	var rows []store.Row
	must(t, s.(store.Portable).Export(ctx, func(r store.Row) error {
		r.Data = bytes.Clone(r.Data)
		rows = append(rows, r)
		return nil
	}))
	place := func(r store.Row) int { return slices.Index(store.Exported, r.Table) }
	for i, r := range rows {
		if place(r) < 0 {
			t.Fatalf("a row of table %s is in no copy", r.Table)
		}
		if i > 0 && (place(rows[i-1]) > place(r) || rows[i-1].Table == r.Table && rows[i-1].ID >= r.ID) {
			t.Fatalf("row %d (%s %q) stands behind %s %q", i, r.Table, r.ID, rows[i-1].Table, rows[i-1].ID)
		}
	}
	return rows
}

func imported(t *testing.T, target store.Target, rows []store.Row) {
	t.Helper()
	for part := range slices.Chunk(rows, 37) {
		must(t, target.Import(ctx, part))
	}
}

// sameRows compares rows to the byte.
func sameRows(t *testing.T, got, want []store.Row) {
	t.Helper()
	if len(got) != len(want) {
		t.Errorf("%d rows, want %d", len(got), len(want))
	}
	for i := range min(len(got), len(want)) {
		if got[i].Table != want[i].Table || got[i].ID != want[i].ID || !bytes.Equal(got[i].Data, want[i].Data) {
			t.Fatalf("row %d is\n%s %q %s\nwant\n%s %q %s", i, got[i].Table, got[i].ID, got[i].Data, want[i].Table, want[i].ID, want[i].Data)
		}
	}
}

func copied(t *testing.T, source, target Place) {
	s := serve(t, source)
	everything(t, s)
	rows := exported(t, s)
	tables := map[store.Table]bool{}
	for _, r := range rows {
		tables[r.Table] = true
	}
	for _, table := range store.Exported {
		if !tables[table] {
			t.Fatalf("no row of table %s came out", table)
		}
	}
	filling, into := fill(t, target)
	imported(t, into, rows)
	sameRows(t, exported(t, filling), rows)
	restored := newEvent(1000)
	must(t, into.Filled(ctx, []mfa.Event{restored}))
	c := serve(t, target)
	sameRows(t, slices.DeleteFunc(exported(t, c), func(r store.Row) bool { return r.ID == store.EventID(151) || r.Table == store.Chain }),
		slices.DeleteFunc(rows, func(r store.Row) bool { return r.Table == store.Chain }))
	agree(t, c)
	for _, key := range newUser("alice").UniqueKeys() {
		u, err := c.UserByKey(ctx, key)
		must(t, err)
		same(t, u, newUser("alice"))
	}
	wantErr(t, c.CreateUser(ctx, namesake("alice", "local")), mfa.ErrTaken)
	gone(t, c, "ended")
	wantErr(t, c.CreateSession(ctx, newSession("ended", "id-alice")), mfa.ErrTaken)
	left := live(t, c, "id-alice")
	slices.Sort(left)
	same(t, left, []string{"half", "s1", "s2"})
	_, err := c.TakeChallenge(ctx, "taken")
	wantErr(t, err, mfa.ErrNotFound)
	wantErr(t, c.PutChallenge(ctx, newChallenge("taken")), mfa.ErrTaken)
	_, err = c.TakeChallenge(ctx, "waiting")
	must(t, err)
	a, err := c.Attempts(ctx, "many")
	must(t, err)
	same(t, a, mfa.Attempts{Count: 50, Since: base})
	chained(t, c, 1, 151)
	same(t, details(pages(t, c, mfa.EventQuery{}, 1000))[0], restored.Detail)
	same(t, told(pages(t, c, mfa.EventQuery{User: "id-3"}, 9)), told(only(pages(t, c, mfa.EventQuery{}, 1000), func(e mfa.Event) bool { return e.User == "id-3" })))
	keys, err := c.ListAPIKeys(ctx)
	must(t, err)
	same(t, keys, []*mfa.APIKey{newAPIKey("acme"), newAPIKey("beta")})
	campaigns, err := c.ListCampaigns(ctx)
	must(t, err)
	same(t, campaigns, []*mfa.Campaign{newCampaign(""), newCampaign("acme"), newCampaign("beta")})
	p, err := c.PolicySettings(ctx)
	must(t, err)
	same(t, *p.Optional, true)
	// It goes on like any other store.
	must(t, c.AppendEvents(ctx, []mfa.Event{newEvent(1001)}))
	chained(t, c, 1, 152)
	must(t, c.UpdateUser(ctx, "id-alice", func(u *mfa.User) error { u.Disabled = true; return nil }))
	agree(t, c)
}

func resumed(t *testing.T, source, target Place) {
	s := serve(t, source)
	everything(t, s)
	rows := exported(t, s)
	_, into := fill(t, target)
	imported(t, into, rows[:len(rows)/3])
	_, into = fill(t, target) // the copying process died, and another goes on
	imported(t, into, rows)
	imported(t, into, rows)
	filling, into := fill(t, target)
	sameRows(t, exported(t, filling), rows)
	must(t, into.Filled(ctx, nil))
	agree(t, serve(t, target))
}

func contradicted(t *testing.T, source, target Place) {
	s := serve(t, source)
	everything(t, s)
	rows := exported(t, s)
	filling, into := fill(t, target)
	imported(t, into, rows)
	seen := map[store.Table]bool{}
	for _, r := range rows {
		if seen[r.Table] {
			continue
		}
		seen[r.Table] = true
		r.Data = append(bytes.TrimSuffix(bytes.Clone(r.Data), []byte("}")), []byte(`,"more":1}`)...)
		if err := into.Import(ctx, []store.Row{r}); !errors.Is(err, mfa.ErrTaken) {
			t.Errorf("a row of table %s that says something else: %v", r.Table, err)
		}
	}
	// Somebody else with alice's unique keys.
	for _, r := range rows {
		if r.Table == store.Users && r.ID == "id-alice" {
			r.ID, r.Data = "id-mallory", bytes.Replace(r.Data, []byte(`"id-alice"`), []byte(`"id-mallory"`), 1)
			wantErr(t, into.Import(ctx, []store.Row{r}), mfa.ErrTaken)
		}
	}
	sameRows(t, exported(t, filling), rows)
}

func misplaced(t *testing.T, source, target Place) {
	s := serve(t, source)
	everything(t, s)
	rows := exported(t, s)
	filling, into := fill(t, target)
	refused := func(r store.Row) {
		t.Helper()
		err := into.Import(ctx, []store.Row{r})
		if err == nil {
			t.Errorf("a row of table %s and ID %q was taken: %s", r.Table, r.ID, r.Data)
		} else if strings.Contains(err.Error(), "secret-alice") || strings.Contains(err.Error(), "hash-alice") {
			t.Errorf("the error says what it read: %v", err)
		}
	}
	seen := map[store.Table]bool{}
	for _, r := range rows {
		if seen[r.Table] {
			continue
		}
		seen[r.Table] = true
		other := r
		other.ID += "x"
		if r.Table != store.Attempts { // a counter does not say whose it is
			refused(other)
		}
		other = r
		other.Data = r.Data[:len(r.Data)-1]
		refused(other)
		other.Data = nil
		refused(other)
	}
	refused(store.Row{Table: store.Meta, ID: "anchor", Data: []byte("{}")})
	refused(store.Row{Table: store.UniqueKeys, ID: "subject:local:eve", Data: []byte(`{"user":"id-eve"}`)})
	refused(store.Row{Table: "of_the_future", ID: "x", Data: []byte("{}")})
	same(t, len(exported(t, filling)), 0)
}

func unfinished(t *testing.T, source, target Place) {
	s := serve(t, source)
	everything(t, s)
	if err := s.(store.Target).Import(ctx, []store.Row{{Table: store.Policy, ID: "gateway", Data: []byte("{}")}}); err == nil {
		t.Error("a store that serves was filled")
	}
	if err := s.(store.Target).Filled(ctx, nil); err == nil {
		t.Error("a store that serves was said to be whole")
	}
	rows := exported(t, s)
	fill(t, target)
	_, err := target.Serve()
	wantErr(t, err, store.ErrFilling) // before the first row
	_, into := fill(t, target)
	must(t, into.Import(ctx, rows[:1]))
	_, err = target.Serve()
	wantErr(t, err, store.ErrFilling)
	_, err = target.Fill("something else")
	wantErr(t, err, store.ErrFilling)
	_, into = fill(t, target)
	imported(t, into, rows)
	must(t, into.Filled(ctx, nil))
	agree(t, serve(t, target))
	_, err = target.Fill(theCopy)
	wantErr(t, err, store.ErrNotEmpty)
	_, err = source.Fill(theCopy)
	wantErr(t, err, store.ErrNotEmpty)
}

func consistent(t *testing.T, source, _ Place) {
	s := serve(t, source)
	everything(t, s)
	before := exported(t, s)
	changed := false
	var during []store.Row
	must(t, s.(store.Portable).Export(ctx, func(r store.Row) error {
		if !changed {
			changed = true
			must(t, s.CreateUser(ctx, newUser("zoe")))
			must(t, s.UpdateUser(ctx, "id-p00003", func(u *mfa.User) error { u.DisplayName = "changed"; return nil }))
			must(t, s.EndUserSessions(ctx, "id-alice", ""))
			must(t, s.RemoveAPIKey(ctx, "beta"))
			appendMany(t, s, 3)
		}
		r.Data = bytes.Clone(r.Data)
		during = append(during, r)
		return nil
	}))
	sameRows(t, during, before)
	stop := errors.New("enough")
	n := 0
	err := s.(store.Portable).Export(ctx, func(store.Row) error {
		if n++; n == 5 {
			return stop
		}
		return nil
	})
	if !errors.Is(err, stop) || n != 5 {
		t.Errorf("stopped after %d rows: %v", n, err)
	}
	c, cancel := context.WithCancel(ctx)
	err = s.(store.Portable).Export(c, func(store.Row) error { cancel(); return nil })
	wantErr(t, err, context.Canceled)
}
