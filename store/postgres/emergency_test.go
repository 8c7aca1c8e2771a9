package postgres

import (
	"context"
	"testing"
	"time"

	"github.com/secondgate/secondgate/internal/seal"
	"github.com/secondgate/secondgate/mfa"
	"github.com/secondgate/secondgate/store"
)

// largeStore takes for ever to be sealed anew.
type largeStore struct{ *Store }

func (largeStore) Reseal(ctx context.Context, _ string, _ int) (store.ResealStep, error) {
	<-ctx.Done()
	return store.ResealStep{}, ctx.Err()
}

// AC-197: a stolen key is refused on the node that seals millions of records anew, and on
// those that wait for it, as soon as on any other.
func TestReseal_AC197_emergencyWhileRecordsAreSealedAnew(t *testing.T) {
	clock := new(time.Time)
	*clock = time.Now()
	list, _ := keyedNodes(t, 3, clock)
	c := list[2]
	must(t, c.CreateUser(t.Context(), keyedUser(1)))
	_, err := c.keys.Compromised(t.Context(), *clock)
	must(t, err)
	busy := func(n keyedNode) bool {
		return n.Exclusively(t.Context(), "rotation of the keys", func(context.Context) error { return nil }) != nil
	}
	for _, n := range list[:2] {
		r := store.NewRotation(store.Rotation{
			Keys: n.keys, Store: largeStore{n.Store}, Locks: n.Store, Wait: time.Second, Poll: 100 * time.Millisecond,
			Life: func() time.Duration { return time.Hour },
		})
		ctx, cancel := context.WithCancel(t.Context())
		done := make(chan struct{})
		go func() { defer close(done); r.Run(ctx) }()
		t.Cleanup(func() { cancel(); <-done })
		remove := n.OnKeysChange(r.Wake)
		t.Cleanup(remove)
	}
	eventually(t, "one of them is at it", func() bool { return busy(c) })
	id, err := c.keys.Compromised(t.Context(), *clock)
	must(t, err)
	for i, n := range list[:2] {
		took := eventually(t, "the stolen key is refused", func() bool { return n.keys.Keys()[0].ID == id })
		t.Logf("node %d: after %v", i, took)
		if verify := n.keys.Derived("session token"); len(verify) != 1 || verify[0].Status != seal.Primary {
			t.Errorf("node %d still verifies with %v", i, verify)
		}
	}
}

var _ mfa.Locks = largeStore{}
