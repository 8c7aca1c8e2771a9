package guard

import (
	"context"
	"errors"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"

	"github.com/secondgate/secondgate/mfa"
)

// claimed is a world with a source of established identities: the header "Says" holds
// "SOURCE SUBJECT" of whom something before the gate has established. Alice is of that
// source.
type claimed struct {
	*world
	mu    sync.Mutex
	ended []mfa.SessionID
	fails bool
}

func newClaimed(t testing.TB, only bool) *claimed {
	c := new(claimed)
	c.world = newWorld(t, func(cfg *Config) {
		cfg.ClaimSource, cfg.OnlyClaims = "proxied", only
		cfg.Established = func(r *http.Request) mfa.Claim {
			source, subject, _ := strings.Cut(r.Header.Get("Says"), " ")
			return mfa.Claim{Source: source, Subject: subject}
		}
		cfg.End = func(_ context.Context, id mfa.SessionID) error {
			c.mu.Lock()
			defer c.mu.Unlock()
			c.ended = append(c.ended, id)
			if c.fails {
				return errors.New("the store is down")
			}
			return nil
		}
	})
	alice := c.store.users["u-alice"]
	alice.Source, alice.Subject = "proxied", "alice"
	c.store.users["u-carol"].Source, c.store.users["u-carol"].Subject = "local", "carol"
	return c
}

func (c *claimed) take() []mfa.SessionID {
	c.mu.Lock()
	defer c.mu.Unlock()
	list := c.ended
	c.ended = nil
	return list
}

func TestCheck_B26_EstablishedIdentity(t *testing.T) {
	for _, row := range []struct {
		what, says string
		session    mfa.SessionID
		status     int
		ends       bool
	}{
		{"alice under her own name", "proxied alice", "s-alice", 200, false},
		{"alice's session under bob's name", "proxied bob", "s-alice", 302, true},
		{"alice's session under another case of her name", "proxied Alice", "s-alice", 302, true},
		{"alice's session under her name of another source", "other alice", "s-alice", 302, true},
		{"alice's session, and nobody is established", "", "s-alice", 302, false},
		{"a local user's session, and nobody is established", "", "s-carol", 200, false},
		{"a local user's session under an established identity", "proxied alice", "s-carol", 302, true},
		{"a local user's session under the same name", "proxied carol", "s-carol", 302, true},
	} {
		t.Run("B26 "+row.what, func(t *testing.T) {
			c := newClaimed(t, false)
			for _, c.fails = range []bool{false, true} {
				r := httptest.NewRequest(http.MethodGet, "https://"+appHost+"/", nil)
				r.Header.Set("Accept", "text/html")
				r.Header.Set("Says", row.says)
				r.Header.Set("Cookie", c.cookie(row.session))
				w := httptest.NewRecorder()
				sw, sr := c.Strip(w, r)
				sr.Header.Del("Says") // whoever asks later must not read anew
				if ok := c.Check(sw, sr, mfa.Route{}); ok != (row.status == 200) || !ok && w.Code != row.status {
					t.Errorf("passed: %v, status %d", ok, w.Code)
				}
				if ended := c.take(); (len(ended) == 1) != row.ends {
					t.Errorf("ended: %v", ended)
				}
				for _, e := range c.events.take() {
					if e.Name == mfa.EventEndSessions && (!row.ends || e.OK == c.fails || e.Detail != "other_user") {
						t.Errorf("%+v", e)
					}
				}
				// A page of ours says the same, of complete and of half-done sessions.
				r.Header.Set("Says", row.says)
				r.Header.Set("Cookie", c.cookie(row.session))
				req, err := c.Parse(r)
				if err != nil {
					t.Fatal(err)
				}
				if _, err := c.Session(r, req); (err == nil) != (row.status == 200) || err != nil && !errors.Is(err, mfa.ErrNoSession) {
					t.Errorf("Session: %v", err)
				}
				c.take()
				c.events.take()
			}
		})
	}
}

// A sign-in that alice has begun is not finished under bob's name: his second factor, or a
// set-up, would end in her session (AC-008, B26).
func TestHalfDone_B26_UnderAnotherIdentity(t *testing.T) {
	for says, want := range map[string]struct{ ok, ends bool }{
		"proxied alice": {true, false}, "proxied bob": {false, true}, "": {false, false},
	} {
		c := newClaimed(t, false)
		r := httptest.NewRequest(http.MethodPost, "https://"+appHost+"/.mfa/verify", nil)
		r.Header.Set("Says", says)
		r.Header.Set("Cookie", c.cookie("h-alice"))
		req, err := c.Parse(r)
		if err != nil {
			t.Fatal(err)
		}
		v, err := c.HalfDone(r, req)
		if (err == nil) != want.ok || (v != nil) != want.ok || !want.ok && !errors.Is(err, mfa.ErrNoSession) {
			t.Errorf("%q: %v, %v", says, v, err)
		}
		if (len(c.take()) == 1) != want.ends {
			t.Errorf("%q: ended or not", says)
		}
	}
}

// AC-183: where nothing else signs in and nobody was established, there is no page to send
// people to.
func TestCheck_AC183_NotEstablished(t *testing.T) {
	c := newClaimed(t, true)
	for what, accept := range map[string]string{"a person": "text/html", "a program": "application/json"} {
		for says, want := range map[string]int{"": 403, "proxied alice": map[string]int{"a person": 302, "a program": 401}[what]} {
			r := httptest.NewRequest(http.MethodGet, "https://"+appHost+"/", nil)
			r.Header.Set("Accept", accept)
			r.Header.Set("Says", says)
			w := httptest.NewRecorder()
			sw, sr := c.Strip(w, r)
			if c.Check(sw, sr, mfa.Route{}) || w.Code != want || (want == 403) != strings.Contains(w.Body.String(), "not_established") {
				t.Errorf("AC-183 %s of whom is said %q: %d %s", what, says, w.Code, w.Body)
			}
		}
	}
}

func TestNew_RefusesHalfAClaimSource(t *testing.T) {
	w := newWorld(t, nil)
	whole := Config{
		Sessions: w.sessions, Policy: func() *mfa.Policy { return w.policy }, Events: w.events, ClaimSource: "proxied",
		Established: func(*http.Request) mfa.Claim { return mfa.Claim{} },
		End:         func(context.Context, mfa.SessionID) error { return nil },
	}
	if _, err := New(whole); err != nil {
		t.Fatal(err)
	}
	for what, alter := range map[string]func(*Config){
		"no way to end a session": func(c *Config) { c.End = nil },
		"a source without a name": func(c *Config) { c.ClaimSource = "" },
	} {
		half := whole
		alter(&half)
		if _, err := New(half); err == nil {
			t.Error(what)
		}
	}
}

// What most gateways do not have costs them nothing.
func TestClaim_CostsNothing(t *testing.T) {
	w := newWorld(t, nil)
	r := httptest.NewRequest(http.MethodGet, "https://"+appHost+"/", nil)
	if n := testing.AllocsPerRun(100, func() { _ = w.claim(r) }); n != 0 {
		t.Errorf("%v allocations without a source", n)
	}
	c := newClaimed(t, false)
	c.claims.established = func(*http.Request) mfa.Claim { return mfa.Claim{Source: "proxied", Subject: "alice"} }
	r.Header.Set("Cookie", c.cookie("s-alice"))
	req, err := c.Parse(r)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := c.Session(r, req); err != nil {
		t.Fatal(err)
	}
	without := newWorld(t, nil)
	bare, _ := without.Parse(r)
	r2 := r.Clone(r.Context())
	r2.Header.Set("Cookie", without.cookie("s-alice"))
	_, _ = without.Session(r2, bare)
	base := testing.AllocsPerRun(100, func() { _, _ = without.Session(r2, bare) })
	if n := testing.AllocsPerRun(100, func() { _, _ = c.Session(r, req) }); n > base {
		t.Errorf("%v allocations with a source, %v without", n, base)
	}
}

// AC-183, B26: whoever stands before the gate says that this is bob, and the program comes
// with alice's token. Who asks is one person: an app must not be told of alice what bob's
// certificate has signed.
func TestAppToken_B26_UnderAnotherIdentity(t *testing.T) {
	for says, want := range map[string]bool{
		"proxied alice": true, "": true, // programs come past what asks browsers
		"proxied bob": false, "proxied Alice": false, "other alice": false,
	} {
		c := newClaimed(t, false)
		r := httptest.NewRequest(http.MethodGet, "https://"+appHost+"/", nil)
		r.Header.Set("Says", says)
		r.Header.Set("Authorization", "Bearer "+c.token("u-alice", appHost))
		if answer, app := c.send(r, takes); (app != nil) != want || !want && answer.StatusCode != http.StatusUnauthorized {
			t.Errorf("under %q: admitted %v", says, app != nil)
		}
	}
}
