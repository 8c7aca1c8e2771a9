package caddymodule

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/secondgate/secondgate/mfa"
)

// filterOf returns which users a list is of.
func filterOf(in adminRequest) (mfa.UserFilter, error) {
	f := mfa.UserFilter{Search: in.Search, Factor: mfa.Kind(in.Factor), NoFactor: in.NoFactor, Organization: mfa.OrganizationID(in.Organization)}
	switch {
	case in.Factor != "" && !factorsHere.Has(f.Factor):
		return f, fmt.Errorf("%q: %w", in.Factor, errFactor)
	case in.Factor != "" && in.NoFactor:
		return f, wrong("a list is of those who have a factor, or of those who have none; say one of --factor and --no-factor")
	case f.Organization != "":
		if _, err := mfa.ParseOrganizationID(in.Organization); err != nil {
			return f, &inputError{err}
		}
	}
	for _, one := range []struct {
		asked bool
		facet mfa.Facet
	}{
		{in.Skipped, mfa.FacetSkipped}, {in.OptedOut, mfa.FacetOptedOut}, {in.Locked, mfa.FacetLocked}, {in.Disabled, mfa.FacetDisabled},
	} {
		switch {
		case one.asked && f.Facet != "":
			return f, wrong("a list takes one of --skipped, --opted-out, --locked and --disabled")
		case one.asked:
			f.Facet = one.facet
		}
	}
	return f, nil
}

// list returns one page of users.
func (d desk) list(ctx context.Context, in adminRequest) (*adminAnswer, error) {
	limit, err := pageOf(in.Limit)
	if err != nil {
		return nil, err
	}
	f, err := filterOf(in)
	if err != nil {
		return nil, err
	}
	users, next, err := d.admin.Users(ctx, f, in.After, limit)
	if err != nil {
		return nil, err
	}
	return &adminAnswer{Users: users, Next: next}, nil
}

// sessions lists the sessions of a user.
func (d desk) sessions(ctx context.Context, name string) (*adminAnswer, error) {
	u, err := d.admin.Find(ctx, name)
	if err != nil {
		return nil, err
	}
	list, err := d.admin.Sessions(ctx, u.ID)
	if err != nil {
		return nil, err
	}
	answer := &adminAnswer{Sessions: []sessionInfo{}}
	for _, s := range list {
		answer.Sessions = append(answer.Sessions, sessionInfo{Handle: s.Handle, Host: s.Host, Agent: s.Agent, Network: s.Network, Created: s.Created, LastSeen: s.LastSeen})
	}
	return answer, nil
}

// endSessions ends one session of a user, or all.
func (d desk) endSessions(ctx context.Context, in adminRequest) (*adminAnswer, error) {
	u, err := d.admin.Find(ctx, in.Name)
	if err != nil {
		return nil, err
	}
	if err := d.admin.EndSessions(ctx, u.ID, in.Session); err != nil {
		if in.Session != "" {
			err = fmt.Errorf("session %s of %s: %w; which there are: secondgate mfa users sessions %s", plain(in.Session), u.Name, err, u.Name)
		}
		return nil, err
	}
	done := fmt.Sprintf("Every session of %s has ended, and no browser stands for their second factor any more.", u.Name)
	if in.Session != "" {
		done = fmt.Sprintf("That session of %s has ended.", u.Name)
	}
	answer, err := d.sessions(ctx, in.Name)
	if err != nil {
		return nil, err
	}
	answer.Done = done
	return answer, nil
}

// roles are the words for the roles over the whole gateway.
var roles = map[string]mfa.Role{"none": mfa.RoleNone, "admin": mfa.RoleAdmin, "auditor": mfa.RoleAuditor}

func roleNamed(word string) (mfa.Role, error) {
	role, ok := roles[word]
	if !ok {
		return "", wrong("%q is no role; there are admin, auditor and none", word)
	}
	return role, nil
}

// setRole gives a user a role, and takes every other away.
func (d desk) setRole(ctx context.Context, in adminRequest) (*adminAnswer, error) {
	role, err := roleNamed(in.Role)
	if err != nil {
		return nil, err
	}
	done := "%s is " + map[mfa.Role]string{
		mfa.RoleNone: "neither administrator nor auditor", mfa.RoleAdmin: "an administrator of the whole gateway", mfa.RoleAuditor: "an auditor of the whole gateway",
	}[role]
	if len(in.AdminOf) > 0 {
		done += ", and an administrator of " + strings.Join(in.AdminOf, ", ")
	}
	return d.show(ctx, in.Name, done+", from the next request on.", d.on(ctx, in.Name, func(id mfa.UserID) error {
		return d.admin.SetRole(ctx, id, role, organizationIDs(in.AdminOf))
	}))
}

// removeFactor removes one credential.
func (d desk) removeFactor(ctx context.Context, in adminRequest) (*adminAnswer, error) {
	if in.Factor != "" {
		return nil, wrong("say one of --factor and --credential")
	}
	u, err := d.admin.Find(ctx, in.Name)
	if err != nil {
		return nil, err
	}
	i := slices.IndexFunc(u.Factors, func(f mfa.FactorInfo) bool { return string(f.ID) == in.Credential })
	if i < 0 {
		return nil, fmt.Errorf("%s has no factor %q: %w; which there are: secondgate mfa users show %s", u.Name, in.Credential, mfa.ErrNotFound, u.Name)
	}
	answer, err := d.show(ctx, in.Name, "The "+string(u.Factors[i].Kind)+" of %s is removed, and every session of theirs has ended.",
		d.admin.RemoveFactor(ctx, u.ID, u.Factors[i].ID))
	if err == nil && len(answer.User.Factors) == 0 {
		answer.Note = d.wayBack(answer.User)
	}
	return answer, err
}

// numbers says who has which factors, and who would be stopped.
func (d desk) numbers(ctx context.Context, op string, in adminRequest) (*adminAnswer, error) {
	of := mfa.OrganizationID(in.Organization)
	if op == opCoverage {
		c, err := d.admin.Coverage(ctx, of)
		return &adminAnswer{Coverage: c}, err
	}
	limit, err := pageOf(in.Limit)
	if err != nil {
		return nil, err
	}
	f, err := d.admin.Forecast(ctx, of, in.After, limit)
	return &adminAnswer{Forecast: f}, err
}

// access says what one user meets at one address.
func (d desk) access(ctx context.Context, in adminRequest) (*adminAnswer, error) {
	if d.at == nil {
		return nil, errRoutes
	}
	u, err := d.admin.Find(ctx, in.Name)
	if err != nil {
		return nil, err
	}
	x, err := d.admin.ExplainAccess(ctx, u.ID, in.Address, d.at)
	var route *mfa.RouteError
	if errors.As(err, &route) {
		return nil, wrong("%q: %w", in.Address, route)
	}
	if err != nil {
		return nil, err
	}
	return &adminAnswer{Access: x}, nil
}
