package sender

import (
	"net"
	"net/url"
	"regexp"
	"strings"
	"unicode"

	"github.com/secondgate/secondgate/mfa"
)

// The most that a name may take up, in runes.
const maxName = 64

// clean returns what somebody chose as one line without control characters: a name
// with a line break in it must not begin a header, nor a paragraph that looks like
// ours (AC-172), and one with a direction mark must not turn the rest around.
func clean(s string, most int) string {
	s = strings.Map(func(r rune) rune {
		switch {
		case r == '\u200c' || r == '\u200d': // joiners, which some scripts need
			return r
		case unicode.In(r, unicode.Zl, unicode.Zp, unicode.Zs) || r == '\t' || r == '\n' || r == '\r':
			return ' '
		case unicode.In(r, unicode.Cc, unicode.Cf, unicode.Co), r == unicode.ReplacementChar:
			return -1
		}
		return r
	}, strings.ToValidUTF8(s, ""))
	runes := []rune(strings.Join(strings.Fields(s), " "))
	if len(runes) > most {
		return strings.TrimSpace(string(runes[:most-1])) + "…"
	}
	return string(runes)
}

var hostName = regexp.MustCompile(`^[a-z0-9_]([a-z0-9._-]*[a-z0-9_])?$`) // the underscore occurs in private networks

// hostOf returns the host of an origin without its port, or "" where it has none
// that people and browsers can read.
func hostOf(origin string) string {
	u, err := url.Parse(origin)
	if err != nil {
		return ""
	}
	host := strings.ToLower(u.Hostname())
	if !hostName.MatchString(host) || len(host) > 253 {
		return ""
	}
	return host
}

// placed reports whether an origin has a host. An address of IPv6 is one, though no
// letter names it: neither people nor browsers could make anything of the line.
func placed(origin string) bool {
	u, err := url.Parse(origin)
	return err == nil && (hostOf(origin) != "" || net.ParseIP(u.Hostname()) != nil)
}

// mask returns an address for the log: it tells two people apart, mostly, and
// reaches nobody.
func mask(channel mfa.Kind, address string) string {
	const hidden = "****"
	if channel == mfa.Email {
		local, domain, ok := strings.Cut(clean(address, 256), "@")
		if !ok {
			return hidden
		}
		runes := []rune(local)
		return string(runes[:min(2, len(runes)/2)]) + hidden + "@" + domain
	}
	if len(address) < 6 {
		return hidden
	}
	return hidden + " " + clean(address[len(address)-2:], 2)
}

// blank replaces each of the secrets in an error's text.
func blank(text string, secrets ...string) string {
	for _, s := range secrets {
		if s != "" {
			text = strings.ReplaceAll(text, s, "…")
		}
	}
	return text
}
