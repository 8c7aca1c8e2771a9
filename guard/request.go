package guard

import (
	"crypto/tls"
	"errors"
	"net"
	"net/http"
	"net/netip"
	"path"
	"strings"
	"unicode/utf8"

	"github.com/secondgate/secondgate/internal/web"
	"github.com/secondgate/secondgate/mfa"
)

// Request is the canonical request: what every rule looks at.
type Request struct {
	Place   mfa.Place
	HTTPS   bool
	Host    string // lower case, without default port
	Path    string // decoded once, cleaned
	Cookies web.Cookies
	// Target is the path and query as the browser sent them: the return address,
	// if web.ReturnAddress accepts it.
	Target string
	// Ambiguous says that two readers could understand the path differently. Such
	// a request must never match a bypass and meets the strictest requirement of
	// its site.
	Ambiguous bool
	// Cut says that the path holds an encoded "#" or "?". Who decodes before cutting
	// reads a shorter path. Such a request must never match a bypass; otherwise it
	// is one like others: people name pages "C#".
	Cut bool

	peer Peer
}

// SentPath returns the path as the browser sent it: encoded, before any rewrite.
func (r *Request) SentPath() string {
	sent, _, _ := strings.Cut(r.Target, "?")
	return sent
}

// Why a request cannot be made canonical. Reject answers them.
var (
	ErrBadRequest = errors.New("malformed request")
	ErrPlainHTTP  = errors.New("plain http beyond localhost")
	ErrMethod     = errors.New("method not allowed")
	ErrTooEarly   = errors.New("early data")
	ErrOptions    = errors.New("options for the whole server")
)

// Parse returns the canonical request, or one of the errors above.
func (g *Guard) Parse(r *http.Request) (*Request, error) {
	req, peer := new(Request), g.peer(r)
	req.peer = peer
	if err := g.parse(r, peer, req); err != nil {
		return nil, err
	}
	scheme := "http://"
	if req.HTTPS {
		scheme = "https://"
	}
	req.Place.Origin = scheme + req.Host
	req.Place.Network = network(peer.Client)
	req.Place.Agent = agent(r.UserAgent())
	req.Place.Established = g.claim(r)
	// Of two, one was planted: neither counts.
	if devices, n := web.Find(r, req.Cookies.Name(web.DevicesCookie)); n == 1 {
		req.Place.Devices = devices
	}
	if remembered, n := web.Find(r, req.Cookies.Name(web.RememberCookie)); n == 1 {
		req.Place.Remembered = remembered
	}
	return req, nil
}

// Glance is Parse without Place.Origin, Place.Network and Place.Agent, for those
// who only need the host, the path, and whether it is ambiguous: it allocates
// nothing for a request as browsers send it.
func (g *Guard) Glance(r *http.Request) (Request, error) {
	req := Request{peer: g.peer(r)}
	err := g.parse(r, req.peer, &req)
	return req, err
}

// parse fills in what decisions look at, which is all but the origin, the network
// and the browser's name. It allocates nothing for a request as browsers send it.
func (g *Guard) parse(r *http.Request, peer Peer, req *Request) error {
	if err := checkMethod(r, peer); err != nil {
		return err
	}
	req.HTTPS = https(peer)
	at, ok := parseHost(r.Host, req.HTTPS)
	if !ok {
		return ErrBadRequest
	}
	if g.origin.name != "" && at.name == g.origin.name {
		req.HTTPS, at = true, g.origin
	}
	local := at.loopback()
	if !req.HTTPS && !local && !g.insecure {
		return ErrPlainHTTP
	}
	req.Host = at.full
	g.place(req, at, local)

	req.Target = peer.Target
	if req.Target == "" {
		req.Target = r.RequestURI
	}
	if !strings.HasPrefix(req.Target, "/") {
		req.Target = r.URL.RequestURI() // absolute form, or a request made by code
	}
	if r.RequestURI != "" && r.RequestURI[0] != '/' && r.URL.Host == "" {
		return ErrBadRequest // neither a path nor a whole address
	}
	if !strings.HasPrefix(r.URL.Path, "/") || strings.IndexByte(req.Target, '#') >= 0 || strings.IndexByte(r.RequestURI, '#') >= 0 {
		// A fragment has no place in a request; who cuts it off sees another path
		// than who does not (AC-061, AC-076).
		return ErrBadRequest
	}
	req.Path = cleanPath(r.URL.Path)
	raw := r.URL.EscapedPath()
	asked, _, _ := strings.Cut(req.Target, "?")
	req.Ambiguous = ambiguous(raw) || !utf8.ValidString(r.URL.Path) || asked != raw && ambiguous(asked)
	req.Cut = cut(raw) || asked != raw && cut(asked)
	return nil
}

// cut reports whether somebody who decodes the path first would then find the
// beginning of a fragment or a query in it (CVE-2026-41059 of oauth2-proxy).
func cut(raw string) bool {
	for i := strings.IndexByte(raw, '%'); i >= 0 && i+2 < len(raw); {
		switch c := unhex(raw[i+1])<<4 | unhex(raw[i+2]); c {
		case '#', '?':
			return true
		}
		next := strings.IndexByte(raw[i+1:], '%')
		if next < 0 {
			return false
		}
		i += 1 + next
	}
	return false
}

func checkMethod(r *http.Request, peer Peer) error {
	switch r.Method {
	case http.MethodConnect:
		if !extendedConnect(r) {
			return ErrMethod
		}
	case http.MethodTrace, "TRACK":
		return ErrMethod
	case http.MethodOptions:
		if r.RequestURI == "*" || r.URL.Path == "*" {
			return ErrOptions
		}
	case http.MethodGet, http.MethodHead:
		return nil
	}
	// What a thief of packets can play again must not change anything (AC-088).
	if r.Method != http.MethodOptions && early(r.TLS, r.Header, peer) {
		return ErrTooEarly
	}
	return nil
}

func early(state *tls.ConnectionState, h http.Header, peer Peer) bool {
	return state != nil && !state.HandshakeComplete || peer.TrustedProxy && h.Get("Early-Data") == "1"
}

// extendedConnect reports whether a CONNECT is a WebSocket over HTTP/2 or HTTP/3
// (RFC 8441, RFC 9220), which the proxy turns into an upgrade.
func extendedConnect(r *http.Request) bool {
	switch r.ProtoMajor {
	case 2:
		return len(r.Header[":protocol"]) == 1 && r.Header[":protocol"][0] == "websocket"
	case 3:
		return r.Proto == "websocket"
	}
	return false
}

// https reports whether the browser's own connection is https. Nobody but the
// socket and a trusted proxy is believed.
func https(peer Peer) bool {
	if peer.TrustedProxy {
		switch peer.Proto {
		case "https", "wss":
			return true
		case "http", "ws":
			return false
		}
	}
	return peer.TLS
}

func socketPeer(r *http.Request) Peer {
	p := Peer{TLS: r.TLS != nil}
	if client, _, err := net.SplitHostPort(r.RemoteAddr); err == nil {
		p.Client = client
	}
	return p
}

// place says what tokens, cookies and passkeys are good for here.
func (g *Guard) place(req *Request, at host, local bool) {
	p := &req.Place
	p.Host, p.Scope = at.full, at.full
	req.Cookies = web.Cookies{Secure: req.HTTPS, Port: at.port}
	shared := req.HTTPS && within(at.name, g.domain)
	if shared {
		p.Scope, req.Cookies.Domain = g.domain, g.domain
	}
	switch {
	case at.ip:
		p.NoPasskey = mfa.ReasonIPAddress
	case !req.HTTPS && !local:
		p.NoPasskey = mfa.ReasonPlainHTTP
	case shared, req.HTTPS && g.related[at.full]:
		p.RPID = g.domain
	default:
		p.RPID = at.name
	}
}

func within(name, domain string) bool {
	return domain != "" && strings.HasSuffix(name, domain) &&
		(len(name) == len(domain) || name[len(name)-len(domain)-1] == '.')
}

// host is a canonical host.
type host struct {
	name string // without port; an IPv6 address without brackets
	port string // "" where it is the scheme's own
	full string // as browsers write it
	ip   bool
}

func (h host) loopback() bool {
	if h.ip {
		addr, err := netip.ParseAddr(h.name)
		return err == nil && addr.IsLoopback()
	}
	return h.name == "localhost" || strings.HasSuffix(h.name, ".localhost")
}

// parseHost makes the one spelling of a host that rules, cookies and tokens use:
// lower case, no trailing dot, no default port.
func parseHost(raw string, https bool) (host, bool) {
	if raw == "" || len(raw) > 300 {
		return host{}, false
	}
	name, port, hasPort := raw, "", false
	if raw[0] == '[' {
		end := strings.IndexByte(raw, ']')
		if end < 0 {
			return host{}, false
		}
		addr, err := netip.ParseAddr(raw[1:end])
		if err != nil || !addr.Is6() || addr.Zone() != "" {
			return host{}, false
		}
		name = addr.String()
		if rest := raw[end+1:]; rest != "" {
			if port, hasPort = strings.CutPrefix(rest, ":"); !hasPort {
				return host{}, false
			}
		}
	} else {
		name, port, hasPort = strings.Cut(raw, ":")
	}
	if hasPort && !validPort(port) {
		return host{}, false
	}
	if !https && port == "80" || https && port == "443" {
		port = ""
	}
	h := host{port: port}
	if raw[0] == '[' {
		h.name, h.ip, h.full = name, true, "["+name+"]"
		if port != "" {
			h.full += ":" + port
		}
		return h, true
	}
	h.name = strings.ToLower(strings.TrimSuffix(name, "."))
	if !validName(h.name) {
		return host{}, false
	}
	if numeric(h.name) {
		// Browsers read "127.1" and "0x7f000001" as addresses; we do not guess.
		if _, err := netip.ParseAddr(h.name); err != nil {
			return host{}, false
		}
		h.ip = true
	}
	switch {
	case port == "":
		h.full = h.name
	case strings.HasPrefix(raw, h.name+":") && raw[len(h.name)+1:] == port:
		h.full = raw
	default:
		h.full = h.name + ":" + port
	}
	return h, true
}

func validPort(port string) bool {
	if port == "" || len(port) > 5 || port[0] == '0' {
		return false
	}
	n := 0
	for _, c := range []byte(port) {
		if c < '0' || c > '9' {
			return false
		}
		n = n*10 + int(c-'0')
	}
	return n < 1<<16
}

// validName reports whether a lower-case host name is one. International names
// arrive as "xn--…"; the underscore occurs in private networks.
func validName(name string) bool {
	if name == "" || len(name) > 253 {
		return false
	}
	label := 0
	for i := 0; i < len(name); i++ {
		switch c := name[i]; {
		case c == '.':
			if label == 0 {
				return false
			}
			label = 0
			continue
		case 'a' <= c && c <= 'z', '0' <= c && c <= '9', c == '-', c == '_':
			label++
		default:
			return false
		}
		if label > 63 {
			return false
		}
	}
	return label > 0
}

// numeric reports whether a browser takes the name for an IPv4 address: its last
// label is a number.
func numeric(name string) bool {
	last := name[strings.LastIndexByte(name, '.')+1:]
	if rest, ok := strings.CutPrefix(last, "0x"); ok {
		return strings.Trim(rest, "0123456789abcdef") == ""
	}
	return strings.Trim(last, "0123456789") == ""
}

// cleanPath resolves dots and double slashes, and keeps a slash at the end.
func cleanPath(p string) string {
	clean := path.Clean(p)
	if clean != "/" && strings.HasSuffix(p, "/") {
		if len(p) == len(clean)+1 && p[:len(clean)] == clean {
			return p
		}
		clean += "/"
	}
	return clean
}

// ambiguous reports whether two readers could understand the encoded path
// differently: one decodes once more, cuts parameters off, resolves dots before
// or after decoding, takes "\" for "/", stops at NUL, or drops a blank or a dot
// at the end of a name (AC-072, AC-073, AC-077).
func ambiguous(raw string) bool {
	var (
		length int  // of the segment, decoded
		dots   int  // how many of it are dots
		last   byte // its last byte
		slash  bool // the byte before was "/"
	)
	endsBadly := func() bool {
		return length > 0 && (dots == length && length <= 2 || last == '.' || last == ' ')
	}
	for i := 0; i < len(raw); i++ {
		c, encoded := raw[i], false
		if c == '%' {
			if i+2 >= len(raw) || !isHex(raw[i+1]) || !isHex(raw[i+2]) {
				return true
			}
			c, encoded = unhex(raw[i+1])<<4|unhex(raw[i+2]), true
			i += 2
		}
		switch {
		case c == '/' && !encoded:
			if slash || endsBadly() {
				return true
			}
			length, dots, last, slash = 0, 0, 0, true
			continue
		case c == '/' || c == '\\' || c == ';' || c < ' ' || c == 0x7f:
			return true
		case c == '%':
			// Encoded twice, perhaps in pieces: "%252e", "%25%32e".
			if i+1 < len(raw) && (isHex(raw[i+1]) || raw[i+1] == '%') {
				return true
			}
		case c == ':' && last == ':':
			return true // "name::$DATA" is the file "name" on NTFS
		}
		if c == '.' {
			dots++
		}
		length, last, slash = length+1, c, false
	}
	return endsBadly()
}

func isHex(c byte) bool {
	return '0' <= c && c <= '9' || 'a' <= c && c <= 'f' || 'A' <= c && c <= 'F'
}

func unhex(c byte) byte {
	switch {
	case c <= '9':
		return c - '0'
	case c <= 'F':
		return c - 'A' + 10
	}
	return c - 'a' + 10
}

// network returns the /24 or /64 that an address belongs to.
func network(client string) string {
	addr, err := netip.ParseAddr(client)
	if err != nil {
		return "unknown"
	}
	addr = addr.Unmap().WithZone("")
	bits := 24
	if addr.Is6() {
		bits = 64
	}
	prefix, err := addr.Prefix(bits)
	if err != nil || !prefix.IsValid() {
		return "unknown"
	}
	return prefix.String()
}
