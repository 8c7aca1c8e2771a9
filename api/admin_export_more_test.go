package api_test

import (
	"context"
	"errors"
	"net/http"
	"net/http/httptest"
	"testing"
	"time"

	"github.com/secondgate/secondgate/api"
	"github.com/secondgate/secondgate/mfa"
)

// slow is a reader of an export who takes one line and then waits.
type slow struct {
	*httptest.ResponseRecorder
	begun, goOn chan struct{}
}

func (s *slow) Write(p []byte) (int, error) {
	s.begun <- struct{}{}
	<-s.goOn
	return s.ResponseRecorder.Write(p)
}

// Two who read the whole log slowly, or verify it, are all that there may be: more would
// keep the store busy with nothing else. They go on, and then there is room again.
func TestAdmin_ExportsAreFew(t *testing.T) {
	o := newOffice(t)
	must(t, o.store.AppendEvents(t.Context(), []mfa.Event{{At: o.clock.Now(), Name: mfa.EventSignIn}}))
	p := o.program()
	readers := [2]*slow{}
	ended := make(chan struct{}, len(readers))
	for i := range readers {
		s := &slow{httptest.NewRecorder(), make(chan struct{}), make(chan struct{})}
		readers[i] = s
		r := p.request(http.MethodGet, admin+"/audit/export", "")
		go func() {
			o.api.Console().ServeHTTP(s, r)
			ended <- struct{}{}
		}()
		<-s.begun
	}
	for _, path := range []string{"/audit/export", "/audit/verification"} {
		if a := p.ask(http.MethodGet, admin+path, "", http.StatusServiceUnavailable); a.reason() != "busy" || a.Header.Get("Retry-After") == "" {
			t.Errorf("%s: %s", path, a.raw)
		}
	}
	p.ask(http.MethodGet, admin+"/audit", "", http.StatusOK)
	for _, s := range readers {
		close(s.goOn)
	}
	for range readers {
		<-ended
	}
	p.ask(http.MethodGet, admin+"/audit/verification", "", http.StatusOK)
	p.ask(http.MethodGet, admin+"/audit/export", "", http.StatusOK)
}

// broken is a store that gives so many pages of events and then fails.
type broken struct {
	mfa.Store
	pages int
}

func (b *broken) EventsInOrder(_ context.Context, from uint64, limit int) ([]mfa.Event, error) {
	if b.pages--; b.pages < 0 {
		return nil, errors.New("the disk is gone")
	}
	list := make([]mfa.Event, limit)
	for i := range list {
		list[i] = mfa.Event{At: time.Unix(0, 0).UTC(), Name: mfa.EventSignIn, Number: from + uint64(i)}
	}
	return list, nil
}

// An export that cannot go on is cut, so that nobody takes what came for all of it; one
// that cannot begin says so.
func TestAdmin_BrokenExportIsCut(t *testing.T) {
	o := newOffice(t)
	key := o.key("", "", time.Hour, "audit:read")
	b := &broken{Store: o.store}
	gate := &onStore{o.gate, b, o}
	var err error
	o.api, err = api.New(api.Config{Gate: gate, Guard: o.guard, Now: o.clock.Now})
	must(t, err)
	program{o, key}.ask(http.MethodGet, admin+"/audit/export", "", http.StatusServiceUnavailable)
	b.pages = 1
	server := httptest.NewServer(o.api.Console())
	defer server.Close()
	r, err := http.NewRequestWithContext(t.Context(), http.MethodGet, server.URL+admin+"/audit/export", nil)
	must(t, err)
	r.Header.Set("Authorization", "Bearer "+key)
	res, err := http.DefaultClient.Do(r)
	must(t, err)
	defer res.Body.Close()
	buffer := make([]byte, 1<<20)
	for err == nil {
		_, err = res.Body.Read(buffer)
	}
	if res.StatusCode != http.StatusOK || err.Error() == "EOF" {
		t.Errorf("%d, and it ended with %v", res.StatusCode, err)
	}
}

// onStore is a gate whose administration stands on another store.
type onStore struct {
	*mfa.Gate
	store mfa.Store
	o     *office
}

func (g *onStore) As(a mfa.Actor) *mfa.Administration {
	g.o.t.Helper()
	return g.o.gateOn(g.store).As(a)
}

// undecided is a gate that lets an administrator not in, and cannot say why.
type undecided struct{ *mfa.Gate }

func (undecided) Administrator(context.Context, *mfa.Place, mfa.SessionID, mfa.OrganizationID, bool) (*mfa.Administrator, error) {
	return nil, mfa.ErrNotAllowed
}

func (undecided) State(context.Context, *mfa.Place, mfa.SessionID) (*mfa.State, error) {
	return nil, errors.New("the disk is gone")
}

// Where it cannot be found out what somebody owes, nobody is let in.
func TestAdmin_UnknownDebt(t *testing.T) {
	o := newOffice(t)
	var err error
	o.api, err = api.New(api.Config{Gate: undecided{o.gate}, Guard: o.guard, Now: o.clock.Now})
	must(t, err)
	if a := o.root.ask(http.MethodGet, admin+"/users", "", http.StatusServiceUnavailable); a.reason() != "unavailable" {
		t.Errorf("%s", a.raw)
	}
}

// With the store down nobody is let in, whatever they hold.
func TestAdmin_StoreDown(t *testing.T) {
	o := newOffice(t)
	p := o.program()
	must(t, o.store.(interface{ Close() error }).Close())
	for _, path := range []string{"", "/users", "/audit/export", "/policy"} {
		if a := o.root.ask(http.MethodGet, admin+path, "", http.StatusServiceUnavailable); a.reason() != "unavailable" {
			t.Errorf("%s: %s", path, a.raw)
		}
		p.ask(http.MethodGet, admin+path, "", http.StatusServiceUnavailable)
	}
}
