package postgres

import (
	"fmt"
	"net"
	"net/url"
	"regexp"
	"strings"

	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/pgxpool"
)

// parse reads the address and decides on TLS: to another machine only with the certificate
// verified, because whoever stands in between could read every session and answer in the
// database's place. pgx by itself would fall back to plain text in silence. A weaker mode
// has to be written down, and is then warned of.
func parse(address string) (config *pgxpool.Config, warning string, err error) {
	if strings.TrimSpace(address) == "" {
		return nil, "", fmt.Errorf("there is no address; write postgres://USER:PASSWORD@HOST:PORT/DATABASE")
	}
	config, err = parseConfig(address)
	if err != nil {
		return nil, "", err
	}
	remote, safe := remoteAndSafe(config)
	switch {
	case !remote || safe:
	case namesMode(address):
		warning = "the connection to the database is not verified, because the URL says so: whoever stands in between can read and change everything; write sslmode=verify-full, and sslrootcert=FILE for a certificate authority of your own"
	default:
		if config, err = parseConfig(withMode(address)); err != nil {
			return nil, "", err
		}
		if _, safe = remoteAndSafe(config); !safe {
			return nil, "", fmt.Errorf("%w: write sslmode=verify-full into the URL", ErrUnsafe)
		}
	}
	if config.ConnConfig.ConnectTimeout <= 0 || config.ConnConfig.ConnectTimeout > connectTime && !strings.Contains(address, "connect_timeout") {
		config.ConnConfig.ConnectTimeout = connectTime
	}
	if len(hosts(config)) > 1 && config.ConnConfig.ValidateConnect == nil {
		// Of several servers the one that takes writes.
		config.ConnConfig.ValidateConnect = pgconn.ValidateConnectTargetSessionAttrsReadWrite
	}
	setParameters(config)
	return config, warning, nil
}

// parseConfig never repeats the address in an error: it holds a password, and where it
// cannot be read, nobody can say which part of it that is.
func parseConfig(address string) (*pgxpool.Config, error) {
	config, err := pgxpool.ParseConfig(address)
	if err != nil {
		return nil, fmt.Errorf("the address cannot be read (it is not shown, because of the password in it); write postgres://USER:PASSWORD@HOST:PORT/DATABASE?sslmode=verify-full, with special characters of the password as %%XX, and only files that are there")
	}
	return config, nil
}

// hosts returns where connections are made to, each once.
func hosts(config *pgxpool.Config) []string {
	var list []string
	seen := map[string]bool{}
	add := func(host string, port uint16) {
		if key := fmt.Sprintf("%s:%d", host, port); !seen[key] {
			seen[key] = true
			list = append(list, host)
		}
	}
	add(config.ConnConfig.Host, config.ConnConfig.Port)
	for _, f := range config.ConnConfig.Fallbacks {
		add(f.Host, f.Port)
	}
	return list
}

// remoteAndSafe reports whether any host is another machine, and whether the certificate
// and the name of every such one are verified on every way that is tried.
func remoteAndSafe(config *pgxpool.Config) (remote, safe bool) {
	safe = true
	look := func(host string, verified bool) {
		if !local(host) {
			remote = true
			safe = safe && verified
		}
	}
	c := config.ConnConfig
	look(c.Host, c.TLSConfig != nil && !c.TLSConfig.InsecureSkipVerify && c.TLSConfig.ServerName != "")
	for _, f := range c.Fallbacks {
		look(f.Host, f.TLSConfig != nil && !f.TLSConfig.InsecureSkipVerify && f.TLSConfig.ServerName != "")
	}
	return remote, safe
}

// local reports whether nobody else can stand between us and that host. Other names are
// not looked up: what they lead to now may be another machine later.
func local(host string) bool {
	if strings.HasPrefix(host, "/") || strings.HasPrefix(host, "@") || host == "localhost" {
		return true
	}
	ip := net.ParseIP(host)
	return ip != nil && ip.IsLoopback()
}

var modeWord = regexp.MustCompile(`(^|\s)sslmode\s*=`)

func isURL(address string) bool {
	return strings.HasPrefix(address, "postgres://") || strings.HasPrefix(address, "postgresql://")
}

// namesMode reports whether the address itself says how to use TLS; the environment does
// not count.
func namesMode(address string) bool {
	if !isURL(address) {
		return modeWord.MatchString(address)
	}
	_, query, _ := strings.Cut(address, "?")
	values, err := url.ParseQuery(query)
	return err == nil && values.Has("sslmode")
}

// withMode returns the address with the strictest mode.
func withMode(address string) string {
	switch {
	case !isURL(address):
		return address + " sslmode=verify-full"
	case strings.Contains(address, "?"):
		return address + "&sslmode=verify-full"
	}
	return address + "?sslmode=verify-full"
}
