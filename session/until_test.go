package session

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/secondgate/secondgate/mfa"
)

// AC-032: a session that its identity source did not confirm in time is over, though
// nothing was written: in memory, when it is loaded, while the store is away, half-done.
func TestVerify_AC032_not_confirmed(t *testing.T) {
	until := func(t *testing.T, complete bool) (*world, string) {
		w := newWorld(t)
		s := w.session("alice", "s1")
		s.Complete = complete
		s.Source = mfa.SourceSession{Kept: mfa.Secret("of the source"), Until: w.clock.Now().Add(20 * time.Second)}
		return w, w.issue(s)
	}
	t.Run("in memory", func(t *testing.T) {
		w, token := until(t, true)
		v := w.admitted(token)
		if v.Session.Source.Kept != nil || v.Session.Source.Until.IsZero() {
			t.Errorf("a request sees %+v", v.Session.Source)
		}
		reads := w.store.countReads()
		w.clock.Advance(20*time.Second - 1)
		w.admitted(token)
		if w.store.countReads() != reads {
			t.Error("it was not answered from memory")
		}
		w.clock.Advance(1)
		w.refused(token)
		w.refused(token)
	})
	t.Run("when it is loaded", func(t *testing.T) {
		w, token := until(t, true)
		w.clock.Advance(20 * time.Second)
		w.refused(token)
	})
	t.Run("while the store is away", func(t *testing.T) {
		w, token := until(t, true)
		w.admitted(token)
		w.store.setDown(true)
		w.clock.Advance(20 * time.Second)
		if v, err := w.Verify(context.Background(), token, scope); err == nil || v != nil {
			t.Errorf("got %v, %v", v, err)
		}
	})
	t.Run("half-done", func(t *testing.T) {
		w, token := until(t, false)
		if _, err := w.VerifyHalfDone(context.Background(), token, scope); err != nil {
			t.Fatal(err)
		}
		w.clock.Advance(20 * time.Second)
		if _, err := w.VerifyHalfDone(context.Background(), token, scope); !errors.Is(err, mfa.ErrNoSession) {
			t.Error(err)
		}
	})
	t.Run("confirmed, it goes on", func(t *testing.T) {
		w, token := until(t, true)
		w.admitted(token)
		w.store.change("alice", func() { w.store.sessions["s1"].Source.Until = w.clock.Now().Add(time.Hour) })
		w.clock.Advance(20 * time.Second)
		w.admitted(token)
	})
}
