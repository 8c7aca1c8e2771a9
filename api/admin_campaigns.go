package api

import (
	"time"

	"github.com/secondgate/secondgate/mfa"
)

type (
	campaignDocument struct {
		Organization mfa.OrganizationID `json:"organization,omitempty"`
		Title        string             `json:"title,omitempty"`
		Factors      []mfa.Kind         `json:"factors"`
		Named        bool               `json:"named"`
		Deadline     time.Time          `json:"deadline"`
		DaysLeft     int                `json:"days_left"`
		Running      bool               `json:"running"`
		Require      bool               `json:"require"`
		Started      *time.Time         `json:"started,omitempty"`
		StartedBy    string             `json:"started_by,omitempty"`
		Done         *time.Time         `json:"done,omitempty"`
		Note         string             `json:"note,omitempty"`
		Users        int                `json:"users"`
		Reached      int                `json:"reached"`
		Percent      int                `json:"percent"`
		Reminders    []reminderDocument `json:"reminders"`
		Sent         int                `json:"sent"`
	}
	reminderDocument struct {
		At   time.Time `json:"at"`
		Done bool      `json:"done"`
	}
	campaignsDocument struct {
		Campaigns []campaignDocument `json:"campaigns"`
	}
	campaignChange struct {
		Deadline     time.Time `json:"deadline"`
		Factors      []string  `json:"factors,omitempty"`
		RemindBefore []int     `json:"remind_before,omitempty"` // seconds
		Require      bool      `json:"require,omitempty"`
	}
)

func campaignOf(c *mfa.CampaignInfo) campaignDocument {
	d := campaignDocument{
		Organization: c.Organization, Title: c.Title, Factors: append([]mfa.Kind{}, c.Factors.List()...), Named: c.Named,
		Deadline: *stamp(c.Deadline), DaysLeft: c.DaysLeft, Running: c.Running, Require: c.Require, Started: stamp(c.Started),
		StartedBy: c.By, Done: stamp(c.Done), Note: c.Note, Users: c.Users, Reached: c.Reached, Percent: c.Percent,
		Reminders: []reminderDocument{}, Sent: c.Sent,
	}
	for _, r := range c.Reminders {
		d.Reminders = append(d.Reminders, reminderDocument{*stamp(r.At), r.Done})
	}
	return d
}

func listCampaigns(c *call) (any, error) {
	if _, err := c.query(); err != nil {
		return nil, err
	}
	list, err := c.admin.Campaigns(c.r.Context())
	if err != nil {
		return nil, c.adminError(err)
	}
	d := campaignsDocument{Campaigns: []campaignDocument{}}
	for i := range list {
		d.Campaigns = append(d.Campaigns, campaignOf(&list[i]))
	}
	return d, nil
}

// A campaign is that of the organization of the path, or, where there is none, of
// everybody.

func readCampaign(c *call) (any, error) {
	if _, err := c.query(); err != nil {
		return nil, err
	}
	return c.showCampaign()
}

func (c *call) showCampaign() (any, error) {
	info, err := c.admin.Campaign(c.r.Context(), c.organization())
	if err != nil {
		return nil, c.adminError(err)
	}
	return campaignOf(info), nil
}

func setCampaign(c *call) (any, error) {
	in, err := readOnly[campaignChange](c)
	if err != nil {
		return nil, err
	}
	var kinds mfa.Kinds // none: any
	if in.Factors != nil {
		if kinds, err = mfa.ParseKinds(in.Factors); err != nil {
			return nil, &fieldError{"factors", "body"}
		}
	}
	input := mfa.CampaignInput{Organization: c.organization(), Factors: kinds, Deadline: in.Deadline, Require: in.Require}
	for _, seconds := range in.RemindBefore {
		// What is too long to be counted is too long for a campaign as well.
		if seconds < 0 || seconds > int(mfa.MaxCampaign/time.Second) {
			return nil, &fieldError{"remind_before", "body"}
		}
		input.Remind = append(input.Remind, time.Duration(seconds)*time.Second)
	}
	if err := c.admin.SetCampaign(c.r.Context(), input); err != nil {
		return nil, c.adminError(err)
	}
	return c.showCampaign()
}

func endCampaign(c *call) (any, error) {
	if _, err := c.query(); err != nil {
		return nil, err
	}
	return nil, c.adminError(c.admin.EndCampaign(c.r.Context(), c.organization()))
}
