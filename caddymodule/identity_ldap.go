package caddymodule

import (
	"fmt"
	"io"
	"time"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/caddyconfig/caddyfile"

	"github.com/secondgate/secondgate/identity/ldap"
	"github.com/secondgate/secondgate/internal/clock"
	"github.com/secondgate/secondgate/mfa"
)

func init() {
	caddy.RegisterModule(new(LDAPIdentity))
}

// LDAPIdentity signs people of a directory in with their name and password there. URL,
// BindDN, BindPassword, CA and Base may have placeholders, {env.NAME} or {file./path},
// which are replaced when the configuration is loaded.
type LDAPIdentity struct {
	// Name is the source's name in users' records, and stays the same as long as they
	// are wanted. The default is "ldap".
	Name string `json:"name,omitempty"`
	// Title is what people know the directory by. The default is the name.
	Title string `json:"title,omitempty"`

	// URL are the servers, in the order in which they are tried: "ldaps://HOST[:PORT]",
	// or "ldap://HOST[:PORT]" with StartTLS. On this machine itself, neither is needed.
	URL []string `json:"url,omitempty"`
	// StartTLS begins TLS on connections to ldap:// addresses, or does not use them.
	StartTLS bool `json:"start_tls,omitempty"`
	// InsecurePlain lets passwords cross the network in the open: for trials in a closed
	// network only.
	InsecurePlain bool `json:"insecure_plain,omitempty"`
	// CA is a file with the certificate of the authority that the servers' own are from,
	// as PEM. The default is what the system trusts.
	CA string `json:"ca,omitempty"`

	// BindDN is the account that searches. Without one the search is anonymous, which
	// most directories do not allow.
	BindDN string `json:"bind_dn,omitempty"`
	// BindPassword is that account's password, best by {env.NAME} or {file./path}.
	BindPassword string `json:"bind_password,omitempty"`

	// Base is below which people are.
	Base string `json:"base,omitempty"`
	// Filter finds an entry by the name that was typed, which stands for {name}.
	Filter string `json:"filter,omitempty"`
	// Schema presets filter and attributes: "rfc2307bis" (the default),
	// "active_directory" or "freeipa".
	Schema string `json:"schema,omitempty"`
	// Attributes are the names of what is read, where they differ from the schema's.
	Attributes LDAPAttributes `json:"attributes,omitzero"`

	// GroupBase is below which groups count. The default is everywhere, but with the
	// schema freeipa its groups.
	GroupBase string `json:"group_base,omitempty"`
	// NestedGroups finds the groups of groups, too, in Active Directory.
	NestedGroups bool `json:"nested_groups,omitempty"`
	// GroupSearch finds groups that do not stand in the person's entry.
	GroupSearch *LDAPGroupSearch `json:"group_search,omitempty"`
	// AllowedGroups are those of which a person must be in one, by name or DN.
	AllowedGroups []string `json:"allowed_groups,omitempty"`
	// DisabledFilter matches those who may not sign in, beside those whom the directory
	// itself has switched off.
	DisabledFilter string `json:"disabled_filter,omitempty"`

	// EmailVerified believes that the addresses in the directory are the people's own.
	EmailVerified bool `json:"email_verified,omitempty"`

	// Confirm is how often the directory is asked whether somebody who is signed in may
	// still be. The default is 5m; a value below zero is never.
	Confirm caddy.Duration `json:"confirm,omitempty"`
	// Timeout is how long each step may take. The default is 5s.
	Timeout caddy.Duration `json:"timeout,omitempty"`
	// Connections is how many people are looked up at once. The default is 4.
	Connections int `json:"connections,omitempty"`

	cfg ldap.Config
}

// LDAPAttributes are the names under which an entry holds what is needed.
type LDAPAttributes struct {
	// ID never changes: entryUUID, objectGUID or ipaUniqueID.
	ID string `json:"id,omitempty"`
	// Name is the user name.
	Name string `json:"name,omitempty"`
	// DisplayName is what the person is called.
	DisplayName string `json:"display_name,omitempty"`
	// Email is the address.
	Email string `json:"email,omitempty"`
	// Groups are DNs of groups.
	Groups string `json:"groups,omitempty"`
}

// LDAPGroupSearch says how the groups of a person are found.
type LDAPGroupSearch struct {
	// Base is below which groups are.
	Base string `json:"base,omitempty"`
	// Filter finds them by the person's DN, which stands for {dn}. The default is
	// (member={dn}).
	Filter string `json:"filter,omitempty"`
}

// ldapConfirm is how often a directory is asked whether people still stand.
const ldapConfirm = 5 * time.Minute

// CaddyModule returns the Caddy module information.
func (*LDAPIdentity) CaddyModule() caddy.ModuleInfo {
	return caddy.ModuleInfo{ID: identityNamespace + ".ldap", New: func() caddy.Module { return new(LDAPIdentity) }}
}

// Provision resolves the placeholders and checks the rest. It opens no connection.
func (s *LDAPIdentity) Provision(ctx caddy.Context) error {
	c, err := s.config(resolved)
	if err != nil {
		return fmt.Errorf("identity ldap: %w", err)
	}
	ca, err := resolved(s.CA, "")
	if err != nil {
		return fmt.Errorf("identity ldap: ca: reading what stands there: %w", err)
	}
	if c.Roots, err = roots(ca); err != nil {
		return fmt.Errorf("identity ldap: %w", err)
	}
	if err := c.Validate(); err != nil {
		return fmt.Errorf("identity ldap: %w", err)
	}
	s.cfg = c
	warnOpen(ctx, "bind_password", s.BindPassword)
	if s.InsecurePlain {
		ctx.Slogger().Warn("passwords of the directory cross the network in the open; write start_tls instead of insecure_plain", "source", s.name())
	}
	return nil
}

// config returns the configuration with each value as read gives it.
func (s *LDAPIdentity) config(read reader) (ldap.Config, error) {
	list := values{
		{"bind_dn", s.BindDN, "cn=gate,dc=example,dc=com"}, {"bind_password", s.BindPassword, "secret"}, {"base", s.Base, "dc=example,dc=com"},
	}
	for _, u := range s.URL {
		list = append(list, values{{"url", u, "ldaps://ldap.example.com"}}...)
	}
	v, err := list.read(read)
	if err != nil {
		return ldap.Config{}, err
	}
	c := ldap.Config{
		Name: s.name(), URLs: v[3:], StartTLS: s.StartTLS, InsecurePlain: s.InsecurePlain,
		BindDN: v[0], BindPassword: mfa.Secret(v[1]), Base: v[2], Filter: s.Filter, Schema: s.Schema,
		Attributes: ldap.Attributes(s.Attributes), GroupBase: s.GroupBase, NestedGroups: s.NestedGroups,
		AllowedGroups: s.AllowedGroups, DisabledFilter: s.DisabledFilter, EmailVerified: s.EmailVerified,
		Timeout: time.Duration(s.Timeout), Connections: s.Connections,
	}
	if g := s.GroupSearch; g != nil {
		c.GroupSearch = &ldap.GroupSearch{Base: g.Base, Filter: g.Filter}
	}
	return c, nil
}

// UnmarshalCaddyfile reads
//
//	ldap [NAME] {
//		title           WORDS
//		url             URL…
//		start_tls
//		insecure_plain
//		ca              FILE
//		bind_dn         DN
//		bind_password   SECRET
//		base            DN
//		filter          FILTER
//		schema          rfc2307bis|active_directory|freeipa
//		attributes {
//			id|name|display_name|email|groups ATTRIBUTE
//		}
//		group_base      DN
//		nested_groups
//		group_search {
//			base   DN
//			filter FILTER
//		}
//		allowed_groups  GROUP…
//		disabled_filter FILTER
//		email_verified
//		confirm         DURATION|off
//		timeout         DURATION
//		connections     NUMBER
//	}
func (s *LDAPIdentity) UnmarshalCaddyfile(d *caddyfile.Dispenser) error {
	b, err := sourceBlock(d, "ldap", &s.Name)
	if err != nil {
		return err
	}
	err = b.each(map[string]func() error{
		"title":           func() error { return b.text(&s.Title, `title "Acme directory"`) },
		"url":             func() error { return b.words(&s.URL, "url ldaps://ldap.example.com") },
		"start_tls":       func() error { s.StartTLS = true; return b.noWord("start_tls") },
		"insecure_plain":  func() error { s.InsecurePlain = true; return b.noWord("insecure_plain") },
		"ca":              func() error { return b.text(&s.CA, "ca /etc/ssl/ldap-ca.pem") },
		"bind_dn":         func() error { return b.text(&s.BindDN, "bind_dn cn=gate,ou=services,dc=example,dc=com") },
		"bind_password":   func() error { return b.word(&s.BindPassword, "bind_password {env.LDAP_PASSWORD}") },
		"base":            func() error { return b.text(&s.Base, "base ou=people,dc=example,dc=com") },
		"filter":          func() error { return b.text(&s.Filter, "filter (uid={name})") },
		"schema":          func() error { return b.word(&s.Schema, "schema active_directory") },
		"group_base":      func() error { return b.text(&s.GroupBase, "group_base ou=groups,dc=example,dc=com") },
		"nested_groups":   func() error { s.NestedGroups = true; return b.noWord("nested_groups") },
		"allowed_groups":  func() error { return b.words(&s.AllowedGroups, "allowed_groups staff") },
		"disabled_filter": func() error { return b.text(&s.DisabledFilter, "disabled_filter (employeeType=left)") },
		"email_verified":  func() error { s.EmailVerified = true; return b.noWord("email_verified") },
		"timeout":         func() error { return b.positive(&s.Timeout, "timeout 5s") },
		"connections":     func() error { return b.number(&s.Connections, "connections 4") },
		"confirm":         func() error { return b.confirm(&s.Confirm) },
		"attributes": func() error {
			return b.nested("attributes", func(n *block) map[string]func() error {
				a := &s.Attributes
				return map[string]func() error{
					"id":           func() error { return n.word(&a.ID, "id entryUUID") },
					"name":         func() error { return n.word(&a.Name, "name uid") },
					"display_name": func() error { return n.word(&a.DisplayName, "display_name displayName") },
					"email":        func() error { return n.word(&a.Email, "email mail") },
					"groups":       func() error { return n.word(&a.Groups, "groups memberOf") },
				}
			})
		},
		"group_search": func() error {
			s.GroupSearch = new(LDAPGroupSearch)
			return b.nested("group_search", func(n *block) map[string]func() error {
				return map[string]func() error{
					"base":   func() error { return n.text(&s.GroupSearch.Base, "base ou=groups,dc=example,dc=com") },
					"filter": func() error { return n.text(&s.GroupSearch.Filter, "filter (member={dn})") },
				}
			})
		},
	})
	if err != nil {
		return err
	}
	c, err := s.config(written)
	if err == nil {
		err = c.Validate()
	}
	return b.within("identity ldap", err)
}

// confirm reads how often a source is asked whether people still stand.
func (b *block) confirm(to *caddy.Duration) error {
	var text string
	if err := b.word(&text, "confirm 5m"); err != nil {
		return err
	}
	if text == "off" {
		*to = -1
		return nil
	}
	d, err := caddy.ParseDuration(text)
	if err != nil || d <= 0 {
		return b.Errf("confirm: %q is no duration above zero; write for example: confirm 5m, or: confirm off", text)
	}
	*to = caddy.Duration(d)
	return nil
}

func (s *LDAPIdentity) name() string { return orKind(s.Name, "ldap") }

func (s *LDAPIdentity) source() (mfa.Source, io.Closer, error) {
	made, err := ldap.New(s.cfg, clock.Now)
	if err != nil {
		return mfa.Source{}, nil, err
	}
	confirm := time.Duration(s.Confirm)
	switch {
	case confirm == 0:
		confirm = ldapConfirm
	case confirm < 0:
		confirm = 0
	}
	return mfa.Source{Title: orKind(s.Title, s.name()), Password: made, Confirm: confirm}, made, nil
}

var (
	_ IdentityModule        = (*LDAPIdentity)(nil)
	_ caddy.Provisioner     = (*LDAPIdentity)(nil)
	_ caddyfile.Unmarshaler = (*LDAPIdentity)(nil)
)
