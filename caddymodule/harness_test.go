package caddymodule

import (
	"bufio"
	"bytes"
	"context"
	"crypto/rand"
	"encoding/base64"
	"fmt"
	"io"
	mathrand "math/rand/v2"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/caddyconfig"
	caddycmd "github.com/caddyserver/caddy/v2/cmd"
	"github.com/caddyserver/caddy/v2/modules/caddyhttp"
	_ "github.com/caddyserver/caddy/v2/modules/standard"

	"github.com/secondgate/secondgate/internal/pgtest"
	"github.com/secondgate/secondgate/mfa"
)

// asProgram makes the test binary the program itself.
const asProgram = "SECONDGATE_TEST_PROGRAM"

// plainProgram is the program as people have it, built once. Commands run in a process of
// their own, hundreds of times, and with the race detector each took more than a second to
// start, which was most of what these tests took. What they do in a running gateway is
// done in the tests' own process, where the detector looks on.
var plainProgram = sync.OnceValues(func() (string, error) {
	dir, err := os.MkdirTemp("", "secondgate-program")
	if err != nil {
		return "", err
	}
	path := filepath.Join(dir, "secondgate")
	out, err := exec.Command("go", "build", "-o", path, "../cmd/secondgate").CombinedOutput()
	if err != nil {
		return "", fmt.Errorf("building the program: %w\n%s", err, out)
	}
	builtIn = dir
	return path, nil
})

// builtIn is the folder of plainProgram, once there is one.
var builtIn string

func TestMain(m *testing.M) {
	if os.Getenv(asProgram) != "" {
		caddycmd.Main()
		os.Exit(0)
	}
	linger = 0 // tests look at files after a stop; those about late requests set it
	home, err := os.MkdirTemp("", "secondgate-test")
	if err != nil {
		panic(err)
	}
	os.Setenv("XDG_DATA_HOME", filepath.Join(home, "data"))
	os.Setenv("XDG_CONFIG_HOME", filepath.Join(home, "config"))
	code := pgtest.Main(m)
	_ = caddy.Stop()
	_ = os.RemoveAll(home)
	if builtIn != "" {
		_ = os.RemoveAll(builtIn)
	}
	os.Exit(code)
}

// program runs the program with these arguments and returns what it wrote and its
// exit code.
func program(t *testing.T, args ...string) (stdout, stderr string, code int) {
	t.Helper()
	binary, err := plainProgram()
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	cmd := exec.CommandContext(ctx, binary, args...)
	var out, errs strings.Builder
	cmd.Stdout, cmd.Stderr = &out, &errs
	err = cmd.Run()
	if _, exited := err.(*exec.ExitError); err != nil && !exited {
		t.Fatalf("running %v: %v", args, err)
	}
	return out.String(), errs.String(), cmd.ProcessState.ExitCode()
}

// app is the app behind the gateway: it counts and keeps what reaches it.
type app struct {
	*httptest.Server
	hits atomic.Int64
	mu   sync.Mutex
	last *http.Request
}

func newApp(t *testing.T) *app {
	t.Helper()
	a := new(app)
	a.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		a.hits.Add(1)
		_, _ = io.Copy(io.Discard, r.Body)
		a.mu.Lock()
		a.last = r
		a.mu.Unlock()
		if wait, err := time.ParseDuration(r.URL.Query().Get("wait")); err == nil {
			time.Sleep(wait)
		}
		fmt.Fprint(w, "the app")
	}))
	t.Cleanup(a.Close)
	return a
}

func (a *app) seen() *http.Request {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.last
}

// waiter is a handler that keeps a request for as long as its query says, as a
// slow app does.
type waiter struct{}

func init() { caddy.RegisterModule(waiter{}) }

func (waiter) CaddyModule() caddy.ModuleInfo {
	return caddy.ModuleInfo{ID: "http.handlers.test_wait", New: func() caddy.Module { return new(waiter) }}
}

func (waiter) ServeHTTP(w http.ResponseWriter, r *http.Request, next caddyhttp.Handler) error {
	if wait, err := time.ParseDuration(r.URL.Query().Get("wait")); err == nil {
		time.Sleep(wait)
	}
	return next.ServeHTTP(w, r)
}

// freePort returns a port that nobody has now. It is below those that the system
// gives to outgoing connections, or one of those would take it before we do.
func freePort(t testing.TB) string {
	t.Helper()
	for range 100 {
		port := strconv.Itoa(10000 + mathrand.IntN(20000))
		// As Caddy listens, which is on every address.
		if l, err := net.Listen("tcp", ":"+port); err == nil {
			l.Close()
			return port
		}
	}
	t.Fatal("no port is free")
	return ""
}

// gateway is a gateway that runs in this process.
type gateway struct {
	t                 testing.TB
	dir, store, port  string
	admin, file, host string
}

// newGateway returns one that is not started yet.
func newGateway(t testing.TB) *gateway {
	t.Helper()
	dir := t.TempDir()
	g := &gateway{
		t: t, dir: dir, store: filepath.Join(dir, "store"), port: freePort(t),
		admin: "localhost:" + freePort(t), file: filepath.Join(dir, "Caddyfile"),
	}
	g.host = "localhost:" + g.port
	t.Cleanup(func() {
		if err := caddy.Stop(); err != nil {
			t.Errorf("stopping: %v", err)
		}
	})
	return g
}

// text returns a Caddyfile with these options of the mfa block, and this site.
func (g *gateway) text(options, site string) string {
	return fmt.Sprintf("{\n\tadmin %s\n\tpersist_config off\n\tmfa {\n\t\tstore badger %s\n\t\t%s\n\t}\n}\n\nhttp://localhost:%s {\n\t%s\n}\n",
		g.admin, g.store, options, g.port, site)
}

// load makes the gateway run with that Caddyfile, which is also written to file.
func (g *gateway) load(text string) error {
	g.t.Helper()
	if err := os.WriteFile(g.file, []byte(text), 0o600); err != nil {
		g.t.Fatal(err)
	}
	cfg, _, err := caddyconfig.GetAdapter("caddyfile").Adapt([]byte(text), map[string]any{"filename": g.file})
	if err != nil {
		g.t.Fatalf("adapting: %v\n%s", err, text)
	}
	// The slow parts stand before and after the gate.
	cfg = bytes.ReplaceAll(cfg, []byte(`{"handler":"mfa"}`), []byte(`{"handler":"test_wait"},{"handler":"mfa"},{"handler":"test_wait"}`))
	return caddy.Load(cfg, true)
}

func (g *gateway) mustLoad(text string) {
	g.t.Helper()
	if err := g.load(text); err != nil {
		g.t.Fatalf("loading: %v", err)
	}
}

func (g *gateway) generation() *generation {
	g.t.Helper()
	running, err := caddy.ActiveContext().AppIfConfigured("mfa")
	if err != nil {
		g.t.Fatal(err)
	}
	return running.(*App).rt.Load()
}

// signIn returns the cookie of somebody who signed in and proved an
// authenticator app so long ago.
func (g *gateway) signIn(name string, ago time.Duration) *http.Cookie {
	g.t.Helper()
	return g.signedIn(name, ago, "http://"+g.host+"/", false)
}

// signInAt is signIn at another address; own says that the host carries no app.
func (g *gateway) signInAt(name, address string, own bool) *http.Cookie {
	g.t.Helper()
	return g.signedIn(name, 0, address, own)
}

func (g *gateway) signedIn(name string, ago time.Duration, address string, own bool) *http.Cookie {
	g.t.Helper()
	ctx := context.Background()
	gen := g.generation()
	store := gen.pooled.store.store
	u, err := store.UserByKey(ctx, mfa.SubjectKey("local", name))
	if err != nil {
		u = &mfa.User{
			ID: mfa.UserID("id-" + name), Handle: []byte("handle-" + name), Source: "local", Subject: name, Name: name,
			DisplayName: "The " + name, Groups: []string{"staff"}, Password: mfa.Secret("none"),
			Created: time.Now(), FirstSignIn: time.Now(), EverEnrolled: true,
			Credentials: []mfa.Credential{
				{ID: "app", Kind: mfa.TOTP, Name: "Phone", Created: time.Now()},
				{ID: mfa.BackupCodesID, Kind: mfa.BackupCode, Created: time.Now(), Left: 10},
			},
		}
		if err := store.CreateUser(ctx, u); err != nil {
			g.t.Fatal(err)
		}
	}
	id := make([]byte, 32)
	_, _ = rand.Read(id)
	now := time.Now()
	r := httptest.NewRequest(http.MethodGet, address, nil)
	parse := gen.guard.Parse
	if own {
		parse = gen.guard.ParseOwn
	}
	req, err := parse(r)
	if err != nil {
		g.t.Fatal(err)
	}
	s := &mfa.Session{
		ID: mfa.SessionID(base64.RawURLEncoding.EncodeToString(id)), User: u.ID, Scope: req.Place.Scope,
		Line:     base64.RawURLEncoding.EncodeToString(id[:16]),
		Complete: true, Created: now.Add(-ago), LastSeen: now, Expires: now.Add(time.Hour),
		First:  mfa.Proof{Kind: mfa.Password, At: now.Add(-ago)},
		Proofs: []mfa.Proof{{Kind: mfa.TOTP, Credential: "app", At: now.Add(-ago)}},
	}
	if err := store.CreateSession(ctx, s); err != nil {
		g.t.Fatal(err)
	}
	w := httptest.NewRecorder()
	if err := gen.guard.SetSession(w, req, s); err != nil {
		g.t.Fatal(err)
	}
	for _, c := range w.Result().Cookies() {
		if c.Value != "" && c.MaxAge >= 0 {
			return &http.Cookie{Name: c.Name, Value: c.Value}
		}
	}
	g.t.Fatal("no cookie was set")
	return nil
}

// client keeps no cookies and follows no redirects.
var client = &http.Client{
	Transport:     patient{http.DefaultTransport},
	CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	Timeout:       20 * time.Second,
}

// get asks as a browser that opens a page.
func (g *gateway) get(path string, cookie *http.Cookie, header ...string) (*http.Response, string) {
	g.t.Helper()
	r, err := http.NewRequest(http.MethodGet, "http://"+g.host+path, nil)
	if err != nil {
		g.t.Fatal(err)
	}
	r.Header.Set("Accept", "text/html")
	r.Header.Set("Sec-Fetch-Mode", "navigate")
	r.Header.Set("Sec-Fetch-Dest", "document")
	for i := 0; i+1 < len(header); i += 2 {
		r.Header.Set(header[i], header[i+1])
	}
	if cookie != nil {
		r.AddCookie(cookie)
	}
	resp, err := client.Do(r)
	if err != nil {
		g.t.Fatal(err)
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	if err != nil {
		g.t.Fatal(err)
	}
	return resp, string(body)
}

// form sends a form as the browser that has the page open.
func (g *gateway) form(path string, body io.Reader, cookies []*http.Cookie) *http.Response {
	g.t.Helper()
	r, err := http.NewRequest(http.MethodPost, "http://"+g.host+path, body)
	if err != nil {
		g.t.Fatal(err)
	}
	r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	r.Header.Set("Sec-Fetch-Site", "same-origin")
	r.Header.Set("Origin", "http://"+g.host)
	r.Header.Set("Accept", "text/html")
	for _, c := range cookies {
		r.AddCookie(c)
	}
	resp, err := client.Do(r)
	if err != nil {
		g.t.Fatal(err)
	}
	resp.Body.Close()
	return resp
}

// raw sends the bytes as they are and returns the status, because clients tidy
// paths and headers up. A closed connection is status 0.
func (g *gateway) raw(head string) int {
	g.t.Helper()
	c, err := net.Dial("tcp", "127.0.0.1:"+g.port)
	if err != nil {
		g.t.Fatal(err)
	}
	defer c.Close()
	_ = c.SetDeadline(time.Now().Add(10 * time.Second))
	if _, err := io.WriteString(c, head); err != nil {
		g.t.Fatal(err)
	}
	resp, err := http.ReadResponse(bufio.NewReader(c), nil)
	if err != nil {
		return 0
	}
	defer resp.Body.Close()
	return resp.StatusCode
}

// rawGet asks for a path as it is written.
func (g *gateway) rawGet(path string, cookie *http.Cookie) int {
	g.t.Helper()
	head := "GET " + path + " HTTP/1.1\r\nHost: " + g.host + "\r\nAccept: text/html\r\nConnection: close\r\n"
	if cookie != nil {
		head += "Cookie: " + cookie.String() + "\r\n"
	}
	return g.raw(head + "\r\n")
}

// safeBuffer is a buffer that is read while somebody writes.
type safeBuffer struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (s *safeBuffer) Write(p []byte) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.b.Write(p)
}

func (s *safeBuffer) String() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.b.String()
}

// stopped ends the gateway and leaves it with that configuration.
func (g *gateway) stopped(text string) {
	g.t.Helper()
	if err := caddy.Stop(); err != nil {
		g.t.Fatal(err)
	}
	if err := os.WriteFile(g.file, []byte(text), 0o600); err != nil {
		g.t.Fatal(err)
	}
}
