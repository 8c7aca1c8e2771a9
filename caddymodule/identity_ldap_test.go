package caddymodule

import (
	"encoding/json"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/caddyserver/caddy/v2"
)

func TestLDAPIdentity_Caddyfile(t *testing.T) {
	const least = "url ldaps://ldap.example.com\nbind_dn cn=gate,dc=example,dc=com\nbind_password {env.LDAP_PASSWORD}\nbase ou=people,dc=example,dc=com\n"
	for _, c := range []struct{ name, options, want string }{
		{"", least, ""},
		{"acme", least + "title \"Acme directory\"\nca /etc/ssl/ca.pem\nconfirm off\ntimeout 3s\nconnections 8\nemail_verified", ""},
		{"", strings.Replace(least, "ldaps://ldap.example.com", "{env.LDAP_URL} {env.LDAP_URL_2}", 1), ""},
		{"", least + "attributes {\nid ipaUniqueID\nname cn\ndisplay_name gecos\nemail rfc822Mailbox\ngroups isMemberOf\n}", ""},
		{"", least + "group_search {\nbase ou=groups,dc=example,dc=com\nfilter (uniqueMember={dn})\n}\nallowed_groups staff \"cn=a b,dc=example,dc=com\"", ""},
		{"Acme", least, "\"Acme\" cannot be the name of a source"},
		{"local", least, "\"local\" is the name of the accounts of the gateway itself"},
		{"", strings.Replace(least, "ldaps", "ldap", 1), "identity ldap: url: passwords would cross the network"},
		{"", least + "filter (uid=*)", "identity ldap: filter: has no {name}"},
		{"", least + "filter uid={name} mail", "filter: these are 2 words; put them in quotes"},
		{"", least + "confirm never", "confirm: \"never\" is no duration"},
		{"", least + "confirm 0s", "confirm: \"0s\" is no duration above zero"},
		{"", least + "attributes {\nuid uid\n}", "attributes: unknown option \"uid\""},
		{"", least + "schema ad", "identity ldap: schema: \"ad\" is none of"},
		{"", least + "bind_pasword x", "did you mean bind_password?"},
		{"", "base dc=example,dc=com", "identity ldap: url: is missing"},
	} {
		out, err := adaptText("{\nmfa {\nidentity ldap " + c.name + " {\n" + c.options + "\n}\n}\n}\nlocalhost {\nmfa\n}\n")
		if c.want == "" && err != nil || c.want != "" && (err == nil || !strings.Contains(err.Error(), c.want)) {
			t.Errorf("%q: %v", c.options, err)
		}
		// What the adapter writes, the gateway reads.
		var cfg caddy.Config
		if err == nil {
			err = caddy.StrictUnmarshalJSON(out, &cfg)
		}
		if c.want == "" && err != nil {
			t.Errorf("%q: %v", c.options, err)
		}
	}
}

// What is resolved is resolved when the configuration is loaded, and nothing else is: the
// place of the name in the filter is no placeholder of Caddy.
func TestLDAPIdentity_Provision(t *testing.T) {
	t.Setenv("LDAP_PASSWORD", "the gate's own")
	t.Setenv("LDAP_URL", "ldaps://ldap.example.com")
	ctx, cancel := caddy.NewContext(caddy.Context{Context: t.Context()})
	defer cancel()
	s := &LDAPIdentity{
		URL: []string{"{env.LDAP_URL}"}, BindDN: "cn=gate,dc=example,dc=com", BindPassword: "{env.LDAP_PASSWORD}", Base: "dc=example,dc=com",
		Filter: "(uid={name})", DisabledFilter: "(title=left)",
	}
	if err := s.Provision(ctx); err != nil {
		t.Fatal(err)
	}
	if string(s.cfg.BindPassword) != "the gate's own" || s.cfg.URLs[0] != "ldaps://ldap.example.com" || s.cfg.Filter != "(uid={name})" || s.cfg.Name != "ldap" {
		t.Errorf("%q %q %q", s.cfg.URLs, s.cfg.Filter, s.cfg.Name)
	}
	if raw, err := json.Marshal(s); err != nil || strings.Contains(string(raw), "own") {
		t.Errorf("what Caddy shows of its configuration holds the password: %s, %v", raw, err)
	}
	for confirm, want := range map[caddy.Duration]time.Duration{0: 5 * time.Minute, -1: 0, caddy.Duration(time.Hour): time.Hour} {
		s.Confirm = confirm
		source, closer, err := s.source()
		if err != nil || source.Confirm != want || source.Title != "ldap" || source.Name() != "ldap" || source.Password == nil || closer == nil {
			t.Errorf("%+v, %v", source, err)
		}
	}
	for what, bad := range map[string]*LDAPIdentity{
		"a variable that is not set": {URL: s.URL, BindDN: s.BindDN, BindPassword: "{env.NO_SUCH_VARIABLE}", Base: s.Base},
		"a file that is not there":   {URL: s.URL, BindDN: s.BindDN, BindPassword: s.BindPassword, Base: s.Base, CA: "/no/such/file.pem"},
		"an address that is none":    {URL: []string{"{env.LDAP_PASSWORD}"}, BindDN: s.BindDN, BindPassword: s.BindPassword, Base: s.Base},
	} {
		if err := bad.Provision(ctx); err == nil {
			t.Error(what)
		}
	}
}

// The gate warns where nobody can ever be established before it (AC-183).
func TestEstablished_AC183_WarnsWhereNobodyCanBe(t *testing.T) {
	line, _ := basic(t, "alice")
	for _, c := range []struct {
		what, options, site string
		want                string
	}{
		{"no authenticator", "identity proxied", "mfa", "no authenticator stands before it"},
		{"one that comes after", "identity proxied", "route {\nmfa\nbasic_auth {\n" + line + "\n}\n}", "no authenticator stands before it"},
		{"one that comes before", "identity proxied", "basic_auth {\n" + line + "\n}\nmfa", ""},
		{"one before a part", "identity proxied", "basic_auth /a/* {\n" + line + "\n}\nmfa /a/*", ""},
		{"no certificates", "identity proxied {\nclient_certificate subject_cn\n}", "mfa", "no site asks for client certificates"},
		{"another source", "identity local", "mfa", ""},
	} {
		g := newGateway(t)
		logFile := g.dir + "/log"
		text := strings.Replace(g.text(c.options, c.site), "\tpersist_config off\n", "\tpersist_config off\n\tlog {\n\t\toutput file "+logFile+"\n\t}\n", 1)
		g.mustLoad(text)
		raw, err := os.ReadFile(logFile)
		if err != nil {
			t.Fatal(err)
		}
		said := strings.Contains(string(raw), "nobody can be established before mfa")
		if said != (c.want != "") || !strings.Contains(string(raw), c.want) {
			t.Errorf("AC-183 %s: warned: %v", c.what, said)
		}
	}
}
