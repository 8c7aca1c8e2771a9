package smtp_test

import (
	"bufio"
	"bytes"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"fmt"
	"io"
	"log"
	"math/big"
	"net"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/emersion/go-sasl"
	gosmtp "github.com/emersion/go-smtp"
)

// delivery is a message that a server took.
type delivery struct {
	From, To string
	UTF8     bool // it was handed over with SMTPUTF8
	TLS      bool
	User     string
	Raw      []byte
}

// server is a mail server, with what it refuses.
type server struct {
	*gosmtp.Server
	port  int
	roots *x509.CertPool

	user, password         string // "": it asks nobody
	refuseRcpt, refuseData error
	slow                   chan struct{} // a message is taken when it is closed

	mu       sync.Mutex
	got      []delivery
	sessions int
}

type options struct {
	tls  string // "starttls", "tls", "none"
	user bool
	utf8 bool
}

// newServer returns a server that listens until the test ends.
func newServer(t *testing.T, o options) *server {
	t.Helper()
	s := new(server)
	if o.user {
		s.user, s.password = "gate", "correct horse"
	}
	s.Server = gosmtp.NewServer(gosmtp.BackendFunc(func(c *gosmtp.Conn) (gosmtp.Session, error) {
		s.mu.Lock()
		defer s.mu.Unlock()
		s.sessions++
		return &session{server: s, conn: c}, nil
	}))
	s.Domain, s.EnableSMTPUTF8, s.AllowInsecureAuth = "mail.test", o.utf8, o.tls == "none"
	s.ErrorLog = log.New(io.Discard, "", 0)
	var certificate tls.Certificate
	certificate, s.roots = newCertificate(t)
	if o.tls != "none" {
		s.TLSConfig = &tls.Config{Certificates: []tls.Certificate{certificate}}
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	s.port = l.Addr().(*net.TCPAddr).Port
	if o.tls == "tls" {
		l = tls.NewListener(l, s.TLSConfig)
	}
	go func() { _ = s.Serve(l) }()
	t.Cleanup(func() { _ = s.Close() })
	return s
}

func (s *server) deliveries() []delivery {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.got
}

func (s *server) visits() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.sessions
}

// newCertificate returns one for localhost, and the pool of its authority.
func newCertificate(t *testing.T) (tls.Certificate, *x509.CertPool) {
	t.Helper()
	key := func() *ecdsa.PrivateKey {
		k, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
		if err != nil {
			t.Fatal(err)
		}
		return k
	}
	authorityKey, leafKey := key(), key()
	authority := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "test authority"}, IsCA: true,
		BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign,
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour),
	}
	leaf := &x509.Certificate{
		SerialNumber: big.NewInt(2), DNSNames: []string{"localhost"},
		ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth},
		NotBefore:   time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour),
	}
	sign := func(c *x509.Certificate, public *ecdsa.PrivateKey) []byte {
		der, err := x509.CreateCertificate(rand.Reader, c, authority, &public.PublicKey, authorityKey)
		if err != nil {
			t.Fatal(err)
		}
		return der
	}
	root, err := x509.ParseCertificate(sign(authority, authorityKey))
	if err != nil {
		t.Fatal(err)
	}
	pool := x509.NewCertPool()
	pool.AddCert(root)
	return tls.Certificate{Certificate: [][]byte{sign(leaf, leafKey)}, PrivateKey: leafKey}, pool
}

// session is one connection to a server.
type session struct {
	*server
	conn *gosmtp.Conn
	d    delivery
}

func (s *session) AuthMechanisms() []string {
	if s.user == "" {
		return nil
	}
	return []string{sasl.Plain}
}

func (s *session) Auth(string) (sasl.Server, error) {
	return sasl.NewPlainServer(func(_, user, password string) error {
		if user != s.user || password != s.password {
			// As chatty as a server can be.
			return &gosmtp.SMTPError{
				Code: 535, EnhancedCode: gosmtp.EnhancedCode{5, 7, 8},
				Message: fmt.Sprintf("credentials %s:%s refused", user, password),
			}
		}
		s.d.User = user
		return nil
	}), nil
}

func (s *session) Mail(from string, o *gosmtp.MailOptions) error {
	if s.user != "" && s.d.User == "" {
		return gosmtp.ErrAuthRequired
	}
	s.d.From, s.d.UTF8 = from, o.UTF8
	return nil
}

func (s *session) Rcpt(to string, _ *gosmtp.RcptOptions) error {
	s.d.To = to
	return s.refuseRcpt
}

func (s *session) Data(r io.Reader) error {
	raw, err := io.ReadAll(r)
	if err != nil {
		return err
	}
	if s.slow != nil {
		<-s.slow
	}
	if s.refuseData != nil {
		return s.refuseData
	}
	s.d.Raw = raw
	_, s.d.TLS = s.conn.TLSConnectionState()
	s.mu.Lock()
	defer s.mu.Unlock()
	s.got = append(s.got, s.d)
	return nil
}

func (s *session) Reset() {}

func (s *session) Logout() error { return nil }

// script is a server that says what it is told to: a greeting, and for each line that
// begins with a key its value. "" closes the connection.
func script(t *testing.T, greeting string, answers map[string]string) (port int, heard func() string) {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = l.Close() })
	var mu sync.Mutex
	var said bytes.Buffer
	serve := func(c net.Conn) {
		defer c.Close()
		if greeting != "" {
			fmt.Fprint(c, greeting+"\r\n")
		}
		lines := bufio.NewScanner(c)
		inData := false
		for lines.Scan() {
			line := lines.Text()
			mu.Lock()
			said.WriteString(line + "\n")
			mu.Unlock()
			answer, known := "250 fine", false
			if inData {
				if line != "." {
					continue
				}
				inData, line = false, "END"
			}
			for begin, a := range answers {
				if strings.HasPrefix(line, begin) {
					answer, known = a, true
				}
			}
			if !known && strings.HasPrefix(line, "DATA") {
				answer = "354 go on"
			}
			if answer == "" {
				return
			}
			inData = strings.HasPrefix(answer, "354")
			fmt.Fprint(c, answer+"\r\n")
		}
	}
	go func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			go serve(c)
		}
	}()
	return l.Addr().(*net.TCPAddr).Port, func() string {
		mu.Lock()
		defer mu.Unlock()
		return said.String()
	}
}
