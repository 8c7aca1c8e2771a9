package api

import (
	"errors"
	"net/url"
	"time"

	"github.com/secondgate/secondgate/mfa"
)

// The documents about users. What proves who somebody is is in none of them (AC-225).
type (
	// personDocument is one user. The members behind Detail are read only with one user,
	// not in a list.
	personDocument struct {
		ID            mfa.UserID           `json:"id"`
		Name          string               `json:"name"`
		DisplayName   string               `json:"display_name,omitempty"`
		Email         string               `json:"email,omitempty"`
		EmailVerified bool                 `json:"email_verified"`
		Phone         string               `json:"phone,omitempty"`
		PhoneVerified bool                 `json:"phone_verified"`
		Groups        []string             `json:"groups"`
		Organizations []mfa.OrganizationID `json:"organizations"`
		Source        string               `json:"source,omitempty"`
		Role          string               `json:"role"`
		AdminOf       []mfa.OrganizationID `json:"admin_of"`
		Disabled      bool                 `json:"disabled"`
		Locked        bool                 `json:"locked"`
		Invited       bool                 `json:"invited"`
		OptedOut      bool                 `json:"opted_out"`
		Skipped       bool                 `json:"skipped"`
		Created       *time.Time           `json:"created,omitempty"`
		LastSignIn    *time.Time           `json:"last_sign_in,omitempty"`
		LastHost      string               `json:"last_host,omitempty"`
		Factors       []heldDocument       `json:"factors"`
		Detail        *detailDocument      `json:"detail,omitempty"`
	}
	detailDocument struct {
		BySource            []mfa.OrganizationID `json:"organizations_by_source"`
		ByAddress           []mfa.OrganizationID `json:"organizations_by_address"`
		Sessions            int                  `json:"sessions"`
		Remembered          int                  `json:"remembered_devices"`
		Enrollment          string               `json:"enrollment"`
		PasswordLocked      bool                 `json:"password_locked"`
		PasswordLockedUntil *time.Time           `json:"password_locked_until,omitempty"`
	}
	heldDocument struct {
		ID          mfa.CredentialID `json:"id"`
		Factor      mfa.Kind         `json:"factor"`
		Name        string           `json:"name,omitempty"`
		Added       *time.Time       `json:"added,omitempty"`
		LastUsed    *time.Time       `json:"last_used,omitempty"`
		Left        int              `json:"left,omitempty"`
		Host        string           `json:"host,omitempty"`
		Locked      bool             `json:"locked"`
		LockedUntil *time.Time       `json:"locked_until,omitempty"`
	}
	peopleDocument struct {
		Users []personDocument `json:"users"`
		Next  string           `json:"next,omitempty"`
	}
)

func personOf(u *mfa.UserInfo) personDocument {
	d := personDocument{
		ID: u.ID, Name: u.Name, DisplayName: u.DisplayName, Email: u.Email, EmailVerified: u.Verified,
		Phone: u.Phone, PhoneVerified: u.PhoneVerified, Groups: append([]string{}, u.Groups...),
		Organizations: append([]mfa.OrganizationID{}, u.Organizations...), Source: u.Source, Role: roleOf(u),
		AdminOf: append([]mfa.OrganizationID{}, u.AdminOf...), Disabled: u.Disabled, Locked: u.Locked, Invited: u.Invited,
		OptedOut: u.OptedOut, Skipped: u.Skipped, Created: stamp(u.Created), LastSignIn: stamp(u.LastSignIn), LastHost: u.LastHost,
		Factors: []heldDocument{},
	}
	for _, f := range u.Factors {
		d.Factors = append(d.Factors, heldDocument{
			ID: f.ID, Factor: f.Kind, Name: f.Name, Added: stamp(f.Created), LastUsed: stamp(f.LastUsed), Left: f.Left,
			Host: f.Host, Locked: f.Locked, LockedUntil: stamp(f.LockedUntil),
		})
	}
	return d
}

func wholePersonOf(u *mfa.UserInfo) personDocument {
	d := personOf(u)
	d.Detail = &detailDocument{
		BySource: append([]mfa.OrganizationID{}, u.BySource...), ByAddress: append([]mfa.OrganizationID{}, u.ByAddress...), Sessions: u.Sessions, Remembered: u.Remembered,
		Enrollment: enrollmentWord(u.Enrollment), PasswordLocked: u.PasswordLocked, PasswordLockedUntil: stamp(u.PasswordLockedUntil),
	}
	return d
}

func roleOf(u *mfa.UserInfo) string {
	switch {
	case u.Admin:
		return string(mfa.RoleAdmin)
	case u.Auditor:
		return string(mfa.RoleAuditor)
	}
	return roleNone
}

// enrollmentWord says what a first factor needs beside the password (rule B17).
func enrollmentWord(e mfa.Enrollment) string {
	switch {
	case e.Open:
		return "open"
	case e.Confirm:
		return "confirm"
	}
	return "pass"
}

func peopleOf(list []mfa.UserInfo, next string) peopleDocument {
	d := peopleDocument{Users: []personDocument{}, Next: next}
	for i := range list {
		d.Users = append(d.Users, personOf(&list[i]))
	}
	return d
}

// holdsNone is the factor of those who have none.
const holdsNone mfa.Kind = "none"

// facets are what "is" may ask for.
var facets = []mfa.Facet{mfa.FacetDisabled, mfa.FacetSkipped, mfa.FacetOptedOut, mfa.FacetLocked, mfa.FacetNewcomer, mfa.FacetRole}

func listUsers(c *call) (any, error) {
	q, err := c.query("name", "search", "factor", "organization", "is", "enabled", paramCursor, paramLimit)
	if err != nil {
		return nil, err
	}
	if q.Has("name") {
		return c.usersNamed(q)
	}
	f, err := filterOf(q)
	if err != nil {
		return nil, err
	}
	f.Organization = mfa.OrganizationID(q.Get("organization"))
	return c.users(q, f)
}

func filterOf(q url.Values) (f mfa.UserFilter, err error) {
	f.Search = q.Get("search")
	kind, err := oneOf(q, "factor", mfa.Passkey, mfa.TOTP, mfa.SMS, mfa.Email, mfa.BackupCode, holdsNone)
	if err != nil {
		return f, err
	}
	if f.NoFactor = kind == holdsNone; !f.NoFactor {
		f.Factor = kind
	}
	if f.Facet, err = oneOf(q, "is", facets...); err != nil {
		return f, err
	}
	f.Enabled, err = flag(q, "enabled")
	return f, err
}

func (c *call) users(q url.Values, f mfa.UserFilter) (any, error) {
	cursor, limit, err := pageOf(q)
	if err != nil {
		return nil, err
	}
	page, next, err := c.admin.Users(c.r.Context(), f, cursor, limit)
	if err != nil {
		return nil, c.adminError(err)
	}
	return peopleOf(page, next), nil
}

// usersNamed is the list of the one user of that very name, or of nobody.
func (c *call) usersNamed(q url.Values) (any, error) {
	for name := range q {
		if name != "name" && name != paramFor {
			return nil, &paramError{plainName(name)} // it would narrow nothing
		}
	}
	u, err := c.admin.Find(c.r.Context(), q.Get("name"))
	switch {
	case errors.Is(err, mfa.ErrNotFound):
		return peopleOf(nil, ""), nil
	case err != nil:
		return nil, c.adminError(err)
	}
	return peopleDocument{Users: []personDocument{wholePersonOf(u)}}, nil
}

// person is the user of the path.
func (c *call) person() mfa.UserID { return mfa.UserID(c.name("user")) }

func readUser(c *call) (any, error) {
	if _, err := c.query(); err != nil {
		return nil, err
	}
	return c.show(c.person())
}

// show answers with the user as they are now.
func (c *call) show(id mfa.UserID) (any, error) {
	u, err := c.admin.User(c.r.Context(), id)
	if err != nil {
		return nil, c.adminError(err)
	}
	return wholePersonOf(u), nil
}

func listSessions(c *call) (any, error) {
	if _, err := c.query(); err != nil {
		return nil, err
	}
	list, err := c.admin.Sessions(c.r.Context(), c.person())
	if err != nil {
		return nil, c.adminError(err)
	}
	d := sessionsDocument{Sessions: []sessionDocument{}}
	for _, s := range list {
		d.Sessions = append(d.Sessions, sessionDocument{
			ID: s.Handle, Host: s.Host, Agent: s.Agent, Network: s.Network, Created: stamp(s.Created), LastSeen: stamp(s.LastSeen),
		})
	}
	return d, nil
}

func listActivity(c *call) (any, error) {
	q, err := c.query(paramCursor, paramLimit)
	if err != nil {
		return nil, err
	}
	cursor, limit, err := pageOf(q)
	if err != nil {
		return nil, err
	}
	page, next, err := c.admin.Activity(c.r.Context(), c.person(), cursor, limit)
	if err != nil {
		return nil, c.adminError(err)
	}
	return eventsDocument{append([]mfa.Event{}, page...), next}, nil
}
