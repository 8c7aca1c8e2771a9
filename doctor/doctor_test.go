package doctor

import (
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/secondgate/secondgate/guard"
)

var at = time.Date(2026, 11, 27, 10, 0, 0, 0, time.UTC)

// facts is a request that came as it should through a proxy, changed by each of change.
func facts(change ...func(*guard.Facts)) *guard.Facts {
	f := &guard.Facts{
		At: at, Protocol: "HTTP/1.1", Method: "GET", Path: "/.mfa/doctor/X", Sent: "app.example.com", Peer: "10.0.0.5", Client: "198.51.100.9", Trusted: true, Strict: true,
		Scheme: "https", Host: "app.example.com", Scope: "example.com", CookieName: "__Secure-mfa", CookieDomain: "example.com", RPID: "example.com", Domain: "example.com", Place: "app",
		Headers: []guard.Shape{{Name: "X-Forwarded-For", Lines: 1, Length: 12, Value: "198.51.100.9"}, {Name: "X-Forwarded-Proto", Lines: 1, Length: 5, Value: "https"}},
	}
	for _, c := range change {
		c(f)
	}
	return f
}

func header(name string, lines int, value string) func(*guard.Facts) {
	return func(f *guard.Facts) {
		f.Headers = slices.DeleteFunc(f.Headers, func(s guard.Shape) bool { return s.Name == name })
		if lines > 0 {
			f.Headers = append(f.Headers, guard.Shape{Name: name, Lines: lines, Length: len(value), Value: value})
		}
	}
}

func untrusted(f *guard.Facts) {
	f.Trusted, f.Scheme, f.Fault = false, "http", guard.ErrPlainHTTP.Error()
}

func codes(list []Finding) string {
	var all []string
	for _, f := range list {
		all = append(all, f.Code)
	}
	return strings.Join(all, " ")
}

func TestJudge(t *testing.T) {
	for _, c := range []struct {
		name    string
		f       *guard.Facts
		want    string
		snippet string // of the first
	}{
		{"as it should be", facts(), "", ""},
		{"without a proxy, over TLS", facts(func(f *guard.Facts) { f.Headers, f.Trusted, f.TLS = nil, false, true }), "", ""},
		{"a proxy that nobody trusts", facts(untrusted), "untrusted_peer", "trusted_proxies static 10.0.0.5\n\t\ttrusted_proxies_strict"},
		{"… at a Unix socket", facts(untrusted, func(f *guard.Facts) { f.Peer = "unix" }), "untrusted_peer", "trusted_proxies_unix"},
		{"… that does not say the scheme", facts(untrusted, header("X-Forwarded-Proto", 0, "")), "untrusted_peer plain_http", "trusted_proxies static 10.0.0.5"},
		{"… where origin says it", facts(func(f *guard.Facts) { f.Trusted, f.Origin = false, "https://app.example.com" }), "", ""},
		{"plain http, and nobody says anything", facts(untrusted, func(f *guard.Facts) { f.Headers = nil }), "plain_http", "trusted_proxies static 10.0.0.5"},
		{"no scheme", facts(header("X-Forwarded-Proto", 0, ""), func(f *guard.Facts) { f.Scheme = "http" }), "proto_missing", "X-Forwarded-Proto"},
		{"no scheme, and TLS to us", facts(header("X-Forwarded-Proto", 0, ""), func(f *guard.Facts) { f.TLS = true }), "", ""},
		{"two schemes", facts(header("X-Forwarded-Proto", 2, "http | https")), "proto_twice", "X-Forwarded-Proto"},
		{"a scheme of two proxies", facts(header("X-Forwarded-Proto", 1, "https,http")), "proto_unreadable", "X-Forwarded-Proto"},
		{"an empty scheme", facts(header("X-Forwarded-Proto", 1, "")), "proto_unreadable", "X-Forwarded-Proto"},
		{"the scheme of the last connection", facts(header("X-Forwarded-Proto", 1, "http")), "proto_http", "X-Forwarded-Proto"},
		{"http on this machine", facts(header("X-Forwarded-Proto", 1, "http"), func(f *guard.Facts) { f.Local = true }), "", ""},
		{"no client", facts(header("X-Forwarded-For", 0, "")), "for_missing", "X-Forwarded-For"},
		{"the first client counts", facts(func(f *guard.Facts) { f.Strict = false }), "for_leftmost", "trusted_proxies_strict"},
		{"HTTP/1.0", facts(func(f *guard.Facts) { f.Protocol = "HTTP/1.0" }), "http10", "proxy_http_version 1.1"},
		{"another host than the browser's", facts(header("X-Forwarded-Host", 1, "other.example.com")), "host_replaced", "proxy_set_header Host"},
		{"the same host with a port", facts(header("X-Forwarded-Host", 1, "APP.example.com.:8443")), "", ""},
		{"no host at all", facts(func(f *guard.Facts) { f.Sent, f.Host, f.Fault = "app_backend:x", "", guard.ErrBadRequest.Error() }), "host_malformed", "proxy_set_header Host"},
		{"a host that nobody named", facts(func(f *guard.Facts) { f.Unknown = true }), "unknown_host", "app.example.com {\n\tmfa"},
		{"… at the portal", facts(func(f *guard.Facts) { f.Unknown, f.Portal, f.Place = true, "https://auth.example.com", "portal" }), "unknown_host", "protect app.example.com"},
		{"… that is no name for a Caddyfile", facts(func(f *guard.Facts) { f.Unknown, f.Sent = true, "a b {" }), "unknown_host", ""},
		{"outside the domain", facts(func(f *guard.Facts) { f.Host, f.Sent, f.CookieDomain = "wiki.example.org", "wiki.example.org", "" }), "outside_domain", ""},
		{"an address", facts(func(f *guard.Facts) { f.Host, f.Sent, f.Address, f.CookieDomain = "192.0.2.1", "192.0.2.1", true, "" }), "ip_address", ""},
		{"early data", facts(func(f *guard.Facts) { f.Early = true }), "early_data", ""},
	} {
		got := Judge(c.f, "")
		if codes(got) != c.want {
			t.Errorf("%s: %q, want %q", c.name, codes(got), c.want)
			continue
		}
		if len(got) > 0 && (!strings.Contains(got[0].Snippet, c.snippet) || c.snippet == "" && got[0].Snippet != "") {
			t.Errorf("%s: the snippet is %q", c.name, got[0].Snippet)
		}
		for _, f := range got {
			if f.Text == "" || f.Severity == "" || strings.ContainsAny(f.Text, "{}") && c.f.Sent != "a b {" {
				t.Errorf("%s: %+v", c.name, f)
			}
		}
	}
}

// heard is the answer of a host that is as it should be.
func heard(change ...func(*Heard)) *Heard {
	h := &Heard{
		URL: "https://app.example.com/.mfa/doctor/…", Scheme: "https", Host: "app.example.com", Path: "/.mfa/doctor/X", Began: at.Add(-time.Second), Ended: at.Add(time.Second),
		Status: 200, Body: Said, NoStore: true, Cookies: []Cookie{{Name: "__Secure-mfa-probe", Domain: "example.com", Path: "/", Secure: true, HTTPOnly: true}},
	}
	for _, c := range change {
		c(h)
	}
	return h
}

func TestOutside(t *testing.T) {
	cookie := func(change func(*Cookie)) *Heard {
		return heard(func(h *Heard) { change(&h.Cookies[0]) })
	}
	for _, c := range []struct {
		name string
		h    *Heard
		seen *guard.Facts
		want string
	}{
		{"as it should be", heard(), facts(), ""},
		{"another port in front", heard(func(h *Heard) { h.Host = "app.example.com:8443" }), facts(), ""},
		{"nobody there", heard(func(h *Heard) { h.Err = "nobody answers there" }), nil, "unreachable"},
		{"led away", heard(func(h *Heard) { h.Status, h.Location, h.Body = 302, "https://other.test", "" }), nil, "redirected"},
		{"the app answers", heard(func(h *Heard) { h.Status, h.Body = 404, "no such page" }), nil, "not_reached"},
		{"kept from before", heard(), nil, "cached"},
		{"asked about, and not handed on", heard(), facts(func(f *guard.Facts) { f.AskedBy = "nginx" }), "pages_not_handed_on"},
		{"the host replaced", heard(), facts(func(f *guard.Facts) { f.Sent = "backend" }), "host_replaced"},
		{"the path changed", heard(), facts(func(f *guard.Facts) { f.Path = "/doctor/X" }), "path_changed"},
		{"the scheme lost", heard(), facts(header("X-Forwarded-Proto", 1, "http"), func(f *guard.Facts) { f.Scheme, f.CookieName = "http", "" }), "proto_http"},
		{"the scheme lost, and nothing says why", heard(), facts(func(f *guard.Facts) { f.Scheme, f.CookieName = "http", "" }), "scheme"},
		{"the clock", heard(), facts(func(f *guard.Facts) { f.At = at.Add(-8 * time.Second) }), "clock"},
		{"the clock, a little", heard(), facts(func(f *guard.Facts) { f.At = at.Add(4 * time.Second) }), ""},
		{"another status", heard(func(h *Heard) { h.Status = 502 }), facts(), "rewritten"},
		{"another body", heard(func(h *Heard) { h.Body = Said + "<script>" }), facts(), "rewritten"},
		{"another header", heard(func(h *Heard) { h.NoStore = false }), facts(), "rewritten"},
		{"broken off", heard(func(h *Heard) { h.Err = "the connection broke off" }), facts(), "rewritten"},
		{"no cookie", heard(func(h *Heard) { h.Cookies = nil }), facts(), "cookie_lost"},
		{"a cookie of another domain", cookie(func(k *Cookie) { k.Domain = "other.test" }), facts(), "cookie_changed"},
		{"a cookie of another path", cookie(func(k *Cookie) { k.Path = "/app" }), facts(), "cookie_changed"},
		{"a cookie for plain http", cookie(func(k *Cookie) { k.Secure = false }), facts(), "cookie_changed"},
		{"a cookie for scripts", cookie(func(k *Cookie) { k.HTTPOnly = false }), facts(), "cookie_changed"},
	} {
		if got := codes(Outside(c.h, c.seen, "apache")); got != c.want {
			t.Errorf("%s: %q, want %q", c.name, got, c.want)
		}
	}
	if f, _ := clock(heard(), at.Add(40*time.Second)); f.Severity != Wrong {
		t.Errorf("a clock that is wrong by 39 seconds: %+v", f)
	}
	if len(Again(heard(), "")) != 1 || len(Again(heard(func(h *Heard) { h.Status = 404 }), "")) != 0 {
		t.Error("a second answer")
	}
	if len(Forgery(facts(func(f *guard.Facts) { f.Client = Forged }))) != 1 || len(Forgery(facts())) != 0 || Forgery(nil) != nil {
		t.Error("a made-up client")
	}
	below := facts(func(f *guard.Facts) { f.Path = "/app/.mfa/doctor/X" })
	if len(Prefix("/app", facts())) != 1 || len(Prefix("/app", below)) != 0 || Prefix("/app", nil) != nil {
		t.Error("a prefix")
	}
}

func TestCheck(t *testing.T) {
	trouble := func(dialect, kind string) Trouble {
		return Trouble{At: at, Count: 3, Dialect: dialect, Kind: kind, Header: "X-Forwarded-Uri", What: "is missing", Host: "app.example.com", Peer: "10.0.0.5"}
	}
	for _, c := range []struct {
		name    string
		s       Setup
		want    string
		snippet string
	}{
		{"nothing", Setup{Domain: "example.com", InDomain: true, Servers: []Server{{"a", true, true}, {"b", false, false}}}, "", ""},
		{"plain http for all", Setup{Insecure: true}, "insecure_http", ""},
		{"a site that refuses everybody", Setup{Plain: []string{"http://app.example.com"}}, "plain_site", "trusted_proxies static"},
		{"a domain of nobody", Setup{Domain: "example.com"}, "domain_unused", ""},
		{"not strict", Setup{Servers: []Server{{"a", true, false}}}, "server_leftmost", "trusted_proxies_strict"},
		{"both", Setup{Origin: "https://app.example.com", Servers: []Server{{"a", true, true}}}, "origin_and_proxies", ""},
		{"nginx", Setup{Troubles: []Trouble{trouble("nginx", "question")}}, "question", "auth_request /"},
		{"Traefik", Setup{Troubles: []Trouble{trouble("traefik", "question")}}, "question", "forwardAuth:"},
		{"Caddy", Setup{Troubles: []Trouble{trouble("caddy", "question")}}, "question", "forward_auth "},
		{"HAProxy", Setup{Troubles: []Trouble{trouble("haproxy", "question")}}, "question", "lua.secondgate"},
		{"Envoy", Setup{Troubles: []Trouble{trouble("envoy", "question")}}, "question", "ext_authz"},
		{"a path of no dialect", Setup{Troubles: []Trouble{trouble("none", "question")}}, "question", ""},
		{"a stranger", Setup{Troubles: []Trouble{trouble("nginx", "peer")}}, "peer", "peers 10.0.0.5"},
		{"a host", Setup{Troubles: []Trouble{trouble("nginx", "unprotected")}}, "unprotected", "protect app.example.com"},
	} {
		got := Check(&c.s)
		if codes(got) != c.want || len(got) > 0 && (!strings.Contains(got[0].Snippet, c.snippet) || c.snippet == "" && got[0].Snippet != "" || strings.ContainsAny(got[0].Text, "{}")) {
			t.Errorf("%s: %+v", c.name, got)
		}
	}
}

// There are lines for every kind of proxy in front, and they keep host and scheme.
func TestSnippets(t *testing.T) {
	for _, p := range Proxies {
		f := find("proto_missing", "peer", "10.0.0.5").inFront(p)
		if f.For != p.Title() || f.Snippet == "" || strings.Contains(f.Snippet, "```") {
			t.Errorf("%s: %+v", p, f)
		}
	}
	for _, c := range []struct {
		server string
		f      *guard.Facts
		want   Proxy
	}{
		{"", facts(), ""}, {"Caddy", facts(), ""}, {"nginx/1.26.0", facts(), "nginx"}, {"Apache/2.4.62 (Debian)", nil, "apache"}, {"envoy", nil, "envoy"},
		{"", facts(header("X-Forwarded-Server", 1, "x")), "apache"},
		{"", facts(header("X-Forwarded-Server", 1, "x"), header("X-Real-Ip", 1, "x")), "traefik"},
		{"", facts(header("X-Envoy-External-Address", 1, "x")), "envoy"},
		{"", facts(header("Via", 1, "1.1 Caddy")), "caddy"},
	} {
		if got := Guess(c.f, c.server); got != c.want {
			t.Errorf("%q: %q, want %q", c.server, got, c.want)
		}
	}
	if _, ok := ParseProxy("squid"); ok {
		t.Error("squid is known")
	}
}

// A stranger guesses probes, plays one again, or comes too late, to have the doctor judge a
// request of theirs; and floods, to keep the administrator from making one.
func TestProbes(t *testing.T) {
	now := at
	p := &Probes{Now: func() time.Time { return now }}
	secret, err := p.Open()
	if err != nil || len(secret) != secretLength {
		t.Fatal(secret, err)
	}
	for _, path := range []string{"", "/", "/.mfa/doctor/", "/.mfa/doctor/" + secret + "/", "/.mfa/doctor/" + secret[1:], "/.mfa/doctor/" + strings.ToLower(secret), "/.mfa/doctor/AAAAAAAAAAAAAAAAAAAAAAAAAA"} {
		if _, ok := p.Maybe(path); ok {
			t.Errorf("guessed with %q", path)
		}
	}
	for _, path := range []string{"/.mfa/doctor/" + secret, "/doctor/" + secret, secret} {
		if got, ok := p.Maybe(path); !ok || got != secret {
			t.Errorf("%q is not found", path)
		}
	}
	if p.See("guess", *facts()) || !p.See(secret, *facts()) || p.See(secret, guard.Facts{}) {
		t.Error("seen by a guess, not at all, or twice")
	}
	if _, ok := p.Maybe("/.mfa/doctor/" + secret); ok {
		t.Error("one that was used is found")
	}
	if p.Take("guess") != nil {
		t.Error("taken by a guess")
	}
	if got := p.Take(secret); got == nil || got.Host != "app.example.com" || p.Take(secret) != nil {
		t.Errorf("taken %+v, or twice", got)
	}
	late, _ := p.Open()
	seen, _ := p.Open()
	p.See(seen, *facts())
	now = now.Add(ProbeLife)
	if _, ok := p.Maybe(late); ok || p.See(late, *facts()) || p.Take(late) != nil || p.Take(seen) != nil {
		t.Error("one was good too long")
	}
	for range maxProbes {
		if _, err := p.Open(); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := p.Open(); err != ErrProbes {
		t.Errorf("one more: %v", err)
	}
	now = now.Add(ProbeLife)
	if _, err := p.Open(); err != nil {
		t.Errorf("after a minute: %v", err)
	}
}
