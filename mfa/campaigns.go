package mfa

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"
)

// CampaignInput is what a campaign is to be.
type CampaignInput struct {
	Organization OrganizationID // empty: everybody
	Factors      Kinds          // one of these is the goal; 0: any primary factor
	Deadline     time.Time
	Remind       []time.Duration // before the deadline, in any order
	Require      bool            // switch "require" on at the deadline
}

// CampaignInfo is one campaign as administrators see it.
type CampaignInfo struct {
	Organization OrganizationID `json:"organization,omitempty"` // empty: everybody
	Title        string         `json:"title,omitempty"`        // the organization's
	// Factors are those of which one is the goal, as the policy stands; Named says
	// whether the campaign names them itself.
	Factors  Kinds     `json:"factors"`
	Named    bool      `json:"named"`
	Deadline time.Time `json:"deadline"`
	DaysLeft int       `json:"days_left"` // begun ones included; 0: over
	Running  bool      `json:"running"`
	Require  bool      `json:"require"`
	Started  time.Time `json:"started"`
	By       string    `json:"by,omitempty"`
	Done     time.Time `json:"done,omitzero"`
	// Note says what was not done at the deadline, and why, or what keeps the campaign
	// from its work.
	Note string `json:"note,omitempty"`

	Users   int `json:"users"`   // who are enabled
	Reached int `json:"reached"` // of them, those who have reached the goal
	Percent int `json:"percent"` // 100 means all of them

	Reminders []ReminderInfo `json:"reminders"` // the first one first
	Sent      int            `json:"sent"`      // letters
}

// ReminderInfo is one reminder of a campaign.
type ReminderInfo struct {
	At   time.Time `json:"at"`
	Done bool      `json:"done"` // sent to all, or left out because it was late
}

// Campaigns returns the campaigns that the actor sees, everybody's first, then in the
// order of their organizations. Progress comes from counters: its cost does not grow with
// the users.
func (a *Administration) Campaigns(ctx context.Context) ([]CampaignInfo, error) {
	if err := a.may(ReadOrganizations, nil); err != nil {
		return nil, err
	}
	p := a.g.cfg.Policy()
	if p == nil {
		return nil, ErrNotAllowed
	}
	all, err := a.g.cfg.Store.ListCampaigns(ctx)
	if err != nil {
		return nil, fmt.Errorf("reading the campaigns: %w", err)
	}
	list := []CampaignInfo{}
	for _, c := range all {
		if own := a.actor.Organization; own != "" && c.Organization != own {
			continue
		}
		info, err := a.g.campaignInfo(ctx, p, c)
		if err != nil {
			return nil, err
		}
		list = append(list, *info)
	}
	return list, nil
}

// Campaign returns one; "" is everybody's. ErrNotFound, also where the actor does not see
// it.
func (a *Administration) Campaign(ctx context.Context, of OrganizationID) (*CampaignInfo, error) {
	list, err := a.Campaigns(ctx)
	if err != nil {
		return nil, err
	}
	if i := slices.IndexFunc(list, func(c CampaignInfo) bool { return c.Organization == of }); i >= 0 {
		return &list[i], nil
	}
	return nil, fmt.Errorf("campaign%s: %w", ofWhom(of), ErrNotFound)
}

// SetCampaign starts a campaign, or changes the one that runs: what was sent stays sent.
// *CampaignError says what to write instead; ErrNotFound of the organization.
func (a *Administration) SetCampaign(ctx context.Context, in CampaignInput) error {
	return errors.ErrUnsupported
}

// EndCampaign ends a campaign and forgets it. Nobody is told. ErrNotFound.
func (a *Administration) EndCampaign(ctx context.Context, of OrganizationID) error {
	return errors.ErrUnsupported
}

// CampaignError says what is wrong with a campaign.
type CampaignError struct{ Err error }

// Error says what to write instead.
func (e *CampaignError) Error() string { return e.Err.Error() }

// ofWhom names an organization in a text.
func ofWhom(of OrganizationID) string {
	if of == "" {
		return " of everybody"
	}
	return " of " + string(of)
}

func (g *Gate) campaignInfo(ctx context.Context, p *Policy, c *Campaign) (*CampaignInfo, error) {
	now := g.now()
	info := &CampaignInfo{
		Organization: c.Organization, Factors: c.goal(p), Named: c.Factors != 0,
		Deadline: c.Deadline, DaysLeft: daysUntil(c.Deadline, now), Running: c.running(now), Require: c.Require,
		Started: c.Started, By: c.By, Done: c.Done, Note: c.Note, Sent: c.Sent, Reminders: []ReminderInfo{},
	}
	for i := range c.Remind {
		info.Reminders = append(info.Reminders, ReminderInfo{At: c.due(i), Done: i < c.Step || !info.Running})
	}
	o := p.Organizations.Find(c.Organization)
	switch {
	case c.Organization != "" && o == nil:
		info.Title, info.Note = string(c.Organization), "there is no such organization any more"
		return info, nil
	case o != nil:
		info.Title = o.Title()
	}
	sets, err := g.countMembers(ctx, p, c.Organization)
	if err != nil {
		return nil, fmt.Errorf("counting: %w", err)
	}
	for held, n := range sets {
		info.Users += n
		if reached(held, info.Factors) {
			info.Reached += n
		}
	}
	if info.Users > 0 {
		info.Percent = info.Reached * 100 / info.Users
	}
	return info, nil
}
