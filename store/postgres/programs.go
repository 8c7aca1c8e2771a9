package postgres

import (
	"context"
	"errors"
	"fmt"

	"github.com/secondgate/secondgate/mfa"
	"github.com/secondgate/secondgate/store"
)

// APIKey implements mfa.APIKeys.
func (s *Store) APIKey(ctx context.Context, id string) (*mfa.APIKey, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	if !usable(id) {
		return nil, mfa.ErrNotFound
	}
	record, err := s.record(ctx, `SELECT record FROM api_keys WHERE id = $1`, id)
	if err != nil {
		return nil, err
	}
	return s.decodeAPIKey(record, id)
}

func (s *Store) decodeAPIKey(record []byte, id string) (*mfa.APIKey, error) {
	var k mfa.APIKey
	if err := s.decode(record, store.APIKeys, id, &k); err != nil {
		return nil, err
	}
	if k.ID != id {
		return nil, fmt.Errorf("reading an API key: %w", store.ErrDamaged)
	}
	return &k, nil
}

// CreateAPIKey implements mfa.APIKeys.
func (s *Store) CreateAPIKey(ctx context.Context, k *mfa.APIKey) error {
	if k == nil || !usable(k.ID) {
		return errors.New("creating an API key: the ID is empty, too long or not text")
	}
	record, err := s.encode(store.APIKeys, k.ID, k)
	if err != nil {
		return err
	}
	return s.update(ctx, nil, func(w *writing) error {
		w.put(`INSERT INTO api_keys (id, name, expires, record) VALUES ($1, $2, $3, $4)`, k.ID, shown(k.Name), orNil(k.Expires), record)
		return nil
	})
}

// UpdateAPIKey implements mfa.APIKeys.
func (s *Store) UpdateAPIKey(ctx context.Context, id string, change func(*mfa.APIKey) error) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	if !usable(id) {
		return mfa.ErrNotFound
	}
	return s.update(ctx, nil, func(w *writing) error {
		record, err := w.record(`SELECT record FROM api_keys WHERE id = $1 FOR UPDATE`, id)
		if err != nil {
			return err
		}
		k, err := s.decodeAPIKey(record, id)
		if err != nil {
			return err
		}
		changed, err := changedBy(k, change)
		if err != nil || !changed {
			return err
		}
		if k.ID != id {
			return errors.New("updating an API key: a change must leave the ID alone")
		}
		if record, err = s.encode(store.APIKeys, id, k); err != nil {
			return err
		}
		w.put(`UPDATE api_keys SET name = $2, expires = $3, record = $4 WHERE id = $1`, id, shown(k.Name), orNil(k.Expires), record)
		return nil
	})
}

// RemoveAPIKey implements mfa.APIKeys. The record is not read: one that is damaged can be
// removed, too.
func (s *Store) RemoveAPIKey(ctx context.Context, id string) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	if !usable(id) {
		return mfa.ErrNotFound
	}
	return s.update(ctx, nil, func(w *writing) error { return w.remove("api_keys", "id", id) })
}

// ListAPIKeys implements mfa.APIKeys.
func (s *Store) ListAPIKeys(ctx context.Context) ([]*mfa.APIKey, error) {
	list, err := all(ctx, s, `SELECT id, record FROM api_keys ORDER BY id`, func(id string, record []byte) (*mfa.APIKey, error) {
		return s.decodeAPIKey(record, id)
	})
	if err != nil {
		return nil, fmt.Errorf("listing API keys: %w", err)
	}
	return list, nil
}

// campaignOf reports whether there can be a campaign of that: "" is everybody.
func campaignOf(of mfa.OrganizationID) bool { return of == "" || usable(string(of)) }

// Campaign implements mfa.Campaigns.
func (s *Store) Campaign(ctx context.Context, of mfa.OrganizationID) (*mfa.Campaign, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	if !campaignOf(of) {
		return nil, mfa.ErrNotFound
	}
	record, err := s.record(ctx, `SELECT record FROM campaigns WHERE organization = $1`, string(of))
	if err != nil {
		return nil, err
	}
	return s.decodeCampaign(record, of)
}

func (s *Store) decodeCampaign(record []byte, of mfa.OrganizationID) (*mfa.Campaign, error) {
	var c mfa.Campaign
	if err := s.decode(record, store.Campaigns, string(of), &c); err != nil {
		return nil, err
	}
	if c.Organization != of {
		return nil, fmt.Errorf("reading a campaign: %w", store.ErrDamaged)
	}
	return &c, nil
}

// UpdateCampaign implements mfa.Campaigns.
func (s *Store) UpdateCampaign(ctx context.Context, of mfa.OrganizationID, change func(*mfa.Campaign) error) error {
	if of != "" {
		if _, err := mfa.ParseOrganizationID(string(of)); err != nil {
			return fmt.Errorf("updating a campaign: %w", err)
		}
	}
	return s.update(ctx, nil, func(w *writing) error {
		record, err := w.lockOrMake("campaigns", "organization", string(of))
		if err != nil {
			return err
		}
		c := &mfa.Campaign{Organization: of}
		fresh := record == nil
		if !fresh {
			if c, err = s.decodeCampaign(record, of); err != nil {
				return err
			}
		}
		changed, err := changedBy(c, change)
		if err != nil || !changed && !fresh {
			return err
		}
		if c.Organization != of {
			return errors.New("updating a campaign: a change must leave the organization alone")
		}
		if record, err = s.encode(store.Campaigns, string(of), c); err != nil {
			return err
		}
		w.put(`UPDATE campaigns SET record = $2 WHERE organization = $1`, string(of), record)
		return nil
	})
}

// RemoveCampaign implements mfa.Campaigns.
func (s *Store) RemoveCampaign(ctx context.Context, of mfa.OrganizationID) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	if !campaignOf(of) {
		return mfa.ErrNotFound
	}
	return s.update(ctx, nil, func(w *writing) error { return w.remove("campaigns", "organization", string(of)) })
}

// ListCampaigns implements mfa.Campaigns.
func (s *Store) ListCampaigns(ctx context.Context) ([]*mfa.Campaign, error) {
	list, err := all(ctx, s, `SELECT organization, record FROM campaigns ORDER BY organization`, func(of string, record []byte) (*mfa.Campaign, error) {
		return s.decodeCampaign(record, mfa.OrganizationID(of))
	})
	if err != nil {
		return nil, fmt.Errorf("listing campaigns: %w", err)
	}
	return list, nil
}
