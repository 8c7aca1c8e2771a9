package caddymodule

import (
	"errors"
	"fmt"
	"net/http"
	"slices"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/caddyconfig/caddyfile"
	"github.com/caddyserver/caddy/v2/caddyconfig/httpcaddyfile"
	"github.com/caddyserver/caddy/v2/modules/caddyhttp"
)

func init() {
	caddy.RegisterModule(new(ConsoleHandler))
	httpcaddyfile.RegisterDirective("mfa_console", parseConsole)
	httpcaddyfile.RegisterDirectiveOrder("mfa_console", httpcaddyfile.After, "forward_auth")
}

// ConsoleHandler serves the console, where administrators look after people, on a host of
// its own. It answers every request there: the pages of the gate and of the console under
// /.mfa/, the way to the console at /, and that there is nothing anywhere else.
//
// A host with a console carries no app. Pages share the origin of whatever is served on
// their host: an app beside the console, once broken into, would administrate with the
// session of the next administrator who opens it.
type ConsoleHandler struct {
	app     *App
	fronted bool // as Handler.fronted
}

// CaddyModule returns the Caddy module information.
func (*ConsoleHandler) CaddyModule() caddy.ModuleInfo {
	return caddy.ModuleInfo{ID: "http.handlers.mfa_console", New: func() caddy.Module { return new(ConsoleHandler) }}
}

// Provision finds the app, which exists with its defaults where the configuration does not
// name it.
func (h *ConsoleHandler) Provision(ctx caddy.Context) error {
	app, err := ctx.App("mfa")
	if err != nil {
		return fmt.Errorf("finding the app mfa: %w", err)
	}
	h.app = app.(*App)
	h.app.consoles++
	return nil
}

// ServeHTTP answers the request. Nothing behind it is asked.
func (h *ConsoleHandler) ServeHTTP(w http.ResponseWriter, r *http.Request, _ caddyhttp.Handler) error {
	if h.app.serveProbe(w, r, placeConsole, nil) {
		return nil
	}
	h.app.establish(r, h.fronted)
	h.app.serveOwnHost(w, r)
	return nil
}

// parseConsole reads the directive "mfa_console", which stands alone.
func parseConsole(h httpcaddyfile.Helper) ([]httpcaddyfile.ConfigValue, error) {
	handler := new(ConsoleHandler)
	if err := handler.UnmarshalCaddyfile(h.Dispenser); err != nil {
		return nil, err
	}
	return h.NewRoute(nil, handler), nil
}

// UnmarshalCaddyfile reads the directive "mfa_console".
func (*ConsoleHandler) UnmarshalCaddyfile(d *caddyfile.Dispenser) error {
	if !d.Next() {
		return d.ArgErr()
	}
	if d.NextArg() {
		return d.Errf("mfa_console: %q is one word too many; it stands alone, and has its host to itself", d.Val())
	}
	if d.NextBlock(0) {
		return d.Errf("mfa_console: has no options, and %q is one; what is asked of administrators stands in the global options: { mfa { … } }", d.Val())
	}
	return nil
}

// errConsoleShared says that a console does not have its host to itself.
var errConsoleShared = errors.New("mfa_console: stands in a site that serves an app as well. Whoever breaks into the app could administrate with it; give the console a host of its own, for example: console.example.com { mfa_console }")

// checkConsoles refuses a console, and a portal, on a host that serves an app, as far as
// can be seen: within one site, and under one name on one server.
func (a *App) checkConsoles() error {
	for name, s := range a.servers() {
		consoles, apps := make(map[string]error), make(map[string]bool)
		for i := range s.Routes {
			console, app := shared(s.Routes[i].Handlers, s)
			for _, host := range hostsOf(s.Routes[i].MatcherSets) {
				if console != nil {
					consoles[host] = console
				}
				apps[host] = apps[host] || app
			}
			if console != nil && app {
				return fmt.Errorf("server %s, route %d: %w", name, i, console)
			}
		}
		for host, console := range consoles {
			if apps[host] {
				return fmt.Errorf("server %s, host %q: %w", name, host, console)
			}
		}
	}
	return nil
}

// apps are the handlers that hand a request to an app, or are one.
var apps = []caddy.ModuleID{
	"http.handlers.mfa", "http.handlers.reverse_proxy", "http.handlers.file_server", "http.handlers.templates",
	"http.handlers.php", "http.handlers.cgi", "http.handlers.webdav",
}

// shared reports whether an app is among the handlers, or in what they lead to; and, where
// a console or the portal is, what is to be said of an app beside it.
func shared(list []caddyhttp.MiddlewareHandler, s *caddyhttp.Server) (console error, app bool) {
	eachHandler(list, s, func(h caddyhttp.MiddlewareHandler) {
		switch h := h.(type) {
		case *PortalHandler:
			console = errPortalShared
		case *ConsoleHandler:
			console = errConsoleShared
		case caddy.Module:
			app = app || slices.Contains(apps, h.CaddyModule().ID)
		}
	})
	return console, app
}

// eachHandler calls visit with the handlers and with those that they lead to: what is
// hidden in a named route stands in the site all the same.
func eachHandler(list []caddyhttp.MiddlewareHandler, s *caddyhttp.Server, visit func(caddyhttp.MiddlewareHandler)) {
	seen := make(map[string]bool) // named routes may lead to each other
	var look func(list []caddyhttp.MiddlewareHandler)
	look = func(list []caddyhttp.MiddlewareHandler) {
		for _, h := range list {
			switch h := h.(type) {
			case *caddyhttp.Subroute:
				for i := range h.Routes {
					look(h.Routes[i].Handlers)
				}
			case *caddyhttp.Invoke:
				if r := s.NamedRoutes[h.Name]; r != nil && !seen[h.Name] {
					seen[h.Name] = true
					look(r.Handlers)
				}
			default:
				visit(h)
			}
		}
	}
	look(list)
}

// sitesWith are the hosts with a handler of that kind.
func (a *App) sitesWith(kind func(caddyhttp.MiddlewareHandler) bool) []protectedSite {
	var list []protectedSite
	for _, s := range a.servers() {
		for i := range s.Routes {
			found := false
			eachHandler(s.Routes[i].Handlers, s, func(h caddyhttp.MiddlewareHandler) { found = found || kind(h) })
			if !found {
				continue
			}
			for _, host := range hostsOf(s.Routes[i].MatcherSets) {
				list = append(list, protectedSite{host: host, port: portOf(s.Listen, len(s.TLSConnPolicies) > 0), https: len(s.TLSConnPolicies) > 0, proxied: trustsProxies(s)})
			}
		}
	}
	return list
}

// consoleSites are the hosts with a console; the portal is one.
func (a *App) consoleSites() sites {
	list := a.sitesWith(func(h caddyhttp.MiddlewareHandler) bool { _, ok := h.(*ConsoleHandler); return ok })
	portals := a.sitesWith(func(h caddyhttp.MiddlewareHandler) bool { _, ok := h.(*PortalHandler); return ok })
	if a.held != nil && len(a.held.names) > 0 {
		// Where other proxies ask, there is no console under any name but the portal's.
		portals = slices.DeleteFunc(portals, func(at protectedSite) bool { return at.host == "" })
	}
	list = append(list, portals...)
	// The one address that "origin" names is an app's.
	return newSites(&App{InsecureHTTP: a.InsecureHTTP}, list)
}

var (
	_ caddy.Provisioner           = (*ConsoleHandler)(nil)
	_ caddyfile.Unmarshaler       = (*ConsoleHandler)(nil)
	_ caddyhttp.MiddlewareHandler = (*ConsoleHandler)(nil)
)
