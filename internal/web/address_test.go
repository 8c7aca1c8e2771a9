package web

import (
	"fmt"
	"slices"
	"strings"
	"testing"
)

// whatwgHost is where a browser on https://app.a.test would go with this Location:
// the parts of the URL standard that decide about the host, and no more.
func whatwgHost(location string) string {
	s := strings.TrimFunc(location, func(r rune) bool { return r <= ' ' })
	s = strings.Map(func(r rune) rune {
		if r == '\t' || r == '\n' || r == '\r' {
			return -1
		}
		return r
	}, s)
	scheme := ""
	if i := strings.IndexByte(s, ':'); i > 0 && strings.Trim(strings.ToLower(s[:i]), "abcdefghijklmnopqrstuvwxyz0123456789+-.") == "" {
		scheme, s = strings.ToLower(s[:i]), s[i+1:]
	}
	if scheme != "" && !slices.Contains([]string{"http", "https", "ws", "wss", "ftp"}, scheme) {
		return scheme + ":" // another kind of address altogether
	}
	// In addresses of the web a backslash is a slash.
	end := len(s)
	if i := strings.IndexAny(s, "?#"); i >= 0 {
		end = i
	}
	s = strings.ReplaceAll(s[:end], "\\", "/") + s[end:]
	slashes := len(s) - len(strings.TrimLeft(s, "/"))
	if scheme == "https" && slashes < 2 || scheme == "" && slashes < 2 {
		return "app.a.test" // relative
	}
	authority, _, _ := strings.Cut(strings.TrimLeft(s, "/"), "/")
	if i := strings.IndexAny(authority, "?#"); i >= 0 {
		authority = authority[:i]
	}
	if i := strings.LastIndexByte(authority, '@'); i >= 0 {
		authority = authority[i+1:]
	}
	return strings.ToLower(authority)
}

func TestWhatwgHost(t *testing.T) {
	for location, want := range map[string]string{
		"/a": "app.a.test", "//e": "e", "/\\e": "e", "\\\\e": "e", "/\t/e": "e", " //e": "e", "https:e": "app.a.test", "https://app.a.test@e": "e",
		"/a//e": "app.a.test", "///e": "e", "http:e": "e", "javascript:x": "javascript:", "https://E\\@app.a.test": "e", "?//e": "app.a.test",
	} {
		if got := whatwgHost(location); got != want {
			t.Errorf("%q: %q, want %q", location, got, want)
		}
	}
}

// hostile generates the families of addresses that have sent people away from
// gateways like this one.
func hostile() []string {
	var list []string
	add := func(format string, hosts ...string) {
		for _, h := range hosts {
			list = append(list, fmt.Sprintf(format, h))
		}
	}
	slashes := []string{
		"//", "///", "////", "/\\", "\\\\", "\\/", "\\", "/\\/", "//\\", "/%5c", "/%5C", "/%2f", "/%2F", "/%2f%2f", "%2f%2f", "%2f", "%5c%5c", "/%255c", "/%252f",
		"/./", "/.//", "/..//", "/../", "/.\\", "/..\\", "/a/..//", "/a/../", "/a/../../", "/a/%2e%2e//", "/%2e//", "/%2e%2e//", "/%2e%2e/", "/.%2e//", "/;//", ";//", "?//", "#//",
	}
	blanks := []string{
		" ", "\t", "\n", "\r", "\r\n", "\x00", "\x0b", "\x0c", "\x1f", "\x7f", "\u00a0", "\u200b", "\u2028", "\ufeff", "\u3000", "%09", "%0a", "%0d", "%0d%0a", "%00", "%20", "%7f",
	}
	for _, s := range slashes { // AC-033
		add(s+"%s", "evil.test", "evil.test/app.a.test", "app.a.test@evil.test")
	}
	for _, b := range blanks {
		add("/"+b+"/%s", "evil.test")
		add(b+"//%s", "evil.test")
		add("//"+b+"%s", "evil.test")
		add(b+"/\\%s", "evil.test")
		add("/"+b+"\\%s", "evil.test")
		add(b+"https://%s", "evil.test")
		add("ht"+b+"tps://%s", "evil.test")
		add(b+"javascript:alert(1)//%s", "x")
	}
	for _, scheme := range []string{
		"http:", "https:", "HTTPS:", "hTtPs:", "ftp:", "ws:", "wss:", "javascript:", "data:", "vbscript:", "file:", "blob:", "about:", "mailto:", "intent:", "view-source:", "x:",
		"https%3a", "%68ttps:", "//https:", "/https:/\\", "http:https:",
	} {
		for _, s := range []string{"", "/", "//", "///", "\\\\", "/\\"} {
			add(scheme+s+"%s", "evil.test")
		}
	}
	for _, userinfo := range []string{ // AC-035
		"https://app.a.test@evil.test", "https://evil.test\\@app.a.test", "https://app.a.test:443@evil.test", "https://[::1]@app.a.test", "https://app.a.test%%2f@evil.test",
		"//app.a.test@evil.test", "//app.a.test:pw@evil.test", "http://app.a.test@evil.test", "///app.a.test@evil.test", "/\\app.a.test@evil.test",
	} {
		list = append(list, strings.ReplaceAll(userinfo, "%%", "%"))
	}
	list = append(list, []string{ // AC-036: a path is asked for, so no host will do
		"https://evilapp.a.test", "https://app.a.test.evil.test", "https://a.test", "https://app.a.test.", "https://APP.A.TEST", "https://app.a.test:8443", "http://app.a.test",
		"https://app.a.test", "https://xn--pp-a.a.test", "https://аpp.a.test", "https://127.0.0.1", "https://2130706433", "https://[::1]", "https://0x7f.1", "app.a.test", "evil.test",
		"//app.a.test", "/／evil.test", "／／evil.test", "/﹨evil.test", "//evil。test", "/⧸evil.test", "/∕evil.test",
	}...)
	list = append(list, []string{ // AC-037
		"/.mfa", "/.mfa/", "/.mfa/sign-out", "/.mfa/sign-in", "/.MFA/sign-out", "/%2emfa/sign-out", "/.%6dfa/sign-out", "/.mfa;x/sign-out", "/.mfa?x", "/x/../.mfa/sign-out", "/./.mfa/sign-out",
		"/.mfa/sign-in?rd=/.mfa/sign-out", "/.mfa/sign-in?rd=//evil.test", "/.mfa/sign-in?rd=https://evil.test", "/.mfa%2fsign-out",
		strings.Repeat("/.mfa/sign-in?rd=", 25) + "/x",
	}...)
	return append(list, "", "a", ".", "..", "?", "#", "@", ":", "/"+strings.Repeat("a", maxReturnAddress), "/a b", "/a\x80", "/\xff\xfe", "/%", "/%z", "/%zz", "/a%0", "/é")
}

func TestReturnAddress_hostile_AC033_AC035_AC036_AC037(t *testing.T) {
	list := hostile()
	if len(list) < 400 {
		t.Errorf("only %d addresses", len(list))
	}
	passed := 0
	for _, raw := range list {
		to, ok := ReturnAddress(raw)
		if !ok {
			if to != "" {
				t.Errorf("%q: refused, but %q is given back", raw, to)
			}
			continue
		}
		passed++
		if got := whatwgHost(to); got != "app.a.test" {
			t.Errorf("%q: a browser would go to %q", raw, got)
		}
		if strings.HasPrefix(strings.ToLower(to), "/.mfa") {
			t.Errorf("%q: leads to our own page %q", raw, to)
		}
	}
	// A few are harmless as they stand, such as "/%252f…" or "/;//…".
	t.Logf("%d of %d addresses are harmless paths", passed, len(list))
	if passed > 12 {
		t.Errorf("%d of %d pass", passed, len(list))
	}
}

func TestReturnAddress_good(t *testing.T) {
	for _, raw := range []string{
		"/", "/a", "/a/b/", "/a?b=c&d=e", "/a?u=https://b.test/x//y", "/a//b", "/wiki/A_(b)", "/a%20b", "/b%C3%BCcher", "/a;b=c", "/a:b@c", "/.well-known/x", "/..a", "/a..b/c", "/.mfax",
		"/x/.mfa/y", "/?", "/a?x=%2f%2fevil", "/100%25", "/" + strings.Repeat("a", maxReturnAddress-1),
	} {
		if to, ok := ReturnAddress(raw); !ok || to != raw {
			t.Errorf("%q: %q, %v", raw, to, ok)
		}
	}
}

// A return address inside one of our own pages is unpacked; a chain of them does
// not go in circles (AC-037).
func TestReturnAddress_nested_AC037(t *testing.T) {
	for raw, want := range map[string]string{
		"/.mfa/sign-in?rd=/x":                                       "/x",
		"/.mfa/sign-in?rd=%2Fx%3Fa%3Db":                             "/x?a=b",
		"/.mfa/verify?max_age=60&rd=%2F.mfa%2Fset-up%3Frd%3D%252Fx": "/x",
	} {
		if to, ok := ReturnAddress(raw); !ok || to != want {
			t.Errorf("%q: %q, %v; want %q", raw, to, ok, want)
		}
	}
}

func FuzzReturnAddress(f *testing.F) {
	for i, raw := range hostile() {
		if i%7 == 0 {
			f.Add(raw)
		}
	}
	f.Add("/a?b=c")
	f.Add("/.mfa/sign-in?rd=/x")
	f.Fuzz(func(t *testing.T, raw string) {
		to, ok := ReturnAddress(raw)
		if !ok {
			return
		}
		if got := whatwgHost(to); got != "app.a.test" {
			t.Errorf("%q: a browser would go to %q", raw, got)
		}
		if again, ok := ReturnAddress(to); !ok || again != to {
			t.Errorf("%q: %q is not stable", raw, to)
		}
		if strings.HasPrefix(strings.ToLower(to)+"/", Prefix) {
			t.Errorf("%q: leads to our own page %q", raw, to)
		}
	})
}
