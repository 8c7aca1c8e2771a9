package mfa_test

import (
	"context"
	"errors"
	"sync"
	"testing"
	"time"

	"github.com/secondgate/secondgate/mfa"
)

// Two gateways on one store. What holds in one process holds over both.

// slowLists is a store whose lists take a while, so that whoever looks and then writes is
// overtaken for certain by another one who does the same.
type slowLists struct{ mfa.Store }

func (s slowLists) ListUsers(ctx context.Context, q mfa.UserQuery, after string, limit int) ([]*mfa.User, string, error) {
	page, next, err := s.Store.ListUsers(ctx, q, after, limit)
	time.Sleep(20 * time.Millisecond)
	return page, next, err
}

// node returns the same company as another gateway on the store sees it.
func (c *company) node(t *testing.T) *company {
	other := &company{world: newWorldOn(t, slowLists{c.store}), id: c.id}
	other.policy = c.policy
	return other
}

// B35: two administrators take each other's role away, each through a node of their own.
func TestNodes_B35_LastAdministrator(t *testing.T) {
	c, ctx := newCompany(t), t.Context()
	a, b := c.node(t), c.node(t)
	for range 3 {
		var tasks sync.WaitGroup
		errs := make(chan error, 2)
		for _, x := range []struct {
			by        *mfa.Administration
			takesFrom string
		}{{a.as("root", ""), "root2"}, {b.as("root2", ""), "root"}} {
			tasks.Go(func() { errs <- x.by.SetRole(ctx, c.id[x.takesFrom], mfa.RoleNone, nil) })
		}
		tasks.Wait()
		first, second := <-errs, <-errs
		if (first == nil) == (second == nil) || !errors.Is(errors.Join(first, second), mfa.ErrLastAdministrator) {
			t.Fatalf("two took each other's role away: %v, %v", first, second)
		}
		for _, name := range []string{"root", "root2"} {
			must(t, c.store.UpdateUser(ctx, c.id[name], func(u *mfa.User) error { u.Admin = true; return nil }))
		}
	}
}

// deaf is a store of which nobody hears that the policy has changed, as on a node in the
// moment before it is told.
type deaf struct{ mfa.Store }

func (deaf) OnOrganizationChange(func()) (remove func()) { return func() {} }

// B35: the guard against locking administrators out is decided by the policy that the
// store has, also where the change was made on another node a moment ago.
func TestNodes_B35_LockoutByTheNewestPolicy(t *testing.T) {
	store, ctx := newStore(t), t.Context()
	off := true
	node := func(s mfa.Store) (*world, *mfa.Policies) {
		p, _ := newPolicies(t, s, mfa.PolicySettings{Optional: &off}, allKinds)
		return newWorldOn(t, s, func(c *mfa.Config) { c.Policy, c.Policies = nil, p }), p
	}
	a, _ := node(store)
	b, policies := node(deaf{store})
	u := lockoutUser()
	u.Organizations = []mfa.OrganizationID{"acme"}
	must(t, store.CreateUser(ctx, u))

	must(t, a.machine().SetOrganization(ctx, mfa.Organization{ID: "acme", Require: true}, false))
	if policies.Current().Organizations.Find("acme") != nil {
		t.Fatal("the second node was told")
	}
	// Nobody who has no factor could set one up any more, and the one administrator has none.
	wantsLockout(t, b.machine().SetPolicy(ctx, "enrollment", []string{"pass"}, false), "root has no second factor")
	if s, err := store.PolicySettings(ctx); err != nil || s.Enrollment != nil {
		t.Errorf("it is done all the same: %+v, %v", s, err)
	}
}

// AC-187: an administrator who waits in vain is told so, and nothing was done.
func TestNodes_AC187_BusyIsNotDone(t *testing.T) {
	c, ctx := newCompany(t), t.Context()
	b := c.node(t)
	inside, over := make(chan struct{}), make(chan struct{})
	var task sync.WaitGroup
	task.Go(func() {
		must(t, c.store.Exclusively(ctx, "roles", func(context.Context) error {
			close(inside)
			<-over
			return nil
		}))
	})
	<-inside
	short, cancel := context.WithTimeout(ctx, 50*time.Millisecond)
	defer cancel()
	wants(t, b.as("root", "").SetRole(short, c.id["root2"], mfa.RoleNone, nil), mfa.ErrBusy)
	short, cancel = context.WithTimeout(ctx, 50*time.Millisecond)
	defer cancel()
	wants(t, b.as("root", "").SetOrganization(short, mfa.Organization{ID: "initech"}, false), mfa.ErrBusy)
	if !as[*mfa.User](t)(c.store.User(ctx, c.id["root2"])).Admin {
		t.Error("it is done all the same")
	}
	e := b.events.Named(mfa.EventAdmin)
	if len(e) == 0 || e[len(e)-1].OK || e[len(e)-1].Reason != "busy" {
		t.Errorf("recorded: %+v", e)
	}
	close(over)
	task.Wait()
	must(t, b.as("root", "").SetRole(ctx, c.id["root2"], mfa.RoleNone, nil))
}
