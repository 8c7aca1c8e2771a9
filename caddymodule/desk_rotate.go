package caddymodule

import (
	"context"
	"errors"
	"fmt"

	"github.com/secondgate/secondgate/internal/clock"
	"github.com/secondgate/secondgate/internal/seal"
	"github.com/secondgate/secondgate/mfa"
	"github.com/secondgate/secondgate/store"
)

// errNoRotation says that the store has no keys that could be replaced.
var errNoRotation = errors.New("this store cannot seal its records anew")

// rotate carries out what is about the keys of the gateway itself.
func (d desk) rotate(ctx context.Context, op string, in adminRequest) (*adminAnswer, error) {
	if d.rotation == nil {
		return nil, errNoRotation
	}
	answer := new(adminAnswer)
	var err error
	switch {
	case op == opKeyStatus:
	case in.Compromised:
		err = d.compromised(ctx, answer)
	case in.Key != "":
		err = d.revokeKey(ctx, in.Key, answer)
	default:
		err = d.beginRotation(ctx, answer)
	}
	if err != nil {
		return nil, err
	}
	if op == opKeyRotate && d.told != nil {
		// No gateway runs that would carry it on.
		if err := d.rotation.Finish(ctx, d.told); err != nil {
			return nil, fmt.Errorf("%w. What was done so far holds; the next start of the gateway, or the same command, goes on with it", err)
		}
	}
	answer.Rotation, err = d.rotation.Status(ctx)
	return answer, err
}

func (d desk) beginRotation(ctx context.Context, answer *adminAnswer) error {
	var id string
	err := d.admin.OnMachine(ctx, "rotate keys", func() (err error) {
		id, err = d.rotation.Begin(ctx)
		return err
	})
	switch {
	case errors.Is(err, seal.ErrRotating):
		answer.Done = "A new key waits already: this rotation goes on, and no second one is begun."
		return nil
	case err == nil:
		answer.Done = "Key " + id + " is the new one. Nobody is signed out."
	}
	return err
}

func (d desk) compromised(ctx context.Context, answer *adminAnswer) error {
	var id string
	err := d.admin.OnMachine(ctx, "rotate keys, compromised", func() (err error) {
		id, err = d.rotation.Keys.Compromised(ctx, clock.Now())
		d.rotation.Wake()
		return err
	})
	if err == nil {
		answer.Done = "Key " + id + " is the only one that is believed from now on. Everybody signs in again."
		answer.Note = "Whoever had the old keys and a copy of the store can read in that copy what was secret then: have people replace authenticator apps, backup codes and passwords; passkeys are safe. Backups from before open with the old keys alone."
	}
	return err
}

func (d desk) revokeKey(ctx context.Context, id string, answer *adminAnswer) error {
	for _, k := range d.rotation.Keys.Keys() {
		if k.ID == id && k.Status == seal.Primary {
			return wrong("key %s is the one that seals and signs now. Where it was stolen, say: secondgate mfa keys rotate --compromised", id)
		}
	}
	err := d.admin.OnMachine(ctx, "revoke sealing key "+id, func() error { return d.rotation.Keys.Revoke(ctx, id, clock.Now()) })
	switch {
	case errors.Is(err, seal.ErrNoKey):
		return fmt.Errorf("key %q: %w of the gateway's own that still verifies; which there are: secondgate mfa keys status. (A program's API key is ended with: secondgate mfa keys revoke %s)", id, mfa.ErrNotFound, id)
	case err == nil:
		answer.Done = "Nothing that key " + id + " signed is good any more: whoever has a session from its time signs in again."
	}
	return err
}

// working reports whether the status is one that a command waits for the end of.
func working(s *store.RotationStatus) bool {
	return s != nil && (s.Stage == "waiting" || s.Stage == "sealing")
}
