package ldap

import (
	"errors"
	"fmt"
	"net"
	"runtime"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/go-ldap/ldap/v3"

	"github.com/secondgate/secondgate/mfa"
)

// AC-115: an account that is not there is known by what the gate does for it, or does not.
func TestAuthenticate_AC115_SameOperations(t *testing.T) {
	d := newSlapd(t)
	w := newWire(t, d.Plain)
	s := d.source(func(c *Config) { c.URLs = []string{"ldap://" + w.address} })
	d.Set("uid=bob,"+people, "pwdAccountLockedTime", lockedForGood)
	mustSignIn(t, s, "alice", "alice's own") // the connection of the service account is there
	w.take()
	want := ""
	for _, c := range []struct{ what, name, password string }{
		{"a wrong password", "alice", "wrong"},
		{"nobody", "mallory", "wrong"},
		{"a locked account's right password", "bob", "bob's own"},
		{"a locked account's wrong password", "bob", "wrong"},
		{"an ID that nobody has", "aaaaaaaa-bbbb-cccc-dddd-eeeeeeeeeeee", "wrong"},
		{"what is no name", "*)(uid=*", "wrong"},
		{"an address", "alice@example.test", "wrong"},
	} {
		if _, err := signIn(t, s, c.name, c.password); !errors.Is(err, mfa.ErrRejected) {
			t.Fatalf("%s: %v", c.what, err)
		}
		list, dials := w.take()
		if got := fmt.Sprint(list, " on ", dials); want == "" {
			want = got
		} else if got != want {
			t.Errorf("AC-115 %s costs %s, and a wrong password %s", c.what, got, want)
		}
	}
	if want != "[search search bind] on 1" {
		t.Errorf("a wrong password costs %s", want)
	}
}

// No search is made as a person: what a person may read is not what the gate may believe,
// and an identity that stays on a connection is taken for that of whoever comes next.
func TestAuthenticate_PeopleAreNeverOnTheServiceConnection(t *testing.T) {
	d := newSlapd(t)
	w := newWire(t, d.Plain)
	s := d.source(func(c *Config) { c.URLs = []string{"ldap://" + w.address} })
	for range 3 {
		mustSignIn(t, s, "alice", "alice's own")
		_, _ = signIn(t, s, "bob", "wrong")
	}
	list, dials := w.take()
	service, asPeople := 0, 0
	for _, o := range list {
		switch {
		case o.kind == ldap.ApplicationBindRequest && o.dn == gateDN:
			service++
		case o.kind == ldap.ApplicationBindRequest:
			asPeople++
		}
	}
	// Each bind of a person, and the one that proves that the server refuses, has a
	// connection of its own.
	if service != 1 || asPeople != 7 || dials != service+asPeople {
		t.Errorf("%d binds of the service account and %d of people on %d connections", service, asPeople, dials)
	}
}

// AC-180: a server that says yes to everybody, or to nobody in particular.
func TestAuthenticate_AC180_HostileServer(t *testing.T) {
	write := func(c net.Conn, packets ...[]byte) {
		for _, p := range packets {
			_, _ = c.Write(p)
		}
	}
	alice := "uid=alice," + people
	entry := map[string][]string{"entryUUID": {aliceID}, "uid": {"alice"}}
	var asked sync.Map
	elsewhere := "ldap://" + listen(t, func(c net.Conn) { asked.Store("asked", true) })
	done := func(o operation) []byte { return answer(o.id, ldap.ApplicationSearchResultDone, 0) }
	for _, c := range []struct {
		what string
		evil evil
		ok   bool
	}{
		{"an honest one, to see that the rest is refused for a reason", evil{}, true},
		{"one that takes any password", evil{bind: func(c net.Conn, o operation) {
			write(c, answer(o.id, ldap.ApplicationBindResponse, 0))
		}}, false},
		{"a bind that is referred to another server", evil{bind: func(c net.Conn, o operation) {
			write(c, answer(o.id, ldap.ApplicationBindResponse, ldap.LDAPResultReferral, referral(elsewhere)))
		}}, false},
		{"a search that is referred to another server", evil{search: func(c net.Conn, o operation) {
			write(c, answer(o.id, ldap.ApplicationSearchResultDone, ldap.LDAPResultReferral, referral(elsewhere)))
		}}, false},
		{"nothing but a reference to another server", evil{search: func(c net.Conn, o operation) {
			write(c, reference(o.id, elsewhere), done(o))
		}}, false},
		{"two entries", evil{search: func(c net.Conn, o operation) {
			write(c, found(o.id, alice, entry), found(o.id, "uid=alice,ou=more,"+people, entry), done(o))
		}}, false},
		{"more than were asked for", evil{search: func(c net.Conn, o operation) {
			for range 5 {
				write(c, found(o.id, alice, entry))
			}
			write(c, done(o))
		}}, false},
		{"an entry without a DN, under which a bind is nobody's", evil{search: func(c net.Conn, o operation) {
			write(c, found(o.id, "", entry), done(o))
		}, bind: func(c net.Conn, o operation) {
			code := int64(ldap.LDAPResultInvalidCredentials)
			if o.dn == "" {
				code = 0
			}
			write(c, answer(o.id, ldap.ApplicationBindResponse, code))
		}}, false},
		{"an entry without an ID", evil{search: func(c net.Conn, o operation) {
			write(c, found(o.id, alice, map[string][]string{"uid": {"alice"}}), done(o))
		}}, false},
		{"an entry with two IDs", evil{search: func(c net.Conn, o operation) {
			write(c, found(o.id, alice, map[string][]string{"entryUUID": {aliceID, noID}}), done(o))
		}}, false},
		{"an answer to another request", evil{bind: func(c net.Conn, o operation) {
			write(c, answer(o.id+7, ldap.ApplicationBindResponse, 0))
		}}, false},
		{"an answer of another kind", evil{bind: func(c net.Conn, o operation) {
			write(c, answer(o.id, ldap.ApplicationSearchResultDone, 49))
		}}, false},
	} {
		t.Run("AC-180 "+c.what, func(t *testing.T) {
			s := newSource(t, newEvil(t, c.evil).config())
			id, err := signIn(t, s, "alice", "right")
			if c.ok != (err == nil) || c.ok != (id != nil) {
				t.Errorf("%+v, %v", id, err)
			}
			if _, followed := asked.Load("asked"); followed {
				t.Error("the reference was followed")
			}
		})
	}
}

// AC-180: somebody on the way takes StartTLS out of the conversation, and reads the
// passwords that follow.
func TestDial_AC180_StartTLSStripped(t *testing.T) {
	for what, start := range map[string]func(net.Conn, operation){
		"the server says that it cannot": func(c net.Conn, o operation) {
			_, _ = c.Write(answer(o.id, ldap.ApplicationExtendedResponse, ldap.LDAPResultProtocolError))
		},
		"the server says yes and goes on in the open": func(c net.Conn, o operation) {
			_, _ = c.Write(answer(o.id, ldap.ApplicationExtendedResponse, 0))
			_, _ = c.Write(answer(o.id+1, ldap.ApplicationBindResponse, 0))
		},
		"the server says nothing": func(net.Conn, operation) {},
	} {
		t.Run("AC-180 "+what, func(t *testing.T) {
			var mu sync.Mutex
			var seen []operation
			e := newEvil(t, evil{start: start, bind: func(_ net.Conn, o operation) {
				mu.Lock()
				defer mu.Unlock()
				seen = append(seen, o)
			}})
			c := e.config()
			c.StartTLS = true
			id, err := signIn(t, newSource(t, c), "alice", "right")
			if err == nil || errors.Is(err, mfa.ErrRejected) {
				t.Errorf("%+v, %v", id, err)
			}
			mu.Lock()
			defer mu.Unlock()
			if len(seen) > 0 {
				t.Errorf("in the open: %v", seen)
			}
		})
	}
}

// AC-211: a directory that never ends, or never begins, to answer.
func TestSource_AC211_HostileAnswers(t *testing.T) {
	alice := "uid=alice," + people
	for what, search := range map[string]func(net.Conn, operation){
		"nothing at all": func(net.Conn, operation) {},
		"a byte at a time": func(c net.Conn, o operation) {
			for _, b := range found(o.id, alice, map[string][]string{"entryUUID": {aliceID}}) {
				if _, err := c.Write([]byte{b}); err != nil {
					return
				}
				time.Sleep(100 * time.Millisecond)
			}
		},
		"one value without an end": func(c net.Conn, o operation) {
			_, _ = c.Write([]byte{0x30, 0x84, 0x7f, 0xff, 0xff, 0xff, 0x02, 0x01, byte(o.id), 0x64, 0x84, 0x7f, 0xff, 0xff, 0xf0, 0x04, 0x84, 0x7f, 0xff, 0xff, 0xe0})
			chunk := []byte(text8(64 << 10))
			for {
				if _, err := c.Write(chunk); err != nil {
					return
				}
			}
		},
		"a large entry": func(c net.Conn, o operation) {
			_, _ = c.Write(found(o.id, alice, map[string][]string{"entryUUID": {aliceID}, "displayName": {text8(4 << 20)}}))
			_, _ = c.Write(answer(o.id, ldap.ApplicationSearchResultDone, 0))
		},
		"references without an end": func(c net.Conn, o operation) {
			p := reference(o.id, "ldap://other.example.test/"+text8(1000))
			for {
				if _, err := c.Write(p); err != nil {
					return
				}
			}
		},
		"brackets within brackets": func(c net.Conn, _ operation) {
			for {
				if _, err := c.Write([]byte{0x30, 0x80}); err != nil {
					return
				}
			}
		},
		"noise":  func(c net.Conn, _ operation) { _, _ = c.Write([]byte("HTTP/1.1 400 Bad Request\r\n\r\n")) },
		"an end": func(c net.Conn, _ operation) { _ = c.Close() },
	} {
		t.Run("AC-211 "+what, func(t *testing.T) {
			s := newSource(t, newEvil(t, evil{search: search}).config())
			var before, after runtime.MemStats
			runtime.ReadMemStats(&before)
			start := time.Now()
			_, err := s.Resolve(t.Context(), "alice")
			took := time.Since(start)
			runtime.ReadMemStats(&after)
			if err == nil || errors.Is(err, mfa.ErrNotFound) {
				t.Errorf("that is no answer that says anything: %v", err)
			}
			if took > 3*time.Second {
				t.Errorf("took %s", took)
			}
			if got := after.TotalAlloc - before.TotalAlloc; got > 200<<20 {
				t.Errorf("allocated %d MB", got>>20)
			}
		})
	}
}

// AC-211: people who wait for a directory that hangs must not take all memory and all
// connections; who comes too late is told at once.
func TestSource_AC211_Bounded(t *testing.T) {
	var mu sync.Mutex
	open, most := 0, 0
	e := newEvil(t, evil{search: func(c net.Conn, _ operation) {
		mu.Lock()
		open++
		most = max(most, open)
		mu.Unlock()
		time.Sleep(400 * time.Millisecond)
		mu.Lock()
		open--
		mu.Unlock()
		_ = c.Close()
	}})
	s := newSource(t, e.config())
	var all sync.WaitGroup
	var busy, other int
	for range 200 {
		all.Go(func() {
			_, err := s.Resolve(t.Context(), "alice")
			mu.Lock()
			defer mu.Unlock()
			if errors.Is(err, mfa.ErrBusy) {
				busy++
			} else if err != nil {
				other++
			}
		})
	}
	all.Wait()
	if busy < 200-maxWaiting-4*defaultConnections || busy+other != 200 || most > defaultConnections {
		t.Errorf("%d were told that it is busy, %d have failed, %d were asked at once", busy, other, most)
	}
	if s.waiting.Load() != 0 || len(s.turns) != 0 {
		t.Error("a turn was not given back")
	}
}

// Errors of the directory go to the log: they hold no password.
func TestAuthenticate_ErrorsHoldNoSecret(t *testing.T) {
	const password = "a password like no other"
	e := newEvil(t, evil{bind: func(c net.Conn, o operation) {
		_, _ = c.Write(answer(o.id, ldap.ApplicationBindResponse, ldap.LDAPResultUnavailable))
	}})
	s := newSource(t, e.config())
	_, err := signIn(t, s, "alice", password)
	if err == nil || errors.Is(err, mfa.ErrRejected) {
		t.Errorf("a server that is unavailable has refused nobody: %v", err)
	}
	if text := fmt.Sprintf("%v %+v %#v", err, err, err); strings.Contains(text, password) || strings.Contains(text, gatePass) {
		t.Errorf("%s", text)
	}
	if text := fmt.Sprintf("%v %+v", s.cfg, s.cfg); strings.Contains(text, gatePass) {
		t.Error("the configuration can be printed")
	}
}
