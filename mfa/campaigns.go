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
	what := "campaign" + ofWhom(in.Organization) + " until " + in.Deadline.UTC().Format(time.RFC3339)
	if in.Factors != 0 {
		what += " for " + in.Factors.String()
	}
	if in.Require {
		what += ", require from then on"
	}
	return a.campaign(ctx, in.Organization, what, func() error {
		next, err := a.g.newCampaign(ctx, in)
		if err != nil {
			return err
		}
		next.Started, next.By = a.g.now(), a.actor.Name
		return a.g.cfg.Store.UpdateCampaign(ctx, in.Organization, func(c *Campaign) error {
			now := *next
			if c.running(now.Started) {
				now.follow(c, now.Started)
			}
			*c = now
			return nil
		})
	})
}

// EndCampaign ends a campaign and forgets it. Nobody is told. ErrNotFound.
func (a *Administration) EndCampaign(ctx context.Context, of OrganizationID) error {
	return a.campaign(ctx, of, "end campaign"+ofWhom(of), func() error {
		if err := a.g.cfg.Store.RemoveCampaign(ctx, of); err != nil {
			return fmt.Errorf("campaign%s: %w", ofWhom(of), err)
		}
		return nil
	})
}

// campaign does something to a campaign and keeps it as an event before.
func (a *Administration) campaign(ctx context.Context, of OrganizationID, what string, do func() error) error {
	need := ChangeOrganizations
	if of == "" {
		need = ChangePolicy
	}
	err := a.may(need, nil)
	if err == nil && of != "" {
		// Also before what it is called goes into a record.
		if _, wrong := ParseOrganizationID(string(of)); wrong != nil {
			err = fmt.Errorf("organization: %w", ErrNotFound)
		}
	}
	if err != nil {
		a.refused(ctx, nil, "campaign", err)
		return err
	}
	return a.act(ctx, nil, what, do)
}

// removeCampaign forgets the campaign of an organization that is gone.
func (g *Gate) removeCampaign(ctx context.Context, of OrganizationID) error {
	if err := g.cfg.Store.RemoveCampaign(ctx, of); err != nil && !errors.Is(err, ErrNotFound) {
		return err
	}
	return nil
}

// newCampaign checks what a campaign is to be.
func (g *Gate) newCampaign(ctx context.Context, in CampaignInput) (*Campaign, error) {
	p := g.cfg.Policy()
	if p == nil {
		return nil, ErrNotAllowed
	}
	if in.Organization != "" {
		if err := g.checkOrganizations([]OrganizationID{in.Organization}); err != nil {
			return nil, err
		}
	}
	before, err := g.cfg.Store.Campaign(ctx, in.Organization)
	if err != nil && !errors.Is(err, ErrNotFound) {
		return nil, fmt.Errorf("reading a campaign: %w", err)
	}
	now := g.now()
	in.Remind = slices.Clone(in.Remind)
	slices.SortFunc(in.Remind, func(a, b time.Duration) int { return int(max(-1, min(1, b-a))) })
	err = in.check(p, now)
	if err == nil && (before == nil || !before.running(now)) {
		err = in.checkFirst(now)
	}
	if err == nil && in.Require {
		err = g.canRequire(p, in.Organization)
	}
	if err != nil {
		return nil, &CampaignError{err}
	}
	return &Campaign{
		Organization: in.Organization, Factors: in.Factors, Deadline: in.Deadline, Remind: in.Remind, Require: in.Require,
	}, nil
}

// ParseDeadline reads when a campaign ends: a day, which counts until its end (UTC), a
// moment as RFC 3339 writes it, or how long from now: "2027-01-15", "30d".
func ParseDeadline(s string, now time.Time) (time.Time, error) {
	if t, err := time.Parse(time.DateOnly, s); err == nil {
		return t.Add(24*time.Hour - time.Second), nil
	}
	if t, err := time.Parse(time.RFC3339, s); err == nil {
		return t, nil
	}
	if d, err := ParseDuration(s); err == nil {
		return now.Add(d), nil
	}
	return time.Time{}, fmt.Errorf("deadline: %q is no day; write for example 2027-01-15, or 30d", s)
}

// check returns what is wrong with a campaign, in words that say what to write instead.
func (in *CampaignInput) check(p *Policy, now time.Time) error {
	enabled := enabledFor(p, in.Organization)
	switch {
	case p.Off:
		return errors.New("factors: \"factors off\" switched 2-step verification off, and nobody can set anything up; enable a factor first")
	case in.Factors&^PrimaryKinds != 0:
		return fmt.Errorf("factors: backup_code is no goal by itself; write some of those: %s", enabled)
	case in.Factors&^enabled != 0:
		return fmt.Errorf("factors: %s cannot be set up here; write some of those: %s", in.Factors&^enabled, enabled)
	case !now.Before(in.Deadline):
		return errors.New("deadline: it is in the past; write a day that comes")
	case in.Deadline.Sub(now) > MaxCampaign+campaignLeeway:
		return errors.New("deadline: it is more than a year away; write one that is nearer")
	case len(in.Remind) > MaxReminders:
		return fmt.Errorf("remind: there are %d reminders; write %d at most", len(in.Remind), MaxReminders)
	}
	for i, d := range in.Remind {
		switch {
		case d < LastReminder:
			return fmt.Errorf("remind: %s before the deadline leaves people no day to do it; write 1d or more", DurationWords(d))
		case i > 0 && in.Remind[i-1]-d < reminderApart:
			return fmt.Errorf("remind: %s and %s are less than a day apart; nobody wants two letters in a day", DurationWords(in.Remind[i-1]), DurationWords(d))
		}
	}
	return nil
}

// checkFirst is check for a campaign that does not run yet: one that runs may have
// reminders behind it.
func (in *CampaignInput) checkFirst(now time.Time) error {
	if left := in.Deadline.Sub(now); len(in.Remind) > 0 && in.Remind[0] > left+campaignLeeway {
		return fmt.Errorf("remind: %s before the deadline is over already; write less, or a later deadline", DurationWords(in.Remind[0]))
	}
	return nil
}

// canRequire reports with nil that "require" can be switched on at a deadline.
func (g *Gate) canRequire(p *Policy, of OrganizationID) error {
	switch {
	case of != "" && p.Organizations.Find(of).Declared:
		return fmt.Errorf("require: the configuration declares the organization %s; write \"require\" there when the day has come", of)
	case of != "":
		return nil
	case g.cfg.Policies == nil:
		return errNoPolicies
	case g.cfg.Policies.Configured().Optional != nil:
		return errors.New("require: the configuration says whether a second factor is required; change it there when the day has come")
	}
	return nil
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

// mails reports whether the gateway sends letters: where this is a command on its store,
// it is the gateway's configuration that says so.
func (g *Gate) mails() bool {
	if g.cfg.Policies != nil {
		return g.cfg.Policies.Have().Has(Email)
	}
	return g.cfg.Post.Channels().Has(Email)
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
		info.Title = string(c.Organization)
		if info.Note == "" {
			info.Note = "there is no such organization any more"
		}
		return info, nil
	case o != nil:
		info.Title = o.Title()
	}
	switch {
	case !info.Running || info.Note != "":
	case info.Factors == 0:
		info.Note = "nothing that the campaign asks for can be set up as the policy stands"
	case c.Step < len(c.Remind) && !g.mails():
		info.Note = "no reminder goes out: nothing can be sent by email"
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
