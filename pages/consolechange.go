package pages

import (
	"context"
	"errors"
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/secondgate/secondgate/mfa"
)

// userChange is one thing that administrators do to a user: how the page asks, and what is
// done when it was answered.
type userChange struct {
	title, submit string   // keys of the words
	text          []string // what is lost, and what happens next
	danger        bool
	fields        func(c *console, u *mfa.UserInfo) []field
	// name is what the words call {what}.
	name func(c *console, u *mfa.UserInfo) string
	// do changes it. done names the words for it; a page is shown in its place where there
	// is a secret to show.
	do func(ctx context.Context, c *console, u *mfa.UserInfo) (done string, secret *secretPage, err error)
}

// errGone says that what was to be changed is not there any more.
var errGone = errors.New("not there any more")

// plainly is the do of a change without a secret.
func plainly(done string, do func(ctx context.Context, c *console, id mfa.UserID) error) func(context.Context, *console, *mfa.UserInfo) (string, *secretPage, error) {
	return func(ctx context.Context, c *console, u *mfa.UserInfo) (string, *secretPage, error) {
		return done, nil, do(ctx, c, u.ID)
	}
}

// userChanges are all of them, by paramDo.
var userChanges = map[string]userChange{
	"remove-factor": {
		title: "console.remove_factor.title", submit: "remove.submit", text: []string{"console.remove_factor.text", "console.remove_factor.next"}, danger: true,
		name: func(c *console, u *mfa.UserInfo) string {
			i := slices.IndexFunc(u.Factors, func(f mfa.FactorInfo) bool { return string(f.ID) == c.query.Get(paramWhat) })
			if i < 0 {
				return ""
			}
			return c.factorName(u.Factors[i])
		},
		do: plainly("factor", func(ctx context.Context, c *console, id mfa.UserID) error {
			return c.admin.RemoveFactor(ctx, id, mfa.CredentialID(c.query.Get(paramWhat)))
		}),
	},
	"remove-factors": {
		title: "console.remove_factors.title", submit: "console.remove_factors.submit", text: []string{"console.remove_factors.text", "console.remove_factor.next"}, danger: true,
		name: func(c *console, u *mfa.UserInfo) string {
			var names []string
			for _, f := range u.Factors {
				names = append(names, c.factorName(f))
			}
			return strings.Join(names, ", ")
		},
		do: plainly("factors", func(ctx context.Context, c *console, id mfa.UserID) error { return c.admin.RemoveFactors(ctx, id, "") }),
	},
	"pass": {
		title: "console.pass.title", submit: "console.pass.submit", text: []string{"console.pass.text"},
		fields: func(c *console, _ *mfa.UserInfo) []field { return []field{c.lifeField()} },
		do: func(ctx context.Context, c *console, u *mfa.UserInfo) (string, *secretPage, error) {
			pass, expires, err := c.admin.EnrollmentPass(ctx, u.ID, c.life())
			if err != nil {
				return "", nil, err
			}
			return "", &secretPage{
				frame: c.frame(c.T("console.pass.made")), Secret: pass,
				Text: []string{c.T("console.pass.for", "person", personName(u.DisplayName, u.Name), "time", c.moment(expires))},
				More: []string{c.T("console.pass.how"), c.T("console.hand_over")},
			}, nil
		},
	},
	"bypass": {
		title: "console.bypass.title", submit: "console.bypass.submit", text: []string{"console.bypass.text", "console.bypass.next"},
		fields: func(c *console, _ *mfa.UserInfo) []field {
			return []field{{Kind: "text", Name: "why", Label: c.T("console.bypass.why"), Hint: c.T("console.bypass.why.hint"), Value: c.form("why"), Max: 200}, c.lifeField()}
		},
		do: func(ctx context.Context, c *console, u *mfa.UserInfo) (string, *secretPage, error) {
			why := strings.TrimSpace(c.form("why"))
			if why == "" || len(why) > 400 {
				return "", nil, &fieldError{"why", c.T("console.bypass.why.missing")}
			}
			code, expires, err := c.admin.Bypass(ctx, u.ID, c.life(), why)
			if err != nil {
				return "", nil, err
			}
			return "", &secretPage{
				frame: c.frame(c.T("console.bypass.made")), Secret: code,
				Text: []string{c.T("console.bypass.for", "person", personName(u.DisplayName, u.Name), "time", c.moment(expires))},
				More: []string{c.T("console.bypass.how"), c.T("console.hand_over")},
			}, nil
		},
	},
	"unlock": {
		title: "console.unlock.title", submit: "console.do.unlock", text: []string{"console.unlock.text"},
		do: plainly("unlock", func(ctx context.Context, c *console, id mfa.UserID) error { return c.admin.Unlock(ctx, id) }),
	},
	"reset-skip": {
		title: "console.reset_skip.title", submit: "console.do.reset_skip", text: []string{"console.reset_skip.text"},
		do: plainly("skip", func(ctx context.Context, c *console, id mfa.UserID) error { return c.admin.ResetSkip(ctx, id) }),
	},
	"disable": {
		title: "console.disable.title", submit: "console.do.disable", text: []string{"console.disable.text", "console.disable.next"}, danger: true,
		do: plainly("disable", func(ctx context.Context, c *console, id mfa.UserID) error { return c.admin.SetDisabled(ctx, id, true) }),
	},
	"enable": {
		title: "console.enable.title", submit: "console.do.enable", text: []string{"console.enable.text"},
		do: plainly("enable", func(ctx context.Context, c *console, id mfa.UserID) error { return c.admin.SetDisabled(ctx, id, false) }),
	},
	"end-session": {
		title: "console.end_session.title", submit: "console.end_session.submit", text: []string{"console.end_session.text"}, danger: true,
		do: plainly("session", func(ctx context.Context, c *console, id mfa.UserID) error {
			if c.query.Get(paramWhat) == "" {
				return errGone // "" would end them all
			}
			return c.admin.EndSessions(ctx, id, c.query.Get(paramWhat))
		}),
	},
	"end-sessions": {
		title: "console.end_sessions.title", submit: "console.do.end_sessions", text: []string{"console.end_sessions.text"}, danger: true,
		do: plainly("sessions", func(ctx context.Context, c *console, id mfa.UserID) error { return c.admin.EndSessions(ctx, id, "") }),
	},
	"revoke-token": {
		title: "console.token.title", submit: "tokens.revoke", text: []string{"console.token.text"}, danger: true,
		do: plainly("token", func(ctx context.Context, c *console, id mfa.UserID) error {
			if c.query.Get(paramWhat) == "" {
				return errGone // "" would end them all
			}
			return c.admin.RevokeAppToken(ctx, id, c.query.Get(paramWhat))
		}),
	},
	"password": {
		title: "console.password.title", submit: "console.password.submit", text: []string{"console.password.text"},
		fields: func(c *console, _ *mfa.UserInfo) []field { return c.appField() },
		do: func(ctx context.Context, c *console, u *mfa.UserInfo) (string, *secretPage, error) {
			token, err := c.admin.ResetPassword(ctx, u.ID)
			if err != nil {
				return "", nil, err
			}
			return "", c.linkPage(c.T("console.password.made"), token, c.T("console.password.for", "person", personName(u.DisplayName, u.Name))), nil
		},
	},
	"roles": {
		title: "console.roles.title", submit: "save", text: []string{"console.roles.text"},
		fields: func(c *console, u *mfa.UserInfo) []field { return c.roleFields(u) },
		do: plainly("roles", func(ctx context.Context, c *console, id mfa.UserID) error {
			role, of, err := c.roles()
			if err != nil {
				return err
			}
			return c.admin.SetRole(ctx, id, role, of)
		}),
	},
	"join": {
		title: "console.join.title", submit: "console.join.submit", text: []string{"console.join.text"},
		fields: func(c *console, _ *mfa.UserInfo) []field {
			return []field{c.organizationField("organization", c.T("console.column.organization"))}
		},
		do: plainly("join", func(ctx context.Context, c *console, id mfa.UserID) error {
			of, err := mfa.ParseOrganizationID(c.form("organization"))
			if err != nil {
				return &fieldError{"organization", c.T("console.join.which")}
			}
			return c.admin.SetMember(ctx, id, of, true)
		}),
	},
	"leave": {
		title: "console.leave.title", submit: "account.remove", text: []string{"console.leave.text"}, danger: true,
		name: func(c *console, u *mfa.UserInfo) string {
			of := mfa.OrganizationID(c.query.Get(paramWhat))
			if !slices.Contains(u.Organizations, of) {
				return ""
			}
			return string(of)
		},
		do: plainly("leave", func(ctx context.Context, c *console, id mfa.UserID) error {
			return c.admin.SetMember(ctx, id, mfa.OrganizationID(c.query.Get(paramWhat)), false)
		}),
	},
}

// fieldError says what is wrong with a field, in the words of the page.
type fieldError struct{ field, text string }

func (e *fieldError) Error() string { return e.field + ": " + e.text }

// changing returns the change that is asked for, and the page that asks. It has answered
// where it reports false.
func (c *console) changing() (*mfa.UserInfo, userChange, formPage, bool) {
	do, known := userChanges[c.query.Get(paramDo)]
	if !known {
		c.missing()
		return nil, do, formPage{}, false
	}
	u, err := c.admin.User(c.r.Context(), mfa.UserID(c.query.Get(paramID)))
	if err != nil {
		c.failed(err)
		return nil, do, formPage{}, false
	}
	person, what := personName(u.DisplayName, u.Name), ""
	if do.name != nil {
		if what = do.name(c, u); what == "" {
			// Another tab did it; the page of the user shows what is.
			c.redirect(c.userAddress(u.ID))
			return nil, do, formPage{}, false
		}
	}
	page := formPage{
		frame: c.frame(c.T(do.title, "person", person, "what", what)), Submit: c.T(do.submit), Danger: do.danger,
		Cancel: c.userAddress(u.ID),
	}
	for _, key := range do.text {
		page.Text = append(page.Text, c.T(key, "person", person, "what", what))
	}
	if removes := do.submit == "remove.submit" || do.submit == "console.remove_factors.submit"; removes && !u.Enrollment.Open {
		page.Text = append(page.Text, c.T("console.remove_factor.closed", "person", person))
	}
	if do.fields != nil {
		page.Fields = do.fields(c, u)
	}
	return u, do, page, true
}

func (p *Pages) serveChange(c *console) {
	if _, _, page, ok := c.changing(); ok {
		c.show(http.StatusOK, page)
	}
}

func (p *Pages) postChange(c *console) {
	u, change, page, ok := c.changing()
	if !ok {
		return
	}
	done, secret, err := change.do(c.r.Context(), c, u)
	var wrong *fieldError
	switch {
	case errors.As(err, &wrong):
		page.wrong(wrong)
		c.show(http.StatusUnprocessableEntity, page)
	case errors.Is(err, errGone):
		c.redirect(c.userAddress(u.ID))
	case err != nil:
		c.refuse(page, err)
	case secret != nil:
		secret.Back, secret.Label = c.userAddress(u.ID), c.T("console.back.user")
		c.reveal(*secret)
	default:
		if c.may(mfa.ReadUsers) && change.title == "console.leave.title" && c.who.Actor.Organization != "" {
			c.done(done, consoleHome) // whoever left is not seen any more
			return
		}
		c.done(done, "admin/user", paramID, string(u.ID))
	}
}

// wrong puts an error by its field.
func (p *formPage) wrong(e *fieldError) {
	for i := range p.Fields {
		if p.Fields[i].Name == e.field {
			p.Fields[i].Error = e.text
			return
		}
	}
	p.Error = e.text
}

// answers reports whether refusal has words for the error.
func answers(err error) bool {
	for _, known := range []error{mfa.ErrRole, mfa.ErrSelf, mfa.ErrLastAdministrator, mfa.ErrLimit, mfa.ErrNotAllowed} {
		if errors.Is(err, known) {
			return true
		}
	}
	return false
}

// lives are how long a pass or a bypass may be good.
var lives = []time.Duration{time.Hour, 4 * time.Hour, mfa.PassLife, 3 * 24 * time.Hour, mfa.MaxPassLife}

func (c *console) lifeField() field {
	f := field{Kind: "select", Name: "life", Label: c.T("console.life")}
	chosen := c.life()
	for _, d := range lives {
		f.Options = append(f.Options, option{Value: d.String(), Label: c.duration(d), Selected: d == chosen})
	}
	return f
}

// life reads how long it is to be good; what is none of the offers is the usual time.
func (c *console) life() time.Duration {
	for _, d := range lives {
		if c.form("life") == d.String() {
			return d
		}
	}
	return mfa.PassLife
}

// organizationField offers the organizations that there are, or takes the name of one.
func (c *console) organizationField(name, label string) field {
	f := field{Kind: "select", Name: name, Label: label, Options: c.organizationOptions(mfa.OrganizationID(c.form(name)))}
	if len(f.Options) == 0 || len(f.Options) >= mostOptions {
		f.Kind, f.Options, f.Value, f.Max = "text", nil, c.form(name), 63
	}
	return f
}

// The values of the field for a role.
const roleNone = "none"

func (c *console) roleFields(u *mfa.UserInfo) []field {
	role, of := roleNone, organizationList(u.AdminOf)
	switch {
	case u.Admin:
		role = string(mfa.RoleAdmin)
	case u.Auditor:
		role = string(mfa.RoleAuditor)
	}
	if c.r.Method == http.MethodPost {
		role, of = c.form("role"), c.form("admin_of")
	}
	return []field{
		{Kind: "choice", Name: "role", Label: c.T("console.roles.role"), Options: []option{
			{roleNone, c.T("console.roles.none"), "", role == roleNone},
			{string(mfa.RoleAuditor), c.T("console.role.auditor"), c.T("console.roles.auditor.what"), role == string(mfa.RoleAuditor)},
			{string(mfa.RoleAdmin), c.T("console.role.admin"), c.T("console.roles.admin.what"), role == string(mfa.RoleAdmin)},
		}},
		{Kind: "text", Name: "admin_of", Label: c.T("console.roles.of"), Hint: c.T("console.roles.of.hint"), Value: of, Max: 400},
	}
}

// roles reads the fields of roleFields.
func (c *console) roles() (mfa.Role, []mfa.OrganizationID, error) {
	role := mfa.Role(c.form("role"))
	switch c.form("role") {
	case roleNone:
		role = mfa.RoleNone
	case string(mfa.RoleAdmin), string(mfa.RoleAuditor):
	default:
		// Nothing chosen must not take a role away.
		return "", nil, &fieldError{"role", c.T("console.roles.which")}
	}
	of, err := c.readOrganizations("admin_of")
	return role, of, err
}

// readOrganizations reads a field with names of organizations, and looks whether there are
// such.
func (c *console) readOrganizations(name string) ([]mfa.OrganizationID, error) {
	list := []mfa.OrganizationID{}
	for _, word := range strings.FieldsFunc(c.form(name), func(r rune) bool { return r == ' ' || r == ',' }) {
		of, err := mfa.ParseOrganizationID(word)
		if err == nil {
			_, err = c.admin.Organization(of)
		}
		switch {
		case err == nil:
			list = append(list, of)
		case errors.Is(err, mfa.ErrNotAllowed):
			return nil, err
		default:
			return nil, &fieldError{name, c.T("console.organization.unknown", "name", word)}
		}
	}
	return list, nil
}

func organizationList(ids []mfa.OrganizationID) string {
	var list []string
	for _, id := range ids {
		list = append(list, string(id))
	}
	return strings.Join(list, ", ")
}

// origins are the addresses that a link may begin with.
func (c *console) origins() []string {
	if c.p.apps != nil {
		if list := c.p.apps(); len(list) > 0 {
			return list
		}
	}
	return []string{c.at.Origin}
}

// appField asks for which app a link is, where there are several.
func (c *console) appField() []field {
	list := c.origins()
	if len(list) < 2 {
		return nil
	}
	f := field{Kind: "select", Name: "app", Label: c.T("console.link.app"), Hint: c.T("console.link.app.hint")}
	for _, origin := range list[:min(len(list), mostOptions)] {
		f.Options = append(f.Options, option{Value: origin, Label: origin, Selected: c.form("app") == origin})
	}
	return []field{f}
}

// linkPage shows a link. Its secret stands in the fragment, which no server sees, and the
// link begins with an address of ours whatever the form said.
func (c *console) linkPage(heading, token, text string) *secretPage {
	list := c.origins()
	origin := list[0]
	if chosen := c.form("app"); slices.Contains(list, chosen) {
		origin = chosen
	}
	return &secretPage{
		frame: c.frame(heading), Secret: origin + Root + "link#" + token, Link: true, Text: []string{text},
		More: []string{c.T("console.link.how", "time", c.duration(mfa.InvitationLife)), c.T("console.hand_over")},
	}
}
