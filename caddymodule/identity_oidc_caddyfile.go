package caddymodule

import (
	"fmt"

	"github.com/caddyserver/caddy/v2/caddyconfig/caddyfile"
)

// UnmarshalCaddyfile reads
//
//	oidc [NAME] {
//		title           TEXT
//		issuer          URL
//		client_id       ID
//		client_secret   SECRET
//		public_client
//		ca              FILE
//		scopes          SCOPE…
//		acr_values      VALUE…
//		auth_params {
//			PARAMETER VALUE
//		}
//		claims {
//			name|display_name|email|groups|organization CLAIM|off
//		}
//		organizations {
//			VALUE ORGANIZATION
//		}
//		email_verified  always
//		userinfo        off
//		audiences       ID…
//		allowed_groups  GROUP…
//		allowed_domains DOMAIN…
//		required_claims {
//			CLAIM VALUE…
//		}
//		trust_mfa {
//			amr                    METHOD…
//			acr                    CLASS…
//			phishing_resistant_amr METHOD…
//		}
//		confirm         DURATION
//		recheck         DURATION
//		sign_out        here|provider
//	}
func (o *OIDCIdentity) UnmarshalCaddyfile(d *caddyfile.Dispenser) error {
	if !d.Next() {
		return d.ArgErr()
	}
	b := &block{Dispenser: d, name: "identity oidc", first: d.Token(), seen: make(map[string]caddyfile.Token)}
	if d.NextArg() {
		o.Name = d.Val()
		if err := checkSourceName(o.Name); err != nil {
			return d.WrapErr(err)
		}
	}
	if d.NextArg() {
		return d.Errf("identity oidc: %q is one word too many; its options stand in a block: identity oidc %s { … }", d.Val(), o.name())
	}
	if err := b.each(o.parsers(b)); err != nil {
		return err
	}
	c, err := o.config(written)
	if err == nil {
		err = o.check()
	}
	if err == nil {
		err = c.Validate()
	}
	if err != nil {
		return o.ours(b.at(err))
	}
	return nil
}

func (o *OIDCIdentity) parsers(b *block) map[string]func() error {
	return map[string]func() error{
		"title":         func() error { return b.text(&o.Title, `title "Acme"`) },
		"issuer":        func() error { return b.word(&o.Issuer, "issuer https://login.example.com/realms/acme") },
		"client_id":     func() error { return b.text(&o.ClientID, "client_id secondgate") },
		"client_secret": func() error { return b.word(&o.ClientSecret, "client_secret {env.OIDC_SECRET}") },
		"public_client": func() error { o.PublicClient = true; return b.noWord("public_client") },
		"ca":            func() error { return b.text(&o.CA, "ca /etc/ssl/provider-ca.pem") },
		"scopes":        func() error { return b.words(&o.Scopes, "scopes openid profile email") },
		"acr_values":    func() error { return b.words(&o.ACRValues, "acr_values urn:example:mfa") },
		"auth_params":   func() error { return b.pairs(&o.AuthParams, "auth_params", "hd example.com") },
		"claims": func() error {
			return b.nested("claims", func(s *block) map[string]func() error {
				c := &o.Claims
				return map[string]func() error{
					"name":         func() error { return s.text(&c.Name, "name preferred_username") },
					"display_name": func() error { return s.text(&c.DisplayName, "display_name name") },
					"email":        func() error { return s.text(&c.Email, "email email") },
					"groups":       func() error { return s.text(&c.Groups, "groups realm_access.roles") },
					"organization": func() error { return s.text(&c.Organization, "organization org") },
				}
			})
		},
		"organizations":   func() error { return b.pairs(&o.Organizations, "organizations", `"Acme Ltd" acme`) },
		"email_verified":  func() error { return b.word(&o.EmailVerified, "email_verified always") },
		"userinfo":        func() error { return b.word(&o.UserInfo, "userinfo off") },
		"audiences":       func() error { return b.words(&o.Audiences, "audiences 123456789") },
		"allowed_groups":  func() error { return b.words(&o.AllowedGroups, "allowed_groups staff") },
		"allowed_domains": func() error { return b.words(&o.AllowedDomains, "allowed_domains example.com") },
		"required_claims": func() error {
			o.RequiredClaims = map[string][]string{}
			return b.entries("required_claims", "hd example.com", func(claim string, list []string) error {
				if o.RequiredClaims[claim] != nil {
					return fmt.Errorf("required_claims: %q stands twice; write its values in one line", claim)
				}
				o.RequiredClaims[claim] = list
				return nil
			})
		},
		"trust_mfa": func() error {
			o.TrustMFA = new(OIDCTrust)
			return b.nested("trust_mfa", func(s *block) map[string]func() error {
				return map[string]func() error{
					"amr":                    func() error { return s.words(&o.TrustMFA.AMR, "amr mfa") },
					"acr":                    func() error { return s.words(&o.TrustMFA.ACR, "acr urn:example:mfa") },
					"phishing_resistant_amr": func() error { return s.words(&o.TrustMFA.PhishingResistantAMR, "phishing_resistant_amr hwk") },
				}
			})
		},
		"confirm":  func() error { return b.positive(&o.Confirm, "confirm 15m") },
		"recheck":  func() error { return b.positive(&o.Recheck, "recheck 12h") },
		"sign_out": func() error { return b.word(&o.SignOut, "sign_out provider") },
	}
}

// entries reads an option that is a block whose lines are named by whoever writes them,
// one line at least.
func (b *block) entries(option, example string, each func(name string, words []string) error) error {
	if b.NextArg() {
		return b.Errf("%s: %q is one word too many; its lines stand in a block: %s { %s }", option, b.Val(), option, example)
	}
	found := false
	for nesting := b.Nesting(); b.NextBlock(nesting); {
		found = true
		name, list := b.Val(), b.RemainingArgs()
		if len(list) == 0 {
			return b.Errf("%s: %q has no value; write for example: %s { %s }", option, name, option, example)
		}
		if err := each(name, list); err != nil {
			return b.WrapErr(err)
		}
	}
	if !found {
		return b.Errf("%s: is empty; write for example: %s { %s }", option, option, example)
	}
	return nil
}

// pairs reads a block whose lines have one value each.
func (b *block) pairs(to *map[string]string, option, example string) error {
	*to = map[string]string{}
	return b.entries(option, example, func(name string, list []string) error {
		switch _, twice := (*to)[name]; {
		case twice:
			return fmt.Errorf("%s: %q stands twice; write it once", option, name)
		case len(list) > 1:
			return fmt.Errorf("%s: %q has %d values; put them in quotes if they are one", option, name, len(list))
		}
		(*to)[name] = list[0]
		return nil
	})
}
