package caddymodule

import (
	"encoding/json"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/caddyserver/caddy/v2"

	"github.com/secondgate/secondgate/internal/oidctest"
	"github.com/secondgate/secondgate/mfa"
)

// provisionOIDC makes the source of a configuration in JSON.
func provisionOIDC(t *testing.T, config map[string]any) (mfa.Source, error) {
	t.Helper()
	raw, err := json.Marshal(config)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := caddy.NewContext(caddy.Context{Context: t.Context()})
	t.Cleanup(cancel)
	o := new(OIDCIdentity)
	if err := caddy.StrictUnmarshalJSON(raw, o); err != nil {
		t.Fatal(err)
	}
	if err := o.Provision(ctx); err != nil {
		return mfa.Source{}, err
	}
	s, closer, err := o.source()
	if closer != nil {
		t.Cleanup(func() { _ = closer.Close() })
	}
	return s, err
}

// Somebody signs in with a secret out of a file and a certificate out of another. The
// provider is not asked before that: a configuration is checked without a network.
func TestOIDC_SignsIn(t *testing.T) {
	p := oidctest.Start(t, oidctest.Config{TLS: true, ClientSecret: "out-of-a-file"})
	file := filepath.Join(t.TempDir(), "secret")
	if err := os.WriteFile(file, []byte("out-of-a-file\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	t.Setenv("TEST_OIDC_ISSUER", p.URL)
	s, err := provisionOIDC(t, map[string]any{
		"name": "acme", "issuer": "{env.TEST_OIDC_ISSUER}", "client_id": "secondgate", "client_secret": "{file." + file + "}", "ca": p.CertFile(t),
	})
	if err != nil {
		t.Fatal(err)
	}
	if len(p.Requests("/.well-known/openid-configuration")) != 0 {
		t.Error("the provider was asked while the configuration was loaded")
	}
	if s.Name() != "acme" || s.Title != "127.0.0.1" {
		t.Errorf("the source is %q, %q", s.Name(), s.Title)
	}
	location, kept, err := s.Redirect.Begin(t.Context(), mfa.RedirectStart{Callback: "https://app.example.com/.mfa/sign-in/with/acme/callback", State: "x"})
	if err != nil {
		t.Fatal(err)
	}
	id, err := s.Redirect.Finish(t.Context(), kept, p.SignIn(t, location, "bob"))
	if err != nil || id.Subject != "sub-bob" || id.Source != "acme" {
		t.Errorf("%+v, error %v", id, err)
	}
}

// A gateway starts while the provider is down, and what Caddy shows of its configuration
// has no secret.
func TestOIDC_GatewayStarts(t *testing.T) {
	t.Setenv("TEST_OIDC_SECRET", "sesame")
	g := newGateway(t)
	g.mustLoad(g.text("identity oidc acme {\n\t\t\tissuer https://login.example.invalid\n\t\t\tclient_id secondgate\n\t\t\tclient_secret {env.TEST_OIDC_SECRET}\n\t\t}", "mfa\n\trespond ok"))
	running, err := caddy.ActiveContext().AppIfConfigured("mfa")
	if err != nil {
		t.Fatal(err)
	}
	sources := running.(*App).sources
	if len(sources) != 1 || sources[0].name != "acme" {
		t.Fatalf("the sources are %v", sources)
	}
	if shown, err := json.Marshal(sources[0].module); err != nil || strings.Contains(string(shown), "sesame") || !strings.Contains(string(shown), "TEST_OIDC_SECRET") {
		t.Errorf("shown as %s, error %v", shown, err)
	}
}

func TestOIDC_Source(t *testing.T) {
	least := func(more map[string]any) map[string]any {
		c := map[string]any{"issuer": "https://login.example.com/acme", "client_id": "secondgate", "client_secret": "secret"}
		for name, value := range more {
			if c[name] = value; value == nil {
				delete(c, name)
			}
		}
		return c
	}
	minutes := func(n int) int64 { return int64(time.Duration(n) * time.Minute) }
	for name, tt := range map[string]struct {
		more map[string]any
		want mfa.Source
	}{
		"the least":            {nil, mfa.Source{Title: "login.example.com", Recheck: 12 * time.Hour}},
		"with offline_access":  {map[string]any{"scopes": []string{"openid", "offline_access"}}, mfa.Source{Title: "login.example.com", Confirm: 15 * time.Minute}},
		"asked by other means": {map[string]any{"confirm": minutes(5)}, mfa.Source{Title: "login.example.com", Confirm: 5 * time.Minute}},
		"both":                 {map[string]any{"confirm": minutes(5), "recheck": minutes(60)}, mfa.Source{Title: "login.example.com", Confirm: 5 * time.Minute, Recheck: time.Hour}},
		"out there, too":       {map[string]any{"sign_out": "provider", "title": "Acme"}, mfa.Source{Title: "Acme", Recheck: 12 * time.Hour, SignOutThere: true}},
	} {
		t.Run(name, func(t *testing.T) {
			got, err := provisionOIDC(t, least(tt.more))
			if err != nil {
				t.Fatal(err)
			}
			if got.Redirect == nil || got.Name() != "oidc" {
				t.Error("no source")
			}
			got.Redirect = nil
			if !reflect.DeepEqual(got, tt.want) {
				t.Errorf("got %+v, want %+v", got, tt.want)
			}
		})
	}
	empty := filepath.Join(t.TempDir(), "empty")
	if err := os.WriteFile(empty, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	for name, tt := range map[string]struct {
		more map[string]any
		want string
	}{
		"AC-201 a secret that is not set":   {map[string]any{"client_secret": "{env.TEST_OIDC_NOT_SET}"}, "client_secret: "},
		"AC-201 a file that is not there":   {map[string]any{"client_secret": "{file./nowhere/secret}"}, "client_secret: "},
		"AC-201 a file that is empty":       {map[string]any{"client_secret": "{file." + empty + "}"}, "client_secret: "},
		"AC-201 no secret":                  {map[string]any{"client_secret": nil}, "client_secret: "},
		"AC-201 a certificate not there":    {map[string]any{"ca": "/nowhere/ca.pem"}, "ca: "},
		"AC-201 an empty group":             {map[string]any{"allowed_groups": []string{"staff", ""}}, "allowed_groups: "},
		"AC-201 an empty list":              {map[string]any{"allowed_groups": []string{}}, "allowed_groups: "},
		"AC-201 a negative interval":        {map[string]any{"confirm": -1}, "confirm: "},
		"AC-201 an empty trust":             {map[string]any{"trust_mfa": map[string]any{}}, "trust_mfa: "},
		"AC-201 a word that means nothing":  {map[string]any{"email_verified": "yes"}, "email_verified: "},
		"AC-201 an issuer over plain http":  {map[string]any{"issuer": "http://login.example.com"}, "issuer: "},
		"AC-201 the name of local accounts": {map[string]any{"name": "local"}, "identity: "},
		"AC-201 a title that is too long":   {map[string]any{"title": strings.Repeat("x", 65)}, "title: "},
	} {
		t.Run(name, func(t *testing.T) {
			if _, err := provisionOIDC(t, least(tt.more)); err == nil || !strings.Contains(err.Error(), tt.want) {
				t.Errorf("error %v", err)
			}
		})
	}
}
