package mfa

import (
	"context"
	"errors"
	"fmt"
)

// ErrBackup says that a backup is being made already.
var ErrBackup = errors.New("another backup is being made; wait for it, or end it")

// Backup keeps on the record that everything is copied out of the store, and then has do
// do it: one at a time, on whatever node. It takes the powers of commands on the machine,
// because a backup has in it what all of them reach. ErrNotAllowed, ErrBackup.
func (a *Administration) Backup(ctx context.Context, do func(context.Context) error) error {
	const what = "backup"
	if !a.actor.Powers.Has(allPowers) || a.actor.Organization != "" || a.actor.User != "" || a.actor.key != "" {
		a.refused(ctx, nil, what, ErrNotAllowed)
		return ErrNotAllowed
	}
	begun := false
	err := a.g.cfg.Store.Exclusively(ctx, what, func(ctx context.Context) error {
		begun = true
		return a.act(ctx, nil, what, func() error { return do(ctx) })
	})
	if !begun && errors.Is(err, ErrBusy) {
		return fmt.Errorf("%w (%w)", ErrBackup, err)
	}
	return err
}
