package mfa

import (
	"context"
	"fmt"
)

// rolesLock is held, on one node at a time, by whoever looks whether an administrator would
// be left who can sign in, and then changes something that this hangs on.
const rolesLock = "roles"

// withRoles runs work while nobody else, on any node, takes an administrator's role, or the
// factor that they would need, away: of two administrators who do it to each other at once,
// one stays. The policy that work sees is the newest: what another node changed a moment
// ago may not have been announced here yet, and a guard that looks at the one before lets
// everybody be locked out. ErrBusy, and work did not run.
func (g *Gate) withRoles(ctx context.Context, work func(context.Context) error) error {
	return g.cfg.Store.Exclusively(ctx, rolesLock, func(ctx context.Context) error {
		if g.cfg.Policies != nil {
			if err := g.cfg.Policies.load(ctx); err != nil {
				return fmt.Errorf("reading the policy: %w", err)
			}
		}
		return work(ctx)
	})
}

// withRoles is Gate.withRoles for an act that is recorded as refused where it was not begun.
func (a *Administration) withRoles(ctx context.Context, u *User, what string, work func(context.Context) error) error {
	began := false
	err := a.g.withRoles(ctx, func(ctx context.Context) error {
		began = true
		return work(ctx)
	})
	if err != nil && !began {
		a.refused(ctx, u, what, err)
	}
	return err
}
