package storetest

import (
	"errors"
	"testing"
	"time"

	"github.com/secondgate/secondgate/mfa"
)

func newAPIKey(id string) *mfa.APIKey {
	return &mfa.APIKey{
		ID: id, Name: "Key " + id, Hash: []byte("hash-" + id), Powers: mfa.ReadUsers | mfa.ManageKeys, Organization: "acme",
		Created: base, Expires: base.AddDate(1, 0, 0), By: "id-alice", ByName: "alice",
	}
}

var apiKeys = []test{
	{"a_key_that_was_created_is_found_and_listed", func(t *testing.T, s mfa.Store) {
		list, err := s.ListAPIKeys(ctx)
		must(t, err)
		same(t, len(list), 0)
		for _, id := range []string{"b", "c", "a"} {
			must(t, s.CreateAPIKey(ctx, newAPIKey(id)))
		}
		got, err := s.APIKey(ctx, "b")
		must(t, err)
		same(t, got, newAPIKey("b"))
		list, err = s.ListAPIKeys(ctx)
		must(t, err)
		same(t, list, []*mfa.APIKey{newAPIKey("a"), newAPIKey("b"), newAPIKey("c")})
	}},
	{"an_unknown_key_is_not_found", func(t *testing.T, s mfa.Store) {
		for _, id := range strange {
			_, err := s.APIKey(ctx, id)
			wantErr(t, err, mfa.ErrNotFound)
			wantErr(t, s.UpdateAPIKey(ctx, id, func(*mfa.APIKey) error { t.Error("changed"); return nil }), mfa.ErrNotFound)
			wantErr(t, s.RemoveAPIKey(ctx, id), mfa.ErrNotFound)
		}
	}},
	{"an_ID_that_is_none_is_refused_and_one_is_taken_once", func(t *testing.T, s mfa.Store) {
		for _, k := range []*mfa.APIKey{nil, newAPIKey(""), newAPIKey("a\x00b")} {
			if err := s.CreateAPIKey(ctx, k); err == nil {
				t.Errorf("%v was created", k)
			}
		}
		won := race(t, many, func(i int) error {
			k := newAPIKey("a")
			k.Name = named("%d", i)
			return s.CreateAPIKey(ctx, k)
		}, mfa.ErrTaken)
		same(t, won, 1)
	}},
	{"a_change_is_kept_and_none_is_lost", func(t *testing.T, s mfa.Store) {
		must(t, s.CreateAPIKey(ctx, newAPIKey("a")))
		won := race(t, many, func(int) error {
			return s.UpdateAPIKey(ctx, "a", func(k *mfa.APIKey) error {
				k.LastUsed = k.LastUsed.Add(time.Second)
				return nil
			})
		})
		same(t, won, many)
		got, err := s.APIKey(ctx, "a")
		must(t, err)
		same(t, got.LastUsed, time.Time{}.Add(many*time.Second))
	}},
	{"a_change_that_fails_or_moves_the_ID_keeps_nothing", func(t *testing.T, s mfa.Store) {
		must(t, s.CreateAPIKey(ctx, newAPIKey("a")))
		wantErr(t, s.UpdateAPIKey(ctx, "a", func(k *mfa.APIKey) error { k.Name = "x"; return errSpent }), errSpent)
		if err := s.UpdateAPIKey(ctx, "a", func(k *mfa.APIKey) error { k.ID = "b"; return nil }); err == nil {
			t.Error("the ID was moved")
		}
		list, err := s.ListAPIKeys(ctx)
		must(t, err)
		same(t, list, []*mfa.APIKey{newAPIKey("a")})
	}},
	{"what_was_removed_is_gone", func(t *testing.T, s mfa.Store) {
		must(t, s.CreateAPIKey(ctx, newAPIKey("a")))
		must(t, s.CreateAPIKey(ctx, newAPIKey("b")))
		same(t, race(t, many, func(int) error { return s.RemoveAPIKey(ctx, "a") }, mfa.ErrNotFound), 1)
		_, err := s.APIKey(ctx, "a")
		wantErr(t, err, mfa.ErrNotFound)
		list, err := s.ListAPIKeys(ctx)
		must(t, err)
		same(t, list, []*mfa.APIKey{newAPIKey("b")})
	}},
}

// strange are IDs of nothing.
var strange = []string{"", "nobody", "a\x00b", "\xff", "../x", string(make([]byte, 10_000))}

func startCampaign(s mfa.Store, of mfa.OrganizationID) error {
	return s.UpdateCampaign(ctx, of, func(c *mfa.Campaign) error {
		*c = *newCampaign(of)
		return nil
	})
}

func newCampaign(of mfa.OrganizationID) *mfa.Campaign {
	return &mfa.Campaign{
		Organization: of, Factors: mfa.KindsOf(mfa.Passkey, mfa.TOTP), Deadline: base.AddDate(0, 1, 0),
		Remind: []time.Duration{72 * time.Hour, 24 * time.Hour}, Require: true, Started: base, By: "alice", Cursor: "c", Sent: 3,
	}
}

var campaigns = []test{
	{"a_campaign_is_made_by_its_first_change_and_found", func(t *testing.T, s mfa.Store) {
		for _, of := range []mfa.OrganizationID{"beta", "", "acme"} {
			_, err := s.Campaign(ctx, of)
			wantErr(t, err, mfa.ErrNotFound)
			must(t, s.UpdateCampaign(ctx, of, func(c *mfa.Campaign) error {
				same(t, c, &mfa.Campaign{Organization: of})
				*c = *newCampaign(of)
				return nil
			}))
			got, err := s.Campaign(ctx, of)
			must(t, err)
			same(t, got, newCampaign(of))
		}
		list, err := s.ListCampaigns(ctx)
		must(t, err)
		same(t, list, []*mfa.Campaign{newCampaign(""), newCampaign("acme"), newCampaign("beta")})
	}},
	{"one_that_is_unknown_or_none_is_not_found", func(t *testing.T, s mfa.Store) {
		must(t, startCampaign(s, "acme"))
		for _, of := range strange {
			_, err := s.Campaign(ctx, mfa.OrganizationID(of))
			wantErr(t, err, mfa.ErrNotFound)
			wantErr(t, s.RemoveCampaign(ctx, mfa.OrganizationID(of)), mfa.ErrNotFound)
		}
		if err := startCampaign(s, "a\x00b"); err == nil {
			t.Error("a name that is none was taken")
		}
	}},
	{"a_change_that_fails_or_moves_it_keeps_nothing", func(t *testing.T, s mfa.Store) {
		for _, of := range []mfa.OrganizationID{"acme", ""} {
			if err := s.UpdateCampaign(ctx, of, func(c *mfa.Campaign) error { c.By = "x"; return errSpent }); !errors.Is(err, errSpent) {
				t.Fatalf("got %v", err)
			}
			if err := s.UpdateCampaign(ctx, of, func(c *mfa.Campaign) error { c.Organization = "beta"; return nil }); err == nil {
				t.Error("it was moved")
			}
		}
		list, err := s.ListCampaigns(ctx)
		must(t, err)
		same(t, len(list), 0)
	}},
	{"no_concurrent_change_is_lost", func(t *testing.T, s mfa.Store) {
		same(t, race(t, many, func(int) error {
			return s.UpdateCampaign(ctx, "", func(c *mfa.Campaign) error { c.Sent++; return nil })
		}), many)
		got, err := s.Campaign(ctx, "")
		must(t, err)
		same(t, got.Sent, many)
	}},
	{"what_was_removed_is_gone_and_begins_anew", func(t *testing.T, s mfa.Store) {
		for _, of := range []mfa.OrganizationID{"acme", ""} {
			must(t, startCampaign(s, of))
			same(t, race(t, many, func(int) error { return s.RemoveCampaign(ctx, of) }, mfa.ErrNotFound), 1)
			_, err := s.Campaign(ctx, of)
			wantErr(t, err, mfa.ErrNotFound)
			must(t, s.UpdateCampaign(ctx, of, func(c *mfa.Campaign) error {
				same(t, c, &mfa.Campaign{Organization: of})
				c.Step = 1
				return nil
			}))
		}
	}},
}
