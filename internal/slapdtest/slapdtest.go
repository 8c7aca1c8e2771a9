package slapdtest

import (
	"bytes"
	"crypto/x509"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/go-ldap/ldap/v3"
)

// What is where in the directory.
const (
	Suffix = "dc=example,dc=test"
	People = "ou=people," + Suffix
	// GateDN is the account that may search.
	GateDN   = "cn=gate," + Suffix
	GatePass = "the gate's own"

	rootDN   = "cn=admin," + Suffix
	rootPass = "the root's own"
)

// Directory is a directory that runs until its test is over. Its methods are for one
// goroutine at a time.
type Directory struct {
	Plain, TLS string         // host and port
	Roots      *x509.CertPool // whose certificate it has
	OtherRoots *x509.CertPool // which have not signed it
	Root       *ldap.Conn     // may do anything

	t       testing.TB
	process *exec.Cmd
	config  string // the file
}

// find finds the program, which Debian has where only root looks.
func find() string {
	for _, name := range []string{"slapd", "/usr/sbin/slapd", "/usr/lib/openldap/slapd", "/usr/libexec/slapd"} {
		if path, err := exec.LookPath(name); err == nil {
			return path
		}
	}
	return ""
}

// require skips the test, or fails it where CI=true, unless ok.
func require(t testing.TB, ok bool, what string) {
	t.Helper()
	switch {
	case ok:
	case os.Getenv("CI") == "true":
		t.Fatalf("this needs %s", what)
	default:
		t.Skipf("NOT RUN: this needs %s", what)
	}
}

// Start starts a directory with these further lines of configuration.
func Start(t testing.TB, lines ...string) *Directory {
	t.Helper()
	path := find()
	require(t, path != "", "slapd (Debian: apt-get install slapd)")
	_, err := os.Stat("/etc/ldap/schema/inetorgperson.schema")
	require(t, err == nil, "the schema files of slapd in /etc/ldap/schema")
	dir := t.TempDir()
	d := &Directory{t: t, config: filepath.Join(dir, "slapd.conf")}
	d.certificates(dir)
	if err := os.Mkdir(filepath.Join(dir, "data"), 0o700); err != nil {
		t.Fatal(err)
	}
	more := ""
	for _, line := range lines {
		more += line + "\n"
	}
	config := fmt.Sprintf(`
include /etc/ldap/schema/core.schema
include /etc/ldap/schema/cosine.schema
include /etc/ldap/schema/inetorgperson.schema
modulepath /usr/lib/ldap
moduleload back_mdb
moduleload memberof
moduleload ppolicy
pidfile %[1]s/pid
TLSCACertificateFile %[1]s/ca.pem
TLSCertificateFile %[1]s/server.pem
TLSCertificateKeyFile %[1]s/server.key
# What many directories have: a name without a password is somebody, namely nobody.
allow bind_anon_cred
%[2]s
database mdb
suffix %[3]q
rootdn %[4]q
rootpw %[5]q
directory %[1]s/data
maxsize 10485760
index objectClass,entryUUID,uid,mail,member eq
access to attrs=userPassword by anonymous auth by * none
access to * by dn.base=%[6]q read by anonymous auth by * none
overlay memberof
overlay ppolicy
ppolicy_default "cn=default,%[3]s"
`, dir, more, Suffix, rootDN, rootPass, GateDN)
	if err := os.WriteFile(d.config, []byte(config), 0o600); err != nil {
		t.Fatal(err)
	}
	d.start(path)
	d.fill()
	return d
}

func (d *Directory) start(path string) {
	d.t.Helper()
	var wrong string
	for range 5 { // somebody else may take the ports meanwhile
		d.Plain, d.TLS = FreeAddress(d.t), FreeAddress(d.t)
		var errs bytes.Buffer
		d.process = exec.Command(path, "-f", d.config, "-h", "ldap://"+d.Plain+"/ ldaps://"+d.TLS+"/", "-d", "0")
		d.process.Stderr = &errs
		if err := d.process.Start(); err != nil {
			d.t.Fatal(err)
		}
		ended := make(chan error, 1)
		go func(p *exec.Cmd) { ended <- p.Wait() }(d.process)
		for range 200 {
			select {
			case err := <-ended:
				wrong = fmt.Sprint(err, "\n", errs.String())
			case <-time.After(25 * time.Millisecond):
				if c, err := ldap.DialURL("ldap://" + d.Plain); err == nil {
					d.Root = c
					d.t.Cleanup(func() {
						_ = c.Close()
						d.Kill()
						<-ended
					})
					if err := c.Bind(rootDN, rootPass); err != nil {
						d.t.Fatal(err)
					}
					return
				}
				continue
			}
			break
		}
		d.Kill()
	}
	d.t.Fatalf("slapd did not start: %s", wrong)
}

// Kill ends the directory at once: nobody answers any more.
func (d *Directory) Kill() { _ = d.process.Process.Kill() }

// FreeAddress is a host and port of this machine where nobody listens.
func FreeAddress(t testing.TB) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	return l.Addr().String()
}

// Add puts an entry into the directory: pairs of attribute and value.
func (d *Directory) Add(dn string, pairs ...string) {
	d.t.Helper()
	r := ldap.NewAddRequest(dn, nil)
	seen := map[string]int{}
	for i := 0; i+1 < len(pairs); i += 2 {
		// Attributes of several values stand several times.
		if at, twice := seen[pairs[i]]; twice {
			r.Attributes[at].Vals = append(r.Attributes[at].Vals, pairs[i+1])
			continue
		}
		seen[pairs[i]] = len(r.Attributes)
		r.Attribute(pairs[i], []string{pairs[i+1]})
	}
	if err := d.Root.Add(r); err != nil {
		d.t.Fatalf("adding %s: %v", dn, err)
	}
}

// Set replaces the values of an attribute.
func (d *Directory) Set(dn, attribute string, values ...string) {
	d.t.Helper()
	r := ldap.NewModifyRequest(dn, nil)
	r.Replace(attribute, values)
	if err := d.Root.Modify(r); err != nil {
		d.t.Fatalf("changing %s of %s: %v", attribute, dn, err)
	}
}

// Remove takes an entry out of the directory.
func (d *Directory) Remove(dn string) {
	d.t.Helper()
	if err := d.Root.Del(ldap.NewDelRequest(dn, nil)); err != nil {
		d.t.Fatalf("removing %s: %v", dn, err)
	}
}

// DN is the entry of a person.
func DN(uid string) string { return "uid=" + uid + "," + People }

// Person adds a person with a password, and more pairs of attribute and value.
func (d *Directory) Person(uid, password string, more ...string) {
	d.t.Helper()
	d.Add(DN(uid), append([]string{
		"objectClass", "inetOrgPerson", "uid", uid, "cn", "The " + uid, "sn", uid, "displayName", "The " + uid,
		"mail", strings.ReplaceAll(uid, "ë", "e") + "@example.test", "userPassword", password,
	}, more...)...)
}

func (d *Directory) fill() {
	d.t.Helper()
	d.Add(Suffix, "objectClass", "dcObject", "objectClass", "organization", "o", "Example", "dc", "example")
	d.Add(People, "objectClass", "organizationalUnit", "ou", "people")
	d.Add("ou=groups,"+Suffix, "objectClass", "organizationalUnit", "ou", "groups")
	d.Add("ou=elsewhere,"+Suffix, "objectClass", "organizationalUnit", "ou", "elsewhere")
	d.Add("cn=default,"+Suffix, "objectClass", "device", "objectClass", "pwdPolicy", "cn", "default",
		"pwdAttribute", "userPassword", "pwdLockout", "TRUE", "pwdMaxFailure", "5")
	d.Add(GateDN, "objectClass", "organizationalRole", "objectClass", "simpleSecurityObject", "cn", "gate", "userPassword", GatePass)
	d.Person("alice", "alice's own")
	d.Person("bob", "bob's own")
	d.Person("zoë", "zoë's own")
	d.Add("cn=staff,ou=groups,"+Suffix, "objectClass", "groupOfNames", "cn", "staff", "member", DN("alice"), "member", DN("bob"))
	d.Add("cn=admins,ou=groups,"+Suffix, "objectClass", "groupOfNames", "cn", "admins", "member", DN("alice"))
	// Whoever may make groups somewhere names one as they like.
	d.Add("cn=admins,ou=elsewhere,"+Suffix, "objectClass", "groupOfNames", "cn", "admins", "member", DN("bob"))
}
