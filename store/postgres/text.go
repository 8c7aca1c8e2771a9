package postgres

import (
	"crypto/sha256"
	"encoding/hex"
	"strings"
	"unicode/utf8"
)

const (
	// maxID is how many bytes an ID may have. Longer ones are nobody's: they come from
	// outside.
	maxID = 1 << 10
	// maxKey is the same for unique keys; an index of PostgreSQL holds 2.7 KiB.
	maxKey = 2560
	// maxRecord is what a record may have, the same as in the other store.
	maxRecord = 256 << 10
)

// plain reports whether the database can hold s as text: it has no NUL and is UTF-8.
func plain(s string) bool { return utf8.ValidString(s) && strings.IndexByte(s, 0) < 0 }

// usable reports whether id can be one.
func usable(id string) bool { return id != "" && len(id) <= maxID && plain(id) }

// shown returns s as text, with the sign for "not a character" where it is none. It is the
// same for what comes out of a record as for what went in, beginnings stay beginnings, and
// most texts stay as they are.
func shown(s string) string {
	if plain(s) {
		return s
	}
	return strings.ReplaceAll(string([]rune(s)), "\x00", "\uFFFD")
}

// exact is shown for what is compared as a whole: two texts stay two.
func exact(s string) string {
	if plain(s) {
		return s
	}
	sum := sha256.Sum256([]byte(string([]rune(s))))
	return shown(s) + " #" + hex.EncodeToString(sum[:8])
}
