package caddymodule

import (
	"fmt"
	"io"
	"strings"
	"text/tabwriter"

	"github.com/spf13/cobra"

	"github.com/secondgate/secondgate/mfa"
)

// keysCommand is "keys" with what stands below it.
func (f *flags) keysCommand() *cobra.Command {
	c := &cobra.Command{
		Use: "keys", Short: "API keys of programs, and the keys of the gateway itself",
		Long: "Two kinds of keys, which have nothing to do with each other.\n\n" +
			"An API key is a program's: with it the program uses the admin API. It opens what its\n" +
			"scopes name and nothing else, for so long and no longer.\n\n" +
			"The gateway's own keys seal the store and sign sessions. They open nothing to anybody,\n" +
			"and are replaced while the gateway serves.\n\nScopes: " + scopeWords(),
	}
	group(c)
	groupKeys(c, []*cobra.Command{f.keyListCommand(), f.keyCreateCommand(), f.keyRevokeCommand()},
		[]*cobra.Command{f.keyStatusCommand(), f.rotateCommand(), f.masterCommand()})
	return c
}

func scopeWords() string { return strings.Join(mfa.PowerNames(), ", ") }

func (f *flags) keyListCommand() *cobra.Command {
	return &cobra.Command{
		Use:     "list",
		Short:   "Lists API keys with their scopes, their end and their last use",
		Example: `  secondgate mfa keys list`,
		Args:    noArgs,
		RunE:    f.run(opKeyList, nil),
	}
}

func (f *flags) keyCreateCommand() *cobra.Command {
	var in adminRequest
	c := &cobra.Command{
		Use:   "create <name>",
		Short: "Makes an API key for a program; it is printed this once",
		Long: "Makes a key for a program and prints it, this once, on standard output. What the\n" +
			"store keeps of it opens nothing.\n\nScopes: " + scopeWords(),
		Example: `  secondgate mfa keys create onboarding --scope users:read --scope users:write
  secondgate mfa keys create siem --scope audit:read --for 366d
  secondgate mfa keys create acme-hr --scope users:read --organization acme`,
		Args: func(c *cobra.Command, args []string) error {
			switch {
			case len(args) == 0:
				return fail(c, refused("what is the key for? Give it a name; write: %s", c.UseLine()))
			case len(args) > 1:
				return fail(c, refused("%q is one word too many; put a name of several words in quotes; write: %s", args[1], c.UseLine()))
			}
			return nil
		},
		RunE: f.run(opKeyCreate, &in),
	}
	c.Flags().StringArrayVar(&in.Scopes, "scope", nil, "What it opens; may be repeated")
	c.Flags().StringVar(&in.Organization, "organization", "", "Whose members alone it reaches")
	c.Flags().StringVar(&in.For, "for", "90d", "How long it is good, up to 366d")
	completeWords(c, "scope", mfa.PowerNames()...)
	return c
}

func (f *flags) keyRevokeCommand() *cobra.Command {
	return &cobra.Command{
		Use:     "revoke <id>",
		Short:   "Ends an API key at once",
		Example: `  secondgate mfa keys revoke 5f1b0c9d2e3a4756`,
		Args: func(c *cobra.Command, args []string) error {
			switch {
			case len(args) == 0:
				return fail(c, refused("which key? Write: %s", c.UseLine()))
			case len(args) > 1:
				return fail(c, refused("%q is one word too many; write: %s", args[1], c.UseLine()))
			}
			return nil
		},
		RunE: f.request(opKeyRevoke, func(args []string) (adminRequest, error) { return adminRequest{Key: args[0]}, nil }),
	}
}

func showKeys(w io.Writer, list []keyInfo) {
	if len(list) == 0 {
		fmt.Fprintln(w, "No keys.")
		return
	}
	t := tabwriter.NewWriter(w, 0, 4, 2, ' ', 0)
	fmt.Fprintln(t, "ID\tNAME\tSCOPES\tORGANIZATION\tMADE BY\tEXPIRES\tLAST USED\tFROM")
	for _, k := range list {
		fmt.Fprintf(t, "%s\t%s\t%s\t%s\t%s\t%s\t%s\t%s\n", k.ID, dash(plain(k.Name)), strings.Join(k.Scopes, " "), dash(k.Organization),
			dash(plain(k.By)), when(k.Expires), when(k.LastUsed), dash(plain(k.LastNetwork)))
	}
	_ = t.Flush()
}
