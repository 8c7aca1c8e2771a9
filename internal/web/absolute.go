package web

import (
	"net/netip"
	"strconv"
	"strings"
)

// AbsoluteReturnAddress is ReturnAddress for the portal, which people are sent to from
// other hosts: raw is a whole address whose origin serves reports as one of a protected
// host, and it returns that origin apart from the path. Only what means the same to every
// reader is looked at: scheme in lower case, a host of plain letters, perhaps a port, and
// then a path as ReturnAddress takes it. No userinfo, no fragment, no blanks, nothing
// beyond ASCII (AC-033, AC-035, AC-036, AC-042). serves is asked for the origin as browsers
// write it, without the scheme's own port, and compares it as a whole.
func AbsoluteReturnAddress(raw string, serves func(origin string) bool) (origin, path string, ok bool) {
	if len(raw) > maxReturnAddress+maxOrigin {
		return "", "", false
	}
	scheme, rest, found := strings.Cut(raw, "://")
	if !found || scheme != "https" && scheme != "http" {
		return "", "", false
	}
	authority, path := rest, "/"
	if i := strings.IndexByte(rest, '/'); i >= 0 {
		authority, path = rest[:i], rest[i:]
	}
	authority, ok = canonicalAuthority(scheme, authority)
	if !ok || !serves(scheme+"://"+authority) {
		return "", "", false
	}
	if path, ok = ReturnAddress(path); !ok {
		return "", "", false
	}
	return scheme + "://" + authority, path, true
}

// maxOrigin is the length of the longest origin: scheme, a name of 253, a port.
const maxOrigin = len("https://") + 253 + len(":65535")

// canonicalAuthority returns host and port as browsers write them: in lower case, without
// the scheme's own port. What browsers would have to convert first, such as a name that is
// a number, is refused.
func canonicalAuthority(scheme, authority string) (string, bool) {
	host, port := authority, ""
	if i := strings.LastIndexByte(authority, ':'); i >= 0 && !strings.HasSuffix(authority, "]") {
		host, port = authority[:i], authority[i+1:]
		n, err := strconv.ParseUint(port, 10, 16)
		if err != nil || n == 0 || strconv.FormatUint(n, 10) != port {
			return "", false
		}
	}
	if scheme == "https" && port == "443" || scheme == "http" && port == "80" {
		port = ""
	}
	host, ok := canonicalHost(host)
	if !ok || port == "" {
		return host, ok
	}
	return host + ":" + port, true
}

func canonicalHost(host string) (string, bool) {
	if inner, ok := strings.CutPrefix(host, "["); ok {
		inner, ok = strings.CutSuffix(inner, "]")
		ip, err := netip.ParseAddr(inner)
		return host, ok && err == nil && ip.Is6() && !ip.Is4In6() && ip.String() == inner
	}
	if ip, err := netip.ParseAddr(host); err == nil {
		return host, ip.Is4() && ip.String() == host
	}
	host = strings.ToLower(host)
	if host == "" || len(host) > 253 {
		return "", false
	}
	labels := strings.Split(host, ".")
	for _, label := range labels {
		if label == "" || len(label) > 63 || strings.Trim(label, "abcdefghijklmnopqrstuvwxyz0123456789-_") != "" {
			return "", false
		}
	}
	// A browser takes a name whose last label is a number for an address.
	last := labels[len(labels)-1]
	if rest, ok := strings.CutPrefix(last, "0x"); ok && strings.Trim(rest, "0123456789abcdef") == "" || strings.Trim(last, "0123456789") == "" {
		return "", false
	}
	return host, true
}
