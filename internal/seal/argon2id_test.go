package seal

import (
	"context"
	"encoding/hex"
	"errors"
	"strings"
	"sync"
	"testing"
	"time"
)

func newHasher(t testing.TB, cfg HasherConfig) *Hasher {
	t.Helper()
	if cfg.Params == (Params{}) {
		cfg.Params = CodeParams
	}
	h, err := NewHasher(cfg)
	if err != nil {
		t.Fatal(err)
	}
	return h
}

// The vector pins the algorithm to what the reference implementation computes
// (its test suite, version 19, m=65536 t=2 p=1, "password", "somesalt").
func TestHasher_Key_IsArgon2id(t *testing.T) {
	const want = "09316115d5cf24ed5a15a31a3ba326e5cf32edc24702987c02b6566f61913cf7"
	h := newHasher(t, HasherConfig{})
	got, err := h.Key(context.Background(), []byte("password"), []byte("somesalt"), Params{Memory: 65536, Time: 2, Threads: 1})
	if err != nil || hex.EncodeToString(got) != want {
		t.Errorf("Key = %x, %v; want %s", got, err, want)
	}
}

func TestHasher_DefaultCost(t *testing.T) {
	h, err := NewHasher(HasherConfig{})
	if err != nil {
		t.Fatal(err)
	}
	if got, want := h.Params(), (Params{Memory: 64 << 10, Time: 3, Threads: 4}); got != want {
		t.Errorf("default cost = %v, want %v", got, want)
	}
	if !strings.HasPrefix(h.Dummy(), "$argon2id$v=19$m=65536,t=3,p=4$") {
		t.Error("the dummy hash has another cost than production (AC-115)")
	}
}

func TestHasher_HashAndVerify(t *testing.T) {
	ctx := context.Background()
	plain := newHasher(t, HasherConfig{})
	peppered := newHasher(t, HasherConfig{Pepper: []byte(strings.Repeat("p", 32))})
	other := newHasher(t, HasherConfig{Pepper: []byte(strings.Repeat("q", 32))})
	costlier := newHasher(t, HasherConfig{Params: Params{Memory: 20 << 10, Time: 2, Threads: 1}})

	hash := func(h *Hasher) string {
		phc, err := h.Hash(ctx, []byte("right"))
		if err != nil {
			t.Fatal(err)
		}
		return phc
	}
	plainHash, pepperHash := hash(plain), hash(peppered)
	if plainHash == hash(plain) {
		t.Error("two hashes of one secret are the same: no salt")
	}
	for _, tc := range []struct {
		name       string
		h          *Hasher
		phc        string
		secret     string
		ok, rehash bool
		err        error
	}{
		{"the secret", plain, plainHash, "right", true, false, nil},
		{"another secret", plain, plainHash, "wrong", false, false, nil},
		{"no secret", plain, plainHash, "", false, false, nil},
		{"the cost has changed since", costlier, plainHash, "right", true, true, nil},
		{"the cost has changed and the secret is wrong", costlier, plainHash, "wrong", false, false, nil},
		{"a pepper was added since", peppered, plainHash, "right", true, true, nil},
		{"the same pepper", peppered, pepperHash, "right", true, false, nil},
		{"the same pepper, another secret", peppered, pepperHash, "wrong", false, false, nil},
		{"another pepper", other, pepperHash, "right", false, false, ErrPepper},
		{"the pepper is gone", plain, pepperHash, "right", false, false, ErrPepper},
		{"the dummy", plain, plain.Dummy(), "right", false, false, nil},
		{"nothing stored", plain, "", "", false, false, ErrPHC},
	} {
		t.Run(tc.name, func(t *testing.T) {
			ok, rehash, err := tc.h.Verify(ctx, tc.phc, []byte(tc.secret))
			if ok != tc.ok || rehash != tc.rehash || !errors.Is(err, tc.err) {
				t.Errorf("Verify = %v, %v, %v; want %v, %v, %v", ok, rehash, err, tc.ok, tc.rehash, tc.err)
			}
		})
	}
}

// A hostile or damaged string must not choose how much memory and time we spend,
// nor lower what an attacker spends.
func TestParsePHC_Rejects(t *testing.T) {
	const salt, tag = "c29tZXNhbHRzb21lc2FsdA", "CTFhFdXPJO1aFaMaO6Mm5c8y7cJHApl8ArZWb2GRPPc"
	good := "$argon2id$v=19$m=65536,t=3,p=4$" + salt + "$" + tag
	if _, err := parsePHC(good); err != nil {
		t.Fatal(err)
	}
	for name, text := range map[string]string{
		"4 GiB":                 "$argon2id$v=19$m=4194304,t=3,p=4$" + salt + "$" + tag,
		"more than 32 bits":     "$argon2id$v=19$m=99999999999,t=3,p=4$" + salt + "$" + tag,
		"a thousand passes":     "$argon2id$v=19$m=65536,t=1000,p=4$" + salt + "$" + tag,
		"255 threads":           "$argon2id$v=19$m=65536,t=3,p=255$" + salt + "$" + tag,
		"no threads":            "$argon2id$v=19$m=65536,t=3,p=0$" + salt + "$" + tag,
		"below the floor":       "$argon2id$v=19$m=8192,t=3,p=1$" + salt + "$" + tag,
		"one cheap pass":        "$argon2id$v=19$m=19456,t=1,p=1$" + salt + "$" + tag,
		"argon2i":               strings.Replace(good, "argon2id", "argon2i", 1),
		"an old version":        strings.Replace(good, "v=19", "v=16", 1),
		"leading zero":          strings.Replace(good, "t=3", "t=03", 1),
		"plus sign":             strings.Replace(good, "t=3", "t=+3", 1),
		"other order":           "$argon2id$v=19$t=3,m=65536,p=4$" + salt + "$" + tag,
		"no tag":                "$argon2id$v=19$m=65536,t=3,p=4$" + salt + "$",
		"short tag":             "$argon2id$v=19$m=65536,t=3,p=4$" + salt + "$CTFh",
		"no salt":               "$argon2id$v=19$m=65536,t=3,p=4$$" + tag,
		"line break in the tag": good[:len(good)-4] + "\n" + good[len(good)-4:],
		"trailing bits":         good[:len(good)-1] + "d",
		"trailing field":        good + "$x",
		"bcrypt":                "$2a$10$N9qo8uLOickgx2ZMRZoMyeIjZAgcfl7p92ldGxad68LJZdL17lhWy",
		"long":                  good + strings.Repeat("A", 1<<20),
		"empty":                 "",
	} {
		t.Run(name, func(t *testing.T) {
			if _, err := parsePHC(text); !errors.Is(err, ErrPHC) {
				t.Errorf("parsePHC = %v, want ErrPHC", err)
			}
		})
	}
}

func TestHasher_ErrorsNameNoSecret(t *testing.T) {
	h := newHasher(t, HasherConfig{})
	_, _, err := h.Verify(context.Background(), "$argon2id$HUSH", []byte("HUSH"))
	if err == nil || strings.Contains(err.Error(), "HUSH") {
		t.Errorf("error = %v", err)
	}
}

// AC-208: a thousand sign-ins at once cost no more than the slots, and whoever
// comes when the queue is full is turned away at once.
func TestHasher_AC208_FloodIsBounded(t *testing.T) {
	h := newHasher(t, HasherConfig{Concurrent: 2, Queue: 8})
	h.slots <- struct{}{}
	h.slots <- struct{}{} // both slots are taken
	ctx, cancel := context.WithCancel(context.Background())
	var (
		wg     sync.WaitGroup
		mu     sync.Mutex
		counts = map[error]int{}
	)
	for range 1000 {
		wg.Add(1)
		go func() {
			defer wg.Done()
			_, err := h.Key(ctx, []byte("x"), []byte("saltsalt"), CodeParams)
			mu.Lock()
			counts[err]++
			mu.Unlock()
		}()
	}
	deadline := time.Now().Add(10 * time.Second)
	for {
		mu.Lock()
		busy := counts[ErrBusy]
		mu.Unlock()
		if busy == 992 {
			break
		}
		if time.Now().After(deadline) {
			t.Fatalf("%d of 1000 were turned away, want 992", busy)
		}
		time.Sleep(time.Millisecond)
	}
	if running, waiting, refused := h.Load(); running != 2 || waiting != 8 || refused != 992 {
		t.Errorf("%d run, %d wait and %d were turned away, want 2, 8 and 992", running, waiting, refused)
	}
	cancel()
	wg.Wait()
	if counts[context.Canceled] != 8 || counts[nil] != 0 {
		t.Errorf("answers: %v, want 8 cancelled and none served", counts)
	}
	if n := h.waiting.Load(); n != 0 {
		t.Errorf("%d still count as waiting", n)
	}
	<-h.slots
	if _, err := h.Key(context.Background(), []byte("x"), []byte("saltsalt"), CodeParams); err != nil {
		t.Errorf("after the flood: %v", err)
	}
}

func TestNewHasher_RejectsWeakness(t *testing.T) {
	for name, cfg := range map[string]HasherConfig{
		"short pepper": {Pepper: []byte("short")},
		"cheap":        {Params: Params{Memory: 1024, Time: 1, Threads: 1}},
	} {
		if _, err := NewHasher(cfg); err == nil {
			t.Errorf("%s: accepted", name)
		}
	}
}

func FuzzParsePHC(f *testing.F) {
	f.Add("$argon2id$v=19$m=65536,t=3,p=4$c29tZXNhbHRzb21lc2FsdA$CTFhFdXPJO1aFaMaO6Mm5c8y7cJHApl8ArZWb2GRPPc")
	f.Add("$argon2id$v=19$m=19456,t=2,p=1,keyid=AAAAAAAA$c29tZXNhbHQ$CTFhFdXPJO1aFaMaO6Mm5c8y7cJHApl8ArZWb2GRPPc")
	f.Add("$argon2id$v=19$m=4294967295,t=1,p=1$$")
	f.Fuzz(func(t *testing.T, text string) {
		s, err := parsePHC(text)
		if err != nil {
			if !errors.Is(err, ErrPHC) {
				t.Errorf("error %v is not ErrPHC", err)
			}
			return
		}
		if s.params.Validate() != nil || s.String() != text {
			t.Errorf("accepted %q", text)
		}
	})
}
