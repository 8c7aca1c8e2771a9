package badger

import (
	"errors"
	"testing"
	"time"

	"github.com/dgraph-io/badger/v4"

	"github.com/secondgate/secondgate/mfa"
	"github.com/secondgate/secondgate/store"
)

// AC-188: what a full disk refuses of the new kinds, and what goes on.
func TestStore_AC188_APIKeysAndCampaignsOnAFullDisk(t *testing.T) {
	s := openAt(t, newOptions(t))
	ok(t, s.CreateAPIKey(ctx, &mfa.APIKey{ID: "a"}))
	campaign := func(c *mfa.Campaign) error { c.Sent++; return nil }
	ok(t, s.UpdateCampaign(ctx, "", campaign))
	s.space.floor = defaultFloor
	s.space.lookUp = func(string) (uint64, error) { return defaultFloor - 1, nil }
	s.space.until.Store(0)
	for what, err := range map[string]error{
		"creating a key":      s.CreateAPIKey(ctx, &mfa.APIKey{ID: "b"}),
		"changing a key":      s.UpdateAPIKey(ctx, "a", func(k *mfa.APIKey) error { k.Name = "x"; return nil }),
		"a campaign":          s.UpdateCampaign(ctx, "", campaign),
		"removing a campaign": s.RemoveCampaign(ctx, ""),
		"appending events":    s.AppendEvents(ctx, []mfa.Event{event(1, time.Now())}),
	} {
		if !errors.Is(err, ErrFull) {
			t.Errorf("%s: %v, want ErrFull", what, err)
		}
	}
	// A key that was stolen is taken away all the same.
	if err := s.RemoveAPIKey(ctx, "a"); err != nil {
		t.Errorf("removing a key: %v", err)
	}
	if ends, err := s.ChainEnds(ctx); err != nil || ends.Last != 0 {
		t.Errorf("%+v, %v", ends, err)
	}
	s.space.lookUp = freeSpace
	s.space.until.Store(0)
}

func TestStore_AC195_RejectsMovedAPIKeysAndCampaigns(t *testing.T) {
	s := openAt(t, newOptions(t))
	for _, id := range []string{"a", "b"} {
		ok(t, s.CreateAPIKey(ctx, &mfa.APIKey{ID: id}))
		ok(t, s.UpdateCampaign(ctx, mfa.OrganizationID(id), func(*mfa.Campaign) error { return nil }))
	}
	editRows(t, s, func(txn *badger.Txn) error {
		for _, table := range []store.Table{store.APIKeys, store.Campaigns} {
			item, err := txn.Get(row{table, "b"}.key())
			if err != nil {
				return err
			}
			record, err := item.ValueCopy(nil)
			if err != nil {
				return err
			}
			if err := txn.Set(row{table, "a"}.key(), record); err != nil {
				return err
			}
		}
		return nil
	})
	_, keyErr := s.APIKey(ctx, "a")
	_, keysErr := s.ListAPIKeys(ctx)
	_, campaignErr := s.Campaign(ctx, "a")
	_, campaignsErr := s.ListCampaigns(ctx)
	for what, err := range map[string]error{
		"a key": keyErr, "keys": keysErr, "a campaign": campaignErr, "campaigns": campaignsErr,
		"a key, changed":      s.UpdateAPIKey(ctx, "a", func(*mfa.APIKey) error { t.Error("changed"); return nil }),
		"a campaign, changed": s.UpdateCampaign(ctx, "a", func(*mfa.Campaign) error { t.Error("changed"); return nil }),
	} {
		if !errors.Is(err, store.ErrDamaged) || errors.Is(err, mfa.ErrNotFound) {
			t.Errorf("%s: %v, want ErrDamaged", what, err)
		}
	}
	ok(t, s.RemoveAPIKey(ctx, "a")) // one that is damaged can be removed
	ok(t, s.RemoveCampaign(ctx, "a"))
}

func TestStore_listsAndKeysAfterClose(t *testing.T) {
	s := openAt(t, newOptions(t))
	ok(t, s.Close())
	_, _, list := s.ListUsers(ctx, mfa.UserQuery{Search: "a"}, "", 5)
	_, count := s.CountUsers(ctx)
	_, order := s.EventsInOrder(ctx, 1, 5)
	_, ends := s.ChainEnds(ctx)
	_, key := s.APIKey(ctx, "a")
	_, keys := s.ListAPIKeys(ctx)
	_, campaign := s.Campaign(ctx, "a")
	_, campaigns := s.ListCampaigns(ctx)
	for what, err := range map[string]error{
		"ListUsers": list, "CountUsers": count, "EventsInOrder": order, "ChainEnds": ends, "APIKey": key, "ListAPIKeys": keys,
		"Campaign": campaign, "ListCampaigns": campaigns, "CheckIndex": s.CheckIndex(ctx),
		"CreateAPIKey":   s.CreateAPIKey(ctx, &mfa.APIKey{ID: "a"}),
		"UpdateAPIKey":   s.UpdateAPIKey(ctx, "a", func(*mfa.APIKey) error { return nil }),
		"RemoveAPIKey":   s.RemoveAPIKey(ctx, "a"),
		"UpdateCampaign": s.UpdateCampaign(ctx, "a", func(*mfa.Campaign) error { return nil }),
		"RemoveCampaign": s.RemoveCampaign(ctx, "a"),
	} {
		if !errors.Is(err, ErrClosed) {
			t.Errorf("%s: %v, want ErrClosed", what, err)
		}
	}
}
