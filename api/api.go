package api

import (
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"strings"
	"time"

	"github.com/secondgate/secondgate/guard"
	"github.com/secondgate/secondgate/internal/web"
	"github.com/secondgate/secondgate/mfa"
	"github.com/secondgate/secondgate/session"
)

// Root is the path below which programs are served.
const Root = "/.mfa/api/"

// maxBody is the most that a body may weigh.
const maxBody = 64 << 10

// Guard is what the API asks of the edge: the canonical request, the session that a
// cookie stands for, and the cookies. *guard.Guard is one.
type Guard interface {
	guard.Keeper
	Parse(r *http.Request) (*guard.Request, error)
	ParseOwn(r *http.Request) (*guard.Request, error)
	Reject(w http.ResponseWriter, r *http.Request, err error)
	Session(r *http.Request, req *guard.Request) (*session.View, error)
	HalfDone(r *http.Request, req *guard.Request) (*session.View, error)
	ClearSession(w http.ResponseWriter, req *guard.Request)
}

// Config is what an API is made of. Every field without a note is required.
type Config struct {
	Gate   Gate
	Guard  Guard
	Now    func() time.Time // nil: time.Now
	Logger *slog.Logger     // told of our faults; nil: nobody is
	// Origins returns the protected hosts, such as "https://app.example.com": invitations
	// lead to the first of them, or to the one that is asked for. nil: to the host that
	// was asked.
	Origins func() []string
	// Gates says what stands at an address, for who asks why somebody is stopped there.
	// nil: no address is known.
	Gates mfa.Gates
}

// API serves programs. It is safe for concurrent use.
type API struct {
	gate     Gate
	guard    Guard
	now      func() time.Time
	logger   *slog.Logger
	origins  func() []string
	gates    mfa.Gates
	walks    walks
	table    []route
	document []byte
}

// New checks the configuration and puts the OpenAPI document together.
func New(cfg Config) (*API, error) {
	if cfg.Gate == nil || cfg.Guard == nil {
		return nil, errors.New("making the API: a gate and a guard are needed")
	}
	a := &API{gate: cfg.Gate, guard: cfg.Guard, now: cfg.Now, logger: cfg.Logger, origins: cfg.Origins, gates: cfg.Gates, walks: make(walks, maxWalks)}
	if a.now == nil {
		a.now = time.Now
	}
	if a.logger == nil {
		a.logger = slog.New(slog.DiscardHandler)
	}
	var err error
	if a.document, err = Document(); err != nil {
		return nil, fmt.Errorf("making the API: %w", err)
	}
	a.table = newTable(a.open(), a.account(), a.admin())
	return a, nil
}

// open is what everybody may read.
func (a *API) open() part {
	return part{
		door:   func(*call) error { return nil },
		routes: map[string]methods{"openapi.json": {http.MethodGet: a.serveDocument}},
	}
}

// Serves reports whether a path, as it was sent, is one for an API.
func Serves(path string) bool { return strings.HasPrefix(path, Root) || path == ScriptPath }

// ServeHTTP answers one request that Serves, on a host that may carry an app.
func (a *API) ServeHTTP(w http.ResponseWriter, r *http.Request) { a.serveHost(w, r, false) }

// Console returns what serves a host that carries no app: the same, and the admin API
// with it. An app shares its origin with what stands beside it, and could administrate
// with the cookies of whoever visits it.
func (a *API) Console() http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { a.serveHost(w, r, true) })
}

func (a *API) serveHost(w http.ResponseWriter, r *http.Request, console bool) {
	// Below the app's strip a writer drops cookies of our names; ours are ours.
	w = guard.Plain(w)
	parse := a.guard.Parse
	if console {
		parse = a.guard.ParseOwn
	}
	req, err := parse(r)
	if err != nil {
		a.guard.Reject(w, r, err)
		return
	}
	c := &call{api: a, w: w, r: r, req: req, at: req.Place, console: console}
	c.at.Language = c.language()
	if req.Path == ScriptPath && !req.Ambiguous {
		c.serveScript()
		return
	}
	result, err := a.serve(c)
	if err != nil {
		c.fail(err)
		return
	}
	c.answer(result)
}

// serve finds the route, opens its door and does its work.
func (a *API) serve(c *call) (any, error) {
	name, ok := strings.CutPrefix(c.req.Path, Root)
	rt, names := find(a.table, name)
	if !ok || rt == nil || c.req.Ambiguous || rt.hidden != nil && rt.hidden(c) {
		return nil, errNoRoute
	}
	method := c.r.Method
	if method == http.MethodHead {
		method = http.MethodGet
	}
	work, ok := rt.methods[method]
	if !ok {
		// A preflight ends here, and nothing in the answer allows what it asks for (AC-125).
		c.w.Header().Set("Allow", rt.methods.allow())
		return nil, errMethod
	}
	if err := rt.door(c); err != nil {
		return nil, err
	}
	if err := c.checkBody(); err != nil {
		return nil, err
	}
	c.names = names
	return work(c)
}

// sameOrigin is the door for the origin's own pages.
func sameOrigin(c *call) error {
	if !web.SameOrigin(c.r, c.req.Place.Origin) {
		return errCrossOrigin
	}
	return nil
}
