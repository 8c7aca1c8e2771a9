package caddymodule

import (
	"context"
	"net/http"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/secondgate/secondgate/internal/pgtest"
)

// The SQL of docs/postgres.md is run as it stands there: the roles that it makes suffice, the
// one that serves can change no table, and the questions have answers.
func TestPostgres_DocumentedSQL(t *testing.T) {
	raw, err := os.ReadFile("../docs/postgres.md")
	if err != nil {
		t.Fatal(err)
	}
	var blocks []string
	for _, m := range regexp.MustCompile("(?ms)^```sql\n(.*?)^```$").FindAllStringSubmatch(string(raw), -1) {
		blocks = append(blocks, m[1])
	}
	if len(blocks) != 4 {
		t.Fatalf("found %d blocks", len(blocks))
	}
	url := pgtest.Start(t).URL("postgres")
	query(t, url, blocks[0])
	as := func(role string) string { return strings.Replace(url, "postgres@", role+"@", 1) }

	g := newGateway(t)
	// A schema that is not there cannot be made by the one that serves.
	if err := g.load(g.onPostgres(as("secondgate_gateway"), "require on")); err == nil || !strings.Contains(err.Error(), "docs/postgres.md") {
		t.Fatalf("the role that serves made the tables: %v", err)
	}
	g.mustLoad(g.onPostgres(as("secondgate_owner"), "require on"))
	g.mustLoad(g.onPostgres(as("secondgate_gateway"), "require on"))
	cookie := g.signIn("alice", time.Minute)
	if resp, _ := g.get("/", cookie); resp.StatusCode != http.StatusOK {
		t.Errorf("alice: %d", resp.StatusCode)
	}
	if resp, body := g.get("/.mfa/health", nil); resp.StatusCode != http.StatusOK {
		t.Errorf("health: %d %s", resp.StatusCode, body)
	}
	c, err := pgx.Connect(t.Context(), as("secondgate_gateway"))
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = c.Close(context.Background()) }()
	for _, change := range []string{"DROP TABLE users", "CREATE TABLE x (n int)", "ALTER TABLE users ADD n int", "TRUNCATE users"} {
		if _, err := c.Exec(t.Context(), change); err == nil {
			t.Errorf("the role that serves may: %s", change)
		}
	}
	for i, want := range []string{"totp", "alice", ""} {
		rows, err := c.Query(t.Context(), blocks[i+1])
		if err != nil {
			t.Fatal(err)
		}
		found := ""
		for rows.Next() {
			for _, value := range rows.RawValues() {
				found += string(value) + " "
			}
		}
		if rows.Err() != nil || !strings.Contains(found, want) {
			t.Errorf("%s: %v, %q", blocks[i+1], rows.Err(), found)
		}
	}
	if _, err := os.Stat(filepath.Join(g.dir, "db.setup-link")); err != nil {
		t.Errorf("the link for the first account: %v", err)
	}
}
