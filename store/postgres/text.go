package postgres

import (
	"strings"
	"unicode/utf8"
)

const (
	// maxID is how many bytes an ID may have. Longer ones are nobody's: they come from
	// outside.
	maxID = 1 << 10
	// maxKey is the same for unique keys; an index of PostgreSQL holds 2.7 KiB.
	maxKey = 2 << 10
	// maxRecord is what a record may have, the same as in the other store.
	maxRecord = 256 << 10
)

// plain reports whether the database can hold s as text: it has no NUL and is UTF-8.
func plain(s string) bool { return utf8.ValidString(s) && strings.IndexByte(s, 0) < 0 }

// usable reports whether id can be one.
func usable(id string) bool { return id != "" && len(id) <= maxID && plain(id) }

// shown returns s as a column that is only looked at holds it.
func shown(s string) string {
	return strings.ReplaceAll(strings.ToValidUTF8(s, "\uFFFD"), "\x00", "\uFFFD")
}
