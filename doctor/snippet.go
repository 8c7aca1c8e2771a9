package doctor

import (
	"net/netip"

	"github.com/secondgate/secondgate/docs/proxies"
	"github.com/secondgate/secondgate/guard"
)

// Proxy is a kind of proxy: "nginx", "traefik", "caddy", "haproxy", "envoy", "apache"; ""
// where nothing tells.
type Proxy string

// Proxies are all kinds.
var Proxies = []Proxy{"nginx", "traefik", "caddy", "haproxy", "envoy", "apache"}

var titles = map[Proxy]string{"nginx": "nginx", "traefik": "Traefik", "caddy": "Caddy", "haproxy": "HAProxy", "envoy": "Envoy", "apache": "Apache"}

// Title is its name as people write it.
func (p Proxy) Title() string { return titles[p] }

// ParseProxy reads the name of a kind, "" being none.
func ParseProxy(name string) (Proxy, bool) {
	p := Proxy(name)
	_, ok := titles[p]
	return p, ok || p == ""
}

// Guess tells the kind of the proxy in front from what it adds to requests, and from what
// its answers say of the server, which may be "".
func Guess(f *guard.Facts, server string) Proxy {
	has := func(name string) bool { return f != nil && f.Header(name).Lines > 0 }
	for _, p := range Proxies {
		if named(server, p) && p != "caddy" { // which the gateway is itself
			return p
		}
	}
	switch {
	case has("X-Envoy-External-Address"), has("X-Envoy-Expected-Rq-Timeout-Ms"), has("X-Envoy-Attempt-Count"):
		return "envoy"
	case has("X-Forwarded-Server") && has("X-Real-Ip"):
		return "traefik"
	case has("X-Forwarded-Server"):
		return "apache"
	case f != nil && named(f.Header("Via").Value, "caddy"):
		return "caddy"
	}
	return ""
}

// inFront adds the lines of the proxy in front: of nginx where nothing tells which it is.
func (f Finding) inFront(p Proxy) Finding {
	if p == "" {
		p = "nginx"
	}
	return f.with(p.Title(), proxies.InFront(p.Title()))
}

// asking adds the configuration with which that proxy asks about requests.
func (f Finding) asking(p Proxy) Finding { return f.with(p.Title(), proxies.Asking(string(p))) }

const caddyfile = "Caddyfile"

// trusting adds the lines with which the gateway believes the proxy at an address.
func (f Finding) trusting(peer string) Finding {
	lines := "\t\ttrusted_proxies static " + peer + "\n\t\ttrusted_proxies_strict\n"
	if _, err := netip.ParseAddr(peer); err != nil {
		lines = "\t\ttrusted_proxies_unix\n\t\ttrusted_proxies_strict\n"
	}
	return f.with(caddyfile, "{\n\tservers {\n"+lines+"\t}\n}\n")
}
