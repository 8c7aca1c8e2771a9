package pages

import (
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strings"

	"github.com/secondgate/secondgate/mfa"
)

func (p *Pages) serveOrganizations(c *console) {
	list, err := c.admin.Organizations()
	if err != nil {
		c.failed(err)
		return
	}
	page := listPage{frame: c.frame(c.T("console.organizations")), Text: []string{c.T("console.organizations.text")}}
	if c.may(mfa.ChangeOrganizations) {
		page.New, page.NewLabel = c.link("admin/organization/edit"), c.T("console.organization.make")
	}
	g := grid{ID: "organizations", Caption: c.T("console.organizations"), Empty: c.T("console.organizations.empty"),
		Columns: []string{c.T("console.column.organization"), c.T("console.column.asks"), c.T("console.column.domains"), c.T("console.column.from")}}
	start := 0
	if after := c.query.Get(paramAfter); after != "" {
		start = slices.IndexFunc(list, func(o *mfa.Organization) bool { return string(o.ID) > after })
		if start < 0 {
			start = len(list)
		}
	}
	shown := list[start:min(len(list), start+pageSize)]
	for _, o := range shown {
		name := cell{Text: o.Title(), Href: c.link("admin/organization", paramID, string(o.ID))}
		if o.Title() != string(o.ID) {
			name.Sub = string(o.ID)
		}
		g.Rows = append(g.Rows, gridRow{[]cell{name, {Text: strings.Join(c.asks(o), ", ")}, {Text: strings.Join(o.Domains, ", ")}, {Text: c.declared(o)}}})
	}
	next := ""
	if start+pageSize < len(list) {
		next = string(shown[len(shown)-1].ID)
	}
	g.pages(c, "admin/organizations", c.query.Get(paramAfter), next)
	page.Grid = g
	c.render(http.StatusOK, "console_list", page)
}

// declared says where an organization comes from.
func (c *console) declared(o *mfa.Organization) string {
	if o.Declared {
		return c.T("console.from.configuration")
	}
	return c.T("console.from.stored")
}

// asks says in words what an organization asks.
func (c *console) asks(o *mfa.Organization) []string {
	var list []string
	if o.Require {
		list = append(list, c.T("console.asks.require"))
	}
	if o.PhishingResistant {
		list = append(list, c.T("console.asks.phishing"))
	}
	if o.Factors != 0 {
		list = append(list, c.T("console.asks.factors", "factors", c.kindList(o.Factors)))
	}
	if o.Fresh > 0 {
		list = append(list, c.T("console.asks.fresh", "time", c.duration(o.Fresh)))
	}
	if o.NoRemembering {
		list = append(list, c.T("console.asks.remember"))
	}
	if len(list) == 0 {
		return []string{c.T("console.asks.nothing")}
	}
	return list
}

// kindList names factors.
func (v *visit) kindList(k mfa.Kinds) string {
	var list []string
	for _, kind := range k.List() {
		list = append(list, v.kind(kind))
	}
	return strings.Join(list, ", ")
}

// organizationPage is one organization.
type organizationPage struct {
	frame
	Facts        []fact
	Note         string
	Links        []rowAction
	Edit, Remove string
	Back         string
}

func (p *Pages) serveOrganization(c *console) {
	o, err := c.admin.Organization(mfa.OrganizationID(c.query.Get(paramID)))
	if err != nil {
		c.failed(err)
		return
	}
	id := string(o.ID)
	page := organizationPage{frame: c.frame(o.Title()), Back: c.link("admin/organizations")}
	page.Facts = []fact{
		{Label: c.T("console.fact.id"), Text: id},
		{Label: c.T("console.column.asks"), Text: strings.Join(c.asks(o), ", ")},
	}
	if o.Enrollment != nil {
		page.Facts = append(page.Facts, fact{Label: c.T("console.field.enrollment"), Text: o.Enrollment.String()})
	}
	if len(o.Domains) > 0 {
		page.Facts = append(page.Facts, fact{Label: c.T("console.column.domains"), Text: strings.Join(o.Domains, ", ")})
	}
	page.Facts = append(page.Facts, fact{Label: c.T("console.column.from"), Text: c.declared(o)})
	if c.may(mfa.ReadUsers) {
		page.Links = []rowAction{
			{Label: c.T("console.organization.members"), Href: c.link(consoleHome, paramOf, id)},
			{Label: c.T("console.coverage"), Href: c.link("admin/coverage", paramOf, id)},
			{Label: c.T("console.forecast"), Href: c.link("admin/forecast", paramOf, id)},
		}
	}
	switch {
	case !c.may(mfa.ChangeOrganizations):
	case o.Declared:
		page.Note = c.T("console.organization.declared")
	default:
		page.Edit, page.Remove = c.link("admin/organization/edit", paramID, id), c.link("admin/organization/remove", paramID, id)
	}
	c.render(http.StatusOK, "console_organization", page)
}

// editing returns the form for an organization: the one of the address, or a new one. It
// has answered where it reports false.
func (c *console) editing() (formPage, *mfa.Organization, bool) {
	page := formPage{frame: c.frame(c.T("console.organization.make")), Submit: c.T("save"), Cancel: c.link("admin/organizations")}
	var s mfa.OrganizationSettings
	var o *mfa.Organization
	if id := c.query.Get(paramID); id != "" {
		var err error
		if o, err = c.admin.Organization(mfa.OrganizationID(id)); err != nil {
			c.failed(err)
			return page, nil, false
		}
		if o.Declared {
			c.say(http.StatusForbidden, o.Title(), c.T("console.organization.declared"))
			return page, nil, false
		}
		s = mfa.SettingsOf(o)
		page.frame, page.Cancel = c.frame(c.T("console.organization.edit", "name", o.Title())), c.link("admin/organization", paramID, id)
	} else {
		page.Fields = []field{{Kind: "text", Name: "id", Label: c.T("console.fact.id"), Hint: c.T("console.organization.id.hint"), Value: c.form("id"), Max: 63}}
	}
	if c.r.Method == http.MethodPost {
		s = c.settings()
	}
	on := func(name string, holds bool) option { return option{Value: name, Selected: holds} }
	demands := field{Kind: "checks", Name: "asks", Label: c.T("console.column.asks")}
	for _, d := range []struct {
		option
		label string
	}{
		{on("require", s.Require), c.T("console.asks.require")},
		{on("phishing_resistant", s.PhishingResistant), c.T("console.asks.phishing")},
		{on("forbid_remembering", s.ForbidRemembering), c.T("console.asks.remember")},
	} {
		d.Label = d.label
		demands.Options = append(demands.Options, d.option)
	}
	factors := field{Kind: "checks", Name: "factors", Label: c.T("console.field.factors"), Hint: c.T("console.organization.factors.hint")}
	for _, k := range (mfa.PrimaryKinds | mfa.KindsOf(mfa.BackupCode)).List() {
		factors.Options = append(factors.Options, option{Value: string(k), Label: c.kind(k), Selected: slices.Contains(s.Factors, k)})
	}
	page.Fields = append(page.Fields,
		field{Kind: "text", Name: "name", Label: c.T("console.column.name"), Hint: c.T("console.organization.name.hint"), Value: s.Name, Max: mfa.MaxOrganizationName},
		demands, factors,
		field{Kind: "text", Name: "fresh", Label: c.T("console.field.fresh"), Hint: c.T("console.organization.fresh.hint"), Value: s.Fresh, Max: 16},
		field{Kind: "text", Name: "enrollment", Label: c.T("console.field.enrollment"), Hint: c.T("console.organization.enrollment.hint"), Value: s.Enrollment, Max: 32},
		field{Kind: "text", Name: "domains", Label: c.T("console.column.domains"), Hint: c.T("console.organization.domains.hint"), Value: strings.Join(s.Domains, ", "), Max: 1000},
	)
	return page, o, true
}

// settings reads the fields of the form.
func (c *console) settings() mfa.OrganizationSettings {
	s := mfa.OrganizationSettings{Name: strings.TrimSpace(c.form("name")), Fresh: strings.TrimSpace(c.form("fresh")), Enrollment: strings.TrimSpace(c.form("enrollment"))}
	asks := c.r.PostForm["asks"]
	s.Require, s.PhishingResistant, s.ForbidRemembering = slices.Contains(asks, "require"), slices.Contains(asks, "phishing_resistant"), slices.Contains(asks, "forbid_remembering")
	for _, k := range c.r.PostForm["factors"] {
		s.Factors = append(s.Factors, mfa.Kind(k))
	}
	s.Domains = strings.FieldsFunc(c.form("domains"), func(r rune) bool { return r == ' ' || r == ',' })
	return s
}

func (p *Pages) serveEditOrganization(c *console) {
	if page, _, ok := c.editing(); ok {
		c.show(http.StatusOK, page)
	}
}

func (p *Pages) postEditOrganization(c *console) {
	page, o, ok := c.editing()
	if !ok {
		return
	}
	id := mfa.OrganizationID(strings.TrimSpace(c.form("id")))
	if o != nil {
		id = o.ID
	} else if _, err := mfa.ParseOrganizationID(string(id)); err != nil {
		page.wrong(&fieldError{"id", c.T("console.organization.id.wrong")})
		c.show(http.StatusUnprocessableEntity, page)
		return
	} else if _, err := c.admin.Organization(id); err == nil {
		// Making one must not change another that is there.
		page.wrong(&fieldError{"id", c.T("console.organization.taken")})
		c.show(http.StatusConflict, page)
		return
	}
	next, err := c.settings().Read(id)
	if err == nil {
		err = c.admin.SetOrganization(c.r.Context(), *next, c.forced())
	}
	if err == nil {
		c.done("saved", "admin/organization", paramID, string(id))
		return
	}
	c.notSaved(page, err)
}

// forced reports whether somebody says to do it although nobody could administrate then.
func (c *console) forced() bool { return c.form("force") == "yes" }

// notSaved shows the form again with what is wrong in it.
func (c *console) notSaved(page formPage, err error) {
	var lockout *mfa.LockoutError
	var organization *mfa.OrganizationError
	var policy *mfa.PolicyError
	var campaign *mfa.CampaignError
	switch {
	case errors.As(err, &lockout):
		page.Force, page.Error = true, c.T("console.lockout", "why", lockout.Reason)
		c.show(http.StatusConflict, page)
		return
	case errors.As(err, &organization), errors.As(err, &policy), errors.As(err, &campaign):
		// The core says what to write instead, and names the field first, in the words of
		// the configuration.
		text := err.Error()
		name, rest, ok := strings.Cut(text, ": ")
		if i := slices.IndexFunc(page.Fields, func(f field) bool { return f.Name == name }); ok && i >= 0 {
			page.Fields[i].Error = c.T("console.field.wrong", "why", rest)
		} else {
			page.Error = c.T("console.field.wrong", "why", text)
		}
		c.show(http.StatusUnprocessableEntity, page)
		return
	case errors.Is(err, mfa.ErrName):
		page.wrong(&fieldError{"name", c.T("console.invite.wrong")})
		c.show(http.StatusUnprocessableEntity, page)
		return
	}
	c.refuse(page, err)
}

// removing asks before an organization goes. It has answered where it reports false.
func (c *console) removing() (formPage, *mfa.Organization, bool) {
	o, err := c.admin.Organization(mfa.OrganizationID(c.query.Get(paramID)))
	if err != nil {
		c.failed(err)
		return formPage{}, nil, false
	}
	page := formPage{
		frame: c.frame(c.T("console.organization.remove", "name", o.Title())), Danger: true, Submit: c.T("remove.submit"),
		Cancel: c.link("admin/organization", paramID, string(o.ID)),
		Text:   []string{c.T("console.organization.remove.text"), c.T("console.organization.remove.next")},
	}
	if c.may(mfa.ReadUsers) {
		if cov, err := c.admin.Coverage(c.r.Context(), o.ID); err == nil {
			page.Text = append([]string{c.T("console.organization.remove.members", "n", fmt.Sprint(cov.Users))}, page.Text...)
		}
	}
	return page, o, true
}

func (p *Pages) serveRemoveOrganization(c *console) {
	if page, _, ok := c.removing(); ok {
		c.show(http.StatusOK, page)
	}
}

func (p *Pages) postRemoveOrganization(c *console) {
	page, o, ok := c.removing()
	if !ok {
		return
	}
	if err := c.admin.RemoveOrganization(c.r.Context(), o.ID); err != nil {
		c.refuse(page, err)
		return
	}
	c.done("removed", "admin/organizations")
}
