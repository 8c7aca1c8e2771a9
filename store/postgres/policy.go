package postgres

import (
	"context"
	"errors"
	"fmt"

	"github.com/jackc/pgx/v5"

	"github.com/secondgate/secondgate/mfa"
	"github.com/secondgate/secondgate/store"
)

// policyName is the one row of the gateway's policy.
const policyName = "gateway"

// PolicySettings implements mfa.PolicyStore.
func (s *Store) PolicySettings(ctx context.Context) (mfa.PolicySettings, error) {
	record, err := s.record(ctx, `SELECT record FROM policy WHERE name = $1`, policyName)
	if err != nil {
		return mfa.PolicySettings{}, fmt.Errorf("reading the policy: %w", err)
	}
	return s.decodePolicy(record)
}

// decodePolicy returns what is kept. A record that cannot be read is an error: nothing set
// would be another policy.
func (s *Store) decodePolicy(record []byte) (mfa.PolicySettings, error) {
	var p mfa.PolicySettings
	err := s.decode(record, store.Policy, policyName, &p)
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
	return s.update(ctx, nil, func(w *writing) error {
		record, err := w.lockOrMake("policy", "name", policyName)
		if err != nil {
			return err
		}
		p, err := s.decodePolicy(record)
		if err != nil {
			return err
		}
		if err := change(&p); err != nil {
			return err
		}
		if record, err = s.encode(store.Policy, policyName, p); err != nil {
			return err
		}
		w.changed.organizations = true
		w.put(`UPDATE policy SET record = $2 WHERE name = $1`, policyName, record)
		return nil
	})
}

// lockOrMake locks a row, or makes an empty one, so that two who make the first do not both
// think that there was none. nil where it was not there.
func (w *writing) lockOrMake(table, column, id string) (record []byte, err error) {
	made := false
	err = w.ask(func(b *pgx.Batch) {
		b.Queue(`INSERT INTO `+table+` (`+column+`, record) VALUES ($1, '') ON CONFLICT (`+column+`) DO NOTHING RETURNING true`, id).
			QueryRow(func(r pgx.Row) error {
				if err := r.Scan(&made); !noRow(err) {
					return err
				}
				return nil
			})
		b.Queue(`SELECT record FROM `+table+` WHERE `+column+` = $1 FOR UPDATE`, id).QueryRow(into(&record))
	})
	switch {
	case err != nil:
		return nil, err
	case record == nil:
		return nil, errAgain // somebody removed it in between
	case made:
		return nil, nil
	}
	return record, nil
}
