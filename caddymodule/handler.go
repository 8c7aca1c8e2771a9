package caddymodule

import (
	"crypto/rand"
	"fmt"
	"net"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/modules/caddyhttp"

	"github.com/secondgate/secondgate/forwardauth"
	"github.com/secondgate/secondgate/guard"
	"github.com/secondgate/secondgate/mfa"
)

func init() {
	caddy.RegisterModule(new(Handler))
}

// Handler stands in front of an app. It serves the gate's own pages under
// /.mfa/, takes identity headers and the gate's cookies out of every request,
// and lets those requests that it matches pass only for people who have met the
// policy and what this handler asks beyond it.
//
// Several of them on one request add up: each must be met. The matcher belongs
// to the handler rather than to the route around it, because a path that two
// readers could understand differently ("/admin;x", "//admin", "/a%2fb") slips
// by a matcher. Here such a request is taken as matched by everything that
// protects and by nothing that does not.
type Handler struct {
	// MatcherSetsRaw says which requests are checked. The default is all.
	// Requests that do not match are not checked, but carry no identity either.
	MatcherSetsRaw caddyhttp.RawMatcherSets `json:"match,omitempty" caddy:"namespace=http.matchers"`

	// Factors, if set, are the only second factors that count here.
	Factors []string `json:"factors,omitempty"`

	// Fresh asks for a proof that is at most so old; one minute or more.
	Fresh caddy.Duration `json:"fresh,omitempty"`

	// PhishingResistant asks for a passkey.
	PhishingResistant bool `json:"phishing_resistant,omitempty"`

	// Bypass lets what it matches pass without a check, past the handlers after
	// it that ask nothing beyond the policy. It needs a matcher. It lifts none
	// that asks for something of its own.
	Bypass bool `json:"bypass,omitempty"`

	// Organization is whose route this is: only its members may pass, and its policy
	// holds beside the gateway's. It may have placeholders in it, for example
	// "{http.request.host.labels.2}"; what comes out of them names an organization, or
	// nobody may pass.
	Organization string `json:"organization,omitempty"`

	// AppTokens lets programs come with an app token in place of a session: as the
	// password of Authorization: Basic, or as a Bearer. A token stands for a second
	// factor where one is required, and never for Fresh, PhishingResistant or Factors.
	AppTokens bool `json:"app_tokens,omitempty"`

	app      *App
	need     mfa.Requirement
	matchers caddyhttp.MatcherSets

	fronted bool // a forward_auth before it sets the headers of established identities

	placeholder bool // Organization has one in it
	ofHost      bool // … and all of them are of the host, so that the path is not in it
}

// CaddyModule returns the Caddy module information.
func (*Handler) CaddyModule() caddy.ModuleInfo {
	return caddy.ModuleInfo{ID: "http.handlers.mfa", New: func() caddy.Module { return new(Handler) }}
}

// Provision finds the app, which exists with its defaults where the
// configuration does not name it, and checks the requirement against it.
func (h *Handler) Provision(ctx caddy.Context) error {
	app, err := ctx.App("mfa")
	if err != nil {
		return fmt.Errorf("finding the app mfa: %w", err)
	}
	h.app = app.(*App)
	h.app.handlers++
	if err := h.check(h.app, h.app.policy); err != nil {
		return err
	}
	if h.Organization != "" && !h.placeholder {
		h.app.named = append(h.app.named, mfa.OrganizationID(h.Organization))
	}
	sets, err := ctx.LoadModule(h, "MatcherSetsRaw")
	if err != nil {
		return fmt.Errorf("loading the matchers: %w", err)
	}
	if err := h.matchers.FromInterface(sets); err != nil {
		return fmt.Errorf("loading the matchers: %w", err)
	}
	if h.Bypass {
		return checkBypass(h.matchers)
	}
	withoutSlash(h.matchers)
	return nil
}

// checkBypass refuses matchers that open more than their writer can mean: a regular
// expression that may begin anywhere, and whatever lets a path through that nobody
// has ever named (AC-201).
func checkBypass(sets caddyhttp.MatcherSets) error {
	for _, set := range sets {
		for _, m := range set {
			if re, ok := m.(*caddyhttp.MatchPathRE); ok && !strings.HasPrefix(re.Pattern, "^") {
				return fmt.Errorf("bypass: path_regexp %q may begin anywhere in a path, and so opens more than it names; begin it with ^, for example: path_regexp ^/assets/", re.Pattern)
			}
		}
	}
	path := "/" + rand.Text() + "/" + rand.Text()
	probe := &http.Request{Method: http.MethodGet, URL: &url.URL{Path: path}, RequestURI: path, Host: "localhost", Header: http.Header{}}
	probe = caddyhttp.PrepareRequest(probe, caddy.NewReplacer(), nil, nil)
	open, err := sets.AnyMatchWithError(probe)
	if err != nil {
		return fmt.Errorf("bypass: trying the matchers on %s: %w", path, err)
	}
	if open {
		return fmt.Errorf("bypass: opens every path, such as %s; write which part: mfa /public/* { bypass }", path)
	}
	return nil
}

// check sets the requirement, or says what is wrong and what to write instead.
func (h *Handler) check(a *App, p mfa.Policy) error {
	if h.Bypass {
		switch {
		case len(h.MatcherSetsRaw) == 0:
			return fmt.Errorf("bypass: would open the whole site; write which part: mfa /public/* { bypass }")
		case h.Factors != nil || h.Fresh != 0 || h.PhishingResistant || h.Organization != "" || h.AppTokens:
			return fmt.Errorf("bypass: asks nothing, so nothing can be asked beside it; remove it, or remove the rest")
		}
		return nil
	}
	need, err := a.requirement(p, h.Factors, time.Duration(h.Fresh), h.PhishingResistant)
	if err != nil {
		return err
	}
	if h.AppTokens && !programsCan(need) {
		return fmt.Errorf("app_tokens: a program proves nothing anew, so it can never meet fresh, phishing_resistant or factors; remove app_tokens here, or give programs a path of their own: mfa /api/* { app_tokens }")
	}
	h.need = need
	h.placeholder = strings.Contains(h.Organization, "{")
	h.ofHost = strings.Count(h.Organization, "{") == strings.Count(h.Organization, "{http.request.host")
	if h.Organization != "" && !h.placeholder {
		if _, err := mfa.ParseOrganizationID(h.Organization); err != nil {
			return err
		}
	}
	return nil
}

// ServeHTTP passes the request on to the app, or answers it.
func (h *Handler) ServeHTTP(w http.ResponseWriter, r *http.Request, next caddyhttp.Handler) error {
	w, r, err := h.admit(w, r)
	if err != nil || r == nil {
		return err
	}
	return next.ServeHTTP(w, r)
}

// admit returns what the app may see of the request. A nil request means that it
// was answered. The store is held open for no longer than this takes: a request
// may go on in the app for hours.
func (h *Handler) admit(w http.ResponseWriter, r *http.Request) (http.ResponseWriter, *http.Request, error) {
	arrived := asArrived(r)
	if isHealth(arrived) {
		h.app.serveHealth(w, arrived)
		return w, nil, nil
	}
	if h.app.serveProbe(w, r, placeApp, nil) {
		return w, nil, nil
	}
	v, err := h.app.enter(r.Context())
	if err != nil {
		h.app.unavailable(w, r)
		return w, nil, nil
	}
	defer v.leave()
	g := v.guard
	h.app.establish(r, h.fronted)

	req, ok := h.app.glance(v, v.pages, w, arrived)
	if !ok {
		return w, nil, nil
	}
	ambiguous, cut := req.Ambiguous, req.Cut
	if arrived != r {
		// A rewrite ran before us. The matchers look at the new path, as the app
		// will; it can be read in two ways as well as the old one.
		rewritten, err := g.Glance(r)
		if err != nil {
			h.app.reject(g, w, arrived, err)
			return w, nil, nil
		}
		ambiguous, cut = ambiguous || rewritten.Ambiguous, cut || rewritten.Cut
	}
	if h.app.serveOwn(v, v.pages, w, arrived, &req) {
		return w, nil, nil
	}
	if arrived == r {
		w, r = g.StripSeen(w, r, &req)
	} else {
		w, r = g.Strip(w, r)
	}
	applies, err := h.applies(r, ambiguous, cut)
	switch {
	case err != nil:
		return w, nil, fmt.Errorf("matching the request: %w", err)
	case !applies:
		return w, r, nil
	case h.Bypass:
		h.app.decided(r, req.Host, guard.ViewFrom(r.Context()), mfa.Decision{Action: mfa.Allow, Reason: mfa.ReasonBypass}, true, forwardauth.None)
		guard.Pass(r.Context())
		return w, r, nil
	case h.plain() && guard.Passed(r.Context()):
		return w, r, nil
	}
	checked, span := traceDecision(r)
	allowed := g.Check(w, checked, h.route(r, ambiguous))
	d := guard.DecisionFrom(r.Context())
	span.end(d, allowed)
	h.app.decided(r, req.Host, guard.ViewFrom(r.Context()), d, allowed, forwardauth.None)
	if !allowed {
		return w, nil, nil
	}
	return w, r, nil
}

// plain reports whether the handler asks nothing beyond the policy: a bypass lifts it.
func (h *Handler) plain() bool { return h.need.Zero() && h.Organization == "" }

// route returns what this handler asks of the request, whose path may be one that can
// be read in two ways.
func (h *Handler) route(r *http.Request, ambiguous bool) mfa.Route {
	route := mfa.Route{Need: h.need, Organization: mfa.OrganizationID(h.Organization), AppTokens: h.takesTokens()}
	if !h.placeholder {
		return route
	}
	route.Organization = nobodys
	switch host, _, err := net.SplitHostPort(r.Host); {
	case strings.HasSuffix(r.Host, "."), err == nil && strings.HasSuffix(host, "."):
		// The app serves the same host without the dot, but Caddy counts labels from
		// it: "labels.2" of "acme.example.com." is "example".
		return route
	case ambiguous && !h.ofHost:
		return route // the app may find another organization's name in the path
	}
	if repl, ok := r.Context().Value(caddy.ReplacerCtxKey).(*caddy.Replacer); ok {
		// A placeholder that is empty or unknown must not open the route to everybody.
		name, err := repl.ReplaceOrErr(h.Organization, true, true)
		if id, bad := mfa.ParseOrganizationID(strings.ToLower(name)); err == nil && bad == nil {
			route.Organization = id
		}
	}
	return route
}

// nobodys is an organization that cannot be.
const nobodys mfa.OrganizationID = "?"

// applies reports whether the handler's part is meant. A path that can be read
// in two ways matches whatever protects and never a bypass: so it can only become
// more protected (AC-072, AC-077). cut says that some would read a shorter one,
// which a bypass must not rely on either.
func (h *Handler) applies(r *http.Request, ambiguous, cut bool) (bool, error) {
	switch {
	case len(h.matchers) == 0:
		return true, nil
	case ambiguous:
		return !h.Bypass, nil
	case cut && h.Bypass:
		return false, nil
	}
	match, err := h.matchers.AnyMatchWithError(r)
	if match || err != nil || !cut {
		return match, err
	}
	// … and what would protect the shorter path protects this one.
	shorter, path := *r, *r.URL
	path.Path, path.RawPath = path.Path[:strings.IndexAny(path.Path+"#", "#?")], ""
	shorter.URL = &path
	return h.matchers.AnyMatchWithError(&shorter)
}

// withoutSlash adds to what protects "/admin/*" that it protects "/admin": many apps
// serve both alike.
func withoutSlash(sets caddyhttp.MatcherSets) {
	for _, set := range sets {
		for _, m := range set {
			paths, ok := m.(*caddyhttp.MatchPath)
			if !ok {
				continue
			}
			for _, pattern := range *paths {
				if bare, ok := strings.CutSuffix(pattern, "/*"); ok && bare != "" && !slices.Contains(*paths, bare) {
					*paths = append(*paths, bare)
				}
			}
		}
	}
}

// peer tells the guard what Caddy knows of the other end. X-Forwarded-For is
// never read here: Caddy does, and believes only the configured proxies.
func peer(r *http.Request) guard.Peer {
	p := guard.Peer{TLS: r.TLS != nil}
	// One walk along the context rather than one for each variable.
	vars, _ := r.Context().Value(caddyhttp.VarsCtxKey).(map[string]any)
	p.Client, _ = vars[caddyhttp.ClientIPVarKey].(string)
	if trusted, _ := vars[caddyhttp.TrustedProxyVarKey].(bool); trusted {
		p.TrustedProxy = true
		// A proxy that adds its line to the client's leaves two, and the first is
		// the client's invention.
		if lines := r.Header["X-Forwarded-Proto"]; len(lines) == 1 {
			p.Proto = lines[0]
		}
	}
	if orig, ok := r.Context().Value(caddyhttp.OriginalRequestCtxKey).(http.Request); ok {
		p.Target = orig.RequestURI
	}
	return p
}

var (
	_ caddy.Provisioner           = (*Handler)(nil)
	_ caddyhttp.MiddlewareHandler = (*Handler)(nil)
)
