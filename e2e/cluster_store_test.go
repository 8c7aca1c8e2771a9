package e2e

import (
	"context"
	"sync"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/secondgate/secondgate/internal/seal"
	"github.com/secondgate/secondgate/mfa"
	"github.com/secondgate/secondgate/store/postgres"
)

// store is what is in the database, for the storm.
func (c *cluster) store() (mfa.Store, func()) { return c.kept, func() {} }

// openStore opens the database beside the gateways until the test ends.
func (c *cluster) openStore() mfa.Store {
	c.t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	must := func(err error) {
		c.t.Helper()
		if err != nil {
			c.t.Fatalf("opening the store: %v", err)
		}
	}
	master, err := seal.ParseMaster(c.master)
	must(err)
	db, err := postgres.Connect(ctx, postgres.Options{URL: c.db.URL("gate"), MaxConns: 4, Now: c.front.now})
	must(err)
	keys, err := seal.OpenKeys(ctx, db.Vault(), master)
	must(err)
	s, err := db.Open(keys)
	must(err)
	c.closeStore = sync.OnceFunc(func() { _ = s.Close() })
	c.t.Cleanup(c.closeStore)
	return s
}

// exec runs one statement in a database of the server, by no line that is broken.
func (c *cluster) exec(database, statement string) {
	c.t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	db, err := pgx.Connect(ctx, c.db.URL(database))
	if err == nil {
		defer func() { _ = db.Close(ctx) }()
		_, err = db.Exec(ctx, statement)
	}
	if err != nil {
		c.t.Fatalf("%s: %v", statement, err)
	}
}
