package local

import (
	"context"
	"errors"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/secondgate/secondgate/internal/seal"
	"github.com/secondgate/secondgate/mfa"
)

// Hashes of rightPassword as other systems write them; internal/oldhash says how they
// were made.
var moved = map[string]string{
	"bcrypt":        "$2y$10$E8QW9/23hGfJLCb4F7bm3ONRB5/KMINHkJ7xNqxS0iyRT8VZ6ZrXG",
	"SHA-512 crypt": "$6$saltstring123456$EbL0YIdpM8l5T9BXEKpiC8G72ujh6a9p5dGNjWS9OB2AJbGLWgmpfbh8YV3OqNGFTAcQhD0t9UmfGdtYYTEwG/",
	"PBKDF2":        "$pbkdf2-sha256$20000$AAECAwQFBgcICQoLDA0ODw$/4tT6m1GJW.f3lig/6jOQUfxA8Vu4omri7hgLcpXLHA",
	"scrypt":        "$scrypt$ln=14,r=8,p=1$AAECAwQFBgcICQoLDA0ODw$PoPHO3lLOYQoFY68xnUrDJ7/l8npbJWW37HTHdnNDwA",
}

// A password of another system signs in, and is hashed anew with Argon2id by that; a wrong
// one leaves the hash as it is.
func TestSource_Authenticate_MovedHashes(t *testing.T) {
	for name, hash := range moved {
		t.Run(name, func(t *testing.T) {
			s, store := newSource(t, seal.CodeParams)
			if note, err := s.Adopt(mfa.Secret(hash)); err != nil || !strings.Contains(note, "hashed anew") {
				t.Fatalf("Adopt = %q, %v", note, err)
			}
			store.add(t, s, "alice", func(u *mfa.User) { u.Password = mfa.Secret(hash) })
			if _, err := s.Authenticate(context.Background(), "alice", "another password"); err != mfa.ErrRejected || store.updates != 0 {
				t.Fatalf("a wrong password: %v, %d updates", err, store.updates)
			}
			if _, err := s.Authenticate(context.Background(), "alice", rightPassword); err != nil {
				t.Fatal(err)
			}
			if now := string([]byte(store.byKey["subject:local:alice"].Password)); !strings.HasPrefix(now, "$argon2id$") || !seal.Verifiable(now) {
				t.Error("it was not hashed anew")
			}
			if _, err := s.Authenticate(context.Background(), "alice", rightPassword); err != nil || store.updates != 1 {
				t.Errorf("the next sign-in: %v, %d updates", err, store.updates)
			}
		})
	}
}

// AC-208: a cost that is refused when it is moved in is refused at a sign-in as well, in
// the time of any wrong password: the store may have been written by somebody else.
func TestSource_Authenticate_AC208_MovedHashBeyondTheCeiling(t *testing.T) {
	s, store := newSource(t, seal.CodeParams)
	hash := strings.Replace(moved["bcrypt"], "$10$", "$31$", 1)
	var why *mfa.MoveError
	if _, err := s.Adopt(mfa.Secret(hash)); !errors.As(err, &why) || strings.Contains(err.Error(), "E8QW9") {
		t.Errorf("Adopt: %v", err)
	}
	store.add(t, s, "alice", func(u *mfa.User) { u.Password = mfa.Secret(hash) })
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	if _, err := s.Authenticate(ctx, "alice", rightPassword); !errors.Is(err, mfa.ErrRejected) {
		t.Errorf("Authenticate: %v", err)
	}
}

// AC-115: a wrong password of an account that came from elsewhere takes no less time than
// that of a native one, or the file that somebody stole could be told from the gateway.
func TestSource_AC115_MovedHashTakesAsLong(t *testing.T) {
	s, store := newSource(t, seal.PasswordParams)
	store.add(t, s, "native", nil)
	store.add(t, s, "moved", func(u *mfa.User) {
		u.Password = mfa.Secret("$2y$05$HfPtaJ4edC3ITHHyIy3jy.VDjFtm1vU2CxLdGfn2jA1PalaUE21A2") // two milliseconds
	})
	median := func(account string) time.Duration {
		var took []time.Duration
		for range 9 {
			began := time.Now()
			if _, err := s.Authenticate(context.Background(), account, "another password"); err != mfa.ErrRejected {
				t.Fatal(err)
			}
			took = append(took, time.Since(began))
		}
		slices.Sort(took)
		return took[len(took)/2]
	}
	native, moved := median("native"), median("moved")
	if moved < native/2 {
		t.Errorf("a moved account answers in %s, a native one in %s", moved, native)
	}
}

// A hash of ours moves as it is, and what nobody can verify here does not.
func TestSource_Adopt(t *testing.T) {
	s, _ := newSource(t, seal.CodeParams)
	phc, err := s.Hash(context.Background(), rightPassword)
	if err != nil {
		t.Fatal(err)
	}
	if note, err := s.Adopt(phc); note != "" || err != nil {
		t.Errorf("our own: %q, %v", note, err)
	}
	for name, hash := range map[string]string{
		"with a pepper": strings.Replace(string([]byte(phc)), ",p=1$", ",p=1,keyid=AAAAAAAA$", 1),
		"plain":         rightPassword,
		"apr1":          "$apr1$uqdDE3sw$qEVGPJzVxn8haBki0gnIb1",
		"none":          "",
	} {
		var why *mfa.MoveError
		if _, err := s.Adopt(mfa.Secret(hash)); !errors.As(err, &why) {
			t.Errorf("%s: %v", name, err)
		}
	}
}
