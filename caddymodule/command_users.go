package caddymodule

import (
	"github.com/spf13/cobra"
)

// usersCommand is "users" with what stands below it.
func (f *flags) usersCommand() *cobra.Command {
	c := &cobra.Command{Use: "users", Short: "Lists, invites, helps, disables users"}
	group(c)
	c.AddCommand(f.listCommand(), f.showCommand(), f.inviteCommand(), f.resetPasswordCommand(),
		f.enrollmentPassCommand(), f.bypassCommand(), f.removeFactorsCommand(), f.unlockCommand(), f.disableCommand(), f.enableCommand())
	return c
}

func (f *flags) listCommand() *cobra.Command {
	var in adminRequest
	c := &cobra.Command{
		Use:   "list",
		Short: "Lists users with their factors",
		Example: `  secondgate mfa users list
  secondgate mfa users list --prefix al
  secondgate mfa users list --json | jq -r '.users[].name'`,
		Args: noArgs,
		RunE: func(cmd *cobra.Command, args []string) error {
			// A request without a limit means the usual one; whoever writes 0 means
			// something else.
			if in.Limit < 1 {
				return fail(cmd, refused("--limit %d: %v", in.Limit, errLimit))
			}
			return f.run(opList, &in)(cmd, args)
		},
	}
	c.Flags().StringVar(&in.Prefix, "prefix", "", "Only names that begin so")
	c.Flags().StringVar(&in.After, "after", "", "Go on behind a page: the \"next\" of the one before")
	c.Flags().IntVar(&in.Limit, "limit", usualPage, "At most so many, up to 1000")
	return c
}

func (f *flags) showCommand() *cobra.Command {
	return &cobra.Command{
		Use:     "show <name>",
		Short:   "Shows a user with factors, locks and sessions",
		Example: `  secondgate mfa users show alice`,
		Args:    oneUser,
		RunE:    f.run(opShow, nil),
	}
}

func (f *flags) inviteCommand() *cobra.Command {
	var in adminRequest
	c := &cobra.Command{
		Use:   "invite <name>",
		Short: "Makes an account and the link with which its owner chooses a password",
		Long: "Makes an account and the link with which its owner chooses a password and sets\n" +
			"up a second factor. The link is good once. For somebody who has not come yet it\n" +
			"makes a new link, and the old one stops working.",
		Example: `  secondgate mfa users invite alice
  secondgate mfa users invite alice --name "Alice Ng" --email alice@example.com --group staff --group ops
  secondgate mfa users invite alice --organization acme --phone +4915112345678`,
		Args: oneUser,
		RunE: f.run(opInvite, &in),
	}
	c.Flags().StringVar(&in.DisplayName, "name", "", "The name that apps and pages show")
	c.Flags().StringVar(&in.Email, "email", "", "E-mail address; it is not verified and not passed to apps")
	c.Flags().StringVar(&in.Phone, "phone", "", "Mobile number; it is not verified")
	c.Flags().StringArrayVar(&in.Organizations, "organization", nil, "An organization to be a member of; may be repeated")
	c.Flags().StringArrayVar(&in.Groups, "group", nil, "A group that apps are told of; may be repeated")
	c.Flags().BoolVar(&in.Admin, "admin", false, "Shown as an administrator in lists; it grants nothing in this version")
	f.urlFlag(c)
	return c
}

func (f *flags) resetPasswordCommand() *cobra.Command {
	c := &cobra.Command{
		Use:     "reset-password <name>",
		Short:   "Makes a link with which a user chooses a new password; factors stay",
		Example: `  secondgate mfa users reset-password alice`,
		Args:    oneUser,
		RunE:    f.run(opResetPassword, nil),
	}
	f.urlFlag(c)
	return c
}

func (f *flags) enrollmentPassCommand() *cobra.Command {
	var in adminRequest
	c := &cobra.Command{
		Use:   "enrollment-pass <name>",
		Short: "Makes a secret that lets a user set up a first second factor",
		Long: "Makes a secret, good once, with which a user who has no second factor sets one up\n" +
			"after the password: under \"enrollment pass\", and where the time to do it without is\n" +
			"over. It is printed this once. Be sure whom you talk to.",
		Example: `  secondgate mfa users enrollment-pass alice
  secondgate mfa users enrollment-pass alice --for 2h`,
		Args: oneUser,
		RunE: f.run(opEnrollmentPass, &in),
	}
	forFlag(c, &in)
	return c
}

func (f *flags) bypassCommand() *cobra.Command {
	var in adminRequest
	c := &cobra.Command{
		Use:   "bypass <name>",
		Short: "Makes a secret that stands for a user's second factor at one sign-in",
		Long: "Makes a secret, good once, that stands for the second factor at one sign-in, and\n" +
			"then leads to the set-up of a new one: for somebody who has left their phone at\n" +
			"home. Factors stay. It is printed this once; why it was made stands in the\n" +
			"record. Be sure whom you talk to.",
		Example: `  secondgate mfa users bypass alice --why "phone at home, called back at the number on file"
  secondgate mfa users bypass alice --why "new phone, ticket 4711" --for 1h`,
		Args: oneUser,
		RunE: f.run(opBypass, &in),
	}
	c.Flags().StringVar(&in.Why, "why", "", "Why, for the record; needed")
	forFlag(c, &in)
	return c
}

func forFlag(c *cobra.Command, in *adminRequest) {
	c.Flags().StringVar(&in.For, "for", "24h", "How long it is good, up to 7d")
}

func (f *flags) removeFactorsCommand() *cobra.Command {
	var in adminRequest
	c := &cobra.Command{
		Use:   "remove-factors <name>",
		Short: "Removes a user's second factors and ends their sessions",
		Long: "Removes a user's second factors and ends their sessions: for somebody who lost\n" +
			"their phone and their backup codes. At the next sign-in they set up new ones with\n" +
			"their password. Where the policy wants more than that, enrollment-pass makes the\n" +
			"secret that opens it. Be sure whom you talk to.",
		Example: `  secondgate mfa users remove-factors alice
  secondgate mfa users remove-factors alice --factor totp --yes`,
		Args: oneUser,
		RunE: f.confirmed("This removes the second factors of %s and ends their sessions.", f.run(opRemoveFactors, &in)),
	}
	c.Flags().StringVar(&in.Factor, "factor", "", "Only this kind: passkey, totp, sms, email or backup_code")
	f.yesFlag(c)
	return c
}

func (f *flags) unlockCommand() *cobra.Command {
	return &cobra.Command{
		Use:     "unlock <name>",
		Short:   "Forgets a user's failed attempts, so that they can try again at once",
		Example: `  secondgate mfa users unlock alice`,
		Args:    oneUser,
		RunE:    f.run(opUnlock, nil),
	}
}

func (f *flags) disableCommand() *cobra.Command {
	c := &cobra.Command{
		Use:     "disable <name>",
		Short:   "Shuts a user out and ends their sessions; nothing is lost",
		Example: `  secondgate mfa users disable alice`,
		Args:    oneUser,
		RunE:    f.confirmed("This shuts %s out and ends their sessions.", f.run(opDisable, nil)),
	}
	f.yesFlag(c)
	return c
}

func (f *flags) enableCommand() *cobra.Command {
	return &cobra.Command{
		Use:     "enable <name>",
		Short:   "Lets a disabled user in again",
		Example: `  secondgate mfa users enable alice`,
		Args:    oneUser,
		RunE:    f.run(opEnable, nil),
	}
}
