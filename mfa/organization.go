package mfa

import (
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"
)

// OrganizationID names an organization: lower-case letters, digits and dashes, as
// routes and configurations write it.
type OrganizationID string

// Organization owns routes and a policy, and has users as members. The zero value
// asks nothing.
type Organization struct {
	ID   OrganizationID `json:"id"`
	Name string         `json:"name,omitempty"` // as people know it; empty: the ID
	// Require asks a second factor of every member (rule B6).
	Require bool `json:"require,omitempty"`
	// Factors are the only ones that count on its routes; 0: those of the gateway.
	Factors           Kinds         `json:"factors,omitempty"`
	Fresh             time.Duration `json:"fresh,omitempty"` // see Requirement
	PhishingResistant bool          `json:"phishing_resistant,omitempty"`
	// Enrollment, where it is not nil, replaces the gateway's for its members if it
	// is stricter (rule B17).
	Enrollment *Enrollment `json:"enrollment,omitempty"`
	// NoRemembering forbids its members to let a remembered device stand for a
	// second factor (rule B29).
	NoRemembering bool `json:"no_remembering,omitempty"`
	// Domains are those whose verified e-mail addresses are members.
	Domains []string `json:"domains,omitempty"`

	Created time.Time `json:"created,omitzero"`

	// Declared says that the configuration declares it, which alone can change it.
	Declared bool `json:"-"`
}

// MaxOrganizations is how many organizations a user may be a member of by hand or
// by invitation.
const MaxOrganizations = 20

// ParseOrganizationID reads the name of an organization.
func ParseOrganizationID(s string) (OrganizationID, error) {
	ok := len(s) > 0 && len(s) <= 63 && s[0] != '-' && s[len(s)-1] != '-'
	for i := range len(s) {
		c := s[i]
		ok = ok && (c >= 'a' && c <= 'z' || c >= '0' && c <= '9' || c == '-')
	}
	if !ok {
		return "", fmt.Errorf("organization: %q is no name for one; use lower-case letters, digits and dashes, 63 at most", s)
	}
	return OrganizationID(s), nil
}

// Title returns the name by which people know it.
func (o *Organization) Title() string {
	if o.Name != "" {
		return o.Name
	}
	return string(o.ID)
}

// Requirement returns what the organization asks of its members.
func (o *Organization) Requirement() Requirement {
	return Requirement{Required: o.Require, Fresh: o.Fresh, PhishingResistant: o.PhishingResistant}
}

// Validate returns what is wrong with the organization under the gateway's policy,
// in words that say what to write instead (rule B1).
func (o *Organization) Validate(p *Policy) error {
	if _, err := ParseOrganizationID(string(o.ID)); err != nil {
		return err
	}
	for _, d := range o.Domains {
		if _, err := cleanEmail("a@" + d); err != nil || strings.ToLower(d) != d {
			return fmt.Errorf("domains: %q is not a domain; write it in lower case, for example: domains example.com", d)
		}
	}
	switch {
	case o.Fresh < 0 || o.Fresh > 0 && o.Fresh < MinFresh:
		return errors.New("fresh: must be one minute or more; write for example: fresh 12h")
	case o.Enrollment != nil && o.Enrollment.Window < 0:
		return errors.New("enrollment: the window must not be negative; write for example: enrollment open 14d")
	case p.Off && (o.Require || o.Factors != 0 || o.Fresh != 0 || o.PhishingResistant):
		return errors.New("require, factors, fresh and phishing_resistant need factors to ask for, and \"factors off\" switched them off")
	case p.Off:
		return nil
	case o.Factors&^p.Factors != 0:
		return fmt.Errorf("factors: %s is not enabled by the policy, which has %s; write some of those", o.Factors&^p.Factors, p.Factors)
	}
	need := o.Requirement()
	need.Factors = o.Factors
	if with := p.With(need); with.allowed()&PrimaryKinds == 0 {
		return fmt.Errorf("factors: this organization leaves no primary factor; the policy enables %s", p.Factors)
	}
	return nil
}

// Directory holds the organizations that a policy knows. It never changes; a nil
// one is empty.
type Directory struct {
	byID     map[OrganizationID]*Organization
	byDomain map[string][]*Organization
}

// NewDirectory returns the directory of the organizations. Of two with one ID, the
// first counts.
func NewDirectory(list []*Organization) *Directory {
	d := &Directory{make(map[OrganizationID]*Organization), make(map[string][]*Organization)}
	for _, o := range list {
		if d.byID[o.ID] != nil {
			continue
		}
		d.byID[o.ID] = o
		for _, domain := range o.Domains {
			d.byDomain[domain] = append(d.byDomain[domain], o)
		}
	}
	return d
}

// with returns a directory in which o stands in place of the one of its ID.
func (d *Directory) with(o *Organization) *Directory {
	return NewDirectory(append([]*Organization{o}, d.List()...))
}

// Find returns the organization of that ID, or nil.
func (d *Directory) Find(id OrganizationID) *Organization {
	if d == nil {
		return nil
	}
	return d.byID[id]
}

// List returns all of them in the order of their IDs.
func (d *Directory) List() []*Organization {
	if d == nil {
		return nil
	}
	list := slices.Collect(maps.Values(d.byID))
	slices.SortFunc(list, func(a, b *Organization) int { return strings.Compare(string(a.ID), string(b.ID)) })
	return list
}

// ofDomain returns those whose members have addresses like this one. The address
// must be verified (rule B38); an empty one has none.
func (d *Directory) ofDomain(email string) []*Organization {
	if d == nil || email == "" {
		return nil
	}
	// Sources of other people keep addresses as they like; a capital must not end a
	// requirement.
	return d.byDomain[strings.ToLower(email[strings.LastIndexByte(email, '@')+1:])]
}

// member returns the organization if the user is a member of it, by hand, by
// invitation or by a verified address, and nil if not or if there is none: nobody
// is to see the difference (rule B5).
func (d *Directory) member(id OrganizationID, u *Subject) *Organization {
	o := d.Find(id)
	if o == nil || !slices.Contains(u.Organizations, id) && !slices.Contains(d.ofDomain(u.Email), o) {
		return nil
	}
	return o
}

// Of returns the organizations that the user is a member of.
func (d *Directory) Of(u *Subject) []*Organization {
	var list []*Organization
	for _, id := range u.Organizations {
		if o := d.Find(id); o != nil && !slices.Contains(list, o) {
			list = append(list, o)
		}
	}
	for _, o := range d.ofDomain(u.Email) {
		if !slices.Contains(list, o) {
			list = append(list, o)
		}
	}
	return list
}

// OrganizationRequired says where the requirements of a user's organizations hold.
type OrganizationRequired uint8

// Where memberships count. The zero value is the stricter one.
const (
	AtSignIn OrganizationRequired = iota // everywhere, for every member
	AtAccess                             // on the organization's own routes
)

// String returns it as the Caddyfile writes it.
func (o OrganizationRequired) String() string {
	if o == AtAccess {
		return "at_access"
	}
	return "at_sign_in"
}

// MarshalText writes it as the Caddyfile does.
func (o OrganizationRequired) MarshalText() ([]byte, error) { return []byte(o.String()), nil }

// UnmarshalText reads what MarshalText wrote.
func (o *OrganizationRequired) UnmarshalText(text []byte) (err error) {
	*o, err = ParseOrganizationRequired(string(text))
	return err
}

// ParseOrganizationRequired reads where they hold.
func ParseOrganizationRequired(s string) (OrganizationRequired, error) {
	switch s {
	case "at_sign_in":
		return AtSignIn, nil
	case "at_access":
		return AtAccess, nil
	}
	return 0, fmt.Errorf("organization_required: %q is neither at_sign_in nor at_access", s)
}
