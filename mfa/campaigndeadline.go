package mfa

import (
	"context"
	"errors"
	"fmt"
)

// finishCampaign deals with the deadline.
func (g *Gate) finishCampaign(ctx context.Context, c *Campaign) error {
	note, whole, reason := "", "", ""
	if c.Require {
		err := g.requireFor(ctx, c)
		if reason = reasonOf(err); reason == "fault" {
			return err // the next pass tries again
		}
		if err != nil {
			const not = "a second factor was not made a requirement: "
			note, whole = not+err.Error(), not+err.Error()
			if lockout := new(LockoutError); errors.As(err, &lockout) {
				// An organization's administrators read it, and the gateway's are none of
				// their business: who they are, and which of them has no factor.
				note = not + "no administrator could sign in any more; the audit log says who"
			}
		}
	}
	err := g.cfg.Store.UpdateCampaign(ctx, c.Organization, func(now *Campaign) error {
		if !now.Started.Equal(c.Started) || !now.Done.IsZero() || !now.Deadline.Equal(c.Deadline) {
			return errOver
		}
		now.Done, now.Note, now.Cursor = g.now(), note, ""
		return nil
	})
	if err != nil {
		return unlessGone(err)
	}
	g.record(ctx, nil, nil, nil, Event{Name: EventCampaign, OK: note == "", Reason: reason, Detail: "deadline" + ofWhom(c.Organization) + ": " + doneWords(c, whole)})
	return nil
}

func doneWords(c *Campaign, note string) string {
	switch {
	case note != "":
		return note
	case c.Require:
		return "a second factor is required"
	}
	return "nothing was to be done"
}

// requireFor switches "require" on, as an administrator would, with the same guards:
// *LockoutError where no administrator could sign in any more.
func (g *Gate) requireFor(ctx context.Context, c *Campaign) error {
	a := g.As(Actor{Powers: ChangeOrganizations | ChangePolicy, Name: "campaign, started by " + c.By})
	if c.Organization != "" {
		return a.requireOf(ctx, c.Organization)
	}
	p := g.cfg.Policy()
	switch {
	case p == nil:
		return errors.New("no policy")
	case !p.Optional:
		return nil
	case g.cfg.Policies == nil:
		return ErrNotAllowed
	}
	return a.changePolicy(ctx, "policy set require on", false, func(s *PolicySettings) error {
		optional := false
		// A prompt has a meaning only where nothing requires a factor.
		s.Optional, s.Prompt = &optional, nil
		return nil
	})
}

// requireOf makes a second factor a requirement of an organization, and changes nothing
// else of it.
func (a *Administration) requireOf(ctx context.Context, of OrganizationID) error {
	what := "set organization " + string(of) + ": require"
	return a.withRoles(ctx, nil, what, func(ctx context.Context) error { return a.requireNow(ctx, of, what) })
}

// requireNow is requireOf with the lock held.
func (a *Administration) requireNow(ctx context.Context, of OrganizationID, what string) error {
	p := a.g.cfg.Policy()
	if p == nil {
		return errors.New("no policy")
	}
	o := p.Organizations.Find(of)
	switch {
	case o == nil:
		return fmt.Errorf("organization %s: %w", of, ErrNotFound)
	case o.Require:
		return nil
	case o.Declared:
		return fmt.Errorf("organization %s: %w: the configuration declares it; change it there", of, ErrNotAllowed)
	}
	stricter, after := *o, *p
	stricter.Require = true
	after.Organizations = p.Organizations.with(&stricter)
	err := a.may(ChangeOrganizations, nil)
	if err == nil {
		err = a.g.checkLockout(ctx, p, &after)
	}
	if err != nil {
		a.refused(ctx, nil, what, err)
		return err
	}
	return a.act(ctx, nil, what, func() error {
		return a.g.cfg.Store.UpdateOrganization(ctx, of, func(o *Organization) error {
			o.Require = true
			if err := o.Validate(p); err != nil {
				return &OrganizationError{err}
			}
			return nil
		})
	})
}
