package guard

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/secondgate/secondgate/internal/web"
	"github.com/secondgate/secondgate/mfa"
	"github.com/secondgate/secondgate/session"
)

// Peer is what the server in front of us knows about the other end.
type Peer struct {
	TLS          bool   // the connection to us is TLS
	Client       string // address of the client, as the server resolved it; without port
	TrustedProxy bool   // the other end of the connection is a configured proxy
	Proto        string // X-Forwarded-Proto; believed only with TrustedProxy
	// Target is the request target (path and query) before any rewrite. Empty:
	// the request's own.
	Target string
}

// Config is what a Guard is made of. Every field without a note is required.
type Config struct {
	Sessions *session.Manager
	Policy   func() *mfa.Policy
	Events   mfa.Events
	Now      func() time.Time         // nil: time.Now
	Peer     func(*http.Request) Peer // nil: what the socket says
	Origin   string                   // "https://host", where TLS ends before a proxy that is not trusted; may be empty
	Domain   string                   // cookie domain and RP ID; may be empty
	// Related are the origins outside Domain that may use its passkeys; see package
	// internal/related.
	Related []string
	// Established returns the identity that whatever stands before the gate has
	// established for a request; nil: there is no such source. It sees the request before
	// Strip does, and says the same of it each time.
	Established func(*http.Request) mfa.Claim
	// ClaimSource is the name of the source that takes such identities, and OnlyClaims
	// says that there is no other.
	ClaimSource string
	OnlyClaims  bool
	// End ends a session in the store (rule B26). It must be set where Established is.
	End func(context.Context, mfa.SessionID) error
	// Portal is the origin of the host where people sign in for all others, such as
	// "https://auth.example.com"; empty: each host has pages of its own.
	Portal string
	// InsecureHTTP allows plain http beyond localhost.
	InsecureHTTP bool
	Headers      Headers
	// Confirm is called with each session whose identity source is due to be asked whether
	// its person still stands. It must return at once; nil: none is asked.
	Confirm func(mfa.SessionID)
	// ConfirmUser is called with the user of each app token that comes, where they are of
	// another source than the local accounts, as Confirm is with sessions.
	ConfirmUser func(mfa.UserID)
	// Assertion returns what is signed for that app about a session that may pass, or ""
	// where there is nothing: whoever gives the function tells of a fault. It MUST return
	// what a header may hold, and is called for each request. nil: nothing is signed.
	Assertion func(v *session.View, to session.Audience) string
}

// Guard stands before an app. It is safe for concurrent use.
type Guard struct {
	sessions *session.Manager
	policy   func() *mfa.Policy
	events   mfa.Events
	now      func() time.Time
	peer     func(*http.Request) Peer
	origin   host // zero: none
	domain   string
	related  map[string]bool // hosts as browsers write them
	portal   portal          // zero: none
	insecure bool
	claims   claims
	headers  Headers
	assert   func(v *session.View, to session.Audience) string
	drop     dropList
	refusals Refusals
	quiet    quiet
	confirm  func(mfa.SessionID)
	program  func(mfa.UserID) // Config.ConfirmUser
	guesses  guesses

	lookEvery time.Duration // at what stays open
	decisions decisions
}

// New checks the configuration and returns a Guard.
func New(cfg Config) (*Guard, error) {
	g := &Guard{
		sessions: cfg.Sessions, policy: cfg.Policy, events: cfg.Events, now: cfg.Now, peer: cfg.Peer,
		insecure: cfg.InsecureHTTP, refusals: plainRefusals{}, confirm: cfg.Confirm, program: cfg.ConfirmUser, assert: cfg.Assertion,
		lookEvery: lookEvery,
	}
	g.claims = claims{cfg.Established, cfg.ClaimSource, cfg.OnlyClaims, cfg.End}
	if g.sessions == nil || g.policy == nil || g.events == nil || g.claims.established != nil && (g.claims.end == nil || g.claims.source == "") {
		return nil, errors.New("making a guard: a part is missing")
	}
	if g.now == nil {
		g.now = time.Now
	}
	if g.peer == nil {
		g.peer = socketPeer
	}
	if cfg.Origin != "" {
		u, err := url.Parse(cfg.Origin)
		if err != nil || u.Scheme != "https" || u.User != nil || u.RawQuery != "" || u.Fragment != "" || u.Path != "" && u.Path != "/" {
			return nil, fmt.Errorf("origin: %q is no https origin; write for example: origin https://app.example.com", cfg.Origin)
		}
		var ok bool
		if g.origin, ok = parseHost(u.Host, true); !ok {
			return nil, fmt.Errorf("origin: %q names no host; write for example: origin https://app.example.com", cfg.Origin)
		}
	}
	if cfg.Domain != "" {
		h, ok := parseHost(cfg.Domain, true)
		// A name without a dot is a whole top-level domain, or no domain.
		if !ok || h.ip || h.full != cfg.Domain || !strings.Contains(h.name, ".") {
			return nil, fmt.Errorf("domain: %q is no domain in lower case; write for example: domain example.com", cfg.Domain)
		}
		g.domain = cfg.Domain
	}
	g.related = make(map[string]bool, len(cfg.Related))
	for _, origin := range cfg.Related {
		full, ok := strings.CutPrefix(origin, "https://")
		h, parsed := parseHost(full, true)
		if !ok || !parsed || h.full != full || h.ip || g.domain == "" || within(h.name, g.domain) {
			return nil, fmt.Errorf("related_origins: %q is no https origin outside the domain", origin)
		}
		g.related[h.full] = true
	}
	var err error
	if g.portal, err = newPortal(cfg.Portal, g.domain); err != nil {
		return nil, err
	}
	if g.headers, err = cfg.Headers.withDefaults(); err != nil {
		return nil, err
	}
	g.drop = newDropList(g.headers)
	return g, nil
}

// SetRefusals names who renders our answers to people. Call it before the first
// request; without it they are plain text.
func (g *Guard) SetRefusals(p Refusals) {
	if p != nil {
		g.refusals = p
	}
}

// Check reports whether the request may go on to the app, with identity headers
// set. Otherwise it has answered. Requirements of several checks of one request
// add up. A request that was not stripped is refused: it may carry forged
// identity.
func (g *Guard) Check(w http.ResponseWriter, r *http.Request, route mfa.Route) bool {
	w = Plain(w)
	s := stateOf(r.Context())
	if s == nil {
		g.problem(w, r, web.Problem{Status: http.StatusInternalServerError, Title: "Misconfigured", Reason: "not_stripped"})
		return false
	}
	if !s.parsed {
		s.parsed = true
		s.fault = g.parse(r, s.peer, &s.req)
	}
	if s.fault != nil {
		g.Reject(w, r, s.fault)
		return false
	}
	if s.asked == nil {
		s.asked = s.first[:0]
	}
	s.asked = append(s.asked, route)
	d, err := g.judge(r, s, route)
	if errors.Is(err, ErrBadRequest) {
		g.Reject(w, r, err)
		return false
	}
	if err != nil {
		g.unavailable(w, r)
		return false
	}
	var bad *tokenError
	if errors.As(s.noSession, &bad) && d.Action != mfa.Allow {
		g.refuseToken(w, r, s, bad)
		return false
	}
	if s.noSession != nil {
		g.dropBadCookie(w, r, &s.req, s.noSession)
	}
	if d.Action != mfa.Allow {
		g.answer(w, r, s, d)
		return false
	}
	if s.view == nil {
		return true // the policy asks nothing of anybody
	}
	if d.Would != mfa.Refuse {
		g.noteWould(r, s, d)
	}
	g.identify(r, s)
	return true
}

// judge finds out who asks and decides, for every edge of the gateway. Any error means
// that it could not be told, and the caller must refuse; ErrBadRequest, that nobody would
// understand the request in one way only. Requirements of several calls for one request
// add up.
func (g *Guard) judge(r *http.Request, s *state, route mfa.Route) (mfa.Decision, error) {
	s.need = s.need.Plus(route.Need)
	in := mfa.Input{Place: &s.req.Place, OnlyEstablished: g.claims.only}
	var policy mfa.Policy
	p := g.policy()
	if p == nil {
		return mfa.Decision{}, errNoPolicy // it cannot be read now
	}
	policy = p.With(s.need)
	policy.Organization = route.Organization
	// A gate that asks nothing of its own takes what one before it has taken: "mfa" beside
	// "mfa /api/* { app_tokens }". Any other says so itself.
	policy.AppTokens = route.AppTokens || s.granted && route.Need.Zero() && route.Organization == ""
	s.granted = s.granted || route.AppTokens
	met := s.need
	met.Required = false
	s.tokens = policy.AppTokens && met.Zero()
	in.Policy = &policy
	if s.view == nil && !policy.Bypass && !s.again {
		v, err := g.asker(r, s)
		switch {
		case err == nil:
			s.view = v
		case errors.Is(err, mfa.ErrNoSession):
			s.noSession = err
		default:
			return mfa.Decision{}, err
		}
	}
	if s.view != nil {
		in.Session, in.Subject = s.view.Session, s.view.Subject
		g.confirmDue(s.view)
	}
	s.decision = mfa.Decide(in, g.now())
	if s.decision.Action == mfa.Allow && s.view != nil && s.decision.Need.Fresh > 0 && (s.view.Stale || !g.sessions.InStep()) {
		// Proofs that cannot be looked up, or that may have been taken away on a node that
		// this one does not hear of, are not known to be fresh.
		s.decision = mfa.Decision{}
		return s.decision, errStale
	}
	return s.decision, nil
}

// confirmDue has the source asked about a session of which it is time, and about whoever
// has sent a program.
func (g *Guard) confirmDue(v *session.View) {
	if v.Session.AppToken != "" {
		if g.program != nil && v.Subject.Source != mfa.LocalSource {
			g.program(v.Subject.ID)
		}
		return
	}
	if due := v.Session.Source.Due; !due.IsZero() && g.confirm != nil && !g.now().Before(due) {
		g.confirm(v.Session.ID)
	}
}

var (
	errNoPolicy = errors.New("the policy cannot be read")
	errStale    = errors.New("the store cannot say how fresh the session's proofs are")
)

// noteWould records what report_only did not ask (rule B18): of one user, once in a
// while, because pages come in dozens.
func (g *Guard) noteWould(r *http.Request, s *state, d mfa.Decision) {
	detail, ok := g.quiet.speak("would "+string(s.view.Subject.ID), g.now())
	if !ok {
		return
	}
	g.record(r.Context(), mfa.Event{
		Name: mfa.EventReportOnly, OK: true, Reason: d.Would.String() + ":" + string(d.Because), Detail: detail,
		User: s.view.Subject.ID, UserName: s.view.Subject.Name, Session: s.view.Session.ID.Short(),
		Network: network(s.peer.Client), Host: s.req.Host,
	})
}

// dropBadCookie takes away a cookie that is not ours, or both of a name, and
// records it. A session that has merely ended keeps its cookie: the answer to a late
// request of another tab must not take away what that tab has just been given.
func (g *Guard) dropBadCookie(w http.ResponseWriter, r *http.Request, req *Request, err error) {
	_, n := web.Find(r, req.Cookies.Name(web.SessionCookie))
	reason := "forged"
	switch {
	case n > 1:
		reason = "two_cookies"
		req.Cookies.ClearPlanted(w, web.SessionCookie, req.SentPath())
	case n == 0 || !errors.Is(err, session.ErrInvalid):
		return
	}
	req.Cookies.Clear(w, web.SessionCookie)
	from := network(g.peerOf(r).Client)
	if detail, ok := g.quiet.speak(from, g.now()); ok {
		g.record(r.Context(), mfa.Event{Name: mfa.EventSessionInvalid, Reason: reason, Network: from, Host: req.Host, Detail: detail})
	}
}

func (g *Guard) record(ctx context.Context, e mfa.Event) {
	e.At = g.now()
	g.events.Record(ctx, e)
}

// Session returns the complete session of the request's cookie, or
// mfa.ErrNoSession; any other error means that the store could not tell.
func (g *Guard) Session(r *http.Request, req *Request) (*session.View, error) {
	token, n := web.Find(r, req.Cookies.Name(web.SessionCookie))
	if n != 1 {
		return nil, mfa.ErrNoSession
	}
	v, err := g.sessions.Verify(r.Context(), token, req.Place.Scope)
	return g.agreed(r.Context(), req, v, err)
}

// HalfDone returns the half-done sign-in of the request's cookie; else as Session.
func (g *Guard) HalfDone(r *http.Request, req *Request) (*session.View, error) {
	token, n := web.Find(r, req.Cookies.Name(web.HalfDoneCookie))
	if n != 1 {
		return nil, mfa.ErrNoSession
	}
	v, err := g.sessions.VerifyHalfDone(r.Context(), token, req.Place.Scope)
	return g.agreed(r.Context(), req, v, err)
}

// SetSession gives the browser the token of s: the session cookie where s is
// complete, else the half-done one, and takes the other away.
func (g *Guard) SetSession(w http.ResponseWriter, req *Request, s *mfa.Session) error {
	token, err := g.sessions.Issue(s)
	if err != nil {
		return err
	}
	w = Plain(w)
	if !s.Complete {
		req.Cookies.Set(w, web.HalfDoneCookie, token, 0)
		req.Cookies.Clear(w, web.SessionCookie)
		return nil
	}
	req.Cookies.Set(w, web.SessionCookie, token, int(s.Expires.Sub(g.now())/time.Second))
	req.Cookies.Clear(w, web.HalfDoneCookie)
	return nil
}

// SetDevice gives the browser the marks of the users whom it is known for. They
// outlive sessions: browsers keep a cookie for 400 days at most.
func (g *Guard) SetDevice(w http.ResponseWriter, req *Request, marks string) {
	req.Cookies.Set(Plain(w), web.DevicesCookie, marks, 400*24*3600)
}

// SetRemembered gives the browser what makes it stand for a second factor, or takes
// it away where value is "-". The record says how long it holds.
func (g *Guard) SetRemembered(w http.ResponseWriter, req *Request, value string) {
	if value == "-" {
		req.Cookies.Clear(Plain(w), web.RememberCookie)
		return
	}
	req.Cookies.Set(Plain(w), web.RememberCookie, value, 400*24*3600)
}

// SetWaiting gives the browser the name of a code that was sent to it before anybody
// signed in, or takes it away where id is empty.
func (g *Guard) SetWaiting(w http.ResponseWriter, req *Request, id string) {
	if id == "" {
		req.Cookies.Clear(Plain(w), web.WaitingCookie)
		return
	}
	req.Cookies.Set(Plain(w), web.WaitingCookie, id, 10*60)
}

// Waiting returns what SetWaiting gave, or "".
func (g *Guard) Waiting(r *http.Request, req *Request) string {
	id, n := web.Find(r, req.Cookies.Name(web.WaitingCookie))
	if n != 1 || len(id) > 128 {
		return ""
	}
	return id
}

// SetRedirect gives the browser the secret that binds a sign-in at another place to it.
// It outlives the sign-in: another tab may be under way with the same one.
func (g *Guard) SetRedirect(w http.ResponseWriter, req *Request, secret string) {
	req.Cookies.Set(Plain(w), web.RedirectCookie, secret, 10*60)
}

// Redirect returns what SetRedirect gave, or "". Of two, one was planted: neither counts.
func (g *Guard) Redirect(r *http.Request, req *Request) string {
	secret, n := web.Find(r, req.Cookies.Name(web.RedirectCookie))
	if n != 1 || len(secret) > 128 {
		return ""
	}
	return secret
}

// ClearSession takes both cookies away.
func (g *Guard) ClearSession(w http.ResponseWriter, req *Request) {
	w = Plain(w)
	req.Cookies.Clear(w, web.SessionCookie)
	req.Cookies.Clear(w, web.HalfDoneCookie)
}

// DecisionFrom returns what the last Check of the request decided: for logs. The
// zero value says that none could be made.
func DecisionFrom(ctx context.Context) mfa.Decision {
	if s := stateOf(ctx); s != nil {
		return s.decision
	}
	return mfa.Decision{}
}

// ViewFrom returns the session that Check let through, or nil.
func ViewFrom(ctx context.Context) *session.View {
	if s := stateOf(ctx); s != nil && s.identified {
		return s.view
	}
	return nil
}
