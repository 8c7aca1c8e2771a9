package guard

import (
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
)

// A sibling host under a shared domain can plant a cookie beside ours. Whoever believed
// the first of two would finish a sign-in that the sibling began (AC-012, AC-013). And it
// is a cookie of ours: apps neither see it nor set it (AC-017).
func TestGuard_Redirect_AC012_AC013(t *testing.T) {
	g := newGuard(t, nil)
	first := httptest.NewRequest(http.MethodGet, "https://app.a.test/.mfa/sign-in/with/acme", nil)
	req, err := g.Parse(first)
	if err != nil {
		t.Fatal(err)
	}
	rec := httptest.NewRecorder()
	g.SetRedirect(rec, req, "bound-to-this-browser")
	set := rec.Result().Cookies()
	if len(set) != 1 || set[0].Name != "__Host-mfa-redirect" || !set[0].HttpOnly || !set[0].Secure || set[0].SameSite != http.SameSiteLaxMode || set[0].MaxAge != 600 {
		t.Fatalf("set %v", set)
	}
	const own = "__Host-mfa-redirect=bound-to-this-browser"
	tests := []struct {
		name  string
		lines []string
		want  string
	}{
		{"ours alone", []string{"a=1; " + own}, "bound-to-this-browser"},
		{"none", []string{"a=1"}, ""},
		{"one planted before it", []string{"__Host-mfa-redirect=planted; " + own}, ""},
		{"one planted in another line", []string{own, "__Host-mfa-redirect=planted"}, ""},
		{"of another name", []string{"__Host-mfa-redirect2=x; __Secure-mfa-redirect=x"}, ""},
		{"too long to be ours", []string{"__Host-mfa-redirect=" + strings.Repeat("x", 129)}, ""},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			r := httptest.NewRequest(http.MethodGet, "https://app.a.test/.mfa/sign-in/with/acme/callback", nil)
			r.Header["Cookie"] = tt.lines
			if got := g.Redirect(r, req); got != tt.want {
				t.Errorf("%q, want %q", got, tt.want)
			}
		})
	}
}
