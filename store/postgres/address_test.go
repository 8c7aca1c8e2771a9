package postgres

import (
	"errors"
	"strings"
	"testing"
)

func TestAddress(t *testing.T) {
	for url, want := range map[string]string{
		"postgres://gate:hunter2@db.example.com/secondgate":                       "db.example.com:5432/secondgate",
		"postgresql://gate:hunter2@db.example.com:6432/secondgate?sslmode=prefer": "db.example.com:6432/secondgate",
		"postgres://gate@[::1]:5433/x":                                            "[::1]:5433/x",
		"postgres://gate:hunter2@/x?host=/var/run/postgresql":                     "/var/run/postgresql/.s.PGSQL.5432/x",
		"postgres://gate:hunter2@/x?host=a,b&port=5432,5433":                      "a:5432,b:5433/x",
	} {
		if got, err := Address(url); got != want || err != nil {
			t.Errorf("%s: %q %v, want %q", url, got, err, want)
		}
	}
}

// AC-229: what cannot be read is not repeated.
func TestAddress_AC229_NothingSecretInErrors(t *testing.T) {
	for _, url := range []string{
		"", "hunter2", "host=db password=hunter2", "mysql://gate:hunter2@db/x", "postgres://gate:hunter2@db:port/x",
		"postgres://gate:hunter2%zz@db/x", "postgres://gate:hunter2@db/x?sslmode=hunter2", "postgres://gate:hunter2@db/x?sslrootcert=/hunter2",
	} {
		_, err := Address(url)
		if !errors.Is(err, ErrAddress) || strings.Contains(err.Error(), "hunter2") {
			t.Errorf("%s: %v", url, err)
		}
	}
}
