package oidc

import (
	"crypto/x509"
	"errors"
	"fmt"
	"maps"
	"net/url"
	"regexp"
	"slices"
	"strings"
	"time"

	"github.com/secondgate/secondgate/mfa"
)

// Config says who the provider is and what of it is believed.
type Config struct {
	Name         string // the source's
	Issuer       string // exactly as the provider writes it
	ClientID     string
	ClientSecret mfa.Secret // empty: a public client, which PKCE alone protects

	Scopes     []string          // nil: openid profile email
	ACRValues  []string          // classes of sign-in to ask for
	AuthParams map[string]string // more for the provider's sign-in page

	Claims        Claims
	Organizations map[string]mfa.OrganizationID // nil: a value that is an organization's name is that
	// EmailAlways takes addresses within AllowedDomains for verified where the provider
	// does not say whether they are.
	EmailAlways bool
	NoUserInfo  bool     // what the ID token does not say is not asked for
	Audiences   []string // whom else a token may be for, beside us

	AllowedGroups  []string            // one of them is needed; nil: anybody
	AllowedDomains []string            // of the verified address; nil: any
	Required       map[string][]string // claims that have to have one of those values

	Trust Trust

	Roots *x509.CertPool // whose certificates hold; nil: the system's
	Now   func() time.Time
}

// Claims are where the provider writes what. A dot leads into an object:
// realm_access.roles. "" stands for the default, "off" for nowhere.
type Claims struct {
	Name         string // user name; preferred_username
	DisplayName  string // name
	Email        string // email
	Groups       string // groups
	Organization string // nowhere
}

// Trust says by which claims a second factor is believed that the provider has asked
// for. The zero value believes none.
type Trust struct {
	AMR               []string // methods, any of which is a second factor
	ACR               []string // classes of sign-in that have one
	PhishingResistant []string // methods that are phishing-resistant
}

// any reports whether anything is believed.
func (t Trust) any() bool { return len(t.AMR)+len(t.ACR) > 0 }

// with returns the claims with their defaults.
func (c Claims) with() Claims {
	for _, each := range []struct {
		claim    *string
		standard string
	}{
		{&c.Name, "preferred_username"}, {&c.DisplayName, "name"}, {&c.Email, "email"}, {&c.Groups, "groups"}, {&c.Organization, "off"},
	} {
		if *each.claim == "" {
			*each.claim = each.standard
		}
		if *each.claim == "off" {
			*each.claim = ""
		}
	}
	return c
}

// ours are parameters of the sign-in page that are not for the configuration: they are
// what protects it.
var ours = []string{
	"client_id", "client_secret", "redirect_uri", "response_type", "response_mode", "scope", "state", "nonce", "code_challenge",
	"code_challenge_method", "request", "request_uri", "max_age", "acr_values", "id_token_hint",
}

// reserved are claims that say something of a token and nothing of a person (AC-021).
var reserved = []string{
	"iss", "aud", "exp", "nbf", "iat", "jti", "azp", "nonce", "at_hash", "c_hash", "s_hash", "auth_time", "amr", "acr", "sid", "events", "_claim_names", "_claim_sources",
}

var (
	domainName = regexp.MustCompile(`^[a-z0-9]([a-z0-9-]*[a-z0-9])?(\.[a-z0-9]([a-z0-9-]*[a-z0-9])?)+$`)
	scopeName  = regexp.MustCompile(`^[!#-\[\]-~]+$`) // RFC 6749, section 3.3
)

// Validate returns what is wrong, and what to write instead. Each error begins with the
// name of the option that it is about.
func (c Config) Validate() error {
	for _, check := range []func() error{c.checkClient, c.checkAsked, c.checkClaims, c.checkAllowed, c.checkTrust} {
		if err := check(); err != nil {
			return err
		}
	}
	return nil
}

func (c Config) checkClient() error {
	if c.Issuer == "" {
		return errors.New("issuer: is missing; write for example: issuer https://login.example.com/realms/acme")
	}
	if err := checkIssuer(c.Issuer); err != nil {
		return fmt.Errorf("issuer: %w", err)
	}
	switch {
	case c.ClientID == "":
		return errors.New("client_id: is missing; write the name under which the provider knows this gateway: client_id secondgate")
	case len(c.ClientID) > 255 || !printable(c.ClientID):
		return errors.New("client_id: has signs in it that no client has; write it as the provider shows it")
	case len(c.ClientSecret) > 1024 || !printable(string(c.ClientSecret)):
		return errors.New("client_secret: has a line break or another sign in it that no secret has; write it as the provider shows it: client_secret {file./run/secrets/oidc}")
	}
	return nil
}

func (c Config) checkAsked() error {
	if err := words("scopes", c.Scopes, "scopes openid profile email"); err != nil {
		return err
	}
	for _, scope := range c.Scopes {
		if !scopeName.MatchString(scope) {
			return fmt.Errorf("scopes: %q is no scope; write each as a word of its own: scopes openid profile email", scope)
		}
	}
	if c.Scopes != nil && !slices.Contains(c.Scopes, "openid") {
		return errors.New("scopes: openid is missing, without which the provider says nobody's name; write for example: scopes openid profile email")
	}
	if err := words("acr_values", c.ACRValues, "acr_values urn:example:mfa"); err != nil {
		return err
	}
	for _, value := range c.ACRValues {
		if strings.ContainsAny(value, " \t") {
			return fmt.Errorf("acr_values: %q has a space in it; write each as a word of its own", value)
		}
	}
	for _, name := range slices.Sorted(maps.Keys(c.AuthParams)) {
		switch value := c.AuthParams[name]; {
		case name == "" || value == "" || !printable(name) || !printable(value):
			return fmt.Errorf("auth_params: %q is empty or has a line break in it; write for example: auth_params { hd example.com }", name)
		case slices.Contains(ours, name):
			return fmt.Errorf("auth_params: %q is set by the gateway, whose protection hangs on it; leave it out", name)
		case name == "prompt" && slices.Contains(strings.Fields(value), "none"):
			return errors.New("auth_params: prompt none never shows the provider's page, so that nobody could sign in; write for example: prompt select_account")
		}
	}
	return nil
}

func (c Config) checkClaims() error {
	for _, each := range []struct{ option, claim string }{
		{"name", c.Claims.Name}, {"display_name", c.Claims.DisplayName}, {"email", c.Claims.Email}, {"groups", c.Claims.Groups}, {"organization", c.Claims.Organization},
	} {
		if err := checkClaim(each.claim); err != nil {
			return fmt.Errorf("claims %s: %w", each.option, err)
		}
	}
	for _, value := range slices.Sorted(maps.Keys(c.Organizations)) {
		if value == "" {
			return errors.New("organizations: a value is empty; write for example: organizations { \"Acme Ltd\" acme }")
		}
		if _, err := mfa.ParseOrganizationID(string(c.Organizations[value])); err != nil {
			return fmt.Errorf("organizations: %w", err)
		}
	}
	if len(c.Organizations) > 0 && c.Claims.with().Organization == "" {
		return errors.New("organizations: no claim says of which one a person is; write for example: claims { organization org }")
	}
	if err := words("audiences", c.Audiences, "audiences 123456789"); err != nil {
		return err
	}
	if c.EmailAlways && len(c.AllowedDomains) == 0 {
		// A provider where everybody writes any address would make them whoever they
		// like to be.
		return errors.New("email_verified: always needs to know for which addresses the provider can speak; write their domains, too: allowed_domains example.com")
	}
	return nil
}

func (c Config) checkAllowed() error {
	if err := words("allowed_groups", c.AllowedGroups, "allowed_groups staff"); err != nil {
		return err
	}
	if len(c.AllowedGroups) > 0 && c.Claims.with().Groups == "" {
		return errors.New("allowed_groups: no claim says in which groups a person is; write for example: claims { groups groups }")
	}
	if err := words("allowed_domains", c.AllowedDomains, "allowed_domains example.com"); err != nil {
		return err
	}
	for _, domain := range c.AllowedDomains {
		if !domainName.MatchString(domain) {
			return fmt.Errorf("allowed_domains: %q is not a domain; write what stands behind the @, in lower case: allowed_domains example.com", domain)
		}
	}
	if len(c.AllowedDomains) > 0 && c.Claims.with().Email == "" {
		return errors.New("allowed_domains: no claim says the address of a person; write for example: claims { email email }")
	}
	for _, claim := range slices.Sorted(maps.Keys(c.Required)) {
		if err := checkPath(claim); err != nil {
			return fmt.Errorf("required_claims: %w", err)
		}
		if len(c.Required[claim]) == 0 {
			return fmt.Errorf("required_claims: %s has no value; write those that may sign in: required_claims { %s example.com }", claim, claim)
		}
		if err := words("required_claims", c.Required[claim], "required_claims { hd example.com }"); err != nil {
			return err
		}
	}
	return nil
}

func (c Config) checkTrust() error {
	for _, each := range []struct {
		option string
		list   []string
	}{{"amr", c.Trust.AMR}, {"acr", c.Trust.ACR}, {"phishing_resistant_amr", c.Trust.PhishingResistant}} {
		if err := words("trust_mfa "+each.option, each.list, each.option+" mfa"); err != nil {
			return err
		}
	}
	for _, method := range c.Trust.AMR {
		if slices.Contains([]string{"pwd", "pin", "kba", "user", "geo", "rba"}, method) {
			// RFC 8176: what people know, or what a server guesses, is no second factor.
			return fmt.Errorf("trust_mfa amr: %q is no second factor; write for example: amr mfa hwk otp", method)
		}
	}
	if len(c.Trust.PhishingResistant) > 0 && !c.Trust.any() {
		return errors.New("trust_mfa phishing_resistant_amr: says how good a second factor is, and nothing says what one is; write that, too: amr mfa hwk")
	}
	return nil
}

// words refuses a list with an empty word, which could stand for everybody (AC-201), or
// with a word that stands twice.
func words(option string, list []string, example string) error {
	if list != nil && len(list) == 0 {
		return fmt.Errorf("%s: the list is empty; write for example: %s", option, example)
	}
	for i, word := range list {
		switch {
		case strings.TrimSpace(word) == "":
			return fmt.Errorf("%s: a word of the list is empty; write for example: %s", option, example)
		case !printable(word):
			return fmt.Errorf("%s: %q has signs in it that cannot be seen; write for example: %s", option, word, example)
		case slices.Contains(list[:i], word):
			return fmt.Errorf("%s: %q stands twice; write it once", option, word)
		}
	}
	return nil
}

// checkClaim refuses a claim that cannot say what a person is.
func checkClaim(claim string) error {
	if claim == "" || claim == "off" {
		return nil
	}
	return checkPath(claim)
}

func checkPath(claim string) error {
	switch {
	case claim == "" || len(claim) > 200 || !printable(claim) || strings.Count(claim, ".") > maxDots:
		return fmt.Errorf("%q cannot be the name of a claim; write for example: realm_access.roles", claim)
	case slices.Contains(reserved, claim):
		return fmt.Errorf("%q says something of the token and nothing of the person; name another claim", claim)
	}
	return nil
}

// checkIssuer refuses what cannot be an issuer (OpenID Connect Discovery 1.0, section 3).
func checkIssuer(text string) error {
	u, err := url.Parse(text)
	switch {
	case err != nil || u.Host == "" || u.Hostname() == "" || u.Opaque != "":
		return errors.New("is not an address; write for example: https://login.example.com/realms/acme")
	case u.User != nil || u.RawQuery != "" || u.ForceQuery || strings.Contains(text, "#"):
		return errors.New("has more in it than scheme, host and path; write it as the provider writes it: https://login.example.com/realms/acme")
	case strings.HasSuffix(u.Path, "/.well-known/openid-configuration"):
		return errors.New("is the address of the provider's description; write what stands before /.well-known")
	case u.Scheme == "https", u.Scheme == "http" && loopback(u.Hostname()):
		return nil
	case u.Scheme == "http":
		return errors.New("begins with http, so whoever is on the way could be anybody's provider; write https:// instead")
	}
	return errors.New("does not begin with https://; write for example: https://login.example.com/realms/acme")
}

func printable(s string) bool {
	return !strings.ContainsFunc(s, func(r rune) bool { return r < ' ' || r >= 0x7f && r < 0xa0 || r == 0xfffd })
}
