package mfa

import (
	"context"
	"fmt"
	"strings"
)

// Coverage says how many people hold which factors. Who is disabled is not counted.
type Coverage struct {
	Organization OrganizationID `json:"organization,omitempty"` // empty: everybody
	Users        int            `json:"users"`
	// Factors says how many hold each factor; somebody with two counts at both.
	Factors map[Kind]int `json:"factors"`
	// None are those without a primary factor, Stopped those without one that the policy
	// enables: they would have to set one up before they get anywhere if a second factor
	// were required now.
	None    int `json:"none"`
	Stopped int `json:"stopped"`
	// PhishingResistant are those who hold a passkey.
	PhishingResistant int `json:"phishing_resistant"`
}

// Coverage counts the members of an organization, or everybody with "". Its cost does not
// grow with the users. ErrNotFound.
func (a *Administration) Coverage(ctx context.Context, of OrganizationID) (*Coverage, error) {
	of, err := a.scope(of)
	if err != nil {
		return nil, err
	}
	p := a.g.cfg.Policy()
	if p == nil {
		return nil, ErrNotAllowed
	}
	sets, err := a.g.countMembers(ctx, p, of)
	if err != nil {
		return nil, err
	}
	enabled := enabledFor(p, of)
	c := &Coverage{Organization: of, Factors: make(map[Kind]int)}
	for _, k := range allKinds.List() {
		c.Factors[k] = 0
	}
	for held, n := range sets {
		c.Users += n
		for _, k := range held.List() {
			c.Factors[k] += n
		}
		// A factor that this version does not know is one (AC-156).
		if held&(PrimaryKinds|unknownKind) == 0 {
			c.None += n
		}
		if held&(enabled|unknownKind) == 0 {
			c.Stopped += n
		}
		if held.Has(Passkey) {
			c.PhishingResistant += n
		}
	}
	return c, nil
}

// scope returns the organization that the actor asks for, or the one that they see.
func (a *Administration) scope(of OrganizationID) (OrganizationID, error) {
	if err := a.may(ReadUsers, nil); err != nil {
		return "", err
	}
	own := a.actor.Organization
	if own != "" && of == "" {
		of = own
	}
	if own != "" && of != own {
		return "", ErrNotFound
	}
	return of, nil
}

// enabledFor returns the primary factors that count there. Without a policy's factors
// ("factors off") those of the default count: the question is what would be, were they
// required.
func enabledFor(p *Policy, of OrganizationID) Kinds {
	k := p.Factors
	if p.Off {
		k = DefaultPolicy().Factors
	}
	if o := p.Organizations.Find(of); o != nil && o.Factors != 0 {
		k &= o.Factors
	}
	return k & PrimaryKinds
}

// countMembers returns how many members hold which factors. Who is one by hand and by an
// address as well is counted once.
func (g *Gate) countMembers(ctx context.Context, p *Policy, of OrganizationID) (map[Kinds]int, error) {
	if of == "" {
		return g.cfg.Store.CountUsers(ctx)
	}
	o := p.Organizations.Find(of)
	if o == nil {
		return nil, fmt.Errorf("organization %s: %w", strings.ToValidUTF8(string(of), "?"), ErrNotFound)
	}
	sum := make(map[Kinds]int)
	add := func(sign int, facets ...Facet) error {
		part, err := g.cfg.Store.CountUsers(ctx, facets...)
		for k, n := range part {
			sum[k] += sign * n
		}
		return err
	}
	own := FacetOrganization(of)
	if err := add(1, own); err != nil {
		return nil, err
	}
	for _, domain := range o.Domains {
		if err := add(1, FacetDomain(domain)); err != nil {
			return nil, err
		}
		if err := add(-1, FacetDomain(domain), own); err != nil {
			return nil, err
		}
	}
	return sum, nil
}

// Forecast says who would be stopped if a second factor were required now.
type Forecast struct {
	Organization OrganizationID `json:"organization,omitempty"`
	Users        int            `json:"users"`   // who are enabled
	Stopped      int            `json:"stopped"` // of them, without a factor that counts
	// Page are those who would be stopped, in the order of their names: where they were
	// last seen, and when, is part of it.
	Page []UserInfo `json:"page"`
	Next string     `json:"next,omitempty"`
	// Closed says that they could not set one up by themselves with a password: it takes
	// an administrator's pass, or a code to the address on file (rule B17).
	Closed bool `json:"closed"`
}

// Forecast returns the lock-out forecast of an organization, or of everybody with "": who
// would have to set up a factor first, where and when they were last seen. ErrNotFound,
// ErrCursor.
func (a *Administration) Forecast(ctx context.Context, of OrganizationID, after string, limit int) (*Forecast, error) {
	c, err := a.Coverage(ctx, of)
	if err != nil {
		return nil, err
	}
	p := a.g.cfg.Policy()
	if p == nil {
		return nil, ErrNotAllowed
	}
	enabled := enabledFor(p, c.Organization)
	q := UserQuery{Not: []Facet{FacetDisabled}}
	var sets []Facet
	for k := range allKinds + 1 {
		if k&enabled == 0 {
			sets = append(sets, FacetHolds(k))
		}
	}
	if c.Organization != "" {
		members, err := a.g.membersOf(c.Organization)
		if err != nil {
			return nil, err
		}
		sets = bothOf(members, sets)
	}
	q.Where = append(q.Where, sets)
	f := &Forecast{Organization: c.Organization, Users: c.Users, Stopped: c.Stopped, Page: []UserInfo{}, Next: after}
	e := p.Enrollment
	if o := p.Organizations.Find(c.Organization); o != nil && o.Enrollment != nil {
		e = *o.Enrollment
	}
	f.Closed = !e.Open
	for range listCalls {
		var part []*User
		if part, f.Next, err = a.g.cfg.Store.ListUsers(ctx, q, f.Next, limit-len(f.Page)); err != nil {
			return nil, err
		}
		for _, u := range part {
			f.Page = append(f.Page, a.userInfo(u))
		}
		if f.Next == "" || len(f.Page) >= limit {
			break
		}
	}
	return f, nil
}
