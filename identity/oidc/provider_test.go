package oidc_test

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/secondgate/secondgate/identity/oidc"
	"github.com/secondgate/secondgate/internal/oidctest"
	"github.com/secondgate/secondgate/mfa"
)

// start tries to begin a sign-in.
func (w *world) start() error {
	_, _, err := w.source.Begin(w.Context(), mfa.RedirectStart{Callback: callback, State: "the state"})
	return err
}

// AC-177, AC-211: a description that leads astray is not used.
func TestSource_RejectsDescriptions(t *testing.T) {
	set := func(name string, value any) func(map[string]any) {
		return func(d map[string]any) {
			d[name] = value
			if value == nil {
				delete(d, name)
			}
		}
	}
	tests := map[string]func(map[string]any){
		"AC-177 another issuer":                     set("issuer", "https://evil.example"),
		"AC-177 the issuer with a slash":            func(d map[string]any) { d["issuer"] = d["issuer"].(string) + "/" },
		"AC-177 no issuer":                          set("issuer", nil),
		"AC-175 a provider without S256":            set("code_challenge_methods_supported", []string{"plain"}),
		"AC-176 none and HS256 alone":               set("id_token_signing_alg_values_supported", []string{"none", "HS256"}),
		"AC-211 keys by plain http":                 set("jwks_uri", "http://keys.example.com/jwks"),
		"AC-211 tokens by plain http":               set("token_endpoint", "http://192.0.2.1/token"),
		"AC-211 claims at the credentials' address": set("userinfo_endpoint", "http://169.254.169.254/latest/meta-data"),
		"AC-211 keys in a file":                     set("jwks_uri", "file:///etc/passwd"),
		"AC-211 a name and a password in it":        set("token_endpoint", "https://user:word@example.com/token"),
		"a sign-out that runs":                      set("end_session_endpoint", "javascript:alert(1)"),
		"a sign-in page that runs":                  set("authorization_endpoint", "javascript://example.com/%0aalert(1)"),
		"no keys":                                   set("jwks_uri", nil),
		"no tokens":                                 set("token_endpoint", nil),
		"no sign-in page":                           set("authorization_endpoint", ""),
		"a secret that it does not take":            set("token_endpoint_auth_methods_supported", []string{"private_key_jwt"}),
		"another form":                              set("token_endpoint_auth_methods_supported", "client_secret_basic"),
	}
	for name, lie := range tests {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t, nil)
			w.provider.Lie(oidctest.Lies{Description: lie})
			err := w.start()
			if err == nil || errors.Is(err, mfa.ErrRejected) {
				t.Errorf("error %v", err)
			}
			if len(w.provider.Requests("/token"))+len(w.provider.Requests("/jwks")) != 0 {
				t.Error("the provider was asked for more")
			}
		})
	}
	t.Run("over http nothing of the network is this machine's", func(t *testing.T) {
		// An issuer out there must not send us to what only this machine reaches.
		for _, text := range []string{"https://localhost/token", "https://127.0.0.1/token", "https://10.0.0.1/token", "https://[::1]/token", "https://169.254.169.254/", "https://0.0.0.0/", "https://[fe80::1]/"} {
			if err := oidc.CheckEndpoint("https://login.example.com", text); err == nil {
				t.Errorf("%s was taken", text)
			}
		}
		for issuer, text := range map[string]string{
			"https://login.example.com": "https://tokens.example.net/token", "https://10.0.0.1": "https://10.0.0.2/token",
			"http://localhost:1": "http://127.0.0.1:2/token", "https://localhost:1": "https://localhost:2/token",
		} {
			if err := oidc.CheckEndpoint(issuer, text); err != nil {
				t.Errorf("%s of %s: %v", text, issuer, err)
			}
		}
		if oidc.CheckEndpoint("https://localhost:1", "http://localhost:2/token") == nil {
			t.Error("a provider with TLS sends us to one without")
		}
	})
}

// AC-211: the provider does what it likes at each address; we answer in time, read no
// more than we may, follow nobody, and repeat nothing of it.
func TestSource_AC211_HostileAnswers(t *testing.T) {
	followed := 0
	elsewhere := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { followed++ }))
	defer elsewhere.Close()
	endless := func(w http.ResponseWriter) {
		w.Header().Set("Content-Type", "application/json")
		chunk := []byte(`"` + strings.Repeat("x", 64<<10) + `",`)
		fmt.Fprint(w, `{"a":[`)
		for range 10 << 10 {
			if _, err := w.Write(chunk); err != nil {
				return
			}
		}
	}
	hostile := map[string]func(http.ResponseWriter, *http.Request){
		"endless": func(w http.ResponseWriter, _ *http.Request) { endless(w) },
		"long at once": func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Length", "99999999")
			fmt.Fprint(w, "{}")
		},
		"elsewhere": func(w http.ResponseWriter, r *http.Request) {
			http.Redirect(w, r, elsewhere.URL, http.StatusTemporaryRedirect)
		},
		"an error": func(w http.ResponseWriter, _ *http.Request) {
			http.Error(w, "<b>sesame</b>", http.StatusInternalServerError)
		},
		"no JSON": func(w http.ResponseWriter, _ *http.Request) { fmt.Fprint(w, "<b>sesame</b>") },
		"a list":  func(w http.ResponseWriter, _ *http.Request) { fmt.Fprint(w, `["sesame"]`) },
		"cut off": func(http.ResponseWriter, *http.Request) { panic(http.ErrAbortHandler) },
	}
	for _, path := range []string{"/.well-known/openid-configuration", "/token", "/jwks", "/userinfo"} {
		for name, serve := range hostile {
			t.Run(path+" "+name, func(t *testing.T) {
				w := newWorld(t, func(c *oidc.Config) { c.Claims.Organization = "org" }) // which the ID token lacks
				w.provider.Lie(oidctest.Lies{Serve: func(rw http.ResponseWriter, r *http.Request) bool {
					if r.URL.Path == path {
						serve(rw, r)
					}
					return r.URL.Path == path
				}})
				err := w.start()
				if path != "/.well-known/openid-configuration" {
					_, err = w.signIn("alice")
				}
				if err == nil || errors.Is(err, mfa.ErrRejected) || errors.Is(err, mfa.ErrDenied) {
					t.Errorf("error %v", err)
				}
				if err != nil && (strings.Contains(err.Error(), "sesame") || strings.Contains(err.Error(), "xxx")) {
					t.Errorf("the error repeats the answer: %v", err)
				}
			})
		}
	}
	if followed != 0 {
		t.Errorf("somebody was followed elsewhere %d times", followed)
	}
}

// A provider that hangs holds up whoever asks it, and only as long as they like.
func TestSource_AC211_Hangs(t *testing.T) {
	w := newWorld(t, nil)
	release := make(chan struct{})
	defer close(release)
	w.provider.Lie(oidctest.Lies{Serve: func(_ http.ResponseWriter, r *http.Request) bool {
		select {
		case <-release:
		case <-r.Context().Done():
		}
		return true
	}})
	go func() { _ = w.start() }()
	time.Sleep(20 * time.Millisecond)
	ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	began := time.Now()
	if _, _, err := w.source.Begin(ctx, mfa.RedirectStart{Callback: callback}); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("error %v", err)
	}
	if took := time.Since(began); took > 2*time.Second {
		t.Errorf("took %s", took)
	}
}

// A provider that is down is asked again, first soon, then after a while, and by one of
// those who wait; its description stays in use for as long as there is no newer one.
func TestSource_DescriptionIsKept(t *testing.T) {
	w := newWorld(t, nil)
	const path = "/.well-known/openid-configuration"
	down := oidctest.Lies{Serve: func(rw http.ResponseWriter, r *http.Request) bool {
		if r.URL.Path == path {
			rw.WriteHeader(http.StatusBadGateway)
		}
		return r.URL.Path == path
	}}
	w.provider.Lie(down)
	asked := func() int { return len(w.provider.Requests(path)) }
	for range 10 {
		if w.start() == nil {
			t.Fatal("began without a provider")
		}
	}
	if n := asked(); n != 1 {
		t.Errorf("asked %d times in a moment", n)
	}
	for range 10 {
		w.clock.Move(31 * time.Second)
		if w.start() == nil {
			t.Fatal("began without a provider")
		}
	}
	if n := asked(); n != 11 {
		t.Errorf("asked %d times in ten waits", n)
	}
	w.clock.Move(31 * time.Second)
	w.provider.Lie(oidctest.Lies{})
	if err := w.start(); err != nil {
		t.Fatalf("it is back: %v", err)
	}
	w.clock.Move(23 * time.Hour)
	if err := w.start(); err != nil || asked() != 12 {
		t.Errorf("within a day: asked %d times, error %v", asked(), err)
	}
	w.provider.Lie(down)
	w.clock.Move(2 * time.Hour)
	for range 3 {
		if err := w.start(); err != nil {
			t.Errorf("what is known was forgotten: %v", err)
		}
	}
	if n := asked(); n != 13 {
		t.Errorf("asked %d times", n)
	}
}

// How we prove who we are follows what the provider takes.
func TestSource_ProvesItself(t *testing.T) {
	for name, tt := range map[string]struct {
		methods any
		public  bool
		basic   bool
	}{
		"nothing said":    {nil, false, true},
		"both":            {[]string{"client_secret_post", "client_secret_basic"}, false, true},
		"in the form":     {[]string{"client_secret_post"}, false, false},
		"a public client": {[]string{"none"}, true, false},
		"public, unsaid":  {nil, true, false},
	} {
		t.Run(name, func(t *testing.T) {
			c := newClock()
			secret := "a: secret+with/signs%20"
			if tt.public {
				secret = "-"
			}
			w := &world{T: t, clock: c, provider: oidctest.Start(t, oidctest.Config{Now: c.Now, TLS: true, ClientSecret: secret})}
			w.provider.Lie(oidctest.Lies{Description: func(d map[string]any) { d["token_endpoint_auth_methods_supported"] = tt.methods }})
			w.source = w.newSource(nil)
			w.mustSignIn("alice")
			r := w.provider.Requests("/token")[0]
			if (r.User != "") != tt.basic || r.Form.Has("client_secret") == (tt.basic || tt.public) || r.Form.Get("code_verifier") == "" {
				t.Errorf("asked with %+v", r)
			}
		})
	}
}

// The wrong secret is a mistake in the configuration, and neither the person's nor told
// to them.
func TestSource_WrongSecret(t *testing.T) {
	w := newWorld(t, func(c *oidc.Config) { c.ClientSecret = mfa.Secret("another secret") })
	_, err := w.signIn("alice")
	if err == nil || errors.Is(err, mfa.ErrRejected) || errors.Is(err, mfa.ErrDenied) || strings.Contains(err.Error(), "another secret") || strings.Contains(err.Error(), "<b>") {
		t.Errorf("error %v", err)
	}
}

// The certificate of a stranger, and one that the configuration names.
func TestSource_CertificateOfTheProvider(t *testing.T) {
	c := newClock()
	w := &world{T: t, clock: c, provider: oidctest.Start(t, oidctest.Config{TLS: true, Now: c.Now})}
	w.source = w.newSource(func(c *oidc.Config) { c.Roots = nil })
	if err := w.start(); err == nil {
		t.Error("a stranger's certificate was taken")
	}
	w.source = w.newSource(nil)
	w.mustSignIn("bob")
}

// Nothing that is known of a provider leads anywhere but to it.
func TestSource_LocationIsTheProviders(t *testing.T) {
	w := newWorld(t, nil)
	location, _ := w.begin(false)
	if u, err := url.Parse(location); err != nil || u.Scheme+"://"+u.Host != w.provider.URL {
		t.Errorf("sent to %s", location)
	}
}
