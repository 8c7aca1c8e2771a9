package caddymodule

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strings"

	"github.com/spf13/cobra"

	"github.com/secondgate/secondgate/mfa"
	"github.com/secondgate/secondgate/moving"
)

// importFlags are what "import" is told beside its words.
type importFlags struct {
	dryRun, acceptLosses, emailsVerified bool
	rpIDs                                []string
}

func (f *flags) importCommand() *cobra.Command {
	var in importFlags
	c := &cobra.Command{
		Use:   "import <format> <file>...",
		Short: "Moves people in from another system, with what of theirs can move",
		Long: "Moves people in from another system: names, addresses, groups, password hashes,\n" +
			"authenticator apps, passkeys. Formats: authelia (the users file, and the exports of\n" +
			"TOTP and WebAuthn beside it), caddy-security (users.json), tinyauth, htpasswd, and\n" +
			"jsonl, which docs/moving-in.md describes.\n\n" +
			"It says of each person what moves, what moves with a condition, and what cannot move\n" +
			"and what they have to do. --dry-run says it and changes nothing. Who is here already\n" +
			"stays as they are, so that it may be run again. Roles never move.\n\n" +
			"Exit status 1 where something could not move, unless --accept-losses is said.",
		Example: `  secondgate mfa import authelia users_database.yml totp.yml webauthn.yml --dry-run
  secondgate mfa import htpasswd .htpasswd --yes
  secondgate mfa import caddy-security users.json --rp-id auth.example.com --yes
  secondgate mfa import jsonl people.jsonl --emails-verified --yes --json`,
		Args: func(c *cobra.Command, args []string) error {
			switch {
			case len(args) > 0 && !moving.Known(args[0]):
				return fail(c, refused("there is no format %q; there are %s", args[0], strings.Join(moving.Formats(), ", ")))
			case len(args) < 2:
				return fail(c, refused("from what, and which file? Write: %s", c.UseLine()))
			}
			return nil
		},
		RunE: func(cmd *cobra.Command, args []string) error { return f.importFiles(cmd, args[0], args[1:], in) },
		ValidArgsFunction: func(c *cobra.Command, args []string, _ string) ([]string, cobra.ShellCompDirective) {
			if len(args) == 0 {
				return moving.Formats(), cobra.ShellCompDirectiveNoFileComp
			}
			return nil, cobra.ShellCompDirectiveDefault
		},
	}
	c.Flags().BoolVar(&in.dryRun, "dry-run", false, "Say what would become of each, and change nothing")
	c.Flags().BoolVar(&in.acceptLosses, "accept-losses", false, "Exit status 0 though something could not move")
	c.Flags().BoolVar(&in.emailsVerified, "emails-verified", false, "The other system made sure that addresses are their owners'")
	c.Flags().StringArrayVar(&in.rpIDs, "rp-id", nil, "A domain that keys were made for, where a file keeps its hash alone; may be repeated")
	f.yesFlag(c)
	return c
}

// importFiles reads the files once to see whether all is well, and once more for the
// people: a mistake in the last line is said before the first account is made.
func (f *flags) importFiles(cmd *cobra.Command, format string, files []string, in importFlags) error {
	people := moving.Read(format, files, moving.Options{EmailsVerified: in.emailsVerified, RPIDs: in.rpIDs})
	total := 0
	for p, err := range people {
		if err != nil {
			return fail(cmd, refused("%v. Nothing was changed.", err))
		}
		if !p.Nobody {
			total++
		}
	}
	if total == 0 {
		return fail(cmd, refused("there is nobody in %s", strings.Join(files, ", ")))
	}
	if err := f.confirmImport(cmd, total, in); err != nil {
		return fail(cmd, err)
	}
	cfg, err := f.gatewayConfig()
	if err != nil {
		return fail(cmd, err)
	}
	m := &move{
		carrier: &carrier{f: f, cfg: cfg}, report: importReport{Format: format, DryRun: in.dryRun, People: []importedPerson{}},
		total: total, bar: f.newProgress(cmd.ErrOrStderr(), ""),
	}
	err = m.run(cmd.Context(), people)
	if closeErr := m.carrier.close(); err == nil {
		err = closeErr
	}
	m.bar.done("")
	if f.json {
		if encErr := encode(cmd.OutOrStdout(), m.report); err == nil {
			err = encErr
		}
	} else {
		if m.carrier.by != "" {
			fmt.Fprintln(cmd.ErrOrStderr(), m.carrier.by)
		}
		m.report.show(cmd.OutOrStdout())
	}
	if err != nil {
		return fail(cmd, fmt.Errorf("%w; %d of %d people were dealt with before that, and the same command again goes on from there", err, m.report.Counts.People, total))
	}
	if n := m.report.Counts.Lost + m.report.Counts.Refused; n > 0 && !in.acceptLosses {
		return fail(cmd, fmt.Errorf("%d of what is in the files cannot move, as said above; where that is as you want it, say --accept-losses", n))
	}
	return nil
}

func (f *flags) confirmImport(cmd *cobra.Command, total int, in importFlags) error {
	if in.dryRun {
		return nil
	}
	return f.confirm(cmd, fmt.Sprintf("This makes accounts for up to %d people. What becomes of each: --dry-run.", total), "Type yes", "yes")
}

// carrier carries one operation after the other out: in the running gateway, or, where
// there is none, on the store, which it opens once.
type carrier struct {
	f      *flags
	cfg    *gatewayConfig
	by     string
	online bool
	desk   *desk
	shut   func() error
}

func (c *carrier) perform(ctx context.Context, op string, in adminRequest) (*adminAnswer, error) {
	if c.desk == nil {
		answer, by, why, err := c.f.online(c.cfg, op, in)
		if why == nil {
			c.by, c.online = by, true
			return answer, err
		}
		if c.online {
			return nil, &commandError{exitUnreachable, "the gateway has stopped answering"}
		}
		d, place, shut, err := openDesk(ctx, c.cfg, why)
		if err != nil {
			return nil, err
		}
		c.desk, c.shut = &d, shut
		c.by = fmt.Sprintf("Done on the store %s, because %v.", place, why)
	}
	answer, err := c.desk.perform(ctx, op, in)
	if err != nil {
		return nil, offlineError(err)
	}
	return answer, nil
}

func (c *carrier) close() error {
	if c.shut == nil {
		return nil
	}
	return c.shut()
}

// move is one run of the command.
type move struct {
	carrier *carrier
	report  importReport
	total   int
	bar     *progress
}

// run sends the people in batches.
func (m *move) run(ctx context.Context, people func(func(moving.Person, error) bool)) error {
	var batch []moving.Person
	size := 0
	for p, err := range people {
		if err != nil {
			return err // the file has changed since it was looked through
		}
		if p.Nobody {
			m.report.add(p, mfa.Moved{Name: p.Name, Arrival: mfa.Refused, Why: "only a factor of theirs is in the files"})
			continue
		}
		weight, err := json.Marshal(p.Newcomer)
		if err != nil {
			return err
		}
		if len(batch) == importBatch || len(batch) > 0 && size+len(weight) > importBytes {
			if err := m.send(ctx, batch); err != nil {
				return err
			}
			batch, size = nil, 0
		}
		batch, size = append(batch, p), size+len(weight)
	}
	if len(batch) > 0 {
		return m.send(ctx, batch)
	}
	return nil
}

func (m *move) send(ctx context.Context, batch []moving.Person) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	in := importRequest{From: m.report.Format, DryRun: m.report.DryRun}
	for _, p := range batch {
		in.People = append(in.People, p.Newcomer)
	}
	answer, err := m.carrier.perform(ctx, opImport, adminRequest{Import: &in})
	if err != nil {
		return err
	}
	if len(answer.Moved) != len(batch) {
		return errors.New("the gateway's answer is not of these people; is it of another version?")
	}
	for i, moved := range answer.Moved {
		m.report.add(batch[i], moved)
	}
	n := m.report.Counts.People
	m.bar.show("", fmt.Sprintf("Import: %d of %d people", n, m.total), float64(n)/float64(m.total))
	return nil
}

// importReport is what became of everybody.
type importReport struct {
	Format string           `json:"format"`
	DryRun bool             `json:"dry_run"`
	Counts importCounts     `json:"counts"`
	People []importedPerson `json:"people"`
}

// importCounts count people, and of those who are new the things that they have.
type importCounts struct {
	People  int `json:"people"`
	New     int `json:"new"`
	Here    int `json:"here"`
	Refused int `json:"refused"`
	Moves   int `json:"moves"`
	MovesIf int `json:"moves_if"`
	Lost    int `json:"lost"`
}

// importedPerson is one person of the report.
type importedPerson struct {
	mfa.Moved
	File string `json:"file"`
	Line int    `json:"line"`
}

func (r *importReport) add(p moving.Person, m mfa.Moved) {
	if m.Arrival == mfa.Arrives || p.Nobody {
		m.Items = append(m.Items, p.Extra...)
	}
	r.People = append(r.People, importedPerson{m, p.File, p.Line})
	r.Counts.People++
	switch m.Arrival {
	case mfa.Arrives:
		r.Counts.New++
	case mfa.Here:
		r.Counts.Here++
	default:
		r.Counts.Refused++
		return // what they have is not counted besides
	}
	for _, item := range m.Items {
		switch item.Verdict {
		case mfa.Moves:
			r.Counts.Moves++
		case mfa.MovesIf:
			r.Counts.MovesIf++
		default:
			r.Counts.Lost++
		}
	}
}

// show prints the report. A dry run shows everybody and everything; the run itself what is
// more than "moves".
func (r *importReport) show(w io.Writer) {
	out := bufio.NewWriter(w)
	defer out.Flush()
	words := map[mfa.Arrival]string{mfa.Arrives: "new", mfa.Here: "here already", mfa.Refused: "NOT IMPORTED"}
	for _, p := range r.People {
		var items []mfa.MovedItem
		for _, item := range p.Items {
			if r.DryRun || item.Verdict != mfa.Moves {
				items = append(items, item)
			}
		}
		if !r.DryRun && len(items) == 0 && p.Arrival != mfa.Refused {
			continue
		}
		fmt.Fprintf(out, "%s (%s, line %d): %s", plain(p.Name), plain(p.File), p.Line, words[p.Arrival])
		if p.Why != "" {
			fmt.Fprintf(out, ": %s", plain(p.Why))
		}
		fmt.Fprintln(out)
		for _, item := range items {
			switch item.Verdict {
			case mfa.Moves:
				fmt.Fprintf(out, "  %s moves\n", plain(item.Item))
			case mfa.MovesIf:
				fmt.Fprintf(out, "  %s moves: %s\n", plain(item.Item), plain(item.Why))
			default:
				fmt.Fprintf(out, "  %s CANNOT MOVE: %s\n", plain(item.Item), plain(item.Why))
			}
		}
	}
	c := r.Counts
	did := "imported"
	if r.DryRun {
		did = "would be imported"
	}
	fmt.Fprintf(out, "People: %d; %s: %d, here already: %d, not imported: %d.\n", c.People, did, c.New, c.Here, c.Refused)
	fmt.Fprintf(out, "What the new ones have: moves: %d, moves with a condition: %d, cannot move: %d.\n", c.Moves, c.MovesIf, c.Lost)
}
