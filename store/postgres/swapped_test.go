package postgres

import (
	"errors"
	"net/url"
	"strings"
	"testing"

	"github.com/secondgate/secondgate/internal/pgtest"
	"github.com/secondgate/secondgate/mfa"
)

// AC-228: the name leads to another database while the gateway serves. There nobody is
// known and nobody has a second factor; who asks must not be told so.
func TestStore_AC228_anotherDatabaseWhileServing(t *testing.T) {
	for name, prepare := range map[string]func(t *testing.T, o Options){
		"empty":                   func(*testing.T, Options) {},
		"of another installation": func(t *testing.T, o Options) { must(t, openAt(t, o, newKeys(t)).Close()) },
	} {
		t.Run(name, func(t *testing.T) {
			o, other := newOptions(t), newOptions(t)
			prepare(t, other)
			s := openAt(t, o, newKeys(t))
			must(t, s.CreateUser(ctx, person("alice")))
			ours, theirs := databaseOf(t, o.URL), databaseOf(t, other.URL)
			operator := pgtest.Database(t)
			for _, statement := range []string{
				"ALTER DATABASE " + ours + " ALLOW_CONNECTIONS false",
				"SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname IN ('" + ours + "', '" + theirs + "')",
				"ALTER DATABASE " + ours + " RENAME TO " + ours + "_away",
				"ALTER DATABASE " + theirs + " RENAME TO " + ours,
				"ALTER DATABASE " + ours + "_away RENAME TO " + theirs,
			} {
				sql(t, operator, statement)
			}
			t.Cleanup(func() { sql(t, operator, "ALTER DATABASE "+theirs+" ALLOW_CONNECTIONS true") })
			for _, of := range []struct {
				what string
				ask  func() error
			}{
				{"a user", func() error { _, err := s.User(ctx, "id-alice"); return err }},
				{"a key", func() error { _, err := s.UserByKey(ctx, person("alice").UniqueKeys()[0]); return err }},
				{"a new user", func() error { return s.CreateUser(ctx, person("bob")) }},
				{"the policy", func() error { _, err := s.PolicySettings(ctx); return err }},
			} {
				err := of.ask()
				if !errors.Is(err, ErrLost) || errors.Is(err, mfa.ErrNotFound) {
					t.Errorf("%s: %v", of.what, err)
				}
			}
			eventually(t, "it is out of step", func() bool { return !s.InStep() })
		})
	}
}

func databaseOf(t *testing.T, address string) string {
	t.Helper()
	u, err := url.Parse(address)
	must(t, err)
	return strings.TrimPrefix(u.Path, "/")
}
