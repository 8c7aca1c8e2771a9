package storetest

import (
	"testing"
	"time"

	"github.com/secondgate/secondgate/mfa"
)

// reopenTest does something and returns what must hold after a restart.
type reopenTest struct {
	name   string
	before func(t *testing.T, s mfa.Store) (after func(t *testing.T, s mfa.Store))
}

var reopened = []reopenTest{
	{"users_and_their_keys_last", func(t *testing.T, s mfa.Store) func(*testing.T, mfa.Store) {
		must(t, s.CreateUser(ctx, newUser("alice")))
		must(t, s.UpdateUser(ctx, "id-alice", func(u *mfa.User) error { u.Credentials[0].Step = 77; return nil }))
		return func(t *testing.T, s mfa.Store) {
			want := newUser("alice")
			want.Credentials[0].Step = 77
			for _, key := range want.UniqueKeys() {
				got, err := s.UserByKey(ctx, key)
				must(t, err)
				same(t, got, want)
			}
			wantErr(t, s.CreateUser(ctx, newUser("alice")), mfa.ErrTaken)
			page, _, err := s.ListUsers(ctx, mfa.UserQuery{}, "", 10)
			must(t, err)
			same(t, page, []*mfa.User{want})
		}
	}},
	{"AC-025_ended_sessions_stay_ended", func(t *testing.T, s mfa.Store) func(*testing.T, mfa.Store) {
		for _, id := range []string{"ended", "replaced", "swept", "kept"} {
			must(t, s.CreateSession(ctx, newSession(id, "id-alice")))
		}
		must(t, s.EndSession(ctx, "ended"))
		must(t, s.ReplaceSession(ctx, "replaced", newSession("next", "id-alice")))
		must(t, s.EndUserSessions(ctx, "id-alice", "kept"))
		must(t, s.Touch(ctx, map[mfa.SessionID]time.Time{"kept": base.Add(time.Minute)}))
		return func(t *testing.T, s mfa.Store) {
			for _, id := range []mfa.SessionID{"ended", "replaced", "swept", "next"} {
				gone(t, s, id)
				if err := s.CreateSession(ctx, newSession(string(id), "id-alice")); err == nil {
					t.Errorf("%s was begun again", id)
				}
			}
			same(t, live(t, s, "id-alice"), []string{"kept"})
			got, err := s.Session(ctx, "kept")
			must(t, err)
			same(t, got.LastSeen, base.Add(time.Minute))
		}
	}},
	{"taken_challenges_stay_taken_and_others_wait", func(t *testing.T, s mfa.Store) func(*testing.T, mfa.Store) {
		must(t, s.PutChallenge(ctx, newChallenge("taken")))
		must(t, s.PutChallenge(ctx, newChallenge("waiting")))
		_, err := s.TakeChallenge(ctx, "taken")
		must(t, err)
		return func(t *testing.T, s mfa.Store) {
			_, err := s.TakeChallenge(ctx, "taken")
			wantErr(t, err, mfa.ErrNotFound)
			_, err = s.TakeChallenge(ctx, "waiting")
			must(t, err)
		}
	}},
	{"counters_last", func(t *testing.T, s mfa.Store) func(*testing.T, mfa.Store) {
		must(t, s.UpdateAttempts(ctx, []string{"a"}, func(a []mfa.Attempts) error {
			a[0] = mfa.Attempts{Count: 7, Since: base, Until: base.Add(time.Hour)}
			return nil
		}))
		return func(t *testing.T, s mfa.Store) {
			got, err := s.Attempts(ctx, "a")
			must(t, err)
			same(t, got, mfa.Attempts{Count: 7, Since: base, Until: base.Add(time.Hour)})
		}
	}},
	{"organizations_last_and_removed_ones_stay_removed", func(t *testing.T, s mfa.Store) func(*testing.T, mfa.Store) {
		must(t, s.CreateOrganization(ctx, newOrganization("acme")))
		must(t, s.CreateOrganization(ctx, newOrganization("gone")))
		must(t, s.UpdateOrganization(ctx, "acme", func(o *mfa.Organization) error { o.Name = "new"; return nil }))
		must(t, s.RemoveOrganization(ctx, "gone"))
		return func(t *testing.T, s mfa.Store) {
			want := newOrganization("acme")
			want.Name = "new"
			list, err := s.ListOrganizations(ctx)
			must(t, err)
			same(t, list, []*mfa.Organization{want})
			wantErr(t, s.CreateOrganization(ctx, want), mfa.ErrTaken)
			wantErr(t, s.RemoveOrganization(ctx, "gone"), mfa.ErrNotFound)
		}
	}},
	{"events_last_and_new_ones_take_nobodys_place", func(t *testing.T, s mfa.Store) func(*testing.T, mfa.Store) {
		appendMany(t, s, 100)
		return func(t *testing.T, s mfa.Store) {
			again := appendMany(t, s, 100) // a clock that was set back while it was closed
			var want []string
			for _, e := range again {
				want = append(want, e.Detail, e.Detail)
			}
			same(t, details(pages(t, s, mfa.EventQuery{}, 9)), want)
			same(t, len(pages(t, s, mfa.EventQuery{User: "id-3"}, 9)), 20)
			chained(t, s, 1, 200)
		}
	}},
	{"lists_counters_and_cursors_last", func(t *testing.T, s mfa.Store) func(*testing.T, mfa.Store) {
		for i := range 40 {
			must(t, s.CreateUser(ctx, person(i)))
		}
		for i := range 40 {
			must(t, s.UpdateUser(ctx, person(i).ID, func(u *mfa.User) error {
				u.Organizations = []mfa.OrganizationID{"acme"}
				scramble(u, newDice(4, i))
				return nil
			}))
		}
		agree(t, s)
		q := mfa.UserQuery{Where: where(mfa.FacetOrganization("acme"))}
		all := listed(t, s, q, 100)
		_, next, err := s.ListUsers(ctx, q, "", 3)
		must(t, err)
		return func(t *testing.T, s mfa.Store) {
			agree(t, s)
			page, _, err := s.ListUsers(ctx, q, next, 1)
			must(t, err)
			same(t, page[0].Name, all[3])
		}
	}},
	{"API_keys_and_campaigns_last_and_removed_ones_stay_removed", func(t *testing.T, s mfa.Store) func(*testing.T, mfa.Store) {
		for _, id := range []string{"a", "gone"} {
			must(t, s.CreateAPIKey(ctx, newAPIKey(id)))
			must(t, startCampaign(s, mfa.OrganizationID(id)))
		}
		must(t, s.RemoveAPIKey(ctx, "gone"))
		must(t, s.RemoveCampaign(ctx, "gone"))
		return func(t *testing.T, s mfa.Store) {
			keys, err := s.ListAPIKeys(ctx)
			must(t, err)
			same(t, keys, []*mfa.APIKey{newAPIKey("a")})
			list, err := s.ListCampaigns(ctx)
			must(t, err)
			same(t, list, []*mfa.Campaign{newCampaign("a")})
		}
	}},
}
