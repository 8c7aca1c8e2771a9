package api_test

import (
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/secondgate/secondgate/api"
)

// A client that is generated from the document is built, and works: the generator and what
// its code imports are pinned in the module of the tools, so that neither shows in a
// user's build.
func TestAdmin_GeneratedClient(t *testing.T) {
	o := newOffice(t)
	for range 3 {
		o.target()
	}
	server := httptest.NewServer(o.api.Console())
	defer server.Close()

	dir := t.TempDir()
	document, err := api.Document()
	must(t, err)
	must(t, os.WriteFile(filepath.Join(dir, "openapi.json"), document, 0o600))
	for _, name := range []string{"go.mod", "go.sum"} {
		copyFile(t, filepath.Join("..", "tools", name), filepath.Join(dir, name))
	}
	copyFile(t, filepath.Join("testdata", "client", "main.go"), filepath.Join(dir, "main.go"))
	must(t, os.Mkdir(filepath.Join(dir, "client"), 0o700))
	run(t, filepath.Join("..", "tools"), nil, "go", "tool", "oapi-codegen", "-generate", "types,client", "-package", "client",
		"-o", filepath.Join(dir, "client", "client.go"), filepath.Join(dir, "openapi.json"))
	run(t, dir, nil, "go", "build", "-o", "program", ".")

	key := o.key("", "", time.Hour, "users:read", "users:write")
	got := run(t, dir, []string{"SECONDGATE_URL=" + server.URL, "SECONDGATE_KEY=" + key}, filepath.Join(dir, "program"))
	want := `I am key deploy
page 1 has target0001 with 2
page 1 has target0002 with 2
page 2 has target0003 with 2
left is backup_code
again: 404 not_found
keys: 403 not_allowed
`
	if got != want {
		t.Errorf("the program says\n%s\nwant\n%s", got, want)
	}
	if u := o.user("target0003"); len(u.Credentials) != 1 {
		t.Errorf("target0003 has %d factors", len(u.Credentials))
	}
}

func copyFile(t *testing.T, from, to string) {
	t.Helper()
	raw, err := os.ReadFile(from)
	must(t, err)
	must(t, os.WriteFile(to, raw, 0o600))
}

// run runs a command in a folder and returns what it prints.
func run(t *testing.T, dir string, env []string, name string, args ...string) string {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), name, args...)
	cmd.Dir = dir
	cmd.Env = append(append(os.Environ(), "GOWORK=off"), env...)
	var complaints strings.Builder
	cmd.Stderr = &complaints
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("%s %s: %v\n%s", name, strings.Join(args, " "), err, complaints.String())
	}
	return string(out)
}
