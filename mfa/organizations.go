package mfa

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
)

// Organizations returns all organizations, those of the configuration and those of
// the store, in the order of their IDs. They must not be changed.
func (g *Gate) Organizations() []*Organization {
	p := g.cfg.Policy()
	if p == nil {
		return nil
	}
	return p.Organizations.List()
}

// SetOrganization makes an organization in the store, or changes what it asks.
// ErrNotAllowed where the configuration declares it; what is wrong with it otherwise.
func (g *Gate) SetOrganization(ctx context.Context, in Organization) error {
	err := g.setOrganization(ctx, in)
	g.admin(ctx, nil, "", "set organization "+string(in.ID), err)
	return err
}

func (g *Gate) setOrganization(ctx context.Context, in Organization) error {
	p := g.cfg.Policy()
	if p == nil {
		return ErrNotAllowed
	}
	if o := p.Organizations.Find(in.ID); o != nil && o.Declared {
		return fmt.Errorf("organization %s: %w: the configuration declares it; change it there", in.ID, ErrNotAllowed)
	}
	if err := in.Validate(p); err != nil {
		return &OrganizationError{err}
	}
	name, err := cleanText(in.Name)
	if err != nil {
		return fmt.Errorf("name: %w", err)
	}
	in.Name, in.Declared = name, false
	err = g.cfg.Store.UpdateOrganization(ctx, in.ID, func(o *Organization) error {
		in.Created = o.Created
		*o = in
		return nil
	})
	if errors.Is(err, ErrNotFound) {
		in.Created = g.now()
		err = g.cfg.Store.CreateOrganization(ctx, &in)
	}
	return err
}

// OrganizationError says what is wrong with an organization.
type OrganizationError struct{ Err error }

// Error says what to write instead.
func (e *OrganizationError) Error() string { return e.Err.Error() }

// RemoveOrganization removes an organization of the store. Its members are told
// nothing, and its routes refuse everybody. ErrNotFound, ErrNotAllowed.
func (g *Gate) RemoveOrganization(ctx context.Context, id OrganizationID) error {
	p := g.cfg.Policy()
	err := error(ErrNotAllowed)
	if p != nil {
		if o := p.Organizations.Find(id); o == nil || !o.Declared {
			err = g.cfg.Store.RemoveOrganization(ctx, id)
		} else {
			err = fmt.Errorf("%w: the configuration declares it; change it there", ErrNotAllowed)
		}
		if err != nil {
			err = fmt.Errorf("organization %s: %w", strings.ToValidUTF8(string(id), "?"), err)
		}
	}
	g.admin(ctx, nil, "", "remove organization "+string(id), err)
	return err
}

// SetMember makes the user a member of the organization, or takes that away. Whoever is
// one by a verified address stays one. It holds on the next request. ErrNotFound,
// ErrLimit.
func (g *Gate) SetMember(ctx context.Context, name string, id OrganizationID, member bool) error {
	u, err := g.localUser(ctx, name)
	if err == nil {
		err = g.setMember(ctx, u.ID, id, member)
	}
	what := "add to organization "
	if !member {
		what = "remove from organization "
	}
	g.admin(ctx, u, name, what+string(id), err)
	return err
}

func (g *Gate) setMember(ctx context.Context, user UserID, id OrganizationID, member bool) error {
	if member {
		if err := g.checkOrganizations([]OrganizationID{id}); err != nil {
			return err
		}
	}
	return g.cfg.Store.UpdateUser(ctx, user, func(u *User) error {
		u.Organizations = slices.DeleteFunc(u.Organizations, func(o OrganizationID) bool { return o == id })
		if !member {
			return nil
		}
		if len(u.Organizations) >= MaxOrganizations {
			return ErrLimit
		}
		u.Organizations = append(u.Organizations, id)
		return nil
	})
}

// checkOrganizations reports with nil that there are all of them.
func (g *Gate) checkOrganizations(list []OrganizationID) error {
	p := g.cfg.Policy()
	if p == nil {
		return ErrNotAllowed
	}
	for _, id := range list {
		if p.Organizations.Find(id) == nil {
			return fmt.Errorf("organization %s: %w", strings.ToValidUTF8(string(id), "?"), ErrNotFound)
		}
	}
	return nil
}
