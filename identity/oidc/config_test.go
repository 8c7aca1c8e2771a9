package oidc_test

import (
	"strings"
	"testing"

	"github.com/secondgate/secondgate/identity/oidc"
	"github.com/secondgate/secondgate/mfa"
)

func good() oidc.Config {
	return oidc.Config{Name: "acme", Issuer: "https://login.example.com/realms/acme", ClientID: "secondgate", ClientSecret: mfa.Secret("secret")}
}

// AC-201: what would let in more than is meant, or could never work, is refused.
func TestConfig_AC201_Refuses(t *testing.T) {
	tests := map[string]struct {
		change func(*oidc.Config)
		want   string // how the error begins
	}{
		"no issuer":                   {func(c *oidc.Config) { c.Issuer = "" }, "issuer: "},
		"an issuer over http":         {func(c *oidc.Config) { c.Issuer = "http://login.example.com" }, "issuer: "},
		"an issuer with a name in it": {func(c *oidc.Config) { c.Issuer = "https://a:b@login.example.com" }, "issuer: "},
		"an issuer with a fragment":   {func(c *oidc.Config) { c.Issuer = "https://login.example.com/#" }, "issuer: "},
		"an issuer of a file":         {func(c *oidc.Config) { c.Issuer = "file://host/etc" }, "issuer: "},
		"no client":                   {func(c *oidc.Config) { c.ClientID = "" }, "client_id: "},
		"a client with a line break":  {func(c *oidc.Config) { c.ClientID = "a\nb" }, "client_id: "},
		"a secret with a line break":  {func(c *oidc.Config) { c.ClientSecret = mfa.Secret("sesame\nopen") }, "client_secret: "},
		"no openid":                   {func(c *oidc.Config) { c.Scopes = []string{"profile"} }, "scopes: "},
		"an empty list of scopes":     {func(c *oidc.Config) { c.Scopes = []string{} }, "scopes: "},
		"a class of two words":        {func(c *oidc.Config) { c.ACRValues = []string{"a b"} }, "acr_values: "},
		"the challenge":               {func(c *oidc.Config) { c.AuthParams = map[string]string{"code_challenge_method": "plain"} }, "auth_params: "},
		"the redirect address":        {func(c *oidc.Config) { c.AuthParams = map[string]string{"redirect_uri": "https://x"} }, "auth_params: "},
		"another response":            {func(c *oidc.Config) { c.AuthParams = map[string]string{"response_mode": "fragment"} }, "auth_params: "},
		"a request object":            {func(c *oidc.Config) { c.AuthParams = map[string]string{"request_uri": "https://x"} }, "auth_params: "},
		"an empty parameter":          {func(c *oidc.Config) { c.AuthParams = map[string]string{"hd": ""} }, "auth_params: "},
		"a claim of the token":        {func(c *oidc.Config) { c.Claims.Groups = "amr" }, "claims groups: "},
		"organizations of no claim":   {func(c *oidc.Config) { c.Organizations = map[string]mfa.OrganizationID{"a": "a"} }, "organizations: "},
		"an empty organization": {func(c *oidc.Config) {
			c.Claims.Organization = "org"
			c.Organizations = map[string]mfa.OrganizationID{"a": ""}
		}, "organizations: "},
		"the organization of an empty value": {func(c *oidc.Config) {
			c.Claims.Organization = "org"
			c.Organizations = map[string]mfa.OrganizationID{"": "a"}
		}, "organizations: "},
		"an empty audience":              {func(c *oidc.Config) { c.Audiences = []string{""} }, "audiences: "},
		"any address for verified":       {func(c *oidc.Config) { c.EmailAlways = true }, "email_verified: "},
		"an empty group":                 {func(c *oidc.Config) { c.AllowedGroups = []string{""} }, "allowed_groups: "},
		"no group at all":                {func(c *oidc.Config) { c.AllowedGroups = []string{} }, "allowed_groups: "},
		"a group of a space":             {func(c *oidc.Config) { c.AllowedGroups = []string{" "} }, "allowed_groups: "},
		"an empty domain":                {func(c *oidc.Config) { c.AllowedDomains = []string{""} }, "allowed_domains: "},
		"a domain of any":                {func(c *oidc.Config) { c.AllowedDomains = []string{"*.example.com"} }, "allowed_domains: "},
		"a top-level domain":             {func(c *oidc.Config) { c.AllowedDomains = []string{"com"} }, "allowed_domains: "},
		"domains without an address":     {func(c *oidc.Config) { c.AllowedDomains = []string{"example.com"}; c.Claims.Email = "off" }, "allowed_domains: "},
		"a required claim of no value":   {func(c *oidc.Config) { c.Required = map[string][]string{"hd": nil} }, "required_claims: "},
		"a required claim of no name":    {func(c *oidc.Config) { c.Required = map[string][]string{"": {"x"}} }, "required_claims: "},
		"a password for a second factor": {func(c *oidc.Config) { c.Trust.AMR = []string{"mfa", "pwd"} }, "trust_mfa amr: "},
		"an empty class":                 {func(c *oidc.Config) { c.Trust.ACR = []string{""} }, "trust_mfa acr: "},
		"resistant and no second factor": {func(c *oidc.Config) { c.Trust.PhishingResistant = []string{"hwk"} }, "trust_mfa phishing_resistant_amr: "},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			c := good()
			tt.change(&c)
			s, err := oidc.New(c)
			if s != nil || err == nil || !strings.HasPrefix(err.Error(), tt.want) || strings.Contains(err.Error(), "sesame") {
				t.Errorf("error %v", err)
			}
		})
	}
	if _, err := oidc.New(good()); err != nil {
		t.Error(err)
	}
	for _, issuer := range []string{"http://localhost:8080/realms/acme", "http://127.0.0.1", "http://[::1]:1", "https://10.0.0.1/"} {
		c := good()
		c.Issuer = issuer
		if _, err := oidc.New(c); err != nil {
			t.Errorf("%s: %v", issuer, err)
		}
	}
}

// The zero value believes nothing.
func TestConfig_ZeroIsRefused(t *testing.T) {
	if s, err := oidc.New(oidc.Config{}); s != nil || err == nil {
		t.Error("made a source of nothing")
	}
}
