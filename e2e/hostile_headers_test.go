package e2e

import (
	"fmt"
	"net"
	"net/http"
	"regexp"
	"slices"
	"strings"
	"testing"
)

// identity are the headers of hostileSite that tell the app who the user is.
var identity = []string{"Remote-User", "Remote-Name", "Remote-Email", "Remote-Groups", "Mfa-Assertion"}

// spellings are ways to write a header that some app folds into the same name.
func spellings(name string) []string {
	upper, lower := strings.ToUpper(name), strings.ToLower(name)
	return []string{
		name, lower, upper, strings.ReplaceAll(name, "-", "_"), strings.ReplaceAll(name, "-", "."),
		strings.ReplaceAll(lower, "-", "_"), strings.ReplaceAll(upper, "-", "_"), strings.ReplaceAll(upper, "-", "."),
		lower[:1] + upper[1:], "HTTP_" + strings.ReplaceAll(upper, "-", "_"),
	}
}

// forgeries are messages that carry identity in every spelling; each value has
// "evil" in it.
func forgeries(m message) map[string]message {
	list := map[string]message{}
	for _, name := range identity {
		for _, spelling := range spellings(name) {
			list[spelling] = m.with([2]string{spelling, "evil"})
		}
		list[name+" twice"] = m.with([2]string{name, "evil"}, [2]string{strings.ToLower(name), "evil2"})
		var fifty [][2]string
		for i := range 50 {
			fifty = append(fifty, [2]string{name, fmt.Sprintf("evil%d", i)})
		}
		list[name+" fifty times"] = m.with(fifty...)
		list[name+" as a list"] = m.with([2]string{name, "alice, evil"})
		list[name+" empty and full"] = m.with([2]string{name, ""}, [2]string{name, "evil"})
	}
	for _, name := range []string{
		"X-Remote-User", "X-Webauth-User", "X-Forwarded-User", "X-Forwarded-Email", "X-Forwarded-Groups",
		"X-Forwarded-Preferred-Username", "X-Forwarded-Access-Token", "X-Auth-Request-User", "X-Auth-Request-Email", "X_Remote_User",
		"Remote!User", "Remote~User", "Remote'Groups", "Remote|Email", "Remote`Name", "X-Forwarded~User", "X!Auth-Request-User",
	} {
		list[name] = m.with([2]string{name, "evil"})
	}
	return list
}

// folding is what the least particular of servers makes one character of.
var folding = regexp.MustCompile(`[^a-z0-9]`)

// identities returns what the app sees as identity, whatever it folds: the wire
// lines of the head, and of the trailers.
func identities(h *hit) []string {
	var list []string
	for line := range strings.SplitSeq(h.Raw, "\r\n") {
		name, value, _ := strings.Cut(line, ":")
		folded := folding.ReplaceAllString(strings.ToLower(name), "-")
		for _, id := range identity {
			if folded == strings.ToLower(id) || folded == "http-"+strings.ToLower(id) {
				list = append(list, name+": "+strings.TrimSpace(value))
			}
		}
	}
	return list
}

// AC-043 to AC-046: nobody but the gateway says who the user is, on any route.
func TestHostile_identity_AC043_AC044_AC045_AC046(t *testing.T) {
	w := attack(t)
	routes := []struct {
		name    string
		m       message
		session bool
		user    string // whom the app must see; "-": nothing reaches it
	}{
		{"authenticated", plainGet("/x"), true, "alice"},
		{"authenticated HEAD", message{method: "HEAD", target: "/x"}, true, "alice"},
		{"authenticated POST", message{method: "POST", target: "/x", body: "a=b"}, true, "alice"},
		{"authenticated OPTIONS", message{method: "OPTIONS", target: "/x"}, true, "alice"},
		{"bypass", plainGet("/public/x"), false, ""},
		{"bypass with a session", plainGet("/public/x"), true, ""},
		{"bypass HEAD", message{method: "HEAD", target: "/public/x"}, false, ""},
		{"bypass OPTIONS", message{method: "OPTIONS", target: "/public/x"}, false, ""},
		{"bypass POST", message{method: "POST", target: "/public/x", body: "a=b"}, false, ""},
		{"bypass by expression", plainGet("/assets/app.js"), false, ""},
		{"without a session", plainGet("/x"), false, "-"},
		{"our pages", plainGet("/.mfa/sign-in"), false, "-"},
		{"too weak", plainGet("/strict/x"), true, "-"},
	}
	w.each(t, func(t *testing.T, send func(message) answer, _ string) {
		for _, route := range routes {
			t.Run("AC-043 "+route.name, func(t *testing.T) {
				m := route.m
				if route.session {
					m = m.cookie(w.session)
				}
				for forgery, m := range forgeries(m) {
					a, h := w.reaches(send, m)
					if strings.Contains(a.body, "evil") || strings.Contains(fmt.Sprint(a.header), "evil") {
						t.Errorf("%s: echoed: %s", forgery, a)
					}
					if h == nil {
						// net/http refuses some spellings; nothing is wrong with that.
						if route.user != "-" && a.err == nil && a.status != http.StatusBadRequest {
							t.Errorf("%s: %s", forgery, a)
						}
						continue
					}
					if route.user == "-" {
						t.Errorf("%s: reached the app", forgery)
					}
					if strings.Contains(h.Raw, "evil") && !strings.HasPrefix(forgery, "HTTP_") {
						t.Errorf("%s: the app saw\n%s", forgery, h.Raw)
					}
					want := []string{"Mfa-Assertion: of " + route.user, "Remote-User: " + route.user}
					if route.user == "" {
						want = nil
					}
					if got := identities(h); !slices.Equal(got, want) {
						t.Errorf("%s: the app saw %q, want %q", forgery, got, want)
					}
				}
			})
		}
	})
}

// AC-045: a name that the configuration spells in its own way is the same name.
func TestHostile_renamed_headers_AC045(t *testing.T) {
	w := attack(t, strings.Replace(hostileSite, "\tmfa\n\tdefault_bind", `	mfa {
		headers {
			user x-MY-user
			groups X-WEBAUTH-GROUPS
		}
	}
	default_bind`, 1))
	w.each(t, func(t *testing.T, send func(message) answer, _ string) {
		for _, path := range []string{"/x", "/public/x"} {
			for _, name := range []string{"X-My-User", "x-my-user", "X_MY_USER", "X.My.User", "x-MY-user", "X-Webauth-Groups", "X_WEBAUTH_GROUPS", "Remote-User", "Remote_User"} {
				m := plainGet(path).with([2]string{name, "evil"}).cookie(w.session)
				if _, h := w.reaches(send, m); h == nil || strings.Contains(h.Raw, "evil") {
					t.Errorf("AC-045 %s on %s: %+v", name, path, h)
				} else if got := h.Request.Header["X-My-User"]; path == "/x" && !slices.Equal(got, []string{"alice"}) {
					t.Errorf("AC-045 %s: the app saw %q", name, got)
				}
			}
		}
	})
}

// AC-047, AC-048: the next proxy deletes what Connection names, identity too, if
// we let it.
func TestHostile_connection_AC047_AC048(t *testing.T) {
	w := attack(t)
	connection := func(lines ...string) [][2]string {
		var list [][2]string
		for _, line := range lines {
			list = append(list, [2]string{"Connection", line})
		}
		return list
	}
	cases := map[string][][2]string{
		"AC-047 after close":         connection("close, Remote-User"),
		"AC-047 on a second line":    connection("close", "rEmote-useR"),
		"AC-047 every name":          connection(strings.Join(identity, ",")),
		"AC-047 tabs":                connection("\tRemote-User\t,\tRemote-Groups"),
		"AC-047 empty parts":         connection(",,Remote-User,,"),
		"AC-047 keep-alive":          connection("keep-alive, Remote-User, Remote-Email"),
		"AC-047 quoted":              connection(`"Remote-User"`),
		"AC-047 Proxy-Connection":    {{"Proxy-Connection", "Remote-User"}},
		"AC-047 lower case":          {{"connection", "remote-user"}},
		"AC-047 underscore":          connection("Remote_User"),
		"AC-047 Keep-Alive lists it": {{"Connection", "Keep-Alive"}, {"Keep-Alive", "Remote-User"}},
		"AC-048 trust headers":       connection("X-Forwarded-For, X-Forwarded-Proto, X-Forwarded-Host, Host, Cookie, Authorization"),
		"AC-048 framing":             connection("Content-Length, Transfer-Encoding, Content-Type"),
	}
	for name, lines := range cases {
		t.Run(name, func(t *testing.T) {
			m := message{method: "POST", target: "/x", body: "a=b", header: append(lines,
				[2]string{"Authorization", "Bearer app"}, [2]string{"Content-Type", "text/x"})}.cookie("other=1; " + w.session)
			a, h := w.reaches(w.h1, m)
			if h == nil {
				if a.status != http.StatusBadRequest {
					t.Errorf("%s", a)
				}
				return
			}
			r := h.Request
			if got := identities(h); !slices.Equal(got, []string{"Mfa-Assertion: of alice", "Remote-User: alice"}) {
				t.Errorf("the app saw %q", got)
			}
			for _, name := range []string{"X-Forwarded-For", "X-Forwarded-Proto", "X-Forwarded-Host", "Authorization", "Cookie", "Content-Type"} {
				if len(r.Header[name]) != 1 {
					t.Errorf("%s: %q", name, r.Header[name])
				}
			}
			if r.Host != w.host || string(h.Body) != "a=b" {
				t.Errorf("host %q, body %q", r.Host, h.Body)
			}
		})
	}
	t.Run("AC-047 HTTP/2 has no such header", func(t *testing.T) {
		a, h := w.reaches(w.h2, plainGet("/x").with([2]string{"connection", "remote-user"}).cookie(w.session))
		if h != nil && !slices.Equal(identities(h), []string{"Mfa-Assertion: of alice", "Remote-User: alice"}) {
			t.Errorf("%s: the app saw %q", a, identities(h))
		}
	})
}

// AC-049: trailers come when every check is over, and some servers merge them
// into the headers.
func TestHostile_trailers_AC049(t *testing.T) {
	w := attack(t)
	evil := [][2]string{
		{"Remote-User", "evil"}, {"Cookie", "__Host-mfa=evil"}, {"Authorization", "Bearer evil"}, {"Remote_User", "evil"},
		{"Remote.User", "evil"}, {"X-Forwarded-For", "evil"}, {"X-Other", "evil"},
	}
	w.each(t, func(t *testing.T, send func(message) answer, protocol string) {
		for _, path := range []string{"/x", "/public/x"} {
			for _, announce := range []bool{true, false} {
				t.Run(fmt.Sprintf("AC-049 %s announced %v", path, announce), func(t *testing.T) {
					for i := range evil {
						m := message{method: "POST", target: path, body: "a=b", chunked: true, trailer: evil[i:], announce: announce}
						if i == 0 {
							m = m.with([2]string{"TE", "trailers"})
						}
						a, h := w.reaches(send, m.cookie(w.session))
						if h == nil {
							// Forbidden names in Trailer are refused as malformed; over HTTP/3 only
							// when the body has been read, on its way to the app.
							late := protocol == "h3" && a.status == http.StatusBadGateway
							if a.err == nil && a.status != http.StatusBadRequest && !late {
								t.Errorf("%s", a)
							}
							continue
						}
						if strings.Contains(h.Raw, "evil") || len(h.Request.Trailer) > 0 {
							t.Errorf("the app saw\n%s", h.Raw)
						}
						if string(h.Body) != "a=b" {
							t.Errorf("body %q", h.Body)
						}
					}
				})
			}
		}
	})
}

// trust are headers in which proxies tell apps about the connection.
var trust = []string{
	"X-Forwarded-Port", "X-Forwarded-Prefix", "X-Forwarded-Uri", "X-Forwarded-Method", "X-Forwarded-Server", "X-Forwarded-Scheme",
	"X-Forwarded-Ssl", "X-Forwarded-User", "X-Forwarded-Email", "X-Forwarded-Groups", "X-Forwarded-Preferred-Username",
	"X-Forwarded-Access-Token", "Forwarded", "X-Real-IP", "True-Client-IP", "CF-Connecting-IP", "X-Client-Cert",
	"X-Client-Cert-Subject", "X-Original-URL", "X-Rewrite-URL", "Ssl-Client-Cert", "Ssl-Client-Verify", "X-SSL-Client-DN",
	"X-Forwarded-For", "X-Forwarded-Host", "X-Forwarded-Proto", "X_Forwarded_For", "X_Forwarded_Proto", "X.Forwarded.Host",
	"X_Real_IP", "X_Original_URL", "Client-IP", "X-Client-IP", "X-Cluster-Client-IP", "X-Forwarded", "Forwarded-For", "X-Forwarded-By",
	"X-Forwarded-Host-Original", "X-Forwarded-Path", "X-Original-Host", "X-Original-URI", "X-Host", "Fastly-Client-IP", "X-Azure-ClientIP",
}

// AC-051: what an untrusted client says about the connection reaches nobody.
// AC-052: nor does "Proxy", which CGI turns into HTTP_PROXY.
func TestHostile_forwarded_AC051_AC052(t *testing.T) {
	w := attack(t)
	w.each(t, func(t *testing.T, send func(message) answer, _ string) {
		for _, path := range []string{"/x", "/public/x"} {
			for _, name := range append([]string{"Proxy", "PROXY", "proxy"}, trust...) {
				_, h := w.reaches(send, plainGet(path).with([2]string{name, "evil.test"}).cookie(w.session))
				switch {
				case h == nil:
					t.Errorf("AC-051 %s on %s: did not arrive", name, path)
				case strings.Contains(h.Raw, "evil"):
					t.Errorf("AC-051 %s on %s reached the app:\n%s", name, path, h.Raw)
				case h.Request.Header.Get("X-Forwarded-Proto") != "https" || h.Request.Header.Get("X-Forwarded-Host") != w.host ||
					h.Request.Header.Get("X-Forwarded-For") != w.wire.from:
					t.Errorf("AC-051 %s: the app was told %q", name, h.Request.Header)
				}
			}
		}
		t.Run("AC-053 the browser's own credentials are the app's", func(t *testing.T) {
			_, h := w.reaches(send, plainGet("/x").with([2]string{"Authorization", "Bearer s3cret-of-the-app"}).cookie(w.session))
			if h == nil || h.Request.Header.Get("Authorization") != "Bearer s3cret-of-the-app" {
				t.Errorf("the app saw %+v", h)
			}
			token := strings.TrimPrefix(w.browser.only(w.browser.sessionName()), w.browser.sessionName()+"=")
			if _, h := w.reaches(send, plainGet("/x").with([2]string{"Authorization", "Bearer " + token})); h != nil {
				t.Error("AC-016 our token was accepted in another place")
			}
		})
	})
	if strings.Contains(w.log(), "s3cret-of-the-app") {
		t.Error("AC-053 credentials in the log")
	}
}

// AC-055: a value that an app would read as two is refused where it is made.
func TestHostile_delimiters_AC055(t *testing.T) {
	w := attack(t)
	for _, args := range [][]string{
		{"bob", "--group", "users,admin"}, {"bob", "--group", "users|admin"}, {"bob", "--group", "a\r\nRemote-User: root"}, {"bob,root"}, {"bob;root"},
		{"bob\r\nX: y"}, {"bob|root"}, {"{env.HOME}"}, {"bob", "--name", "a,b"}, {"bob", "--name", "a\u202eb"}, {"bob", "--name", "a\nb"},
	} {
		r := w.run(append([]string{"mfa", "--config", w.file("Caddyfile"), "users", "invite"}, args...)...)
		if r.Code == 0 || strings.Contains(r.Stderr, "unknown flag") {
			t.Errorf("AC-055 %q was accepted, or not understood: %s", args, r.Stderr)
		}
	}
}

// AC-056: what the app answers does no harm to the session.
func TestHostile_answers_AC017_AC056(t *testing.T) {
	w := attack(t)
	answers := map[string]string{
		"AC-017 our cookie":             "HTTP/1.1 200 OK\r\nSet-Cookie: __Host-mfa=evil; Path=/; Secure\r\nSet-Cookie: mine=1\r\nContent-Length: 2\r\n\r\nok",
		"AC-017 in another case":        "HTTP/1.1 200 OK\r\nSet-Cookie: __HOST-MFA=evil; Path=/; Secure\r\nSet-Cookie: mine=1\r\nContent-Length: 2\r\n\r\nok",
		"AC-017 nameless":               "HTTP/1.1 200 OK\r\nSet-Cookie: =__Host-mfa=evil; Path=/\r\nSet-Cookie: mine=1\r\nContent-Length: 2\r\n\r\nok",
		"AC-017 half-done":              "HTTP/1.1 200 OK\r\nSet-Cookie: __Host-mfa-half=evil; Path=/; Secure\r\nSet-Cookie: mine=1\r\nContent-Length: 2\r\n\r\nok",
		"AC-017 csrf":                   "HTTP/1.1 200 OK\r\nSet-Cookie: __Host-mfa-csrf=evil; Path=/; Secure\r\nSet-Cookie: mine=1\r\nContent-Length: 2\r\n\r\nok",
		"AC-017 on an error page":       "HTTP/1.1 500 Oops\r\nSet-Cookie: __Host-mfa=evil; Path=/; Secure\r\nSet-Cookie: mine=1\r\nContent-Length: 2\r\n\r\nok",
		"AC-017 on a redirect":          "HTTP/1.1 302 Found\r\nLocation: /y\r\nSet-Cookie: __Host-mfa=evil; Path=/; Secure\r\nSet-Cookie: mine=1\r\nContent-Length: 2\r\n\r\nok",
		"AC-017 before the answer":      "HTTP/1.1 103 Early Hints\r\nSet-Cookie: __Host-mfa=evil\r\n\r\nHTTP/1.1 200 OK\r\nSet-Cookie: mine=1\r\nContent-Length: 2\r\n\r\nok",
		"AC-056 Connection: Set-Cookie": "HTTP/1.1 200 OK\r\nConnection: Set-Cookie\r\nSet-Cookie: __Host-mfa=evil\r\nContent-Length: 2\r\n\r\nok",
		"AC-056 identity":               "HTTP/1.1 200 OK\r\nRemote-User: root\r\nSet-Cookie: mine=1\r\nContent-Length: 2\r\n\r\nok",
		"AC-056 trailers":               "HTTP/1.1 200 OK\r\nTrailer: Set-Cookie\r\nSet-Cookie: mine=1\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nok\r\n0\r\nSet-Cookie: __Host-mfa=evil\r\n\r\n",
		"AC-056 unannounced trailers":   "HTTP/1.1 200 OK\r\nSet-Cookie: mine=1\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nok\r\n0\r\nSet-Cookie: __Host-mfa=evil\r\n\r\n",
		"AC-056 interim answers":        strings.Repeat("HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\n", 4) + "HTTP/1.1 200 OK\r\nSet-Cookie: mine=1\r\nContent-Length: 2\r\n\r\nok",
		"AC-056 a flood of them":        strings.Repeat("HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\n", 3000) + "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok",
		"AC-056 no answer":              "HTTP/1.1 200 OK\r\nContent-Length: 20\r\n\r\nok",
		"AC-056 nonsense":               "\x00\x01\x02",
	}
	w.each(t, func(t *testing.T, send func(message) answer, protocol string) {
		for name, text := range answers {
			// The server of HTTP/3 sends whatever Trailer names as a trailer alone, where no
			// browser reads a cookie: the app has asked for that.
			kept := strings.Contains(text, "mine=1") && !(protocol == "h3" && name == "AC-056 trailers")
			t.Run(name, func(t *testing.T) {
				w.App.Answer(func(c net.Conn, _ hit) bool {
					_, _ = c.Write([]byte(text))
					return false
				})
				defer w.App.Answer(nil)
				a := send(plainGet("/x").cookie("other=1; " + w.session))
				for name, values := range a.header {
					for _, v := range values {
						if strings.EqualFold(name, "Set-Cookie") && !strings.HasPrefix(v, "mine=") {
							t.Errorf("the browser gets Set-Cookie: %s", v)
						}
					}
				}
				if kept && a.err == nil && a.status < 500 && !slices.Contains(a.header["Set-Cookie"], "mine=1") {
					t.Errorf("the app's own cookie is lost: %s %v", a, a.header)
				}
			})
		}
		t.Run("AC-017 our cookies never reach the app", func(t *testing.T) {
			half := w.browser.halfDoneName() + "=x"
			for line, want := range map[string]string{
				"a=1; " + w.session + "; b=\"2\"":                                            `a=1; b="2"`,
				w.session + "; " + half + "; c=3":                                            "c=3",
				"z=1;" + half + ";" + w.hostCookie() + "-theme=dark; __Host-mfa-csrf=q; y=2": "z=1; y=2",
			} {
				if !strings.Contains(line, w.session) {
					line += "; " + w.session
				}
				_, h := w.reaches(send, plainGet("/x").cookie(line))
				if h == nil {
					t.Fatalf("%q did not arrive", line)
				}
				if got := strings.Join(h.Request.Header["Cookie"], "|"); strings.ReplaceAll(got, "; ", ";") != strings.ReplaceAll(want, "; ", ";") {
					t.Errorf("the app saw Cookie %q, want %q", got, want)
				}
				if ours.MatchString(h.Raw) {
					t.Errorf("the app saw\n%s", h.Raw)
				}
			}
			_, h := w.reaches(send, plainGet("/public/x").cookie(w.session))
			if h == nil || ours.MatchString(h.Raw) {
				t.Errorf("on a bypass the app saw %+v", h)
			}
		})
	})
	if a, h := w.reaches(w.h1, plainGet("/x").cookie(w.session)); h == nil {
		t.Errorf("the gateway is not well: %s", a)
	}
	if !strings.Contains(w.log(), "app_sets_our_cookie") {
		t.Error("AC-017 no event for the app that sets our cookie")
	}
}

var ours = regexp.MustCompile(`(?i)__(Host|Secure)-mfa`)
