package mfa_test

import (
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/secondgate/secondgate/internal/pgtest"
	"github.com/secondgate/secondgate/internal/seal"
	"github.com/secondgate/secondgate/mfa"
	"github.com/secondgate/secondgate/store/postgres"
)

// newCluster returns the stores of so many gateways that share one database.
func newCluster(t *testing.T, n int) []mfa.Store {
	t.Helper()
	server := pgtest.Start(t)
	keys, err := seal.NewKeys()
	must(t, err)
	var list []mfa.Store
	for range n {
		db := as[*postgres.DB](t)(postgres.Connect(t.Context(), postgres.Options{URL: server.URL("postgres")}))
		store := as[*postgres.Store](t)(db.Open(keys))
		t.Cleanup(func() { store.Close() })
		list = append(list, store)
	}
	return list
}

// B35 on two gateways with a database of their own each way: of two administrators who take
// each other's role away at once, one stays.
func TestNodes_B35_LastAdministratorOnPostgreSQL(t *testing.T) {
	stores, ctx := newCluster(t, 2), t.Context()
	for _, name := range []string{"root", "root2"} {
		u := lockoutUser()
		u.ID, u.Handle, u.Subject, u.Name = mfa.UserID(name), []byte(name), name, name
		must(t, stores[0].CreateUser(ctx, u))
	}
	gates := []*world{newWorldOn(t, slowLists{stores[0]}), newWorldOn(t, slowLists{stores[1]})}
	for range 3 {
		var tasks sync.WaitGroup
		errs := make([]error, 2)
		for i, whom := range []mfa.UserID{"root", "root2"} {
			tasks.Go(func() { errs[i] = gates[i].machine().SetRole(ctx, whom, mfa.RoleNone, nil) })
		}
		tasks.Wait()
		if (errs[0] == nil) == (errs[1] == nil) {
			t.Fatalf("both roles were taken away, or none: %v", errs)
		}
		for _, name := range []mfa.UserID{"root", "root2"} {
			must(t, stores[0].UpdateUser(ctx, name, func(u *mfa.User) error { u.Admin = true; return nil }))
		}
	}
}

// B37: campaigns run on every gateway, and nobody gets a letter twice.
func TestNodes_B37_NoLetterTwiceOnPostgreSQL(t *testing.T) {
	stores, ctx := newCluster(t, 2), t.Context()
	const people = 60
	a, b := driveOn(t, stores[0], mfa.PolicySettings{}), driveOn(t, stores[1], mfa.PolicySettings{})
	b.time = a.time
	for i := range people {
		a.person(fmt.Sprintf("p%03d", i))
	}
	a.start(mfa.CampaignInput{Deadline: a.clock().Add(7 * day), Remind: []time.Duration{7 * day}})
	var tasks sync.WaitGroup
	for _, d := range []*drive{a, b} {
		tasks.Go(func() {
			if err := d.gate.RunCampaigns(ctx); err != nil {
				t.Error(err)
			}
		})
	}
	tasks.Wait()
	a.run()
	got := append(a.reminded(), b.reminded()...)
	seen := map[string]int{}
	for _, name := range got {
		seen[name]++
	}
	if len(seen) != people || len(got) != people {
		t.Errorf("%d letters to %d people, want %d", len(got), len(seen), people)
	}
}

// B37: what all gateways together send in a minute is what one may send.
func TestNodes_B37_LettersAMinuteOnPostgreSQL(t *testing.T) {
	stores, ctx := newCluster(t, 2), t.Context()
	const people, rate = 30, 600
	a, b := driveAt(t, stores[0], mfa.PolicySettings{}, rate), driveAt(t, stores[1], mfa.PolicySettings{}, rate)
	b.time = a.time
	for i := range people {
		a.person(fmt.Sprintf("p%03d", i))
	}
	a.start(mfa.CampaignInput{Deadline: a.clock().Add(7 * day), Remind: []time.Duration{7 * day}})
	var tasks sync.WaitGroup
	began := time.Now()
	for _, d := range []*drive{a, b} {
		tasks.Go(func() {
			if err := d.gate.RunCampaigns(ctx); err != nil {
				t.Error(err)
			}
		})
	}
	tasks.Wait()
	took := time.Since(began)
	if n := len(a.reminded()) + len(b.reminded()); n != people {
		t.Errorf("%d letters, want %d", n, people)
	}
	if least := (people - 1) * time.Minute / rate; took < least {
		t.Errorf("two gateways sent %d letters in %s, and one alone may do so in %s", people, took, least)
	}
}
