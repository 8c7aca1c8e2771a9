package e2e

import (
	"os"
	"strings"
	"testing"
)

// AC-189, AC-228: a database that was emptied, or has lost a part, or stands behind other
// keys, is never taken for a new one: everybody would be without a second factor, and the
// first account up for grabs. The gateway refuses to start, and says why.
func TestCluster_LostDatabase_AC189_AC228(t *testing.T) {
	c := startCluster(t, 1, clustered)
	n := c.nodes[0]
	c.member(t, n, "alice")
	n.stop()
	c.closeStore()
	c.exec("postgres", "CREATE DATABASE saved TEMPLATE gate")
	link := n.file("data/caddy/secondgate/postgres.setup-link")
	key := n.env
	for _, damage := range []struct {
		name, words string
		do          func()
	}{
		{"emptied", "not the database of this gateway", func() { c.replace("template1") }},
		{"every table dropped", "not the database of this gateway", func() {
			c.exec("gate", "DROP SCHEMA public CASCADE")
			c.exec("gate", "CREATE SCHEMA public")
		}},
		{"all rows deleted", "", func() {
			c.exec("gate", "DO $$ DECLARE t text; BEGIN FOR t IN SELECT tablename FROM pg_tables WHERE schemaname = 'public' AND tablename NOT LIKE 'goose%' LOOP EXECUTE 'TRUNCATE ' || quote_ident(t) || ' CASCADE'; END LOOP; END $$")
		}},
		{"the table of users dropped", "users", func() { c.exec("gate", "DROP TABLE users") }},
		{"the table of sessions dropped", "sessions", func() { c.exec("gate", "DROP TABLE sessions") }},
		{"the keys deleted", "", func() { c.exec("gate", "DELETE FROM meta WHERE name = 'keys'") }},
		{"another master key", "master key", func() { n.env = append(n.env, "MASTER_KEY="+strings.Repeat("Ab-_", 10)+"AbA") }},
	} {
		t.Run(damage.name, func(t *testing.T) {
			defer func() { n.env = key }()
			c.replace("saved")
			_ = os.Remove(link)
			damage.do()
			said := len(n.log())
			err := n.starts()
			n.stop()
			words := n.log()[said:]
			if err == nil {
				t.Fatalf("it started:\n%s", words)
			}
			if _, err := os.Stat(link); err == nil {
				t.Error("AC-228: the first account is open again")
			}
			if !strings.Contains(words, `"level":"error"`) && !strings.Contains(words, "Error:") || !strings.Contains(words, damage.words) {
				t.Errorf("it does not say why:\n%s", words)
			}
		})
	}
	// What was restored as it was is as it was.
	c.replace("saved")
	if err := n.starts(); err != nil {
		t.Fatalf("with what was saved: %v\n%s", err, n.output.last(4<<10))
	}
}

// replace puts a copy of another database in the place of the gateway's.
func (c *cluster) replace(by string) {
	c.t.Helper()
	c.exec("postgres", "DROP DATABASE gate WITH (FORCE)")
	c.exec("postgres", "CREATE DATABASE gate TEMPLATE "+by)
}
