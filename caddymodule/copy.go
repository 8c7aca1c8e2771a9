package caddymodule

import (
	"context"
	"errors"
	"fmt"

	"github.com/spf13/cobra"

	"github.com/secondgate/secondgate/internal/clock"
	"github.com/secondgate/secondgate/internal/seal"
	"github.com/secondgate/secondgate/mfa"
	"github.com/secondgate/secondgate/store"
	"github.com/secondgate/secondgate/store/archive"
	"github.com/secondgate/secondgate/store/transfer"
)

// filling is a copy that is made into a store.
type filling struct {
	what string // "restore", "migrate", for the record
	from string // what is copied, in words that are the same for the same copy
	rows transfer.Rows
	keys *seal.Keyset // of what is copied
	of   int64        // about how many rows
}

// filled says how a copy went.
type filled struct {
	info     *backupInfo
	place    string
	sameKeys bool
	note     string // what is wrong with what was copied
}

// fill copies everything into the store of the configuration, shows that it is the same,
// and only then lets a gateway open it.
func (f *flags) fill(ctx context.Context, cmd *cobra.Command, into copiedStore, c filling) (done *filled, err error) {
	target, keys, err := into.openFill(ctx, c.from, c.keys, toStderr())
	switch {
	case errors.Is(err, store.ErrNotEmpty), errors.Is(err, store.ErrFilling):
		return nil, refused("%v", err)
	case err != nil:
		return nil, err
	}
	defer func() {
		if closeErr := target.Close(); err == nil && closeErr != nil {
			done, err = nil, closeErr
		}
	}()
	done = &filled{place: into.place(), sameKeys: keys.Holds(c.keys)}
	bar := f.newCounting(cmd.ErrOrStderr(), "Copying")
	tell := func(t store.Table, n int64) { bar.at(copyProgress{t, n, c.of}) }
	_, err = transfer.Fill(ctx, c.rows, target, tell)
	bar.done()
	if err != nil {
		return nil, c.goesOn(err)
	}
	bar = f.newCounting(cmd.ErrOrStderr(), "Comparing")
	totals, err := transfer.Compare(c.rows, transfer.Store(ctx, target), tell)
	bar.done()
	if err != nil {
		return nil, c.goesOn(err)
	}
	done.info = &backupInfo{Store: kindOf(into), Rows: totals.Rows(), Tables: totals}
	var broken *mfa.ChainError
	if _, err := mfa.CheckChain(ctx, target, mfa.Chain{}); errors.As(err, &broken) {
		done.note = fmt.Sprintf("The record was broken already in what was copied: %v. See secondgate mfa audit verify.", broken)
	} else if err != nil {
		return nil, c.goesOn(err)
	}
	err = target.Filled(ctx, []mfa.Event{{At: clock.Now(), Name: mfa.EventAdmin, OK: true, Actor: mfa.OnMachine().Name, Detail: c.what + " of " + c.from}})
	if err != nil {
		return nil, c.goesOn(err)
	}
	return done, nil
}

// goesOn says what an error in the middle means.
func (c filling) goesOn(err error) error {
	switch {
	case errors.Is(err, mfa.ErrTaken), errors.Is(err, archive.ErrDiffers):
		return fmt.Errorf("%w. What is copied has changed since this was begun, or somebody else wrote to the target. No gateway opens the target as it is: move it away and begin anew", err)
	case errors.Is(err, archive.ErrDamaged), errors.Is(err, store.ErrDamaged):
		return err
	}
	return fmt.Errorf("%w. No gateway opens the target as it is: give the same command again, and it goes on", err)
}

// unusedStore provisions the store of a configuration whose gateway must be down.
func (f *flags) unusedStore(ctx context.Context) (s copiedStore, end func(), err error) {
	cfg, err := f.gatewayConfig()
	if err != nil {
		return nil, nil, err
	}
	if address, why := f.adminAddress(cfg); why == nil {
		var other *commandError
		_, err := ask(address, opPolicyShow, adminRequest{})
		// Something else may answer there, as a Caddy without us does.
		if !errors.Is(err, errNoGateway) && (!errors.As(err, &other) || other.code != exitUnreachable) {
			return nil, nil, refused("a gateway answers at the admin endpoint %s; stop it first: nobody may use the store meanwhile", address)
		}
	}
	return copiedStoreOf(ctx, cfg)
}

// ofBackup says in words which backup is copied.
func ofBackup(h archive.Header, signedOut bool) string {
	text := "backup " + h.ID
	if !signedOut {
		text += " with its sessions"
	}
	return text
}
