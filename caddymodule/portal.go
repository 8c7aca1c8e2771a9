package caddymodule

import (
	"errors"
	"fmt"
	"net"
	"net/http"
	"slices"
	"strings"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/caddyconfig/caddyfile"
	"github.com/caddyserver/caddy/v2/caddyconfig/httpcaddyfile"
	"github.com/caddyserver/caddy/v2/modules/caddyhttp"

	"github.com/secondgate/secondgate/forwardauth"
	"github.com/secondgate/secondgate/pages"
)

func init() {
	caddy.RegisterModule(new(PortalHandler))
	httpcaddyfile.RegisterDirective("mfa_portal", parsePortal)
	httpcaddyfile.RegisterDirectiveOrder("mfa_portal", httpcaddyfile.After, "forward_auth")
}

// PortalHandler serves the portal: the one host where people sign in for all protected
// hosts, look after their account, and, where they are administrators, after others. It
// answers every request there, as a console does, and carries no app for the same reason.
//
// With a portal, whoever must sign in, verify or set up something at a protected host is
// sent here and back. There is one portal in a configuration, and it has a name of its
// own, because people are sent to it by that.
type PortalHandler struct {
	// Peers are the other proxies that may ask the portal about requests: addresses,
	// networks, and "unix" for whoever opens a Unix socket that the gateway listens on. The
	// default is this machine. Peers that are named here are also believed in what they say
	// of the connection in front of them when they hand pages on.
	Peers []string `json:"peers,omitempty"`

	// Protect are the hosts that those proxies serve.
	Protect []Protected `json:"protect,omitempty"`

	app *App

	fronted bool // as Handler.fronted
}

// CaddyModule returns the Caddy module information.
func (*PortalHandler) CaddyModule() caddy.ModuleInfo {
	return caddy.ModuleInfo{ID: "http.handlers.mfa_portal", New: func() caddy.Module { return new(PortalHandler) }}
}

// Provision finds the app, which exists with its defaults where the configuration does not
// name it.
func (h *PortalHandler) Provision(ctx caddy.Context) error {
	app, err := ctx.App("mfa")
	if err != nil {
		return fmt.Errorf("finding the app mfa: %w", err)
	}
	h.app = app.(*App)
	h.app.consoles++
	return h.provisionHeld(ctx)
}

// ServeHTTP answers the request. Nothing behind it is asked.
func (h *PortalHandler) ServeHTTP(w http.ResponseWriter, r *http.Request, _ caddyhttp.Handler) error {
	arrived := asArrived(r)
	if dialect, ok := forwardauth.Serves(arrived); ok {
		h.app.establishAsked(r, h.fronted)
		h.ask(w, arrived, dialect)
		return nil
	}
	// Before what a peer says of the connection is believed: whoever may hand pages on need
	// not be one who may say who somebody is.
	h.app.establish(r, h.fronted)
	// Before the host is looked at: that it is another than it should be is to be found out.
	if h.app.serveProbe(w, r, h.placeOf(r), h.believe) {
		return nil
	}
	switch {
	case h.app.held == nil || isHealth(arrived):
	case !h.isOwnName(r.Host):
		h.serveHeld(w, arrived)
		return nil
	default:
		h.believe(r)
	}
	h.app.serveOwnHost(withSubdomains{w}, r)
	return nil
}

// isOwnName reports whether a host is the portal's name.
func (h *PortalHandler) isOwnName(host string) bool {
	if name, _, err := net.SplitHostPort(host); err == nil {
		host = name
	}
	return strings.EqualFold(strings.TrimSuffix(host, "."), hostOf(h.app.portal))
}

// withSubdomains has browsers use https for the hosts below the portal's name as well. On
// the host of an app that is not ours to decide; below the portal's there is nothing.
type withSubdomains struct{ http.ResponseWriter }

// WriteHeader adds it where the answer says to use https at all.
func (w withSubdomains) WriteHeader(status int) {
	if h := w.Header(); h.Get(strictTransport) != "" {
		h.Set(strictTransport, "max-age=31536000; includeSubDomains")
	}
	w.ResponseWriter.WriteHeader(status)
}

// Unwrap lets http.ResponseController reach the writer below.
func (w withSubdomains) Unwrap() http.ResponseWriter { return w.ResponseWriter }

const strictTransport = "Strict-Transport-Security"

// parsePortal reads the directive
//
//	mfa_portal {
//		peers   ADDRESS|NETWORK|unix…
//		protect HOST… {
//			mfa [MATCHER] {
//				…
//			}
//		}
//	}
func parsePortal(h httpcaddyfile.Helper) ([]httpcaddyfile.ConfigValue, error) {
	handler := new(PortalHandler)
	if err := handler.unmarshal(h.Dispenser, &h); err != nil {
		return nil, err
	}
	return h.NewRoute(nil, handler), nil
}

// UnmarshalCaddyfile reads the directive "mfa_portal" without named matchers.
func (h *PortalHandler) UnmarshalCaddyfile(d *caddyfile.Dispenser) error { return h.unmarshal(d, nil) }

func (h *PortalHandler) unmarshal(d *caddyfile.Dispenser, helper *httpcaddyfile.Helper) error {
	if !d.Next() {
		return d.ArgErr()
	}
	b := &block{Dispenser: d, name: "mfa_portal", first: d.Token(), seen: make(map[string]caddyfile.Token)}
	if d.NextArg() {
		return d.Errf("mfa_portal: %q is one word too many; it has its host to itself", d.Val())
	}
	return b.each(h.parsers(b, helper))
}

// parsers are the options of the directive.
func (h *PortalHandler) parsers(b *block, helper *httpcaddyfile.Helper) map[string]func() error {
	return map[string]func() error{
		"peers": func() error {
			if err := b.words(&h.Peers, "peers 10.0.0.5 10.1.0.0/16"); err != nil {
				return err
			}
			_, err := forwardauth.ParsePeers(h.Peers)
			return b.at(err)
		},
		"protect": func() error { return h.parseProtect(b, helper) },
	}
}

// What is wrong with where a portal stands.
var (
	errPortalShared  = errors.New("mfa_portal: stands in a site that serves an app as well. Whoever breaks into the app could act there for everybody who signs in; give the portal a host of its own, for example: auth.example.com { mfa_portal }")
	errPortalTwice   = errors.New("mfa_portal: stands in more than one place, and there is one portal for all protected hosts; keep one of them")
	errPortalUnnamed = errors.New("mfa_portal: stands in a site without a name of its own, and people are sent to it by its name; write for example: auth.example.com { mfa_portal }")
)

// findPortal sets the address of the portal, where there is one, or says what is wrong
// with where it stands.
func (a *App) findPortal() error {
	list := a.sitesWith(func(h caddyhttp.MiddlewareHandler) bool { _, ok := h.(*PortalHandler); return ok })
	unnamed := func(at protectedSite) bool { return at.host == "" || strings.ContainsAny(at.host, "*{") }
	// At an address without a name other proxies ask, and people are not sent there.
	if slices.ContainsFunc(list, unnamed) && (!slices.ContainsFunc(list, func(at protectedSite) bool { return !unnamed(at) }) || a.held == nil || len(a.held.names) == 0) {
		return errPortalUnnamed
	}
	list = slices.DeleteFunc(list, unnamed)
	found := newSites(&App{InsecureHTTP: a.InsecureHTTP}, list).origins
	switch len(found) {
	case 0:
		return nil
	case 1:
		a.portal = found[0]
		return nil
	}
	slices.Sort(found)
	return fmt.Errorf("%w: %s", errPortalTwice, strings.Join(found, ", "))
}

// portalPages is what the pages know of the portal; nil where there is none.
func (a *App) portalPages() *pages.Portal {
	if a.portal == "" {
		return nil
	}
	s := a.sites() // they are known when the configuration starts
	return &pages.Portal{Origin: a.portal, Serves: func(origin string) bool { return s.serves(a, origin) }}
}

var (
	_ caddy.Provisioner           = (*PortalHandler)(nil)
	_ caddyfile.Unmarshaler       = (*PortalHandler)(nil)
	_ caddyhttp.MiddlewareHandler = (*PortalHandler)(nil)
)
