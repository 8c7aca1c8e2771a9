package postgres

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/secondgate/secondgate/mfa"
)

// Two stores, as two gateways have them: what one changes by the store's own methods, the
// other one's listeners hear of.

type ears struct {
	mu       sync.Mutex
	users    map[mfa.UserID]int
	policies int
	keys     int
}

func listenTo(s *Store) *ears {
	e := &ears{users: map[mfa.UserID]int{}}
	s.OnChange(func(id mfa.UserID) { e.mu.Lock(); defer e.mu.Unlock(); e.users[id]++ })
	s.OnOrganizationChange(func() { e.mu.Lock(); defer e.mu.Unlock(); e.policies++ })
	s.OnKeysChange(func() { e.mu.Lock(); defer e.mu.Unlock(); e.keys++ })
	return e
}

func (e *ears) heard(id mfa.UserID) int { e.mu.Lock(); defer e.mu.Unlock(); return e.users[id] }

// AC-025: measured fifty times, from the moment in which the change is acknowledged.
func TestNodes_AC025_revocationIsHeardWithin2Seconds(t *testing.T) {
	list := nodes(t, 2)
	a, b := list[0], list[1]
	e := listenTo(b)
	var took []time.Duration
	for i := range 50 {
		u := person(fmt.Sprint("p", i))
		must(t, a.CreateUser(ctx, u))
		id := mfa.SessionID(fmt.Sprint("s", i))
		must(t, a.CreateSession(ctx, sessionOf(string(id), u.ID)))
		eventually(t, "both changes", func() bool { return e.heard(u.ID) >= 1 })
		time.Sleep(2 * time.Millisecond)
		before := e.heard(u.ID)
		must(t, a.EndSession(ctx, id))
		took = append(took, eventually(t, "the end of the session", func() bool { return e.heard(u.ID) > before }))
		if _, err := b.Session(ctx, id); !errors.Is(err, mfa.ErrNotFound) {
			t.Fatalf("the session is there: %v", err)
		}
	}
	slices.Sort(took)
	t.Logf("median %v, longest %v of %d", took[25], took[49], len(took))
	if took[25] > 2*time.Second {
		t.Errorf("median %v", took[25])
	}
}

// AC-027: policies, organizations and keys as well.
func TestNodes_AC027_policiesAndKeysAreHeardOf(t *testing.T) {
	list := nodes(t, 2)
	a, b := list[0], list[1]
	e := listenTo(b)
	policies := func() int { e.mu.Lock(); defer e.mu.Unlock(); return e.policies }
	keys := func() int { e.mu.Lock(); defer e.mu.Unlock(); return e.keys }
	must(t, a.UpdatePolicySettings(ctx, func(s *mfa.PolicySettings) error { on := true; s.ReportOnly = &on; return nil }))
	eventually(t, "the policy", func() bool { return policies() > 0 })
	before := policies()
	must(t, a.CreateOrganization(ctx, &mfa.Organization{ID: "acme"}))
	eventually(t, "the organization", func() bool { return policies() > before })
	old, err := a.db.Vault().Read(ctx)
	if err != nil {
		old = nil
	}
	must(t, a.db.Vault().Replace(ctx, old, []byte("another text")))
	eventually(t, "the keys", func() bool { return keys() > 0 })
}

// Locks hold over both, and the store works within them.
func TestNodes_exclusively(t *testing.T) {
	list := nodes(t, 2)
	must(t, list[0].CreateUser(ctx, person("alice")))
	inside := 0
	won := byAll(t, list, 20, mfa.ErrBusy, func(s *Store, _ int) error {
		return s.Exclusively(ctx, "work", func(ctx context.Context) error {
			inside++ // the race detector would see two
			return s.UpdateUser(ctx, "id-alice", func(u *mfa.User) error { u.Generation++; return nil })
		})
	})
	u, err := list[1].User(ctx, "id-alice")
	must(t, err)
	if won == 0 || inside != won || int(u.Generation) != won {
		t.Errorf("%d succeeded, %d were inside, generation %d", won, inside, u.Generation)
	}
}
