package storetest

import (
	"errors"
	"slices"
	"testing"
	"time"

	"github.com/secondgate/secondgate/mfa"
)

// live returns the IDs of the user's sessions, sorted.
func live(t *testing.T, s mfa.Store, user mfa.UserID) []string {
	t.Helper()
	all, err := s.UserSessions(ctx, user)
	must(t, err)
	ids := []string{}
	for _, session := range all {
		ids = append(ids, string(session.ID))
	}
	slices.Sort(ids)
	return ids
}

// gone fails the test unless the session has ended for every method.
func gone(t *testing.T, s mfa.Store, id mfa.SessionID) {
	t.Helper()
	_, err := s.Session(ctx, id)
	wantErr(t, err, mfa.ErrNotFound)
	wantErr(t, s.UpdateSession(ctx, id, func(*mfa.Session) error { t.Error("changed"); return nil }), mfa.ErrNotFound)
	wantErr(t, s.ReplaceSession(ctx, id, newSession("never-kept", "id-x")), mfa.ErrNotFound)
	must(t, s.Touch(ctx, map[mfa.SessionID]time.Time{id: base.Add(time.Hour)}))
	_, err = s.Session(ctx, id)
	wantErr(t, err, mfa.ErrNotFound)
	if slices.Contains(live(t, s, "id-alice"), string(id)) {
		t.Fatal("an ended session is listed")
	}
}

var sessions = []test{
	{"a_session_that_was_created_is_found", func(t *testing.T, s mfa.Store) {
		want := newSession("s1", "id-alice")
		must(t, s.CreateSession(ctx, want))
		got, err := s.Session(ctx, "s1")
		must(t, err)
		same(t, got, want)
		all, err := s.UserSessions(ctx, "id-alice")
		must(t, err)
		same(t, all, []*mfa.Session{want})
	}},
	{"expiry_is_left_to_the_caller", func(t *testing.T, s mfa.Store) {
		old := newSession("s1", "id-alice")
		old.Expires = base
		must(t, s.CreateSession(ctx, old))
		got, err := s.Session(ctx, "s1")
		must(t, err)
		same(t, got, old)
	}},
	{"an_unknown_session_is_not_found", func(t *testing.T, s mfa.Store) {
		must(t, s.CreateSession(ctx, newSession("s1", "id-alice")))
		for _, id := range []mfa.SessionID{"", "s", "s11", "s1\x00", mfa.SessionID(make([]byte, 1<<17))} {
			gone(t, s, id)
			must(t, s.EndSession(ctx, id))
		}
		same(t, live(t, s, "id-alice"), []string{"s1"})
	}},
	{"a_session_without_ID_or_user_is_refused", func(t *testing.T, s mfa.Store) {
		if err := s.CreateSession(ctx, newSession("", "id-alice")); err == nil {
			t.Error("kept without ID")
		}
		if err := s.CreateSession(ctx, newSession("s1", "")); err == nil {
			t.Error("kept without user")
		}
	}},
	{"an_ID_is_used_once", func(t *testing.T, s mfa.Store) {
		must(t, s.CreateSession(ctx, newSession("s1", "id-alice")))
		if err := s.CreateSession(ctx, newSession("s1", "id-bob")); err == nil {
			t.Fatal("a session took another's place")
		}
		must(t, s.EndSession(ctx, "s1"))
		if err := s.CreateSession(ctx, newSession("s1", "id-alice")); err == nil {
			t.Fatal("an ended session was begun again")
		}
		gone(t, s, "s1")
	}},
	{"a_change_is_kept", func(t *testing.T, s mfa.Store) {
		must(t, s.CreateSession(ctx, newSession("s1", "id-alice")))
		must(t, s.UpdateSession(ctx, "s1", func(x *mfa.Session) error { x.Pending = nil; x.Enrolled = true; return nil }))
		want, err := s.Session(ctx, "s1")
		must(t, err)
		if want.Pending != nil || !want.Enrolled {
			t.Fatal("not kept")
		}
	}},
	{"an_error_of_change_is_returned_and_nothing_is_kept", func(t *testing.T, s mfa.Store) {
		want := newSession("s1", "id-alice")
		must(t, s.CreateSession(ctx, want))
		own := errors.New("own")
		err := s.UpdateSession(ctx, "s1", func(x *mfa.Session) error {
			x.Pending, x.Complete, x.Proofs[0].Kind = nil, false, mfa.Passkey
			return own
		})
		if err != own {
			t.Fatalf("got %v, want the very error of change", err)
		}
		got, err := s.Session(ctx, "s1")
		must(t, err)
		same(t, got, want)
	}},
	{"a_change_must_leave_ID_and_user_alone", func(t *testing.T, s mfa.Store) {
		want := newSession("s1", "id-alice")
		must(t, s.CreateSession(ctx, want))
		if err := s.UpdateSession(ctx, "s1", func(x *mfa.Session) error { x.User = "id-eve"; return nil }); err == nil {
			t.Error("the user was changed")
		}
		if err := s.UpdateSession(ctx, "s1", func(x *mfa.Session) error { x.ID = "s2"; return nil }); err == nil {
			t.Error("the ID was changed")
		}
		got, err := s.Session(ctx, "s1")
		must(t, err)
		same(t, got, want)
	}},
	{"AC-025_an_ended_session_stays_ended", func(t *testing.T, s mfa.Store) {
		must(t, s.CreateSession(ctx, newSession("s1", "id-alice")))
		must(t, s.CreateSession(ctx, newSession("s2", "id-alice")))
		must(t, s.EndSession(ctx, "s1"))
		gone(t, s, "s1")
		must(t, s.EndSession(ctx, "s1")) // no error the second time
		same(t, live(t, s, "id-alice"), []string{"s2"})
	}},
	{"a_replaced_session_has_ended_and_the_next_lives", func(t *testing.T, s mfa.Store) {
		must(t, s.CreateSession(ctx, newSession("s1", "id-alice")))
		next := newSession("s2", "id-alice")
		must(t, s.ReplaceSession(ctx, "s1", next))
		gone(t, s, "s1")
		got, err := s.Session(ctx, "s2")
		must(t, err)
		same(t, got, next)
		same(t, live(t, s, "id-alice"), []string{"s2"})
	}},
	{"a_session_is_not_replaced_by_one_that_is_there", func(t *testing.T, s mfa.Store) {
		must(t, s.CreateSession(ctx, newSession("s1", "id-alice")))
		must(t, s.CreateSession(ctx, newSession("s2", "id-alice")))
		if err := s.ReplaceSession(ctx, "s1", newSession("s2", "id-alice")); err == nil {
			t.Fatal("replaced")
		}
		same(t, live(t, s, "id-alice"), []string{"s1", "s2"})
	}},
	{"of_many_that_replace_one_session_one_wins", func(t *testing.T, s mfa.Store) {
		for round := range 5 {
			old := named("old-%d", round)
			must(t, s.CreateSession(ctx, newSession(old, "id-alice")))
			won := race(t, many, func(i int) error {
				return s.ReplaceSession(ctx, mfa.SessionID(old), newSession(old+named("-new-%d", i), "id-alice"))
			}, mfa.ErrNotFound)
			same(t, won, 1)
			gone(t, s, mfa.SessionID(old))
			same(t, len(live(t, s, "id-alice")), round+1)
		}
	}},
	{"ending_all_spares_one_and_other_users", func(t *testing.T, s mfa.Store) {
		for _, id := range []string{"s1", "s2", "s3"} {
			must(t, s.CreateSession(ctx, newSession(id, "id-alice")))
		}
		// A user whose ID begins like the other's must not be mistaken for them.
		must(t, s.CreateSession(ctx, newSession("other", "id-alice2")))
		must(t, s.EndUserSessions(ctx, "id-alice", "s2"))
		gone(t, s, "s1")
		gone(t, s, "s3")
		same(t, live(t, s, "id-alice"), []string{"s2"})
		must(t, s.EndUserSessions(ctx, "id-alice", ""))
		gone(t, s, "s2")
		same(t, live(t, s, "id-alice2"), []string{"other"})
		must(t, s.EndUserSessions(ctx, "id-nobody", ""))
	}},
	{"all_end_however_many_there_are", func(t *testing.T, s mfa.Store) {
		const n = mfa.MaxHalfDone
		race(t, 8, func(part int) error {
			for i := part; i < n; i += 8 {
				half := newSession(named("s%d", i), "id-alice")
				half.Complete = false
				if err := s.CreateSession(ctx, half); err != nil {
					return err
				}
			}
			return nil
		})
		same(t, len(live(t, s, "id-alice")), n)
		must(t, s.EndUserSessions(ctx, "id-alice", "s7"))
		same(t, live(t, s, "id-alice"), []string{"s7"})
	}},
	{"no_session_survives_the_end_of_all_that_runs_beside_it", func(t *testing.T, s mfa.Store) {
		for i := range 10 {
			must(t, s.CreateSession(ctx, newSession(named("s%d", i), "id-alice")))
		}
		race(t, 30, func(i int) error {
			id := mfa.SessionID(named("s%d", i%10))
			switch i / 10 {
			case 0:
				return s.Touch(ctx, map[mfa.SessionID]time.Time{id: base.Add(time.Hour)})
			case 1:
				return s.UpdateSession(ctx, id, func(x *mfa.Session) error { x.Agent = "x"; return nil })
			}
			return s.EndUserSessions(ctx, "id-alice", "")
		}, mfa.ErrNotFound)
		same(t, live(t, s, "id-alice"), []string{})
		for i := range 10 {
			gone(t, s, mfa.SessionID(named("s%d", i)))
		}
	}},
	{"beyond_the_limit_the_least_recently_seen_ends", func(t *testing.T, s mfa.Store) {
		for i := range mfa.MaxSessions {
			session := newSession(named("s%02d", i), "id-alice")
			session.LastSeen = base.Add(time.Duration(i) * time.Minute)
			must(t, s.CreateSession(ctx, session))
		}
		must(t, s.CreateSession(ctx, newSession("bob", "id-bob")))
		must(t, s.Touch(ctx, map[mfa.SessionID]time.Time{"s00": base.Add(time.Hour)}))
		half := newSession("half", "id-alice")
		half.Complete, half.LastSeen = false, base.Add(-time.Hour)
		must(t, s.CreateSession(ctx, half)) // a half-done one neither counts nor ends another
		same(t, len(live(t, s, "id-alice")), mfa.MaxSessions+1)
		must(t, s.CreateSession(ctx, newSession("new", "id-alice")))
		gone(t, s, "s01")
		must(t, s.ReplaceSession(ctx, "half", newSession("full", "id-alice")))
		gone(t, s, "half")
		// "new" was seen first of all (its LastSeen is base), so it goes next.
		gone(t, s, "new")
		got := live(t, s, "id-alice")
		same(t, len(got), mfa.MaxSessions)
		if !slices.Contains(got, "s00") || !slices.Contains(got, "full") {
			t.Fatalf("left: %v", got)
		}
		same(t, live(t, s, "id-bob"), []string{"bob"})
	}},
	{"half_done_sessions_have_a_limit_of_their_own", func(t *testing.T, s mfa.Store) {
		must(t, s.CreateSession(ctx, newSession("full", "id-alice")))
		for i := range mfa.MaxHalfDone + 1 {
			half := newSession(named("h%03d", i), "id-alice")
			half.Complete, half.LastSeen = false, base.Add(time.Duration(i)*time.Second)
			must(t, s.CreateSession(ctx, half))
		}
		same(t, len(live(t, s, "id-alice")), mfa.MaxHalfDone+1)
		gone(t, s, "h000")
		if !slices.Contains(live(t, s, "id-alice"), "full") {
			t.Fatal("a complete session made room for one that was begun")
		}
	}},
	{"replacing_at_the_limit_ends_no_other", func(t *testing.T, s mfa.Store) {
		for i := range mfa.MaxSessions {
			must(t, s.CreateSession(ctx, newSession(named("s%02d", i), "id-alice")))
		}
		must(t, s.ReplaceSession(ctx, "s05", newSession("new", "id-alice")))
		same(t, len(live(t, s, "id-alice")), mfa.MaxSessions)
	}},
	{"many_new_sessions_at_once_keep_the_limit", func(t *testing.T, s mfa.Store) {
		won := race(t, many, func(i int) error { return s.CreateSession(ctx, newSession(named("s%d", i), "id-alice")) })
		same(t, won, many)
		same(t, len(live(t, s, "id-alice")), mfa.MaxSessions)
	}},
	{"sessions_are_listed_newest_first", func(t *testing.T, s mfa.Store) {
		for i, id := range []string{"b", "a", "c"} {
			session := newSession(id, "id-alice")
			session.Created = base.Add(time.Duration(i) * time.Minute)
			must(t, s.CreateSession(ctx, session))
		}
		all, err := s.UserSessions(ctx, "id-alice")
		must(t, err)
		same(t, []mfa.SessionID{all[0].ID, all[1].ID, all[2].ID}, []string{"c", "a", "b"})
		all, err = s.UserSessions(ctx, "id-nobody")
		must(t, err)
		same(t, len(all), 0)
	}},
	{"touching_moves_forward_only_and_brings_nobody_back", func(t *testing.T, s mfa.Store) {
		seen := map[mfa.SessionID]time.Time{"unknown": base.Add(time.Hour), "ended": base.Add(time.Hour)}
		must(t, s.CreateSession(ctx, newSession("ended", "id-alice")))
		must(t, s.EndSession(ctx, "ended"))
		for i := range 150 {
			id := named("s%d", i)
			must(t, s.CreateSession(ctx, newSession(id, mfa.UserID(named("id-%d", i)))))
			seen[mfa.SessionID(id)] = base.Add(time.Minute)
		}
		seen["s0"] = base.Add(-time.Minute)
		must(t, s.Touch(ctx, seen))
		must(t, s.Touch(ctx, nil))
		for i := range 150 {
			got, err := s.Session(ctx, mfa.SessionID(named("s%d", i)))
			must(t, err)
			want := newSession(named("s%d", i), got.User)
			want.Expires = got.Expires
			if i > 0 {
				want.LastSeen = base.Add(time.Minute)
			}
			same(t, got, want)
		}
		gone(t, s, "ended")
		gone(t, s, "unknown")
	}},
	{"what_the_caller_does_with_its_copy_changes_nothing", func(t *testing.T, s mfa.Store) {
		mine := newSession("s1", "id-alice")
		want := newSession("s1", "id-alice")
		want.Expires = mine.Expires
		must(t, s.CreateSession(ctx, mine))
		spoil := func(x *mfa.Session) {
			x.Complete, x.User, x.Proofs[0].Kind, x.Pending[0].Data[0] = false, "id-eve", mfa.Passkey, 'X'
		}
		spoil(mine)
		got, err := s.Session(ctx, "s1")
		must(t, err)
		same(t, got, want)
		spoil(got)
		all, err := s.UserSessions(ctx, "id-alice")
		must(t, err)
		same(t, all, []*mfa.Session{want})
		spoil(all[0])
		next := newSession("s2", "id-alice")
		next.Expires = want.Expires
		must(t, s.ReplaceSession(ctx, "s1", next))
		spoil(next)
		want.ID = "s2"
		got, err = s.Session(ctx, "s2")
		must(t, err)
		same(t, got, want)
	}},
}
