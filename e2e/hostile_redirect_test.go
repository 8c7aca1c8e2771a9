package e2e

import (
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"testing"
)

// returnAddresses makes the families of AC-033 to AC-037: shapes of addresses
// that lead away from the host in some reader's eyes. e stands for the attacker.
func returnAddresses(host string, port int) map[string][]string {
	list := map[string][]string{}
	add := func(family string, addresses ...string) { list[family] = append(list[family], addresses...) }
	app := fmt.Sprintf("%s:%d", host, port)
	blanks := []string{"", " ", "\t", "\n", "\r", "\r\n", "\x00", "\x0b", "\x0c", "\u00a0", "\u200b", "\ufeff", "\u2028", "\x01", "\x1f", "%09", "%0a", "%0d", "%00", "%20", "%e2%80%8b"}
	for _, e := range []string{"e.test", "e.test/x", "e.test:443/", "e.test?x", "%65.test", "app.example.test.e.test", "2130706433", "[::1]", "e。test"} {
		for _, slashes := range []string{"//", "///", "////", `/\`, `\\`, `\/`, `//\`, `/\/`, "/%5c", "/%2f", "/%2F%2f", "%2f%2f", "%5c%5c", "/%255c", "/／", "／／", "/⁄", "/∕", "/..//", "/./", "/.//", "/..;//", "/%2e%2e//", "/.%2e//", "/x/..//", "/x/../../", ";//", "?//", "#//", "&//", "/;//", "///\t/", "/\t/", "/\n/", "/\r/"} {
			add("AC-033 slashes", slashes+e)
		}
		for _, scheme := range []string{"https:", "http:", "https:/", "https://", "https:///", "http:///", "HTTPS://", "hTTp:", "https:\\\\", "https:\\", "https:/\\", "ftp://", "ws://", "https%3a//", "%68ttps://", "ht\ttps://", "https\t://", "https:\t//", " https://", "//https:", "data:text/html,", "javascript://", "javascript:alert(1)//", "vbscript:", "blob:https://", "file:///", "view-source:https://", "intent://", "mailto:a@"} {
			add("AC-033 schemes", scheme+e)
		}
	}
	for _, blank := range blanks {
		add("AC-033 blanks", blank+"//e.test", "/"+blank+"/e.test", "//"+blank+"e.test", blank+"https://e.test", "https://"+blank+"e.test", "/x"+blank, "/"+blank+`\e.test`, "java"+blank+"script:alert(1)")
	}
	add("AC-035 user information",
		"https://"+app+"@e.test", `https://e.test\@`+app, "https://"+app+":443@e.test", "https://[::1]@"+app, "https://"+app+"%2f@e.test",
		"//"+app+"@e.test", "//e.test@"+app, "https://e.test@"+app, "https://"+app+"#@e.test", "https://"+app+`\@e.test`, "https://"+app+"?@e.test",
		"https://a:b@"+app, "//@e.test", "https://@e.test", "/@e.test/../..//e.test", "https:@e.test", "/\\@e.test")
	add("AC-036 near hosts",
		"https://evilapp.example.test", "https://app.example.test.e.test", "https://example.test", "https://app.example.test.", "https://APP.EXAMPLE.TEST",
		"https://app.example.test:8443", "http://app.example.test", "https://xn--pp-yia.example.test", "https://аpp.example.test", "https://127.0.0.1", "https://2130706433",
		"//app.example.test:1", "https://"+app, "https://"+app+"/x", "//"+app+"/x", "https://app.example.test%00.e.test", "https://app.example.test%2ee.test")
	add("AC-037 our own pages",
		"/.mfa/sign-out", "/.mfa/sign-in?rd=/.mfa/sign-out", "/.mfa/sign-in", "/.mfa/", "/.mfa", "/.mfa//sign-out", "/%2emfa/sign-out", "/.%6dfa/sign-out", "/.mfa%2fsign-out",
		"//.mfa/sign-out", "/x/../.mfa/sign-out", "/./.mfa/sign-out", "/.MFA/sign-out", "/.mfa;x/sign-out", "/.mfa/verify?rd=//e.test", "/.mfa/sign-in?rd=https://e.test",
		"/.mfa/sign-in?rd="+url.QueryEscape("/.mfa/sign-in?rd="+url.QueryEscape("//e.test")))
	nested := "//e.test"
	for range 25 {
		nested = "/.mfa/sign-in?rd=" + url.QueryEscape(nested)
	}
	add("AC-037 our own pages", nested)
	add("AC-042 not cut by hand", "/x&rd=//e.test", "/x%26rd%3d//e.test", "?rd=//e.test", "", "x", ".", "..", "/..", "/.", "/x/..", "/../e.test", "e.test", "./e.test", "%2e%2e/e.test", "/"+strings.Repeat("a", 5000), "/\x7f", "/\xff", "/\xc0\xaf/e.test", "/ü", "/%zz", "/%", "/%c0%af/e.test")
	return list
}

// away reports with a text that a browser which gets this Location leaves the
// host, or lands on one of the pages that undo a sign-in.
func (w *target) away(location string) string {
	scheme, host := browserTarget(w.host, location)
	switch {
	case scheme != "https" || host != w.host:
		return "leads to " + scheme + "://" + host
	case strings.ContainsAny(location, "\r\n\t\x00\\"):
		return "has bytes in it that readers differ on"
	}
	u, err := url.Parse(location)
	if err != nil {
		return err.Error()
	}
	if strings.HasPrefix(u.Path, "/.mfa/sign-out") || strings.HasPrefix(u.Path, "/.mfa/sign-in") {
		return "leads back into the flow"
	}
	if rd := u.Query().Get("rd"); rd != "" {
		if fault := w.away(rd); fault != "" {
			return "carries an address that " + fault
		}
	}
	return ""
}

// AC-033 to AC-037, AC-042: whatever the return address, a sign-in ends on this
// host. Every address goes through the last step of a signed-in browser, one of
// each family through a whole sign-in.
func TestHostile_return_address_AC033_AC035_AC036_AC037_AC042(t *testing.T) {
	w := attack(t)
	families := returnAddresses("app.example.test", w.TLSPort)
	total := 0
	for _, list := range families {
		total += len(list)
	}
	if total < 500 {
		t.Errorf("only %d addresses", total)
	}
	pages := []string{"sign-in", "verify", "set-up", "link"}
	for family, list := range families {
		t.Run(family, func(t *testing.T) {
			for i, address := range list {
				query := "?rd=" + url.QueryEscape(address)
				page := "/.mfa/" + pages[i%3]
				a := w.browser.once(w.browser.request("GET", page+query, nil))
				if a.Status != http.StatusSeeOther {
					t.Errorf("%q at %s: %d", address, page, a.Status)
					continue
				}
				if fault := w.away(a.Header.Get("Location")); fault != "" {
					t.Errorf("%q at %s: Location %q %s", address, page, a.Header.Get("Location"), fault)
				}
				// A page that shows the address in a link shows a safe one.
				if i%7 == 0 {
					a := w.browser.once(w.browser.request("GET", "/.mfa/account"+query, nil))
					for _, m := range attrs.FindAllStringSubmatch(a.Body, -1) {
						if m[1] != "href" && m[1] != "action" {
							continue
						}
						link := attributes(m[0])[m[1]]
						if scheme, host := browserTarget(w.host, link); scheme != "https" || host != w.host {
							t.Errorf("%q: the account page links to %q", address, link)
						}
					}
				}
			}
		})
	}
	t.Run("AC-033 in a whole sign-in", func(t *testing.T) {
		for family, list := range families {
			for _, address := range []string{list[0], list[len(list)/2]} {
				c := w.stranger(t)
				p := c.submit(c.get("/.mfa/sign-in?rd="+url.QueryEscape(address)), "/.mfa/sign-in", "name", "alice", "password", password)
				r := c.fill(p, "verify/totp", "code", w.alice.App.Code(t))
				p = c.once(r)
				if p.Status != http.StatusSeeOther || c.cookie(c.sessionName()) == "" {
					t.Fatalf("%s %q: the sign-in failed: %d %s", family, address, p.Status, p.Text())
				}
				if fault := w.away(p.Header.Get("Location")); fault != "" {
					t.Errorf("%s %q: Location %q %s", family, address, p.Header.Get("Location"), fault)
				}
			}
		}
	})
	t.Run("a good address is kept", func(t *testing.T) {
		for _, address := range []string{"/reports", "/reports?x=1&y=/a//b", "/a/b%20c", "/x?u=https://other.test/", "/.well-known/x"} {
			a := w.h2(plainGet("/.mfa/sign-in?rd=" + url.QueryEscape(address)).cookie(w.session))
			if got := a.header.Get("Location"); got != address {
				t.Errorf("%q became %q", address, got)
			}
		}
	})
	t.Run("AC-042 two addresses", func(t *testing.T) {
		for _, query := range []string{"rd=/a&rd=//e.test", "rd=//e.test&rd=/a", "rd[]=//e.test", "RD=//e.test", "rd=/a;rd=//e.test"} {
			a := w.h1(plainGet("/.mfa/sign-in?" + query).cookie(w.session))
			if fault := w.away(a.header.Get("Location")); fault != "" {
				t.Errorf("%s: %s", query, fault)
			}
		}
	})
	t.Run("AC-040 sign-out", func(t *testing.T) {
		for _, address := range slices.Concat(families["AC-035 user information"], families["AC-036 near hosts"], []string{"//e.test", `/\e.test`}) {
			q := "?rd=" + url.QueryEscape(address)
			c := w.stranger(t)
			p := c.once(c.formRequest("/.mfa/sign-out"+q, url.Values{
				"csrf": {c.get("/.mfa/sign-out" + q).CSRF()}, "rd": {address}, "post_logout_redirect_uri": {"https://e.test"},
			}))
			location := p.Header.Get("Location")
			if scheme, host := browserTarget(w.host, location); p.Status != http.StatusSeeOther || scheme != "https" || host != w.host {
				t.Fatalf("%q: %d %q", address, p.Status, location)
			}
			if a := w.h2(plainGet("/.mfa/sign-out" + q + "&post_logout_redirect_uri=https://e.test")); strings.Contains(a.body, "e.test/") {
				t.Errorf("%q stands on the page", address)
			}
		}
		// Without a session, too, the cookies go.
		c := w.stranger(t)
		p := c.once(c.formRequest("/.mfa/sign-out", url.Values{"csrf": {c.get("/.mfa/sign-out").CSRF()}}))
		if set := strings.Join(p.Header["Set-Cookie"], "\n"); !strings.Contains(set, w.hostCookie()+"=;") || !strings.Contains(set, w.hostCookie()+"-half=;") {
			t.Errorf("cookies stay: %q", set)
		}
	})
	t.Run("AC-041 another address in a later step", func(t *testing.T) {
		c := w.stranger(t)
		p := c.submit(c.get("/.mfa/sign-in?rd=/a"), "/.mfa/sign-in", "name", "alice", "password", password)
		r := c.fill(p, "verify/totp", "code", w.alice.App.Code(t), "rd", "//e.test")
		r.URL.RawQuery = "rd=" + url.QueryEscape(`/\e.test`)
		p = c.once(r)
		if fault := w.away(p.Header.Get("Location")); p.Status != http.StatusSeeOther || fault != "" {
			t.Errorf("%d %s", p.Status, fault)
		}
	})
	t.Run("AC-041 the language form goes back to a page of this host, as we write it", func(t *testing.T) {
		c := w.stranger(t)
		for _, back := range []string{"//e.test", "https://e.test/.mfa/sign-in", "/.mfa/../x", "/.mfa/sign-in/../../x", "/x", "/.mfa/\\e.test", "//e.test/.mfa/sign-in", "/.mfa/sign-in?rd=//e.test"} {
			p := c.once(c.fill(c.get("/.mfa/sign-in"), "preferences", "language", "de", "back", back))
			location := p.Header.Get("Location")
			if scheme, host := browserTarget(w.host, location); p.Status != http.StatusSeeOther || scheme != "https" || host != w.host || back != "/x" && !strings.HasPrefix(location, "/.mfa/") {
				t.Errorf("%q: %d %q", back, p.Status, location)
			}
			if end := c.get(location); strings.Contains(end.Body, "e.test/") && !strings.Contains(end.Body, "example.test") {
				t.Errorf("%q: the page has it", back)
			}
		}
	})
}

// AC-039: no header that names another host, scheme or path gets into an address.
func TestHostile_addresses_from_headers_AC039(t *testing.T) {
	w := attack(t)
	headers := [][2]string{
		{"X-Forwarded-Host", "evil.test"}, {"X-Forwarded-Proto", "evil"}, {"X-Forwarded-Port", "666"}, {"X-Forwarded-Prefix", "//evil.test"},
		{"Forwarded", "host=evil.test;proto=http"}, {"X-Host", "evil.test"}, {"X-Forwarded-Server", "evil.test"}, {"X-Original-URL", "//evil.test"},
		{"X-Rewrite-URL", "//evil.test"}, {"Referer", "https://evil.test/"}, {"Origin", "https://evil.test"}, {"X-Forwarded-Uri", "//evil.test"},
	}
	w.each(t, func(t *testing.T, send func(message) answer, protocol string) {
		for _, header := range headers {
			for _, path := range []string{"/x", "/.mfa/", "/.mfa/sign-in", "/.mfa/sign-out", "/.mfa/account", "/.mfa/set-up/totp?from=account", "/.mfa/link", "/strict/x", "/.mfa/nothing"} {
				for _, session := range []string{"", w.session} {
					// An address of its own for each, or the third would be taken for a circle.
					mark := "?"
					if strings.Contains(path, "?") {
						mark = "&"
					}
					a := send(plainGet(path + mark + "h=" + protocol + header[0]).with(header).cookie(session))
					if a.err != nil || a.status >= 500 {
						t.Errorf("AC-039 %s on %s: %s", header[0], path, a)
					}
					if strings.Contains(a.body, "evil") || strings.Contains(fmt.Sprint(a.header), "evil") || strings.Contains(a.body, "666") && header[1] == "666" && !strings.Contains(w.host, "666") && path != "/.mfa/account" && !strings.Contains(path, "totp") {
						t.Errorf("AC-039 %s on %s: it stands in the answer: %v", header[0], path, a.header)
					}
				}
			}
		}
	})
}
