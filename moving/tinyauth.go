package moving

import (
	"io"
	"strings"

	"github.com/secondgate/secondgate/mfa"
)

// tinyauth reads NAME:HASH or NAME:HASH:TOTP, a line each or several with commas between,
// also as the line of an environment file or of a compose file: USERS=…, - USERS=…, in
// quotes, with each dollar sign doubled.
func tinyauth(f file, r io.Reader, o Options, yield func(Person) bool) error {
	return f.lines(r, true, func(line int, text string) error {
		for one := range strings.SplitSeq(value(text), ",") {
			if one = strings.TrimSpace(one); one == "" {
				continue
			}
			p, why := tinyauthUser(strings.ReplaceAll(one, "$$", "$"))
			if why != "" {
				return &Error{f.name, line, why}
			}
			p.File, p.Line = f.name, line
			if !yield(p) {
				return errStopped
			}
		}
		return nil
	})
}

// value returns what a line of an environment or compose file sets; of another line, the
// line.
func value(text string) string {
	text = strings.Trim(strings.TrimSpace(strings.TrimPrefix(text, "- ")), `"'`)
	name, rest, ok := strings.Cut(text, "=")
	if ok && name != "" && strings.Trim(name, "ABCDEFGHIJKLMNOPQRSTUVWXYZ_") == "" {
		return strings.Trim(strings.TrimSpace(rest), `"'`)
	}
	if name, rest, ok = strings.Cut(text, ": "); ok && name != "" && strings.Trim(name, "ABCDEFGHIJKLMNOPQRSTUVWXYZ_") == "" {
		return strings.Trim(strings.TrimSpace(rest), `"'`) // compose's other form
	}
	return text
}

func tinyauthUser(text string) (p Person, why string) {
	f := strings.Split(text, ":")
	if len(f) < 2 || len(f) > 3 {
		return p, "it is not NAME:HASH or NAME:HASH:TOTP"
	}
	for i := range f {
		if f[i] = strings.TrimSpace(f[i]); f[i] == "" {
			return p, "it is not NAME:HASH or NAME:HASH:TOTP: a part is empty"
		}
	}
	p.Name, p.Password = f[0], mfa.Secret(f[1])
	if len(f) == 3 {
		secret, ok := base32Secret(f[2])
		if !ok {
			return p, "the third part is no secret in base32"
		}
		p.Apps = []mfa.MovedApp{{Secret: secret}}
	}
	return p, ""
}
