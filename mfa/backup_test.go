package mfa_test

import (
	"context"
	"errors"
	"testing"

	"github.com/secondgate/secondgate/mfa"
)

// A backup has everybody's secrets in it: no administrator at the console and no key makes
// one, whatever they may do otherwise (AC-225). It is on the record before it begins, and
// not made where it cannot be.
func TestAdministration_Backup_AC225_takesTheMachine(t *testing.T) {
	w, ctx := newWorld(t), t.Context()
	made := 0
	do := func(context.Context) error { made++; return nil }
	all := mfa.OnMachine().Powers
	for name, by := range map[string]mfa.Actor{
		"nobody":                    {},
		"an administrator":          {Powers: all, User: "id-root", Name: "root"},
		"an organization's":         {Powers: all, Organization: "acme", Name: "x"},
		"somebody with less powers": {Powers: mfa.ReadUsers | mfa.ReadAudit, Name: "x"},
	} {
		if err := w.gate.As(by).Backup(ctx, do); !errors.Is(err, mfa.ErrNotAllowed) {
			t.Errorf("%s: %v", name, err)
		}
	}
	if made != 0 {
		t.Fatalf("%d were made", made)
	}
	recorded := func(ok bool) (n int) {
		for _, e := range w.events.Named(mfa.EventAdmin) {
			if e.Detail == "backup" && e.OK == ok {
				n++
			}
		}
		return n
	}
	if recorded(false) != 4 {
		t.Errorf("%d refusals are on the record", recorded(false))
	}
	err := w.gate.As(mfa.OnMachine()).Backup(ctx, func(ctx context.Context) error {
		made++
		if recorded(true) != 1 {
			t.Error("it is not on the record while it is made")
		}
		// One at a time.
		if err := w.gate.As(mfa.OnMachine()).Backup(ctx, do); !errors.Is(err, mfa.ErrBackup) {
			t.Errorf("another one meanwhile: %v", err)
		}
		return nil
	})
	if err != nil || made != 1 {
		t.Errorf("%d were made, %v", made, err)
	}
	broken := errors.New("the disk is full")
	if err := w.gate.As(mfa.OnMachine()).Backup(ctx, func(context.Context) error { return broken }); !errors.Is(err, broken) {
		t.Errorf("got %v", err)
	}
	if recorded(false) != 5 {
		t.Error("that it failed is not on the record")
	}
}
