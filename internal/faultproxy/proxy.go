package faultproxy

import (
	"net"
	"sync"
	"testing"
	"time"
)

// Direction is one of a connection's two, or both.
type Direction int

// The directions.
const (
	ToServer Direction = 1 << iota
	ToClient
	Both = ToServer | ToClient
)

// Proxy carries TCP connections to one server until it is told to do something worse. Its
// methods may be called at any time, by several at once; they hold for standing connections,
// too.
type Proxy struct {
	Addr   string // where it listens, on loopback
	target string

	listener net.Listener
	group    sync.WaitGroup

	mu      sync.Mutex
	changed *sync.Cond // whenever anything below has
	lines   map[*line]bool
	total   int
	refuses bool
	silent  Direction
	slow    map[Direction]pace
	traps   []*trap
	lost    int
}

// pace is how slowly bytes go.
type pace struct {
	delay time.Duration // of each piece
	drip  time.Duration // between two bytes; 0: all at once
}

// Start starts a proxy that lasts until the test ends.
func Start(t testing.TB, target string) *Proxy {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	p := &Proxy{
		Addr: l.Addr().String(), target: target, listener: l,
		lines: map[*line]bool{}, slow: map[Direction]pace{},
	}
	p.changed = sync.NewCond(&p.mu)
	p.group.Go(p.accept)
	t.Cleanup(func() {
		_ = l.Close()
		p.Refuse()
		p.group.Wait()
	})
	return p
}

// Connections returns how many connections stand.
func (p *Proxy) Connections() int {
	p.mu.Lock()
	defer p.mu.Unlock()
	return len(p.lines)
}

// Total returns how many connections there ever were, without those that were refused.
func (p *Proxy) Total() int {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.total
}

// Heal ends every fault. What was held back by Silence goes on its way, late.
func (p *Proxy) Heal() {
	p.set(func() {
		p.refuses, p.silent, p.traps = false, 0, nil
		clear(p.slow)
	})
}

// Refuse resets every connection, and each new one as soon as it is made.
func (p *Proxy) Refuse() {
	p.set(func() { p.refuses = true })
	p.Cut()
}

// Cut resets the connections that stand, and lets new ones be made.
func (p *Proxy) Cut() {
	p.mu.Lock()
	defer p.mu.Unlock()
	for l := range p.lines {
		l.reset()
	}
	p.changed.Broadcast()
}

// Silence lets nothing more through in that direction, and tells nobody: connections stand
// and can be made, as with a cable pulled behind a switch, or a firewall that forgot us.
func (p *Proxy) Silence(d Direction) { p.set(func() { p.silent |= d }) }

// Delay keeps each piece of bytes in that direction for so long.
func (p *Proxy) Delay(d Direction, by time.Duration) {
	p.setPace(d, func(s *pace) { s.delay = by })
}

// Drip lets one byte through in that direction at a time, and waits so long after it.
func (p *Proxy) Drip(d Direction, between time.Duration) {
	p.setPace(d, func(s *pace) { s.drip = between })
}

func (p *Proxy) setPace(d Direction, change func(*pace)) {
	p.set(func() {
		for _, one := range []Direction{ToServer, ToClient} {
			if d&one != 0 {
				s := p.slow[one]
				change(&s)
				p.slow[one] = s
			}
		}
	})
}

func (p *Proxy) set(change func()) {
	p.mu.Lock()
	defer p.mu.Unlock()
	change()
	p.changed.Broadcast()
}

func (p *Proxy) accept() {
	for {
		c, err := p.listener.Accept()
		if err != nil {
			return
		}
		p.group.Go(func() { p.serve(c.(*net.TCPConn)) })
	}
}

// serve carries one connection to its end.
func (p *Proxy) serve(client *net.TCPConn) {
	p.mu.Lock()
	refuses := p.refuses
	p.mu.Unlock()
	if refuses {
		reset(client)
		return
	}
	c, err := net.DialTimeout("tcp", p.target, 5*time.Second)
	if err != nil {
		reset(client) // the server is gone: so is the line to it
		return
	}
	l := &line{p: p, client: client, server: c.(*net.TCPConn)}
	p.set(func() {
		p.lines[l], p.total = true, p.total+1
		if p.refuses {
			l.reset()
		}
	})
	var group sync.WaitGroup
	group.Go(func() { l.pump(ToServer, l.client, l.server) })
	group.Go(func() { l.pump(ToClient, l.server, l.client) })
	group.Wait()
	p.set(func() { delete(p.lines, l) })
	_ = l.client.Close()
	_ = l.server.Close()
}
