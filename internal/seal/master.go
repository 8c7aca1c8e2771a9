package seal

import (
	"bytes"
	"crypto/rand"
	"encoding/base64"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"strings"

	"golang.org/x/crypto/chacha20poly1305"
)

// What is wrong with a master key, or with where there is none.
var (
	// ErrMasterForm says that a text is no master key.
	ErrMasterForm = errors.New("not a master key: it has 32 bytes, as 43 characters of base64url or 64 of hex; make one with: secondgate mfa keys master")
	// ErrMasterMissing says that the key set is sealed, and no master key was given.
	ErrMasterMissing = errors.New("the keys are sealed with a master key, and the configuration gives none; write it to the store's block: master_key {file./path/of/it}")
	// ErrMasterWrong says that another master key sealed the key set.
	ErrMasterWrong = errors.New("the keys are sealed with another master key; give that one, or both where it is being changed: master_key NEW { previous OLD }")
	// ErrMasterNeeded says that the place is one where keys must not stand in plain text.
	ErrMasterNeeded = errors.New("keys that stand in a database need a master key, or whoever reads the database reads everything; make one with: secondgate mfa keys master")
	// ErrNotSealed says that keys stand in plain text where they must not.
	ErrNotSealed = errors.New("the keys in the database are not sealed with the master key, so somebody else has put them there; restore the row from your backup")
)

// Master is the key that seals the text of a key set where others can read that. It is
// given by the operator and kept nowhere. Formatting it shows no key.
type Master struct {
	secret   [keySize]byte
	previous *Master // opens what was sealed before the master key was changed
}

// NewMaster returns the text of a new master key.
func NewMaster() string {
	var secret [keySize]byte
	// crypto/rand.Read ends the process rather than return bytes that are not random.
	_, _ = rand.Read(secret[:])
	return base64.RawURLEncoding.EncodeToString(secret[:])
}

// ParseMaster reads a master key: base64url with or without padding, or hex. Space around
// it, such as the end of a file's line, is left out. The error does not repeat it.
func ParseMaster(text string) (*Master, error) {
	text = strings.TrimSpace(text)
	raw, err := hex.DecodeString(text)
	if err != nil || len(raw) != keySize {
		raw, err = base64.RawURLEncoding.Strict().DecodeString(strings.TrimRight(text, "="))
	}
	if err != nil || len(raw) != keySize || bytes.Count(raw, raw[:1]) == keySize {
		return nil, ErrMasterForm // one byte over and over is what stands in examples
	}
	m := new(Master)
	copy(m.secret[:], raw)
	return m, nil
}

// After returns the master key with the one before it, which opens what was not sealed
// anew yet.
func (m *Master) After(previous *Master) *Master {
	next := *m
	next.previous = previous
	return &next
}

// id names the master key, so that a wrong one can be told from a damaged text.
func (m *Master) id() string {
	return hex.EncodeToString(derive(m.secret[:], nil, "master id")[:idSize])
}

// masterPlace binds a sealed text to what it is.
var masterPlace = []byte("secondgate:key set:v2")

// seal returns the text sealed.
func (m *Master) seal(text []byte) ([]byte, error) {
	aead, err := chacha20poly1305.NewX(derive(m.secret[:], nil, "key set"))
	if err != nil {
		return nil, fmt.Errorf("sealing the keys: %w", err)
	}
	nonce := make([]byte, aead.NonceSize(), aead.NonceSize()+len(text)+aead.Overhead())
	_, _ = rand.Read(nonce)
	return marshalText(keyText{Version: textVersion, Master: m.id(), Sealed: aead.Seal(nonce, nonce, text, masterPlace)})
}

// open returns what was sealed, and whether this master key itself sealed it.
func (m *Master) open(t *keyText) (text []byte, current bool, err error) {
	if m == nil {
		return nil, false, ErrMasterMissing
	}
	if t.Master != m.id() {
		if m.previous == nil {
			return nil, false, ErrMasterWrong
		}
		text, _, err = m.previous.open(t)
		return text, false, err
	}
	aead, err := chacha20poly1305.NewX(derive(m.secret[:], nil, "key set"))
	if err != nil {
		return nil, false, fmt.Errorf("opening the keys: %w", err)
	}
	if len(t.Sealed) < aead.NonceSize() {
		return nil, false, fmt.Errorf("%w: damaged", ErrKeyFile)
	}
	text, err = aead.Open(nil, t.Sealed[:aead.NonceSize()], t.Sealed[aead.NonceSize():], masterPlace)
	if err != nil {
		return nil, false, fmt.Errorf("%w: damaged", ErrKeyFile)
	}
	return text, true, nil
}

// String returns a fixed word.
func (Master) String() string { return "[master key]" }

// GoString returns a fixed word.
func (Master) GoString() string { return "[master key]" }

// Format shows String whatever the verb is.
func (m Master) Format(s fmt.State, _ rune) { _, _ = io.WriteString(s, m.String()) }

// MarshalText refuses to show it.
func (m Master) MarshalText() ([]byte, error) { return []byte(m.String()), nil }
