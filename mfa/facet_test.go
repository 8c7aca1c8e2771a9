package mfa_test

import (
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/secondgate/secondgate/mfa"
)

func TestUser_Facets(t *testing.T) {
	signedIn := mfa.User{FirstSignIn: time.Unix(1, 0)}
	with := func(change func(u *mfa.User)) *mfa.User { u := signedIn; change(&u); return &u }
	for name, c := range map[string]struct {
		user *mfa.User
		want []mfa.Facet
	}{
		"nobody":           {&mfa.User{}, []mfa.Facet{"holds:", "never_signed_in"}},
		"signed in":        {&signedIn, []mfa.Facet{"holds:"}},
		"disabled":         {with(func(u *mfa.User) { u.Disabled = true }), []mfa.Facet{"holds:", "disabled"}},
		"skipped":          {with(func(u *mfa.User) { u.SkippedPrompt = "p" }), []mfa.Facet{"holds:", "skipped"}},
		"opted out":        {with(func(u *mfa.User) { u.OptedOut = true }), []mfa.Facet{"holds:", "opted_out"}},
		"locked":           {with(func(u *mfa.User) { u.Locked = []mfa.Kind{mfa.TOTP} }), []mfa.Facet{"holds:", "locked"}},
		"admin":            {with(func(u *mfa.User) { u.Admin = true }), []mfa.Facet{"holds:", "role"}},
		"auditor":          {with(func(u *mfa.User) { u.Auditor = true }), []mfa.Facet{"holds:", "role"}},
		"organization's":   {with(func(u *mfa.User) { u.AdminOf = []mfa.OrganizationID{"x"} }), []mfa.Facet{"holds:", "role"}},
		"member, twice":    {with(func(u *mfa.User) { u.Organizations = []mfa.OrganizationID{"b", "a", "b"} }), []mfa.Facet{"holds:", "organization:a", "organization:b", "organization:a&holds:", "organization:b&holds:"}},
		"verified address": {with(func(u *mfa.User) { u.Email, u.EmailVerified = "a@b@Example.Test", true }), []mfa.Facet{"holds:", "domain:example.test", "domain:example.test&holds:"}},
		// Rule B38: an address that nobody proved makes nobody a member of anything.
		"address": {with(func(u *mfa.User) { u.Email = "a@example.test" }), []mfa.Facet{"holds:"}},
		"factors": {with(func(u *mfa.User) {
			u.Credentials = []mfa.Credential{{Kind: mfa.BackupCode, Left: 1}, {Kind: mfa.TOTP}, {Kind: mfa.TOTP}, {Kind: mfa.Passkey}}
		}), []mfa.Facet{"holds:passkey,totp,backup_code"}},
		"codes that are used up": {with(func(u *mfa.User) { u.Credentials = []mfa.Credential{{Kind: mfa.BackupCode}} }), []mfa.Facet{"holds:"}},
		// What a newer version enrolled protects all the same.
		"a factor of the future": {with(func(u *mfa.User) { u.Credentials = []mfa.Credential{{Kind: "iris"}} }), []mfa.Facet{"holds:unknown"}},
	} {
		slices.Sort(c.want)
		if got := c.user.Facets(); !slices.Equal(got, c.want) {
			t.Errorf("%s: got %v, want %v", name, got, c.want)
		}
	}
}

func TestUser_CountedIn_isWhatCanBeCounted(t *testing.T) {
	u := &mfa.User{Organizations: []mfa.OrganizationID{"b", "a", "a"}, Email: "x@example.test", EmailVerified: true}
	got := u.CountedIn()
	want := "[[] [domain:example.test] [organization:a] [organization:b] [domain:example.test organization:a] [domain:example.test organization:b]]"
	if fmt.Sprint(got) != want {
		t.Errorf("got  %v\nwant %s", got, want)
	}
	for _, g := range got {
		backwards := slices.Clone(g)
		slices.Reverse(backwards)
		if group, ok := mfa.CountedGroup(backwards...); !ok || !slices.Equal(group, g) {
			t.Errorf("%v is the group %v, %v", backwards, group, ok)
		}
	}
	u.Disabled = true
	if got := u.CountedIn(); got != nil {
		t.Errorf("whoever is disabled is counted in %v", got)
	}
	for _, no := range [][]mfa.Facet{
		{mfa.FacetDisabled}, {mfa.FacetHolds(0)}, {"organization:a", "organization:b"}, {"domain:a", "domain:a"}, {"domain:a", "organization:a", "organization:b"}, {""},
	} {
		if group, ok := mfa.CountedGroup(no...); ok {
			t.Errorf("%v is the group %v", no, group)
		}
	}
}

func TestUserQuery_Matches(t *testing.T) {
	u := &mfa.User{Name: "Alice", DisplayName: "Alice  van Öst", Email: "A.Ost@example.test", OptedOut: true, Organizations: []mfa.OrganizationID{"acme"}}
	if got := u.Terms(); !slices.Equal(got, []string{"a.ost@example.test", "alice", "van", "öst"}) {
		t.Errorf("terms %q", got)
	}
	acme, beta := mfa.FacetOrganization("acme"), mfa.FacetOrganization("beta")
	for name, c := range map[string]struct {
		q    mfa.UserQuery
		want bool
	}{
		"everybody":            {mfa.UserQuery{}, true},
		"name":                 {mfa.UserQuery{Search: "ali"}, true},
		"word":                 {mfa.UserQuery{Search: "öst"}, true},
		"address":              {mfa.UserQuery{Search: "a.ost@"}, true},
		"middle of a word":     {mfa.UserQuery{Search: "lice"}, false},
		"one of a list":        {mfa.UserQuery{Where: [][]mfa.Facet{{beta, acme}}}, true},
		"none of a list":       {mfa.UserQuery{Where: [][]mfa.Facet{{beta}}}, false},
		"of each list one":     {mfa.UserQuery{Where: [][]mfa.Facet{{acme}, {mfa.FacetOptedOut, beta}}}, true},
		"not of each":          {mfa.UserQuery{Where: [][]mfa.Facet{{acme}, {beta}}}, false},
		"an empty list":        {mfa.UserQuery{Where: [][]mfa.Facet{{}}}, false},
		"not":                  {mfa.UserQuery{Not: []mfa.Facet{beta, mfa.FacetOptedOut}}, false},
		"not what they aren't": {mfa.UserQuery{Not: []mfa.Facet{beta}}, true},
		"all, and one is not":  {mfa.UserQuery{Search: "van", Where: [][]mfa.Facet{{acme}}, Not: []mfa.Facet{acme}}, false},
	} {
		if got := c.q.Matches(u); got != c.want {
			t.Errorf("%s: %v", name, got)
		}
	}
}
