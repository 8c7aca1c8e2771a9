package sender

import (
	"strings"
	"time"

	"github.com/secondgate/secondgate/mfa"
)

// campaignValues are what the words of a campaign's letter need.
func (d *draft) campaignValues(c *mfa.CampaignPrompt) {
	d.v["asker"] = clean(c.Organization, maxName)
	if d.v["asker"] == "" {
		d.v["asker"] = d.brand
	}
	d.v["left"] = d.span(time.Duration(c.DaysLeft) * 24 * time.Hour)
	d.v["when"] = c.Deadline.UTC().Format(d.text("format.time.sms", nil))
}

// campaign says what would do and until when, and what comes then.
func (d *draft) campaign(s *sheet, c *mfa.CampaignPrompt) {
	var kinds []string
	for _, k := range c.Factors.List() {
		kinds = append(kinds, d.text(d.first("kind."+string(k), "kind.unknown"), nil))
	}
	label := "fact.what"
	if len(kinds) > 1 {
		label = "fact.one_of"
	}
	if kinds != nil {
		s.Facts = append(s.Facts, fact{d.text(label, nil), strings.Join(kinds, ", ")})
	}
	s.Facts = append(s.Facts, fact{d.text("fact.until", nil), c.Deadline.UTC().Format(d.text("format.time", nil))})
	if c.Required {
		s.After = append(s.After, d.text("campaign.required", d.v))
	}
}
