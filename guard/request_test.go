package guard

import (
	"bufio"
	"crypto/tls"
	"errors"
	"net/http"
	"net/http/httptest"
	"net/url"
	"path"
	"strings"
	"testing"

	"github.com/secondgate/secondgate/internal/web"
	"github.com/secondgate/secondgate/mfa"
)

func TestParseHost_AC036_AC068_AC215_AC216(t *testing.T) {
	for _, c := range []struct {
		raw   string
		https bool
		full  string // "" : refused
	}{
		{"app.a.test", true, "app.a.test"},
		{"APP.A.Test", true, "app.a.test"},
		{"app.a.test.", true, "app.a.test"},
		{"app.a.test:443", true, "app.a.test"},
		{"app.a.test.:443", true, "app.a.test"},
		{"app.a.test:80", false, "app.a.test"},
		{"app.a.test:80", true, "app.a.test:80"},
		{"app.a.test:443", false, "app.a.test:443"},
		{"App.A.test:8443", true, "app.a.test:8443"},
		{"localhost:8080", false, "localhost:8080"},
		{"my_host", true, "my_host"},
		{"xn--bcher-kva.test", true, "xn--bcher-kva.test"},
		{"192.0.2.7", true, "192.0.2.7"},
		{"192.0.2.7:8443", true, "192.0.2.7:8443"},
		{"[::1]:8080", false, "[::1]:8080"},
		{"[0:0:0:0:0:0:0:1]", true, "[::1]"},
		{"[2001:DB8::1]:443", true, "[2001:db8::1]"},

		{"", true, ""},
		{".", true, ""},
		{"app.a.test..", true, ""},
		{"app..test", true, ""},
		{".a.test", true, ""},
		{"app.a.test:", true, ""},
		{"app.a.test:0", true, ""},
		{"app.a.test:080", true, ""},
		{"app.a.test:65536", true, ""},
		{"app.a.test:44 3", true, ""},
		{"app.a.test:443:443", true, ""},
		{" app.a.test", true, ""},
		{"app.a.test ", true, ""},
		{"app.a.test evil", true, ""},
		{"app.a.test, evil.test", true, ""},
		{"app.a.test/evil", true, ""},
		{"user@app.a.test", true, ""},
		{"app.a.test\\evil", true, ""},
		{"app.a.test%2fevil", true, ""},
		{"app.a.test\x00", true, ""},
		{"bücher.test", true, ""},
		{"app。a.test", true, ""},
		{"::1", true, ""},
		{"[::1", true, ""},
		{"[::1]x", true, ""},
		{"[fe80::1%25eth0]", true, ""},
		{"[192.0.2.7]", true, ""},
		{"127.1", true, ""},
		{"2130706433", true, ""},
		{"0x7f.0.0.1", true, ""},
		{"0x7f000001", true, ""},
		{"0177.0.0.1", true, ""},
		{"app.0x", true, ""},
		{strings.Repeat("a", 64) + ".test", true, ""},
		{strings.Repeat("a.", 200) + "test", true, ""},
	} {
		h, ok := parseHost(c.raw, c.https)
		if ok != (c.full != "") || h.full != c.full {
			t.Errorf("%q: %q, %v; want %q", c.raw, h.full, ok, c.full)
		}
	}
}

// canonical parses what a client wrote on the wire.
func canonical(t testing.TB, g *Guard, method, target, host string, alter ...func(*http.Request)) (*Request, error) {
	t.Helper()
	r, err := http.ReadRequest(bufio.NewReader(strings.NewReader(method + " " + target + " HTTP/1.1\r\nHost: " + host + "\r\n\r\n")))
	if err != nil {
		return nil, err
	}
	r.RemoteAddr = "192.0.2.77:5555"
	r.TLS = &tls.ConnectionState{HandshakeComplete: true}
	for _, f := range alter {
		f(r)
	}
	return g.Parse(r)
}

func plain(r *http.Request) { r.TLS = nil }

func TestParse_place(t *testing.T) {
	for _, c := range []struct {
		name    string
		host    string
		config  func(*Config)
		alter   func(*http.Request)
		want    mfa.Place
		cookies web.Cookies
		err     error
	}{
		{"one host", "App.A.test:443", nil, nil,
			mfa.Place{Origin: "https://app.a.test", Host: "app.a.test", Scope: "app.a.test", RPID: "app.a.test"}, web.Cookies{Secure: true}, nil},
		{"other port", "app.a.test:8443", nil, nil,
			mfa.Place{Origin: "https://app.a.test:8443", Host: "app.a.test:8443", Scope: "app.a.test:8443", RPID: "app.a.test"}, web.Cookies{Secure: true, Port: "8443"}, nil},
		{"within the domain", "app.a.test", func(c *Config) { c.Domain = "a.test" }, nil,
			mfa.Place{Origin: "https://app.a.test", Host: "app.a.test", Scope: "a.test", RPID: "a.test"}, web.Cookies{Secure: true, Domain: "a.test"}, nil},
		{"the domain itself", "a.test", func(c *Config) { c.Domain = "a.test" }, nil,
			mfa.Place{Origin: "https://a.test", Host: "a.test", Scope: "a.test", RPID: "a.test"}, web.Cookies{Secure: true, Domain: "a.test"}, nil},
		{"near the domain", "evila.test", func(c *Config) { c.Domain = "a.test" }, nil,
			mfa.Place{Origin: "https://evila.test", Host: "evila.test", Scope: "evila.test", RPID: "evila.test"}, web.Cookies{Secure: true}, nil},
		{"an address has no passkeys", "192.0.2.1", nil, nil,
			mfa.Place{Origin: "https://192.0.2.1", Host: "192.0.2.1", Scope: "192.0.2.1", NoPasskey: mfa.ReasonIPAddress}, web.Cookies{Secure: true}, nil},
		{"plain http on localhost", "localhost:8080", nil, plain,
			mfa.Place{Origin: "http://localhost:8080", Host: "localhost:8080", Scope: "localhost:8080", RPID: "localhost"}, web.Cookies{Port: "8080"}, nil},
		{"plain http on a name under localhost", "app.localhost", nil, plain,
			mfa.Place{Origin: "http://app.localhost", Host: "app.localhost", Scope: "app.localhost", RPID: "app.localhost"}, web.Cookies{}, nil},
		{"plain http on loopback", "[::1]:8080", nil, plain,
			mfa.Place{Origin: "http://[::1]:8080", Host: "[::1]:8080", Scope: "[::1]:8080", NoPasskey: mfa.ReasonIPAddress}, web.Cookies{Port: "8080"}, nil},
		{"plain http elsewhere", "app.a.test", nil, plain, mfa.Place{}, web.Cookies{}, ErrPlainHTTP},
		{"plain http near localhost", "localhost.a.test", nil, plain, mfa.Place{}, web.Cookies{}, ErrPlainHTTP},
		{"plain http elsewhere, allowed", "app.a.test", func(c *Config) { c.InsecureHTTP, c.Domain = true, "a.test" }, plain,
			mfa.Place{Origin: "http://app.a.test", Host: "app.a.test", Scope: "app.a.test", NoPasskey: mfa.ReasonPlainHTTP}, web.Cookies{}, nil},
		{"a client's word for https", "app.a.test", nil, func(r *http.Request) {
			r.TLS = nil
			r.Header.Set("X-Forwarded-Proto", "https")
			r.Header.Set("Forwarded", "proto=https;host=evil.test")
			r.Header.Set("X-Forwarded-Host", "evil.test")
		}, mfa.Place{}, web.Cookies{}, ErrPlainHTTP},
		{"origin", "app.a.test:8080", func(c *Config) { c.Origin = "https://app.a.test" }, plain,
			mfa.Place{Origin: "https://app.a.test", Host: "app.a.test", Scope: "app.a.test", RPID: "app.a.test"}, web.Cookies{Secure: true}, nil},
		{"origin of another host", "other.test", func(c *Config) { c.Origin = "https://app.a.test" }, plain, mfa.Place{}, web.Cookies{}, ErrPlainHTTP},
		{"trusted proxy says https", "app.a.test", peerIs(Peer{TrustedProxy: true, Proto: "https"}), plain,
			mfa.Place{Origin: "https://app.a.test", Host: "app.a.test", Scope: "app.a.test", RPID: "app.a.test", Network: "unknown"}, web.Cookies{Secure: true}, nil},
		{"trusted proxy says http", "app.a.test", peerIs(Peer{TLS: true, TrustedProxy: true, Proto: "http"}), nil, mfa.Place{}, web.Cookies{}, ErrPlainHTTP},
		{"trusted proxy says two things", "app.a.test", peerIs(Peer{TrustedProxy: true, Proto: "https, http"}), plain, mfa.Place{}, web.Cookies{}, ErrPlainHTTP},
		{"untrusted proxy says https", "app.a.test", peerIs(Peer{Proto: "https"}), plain, mfa.Place{}, web.Cookies{}, ErrPlainHTTP},
		{"no host", "", nil, nil, mfa.Place{}, web.Cookies{}, ErrBadRequest},
		{"two hosts", "app.a.test evil.test", nil, nil, mfa.Place{}, web.Cookies{}, ErrBadRequest},
	} {
		t.Run(c.name, func(t *testing.T) {
			g := newGuard(t, c.config)
			alter := []func(*http.Request){}
			if c.alter != nil {
				alter = append(alter, c.alter)
			}
			req, err := canonical(t, g, "GET", "/x?y=z", c.host, alter...)
			if c.err != nil {
				if err == nil {
					t.Fatalf("accepted: %+v", req)
				}
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			if c.want.Network == "" {
				c.want.Network = "192.0.2.0/24"
			}
			c.want.Agent = "Unknown browser"
			if req.Place != c.want || req.Cookies != c.cookies {
				t.Errorf("got  %+v %+v\nwant %+v %+v", req.Place, req.Cookies, c.want, c.cookies)
			}
			if req.Path != "/x" || req.Target != "/x?y=z" || req.Ambiguous {
				t.Errorf("%+v", req)
			}
		})
	}
}

func peerIs(p Peer) func(*Config) {
	return func(c *Config) { c.Peer = func(*http.Request) Peer { return p } }
}

// Headers that name another host are no host (AC-039), and the request line
// beats the Host header (AC-080).
func TestParse_host_AC039_AC080(t *testing.T) {
	g := newGuard(t, nil)
	req, err := canonical(t, g, "GET", "/", "app.a.test", func(r *http.Request) {
		for _, h := range []string{"X-Forwarded-Host", "X-Forwarded-Server", "X-Host", "X-Original-Host"} {
			r.Header.Set(h, "evil.test")
		}
		r.Header.Set("Forwarded", "host=evil.test")
		r.Header.Set("X-Forwarded-Prefix", "//evil.test")
	})
	if err != nil || req.Place.Origin != "https://app.a.test" {
		t.Errorf("%+v, %v", req, err)
	}
	req, err = canonical(t, g, "GET", "http://other.test/secret", "app.a.test")
	if err != nil || req.Host != "other.test" || req.Target != "/secret" {
		t.Errorf("absolute form: %+v, %v", req, err)
	}
	req, err = canonical(t, g, "GET", "//evil.test/x", "app.a.test")
	if err != nil || req.Host != "app.a.test" || !req.Ambiguous {
		t.Errorf("two slashes: %+v, %v", req, err)
	}
	if to, ok := web.ReturnAddress(req.Target); ok {
		t.Errorf("return address %q", to)
	}
	if _, err := canonical(t, g, "OPTIONS", "*", "app.a.test"); !errors.Is(err, ErrOptions) {
		t.Errorf("OPTIONS *: %v", err)
	}
	for _, target := range []string{"*", "secret", "app.a.test:443", "http:/secret"} {
		if req, err := canonical(t, g, "GET", target, "app.a.test"); err == nil {
			t.Errorf("%q: accepted as %+v", target, req)
		}
	}
	// HTTP/2 can carry a path without a slash.
	r := httptest.NewRequest("GET", "https://app.a.test/", nil)
	r.URL, r.RequestURI = &url.URL{Path: "secret"}, "secret"
	if _, err := g.Parse(r); !errors.Is(err, ErrBadRequest) {
		t.Errorf("path without slash: %v", err)
	}
	// After a rewrite, the way back is what the browser asked for.
	g = newGuard(t, peerIs(Peer{TLS: true, Target: "/old?x=1"}))
	req, err = canonical(t, g, "GET", "/new", "app.a.test")
	if err != nil || req.Path != "/new" || req.Target != "/old?x=1" {
		t.Errorf("%+v, %v", req, err)
	}
	g = newGuard(t, peerIs(Peer{TLS: true, Target: "/public/..%2fsecret"}))
	req, err = canonical(t, g, "GET", "/new", "app.a.test")
	if err != nil || !req.Ambiguous {
		t.Errorf("%+v, %v", req, err)
	}
}

func TestParse_methods_AC084(t *testing.T) {
	g := newGuard(t, nil)
	for method, want := range map[string]error{
		"GET": nil, "HEAD": nil, "POST": nil, "OPTIONS": nil, "DELETE": nil, "PROPFIND": nil, "get": nil,
		strings.Repeat("M", 33): nil, "CONNECT": ErrMethod, "TRACE": ErrMethod, "TRACK": ErrMethod,
	} {
		target := "/"
		if method == "CONNECT" {
			target = "app.a.test:443"
		}
		if _, err := canonical(t, g, method, target, "app.a.test"); !errors.Is(err, want) {
			t.Errorf("%s: %v, want %v", method, err, want)
		}
	}
	// A WebSocket over HTTP/2 is a CONNECT with a protocol, and has a path.
	r := httptest.NewRequest("GET", "https://app.a.test/ws", nil)
	r.Method, r.URL, r.RequestURI = "CONNECT", &url.URL{Path: "/ws"}, "/ws"
	r.ProtoMajor = 2
	r.Header[":protocol"] = []string{"websocket"}
	if _, err := g.Parse(r); err != nil {
		t.Errorf("extended CONNECT: %v", err)
	}
	r.Header[":protocol"] = []string{"connect-udp"}
	if _, err := g.Parse(r); !errors.Is(err, ErrMethod) {
		t.Errorf("another protocol: %v", err)
	}
}

func TestParse_early_data_AC088(t *testing.T) {
	g := newGuard(t, nil)
	unfinished := func(r *http.Request) { r.TLS = &tls.ConnectionState{} }
	for method, want := range map[string]error{"GET": nil, "HEAD": nil, "OPTIONS": nil, "POST": ErrTooEarly, "DELETE": ErrTooEarly, "X": ErrTooEarly} {
		if _, err := canonical(t, g, method, "/", "app.a.test", unfinished); !errors.Is(err, want) {
			t.Errorf("%s: %v, want %v", method, err, want)
		}
	}
	front := newGuard(t, peerIs(Peer{TLS: true, TrustedProxy: true}))
	early := func(r *http.Request) { r.Header.Set("Early-Data", "1") }
	if _, err := canonical(t, front, "POST", "/", "app.a.test", early); !errors.Is(err, ErrTooEarly) {
		t.Errorf("trusted proxy: %v", err)
	}
	if _, err := canonical(t, g, "POST", "/", "app.a.test", early); err != nil {
		t.Errorf("anybody: %v", err)
	}
}

// Everything that some reader takes for another path is ambiguous; what all read
// alike is not.
func TestParse_ambiguous(t *testing.T) {
	g := newGuard(t, nil)
	for group, targets := range map[string][]string{
		"AC-072": {
			"/public/../secret", "/public/./../secret", "/public/%2e%2e/secret", "/public/..%2fsecret", "/public%2f..%2fsecret",
			"/public/..;/secret", "/public/..%5csecret", "/public/..%c0%afsecret", "/public/%2e%2e%2f", "//public/../secret",
			"/public//..//secret", "/public/.%2e/secret", "/public/..", "/public/.", "/public//x", "/public/%2E/x", "/a%2Fb", "/%2f",
		},
		"AC-073": {"/public/%252e%252e/secret", "/%2573ecret", "/public%252f..", "/%25%37%33ecret", "/%257%33ecret"},
		"AC-077": {
			"/strict;x", "/strict%00", "/strict%20", "/strict.", "/strict/.", "/strict%09", "/strict\\", "/strict%5c",
			"/strict::$DATA", "/strict%ff", "/strict%7f", "/strict%3bx", "/strict./x", "/strict%20/x", "/strict%2e", "/strict...",
		},
	} {
		for _, target := range targets {
			req, err := canonical(t, g, "GET", target, "app.a.test")
			if err == nil && !req.Ambiguous {
				t.Errorf("%s %q: taken for %q", group, target, req.Path)
			}
		}
	}
	for target, want := range map[string]string{
		"/": "/", "/a": "/a", "/a/": "/a/", "/a/b.js": "/a/b.js", "/.well-known/x": "/.well-known/x", "/a..b": "/a..b", "/..a": "/..a",
		"/a%20b": "/a b", "/b%C3%BCcher": "/bücher", "/x,y;z"[:4]: "/x,y", "/a:b@c": "/a:b@c", "/100%25": "/100%", "/100%25-x": "/100%-x",
		"/a?b=/../c;d//e": "/a", "/secret?/public/": "/secret", "/secret?x=/assets/a.js": "/secret", // AC-075
		"/secret%23/public": "/secret#/public", "/a%3Fb": "/a?b", // AC-076
		"/apix": "/apix", "/api-secret": "/api-secret", // AC-079
	} {
		req, err := canonical(t, g, "GET", target, "app.a.test")
		if err != nil || req.Ambiguous || req.Path != want {
			t.Errorf("%q: %+v, %v; want %q", target, req, err, want)
		}
	}
}

// A fragment never reaches a server. Who sends one wants the check to see one
// path and the app another (AC-061, AC-076).
func TestParse_fragment_AC076(t *testing.T) {
	g := newGuard(t, nil)
	for _, target := range []string{"/secret#/public/a", "/#", "/a?b#c"} {
		if req, err := canonical(t, g, "GET", target, "app.a.test"); err == nil {
			t.Errorf("%q: accepted as %+v", target, req)
		}
	}
}

// FuzzCanonicalPath: what is not called ambiguous is one path for every reader.
func FuzzCanonicalPath(f *testing.F) {
	for _, seed := range []string{
		"/", "/public/../secret", "/public/%2e%2e/secret", "/a%2fb", "/a//b", "/a;b", "/%252e", "/a%00", "/strict.", "/a%20", "/b%C3%BC", "/..%c0%af", "/a?b#c",
	} {
		f.Add(seed)
	}
	g := newGuard(f, nil)
	f.Fuzz(func(t *testing.T, target string) {
		if !strings.HasPrefix(target, "/") || strings.ContainsAny(target, " \r\n\t") {
			return
		}
		req, err := canonical(t, g, "GET", target, "app.a.test")
		if err != nil || req.Ambiguous {
			return
		}
		raw, _, _ := strings.Cut(target, "?")
		once, err := url.PathUnescape(raw)
		if err != nil {
			t.Fatalf("%q: %v", target, err)
		}
		if twice, err := url.PathUnescape(once); err == nil && twice != once {
			t.Errorf("%q: decoded twice it is %q", target, twice)
		}
		if clean := path.Clean(once); clean != strings.TrimSuffix(once, "/") && clean != "/" || req.Path != once {
			t.Errorf("%q: cleaned it is %q, and we say %q", target, clean, req.Path)
		}
		if early := path.Clean(raw); early != strings.TrimSuffix(raw, "/") && early != "/" {
			t.Errorf("%q: cleaned before decoding it is %q", target, early)
		}
		if strings.ContainsAny(once, "\\;\x00\x7f\r\n\t") || strings.ToValidUTF8(once, "") != once {
			t.Errorf("%q is plain to us", once)
		}
		if strings.Count(raw, "/") != strings.Count(once, "/") {
			t.Errorf("%q hides a slash", target)
		}
		for segment := range strings.SplitSeq(once, "/") {
			if strings.TrimRight(segment, ". ") != segment {
				t.Errorf("%q: %q has another name on Windows", target, segment)
			}
		}
	})
}

func TestNetwork(t *testing.T) {
	for addr, want := range map[string]string{
		"192.0.2.77": "192.0.2.0/24", "::ffff:192.0.2.77": "192.0.2.0/24", "2001:db8:1:2:3::4": "2001:db8:1:2::/64", "fe80::1%eth0": "fe80::/64", "": "unknown", "@": "unknown", "192.0.2.77:80": "unknown",
	} {
		if got := network(addr); got != want {
			t.Errorf("%q: %q, want %q", addr, got, want)
		}
	}
}

func TestAgent(t *testing.T) {
	for sent, want := range map[string]string{
		"Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0":                                                                 "Firefox on Linux",
		"Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/140.0.0.0 Safari/537.36 Edg/140.0.0.0":          "Edge on Windows",
		"Mozilla/5.0 (Macintosh; Intel Mac OS X 10_15_7) AppleWebKit/605.1.15 (KHTML, like Gecko) Version/18.0 Safari/605.1.15":                  "Safari on macOS",
		"Mozilla/5.0 (iPhone; CPU iPhone OS 18_0 like Mac OS X) AppleWebKit/605.1.15 (KHTML, like Gecko) CriOS/140.0 Mobile/15E148 Safari/604.1": "Chrome on iPhone",
		"Mozilla/5.0 (Linux; Android 15) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/140.0.0.0 Mobile Safari/537.36":                           "Chrome on Android",
		"curl/8.5.0":                     "curl",
		"<script>alert(1)</script>":      "Unknown browser",
		"":                               "Unknown browser",
		"{env.SECRET} Windows \x00 %s%n": "Browser on Windows",
	} {
		if got := agent(sent); got != want {
			t.Errorf("%q: %q, want %q", sent, got, want)
		}
	}
}

// A related origin uses the passkeys of the domain, and nothing else of it: its
// sessions and cookies are its own.
func TestParse_RelatedOrigin(t *testing.T) {
	w := newWorld(t, func(c *Config) {
		c.Domain = "a.test"
		c.Related = []string{"https://shop.b.test", "https://shop.b.test:8443"}
	})
	for host, want := range map[string]string{
		"shop.b.test": "a.test", "shop.b.test:8443": "a.test", "app.a.test": "a.test",
		"shop.b.test:9443": "shop.b.test", "x.shop.b.test": "x.shop.b.test", "b.test": "b.test", "shop.b.test.evil.test": "shop.b.test.evil.test",
	} {
		r := request("GET", "/")
		r.Host = host
		req, err := w.Parse(r)
		if err != nil {
			t.Fatal(host, err)
		}
		if req.Place.RPID != want {
			t.Errorf("%s: relying party %q, want %q", host, req.Place.RPID, want)
		}
		if strings.HasSuffix(host, "b.test") && (req.Place.Scope != host || req.Cookies.Domain != "") {
			t.Errorf("%s: scope %q, cookie domain %q", host, req.Place.Scope, req.Cookies.Domain)
		}
	}
	for _, bad := range []string{"http://shop.b.test", "https://app.a.test", "https://192.0.2.1", "https://B.test", "shop.b.test", "https://b.test/"} {
		if _, err := New(Config{Sessions: w.sessions, Policy: func() *mfa.Policy { return w.policy }, Events: w.events, Domain: "a.test", Related: []string{bad}}); err == nil {
			t.Errorf("%s was accepted", bad)
		}
	}
}
