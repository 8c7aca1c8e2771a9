package sender

import (
	"strings"
	"testing"
	"time"

	"github.com/secondgate/secondgate/mfa"
)

// Rule B37: a reminder says who asks, what would do, until when and what comes then. The
// link is the same for everybody: who opens it is nobody's business.
func TestWrite_B37_Campaign(t *testing.T) {
	w := newTestWriter(t, Brand{Name: "Acme", Support: "help@example.com"})
	deadline := time.Date(2027, 1, 15, 23, 59, 0, 0, time.UTC)
	tests := []struct {
		name      string
		change    func(*mfa.Letter)
		want, not []string
	}{
		{"an organization's", func(l *mfa.Letter) {},
			[]string{"Sales of Acme asks you", "at app.example.com", "15 January 2027, 23:59 UTC", "One of these: Passkey, Authenticator app", "nobody gets in without one", "https://app.example.com/.mfa/account", "help@example.com"}, nil},
		{"everybody's", func(l *mfa.Letter) { l.Campaign.Organization = "" }, []string{"Acme asks you"}, []string{"Sales"}},
		{"nothing comes then", func(l *mfa.Letter) { l.Campaign.Required = false }, []string{"Until: 15"}, []string{"without one"}},
		{"one factor", func(l *mfa.Letter) { l.Campaign.Factors = mfa.KindsOf(mfa.Passkey) }, []string{"What: Passkey"}, []string{"One of these"}},
		{"no host to name", func(l *mfa.Letter) { l.Link, l.Origin = nil, "" }, []string{"account at Acme"}, []string{"://", "Open your account page"}},
		{"in German", func(l *mfa.Letter) { l.Language = "de" }, []string{"Sales of Acme bittet Sie", "15.01.2027, 23:59 Uhr (UTC)"}, nil},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			l := samples(mfa.Email, "en")["campaign"]
			l.Campaign.Deadline = deadline
			tt.change(l)
			m, err := w.write(l, "id", noon)
			if err != nil {
				t.Fatal(err)
			}
			for _, part := range tt.want {
				if !strings.Contains(m.Text, part) {
					t.Errorf("the text does not say %q:\n%s", part, m.Text)
				}
			}
			for _, part := range tt.not {
				if strings.Contains(m.Text+m.HTML, part) {
					t.Errorf("it says %q:\n%s", part, m.Text)
				}
			}
			if !m.Expires.IsZero() || m.Code != nil {
				t.Errorf("it expires at %s, with the code %q", m.Expires, m.Code)
			}
		})
	}
}

func TestWrite_B37_DaysLeft(t *testing.T) {
	w := newTestWriter(t, Brand{Name: "Acme"})
	for days, want := range map[int]string{1: "1 day left", 14: "14 days left"} {
		l := samples(mfa.Email, "en")["campaign"]
		l.Campaign.DaysLeft = days
		m, err := w.write(l, "id", noon)
		if err != nil || !strings.Contains(m.Subject, want) {
			t.Errorf("%d: %+v, %v", days, m, err)
		}
	}
}
