package mfa_test

import (
	"context"
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/secondgate/secondgate/mfa"
	"github.com/secondgate/secondgate/mfa/mfatest"
)

// Who adds an event lets it be asked for, too.
func TestEventNames_AreAll(t *testing.T) {
	raw, err := os.ReadFile("event.go")
	must(t, err)
	found := regexp.MustCompile(`Event[A-Za-z]+ +EventName = "([a-z_]+)"`).FindAllStringSubmatch(string(raw), -1)
	if len(found) < 20 || len(found) != len(mfa.EventNames) {
		t.Errorf("event.go has %d names, the list %d", len(found), len(mfa.EventNames))
	}
	for _, m := range found {
		if name, err := mfa.ParseEventName(m[1]); err != nil || string(name) != m[1] {
			t.Errorf("%s is missing: %v", m[1], err)
		}
	}
	if _, err := mfa.ParseEventName("sign-in"); err == nil || !strings.Contains(err.Error(), "sign_in") {
		t.Errorf("what is none: %v", err)
	}
}

// yesterday is when those events began: the store forgets by its own clock.
var yesterday = time.Now().Add(-24 * time.Hour)

// keepEvents puts events into the store, of one minute after the other.
func (w *world) keepEvents(list ...mfa.Event) {
	w.t.Helper()
	for i := range list {
		list[i].At = yesterday.Add(time.Duration(i) * time.Minute)
	}
	must(w.t, w.store.AppendEvents(w.t.Context(), list))
}

func details(list []mfa.Event) string {
	var words []string
	for _, e := range list {
		words = append(words, e.Detail)
	}
	return strings.Join(words, " ")
}

func TestGate_Audit(t *testing.T) {
	w := newWorld(t)
	w.invited("alice")
	w.invited("bob")
	alice := as[*mfa.UserInfo](t)(mfatest.NewDesk(w.gate).UserInfo(t.Context(), "alice"))
	w.keepEvents(
		mfa.Event{Name: mfa.EventSignIn, User: alice.ID, Detail: "1"},
		mfa.Event{Name: mfa.EventSignIn, User: "another", Detail: "2"},
		mfa.Event{Name: mfa.EventVerify, User: alice.ID, Detail: "3"},
		mfa.Event{Name: mfa.EventSignIn, User: alice.ID, Detail: "4"},
	)
	for _, test := range []struct {
		name string
		q    mfa.AuditQuery
		want string
	}{
		{"all of them", mfa.AuditQuery{}, "4 3 2 1"},
		{"of one user", mfa.AuditQuery{User: "Alice"}, "4 3 1"},
		{"of one name", mfa.AuditQuery{Name: mfa.EventSignIn}, "4 2 1"},
		{"since", mfa.AuditQuery{Since: yesterday.Add(2 * time.Minute)}, "4 3"},
		{"all at once", mfa.AuditQuery{User: "alice", Name: mfa.EventSignIn, Since: yesterday.Add(time.Minute)}, "4"},
		{"of a user who did nothing", mfa.AuditQuery{User: "bob"}, ""},
	} {
		t.Run(test.name, func(t *testing.T) {
			page, next, err := mfatest.NewDesk(w.gate).Audit(t.Context(), test.q, "", 100)
			if err != nil || next != "" || details(page) != test.want {
				t.Errorf("%q, next %q, %v; want %q", details(page), next, err, test.want)
			}
		})
	}
	page, next, err := mfatest.NewDesk(w.gate).Audit(t.Context(), mfa.AuditQuery{}, "", 3)
	if err != nil || details(page) != "4 3 2" || next == "" {
		t.Errorf("the first page: %q, %q, %v", details(page), next, err)
	}
	if page, next, err = mfatest.NewDesk(w.gate).Audit(t.Context(), mfa.AuditQuery{}, next, 3); err != nil || details(page) != "1" || next != "" {
		t.Errorf("the second page: %q, %q, %v", details(page), next, err)
	}
	_, _, err = mfatest.NewDesk(w.gate).Audit(t.Context(), mfa.AuditQuery{User: "nobody"}, "", 3)
	wants(t, err, mfa.ErrNotFound)
	_, _, err = mfatest.NewDesk(w.gate).Audit(t.Context(), mfa.AuditQuery{}, "no cursor", 3)
	wants(t, err, mfa.ErrCursor)
}

// shortPages is a store that looks at one event in a call.
type shortPages struct {
	mfa.Store
	calls int
}

func (s *shortPages) Events(ctx context.Context, q mfa.EventQuery, after string, limit int) ([]mfa.Event, string, error) {
	s.calls++
	page, next, err := s.Store.Events(ctx, mfa.EventQuery{}, after, 1)
	page = slices.DeleteFunc(page, func(e mfa.Event) bool { return q.Name != "" && e.Name != q.Name })
	return page, next, err
}

// A page that is short is no end; but nobody who asks for what there is not keeps the
// store busy for ever.
func TestGate_Audit_GoesOnBehindShortPages(t *testing.T) {
	store := &shortPages{Store: newWorld(t).store}
	w := newWorldOn(t, store)
	list := make([]mfa.Event, 200)
	for i := range list {
		list[i].Name = mfa.EventSignIn
	}
	list[150].Name, list[150].Detail = mfa.EventAdmin, "found"
	w.keepEvents(list...)
	page, next, err := mfatest.NewDesk(w.gate).Audit(t.Context(), mfa.AuditQuery{Name: mfa.EventAdmin}, "", 100)
	if err != nil || details(page) != "found" || next == "" || store.calls >= 100 {
		t.Fatalf("%q, %q, %v after %d calls", details(page), next, err, store.calls)
	}
	for calls := 0; next != ""; calls++ {
		if page, next, err = mfatest.NewDesk(w.gate).Audit(t.Context(), mfa.AuditQuery{Name: mfa.EventAdmin}, next, 100); err != nil || len(page) > 0 || calls > 10 {
			t.Fatalf("%v, %v", page, err)
		}
	}
	if page, next, err = mfatest.NewDesk(w.gate).Audit(t.Context(), mfa.AuditQuery{}, "", 5); err != nil || len(page) != 5 || next == "" {
		t.Errorf("%d events, %q, %v", len(page), next, err)
	}
}

// B32: the ID that a refusal shows leads to it.
func TestGate_DecisionEvent(t *testing.T) {
	w := newWorld(t)
	id := mfa.NewDecisionID()
	w.keepEvents(
		mfa.Event{Name: mfa.EventDecision, Decision: id, Reason: "refuse:not_member", UserName: "alice", User: "a"},
		mfa.Event{Name: mfa.EventDecision, Decision: mfa.NewDecisionID(), Reason: "refuse:loop", User: "b"},
	)
	for _, typed := range []string{id, " " + strings.ToLower(id) + "\n"} {
		e, err := w.gate.DecisionEvent(t.Context(), typed)
		if err != nil || e.Reason != "refuse:not_member" {
			t.Errorf("%q: %+v, %v", typed, e, err)
		}
	}
	for _, typed := range []string{"", " ", "NOSUCHID", strings.Repeat("x", 5000), "a\x00b"} {
		_, err := w.gate.DecisionEvent(t.Context(), typed)
		wants(t, err, mfa.ErrNotFound)
	}
}
