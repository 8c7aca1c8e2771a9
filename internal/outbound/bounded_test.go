package outbound_test

import (
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/secondgate/secondgate/internal/outbound"
)

func bounds() outbound.Bounds {
	return outbound.Bounds{Connect: 5 * time.Second, Total: 5 * time.Second, Answer: 1000}
}

// AC-211: an answer as long as it may be is read whole, and one byte more is no answer.
func TestNewBounded_AC211_Answers(t *testing.T) {
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		var n int
		fmt.Sscan(r.URL.Query().Get("n"), &n)
		if r.URL.Path == "/chunked" {
			w.(http.Flusher).Flush() // so that nobody says how long it is
		}
		_, _ = io.WriteString(w, strings.Repeat("x", n))
	}))
	defer s.Close()
	c := outbound.NewBounded(bounds())
	for _, path := range []string{"/", "/chunked"} {
		for n, good := range map[int]bool{0: true, 1: true, 999: true, 1000: true, 1001: false, 100000: false} {
			resp, err := c.Get(fmt.Sprintf("%s%s?n=%d", s.URL, path, n))
			var body []byte
			if err == nil {
				body, err = io.ReadAll(resp.Body)
				resp.Body.Close()
			}
			switch {
			case good && (err != nil || len(body) != n):
				t.Errorf("%s %d: %d bytes, error %v", path, n, len(body), err)
			case !good && (!errors.Is(err, outbound.ErrTooLong) || len(body) > 1000):
				t.Errorf("%s %d: %d bytes, error %v", path, n, len(body), err)
			}
		}
	}
}

// AC-211: no redirect, no waiting without end, no address of the link.
func TestNewBounded_AC211_GoesNowhereElse(t *testing.T) {
	elsewhere := 0
	other := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { elsewhere++ }))
	defer other.Close()
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/drip" {
			for r.Context().Err() == nil {
				_, _ = io.WriteString(w, "x")
				w.(http.Flusher).Flush()
				time.Sleep(20 * time.Millisecond)
			}
			return
		}
		http.Redirect(w, r, other.URL, http.StatusFound)
	}))
	defer s.Close()
	b := bounds()
	b.Total = 200 * time.Millisecond
	c := outbound.NewBounded(b)
	resp, err := c.Get(s.URL)
	if err != nil || resp.StatusCode != http.StatusFound || elsewhere != 0 {
		t.Errorf("%v, error %v, elsewhere %d", resp, err, elsewhere)
	}
	began := time.Now()
	if resp, err = c.Get(s.URL + "/drip"); err == nil {
		_, err = io.ReadAll(resp.Body)
		resp.Body.Close()
	}
	if err == nil || time.Since(began) > 3*time.Second {
		t.Errorf("a server that drips: %s, error %v", time.Since(began), err)
	}
	for _, host := range []string{"169.254.169.254", "[fe80::1%25lo]", "0.0.0.0", "[::]", "224.0.0.1", "[::ffff:169.254.169.254]"} {
		began := time.Now()
		if _, err := c.Get("http://" + host + ":1/"); err == nil || !strings.Contains(err.Error(), "leads to an address of the link") || time.Since(began) > 100*time.Millisecond {
			t.Errorf("%s: error %v", host, err)
		}
	}
}

func TestSparing(t *testing.T) {
	asked := 0
	var mu sync.Mutex
	s := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { mu.Lock(); asked++; mu.Unlock() }))
	defer s.Close()
	now := time.Now()
	c := outbound.Sparing(outbound.NewBounded(bounds()), time.Minute, func() time.Time { return now })
	get := func() error {
		resp, err := c.Get(s.URL)
		if err == nil {
			resp.Body.Close()
		}
		return err
	}
	if err := get(); err != nil {
		t.Fatal(err)
	}
	for range 3 {
		if err := get(); !errors.Is(err, outbound.ErrSpared) {
			t.Errorf("within a minute: %v", err)
		}
	}
	now = now.Add(time.Minute)
	if err := get(); err != nil || asked != 2 {
		t.Errorf("asked %d times, error %v", asked, err)
	}
	now = now.Add(-time.Hour) // a clock that was set back must not stop it for an hour
	if err := get(); err != nil {
		t.Errorf("after the clock was set back: %v", err)
	}
}
