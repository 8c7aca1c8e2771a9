package storetest

import (
	"errors"
	"slices"
	"sync/atomic"
	"testing"
	"time"

	"github.com/secondgate/secondgate/mfa"
)

func newOrganization(id mfa.OrganizationID) *mfa.Organization {
	return &mfa.Organization{
		ID: id, Name: "The " + string(id), Require: true, Factors: mfa.KindsOf(mfa.Passkey, mfa.TOTP),
		Fresh: time.Hour, PhishingResistant: true, NoRemembering: true,
		Enrollment: &mfa.Enrollment{Window: time.Hour},
		Domains:    []string{"example.com", "example.org"}, Created: base,
	}
}

var organizations = []test{
	{"an_organization_that_was_created_is_found", func(t *testing.T, s mfa.Store) {
		want := newOrganization("acme")
		must(t, s.CreateOrganization(ctx, want))
		got, err := s.Organization(ctx, "acme")
		must(t, err)
		same(t, got, want)
	}},
	{"an_unknown_organization_is_not_found", func(t *testing.T, s mfa.Store) {
		must(t, s.CreateOrganization(ctx, newOrganization("acme")))
		for _, id := range []mfa.OrganizationID{"", "acm", "acme2", "ACME", "acme\x00", mfa.OrganizationID(make([]byte, 1<<17))} {
			_, err := s.Organization(ctx, id)
			wantErr(t, err, mfa.ErrNotFound)
			wantErr(t, s.UpdateOrganization(ctx, id, func(*mfa.Organization) error { t.Error("changed"); return nil }), mfa.ErrNotFound)
			wantErr(t, s.RemoveOrganization(ctx, id), mfa.ErrNotFound)
		}
	}},
	{"a_name_that_is_none_is_refused", func(t *testing.T, s mfa.Store) {
		for _, id := range []mfa.OrganizationID{"", "Acme", "a_b", "-a", "a\x00", "a/b"} {
			if err := s.CreateOrganization(ctx, newOrganization(id)); err == nil {
				t.Errorf("%q was kept", id)
			}
		}
		list, err := s.ListOrganizations(ctx)
		must(t, err)
		same(t, len(list), 0)
	}},
	{"a_name_is_taken_once", func(t *testing.T, s mfa.Store) {
		want := newOrganization("acme")
		must(t, s.CreateOrganization(ctx, want))
		other := newOrganization("acme")
		other.Require = false
		wantErr(t, s.CreateOrganization(ctx, other), mfa.ErrTaken)
		got, err := s.Organization(ctx, "acme")
		must(t, err)
		same(t, got, want)
	}},
	{"of_many_creators_one_wins", func(t *testing.T, s mfa.Store) {
		for round := range 10 {
			id := mfa.OrganizationID(named("acme-%d", round))
			won := race(t, many, func(i int) error {
				o := newOrganization(id)
				o.Name = named("creator %d", i)
				return s.CreateOrganization(ctx, o)
			}, mfa.ErrTaken)
			if won != 1 {
				t.Fatalf("round %d: %d creators made one organization", round, won)
			}
		}
		list, err := s.ListOrganizations(ctx)
		must(t, err)
		same(t, len(list), 10)
	}},
	{"a_change_is_kept", func(t *testing.T, s mfa.Store) {
		must(t, s.CreateOrganization(ctx, newOrganization("acme")))
		must(t, s.UpdateOrganization(ctx, "acme", func(o *mfa.Organization) error {
			o.Name, o.Require, o.Enrollment, o.Domains = "Acme Inc", false, nil, nil
			return nil
		}))
		want := newOrganization("acme")
		want.Name, want.Require, want.Enrollment, want.Domains = "Acme Inc", false, nil, nil
		got, err := s.Organization(ctx, "acme")
		must(t, err)
		same(t, got, want)
	}},
	{"an_error_of_change_is_returned_and_nothing_is_kept", func(t *testing.T, s mfa.Store) {
		must(t, s.CreateOrganization(ctx, newOrganization("acme")))
		own := errors.New("own")
		err := s.UpdateOrganization(ctx, "acme", func(o *mfa.Organization) error { o.Require = false; return own })
		if err != own {
			t.Fatalf("got %v, want the very error of change", err)
		}
		got, err := s.Organization(ctx, "acme")
		must(t, err)
		same(t, got, newOrganization("acme"))
	}},
	{"a_change_must_leave_the_name_alone", func(t *testing.T, s mfa.Store) {
		must(t, s.CreateOrganization(ctx, newOrganization("acme")))
		if err := s.UpdateOrganization(ctx, "acme", func(o *mfa.Organization) error { o.ID = "other"; return nil }); err == nil {
			t.Error("renamed")
		}
		_, err := s.Organization(ctx, "other")
		wantErr(t, err, mfa.ErrNotFound)
		got, err := s.Organization(ctx, "acme")
		must(t, err)
		same(t, got, newOrganization("acme"))
	}},
	{"no_concurrent_change_is_lost", func(t *testing.T, s mfa.Store) {
		o := newOrganization("acme")
		o.Fresh = 0
		must(t, s.CreateOrganization(ctx, o))
		won := race(t, many, func(int) error {
			return s.UpdateOrganization(ctx, "acme", func(o *mfa.Organization) error { o.Fresh++; return nil })
		})
		same(t, won, many)
		got, err := s.Organization(ctx, "acme")
		must(t, err)
		same(t, got.Fresh, time.Duration(many))
	}},
	{"what_was_removed_is_gone_and_may_be_made_again", func(t *testing.T, s mfa.Store) {
		must(t, s.CreateOrganization(ctx, newOrganization("acme")))
		must(t, s.CreateOrganization(ctx, newOrganization("beta")))
		must(t, s.RemoveOrganization(ctx, "acme"))
		_, err := s.Organization(ctx, "acme")
		wantErr(t, err, mfa.ErrNotFound)
		wantErr(t, s.UpdateOrganization(ctx, "acme", func(*mfa.Organization) error { t.Error("changed"); return nil }), mfa.ErrNotFound)
		wantErr(t, s.RemoveOrganization(ctx, "acme"), mfa.ErrNotFound)
		list, err := s.ListOrganizations(ctx)
		must(t, err)
		same(t, list, []*mfa.Organization{newOrganization("beta")})
		again := &mfa.Organization{ID: "acme"}
		must(t, s.CreateOrganization(ctx, again))
		got, err := s.Organization(ctx, "acme")
		must(t, err)
		same(t, got, again)
	}},
	{"of_many_removers_one_removes", func(t *testing.T, s mfa.Store) {
		must(t, s.CreateOrganization(ctx, newOrganization("acme")))
		won := race(t, many, func(int) error { return s.RemoveOrganization(ctx, "acme") }, mfa.ErrNotFound)
		same(t, won, 1)
	}},
	{"the_list_is_in_the_order_of_names", func(t *testing.T, s mfa.Store) {
		list, err := s.ListOrganizations(ctx)
		must(t, err)
		same(t, len(list), 0)
		want := []string{"0", "a", "a-b", "a0", "aa", "b", "z-9"}
		for _, id := range []string{"b", "aa", "z-9", "a", "a0", "0", "a-b"} {
			must(t, s.CreateOrganization(ctx, newOrganization(mfa.OrganizationID(id))))
		}
		list, err = s.ListOrganizations(ctx)
		must(t, err)
		got := []string{}
		for _, o := range list {
			got = append(got, string(o.ID))
			same(t, o, newOrganization(o.ID))
		}
		same(t, got, want)
	}},
	{"what_the_caller_does_with_its_copy_changes_nothing", func(t *testing.T, s mfa.Store) {
		mine := newOrganization("acme")
		must(t, s.CreateOrganization(ctx, mine))
		mine.Domains[0], mine.Enrollment.Window = "evil.test", 0
		var leaked *mfa.Organization
		must(t, s.UpdateOrganization(ctx, "acme", func(o *mfa.Organization) error { leaked = o; return nil }))
		leaked.Domains[0], leaked.Require = "evil.test", false
		got, err := s.Organization(ctx, "acme")
		must(t, err)
		same(t, got, newOrganization("acme"))
	}},
	{"a_change_that_panics_leaves_the_store_usable", func(t *testing.T, s mfa.Store) {
		must(t, s.CreateOrganization(ctx, newOrganization("acme")))
		func() {
			defer func() {
				if recover() == nil {
					t.Error("the panic was swallowed")
				}
			}()
			_ = s.UpdateOrganization(ctx, "acme", func(o *mfa.Organization) error { o.Require = false; panic("AC-204") })
		}()
		must(t, s.UpdateOrganization(ctx, "acme", func(o *mfa.Organization) error {
			if !o.Require {
				t.Error("half a change was kept")
			}
			o.Name = "x"
			return nil
		}))
	}},
	{"every_change_is_announced_before_its_method_returns_and_nothing_else_is", func(t *testing.T, s mfa.Store) {
		var one, two atomic.Int32
		s.OnOrganizationChange(func() { one.Add(1) })
		s.OnOrganizationChange(func() { two.Add(1) })
		users := listen(s)
		expect := func(what string, want int32) {
			t.Helper()
			if a, b := one.Swap(0), two.Swap(0); a != want || b != want {
				t.Errorf("%s: announced %d and %d times, want %d", what, a, b, want)
			}
		}
		own := errors.New("own")
		must(t, s.CreateOrganization(ctx, newOrganization("acme")))
		expect("create", 1)
		wantErr(t, s.CreateOrganization(ctx, newOrganization("acme")), mfa.ErrTaken)
		expect("create again", 0)
		must(t, s.UpdateOrganization(ctx, "acme", func(o *mfa.Organization) error { o.Require = false; return nil }))
		expect("update", 1)
		must(t, s.UpdateOrganization(ctx, "acme", func(o *mfa.Organization) error { return nil }))
		expect("update that changes nothing", 0)
		wantErr(t, s.UpdateOrganization(ctx, "acme", func(o *mfa.Organization) error { o.Require = true; return own }), own)
		expect("failed update", 0)
		_, err := s.Organization(ctx, "acme")
		must(t, err)
		_, err = s.ListOrganizations(ctx)
		must(t, err)
		expect("reading", 0)
		must(t, s.RemoveOrganization(ctx, "acme"))
		expect("remove", 1)
		wantErr(t, s.RemoveOrganization(ctx, "acme"), mfa.ErrNotFound)
		expect("remove again", 0)
		same(t, len(users.take()), 0)
		must(t, s.CreateUser(ctx, newUser("alice")))
		must(t, s.CreateSession(ctx, newSession("s1", "id-alice")))
		must(t, s.AppendEvents(ctx, []mfa.Event{newEvent(0)}))
		expect("users, sessions and events", 0)
	}},
	{"a_listener_finds_the_change_made", func(t *testing.T, s mfa.Store) {
		var found []string
		s.OnOrganizationChange(func() {
			list, err := s.ListOrganizations(ctx)
			must(t, err)
			found = found[:0]
			for _, o := range list {
				found = append(found, string(o.ID)+" "+o.Name)
			}
		})
		must(t, s.CreateOrganization(ctx, &mfa.Organization{ID: "acme", Name: "1"}))
		same(t, found, []string{"acme 1"})
		must(t, s.UpdateOrganization(ctx, "acme", func(o *mfa.Organization) error { o.Name = "2"; return nil }))
		same(t, found, []string{"acme 2"})
		must(t, s.RemoveOrganization(ctx, "acme"))
		same(t, found, []string{})
	}},
	{"a_listener_that_was_taken_away_is_called_no_more", func(t *testing.T, s mfa.Store) {
		var heard []string
		listen := func(name string) (remove func()) {
			return s.OnOrganizationChange(func() { heard = append(heard, name) })
		}
		removeA, removeB, removeC := listen("a"), listen("b"), listen("c")
		change := func(want ...string) {
			t.Helper()
			heard = nil
			must(t, s.UpdateOrganization(ctx, "acme", func(o *mfa.Organization) error { o.Fresh++; return nil }))
			slices.Sort(heard)
			if !slices.Equal(heard, want) {
				t.Errorf("heard by %v, want %v", heard, want)
			}
		}
		must(t, s.CreateOrganization(ctx, newOrganization("acme")))
		change("a", "b", "c")
		removeB()
		change("a", "c")
		removeB()
		change("a", "c")
		removeA()
		removeC()
		change()
		removeD := listen("d")
		change("d")
		// One that takes itself away, as a configuration does that has ended.
		var removeE func()
		removeE = s.OnOrganizationChange(func() { heard = append(heard, "e"); removeE() })
		change("d", "e")
		change("d")
		removeD()
	}},
	{"listeners_come_and_go_while_organizations_change", func(t *testing.T, s mfa.Store) {
		must(t, s.CreateOrganization(ctx, newOrganization("acme")))
		var calls atomic.Int32
		won := race(t, many, func(i int) error {
			if i%2 == 0 {
				return s.UpdateOrganization(ctx, "acme", func(o *mfa.Organization) error { o.Fresh++; return nil })
			}
			defer s.OnOrganizationChange(func() { calls.Add(1) })()
			return s.UpdateOrganization(ctx, "acme", func(o *mfa.Organization) error { o.Fresh++; return nil })
		})
		same(t, won, many)
		if calls.Load() < many/2 {
			t.Errorf("%d calls: a listener missed its own change", calls.Load())
		}
	}},
}
