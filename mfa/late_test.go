package mfa_test

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/secondgate/secondgate/mfa"
	"github.com/secondgate/secondgate/mfa/mfatest"
)

// between is a store in which something else happens just before a change of a
// user is written.
type between struct {
	mfa.Store
	first func()
	skip  int // so many changes before it
}

func (b *between) UpdateUser(ctx context.Context, id mfa.UserID, change func(*mfa.User) error) error {
	if first := b.first; first != nil && b.skip == 0 {
		b.first = nil
		first()
	} else if first != nil {
		b.skip--
	}
	return b.Store.UpdateUser(ctx, id, change)
}

// A thief holds a session, and the owner throws all others out while a request of
// the thief is under way. What was checked when that request came in no longer
// holds when it writes.
func TestGate_AC023_RequestUnderWayDoesNotLand(t *testing.T) {
	ends := map[string]func(w *world, owner mfa.SessionID){
		"a new password": func(w *world, owner mfa.SessionID) {
			as[*mfa.Outcome](t)(w.gate.ChangePassword(t.Context(), w.at, owner, goodPassword, "another good long password"))
		},
		"ending the others": func(w *world, owner mfa.SessionID) {
			as[*mfa.Outcome](t)(w.gate.EndOtherSessions(t.Context(), w.at, owner))
		},
		"a reset link": func(w *world, _ mfa.SessionID) {
			token := as[string](t)(mfatest.NewDesk(w.gate).ResetPassword(t.Context(), "alice"))
			as[*mfa.Outcome](t)(w.gate.AcceptLink(t.Context(), w.at, mfa.LinkInput{Token: token, Password: "another good long password"}))
		},
		"disabling": func(w *world, _ mfa.SessionID) {
			must(t, mfatest.NewDesk(w.gate).SetDisabled(t.Context(), "alice", true))
		},
	}
	for name, end := range ends {
		for act, try := range map[string]func(w *world, thief mfa.SessionID, phone *phone) error{
			"sets up an app": func(w *world, thief mfa.SessionID, p *phone) error {
				_, err := w.gate.FinishTOTP(t.Context(), w.at, thief, p.code(w.clock()), "")
				return err
			},
			"makes backup codes": func(w *world, thief mfa.SessionID, _ *phone) error {
				_, err := w.gate.ConfirmCodes(t.Context(), w.at, thief)
				return err
			},
			"removes the codes": func(w *world, thief mfa.SessionID, _ *phone) error {
				return w.gate.Remove(t.Context(), w.at, thief, mfa.BackupCodesID)
			},
			"sets up an address": func(w *world, thief mfa.SessionID, _ *phone) error {
				_, err := w.gate.FinishAddress(t.Context(), w.at, thief, mfa.Email, w.post.Code("thief@example.com"))
				return err
			},
			"has the browser remembered": func(w *world, thief mfa.SessionID, _ *phone) error {
				at := *w.at
				at.Remember = true
				_, err := w.gate.VerifySent(t.Context(), &at, thief, mfa.SMS, w.post.Code(alicesPhone))
				return err
			},
			"opts out": func(w *world, thief mfa.SessionID, _ *phone) error {
				return w.gate.OptOut(t.Context(), w.at, thief)
			},
		} {
			t.Run(act+" during "+name, func(t *testing.T) {
				store := &between{Store: newStore(t)}
				w := newWorldOn(t, store)
				w.policy.Optional, w.policy.RememberDevice = true, month
				w.policy.Factors |= mfa.KindsOf(mfa.Email, mfa.SMS)
				app, _, owner := w.alice()
				w.change(owner.Session.User, func(u *mfa.User) {
					u.Credentials = append(u.Credentials, mfa.Credential{ID: "sms", Kind: mfa.SMS, Address: alicesPhone})
				})
				thief := as[*mfa.Outcome](t)(w.signIn("alice"))
				thief = as[*mfa.Outcome](t)(w.gate.VerifyTOTP(t.Context(), w.at, thief.Session.ID, app.code(w.clock())))
				p := newPhone(t, as[*mfa.TOTPSetup](t)(w.gate.BeginTOTP(t.Context(), w.at, thief.Session.ID)))
				as[[]string](t)(w.gate.BeginCodes(t.Context(), w.at, thief.Session.ID))
				must(t, w.setUp(thief.Session.ID, mfa.Email, "thief@example.com"))
				as[*mfa.SentTo](t)(w.gate.SendCode(t.Context(), w.at, thief.Session.ID, mfa.SMS, "", false))
				before := as[*mfa.User](t)(w.store.User(t.Context(), owner.Session.User))
				var between *mfa.User
				store.first = func() {
					end(w, owner.Session.ID)
					between = as[*mfa.User](t)(w.store.User(t.Context(), owner.Session.User))
				}
				if try(w, thief.Session.ID, p) == nil {
					t.Error("it landed")
				}
				after := as[*mfa.User](t)(w.store.User(t.Context(), owner.Session.User))
				if len(after.Credentials) != len(between.Credentials) || after.OptedOut != before.OptedOut || after.Generation != between.Generation || len(after.Remembered) != 0 || after.Email != "" {
					t.Errorf("the user was changed: %d factors, then %d", len(between.Credentials), len(after.Credentials))
				}
			})
		}
	}
}

// The session moves on in another tab between the write that keeps a factor and
// the one that gives the session its new ID. The factor is live, so the event must
// say so.
func TestGate_B17_NoFactorWithoutAnEvent(t *testing.T) {
	store := &replaced{Store: newStore(t)}
	w := newWorldOn(t, store)
	out := w.invited("alice")
	p := newPhone(t, as[*mfa.TOTPSetup](t)(w.gate.BeginTOTP(t.Context(), w.at, out.Session.ID)))
	store.lose = true
	_, err := w.gate.FinishTOTP(t.Context(), w.at, out.Session.ID, p.code(w.clock()), "")
	wants(t, err, mfa.ErrNotOwed)
	if info := as[*mfa.UserInfo](t)(mfatest.NewDesk(w.gate).UserInfo(t.Context(), "alice")); len(info.Factors) != 1 {
		t.Fatalf("%d factors", len(info.Factors))
	}
	if ok, failed := w.recorded(mfa.EventEnroll, true), w.recorded(mfa.EventEnroll, false); ok != 1 || failed != 0 {
		t.Errorf("%d events say that a factor was set up, %d that it was not", ok, failed)
	}
}

// replaced is a store in which another tab was faster.
type replaced struct {
	mfa.Store
	lose bool
}

func (r *replaced) ReplaceSession(ctx context.Context, old mfa.SessionID, next *mfa.Session) error {
	if r.lose {
		return mfa.ErrNotFound
	}
	return r.Store.ReplaceSession(ctx, old, next)
}

// Links, passwords and second factors have budgets of their own: who wears out one
// of them must not stop people of the same network at the others.
func TestGate_SharedNetworkBudgets(t *testing.T) {
	w, ctx := newWorld(t), t.Context()
	p, _, _ := w.alice()
	in := as[*mfa.Outcome](t)(w.signIn("alice"))
	for range 100 {
		_, _ = w.gate.OpenLink(ctx, w.at, "made up")
	}
	as[*mfa.Outcome](t)(w.signIn("alice"))
	for i := range 100 {
		_, _ = w.gate.SignIn(ctx, w.at, "local", string(rune('a'+i%26))+"x", "wrong")
	}
	var throttled *mfa.ThrottledError
	if _, err := w.signIn("alice"); !errors.As(err, &throttled) {
		t.Errorf("passwords have no budget: %v", err)
	}
	_, err := w.gate.VerifyTOTP(ctx, w.at, in.Session.ID, p.code(w.clock()))
	must(t, err)
}

func TestGate_AC108_ClockSetBack(t *testing.T) {
	w, ctx := newWorld(t), t.Context()
	_, _, out := w.alice()
	w.wait(-5 * time.Hour)
	var owed *mfa.ProofError
	if _, err := w.gate.BeginTOTP(ctx, w.at, out.Session.ID); !errors.As(err, &owed) {
		t.Errorf("a proof from the future counts: %v", err)
	}
	at := *w.at
	at.Asked = mfa.Requirement{Fresh: time.Minute}
	if st := as[*mfa.State](t)(w.gate.State(ctx, &at, out.Session.ID)); st.Decision.Action != mfa.StepUp {
		t.Errorf("… and is fresh: %s", st.Decision.Action)
	}
}

func TestGate_PenaltyIsNoLongerThanItsLongest(t *testing.T) {
	w, ctx := newWorld(t), t.Context()
	w.alice()
	w.wait(1000 * time.Hour)
	for range 6 {
		_, _ = w.gate.SignIn(ctx, w.at, "local", "alice", "wrong")
	}
	w.wait(-1000 * time.Hour) // the clock had been ahead
	var throttled *mfa.ThrottledError
	if _, err := w.signIn("alice"); !errors.As(err, &throttled) || throttled.RetryAfter > time.Hour {
		t.Errorf("%v", err)
	}
}

func TestGate_RemovingTheLastFactorIsNoDeadEnd(t *testing.T) {
	w, ctx := newWorld(t), t.Context()
	w.policy.Optional = true
	_, _, out := w.alice()
	a := as[*mfa.Account](t)(w.gate.Account(ctx, w.at, out.Session.ID))
	for _, c := range a.Credentials {
		if c.Kind == mfa.TOTP {
			must(t, w.gate.Remove(ctx, w.at, out.Session.ID, c.ID))
		}
	}
	a = as[*mfa.Account](t)(w.gate.Account(ctx, w.at, out.Session.ID))
	if len(a.Credentials) != 0 {
		t.Errorf("%d factors are left", len(a.Credentials))
	}
	w.addPhone(out.Session.ID)
}
