package caddymodule

import (
	"crypto/tls"
	"errors"
	"fmt"
	"maps"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/modules/caddyhttp"

	"github.com/secondgate/secondgate/guard"
	"github.com/secondgate/secondgate/mfa"
)

// gatesAt returns what stands at an address: the gates of ours on the way to the app, in
// the order in which a GET would meet them. Matchers are asked and no handler runs. It
// answers *mfa.RouteError where there is nothing to explain.
func (a *App) gatesAt(g *guard.Guard, address string) (*mfa.AccessQuery, error) {
	u, err := url.Parse(address)
	if err != nil || u.Scheme != "https" && u.Scheme != "http" || u.Host == "" || u.User != nil {
		// What was typed is not repeated: it may hold a password.
		return nil, noRoute(mfa.RouteUnreadable, "that is no address; write for example https://app.example.com/reports")
	}
	if u.Path == "" {
		u.Path = "/"
	}
	shown := url.URL{Scheme: u.Scheme, Host: u.Host, Path: u.Path, RawPath: u.RawPath} // a query may hold secrets of the app
	q := &mfa.AccessQuery{URL: shown.String()}
	walk := &gateWalk{guard: g}
	var first *guard.Request
	for _, name := range a.serversFor(u) {
		r := walk.enter(a.servers()[name], u)
		req, err := g.Parse(r)
		switch {
		case errors.Is(err, guard.ErrPlainHTTP):
			return nil, noRoute(mfa.RoutePlainHTTP, "this is plain http, which is refused everywhere but on localhost, before any policy is asked")
		case err != nil:
			return nil, noRoute(mfa.RouteRefused, "the gate refuses such an address: %w", err)
		case req.Path == "/.mfa" || strings.HasPrefix(req.Path, "/.mfa/"):
			return nil, noRoute(mfa.RouteOwnPage, "this is a page of the gate itself, where no route decides")
		}
		if first == nil {
			first = req
		}
		walk.server = name
		walk.routes(r, req, a.servers()[name].Routes)
		if len(walk.gates) > 0 {
			first = req
			break
		}
	}
	if app, ok := a.heldAt(u.Host); ok && len(walk.gates) == 0 {
		// Another proxy serves it, and asks.
		r := walk.enter(nil, u)
		req, err := g.Parse(r)
		if err != nil {
			return nil, noRoute(mfa.RouteRefused, "the gate refuses such an address: %w", err)
		}
		walk.server, walk.served, walk.console, first = "elsewhere, by protect", true, false, req
		for _, h := range app.handlers {
			walk.handler(r, req, h)
		}
	}
	switch {
	case walk.console && len(walk.gates) == 0:
		return nil, noRoute(mfa.RouteOwnPage, "this is the host of the portal or of a console, where no route decides")
	case first == nil || !walk.served:
		return nil, noRoute(mfa.RouteElsewhere, "nothing of the running configuration answers at that address")
	}
	q.Place, q.Gates, q.Notes = &first.Place, walk.gates, walk.notes
	return q, nil
}

func noRoute(reason mfa.RouteReason, format string, args ...any) error {
	return &mfa.RouteError{Reason: reason, Err: fmt.Errorf(format, args...)}
}

// serversFor returns the names of the servers that listen where the address leads; all of
// them where none does: another proxy stands in front.
func (a *App) serversFor(u *url.URL) []string {
	port := u.Port()
	if port == "" {
		port = map[string]string{"https": "443", "http": "80"}[u.Scheme]
	}
	n, _ := strconv.ParseUint(port, 10, 16)
	var here []string
	servers := a.servers()
	for _, name := range slices.Sorted(maps.Keys(servers)) {
		if slices.ContainsFunc(servers[name].Listen, func(l string) bool {
			at, err := caddy.ParseNetworkAddress(l)
			return err == nil && !at.IsUnixNetwork() && uint(n) >= at.StartPort && uint(n) <= at.EndPort
		}) {
			here = append(here, name)
		}
	}
	if here == nil {
		here = slices.Sorted(maps.Keys(servers))
	}
	return here
}

// gateWalk follows a request along routes.
type gateWalk struct {
	guard  *guard.Guard
	server string
	gates  []mfa.AccessGate
	notes  []mfa.AccessNote
	groups map[string]bool // a route of it has matched already
	ended  bool            // something answers here

	served  bool // there is a handler of whatever kind at the address
	console bool // which is a console
}

// enter makes the request that the server's matchers see.
func (w *gateWalk) enter(s *caddyhttp.Server, u *url.URL) *http.Request {
	w.groups, w.ended = make(map[string]bool), false
	r := &http.Request{
		Method: http.MethodGet, Proto: "HTTP/1.1", ProtoMajor: 1, ProtoMinor: 1, Host: u.Host, RemoteAddr: "127.0.0.1:1",
		URL: &url.URL{Path: u.Path, RawPath: u.RawPath, RawQuery: u.RawQuery}, Header: http.Header{}, Body: http.NoBody,
	}
	r.RequestURI = r.URL.RequestURI()
	if u.Scheme == "https" {
		r.TLS = &tls.ConnectionState{ServerName: u.Hostname(), HandshakeComplete: true}
	}
	return caddyhttp.PrepareRequest(r, caddy.NewReplacer(), nil, s)
}

func (w *gateWalk) note(code mfa.NoteCode, format string, args ...any) {
	note := mfa.AccessNote{Code: code, Text: fmt.Sprintf(format, args...)}
	if !slices.Contains(w.notes, note) {
		w.notes = append(w.notes, note)
	}
}

// routes follows the request along a list of routes, as Caddy does: of one group the
// first that matches counts, and a terminal one is the last.
func (w *gateWalk) routes(r *http.Request, req *guard.Request, list caddyhttp.RouteList) {
	for i := range list {
		route := &list[i]
		if w.ended || route.Group != "" && w.groups[route.Group] {
			continue
		}
		match, err := route.MatcherSets.AnyMatchWithError(r)
		if err != nil {
			w.note(mfa.NoteMatcher, "A matcher of route %d on server %s cannot be asked (%v), and is taken for one that does not match.", i, w.server, err)
			continue
		}
		if !match {
			continue
		}
		if route.Group != "" {
			w.groups[route.Group] = true
		}
		for _, h := range route.Handlers {
			w.handler(r, req, h)
			if w.ended {
				return
			}
		}
		if route.Terminal {
			w.ended = true
		}
	}
}

// enders answer a request, so that what stands behind them is not met.
var enders = []caddy.ModuleID{"http.handlers.reverse_proxy", "http.handlers.static_response", "http.handlers.error", "http.handlers.file_server"}

func (w *gateWalk) handler(r *http.Request, req *guard.Request, h any) {
	switch h := h.(type) {
	case *Handler:
		applies, err := h.applies(r, req.Ambiguous, req.Cut)
		if err != nil {
			w.note(mfa.NoteMatcher, "A matcher of mfa on server %s cannot be asked (%v); a request would fail there.", w.server, err)
			return
		}
		w.served = true
		if applies {
			w.gates = append(w.gates, mfa.AccessGate{Name: h.title() + " (server " + w.server + ")", Bypass: h.Bypass, Route: h.route(r, req.Ambiguous)})
		}
		return
	case *caddyhttp.Subroute:
		w.routes(r, req, h.Routes)
		return
	case *ConsoleHandler, *PortalHandler:
		w.served, w.console, w.ended = true, true, true
		return
	}
	w.served = true
	m, ok := h.(caddy.Module)
	if !ok {
		return
	}
	switch id := m.CaddyModule().ID; {
	case slices.Contains(enders, id):
		w.ended = true
	case id == "http.handlers.rewrite" && len(w.gates) == 0:
		w.note(mfa.NoteRewrite, "A rewrite stands before mfa there. It does not run here, so what is said holds for the address as it was written.")
	}
}

// title is the directive as somebody would look for it in the configuration.
func (h *Handler) title() string {
	words := []string{"mfa"}
	for _, set := range h.matchers {
		for _, m := range set {
			if paths, ok := m.(*caddyhttp.MatchPath); ok {
				words = append(words, (*paths)...)
				continue
			}
			words = append(words, "@…")
		}
	}
	return strings.Join(slices.Compact(words), " ")
}
