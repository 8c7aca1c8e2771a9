package guard

import (
	"net"
	"net/http"
	"slices"
	"strings"
	"time"
	"unicode"

	"github.com/secondgate/secondgate/internal/web"
)

// Facts are what one request looked like when it came to us, and what we made of it: for an
// administrator who asks why it does not work. No secret is among them: of headers they have
// the names, how many lines there are and how long, and the values of those alone with which
// proxies speak of themselves.
type Facts struct {
	At       time.Time `json:"at"`
	Protocol string    `json:"protocol"`
	Method   string    `json:"method"`
	Path     string    `json:"path"` // without query
	Sent     string    `json:"host_sent"`
	Peer     string    `json:"peer"` // the other end of the connection: an address, or "unix"
	TLS      bool      `json:"tls"`  // the connection to us is TLS
	Trusted  bool      `json:"trusted_proxy"`
	Client   string    `json:"client"`
	Early    bool      `json:"early_data,omitempty"`
	Headers  []Shape   `json:"headers"` // by name, at most 64
	Cookies  []Shape   `json:"cookies,omitempty"`

	// What it became.
	Fault        string `json:"fault,omitempty"` // why nothing: one of Parse's errors
	Scheme       string `json:"scheme"`          // of the browser, as far as anybody says
	Host         string `json:"host,omitempty"`
	Local        bool   `json:"local,omitempty"` // a host of this machine
	Address      bool   `json:"address,omitempty"`
	Scope        string `json:"scope,omitempty"`
	CookieName   string `json:"cookie_name,omitempty"`
	CookieDomain string `json:"cookie_domain,omitempty"`
	RPID         string `json:"rp_id,omitempty"`

	// What the configuration says.
	Origin string `json:"origin,omitempty"`
	Domain string `json:"domain,omitempty"`
	Portal string `json:"portal,omitempty"`

	// What the server in front of the guard adds.
	Place   string `json:"place,omitempty"`    // "app", "console", "portal"
	AskedBy string `json:"asked_by,omitempty"` // the dialect of a proxy that asked about it instead of handing it on
	Strict  bool   `json:"strict,omitempty"`   // of X-Forwarded-For the last address counts that is no proxy's
	Unknown bool   `json:"unknown_host,omitempty"`
}

// Shape is a header, or a cookie, without what it says.
type Shape struct {
	Name   string `json:"name"`
	Lines  int    `json:"lines"`
	Length int    `json:"length"`          // of all lines
	Value  string `json:"value,omitempty"` // where it is a proxy's word, in one line
}

// spoken are the headers with which proxies speak of themselves and of the connection in
// front of them. X-Forwarded-Uri is not among them: addresses may hold secrets.
var spoken = []string{
	"Early-Data", "Front-End-Https", "Via", "X-Forwarded-For", "X-Forwarded-Host", "X-Forwarded-Port",
	"X-Forwarded-Proto", "X-Forwarded-Protocol", "X-Forwarded-Scheme", "X-Forwarded-Server", "X-Forwarded-Ssl", "X-Real-Ip", "X-Scheme", "X-Url-Scheme",
}

// The most that Facts hold of what strangers choose.
const (
	maxShapes = 64
	maxFact   = 200
)

// Facts describes a request as it stands before Strip. own is as with ParseOwn.
func (g *Guard) Facts(r *http.Request, own bool) Facts {
	peer := g.peerOf(r)
	f := Facts{
		At: g.now().UTC(), Protocol: factText(r.Proto), Method: factText(r.Method), Sent: factText(r.Host), Peer: "unix", TLS: peer.TLS, Trusted: peer.TrustedProxy,
		Client: factText(peer.Client), Early: early(r.TLS, r.Header, peer), Domain: g.domain, Portal: g.portal.origin,
	}
	if host, _, err := net.SplitHostPort(r.RemoteAddr); err == nil && host != "" {
		f.Peer = factText(host)
	}
	if g.origin.name != "" {
		f.Origin = "https://" + g.origin.full
	}
	f.Headers = Shapes(r.Header)
	for _, c := range r.Cookies() {
		if strings.HasPrefix(c.Name, "__Host-mfa") || strings.HasPrefix(c.Name, "__Secure-mfa") || strings.HasPrefix(c.Name, "mfa-") {
			f.Cookies = append(f.Cookies, Shape{Name: factText(c.Name), Lines: 1, Length: len(c.Value)})
		}
		if len(f.Cookies) == maxShapes {
			break
		}
	}
	req := Request{own: own}
	if err := g.parse(r, peer, &req); err != nil {
		f.Fault = err.Error()
	}
	f.Path = factText(req.SentPath())
	if f.Path == "" {
		sent, _, _ := strings.Cut(r.RequestURI, "?")
		f.Path = factText(sent)
	}
	f.Scheme = "http"
	if https(peer) || req.HTTPS {
		f.Scheme = "https"
	}
	if at, ok := parseHost(r.Host, f.Scheme == "https"); ok {
		f.Local, f.Address = at.loopback(), at.ip
	}
	if f.Fault == "" {
		f.Host, f.Scope, f.RPID = req.Host, req.Place.Scope, req.Place.RPID
		f.CookieName, f.CookieDomain = req.Cookies.Name(web.SessionCookie), req.Cookies.Domain
	}
	return f
}

// Shapes describes headers by name, at most 64, without what they say.
func Shapes(h http.Header) []Shape {
	list := make([]Shape, 0, min(len(h), maxShapes))
	for name, lines := range h {
		s := Shape{Name: factText(name), Lines: len(lines)}
		for _, line := range lines {
			s.Length += len(line)
		}
		if slices.Contains(spoken, name) {
			s.Value = factText(strings.Join(lines, " | "))
		}
		list = append(list, s)
	}
	slices.SortFunc(list, func(a, b Shape) int { return strings.Compare(a.Name, b.Name) })
	return list[:min(len(list), maxShapes)]
}

// Header returns the shape of a header; of none, one without lines.
func (f *Facts) Header(name string) Shape {
	for _, s := range f.Headers {
		if s.Name == name {
			return s
		}
	}
	return Shape{Name: name}
}

// factText returns text that is printed in one line, and not a long one.
func factText(s string) string {
	s = strings.Map(func(r rune) rune {
		if !unicode.IsPrint(r) {
			return '?'
		}
		return r
	}, strings.ToValidUTF8(s[:min(len(s), maxFact)], "?"))
	return s
}
