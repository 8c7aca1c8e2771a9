package caddymodule

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/modules/caddyhttp"

	"github.com/secondgate/secondgate/guard"
	"github.com/secondgate/secondgate/mfa"
)

// AC-199: reloads under load. No request fails, each is decided by one
// configuration, and nothing is left behind.
func TestReload_AC199_UnderLoad(t *testing.T) {
	reloads := 100
	if testing.Short() {
		reloads = 15
	}
	// A request that a reload finds before us comes to us when its configuration
	// is gone.
	linger = time.Second
	defer func() { linger = 0 }()
	g := newGateway(t)
	// Caddy hands a Unix socket on from one configuration to the next; of a TCP
	// port it opens a second one, and the kernel resets what waits in the first.
	socket := filepath.Join(g.dir, "s")
	site := "bind unix/" + socket + "\n\tmfa\n\trespond ok"
	texts := []string{
		g.text("require on", site),
		g.text("grace 7d", site),                         // another policy
		g.text("session {\n\t\t\tidle 30m\n\t\t}", site), // another session manager
		g.text("require on", "header X-Test 1\n\t"+site),
	}
	g.mustLoad(texts[0])
	cookie := g.signIn("alice", time.Minute)
	g.mustLoad(texts[2])
	g.mustLoad(texts[0])
	time.Sleep(200 * time.Millisecond)
	goroutines, files := runtime.NumGoroutine(), openFiles()

	var stop atomic.Bool
	var asked, inside atomic.Int64
	var wg sync.WaitGroup
	bad := make(chan string, 100)
	// Each request has a connection of its own: Caddy closes idle ones at a reload.
	transport := &http.Transport{
		DisableKeepAlives: true,
		DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
			return new(net.Dialer).DialContext(ctx, "unix", socket)
		},
	}
	loader := &http.Client{Transport: patient{transport}, CheckRedirect: client.CheckRedirect, Timeout: 20 * time.Second}
	for i := range 6 {
		wg.Go(func() {
			for n := 0; !stop.Load(); n++ {
				r, _ := http.NewRequest(http.MethodGet, "http://"+g.host+"/", nil)
				r.Header.Set("Accept", "text/html")
				want := http.StatusFound
				if i%3 != 0 {
					r.AddCookie(cookie)
					want = http.StatusOK
				}
				if n%20 == 0 {
					r.URL.RawQuery = "wait=50ms"
				}
				inside.Add(1)
				resp, err := loader.Do(r)
				inside.Add(-1)
				asked.Add(1)
				switch {
				case err != nil:
					send(bad, err.Error())
				case resp.StatusCode != want:
					send(bad, fmt.Sprintf("status %d, want %d", resp.StatusCode, want))
				}
				if err == nil {
					resp.Body.Close()
				}
			}
		})
	}
	for i := range reloads {
		g.mustLoad(texts[i%len(texts)])
		time.Sleep(20 * time.Millisecond)
	}
	stop.Store(true)
	wg.Wait()
	close(bad)
	for what := range bad {
		t.Error(what)
	}
	if asked.Load() < int64(reloads) {
		t.Errorf("only %d requests were made", asked.Load())
	}
	t.Logf("%d requests over %d reloads", asked.Load(), reloads)

	g.mustLoad(texts[0])
	transport.CloseIdleConnections()
	http.DefaultTransport.(*http.Transport).CloseIdleConnections()
	waitFor(t, "goroutines to go", func() bool { return runtime.NumGoroutine() <= goroutines+10 })
	waitFor(t, "files to be closed", func() bool { return openFiles() <= files+5 })
	key := g.generation().key
	waitFor(t, "the old session managers to go", func() bool {
		n, _ := pool.References(key)
		m, _ := pool.References(key.place)
		return n == 1 && m == 1
	})
}

// patient tries again where a connection was closed without an answer, as
// browsers do. A Caddy without us closes two or three of a thousand at a reload;
// an answer that is wrong is never asked for again.
type patient struct{ http.RoundTripper }

func (p patient) RoundTrip(r *http.Request) (resp *http.Response, err error) {
	for range 5 {
		if resp, err = p.RoundTripper.RoundTrip(r); err == nil {
			return resp, nil
		}
		time.Sleep(5 * time.Millisecond)
	}
	return nil, err
}

func send(to chan string, what string) {
	select {
	case to <- what:
	default:
	}
}

func openFiles() int {
	list, err := os.ReadDir("/proc/self/fd")
	if err != nil {
		return 0
	}
	return len(list)
}

func waitFor(t *testing.T, what string, done func() bool) {
	t.Helper()
	for range 100 {
		if done() {
			return
		}
		time.Sleep(50 * time.Millisecond)
	}
	t.Errorf("waited in vain for %s (goroutines %d, files %d)", what, runtime.NumGoroutine(), openFiles())
}

// AC-200: a configuration that cannot be used leaves the old one as it is.
func TestReload_AC200_FailureKeepsTheOld(t *testing.T) {
	g := newGateway(t)
	good := g.text("require on", "mfa\n\trespond ok")
	g.mustLoad(good)
	cookie := g.signIn("alice", 0)

	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	_, taken, _ := net.SplitHostPort(l.Addr().String())
	blocked := filepath.Join(g.dir, "blocked")
	if err := os.WriteFile(blocked, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	for name, text := range map[string]string{
		"a store that cannot be opened":  strings.Replace(good, g.store, blocked+"/store", 1),
		"a start that fails":             g.text("require on", "handle /x/* {\n\t\tmfa\n\t}"),
		"another app that cannot start":  good + "\nhttp://localhost:" + taken + " {\n\trespond taken\n}\n",
		"a store whose keys are missing": strings.Replace(good, g.store, lostKeys(t), 1),
	} {
		t.Run(name, func(t *testing.T) {
			if err := g.load(text); err == nil {
				t.Fatal("the configuration was accepted")
			}
			if resp, body := g.get("/", cookie); resp.StatusCode != http.StatusOK || body != "ok" {
				t.Errorf("the old configuration answers %d", resp.StatusCode)
			}
			if n, _ := pool.References(g.generation().key); n != 1 {
				t.Errorf("the session manager is used %d times", n)
			}
		})
	}
	g.mustLoad(g.text("grace 1d", "mfa\n\trespond ok"))
	if resp, _ := g.get("/", cookie); resp.StatusCode != http.StatusOK {
		t.Errorf("after a good reload: %d", resp.StatusCode)
	}
}

// lostKeys returns the path of a store that has lost its key file.
func lostKeys(t *testing.T) string {
	t.Helper()
	dir := filepath.Join(t.TempDir(), "store")
	if err := os.WriteFile(dir+".initialized", []byte("1"), 0o600); err != nil {
		t.Fatal(err)
	}
	return dir
}

// A request that was accepted under a configuration which is gone by the time
// that it comes to us is served where the store is still open, and refused where
// it is not. It never meets a closed store.
func TestGeneration_LateRequests(t *testing.T) {
	g := newGateway(t)
	text := g.text("require on", "mfa\n\trespond ok")
	g.mustLoad(text)
	old := g.generation()
	inside, err := old.enter()
	if err != nil {
		t.Fatal(err)
	}

	g.mustLoad(text)
	late, err := old.enter()
	if err != nil {
		t.Fatalf("the old configuration while somebody is inside: %v", err)
	}
	late.leave()
	inside.leave()
	if old.uses.Load() != 0 {
		t.Fatalf("%d uses are left", old.uses.Load())
	}
	late, err = old.enter()
	if err != nil || !late.borrowed {
		t.Fatalf("the same store under the next configuration: %v, borrowed %v", err, late.borrowed)
	}
	late.leave()

	g.mustLoad(strings.Replace(text, g.store, g.store+"-2", 1))
	if _, err := old.enter(); !errors.Is(err, errGone) {
		t.Errorf("after the store was closed: %v", err)
	}
	if _, there := pool.References(old.key); there {
		t.Error("the old store is still in the pool")
	}
}

// A reload to another store waits for nobody and closes nothing under a request.
func TestReload_ToAnotherStore(t *testing.T) {
	linger = 2 * time.Second
	defer func() { linger = 0 }()
	g := newGateway(t)
	text := g.text("require on", "mfa\n\trespond ok")
	g.mustLoad(text)
	cookie := g.signIn("alice", 0)
	done := make(chan int, 1)
	go func() {
		resp, _ := g.get("/?wait=700ms", cookie)
		done <- resp.StatusCode
	}()
	time.Sleep(200 * time.Millisecond)
	g.mustLoad(strings.Replace(text, g.store, g.store+"-2", 1))
	if resp, _ := g.get("/", cookie); resp.StatusCode != http.StatusFound {
		t.Errorf("the session of the old store opens the new one: %d", resp.StatusCode)
	}
	if code := <-done; code != http.StatusOK {
		t.Errorf("the request under way got %d", code)
	}
	g.mustLoad(text)
	if resp, _ := g.get("/", cookie); resp.StatusCode != http.StatusOK {
		t.Errorf("back at the first store: %d", resp.StatusCode)
	}
}

// AC-204: a panic answers no request and leaves the gateway as it was.
func TestHandler_AC204_PanicDeniesAndLetsGo(t *testing.T) {
	g := newGateway(t)
	g.mustLoad(g.text("require on", "mfa\n\trespond ok"))
	gen := g.generation()
	broken := &generation{key: gen.key, pooled: gen.pooled, gate: gen.gate, logger: gen.logger, guard: new(guard.Guard),
		pages: http.HandlerFunc(func(http.ResponseWriter, *http.Request) { panic("broken") })}
	broken.uses.Store(1)
	app := &App{ready: make(chan struct{})}
	close(app.ready)
	app.rt.Store(broken)
	h := &Handler{app: app}
	passed := false
	func() {
		defer func() { _ = recover() }()
		_ = h.ServeHTTP(httptest.NewRecorder(), httptest.NewRequest(http.MethodGet, "http://localhost/", nil),
			caddyhttp.HandlerFunc(func(http.ResponseWriter, *http.Request) error { passed = true; return nil }))
	}()
	if passed {
		t.Error("the request reached the app")
	}
	if n := broken.uses.Load(); n != 1 {
		t.Errorf("%d uses are left, want the configuration's own", n)
	}
	if resp, _ := g.get("/", g.signIn("alice", 0)); resp.StatusCode != http.StatusOK {
		t.Errorf("the gateway answers %d afterwards", resp.StatusCode)
	}
}

// Cleanup may come without Provision, twice, and after a failed start.
func TestApp_CleanupIsIdempotent(t *testing.T) {
	g := newGateway(t)
	g.mustLoad(g.text("require on", "mfa\n\trespond ok"))
	running, err := caddy.ActiveContext().AppIfConfigured("mfa")
	if err != nil {
		t.Fatal(err)
	}
	app := running.(*App)
	key := app.rt.Load().key
	if err := caddy.Stop(); err != nil {
		t.Fatal(err)
	}
	for range 2 {
		if err := errors.Join(app.Stop(), app.Cleanup()); err != nil {
			t.Error(err)
		}
	}
	if _, there := pool.References(key); there {
		t.Error("the store is still open")
	}
	if err := new(App).Cleanup(); err != nil {
		t.Error(err)
	}
}

// "validate" beside a running gateway opens nothing, so it finds no lock.
func TestValidate_BesideARunningGateway(t *testing.T) {
	g := newGateway(t)
	g.mustLoad(g.text("require on", "mfa\n\trespond ok"))
	if _, stderr, code := program(t, "validate", "--config", g.file); code != 0 {
		t.Errorf("exit code %d: %s", code, stderr)
	}
	before, err := os.ReadDir(g.dir)
	if err != nil {
		t.Fatal(err)
	}
	if _, stderr, code := program(t, "adapt", "--validate", "--config", g.file); code != 0 {
		t.Errorf("exit code %d: %s", code, stderr)
	}
	if after, _ := os.ReadDir(g.dir); len(after) != len(before) {
		t.Error("validating made files")
	}
}

// The first start makes store, keys and a link for the first account; no later
// one makes another link, whatever is lost (AC-189, AC-228).
func TestStart_FirstAccount(t *testing.T) {
	g := newGateway(t)
	text := g.text("require on", "mfa\n\trespond ok")
	g.mustLoad(text)
	link := g.store + ".setup-link"
	raw, err := os.ReadFile(link)
	if err != nil {
		t.Fatalf("no link was made: %v", err)
	}
	if want := "http://" + g.host + "/.mfa/link#"; !strings.HasPrefix(string(raw), want) {
		t.Errorf("the link does not begin with %s", want)
	}
	for _, path := range []string{link, g.store + ".keys.json"} {
		info, err := os.Stat(path)
		if err != nil {
			t.Fatal(err)
		}
		if runtime.GOOS != "windows" && info.Mode().Perm() != 0o600 {
			t.Errorf("%s can be read by others: %v", path, info.Mode())
		}
	}

	restart := func() error {
		t.Helper()
		if err := caddy.Stop(); err != nil {
			t.Fatal(err)
		}
		if err := os.Remove(link); err != nil && !os.IsNotExist(err) {
			t.Fatal(err)
		}
		err := g.load(text)
		if _, statErr := os.Stat(link); statErr == nil {
			t.Error("another link was made")
		}
		return err
	}
	t.Run("a restart makes none", func(t *testing.T) {
		if err := restart(); err != nil {
			t.Fatal(err)
		}
	})
	t.Run("a reload makes none", func(t *testing.T) {
		g.mustLoad(g.text("session {\n\t\t\tidle 30m\n\t\t}", "mfa\n\trespond ok"))
		if _, err := os.Stat(link); err == nil {
			t.Error("another link was made")
		}
	})
	t.Run("lost keys refuse to start and say what to do", func(t *testing.T) {
		keys := g.store + ".keys.json"
		if err := os.Rename(keys, keys+".away"); err != nil {
			t.Fatal(err)
		}
		err := restart()
		if err == nil || !strings.Contains(err.Error(), keys) || !strings.Contains(err.Error(), "backup") {
			t.Errorf("got %v", err)
		}
		if _, err := os.Stat(keys); err == nil {
			t.Error("new keys were made")
		}
		if err := os.Rename(keys+".away", keys); err != nil {
			t.Fatal(err)
		}
	})
	t.Run("a lost store refuses to start", func(t *testing.T) {
		if err := caddy.Stop(); err != nil {
			t.Fatal(err)
		}
		if err := os.Rename(g.store, g.store+".away"); err != nil {
			t.Fatal(err)
		}
		if err := restart(); err == nil {
			t.Error("the gateway started with an empty store")
		}
		_ = os.RemoveAll(g.store)
		if err := os.Rename(g.store+".away", g.store); err != nil {
			t.Fatal(err)
		}
	})
	t.Run("AC-228 a store lost with its marker refuses to start", func(t *testing.T) {
		if err := caddy.Stop(); err != nil {
			t.Fatal(err)
		}
		for _, path := range []string{g.store, g.store + ".initialized"} {
			if err := os.Rename(path, path+".away"); err != nil {
				t.Fatal(err)
			}
		}
		err := restart()
		if err == nil || !strings.Contains(err.Error(), g.store+".keys.json") {
			t.Errorf("got %v", err)
		}
		for _, path := range []string{g.store, g.store + ".initialized"} {
			_ = os.RemoveAll(path)
			if err := os.Rename(path+".away", path); err != nil {
				t.Fatal(err)
			}
		}
	})
	t.Run("keys that others can read refuse to start", func(t *testing.T) {
		if runtime.GOOS == "windows" {
			t.Skip("permissions are another matter on Windows")
		}
		if err := os.Chmod(g.store+".keys.json", 0o644); err != nil {
			t.Fatal(err)
		}
		if err := restart(); err == nil {
			t.Error("the gateway started")
		}
		if err := os.Chmod(g.store+".keys.json", 0o600); err != nil {
			t.Fatal(err)
		}
	})
	t.Run("and then it starts again", func(t *testing.T) {
		if err := restart(); err != nil {
			t.Fatal(err)
		}
	})
}

// The file of the first link is of no use once the link was used, and goes.
func TestStart_UsedLinkGoes(t *testing.T) {
	g := newGateway(t)
	g.mustLoad(g.text("require on", "mfa\n\trespond ok"))
	path := g.store + ".setup-link"
	raw, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	ctx, gate := t.Context(), g.generation().gate
	at := &mfa.Place{Host: g.host, Scope: g.host, Network: "127.0.0.0/24"}
	other, err := gate.SetupLink(ctx)
	if err != nil {
		t.Fatal(err)
	}
	accept := func(token, name string) {
		t.Helper()
		if _, err := gate.AcceptLink(ctx, at, mfa.LinkInput{Token: token, Name: name, Password: "a long and odd passphrase"}); err != nil {
			t.Fatal(err)
		}
	}
	accept(other, "first")
	time.Sleep(300 * time.Millisecond)
	if _, err := os.Stat(path); err != nil {
		t.Fatalf("another link was used: %v", err)
	}
	_, token, _ := strings.Cut(strings.TrimSpace(string(raw)), "#")
	accept(token, "second")
	waitFor(t, "the file to go", func() bool {
		_, err := os.Stat(path)
		return os.IsNotExist(err)
	})
}

// Without its marker the loss of a part of the store cannot be noticed, so the
// log says that it was missing.
func TestStart_SaysThatTheMarkerWasMissing(t *testing.T) {
	g := newGateway(t)
	path := filepath.Join(g.dir, "mfa.log")
	text := strings.Replace(g.text("require on", "mfa\n\trespond ok"), "\tmfa {", "\tlog test {\n\t\tinclude mfa\n\t\toutput file "+path+"\n\t}\n\tmfa {", 1)
	g.mustLoad(text)
	if err := caddy.Stop(); err != nil {
		t.Fatal(err)
	}
	if err := os.Remove(g.store + ".initialized"); err != nil {
		t.Fatal(err)
	}
	g.mustLoad(text)
	if raw, _ := os.ReadFile(path); !strings.Contains(string(raw), "the marker of the store is missing") {
		t.Errorf("the log is\n%s", raw)
	}
}

// Sessions survive a restart, because they and the keys are on disk.
func TestRestart_KeepsSessions(t *testing.T) {
	g := newGateway(t)
	text := g.text("require on", "mfa\n\trespond ok")
	g.mustLoad(text)
	cookie := g.signIn("alice", 0)
	if err := caddy.Stop(); err != nil {
		t.Fatal(err)
	}
	g.mustLoad(text)
	if resp, _ := g.get("/", cookie); resp.StatusCode != http.StatusOK {
		t.Errorf("got %d", resp.StatusCode)
	}
}

// Whoever came in the moment in which a configuration listened that then failed to
// start gets an answer at once (AC-200).
func TestApp_AC200_NobodyWaitsForAFailedStart(t *testing.T) {
	inner, cancel := context.WithCancel(context.Background())
	app := &App{ready: make(chan struct{}), ctx: caddy.Context{Context: inner}}
	time.AfterFunc(10*time.Millisecond, cancel)
	begun := time.Now()
	if _, err := app.enter(context.Background()); !errors.Is(err, errNotReady) {
		t.Errorf("got %v", err)
	}
	if took := time.Since(begun); took >= readyWait {
		t.Errorf("waited %s", took)
	}
}
