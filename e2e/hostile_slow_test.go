package e2e

import (
	"fmt"
	"net"
	"net/http"
	"sync"
	"testing"
	"time"
)

// AC-207: hundreds of clients send a byte now and then, in the head of a request or in a form
// of ours. Others do not notice, and those who never come to an end are cut off.
func TestHostile_slow_clients_AC207(t *testing.T) {
	t.Parallel()
	g := start(t, localhost)
	c := g.client(t)
	c.signUp("alice")
	var late lateness
	stop := make(chan struct{})
	go late.watch(stop)
	var group sync.WaitGroup
	var mu sync.Mutex
	cut := 0
	const slow = 400
	begun := time.Now()
	for i := range slow {
		conn, err := net.Dial("tcp", g.at(g.Port))
		if err != nil {
			t.Fatal(err)
		}
		group.Go(func() {
			defer conn.Close()
			head := fmt.Sprintf("GET / HTTP/1.1\r\nHost: localhost:%d\r\nX-Slow: ", g.Port)
			if i%2 == 0 {
				head = fmt.Sprintf("POST /.mfa/sign-in HTTP/1.1\r\nHost: localhost:%d\r\nContent-Type: application/x-www-form-urlencoded\r\nContent-Length: 4000\r\n\r\n", g.Port)
			}
			_, err := conn.Write([]byte(head))
			for err == nil && time.Since(begun) < 150*time.Second {
				time.Sleep(time.Second)
				if _, err = conn.Write([]byte("x")); err == nil {
					// An answer, or the end, comes while it is still sending.
					_ = conn.SetReadDeadline(time.Now().Add(time.Millisecond))
					if _, readErr := conn.Read(make([]byte, 1)); readErr == nil || !isTimeout(readErr) {
						break
					}
				}
			}
			mu.Lock()
			defer mu.Unlock()
			if time.Since(begun) < 150*time.Second {
				cut++
			}
		})
	}
	var worst time.Duration
	for time.Since(begun) < 10*time.Second {
		at := time.Now()
		if p := c.get("/page"); !p.FromApp() {
			t.Errorf("who is signed in gets %d", p.Status)
		}
		if p := g.client(t).get("/.mfa/sign-in"); p.Status != http.StatusOK {
			t.Errorf("the sign-in page is %d", p.Status)
		}
		worst = max(worst, time.Since(at))
		time.Sleep(50 * time.Millisecond)
	}
	close(stop)
	if worst > 2*time.Second+late.worst() {
		t.Errorf("others wait for %s", worst)
	}
	group.Wait()
	if cut != slow {
		t.Errorf("%d of %d slow clients were cut off", cut, slow)
	}
	t.Logf("others waited for %s at most; all %d were cut off after %s", worst.Round(time.Millisecond), slow, time.Since(begun).Round(time.Second))
}

func isTimeout(err error) bool {
	e, ok := err.(net.Error)
	return ok && e.Timeout()
}
