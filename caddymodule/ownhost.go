package caddymodule

import (
	"errors"
	"net/http"
	"strings"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/modules/caddyhttp"
	"go.uber.org/zap"

	"github.com/secondgate/secondgate/api"
	"github.com/secondgate/secondgate/forwardauth"
	"github.com/secondgate/secondgate/guard"
	"github.com/secondgate/secondgate/internal/related"
	"github.com/secondgate/secondgate/internal/web"
	"github.com/secondgate/secondgate/mfa"
	"github.com/secondgate/secondgate/session"
)

// What the gate itself serves, at whatever host: of an app, of an app behind another proxy,
// of the portal, of a console.

// asArrived returns the request as the browser sent it: r itself where nothing
// was rewritten. A site may rewrite every path ("try_files {path} /index.html")
// before it comes to us, and our pages must still be found.
func asArrived(r *http.Request) *http.Request {
	orig, ok := r.Context().Value(caddyhttp.OriginalRequestCtxKey).(http.Request)
	if !ok || orig.URL == nil || orig.URL.Path == r.URL.Path && orig.URL.RawPath == r.URL.RawPath && orig.URL.RawQuery == r.URL.RawQuery {
		return r
	}
	as := *r
	as.URL, as.RequestURI, as.Method = orig.URL, orig.RequestURI, orig.Method
	return &as
}

// glance returns what is to be known of a request before anything is decided, or answers it
// and returns false where there is nothing to decide. pages are those of the host.
func (a *App) glance(v visit, pages http.Handler, w http.ResponseWriter, arrived *http.Request) (guard.Request, bool) {
	req, err := v.guard.Glance(arrived)
	switch {
	case err == nil:
		return req, true
	case errors.Is(err, guard.ErrPlainHTTP) && strings.HasPrefix(arrived.URL.Path, assetPath):
		// What the page that says so looks like; nothing in it is anybody's.
		pages.ServeHTTP(guard.Plain(w), arrived)
	default:
		a.reject(v.guard, w, arrived, err)
	}
	return req, false
}

// assetPath is where the style sheet and the pictures of our pages are.
const assetPath = "/.mfa/assets/"

// serveOwn answers a request for something of the gate's own, and reports whether it was one.
func (a *App) serveOwn(v visit, pages http.Handler, w http.ResponseWriter, arrived *http.Request, req *guard.Request) bool {
	switch {
	case isKeySet(arrived):
		v.serveKeySet(w, arrived)
	case req.Path == "/.mfa" || strings.HasPrefix(req.Path, web.Prefix):
		a.page(pages, w, arrived, req)
	case a.servesRelated(arrived, req):
		serveRelated(w, a.RelatedOrigins)
	default:
		return false
	}
	return true
}

// serveOwnHost answers a request to a host that carries no app: of a console, or of the
// portal. Nothing but the gate is there.
func (a *App) serveOwnHost(w http.ResponseWriter, r *http.Request) {
	arrived := asArrived(r)
	if isHealth(arrived) {
		a.serveHealth(w, arrived)
		return
	}
	v, err := a.enter(r.Context())
	if err != nil {
		a.unavailable(w, r)
		return
	}
	defer v.leave()
	req, ok := a.glance(v, v.console, w, arrived)
	if ok && !a.serveOwn(v, v.console, w, arrived, &req) {
		a.page(v.console, w, arrived, &req)
	}
}

// reject answers a request that cannot be made canonical. Plain http is logged as
// the refusal that it is: the rest are requests that no browser makes.
func (a *App) reject(g *guard.Guard, w http.ResponseWriter, r *http.Request, err error) {
	level := zap.DebugLevel
	if errors.Is(err, guard.ErrPlainHTTP) {
		level = zap.InfoLevel
	}
	if entry := a.logger.Check(level, "refused"); entry != nil {
		entry.Write(zap.String("reason", err.Error()), zap.String("host", r.Host))
	}
	g.Reject(guard.Plain(w), r, err)
}

// page serves one of our pages, and logs it where the page is a refusal: a form
// that does not come from our page, enrollment that is closed, a decision that
// says no. Strangers who are sent to sign in are not refused.
func (a *App) page(pages http.Handler, w http.ResponseWriter, r *http.Request, req *guard.Request) {
	seen := &statusWriter{ResponseWriter: guard.Plain(w)}
	traced, span := tracePage(r)
	pages.ServeHTTP(seen, traced)
	if span != nil {
		endSpan(span, seen.status >= http.StatusInternalServerError)
	}
	level := zap.DebugLevel
	if seen.status == http.StatusForbidden || seen.status == http.StatusUnsupportedMediaType {
		level = zap.InfoLevel
	}
	if seen.status < 400 {
		return
	}
	if entry := a.logger.Check(level, "refused"); entry != nil {
		entry.Write(zap.String("reason", "page"), zap.Int("status", seen.status), zap.String("method", r.Method),
			zap.String("page", req.Path), zap.String("host", req.Host))
	}
}

// statusWriter remembers the status of an answer.
type statusWriter struct {
	http.ResponseWriter
	status int
}

// WriteHeader passes the status on.
func (w *statusWriter) WriteHeader(status int) {
	w.status = status
	w.ResponseWriter.WriteHeader(status)
}

// Unwrap lets http.ResponseController reach the writer below.
func (w *statusWriter) Unwrap() http.ResponseWriter { return w.ResponseWriter }

// decided counts a decision, tells Caddy's access log and placeholders who was let through,
// as Caddy's own authentication does, and writes the line at debug that each judged request
// has, which costs nothing where nobody listens.
func (a *App) decided(r *http.Request, host string, view *session.View, d mfa.Decision, allowed bool, askedBy forwardauth.Dialect) {
	counted.decisions.count(d, allowed, r.RemoteAddr)
	user := ""
	if view != nil {
		user = string(view.Subject.ID)
		if repl, ok := r.Context().Value(caddy.ReplacerCtxKey).(*caddy.Replacer); ok && allowed {
			repl.Set("http.auth.user.id", view.Subject.Name)
		}
	}
	entry := a.logger.Check(zap.DebugLevel, "decided")
	if entry == nil {
		return
	}
	// Neither path nor query: apps have secrets in theirs.
	fields := []zap.Field{
		zap.Bool("allowed", d.Action == mfa.Allow), zap.String("action", d.Action.String()),
		zap.String("reason", string(d.Reason)), zap.String("host", host), zap.String("user_id", user),
	}
	if askedBy != forwardauth.None {
		fields = append(fields, zap.String("asked_by", askedBy.String()))
	}
	entry.Write(fields...)
}

// servesRelated reports whether the request asks which origins share the domain's passkeys,
// at the one host where browsers look for it.
func (a *App) servesRelated(r *http.Request, req *guard.Request) bool {
	read := r.Method == http.MethodGet || r.Method == http.MethodHead
	return read && req.Path == related.Path && a.Domain != "" && req.Host == a.Domain && len(a.RelatedOrigins) > 0
}

// serveRelated tells browsers which origins may use the domain's passkeys. It is
// nobody's secret, and is read without a cookie.
func serveRelated(w http.ResponseWriter, origins []string) {
	document, err := related.Document(origins)
	if err != nil { // it was tried when the configuration loaded
		w.WriteHeader(http.StatusInternalServerError)
		return
	}
	w = guard.Plain(w)
	w.Header().Set("Content-Type", "application/json")
	w.Header().Set("X-Content-Type-Options", "nosniff")
	w.Header().Set("Cache-Control", "max-age=300")
	_, _ = w.Write(document) // nobody is left to tell when the browser went away
}

// unavailable answers where there is no generation that could: the store is not open yet.
func (a *App) unavailable(w http.ResponseWriter, r *http.Request) {
	arrived := asArrived(r)
	https := r.TLS != nil
	if p := peer(r); p.Proto == "https" {
		https = true
	}
	if api.Serves(arrived.URL.Path) {
		api.Unavailable(guard.Plain(w), https)
		return
	}
	a.closed.Serve(w, arrived, https)
}

// unavailableAs answers another proxy, which may show it to people.
func unavailableAs(w http.ResponseWriter, status int) {
	h := w.Header()
	h.Set("Retry-After", "2")
	h.Set("Cache-Control", "no-store")
	h.Set("Content-Type", "text/plain; charset=utf-8")
	h.Set("X-Content-Type-Options", "nosniff")
	h.Set("X-Frame-Options", "DENY")
	h.Set("Referrer-Policy", "no-referrer")
	h.Set("Content-Security-Policy", "default-src 'none'; frame-ancestors 'none'; base-uri 'none'; form-action 'none'")
	w.WriteHeader(status)
	_, _ = w.Write([]byte("Signing in is not possible for a moment. Please try again in a few seconds.\n"))
}
