package ldap

import (
	"encoding/hex"
	"strings"
	"testing"
	"time"

	ber "github.com/go-asn1-ber/asn1-ber"
	"github.com/go-ldap/ldap/v3"

	"github.com/secondgate/secondgate/mfa"
)

func TestConfig_Refuses(t *testing.T) {
	for _, c := range []struct {
		what  string
		alter func(*Config)
		want  string // the beginning of the error; "": none
	}{
		{"a working one", func(*Config) {}, ""},
		{"plain on this machine", func(c *Config) { c.URLs = []string{"ldap://127.0.0.1", "ldap://localhost:3890", "ldap://[::1]"} }, ""},
		{"plain with the word for it", func(c *Config) { c.URLs, c.InsecurePlain = []string{"ldap://ldap.example.test"}, true }, ""},
		{"StartTLS", func(c *Config) { c.URLs, c.StartTLS = []string{"ldap://ldap.example.test"}, true }, ""},
		{"a user name of Active Directory", func(c *Config) { c.BindDN = `EXAMPLE\gate` }, ""},
		{"anonymous search", func(c *Config) { c.BindDN, c.BindPassword = "", nil }, ""},
		{"no server", func(c *Config) { c.URLs = nil }, "url: is missing"},
		{"http", func(c *Config) { c.URLs = []string{"http://ldap.example.test"} }, "url: is no address"},
		{"a password in the address", func(c *Config) { c.URLs = []string{"ldaps://gate:secret@ldap.example.test"} }, "url: is no address"},
		{"a base in the address", func(c *Config) { c.URLs = []string{"ldaps://ldap.example.test/dc=example"} }, "url: is no address"},
		{"plain over the network", func(c *Config) { c.URLs = []string{"ldaps://a.example.test", "ldap://b.example.test"} }, "url: passwords would cross the network to b.example.test"},
		{"plain to a name that looks local", func(c *Config) { c.URLs = []string{"ldap://localhost.example.test"} }, "url: passwords"},
		{"StartTLS and not", func(c *Config) {
			c.URLs, c.StartTLS, c.InsecurePlain = []string{"ldap://ldap.example.test"}, true, true
		}, "insecure_plain: contradicts"},
		{"StartTLS on ldaps", func(c *Config) { c.StartTLS = true }, "start_tls: has a meaning only"},
		{"a name without a password, which binds as nobody", func(c *Config) { c.BindPassword = nil }, "bind_password: is missing"},
		{"a password without a name", func(c *Config) { c.BindDN = "" }, "bind_password: needs"},
		{"a NUL in the password", func(c *Config) { c.BindPassword = mfa.Secret("a\x00b") }, "bind_password: has a NUL"},
		{"no base", func(c *Config) { c.Base = "" }, "base: is missing"},
		{"a base that is none", func(c *Config) { c.Base = "example.test" }, "base: \"example.test\" is no DN"},
		{"a filter that finds the same for everybody", func(c *Config) { c.Filter = "(uid=*)" }, "filter: has no {name}"},
		{"a filter that is none", func(c *Config) { c.Filter = "(uid={name}" }, "filter: \"(uid={name}\" is no filter"},
		{"a name in an extensible match", func(c *Config) { c.Filter = "(uid:caseExactMatch:={name})" }, "filter: {name} can stand behind = alone"},
		{"a name in a comparison", func(c *Config) { c.Filter = "(uid>={name})" }, "filter: {name} can stand behind = alone"},
		{"a name instead of an attribute", func(c *Config) { c.Filter = "({name}=alice)" }, "filter: {name} can stand behind = alone"},
		{"a name beside a star", func(c *Config) { c.Filter = "(uid=*-{name})" }, ""},
		{"a DN in the rule for chains", func(c *Config) { c.GroupSearch = &GroupSearch{Base: "dc=example", Filter: inChain} }, ""},
		{"a DN instead of an attribute", func(c *Config) { c.GroupSearch = &GroupSearch{Base: "dc=example", Filter: "({dn}=a)"} }, "group_search filter: {dn} can stand behind = alone"},
		{"another schema", func(c *Config) { c.Schema = "novell" }, "schema: \"novell\" is none of"},
		{"an attribute that is a filter", func(c *Config) { c.Attributes.ID = "uid=*)(a" }, "attributes id: "},
		{"a disabled_filter that is none", func(c *Config) { c.DisabledFilter = "left" }, "disabled_filter: "},
		{"a search for groups without a base", func(c *Config) { c.GroupSearch = &GroupSearch{} }, "group_search base: is missing"},
		{"a search for groups that finds all", func(c *Config) { c.GroupSearch = &GroupSearch{Base: "dc=example", Filter: "(cn=*)"} }, "group_search filter: has no {dn}"},
		{"two ways to groups", func(c *Config) { c.GroupSearch, c.NestedGroups = &GroupSearch{Base: "dc=example"}, true }, "nested_groups: "},
		{"an allowed group without a name", func(c *Config) { c.AllowedGroups = []string{"staff", ""} }, "allowed_groups: "},
		{"a long time", func(c *Config) { c.Timeout = time.Hour }, "timeout: "},
		{"no connection", func(c *Config) { c.Connections = -1 }, "connections: "},
	} {
		t.Run(c.what, func(t *testing.T) {
			cfg := Config{
				Name: "ldap", URLs: []string{"ldaps://ldap.example.test"}, BindDN: "cn=gate,dc=example,dc=test", BindPassword: mfa.Secret("s"), Base: people,
			}
			c.alter(&cfg)
			err := cfg.Validate()
			if c.want == "" && err != nil || c.want != "" && (err == nil || !strings.HasPrefix(err.Error(), c.want)) {
				t.Errorf("%v; wanted %q", err, c.want)
			}
			if err != nil && strings.Contains(err.Error(), "secret") {
				t.Errorf("it repeats a password: %v", err)
			}
		})
	}
}

// A GUID is bytes in an order of its own, and its text what the tools of Active Directory
// show.
func TestSubject_GUID(t *testing.T) {
	const text = "00112233-4455-6677-8899-aabbccddeeff"
	raw, _ := hex.DecodeString("33221100554477668899aabbccddeeff")
	c, err := (Config{URLs: []string{"ldaps://dc.example.test"}, Base: "dc=example,dc=test", Schema: "active_directory"}).withDefaults()
	if err != nil {
		t.Fatal(err)
	}
	e := ldap.NewEntry("cn=a", map[string][]string{"objectguid": {string(raw)}})
	if got, err := c.subject(e); err != nil || got != text {
		t.Errorf("%q, %v", got, err)
	}
	filter, ok := c.idFilter(text)
	if want := `(objectGUID=\33\22\11\00\55\44\77\66\88\99\aa\bb\cc\dd\ee\ff)`; !ok || filter != want {
		t.Errorf("%s", filter)
	}
	if _, err := ldap.CompileFilter(filter); err != nil {
		t.Error(err)
	}
	for _, bad := range []string{"", "alice", text + "0", "*", "00112233-4455-6677-8899-aabbccddeef*", strings.ReplaceAll(text, "-", "")} {
		if f, ok := c.idFilter(bad); ok {
			t.Errorf("%q is an ID: %s", bad, f)
		}
	}
	for _, values := range [][]string{nil, {string(raw), string(raw)}, {"short"}, {text}} {
		if got, err := c.subject(ldap.NewEntry("cn=a", map[string][]string{"objectGUID": values})); err == nil {
			t.Errorf("%q of %q", got, values)
		}
	}
}

func TestOff(t *testing.T) {
	now := time.Date(2026, 11, 27, 10, 0, 0, 0, time.UTC)
	for _, c := range []struct {
		attribute, value string
		want             bool
	}{
		{"userAccountControl", "512", false}, {"userAccountControl", "514", true}, {"useraccountcontrol", "66050", true},
		{"userAccountControl", "what", true},
		{"accountExpires", "0", false}, {"accountExpires", "9223372036854775807", false},
		{"accountExpires", "134402436000000000", true},  // an hour ago
		{"accountExpires", "134402508000000000", false}, // in an hour
		{"accountExpires", "never", true},
		{"nsAccountLock", "TRUE", true}, {"nsAccountLock", "true", true}, {"nsAccountLock", "FALSE", false},
		{"pwdAccountLockedTime", "000001010000Z", true}, {"pwdAccountLockedTime", "00000101000000Z", true},
		{"pwdAccountLockedTime", "20261127095900Z", false},
		{"krbPrincipalExpiration", "20261127090000Z", true}, {"krbPrincipalExpiration", "20261127110000Z", false},
		{"krbPrincipalExpiration", "soon", true},
		{"uid", "alice", false},
	} {
		if got := off(ldap.NewEntry("cn=a", map[string][]string{c.attribute: {c.value}}), now); got != c.want {
			t.Errorf("%s %s: off is %v", c.attribute, c.value, got)
		}
	}
}

// Groups of FreeIPA are in one place, and memberOf names roles and rules besides.
func TestConfig_FreeIPAGroups(t *testing.T) {
	c, err := (Config{URLs: []string{"ldaps://ipa.example.test"}, Base: "CN=users,cn=accounts,dc=example,dc=test", Schema: "freeipa"}).withDefaults()
	if err != nil || c.GroupBase != "cn=groups,cn=accounts,dc=example,dc=test" {
		t.Fatalf("%q, %v", c.GroupBase, err)
	}
	base, _ := ldap.ParseDN(c.GroupBase)
	for dn, want := range map[string]string{
		"cn=staff,cn=groups,cn=accounts,dc=example,dc=test":      "staff",
		"CN=Staff,CN=Groups,CN=Accounts,DC=Example,DC=Test":      "Staff",
		`cn=a\,b,cn=groups,cn=accounts,dc=example,dc=test`:       "a,b",
		"cn=helpdesk,cn=roles,cn=accounts,dc=example,dc=test":    "",
		"cn=groups,cn=accounts,dc=example,dc=test":               "",
		"cn=staff,cn=groups,cn=accounts,dc=other,dc=test":        "",
		"ipaUniqueID=1,cn=groups,cn=accounts,dc=example,dc=test": "",
		"cn=a+cn=b,cn=groups,cn=accounts,dc=example,dc=test":     "",
		"what": "",
	} {
		if g, ok := readGroup(dn, base); ok != (want != "") || g.name != want {
			t.Errorf("%s: %q, %v", dn, g.name, ok)
		}
	}
}

// AC-180: whatever is typed stays the value of the conditions that it was meant for.
func FuzzFilter_AC180(f *testing.F) {
	for _, name := range []string{"alice", "*", "*)(uid=*", `\2a`, "a\x00b", "alice)(|(a=b", "ü", "\xff", "(&)", "{name}", "{dn}"} {
		f.Add(name)
	}
	templates := []string{presets[DefaultSchema].filter, presets["active_directory"].filter, presets["freeipa"].filter, "(uid=pre-{name}-post)"}
	f.Fuzz(func(t *testing.T, name string) {
		if name == "" {
			return
		}
		for _, template := range templates {
			want, err := ldap.CompileFilter(fill(template, placeName, "PLACE"))
			if err != nil {
				t.Fatal(err)
			}
			got, err := ldap.CompileFilter(fill(template, placeName, name))
			if err != nil {
				t.Fatalf("%q: %v", name, err)
			}
			same(t, want, got, name)
		}
	})
}

// same compares two filters, in one of which the name stands for PLACE.
func same(t *testing.T, want, got *ber.Packet, name string) {
	t.Helper()
	if want.Tag != got.Tag || want.ClassType != got.ClassType || len(want.Children) != len(got.Children) {
		t.Fatalf("%q makes another filter", name)
	}
	if len(want.Children) == 0 {
		if w := strings.ReplaceAll(want.Data.String(), "PLACE", name); got.Data.String() != w {
			t.Fatalf("%q stands there as %q", name, got.Data.String())
		}
		return
	}
	for i := range want.Children {
		same(t, want.Children[i], got.Children[i], name)
	}
}
