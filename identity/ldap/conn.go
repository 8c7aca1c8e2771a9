package ldap

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"sync"
	"sync/atomic"
	"time"

	"github.com/go-ldap/ldap/v3"
)

// maxAnswer is how many bytes one answer of a directory may have. Each small element of
// one takes a hundred times its size once it is decoded (AC-211).
const maxAnswer = 256 << 10

var errTooMuch = errors.New("the answer is larger than any that is asked for")

// limited is a connection that yields so many bytes and no more.
type limited struct {
	net.Conn
	left atomic.Int64
}

// Read reads as long as the limit lasts.
func (l *limited) Read(p []byte) (int, error) {
	n, err := l.Conn.Read(p)
	if l.left.Add(-int64(n)) < 0 {
		return 0, errTooMuch
	}
	return n, err
}

// conn is one connection to a server of the directory. One goroutine uses it at a time.
type conn struct {
	ldap   *ldap.Conn
	raw    *limited
	server int
	since  time.Time // when it was put back
}

var longAgo = time.Unix(1, 0)

// do carries out one operation within the time and the size that one may take. ctx ends it.
// After any error that is not an answer of the server the connection is worth nothing.
func (c *conn) do(ctx context.Context, most time.Duration, op func(*ldap.Conn) error) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	deadline := time.Now().Add(most)
	if d, ok := ctx.Deadline(); ok && d.Before(deadline) {
		deadline = d
	}
	c.raw.left.Store(maxAnswer)
	if err := c.raw.SetDeadline(deadline); err != nil {
		return err
	}
	stop := context.AfterFunc(ctx, func() { _ = c.raw.SetDeadline(longAgo) })
	err := op(c.ldap)
	if !stop() {
		// Without the server's answer, which would say that the connection holds.
		return fmt.Errorf("%w (%v)", context.Cause(ctx), err)
	}
	return errors.Join(err, c.raw.SetDeadline(time.Time{}))
}

// close ends the connection without waiting for the server.
func (c *conn) close() {
	_ = c.raw.Conn.Close() // what is left unsaid on it is of no use to anybody
	_ = c.ldap.Close()
}

// answered reports whether an error is an answer of the server, so that the connection
// holds.
func answered(err error) bool {
	e, ok := errors.AsType[*ldap.Error](err)
	return ok && e.ResultCode < ldap.ErrorNetwork
}

// pause is how long a server that could not be reached is not tried while others can be.
const pause = 30 * time.Second

// dialer opens connections to the first server that can be reached.
type dialer struct {
	servers  []server
	startTLS bool
	tls      *tls.Config
	timeout  time.Duration
	now      func() time.Time

	mu   sync.Mutex
	down []time.Time // until when each is not tried
}

// order returns the servers in the order in which to try them: those that are down last.
func (d *dialer) order() []int {
	d.mu.Lock()
	defer d.mu.Unlock()
	now := d.now()
	var up, down []int
	for i := range d.servers {
		if now.Before(d.down[i]) {
			down = append(down, i)
			continue
		}
		up = append(up, i)
	}
	return append(up, down...)
}

func (d *dialer) mark(i int, down bool) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.down[i] = time.Time{}
	if down {
		d.down[i] = d.now().Add(pause)
	}
}

// dial opens a connection on which nobody is signed in.
func (d *dialer) dial(ctx context.Context) (*conn, error) {
	var errs []error
	for _, i := range d.order() {
		c, err := d.open(ctx, i)
		if err == nil {
			d.mark(i, false)
			return c, nil
		}
		errs = append(errs, fmt.Errorf("connecting to %s: %w", d.servers[i].address, err))
		if ctx.Err() != nil {
			break
		}
		d.mark(i, true)
	}
	return nil, errors.Join(errs...)
}

func (d *dialer) open(ctx context.Context, i int) (*conn, error) {
	// One server that answers nothing must leave time for the next.
	ctx, cancel := context.WithTimeout(ctx, d.timeout/time.Duration(min(len(d.servers), 3)))
	defer cancel()
	s := d.servers[i]
	var dial net.Dialer
	raw, err := dial.DialContext(ctx, "tcp", s.address)
	if err != nil {
		return nil, err
	}
	l := &limited{Conn: raw}
	l.left.Store(maxAnswer)
	cfg := d.tls.Clone()
	cfg.ServerName = s.host
	c := &conn{raw: l, server: i}
	if s.tls {
		t := tls.Client(l, cfg)
		if err := t.HandshakeContext(ctx); err != nil {
			_ = raw.Close()
			return nil, err
		}
		c.ldap = ldap.NewConn(t, true)
	} else {
		c.ldap = ldap.NewConn(l, false)
	}
	c.ldap.SetTimeout(d.timeout)
	c.ldap.Start()
	if s.tls || !d.startTLS {
		return c, nil
	}
	// What somebody on the way has stripped is an error, never a reason to go on in the
	// open (AC-180).
	err = c.do(ctx, d.timeout, func(l *ldap.Conn) error { return l.StartTLS(cfg) })
	if err != nil {
		c.close()
		return nil, fmt.Errorf("starting TLS: %w", err)
	}
	return c, nil
}

// idleLimit is how long a connection is kept that nobody uses.
const idleLimit = time.Minute

// pool keeps connections on which the service account is signed in, and nobody else ever
// was.
type pool struct {
	most int
	now  func() time.Time

	mu     sync.Mutex
	idle   []*conn // the one used last comes last
	closed bool
}

// take returns a connection that was kept, or nil.
func (p *pool) take() *conn {
	p.mu.Lock()
	defer p.mu.Unlock()
	for len(p.idle) > 0 {
		c := p.idle[len(p.idle)-1]
		p.idle = p.idle[:len(p.idle)-1]
		if !c.ldap.IsClosing() && p.now().Sub(c.since) < idleLimit {
			return c
		}
		go c.close()
	}
	return nil
}

// put keeps the connection for whoever comes next.
func (p *pool) put(c *conn) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.closed || len(p.idle) >= p.most || c.ldap.IsClosing() {
		go c.close()
		return
	}
	c.since = p.now()
	p.idle = append(p.idle, c)
	time.AfterFunc(idleLimit+time.Second, p.sweep)
}

// sweep closes what nobody has used for a while.
func (p *pool) sweep() {
	p.mu.Lock()
	defer p.mu.Unlock()
	var kept []*conn
	for _, c := range p.idle {
		if p.now().Sub(c.since) < idleLimit {
			kept = append(kept, c)
			continue
		}
		go c.close()
	}
	p.idle = kept
}

// close ends all that is kept, and whatever is put back later.
func (p *pool) close() {
	p.mu.Lock()
	idle := p.idle
	p.idle, p.closed = nil, true
	p.mu.Unlock()
	for _, c := range idle {
		c.close()
	}
}
