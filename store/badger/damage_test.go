package badger

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/dgraph-io/badger/v4"
	"github.com/dgraph-io/badger/v4/options"

	"github.com/secondgate/secondgate/internal/seal"
	"github.com/secondgate/secondgate/mfa"
	"github.com/secondgate/secondgate/store"
)

var ctx = context.Background()

const (
	users = 60
	ended = mfa.SessionID("ended")
)

// fill makes a store that holds something of everything.
func fill(t *testing.T, s *Store) {
	t.Helper()
	must := func(err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	for i := range users {
		must(s.CreateUser(ctx, user(i)))
	}
	must(s.CreateSession(ctx, &mfa.Session{ID: ended, User: user(0).ID, Expires: time.Now().Add(time.Hour)}))
	must(s.EndSession(ctx, ended))
	must(s.UpdateAttempts(ctx, []string{"alice"}, func(a []mfa.Attempts) error { a[0].Count = 50; return nil }))
	must(s.CreateOrganization(ctx, organization("acme")))
	must(s.AppendEvents(ctx, []mfa.Event{event(0, time.Now()), event(1, time.Now())}))
	must(s.CreateAPIKey(ctx, &mfa.APIKey{ID: "key", Name: "Key"}))
	must(s.UpdateCampaign(ctx, "", func(c *mfa.Campaign) error { c.By = "alice"; return nil }))
}

func organization(id mfa.OrganizationID) *mfa.Organization {
	return &mfa.Organization{ID: id, Name: "Acme Inc", Require: true, Domains: []string{"acme.test"}}
}

func user(i int) *mfa.User {
	return &mfa.User{
		ID: mfa.UserID(fmt.Sprintf("id-%03d", i)), Source: "local", Subject: fmt.Sprintf("u%03d", i), Name: fmt.Sprintf("u%03d", i),
		Credentials: []mfa.Credential{{ID: "app", Kind: mfa.TOTP, Data: mfa.Secret(strings.Repeat("x", 200)), Step: int64(i)}},
	}
}

// intact returns an error unless all that fill wrote is there. Errors of the
// store count as intact here: refusing is right, answering wrongly is not.
func intact(s *Store) error {
	for i := range users {
		want, _ := json.Marshal(user(i))
		for _, read := range []func() (*mfa.User, error){
			func() (*mfa.User, error) { return s.User(ctx, user(i).ID) },
			func() (*mfa.User, error) { return s.UserByKey(ctx, mfa.SubjectKey("local", user(i).Subject)) },
		} {
			got, err := read()
			if errors.Is(err, mfa.ErrNotFound) {
				return fmt.Errorf("user %d is silently gone", i)
			}
			if err != nil {
				continue
			}
			if text, _ := json.Marshal(got); string(text) != string(want) {
				return fmt.Errorf("user %d is another: %s", i, text)
			}
		}
	}
	if _, err := s.Session(ctx, ended); err == nil {
		return errors.New("an ended session is back")
	}
	if a, err := s.Attempts(ctx, "alice"); err == nil && a.Count != 50 {
		return fmt.Errorf("the counter is at %d", a.Count)
	}
	if list, err := s.ListOrganizations(ctx); err == nil && (len(list) != 1 || !list[0].Require) {
		return fmt.Errorf("%d organizations, or one that asks nothing any more", len(list))
	}
	for _, q := range []mfa.EventQuery{{}, {User: event(0, time.Time{}).User}} {
		if list, _, err := s.Events(ctx, q, "", 10); err == nil && len(list) != 2 {
			return fmt.Errorf("%d events", len(list))
		}
	}
	if ends, err := mfa.CheckChain(ctx, s, mfa.Chain{}); err == nil && (ends.First != 1 || ends.Last != 2) {
		return fmt.Errorf("the chain is %+v", ends)
	}
	holds := mfa.FacetHolds(mfa.KindsOf(mfa.TOTP))
	for _, q := range []mfa.UserQuery{{}, {Search: "u"}, {Where: [][]mfa.Facet{{holds}}}} {
		if list, _, err := s.ListUsers(ctx, q, "", 2*users); err == nil && len(list) != users {
			return fmt.Errorf("%d users of %v", len(list), q)
		}
	}
	if n, err := s.CountUsers(ctx); err == nil && n[mfa.KindsOf(mfa.TOTP)] != users {
		return fmt.Errorf("counted are %v", n)
	}
	if list, err := s.ListAPIKeys(ctx); err == nil && len(list) != 1 {
		return fmt.Errorf("%d API keys", len(list))
	}
	if list, err := s.ListCampaigns(ctx); err == nil && len(list) != 1 {
		return fmt.Errorf("%d campaigns", len(list))
	}
	return nil
}

// filled returns the folder of a store that was filled and closed.
func filled(t *testing.T) Options {
	t.Helper()
	o := newOptions(t)
	s, err := Open(o)
	if err != nil {
		t.Fatal(err)
	}
	fill(t, s)
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	return o
}

// crashed returns the folder of a store as it is while it is open, which is what
// a crash leaves behind.
func crashed(t *testing.T, before func(*Store)) Options {
	t.Helper()
	o := newOptions(t)
	s := openAt(t, o)
	fill(t, s)
	if before != nil {
		before(s)
	}
	left := copyStore(t, o)
	return left
}

// copyStore copies folder and marker.
func copyStore(t *testing.T, o Options) Options {
	t.Helper()
	c := o
	c.Dir = filepath.Join(t.TempDir(), "store")
	if err := os.CopyFS(c.Dir, os.DirFS(o.Dir)); err != nil {
		t.Fatal(err)
	}
	raw, err := os.ReadFile(o.Dir + ".initialized")
	if err == nil {
		err = os.WriteFile(c.Dir+".initialized", raw, 0o600)
	}
	if err != nil {
		t.Fatal(err)
	}
	return c
}

func glob(t *testing.T, o Options, pattern string) []string {
	t.Helper()
	names, err := filepath.Glob(filepath.Join(o.Dir, pattern))
	if err != nil || len(names) == 0 {
		t.Fatalf("no file %s: %v", pattern, err)
	}
	return names
}

func edit(t *testing.T, name string, change func([]byte) []byte) {
	t.Helper()
	raw, err := os.ReadFile(name)
	if err == nil {
		err = os.WriteFile(name, change(raw), 0o600)
	}
	if err != nil {
		t.Fatal(err)
	}
}

// reopen opens a store that was tampered with. It must refuse, or have lost
// nothing.
func reopen(t *testing.T, what string, o Options) (refused error) {
	t.Helper()
	s, err := Open(o)
	if err != nil {
		return err
	}
	defer s.Close()
	if s.Fresh() {
		t.Errorf("%s: taken for a first start", what)
	}
	if err := intact(s); err != nil {
		t.Errorf("%s: opened, but %v", what, err)
	}
	return nil
}

// AC-189: a disk that forgets a bit. Badger reads a block that does not match its
// checksum as "not here", and leaves a whole table out whose index does not; a
// user without record is a stranger who may sign up, an ended session without the
// fact that it ended is alive again.
func TestOpen_AC189_RejectsAFlippedBitInATable(t *testing.T) {
	o := filled(t)
	name := glob(t, o, "*.sst")[0]
	raw, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	step := max(len(raw)/150, 1)
	for at := 0; at < len(raw); at += step {
		c := copyStore(t, o)
		file := filepath.Join(c.Dir, filepath.Base(name))
		edit(t, file, func(b []byte) []byte { b[at] ^= 1 << (at % 8); return b })
		err := reopen(t, fmt.Sprintf("byte %d of %d", at, len(raw)), c)
		if !errors.Is(err, store.ErrDamaged) || !strings.Contains(err.Error(), file) {
			t.Errorf("byte %d of %d: %v, want ErrDamaged with the file's name", at, len(raw), err)
		}
	}
}

func TestOpen_AC189_RejectsATableThatIsCutOrGone(t *testing.T) {
	o := filled(t)
	for name, change := range map[string]func(t *testing.T, file string){
		"gone":       func(t *testing.T, file string) { _ = os.Remove(file) },
		"empty":      func(t *testing.T, file string) { edit(t, file, func([]byte) []byte { return nil }) },
		"cut":        func(t *testing.T, file string) { edit(t, file, func(b []byte) []byte { return b[:len(b)-1] }) },
		"half":       func(t *testing.T, file string) { edit(t, file, func(b []byte) []byte { return b[:len(b)/2] }) },
		"three left": func(t *testing.T, file string) { edit(t, file, func(b []byte) []byte { return b[:3] }) },
		"zeroed":     func(t *testing.T, file string) { edit(t, file, func(b []byte) []byte { clear(b); return b }) },
		"longer":     func(t *testing.T, file string) { edit(t, file, func(b []byte) []byte { return append(b, 0) }) },
	} {
		t.Run(name, func(t *testing.T) {
			c := copyStore(t, o)
			file := glob(t, c, "*.sst")[0]
			change(t, file)
			err := reopen(t, name, c)
			if !errors.Is(err, store.ErrDamaged) || !strings.Contains(err.Error(), file) {
				t.Errorf("%v, want ErrDamaged with the file's name", err)
			}
		})
	}
}

func TestOpen_AC189_RejectsADamagedManifest(t *testing.T) {
	o := filled(t)
	raw, err := os.ReadFile(filepath.Join(o.Dir, badger.ManifestFilename))
	if err != nil {
		t.Fatal(err)
	}
	t.Run("a flipped bit", func(t *testing.T) {
		for at := range raw {
			c := copyStore(t, o)
			edit(t, filepath.Join(c.Dir, badger.ManifestFilename), func(b []byte) []byte { b[at] ^= 1; return b })
			if err := reopen(t, fmt.Sprintf("byte %d of %d", at, len(raw)), c); err == nil {
				t.Errorf("byte %d of %d: opened", at, len(raw))
			}
		}
	})
	t.Run("cut", func(t *testing.T) {
		for n := range raw {
			c := copyStore(t, o)
			edit(t, filepath.Join(c.Dir, badger.ManifestFilename), func(b []byte) []byte { return b[:n] })
			if err := reopen(t, fmt.Sprintf("cut to %d of %d", n, len(raw)), c); err == nil {
				t.Errorf("cut to %d of %d: opened", n, len(raw))
			}
		}
	})
}

// AC-189, AC-228: data loss must never look like a first start, or the next
// visitor becomes the administrator.
func TestOpen_AC189_AC228_RejectsAStoreThatWasLost(t *testing.T) {
	o := filled(t)
	for name, lose := range map[string]func(t *testing.T, c Options){
		"folder gone":       func(t *testing.T, c Options) { _ = os.RemoveAll(c.Dir) },
		"folder emptied":    func(t *testing.T, c Options) { _ = os.RemoveAll(c.Dir); _ = os.Mkdir(c.Dir, 0o700) },
		"volume's own only": func(t *testing.T, c Options) { _ = os.RemoveAll(c.Dir); _ = os.MkdirAll(c.Dir+"/lost+found", 0o700) },
		"manifest gone":     func(t *testing.T, c Options) { _ = os.Remove(filepath.Join(c.Dir, badger.ManifestFilename)) },
		"manifest and marker gone": func(t *testing.T, c Options) {
			_ = os.Remove(filepath.Join(c.Dir, badger.ManifestFilename))
			_ = os.Remove(c.Dir + ".initialized")
		},
		"everything but the manifest gone": func(t *testing.T, c Options) {
			for _, file := range glob(t, c, "0*") {
				_ = os.Remove(file)
			}
		},
		"marker emptied": func(t *testing.T, c Options) { edit(t, c.Dir+".initialized", func([]byte) []byte { return nil }) },
		"marker scribbled": func(t *testing.T, c Options) {
			edit(t, c.Dir+".initialized", func([]byte) []byte { return []byte("{}") })
		},
		"another, empty store in its place": func(t *testing.T, c Options) {
			other := newOptions(t)
			other.Keys = c.Keys
			s, err := Open(other)
			if err != nil {
				t.Fatal(err)
			}
			_ = s.Close()
			_ = os.RemoveAll(c.Dir)
			if err := os.CopyFS(c.Dir, os.DirFS(other.Dir)); err != nil {
				t.Fatal(err)
			}
		},
	} {
		t.Run(name, func(t *testing.T) {
			c := copyStore(t, o)
			lose(t, c)
			for range 2 { // the first refusal must leave nothing behind that lets the second in
				err := reopen(t, name, c)
				if !errors.Is(err, ErrLost) && !errors.Is(err, store.ErrDamaged) {
					t.Errorf("%v, want ErrLost or ErrDamaged", err)
				}
			}
		})
	}
}

// An older copy of the whole folder would let used codes be used again and ended
// sessions live. The marker has seen the newer one.
func TestOpen_AC189_RejectsAnOlderCopy(t *testing.T) {
	o := filled(t)
	old := copyStore(t, o)
	s := openAt(t, o)
	if err := s.UpdateUser(ctx, user(1).ID, func(u *mfa.User) error { u.Credentials[0].Step = 99; return nil }); err != nil {
		t.Fatal(err)
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	raw, err := os.ReadFile(o.Dir + ".initialized")
	if err != nil {
		t.Fatal(err)
	}
	edit(t, old.Dir+".initialized", func([]byte) []byte { return raw })
	if _, err := Open(old); !errors.Is(err, ErrLost) {
		t.Fatalf("%v, want ErrLost", err)
	}
	// Who restores knowingly removes the marker, and is no first start either.
	if err := os.Remove(old.Dir + ".initialized"); err != nil {
		t.Fatal(err)
	}
	if err := reopen(t, "without marker", old); err != nil {
		t.Fatal(err)
	}
	if _, err := os.Stat(old.Dir + ".initialized"); err != nil {
		t.Errorf("the marker was not made anew: %v", err)
	}
}

// After a crash what was acknowledged since stands in the write-ahead log.
func TestOpen_AC189_afterACrash(t *testing.T) {
	t.Run("all is there", func(t *testing.T) {
		if err := reopen(t, "crash", crashed(t, nil)); err != nil {
			t.Fatal(err)
		}
	})
	// Badger takes a damaged log for one whose end was not written, and goes on
	// with what stands before. The anchor shows that more had been there.
	anchored := crashed(t, func(s *Store) {
		if err := s.writeAnchor(); err != nil {
			t.Fatal(err)
		}
	})
	log := glob(t, anchored, "*.mem")
	for _, at := range []int{0, 19, 20, 30, 500, 5000, 20000} {
		t.Run(fmt.Sprintf("log damaged at byte %d", at), func(t *testing.T) {
			c := copyStore(t, anchored)
			edit(t, filepath.Join(c.Dir, filepath.Base(log[len(log)-1])), func(b []byte) []byte { b[at] ^= 1; return b })
			if err := reopen(t, "damaged log", c); err == nil && at >= 20 {
				t.Error("opened")
			}
		})
	}
	t.Run("log gone", func(t *testing.T) {
		c := copyStore(t, anchored)
		for _, file := range glob(t, c, "*.mem") {
			_ = os.Remove(file)
		}
		if err := reopen(t, "log gone", c); !errors.Is(err, ErrLost) {
			t.Errorf("%v, want ErrLost", err)
		}
	})
}

// A first start that was cut short at any point is a first start again.
func TestOpen_aFirstStartThatWasCutShortIsOneAgain(t *testing.T) {
	for name, prepare := range map[string]func(t *testing.T, o Options){
		"nothing":                func(t *testing.T, o Options) {},
		"folder":                 func(t *testing.T, o Options) { _ = os.MkdirAll(o.Dir, 0o700) },
		"folder with its volume": func(t *testing.T, o Options) { _ = os.MkdirAll(o.Dir+"/lost+found", 0o700) },
		"marker":                 func(t *testing.T, o Options) { _ = marker{}.write(o.Dir + ".initialized") },
		"database without anchor": func(t *testing.T, o Options) {
			_ = marker{}.write(o.Dir + ".initialized")
			db, err := badger.Open(badger.DefaultOptions(o.Dir).WithLogger(nil))
			if err != nil {
				t.Fatal(err)
			}
			_ = db.Close()
		},
	} {
		t.Run(name, func(t *testing.T) {
			o := newOptions(t)
			prepare(t, o)
			s := openAt(t, o)
			if !s.Fresh() {
				t.Error("not taken for a first start")
			}
			_ = s.Close()
			if s := openAt(t, o); s.Fresh() {
				t.Error("the second start is taken for a first one")
			}
		})
	}
}

func TestOpen_RejectsAFolderOfSomethingElse(t *testing.T) {
	o := newOptions(t)
	_ = os.MkdirAll(o.Dir, 0o700)
	_ = os.WriteFile(filepath.Join(o.Dir, "photos.zip"), []byte("x"), 0o600)
	if _, err := Open(o); !errors.Is(err, ErrLost) || !strings.Contains(err.Error(), "photos.zip") {
		t.Errorf("%v, want ErrLost with the file's name", err)
	}
	// A database that is not ours, without marker.
	o = newOptions(t)
	db, err := badger.Open(badger.DefaultOptions(o.Dir).WithLogger(nil).WithCompression(options.None))
	if err != nil {
		t.Fatal(err)
	}
	if err := db.Update(func(txn *badger.Txn) error { return txn.Set([]byte("x"), []byte("y")) }); err != nil {
		t.Fatal(err)
	}
	_ = db.Close()
	if _, err := Open(o); !errors.Is(err, ErrLost) {
		t.Errorf("%v, want ErrLost", err)
	}
}

func TestOpen_AC189_RejectsOtherKeysAndNewerStores(t *testing.T) {
	o := filled(t)
	other := o
	other.Keys = newKeys(t)
	if _, err := Open(other); !errors.Is(err, store.ErrDamaged) || !strings.Contains(err.Error(), "key file") {
		t.Errorf("other keys: %v", err)
	}
	s := openAt(t, o)
	err := s.update(ctx, nil, func(w *writing) error {
		return w.put(anchorRow, anchor{Format: storeFormat + 1, Count: 1 << 20}, 0)
	})
	if err != nil {
		t.Fatal(err)
	}
	s.dirty.Store(false)
	_ = s.Close()
	if _, err := Open(o); !errors.Is(err, store.ErrNewer) {
		t.Errorf("newer store: %v", err)
	}
	o = filled(t)
	edit(t, o.Dir+".initialized", func([]byte) []byte { return []byte(`{"version":2}`) })
	if _, err := Open(o); !errors.Is(err, store.ErrNewer) {
		t.Errorf("newer marker: %v", err)
	}
}

// Damage that shows only after Open stops the store, and stays known: Badger's
// tidying may remove what showed it.
func TestStore_AC189_stopsWhenDamageShowsLater(t *testing.T) {
	o := filled(t)
	s := openAt(t, o)
	s.setDamage("000001.sst: for this test")
	if _, err := s.User(ctx, user(1).ID); !errors.Is(err, store.ErrDamaged) || errors.Is(err, mfa.ErrNotFound) {
		t.Errorf("reading: %v", err)
	}
	if err := s.CreateUser(ctx, user(users)); !errors.Is(err, store.ErrDamaged) {
		t.Errorf("writing: %v", err)
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	if _, err := Open(o); !errors.Is(err, store.ErrDamaged) || !strings.Contains(err.Error(), "000001.sst") {
		t.Errorf("opening again: %v", err)
	}
}

// In a large store the files are still being read when it opens.
func TestStore_AC189_stopsWhenDamageShowsAfterOpen(t *testing.T) {
	o := filled(t)
	file := glob(t, o, "*.sst")[0]
	edit(t, file, func(b []byte) []byte { b[100] ^= 1; return b })
	o.verifyWait = -1
	s, err := Open(o)
	if err != nil {
		o.verifyWait = time.Minute // the comparison was faster than no time at all
	} else {
		deadline := time.Now().Add(5 * time.Second)
		for s.damage.Load() == nil && time.Now().Before(deadline) {
			time.Sleep(time.Millisecond)
		}
		if _, err := s.User(ctx, user(1).ID); !errors.Is(err, store.ErrDamaged) {
			t.Errorf("reading: %v", err)
		}
		if err := s.Close(); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := Open(o); !errors.Is(err, store.ErrDamaged) || !strings.Contains(err.Error(), file) {
		t.Errorf("opening again: %v", err)
	}
}

// In a store of gigabytes nothing is read for it before it is open.
func TestStore_AC189_stopsWhenDamageOfALargeStoreShows(t *testing.T) {
	o := filled(t)
	file := glob(t, o, "*.sst")[0]
	edit(t, file, func(b []byte) []byte { b[100] ^= 1; return b })
	o.verifyFirst = 1
	s, err := Open(o)
	if err == nil { // or it was found before the first record was read
		for end := time.Now().Add(20 * time.Second); s.damage.Load() == nil && time.Now().Before(end); {
			time.Sleep(time.Millisecond)
		}
		if _, err := s.User(ctx, user(1).ID); !errors.Is(err, store.ErrDamaged) {
			t.Errorf("reading: %v", err)
		}
		if err := s.Close(); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := Open(o); !errors.Is(err, store.ErrDamaged) || !strings.Contains(err.Error(), file) {
		t.Errorf("opening again: %v", err)
	}
	// What is missing shows at once, however large the store is.
	o = filled(t)
	o.verifyFirst = 1
	if err := os.Remove(glob(t, o, "*.sst")[0]); err != nil {
		t.Fatal(err)
	}
	if _, err := Open(o); !errors.Is(err, store.ErrDamaged) {
		t.Errorf("opening without a file: %v", err)
	}
}

// AC-195: a thief who can write the disk puts Bob's record, whose secrets he
// knows, in Alice's place, or leads Alice's name to Bob.
func TestStore_AC195_RejectsRowsThatWereMoved(t *testing.T) {
	s := openAt(t, newOptions(t))
	fill(t, s)
	alice, bob := user(1), user(2)
	session := func(id mfa.SessionID, u mfa.UserID) *mfa.Session {
		return &mfa.Session{ID: id, User: u, Complete: true, Expires: time.Now().Add(time.Hour)}
	}
	for _, err := range []error{
		s.CreateSession(ctx, session("sa", alice.ID)), s.CreateSession(ctx, session("sb", bob.ID)),
		s.PutChallenge(ctx, &mfa.Challenge{ID: "ca", Expires: time.Now().Add(time.Hour)}),
		s.PutChallenge(ctx, &mfa.Challenge{ID: "cb", Expires: time.Now().Add(time.Hour)}),
		s.UpdateAttempts(ctx, []string{"low"}, func(a []mfa.Attempts) error { a[0].Count = 1; return nil }),
	} {
		if err != nil {
			t.Fatal(err)
		}
	}
	move := func(from, to row) {
		t.Helper()
		err := s.db.Update(func(txn *badger.Txn) error {
			item, err := txn.Get(from.key())
			if err != nil {
				return err
			}
			value, err := item.ValueCopy(nil)
			if err != nil {
				return err
			}
			return txn.Set(to.key(), value)
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	refused := func(what string, err error) {
		t.Helper()
		if !errors.Is(err, store.ErrDamaged) || errors.Is(err, mfa.ErrNotFound) {
			t.Errorf("%s: %v, want ErrDamaged", what, err)
		}
	}
	move(userRow(bob.ID), userRow(alice.ID))
	_, err := s.User(ctx, alice.ID)
	refused("a user's record", err)
	refused("a user's record, updated", s.UpdateUser(ctx, alice.ID, func(*mfa.User) error { t.Error("changed"); return nil }))
	_, _, err = s.ListUsers(ctx, mfa.UserQuery{}, "", 100)
	refused("a user's record, listed", err)
	move(keyRow(mfa.SubjectKey("local", user(4).Subject)), keyRow(mfa.SubjectKey("local", user(3).Subject)))
	_, err = s.UserByKey(ctx, mfa.SubjectKey("local", user(3).Subject))
	refused("an index entry", err)
	move(sessionRow("sb"), sessionRow("sa"))
	_, err = s.Session(ctx, "sa")
	refused("a session", err)
	refused("a session, ended", s.EndSession(ctx, "sa")) // AC-191: no success where nothing was ended
	_, err = s.UserSessions(ctx, alice.ID)
	refused("a session, listed", err)
	move(challengeRow("cb"), challengeRow("ca"))
	_, err = s.TakeChallenge(ctx, "ca")
	refused("a challenge", err)
	move(attemptsRow("low"), attemptsRow("alice"))
	_, err = s.Attempts(ctx, "alice")
	refused("a counter", err)
	refused("a counter, counted", s.UpdateAttempts(ctx, []string{"alice"}, func([]mfa.Attempts) error { t.Error("changed"); return nil }))
}

// AC-195: a thief who can write the disk, and has no key, makes a row say what they want: as
// plain text, or sealed with keys of their own under the name of ours.
func TestStore_AC195_RejectsRowsThatWereEdited(t *testing.T) {
	s := openAt(t, newOptions(t))
	fill(t, s)
	alice, bob := user(1), user(2)
	for i, u := range []*mfa.User{alice, bob} {
		ok(t, s.UpdateUser(ctx, u.ID, func(u *mfa.User) error {
			u.Credentials = append(u.Credentials,
				mfa.Credential{ID: "passkey", Kind: mfa.Passkey, Data: mfa.Secret(fmt.Sprint("public key ", i))},
				mfa.Credential{ID: mfa.BackupCodesID, Kind: mfa.BackupCode, Data: mfa.Secret(fmt.Sprint("hashes ", i)), Left: 10})
			return nil
		}))
	}
	ok(t, s.CreateSession(ctx, &mfa.Session{ID: "sa", User: alice.ID, Complete: true, Expires: time.Now().Add(time.Hour)}))
	edited := func(change func(a, b *mfa.User)) *mfa.User {
		t.Helper()
		a, err := s.User(ctx, alice.ID)
		ok(t, err)
		b, err := s.User(ctx, bob.ID)
		ok(t, err)
		change(a, b)
		return a
	}
	readAlice := func() error { _, err := s.User(ctx, alice.ID); return err }
	thief := store.NewCodec(newKeys(t))
	for what, c := range map[string]struct {
		row  row
		says any
		read func() error
	}{
		"the TOTP secrets of two people swapped": {userRow(alice.ID), edited(func(a, b *mfa.User) { a.Credentials[0].Data = b.Credentials[0].Data }), readAlice},
		"the public key of a passkey replaced":   {userRow(alice.ID), edited(func(a, _ *mfa.User) { a.Credentials[1].Data = mfa.Secret("the thief's") }), readAlice},
		"another's backup codes":                 {userRow(alice.ID), edited(func(a, b *mfa.User) { a.Credentials[2].Data = b.Credentials[2].Data }), readAlice},
		"failures set to 0":                      {attemptsRow("alice"), mfa.Attempts{}, func() error { _, err := s.Attempts(ctx, "alice"); return err }},
		"a session given to another": {sessionRow("sa"), store.Session{Session: mfa.Session{ID: "sa", User: bob.ID, Complete: true, Expires: time.Now().Add(time.Hour)}},
			func() error { _, err := s.Session(ctx, "sa"); return err }},
	} {
		var before []byte
		ok(t, s.view(ctx, func(txn *badger.Txn) error {
			item, err := txn.Get(c.row.key())
			if err == nil {
				before, err = item.ValueCopy(nil)
			}
			return err
		}))
		write := func(record []byte) {
			t.Helper()
			ok(t, s.db.Update(func(txn *badger.Txn) error { return txn.Set(c.row.key(), record) }))
		}
		plain, err := json.Marshal(c.says)
		ok(t, err)
		sealed := thief.Seal(c.row.table, c.row.id, plain)
		named := append(append([]byte{}, before[:6]...), sealed[6:]...) // with the name of our key
		for how, record := range map[string][]byte{
			"in plain text": plain, "in plain text behind a version": append([]byte{store.Version}, plain...),
			"sealed with other keys": sealed, "sealed with other keys under the name of ours": named, "nothing": {},
		} {
			write(record)
			if err := c.read(); !errors.Is(err, store.ErrDamaged) && !errors.Is(err, store.ErrNewer) || errors.Is(err, mfa.ErrNotFound) {
				t.Errorf("%s, %s: %v, want it refused", what, how, err)
			}
		}
		write(before)
		if err := c.read(); err != nil {
			t.Errorf("%s, put back: %v", what, err)
		}
	}
}

// The disk shows nothing that is worth stealing.
func TestStore_secretsAreNotOnTheDisk(t *testing.T) {
	keys, err := seal.NewKeys()
	if err != nil {
		t.Fatal(err)
	}
	o := newOptions(t)
	o.Keys = keys
	s := openAt(t, o)
	u := user(1)
	// Whoever reads the folder must not learn whom to try without a second factor.
	u.Disabled, u.Locked, u.Organizations = true, []mfa.Kind{mfa.TOTP}, []mfa.OrganizationID{"acme-org"}
	u.Password, u.Phone, u.Credentials[0].Data = mfa.Secret("argon-password-hash"), "+15550100", mfa.Secret("totp-shared-secret")
	if err := s.CreateUser(ctx, u); err != nil {
		t.Fatal(err)
	}
	if err := s.PutChallenge(ctx, &mfa.Challenge{ID: "c", Data: mfa.Secret("challenge-state"), Expires: time.Now().Add(time.Hour)}); err != nil {
		t.Fatal(err)
	}
	left := copyStore(t, o)
	_ = s.Close()
	for _, dir := range []string{left.Dir, o.Dir} {
		for _, file := range []string{"*.mem", "*.sst", "*.vlog"} {
			names, _ := filepath.Glob(filepath.Join(dir, file))
			for _, name := range names {
				raw, err := os.ReadFile(name)
				if err != nil {
					t.Fatal(err)
				}
				for _, secret := range []string{"argon", "+15550100", "totp-", "challenge-state", "holds", "disabled", "locked", "acme-org", "totp", "YXJnb24", "dG90cC"} {
					if strings.Contains(string(raw), secret) {
						t.Errorf("%s shows %q", name, secret)
					}
				}
			}
		}
	}
}
