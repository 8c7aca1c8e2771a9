package pgtest

import (
	"context"
	"fmt"
	"net"
	"os"
	"os/exec"
	"os/user"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
)

// Server is a PostgreSQL that runs. Its methods are for one goroutine at a time.
type Server struct {
	Port int
	dir  string
	bin  string
	on   bool
	read int // of the log
}

// durable are the settings of a server whose kills and restarts must lose nothing; quick
// are those of one that is thrown away.
var (
	durable = []string{"fsync=on", "synchronous_commit=on"}
	quick   = []string{"fsync=off", "full_page_writes=off"}
)

// shared is the server of the package's tests.
var shared struct {
	once   sync.Once
	server *Server
	err    error
	number atomic.Int64
}

// Main runs the tests and stops the server that they shared.
func Main(m *testing.M) int {
	code := m.Run()
	if shared.server != nil {
		shared.server.remove()
	}
	return code
}

// Database returns the address of a new empty database, as its owner; it is gone when the
// test is over. The server is the package's own, and is started by the first test.
func Database(t testing.TB) string {
	t.Helper()
	return ofPackage(t).create(t, "template1")
}

func ofPackage(t testing.TB) *Server {
	t.Helper()
	need(t)
	shared.once.Do(func() { shared.server, shared.err = start(quick) })
	if shared.err != nil {
		t.Fatalf("starting PostgreSQL: %v", shared.err)
	}
	return shared.server
}

// template is the database that Copy copies.
var template struct {
	once sync.Once
	name string
}

// Copy is Database with what prepare put into another one, which it is called for once in
// all tests of the package and for which it must close its connections: where each test
// needs the same tables, a copy of them costs less than making them.
func Copy(t testing.TB, prepare func(url string)) string {
	t.Helper()
	s := ofPackage(t)
	template.once.Do(func() {
		const name = "prepared"
		s.Exec(t, "CREATE DATABASE "+name)
		prepare(s.URL(name))
		template.name = name
	})
	if template.name == "" {
		t.Fatal("what was to be copied could not be prepared")
	}
	return s.create(t, template.name)
}

// create makes a database of this test's own.
func (s *Server) create(t testing.TB, from string) string {
	t.Helper()
	name := fmt.Sprintf("t_%d", shared.number.Add(1))
	s.Exec(t, "CREATE DATABASE "+name+" TEMPLATE "+from)
	t.Cleanup(func() { s.Exec(t, "DROP DATABASE IF EXISTS "+name+" WITH (FORCE)") })
	return s.URL(name)
}

// Start starts a server of this test's own, which loses nothing when it is killed. It is
// gone when the test is over.
func Start(t testing.TB) *Server {
	t.Helper()
	need(t)
	s, err := start(durable)
	if err != nil {
		t.Fatalf("starting PostgreSQL: %v", err)
	}
	t.Cleanup(s.remove)
	return s
}

// StartIn is Start in a folder, which stays: a server that was there before goes on with what
// it held.
func StartIn(t testing.TB, dir string) *Server {
	t.Helper()
	need(t)
	s := &Server{dir: dir, bin: bin()}
	err := s.startIn()
	if err != nil {
		t.Fatalf("starting PostgreSQL in %s: %v", dir, err)
	}
	t.Cleanup(func() {
		if err := s.ctl("-m", "fast", "stop"); err != nil {
			t.Error(err)
		}
	})
	return s
}

func (s *Server) startIn() (err error) {
	if _, err := os.Stat(s.data()); err != nil {
		if err := os.MkdirAll(s.dir, 0o755); err != nil { //nolint:gosec // whoever runs the server has to come in
			return err
		}
		return s.make(durable)
	}
	if s.Port, err = freePort(); err != nil {
		return err
	}
	return s.begin()
}

// URL returns the address of a database, for the superuser.
func (s *Server) URL(database string) string {
	return fmt.Sprintf("postgres://postgres@127.0.0.1:%d/%s?sslmode=disable", s.Port, database)
}

// Exec runs one statement as the superuser in the database "postgres".
func (s *Server) Exec(t testing.TB, statement string) {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	c, err := pgx.Connect(ctx, s.URL("postgres"))
	if err == nil {
		defer func() { _ = c.Close(ctx) }()
		_, err = c.Exec(ctx, statement)
	}
	if err != nil {
		t.Fatalf("%s: %v", statement, err)
	}
}

// Kill stops the server as a power cut of its process does.
func (s *Server) Kill(t testing.TB) {
	t.Helper()
	s.on = false
	if err := s.ctl("-m", "immediate", "stop"); err != nil {
		t.Fatal(err)
	}
}

// Restart starts a server that was killed, or stops and starts one that runs, on its port.
func (s *Server) Restart(t testing.TB) {
	t.Helper()
	if s.on {
		s.Kill(t)
	}
	if err := s.begin(); err != nil {
		t.Fatal(err)
	}
}

// need skips the test, or fails it where CI=true, without PostgreSQL.
func need(t testing.TB) {
	t.Helper()
	switch {
	case bin() != "":
	case os.Getenv("CI") == "true":
		t.Fatal("this needs PostgreSQL (Debian: apt-get install postgresql)")
	default:
		t.Skip("NOT RUN: this needs PostgreSQL (Debian: apt-get install postgresql)")
	}
}

// bin finds the newest version's programs, which Debian has apart from the others.
func bin() string {
	dirs, _ := filepath.Glob("/usr/lib/postgresql/*/bin")
	slices.SortFunc(dirs, func(a, b string) int { return version(a) - version(b) })
	for _, dir := range slices.Backward(dirs) {
		if _, err := os.Stat(filepath.Join(dir, "initdb")); err == nil {
			return dir
		}
	}
	if path, err := exec.LookPath("initdb"); err == nil {
		return filepath.Dir(path)
	}
	return ""
}

func version(dir string) int {
	n, _ := strconv.Atoi(filepath.Base(filepath.Dir(dir)))
	return n
}

func start(settings []string) (*Server, error) {
	dir, err := os.MkdirTemp("", "pgtest")
	if err != nil {
		return nil, err
	}
	s := &Server{dir: dir, bin: bin()}
	if err := s.make(settings); err != nil {
		s.remove()
		return nil, err
	}
	return s, nil
}

func (s *Server) make(settings []string) error {
	if id := owner(); id != nil {
		if err := os.Chown(s.dir, int(id.Uid), int(id.Gid)); err != nil {
			return err
		}
	}
	if err := s.run("initdb", "-D", s.data(), "-U", "postgres", "--auth=trust", "-E", "UTF8", "--locale=C", "--no-sync"); err != nil {
		return err
	}
	settings = append([]string{
		"listen_addresses='127.0.0.1'", "unix_socket_directories='" + s.dir + "'",
		"shared_buffers=32MB", "max_connections=200", "log_min_messages=fatal",
	}, settings...)
	f, err := os.OpenFile(filepath.Join(s.data(), "postgresql.conf"), os.O_APPEND|os.O_WRONLY, 0)
	if err != nil {
		return err
	}
	_, err = f.WriteString(strings.Join(settings, "\n") + "\n")
	if closeErr := f.Close(); err != nil || closeErr != nil {
		return fmt.Errorf("writing the configuration: %w", err)
	}
	// Somebody may take the free port before the server does.
	for range 5 {
		if s.Port, err = freePort(); err != nil {
			return err
		}
		if err = s.begin(); err == nil {
			return nil
		}
	}
	return err
}

func (s *Server) begin() error {
	if err := s.ctl("-w", "-t", "60", "-l", filepath.Join(s.dir, "log"), "-o", "-p "+strconv.Itoa(s.Port), "start"); err != nil {
		return err
	}
	s.on = true
	return nil
}

func (s *Server) remove() {
	if s.on {
		_ = s.ctl("-m", "immediate", "stop")
	}
	_ = os.RemoveAll(s.dir)
}

func (s *Server) data() string { return filepath.Join(s.dir, "data") }

func (s *Server) ctl(args ...string) error {
	return s.run("pg_ctl", append([]string{"-D", s.data()}, args...)...)
}

// run runs one of the server's programs, which refuse to be run by root.
func (s *Server) run(program string, args ...string) error {
	out, err := os.CreateTemp("", "pgtest")
	if err != nil {
		return err
	}
	defer os.Remove(out.Name())
	defer out.Close()
	c := exec.Command(filepath.Join(s.bin, program), args...)
	// A file: the server inherits it, and a pipe would be waited for until it ends.
	c.Dir, c.Stdout, c.Stderr = s.dir, out, out
	if id := owner(); id != nil {
		c.SysProcAttr = &syscall.SysProcAttr{Credential: id}
	}
	if err := c.Run(); err != nil {
		said, _ := os.ReadFile(out.Name())
		log, _ := os.ReadFile(filepath.Join(s.dir, "log"))
		return fmt.Errorf("%s: %w\n%s\n%s", program, err, said, log)
	}
	return nil
}

// owner is who runs the server; nil: whoever runs the tests.
func owner() *syscall.Credential {
	if os.Getuid() != 0 {
		return nil
	}
	name := "postgres"
	u, err := user.Lookup(name)
	if err != nil {
		u, err = user.Lookup("nobody")
	}
	if err != nil {
		return nil
	}
	uid, _ := strconv.ParseUint(u.Uid, 10, 32)
	gid, _ := strconv.ParseUint(u.Gid, 10, 32)
	return &syscall.Credential{Uid: uint32(uid), Gid: uint32(gid)}
}

func freePort() (int, error) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return 0, err
	}
	defer l.Close()
	return l.Addr().(*net.TCPAddr).Port, nil
}
