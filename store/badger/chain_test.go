package badger

import (
	"errors"
	"fmt"
	"testing"
	"time"

	"github.com/dgraph-io/badger/v4"

	"github.com/secondgate/secondgate/mfa"
	"github.com/secondgate/secondgate/store"
)

// places returns where the events of the chain stand.
func places(t *testing.T, s *Store) (list []numbered) {
	t.Helper()
	ok(t, s.view(ctx, func(txn *badger.Txn) error {
		return scanNumbers(txn, 0, func(n numbered) (bool, error) { list = append(list, n); return true, nil })
	}))
	return list
}

// AC-231: whoever writes the folder, with or without the keys, and changes what was
// kept, is found out, and where.
func TestStore_AC231_findsWhatWasDoneToEvents(t *testing.T) {
	const n = 20
	value := func(txn *badger.Txn, key []byte) []byte {
		item, err := txn.Get(key)
		if err != nil {
			t.Fatal(err)
		}
		v, err := item.ValueCopy(nil)
		if err != nil {
			t.Fatal(err)
		}
		return v
	}
	// forge writes an event as somebody who has the keys.
	forge := func(s *Store, txn *badger.Txn, p numbered, change func(e *mfa.Event)) error {
		var e mfa.Event
		if err := s.read(txn, p.at.row(), &e); err != nil {
			return err
		}
		change(&e)
		record, err := s.codec.Encode(store.Events, p.at.row().id, e)
		if err != nil {
			return err
		}
		return txn.Set(p.at.row().key(), record)
	}
	type editing func(s *Store, txn *badger.Txn, p []numbered) error
	for name, c := range map[string]struct {
		edit   editing
		number uint64
		what   string
	}{
		"a changed record": {func(s *Store, txn *badger.Txn, p []numbered) error {
			v := value(txn, p[4].at.row().key())
			v[len(v)-1] ^= 1
			return txn.Set(p[4].at.row().key(), v)
		}, 5, mfa.ChainChanged},
		"a changed event, with the keys": {func(s *Store, txn *badger.Txn, p []numbered) error {
			return forge(s, txn, p[4], func(e *mfa.Event) { e.UserName = "somebody else" })
		}, 5, mfa.ChainChanged},
		"… and its hash": {func(s *Store, txn *badger.Txn, p []numbered) error {
			return forge(s, txn, p[4], func(e *mfa.Event) { e.UserName = "x"; e.Hash, _ = e.Link(p[3].hash) })
		}, 6, mfa.ChainChanged},
		"a removed record": {func(s *Store, txn *badger.Txn, p []numbered) error { return txn.Delete(p[4].at.row().key()) }, 5, mfa.ChainMissing},
		"a removed number": {func(s *Store, txn *badger.Txn, p []numbered) error {
			return txn.Delete(eventNumber(5, p[4].at))
		}, 5, mfa.ChainMissing},
		"the first": {func(s *Store, txn *badger.Txn, p []numbered) error {
			return errors.Join(txn.Delete(eventNumber(1, p[0].at)), txn.Delete(p[0].at.row().key()))
		}, 1, mfa.ChainMissing},
		"exchanged records": {func(s *Store, txn *badger.Txn, p []numbered) error {
			a, b := value(txn, p[4].at.row().key()), value(txn, p[5].at.row().key())
			return errors.Join(txn.Set(p[4].at.row().key(), b), txn.Set(p[5].at.row().key(), a))
		}, 5, mfa.ChainChanged},
		"exchanged events, with the keys": {func(s *Store, txn *badger.Txn, p []numbered) error {
			var a, b mfa.Event
			return errors.Join(s.read(txn, p[4].at.row(), &a), s.read(txn, p[5].at.row(), &b),
				forge(s, txn, p[4], func(e *mfa.Event) { *e = b }), forge(s, txn, p[5], func(e *mfa.Event) { *e = a }))
		}, 5, mfa.ChainMissing},
		"the cut end": {func(s *Store, txn *badger.Txn, p []numbered) error {
			var errs error
			for _, e := range p[n-3:] {
				errs = errors.Join(errs, txn.Delete(e.at.row().key()), txn.Delete(eventNumber(e.number, e.at)))
			}
			return errs
		}, n - 2, mfa.ChainCut},
		"all events": {func(s *Store, txn *badger.Txn, p []numbered) error {
			var errs error
			for _, e := range p {
				errs = errors.Join(errs, txn.Delete(e.at.row().key()), txn.Delete(eventNumber(e.number, e.at)))
			}
			return errs
		}, 1, mfa.ChainCut},
		"the count": {func(s *Store, txn *badger.Txn, _ []numbered) error { return txn.Delete(eventCountRow.key()) }, 0, ""},
		"a name that is too short": {func(s *Store, txn *badger.Txn, _ []numbered) error {
			return txn.Set([]byte(numberPrefix+"abc"), nil)
		}, 0, ""},
	} {
		t.Run(name, func(t *testing.T) {
			o := newOptions(t)
			s := openAt(t, o)
			appendEvents(t, s, n, time.Now().Add(-time.Hour))
			if _, err := mfa.CheckChain(ctx, s, mfa.Chain{}); err != nil {
				t.Fatal(err)
			}
			p := places(t, s)
			editRows(t, s, func(txn *badger.Txn) error { return c.edit(s, txn, p) })
			for range 2 { // and a restart mends nothing
				_, err := mfa.CheckChain(ctx, s, mfa.Chain{})
				var broken *mfa.ChainError
				switch {
				case c.what == "":
					if !errors.Is(err, store.ErrDamaged) {
						t.Errorf("got %v", err)
					}
				case !errors.As(err, &broken) || broken.Number != c.number || broken.What != c.what:
					t.Errorf("got %v, want event %d: %s", err, c.number, c.what)
				}
				ok(t, s.Close())
				s = openAt(t, o)
			}
		})
	}
	t.Run("numbers are not given anew", func(t *testing.T) {
		s := openAt(t, newOptions(t))
		appendEvents(t, s, n, time.Now().Add(-time.Hour))
		editRows(t, s, func(txn *badger.Txn) error { return txn.Delete(eventCountRow.key()) })
		if err := s.AppendEvents(ctx, []mfa.Event{event(1, time.Now())}); !errors.Is(err, store.ErrDamaged) {
			t.Errorf("got %v", err)
		}
	})
}

// forgetting opens a store on a clock, with events of those hours.
func forgetting(t *testing.T, hours ...int) (s *Store, move func(hour float64)) {
	t.Helper()
	o := newOptions(t)
	start := time.Now()
	now := start
	o.Now, o.KeepEvents = func() time.Time { return now }, 100*time.Hour
	s = openAt(t, o)
	for _, h := range hours {
		ok(t, s.AppendEvents(ctx, []mfa.Event{event(h, start.Add(time.Duration(h)*time.Hour))}))
	}
	return s, func(hour float64) { now = start.Add(time.Duration(hour * float64(time.Hour))) }
}

// The chain begins where the kept events begin, and can be checked from there on.
func TestStore_forget_movesTheBeginningOfTheChain(t *testing.T) {
	for name, c := range map[string]struct {
		hours []int
		at    float64
		first uint64
		rows  int
	}{
		"nothing is old":                     {[]int{0, 1, 2, 3}, 50, 1, 4},
		"the first two":                      {[]int{0, 1, 2, 3}, 101.5, 3, 2},
		"all":                                {[]int{0, 1, 2, 3}, 200, 5, 0},
		"none":                               {nil, 200, 1, 0},
		"an old one behind a newer one":      {[]int{0, 3, 1, 4}, 101.5, 2, 3}, // the first appended go first
		"both when their time comes":         {[]int{0, 3, 1, 4}, 103.5, 4, 1},
		"one of the future keeps nobody":     {[]int{0, 5000, 1, 2}, 101.5, 4, 1},
		"one of the future goes with others": {[]int{5000, 5001, 0, 2}, 100.5, 4, 1},
		"those of the future at the end":     {[]int{0, 1, 5000, 5001}, 200, 3, 2},
		"nothing but those of the future":    {[]int{5000, 5001}, 200, 1, 2},
	} {
		t.Run(name, func(t *testing.T) {
			s, move := forgetting(t, c.hours...)
			var before string
			if c.first > 1 {
				before = places(t, s)[c.first-2].hash
			}
			move(c.at)
			for range 2 { // once more changes nothing
				ok(t, s.forget(ctx))
				ends, err := mfa.CheckChain(ctx, s, mfa.Chain{})
				ok(t, err)
				if ends.First != c.first || ends.Before != before || ends.Last != uint64(len(c.hours)) {
					t.Errorf("the chain is %+v, want it from %d on behind %q", ends, c.first, before)
				}
				wantRows(t, s, c.rows)
				if got := rows(t, s, numberPrefix); got != c.rows {
					t.Errorf("%d numbers, want %d", got, c.rows)
				}
			}
			// It goes on behind what was forgotten.
			ok(t, s.AppendEvents(ctx, []mfa.Event{event(7, s.now())}))
			if ends, err := mfa.CheckChain(ctx, s, mfa.Chain{}); err != nil || ends.Last != uint64(len(c.hours))+1 {
				t.Errorf("%+v, %v", ends, err)
			}
		})
	}
}

// Many writes, each of which leaves a chain that is whole.
func TestStore_forget_leavesAWholeChainAfterEachWrite(t *testing.T) {
	o := newOptions(t)
	now := time.Now()
	o.Now = func() time.Time { return now }
	s := openAt(t, o)
	const n = 3000
	appendEvents(t, s, n, now.Add(-n*time.Second))
	now = now.Add(store.DefaultKeepEvents - 500*time.Second)
	last, err := s.lastOld(ctx)
	ok(t, err)
	writes := 0
	for {
		names, start, err := s.oldEvents(ctx, last)
		ok(t, err)
		if len(names) == 0 {
			break
		}
		ok(t, s.forgetRows(ctx, names, &start))
		writes++
		if ends, err := mfa.CheckChain(ctx, s, mfa.Chain{}); err != nil || ends.First != start.First {
			t.Fatalf("after write %d: %+v, %v", writes, ends, err)
		}
	}
	if writes < 2 {
		t.Errorf("%d writes", writes)
	}
	if ends, err := s.ChainEnds(ctx); err != nil || ends.First != n-500+1 {
		t.Errorf("%+v, %v", ends, err)
	}
}

// What was tampered with is forgotten as well, and the chain is whole again behind it.
func TestStore_forget_goesOnBehindDamage(t *testing.T) {
	s, move := forgetting(t, 0, 1, 2, 3, 4)
	p := places(t, s)
	editRows(t, s, func(txn *badger.Txn) error {
		return errors.Join(txn.Set(p[1].at.row().key(), []byte("damaged")), txn.Delete(p[2].at.row().key()))
	})
	if _, err := mfa.CheckChain(ctx, s, mfa.Chain{}); err == nil {
		t.Error("the damage is not found")
	}
	move(102.5)
	ok(t, s.forget(ctx))
	if ends, err := mfa.CheckChain(ctx, s, mfa.Chain{}); err != nil || ends.First != 4 {
		t.Errorf("%+v, %v", ends, err)
	}
}

// Events from before there was a chain stay what they are; the chain begins behind them.
func TestStore_oldEventsHaveNoChain(t *testing.T) {
	o := newOptions(t)
	start := time.Now()
	now := start
	o.Now, o.KeepEvents = func() time.Time { return now }, 100*time.Hour
	s := openAt(t, o)
	hour := func(h int) time.Time { return start.Add(time.Duration(h) * time.Hour) }
	// As programs of format 1 wrote them.
	ok(t, s.update(ctx, nil, func(w *writing) error {
		for i := range 5 {
			e := event(i, hour(i))
			m := momentOf(e.At, uint64(i+1))
			if err := w.put(m.row(), e, 0); err != nil {
				return err
			}
			for _, name := range m.indexes(&e) {
				if err := w.set(name, nil, 0); err != nil {
					return err
				}
			}
		}
		return w.put(eventCountRow, map[string]int{"count": 5}, 0)
	}))
	check := func(what string, want mfa.ChainEnds, events int) {
		t.Helper()
		ends, err := mfa.CheckChain(ctx, s, mfa.Chain{})
		ok(t, err)
		if want.Head = ends.Head; ends != want {
			t.Errorf("%s: %+v, want %+v", what, ends, want)
		}
		wantRows(t, s, events)
		if list, _, err := s.Events(ctx, mfa.EventQuery{}, "", 100); err != nil || len(list) != events {
			t.Errorf("%s: %d events, %v", what, len(list), err)
		}
	}
	check("before the chain", mfa.ChainEnds{First: 6, Last: 5}, 5)
	ok(t, s.AppendEvents(ctx, []mfa.Event{event(5, hour(5)), event(6, hour(2))}))
	check("the chain begins", mfa.ChainEnds{First: 6, Last: 7}, 7)
	ok(t, s.Close())
	s = openAt(t, o)
	now = hour(102).Add(time.Minute) // three without number are old; one of the chain is, too, behind one that is not
	ok(t, s.forget(ctx))
	ends, err := mfa.CheckChain(ctx, s, mfa.Chain{})
	if ok(t, err); ends.First != 6 {
		t.Errorf("%+v", ends)
	}
	wantRows(t, s, 4)
	now = hour(105).Add(time.Minute)
	ok(t, s.forget(ctx))
	ends, err = mfa.CheckChain(ctx, s, mfa.Chain{})
	if ok(t, err); ends.First != 8 || ends.Last != 7 {
		t.Errorf("%+v", ends)
	}
	wantRows(t, s, 0)
}

// BenchmarkCheckChain measures what checking a log costs.
func BenchmarkCheckChain(b *testing.B) {
	s := openAt(b, newOptions(b))
	const n = 20_000
	for i := 0; i < n; i += 250 {
		var list []mfa.Event
		for j := i; j < i+250; j++ {
			list = append(list, event(j, time.Now()))
		}
		ok(b, s.AppendEvents(ctx, list))
	}
	for b.Loop() {
		if ends, err := mfa.CheckChain(ctx, s, mfa.Chain{}); err != nil || ends.Last != n {
			b.Fatal(fmt.Sprint(ends), err)
		}
	}
	b.ReportMetric(float64(b.N*n)/b.Elapsed().Seconds(), "events/s")
}
