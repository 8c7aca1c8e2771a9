package pages

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/chromedp/chromedp"
)

// closed shows the answer of a gateway whose store is not open.
func closed(method string) func(testing.TB, *world) answer {
	return func(t testing.TB, _ *world) answer {
		r := httptest.NewRequest(method, "https://payroll.example.com/reports/2026?month=11", nil)
		r.Header.Set("Accept", "text/html")
		return closedAnswer(t, r)
	}
}

func closedAnswer(t testing.TB, r *http.Request) answer {
	t.Helper()
	c, err := NewClosed(acme)
	if err != nil {
		t.Fatal(err)
	}
	rec := httptest.NewRecorder()
	c.Serve(rec, r, r.TLS != nil)
	return answer{rec.Result(), rec.Body.String()}
}

func TestClosed(t *testing.T) {
	get := func(path string, header ...string) answer {
		r := httptest.NewRequest(http.MethodGet, "https://payroll.example.com"+path, nil)
		for i := 0; i < len(header); i += 2 {
			r.Header.Add(header[i], header[i+1])
		}
		a := closedAnswer(t, r)
		if cookies := a.Cookies(); len(cookies) > 0 {
			t.Errorf("%s: a cookie is set: %v", path, cookies)
		}
		return a
	}

	t.Run("a person gets a page that comes again to the same place", func(t *testing.T) {
		for path, again := range map[string]string{
			"/reports?a=1&b=2":       `href="/reports?a=1&amp;b=2"`,
			"/.mfa/sign-in?rd=%2Fx":  `href="/.mfa/sign-in?rd=%2Fx"`,
			"//evil.example/.mfa/":   `href="/.mfa/"`,
			"/.mfa/link":             `href="/.mfa/link"`,
			"/\\evil.example/?x=%0a": `href="/.mfa/"`,
		} {
			r := httptest.NewRequest(http.MethodGet, "https://payroll.example.com/", nil)
			r.RequestURI = path
			if u, err := r.URL.Parse(strings.ReplaceAll(path, `\`, "%5C")); err == nil && strings.HasPrefix(path, "/.mfa/") {
				r.URL = u
			}
			r.Header.Set("Accept", "text/html")
			a := closedAnswer(t, r)
			if a.StatusCode != 503 || a.Header.Get("Retry-After") == "" || !strings.Contains(a.body, "data-reload") || !strings.Contains(a.body, again) {
				t.Errorf("%s: status %d, Retry-After %q, want %s in\n%s", path, a.StatusCode, a.Header.Get("Retry-After"), again, a.body)
			}
			if strings.Contains(a.body, `http-equiv="refresh"`) {
				t.Errorf("%s: reloads under whoever reads it", path)
			}
		}
	})
	t.Run("a form is not sent a second time by the page", func(t *testing.T) {
		a := closed(http.MethodPost)(t, nil)
		if strings.Contains(a.body, "data-reload") || !strings.Contains(a.body, "What you sent has not arrived") {
			t.Error(a.body)
		}
	})
	t.Run("language and theme", func(t *testing.T) {
		if a := get("/", "Accept", "text/html", "Accept-Language", "de-AT"); !strings.Contains(a.body, "Hier ist noch nicht offen") {
			t.Error(a.body)
		}
		a := get("/", "Accept", "text/html", "Cookie", "__Secure-mfa-lang=de; __Secure-mfa-theme=dark")
		if !strings.Contains(a.body, "Hier ist noch nicht offen") || !strings.Contains(a.body, `data-theme="dark"`) {
			t.Error(a.body)
		}
	})
	t.Run("a program gets a problem document", func(t *testing.T) {
		for _, header := range [][]string{
			{"Accept", "application/json"}, {"Accept", "text/html", "Sec-Fetch-Mode", "cors", "Sec-Fetch-Dest", "empty"}, {"Accept", "text/html", "Upgrade", "websocket"},
		} {
			a := get("/feed", header...)
			if a.StatusCode != 503 || a.Header.Get("Content-Type") != "application/problem+json" || a.Header.Get("Retry-After") == "" || !strings.Contains(a.body, "Try again") {
				t.Errorf("%v: %d %v %s", header, a.StatusCode, a.Header, a.body)
			}
		}
	})
	t.Run("what the page looks like is there as well", func(t *testing.T) {
		page := get("/", "Accept", "text/html").body
		for _, name := range []string{"style", "brand", "pages", "reload", "icon"} {
			_, rest, ok := strings.Cut(page, `"/.mfa/assets/`+name+"-")
			file, _, _ := strings.Cut(rest, `"`)
			if a := get("/.mfa/assets/" + name + "-" + file); !ok || a.StatusCode != 200 || a.body == "" {
				t.Errorf("%s: status %d", name, a.StatusCode)
			}
		}
	})
}

// The page comes again by itself once the gate is well, and not before, and takes along
// what stands behind the # of a link.
func TestClosed_ComesAgain(t *testing.T) {
	c, err := NewClosed(acme)
	if err != nil {
		t.Fatal(err)
	}
	var well atomic.Bool
	var looked, shown atomic.Int32
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		switch {
		case r.URL.Path == "/.mfa/health":
			looked.Add(1)
			if !well.Load() {
				w.WriteHeader(http.StatusServiceUnavailable)
			}
		case well.Load():
			fmt.Fprint(w, "<!doctype html><title>Well</title><h1>Well</h1>")
		default:
			if r.URL.Path == "/.mfa/link" {
				shown.Add(1)
			}
			c.Serve(w, r, false)
		}
	}))
	t.Cleanup(server.Close)
	ctx := browser(t)
	open(t, ctx, server.URL+"/.mfa/link#the-secret", 360)
	for looked.Load() < 2 {
		if ctx.Err() != nil {
			t.Fatal("nothing looks whether the gate is well")
		}
		time.Sleep(100 * time.Millisecond)
	}
	if n := shown.Load(); n != 1 {
		t.Errorf("the page was asked for %d times while there was nothing new", n)
	}
	well.Store(true)
	deadline := time.Now().Add(time.Minute)
	for got := ""; got != "Well /.mfa/link#the-secret"; {
		// While the page goes, there is nothing to ask.
		if now, err := chromedp.Run(ctx, chromedp.Evaluate[string](`document.title + " " + location.pathname + location.hash`)); err == nil {
			got = now
		}
		if time.Now().After(deadline) {
			t.Fatalf("it did not come again: %s", got)
		}
		time.Sleep(100 * time.Millisecond)
	}
}
