package postgres

import (
	"io"
	"net"
	"net/url"
	"sync"
	"testing"
)

// proxy stands between a node and its database, and can be cut.
type proxy struct {
	target string
	l      net.Listener

	mu    sync.Mutex
	open  sync.Cond // stalled has ended
	mode  mode
	conns map[net.Conn]struct{}
}

type mode int

const (
	passing  mode = iota
	refusing      // connections break, and new ones too
	silent        // nothing arrives any more, and nobody is told: a cable that was pulled
)

// newProxy returns a proxy before the server, and the address of the database behind it.
func newProxy(t *testing.T, database string) (*proxy, string) {
	t.Helper()
	u, err := url.Parse(database)
	if err != nil {
		t.Fatal(err)
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	p := &proxy{target: u.Host, l: l, conns: map[net.Conn]struct{}{}}
	p.open.L = &p.mu
	var tasks sync.WaitGroup
	tasks.Go(func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			tasks.Go(func() { p.serve(c) })
		}
	})
	t.Cleanup(func() {
		l.Close()
		p.set(refusing)
		tasks.Wait()
	})
	u.Host = l.Addr().String()
	return p, u.String()
}

func (p *proxy) set(m mode) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.mode = m
	if m == refusing {
		for c := range p.conns {
			c.Close()
		}
		clear(p.conns)
	}
	p.open.Broadcast()
}

// keep reports whether the connection may go on.
func (p *proxy) keep(c net.Conn) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.mode == refusing {
		return false
	}
	p.conns[c] = struct{}{}
	return true
}

func (p *proxy) serve(c net.Conn) {
	defer c.Close()
	if !p.keep(c) {
		return
	}
	to, err := net.Dial("tcp", p.target)
	if err != nil {
		return
	}
	defer to.Close()
	if !p.keep(to) {
		return
	}
	var both sync.WaitGroup
	both.Go(func() { p.copy(to, c) })
	both.Go(func() { p.copy(c, to) })
	both.Wait()
}

func (p *proxy) copy(to, from net.Conn) {
	defer to.Close()
	defer from.Close()
	_, _ = io.Copy(writerFunc(func(b []byte) (int, error) {
		p.mu.Lock()
		for p.mode == silent {
			p.open.Wait()
		}
		p.mu.Unlock()
		return to.Write(b)
	}), from)
}

type writerFunc func([]byte) (int, error)

func (f writerFunc) Write(b []byte) (int, error) { return f(b) }
