package storetest

import (
	"fmt"
	"maps"
	"slices"
	"testing"

	"github.com/secondgate/secondgate/mfa"
)

// dice are random enough for a test, and the same each time.
type dice struct{ state uint64 }

func newDice(series, i int) *dice { return &dice{uint64(series)<<32 + uint64(i)} } //nolint:gosec // small

// IntN returns one of the n numbers from 0 on.
func (d *dice) IntN(n int) int {
	d.state += 0x9e3779b97f4a7c15
	z := d.state
	z = (z ^ z>>30) * 0xbf58476d1ce4e5b9
	z = (z ^ z>>27) * 0x94d049bb133111eb
	return int((z ^ z>>31) % uint64(n)) //nolint:gosec // not negative
}

// person is a user of that number, who differs from others in all that lists hang on.
func person(i int) *mfa.User {
	u := newUser(named("p%05d", i))
	u.Credentials = nil
	scramble(u, newDice(1, i))
	return u
}

var someKinds = []mfa.Kind{mfa.Passkey, mfa.TOTP, mfa.SMS, mfa.Email, mfa.BackupCode, "of_the_future"}

// scramble changes about a third of what the lists hang on.
func scramble(u *mfa.User, r *dice) {
	maybe := func() bool { return r.IntN(3) == 0 }
	if maybe() {
		u.Credentials = nil
		for i := range r.IntN(3) {
			u.Credentials = append(u.Credentials, mfa.Credential{
				ID: mfa.CredentialID(named("c%d", i)), Kind: someKinds[r.IntN(len(someKinds))], Left: r.IntN(2),
			})
		}
	}
	if maybe() {
		u.Disabled = r.IntN(4) == 0
	}
	if maybe() {
		u.Organizations = nil
		for i := range r.IntN(3) {
			u.Organizations = append(u.Organizations, mfa.OrganizationID(named("org%d", i+r.IntN(3))))
		}
	}
	if maybe() {
		u.Email, u.EmailVerified = "", false
		if r.IntN(4) > 0 {
			u.Email, u.EmailVerified = u.Subject+named("@d%d.test", r.IntN(3)), r.IntN(4) > 0
		}
	}
	if maybe() {
		u.DisplayName = []string{"", "Ann", "Ann Bee", "Bee ann cee"}[r.IntN(4)]
	}
	if maybe() {
		u.Admin, u.AdminOf = r.IntN(2) == 0, nil
	}
	if maybe() {
		u.OptedOut, u.SkippedPrompt = r.IntN(2) == 0, []string{"", "skipped"}[r.IntN(2)]
	}
	if maybe() {
		u.Locked = []mfa.Kind{mfa.TOTP}[:r.IntN(2)]
	}
	if maybe() {
		u.FirstSignIn = base
	}
	if maybe() {
		u.Name = u.Subject + []string{"", "-a", "-b"}[r.IntN(3)]
	}
}

// everybody reads all users, by the one list that has no index but names.
func everybody(t *testing.T, s mfa.Store) []*mfa.User {
	t.Helper()
	var all []*mfa.User
	for after := ""; ; {
		page, next, err := s.ListUsers(ctx, mfa.UserQuery{}, after, 500)
		must(t, err)
		all = append(all, page...)
		if after = next; after == "" {
			return all
		}
	}
}

// agree checks every list and every counter against the users themselves.
func agree(t *testing.T, s mfa.Store) {
	t.Helper()
	all := everybody(t, s)
	facets := map[mfa.Facet]bool{none: true, mfa.FacetDisabled: true, mfa.FacetLocked: true, "nobody": true}
	groups := map[string][]mfa.Facet{"": {}, "unknown": {mfa.FacetOrganization("unknown")}}
	searches := map[string]bool{"p": true, "ann": true, "b": true, "nobody": true}
	for _, u := range all {
		for _, f := range u.Facets() {
			facets[f] = true
		}
		for _, g := range u.CountedIn() {
			groups[fmt.Sprint(g)] = g
		}
	}
	matching := func(q mfa.UserQuery) []string {
		names := []string{}
		for _, u := range all {
			if q.Matches(u) {
				names = append(names, u.Name)
			}
		}
		slices.Sort(names)
		return names
	}
	check := func(q mfa.UserQuery) {
		t.Helper()
		got := listed(t, s, q, 7)
		if q.Search == "" && !slices.IsSorted(got) {
			t.Errorf("%+v: not in the order of names", q)
		}
		slices.Sort(got)
		if want := matching(q); !slices.Equal(got, want) {
			t.Errorf("%+v:\ngot  %v\nwant %v", q, got, want)
		}
	}
	sorted := slices.Sorted(maps.Keys(facets))
	for i, f := range sorted {
		check(mfa.UserQuery{Where: where(f)})
		other := sorted[(i+1)%len(sorted)]
		check(mfa.UserQuery{Where: where(f, other, f)})
		check(mfa.UserQuery{Where: [][]mfa.Facet{{f}, {other, none}}, Not: []mfa.Facet{mfa.FacetDisabled}})
	}
	check(mfa.UserQuery{Not: []mfa.Facet{none}})
	for search := range searches {
		check(mfa.UserQuery{Search: search})
		check(mfa.UserQuery{Search: search, Where: where(none, mfa.FacetLocked), Not: []mfa.Facet{mfa.FacetRole}})
	}
	for name, g := range groups {
		want := make(map[mfa.Kinds]int)
		for _, u := range all {
			if slices.ContainsFunc(u.CountedIn(), func(of []mfa.Facet) bool { return slices.Equal(of, g) }) {
				want[u.Enrolled()]++
			}
		}
		backwards := slices.Clone(g)
		slices.Reverse(backwards)
		got, err := s.CountUsers(ctx, backwards...)
		must(t, err)
		if !maps.Equal(got, want) {
			t.Errorf("counters of %q: got %v, want %v", name, got, want)
		}
	}
}
