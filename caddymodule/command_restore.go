package caddymodule

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"

	"github.com/spf13/cobra"

	"github.com/secondgate/secondgate/internal/seal"
	"github.com/secondgate/secondgate/store"
	"github.com/secondgate/secondgate/store/archive"
	"github.com/secondgate/secondgate/store/transfer"
)

func (f *flags) restoreCommand() *cobra.Command {
	var keyFile string
	var keepSessions bool
	c := &cobra.Command{
		Use:   "restore <file>",
		Short: "Puts a backup into a new store, while the gateway is down",
		Long: "Puts a backup into a new store: that of the configuration, of either kind. The gateway\n" +
			"must be down, and the store must not be there yet. All of the backup is checked before\n" +
			"anything is written, and all of the store is compared with it afterwards; no gateway\n" +
			"opens a store before that. What was cut short goes on with the same command.\n\n" +
			"Everybody signs in again, browsers that stood for a second factor do so no more, and\n" +
			"links and passes that were open are worth nothing: since the backup was made, any of\n" +
			"them may have been ended or used. --keep-sessions keeps them, for a move in which\n" +
			"nothing happened in between.\n\n" +
			"The new store gets the same keys, from --keys or from the backup where a master key\n" +
			"seals them in it. Where it has keys of its own, it is sealed with those.",
		Example: `  secondgate mfa restore /var/backups/secondgate-2027-01-15 --keys keys.json
  secondgate mfa restore secondgate.backup --keep-sessions --config /etc/caddy/Caddyfile`,
		Args: oneFile,
		RunE: func(cmd *cobra.Command, args []string) error {
			done, note, err := f.restore(cmd, args[0], keyFile, keepSessions)
			if err != nil {
				return fail(cmd, err)
			}
			return f.showFilled(cmd, "Restored into "+done.place+".", note, done)
		},
	}
	c.Flags().StringVar(&keyFile, "keys", "", "The key file that belongs to the backup")
	c.Flags().BoolVar(&keepSessions, "keep-sessions", false, "Keep sessions, remembered browsers and open links")
	return c
}

func (f *flags) restore(cmd *cobra.Command, path, keyFile string, keepSessions bool) (*filled, string, error) {
	ctx, stop := interruptible(cmd)
	defer stop()
	h, err := headerOf(path)
	if err != nil {
		return nil, "", err
	}
	into, end, err := f.unusedStore(ctx)
	if err != nil {
		return nil, "", err
	}
	defer end()
	keys, err := keysOf(ctx, h, keyFile, into)
	if err != nil {
		return nil, "", err
	}
	info, err := f.checkBackup(ctx, cmd, path, h, keys)
	if err != nil {
		return nil, "", err
	}
	rows := rowsOf(ctx, path, keys)
	note := "Everybody signs in again. What was taken away since the backup was made is back: who was disabled may sign in, roles, factors, passwords, app tokens and API keys are as they were then. Look at: secondgate mfa users list, secondgate mfa keys list. Where the gateway's keys were stolen since: secondgate mfa keys rotate --compromised"
	if keepSessions {
		note = "Sessions go on that were not over when the backup was made: also those that were ended since. Everything else is as it was then: who is disabled, roles, factors, passwords, app tokens and API keys."
	} else {
		rows = transfer.SignedOut(rows)
	}
	done, err := f.fill(ctx, cmd, into, filling{what: "restore", from: ofBackup(h, !keepSessions), rows: rows, keys: keys, of: info.Rows})
	if err != nil {
		return nil, "", err
	}
	done.info.ID, done.info.Made, done.info.Program, done.info.Key = h.ID, h.Made, h.Program, h.Key
	return done, note, nil
}

// keysOf returns the keys that open the backup: those of the file that was named, those in
// the backup itself, or those that the store of the configuration has.
func keysOf(ctx context.Context, h archive.Header, keyFile string, of copiedStore) (keys *seal.Keyset, err error) {
	switch {
	case keyFile != "":
		keys, err = seal.OpenKeys(ctx, seal.FileVault(keyFile), of.master())
	case h.Keys != nil && of.master() != nil:
		keys, err = seal.OpenSealed(h.Keys, of.master())
	default:
		keys, err = of.ownKeys(ctx)
	}
	switch {
	case errors.Is(err, fs.ErrNotExist) && h.Keys != nil:
		return nil, refused("the keys are in the backup, sealed with a master key that the configuration does not give; write it to the store's block: master_key {file./path/of/it}")
	case errors.Is(err, fs.ErrNotExist):
		return nil, refused("the backup opens with the key %.20q, which is in no file here; name the key file that belongs to it: --keys FILE", h.Key)
	case err != nil:
		return nil, refused("%v", err)
	}
	return keys, nil
}

// showFilled shows how a copy went.
func (f *flags) showFilled(cmd *cobra.Command, what, note string, done *filled) error {
	if !done.sameKeys {
		note += " The store has keys of its own: sessions that were kept are worth nothing with them, and apps get assertions of other keys."
	}
	if done.note != "" {
		note += " " + done.note
	}
	if f.json {
		return encode(cmd.OutOrStdout(), adminAnswer{Done: what, Note: note, Backup: done.info})
	}
	out := cmd.OutOrStdout()
	fmt.Fprintf(out, "%s It was compared row by row, and is the same.\n\n", what)
	showBackup(out, done.info)
	showTotals(out, done.info.Tables)
	fmt.Fprintf(out, "\n%s\n", note)
	return nil
}

// showTotals shows the checksums, so that two copies can be compared by eye.
func showTotals(w io.Writer, totals archive.Totals) {
	fmt.Fprintln(w)
	for _, table := range store.Exported {
		if total, ok := totals[table]; ok {
			sum, err := total.Sum.MarshalText()
			if err == nil {
				fmt.Fprintf(w, "%-13s %.16s…\n", table, sum)
			}
		}
	}
}
