package caddymodule

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/secondgate/secondgate/mfa"
)

// orgInfo is an organization as administrators see it, in the words of the
// configuration.
type orgInfo struct {
	ID string `json:"id"`
	mfa.OrganizationSettings
	Declared bool      `json:"declared"` // by the configuration, which alone can change it
	Created  time.Time `json:"created,omitzero"`
}

func infoOf(o *mfa.Organization) *orgInfo {
	return &orgInfo{ID: string(o.ID), OrganizationSettings: mfa.SettingsOf(o), Declared: o.Declared, Created: o.Created}
}

func organizationIDs(names []string) []mfa.OrganizationID {
	var list []mfa.OrganizationID
	for _, name := range names {
		list = append(list, mfa.OrganizationID(name))
	}
	return list
}

// organizations carries out what is about organizations.
func (d desk) organizations(ctx context.Context, op string, in adminRequest) (*adminAnswer, error) {
	if op == opOrgList {
		list := []orgInfo{}
		for _, o := range d.gate.Organizations() {
			list = append(list, *infoOf(o))
		}
		return &adminAnswer{Organizations: list}, nil
	}
	id, err := mfa.ParseOrganizationID(in.Organization)
	if err != nil {
		return nil, &inputError{err}
	}
	switch op {
	case opOrgSet:
		return d.setOrganization(ctx, id, in.Settings, in.Force)
	case opOrgRemove:
		if err := d.admin.RemoveOrganization(ctx, id); err != nil {
			return nil, err
		}
		return &adminAnswer{Done: fmt.Sprintf("The organization %s is removed. Its routes refuse everybody. Who was made a member of it by hand is one again when an organization of that name is made again.", id)}, nil
	case opOrgAdd:
		return d.addMember(ctx, id, in.Name)
	case opOrgDrop:
		return d.dropMember(ctx, id, in.Name)
	}
	o := d.organization(id)
	if o == nil {
		return nil, fmt.Errorf("organization %s: %w", id, mfa.ErrNotFound)
	}
	return &adminAnswer{Organization: infoOf(o)}, nil
}

// organization returns the organization as it holds now, or nil.
func (d desk) organization(id mfa.OrganizationID) *mfa.Organization {
	for _, o := range d.gate.Organizations() {
		if o.ID == id {
			return o
		}
	}
	return nil
}

// setOrganization makes the organization or replaces what it asks, the whole of it.
func (d desk) setOrganization(ctx context.Context, id mfa.OrganizationID, settings *mfa.OrganizationSettings, force bool) (*adminAnswer, error) {
	if settings == nil {
		return nil, wrong("say what the organization asks; what is left out asks nothing")
	}
	o, err := settings.Read(id)
	if err != nil {
		return nil, err
	}
	done := "The organization %s is made."
	if d.organization(id) != nil {
		done = "The organization %s asks this now, and nothing else; it holds from the next request on."
	}
	err = d.admin.SetOrganization(ctx, *o, force)
	if errors.Is(err, mfa.ErrName) {
		return nil, fmt.Errorf("%q cannot be the name of an organization: it has no comma, semicolon or bar and no control character (%w)", o.Name, err)
	}
	if err != nil {
		return nil, mindForce(err)
	}
	answer := &adminAnswer{Done: fmt.Sprintf(done, id)}
	if o := d.organization(id); o != nil {
		answer.Organization = infoOf(o)
	}
	return answer, nil
}

func (d desk) addMember(ctx context.Context, id mfa.OrganizationID, name string) (*adminAnswer, error) {
	err := d.on(ctx, name, func(user mfa.UserID) error { return d.admin.SetMember(ctx, user, id, true) })
	if errors.Is(err, mfa.ErrLimit) {
		return nil, fmt.Errorf("%s is a member of %d organizations by hand, and that is the most (%w)", name, mfa.MaxOrganizations, err)
	}
	return d.show(ctx, name, "%s is a member of "+string(id)+" from the next request on.", err)
}

func (d desk) dropMember(ctx context.Context, id mfa.OrganizationID, name string) (*adminAnswer, error) {
	u, err := d.admin.Find(ctx, name)
	if err != nil {
		return nil, err
	}
	done := "%s is no member of " + string(id) + " by hand any more."
	if !slices.Contains(u.Organizations, id) {
		done = "%s was no member of " + string(id) + " by hand: nothing was changed."
	} else {
		err = d.admin.SetMember(ctx, u.ID, id, false)
	}
	answer, err := d.show(ctx, name, done, err)
	if err == nil && slices.Contains(answer.User.ByAddress, id) {
		answer.Note = fmt.Sprintf("%s is a member all the same, by the verified address %s.", u.Name, u.Email)
	}
	return answer, err
}
