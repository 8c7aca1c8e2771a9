package deploy

import (
	"context"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"
)

const top = "../.."

// run runs a program at the top of the repository and returns what it wrote.
func run(t *testing.T, env []string, name string, args ...string) (string, error) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 15*time.Minute)
	defer cancel()
	cmd := exec.CommandContext(ctx, name, args...)
	cmd.Env = append(os.Environ(), env...)
	out, err := cmd.CombinedOutput()
	return string(out), err
}

// gateway builds the program as the Dockerfile does, once.
var gateway = sync.OnceValues(func() (string, error) {
	dir, err := os.MkdirTemp("", "secondgate")
	if err != nil {
		return "", err
	}
	path := filepath.Join(dir, "secondgate")
	cmd := exec.Command("go", "build", "-trimpath", "-ldflags", "-s -w", "-o", path, "./cmd/secondgate")
	cmd.Dir = top
	cmd.Env = append(os.Environ(), "CGO_ENABLED=0")
	if out, err := cmd.CombinedOutput(); err != nil {
		return string(out), err
	}
	return path, nil
})

func TestMain(m *testing.M) {
	code := m.Run()
	if path, err := gateway(); err == nil {
		_ = os.RemoveAll(filepath.Dir(path))
	}
	os.Exit(code)
}

func program(t *testing.T) string {
	t.Helper()
	path, err := gateway()
	if err != nil {
		t.Fatalf("building the gateway: %v\n%s", err, path)
	}
	return path
}

// adapts reads the Caddyfile with the real program, and returns the configuration.
func adapts(t *testing.T, file string) string {
	t.Helper()
	out, err := run(t, nil, program(t), "adapt", "--config", file, "--adapter", "caddyfile")
	if err != nil {
		t.Errorf("%s: %v\n%s", file, err, out)
	}
	for _, line := range strings.Split(out, "\n") {
		if strings.Contains(line, `"level":"warn"`) && !strings.Contains(line, "is not formatted") {
			t.Errorf("%s: %s", file, line)
		}
	}
	return out
}

func read(t *testing.T, file string) string {
	t.Helper()
	raw, err := os.ReadFile(filepath.Join(top, file))
	if err != nil {
		t.Fatal(err)
	}
	return string(raw)
}

// missing skips the test, or fails it where CI=true.
func missing(t *testing.T, what string) {
	t.Helper()
	if os.Getenv("CI") == "true" {
		t.Fatal("this needs " + what)
	}
	t.Skip("NOT RUN: this needs " + what)
}
