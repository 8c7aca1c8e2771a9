package session

import (
	"context"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/golang-jwt/jwt/v5"

	"github.com/secondgate/secondgate/mfa"
)

const origin = "https://app.a.test"

// signers makes what signs, on the world's clock.
func (w *world) signer(alter ...func(*AssertionConfig)) *Assertions {
	w.t.Helper()
	policy := mfa.DefaultPolicy()
	cfg := AssertionConfig{
		Algorithm: EdDSA, Keys: []Key{key("a")}, Now: w.clock.Now,
		Passwords: func(source string) bool { return source == "local" },
		Policy:    func() *mfa.Policy { return &policy },
	}
	for _, f := range alter {
		f(&cfg)
	}
	a, err := NewAssertions(cfg)
	if err != nil {
		w.t.Fatal(err)
	}
	return a
}

// signedIn returns the view of alice, who has a password and an authenticator app.
func (w *world) signedIn() *View {
	w.t.Helper()
	now := w.clock.Now()
	w.store.mu.Lock()
	*w.store.users["alice"] = mfa.User{
		ID: "alice", Source: "local", Name: "alice", DisplayName: "Alice Ä.", Email: "alice@a.test", EmailVerified: true, Groups: []string{"staff", "admins"},
		Credentials: []mfa.Credential{{ID: "app", Kind: mfa.TOTP}},
	}
	w.store.mu.Unlock()
	s := w.session("alice", "s1")
	s.Line = "line-1"
	s.First = mfa.Proof{Kind: mfa.Password, At: now.Add(-time.Hour)}
	s.Proofs = []mfa.Proof{{Kind: mfa.TOTP, Credential: "app", At: now.Add(-30 * time.Minute)}}
	return w.admitted(w.issue(s))
}

func (w *world) assertion(a *Assertions, v *View, origin string) string {
	w.t.Helper()
	token, err := a.Of(v, ParseAudience(origin))
	if err != nil {
		w.t.Fatal(err)
	}
	return token
}

// app reads an assertion as an app should: with the keys that it was given, one
// algorithm for each, and all that docs/assertion.md says.
func app(keys []byte, issuer, origin, token string, now time.Time) (jwt.MapClaims, error) {
	var set struct{ Keys []publicKey }
	if err := json.Unmarshal(keys, &set); err != nil {
		return nil, err
	}
	claims := jwt.MapClaims{}
	parsed, err := jwt.NewParser(
		jwt.WithValidMethods([]string{"EdDSA", "ES256"}), jwt.WithIssuer(issuer), jwt.WithAudience(origin),
		jwt.WithExpirationRequired(), jwt.WithNotBeforeRequired(), jwt.WithStrictDecoding(),
		jwt.WithTimeFunc(func() time.Time { return now }),
	).ParseWithClaims(token, claims, func(t *jwt.Token) (any, error) {
		for _, k := range set.Keys {
			if k.ID != t.Header["kid"] || string(k.Algorithm) != t.Header["alg"] {
				continue
			}
			x, errX := base64.RawURLEncoding.DecodeString(k.X)
			y, errY := base64.RawURLEncoding.DecodeString(k.Y)
			if err := errors.Join(errX, errY); err != nil {
				return nil, err
			}
			if k.Type == "OKP" {
				return ed25519.PublicKey(x), nil
			}
			return ecdsa.ParseUncompressedPublicKey(elliptic.P256(), slices.Concat([]byte{4}, x, y))
		}
		return nil, errors.New("no such key")
	})
	if err != nil {
		return nil, err
	}
	if parsed.Header["typ"] != "mfa-assertion+jwt" {
		return nil, errors.New("another kind of token")
	}
	return claims, nil
}

// What an app is told: exactly these claims, and each with its value.
func TestAssertions_Of(t *testing.T) {
	for _, alg := range []Algorithm{EdDSA, ES256} {
		t.Run(string(alg), func(t *testing.T) {
			w := newWorld(t)
			v := w.signedIn()
			policy := mfa.DefaultPolicy()
			policy.Organizations = mfa.NewDirectory([]*mfa.Organization{{ID: "acme", Domains: []string{"a.test"}}, {ID: "other"}})
			a := w.signer(func(c *AssertionConfig) { c.Algorithm, c.Policy = alg, func() *mfa.Policy { return &policy } })
			token := w.assertion(a, v, origin)
			now := w.clock.Now()
			got, err := app(a.KeySet(), origin, origin, token, now)
			if err != nil {
				t.Fatal(err)
			}
			if id, _ := got["jti"].(string); len(id) < 20 {
				t.Errorf("jti %v", got["jti"])
			}
			if sid, _ := got["sid"].(string); len(sid) != 22 || strings.Contains(sid, "s1") || strings.Contains(sid, "line") {
				t.Errorf("sid %v", got["sid"])
			}
			delete(got, "jti")
			delete(got, "sid")
			want := fmt.Sprint(jwt.MapClaims{
				"iss": origin, "aud": origin, "sub": "alice", "preferred_username": "alice", "name": "Alice Ä.", "email": "alice@a.test",
				"groups": []any{"staff", "admins"}, "org": []any{"acme"}, "amr": []any{"pwd", "otp", "mfa"}, "acr": classMFA,
				"auth_time": float64(now.Add(-30 * time.Minute).Unix()),
				"iat":       float64(now.Unix()), "nbf": float64(now.Unix()), "exp": float64(now.Add(time.Minute).Unix()),
			})
			if text := fmt.Sprint(got); text != want {
				t.Errorf("got\n%s\nwant\n%s", text, want)
			}
		})
	}
}

// What is not known is not said: an app must not find an empty group, or an address that
// nobody has proven.
func TestAssertions_Of_LeavesOutWhatIsNotKnown_AC044(t *testing.T) {
	w := newWorld(t)
	s := w.session("bob", "s2")
	w.store.users["bob"].Email = "bob@a.test" // not verified
	w.store.users["bob"].Source = "local"
	s.First = mfa.Proof{Kind: mfa.Password, At: w.clock.Now()}
	a := w.signer()
	got, err := app(a.KeySet(), origin, origin, w.assertion(a, w.admitted(w.issue(s)), origin), w.clock.Now())
	if err != nil {
		t.Fatal(err)
	}
	want := "acr amr aud auth_time exp iat iss jti nbf preferred_username sid sub"
	if names := strings.Join(slices.Sorted(maps.Keys(got)), " "); names != want {
		t.Errorf("got %s\nwant %s", names, want)
	}
	if got["acr"] != classOne || fmt.Sprint(got["amr"]) != "[pwd]" {
		t.Errorf("%v, %v", got["acr"], got["amr"])
	}
}

// AC-008: an assertion goes to apps, some of which are not to be trusted with more than
// their own requests. One that sends it back to the gate in a cookie must be nobody. And a
// session cookie, shown to an app as an assertion, must be nothing to it.
func TestAssertions_AC008_AreNoSessions(t *testing.T) {
	w := newWorld(t)
	v := w.signedIn()
	a := w.signer()
	token := w.assertion(a, v, origin)
	parts := strings.Split(token, ".")
	enc := base64.RawURLEncoding.EncodeToString
	for name, planted := range map[string]string{
		"as it is":                  token,
		"for our own issuer":        w.assertion(w.signer(func(c *AssertionConfig) { c.Issuer = issuer }), v, origin),
		"with a session's header":   enc([]byte(goodHeader)) + "." + parts[1] + "." + parts[2],
		"with a session's type":     enc([]byte(`{"alg":"EdDSA","kid":"k1","typ":"mfa-session+jwt"}`)) + "." + parts[1] + "." + parts[2],
		"signed with the published": forge(goodHeader, w.payload("alice", "s1"), a.KeySet()),
	} {
		w.refused(planted)
		if _, err := w.VerifyHalfDone(context.Background(), planted, scope); !errors.Is(err, mfa.ErrNoSession) {
			t.Errorf("%s: passes for a half-done sign-in: %v", name, err)
		}
	}
	half := w.session("alice", "s3")
	half.Complete, half.Expires = false, w.clock.Now().Add(mfa.HalfDoneLife)
	for name, cookie := range map[string]string{"a session": w.issue(v.Session), "a half-done sign-in": w.issue(half)} {
		for _, audience := range []string{origin, scope} {
			for _, from := range []string{origin, issuer} {
				if _, err := app(a.KeySet(), from, audience, cookie, w.clock.Now()); err == nil {
					t.Errorf("%s passes for an assertion", name)
				}
			}
		}
	}
}

// Whose session is not complete, over, or another's is vouched for to nobody, whoever asks.
func TestAssertions_Of_Refuses(t *testing.T) {
	w := newWorld(t)
	a := w.signer()
	good := *w.signedIn()
	for name, alter := range map[string]func(*mfa.Session, *mfa.Subject){
		"half-done":                  func(s *mfa.Session, _ *mfa.Subject) { s.Complete = false },
		"another's":                  func(s *mfa.Session, _ *mfa.Subject) { s.User = "bob" },
		"of nobody":                  func(s *mfa.Session, u *mfa.Subject) { s.User, u.ID = "", "" },
		"without an ID":              func(s *mfa.Session, _ *mfa.Subject) { s.ID = "" },
		"over":                       func(s *mfa.Session, _ *mfa.Subject) { s.Expires = w.clock.Now() },
		"never begun":                func(s *mfa.Session, _ *mfa.Subject) { s.Expires = time.Time{} },
		"from before all were ended": func(_ *mfa.Session, u *mfa.Subject) { u.Generation++ },
		"of a disabled user":         func(_ *mfa.Session, u *mfa.Subject) { u.Disabled = true },
	} {
		s, u := *good.Session, *good.Subject
		alter(&s, &u)
		if token, err := a.Of(&View{Session: &s, Subject: &u}, ParseAudience(origin)); !errors.Is(err, mfa.ErrNoSession) || token != "" {
			t.Errorf("%s: %q, %v", name, token, err)
		}
	}
	for name, v := range map[string]*View{"no view": nil, "no session": {Subject: good.Subject}, "no user": {Session: good.Session}} {
		if token, err := a.Of(v, ParseAudience(origin)); !errors.Is(err, mfa.ErrNoSession) || token != "" {
			t.Errorf("%s: %q, %v", name, token, err)
		}
	}
	if token, err := a.Of(&good, Audience{HTTPS: true}); err == nil || token != "" {
		t.Errorf("for no app: %q", token)
	}
}

// A directory with thousands of groups must not make a request that the app's server
// refuses for its size, nor an assertion that leaves some of them out unseen.
func TestAssertions_Of_RefusesTooManyGroups(t *testing.T) {
	w := newWorld(t)
	v := *w.signedIn()
	u := *v.Subject
	for i := range 500 {
		u.Groups = append(u.Groups, fmt.Sprintf("group-%d", i))
	}
	if token, err := w.signer().Of(&View{Session: v.Session, Subject: &u}, ParseAudience(origin)); err == nil || token != "" {
		t.Errorf("%d bytes, %v", len(token), err)
	}
}

// AC-020, AC-021: names come from people and from directories. None of them may become a
// claim of its own, or break the form.
func TestAssertions_Of_AC020_AC021_NamesStayNames(t *testing.T) {
	w := newWorld(t)
	v := *w.signedIn()
	a := w.signer()
	for _, name := range []string{`x","sub":"root`, "a\x00b", "a\r\nb", "\xff\xfe", "</script>", strings.Repeat("ä", 300), `{"sub":"root"}`} {
		u := *v.Subject
		u.Name, u.DisplayName, u.Groups = name, name, []string{name, "sub", "amr"}
		token, err := a.Of(&View{Session: v.Session, Subject: &u}, ParseAudience(origin))
		if err != nil {
			t.Errorf("%q: %v", name, err)
			continue
		}
		got, err := app(a.KeySet(), origin, origin, token, w.clock.Now())
		if err != nil || got["sub"] != "alice" || fmt.Sprint(got["amr"]) != "[pwd otp mfa]" || len(got) != 15 {
			t.Errorf("%q: %v, %v", name, got, err)
		}
		if strings.ContainsAny(token, "\r\n \x00") {
			t.Errorf("%q: no value of a header", name)
		}
	}
}

// AC-019: each has a name of its own, so that an app can take one once.
func TestAssertions_Of_AC019_Differ(t *testing.T) {
	w := newWorld(t)
	v := *w.signedIn()
	v.asserted = nil // nothing is kept
	a := w.signer()
	seen := map[any]bool{}
	for range 1000 {
		c, err := a.claims(&v, nil, ParseAudience(origin), w.clock.Now())
		if err != nil || seen[c.Token] {
			t.Fatalf("twice: %v", err)
		}
		seen[c.Token] = true
	}
}

func TestParseAudience(t *testing.T) {
	for origin, want := range map[string]Audience{
		"https://app.a.test": {true, "app.a.test"}, "https://app.a.test:8443": {true, "app.a.test:8443"}, "http://localhost:8080": {false, "localhost:8080"},
		"": {}, "app.a.test": {}, "ftp://a": {},
	} {
		got := ParseAudience(origin)
		if got != want || got.Host != "" && got.String() != origin {
			t.Errorf("%q: %+v", origin, got)
		}
	}
}

// Two apps that put together what they know do not see by sid whose sessions are one.
func TestHandle(t *testing.T) {
	s := &mfa.Session{ID: "s1", Line: "l"}
	risen := &mfa.Session{ID: "s2", Line: "l"}
	switch {
	case handle(s, origin) != handle(risen, origin):
		t.Error("changes with the ID")
	case handle(s, origin) == handle(s, "https://b.test"):
		t.Error("is the same for two apps")
	case handle(&mfa.Session{ID: "s1"}, origin) == handle(&mfa.Session{ID: "s2"}, origin):
		t.Error("sessions from before there were lines have one name together")
	}
}

// AC-197: with a new primary key, the new one signs and both are published: what was signed
// a moment ago is good to its end. Taking the old one away ends it at once for every app
// that looks again.
func TestAssertions_AC197_Rotation(t *testing.T) {
	for _, alg := range []Algorithm{EdDSA, ES256} {
		w := newWorld(t)
		v := w.signedIn()
		with := func(ids ...string) *Assertions {
			return w.signer(func(c *AssertionConfig) {
				c.Algorithm, c.Keys = alg, nil
				for _, id := range ids {
					c.Keys = append(c.Keys, key(id))
				}
			})
		}
		old, both, gone := with("a"), with("b", "a"), with("b")
		before := w.assertion(old, v, origin)
		after := w.assertion(both, v, origin)
		now := w.clock.Now()
		for name, want := range map[string]struct {
			by    *Assertions
			token string
			good  bool
		}{
			"the old one, old keys":   {old, before, true},
			"the old one, both keys":  {both, before, true},
			"the old one, new key":    {gone, before, false},
			"the new one, old keys":   {old, after, false},
			"the new one, both keys":  {both, after, true},
			"the new one, new key":    {gone, after, true},
			"after a start, old keys": {with("a"), before, true},
		} {
			_, err := app(want.by.KeySet(), origin, origin, want.token, now)
			if (err == nil) != want.good {
				t.Errorf("%s: %s: %v", alg, name, err)
			}
		}
		if _, err := app(both.KeySet(), origin, origin, before, now.Add(AssertionLife)); err == nil {
			t.Errorf("%s: good for longer than it says", alg)
		}
	}
}

// One secret makes a pair for each algorithm, and the published half alone.
func TestAssertions_KeySet(t *testing.T) {
	w := newWorld(t)
	seen := map[string]bool{}
	for alg, want := range map[Algorithm]string{EdDSA: "alg crv kid kty use x", ES256: "alg crv kid kty use x y"} {
		a := w.signer(func(c *AssertionConfig) { c.Algorithm, c.Keys = alg, []Key{key("b"), key("a")} })
		var set struct{ Keys []map[string]string }
		if err := json.Unmarshal(a.KeySet(), &set); err != nil || len(set.Keys) != 2 {
			t.Fatalf("%s: %v", a.KeySet(), err)
		}
		for _, k := range set.Keys {
			if names := strings.Join(slices.Sorted(maps.Keys(k)), " "); names != want || k["alg"] != string(alg) || k["use"] != "sig" {
				t.Errorf("%v", k)
			}
			if seen[k["kid"]] || seen[k["x"]] {
				t.Errorf("%v: twice", k)
			}
			seen[k["kid"]], seen[k["x"]] = true, true
		}
		for _, id := range []string{"a", "b"} {
			if secret := key(id).Secret; strings.Contains(string(a.KeySet()), b64(secret)) {
				t.Error("a secret is published")
			}
		}
	}
}

// The example of RFC 8037, appendix A.2 and A.3.
func TestPublicKey_Named_RFC8037(t *testing.T) {
	k := publicKey{Type: "OKP", Curve: "Ed25519", X: "11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo"}
	if id := k.named().ID; id != "kPrK_qmxVWaYVA9wwBF6Iuo3vVzz7TxHCTwXBygrS4k" {
		t.Error(id)
	}
}

func TestNewAssertions_Refuses(t *testing.T) {
	w := newWorld(t)
	for name, alter := range map[string]func(*AssertionConfig){
		"no key":        func(c *AssertionConfig) { c.Keys = nil },
		"short secret":  func(c *AssertionConfig) { c.Keys = []Key{{ID: "a", Secret: make([]byte, 31)}} },
		"empty key ID":  func(c *AssertionConfig) { c.Keys = []Key{{Secret: key("a").Secret}} },
		"no policy":     func(c *AssertionConfig) { c.Policy = nil },
		"no algorithm":  func(c *AssertionConfig) { c.Algorithm = "" },
		"a shared key":  func(c *AssertionConfig) { c.Algorithm = "HS256" },
		"no signature":  func(c *AssertionConfig) { c.Algorithm = "none" },
		"another curve": func(c *AssertionConfig) { c.Algorithm = "ES384" },
	} {
		cfg := AssertionConfig{Algorithm: EdDSA, Keys: []Key{key("a")}, Now: w.clock.Now, Policy: func() *mfa.Policy { return nil }}
		alter(&cfg)
		if _, err := NewAssertions(cfg); err == nil {
			t.Errorf("%s: accepted", name)
		}
	}
}

// A request that follows another sends the same assertion; what it depends on makes a new
// one, at once.
func TestAssertions_AreKept(t *testing.T) {
	w := newWorld(t)
	directory := mfa.NewDirectory([]*mfa.Organization{{ID: "acme", Domains: []string{"a.test"}}})
	policy := mfa.DefaultPolicy()
	policy.Organizations = directory
	settings := func(c *AssertionConfig) { c.Policy = func() *mfa.Policy { return &policy } }
	a := w.signer(settings)
	v := w.signedIn()
	token := w.issue(v.Session)
	v = w.admitted(token)
	first := w.assertion(a, v, origin)

	again := func(name string, same bool) {
		t.Helper()
		got := w.assertion(a, w.admitted(token), origin)
		if (got == first) != same {
			t.Errorf("%s: the same: %v", name, got == first)
		}
		claims, err := app(a.KeySet(), origin, origin, got, w.clock.Now())
		if err != nil {
			t.Errorf("%s: %v", name, err)
			return
		}
		if left := int64(claims["exp"].(float64)) - w.clock.Now().Unix(); left < 30 {
			t.Errorf("%s: %d seconds are left", name, left)
		}
		first = got
	}
	again("at once", true)
	w.clock.Advance(29 * time.Second)
	again("29 seconds later", true)
	w.clock.Advance(time.Second)
	again("after half its life", false)
	w.assertion(a, w.admitted(token), "https://b.test")
	again("another app has asked", true)
	w.store.change("alice", func() { w.store.users["alice"].Groups = nil })
	again("AC-025 something of the user has changed", false)
	policy.Organizations = mfa.NewDirectory(nil)
	again("an organization is gone", false)
	w.clock.Advance(-10 * time.Second)
	again("the clock was set back", false)
	a = w.signer(settings)
	again("another configuration", false)

	// AC-025: nobody who has signed out is vouched for.
	w.store.change("alice", func() { delete(w.store.sessions, "s1") })
	w.refused(token)
}

// A client that makes up hosts within a domain costs itself signatures and us no memory.
func TestAssertions_KeepFewOrigins(t *testing.T) {
	w := newWorld(t)
	v := w.signedIn()
	a := w.signer()
	for i := range 1000 {
		w.assertion(a, v, fmt.Sprintf("https://h%d.a.test", i))
	}
	if n := len(*v.asserted.list.Load()); n != maxAsserted {
		t.Errorf("%d are kept", n)
	}
	last := w.assertion(a, v, "https://h999.a.test")
	if again := w.assertion(a, v, "https://h999.a.test"); again != last {
		t.Error("the newest one is not kept")
	}
}

// An assertion never outlives its session.
func TestAssertions_EndWithTheSession(t *testing.T) {
	w := newWorld(t)
	v := w.signedIn()
	s := *v.Session
	s.Expires = w.clock.Now().Add(20 * time.Second)
	short := &View{Session: &s, Subject: v.Subject, asserted: new(sent)}
	a := w.signer()
	token := w.assertion(a, short, origin)
	if again := w.assertion(a, short, origin); again != token {
		t.Error("made anew although it cannot be longer")
	}
	claims, err := app(a.KeySet(), origin, origin, token, w.clock.Now())
	if err != nil || int64(claims["exp"].(float64)) != s.Expires.Unix() {
		t.Errorf("%v, %v", claims["exp"], err)
	}
	w.clock.Advance(20 * time.Second)
	if _, err := a.Of(short, ParseAudience(origin)); !errors.Is(err, mfa.ErrNoSession) {
		t.Errorf("after its end: %v", err)
	}
}

// Many requests of one session at once, for several apps: each gets its own app's.
func TestAssertions_Concurrent(t *testing.T) {
	w := newWorld(t)
	v := w.signedIn()
	a := w.signer()
	var group sync.WaitGroup
	for i := range 8 {
		group.Go(func() {
			to := fmt.Sprintf("https://h%d.a.test", i%3)
			for range 50 {
				token, err := a.Of(v, ParseAudience(to))
				if err != nil {
					t.Error(err)
					return
				}
				if _, err := app(a.KeySet(), to, to, token, w.clock.Now()); err != nil {
					t.Error(err)
				}
			}
		})
	}
	group.Wait()
}

func TestAssertions_KeptAllocatesNothing(t *testing.T) {
	w := newWorld(t)
	v := w.signedIn()
	a := w.signer()
	w.assertion(a, v, origin)
	if n := testing.AllocsPerRun(1000, func() {
		if _, err := a.Of(v, ParseAudience(origin)); err != nil {
			t.Fatal(err)
		}
	}); n != 0 {
		t.Errorf("%v allocations", n)
	}
}

func benchAssertion(b *testing.B, alg Algorithm, kept bool) {
	w := newWorld(b)
	v := *w.signedIn()
	if !kept {
		v.asserted = nil
	}
	a := w.signer(func(c *AssertionConfig) { c.Algorithm = alg })
	b.ReportAllocs()
	for b.Loop() {
		if _, err := a.Of(&v, ParseAudience(origin)); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkAssertionKept(b *testing.B)  { benchAssertion(b, EdDSA, true) }
func BenchmarkAssertionEdDSA(b *testing.B) { benchAssertion(b, EdDSA, false) }
func BenchmarkAssertionES256(b *testing.B) { benchAssertion(b, ES256, false) }
