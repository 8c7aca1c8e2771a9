package mfa

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"
)

// SetupLink makes a link that creates an administrator's account, good once for
// SetupLinkLife. Whoever may run commands on the machine may make one.
func (g *Gate) SetupLink(ctx context.Context) (token string, err error) {
	token, _, err = g.makeLink(ctx, ForSetupLink, "", SetupLinkLife, nil)
	g.admin(ctx, nil, "", "setup-link", err)
	return token, err
}

// InviteInput is whom an invitation is for.
type InviteInput struct {
	Name        string
	DisplayName string
	Email       string
	Phone       string // it is not verified, and so it signs nobody in
	Groups      []string
	Admin       bool
	// Organizations are those that the person will be a member of.
	Organizations []OrganizationID
}

// Invite reserves the name and makes a link with which the person chooses a
// password, good once for InvitationLife. For somebody who was invited and never
// came, it makes a new link, the old one dies, and what in says holds beside what
// was said before. ErrName, ErrCountry, ErrNameTaken, ErrNotFound of an organization,
// ErrLimit.
func (g *Gate) Invite(ctx context.Context, in InviteInput) (token string, err error) {
	token, u, err := g.invite(ctx, in)
	g.admin(ctx, u, in.Name, "invite", err)
	return token, err
}

func (g *Gate) invite(ctx context.Context, in InviteInput) (string, *User, error) {
	display, err := cleanText(in.DisplayName)
	if err != nil {
		return "", nil, fmt.Errorf("display name: %w", err)
	}
	email, err := cleanEmail(in.Email)
	if err != nil {
		return "", nil, fmt.Errorf("e-mail address: %w", err)
	}
	phone, err := g.cleanPhone(in.Phone)
	if err != nil {
		return "", nil, fmt.Errorf("phone number: %w", err)
	}
	var groups []string
	for _, group := range in.Groups {
		if group, err = cleanText(group); err != nil || group == "" {
			return "", nil, fmt.Errorf("group: %w", ErrName)
		}
		if !slices.Contains(groups, group) {
			groups = append(groups, group)
		}
	}
	if err := g.checkOrganizations(in.Organizations); err != nil {
		return "", nil, err
	}
	var organizations []OrganizationID
	for _, id := range in.Organizations {
		if !slices.Contains(organizations, id) {
			organizations = append(organizations, id)
		}
	}
	if len(organizations) > MaxOrganizations {
		return "", nil, ErrLimit
	}
	fill := func(u *User) {
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
		u.Admin = u.Admin || in.Admin
	}
	u, err := g.newLocalUser(ctx, in.Name)
	if errors.Is(err, ErrNameTaken) {
		return g.inviteAgain(ctx, in.Name, fill)
	}
	if err != nil {
		return "", nil, err
	}
	fill(u)
	token, id, err := g.makeLink(ctx, ForInvitation, u.ID, InvitationLife, nil)
	if err != nil {
		return "", nil, err
	}
	u.Link = id
	if err := g.cfg.Store.CreateUser(ctx, u); errors.Is(err, ErrTaken) {
		return "", nil, ErrNameTaken
	} else if err != nil {
		return "", nil, fmt.Errorf("making the account: %w", err)
	}
	return token, u, nil
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

func (g *Gate) inviteAgain(ctx context.Context, name string, fill func(*User)) (string, *User, error) {
	u, err := g.localUser(ctx, name)
	if err != nil {
		return "", nil, err
	}
	token, id, err := g.makeLink(ctx, ForInvitation, u.ID, InvitationLife, nil)
	if err != nil {
		return "", nil, err
	}
	return token, u, g.cfg.Store.UpdateUser(ctx, u.ID, func(u *User) error {
		if len(u.Password) > 0 {
			return ErrNameTaken // the account is in use; reset-password is for that
		}
		fill(u)
		u.Link = id
		return nil
	})
}

// ResetPassword makes a link with which the user chooses a new password, good
// once for InvitationLife. Factors stay as they are: the link replaces the
// password and nothing else.
func (g *Gate) ResetPassword(ctx context.Context, name string) (token string, err error) {
	u, err := g.localUser(ctx, name)
	if err == nil {
		var id string
		if token, id, err = g.makeLink(ctx, ForPasswordReset, u.ID, InvitationLife, nil); err == nil {
			err = g.cfg.Store.UpdateUser(ctx, u.ID, func(u *User) error {
				u.Link = id
				return nil
			})
		}
	}
	g.admin(ctx, u, name, "reset-password", err)
	if err != nil {
		return "", err
	}
	return token, nil
}

// RemoveFactors removes the user's factors of one kind, or all with "", ends the
// user's sessions and opens enrollment anew (rules B17, B35).
func (g *Gate) RemoveFactors(ctx context.Context, name string, kind Kind) error {
	u, err := g.localUser(ctx, name)
	if err == nil {
		now := g.now()
		reset := Notice{Kind: NoticeReset, At: now, Factor: kind}
		before := u
		defer func() {
			if err == nil {
				g.tell(nil, before, reset)
			}
		}()
		err = g.cfg.Store.UpdateUser(ctx, u.ID, func(u *User) error {
			u.Credentials = slices.DeleteFunc(u.Credentials, func(c Credential) bool {
				return kind == "" || c.Kind == kind
			})
			u.EnrollmentOpened = now
			u.SkippedPrompt, u.SkippedCodes = "", false // asked again (rule B9)
			u.endAll()
			u.notify(reset)
			return nil
		})
	}
	if err == nil {
		err = g.cfg.Store.EndUserSessions(ctx, u.ID, "")
	}
	if err == nil {
		err = g.clearCounters(ctx, u.ID)
	}
	g.admin(ctx, u, name, "remove-factors "+string(kind), err)
	return err
}

// Unlock forgets the failed attempts at the user's password and factors.
func (g *Gate) Unlock(ctx context.Context, name string) error {
	u, err := g.localUser(ctx, name)
	if err == nil {
		err = g.clearCounters(ctx, u.ID)
	}
	g.admin(ctx, u, name, "unlock", err)
	return err
}

func (g *Gate) clearCounters(ctx context.Context, id UserID) error {
	keys := []string{factorKey(id, Password)}
	for _, k := range []Kind{"enroll_totp", "enroll_sms", "enroll_email", "confirm", "pass", "sign_in_email", "sign_in_sms"} {
		keys = append(keys, factorKey(id, k))
	}
	for _, k := range kinds {
		keys = append(keys, factorKey(id, k))
	}
	return g.clear(ctx, keys...)
}

// SetDisabled disables a user, which ends all sessions, or enables one again.
func (g *Gate) SetDisabled(ctx context.Context, name string, disabled bool) error {
	u, err := g.localUser(ctx, name)
	if err == nil {
		err = g.cfg.Store.UpdateUser(ctx, u.ID, func(u *User) error {
			u.Disabled = disabled
			if disabled {
				u.Link = ""
				u.endAll()
			}
			return nil
		})
	}
	if err == nil && disabled {
		err = g.cfg.Store.EndUserSessions(ctx, u.ID, "")
	}
	detail := "enable"
	if disabled {
		detail = "disable"
	}
	g.admin(ctx, u, name, detail, err)
	return err
}

// localUser finds a user by name, or by an address that they have proven: who signed up
// with one has no other name. ErrNotFound.
func (g *Gate) localUser(ctx context.Context, name string) (*User, error) {
	src := g.source(LocalSource)
	if src == nil {
		return nil, ErrNotAllowed
	}
	_, u, err := g.find(ctx, src, name)
	if err == nil && u == nil {
		err = ErrNotFound
	}
	return u, errUser(err, name)
}

// admin records what an administrator did. name is what was asked for, where
// there is no such user.
func (g *Gate) admin(ctx context.Context, u *User, name, what string, err error) {
	g.record(ctx, nil, nil, u, Event{Name: EventAdmin, OK: err == nil, Reason: reasonOf(err), UserName: name, Detail: strings.TrimSpace(what)})
}

// UserInfo is one user as administrators see it: no secret is in it.
type UserInfo struct {
	ID            UserID           `json:"id"`
	Name          string           `json:"name"`
	DisplayName   string           `json:"display_name,omitempty"`
	Email         string           `json:"email,omitempty"`
	Verified      bool             `json:"email_verified"`
	Phone         string           `json:"phone,omitempty"`
	PhoneVerified bool             `json:"phone_verified"`
	Groups        []string         `json:"groups,omitempty"`
	Organizations []OrganizationID `json:"organizations,omitempty"` // by hand or by invitation
	// ByAddress are the organizations whose domain the verified address has.
	ByAddress  []OrganizationID `json:"organizations_by_address,omitempty"`
	Admin      bool             `json:"admin"`
	Disabled   bool             `json:"disabled"`
	Invited    bool             `json:"invited"` // never chose a password
	OptedOut   bool             `json:"opted_out"`
	Skipped    bool             `json:"skipped"`
	Created    time.Time        `json:"created"`
	LastSignIn time.Time        `json:"last_sign_in,omitzero"`
	Factors    []FactorInfo     `json:"factors"`
	Sessions   int              `json:"sessions"`
	Remembered int              `json:"remembered_devices"` // that stand for a second factor now
	Enrollment Enrollment       `json:"-"`                  // as it holds for this user (rule B17)
	// PasswordLocked says that wrong passwords stopped the account;
	// PasswordLockedUntil until when, zero: until an administrator unlocks it.
	PasswordLocked      bool      `json:"password_locked"`
	PasswordLockedUntil time.Time `json:"password_locked_until,omitzero"`
}

// FactorInfo is one credential as administrators see it.
type FactorInfo struct {
	Kind     Kind      `json:"kind"`
	Name     string    `json:"name,omitempty"`
	Created  time.Time `json:"created"`
	LastUsed time.Time `json:"last_used,omitzero"`
	Left     int       `json:"left,omitempty"` // of backup codes
	Host     string    `json:"host,omitempty"` // of a passkey
	Locked   bool      `json:"locked"`
	// LockedUntil is when a lock ends by itself; zero: never.
	LockedUntil time.Time `json:"locked_until,omitzero"`
}

// Users lists users by name; see Users.ListUsers. Sessions, remembered devices and locks
// are not counted in a list.
func (g *Gate) Users(ctx context.Context, prefix, after string, limit int) ([]UserInfo, string, error) {
	page, next, err := g.cfg.Store.ListUsers(ctx, UserQuery{Search: strings.ToLower(prefix)}, after, limit)
	if err != nil {
		return nil, "", err
	}
	list := make([]UserInfo, 0, len(page))
	for _, u := range page {
		list = append(list, userInfo(u))
	}
	return list, next, nil
}

// UserInfo returns one user with sessions and locks counted. ErrNotFound.
func (g *Gate) UserInfo(ctx context.Context, name string) (*UserInfo, error) {
	u, err := g.localUser(ctx, name)
	if err != nil {
		return nil, err
	}
	info := userInfo(u)
	p := g.policyOf(u)
	for _, o := range p.Organizations.ofDomain(u.AsSubject().Email) {
		info.ByAddress = append(info.ByAddress, o.ID)
	}
	for _, d := range u.Remembered {
		if p.RememberDevice > 0 && g.now().Sub(d.Proven) <= p.RememberDevice {
			info.Remembered++
		}
	}
	info.Enrollment = p.Enrollment
	until := func(k Kind) (bool, time.Time, error) {
		wait, locked, err := g.lockedUntil(ctx, nil, u, k)
		if wait == 0 {
			return locked, time.Time{}, err
		}
		return locked, g.now().Add(wait), err
	}
	if info.PasswordLocked, info.PasswordLockedUntil, err = until(Password); err != nil {
		return nil, err
	}
	for i := range info.Factors {
		f := &info.Factors[i]
		if f.Locked, f.LockedUntil, err = until(f.Kind); err != nil {
			return nil, err
		}
	}
	sessions, err := g.cfg.Store.UserSessions(ctx, u.ID)
	if err != nil {
		return nil, err
	}
	for _, s := range sessions {
		if s.Complete && g.now().Before(s.Expires) {
			info.Sessions++
		}
	}
	return &info, nil
}

func userInfo(u *User) UserInfo {
	info := UserInfo{
		ID: u.ID, Name: u.Name, DisplayName: u.DisplayName, Email: u.Email, Verified: u.EmailVerified,
		Phone: u.Phone, PhoneVerified: u.PhoneVerified, Groups: u.Groups, Organizations: u.Organizations, Admin: u.Admin, Disabled: u.Disabled, Invited: len(u.Password) == 0,
		OptedOut: u.OptedOut, Skipped: u.SkippedPrompt != "", Created: u.Created, LastSignIn: u.LastSignIn,
		Factors: []FactorInfo{},
	}
	for _, c := range u.Credentials {
		info.Factors = append(info.Factors, FactorInfo{
			Kind: c.Kind, Name: c.Name, Created: c.Created, LastUsed: c.LastUsed, Left: c.Left, Host: c.RPID,
		})
	}
	return info
}
