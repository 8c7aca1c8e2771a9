package pages

import "github.com/secondgate/secondgate/mfa"

// campaignBanner asks for a second step until a day, calmly (rule B37). nil: nobody asks.
type campaignBanner struct {
	Left, Text, Then string
	Date, Day        string // the last day
	Add              []addition
}

// addWords are the words for setting a factor up.
var addWords = map[mfa.Kind]string{
	mfa.Passkey: "account.add.passkey", mfa.TOTP: "account.add.totp", mfa.Email: "account.add.email", mfa.SMS: "account.add.sms",
}

// campaign returns the banner of the account page, with a link to each way that counts and
// can be set up here.
func (v *visit) campaign(a *mfa.Account) *campaignBanner {
	c := a.Campaign
	if c == nil {
		return nil
	}
	asker := c.Organization
	if asker == "" {
		asker = v.p.brand.Name
	}
	b := &campaignBanner{
		Left: v.words.count("campaign.left", c.DaysLeft), Text: v.T("campaign.text", "asker", asker),
		Date: c.Deadline.UTC().Format("2006-01-02T15:04:05Z"), Day: v.day(c.Deadline.UTC()),
	}
	if c.Required {
		b.Then = v.T("campaign.required")
	}
	own := v.returnOnly()
	own.Set(paramFrom, fromAccount)
	for _, choice := range a.Choices {
		if word, ok := addWords[choice.Kind]; ok && choice.Available && c.Factors.Has(choice.Kind) {
			b.Add = append(b.Add, addition{v.T(word), join(setUpHref(choice.Kind), own)})
		}
	}
	return b
}
