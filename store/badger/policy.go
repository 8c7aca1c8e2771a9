package badger

import (
	"context"
	"errors"
	"fmt"

	"github.com/dgraph-io/badger/v4"

	"github.com/secondgate/secondgate/mfa"
	"github.com/secondgate/secondgate/store"
)

// policyRow is the one row of the gateway's policy.
var policyRow = row{store.Policy, "gateway"}

const policyLock = "policy"

// PolicySettings implements mfa.PolicyStore.
func (s *Store) PolicySettings(ctx context.Context) (mfa.PolicySettings, error) {
	var p mfa.PolicySettings
	err := s.view(ctx, func(txn *badger.Txn) (err error) {
		p, err = s.readPolicy(txn)
		return err
	})
	return p, err
}

// readPolicy returns what is kept. A record that cannot be read is an error: nothing
// set would be another policy.
func (s *Store) readPolicy(txn *badger.Txn) (mfa.PolicySettings, error) {
	var p mfa.PolicySettings
	err := s.read(txn, policyRow, &p)
	if errors.Is(err, mfa.ErrNotFound) {
		return mfa.PolicySettings{}, nil
	}
	if err != nil {
		return mfa.PolicySettings{}, fmt.Errorf("reading the policy: %w", err)
	}
	return p, nil
}

// UpdatePolicySettings implements mfa.PolicyStore.
func (s *Store) UpdatePolicySettings(ctx context.Context, change func(*mfa.PolicySettings) error) error {
	return s.update(ctx, []string{policyLock}, func(w *writing) error {
		p, err := s.readPolicy(w.Txn)
		if err != nil {
			return err
		}
		if err := change(&p); err != nil {
			return err
		}
		w.changed.organizations = true
		return w.put(policyRow, p, 0)
	})
}
