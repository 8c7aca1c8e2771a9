package moving

import (
	"io"
	"strings"

	"github.com/secondgate/secondgate/mfa"
)

// htpasswd reads NAME:HASH, a line each, as Apache's htpasswd writes it. Which hashes are
// taken is not its matter: what is weak is refused where it would be kept.
func htpasswd(f file, r io.Reader, o Options, yield func(Person) bool) error {
	return f.lines(r, true, func(line int, text string) error {
		name, hash, ok := strings.Cut(text, ":")
		if !ok || strings.TrimSpace(name) == "" {
			return &Error{f.name, line, "it is not NAME:HASH"}
		}
		if strings.Count(hash, ":") == 1 && !strings.HasPrefix(hash, "$") {
			return &Error{f.name, line, "it is of htdigest, whose hashes hold the name of a realm; they cannot move"}
		}
		// What stands behind another colon is a comment.
		hash, _, _ = strings.Cut(hash, ":")
		p := Person{File: f.name, Line: line, Newcomer: mfa.Newcomer{Name: strings.TrimSpace(name), Password: mfa.Secret(strings.TrimSpace(hash))}}
		if !yield(p) {
			return errStopped
		}
		return nil
	})
}
