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

// Organizations returns those that the actor sees, in the order of their IDs. They must
// not be changed.
func (a *Administration) Organizations() ([]*Organization, error) {
	if err := a.may(ReadOrganizations, nil); err != nil {
		return nil, err
	}
	return slices.DeleteFunc(a.g.Organizations(), func(o *Organization) bool {
		return a.actor.Organization != "" && o.ID != a.actor.Organization
	}), nil
}

// Organization returns one. ErrNotFound.
func (a *Administration) Organization(id OrganizationID) (*Organization, error) {
	list, err := a.Organizations()
	if err != nil {
		return nil, err
	}
	if i := slices.IndexFunc(list, func(o *Organization) bool { return o.ID == id }); i >= 0 {
		return list[i], nil
	}
	return nil, fmt.Errorf("organization %s: %w", strings.ToValidUTF8(string(id), "?"), ErrNotFound)
}

// SetOrganization makes an organization in the store, or changes what it asks.
// ErrNotAllowed where the configuration declares it; *OrganizationError, ErrName;
// *LockoutError, unless forced, where no administrator could still sign in.
func (a *Administration) SetOrganization(ctx context.Context, in Organization, force bool) error {
	return a.organization(ctx, "set organization "+string(in.ID), func() error { return a.g.setOrganization(ctx, in) })
}

// organization does something to an organization and keeps it as an event before.
func (a *Administration) organization(ctx context.Context, what string, do func() error) error {
	if err := a.may(ChangeOrganizations, nil); err != nil {
		a.refused(ctx, nil, what, err)
		return err
	}
	return a.act(ctx, nil, what, do)
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
	if e := in.Enrollment; e != nil && e.Confirm && g.cfg.Policies != nil && !g.cfg.Policies.CanConfirm() {
		return &OrganizationError{errCannotConfirm}
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
func (a *Administration) RemoveOrganization(ctx context.Context, id OrganizationID) error {
	return a.organization(ctx, "remove organization "+string(id), func() error {
		p := a.g.cfg.Policy()
		if p == nil {
			return ErrNotAllowed
		}
		err := error(nil)
		if o := p.Organizations.Find(id); o == nil || !o.Declared {
			if err = a.g.cfg.Store.RemoveOrganization(ctx, id); err == nil {
				err = a.g.removeCampaign(ctx, id)
			}
		} else {
			err = fmt.Errorf("%w: the configuration declares it; change it there", ErrNotAllowed)
		}
		if err != nil {
			err = fmt.Errorf("organization %s: %w", strings.ToValidUTF8(string(id), "?"), err)
		}
		return err
	})
}

// SetMember makes the user a member of the organization, or takes that away. Whoever is
// one by a verified address stays one. It holds on the next request. ErrNotFound,
// ErrLimit.
//
// An organization's administrator takes members out of it, and brings nobody in but by
// invitation: they could make anybody theirs, and then reset them.
func (a *Administration) SetMember(ctx context.Context, user UserID, id OrganizationID, member bool) error {
	what := "add to organization " + string(id)
	if !member {
		what = "remove from organization " + string(id)
	}
	need := ChangeOrganizations
	if of := a.actor.Organization; of != "" && of == id && !member {
		need = ReadUsers | ChangeUsers
	}
	u, err := a.g.cfg.Store.User(ctx, user)
	if err == nil {
		err = a.mayMove(need, u)
	}
	if err == nil && member {
		err = a.g.checkOrganizations([]OrganizationID{id})
	}
	if err != nil {
		a.refused(ctx, u, what, err)
		return err
	}
	return a.act(ctx, u, what, func() error {
		return a.g.cfg.Store.UpdateUser(ctx, user, func(u *User) error {
			if err := a.mayMove(need, u); err != nil {
				return err
			}
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
	})
}

// mayMove is may for who is a member of what: to leave one organization is no matter of
// the others.
func (a *Administration) mayMove(need Powers, u *User) error {
	switch {
	case !a.actor.Powers.Has(need):
		return ErrNotAllowed
	case !a.reaches(u):
		return ErrNotFound
	case a.actor.Organization != "" && u.hasRole():
		return ErrRole
	}
	return nil
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
