package postgres

import (
	"errors"
	"fmt"
	"strings"
	"testing"
)

// Whoever stands between two machines must not read or answer in the database's place: to
// another machine the certificate is verified, unless somebody wrote down that it is not.
func TestParse_verifiesWhoAnswersOnOtherMachines(t *testing.T) {
	for _, c := range []struct {
		address  string
		verified bool
		warns    bool
	}{
		{"postgres://u:p@db.example.test/x", true, false},
		{"postgresql://u:p@db.example.test:5433/x?application_name=a", true, false},
		{"postgres://u:p@192.0.2.7/x", true, false},
		{"postgres://u:p@localhost.evil.test/x", true, false},
		{"postgres://u:p@db.example.test/x?sslmode=verify-full", true, false},
		{"postgres://u:p@localhost,db.example.test/x", true, false},
		{"host=db.example.test user=u password=p dbname=x", true, false},
		{"postgres://u:p@db.example.test/x?sslmode=disable", false, true},
		{"postgres://u:p@db.example.test/x?sslmode=prefer", false, true},
		{"postgres://u:p@db.example.test/x?sslmode=require", false, true},
		{"postgres://u:p@db.example.test/x?sslmode=verify-ca", false, true},
		{"host=db.example.test user=u sslmode=require", false, true},
		{"postgres://u:p@localhost/x", false, false},
		{"postgres://u:p@127.0.0.1/x?sslmode=disable", false, false},
		{"postgres://u:p@[::1]/x", false, false},
		{"postgres://u:p@/x?host=/run/postgresql", false, false},
	} {
		config, warning, err := parse(c.address)
		if err != nil {
			t.Errorf("%s: %v", c.address, err)
			continue
		}
		remote, safe := remoteAndSafe(config)
		if verified := remote && safe; verified != c.verified || (warning != "") != c.warns {
			t.Errorf("%s: verified %t, warning %q", c.address, verified, warning)
		}
	}
}

// The environment must not weaken what the URL leaves open.
func TestParse_environmentDoesNotWeakenTLS(t *testing.T) {
	t.Setenv("PGSSLMODE", "disable")
	config, _, err := parse("postgres://u:p@db.example.test/x")
	if err != nil {
		t.Fatal(err)
	}
	if remote, safe := remoteAndSafe(config); !remote || !safe {
		t.Error("PGSSLMODE=disable was believed for another machine")
	}
}

// No form of a wrong address comes back in an error: nobody can say which part of it is the
// password.
func TestParse_showsNoPassword(t *testing.T) {
	for _, address := range []string{
		"postgres://u:geheim@db.example.test:port/x", "postgres://u:geheim%zz@db.example.test/x", "postgres://u:ge heim@db/x?sslmode=wrong",
		"user=u password=geheim host=", "password='geheim", "postgres://u:geheim@db/x?sslrootcert=/nowhere/geheim",
		"geheim", "postgres://u:x@db/x?password=geheim&sslmode=geheim", "mysql://u:geheim@db/x",
	} {
		_, _, err := parse(address)
		if err == nil {
			continue
		}
		for _, text := range []string{err.Error(), fmt.Sprintf("%+v", err), fmt.Sprintf("%#v", err)} {
			if strings.Contains(text, "heim") {
				t.Errorf("%s", text)
			}
		}
		for ; err != nil; err = errors.Unwrap(err) {
			if strings.Contains(err.Error(), "heim") {
				t.Errorf("inside: %v", err)
			}
		}
	}
}

func TestParse_setsTimeBoundsAndZone(t *testing.T) {
	config, _, err := parse("postgres://u:p@localhost/x?statement_timeout=700&timezone=Asia/Tokyo")
	if err != nil {
		t.Fatal(err)
	}
	for name, want := range map[string]string{
		"statement_timeout": "700", "lock_timeout": "1500", "idle_in_transaction_session_timeout": "5000", "timezone": "UTC", "client_encoding": "UTF8",
	} {
		if got := config.ConnConfig.RuntimeParams[name]; got != want {
			t.Errorf("%s is %q, want %q", name, got, want)
		}
	}
	if got := config.ConnConfig.ConnectTimeout; got != connectTime {
		t.Errorf("connecting may take %s", got)
	}
}

func TestEngineOf_readsWhatAnswers(t *testing.T) {
	for text, want := range map[string]engine{
		"PostgreSQL 15.18 (Debian 15.18-0+deb12u1) on x86_64-pc-linux-gnu, compiled by gcc": {"PostgreSQL", "15.18"},
		"PostgreSQL 18.0, compiled by Visual C++":                                           {"PostgreSQL", "18.0"},
		"CockroachDB CCL v25.2.1 (x86_64-pc-linux-gnu, built 2025/06/01)":                   {"CockroachDB", "25.2.1"},
		"PostgreSQL 15.12-YB-2025.1.0.1-b0 on x86_64-pc-linux-gnu":                          {"YugabyteDB", "2025.1.0.1-b0"},
	} {
		if got := engineOf(text); got != want {
			t.Errorf("%s: %+v", text, got)
		}
	}
}
