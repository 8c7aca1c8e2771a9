package guard

import (
	"net/http"
	"slices"
	"strings"
)

// Headers of identity that other gateways set, and the one that CGI turns into
// HTTP_PROXY (AC-052). Apps may believe them, so nobody but an app's own gateway
// may send them, whoever the peer is.
var neverPass = []string{
	"remote-user", "remote-name", "remote-email", "remote-groups", "mfa-assertion",
	"x-forwarded-user", "x-forwarded-email", "x-forwarded-groups", "x-forwarded-preferred-username", "x-forwarded-access-token",
	"x-remote-user", "x-webauth-user", "proxy",
}

// neverPassFamilies are the same by prefix.
var neverPassFamilies = []string{"x-auth-request-"}

// What proxies tell apps about the connection. From a proxy that nobody
// configured it is a client's invention (AC-051).
var trustedOnly = []string{
	"forwarded", "forwarded-for", "x-real-ip", "true-client-ip", "cf-connecting-ip", "fastly-client-ip",
	"client-ip", "x-client-ip", "x-cluster-client-ip", "x-azure-clientip", "x-host", "x-rewrite-url",
}

// trustedOnlyFamilies are the same by prefix: lists of X-Forwarded names have
// always missed one.
var trustedOnlyFamilies = []string{"x-forwarded", "x-original-", "x-client-cert", "ssl-client-", "x-ssl-client-"}

// rewritten are the names of those families that the proxy behind us writes
// itself, whatever the client sent.
func rewritten(key string) bool {
	return key == "X-Forwarded-For" || key == "X-Forwarded-Host" || key == "X-Forwarded-Proto"
}

// onePlainSpelling are names that pass in their one proper spelling only: apps
// that fold names would read the other one.
var onePlainSpelling = []string{"x-forwarded-for", "x-forwarded-host", "x-forwarded-proto", "host", "cookie", "authorization"}

const longestDropped = 64

// dropList finds the headers that go, by length and first letter: most are no match.
type dropList struct {
	always, untrusted, misspelt [longestDropped][]string // by length
	families, trustFamilies     []string

	// Which classes the first character of a name of that length can have, and the
	// second one of a family that begins with the first.
	firsts  [longestDropped]uint32
	seconds [classes]uint32
}

// class tells what foldsTo compares: the letter, a digit, or anything else, which is
// one character to who folds.
func class(c byte) uint32 {
	switch lower := c | 0x20; {
	case 'a' <= lower && lower <= 'z':
		return uint32(lower - 'a')
	case '0' <= c && c <= '9':
		return 26
	}
	return 27
}

const classes = 28

func newDropList(h Headers) dropList {
	d := dropList{families: neverPassFamilies, trustFamilies: trustedOnlyFamilies}
	add := func(to *[longestDropped][]string, names ...string) {
		for _, name := range names {
			if name = fold(name); len(name) < longestDropped {
				to[len(name)] = append(to[len(name)], name)
				d.firsts[len(name)] |= 1 << class(name[0])
			}
		}
	}
	add(&d.always, neverPass...)
	add(&d.always, h.User, h.Name, h.Email, h.Groups, h.Assertion, "trailer")
	add(&d.untrusted, trustedOnly...)
	add(&d.misspelt, onePlainSpelling...)
	for _, family := range slices.Concat(d.families, d.trustFamilies) {
		d.seconds[class(family[0])] |= 1 << class(family[1])
	}
	return d
}

// apply removes them. Names are compared as an app might that folds what is no
// letter or digit into one, and ignores case.
func (d *dropList) apply(h http.Header, trusted bool) {
	for key := range h {
		if d.drops(key, trusted) {
			delete(h, key)
		}
	}
}

func (d *dropList) drops(key string, trusted bool) bool {
	if len(key) < 2 {
		return false // no name is so short
	}
	first := class(key[0])
	if d.seconds[first]&(1<<class(key[1])) == 0 && (len(key) >= longestDropped || d.firsts[len(key)]&(1<<first) == 0) {
		return false
	}
	if len(key) < longestDropped {
		for _, name := range d.always[len(key)] {
			if foldsTo(key, name) {
				return true
			}
		}
		if !trusted {
			for _, name := range d.untrusted[len(key)] {
				if foldsTo(key, name) {
					return true
				}
			}
		}
		for _, name := range d.misspelt[len(key)] {
			if foldsTo(key, name) && !strings.EqualFold(key, name) {
				return true
			}
		}
	}
	for _, family := range d.families {
		if len(key) >= len(family) && foldsTo(key[:len(family)], family) {
			return true
		}
	}
	if trusted {
		return false
	}
	for _, family := range d.trustFamilies {
		if len(key) >= len(family) && foldsTo(key[:len(family)], family) {
			return !rewritten(key)
		}
	}
	return false
}

// fold returns the name under which an app may find a header. CGI has no other
// characters than letters, digits and "_", and servers differ in what they turn
// into it: some only "-", some "." as well, lighttpd whatever is no letter or digit.
func fold(name string) string {
	b := []byte(strings.ToLower(name))
	for i, c := range b {
		if !alphanumeric(c) {
			b[i] = '-'
		}
	}
	return string(b)
}

func alphanumeric(c byte) bool { return 'a' <= c && c <= 'z' || '0' <= c && c <= '9' }

// foldsTo reports whether fold(key) is folded; both have one length.
func foldsTo(key, folded string) bool {
	for i := 0; i < len(folded); i++ {
		c := key[i]
		if 'A' <= c && c <= 'Z' {
			c += 'a' - 'A'
		}
		if !alphanumeric(c) {
			c = '-'
		}
		if c != folded[i] {
			return false
		}
	}
	return true
}
