package mfa

import (
	"context"
	"fmt"
	"slices"
	"strings"
)

// SetupLink makes a link that creates an administrator's account, good once for
// SetupLinkLife. Whoever may run commands on the machine may make one.
func (g *Gate) SetupLink(ctx context.Context) (token string, err error) {
	a := g.As(OnMachine())
	if g.cfg.Passwords == nil {
		return "", ErrNoLocal
	}
	err = a.act(ctx, nil, "setup-link", func() error {
		token, _, err = g.makeLink(ctx, ForSetupLink, "", SetupLinkLife, nil)
		return err
	})
	return token, err
}

// ResetPassword makes a link with which the user chooses a new password, good
// once for InvitationLife. Factors stay as they are: the link replaces the
// password and nothing else. An organization's administrator makes none: with the
// factors removed as well they could become the person.
func (a *Administration) ResetPassword(ctx context.Context, id UserID) (token string, err error) {
	check := func(u *User) error {
		switch {
		case a.actor.Organization != "":
			return ErrRole
		case u.Source != LocalSource:
			return ErrNotAllowed
		}
		return a.own(u)
	}
	err = a.changeAny(ctx, id, "reset-password", check, func(u *User) error {
		t, link, err := a.g.makeLink(ctx, ForPasswordReset, u.ID, InvitationLife, a.warrant())
		if err != nil {
			return err
		}
		token = t
		return a.update(ctx, u.ID, func(u *User) error {
			u.Link = link
			return nil
		})
	})
	if err != nil {
		return "", err
	}
	return token, nil
}

// RemoveFactors removes the user's factors of one kind, or all with "", ends the
// user's sessions and opens enrollment anew (rules B17, B35). Nobody does it to
// themselves: the account page asks for a proof as strong as what goes.
func (a *Administration) RemoveFactors(ctx context.Context, id UserID, kind Kind) error {
	return a.removeFactors(ctx, id, "remove-factors "+string(kind), kind, func(c Credential) bool { return kind == "" || c.Kind == kind })
}

// RemoveFactor is RemoveFactors for one credential. ErrNotFound.
func (a *Administration) RemoveFactor(ctx context.Context, id UserID, cred CredentialID) error {
	u, err := a.user(ctx, ChangeUsers, id)
	what := "remove-factor " + string(cred)
	if err != nil {
		a.refused(ctx, u, what, err)
		return err
	}
	c := u.Credential(cred)
	if c == nil {
		return ErrNotFound
	}
	return a.removeFactors(ctx, id, "remove-factor "+string(c.Kind)+" "+string(cred), c.Kind, func(c Credential) bool { return c.ID == cred })
}

func (a *Administration) removeFactors(ctx context.Context, id UserID, what string, kind Kind, gone func(Credential) bool) error {
	return a.change(ctx, id, what, func(before *User) error {
		now := a.g.now()
		reset := Notice{Kind: NoticeReset, At: now, Factor: kind}
		err := a.update(ctx, id, func(u *User) error {
			u.Credentials = slices.DeleteFunc(u.Credentials, gone)
			u.EnrollmentOpened = now
			u.SkippedPrompt, u.SkippedCodes = "", false // asked again (rule B9)
			u.endAll()
			u.notify(reset)
			return nil
		})
		if err == nil {
			a.g.tell(nil, before, reset)
			err = a.g.cfg.Store.EndUserSessions(ctx, id, "")
		}
		if err == nil {
			err = a.g.clearCounters(ctx, id)
		}
		return err
	})
}

// Unlock forgets the failed attempts at the user's password and factors.
func (a *Administration) Unlock(ctx context.Context, id UserID) error {
	return a.changeAny(ctx, id, "unlock", nil, func(*User) error { return a.g.clearCounters(ctx, id) })
}

// ResetSkip lets the user be asked again for what they skipped (rule B9).
func (a *Administration) ResetSkip(ctx context.Context, id UserID) error {
	return a.changeAny(ctx, id, "reset-skip", nil, func(*User) error {
		return a.update(ctx, id, func(u *User) error {
			u.SkippedPrompt, u.SkippedCodes = "", false
			return nil
		})
	})
}

// EndSessions ends one session of the user, or all with "", and then also what remembered
// browsers stand for. ErrNotFound.
func (a *Administration) EndSessions(ctx context.Context, id UserID, handle string) error {
	what := "end-sessions"
	if handle != "" {
		what = "end-session " + handle
	}
	return a.changeAny(ctx, id, what, nil, func(*User) error {
		if handle != "" {
			return a.g.endLine(ctx, id, handle)
		}
		err := a.update(ctx, id, func(u *User) error {
			u.endAll()
			return nil
		})
		if err == nil {
			err = a.g.cfg.Store.EndUserSessions(ctx, id, "")
		}
		return err
	})
}

func (g *Gate) clearCounters(ctx context.Context, id UserID) error {
	return g.unlock(ctx, id, append([]Kind{Password, "enroll_totp", "enroll_sms", "enroll_email", "confirm", "pass", "sign_in_email", "sign_in_sms"}, kinds[:]...)...)
}

// SetDisabled disables a user, which ends all sessions, or enables one again.
// ErrLastAdministrator, ErrBusy.
func (a *Administration) SetDisabled(ctx context.Context, id UserID, disabled bool) error {
	what := "enable"
	if disabled {
		what = "disable"
	}
	return a.change(ctx, id, what, func(*User) error {
		if !disabled {
			return a.update(ctx, id, func(u *User) error {
				u.Disabled = false
				return nil
			})
		}
		err := a.unlessLast(ctx, id, func(ctx context.Context) error {
			return a.update(ctx, id, func(u *User) error {
				u.Disabled, u.Link = true, ""
				u.endAll()
				return nil
			})
		})
		if err == nil {
			err = a.g.cfg.Store.EndUserSessions(ctx, id, "")
		}
		return err
	})
}

// SetRole makes the user an administrator or an auditor of the whole gateway, or an
// administrator of those organizations, and takes every other role away. It holds on the
// next request. ErrLastAdministrator, ErrNotFound of an organization, ErrLimit, ErrBusy.
func (a *Administration) SetRole(ctx context.Context, id UserID, role Role, of []OrganizationID) error {
	if err := a.may(ManageRoles, nil); err != nil {
		return err
	}
	if role != RoleNone && role != RoleAdmin && role != RoleAuditor {
		return ErrName
	}
	of, err := a.g.listed(of)
	if err != nil {
		return err
	}
	return a.change(ctx, id, "role "+rolesText(role, of), func(*User) error {
		set := func(ctx context.Context) error {
			return a.update(ctx, id, func(u *User) error {
				u.Admin, u.Auditor, u.AdminOf = role == RoleAdmin, role == RoleAuditor, of
				return nil
			})
		}
		if role == RoleAdmin {
			return set(ctx)
		}
		return a.unlessLast(ctx, id, set)
	})
}

func rolesText(role Role, of []OrganizationID) string {
	text := string(role)
	for _, id := range of {
		text += " admin of " + string(id)
	}
	if text = strings.TrimSpace(text); text == "" {
		return "none"
	}
	return text
}

// unlessLast does what takes an administrator away, unless nobody else would be left who
// can sign in. Two who take each other's role away come one after the other, and the second
// is refused.
func (a *Administration) unlessLast(ctx context.Context, id UserID, do func(context.Context) error) error {
	return a.g.withRoles(ctx, func(ctx context.Context) error {
		u, err := a.g.cfg.Store.User(ctx, id)
		if err != nil {
			return err
		}
		if err := a.g.leaves(ctx, u, nil); err != nil {
			return err
		}
		return do(ctx)
	})
}

// leaves reports with nil that somebody is left who can administrate when an
// administrator becomes after, which is none with nil. It is asked within withRoles.
func (g *Gate) leaves(ctx context.Context, u, after *User) error {
	// Who cannot come in is nobody to leave it to.
	now := g.Standing()
	can := func(u *User) bool { return CanSignIn(now.Policy, now.Ways, u, g.now()) }
	if !u.Admin || u.Disabled || after != nil && (can(after) || !can(u)) {
		return nil
	}
	others, err := administrators(ctx, g.cfg.Store, maxLockoutLook)
	if err != nil {
		return err
	}
	others = slices.DeleteFunc(others, func(o *User) bool { return o.ID == u.ID })
	if len(others) == 0 || can(u) && !slices.ContainsFunc(others, can) {
		return ErrLastAdministrator
	}
	return nil
}

// administrators returns administrators of the whole gateway who are enabled, at most so
// many.
func administrators(ctx context.Context, users Users, most int) (list []*User, err error) {
	after := ""
	for {
		var page []*User
		page, after, err = users.ListUsers(ctx, UserQuery{Where: [][]Facet{{FacetRole}}, Not: []Facet{FacetDisabled}}, after, 100)
		if err != nil {
			return nil, fmt.Errorf("listing administrators: %w", err)
		}
		for _, u := range page {
			if u.Admin && len(list) < most {
				list = append(list, u)
			}
		}
		if after == "" || len(list) >= most {
			return list, nil
		}
	}
}

// userNamed finds a user by name, or, of the local accounts, by an address that they have
// proven: who signed up with one has no other name. "SOURCE:NAME" finds those of one source
// alone. ErrNotFound.
func (g *Gate) userNamed(ctx context.Context, name string) (*User, error) {
	source, rest, one := strings.Cut(name, ":")
	if one = one && g.sourceNamed(source).Name() != ""; one {
		name = rest
	}
	var u *User
	var err error
	if src := g.source(LocalSource); src != nil && (!one || source == LocalSource) {
		var means meant
		if means, err = g.find(ctx, src, name); err == nil {
			u = means.user
		}
	}
	if u == nil && err == nil && !(one && source == LocalSource) {
		if clean, wrong := SourceName(strings.Trim(name, " ")); wrong == nil {
			u, err = g.userByKey(ctx, NameKey(clean))
		}
		if u != nil && one && u.Source != source {
			u = nil
		}
	}
	if err == nil && u == nil {
		err = ErrNotFound
	}
	return u, errUser(err, name)
}
