package mfa

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"
)

// Limits of campaigns.
const (
	MaxCampaign    = 366 * 24 * time.Hour
	MaxReminders   = 10
	LastReminder   = 24 * time.Hour // before the deadline, at the latest
	reminderApart  = 24 * time.Hour
	campaignLeeway = time.Minute // between what somebody writes and when it is read
)

// Campaign asks the members of an organization, or everybody, to set up a factor until a
// day (rule B37). There is one for each organization at most.
type Campaign struct {
	Organization OrganizationID `json:"organization,omitempty"` // empty: everybody
	// Factors are those of which one is the goal; 0: any primary factor that is enabled.
	Factors  Kinds     `json:"factors,omitempty"`
	Deadline time.Time `json:"deadline"`
	// Remind says how long before the deadline those who have none get a letter, the
	// longest first.
	Remind []time.Duration `json:"remind,omitempty"`
	// Require switches "require" on at the deadline: of the organization, or of the
	// gateway's policy.
	Require bool      `json:"require,omitempty"`
	Started time.Time `json:"started"`
	By      string    `json:"by,omitempty"`
	// Done is when the deadline was dealt with; zero: not yet. Note says for
	// administrators what was not done then, and why.
	Done time.Time `json:"done,omitzero"`
	Note string    `json:"note,omitempty"`
	// Step is how many reminders were dealt with, and Cursor how far the next one has
	// come, so that a restart goes on there.
	Step   int    `json:"step,omitempty"`
	Cursor string `json:"cursor,omitempty"`
	Sent   int    `json:"sent,omitempty"` // letters
}

// running reports whether the campaign waits for its deadline.
func (c *Campaign) running(now time.Time) bool {
	return !c.Started.IsZero() && c.Done.IsZero() && now.Before(c.Deadline)
}

// goal returns the factors of which one is the goal, as the policy stands; none where
// what the campaign asks for cannot be set up any more.
func (c *Campaign) goal(p *Policy) Kinds {
	if p.Off {
		return 0
	}
	k := enabledFor(p, c.Organization)
	if c.Factors != 0 {
		k &= c.Factors
	}
	return k
}

// reached reports whether somebody who holds those factors has reached the goal. A factor
// that this version does not know counts, as everywhere.
func reached(held, goal Kinds) bool { return held&(goal|unknownKind) != 0 }

// daysUntil returns how many days there are until then, begun ones included.
func daysUntil(then, now time.Time) int {
	return int(max(0, (then.Sub(now)+24*time.Hour-1)/(24*time.Hour)))
}

// CampaignPrompt is what people are told of a campaign whose goal they have not reached.
type CampaignPrompt struct {
	// Organization is who asks, as people know it; empty: the gateway.
	Organization string
	Factors      Kinds // one of these is the goal
	Deadline     time.Time
	DaysLeft     int  // begun ones included: 1 is the last day
	Required     bool // a second factor is required from the deadline on
}

// campaignOf returns the campaign that a user is told of: of those that they are in and
// whose goal they have not reached, the one that ends first; nil: none.
func (g *Gate) campaignOf(ctx context.Context, p *Policy, u *User) (*CampaignPrompt, error) {
	if p.Off {
		return nil, nil
	}
	now := g.now()
	asks := append([]*Organization{nil}, p.Organizations.Of(u.AsSubject())...)
	var first *CampaignPrompt
	for _, o := range asks {
		var of OrganizationID
		var title string
		if o != nil {
			of, title = o.ID, o.Title()
		}
		c, err := g.cfg.Store.Campaign(ctx, of)
		if errors.Is(err, ErrNotFound) {
			continue
		}
		if err != nil {
			return nil, fmt.Errorf("reading a campaign: %w", err)
		}
		goal := c.goal(p)
		if goal == 0 || !c.running(now) || reached(u.Enrolled(), goal) || first != nil && !c.Deadline.Before(first.Deadline) {
			continue
		}
		first = &CampaignPrompt{
			Organization: title, Factors: goal, Deadline: c.Deadline, DaysLeft: daysUntil(c.Deadline, now), Required: c.Require,
		}
	}
	return first, nil
}

// due is when a reminder is due.
func (c *Campaign) due(step int) time.Time { return c.Deadline.Add(-c.Remind[step]) }

// follow takes over from old, which runs, what has been done already: the reminder that
// is under way goes on if it is due at the same time, and of the others none is sent
// late.
func (c *Campaign) follow(old *Campaign, now time.Time) {
	c.Started, c.By, c.Sent = old.Started, old.By, old.Sent
	next := slices.IndexFunc(c.Remind, func(d time.Duration) bool {
		return old.Step < len(old.Remind) && c.Deadline.Add(-d).Equal(old.due(old.Step))
	})
	for c.Step < len(c.Remind) && c.Step != next && !now.Before(c.due(c.Step)) {
		c.Step++
	}
	if c.Step == next && c.Step < len(c.Remind) {
		c.Cursor = old.Cursor
	}
}
