package doctor

import (
	"strconv"
	"strings"
	"time"

	"github.com/secondgate/secondgate/guard"
)

// Said is the whole of what an address that is good once answers.
const Said = "seen\n"

// Forged is the client's address that the doctor makes up, to see whether it is believed.
// It belongs to documentation (RFC 5737), so nobody has it.
const Forged = "192.0.2.66"

// Heard is what came back when an address was asked from outside.
type Heard struct {
	URL      string // that was asked
	Scheme   string // of it
	Host     string
	Path     string
	Began    time.Time
	Ended    time.Time
	Err      string // "": there was an answer
	Status   int
	Location string
	Server   string
	Body     string // its beginning
	NoStore  bool   // Cache-Control says no-store
	Cookies  []Cookie
}

// Cookie is a cookie that an answer sets, without its value.
type Cookie struct {
	Name, Domain, Path string
	Secure, HTTPOnly   bool
}

// said reports whether the gateway's own answer came back.
func (h *Heard) said() bool { return h.Err == "" && h.Status == 200 && h.Body == Said }

// Outside compares what was heard with what the gateway saw; seen is nil where it saw
// nothing.
func Outside(h *Heard, seen *guard.Facts, p Proxy) []Finding {
	var list []Finding
	add := func(found Finding) { list = append(list, found) }
	if seen == nil {
		switch {
		case h.Err != "":
			add(find("unreachable", "url", h.URL, "error", h.Err))
		case h.Status/100 == 3 && h.Location != "":
			add(find("redirected", "pages", pages, "url", h.URL, "to", h.Location))
		case h.said():
			add(find("cached").inFront(p))
		default:
			add(find("not_reached", "pages", pages, "url", h.URL, "status", strconv.Itoa(h.Status)).inFront(p))
		}
		return list
	}
	if seen.AskedBy != "" {
		return []Finding{find("pages_not_handed_on", "pages", pages, "asks", asks, "path", seen.Path, "dialect", seen.AskedBy).asking(Proxy(seen.AskedBy))}
	}
	list = Judge(seen, p)
	if !sameHost(h.Host, seen.Sent) {
		add(find("host_replaced", "asked", h.Host, "sent", seen.Sent).inFront(p))
	}
	if seen.Path != h.Path {
		add(find("path_changed", "asked", h.Path, "sent", seen.Path).inFront(p))
	}
	if seen.Scheme != h.Scheme && !schemeTold(list) {
		add(find("scheme", "asked", h.Scheme, "seen", seen.Scheme).inFront(p))
	}
	if found, off := clock(h, seen.At); off {
		add(found)
	}
	return append(list, answer(h, seen)...)
}

// schemeTold reports whether it is said already why the scheme is another.
func schemeTold(list []Finding) bool {
	for _, f := range list {
		switch f.Code {
		case "untrusted_peer", "plain_http", "proto_missing", "proto_twice", "proto_unreadable", "proto_http":
			return true
		}
	}
	return false
}

// clock compares the gateway's clock with ours, which was somewhere between two moments.
func clock(h *Heard, at time.Time) (Finding, bool) {
	var off time.Duration
	switch {
	case at.Before(h.Began):
		off = h.Began.Sub(at)
	case at.After(h.Ended):
		off = at.Sub(h.Ended)
	}
	if off < 5*time.Second {
		return Finding{}, false
	}
	f := find("clock", "difference", off.Round(time.Second).String())
	if off >= 30*time.Second {
		f.Severity = Wrong
	}
	return f, true
}

// answer says what became of the gateway's answer on its way.
func answer(h *Heard, seen *guard.Facts) []Finding {
	switch {
	case h.Err != "":
		return []Finding{find("rewritten", "what", h.Err)}
	case h.Status != 200:
		return []Finding{find("rewritten", "what", "status "+strconv.Itoa(h.Status))}
	case h.Body != Said:
		return []Finding{find("rewritten", "what", "body")}
	case !h.NoStore:
		return []Finding{find("rewritten", "what", "Cache-Control")}
	case seen.CookieName == "":
		return nil // none was set
	}
	name := seen.CookieName + ProbeSuffix
	for _, c := range h.Cookies {
		if c.Name != name {
			continue
		}
		var what string
		switch {
		case !strings.EqualFold(c.Domain, seen.CookieDomain):
			what = "Domain"
		case c.Path != "/":
			what = "Path"
		case c.Secure != (seen.Scheme == "https"):
			what = "Secure"
		case !c.HTTPOnly:
			what = "HttpOnly"
		default:
			return nil
		}
		return []Finding{find("cookie_changed", "name", name, "what", what)}
	}
	return []Finding{find("cookie_lost", "name", name)}
}

// What the gateway serves at each host, and what proxies ask.
const (
	pages = "/.mfa/"
	asks  = "/.mfa/auth/"
)

// ProbeSuffix is what stands behind the name of the session's cookie in that of the one
// which a probe sets.
const ProbeSuffix = "-probe"

// Again judges the second answer of an address that is good once.
func Again(h *Heard, p Proxy) []Finding {
	if h.said() {
		return []Finding{find("cached").inFront(p)}
	}
	return nil
}

// Forgery judges what was seen of a probe with a made-up address of the client.
func Forgery(seen *guard.Facts) []Finding {
	if seen == nil || seen.Client != Forged {
		return nil
	}
	return []Finding{find("client_forged", "forged", Forged).trusting(seen.Peer)}
}

// Prefix judges what was seen of a probe below a path of the host.
func Prefix(prefix string, seen *guard.Facts) []Finding {
	if seen == nil || seen.AskedBy != "" || strings.HasPrefix(seen.Path, prefix+"/") {
		return nil
	}
	return []Finding{find("prefix", "pages", pages, "prefix", prefix)}
}
