package mfa

import (
	"strings"
	"unicode"
	"unicode/utf8"
)

// MaxSourceName is how many bytes a user name of an identity source may have.
const MaxSourceName = 128

// SourceName returns a user name as an identity source gives it in the one form in which
// it is kept, or ErrName where it can be nobody's: ASCII capitals are folded; letters,
// digits and . _ - @ + are allowed; no dot stands first or last. Anything else, look-alikes
// and other alphabets among it, is refused rather than mapped (AC-213), so that apps, logs
// and placeholders see what cannot be anything but a name (AC-055, AC-135).
func SourceName(name string) (string, error) {
	if len(name) == 0 || len(name) > MaxSourceName || name[0] == '.' || name[len(name)-1] == '.' {
		return "", ErrName
	}
	folded := []byte(name)
	for i, c := range folded {
		switch {
		case c >= 'A' && c <= 'Z':
			folded[i] = c + 'a' - 'A'
		case c >= 'a' && c <= 'z', c >= '0' && c <= '9', strings.IndexByte("._-@+", c) >= 0:
		default:
			return "", ErrName
		}
	}
	return string(folded), nil
}

// NameKey is the unique key of a user name, over all sources: apps know people by their
// names, and would take one person for another. It is the key of the local account of
// that name, because that is its name, too: so a name is given away in one write, whoever
// comes first, and stores from before there were other sources need not be rebuilt.
// Whoever looks a local account up must look at its Source.
func NameKey(name string) string { return SubjectKey(LocalSource, name) }

// plainText returns a text of a source as a display name: what apps would read as two
// values, and what could end a header line, becomes a space. "Doe, John" is a person, and
// no reason to keep him out.
func plainText(s string) string {
	s = strings.Join(strings.FieldsFunc(strings.ToValidUTF8(s, " "), func(r rune) bool {
		return unicode.IsSpace(r) || strings.ContainsRune(",;|", r) || unicode.IsControl(r) || unicode.Is(unicode.Cf, r)
	}), " ")
	if len(s) > 256 {
		s = s[:256]
		for !utf8.ValidString(s) {
			s = s[:len(s)-1]
		}
	}
	return strings.TrimSpace(s)
}
