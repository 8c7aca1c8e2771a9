package postgres

import (
	"errors"
	"net"
	"path"
	"slices"
	"strconv"
	"strings"

	"github.com/jackc/pgx/v5/pgconn"
)

// ErrAddress says that the address of the database cannot be read. What was read is not
// repeated: there is a password in it.
var ErrAddress = errors.New("not an address of a PostgreSQL database, or a file that it names cannot be read; it is written as postgres://USER:PASSWORD@HOST:5432/DATABASE?sslmode=verify-full")

// Address returns the name of the database that the address leads to, without the user and
// the password: "db.example.com:5432/secondgate". Addresses of several hosts have all of
// them in it.
func Address(url string) (string, error) {
	if !strings.HasPrefix(url, "postgres://") && !strings.HasPrefix(url, "postgresql://") {
		return "", ErrAddress
	}
	cfg, err := pgconn.ParseConfig(url)
	if err != nil {
		return "", ErrAddress
	}
	at := func(host string, port uint16) string {
		if strings.HasPrefix(host, "/") {
			return path.Join(host, ".s.PGSQL."+strconv.Itoa(int(port)))
		}
		return net.JoinHostPort(host, strconv.Itoa(int(port)))
	}
	hosts := []string{at(cfg.Host, cfg.Port)}
	for _, other := range cfg.Fallbacks {
		// A host stands there once for each way to encrypt.
		if h := at(other.Host, other.Port); !slices.Contains(hosts, h) {
			hosts = append(hosts, h)
		}
	}
	if cfg.Database == "" {
		cfg.Database = cfg.User
	}
	return strings.Join(hosts, ",") + "/" + cfg.Database, nil
}
