package guard

import (
	"context"
	"errors"
	"net/http"
	"net/url"
	"slices"

	"github.com/secondgate/secondgate/mfa"
)

// Held is a request that another proxy holds while it asks us about it: what that proxy
// says of it, read and known to be one request of one client.
type Held struct {
	Method string
	Host   string   // as the client sent it
	URL    *url.URL // path and query, parsed as a server parses them
	Target string   // … as the client sent them
	HTTPS  bool
	Client string // address of the client, or ""
}

// Hold returns the request that the proxy holds as Check judges it, and the canonical form
// of it. r is what the proxy asked us with: the client's headers are in it, and nothing of
// its own address is believed. The identity headers that the client sent, and an app token,
// are taken out of both. The answer of Check is for whom the proxy serves; Identity says as
// whom it may pass. ctx is the context of r, or one below it that bounds the answer.
//
// It returns one of Parse's errors where there is no canonical form; Reject answers those
// on the returned request.
func (g *Guard) Hold(ctx context.Context, r *http.Request, held Held) (*http.Request, *Request, error) {
	proto := "http"
	if held.HTTPS {
		proto = "https"
	}
	s := &state{
		Context: ctx, held: true, parsed: true,
		peer: Peer{Client: held.Client, TrustedProxy: true, Proto: proto, Target: held.Target},
	}
	s.req.peer = s.peer
	if g.claims.established != nil {
		s.req.Place.Established = g.claims.established(r)
	}
	if lines := r.Header["Cookie"]; len(lines) == 1 {
		s.line[0] = lines[0]
		s.cookies = s.line[:]
	} else {
		s.cookies = slices.Clone(lines)
	}
	for _, name := range g.IdentityHeaders() {
		delete(r.Header, name)
	}
	s.token.take(r.Header)
	target := r.WithContext(s)
	target.Method, target.Host, target.URL, target.RequestURI = held.Method, held.Host, held.URL, held.Target
	// The connection, the protocol and the body are those of the question.
	target.TLS, target.Body, target.ContentLength, target.TransferEncoding = nil, http.NoBody, 0, nil
	target.Trailer, target.Proto, target.ProtoMajor, target.ProtoMinor = nil, "HTTP/1.1", 1, 1
	s.fault = g.parse(target, s.peer, &s.req)
	if s.fault == nil {
		target.Host = s.req.Host // the one spelling, for whoever matches it
	}
	return target, &s.req, s.fault
}

// where is where an answer leads the person: a whole address where another proxy holds the
// request, because it is that proxy which says what stands at a path there.
func (g *Guard) where(s *state, d mfa.Decision, target string) string {
	if s.held {
		return g.NextFor(&s.req, d, target)
	}
	return g.next(&s.req, d, target)
}

// IdentityHeaders are the names of the headers that tell the app who the user is, in
// their canonical spelling.
func (g *Guard) IdentityHeaders() [5]string {
	h := &g.headers
	return [...]string{h.User, h.Name, h.Email, h.Groups, h.Assertion}
}

// Identity writes into h each identity header for a request that Hold has made and Check has
// let through: the empty value where there is nothing to say. Whatever the client sent under
// those names is not among them. The values are the request's own, so that whoever serves h
// may edit them in place.
func (g *Guard) Identity(r *http.Request, h http.Header) {
	var values *[5]string
	if s := stateOf(r.Context()); s != nil && s.held && s.identified {
		values = &s.values
	} else {
		values = new([5]string)
	}
	for i, name := range g.IdentityHeaders() {
		h[name] = values[i : i+1 : i+1]
	}
}

// AppTokenSent reports whether an app token came with a request that Strip or Hold has seen,
// good or not: whoever sends the request on must leave it out. What remains of
// Authorization is the app's own.
func AppTokenSent(ctx context.Context) bool {
	s := stateOf(ctx)
	return s != nil && s.token.there
}

// BadAppToken reports whether Check refused the request because its app token opens nothing.
func BadAppToken(ctx context.Context) bool {
	s := stateOf(ctx)
	var bad *tokenError
	return s != nil && errors.As(s.noSession, &bad)
}

// Speak reports whether a line about something that anybody can cause, as often as they
// like, is to be written now: once a minute for each key. detail says how many were held
// back. Keys must not be of a stranger's choice, but for networks.
func (g *Guard) Speak(key string) (detail string, ok bool) { return g.quiet.speak(key, g.now()) }

// Network returns the /24 or /64 that an address belongs to, or "unknown".
func Network(client string) string { return network(client) }
