package caddymodule

import (
	"fmt"
	"io"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"

	"github.com/secondgate/secondgate/mfa"
)

// campaignsCommand is "campaigns" with what stands below it.
func (f *flags) campaignsCommand() *cobra.Command {
	c := &cobra.Command{
		Use: "campaigns", Short: "Asks people to set up a second step until a day, and reminds them",
		Long: "Asks the members of an organization, or everybody, to set up a second step until a\n" +
			"day. People see it on their account page; reminders go to verified email addresses of\n" +
			"those who have none yet. There is one campaign for each organization.",
	}
	group(c)
	c.AddCommand(f.campaignListCommand(), f.campaignStartCommand(), f.campaignEndCommand())
	return c
}

func (f *flags) campaignListCommand() *cobra.Command {
	return &cobra.Command{
		Use:     "list",
		Short:   "Lists campaigns with how far they have come",
		Example: `  secondgate mfa campaigns list`,
		Args:    noArgs,
		RunE:    f.run(opCampaignList, nil),
	}
}

func (f *flags) campaignStartCommand() *cobra.Command {
	var asked campaignRequest
	var factors, remind string
	c := &cobra.Command{
		Use:   "start <org> | --everybody",
		Short: "Starts a campaign, or replaces what one that runs is to be",
		Long: "Starts a campaign, or replaces what one that runs is to be: a flag that is left out\n" +
			"is taken away. Letters that were sent stay sent.",
		Example: `  secondgate mfa campaigns start acme --deadline 2027-01-15 --remind "14d 7d 1d"
  secondgate mfa campaigns start acme --deadline 30d --factors passkey --require
  secondgate mfa campaigns start --everybody --deadline 60d --remind "30d 14d 7d 1d"`,
		Args: orgOrEverybody(&asked.Everybody),
		RunE: f.request(opCampaignStart, func(args []string) (adminRequest, error) {
			set := asked
			set.Factors, set.Remind = strings.Fields(factors), strings.Fields(remind)
			if set.Deadline == "" {
				return adminRequest{}, refused("until when? Write for example: --deadline 2027-01-15, or --deadline 30d")
			}
			return campaignNamed(args, &set), nil
		}),
	}
	everybodyFlag(c, &asked.Everybody)
	c.Flags().StringVar(&asked.Deadline, "deadline", "", "The last day, or how long from now: 2027-01-15, 30d")
	c.Flags().StringVar(&factors, "factors", "", "What counts, in one word: \"passkey totp\" (default: any that is enabled)")
	c.Flags().StringVar(&remind, "remind", "", "How long before the deadline people get a letter, in one word: \"14d 7d 1d\"")
	c.Flags().BoolVar(&asked.Require, "require", false, "Require a second factor from the deadline on")
	return c
}

func (f *flags) campaignEndCommand() *cobra.Command {
	var asked campaignRequest
	end := f.confirmed("This ends the campaign for %s: nobody is reminded any more, and nothing happens at its deadline.",
		f.request(opCampaignEnd, func(args []string) (adminRequest, error) {
			set := asked
			return campaignNamed(args, &set), nil
		}))
	c := &cobra.Command{
		Use:   "end <org> | --everybody",
		Short: "Ends a campaign and forgets it",
		Example: `  secondgate mfa campaigns end acme --yes
  secondgate mfa campaigns end --everybody --yes`,
		Args: orgOrEverybody(&asked.Everybody),
		RunE: func(c *cobra.Command, args []string) error {
			if asked.Everybody {
				args = []string{campaignFor("")} // what a person types to confirm it
			}
			return end(c, args)
		},
	}
	everybodyFlag(c, &asked.Everybody)
	f.yesFlag(c)
	return c
}

func everybodyFlag(c *cobra.Command, everybody *bool) {
	c.Flags().BoolVar(everybody, "everybody", false, "The campaign for all users, rather than an organization's")
}

// orgOrEverybody asks for the one organization that the command is about, or for the flag.
func orgOrEverybody(everybody *bool) cobra.PositionalArgs {
	return func(c *cobra.Command, args []string) error {
		switch {
		case *everybody && len(args) > 0:
			return fail(c, refused("%q or everybody? Write: %s", args[0], c.UseLine()))
		case *everybody:
			return nil
		case len(args) == 0:
			return fail(c, refused("for which organization, or for everybody? Write: %s", c.UseLine()))
		}
		return oneOrg(c, args)
	}
}

func campaignNamed(args []string, asked *campaignRequest) adminRequest {
	in := adminRequest{Campaign: asked}
	if !asked.Everybody {
		in.Organization = args[0]
	}
	return in
}

func showCampaigns(w io.Writer, list []mfa.CampaignInfo) {
	if len(list) == 0 {
		fmt.Fprintln(w, "No campaigns.")
		return
	}
	t := tabwriter.NewWriter(w, 0, 4, 2, ' ', 0)
	fmt.Fprintln(t, "FOR\tDEADLINE\tSTATE\tREACHED\tLETTERS\tTHEN\tNOTE")
	for _, c := range list {
		fmt.Fprintf(t, "%s\t%s\t%s\t%s\t%d\t%s\t%s\n", campaignFor(c.Organization), when(c.Deadline), campaignState(&c), campaignReached(&c), c.Sent, campaignThen(&c), dash(plain(c.Note)))
	}
	_ = t.Flush()
}

func showCampaign(w io.Writer, c *mfa.CampaignInfo) {
	t := tabwriter.NewWriter(w, 0, 4, 2, ' ', 0)
	row := func(name, value string) { fmt.Fprintf(t, "%s\t%s\n", name, dash(value)) }
	row("For", campaignFor(c.Organization))
	row("Factors", "one of: "+c.Factors.String())
	row("Deadline", when(c.Deadline))
	row("State", campaignState(c))
	row("Reached", campaignReached(c))
	row("Then", campaignThen(c))
	for _, r := range c.Reminders {
		state := ""
		if r.Done {
			state = " (over)"
		}
		row("Reminder", when(r.At)+state)
	}
	row("Letters", fmt.Sprint(c.Sent))
	row("Started", when(c.Started)+by(plain(c.By)))
	row("Note", plain(c.Note))
	_ = t.Flush()
}

func by(name string) string {
	if name == "" {
		return ""
	}
	return " by " + name
}

func campaignState(c *mfa.CampaignInfo) string {
	switch {
	case c.Running && c.DaysLeft == 1:
		return "the last day"
	case c.Running:
		return fmt.Sprintf("%d days left", c.DaysLeft)
	case c.Done.Equal(time.Time{}):
		return "at its deadline"
	}
	return "over"
}

func campaignReached(c *mfa.CampaignInfo) string {
	return fmt.Sprintf("%d of %d (%d %%)", c.Reached, c.Users, c.Percent)
}

func campaignThen(c *mfa.CampaignInfo) string {
	if c.Require {
		return "required"
	}
	return "-"
}
