package mfa_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/secondgate/secondgate/mfa"
	"github.com/secondgate/secondgate/mfa/mfatest"
)

// nowadays is alice on a clock of today: the store forgets by its own.
func nowadays(t *testing.T) (*world, *mfa.Outcome) {
	t.Helper()
	w := newWorld(t)
	w.wait(time.Until(w.clock()) * -1)
	w.invited("bob")
	_, _, out := w.alice()
	return w, out
}

// happened keeps events of those ages, the oldest first.
func (w *world) happened(list ...mfa.Event) {
	w.t.Helper()
	must(w.t, w.store.AppendEvents(w.t.Context(), list))
}

func told(list []mfa.Activity) string {
	var words []string
	for _, a := range list {
		words = append(words, strings.TrimRight(strings.Join([]string{string(a.Name), a.Reason, string(a.Factor), a.Did}, ":"), ":"))
	}
	return strings.Join(words, " ")
}

func TestGate_Activity(t *testing.T) {
	w, out := nowadays(t)
	user, now := out.Session.User, w.clock()
	ago := func(d time.Duration) time.Time { return now.Add(-d) }
	w.happened(
		mfa.Event{At: ago(31 * 24 * time.Hour), Name: mfa.EventSignedIn, User: user, OK: true, Reason: "too_long_ago"},
		mfa.Event{At: ago(30 * time.Hour), Name: mfa.EventSignIn, User: user, Reason: "rejected", Factor: mfa.Password, Network: "203.0.113.0/24", Host: "app.example.com", Agent: "Chrome on Windows"},
		mfa.Event{At: ago(29 * time.Hour), Name: mfa.EventSignIn, User: "another", Reason: "rejected"},
		mfa.Event{At: ago(28 * time.Hour), Name: mfa.EventEnroll, User: user, Reason: "proof_owed", Factor: mfa.TOTP},
		mfa.Event{At: ago(27 * time.Hour), Name: mfa.EventDecision, User: user, Reason: "set_up:nothing_set_up", Decision: "D1"},
		mfa.Event{At: ago(26 * time.Hour), Name: mfa.EventDecision, User: user, Reason: "refuse:not_member", Decision: "D2"},
		mfa.Event{At: ago(25 * time.Hour), Name: mfa.EventAdmin, User: user, OK: true, Detail: "remove-factors totp", Host: "console.example.com", Network: "198.51.100.0/24", Agent: "Firefox on Linux"},
		mfa.Event{At: ago(24 * time.Hour), Name: mfa.EventAdmin, User: user, OK: true, Detail: "bypass: she cried on the phone, ask Carol"},
		mfa.Event{At: ago(23 * time.Hour), Name: mfa.EventAdmin, User: user, Reason: "not_found", Detail: "unlock"},
		mfa.Event{At: ago(22 * time.Hour), Name: mfa.EventReportOnly, User: user},
		mfa.Event{At: ago(21 * time.Hour), Name: mfa.EventAdmin, User: user, OK: true, Detail: "{env.SECRET} and so on"},
	)
	list, next, err := w.gate.Activity(t.Context(), w.at, out.Session.ID, "", 50)
	must(t, err)
	const want = "admin admin:not_found::unlock admin:::bypass admin::totp:remove-factors decision:refuse:not_member sign_in:rejected:password"
	if got := told(list); got != want || next != "" {
		t.Errorf("%s, next %q; want %s", got, next, want)
	}
	if a := list[5]; a.Network != "203.0.113.0/24" || a.Agent != "Chrome on Windows" || a.Host != "app.example.com" || a.OK {
		t.Errorf("a stranger's try: %+v", a)
	}
	if a := list[4]; a.Decision != "D2" {
		t.Errorf("a refusal: %+v", a)
	}
	if a := list[3]; a.Network != "" || a.Agent != "" || a.Host != "" {
		t.Errorf("AC-131: where the administrator was: %+v", a)
	}
	if raw, err := json.Marshal(list); err != nil || strings.Contains(string(raw), "Carol") || strings.Contains(string(raw), "SECRET") {
		t.Errorf("AC-131: what an administrator wrote: %s, %v", raw, err)
	}
}

func TestGate_Activity_Pages(t *testing.T) {
	w, out := nowadays(t)
	var all []mfa.Event
	for i := range 250 {
		e := mfa.Event{At: w.clock().Add(time.Duration(i-300) * time.Minute), Name: mfa.EventVerify, User: out.Session.User, OK: true, Detail: "d"}
		if i%3 > 0 {
			e.Name = mfa.EventReportOnly
		}
		if i%3 == 1 {
			e.User, e.Name = "another", mfa.EventVerify
		}
		all = append(all, e)
	}
	w.happened(all...)
	seen := map[time.Time]bool{}
	after, last := "", w.clock()
	for n := 0; n == 0 || after != ""; n++ {
		list, next, err := w.gate.Activity(t.Context(), w.at, out.Session.ID, after, 20)
		must(t, err)
		for _, a := range list {
			if seen[a.At] || !a.At.Before(last) {
				t.Fatalf("%s comes twice, or out of order", a.At)
			}
			seen[a.At], last = true, a.At
		}
		if len(list) > 20 || n > 20 {
			t.Fatalf("page %d has %d", n, len(list))
		}
		after = next
	}
	if len(seen) != 84 {
		t.Errorf("%d of 84", len(seen))
	}
	if list, _, err := w.gate.Activity(t.Context(), w.at, out.Session.ID, "", 1<<20); err != nil || len(list) > mfa.MaxActivity {
		t.Errorf("%d, %v", len(list), err)
	}
	_, _, err := w.gate.Activity(t.Context(), w.at, out.Session.ID, "no cursor", 20)
	wants(t, err, mfa.ErrCursor)
}

// AC-131: nobody reads about others, whatever cursor and session they come with.
func TestGate_AC131_ActivityIsOnesOwn(t *testing.T) {
	w, out := nowadays(t)
	bob := as[*mfa.UserInfo](t)(mfatest.NewDesk(w.gate).UserInfo(t.Context(), "bob"))
	var all []mfa.Event
	for i := range 40 {
		user, detail := out.Session.User, "alice"
		if i%2 > 0 {
			user, detail = bob.ID, "bob"
		}
		all = append(all, mfa.Event{At: w.clock().Add(time.Duration(i-60) * time.Minute), Name: mfa.EventVerify, User: user, Detail: detail})
	}
	w.happened(all...)
	cursors := []string{""}
	for after := ""; ; {
		_, next, err := w.store.Events(t.Context(), mfa.EventQuery{User: bob.ID}, after, 3)
		must(t, err)
		if after = next; after == "" {
			break
		}
		cursors = append(cursors, after)
	}
	for _, c := range cursors {
		list, _, err := w.gate.Activity(t.Context(), w.at, out.Session.ID, c, 100)
		if err != nil && !errors.Is(err, mfa.ErrCursor) {
			t.Fatal(err)
		}
		for _, a := range list {
			if a.Did != "alice" {
				t.Fatalf("cursor %s shows what happened to %s", c, a.Did)
			}
		}
	}
	half := as[*mfa.Outcome](t)(w.signIn("alice"))
	for name, id := range map[string]mfa.SessionID{"half-done": half.Session.ID, "nobody": "", "unknown": "x"} {
		if list, _, err := w.gate.Activity(t.Context(), w.at, id, "", 10); err == nil || list != nil {
			t.Errorf("%s: %d, %v", name, len(list), err)
		}
	}
	other := *w.at
	other.Scope = "other.example.com"
	if _, _, err := w.gate.Activity(t.Context(), &other, out.Session.ID, "", 10); !errors.Is(err, mfa.ErrNoSession) {
		t.Errorf("a session of another host: %v", err)
	}
}

// What the gate records about a person says in which browser it happened, so that they
// know their own acts from a stranger's.
func TestGate_EventsNameTheBrowser(t *testing.T) {
	w := newWorld(t)
	w.invited("alice")
	at := *w.at
	at.Agent = "Safari on iPhone"
	_, _ = w.gate.SignIn(t.Context(), &at, mfa.LocalSource, "alice", "a wrong password")
	tried := w.events.Named(mfa.EventSignIn)
	if len(tried) == 0 || tried[len(tried)-1].Agent != "Safari on iPhone" {
		t.Error(fmt.Sprint(tried))
	}
}
