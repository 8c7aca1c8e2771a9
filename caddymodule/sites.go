package caddymodule

import (
	"net"
	"reflect"
	"slices"
	"strconv"
	"strings"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/modules/caddyhttp"
	"golang.org/x/net/publicsuffix"
)

// sites are the protected hosts that a configuration names.
type sites struct {
	// origins are their addresses as browsers write them: links begin with one.
	origins []string
	// named are the hosts of those.
	named map[string]bool
	// hosts are their names, also with a star: "*.example.com". Empty where a site
	// without a name is protected: it answers to any.
	hosts []string
	// stars are those of them with a star, whatever else answers.
	stars []string
	// served are the addresses of those that have a name, and starred those with a star:
	// the portal sends people there.
	served  map[string]bool
	starred []protectedSite
	// plain are those of them that are served over plain http and that we refuse
	// there.
	plain []string
}

// protectedSite is one protected host of a server.
type protectedSite struct {
	host    string // "": any
	port    string // "": the scheme's own
	https   bool
	proxied bool // the server has trusted proxies: https may end in one of them
}

// newSites puts together what the sites of a configuration are, in the order of
// their names.
func newSites(a *App, list []protectedSite) sites {
	s := sites{served: make(map[string]bool)}
	anyHost := false
	for _, at := range list {
		anyHost = anyHost || at.host == "" || strings.Contains(at.host, "{")
		s.hosts = append(s.hosts, at.host)
		if strings.Contains(at.host, "*") {
			s.stars = append(s.stars, at.host)
		}
		refused := !at.https && !a.InsecureHTTP && !isLocalhost(at.host)
		if refused && !at.proxied && (a.Origin == "" || at.host != "" && at.host != hostOf(a.Origin)) {
			s.plain = append(s.plain, at.name())
		}
		switch {
		case strings.Contains(at.host, "*"):
			s.starred = append(s.starred, at)
		case at.host != "" && !strings.Contains(at.host, "{"):
			s.served[at.origin(a.InsecureHTTP)] = true
		}
		if at.host == "" {
			at.host = "localhost"
		}
		if !strings.ContainsAny(at.host, "*{") {
			s.origins = append(s.origins, at.origin(a.InsecureHTTP))
		}
	}
	if a.Origin != "" {
		s.origins = []string{a.Origin}
		s.served[a.Origin] = true
		s.hosts = append(s.hosts, hostOf(a.Origin))
	}
	for _, l := range []*[]string{&s.origins, &s.hosts, &s.plain} {
		slices.Sort(*l)
		*l = slices.Compact(*l)
	}
	s.named = make(map[string]bool, len(s.origins))
	for _, origin := range s.origins {
		s.named[hostOf(origin)] = true
	}
	if anyHost {
		s.hosts = nil
	}
	return s
}

// name is the site as somebody would look for it in the configuration.
func (s protectedSite) name() string {
	if s.port == "" {
		return "http://" + s.host
	}
	return "http://" + s.host + ":" + s.port
}

// origin is the address of the site. Where it is served over plain http, and we
// would refuse that, TLS ends in front of us if it ends anywhere; the port is then
// the one in front, too.
func (s protectedSite) origin(insecure bool) string {
	local := isLocalhost(s.host)
	if strings.Contains(s.host, ":") {
		s.host = "[" + s.host + "]"
	}
	if !s.https && !insecure && !local {
		return "https://" + s.host
	}
	scheme := "http://"
	if s.https {
		scheme = "https://"
	}
	if s.port == "" {
		return scheme + s.host
	}
	return scheme + s.host + ":" + s.port
}

// has reports whether a host is protected, or might be.
func (s sites) has(host string) bool {
	if name, _, err := net.SplitHostPort(host); err == nil {
		host = name
	}
	host = strings.ToLower(strings.Trim(host, "[]"))
	return len(s.hosts) == 0 || slices.ContainsFunc(s.hosts, func(pattern string) bool {
		if pattern == host {
			return true
		}
		rest, star := strings.CutPrefix(pattern, "*.")
		label, domain, _ := strings.Cut(host, ".")
		return star && label != "" && domain == rest
	})
}

// names reports whether a host is one that the configuration spells out: not one of
// "*.example.com", nor of a site that answers to any.
func (s sites) names(host string) bool {
	if name, _, err := net.SplitHostPort(host); err == nil {
		host = name
	}
	host = strings.ToLower(strings.Trim(host, "[]"))
	return s.named[host]
}

// letterNames returns the origin that a letter names where that one was asked: the same,
// where its host is of the configuration, by its name, by a star, or by the domain. At a
// site that answers to any host, another one is of a stranger's choice; the letter then
// names a host of ours, or none.
func (s sites) letterNames(a *App, asked string) string {
	host := hostOf(asked)
	switch {
	case host == "":
		return ""
	case a.portal != "" && asked == a.portal:
		return asked
	case s.names(host), slices.ContainsFunc(s.stars, func(pattern string) bool { return covers(pattern, host) }):
		return asked
	case a.Domain != "" && (host == a.Domain || strings.HasSuffix(host, "."+a.Domain)):
		return asked
	case slices.ContainsFunc(a.RelatedOrigins, func(origin string) bool { return hostOf(origin) == host }):
		return asked
	}
	for _, origin := range s.origins {
		if !isLocalhost(hostOf(origin)) { // which a site without a name adds
			return origin
		}
	}
	if a.Domain != "" {
		return "https://" + a.Domain
	}
	return ""
}

// serves reports whether the origin, as browsers write it, is one of a protected host: of
// one that the configuration names, or of the domain and under a star of it. Scheme and
// port are that host's too (AC-036).
func (s sites) serves(a *App, origin string) bool {
	if s.served[origin] {
		return true
	}
	host := hostOf(origin)
	if a.Domain == "" || host != a.Domain && !strings.HasSuffix(host, "."+a.Domain) || origin == a.portal {
		return false
	}
	return slices.ContainsFunc(s.starred, func(at protectedSite) bool {
		if !covers(at.host, host) {
			return false
		}
		at.host = host
		return at.origin(a.InsecureHTTP) == origin
	})
}

// covers reports whether a name with stars in it, as Caddy matches it, covers a host,
// and leaves nobody else's domain to choose.
func covers(pattern, host string) bool {
	rest := pattern[strings.LastIndexByte(pattern, '*')+1:]
	if !strings.HasPrefix(rest, ".") || strings.Contains(pattern, "{") {
		return false
	}
	rest = rest[1:]
	if suffix, icann := publicsuffix.PublicSuffix(rest); suffix == rest && (icann || strings.Contains(rest, ".")) {
		return false // "*.com" is anybody's; "*.lan" is this network's
	}
	want, have := strings.Split(pattern, "."), strings.Split(host, ".")
	if len(want) != len(have) {
		return false
	}
	for i := range want {
		if want[i] != "*" && !strings.EqualFold(want[i], have[i]) {
			return false
		}
	}
	return true
}

// sites returns what the running configuration protects.
func (a *App) sites() sites {
	var list []protectedSite
	for _, s := range a.servers() {
		for i := range s.Routes {
			if found, _ := findHandlers(&s.Routes[i], true); !found {
				continue
			}
			for _, host := range hostsOf(s.Routes[i].MatcherSets) {
				list = append(list, protectedSite{host: host, port: portOf(s.Listen, len(s.TLSConnPolicies) > 0), https: len(s.TLSConnPolicies) > 0, proxied: trustsProxies(s)})
			}
		}
	}
	return newSites(a, append(list, a.elsewhere...))
}

// hostsOf returns the hosts that a route is for; "" stands for any.
func hostsOf(sets caddyhttp.MatcherSets) []string {
	var hosts []string
	for _, set := range sets {
		named := false
		for _, m := range set {
			if h, ok := m.(*caddyhttp.MatchHost); ok {
				named = true
				hosts = append(hosts, *h...)
			}
		}
		if !named {
			hosts = append(hosts, "")
		}
	}
	if hosts == nil {
		return []string{""}
	}
	return hosts
}

// portOf returns the port of the first address that a server listens on, or ""
// where it is the scheme's own.
func portOf(listen []string, https bool) string {
	if len(listen) == 0 {
		return ""
	}
	addr, err := caddy.ParseNetworkAddress(listen[0])
	if err != nil || addr.IsUnixNetwork() || addr.StartPort == 0 {
		return ""
	}
	port := strconv.FormatUint(uint64(addr.StartPort), 10)
	if https && port == "443" || !https && port == "80" {
		return ""
	}
	return port
}

// trustsProxies reports whether the server was given trusted proxies. Caddy
// forgets the JSON of a module once it is loaded and shows nobody the module, so
// this looks whether the field is empty. Where it cannot tell it says no: this is
// for warnings and for guessing the scheme of a link, never for a decision.
func trustsProxies(s *caddyhttp.Server) bool {
	if s.TrustedProxiesRaw != nil || s.TrustedProxiesUnix {
		return true
	}
	field := reflect.ValueOf(s).Elem().FieldByName("trustedProxies")
	return field.IsValid() && field.Kind() == reflect.Interface && !field.IsNil()
}
