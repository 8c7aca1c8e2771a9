package postgres

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/secondgate/secondgate/internal/seal"
	"github.com/secondgate/secondgate/mfa"
	"github.com/secondgate/secondgate/store"
)

// No table with records may be forgotten: what is not sealed anew is lost with the old key.
func TestReseal_knowsAllTables(t *testing.T) {
	s := openAt(t, withTables(t), newKeys(t))
	rows, err := s.db.pool.Query(t.Context(), `SELECT table_name FROM information_schema.columns WHERE table_schema = current_schema() AND column_name = 'record'`)
	must(t, err)
	defer rows.Close()
	n := 0
	for rows.Next() {
		var name string
		must(t, rows.Scan(&name))
		n++
		found := false
		for _, r := range resealOrder {
			// A partition has what its table has.
			found = found || r.name == name || strings.HasPrefix(name, r.name+"_")
		}
		if !found {
			t.Errorf("table %s is not sealed anew", name)
		}
	}
	if err := rows.Err(); err != nil || n < len(resealOrder) {
		t.Errorf("%d tables, %v", n, err)
	}
}

// keyedNode is one of several gateways with one database, whose keys lie in it.
type keyedNode struct {
	*Store
	keys     *seal.Keyset
	rotation *store.Rotation
}

func keyedNodes(t *testing.T, n int, clock *time.Time) (list []keyedNode, master *seal.Master) {
	t.Helper()
	master, err := seal.ParseMaster(seal.NewMaster())
	must(t, err)
	o := withTables(t)
	o.Marker = ""
	for range n {
		d := connectTo(t, o)
		keys, err := seal.OpenOrCreateKeys(t.Context(), d.Vault(), master)
		must(t, err)
		s, err := d.Open(keys)
		must(t, err)
		t.Cleanup(func() { _ = s.Close() })
		list = append(list, keyedNode{s, keys, store.NewRotation(store.Rotation{
			Keys: keys, Store: s, Locks: s, Wait: 10 * time.Second, Now: func() time.Time { return *clock },
			Life: func() time.Duration { return 12 * time.Hour },
		})})
	}
	return list, master
}

func (n keyedNode) finish(t *testing.T) {
	t.Helper()
	for range 1000 {
		wait, err := n.rotation.Step(t.Context())
		must(t, err)
		if wait > 0 {
			return
		}
	}
	t.Fatal("a rotation does not end")
}

// old returns how many records the primary key did not seal.
func (n keyedNode) old(t *testing.T) (count int) {
	t.Helper()
	for _, table := range resealOrder {
		list, err := n.recordsBehind(t.Context(), table, "", 1_000_000)
		must(t, err)
		for _, k := range list {
			if k.key != table.but && !n.codec.Current(k.record) {
				count++
			}
		}
	}
	return count
}

func keyedUser(i int) *mfa.User {
	name := fmt.Sprintf("u%03d", i)
	return &mfa.User{ID: mfa.UserID("id-" + name), Source: "local", Subject: name, Name: name,
		Credentials: []mfa.Credential{{ID: "app", Kind: mfa.TOTP, Data: mfa.Secret("secret of " + name)}}}
}

// AC-197: two nodes. One begins, the other carries it on; both serve meanwhile, with the keys
// in another order for a while, and no change is lost. The old key goes when all is over.
func TestReseal_AC197_twoNodes(t *testing.T) {
	clock := new(time.Time)
	*clock = time.Now()
	list, master := keyedNodes(t, 2, clock)
	a, b := list[0], list[1]
	ctx := t.Context()
	for i := range 150 {
		must(t, a.CreateUser(ctx, keyedUser(i)))
	}
	must(t, a.AppendEvents(ctx, []mfa.Event{{At: *clock, Name: mfa.EventAdmin}, {At: *clock, Name: mfa.EventAdmin}}))
	must(t, a.PutChallenge(ctx, &mfa.Challenge{ID: "challenge", Expires: clock.Add(time.Hour)}))
	must(t, a.CreateSession(ctx, &mfa.Session{ID: "live", User: keyedUser(1).ID, Expires: clock.Add(time.Hour)}))
	must(t, a.UpdateAttempts(ctx, []string{"alice"}, func(l []mfa.Attempts) error { l[0].Count = 50; return nil }))

	stop := make(chan struct{})
	counts := make([]int, 4)
	var wg sync.WaitGroup
	for i := range counts {
		wg.Go(func() {
			for {
				select {
				case <-stop:
					return
				default:
				}
				if err := list[i%2].UpdateUser(ctx, keyedUser(i/2).ID, func(u *mfa.User) error { u.Generation++; return nil }); err != nil {
					t.Error(err)
					return
				}
				counts[i]++
			}
		})
	}
	id, err := a.rotation.Begin(ctx)
	must(t, err)
	// It waits until every node has it.
	if wait, err := a.rotation.Step(ctx); err != nil || wait <= 0 || wait > 10*time.Second || a.keys.Keys()[0].ID == id {
		t.Errorf("a key that waits: %s, %v", wait, err)
	}
	must(t, b.keys.Refresh(ctx))
	*clock = clock.Add(11 * time.Second)
	// The other one makes it the primary key; for a while each seals with another one.
	if _, err := b.rotation.Step(ctx); err != nil || b.keys.Keys()[0].ID != id || a.keys.Keys()[0].ID == id {
		t.Fatalf("%v: %v, %v", err, a.keys.Keys(), b.keys.Keys())
	}
	for i := range 20 {
		must(t, list[i%2].CreateUser(ctx, keyedUser(300+i)))
	}
	for i := range 20 {
		if _, err := list[(i+1)%2].User(ctx, keyedUser(300+i).ID); err != nil {
			t.Errorf("what one node sealed, the other one cannot read: %v", err)
		}
	}
	b.finish(t) // a seals with the old key all the while
	must(t, a.keys.Refresh(ctx))
	*clock = clock.Add(13 * time.Hour)
	a.finish(t)
	close(stop)
	wg.Wait()
	must(t, b.keys.Refresh(ctx))
	for i, n := range list {
		if got := n.keys.Keys(); len(got) != 1 || got[0].ID != id {
			t.Fatalf("node %d has the keys %v", i, got)
		}
		if old := n.old(t); old > 0 {
			t.Errorf("%d records are sealed with a key that is gone", old)
		}
	}
	for i := range 2 {
		u, err := b.User(ctx, keyedUser(i).ID)
		must(t, err)
		if want := counts[2*i] + counts[2*i+1]; u.Generation != want || want == 0 {
			t.Errorf("%d changes were acknowledged and %d are there", want, u.Generation)
		}
	}
	if at, err := b.Attempts(ctx, "alice"); err != nil || at.Count != 50 {
		t.Errorf("%+v, %v", at, err)
	}
	if _, err := mfa.CheckChain(ctx, b, mfa.Chain{}); err != nil {
		t.Error(err)
	}
	if _, err := b.Session(ctx, "live"); err != nil {
		t.Error(err)
	}
	// And a node that starts now.
	keys, err := seal.OpenKeys(ctx, b.db.Vault(), master)
	must(t, err)
	if got := keys.Keys(); len(got) != 1 || got[0].ID != id {
		t.Errorf("a node that starts has the keys %v", got)
	}
}

// AC-197: interrupted on one node, carried on by another.
func TestReseal_AC197_anotherNodeGoesOn(t *testing.T) {
	clock := new(time.Time)
	*clock = time.Now()
	list, _ := keyedNodes(t, 2, clock)
	a, b := list[0], list[1]
	for i := range 150 {
		must(t, a.CreateUser(t.Context(), keyedUser(i)))
	}
	_, err := a.keys.Compromised(t.Context(), *clock)
	must(t, err)
	_, err = a.rotation.Step(t.Context()) // a pass begins
	must(t, err)
	p, err := a.ResealProgress(t.Context())
	must(t, err)
	for range 6 {
		step, err := a.Reseal(t.Context(), p.After, 20)
		must(t, err)
		p.After, p.Looked, p.Sealed = step.Next, p.Looked+step.Looked, p.Sealed+step.Sealed
	}
	must(t, a.KeepResealProgress(t.Context(), p))
	cut, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := a.Reseal(cut, p.After, 20); !errors.Is(err, context.Canceled) {
		t.Errorf("got %v", err)
	}
	was := a.old(t)
	must(t, a.Close())
	must(t, b.keys.Refresh(t.Context()))
	if got, err := b.ResealProgress(t.Context()); err != nil || got.Looked != p.Looked || b.old(t) != was || was == 0 {
		t.Fatalf("%+v, %v; %d were old and %d are", got, err, was, b.old(t))
	}
	b.finish(t)
	if old := b.old(t); old > 0 {
		t.Errorf("%d are left", old)
	}
	for i := range 150 {
		if _, err := b.User(t.Context(), keyedUser(i).ID); err != nil {
			t.Fatal(err)
		}
	}
}
