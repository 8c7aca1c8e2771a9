package caddymodule

import (
	"context"
	"fmt"

	"github.com/secondgate/secondgate/internal/clock"
	"github.com/secondgate/secondgate/mfa"
)

// campaignRequest is what a campaign is to be, in the words of a command.
type campaignRequest struct {
	Everybody bool     `json:"everybody,omitempty"` // rather than an organization's
	Deadline  string   `json:"deadline,omitempty"`
	Factors   []string `json:"factors,omitempty"`
	Remind    []string `json:"remind,omitempty"`
	Require   bool     `json:"require,omitempty"`
}

// read makes the campaign of the words.
func (r *campaignRequest) read(of mfa.OrganizationID) (c mfa.CampaignInput, err error) {
	c.Organization, c.Require = of, r.Require
	if c.Deadline, err = mfa.ParseDeadline(r.Deadline, clock.Now()); err != nil {
		return c, &inputError{err}
	}
	if len(r.Factors) > 0 {
		if c.Factors, err = parseKinds(r.Factors); err != nil {
			return c, &inputError{err}
		}
	}
	for _, word := range r.Remind {
		d, err := mfa.ParseDuration(word)
		if err != nil {
			return c, wrong("remind: %q is no duration; write for example 14d", word)
		}
		c.Remind = append(c.Remind, d)
	}
	return c, nil
}

// campaigns carries out what is about campaigns.
func (d desk) campaigns(ctx context.Context, op string, in adminRequest) (*adminAnswer, error) {
	if op == opCampaignList {
		list, err := d.admin.Campaigns(ctx)
		return &adminAnswer{Campaigns: list}, err
	}
	asked := in.Campaign
	if asked == nil {
		asked = new(campaignRequest)
	}
	of := mfa.OrganizationID("")
	if !asked.Everybody {
		// An empty name would be everybody: that has to be said.
		var err error
		if of, err = mfa.ParseOrganizationID(in.Organization); err != nil {
			return nil, &inputError{err}
		}
	}
	if op == opCampaignEnd {
		if err := d.admin.EndCampaign(ctx, of); err != nil {
			return nil, err
		}
		return &adminAnswer{Done: fmt.Sprintf("The campaign for %s has ended. Nobody is reminded any more.", campaignFor(of))}, nil
	}
	c, err := asked.read(of)
	if err != nil {
		return nil, err
	}
	if err := d.admin.SetCampaign(ctx, c); err != nil {
		return nil, err
	}
	info, err := d.admin.Campaign(ctx, of)
	return &adminAnswer{Done: fmt.Sprintf("The campaign for %s runs.", campaignFor(of)), Campaign: info}, err
}

// campaignFor says whom a campaign is for.
func campaignFor(of mfa.OrganizationID) string {
	if of == "" {
		return "everybody"
	}
	return string(of)
}
