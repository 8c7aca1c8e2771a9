package badger

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"github.com/dgraph-io/badger/v4"

	"github.com/secondgate/secondgate/internal/seal"
	"github.com/secondgate/secondgate/mfa"
	"github.com/secondgate/secondgate/store"
)

// rotating returns a filled store whose keys stand in a file, and what carries a rotation
// on. The clock of the rotation is the test's.
func rotating(t *testing.T) (o Options, s *Store, r *store.Rotation, clock *time.Time) {
	t.Helper()
	o = newOptions(t)
	keys, err := seal.CreateKeys(ctx, keyFileOf(o), nil)
	if err != nil {
		t.Fatal(err)
	}
	o.Keys = keys
	s = openAt(t, o)
	fill(t, s)
	ok(t, s.PutChallenge(ctx, &mfa.Challenge{ID: "challenge", Expires: time.Now().Add(time.Hour)}))
	ok(t, s.CreateSession(ctx, &mfa.Session{ID: "live", User: user(1).ID, Expires: time.Now().Add(time.Hour)}))
	_, err = s.CountUsers(ctx)
	ok(t, err)
	clock = new(time.Time)
	*clock = time.Now()
	return o, s, rotationOf(s, keys, clock), clock
}

func rotationOf(s *Store, keys *seal.Keyset, clock *time.Time) *store.Rotation {
	return store.NewRotation(store.Rotation{
		Keys: keys, Store: s, Locks: s, Now: func() time.Time { return *clock }, Life: func() time.Duration { return 12 * time.Hour },
	})
}

// oldOnes returns how many records the primary key did not seal, and when each record
// goes.
func oldOnes(t *testing.T, s *Store) (old int, expires map[string]uint64) {
	t.Helper()
	expires = make(map[string]uint64)
	ok(t, s.view(ctx, func(txn *badger.Txn) error {
		return s.records(txn, "", func(r row, item *badger.Item) (bool, error) {
			expires[string(item.KeyCopy(nil))] = item.ExpiresAt()
			return true, item.Value(func(record []byte) error {
				if !s.codec.Current(record) {
					old++
				}
				return nil
			})
		})
	}))
	return old, expires
}

// finish goes on until there is nothing to do at this moment.
func finish(t *testing.T, r *store.Rotation) {
	t.Helper()
	for range 1000 {
		wait, err := r.Step(ctx)
		ok(t, err)
		if wait > 0 {
			return
		}
	}
	t.Fatal("a rotation does not end")
}

// No table with records may be forgotten: what is not sealed anew is lost with the old key.
func TestReseal_knowsAllTables(t *testing.T) {
	seen := make(map[store.Table]bool)
	for _, table := range resealOrder {
		seen[table] = true
	}
	for table := range prefixes {
		if !seen[table] {
			t.Errorf("table %s is not sealed anew", table)
		}
	}
}

// AC-197: encryption key rotation, from its beginning to the removal of the old key.
func TestReseal_AC197_wholeRotation(t *testing.T) {
	o, s, r, clock := rotating(t)
	_, before := oldOnes(t, s)
	announced := 0
	s.OnChange(func(mfa.UserID) { announced++ })
	_, err := r.Begin(ctx)
	ok(t, err)
	finish(t, r)
	status, err := r.Status(ctx)
	ok(t, err)
	if status.Stage != "overlap" || status.Progress.Sealed < users || status.Progress.Damaged != 0 || len(status.Keys) != 2 {
		t.Fatalf("after sealing: %+v", status)
	}
	old, after := oldOnes(t, s)
	if old > 0 || announced > 0 {
		t.Errorf("%d records are sealed with the old key, %d changes were announced", old, announced)
	}
	for name, at := range before {
		if after[name] != at {
			t.Errorf("%q went at %d and goes at %d now", name, at, after[name])
		}
	}
	ok(t, intact(s))
	ok(t, s.CheckIndex(ctx))
	// The old key verifies for as long as its tokens may live, and goes then.
	*clock = clock.Add(12 * time.Hour)
	finish(t, r)
	if n := len(o.Keys.Keys()); n != 2 {
		t.Fatalf("the old key went before its tokens were over: %d keys", n)
	}
	*clock = clock.Add(5 * time.Minute)
	finish(t, r)
	if n := len(o.Keys.Keys()); n != 1 {
		t.Fatalf("the old key stays: %d keys", n)
	}
	ok(t, intact(s))
	ok(t, s.Close())
	s = openAt(t, o)
	ok(t, intact(s))
	if _, err := s.Session(ctx, "live"); err != nil {
		t.Error(err)
	}
}

// AC-197: a node that knew of the new key late may have sealed a record with the old one
// after the pass went by. It is found before the old key goes.
func TestReseal_AC197_looksOnceMoreBeforeItRemoves(t *testing.T) {
	o, s, r, clock := rotating(t)
	late := store.NewCodec(o.Keys)
	u := *user(3)
	u.DisplayName = "Late"
	record, err := late.Encode(store.Users, string(u.ID), &u) // sealed, and not written yet
	ok(t, err)
	_, err = r.Begin(ctx)
	ok(t, err)
	finish(t, r)
	ok(t, s.update(ctx, nil, func(w *writing) error { return w.set(userRow(u.ID).key(), record, 0) }))
	*clock = clock.Add(13 * time.Hour)
	finish(t, r)
	if len(o.Keys.Keys()) != 1 {
		t.Fatal("the old key stays")
	}
	if got, err := s.User(ctx, u.ID); err != nil || got.DisplayName != "Late" {
		t.Errorf("a record of a late node is lost: %v", err)
	}
}

// AC-197: interrupted re-encryption. It stops in the middle, the store is closed and opened
// with the key file alone, and it goes on where it was.
func TestReseal_AC197_goesOnAfterAnInterruption(t *testing.T) {
	o, s, r, clock := rotating(t)
	_, err := r.Begin(ctx)
	ok(t, err)
	_, err = r.Step(ctx) // the new key is the primary one
	ok(t, err)
	_, err = r.Step(ctx) // a pass begins
	ok(t, err)
	p, err := s.ResealProgress(ctx)
	ok(t, err)
	// Some batches, and then it is cut short within one.
	for range 3 {
		step, err := s.Reseal(ctx, p.After, 10)
		ok(t, err)
		p.After, p.Looked, p.Sealed = step.Next, p.Looked+step.Looked, p.Sealed+step.Sealed
	}
	ok(t, s.KeepResealProgress(ctx, p))
	cut, cancel := context.WithCancel(ctx)
	cancel()
	if _, err := s.Reseal(cut, p.After, 10); !errors.Is(err, context.Canceled) {
		t.Fatal(err)
	}
	was, _ := oldOnes(t, s)
	ok(t, s.Close())
	if o.Keys, err = seal.OpenKeys(ctx, keyFileOf(o), nil); err != nil {
		t.Fatal(err)
	}
	s = openAt(t, o)
	ok(t, intact(s))
	if now, _ := oldOnes(t, s); now == 0 || now > was {
		t.Fatalf("%d were old, and %d are after the restart", was, now)
	}
	r = rotationOf(s, o.Keys, clock)
	if status, err := r.Status(ctx); err != nil || status.Stage != "sealing" || status.Progress.Looked != 30 {
		t.Fatalf("%+v, %v", status, err)
	}
	finish(t, r)
	if old, _ := oldOnes(t, s); old > 0 {
		t.Errorf("%d are left", old)
	}
	ok(t, intact(s))
	ok(t, s.CheckIndex(ctx))
	if status, err := r.Status(ctx); err != nil || status.Progress.Looked != status.Progress.Total {
		t.Errorf("%+v, %v", status, err)
	}
}

// AC-197: rolled back to the old key file. What was made since cannot be read with it, so
// the store must not open, however early that was.
func TestReseal_AC197_RejectsTheOldKeyFile(t *testing.T) {
	o, s, r, _ := rotating(t)
	old, err := keyFileOf(o).Read(ctx)
	ok(t, err)
	_, err = r.Begin(ctx)
	ok(t, err)
	for range 2 {
		_, err = r.Step(ctx)
		ok(t, err)
	}
	_, err = s.Reseal(ctx, "", 10) // the first batch of a pass
	ok(t, err)
	ok(t, s.Close())
	now, err := keyFileOf(o).Read(ctx)
	ok(t, err)
	newest := o.Keys
	ok(t, keyFileOf(o).Replace(ctx, now, old))
	if o.Keys, err = seal.OpenKeys(ctx, keyFileOf(o), nil); err != nil {
		t.Fatal(err)
	}
	if opened, err := Open(o); !errors.Is(err, store.ErrDamaged) {
		if err == nil {
			_ = opened.Close()
		}
		t.Errorf("with the old key file: %v", err)
	}
	o.Keys = newest
	ok(t, intact(openAt(t, o)))
}

// keyFileOf is the file of rotating's keys.
func keyFileOf(o Options) seal.FileVault {
	return seal.FileVault(filepath.Join(filepath.Dir(o.Dir), "keys.json"))
}

// A record that is damaged keeps no other one from being sealed anew, and is not lost in
// silence.
func TestReseal_leavesDamageAsItIs(t *testing.T) {
	_, s, r, _ := rotating(t)
	ok(t, s.update(ctx, nil, func(w *writing) error {
		item, err := w.Get(userRow(user(5).ID).key())
		if err != nil {
			return err
		}
		record, err := item.ValueCopy(nil)
		if err != nil {
			return err
		}
		record[len(record)-1] ^= 1
		return w.set(userRow(user(5).ID).key(), record, 0)
	}))
	_, err := r.Begin(ctx)
	ok(t, err)
	finish(t, r)
	status, err := r.Status(ctx)
	ok(t, err)
	if status.Progress.Damaged != 1 || status.Stage != "overlap" {
		t.Errorf("%+v", status)
	}
	if _, err := s.User(ctx, user(5).ID); !errors.Is(err, store.ErrDamaged) {
		t.Errorf("the damaged one: %v", err)
	}
}

// AC-197: encryption key rotation while serving. Changes to the rows that are being sealed
// go on meanwhile, and none is lost or comes back.
func TestReseal_AC197_whileServing(t *testing.T) {
	o, s, r, clock := rotating(t)
	stop := make(chan struct{})
	counts := make([]int, 8)
	var wg sync.WaitGroup
	for i := range counts {
		wg.Go(func() {
			for n := 0; ; n++ {
				select {
				case <-stop:
					return
				default:
				}
				id := user(i % users).ID
				err := s.UpdateUser(ctx, id, func(u *mfa.User) error { u.Generation++; return nil })
				if err == nil {
					err = s.UpdateAttempts(ctx, []string{fmt.Sprint("key", i)}, func(a []mfa.Attempts) error { a[0].Count++; return nil })
				}
				sid := mfa.SessionID(fmt.Sprintf("s-%d-%d", i, n))
				if err == nil {
					err = s.CreateSession(ctx, &mfa.Session{ID: sid, User: id, Expires: time.Now().Add(time.Hour)})
				}
				if err == nil && n%2 == 0 {
					if err = s.EndSession(ctx, sid); err == nil {
						if _, err = s.Session(ctx, sid); errors.Is(err, mfa.ErrNotFound) {
							err = nil
						} else {
							err = fmt.Errorf("an ended session is back: %w", err)
						}
					}
				}
				if err != nil {
					t.Error(err)
					return
				}
				counts[i]++
			}
		})
	}
	for range 3 {
		_, err := r.Begin(ctx)
		ok(t, err)
		finish(t, r)
		*clock = clock.Add(13 * time.Hour)
		finish(t, r)
		if n := len(o.Keys.Keys()); n != 1 {
			t.Fatalf("%d keys", n)
		}
	}
	close(stop)
	wg.Wait()
	for i, n := range counts {
		u, err := s.User(ctx, user(i).ID)
		ok(t, err)
		a, err := s.Attempts(ctx, fmt.Sprint("key", i))
		ok(t, err)
		if u.Generation != n || a.Count != n || n == 0 {
			t.Errorf("%d changes were acknowledged, and %d and %d are there", n, u.Generation, a.Count)
		}
	}
	if old, _ := oldOnes(t, s); old > 0 {
		t.Errorf("%d records are sealed with a key that is gone", old)
	}
	ok(t, s.CheckIndex(ctx))
}

// AC-197: stolen keys. The store is sealed with the new one first thing.
func TestReseal_AC197_compromised(t *testing.T) {
	o, s, r, clock := rotating(t)
	_, err := o.Keys.Compromised(ctx, *clock)
	ok(t, err)
	finish(t, r)
	if old, _ := oldOnes(t, s); old > 0 {
		t.Errorf("%d records are sealed with a stolen key", old)
	}
	*clock = clock.Add(3 * time.Minute)
	finish(t, r)
	if n := len(o.Keys.Keys()); n != 1 {
		t.Errorf("the stolen key stays: %d keys", n)
	}
	ok(t, intact(s))
}
