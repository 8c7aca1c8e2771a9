package caddymodule

import (
	"crypto/x509"
	"fmt"
	"log/slog"
	"os"
	"time"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/caddyconfig/caddyfile"

	"github.com/secondgate/secondgate/internal/clock"
	"github.com/secondgate/secondgate/mfa"
	"github.com/secondgate/secondgate/sender/smtp"
)

func init() {
	caddy.RegisterModule(new(SMTPSender))
}

// SMTPSender sends e-mail messages through a mail server. Every text may have
// placeholders, {env.NAME} or {file./path}, which are replaced when the
// configuration is loaded.
type SMTPSender struct {
	// Host is the mail server, with a port where it is an unusual one:
	// "smtp.example.com" or "smtp.example.com:587".
	Host string `json:"host,omitempty"`
	// Username is the name under which we sign in. Left out, we do not.
	Username string `json:"username,omitempty"`
	// Password is the password that goes with it: {env.NAME} or {file./path}.
	Password string `json:"password,omitempty"`
	// From is the address that messages come from, with or without a name:
	// "Acme <noreply@example.com>".
	From string `json:"from,omitempty"`
	// TLS is how the connection is protected: "starttls" (the default, port 587),
	// "tls" (port 465), or "none" (port 25), which only a server on this machine
	// may have.
	TLS string `json:"tls,omitempty"`
	// CA is a file with the certificate of the authority that the mail server's
	// own is from, as PEM. The default is what the system trusts.
	CA string `json:"ca,omitempty"`
	// Insecure allows "none" to a server that is not on this machine. Codes and
	// the password then cross the network in the open: for a closed network only.
	Insecure bool `json:"insecure,omitempty"`
	// HELO is the name by which we introduce ourselves. The default is the name
	// of the machine.
	HELO string `json:"helo,omitempty"`
	// Timeout is how long one try may take. The default is 10s.
	Timeout caddy.Duration `json:"timeout,omitempty"`

	made *smtp.Sender
}

// CaddyModule returns the Caddy module information.
func (*SMTPSender) CaddyModule() caddy.ModuleInfo {
	return caddy.ModuleInfo{ID: "mfa.senders.smtp", New: func() caddy.Module { return new(SMTPSender) }}
}

// Provision resolves the placeholders and checks the rest. It opens no connection.
func (s *SMTPSender) Provision(ctx caddy.Context) error {
	c, err := s.config(resolved)
	if err != nil {
		return fmt.Errorf("smtp: %w", err)
	}
	ca, err := resolved(s.CA, "")
	if err != nil {
		return fmt.Errorf("smtp: ca: reading what stands there: %w", err)
	}
	if c.Roots, err = roots(ca); err != nil {
		return fmt.Errorf("smtp: %w", err)
	}
	if s.made, err = smtp.New(c); err != nil {
		return fmt.Errorf("smtp: %w", err)
	}
	warnOpen(ctx, "password", s.Password)
	return nil
}

// config returns the configuration with each value as read gives it.
func (s *SMTPSender) config(read reader) (smtp.Config, error) {
	v, err := values{
		{"host", s.Host, "localhost"}, {"username", s.Username, "gate"}, {"password", s.Password, "secret"},
		{"from", s.From, "noreply@example.com"}, {"tls", s.TLS, "starttls"}, {"helo", s.HELO, "gate.example.com"},
	}.read(read)
	if err != nil {
		return smtp.Config{}, err
	}
	host, port, err := splitPort(v[0])
	return smtp.Config{
		Host: host, Port: port, Username: v[1], Password: mfa.Secret(v[2]), From: v[3], TLS: smtp.Mode(v[4]), HELO: v[5],
		Insecure: s.Insecure, Timeout: time.Duration(s.Timeout), Now: clock.Now,
	}, err
}

// UnmarshalCaddyfile reads
//
//	smtp {
//		host     HOST[:PORT]
//		username NAME
//		password SECRET
//		from     ADDRESS
//		tls      starttls|tls|none
//		ca       FILE
//		helo     NAME
//		timeout  DURATION
//		insecure
//	}
func (s *SMTPSender) UnmarshalCaddyfile(d *caddyfile.Dispenser) error {
	b, err := guest(d, "smtp")
	if err != nil {
		return err
	}
	err = b.each(map[string]func() error{
		"host":     func() error { return b.word(&s.Host, "host smtp.example.com:587") },
		"username": func() error { return b.text(&s.Username, "username noreply@example.com") },
		"password": func() error { return b.word(&s.Password, "password {env.SMTP_PASSWORD}") },
		"from":     func() error { return b.text(&s.From, `from "Acme <noreply@example.com>"`) },
		"tls":      func() error { return b.word(&s.TLS, "tls starttls") },
		"ca":       func() error { return b.text(&s.CA, "ca /etc/ssl/mail-ca.pem") },
		"helo":     func() error { return b.word(&s.HELO, "helo gate.example.com") },
		"timeout":  func() error { return b.positive(&s.Timeout, "timeout 10s") },
		"insecure": func() error { s.Insecure = true; return b.noWord("insecure") },
	})
	if err != nil {
		return err
	}
	c, err := s.config(written)
	if err == nil {
		err = c.Validate()
	}
	return b.within("smtp", err)
}

func (*SMTPSender) channels() mfa.Kinds { return mfa.KindsOf(mfa.Email) }

func (s *SMTPSender) sender(*slog.Logger) (mfa.Sender, error) { return s.made, nil }

// roots reads the certificates of a file; nil where none is named.
func roots(file string) (*x509.CertPool, error) {
	if file == "" {
		return nil, nil
	}
	pem, err := os.ReadFile(file)
	if err != nil {
		return nil, fmt.Errorf("ca: reading the certificates: %w", err)
	}
	pool := x509.NewCertPool()
	if !pool.AppendCertsFromPEM(pem) {
		return nil, fmt.Errorf("ca: %s holds no certificate as PEM; write the file that begins with BEGIN CERTIFICATE", file)
	}
	return pool, nil
}

var (
	_ SenderModule          = (*SMTPSender)(nil)
	_ caddy.Provisioner     = (*SMTPSender)(nil)
	_ caddyfile.Unmarshaler = (*SMTPSender)(nil)
)
