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
// *LockoutError, unless forced, where no administrator could still sign in; ErrBusy.
func (a *Administration) SetOrganization(ctx context.Context, in Organization, force bool) error {
	what := "set organization " + string(in.ID)
	if force {
		what += " (forced)"
	}
	if err := a.may(ChangeOrganizations, nil); err != nil {
		a.refused(ctx, nil, what, err)
		return err
	}
	// Nobody takes an administrator's role away between the look and the write.
	return a.withRoles(ctx, nil, what, func(ctx context.Context) error { return a.setOrganization(ctx, in, force, what) })
}

// setOrganization is SetOrganization with the lock held.
func (a *Administration) setOrganization(ctx context.Context, in Organization, force bool, what string) error {
	in, err := a.checkOrganization(ctx, in, force)
	if err != nil {
		a.refused(ctx, nil, what, err)
		return err
	}
	return a.act(ctx, nil, what, func() error {
		err := a.g.cfg.Store.UpdateOrganization(ctx, in.ID, func(o *Organization) error {
			in.Created = o.Created
			*o = in
			return nil
		})
		if errors.Is(err, ErrNotFound) {
			in.Created = a.g.now()
			err = a.g.cfg.Store.CreateOrganization(ctx, &in)
		}
		return err
	})
}

// checkOrganization returns the organization as it would be kept.
func (a *Administration) checkOrganization(ctx context.Context, in Organization, force bool) (Organization, error) {
	if err := a.may(ChangeOrganizations, nil); err != nil {
		return in, err
	}
	p := a.g.cfg.Policy()
	if p == nil {
		return in, ErrNotAllowed
	}
	if err := declared(p, in.ID); err != nil {
		return in, fmt.Errorf("organization %s: %w", strings.ToValidUTF8(string(in.ID), "?"), err)
	}
	if err := in.Validate(p); err != nil {
		return in, &OrganizationError{err}
	}
	if e := in.Enrollment; e != nil && e.Confirm && a.g.cfg.Policies != nil && !a.g.cfg.Policies.CanConfirm() {
		return in, &OrganizationError{errCannotConfirm}
	}
	name, err := cleanText(in.Name)
	if err != nil {
		return in, fmt.Errorf("name: %w", err)
	}
	in.Name, in.Declared = name, false
	if force {
		return in, nil
	}
	after := *p
	after.Organizations = p.Organizations.with(&in)
	return in, a.g.checkLockout(ctx, p, &after)
}

// declared reports with nil that the configuration does not declare the organization.
func declared(p *Policy, id OrganizationID) error {
	if o := p.Organizations.Find(id); o != nil && o.Declared {
		return fmt.Errorf("%w: the configuration declares it; change it there", ErrNotAllowed)
	}
	return nil
}

// OrganizationError says what is wrong with an organization.
type OrganizationError struct{ Err error }

// Error says what to write instead.
func (e *OrganizationError) Error() string { return e.Err.Error() }

// RemoveOrganization removes an organization of the store. Its members are told
// nothing, and its routes refuse everybody. ErrNotFound, ErrNotAllowed.
func (a *Administration) RemoveOrganization(ctx context.Context, id OrganizationID) error {
	what := "remove organization " + string(id)
	err := a.may(ChangeOrganizations, nil)
	if p := a.g.cfg.Policy(); err == nil && p == nil {
		err = ErrNotAllowed
	} else if err == nil {
		err = declared(p, id)
	}
	if err == nil {
		_, err = a.g.cfg.Store.Organization(ctx, id)
	}
	if err == nil {
		return a.act(ctx, nil, what, func() error {
			if err := a.g.cfg.Store.RemoveOrganization(ctx, id); err != nil {
				return err
			}
			return a.g.removeCampaign(ctx, id)
		})
	}
	err = fmt.Errorf("organization %s: %w", strings.ToValidUTF8(string(id), "?"), err)
	a.refused(ctx, nil, what, err)
	return err
}

// SetMember makes the user a member of the organization, or takes that away. Whoever is
// one by a verified address stays one. It holds on the next request. ErrNotFound,
// ErrLimit; ErrLastAdministrator where the organization asks of the last one what they do
// not have; ErrBusy.
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
	if !member || !u.Admin {
		return a.move(ctx, need, u, id, member, what)
	}
	return a.withRoles(ctx, u, what, func(ctx context.Context) error {
		u, err := a.g.cfg.Store.User(ctx, user)
		if err != nil {
			return err
		}
		joined := *u
		joined.Organizations = append(slices.Clone(u.Organizations), id)
		if err := a.g.leaves(ctx, u, &joined); err != nil {
			a.refused(ctx, u, what, err)
			return err
		}
		return a.move(ctx, need, u, id, member, what)
	})
}

// move makes the user a member of the organization, or none.
func (a *Administration) move(ctx context.Context, need Powers, u *User, id OrganizationID, member bool, what string) error {
	return a.act(ctx, u, what, func() error {
		return a.g.cfg.Store.UpdateUser(ctx, u.ID, func(u *User) error {
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
