package caddymodule

import (
	"fmt"
	"io"
	"strings"
	"text/tabwriter"

	"github.com/spf13/cobra"

	"github.com/secondgate/secondgate/mfa"
)

// orgsCommand is "orgs" with what stands below it.
func (f *flags) orgsCommand() *cobra.Command {
	c := &cobra.Command{
		Use: "orgs", Short: "Lists, makes, changes organizations and their members",
		Long: "Lists, makes and changes organizations: owners of routes, with members and with\n" +
			"requirements of their own. Those that the configuration declares are shown, and\n" +
			"changed there alone.",
	}
	group(c)
	c.AddCommand(f.orgListCommand(), f.orgShowCommand(), f.orgSetCommand(), f.orgRemoveCommand(), f.orgMembersCommand(), f.orgAddCommand(), f.orgDropCommand())
	return c
}

// oneOrg asks for the one organization that the command is about.
func oneOrg(c *cobra.Command, args []string) error {
	switch {
	case len(args) == 0:
		return fail(c, refused("which organization? Write: %s", c.UseLine()))
	case len(args) > 1:
		return fail(c, refused("%q is one word too many; write: %s", args[1], c.UseLine()))
	}
	return nil
}

// orgAndUser asks for an organization and a user.
func orgAndUser(c *cobra.Command, args []string) error {
	switch {
	case len(args) < 2:
		return fail(c, refused("which organization, and which user? Write: %s", c.UseLine()))
	case len(args) > 2:
		return fail(c, refused("%q is one word too many; a name has no spaces; write: %s", args[2], c.UseLine()))
	}
	return nil
}

// orgNamed makes the request of a command whose words are an organization and,
// perhaps, a user.
func orgNamed(args []string) (adminRequest, error) {
	in := adminRequest{Organization: args[0]}
	if len(args) > 1 {
		in.Name = args[1]
	}
	return in, nil
}

func (f *flags) orgListCommand() *cobra.Command {
	return &cobra.Command{
		Use:     "list",
		Short:   "Lists organizations with what they ask",
		Example: `  secondgate mfa orgs list`,
		Args:    noArgs,
		RunE:    f.run(opOrgList, nil),
	}
}

func (f *flags) orgShowCommand() *cobra.Command {
	return &cobra.Command{
		Use:     "show <org>",
		Short:   "Shows what an organization asks, and whose addresses are members",
		Example: `  secondgate mfa orgs show acme`,
		Args:    oneOrg,
		RunE:    f.request(opOrgShow, orgNamed),
	}
}

func (f *flags) orgSetCommand() *cobra.Command {
	var o mfa.OrganizationSettings
	var factors string
	var force bool
	c := &cobra.Command{
		Use:   "set <org>",
		Short: "Makes an organization, or replaces all that it asks",
		Long: "Makes an organization, or replaces all that it asks by what the flags say. A flag\n" +
			"that is left out asks nothing, whatever was said before. Members stay.",
		Example: `  secondgate mfa orgs set acme --name "Acme Inc" --require --domain example.com
  secondgate mfa orgs set acme --require --factors "passkey totp" --fresh 12h
  secondgate mfa orgs set acme --phishing-resistant --enrollment pass --forbid-remembering`,
		Args: oneOrg,
		RunE: f.request(opOrgSet, func(args []string) (in adminRequest, err error) {
			if in, err = orgNamed(args); err != nil {
				return in, err
			}
			set := o
			for _, k := range strings.Fields(factors) {
				set.Factors = append(set.Factors, mfa.Kind(k))
			}
			if d, err := mfa.ParseDuration(set.Fresh); set.Fresh != "" && (err != nil || d <= 0) {
				return in, refused("--fresh %q is no duration above zero; write for example: --fresh 12h", set.Fresh)
			}
			if _, err := mfa.ParseEnrollment(strings.Fields(set.Enrollment)); set.Enrollment != "" && err != nil {
				return in, refused("%v; as a flag: --enrollment \"open 14d\"", err)
			}
			in.Settings, in.Force = &set, force
			return in, nil
		}),
	}
	c.Flags().StringVar(&o.Name, "name", "", "The name that people know it by")
	c.Flags().BoolVar(&o.Require, "require", false, "Ask a second factor of every member")
	c.Flags().StringVar(&factors, "factors", "", "The only factors that count on its routes, in one word: \"passkey totp\"")
	c.Flags().StringVar(&o.Fresh, "fresh", "", "Ask its members for a proof that is at most so old")
	c.Flags().BoolVar(&o.PhishingResistant, "phishing-resistant", false, "Ask its members for a passkey")
	c.Flags().StringVar(&o.Enrollment, "enrollment", "", "What a first set-up of its members needs: \"open 14d\", confirm or pass")
	c.Flags().BoolVar(&o.ForbidRemembering, "forbid-remembering", false, "Let no remembered device stand for its members' second factor")
	c.Flags().StringArrayVar(&o.Domains, "domain", nil, "Whose verified e-mail addresses are members; may be repeated")
	forceFlag(c, &force)
	return c
}

func (f *flags) orgRemoveCommand() *cobra.Command {
	c := &cobra.Command{
		Use:     "remove <org>",
		Short:   "Removes an organization; its routes then refuse everybody",
		Example: `  secondgate mfa orgs remove acme --yes`,
		Args:    oneOrg,
		RunE: f.confirmed("This removes the organization %s: it asks nothing of its members any more, and its routes refuse everybody.",
			f.request(opOrgRemove, orgNamed)),
	}
	f.yesFlag(c)
	return c
}

func (f *flags) orgMembersCommand() *cobra.Command {
	var in adminRequest
	c := &cobra.Command{
		Use:   "members <org>",
		Short: "Lists an organization's members, by hand and by address",
		Example: `  secondgate mfa orgs members acme
  secondgate mfa orgs members acme --no-factor`,
		Args: oneOrg,
	}
	c.Flags().BoolVar(&in.NoFactor, "no-factor", false, "Only who has no factor, or nothing but backup codes")
	f.paged(c, opList, &in)
	run := c.RunE
	c.RunE = func(cmd *cobra.Command, args []string) error {
		in.Organization = args[0]
		return run(cmd, nil)
	}
	return c
}

func (f *flags) orgAddCommand() *cobra.Command {
	return &cobra.Command{
		Use:     "add <org> <user>",
		Short:   "Makes a user a member",
		Example: `  secondgate mfa orgs add acme alice`,
		Args:    orgAndUser,
		RunE:    f.request(opOrgAdd, orgNamed),
	}
}

func (f *flags) orgDropCommand() *cobra.Command {
	return &cobra.Command{
		Use:   "drop <org> <user>",
		Short: "Takes a membership away that was given by hand or by invitation",
		Long: "Takes a membership away that was given by hand or by invitation. Who has a\n" +
			"verified address of one of the organization's domains stays a member.",
		Example: `  secondgate mfa orgs drop acme alice`,
		Args:    orgAndUser,
		RunE:    f.request(opOrgDrop, orgNamed),
	}
}

// asks says in words what an organization asks.
func (o *orgInfo) asks() []string {
	var list []string
	if o.Require {
		list = append(list, "a second factor")
	}
	if len(o.Factors) > 0 {
		list = append(list, "factors "+kindWords(o.Factors))
	}
	if o.Fresh != "" {
		list = append(list, "fresh "+o.Fresh)
	}
	if o.PhishingResistant {
		list = append(list, "a passkey")
	}
	if o.Enrollment != "" {
		list = append(list, "enrollment "+o.Enrollment)
	}
	if o.ForbidRemembering {
		list = append(list, "no remembered devices")
	}
	return list
}

func (o *orgInfo) from() string {
	if o.Declared {
		return mfa.FromConfiguration
	}
	return mfa.FromStore
}

func kindWords(list []mfa.Kind) string { return mfa.KindsOf(list...).String() }

func showOrgs(w io.Writer, list []orgInfo) {
	if len(list) == 0 {
		fmt.Fprintln(w, "No organizations.")
		return
	}
	t := tabwriter.NewWriter(w, 0, 4, 2, ' ', 0)
	fmt.Fprintln(t, "ORGANIZATION\tNAME\tFROM\tASKS\tDOMAINS")
	for _, o := range list {
		fmt.Fprintf(t, "%s\t%s\t%s\t%s\t%s\n", o.ID, dash(plain(o.Name)), o.from(), dash(strings.Join(o.asks(), ", ")), dash(plain(strings.Join(o.Domains, " "))))
	}
	_ = t.Flush()
}

func showOrg(w io.Writer, o *orgInfo) {
	t := tabwriter.NewWriter(w, 0, 4, 2, ' ', 0)
	row := func(name, value, otherwise string) {
		if value == "" {
			value = otherwise
		}
		fmt.Fprintf(t, "%s\t%s\n", name, value)
	}
	yes := func(b bool, word string) string {
		if b {
			return word
		}
		return ""
	}
	row("Organization", o.ID, "")
	row("Name", plain(o.Name), "-")
	row("From", yes(o.Declared, "the configuration, which alone changes it"), "stored")
	row("Second factor", yes(o.Require, "required of every member"), "as the gateway's policy says")
	row("Factors", kindWords(o.Factors), "those of the gateway")
	row("Fresh", o.Fresh, "-")
	row("Phishing-resistant", yes(o.PhishingResistant, "a passkey is required"), "-")
	row("Enrollment", o.Enrollment, "as the gateway's policy says")
	row("Remembered devices", yes(o.ForbidRemembering, "forbidden"), "as the gateway's policy says")
	row("Domains", plain(strings.Join(o.Domains, " ")), "-")
	if !o.Created.IsZero() {
		row("Created", when(o.Created), "")
	}
	_ = t.Flush()
	fmt.Fprintln(w, "\nIts members: secondgate mfa orgs members "+o.ID)
	if len(o.Domains) > 0 {
		fmt.Fprintln(w, "Whoever has a verified address of one of the domains is a member besides.")
	}
}
