package guard

import (
	"bufio"
	"bytes"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/secondgate/secondgate/mfa"
	"github.com/secondgate/secondgate/session"
)

// stays is a site whose app keeps a connection open: /socket takes it over, /stream sends a
// piece for each that it is told to, and /file sends all in one go.
type stays struct {
	*world
	server *httptest.Server
	policy atomic.Pointer[mfa.Policy]
	more   chan string
	ended  chan error
}

func newStays(t *testing.T, need mfa.Requirement) *stays {
	s := &stays{more: make(chan string), ended: make(chan error, 1)}
	s.world = newWorld(t, func(c *Config) { c.Policy = s.policy.Load })
	s.policy.Store(s.world.policy)
	s.lookEvery = 20 * time.Millisecond
	s.server = httptest.NewTLSServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w, r = s.Strip(w, r)
		if !s.Check(w, r, mfa.Route{Need: need}) {
			return
		}
		switch r.URL.Path {
		case "/socket":
			s.ended <- socket(w)
		case "/stream":
			s.ended <- s.stream(w)
		}
	}))
	t.Cleanup(s.server.Close)
	return s
}

// socket answers each byte with itself.
func socket(w http.ResponseWriter) error {
	c, rw, err := http.NewResponseController(w).Hijack()
	if err != nil {
		return err
	}
	defer c.Close()
	if _, err := io.WriteString(c, "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n"); err != nil {
		return err
	}
	_, err = io.Copy(c, rw)
	return err
}

func (s *stays) stream(w http.ResponseWriter) error {
	for piece := range s.more {
		if _, err := io.WriteString(w, piece); err != nil {
			return err
		}
		if err := http.NewResponseController(w).Flush(); err != nil {
			return err
		}
	}
	return nil
}

// open sends a request by hand and returns the connection behind the answer's head.
func (s *stays) open(path, cookie string) (net.Conn, *bufio.Reader) {
	s.t.Helper()
	config := &tls.Config{InsecureSkipVerify: true, NextProtos: []string{"http/1.1"}} //nolint:gosec // the test's own
	c, err := tls.Dial("tcp", s.server.Listener.Addr().String(), config)
	if err != nil {
		s.t.Fatal(err)
	}
	s.t.Cleanup(func() { _ = c.Close() })
	_ = c.SetDeadline(time.Now().Add(20 * time.Second))
	_, err = fmt.Fprintf(c, "GET %s HTTP/1.1\r\nHost: %s\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Key: x\r\nCookie: %s\r\n\r\n", path, appHost, cookie)
	if err != nil {
		s.t.Fatal(err)
	}
	r := bufio.NewReader(c)
	for {
		line, err := r.ReadString('\n')
		if err != nil {
			s.t.Fatalf("there is no answer: %v", err)
		}
		if line == "\r\n" {
			return c, r
		}
		if strings.HasPrefix(line, "HTTP/1.1 ") && !strings.HasPrefix(line, "HTTP/1.1 101") && !strings.HasPrefix(line, "HTTP/1.1 200") {
			s.t.Fatalf("the answer is %s", line)
		}
	}
}

// disable and its like are what ends a session in the middle of something.
var ends = map[string]func(s *stays){
	"signed out":     func(s *stays) { s.store.change("u-alice", func() { delete(s.store.sessions, "s-alice") }) },
	"disabled":       func(s *stays) { s.store.change("u-alice", func() { s.store.users["u-alice"].Disabled = true }) },
	"factor removed": func(s *stays) { s.store.change("u-alice", func() { s.store.users["u-alice"].Credentials = nil }) },
	"policy tightened": func(s *stays) {
		tighter := *s.policy.Load()
		tighter.Factors = mfa.KindsOf(mfa.TOTP)
		s.policy.Store(&tighter)
	},
	"all ended": func(s *stays) { s.store.change("u-alice", func() { s.store.users["u-alice"].Generation++ }) },
	// AC-197: of an emergency removal.
	"its key was stolen": func(s *stays) {
		if err := s.sessions.SetKeys([]session.Key{{ID: "new", Secret: bytes.Repeat([]byte{9}, 32)}}); err != nil {
			s.t.Error(err)
		}
	},
	"its time is over": func(s *stays) { s.clock.Advance(13 * time.Hour) },
}

// AC-028: somebody is signed in, opens a WebSocket, and is thrown out. The next request is
// refused, and the WebSocket is what is left to them: it must not be left for hours.
func TestWriter_AC028_EndsAWebSocket(t *testing.T) {
	for name, end := range ends {
		t.Run(name, func(t *testing.T) {
			s := newStays(t, mfa.Requirement{})
			c, r := s.open("/socket", s.cookie("s-alice"))
			for range 3 {
				if _, err := io.WriteString(c, "x"); err != nil {
					t.Fatal(err)
				}
				if b, err := r.ReadByte(); err != nil || b != 'x' {
					t.Fatalf("%q, %v", b, err)
				}
				time.Sleep(2 * s.lookEvery)
			}
			end(s)
			if _, err := r.ReadByte(); err == nil || errors.Is(err, os.ErrDeadlineExceeded) {
				t.Errorf("the connection stays open: %v", err)
			}
			<-s.ended
		})
	}
}

// A connection that was opened with a fresh proof is not closed because time goes by, and
// not while the store cannot say for a minute; then it is.
func TestWriter_AC028_KeepsWhatMayStay(t *testing.T) {
	s := newStays(t, mfa.Requirement{Fresh: 5 * time.Minute})
	c, r := s.open("/socket", s.cookie("s-alice"))
	lives := func() bool {
		time.Sleep(5 * s.lookEvery)
		_, _ = io.WriteString(c, "x")
		_, err := r.ReadByte()
		return err == nil
	}
	s.clock.Advance(20 * time.Minute)
	if !lives() {
		t.Fatal("it was closed though nothing but time went by")
	}
	s.store.change("", func() { s.store.down = true })
	s.clock.Advance(50 * time.Second)
	if !lives() {
		t.Fatal("it was closed though the store is away for less than a minute")
	}
	s.clock.Advance(20 * time.Second)
	if lives() {
		t.Error("it lives on though the store is away for more than a minute")
	}
}

// What was opened on the strength of a cache while the store was away gets no second minute.
func TestWriter_AC028_NoSecondMinute(t *testing.T) {
	s := newStays(t, mfa.Requirement{})
	s.lookEvery = lookEvery
	cookie := s.cookie("s-alice")
	go func() { s.more <- "one" }()
	_, first := s.open("/stream", cookie)
	if _, err := first.ReadString('e'); err != nil {
		t.Fatal(err)
	}
	close(s.more)
	if err := <-s.ended; err != nil {
		t.Fatal(err)
	}
	s.more = make(chan string)
	s.store.mu.Lock()
	s.store.down = true
	s.store.mu.Unlock()
	s.clock.Advance(45 * time.Second) // the cache has it, and the store is away
	go func() { s.more <- "one" }()
	_, second := s.open("/stream", cookie)
	if _, err := second.ReadString('e'); err != nil {
		t.Fatal(err)
	}
	s.clock.Advance(31 * time.Second)
	s.more <- "secret"
	close(s.more)
	if err := <-s.ended; !errors.Is(err, errOver) {
		t.Errorf("76 seconds after the store was asked, the app was told %v", err)
	}
}

func TestWriter_AC028_EndsAStream(t *testing.T) {
	for name, end := range ends {
		t.Run(name, func(t *testing.T) {
			s := newStays(t, mfa.Requirement{})
			s.lookEvery = lookEvery
			go func() { s.more <- "one\n" }()
			c, r := s.open("/stream", s.cookie("s-alice"))
			until := func(word string) {
				t.Helper()
				for {
					line, err := r.ReadString('\n')
					if err != nil {
						t.Fatalf("waiting for %q: %v", word, err)
					}
					if strings.TrimSpace(line) == word {
						return
					}
				}
			}
			until("one")
			s.clock.Advance(31 * time.Second)
			s.more <- "two\n"
			until("two")
			end(s)
			s.clock.Advance(31 * time.Second)
			s.more <- "secret\n"
			if err := <-s.ended; !errors.Is(err, errOver) {
				t.Errorf("the app was told %v", err)
			}
			_ = c.SetDeadline(time.Now().Add(200 * time.Millisecond))
			if rest, _ := io.ReadAll(r); strings.Contains(string(rest), "secret") {
				t.Error("what came after the end was sent")
			}
		})
	}
}
