package local

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/secondgate/secondgate/internal/seal"
	"github.com/secondgate/secondgate/mfa"
)

// users is the little of a store that a source needs.
type users struct {
	mfa.Users
	byKey   map[string]*mfa.User
	fail    error
	updates int
	before  func(*mfa.User) // runs before a change, like another request
}

func (s *users) UserByKey(_ context.Context, key string) (*mfa.User, error) {
	if s.fail != nil {
		return nil, s.fail
	}
	if u, ok := s.byKey[key]; ok {
		return u, nil
	}
	return nil, mfa.ErrNotFound
}

func (s *users) UpdateUser(_ context.Context, id mfa.UserID, change func(*mfa.User) error) error {
	for key, u := range s.byKey {
		if u.ID != id {
			continue
		}
		next := *u
		if s.before != nil {
			s.before(&next)
		}
		err := change(&next)
		if err == nil {
			s.updates++
		}
		s.byKey[key] = &next
		return err
	}
	return mfa.ErrNotFound
}

const rightPassword = "a walrus eats 9 kites"

func newSource(t testing.TB, params seal.Params) (*Source, *users) {
	t.Helper()
	h, err := seal.NewHasher(seal.HasherConfig{Params: params})
	if err != nil {
		t.Fatal(err)
	}
	store := &users{byKey: map[string]*mfa.User{}}
	s, err := New(Config{Users: store, Hasher: h})
	if err != nil {
		t.Fatal(err)
	}
	return s, store
}

func (s *users) add(t testing.TB, src *Source, name string, change func(*mfa.User)) *mfa.User {
	t.Helper()
	phc, err := src.Hash(context.Background(), rightPassword)
	if err != nil {
		t.Fatal(err)
	}
	u := &mfa.User{
		ID: mfa.UserID("id-" + name), Source: "local", Subject: name, Name: name, DisplayName: "Name of " + name,
		Email: name + "@example.com", Groups: []string{"staff"}, Password: phc,
	}
	if change != nil {
		change(u)
	}
	s.byKey[mfa.SubjectKey("local", name)] = u
	return u
}

// AC-213 and AC-093: every spelling leads to one account, or to none. A name that
// looks like another must not become an account or a counter of its own.
func TestSource_Account_AC213(t *testing.T) {
	s, _ := newSource(t, seal.CodeParams)
	for _, tc := range []struct{ name, in, want string }{
		{"as it is", "alice", "alice"},
		{"capital", "Alice", "alice"},
		{"capitals", "ALICE", "alice"},
		{"spaces around", "  alice ", "alice"},
		{"digits and signs", "a.l-i_c3", "a.l-i_c3"},
		{"a digit first", "3alice", "3alice"},
		{"dash last", "alice-", "alice-"},
		{"64 characters", strings.Repeat("a", 64), strings.Repeat("a", 64)},
		{"65 characters", strings.Repeat("a", 65), ""},
		{"300 characters", strings.Repeat("a", 300), ""},
		{"empty", "", ""},
		{"space", " ", ""},
		{"space inside", "al ice", ""},
		{"tab", "alice\t", ""},
		{"full-width", "ａｌｉｃｅ", ""},
		{"zero width", "alice\u200b", ""},
		{"Cyrillic а", "аlice", ""},
		{"dotless i", "alıce", ""},
		{"dotted capital I", "ALİCE", ""},
		{"Kelvin sign", "\u212aevin", ""},
		{"composed", "jos\u00e9", ""},
		{"decomposed", "jose\u0301", ""},
		{"no-break space", "alice\u00a0", ""},
		{"trailing dot", "alice.", ""},
		{"leading dot", ".alice", ""},
		{"leading dash", "-alice", ""},
		{"NUL", "alice\x00", ""},
		{"right-to-left override", "\u202eecila", ""},
		{"address", "alice@example.com", ""},
		{"colon", "local:alice", ""},
		{"comma", "alice,admin", ""},
		{"slash", "../alice", ""},
		{"placeholder", "{env.SECRET}", ""},
		{"no UTF-8", "alice\xff", ""},
	} {
		t.Run(tc.name, func(t *testing.T) {
			got, err := s.Account(tc.in)
			if got != tc.want {
				t.Errorf("Account(%q) = %q, want %q", tc.in, got, tc.want)
			}
			if tc.want == "" && (!errors.Is(err, mfa.ErrRejected) || !errors.Is(err, mfa.ErrName)) {
				t.Errorf("Account(%q): %v, want a rejection that names the rule", tc.in, err)
			}
			if tc.want != "" {
				if again, err := s.Account(got); again != got || err != nil {
					t.Errorf("the canonical name is not its own: %q, %v", again, err)
				}
			}
		})
	}
}

func TestSource_Authenticate(t *testing.T) {
	s, store := newSource(t, seal.CodeParams)
	store.add(t, s, "alice", nil)
	store.add(t, s, "disabled", func(u *mfa.User) { u.Disabled = true })
	store.add(t, s, "invited", func(u *mfa.User) { u.Password = nil })
	store.add(t, s, "foreign", func(u *mfa.User) { u.Source = "oidc" })
	for _, tc := range []struct {
		name, account, password string
		ok                      bool
	}{
		{"right", "alice", rightPassword, true},
		{"wrong", "alice", "another password", false},
		{"empty", "alice", "", false},
		{"other case", "alice", strings.ToUpper(rightPassword), false},
		{"space after", "alice", rightPassword + " ", false},
		{"cut short", "alice", rightPassword[:len(rightPassword)-1], false},
		{"no text", "alice", "\xff\xfe", false},
		{"unknown", "nobody", rightPassword, false},
		{"no name", "", rightPassword, false},
		{"not canonical", "Alice", rightPassword, false},
		{"disabled", "disabled", rightPassword, false},
		{"no password yet", "invited", rightPassword, false},
		{"record of another source", "foreign", rightPassword, false},
	} {
		t.Run(tc.name, func(t *testing.T) {
			id, err := s.Authenticate(context.Background(), tc.account, tc.password)
			if !tc.ok {
				if id != nil || err != mfa.ErrRejected {
					t.Errorf("Authenticate = %v, %v; want the one rejection", id, err)
				}
				return
			}
			if err != nil || id.Source != "local" || id.Subject != "alice" || id.Name != "alice" || id.EmailVerified || len(id.Groups) != 1 {
				t.Errorf("Authenticate = %+v, %v", id, err)
			}
		})
	}
	store.fail = errors.New("store is closed")
	if id, err := s.Authenticate(context.Background(), "alice", rightPassword); id != nil || err == nil || errors.Is(err, mfa.ErrRejected) {
		t.Errorf("with the store down: %v, %v; want a fault", id, err)
	}
}

// AC-115: what unknown names are checked against must cost what a real hash
// costs. Comparing times is for a nightly job; here the costs are compared.
func TestSource_AC115_DummyCostsTheSame(t *testing.T) {
	for _, params := range []seal.Params{{}, seal.CodeParams} {
		s, _ := newSource(t, params)
		real, err := s.Hash(context.Background(), rightPassword)
		if err != nil {
			t.Fatal(err)
		}
		cost := func(phc string) string { return strings.Join(strings.Split(phc, "$")[:4], "$") }
		if got, want := cost(s.dummy), cost(string([]byte(real))); got != want || len(s.dummy) != len(real) {
			t.Errorf("the dummy costs %s, a real hash %s", got, want)
		}
	}
}

// AC-185: NFC and NFD of the same text both sign in.
func TestSource_Authenticate_AC185_Normalises(t *testing.T) {
	s, store := newSource(t, seal.CodeParams)
	u := store.add(t, s, "alice", nil)
	composed, decomposed := "caf\u00e9 au lait \u00fcberall", "cafe\u0301 au lait u\u0308berall"
	phc, err := s.Hash(context.Background(), decomposed)
	if err != nil {
		t.Fatal(err)
	}
	u.Password = phc
	for _, p := range []string{composed, decomposed} {
		if _, err := s.Authenticate(context.Background(), "alice", p); err != nil {
			t.Errorf("%+q: %v", p, err)
		}
	}
}

func TestSource_Authenticate_RehashesAtANewCost(t *testing.T) {
	old, _ := newSource(t, seal.CodeParams)
	s, store := newSource(t, seal.Params{Memory: 20 << 10, Time: 2, Threads: 1})
	u := store.add(t, old, "alice", nil)
	before := string([]byte(u.Password))
	if _, err := s.Authenticate(context.Background(), "alice", "another password"); err == nil || store.updates != 0 {
		t.Fatalf("a wrong password: %v, %d updates", err, store.updates)
	}
	if _, err := s.Authenticate(context.Background(), "alice", rightPassword); err != nil {
		t.Fatal(err)
	}
	after := string([]byte(store.byKey["subject:local:alice"].Password))
	if store.updates != 1 || after == before || !strings.Contains(after, "m=20480,") {
		t.Errorf("after the sign-in: %d updates", store.updates)
	}
	if _, err := s.Authenticate(context.Background(), "alice", rightPassword); err != nil || store.updates != 1 {
		t.Errorf("the next sign-in: %v, %d updates", err, store.updates)
	}
}

// A damaged record must not answer in another way than an unknown name.
func TestSource_Authenticate_DamagedHashIsARejection(t *testing.T) {
	s, store := newSource(t, seal.CodeParams)
	store.add(t, s, "alice", func(u *mfa.User) { u.Password = mfa.Secret("$argon2id$damaged") })
	store.add(t, s, "bob", func(u *mfa.User) {
		u.Password = mfa.Secret(strings.Replace(string([]byte(u.Password)), ",p=1$", ",p=1,keyid=AAAAAAAA$", 1))
	})
	for account, cause := range map[string]error{"alice": seal.ErrPHC, "bob": seal.ErrPepper} {
		id, err := s.Authenticate(context.Background(), account, rightPassword)
		if id != nil || !errors.Is(err, mfa.ErrRejected) || !errors.Is(err, cause) {
			t.Errorf("%s: %v, %v; want a rejection because of %v", account, id, err, cause)
		}
	}
}

// AC-208: when too many sign in at once, the surplus is told so, and it is no
// rejection: nothing is counted against anybody.
func TestSource_Authenticate_AC208_Busy(t *testing.T) {
	h, err := seal.NewHasher(seal.HasherConfig{Params: seal.CodeParams, Concurrent: 1, Queue: 1})
	if err != nil {
		t.Fatal(err)
	}
	s, err := New(Config{Users: &users{byKey: map[string]*mfa.User{}}, Hasher: h})
	if err != nil {
		t.Fatal(err)
	}
	const n = 16
	errs := make(chan error)
	for range n {
		go func() {
			_, err := s.Authenticate(context.Background(), "nobody", rightPassword)
			errs <- err
		}()
	}
	busy := 0
	for range n {
		switch err := <-errs; {
		case errors.Is(err, mfa.ErrBusy) && !errors.Is(err, mfa.ErrRejected):
			busy++
		case err != mfa.ErrRejected:
			t.Errorf("Authenticate: %v", err)
		}
	}
	if busy == 0 {
		t.Error("sixteen at once, one served and one waiting: nobody was turned away")
	}
}

// A sign-in that hashes the password anew must not undo a change of password
// that another request made in between.
func TestSource_Authenticate_RehashKeepsANewerPassword(t *testing.T) {
	old, _ := newSource(t, seal.CodeParams)
	s, store := newSource(t, seal.Params{Memory: 20 << 10, Time: 2, Threads: 1})
	store.add(t, old, "alice", nil)
	store.before = func(u *mfa.User) { u.Password = mfa.Secret("changed") }
	if _, err := s.Authenticate(context.Background(), "alice", rightPassword); err != nil {
		t.Fatal(err)
	}
	if got := string([]byte(store.byKey["subject:local:alice"].Password)); got != "changed" {
		t.Errorf("the newer password was overwritten")
	}
}

// AC-185: the rules for new passwords.
func TestSource_Check_AC185(t *testing.T) {
	s, _ := newSource(t, seal.CodeParams)
	words := []string{"walrus", "Bob", "gate.example.com:8443"}
	for _, tc := range []struct {
		name, password string
		want           mfa.PasswordRule
	}{
		{"7 characters", "xk4v9qz", mfa.PasswordTooShort},
		{"11 characters", "xk4v9qzmt2w", mfa.PasswordTooShort},
		{"12 characters", "xk4v9qzmt2wp", ""},
		{"four emoji thrice", strings.Repeat("🦀🌵🚲🪁", 3), mfa.PasswordCommon},
		{"12 different emoji", "🦀🌵🚲🪁🎻🧦🥝🛶🧭🪗🧲🍄", ""},
		{"11 code points of 44 bytes", "🦀🌵🚲🪁🎻🧦🥝🛶🧭🪗🧲", mfa.PasswordTooShort},
		{"decomposed letters count once", "e\u0301o\u0308u\u0308a\u0308i\u0301n\u0303", mfa.PasswordTooShort},
		{"spaces count", " kq zv xw pj ", ""},
		{"leading space", " xk4v9qzmt2w", ""},
		{"256 characters", strings.Repeat("xk4v9qzmt2wp7rhd", 16), ""},
		{"257 characters", strings.Repeat("xk4v9qzmt2wp7rhd", 16) + "x", mfa.PasswordTooLong},
		{"1025 bytes", strings.Repeat("🦀", 256) + "x", mfa.PasswordTooLong},
		{"a megabyte", strings.Repeat("x", 1<<20), mfa.PasswordTooLong},
		{"no UTF-8", "xk4v9qzmt2wp\xff", mfa.PasswordNotText},
		{"a sentence", "correct horse battery staple", ""},
		{"user name inside", "the-WALRUS-eats-9-kites", mfa.PasswordHasName},
		{"host inside", "my Example of 9 kites", mfa.PasswordHasName},
		{"a short name may be inside", "kqbobzvxwpjtm", ""},
		{"word and digits", "password1234", mfa.PasswordCommon},
		{"word, capital, year, sign", "Sunshine2024!", mfa.PasswordCommon},
		{"letter swaps", "P@55w0rd1234", mfa.PasswordCommon},
		{"letter swaps at the end", "W3lc0m3H0m3!", mfa.PasswordCommon},
		{"digits before", "2024-September", mfa.PasswordCommon},
		{"word twice", "dragondragon", mfa.PasswordCommon},
		{"word and digits twice", "monkey1monkey1", mfa.PasswordCommon},
		{"two words", "ilove-starwars", mfa.PasswordCommon},
		{"one character", "aaaaaaaaaaaa", mfa.PasswordCommon},
		{"three characters", "abcabcabcabc", mfa.PasswordCommon},
		{"digits in order", "123456789012", mfa.PasswordCommon},
		{"digits backwards", "987654321098", mfa.PasswordCommon},
		{"alphabet", "abcdefghijklm", mfa.PasswordCommon},
		{"row of keys", "qwertyuiop[]", mfa.PasswordCommon},
		{"rows of keys", "qwertyasdfgh", mfa.PasswordCommon},
		{"German row of keys", "qwertzuiopü+", mfa.PasswordCommon},
		{"columns of keys", "1qaz2wsx3edc", mfa.PasswordCommon},
		{"two rows interleaved", "q1w2e3r4t5y6", mfa.PasswordCommon},
		{"and the other way", "1q2w3e4r5t6y", mfa.PasswordCommon},
		{"word and walk", "password1234567890", mfa.PasswordCommon},
		{"word and many random digits", "password83620174953", ""},
	} {
		t.Run(tc.name, func(t *testing.T) {
			err := s.Check(tc.password, words...)
			var refused *mfa.PasswordError
			switch {
			case tc.want == "" && err != nil:
				t.Errorf("Check(%q) = %v, want none", tc.password, err)
			case tc.want != "" && (!errors.As(err, &refused) || refused.Rule != tc.want):
				t.Errorf("Check(%q) = %v, want %s", tc.password, err, tc.want)
			}
		})
	}
}

func TestSource_Hash_RejectsWhatMustNotBeHashed(t *testing.T) {
	s, _ := newSource(t, seal.CodeParams)
	for name, p := range map[string]string{
		"too long": strings.Repeat("x", 1025), "no text": "\xff", "empty": "",
	} {
		var refused *mfa.PasswordError
		if phc, err := s.Hash(context.Background(), p); phc != nil || !errors.As(err, &refused) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// The floor of security.md is 3,000 common passwords. Ours is made by rules, so
// this counts what the rules refuse of length twelve and more.
func TestCommon_HoldsThousands(t *testing.T) {
	seen := map[string]bool{}
	for word := range commonWords() {
		if len(word) > maxWord {
			t.Errorf("base word %q is too long to be found", word)
		}
		if len(word) < 3 {
			continue
		}
		if strings.ToLower(word) != word {
			t.Errorf("base word %q is not in lower case", word)
		}
		for _, p := range []string{
			word + word + word, word + "123456789", word + "2025!", "1234" + word, word + "_1990", word + "!!!!!!!!",
		} {
			if len(p) >= 12 && common(p) {
				seen[p] = true
			}
		}
	}
	if len(seen) < 3000 {
		t.Errorf("%d, want 3000 or more", len(seen))
	}
	t.Logf("%d base words; %d passwords of six patterns refused", len(commonWords()), len(seen))
}

func TestCommon_LeavesRandomAlone(t *testing.T) {
	for i := range 200 {
		// Deterministic noise; what it is does not matter, only that it is none of ours.
		x := uint64(i)*0x9e3779b97f4a7c15 + 0x1234567
		var b strings.Builder
		for range 12 {
			x ^= x << 13
			x ^= x >> 7
			x ^= x << 17
			b.WriteByte("abcdefghijklmnopqrstuvwxyz0123456789"[x%36])
		}
		if common(b.String()) {
			t.Errorf("%q is called common", b.String())
		}
	}
}

func BenchmarkSource_Check_Longest(b *testing.B) {
	s, _ := newSource(b, seal.CodeParams)
	p := strings.Repeat("ü", 128) + strings.Repeat("öx", 64)
	for b.Loop() {
		_ = s.Check(p, "alice")
	}
}

func FuzzCheck(f *testing.F) {
	s, _ := newSource(f, seal.CodeParams)
	for _, p := range []string{"password1234", "qwertzuiopü+", "\u0301\u0301", "a\xff", "ü", "öä#öä#öä#öä#"} {
		f.Add(p, "alice")
	}
	f.Fuzz(func(t *testing.T, password, word string) {
		var refused *mfa.PasswordError
		if err := s.Check(password, word); err != nil && !errors.As(err, &refused) {
			t.Errorf("Check = %v", err)
		}
	})
}

func FuzzAccount(f *testing.F) {
	s, _ := newSource(f, seal.CodeParams)
	for _, n := range []string{"alice", "ALİCE", " a.b ", "\x00"} {
		f.Add(n)
	}
	f.Fuzz(func(t *testing.T, name string) {
		got, err := s.Account(name)
		if (err == nil) != (got != "") {
			t.Fatalf("Account(%q) = %q, %v", name, got, err)
		}
		if err == nil {
			if again, err := s.Account(got); again != got || err != nil {
				t.Errorf("Account(%q) = %q, then %q", name, got, again)
			}
		}
	})
}

func ExampleSource_Account() {
	var s *Source
	name, _ := s.Account(" Alice ")
	fmt.Println(name)
	// Output: alice
}
