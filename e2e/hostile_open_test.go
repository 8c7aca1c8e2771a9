package e2e

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"strings"
	"sync"
	"testing"
	"time"
)

// AC-028: what was opened with a session does not outlive it for hours. A WebSocket ends
// within half a minute, a stream of events with its next event after that, over HTTP/1.1 and
// HTTP/2; a download that runs may end.
func TestHostile_open_connections_AC028(t *testing.T) {
	t.Parallel()
	g := start(t, secure)
	g.App.Answer(liveApp)
	g.secureClient(t, "app", true).signUp("alice")
	bob := g.secureClient(t, "app", false)
	account := bob.join(g.invite(t, "bob", "--url", g.secureBase("app")), "bob")
	other := g.secureClient(t, "app", true)
	other.enter(account)

	socket := g.openSocket(t, bob.line())
	streams := map[string]*bufio.Reader{}
	for name, c := range map[string]*client{"HTTP/1.1": bob, "HTTP/2": other} {
		r := c.request(http.MethodGet, "/events", nil)
		c.http.Timeout = 0
		res, err := c.http.Do(r)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = res.Body.Close() })
		if res.Header.Get("Content-Type") != "text/event-stream" {
			t.Fatalf("%s: %s", name, res.Status)
		}
		streams[name] = bufio.NewReader(res.Body)
		if _, err := streams[name].ReadString('\n'); err != nil {
			t.Fatalf("%s: %v", name, err)
		}
	}
	if err := echoes(socket); err != nil {
		t.Fatalf("the WebSocket: %v", err)
	}
	time.Sleep(35 * time.Second) // they are looked at once, and stay
	if err := echoes(socket); err != nil {
		t.Fatalf("the WebSocket, half a minute later: %v", err)
	}

	g.mfa(t, "users", "disable", "bob", "--yes")
	begun := time.Now()
	var group sync.WaitGroup
	group.Go(func() {
		_ = socket.SetReadDeadline(time.Now().Add(90 * time.Second))
		if _, err := socket.Read(make([]byte, 1)); err == nil || errors.Is(err, os.ErrDeadlineExceeded) {
			t.Errorf("the WebSocket stays open: %v", err)
		}
		t.Logf("the WebSocket ended %s after the user was disabled", time.Since(begun).Round(time.Second))
	})
	for name, r := range streams {
		group.Go(func() {
			for time.Since(begun) < 90*time.Second {
				if _, err := r.ReadString('\n'); err != nil {
					t.Logf("the stream over %s ended %s after the user was disabled", name, time.Since(begun).Round(time.Second))
					return
				}
			}
			t.Errorf("the stream over %s goes on", name)
		})
	}
	group.Wait()
}

// liveApp is an app with a socket that answers each byte with itself, and an event a second.
func liveApp(c net.Conn, h hit) bool {
	switch h.Request.URL.Path {
	case "/socket":
		if _, err := io.WriteString(c, "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n\r\n"); err == nil {
			_, _ = io.Copy(c, c)
		}
		return false
	case "/events":
		_, err := io.WriteString(c, "HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nX-App: hit\r\nConnection: close\r\n\r\n")
		for ; err == nil; time.Sleep(time.Second) {
			_, err = io.WriteString(c, "data: x\n\n")
		}
		return false
	}
	return appPage(c, h)
}

// openSocket opens a WebSocket as a browser with that Cookie line does.
func (g *gateway) openSocket(t *testing.T, cookies string) net.Conn {
	t.Helper()
	c, err := g.secureWire().dial("http/1.1")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = c.Close() })
	_, err = fmt.Fprintf(c, "GET /socket HTTP/1.1\r\nHost: app.example.test:%d\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\nOrigin: %s\r\nCookie: %s\r\n\r\n",
		g.TLSPort, g.secureBase("app"), cookies)
	if err != nil {
		t.Fatal(err)
	}
	var head []byte
	for one := make([]byte, 1); !strings.HasSuffix(string(head), "\r\n\r\n"); head = append(head, one[0]) {
		if _, err := c.Read(one); err != nil {
			t.Fatalf("opening a WebSocket: %v %s", err, head)
		}
	}
	if !strings.HasPrefix(string(head), "HTTP/1.1 101 ") {
		t.Fatalf("opening a WebSocket: %s", head)
	}
	_ = c.SetDeadline(time.Time{})
	return c
}

// echoes sends a byte and waits for it.
func echoes(c net.Conn) error {
	_ = c.SetReadDeadline(time.Now().Add(10 * time.Second))
	b := []byte("x")
	if _, err := c.Write(b); err != nil {
		return err
	}
	_, err := io.ReadFull(c, b)
	return err
}
