package oidc_test

import (
	"encoding/json"
	"errors"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/secondgate/secondgate/internal/oidctest"
	"github.com/secondgate/secondgate/mfa"
)

func TestSource_SignOutURL(t *testing.T) {
	w := newWorld(t, nil)
	id := w.mustSignIn("alice")
	const back = "https://app.example.com/.mfa/sign-in?a=1&b=2"
	check := func(what, text string) {
		t.Helper()
		u, err := url.Parse(text)
		if err != nil || u.Scheme+"://"+u.Host+u.Path != w.provider.URL+"/end-session" {
			t.Fatalf("%s: %q, error %v", what, text, err)
		}
		q := u.Query()
		if q.Get("post_logout_redirect_uri") != back || q.Get("client_id") != "secondgate" || strings.Count(q.Get("id_token_hint"), ".") != 2 {
			t.Errorf("%s: %s", what, text)
		}
	}
	check("at once", w.source.SignOutURL(id.Kept, back))
	w.source = w.newSource(nil)
	check("after a start, before the provider was asked", w.source.SignOutURL(id.Kept, back))
	if len(w.provider.Requests("/.well-known/openid-configuration")) != 1 {
		t.Error("the provider was asked")
	}
	for name, kept := range map[string]string{
		"nothing kept": "", "damaged": "{", "a page that runs": `{"end":"javascript:alert(1)"}`, "plain http": `{"end":"http://example.com/"}`, "none": `{}`,
	} {
		if got := w.source.SignOutURL(mfa.Secret(kept), back); got != "" {
			t.Errorf("%s: %s", name, got)
		}
	}
	t.Run("a provider without", func(t *testing.T) {
		w := newWorld(t, nil)
		w.provider.Lie(oidctest.Lies{Description: func(d map[string]any) { delete(d, "end_session_endpoint") }})
		if got := w.source.SignOutURL(w.mustSignIn("alice").Kept, back); got != "" {
			t.Errorf("%s", got)
		}
	})
	t.Run("an address with parameters of its own", func(t *testing.T) {
		w := newWorld(t, nil)
		w.provider.Lie(oidctest.Lies{Description: func(d map[string]any) { d["end_session_endpoint"] = d["end_session_endpoint"].(string) + "?p=policy" }})
		u, _ := url.Parse(w.source.SignOutURL(w.mustSignIn("alice").Kept, back))
		if u.Query().Get("p") != "policy" || u.Query().Get("post_logout_redirect_uri") != back {
			t.Errorf("%s", u)
		}
	})
	t.Run("a token that is too long is not kept", func(t *testing.T) {
		w := newWorld(t, nil)
		w.provider.Lie(oidctest.Lies{IDToken: func(c map[string]any) { c["long"] = strings.Repeat("x", 8<<10) }})
		u, _ := url.Parse(w.source.SignOutURL(w.mustSignIn("alice").Kept, back))
		if u.Query().Has("id_token_hint") || u.Query().Get("client_id") == "" {
			t.Errorf("%d bytes", len(u.String()))
		}
	})
}

// The provider says that somebody has signed out there (Back-Channel Logout 1.0, section
// 2.6). Anybody can send such a message.
func TestSource_SignedOut(t *testing.T) {
	const event = "http://schemas.openid.net/event/backchannel-logout"
	type change = func(h, c map[string]any)
	claim := func(name string, value any) change {
		return func(_, c map[string]any) {
			c[name] = value
			if value == nil {
				delete(c, name)
			}
		}
	}
	header := func(name string, value any) change {
		return func(h, _ map[string]any) { h[name] = value }
	}
	w := newWorld(t, nil)
	at := func(name string, d time.Duration) change {
		return func(_, c map[string]any) { c[name] = w.clock.Now().Add(d).Unix() }
	}
	good := map[string]change{
		"of a person": nil, "of a session": func(_, c map[string]any) { delete(c, "sub"); c["sid"] = "session" },
		"of both": claim("sid", "session"), "a kind of no name": header("typ", nil), "a kind as tokens have": header("typ", "JWT"),
		"a minute ago": at("iat", -time.Minute), "more in the event": claim("events", map[string]any{event: map[string]any{"x": 1}, "other": 1}),
	}
	for name, change := range good {
		t.Run("taken: "+name, func(t *testing.T) {
			token := w.provider.LogoutToken("alice", change)
			out, err := w.source.SignedOut(t.Context(), token)
			if err != nil {
				t.Fatal(err)
			}
			said := payload(t, token)
			sub, _ := said["sub"].(string)
			sid, _ := said["sid"].(string)
			if out.Subject != sub || out.Session != sid || out.ID != said["jti"] || out.Expires.After(w.clock.Now().Add(2*time.Minute)) || !out.Expires.After(w.clock.Now()) {
				t.Errorf("%+v", out)
			}
		})
	}
	bad := map[string]change{
		"another issuer":          claim("iss", "https://evil.example"),
		"another client's":        claim("aud", "another"),
		"for nobody":              claim("aud", nil),
		"for others, too":         claim("aud", []string{"secondgate", "another"}),
		"of three minutes ago":    at("iat", -3*time.Minute),
		"of the future":           at("iat", 2*time.Minute),
		"of no time":              claim("iat", nil),
		"over":                    at("exp", -time.Second),
		"without an end":          claim("exp", nil),
		"with a nonce":            claim("nonce", "x"),
		"with a nonce of null":    claim("nonce", json.RawMessage("null")),
		"without a name":          claim("jti", nil),
		"with an empty name":      claim("jti", ""),
		"with a name of a number": claim("jti", 7),
		"of nobody":               claim("sub", nil),
		"of an empty person":      claim("sub", ""),
		"of a person of a number": claim("sub", 7),
		"of an empty session":     claim("sid", ""),
		"of a session of a list":  claim("sid", []string{"x"}),
		"without events":          claim("events", nil),
		"of another event":        claim("events", map[string]any{"http://schemas.openid.net/event/other": map[string]any{}}),
		"events as a list":        claim("events", []string{event}),
		"an event that is a text": claim("events", map[string]any{event: "yes"}),
		"an event that is null":   claim("events", map[string]any{event: nil}),
		"an event that is a list": claim("events", map[string]any{event: []any{}}),
		"an access token":         header("typ", "at+jwt"),
		"a kind of a number":      header("typ", 7),
		"unsigned":                header("alg", "none"),
		"HS256":                   header("alg", "HS256"),
		"a kid that there is not": header("kid", "other"),
		"critical":                func(h, _ map[string]any) { h["crit"], h["x"] = []string{"x"}, 1 },
		"two persons":             claim("\u017fub", "sub-bob"),
		"two sessions":            func(_, c map[string]any) { c["sid"], c["\u017fid"] = "a", "b" },
	}
	for name, change := range bad {
		t.Run("refused: "+name, func(t *testing.T) {
			w.clock.Move(10 * time.Second)
			token := w.provider.LogoutToken("alice", change)
			if out, err := w.source.SignedOut(t.Context(), token); out != nil || !errors.Is(err, mfa.ErrRejected) {
				t.Errorf("%+v, error %v", out, err)
			}
		})
	}
	fresh := func() string { w.clock.Move(10 * time.Second); return w.provider.LogoutToken("alice", nil) }
	key, stranger := w.provider.Key(), oidctest.NewKey()
	for name, make := range map[string]func() string{
		"an ID token":          func() string { return idToken(w) },
		"signed by a stranger": func() string { s := fresh(); stranger.ID = key.ID; return stranger.Sign(nil, payload(t, s)) },
		"signed with our secret": func() string {
			s := fresh()
			return oidctest.HMAC([]byte(w.provider.ClientSecret), key.ID, payload(t, s))
		},
		"signed by nobody":  func() string { s := fresh(); return oidctest.Unsigned(payload(t, s)) },
		"its signature cut": func() string { s := fresh(); return s[:len(s)-4] },
		"nothing":           func() string { return "" },
		"a long text":       func() string { return strings.Repeat("x", 1<<20) },
		"dots":              func() string { return ".." },
		"JSON":              func() string { return `{"payload":"","signatures":[]}` },
	} {
		t.Run("refused: "+name, func(t *testing.T) {
			if out, err := w.source.SignedOut(t.Context(), make()); out != nil || !errors.Is(err, mfa.ErrRejected) {
				t.Errorf("%+v, error %v", out, err)
			}
		})
	}
}

func idToken(w *world) string {
	var h struct {
		IDToken string `json:"id_token"`
	}
	w.clock.Move(10 * time.Second)
	if err := json.Unmarshal(w.mustSignIn("alice").Kept, &h); err != nil || h.IDToken == "" {
		w.Fatal("no ID token is kept")
	}
	return h.IDToken
}

// AC-211: a stranger's messages do not make us ask the provider again and again, and those
// that are wrong on their face do not at all.
func TestSource_AC211_StrangersMakeUsAskNobody(t *testing.T) {
	w := newWorld(t, nil)
	stranger := oidctest.NewKey()
	for i := range 50 {
		token := w.provider.LogoutToken("alice", nil)
		said := payload(t, token)
		if i%2 == 0 {
			said["aud"] = "another"
		}
		if _, err := w.source.SignedOut(t.Context(), stranger.Sign(nil, said)); err == nil {
			t.Fatal("believed a stranger")
		}
		if i == 0 && len(w.provider.Requests("/.well-known/openid-configuration")) != 0 {
			t.Error("the provider was asked for a message that is wrong on its face")
		}
	}
	if n := len(w.provider.Requests("/jwks")); n != 1 {
		t.Errorf("the keys were asked for %d times", n)
	}
	// Nor does it keep people out.
	w.clock.Move(10 * time.Second)
	w.mustSignIn("alice")
}

// A provider whose keys cannot be had now is no forger: it sends the message again.
func TestSource_SignedOutWhileTheProviderIsDown(t *testing.T) {
	w := newWorld(t, nil)
	w.provider.Lie(oidctest.Lies{Serve: func(rw http.ResponseWriter, r *http.Request) bool {
		if r.URL.Path == "/jwks" {
			rw.WriteHeader(http.StatusBadGateway)
		}
		return r.URL.Path == "/jwks"
	}})
	out, err := w.source.SignedOut(t.Context(), w.provider.LogoutToken("alice", nil))
	if out != nil || err == nil || errors.Is(err, mfa.ErrRejected) {
		t.Errorf("%+v, error %v", out, err)
	}
}
