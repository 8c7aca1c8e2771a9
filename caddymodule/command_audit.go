package caddymodule

import (
	"fmt"
	"io"
	"strconv"
	"strings"
	"text/tabwriter"
	"unicode"

	"github.com/spf13/cobra"

	"github.com/secondgate/secondgate/mfa"
)

// auditCommand is "audit" with what stands below it; by itself it is "audit list".
func (f *flags) auditCommand() *cobra.Command {
	c := f.auditListCommand("audit")
	c.Short = "Lists, follows, checks and exports what happened"
	c.Long = "Lists, follows, checks and exports the events that the store keeps: who tried what,\n" +
		"and how it ended. Without another word it lists them, newest first."
	c.AddCommand(f.auditListCommand("list"), f.auditTailCommand(), f.auditVerifyCommand(), f.auditExportCommand())
	return c
}

func (f *flags) auditListCommand(use string) *cobra.Command {
	var in adminRequest
	line := "secondgate mfa audit list"
	if use == "audit" {
		line = "secondgate mfa audit"
	}
	c := &cobra.Command{
		Use:   use,
		Short: "Lists what happened, newest first",
		Long: "Lists the events that the store keeps, newest first: who tried what, and how it\n" +
			"ended. What happened a moment ago may be missing: events are written within a\n" +
			"second.",
		Example: "  " + line + "\n  " + line + " --user alice --since 24h\n  " + line + " --event admin --json | jq -r '.events[].detail'",
		Args:    noArgs,
	}
	c.Flags().StringVar(&in.Name, "user", "", "Only what is about this user")
	c.Flags().StringVar(&in.Event, "event", "", "Only events of this name, for example sign_in")
	c.Flags().StringVar(&in.Since, "since", "", "Only what happened no longer ago than this, for example 24h")
	var names []string
	for _, name := range mfa.EventNames {
		names = append(names, string(name))
	}
	completeWords(c, "event", names...)
	f.paged(c, opAudit, &in)
	return c
}

func (f *flags) explainCommand() *cobra.Command {
	c := &cobra.Command{
		Use:   "explain <decision> | <user> <url>",
		Short: "Says why somebody was refused, or what somebody meets at an address",
		Long: "With the ID that a page showed: says in plain words what was decided, why, for whom\n" +
			"and where, and what would help. In the log it is the field \"decision\".\n\n" +
			"With a user and an address: says which gates stand there, what they ask and where\n" +
			"that comes from, what each factor of the user is worth there, and what would be\n" +
			"decided step by step. Nothing is opened and nothing is changed.",
		Example: `  secondgate mfa explain K7QX2MPLDN4A
  secondgate mfa explain alice https://admin.example.com/danger/`,
		Args: func(c *cobra.Command, args []string) error {
			switch {
			case len(args) == 0:
				return fail(c, refused("which decision? The page that refused somebody shows its ID; write: %s", c.UseLine()))
			case len(args) == 2 && !strings.Contains(args[1], "://"):
				return fail(c, refused("%q is one word too many, or no address; write: %s", args[1], c.UseLine()))
			case len(args) > 2:
				return fail(c, refused("%q is one word too many; write: %s", args[2], c.UseLine()))
			}
			return nil
		},
	}
	byID := f.request(opExplain, func(args []string) (adminRequest, error) { return adminRequest{Decision: args[0]}, nil })
	at := f.request(opAccess, func(args []string) (adminRequest, error) { return adminRequest{Name: args[0], Address: args[1]}, nil })
	c.RunE = func(cmd *cobra.Command, args []string) error {
		if len(args) == 2 {
			return at(cmd, args)
		}
		return byID(cmd, args)
	}
	return c
}

// plain returns text for one line of a terminal. Some of what events hold was chosen by
// strangers, and a terminal takes orders from what is printed on it.
func plain(s string) string {
	return strings.Map(func(r rune) rune {
		if !unicode.IsPrint(r) {
			return '?'
		}
		return r
	}, strings.ToValidUTF8(s, "?"))
}

func showEvents(w io.Writer, a *adminAnswer) {
	if len(a.Events) == 0 {
		fmt.Fprintln(w, "No events.")
	} else {
		t := tabwriter.NewWriter(w, 0, 4, 2, ' ', 0)
		fmt.Fprintln(t, "TIME\tEVENT\tOK\tUSER\tBY\tREASON\tFROM\tHOST\tDETAIL")
		for _, e := range a.Events {
			fmt.Fprintln(t, strings.Join(eventWords(e), "\t"))
		}
		_ = t.Flush()
	}
	if a.Next != "" {
		fmt.Fprintf(w, "\nThere may be more: --after %s\n", strconv.Quote(a.Next))
	}
}

// eventWords are the columns of an event.
func eventWords(e mfa.Event) []string {
	ok := "no"
	switch {
	case e.OK:
		ok = "yes"
	case e.Name == mfa.EventDecision:
		ok = "" // it is no try that ended
	}
	var more []string
	for _, word := range []string{string(e.Factor), e.Detail, e.Decision} {
		if word != "" {
			more = append(more, word)
		}
	}
	line := []string{e.At.UTC().Format("2006-01-02 15:04:05"), string(e.Name), ok, e.UserName, e.Actor, e.Reason, e.Network, e.Host, strings.Join(more, ", ")}
	for i, word := range line {
		line[i] = dash(plain(word))
	}
	return line
}

func showExplanation(w io.Writer, x *mfa.Explanation) {
	t := tabwriter.NewWriter(w, 0, 4, 2, ' ', 0)
	row := func(name, value string) {
		if value != "" {
			fmt.Fprintf(t, "%s\t%s\n", name, value)
		}
	}
	e := x.Event
	row("Decision", plain(e.Decision))
	row("What", plain(x.Decided)+".")
	row("Why", plain(x.Why+" ("+e.Reason+")"))
	row("What helps", plain(x.Help))
	row("Who", plain(e.UserName))
	row("When", e.At.UTC().Format("2006-01-02 15:04:05 UTC"))
	row("Where", plain(e.Host))
	row("From", plain(e.Network))
	row("Session", plain(e.Session))
	_ = t.Flush()
}

// showAccess says what somebody meets at an address.
func showAccess(w io.Writer, x *mfa.Access) {
	fmt.Fprintf(w, "%s at %s\n", plain(x.User), plain(x.URL))
	table := func(title, head string, rows [][]string) {
		if len(rows) == 0 {
			return
		}
		fmt.Fprintf(w, "\n%s\n", title)
		t := tabwriter.NewWriter(w, 0, 4, 2, ' ', 0)
		fmt.Fprintln(t, head)
		for _, row := range rows {
			for i, word := range row {
				row[i] = dash(plain(word))
			}
			fmt.Fprintln(t, strings.Join(row, "\t"))
		}
		_ = t.Flush()
	}
	var asks, factors, steps [][]string
	for _, a := range x.Asks {
		asks = append(asks, []string{a.What, a.From})
	}
	for _, f := range x.Factors {
		worth := "counts"
		if !f.Counts {
			worth = "does not count: " + f.Why
		}
		factors = append(factors, []string{string(f.Kind), f.Name, worth})
	}
	for i, s := range x.Steps {
		answer := s.Action
		if len(s.Factors) > 0 {
			answer += " " + kindWords(s.Factors)
		}
		if s.Reason != "" {
			answer += " (" + string(s.Reason) + ")"
		}
		steps = append(steps, []string{strconv.Itoa(i + 1), s.With, answer, s.Why})
	}
	table("What is asked there", "ASKS\tFROM", asks)
	table("What "+plain(x.User)+" has", "FACTOR\tNAME\tTHERE", factors)
	table("Step by step", "STEP\tWITH\tDECIDED\tWHY", steps)
	if len(x.Notes) > 0 {
		fmt.Fprintln(w)
	}
	for _, note := range x.Notes {
		fmt.Fprintln(w, plain(note.Text))
	}
}
