package badger

import (
	"bytes"
	"encoding/base64"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/dgraph-io/badger/v4"

	"github.com/secondgate/secondgate/mfa"
	"github.com/secondgate/secondgate/store"
)

// member is a user of whom every kind of index row hangs.
func member(i int) *mfa.User {
	u := user(i)
	u.Email, u.EmailVerified, u.DisplayName = fmt.Sprintf("m%d@example.test", i), true, "Ann Example"
	u.Organizations = []mfa.OrganizationID{"acme"}
	if i%3 == 0 {
		u.Credentials = nil
	}
	return u
}

func ok(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// editRows changes rows behind the store's back.
func editRows(t *testing.T, s *Store, fn func(txn *badger.Txn) error) {
	t.Helper()
	ok(t, s.db.Update(fn))
}

// makeOld takes everything out of an open store that programs of format 1 did not know.
func makeOld(t *testing.T, s *Store) {
	t.Helper()
	editRows(t, s, func(txn *badger.Txn) error {
		var names [][]byte
		for _, prefix := range []string{facetPrefix, termPrefix, prefixes[store.Counters], numberPrefix} {
			err := scan(txn, prefix, "", func(rest string) (bool, error) {
				names = append(names, []byte(prefix+rest))
				return true, nil
			})
			if err != nil {
				return err
			}
		}
		for _, name := range append(names, indexRow.key(), eventStartRow.key()) {
			if err := txn.Delete(name); err != nil {
				return err
			}
		}
		record, err := s.codec.Encode(store.Meta, anchorRow.id, anchor{Format: 1, Count: s.anchored})
		if err != nil {
			return err
		}
		return txn.Set(anchorRow.key(), record)
	})
	s.dirty.Store(false) // or Close writes a new anchor
}

// oldStore makes a store of format 1 with so many users.
func oldStore(t *testing.T, n int) Options {
	t.Helper()
	o := newOptions(t)
	s, err := Open(o)
	ok(t, err)
	for i := range n {
		ok(t, s.CreateUser(ctx, member(i)))
	}
	ok(t, s.writeAnchor())
	makeOld(t, s)
	ok(t, s.Close())
	return o
}

// opened opens the store and returns what it logged.
func opened(t *testing.T, o Options) (*Store, *bytes.Buffer) {
	t.Helper()
	var log bytes.Buffer
	o.Logger = slog.New(slog.NewTextHandler(&log, nil))
	return openAt(t, o), &log
}

// indexed checks that index and counters are those of n members.
func indexed(t *testing.T, s *Store, n int) {
	t.Helper()
	ok(t, s.CheckIndex(ctx))
	for _, q := range []mfa.UserQuery{{Search: "ann"}, {Where: [][]mfa.Facet{{mfa.FacetOrganization("acme")}}}} {
		found, after := 0, ""
		for {
			page, next, err := s.ListUsers(ctx, q, after, n+1)
			ok(t, err)
			if found, after = found+len(page), next; next == "" {
				break
			}
		}
		if found != n {
			t.Errorf("%+v: %d users of %d", q, found, n)
		}
	}
	for _, facets := range [][]mfa.Facet{nil, {mfa.FacetOrganization("acme")}, {mfa.FacetDomain("example.test"), mfa.FacetOrganization("acme")}} {
		got, err := s.CountUsers(ctx, facets...)
		if err != nil || got[0] != (n+2)/3 || got[mfa.KindsOf(mfa.TOTP)] != n-(n+2)/3 {
			t.Errorf("%v: counted are %v, %v", facets, got, err)
		}
	}
}

func TestOpen_buildsTheIndexOfAnOldStore(t *testing.T) {
	const n = 2*buildPart + 300
	o := newOptions(t)
	old, err := Open(o)
	ok(t, err)
	batch := old.db.NewWriteBatch()
	for i := range n {
		record, err := old.codec.Encode(store.Users, string(member(i).ID), member(i))
		ok(t, err)
		ok(t, batch.Set(userRow(member(i).ID).key(), record))
		ok(t, batch.Set([]byte(namePrefix+member(i).Name+separator+string(member(i).ID)), nil))
	}
	ok(t, batch.Flush())
	ok(t, old.writeAnchor())
	makeOld(t, old)
	ok(t, old.Close())
	s, log := opened(t, o)
	indexed(t, s, n)
	if !strings.Contains(log.String(), "index of users is built") || !strings.Contains(log.String(), fmt.Sprint("users=", n)) {
		t.Errorf("logged: %s", log)
	}
	if s.Fresh() {
		t.Error("it is taken for a first start")
	}
	// A program that would leave the index behind is kept away.
	var a anchor
	ok(t, s.view(ctx, func(txn *badger.Txn) error { return s.read(txn, anchorRow, &a) }))
	if a.Format != 2 {
		t.Errorf("format %d", a.Format)
	}
	ok(t, s.UpdateUser(ctx, user(1).ID, func(u *mfa.User) error { u.Name = "another"; return nil }))
	ok(t, s.Close())
	s, log = opened(t, o)
	indexed(t, s, n)
	if strings.Contains(log.String(), "index") {
		t.Errorf("it is built again: %s", log)
	}
}

func TestOpen_anEmptyStoreHasItsIndexAtOnce(t *testing.T) {
	o := newOptions(t)
	s, log := opened(t, o)
	ok(t, s.CheckIndex(ctx))
	// What is there before anybody closes it is what a crash would leave.
	left := copyStore(t, o)
	crashed, again := opened(t, left)
	ok(t, crashed.CheckIndex(ctx))
	if log.Len()+again.Len() > 0 {
		t.Errorf("logged: %s%s", log, again)
	}
	if !bytes.Equal(s.index.Key, crashed.index.Key) || len(s.index.Key) != 32 {
		t.Error("it has another key after the crash")
	}
}

// However far the building came, the next start makes it whole.
func TestOpen_buildsTheIndexAnewAfterACrash(t *testing.T) {
	const n = 60
	newer := func(t *testing.T, s *Store) {
		editRows(t, s, func(txn *badger.Txn) error {
			return txn.Set(userRow(user(n/2).ID).key(), []byte{store.Version + 1, 1, 2, 3})
		})
	}
	o := oldStore(t, n)
	// A record in the middle that this program cannot read stops it there.
	var record []byte
	s := openWithoutIndex(t, o)
	ok(t, s.db.View(func(txn *badger.Txn) error {
		item, err := txn.Get(userRow(user(n / 2).ID).key())
		if err != nil {
			return err
		}
		record, err = item.ValueCopy(nil)
		return err
	}))
	newer(t, s)
	ok(t, s.db.Close())
	if _, err := Open(o); !errors.Is(err, store.ErrNewer) {
		t.Fatalf("got %v", err)
	}
	s = openWithoutIndex(t, o)
	editRows(t, s, func(txn *badger.Txn) error {
		if err := txn.Set(userRow(user(n/2).ID).key(), record); err != nil {
			return err
		}
		// What an earlier try left and nobody needs any more.
		for _, name := range []string{facetPrefix + "01234567u001" + separator + "id-001", termPrefix + "nobody" + separator + "id-001", "g/01234567\x05"} {
			if err := txn.Set([]byte(name), nil); err != nil {
				return err
			}
		}
		return nil
	})
	var building indexMeta
	ok(t, s.db.View(func(txn *badger.Txn) error { return s.read(txn, indexRow, &building) }))
	if !building.Building {
		t.Error("the index that was not finished passes for whole")
	}
	ok(t, s.db.Close())
	whole, log := opened(t, o)
	indexed(t, whole, n)
	if !strings.Contains(log.String(), fmt.Sprint("users=", n)) {
		t.Errorf("logged: %s", log)
	}
}

// openWithoutIndex opens no more than the database.
func openWithoutIndex(t *testing.T, o Options) *Store {
	t.Helper()
	s := &Store{dir: o.Dir, codec: store.NewCodec(o.Keys), log: slog.New(slog.DiscardHandler), space: newSpace(o.Dir, 1)}
	ok(t, s.openDB())
	return s
}

func TestOpen_buildsTheIndexOfAnotherVersionAnew(t *testing.T) {
	o := newOptions(t)
	s := openAt(t, o)
	for i := range 30 {
		ok(t, s.CreateUser(ctx, member(i)))
	}
	set := func(s *Store, version int) {
		ok(t, s.update(ctx, nil, func(w *writing) error {
			meta := *s.index
			meta.Version = version
			return w.put(indexRow, meta, 0)
		}))
		ok(t, s.Close())
	}
	set(s, indexVersion-1)
	s, log := opened(t, o)
	indexed(t, s, 30)
	if !strings.Contains(log.String(), "users=30") {
		t.Errorf("logged: %s", log)
	}
	set(s, indexVersion+1)
	if _, err := Open(o); !errors.Is(err, store.ErrNewer) {
		t.Errorf("an index of the future: %v", err)
	}
}

// One record that is damaged keeps nobody else out.
func TestOpen_buildsTheIndexAroundADamagedRecord(t *testing.T) {
	o := oldStore(t, 30)
	s := openWithoutIndex(t, o)
	editRows(t, s, func(txn *badger.Txn) error { return txn.Set(userRow(user(1).ID).key(), []byte{store.Version, 1, 2, 3}) })
	ok(t, s.db.Close())
	s, log := opened(t, o)
	if page, _, err := s.ListUsers(ctx, mfa.UserQuery{Search: "ann"}, "", 100); err != nil || len(page) != 29 {
		t.Errorf("%d users, %v", len(page), err)
	}
	if !strings.Contains(log.String(), "level=ERROR") || !strings.Contains(log.String(), "count=1") {
		t.Errorf("logged: %s", log)
	}
	if _, err := s.User(ctx, user(1).ID); !errors.Is(err, store.ErrDamaged) {
		t.Errorf("got %v", err)
	}
}

func TestOpen_AC188_buildsNoIndexWithoutRoom(t *testing.T) {
	o := oldStore(t, 5)
	full := o
	full.MinFree = 1 << 60
	if _, err := Open(full); !errors.Is(err, ErrFull) {
		t.Fatalf("got %v", err)
	}
	s, _ := opened(t, o)
	indexed(t, s, 5)
}

func TestStore_CheckIndex_finds(t *testing.T) {
	for name, tamper := range map[string]func(s *Store, txn *badger.Txn) error{
		"a missing row of a name":  func(s *Store, txn *badger.Txn) error { return txn.Delete(s.rows(user(1).ID, listedAs(member(1)))[1]) },
		"a missing row of a facet": func(s *Store, txn *badger.Txn) error { return txn.Delete(s.rows(user(1).ID, listedAs(member(1)))[0]) },
		"a row of nobody": func(s *Store, txn *badger.Txn) error {
			return txn.Set([]byte(s.facetRows(mfa.FacetDisabled)+"u001"+separator+"id-001"), nil)
		},
		"a wrong counter": func(s *Store, txn *badger.Txn) error {
			r := counterRow(s.groupOf(nil), shardOf(user(1).ID))
			record, err := s.codec.Encode(r.table, r.id, counter{"totp": 1000})
			if err != nil {
				return err
			}
			return txn.Set(r.key(), record)
		},
		"a missing counter": func(s *Store, txn *badger.Txn) error {
			return txn.Delete(counterRow(s.groupOf(nil), shardOf(user(1).ID)).key())
		},
		"a counter of nobody": func(s *Store, txn *badger.Txn) error {
			r := counterRow(s.groupOf([]mfa.Facet{mfa.FacetOrganization("nobody")}), 1)
			record, err := s.codec.Encode(r.table, r.id, counter{"totp": 1})
			if err != nil {
				return err
			}
			return txn.Set(r.key(), record)
		},
		"a counter in the place of another": func(s *Store, txn *badger.Txn) error {
			return txn.Set(counterRow(s.groupOf(nil), shardOf(user(1).ID)).key(), []byte{store.Version, 1, 2})
		},
		"a damaged user": func(_ *Store, txn *badger.Txn) error {
			return txn.Set(userRow(user(1).ID).key(), []byte{store.Version})
		},
	} {
		s := openAt(t, newOptions(t))
		for i := range 5 {
			ok(t, s.CreateUser(ctx, member(i)))
		}
		ok(t, s.CheckIndex(ctx))
		editRows(t, s, func(txn *badger.Txn) error { return tamper(s, txn) })
		if err := s.CheckIndex(ctx); !errors.Is(err, store.ErrDamaged) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// AC-195: an index row that leads to somebody else is damage, and never an answer.
func TestStore_ListUsers_AC195_RejectsWhatDoesNotFit(t *testing.T) {
	rowsOf := func(s *Store, f mfa.Facet, rest string) []byte { return []byte(s.facetRows(f) + rest) }
	for name, c := range map[string]struct {
		q   mfa.UserQuery
		row func(s *Store) []byte
	}{
		"a name of nobody":      {mfa.UserQuery{}, func(*Store) []byte { return []byte(namePrefix + "x" + separator + "id-999") }},
		"another's name":        {mfa.UserQuery{}, func(*Store) []byte { return []byte(namePrefix + "x" + separator + "id-001") }},
		"no ID":                 {mfa.UserQuery{}, func(*Store) []byte { return []byte(namePrefix + "x") }},
		"a facet of nobody":     {mfa.UserQuery{Where: [][]mfa.Facet{{mfa.FacetLocked}}}, func(s *Store) []byte { return rowsOf(s, mfa.FacetLocked, "u999\x00id-999") }},
		"a facet that is wrong": {mfa.UserQuery{Where: [][]mfa.Facet{{mfa.FacetLocked}}}, func(s *Store) []byte { return rowsOf(s, mfa.FacetLocked, "u001\x00id-001") }},
		"a facet, another name": {mfa.UserQuery{Where: [][]mfa.Facet{{mfa.FacetNewcomer}}}, func(s *Store) []byte { return rowsOf(s, mfa.FacetNewcomer, "x\x00id-001") }},
		"a term of nobody":      {mfa.UserQuery{Search: "u"}, func(*Store) []byte { return []byte(termPrefix + "u" + separator + "id-999") }},
		"another's term":        {mfa.UserQuery{Search: "u"}, func(*Store) []byte { return []byte(termPrefix + "ux" + separator + "id-001") }},
	} {
		s := openAt(t, newOptions(t))
		for i := range 3 {
			ok(t, s.CreateUser(ctx, user(i)))
		}
		editRows(t, s, func(txn *badger.Txn) error { return txn.Set(c.row(s), nil) })
		if _, _, err := s.ListUsers(ctx, c.q, "", 10); !errors.Is(err, store.ErrDamaged) {
			t.Errorf("%s: %v", name, err)
		}
	}
	s := openAt(t, newOptions(t))
	ok(t, s.CreateUser(ctx, user(0)))
	editRows(t, s, func(txn *badger.Txn) error {
		return txn.Set(counterRow(s.groupOf(nil), shardOf(user(0).ID)).key(), []byte{store.Version, 0})
	})
	if got, err := s.CountUsers(ctx); !errors.Is(err, store.ErrDamaged) {
		t.Errorf("a damaged counter: %v, %v", got, err)
	}
	if err := s.UpdateUser(ctx, user(0).ID, func(u *mfa.User) error { u.Credentials = nil; return nil }); !errors.Is(err, store.ErrDamaged) {
		t.Errorf("a damaged counter, moved: %v", err)
	}
}

func TestStore_ListUsers_looksAtSoManyInOneCall(t *testing.T) {
	s := openAt(t, newOptions(t))
	const n = 2*lookAtUsers + 100
	ok(t, load(s, n))
	locked := []mfa.Facet{mfa.FacetLocked}
	many := slices.Concat(locked, locked, locked, locked, locked, locked, locked) // too many to look up
	for _, c := range []struct {
		q     mfa.UserQuery
		calls int
	}{
		{mfa.UserQuery{Where: [][]mfa.Facet{{mfa.FacetNewcomer}, locked}}, 3},
		{mfa.UserQuery{Not: []mfa.Facet{mfa.FacetNewcomer}}, 3},
		{mfa.UserQuery{Search: "u", Where: [][]mfa.Facet{locked}}, n*readCost/lookAtUsers + 1},
		{mfa.UserQuery{Where: [][]mfa.Facet{{mfa.FacetNewcomer}, many}}, n*readCost/lookAtUsers + 1},
	} {
		q := c.q
		calls, after := 0, ""
		for {
			page, next, err := s.ListUsers(ctx, q, after, 10)
			if err != nil || len(page) != 0 {
				t.Fatalf("%d users, %v", len(page), err)
			}
			// The cursor stands at somebody whom the query does not match.
			if raw, _ := base64.RawURLEncoding.DecodeString(next); bytes.Contains(raw, []byte(separator+"id-")) {
				t.Errorf("the cursor %q shows who it is", next)
			}
			calls++
			if after = next; after == "" {
				break
			}
		}
		if calls != c.calls {
			t.Errorf("%+v: %d calls for %d users, want %d", q, calls, n, c.calls)
		}
	}
	page, next, err := s.ListUsers(ctx, mfa.UserQuery{}, "", n)
	if err != nil || len(page) != lookAtUsers/readCost || next == "" {
		t.Errorf("all at once: %d users, %v", len(page), err)
	}
}

// Counters are shared by many users: whoever changes them must wait for the others, and
// not fail because there are so many of them.
func TestStore_countersAreChangedByManyAtOnce(t *testing.T) {
	s := openAt(t, newOptions(t))
	var ids []mfa.UserID
	for i := 0; len(ids) < 40; i++ { // all of one shard
		if shardOf(user(i).ID) != 7 {
			continue
		}
		ok(t, s.CreateUser(ctx, user(i)))
		ids = append(ids, user(i).ID)
	}
	var wg sync.WaitGroup
	errs := make([]error, len(ids))
	for i, id := range ids {
		wg.Go(func() {
			for range 5 {
				errs[i] = errors.Join(errs[i],
					s.UpdateUser(ctx, id, func(u *mfa.User) error { u.Credentials = nil; return nil }),
					s.UpdateUser(ctx, id, func(u *mfa.User) error { u.Credentials = user(0).Credentials; return nil }))
			}
		})
	}
	wg.Wait()
	ok(t, errors.Join(errs...))
	ok(t, s.CheckIndex(ctx))
	if got, err := s.CountUsers(ctx); err != nil || got[mfa.KindsOf(mfa.TOTP)] != len(ids) || len(got) != 1 {
		t.Errorf("counted are %v, %v", got, err)
	}
	// All leave, and no row of an empty counter stays.
	for _, id := range ids {
		ok(t, s.UpdateUser(ctx, id, func(u *mfa.User) error { u.Disabled = true; return nil }))
	}
	if n := rows(t, s, prefixes[store.Counters]); n != 0 {
		t.Errorf("%d counters are left", n)
	}
}

// A change that moves nobody in any list writes no index row and waits for no counter.
func TestStore_UpdateUser_writesNoIndexWhereNothingMoves(t *testing.T) {
	s := openAt(t, newOptions(t))
	ok(t, s.CreateUser(ctx, member(1)))
	versions := func() (list []uint64) {
		ok(t, s.view(ctx, func(txn *badger.Txn) error {
			for _, name := range append(s.rows(user(1).ID, listedAs(member(1))), counterRow(s.groupOf(nil), shardOf(user(1).ID)).key()) {
				item, err := txn.Get(name)
				if err != nil {
					return err
				}
				list = append(list, item.Version())
			}
			return nil
		}))
		return list
	}
	before := versions()
	unlock, err := s.locks.Lock(ctx, shardLock(user(1).ID))
	ok(t, err)
	if s.locksShareAStripe(userLock(user(1).ID), shardLock(user(1).ID)) {
		unlock() // one seed in 256
	} else {
		defer unlock()
	}
	ok(t, s.UpdateUser(ctx, user(1).ID, func(u *mfa.User) error {
		u.LastSignIn, u.Credentials[0].Step = time.Now(), 99
		return nil
	}))
	if after := versions(); !slices.Equal(before, after) {
		t.Errorf("rows of versions %v were %v", after, before)
	}
}

func (s *Store) locksShareAStripe(a, b string) bool { return s.locks.Share(a, b) }
