package otpcode

import (
	"crypto/rand"
	"crypto/sha256"
	"crypto/subtle"
	"fmt"
	"io"
	"math/big"

	"github.com/secondgate/secondgate/mfa"
)

const (
	emailDigits = 8
	smsDigits   = 6
	saltSize    = 16

	// What is kept of a code: version, salt, hash.
	version  = 1
	keptSize = 1 + saltSize + sha256.Size

	maxInput = 32 // bytes; nobody types more spaces than that
)

// Config is what the factor needs to know.
type Config struct {
	// Countries are those to whose numbers text messages go, as ParseCountries
	// reads them. Empty: text messages are off, and every number is ErrCountry.
	Countries []string
	// Rand is the source of codes and salts, safe for concurrent use; nil is
	// crypto/rand's.
	Rand io.Reader
}

// Factor is the code by e-mail and the code by text message. It is safe for
// concurrent use.
type Factor struct {
	rand   io.Reader
	phones phones
}

// New returns the factor, or what is wrong with the configuration.
func New(cfg Config) (*Factor, error) {
	countries, err := ParseCountries(cfg.Countries)
	if err != nil {
		return nil, err
	}
	f := &Factor{rand: cfg.Rand, phones: newPhones(countries)}
	if f.rand == nil {
		f.rand = rand.Reader
	}
	return f, nil
}

// New returns a code, every one as likely as any other, and what is kept of it.
func (f *Factor) New(channel mfa.Kind) (code, kept mfa.Secret, err error) {
	var digits int
	switch channel {
	case mfa.Email:
		digits = emailDigits
	case mfa.SMS:
		digits = smsDigits
	default:
		return nil, nil, fmt.Errorf("making a code: no letter goes out by %q", channel)
	}
	limit := new(big.Int).Exp(big.NewInt(10), big.NewInt(int64(digits)), nil)
	n, err := rand.Int(f.rand, limit)
	if err != nil {
		return nil, nil, fmt.Errorf("making a code: %w", err)
	}
	code = fmt.Appendf(nil, "%0*d", digits, n)
	kept = make(mfa.Secret, keptSize)
	kept[0] = version
	if _, err := io.ReadFull(f.rand, saltOf(kept)); err != nil {
		return nil, nil, fmt.Errorf("making a code: %w", err)
	}
	sum := hash(saltOf(kept), code)
	copy(hashOf(kept), sum[:])
	return code, kept, nil
}

func saltOf(kept mfa.Secret) []byte { return kept[1 : 1+saltSize] }

func hashOf(kept mfa.Secret) []byte { return kept[1+saltSize:] }

// hash is a fast one on purpose. Whoever reads a record's plain text tries a million
// codes in a second, or with the slowest hash that a sign-in can wait for in some
// hours: neither is a lock, and by then the code is long dead. What protects it is
// that the store seals records, that the core takes five tries, and that it is good
// for minutes. A slow hash would only let strangers spend our time.
func hash(salt, code []byte) [sha256.Size]byte {
	text := make([]byte, 0, saltSize+emailDigits)
	text = append(text, salt...)
	return sha256.Sum256(append(text, code...))
}

// Matches reports whether the code that was entered is the one of which kept is kept.
//
// The form is checked before anything is compared: "123456" and "123 456" are one
// code, and nothing else that a library might trim or convert is any (AC-103). What
// is no code is hashed like one.
func (*Factor) Matches(kept mfa.Secret, entered string) bool {
	if len(kept) != keptSize || kept[0] != version {
		return false
	}
	code, ok := parse(entered)
	sum := hash(saltOf(kept), code)
	return subtle.ConstantTimeCompare(sum[:], hashOf(kept)) == 1 && ok
}

// parse returns the ASCII digits of a code. Spaces, no-break spaces and dashes are
// left out, because people and messages group digits by them; nothing else is. Which
// of the two lengths is right says the hash.
func parse(entered string) (code []byte, ok bool) {
	code = make([]byte, 0, emailDigits)
	if len(entered) > maxInput {
		return code, false
	}
	for _, r := range entered {
		switch {
		case r == ' ' || r == '\u00a0' || r == '-':
		case r >= '0' && r <= '9' && len(code) < emailDigits:
			code = append(code, byte(r))
		default:
			return code, false
		}
	}
	return code, len(code) == smsDigits || len(code) == emailDigits
}

var _ mfa.SentCodes = (*Factor)(nil)
