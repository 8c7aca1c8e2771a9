package forwardauth

import (
	"net/http"
	"net/url"
	"strings"
	"unicode/utf8"

	"github.com/secondgate/secondgate/guard"
)

// The headers that proxies say with what they hold. Names are compared as net/http has
// made them canonical: "X_Forwarded_Uri" and "X.Forwarded.Uri" are other headers, and
// nobody's (AC-067).
const (
	originalURL     = "X-Original-Url"
	originalMethod  = "X-Original-Method"
	forwardedMethod = "X-Forwarded-Method"
	forwardedProto  = "X-Forwarded-Proto"
	forwardedHost   = "X-Forwarded-Host"
	forwardedURI    = "X-Forwarded-Uri"
	forwardedFor    = "X-Forwarded-For"
)

// maxValue is how long a header of a dialect may be.
const maxValue = 8 << 10

// A Fault is what is wrong with how a proxy asks. No value of the request is in it.
type Fault struct {
	Dialect Dialect
	Header  string // as documents write it; "path" for Envoy's
	What    string // "is missing", …
}

// Error says it in a line.
func (f *Fault) Error() string {
	return "forward-auth (" + f.Dialect.String() + "): " + f.Header + " " + f.What
}

// What is wrong with a header.
const (
	missing   = "is missing"
	doubled   = "stands more than once"
	empty     = "is empty"
	tooLong   = "is longer than 8 KiB"
	notURL    = "is no whole address of the form https://host/path"
	notTarget = "is no path and query as a client sends them"
	notMethod = "is no method"
	notScheme = "is neither http, https, ws nor wss"
	notHost   = "is no host"
	disagrees = "is another proxy's way to say it, and says something else; the proxy must take it out of what clients send"
	notPrefix = "does not go on with the path of the request; write path_prefix: " + Prefix + "envoy"
)

// names are the headers as documents write them.
var names = map[string]string{originalURL: "X-Original-URL", forwardedURI: "X-Forwarded-Uri"}

type reader struct {
	dialect Dialect
	h       http.Header
	fault   *Fault // the first
}

func (r *reader) fail(header, what string) {
	if r.fault != nil {
		return
	}
	if name, ok := names[header]; ok {
		header = name
	}
	r.fault = &Fault{r.dialect, header, what}
}

// one returns the value of a header that must stand exactly once.
func (r *reader) one(header string) string {
	lines := r.h[header]
	switch {
	case len(lines) == 0:
		r.fail(header, missing)
	case len(lines) > 1:
		r.fail(header, doubled)
	case lines[0] == "":
		r.fail(header, empty)
	case len(lines[0]) > maxValue:
		r.fail(header, tooLong)
	default:
		return lines[0]
	}
	return ""
}

// read makes out of a proxy's question what it asks about, from the headers of its own
// dialect and nothing else. Of headers of other dialects it only sees to it that they do
// not say otherwise: then somebody puts words into the proxy's mouth, or the proxy is
// configured for another path than the one it asks at (AC-060).
func read(d Dialect, q *http.Request) (guard.Held, *Fault) {
	r := reader{dialect: d, h: q.Header}
	var held guard.Held
	var scheme string
	source := forwardedURI // of the path
	switch d {
	case Nginx:
		source = originalURL
		var ok bool
		whole := r.one(originalURL)
		scheme, held.Host, held.Target, ok = cutURL(whole)
		if !ok {
			r.fail(originalURL, notURL)
		}
		held.Method = r.one(originalMethod)
		if !isMethod(held.Method) {
			r.fail(originalMethod, notMethod)
		}
	case Traefik, Caddy, HAProxy:
		held.Method = r.one(forwardedMethod)
		if !isMethod(held.Method) {
			r.fail(forwardedMethod, notMethod)
		}
		scheme, held.Host, held.Target = r.one(forwardedProto), r.one(forwardedHost), r.one(forwardedURI)
	case Envoy:
		source = "path"
		held.Method, held.Host, scheme = q.Method, q.Host, r.one(forwardedProto)
		held.Target = strings.TrimPrefix(q.RequestURI, Prefix+"envoy")
		switch {
		case held.Target == q.RequestURI || held.Target == "" || held.Target[0] != '/':
			r.fail(source, notPrefix)
		case len(held.Target) > maxValue:
			r.fail(source, tooLong)
		}
	default:
		r.fail("path", "names no dialect")
	}
	switch scheme {
	case "https", "wss":
		held.HTTPS = true
	case "http", "ws":
	default:
		r.fail(where(d, forwardedProto), notScheme)
	}
	if !isTarget(held.Target) {
		r.fail(source, notTarget)
	}
	var err error
	if r.fault == nil {
		// As a server reads the line of a request, so that "//host/x" is a path.
		if held.URL, err = url.ParseRequestURI(held.Target); err != nil {
			r.fail(source, notTarget)
		}
	}
	if r.fault != nil {
		return guard.Held{}, r.fault
	}
	if r.contradicted(&held, scheme); r.fault != nil {
		return guard.Held{}, r.fault
	}
	held.Client = Client(r.h)
	return held, nil
}

// where is the header that says the scheme and the host in that dialect.
func where(d Dialect, header string) string {
	switch {
	case d == Nginx:
		return originalURL
	case d == Envoy && header == forwardedHost:
		return "Host"
	}
	return header
}

// contradicted looks for headers of other dialects that do not agree with what was read.
func (r *reader) contradicted(held *guard.Held, scheme string) {
	differ := func(header string, same func(string) bool) {
		for _, line := range r.h[header] {
			if !same(line) {
				r.fail(header, disagrees)
			}
		}
	}
	is := func(want string) func(string) bool { return func(line string) bool { return line == want } }
	if r.dialect == Nginx {
		differ(forwardedProto, func(line string) bool { return secure(line) == secure(scheme) })
		differ(forwardedHost, func(line string) bool { return strings.EqualFold(line, held.Host) })
	}
	if r.dialect == Nginx || r.dialect == Envoy {
		differ(forwardedMethod, is(held.Method))
		differ(forwardedURI, is(held.Target))
	}
	if r.dialect == Envoy {
		differ(forwardedHost, func(line string) bool { return strings.EqualFold(line, held.Host) })
	}
	if r.dialect != Nginx {
		differ(originalMethod, is(held.Method))
		differ(originalURL, func(line string) bool {
			if line == held.Target {
				return true // some controllers write the path alone
			}
			s, host, target, ok := cutURL(line)
			return ok && secure(s) == secure(scheme) && strings.EqualFold(host, held.Host) && target == held.Target
		})
	}
}

func secure(scheme string) bool { return scheme == "https" || scheme == "wss" }

// cutURL takes scheme, host and the rest of a whole address apart, and changes none of
// them.
func cutURL(whole string) (scheme, host, target string, ok bool) {
	scheme, rest, ok := strings.Cut(whole, "://")
	if !ok {
		return "", "", "", false
	}
	slash := strings.IndexByte(rest, '/')
	if slash <= 0 {
		return "", "", "", false
	}
	return scheme, rest[:slash], rest[slash:], true
}

// isTarget reports whether it can be the target of a request for a path: with nothing in
// it that ends a line, and no fragment, which has no place in a request (AC-061, AC-076).
func isTarget(target string) bool {
	if target == "" || target[0] != '/' || !utf8.ValidString(target) {
		return false
	}
	for i := 0; i < len(target); i++ {
		if c := target[i]; c <= ' ' || c == 0x7f || c == '#' {
			return false
		}
	}
	return true
}

// isMethod reports whether it can be a method (RFC 9110 §5.6.2).
func isMethod(method string) bool {
	if method == "" || len(method) > 64 {
		return false
	}
	for i := 0; i < len(method); i++ {
		c := method[i]
		if !('A' <= c && c <= 'Z' || 'a' <= c && c <= 'z' || '0' <= c && c <= '9' || strings.IndexByte("!#$%&'*+-.^_`|~", c) >= 0) {
			return false
		}
	}
	return true
}

// Client returns the address that the proxy itself has added to X-Forwarded-For, which is
// the last one: what stands before it, somebody else says. "" where there is none.
func Client(h http.Header) string {
	lines := h[forwardedFor]
	if len(lines) == 0 {
		return ""
	}
	last := lines[len(lines)-1]
	return strings.Trim(last[strings.LastIndexByte(last, ',')+1:], " \t")
}
