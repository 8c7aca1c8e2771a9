package api

import (
	"time"

	"github.com/secondgate/secondgate/mfa"
)

type (
	organizationDocument struct {
		ID                mfa.OrganizationID `json:"id"`
		Name              string             `json:"name,omitempty"`
		Declared          bool               `json:"declared"`
		Require           bool               `json:"require"`
		Factors           []mfa.Kind         `json:"factors"`
		Fresh             string             `json:"fresh,omitempty"`
		PhishingResistant bool               `json:"phishing_resistant"`
		Enrollment        string             `json:"enrollment,omitempty"`
		ForbidRemembering bool               `json:"forbid_remembering"`
		Domains           []string           `json:"domains"`
		Created           *time.Time         `json:"created,omitempty"`
	}
	organizationsDocument struct {
		Organizations []organizationDocument `json:"organizations"`
	}
	// organizationChange is all of it: what is left out asks nothing.
	organizationChange struct {
		Name              string     `json:"name,omitempty"`
		Require           bool       `json:"require,omitempty"`
		Factors           []mfa.Kind `json:"factors,omitempty"`
		Fresh             string     `json:"fresh,omitempty"`
		PhishingResistant bool       `json:"phishing_resistant,omitempty"`
		Enrollment        string     `json:"enrollment,omitempty"`
		ForbidRemembering bool       `json:"forbid_remembering,omitempty"`
		Domains           []string   `json:"domains,omitempty"`
		Force             bool       `json:"force,omitempty"`
	}
)

func organizationOf(o *mfa.Organization) organizationDocument {
	s := mfa.SettingsOf(o)
	return organizationDocument{
		ID: o.ID, Name: s.Name, Declared: o.Declared, Require: s.Require, Factors: append([]mfa.Kind{}, s.Factors...), Fresh: s.Fresh,
		PhishingResistant: s.PhishingResistant, Enrollment: s.Enrollment, ForbidRemembering: s.ForbidRemembering,
		Domains: append([]string{}, s.Domains...), Created: stamp(o.Created),
	}
}

func listOrganizations(c *call) (any, error) {
	if _, err := c.query(); err != nil {
		return nil, err
	}
	list, err := c.admin.Organizations()
	if err != nil {
		return nil, c.adminError(err)
	}
	d := organizationsDocument{Organizations: []organizationDocument{}}
	for _, o := range list {
		d.Organizations = append(d.Organizations, organizationOf(o))
	}
	return d, nil
}

// organization is the one of the path.
func (c *call) organization() mfa.OrganizationID { return mfa.OrganizationID(c.name("id")) }

func readOrganization(c *call) (any, error) {
	if _, err := c.query(); err != nil {
		return nil, err
	}
	return c.showOrganization()
}

func (c *call) showOrganization() (any, error) {
	o, err := c.admin.Organization(c.organization())
	if err != nil {
		return nil, c.adminError(err)
	}
	return organizationOf(o), nil
}

func setOrganization(c *call) (any, error) {
	in, err := readOnly[organizationChange](c)
	if err != nil {
		return nil, err
	}
	settings := mfa.OrganizationSettings{
		Name: in.Name, Require: in.Require, Factors: in.Factors, Fresh: in.Fresh, PhishingResistant: in.PhishingResistant,
		Enrollment: in.Enrollment, ForbidRemembering: in.ForbidRemembering, Domains: in.Domains,
	}
	o, err := settings.Read(c.organization())
	if err != nil {
		return nil, c.adminError(err)
	}
	if err := c.configured(); err != nil {
		return nil, err
	}
	if err := c.admin.SetOrganization(c.r.Context(), *o, in.Force); err != nil {
		return nil, c.adminError(err)
	}
	return c.showOrganization()
}

// configured reports with nil that the configuration does not declare the organization,
// as far as the one who asks may know: the core asks again.
func (c *call) configured() error {
	if o, err := c.admin.Organization(c.organization()); err == nil && o.Declared && c.admin.Actor().Powers.Has(mfa.ChangeOrganizations) {
		return errConfigured
	}
	return nil
}

func removeOrganization(c *call) (any, error) {
	if _, err := c.query(); err != nil {
		return nil, err
	}
	if err := c.configured(); err != nil {
		return nil, err
	}
	return nil, c.adminError(c.admin.RemoveOrganization(c.r.Context(), c.organization()))
}

func listMembers(c *call) (any, error) {
	q, err := c.query("search", "factor", "is", "enabled", paramCursor, paramLimit)
	if err != nil {
		return nil, err
	}
	f, err := filterOf(q)
	if err != nil {
		return nil, err
	}
	f.Organization = c.organization()
	return c.users(q, f)
}

func addMember(c *call) (any, error) {
	if err := c.nothingSaid(); err != nil {
		return nil, err
	}
	return c.done(c.admin.SetMember(c.r.Context(), c.person(), c.organization(), true))
}

// dropMember answers nothing: an organization's administrator sees them no more.
func dropMember(c *call) (any, error) {
	if _, err := c.query(); err != nil {
		return nil, err
	}
	return nil, c.adminError(c.admin.SetMember(c.r.Context(), c.person(), c.organization(), false))
}
