package scale

import (
	"context"
	"errors"
	"fmt"
	"testing"
	"time"

	"github.com/pquerna/otp/hotp"

	"github.com/secondgate/secondgate/identity/local"
	"github.com/secondgate/secondgate/internal/seal"
	"github.com/secondgate/secondgate/mfa"
	"github.com/secondgate/secondgate/mfa/factor/backupcode"
	"github.com/secondgate/secondgate/mfa/factor/passkey"
	"github.com/secondgate/secondgate/mfa/factor/totp"
	"github.com/secondgate/secondgate/session"
	"github.com/secondgate/secondgate/store"
)

// world is a gateway without its HTTP edge, on a store of that many users.
type world struct {
	*crowd
	users int
	first int // who is measured first: others in each run, whose codes are not used yet
	store mfa.Store
	// gate hashes passwords and codes as in production; quick compares them as they are,
	// so that the hash does not hide the store.
	gate, quick *mfa.Gate
	desk        *mfa.Administration
	cached      *session.Manager // keeps 10,000 sessions at hand
	uncached    *session.Manager // keeps one
	tokens      map[int][]string // of so many sessions in use
	late        string           // cursor behind a fifth of the names
}

func newWorld(t testing.TB, c *crowd, hasher *seal.Hasher, s mfa.Store, users int) *world {
	t.Helper()
	w := &world{crowd: c, users: users, first: int(time.Now().UnixNano() % int64(users)), store: s, tokens: make(map[int][]string)}
	recorder := store.OpenRecorder(s, store.RecorderOptions{})
	t.Cleanup(func() { _ = recorder.Close(context.Background()) })
	policy := mfa.DefaultPolicy()
	policy.Organizations = mfa.NewDirectory([]*mfa.Organization{{ID: "org07", Name: "Seven", Domains: []string{"company07.example"}}})
	source, err := local.New(local.Config{Users: s, Hasher: hasher})
	ok(t, err)
	gate := func(source hashing, codes mfa.BackupCodes) *mfa.Gate {
		g, err := mfa.NewGate(mfa.Config{
			Store: s, Sources: []mfa.Source{{Password: source}}, Passwords: source,
			TOTP: totp.New(), Codes: codes, Passkeys: passkey.New(passkey.Config{}),
			Events: recorder, Policy: func() *mfa.Policy { return &policy },
		})
		ok(t, err)
		t.Cleanup(g.Close)
		return g
	}
	w.gate = gate(source, backupcode.New(hasher))
	w.quick = gate(unhashed{source, s}, unhashedCodes{backupcode.New(hasher), c.Code})
	w.desk = w.gate.As(mfa.OnMachine())
	manager := func(size int) *session.Manager {
		m, err := session.New(session.Config{
			Store: s, Keys: []session.Key{{ID: "k", Secret: make([]byte, 32)}}, Issuer: "scale", CacheSize: size,
			Idle: 12 * time.Hour, // filling takes a while
		})
		ok(t, err)
		t.Cleanup(func() { _ = m.Close(context.Background()) })
		return m
	}
	w.cached, w.uncached = manager(0), manager(1)
	return w
}

type hashing = interface {
	mfa.PasswordSource
	mfa.Passwords
}

// unhashed are local accounts whose password is compared without its hash. What they read
// is what the real ones read.
type unhashed struct {
	hashing
	users mfa.Users
}

func (p unhashed) Authenticate(ctx context.Context, account, password string) (*mfa.Identity, error) {
	u, err := p.users.UserByKey(ctx, mfa.SubjectKey(mfa.LocalSource, account))
	if errors.Is(err, mfa.ErrNotFound) || err == nil && (u.Disabled || password != goodPassword) {
		return nil, mfa.ErrRejected
	}
	if err != nil {
		return nil, err
	}
	return &mfa.Identity{Source: u.Source, Subject: u.Subject, Name: u.Name}, nil
}

// unhashedCodes are backup codes of which one that is known is compared as it is, and stands
// for the first that is left.
type unhashedCodes struct {
	mfa.BackupCodes
	good string
}

func (c unhashedCodes) Match(_ context.Context, data mfa.Secret, code string) (int, error) {
	if code != c.good {
		return 0, mfa.ErrRejected
	}
	for i := range mfa.CodesPerSet { // one of a run before may be used
		if _, _, err := c.Spend(data, i); err == nil {
			return i, nil
		}
	}
	return 0, mfa.ErrRejected
}

// code is what the authenticator app of everybody shows.
func (c *crowd) codeAt(now time.Time) (string, error) {
	return hotp.GenerateCode(plainText(c.AppText), uint64(now.Unix()/30))
}

// pick returns the user of round r of so many: others in each of the series, spread over
// all of them, with all factors.
func (w *world) pick(series, r, rounds int) int {
	i := (w.first + r*w.users/rounds + series*w.users/(rounds*seriesCount)) % w.users
	for !armed(i) {
		i = (i + 1) % w.users
	}
	return i
}

// expect makes an error of a decision that is not the one.
func expect(got mfa.Decision, want mfa.Action) error {
	if got.Action != want {
		return fmt.Errorf("decided %v %s, want %v", got.Action, got.Reason, want)
	}
	return nil
}
