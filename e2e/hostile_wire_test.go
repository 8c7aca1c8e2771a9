package e2e

import (
	"bufio"
	"bytes"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"golang.org/x/net/http2"
	"golang.org/x/net/http2/hpack"
)

// wire is a way to the gateway on which a test decides about every byte: clients
// of the standard library refuse to send most of what attackers send.
type wire struct {
	addr string // to connect to
	host string // what a browser would write into Host
	name string // of the certificate; "": plain http
	from string // own address on the loopback net: throttles count by network

	quic *quicWire // nil: the gateway does not speak HTTP/3
}

// message is one request, as written. Names and values go out as they are.
type message struct {
	method, target string
	host           string // "": the wire's; "-": none
	header         [][2]string
	body           string
	chunked        bool
	trailer        [][2]string
	announce       bool // name the trailers in a Trailer header
}

// with returns m with more header lines.
func (m message) with(lines ...[2]string) message {
	m.header = append(append([][2]string(nil), m.header...), lines...)
	return m
}

func (m message) cookie(line string) message {
	if line == "" {
		return m
	}
	return m.with([2]string{"Cookie", line})
}

// answer is what came back. Where nothing did, err says how the connection ended.
type answer struct {
	status int
	header http.Header
	body   string
	err    error
}

func (a answer) String() string {
	if a.err != nil {
		return "no answer: " + a.err.Error()
	}
	return fmt.Sprintf("%d %s", a.status, a.header.Get("Location"))
}

const wireTimeout = 10 * time.Second

func (w wire) dial(protocol string) (net.Conn, error) {
	d := net.Dialer{Timeout: wireTimeout}
	if w.from != "" {
		d.LocalAddr = &net.TCPAddr{IP: net.ParseIP(w.from)}
	}
	c, err := d.Dial("tcp", w.addr)
	if err != nil {
		return nil, err
	}
	if err := c.SetDeadline(time.Now().Add(wireTimeout)); err != nil {
		return nil, err
	}
	if w.name == "" {
		return c, nil
	}
	// The certificate is the test's own; what is tested begins behind it.
	t := tls.Client(c, &tls.Config{ServerName: w.name, NextProtos: []string{protocol}, InsecureSkipVerify: true}) //nolint:gosec
	if err := t.Handshake(); err != nil {
		c.Close()
		return nil, err
	}
	if got := t.ConnectionState().NegotiatedProtocol; protocol == "h2" && got != "h2" {
		t.Close()
		return nil, errors.New("the gateway did not offer HTTP/2")
	}
	return t, nil
}

// raw sends bytes over HTTP/1.1 and returns the answers until the connection
// ends or is idle; with most > 0 no more than so many.
func (w wire) raw(method, text string, most int) []answer {
	c, err := w.dial("http/1.1")
	if err != nil {
		return []answer{{err: err}}
	}
	defer c.Close()
	if _, err := io.WriteString(c, text); err != nil {
		return []answer{{err: err}}
	}
	var list []answer
	r := bufio.NewReader(c)
	for len(list) < most || most == 0 {
		a := readAnswer(r, method)
		if a.err != nil {
			return append(list, a)
		}
		list = append(list, a)
		// What follows comes at once or not at all.
		if err := c.SetReadDeadline(time.Now().Add(300 * time.Millisecond)); err != nil {
			return list
		}
	}
	return list
}

func readAnswer(r *bufio.Reader, method string) answer {
	for {
		res, err := http.ReadResponse(r, &http.Request{Method: method})
		if err != nil {
			return answer{err: err}
		}
		if res.StatusCode >= 100 && res.StatusCode < 200 && res.StatusCode != http.StatusSwitchingProtocols {
			continue
		}
		if res.StatusCode == http.StatusSwitchingProtocols {
			return answer{status: res.StatusCode, header: res.Header}
		}
		body, err := io.ReadAll(res.Body)
		if err != nil {
			return answer{err: err}
		}
		return answer{status: res.StatusCode, header: res.Header, body: string(body)}
	}
}

// h1 sends one request over HTTP/1.1.
func (w wire) h1(m message) answer {
	var b strings.Builder
	fmt.Fprintf(&b, "%s %s HTTP/1.1\r\n", m.method, m.target)
	switch m.host {
	case "-":
	case "":
		fmt.Fprintf(&b, "Host: %s\r\n", w.host)
	default:
		fmt.Fprintf(&b, "Host: %s\r\n", m.host)
	}
	for _, h := range m.header {
		fmt.Fprintf(&b, "%s: %s\r\n", h[0], h[1])
	}
	if m.announce {
		var names []string
		for _, h := range m.trailer {
			names = append(names, h[0])
		}
		fmt.Fprintf(&b, "Trailer: %s\r\n", strings.Join(names, ", "))
	}
	switch {
	case m.chunked:
		fmt.Fprintf(&b, "Transfer-Encoding: chunked\r\n\r\n%x\r\n%s\r\n0\r\n", len(m.body), m.body)
		for _, h := range m.trailer {
			fmt.Fprintf(&b, "%s: %s\r\n", h[0], h[1])
		}
		b.WriteString("\r\n")
	case m.body != "":
		fmt.Fprintf(&b, "Content-Length: %d\r\n\r\n%s", len(m.body), m.body)
	default:
		b.WriteString("\r\n")
	}
	return w.raw(m.method, b.String(), 1)[0]
}

// h2 sends one request over HTTP/2, frame by frame. Connection-specific headers
// go out as they are: an attacker's client does not leave them out either.
func (w wire) h2(m message) answer {
	fields, trailer := m.fields(w.host)
	return w.frames(fields, m.body, trailer)
}

// frames sends one stream of HTTP/2 with exactly these fields.
func (w wire) frames(fields [][2]string, body string, trailer [][2]string) answer {
	c, err := w.dial("h2")
	if err != nil {
		return answer{err: err}
	}
	defer c.Close()
	if _, err := io.WriteString(c, http2.ClientPreface); err != nil {
		return answer{err: err}
	}
	f := http2.NewFramer(c, c)
	f.ReadMetaHeaders = hpack.NewDecoder(4096, nil)
	if err := f.WriteSettings(); err != nil {
		return answer{err: err}
	}
	block := func(fields [][2]string) []byte {
		var b bytes.Buffer
		e := hpack.NewEncoder(&b)
		for _, h := range fields {
			_ = e.WriteField(hpack.HeaderField{Name: h[0], Value: h[1]}) // into memory
		}
		return b.Bytes()
	}
	// The decoder on the other side keeps its table between blocks, the encoder
	// here does not: no field of the first block is indexed in the second.
	first := http2.HeadersFrameParam{StreamID: 1, BlockFragment: block(fields), EndHeaders: true, EndStream: body == "" && trailer == nil}
	if err := f.WriteHeaders(first); err != nil {
		return answer{err: err}
	}
	if body != "" {
		if err := f.WriteData(1, trailer == nil, []byte(body)); err != nil {
			return answer{err: err}
		}
	}
	if trailer != nil {
		last := http2.HeadersFrameParam{StreamID: 1, BlockFragment: block(trailer), EndHeaders: true, EndStream: true}
		if err := f.WriteHeaders(last); err != nil {
			return answer{err: err}
		}
	}
	var a answer
	var text strings.Builder
	for {
		frame, err := f.ReadFrame()
		if err != nil {
			return answer{err: err}
		}
		switch frame := frame.(type) {
		case *http2.SettingsFrame:
			if !frame.IsAck() {
				if err := f.WriteSettingsAck(); err != nil {
					return answer{err: err}
				}
			}
		case *http2.MetaHeadersFrame:
			if a.header == nil || a.status < 200 {
				a.header = http.Header{}
				for _, h := range frame.Fields {
					if h.Name == ":status" {
						_, _ = fmt.Sscan(h.Value, &a.status)
						continue
					}
					a.header.Add(h.Name, h.Value)
				}
			}
			if frame.StreamEnded() {
				a.body = text.String()
				return a
			}
		case *http2.DataFrame:
			text.Write(frame.Data())
			if n := uint32(len(frame.Data())); n > 0 {
				_ = f.WriteWindowUpdate(0, n)
				_ = f.WriteWindowUpdate(1, n)
			}
			if frame.StreamEnded() {
				a.body = text.String()
				return a
			}
		case *http2.RSTStreamFrame:
			if a.status != 0 && frame.ErrCode == http2.ErrCodeNo {
				a.body = text.String()
				return a // it has answered before we had sent everything
			}
			return answer{err: fmt.Errorf("stream reset: %s", frame.ErrCode)}
		case *http2.GoAwayFrame:
			if frame.ErrCode != http2.ErrCodeNo {
				return answer{err: fmt.Errorf("connection ended: %s", frame.ErrCode)}
			}
		}
	}
}

// each runs the test over every version of HTTP that the wire has (AC-087: the same
// outcome).
func (w wire) each(t *testing.T, test func(t *testing.T, send func(message) answer, protocol string)) {
	t.Helper()
	t.Run("HTTP/1.1", func(t *testing.T) { test(t, w.h1, "h1") })
	if w.name != "" {
		t.Run("HTTP/2", func(t *testing.T) { test(t, w.h2, "h2") })
	}
	if w.quic != nil {
		t.Run("HTTP/3", func(t *testing.T) { test(t, w.h3, "h3") })
	}
}

var networks atomic.Int32

// network returns an address on the loopback net from a network of its own, so
// that one test's failures do not throttle another's.
func network() string {
	n := networks.Add(1)
	return fmt.Sprintf("127.%d.%d.1", 100+n/250, 1+n%250)
}
