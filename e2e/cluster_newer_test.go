package e2e

import (
	"encoding/json"
	"os"
	"path/filepath"
	"sync"
)

// newerStep is what the next version's migration does: what an old version beside it must
// be able to live with.
const newerStep = `-- +goose Up
ALTER TABLE organizations ADD COLUMN note_of_the_next_version text;
CREATE TABLE table_of_the_next_version (id text PRIMARY KEY);
`

// newerProgram builds the gateway of a version whose schema has one step more, once for all
// tests. The step is in no source of ours: the compiler is shown a file that is not there.
var newerProgram = sync.OnceValues(func() (string, error) {
	dir, err := scratchDir()
	if err != nil {
		return "", err
	}
	step, overlay := filepath.Join(dir, "step.sql"), filepath.Join(dir, "overlay.json")
	place, err := filepath.Abs("../store/postgres/migrations/09999_next_version.sql")
	if err != nil {
		return "", err
	}
	text, err := json.Marshal(map[string]any{"Replace": map[string]string{place: step}})
	if err != nil {
		return "", err
	}
	if err := os.WriteFile(step, []byte(newerStep), 0o600); err != nil {
		return "", err
	}
	if err := os.WriteFile(overlay, text, 0o600); err != nil {
		return "", err
	}
	bin := filepath.Join(dir, "secondgate-next")
	return bin, build(bin, "-overlay", overlay)
})

// newer is the path of that program.
func (c *cluster) newer() string {
	c.t.Helper()
	bin, err := newerProgram()
	if err != nil {
		c.t.Fatal(err)
	}
	return bin
}
