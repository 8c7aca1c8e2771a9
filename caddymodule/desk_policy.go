package caddymodule

import (
	"context"
	"errors"
	"fmt"

	"github.com/secondgate/secondgate/mfa"
)

// mindForce adds to a lock-out that it can be done all the same.
func mindForce(err error) error {
	if _, out := errors.AsType[*mfa.LockoutError](err); out {
		return fmt.Errorf("%w. Give one of them a factor first; to do it all the same, say --force", err)
	}
	return err
}

// policy carries out what is about the gateway's policy.
func (d desk) policy(ctx context.Context, op string, in adminRequest) (*adminAnswer, error) {
	if op == opPolicyTest {
		t, err := d.admin.TestPolicy(ctx, in.Field, in.Values)
		return &adminAnswer{Test: t}, err
	}
	var done string
	switch op {
	case opPolicySet:
		if err := d.admin.SetPolicy(ctx, in.Field, in.Values, in.Force); err != nil {
			return nil, mindForce(err)
		}
		done = fmt.Sprintf("%s is set; it holds from the next request on.", in.Field)
	case opPolicyClear:
		before, err := d.admin.Policy(ctx)
		if err != nil {
			return nil, err
		}
		if err := d.admin.ClearPolicy(ctx, in.Field, in.Force); err != nil {
			return nil, mindForce(err)
		}
		done = fmt.Sprintf("%s was not set: nothing was changed.", in.Field)
		for _, f := range before.Fields {
			if f.Field == in.Field && (f.From == mfa.FromStore || f.Stored != "") {
				done = fmt.Sprintf("What was stored for %s is gone.", in.Field)
			}
		}
	}
	info, err := d.admin.Policy(ctx)
	return &adminAnswer{Done: done, Policy: info}, err
}
