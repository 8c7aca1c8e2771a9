package caddymodule

import (
	"context"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/jackc/pgx/v5"

	"github.com/secondgate/secondgate/internal/pgtest"
	"github.com/secondgate/secondgate/internal/seal"
)

// A gateway moves from Badger into PostgreSQL, killed again and again on the way, and nobody
// is signed out; its backups have the keys in them, sealed, and go back into Badger and into
// another database.
func TestMigrate_AC205_intoPostgres(t *testing.T) {
	b := newBackups(t)
	cookie := b.signIn("alice", 0)
	b.down(readFile(t, b.gateway.file))
	b.populate(4000)
	old := b.gateway.file + ".old"
	write := func(path, text string) {
		t.Helper()
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	write(old, readFile(t, b.gateway.file))
	// Caddy's admin endpoint outlives a stop in this process: the configurations of commands
	// name one where nobody is.
	nobody := "localhost:" + freePort(t)
	url := pgtest.Database(t)
	watching, err := pgx.Connect(t.Context(), url)
	if err != nil {
		t.Fatal(err)
	}
	defer watching.Close(context.Background())
	text := b.onPostgres(url, "require on")
	apart := func(text string) string { return strings.ReplaceAll(text, "admin "+b.admin, "admin "+nobody) }
	config := filepath.Join(b.dir, "Caddyfile.postgres")
	write(config, apart(text))

	half := 0
	kills := b.killed(func() bool {
		out, errs, code := program(t, "mfa", "users", "list", "--config", config)
		if code == 0 || strings.Contains(out, "many-") {
			t.Fatalf("a database that is not whole was opened:\n%s", out)
		}
		// What a command says of it may be that the database is slow today.
		var filling bool
		err := watching.QueryRow(t.Context(), "SELECT EXISTS (SELECT FROM meta WHERE name = 'filling')").Scan(&filling)
		if filling || strings.Contains(errs, "not finished") {
			half++
		} else {
			t.Logf("after a kill: %v; %s", err, errs)
		}
		return false
	}, func(kills int) bool {
		// By what is there: how long the first tables take hangs on the machine.
		var users int
		err := watching.QueryRow(t.Context(), "SELECT count(*) FROM users").Scan(&users)
		return err == nil && users > 400*kills
	}, "migrate", "--to", config, "--config", old)
	t.Logf("the migration was killed %d times, %d times with half of the database there", kills, half)
	if half == 0 {
		t.Error("it was never killed in the middle")
	}
	b.says(0, config, "Whole", "audit", "verify")
	b.says(exitRefused, old, "not empty", "migrate", "--to", config)

	// Nobody is signed out.
	b.mustLoad(text)
	if resp, body := b.get("/", cookie); body != "ok" {
		t.Errorf("alice after the migration: %d %q", resp.StatusCode, body)
	}
	if _, err := os.Stat(filepath.Join(b.dir, "db.setup-link")); err == nil {
		t.Error("a link for a first account was made (AC-228)")
	}

	// While it serves.
	write(b.gateway.file, text)
	b.says(0, b.gateway.file, "keys are in it, sealed with the master key", "backup", b.file)
	raw := readFile(t, b.file)
	for _, plain := range []string{"alice", "many-000001", planted, "JBSWY3DPEHPK3PXP", strings.TrimSpace(readFile(t, filepath.Join(b.dir, "master-key")))} {
		if strings.Contains(raw, plain) {
			t.Errorf("%q stands in the file", plain)
		}
	}
	b.says(0, config, "is whole", "backup", "verify", b.file)

	// Back into Badger, on a machine that has the file and the master key.
	badger := func(name, block string) string {
		path := filepath.Join(b.dir, "Caddyfile."+name)
		write(path, apart(strings.Replace(b.text("require on", "mfa\n\trespond ok"), "store badger "+b.store, "store badger "+filepath.Join(b.dir, name, "store")+block, 1)))
		return path
	}
	b.says(exitRefused, badger("without", ""), "master_key", "restore", b.file)
	b.none(filepath.Join(b.dir, "without"))
	write(filepath.Join(b.dir, "another-key"), seal.NewMaster())
	b.says(exitRefused, badger("wrong", " {\n\t\t\tmaster_key {file."+b.dir+"/another-key}\n\t\t}"), "another master key", "restore", b.file)
	b.none(filepath.Join(b.dir, "wrong"))
	back := badger("back", " {\n\t\t\tmaster_key {file."+b.dir+"/master-key}\n\t\t}")
	b.says(0, back, "It was compared row by row", "restore", b.file)
	b.says(0, back, "alice", "users", "list", "--search", "alice")
	keys := readFile(t, filepath.Join(b.dir, "back", "store.keys.json"))
	if !strings.Contains(keys, `"sealed"`) || strings.Contains(keys, `"keys"`) {
		t.Error("the key file is not sealed with the master key")
	}

	// Into another database, with the sessions.
	another := strings.Replace(pgtest.Database(t), "postgres@", "postgres:"+planted+"@", 1)
	write(filepath.Join(b.dir, "database-url-2"), another)
	second := strings.NewReplacer("/database-url}", "/database-url-2}", "/db.initialized", "/db2.initialized").Replace(text)
	write(config+"2", apart(second))
	b.says(0, config+"2", "It was compared row by row", "restore", b.file, "--keep-sessions")
	b.mustLoad(second)
	if resp, body := b.get("/", cookie); body != "ok" {
		t.Errorf("alice after the move: %d %q", resp.StatusCode, body)
	}
}
