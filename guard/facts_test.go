package guard

import (
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"
)

// Facts are shown to administrators, and travel to a terminal: nothing in them is a secret of
// whoever asked, orders the terminal about, or grows without bound (AC-133).
func TestFacts(t *testing.T) {
	g := &Guard{now: time.Now, domain: "a.test"}
	g.peer = func(*http.Request) Peer {
		return Peer{Client: "198.51.100.9", TrustedProxy: true, Proto: "https"}
	}
	r := httptest.NewRequest("GET", "/x/y?token=hidden", nil)
	r.Host, r.RemoteAddr = "app.a.test", "10.0.0.5:4000"
	r.Header.Set("Cookie", "__Secure-mfa=hidden; session=hidden; mfa-80-half=hidden")
	r.Header.Set("Authorization", "Bearer hidden")
	r.Header.Set("X-Forwarded-Uri", "/?token=hidden")
	r.Header["X-Forwarded-For"] = []string{"\x1b[31m<b>", strings.Repeat("9", 5000)}
	for i := range 500 {
		r.Header.Set(fmt.Sprintf("X-%d-%s", i, strings.Repeat("n", 300)), "hidden")
	}
	f := g.Facts(r, false)
	raw, err := json.Marshal(f)
	if err != nil || strings.Contains(string(raw), "hidden") || strings.Contains(string(raw), `\u001b`) || len(raw) > 64<<10 || len(f.Headers) > maxShapes {
		t.Errorf("%v, %d bytes: %.2000s", err, len(raw), raw)
	}
	if f.Scheme != "https" || f.Host != "app.a.test" || f.Peer != "10.0.0.5" || f.CookieName != "__Secure-mfa" || f.CookieDomain != "a.test" || f.RPID != "a.test" || f.Path != "/x/y" || len(f.Cookies) != 2 || f.Fault != "" {
		t.Errorf("%+v", f)
	}
	if s := f.Header("Cookie"); s.Lines != 1 || s.Length == 0 || s.Value != "" {
		t.Errorf("%+v", s)
	}
	if f := g.Facts(r, true); f.Scope != "app.a.test" || f.CookieDomain != "" {
		t.Errorf("of its own: %+v", f)
	}
	r.Host, r.RemoteAddr = "app..a.test", "@"
	if f := g.Facts(r, false); f.Fault != ErrBadRequest.Error() || f.Peer != "unix" || f.Host != "" {
		t.Errorf("no host: %+v", f)
	}
}
