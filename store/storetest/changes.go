package storetest

import (
	"context"
	"errors"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/secondgate/secondgate/mfa"
)

// heard collects what a store announces.
type heard struct {
	mu  sync.Mutex
	ids []mfa.UserID
}

func listen(s mfa.Store) *heard {
	h := &heard{}
	s.OnChange(func(id mfa.UserID) {
		h.mu.Lock()
		defer h.mu.Unlock()
		h.ids = append(h.ids, id)
	})
	return h
}

// take returns whom it heard of since the last call.
func (h *heard) take() []mfa.UserID {
	h.mu.Lock()
	defer h.mu.Unlock()
	ids := h.ids
	h.ids = nil
	slices.Sort(ids)
	return slices.Compact(ids)
}

var changes = []test{
	{"every_change_is_announced_before_its_method_returns_and_nothing_else_is", func(t *testing.T, s mfa.Store) {
		one, two := listen(s), listen(s)
		expect := func(what string, want ...mfa.UserID) {
			t.Helper()
			if got := one.take(); !slices.Equal(got, want) {
				t.Errorf("%s: the first listener heard of %v, want %v", what, got, want)
			}
			if got := two.take(); !slices.Equal(got, want) {
				t.Errorf("%s: the second listener heard of %v, want %v", what, got, want)
			}
		}
		own := errors.New("own")
		must(t, s.CreateUser(ctx, newUser("alice")))
		expect("create user", "id-alice")
		wantErr(t, s.CreateUser(ctx, newUser("alice")), mfa.ErrTaken)
		expect("create user again")
		must(t, s.UpdateUser(ctx, "id-alice", func(u *mfa.User) error { u.Disabled = true; return nil }))
		expect("update user", "id-alice")
		wantErr(t, s.UpdateUser(ctx, "id-alice", func(u *mfa.User) error { return own }), own)
		expect("failed update")
		must(t, s.CreateSession(ctx, newSession("s1", "id-alice")))
		expect("create session", "id-alice")
		must(t, s.UpdateSession(ctx, "s1", func(x *mfa.Session) error { x.Agent = "x"; return nil }))
		expect("update session", "id-alice")
		must(t, s.Touch(ctx, map[mfa.SessionID]time.Time{"s1": base.Add(time.Hour)}))
		expect("touch")
		must(t, s.ReplaceSession(ctx, "s1", newSession("s2", "id-alice")))
		expect("replace session", "id-alice")
		must(t, s.EndSession(ctx, "s2"))
		expect("end session", "id-alice")
		must(t, s.EndSession(ctx, "s2"))
		expect("end it again")
		must(t, s.CreateSession(ctx, newSession("s3", "id-bob")))
		expect("create another's", "id-bob")
		must(t, s.EndUserSessions(ctx, "id-bob", ""))
		expect("end all", "id-bob")
		must(t, s.PutChallenge(ctx, newChallenge("c1")))
		_, err := s.TakeChallenge(ctx, "c1")
		must(t, err)
		must(t, s.UpdateAttempts(ctx, []string{"a"}, func(a []mfa.Attempts) error { a[0].Count = 1; return nil }))
		must(t, s.CreateOrganization(ctx, newOrganization("acme")))
		must(t, s.AppendEvents(ctx, []mfa.Event{newEvent(0)}))
		expect("challenges, counters, organizations and events")
		_, err = s.User(ctx, "id-alice")
		must(t, err)
		expect("reading")
	}},
	{"a_listener_finds_the_change_made", func(t *testing.T, s mfa.Store) {
		must(t, s.CreateUser(ctx, newUser("alice")))
		must(t, s.CreateSession(ctx, newSession("s1", "id-alice")))
		disabled, ended := false, false
		s.OnChange(func(id mfa.UserID) {
			u, err := s.User(ctx, id)
			disabled = err == nil && u.Disabled
			_, err = s.Session(ctx, "s1")
			ended = errors.Is(err, mfa.ErrNotFound)
		})
		must(t, s.UpdateUser(ctx, "id-alice", func(u *mfa.User) error { u.Disabled = true; return nil }))
		if !disabled || ended {
			t.Error("announced before the change was there")
		}
		must(t, s.EndSession(ctx, "s1"))
		if !ended {
			t.Error("announced before the session had ended")
		}
	}},
	{"a_session_that_makes_room_is_announced", func(t *testing.T, s mfa.Store) {
		for i := range mfa.MaxSessions {
			must(t, s.CreateSession(ctx, newSession(named("s%d", i), "id-alice")))
		}
		h := listen(s)
		must(t, s.CreateSession(ctx, newSession("new", "id-alice")))
		same(t, h.take(), []mfa.UserID{"id-alice"})
	}},
}

var contexts = []test{
	{"AC-187_nothing_is_begun_for_a_caller_who_has_gone", func(t *testing.T, s mfa.Store) {
		must(t, s.CreateUser(ctx, newUser("alice")))
		must(t, s.CreateSession(ctx, newSession("s1", "id-alice")))
		must(t, s.PutChallenge(ctx, newChallenge("c1")))
		must(t, s.CreateOrganization(ctx, newOrganization("acme")))
		must(t, s.AppendEvents(ctx, []mfa.Event{newEvent(0)}))
		must(t, s.CreateAPIKey(ctx, newAPIKey("a")))
		must(t, startCampaign(s, ""))
		cancelled, cancel := context.WithCancel(ctx)
		cancel()
		late, cancel := context.WithDeadline(ctx, time.Now().Add(-time.Second))
		defer cancel()
		for _, c := range []struct {
			ctx  context.Context
			want error
		}{{cancelled, context.Canceled}, {late, context.DeadlineExceeded}} {
			no := func(what string, err error) {
				t.Helper()
				if !errors.Is(err, c.want) {
					t.Errorf("%s: %v, want %v", what, err, c.want)
				}
			}
			_, err := s.User(c.ctx, "id-alice")
			no("User", err)
			_, err = s.UserByKey(c.ctx, mfa.SubjectKey("local", "alice"))
			no("UserByKey", err)
			no("CreateUser", s.CreateUser(c.ctx, newUser("bob")))
			no("UpdateUser", s.UpdateUser(c.ctx, "id-alice", func(u *mfa.User) error { t.Error("changed"); return nil }))
			_, _, err = s.ListUsers(c.ctx, mfa.UserQuery{}, "", 10)
			no("ListUsers", err)
			no("CreateSession", s.CreateSession(c.ctx, newSession("s2", "id-alice")))
			_, err = s.Session(c.ctx, "s1")
			no("Session", err)
			no("UpdateSession", s.UpdateSession(c.ctx, "s1", func(*mfa.Session) error { t.Error("changed"); return nil }))
			no("ReplaceSession", s.ReplaceSession(c.ctx, "s1", newSession("s2", "id-alice")))
			// AC-191: whoever signs out must not be told that it worked.
			no("EndSession", s.EndSession(c.ctx, "s1"))
			no("EndUserSessions", s.EndUserSessions(c.ctx, "id-alice", ""))
			_, err = s.UserSessions(c.ctx, "id-alice")
			no("UserSessions", err)
			no("Touch", s.Touch(c.ctx, map[mfa.SessionID]time.Time{"s1": base.Add(time.Hour)}))
			no("PutChallenge", s.PutChallenge(c.ctx, newChallenge("c2")))
			_, err = s.Challenge(c.ctx, "c1")
			no("Challenge", err)
			_, err = s.TakeChallenge(c.ctx, "c1")
			no("TakeChallenge", err)
			no("UpdateAttempts", s.UpdateAttempts(c.ctx, []string{"a"}, func([]mfa.Attempts) error { t.Error("changed"); return nil }))
			_, err = s.Attempts(c.ctx, "a")
			no("Attempts", err)
			_, err = s.Organization(c.ctx, "acme")
			no("Organization", err)
			no("CreateOrganization", s.CreateOrganization(c.ctx, newOrganization("beta")))
			no("UpdateOrganization", s.UpdateOrganization(c.ctx, "acme", func(*mfa.Organization) error { t.Error("changed"); return nil }))
			no("RemoveOrganization", s.RemoveOrganization(c.ctx, "acme"))
			_, err = s.ListOrganizations(c.ctx)
			no("ListOrganizations", err)
			no("AppendEvents", s.AppendEvents(c.ctx, []mfa.Event{newEvent(1)}))
			_, _, err = s.Events(c.ctx, mfa.EventQuery{}, "", 10)
			no("Events", err)
			_, err = s.EventsInOrder(c.ctx, 1, 10)
			no("EventsInOrder", err)
			_, err = s.ChainEnds(c.ctx)
			no("ChainEnds", err)
			_, _, err = s.ListUsers(c.ctx, mfa.UserQuery{Search: "a", Where: where(mfa.FacetLocked)}, "", 10)
			no("ListUsers", err)
			_, err = s.CountUsers(c.ctx)
			no("CountUsers", err)
			_, err = s.APIKey(c.ctx, "a")
			no("APIKey", err)
			no("CreateAPIKey", s.CreateAPIKey(c.ctx, newAPIKey("b")))
			no("UpdateAPIKey", s.UpdateAPIKey(c.ctx, "a", func(*mfa.APIKey) error { t.Error("changed"); return nil }))
			no("RemoveAPIKey", s.RemoveAPIKey(c.ctx, "a"))
			_, err = s.ListAPIKeys(c.ctx)
			no("ListAPIKeys", err)
			_, err = s.Campaign(c.ctx, "")
			no("Campaign", err)
			no("UpdateCampaign", s.UpdateCampaign(c.ctx, "", func(*mfa.Campaign) error { t.Error("changed"); return nil }))
			no("RemoveCampaign", s.RemoveCampaign(c.ctx, ""))
			_, err = s.ListCampaigns(c.ctx)
			no("ListCampaigns", err)
		}
		same(t, live(t, s, "id-alice"), []string{"s1"})
		_, err := s.TakeChallenge(ctx, "c1")
		must(t, err)
		list, err := s.ListOrganizations(ctx)
		must(t, err)
		same(t, list, []*mfa.Organization{newOrganization("acme")})
		keys, err := s.ListAPIKeys(ctx)
		must(t, err)
		same(t, keys, []*mfa.APIKey{newAPIKey("a")})
		same(t, told(pages(t, s, mfa.EventQuery{}, 10)), []mfa.Event{newEvent(0)})
	}},
}
