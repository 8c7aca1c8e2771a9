package storetest

import (
	"errors"
	"testing"
	"time"

	"github.com/secondgate/secondgate/mfa"
)

var throttle = []test{
	{"a_counter_that_is_not_there_is_zero", func(t *testing.T, s mfa.Store) {
		for _, key := range []string{"k", "", string(make([]byte, 1<<17))} {
			got, err := s.Attempts(ctx, key)
			must(t, err)
			same(t, got, mfa.Attempts{})
		}
	}},
	{"counters_come_in_the_order_of_their_keys_and_are_kept", func(t *testing.T, s mfa.Store) {
		set := func(a []mfa.Attempts) error {
			for i := range a {
				a[i] = mfa.Attempts{Count: a[i].Count + i + 1, Since: base, Until: base.Add(time.Duration(i) * time.Hour)}
			}
			return nil
		}
		must(t, s.UpdateAttempts(ctx, []string{"b", "a", "c"}, set))
		must(t, s.UpdateAttempts(ctx, []string{"c", "b"}, set))
		for key, want := range map[string]mfa.Attempts{
			"a": {Count: 2, Since: base, Until: base.Add(time.Hour)},
			"b": {Count: 1 + 2, Since: base, Until: base.Add(time.Hour)},
			"c": {Count: 3 + 1, Since: base, Until: base},
		} {
			got, err := s.Attempts(ctx, key)
			must(t, err)
			same(t, got, want)
		}
	}},
	{"an_error_of_change_is_returned_and_nothing_is_kept", func(t *testing.T, s mfa.Store) {
		must(t, s.UpdateAttempts(ctx, []string{"a"}, func(a []mfa.Attempts) error { a[0].Count = 3; return nil }))
		own := errors.New("own")
		err := s.UpdateAttempts(ctx, []string{"a", "b"}, func(a []mfa.Attempts) error {
			a[0].Count, a[1].Count = 0, 9
			return own
		})
		if err != own {
			t.Fatalf("got %v, want the very error of change", err)
		}
		for key, want := range map[string]int{"a": 3, "b": 0} {
			got, err := s.Attempts(ctx, key)
			must(t, err)
			same(t, got.Count, want)
		}
	}},
	{"a_counter_can_be_cleared", func(t *testing.T, s mfa.Store) {
		must(t, s.UpdateAttempts(ctx, []string{"a"}, func(a []mfa.Attempts) error { a[0] = mfa.Attempts{Count: 3, Since: base}; return nil }))
		must(t, s.UpdateAttempts(ctx, []string{"a"}, func(a []mfa.Attempts) error { a[0] = mfa.Attempts{}; return nil }))
		got, err := s.Attempts(ctx, "a")
		must(t, err)
		same(t, got, mfa.Attempts{})
	}},
	{"one_key_stands_for_one_counter", func(t *testing.T, s mfa.Store) {
		err := s.UpdateAttempts(ctx, []string{"a", "a"}, func(a []mfa.Attempts) error { a[0].Count = 1; return nil })
		if err == nil {
			t.Fatal("a key that stands twice was taken: one of the two counts would be lost")
		}
	}},
	{"a_distant_end_is_kept", func(t *testing.T, s mfa.Store) {
		never := time.Date(9999, 12, 31, 0, 0, 0, 0, time.UTC)
		for _, count := range []int{0, 1, 10, 100} {
			key := named("k%d", count)
			must(t, s.UpdateAttempts(ctx, []string{key}, func(a []mfa.Attempts) error {
				a[0] = mfa.Attempts{Count: count, Since: base, Until: never}
				return nil
			}))
			got, err := s.Attempts(ctx, key)
			must(t, err)
			same(t, got, mfa.Attempts{Count: count, Since: base, Until: never})
		}
	}},
	{"many_attempts_at_once_are_all_counted", func(t *testing.T, s mfa.Store) {
		const n = 500
		won := race(t, n, func(i int) error {
			keys := []string{"shared", named("own-%d", i%5), "all"}
			if i%2 == 1 {
				keys[0], keys[2] = keys[2], keys[0]
			}
			return s.UpdateAttempts(ctx, keys, func(a []mfa.Attempts) error {
				for j := range a {
					a[j].Count++
				}
				return nil
			})
		})
		same(t, won, n)
		for key, want := range map[string]int{"shared": n, "all": n, "own-0": n / 5, "own-4": n / 5} {
			got, err := s.Attempts(ctx, key)
			must(t, err)
			if got.Count != want {
				t.Errorf("%s: %d, want %d", key, got.Count, want)
			}
		}
	}},
}
