package caddymodule

import (
	"fmt"
	"io"
	"strconv"
	"text/tabwriter"

	"github.com/spf13/cobra"

	"github.com/secondgate/secondgate/mfa"
)

func (f *flags) coverageCommand() *cobra.Command {
	var in adminRequest
	c := &cobra.Command{
		Use:   "coverage",
		Short: "Says how many people have which factors",
		Example: `  secondgate mfa coverage
  secondgate mfa coverage --organization acme --json`,
		Args: noArgs,
		RunE: f.run(opCoverage, &in),
	}
	c.Flags().StringVar(&in.Organization, "organization", "", "Only members of this one")
	return c
}

func (f *flags) forecastCommand() *cobra.Command {
	var in adminRequest
	c := &cobra.Command{
		Use:   "forecast",
		Short: "Says who would be stopped if a second factor were required now",
		Long: "Says who would be stopped if a second factor were required now: who has none that\n" +
			"counts, and where and when they were last seen. Who is disabled is left out.",
		Example: `  secondgate mfa forecast
  secondgate mfa forecast --organization acme --limit 1000 --json`,
		Args: noArgs,
	}
	c.Flags().StringVar(&in.Organization, "organization", "", "If this one required it of its members")
	f.paged(c, opForecast, &in)
	return c
}

// share is a number with what part of the whole it is.
func share(n, of int) string {
	if of == 0 {
		return strconv.Itoa(n)
	}
	return fmt.Sprintf("%d (%.1f %%)", n, 100*float64(n)/float64(of))
}

func whose(of mfa.OrganizationID) string {
	if of == "" {
		return "of everybody"
	}
	return "of the members of " + string(of)
}

func showCoverage(w io.Writer, c *mfa.Coverage) {
	fmt.Fprintf(w, "Coverage %s; who is disabled is left out.\n\n", whose(c.Organization))
	t := tabwriter.NewWriter(w, 0, 4, 2, ' ', 0)
	row := func(name string, n int) { fmt.Fprintf(t, "%s\t%s\n", name, share(n, c.Users)) }
	fmt.Fprintf(t, "users\t%d\n", c.Users)
	for _, k := range factorsHere.List() {
		row(string(k), c.Factors[k])
	}
	row("no factor, or only backup codes", c.None)
	row("none that the policy enables", c.Stopped)
	row("can meet phishing_resistant", c.PhishingResistant)
	_ = t.Flush()
}

func showForecast(w io.Writer, f *mfa.Forecast) {
	people := "users"
	if f.Organization != "" {
		people = "members of " + string(f.Organization)
	}
	fmt.Fprintf(w, "If a second factor were required now: of %d %s, %s would be stopped.\n", f.Users, people, share(f.Stopped, f.Users))
	if f.Closed && f.Stopped > 0 {
		fmt.Fprintln(w, "They could not set one up with their password alone: it takes a code to the address on file, or a pass (enrollment).")
	}
	if len(f.Page) > 0 {
		fmt.Fprintln(w)
		t := tabwriter.NewWriter(w, 0, 4, 2, ' ', 0)
		fmt.Fprintln(t, "NAME\tDISPLAY NAME\tFACTORS\tLAST SIGN-IN\tAT")
		for _, u := range f.Page {
			fmt.Fprintf(t, "%s\t%s\t%s\t%s\t%s\n", plain(u.Name), dash(plain(u.DisplayName)), dash(plain(factorsOf(&u))), when(u.LastSignIn), dash(plain(u.LastHost)))
		}
		_ = t.Flush()
	}
	if f.Next != "" {
		fmt.Fprintf(w, "\nThere are more: --after %s\n", strconv.Quote(f.Next))
	}
}

func showPolicyTest(w io.Writer, p *mfa.PolicyTest) {
	fmt.Fprint(w, "This is a test: nothing was changed.\n\n")
	switch {
	case p.Refused != "" && p.Lockout:
		fmt.Fprintf(w, "It would be refused: %s. It could be forced.\n\n", plain(p.Refused))
	case p.Refused != "":
		fmt.Fprintf(w, "It would be refused: %s\n", plain(p.Refused))
		return
	}
	if len(p.Changes) == 0 {
		fmt.Fprintln(w, "Nothing would change.")
	} else {
		t := tabwriter.NewWriter(w, 0, 4, 2, ' ', 0)
		fmt.Fprintln(t, "FIELD\tNOW\tTHEN")
		for _, c := range p.Changes {
			fmt.Fprintf(t, "%s\t%s\t%s\n", c.Field, dash(c.Before), dash(c.After))
		}
		_ = t.Flush()
	}
	fmt.Fprintf(w, "\nOf %d users, %s would have to set up a factor before they get anywhere; now it is %s.\n", p.Users, share(p.WouldStop, p.Users), share(p.Stopped, p.Users))
	if p.Closed && p.WouldStop > 0 {
		fmt.Fprintln(w, "They could not do it with their password alone: it would take a code to the address on file, or a pass (enrollment).")
	}
	if p.WouldStop > 0 {
		fmt.Fprintln(w, "Who they are: secondgate mfa forecast")
	}
}
