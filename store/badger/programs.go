package badger

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"

	"github.com/dgraph-io/badger/v4"

	"github.com/secondgate/secondgate/mfa"
	"github.com/secondgate/secondgate/store"
)

func apiKeyRow(id string) row                   { return row{store.APIKeys, id} }
func apiKeyLock(id string) string               { return "api_key:" + id }
func campaignRow(of mfa.OrganizationID) row     { return row{store.Campaigns, string(of)} }
func campaignLock(of mfa.OrganizationID) string { return "campaign:" + string(of) }

// APIKey implements mfa.APIKeys.
func (s *Store) APIKey(ctx context.Context, id string) (*mfa.APIKey, error) {
	var k mfa.APIKey
	if err := s.view(ctx, func(txn *badger.Txn) error { return s.readAPIKey(txn, id, &k) }); err != nil {
		return nil, err
	}
	return &k, nil
}

func (s *Store) readAPIKey(txn *badger.Txn, id string, k *mfa.APIKey) error {
	if !usable(id) {
		return mfa.ErrNotFound
	}
	if err := s.read(txn, apiKeyRow(id), k); err != nil {
		return err
	}
	if k.ID != id {
		return fmt.Errorf("reading an API key: %w", store.ErrDamaged)
	}
	return nil
}

// CreateAPIKey implements mfa.APIKeys.
func (s *Store) CreateAPIKey(ctx context.Context, k *mfa.APIKey) error {
	if k == nil || !usable(k.ID) {
		return errors.New("creating an API key: the ID is empty, too long or not text")
	}
	return s.update(ctx, []string{apiKeyLock(k.ID)}, func(w *writing) error {
		taken, err := w.taken(apiKeyRow(k.ID))
		if err != nil {
			return err
		}
		if taken {
			return mfa.ErrTaken
		}
		return w.put(apiKeyRow(k.ID), k, 0)
	})
}

// UpdateAPIKey implements mfa.APIKeys.
func (s *Store) UpdateAPIKey(ctx context.Context, id string, change func(*mfa.APIKey) error) error {
	return s.update(ctx, []string{apiKeyLock(id)}, func(w *writing) error {
		var k mfa.APIKey
		if err := s.readAPIKey(w.Txn, id, &k); err != nil {
			return err
		}
		changed, err := changedBy(&k, change)
		if err != nil || !changed {
			return err
		}
		if k.ID != id {
			return errors.New("updating an API key: a change must leave the ID alone")
		}
		return w.put(apiKeyRow(id), &k, 0)
	})
}

// changedBy runs change on v and reports whether anything of it is another.
func changedBy[T any](v *T, change func(*T) error) (bool, error) {
	before, err := json.Marshal(v)
	if err != nil {
		return false, fmt.Errorf("comparing records: %w", err)
	}
	if err := change(v); err != nil {
		return false, err
	}
	after, err := json.Marshal(v)
	if err != nil {
		return false, fmt.Errorf("comparing records: %w", err)
	}
	return !bytes.Equal(before, after), nil
}

// RemoveAPIKey implements mfa.APIKeys. It takes away, so that it goes on where others
// stop; and the record is not read: one that is damaged can be removed, too.
func (s *Store) RemoveAPIKey(ctx context.Context, id string) error {
	if !usable(id) {
		return mfa.ErrNotFound
	}
	return s.takeAway(ctx, []string{apiKeyLock(id)}, func(w *writing) error { return w.removeRow(apiKeyRow(id)) })
}

// removeRow removes what is at r, or answers mfa.ErrNotFound.
func (w *writing) removeRow(r row) error {
	there, err := w.taken(r)
	if err != nil {
		return err
	}
	if !there {
		return mfa.ErrNotFound
	}
	return w.remove(r.key())
}

// ListAPIKeys implements mfa.APIKeys.
func (s *Store) ListAPIKeys(ctx context.Context) ([]*mfa.APIKey, error) {
	var list []*mfa.APIKey
	err := s.view(ctx, func(txn *badger.Txn) error {
		return scan(txn, prefixes[store.APIKeys], "", func(id string) (bool, error) {
			if err := ctx.Err(); err != nil {
				return false, err
			}
			var k mfa.APIKey
			if err := s.readAPIKey(txn, id, &k); err != nil {
				return false, fmt.Errorf("listing API keys: %w", err)
			}
			list = append(list, &k)
			return true, nil
		})
	})
	if err != nil {
		return nil, err
	}
	return list, nil
}

// Campaign implements mfa.Campaigns.
func (s *Store) Campaign(ctx context.Context, of mfa.OrganizationID) (*mfa.Campaign, error) {
	var c mfa.Campaign
	if err := s.view(ctx, func(txn *badger.Txn) error { return s.readCampaign(txn, of, &c) }); err != nil {
		return nil, err
	}
	return &c, nil
}

func (s *Store) readCampaign(txn *badger.Txn, of mfa.OrganizationID, c *mfa.Campaign) error {
	if err := s.read(txn, campaignRow(of), c); err != nil {
		return err
	}
	if c.Organization != of {
		return fmt.Errorf("reading a campaign: %w", store.ErrDamaged)
	}
	return nil
}

// UpdateCampaign implements mfa.Campaigns.
func (s *Store) UpdateCampaign(ctx context.Context, of mfa.OrganizationID, change func(*mfa.Campaign) error) error {
	if of != "" {
		if _, err := mfa.ParseOrganizationID(string(of)); err != nil {
			return fmt.Errorf("updating a campaign: %w", err)
		}
	}
	return s.update(ctx, []string{campaignLock(of)}, func(w *writing) error {
		c := mfa.Campaign{Organization: of}
		err := s.readCampaign(w.Txn, of, &c)
		fresh := errors.Is(err, mfa.ErrNotFound)
		if err != nil && !fresh {
			return err
		}
		changed, err := changedBy(&c, change)
		if err != nil || !changed && !fresh {
			return err
		}
		if c.Organization != of {
			return errors.New("updating a campaign: a change must leave the organization alone")
		}
		return w.put(campaignRow(of), &c, 0)
	})
}

// RemoveCampaign implements mfa.Campaigns.
func (s *Store) RemoveCampaign(ctx context.Context, of mfa.OrganizationID) error {
	return s.update(ctx, []string{campaignLock(of)}, func(w *writing) error { return w.removeRow(campaignRow(of)) })
}

// ListCampaigns implements mfa.Campaigns.
func (s *Store) ListCampaigns(ctx context.Context) ([]*mfa.Campaign, error) {
	var list []*mfa.Campaign
	err := s.view(ctx, func(txn *badger.Txn) error {
		return scan(txn, prefixes[store.Campaigns], "", func(of string) (bool, error) {
			if err := ctx.Err(); err != nil {
				return false, err
			}
			var c mfa.Campaign
			if err := s.readCampaign(txn, mfa.OrganizationID(of), &c); err != nil {
				return false, fmt.Errorf("listing campaigns: %w", err)
			}
			list = append(list, &c)
			return true, nil
		})
	})
	if err != nil {
		return nil, err
	}
	return list, nil
}
