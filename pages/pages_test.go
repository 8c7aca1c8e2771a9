package pages

import (
	"strings"
	"testing"
)

// What every page owes, in every state (AC-127, AC-129, AC-132).
func TestScenes(t *testing.T) {
	for _, s := range scenes {
		t.Run(s.name, func(t *testing.T) {
			w := newWorld(t, acme)
			a := s.show(t, w)
			if a.StatusCode != s.status {
				t.Fatalf("status %d, want %d: %s", a.StatusCode, s.status, a.body)
			}
			if w.guard.parseOf == nil { // over plain http there is no such header
				if a.Header.Get("Strict-Transport-Security") == "" {
					t.Error("AC-132: no Strict-Transport-Security")
				}
			}
			checkPage(t, a)
			// Every page can be read in another language, but where a cookie cannot be
			// kept, and where going back would lose what was typed into an app's form.
			want := s.name != "refused-plain-http" && !strings.HasPrefix(s.name, "closed") && !strings.HasPrefix(s.name, "refused-post-")
			if got := strings.Contains(a.body, `name="language"`); got != want {
				t.Errorf("a switch of language: %t, want %t", got, want)
			}
		})
	}
}

func checkPage(t *testing.T, a answer) {
	t.Helper()
	h := a.Header
	if got := h.Get("Content-Security-Policy"); !strings.Contains(got, "frame-ancestors 'none'") || !strings.Contains(got, "default-src 'none'") || strings.Contains(got, "unsafe") {
		t.Errorf("AC-127: policy %q", got)
	}
	if h.Get("Cache-Control") != "no-store" {
		t.Errorf("AC-129: Cache-Control %q", h.Get("Cache-Control"))
	}
	for _, name := range []string{"X-Content-Type-Options", "Referrer-Policy", "Cross-Origin-Opener-Policy", "Cross-Origin-Resource-Policy", "Permissions-Policy"} {
		if h.Get(name) == "" {
			t.Errorf("AC-132: no %s", name)
		}
	}
	for name := range h {
		if strings.HasPrefix(name, "Access-Control-") || name == "Server" || name == "X-Powered-By" {
			t.Errorf("AC-125, AC-132: header %s", name)
		}
	}
	for _, never := range []string{"<script>", "style=", "onclick", "javascript:", "ZgotmplZ", "<no value>", "[redacted]", "%!"} {
		if strings.Contains(a.body, never) {
			t.Errorf("the page holds %q", never)
		}
	}
	if n := strings.Count(a.body, "<h1"); n != 1 {
		t.Errorf("%d level-one headings", n)
	}
	if !strings.Contains(a.body, `<html lang="en" dir="ltr"`) || !strings.Contains(a.body, "<main") {
		t.Error("language, direction or landmark is missing")
	}
	if a.StatusCode == 422 && !strings.Contains(a.body, "<title>Error: ") && strings.Contains(a.body, "<form class") {
		t.Error("the title does not say that something went wrong")
	}
	// look.md: HTML, CSS and JS of a page together stay under 60 KB.
	weight := len(a.body)
	for _, f := range []string{"style.css", "console.css", "pages.js"} {
		if f == "console.css" && !strings.Contains(a.body, "/console-") {
			continue
		}
		b, err := assetFiles.ReadFile("assets/" + f)
		if err != nil {
			t.Fatal(err)
		}
		weight += len(lean(f, b)) // as they are served
	}
	if weight > 60_000 {
		t.Errorf("the page weighs %d bytes", weight)
	}
}
