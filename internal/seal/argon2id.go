package seal

import (
	"context"
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/base64"
	"errors"
	"fmt"
	"runtime"
	"strconv"
	"strings"
	"sync/atomic"
	"time"

	"golang.org/x/crypto/argon2"
)

// The choices that a caller of a Hasher has. Nothing of the secret or of the
// stored string is in their texts.
var (
	// ErrBusy says that too many hashes wait already; nothing was begun.
	ErrBusy = errors.New("too many password hashes at once")
	// ErrPHC says that a stored string is none that we would have written, or
	// that its cost is outside the bounds.
	ErrPHC = errors.New("not an acceptable Argon2id string")
	// ErrPepper says that the string was made with a pepper that is not here.
	ErrPepper = errors.New("the hash was made with another pepper")
)

// Params is the cost of one hash. The zero value is refused.
type Params struct {
	Memory  uint32 // KiB
	Time    uint32 // passes
	Threads uint8
}

// The costs in use.
var (
	// PasswordParams is for passwords: RFC 9106, second recommended option.
	PasswordParams = Params{Memory: 64 << 10, Time: 3, Threads: 4}
	// CodeParams is for secrets of 80 random bits. It is also the lowest cost
	// that is accepted.
	CodeParams = Params{Memory: 19 << 10, Time: 2, Threads: 1}
)

// Bounds of what is computed. The ceiling keeps a hostile or damaged string from
// taking the machine's memory: no hash takes more than one slot's share.
const (
	minMemory  = 19 << 10
	maxMemory  = 64 << 10
	maxTime    = 10
	maxThreads = 8

	saltSize = 16
	tagSize  = 32
	maxSalt  = 64
	maxPHC   = 256

	defaultQueue  = 64
	maxConcurrent = 4
)

// Validate returns ErrPHC where the cost is below the floor (19 MiB and two
// passes, or 46 MiB and one) or above the ceiling.
func (p Params) Validate() error {
	switch {
	case p.Memory < minMemory, p.Memory > maxMemory,
		p.Time < 1, p.Time > maxTime,
		p.Time < 2 && p.Memory < 46<<10,
		p.Threads < 1, p.Threads > maxThreads:
		return fmt.Errorf("%w: cost out of bounds", ErrPHC)
	}
	return nil
}

// HasherConfig is what a Hasher is made of. The zero value is the default.
type HasherConfig struct {
	Params Params // of new hashes; zero: PasswordParams
	// Pepper is a key of at least 32 bytes that is kept apart from the hashes, so
	// that a stolen database alone cannot be guessed against. Empty: none.
	Pepper []byte
	// Concurrent is how many hashes are computed at once; 0: four, or as many as
	// there are processors if that is less. Queue is how many more may wait;
	// 0: 64.
	Concurrent int
	Queue      int
}

// Hasher computes Argon2id, a bounded number at once: a flood of sign-ins costs
// at most Concurrent times 64 MiB, and whoever comes when the queue is full is
// turned away at once. It is safe for concurrent use. One process should have
// one, or the bound means nothing.
type Hasher struct {
	params   Params
	pepper   []byte
	pepperID string
	slots    chan struct{}
	queue    int64
	waiting  atomic.Int64
	refused  atomic.Uint64
	took     atomic.Int64 // nanoseconds that a hash at params takes; 0: not known yet
}

// NewHasher returns a Hasher.
func NewHasher(cfg HasherConfig) (*Hasher, error) {
	if cfg.Params == (Params{}) {
		cfg.Params = PasswordParams
	}
	if err := cfg.Params.Validate(); err != nil {
		return nil, fmt.Errorf("making a hasher: %w", err)
	}
	if cfg.Concurrent <= 0 {
		cfg.Concurrent = min(maxConcurrent, runtime.GOMAXPROCS(0))
	}
	if cfg.Queue <= 0 {
		cfg.Queue = defaultQueue
	}
	h := &Hasher{params: cfg.Params, slots: make(chan struct{}, cfg.Concurrent), queue: int64(cfg.Queue)}
	if len(cfg.Pepper) > 0 {
		if len(cfg.Pepper) < 32 {
			return nil, errors.New("making a hasher: the pepper needs 32 bytes or more")
		}
		h.pepper = append([]byte(nil), cfg.Pepper...)
		h.pepperID = phcEncoding.EncodeToString(keyed(h.pepper, []byte("secondgate pepper id"))[:6])
	}
	return h, nil
}

// Params returns the cost of new hashes.
func (h *Hasher) Params() Params { return h.params }

// Load returns how many hashes are computed now and how many wait for their turn, and
// how many were turned away with ErrBusy since the Hasher was made.
func (h *Hasher) Load() (running, waiting int, refused uint64) {
	return len(h.slots), int(h.waiting.Load()), h.refused.Load()
}

// Hash returns the PHC string of the secret under a new random salt.
func (h *Hasher) Hash(ctx context.Context, secret []byte) (string, error) {
	salt := make([]byte, saltSize)
	rand.Read(salt)
	tag, err := h.Key(ctx, secret, salt, h.params)
	if err != nil {
		return "", fmt.Errorf("hashing a secret: %w", err)
	}
	return h.format(salt, h.peppered(tag)), nil
}

// Dummy returns a string that costs as much to verify as those that Hash
// returns, and that no secret matches: what an unknown name is checked against,
// so that it takes as long as a known one. It costs nothing to make.
func (h *Hasher) Dummy() string {
	salt, tag := make([]byte, saltSize), make([]byte, tagSize)
	rand.Read(salt)
	rand.Read(tag)
	return h.format(salt, tag)
}

// Verify reports whether the secret is the one that the PHC string was made of,
// and, where it is, whether the string should be made anew because cost or
// pepper have changed since. Errors are ErrPHC, ErrPepper, ErrBusy, or that of
// the context; ok is then false.
func (h *Hasher) Verify(ctx context.Context, phc string, secret []byte) (ok, rehash bool, err error) {
	s, err := parsePHC(phc)
	if err != nil {
		return false, false, fmt.Errorf("verifying a secret: %w", err)
	}
	if s.pepperID != "" && s.pepperID != h.pepperID {
		return false, false, fmt.Errorf("verifying a secret: %w", ErrPepper)
	}
	tag, err := h.Key(ctx, secret, s.salt, s.params)
	if err != nil {
		return false, false, fmt.Errorf("verifying a secret: %w", err)
	}
	if s.pepperID != "" {
		tag = h.peppered(tag)
	}
	if subtle.ConstantTimeCompare(tag, s.tag) != 1 {
		return false, false, nil
	}
	return true, s.params != h.params || s.pepperID != h.pepperID || len(s.salt) < saltSize, nil
}

// Verifiable reports whether Verify would compute the string: it is of the form that Hash
// writes, and its cost is within the bounds. Whether its pepper is here, it does not say.
func Verifiable(phc string) bool {
	_, err := parsePHC(phc)
	return err == nil
}

// Key derives 32 bytes from a secret at the given cost, without the pepper. It
// waits for its turn, or answers ErrBusy where too many wait already, or the
// context's error.
func (h *Hasher) Key(ctx context.Context, secret, salt []byte, p Params) ([]byte, error) {
	if err := p.Validate(); err != nil {
		return nil, err
	}
	if err := h.acquire(ctx); err != nil {
		return nil, err
	}
	defer func() { <-h.slots }()
	began := time.Now()
	key := argon2.IDKey(secret, salt, p.Time, p.Memory, p.Threads, tagSize)
	h.measured(p, time.Since(began))
	return key, nil
}

func (h *Hasher) acquire(ctx context.Context) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	select {
	case h.slots <- struct{}{}:
		return nil
	default:
	}
	if h.waiting.Add(1) > h.queue {
		h.waiting.Add(-1)
		h.refused.Add(1)
		return ErrBusy
	}
	defer h.waiting.Add(-1)
	select {
	case h.slots <- struct{}{}:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

func (h *Hasher) peppered(tag []byte) []byte {
	if h.pepper == nil {
		return tag
	}
	return keyed(h.pepper, tag)
}

func keyed(key, data []byte) []byte {
	m := hmac.New(sha256.New, key)
	m.Write(data)
	return m.Sum(nil)
}

// phcEncoding is strict, so that one hash has one spelling.
var phcEncoding = base64.RawStdEncoding.Strict()

func (h *Hasher) format(salt, tag []byte) string {
	return phcString{params: h.params, pepperID: h.pepperID, salt: salt, tag: tag}.String()
}

// phcString is a parsed string of the PHC format for Argon2id.
type phcString struct {
	params    Params
	pepperID  string // keyid; empty: no pepper
	salt, tag []byte
}

func (s phcString) String() string {
	keyid := ""
	if s.pepperID != "" {
		keyid = ",keyid=" + s.pepperID
	}
	return fmt.Sprintf("$argon2id$v=%d$m=%d,t=%d,p=%d%s$%s$%s", argon2.Version,
		s.params.Memory, s.params.Time, s.params.Threads, keyid,
		phcEncoding.EncodeToString(s.salt), phcEncoding.EncodeToString(s.tag))
}

// parsePHC reads a string in the one spelling that String writes. Every error is
// ErrPHC, and none repeats what was read.
func parsePHC(text string) (phcString, error) {
	var s phcString
	if len(text) > maxPHC {
		return s, fmt.Errorf("%w: too long", ErrPHC)
	}
	f := strings.Split(text, "$")
	if len(f) != 6 || f[0] != "" || f[1] != "argon2id" || f[2] != "v="+strconv.Itoa(argon2.Version) {
		return s, fmt.Errorf("%w: another form", ErrPHC)
	}
	p := strings.Split(f[3], ",")
	if len(p) != 3 && len(p) != 4 {
		return s, fmt.Errorf("%w: another form", ErrPHC)
	}
	m, okM := number(p[0], "m=", 32)
	t, okT := number(p[1], "t=", 32)
	n, okP := number(p[2], "p=", 8)
	if !okM || !okT || !okP {
		return s, fmt.Errorf("%w: cost is no number", ErrPHC)
	}
	s.params = Params{Memory: uint32(m), Time: uint32(t), Threads: uint8(n)}
	if err := s.params.Validate(); err != nil {
		return s, err
	}
	if len(p) == 4 {
		id, ok := strings.CutPrefix(p[3], "keyid=")
		if raw, err := phcEncoding.DecodeString(id); !ok || err != nil || len(raw) != 6 {
			return s, fmt.Errorf("%w: another form", ErrPHC)
		}
		s.pepperID = id
	}
	var err error
	if s.salt, err = phcEncoding.DecodeString(f[4]); err != nil || len(s.salt) < 8 || len(s.salt) > maxSalt {
		return s, fmt.Errorf("%w: salt", ErrPHC)
	}
	if s.tag, err = phcEncoding.DecodeString(f[5]); err != nil || len(s.tag) != tagSize {
		return s, fmt.Errorf("%w: tag", ErrPHC)
	}
	// The decoder passes over line breaks; a second spelling of a hash is refused.
	if s.String() != text {
		return s, fmt.Errorf("%w: another form", ErrPHC)
	}
	return s, nil
}

func number(field, prefix string, bits int) (uint64, bool) {
	digits, ok := strings.CutPrefix(field, prefix)
	if !ok {
		return 0, false
	}
	n, err := strconv.ParseUint(digits, 10, bits)
	return n, err == nil
}
