package api

import (
	"errors"

	"github.com/secondgate/secondgate/mfa"
)

type (
	policyDocument struct {
		Warnings []string              `json:"warnings"`
		Fields   []policyFieldDocument `json:"fields"`
	}
	policyFieldDocument struct {
		Field  string `json:"field"`
		Value  string `json:"value"`
		From   string `json:"from"`
		Stored string `json:"stored,omitempty"`
		Values string `json:"values"`
		Fixed  bool   `json:"fixed"`
	}
	policyChange struct {
		Values []string `json:"values"`
		Force  bool     `json:"force,omitempty"`
	}
)

func readPolicy(c *call) (any, error) {
	if _, err := c.query(); err != nil {
		return nil, err
	}
	return c.showPolicy()
}

func (c *call) showPolicy() (any, error) {
	p, err := c.admin.Policy(c.r.Context())
	if err != nil {
		return nil, c.adminError(err)
	}
	d := policyDocument{Warnings: append([]string{}, p.Warnings...), Fields: []policyFieldDocument{}}
	for _, f := range p.Fields {
		d.Fields = append(d.Fields, policyFieldDocument{f.Field, f.Value, f.From, f.Stored, f.Values, f.Fixed})
	}
	return d, nil
}

func setPolicy(c *call) (any, error) {
	in, err := readOnly[policyChange](c)
	if err != nil {
		return nil, err
	}
	return c.policyDone(c.admin.SetPolicy(c.r.Context(), c.name("field"), in.Values, in.Force))
}

func clearPolicy(c *call) (any, error) {
	q, err := c.query("force")
	if err != nil {
		return nil, err
	}
	force, err := flag(q, "force")
	if err != nil {
		return nil, err
	}
	return c.policyDone(c.admin.ClearPolicy(c.r.Context(), c.name("field"), force))
}

func (c *call) policyDone(err error) (any, error) {
	switch {
	case errors.Is(err, mfa.ErrNotAllowed) && c.admin.Actor().Powers.Has(mfa.ChangePolicy) && c.admin.Actor().Organization == "":
		return nil, errConfigured
	case err != nil:
		return nil, c.adminError(err)
	}
	return c.showPolicy()
}

type (
	coverageDocument struct {
		Organization      mfa.OrganizationID `json:"organization,omitempty"`
		Users             int                `json:"users"`
		Factors           map[mfa.Kind]int   `json:"factors"`
		None              int                `json:"none"`
		Stopped           int                `json:"stopped"`
		PhishingResistant int                `json:"phishing_resistant"`
	}
	forecastDocument struct {
		Organization mfa.OrganizationID `json:"organization,omitempty"`
		Users        int                `json:"users"`
		Stopped      int                `json:"stopped"`
		Closed       bool               `json:"closed"`
		Page         []personDocument   `json:"page"`
		Next         string             `json:"next,omitempty"`
	}
)

func readCoverage(c *call) (any, error) {
	q, err := c.query("organization")
	if err != nil {
		return nil, err
	}
	v, err := c.admin.Coverage(c.r.Context(), mfa.OrganizationID(q.Get("organization")))
	if err != nil {
		return nil, c.adminError(err)
	}
	return coverageDocument{v.Organization, v.Users, v.Factors, v.None, v.Stopped, v.PhishingResistant}, nil
}

func readForecast(c *call) (any, error) {
	q, err := c.query("organization", paramCursor, paramLimit)
	if err != nil {
		return nil, err
	}
	cursor, limit, err := pageOf(q)
	if err != nil {
		return nil, err
	}
	f, err := c.admin.Forecast(c.r.Context(), mfa.OrganizationID(q.Get("organization")), cursor, limit)
	if err != nil {
		return nil, c.adminError(err)
	}
	return forecastDocument{f.Organization, f.Users, f.Stopped, f.Closed, peopleOf(f.Page, "").Users, f.Next}, nil
}
