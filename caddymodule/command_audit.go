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

func (f *flags) auditCommand() *cobra.Command {
	var in adminRequest
	c := &cobra.Command{
		Use:   "audit",
		Short: "Lists what happened, newest first",
		Long: "Lists the events that the store keeps, newest first: who tried what, and how it\n" +
			"ended. They are kept for 90 days. What happened a moment ago may be missing: events\n" +
			"are written within a second.",
		Example: `  secondgate mfa audit
  secondgate mfa audit --user alice --since 24h
  secondgate mfa audit --event admin --json | jq -r '.events[].detail'`,
		Args: noArgs,
		RunE: func(cmd *cobra.Command, args []string) error {
			if in.Limit < 1 {
				return fail(cmd, refused("--limit %d: %v", in.Limit, errLimit))
			}
			return f.run(opAudit, &in)(cmd, args)
		},
	}
	c.Flags().StringVar(&in.Name, "user", "", "Only what is about this user")
	c.Flags().StringVar(&in.Event, "event", "", "Only events of this name, for example sign_in")
	c.Flags().StringVar(&in.Since, "since", "", "Only what happened no longer ago than this, for example 24h")
	c.Flags().StringVar(&in.After, "after", "", "Go on behind a page: the \"next\" of the one before")
	c.Flags().IntVar(&in.Limit, "limit", usualPage, "At most so many, up to 1000")
	return c
}

func (f *flags) explainCommand() *cobra.Command {
	return &cobra.Command{
		Use:   "explain <decision>",
		Short: "Says why somebody was refused: by the ID that the page showed them",
		Long: "Says in plain words what was decided, why, for whom and where, and what would\n" +
			"help. The page that refuses somebody shows the ID; in the log it is the field\n" +
			"\"decision\".",
		Example: `  secondgate mfa explain K7QX2MPLDN4A`,
		Args: func(c *cobra.Command, args []string) error {
			switch {
			case len(args) == 0:
				return fail(c, refused("which decision? The page that refused somebody shows its ID; write: %s", c.UseLine()))
			case len(args) > 1:
				return fail(c, refused("%q is one word too many; write: %s", args[1], c.UseLine()))
			}
			return nil
		},
		RunE: f.request(opExplain, func(args []string) (adminRequest, error) { return adminRequest{Decision: args[0]}, nil }),
	}
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
		fmt.Fprintln(t, "TIME\tEVENT\tOK\tUSER\tREASON\tFROM\tHOST\tDETAIL")
		for _, e := range a.Events {
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
			line := []string{e.At.UTC().Format("2006-01-02 15:04:05"), string(e.Name), ok, e.UserName, e.Reason, e.Network, e.Host, strings.Join(more, ", ")}
			for i, word := range line {
				line[i] = dash(plain(word))
			}
			fmt.Fprintln(t, strings.Join(line, "\t"))
		}
		_ = t.Flush()
	}
	if a.Next != "" {
		fmt.Fprintf(w, "\nThere may be more: --after %s\n", strconv.Quote(a.Next))
	}
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
