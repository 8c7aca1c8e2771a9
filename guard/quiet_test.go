package guard

import (
	"context"
	"fmt"
	"testing"
	"time"

	"github.com/secondgate/secondgate/mfa"
)

func TestQuiet(t *testing.T) {
	var q quiet
	now := time.Date(2026, 11, 26, 12, 0, 0, 0, time.UTC)
	written := 0
	for range 1000 {
		if _, ok := q.speak("192.0.2.0/24", now); ok {
			written++
		}
	}
	if written != 1 {
		t.Errorf("%d of 1000 lines in one moment, want 1", written)
	}
	if _, ok := q.speak("198.51.100.0/24", now); !ok {
		t.Error("one network silences another")
	}
	if detail, ok := q.speak("192.0.2.0/24", now.Add(quietFor)); !ok || detail != "999 more before" {
		t.Errorf("a minute later: %t %q", ok, detail)
	}
	if _, ok := q.speak("192.0.2.0/24", now.Add(-time.Hour)); !ok {
		t.Error("a clock that was set back silences for longer than a minute")
	}
	written = 0
	for i := range 100_000 {
		if _, ok := q.speak(fmt.Sprint("network ", i), now); ok {
			written++
		}
	}
	if written > quietKeys+1 || len(q.seen) > quietKeys+1 {
		t.Errorf("%d lines of 100,000 networks, %d kept", written, len(q.seen))
	}
}

// kept are the events that were told.
type kept []mfa.Event

func (k *kept) Record(_ context.Context, e mfa.Event) { *k = append(*k, e) }

func (k *kept) Keep(ctx context.Context, e mfa.Event) error {
	k.Record(ctx, e)
	return nil
}

// AC-209: finishing a ceremony that there never was, or trying on when there were too
// many tries, fills no disk and drowns nothing else.
func TestQuiet_AC209_StrangersDoNotFillTheRecord(t *testing.T) {
	var got kept
	now := time.Date(2026, 11, 26, 12, 0, 0, 0, time.UTC)
	events := Quiet(&got, func() time.Time { return now })
	tell := func(e mfa.Event, times int) (told []mfa.Event) {
		got = nil
		for range times {
			events.Record(t.Context(), e)
		}
		return got
	}
	gone := mfa.Event{Name: mfa.EventSignIn, Reason: "expired", Network: "192.0.2.0/24"}
	if n := len(tell(gone, 1000)); n != 1 {
		t.Errorf("%d events of 1000 tries at nothing", n)
	}
	for what, e := range map[string]mfa.Event{
		"a wrong password": {Name: mfa.EventSignIn, Reason: "rejected", Network: "192.0.2.0/24"},
		"a sign-in":        {Name: mfa.EventSignIn, OK: true, Network: "192.0.2.0/24"},
		"a change":         {Name: mfa.EventAdmin, OK: true, Detail: "unlock"},
	} {
		if n := len(tell(e, 20)); n != 20 {
			t.Errorf("%s: %d of 20 are told", what, n)
		}
	}
	for what, e := range map[string]mfa.Event{
		"somebody's account": {Name: mfa.EventSignIn, Reason: "throttled", Network: "192.0.2.0/24", User: "u1"},
		"another network":    {Name: mfa.EventSignIn, Reason: "expired", Network: "198.51.100.0/24"},
		"something else":     {Name: mfa.EventVerify, Reason: "throttled", Network: "192.0.2.0/24", User: "u1"},
	} {
		if n := len(tell(e, 20)); n != 1 {
			t.Errorf("%s: %d of 20 are told, want 1", what, n)
		}
	}
	now = now.Add(quietFor)
	gone.Detail = "x"
	if told := tell(gone, 1); len(told) != 1 || told[0].Detail != "x, 999 more before" {
		t.Errorf("a minute later: %+v", told)
	}
}
