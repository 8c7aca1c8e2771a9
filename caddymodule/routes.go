package caddymodule

import (
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"slices"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/modules/caddyhttp"
)

// servers returns the HTTP servers that run beside this app.
func (a *App) servers() map[string]*caddyhttp.Server {
	app, err := a.ctx.AppIfConfigured("http")
	if err != nil {
		return nil
	}
	h, ok := app.(*caddyhttp.App)
	if !ok {
		return nil
	}
	return h.Servers
}

// errShutOut says that the gate's pages cannot be reached.
var errShutOut = errors.New("mfa stands only inside a handle or route whose path matcher shuts /.mfa/* out, so nobody could reach the sign-in page: write mfa beside that block, with the matcher on mfa itself, for example: mfa /admin/*")

// checkRoutes refuses a configuration in which people would be sent to a sign-in
// page that is not there.
func (a *App) checkRoutes() error {
	for name, s := range a.servers() {
		for i := range s.Routes {
			found, reachable := findHandlers(&s.Routes[i], true)
			if found && !reachable {
				return fmt.Errorf("server %s, route %d: %w", name, i, errShutOut)
			}
		}
	}
	return nil
}

// findHandlers reports whether there is a handler of ours below the route, and
// whether a request for one of our pages could come to one.
func findHandlers(r *caddyhttp.Route, open bool) (found, reachable bool) {
	open = open && admitsPages(r.MatcherSets)
	for _, h := range r.Handlers {
		switch h := h.(type) {
		case *Handler:
			found = true
			reachable = reachable || open
		case *caddyhttp.Subroute:
			for i := range h.Routes {
				f, r := findHandlers(&h.Routes[i], open)
				found, reachable = found || f, reachable || r
			}
		}
	}
	return found, reachable
}

// admitsPages reports whether the matchers could let a request for our pages
// through. It judges paths only; any other matcher might.
func admitsPages(sets caddyhttp.MatcherSets) bool {
	if len(sets) == 0 {
		return true
	}
	probe := &http.Request{Method: http.MethodGet, URL: &url.URL{Path: "/.mfa/sign-in"}, Header: http.Header{}}
	probe = caddyhttp.PrepareRequest(probe, caddy.NewReplacer(), nil, nil)
	return slices.ContainsFunc(sets, func(set caddyhttp.MatcherSet) bool {
		for _, m := range set {
			var paths caddyhttp.RequestMatcherWithError
			switch m := m.(type) {
			case *caddyhttp.MatchPath:
				paths = m
			case *caddyhttp.MatchPathRE:
				paths = m
			default:
				continue
			}
			if ok, err := paths.MatchWithError(probe); err == nil && !ok {
				return false
			}
		}
		return true
	})
}
