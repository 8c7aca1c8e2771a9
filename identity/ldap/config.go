package ldap

import (
	"crypto/x509"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"net/url"
	"regexp"
	"slices"
	"strings"
	"time"

	"github.com/go-ldap/ldap/v3"

	"github.com/secondgate/secondgate/mfa"
)

// Config says which directory, and how people are found in it.
type Config struct {
	// Name is the source's name in users' records.
	Name string

	// URLs are the servers of the directory, in the order in which they are tried:
	// "ldaps://host[:port]", or "ldap://host[:port]" with StartTLS.
	URLs []string
	// StartTLS begins TLS on connections to ldap:// addresses. Where the server does not
	// want to, it is not used.
	StartTLS bool
	// InsecurePlain lets passwords cross the network in the open. This machine itself
	// needs no such word.
	InsecurePlain bool
	Roots         *x509.CertPool // whose certificates hold; nil: the system's

	// BindDN and BindPassword are the account that searches; without them the search is
	// anonymous.
	BindDN       string
	BindPassword mfa.Secret

	Base string // below which people are
	// Filter finds an entry by the name that was typed, which stands for {name}.
	Filter string
	// Schema is what the rest is preset for; see Schemas.
	Schema     string
	Attributes Attributes

	// GroupBase is below which groups count; empty: all.
	GroupBase string
	// NestedGroups finds the groups of groups, too (Active Directory).
	NestedGroups bool
	// GroupSearch finds groups that do not stand in the entry itself.
	GroupSearch *GroupSearch
	// AllowedGroups are those one of which a person must be in, each by its name or its
	// whole DN; empty: no such condition.
	AllowedGroups []string
	// DisabledFilter matches entries that may not sign in.
	DisabledFilter string

	// EmailVerified believes that the addresses of the directory are the people's own.
	EmailVerified bool

	Timeout     time.Duration // of each step; 0: 5 seconds
	Connections int           // how many people are looked up at once; 0: 4
}

// Attributes are the names under which an entry holds what is needed. What is left out is
// as the schema has it.
type Attributes struct{ ID, Name, DisplayName, Email, Groups string }

// GroupSearch says how the groups of a person are found; the person's DN stands for {dn}.
type GroupSearch struct{ Base, Filter string }

// preset is what a schema stands for.
type preset struct {
	filter     string
	attributes Attributes
}

// DefaultSchema is the schema of OpenLDAP and of most others.
const DefaultSchema = "rfc2307bis"

var presets = map[string]preset{
	DefaultSchema: {
		"(|(uid={name})(mail={name}))",
		Attributes{"entryUUID", "uid", "displayName", "mail", "memberOf"},
	},
	"active_directory": {
		"(&(objectCategory=person)(objectClass=user)(|(sAMAccountName={name})(userPrincipalName={name})))",
		Attributes{"objectGUID", "sAMAccountName", "displayName", "mail", "memberOf"},
	},
	"freeipa": {
		"(&(objectClass=posixAccount)(|(uid={name})(mail={name})))",
		Attributes{"ipaUniqueID", "uid", "displayName", "mail", "memberOf"},
	},
}

// Schemas returns the names of the schemas that there are presets for.
func Schemas() []string { return []string{DefaultSchema, "active_directory", "freeipa"} }

// inChain finds the groups of groups (MS-ADTS, LDAP_MATCHING_RULE_IN_CHAIN).
const inChain = "(member:1.2.840.113556.1.4.1941:={dn})"

// Limits of what is configured.
const (
	defaultTimeout     = 5 * time.Second
	maxTimeout         = time.Minute
	defaultConnections = 4
	maxConnections     = 64
)

// withDefaults returns the configuration with all that was left out, or what is wrong and
// what to write instead. Each error begins with the name of the option that it is about.
func (c Config) withDefaults() (Config, error) {
	if c.Schema == "" {
		c.Schema = DefaultSchema
	}
	set, ok := presets[c.Schema]
	if !ok {
		return c, fmt.Errorf("schema: %q is none of %s", c.Schema, strings.Join(Schemas(), ", "))
	}
	if c.Filter == "" {
		c.Filter = set.filter
	}
	a, preset := &c.Attributes, &set.attributes
	for _, f := range []struct {
		option  string
		name    *string
		initial string
	}{
		{"id", &a.ID, preset.ID}, {"name", &a.Name, preset.Name}, {"display_name", &a.DisplayName, preset.DisplayName},
		{"email", &a.Email, preset.Email}, {"groups", &a.Groups, preset.Groups},
	} {
		if *f.name == "" {
			*f.name = f.initial
		}
		if !attributeName.MatchString(*f.name) {
			return c, fmt.Errorf("attributes %s: %q is no name of an attribute; write for example: id entryUUID", f.option, *f.name)
		}
	}
	if c.Timeout == 0 {
		c.Timeout = defaultTimeout
	}
	if c.Connections == 0 {
		c.Connections = defaultConnections
	}
	for _, check := range []func(*Config) error{checkServers, checkAccount, checkSearch, checkGroups} {
		if err := check(&c); err != nil {
			return c, err
		}
	}
	switch {
	case c.Timeout < 0 || c.Timeout > maxTimeout:
		return c, fmt.Errorf("timeout: must be %s or less; write for example: timeout 5s", maxTimeout)
	case c.Connections < 1 || c.Connections > maxConnections:
		return c, fmt.Errorf("connections: must be 1 to %d; write for example: connections 4", maxConnections)
	}
	return c, nil
}

// Validate returns what is wrong, and what to write instead. Each error begins with the
// name of the option that it is about.
func (c Config) Validate() error {
	_, err := c.withDefaults()
	return err
}

var attributeName = regexp.MustCompile(`^[A-Za-z][A-Za-z0-9-]{0,63}$`)

// server is one server of the directory.
type server struct {
	address string // host and port
	host    string // that the certificate must name
	tls     bool   // from the first byte on
}

func (c *Config) servers() ([]server, error) {
	var list []server
	for _, raw := range c.URLs {
		u, err := url.Parse(raw)
		if err != nil || u.Scheme != "ldap" && u.Scheme != "ldaps" || u.Hostname() == "" || u.User != nil || strings.Trim(u.Path, "/") != "" || u.RawQuery != "" || u.Fragment != "" {
			// What was typed may hold a password.
			return nil, errors.New("url: is no address of a directory; write scheme, host and perhaps a port, for example: url ldaps://ldap.example.com")
		}
		s := server{host: u.Hostname(), tls: u.Scheme == "ldaps"}
		port := u.Port()
		switch {
		case port != "":
		case s.tls:
			port = "636"
		default:
			port = "389"
		}
		s.address = net.JoinHostPort(s.host, port)
		list = append(list, s)
	}
	if len(list) == 0 {
		return nil, errors.New("url: is missing; write for example: url ldaps://ldap.example.com")
	}
	return list, nil
}

func checkServers(c *Config) error {
	list, err := c.servers()
	if err != nil {
		return err
	}
	open := func(s server) bool { return !s.tls }
	switch {
	case c.StartTLS && c.InsecurePlain:
		return errors.New("insecure_plain: contradicts start_tls; remove one of the two lines")
	case c.StartTLS && !slices.ContainsFunc(list, open):
		return errors.New("start_tls: has a meaning only with ldap:// addresses, and ldaps:// ones have TLS already; remove this line")
	case c.StartTLS || c.InsecurePlain:
		return nil
	}
	for _, s := range list {
		if !s.tls && !loopback(s.host) {
			return fmt.Errorf("url: passwords would cross the network to %s in the open; write ldaps://%s, or add the line: start_tls", s.host, s.host)
		}
	}
	return nil
}

func loopback(host string) bool {
	addr, err := netip.ParseAddr(host)
	return err == nil && addr.IsLoopback() || strings.EqualFold(host, "localhost")
}

func checkAccount(c *Config) error {
	switch {
	case c.BindDN == "" && len(c.BindPassword) == 0:
		return nil
	case c.BindDN == "":
		return errors.New("bind_password: needs the account that it belongs to; write for example: bind_dn cn=gate,ou=services,dc=example,dc=com")
	case len(c.BindPassword) == 0:
		// A bind with a name and no password is an anonymous one, and goes well.
		return errors.New("bind_password: is missing; write for example: bind_password {env.LDAP_PASSWORD}")
	case slices.Contains(c.BindPassword, 0):
		return errors.New("bind_password: has a NUL in it, where servers stop reading; give the account another one")
	}
	return nil // Active Directory takes a user name as well as a DN
}

func checkSearch(c *Config) error {
	if c.Base == "" {
		return errors.New("base: is missing; write below which people are, for example: base ou=people,dc=example,dc=com")
	}
	if err := checkDN("base", c.Base); err != nil {
		return err
	}
	if err := checkTemplate("filter", c.Filter, placeName); err != nil {
		return err
	}
	if c.DisabledFilter != "" {
		if _, err := ldap.CompileFilter(c.DisabledFilter); err != nil {
			return fmt.Errorf("disabled_filter: %q is no filter (RFC 4515); write for example: disabled_filter (employeeType=left)", c.DisabledFilter)
		}
	}
	return nil
}

func checkGroups(c *Config) error {
	if c.NestedGroups {
		if c.GroupSearch != nil {
			return errors.New("nested_groups: is a group_search of its own; remove one of the two")
		}
		base := c.GroupBase
		if base == "" {
			base = c.Base
		}
		c.GroupSearch = &GroupSearch{Base: base, Filter: inChain}
	}
	if g := c.GroupSearch; g != nil {
		own := *g
		if own.Filter == "" {
			own.Filter = "(member={dn})"
		}
		if own.Base == "" {
			return errors.New("group_search base: is missing; write below which groups are, for example: base ou=groups,dc=example,dc=com")
		}
		if err := checkDN("group_search base", own.Base); err != nil {
			return err
		}
		if err := checkTemplate("group_search filter", own.Filter, placeDN); err != nil {
			return err
		}
		c.GroupSearch = &own
	}
	if rest, ok := cutFold(c.Base, "cn=users,cn=accounts,"); ok && c.Schema == "freeipa" && c.GroupBase == "" {
		// Elsewhere are roles, privileges and rules, which are groups to memberOf as well.
		c.GroupBase = "cn=groups,cn=accounts," + rest
	}
	if c.GroupBase != "" {
		if err := checkDN("group_base", c.GroupBase); err != nil {
			return err
		}
	}
	for _, group := range c.AllowedGroups {
		if group == "" {
			return errors.New("allowed_groups: one of them is empty; write for example: allowed_groups staff")
		}
		if strings.Contains(group, "=") {
			if err := checkDN("allowed_groups", group); err != nil {
				return err
			}
		}
	}
	return nil
}

func cutFold(text, prefix string) (string, bool) {
	if len(text) < len(prefix) || !strings.EqualFold(text[:len(prefix)], prefix) {
		return text, false
	}
	return text[len(prefix):], true
}

func checkDN(option, dn string) error {
	if parsed, err := ldap.ParseDN(dn); err != nil || len(parsed.RDNs) == 0 {
		return fmt.Errorf("%s: %q is no DN; write for example: dc=example,dc=com", option, dn)
	}
	return nil
}
