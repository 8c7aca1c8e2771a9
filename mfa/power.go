package mfa

import (
	"fmt"
	"slices"
	"strings"
)

// Powers is a set of things that administrators, and the programs that act for them, may
// do. The zero value is nothing.
type Powers uint16

// The powers.
const (
	ReadUsers Powers = 1 << iota
	ChangeUsers
	ReadOrganizations
	ChangeOrganizations
	ReadPolicy
	ChangePolicy
	ReadAudit
	ManageRoles // who is an administrator; and to change those who are
	ManageKeys  // of programs
)

// What the roles may do.
const (
	allPowers     = ReadUsers | ChangeUsers | ReadOrganizations | ChangeOrganizations | ReadPolicy | ChangePolicy | ReadAudit | ManageRoles | ManageKeys
	auditorPowers = ReadUsers | ReadOrganizations | ReadPolicy | ReadAudit
	// organizationPowers reach the members of one organization.
	organizationPowers = ReadUsers | ChangeUsers | ReadOrganizations
)

// powerNames are the scopes of API keys, in the order of the powers.
var powerNames = [...]string{
	"users:read", "users:write", "organizations:read", "organizations:write",
	"policy:read", "policy:write", "audit:read", "roles:write", "keys:write",
}

// PowerNames returns the names of all powers.
func PowerNames() []string { return powerNames[:] }

// Has reports whether all of need are in p.
func (p Powers) Has(need Powers) bool { return need != 0 && p&need == need }

// List returns the names of the powers.
func (p Powers) List() []string {
	list := []string{}
	for i, name := range powerNames {
		if p&(1<<i) != 0 {
			list = append(list, name)
		}
	}
	return list
}

// String returns the names of the powers.
func (p Powers) String() string { return strings.Join(p.List(), " ") }

// MarshalText writes the names, so that records can be read.
func (p Powers) MarshalText() ([]byte, error) { return []byte(p.String()), nil }

// UnmarshalText reads what MarshalText wrote.
func (p *Powers) UnmarshalText(text []byte) (err error) {
	*p, err = ParsePowers(strings.Fields(string(text)))
	return err
}

// ParsePowers reads names of powers. What this version does not know is an error.
func ParsePowers(names []string) (Powers, error) {
	var p Powers
	for _, name := range names {
		found := false
		for i, known := range powerNames {
			if name == known {
				p, found = p|1<<i, true
			}
		}
		if !found {
			return 0, fmt.Errorf("%q is no scope; there are %s", name, strings.Join(powerNames[:], ", "))
		}
	}
	return p, nil
}

// Role is what somebody is over the whole gateway.
type Role string

// The roles.
const (
	RoleNone    Role = ""
	RoleAuditor Role = "auditor" // sees everything and changes nothing
	RoleAdmin   Role = "admin"
)

// Role returns the user's role over the whole gateway.
func (u *User) Role() Role {
	switch {
	case u.Admin:
		return RoleAdmin
	case u.Auditor:
		return RoleAuditor
	}
	return RoleNone
}

// hasRole reports whether the user administrates or audits anything.
func (u *User) hasRole() bool { return u.Admin || u.Auditor || len(u.AdminOf) > 0 }

// PowersOver returns what the user may do over one organization, or over all with "".
func (u *User) PowersOver(of OrganizationID) Powers {
	if u.Disabled {
		return 0
	}
	var p Powers
	switch u.Role() {
	case RoleAdmin:
		return allPowers
	case RoleAuditor:
		p = auditorPowers
	}
	if of != "" && slices.Contains(u.AdminOf, of) {
		p |= organizationPowers
	}
	return p
}
