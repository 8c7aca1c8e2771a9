package caddymodule

import (
	"slices"
	"strings"

	"github.com/caddyserver/caddy/v2/modules/caddyhttp"

	"github.com/secondgate/secondgate/mfa"
)

// programsCan reports whether a program with an app token could ever meet what a route
// asks.
func programsCan(need mfa.Requirement) bool {
	need.Required = false
	return need.Zero()
}

// admitsPrograms reports whether the handler takes app tokens and asks nothing that they
// cannot meet.
func (h *Handler) admitsPrograms() bool { return h.takesTokens() && programsCan(h.need) }

// takesTokens reports whether programs may come with an app token.
func (h *Handler) takesTokens() bool {
	return !h.Bypass && (h.AppTokens || h.app.AppTokens)
}

// appHosts returns the hosts of which at least one route takes app tokens, as browsers
// write them, with the one that is asked from where that is one: a site that answers to
// "*.example.com", or to any host, has no list. Those behind other proxies are among them;
// the portal, which has no app, is not.
func (a *App) appHosts(here string) []string {
	var list []protectedSite
	for _, s := range a.servers() {
		for i := range s.Routes {
			if !takesTokens(&s.Routes[i]) {
				continue
			}
			for _, host := range hostsOf(s.Routes[i].MatcherSets) {
				list = append(list, protectedSite{host: host, port: portOf(s.Listen, len(s.TLSConnPolicies) > 0), https: len(s.TLSConnPolicies) > 0, proxied: trustsProxies(s)})
			}
		}
	}
	if a.held != nil {
		list = append(list, a.held.tokens...)
	}
	if len(list) == 0 {
		return nil
	}
	found := newSites(a, list)
	var hosts []string
	for _, origin := range found.origins {
		_, host, _ := strings.Cut(origin, "://")
		hosts = append(hosts, host)
	}
	if here != "" && found.has(here) && !strings.HasSuffix(a.portal, "://"+here) {
		hosts = append(hosts, here)
	}
	slices.Sort(hosts)
	return slices.Compact(hosts)
}

// takesTokens reports whether a handler below the route takes app tokens and asks nothing
// that they cannot meet.
func takesTokens(r *caddyhttp.Route) bool {
	return slices.ContainsFunc(r.Handlers, func(h caddyhttp.MiddlewareHandler) bool {
		switch h := h.(type) {
		case *Handler:
			return h.admitsPrograms()
		case *caddyhttp.Subroute:
			for i := range h.Routes {
				if takesTokens(&h.Routes[i]) {
					return true
				}
			}
		}
		return false
	})
}
