package seal

import (
	"bytes"
	"errors"
	"testing"
)

func TestBox_opensWhatItSealed(t *testing.T) {
	b := newKeys(t).Box("store")
	for _, plain := range [][]byte{nil, []byte("x"), bytes.Repeat([]byte("long "), 10000)} {
		sealed := b.Seal(plain, []byte("place"))
		got, err := b.Open(sealed, []byte("place"))
		if err != nil || !bytes.Equal(got, plain) {
			t.Errorf("%d bytes: got %d, %v", len(plain), len(got), err)
		}
		if len(sealed) != len(plain)+Overhead {
			t.Errorf("overhead is %d, said %d", len(sealed)-len(plain), Overhead)
		}
	}
}

// AC-195: who can write the store must not be able to change a record or to give
// one user's secrets to another.
func TestBox_AC195_RejectsWhatWasChangedOrMoved(t *testing.T) {
	ks := newKeys(t)
	b := ks.Box("store")
	sealed := b.Seal([]byte("alice's secret"), []byte("user:alice"))
	for i := range sealed {
		for bit := range 8 {
			changed := bytes.Clone(sealed)
			changed[i] ^= 1 << bit
			if _, err := b.Open(changed, []byte("user:alice")); !errors.Is(err, ErrOpen) {
				t.Fatalf("bit %d of byte %d changed: %v, want ErrOpen", bit, i, err)
			}
		}
	}
	for n := range sealed {
		if _, err := b.Open(sealed[:n], []byte("user:alice")); !errors.Is(err, ErrOpen) {
			t.Fatalf("cut to %d bytes: %v, want ErrOpen", n, err)
		}
	}
	for name, open := range map[string]func() ([]byte, error){
		"another place":   func() ([]byte, error) { return b.Open(sealed, []byte("user:bob")) },
		"no place":        func() ([]byte, error) { return b.Open(sealed, nil) },
		"another purpose": func() ([]byte, error) { return ks.Box("session").Open(sealed, []byte("user:alice")) },
		"another keyset":  func() ([]byte, error) { return newKeys(t).Box("store").Open(sealed, []byte("user:alice")) },
		"something after": func() ([]byte, error) { return b.Open(append(bytes.Clone(sealed), 0), []byte("user:alice")) },
	} {
		if _, err := open(); !errors.Is(err, ErrOpen) {
			t.Errorf("%s: %v, want ErrOpen", name, err)
		}
	}
}

func TestBox_neverSealsTwiceAlike(t *testing.T) {
	b := newKeys(t).Box("store")
	if bytes.Equal(b.Seal([]byte("x"), nil), b.Seal([]byte("x"), nil)) {
		t.Error("one nonce was used twice")
	}
}

// AC-197: after a new key was added, what the old one sealed still opens, and
// nothing new is sealed with it.
func TestBox_AC197_opensWithAnOlderKey(t *testing.T) {
	old := newKeys(t)
	sealed := old.Box("store").Seal([]byte("x"), nil)
	before := old.state.Load().keys[0]
	before.status = DecryptOnly
	both := newKeyset(firstState(newKeys(t).state.Load().keys[0], before))
	if got, err := both.Box("store").Open(sealed, nil); err != nil || string(got) != "x" {
		t.Errorf("with both keys: %q, %v", got, err)
	}
	if both.Box("store").Current(sealed) {
		t.Error("what the older key sealed counts as current")
	}
	renewed := both.Box("store").Seal([]byte("x"), nil)
	if !both.Box("store").Current(renewed) {
		t.Error("what the primary key sealed does not count as current")
	}
	if _, err := old.Box("store").Open(renewed, nil); !errors.Is(err, ErrOpen) {
		t.Errorf("the older key opens what the new one sealed: %v", err)
	}
}
