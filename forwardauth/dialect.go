package forwardauth

import (
	"net/http"
	"strings"

	"github.com/secondgate/secondgate/internal/web"
)

// Prefix is where proxies ask; the dialect follows.
const Prefix = web.Prefix + "auth/"

// Dialect is how one kind of proxy asks.
type Dialect uint8

// The dialects. The zero value is none of them.
const (
	None Dialect = iota
	Nginx
	Traefik
	Caddy
	HAProxy
	Envoy
)

var dialectNames = [...]string{"none", "nginx", "traefik", "caddy", "haproxy", "envoy"}

// String returns the dialect as the path has it.
func (d Dialect) String() string {
	if int(d) < len(dialectNames) {
		return dialectNames[d]
	}
	return dialectNames[None]
}

// doc is the page that says how that proxy is to be configured.
func (d Dialect) doc() string { return "docs/proxies/" + d.String() + ".md" }

// Serves reports whether a request is a proxy's question, or one that was meant as such:
// None is a path below Prefix that is none of ours. Envoy puts the path of the request
// that it holds behind its own, so that nothing may have been rewritten before.
func Serves(r *http.Request) (Dialect, bool) {
	rest, ok := strings.CutPrefix(r.RequestURI, Prefix)
	if !ok {
		return None, strings.HasPrefix(r.URL.Path, Prefix)
	}
	if after, ok := strings.CutPrefix(rest, "envoy"); ok && (after == "" || after[0] == '/' || after[0] == '?') {
		return Envoy, true
	}
	rest, _, _ = strings.Cut(rest, "?")
	switch rest {
	case "nginx":
		return Nginx, true
	case "traefik":
		return Traefik, true
	case "caddy":
		return Caddy, true
	case "haproxy":
		return HAProxy, true
	}
	return None, true
}
