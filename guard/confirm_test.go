package guard

import (
	"net/http/httptest"
	"slices"
	"testing"
	"time"

	"github.com/secondgate/secondgate/mfa"
)

// AC-032: from its time on, each request of a session has its source asked whether the
// person still stands. The request does not wait for it.
func TestCheck_AC032_asks_the_source(t *testing.T) {
	var asked []mfa.SessionID
	w := newWorld(t, func(c *Config) { c.Confirm = func(id mfa.SessionID) { asked = append(asked, id) } })
	for _, id := range []mfa.SessionID{"s-alice", "s-carol"} {
		w.store.sessions[id].Source.Until = w.clock.Now().Add(10 * time.Minute)
	}
	w.store.sessions["s-alice"].Source.Due = w.clock.Now().Add(5 * time.Minute)
	visit := func(id mfa.SessionID, admitted bool) {
		t.Helper()
		r := httptest.NewRequest("GET", "https://"+appHost+"/", nil)
		r.Header.Set("Cookie", w.cookie(id))
		if _, app := w.visit(r); (app != nil) != admitted {
			t.Errorf("%s: admitted %v, want %v", id, app != nil, admitted)
		}
	}
	visit("s-alice", true)
	if asked != nil {
		t.Fatalf("asked too early: %v", asked)
	}
	w.clock.Advance(5 * time.Minute)
	visit("s-alice", true)
	visit("s-carol", true) // of a source that cannot be asked
	if !slices.Equal(asked, []mfa.SessionID{"s-alice"}) {
		t.Fatalf("asked of %v", asked)
	}
	w.clock.Advance(5 * time.Minute)
	visit("s-alice", false)
	visit("s-carol", false)
	if len(asked) != 1 {
		t.Errorf("asked of a session that is over: %v", asked)
	}
}

// AC-032: a program with an app token has the source of its user asked, too.
func TestCheck_AC032_asks_the_source_for_programs(t *testing.T) {
	var asked []mfa.UserID
	w := newWorld(t, func(c *Config) { c.ConfirmUser = func(id mfa.UserID) { asked = append(asked, id) } })
	w.store.users["u-alice"].Source, w.store.users["u-carol"].Source = "corp", mfa.LocalSource
	for _, user := range []mfa.UserID{"u-alice", "u-carol"} {
		r := httptest.NewRequest("GET", "https://"+appHost+"/", nil)
		r.Header.Set("Authorization", "Bearer "+w.token(user, appHost))
		w.send(r, takes)
	}
	if !slices.Equal(asked, []mfa.UserID{"u-alice"}) {
		t.Errorf("asked of %v", asked)
	}
}
