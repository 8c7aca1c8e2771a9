package caddymodule

import (
	"github.com/spf13/cobra"

	"github.com/secondgate/secondgate/store"
	"github.com/secondgate/secondgate/store/transfer"
)

func (f *flags) migrateCommand() *cobra.Command {
	var to string
	c := &cobra.Command{
		Use:   "migrate",
		Short: "Copies everything into the store of another configuration, of whatever kind",
		Long: "Copies everything from the store of --config into that of the configuration --to, from\n" +
			"Badger into PostgreSQL for example. Both gateways must be down, and the new store must\n" +
			"not be there yet. It gets the same keys, and everybody stays signed in.\n\n" +
			"All rows are compared afterwards, and no gateway opens the new store before that. What\n" +
			"was cut short goes on with the same command. The old store is left as it is.",
		Example: `  secondgate mfa migrate --config /etc/caddy/Caddyfile --to /etc/caddy/Caddyfile.postgres`,
		Args:    noArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if to == "" {
				return fail(cmd, refused("into which store? Name the configuration that has it; write: %s --to FILE", cmd.CommandPath()))
			}
			done, old, err := f.migrate(cmd, to)
			if err != nil {
				return fail(cmd, err)
			}
			return f.showFilled(cmd, "Copied into "+done.place+".",
				"Start the gateway with "+to+" and put "+old+" away: a gateway that is started on it again would not know what happened since.", done)
		},
	}
	c.Flags().StringVar(&to, "to", "", "Configuration file with the new store")
	return c
}

func (f *flags) migrate(cmd *cobra.Command, to string) (done *filled, old string, err error) {
	ctx, stop := interruptible(cmd)
	defer stop()
	from, end, err := f.unusedStore(ctx)
	if err != nil {
		return nil, "", err
	}
	defer end()
	target := &flags{config: to, adapter: f.adapter}
	into, endInto, err := target.unusedStore(ctx)
	if err != nil {
		return nil, "", err
	}
	defer endInto()
	if from.place() == into.place() {
		return nil, "", refused("both configurations name the same store, %s", from.place())
	}
	if made, err := from.exists(ctx); err != nil {
		return nil, "", &commandError{exitUnreachable, err.Error()}
	} else if !made {
		return nil, "", &commandError{exitUnreachable, "there is no store yet (" + from.place() + "); name the configuration of the old one with --config"}
	}
	source, keys, err := from.openStill(ctx, toStderr())
	if err != nil {
		return nil, "", &commandError{exitUnreachable, err.Error()}
	}
	defer func() {
		if closeErr := source.Close(); err == nil {
			err = closeErr
		}
	}()
	portable, ok := source.(store.Portable)
	if !ok {
		return nil, "", refused("a store of the kind %s cannot be copied", kindOf(from))
	}
	about, err := transfer.Size(ctx, source)
	if err != nil {
		return nil, "", err
	}
	done, err = f.fill(ctx, cmd, into, filling{
		what: "migrate", from: "the store of kind " + kindOf(from), rows: transfer.Store(ctx, portable), keys: keys, of: about,
	})
	return done, from.place(), err
}
