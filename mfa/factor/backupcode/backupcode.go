package backupcode

import (
	"context"
	"crypto/rand"
	"crypto/subtle"
	"errors"
	"fmt"

	"github.com/secondgate/secondgate/internal/seal"
	"github.com/secondgate/secondgate/mfa"
)

const (
	setSize  = 10
	codeSize = 16 // characters, 5 bits each
	saltSize = 32 // NIST SP 800-63B-4 §3.1.2
	hashSize = 32

	// The data of a credential: version, salt, then for each code one byte that
	// says whether it is used, and its hash. The version stands for the cost too.
	version  = 1
	itemSize = 1 + hashSize
	dataSize = 1 + saltSize + setSize*itemSize

	unused, used = 0, 1

	maxInput = 64 // bytes; longer input is no code
)

// alphabet is Crockford's: no I, L, O, U, so that codes survive handwriting.
const alphabet = "0123456789ABCDEFGHJKMNPQRSTVWXYZ"

// Factor makes and checks codes. It is safe for concurrent use.
type Factor struct{ hasher *seal.Hasher }

// New returns the factor. The hasher bounds how many codes are checked at once.
func New(hasher *seal.Hasher) *Factor { return &Factor{hasher: hasher} }

// New returns a set of ten codes as XXXX-XXXX-XXXX-XXXX. It costs ten hashes.
func (f *Factor) New(ctx context.Context) (mfa.Secret, []string, error) {
	data := make(mfa.Secret, dataSize)
	data[0] = version
	if _, err := rand.Read(saltOf(data)); err != nil {
		return nil, nil, fmt.Errorf("making backup codes: %w", err)
	}
	codes := make([]string, setSize)
	for i := range codes {
		code, err := random()
		if err != nil {
			return nil, nil, fmt.Errorf("making backup codes: %w", err)
		}
		hash, err := f.hash(ctx, code, saltOf(data))
		if err != nil {
			return nil, nil, fmt.Errorf("making backup codes: %w", err)
		}
		copy(item(data, i)[1:], hash)
		codes[i] = grouped(code)
	}
	return data, codes, nil
}

func saltOf(data mfa.Secret) []byte { return data[1 : 1+saltSize] }

func item(data mfa.Secret, i int) []byte {
	at := 1 + saltSize + i*itemSize
	return data[at : at+itemSize]
}

func random() ([]byte, error) {
	code := make([]byte, codeSize)
	if _, err := rand.Read(code); err != nil {
		return nil, err
	}
	for i := range code {
		code[i] = alphabet[code[i]&31] // 32 characters: no bias
	}
	return code, nil
}

func grouped(code []byte) string {
	return fmt.Sprintf("%s-%s-%s-%s", code[0:4], code[4:8], code[8:12], code[12:16])
}

func (f *Factor) hash(ctx context.Context, code, salt []byte) ([]byte, error) {
	hash, err := f.hasher.Key(ctx, code, salt, seal.CodeParams)
	if errors.Is(err, seal.ErrBusy) {
		return nil, fmt.Errorf("hashing a backup code: %w", mfa.ErrBusy)
	}
	if err != nil {
		return nil, fmt.Errorf("hashing a backup code: %w", err)
	}
	return hash, nil
}

// Match returns which unused code of the set was entered. What is no code at all
// is hashed like one, so that time says nothing; it compares with all ten, in
// constant time.
func (f *Factor) Match(ctx context.Context, data mfa.Secret, code string) (int, error) {
	if !valid(data) {
		return 0, fmt.Errorf("reading backup codes: %w", mfa.ErrRejected)
	}
	text, wellFormed := parse(code)
	hash, err := f.hash(ctx, text, saltOf(data))
	if err != nil {
		return 0, err
	}
	found := -1
	for i := range setSize {
		it := item(data, i)
		equal := subtle.ConstantTimeCompare(it[1:], hash)
		fresh := subtle.ConstantTimeByteEq(it[0], unused)
		found = subtle.ConstantTimeSelect(equal&fresh, i, found)
	}
	if found < 0 || !wellFormed {
		return 0, mfa.ErrRejected
	}
	return found, nil
}

// Spend marks the code as used in a copy of data, and says how many are left.
func (f *Factor) Spend(data mfa.Secret, index int) (mfa.Secret, int, error) {
	if !valid(data) || index < 0 || index >= setSize || item(data, index)[0] != unused {
		return nil, 0, mfa.ErrRejected
	}
	next := append(mfa.Secret(nil), data...)
	it := item(next, index)
	it[0] = used
	left := 0
	for i := range setSize {
		if item(next, i)[0] == unused {
			left++
		}
	}
	return next, left, nil
}

func valid(data mfa.Secret) bool { return len(data) == dataSize && data[0] == version }

// parse brings the spellings of a code together: any case, dashes and spaces
// anywhere, I and L for 1, O for 0. Where the text is no code it returns
// something of the same length to hash, and false.
func parse(text string) (code []byte, ok bool) {
	code = make([]byte, 0, codeSize)
	ok = len(text) <= maxInput
	for i := 0; i < len(text) && ok; i++ {
		c := text[i]
		if c >= 'a' && c <= 'z' {
			c -= 'a' - 'A'
		}
		switch c {
		case '-', ' ':
			continue
		case 'I', 'L':
			c = '1'
		case 'O':
			c = '0'
		case 'U':
			ok = false
		}
		if len(code) == codeSize || !(c >= '0' && c <= '9' || c >= 'A' && c <= 'Z') {
			ok = false
		}
		if ok {
			code = append(code, c)
		}
	}
	if !ok || len(code) != codeSize {
		return make([]byte, codeSize), false
	}
	return code, true
}

var _ mfa.BackupCodes = (*Factor)(nil)
