package guard

import (
	"errors"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/secondgate/secondgate/mfa"
	"github.com/secondgate/secondgate/session"
)

// signs has the guard say which session's and which app's assertion it sends.
func signs(cfg *Config) {
	cfg.Assertion = func(v *session.View, to session.Audience) string {
		return "signed:" + string(v.Subject.Name) + ":" + to.String()
	}
}

// The app is sent ours and nothing that a client has written, in whatever spelling (AC-043,
// AC-045), named in Connection or not (AC-047); where there is none, it is sent none.
func TestCheck_Assertion_AC043_AC045_AC047(t *testing.T) {
	const ours = "signed:alice:https://app.a.test"
	for _, c := range []struct {
		name    string
		alter   func(*Config)
		headers []string
		want    string
	}{
		{"alone", signs, nil, ours},
		{"beside a client's own", signs, []string{"Mfa-Assertion", "evil"}, ours},
		{"beside fifty of them", signs, strings.Split(strings.Repeat("Mfa-Assertion,evil,", 49)+"MFA-ASSERTION,evil", ","), ours},
		{"beside other spellings", signs, []string{"mfa_assertion", "evil", "Mfa.Assertion", "evil", "mFA-aSSERTION", "evil"}, ours},
		{"named in Connection", signs, []string{"Connection", "close, Mfa-Assertion"}, ours},
		{"named in a second Connection", signs, []string{"Connection", "close", "Connection", "mfa-aSSERTION, X"}, ours},
		{"nothing can be signed", func(cfg *Config) { cfg.Assertion = func(*session.View, session.Audience) string { return "" } }, []string{"Mfa-Assertion", "evil"}, ""},
		{"nothing is signed", nil, []string{"Mfa-Assertion", "evil"}, ""},
		{"a value that no header may have", func(cfg *Config) { cfg.Assertion = func(*session.View, session.Audience) string { return "a\r\nb" } }, nil, ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			w := newWorld(t, c.alter)
			resp, app := w.visit(request("GET", "/", append(c.headers, "Cookie", w.cookie("s-alice"))...))
			if app == nil {
				t.Fatalf("refused: %d", resp.StatusCode)
			}
			got := identityOf(app.Header)
			for name, lines := range got {
				if !strings.Contains(strings.ToLower(name), "assertion") {
					continue
				}
				if name != "Mfa-Assertion" || c.want == "" || len(lines) != 1 || lines[0] != c.want {
					t.Errorf("%s: %q", name, lines)
				}
			}
			if c.want != "" && len(app.Header["Mfa-Assertion"]) != 1 {
				t.Error("the app was sent none")
			}
			for _, line := range app.Header["Connection"] {
				if strings.Contains(strings.ToLower(line), "assertion") {
					t.Errorf("Connection: %q takes it away again", line)
				}
			}
		})
	}
}

// A renamed header is ours under its new name, and the usual name is nobody's.
func TestCheck_Assertion_Renamed_AC045(t *testing.T) {
	w := newWorld(t, func(cfg *Config) { signs(cfg); cfg.Headers.Assertion = "x-MY-proof" })
	_, app := w.visit(request("GET", "/", "Cookie", w.cookie("s-alice"), "X_my_proof", "evil", "X-My-Proof", "evil", "Mfa-Assertion", "evil"))
	if app == nil || app.Header.Get("X-My-Proof") != "signed:alice:https://app.a.test" || len(app.Header["X-My-Proof"]) != 1 {
		t.Fatalf("%v", app)
	}
	if app.Header["X_my_proof"] != nil || app.Header["Mfa-Assertion"] != nil {
		t.Errorf("%v", app.Header)
	}
}

// Whoever is not let through, or whose session is half-done or over, is vouched for nowhere:
// nothing is even signed.
func TestCheck_Assertion_AC008_OnlyForWhoMayPass(t *testing.T) {
	for name, c := range map[string]struct {
		cookie func(w *world) string
		change func(w *world)
		needs  mfa.Requirement
	}{
		"nobody":                       {func(*world) string { return "a=b" }, nil, mfa.Requirement{}},
		"a half-done sign-in":          {func(w *world) string { return w.cookie("h-alice") }, nil, mfa.Requirement{}},
		"without the second factor":    {func(w *world) string { return w.cookie("s-dora") }, func(w *world) { w.policy.Enrollment.Open = false }, mfa.Requirement{}},
		"too weak for the route":       {func(w *world) string { return w.cookie("s-carol") }, nil, mfa.Requirement{PhishingResistant: true}},
		"signed out":                   {func(w *world) string { return w.cookie("s-alice") }, func(w *world) { w.store.change("u-alice", func() { delete(w.store.sessions, "s-alice") }) }, mfa.Requirement{}},
		"disabled by an administrator": {func(w *world) string { return w.cookie("s-alice") }, func(w *world) { w.store.change("u-alice", func() { w.store.users["u-alice"].Disabled = true }) }, mfa.Requirement{}},
		"an assertion for a cookie":    {func(*world) string { return "__Host-mfa=signed:alice:https://app.a.test" }, nil, mfa.Requirement{}},
	} {
		t.Run(name, func(t *testing.T) {
			asked := 0
			w := newWorld(t, func(cfg *Config) {
				cfg.Assertion = func(*session.View, session.Audience) string { asked++; return "signed" }
			})
			cookie := c.cookie(w)
			if c.change != nil {
				c.change(w)
			}
			if _, app := w.visit(request("GET", "/", "Cookie", cookie), c.needs); app != nil || asked != 0 {
				t.Errorf("passed: %v; signed %d times", app != nil, asked)
			}
		})
	}
}

// With the real signer, the guard stays within its six allocations.
func TestCheck_AssertionAllocations(t *testing.T) {
	var made *session.Assertions
	w := newWorld(t, func(cfg *Config) {
		var err error
		made, err = session.NewAssertions(session.AssertionConfig{
			Algorithm: session.EdDSA, Keys: []session.Key{{ID: "k", Secret: make([]byte, 32)}}, Policy: cfg.Policy, Now: cfg.Now,
		})
		cfg.Assertion = func(v *session.View, to session.Audience) string {
			token, signErr := made.Of(v, to)
			if err = errors.Join(err, signErr); err != nil {
				t.Error(err)
			}
			return token
		}
	})
	r, reset := browserRequest("theme=dark; " + w.cookie("s-alice") + "; app=0123456789")
	rec := httptest.NewRecorder()
	var sent *http.Request
	n := testing.AllocsPerRun(500, func() {
		reset()
		delete(r.Header, "Mfa-Assertion")
		rw, stripped := w.Strip(rec, r)
		if !w.Check(rw, stripped, mfa.Route{}) {
			t.Fatal("refused")
		}
		sent = stripped
	})
	t.Logf("%v allocations", n)
	if n > 6 {
		t.Errorf("%v allocations, at most 6", n)
	}
	if v := ViewFrom(sent.Context()); v == nil || sent.Header.Get("Mfa-Assertion") != w.Assertion(v, "https://app.a.test") {
		t.Error("forward-auth would be given another one")
	}
}
