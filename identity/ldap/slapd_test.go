package ldap

import (
	"testing"
	"time"

	"github.com/secondgate/secondgate/internal/slapdtest"
	"github.com/secondgate/secondgate/mfa"
)

const (
	suffix   = slapdtest.Suffix
	people   = slapdtest.People
	gateDN   = slapdtest.GateDN
	gatePass = slapdtest.GatePass
)

// slapd is a real directory for one test, and how a source uses it.
type slapd struct {
	*slapdtest.Directory
	t testing.TB
}

// newSlapd starts a directory with these further lines of configuration.
func newSlapd(t testing.TB, lines ...string) *slapd {
	t.Helper()
	return &slapd{slapdtest.Start(t, lines...), t}
}

// config is how the directory is used, over plain LDAP on this machine.
func (s *slapd) config() Config {
	return Config{
		Name: "ldap", URLs: []string{"ldap://" + s.Plain}, BindDN: gateDN, BindPassword: mfa.Secret(gatePass), Base: people,
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
