package caddymodule

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/caddyserver/caddy/v2"
	"github.com/jackc/pgx/v5"

	"github.com/secondgate/secondgate/internal/pgtest"
	"github.com/secondgate/secondgate/internal/seal"
)

// planted stands in every address of a database here. The servers of the tests ask for no
// password, so it may be any.
const planted = "hunter2-planted"

// onPostgres makes the gateway's configuration name that database, and returns it.
func (g *gateway) onPostgres(url, options string) string {
	g.t.Helper()
	url = strings.Replace(url, "postgres@", "postgres:"+planted+"@", 1)
	for name, text := range map[string]string{"database-url": url + "\n", "master-key": seal.NewMaster() + "\n"} {
		path := filepath.Join(g.dir, name)
		if _, err := os.Stat(path); err == nil && name == "master-key" {
			continue // one for all databases of this test
		}
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			g.t.Fatal(err)
		}
	}
	text := g.text(options, "mfa\n\trespond ok")
	store := fmt.Sprintf("store postgres {file.%[1]s/database-url} {\n\t\t\tmaster_key {file.%[1]s/master-key}\n\t\t\tmarker %[1]s/db.initialized\n\t\t}", g.dir)
	return strings.Replace(text, "store badger "+g.store, store, 1)
}

// query asks the database.
func query(t *testing.T, url, statement string) {
	t.Helper()
	c, err := pgx.Connect(t.Context(), url)
	if err == nil {
		defer func() { _ = c.Close(context.Background()) }()
		_, err = c.Exec(t.Context(), statement)
	}
	if err != nil {
		t.Fatalf("%s: %v", statement, err)
	}
}

// A gateway on a database makes tables, keys and the link for the first account, and finds
// all of it again.
func TestPostgres_Serves(t *testing.T) {
	g := newGateway(t)
	text := g.onPostgres(pgtest.Database(t), "require on")
	g.mustLoad(text)
	link := filepath.Join(g.dir, "db.setup-link")
	if info, err := os.Stat(link); err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("the link for the first account: %v %v", info, err)
	}
	cookie := g.signIn("alice", time.Minute)
	if resp, _ := g.get("/", cookie); resp.StatusCode != http.StatusOK {
		t.Errorf("alice: %d", resp.StatusCode)
	}
	if resp, _ := g.get("/", nil); resp.StatusCode != http.StatusFound {
		t.Errorf("nobody: %d", resp.StatusCode)
	}
	if resp, body := g.get("/.mfa/health", nil); resp.StatusCode != http.StatusOK {
		t.Errorf("health: %d %s", resp.StatusCode, body)
	}

	// The first comparison of the clocks is under way.
	waitLong(t, "the metrics", func() bool {
		resp, err := http.Get("http://" + g.admin + "/metrics")
		if err != nil {
			t.Fatal(err)
		}
		defer resp.Body.Close()
		all, _ := io.ReadAll(resp.Body)
		for _, want := range []string{
			"secondgate_database_in_step 1\n", "secondgate_database_connections{state=\"most\"} 16\n", "secondgate_database_connection_waits_total ",
			"secondgate_database_schema_version 1\n", "secondgate_database_clock_offset_seconds ",
		} {
			if !strings.Contains(string(all), want) {
				return false
			}
		}
		return true
	})

	// A reload with the same address shares the store; with another number of connections
	// it is opened anew, and sessions go on all the same.
	first := g.generation().pooled.store
	g.mustLoad(text + "\n# again\n")
	if g.generation().pooled.store != first {
		t.Error("a reload opened the store again")
	}
	g.mustLoad(strings.Replace(text, "marker ", "max_conns 4\n\t\t\tmarker ", 1))
	if g.generation().pooled.store == first {
		t.Error("another number of connections was not taken")
	}
	if resp, _ := g.get("/", cookie); resp.StatusCode != http.StatusOK {
		t.Errorf("alice after a reload: %d", resp.StatusCode)
	}

	if err := errors.Join(caddy.Stop(), os.Remove(link)); err != nil {
		t.Fatal(err)
	}
	g.mustLoad(text)
	if resp, _ := g.get("/", cookie); resp.StatusCode != http.StatusOK {
		t.Errorf("alice after a restart: %d", resp.StatusCode)
	}
	if _, err := os.Stat(link); err == nil {
		t.Error("a restart made another link (AC-228)")
	}
}

// Commands work beside the gateway by way of it, and without it on the database, which
// others may have open.
func TestPostgres_Commands(t *testing.T) {
	g := newGateway(t)
	url := pgtest.Database(t)
	text := g.onPostgres(url, "require on")
	g.stopped(text)
	list := func(code int, want string) {
		t.Helper()
		out, errs, got := program(t, "mfa", "users", "list", "--config", g.file)
		if got != code || !strings.Contains(out+errs, want) || strings.Contains(out+errs, planted) {
			t.Errorf("%d %q %q, want %d and %q", got, out, errs, code, want)
		}
	}
	list(exitUnreachable, "there is no store yet (postgres:127.0.0.1:")
	query(t, url, `DO $$ BEGIN IF to_regclass('installation') IS NOT NULL THEN RAISE 'a command made an installation'; END IF; END $$`)

	g.mustLoad(text)
	g.signIn("alice", 0)
	list(0, "Answered by the gateway")
	list(0, "alice")
	other := strings.Replace(text, "admin "+g.admin, "admin localhost:"+freePort(t), 1)
	if err := os.WriteFile(g.file, []byte(other), 0o600); err != nil {
		t.Fatal(err)
	}
	list(0, "Done on the store postgres:127.0.0.1:") // the gateway is running
	if resp, _ := g.get("/.mfa/health", nil); resp.StatusCode != http.StatusOK {
		t.Errorf("health: %d", resp.StatusCode)
	}
}

// AC-190, AC-200: where the database is away, a gateway that starts refuses everybody and
// opens as soon as it can; one that runs refuses a reload to a database that is away.
func TestPostgres_AC190_ColdStartWithTheDatabaseAway(t *testing.T) {
	server := pgtest.Start(t)
	g := newGateway(t)
	text := g.onPostgres(server.URL("postgres"), "require on")
	g.mustLoad(text)
	cookie := g.signIn("alice", time.Minute)
	if err := caddy.Stop(); err != nil {
		t.Fatal(err)
	}
	server.Kill(t)

	begun := time.Now()
	g.mustLoad(text)
	if took := time.Since(begun); took > 30*time.Second {
		t.Errorf("starting without a database took %s", took)
	}
	for _, c := range []*http.Cookie{nil, cookie} {
		resp, body := g.get("/", c)
		if resp.StatusCode != http.StatusServiceUnavailable || resp.Header.Get("Retry-After") == "" || body == "ok" || !strings.Contains(strings.ToLower(body), "try again") {
			t.Errorf("while the database is away: %d %v %q", resp.StatusCode, resp.Header, body)
		}
	}
	if resp, _ := g.get("/.mfa/health", nil); resp.StatusCode != http.StatusServiceUnavailable {
		t.Errorf("health: %d", resp.StatusCode)
	}
	if _, errs, code := program(t, "mfa", "users", "list", "--config", g.file); code != exitUnreachable || !strings.Contains(errs, "not open yet") {
		t.Errorf("a command: %d %s", code, errs)
	}
	// What is loaded meanwhile has nothing to open either.
	if err := g.load(text + "\n# again\n"); err == nil {
		t.Error("a reload without a database was accepted")
	}

	server.Restart(t)
	waitLong(t, "the gateway to open", func() bool {
		resp, _ := g.get("/", cookie)
		return resp.StatusCode == http.StatusOK
	})
	if resp, _ := g.get("/", nil); resp.StatusCode != http.StatusFound {
		t.Errorf("nobody: %d", resp.StatusCode)
	}

	away := fmt.Sprintf("postgres://postgres@127.0.0.1:%s/postgres?sslmode=disable", freePort(t))
	err := g.load(g.onPostgres(away, "require on"))
	if err == nil || strings.Contains(err.Error(), planted) {
		t.Errorf("a reload to a database that is away: %v", err)
	}
	if resp, _ := g.get("/", cookie); resp.StatusCode != http.StatusOK {
		t.Errorf("after a reload that was refused: %d", resp.StatusCode)
	}
}

// A configuration that ends while it waits for its database lets go of everything.
func TestPostgres_EndsWhileItWaits(t *testing.T) {
	server := pgtest.Start(t)
	url := server.URL("postgres")
	server.Kill(t)
	g := newGateway(t)
	text := g.onPostgres(url, "require on")
	g.mustLoad(text)
	running, err := caddy.ActiveContext().AppIfConfigured("mfa")
	if err != nil {
		t.Fatal(err)
	}
	app := running.(*App)
	if err := caddy.Stop(); err != nil {
		t.Fatal(err)
	}
	server.Restart(t)
	err = app.open() // the try that was under way
	if app.rt.Load() != nil {
		t.Errorf("it opened after its end: %v", err)
	}
	waitLong(t, "the store to be closed", func() bool {
		_, there := pool.References(app.store.instance())
		return !there
	})
}

func waitLong(t *testing.T, what string, done func() bool) {
	t.Helper()
	for end := time.Now().Add(time.Minute); time.Now().Before(end); time.Sleep(100 * time.Millisecond) {
		if done() {
			return
		}
	}
	t.Errorf("waited in vain for %s", what)
}

// AC-189, AC-228: another master key, keys that are gone, another database, an emptied one
// and a newer schema refuse to start, and say what to do. None opens the door to the first
// account again.
func TestPostgres_AC228_RefusesToStart(t *testing.T) {
	g := newGateway(t)
	url := pgtest.Database(t)
	text := g.onPostgres(url, "require on")
	g.mustLoad(text)
	g.signIn("alice", 0)
	if err := caddy.Stop(); err != nil {
		t.Fatal(err)
	}
	if err := os.Remove(filepath.Join(g.dir, "db.setup-link")); err != nil {
		t.Fatal(err)
	}
	refuses := func(t *testing.T, text string, words ...string) {
		t.Helper()
		err := g.load(text)
		if err == nil {
			_ = caddy.Stop()
			t.Fatal("it started")
		}
		for _, want := range words {
			if !strings.Contains(err.Error(), want) {
				t.Errorf("it says %v, and not %q", err, want)
			}
		}
		if strings.Contains(err.Error(), planted) {
			t.Errorf("the password is shown: %v", err)
		}
		if _, err := os.Stat(filepath.Join(g.dir, "db.setup-link")); err == nil {
			t.Error("a link for the first account was made")
		}
	}
	t.Run("another master key", func(t *testing.T) {
		path := filepath.Join(g.dir, "master-key")
		right, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(seal.NewMaster()), 0o600); err != nil {
			t.Fatal(err)
		}
		refuses(t, text, "another master key")
		if err := os.WriteFile(path, right, 0o600); err != nil {
			t.Fatal(err)
		}
	})
	t.Run("keys that are gone", func(t *testing.T) {
		query(t, url, `CREATE TABLE kept AS SELECT * FROM meta WHERE name = 'keys'`)
		query(t, url, `DELETE FROM meta WHERE name = 'keys'`)
		refuses(t, text, "restore the newest backup")
		query(t, url, `INSERT INTO meta SELECT * FROM kept`)
		query(t, url, `DROP TABLE kept`)
	})
	t.Run("another database", func(t *testing.T) {
		refuses(t, g.onPostgres(pgtest.Database(t), "require on"), "not the database of this gateway", "backup")
		g.onPostgres(url, "")
	})
	t.Run("an emptied one", func(t *testing.T) {
		query(t, url, `CREATE TABLE kept AS SELECT * FROM installation`)
		query(t, url, `DELETE FROM installation`)
		refuses(t, text, "not the database of this gateway")
		query(t, url, `INSERT INTO installation SELECT * FROM kept`)
		query(t, url, `DROP TABLE kept`)
	})
	t.Run("a newer schema", func(t *testing.T) {
		query(t, url, `INSERT INTO schema_version (version_id, is_applied) VALUES (99999, true)`)
		refuses(t, text, "newer version")
		query(t, url, `DELETE FROM schema_version WHERE version_id = 99999`)
	})
	t.Run("no such database", func(t *testing.T) {
		refuses(t, g.onPostgres(regexp.MustCompile(`/t_\d+`).ReplaceAllString(url, "/nowhere"), "require on"), "nowhere")
		g.onPostgres(url, "")
	})
	t.Run("and then it starts again", func(t *testing.T) { g.mustLoad(text) })
}

// AC-229: neither the password of the database nor the master key is in what Caddy shows of
// its configuration, in what it keeps of it, or in the log.
func TestPostgres_AC229_SecretsAreShownNowhere(t *testing.T) {
	g := newGateway(t)
	log := filepath.Join(g.dir, "all.log")
	text := strings.Replace(g.onPostgres(pgtest.Database(t), "require on"), "\tmfa {", "\tlog {\n\t\tlevel DEBUG\n\t\toutput file "+log+"\n\t}\n\tmfa {", 1)
	g.mustLoad(text)
	g.get("/", g.signIn("alice", 0))
	resp, err := http.Get("http://" + g.admin + "/config/")
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	config, err := io.ReadAll(resp.Body)
	if err != nil || !strings.Contains(string(config), "database-url}") {
		t.Fatalf("the configuration: %v %.300s", err, config)
	}
	adapted, errs, code := program(t, "adapt", "--config", g.file)
	if code != 0 {
		t.Fatal(errs)
	}
	_, more, _ := program(t, "mfa", "users", "list", "--config", g.file)
	lines, err := os.ReadFile(log)
	if err != nil || len(lines) == 0 {
		t.Fatalf("the log: %v", err)
	}
	master, err := os.ReadFile(filepath.Join(g.dir, "master-key"))
	if err != nil {
		t.Fatal(err)
	}
	for where, text := range map[string]string{"the configuration": string(config), "adapt": adapted + errs, "a command": more, "the log": string(lines)} {
		for _, secret := range []string{planted, strings.TrimSpace(string(master))} {
			if strings.Contains(text, secret) {
				t.Errorf("%s shows %q", where, secret)
			}
		}
	}
}

// AC-228: of two gateways that start at once on an empty database, one makes the link for
// the first account.
func TestPostgres_AC228_TwoNodesMakeOneLink(t *testing.T) {
	binary, err := plainProgram()
	if err != nil {
		t.Fatal(err)
	}
	url := pgtest.Database(t)
	master := seal.NewMaster()
	var nodes []*gateway
	for range 2 {
		g := newGateway(t)
		if err := os.WriteFile(filepath.Join(g.dir, "master-key"), []byte(master), 0o600); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(g.file, []byte(g.onPostgres(url, "require on")), 0o600); err != nil {
			t.Fatal(err)
		}
		nodes = append(nodes, g)
	}
	for _, g := range nodes {
		cmd := exec.Command(binary, "run", "--config", g.file)
		cmd.Env = append(os.Environ(), "XDG_DATA_HOME="+g.dir, "XDG_CONFIG_HOME="+g.dir)
		log, err := os.Create(filepath.Join(g.dir, "log"))
		if err != nil {
			t.Fatal(err)
		}
		cmd.Stdout, cmd.Stderr = log, log
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() {
			_ = cmd.Process.Kill()
			_ = cmd.Wait()
			_ = log.Close()
			if said, err := os.ReadFile(log.Name()); t.Failed() && err == nil {
				t.Logf("%s", said)
			}
		})
	}
	links := 0
	for _, g := range nodes {
		waitLong(t, "a node to serve", func() bool {
			resp, err := http.Get("http://" + g.host + "/.mfa/health")
			if err != nil {
				return false
			}
			resp.Body.Close()
			return resp.StatusCode == http.StatusOK
		})
		if _, err := os.Stat(filepath.Join(g.dir, "db.setup-link")); err == nil {
			links++
		}
	}
	if links != 1 {
		t.Errorf("%d links were made", links)
	}
}
