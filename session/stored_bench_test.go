package session

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"path/filepath"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/secondgate/secondgate/internal/seal"
	"github.com/secondgate/secondgate/mfa"
	"github.com/secondgate/secondgate/store/badger"
)

// These measure the way of a request from its token to the decision on the real
// store, with as many sessions stored and as many of them in use as the name
// says. Each names a session of a user of its own, as in life.

func BenchmarkStoredCached1(b *testing.B)       { benchStored(b, 1, 1) }
func BenchmarkStoredCached10k(b *testing.B)     { benchStored(b, 10_000, 10_000) }
func BenchmarkStoredCached10kOf1M(b *testing.B) { benchStored(b, 1_000_000, 10_000) }
func BenchmarkStoredMiss1k(b *testing.B)        { benchStoredMiss(b, 1_000) }
func BenchmarkStoredMiss10k(b *testing.B)       { benchStoredMiss(b, 10_000) }
func BenchmarkStoredMissOf1M(b *testing.B)      { benchStoredMiss(b, 1_000_000) }

// benchStored measures Verify and Decide for sessions that the cache of its
// usual size holds, and reports how that compares with one SHA-256 of the same
// tokens, measured in turns with it.
func benchStored(b *testing.B, stored, active int) {
	w := newStoredWorld(b, stored, Config{})
	tokens := w.tokens(b, active)
	place, policy, ctx := &mfa.Place{Scope: scope}, mfa.DefaultPolicy(), context.Background()
	visit := func(token string) {
		v, err := w.Verify(ctx, token, scope)
		if err != nil {
			b.Fatal(err)
		}
		d := mfa.Decide(mfa.Input{Policy: &policy, Place: place, Session: v.Session, Subject: v.Subject}, time.Now())
		if d.Action != mfa.Allow {
			b.Fatalf("decided %v", d)
		}
	}
	for range 2 { // the second round finds everything in the cache
		for _, t := range tokens {
			visit(t)
		}
	}
	// In turns, and the median of the turns: on a busy machine the sum says how
	// busy it was.
	const turn = 1000
	var visits, ratios []float64
	arrived, data := make([]string, turn), make([][]byte, turn)
	arrive := func(first int) {
		for j := range turn {
			// As from the network: bytes of its own, which the processor has just had.
			data[j] = []byte(tokens[(first+j)%active])
			arrived[j] = string(data[j])
		}
	}
	arrive(0)
	start := time.Now()
	b.ReportAllocs()
	i := 0
	for b.Loop() {
		visit(arrived[i%turn])
		if i++; i%turn == 0 {
			visiting := time.Since(start)
			b.StopTimer()
			start = time.Now()
			for _, d := range data {
				sha256.Sum256(d)
			}
			visits = append(visits, float64(visiting.Nanoseconds())/turn)
			ratios = append(ratios, float64(visiting)/float64(time.Since(start)))
			arrive(i)
			b.StartTimer()
			start = time.Now() // StartTimer stops the world
		}
	}
	if len(ratios) > 0 {
		slices.Sort(visits)
		slices.Sort(ratios)
		b.ReportMetric(visits[len(visits)/2], "ns-median")
		b.ReportMetric(ratios[len(ratios)/2], "of-SHA-256")
	}
}

// benchStoredMiss measures the same for sessions that the cache does not hold:
// signature, claims, and two records of the store.
func benchStoredMiss(b *testing.B, stored int) {
	w := newStoredWorld(b, stored, Config{CacheSize: 1})
	tokens := w.tokens(b, min(stored, 10_000))
	ctx := context.Background()
	for _, t := range tokens { // what the system caches of the files
		if _, err := w.Verify(ctx, t, scope); err != nil {
			b.Fatal(err)
		}
	}
	b.ReportAllocs()
	i := 0
	for b.Loop() {
		if _, err := w.Verify(ctx, tokens[i%len(tokens)], scope); err != nil {
			b.Fatal(err)
		}
		i++
	}
}

// storedWorld is a manager on a store with that many sessions.
type storedWorld struct {
	*Manager
	stored int
}

// stores are kept for the whole run: a million sessions take a minute or two.
var stores = struct {
	sync.Mutex
	dir  string
	made map[int]*badger.Store
}{made: map[int]*badger.Store{}}

func newStoredWorld(b *testing.B, stored int, cfg Config) *storedWorld {
	b.Helper()
	cfg.Store, cfg.Keys, cfg.Issuer = storeOf(b, stored), []Key{key("k1")}, issuer
	m, err := New(cfg)
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() { _ = m.Close(context.Background()) })
	return &storedWorld{m, stored}
}

// tokens returns n tokens, spread over all that is stored.
func (w *storedWorld) tokens(b *testing.B, n int) []string {
	tokens := make([]string, n)
	for i := range tokens {
		s, err := w.store.Session(context.Background(), storedSession(i*(w.stored/n)).ID)
		if err != nil {
			b.Fatal(err)
		}
		if tokens[i], err = w.Issue(s); err != nil {
			b.Fatal(err)
		}
	}
	return tokens
}

func storeOf(b *testing.B, stored int) *badger.Store {
	stores.Lock()
	defer stores.Unlock()
	if s := stores.made[stored]; s != nil {
		return s
	}
	keys, err := seal.NewKeys()
	if err != nil {
		b.Fatal(err)
	}
	s, err := badger.Open(badger.Options{Dir: filepath.Join(stores.dir, fmt.Sprint(stored)), Keys: keys})
	if err != nil {
		b.Fatal(err)
	}
	stores.made[stored] = s
	start := time.Now()
	if err := fill(s, stored); err != nil {
		b.Fatal(err)
	}
	b.Logf("%d users with a session each, through the store, in %s", stored, time.Since(start).Round(time.Millisecond))
	return s
}

// fill makes the records by the store's own methods. Many writers share one wait
// for the disk.
func fill(s *badger.Store, n int) error {
	var next atomic.Int64
	errs := make([]error, 256)
	var writers sync.WaitGroup
	for w := range errs {
		writers.Go(func() {
			for errs[w] == nil {
				i := int(next.Add(1)) - 1
				if i >= n {
					return
				}
				session := storedSession(i)
				errs[w] = errors.Join(
					s.CreateUser(context.Background(), storedUser(i)),
					s.CreateSession(context.Background(), session),
				)
			}
		})
	}
	writers.Wait()
	return errors.Join(errs...)
}

func storedUser(i int) *mfa.User {
	name := fmt.Sprintf("user-%07d", i)
	return &mfa.User{
		ID: mfa.UserID(fmt.Sprintf("id-%023d", i)), Handle: fmt.Appendf(nil, "%032d", i), Source: "local", Subject: name, Name: name,
		Email: name + "@example.test", Groups: []string{"staff"}, Created: time.Now(), EverEnrolled: true,
		Credentials: []mfa.Credential{
			{ID: "app", Kind: mfa.TOTP, Created: time.Now(), Data: mfa.Secret(make([]byte, 20))},
			{ID: mfa.BackupCodesID, Kind: mfa.BackupCode, Created: time.Now(), Left: mfa.CodesPerSet},
		},
	}
}

func storedSession(i int) *mfa.Session {
	now := time.Now()
	return &mfa.Session{
		ID: mfa.SessionID(fmt.Sprintf("%043d", i)), User: storedUser(i).ID, Scope: scope, Complete: true,
		Created: now, LastSeen: now, Expires: now.Add(11 * time.Hour),
		First:  mfa.Proof{Kind: mfa.Password, At: now},
		Proofs: []mfa.Proof{{Kind: mfa.TOTP, Credential: "app", At: now}},
	}
}
