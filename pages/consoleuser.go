package pages

import (
	"net/http"
	"slices"
	"strings"

	"github.com/secondgate/secondgate/mfa"
)

// userPage is one user.
type userPage struct {
	frame
	Tags  []tag
	Facts []fact
	Note  string // why nothing can be changed here; "": it can
	Help  []rowAction
	Grave []rowAction

	Factors, Sessions, Organizations, Activity grid
	Tokens                                     *grid // app tokens; nil: none
	RemoveAll, EndAll, Join                    string
	Users                                      string // back to the list
}

// fact is one thing that is known of a user.
type fact struct {
	Label, Text string
	Tags        []tag
}

// activitySize is how many events the page of a user has.
const activitySize = 15

func (p *Pages) serveUser(c *console) {
	ctx, id, after := c.r.Context(), mfa.UserID(c.query.Get(paramID)), c.query.Get(paramAfter)
	u, err := c.admin.User(ctx, id)
	if err != nil {
		c.failed(err)
		return
	}
	sessions, err := c.admin.Sessions(ctx, id)
	if err != nil {
		c.failed(err)
		return
	}
	events, next, err := c.admin.Activity(ctx, id, after, activitySize)
	if err != nil {
		c.failed(err)
		return
	}
	page := userPage{frame: c.frame(personName(u.DisplayName, u.Name)), Tags: c.userTags(u), Facts: c.facts(u), Users: c.link(consoleHome)}
	open := c.mayChange(u, &page)
	page.Factors = c.factorGrid(u, open)
	page.Sessions = c.sessionGrid(u, sessions, c.may(mfa.ChangeUsers) && page.Note != c.T("console.refused.role"))
	page.Organizations = c.memberGrid(u)
	if open && len(u.Factors) > 0 {
		page.RemoveAll = c.change(u.ID, "remove-factors", "")
	}
	if u.AppTokens > 0 {
		tokens, err := c.admin.AppTokens(ctx, id)
		if err != nil {
			c.failed(err)
			return
		}
		g := c.tokenGrid(u, tokens, len(page.Sessions.Columns) > 3)
		page.Tokens = &g
	}
	if len(page.Sessions.Rows) > 0 && len(page.Sessions.Columns) > 3 {
		page.EndAll = c.change(u.ID, "end-sessions", "")
	}
	if c.may(mfa.ChangeOrganizations) {
		page.Join = c.change(u.ID, "join", "")
	}
	page.Activity = c.eventGrid(events, false)
	page.Activity.ID, page.Activity.Caption, page.Activity.Empty = "activity", c.T("console.activity"), c.T("console.activity.empty")
	page.Activity.pages(c, "admin/user", after, next, paramID, string(u.ID))
	c.render(http.StatusOK, "console_user", page)
}

// change is the address of the page that asks before something of a user is changed.
func (c *console) change(id mfa.UserID, do, what string) string {
	return c.link("admin/user/change", paramID, string(id), paramDo, do, paramWhat, what)
}

// mayChange reports whether the person may change this user, and offers what can be done.
// The core decides when it is done; this only shows nobody what would be refused.
func (c *console) mayChange(u *mfa.UserInfo, page *userPage) bool {
	own := c.who.Actor.User == u.ID
	role := u.Admin || u.Auditor || len(u.AdminOf) > 0
	switch {
	case !c.may(mfa.ChangeUsers):
		page.Note = c.T("console.note.read")
		return false
	case own:
		page.Note = c.T("console.refused.self")
		return false
	case role && !c.may(mfa.ManageRoles), u.Beyond:
		page.Note = c.T("console.refused.role")
		return false
	}
	do := func(name, label string, danger bool) {
		a := c.rowAction(label, personName(u.DisplayName, u.Name), c.change(u.ID, name, ""), danger)
		if danger {
			page.Grave = append(page.Grave, a)
			return
		}
		page.Help = append(page.Help, a)
	}
	do("pass", c.T("console.do.pass"), false)
	do("bypass", c.T("console.do.bypass"), false)
	if u.Locked || u.PasswordLocked || slices.ContainsFunc(u.Factors, func(f mfa.FactorInfo) bool { return f.Locked || !f.LockedUntil.IsZero() }) || !u.PasswordLockedUntil.IsZero() {
		do("unlock", c.T("console.do.unlock"), false)
	}
	if u.Skipped {
		do("reset-skip", c.T("console.do.reset_skip"), false)
	}
	if c.who.Actor.Organization == "" && !u.Invited && u.Source == mfa.LocalSource {
		do("password", c.T("console.do.password"), false)
	}
	if u.Invited {
		page.Help = append(page.Help, c.rowAction(c.T("console.do.invite"), u.Name, c.link("admin/invite", paramID, string(u.ID)), false))
	}
	if c.may(mfa.ManageRoles) {
		do("roles", c.T("console.do.roles"), false)
	}
	if u.Disabled {
		do("enable", c.T("console.do.enable"), false)
	} else {
		do("disable", c.T("console.do.disable"), true)
	}
	return true
}

func (c *console) facts(u *mfa.UserInfo) []fact {
	var list []fact
	add := func(label, text string, tags ...tag) {
		if text != "" || len(tags) > 0 {
			list = append(list, fact{label, text, tags})
		}
	}
	proven := func(address string, yes bool) []tag {
		switch {
		case address == "":
			return nil
		case yes:
			return []tag{{c.T("console.confirmed"), "good"}}
		}
		return []tag{{c.T("console.unconfirmed"), ""}}
	}
	add(c.T("console.fact.name"), u.Name)
	if u.Source != mfa.LocalSource && u.Source != "" {
		add(c.T("console.fact.source"), c.sourceNamed(u.Source))
	}
	add(c.T("console.fact.email"), u.Email, proven(u.Email, u.Verified)...)
	add(c.T("console.fact.phone"), u.Phone, proven(u.Phone, u.PhoneVerified)...)
	add(c.T("console.fact.groups"), strings.Join(u.Groups, ", "))
	add(c.T("console.fact.roles"), c.rolesText(u))
	add(c.T("console.fact.created"), c.day(u.Created))
	seen := c.T("console.never")
	if !u.LastSignIn.IsZero() {
		if seen = c.since(u.LastSignIn); u.LastHost != "" {
			seen += " · " + u.LastHost
		}
	}
	add(c.T("console.fact.seen"), seen)
	if u.Remembered > 0 {
		add(c.T("console.fact.remembered"), c.words.count("console.browsers", u.Remembered))
	}
	switch {
	case !u.PasswordLockedUntil.IsZero():
		add(c.T("console.fact.password"), "", tag{c.T("console.locked.until", "time", c.moment(u.PasswordLockedUntil)), "bad"})
	case u.PasswordLocked:
		add(c.T("console.fact.password"), "", tag{c.T("console.locked"), "bad"})
	}
	return list
}

func (c *console) rolesText(u *mfa.UserInfo) string {
	var list []string
	if u.Admin {
		list = append(list, c.T("console.role.admin"))
	}
	if u.Auditor {
		list = append(list, c.T("console.role.auditor"))
	}
	for _, of := range u.AdminOf {
		list = append(list, c.T("console.role.organization", "organization", string(of)))
	}
	return strings.Join(list, ", ")
}

// factorName calls a factor by the name that its user gave it.
func (v *visit) factorName(f mfa.FactorInfo) string {
	switch {
	case f.Name == "", f.Name == defaultAppName:
		return v.kind(f.Kind)
	case f.Kind == mfa.Passkey:
		return v.agent(f.Name)
	}
	return f.Name
}

func (c *console) factorGrid(u *mfa.UserInfo, open bool) grid {
	g := grid{ID: "factors", Caption: c.T("console.factors"), Empty: c.T("console.factors.empty"),
		Columns: []string{c.T("console.column.factor"), c.T("console.column.added"), c.T("console.column.used")}}
	if open {
		g.Columns = append(g.Columns, c.T("console.column.do"))
	}
	for _, f := range u.Factors {
		what := cell{Text: c.factorName(f)}
		if what.Text != c.kind(f.Kind) {
			what.Sub = c.kind(f.Kind)
		}
		switch {
		case f.Kind == mfa.BackupCode:
			what.Sub = c.words.count("codes.count", f.Left)
		case f.Host != "":
			what.Sub += " · " + f.Host
		}
		switch {
		case !f.LockedUntil.IsZero():
			what.Tags = []tag{{c.T("console.locked.until", "time", c.moment(f.LockedUntil)), "bad"}}
		case f.Locked:
			what.Tags = []tag{{c.T("console.locked"), "bad"}}
		}
		row := []cell{what, c.when(f.Created, c.T("console.never")), c.when(f.LastUsed, c.T("console.never"))}
		if open {
			row = append(row, cell{Actions: []rowAction{c.rowAction(c.T("account.remove"), what.Text, c.change(u.ID, "remove-factor", string(f.ID)), true)}})
		}
		g.Rows = append(g.Rows, gridRow{row})
	}
	return g
}

func (c *console) sessionGrid(u *mfa.UserInfo, list []mfa.SessionInfo, open bool) grid {
	g := grid{ID: "sessions", Caption: c.T("console.sessions"), Empty: c.T("console.sessions.empty"),
		Columns: []string{c.T("console.column.browser"), c.T("console.column.begun"), c.T("console.column.seen")}}
	if open {
		g.Columns = append(g.Columns, c.T("console.column.do"))
	}
	for _, s := range list {
		what := cell{Text: c.agent(s.Agent), Sub: s.Host}
		if s.Network != "" {
			what.Sub += " · " + s.Network
		}
		row := []cell{what, c.when(s.Created, ""), c.when(s.LastSeen, "")}
		if open {
			row = append(row, cell{Actions: []rowAction{c.rowAction(c.T("console.do.end_session"), what.Text, c.change(u.ID, "end-session", s.Handle), true)}})
		}
		g.Rows = append(g.Rows, gridRow{row})
	}
	return g
}

// tokenGrid lists the app tokens of a user.
func (c *console) tokenGrid(u *mfa.UserInfo, list []mfa.AppToken, open bool) grid {
	g := grid{ID: "tokens", Caption: c.T("tokens.title"),
		Columns: []string{c.T("console.column.name"), c.T("console.column.expires"), c.T("console.column.used")}}
	if open {
		g.Columns = append(g.Columns, c.T("console.column.do"))
	}
	for _, t := range list {
		what := cell{Text: t.Name, Sub: t.Host}
		if !c.p.now().Before(t.Expires) {
			what.Tags = []tag{{c.T("tokens.tag.over"), ""}}
		}
		row := []cell{what, c.when(t.Expires, ""), c.when(t.LastUsed, c.T("console.never"))}
		if open {
			row = append(row, cell{Actions: []rowAction{c.rowAction(c.T("tokens.revoke"), t.Name, c.change(u.ID, "revoke-token", t.ID), true)}})
		}
		g.Rows = append(g.Rows, gridRow{row})
	}
	return g
}

// memberGrid lists the organizations of a user.
func (c *console) memberGrid(u *mfa.UserInfo) grid {
	g := grid{ID: "organizations", Caption: c.T("console.organizations"), Empty: c.T("console.member.empty"),
		Columns: []string{c.T("console.column.organization"), c.T("console.column.how"), c.T("console.column.do")}}
	role := u.Admin || u.Auditor || len(u.AdminOf) > 0
	leave := func(of mfa.OrganizationID) bool {
		return c.may(mfa.ChangeOrganizations) || c.may(mfa.ChangeUsers) && c.who.Actor.Organization == of && !role
	}
	for _, of := range u.Organizations {
		if c.who.Actor.Organization != "" && of != c.who.Actor.Organization {
			continue // what else somebody is in is no matter of this one's
		}
		row := []cell{{Text: string(of), Href: c.link("admin/organization", paramID, string(of))}, {Text: c.T("console.member.by_hand")}, {}}
		if leave(of) {
			row[2].Actions = []rowAction{c.rowAction(c.T("account.remove"), string(of), c.change(u.ID, "leave", string(of)), true)}
		}
		g.Rows = append(g.Rows, gridRow{row})
	}
	for _, of := range u.BySource {
		g.Rows = append(g.Rows, gridRow{[]cell{{Text: string(of), Href: c.link("admin/organization", paramID, string(of))}, {Text: c.T("console.member.by_source", "source", u.Source)}, {}}})
	}
	for _, of := range u.ByAddress {
		if c.who.Actor.Organization != "" && of != c.who.Actor.Organization {
			continue
		}
		g.Rows = append(g.Rows, gridRow{[]cell{{Text: string(of), Href: c.link("admin/organization", paramID, string(of))}, {Text: c.T("console.member.by_address")}, {}}})
	}
	return g
}
