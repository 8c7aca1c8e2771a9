package e2e

import (
	"flag"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"
)

// startDemo starts the example configuration, as change leaves it, in front of the demo
// app.
func startDemo(t *testing.T, change func(site string) string) *gateway {
	t.Helper()
	example, err := os.ReadFile("../Caddyfile.example")
	if err != nil {
		t.Fatal(err)
	}
	site := change(strings.NewReplacer(":8080", ":{$PORT}", ":8081", ":{$CONSOLE}", "localhost:3000", "localhost:{$DEMO}").Replace(string(example)))
	for _, port := range []string{"{$PORT}", "{$CONSOLE}", "{$DEMO}"} {
		if strings.Count(site, port) != 1 {
			t.Fatalf("the example's ports moved:\n%s", example)
		}
	}
	demo := "localhost:" + strconv.Itoa(freePort(t))
	gw := prepare(t, site, "DEMO="+strings.TrimPrefix(demo, "localhost:"), "CONSOLE="+strconv.Itoa(freePort(t)))
	app := exec.Command(gw.bin, "mfa", "demo", "--listen", demo)
	app.Env, app.SysProcAttr = gw.environment(), childAttributes()
	if err := app.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = app.Process.Kill()
		_ = app.Wait()
	})
	gw.launch(t)
	return gw
}

// What "make run" starts, on other ports: the example configuration in front of
// the demo app. A newcomer comes from the link to the app that greets them.
func TestBrowser_Demo(t *testing.T) {
	t.Parallel()
	begun := time.Now()
	gw := startDemo(t, func(site string) string { return site })
	up := time.Since(begun)

	b := gw.browse(t)
	b.begin("alice")
	b.addPasskey()
	b.takeCodes()
	b.see("You’re in, alice.")
	b.says("Remote-User alice")
	t.Logf("the gateway was up after %d ms, the app in the browser after %.1f s, accessibility checks included",
		up.Milliseconds(), time.Since(begun).Seconds())

	b.goTo("/vault/")
	b.see("You’re in the vault, alice.")
	gw.advance(t, 6*time.Minute)
	b.goTo("/vault/gold")
	b.see("Verify it’s you")
	b.button("Use passkey")
	b.see("You’re in the vault, alice.")
	b.says("GET /vault/gold")
	b.button("Sign out")
	b.see("Sign out?")
	b.button("Sign out")
	b.see("You’re signed out")
	b.goTo("/public/")
	b.see("Nobody told this app who you are.")

	// The console has a port, and so a sign-in, of its own. The passkey is the same.
	console, _ := strings.CutPrefix(gw.env[len(gw.env)-1], "CONSOLE=")
	b.goTo("http://localhost:" + console + "/")
	b.signIn("alice")
	b.see("Verify it’s you")
	b.button("Use passkey")
	b.see("People")
	b.says("alice")
}

var makeRun = flag.Bool("makerun", false, "measure the time from \"make run\" to the app in the browser; ports 8080, 3000 and 2019 must be free")

// The figure of a newcomer's first minute, by hand: go test -run TestMakeRun -v
// ./e2e -makerun.
func TestMakeRun(t *testing.T) {
	if !*makeRun {
		t.Skip("NOT RUN: it takes the ports of the example; ask for it with -makerun")
	}
	openBrowser(t) // whoever sits there has one open
	gw := &gateway{Port: 8080, dir: t.TempDir(), exited: make(chan struct{})}
	begun := time.Now()
	run := exec.Command("make", "-C", "..", "run", "DATA="+gw.file("data"))
	run.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	if err := run.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = syscall.Kill(-run.Process.Pid, syscall.SIGTERM)
		_ = run.Wait()
		// make does not wait for what it started.
		for range 500 {
			if syscall.Kill(-run.Process.Pid, 0) != nil {
				return
			}
			time.Sleep(20 * time.Millisecond)
		}
		t.Error("the gateway does not end")
	})
	link := gw.firstLink(t)
	up := time.Since(begun)
	b := gw.browse(t)
	b.goTo(link)
	b.write("#name", "alice")
	b.write("#password", password)
	b.button("Create account")
	b.way("Passkey")
	b.button("Create passkey")
	b.takeCodes()
	b.says("in, alice.")
	t.Logf("make run: the link after %.1f s, the app in the browser after %.1f s", up.Seconds(), time.Since(begun).Seconds())
}
