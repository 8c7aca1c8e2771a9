package caddymodule

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strings"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/modules/caddyhttp"
	"github.com/caddyserver/caddy/v2/modules/caddyhttp/headers"
	"github.com/caddyserver/caddy/v2/modules/caddyhttp/reverseproxy"
	"github.com/caddyserver/caddy/v2/modules/caddytls"
	"go.uber.org/zap"

	"github.com/secondgate/secondgate/guard"
	"github.com/secondgate/secondgate/identity/proxied"
	"github.com/secondgate/secondgate/mfa"
)

// establishedVar is the variable of a request that keeps who was established before the
// first of our handlers. It is asked once: that handler sets {http.auth.user.id} to the
// user of our own session, which the next one must not take for somebody else's word.
const establishedVar = "mfa.established"

// established is the type of that variable, which nobody else can make.
type established struct{ mfa.Claim }

// establish finds out who was established before the gate, at the first of our handlers
// that the request meets. fronted says that a forward_auth stands before the handler which
// sets the headers itself.
func (a *App) establish(r *http.Request, fronted bool) {
	if a.proxied == nil {
		return
	}
	vars, ok := r.Context().Value(caddyhttp.VarsCtxKey).(map[string]any)
	if !ok {
		return // nobody: establishedBefore finds nothing
	}
	if _, known := vars[establishedVar].(established); known {
		return
	}
	trusted, _ := vars[caddyhttp.TrustedProxyVarKey].(bool)
	vars[establishedVar] = established{a.proxied.claim(r, trusted || fronted)}
}

// establishAsked is establish for the question of another proxy. The connection is that
// proxy's, and so may be a name in a certificate and whom an authenticator has let in: they
// say nothing of whom the proxy asks about. A header does, from a proxy that is trusted with
// it by trusted_proxies; being one of "peers" is not enough, for that proxy may hand on
// whatever its clients write (AC-184).
func (a *App) establishAsked(r *http.Request, fronted bool) {
	if a.proxied == nil || a.proxied.Header != "" {
		a.establish(r, fronted)
		return
	}
	if vars, ok := r.Context().Value(caddyhttp.VarsCtxKey).(map[string]any); ok {
		vars[establishedVar] = established{}
	}
}

// establishedBefore returns what establish has found.
func establishedBefore(r *http.Request) mfa.Claim {
	vars, _ := r.Context().Value(caddyhttp.VarsCtxKey).(map[string]any)
	e, _ := vars[establishedVar].(established)
	return e.Claim
}

// claim returns the identity that was established for the request; the zero value is
// nobody's. Headers count with believed alone, and are taken out of the request
// otherwise, so that no app behind us believes them either.
func (s *ProxiedIdentity) claim(r *http.Request, believed bool) mfa.Claim {
	var c mfa.Claim
	switch {
	case s.Header != "":
		if !believed {
			for _, name := range s.headers {
				delete(r.Header, name)
			}
			return mfa.Claim{}
		}
		for i, to := range []*string{&c.Subject, &c.Email, &c.DisplayName, &c.Groups} {
			*to = only(r.Header, s.headers[i])
		}
		if strings.Contains(c.Subject, ",") {
			return mfa.Claim{} // two lines that somebody has joined
		}
	case s.ClientCertificate != "":
		c.Subject = certified(r, s.ClientCertificate)
		if s.ClientCertificate == "san_email" {
			c.Email = c.Subject
		}
	default:
		repl, ok := r.Context().Value(caddy.ReplacerCtxKey).(*caddy.Replacer)
		if !ok {
			return mfa.Claim{}
		}
		c.Subject, c.Email = known(repl, s.user), known(repl, s.email)
		c.DisplayName, c.Groups = known(repl, s.displayName), known(repl, s.groups)
	}
	if !proxied.Somebody(c.Subject) {
		return mfa.Claim{}
	}
	c.Source = s.name()
	return c
}

// known returns the value of a placeholder that somebody has set, or "".
func known(repl *caddy.Replacer, name string) string {
	if name == "" {
		return ""
	}
	v, _ := repl.Get(name)
	text, _ := v.(string)
	return text
}

// only returns the value of a header that stands there once, or "". Of two lines one is
// somebody else's (AC-184).
func only(h http.Header, name string) string {
	if lines := h[name]; name != "" && len(lines) == 1 {
		return lines[0]
	}
	return ""
}

// certificateNames are what of a client certificate can name its owner.
var certificateNames = []string{"subject_cn", "san_email", "subject", "fingerprint"}

// certified returns whom the client's certificate names, or "" where no authority has
// vouched for it: a server may ask for certificates and take any.
func certified(r *http.Request, what string) string {
	if r.TLS == nil || !r.TLS.HandshakeComplete || len(r.TLS.VerifiedChains) == 0 || len(r.TLS.PeerCertificates) == 0 {
		return ""
	}
	cert := r.TLS.PeerCertificates[0]
	switch what {
	case "subject_cn":
		return cert.Subject.CommonName
	case "san_email":
		if len(cert.EmailAddresses) == 1 {
			return cert.EmailAddresses[0]
		}
	case "subject":
		return cert.Subject.String()
	case "fingerprint":
		sum := sha256.Sum256(cert.Raw)
		return hex.EncodeToString(sum[:])
	}
	return ""
}

// findProxied sets the source of established identities, of which there can be one: of two
// that say different things, which one is at the browser?
func (a *App) findProxied() error {
	for _, s := range a.sources {
		p, ok := s.module.(*ProxiedIdentity)
		if !ok {
			continue
		}
		if a.proxied != nil {
			return fmt.Errorf("identity: %s and %s are both proxied, and who is established can be one person alone; keep one of them", a.proxied.name(), p.name())
		}
		a.proxied = p
	}
	return nil
}

// guardClaims adds to a guard's configuration what it needs to know of established
// identities.
func (a *App) guardClaims(cfg *guard.Config, end func(context.Context, mfa.SessionID) error) {
	if a.proxied == nil {
		return
	}
	cfg.Established, cfg.ClaimSource, cfg.End = establishedBefore, a.proxied.name(), end
	cfg.OnlyClaims = len(a.sources) == 1 && !a.hasLocal()
}

// checkEstablished looks what stands before each handler of ours. A header that anybody
// could have sent refuses the configuration (AC-184); where nobody can ever be established
// it warns (AC-183).
func (a *App) checkEstablished() error {
	if a.proxied == nil {
		return nil
	}
	possible := false
	for name, s := range a.servers() {
		w := fronts{header: a.proxied.headers[0]}
		w.routes(s.Routes, front{})
		if len(w.handlers) == 0 {
			continue
		}
		asks := slices.ContainsFunc(s.TLSConnPolicies, func(p *caddytls.ConnectionPolicy) bool { return p != nil && p.ClientAuthentication != nil })
		switch {
		case a.proxied.Header != "":
			possible = true
			for _, f := range w.handlers {
				if !f.sets && !trustsProxies(s) {
					return fmt.Errorf("server %s: %w", name, errAnybodysHeader(a.proxied.Header))
				}
			}
		case a.proxied.ClientCertificate != "":
			possible = possible || asks
		default:
			possible = possible || slices.ContainsFunc(w.handlers, func(f front) bool { return f.authenticates })
		}
	}
	if a.held != nil && len(a.held.names) > 0 && a.proxied.Header == "" {
		a.logger.Warn("nobody is established for hosts behind other proxies (protect), so whom identity proxied has signed in is asked to sign in anew there; let a trusted proxy say it: identity proxied { header X-Auth-User }",
			zap.String("source", a.proxied.name()))
	}
	if possible || a.handlers+a.consoles == 0 {
		return nil
	}
	text := "nobody can be established before mfa, so identity proxied signs nobody in: no authenticator stands before it; write one in each site, for example: basic_auth { alice HASH }"
	if a.proxied.ClientCertificate != "" {
		text = "nobody can be established before mfa, so identity proxied signs nobody in: no site asks for client certificates; write in the site: tls { client_auth { mode require_and_verify; trust_pool file ca.pem } }"
	}
	a.logger.Warn(text, zap.String("source", a.proxied.name()))
	return nil
}

func errAnybodysHeader(name string) error {
	return errors.New("identity proxied: header " + name + " could be sent by anybody there. Say which proxies send it: servers { trusted_proxies static 10.0.0.0/8 }, or write a forward_auth without a matcher before each mfa, with: copy_headers " + name)
}

// front is what stands before a handler.
type front struct {
	authenticates bool // something may have established somebody
	sets          bool // whatever header the client sends, it is replaced
}

// fronts finds what stands before each handler of ours.
type fronts struct {
	header   string
	handlers []front
}

// routes follows a list of routes and returns what stands before whatever comes after
// them: what has a matcher, or is one of a group, may be passed by.
func (w *fronts) routes(list caddyhttp.RouteList, before front) front {
	for i := range list {
		route := &list[i]
		here := before
		for _, h := range route.Handlers {
			switch h := h.(type) {
			case *Handler:
				h.fronted = here.sets
				w.handlers = append(w.handlers, here)
			case *ConsoleHandler:
				h.fronted = here.sets
				w.handlers = append(w.handlers, here)
			case *PortalHandler:
				h.fronted = here.sets
				w.handlers = append(w.handlers, here)
			case *caddyhttp.Subroute:
				here = w.routes(h.Routes, here)
			case *reverseproxy.Handler:
				here.sets = here.sets || w.replaces(h)
			case caddy.Module:
				here.authenticates = here.authenticates || h.CaddyModule().ID == "http.handlers.authentication"
			}
		}
		before.authenticates = before.authenticates || here.authenticates
		if len(route.MatcherSets) == 0 && len(route.MatcherSetsRaw) == 0 && route.Group == "" {
			before.sets = before.sets || here.sets
		}
	}
	return before
}

// replaces reports whether a reverse_proxy is a forward_auth that deletes the client's
// header whatever was answered. Caddy's does since 2.11.2, where copy_headers names it.
func (w *fronts) replaces(h *reverseproxy.Handler) bool {
	if w.header == "" || len(h.HandleResponse) == 0 {
		return false
	}
	for _, answer := range h.HandleResponse {
		if answer.StatusCode == "" && !slices.ContainsFunc(answer.Routes, w.deletes) {
			return false
		}
	}
	return true
}

func (w *fronts) deletes(route caddyhttp.Route) bool {
	return len(route.MatcherSets) == 0 && slices.ContainsFunc(route.Handlers, func(h caddyhttp.MiddlewareHandler) bool {
		ops, ok := h.(*headers.Handler)
		return ok && ops.Request != nil && slices.ContainsFunc(ops.Request.Delete, func(name string) bool {
			return http.CanonicalHeaderKey(name) == w.header
		})
	})
}
