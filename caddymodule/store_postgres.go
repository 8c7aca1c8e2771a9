package caddymodule

import (
	"crypto/rand"
	"crypto/sha256"
	"errors"
	"fmt"
	"net/url"
	"path/filepath"
	"strings"
	"time"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/caddyconfig/caddyfile"

	"github.com/secondgate/secondgate/internal/seal"
	"github.com/secondgate/secondgate/store/postgres"
)

func init() {
	caddy.RegisterModule(new(PostgresStore))
}

// PostgresStore keeps everything in a PostgreSQL database, which several gateways share.
type PostgresStore struct {
	// URL is the address of the database, a placeholder: "{env.DATABASE_URL}" or
	// "{file./run/secrets/database-url}". An address without a password may stand here
	// itself.
	URL string `json:"url"`

	// MasterKey is the key that seals the keys, which lie in the database: a placeholder,
	// "{file./run/secrets/master-key}". All gateways of the database have the same. Make
	// one with: secondgate mfa keys master
	MasterKey string `json:"master_key"`

	// PreviousMasterKey is the one before, while it is being changed.
	PreviousMasterKey string `json:"previous_master_key,omitempty"`

	// MaxConns is how many connections this gateway opens at most. The default is 16.
	MaxConns int `json:"max_conns,omitempty"`

	// KeepEvents is how long events are kept. The default is 90 days.
	KeepEvents caddy.Duration `json:"keep_events,omitempty"`

	// Marker is a file of this machine that remembers which database this is, so that an
	// empty one in its place is noticed. The default is "secondgate/postgres.initialized" in
	// Caddy's data directory.
	Marker string `json:"marker,omitempty"`

	url       string       // secret: never shown, never written
	masterKey *seal.Master // likewise
	address   string       // of the database, without user and password
	marker    string       // absolute
}

// The bounds of max_conns: one connection listens, and one at least has to work.
const (
	minConns = 2
	maxConns = 1000
)

// What is wrong with an option, and what to write instead.
var (
	errURLMissing = errors.New("which database? Write: store postgres {env.DATABASE_URL} { … }, with an address such as postgres://USER:PASSWORD@HOST:5432/DATABASE?sslmode=verify-full in that variable")
	errURLOpen    = errors.New("the address has a password in it, and the configuration can be read at Caddy's admin endpoint and in autosave.json; put the address into a variable or a file of its own and write: store postgres {env.DATABASE_URL}, or {file./run/secrets/database-url}")
	errMasterNone = errors.New("master_key: is missing, which seals the keys that lie in the database; make one with: secondgate mfa keys master > master-key, and write: master_key {file./path/to/master-key}")
)

// CaddyModule returns the Caddy module information.
func (*PostgresStore) CaddyModule() caddy.ModuleInfo {
	return caddy.ModuleInfo{ID: "mfa.stores.postgres", New: func() caddy.Module { return new(PostgresStore) }}
}

// check refuses what could never be right, by what is written: no placeholder is replaced.
func (s *PostgresStore) check() error {
	switch {
	case s.URL == "":
		return errURLMissing
	case hasPassword(s.URL):
		return errURLOpen
	case s.MasterKey == "":
		return errMasterNone
	case s.MaxConns != 0 && (s.MaxConns < minConns || s.MaxConns > maxConns):
		return fmt.Errorf("max_conns: %d is not between %d and %d; write for example: max_conns 16", s.MaxConns, minConns, maxConns)
	case s.KeepEvents < 0 || s.KeepEvents > 0 && time.Duration(s.KeepEvents) < time.Hour:
		return errors.New("keep_events: must be an hour or more; write for example: keep_events 90d")
	}
	return checkMasterKey(s.MasterKey, s.PreviousMasterKey)
}

// isPlaceholder reports whether the text is one placeholder and nothing else.
func isPlaceholder(text string) bool {
	return strings.HasPrefix(text, "{") && strings.HasSuffix(text, "}") && strings.Count(text, "{") == 1
}

// hasPassword reports whether a password is written in the address, rather than a
// placeholder for one.
func hasPassword(address string) bool {
	secret := func(text string) bool { return text != "" && !isPlaceholder(text) }
	if _, rest, ok := strings.Cut(address, "://"); ok {
		// As far as the last @: where a password has one in it, it is a password all the same.
		// A ? is a part of it, too, where neither the host nor a path came before.
		authority, _, _ := strings.Cut(rest, "?")
		if !strings.ContainsAny(authority, "@/") {
			authority = rest
		}
		if at := strings.LastIndex(authority, "@"); at >= 0 {
			if _, password, ok := strings.Cut(authority[:at], ":"); ok && secret(password) {
				return true
			}
		}
	}
	for _, split := range []string{"?", "&", " "} {
		for _, part := range strings.Split(address, split) {
			name, value, _ := strings.Cut(part, "=")
			name, err := url.QueryUnescape(strings.ToLower(strings.TrimSpace(name)))
			value, _, _ = strings.Cut(value, "&")
			if (err != nil || strings.HasSuffix(name, "password")) && secret(value) {
				return true
			}
		}
	}
	return false
}

// whereURL says where the address stands. It does not repeat an address that stands in the
// configuration itself: one that nobody can read may have a password anywhere in it.
func (s *PostgresStore) whereURL() string {
	if isPlaceholder(s.URL) {
		return "what stands in " + s.URL
	}
	return "the address in the configuration"
}

// Provision reads the address and the master key, which stay in memory. It asks no
// database: "caddy validate" runs it anywhere.
func (s *PostgresStore) Provision(caddy.Context) error {
	if err := s.check(); err != nil {
		return fmt.Errorf("store postgres: %w", err)
	}
	address, err := resolved(s.URL, "")
	if err != nil {
		return fmt.Errorf("store postgres: reading the address: %w", err)
	}
	s.url = strings.TrimSpace(address)
	if s.masterKey, err = readMasterKey(s.MasterKey, s.PreviousMasterKey); err != nil {
		return fmt.Errorf("store postgres: %w", err)
	}
	if s.address, err = postgres.Address(s.url); err != nil {
		return fmt.Errorf("store postgres: %s: %w", s.whereURL(), err)
	}
	marker, err := caddy.NewReplacer().ReplaceOrErr(s.Marker, true, true)
	if err != nil {
		return fmt.Errorf("store postgres: marker: reading what stands there: %w", err)
	}
	if marker == "" {
		marker = filepath.Join(caddy.AppDataDir(), "secondgate", "postgres.initialized")
	}
	if s.marker, err = filepath.Abs(marker); err != nil {
		return fmt.Errorf("store postgres: finding the marker: %w", err)
	}
	return nil
}

// UnmarshalCaddyfile reads
//
//	postgres URL {
//		master_key  {file./path}|{env.NAME} [{
//			previous {file./path}|{env.NAME}
//		}]
//		max_conns   NUMBER
//		keep_events DURATION
//		marker      FILE
//	}
func (s *PostgresStore) UnmarshalCaddyfile(d *caddyfile.Dispenser) error {
	if !d.Next() {
		return d.ArgErr()
	}
	b := &block{Dispenser: d, name: "store postgres", first: d.Token(), seen: make(map[string]caddyfile.Token)}
	if d.NextArg() {
		s.URL = d.Val()
	}
	if d.NextArg() {
		// The word is not repeated: it may be a part of an address.
		return d.Err("store postgres: one word too many; write: store postgres {env.DATABASE_URL} { … }")
	}
	err := b.each(map[string]func() error{
		"master_key":  func() error { return parseMasterKey(b.Dispenser, &s.MasterKey, &s.PreviousMasterKey) },
		"max_conns":   func() error { return b.number(&s.MaxConns, "max_conns 16") },
		"keep_events": func() error { return b.positive(&s.KeepEvents, "keep_events 90d") },
		"marker":      func() error { return b.word(&s.Marker, "marker /var/lib/secondgate/postgres.initialized") },
	})
	if err != nil {
		return err
	}
	return b.within("store postgres", s.check())
}

func (s *PostgresStore) master() *seal.Master { return s.masterKey }

func (s *PostgresStore) place() string { return "postgres:" + s.address }
func (s *PostgresStore) linkFile() string {
	return strings.TrimSuffix(s.marker, ".initialized") + ".setup-link"
}

// instance has all in it that the database is opened with: with another password, or another
// number of connections, it is opened anew. Another master key is taken by the open one
// (useMaster). As a hash that begins with what nobody knows,
// it tells of none of them.
func (s *PostgresStore) instance() string {
	h := sha256.New()
	fmt.Fprintf(h, "%s %q %d %d %q", instances, s.url, s.MaxConns, s.KeepEvents, s.marker)
	return fmt.Sprintf("%s#%x", s.place(), h.Sum(nil)[:8])
}

// instances is this process's own.
var instances = rand.Text()

var (
	_ StoreModule           = (*PostgresStore)(nil)
	_ caddy.Provisioner     = (*PostgresStore)(nil)
	_ caddyfile.Unmarshaler = (*PostgresStore)(nil)
)
