package transfer

import (
	"encoding/base32"
	"fmt"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/pquerna/otp/hotp"

	"github.com/secondgate/secondgate/identity/local"
	"github.com/secondgate/secondgate/internal/seal"
	"github.com/secondgate/secondgate/mfa"
	"github.com/secondgate/secondgate/mfa/factor/backupcode"
	"github.com/secondgate/secondgate/mfa/factor/otpcode"
	"github.com/secondgate/secondgate/mfa/factor/passkey"
	"github.com/secondgate/secondgate/mfa/factor/totp"
	"github.com/secondgate/secondgate/mfa/mfatest"
	"github.com/secondgate/secondgate/store"
)

const password = "correct horse battery staple 7"

// world is the real gate, with real factors, on a store.
type world struct {
	t    *testing.T
	gate *mfa.Gate
	time *mfatest.Clock
	at   *mfa.Place
}

func newWorld(t *testing.T, s mfa.Store) *world {
	t.Helper()
	hasher, err := seal.NewHasher(seal.HasherConfig{Params: seal.CodeParams, Queue: 1000})
	if err != nil {
		t.Fatal(err)
	}
	source, err := local.New(local.Config{Users: s, Hasher: hasher})
	if err != nil {
		t.Fatal(err)
	}
	sent, err := otpcode.New(otpcode.Config{})
	if err != nil {
		t.Fatal(err)
	}
	w := &world{t: t, time: mfatest.NewClock(), at: &mfa.Place{
		Origin: "https://app.example.com", Host: "app.example.com", Scope: "app.example.com",
		RPID: "app.example.com", Agent: "Firefox on Linux", Network: "192.0.2.0/24",
	}}
	w.time.Set(time.Now().UTC().Truncate(time.Second))
	policy := mfa.DefaultPolicy()
	w.gate, err = mfa.NewGate(mfa.Config{
		Store: s, Sources: []mfa.Source{{Password: source}}, Passwords: source,
		TOTP: totp.New(), Codes: backupcode.New(hasher), Passkeys: passkey.New(passkey.Config{Now: w.time.Now}),
		Events: store.OpenRecorder(s, store.RecorderOptions{Now: w.time.Now}), Policy: func() *mfa.Policy { return &policy }, Now: w.time.Now,
		SentCodes: sent, Post: new(mfatest.Post),
	})
	if err != nil {
		t.Fatal(err)
	}
	return w
}

// person has everything to sign in with.
type person struct {
	id     mfa.UserID
	name   string
	secret []byte
	codes  []string
	used   int
	key    *mfatest.Authenticator
}

func (p *person) code(at time.Time) string {
	c, err := hotp.GenerateCode(p.text(), uint64(at.Unix()/30)) //nolint:gosec // not negative
	if err != nil {
		panic(err)
	}
	return c
}

func (p *person) text() string {
	return base32.StdEncoding.WithPadding(base32.NoPadding).EncodeToString(p.secret)
}

// secrets are what must stand in no backup as it is.
func (p *person) secrets() []string {
	return append([]string{p.text(), string(p.secret), password, p.name, "argon2id", string(p.id)}, p.codes...)
}

func as[T any](t *testing.T) func(T, error) T {
	return func(v T, err error) T {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
		return v
	}
}

// person invites somebody who sets up a password, an authenticator app, backup codes and a
// passkey.
func (w *world) person(name string) *person {
	w.t.Helper()
	t, ctx := w.t, w.t.Context()
	token := as[string](t)(mfatest.NewDesk(w.gate).Invite(ctx, mfa.InviteInput{Name: name}))
	out := as[*mfa.Outcome](t)(w.gate.AcceptLink(ctx, w.at, mfa.LinkInput{Token: token, Password: password}))
	setup := as[*mfa.TOTPSetup](t)(w.gate.BeginTOTP(ctx, w.at, out.Session.ID))
	secret := as[[]byte](t)(base32.StdEncoding.WithPadding(base32.NoPadding).DecodeString(strings.ReplaceAll(string([]byte(setup.Secret)), " ", "")))
	p := &person{id: out.Session.User, name: name, secret: secret, key: &mfatest.Authenticator{Origin: w.at.Origin, Counts: true}}
	out = as[*mfa.Outcome](t)(w.gate.FinishTOTP(ctx, w.at, out.Session.ID, p.code(w.time.Now()), ""))
	p.codes = as[[]string](t)(w.gate.BeginCodes(ctx, w.at, out.Session.ID))
	out = as[*mfa.Outcome](t)(w.gate.ConfirmCodes(ctx, w.at, out.Session.ID))
	c := as[*mfa.Ceremony](t)(w.gate.BeginPasskey(ctx, w.at, out.Session.ID))
	as[*mfa.Outcome](t)(w.gate.FinishPasskey(ctx, w.at, out.Session.ID, c.ID, as[[]byte](t)(p.key.Enroll(c.Options, nil)), ""))
	return p
}

// verifies signs the person in with each of their factors.
func (w *world) verifies(p *person) {
	w.t.Helper()
	t, ctx := w.t, w.t.Context()
	w.time.Advance(time.Minute)
	for _, prove := range []func(mfa.SessionID) (*mfa.Outcome, error){
		func(id mfa.SessionID) (*mfa.Outcome, error) {
			return w.gate.VerifyTOTP(ctx, w.at, id, p.code(w.time.Now()))
		},
		func(id mfa.SessionID) (*mfa.Outcome, error) {
			p.used++
			return w.gate.VerifyBackupCode(ctx, w.at, id, p.codes[p.used-1])
		},
		func(id mfa.SessionID) (*mfa.Outcome, error) {
			c, err := w.gate.BeginVerifyPasskey(ctx, w.at, id)
			if err != nil {
				return nil, err
			}
			return w.gate.FinishVerifyPasskey(ctx, w.at, id, c.ID, as[[]byte](t)(p.key.Verify(c.Options, nil)))
		},
	} {
		in := as[*mfa.Outcome](t)(w.gate.SignIn(ctx, w.at, "local", p.name, password))
		if in.Decision.Action != mfa.Verify {
			t.Errorf("%s is asked for %v", p.name, in.Decision.Action)
		}
		if out, err := prove(in.Session.ID); err != nil || out.Decision.Action != mfa.Allow {
			t.Errorf("a factor of %s: %v", p.name, err)
		}
	}
	// What is spent is spent there as well.
	in := as[*mfa.Outcome](t)(w.gate.SignIn(ctx, w.at, "local", p.name, password))
	if _, err := w.gate.VerifyBackupCode(ctx, w.at, in.Session.ID, p.codes[p.used-1]); err == nil {
		t.Error("a backup code was used twice")
	}
}

// keepBusy makes about 200 changes a second until stop is called; rate says how many it
// were.
func keepBusy(t *testing.T, s mfa.Store) (stop func(), rate func() float64) {
	t.Helper()
	var (
		group sync.WaitGroup
		n     atomic.Int64
		over  = make(chan struct{})
		began = time.Now()
		took  time.Duration
	)
	for worker := range 4 {
		group.Go(func() {
			tick := time.NewTicker(20 * time.Millisecond)
			defer tick.Stop()
			for i := 0; ; i++ {
				select {
				case <-over:
					return
				case <-tick.C:
				}
				id := fmt.Sprintf("busy-%d-%d", worker, i)
				err := s.CreateUser(t.Context(), &mfa.User{ID: mfa.UserID(id), Source: "local", Subject: id, Name: id, Groups: []string{"busy"}})
				if err == nil {
					err = s.CreateSession(t.Context(), &mfa.Session{ID: mfa.SessionID(id), User: mfa.UserID(id), Complete: true, Expires: time.Now().Add(time.Hour)})
				}
				if err == nil {
					err = s.AppendEvents(t.Context(), []mfa.Event{{At: time.Now(), Name: mfa.EventSignIn, User: mfa.UserID(id)}})
				}
				if err == nil && i%2 == 1 {
					err = s.EndSession(t.Context(), mfa.SessionID(id))
				}
				if err != nil {
					t.Error(err)
					return
				}
				n.Add(3)
			}
		})
	}
	stop = sync.OnceFunc(func() {
		close(over)
		group.Wait()
		took = time.Since(began)
	})
	t.Cleanup(stop)
	return stop, func() float64 { return float64(n.Load()) / took.Seconds() }
}
