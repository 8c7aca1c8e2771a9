package mfa

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
)

// InviteInput is whom an invitation is for.
type InviteInput struct {
	Name        string
	DisplayName string
	Email       string
	Phone       string // it is not verified, and so it signs nobody in
	Groups      []string
	Role        Role
	// AdminOf are organizations whose members the person is to administrate.
	AdminOf []OrganizationID
	// Organizations are those that the person will be a member of.
	Organizations []OrganizationID
}

// Invite reserves the name and makes a link with which the person chooses a
// password, good once for InvitationLife. For somebody who was invited and never
// came, it makes a new link, the old one dies, and what in says holds beside what
// was said before. ErrName, ErrCountry, ErrNameTaken, ErrNotFound of an organization,
// ErrLimit.
//
// An organization's administrator invites into that organization, and chooses neither
// groups, which say to apps what somebody may do there, nor roles.
func (a *Administration) Invite(ctx context.Context, in InviteInput) (token string, u *UserInfo, err error) {
	what := "invite " + in.Name
	if in.Role != RoleNone || len(in.AdminOf) > 0 {
		what += " as " + rolesText(in.Role, in.AdminOf)
	}
	invited, err := a.invite(ctx, in, what, &token)
	if err != nil {
		a.refused(ctx, invited, what, err)
		return "", nil, err
	}
	info := a.userInfo(invited)
	return token, &info, nil
}

func (a *Administration) mayInvite(in *InviteInput) error {
	if err := a.may(ChangeUsers, nil); err != nil {
		return err
	}
	if (in.Role != RoleNone || len(in.AdminOf) > 0) && !a.actor.Powers.Has(ManageRoles) {
		return ErrRole
	}
	if of := a.actor.Organization; of != "" {
		for _, id := range in.Organizations {
			if id != of {
				return ErrNotFound
			}
		}
		if len(in.Groups) > 0 {
			return ErrNotAllowed
		}
		in.Organizations = []OrganizationID{of}
	}
	return nil
}

func (a *Administration) invite(ctx context.Context, in InviteInput, what string, token *string) (*User, error) {
	if err := a.mayInvite(&in); err != nil {
		return nil, err
	}
	fill, err := a.g.filling(in)
	if err != nil {
		return nil, err
	}
	u, err := a.g.newLocalUser(ctx, in.Name)
	if errors.Is(err, ErrNameTaken) {
		return a.inviteAgain(ctx, in.Name, what, fill, token)
	}
	if err != nil {
		return nil, err
	}
	fill(u)
	return u, a.act(ctx, u, what, func() error {
		t, id, err := a.g.makeLink(ctx, ForInvitation, u.ID, InvitationLife, a.warrant())
		if err != nil {
			return err
		}
		u.Link = id
		if err := a.g.cfg.Store.CreateUser(ctx, u); errors.Is(err, ErrTaken) {
			return ErrNameTaken
		} else if err != nil {
			return fmt.Errorf("making the account: %w", err)
		}
		*token = t
		return nil
	})
}

func (a *Administration) inviteAgain(ctx context.Context, name, what string, fill func(*User), token *string) (*User, error) {
	u, err := a.g.userNamed(ctx, name)
	if err != nil {
		return nil, err
	}
	if u.Source != LocalSource {
		return nil, ErrNameTaken // they sign in at their own source
	}
	if err := a.may(ChangeUsers, u); err != nil {
		// Somebody who was invited elsewhere is nobody of this organization.
		return nil, ErrNameTaken
	}
	if err := a.mayLink(u); err != nil {
		return u, err
	}
	if len(u.Password) > 0 {
		return u, ErrNameTaken // the account is in use; reset-password is for that
	}
	return u, a.act(ctx, u, what, func() error {
		t, id, err := a.g.makeLink(ctx, ForInvitation, u.ID, InvitationLife, a.warrant())
		if err != nil {
			return err
		}
		err = a.g.cfg.Store.UpdateUser(ctx, u.ID, func(u *User) error {
			if len(u.Password) > 0 {
				return ErrNameTaken
			}
			// Asked again in the write: they may have been made a member elsewhere, or
			// an administrator, since.
			if err := a.mayLink(u); err != nil {
				return ErrNameTaken
			}
			fill(u)
			u.Link = id
			return nil
		})
		*token = t
		return err
	})
}

// mayLink is may for a link with which somebody becomes that user. Groups say to apps
// what somebody may do, and an organization's administrator gives none: nor do they get
// an account that has some (AC-224).
func (a *Administration) mayLink(u *User) error {
	if err := a.may(ChangeUsers, u); err != nil {
		return err
	}
	if a.actor.Organization != "" && len(u.Groups) > 0 {
		return ErrRole
	}
	return nil
}

// filling checks what an invitation says of the person and returns what writes it.
func (g *Gate) filling(in InviteInput) (func(*User), error) {
	display, err := cleanText(in.DisplayName)
	if err != nil {
		return nil, fmt.Errorf("display name: %w", err)
	}
	email, err := cleanEmail(in.Email)
	if err != nil {
		return nil, fmt.Errorf("e-mail address: %w", err)
	}
	phone, err := g.cleanPhone(in.Phone)
	if err != nil {
		return nil, fmt.Errorf("phone number: %w", err)
	}
	var groups []string
	for _, group := range in.Groups {
		if group, err = cleanText(group); err != nil || group == "" {
			return nil, fmt.Errorf("group: %w", ErrName)
		}
		if !slices.Contains(groups, group) {
			groups = append(groups, group)
		}
	}
	organizations, err := g.listed(in.Organizations)
	if err != nil {
		return nil, err
	}
	adminOf, err := g.listed(in.AdminOf)
	if err != nil {
		return nil, err
	}
	return func(u *User) {
		if organizations != nil {
			u.Organizations = organizations
		}
		if display != "" {
			u.DisplayName = display
		}
		if email != "" && email != u.Email {
			u.Email, u.EmailVerified = email, false // rule B38
		}
		if phone != "" && phone != u.Phone {
			u.Phone, u.PhoneVerified = phone, false
		}
		if groups != nil {
			u.Groups = groups
		}
		if adminOf != nil {
			u.AdminOf = adminOf
		}
		u.Admin = u.Admin || in.Role == RoleAdmin
		u.Auditor = u.Auditor || in.Role == RoleAuditor
	}, nil
}

// listed returns organizations that there are, each once. ErrNotFound, ErrLimit.
func (g *Gate) listed(ids []OrganizationID) ([]OrganizationID, error) {
	if err := g.checkOrganizations(ids); err != nil {
		return nil, err
	}
	var list []OrganizationID
	for _, id := range ids {
		if !slices.Contains(list, id) {
			list = append(list, id)
		}
	}
	if len(list) > MaxOrganizations {
		return nil, ErrLimit
	}
	return list, nil
}

// cleanPhone returns a number as it is kept. Where no text messages are sent, nobody has
// said which countries' numbers are meant, and it has to be written with its own: it is
// looked at again before anything is sent there. ErrName, ErrCountry.
func (g *Gate) cleanPhone(s string) (string, error) {
	s = strings.TrimSpace(s)
	if s == "" {
		return "", nil
	}
	if g.cfg.SentCodes != nil && g.cfg.Post.Channels().Has(SMS) {
		return g.cfg.SentCodes.Address(SMS, s)
	}
	digits, ok := strings.CutPrefix(strings.NewReplacer(" ", "", "-", "").Replace(s), "+")
	if !ok || len(digits) < 7 || len(digits) > 15 || digits[0] == '0' || strings.Trim(digits, "0123456789") != "" {
		return "", ErrName
	}
	return "+" + digits, nil
}
