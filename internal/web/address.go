package web

import (
	"net/url"
	"strings"
)

const (
	maxReturnAddress = 2048
	maxNesting       = 20
)

// Prefix is where our own pages live on every host.
const Prefix = "/.mfa/"

// ReturnAddress returns the address to go to after a flow where raw is a path on
// the same host outside our own pages, and false otherwise: callers then use "/".
// The address of one of our own pages gives the return address inside it.
//
// Browsers read addresses more generously than net/url does: they drop tabs and
// line ends, take "\" for "/", and trim what they think is blank. So nothing of
// the kind passes here, and the rest means the same to every reader.
func ReturnAddress(raw string) (string, bool) {
	for range maxNesting {
		if !plainPath(raw) {
			return "", false
		}
		inner, own := ownPage(raw)
		if !own {
			return raw, true
		}
		raw = inner
	}
	return "", false
}

// plainPath reports whether every reader of raw sees a path, and perhaps a query,
// on the host it stands on.
func plainPath(raw string) bool {
	if len(raw) == 0 || len(raw) > maxReturnAddress || raw[0] != '/' {
		return false
	}
	for i := 0; i < len(raw); i++ {
		// Browsers send addresses in ASCII. Without the rest there are no
		// full-width slashes, no zero-width letters, no invalid UTF-8.
		if c := raw[i]; c <= ' ' || c >= 0x7f || c == '\\' || c == '#' {
			return false
		}
	}
	path, _, _ := strings.Cut(raw, "?")
	if strings.HasPrefix(path, "//") {
		return false
	}
	decoded, err := url.PathUnescape(path)
	if err != nil {
		return false
	}
	if len(decoded) > 1 && (decoded[1] == '/' || decoded[1] == '\\') {
		return false
	}
	for i := 0; i < len(decoded); i++ {
		if decoded[i] < ' ' || decoded[i] == 0x7f {
			return false
		}
	}
	// Dot segments move what stands behind them: "/..//e" begins with two slashes
	// for who resolves it.
	for segment := range strings.FieldsFuncSeq(decoded, isSlash) {
		if segment == "." || segment == ".." {
			return false
		}
	}
	u, err := url.Parse(raw)
	return err == nil && u.Scheme == "" && u.Host == "" && u.User == nil
}

func isSlash(r rune) bool { return r == '/' || r == '\\' }

// ownPage reports whether the address is one of our pages, and the return address
// that it carries. A flow that ended at "sign out", or at another flow, would
// undo itself or go in circles (AC-037).
func ownPage(raw string) (inner string, own bool) {
	u, err := url.Parse(raw)
	if err != nil {
		return "", true
	}
	first, _, _ := strings.Cut(strings.TrimLeft(u.Path, "/"), "/")
	first, _, _ = strings.Cut(first, ";")
	if !strings.EqualFold("/"+first+"/", Prefix) {
		return "", false
	}
	return u.Query().Get("rd"), true
}
