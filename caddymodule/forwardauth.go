package caddymodule

import (
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"net"
	"net/http"
	"slices"
	"strings"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/caddyconfig/caddyfile"
	"github.com/caddyserver/caddy/v2/caddyconfig/httpcaddyfile"
	"github.com/caddyserver/caddy/v2/modules/caddyhttp"

	"github.com/secondgate/secondgate/forwardauth"
	"github.com/secondgate/secondgate/guard"
	"github.com/secondgate/secondgate/internal/clock"
	"github.com/secondgate/secondgate/internal/web"
	"github.com/secondgate/secondgate/mfa"
)

// Protected are hosts that another proxy serves and asks us about.
type Protected struct {
	// Hosts are their names, without scheme, port and path. A star stands for one label:
	// "*.apps.example.com".
	Hosts []string `json:"hosts"`

	// Routes are what is asked there, as the handler "mfa" would. Their matchers look at
	// the method, the host and the path. The default is one that asks what the policy does,
	// everywhere.
	Routes []*Handler `json:"routes,omitempty"`
}

// heldApps are what the configuration protects behind other proxies.
type heldApps struct {
	config string // as JSON, to tell another one from the same
	peers  forwardauth.Peers
	named  bool // peers were written, and are not the default
	hosts  forwardauth.Hosts[*heldApp]
	names  []string
	tokens []protectedSite // those of the hosts that take app tokens
}

// heldApp is what is asked at a host behind another proxy.
type heldApp struct {
	handlers []*Handler  // in the order of Handler.place
	routes   []mfa.Route // where no matcher and no placeholder makes a difference
}

// errTwoPortals says that the portal is configured in two ways.
var errTwoPortals = errors.New("mfa_portal: has other peers, or protects other hosts, at one of its addresses than at another; write one site with all addresses: auth.example.com, http://:9091 { mfa_portal { … } }")

// provisionHeld reads "peers" and "protect". A site with several addresses has a handler
// for each, with one configuration.
func (h *PortalHandler) provisionHeld(ctx caddy.Context) error {
	config, err := json.Marshal(h)
	if err != nil {
		return err
	}
	if have := h.app.held; have != nil {
		if have.config != string(config) {
			return errTwoPortals
		}
		return nil
	}
	held := &heldApps{config: string(config), named: len(h.Peers) > 0}
	if held.peers, err = forwardauth.ParsePeers(h.peers()); err != nil {
		return err
	}
	for i := range h.Protect {
		p := &h.Protect[i]
		app, err := p.provision(ctx)
		if err != nil {
			return fmt.Errorf("protect %s: %w", strings.Join(p.Hosts, " "), err)
		}
		for _, host := range p.Hosts {
			if err := held.hosts.Add(host, app); err != nil {
				return err
			}
			name, _ := forwardauth.ParseHost(host)
			held.names = append(held.names, name)
			// Served over https, as far as anybody can know here.
			site := protectedSite{host: name, https: !h.app.InsecureHTTP && !isLocalhost(name), proxied: true}
			h.app.elsewhere = append(h.app.elsewhere, site)
			if slices.ContainsFunc(app.handlers, (*Handler).admitsPrograms) {
				held.tokens = append(held.tokens, site)
			}
		}
	}
	h.app.held = held
	return nil
}

func (h *PortalHandler) peers() []string {
	if len(h.Peers) == 0 {
		return forwardauth.Loopback
	}
	return h.Peers
}

func (p *Protected) provision(ctx caddy.Context) (*heldApp, error) {
	if len(p.Hosts) == 0 {
		return nil, errNoHosts
	}
	if len(p.Routes) == 0 {
		p.Routes = []*Handler{new(Handler)}
	}
	app := new(heldApp)
	static := true
	for _, h := range p.Routes {
		if err := judgeable(h.MatcherSetsRaw); err != nil {
			return nil, err
		}
		if err := h.Provision(ctx); err != nil {
			return nil, err
		}
		static = static && len(h.matchers) == 0 && !h.placeholder
	}
	app.handlers = slices.Clone(p.Routes)
	slices.SortStableFunc(app.handlers, func(a, b *Handler) int { return cmp.Compare(a.place(), b.place()) })
	if static {
		for _, h := range app.handlers {
			app.routes = append(app.routes, h.route(nil, false))
		}
	}
	return app, nil
}

// place is where a handler stands among those of a host, whatever order they are written in:
// a bypass before what it lifts, and one that takes app tokens before a plain one, which
// takes what that has taken. parseDirective sees to the same in a site.
func (h *Handler) place() int {
	switch {
	case h.Bypass:
		return 0
	case h.AppTokens:
		return 1
	}
	return 2
}

// errNoHosts says that "protect" names nothing.
var errNoHosts = errors.New("protect: which hosts? Write for example: protect app.example.com *.apps.example.com")

// judgeableMatchers look at nothing but what every proxy says of a request.
var judgeableMatchers = []string{"method", "host", "path", "path_regexp"}

// judgeable refuses matchers that look at something of the request which is not there when
// another proxy asks about it, or is that proxy's own.
func judgeable(sets caddyhttp.RawMatcherSets) error {
	for _, set := range sets {
		for _, name := range slices.Sorted(maps.Keys(set)) {
			if name == "not" {
				var inner caddyhttp.RawMatcherSets
				if err := json.Unmarshal(set[name], &inner); err != nil {
					return fmt.Errorf("protect: reading the matcher not: %w", err)
				}
				if err := judgeable(inner); err != nil {
					return err
				}
				continue
			}
			if !slices.Contains(judgeableMatchers, name) {
				return fmt.Errorf("protect: a matcher by %q looks at what no other proxy tells of a request; match by method, host, path or path_regexp", name)
			}
		}
	}
	return nil
}

// Routes implements forwardauth.Site: the handlers that apply, of which a bypass lifts
// those that ask nothing of their own.
func (a *heldApp) Routes(target *http.Request, req *guard.Request) ([]mfa.Route, error) {
	if a.routes != nil {
		return a.routes, nil
	}
	// Matchers and placeholders look at the request that the proxy holds, not at its
	// question.
	r := caddyhttp.PrepareRequest(target, caddy.NewReplacer(), nil, nil)
	return routesOf(a.handlers, r, req)
}

func routesOf(handlers []*Handler, r *http.Request, req *guard.Request) ([]mfa.Route, error) {
	var routes []mfa.Route
	passed := false
	for _, h := range handlers {
		applies, err := h.applies(r, req.Ambiguous, req.Cut)
		switch {
		case err != nil:
			return nil, fmt.Errorf("matching the request: %w", err)
		case !applies:
		case h.Bypass:
			passed = true
		case h.plain() && passed:
		default:
			routes = append(routes, h.route(r, req.Ambiguous))
		}
	}
	return routes, nil
}

// heldAt returns what stands at a host behind another proxy, as somebody has written it.
func (a *App) heldAt(host string) (*heldApp, bool) {
	if a.held == nil {
		return nil, false
	}
	if name, _, err := net.SplitHostPort(host); err == nil {
		host = name
	}
	return a.held.hosts.Find(strings.ToLower(strings.TrimSuffix(host, ".")))
}

// protected returns what stands at a host behind another proxy.
func (a *App) protected(host string) (forwardauth.Site, bool) {
	if a.held == nil {
		return nil, false
	}
	app, ok := a.held.hosts.Find(host)
	return app, ok
}

// newForwardAuth makes the edge for other proxies, or nil where there is no portal.
func newForwardAuth(a *App, front *guard.Guard, events mfa.Events) (*forwardauth.Auth, error) {
	if a.held == nil || a.portal == "" {
		return nil, nil
	}
	return forwardauth.New(forwardauth.Config{
		Guard: front, Events: events, Peers: a.held.peers, Find: a.protected, Portal: a.portal,
		Logger: a.ctx.Slogger(), Now: clock.Now,
	})
}

// ask answers another proxy.
func (h *PortalHandler) ask(w http.ResponseWriter, r *http.Request, dialect forwardauth.Dialect) {
	v, err := h.app.enter(r.Context())
	if err != nil || v.forward == nil {
		if err == nil {
			v.leave()
		}
		status := http.StatusServiceUnavailable
		if dialect == forwardauth.Nginx {
			status = http.StatusForbidden // all else is a 500 there
		}
		unavailableAs(w, status)
		return
	}
	defer v.leave()
	checked, span := traceDecision(r)
	answer := v.forward.Serve(w, checked, dialect)
	h.app.seeAsked(v.guard, r, &answer, dialect)
	span.end(answer.Decision, answer.Allowed)
	if !answer.Judged {
		return
	}
	host := ""
	if answer.Request != nil {
		host = answer.Request.Host
	}
	h.app.decided(r, host, answer.View, answer.Decision, answer.Allowed, dialect)
}

// serveHeld answers what is neither a question nor for the portal's own name: pages of ours
// at a protected host, which its proxy hands on, and whatever comes to an address without a
// name of its own.
func (h *PortalHandler) serveHeld(w http.ResponseWriter, arrived *http.Request) {
	a := h.app
	if _, ok := a.heldAt(arrived.Host); !ok {
		misdirected(w, http.StatusMisdirectedRequest, "No such host is served here.")
		return
	}
	h.believe(arrived)
	v, err := a.enter(arrived.Context())
	if err != nil {
		a.unavailable(w, arrived)
		return
	}
	defer v.leave()
	req, ok := a.glance(v, v.pages, w, arrived)
	if ok && !a.serveOwn(v, v.pages, w, arrived, &req) {
		misdirected(w, http.StatusNotFound, "The app of this host is not here. Its proxy hands on what begins with /.mfa/ and nothing else.")
	}
}

// placeOf says as what the portal answers at the host: as itself, or as the pages of an app
// that another proxy serves.
func (h *PortalHandler) placeOf(r *http.Request) string {
	if _, ok := h.app.heldAt(r.Host); ok {
		return placeApp
	}
	return placePortal
}

// believe takes what a peer that was named says of the connection in front of it, as
// Caddy's trusted_proxies would: whoever may ask us about requests may also hand them on.
func (h *PortalHandler) believe(r *http.Request) {
	if h.app.held == nil || !h.app.held.named || !h.app.held.peers.Allow(r.RemoteAddr) {
		return
	}
	vars, ok := r.Context().Value(caddyhttp.VarsCtxKey).(map[string]any)
	if trusted, _ := vars[caddyhttp.TrustedProxyVarKey].(bool); !ok || trusted {
		return
	}
	vars[caddyhttp.TrustedProxyVarKey] = true
	if client := forwardauth.Client(r.Header); client != "" {
		vars[caddyhttp.ClientIPVarKey] = client
	}
}

// misdirected says that something is not here, whoever asks.
func misdirected(w http.ResponseWriter, status int, text string) {
	h := w.Header()
	web.APIHeaders(h, false)
	h.Set("Content-Type", "text/plain; charset=utf-8")
	w.WriteHeader(status)
	_, _ = w.Write([]byte(text + "\n")) // nobody is left to tell when the client went away
}

// parseProtect reads
//
//	protect HOST… {
//		mfa [MATCHER] {
//			…
//		}
//	}
//
// helper knows the named matchers of the site; nil: there are none.
func (h *PortalHandler) parseProtect(b *block, helper *httpcaddyfile.Helper) error {
	delete(b.seen, "protect") // there may be many
	p := Protected{Hosts: b.RemainingArgs()}
	if len(p.Hosts) == 0 {
		return b.WrapErr(errNoHosts)
	}
	var seen forwardauth.Hosts[bool]
	for _, other := range h.Protect {
		for _, host := range other.Hosts {
			_ = seen.Add(host, true) // it was added before
		}
	}
	for _, host := range p.Hosts {
		if err := seen.Add(host, true); err != nil {
			return b.WrapErr(err)
		}
	}
	inner := &block{Dispenser: b.Dispenser, name: "protect", first: b.Token(), seen: make(map[string]caddyfile.Token)}
	err := inner.each(map[string]func() error{"mfa": func() error {
		delete(inner.seen, "mfa")
		route, err := parseHeldRoute(b.NewFromNextSegment(), helper)
		if err == nil {
			p.Routes = append(p.Routes, route)
		}
		return err
	}})
	h.Protect = append(h.Protect, p)
	return err
}

// parseHeldRoute reads one "mfa" inside "protect", which has the grammar of the directive.
func parseHeldRoute(d *caddyfile.Dispenser, helper *httpcaddyfile.Helper) (*Handler, error) {
	route, app := new(Handler), (*App)(nil)
	if helper != nil {
		own := helper.WithDispenser(d)
		app = globalApp(own)
		own.Next()
		set, matched, err := own.MatcherToken()
		if err != nil {
			return nil, own.WrapErr(err)
		}
		if set != nil {
			route.MatcherSetsRaw = caddyhttp.RawMatcherSets{set}
			if err := judgeable(route.MatcherSetsRaw); err != nil {
				return nil, own.WrapErr(err)
			}
		}
		if matched {
			own.Delete()
		}
		own.Reset()
	}
	return route, route.unmarshal(d, app)
}

var _ forwardauth.Site = (*heldApp)(nil)
