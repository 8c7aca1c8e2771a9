package pages

import (
	"net/http"
	"slices"
	"strings"

	"github.com/secondgate/secondgate/mfa"
)

// usersPage is the list of users, with the search above it.
type usersPage struct {
	frame
	Grid          grid
	Search        string
	Chips         []chipGroup
	Organizations []option
	Hidden        []option // what the search keeps
	Invite        string
	Filtered      bool
	Clear         string
}

// chipGroup is a row of filters of which one at most holds.
type chipGroup struct {
	Label string
	Chips []navItem
}

// The values of the filter by factor that is none, and of the filters by state.
const factorNone = "none"

// states are the filters by what holds of a user, with their words.
var states = []struct {
	facet mfa.Facet
	key   string
}{
	{mfa.FacetSkipped, "console.state.skipped"},
	{mfa.FacetOptedOut, "console.state.opted_out"},
	{mfa.FacetLocked, "console.state.locked"},
	{mfa.FacetDisabled, "console.state.disabled"},
	{mfa.FacetNewcomer, "console.state.newcomer"},
	{mfa.FacetRole, "console.state.role"},
}

// userFilter reads which users are asked for. What cannot be read asks for nothing.
func (c *console) userFilter() mfa.UserFilter {
	f := mfa.UserFilter{Search: strings.TrimSpace(c.query.Get("q"))}
	if len(f.Search) > 200 {
		f.Search = ""
	}
	switch kind := mfa.Kind(c.query.Get("factor")); {
	case kind == factorNone:
		f.NoFactor = true
	case mfa.KindsOf(kind).Has(kind):
		f.Factor = kind
	}
	if state := mfa.Facet(c.query.Get("state")); slices.ContainsFunc(states, func(s struct {
		facet mfa.Facet
		key   string
	}) bool {
		return s.facet == state
	}) {
		f.Facet = state
	}
	if of, err := mfa.ParseOrganizationID(c.query.Get(paramOf)); err == nil {
		f.Organization = of
	}
	return f
}

func (p *Pages) serveUsers(c *console) {
	f, after := c.userFilter(), c.query.Get(paramAfter)
	list, next, err := c.admin.Users(c.r.Context(), f, after, pageSize)
	if err != nil {
		c.failed(err)
		return
	}
	page := usersPage{frame: c.frame(c.T("console.users")), Search: f.Search}
	factor := string(f.Factor)
	if f.NoFactor {
		factor = factorNone
	}
	now := map[string]string{"q": f.Search, "factor": factor, "state": string(f.Facet), paramOf: string(f.Organization)}
	page.Filtered = f != mfa.UserFilter{}
	page.Clear = c.link(consoleHome)
	page.Chips = c.chips(now)
	for _, name := range []string{paramAs, "factor", "state"} {
		if value := now[name]; value != "" {
			page.Hidden = append(page.Hidden, option{Value: value, Label: name})
		}
	}
	if as := c.as(); as != "" {
		page.Hidden = append(page.Hidden, option{Value: string(as), Label: paramAs})
	}
	page.Organizations = c.organizationOptions(f.Organization)
	if c.may(mfa.ChangeUsers) {
		page.Invite = c.link("admin/invite")
	}
	page.Grid = c.userGrid(list)
	page.Grid.Caption = c.T("console.users")
	page.Grid.Empty = c.T("console.users.empty")
	if page.Filtered {
		page.Grid.Empty = c.T("console.users.none")
		if next != "" {
			// So many were looked at that the page ended before one was found.
			page.Grid.Empty = c.T("console.users.further")
		}
	}
	page.Grid.pages(c, consoleHome, after, next, "q", f.Search, "factor", factor, "state", string(f.Facet), paramOf, string(f.Organization))
	c.render(http.StatusOK, "console_users", page)
}

// chips are the filters. A chip that holds takes itself away.
func (c *console) chips(now map[string]string) []chipGroup {
	chip := func(param, value, label string) navItem {
		on := now[param] == value
		var pairs []string
		for _, name := range []string{"q", "factor", "state", paramOf} {
			v := now[name]
			if name == param {
				if v = value; on {
					v = ""
				}
			}
			pairs = append(pairs, name, v)
		}
		return navItem{label, c.link(consoleHome, pairs...), on}
	}
	factors := chipGroup{Label: c.T("console.filter.factor"), Chips: []navItem{chip("factor", factorNone, c.T("console.factor.none"))}}
	for _, k := range (mfa.PrimaryKinds | mfa.KindsOf(mfa.BackupCode)).List() {
		factors.Chips = append(factors.Chips, chip("factor", string(k), c.kind(k)))
	}
	state := chipGroup{Label: c.T("console.filter.state")}
	for _, s := range states {
		state.Chips = append(state.Chips, chip("state", string(s.facet), c.T(s.key)))
	}
	return []chipGroup{factors, state}
}

// mostOptions is how many organizations a page offers to choose from.
const mostOptions = 200

// organizationOptions lists organizations to choose from, where there is a choice.
func (c *console) organizationOptions(chosen mfa.OrganizationID) []option {
	if c.who.Actor.Organization != "" {
		return nil
	}
	list, err := c.admin.Organizations()
	if err != nil || len(list) == 0 {
		return nil
	}
	var options []option
	found := chosen == ""
	for _, o := range list[:min(len(list), mostOptions)] {
		found = found || o.ID == chosen
		options = append(options, option{Value: string(o.ID), Label: o.Title(), Selected: o.ID == chosen})
	}
	if !found {
		options = append(options, option{Value: string(chosen), Label: string(chosen), Selected: true})
	}
	return options
}

// userGrid is a table of users.
func (c *console) userGrid(list []mfa.UserInfo) grid {
	g := grid{ID: "users", Columns: []string{c.T("console.column.user"), c.T("console.column.factors"), c.T("console.column.state"), c.T("console.column.seen")}}
	for i := range list {
		u := &list[i]
		who := cell{Text: personName(u.DisplayName, u.Name), Href: c.link("admin/user", paramID, string(u.ID))}
		var sub []string
		if u.DisplayName != "" {
			sub = append(sub, u.Name)
		}
		if u.Email != "" && u.Email != u.Name {
			sub = append(sub, u.Email)
		}
		who.Sub = strings.Join(sub, " · ")
		seen := c.when(u.LastSignIn, c.T("console.never"))
		seen.Sub = u.LastHost
		g.Rows = append(g.Rows, gridRow{[]cell{who, c.factorsCell(u), {Tags: c.userTags(u)}, seen}})
	}
	return g
}

// factorsCell lists the kinds of factor of a user.
func (c *console) factorsCell(u *mfa.UserInfo) cell {
	var names []string
	primary := false
	for _, f := range u.Factors {
		primary = primary || f.Kind.Primary()
		name := c.kind(f.Kind)
		if !slices.Contains(names, name) {
			names = append(names, name)
		}
	}
	in := cell{Text: strings.Join(names, ", ")}
	if !primary {
		in.Tags = []tag{{c.T("console.factor.none"), "bad"}}
	}
	return in
}

// userTags says in a word each what holds of a user.
func (c *console) userTags(u *mfa.UserInfo) []tag {
	var tags []tag
	add := func(holds bool, text, tone string) {
		if holds {
			tags = append(tags, tag{text, tone})
		}
	}
	add(u.Admin, c.T("console.tag.admin"), "good")
	add(u.Auditor, c.T("console.tag.auditor"), "good")
	add(len(u.AdminOf) > 0, c.T("console.tag.admin_of"), "good")
	add(u.Disabled, c.T("console.tag.disabled"), "bad")
	add(u.Locked || u.PasswordLocked, c.T("console.tag.locked"), "bad")
	add(u.OptedOut, c.T("console.tag.opted_out"), "")
	add(u.Skipped, c.T("console.tag.skipped"), "")
	add(u.Invited && u.LastSignIn.IsZero(), c.T("console.tag.invited"), "")
	return tags
}

// userAddress is the address of the page of a user.
func (c *console) userAddress(id mfa.UserID, pairs ...string) string {
	return c.link("admin/user", append([]string{paramID, string(id)}, pairs...)...)
}
