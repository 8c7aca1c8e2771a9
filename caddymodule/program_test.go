package caddymodule

import (
	"context"
	"flag"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

var xcaddy = flag.Bool("xcaddy", false, "build the module into a plain Caddy, as xcaddy does, and run the example with it")

// The example runs as it stands in the repository, with the demo app behind it.
func TestExample_Runs(t *testing.T) {
	runExample(t, os.Args[0], asProgram+"=1")
}

// TestXcaddy does by hand what "xcaddy build --with" does, because xcaddy itself
// wants more of the network than a test may ask for.
func TestXcaddy(t *testing.T) {
	if !*xcaddy {
		t.Skip("it takes minutes: run it with -xcaddy, as \"make test\" does")
	}
	root, err := filepath.Abs("..")
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	main := `package main

import (
	caddycmd "github.com/caddyserver/caddy/v2/cmd"

	_ "github.com/caddyserver/caddy/v2/modules/standard"
	_ "github.com/secondgate/secondgate"
)

func main() { caddycmd.Main() }
`
	if err := os.WriteFile(filepath.Join(dir, "main.go"), []byte(main), 0o600); err != nil {
		t.Fatal(err)
	}
	run := func(name string, args ...string) string {
		t.Helper()
		ctx, cancel := context.WithTimeout(t.Context(), 9*time.Minute)
		defer cancel()
		cmd := exec.CommandContext(ctx, name, args...)
		cmd.Dir = dir
		cmd.Env = append(os.Environ(), "GOWORK=off", "GOFLAGS=-mod=mod -buildvcs=false")
		out, err := cmd.CombinedOutput()
		if err != nil {
			t.Fatalf("%s %s: %v\n%s", name, strings.Join(args, " "), err, out)
		}
		return string(out)
	}
	version := strings.Fields(caddyVersion(t, root))
	run("go", "mod", "init", "caddy")
	run("go", "mod", "edit",
		"-replace", "github.com/secondgate/secondgate@v0.0.0="+root,
		"-require", "github.com/secondgate/secondgate@v0.0.0",
		"-require", version[0]+"@"+version[1])
	run("go", "mod", "tidy", "-e")
	run("go", "build", "-o", "caddy", "-ldflags", "-w -s", "-tags", "nobadger,nomysql,nopgx", ".")
	modules := run(filepath.Join(dir, "caddy"), "list-modules")
	for _, id := range []string{"mfa", "http.handlers.mfa", "admin.api.mfa", "mfa.stores.badger"} {
		if !strings.Contains("\n"+modules, "\n"+id+"\n") {
			t.Errorf("the module %s is missing", id)
		}
	}
	runExample(t, filepath.Join(dir, "caddy"))
}

// caddyVersion returns the line of go.mod that names Caddy and its version.
func caddyVersion(t *testing.T, root string) string {
	t.Helper()
	raw, err := os.ReadFile(filepath.Join(root, "go.mod"))
	if err != nil {
		t.Fatal(err)
	}
	for line := range strings.Lines(string(raw)) {
		if line = strings.TrimSpace(line); strings.HasPrefix(line, "github.com/caddyserver/caddy/v2 ") {
			return line
		}
	}
	t.Fatal("go.mod does not name Caddy")
	return ""
}

// runExample runs the example with that binary, on free ports, and walks from a
// stranger's request to the page that the link for the first account leads to.
func runExample(t *testing.T, binary string, env ...string) {
	t.Helper()
	raw, err := os.ReadFile("../Caddyfile.example")
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	site, console, app, admin := freePort(t), freePort(t), freePort(t), freePort(t)
	text := strings.NewReplacer("localhost:8080", "localhost:"+site, "localhost:8081", "localhost:"+console, "localhost:3000", "localhost:"+app).Replace(string(raw))
	text = strings.Replace(text, "\n\tmfa {", "\n\tadmin localhost:"+admin+"\n\tmfa {", 1)
	if err := os.WriteFile(filepath.Join(dir, "Caddyfile.example"), []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	start := func(args ...string) {
		t.Helper()
		cmd := exec.Command(binary, args...)
		cmd.Dir = dir
		cmd.Env = append(append(os.Environ(), "XDG_DATA_HOME="+dir, "XDG_CONFIG_HOME="+dir), env...)
		log, err := os.Create(filepath.Join(dir, args[0]+".log"))
		if err != nil {
			t.Fatal(err)
		}
		cmd.Stdout, cmd.Stderr = log, log
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() {
			_ = cmd.Process.Signal(os.Interrupt)
			if err := cmd.Wait(); err != nil {
				t.Errorf("%s ended with %v", args[0], err)
			}
			log.Close()
			if t.Failed() {
				raw, _ := os.ReadFile(log.Name())
				t.Logf("%s wrote:\n%s", args[0], raw)
			}
		})
	}
	start("mfa", "demo", "--listen", "localhost:"+app)
	start("run", "--config", "Caddyfile.example")

	get := func(path string) (int, string, string) {
		if path[0] == '/' {
			path = ":" + site + path
		}
		r, err := http.NewRequest(http.MethodGet, "http://localhost"+path, nil)
		if err != nil {
			t.Fatal(err)
		}
		r.Header.Set("Accept", "text/html")
		r.Header.Set("Remote-User", "evil")
		resp, err := client.Do(r)
		if err != nil {
			return 0, err.Error(), ""
		}
		defer resp.Body.Close()
		body, _ := io.ReadAll(resp.Body)
		return resp.StatusCode, string(body), resp.Header.Get("Location")
	}
	waitFor(t, "the gateway", func() bool {
		code, _, _ := get("/public/")
		return code == http.StatusOK
	})
	if code, body, _ := get("/public/"); code != http.StatusOK || !strings.Contains(body, "Nobody told this app who you are.") || strings.Contains(body, "evil") {
		t.Errorf("the open part: %d\n%s", code, body)
	}
	if code, _, to := get("/"); code != http.StatusFound || to != "/.mfa/sign-in" {
		t.Errorf("the protected part: %d to %q", code, to)
	}
	if code, body, _ := get("/.mfa/sign-in"); code != http.StatusOK || !strings.Contains(body, "Secondgate demo") {
		t.Errorf("the sign-in page: %d", code)
	}
	if code, _, to := get(":" + console + "/"); code != http.StatusSeeOther || to != "/.mfa/admin" {
		t.Errorf("the console: %d to %q", code, to)
	}
	if code, _, _ := get("/.mfa/admin"); code != http.StatusNotFound {
		t.Errorf("the console beside the app: %d", code)
	}
	var link []byte
	waitFor(t, "the link for the first account", func() bool {
		link, err = os.ReadFile(filepath.Join(dir, "caddy", "secondgate", "store.setup-link"))
		return err == nil && len(link) > 0
	})
	if !strings.HasPrefix(string(link), "http://localhost:"+site+"/.mfa/link#") {
		t.Errorf("the link for the first account is %q", link)
	}
	if code, _, _ := get("/.mfa/link"); code != http.StatusOK {
		t.Errorf("the page that it leads to: %d", code)
	}
}
