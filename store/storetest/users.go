package storetest

import (
	"errors"
	"slices"
	"testing"

	"github.com/secondgate/secondgate/mfa"
)

var errSpent = errors.New("spent already")

var users = []test{
	{"a_user_that_was_created_is_found", func(t *testing.T, s mfa.Store) {
		want := newUser("alice")
		must(t, s.CreateUser(ctx, want))
		got, err := s.User(ctx, want.ID)
		must(t, err)
		same(t, got, want)
		for _, key := range want.UniqueKeys() {
			got, err := s.UserByKey(ctx, key)
			must(t, err)
			same(t, got, want)
		}
	}},
	{"an_unknown_user_is_not_found", func(t *testing.T, s mfa.Store) {
		must(t, s.CreateUser(ctx, newUser("alice")))
		for _, id := range []mfa.UserID{"", "id", "id-alice2", "id-alice\x00", mfa.UserID(make([]byte, 1<<17))} {
			_, err := s.User(ctx, id)
			wantErr(t, err, mfa.ErrNotFound)
			wantErr(t, s.UpdateUser(ctx, id, func(*mfa.User) error { t.Error("changed"); return nil }), mfa.ErrNotFound)
		}
		for _, key := range []string{"", "subject:local:bob", "subject:local:alice2", "credential:", "handle:", mfa.HandleKey([]byte("handle-alice2")), string(make([]byte, 1<<17))} {
			_, err := s.UserByKey(ctx, key)
			wantErr(t, err, mfa.ErrNotFound)
		}
	}},
	{"a_user_without_ID_is_refused", func(t *testing.T, s mfa.Store) {
		u := newUser("alice")
		u.ID = ""
		if err := s.CreateUser(ctx, u); err == nil {
			t.Fatal("kept")
		}
	}},
	{"a_taken_ID_or_unique_key_is_ErrTaken_and_nothing_is_kept", func(t *testing.T, s mfa.Store) {
		must(t, s.CreateUser(ctx, newUser("alice")))
		sameID := newUser("bob")
		sameID.ID = "id-alice"
		wantErr(t, s.CreateUser(ctx, sameID), mfa.ErrTaken)
		sameSubject := namesake("alice", "local")
		wantErr(t, s.CreateUser(ctx, sameSubject), mfa.ErrTaken)
		sameHandle := newUser("carol")
		sameHandle.Handle = newUser("alice").Handle
		wantErr(t, s.CreateUser(ctx, sameHandle), mfa.ErrTaken)
		samePasskey := newUser("carol")
		samePasskey.Credentials[1].Unique = "raw-alice"
		wantErr(t, s.CreateUser(ctx, samePasskey), mfa.ErrTaken)
		for _, key := range []string{mfa.SubjectKey("local", "bob"), mfa.SubjectKey("local", "carol")} {
			_, err := s.UserByKey(ctx, key)
			wantErr(t, err, mfa.ErrNotFound)
		}
		_, err := s.User(ctx, "id-carol")
		wantErr(t, err, mfa.ErrNotFound)
		page, _, err := s.ListUsers(ctx, mfa.UserQuery{}, "", 10)
		must(t, err)
		same(t, page, []*mfa.User{newUser("alice")})
	}},
	{"one_subject_at_two_sources_is_two_users", func(t *testing.T, s mfa.Store) {
		must(t, s.CreateUser(ctx, newUser("alice")))
		other := namesake("alice", "ldap")
		must(t, s.CreateUser(ctx, other))
		got, err := s.UserByKey(ctx, mfa.SubjectKey("ldap", "alice"))
		must(t, err)
		same(t, got, other)
	}},
	{"one_user_name_is_one_over_all_sources", func(t *testing.T, s mfa.Store) {
		must(t, s.CreateUser(ctx, newUser("alice")))
		other := namesake("other", "ldap")
		other.Name = "alice"
		wantErr(t, s.CreateUser(ctx, other), mfa.ErrTaken)
		other.Name = "bob"
		must(t, s.CreateUser(ctx, other))
		wantErr(t, s.CreateUser(ctx, newUser("bob")), mfa.ErrTaken)
		got, err := s.UserByKey(ctx, mfa.NameKey("bob"))
		must(t, err)
		same(t, got, other)
		rename := func(name string) error {
			return s.UpdateUser(ctx, other.ID, func(u *mfa.User) error {
				u.Name = name
				return nil
			})
		}
		wantErr(t, rename("alice"), mfa.ErrTaken)
		must(t, rename("carol"))
		must(t, s.CreateUser(ctx, newUser("bob"))) // the old name is free
		wantErr(t, s.CreateUser(ctx, newUser("carol")), mfa.ErrTaken)
	}},
	{"a_change_is_kept", func(t *testing.T, s mfa.Store) {
		must(t, s.CreateUser(ctx, newUser("alice")))
		must(t, s.UpdateUser(ctx, "id-alice", func(u *mfa.User) error {
			same(t, u, newUser("alice"))
			u.Disabled = true
			u.Credentials = u.Credentials[:1]
			return nil
		}))
		want := newUser("alice")
		want.Disabled = true
		want.Credentials = want.Credentials[:1]
		got, err := s.User(ctx, "id-alice")
		must(t, err)
		same(t, got, want)
	}},
	{"an_error_of_change_is_returned_and_nothing_is_kept", func(t *testing.T, s mfa.Store) {
		must(t, s.CreateUser(ctx, newUser("alice")))
		own := errors.New("own")
		err := s.UpdateUser(ctx, "id-alice", func(u *mfa.User) error {
			u.Disabled, u.Name, u.Credentials[0].Step, u.Credentials[1].Unique = true, "eve", 99, "other"
			u.Credentials[0].Data[0] = 'X'
			return own
		})
		if err != own {
			t.Fatalf("got %v, want the very error of change", err)
		}
		got, err := s.User(ctx, "id-alice")
		must(t, err)
		same(t, got, newUser("alice"))
		_, err = s.UserByKey(ctx, mfa.CredentialKey("other"))
		wantErr(t, err, mfa.ErrNotFound)
	}},
	{"a_change_must_leave_ID_source_and_subject_alone", func(t *testing.T, s mfa.Store) {
		must(t, s.CreateUser(ctx, newUser("alice")))
		for name, change := range map[string]func(u *mfa.User){
			"ID":      func(u *mfa.User) { u.ID = "id-eve" },
			"source":  func(u *mfa.User) { u.Source = "ldap" },
			"subject": func(u *mfa.User) { u.Subject = "eve" },
		} {
			if err := s.UpdateUser(ctx, "id-alice", func(u *mfa.User) error { change(u); return nil }); err == nil {
				t.Errorf("a change of the %s was kept", name)
			}
		}
		got, err := s.UserByKey(ctx, mfa.SubjectKey("local", "alice"))
		must(t, err)
		same(t, got, newUser("alice"))
	}},
	{"unique_keys_move_with_the_record", func(t *testing.T, s mfa.Store) {
		must(t, s.CreateUser(ctx, newUser("alice")))
		must(t, s.CreateUser(ctx, newUser("bob")))
		take := func(id mfa.UserID, unique string) error {
			return s.UpdateUser(ctx, id, func(u *mfa.User) error {
				u.Credentials[1].Unique = unique
				return nil
			})
		}
		wantErr(t, take("id-bob", "raw-alice"), mfa.ErrTaken)
		got, err := s.User(ctx, "id-bob")
		must(t, err)
		same(t, got, newUser("bob"))
		must(t, take("id-alice", "raw-new"))
		_, err = s.UserByKey(ctx, mfa.CredentialKey("raw-alice"))
		wantErr(t, err, mfa.ErrNotFound)
		must(t, take("id-bob", "raw-alice")) // the freed key is free
		got, err = s.UserByKey(ctx, mfa.CredentialKey("raw-alice"))
		must(t, err)
		if got.ID != "id-bob" {
			t.Fatalf("the freed key leads to %s", got.ID)
		}
		must(t, take("id-alice", "")) // and a removed one leads nowhere
		_, err = s.UserByKey(ctx, mfa.CredentialKey("raw-new"))
		wantErr(t, err, mfa.ErrNotFound)
	}},
	{"a_user_is_found_by_the_handle_that_passkeys_name", func(t *testing.T, s mfa.Store) {
		bare := namesake("alice", "ldap")
		bare.Handle = nil
		must(t, s.CreateUser(ctx, newUser("alice")))
		must(t, s.CreateUser(ctx, bare))
		got, err := s.UserByKey(ctx, mfa.HandleKey([]byte("handle-alice")))
		must(t, err)
		same(t, got, newUser("alice"))
		_, err = s.UserByKey(ctx, mfa.HandleKey(nil)) // whoever has no handle is not found by that
		wantErr(t, err, mfa.ErrNotFound)
	}},
	{"what_the_caller_does_with_its_copy_changes_nothing", func(t *testing.T, s mfa.Store) {
		mine := newUser("alice")
		must(t, s.CreateUser(ctx, mine))
		spoil := func(u *mfa.User) {
			u.Name, u.Admin, u.Groups[0], u.Handle[0], u.Password[0] = "eve", true, "root", 'X', 'X'
			u.Credentials[0].Data[0], u.Credentials[0].Step = 'X', 0
		}
		spoil(mine)
		got, err := s.User(ctx, "id-alice")
		must(t, err)
		same(t, got, newUser("alice"))
		spoil(got)
		byKey, err := s.UserByKey(ctx, mfa.SubjectKey("local", "alice"))
		must(t, err)
		same(t, byKey, newUser("alice"))
		spoil(byKey)
		page, _, err := s.ListUsers(ctx, mfa.UserQuery{}, "", 10)
		must(t, err)
		same(t, page, []*mfa.User{newUser("alice")})
		spoil(page[0])
		var kept *mfa.User
		must(t, s.UpdateUser(ctx, "id-alice", func(u *mfa.User) error {
			same(t, u, newUser("alice"))
			kept = u
			return nil
		}))
		spoil(kept)
		again, err := s.User(ctx, "id-alice")
		must(t, err)
		same(t, again, newUser("alice"))
	}},
	{"lists_are_in_the_order_of_names_by_prefix_and_page", func(t *testing.T, s mfa.Store) {
		names := []string{"bob", "alice", "al", "carol", "alina", "albert", "böb", "al.b", "zoe"}
		for _, name := range names {
			must(t, s.CreateUser(ctx, newUser(name)))
		}
		slices.Sort(names)
		list := func(prefix string, limit int) (got []string) {
			after := ""
			for range len(names) + 1 {
				page, next, err := s.ListUsers(ctx, mfa.UserQuery{Search: prefix}, after, limit)
				must(t, err)
				if len(page) > limit || next != "" && len(page) != limit {
					t.Fatalf("a page of %d with limit %d, next %q", len(page), limit, next)
				}
				for _, u := range page {
					same(t, u, newUser(u.Name))
					got = append(got, u.Name)
				}
				if next == "" {
					return got
				}
				after = next
			}
			t.Fatalf("prefix %q, limit %d: no end", prefix, limit)
			return nil
		}
		for limit := 1; limit <= len(names)+1; limit++ {
			same(t, list("", limit), names)
			same(t, list("al", limit), []string{"al", "al.b", "albert", "alice", "alina"})
			same(t, list("alice", limit), []string{"alice"})
			same(t, len(list("nobody", limit)), 0)
		}
		if _, _, err := s.ListUsers(ctx, mfa.UserQuery{}, "no cursor of ours", 3); !errors.Is(err, mfa.ErrCursor) {
			t.Errorf("a cursor that is none was taken: %v", err)
		}
		page, next, err := s.ListUsers(ctx, mfa.UserQuery{}, "", 0)
		if err != nil || len(page) != 0 || next != "" {
			t.Errorf("limit 0: %d users, next %q, %v", len(page), next, err)
		}
	}},
	{"a_page_goes_on_where_it_stopped_though_users_come_and_go", func(t *testing.T, s mfa.Store) {
		for _, name := range []string{"a", "b", "c", "d"} {
			must(t, s.CreateUser(ctx, newUser(name)))
		}
		page, next, err := s.ListUsers(ctx, mfa.UserQuery{}, "", 2)
		must(t, err)
		same(t, len(page), 2)
		must(t, s.UpdateUser(ctx, "id-b", func(u *mfa.User) error { u.Name = "x"; return nil }))
		must(t, s.CreateUser(ctx, newUser("aa")))
		page, _, err = s.ListUsers(ctx, mfa.UserQuery{}, next, 2)
		must(t, err)
		same(t, []string{page[0].Name, page[1].Name}, []string{"c", "d"})
	}},
	{"a_changed_name_is_listed_once", func(t *testing.T, s mfa.Store) {
		must(t, s.CreateUser(ctx, newUser("alice")))
		must(t, s.UpdateUser(ctx, "id-alice", func(u *mfa.User) error { u.Name = "zoe"; return nil }))
		page, _, err := s.ListUsers(ctx, mfa.UserQuery{}, "", 10)
		must(t, err)
		if len(page) != 1 || page[0].Name != "zoe" {
			t.Fatalf("got %d users", len(page))
		}
		page, _, err = s.ListUsers(ctx, mfa.UserQuery{Search: "alice"}, "", 10)
		must(t, err)
		same(t, len(page), 0)
	}},
	{"two_users_of_one_display_name_are_both_listed", func(t *testing.T, s mfa.Store) {
		one, other := newUser("alice"), namesake("alice", "ldap")
		one.DisplayName, other.DisplayName = "Doe", "Doe"
		must(t, s.CreateUser(ctx, one))
		must(t, s.CreateUser(ctx, other))
		first, next, err := s.ListUsers(ctx, mfa.UserQuery{Search: "doe"}, "", 1)
		must(t, err)
		second, _, err := s.ListUsers(ctx, mfa.UserQuery{Search: "doe"}, next, 1)
		must(t, err)
		if len(first) != 1 || len(second) != 1 || first[0].ID == second[0].ID {
			t.Fatal("not both")
		}
	}},
	{"of_many_creators_with_one_unique_key_one_wins", func(t *testing.T, s mfa.Store) {
		won := race(t, many, func(i int) error {
			u := namesake("alice", "local")
			u.ID, u.Handle = mfa.UserID(named("id-%d", i)), []byte(named("handle-%d", i))
			return s.CreateUser(ctx, u)
		}, mfa.ErrTaken)
		same(t, won, 1)
		page, _, err := s.ListUsers(ctx, mfa.UserQuery{}, "", 100)
		must(t, err)
		same(t, len(page), 1)
		got, err := s.UserByKey(ctx, mfa.SubjectKey("local", "alice"))
		must(t, err)
		same(t, got.ID, page[0].ID)
	}},
	{"of_many_users_one_gets_a_passkey", func(t *testing.T, s mfa.Store) {
		for i := range 8 {
			must(t, s.CreateUser(ctx, newUser(named("u%d", i))))
		}
		won := race(t, 8, func(i int) error {
			return s.UpdateUser(ctx, mfa.UserID(named("id-u%d", i)), func(u *mfa.User) error {
				u.Credentials[1].Unique = "the-one"
				return nil
			})
		}, mfa.ErrTaken)
		same(t, won, 1)
	}},
	{"AC-104_of_many_that_spend_one_code_or_step_one_wins", func(t *testing.T, s mfa.Store) {
		must(t, s.CreateUser(ctx, newUser("alice")))
		for round := range 20 {
			step := int64(100 + round)
			won := race(t, many, func(int) error {
				return s.UpdateUser(ctx, "id-alice", func(u *mfa.User) error {
					c := u.Credential("app")
					if c.Step >= step {
						return errSpent
					}
					c.Step = step
					return nil
				})
			}, errSpent)
			if won != 1 {
				t.Fatalf("round %d: %d callers spent one step", round, won)
			}
		}
	}},
	{"no_concurrent_change_is_lost", func(t *testing.T, s mfa.Store) {
		must(t, s.CreateUser(ctx, newUser("alice")))
		won := race(t, 200, func(int) error {
			return s.UpdateUser(ctx, "id-alice", func(u *mfa.User) error { u.Credentials[0].Left++; return nil })
		})
		same(t, won, 200)
		got, err := s.User(ctx, "id-alice")
		must(t, err)
		same(t, got.Credentials[0].Left, 200)
	}},
	{"a_change_that_panics_leaves_the_store_usable", func(t *testing.T, s mfa.Store) {
		must(t, s.CreateUser(ctx, newUser("alice")))
		func() {
			defer func() {
				if recover() == nil {
					t.Error("the panic was swallowed")
				}
			}()
			_ = s.UpdateUser(ctx, "id-alice", func(u *mfa.User) error { u.Disabled = true; panic("AC-204") })
		}()
		must(t, s.UpdateUser(ctx, "id-alice", func(u *mfa.User) error {
			if u.Disabled {
				t.Error("half a change was kept")
			}
			u.Admin = true
			return nil
		}))
	}},
}
