package web

import (
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"
	"time"
)

func TestCookies_Name(t *testing.T) {
	for _, c := range []struct {
		at   Cookies
		kind Cookie
		want string
	}{
		{Cookies{Secure: true}, SessionCookie, "__Host-mfa"},
		{Cookies{Secure: true}, HalfDoneCookie, "__Host-mfa-half"},
		{Cookies{Secure: true, Domain: "a.test"}, SessionCookie, "__Secure-mfa"},
		{Cookies{Secure: true, Domain: "a.test"}, CSRFCookie, "__Secure-mfa-csrf"},
		{Cookies{Port: "8080"}, SessionCookie, "mfa-8080"},
		{Cookies{Port: "8080"}, LanguageCookie, "mfa-8080-lang"},
		{Cookies{}, ThemeCookie, "mfa-80-theme"},
	} {
		name := c.at.Name(c.kind)
		if name != c.want {
			t.Errorf("%+v: %q, want %q", c.at, name, c.want)
		}
		if !Ours(name) {
			t.Errorf("%q is not recognised as ours", name)
		}
	}
}

func TestCookies_Set_AC217(t *testing.T) {
	for _, c := range []struct {
		name string
		at   Cookies
		kind Cookie
		want string
	}{
		{"one host", Cookies{Secure: true}, SessionCookie, "__Host-mfa=v; Path=/; HttpOnly; Secure; SameSite=Lax"},
		{"a domain", Cookies{Secure: true, Domain: "a.test"}, SessionCookie, "__Secure-mfa=v; Path=/; Domain=a.test; HttpOnly; Secure; SameSite=Lax"},
		{"plain http", Cookies{Port: "8080"}, HalfDoneCookie, "mfa-8080-half=v; Path=/; HttpOnly; SameSite=Lax"},
		{"plain http never gets the domain", Cookies{Port: "8080", Domain: "a.test"}, HalfDoneCookie, "mfa-8080-half=v; Path=/; HttpOnly; SameSite=Lax"},
		{"scripts may read the theme", Cookies{Secure: true}, ThemeCookie, "__Host-mfa-theme=v; Path=/; Secure; SameSite=Lax"},
	} {
		t.Run(c.name, func(t *testing.T) {
			w := httptest.NewRecorder()
			c.at.Set(w, c.kind, "v", 0)
			if got := w.Header().Get("Set-Cookie"); got != c.want {
				t.Errorf("got  %s\nwant %s", got, c.want)
			}
		})
	}
}

func request(cookies ...string) *http.Request {
	r := httptest.NewRequest("GET", "https://app.a.test/", nil)
	if len(cookies) > 0 {
		r.Header["Cookie"] = cookies
	}
	return r
}

// A sibling host can plant a cookie of the same name for the whole domain. Which
// of two comes first is the browser's whim, so neither is believed.
func TestFind_AC013(t *testing.T) {
	const name = "__Host-mfa"
	for _, c := range []struct {
		name  string
		lines []string
		value string
		n     int
	}{
		{"none", nil, "", 0},
		{"alone", []string{"__Host-mfa=tok"}, "tok", 1},
		{"among others", []string{"a=1; __Host-mfa=tok; b=2"}, "tok", 1},
		{"no blank", []string{"a=1;__Host-mfa=tok;b=2"}, "tok", 1},
		{"on a second line", []string{"a=1", "b=2; __Host-mfa=tok"}, "tok", 1},
		{"twice", []string{"__Host-mfa=one; __Host-mfa=two"}, "one", 2},
		{"twice on two lines", []string{"__Host-mfa=one", "__Host-mfa=two"}, "one", 2},
		{"the half-done one is another", []string{"__Host-mfa-half=x"}, "", 0},
		{"lookalikes are others", []string{"mfa=x; Host-mfa=x; __host-mfa=x; __Host-mfa2=x; x__Host-mfa=x"}, "", 0},
		{"no value", []string{"__Host-mfa"}, "", 0},
		{"empty value", []string{"__Host-mfa="}, "", 1},
		{"nobody unquotes", []string{`__Host-mfa="tok"`}, `"tok"`, 1},
		{"value with equal signs", []string{"__Host-mfa=a=b=="}, "a=b==", 1},
	} {
		t.Run(c.name, func(t *testing.T) {
			value, n := Find(request(c.lines...), name)
			if value != c.value || n != c.n {
				t.Errorf("got %q, %d; want %q, %d", value, n, c.value, c.n)
			}
		})
	}
}

func TestFind_allocates_nothing(t *testing.T) {
	r := request("a=1; b=2; __Host-mfa=tok; c=3", "d=4")
	if n := testing.AllocsPerRun(100, func() { Find(r, "__Host-mfa") }); n != 0 {
		t.Errorf("%v allocations", n)
	}
}

// An app that saw our cookie could use it on another host, or log it.
func TestHideCookies_AC017(t *testing.T) {
	for _, c := range []struct {
		name     string
		in, want []string
	}{
		{"none", nil, nil},
		{"nothing of ours", []string{"a=1;  b=2 ; c"}, []string{"a=1;  b=2 ; c"}},
		{"only ours", []string{"__Host-mfa=t"}, nil},
		{"only ours, several", []string{"__Host-mfa=t; __Host-mfa-half=h", "mfa-8080=x"}, nil},
		{"first", []string{"__Host-mfa=t; a=1; b=\"2\""}, []string{"a=1; b=\"2\""}},
		{"last", []string{"a=1; b=2; __Secure-mfa=t"}, []string{"a=1; b=2"}},
		{"between", []string{"a=1; __Host-mfa=t; b=2"}, []string{"a=1; b=2"}},
		{"everywhere", []string{"__Host-mfa=t; a=1; mfa-80=x;b=2; __Host-mfa-csrf=y; c=3; mfa-443-lang=z"}, []string{"a=1;b=2; c=3"}},
		{"one line of two", []string{"__Host-mfa=t", "a=1"}, []string{"a=1"}},
		{"any case", []string{"__HOST-MFA=t; a=1; __secure-Mfa-theme=d; MFA-80=x"}, []string{"a=1"}},
		{"blanks in the name", []string{"a=1; __Host-mfa =t"}, []string{"a=1"}},
		{"without a value", []string{"a=1; __Host-mfa"}, []string{"a=1"}},
		{"names of a later version", []string{"a=1; __Host-mfa-device=t"}, []string{"a=1"}},
		{"an app's own stay", []string{"mfa=1; mfa-x=2; mfa-=3; __Host-mfasomething=4; mfa-80x=5"}, []string{"mfa=1; mfa-x=2; mfa-=3; __Host-mfasomething=4; mfa-80x=5"}},
		{"empty parts stay", []string{"a=1;; b=2;"}, []string{"a=1;; b=2;"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			r := request(c.in...)
			HideCookies(r.Header)
			if got := r.Header["Cookie"]; !slices.Equal(got, c.want) {
				t.Errorf("got %q, want %q", got, c.want)
			}
		})
	}
}

// FuzzCookieHeader: whatever the lines, no cookie of ours is left, and what is
// left is what others sent, in their order.
func FuzzCookieHeader(f *testing.F) {
	for _, seed := range []string{
		"", "a=1", "__Host-mfa=t", "a=1; __Host-mfa=t; b=2", ";;;", "=;=", "__Host-mfa; mfa-80=;x", "mfa-8080-half=y;\t__secure-mfa=z",
		"a=\"x; __Host-mfa=t\"; b",
	} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, line string) {
		var others []string
		for part := range strings.SplitSeq(line, ";") {
			name, _, _ := strings.Cut(part, "=")
			if part = strings.Trim(part, " \t"); part != "" && !Ours(name) {
				others = append(others, part)
			}
		}
		r := request(line)
		HideCookies(r.Header)
		left := strings.Join(r.Header["Cookie"], ";")
		var got []string
		for part := range strings.SplitSeq(left, ";") {
			if name, _, _ := strings.Cut(part, "="); Ours(name) {
				t.Fatalf("%q is left in %q", name, left)
			}
			if part = strings.Trim(part, " \t"); part != "" {
				got = append(got, part)
			}
		}
		if strings.Join(got, ";") != strings.Join(others, ";") {
			t.Errorf("from %q\ngot  %q\nwant %q", line, got, others)
		}
		if _, n := Find(r, "__Host-mfa"); n != 0 {
			t.Errorf("still found %d times in %q", n, left)
		}
	})
}

// A line of nothing but our cookies and others in turn is read once: a request must
// not cost its length squared.
func TestHideCookies_ReadsOnce(t *testing.T) {
	cost := func(size int) time.Duration {
		line := strings.Repeat("a;mfa-1;", size/8)
		begun := time.Now()
		HideCookies(http.Header{"Cookie": {line}})
		return time.Since(begun)
	}
	cost(1 << 14)
	if small, large := cost(1<<16), cost(1<<20); large > 200*small+50*time.Millisecond {
		t.Errorf("64 KiB took %s, sixteen times as much took %s", small, large)
	}
	for line, want := range map[string]string{
		"a=1;mfa-1=x;b=2;mfa-2=y;c=3": "a=1;b=2;c=3", "mfa-1=x; mfa-2=y; a=1": "a=1", "a=1; mfa-1=x; mfa-2=y": "a=1", "a=1; mfa-1=x; b=2; mfa-2=y": "a=1; b=2",
		"mfa-1=x": "", "mfa-1=x;": "", ";mfa-1=x": "", "a=1;;mfa-1=x;": "a=1;", "mfa-1=x;a=1;mfa-1=x;mfa-2=x;b=1": "a=1;b=1", "a=1": "a=1", ";": ";",
	} {
		if got, _ := withoutOurs(line); got != want {
			t.Errorf("%q: %q, want %q", line, got, want)
		}
	}
}
