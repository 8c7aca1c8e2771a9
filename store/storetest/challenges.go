package storetest

import (
	"testing"

	"github.com/secondgate/secondgate/mfa"
)

var challenges = []test{
	{"a_challenge_is_read_without_being_taken_and_taken_once", func(t *testing.T, s mfa.Store) {
		want := newChallenge("c1")
		must(t, s.PutChallenge(ctx, want))
		for range 2 {
			got, err := s.Challenge(ctx, "c1")
			must(t, err)
			same(t, got, want)
		}
		got, err := s.TakeChallenge(ctx, "c1")
		must(t, err)
		same(t, got, want)
		_, err = s.TakeChallenge(ctx, "c1")
		wantErr(t, err, mfa.ErrNotFound)
		_, err = s.Challenge(ctx, "c1")
		wantErr(t, err, mfa.ErrNotFound)
	}},
	{"expiry_and_purpose_are_left_to_the_caller", func(t *testing.T, s mfa.Store) {
		want := newChallenge("c1")
		want.Expires = base
		must(t, s.PutChallenge(ctx, want))
		got, err := s.TakeChallenge(ctx, "c1")
		must(t, err)
		same(t, got, want)
	}},
	{"an_unknown_challenge_is_not_found", func(t *testing.T, s mfa.Store) {
		must(t, s.PutChallenge(ctx, newChallenge("c1")))
		for _, id := range []string{"", "c", "c11", "c1\x00", string(make([]byte, 1<<17))} {
			_, err := s.Challenge(ctx, id)
			wantErr(t, err, mfa.ErrNotFound)
			_, err = s.TakeChallenge(ctx, id)
			wantErr(t, err, mfa.ErrNotFound)
		}
	}},
	{"what_is_there_or_was_taken_is_not_armed_again", func(t *testing.T, s mfa.Store) {
		want := newChallenge("c1")
		must(t, s.PutChallenge(ctx, want))
		other := newChallenge("c1")
		other.User = "id-eve"
		if err := s.PutChallenge(ctx, other); err == nil {
			t.Fatal("a challenge took another's place")
		}
		got, err := s.TakeChallenge(ctx, "c1")
		must(t, err)
		same(t, got, want)
		if err := s.PutChallenge(ctx, other); err == nil {
			t.Fatal("a taken challenge was armed again")
		}
	}},
	{"a_challenge_without_ID_is_refused", func(t *testing.T, s mfa.Store) {
		if err := s.PutChallenge(ctx, newChallenge("")); err == nil {
			t.Fatal("kept")
		}
	}},
	{"of_many_takers_one_gets_it", func(t *testing.T, s mfa.Store) {
		for round := range 20 {
			id := named("c%d", round)
			must(t, s.PutChallenge(ctx, newChallenge(id)))
			won := race(t, many, func(int) error {
				c, err := s.TakeChallenge(ctx, id)
				if err == nil && c.ID != id {
					t.Errorf("took %q", c.ID)
				}
				return err
			}, mfa.ErrNotFound)
			if won != 1 {
				t.Fatalf("round %d: %d takers got one challenge", round, won)
			}
		}
	}},
	{"what_the_caller_does_with_its_copy_changes_nothing", func(t *testing.T, s mfa.Store) {
		mine := newChallenge("c1")
		want := newChallenge("c1")
		want.Expires = mine.Expires
		must(t, s.PutChallenge(ctx, mine))
		mine.Data[0], mine.User = 'X', "id-eve"
		got, err := s.Challenge(ctx, "c1")
		must(t, err)
		same(t, got, want)
		got.Data[0] = 'X'
		got, err = s.TakeChallenge(ctx, "c1")
		must(t, err)
		same(t, got, want)
	}},
}
