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
		Use: "keys", Short: "Makes, lists and revokes the API keys of programs",
		Long: "Makes, lists and revokes the keys with which programs use the admin API. A key opens\n" +
			"what its scopes name and nothing else, for so long and no longer.\n\nScopes: " + scopeWords(),
	}
	group(c)
	c.AddCommand(f.keyListCommand(), f.keyCreateCommand(), f.keyRevokeCommand())
	return c
}

func scopeWords() string { return strings.Join(mfa.PowerNames(), ", ") }

func (f *flags) keyListCommand() *cobra.Command {
	return &cobra.Command{
		Use:     "list",
		Short:   "Lists keys with their scopes, their end and their last use",
		Example: `  secondgate mfa keys list`,
		Args:    noArgs,
		RunE:    f.run(opKeyList, nil),
	}
}

func (f *flags) keyCreateCommand() *cobra.Command {
	var in adminRequest
	c := &cobra.Command{
		Use:   "create <name>",
		Short: "Makes a key for a program; it is printed this once",
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
		Short:   "Ends a key at once",
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
