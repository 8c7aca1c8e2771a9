package badger

import (
	"encoding/json"
	"errors"
	"testing"
	"time"

	"github.com/secondgate/secondgate/mfa"
	"github.com/secondgate/secondgate/store"
	"github.com/secondgate/secondgate/store/storetest"
)

// place is a folder for storetest.RunPortable.
type place struct {
	o    Options
	open *Store
}

func newPlace(t *testing.T) storetest.Place {
	p := &place{o: newOptions(t)}
	t.Cleanup(func() {
		if err := p.close(); err != nil {
			t.Error(err)
		}
	})
	return p
}

func (p *place) close() error {
	if p.open == nil {
		return nil
	}
	s := p.open
	p.open = nil
	return s.Close()
}

func (p *place) Serve() (mfa.Store, error) { return p.at("") }

func (p *place) Fill(from string) (mfa.Store, error) { return p.at(from) }

func (p *place) at(fill string) (mfa.Store, error) {
	if err := p.close(); err != nil {
		return nil, err
	}
	o := p.o
	o.Fill = fill
	s, err := Open(o)
	if err != nil {
		return nil, err
	}
	p.open = s
	return s, nil
}

func TestStore_isCopied(t *testing.T) { storetest.RunPortable(t, newPlace, newPlace) }

// The index that a copy makes is the one that changes make.
func TestImport_makesTheIndexOfUsers(t *testing.T) {
	source := newPlace(t).(*place)
	s, err := source.Serve()
	if err != nil {
		t.Fatal(err)
	}
	for i := range 300 {
		u := &mfa.User{ID: mfa.UserID(rune('a' + i)), Source: "local", Subject: string(rune('a' + i)), Name: string(rune('a' + i)), Disabled: i%7 == 0}
		if err := s.CreateUser(t.Context(), u); err != nil {
			t.Fatal(err)
		}
	}
	target := newPlace(t).(*place)
	if _, err := target.Fill("a copy"); err != nil {
		t.Fatal(err)
	}
	if err := copyAll(t, source.open, target.open); err != nil {
		t.Fatal(err)
	}
	if err := target.open.CheckIndex(t.Context()); err != nil {
		t.Error(err)
	}
}

func copyAll(t *testing.T, from, to *Store) error {
	var rows []store.Row
	err := from.Export(t.Context(), func(r store.Row) error {
		rows = append(rows, r)
		return nil
	})
	if err != nil {
		return err
	}
	return to.Import(t.Context(), rows)
}

// Closing waits for no copy: a client that reads slowly must not keep a gateway from ending.
func TestExport_endsWithTheStore(t *testing.T) {
	o := newOptions(t)
	s, err := Open(o)
	if err != nil {
		t.Fatal(err)
	}
	for _, id := range []mfa.UserID{"a", "b"} {
		if err := s.CreateUser(t.Context(), &mfa.User{ID: id, Source: "local", Subject: string(id), Name: string(id)}); err != nil {
			t.Fatal(err)
		}
	}
	closed := make(chan error)
	err = s.Export(t.Context(), func(store.Row) error {
		go func() { closed <- s.Close() }()
		<-s.ctx.Done()
		return nil
	})
	if !errors.Is(err, ErrClosed) {
		t.Errorf("the copy ended with %v", err)
	}
	if err := <-closed; err != nil {
		t.Error(err)
	}
}

// AC-025, AC-191: a session whose end could not be written has ended in the copy as well.
func TestExport_AC025_doomedSessionsHaveEnded(t *testing.T) {
	s := openAt(t, newOptions(t))
	session := &mfa.Session{ID: "s", User: "u", Complete: true, Expires: time.Now().Add(time.Hour)}
	if err := s.CreateSession(t.Context(), session); err != nil {
		t.Fatal(err)
	}
	s.doomed.Add("s", "u")
	ended := false
	err := s.Export(t.Context(), func(r store.Row) error {
		var kept store.Session
		if r.Table == store.Sessions && json.Unmarshal(r.Data, &kept) == nil {
			ended = kept.Ended && kept.Session.ID == "s"
		}
		return nil
	})
	if err != nil || !ended {
		t.Errorf("ended %v, %v", ended, err)
	}
}
