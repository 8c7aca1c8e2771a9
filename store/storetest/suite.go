package storetest

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/secondgate/secondgate/mfa"
)

// many is how many callers try the same thing at once.
const many = 64

// test is one promise.
type test struct {
	name string
	run  func(t *testing.T, s mfa.Store)
}

// Run shows that the stores that open returns keep their promises. open returns
// an empty store for each test and closes it when the test is over.
func Run(t *testing.T, open func(t *testing.T) mfa.Store) {
	for _, part := range []struct {
		name  string
		tests []test
	}{
		{"Users", users}, {"Lists", lists}, {"Sessions", sessions}, {"Challenges", challenges},
		{"Throttle", throttle}, {"Organizations", organizations}, {"Policies", policies}, {"EventLog", events}, {"Chain", chains},
		{"APIKeys", apiKeys}, {"Campaigns", campaigns}, {"Changes", changes}, {"Locks", locks}, {"Context", contexts},
	} {
		t.Run(part.name, func(t *testing.T) {
			for _, c := range part.tests {
				t.Run(c.name, func(t *testing.T) { c.run(t, open(t)) })
			}
		})
	}
}

// RunReopen shows that what was acknowledged is there after the store was closed
// and opened again. reopen closes the store and returns the one that was opened
// in its place.
func RunReopen(t *testing.T, open func(t *testing.T) (s mfa.Store, reopen func() mfa.Store)) {
	for _, c := range reopened {
		t.Run(c.name, func(t *testing.T) {
			s, reopen := open(t)
			check := c.before(t, s)
			check(t, reopen())
		})
	}
}

// base is a moment before the system's clock; nothing may hang on that.
var base = time.Date(2026, 3, 4, 5, 6, 7, 8000, time.UTC)

var ctx = context.Background()

func newUser(name string) *mfa.User {
	return &mfa.User{
		ID: mfa.UserID("id-" + name), Handle: []byte("handle-" + name),
		Source: "local", Subject: name, Name: name, Created: base,
		Groups:   []string{"staff"},
		Password: mfa.Secret("hash-" + name),
		Credentials: []mfa.Credential{
			{ID: "app", Kind: mfa.TOTP, Name: "phone", Created: base, Data: mfa.Secret("secret-" + name), Step: 10},
			{ID: "key", Kind: mfa.Passkey, Created: base, Data: mfa.Secret("public"), Unique: "raw-" + name, RPID: "app.test"},
		},
	}
}

// namesake is another user of that name, without factors. At a source other than the local
// accounts it is the subject that is the same: a user name is one over all sources.
func namesake(name, source string) *mfa.User {
	u := newUser(name)
	u.ID, u.Handle, u.Source, u.Credentials = "id-2", []byte("handle-2"), source, nil
	if source != mfa.LocalSource {
		u.Name = name + ".of." + source
	}
	return u
}

func newSession(id string, user mfa.UserID) *mfa.Session {
	return &mfa.Session{
		ID: mfa.SessionID(id), User: user, Scope: "app.test", Complete: true,
		Created: base, LastSeen: base, Expires: time.Now().Add(time.Hour).UTC(),
		First:   mfa.Proof{Kind: mfa.Password, At: base},
		Proofs:  []mfa.Proof{{Kind: mfa.TOTP, Credential: "app", At: base}},
		Pending: []mfa.Pending{{ID: "p", Kind: mfa.TOTP, Data: mfa.Secret("pending"), Expires: base}},
	}
}

func newChallenge(id string) *mfa.Challenge {
	return &mfa.Challenge{
		ID: id, Purpose: mfa.ForVerification, User: "id-alice", Session: "s1", Origin: "https://app.test",
		Data: mfa.Secret("state"), Expires: time.Now().Add(time.Minute).UTC(),
	}
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func wantErr(t *testing.T, err, want error) {
	t.Helper()
	if !errors.Is(err, want) {
		t.Fatalf("got error %v, want %v", err, want)
	}
}

// same compares by what is written, which is all that counts.
func same(t *testing.T, got, want any) {
	t.Helper()
	g, err := json.Marshal(got)
	must(t, err)
	w, err := json.Marshal(want)
	must(t, err)
	if string(g) != string(w) {
		t.Fatalf("got  %s\nwant %s", g, w)
	}
}

// race calls fn from n callers at the same moment and returns how many of them
// succeeded. Any error but one of the allowed ones fails the test.
func race(t *testing.T, n int, fn func(i int) error, allowed ...error) int {
	t.Helper()
	var (
		start = make(chan struct{})
		wg    sync.WaitGroup
		won   atomic.Int32
		bad   = make(chan error, n)
	)
	for i := range n {
		wg.Go(func() {
			<-start
			err := fn(i)
			if err == nil {
				won.Add(1)
				return
			}
			for _, a := range allowed {
				if errors.Is(err, a) {
					return
				}
			}
			bad <- err
		})
	}
	close(start)
	wg.Wait()
	close(bad)
	for err := range bad {
		t.Errorf("one of the callers got: %v", err)
	}
	return int(won.Load())
}

func named(format string, i int) string { return fmt.Sprintf(format, i) }
