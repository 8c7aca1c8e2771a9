package oidc_test

import (
	"errors"
	"log/slog"
	"net/http"
	"net/http/cookiejar"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"

	"github.com/zitadel/oidc/v3/example/server/exampleop"
	"github.com/zitadel/oidc/v3/example/server/storage"

	"github.com/secondgate/secondgate/identity/oidc"
	"github.com/secondgate/secondgate/mfa"
)

// certified is a provider of a library that the OpenID Foundation has certified, so that
// we are not tested against our own reading of the standard alone.
type certified struct {
	issuer  string
	browser *http.Client
}

func newCertified(t *testing.T) *certified {
	t.Helper()
	mux := http.NewServeMux()
	server := httptest.NewServer(mux)
	t.Cleanup(server.Close)
	issuer := strings.Replace(server.URL, "127.0.0.1", "localhost", 1) + "/"
	clients := map[string]*storage.Client{
		"web":    storage.WebClient("web", "a:secret/with +signs%", callback),
		"native": storage.NativeClient("native", "http://localhost/callback"),
	}
	before := slog.Default() // which the example replaces
	kept := storage.NewStorageWithClients(storage.NewUserStore(issuer), clients)
	mux.Handle("/", exampleop.SetupServer(issuer, kept, slog.New(slog.DiscardHandler), false))
	t.Cleanup(func() { slog.SetDefault(before) })
	jar, err := cookiejar.New(nil)
	if err != nil {
		t.Fatal(err)
	}
	return &certified{issuer: issuer, browser: &http.Client{Jar: jar, CheckRedirect: func(r *http.Request, _ []*http.Request) error {
		if r.URL.Host != strings.TrimSuffix(strings.TrimPrefix(issuer, "http://"), "/") {
			return http.ErrUseLastResponse
		}
		return nil
	}}}
}

// signIn is a browser at the provider: it opens the page, sends the form, and returns what
// it brings back.
func (c *certified) signIn(t *testing.T, location string) url.Values {
	t.Helper()
	page, err := c.browser.Get(location)
	if err != nil {
		t.Fatal(err)
	}
	page.Body.Close()
	form := url.Values{"id": {page.Request.URL.Query().Get("authRequestID")}, "username": {"test-user@localhost"}, "password": {"verysecure"}}
	resp, err := c.browser.PostForm(c.issuer+"login/username", form)
	if err != nil {
		t.Fatal(err)
	}
	resp.Body.Close()
	to, err := resp.Location()
	if err != nil {
		t.Fatalf("the provider did not send the browser back: %s", resp.Status)
	}
	return to.Query()
}

func TestSource_WithACertifiedProvider(t *testing.T) {
	p := newCertified(t)
	for _, tt := range []struct {
		name     string
		config   oidc.Config
		callback string
	}{
		{"with a secret", oidc.Config{ClientID: "web", ClientSecret: mfa.Secret("a:secret/with +signs%")}, callback},
		{"public", oidc.Config{ClientID: "native"}, "http://localhost/callback"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			c := tt.config
			c.Name, c.Issuer, c.Scopes = "zitadel", p.issuer, []string{"openid", "profile", "email", "offline_access"}
			s, err := oidc.New(c)
			if err != nil {
				t.Fatal(err)
			}
			location, kept, err := s.Begin(t.Context(), mfa.RedirectStart{Callback: tt.callback, State: "the state", Again: true})
			if err != nil {
				t.Fatal(err)
			}
			answer := p.signIn(t, location)
			if answer.Get("state") != "the state" {
				t.Fatalf("the answer is %v", answer)
			}
			id, err := s.Finish(t.Context(), kept, answer)
			if err != nil {
				t.Fatal(err)
			}
			if id.Subject != "id1" || id.Name != "test-user@localhost" || id.DisplayName != "Test User" || id.Email != "test-user@zitadel.ch" || !id.EmailVerified {
				t.Errorf("signed in: %+v", id)
			}
			again, err := s.Standing(t.Context(), "id1", id.Kept)
			if err != nil || again.Subject != "id1" || again.Email != id.Email || len(again.Kept) == 0 {
				t.Fatalf("still standing: %+v, error %v", again, err)
			}
			out, err := url.Parse(s.SignOutURL(again.Kept, ""))
			if err != nil || out.Path != "/end_session" || out.Query().Get("id_token_hint") == "" {
				t.Fatalf("sign-out at %s, error %v", out, err)
			}
			resp, err := p.browser.Get(out.String())
			if err != nil || resp.StatusCode != http.StatusOK {
				t.Fatalf("signing out: %v, error %v", resp, err)
			}
			resp.Body.Close()
			third, err := s.Standing(t.Context(), "id1", again.Kept)
			if !errors.Is(err, mfa.ErrDisabled) {
				t.Errorf("after the sign-out there: %+v, error %v", third, err)
			}
		})
	}
}
