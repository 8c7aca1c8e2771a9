package mfa_test

import (
	"context"
	"crypto/rand"
	"errors"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/secondgate/secondgate/mfa"
	"github.com/secondgate/secondgate/mfa/mfatest"
)

// errFault is a store that cannot tell.
var errFault = errors.New("the disk is gone")

// faulty is a store whose n-th call from now fails: before it did its work, or
// after, when whoever called cannot know.
type faulty struct {
	mfa.Store
	left  atomic.Int64
	after bool
}

func (f *faulty) call(work func() error) error {
	if f.left.Add(-1) != 0 {
		return work()
	}
	if f.after {
		_ = work()
	}
	return errFault
}

func (f *faulty) User(ctx context.Context, id mfa.UserID) (u *mfa.User, err error) {
	err = f.call(func() (err error) { u, err = f.Store.User(ctx, id); return })
	if err != nil {
		u = nil
	}
	return
}

func (f *faulty) UserByKey(ctx context.Context, key string) (u *mfa.User, err error) {
	err = f.call(func() (err error) { u, err = f.Store.UserByKey(ctx, key); return })
	if err != nil {
		u = nil
	}
	return
}

func (f *faulty) UpdateUser(ctx context.Context, id mfa.UserID, change func(*mfa.User) error) error {
	return f.call(func() error { return f.Store.UpdateUser(ctx, id, change) })
}

func (f *faulty) CreateUser(ctx context.Context, u *mfa.User) error {
	return f.call(func() error { return f.Store.CreateUser(ctx, u) })
}

func (f *faulty) Session(ctx context.Context, id mfa.SessionID) (s *mfa.Session, err error) {
	err = f.call(func() (err error) { s, err = f.Store.Session(ctx, id); return })
	if err != nil {
		s = nil
	}
	return
}

func (f *faulty) CreateSession(ctx context.Context, s *mfa.Session) error {
	return f.call(func() error { return f.Store.CreateSession(ctx, s) })
}

func (f *faulty) UpdateSession(ctx context.Context, id mfa.SessionID, change func(*mfa.Session) error) error {
	return f.call(func() error { return f.Store.UpdateSession(ctx, id, change) })
}

func (f *faulty) ReplaceSession(ctx context.Context, old mfa.SessionID, next *mfa.Session) error {
	return f.call(func() error { return f.Store.ReplaceSession(ctx, old, next) })
}

func (f *faulty) EndSession(ctx context.Context, id mfa.SessionID) error {
	return f.call(func() error { return f.Store.EndSession(ctx, id) })
}

func (f *faulty) EndUserSessions(ctx context.Context, u mfa.UserID, keep mfa.SessionID) error {
	return f.call(func() error { return f.Store.EndUserSessions(ctx, u, keep) })
}

func (f *faulty) UpdateAttempts(ctx context.Context, keys []string, change func([]mfa.Attempts) error) error {
	return f.call(func() error { return f.Store.UpdateAttempts(ctx, keys, change) })
}

func (f *faulty) Challenge(ctx context.Context, id string) (c *mfa.Challenge, err error) {
	err = f.call(func() (err error) { c, err = f.Store.Challenge(ctx, id); return })
	if err != nil {
		c = nil
	}
	return
}

func (f *faulty) TakeChallenge(ctx context.Context, id string) (c *mfa.Challenge, err error) {
	err = f.call(func() (err error) { c, err = f.Store.TakeChallenge(ctx, id); return })
	if err != nil {
		c = nil
	}
	return
}

func (f *faulty) PutChallenge(ctx context.Context, c *mfa.Challenge) error {
	return f.call(func() error { return f.Store.PutChallenge(ctx, c) })
}

func (f *faulty) Attempts(ctx context.Context, key string) (a mfa.Attempts, err error) {
	err = f.call(func() (err error) { a, err = f.Store.Attempts(ctx, key); return })
	return
}

// plainCodes are backup codes without a hash: what the faults are about is not
// what a hash costs.
type plainCodes struct{}

func (plainCodes) New(context.Context) (mfa.Secret, []string, error) {
	var codes []string
	for range mfa.CodesPerSet {
		codes = append(codes, rand.Text())
	}
	return mfa.Secret(strings.Join(codes, ",")), codes, nil
}

func (plainCodes) Match(_ context.Context, data mfa.Secret, code string) (int, error) {
	i := slices.Index(strings.Split(string([]byte(data)), ","), code)
	if i < 0 {
		return 0, mfa.ErrRejected
	}
	return i, nil
}

func (plainCodes) Spend(data mfa.Secret, index int) (mfa.Secret, int, error) {
	codes := strings.Split(string([]byte(data)), ",")
	if codes[index] == "" {
		return nil, 0, mfa.ErrRejected
	}
	codes[index] = ""
	left := 0
	for _, c := range codes {
		if c != "" {
			left++
		}
	}
	return mfa.Secret(strings.Join(codes, ",")), left, nil
}

// eachFault runs a flow with the first call failing, then the second, and so on
// until it passes, and checks the world after each run.
func eachFault(t *testing.T, prepare func(*world), flow func(*world) (*mfa.Outcome, error), check func(*world, *mfa.Outcome, error)) {
	for _, after := range []bool{false, true} {
		passed := false
		for n := int64(1); n < 60 && !passed; n++ {
			f := &faulty{Store: newStore(t), after: after}
			f.left.Store(-1) // far from any fault
			w := newWorldOn(t, f)
			prepare(w)
			f.left.Store(n)
			out, err := flow(w)
			passed = f.left.Load() > 0
			f.left.Store(-1)
			if err != nil && out != nil {
				t.Fatalf("fault %d: an outcome beside the error %v", n, err)
			}
			check(w, out, err)
		}
		if !passed {
			t.Fatal("the flow never came to its end")
		}
	}
}

func TestGate_AC111_NoSessionWithoutSpending(t *testing.T) {
	var codes []string
	var user mfa.UserID
	eachFault(t,
		func(w *world) {
			_, c, out := w.alice()
			codes, user = c, out.Session.User
			w.signOut(out.Session.ID)
		},
		func(w *world) (*mfa.Outcome, error) {
			in, err := w.signIn("alice")
			if err != nil {
				return nil, err
			}
			return w.gate.VerifyBackupCode(t.Context(), w.at, in.Session.ID, codes[0])
		},
		func(w *world, out *mfa.Outcome, err error) {
			ctx := t.Context()
			complete := 0
			for _, s := range as[[]*mfa.Session](t)(w.store.UserSessions(ctx, user)) {
				if s.Complete {
					complete++
				}
			}
			left := as[*mfa.User](t)(w.store.User(ctx, user)).Credential(mfa.BackupCodesID).Left
			if complete > 0 && left != 9 {
				t.Errorf("a session was made and %d codes are left", left)
			}
			if out != nil && out.Session.Complete && complete != 1 {
				t.Errorf("an acknowledged sign-in left %d sessions", complete)
			}
			// The code works once more at the most, and never after a success.
			w.wait(time.Hour)
			in := as[*mfa.Outcome](t)(w.signIn("alice"))
			if _, again := w.gate.VerifyBackupCode(ctx, w.at, in.Session.ID, codes[0]); again == nil && (err == nil || left == 9) {
				t.Error("the code worked twice")
			}
		})
}

func TestGate_AC191_RevocationIsNotClaimedWhenItFailed(t *testing.T) {
	var token mfa.SessionID
	eachFault(t,
		func(w *world) {
			_, _, out := w.alice()
			token = out.Session.ID
		},
		func(w *world) (*mfa.Outcome, error) {
			return nil, mfatest.NewDesk(w.gate).SetDisabled(t.Context(), "alice", true)
		},
		func(w *world, _ *mfa.Outcome, err error) {
			_, stands := w.gate.State(t.Context(), w.at, token)
			if err == nil && stands == nil {
				t.Error("disabling was acknowledged and the session stands")
			}
		})
}

func TestGate_AC191_SetUpKeepsOrRefuses(t *testing.T) {
	var p *phone
	eachFault(t,
		func(w *world) { p = nil },
		func(w *world) (*mfa.Outcome, error) {
			ctx := t.Context()
			token, err := mfatest.NewDesk(w.gate).Invite(ctx, mfa.InviteInput{Name: "bob"})
			if err != nil {
				return nil, err
			}
			out, err := w.gate.AcceptLink(ctx, w.at, mfa.LinkInput{Token: token, Password: goodPassword})
			if err != nil {
				return nil, err
			}
			s, err := w.gate.BeginTOTP(ctx, w.at, out.Session.ID)
			if err != nil {
				return nil, err
			}
			p = newPhone(t, s)
			return w.gate.FinishTOTP(ctx, w.at, out.Session.ID, p.code(w.clock()), "")
		},
		func(w *world, out *mfa.Outcome, err error) {
			if err != nil {
				return
			}
			info := as[*mfa.UserInfo](t)(mfatest.NewDesk(w.gate).UserInfo(t.Context(), "bob"))
			if len(info.Factors) != 1 || out.Decision.Reason != mfa.ReasonNoCodes {
				t.Errorf("acknowledged with %d factors, next %s", len(info.Factors), out.Decision.Reason)
			}
		})
}

// complete returns how many complete sessions the user has.
func (w *world) complete(user mfa.UserID) int {
	w.t.Helper()
	n := 0
	for _, s := range as[[]*mfa.Session](w.t)(w.store.UserSessions(w.t.Context(), user)) {
		if s.Complete {
			n++
		}
	}
	return n
}

// everything enables all factors and remembers browsers.
func (w *world) everything() {
	w.policy.Factors = mfa.KindsOf(mfa.Passkey, mfa.TOTP, mfa.SMS, mfa.Email)
	w.policy.RememberDevice = month
}

// The codes, passes and secrets of today: no session without what it took being spent, and
// nothing works again after it did.
func TestGate_AC111_SentCodes(t *testing.T) {
	var user mfa.UserID
	var id mfa.SessionID
	var code string
	eachFault(t,
		func(w *world) {
			w.everything()
			user = w.mailed("alice", alicesMail)
			id = w.half("alice")
			as[*mfa.SentTo](t)(w.gate.SendCode(t.Context(), w.at, id, mfa.Email, "", false))
			code = w.post.Code(alicesMail)
		},
		func(w *world) (*mfa.Outcome, error) {
			return w.gate.VerifySent(t.Context(), w.at, id, mfa.Email, code)
		},
		func(w *world, out *mfa.Outcome, err error) {
			if n := w.complete(user); err == nil && n != 1 {
				t.Errorf("an acknowledged sign-in left %d sessions", n)
			}
			// Whatever became of it, the code works no more in any session that there is,
			// unless it was never looked at.
			again := 0
			for _, s := range as[[]*mfa.Session](t)(w.store.UserSessions(t.Context(), user)) {
				if _, err := w.gate.VerifySent(t.Context(), w.at, s.ID, mfa.Email, code); err == nil {
					again++
				}
			}
			if n := w.complete(user); n > 1 || again > 0 && err == nil {
				t.Errorf("the code worked twice: %d sessions", n)
			}
		})
}

func TestGate_AC111_SendCode(t *testing.T) {
	var id mfa.SessionID
	eachFault(t,
		func(w *world) {
			w.everything()
			w.mailed("alice", alicesMail)
			id = w.half("alice")
		},
		func(w *world) (*mfa.Outcome, error) {
			_, err := w.gate.SendCode(t.Context(), w.at, id, mfa.Email, "", false)
			return nil, err
		},
		func(w *world, _ *mfa.Outcome, err error) {
			// I7: no letter whose code is not kept, and none that is not counted.
			letters := w.codesTo(alicesMail)
			if letters > 1 || err == nil && letters != 1 {
				t.Errorf("%v, and %d letters", err, letters)
			}
			if letters == 1 {
				if _, err := w.gate.VerifySent(t.Context(), w.at, id, mfa.Email, w.post.Code(alicesMail)); err != nil {
					t.Errorf("a letter was sent, and its code is worth nothing: %v", err)
				}
			}
		})
}

func TestGate_AC111_CodesThatWait(t *testing.T) {
	for _, purpose := range []mfa.Purpose{mfa.ForSignUp, mfa.ForSignInCode} {
		var id, code string
		eachFault(t,
			func(w *world) {
				w.everything()
				w.policy.Optional, w.policy.Prompt = true, mfa.PromptNever
				var wait *mfa.Waiting
				if purpose == mfa.ForSignUp {
					_, wait, _ = w.gate.BeginSignUp(t.Context(), w.at, mfa.SignUpInput{Name: alicesMail, Password: goodPassword})
				} else {
					out := w.signUp(alicesMail)
					w.signOut(out.Session.ID)
					w.wait(time.Hour)
					wait = as[*mfa.Waiting](t)(w.gate.SendSignInCode(t.Context(), w.at, alicesMail))
				}
				id, code = wait.ID, w.post.Code(alicesMail)
			},
			func(w *world) (*mfa.Outcome, error) {
				out, _, err := w.gate.FinishWaiting(t.Context(), w.at, id, code)
				return out, err
			},
			func(w *world, out *mfa.Outcome, err error) {
				_, _, again := w.gate.FinishWaiting(t.Context(), w.at, id, code)
				page, _, listErr := w.store.ListUsers(t.Context(), mfa.UserQuery{}, "", 10)
				must(t, listErr)
				if len(page) > 1 || err == nil && again == nil {
					t.Errorf("%s: %d accounts; first %v, then %v", purpose, len(page), err, again)
				}
				for _, u := range page {
					if n := w.complete(u.ID); n > 1 {
						t.Errorf("%s: %d sessions", purpose, n)
					}
				}
			})
	}
}

func TestGate_AC111_SetUpOfAnAddress(t *testing.T) {
	var user mfa.UserID
	var id mfa.SessionID
	var code string
	eachFault(t,
		func(w *world) {
			w.everything()
			out := w.invited("alice")
			user, id = out.Session.User, out.Session.ID
			must(t, w.setUp(id, mfa.Email, alicesMail))
			code = w.post.Code(alicesMail)
		},
		func(w *world) (*mfa.Outcome, error) {
			return w.gate.FinishAddress(t.Context(), w.at, id, mfa.Email, code)
		},
		func(w *world, out *mfa.Outcome, err error) {
			held := len(w.user(user).Credentials)
			if err == nil && held != 1 || held == 0 && w.complete(user) != 0 {
				t.Errorf("%v with %d factors and %d sessions", err, held, w.complete(user))
			}
			// B17: recorded if and only if it is live, unless the answer of the store was lost.
			if ok := w.recorded(mfa.EventEnroll, true); ok > held {
				t.Errorf("%d events for %d factors", ok, held)
			}
			_, again := w.gate.FinishAddress(t.Context(), w.at, id, mfa.Email, code)
			if n := len(w.user(user).Credentials); n > 1 || again == nil && err == nil {
				t.Errorf("the code worked twice: %d factors", n)
			}
		})
}

func TestGate_AC111_PassesAndBypasses(t *testing.T) {
	for _, what := range []mfa.Purpose{mfa.ForPass, mfa.ForBypass} {
		var id mfa.SessionID
		var secret string
		use := func(w *world, id mfa.SessionID) (*mfa.Outcome, error) {
			if what == mfa.ForPass {
				return w.gate.UsePass(t.Context(), w.at, id, secret)
			}
			return w.gate.VerifyBypass(t.Context(), w.at, id, secret)
		}
		eachFault(t,
			func(w *world) {
				w.everything()
				out := w.invited("alice")
				var err error
				if what == mfa.ForPass {
					w.policy.Enrollment = mfa.Enrollment{}
					secret, _, err = mfatest.NewDesk(w.gate).EnrollmentPass(t.Context(), "alice", 0)
				} else {
					w.addPhone(out.Session.ID)
					w.wait(time.Minute)
					secret, _, err = mfatest.NewDesk(w.gate).Bypass(t.Context(), "alice", 0, "")
				}
				must(t, err)
				id = as[*mfa.Outcome](t)(w.signIn("alice")).Session.ID
			},
			func(w *world) (*mfa.Outcome, error) { return use(w, id) },
			func(w *world, out *mfa.Outcome, err error) {
				must(t, mfatest.NewDesk(w.gate).Unlock(t.Context(), "alice"))
				next := as[*mfa.Outcome](t)(w.signIn("alice"))
				if _, again := use(w, next.Session.ID); again == nil && err == nil {
					t.Errorf("%s worked twice", what)
				}
			})
	}
}

func TestGate_AC111_RememberedDevices(t *testing.T) {
	var home *mfa.Place
	eachFault(t,
		func(w *world) {
			w.everything()
			home, _ = w.home("alice")
		},
		func(w *world) (*mfa.Outcome, error) {
			return w.gate.SignIn(t.Context(), home, "local", "alice", goodPassword)
		},
		func(w *world, out *mfa.Outcome, err error) {
			if out != nil && (out.Decision.Action == mfa.Allow) != (out.Remember != "") {
				t.Errorf("%s, and the browser keeps %q", out.Decision.Action, out.Remember)
			}
			// After the leeway the old secret is worth nothing where it was exchanged.
			w.wait(time.Minute)
			again, err2 := w.gate.SignIn(t.Context(), home, "local", "alice", goodPassword)
			must(t, err2)
			if err == nil && again.Decision.Action == mfa.Allow {
				t.Error("the secret worked again after it was exchanged")
			}
		})
}

func TestGate_AC111_ForgottenPassword(t *testing.T) {
	var user mfa.UserID
	var old mfa.SessionID
	var token string
	const next = "another good long password"
	eachFault(t,
		func(w *world) {
			w.everything()
			p, out := w.addPhone(w.signUp(alicesMail).Session.ID)
			_ = p
			user, old = out.Session.User, out.Session.ID
			must(t, w.gate.ForgotPassword(t.Context(), w.at, alicesMail, func(token string) string { return token }))
			token = w.post.Link(alicesMail)
		},
		func(w *world) (*mfa.Outcome, error) {
			return w.gate.AcceptLink(t.Context(), w.at, mfa.LinkInput{Token: token, Password: next})
		},
		func(w *world, out *mfa.Outcome, err error) {
			if len(w.user(user).Credentials) != 1 {
				t.Error("a factor is gone")
			}
			_, oldWorks := w.gate.SignIn(t.Context(), w.at, "local", alicesMail, goodPassword)
			_, session := w.gate.State(t.Context(), w.at, old)
			// AC-191: with the new password every session of before is over, and nothing is
			// claimed that is not so.
			if (oldWorks != nil) != (session != nil) || err == nil && oldWorks == nil {
				t.Errorf("%v: old password %v, old session %v", err, oldWorks, session)
			}
			if _, again := w.gate.AcceptLink(t.Context(), w.at, mfa.LinkInput{Token: token, Password: next}); err == nil && again == nil {
				t.Error("the link worked twice")
			}
		})
}

// What is asked of the store to tell strangers nothing may fail as well: no letter without
// a link that works.
func TestGate_AC111_AskingForALink(t *testing.T) {
	eachFault(t,
		func(w *world) {
			w.everything()
			w.signUp(alicesMail)
			w.post.Reset()
		},
		func(w *world) (*mfa.Outcome, error) {
			return nil, w.gate.ForgotPassword(t.Context(), w.at, alicesMail, func(token string) string { return token })
		},
		func(w *world, _ *mfa.Outcome, err error) {
			token := w.post.Link(alicesMail)
			if err == nil && token == "" {
				t.Error("no letter")
			}
			if token != "" {
				as[*mfa.Link](t)(w.gate.OpenLink(t.Context(), w.at, token))
			}
		})
}
