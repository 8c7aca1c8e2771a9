package forwardauth

import (
	"errors"
	"log/slog"
	"net/http"
	"slices"
	"time"

	"github.com/secondgate/secondgate/guard"
	"github.com/secondgate/secondgate/internal/web"
	"github.com/secondgate/secondgate/mfa"
	"github.com/secondgate/secondgate/session"
)

// Site is what is protected at a host.
type Site interface {
	// Routes returns what is asked of a request for the site, in the order in which it is
	// to be met: none where it may pass unseen. What a bypass lifts is not among it. An
	// error refuses.
	Routes(target *http.Request, req *guard.Request) ([]mfa.Route, error)
}

// Config is what an Auth is made of. Every field without a note is required.
type Config struct {
	Guard  *guard.Guard
	Events mfa.Events
	Peers  Peers // the zero value: nobody may ask
	// Find returns what is protected at a host, which is canonical and may have a port.
	Find func(host string) (Site, bool)
	// Portal is the origin where people sign in.
	Portal string
	Logger *slog.Logger     // told of proxies that ask in a way that cannot be read; nil: nobody is
	Now    func() time.Time // nil: time.Now
}

// Auth answers the questions of proxies. It is safe for concurrent use.
type Auth struct {
	Config
	troubles troubles
}

// New checks the configuration and returns an Auth.
func New(cfg Config) (*Auth, error) {
	if cfg.Guard == nil || cfg.Events == nil || cfg.Find == nil || cfg.Portal == "" {
		return nil, errors.New("making forward-auth: a part is missing")
	}
	if cfg.Logger == nil {
		cfg.Logger = slog.New(slog.DiscardHandler)
	}
	if cfg.Now == nil {
		cfg.Now = time.Now
	}
	return &Auth{Config: cfg}, nil
}

// Answer says what was answered, for logs and metrics.
type Answer struct {
	Judged   bool // a decision was asked for
	Allowed  bool
	Decision mfa.Decision
	View     *session.View  // of whom it allowed; nil: nobody in particular
	Request  *guard.Request // what the proxy holds; nil: it could not be read
}

// Serve answers a proxy's question.
func (a *Auth) Serve(w http.ResponseWriter, q *http.Request, d Dialect) Answer {
	if !a.Peers.Allow(q.RemoteAddr) {
		a.stranger(w, q, d)
		return Answer{}
	}
	held, fault := read(d, q)
	if fault != nil {
		a.misconfigured(w, q, fault)
		return Answer{}
	}
	ctx := &bounded{Context: q.Context()}
	defer ctx.end()
	target, req, err := a.Guard.Hold(ctx, q, held)
	if d == Nginx {
		w = &nginxWriter{ResponseWriter: w, target: target, req: req, guard: a.Guard, portal: a.Portal}
	}
	switch {
	case errors.Is(err, guard.ErrBadRequest):
		// The path has been looked at: it is the host.
		a.misconfigured(w, q, &Fault{d, where(d, forwardedHost), notHost})
		return Answer{}
	case err != nil:
		a.reject(w, target, err)
		return Answer{Request: req}
	}
	site, ok := a.Find(req.Host)
	if !ok {
		a.unknownHost(w, q, d, req)
		return Answer{Request: req}
	}
	routes, err := site.Routes(target, req)
	if err != nil {
		a.Logger.ErrorContext(q.Context(), "a request that a proxy holds could not be matched", "dialect", d.String(), "host", req.Host, "error", err)
		a.refuse(w, d, http.StatusServiceUnavailable, "unavailable", "Try again in a moment.")
		return Answer{Request: req}
	}
	answer := Answer{Request: req, Judged: true, Allowed: true}
	if len(routes) == 0 {
		answer.Decision = mfa.Decision{Action: mfa.Allow, Reason: mfa.ReasonBypass}
	}
	for _, route := range routes {
		if answer.Allowed = a.Guard.Check(w, target, route); !answer.Allowed {
			break
		}
	}
	if len(routes) > 0 {
		answer.Decision = guard.DecisionFrom(target.Context())
	}
	if !answer.Allowed {
		return answer
	}
	answer.View = guard.ViewFrom(target.Context())
	a.allow(w, target, d)
	return answer
}

// allow says that the request may go on, and as whom. Every identity header is there, the
// empty ones too: proxies copy those that they get, and would leave the client's own in
// the place of one that is missing (CVE-2026-30851).
func (a *Auth) allow(w http.ResponseWriter, target *http.Request, d Dialect) {
	if own, ok := w.(*nginxWriter); ok {
		w = own.ResponseWriter
	}
	h := w.Header()
	a.Guard.Identity(target, h)
	h["Cache-Control"] = []string{"no-store"}
	keepToken(h, target, d)
	w.WriteHeader(http.StatusOK)
}

// keepToken has the proxy keep an app token from the app, whether it was good or not, and
// whether it was asked for or not (AC-053). How that can be said is another way for each.
func keepToken(h http.Header, target *http.Request, d Dialect) {
	sent := guard.AppTokenSent(target.Context())
	switch d {
	case Traefik, Caddy:
		// They put this in the place of what the client has sent, or nothing.
		if own := target.Header["Authorization"]; len(own) > 0 {
			h["Authorization"] = slices.Clone(own)
		}
	case Envoy:
		if sent {
			h["Authorization"] = []string{""}
			h["X-Envoy-Auth-Headers-To-Remove"] = []string{"authorization"}
		}
	}
	if sent {
		h[tokenHeader] = []string{"1"}
	}
}

// tokenHeader says that an app token came with the request.
const tokenHeader = "Mfa-App-Token"

// reject answers a request that no canonical form can be made of.
func (a *Auth) reject(w http.ResponseWriter, target *http.Request, err error) {
	if errors.Is(err, guard.ErrOptions) {
		err = guard.ErrBadRequest // what is answered to it by itself is a permission here
	}
	a.Guard.Reject(w, target, err)
}

// stranger answers who may not ask: before anything of the question is looked at (AC-057).
func (a *Auth) stranger(w http.ResponseWriter, q *http.Request, d Dialect) {
	a.trouble(q, Trouble{Kind: TroublePeer, Dialect: d})
	from := guard.Network(hostOf(q.RemoteAddr))
	if more, ok := a.Guard.Speak("forward-auth peer " + from); ok {
		a.Logger.WarnContext(q.Context(), "somebody who may not ask has asked about a request; where it is your proxy, add its address to peers", "dialect", d.String(), "network", from)
		a.record(q, mfa.Event{Reason: "peer", Network: from, Detail: detail(d.String(), more)})
	}
	a.refuse(w, d, http.StatusForbidden, "peer", "This address is for the proxies that the gateway knows. Their addresses stand behind \"peers\" of mfa_portal.")
}

// misconfigured answers a question that cannot be read, and says why to whoever runs the
// proxy.
func (a *Auth) misconfigured(w http.ResponseWriter, q *http.Request, f *Fault) {
	a.trouble(q, Trouble{Kind: TroubleQuestion, Dialect: f.Dialect, Fault: f})
	if more, ok := a.Guard.Speak("forward-auth " + f.Dialect.String() + " " + f.Header + " " + f.What); ok {
		a.Logger.WarnContext(q.Context(), "a proxy asks about a request in a way that cannot be read", "dialect", f.Dialect.String(), "header", f.Header, "fault", f.What, "see", f.Dialect.doc())
		a.record(q, mfa.Event{Reason: "misconfigured", Network: guard.Network(hostOf(q.RemoteAddr)), Detail: detail(f.Dialect.String()+": "+f.Header+" "+f.What, more)})
	}
	text := f.Error() + "."
	if f.Dialect != None {
		text += " How to configure the proxy: " + f.Dialect.doc()
	}
	status := http.StatusBadRequest
	if f.Dialect == None {
		status = http.StatusNotFound
	}
	a.refuse(w, f.Dialect, status, "misconfigured", text)
}

// unknownHost answers a question about a host that nobody has named. "No rule" is no
// permission.
func (a *Auth) unknownHost(w http.ResponseWriter, q *http.Request, d Dialect, req *guard.Request) {
	a.trouble(q, Trouble{Kind: TroubleUnprotected, Dialect: d, Host: req.Host})
	if more, ok := a.Guard.Speak("forward-auth host " + d.String()); ok {
		a.Logger.WarnContext(q.Context(), "a proxy asks about a host that is not protected; add it: protect HOST", "dialect", d.String(), "host", req.Host)
		a.record(q, mfa.Event{Reason: string(mfa.ReasonUnknownHost), Host: req.Host, Network: guard.Network(hostOf(q.RemoteAddr)), Detail: detail(d.String(), more)})
	}
	a.refuse(w, d, http.StatusForbidden, string(mfa.ReasonUnknownHost), "forward-auth ("+d.String()+"): the gateway protects no such host. Add it to mfa_portal: protect HOST. How to configure the proxy: "+d.doc())
}

func (a *Auth) record(q *http.Request, e mfa.Event) {
	e.At, e.Name = a.Now(), mfa.EventForwardAuth
	a.Events.Record(q.Context(), e)
}

func detail(text, more string) string {
	if more == "" {
		return text
	}
	return text + ", " + more
}

// refuse answers in plain text. nginx knows no other refusal than 403.
func (a *Auth) refuse(w http.ResponseWriter, d Dialect, status int, reason, text string) {
	if own, ok := w.(*nginxWriter); ok {
		w = own.ResponseWriter
	}
	if d == Nginx {
		status = http.StatusForbidden
	}
	h := w.Header()
	web.APIHeaders(h, false)
	h.Set("Content-Type", "text/plain; charset=utf-8")
	h.Set(reasonHeader, reason)
	if status == http.StatusServiceUnavailable {
		h.Set("Retry-After", "5")
	}
	w.WriteHeader(status)
	_, _ = w.Write([]byte(text + "\n")) // nobody is left to tell when the proxy went away
}
