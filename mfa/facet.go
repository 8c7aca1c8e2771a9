package mfa

import (
	"slices"
	"strings"
)

// Facet is one thing that holds of a user and by which administrators list people.
// Stores keep an index of the facets of every user, in the same write as the record.
type Facet string

// The facets that have no value.
const (
	FacetDisabled Facet = "disabled"
	FacetSkipped  Facet = "skipped"         // a prompt (rule B9)
	FacetOptedOut Facet = "opted_out"       // rule B19
	FacetLocked   Facet = "locked"          // until an administrator unlocks a factor or the password
	FacetNewcomer Facet = "never_signed_in" // invited or imported
	FacetRole     Facet = "role"            // administrator or auditor, of whatever
)

// FacetHolds is the facet of users whose enrolled factors are exactly these.
func FacetHolds(k Kinds) Facet {
	names := strings.Fields(k.String())
	if k&unknownKind != 0 {
		names = append(names, "unknown")
	}
	return Facet("holds:" + strings.Join(names, ","))
}

// FacetSource is the facet of users of an identity source other than the local accounts.
func FacetSource(source string) Facet { return Facet("source:" + source) }

// FacetOrganization is the facet of users who are members by hand, by invitation, or
// because their identity source says so.
func FacetOrganization(id OrganizationID) Facet { return Facet("organization:" + string(id)) }

// FacetDomain is the facet of users with a verified address of that domain. Which
// organization has the domain is a matter of the configuration, which changes without
// any user being written.
func FacetDomain(domain string) Facet { return Facet("domain:" + strings.ToLower(domain)) }

// FacetBoth is the facet of users who are in a group, which is an organization or a
// domain, and whose enrolled factors are exactly those of holds: without it, the few of a
// large organization who have no factor could only be found by walking along all of it.
func FacetBoth(group, holds Facet) Facet { return group + "&" + holds }

// bothOf returns FacetBoth of each with each.
func bothOf(groups, holds []Facet) []Facet {
	var list []Facet
	for _, g := range groups {
		for _, h := range holds {
			list = append(list, FacetBoth(g, h))
		}
	}
	return list
}

// Enrolled returns the kinds of factor that the user can verify with. A set of backup
// codes that is used up is none.
func (u *User) Enrolled() Kinds {
	var k Kinds
	for _, c := range u.Credentials {
		if (Held{Kind: c.Kind, Left: c.Left}).Enrolled() {
			k |= c.Kind.set()
		}
	}
	return k
}

// Facets returns what holds of the user, each once.
func (u *User) Facets() []Facet {
	holds := FacetHolds(u.Enrolled())
	list := []Facet{holds}
	for _, group := range u.groups() {
		list = append(list, group, FacetBoth(group, holds))
	}
	for f, holds := range map[Facet]bool{
		FacetDisabled: u.Disabled, FacetSkipped: u.SkippedPrompt != "", FacetOptedOut: u.OptedOut,
		FacetLocked: len(u.Locked) > 0, FacetNewcomer: u.FirstSignIn.IsZero(),
		FacetRole: u.hasRole(),
	} {
		if holds {
			list = append(list, f)
		}
	}
	if u.Source != LocalSource && u.Source != "" {
		list = append(list, FacetSource(u.Source))
	}
	slices.Sort(list)
	return slices.Compact(list)
}

// groups are the facets by which people are counted, see Users.CountUsers.
func (u *User) groups() []Facet {
	var list []Facet
	for _, id := range u.memberships() {
		list = append(list, FacetOrganization(id))
	}
	if u.Email != "" && u.EmailVerified {
		list = append(list, FacetDomain(u.Email[strings.LastIndexByte(u.Email, '@')+1:]))
	}
	return list
}

// CountedIn returns the groups that the user is counted in, each the facets of one call
// of Users.CountUsers; none where the user is disabled. Stores keep a counter for each
// group and set of factors, in the same write as the record.
func (u *User) CountedIn() [][]Facet {
	if u.Disabled {
		return nil
	}
	groups := u.groups()
	slices.Sort(groups)
	groups = slices.Compact(groups)
	list := [][]Facet{{}}
	for _, f := range groups {
		list = append(list, []Facet{f})
	}
	// Who is a member both by hand and by address is counted once in an organization: the
	// pair says how many those are. There is one domain at most, and it sorts first.
	if len(groups) > 1 && strings.HasPrefix(string(groups[0]), "domain:") {
		for _, f := range groups[1:] {
			list = append(list, []Facet{groups[0], f})
		}
	}
	return list
}

// CountedGroup returns the facets sorted, and whether they are a group that users are
// counted in: everybody, one organization or domain, or a domain and an organization.
func CountedGroup(facets ...Facet) (group []Facet, ok bool) {
	group = slices.Sorted(slices.Values(facets))
	domains := 0
	for _, f := range group {
		switch {
		case strings.HasPrefix(string(f), "domain:"):
			domains++
		case !strings.HasPrefix(string(f), "organization:"):
			return nil, false
		}
	}
	return group, len(group) < 2 || len(group) == 2 && domains == 1
}

// Terms returns what the user is found by, in lower case, sorted, each once: the user
// name, the address, and the words of the display name.
func (u *User) Terms() []string {
	list := append([]string{u.Name, u.Email}, strings.Fields(u.DisplayName)...)
	for i := range list {
		list[i] = strings.ToLower(list[i])
	}
	slices.Sort(list)
	list = slices.Compact(list)
	return slices.DeleteFunc(list, func(s string) bool { return s == "" })
}

// UserQuery is which users to list. The zero value is everybody.
type UserQuery struct {
	// Search is what one of the user's Terms begins with, in lower case.
	Search string
	// Where holds if of each of its lists at least one facet holds. The most selective
	// list stands first: a store walks along that one, or along Search.
	Where [][]Facet
	// Not are facets none of which holds.
	Not []Facet
}

// Matches reports whether the user is one of the query.
func (q UserQuery) Matches(u *User) bool {
	if q.Search != "" && !slices.ContainsFunc(u.Terms(), func(t string) bool { return strings.HasPrefix(t, q.Search) }) {
		return false
	}
	has := u.Facets()
	for _, any := range q.Where {
		if !slices.ContainsFunc(any, func(f Facet) bool { return slices.Contains(has, f) }) {
			return false
		}
	}
	return !slices.ContainsFunc(q.Not, func(f Facet) bool { return slices.Contains(has, f) })
}
