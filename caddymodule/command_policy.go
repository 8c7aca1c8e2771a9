package caddymodule

import (
	"fmt"
	"io"
	"text/tabwriter"

	"github.com/spf13/cobra"

	"github.com/secondgate/secondgate/mfa"
)

// policyCommand is "policy" with what stands below it.
func (f *flags) policyCommand() *cobra.Command {
	c := &cobra.Command{
		Use: "policy", Short: "Shows what is asked of people, and sets what the configuration leaves open",
		Long: "Shows the gateway's policy as it holds and where each part of it comes from, and\n" +
			"sets those parts that the configuration does not name. What it names is changed\n" +
			"there alone.\n\n" + policyUsage(),
	}
	group(c)
	c.AddCommand(f.policyShowCommand(), f.policySetCommand(), f.policyClearCommand(), f.policyTestCommand())
	return c
}

// policyUsage lists the fields with what may stand in them.
func policyUsage() string {
	text := "Fields:"
	for _, field := range mfa.PolicyFields() {
		text += fmt.Sprintf("\n  %-22s %s", field.Name, field.Values)
	}
	return text
}

func (f *flags) policyShowCommand() *cobra.Command {
	return &cobra.Command{
		Use:     "show",
		Short:   "Shows the policy as it holds",
		Example: `  secondgate mfa policy show`,
		Args:    noArgs,
		RunE:    f.run(opPolicyShow, nil),
	}
}

func (f *flags) policySetCommand() *cobra.Command {
	var force bool
	c := &cobra.Command{
		Use:   "set <field> <value>...",
		Short: "Sets a part of the policy; it holds from the next request on",
		Long:  "Sets a part of the policy that the configuration does not name. It holds from the\nnext request on.\n\n" + policyUsage(),
		Example: `  secondgate mfa policy set factors passkey totp backup_code
  secondgate mfa policy set enrollment open 7d
  secondgate mfa policy set remember_device 30d`,
		Args: func(c *cobra.Command, args []string) error {
			if len(args) < 2 {
				return fail(c, refused("which field, and what is it to be? Write: %s", c.UseLine()))
			}
			return nil
		},
		ValidArgsFunction: completePolicy,
		RunE: f.request(opPolicySet, func(args []string) (adminRequest, error) {
			return adminRequest{Field: args[0], Values: args[1:], Force: force}, nil
		}),
	}
	forceFlag(c, &force)
	return c
}

// forceFlag is for what is refused where it would shut every administrator out.
func forceFlag(c *cobra.Command, force *bool) {
	c.Flags().BoolVar(force, "force", false, "Do it though no administrator could sign in any more")
}

func (f *flags) policyClearCommand() *cobra.Command {
	var force bool
	c := &cobra.Command{
		Use:   "clear <field>",
		Short: "Takes a part of the policy away that was set by a command",
		Long: "Takes a part of the policy away that was set by a command. What the configuration\n" +
			"says holds then, or the default.",
		Example: `  secondgate mfa policy clear enrollment`,
		Args: func(c *cobra.Command, args []string) error {
			switch {
			case len(args) == 0:
				return fail(c, refused("which field? Write: %s", c.UseLine()))
			case len(args) > 1:
				return fail(c, refused("%q is one word too many; write: %s", args[1], c.UseLine()))
			}
			return nil
		},
		RunE: f.request(opPolicyClear, func(args []string) (adminRequest, error) { return adminRequest{Field: args[0], Force: force}, nil }),
	}
	forceFlag(c, &force)
	return c
}

func (f *flags) policyTestCommand() *cobra.Command {
	return &cobra.Command{
		Use:   "test <field> [<value>...]",
		Short: "Says what a change of the policy would do, and changes nothing",
		Long: "Says what \"policy set\" would change with these words, or \"policy clear\" with none:\n" +
			"which fields, how many people would have to set up a factor first, and whether it\n" +
			"would be refused. Nothing is changed.\n\n" + policyUsage(),
		Example: `  secondgate mfa policy test require on
  secondgate mfa policy test factors passkey
  secondgate mfa policy test enrollment`,
		Args: func(c *cobra.Command, args []string) error {
			if len(args) == 0 {
				return fail(c, refused("which field, and what is it to be? Write: %s", c.UseLine()))
			}
			return nil
		},
		ValidArgsFunction: completePolicy,
		RunE: f.request(opPolicyTest, func(args []string) (adminRequest, error) {
			return adminRequest{Field: args[0], Values: args[1:]}, nil
		}),
	}
}

func showPolicy(w io.Writer, p *mfa.PolicyInfo) {
	for _, warning := range p.Warnings {
		fmt.Fprintln(w, "!! "+warning)
	}
	if len(p.Warnings) > 0 {
		fmt.Fprintln(w)
	}
	t := tabwriter.NewWriter(w, 0, 4, 2, ' ', 0)
	fmt.Fprintln(t, "FIELD\tVALUE\tFROM")
	for _, f := range p.Fields {
		from := f.From
		if f.Stored != "" {
			from += " (stored, without effect: " + f.Stored + ")"
		}
		fmt.Fprintf(t, "%s\t%s\t%s\n", f.Field, dash(f.Value), from)
	}
	_ = t.Flush()
}
