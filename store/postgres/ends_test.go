package postgres

import (
	"context"
	"errors"
	"fmt"
	"testing"
	"time"

	"github.com/secondgate/secondgate/mfa"
)

// AC-195: whoever can write the database has changed columns of sessions. A signed-out one
// does not come back, and "sign out everywhere" ends every session that is found all the
// same, and comes to an end itself.
func TestSessions_AC195_changedColumnsKeepNoneAlive(t *testing.T) {
	o := newOptions(t)
	s := openAt(t, o, newKeys(t))
	must(t, s.CreateUser(ctx, person("alice")))
	must(t, s.CreateUser(ctx, person("bob")))
	const ended = 2 * batch
	for i := range ended {
		id := fmt.Sprintf("a-%04d", i)
		half := sessionOf(id, "id-alice")
		must(t, s.CreateSession(ctx, half))
		must(t, s.EndSession(ctx, half.ID))
	}
	// Signed out long ago; now they are said to go on, and stand before the live one.
	changed(t, o.URL, ended, `UPDATE sessions SET ended = NULL, last_seen = now() + interval '1 year'`)
	must(t, s.CreateSession(ctx, sessionOf("m-moved", "id-bob")))
	changed(t, o.URL, 1, `UPDATE sessions SET user_id = 'id-alice' WHERE id = 'm-moved'`)
	must(t, s.CreateSession(ctx, sessionOf("n-cut", "id-alice")))
	changed(t, o.URL, 1, `UPDATE sessions SET record = substring(record FOR 30) WHERE id = 'n-cut'`)
	must(t, s.CreateSession(ctx, sessionOf("z-live", "id-alice")))

	if _, err := s.Session(ctx, "a-0000"); !errors.Is(err, mfa.ErrNotFound) {
		t.Errorf("a session that ended: %v", err)
	}
	bounded, cancel := context.WithTimeout(ctx, time.Minute)
	defer cancel()
	must(t, s.EndUserSessions(bounded, "id-alice", ""))
	for _, id := range []mfa.SessionID{"a-0000", "m-moved", "n-cut", "z-live"} {
		if _, err := s.Session(ctx, id); err == nil {
			t.Errorf("%s goes on", id)
		}
	}
	if left, err := s.UserSessions(ctx, "id-alice"); err != nil || len(left) != 0 {
		t.Errorf("%d left, %v", len(left), err)
	}

	// One that is hidden by its column is ended by its own name.
	must(t, s.CreateSession(ctx, sessionOf("hidden", "id-alice")))
	changed(t, o.URL, 1, `UPDATE sessions SET ended = now() WHERE id = 'hidden'`)
	must(t, s.EndSession(ctx, "hidden"))
	changed(t, o.URL, 1, `UPDATE sessions SET ended = NULL WHERE id = 'hidden'`)
	if _, err := s.Session(ctx, "hidden"); !errors.Is(err, mfa.ErrNotFound) {
		t.Errorf("it is back: %v", err)
	}
}

// AC-195: a code that was taken is not armed again by its column.
func TestChallenges_AC195_takenStaysTaken(t *testing.T) {
	o := newOptions(t)
	s := openAt(t, o, newKeys(t))
	must(t, s.PutChallenge(ctx, &mfa.Challenge{ID: "code", Expires: time.Now().Add(time.Hour)}))
	_, err := s.TakeChallenge(ctx, "code")
	must(t, err)
	changed(t, o.URL, 1, `UPDATE challenges SET taken = NULL, expires = now() + interval '1 year', delete_after = now() + interval '1 year'`)
	if _, err := s.Challenge(ctx, "code"); !errors.Is(err, mfa.ErrNotFound) {
		t.Errorf("it is there: %v", err)
	}
	if _, err := s.TakeChallenge(ctx, "code"); !errors.Is(err, mfa.ErrNotFound) {
		t.Errorf("it was taken twice: %v", err)
	}
	if err := s.PutChallenge(ctx, &mfa.Challenge{ID: "code", Expires: time.Now().Add(time.Hour)}); !errors.Is(err, mfa.ErrTaken) {
		t.Errorf("it was armed again: %v", err)
	}
}
