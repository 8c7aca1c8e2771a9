package storetest

import (
	"errors"
	"testing"
	"time"

	"github.com/secondgate/secondgate/mfa"
)

// inOrder reads all events in the order in which they were appended.
func inOrder(t *testing.T, s mfa.Store, from uint64, limit int) []mfa.Event {
	t.Helper()
	var all []mfa.Event
	for {
		list, err := s.EventsInOrder(ctx, from, limit)
		must(t, err)
		all = append(all, list...)
		if len(list) < limit {
			return all
		}
		from = list[len(list)-1].Number + 1
	}
}

// chained checks the chain of a store that has so many events.
func chained(t *testing.T, s mfa.Store, first, last uint64) mfa.ChainEnds {
	t.Helper()
	ends, err := mfa.CheckChain(ctx, s, mfa.Chain{})
	must(t, err)
	if ends.First != first || ends.Last != last {
		t.Fatalf("the chain is %d to %d, want %d to %d", ends.First, ends.Last, first, last)
	}
	return ends
}

var chains = []test{
	{"no_events_are_a_chain_too", func(t *testing.T, s mfa.Store) {
		same(t, chained(t, s, 1, 0), mfa.ChainEnds{First: 1})
		same(t, len(inOrder(t, s, 1, 5)), 0)
	}},
	{"events_are_numbered_and_chained_in_their_order", func(t *testing.T, s mfa.Store) {
		appendMany(t, s, 600)
		for _, limit := range []int{1, 7, 599, 600, 601} {
			list := inOrder(t, s, 1, limit)
			same(t, len(list), 600)
			var c mfa.Chain
			for i, e := range list {
				must(t, c.Next(e))
				same(t, e.Detail, newEvent(i).Detail)
			}
			same(t, chained(t, s, 1, 600), mfa.ChainEnds{First: 1, Last: 600, Head: c.Hash})
		}
		same(t, details(inOrder(t, s, 598, 2)), []string{"597", "598", "599"})
		same(t, len(inOrder(t, s, 601, 2)), 0)
		same(t, len(inOrder(t, s, 1<<63, 2)), 0)
		for _, limit := range []int{0, -1} {
			list, err := s.EventsInOrder(ctx, 1, limit)
			must(t, err)
			same(t, len(list), 0)
		}
	}},
	{"the_order_is_that_of_appending_and_not_of_their_times", func(t *testing.T, s mfa.Store) {
		late, early := newEvent(2), newEvent(1)
		must(t, s.AppendEvents(ctx, []mfa.Event{late, early}))
		same(t, details(inOrder(t, s, 1, 5)), []string{"2", "1"})
		same(t, details(pages(t, s, mfa.EventQuery{}, 5)), []string{"2", "1"})
		chained(t, s, 1, 2)
	}},
	{"nobody_chooses_number_or_hash", func(t *testing.T, s mfa.Store) {
		e := newEvent(1)
		e.Number, e.Hash = 77, "abc"
		e.At = e.At.In(time.FixedZone("somewhere", -7*3600))
		list := []mfa.Event{e, e}
		must(t, s.AppendEvents(ctx, list))
		same(t, list, []mfa.Event{e, e}) // the caller's list is left alone
		chained(t, s, 1, 2)
		got := inOrder(t, s, 1, 5)
		same(t, got[0].At, newEvent(1).At)
	}},
	{"a_text_that_is_none_is_chained_all_the_same", func(t *testing.T, s mfa.Store) {
		e := newEvent(1)
		e.Host, e.Detail = "a\xffb", "\xfe<&>\u2028"
		must(t, s.AppendEvents(ctx, []mfa.Event{e, newEvent(2)}))
		chained(t, s, 1, 2)
	}},
	{"a_list_that_is_refused_takes_no_number", func(t *testing.T, s mfa.Store) {
		must(t, s.AppendEvents(ctx, []mfa.Event{newEvent(0)}))
		never := newEvent(1)
		never.At = time.Date(10_000, 1, 1, 0, 0, 0, 0, time.UTC)
		if err := s.AppendEvents(ctx, []mfa.Event{newEvent(1), never}); err == nil {
			t.Fatal("an event that cannot be written was taken")
		}
		must(t, s.AppendEvents(ctx, []mfa.Event{newEvent(2)}))
		chained(t, s, 1, 2)
		same(t, details(inOrder(t, s, 1, 9)), []string{"0", "2"})
	}},
	{"many_that_append_at_once_make_one_chain", func(t *testing.T, s mfa.Store) {
		won := race(t, many, func(i int) error {
			return s.AppendEvents(ctx, []mfa.Event{newEvent(3 * i), newEvent(3*i + 1), newEvent(3*i + 2)})
		})
		same(t, won, many)
		ends := chained(t, s, 1, 3*many)
		// What was noted of it is still there later.
		must(t, s.AppendEvents(ctx, []mfa.Event{newEvent(0)}))
		_, err := mfa.CheckChain(ctx, s, mfa.Chain{Number: ends.Last, Hash: ends.Head})
		must(t, err)
		var broken *mfa.ChainError
		if _, err := mfa.CheckChain(ctx, s, mfa.Chain{Number: ends.Last, Hash: "another"}); !errors.As(err, &broken) || broken.Number != ends.Last {
			t.Errorf("got %v", err)
		}
	}},
}
