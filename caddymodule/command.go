package caddymodule

import (
	"bufio"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"

	caddycmd "github.com/caddyserver/caddy/v2/cmd"
	"github.com/spf13/cobra"
	"golang.org/x/term"

	"github.com/secondgate/secondgate/store"
)

func init() {
	caddycmd.RegisterCommand(caddycmd.Command{
		Name:  "mfa",
		Usage: "<command>",
		Short: "Manages the 2-step verification gate: people, organizations, policy, record",
		Long: `
Manages the people who may pass the gate and what is asked of them, and shows what
happened. Each command goes to the running gateway through its admin endpoint;
while no gateway runs, it works on the store itself. Both are found in the
configuration file (--config; by default the Caddyfile in this directory).

A line on standard error says which of the two answered. With --json the answer
and any error are JSON, the error on standard error.

Exit status: 0 done · 1 something is wrong · 2 neither gateway nor store can be
reached · 3 there is no such user, organization or decision · 4 refused or not
understood, the words say why.`,
		CobraFunc: addCommands,
	})
}

// The exit codes.
const (
	exitFailed      = 1
	exitUnreachable = 2
	exitNotFound    = 3
	exitRefused     = 4
)

// flags are the options that every command has.
type flags struct {
	config, adapter, address, url string
	json, yes, anyHost            bool
	told                          func(*store.RotationStatus) // of a rotation that is carried on here
}

func addCommands(root *cobra.Command) {
	f := new(flags)
	group(root)
	root.SetFlagErrorFunc(func(c *cobra.Command, err error) error {
		return fail(c, refused("%v; see %s --help", err, c.CommandPath()))
	})
	root.PersistentFlags().StringVarP(&f.config, "config", "c", "", "Configuration file of the gateway (default: the Caddyfile here)")
	root.PersistentFlags().StringVarP(&f.adapter, "adapter", "a", "", "Adapter of the configuration file, where its name does not tell")
	root.PersistentFlags().StringVar(&f.address, "address", "", "Address of the admin endpoint, where it is not the one in the configuration")
	root.PersistentFlags().BoolVar(&f.json, "json", false, "Answer in JSON, for programs")
	root.AddCommand(f.setupLinkCommand(), f.usersCommand(), f.orgsCommand(), f.policyCommand(), f.coverageCommand(), f.forecastCommand(), f.campaignsCommand(),
		f.keysCommand(), f.auditCommand(), f.explainCommand(), f.importCommand(), f.backupCommand(), f.restoreCommand(), f.migrateCommand(), f.doctorCommand(),
		f.healthCommand(), demoCommand())
}

func (f *flags) setupLinkCommand() *cobra.Command {
	c := &cobra.Command{
		Use:   "setup-link",
		Short: "Makes a link that creates an administrator's account, good once for one hour",
		Example: `  secondgate mfa setup-link
  secondgate mfa setup-link --url https://app.example.com`,
		Args: noArgs,
		RunE: f.run(opSetupLink, nil),
	}
	f.urlFlag(c)
	return c
}

func (f *flags) urlFlag(c *cobra.Command) {
	c.Flags().StringVar(&f.url, "url", "", "The host that the link is for (default: the first protected one)")
	c.Flags().BoolVar(&f.anyHost, "any-host", false, "Take the host of --url though the configuration does not name it")
}

func (f *flags) yesFlag(c *cobra.Command) {
	c.Flags().BoolVar(&f.yes, "yes", false, "Do not ask; a script has to say it")
}

// noArgs refuses any word after the command.
func noArgs(c *cobra.Command, args []string) error {
	if len(args) > 0 {
		return fail(c, refused("%q is one word too many; write: %s", args[0], c.UseLine()))
	}
	return nil
}

// oneUser asks for the one name that the command is about.
func oneUser(c *cobra.Command, args []string) error {
	switch {
	case len(args) == 0:
		return fail(c, refused("which user? Write: %s", c.UseLine()))
	case len(args) > 1:
		return fail(c, refused("%q is one word too many; a name has no spaces; write: %s", args[1], c.UseLine()))
	}
	return nil
}

// group makes c a command that only holds others: a word that is none of them is
// an error rather than a page of help.
func group(c *cobra.Command) {
	c.Args = cobra.ArbitraryArgs
	c.RunE = func(c *cobra.Command, args []string) error {
		if len(args) > 0 && args[0] == "help" {
			if about, rest, err := c.Find(args[1:]); err == nil && len(rest) == 0 {
				return about.Help()
			}
			args = args[1:]
		}
		if len(args) > 0 {
			return fail(c, refused("there is no command %q; see %s --help", args[0], c.CommandPath()))
		}
		return c.Help()
	}
}

// run returns the function of a command whose only word, if it has one, is a user's
// name.
func (f *flags) run(op string, in *adminRequest) func(*cobra.Command, []string) error {
	return f.request(op, func(args []string) (adminRequest, error) {
		var request adminRequest
		if in != nil {
			request = *in
		}
		if len(args) == 1 {
			request.Name = args[0]
		}
		return request, nil
	})
}

// request returns the function of a command: it makes the request of the words,
// carries the operation out and shows what it gave.
func (f *flags) request(op string, read func(args []string) (adminRequest, error)) func(*cobra.Command, []string) error {
	return func(cmd *cobra.Command, args []string) error {
		request, err := read(args)
		if err != nil {
			return fail(cmd, err)
		}
		request.URL, request.AnyHost = f.url, f.anyHost
		answer, by, err := f.perform(cmd.Context(), op, request)
		if err != nil {
			return fail(cmd, err)
		}
		if f.json {
			return encode(cmd.OutOrStdout(), answer)
		}
		fmt.Fprintln(cmd.ErrOrStderr(), by)
		show(cmd.OutOrStdout(), op, answer)
		return nil
	}
}

// confirmed asks a person for the name once more before it goes on.
func (f *flags) confirmed(what string, run func(*cobra.Command, []string) error) func(*cobra.Command, []string) error {
	return func(cmd *cobra.Command, args []string) error {
		if err := f.confirm(cmd, fmt.Sprintf(what, args[0]), "Type the name again", args[0]); err != nil {
			return fail(cmd, err)
		}
		return run(cmd, args)
	}
}

// confirm says what is about to be done, and has a person type the word. A program says
// --yes.
func (f *flags) confirm(cmd *cobra.Command, what, please, word string) error {
	if f.yes {
		return nil
	}
	if !term.IsTerminal(int(os.Stdin.Fd())) {
		return refused("%s Say --yes to do it.", what)
	}
	fmt.Fprintf(cmd.ErrOrStderr(), "%s %s to do it: ", what, please)
	line, _ := bufio.NewReader(os.Stdin).ReadString('\n')
	if strings.TrimSpace(line) != word {
		return refused("Nothing was changed.")
	}
	return nil
}

// encode writes an answer for programs.
func encode(w io.Writer, v any) error {
	enc := json.NewEncoder(w)
	enc.SetIndent("", "  ")
	return enc.Encode(v)
}

// commandError is an error with its exit code.
type commandError struct {
	code int
	text string
}

// Error returns the words.
func (e *commandError) Error() string { return e.text }

func refused(format string, args ...any) error {
	return &commandError{exitRefused, fmt.Sprintf(format, args...)}
}

// fail prints err and leaves with its exit code.
func fail(cmd *cobra.Command, err error) error {
	code := exitFailed
	if e, ok := errors.AsType[*commandError](err); ok {
		code = e.code
	}
	if asJSON, _ := cmd.Flags().GetBool("json"); asJSON {
		_ = json.NewEncoder(cmd.ErrOrStderr()).Encode(map[string]any{"error": err.Error(), "exit": code})
	} else {
		fmt.Fprintln(cmd.ErrOrStderr(), "Error: "+err.Error())
	}
	cmd.SilenceErrors, cmd.SilenceUsage = true, true
	if code == exitFailed {
		return err
	}
	// Caddy's own way to an exit code above one.
	return caddycmd.WrapCommandFuncForCobra(func(caddycmd.Flags) (int, error) { return code, nil })(cmd, nil)
}
