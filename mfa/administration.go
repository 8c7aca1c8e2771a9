package mfa

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"
)

// What administrators are told besides the Gate's own answers.
var (
	// ErrSelf says that nobody does that to their own account here: the account page is
	// for that, or another administrator.
	ErrSelf = errors.New("not to your own account")
	// ErrRole says that the user has a role, or is a member of other organizations too, so
	// that it takes an administrator of the whole gateway.
	ErrRole = errors.New("it takes an administrator of the whole gateway")
	// ErrLastAdministrator says that nobody would be left who can administrate.
	ErrLastAdministrator = errors.New("nobody would be left who can administrate")
)

// Actor is who administrates: a user, a program with a key, or whoever runs commands on
// the machine. The zero value may do nothing.
type Actor struct {
	Powers Powers
	// Organization, where it is not empty, is the only one whose members are reached.
	Organization OrganizationID
	// User is who it is, or who made the key; empty: nobody who has an account here.
	User UserID
	// Name says for the record who it is: "alice", "key deploy of alice", "command line".
	Name    string
	Network string
	Host    string
	Session string // truncated hash of the session's ID

	key   string    // the ID of the key, where it is a program with one
	until time.Time // … and its end
}

// OnMachine returns the actor of commands on the machine itself. Whoever may run them may
// read the store anyway.
func OnMachine() Actor { return Actor{Powers: allPowers, Name: "command line"} }

// Administration is what administrators do, as one actor may do it. Each method asks first
// whether the actor may, in one place, and what changes something is kept as an event
// before it is done. It is safe for concurrent use.
//
// Every method may answer ErrNotAllowed, ErrRole or ErrSelf, and ErrNotFound for users whom the actor
// does not reach: nobody is to see the difference between another organization's user and
// none.
type Administration struct {
	g     *Gate
	actor Actor
}

// As returns the administration as that actor may use it.
func (g *Gate) As(a Actor) *Administration { return &Administration{g, a} }

// Actor returns who administrates.
func (a *Administration) Actor() Actor { return a.actor }

// may reports with nil that the actor may do something, to the user where there is one.
func (a *Administration) may(need Powers, u *User) error {
	switch {
	case !a.actor.Powers.Has(need):
		return ErrNotAllowed
	case u == nil:
		if a.actor.Organization != "" && need&^organizationPowers != 0 {
			return ErrNotAllowed
		}
		return nil
	case !a.reaches(u):
		return ErrNotFound
	case need&ChangeUsers == 0:
		return nil
	case u.hasRole() && !a.actor.Powers.Has(ManageRoles):
		// Whoever may make somebody's password or factors new may become them.
		return ErrRole
	case a.actor.Organization == "":
		return nil
	}
	// An account that other organizations trust as well is not this one's to reset.
	for _, o := range a.g.organizationsOf(u) {
		if o != a.actor.Organization {
			return ErrRole
		}
	}
	return nil
}

// reaches reports whether the user is one of those whom the actor sees.
func (a *Administration) reaches(u *User) bool {
	of := a.actor.Organization
	if of == "" {
		return true
	}
	p := a.g.cfg.Policy()
	return p != nil && p.Organizations.member(of, u.AsSubject()) != nil
}

// organizationsOf returns the organizations of the user, those that are not there any
// more included: they come back with their members.
func (g *Gate) organizationsOf(u *User) []OrganizationID {
	list := slices.Clone(u.memberships())
	if p := g.cfg.Policy(); p != nil {
		for _, o := range p.Organizations.ofDomain(u.AsSubject().Email) {
			list = append(list, o.ID)
		}
	}
	return list
}

// own reports with nil that the user is not the actor.
func (a *Administration) own(u *User) error {
	if a.actor.User != "" && a.actor.User == u.ID {
		return ErrSelf
	}
	return nil
}

// user loads a user for something that the actor wants to do.
func (a *Administration) user(ctx context.Context, need Powers, id UserID) (*User, error) {
	if !a.actor.Powers.Has(need) {
		return nil, ErrNotAllowed
	}
	u, err := a.g.cfg.Store.User(ctx, id)
	if err != nil {
		return nil, err
	}
	return u, a.may(need, u)
}

// change does something to a user that is not the actor's own account, and keeps it as an
// event before.
func (a *Administration) change(ctx context.Context, id UserID, what string, do func(u *User) error) error {
	return a.changeAny(ctx, id, what, func(u *User) error { return a.own(u) }, do)
}

// changeAny is change with another condition on the user; nil: none.
func (a *Administration) changeAny(ctx context.Context, id UserID, what string, check func(*User) error, do func(u *User) error) error {
	u, err := a.user(ctx, ChangeUsers, id)
	if err == nil && check != nil {
		err = check(u)
	}
	if err != nil {
		a.refused(ctx, u, what, err)
		return err
	}
	return a.act(ctx, u, what, func() error { return do(u) })
}

// update is UpdateUser where the actor may still change the user as the record stands in
// the write: somebody may have made them an administrator since, or a member elsewhere.
func (a *Administration) update(ctx context.Context, id UserID, change func(*User) error) error {
	return a.g.cfg.Store.UpdateUser(ctx, id, func(u *User) error {
		if err := a.may(ChangeUsers, u); err != nil {
			return err
		}
		return change(u)
	})
}

// act keeps the event and then does it. What nobody could be held to is not done (AC-231).
func (a *Administration) act(ctx context.Context, u *User, what string, do func() error) error {
	if err := a.keep(ctx, u, Event{Name: EventAdmin, OK: true, Detail: strings.TrimSpace(what)}); err != nil {
		return fmt.Errorf("keeping the record of it, without which it is not done: %w", err)
	}
	err := do()
	if err != nil {
		a.refused(ctx, u, what, err)
	}
	return err
}

// refused records what was not done.
func (a *Administration) refused(ctx context.Context, u *User, what string, err error) {
	a.g.cfg.Events.Record(ctx, a.event(u, Event{Name: EventAdmin, Reason: reasonOf(err), Detail: strings.TrimSpace(what)}))
}

func (a *Administration) keep(ctx context.Context, u *User, e Event) error {
	return a.g.cfg.Events.Keep(ctx, a.event(u, e))
}

func (a *Administration) event(u *User, e Event) Event {
	e.At, e.Actor, e.ActorID = a.g.now(), a.actor.Name, a.actor.User
	e.Network, e.Host, e.Session = a.actor.Network, a.actor.Host, a.actor.Session
	if u != nil {
		e.User, e.UserName = u.ID, u.Name
	}
	return e
}
