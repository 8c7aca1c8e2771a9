package pages

import (
	"strings"
	"testing"
	"time"

	"github.com/secondgate/secondgate/mfa"
)

// Rule B37: the account page says who asks, until when and what comes then, and leads to
// what counts and can be set up here; to nothing else.
func TestAccount_B37_Campaign(t *testing.T) {
	for _, tt := range []struct {
		name      string
		campaign  *mfa.CampaignPrompt
		want, not []string
	}{
		{"none", nil, nil, []string{"second step."}},
		{"an organization's", &mfa.CampaignPrompt{Organization: "Sales <of> Acme", Factors: mfa.KindsOf(mfa.TOTP), DaysLeft: 7, Required: true},
			[]string{"<strong>7 days left.</strong>", "Sales &lt;of&gt; Acme asks you to set up a second step. <a href=\"/.mfa/set-up/totp?", "From then on"}, []string{"second step. <a href=\"/.mfa/set-up/passkey"}},
		{"everybody's last day", &mfa.CampaignPrompt{Factors: mfa.KindsOf(mfa.SMS), DaysLeft: 1},
			[]string{"This is the last day.", "asks you to set up a second step.</p>"}, []string{"From then on"}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			w := newWorld(t, Brand{Name: "Acme"})
			w.signedIn(mfa.Decision{Action: mfa.Allow})
			w.gate.account = sampleAccount()
			w.gate.account.Choices = bothChoices
			if w.gate.account.Campaign = tt.campaign; tt.campaign != nil {
				tt.campaign.Deadline = testNow.Add(time.Duration(tt.campaign.DaysLeft) * 24 * time.Hour)
			}
			page := w.get("/.mfa/account").body
			for _, part := range tt.want {
				if !strings.Contains(page, part) {
					t.Errorf("the page does not say %q", part)
				}
			}
			for _, part := range tt.not {
				if strings.Contains(page, part) {
					t.Errorf("the page says %q", part)
				}
			}
		})
	}
}
