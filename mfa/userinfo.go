package mfa

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"
)

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
	Source        string           `json:"source,omitempty"`        // the identity source that they sign in at
	// BySource are the organizations that the source says they are a member of.
	BySource []OrganizationID `json:"organizations_by_source,omitempty"`
	// ByAddress are the organizations whose domain the verified address has.
	ByAddress  []OrganizationID `json:"organizations_by_address,omitempty"`
	Admin      bool             `json:"admin"`
	Auditor    bool             `json:"auditor"`
	AdminOf    []OrganizationID `json:"admin_of,omitempty"`
	Disabled   bool             `json:"disabled"`
	Locked     bool             `json:"locked"`  // until an administrator unlocks them
	Invited    bool             `json:"invited"` // never chose a password, where their accounts are kept here
	OptedOut   bool             `json:"opted_out"`
	Skipped    bool             `json:"skipped"`
	Created    time.Time        `json:"created"`
	LastSignIn time.Time        `json:"last_sign_in,omitzero"`
	LastHost   string           `json:"last_host,omitempty"`
	Factors    []FactorInfo     `json:"factors"`
	Sessions   int              `json:"sessions"`
	Remembered int              `json:"remembered_devices"` // that stand for a second factor now
	AppTokens  int              `json:"app_tokens"`         // those that are over included
	Enrollment Enrollment       `json:"-"`                  // as it holds for this user (rule B17)
	// Beyond says that it takes an administrator of the whole gateway to change this user
	// (ErrRole).
	Beyond bool `json:"-"`
	// PasswordLocked says that wrong passwords stopped the account;
	// PasswordLockedUntil until when, zero: until an administrator unlocks it.
	PasswordLocked      bool      `json:"password_locked"`
	PasswordLockedUntil time.Time `json:"password_locked_until,omitzero"`
}

// FactorInfo is one credential as administrators see it.
type FactorInfo struct {
	ID       CredentialID `json:"id"`
	Kind     Kind         `json:"kind"`
	Name     string       `json:"name,omitempty"`
	Created  time.Time    `json:"created"`
	LastUsed time.Time    `json:"last_used,omitzero"`
	Left     int          `json:"left,omitempty"` // of backup codes
	Host     string       `json:"host,omitempty"` // of a passkey
	Locked   bool         `json:"locked"`
	// LockedUntil is when a lock ends by itself; zero: never.
	LockedUntil time.Time `json:"locked_until,omitzero"`
}

// UserFilter is which users an administrator wants to see. The zero value is everybody.
type UserFilter struct {
	Search string // what a name, an address or a word of the display name begins with
	// Factor is one that they hold; NoFactor are those without a primary one.
	Factor   Kind
	NoFactor bool
	// Organization is the one that they are members of, by hand or by address.
	Organization OrganizationID
	// Facet is one more thing that holds of them, or "".
	Facet Facet
	// Enabled leaves out who is disabled.
	Enabled bool
}

// listCalls bounds how often the store is asked for one page: each call looks at so many
// users and no more, whether they match or not.
const listCalls = 16

// Users returns at most limit users, in the order of their names, or of what was searched
// for, after the cursor, and the cursor of the next page ("" at the end). Where many have
// to be looked at for few that match, a page may be short and goes on behind its cursor
// all the same. Sessions, remembered devices and locks of a time are not counted in a list.
// ErrCursor, ErrNotFound of the organization.
func (a *Administration) Users(ctx context.Context, f UserFilter, after string, limit int) (page []UserInfo, next string, err error) {
	if err := a.may(ReadUsers, nil); err != nil {
		return nil, "", err
	}
	q, err := a.query(f)
	if err != nil {
		return nil, "", err
	}
	page, next = []UserInfo{}, after
	for range listCalls {
		var part []*User
		if part, next, err = a.g.cfg.Store.ListUsers(ctx, q, next, limit-len(page)); err != nil {
			return nil, "", err
		}
		for _, u := range part {
			page = append(page, a.userInfo(u))
		}
		if next == "" || len(page) >= limit {
			break
		}
	}
	return page, next, nil
}

// query says it to the store, and keeps an organization's administrator inside of it.
func (a *Administration) query(f UserFilter) (UserQuery, error) {
	q := UserQuery{Search: strings.ToLower(strings.TrimSpace(f.Search))}
	of := f.Organization
	if own := a.actor.Organization; own != "" {
		if of != "" && of != own {
			return q, ErrNotFound
		}
		of = own
	}
	var sets, members []Facet
	if f.Factor != "" || f.NoFactor {
		for k := range allKinds + 1 {
			if f.NoFactor && k&PrimaryKinds == 0 || f.Factor != "" && k.Has(f.Factor) {
				sets = append(sets, FacetHolds(k))
			}
		}
	}
	if of != "" {
		var err error
		if members, err = a.g.membersOf(of); err != nil {
			return q, err
		}
	}
	switch {
	case of != "" && sets != nil:
		q.Where = append(q.Where, bothOf(members, sets))
	case of != "":
		q.Where = append(q.Where, members)
	case sets != nil:
		q.Where = append(q.Where, sets)
	}
	if f.Facet != "" {
		// Most of these are few.
		q.Where = append([][]Facet{{f.Facet}}, q.Where...)
	}
	if f.Enabled {
		q.Not = append(q.Not, FacetDisabled)
	}
	return q, nil
}

// membersOf returns the facets of the members of an organization.
func (g *Gate) membersOf(id OrganizationID) ([]Facet, error) {
	p := g.cfg.Policy()
	if p == nil || p.Organizations.Find(id) == nil {
		return nil, fmt.Errorf("organization %s: %w", strings.ToValidUTF8(string(id), "?"), ErrNotFound)
	}
	list := []Facet{FacetOrganization(id)}
	for _, d := range p.Organizations.Find(id).Domains {
		list = append(list, FacetDomain(d))
	}
	return list, nil
}

// Find returns the user of that name, or of an address that they have proven. ErrNotFound.
func (a *Administration) Find(ctx context.Context, name string) (*UserInfo, error) {
	u, err := a.named(ctx, name)
	if err != nil {
		return nil, err
	}
	return a.info(ctx, u)
}

// FindID is Find for who wants to change something and needs nothing but the ID. That
// nobody has the name is recorded, like everything that was tried.
func (a *Administration) FindID(ctx context.Context, name string) (UserID, error) {
	u, err := a.named(ctx, name)
	if err != nil {
		e := a.event(nil, Event{Name: EventAdmin, Reason: reasonOf(err), UserName: name, Detail: "find"})
		a.g.cfg.Events.Record(ctx, e)
		return "", err
	}
	return u.ID, nil
}

func (a *Administration) named(ctx context.Context, name string) (*User, error) {
	if !a.actor.Powers.Has(ReadUsers) {
		return nil, ErrNotAllowed
	}
	u, err := a.g.userNamed(ctx, name)
	if err == nil {
		err = a.may(ReadUsers, u)
	}
	return u, errUser(err, name)
}

// User returns one user with sessions and locks counted. ErrNotFound.
func (a *Administration) User(ctx context.Context, id UserID) (*UserInfo, error) {
	u, err := a.user(ctx, ReadUsers, id)
	if err != nil {
		return nil, err
	}
	return a.info(ctx, u)
}

func (a *Administration) info(ctx context.Context, u *User) (*UserInfo, error) {
	g := a.g
	info := a.userInfo(u)
	p := g.policyOf(u)
	for _, o := range p.Organizations.ofDomain(u.AsSubject().Email) {
		info.ByAddress = append(info.ByAddress, a.seen([]OrganizationID{o.ID})...)
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
	var err error
	if info.PasswordLocked, info.PasswordLockedUntil, err = until(Password); err != nil {
		return nil, err
	}
	for i := range info.Factors {
		f := &info.Factors[i]
		if f.Locked, f.LockedUntil, err = until(f.Kind); err != nil {
			return nil, err
		}
	}
	sessions, err := a.sessions(ctx, u)
	info.Sessions = len(sessions)
	return &info, err
}

// Sessions returns the user's sessions, newest first. ErrNotFound.
func (a *Administration) Sessions(ctx context.Context, id UserID) ([]SessionInfo, error) {
	u, err := a.user(ctx, ReadUsers, id)
	if err != nil {
		return nil, err
	}
	return a.sessions(ctx, u)
}

func (a *Administration) sessions(ctx context.Context, u *User) ([]SessionInfo, error) {
	sessions, err := a.g.cfg.Store.UserSessions(ctx, u.ID)
	if err != nil {
		return nil, fmt.Errorf("reading sessions: %w", err)
	}
	list := []SessionInfo{}
	for _, s := range sessions {
		if s.Complete && !s.Over(a.g.now()) && s.Generation == u.Generation {
			list = append(list, SessionInfo{
				Handle: s.handle(), Host: s.Scope, Agent: s.Agent, Network: s.Network, Created: s.Created, LastSeen: s.LastSeen,
			})
		}
	}
	return list, nil
}

// seen returns those of the organizations that the actor may know of: in which others a
// member is, is not for an organization's administrator to see (rule B5).
func (a *Administration) seen(list []OrganizationID) []OrganizationID {
	own := a.actor.Organization
	if own == "" {
		return list
	}
	return slices.DeleteFunc(slices.Clone(list), func(id OrganizationID) bool { return id != own })
}

func (a *Administration) userInfo(u *User) UserInfo {
	info := UserInfo{
		ID: u.ID, Name: u.Name, DisplayName: u.DisplayName, Email: u.Email, Verified: u.EmailVerified,
		Phone: u.Phone, PhoneVerified: u.PhoneVerified, Groups: u.Groups, Organizations: a.seen(u.Organizations), Admin: u.Admin, Auditor: u.Auditor, AdminOf: a.seen(u.AdminOf), Disabled: u.Disabled, Locked: len(u.Locked) > 0, Invited: u.Source == LocalSource && len(u.Password) == 0,
		Source: u.Source, BySource: a.seen(u.SourceOrganizations),
		OptedOut: u.OptedOut, Skipped: u.SkippedPrompt != "", Created: u.Created, LastSignIn: u.LastSignIn, LastHost: u.LastHost,
		AppTokens: len(u.AppTokens), Factors: []FactorInfo{}, Beyond: errors.Is(a.may(ChangeUsers, u), ErrRole),
	}
	for _, c := range u.Credentials {
		info.Factors = append(info.Factors, FactorInfo{
			ID: c.ID, Kind: c.Kind, Name: c.Name, Created: c.Created, LastUsed: c.LastUsed, Left: c.Left, Host: c.RPID,
		})
	}
	return info
}
