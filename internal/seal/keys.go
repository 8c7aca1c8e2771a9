package seal

import (
	"bytes"
	"crypto/hkdf"
	"crypto/rand"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"runtime"
	"time"
)

// What is wrong with a key file. A missing one is fs.ErrNotExist.
var (
	// ErrExposed says that others than its owner could read or change the file.
	ErrExposed = errors.New("others can read or change the key file")
	// ErrKeyFile says that the file is not a key file that this version reads.
	ErrKeyFile = errors.New("not a usable key file")
)

const (
	fileVersion = 1
	keySize     = 32
	idSize      = 4
	maxFileSize = 1 << 20
)

// status says what a key may still do.
type status string

const (
	primary     status = "primary"      // seals, signs, opens
	decryptOnly status = "decrypt_only" // opens what it sealed
)

type key struct {
	id      [idSize]byte
	created time.Time
	secret  []byte
}

// Keyset is the keys of one installation: one primary key and those that came
// before it. It is read only and safe for concurrent use. Formatting it shows no
// key.
type Keyset struct {
	keys []key // the primary one first
}

// The key file as JSON.
type keyFile struct {
	Version int       `json:"version"`
	Keys    []fileKey `json:"keys"`
}

type fileKey struct {
	ID      string    `json:"id"`
	Created time.Time `json:"created"`
	Status  status    `json:"status"`
	Key     []byte    `json:"key"`
}

// LoadKeys reads a key file. It refuses a file that others than its owner can
// read or change (ErrExposed) and anything that is not whole (ErrKeyFile): a
// gateway without its keys must not start. A missing file is fs.ErrNotExist, and
// only the caller knows whether that is a first start or a loss.
func LoadKeys(path string) (*Keyset, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, fmt.Errorf("opening the key file: %w", err)
	}
	defer f.Close()
	// The open file is asked, not the path: nobody can put another file in
	// between the question and the reading.
	info, err := f.Stat()
	if err != nil {
		return nil, fmt.Errorf("reading the key file: %w", err)
	}
	if !info.Mode().IsRegular() {
		return nil, fmt.Errorf("reading the key file %s: %w: not a regular file", path, ErrKeyFile)
	}
	if err := checkPrivate(info); err != nil {
		return nil, fmt.Errorf("reading the key file %s: %w", path, err)
	}
	raw, err := io.ReadAll(io.LimitReader(f, maxFileSize+1))
	if err != nil {
		return nil, fmt.Errorf("reading the key file: %w", err)
	}
	ks, err := parseKeys(raw)
	if err != nil {
		return nil, fmt.Errorf("reading the key file %s: %w", path, err)
	}
	return ks, nil
}

// parseKeys never repeats what the file holds in an error.
func parseKeys(raw []byte) (*Keyset, error) {
	switch {
	case len(raw) == 0:
		return nil, fmt.Errorf("%w: it is empty, so its writing was cut short; remove it if there is no store yet, else restore it from a backup", ErrKeyFile)
	case len(raw) > maxFileSize:
		return nil, fmt.Errorf("%w: too long", ErrKeyFile)
	}
	var head struct {
		Version int `json:"version"`
	}
	if json.Unmarshal(raw, &head) == nil && head.Version > fileVersion {
		return nil, fmt.Errorf("%w: a newer version wrote it (%d; this one reads %d)", ErrKeyFile, head.Version, fileVersion)
	}
	var file keyFile
	d := json.NewDecoder(bytes.NewReader(raw))
	d.DisallowUnknownFields()
	if err := d.Decode(&file); err != nil || d.More() || file.Version != fileVersion {
		return nil, fmt.Errorf("%w: damaged", ErrKeyFile)
	}
	ks := &Keyset{}
	seen := map[[idSize]byte]bool{}
	primaries := 0
	for i, fk := range file.Keys {
		k := key{created: fk.Created, secret: fk.Key}
		id, err := hex.DecodeString(fk.ID)
		switch {
		case err != nil || len(id) != idSize:
			return nil, fmt.Errorf("%w: the ID of key %d is damaged", ErrKeyFile, i+1)
		case len(fk.Key) != keySize:
			return nil, fmt.Errorf("%w: key %d has the wrong length", ErrKeyFile, i+1)
		}
		copy(k.id[:], id)
		if seen[k.id] {
			return nil, fmt.Errorf("%w: two keys have one ID", ErrKeyFile)
		}
		seen[k.id] = true
		switch fk.Status {
		case primary:
			primaries++
			ks.keys = append([]key{k}, ks.keys...)
		case decryptOnly:
			ks.keys = append(ks.keys, k)
		default:
			return nil, fmt.Errorf("%w: the status of key %d is unknown", ErrKeyFile, i+1)
		}
	}
	if primaries != 1 {
		return nil, fmt.Errorf("%w: it must hold one primary key, and holds %d", ErrKeyFile, primaries)
	}
	return ks, nil
}

// CreateKeys makes a key file with one new key, readable by its owner alone, and
// returns when it is on disk. It never replaces a file (fs.ErrExist): the keys in
// it may be all that opens a store.
func CreateKeys(path string) (*Keyset, error) {
	k, err := newKey(time.Now())
	if err != nil {
		return nil, err
	}
	ks := &Keyset{keys: []key{k}}
	raw, err := ks.encode()
	if err != nil {
		return nil, fmt.Errorf("creating the key file: %w", err)
	}
	f, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return nil, fmt.Errorf("creating the key file: %w", err)
	}
	if err := writeSynced(f, raw); err != nil {
		// Nobody has used these keys yet, and half a file would stop every start.
		_ = os.Remove(path)
		return nil, fmt.Errorf("creating the key file: %w", err)
	}
	if err := syncDir(filepath.Dir(path)); err != nil {
		return nil, fmt.Errorf("creating the key file: %w", err)
	}
	return ks, nil
}

// LoadOrCreateKeys is LoadKeys, or CreateKeys where there is no file yet. The
// caller knows that there is no store yet either.
func LoadOrCreateKeys(path string) (*Keyset, error) {
	ks, err := LoadKeys(path)
	if !errors.Is(err, fs.ErrNotExist) {
		return ks, err
	}
	return CreateKeys(path)
}

// NewKeys returns a keyset with one new key that stands in no file.
func NewKeys() (*Keyset, error) {
	k, err := newKey(time.Now())
	if err != nil {
		return nil, err
	}
	return &Keyset{keys: []key{k}}, nil
}

func newKey(now time.Time) (key, error) {
	k := key{created: now.UTC().Truncate(time.Second), secret: make([]byte, keySize)}
	if _, err := rand.Read(k.secret); err != nil {
		return key{}, fmt.Errorf("making a key: %w", err)
	}
	if _, err := rand.Read(k.id[:]); err != nil {
		return key{}, fmt.Errorf("making a key: %w", err)
	}
	return k, nil
}

func (ks *Keyset) encode() ([]byte, error) {
	file := keyFile{Version: fileVersion}
	for i, k := range ks.keys {
		fk := fileKey{ID: hex.EncodeToString(k.id[:]), Created: k.created, Status: decryptOnly, Key: k.secret}
		if i == 0 {
			fk.Status = primary
		}
		file.Keys = append(file.Keys, fk)
	}
	raw, err := json.MarshalIndent(file, "", "\t")
	return append(raw, '\n'), err
}

func writeSynced(f *os.File, raw []byte) error {
	_, err := f.Write(raw)
	if err == nil {
		err = f.Sync()
	}
	if closeErr := f.Close(); err == nil {
		err = closeErr
	}
	return err
}

// syncDir makes a new file's name as durable as its content.
func syncDir(dir string) error {
	if runtime.GOOS == "windows" {
		return nil // it cannot, and writes names through by itself
	}
	d, err := os.Open(dir)
	if err != nil {
		return err
	}
	err = d.Sync()
	if closeErr := d.Close(); err == nil {
		err = closeErr
	}
	return err
}

// Derive returns 32 bytes that belong to the primary key and one purpose. Who
// learns them learns neither the key nor what it derives for another purpose.
func (ks *Keyset) Derive(purpose string) []byte {
	return ks.keys[0].derive(purpose)
}

// Derived returns the derived keys of one purpose by the ID of the key they come
// from, and the ID of the primary one: sign with that one, verify with any.
func (ks *Keyset) Derived(purpose string) (primaryID string, byID map[string][]byte) {
	byID = make(map[string][]byte, len(ks.keys))
	for i := range ks.keys {
		byID[ks.keys[i].name()] = ks.keys[i].derive(purpose)
	}
	return ks.keys[0].name(), byID
}

func (k *key) name() string { return hex.EncodeToString(k.id[:]) }

func (k *key) derive(purpose string) []byte {
	out, err := hkdf.Key(sha256.New, k.secret, k.id[:], "secondgate:v1:"+purpose, keySize)
	if err != nil {
		// The length is a constant far below HKDF's limit; a key that is not one
		// must never be used.
		panic("seal: deriving a key: " + err.Error())
	}
	return out
}

// String returns the number of keys and the primary key's ID, and no key.
func (ks *Keyset) String() string {
	if ks == nil || len(ks.keys) == 0 {
		return "no keys"
	}
	return fmt.Sprintf("%d key(s), primary %s [redacted]", len(ks.keys), ks.keys[0].name())
}

// GoString is String.
func (ks *Keyset) GoString() string { return ks.String() }

// Format shows String whatever the verb is: %x must not print a key.
func (ks *Keyset) Format(s fmt.State, _ rune) { _, _ = io.WriteString(s, ks.String()) }

// MarshalJSON refuses: a keyset leaves the process in its key file only.
func (ks *Keyset) MarshalJSON() ([]byte, error) { return json.Marshal(ks.String()) }

// LogValue is String.
func (ks *Keyset) LogValue() slog.Value { return slog.StringValue(ks.String()) }
