package web

import (
	"net/url"
	"slices"
	"strings"
	"testing"
)

// served are the origins of protected hosts in these tests.
func served(origin string) bool {
	return slices.Contains([]string{"https://app.a.test", "https://app.a.test:8443", "https://b.test", "http://localhost:8080", "https://[2001:db8::1]", "https://192.0.2.7"}, origin)
}

// Whoever signs in at the portal is sent on with an address that came in a link. A link
// that a stranger wrote must not lead them to the stranger's host with the look of ours
// (AC-033, AC-035, AC-036), sign them out again, or lead in circles (AC-037).
func TestAbsoluteReturnAddress_hostile_AC033_AC035_AC036_AC037_AC042(t *testing.T) {
	list := hostile()
	// The same families behind a host that is served, and before one.
	for _, raw := range hostile() {
		list = append(list, "https://app.a.test"+raw, "https://app.a.test/"+raw, "https:"+raw, "https:/"+raw, "https://"+raw, raw+"https://app.a.test/", raw+"@app.a.test/")
	}
	list = append(list,
		"https://app.a.test.", "https://app.a.test./x", "HTTPS://app.a.test/x", "https://app.a.test:08443/", "https://app.a.test:/", "https://app.a.test:443x/", "https://app.a.test:65536/",
		"https://app.a.test:8444/", "http://app.a.test/", "http://b.test/", "https://localhost:8080/", "http://localhost/", "https://app.a.test?x", "https://app.a.test#x", "https://app.a.test/#x",
		"https://app.a.test@b.test/", "https://b.test\\@app.a.test/", "https://app.a.test:443@evil.test/", "https://[::1]@app.a.test/", "https://app.a.test%2f@evil.test/", "https://app.a.test%40evil.test/",
		"https://%61pp.a.test/", "https://аpp.a.test/", "https://app。a.test/", "https://app.a.test\t/", "https://app.a\n.test/", "https://ap\u00adp.a.test/", "https://3221225991/", "https://0xc0.0.2.7/",
		"https://192.0.2.007/", "https://192.0.519/", "https://[2001:DB8::1]/", "https://[2001:db8:0::1]/", "https://[2001:db8::1%25eth0]/", "https://[::ffff:192.0.2.7]/", "https:app.a.test/", "https:/app.a.test/", "https:///app.a.test/",
		"https:\\\\app.a.test/", "//app.a.test/", "app.a.test/", "javascript://app.a.test/%0aalert(1)", "ws://app.a.test/", "view-source:https://app.a.test/", "blob:https://app.a.test/", "/x", "/", "",
		"https://app.a.test/.mfa/sign-out", "https://app.a.test/.mfa/", "https://app.a.test/.MFA/x", "https://app.a.test/%2emfa/sign-out", "https://app.a.test/.mfa/sign-in?rd=https%3A%2F%2Fb.test%2F",
		"https://app.a.test/"+strings.Repeat("a", maxReturnAddress+maxOrigin), "https://app.a.test/x\r\nSet-Cookie:a=b",
	)
	if len(list) < 3000 {
		t.Errorf("only %d addresses", len(list))
	}
	passed := 0
	for _, raw := range list {
		origin, path, ok := AbsoluteReturnAddress(raw, served)
		if !ok {
			if origin != "" || path != "" {
				t.Errorf("%q: refused, but %q %q is given back", raw, origin, path)
			}
			continue
		}
		passed++
		u, err := url.Parse(origin)
		if err != nil || !served(origin) {
			t.Errorf("%q: leads to %q, which is no origin of ours", raw, origin)
			continue
		}
		if got := whatwgHost(origin + path); got != u.Host {
			t.Errorf("%q: a browser would go to %q", raw, got)
		}
		// Where the address itself would lead is no other place.
		if got := strings.TrimSuffix(whatwgHost(raw), ":443"); got != u.Host {
			t.Errorf("%q: a browser reads the host %q, and we read %q", raw, got, u.Host)
		}
		if strings.HasPrefix(strings.ToLower(path), "/.mfa") {
			t.Errorf("%q: leads to our own page %q", raw, path)
		}
	}
	t.Logf("%d of %d addresses are harmless", passed, len(list))
	if passed > len(list)/10 {
		t.Errorf("%d of %d pass", passed, len(list))
	}
}

func TestAbsoluteReturnAddress_good(t *testing.T) {
	for raw, want := range map[string][2]string{
		"https://app.a.test":                                    {"https://app.a.test", "/"},
		"https://app.a.test/":                                   {"https://app.a.test", "/"},
		"https://APP.A.test/X?y=%20z&u=https://b.test//":        {"https://app.a.test", "/X?y=%20z&u=https://b.test//"},
		"https://app.a.test:443/x":                              {"https://app.a.test", "/x"},
		"https://app.a.test:8443/x":                             {"https://app.a.test:8443", "/x"},
		"https://b.test/a//b":                                   {"https://b.test", "/a//b"},
		"http://localhost:8080/x?y":                             {"http://localhost:8080", "/x?y"},
		"https://192.0.2.7/":                                    {"https://192.0.2.7", "/"},
		"https://[2001:db8::1]/x":                               {"https://[2001:db8::1]", "/x"},
		"https://app.a.test/.mfa/sign-in?rd=%2Fx%3Fy":           {"https://app.a.test", "/x?y"},
		"https://app.a.test/" + strings.Repeat("a", 2000) + "?": {"https://app.a.test", "/" + strings.Repeat("a", 2000) + "?"},
	} {
		origin, path, ok := AbsoluteReturnAddress(raw, served)
		if !ok || origin != want[0] || path != want[1] {
			t.Errorf("%q: %q %q %v, want %q", raw, origin, path, ok, want)
		}
	}
}

func FuzzAbsoluteReturnAddress(f *testing.F) {
	for _, raw := range hostile()[:40] {
		f.Add("https://app.a.test" + raw)
	}
	f.Fuzz(func(t *testing.T, raw string) {
		origin, path, ok := AbsoluteReturnAddress(raw, served)
		if !ok {
			return
		}
		u, err := url.Parse(origin)
		if err != nil || !served(origin) || whatwgHost(origin+path) != u.Host {
			t.Errorf("%q: %q %q", raw, origin, path)
		}
	})
}
