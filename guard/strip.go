package guard

import (
	"context"
	"net/http"
	"slices"
	"strings"

	"github.com/secondgate/secondgate/internal/web"
	"github.com/secondgate/secondgate/mfa"
	"github.com/secondgate/secondgate/session"
)

// state is what the guard remembers of one request. It is the request's context
// too, and holds the writer: one allocation for all of it, and nothing that is
// used again for somebody else's request.
type state struct {
	context.Context
	peer    Peer
	cookies []string // the Cookie lines before ours were taken out
	line    [1]string
	writer  writer
	held    bool // by another proxy; see Hold
	tunnel  bool // a WebSocket that does not take the connection over
	again   bool // what is judged was let through before

	passed bool // by a bypass
	parsed bool
	fault  error
	req    Request

	need       mfa.Requirement // of all checks so far
	asked      []mfa.Route     // … one by one
	first      [2]mfa.Route    // there are seldom more
	token      presented
	granted    bool // a gate before took app tokens
	tokens     bool // an app token could meet what is asked so far
	view       *session.View
	noSession  error // why there is no view
	identified bool
	decision   mfa.Decision // of the last check
	values     [5]string    // of the identity headers: never shared between requests
}

type stateKey struct{}

// Value gives out the state and the kept cookies, and otherwise what the
// request's context holds.
func (s *state) Value(key any) any {
	switch key.(type) {
	case stateKey:
		return s
	case web.KeptCookies:
		return &s.cookies
	}
	return s.Context.Value(key)
}

func stateOf(ctx context.Context) *state {
	if s, ok := ctx.(*state); ok {
		return s // nobody has added to the context since Strip
	}
	s, _ := ctx.Value(stateKey{}).(*state)
	return s
}

// Pass marks a request that was stripped as one that a bypass has matched; Passed
// reports it.
func Pass(ctx context.Context) {
	if s := stateOf(ctx); s != nil {
		s.passed = true
	}
}

// Passed reports whether Pass was called for the request.
func Passed(ctx context.Context) bool {
	s := stateOf(ctx)
	return s != nil && s.passed
}

// Strip takes from the request what must not pass through: identity headers in
// every spelling, headers of proxies that nobody configured, names in Connection
// that would have the next proxy drop headers, trailers, our cookies and app tokens. Session,
// HalfDone, Check and package web still see the cookies. The writer that it
// returns drops cookies of our names that the app sets; Plain undoes that.
// A second Strip of the same request does nothing.
func (g *Guard) Strip(w http.ResponseWriter, r *http.Request) (http.ResponseWriter, *http.Request) {
	if stateOf(r.Context()) != nil {
		return w, r
	}
	return g.strip(w, r, &state{Context: r.Context(), peer: g.peer(r)})
}

// StripSeen is Strip for a request that Glance has read and nothing has rewritten
// since: its checks go by what Glance said.
func (g *Guard) StripSeen(w http.ResponseWriter, r *http.Request, seen *Request) (http.ResponseWriter, *http.Request) {
	if stateOf(r.Context()) != nil {
		return w, r
	}
	return g.strip(w, r, &state{Context: r.Context(), peer: seen.peer, parsed: true, req: *seen})
}

func (g *Guard) strip(w http.ResponseWriter, r *http.Request, s *state) (http.ResponseWriter, *http.Request) {
	s.writer = writer{ResponseWriter: w, guard: g, state: s}
	s.tunnel = extendedConnect(r)
	s.req.peer, s.req.Place.Established = s.peer, g.claim(r)
	if lines := r.Header["Cookie"]; len(lines) == 1 {
		s.line[0] = lines[0]
		s.cookies = s.line[:]
	} else {
		s.cookies = slices.Clone(lines)
	}
	g.drop.apply(r.Header, s.peer.TrustedProxy)
	tameConnection(r.Header, tameUpgrade(r.Header))
	web.HideCookies(r.Header)
	s.token.take(r.Header)
	r = r.WithContext(s)
	// Trailers arrive after every check, and some servers merge them into the
	// headers (AC-049).
	r.Trailer = nil
	return &s.writer, r
}

// Headers names the headers that tell the app who the user is. Empty fields get
// the defaults Remote-User, Remote-Name, Remote-Email, Remote-Groups and
// Mfa-Assertion.
type Headers struct {
	User, Name, Email, Groups, Assertion string
	// UserField is what User holds: "name" (default) or "email".
	UserField string
}

// What a header of that name means is not ours to change.
var reserved = []string{
	"host", "cookie", "set-cookie", "connection", "upgrade", "te", "trailer", "transfer-encoding", "content-length",
	"content-type", "content-encoding", "authorization", "proxy", "proxy-authorization", "expect", "origin", "referer",
	"x-forwarded-for", "x-forwarded-host", "x-forwarded-proto",
}

func (h Headers) withDefaults() (Headers, error) {
	seen := map[string]bool{}
	for _, f := range []struct {
		option  string
		name    *string
		initial string
	}{
		{"user", &h.User, "Remote-User"}, {"name", &h.Name, "Remote-Name"}, {"email", &h.Email, "Remote-Email"},
		{"groups", &h.Groups, "Remote-Groups"}, {"assertion", &h.Assertion, "Mfa-Assertion"},
	} {
		if *f.name == "" {
			*f.name = f.initial
		}
		folded := fold(*f.name)
		switch {
		case len(folded) < 2 || len(folded) >= longestDropped:
			return h, &HeaderError{f.option, *f.name, "is too short or too long; use 2 to 63 characters"}
		case strings.Trim(strings.ToLower(*f.name), "abcdefghijklmnopqrstuvwxyz0123456789-_.") != "":
			return h, &HeaderError{f.option, *f.name, "is no header name; use letters, digits and dashes"}
		case slices.Contains(reserved, folded):
			return h, &HeaderError{f.option, *f.name, "has a meaning of its own; choose another name"}
		case seen[folded]:
			return h, &HeaderError{f.option, *f.name, "stands twice; give each its own name"}
		}
		seen[folded] = true
		*f.name = http.CanonicalHeaderKey(*f.name)
	}
	switch h.UserField {
	case "":
		h.UserField = "name"
	case "name", "email":
	default:
		return h, &HeaderError{"user_header", h.UserField, "is none of name and email"}
	}
	return h, nil
}

// Validate returns a *HeaderError where the names cannot be used: for who reads a
// configuration and wants to say so before anything is built.
func (h Headers) Validate() error {
	_, err := h.withDefaults()
	return err
}

// HeaderError says which name of an identity header is refused, and why.
type HeaderError struct{ Option, Name, Why string }

// Error says what to write instead.
func (e *HeaderError) Error() string { return "headers " + e.Option + ": \"" + e.Name + "\" " + e.Why }

// tameUpgrade leaves of Upgrade only the one to a WebSocket, and reports whether it
// stays. Any other protocol would be spoken with the app past the gate: after "101
// Switching Protocols" to h2c, every further request of that connection is the
// client's own, with whatever identity it likes to write (AC-085).
func tameUpgrade(h http.Header) bool {
	// It belongs to an upgrade to h2c and to nothing else (RFC 7540 §3.2.1).
	delete(h, "Http2-Settings")
	lines := h["Upgrade"]
	if len(lines) == 1 && strings.EqualFold(lines[0], "websocket") {
		return true
	}
	if len(lines) > 0 {
		delete(h, "Upgrade")
	}
	return false
}

// tameConnection leaves in Connection only what belongs there. The next proxy
// deletes every header that Connection names: a client could so have it delete
// the identity that we set, and many apps take a request without one for a local
// or anonymous one (AC-047, AC-048).
func tameConnection(h http.Header, upgrades bool) {
	lines := h["Connection"]
	if len(lines) == 0 || tame(lines, upgrades) {
		return
	}
	var kept []string
	for _, line := range lines {
		for token := range strings.SplitSeq(line, ",") {
			if token = strings.Trim(token, " \t"); hopOnly(token, upgrades) {
				kept = append(kept, token)
			}
		}
	}
	if len(kept) == 0 {
		delete(h, "Connection")
		return
	}
	h["Connection"] = []string{strings.Join(kept, ", ")}
}

func tame(lines []string, upgrades bool) bool {
	for _, line := range lines {
		for token := range strings.SplitSeq(line, ",") {
			if !hopOnly(strings.Trim(token, " \t"), upgrades) {
				return false
			}
		}
	}
	return true
}

func hopOnly(token string, upgrades bool) bool {
	switch len(token) {
	case 2:
		return strings.EqualFold(token, "te")
	case 5:
		return strings.EqualFold(token, "close")
	case 7:
		return upgrades && strings.EqualFold(token, "upgrade")
	case 10:
		return strings.EqualFold(token, "keep-alive")
	}
	return false
}

// identify tells the app who the user is. A value that an app could read as two,
// or as another header, is left out: names with such characters are refused when
// users are made.
func (g *Guard) identify(r *http.Request, s *state) {
	s.identified = true
	u, h := s.view.Subject, &g.headers
	user := u.Name
	if h.UserField == "email" {
		user = u.Email
	}
	s.put(r.Header, 0, h.User, user)
	s.put(r.Header, 1, h.Name, u.DisplayName)
	s.put(r.Header, 2, h.Email, u.Email)
	s.put(r.Header, 3, h.Groups, groups(u.Groups))
	// Without one the request goes on: an app that relies on it refuses by itself, and
	// the others are not to stand still for it.
	if g.assert != nil {
		// It is ours, and long: looking for line ends in it would be a fifth of a check.
		s.values[4] = g.assert(s.view, session.Audience{HTTPS: s.req.HTTPS, Host: s.req.Host})
		switch {
		case s.held: // as in put
		case s.values[4] != "":
			r.Header[h.Assertion] = s.values[4:5:5]
		default:
			delete(r.Header, h.Assertion)
		}
	}
}

// Assertion returns what tells the app with that origin, signed, whose request this is and
// what was proven, or "". It decides nothing: ask it for what may pass. This is for edges
// where the request to the app is somebody else's; Check sets the header itself.
func (g *Guard) Assertion(v *session.View, origin string) string {
	if g.assert == nil {
		return ""
	}
	return g.assert(v, session.ParseAudience(origin))
}

// put sets an identity header. Of a request that another proxy holds the value is kept for
// Identity: the headers are those of a question, which goes on to nobody.
func (s *state) put(h http.Header, i int, name, value string) {
	if value == "" || !oneLine(value) {
		delete(h, name)
		return
	}
	s.values[i] = value
	if s.held {
		return
	}
	h[name] = s.values[i : i+1 : i+1]
}

func oneLine(value string) bool {
	for i := 0; i < len(value); i++ {
		if value[i] < ' ' || value[i] == 0x7f {
			return false
		}
	}
	return true
}

// groups joins the names with commas. A name with a comma of its own would be
// two to the app (AC-055).
func groups(names []string) string {
	if len(names) == 1 && oneGroup(names[0]) {
		return names[0]
	}
	var b strings.Builder
	size := 0
	for _, name := range names {
		size += len(name) + 1
	}
	for _, name := range names {
		if !oneGroup(name) {
			continue
		}
		if b.Len() == 0 {
			b.Grow(size)
		} else {
			b.WriteByte(',')
		}
		b.WriteString(name)
	}
	return b.String()
}

func oneGroup(name string) bool {
	return name != "" && !strings.ContainsAny(name, ",|") && oneLine(name)
}
