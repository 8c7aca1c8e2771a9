package e2e

import (
	"bytes"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/quic-go/qpack"
	"github.com/quic-go/quic-go"
	"github.com/quic-go/quic-go/quicvarint"
)

// The frames of HTTP/3 that are sent and read here (RFC 9114 §7.2).
const (
	h3Data     = 0x0
	h3Headers  = 0x1
	h3Settings = 0x4

	h3ControlStream = 0x0
)

// quicWire is one connection of a wire over HTTP/3. A handshake costs more than all
// requests of a test, so it is kept; what is hostile here is in the streams.
type quicWire struct {
	mu   sync.Mutex
	conn *quic.Conn
}

// h3 sends one request over HTTP/3, frame by frame, as h2 does over HTTP/2.
func (w wire) h3(m message) answer {
	fields, trailer := m.fields(w.host)
	a := w.stream(fields, m.body, trailer)
	if a.err != nil {
		// What closed the connection has closed it for that request alone.
		w.quic.drop()
	}
	return a
}

// fields are the header and trailer fields of the request as HTTP/2 and HTTP/3 write
// them.
func (m message) fields(host string) (fields, trailer [][2]string) {
	if m.host != "" {
		host = m.host
	}
	fields = [][2]string{{":method", m.method}, {":scheme", "https"}}
	if host != "-" {
		fields = append(fields, [2]string{":authority", host})
	}
	fields = append(fields, [2]string{":path", m.target})
	for _, h := range m.header {
		fields = append(fields, [2]string{strings.ToLower(h[0]), h[1]})
	}
	for _, h := range m.trailer {
		if m.announce {
			fields = append(fields, [2]string{"trailer", strings.ToLower(h[0])})
		}
		trailer = append(trailer, [2]string{strings.ToLower(h[0]), h[1]})
	}
	return fields, trailer
}

func (q *quicWire) drop() {
	q.mu.Lock()
	defer q.mu.Unlock()
	if q.conn != nil {
		_ = q.conn.CloseWithError(0, "") // it is given up
		q.conn = nil
	}
}

// connect returns the connection of the wire, with its control stream open.
func (w wire) connect(ctx context.Context) (*quic.Conn, error) {
	w.quic.mu.Lock()
	defer w.quic.mu.Unlock()
	if c := w.quic.conn; c != nil && c.Context().Err() == nil {
		return c, nil
	}
	to, err := net.ResolveUDPAddr("udp", w.addr)
	if err != nil {
		return nil, err
	}
	from := &net.UDPAddr{}
	if w.from != "" {
		from.IP = net.ParseIP(w.from)
	}
	socket, err := net.ListenUDP("udp4", from)
	if err != nil {
		return nil, err
	}
	// The certificate is the test's own; what is tested begins behind it.
	c, err := quic.Dial(ctx, socket, to, &tls.Config{ServerName: w.name, NextProtos: []string{"h3"}, InsecureSkipVerify: true}, nil) //nolint:gosec
	if err != nil {
		socket.Close()
		return nil, err
	}
	context.AfterFunc(c.Context(), func() { socket.Close() })
	control, err := c.OpenUniStream()
	if err != nil {
		return nil, err
	}
	if _, err := control.Write(quicvarint.Append(nil, h3ControlStream)); err != nil {
		return nil, err
	}
	if _, err := control.Write(frameOf(h3Settings, nil)); err != nil {
		return nil, err
	}
	w.quic.conn = c
	return c, nil
}

// frameOf is one frame: its type, its length, what is in it.
func frameOf(kind uint64, payload []byte) []byte {
	return append(quicvarint.Append(quicvarint.Append(nil, kind), uint64(len(payload))), payload...)
}

// stream sends one request stream with exactly these fields, and reads the answer.
func (w wire) stream(fields [][2]string, body string, trailer [][2]string) answer {
	ctx, cancel := context.WithTimeout(context.Background(), wireTimeout)
	defer cancel()
	c, err := w.connect(ctx)
	if err != nil {
		return answer{err: err}
	}
	s, err := c.OpenStreamSync(ctx)
	if err != nil {
		return answer{err: err}
	}
	defer s.CancelRead(0)
	if err := s.SetDeadline(time.Now().Add(wireTimeout)); err != nil {
		return answer{err: err}
	}
	out := frameOf(h3Headers, packed(fields))
	if body != "" {
		out = append(out, frameOf(h3Data, []byte(body))...)
	}
	if trailer != nil {
		out = append(out, frameOf(h3Headers, packed(trailer))...)
	}
	// A server that has answered already wants to read no more, which is no failure.
	_, wrote := s.Write(out)
	closed := s.Close()
	if a := readStream(s); a.err == nil || wrote == nil && closed == nil {
		return a
	}
	return answer{err: errors.Join(wrote, closed)}
}

// packed is a block of fields without a dynamic table (RFC 9204).
func packed(fields [][2]string) []byte {
	var b bytes.Buffer
	e := qpack.NewEncoder(&b)
	for _, h := range fields {
		_ = e.WriteField(qpack.HeaderField{Name: h[0], Value: h[1]}) // into memory
	}
	return b.Bytes()
}

func readStream(s io.Reader) answer {
	var a answer
	var text strings.Builder
	r := quicvarint.NewReader(s)
	for {
		kind, err := quicvarint.Read(r)
		if errors.Is(err, io.EOF) && a.status >= 200 {
			a.body = text.String()
			return a
		}
		if err != nil {
			return answer{err: err}
		}
		size, err := quicvarint.Read(r)
		if err != nil || size > 16<<20 {
			return answer{err: fmt.Errorf("a frame of %d bytes: %w", size, err)}
		}
		payload := make([]byte, size)
		if _, err := io.ReadFull(r, payload); err != nil {
			return answer{err: err}
		}
		switch {
		case kind == h3Data:
			text.Write(payload)
		case kind == h3Headers && a.status < 200:
			a.header = http.Header{}
			next := qpack.NewDecoder().Decode(payload)
			for {
				h, err := next()
				if errors.Is(err, io.EOF) {
					break
				}
				if err != nil {
					return answer{err: err}
				}
				if h.Name == ":status" {
					_, _ = fmt.Sscan(h.Value, &a.status)
					continue
				}
				a.header.Add(h.Name, h.Value)
			}
		}
	}
}

// The client above speaks to a gateway and to its app, and what it breaks is refused as
// the gateway refuses it and not because of the client: without this every test over
// HTTP/3 could pass on a connection that never was.
func TestWire_http3(t *testing.T) {
	w := attack(t)
	if a, h := w.reaches(w.h3, plainGet("/x?a=b").cookie(w.session)); h == nil || a.status != http.StatusOK {
		t.Fatalf("a signed-in request over HTTP/3: %s", a)
	}
	a, h := w.reaches(w.h3, message{method: "POST", target: "/x", body: "hello", trailer: [][2]string{{"X-After", "1"}}}.cookie(w.session))
	if h == nil || string(h.Body) != "hello" {
		t.Fatalf("a body over HTTP/3: %s", a)
	}
	if a := w.h3(plainGet("/x")); a.status != http.StatusFound || !strings.HasPrefix(a.header.Get("Location"), "/.mfa/sign-in") {
		t.Fatalf("a stranger over HTTP/3: %s", a)
	}
}
