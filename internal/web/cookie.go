package web

import (
	"net/http"
	"strings"
)

// Cookie is one of our cookies.
type Cookie uint8

// Our cookies. Language and Theme hold no secret and are readable by scripts.
const (
	SessionCookie Cookie = iota
	HalfDoneCookie
	CSRFCookie
	LanguageCookie
	ThemeCookie
	DevicesCookie
	RememberCookie // what makes this browser stand for a second factor
	WaitingCookie  // names a code that was sent to somebody who is not signed in
	ArriveCookie   // binds a hand-off from the portal to the browser that asked for it
	RedirectCookie // binds a sign-in at another place to the browser that began it
	ProbeCookie    // of the doctor: whether a cookie of ours gets through
)

var suffixes = [...]string{"", "-half", "-csrf", "-lang", "-theme", "-known", "-remember", "-code", "-arrive", "-redirect", "-probe"}

// The names that a browser guards: only our host can set the first, only an
// https page the second.
const (
	hostName   = "__Host-mfa"
	secureName = "__Secure-mfa"
	plainName  = "mfa-" // and the port
)

// All names on https are made once: naming a cookie allocates nothing there.
var hostNames, secureNames = names(hostName), names(secureName)

func names(base string) (list [len(suffixes)]string) {
	for i, s := range suffixes {
		list[i] = base + s
	}
	return list
}

// Cookies says how our cookies are named and scoped at one place. The zero value
// is plain http on port 80.
type Cookies struct {
	Secure bool   // https: the __Host- or __Secure- prefix, and Secure
	Domain string // cookie domain; only with Secure
	// Port, where it is not the scheme's own, is part of the name: cookies ignore
	// ports, and the session of one would else be taken for a forged one at another.
	// With Domain, all ports share one.
	Port string
}

// Name returns the cookie's name here.
func (c Cookies) Name(k Cookie) string {
	switch {
	case c.Secure && c.Domain == "" && c.Port == "":
		return hostNames[k]
	case c.Secure && c.Domain == "":
		return hostName + "-" + c.Port + suffixes[k]
	case c.Secure:
		return secureNames[k]
	case c.Port == "":
		return plainName + "80" + suffixes[k]
	}
	return plainName + c.Port + suffixes[k]
}

// Set adds a Set-Cookie line. maxAge is in seconds; 0: until the browser closes.
// value must consist of characters that need no quoting, such as base64url.
func (c Cookies) Set(w http.ResponseWriter, k Cookie, value string, maxAge int) {
	http.SetCookie(w, c.cookie(k, value, maxAge))
}

// Clear adds a Set-Cookie line that removes the cookie.
func (c Cookies) Clear(w http.ResponseWriter, k Cookie) {
	http.SetCookie(w, c.cookie(k, "", -1))
}

// ClearPlanted removes a cookie of which there are two. One of them was planted:
// by a sibling host under a shared domain, or over plain http, with a path of its
// own, so that ours never counts again. It is removed for every path that the
// request's lies under, with the domain and for this host alone. path is as the
// browser sent it: before any rewrite, and encoded.
func (c Cookies) ClearPlanted(w http.ResponseWriter, k Cookie, path string) {
	paths := []string{"/"}
	for i := 1; i < min(len(path), maxPlantedPath) && len(paths) < maxPlanted; i++ {
		if path[i] == '/' {
			paths = append(paths, path[:i], path[:i+1])
		}
	}
	if path != "/" && path != "" && len(path) <= maxPlantedPath && !strings.HasSuffix(path, "/") {
		paths = append(paths, path)
	}
	for _, p := range paths {
		cookie := c.cookie(k, "", -1)
		cookie.Path = p
		if !strings.HasPrefix(cookie.Name, "__Host-") || p == "/" {
			http.SetCookie(w, cookie)
		}
		if cookie.Domain != "" {
			cookie.Domain = ""
			http.SetCookie(w, cookie)
		}
	}
}

// How many paths ClearPlanted names, and how long they may be: browsers take no longer
// one, and an answer must not be many times what was asked.
const (
	maxPlanted     = 64
	maxPlantedPath = 1024
)

func (c Cookies) cookie(k Cookie, value string, maxAge int) *http.Cookie {
	cookie := &http.Cookie{
		Name:     c.Name(k),
		Value:    value,
		Path:     "/",
		MaxAge:   maxAge,
		Secure:   c.Secure,
		HttpOnly: k != LanguageCookie && k != ThemeCookie,
		// Said aloud: without the attribute browsers allow cross-site POSTs for
		// two minutes after a cookie was set.
		SameSite: http.SameSiteLaxMode,
	}
	if c.Secure {
		cookie.Domain = c.Domain
	}
	return cookie
}

// KeptCookies is the context key under which the guard keeps, as a *[]string,
// the Cookie lines of a request whose own were taken away before the app.
type KeptCookies struct{}

func cookieLines(r *http.Request) []string {
	if kept, ok := r.Context().Value(KeptCookies{}).(*[]string); ok {
		return *kept
	}
	return r.Header["Cookie"]
}

// Find returns the value of the cookie of that name and how often the name
// occurs in all Cookie lines. Only 1 is to be believed: with two, a sibling host
// may have planted the other one (AC-013). The value is as it came, unquoted by
// nobody. Find allocates nothing.
func Find(r *http.Request, name string) (value string, n int) {
	for _, line := range cookieLines(r) {
		for line != "" {
			var part string
			part, line, _ = strings.Cut(line, ";")
			part = strings.TrimLeft(part, " \t")
			if len(part) > len(name) && part[len(name)] == '=' && part[:len(name)] == name {
				if n == 0 {
					value = part[len(name)+1:]
				}
				n++
			}
		}
	}
	return value, n
}

// Ours reports whether a cookie of that name is one of ours at any place, in any
// case: an app must see none of them and set none of them.
func Ours(name string) bool {
	for name != "" && (name[0] == ' ' || name[0] == '\t') {
		name = name[1:]
	}
	// Most cookies are an app's, and most of those begin with another letter.
	if name == "" || name[0] != '_' && name[0]|0x20 != 'm' {
		return false
	}
	name = strings.TrimRight(name, " \t")
	for _, base := range [...]string{hostName, secureName} {
		if rest, ok := cutPrefixFold(name, base); ok && (rest == "" || rest[0] == '-') {
			return true
		}
	}
	rest, ok := cutPrefixFold(name, plainName)
	if !ok {
		return false
	}
	port := 0
	for port < len(rest) && '0' <= rest[port] && rest[port] <= '9' {
		port++
	}
	return port > 0 && (port == len(rest) || rest[port] == '-')
}

func cutPrefixFold(s, prefix string) (string, bool) {
	if len(s) < len(prefix) || !strings.EqualFold(s[:len(prefix)], prefix) {
		return s, false
	}
	return s[len(prefix):], true
}

// HideCookies takes our cookies out of the Cookie lines, so that an app cannot
// replay them on another host (AC-017). Other cookies keep their bytes and their
// order.
func HideCookies(h http.Header) {
	lines := h["Cookie"]
	if len(lines) == 0 {
		return
	}
	kept := lines[:0]
	for _, line := range lines {
		rest, found := withoutOurs(line)
		if found && rest == "" {
			continue
		}
		kept = append(kept, rest)
	}
	clear(lines[len(kept):])
	if len(kept) == 0 {
		delete(h, "Cookie")
		return
	}
	h["Cookie"] = kept
}

// withoutOurs returns the line without our cookies and whether there was one. It
// reads the line once, and allocates only where some of ours stand after others.
func withoutOurs(line string) (string, bool) {
	var (
		start = 0  // after those of ours that stand before all others
		from  = -1 // where ours begin after others, the first time
		kept  = 0  // and where what follows those begins
		b     []byte
		found bool
	)
	for at := 0; at < len(line); {
		end := len(line)
		if i := strings.IndexByte(line[at:], ';'); i >= 0 {
			end = at + i + 1
		}
		if oursPart(strings.TrimSuffix(line[at:end], ";")) {
			found = true
			switch {
			case from < 0 && at == start:
				start = len(line) - len(strings.TrimLeft(line[end:], " \t"))
				end = start
			case from < 0:
				from, kept = at, end
			case at == kept:
				kept = end
			default:
				if b == nil {
					b = append(make([]byte, 0, len(line)), line[start:from]...)
				}
				b = append(b, line[kept:at]...)
				kept = end
			}
		}
		at = end
	}
	switch {
	case from < 0:
		return line[start:], found
	case b == nil && kept == len(line):
		return line[start : from-1], true // and the ";" before
	case b == nil:
		return line[start:from] + line[kept:], true
	case kept == len(line):
		return string(b[:len(b)-1]), true
	}
	return string(append(b, line[kept:]...)), true
}

func oursPart(part string) bool {
	name, _, _ := strings.Cut(part, "=")
	return Ours(name)
}
