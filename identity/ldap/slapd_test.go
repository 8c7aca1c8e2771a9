package ldap

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"fmt"
	"math/big"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/go-ldap/ldap/v3"

	"github.com/secondgate/secondgate/mfa"
)

const (
	suffix   = "dc=example,dc=test"
	people   = "ou=people," + suffix
	rootDN   = "cn=admin," + suffix
	rootPass = "the root's own"
	gateDN   = "cn=gate," + suffix
	gatePass = "the gate's own"
)

// slapd is a real directory for one test.
type slapd struct {
	t            testing.TB
	plain, tls   string // host and port
	roots        *x509.CertPool
	otherRoots   *x509.CertPool // which have not signed its certificate
	root         *ldap.Conn
	process      *exec.Cmd
	configFile   string
	stopped      bool
	listenersURL string
}

// slapdPath finds the program, which Debian has where only root looks.
func slapdPath() string {
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

// newSlapd starts a directory with these further lines of configuration.
func newSlapd(t testing.TB, lines ...string) *slapd {
	t.Helper()
	path := slapdPath()
	require(t, path != "", "slapd (Debian: apt-get install slapd)")
	_, err := os.Stat("/etc/ldap/schema/inetorgperson.schema")
	require(t, err == nil, "the schema files of slapd in /etc/ldap/schema")
	dir := t.TempDir()
	s := &slapd{t: t, configFile: filepath.Join(dir, "slapd.conf")}
	s.certificates(dir)
	data := filepath.Join(dir, "data")
	if err := os.Mkdir(data, 0o700); err != nil {
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
`, dir, more, suffix, rootDN, rootPass, gateDN)
	if err := os.WriteFile(s.configFile, []byte(config), 0o600); err != nil {
		t.Fatal(err)
	}
	s.start(path)
	s.fill()
	return s
}

func (s *slapd) start(path string) {
	s.t.Helper()
	var wrong string
	for range 5 { // somebody else may take the ports meanwhile
		s.plain, s.tls = freeAddress(s.t), freeAddress(s.t)
		var errs bytes.Buffer
		s.process = exec.Command(path, "-f", s.configFile, "-h", "ldap://"+s.plain+"/ ldaps://"+s.tls+"/", "-d", "0")
		s.process.Stderr = &errs
		if err := s.process.Start(); err != nil {
			s.t.Fatal(err)
		}
		ended := make(chan error, 1)
		go func(p *exec.Cmd) { ended <- p.Wait() }(s.process)
		for range 200 {
			select {
			case err := <-ended:
				wrong = fmt.Sprint(err, "\n", errs.String())
			case <-time.After(25 * time.Millisecond):
				if c, err := ldap.DialURL("ldap://" + s.plain); err == nil {
					s.root = c
					s.t.Cleanup(func() {
						_ = c.Close()
						_ = s.process.Process.Kill()
						<-ended
					})
					if err := c.Bind(rootDN, rootPass); err != nil {
						s.t.Fatal(err)
					}
					return
				}
				continue
			}
			break
		}
		_ = s.process.Process.Kill()
	}
	s.t.Fatalf("slapd did not start: %s", wrong)
}

func freeAddress(t testing.TB) string {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	return l.Addr().String()
}

// certificates makes an authority and a certificate for this machine.
func (s *slapd) certificates(dir string) {
	s.t.Helper()
	s.roots, s.otherRoots = x509.NewCertPool(), x509.NewCertPool()
	make := func(name string, parent *x509.Certificate, parentKey *ecdsa.PrivateKey) (*x509.Certificate, *ecdsa.PrivateKey) {
		key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
		if err != nil {
			s.t.Fatal(err)
		}
		c := &x509.Certificate{
			SerialNumber: big.NewInt(time.Now().UnixNano()), Subject: pkix.Name{CommonName: name},
			NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour),
			KeyUsage: x509.KeyUsageDigitalSignature, BasicConstraintsValid: true,
		}
		if parent == nil {
			c.IsCA, c.KeyUsage = true, x509.KeyUsageCertSign
			parent, parentKey = c, key
		} else {
			c.IPAddresses, c.ExtKeyUsage = []net.IP{net.IPv4(127, 0, 0, 1)}, []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth}
		}
		der, err := x509.CreateCertificate(rand.Reader, c, parent, &key.PublicKey, parentKey)
		if err != nil {
			s.t.Fatal(err)
		}
		if c, err = x509.ParseCertificate(der); err != nil {
			s.t.Fatal(err)
		}
		return c, key
	}
	write := func(file, kind string, der []byte) {
		if err := os.WriteFile(filepath.Join(dir, file), pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: der}), 0o600); err != nil {
			s.t.Fatal(err)
		}
	}
	ca, caKey := make("the directory's authority", nil, nil)
	other, _ := make("another authority", nil, nil)
	server, serverKey := make("127.0.0.1", ca, caKey)
	s.roots.AddCert(ca)
	s.otherRoots.AddCert(other)
	key, err := x509.MarshalECPrivateKey(serverKey)
	if err != nil {
		s.t.Fatal(err)
	}
	write("ca.pem", "CERTIFICATE", ca.Raw)
	write("server.pem", "CERTIFICATE", server.Raw)
	write("server.key", "EC PRIVATE KEY", key)
}

// add puts an entry into the directory: pairs of attribute and value.
func (s *slapd) add(dn string, pairs ...string) {
	s.t.Helper()
	r := ldap.NewAddRequest(dn, nil)
	for i := 0; i+1 < len(pairs); i += 2 {
		r.Attribute(pairs[i], []string{pairs[i+1]})
	}
	// Attributes of several values stand several times.
	merged := ldap.NewAddRequest(dn, nil)
	seen := map[string]int{}
	for _, a := range r.Attributes {
		if at, twice := seen[a.Type]; twice {
			merged.Attributes[at].Vals = append(merged.Attributes[at].Vals, a.Vals...)
			continue
		}
		seen[a.Type] = len(merged.Attributes)
		merged.Attributes = append(merged.Attributes, a)
	}
	if err := s.root.Add(merged); err != nil {
		s.t.Fatalf("adding %s: %v", dn, err)
	}
}

func (s *slapd) set(dn, attribute string, values ...string) {
	s.t.Helper()
	r := ldap.NewModifyRequest(dn, nil)
	r.Replace(attribute, values)
	if err := s.root.Modify(r); err != nil {
		s.t.Fatalf("changing %s of %s: %v", attribute, dn, err)
	}
}

func (s *slapd) person(uid, password string, more ...string) {
	s.t.Helper()
	s.add("uid="+uid+","+people, append([]string{
		"objectClass", "inetOrgPerson", "uid", uid, "cn", "The " + uid, "sn", uid, "displayName", "The " + uid,
		"mail", strings.ReplaceAll(uid, "ë", "e") + "@example.test", "userPassword", password,
	}, more...)...)
}

func (s *slapd) fill() {
	s.add(suffix, "objectClass", "dcObject", "objectClass", "organization", "o", "Example", "dc", "example")
	s.add(people, "objectClass", "organizationalUnit", "ou", "people")
	s.add("ou=groups,"+suffix, "objectClass", "organizationalUnit", "ou", "groups")
	s.add("ou=elsewhere,"+suffix, "objectClass", "organizationalUnit", "ou", "elsewhere")
	s.add("cn=default,"+suffix, "objectClass", "device", "objectClass", "pwdPolicy", "cn", "default",
		"pwdAttribute", "userPassword", "pwdLockout", "TRUE", "pwdMaxFailure", "5")
	s.add(gateDN, "objectClass", "organizationalRole", "objectClass", "simpleSecurityObject", "cn", "gate", "userPassword", gatePass)
	s.person("alice", "alice's own")
	s.person("bob", "bob's own")
	s.person("zoë", "zoë's own")
	s.add("cn=staff,ou=groups,"+suffix, "objectClass", "groupOfNames", "cn", "staff", "member", "uid=alice,"+people, "member", "uid=bob,"+people)
	s.add("cn=admins,ou=groups,"+suffix, "objectClass", "groupOfNames", "cn", "admins", "member", "uid=alice,"+people)
	// Whoever may make groups somewhere names one as they like.
	s.add("cn=admins,ou=elsewhere,"+suffix, "objectClass", "groupOfNames", "cn", "admins", "member", "uid=bob,"+people)
}

// config is how the directory is used, over plain LDAP on this machine.
func (s *slapd) config() Config {
	return Config{
		Name: "ldap", URLs: []string{"ldap://" + s.plain}, BindDN: gateDN, BindPassword: mfa.Secret(gatePass), Base: people,
		Timeout: 5 * time.Second,
	}
}

// source makes a source; alter changes the configuration.
func (s *slapd) source(alter ...func(*Config)) *Source {
	s.t.Helper()
	c := s.config()
	for _, f := range alter {
		f(&c)
	}
	return newSource(s.t, c)
}

func newSource(t testing.TB, c Config) *Source {
	t.Helper()
	source, err := New(c, nil)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = source.Close() })
	return source
}
