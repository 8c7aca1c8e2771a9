package mfatest

import (
	"context"
	"time"

	"github.com/secondgate/secondgate/mfa"
)

// Desk is the administration as commands on the machine use it: people are named by their
// names.
type Desk struct{ *mfa.Administration }

// NewDesk returns the desk of the gate.
func NewDesk(g *mfa.Gate) Desk { return Desk{g.As(mfa.OnMachine())} }

func (d Desk) on(ctx context.Context, name string, do func(mfa.UserID) error) error {
	id, err := d.FindID(ctx, name)
	if err != nil {
		return err
	}
	return do(id)
}

// Invite is Administration.Invite without the user.
func (d Desk) Invite(ctx context.Context, in mfa.InviteInput) (string, error) {
	token, _, err := d.Administration.Invite(ctx, in)
	return token, err
}

// ResetPassword is Administration.ResetPassword by name.
func (d Desk) ResetPassword(ctx context.Context, name string) (token string, err error) {
	err = d.on(ctx, name, func(id mfa.UserID) error {
		token, err = d.Administration.ResetPassword(ctx, id)
		return err
	})
	return token, err
}

// RemoveFactors is Administration.RemoveFactors by name.
func (d Desk) RemoveFactors(ctx context.Context, name string, k mfa.Kind) error {
	return d.on(ctx, name, func(id mfa.UserID) error { return d.Administration.RemoveFactors(ctx, id, k) })
}

// Unlock is Administration.Unlock by name.
func (d Desk) Unlock(ctx context.Context, name string) error {
	return d.on(ctx, name, func(id mfa.UserID) error { return d.Administration.Unlock(ctx, id) })
}

// SetDisabled is Administration.SetDisabled by name.
func (d Desk) SetDisabled(ctx context.Context, name string, disabled bool) error {
	return d.on(ctx, name, func(id mfa.UserID) error { return d.Administration.SetDisabled(ctx, id, disabled) })
}

// SetMember is Administration.SetMember by name.
func (d Desk) SetMember(ctx context.Context, name string, of mfa.OrganizationID, member bool) error {
	return d.on(ctx, name, func(id mfa.UserID) error { return d.Administration.SetMember(ctx, id, of, member) })
}

// UserInfo is Administration.Find.
func (d Desk) UserInfo(ctx context.Context, name string) (*mfa.UserInfo, error) {
	return d.Find(ctx, name)
}

// EnrollmentPass is Administration.EnrollmentPass by name.
func (d Desk) EnrollmentPass(ctx context.Context, name string, life time.Duration) (pass string, expires time.Time, err error) {
	err = d.on(ctx, name, func(id mfa.UserID) error {
		pass, expires, err = d.Administration.EnrollmentPass(ctx, id, life)
		return err
	})
	return pass, expires, err
}

// Bypass is Administration.Bypass by name.
func (d Desk) Bypass(ctx context.Context, name string, life time.Duration, why string) (code string, expires time.Time, err error) {
	err = d.on(ctx, name, func(id mfa.UserID) error {
		code, expires, err = d.Administration.Bypass(ctx, id, life, why)
		return err
	})
	return code, expires, err
}
