package deploy

import (
	"debug/elf"
	"io/fs"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/moby/buildkit/frontend/dockerfile/instructions"
	"github.com/moby/buildkit/frontend/dockerfile/parser"
	"github.com/moby/patternmatcher"
	"github.com/moby/patternmatcher/ignorefile"
)

func stages(t *testing.T) []instructions.Stage {
	t.Helper()
	ast, err := parser.Parse(strings.NewReader(read(t, "deploy/Dockerfile")))
	if err != nil {
		t.Fatal(err)
	}
	if len(ast.Warnings) > 0 {
		t.Errorf("%+v", ast.Warnings)
	}
	list, _, err := instructions.Parse(ast.AST, nil)
	if err != nil {
		t.Fatal(err)
	}
	return list
}

func find[T any](s instructions.Stage) (list []T) {
	for _, c := range s.Commands {
		if found, ok := c.(T); ok {
			list = append(list, found)
		}
	}
	return list
}

// sent copies what Docker would send to be built, by the ignore file.
func sent(t *testing.T) string {
	t.Helper()
	patterns, err := ignorefile.ReadAll(strings.NewReader(read(t, "deploy/Dockerfile.dockerignore")))
	if err != nil {
		t.Fatal(err)
	}
	ignored, err := patternmatcher.New(patterns)
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	err = filepath.WalkDir(top, func(path string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		rel, _ := filepath.Rel(top, path)
		if d.IsDir() {
			if d.Name() == ".git" || rel == "build" || rel == "tools" {
				return filepath.SkipDir
			}
			return nil
		}
		if skip, err := ignored.MatchesOrParentMatches(rel); err != nil || skip {
			return err
		}
		raw, err := os.ReadFile(path)
		if err != nil {
			return err
		}
		to := filepath.Join(dir, rel)
		if err := os.MkdirAll(filepath.Dir(to), 0o755); err != nil {
			return err
		}
		return os.WriteFile(to, raw, 0o644)
	})
	if err != nil {
		t.Fatal(err)
	}
	return dir
}

// What the Dockerfile does is done here without Docker: its line that builds is run on what
// Docker would be sent, and the program that comes out needs nothing but itself. It then
// runs, as the number that the image names, where there is nothing else and it can write to
// its two folders only; and the check of the image says that it is well.
func TestDockerfile(t *testing.T) {
	list := stages(t)
	build, last := list[0], list[len(list)-1]
	if last.BaseName != "scratch" || build.Name != "build" {
		t.Errorf("it is made of %s and %s", build.BaseName, last.BaseName)
	}
	root := t.TempDir()
	src := sent(t)
	ran := 0
	for _, c := range find[*instructions.RunCommand](build) {
		line := strings.ReplaceAll(strings.Join(c.CmdLine, " "), "/out", filepath.Join(root, "out"))
		if !strings.Contains(line, "go build") {
			continue
		}
		cmd := exec.Command("sh", "-c", line)
		cmd.Dir, cmd.Env = src, append(os.Environ(), "GOFLAGS=-buildvcs=false")
		if out, err := cmd.CombinedOutput(); err != nil {
			t.Fatalf("%s: %v\n%s", line, err, out)
		}
		ran++
	}
	if ran != 1 {
		t.Fatalf("%d lines build", ran)
	}
	binary := filepath.Join(root, "out/secondgate")
	f, err := elf.Open(binary)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	for _, p := range f.Progs {
		if p.Type == elf.PT_INTERP {
			t.Error("the program needs an interpreter, which an empty image has not")
		}
	}
	users, checks := find[*instructions.UserCommand](last), find[*instructions.HealthCheckCommand](last)
	entry, command := find[*instructions.EntrypointCommand](last), find[*instructions.CmdCommand](last)
	if len(users) != 1 || users[0].User != "65532:65532" || len(checks) != 1 || len(entry) != 1 || len(command) != 1 {
		t.Fatalf("users %v, checks %v", users, checks)
	}
	check := checks[0].Health.Test
	if check[0] != "CMD" || entry[0].PrependShell || command[0].PrependShell {
		t.Fatal("something needs a shell, and there is none")
	}
	if os.Getuid() != 0 {
		t.Skip("NOT RUN: starting it in an empty root needs root")
	}

	for _, dir := range []string{"usr/local/bin", "data", "config", "etc/secondgate"} {
		if err := os.MkdirAll(filepath.Join(root, dir), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	for _, path := range []string{root, filepath.Dir(root)} { // the folders of tests are closed to others
		if err := os.Chmod(path, 0o755); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.Rename(binary, filepath.Join(root, "usr/local/bin/secondgate")); err != nil {
		t.Fatal(err)
	}
	for _, dir := range []string{"data", "config"} {
		if err := os.Chown(filepath.Join(root, dir), 65532, 65532); err != nil {
			t.Fatal(err)
		}
	}
	port, admin := freePort(t), freePort(t)
	caddyfile := "{\n\tadmin 127.0.0.1:" + admin + "\n}\n\nhttp://localhost:" + port + " {\n\tmfa\n\trespond app\n}\n"
	if err := os.WriteFile(filepath.Join(root, "etc/secondgate/Caddyfile"), []byte(caddyfile), 0o644); err != nil {
		t.Fatal(err)
	}
	inside := func(args []string) *exec.Cmd {
		cmd := exec.Command(args[0], args[1:]...)
		cmd.Env = []string{"PATH=/usr/local/bin", "XDG_DATA_HOME=/data", "XDG_CONFIG_HOME=/config"}
		cmd.Dir = "/data"
		cmd.SysProcAttr = &syscall.SysProcAttr{Chroot: root, Credential: &syscall.Credential{Uid: 65532, Gid: 65532}}
		return cmd
	}
	log, err := os.Create(filepath.Join(t.TempDir(), "log"))
	if err != nil {
		t.Fatal(err)
	}
	defer log.Close()
	gate := inside(slices.Concat(entry[0].CmdLine, command[0].CmdLine))
	gate.Stdout, gate.Stderr = log, log
	if err := gate.Start(); err != nil {
		t.Fatal(err)
	}
	defer func() { _ = gate.Process.Kill(); _ = gate.Wait() }()
	well := false
	for end := time.Now().Add(time.Minute); !well && time.Now().Before(end); time.Sleep(200 * time.Millisecond) {
		well = inside(check[1:]).Run() == nil
	}
	if !well {
		said, _ := os.ReadFile(log.Name())
		t.Fatalf("it is not well\n%s", said)
	}
	client := &http.Client{CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}
	req, _ := http.NewRequest(http.MethodGet, "http://localhost:"+port+"/", nil)
	req.Header.Set("Accept", "text/html")
	resp, err := client.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	resp.Body.Close()
	if resp.StatusCode != http.StatusFound {
		t.Errorf("nobody got %d", resp.StatusCode)
	}
	_ = gate.Process.Signal(syscall.SIGTERM)
	_ = gate.Wait()
	if err := inside(check[1:]).Run(); err == nil {
		t.Error("it is well after its end")
	}
}

func freePort(t *testing.T) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	_, port, _ := net.SplitHostPort(l.Addr().String())
	return port
}
