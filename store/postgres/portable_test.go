package postgres

import (
	"context"
	"errors"
	"path/filepath"
	"testing"
	"time"

	"github.com/secondgate/secondgate/internal/seal"
	"github.com/secondgate/secondgate/mfa"
	"github.com/secondgate/secondgate/store"
	"github.com/secondgate/secondgate/store/badger"
	"github.com/secondgate/secondgate/store/storetest"
)

// place is a database for storetest.RunPortable.
type place struct {
	o    Options
	keys *seal.Keyset
	open *Store
}

func newPlace(t *testing.T) storetest.Place {
	p := &place{o: withTables(t), keys: newKeys(t)}
	t.Cleanup(p.close)
	return p
}

func (p *place) close() {
	if p.open != nil {
		_ = p.open.Close()
		p.open = nil
	}
}

func (p *place) Serve() (mfa.Store, error) { return p.at("") }

func (p *place) Fill(from string) (mfa.Store, error) { return p.at(from) }

func (p *place) at(fill string) (mfa.Store, error) {
	p.close()
	o := p.o
	o.Fill = fill
	d, err := Connect(context.Background(), o)
	if err != nil {
		return nil, err
	}
	s, err := d.Open(p.keys)
	if err != nil {
		return nil, err
	}
	p.open = s
	return s, nil
}

// folder is a folder of the other store.
type folder struct {
	o    badger.Options
	open *badger.Store
}

func newFolder(t *testing.T) storetest.Place {
	f := &folder{o: badger.Options{Dir: filepath.Join(t.TempDir(), "store"), Keys: newKeys(t), MinFree: 1}}
	t.Cleanup(func() {
		if err := f.close(); err != nil {
			t.Error(err)
		}
	})
	return f
}

func (f *folder) close() error {
	if f.open == nil {
		return nil
	}
	s := f.open
	f.open = nil
	return s.Close()
}

func (f *folder) Serve() (mfa.Store, error) { return f.at("") }

func (f *folder) Fill(from string) (mfa.Store, error) { return f.at(from) }

func (f *folder) at(fill string) (mfa.Store, error) {
	if err := f.close(); err != nil {
		return nil, err
	}
	o := f.o
	o.Fill = fill
	s, err := badger.Open(o)
	if err != nil {
		return nil, err
	}
	f.open = s
	return s, nil
}

func TestStore_isCopied(t *testing.T)           { storetest.RunPortable(t, newPlace, newPlace) }
func TestStore_isCopiedFromBadger(t *testing.T) { storetest.RunPortable(t, newFolder, newPlace) }
func TestStore_isCopiedToBadger(t *testing.T)   { storetest.RunPortable(t, newPlace, newFolder) }

// Two gateways that start while a copy begins must not serve from half of it: whoever opened
// the database before the copy keeps the copy out.
func TestOpen_fillsOnlyWhatNobodyOpened(t *testing.T) {
	o, keys := withTables(t), newKeys(t)
	serving := openAt(t, o, keys)
	filling := o
	filling.Fill = "a copy"
	d := connectTo(t, filling)
	if _, err := d.Open(keys); err == nil {
		t.Fatal("an empty database from which a gateway serves was opened to be filled")
	}
	if _, err := serving.CountUsers(t.Context()); err != nil {
		t.Error(err)
	}
}

// AC-025: two commands that make the same copy, one of them held up: when the other has
// finished it and a gateway serves, the late one must not bring back who was removed there
// since.
func TestImport_AC025_EndsWhenAnotherHasFinished(t *testing.T) {
	o, keys := newOptions(t), newKeys(t)
	filling := o
	filling.Fill = "a copy"
	first, late := openAt(t, filling, keys), openAt(t, filling, keys)
	rows := []store.Row{{Table: store.APIKeys, ID: "stolen", Data: []byte(`{"id":"stolen","name":"a program"}`)}}
	for _, s := range []*Store{first, late} {
		if err := s.Import(t.Context(), rows); err != nil {
			t.Fatal(err)
		}
	}
	if err := first.Filled(t.Context(), nil); err != nil {
		t.Fatal(err)
	}
	serving := openAt(t, o, keys)
	if err := serving.RemoveAPIKey(t.Context(), "stolen"); err != nil {
		t.Fatal(err)
	}
	if err := late.Import(t.Context(), rows); !errors.Is(err, store.ErrNotEmpty) {
		t.Errorf("importing late: %v", err)
	}
	if err := late.Filled(t.Context(), nil); !errors.Is(err, store.ErrNotEmpty) {
		t.Errorf("ending it late: %v", err)
	}
	if k, err := serving.APIKey(t.Context(), "stolen"); !errors.Is(err, mfa.ErrNotFound) {
		t.Errorf("the key that was revoked is back: %+v, %v", k, err)
	}
}

// Whoever reads slowly must not lose the snapshot to the bounds on time of other calls.
func TestExport_mayTakeLong(t *testing.T) {
	o := withTables(t)
	o.URL += "&statement_timeout=200&idle_in_transaction_session_timeout=200"
	s := openAt(t, o, newKeys(t))
	for _, id := range []mfa.UserID{"a", "b"} {
		if err := s.CreateUser(t.Context(), &mfa.User{ID: id, Source: "local", Subject: string(id), Name: string(id)}); err != nil {
			t.Fatal(err)
		}
	}
	n := 0
	err := s.Export(t.Context(), func(store.Row) error {
		n++
		time.Sleep(500 * time.Millisecond)
		return nil
	})
	if err != nil || n != 2 {
		t.Errorf("%d rows, %v", n, err)
	}
}
