package mfa

import "context"

// OnMachine does what is no business of this package and yet an administrator's doing,
// such as a rotation of the keys, and keeps it as an event before. Only commands on the
// machine may: ErrNotAllowed for everybody else.
func (a *Administration) OnMachine(ctx context.Context, what string, do func() error) error {
	if a.actor.Powers != allPowers || a.actor.User != "" || a.actor.key != "" || a.actor.Organization != "" {
		a.refused(ctx, nil, what, ErrNotAllowed)
		return ErrNotAllowed
	}
	return a.act(ctx, nil, what, do)
}
