package mfa

import (
	"context"
	"errors"
	"fmt"
	"time"
)

// ForgottenLife is how long a link for a forgotten password is good.
const ForgottenLife = 30 * time.Minute

// ForgotPassword sends a link for a new password to the verified address of a local
// account, if there is such an account; it answers the same, at the same speed, if
// there is none (rule B39, AC-116). link makes the address of the page from the
// secret. ErrNotAllowed where there is nothing to send with, *ThrottledError of the
// network.
func (g *Gate) ForgotPassword(ctx context.Context, at *Place, name string, link func(token string) string) error {
	if !g.CanForget() {
		return ErrNotAllowed
	}
	if err := g.count(ctx, startCounters(at.Network)...); err != nil {
		return err
	}
	means, err := g.find(ctx, g.source(LocalSource), name)
	if err != nil {
		return err
	}
	u := means.user
	sent := false
	defer func() { g.record(ctx, at, nil, u, Event{Name: EventForgotten, OK: sent}) }()
	// What is written for somebody is written for nobody as well, so that the time
	// tells nothing: budgets, a link, a record.
	nobody := g.unknownNameCounter("forgotten", name).key
	own, address, by := nobody, nobody, stranger
	can := u != nil && !u.Disabled && u.EmailVerified && u.Email != "" && len(u.Password) > 0 && g.recovers(u, Email)
	if can {
		// Strangers use up what is sent for any browser, not what is for the owner's.
		own, address, by = string(u.ID)+":"+g.knownDevice(at, holderOf(u)), u.Email, g.askerOf(at, u)
	}
	counters := append([]counter{{key: "forgotten:" + own, window: 24 * time.Hour, budget: 3}}, g.addressCounters(Email, address, by)...)
	var throttled *ThrottledError
	if err = g.count(ctx, counters...); err != nil && !errors.As(err, &throttled) {
		return err
	}
	can = can && err == nil
	var user UserID
	var mailbox Secret
	if can {
		user, mailbox = u.ID, Secret(u.Email)
	}
	token, id, err := g.makeLink(ctx, ForForgotten, user, ForgottenLife, mailbox)
	if err != nil {
		return err
	}
	if !can {
		return g.count(ctx, counter{key: "forgotten:nobody:" + nobody, window: ForgottenLife, budget: 1 << 30})
	}
	err = g.cfg.Store.UpdateUser(ctx, u.ID, func(u *User) error {
		u.Link = id
		return nil
	})
	if err != nil {
		return fmt.Errorf("keeping link: %w", err)
	}
	l := g.letter(at, u, LetterPasswordReset, Email, u.Email)
	l.Link, l.Life = Secret(link(token)), ForgottenLife
	sent = g.cfg.Post.Queue(l)
	return nil
}

// CanForget reports whether a forgotten password can be mended by mail here.
func (g *Gate) CanForget() bool {
	return g.cfg.Passwords != nil && g.source(LocalSource) != nil && g.cfg.Post.Channels().Has(Email)
}
