package caddymodule

import (
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
)

func TestDemo_ShowsWhatItWasTold(t *testing.T) {
	h, err := newDemo()
	if err != nil {
		t.Fatal(err)
	}
	ask := func(header ...string) *httptest.ResponseRecorder {
		r := httptest.NewRequest(http.MethodGet, "/some/page", nil)
		for i := 0; i+1 < len(header); i += 2 {
			r.Header.Set(header[i], header[i+1])
		}
		w := httptest.NewRecorder()
		h.ServeHTTP(w, r)
		return w
	}
	t.Run("a person", func(t *testing.T) {
		body := ask("Remote-User", "alice", "Remote-Name", "Alice Ng", "Remote-Groups", "staff,ops").Body.String()
		for _, want := range []string{"You’re in, Alice Ng.", `class="chip">ops<`, `href="/.mfa/account"`, `href="/.mfa/sign-out"`} {
			if !strings.Contains(body, want) {
				t.Errorf("the page does not show %s", want)
			}
		}
	})
	t.Run("the vault says that it is one", func(t *testing.T) {
		r := httptest.NewRequest(http.MethodGet, "/vault/gold", nil)
		r.Header.Set("Remote-User", "alice")
		w := httptest.NewRecorder()
		h.ServeHTTP(w, r)
		if body := w.Body.String(); !strings.Contains(body, "You’re in the vault, alice.") || !strings.Contains(body, "older than five minutes") {
			t.Error("it looks like the rest of the app")
		}
	})
	t.Run("nobody", func(t *testing.T) {
		if body := ask().Body.String(); !strings.Contains(body, "Nobody told this app who you are.") {
			t.Error("the page does not say so")
		}
	})
	t.Run("AC-131 what it shows is text", func(t *testing.T) {
		w := ask("Remote-User", `<script>alert(1)</script>`, "X-Test", `"><img src=x onerror=alert(1)>`)
		if body := w.Body.String(); strings.Contains(body, "<script>") || strings.Count(body, "<script") != 1 || strings.Contains(body, "<img") {
			t.Error("markup came through")
		}
		if csp := w.Header().Get("Content-Security-Policy"); !strings.HasPrefix(csp, "default-src 'none'") || strings.Contains(csp, "unsafe") {
			t.Errorf("the policy is %q", csp)
		}
	})
}
