package postgres

import (
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/secondgate/secondgate/mfa"
)

// nodes returns so many gateways on one database.
func nodes(t *testing.T, n int) []*Store {
	t.Helper()
	o, keys := withTables(t), newKeys(t)
	list := make([]*Store, n)
	for i := range list {
		list[i] = openAt(t, o, keys)
	}
	return list
}

// byAll calls fn n times at once, through the nodes in turn, and returns how many
// succeeded. Any other error than the allowed one fails the test.
func byAll(t *testing.T, list []*Store, n int, allowed error, fn func(s *Store, i int) error) int {
	t.Helper()
	var won atomic.Int32
	var wg sync.WaitGroup
	for i := range n {
		wg.Go(func() {
			switch err := fn(list[i%len(list)], i); {
			case err == nil:
				won.Add(1)
			case allowed == nil || !errors.Is(err, allowed):
				t.Errorf("call %d: %v", i, err)
			}
		})
	}
	wg.Wait()
	return int(won.Load())
}

var errSpent = errors.New("spent")

// AC-104, AC-163 on several nodes: of a hundred parallel uses of one thing one succeeds.
func TestStore_ofManyUsesThroughTwoNodesOneSucceeds(t *testing.T) {
	list := nodes(t, 2)
	must(t, list[0].CreateUser(ctx, person("alice")))
	for round := range 3 {
		id := fmt.Sprintf("c%d", round)
		must(t, list[0].PutChallenge(ctx, &mfa.Challenge{ID: id, Expires: time.Now().Add(time.Hour)}))
		if won := byAll(t, list, 100, mfa.ErrNotFound, func(s *Store, _ int) error {
			_, err := s.TakeChallenge(ctx, id)
			return err
		}); won != 1 {
			t.Errorf("%d took one challenge", won)
		}
		if won := byAll(t, list, 100, errSpent, func(s *Store, _ int) error {
			return s.UpdateUser(ctx, "id-alice", func(u *mfa.User) error {
				if u.Credentials[0].Step >= int64(round+1) {
					return errSpent
				}
				u.Credentials[0].Step = int64(round + 1)
				return nil
			})
		}); won != 1 {
			t.Errorf("%d spent one step", won)
		}
	}
	if won := byAll(t, list, 50, mfa.ErrTaken, func(s *Store, i int) error {
		u := person("bob")
		u.ID, u.Handle = mfa.UserID(fmt.Sprintf("id-%d", i)), []byte(fmt.Sprintf("handle-%d", i))
		return s.CreateUser(ctx, u)
	}); won != 1 {
		t.Errorf("%d have one name", won)
	}
	must(t, list[0].CreateSession(ctx, sessionOf("s", "id-alice")))
	if won := byAll(t, list, 50, mfa.ErrNotFound, func(s *Store, i int) error {
		return s.ReplaceSession(ctx, "s", sessionOf(fmt.Sprintf("next-%d", i), "id-alice"))
	}); won != 1 {
		t.Errorf("%d replaced one session", won)
	}
}

// What several nodes count and keep together is counted once, and nothing is lost.
func TestStore_severalNodesLoseNothing(t *testing.T) {
	list := nodes(t, 3)
	must(t, list[0].CreateUser(ctx, person("alice")))
	byAll(t, list, 90, nil, func(s *Store, i int) error {
		return errors.Join(
			s.UpdateAttempts(ctx, []string{"shared", fmt.Sprintf("own-%d", i%4)}, func(a []mfa.Attempts) error { a[0].Count++; a[1].Count++; return nil }),
			s.UpdateUser(ctx, "id-alice", func(u *mfa.User) error { u.Generation++; return nil }),
			s.AppendEvents(ctx, []mfa.Event{{At: time.Now(), Name: mfa.EventVerify, User: "id-alice"}, {At: time.Now(), Name: mfa.EventVerify}}),
			s.CreateSession(ctx, sessionOf(fmt.Sprintf("s%d", i), "id-alice")),
			s.CreateUser(ctx, person(fmt.Sprintf("p%d", i))),
		)
	})
	for i, s := range list {
		a, err := s.Attempts(ctx, "shared")
		must(t, err)
		u, err := s.User(ctx, "id-alice")
		must(t, err)
		sessions, err := s.UserSessions(ctx, "id-alice")
		must(t, err)
		counts, err := s.CountUsers(ctx)
		must(t, err)
		if a.Count != 90 || u.Generation != 90 || len(sessions) != mfa.MaxSessions || counts[mfa.KindsOf(mfa.TOTP)] != 91 {
			t.Errorf("node %d: %d attempts, generation %d, %d sessions, %v users", i, a.Count, u.Generation, len(sessions), counts)
		}
		ends, err := mfa.CheckChain(ctx, s, mfa.Chain{})
		must(t, err)
		if ends.Last != 180 {
			t.Errorf("node %d: %d events", i, ends.Last)
		}
	}
	// A cursor of one node is good at another.
	q := mfa.UserQuery{Where: [][]mfa.Facet{{mfa.FacetNewcomer}}}
	page, next, err := list[0].ListUsers(ctx, q, "", 10)
	must(t, err)
	rest, _, err := list[1].ListUsers(ctx, q, next, 1)
	must(t, err)
	if len(page) != 10 || len(rest) != 1 || rest[0].Name <= page[9].Name {
		t.Errorf("%d users, then %v", len(page), rest)
	}
}
