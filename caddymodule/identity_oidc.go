package caddymodule

import (
	"errors"
	"fmt"
	"io"
	"net/url"
	"slices"
	"time"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/caddyconfig/caddyfile"

	"github.com/secondgate/secondgate/identity/oidc"
	"github.com/secondgate/secondgate/internal/clock"
	"github.com/secondgate/secondgate/mfa"
)

func init() {
	caddy.RegisterModule(new(OIDCIdentity))
}

// OIDCIdentity has people sign in at an OpenID provider: Keycloak, Entra ID, Google, Okta
// and others. The issuer, the client's name and secret, and the file of certificates may
// have placeholders, {env.NAME} or {file./path}, which are replaced when the configuration
// is loaded. The provider is asked first when somebody signs in.
type OIDCIdentity struct {
	// Name is the source's name, which stands in the addresses that the provider is told
	// and in the record of each of its users: it is never changed. The default is "oidc".
	Name string `json:"name,omitempty"`
	// Title is how the sign-in page calls the provider. The default is its host.
	Title string `json:"title,omitempty"`

	// Issuer is the provider's own name for itself, an address that begins with https://,
	// exactly as it writes it.
	Issuer string `json:"issuer,omitempty"`
	// ClientID is the name under which the provider knows this gateway.
	ClientID string `json:"client_id,omitempty"`
	// ClientSecret proves it; best by {env.NAME} or {file./path}.
	ClientSecret string `json:"client_secret,omitempty"`
	// PublicClient says that the provider has given no secret.
	PublicClient bool `json:"public_client,omitempty"`
	// CA is a file with the certificate of the authority that the provider's own is from,
	// as PEM. The default is what the system trusts.
	CA string `json:"ca,omitempty"`

	// Scopes are what is asked of the provider. The default is openid profile email.
	Scopes []string `json:"scopes,omitempty"`
	// ACRValues are the classes of sign-in that the provider is asked for.
	ACRValues []string `json:"acr_values,omitempty"`
	// AuthParams are more parameters for the provider's sign-in page.
	AuthParams map[string]string `json:"auth_params,omitempty"`

	// Claims say where the provider writes what.
	Claims OIDCClaims `json:"claims,omitzero"`
	// Organizations says for which of our organizations a value of the organization claim
	// stands. Without it a value that is an organization's name is that.
	Organizations map[string]string `json:"organizations,omitempty"`
	// EmailVerified "always" takes addresses within the allowed domains for verified where
	// the provider does not say whether they are. By default only a provider that says so
	// is believed.
	EmailVerified string `json:"email_verified,omitempty"`
	// UserInfo "off" does without what the ID token does not say. By default the provider
	// is asked for it.
	UserInfo string `json:"userinfo,omitempty"`
	// Audiences are whom a token may be for beside us; by default nobody.
	Audiences []string `json:"audiences,omitempty"`

	// AllowedGroups are those of whom people need one to sign in; by default anybody may.
	AllowedGroups []string `json:"allowed_groups,omitempty"`
	// AllowedDomains are those of the verified addresses with which people may sign in.
	AllowedDomains []string `json:"allowed_domains,omitempty"`
	// RequiredClaims are claims that have to have one of the values.
	RequiredClaims map[string][]string `json:"required_claims,omitempty"`

	// TrustMFA says by which claims a second factor is believed that the provider has asked
	// for. By default none is.
	TrustMFA *OIDCTrust `json:"trust_mfa,omitempty"`

	// Confirm is how often the provider is asked whether a signed-in person still stands,
	// for which it gives a refresh token. The default is 15 minutes where the scopes have
	// offline_access, and else never.
	Confirm caddy.Duration `json:"confirm,omitempty"`
	// Recheck is how long a session lives until the person goes through the provider again.
	// The default is 12 hours where the provider is not asked.
	Recheck caddy.Duration `json:"recheck,omitempty"`
	// SignOut "provider" signs people out at the provider, too. The default is "here".
	SignOut string `json:"sign_out,omitempty"`

	made *oidc.Source
}

// OIDCClaims are where a provider writes what. A dot leads into an object:
// realm_access.roles. "off" reads it nowhere.
type OIDCClaims struct {
	// Name is the user name. The default is preferred_username.
	Name string `json:"name,omitempty"`
	// DisplayName is how pages call the person. The default is name.
	DisplayName string `json:"display_name,omitempty"`
	// Email is the address. The default is email.
	Email string `json:"email,omitempty"`
	// Groups is a list of groups for apps. The default is groups.
	Groups string `json:"groups,omitempty"`
	// Organization is the organization, or several. By default no claim says it.
	Organization string `json:"organization,omitempty"`
}

// OIDCTrust says by which claims a second factor is believed.
type OIDCTrust struct {
	// AMR are methods any of which is a second factor, as the provider writes them.
	AMR []string `json:"amr,omitempty"`
	// ACR are classes of sign-in that have one.
	ACR []string `json:"acr,omitempty"`
	// PhishingResistantAMR are methods that are phishing-resistant.
	PhishingResistantAMR []string `json:"phishing_resistant_amr,omitempty"`
}

// CaddyModule returns the Caddy module information.
func (*OIDCIdentity) CaddyModule() caddy.ModuleInfo {
	return caddy.ModuleInfo{ID: "mfa.identity.oidc", New: func() caddy.Module { return new(OIDCIdentity) }}
}

const (
	defaultConfirm = 15 * time.Minute
	defaultRecheck = 12 * time.Hour
)

// Provision resolves the placeholders and checks the rest. It asks nobody.
func (o *OIDCIdentity) Provision(ctx caddy.Context) error {
	c, err := o.config(resolved)
	if err != nil {
		return o.ours(err)
	}
	ca, err := resolved(o.CA, "")
	if err != nil {
		return o.ours(fmt.Errorf("ca: reading what stands there: %w", err))
	}
	if c.Roots, err = roots(ca); err != nil {
		return o.ours(err)
	}
	if err := o.check(); err != nil {
		return o.ours(err)
	}
	if o.made, err = oidc.New(c); err != nil {
		return o.ours(err)
	}
	if o.Title == "" {
		o.Title = host(c.Issuer)
	}
	warnOpen(ctx, "client_secret", o.ClientSecret)
	return nil
}

// ours adds to an error which source it is about.
func (o *OIDCIdentity) ours(err error) error {
	return fmt.Errorf("identity oidc %s: %w", o.name(), err)
}

func host(address string) string {
	u, err := url.Parse(address)
	if err != nil {
		return ""
	}
	return u.Hostname()
}

// config returns the configuration with each value as read gives it.
func (o *OIDCIdentity) config(read reader) (oidc.Config, error) {
	v, err := values{
		{"issuer", o.Issuer, "https://login.example.com"}, {"client_id", o.ClientID, "secondgate"}, {"client_secret", o.ClientSecret, "secret"},
	}.read(read)
	if err != nil {
		return oidc.Config{}, err
	}
	c := oidc.Config{
		Name: o.name(), Issuer: v[0], ClientID: v[1], ClientSecret: mfa.Secret(v[2]),
		Scopes: o.Scopes, ACRValues: o.ACRValues, AuthParams: o.AuthParams,
		Claims: oidc.Claims(o.Claims), EmailAlways: o.EmailVerified == "always", NoUserInfo: o.UserInfo == "off", Audiences: o.Audiences,
		AllowedGroups: o.AllowedGroups, AllowedDomains: o.AllowedDomains, Required: o.RequiredClaims,
		Now: clock.Now,
	}
	if o.Organizations != nil {
		c.Organizations = map[string]mfa.OrganizationID{}
	}
	for value, id := range o.Organizations {
		c.Organizations[value] = mfa.OrganizationID(id)
	}
	if t := o.TrustMFA; t != nil {
		c.Trust = oidc.Trust{AMR: t.AMR, ACR: t.ACR, PhishingResistant: t.PhishingResistantAMR}
	}
	switch {
	case o.ClientSecret == "" && !o.PublicClient:
		return c, errors.New("client_secret: is missing; write for example: client_secret {env.OIDC_SECRET}, or public_client where the provider has given none")
	case o.ClientSecret != "" && o.PublicClient:
		return c, errors.New("public_client: has no secret, and client_secret is one; remove one of the two lines")
	case o.ClientSecret != "" && v[2] == "":
		// Whoever forgot to fill it would get a client that anybody can be.
		return c, errors.New("client_secret: what stands there is empty; write the secret to it")
	}
	return c, nil
}

// check refuses what package oidc does not see.
func (o *OIDCIdentity) check() error {
	if err := checkSourceName(o.name()); err != nil {
		return err
	}
	for _, each := range []struct {
		option, value string
		allowed       []string
	}{
		{"email_verified", o.EmailVerified, []string{"always"}}, {"userinfo", o.UserInfo, []string{"off"}}, {"sign_out", o.SignOut, []string{"here", "provider"}},
	} {
		if each.value != "" && !slices.Contains(each.allowed, each.value) {
			return fmt.Errorf("%s: %q means nothing; write %s %s, or leave the line out", each.option, each.value, each.option, each.allowed[len(each.allowed)-1])
		}
	}
	switch {
	case len(o.Title) > 64:
		return errors.New("title: is too long for a button; use 64 bytes at most")
	case o.Confirm != 0 && time.Duration(o.Confirm) < time.Minute:
		return errors.New("confirm: must be one minute or more; write for example: confirm 15m")
	case o.Recheck != 0 && time.Duration(o.Recheck) < time.Minute:
		return errors.New("recheck: must be one minute or more; write for example: recheck 12h")
	}
	if o.TrustMFA != nil && len(o.TrustMFA.AMR)+len(o.TrustMFA.ACR)+len(o.TrustMFA.PhishingResistantAMR) == 0 {
		return errors.New("trust_mfa: is empty; write by which claims a second factor is believed: trust_mfa { amr mfa }, or remove it")
	}
	return nil
}

func (o *OIDCIdentity) name() string {
	if o.Name == "" {
		return "oidc"
	}
	return o.Name
}

func (o *OIDCIdentity) source() (mfa.Source, io.Closer, error) {
	s := mfa.Source{
		Title: o.Title, Redirect: o.made, Confirm: time.Duration(o.Confirm), Recheck: time.Duration(o.Recheck), SignOutThere: o.SignOut == "provider",
	}
	if s.Confirm == 0 && slices.Contains(o.Scopes, "offline_access") {
		s.Confirm = defaultConfirm
	}
	if s.Confirm == 0 && s.Recheck == 0 {
		s.Recheck = defaultRecheck
	}
	return s, nil, nil
}

var (
	_ IdentityModule        = (*OIDCIdentity)(nil)
	_ caddy.Provisioner     = (*OIDCIdentity)(nil)
	_ caddyfile.Unmarshaler = (*OIDCIdentity)(nil)
)
