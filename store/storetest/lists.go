package storetest

import (
	"encoding/base64"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/secondgate/secondgate/mfa"
)

// listed returns the names of everybody on all pages of a list.
func listed(t *testing.T, s mfa.Store, q mfa.UserQuery, limit int) []string {
	t.Helper()
	names, after := []string{}, ""
	for range 100_000 {
		page, next, err := s.ListUsers(ctx, q, after, limit)
		must(t, err)
		if len(page) > limit {
			t.Fatalf("a page of %d users, want %d at most", len(page), limit)
		}
		for _, u := range page {
			if !q.Matches(u) {
				t.Fatalf("%s is none of %+v", u.Name, q)
			}
			names = append(names, u.Name)
		}
		if next == "" {
			return names
		}
		if next == after {
			t.Fatal("the cursor does not move")
		}
		after = next
	}
	t.Fatal("there is no last page")
	return nil
}

func where(any ...mfa.Facet) [][]mfa.Facet { return [][]mfa.Facet{any} }

var none = mfa.FacetHolds(0)

var lists = []test{
	{"an_empty_store_lists_and_counts_nobody", func(t *testing.T, s mfa.Store) {
		same(t, len(listed(t, s, mfa.UserQuery{}, 5)), 0)
		same(t, len(listed(t, s, mfa.UserQuery{Search: "a"}, 5)), 0)
		same(t, len(listed(t, s, mfa.UserQuery{Where: where(none)}, 5)), 0)
		got, err := s.CountUsers(ctx)
		must(t, err)
		same(t, len(got), 0)
	}},
	{"every_facet_moves_with_the_record", func(t *testing.T, s mfa.Store) {
		// Each change on its own, there and back.
		domain := func(u *mfa.User) { u.Email, u.EmailVerified = "alice@Example.test", true }
		for facet, change := range map[mfa.Facet]func(u *mfa.User){
			mfa.FacetDisabled:                            func(u *mfa.User) { u.Disabled = true },
			mfa.FacetSkipped:                             func(u *mfa.User) { u.SkippedPrompt = "x" },
			mfa.FacetOptedOut:                            func(u *mfa.User) { u.OptedOut = true },
			mfa.FacetLocked:                              func(u *mfa.User) { u.Locked = []mfa.Kind{mfa.Password} },
			mfa.FacetNewcomer:                            func(u *mfa.User) { u.FirstSignIn = time.Time{} },
			mfa.FacetRole:                                func(u *mfa.User) { u.AdminOf = []mfa.OrganizationID{"acme"} },
			mfa.FacetOrganization("acme"):                func(u *mfa.User) { u.Organizations = []mfa.OrganizationID{"acme"} },
			mfa.FacetDomain("example.test"):              domain,
			mfa.FacetHolds(mfa.KindsOf(mfa.TOTP)):        func(u *mfa.User) { u.Credentials = u.Credentials[:1] },
			mfa.FacetHolds(mfa.KindsOf(mfa.Passkey)):     func(u *mfa.User) { u.Credentials = u.Credentials[1:] },
			mfa.FacetHolds(0):                            func(u *mfa.User) { u.Credentials = nil },
			mfa.FacetHolds(mfa.KindsOf("from_tomorrow")): func(u *mfa.User) { u.Credentials = []mfa.Credential{{ID: "x", Kind: "from_tomorrow"}} },
		} {
			name := strings.Map(func(r rune) rune {
				if r >= 'a' && r <= 'z' {
					return r
				}
				return '-'
			}, string(facet))
			u := newUser(name)
			u.FirstSignIn = base
			before := *u
			q := mfa.UserQuery{Where: where(facet)}
			must(t, s.CreateUser(ctx, u))
			if slices.Contains(listed(t, s, q, 10), name) {
				t.Errorf("%s: listed before", facet)
			}
			must(t, s.UpdateUser(ctx, u.ID, func(u *mfa.User) error { change(u); return nil }))
			if !slices.Contains(listed(t, s, q, 10), name) {
				t.Errorf("%s: not listed", facet)
			}
			must(t, s.UpdateUser(ctx, u.ID, func(u *mfa.User) error { *u = before; return nil }))
			if slices.Contains(listed(t, s, q, 10), name) {
				t.Errorf("%s: listed afterwards", facet)
			}
		}
		agree(t, s)
	}},
	{"a_name_that_changes_in_nothing_but_its_case_moves", func(t *testing.T, s mfa.Store) {
		must(t, s.CreateUser(ctx, newUser("alice"))) // its terms stay what they are
		must(t, s.UpdateUser(ctx, "id-alice", func(u *mfa.User) error { u.Name = "Alice"; return nil }))
		agree(t, s)
		same(t, listed(t, s, mfa.UserQuery{}, 5), []string{"Alice"})
		same(t, listed(t, s, mfa.UserQuery{Search: "alice"}, 5), []string{"Alice"})
	}},
	{"lists_and_counters_agree_with_the_users", func(t *testing.T, s mfa.Store) {
		for i := range 150 {
			must(t, s.CreateUser(ctx, person(i)))
		}
		agree(t, s)
	}},
	{"lists_and_counters_agree_after_random_changes_at_once", func(t *testing.T, s mfa.Store) {
		const n, writers, rounds = 40, 12, 30
		for i := range n {
			must(t, s.CreateUser(ctx, person(i)))
		}
		race(t, writers, func(w int) error {
			r := newDice(2, w)
			for round := range rounds {
				switch id := mfa.UserID(named("id-p%05d", r.IntN(n))); r.IntN(10) {
				case 0:
					if err := s.CreateUser(ctx, person(n+w*rounds+round)); err != nil {
						return err
					}
				case 1: // nothing of a change that fails is kept
					err := s.UpdateUser(ctx, id, func(u *mfa.User) error { scramble(u, r); return errSpent })
					if !errors.Is(err, errSpent) {
						return fmt.Errorf("got %w", err)
					}
				default:
					seed := r.IntN(1 << 30)
					err := s.UpdateUser(ctx, id, func(u *mfa.User) error {
						scramble(u, newDice(3, seed)) // the same where it runs again
						return nil
					})
					if err != nil {
						return err
					}
				}
			}
			return nil
		})
		agree(t, s)
	}},
	{"a_change_that_is_refused_moves_nothing", func(t *testing.T, s mfa.Store) {
		alice, bob := newUser("alice"), newUser("bob")
		must(t, s.CreateUser(ctx, alice))
		must(t, s.CreateUser(ctx, bob))
		wantErr(t, s.UpdateUser(ctx, bob.ID, func(u *mfa.User) error {
			u.Disabled, u.Name, u.Organizations = true, "zoe", []mfa.OrganizationID{"acme"}
			u.Credentials = slices.Clone(alice.Credentials[1:])
			return nil
		}), mfa.ErrTaken)
		taken := namesake("alice", "local")
		taken.Organizations, taken.DisplayName = []mfa.OrganizationID{"acme"}, "Somebody"
		wantErr(t, s.CreateUser(ctx, taken), mfa.ErrTaken)
		same(t, len(listed(t, s, mfa.UserQuery{Search: "somebody"}, 5)), 0)
		agree(t, s)
	}},
	{"everybody_comes_once_while_others_change", func(t *testing.T, s mfa.Store) {
		const n = 120
		for i := range n {
			u := newUser(named("p%05d", i))
			u.DisplayName = "Ann Annabel Anna"
			u.Organizations = []mfa.OrganizationID{"acme", "beta"}
			must(t, s.CreateUser(ctx, u))
		}
		stop := make(chan struct{})
		var wg sync.WaitGroup
		for w := range 4 {
			wg.Go(func() {
				for i := w; ; i++ {
					select {
					case <-stop:
						return
					default:
					}
					// Others come and go; those of the list change, and stay on it.
					extra := newUser(fmt.Sprintf("q%d-%d-%d", i%5, w, i))
					extra.Credentials = nil
					if err := s.CreateUser(ctx, extra); err != nil {
						t.Error(err)
					}
					err := s.UpdateUser(ctx, mfa.UserID(named("id-p%05d", i%n)), func(u *mfa.User) error {
						u.Disabled, u.LastSignIn = !u.Disabled, base
						return nil
					})
					if err != nil {
						t.Error(err)
					}
				}
			})
		}
		for _, q := range []mfa.UserQuery{
			{Search: "p"}, {Search: "ann"},
			{Where: where(mfa.FacetOrganization("beta"), mfa.FacetOrganization("acme"))},
			{Where: [][]mfa.Facet{{mfa.FacetHolds(mfa.KindsOf(mfa.TOTP, mfa.Passkey))}, {mfa.FacetOrganization("acme")}}},
		} {
			got := listed(t, s, q, 11)
			slices.Sort(got)
			if once := slices.Compact(slices.Clone(got)); len(got) != n || len(once) != n {
				t.Errorf("%+v: %d users, %d of them different, want %d", q, len(got), len(once), n)
			}
		}
		close(stop)
		wg.Wait()
		agree(t, s)
	}},
	{"search_finds_name_address_and_words_by_their_beginning", func(t *testing.T, s mfa.Store) {
		for name, of := range map[string]struct{ email, display string }{
			"alice": {"a.smith@example.test", "Alice Smith"}, "bob": {"", "Bobby  alistair"}, "carol": {"ALI@example.test", ""},
			"Dora": {"d@example.test", "Ünal Öz"},
		} {
			u := newUser(name)
			u.Email, u.DisplayName = of.email, of.display
			must(t, s.CreateUser(ctx, u))
		}
		for search, want := range map[string][]string{
			"ali":                       {"carol", "alice", "bob"}, // ali@, alice, alistair
			"alice":                     {"alice"},
			"a":                         {"alice", "carol", "bob"}, // a.smith@, ali@, alistair
			"smith":                     {"alice"},
			"mith":                      {},
			"dora":                      {"Dora"},
			"ün":                        {"Dora"},
			"öz":                        {"Dora"},
			"Alice":                     {}, // it has to be in lower case
			"bobby ":                    {},
			"b":                         {"bob"},
			strings.Repeat("a", 10_000): {},
			"a\x00":                     {},
			"alice\x00id-alice":         {},
			"\xff":                      {},
		} {
			for limit := 1; limit < 5; limit++ {
				if got := listed(t, s, mfa.UserQuery{Search: search}, limit); !slices.Equal(got, want) {
					t.Errorf("search %.20q, limit %d: got %v, want %v", search, limit, got, want)
				}
			}
		}
	}},
	{"long_and_strange_texts_are_found", func(t *testing.T, s mfa.Store) {
		long := strings.Repeat("long", 300)
		u := newUser("alice")
		u.DisplayName, u.Email, u.EmailVerified = long+"1 "+long+"2 nul\x00word \xff\xfe", long+"@"+long+".test", true
		u.Organizations = []mfa.OrganizationID{mfa.OrganizationID(long), "with\x00nul"}
		must(t, s.CreateUser(ctx, u))
		must(t, s.CreateUser(ctx, newUser("bob")))
		for _, search := range []string{long, long + "1", long + "2", long + "@", "nul", "nul\x00w"} {
			if got := listed(t, s, mfa.UserQuery{Search: search}, 3); !slices.Equal(got, []string{"alice"}) {
				t.Errorf("search %.10q…, %d bytes: got %v", search, len(search), got)
			}
		}
		same(t, len(listed(t, s, mfa.UserQuery{Search: long + "3"}, 3)), 0)
		agree(t, s)
	}},
	{"only_groups_are_counted", func(t *testing.T, s mfa.Store) {
		acme, beta, domain := mfa.FacetOrganization("acme"), mfa.FacetOrganization("beta"), mfa.FacetDomain("example.test")
		for _, facets := range [][]mfa.Facet{
			{mfa.FacetDisabled}, {none}, {acme, beta}, {acme, domain, beta}, {domain, mfa.FacetLocked}, {domain, mfa.FacetDomain("other.test")}, {domain, domain},
		} {
			if got, err := s.CountUsers(ctx, facets...); err == nil {
				t.Errorf("%v is counted: %v", facets, got)
			}
		}
	}},
	{"a_cursor_is_good_for_its_list_alone", func(t *testing.T, s mfa.Store) {
		for i := range 6 {
			u := newUser(named("person%d", i))
			u.Organizations = []mfa.OrganizationID{"acme"}
			must(t, s.CreateUser(ctx, u))
		}
		acme := mfa.FacetOrganization("acme")
		queries := []mfa.UserQuery{
			{}, {Search: "p"}, {Where: where(acme)}, {Where: where(acme, none)}, {Where: [][]mfa.Facet{{acme}, {acme}}},
			{Where: where(acme), Not: []mfa.Facet{mfa.FacetDisabled}}, {Not: []mfa.Facet{mfa.FacetDisabled}},
		}
		for i, q := range queries {
			_, next, err := s.ListUsers(ctx, q, "", 2)
			must(t, err)
			if raw, _ := base64.RawURLEncoding.DecodeString(next); strings.Contains(next+string(raw), "person") {
				t.Errorf("the cursor %q shows a name", next)
			}
			page, _, err := s.ListUsers(ctx, q, next, 2)
			must(t, err)
			same(t, page[0].Name, "person2")
			for j, other := range queries {
				if _, _, err := s.ListUsers(ctx, other, next, 2); i != j && !errors.Is(err, mfa.ErrCursor) {
					t.Errorf("the cursor of %+v was taken for %+v: %v", q, other, err)
				}
			}
			changed := []byte(next)
			changed[len(changed)/2] ^= 1
			for _, wrong := range []string{string(changed), next[:len(next)-2], next + "AA", "cDE", "AAAA", "not base64!", strings.Repeat("A", 10_000)} {
				if _, _, err := s.ListUsers(ctx, q, wrong, 2); !errors.Is(err, mfa.ErrCursor) {
					t.Errorf("%+v: the cursor %.20q was taken: %v", q, wrong, err)
				}
			}
		}
	}},
	{"a_limit_below_one_lists_nobody", func(t *testing.T, s mfa.Store) {
		must(t, s.CreateUser(ctx, newUser("alice")))
		for _, limit := range []int{0, -1} {
			page, next, err := s.ListUsers(ctx, mfa.UserQuery{Search: "a"}, "", limit)
			if err != nil || len(page) != 0 || next != "" {
				t.Errorf("limit %d: %d users, next %q, %v", limit, len(page), next, err)
			}
		}
	}},
	{"a_list_without_matches_ends_all_the_same", func(t *testing.T, s mfa.Store) {
		race(t, 8, func(w int) error {
			for i := range 300 {
				if err := s.CreateUser(ctx, newUser(named("p%d-", w)+named("%03d", i))); err != nil {
					return err
				}
			}
			return nil
		})
		for _, q := range []mfa.UserQuery{
			{Where: [][]mfa.Facet{{mfa.FacetNewcomer}, {mfa.FacetLocked}}},
			{Where: [][]mfa.Facet{{mfa.FacetNewcomer}, {}}},
			{Where: where()},
			{Search: "p", Not: []mfa.Facet{mfa.FacetNewcomer}},
			{Not: []mfa.Facet{mfa.FacetNewcomer}},
		} {
			if got := listed(t, s, q, 5); len(got) != 0 {
				t.Errorf("%+v: %d users", q, len(got))
			}
		}
		same(t, len(listed(t, s, mfa.UserQuery{}, 100_000)), 2400)
	}},
}
