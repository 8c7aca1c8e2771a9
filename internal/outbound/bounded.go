package outbound

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/netip"
	"sync"
	"syscall"
	"time"
)

// Client is an HTTP client, under a name for packages that speak values and only hand
// it on to a library.
type Client = http.Client

// Bounds are what a client of a library that reads answers itself keeps to.
type Bounds struct {
	Roots   *x509.CertPool // whose certificates hold; nil: the system's
	Connect time.Duration  // the most that a connection takes
	Total   time.Duration  // the most that a question and its answer take
	Answer  int64          // the most bytes of an answer; a longer one is an error
	// LinkLocal allows addresses of the link itself. Clouds keep their machines'
	// credentials at one of them (AC-211).
	LinkLocal bool
}

// ErrTooLong says that an answer has more bytes than may be read.
var ErrTooLong = errors.New("the answer is too long")

// NewBounded returns a client that follows no redirect and whose answers keep to the
// bounds, whoever reads them.
func NewBounded(b Bounds) *Client {
	dialer := &net.Dialer{Timeout: b.Connect}
	if !b.LinkLocal {
		dialer.ControlContext = refuseLinkLocal
	}
	c := NewClient(b.Roots)
	t := c.Transport.(*http.Transport)
	t.DialContext = dialer.DialContext
	t.TLSClientConfig = &tls.Config{RootCAs: b.Roots, MinVersion: tls.VersionTLS12}
	t.TLSHandshakeTimeout = b.Connect
	c.Transport = &bounded{next: t, most: b.Answer}
	c.Timeout = b.Total
	return c
}

// refuseLinkLocal runs when the name is an address already, so that no name leads there.
func refuseLinkLocal(_ context.Context, _, address string, _ syscall.RawConn) error {
	at, err := netip.ParseAddrPort(address)
	if err != nil {
		return fmt.Errorf("reading the address of a server: %w", err)
	}
	switch ip := at.Addr().Unmap(); {
	case ip.IsLinkLocalUnicast(), ip.IsMulticast(), ip.IsUnspecified():
		return errors.New("the server's name leads to an address of the link itself, or of nobody")
	}
	return nil
}

// bounded cuts answers that are too long.
type bounded struct {
	next http.RoundTripper
	most int64
}

// RoundTrip asks.
func (b *bounded) RoundTrip(r *http.Request) (*http.Response, error) {
	resp, err := b.next.RoundTrip(r)
	if err != nil {
		return nil, err
	}
	if resp.ContentLength > b.most {
		resp.Body.Close()
		return nil, ErrTooLong
	}
	resp.Body = &cut{ReadCloser: resp.Body, left: b.most}
	return resp, nil
}

// cut is a body of which no more is read than it may have. What is longer is an error
// and no shorter answer: half of a document can mean something else.
type cut struct {
	io.ReadCloser
	left int64
}

// Read reads.
func (c *cut) Read(p []byte) (int, error) {
	if int64(len(p)) > c.left+1 {
		p = p[:c.left+1]
	}
	n, err := c.ReadCloser.Read(p)
	if int64(n) > c.left {
		n = int(c.left)
		c.left = 0
		return n, ErrTooLong
	}
	c.left -= int64(n)
	return n, err
}

// ErrSpared says that a server was not asked because it was asked a moment ago.
var ErrSpared = errors.New("asked a moment ago")

// Sparing returns a client that asks at most once in that time, and else fails with
// ErrSpared. It is for questions that a stranger can make us ask.
func Sparing(c *Client, every time.Duration, now func() time.Time) *Client {
	spare := *c
	spare.Transport = &sparing{next: c.Transport, every: every, now: now}
	return &spare
}

type sparing struct {
	next  http.RoundTripper
	every time.Duration
	now   func() time.Time

	mu   sync.Mutex
	last time.Time
}

// RoundTrip asks, or not.
func (s *sparing) RoundTrip(r *http.Request) (*http.Response, error) {
	s.mu.Lock()
	now := s.now()
	if age := now.Sub(s.last); !s.last.IsZero() && age >= 0 && age < s.every {
		s.mu.Unlock()
		return nil, ErrSpared
	}
	s.last = now
	s.mu.Unlock()
	return s.next.RoundTrip(r)
}

var (
	_ http.RoundTripper = (*bounded)(nil)
	_ http.RoundTripper = (*sparing)(nil)
)
