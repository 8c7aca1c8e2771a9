package caddymodule

import (
	"strings"
	"testing"

	"github.com/caddyserver/caddy/v2"

	"github.com/secondgate/secondgate/internal/seal"
)

// AC-229: an address that cannot be read may have the password anywhere in it. It is refused,
// and no error repeats it.
func TestPostgres_AC229_AnAddressThatCannotBeReadIsNotShown(t *testing.T) {
	t.Setenv("MASTER_KEY", seal.NewMaster())
	for _, address := range []string{
		"host=db user=app password = 'hunter2'",
		"host=db\tuser=app\tpassword=hunter2",
		"postgres://app:hunter2?x@db/secondgate",
		"app:hunter2@db/secondgate",
		"postgresql:app:hunter2@db",
		"postgres://app@db:hunter2/secondgate",
		" postgres://app:hunter2@db:x/secondgate",
		"postgres://app@db/secondgate?PassWord=hunter2",
	} {
		s := &PostgresStore{URL: address, MasterKey: "{env.MASTER_KEY}"}
		err := s.Provision(caddy.Context{})
		if err == nil || strings.Contains(err.Error(), "hunter2") {
			t.Errorf("%q: %v", address, err)
		}
		// The same in a variable.
		t.Setenv("DATABASE_URL", address)
		s = &PostgresStore{URL: "{env.DATABASE_URL}", MasterKey: "{env.MASTER_KEY}"}
		if err := s.Provision(caddy.Context{}); err != nil && strings.Contains(err.Error(), "hunter2") {
			t.Errorf("in a variable, %q: %v", address, err)
		}
		if strings.Contains(s.place()+s.instance()+s.linkFile(), "hunter2") {
			t.Errorf("%q is shown as %s, %s, %s", address, s.place(), s.instance(), s.linkFile())
		}
	}
}
