package guard

import (
	"bytes"
	"context"
	"encoding/base64"
	"errors"
	"fmt"
	"net/http"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/secondgate/secondgate/internal/web"
	"github.com/secondgate/secondgate/mfa"
	"github.com/secondgate/secondgate/session"
)

// presented is the app token that came with a request. It is taken out of Authorization
// before anything else sees the request, whether it is good or not and whether the route
// takes tokens or not: an app must never hold what opens it to somebody. Any other
// Authorization is the app's own and is not touched.
type presented struct {
	looked bool
	there  bool   // something that begins like a token of ours
	twice  bool   // … beside another line of Authorization
	token  string // "": it does not have the form of one
	basic  bool   // it came as a password
	user   string // … with this user name
}

// longestBasic is how long a Basic credential of ours may be. Longer ones hold a user name
// that nobody has here.
const longestBasic = 1024

// take looks for a token, once for each request.
func (p *presented) take(h http.Header) {
	if p.looked {
		return
	}
	p.looked = true
	lines := h["Authorization"]
	for i, line := range lines {
		if !p.read(line) {
			continue
		}
		if p.there = true; len(lines) == 1 {
			dropAuthorization(h)
			return
		}
		// Who reads the first line and who reads the last would see two people.
		p.twice, p.token = true, ""
		kept := make([]string, 0, len(lines)-1)
		for _, other := range append(lines[:i:i], lines[i+1:]...) {
			if !new(presented).read(other) {
				kept = append(kept, other)
			}
		}
		dropAuthorization(h)
		if len(kept) > 0 {
			h["Authorization"] = kept
		}
		return
	}
}

// dropAuthorization removes it in every spelling that a server of HTTP could have left.
func dropAuthorization(h http.Header) {
	for key := range h {
		if strings.EqualFold(key, "Authorization") {
			delete(h, key)
		}
	}
}

// read reports whether the line carries a token of ours, and reads it.
func (p *presented) read(line string) bool {
	scheme, rest, _ := strings.Cut(line, " ")
	rest = strings.Trim(rest, " \t")
	switch {
	case strings.HasPrefix(scheme, mfa.AppTokenPrefix):
		return true // without a scheme
	case strings.HasPrefix(rest, mfa.AppTokenPrefix):
		if strings.EqualFold(scheme, "Bearer") {
			p.token = wellFormed(rest)
		}
		return true
	case len(rest) > longestBasic || !strings.EqualFold(scheme, "Basic"):
		return false
	}
	// On the stack: most of these are the app's own business.
	var encoded, decoded [longestBasic]byte
	n, err := base64.StdEncoding.Decode(decoded[:], encoded[:copy(encoded[:], rest)])
	if err != nil {
		return false
	}
	user, password, ok := bytes.Cut(decoded[:n], []byte{':'}) // RFC 7617: none is in the name
	switch {
	case ok && bytes.HasPrefix(password, []byte(mfa.AppTokenPrefix)):
		p.basic, p.user, p.token = true, string(user), wellFormed(string(password))
		return true
	case bytes.HasPrefix(user, []byte(mfa.AppTokenPrefix)):
		return true // in the wrong place
	}
	return false
}

func wellFormed(token string) string {
	if _, ok := mfa.AppTokenID(token); !ok {
		return ""
	}
	return token
}

// counts reports whether the token says who asks. A browser's session goes before it: a
// page that has a browser send somebody else's token (https://x:TOKEN@app/) would otherwise
// have its person work in a stranger's account, and so would a link that is opened without
// a session (AC-012, AC-013).
func (p *presented) counts(r *http.Request, req *Request) bool {
	if !p.there || r.Header.Get("Sec-Fetch-Mode") == "navigate" {
		return false
	}
	_, n := web.Find(r, req.Cookies.Name(web.SessionCookie))
	return n == 0
}

// fits reports whether the user name beside the token is the user's, or none. Programs
// have to send one; somebody else's means that two accounts were mixed up.
func (p *presented) fits(u *mfa.Subject) bool {
	return !p.basic || p.user == "" || strings.EqualFold(p.user, "token") || strings.EqualFold(p.user, u.Name) ||
		u.Email != "" && strings.EqualFold(p.user, u.Email)
}

// tokenError says that a token opens nothing, and why, for the record alone: the answer is
// one for all.
type tokenError struct {
	reason string
	user   *mfa.Subject // of a token that there is
	id     string
}

func (e *tokenError) Error() string { return "app token: " + e.reason }
func (e *tokenError) Unwrap() error { return mfa.ErrNoSession }

// asker returns who asks: by the token where it counts, otherwise by the cookie.
// mfa.ErrNoSession: nobody. ErrBadRequest: a token beside another Authorization.
func (g *Guard) asker(r *http.Request, s *state) (*session.View, error) {
	s.token.take(r.Header)
	switch {
	case s.token.twice:
		return nil, ErrBadRequest
	case !s.token.counts(r, &s.req):
		return g.Session(r, &s.req)
	case s.token.token == "":
		return nil, &tokenError{reason: "malformed"}
	}
	v, err := g.sessions.VerifyAppToken(r.Context(), s.token.token, s.req.Place.Host)
	switch {
	case errors.Is(err, mfa.ErrNoSession):
		return nil, &tokenError{reason: "rejected"}
	case err != nil:
		return nil, fmt.Errorf("verifying an app token: %w", err)
	case !s.token.fits(v.Subject):
		return nil, &tokenError{reason: "wrong_user", user: v.Subject, id: v.Session.AppToken}
	}
	return v, nil
}

// refuseToken answers a program whose token opens nothing: always 401, never a page, and
// after too many of them from one network 429. A good token of the same network works all
// the while: nobody guesses 256 bits, so that the budget bounds what guesses write, and
// must not let a neighbour stop a program.
func (g *Guard) refuseToken(w http.ResponseWriter, r *http.Request, s *state, bad *tokenError) {
	from, now := network(s.peer.Client), g.now()
	if wait, over := g.guesses.spend(from, now); over {
		w.Header().Set("Retry-After", strconv.Itoa(int(wait.Seconds())+1))
		g.problem(w, r, web.Problem{Status: http.StatusTooManyRequests, Title: "Too many app tokens that open nothing"})
		return
	}
	if more, ok := g.quiet.speak("token "+bad.reason+" "+from, now); ok {
		e := mfa.Event{Name: mfa.EventAppToken, Reason: bad.reason, Network: from, Host: s.req.Host, Detail: more}
		if bad.user != nil {
			e.User, e.UserName = bad.user.ID, bad.user.Name
			e.Detail = strings.TrimSuffix(bad.id+", "+more, ", ")
		}
		g.record(r.Context(), e)
	}
	g.challenge(w, r, `Bearer realm="secondgate", error="invalid_token", error_description="The app token is not valid here"`)
	g.problem(w, r, web.Problem{Status: http.StatusUnauthorized, Title: "The app token is not valid here", Reason: "invalid_token"})
}

// challenge says to a program what it can come with. Basic is offered to what is no
// browser: git and WebDAV send a password only when they are asked for one, and a browser
// would open a window of its own that asks for it.
func (g *Guard) challenge(w http.ResponseWriter, r *http.Request, bearer string) {
	h := w.Header()
	h.Del("WWW-Authenticate")
	if !byBrowser(r) {
		h.Add("WWW-Authenticate", `Basic realm="app token", charset="UTF-8"`)
	}
	h.Add("WWW-Authenticate", bearer)
}

// byBrowser reports whether a browser sent the request, as far as it says so.
func byBrowser(r *http.Request) bool {
	for _, name := range [...]string{"Sec-Fetch-Mode", "Sec-Fetch-Dest", "Sec-Fetch-Site", "Origin", "X-Requested-With"} {
		if r.Header.Get(name) != "" {
			return true
		}
	}
	return stateOf(r.Context()) != nil && len(stateOf(r.Context()).cookies) > 0
}

// AppTokenFrom returns the ID of the app token by which Check let the request pass, or "".
func AppTokenFrom(ctx context.Context) string {
	if v := ViewFrom(ctx); v != nil {
		return v.Session.AppToken
	}
	return ""
}

// guesses count, for each network, the tokens that opened nothing. It is kept in memory
// alone: writing them down would cost more than they do.
type guesses struct {
	mu   sync.Mutex
	seen map[string]*guessed
}

type guessed struct {
	since time.Time
	n     int
}

// guessesPerMinute is how many are answered one by one; of clients without an address a
// part.
const guessesPerMinute = 60

// spend counts one, and reports whether there were too many and for how long.
func (q *guesses) spend(network string, now time.Time) (wait time.Duration, over bool) {
	q.mu.Lock()
	defer q.mu.Unlock()
	if q.seen == nil {
		q.seen = make(map[string]*guessed)
	}
	w := q.seen[network]
	if w == nil && len(q.seen) >= quietKeys {
		for key, old := range q.seen {
			if age := now.Sub(old.since); age >= time.Minute || age < 0 {
				delete(q.seen, key)
			}
		}
		if len(q.seen) >= quietKeys {
			network = "others"
			w = q.seen[network]
		}
	}
	if w == nil {
		w = &guessed{since: now}
		q.seen[network] = w
	}
	if age := now.Sub(w.since); age >= time.Minute || age < 0 {
		*w = guessed{since: now}
	}
	most := guessesPerMinute
	if network == "unknown" {
		most /= 3
	}
	if w.n >= most {
		return w.since.Add(time.Minute).Sub(now), true
	}
	w.n++
	return 0, false
}
