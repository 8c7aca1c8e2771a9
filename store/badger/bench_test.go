package badger

import (
	"fmt"
	"os"
	"slices"
	"strconv"
	"sync/atomic"
	"testing"
	"time"

	"github.com/dgraph-io/badger/v4"

	"github.com/secondgate/secondgate/mfa"
)

// BenchmarkStore measures what one request costs the store. Run it on the disk
// that is meant: what waits for the disk waits for that disk.
func BenchmarkStore(b *testing.B) {
	s := openAt(b, newOptions(b))
	const many = 1000
	for i := range many {
		if err := s.CreateUser(ctx, user(i)); err != nil {
			b.Fatal(err)
		}
	}
	session := &mfa.Session{ID: "s", User: user(0).ID, Complete: true, Expires: time.Now().Add(time.Hour)}
	if err := s.CreateSession(ctx, session); err != nil {
		b.Fatal(err)
	}
	step := func(u *mfa.User) error { u.Credentials[0].Step++; return nil }
	b.Run("UpdateUser", func(b *testing.B) {
		took := make([]time.Duration, 0, b.N)
		for b.Loop() {
			start := time.Now()
			if err := s.UpdateUser(ctx, user(0).ID, step); err != nil {
				b.Fatal(err)
			}
			took = append(took, time.Since(start))
		}
		slices.Sort(took)
		b.ReportMetric(float64(took[len(took)/2].Microseconds()), "p50-µs")
		b.ReportMetric(float64(took[len(took)*99/100].Microseconds()), "p99-µs")
	})
	b.Run("UpdateUser16AtOnce", func(b *testing.B) {
		var n atomic.Int64
		b.SetParallelism(8)
		b.RunParallel(func(pb *testing.PB) {
			for pb.Next() {
				if err := s.UpdateUser(ctx, user(int(n.Add(1))%many).ID, step); err != nil {
					b.Error(err)
				}
			}
		})
	})
	b.Run("UpdateAttempts", func(b *testing.B) {
		for b.Loop() {
			err := s.UpdateAttempts(ctx, []string{"a", "b"}, func(a []mfa.Attempts) error { a[0].Count++; a[1].Count++; return nil })
			if err != nil {
				b.Fatal(err)
			}
		}
	})
	b.Run("User", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			if _, err := s.User(ctx, user(7).ID); err != nil {
				b.Fatal(err)
			}
		}
	})
	b.Run("Session", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			if _, err := s.Session(ctx, "s"); err != nil {
				b.Fatal(err)
			}
		}
	})
}

// BenchmarkEvents measures that a page of one user's events costs the same whatever
// else is kept. Both stores hold a thousand events of the user; the large one, with
// 200,000, is asked in turn with the small one, so that a busy machine is busy for
// both.
func BenchmarkEvents(b *testing.B) {
	const own = 1000
	now := time.Now()
	fillEvents := func(total int) *Store {
		o := newOptions(b)
		s := openAt(b, o)
		for i := 0; i < total; i += 250 {
			var list []mfa.Event
			for j := i; j < i+250; j++ {
				e := event(j, now.Add(time.Duration(j-total)*time.Second))
				e.User = mfa.UserID(fmt.Sprintf("u-%020d", j%(total/own)))
				list = append(list, e)
			}
			if err := s.AppendEvents(ctx, list); err != nil {
				b.Fatal(err)
			}
		}
		// Opened anew, both read from tables.
		if err := s.Close(); err != nil {
			b.Fatal(err)
		}
		return openAt(b, o)
	}
	small, large := fillEvents(own), fillEvents(200*own)
	q := mfa.EventQuery{User: mfa.UserID(fmt.Sprintf("u-%020d", 0))}
	page := func(s *Store) time.Duration {
		start := time.Now()
		page, _, err := s.Events(ctx, q, "", 50)
		if err != nil || len(page) != 50 {
			b.Fatal(len(page), err)
		}
		return time.Since(start)
	}
	var ofSmall, ofLarge []time.Duration
	for b.Loop() {
		ofSmall, ofLarge = append(ofSmall, page(small)), append(ofLarge, page(large))
	}
	slices.Sort(ofSmall)
	slices.Sort(ofLarge)
	middle := len(ofSmall) / 2
	b.ReportMetric(float64(ofSmall[middle].Microseconds()), "p50-of-1000-µs")
	b.ReportMetric(float64(ofLarge[middle].Microseconds()), "p50-of-200000-µs")
	b.ReportMetric(float64(ofLarge[middle])/float64(ofSmall[middle]), "ratio")
}

// BenchmarkAppendEvents measures what one batch of the recorder costs.
func BenchmarkAppendEvents(b *testing.B) {
	s := openAt(b, newOptions(b))
	list := make([]mfa.Event, 256)
	for b.Loop() {
		for i := range list {
			list[i] = event(i, time.Now())
		}
		if err := s.AppendEvents(ctx, list); err != nil {
			b.Fatal(err)
		}
	}
	b.ReportMetric(float64(b.N*len(list))/b.Elapsed().Seconds(), "events/s")
}

// BenchmarkOpen measures a start with many users; their number is in
// SECONDGATE_BENCH_USERS, by default 20,000.
func BenchmarkOpen(b *testing.B) {
	n := 20_000
	if text := os.Getenv("SECONDGATE_BENCH_USERS"); text != "" {
		var err error
		if n, err = strconv.Atoi(text); err != nil {
			b.Fatal(err)
		}
	}
	o := newOptions(b)
	s, err := Open(o)
	if err != nil {
		b.Fatal(err)
	}
	if err := load(s, n); err != nil {
		b.Fatal(err)
	}
	if err := s.Close(); err != nil {
		b.Fatal(err)
	}
	for b.Loop() {
		s, err := Open(o)
		if err != nil {
			b.Fatal(err)
		}
		b.StopTimer()
		if _, err := s.User(ctx, user(n-1).ID); err != nil {
			b.Fatal(err)
		}
		if err := s.Close(); err != nil {
			b.Fatal(err)
		}
		b.StartTimer()
	}
	b.ReportMetric(float64(n), "users")
}

// load writes users the fast way, without waiting for the disk for each.
func load(s *Store, n int) error {
	batch := s.db.NewWriteBatch()
	defer batch.Cancel()
	for i := range n {
		u := user(i)
		record, err := s.codec.Encode(userRow(u.ID).table, string(u.ID), u)
		if err != nil {
			return err
		}
		if err := batch.SetEntry(badger.NewEntry(userRow(u.ID).key(), record)); err != nil {
			return err
		}
		for _, name := range s.rows(u.ID, listedAs(u)) {
			if err := batch.Set(name, nil); err != nil {
				return err
			}
		}
		for _, key := range u.UniqueKeys() {
			record, err := s.codec.Encode(keyRow(key).table, key, holder{User: u.ID})
			if err != nil {
				return err
			}
			if err := batch.Set(keyRow(key).key(), record); err != nil {
				return fmt.Errorf("loading: %w", err)
			}
		}
	}
	return batch.Flush()
}

// BenchmarkCreateUser measures an import: many users at a time.
func BenchmarkCreateUser(b *testing.B) {
	s := openAt(b, newOptions(b))
	var n atomic.Int64
	b.SetParallelism(128)
	b.RunParallel(func(pb *testing.PB) {
		for pb.Next() {
			if err := s.CreateUser(ctx, citizen(int(n.Add(1)))); err != nil {
				b.Error(err)
			}
		}
	})
	b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "users/s")
}
