package slapdtest

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"math/big"
	"net"
	"os"
	"path/filepath"
	"time"
)

// certificates makes an authority and a certificate for this machine.
func (d *Directory) certificates(dir string) {
	d.t.Helper()
	d.Roots, d.OtherRoots = x509.NewCertPool(), x509.NewCertPool()
	issue := func(name string, parent *x509.Certificate, parentKey *ecdsa.PrivateKey) (*x509.Certificate, *ecdsa.PrivateKey) {
		key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
		if err != nil {
			d.t.Fatal(err)
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
			d.t.Fatal(err)
		}
		if c, err = x509.ParseCertificate(der); err != nil {
			d.t.Fatal(err)
		}
		return c, key
	}
	write := func(file, kind string, der []byte) {
		if err := os.WriteFile(filepath.Join(dir, file), pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: der}), 0o600); err != nil {
			d.t.Fatal(err)
		}
	}
	ca, caKey := issue("the directory's authority", nil, nil)
	other, _ := issue("another authority", nil, nil)
	server, serverKey := issue("127.0.0.1", ca, caKey)
	d.Roots.AddCert(ca)
	d.OtherRoots.AddCert(other)
	key, err := x509.MarshalECPrivateKey(serverKey)
	if err != nil {
		d.t.Fatal(err)
	}
	write("ca.pem", "CERTIFICATE", ca.Raw)
	write("server.pem", "CERTIFICATE", server.Raw)
	write("server.key", "EC PRIVATE KEY", key)
}
