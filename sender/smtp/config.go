package smtp

import (
	"crypto/x509"
	"errors"
	"fmt"
	"net"
	"net/mail"
	"regexp"
	"strings"
	"time"

	"github.com/secondgate/secondgate/mfa"
)

// Mode is how the connection is protected.
type Mode string

// The modes. There is none that tries and goes on without: who can change a byte on
// the way would choose for us.
const (
	StartTLS Mode = "starttls" // begins in the open and changes to TLS before anything else
	TLS      Mode = "tls"      // TLS from the first byte
	None     Mode = "none"     // in the open, for a server on this machine
)

// Config says which server takes the messages, and from whom they are.
type Config struct {
	Host     string
	Port     int // 0: 587 with StartTLS, 465 with TLS, 25 with None
	Username string
	Password mfa.Secret
	From     string // "noreply@example.com" or "Acme <noreply@example.com>"

	TLS      Mode           // empty: StartTLS
	Roots    *x509.CertPool // whose certificates hold; nil: the system's
	Insecure bool           // allows None to a server that is not on this machine

	HELO    string        // how we introduce ourselves; empty: the name of the machine
	Timeout time.Duration // of one message; 0: 10 s
	Now     func() time.Time
}

// Validate returns what is wrong, and what to write instead. Each error begins with
// the name of the option that it is about.
func (c Config) Validate() error {
	switch {
	case c.Host == "":
		return errors.New("host: is missing; write for example: host smtp.example.com:587")
	case net.ParseIP(c.Host) == nil && !hostName.MatchString(c.Host):
		return fmt.Errorf("host: %q is not a host; write its name, and a port where it is an unusual one: host smtp.example.com:587", c.Host)
	case c.Port < 0 || c.Port > 65535:
		return fmt.Errorf("host: %d is not a port; write for example: host smtp.example.com:587", c.Port)
	case c.Username == "" && len(c.Password) > 0:
		return errors.New("username: is missing, and there is a password; write for example: username noreply@example.com")
	case c.Username != "" && len(c.Password) == 0:
		return errors.New("password: is missing, and there is a username; write for example: password {env.SMTP_PASSWORD}")
	case c.From == "":
		return errors.New("from: is missing; write for example: from \"Acme <noreply@example.com>\"")
	case c.HELO != "" && !hostName.MatchString(c.HELO):
		return fmt.Errorf("helo: %q is not the name of a host; write for example: helo gate.example.com", c.HELO)
	case c.Timeout < 0:
		return errors.New("timeout: is below zero; write for example: timeout 10s")
	}
	if _, err := c.from(); err != nil {
		return err
	}
	switch c.TLS {
	case "", StartTLS, TLS:
	case None:
		if !c.Insecure && !loopback(c.Host) {
			return fmt.Errorf("tls: with none, codes and the password would cross the network to %s in the open; write tls starttls or tls tls, or in a closed network add insecure", c.Host)
		}
	default:
		return fmt.Errorf("tls: %q is none of starttls, tls and none; write for example: tls starttls", c.TLS)
	}
	return nil
}

func (c Config) from() (*mail.Address, error) {
	a, err := mail.ParseAddress(c.From)
	if err != nil || checkAddress(a.Address) != nil || !ascii(a.Address) || strings.ContainsFunc(a.Name, control) {
		return nil, fmt.Errorf("from: %q is not an address; write for example: from \"Acme <noreply@example.com>\"", c.From)
	}
	return a, nil
}

func (c Config) port() int {
	switch {
	case c.Port != 0:
		return c.Port
	case c.TLS == TLS:
		return 465
	case c.TLS == None:
		return 25
	}
	return 587
}

var hostName = regexp.MustCompile(`^[a-zA-Z0-9]([a-zA-Z0-9-]*[a-zA-Z0-9])?(\.[a-zA-Z0-9]([a-zA-Z0-9-]*[a-zA-Z0-9])?)*$`)

func loopback(host string) bool {
	ip := net.ParseIP(host)
	return strings.EqualFold(host, "localhost") || ip != nil && ip.IsLoopback()
}

// checkAddress refuses whatever is not one plain address. The core brings addresses
// into one form before it keeps them; this is the last place before a line of SMTP.
func checkAddress(s string) error {
	local, domain, _ := strings.Cut(s, "@")
	a, err := mail.ParseAddress(s)
	if err != nil || a.Address != s || a.Name != "" || strings.ContainsFunc(s, control) ||
		strings.ContainsAny(s, " \t\"(),:;<>[\\]") || strings.Contains(domain, "@") ||
		len(local) > 64 || len(domain) == 0 || len(s) > 254 {
		return errors.New("the address is not one to which e-mail can go")
	}
	return nil
}

func control(r rune) bool { return r < ' ' || r >= 0x7f && r < 0xa0 || r == '\u2028' || r == '\u2029' }

func ascii(s string) bool {
	return !strings.ContainsFunc(s, func(r rune) bool { return r > '~' })
}
