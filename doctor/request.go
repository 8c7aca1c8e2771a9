package doctor

import (
	"net"
	"strings"

	"github.com/secondgate/secondgate/guard"
)

// named reports whether a text names that kind of proxy, in whatever case.
func named(text string, p Proxy) bool { return strings.Contains(strings.ToLower(text), string(p)) }

// forwarding are the headers by which a proxy in front of us shows.
var forwarding = []string{"X-Forwarded-Proto", "X-Forwarded-For", "X-Forwarded-Host", "X-Real-Ip", "X-Forwarded-Server", "Forwarded"}

// Judge says what is wrong with a request as it came. p is the proxy in front of us.
func Judge(f *guard.Facts, p Proxy) []Finding {
	var list []Finding
	add := func(found Finding) { list = append(list, found) }
	forwarded := false
	for _, name := range forwarding {
		forwarded = forwarded || f.Header(name).Lines > 0
	}
	origin := f.Origin != "" && f.Scheme == "https" && !f.TLS // "origin" says what no proxy has to
	switch proto := f.Header("X-Forwarded-Proto"); {
	case forwarded && !f.Trusted && !origin:
		add(find("untrusted_peer", "peer", f.Peer).trusting(f.Peer))
		if proto.Lines == 0 {
			add(find("plain_http", "peer", f.Peer).inFront(p))
		}
	case !f.Trusted && f.Fault == guard.ErrPlainHTTP.Error():
		add(find("plain_http", "peer", f.Peer).trusting(f.Peer))
	case !f.Trusted:
	case proto.Lines == 0 && !f.TLS:
		add(find("proto_missing", "peer", f.Peer).inFront(p))
	case proto.Lines > 1:
		add(find("proto_twice", "peer", f.Peer).inFront(p))
	case proto.Lines == 0:
	case proto.Value == "http" || proto.Value == "ws":
		if !f.Local {
			add(find("proto_http", "peer", f.Peer).inFront(p))
		}
	case proto.Value != "https" && proto.Value != "wss":
		add(find("proto_unreadable", "value", proto.Value).inFront(p))
	}
	if f.Trusted {
		switch client := f.Header("X-Forwarded-For"); {
		case client.Lines == 0:
			add(find("for_missing", "peer", f.Peer).inFront(p))
		case !f.Strict:
			add(find("for_leftmost").trusting(f.Peer))
		}
	}
	if (f.Trusted || forwarded) && f.Protocol == "HTTP/1.0" {
		add(find("http10", "peer", f.Peer).inFront(p))
	}
	return append(list, judgeHost(f, p)...)
}

// judgeHost says what is wrong with the host of a request.
func judgeHost(f *guard.Facts, p Proxy) []Finding {
	var list []Finding
	add := func(found Finding) { list = append(list, found) }
	if f.Fault == guard.ErrBadRequest.Error() {
		add(find("host_malformed", "sent", f.Sent).inFront(p))
	}
	if asked := f.Header("X-Forwarded-Host"); f.Trusted && asked.Lines == 1 && !sameHost(asked.Value, f.Sent) {
		add(find("host_replaced", "asked", asked.Value, "sent", f.Sent).inFront(p))
	}
	if f.Unknown {
		add(find("unknown_host", "host", f.Sent).with(caddyfile, nameHost(f)))
	}
	switch {
	case f.Host == "":
	case f.Address && !f.Local:
		add(find("ip_address", "host", f.Host))
	case f.Domain != "" && f.Scheme == "https" && f.Place == "app" && f.CookieDomain == "" && !f.Local:
		add(find("outside_domain", "host", f.Host, "domain", f.Domain))
	}
	if f.Early {
		add(find("early_data"))
	}
	return list
}

// nameHost are the lines that name a host which the configuration does not.
func nameHost(f *guard.Facts) string {
	host, _, _ := strings.Cut(f.Sent, ":")
	if host == "" || strings.ContainsAny(host, " {}[]\"`#") {
		return ""
	}
	if f.Portal != "" && f.Place == "portal" {
		return "mfa_portal {\n\tprotect " + host + "\n}\n"
	}
	return host + " {\n\tmfa\n\treverse_proxy localhost:3000\n}\n"
}

// sameHost compares two hosts without the port: a proxy may listen on another.
func sameHost(a, b string) bool { return strings.EqualFold(bare(a), bare(b)) }

func bare(host string) string {
	if name, _, err := net.SplitHostPort(host); err == nil {
		host = name
	}
	return strings.TrimSuffix(strings.Trim(host, "[]"), ".")
}
