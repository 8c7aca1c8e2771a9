package transfer

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/secondgate/secondgate/internal/pgtest"
	"github.com/secondgate/secondgate/internal/seal"
	"github.com/secondgate/secondgate/mfa"
	"github.com/secondgate/secondgate/store"
	"github.com/secondgate/secondgate/store/archive"
	"github.com/secondgate/secondgate/store/badger"
	"github.com/secondgate/secondgate/store/postgres"
)

func TestMain(m *testing.M) { os.Exit(pgtest.Main(m)) }

// home is where one store can be. What open opened is closed when it is opened again, and
// when the test is over.
type home struct {
	t    *testing.T
	open func(fill string) (mfa.Store, func() error, error)
	end  func() error
}

func (h *home) close() {
	if h.end != nil {
		if err := h.end(); err != nil {
			h.t.Error(err)
		}
		h.end = nil
	}
}

func (h *home) try(fill string) (mfa.Store, error) {
	h.close()
	s, end, err := h.open(fill)
	h.end = end
	return s, err
}

func (h *home) at(fill string) mfa.Store {
	h.t.Helper()
	s, err := h.try(fill)
	if err != nil {
		h.t.Fatal(err)
	}
	return s
}

func (h *home) serve() mfa.Store              { h.t.Helper(); return h.at("") }
func (h *home) fill(from string) store.Target { h.t.Helper(); return h.at(from).(store.Target) }

func newKeys(t *testing.T) *seal.Keyset {
	t.Helper()
	keys, err := seal.NewKeys()
	if err != nil {
		t.Fatal(err)
	}
	return keys
}

func inFolder(t *testing.T, keys *seal.Keyset) *home {
	dir := filepath.Join(t.TempDir(), "store")
	h := &home{t: t, open: func(fill string) (mfa.Store, func() error, error) {
		s, err := badger.Open(badger.Options{Dir: dir, Keys: keys, MinFree: 1, Fill: fill})
		if err != nil {
			return nil, nil, err
		}
		return s, s.Close, nil
	}}
	t.Cleanup(h.close)
	return h
}

func inDatabase(t *testing.T, keys *seal.Keyset) *home {
	url := pgtest.Database(t)
	h := &home{t: t, open: func(fill string) (mfa.Store, func() error, error) {
		d, err := postgres.Connect(context.Background(), postgres.Options{URL: url, Fill: fill})
		if err != nil {
			return nil, nil, err
		}
		s, err := d.Open(keys)
		if err != nil {
			return nil, nil, err
		}
		return s, s.Close, nil
	}}
	t.Cleanup(h.close)
	return h
}

// ways are from which kind of store into which.
var ways = []struct {
	name     string
	from, to func(*testing.T, *seal.Keyset) *home
}{
	{"Badger to Badger", inFolder, inFolder},
	{"Badger to PostgreSQL", inFolder, inDatabase},
	{"PostgreSQL to Badger", inDatabase, inFolder},
	{"PostgreSQL to PostgreSQL", inDatabase, inDatabase},
}

// backedUp writes a backup of the store into a file.
func backedUp(t *testing.T, s mfa.Store, keys *seal.Keyset) (path string, totals archive.Totals) {
	t.Helper()
	path = filepath.Join(t.TempDir(), "backup")
	f, err := archive.CreateFile(path, false)
	if err != nil {
		t.Fatal(err)
	}
	w, err := archive.NewWriter(f, keys, archive.Header{Made: time.Now(), Store: "test"})
	if err == nil {
		totals, err = Backup(t.Context(), s.(store.Portable), w, nil)
	}
	if err == nil {
		err = f.Keep()
	}
	if err != nil {
		t.Fatal(err)
	}
	return path, totals
}

func rowsIn(ctx context.Context, path string, keys *seal.Keyset) Rows {
	return Archive(ctx, path, func(r *archive.Reader) error { return r.Unlock(keys) })
}

// restored fills a store with the rows and opens it to serve.
func restored(t *testing.T, rows Rows, h *home, from string) mfa.Store {
	t.Helper()
	target := h.fill(from)
	if _, err := Fill(t.Context(), rows, target, nil); err != nil {
		t.Fatal(err)
	}
	if _, err := Compare(rows, Store(t.Context(), target), nil); err != nil {
		t.Fatal(err)
	}
	if err := target.Filled(t.Context(), []mfa.Event{{At: time.Now(), Name: mfa.EventAdmin, OK: true, Detail: "restore"}}); err != nil {
		t.Fatal(err)
	}
	return h.serve()
}

// AC-205: everybody's old factors verify after a backup that was made while 200 changes a
// second went on, restored on another machine, of whatever kind the stores are; and what is
// secret stands nowhere in the file.
func TestBackup_AC205_everybodysFactorsVerify(t *testing.T) {
	for _, way := range ways {
		t.Run(way.name, func(t *testing.T) {
			keys := newKeys(t)
			s := way.from(t, keys).serve()
			w := newWorld(t, s)
			var people []*person
			for i := range 4 {
				people = append(people, w.person(fmt.Sprintf("person%d", i)))
			}
			busy, rate := keepBusy(t, s)
			time.Sleep(500 * time.Millisecond)
			path, totals := backedUp(t, s, keys)
			time.Sleep(200 * time.Millisecond)
			busy()
			t.Logf("%d rows, while %.0f changes a second went on", totals.Rows(), rate())
			file, err := os.ReadFile(path)
			if err != nil {
				t.Fatal(err)
			}
			for _, p := range people {
				for _, secret := range p.secrets() {
					if bytes.Contains(file, []byte(secret)) {
						t.Errorf("%q stands in the file", secret)
					}
				}
			}
			checked, err := Check(rowsIn(t.Context(), path, keys), nil)
			if err != nil || totals.Differ(checked) != nil {
				t.Errorf("checked: %v, %v", err, totals.Differ(checked))
			}
			another := restored(t, SignedOut(rowsIn(t.Context(), path, keys)), way.to(t, keys), "backup")
			there := newWorld(t, another)
			there.time.Set(w.time.Now())
			for _, p := range people {
				there.verifies(p)
				if got, err := another.UserSessions(t.Context(), p.id); err != nil || len(got) < 1 {
					t.Errorf("sessions: %d, %v", len(got), err)
				}
			}
			if _, err := mfa.CheckChain(t.Context(), another, mfa.Chain{}); err != nil {
				t.Error(err)
			}
		})
	}
}

// AC-025: an old backup brings back no session that may have been ended since, no link that
// may have been used, no browser that may have been lost; those of a planned move stay.
func TestSignedOut_AC025_endsWhatMayHaveEnded(t *testing.T) {
	for _, way := range ways[:2] {
		t.Run(way.name, func(t *testing.T) {
			keys := newKeys(t)
			s := way.from(t, keys).serve()
			ctx := t.Context()
			must := func(err error) {
				t.Helper()
				if err != nil {
					t.Fatal(err)
				}
			}
			must(s.CreateUser(ctx, &mfa.User{
				ID: "u", Source: "local", Subject: "u", Name: "u", Remembered: []mfa.RememberedDevice{{}},
				Credentials: []mfa.Credential{{ID: "app", Kind: mfa.TOTP}},
			}))
			must(s.CreateSession(ctx, &mfa.Session{ID: "s", User: "u", Complete: true, Expires: time.Now().Add(time.Hour)}))
			must(s.PutChallenge(ctx, &mfa.Challenge{ID: "c", Purpose: mfa.ForBypass, Expires: time.Now().Add(time.Hour)}))
			must(s.UpdateAttempts(ctx, []string{"k"}, func(a []mfa.Attempts) error { a[0].Count = 50; return nil }))
			path, _ := backedUp(t, s, keys)
			out := restored(t, SignedOut(rowsIn(ctx, path, keys)), way.to(t, keys), "backup")
			if _, err := out.Session(ctx, "s"); !errors.Is(err, mfa.ErrNotFound) {
				t.Errorf("the session: %v", err)
			}
			if _, err := out.TakeChallenge(ctx, "c"); !errors.Is(err, mfa.ErrNotFound) {
				t.Errorf("the bypass: %v", err)
			}
			u, err := out.User(ctx, "u")
			if err != nil || len(u.Remembered) != 0 || len(u.Credentials) != 1 {
				t.Errorf("the user: %+v, %v", u, err)
			}
			if a, err := out.Attempts(ctx, "k"); err != nil || a.Count != 50 {
				t.Errorf("the counter: %+v, %v", a, err)
			}
			moved := restored(t, rowsIn(ctx, path, keys), way.to(t, keys), "backup")
			if _, err := moved.Session(ctx, "s"); err != nil {
				t.Errorf("the session of a move: %v", err)
			}
			if _, err := moved.TakeChallenge(ctx, "c"); err != nil {
				t.Errorf("the bypass of a move: %v", err)
			}
			if u, err := moved.User(ctx, "u"); err != nil || len(u.Remembered) != 1 {
				t.Errorf("the user of a move: %+v, %v", u, err)
			}
		})
	}
}

// stopping yields so many rows and then an error, as a copy that is cut short.
func stopping(rows Rows, n int) Rows {
	return func(yield func(store.Row, error) bool) {
		for r, err := range rows {
			if n--; n < 0 {
				yield(store.Row{}, errors.New("cut short"))
				return
			}
			if !yield(r, err) {
				return
			}
		}
	}
}

// AC-189: a copy that is cut short anywhere can be opened by nobody, and goes on; there and
// back again through both kinds of store nothing has become another.
func TestFill_AC189_goesOnAndComesBackTheSame(t *testing.T) {
	keys := newKeys(t)
	s := inFolder(t, keys).serve()
	w := newWorld(t, s)
	p := w.person("alice")
	w.person("bob")
	path, totals := backedUp(t, s, keys)
	rows := rowsIn(t.Context(), path, keys)
	database := inDatabase(t, keys)
	for n := range int(totals.Rows()) {
		if n%5 != 0 {
			continue
		}
		target := database.fill("backup")
		if _, err := Fill(t.Context(), stopping(rows, n), target, nil); err == nil {
			t.Fatal("it was not cut short")
		}
		if _, err := Compare(rows, Store(t.Context(), target), nil); !errors.Is(err, archive.ErrDiffers) {
			t.Fatalf("after %d rows: %v", n, err)
		}
		if _, err := database.try(""); !errors.Is(err, store.ErrFilling) {
			t.Fatalf("after %d rows a gateway would begin: %v", n, err)
		}
	}
	there := restored(t, rows, database, "backup")
	back := restored(t, Store(t.Context(), there.(store.Portable)), inFolder(t, newKeys(t)), "way back")
	// But for the two events of the two copies, it is what it was.
	var names []string
	_, err := Compare(rows, func(yield func(store.Row, error) bool) {
		for r, err := range Store(t.Context(), back.(store.Portable)) {
			if r.Table == store.Events && strings.Contains(string(r.Data), `"restore"`) {
				continue
			}
			if r.Table == store.Chain {
				names = append(names, r.ID)
				continue
			}
			if !yield(r, err) {
				return
			}
		}
	}, nil)
	if err == nil || !strings.Contains(err.Error(), "table chain") || !slices.Equal(names, []string{store.ChainCount}) {
		// The chain is longer by two, and is the first that differs.
		t.Errorf("got %v, %v", err, names)
	}
	again := newWorld(t, back)
	again.time.Set(w.time.Now())
	again.verifies(p)
}

// What was changed at the source since a copy was begun is not mixed into it.
func TestFill_noticesThatTheSourceHasChanged(t *testing.T) {
	keys := newKeys(t)
	from := inFolder(t, keys)
	s := from.serve()
	for _, id := range []mfa.UserID{"a", "b", "c"} {
		if err := s.CreateUser(t.Context(), &mfa.User{ID: id, Source: "local", Subject: string(id), Name: string(id)}); err != nil {
			t.Fatal(err)
		}
	}
	for name, c := range map[string]struct {
		change func() error
		want   error
	}{
		"a user that was disabled": {func() error {
			return s.UpdateUser(t.Context(), "a", func(u *mfa.User) error { u.Disabled = true; return nil })
		}, mfa.ErrTaken},
		"a user that came": {func() error {
			return s.CreateUser(t.Context(), &mfa.User{ID: "d", Source: "local", Subject: "d", Name: "d"})
		}, nil},
	} {
		target := inFolder(t, keys).fill("copy")
		if _, err := Fill(t.Context(), Store(t.Context(), s.(store.Portable)), target, nil); err != nil {
			t.Fatal(err)
		}
		if err := c.change(); err != nil {
			t.Fatal(err)
		}
		if _, err := Compare(Store(t.Context(), s.(store.Portable)), Store(t.Context(), target.(store.Portable)), nil); !errors.Is(err, archive.ErrDiffers) {
			t.Errorf("%s: comparing: %v", name, err)
		}
		if _, err := Fill(t.Context(), Store(t.Context(), s.(store.Portable)), target, nil); !errors.Is(err, c.want) {
			t.Errorf("%s: going on: %v", name, err)
		}
	}
}

// rowsOf yields these.
func rowsOf(list ...store.Row) Rows {
	return func(yield func(store.Row, error) bool) {
		for _, r := range list {
			if !yield(r, nil) {
				return
			}
		}
	}
}

func TestCompare(t *testing.T) {
	row := func(table store.Table, id, data string) store.Row {
		return store.Row{Table: table, ID: id, Data: json.RawMessage(data)}
	}
	a, b := row(store.Users, "a", "{}"), row(store.Users, "b", "{}")
	event, session := row(store.Events, "1", "{}"), row(store.Sessions, "s", "{}")
	for name, c := range map[string]struct {
		want, got Rows
		same      bool
	}{
		"nothing":                    {rowsOf(), rowsOf(), true},
		"the same":                   {rowsOf(a, b, event), rowsOf(a, b, event), true},
		"one is missing":             {rowsOf(a, b, event), rowsOf(a, event), false},
		"the last is missing":        {rowsOf(a, b, event), rowsOf(a, b), false},
		"one too many":               {rowsOf(a, event), rowsOf(a, b, event), false},
		"one too many at the end":    {rowsOf(a), rowsOf(a, event), false},
		"another one":                {rowsOf(a), rowsOf(b), false},
		"it says something else":     {rowsOf(a), rowsOf(row(store.Users, "a", `{"x":1}`)), false},
		"a session that time took":   {rowsOf(a), rowsOf(a, session), true},
		"a session is missing":       {rowsOf(a, session), rowsOf(a), false},
		"a session says else":        {rowsOf(session), rowsOf(row(store.Sessions, "s", `{"x":1}`)), false},
		"an event that time took":    {rowsOf(), rowsOf(event), false},
		"all are missing":            {rowsOf(a, b), rowsOf(), false},
		"one that cannot be read":    {rowsOf(a, b), stopping(rowsOf(a, b), 1), false},
		"a source that cannot be":    {stopping(rowsOf(a, b), 1), rowsOf(a, b), false},
		"a source that ends at once": {stopping(rowsOf(a), 0), rowsOf(), false},
	} {
		totals, err := Compare(c.want, c.got, nil)
		if (err == nil) != c.same {
			t.Errorf("%s: %v", name, err)
		}
		if c.same {
			want, err := Check(c.want, nil)
			if err != nil || want.Differ(totals) != nil {
				t.Errorf("%s: the totals are others", name)
			}
		}
	}
}

// What is told of a copy grows, and is all of it in the end.
func TestTell(t *testing.T) {
	keys := newKeys(t)
	s := inFolder(t, keys).serve()
	for i := range 30 {
		id := fmt.Sprintf("u%02d", i)
		if err := s.CreateUser(t.Context(), &mfa.User{ID: mfa.UserID(id), Source: "local", Subject: id, Name: id}); err != nil {
			t.Fatal(err)
		}
	}
	if n, err := Size(t.Context(), s); err != nil || n != 30 {
		t.Errorf("about %d rows, %v", n, err)
	}
	var told []int64
	tell := func(_ store.Table, n int64) { told = append(told, n) }
	w, err := archive.NewWriter(io.Discard, keys, archive.Header{})
	if err != nil {
		t.Fatal(err)
	}
	totals, err := Backup(t.Context(), s.(store.Portable), w, tell)
	if err != nil || !slices.IsSorted(told) || told[len(told)-1] != totals.Rows() {
		t.Errorf("%v, %v", told, err)
	}
}
