package store

import (
	"bytes"
	"encoding/json"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/secondgate/secondgate/internal/seal"
	"github.com/secondgate/secondgate/mfa"
)

func newCodec(t testing.TB) Codec {
	t.Helper()
	keys, err := seal.NewKeys()
	if err != nil {
		t.Fatal(err)
	}
	return NewCodec(keys)
}

func TestCodec_readsWhatItWrote(t *testing.T) {
	c := newCodec(t)
	at := time.Date(2026, 11, 23, 12, 0, 0, 5, time.UTC)
	in := mfa.User{ID: "u1", Name: "alice", Password: mfa.Secret("$argon2id$"), Created: at,
		Credentials: []mfa.Credential{{ID: "c1", Kind: mfa.TOTP, Data: mfa.Secret("secret"), Step: 7}}}
	record, err := c.Encode(Users, "u1", in)
	if err != nil {
		t.Fatal(err)
	}
	var out mfa.User
	if err := c.Decode(record, Users, "u1", &out); err != nil {
		t.Fatal(err)
	}
	a, _ := json.Marshal(in)
	b, _ := json.Marshal(out)
	if !bytes.Equal(a, b) {
		t.Errorf("wrote %s, read %s", a, b)
	}
	for _, secret := range []string{"alice", "secret", "argon2id"} {
		if bytes.Contains(record, []byte(secret)) {
			t.Errorf("the record shows %q", secret)
		}
	}
}

// AC-195: a thief of the disk who can write it, too, moves Bob's authenticator
// secret into Alice's row, or a set of counters into another's.
func TestCodec_AC195_RejectsAMovedOrChangedRecord(t *testing.T) {
	c := newCodec(t)
	record, err := c.Encode(Users, "bob", mfa.User{ID: "bob"})
	if err != nil {
		t.Fatal(err)
	}
	var u mfa.User
	for name, decode := range map[string]func() error{
		"another row":   func() error { return c.Decode(record, Users, "alice", &u) },
		"another table": func() error { return c.Decode(record, Sessions, "bob", &u) },
		"other keys":    func() error { return newCodec(t).Decode(record, Users, "bob", &u) },
		"older version": func() error { return c.Decode(append([]byte{0}, record[1:]...), Users, "bob", &u) },
		"cut":           func() error { return c.Decode(record[:len(record)-1], Users, "bob", &u) },
		"empty":         func() error { return c.Decode(nil, Users, "bob", &u) },
		"no JSON":       func() error { return c.Decode(c.Seal(Users, "bob", []byte("secret")), Users, "bob", &u) },
	} {
		err := decode()
		if !errors.Is(err, ErrDamaged) || errors.Is(err, mfa.ErrNotFound) {
			t.Errorf("%s: %v, want ErrDamaged", name, err)
		}
		if strings.Contains(err.Error(), "secret") {
			t.Errorf("%s: the error repeats the record: %v", name, err)
		}
	}
}

// AC-205: after a downgrade the older program must not guess.
func TestCodec_AC205_RejectsANewerRecord(t *testing.T) {
	c := newCodec(t)
	record, err := c.Encode(Users, "bob", mfa.User{ID: "bob"})
	if err != nil {
		t.Fatal(err)
	}
	record[0] = Version + 1
	if err := c.Decode(record, Users, "bob", new(mfa.User)); !errors.Is(err, ErrNewer) {
		t.Errorf("got %v, want ErrNewer", err)
	}
}
