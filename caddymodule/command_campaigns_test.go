package caddymodule

import (
	"encoding/json"
	"testing"
)

// Campaigns are started, listed, changed and ended by commands. Everybody is asked only by
// whoever says so.
func TestCommands_B37_Campaigns(t *testing.T) {
	g := newGateway(t)
	g.mustLoad(g.text("organization declared {\n\t\t\tname Declared\n\t\t}", "mfa\n\trespond ok"))
	g.signIn("alice", 0)
	g.bothWays(t, func(t *testing.T) {
		run := func(want int, args ...string) string {
			t.Helper()
			return g.run(t, want, append([]string{"campaigns"}, args...)...)
		}
		g.run(t, 0, "orgs", "set", "acme")
		says(t, run(0, "list"), "No campaigns.")
		says(t, run(0, "start", "acme", "--deadline", "30d", "--remind", "14d 7d 1d", "--factors", "passkey", "--require"),
			"The campaign for acme runs.", "one of: passkey", "30 days left", "0 of 0 (0 %)", "required", "by command line", "no reminder goes out: nothing can be sent by email")
		says(t, run(0, "start", "--everybody", "--deadline", "60d"), "The campaign for everybody runs.", "60 days left")
		says(t, run(0, "list"), "everybody", "acme")
		var answer adminAnswer
		if err := json.Unmarshal([]byte(run(0, "list", "--json")), &answer); err != nil || len(answer.Campaigns) != 2 ||
			answer.Campaigns[0].Organization != "" || answer.Campaigns[1].Organization != "acme" || len(answer.Campaigns[1].Reminders) != 3 || !answer.Campaigns[1].Require {
			t.Errorf("for programs: %+v, %v", answer.Campaigns, err)
		}
		says(t, run(0, "start", "acme", "--deadline", "20d"), "20 days left", "one of: passkey totp", "Letters   0")
		g.refusals(t, exitRefused, "campaigns", map[string]string{
			"start":                                      "for which organization, or for everybody?",
			"start acme":                                 "until when?",
			"start acme --everybody --deadline 30d":      `"acme" or everybody?`,
			"start acme other --deadline 30d":            "one word too many",
			"start Acme --deadline 30d":                  "lower-case letters, digits and dashes",
			"start acme --deadline soon":                 "is no day; write for example 2027-01-15, or 30d",
			"start acme --deadline 2020-01-01":           "in the past",
			"start acme --deadline 30d --remind soon":    "is no duration",
			"start acme --deadline 30d --remind 2h":      "write 1d or more",
			"start acme --deadline 30d --factors pigeon": "is not a factor",
			"start acme --deadline 30d --factors sms":    "cannot be set up here",
			"start declared --deadline 30d --require":    "the configuration declares the organization declared",
			"end":             "for which organization, or for everybody?",
			"end acme":        "Say --yes to do it",
			"end --everybody": "for everybody: nobody is reminded any more",
			"sart acme":       "no command",
		})
		g.refusals(t, exitNotFound, "campaigns", map[string]string{
			"start nobody --deadline 30d": "not found",
			"end declared --yes":          "campaign of declared: not found",
		})
		says(t, run(0, "end", "acme", "--yes"), "The campaign for acme has ended.")
		says(t, run(0, "end", "--everybody", "--yes"), "The campaign for everybody has ended.")
		g.run(t, 0, "orgs", "remove", "acme", "--yes")
	})
}
