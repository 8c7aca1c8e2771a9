package oldhash

import (
	"encoding/base64"
	"strconv"
	"strings"

	"github.com/go-crypt/crypt/algorithm"
	"github.com/go-crypt/crypt/algorithm/argon2"
	"github.com/go-crypt/crypt/algorithm/bcrypt"
	"github.com/go-crypt/crypt/algorithm/pbkdf2"
	"github.com/go-crypt/crypt/algorithm/scrypt"
	"github.com/go-crypt/crypt/algorithm/shacrypt"
)

// Ceilings of what is computed. Memory is bounded by what a slot of the hasher has anyway,
// time to a second or two of one processor.
const (
	maxText   = 512       // bytes of a hash
	minBcrypt = 4         // cost
	maxBcrypt = 15        // cost: about two seconds
	maxRounds = 1_000_000 // of SHA-2 crypt and PBKDF2
	minRounds = 1000
	// maxHashed is how many bytes of a password SHA-2 crypt hashes in all its rounds: unlike
	// the others it hashes the password anew in each, so that a long one costs many times
	// what a short one does.
	maxHashed    = 128 * maxRounds
	maxMemory    = 64 << 10 // KiB, of Argon2 and scrypt
	maxPasses    = 10
	maxLanes     = 8
	maxScryptP   = 4
	maxSaltBytes = 128
	minKeyBytes  = 16
	maxKeyBytes  = 64
)

// RefusedError says why a hash is not taken. Nothing of the hash is in it.
type RefusedError struct{ Why string }

// Error says why.
func (e *RefusedError) Error() string { return e.Why }

func refused(why string) error { return &RefusedError{why} }

// Hash is a hash that may be checked: its costs are within the ceilings.
type Hash struct {
	name   string
	digest algorithm.Digest
	most   int // bytes of a password that is computed; 0: any
}

// Name is the algorithm as people call it: "bcrypt", "SHA-512 crypt".
func (h Hash) Name() string { return h.name }

// Matches reports whether it is a hash of the password. It costs what the hash costs: of
// SHA-2 crypt with many rounds, a password that is too long to be computed is not matched.
func (h Hash) Matches(password []byte) bool {
	if h.digest == nil || h.most > 0 && len(password) > h.most {
		return false
	}
	ok, err := h.digest.MatchBytesAdvanced(password)
	return ok && err == nil
}

// Parse reads a hash and its costs, and computes nothing. Every error is a *RefusedError.
func Parse(text string) (Hash, error) {
	// Authelia wrote hashes of crypt so before it wrote the standard form.
	text = strings.TrimPrefix(text, "{CRYPT}")
	if len(text) > maxText {
		return Hash{}, refused("the password hash is longer than any that is known")
	}
	if why := weak(text); why != "" {
		return Hash{}, refused(why)
	}
	if strings.ContainsFunc(text, func(r rune) bool { return r <= ' ' || r >= 0x7f }) {
		return Hash{}, refused("the password hash has characters that no hash has")
	}
	f := strings.Split(text, "$")
	if len(f) < 4 || f[0] != "" {
		return Hash{}, refused("the password hash is of no kind that is known here")
	}
	for _, k := range kinds {
		name, ours, err := k(f)
		if !ours {
			continue
		}
		if err != nil {
			return Hash{}, err
		}
		return decode(name, f, text)
	}
	return Hash{}, refused("the password hash is of a kind that is not known here")
}

// weak says why what protects nothing is not taken; "": it is something else.
func weak(text string) string {
	switch {
	case text == "":
		return "there is no password hash"
	case strings.HasPrefix(text, "$apr1$"), strings.HasPrefix(text, "$1$"):
		return "the password is hashed with MD5, which is guessed in no time"
	case strings.HasPrefix(text, "{SHA}"), strings.HasPrefix(text, "{SSHA}"), strings.HasPrefix(text, "$sha1$"):
		return "the password is hashed with SHA-1, which is guessed in no time"
	case strings.HasPrefix(text, "$plaintext$"), strings.HasPrefix(text, "$base64$"):
		return "the password stands there in plain text, and whoever has read the file knows it"
	case strings.HasPrefix(text, "$y$"), strings.HasPrefix(text, "$yescrypt$"), strings.HasPrefix(text, "$gy$"), strings.HasPrefix(text, "$7$"):
		return "the password is hashed with yescrypt, which this gateway does not compute"
	case !strings.HasPrefix(text, "$"):
		return "the password stands there in plain text, or as an old crypt hash of eight characters; neither protects it"
	}
	return ""
}

// kinds read the costs of one family each. ours says that the hash is of that family.
var kinds = []func(f []string) (name string, ours bool, err error){bcryptCost, bcryptSHA256Cost, shaCryptCost, pbkdf2Cost, scryptCost, argon2Cost}

// decode hands the hash to the library. Its errors may repeat what was read.
func decode(name string, f []string, text string) (Hash, error) {
	id := f[1]
	var digest algorithm.Digest
	var err error
	most := 0
	switch {
	case id == "bcrypt-sha256" || strings.HasPrefix(id, "2"):
		digest, err = bcrypt.Decode(text)
	case id == "5" || id == "6":
		digest, err = shacrypt.Decode(text)
		most = maxHashed / shaRounds(f)
	case strings.HasPrefix(id, "pbkdf2"):
		digest, err = pbkdf2.Decode(text)
	case id == "scrypt":
		digest, err = scrypt.Decode(text)
	default:
		digest, err = argon2.Decode(text)
	}
	if err != nil || digest == nil {
		return Hash{}, refused("the password hash is damaged")
	}
	return Hash{name, digest, most}, nil
}

// bcryptCost reads $2y$10$ and 53 characters.
func bcryptCost(f []string) (string, bool, error) {
	switch f[1] {
	case "2a", "2b", "2x", "2y":
	default:
		return "", false, nil
	}
	const name = "bcrypt"
	if f[1] == "2x" {
		return name, true, refused("the password is hashed by a version of bcrypt that had a fault ($2x$)")
	}
	if len(f) != 4 || len(f[2]) != 2 || len(f[3]) != 53 {
		return name, true, refused("the bcrypt hash is damaged")
	}
	return name, true, bcryptBounds(f[2])
}

// bcryptSHA256Cost reads $bcrypt-sha256$v=2,t=2b,r=12$, salt and hash.
func bcryptSHA256Cost(f []string) (string, bool, error) {
	const name = "bcrypt-sha256"
	if f[1] != name {
		return "", false, nil
	}
	if len(f) != 5 {
		return name, true, refused("the bcrypt-sha256 hash is damaged")
	}
	p := strings.Split(f[2], ",")
	if len(p) != 3 || p[0] != "v=2" || p[1] != "t=2b" || !strings.HasPrefix(p[2], "r=") {
		return name, true, refused("the bcrypt-sha256 hash is of a version that is not known here")
	}
	return name, true, bcryptBounds(p[2][2:])
}

func bcryptBounds(digits string) error {
	cost, ok := number(digits)
	switch {
	case !ok || cost < minBcrypt:
		return refused("the bcrypt hash is damaged")
	case cost > maxBcrypt:
		return refused("the bcrypt hash costs 2^" + strconv.Itoa(cost) + " rounds, and this gateway computes 2^15 at most")
	}
	return nil
}

// shaCryptCost reads $6$rounds=50000$salt$hash, where rounds may be left out.
func shaCryptCost(f []string) (string, bool, error) {
	var name string
	key := 43
	switch f[1] {
	case "5":
		name = "SHA-256 crypt"
	case "6":
		name, key = "SHA-512 crypt", 86
	default:
		return "", false, nil
	}
	rounds, salt := shaRounds(f), f[len(f)-2]
	if len(f) > 5 || len(salt) > 16 || len(f[len(f)-1]) != key {
		return name, true, refused("the " + name + " hash is damaged")
	}
	return name, true, roundsBounds(name, rounds)
}

// pbkdf2Cost reads $pbkdf2-sha512$310000$salt$hash.
func pbkdf2Cost(f []string) (string, bool, error) {
	var name string
	switch f[1] {
	case "pbkdf2", "pbkdf2-sha1", "pbkdf2-sha224", "pbkdf2-sha256", "pbkdf2-sha384", "pbkdf2-sha512":
		name = "PBKDF2"
	default:
		return "", false, nil
	}
	if len(f) != 5 {
		return name, true, refused("the PBKDF2 hash is damaged")
	}
	rounds, _ := number(f[2])
	if err := roundsBounds(name, rounds); err != nil {
		return name, true, err
	}
	// The library's own base64, which has a dot for the plus sign.
	plus := strings.NewReplacer(".", "+")
	return name, true, sizes(name, plus.Replace(f[3]), plus.Replace(f[4]))
}

// shaRounds returns the rounds of a hash of SHA-2 crypt; 0: they cannot be read.
func shaRounds(f []string) int {
	if len(f) == 4 {
		return 5000
	}
	digits, ok := strings.CutPrefix(f[2], "rounds=")
	if !ok {
		return 0
	}
	rounds, _ := number(digits)
	return rounds
}

func roundsBounds(name string, rounds int) error {
	switch {
	case rounds < minRounds:
		return refused("the " + name + " hash has fewer than 1,000 rounds, which protects nothing, or is damaged")
	case rounds > maxRounds:
		return refused("the " + name + " hash has more rounds than the 1,000,000 that this gateway computes")
	}
	return nil
}

// scryptCost reads $scrypt$ln=16,r=8,p=1$salt$hash. It needs 128·r·2^ln bytes.
func scryptCost(f []string) (string, bool, error) {
	const name = "scrypt"
	if f[1] != name {
		return "", false, nil
	}
	if len(f) != 5 {
		return name, true, refused("the scrypt hash is damaged")
	}
	v, ok := numbers(f[2], "ln=", "r=", "p=")
	switch {
	case !ok || v[0] < 1 || v[1] < 1 || v[2] < 1:
		return name, true, refused("the scrypt hash is damaged")
	case v[0] > 24 || v[1] > 64 || v[2] > maxScryptP || 128*v[1]<<v[0] > maxMemory<<10:
		return name, true, refused("the scrypt hash costs more than the 64 MiB of memory, four times over, that this gateway computes")
	}
	return name, true, sizes(name, f[3], f[4])
}

// argon2Cost reads $argon2id$v=19$m=65536,t=3,p=4$salt$hash, and the variants i and d.
func argon2Cost(f []string) (string, bool, error) {
	var name string
	switch f[1] {
	case "argon2id":
		name = "Argon2id"
	case "argon2i":
		name = "Argon2i"
	case "argon2d":
		name = "Argon2d"
	default:
		return "", false, nil
	}
	if len(f) != 6 || f[2] != "v=19" {
		return name, true, refused("the " + name + " hash is damaged, or of the version before 2016")
	}
	v, ok := numbers(f[3], "m=", "t=", "p=")
	switch {
	case !ok || v[0] < 8 || v[1] < 1 || v[2] < 1 || v[0] < 8*v[2]:
		return name, true, refused("the " + name + " hash is damaged")
	case v[0] > maxMemory:
		return name, true, refused("the " + name + " hash needs " + strconv.Itoa(v[0]>>10) + " MiB of memory, and this gateway gives 64 MiB to one password")
	case v[1] > maxPasses || v[2] > maxLanes:
		return name, true, refused("the " + name + " hash costs more than the 10 passes and 8 lanes that this gateway computes")
	}
	return name, true, sizes(name, f[4], f[5])
}

// sizes bounds salt and hash, in base64 without padding.
func sizes(name, salt, key string) error {
	s, err := base64.RawStdEncoding.DecodeString(salt)
	k, err2 := base64.RawStdEncoding.DecodeString(key)
	if err != nil || err2 != nil || len(s) < 8 || len(s) > maxSaltBytes || len(k) < minKeyBytes || len(k) > maxKeyBytes {
		return refused("the " + name + " hash is damaged")
	}
	return nil
}

// numbers reads "m=1,t=2,p=3" in that order and no other.
func numbers(text string, names ...string) ([]int, bool) {
	parts := strings.Split(text, ",")
	if len(parts) != len(names) {
		return nil, false
	}
	list := make([]int, len(names))
	for i, name := range names {
		digits, ok := strings.CutPrefix(parts[i], name)
		if !ok {
			return nil, false
		}
		if list[i], ok = number(digits); !ok {
			return nil, false
		}
	}
	return list, true
}

// number reads at most nine digits and nothing else: a plus sign or a space would be a
// second spelling, and more digits cost nobody can mean.
func number(digits string) (int, bool) {
	if len(digits) == 0 || len(digits) > 9 || strings.Trim(digits, "0123456789") != "" {
		return 0, false
	}
	n, err := strconv.Atoi(digits)
	return n, err == nil
}
