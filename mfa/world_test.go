package mfa_test

import (
	"context"
	"encoding/base32"
	"errors"
	"strings"
	"sync"
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
	"github.com/secondgate/secondgate/store/badger"
)

const goodPassword = "correct horse battery staple 7"

// world is a gate on a real store with real factors, and a clock that stands
// still until it is moved.
type world struct {
	t      *testing.T
	gate   *mfa.Gate
	store  mfa.Store
	policy mfa.Policy
	events mfatest.Events
	post   mfatest.Post
	time   *mfatest.Clock
	at     *mfa.Place
	codes  mfa.BackupCodes
}

// recorded returns how many events of that name ended so.
func (w *world) recorded(name mfa.EventName, ok bool) int {
	n := 0
	for _, e := range w.events.Named(name) {
		if e.OK == ok {
			n++
		}
	}
	return n
}

// sharedHasher is for the tests that are about hashes. The others leave them to the
// packages that make them, or the race detector's copy of each 19 MiB would be most
// of what they do.
var sharedHasher = sync.OnceValue(func() *seal.Hasher {
	h, err := seal.NewHasher(seal.HasherConfig{Params: seal.CodeParams, Queue: 1000})
	if err != nil {
		panic(err)
	}
	return h
})

// configured changes how a world's gate is configured.
type configured = func(*mfa.Config)

func newWorld(t *testing.T, change ...configured) *world {
	t.Helper()
	return newWorldOn(t, newStore(t), change...)
}

func newStore(t *testing.T) mfa.Store {
	t.Helper()
	keys, err := seal.NewKeys()
	if err != nil {
		t.Fatal(err)
	}
	store, err := badger.Open(badger.Options{Dir: t.TempDir() + "/store", Keys: keys, MinFree: 1})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { store.Close() })
	return store
}

func newWorldOn(t *testing.T, store mfa.Store, change ...configured) *world {
	t.Helper()
	source, err := local.New(local.Config{Users: store, Hasher: sharedHasher()})
	if err != nil {
		t.Fatal(err)
	}
	plain := plainPasswords{source, store}
	return makeWorld(t, store, plain, plain, plainCodes{}, change...)
}

// hashingWorld is a world whose passwords and codes are hashed as in production.
func hashingWorld(t *testing.T) *world {
	t.Helper()
	store := newStore(t)
	source, err := local.New(local.Config{Users: store, Hasher: sharedHasher()})
	if err != nil {
		t.Fatal(err)
	}
	return makeWorld(t, store, source, source, backupcode.New(sharedHasher()))
}

func makeWorld(t *testing.T, store mfa.Store, source mfa.PasswordSource, passwords mfa.Passwords, codes mfa.BackupCodes, change ...configured) *world {
	t.Helper()
	w := &world{
		t: t, store: store, policy: mfa.DefaultPolicy(),
		time: mfatest.NewClock(),
		at: &mfa.Place{
			Origin: "https://app.example.com", Host: "app.example.com", Scope: "app.example.com",
			RPID: "app.example.com", Agent: "Firefox on Linux", Network: "192.0.2.0/24",
		},
	}
	w.codes = codes
	sent, err := otpcode.New(otpcode.Config{Countries: []string{"DE", "AT"}})
	if err != nil {
		t.Fatal(err)
	}
	cfg := mfa.Config{
		Store: store, Sources: []mfa.Source{{Password: source}}, Passwords: passwords,
		TOTP: totp.New(), Codes: w.codes, Passkeys: passkey.New(passkey.Config{Now: w.clock}),
		Events: &w.events, Policy: func() *mfa.Policy { return &w.policy }, Now: w.clock,
		SentCodes: sent, Post: &w.post,
		SignUp: mfa.SignUp{Name: true, Channels: mfa.KindsOf(mfa.Email, mfa.SMS)}, SignInCodes: mfa.KindsOf(mfa.Email, mfa.SMS),
	}
	for _, f := range change {
		f(&cfg)
	}
	w.gate, err = mfa.NewGate(cfg)
	if err != nil {
		t.Fatal(err)
	}
	return w
}

type hashing = interface {
	mfa.PasswordSource
	mfa.Passwords
}

// plainPasswords are local accounts whose passwords are kept without a hash.
type plainPasswords struct {
	hashing
	users mfa.Users
}

func (plainPasswords) Hash(_ context.Context, password string) (mfa.Secret, error) {
	return mfa.Secret("plain " + password), nil
}

func (p plainPasswords) Authenticate(ctx context.Context, account, password string) (*mfa.Identity, error) {
	u, err := p.users.UserByKey(ctx, mfa.SubjectKey(mfa.LocalSource, account))
	if errors.Is(err, mfa.ErrNotFound) || err == nil && (u.Disabled || string([]byte(u.Password)) != "plain "+password) {
		return nil, mfa.ErrRejected
	}
	if err != nil {
		return nil, err
	}
	return &mfa.Identity{Source: u.Source, Subject: u.Subject, Name: u.Name}, nil
}

func (w *world) clock() time.Time     { return w.time.Now() }
func (w *world) wait(d time.Duration) { w.time.Advance(d) }

// elsewhere is the same place for somebody on another network.
func (w *world) elsewhere(network string) *mfa.Place {
	at := *w.at
	at.Network = network
	return &at
}

// as must not fail.
func as[T any](t *testing.T) func(T, error) T {
	return func(v T, err error) T {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
		return v
	}
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func wants(t *testing.T, err, want error) {
	t.Helper()
	if !errors.Is(err, want) {
		t.Fatalf("error %v, want %v", err, want)
	}
}

func (w *world) wantsNext(out *mfa.Outcome, err error, action mfa.Action, reason mfa.Reason) *mfa.Outcome {
	w.t.Helper()
	if err != nil {
		w.t.Fatal(err)
	}
	if out.Decision.Action != action || out.Decision.Reason != reason {
		w.t.Fatalf("next is %s %s, want %s %s", out.Decision.Action, out.Decision.Reason, action, reason)
	}
	return out
}

// invited makes an account by invitation and returns the outcome of accepting.
func (w *world) invited(name string) *mfa.Outcome {
	w.t.Helper()
	token := as[string](w.t)(mfatest.NewDesk(w.gate).Invite(w.t.Context(), mfa.InviteInput{Name: name}))
	return as[*mfa.Outcome](w.t)(w.gate.AcceptLink(w.t.Context(), w.at, mfa.LinkInput{Token: token, Password: goodPassword}))
}

func (w *world) signIn(name string) (*mfa.Outcome, error) {
	return w.gate.SignIn(w.t.Context(), w.at, "local", name, goodPassword)
}

// signOut ends the session where it was begun.
func (w *world) signOut(id mfa.SessionID) {
	w.t.Helper()
	_, err := w.gate.SignOut(w.t.Context(), w.at, id, "")
	must(w.t, err)
}

// phone is somebody's authenticator app.
type phone struct{ secret []byte }

func newPhone(t *testing.T, s *mfa.TOTPSetup) *phone {
	t.Helper()
	return phoneOf(s.Secret)
}

func phoneOf(text mfa.Secret) *phone {
	secret, err := base32.StdEncoding.WithPadding(base32.NoPadding).DecodeString(strings.ReplaceAll(string([]byte(text)), " ", ""))
	if err != nil {
		panic(err)
	}
	return &phone{secret}
}

func (p *phone) code(at time.Time) string {
	c, err := hotp.GenerateCode(base32.StdEncoding.WithPadding(base32.NoPadding).EncodeToString(p.secret), uint64(at.Unix()/30))
	if err != nil {
		panic(err)
	}
	return c
}

// addPhone sets up an authenticator app in the session.
func (w *world) addPhone(id mfa.SessionID) (*phone, *mfa.Outcome) {
	w.t.Helper()
	p := newPhone(w.t, as[*mfa.TOTPSetup](w.t)(w.gate.BeginTOTP(w.t.Context(), w.at, id)))
	out, err := w.gate.FinishTOTP(w.t.Context(), w.at, id, p.code(w.clock()), "")
	if err != nil {
		w.t.Fatal(err)
	}
	return p, out
}

// addCodes makes and confirms backup codes.
func (w *world) addCodes(id mfa.SessionID) ([]string, *mfa.Outcome) {
	w.t.Helper()
	codes := as[[]string](w.t)(w.gate.BeginCodes(w.t.Context(), w.at, id))
	return codes, as[*mfa.Outcome](w.t)(w.gate.ConfirmCodes(w.t.Context(), w.at, id))
}

// alice is a user with an authenticator app and backup codes, signed in.
func (w *world) alice() (*phone, []string, *mfa.Outcome) {
	w.t.Helper()
	out := w.invited("alice")
	p, out := w.addPhone(out.Session.ID)
	codes, out := w.addCodes(out.Session.ID)
	w.wantsNext(out, nil, mfa.Allow, "")
	w.wait(time.Minute)
	return p, codes, out
}
