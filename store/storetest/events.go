package storetest

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/secondgate/secondgate/mfa"
)

// first is the time of the first event in these tests: long enough ago for all of
// them to lie in the past, and not so long that one would be forgotten.
var first = time.Now().Add(-24 * time.Hour).Truncate(time.Second).UTC()

// newEvent is event i of many. A user has every tenth, in turn; a decision has two
// in a row.
func newEvent(i int) mfa.Event {
	e := mfa.Event{
		At: first.Add(time.Duration(i) * time.Second), Name: mfa.EventVerify, OK: i%3 == 0, Reason: "rejected",
		User: mfa.UserID(named("id-%d", i%10)), UserName: named("user-%d", i%10), Factor: mfa.TOTP, Session: "abcdef",
		Network: "198.51.100.0/24", Host: "app.test", Decision: named("decision-%d", i/2), Detail: named("%d", i),
	}
	if i%7 == 0 {
		e.Name = mfa.EventSignIn
	}
	return e
}

// appendMany appends events 0 to n, some at a time, and returns them newest first.
func appendMany(t *testing.T, s mfa.Store, n int) []mfa.Event {
	t.Helper()
	var all []mfa.Event
	for i := range n {
		all = append(all, newEvent(i))
	}
	for part := range slices.Chunk(all, 250) {
		must(t, s.AppendEvents(ctx, part))
	}
	slices.Reverse(all)
	return all
}

// pages reads every page of a query.
func pages(t *testing.T, s mfa.Store, q mfa.EventQuery, limit int) []mfa.Event {
	t.Helper()
	all, after := []mfa.Event{}, ""
	for range 10_000 {
		page, next, err := s.Events(ctx, q, after, limit)
		must(t, err)
		if len(page) > limit {
			t.Fatalf("a page of %d events, want %d at most", len(page), limit)
		}
		all = append(all, page...)
		if next == "" {
			return all
		}
		if next == after {
			t.Fatal("the cursor does not move")
		}
		after = next
	}
	t.Fatal("there is no last page")
	return nil
}

// told returns the events without what the store gave them.
func told(list []mfa.Event) []mfa.Event {
	list = slices.Clone(list)
	for i := range list {
		list[i].Number, list[i].Hash = 0, ""
	}
	return list
}

// details are what tells the events apart.
func details(list []mfa.Event) []string {
	all := []string{}
	for _, e := range list {
		all = append(all, e.Detail)
	}
	return all
}

// only returns the events that keep says.
func only(list []mfa.Event, keep func(mfa.Event) bool) []mfa.Event {
	found := []mfa.Event{}
	for _, e := range list {
		if keep(e) {
			found = append(found, e)
		}
	}
	return found
}

var events = []test{
	{"events_come_back_whole_and_newest_first", func(t *testing.T, s mfa.Store) {
		page, next, err := s.Events(ctx, mfa.EventQuery{}, "", 10)
		must(t, err)
		same(t, len(page), 0)
		same(t, next, "")
		bare := mfa.Event{At: first.Add(time.Hour), Name: mfa.EventMFAOff}
		must(t, s.AppendEvents(ctx, []mfa.Event{newEvent(1), newEvent(2)}))
		must(t, s.AppendEvents(ctx, nil))
		must(t, s.AppendEvents(ctx, []mfa.Event{bare}))
		page, next, err = s.Events(ctx, mfa.EventQuery{}, "", 10)
		must(t, err)
		same(t, told(page), []mfa.Event{bare, newEvent(2), newEvent(1)})
		same(t, next, "")
	}},
	{"every_page_of_ten_thousand_is_complete_and_nothing_comes_twice", func(t *testing.T, s mfa.Store) {
		all := appendMany(t, s, 10_000)
		at := func(i int) time.Time { return newEvent(i).At }
		for _, c := range []struct {
			name  string
			q     mfa.EventQuery
			limit int
			keep  func(mfa.Event) bool
		}{
			{"all", mfa.EventQuery{}, 97, func(mfa.Event) bool { return true }},
			{"all, a page that ends with the list", mfa.EventQuery{}, 100, func(mfa.Event) bool { return true }},
			{"all at once", mfa.EventQuery{}, 1_000_000, func(mfa.Event) bool { return true }},
			{"of a user", mfa.EventQuery{User: "id-3"}, 17, func(e mfa.Event) bool { return e.User == "id-3" }},
			{"of a user whose ID begins alike", mfa.EventQuery{User: "id-"}, 17, func(e mfa.Event) bool { return false }},
			{"of a decision", mfa.EventQuery{Decision: "decision-12"}, 1, func(e mfa.Event) bool { return e.Decision == "decision-12" }},
			{"of a name", mfa.EventQuery{Name: mfa.EventSignIn}, 100, func(e mfa.Event) bool { return e.Name == mfa.EventSignIn }},
			{"of a name, all at once", mfa.EventQuery{Name: mfa.EventSignIn}, 1_000_000, func(e mfa.Event) bool { return e.Name == mfa.EventSignIn }},
			{"of a name that nothing has", mfa.EventQuery{Name: "nothing"}, 10, func(mfa.Event) bool { return false }},
			{"of a user and a name", mfa.EventQuery{User: "id-3", Name: mfa.EventSignIn}, 5,
				func(e mfa.Event) bool { return e.User == "id-3" && e.Name == mfa.EventSignIn }},
			{"of a decision and its user", mfa.EventQuery{Decision: "decision-12", User: "id-4"}, 5,
				func(e mfa.Event) bool { return e.Detail == "24" }},
			{"of a decision and somebody else", mfa.EventQuery{Decision: "decision-12", User: "id-9"}, 5, func(mfa.Event) bool { return false }},
			{"since", mfa.EventQuery{Since: at(9_900)}, 33, func(e mfa.Event) bool { return !e.At.Before(at(9_900)) }},
			{"until", mfa.EventQuery{Until: at(100)}, 33, func(e mfa.Event) bool { return e.At.Before(at(100)) }},
			{"between", mfa.EventQuery{Since: at(4_000), Until: at(4_100)}, 33,
				func(e mfa.Event) bool { return !e.At.Before(at(4_000)) && e.At.Before(at(4_100)) }},
			{"of a user, between", mfa.EventQuery{User: "id-3", Since: at(4_003), Until: at(4_103)}, 4,
				func(e mfa.Event) bool { return e.User == "id-3" && !e.At.Before(at(4_003)) && e.At.Before(at(4_103)) }},
			{"of no time at all", mfa.EventQuery{Since: at(5), Until: at(5)}, 4, func(mfa.Event) bool { return false }},
			{"since the end of time", mfa.EventQuery{Since: time.Date(9999, 1, 1, 0, 0, 0, 0, time.UTC)}, 4, func(mfa.Event) bool { return false }},
			{"until its beginning", mfa.EventQuery{Until: time.Date(1, 1, 1, 0, 0, 0, 1, time.UTC)}, 4, func(mfa.Event) bool { return false }},
			{"between both", mfa.EventQuery{Since: time.Date(1, 1, 1, 0, 0, 0, 1, time.UTC), Until: time.Date(9999, 1, 1, 0, 0, 0, 0, time.UTC)}, 333,
				func(mfa.Event) bool { return true }},
		} {
			got, want := pages(t, s, c.q, c.limit), only(all, c.keep)
			if !slices.Equal(details(got), details(want)) {
				t.Errorf("%s: %d events, want %d in their order", c.name, len(got), len(want))
				continue
			}
			same(t, told(got), want)
		}
	}},
	{"a_page_says_that_it_is_the_last", func(t *testing.T, s mfa.Store) {
		appendMany(t, s, 10)
		for limit, want := range map[int]bool{5: false, 9: false, 10: true, 11: true} {
			_, next, err := s.Events(ctx, mfa.EventQuery{}, "", limit)
			must(t, err)
			if (next == "") != want {
				t.Errorf("10 events, %d of them asked for: cursor %q", limit, next)
			}
		}
	}},
	{"events_of_one_moment_keep_their_order", func(t *testing.T, s mfa.Store) {
		var want []string
		for i := range 300 {
			e := newEvent(0)
			e.Detail = named("%d", i)
			want = append(want, e.Detail)
			must(t, s.AppendEvents(ctx, []mfa.Event{e}))
		}
		slices.Reverse(want)
		same(t, details(pages(t, s, mfa.EventQuery{}, 7)), want)
		same(t, details(pages(t, s, mfa.EventQuery{User: "id-0"}, 7)), want)
		same(t, details(pages(t, s, mfa.EventQuery{Since: first, Until: first.Add(1)}, 7)), want)
		same(t, len(pages(t, s, mfa.EventQuery{Until: first}, 7)), 0)
		same(t, len(pages(t, s, mfa.EventQuery{Since: first.Add(1)}, 7)), 0)
	}},
	{"a_clock_that_is_set_back_loses_nothing", func(t *testing.T, s mfa.Store) {
		appendMany(t, s, 100)
		again := appendMany(t, s, 100) // the same moments once more
		var want []string
		for _, e := range again {
			want = append(want, e.Detail, e.Detail)
		}
		same(t, details(pages(t, s, mfa.EventQuery{}, 9)), want)
		same(t, len(pages(t, s, mfa.EventQuery{User: "id-3"}, 9)), 20)
		same(t, len(pages(t, s, mfa.EventQuery{Decision: "decision-3"}, 9)), 4)
	}},
	{"no_concurrent_event_is_lost", func(t *testing.T, s mfa.Store) {
		won := race(t, many, func(i int) error {
			list := []mfa.Event{newEvent(0), newEvent(0), newEvent(0)}
			for j := range list {
				list[j].Detail = fmt.Sprintf("%d.%d", i, j)
			}
			return s.AppendEvents(ctx, list)
		})
		same(t, won, many)
		got := details(pages(t, s, mfa.EventQuery{}, 10))
		if len(got) != 3*many {
			t.Fatalf("%d events, want %d", len(got), 3*many)
		}
		for i := 0; i < len(got); i += 3 { // what was appended together stays so
			var caller, n int
			_, _ = fmt.Sscanf(got[i], "%d.%d", &caller, &n)
			same(t, got[i:i+3], []string{named("%d.2", caller), named("%d.1", caller), named("%d.0", caller)})
		}
	}},
	{"a_page_goes_on_where_it_stopped_though_events_come", func(t *testing.T, s mfa.Store) {
		appendMany(t, s, 10)
		page, next, err := s.Events(ctx, mfa.EventQuery{}, "", 5)
		must(t, err)
		same(t, details(page), []string{"9", "8", "7", "6", "5"})
		late := newEvent(20)
		must(t, s.AppendEvents(ctx, []mfa.Event{late, newEvent(9)}))
		page, next, err = s.Events(ctx, mfa.EventQuery{}, next, 5)
		must(t, err)
		same(t, details(page), []string{"4", "3", "2", "1", "0"})
		same(t, next, "")
	}},
	{"a_cursor_that_is_none_is_refused", func(t *testing.T, s mfa.Store) {
		appendMany(t, s, 10)
		for _, after := range []string{"x", "no cursor of ours", "AAAA", string(make([]byte, 1<<17))} {
			if page, _, err := s.Events(ctx, mfa.EventQuery{}, after, 5); !errors.Is(err, mfa.ErrCursor) {
				t.Errorf("%.20q was taken for a cursor: %d events, %v", after, len(page), err)
			}
		}
		page, next, err := s.Events(ctx, mfa.EventQuery{}, "", 0)
		if err != nil || len(page) != 0 || next != "" {
			t.Errorf("limit 0: %d events, cursor %q, %v", len(page), next, err)
		}
	}},
	{"what_cannot_be_an_ID_finds_nothing_and_is_kept", func(t *testing.T, s mfa.Store) {
		for _, id := range []string{"a\x00b", string(make([]byte, 1<<17))} {
			same(t, len(pages(t, s, mfa.EventQuery{User: mfa.UserID(id)}, 5)), 0)
			same(t, len(pages(t, s, mfa.EventQuery{Decision: id}, 5)), 0)
		}
		e := newEvent(1)
		e.User, e.Decision, e.Host = "a\x00b", "c\x00d", "\x00<>"
		must(t, s.AppendEvents(ctx, []mfa.Event{e}))
		same(t, told(pages(t, s, mfa.EventQuery{}, 5)), []mfa.Event{e})
	}},
	{"all_of_a_list_is_kept_or_nothing", func(t *testing.T, s mfa.Store) {
		huge := newEvent(1)
		huge.Detail = strings.Repeat("x", 4<<20)
		err := s.AppendEvents(ctx, []mfa.Event{newEvent(0), huge})
		if err == nil {
			t.Skip("this store keeps events of any size")
		}
		wantErr(t, err, mfa.ErrTooLarge)
		same(t, len(pages(t, s, mfa.EventQuery{}, 5)), 0)
		must(t, s.AppendEvents(ctx, []mfa.Event{newEvent(0)}))
		same(t, len(pages(t, s, mfa.EventQuery{}, 5)), 1)
	}},
}

// Keep is how long the stores of RunRetention keep events.
const Keep = 30 * 24 * time.Hour

// RunRetention shows that events are forgotten in time, and not before. open
// returns an empty store that lives by the clock now and keeps events for Keep.
func RunRetention(t *testing.T, open func(t *testing.T, now func() time.Time) mfa.Store) {
	now := first
	clock := func() time.Time { return now }
	event := func(i int, at time.Time) mfa.Event {
		e := newEvent(i)
		e.User, e.Decision, e.At = "id-alice", "decision", at
		return e
	}
	queries := map[string]mfa.EventQuery{
		"all": {}, "by user": {User: "id-alice"}, "by decision": {Decision: "decision"},
		"since long ago": {Since: first.Add(-100 * Keep)}, "by name": {Name: newEvent(1).Name},
	}
	expect := func(t *testing.T, s mfa.Store, want ...string) {
		t.Helper()
		for name, q := range queries {
			if got := details(pages(t, s, q, 2)); !slices.Equal(got, want) {
				t.Errorf("%s: got %v, want %v", name, got, want)
			}
		}
	}
	t.Run("an_event_is_there_until_its_time_is_over", func(t *testing.T) {
		now = first
		s := open(t, clock)
		must(t, s.AppendEvents(ctx, []mfa.Event{event(1, now), event(2, now.Add(time.Hour)), event(3, now.Add(2*time.Hour))}))
		expect(t, s, "3", "2", "1")
		now = first.Add(Keep)
		expect(t, s, "3", "2", "1")
		now = now.Add(1)
		expect(t, s, "3", "2")
		now = first.Add(Keep + 90*time.Minute)
		expect(t, s, "3")
		must(t, s.AppendEvents(ctx, []mfa.Event{event(4, now)}))
		expect(t, s, "4", "3")
		now = first.Add(3 * Keep)
		expect(t, s)
	})
	t.Run("a_cursor_behind_which_everything_was_forgotten_ends_the_list", func(t *testing.T) {
		now = first
		s := open(t, clock)
		must(t, s.AppendEvents(ctx, []mfa.Event{event(1, now), event(2, now), event(3, now.Add(time.Hour))}))
		_, next, err := s.Events(ctx, mfa.EventQuery{}, "", 1)
		must(t, err)
		now = first.Add(Keep + time.Minute)
		page, next, err := s.Events(ctx, mfa.EventQuery{}, next, 1)
		must(t, err)
		same(t, len(page), 0)
		same(t, next, "")
	})
	t.Run("one_that_is_too_old_already_is_taken_and_not_returned", func(t *testing.T) {
		now = first
		s := open(t, clock)
		must(t, s.AppendEvents(ctx, []mfa.Event{event(1, now.Add(-Keep-1)), event(2, now.Add(-Keep)), event(3, time.Time{})}))
		expect(t, s, "2")
	})
}
