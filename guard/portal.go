package guard

import (
	"fmt"
	"net/http"
	"strings"

	"github.com/secondgate/secondgate/internal/web"
	"github.com/secondgate/secondgate/mfa"
)

// ArrivePath is the page of a protected host that people come to from the portal, where
// the host shares no cookie with it.
const ArrivePath = web.Prefix + "arrive"

// ArriveLife is how long, in seconds, a browser keeps what binds a hand-off to it. It has
// to last for a sign-in at the portal alone where that is quick: whoever takes longer is
// sent through once more without noticing.
const ArriveLife = 5 * 60

// portal is the host where people sign in for the others. The zero value is none.
type portal struct {
	origin string
	// shared says that it lies within the domain, and so can set the domain's cookie.
	shared    bool
	rpID      string
	noPasskey mfa.Reason
}

func newPortal(origin, domain string) (portal, error) {
	if origin == "" {
		return portal{}, nil
	}
	scheme, full, _ := strings.Cut(origin, "://")
	at, ok := parseHost(full, scheme == "https")
	if !ok || scheme != "https" && scheme != "http" || at.full != full {
		return portal{}, fmt.Errorf("portal: %q is no origin as browsers write it; write for example: https://auth.example.com", origin)
	}
	p := portal{origin: origin, shared: scheme == "https" && within(at.name, domain)}
	switch {
	case at.ip:
		p.noPasskey = mfa.ReasonIPAddress
	case scheme == "http" && !at.loopback():
		p.noPasskey = mfa.ReasonPlainHTTP
	case p.shared:
		p.rpID = domain
	default:
		p.rpID = at.name
	}
	return p, nil
}

// origin is the scheme, host and port of the request as browsers write them.
func (r *Request) origin() string {
	if r.HTTPS {
		return "https://" + r.Host
	}
	return "http://" + r.Host
}

// next is where an answer on the request's own host leads the person: to the portal, or
// to a page here.
func (g *Guard) next(req *Request, d mfa.Decision, target string) string {
	switch {
	case g.portal.origin == "":
		return Next(d, target)
	case g.reached(req):
		return g.portalPage(req, d, target)
	}
	return arrive(d, target)
}

// NextFor is where an answer on another host leads the person: to a page of the portal,
// where the request's host shares the domain's cookie with it, and else to the page of the
// request's host where hand-offs arrive. It is always a whole address. Where there is no
// portal it is a page of the request's host. The caller answers for the host: an address
// must never lead to one that nobody configured (AC-039).
func (g *Guard) NextFor(req *Request, d mfa.Decision, target string) string {
	next := g.next(req, d, target)
	if strings.HasPrefix(next, "/") {
		return req.origin() + next
	}
	return next
}

// reached reports whether the portal can give a browser the session of the request's host.
func (g *Guard) reached(req *Request) bool {
	return g.portal.shared && req.HTTPS && req.Place.Scope == g.domain
}

// portalPage is the page of the portal that does what d asks, with the whole way back.
func (g *Guard) portalPage(req *Request, d mfa.Decision, target string) string {
	back, ok := web.ReturnAddress(target)
	if !ok {
		back = "/"
	}
	q := needs(d)
	q.Set("rd", req.origin()+back)
	return withQuery(g.portal.origin+nextPage(d), q)
}

// arrive begins a hand-off at the request's own host.
func arrive(d mfa.Decision, target string) string {
	q := needs(d)
	if back, ok := web.ReturnAddress(target); ok && back != "/" {
		q.Set("rd", back)
	}
	return withQuery(ArrivePath, q)
}

// Shared returns the portal's request as one of the domain: what the portal reads and
// writes for the domain's hosts is the session of that one. It reports false where the
// portal cannot do so.
func (g *Guard) Shared(req *Request) (*Request, bool) {
	if !req.own || !g.portal.shared || req.Place.Origin != g.portal.origin || !req.HTTPS {
		return nil, false
	}
	shared := *req
	shared.own = false
	shared.Place.Scope, shared.Cookies.Domain = g.domain, g.domain
	return &shared, true
}

// Shares reports whether the origin is of the domain that the portal lies in.
func (g *Guard) Shares(origin string) bool {
	full, ok := strings.CutPrefix(origin, "https://")
	at, parsed := parseHost(full, true)
	return ok && parsed && at.full == full && g.portal.shared && !at.ip && within(at.name, g.domain)
}

// SetArrival gives the browser what binds a hand-off to it, or takes it away where nonce
// is empty. It is a cookie of this host alone: no sibling can plant one.
func (g *Guard) SetArrival(w http.ResponseWriter, req *Request, nonce string) {
	own := req.Cookies
	own.Domain = ""
	if nonce == "" {
		own.Clear(Plain(w), web.ArriveCookie)
		return
	}
	own.Set(Plain(w), web.ArriveCookie, nonce, ArriveLife)
}

// Arrival returns what SetArrival gave, or "". Of two, one was planted: neither counts.
func (g *Guard) Arrival(r *http.Request, req *Request) string {
	own := req.Cookies
	own.Domain = ""
	nonce, n := web.Find(r, own.Name(web.ArriveCookie))
	if n != 1 || len(nonce) > 128 {
		return ""
	}
	return nonce
}
