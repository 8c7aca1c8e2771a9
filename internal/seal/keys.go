package seal

import (
	"bytes"
	"crypto/hkdf"
	"crypto/rand"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"
)

const (
	keySize = 32
	idSize  = 4
)

// Status says what a key may still do.
type Status string

// The life of a key, in its order. What is made with a key is made with the primary one
// alone; it was Pending first, so that every node can read what any of them makes.
const (
	Pending     Status = "pending"      // opens and verifies; nothing is made with it yet
	Primary     Status = "primary"      // seals, signs, opens, verifies
	DecryptOnly Status = "decrypt_only" // opens and verifies what it made
	Retired     Status = "retired"      // opens records, and verifies no token any more
)

type key struct {
	id      [idSize]byte
	created time.Time
	status  Status
	since   time.Time // when it came to its status; zero: when it was made
	secret  []byte
}

// state is the content of a key set at one moment. It is never changed.
type state struct {
	keys []key // the primary one first
	// set names the installation's key set over all rotations, so that another one's is
	// not taken for its successor.
	set []byte
	// names is what NameKey returns.
	names []byte
	// serial grows with each change, so that an older text is not taken for news.
	serial uint64
}

// Keyset is the keys of one installation: one primary key, and those that came before it
// or come after it. It is safe for concurrent use, and its content changes while it is
// used: everything that is made of it follows by itself (Box), or is told (OnChange).
// Formatting it shows no key.
type Keyset struct {
	state atomic.Pointer[state]

	vault  Vault // nil: it stands nowhere
	master *Master

	changing sync.Mutex // held by who reads or replaces the text
	text     []byte     // as it stands in the vault
	looks    looks

	listenMu  sync.Mutex
	listeners []*func()
}

func newKeyset(st *state) *Keyset {
	ks := new(Keyset)
	ks.state.Store(st)
	return ks
}

// NewKeys returns a keyset with one new key that stands in no vault.
func NewKeys() (*Keyset, error) {
	k, err := newKey(time.Now(), Primary)
	if err != nil {
		return nil, err
	}
	return newKeyset(firstState(k)), nil
}

// firstState is the state of a key set of the first version: what outlives the keys
// follows from the first of them.
func firstState(primary key, others ...key) *state {
	return &state{
		keys:  append([]key{primary}, others...),
		set:   primary.derive("key set")[:8],
		names: primary.derive("unknown names"),
	}
}

func newKey(now time.Time, status Status) (key, error) {
	k := key{created: now.UTC().Truncate(time.Second), status: status, secret: make([]byte, keySize)}
	if _, err := rand.Read(k.secret); err != nil {
		return key{}, fmt.Errorf("making a key: %w", err)
	}
	if _, err := rand.Read(k.id[:]); err != nil {
		return key{}, fmt.Errorf("making a key: %w", err)
	}
	return k, nil
}

// KeyInfo is a key without its secret.
type KeyInfo struct {
	ID      string    `json:"id"`
	Status  Status    `json:"status"`
	Created time.Time `json:"created"`
	Since   time.Time `json:"since"` // when it came to its status
}

// Keys returns the keys, the primary one first.
func (ks *Keyset) Keys() []KeyInfo {
	st := ks.state.Load()
	list := make([]KeyInfo, 0, len(st.keys))
	for i := range st.keys {
		list = append(list, st.keys[i].info())
	}
	return list
}

func (k *key) info() KeyInfo {
	since := k.since
	if since.IsZero() {
		since = k.created
	}
	return KeyInfo{ID: k.name(), Status: k.status, Created: k.created, Since: since}
}

// DerivedKey belongs to one key and one purpose. Who learns its secret learns neither the
// key nor what it derives for another purpose.
type DerivedKey struct {
	KeyInfo
	Secret []byte // 32 bytes
}

// Derived returns the derived keys of one purpose that may verify, in this order: the
// primary one, which alone may sign; those before it, newest first; a pending one.
func (ks *Keyset) Derived(purpose string) []DerivedKey {
	st := ks.state.Load()
	var list []DerivedKey
	for _, status := range []Status{Primary, DecryptOnly, Pending} {
		for i := range st.keys {
			if k := &st.keys[i]; k.status == status {
				list = append(list, DerivedKey{k.info(), k.derive(purpose)})
			}
		}
	}
	return list
}

// NameKey returns a secret of 32 bytes that rotations leave as it is: what is counted or
// marked with it for a year would begin anew. It is made anew when keys were stolen.
func (ks *Keyset) NameKey() []byte { return ks.state.Load().names }

func (k *key) name() string { return hex.EncodeToString(k.id[:]) }

func (k *key) derive(purpose string) []byte {
	return derive(k.secret, k.id[:], purpose)
}

func derive(secret, salt []byte, purpose string) []byte {
	out, err := hkdf.Key(sha256.New, secret, salt, "secondgate:v1:"+purpose, keySize)
	if err != nil {
		// The length is a constant far below HKDF's limit; a key that is not one
		// must never be used.
		panic("seal: deriving a key: " + err.Error())
	}
	return out
}

// equal reports whether both hold the same.
func (st *state) equal(o *state) bool {
	if st.serial != o.serial || !bytes.Equal(st.set, o.set) || !bytes.Equal(st.names, o.names) || len(st.keys) != len(o.keys) {
		return false
	}
	for i := range st.keys {
		a, b := &st.keys[i], &o.keys[i]
		if a.id != b.id || a.status != b.status || !bytes.Equal(a.secret, b.secret) {
			return false
		}
	}
	return true
}

// OnChange registers a function that is called after each change of the keys. It must not
// change them itself. The function returned takes it away again; a call that is under way
// by then may still be made.
func (ks *Keyset) OnChange(fn func()) (remove func()) {
	ks.listenMu.Lock()
	defer ks.listenMu.Unlock()
	at := &fn
	// A new list: calls that are under way keep the one that they read.
	ks.listeners = append(ks.listeners[:len(ks.listeners):len(ks.listeners)], at)
	return func() {
		ks.listenMu.Lock()
		defer ks.listenMu.Unlock()
		var rest []*func()
		for _, l := range ks.listeners {
			if l != at {
				rest = append(rest, l)
			}
		}
		ks.listeners = rest
	}
}

// swap makes st the content and tells everybody.
func (ks *Keyset) swap(st *state) {
	ks.state.Store(st)
	ks.listenMu.Lock()
	list := ks.listeners
	ks.listenMu.Unlock()
	for _, fn := range list {
		(*fn)()
	}
}

// String returns the number of keys and the primary key's ID, and no key.
func (ks *Keyset) String() string {
	if ks == nil || ks.state.Load() == nil {
		return "no keys"
	}
	st := ks.state.Load()
	return fmt.Sprintf("%d key(s), primary %s [redacted]", len(st.keys), st.keys[0].name())
}

// GoString is String.
func (ks *Keyset) GoString() string { return ks.String() }

// Format shows String whatever the verb is: %x must not print a key.
func (ks *Keyset) Format(s fmt.State, _ rune) { _, _ = io.WriteString(s, ks.String()) }

// MarshalJSON refuses: a keyset leaves the process in its vault only.
func (ks *Keyset) MarshalJSON() ([]byte, error) { return json.Marshal(ks.String()) }

// LogValue is String.
func (ks *Keyset) LogValue() slog.Value { return slog.StringValue(ks.String()) }
