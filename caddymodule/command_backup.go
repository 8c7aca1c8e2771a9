package caddymodule

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/signal"
	"strings"
	"syscall"
	"text/tabwriter"

	caddycmd "github.com/caddyserver/caddy/v2/cmd"
	"github.com/spf13/cobra"

	"github.com/secondgate/secondgate/internal/seal"
	"github.com/secondgate/secondgate/store"
	"github.com/secondgate/secondgate/store/archive"
	"github.com/secondgate/secondgate/store/transfer"
)

// backupCommand is "backup" with what stands below it.
func (f *flags) backupCommand() *cobra.Command {
	var force bool
	c := &cobra.Command{
		Use:   "backup <file>",
		Short: "Writes everything into one sealed file, while the gateway serves",
		Long: "Writes everything that the store holds into one sealed file, as it is at one moment,\n" +
			"while the gateway serves, or from the store itself while it is down. \"-\" is standard\n" +
			"output. The file has its name when it is whole: until then it is FILE.partial.\n\n" +
			"The file opens with the keys of the store, and they are not in it unless a master key\n" +
			"seals them: keep the key file with it, and at another place.",
		Example: `  secondgate mfa backup /var/backups/secondgate-2027-01-15
  secondgate mfa backup - | ssh backup@host 'cat > secondgate.backup'
  secondgate mfa backup verify /var/backups/secondgate-2027-01-15
  secondgate mfa restore /var/backups/secondgate-2027-01-15`,
		Args: oneFile,
		RunE: func(cmd *cobra.Command, args []string) error { return f.backup(cmd, args[0], force) },
	}
	c.Flags().BoolVar(&force, "force", false, "Replace a file of that name")
	c.AddCommand(f.backupVerifyCommand())
	return c
}

// oneFile asks for the one file that the command is about.
func oneFile(c *cobra.Command, args []string) error {
	switch {
	case len(args) == 0:
		return fail(c, refused("which file? Write: %s", c.UseLine()))
	case len(args) > 1:
		return fail(c, refused("%q is one word too many; write: %s", args[1], c.UseLine()))
	}
	return nil
}

// interruptible returns the context of a command that has to tidy up behind itself. Whoever
// interrupts it a second time has waited long enough, and ends it as it is.
func interruptible(cmd *cobra.Command) (context.Context, context.CancelFunc) {
	ctx, stop := signal.NotifyContext(cmd.Context(), os.Interrupt, syscall.SIGTERM)
	context.AfterFunc(ctx, stop)
	return ctx, stop
}

func (f *flags) backup(cmd *cobra.Command, path string, force bool) error {
	ctx, stop := interruptible(cmd)
	defer stop()
	var out io.Writer = cmd.OutOrStdout()
	var file *archive.File
	if path != "-" {
		var err error
		if file, err = archive.CreateFile(path, force); err != nil {
			return fail(cmd, refused("%v", err))
		}
		out = file
	}
	bar := f.newCounting(cmd.ErrOrStderr(), "Backup")
	info, by, err := f.makeBackup(ctx, out, bar.at)
	bar.done()
	if ctx.Err() != nil {
		err = errors.New("interrupted; there is no backup")
	}
	if file != nil {
		if err == nil {
			err = file.Keep()
		} else {
			file.Drop()
		}
	}
	if err != nil {
		return fail(cmd, err)
	}
	if f.json && path != "-" {
		return encode(cmd.OutOrStdout(), adminAnswer{Backup: info})
	}
	fmt.Fprintln(cmd.ErrOrStderr(), by)
	about := cmd.OutOrStdout()
	if path == "-" {
		about = cmd.ErrOrStderr()
	}
	if path != "-" {
		fmt.Fprintf(about, "%s is whole and sealed.\n\n", path)
	}
	showBackup(about, info)
	if info.Sealed {
		fmt.Fprintln(about, "\nIts keys are in it, sealed with the master key: keep that one, and at another place.")
	} else {
		fmt.Fprintf(about, "\nIt opens with the key %s of the store's keys. Keep those too, and at another place.\n", info.Key)
	}
	return nil
}

// makeBackup has the gateway make a backup, or makes it of the store.
func (f *flags) makeBackup(ctx context.Context, out io.Writer, tell func(copyProgress)) (info *backupInfo, by string, err error) {
	cfg, err := f.gatewayConfig()
	if err != nil {
		return nil, "", err
	}
	address, why := f.adminAddress(cfg)
	if why == nil {
		info, err := askBackup(ctx, address, out, tell)
		if !errors.Is(err, errNoGateway) {
			return info, "Made by the gateway at " + address + ".", err
		}
		why = noGatewayAt(address)
	}
	d, place, closeStore, err := openDesk(ctx, cfg, why)
	if err != nil {
		return nil, "", err
	}
	info, err = d.backup(ctx, out, tell)
	if closeErr := closeStore(); err == nil {
		err = closeErr
	}
	if err != nil {
		return nil, "", offlineError(err)
	}
	return info, fmt.Sprintf("Made of the store %s, because %v.", place, why), nil
}

// askBackup has the gateway at the admin endpoint make a backup.
func askBackup(ctx context.Context, address string, out io.Writer, tell func(copyProgress)) (*backupInfo, error) {
	type answer struct {
		resp *http.Response
		err  error
	}
	// Beside us, because Caddy's client heeds no context: who asks a gateway that hangs must
	// be able to end that.
	answered := make(chan answer, 1)
	go func() {
		resp, err := caddycmd.AdminAPIRequest(address, http.MethodPost, adminBase+opBackup, nil, bytes.NewReader([]byte("{}")))
		answered <- answer{resp, err}
	}()
	var resp *http.Response
	select {
	case <-ctx.Done():
		return nil, ctx.Err() // the program ends, and the request with it
	case a := <-answered:
		if a.err != nil {
			return nil, askError(address, a.err)
		}
		resp = a.resp
	}
	defer resp.Body.Close()
	defer context.AfterFunc(ctx, func() { resp.Body.Close() })()
	if resp.Header.Get("Content-Type") != backupType {
		return nil, &commandError{exitUnreachable, fmt.Sprintf("what answers at the admin endpoint %s sends no backup", address)}
	}
	return readBackup(resp.Body, out, tell)
}

func (f *flags) backupVerifyCommand() *cobra.Command {
	var keyFile string
	c := &cobra.Command{
		Use:   "verify <file>",
		Short: "Reads a backup to its end and checks all of it",
		Long: "Reads a backup to its end and checks that nothing was changed, moved or cut. It needs\n" +
			"the keys and no store: those of --keys, or those of the configuration's store.",
		Example: `  secondgate mfa backup verify /var/backups/secondgate-2027-01-15
  secondgate mfa backup verify secondgate.backup --keys keys.json`,
		Args: oneFile,
		RunE: func(cmd *cobra.Command, args []string) error {
			ctx, stop := interruptible(cmd)
			defer stop()
			info, err := f.verifyBackup(ctx, cmd, args[0], keyFile)
			if err != nil {
				return fail(cmd, err)
			}
			if f.json {
				return encode(cmd.OutOrStdout(), adminAnswer{Backup: info})
			}
			fmt.Fprintf(cmd.OutOrStdout(), "%s is whole.\n\n", args[0])
			showBackup(cmd.OutOrStdout(), info)
			return nil
		},
	}
	c.Flags().StringVar(&keyFile, "keys", "", "The key file (default: that of the configuration's store)")
	return c
}

func (f *flags) verifyBackup(ctx context.Context, cmd *cobra.Command, path, keyFile string) (*backupInfo, error) {
	h, err := headerOf(path)
	if err != nil {
		return nil, err
	}
	cfg, err := f.gatewayConfig()
	if err != nil {
		return nil, err
	}
	of, end, err := copiedStoreOf(ctx, cfg)
	if err != nil {
		return nil, err
	}
	defer end()
	keys, err := keysOf(ctx, h, keyFile, of)
	if err != nil {
		return nil, err
	}
	return f.checkBackup(ctx, cmd, path, h, keys)
}

// checkBackup reads the backup to its end.
func (f *flags) checkBackup(ctx context.Context, cmd *cobra.Command, path string, h archive.Header, keys *seal.Keyset) (*backupInfo, error) {
	bar := f.newCounting(cmd.ErrOrStderr(), "Checking")
	totals, err := transfer.Check(rowsOf(ctx, path, keys), func(t store.Table, n int64) { bar.at(copyProgress{t, n, h.Rows}) })
	bar.done()
	if err != nil {
		return nil, backupError(path, err)
	}
	return backupOf(h, totals), nil
}

func rowsOf(ctx context.Context, path string, keys *seal.Keyset) transfer.Rows {
	return transfer.Archive(ctx, path, func(r *archive.Reader) error { return r.Unlock(keys) })
}

// headerOf reads what a backup says of itself in clear.
func headerOf(path string) (archive.Header, error) {
	file, err := os.Open(path)
	if err != nil {
		return archive.Header{}, refused("%v", err)
	}
	defer file.Close()
	r, err := archive.NewReader(file)
	if err != nil {
		return archive.Header{}, backupError(path, err)
	}
	return r.Header(), nil
}

// backupError says what can be done about a backup that cannot be read.
func backupError(path string, err error) error {
	switch {
	case errors.Is(err, store.ErrNewer):
		return refused("%s: %v", path, err)
	case errors.Is(err, archive.ErrKeys):
		return refused("%s: %v: --keys FILE", path, err)
	case errors.Is(err, archive.ErrDamaged), errors.Is(err, archive.ErrNone):
		return fmt.Errorf("%s: %w; nothing of it can be trusted: take another backup", path, err)
	}
	return fmt.Errorf("%s: %w", path, err)
}

// copiedStoreOf provisions the store of that configuration, and opens nothing.
func copiedStoreOf(ctx context.Context, cfg *gatewayConfig) (s copiedStore, end func(), err error) {
	app, end, err := alone(ctx, cfg)
	if err != nil {
		return nil, nil, err
	}
	s, ok := app.store.(copiedStore)
	if !ok {
		end()
		return nil, nil, refused("a store of the kind %s cannot be copied", kindOf(app.store))
	}
	return s, end, nil
}

// showBackup shows what is in a backup.
func showBackup(w io.Writer, b *backupInfo) {
	t := tabwriter.NewWriter(w, 0, 4, 2, ' ', 0)
	if b.ID != "" {
		fmt.Fprintf(t, "backup\t%s\nmade\t%s, of %s, by version %s\nkey\t%s\n", b.ID, when(b.Made), plain(b.Store), plain(strings.TrimSpace(b.Program)), plain(b.Key))
	}
	for _, table := range store.Exported {
		if total, ok := b.Tables[table]; ok && table != store.Chain {
			fmt.Fprintf(t, "%s\t%s\n", tableWords[table], thousands(total.Rows))
		}
	}
	_ = t.Flush()
}

// tableWords are how people know the tables.
var tableWords = map[store.Table]string{
	store.Users: "users", store.Organizations: "organizations", store.Policy: "policies", store.APIKeys: "API keys",
	store.Campaigns: "campaigns", store.Events: "events", store.Attempts: "counters of attempts",
	store.Sessions: "sessions", store.Challenges: "links, codes and challenges",
}
