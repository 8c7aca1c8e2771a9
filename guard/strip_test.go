package guard

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"maps"
	"net"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"slices"
	"strings"
	"testing"

	"github.com/secondgate/secondgate/internal/web"
	"github.com/secondgate/secondgate/mfa"
)

// request makes a request as a server hands it over, with headers as they were
// spelt.
func request(method, target string, headers ...string) *http.Request {
	r := httptest.NewRequest(method, "https://"+appHost+target, nil)
	r.RequestURI = target
	for i := 0; i < len(headers); i += 2 {
		r.Header[headers[i]] = append(r.Header[headers[i]], headers[i+1])
	}
	return r
}

func identityOf(h http.Header) map[string][]string {
	found := map[string][]string{}
	for key, values := range h {
		if folded := fold(key); strings.HasPrefix(folded, "remote-") || strings.HasPrefix(folded, "mfa-") {
			found[key] = values
		}
	}
	return found
}

// Whatever a client calls itself, in whatever spelling, on whatever request, the
// app does not hear it (AC-043, AC-044, AC-045, AC-052).
func TestStrip_identity_AC043_AC044_AC045_AC052(t *testing.T) {
	w := newWorld(t, func(c *Config) { c.Headers.User = "x-MY-user" })
	names := []string{
		"Remote-User", "remote-user", "REMOTE-USER", "Remote_User", "remote.user", "Remote-Name", "Remote_Name", "Remote-Email", "REMOTE_EMAIL",
		// What lighttpd makes one of for CGI (AC-046).
		"Remote!User", "Remote~User", "Remote*User", "Remote'Groups", "Remote|Email", "Remote`Name", "Remote#User", "Remote$User", "Remote^User",
		"X-Forwarded~User", "X!Auth-Request-User", "X-Auth+Request-Groups", "Mfa&Assertion", "X%My~User",
		"Remote-Groups", "Remote.Groups", "Mfa-Assertion", "mfa_assertion", "X-My-User", "x-MY-user", "X_My_User", "X.my-user",
		"X-Forwarded-User", "X_Forwarded_User", "X-Forwarded-Email", "X-Forwarded-Groups", "X-Forwarded-Preferred-Username", "X-Forwarded-Access-Token",
		"X-Auth-Request-User", "X-Auth-Request-Email", "X_Auth_Request_Groups", "X-Webauth-User", "X-Remote-User", "Proxy", "proxy", "PROXY", "Trailer",
	}
	for _, trusted := range []bool{false, true} {
		w.peer = func(*http.Request) Peer { return Peer{TLS: true, TrustedProxy: trusted} }
		for _, method := range []string{"GET", "HEAD", "POST", "OPTIONS"} {
			r := request(method, "/public")
			for _, name := range names {
				r.Header[name] = slices.Repeat([]string{"evil"}, 50)
			}
			r.Header["Accept"] = []string{"a", "b"}
			_, r = w.Strip(httptest.NewRecorder(), r)
			if got := slices.Sorted(maps.Keys(r.Header)); !slices.Equal(got, []string{"Accept"}) {
				t.Errorf("%s, trusted %v: %v is left", method, trusted, got)
			}
		}
	}
}

func TestStrip_forwarded_family_AC051(t *testing.T) {
	trustOnly := []string{
		"Forwarded", "X-Real-Ip", "True-Client-Ip", "Cf-Connecting-Ip", "X-Forwarded-Port", "X-Forwarded-Prefix", "X-Forwarded-Uri", "X-Forwarded-Method",
		"X-Forwarded-Server", "X-Forwarded-Scheme", "X-Forwarded-Ssl", "X-Client-Cert", "X-Client-Cert-Subject", "X-Original-Url", "X-Rewrite-Url",
		"Ssl-Client-Verify", "Ssl_Client_S_Dn", "X_Real_Ip", "X-Forwarded", "X-Forwarded-By", "X-Forwarded-Host-Original", "X-Forwarded-Anything",
		"X-Original-Host", "X-Host", "Client-Ip", "Forwarded-For", "Fastly-Client-Ip", "X-Azure-Clientip",
	}
	never := []string{"X_Forwarded_For", "X.Forwarded.Host", "X_forwarded-Proto", "X.Forwarded.Proto"}
	pass := []string{"X-Forwarded-For", "X-Forwarded-Host", "X-Forwarded-Proto", "X-Http-Method-Override", "Authorization", "Accept", "X-Request-Id"}
	for _, trusted := range []bool{false, true} {
		g := newGuard(t, peerIs(Peer{TLS: true, TrustedProxy: trusted}))
		r := request("GET", "/")
		for _, name := range slices.Concat(trustOnly, never, pass) {
			r.Header[name] = []string{"v"}
		}
		_, r = g.Strip(httptest.NewRecorder(), r)
		want := slices.Clone(pass)
		if trusted {
			want = append(want, trustOnly...)
		}
		slices.Sort(want)
		if got := slices.Sorted(maps.Keys(r.Header)); !slices.Equal(got, want) {
			t.Errorf("trusted %v:\ngot  %v\nwant %v", trusted, got, want)
		}
	}
}

// The next proxy deletes what Connection names. A client must not have it delete
// what we say (AC-047, AC-048).
func TestStrip_connection_AC047_AC048(t *testing.T) {
	g := newGuard(t, nil)
	for _, c := range []struct{ in, want []string }{
		{nil, nil},
		{[]string{"keep-alive"}, []string{"keep-alive"}},
		{[]string{"Upgrade"}, nil},
		{[]string{"keep-alive, Upgrade"}, []string{"keep-alive"}},
		{[]string{"close, Remote-User"}, []string{"close"}},
		{[]string{"close", "rEmote-useR"}, []string{"close"}},
		{[]string{"Remote-User,Remote-Email , Mfa-Assertion"}, nil},
		{[]string{"X-Forwarded-For, X-Forwarded-Proto, Host, Cookie, Authorization, Content-Length, Transfer-Encoding"}, nil},
		{[]string{"Upgrade, HTTP2-Settings, Cookie"}, nil},
		{[]string{"te, ,x"}, []string{"te"}},
	} {
		r := request("GET", "/")
		if c.in != nil {
			r.Header["Connection"] = c.in
		}
		_, r = g.Strip(httptest.NewRecorder(), r)
		if got := r.Header["Connection"]; !slices.Equal(got, c.want) {
			t.Errorf("%q: %q, want %q", c.in, got, c.want)
		}
	}
}

// An upgrade to anything but a WebSocket is a tunnel past the gate: on an open path
// a stranger would ask the app for a 101 to h2c, and then for what they like, as whom
// they like (AC-085).
func TestStrip_upgrade_AC085(t *testing.T) {
	g := newGuard(t, nil)
	for _, c := range []struct {
		upgrade []string
		kept    bool
	}{
		{[]string{"websocket"}, true},
		{[]string{"WebSocket"}, true},
		{[]string{"h2c"}, false},
		{[]string{"websocket, h2c"}, false},
		{[]string{"h2c, websocket"}, false},
		{[]string{"websocket", "h2c"}, false},
		{[]string{"websocket/13"}, false},
		{[]string{"TLS/1.2"}, false},
		{[]string{""}, false},
	} {
		r := request("GET", "/public/x")
		r.Header["Upgrade"] = c.upgrade
		r.Header["Connection"] = []string{"Upgrade, HTTP2-Settings, keep-alive"}
		r.Header["Http2-Settings"] = []string{"AAMAAABkAAQAAP__"}
		_, r = g.Strip(httptest.NewRecorder(), r)
		connection := strings.Join(r.Header["Connection"], ",")
		if got := len(r.Header["Upgrade"]) > 0; got != c.kept || strings.Contains(connection, "Upgrade") != c.kept {
			t.Errorf("%q: Upgrade %q, Connection %q", c.upgrade, r.Header["Upgrade"], connection)
		}
		if r.Header["Http2-Settings"] != nil || !strings.Contains(connection, "keep-alive") {
			t.Errorf("%q: %v", c.upgrade, r.Header)
		}
	}
}

func TestStrip_cookies_AC017(t *testing.T) {
	w := newWorld(t, nil)
	r := request("GET", "/", "Cookie", "a=1; "+w.cookie("s-alice")+"; b=\"2\"", "Cookie", "__Host-mfa-csrf=x", "Cookie", "c=3")
	_, r = w.Strip(httptest.NewRecorder(), r)
	if got := r.Header["Cookie"]; !slices.Equal(got, []string{"a=1; b=\"2\"", "c=3"}) {
		t.Errorf("%q", got)
	}
	// We still see them.
	req, err := w.Parse(r)
	if err != nil {
		t.Fatal(err)
	}
	if v, err := w.Session(r, req); err != nil || v.Subject.Name != "alice" {
		t.Errorf("%v, %v", v, err)
	}
	if value, n := web.Find(r, "__Host-mfa-csrf"); value != "x" || n != 1 {
		t.Errorf("%q, %d", value, n)
	}
	// A second gate on the same request changes nothing.
	w2, r2 := w.Strip(httptest.NewRecorder(), r)
	if r2 != r || w2 == nil {
		t.Error("stripped twice")
	}
}

// The app must not overwrite our cookies, whatever way it writes (AC-017, AC-056).
func TestStrip_set_cookie_AC017_AC056(t *testing.T) {
	write := map[string]func(http.ResponseWriter){
		"WriteHeader": func(w http.ResponseWriter) { w.WriteHeader(418) },
		"Write":       func(w http.ResponseWriter) { _, _ = w.Write([]byte("x")) },
		"ReadFrom":    func(w http.ResponseWriter) { _, _ = io.Copy(w, strings.NewReader("x")) },
		"Flush":       func(w http.ResponseWriter) { w.(http.Flusher).Flush() },
		"Controller":  func(w http.ResponseWriter) { _ = http.NewResponseController(w).Flush() },
		"interim first": func(w http.ResponseWriter) {
			w.WriteHeader(103)
			w.Header().Add("Set-Cookie", "__Host-mfa=2")
			w.WriteHeader(200)
		},
	}
	for name, send := range write {
		t.Run(name, func(t *testing.T) {
			world := newWorld(t, nil)
			rec := httptest.NewRecorder()
			w, _ := world.Strip(rec, request("GET", "/"))
			for _, line := range []string{
				"a=1; Path=/", "__Host-mfa=x; Secure; Path=/", "__host-MFA=x", " __Secure-mfa=x; Domain=a.test", "=__Host-mfa=x", "mfa-8080-half=x", "__Host-mfa", "b=2",
			} {
				w.Header().Add("Set-Cookie", line)
			}
			w.Header().Set("Connection", "Set-Cookie")
			send(w)
			if got := rec.Result().Header["Set-Cookie"]; !slices.Equal(got, []string{"a=1; Path=/", "b=2"}) {
				t.Errorf("%q", got)
			}
			events := world.events.take()
			if len(events) == 0 || events[0].Name != mfa.EventSessionInvalid || events[0].Reason != "app_sets_our_cookie" {
				t.Errorf("events %+v", events)
			}
		})
	}
	t.Run("our own pages", func(t *testing.T) {
		world := newWorld(t, nil)
		rec := httptest.NewRecorder()
		w, r := world.Strip(rec, request("GET", "/"))
		req, err := world.Parse(r)
		if err != nil {
			t.Fatal(err)
		}
		if err := world.SetSession(Plain(w), req, world.store.sessions["s-alice"]); err != nil {
			t.Fatal(err)
		}
		Plain(w).WriteHeader(303)
		if got := rec.Result().Header["Set-Cookie"]; len(got) != 2 {
			t.Errorf("%q", got)
		}
	})
}

func TestHeaders_refused(t *testing.T) {
	w := newWorld(t, nil)
	for name, h := range map[string]Headers{
		"no header name":        {User: "X User"},
		"line end":              {User: "X-User\r\nX: y"},
		"taken by the server":   {User: "Host"},
		"a credential":          {Email: "authorization"},
		"twice":                 {User: "X-User", Name: "x_user"},
		"the same as default":   {User: "Remote-Email"},
		"unknown field":         {UserField: "phone"},
		"forwarded, in Caddy's": {Name: "X-Forwarded-For"},
	} {
		if _, err := New(Config{Sessions: w.sessions, Policy: w.Guard.policy, Events: w.events, Headers: h}); err == nil {
			t.Errorf("%s: accepted", name)
		}
	}
	for name, alter := range map[string]func(*Config){
		"no sessions":     func(c *Config) { c.Sessions = nil },
		"no policy":       func(c *Config) { c.Policy = nil },
		"no events":       func(c *Config) { c.Events = nil },
		"plain origin":    func(c *Config) { c.Origin = "http://app.a.test" },
		"origin and path": func(c *Config) { c.Origin = "https://app.a.test/x" },
		"origin, no host": func(c *Config) { c.Origin = "https://" },
		"origin, user":    func(c *Config) { c.Origin = "https://u@app.a.test" },
		"domain of port":  func(c *Config) { c.Domain = "a.test:443" },
		"domain in caps":  func(c *Config) { c.Domain = "A.test" },
		"a bare suffix":   func(c *Config) { c.Domain = "test" },
		"domain is an IP": func(c *Config) { c.Domain = "192.0.2.1" },
	} {
		cfg := Config{Sessions: w.sessions, Policy: w.Guard.policy, Events: w.events}
		alter(&cfg)
		if _, err := New(cfg); err == nil {
			t.Errorf("%s: accepted", name)
		}
	}
}

// rawUpstream is an app that keeps the bytes of each request.
func rawUpstream(t *testing.T) (*url.URL, <-chan string) {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { l.Close() })
	seen := make(chan string, 16)
	go func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			go func() {
				defer c.Close()
				var raw strings.Builder
				br := bufio.NewReader(io.TeeReader(c, &raw))
				r, err := http.ReadRequest(br)
				if err != nil {
					return
				}
				_, _ = io.Copy(io.Discard, r.Body)
				seen <- raw.String()
				_, _ = io.WriteString(c, "HTTP/1.1 200 OK\r\nContent-Length: 2\r\nConnection: close\r\nSet-Cookie: __Host-mfa=planted\r\nSet-Cookie: app=1\r\n\r\nok")
			}()
		}
	}()
	return &url.URL{Scheme: "http", Host: l.Addr().String()}, seen
}

// gate serves the guard before a reverse proxy over TLS, with HTTP/2.
func gate(t *testing.T, w *world, to *url.URL) *httptest.Server {
	t.Helper()
	proxy := httputil.NewSingleHostReverseProxy(to)
	srv := httptest.NewUnstartedServer(http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) {
		rw, r = w.Strip(rw, r)
		if r.URL.Path == "/public" || w.Check(rw, r, mfa.Route{}) {
			proxy.ServeHTTP(rw, r)
		}
	}))
	srv.EnableHTTP2 = true
	srv.StartTLS()
	t.Cleanup(srv.Close)
	return srv
}

// The whole way, over HTTP/1.1 and HTTP/2: what the app receives as bytes.
func TestStrip_to_the_app(t *testing.T) {
	for _, proto := range []string{"HTTP/1.1", "HTTP/2.0"} {
		t.Run(proto, func(t *testing.T) {
			w := newWorld(t, nil)
			up, seen := rawUpstream(t)
			srv := gate(t, w, up)
			client := srv.Client()
			if proto == "HTTP/1.1" {
				tr := client.Transport.(*http.Transport).Clone()
				tr.TLSClientConfig.NextProtos, tr.ForceAttemptHTTP2 = []string{"http/1.1"}, false
				client = &http.Client{Transport: tr}
			}
			client.CheckRedirect = func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }
			send := func(path string, signedIn bool) string {
				t.Helper()
				r, err := http.NewRequestWithContext(context.Background(), "POST", srv.URL+path, io.NopCloser(strings.NewReader("body")))
				if err != nil {
					t.Fatal(err)
				}
				r.ContentLength = -1
				r.Host = appHost
				r.Trailer = http.Header{"Remote-User": {"evil"}, "Cookie": {"x=1"}}
				r.Header.Set("Remote-Email", "evil")
				r.Header["remote-groups"] = []string{"evil"}
				r.Header.Set("Cookie", "app=7")
				if signedIn {
					r.Header.Set("Cookie", "app=7; "+w.cookie("s-carol"))
				}
				resp, err := client.Do(r)
				if err != nil {
					t.Fatal(err)
				}
				defer resp.Body.Close()
				if resp.Proto != proto {
					t.Fatalf("spoke %s", resp.Proto)
				}
				if resp.StatusCode != 200 {
					return fmt.Sprint(resp.StatusCode)
				}
				if got := resp.Header["Set-Cookie"]; !slices.Equal(got, []string{"app=1"}) {
					t.Errorf("cookies of the app: %q", got)
				}
				return <-seen
			}
			for name, raw := range map[string]string{"AC-043 bypass": send("/public", false), "AC-049 signed in": send("/", true)} {
				for _, bad := range []string{"evil", "__Host-mfa", "Trailer:"} {
					if strings.Contains(raw, bad) {
						t.Errorf("%s: %q reached the app:\n%s", name, bad, raw)
					}
				}
				if !strings.Contains(raw, "Cookie: app=7\r\n") {
					t.Errorf("%s: the app's own cookie is gone:\n%s", name, raw)
				}
				if signedIn := strings.Contains(raw, "Remote-User: carol\r\n"); signedIn != strings.HasPrefix(name, "AC-049") {
					t.Errorf("%s: identity %v:\n%s", name, signedIn, raw)
				}
				if strings.Contains(raw, "Remote-Email") {
					t.Errorf("AC-044: an address that nobody proved:\n%s", raw)
				}
			}
			if got := send("/", false); got != "401" {
				t.Errorf("without a session: %s", got)
			}
		})
	}
}

// A client cannot have the proxy behind us delete the identity (AC-047).
func TestStrip_connection_to_the_app_AC047(t *testing.T) {
	w := newWorld(t, nil)
	up, seen := rawUpstream(t)
	proxy := httputil.NewSingleHostReverseProxy(up)
	srv := httptest.NewServer(http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) {
		rw, r = w.Strip(rw, r)
		if w.Check(rw, r, mfa.Route{}) {
			proxy.ServeHTTP(rw, r)
		}
	}))
	defer srv.Close()
	w.peer = func(*http.Request) Peer { return Peer{TLS: true} }
	for _, connection := range []string{"close, Remote-User", "close\r\nConnection: rEmote-useR", "Remote_User, Cookie", "Host, Content-Length, Remote-User"} {
		c, err := net.Dial("tcp", srv.Listener.Addr().String())
		if err != nil {
			t.Fatal(err)
		}
		fmt.Fprintf(c, "GET / HTTP/1.1\r\nHost: %s\r\nCookie: %s; a=1\r\nremote_user: evil\r\nConnection: %s\r\n\r\n", appHost, w.cookie("s-alice"), connection)
		raw := <-seen
		c.Close()
		for _, want := range []string{"Remote-User: alice\r\n", "Remote-Email: alice@a.test\r\n", "Remote-Groups: users,admins\r\n", "Cookie: a=1\r\n"} {
			if strings.Count(raw, want) != 1 || strings.Contains(raw, "evil") {
				t.Errorf("Connection: %q: the app got\n%s", connection, raw)
				break
			}
		}
	}
}
