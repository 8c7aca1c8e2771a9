package ldap

import (
	"bufio"
	"fmt"
	"net"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	ber "github.com/go-asn1-ber/asn1-ber"
	"github.com/go-ldap/ldap/v3"

	"github.com/secondgate/secondgate/mfa"
)

// operation is one request as it came over the wire.
type operation struct {
	kind ber.Tag // ldap.ApplicationBindRequest, …
	id   int64
	dn   string // of a bind, or the base of a search
	pass string
}

func (o operation) String() string {
	return map[ber.Tag]string{
		ldap.ApplicationBindRequest: "bind", ldap.ApplicationSearchRequest: "search",
		ldap.ApplicationExtendedRequest: "extended", ldap.ApplicationUnbindRequest: "unbind",
	}[o.kind]
}

func readOperation(r *bufio.Reader) (operation, *ber.Packet, error) {
	p, err := ber.ReadPacket(r)
	if err != nil {
		return operation{}, nil, err
	}
	o := operation{kind: p.Children[1].Tag, id: p.Children[0].Value.(int64)}
	switch body := p.Children[1]; o.kind {
	case ldap.ApplicationBindRequest:
		o.dn, o.pass = body.Children[1].Data.String(), body.Children[2].Data.String()
	case ldap.ApplicationSearchRequest:
		o.dn = body.Children[0].Data.String()
	}
	return o, p, nil
}

// wire is what stands between the gate and the directory, and writes down what passes.
type wire struct {
	address string

	mu         sync.Mutex
	operations []operation
	dials      int
}

func newWire(t testing.TB, directory string) *wire {
	t.Helper()
	w := new(wire)
	w.address = listen(t, func(c net.Conn) {
		w.mu.Lock()
		w.dials++
		w.mu.Unlock()
		to, err := net.Dial("tcp", directory)
		if err != nil {
			return
		}
		defer to.Close()
		go func() {
			defer c.Close()
			_, _ = bufio.NewReader(to).WriteTo(c)
		}()
		for r := bufio.NewReader(c); ; {
			o, p, err := readOperation(r)
			if err != nil {
				return
			}
			w.mu.Lock()
			w.operations = append(w.operations, o)
			w.mu.Unlock()
			if _, err := to.Write(p.Bytes()); err != nil {
				return
			}
		}
	})
	return w
}

// take returns what has passed since the last call, and how many connections were opened.
func (w *wire) take() (list []operation, dials int) {
	w.mu.Lock()
	defer w.mu.Unlock()
	list, dials = slices.DeleteFunc(w.operations, func(o operation) bool { return o.kind == ldap.ApplicationUnbindRequest }), w.dials
	w.operations, w.dials = nil, 0
	return list, dials
}

// listen serves each connection on this machine until the test is over.
func listen(t testing.TB, serve func(net.Conn)) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	var mu sync.Mutex
	var open []net.Conn
	var served sync.WaitGroup
	served.Go(func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			mu.Lock()
			open = append(open, c)
			mu.Unlock()
			served.Go(func() {
				defer c.Close()
				serve(c)
			})
		}
	})
	t.Cleanup(func() {
		_ = l.Close()
		mu.Lock()
		for _, c := range open {
			_ = c.Close()
		}
		mu.Unlock()
		served.Wait()
	})
	return l.Addr().String()
}

// answer is a response of a directory.
func answer(id int64, kind ber.Tag, code int64, more ...*ber.Packet) []byte {
	p := ber.Encode(ber.ClassUniversal, ber.TypeConstructed, ber.TagSequence, nil, "")
	p.AppendChild(ber.NewInteger(ber.ClassUniversal, ber.TypePrimitive, ber.TagInteger, id, ""))
	body := ber.Encode(ber.ClassApplication, ber.TypeConstructed, kind, nil, "")
	body.AppendChild(ber.NewInteger(ber.ClassUniversal, ber.TypePrimitive, ber.TagEnumerated, code, ""))
	body.AppendChild(ber.NewString(ber.ClassUniversal, ber.TypePrimitive, ber.TagOctetString, "", ""))
	body.AppendChild(ber.NewString(ber.ClassUniversal, ber.TypePrimitive, ber.TagOctetString, "", ""))
	for _, m := range more {
		body.AppendChild(m)
	}
	p.AppendChild(body)
	return p.Bytes()
}

// found is an entry that a search has found.
func found(id int64, dn string, attributes map[string][]string) []byte {
	p := ber.Encode(ber.ClassUniversal, ber.TypeConstructed, ber.TagSequence, nil, "")
	p.AppendChild(ber.NewInteger(ber.ClassUniversal, ber.TypePrimitive, ber.TagInteger, id, ""))
	body := ber.Encode(ber.ClassApplication, ber.TypeConstructed, ldap.ApplicationSearchResultEntry, nil, "")
	body.AppendChild(ber.NewString(ber.ClassUniversal, ber.TypePrimitive, ber.TagOctetString, dn, ""))
	list := ber.Encode(ber.ClassUniversal, ber.TypeConstructed, ber.TagSequence, nil, "")
	for name, values := range attributes {
		a := ber.Encode(ber.ClassUniversal, ber.TypeConstructed, ber.TagSequence, nil, "")
		a.AppendChild(ber.NewString(ber.ClassUniversal, ber.TypePrimitive, ber.TagOctetString, name, ""))
		set := ber.Encode(ber.ClassUniversal, ber.TypeConstructed, ber.TagSet, nil, "")
		for _, v := range values {
			set.AppendChild(ber.NewString(ber.ClassUniversal, ber.TypePrimitive, ber.TagOctetString, v, ""))
		}
		a.AppendChild(set)
		list.AppendChild(a)
	}
	body.AppendChild(list)
	p.AppendChild(body)
	return p.Bytes()
}

// reference is one to another server among what is found (RFC 4511 §4.5.3).
func reference(id int64, url string) []byte {
	p := ber.Encode(ber.ClassUniversal, ber.TypeConstructed, ber.TagSequence, nil, "")
	p.AppendChild(ber.NewInteger(ber.ClassUniversal, ber.TypePrimitive, ber.TagInteger, id, ""))
	body := ber.Encode(ber.ClassApplication, ber.TypeConstructed, ldap.ApplicationSearchResultReference, nil, "")
	body.AppendChild(ber.NewString(ber.ClassUniversal, ber.TypePrimitive, ber.TagOctetString, url, ""))
	p.AppendChild(body)
	return p.Bytes()
}

// referral is the part of a result that names another server.
func referral(url string) *ber.Packet {
	p := ber.Encode(ber.ClassContext, ber.TypeConstructed, 3, nil, "")
	p.AppendChild(ber.NewString(ber.ClassUniversal, ber.TypePrimitive, ber.TagOctetString, url, ""))
	return p
}

// evil is a directory that somebody has taken over. Whatever is nil answers as an honest
// one that has alice with the password "right".
type evil struct {
	address string
	bind    func(net.Conn, operation) // of a person
	search  func(net.Conn, operation)
	start   func(net.Conn, operation) // StartTLS
}

const aliceID = "11111111-2222-3333-4444-555555555555"

func newEvil(t testing.TB, e evil) *evil {
	t.Helper()
	alice := "uid=alice," + people
	e.address = listen(t, func(c net.Conn) {
		for r := bufio.NewReader(c); ; {
			o, _, err := readOperation(r)
			if err != nil {
				return
			}
			switch {
			case o.kind == ldap.ApplicationBindRequest && o.dn == gateDN:
				_, _ = c.Write(answer(o.id, ldap.ApplicationBindResponse, 0))
			case o.kind == ldap.ApplicationBindRequest && e.bind != nil:
				e.bind(c, o)
			case o.kind == ldap.ApplicationBindRequest:
				code := int64(ldap.LDAPResultInvalidCredentials)
				if o.dn == alice && o.pass == "right" {
					code = 0
				}
				_, _ = c.Write(answer(o.id, ldap.ApplicationBindResponse, code))
			case o.kind == ldap.ApplicationSearchRequest && e.search != nil:
				e.search(c, o)
			case o.kind == ldap.ApplicationSearchRequest:
				_, _ = c.Write(found(o.id, alice, map[string][]string{"entryUUID": {aliceID}, "uid": {"alice"}}))
				_, _ = c.Write(answer(o.id, ldap.ApplicationSearchResultDone, 0))
			case o.kind == ldap.ApplicationExtendedRequest && e.start != nil:
				e.start(c, o)
			default:
				return
			}
		}
	})
	return &e
}

func (e *evil) config() Config {
	return Config{
		Name: "ldap", URLs: []string{"ldap://" + e.address}, BindDN: gateDN, BindPassword: mfa.Secret(gatePass), Base: people,
		Timeout: 500 * time.Millisecond,
	}
}

func text8(n int) string { return fmt.Sprint(strings.Repeat("x", n)) }
