package e2e

import (
	"fmt"
	"html"
	"net"
	"net/http"
	"net/url"
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"
)

// AC-120, AC-121, AC-123: what another site makes a browser send changes nothing.
func TestHostile_csrf_AC120_AC121_AC123(t *testing.T) {
	w := attack(t)
	// Of the API's no form with a token is asked: it goes by the type and the origin.
	var posts, programs, elsewhere []string
	for _, route := range served(t) {
		method, path, _ := strings.Cut(route, " ")
		switch {
		case method != http.MethodPost || !strings.HasPrefix(path, "/.mfa/") || strings.Contains(path, "?") || strings.HasSuffix(path, "nothing"):
		case strings.HasPrefix(path, "/.mfa/admin"), strings.HasPrefix(path, "/.mfa/api/admin"), path == "/.mfa/health", path == "/.mfa/jwks.json":
			elsewhere = append(elsewhere, path) // this host carries an app, or nothing takes a POST there
		case strings.HasSuffix(path, "/back-channel"):
			// A provider calls it, without cookies; there is none here (AC-174 has its tests).
		case strings.HasPrefix(path, "/.mfa/api/"):
			programs = append(programs, path)
		default:
			posts = append(posts, path)
		}
	}
	if len(posts) < 15 || len(programs) < 15 || len(elsewhere) < 15 {
		t.Fatalf("only %d, %d and %d routes take a POST", len(posts), len(programs), len(elsewhere))
	}
	token := w.browser.get("/.mfa/sign-out").CSRF()
	line := w.browser.line()
	form := "csrf=" + token + "&name=alice&password=" + url.QueryEscape(password) + "&language=de&saved=yes&do=skip&code=12345"
	const urlencoded = "application/x-www-form-urlencoded"
	good := func(path string) message {
		m := message{method: "POST", target: path, body: form}.with(
			[2]string{"Content-Type", urlencoded}, [2]string{"Origin", "https://" + w.host}, [2]string{"Sec-Fetch-Site", "same-origin"})
		if strings.HasSuffix(path, "/begin") || strings.HasSuffix(path, "/finish") || strings.HasPrefix(path, "/.mfa/api/") {
			m.body = "{}"
			m.header = [][2]string{{"Content-Type", "application/json"}, {"X-Csrf-Token", token}, {"Origin", "https://" + w.host}, {"Sec-Fetch-Site", "same-origin"}}
		}
		return m
	}
	replace := func(m message, name string, values ...string) message {
		var kept [][2]string
		for _, h := range m.header {
			if h[0] != name {
				kept = append(kept, h)
			}
		}
		for _, v := range values {
			kept = append(kept, [2]string{name, v})
		}
		m.header = kept
		return m
	}
	attacks := map[string]func(message) message{
		"from evil.test": func(m message) message {
			return replace(replace(m, "Origin", "https://evil.test"), "Sec-Fetch-Site", "cross-site")
		},
		"from evil.test, an old browser": func(m message) message {
			return replace(replace(m, "Origin", "https://evil.test"), "Sec-Fetch-Site")
		},
		"Origin null":            func(m message) message { return replace(replace(m, "Origin", "null"), "Sec-Fetch-Site") },
		"Origin null, same site": func(m message) message { return replace(m, "Origin", "null") },
		"Sec-Fetch-Site alone":   func(m message) message { return replace(replace(m, "Origin"), "Sec-Fetch-Site", "cross-site") },
		"a sibling": func(m message) message {
			return replace(replace(m, "Origin", "https://evil.example.test"), "Sec-Fetch-Site", "same-site")
		},
		"the same host, no TLS": func(m message) message { return replace(replace(m, "Origin", "http://"+w.host), "Sec-Fetch-Site") },
		"another port": func(m message) message {
			return replace(replace(m, "Origin", "https://app.example.test:1"), "Sec-Fetch-Site")
		},
		"two origins":              func(m message) message { return replace(m, "Origin", "https://"+w.host, "https://evil.test") },
		"two words of the browser": func(m message) message { return replace(m, "Sec-Fetch-Site", "same-origin", "cross-site") },
		"text/plain":               func(m message) message { return replace(m, "Content-Type", "text/plain") },
		"multipart":                func(m message) message { return replace(m, "Content-Type", "multipart/form-data; boundary=x") },
		"no content type":          func(m message) message { return replace(m, "Content-Type") },
		"two content types":        func(m message) message { return replace(m, "Content-Type", urlencoded, "text/plain") },
		"JSON in text/plain": func(m message) message {
			m = replace(m, "Content-Type", "text/plain")
			m.body = `{"csrf":"` + token + `"}`
			return m
		},
		"no token": func(m message) message {
			m.body = strings.Replace(m.body, token, "", 1)
			return replace(m, "X-Csrf-Token")
		},
		"a token of somebody else": func(m message) message {
			other := w.stranger(t).get("/.mfa/link").CSRF()
			m.body = strings.Replace(m.body, token, other, 1)
			return replace(m, "X-Csrf-Token", other)
		},
		"the cookie as the token": func(m message) message {
			cookie := w.browser.cookie(w.hostCookie() + "-csrf")
			m.body = strings.Replace(m.body, token, cookie, 1)
			return replace(m, "X-Csrf-Token", cookie)
		},
		"a token in the address": func(m message) message {
			m.target += "?csrf=" + token
			m.body = strings.Replace(m.body, token, "", 1)
			return replace(m, "X-Csrf-Token")
		},
	}
	w.each(t, func(t *testing.T, send func(message) answer, _ string) {
		for name, attack := range attacks {
			paths := posts
			if !strings.Contains(name, "token") {
				paths = append(slices.Clone(posts), programs...)
			}
			for _, path := range paths {
				a := send(attack(good(path)).cookie(line))
				if a.status != http.StatusForbidden && a.status != http.StatusUnsupportedMediaType && a.status != http.StatusBadRequest {
					t.Errorf("AC-121 %s: %s: %s", name, path, a)
				}
				for _, set := range a.header["Set-Cookie"] {
					if cookie, value, _ := strings.Cut(set, "="); (cookie == w.hostCookie() || cookie == w.hostCookie()+"-half") && value != "" {
						t.Errorf("AC-120 %s: %s sets %s", name, path, cookie)
					}
				}
			}
		}
		t.Run("AC-121 without the session cookie, as SameSite has it", func(t *testing.T) {
			for _, path := range append(slices.Clone(posts), programs...) {
				if a := send(replace(replace(good(path), "Origin", "https://evil.test"), "Sec-Fetch-Site", "cross-site")); a.status != http.StatusForbidden {
					t.Errorf("%s: %s", path, a)
				}
			}
		})
		t.Run("AC-155 the console and its API are not here", func(t *testing.T) {
			for _, path := range elsewhere {
				if a := send(good(path).cookie(line)); a.status != http.StatusNotFound && a.status != http.StatusMethodNotAllowed {
					t.Errorf("%s: %s", path, a)
				}
			}
		})
		t.Run("AC-123 a GET of everything leaves the session as it is", func(t *testing.T) {
			for _, path := range append(slices.Concat(posts, programs), "/.mfa/sign-out?do=now", "/.mfa/sign-out?csrf="+token) {
				send(message{method: "GET", target: path, header: [][2]string{{"Sec-Fetch-Dest", "image"}, {"Sec-Fetch-Site", "cross-site"}, {"Sec-Fetch-Mode", "no-cors"}}}.cookie(line))
				send(message{method: "HEAD", target: path}.cookie(line))
			}
			if a, h := w.reaches(send, plainGet("/x").cookie(line)); h == nil {
				t.Errorf("%s", a)
			}
		})
	})
	if a := w.browser.get("/.mfa/account"); !a.Has("Authenticator app") || a.Status != http.StatusOK {
		t.Errorf("the account is not as it was: %d %s", a.Status, a.Text())
	}
	t.Run("the good one does work", func(t *testing.T) {
		if a := w.h2(good("/.mfa/sign-out").cookie(line)); a.status != http.StatusSeeOther {
			t.Errorf("%s", a)
		}
		if fault := denied(w.reaches(w.h2, plainGet("/x").cookie(line))); fault != "" {
			t.Error(fault)
		}
	})
}

// AC-124: a page in a browser on the machine itself does not reach the admin
// endpoint.
func TestHostile_admin_AC124(t *testing.T) {
	w := attack(t)
	admin := wire{addr: w.adminAddress(), host: w.adminAddress()}
	post := message{method: "POST", target: "/mfa/users/end-sessions", header: [][2]string{{"Content-Type", "application/json"}}, body: `{"name":"alice"}`}
	_, port, err := net.SplitHostPort(w.adminAddress())
	if err != nil {
		t.Fatal(err)
	}
	rebound := post
	rebound.host = "evil.test:" + port
	for name, m := range map[string]message{
		"AC-124 a rebound name":            rebound,
		"AC-124 another origin":            post.with([2]string{"Origin", "https://evil.test"}),
		"AC-124 origin null":               post.with([2]string{"Origin", "null"}),
		"AC-124 a simple request":          {method: "POST", target: post.target, header: [][2]string{{"Content-Type", "text/plain"}, {"Origin", "https://evil.test"}}, body: post.body},
		"AC-124 without an origin":         {method: "POST", target: post.target, header: [][2]string{{"Content-Type", "text/plain"}}, body: post.body},
		"AC-124 as a form":                 {method: "POST", target: post.target, header: [][2]string{{"Content-Type", "application/x-www-form-urlencoded"}}, body: post.body},
		"AC-124 GET":                       {method: "GET", target: post.target},
		"AC-124 cross-site by word":        post.with([2]string{"Sec-Fetch-Site", "cross-site"}, [2]string{"Origin", "https://evil.test"}),
		"AC-124 a preflight":               {method: "OPTIONS", target: post.target, header: [][2]string{{"Origin", "https://evil.test"}, {"Access-Control-Request-Method", "POST"}}},
		"AC-227 unknown fields":            {method: "POST", target: post.target, header: post.header, body: `{"name":"alice","generation":7}`},
		"AC-124 an operation that is none": {method: "POST", target: "/mfa/users/../../config/", header: post.header, body: post.body},
	} {
		t.Run(name, func(t *testing.T) {
			a := admin.h1(m)
			if a.status/100 == 2 || a.header.Get("Access-Control-Allow-Origin") != "" {
				t.Errorf("%s %v", a, a.header)
			}
		})
	}
	if a, h := w.reaches(w.h2, plainGet("/x").cookie(w.session)); h == nil {
		t.Errorf("alice's sessions were ended: %s", a)
	}
	t.Run("AC-124 not on the site's own port", func(t *testing.T) {
		for _, path := range []string{"/mfa/users/list", "/config/", "/load", "/debug/pprof/"} {
			m := post
			m.target = path
			if fault := denied(w.reaches(w.h2, m)); fault != "" {
				t.Errorf("%s: %s", path, fault)
			}
		}
	})
	if a := admin.h1(post); a.status != http.StatusOK {
		t.Errorf("the command itself: %s", a)
	}
	if fault := denied(w.reaches(w.h2, plainGet("/x").cookie(w.session))); fault != "" {
		t.Errorf("B36 alice's sessions have ended, and the next request: %s", fault)
	}
}

// probes are texts that mean something to one reader or another.
var probes = []string{
	`"><svg/onload=1>`, `'><img src=x onerror=1>`, `</script><script>1</script>`, `javascript:alert(1)`, `{{.}}`, `{env.SECRET}`,
	`{http.request.header.Cookie}`, `%s%n`, `${jndi:ldap://e.test}`, "a\r\nSet-Cookie: evil=1", `{file./etc/passwd}`, `<!--`, `&lt;b&gt;<b>`,
}

// AC-133, AC-134, AC-135: whatever is sent in, wherever, comes out as text or not
// at all.
func TestHostile_reflection_AC133_AC134_AC135(t *testing.T) {
	t.Setenv("SECRET", "the-secret-of-the-environment")
	w := attack(t)
	look := func(t *testing.T, where, probe string, a answer) {
		t.Helper()
		html := strings.HasPrefix(a.header.Get("Content-Type"), "text/html")
		switch {
		case a.err != nil:
			return
		case a.status >= 500:
			t.Errorf("%s %q: %s", where, probe, a)
		case html && strings.ContainsAny(probe, "<>\"'") && strings.Contains(a.body, probe):
			t.Errorf("AC-133 %s: %q stands on the page", where, probe)
		case strings.Contains(a.body, os.Getenv("SECRET")) || strings.Contains(a.body, "root:x:0"):
			t.Errorf("AC-135 %s: %q was expanded", where, probe)
		case a.header.Get("Set-Cookie") == "evil=1" || strings.Contains(strings.Join(a.header["Set-Cookie"], "|"), "evil"):
			t.Errorf("AC-133 %s: %q set a cookie", where, probe)
		}
		if html {
			for _, m := range attrs.FindAllStringSubmatch(a.body, -1) {
				if m[1] != "href" && m[1] != "src" && m[1] != "action" {
					continue
				}
				if link := attributes(m[0])[m[1]]; !strings.HasPrefix(link, "/") && !strings.HasPrefix(link, "#") && !strings.HasPrefix(link, "otpauth:") && !strings.HasPrefix(link, "data:image/") {
					t.Errorf("AC-134 %s: %q became the link %q", where, probe, link)
				}
			}
		}
	}
	w.each(t, func(t *testing.T, send func(message) answer, protocol string) {
		for _, probe := range probes {
			// An address of each protocol's own: one session sent on from the same address three
			// times in ten seconds is a loop, and is told so.
			q := url.QueryEscape(probe) + "&over=" + protocol
			header := strings.NewReplacer("\r", "", "\n", "").Replace(probe)
			for _, path := range []string{"sign-in", "sign-out", "link", "verify", "verify/totp", "set-up", "set-up/totp", "account", "account/remove", "nothing"} {
				for _, name := range []string{"rd", "for", "prove", "from", "again", "done", "list", "c", "max_age", "factors", "phr", "credential", "lang"} {
					if name != "rd" && name != "for" && path != "account" && path != "sign-in" {
						continue
					}
					for _, session := range []string{"", w.session} {
						look(t, path+"?"+name, probe, send(plainGet("/.mfa/"+path+"?"+name+"="+q).cookie(session)))
					}
				}
			}
			look(t, "path", probe, send(plainGet("/.mfa/"+url.PathEscape(probe)).cookie(w.session)))
			look(t, "path of the app", probe, send(plainGet("/"+url.PathEscape(probe))))
			for _, name := range []string{"User-Agent", "Accept-Language", "Referer", "X-Forwarded-Host", "Accept", "Origin", "Sec-Fetch-Site", "X-Forwarded-For", "From"} {
				look(t, name, probe, send(message{method: "GET", target: "/.mfa/account", header: [][2]string{{name, header}}}.cookie(w.session)))
				look(t, name, probe, send(message{method: "GET", target: "/.mfa/sign-in", header: [][2]string{{"Accept", "text/html"}, {name, header}}}))
			}
			for _, cookie := range []string{w.hostCookie() + "-lang", w.hostCookie() + "-theme", w.hostCookie() + "-csrf", w.hostCookie(), w.hostCookie() + "-half"} {
				look(t, "cookie "+cookie, probe, send(plainGet("/.mfa/sign-in").cookie(cookie+"="+strings.ReplaceAll(header, ";", ""))))
			}
			for _, host := range []string{"app.example.test:" + header, header, header + ".example.test"} {
				m := plainGet("/.mfa/sign-in")
				m.host = host
				look(t, "Host", probe, send(m))
			}
		}
	})
	t.Run("AC-133 fields of forms", func(t *testing.T) {
		for i, probe := range probes {
			c := w.stranger(t)
			for _, f := range []struct{ page, action, field string }{
				{"/.mfa/sign-in", "/.mfa/sign-in", "name"}, {"/.mfa/link", "/.mfa/link", "token"}, {"/.mfa/sign-in", "preferences", "back"}, {"/.mfa/sign-in", "preferences", "language"},
			} {
				a := c.once(c.fill(c.get(f.page), f.action, f.field, probe))
				look(t, f.page+" "+f.field, probe, answer{status: a.Status, header: a.Header, body: a.Body})
			}
			if i%4 != 0 {
				continue
			}
			// The name of a factor, and its own name and address, shown back on pages.
			p := w.browser.get(renameHref(t, w.browser.get("/.mfa/account")))
			a := w.browser.submit(p, "account/rename", "name", probe)
			look(t, "name of a factor", probe, answer{status: a.Status, header: a.Header, body: a.Body})
		}
	})
	t.Run("AC-135 a person's own name, on pages and in headers", func(t *testing.T) {
		for i, display := range []string{`{env.SECRET}`, `{http.request.header.Cookie}`, `<b>"Bob'</b>`, `{{.}}`, `%s%n ${jndi:x}`} {
			c := w.stranger(t)
			name := fmt.Sprintf("bob%d", i)
			link := w.invite(t, name, "--name", display)
			c.join(link, name)
			a := c.get("/.mfa/account")
			look(t, "display name", display, answer{status: a.Status, header: a.Header, body: a.Body})
			if !a.Has(display) {
				t.Errorf("%q is not shown as it is: %s", display, a.Text())
			}
			c.get("/x")
			h := w.App.last()
			if got := h.Request.Header.Get("Remote-Name"); got != display {
				t.Errorf("%q reached the app as %q", display, got)
			}
		}
	})
	t.Run("AC-229 nothing of it is in the log", func(t *testing.T) {
		text := w.log()
		secrets := append([]string{password, w.alice.App.Secret, w.browser.cookie(w.hostCookie()), "the-secret-of-the-environment", "$argon2"}, w.alice.Backup...)
		for _, secret := range secrets {
			if strings.Contains(text, secret) {
				t.Errorf("a secret is in the log: %.10s…", secret)
			}
		}
	})
}

// AC-128: one click after a page has loaded removes nothing; the page asks first.
func TestHostile_double_click_AC128(t *testing.T) {
	w := attack(t)
	m := held.FindStringSubmatch(w.browser.get("/.mfa/account").Body)
	if m == nil {
		t.Fatal("no factor on the account page")
	}
	for range 2 {
		if a := w.browser.get("/.mfa/account/remove?credential=" + m[1]); a.Status != http.StatusOK || len(a.Forms()) == 0 {
			t.Errorf("the page that asks: %d %q", a.Status, a.Title())
		}
	}
	if a := w.browser.get("/.mfa/account"); !strings.Contains(a.Body, m[1]) {
		t.Error("the factor is gone")
	}
}

// AC-129: nothing that we answer is kept; what the app answers is left as it is.
func TestHostile_caching_AC129(t *testing.T) {
	w := attack(t)
	w.App.Answer(func(c net.Conn, h hit) bool {
		_, _ = fmt.Fprint(c, "HTTP/1.1 200 OK\r\nCache-Control: public, max-age=60\r\nX-Frame-Options: SAMEORIGIN\r\nContent-Length: 2\r\nX-App: hit\r\n\r\nok")
		return false
	})
	w.each(t, func(t *testing.T, send func(message) answer, _ string) {
		if a := send(plainGet("/x").cookie(w.session)); a.header.Get("Cache-Control") != "public, max-age=60" || a.header.Get("X-Frame-Options") != "SAMEORIGIN" || a.header.Get("Content-Security-Policy") != "" {
			t.Errorf("the app's answer was changed: %v", a.header)
		}
		for _, m := range []message{plainGet("/x"), {method: "GET", target: "/x"}, {method: "POST", target: "/x", body: "a=b"}, plainGet("/strict/x").cookie(w.session), {method: "TRACE", target: "/x"}, plainGet("/.mfa/account").cookie(w.session), plainGet("/x").cookie(w.hostCookie() + "=x")} {
			if a := send(m); a.header.Get("Cache-Control") != "no-store" {
				t.Errorf("%s %s: %s %q", m.method, m.target, a, a.header.Get("Cache-Control"))
			}
		}
	})
}

// renameHref is where the account page leads to rename its first factor.
func renameHref(t testing.TB, account *answered) string {
	t.Helper()
	m := regexp.MustCompile(`href="(/\.mfa/account/rename[^"]*)"`).FindStringSubmatch(account.Body)
	if m == nil {
		t.Fatalf("nothing can be renamed on %s:\n%s", account.URL, account.Text())
	}
	return html.UnescapeString(m[1])
}
