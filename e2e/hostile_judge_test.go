package e2e

import (
	"net/url"
	"path"
	"regexp"
	"strings"
	"testing"
)

// This file holds the judges: how others read an address. They are written from
// the standards of those others and share no code with the gateway.

// browserTarget returns where a browser goes from a page at https://host/ when a
// Location header says location, by the URL standard of the WHATWG: it trims and
// drops what it thinks is blank, and takes "\" for "/" (AC-033).
func browserTarget(host, location string) (scheme, where string) {
	s := strings.TrimFunc(location, func(r rune) bool { return r <= ' ' })
	s = strings.NewReplacer("\t", "", "\n", "", "\r", "").Replace(s)
	scheme = "https"
	if name, rest, ok := strings.Cut(s, ":"); ok && schemeName.MatchString(name) {
		name = strings.ToLower(name)
		switch name {
		case "https":
			if !strings.HasPrefix(rest, "//") {
				s = rest // relative, as if no scheme were there
				break
			}
			return name, authority(rest)
		case "http", "ftp", "ws", "wss":
			return name, authority(rest) // however many slashes
		default:
			return name, ""
		}
	}
	if len(s) >= 2 && isSlash(s[0]) && isSlash(s[1]) {
		return scheme, authority(s)
	}
	return scheme, host
}

var schemeName = regexp.MustCompile(`^[A-Za-z][A-Za-z0-9+.-]*$`)

func isSlash(c byte) bool { return c == '/' || c == '\\' }

func authority(s string) string {
	s = strings.TrimLeft(s, `/\`)
	if i := strings.IndexAny(s, `/\?#`); i >= 0 {
		s = s[:i]
	}
	if i := strings.LastIndexByte(s, '@'); i >= 0 {
		s = s[i+1:]
	}
	if decoded, err := url.PathUnescape(s); err == nil {
		s = decoded
	}
	return strings.ToLower(strings.TrimSuffix(s, "."))
}

func TestBrowserTarget(t *testing.T) {
	for location, want := range map[string]string{
		"/a": "https app", "a": "https app", "?x": "https app", "//e": "https e", "///e": "https e", `/\e`: "https e",
		`\\e`: "https e", "/\t/e": "https e", " //e": "https e", "https:e": "https app", "https:/e": "https app",
		"https://e/x": "https e", "https:\\\\e": "https e", "http:e": "http e", "http:///e": "http e",
		"https://app@e": "https e", `https://e\@app`: "https e", "javascript:alert(1)": "javascript ", "/a//e": "https app",
		"https://%65": "https e", "//E.": "https e",
	} {
		if scheme, host := browserTarget("app", location); scheme+" "+host != want {
			t.Errorf("%q: %s %s, want %s", location, scheme, host, want)
		}
	}
}

// protection is how well a path is protected by the rules of hostileSite.
type protection int

const (
	open   protection = iota // a bypass: anybody
	gated                    // any second factor
	strict                   // a passkey
)

var (
	openScript = regexp.MustCompile(`^/assets/[a-z]+\.js$`)
	shout      = regexp.MustCompile(`::\$[A-Za-z]+$`)
)

// rule says which rule a reader applies who understands the path as p. Caddy's
// path matcher folds letters; its expressions do not.
func rule(p string) protection {
	folded := strings.ToLower(p)
	switch {
	case folded == "/strict" || strings.HasPrefix(folded, "/strict/"):
		return strict
	case strings.HasPrefix(folded, "/public/"), openScript.MatchString(p):
		return open
	}
	return gated
}

// readers are the ways in which servers, frameworks and file systems are known
// to read one path (security.md 4.2, differential oracle).
var readers = []func(string) string{
	func(p string) string { // resolves dots, after as many as five slashes
		clean := path.Clean("/" + p)
		if strings.HasSuffix(p, "/") && clean != "/" {
			clean += "/"
		}
		return clean
	},
	func(p string) string { // decodes once (more)
		return unescape(p)
	},
	func(p string) string { // cuts path parameters off, as servlets do
		segments := strings.Split(p, "/")
		for i, s := range segments {
			segments[i], _, _ = strings.Cut(s, ";")
		}
		return strings.Join(segments, "/")
	},
	func(p string) string { return strings.ReplaceAll(p, `\`, "/") },
	func(p string) string { p, _, _ = strings.Cut(p, "\x00"); return p },
	func(p string) string { // drops blanks and dots at the end of a name, as Windows does
		segments := strings.Split(p, "/")
		for i, s := range segments {
			if s != "." && s != ".." {
				segments[i] = strings.TrimRight(s, " .\t")
			}
		}
		return strings.Join(segments, "/")
	},
	func(p string) string { return shout.ReplaceAllString(p, "") },
	func(p string) string { // overlong UTF-8, as old decoders read it
		return strings.NewReplacer("\xc0\xae", ".", "\xc0\xaf", "/", "\xc1\x9c", `\`).Replace(p)
	},
	func(p string) string {
		for p != "" && strings.IndexByte("\t\n\v\f\r \xff", p[len(p)-1]) >= 0 {
			p = p[:len(p)-1]
		}
		return p
	},
	func(p string) string { return strings.ReplaceAll(p, "//", "/") },
}

// unescape decodes what can be decoded and leaves the rest, as lax decoders do.
func unescape(p string) string {
	var b strings.Builder
	for i := 0; i < len(p); i++ {
		if p[i] == '%' && i+2 < len(p) {
			if c, err := url.PathUnescape(p[i : i+3]); err == nil {
				b.WriteString(c)
				i += 2
				continue
			}
		}
		b.WriteByte(p[i])
	}
	return b.String()
}

// strictestReading returns the protection that the request target must have at
// least: the strictest rule under any reading, in any order, four deep.
func strictestReading(target string) protection {
	p, _, _ := strings.Cut(target, "?")
	seen := map[string]bool{p: true}
	level := []string{p}
	worst := rule(p)
	for range 4 {
		var next []string
		for _, p := range level {
			for _, read := range readers {
				q := read(p)
				if seen[q] || len(seen) > 4000 {
					continue
				}
				seen[q] = true
				worst = max(worst, rule(q))
				next = append(next, q)
			}
		}
		level = next
	}
	return worst
}

func TestStrictestReading(t *testing.T) {
	for target, want := range map[string]protection{
		"/public/a": open, "/assets/app.js": open, "/x": gated, "/strict/x": strict, "/strict": strict,
		"/public/../strict/x": strict, "/public/%252e%252e/secret": gated, "/public/..;/strict": strict,
		`/public/..\x`: gated, "/strict;x": strict, "/strict%00": strict, "/strict.": strict, "/x?/public/": gated,
		"/public/..%c0%afstrict": strict, "/strict::$DATA": strict, "/publicx": gated, "/PUBLIC/a": open, "/Strict/x": strict, "/ASSETS/app.js": gated, "/public": gated, "//public/a": gated,
	} {
		if got := strictestReading(target); got != want {
			t.Errorf("%q: %d, want %d", target, got, want)
		}
	}
}
