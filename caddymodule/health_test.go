package caddymodule

import (
	"bufio"
	"context"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/modules/caddyhttp"

	"github.com/secondgate/secondgate/mfa"
)

// sickStore fails, or hangs until its context ends.
type sickStore struct {
	openStore
	fail  atomic.Bool
	asked atomic.Int64
}

func (s *sickStore) Attempts(ctx context.Context, key string) (mfa.Attempts, error) {
	s.asked.Add(1)
	if s.fail.Load() {
		return mfa.Attempts{}, context.DeadlineExceeded
	}
	return s.openStore.Attempts(ctx, key)
}

// lostPolicy cannot read the policy any more once it has changed.
type lostPolicy struct {
	openStore
	lost   bool
	listen func()
}

func (s *lostPolicy) PolicySettings(ctx context.Context) (mfa.PolicySettings, error) {
	if s.lost {
		return mfa.PolicySettings{}, context.DeadlineExceeded
	}
	return s.openStore.PolicySettings(ctx)
}

func (s *lostPolicy) OnOrganizationChange(listen func()) func() {
	s.listen = listen
	return func() {}
}

func (s *lostPolicy) changed() {
	s.lost = true
	s.listen()
}

// A load balancer asks by plain http, by address, without a cookie, and gets the state
// and nothing else, whatever host and session it names.
func TestHealth_OfARunningGateway(t *testing.T) {
	g := newGateway(t)
	// A host that is never served by plain http, and one that anybody may name.
	text := g.text("require on", "mfa\n\trespond app") + "\nhttp://app.example.com:" + g.port + ", http://:" + g.port + " {\n\tmfa\n\trespond app\n}\n"
	g.mustLoad(text)
	cookie := g.signIn("alice", time.Minute)
	for _, host := range []string{g.host, "app.example.com", "192.0.2.7", "[2001:db8::1]:8080", "nobody.example", "bad_host!"} {
		for _, method := range []string{"GET", "HEAD"} {
			for _, more := range []string{"", "Cookie: " + cookie.String() + "\r\n", "Cookie: " + cookie.Name + "=forged\r\n", "Upgrade-Insecure-Requests: 1\r\nAccept: text/html\r\n"} {
				resp, body := g.rawAnswer(method + " /.mfa/health HTTP/1.1\r\nHost: " + host + "\r\nConnection: close\r\n" + more + "\r\n")
				want := "{\"status\":\"ok\"}\n"
				if method == "HEAD" {
					want = ""
				}
				if resp.StatusCode != 200 || body != want {
					t.Errorf("%s at %s with %q: %d %q", method, host, more, resp.StatusCode, body)
				}
				h := resp.Header
				if h.Get("Content-Type") != "application/json" || h.Get("Cache-Control") != "no-store" || h["Set-Cookie"] != nil || h.Get("X-Content-Type-Options") != "nosniff" {
					t.Errorf("%s at %s: %v", method, host, h)
				}
				for name := range h {
					if strings.HasPrefix(name, "Access-Control-") || strings.HasPrefix(name, "Remote-") {
						t.Errorf("%s at %s: %s", method, host, name)
					}
				}
			}
		}
	}
	for _, method := range []string{"POST", "PUT", "DELETE", "OPTIONS", "PROPFIND"} {
		if resp, body := g.rawAnswer(method + " /.mfa/health HTTP/1.1\r\nHost: " + g.host + "\r\nContent-Length: 0\r\nConnection: close\r\n\r\n"); resp.StatusCode != 405 || resp.Header.Get("Allow") != "GET, HEAD" || body != "" {
			t.Errorf("%s: %d %v %q", method, resp.StatusCode, resp.Header, body)
		}
	}
	// AC-064: only this spelling is the health page, and no probe opens the app.
	for _, path := range []string{"/.mfa/health/", "/.mfa//health", "/.mfa/HEALTH", "/.mfa/%68ealth", "/.mfa/health;x", "/.mfa/x/../health", "/health", "/x/.mfa/health", "//.mfa/health"} {
		resp, body := g.rawAnswer("GET " + path + " HTTP/1.1\r\nHost: " + g.host + "\r\nUser-Agent: kube-probe/1.27\r\nConnection: close\r\n\r\n")
		if body == "app" || resp.StatusCode == 200 && path != "/.mfa/%68ealth" {
			t.Errorf("%s: %d %q", path, resp.StatusCode, body)
		}
	}
}

// rawAnswer is raw with the whole answer.
func (g *gateway) rawAnswer(request string) (*http.Response, string) {
	g.t.Helper()
	c, err := net.Dial("tcp", "127.0.0.1:"+g.port)
	if err != nil {
		g.t.Fatal(err)
	}
	defer c.Close()
	_ = c.SetDeadline(time.Now().Add(10 * time.Second))
	if _, err := io.WriteString(c, request); err != nil {
		g.t.Fatal(err)
	}
	method, _, _ := strings.Cut(request, " ")
	resp, err := http.ReadResponse(bufio.NewReader(c), &http.Request{Method: method})
	if err != nil {
		g.t.Fatal(err)
	}
	body, err := io.ReadAll(resp.Body)
	if err != nil {
		g.t.Fatal(err)
	}
	return resp, string(body)
}

// 503 says in one word what is wrong: a store that does not answer, no policy, or a
// gateway whose store is not open yet. None of it waits.
func TestHealth_Faults(t *testing.T) {
	g := newGateway(t)
	g.mustLoad(g.text("require on", "mfa\n\trespond app"))
	running, err := caddy.ActiveContext().AppIfConfigured("mfa")
	if err != nil {
		t.Fatal(err)
	}
	app := running.(*App)
	ask := func(app *App) (int, string) {
		t.Helper()
		app.health = health{}
		w := httptest.NewRecorder()
		begun := time.Now()
		r := httptest.NewRequest(http.MethodGet, "http://192.0.2.1/.mfa/health", nil)
		r = caddyhttp.PrepareRequest(r, caddy.NewReplacer(), w, nil)
		h := &Handler{app: app}
		if err := h.ServeHTTP(w, r, caddyhttp.HandlerFunc(func(http.ResponseWriter, *http.Request) error {
			t.Error("the app was asked")
			return nil
		})); err != nil {
			t.Fatal(err)
		}
		if took := time.Since(begun); took > healthTime {
			t.Errorf("it took %s", took)
		}
		return w.Code, strings.TrimSpace(w.Body.String())
	}
	if code, body := ask(app); code != 200 || body != `{"status":"ok"}` {
		t.Fatalf("well: %d %s", code, body)
	}
	const store, policy = `{"status":"unavailable","reason":"store"}`, `{"status":"unavailable","reason":"policy"}`

	pooled := app.rt.Load().pooled.store
	sick := &sickStore{openStore: pooled.store}
	pooled.store = sick
	sick.fail.Store(true)
	if code, body := ask(app); code != 503 || body != store {
		t.Errorf("the store fails: %d %s", code, body)
	}
	sick.fail.Store(false)
	if code, _ := ask(app); code != 200 {
		t.Errorf("well again: %d", code)
	}
	policies := app.rt.Load().policies
	lost := &lostPolicy{openStore: sick.openStore}
	if app.rt.Load().policies, err = mfa.NewPolicies(t.Context(), mfa.PoliciesConfig{Configured: app.configured, Have: app.have(), Store: lost}); err != nil {
		t.Fatal(err)
	}
	lost.changed()
	if code, body := ask(app); code != 503 || body != policy {
		t.Errorf("no policy: %d %s", code, body)
	}
	app.rt.Load().policies = policies
	pooled.store = sick.openStore

	// What goes wrong beside the request must not end the process.
	app.rt.Load().policies = nil
	if code, body := ask(app); code != 503 || body != store {
		t.Errorf("a panic: %d %s", code, body)
	}
	app.rt.Load().policies = policies

	early := &App{ctx: app.ctx, logger: app.logger, ready: make(chan struct{})}
	if code, body := ask(early); code != 503 || body != store {
		t.Errorf("before the store is open: %d %s", code, body)
	}
}

// A flood of health checks asks the store once a second, and one that hangs holds up
// nobody for more than a second, or twice.
func TestHealth_FloodDoesNotReachTheStore(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var h health
		var looks atomic.Int64
		hang := make(chan struct{})
		slow := func(context.Context) string {
			looks.Add(1)
			time.Sleep(50 * time.Millisecond)
			return ""
		}
		flood := func(look func(context.Context) string, want string) {
			t.Helper()
			var group sync.WaitGroup
			for range 500 {
				group.Go(func() {
					if got := h.ask(t.Context(), look); got != want {
						t.Errorf("%q, want %q", got, want)
					}
				})
			}
			group.Wait()
		}
		flood(slow, "")
		flood(slow, "")
		if n := looks.Load(); n != 1 {
			t.Errorf("%d looks within a second", n)
		}
		time.Sleep(healthEvery)
		flood(slow, "")
		if n := looks.Load(); n != 2 {
			t.Errorf("%d looks in two seconds", n)
		}
		time.Sleep(healthEvery)
		stuck := func(context.Context) string { looks.Add(1); <-hang; return "" }
		begun := time.Now()
		flood(stuck, "store")
		flood(stuck, "store")
		if took := time.Since(begun); took != 2*healthTime || looks.Load() != 3 {
			t.Errorf("a store that hangs: %s, %d looks", took, looks.Load())
		}
		close(hang)
		synctest.Wait()
		flood(stuck, "")
	})
}

// Whoever gives up is not kept, and learns nothing wrong.
func TestHealth_AskerGoesAway(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var h health
		ctx, cancel := context.WithCancel(t.Context())
		cancel()
		hang := make(chan struct{})
		if got := h.ask(ctx, func(context.Context) string { <-hang; return "" }); got != "store" {
			t.Errorf("%q", got)
		}
		close(hang)
	})
}
