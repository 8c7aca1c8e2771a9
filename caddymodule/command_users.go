package caddymodule

import (
	"github.com/spf13/cobra"
)

// usersCommand is "users" with what stands below it.
func (f *flags) usersCommand() *cobra.Command {
	c := &cobra.Command{Use: "users", Short: "Lists, invites, helps, disables users"}
	group(c)
	c.AddCommand(f.listCommand(), f.showCommand(), f.inviteCommand(), f.resetPasswordCommand(),
		f.enrollmentPassCommand(), f.bypassCommand(), f.removeFactorsCommand(), f.unlockCommand(), f.resetSkipCommand(),
		f.disableCommand(), f.enableCommand(), f.roleCommand(), f.sessionsCommand(), f.endSessionsCommand())
	return c
}

func (f *flags) listCommand() *cobra.Command {
	var in adminRequest
	c := &cobra.Command{
		Use:   "list",
		Short: "Lists users with their factors",
		Long: "Lists users with their factors, a page at a time, in the order of their names or of\n" +
			"what was searched for. Where few of very many are meant, a page may be short and go\n" +
			"on all the same.",
		Example: `  secondgate mfa users list
  secondgate mfa users list --search ali
  secondgate mfa users list --no-factor --organization acme
  secondgate mfa users list --locked --json | jq -r '.users[].name'`,
		Args: noArgs,
	}
	c.Flags().StringVar(&in.Search, "search", "", "Only whose user name, address or a word of whose display name begins so")
	c.Flags().StringVar(&in.Factor, "factor", "", "Only who has this factor: passkey, totp, sms, email or backup_code")
	c.Flags().BoolVar(&in.NoFactor, "no-factor", false, "Only who has no factor, or nothing but backup codes")
	c.Flags().BoolVar(&in.Skipped, "skipped", false, "Only who skipped a set-up")
	c.Flags().BoolVar(&in.OptedOut, "opted-out", false, "Only who opted out")
	c.Flags().BoolVar(&in.Locked, "locked", false, "Only who is locked until you unlock them")
	c.Flags().BoolVar(&in.Disabled, "disabled", false, "Only who is disabled")
	c.Flags().StringVar(&in.Organization, "organization", "", "Only members of this one")
	completeFactors(c, "factor")
	f.paged(c, opList, &in)
	return c
}

// paged makes c a command that answers a page.
func (f *flags) paged(c *cobra.Command, op string, in *adminRequest) {
	c.Flags().StringVar(&in.After, "after", "", "Go on behind a page: the \"next\" of the one before")
	c.Flags().IntVar(&in.Limit, "limit", usualPage, "At most so many, up to 1000")
	c.RunE = func(cmd *cobra.Command, args []string) error {
		// A request without a limit means the usual one; whoever writes 0 means
		// something else.
		if in.Limit < 1 {
			return fail(cmd, refused("--limit %d: %v", in.Limit, errLimit))
		}
		return f.run(op, in)(cmd, args)
	}
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
	c.Flags().StringVar(&in.Role, "role", "", "A role over the whole gateway: admin or auditor")
	c.Flags().StringArrayVar(&in.AdminOf, "admin-of", nil, "An organization whose members they administrate; may be repeated")
	completeWords(c, "role", "admin", "auditor")
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
  secondgate mfa users remove-factors alice --factor totp --yes
  secondgate mfa users remove-factors alice --credential Xw3kq9 --yes`,
		Args: oneUser,
		RunE: f.confirmed("This removes the second factors of %s and ends their sessions.", f.run(opRemoveFactors, &in)),
	}
	c.Flags().StringVar(&in.Factor, "factor", "", "Only this kind: passkey, totp, sms, email or backup_code")
	c.Flags().StringVar(&in.Credential, "credential", "", "Only this one: its ID, as users show prints it")
	completeFactors(c, "factor")
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

func (f *flags) resetSkipCommand() *cobra.Command {
	return &cobra.Command{
		Use:     "reset-skip <name>",
		Short:   "Forgets that a user skipped a set-up, so that they are asked again",
		Example: `  secondgate mfa users reset-skip alice`,
		Args:    oneUser,
		RunE:    f.run(opResetSkip, nil),
	}
}

func (f *flags) roleCommand() *cobra.Command {
	var in adminRequest
	c := &cobra.Command{
		Use:   "role <name> admin|auditor|none",
		Short: "Says who administrates; it takes every other role of theirs away",
		Long: "Makes a user an administrator or an auditor of the whole gateway, or neither, and an\n" +
			"administrator of the organizations that --admin-of names; every other role of theirs\n" +
			"goes. Auditors see everything and change nothing. The last administrator stays one.",
		Example: `  secondgate mfa users role alice admin
  secondgate mfa users role bob none --admin-of acme
  secondgate mfa users role carol auditor`,
		Args: func(c *cobra.Command, args []string) error {
			switch {
			case len(args) < 2:
				return fail(c, refused("which user, and which role: admin, auditor or none? Write: %s", c.UseLine()))
			case len(args) > 2:
				return fail(c, refused("%q is one word too many; a name has no spaces; write: %s", args[2], c.UseLine()))
			}
			return nil
		},
		RunE: f.request(opRole, func(args []string) (adminRequest, error) {
			in.Name, in.Role = args[0], args[1]
			return in, nil
		}),
		ValidArgsFunction: completeArg(1, "admin", "auditor", "none"),
	}
	c.Flags().StringArrayVar(&in.AdminOf, "admin-of", nil, "An organization whose members they administrate; may be repeated")
	return c
}

func (f *flags) sessionsCommand() *cobra.Command {
	return &cobra.Command{
		Use:     "sessions <name>",
		Short:   "Lists a user's sessions",
		Example: `  secondgate mfa users sessions alice`,
		Args:    oneUser,
		RunE:    f.run(opSessions, nil),
	}
}

func (f *flags) endSessionsCommand() *cobra.Command {
	var in adminRequest
	c := &cobra.Command{
		Use:   "end-sessions <name>",
		Short: "Ends all sessions of a user, or one of them",
		Long: "Ends all sessions of a user, and what remembered browsers stand for; or, with\n" +
			"--session, one session. It holds on the next request of each.",
		Example: `  secondgate mfa users end-sessions alice
  secondgate mfa users end-sessions alice --session 4f1c9a`,
		Args: oneUser,
		RunE: f.run(opEndSessions, &in),
	}
	c.Flags().StringVar(&in.Session, "session", "", "Only this one: its handle, as users sessions prints it")
	return c
}
