package caddymodule

import (
	"bufio"
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/secondgate/secondgate/mfa"
)

// The exit codes of "audit verify": it is run by programs that act on them.
const (
	exitBroken     = 1
	exitUnreadable = 2
)

func (f *flags) auditTailCommand() *cobra.Command {
	var lines int
	var follow bool
	var every time.Duration
	c := &cobra.Command{
		Use:   "tail",
		Short: "Shows the newest events, the newest last, and with -f those that come",
		Example: `  secondgate mfa audit tail
  secondgate mfa audit tail -f
  secondgate mfa audit tail -f --json | jq -r 'select(.name == "admin") | .detail'`,
		Args: noArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if lines < 1 || lines > maxPage {
				return fail(cmd, refused("-n %d: %v", lines, errLimit))
			}
			return f.tail(cmd, lines, follow, every)
		},
	}
	c.Flags().IntVarP(&lines, "lines", "n", 20, "How many of those that are there, up to 1000")
	c.Flags().BoolVarP(&follow, "follow", "f", false, "Go on with those that come, until it is interrupted")
	c.Flags().DurationVar(&every, "every", 2*time.Second, "How often to look")
	_ = c.Flags().MarkHidden("every")
	return c
}

// tail shows the newest events and follows.
func (f *flags) tail(cmd *cobra.Command, lines int, follow bool, every time.Duration) error {
	answer, by, err := f.perform(cmd.Context(), opAudit, adminRequest{Limit: lines})
	if err != nil {
		return fail(cmd, err)
	}
	if !f.json {
		fmt.Fprintln(cmd.ErrOrStderr(), by)
	}
	slices.Reverse(answer.Events)
	last := uint64(0)
	for out := cmd.OutOrStdout(); ; {
		for _, e := range answer.Events {
			last = max(last, e.Number)
			if err := f.printEvent(out, e); err != nil {
				return err // whoever read it has gone
			}
		}
		if !follow {
			return nil
		}
		if answer.Next == "" || len(answer.Events) == 0 {
			select {
			case <-cmd.Context().Done():
				return nil
			case <-time.After(every):
			}
		}
		if answer, _, err = f.perform(cmd.Context(), opAuditExport, adminRequest{From: last + 1}); err != nil {
			return fail(cmd, err)
		}
	}
}

// printEvent prints one event as a line.
func (f *flags) printEvent(w io.Writer, e mfa.Event) error {
	if f.json {
		return json.NewEncoder(w).Encode(e)
	}
	words := slices.DeleteFunc(eventWords(e), func(word string) bool { return word == "-" })
	_, err := fmt.Fprintln(w, strings.Join(words, "  "))
	return err
}

func (f *flags) auditExportCommand() *cobra.Command {
	var from uint64
	c := &cobra.Command{
		Use:   "export",
		Short: "Writes all kept events as JSON lines, the oldest first",
		Long: "Writes all kept events as JSON lines on standard output, the oldest first, each with\n" +
			"its number and its hash: \"audit verify FILE\" checks such a file anywhere.",
		Example: `  secondgate mfa audit export > events.jsonl
  secondgate mfa audit export --from 1201 >> events.jsonl`,
		Args: noArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			out := bufio.NewWriter(cmd.OutOrStdout())
			for next := from; ; {
				answer, _, err := f.perform(cmd.Context(), opAuditExport, adminRequest{From: next})
				if err != nil {
					_ = out.Flush()
					return fail(cmd, err)
				}
				for _, e := range answer.Events {
					if err := json.NewEncoder(out).Encode(e); err != nil {
						return err
					}
					next = e.Number + 1
				}
				if err := out.Flush(); err != nil {
					return err
				}
				if answer.Next == "" {
					return nil
				}
			}
		},
	}
	c.Flags().Uint64Var(&from, "from", 0, "Begin with the event of this number (default: the first that is kept)")
	return c
}

func (f *flags) auditVerifyCommand() *cobra.Command {
	var head string
	c := &cobra.Command{
		Use:   "verify [<file>]",
		Short: "Checks that no event was changed, removed or moved",
		Long: "Checks the chain of all kept events: that none was changed, removed or moved. With a\n" +
			"file it checks what \"audit export\" wrote, anywhere and without a gateway.\n\n" +
			"It prints the number and the hash of the last event. Keep them elsewhere: whoever can\n" +
			"write the whole store can make a new chain, and --head finds that out.\n\n" +
			"Exit status: 0 whole · 1 broken, the words say where · 2 it could not be read.",
		Example: `  secondgate mfa audit verify
  secondgate mfa audit verify --head 1200:9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08
  secondgate mfa audit verify events.jsonl`,
		Args: func(c *cobra.Command, args []string) error {
			if len(args) > 1 {
				return fail(c, refused("%q is one word too many; write: %s", args[1], c.UseLine()))
			}
			return nil
		},
		RunE: func(cmd *cobra.Command, args []string) error { return f.verify(cmd, args, head) },
	}
	c.Flags().StringVar(&head, "head", "", "NUMBER:HASH of an event that was written down elsewhere")
	return c
}

// verify checks the chain in the store, or in a file.
func (f *flags) verify(cmd *cobra.Command, args []string, head string) error {
	noted, err := parseHead(head)
	if err != nil {
		return fail(cmd, refused("%v", err))
	}
	var v *mfa.Verified
	note, by := "", ""
	if len(args) == 1 {
		v, note, err = verifyFile(args[0], noted)
	} else {
		var answer *adminAnswer
		if answer, by, err = f.perform(cmd.Context(), opAuditVerify, adminRequest{Head: head}); err == nil {
			v = answer.Verified
		}
	}
	if err != nil {
		return fail(cmd, &commandError{exitUnreadable, err.Error()})
	}
	if f.json {
		if err := encode(cmd.OutOrStdout(), adminAnswer{Verified: v, Note: note}); err != nil {
			return err
		}
	} else {
		if by != "" {
			fmt.Fprintln(cmd.ErrOrStderr(), by)
		}
		showVerified(cmd.OutOrStdout(), v)
		if note != "" {
			fmt.Fprintln(cmd.OutOrStdout(), note)
		}
	}
	if v.Broken != 0 || v.What != "" {
		return fail(cmd, &commandError{exitBroken, brokenWords(v)})
	}
	return nil
}

// brokenWords say what is wrong with the chain.
func brokenWords(v *mfa.Verified) string {
	what := map[string]string{
		mfa.ChainChanged:   "was changed, or what stands before it was",
		mfa.ChainMissing:   "is missing",
		mfa.ChainReordered: "stands in another place than it was written in",
		mfa.ChainCut:       "is missing, and all behind it",
	}[v.What]
	if what == "" {
		what = v.What
	}
	return fmt.Sprintf("the chain is broken: event %d %s", v.Broken, what)
}

func showVerified(w io.Writer, v *mfa.Verified) {
	switch {
	case v.What != "":
		fmt.Fprintf(w, "BROKEN at event %d: %s.\n", v.Broken, v.What)
		return
	case v.Count == 0:
		fmt.Fprintln(w, "There are no events, and nothing that is missing.")
		return
	}
	fmt.Fprintf(w, "Whole: %d events, from number %d to %d.\nHead  %d:%s\n", v.Count, v.First, v.Last, v.Last, v.Head)
}

// maxEventLine is the longest line that an export has.
const maxEventLine = 1 << 20

// verifyFile checks an export. Each line must be what an export writes, to the byte: a
// field that this version does not know, or one that stands twice, could say to its reader
// what was never hashed.
func verifyFile(path string, noted mfa.Chain) (v *mfa.Verified, note string, err error) {
	file, err := os.Open(path)
	if err != nil {
		return nil, "", err
	}
	defer file.Close()
	v = new(mfa.Verified)
	var chain mfa.Chain
	lines := bufio.NewScanner(file)
	lines.Buffer(nil, maxEventLine)
	for n := 1; lines.Scan(); n++ {
		var e mfa.Event
		if err := json.Unmarshal(lines.Bytes(), &e); err != nil || e.Number == 0 {
			return nil, "", fmt.Errorf("%s: line %d is no event of an export", path, n)
		}
		if n == 1 {
			v.First = e.Number
			if e.Number > 1 {
				note = fmt.Sprintf("What stands before event %d is not in the file, so that one is taken as it is.", e.Number)
				chain = mfa.Chain{Number: e.Number, Hash: e.Hash}
			}
		}
		var broken *mfa.ChainError
		if n > 1 || e.Number == 1 {
			if err := chain.Next(e); err != nil && !errors.As(err, &broken) {
				return nil, "", err
			}
		}
		var same bytes.Buffer
		if err := json.NewEncoder(&same).Encode(e); err != nil {
			return nil, "", err
		}
		switch {
		case broken != nil:
		case !bytes.Equal(bytes.TrimSuffix(same.Bytes(), []byte("\n")), lines.Bytes()),
			e.Number == noted.Number && e.Hash != noted.Hash:
			broken = &mfa.ChainError{Number: e.Number, What: mfa.ChainChanged}
		}
		if broken != nil {
			v.Broken, v.What = broken.Number, broken.What
			return v, "", nil
		}
		v.Count, v.Last, v.Head = n, chain.Number, chain.Hash
	}
	if err := lines.Err(); err != nil {
		return nil, "", fmt.Errorf("reading %s: %w", path, err)
	}
	switch {
	case v.Last < noted.Number:
		v.Broken, v.What = v.Last+1, mfa.ChainCut
	case noted.Number > 0 && noted.Number < v.First:
		note = strings.TrimSpace(note + " The event of --head is older than the file, so there is nothing to compare it with.")
	}
	return v, note, nil
}
