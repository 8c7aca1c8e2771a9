package badger

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/dgraph-io/badger/v4"

	"github.com/secondgate/secondgate/mfa"
	"github.com/secondgate/secondgate/store"
)

func event(i int, at time.Time) mfa.Event {
	return mfa.Event{
		At: at, Name: mfa.EventVerify, Reason: "rejected", User: "u-00000000000000000000", UserName: "somebody", Factor: mfa.TOTP,
		Session: "abcdef0123456789", Network: "198.51.100.0/24", Host: "app.example.com", Decision: fmt.Sprintf("d-%020d", i), Detail: "phone",
	}
}

// appendEvents appends n events, one a second from the given time on.
func appendEvents(t *testing.T, s *Store, n int, from time.Time) {
	t.Helper()
	for i := 0; i < n; {
		var list []mfa.Event
		for ; len(list) < 256 && i < n; i++ {
			list = append(list, event(i, from.Add(time.Duration(i)*time.Second)))
		}
		if err := s.AppendEvents(ctx, list); err != nil {
			t.Fatal(err)
		}
	}
}

// rows counts the rows of a kind.
func rows(t *testing.T, s *Store, prefix string) (n int) {
	t.Helper()
	err := s.view(ctx, func(txn *badger.Txn) error {
		return scan(txn, prefix, "", func(string) (bool, error) { n++; return true, nil })
	})
	if err != nil {
		t.Fatal(err)
	}
	return n
}

func wantRows(t *testing.T, s *Store, want int) {
	t.Helper()
	for _, prefix := range []string{"e/", "y/", "d/"} {
		if got := rows(t, s, prefix); got != want {
			t.Errorf("%d rows with %s, want %d", got, prefix, want)
		}
	}
}

func TestStore_Events_looksAtSoManyInOneCall(t *testing.T) {
	s := openAt(t, newOptions(t))
	const n = 2*lookAt + 100
	appendEvents(t, s, n, time.Now().Add(-n*time.Second))
	for _, q := range []mfa.EventQuery{{Name: "nothing"}, {User: event(0, time.Time{}).User, Name: "nothing"}} {
		calls, after := 0, ""
		for {
			page, next, err := s.Events(ctx, q, after, 10)
			if err != nil || len(page) != 0 {
				t.Fatalf("%d events, %v", len(page), err)
			}
			calls++
			if after = next; after == "" {
				break
			}
		}
		if calls != 3 {
			t.Errorf("%d calls for %d events, want 3", calls, n)
		}
	}
	page, next, err := s.Events(ctx, mfa.EventQuery{}, "", n)
	if err != nil || len(page) != lookAt || next == "" {
		t.Errorf("all at once: %d events, cursor %q, %v", len(page), next, err)
	}
}

func TestStore_forget_removesOldEventsWithTheirIndexes(t *testing.T) {
	o := newOptions(t)
	now := time.Now()
	o.Now = func() time.Time { return now }
	s := openAt(t, o)
	const n = 3000 // more than one write
	appendEvents(t, s, n, now.Add(-n*time.Second))
	if err := s.forget(ctx); err != nil {
		t.Fatal(err)
	}
	wantRows(t, s, n)
	now = now.Add(store.DefaultKeepEvents - 1000*time.Second)
	if err := s.forget(ctx); err != nil {
		t.Fatal(err)
	}
	wantRows(t, s, 1000)
	if list, _, err := s.Events(ctx, mfa.EventQuery{}, "", n); err != nil || len(list) != 1000 {
		t.Errorf("%d events, %v", len(list), err)
	}
	cancelled, cancel := context.WithCancel(ctx)
	cancel()
	now = now.Add(time.Hour)
	if err := s.forget(cancelled); !errors.Is(err, context.Canceled) {
		t.Errorf("for nobody: %v", err)
	}
	// One that cannot be read must not keep those behind it for ever.
	m := moment("")
	_ = s.view(ctx, func(txn *badger.Txn) error {
		return scan(txn, "e/", "", func(rest string) (bool, error) { m = moment(rest); return false, nil })
	})
	if err := s.db.Update(func(txn *badger.Txn) error { return txn.Set(m.row().key(), []byte("damaged")) }); err != nil {
		t.Fatal(err)
	}
	if err := s.forget(ctx); err != nil {
		t.Fatal(err)
	}
	if got := rows(t, s, "e/"); got != 0 {
		t.Errorf("%d events are left", got)
	}
	// Numbers go on, or an event of an old time would take the place of another.
	appendEvents(t, s, 1, now)
	var count store.EventCount
	if err := s.view(ctx, func(txn *badger.Txn) error { return s.read(txn, eventCountRow, &count) }); err != nil || count.Count != n+1 {
		t.Errorf("the count is %d, want %d (%v)", count.Count, n+1, err)
	}
}

// Badger removes what was deleted, or has expired, when it merges a table with one
// that covers the same names. New events never stand among old ones: left to
// expiry, old events would stay on the disk for ever.
func TestStore_forget_givesTheDiskBack(t *testing.T) {
	o := newOptions(t)
	now := time.Now()
	o.Now = func() time.Time { return now }
	s := openAt(t, o)
	appendEvents(t, s, 20_000, now.Add(-20_000*time.Second))
	size := func() (sum int64) {
		names, _ := filepath.Glob(filepath.Join(o.Dir, "*.sst"))
		for _, name := range names {
			if info, err := os.Stat(name); err == nil {
				sum += info.Size()
			}
		}
		return sum
	}
	reopen := func() {
		t.Helper()
		if err := s.Close(); err != nil { // writes what is in memory
			t.Fatal(err)
		}
		s = openAt(t, o)
		if err := s.db.Flatten(1); err != nil {
			t.Fatal(err)
		}
	}
	reopen()
	full := size()
	now = now.Add(store.DefaultKeepEvents + time.Hour)
	if err := s.forget(ctx); err != nil {
		t.Fatal(err)
	}
	reopen()
	deadline := time.Now().Add(5 * time.Second) // what is replaced is removed in the background
	for size() > full/20 && time.Now().Before(deadline) {
		time.Sleep(10 * time.Millisecond)
	}
	if left := size(); left > full/20 {
		t.Errorf("%d of %d bytes are left", left, full)
	}
}

// AC-188, AC-209: whoever makes events without end must not stop sign-ins by it.
func TestStore_AC188_eventsStopFirst(t *testing.T) {
	s := openAt(t, newOptions(t))
	var free atomic.Uint64
	s.space.floor = defaultFloor
	s.space.lookUp = func(string) (uint64, error) { return free.Load(), nil }
	leave := func(room uint64) {
		free.Store(room)
		s.space.until.Store(0)
	}
	list := []mfa.Event{event(0, time.Now())}
	leave(2 * defaultFloor)
	if err := s.AppendEvents(ctx, list); err != nil {
		t.Errorf("with room: %v", err)
	}
	leave(2*defaultFloor - 1)
	if err := s.AppendEvents(ctx, list); !errors.Is(err, ErrFull) {
		t.Errorf("below the floor of events: %v, want ErrFull", err)
	}
	if err := s.CreateUser(ctx, user(0)); err != nil {
		t.Errorf("a user at that moment: %v", err)
	}
	if err := s.CreateOrganization(ctx, organization("acme")); err != nil {
		t.Errorf("an organization at that moment: %v", err)
	}
	if page, _, err := s.Events(ctx, mfa.EventQuery{}, "", 10); err != nil || len(page) != 1 {
		t.Errorf("reading: %d events, %v", len(page), err)
	}
	leave(defaultFloor - 1)
	if err := s.UpdateOrganization(ctx, "acme", func(o *mfa.Organization) error { o.Require = false; return nil }); !errors.Is(err, ErrFull) {
		t.Errorf("an organization below the floor: %v, want ErrFull", err)
	}
	if err := s.forget(ctx); err != nil { // nothing is old
		t.Errorf("forgetting: %v", err)
	}
	leave(2 * defaultFloor)
	if err := s.AppendEvents(ctx, list); err != nil {
		t.Errorf("with room again: %v", err)
	}
}

// AC-195: a thief who can write the disk hides what he did under somebody else's
// name, or gives one organization the rules of another.
func TestStore_AC195_RejectsMovedEventsAndOrganizations(t *testing.T) {
	s := openAt(t, newOptions(t))
	now := time.Now()
	alice, bob := event(1, now), event(2, now.Add(time.Second))
	alice.User, bob.User = "alice", "bob"
	lax := organization("lax")
	lax.Require = false
	for _, err := range []error{
		s.AppendEvents(ctx, []mfa.Event{alice, bob}),
		s.CreateOrganization(ctx, organization("strict")), s.CreateOrganization(ctx, lax),
	} {
		if err != nil {
			t.Fatal(err)
		}
	}
	edit := func(fn func(txn *badger.Txn) error) {
		t.Helper()
		if err := s.db.Update(fn); err != nil {
			t.Fatal(err)
		}
	}
	move := func(from, to []byte) {
		t.Helper()
		edit(func(txn *badger.Txn) error {
			item, err := txn.Get(from)
			if err != nil {
				return err
			}
			value, err := item.ValueCopy(nil)
			if err != nil {
				return err
			}
			return txn.Set(to, value)
		})
	}
	refused := func(what string, err error) {
		t.Helper()
		if !errors.Is(err, store.ErrDamaged) || errors.Is(err, mfa.ErrNotFound) {
			t.Errorf("%s: %v, want ErrDamaged", what, err)
		}
	}
	ofAlice, ofBob := momentOf(alice.At, 1), momentOf(bob.At, 2)
	edit(func(txn *badger.Txn) error { return txn.Set([]byte(userEvents("alice")+string(ofBob)), nil) })
	_, _, err := s.Events(ctx, mfa.EventQuery{User: "alice"}, "", 10)
	refused("another's event in a user's index", err)
	edit(func(txn *badger.Txn) error { return txn.Set([]byte(decisionEvents(alice.Decision)+string(ofBob)), nil) })
	_, _, err = s.Events(ctx, mfa.EventQuery{Decision: alice.Decision}, "", 10)
	refused("another's event in a decision's index", err)
	move(ofBob.row().key(), ofAlice.row().key())
	_, _, err = s.Events(ctx, mfa.EventQuery{}, "", 10)
	refused("an event in another's place", err)
	edit(func(txn *badger.Txn) error { return txn.Delete(ofBob.row().key()) })
	_, _, err = s.Events(ctx, mfa.EventQuery{User: "bob"}, "", 10)
	refused("an event that was taken away", err)

	move(organizationRow("lax").key(), organizationRow("strict").key())
	_, err = s.Organization(ctx, "strict")
	refused("an organization", err)
	refused("an organization, updated", s.UpdateOrganization(ctx, "strict", func(*mfa.Organization) error { t.Error("changed"); return nil }))
	_, err = s.ListOrganizations(ctx)
	refused("an organization, listed", err)
	if err := s.RemoveOrganization(ctx, "strict"); err != nil {
		t.Errorf("a damaged organization cannot be removed: %v", err)
	}
}

func TestStore_eventsAndOrganizationsAreNotReadableOnTheDisk(t *testing.T) {
	o := newOptions(t)
	s := openAt(t, o)
	e := event(1, time.Now())
	e.UserName, e.Detail, e.Host, e.Network = "alice-the-user", "renamed-to-kitchen", "host.example.test", "198.51.100.0/24"
	org := organization("acme")
	org.Name, org.Domains = "Acme-Incorporated", []string{"acme-domain.test"}
	if err := s.AppendEvents(ctx, []mfa.Event{e}); err != nil {
		t.Fatal(err)
	}
	if err := s.CreateOrganization(ctx, org); err != nil {
		t.Fatal(err)
	}
	left := copyStore(t, o)
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	files := 0
	for _, dir := range []string{left.Dir, o.Dir} {
		for _, pattern := range []string{"*.mem", "*.sst", "*.vlog"} {
			names, _ := filepath.Glob(filepath.Join(dir, pattern))
			for _, name := range names {
				raw, err := os.ReadFile(name)
				if err != nil {
					t.Fatal(err)
				}
				if strings.Contains(string(raw), e.Decision) {
					files++ // the name of an index row: what is looked for would be found
				}
				for _, secret := range []string{"alice", "kitchen", "host.example", "198.51", "verify", "rejected", "Incorporated", "acme-domain"} {
					if strings.Contains(string(raw), secret) {
						t.Errorf("%s shows %q", name, secret)
					}
				}
			}
		}
	}
	if files < 2 {
		t.Errorf("the event was in %d files, want the log and a table", files)
	}
}
