package faultproxy

import (
	"net"
	"time"
)

// line is one connection with its two ends. What changes is guarded by the proxy's mutex.
type line struct {
	p              *Proxy
	client, server *net.TCPConn
	dead           bool
	owed           bool                 // the answer to come is to be lost
	seen           [ToClient + 1][]byte // the end of what went by
}

// pump carries one direction to its end.
func (l *line) pump(d Direction, from, to *net.TCPConn) {
	buf := make([]byte, 16<<10)
	for {
		n, err := from.Read(buf)
		if n > 0 && !l.carry(d, to, buf[:n]) {
			return
		}
		if err == nil {
			continue
		}
		// An end is news as well, which a silent line does not bring.
		if !l.wait(d) {
			return
		}
		_ = to.CloseWrite()
		return
	}
}

// carry brings bytes to the other side, and reports whether the line stands.
func (l *line) carry(d Direction, to *net.TCPConn, b []byte) bool {
	if !l.wait(d) || l.trapped(d, b) {
		return false
	}
	l.p.mu.Lock()
	pace := l.p.slow[d]
	l.p.mu.Unlock()
	time.Sleep(pace.delay)
	for len(b) > 0 && l.wait(d) {
		piece := b
		if pace.drip > 0 {
			piece = b[:1]
		}
		if _, err := to.Write(piece); err != nil {
			return false
		}
		b = b[len(piece):]
		if len(b) > 0 {
			time.Sleep(pace.drip)
		}
	}
	return len(b) == 0
}

// wait waits while the direction is silent, and reports whether the line stands.
func (l *line) wait(d Direction) bool {
	l.p.mu.Lock()
	defer l.p.mu.Unlock()
	for l.p.silent&d != 0 && !l.dead {
		l.p.changed.Wait()
	}
	return !l.dead
}

// reset ends both sides at once, without a farewell. The caller holds the proxy's mutex.
func (l *line) reset() {
	l.dead = true
	reset(l.client)
	reset(l.server)
}

// reset closes with an RST: what the other side has not read is gone as well.
func reset(c *net.TCPConn) {
	_ = c.SetLinger(0)
	_ = c.Close()
}
