package pages

import (
	"errors"
	"net/http"
	"strings"

	"github.com/secondgate/secondgate/mfa"
)

// inviteForm is the page that asks whom to invite. u is somebody who was invited and
// never came, or nil.
func (c *console) inviteForm(u *mfa.UserInfo) formPage {
	page := formPage{frame: c.frame(c.T("console.invite.title")), Text: []string{c.T("console.invite.text")}, Submit: c.T("console.invite.submit"), Cancel: c.link(consoleHome)}
	value := func(name, known string) string {
		if c.r.Method == http.MethodPost {
			return c.form(name)
		}
		return known
	}
	if u == nil {
		u = new(mfa.UserInfo)
	}
	page.Fields = []field{
		{Kind: "text", Name: "name", Label: c.T("console.invite.name"), Hint: c.T("console.invite.name.hint"), Value: value("name", u.Name), Max: 64},
		{Kind: "text", Name: "display", Label: c.T("console.invite.display"), Value: value("display", u.DisplayName), Max: 64},
		{Kind: "text", Name: "email", Label: c.T("console.invite.email"), Hint: c.T("console.invite.email.hint"), Value: value("email", u.Email), Max: 254},
	}
	if c.who.Actor.Organization == "" {
		page.Fields = append(page.Fields,
			field{Kind: "text", Name: "groups", Label: c.T("console.invite.groups"), Hint: c.T("console.invite.groups.hint"), Value: value("groups", strings.Join(u.Groups, ", ")), Max: 400},
			field{Kind: "text", Name: "organizations", Label: c.T("console.invite.organizations"), Hint: c.T("console.roles.of.hint"), Value: value("organizations", organizationList(u.Organizations)), Max: 400})
	}
	if c.may(mfa.ManageRoles) {
		page.Fields = append(page.Fields, c.roleFields(u)...)
	}
	page.Fields = append(page.Fields, c.appField()...)
	return page
}

func (p *Pages) serveInvite(c *console) {
	var u *mfa.UserInfo
	if id := c.query.Get(paramID); id != "" {
		var err error
		if u, err = c.admin.User(c.r.Context(), mfa.UserID(id)); err != nil {
			c.failed(err)
			return
		}
	}
	c.show(http.StatusOK, c.inviteForm(u))
}

func (p *Pages) postInvite(c *console) {
	page := c.inviteForm(nil)
	in := mfa.InviteInput{Name: strings.TrimSpace(c.form("name")), DisplayName: c.form("display"), Email: c.form("email")}
	var err error
	if c.who.Actor.Organization == "" {
		for _, group := range strings.Split(c.form("groups"), ",") {
			if group = strings.TrimSpace(group); group != "" {
				in.Groups = append(in.Groups, group)
			}
		}
		in.Organizations, err = c.readOrganizations("organizations")
		if len(in.Organizations) == 0 {
			in.Organizations = nil // for somebody invited before, what was said then stays
		}
	}
	if err == nil && c.may(mfa.ManageRoles) {
		in.Role, in.AdminOf, err = c.roles()
		if len(in.AdminOf) == 0 {
			in.AdminOf = nil
		}
	}
	var token string
	var u *mfa.UserInfo
	if err == nil {
		token, u, err = c.admin.Invite(c.r.Context(), in)
	}
	var wrong *fieldError
	switch {
	case err == nil:
		secret := c.linkPage(c.T("console.invite.made"), token, c.T("console.invite.for", "person", personName(u.DisplayName, u.Name)))
		secret.Back, secret.Label = c.userAddress(u.ID), c.T("console.back.user")
		c.reveal(*secret)
		return
	case errors.As(err, &wrong):
		page.wrong(wrong)
	case errors.Is(err, mfa.ErrNameTaken):
		page.wrong(&fieldError{"name", c.T("console.invite.taken")})
	case errors.Is(err, mfa.ErrName):
		page.wrong(&fieldError{inviteField(err), c.T("console.invite.wrong")})
	default:
		c.refuse(page, err)
		return
	}
	c.show(http.StatusUnprocessableEntity, page)
}

// inviteField is the field that an error of Invite is about.
func inviteField(err error) string {
	for prefix, name := range map[string]string{"display name: ": "display", "e-mail address: ": "email", "group: ": "groups"} {
		if strings.HasPrefix(err.Error(), prefix) {
			return name
		}
	}
	return "name"
}
