package session

import (
	"context"
	"encoding/base64"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/secondgate/secondgate/mfa"
)

// The tokens of this test are signed with the right key: only what they say can
// give them away.
func TestVerify_forged_with_the_key(t *testing.T) {
	w := newWorld(t)
	w.session("alice", "s1")
	secret := key("k1").Secret
	good := w.payload("alice", "s1")
	now := w.clock.Now().Unix()
	with := func(old, new string) string {
		out := strings.Replace(good, old, new, 1)
		if out == good {
			t.Fatalf("%q is not in %s", old, good)
		}
		return out
	}
	exp := fmt.Sprintf(`"exp":%d`, now+3600)

	if token := forge(goodHeader, good, secret); w.admitted(token) == nil {
		t.Fatal("the forger's own good token is refused: the rest proves nothing")
	}
	for _, c := range []struct{ name, header, payload string }{
		{"AC-001 none", `{"alg":"none","kid":"k1","typ":"mfa-session+jwt"}`, good},
		{"AC-001 nOnE", `{"alg":"nOnE","kid":"k1","typ":"mfa-session+jwt"}`, good},
		{"AC-001 other algorithm", `{"alg":"HS384","kid":"k1","typ":"mfa-session+jwt"}`, good},
		{"AC-001 no algorithm", `{"kid":"k1","typ":"mfa-session+jwt"}`, good},
		{"AC-003 kid path", `{"alg":"HS256","kid":"../../etc/passwd","typ":"mfa-session+jwt"}`, good},
		{"AC-003 kid injection", `{"alg":"HS256","kid":"' OR 1=1","typ":"mfa-session+jwt"}`, good},
		{"AC-003 kid unknown", `{"alg":"HS256","kid":"k2","typ":"mfa-session+jwt"}`, good},
		{"AC-003 kid empty", `{"alg":"HS256","kid":"","typ":"mfa-session+jwt"}`, good},
		{"AC-003 kid missing", `{"alg":"HS256","typ":"mfa-session+jwt"}`, good},
		{"AC-003 kid of 10 kB", `{"alg":"HS256","kid":"` + strings.Repeat("k", 10_000) + `","typ":"mfa-session+jwt"}`, good},
		{"AC-003 jku", `{"alg":"HS256","jku":"https://evil.test/k","kid":"k1","typ":"mfa-session+jwt"}`, good},
		{"AC-003 jwk", `{"alg":"HS256","jwk":{"kty":"oct","k":"AAAA"},"kid":"k1","typ":"mfa-session+jwt"}`, good},
		{"AC-003 x5u", `{"alg":"HS256","kid":"k1","typ":"mfa-session+jwt","x5u":"https://evil.test/c"}`, good},
		{"AC-008 half-done", `{"alg":"HS256","kid":"k1","typ":"mfa-half-done+jwt"}`, good},
		{"AC-008 plain JWT", `{"alg":"HS256","kid":"k1","typ":"JWT"}`, good},
		{"AC-008 no type", `{"alg":"HS256","kid":"k1"}`, good},
		{"AC-008 type in capitals", `{"alg":"HS256","kid":"k1","typ":"MFA-SESSION+JWT"}`, good},
		{"AC-009 crit", `{"alg":"HS256","b64":false,"crit":["b64"],"kid":"k1","typ":"mfa-session+jwt"}`, good},
		{"AC-009 empty crit", `{"alg":"HS256","crit":[],"kid":"k1","typ":"mfa-session+jwt"}`, good},
		{"header twice", `{"alg":"HS256","alg":"HS256","kid":"k1","typ":"mfa-session+jwt"}`, good},
		{"header in another case", `{"Alg":"HS256","kid":"k1","typ":"mfa-session+jwt"}`, good},
		{"header with blanks", `{"alg":"HS256", "kid":"k1","typ":"mfa-session+jwt"}`, good},
		{"header is a list", `[]`, good},
		{"header is null", `null`, good},

		{"AC-005 no exp", goodHeader, with(","+exp, "")},
		{"AC-005 exp 0", goodHeader, with(exp, `"exp":0`)},
		{"AC-005 exp as text", goodHeader, with(exp, `"exp":"9999999999"`)},
		{"AC-005 exp 1e400", goodHeader, with(exp, `"exp":1e400`)},
		{"AC-005 exp in 2100", goodHeader, with(exp, `"exp":4102444800`)},
		{"AC-005 exp past leeway", goodHeader, with(exp, fmt.Sprintf(`"exp":%d`, now-11))},
		{"AC-005 exp at the end of time", goodHeader, with(exp, `"exp":9223372036854775807`)},
		{"AC-005 iat at the start of time", goodHeader, with(`"iat":`+fmt.Sprint(now), `"iat":-9223372036854775808`)},
		{"AC-005 longer than a session lives", goodHeader, with(exp, fmt.Sprintf(`"exp":%d`, now+12*3600+20))},
		{"AC-005 not yet", goodHeader, with(`"nbf":`+fmt.Sprint(now), fmt.Sprintf(`"nbf":%d`, now+60))},
		{"AC-005 issued tomorrow", goodHeader, with(`"iat":`+fmt.Sprint(now), fmt.Sprintf(`"iat":%d`, now+86400))},
		{"AC-005 no iat", goodHeader, with(fmt.Sprintf(`"iat":%d,`, now), "")},
		{"AC-005 no nbf", goodHeader, with(fmt.Sprintf(`"nbf":%d,`, now), "")},
		{"AC-005 exp with a fraction", goodHeader, with(exp, fmt.Sprintf(`"exp":%d.0`, now+3600))},

		{"AC-007 other audience", goodHeader, with(scope, "app.b.test")},
		{"AC-007 no audience", goodHeader, with(`"aud":"app.a.test",`, "")},
		{"AC-007 list of audiences", goodHeader, with(`"app.a.test"`, `["app.a.test"]`)},
		{"AC-007 two audiences", goodHeader, with(`"app.a.test"`, `["app.a.test","app.b.test"]`)},
		{"AC-007 other issuer", goodHeader, with(issuer, "gateway-2")},
		{"AC-007 no issuer", goodHeader, with(`"iss":"gateway-1",`, "")},

		{"AC-020 sub twice", goodHeader, with(`"sub":"alice"`, `"sub":"bob","sub":"alice"`)},
		{"AC-020 Sub and sub", goodHeader, with(`"sub":"alice"`, `"sub":"alice","Sub":"alice"`)},
		{"AC-020 only Sub", goodHeader, with(`"sub":"alice"`, `"Sub":"alice"`)},
		{"AC-020 aud as number", goodHeader, with(`"app.a.test"`, `7`)},
		{"AC-020 further claim", goodHeader, with(`"jti"`, `"amr":"mfa","jti"`)},
		{"AC-020 sub with NUL", goodHeader, with(`"alice"`, `"alice\u0000"`)},
		{"AC-020 escaped sub", goodHeader, with(`"alice"`, `"\u0061lice"`)},
		{"AC-020 invalid UTF-8", goodHeader, with(`"alice"`, "\"alice\xff\"")},
		{"AC-020 long s in sub", goodHeader, with(`"sub"`, `"ſub"`)},
		{"AC-020 other order", goodHeader, with(`{"iss":"gateway-1","aud":"app.a.test"`, `{"aud":"app.a.test","iss":"gateway-1"`)},
		{"empty sub", goodHeader, with(`"alice"`, `""`)},
		{"empty sid", goodHeader, with(`"s1"`, `""`)},
		{"empty jti", goodHeader, with(`"J"`, `""`)},
		{"another user's session", goodHeader, with(`"alice"`, `"bob"`)},
		{"payload is null", goodHeader, `null`},
		{"payload is empty", goodHeader, ``},
		{"two documents", goodHeader, good + "{}"},
	} {
		t.Run(c.name, func(t *testing.T) {
			token := forge(c.header, c.payload, secret)
			if v, err := w.Verify(context.Background(), token, scope); !errors.Is(err, mfa.ErrNoSession) || v != nil {
				t.Errorf("got %v, %v; want a refusal", v, err)
			}
		})
	}

	t.Run("AC-001 none without a signature", func(t *testing.T) {
		enc := base64.RawURLEncoding.EncodeToString
		w.refused(enc([]byte(`{"alg":"none","typ":"mfa-session+jwt"}`)) + "." + enc([]byte(good)) + ".")
	})
	t.Run("signed with another key", func(t *testing.T) {
		w.refused(forge(goodHeader, good, key("x").Secret))
	})
	t.Run("AC-005 just within leeway, but the record rules", func(t *testing.T) {
		w.admitted(forge(goodHeader, with(exp, fmt.Sprintf(`"exp":%d`, now-5)), secret))
	})
}

// A token is one exact string.
func TestVerify_mutilated_AC004(t *testing.T) {
	w := newWorld(t)
	token := w.issue(w.session("alice", "s1"))
	w.admitted(token) // so that the cache could be fooled too
	parts := strings.Split(token, ".")
	bad := map[string]string{
		"empty":               "",
		"no signature":        parts[0] + "." + parts[1] + ".",
		"two parts":           parts[0] + "." + parts[1],
		"four parts":          token + ".x",
		"two tokens":          token + token,
		"two tokens, comma":   token + "," + token,
		"padding":             token + "=",
		"quoted":              `"` + token + `"`,
		"leading blank":       " " + token,
		"trailing blank":      token + " ",
		"leading tab":         "\t" + token,
		"trailing newline":    token + "\n",
		"signature alone":     parts[2],
		"signature, no front": ".." + parts[2],
		"other front":         "x." + parts[1] + "." + parts[2],
		"doubled payload":     parts[0] + "." + parts[1] + parts[1] + "." + parts[2],
	}
	for cut := 1; cut <= 60; cut++ {
		bad[fmt.Sprintf("%d bytes short", cut)] = token[:len(token)-cut]
	}
	for i := 0; i < len(token); i++ {
		for _, c := range []byte{'A', 'B', '-', '.', '='} {
			if token[i] != c {
				bad[fmt.Sprintf("byte %d is %c", i, c)] = token[:i] + string(c) + token[i+1:]
			}
		}
	}
	// The last character of a signature carries two bits that mean nothing; a
	// lenient decoder takes four spellings for one.
	for _, c := range "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_" {
		if last := token[:len(token)-1] + string(c); last != token {
			bad["last is "+string(c)] = last
		}
	}
	for name, token := range bad {
		if v, err := w.Verify(context.Background(), token, scope); !errors.Is(err, mfa.ErrNoSession) || v != nil {
			t.Errorf("%s: got %v, %v", name, v, err)
		}
	}
}

// The cap comes before any decoding, so that size costs nothing.
func TestVerify_oversized_AC011(t *testing.T) {
	w := newWorld(t)
	for name, token := range map[string]string{
		"dots":    strings.Repeat(".", 15_000),
		"nesting": base64.RawURLEncoding.EncodeToString([]byte(strings.Repeat("{", 11_000))) + ".e30.x",
		"letters": strings.Repeat("A", 1<<20),
	} {
		allocs := testing.AllocsPerRun(10, func() {
			if _, err := w.Verify(context.Background(), token, scope); !errors.Is(err, mfa.ErrNoSession) {
				t.Errorf("%s: %v", name, err)
			}
		})
		if allocs > 0 {
			t.Errorf("%s: %v allocations", name, allocs)
		}
	}
}

func TestVerify_other_scope_AC007(t *testing.T) {
	w := newWorld(t)
	token := w.issue(w.session("alice", "s1"))
	w.admitted(token)
	for _, other := range []string{"app.b.test", "", "APP.A.TEST", "app.a.test:8443", "a.test"} {
		if _, err := w.Verify(context.Background(), token, other); !errors.Is(err, ErrInvalid) {
			t.Errorf("scope %q: %v", other, err)
		}
	}
	w.admitted(token)
}

// A half-done sign-in has proven a password and nothing else.
func TestVerify_kinds_do_not_mix_AC008_AC015(t *testing.T) {
	w := newWorld(t)
	whole := w.session("alice", "s1")
	half := w.session("alice", "s2")
	half.Complete = false
	half.Expires = w.clock.Now().Add(mfa.HalfDoneLife)
	wholeToken, halfToken := w.issue(whole), w.issue(half)

	w.admitted(wholeToken)
	w.refused(halfToken)
	if _, err := w.VerifyHalfDone(context.Background(), wholeToken, scope); !errors.Is(err, mfa.ErrNoSession) {
		t.Errorf("a session passes for a half-done sign-in: %v", err)
	}
	v, err := w.VerifyHalfDone(context.Background(), halfToken, scope)
	if err != nil || v.Session.ID != "s2" || v.Subject.ID != "alice" {
		t.Fatalf("%v, %v", v, err)
	}

	// The record decides, too: a record that turned complete is no half-done one,
	// and the reverse.
	half.Complete = true
	if _, err := w.VerifyHalfDone(context.Background(), halfToken, scope); !errors.Is(err, mfa.ErrNoSession) {
		t.Errorf("complete record, half-done token: %v", err)
	}
	w.store.change("alice", func() { whole.Complete = false })
	w.refused(wholeToken)
}

// The end of a half-done sign-in is in its record and moves with each step.
func TestVerifyHalfDone_expires_AC015(t *testing.T) {
	w := newWorld(t)
	half := w.session("alice", "s2")
	half.Complete = false
	half.Expires = w.clock.Now().Add(mfa.HalfDoneLife)
	token := w.issue(half)
	w.clock.Advance(9 * time.Minute)
	half.Expires = w.clock.Now().Add(mfa.HalfDoneLife)
	w.clock.Advance(9 * time.Minute)
	if _, err := w.VerifyHalfDone(context.Background(), token, scope); err != nil {
		t.Errorf("refused after a step: %v", err)
	}
	w.clock.Advance(time.Minute)
	if _, err := w.VerifyHalfDone(context.Background(), token, scope); !errors.Is(err, mfa.ErrNoSession) {
		t.Errorf("ten minutes after the last step: %v", err)
	}
}

func TestIssue_refuses_what_would_not_verify(t *testing.T) {
	w := newWorld(t)
	for name, alter := range map[string]func(*mfa.Session){
		"no ID":           func(s *mfa.Session) { s.ID = "" },
		"no user":         func(s *mfa.Session) { s.User = "" },
		"no scope":        func(s *mfa.Session) { s.Scope = "" },
		"ended":           func(s *mfa.Session) { s.Expires = w.clock.Now() },
		"lives too long":  func(s *mfa.Session) { s.Expires = w.clock.Now().Add(13 * time.Hour) },
		"never has begun": func(s *mfa.Session) { s.Expires = time.Time{} },
	} {
		s := *w.session("alice", "s1")
		alter(&s)
		if token, err := w.Issue(&s); err == nil || token != "" {
			t.Errorf("%s: issued", name)
		}
	}
	if _, err := w.Issue(nil); err == nil {
		t.Error("nil: issued")
	}
}

func TestIssue_tokens_differ_AC019(t *testing.T) {
	w := newWorld(t)
	s := w.session("alice", "s1")
	seen := map[string]bool{}
	for range 1000 {
		token := w.issue(s)
		if seen[token] {
			t.Fatal("a token was issued twice")
		}
		seen[token] = true
	}
	if len(w.issue(s)) > 3<<10 {
		t.Error("longer than a cookie should be")
	}
}

// Rotation: new tokens carry the new key, old ones live on until the old key is
// taken away, and then end at once.
func TestKeys_rotation_AC197(t *testing.T) {
	old := newWorld(t, func(c *Config) { c.Keys = []Key{key("a")} })
	s := old.session("alice", "s1")
	oldToken := old.issue(s)

	both := newWorld(t, func(c *Config) { c.Keys = []Key{key("b"), key("a")} })
	both.session("alice", "s1")
	both.admitted(oldToken)
	newToken := both.issue(s)
	both.admitted(newToken)
	old.refused(newToken)

	gone := newWorld(t, func(c *Config) { c.Keys = []Key{key("b")} })
	gone.session("alice", "s1")
	gone.refused(oldToken)
	gone.admitted(newToken)

	// The same ID with another secret is another key.
	fake := newWorld(t, func(c *Config) { c.Keys = []Key{{ID: "b", Secret: key("c").Secret}} })
	fake.session("alice", "s1")
	fake.refused(newToken)
}

func TestNew_refuses(t *testing.T) {
	for name, alter := range map[string]func(*Config){
		"no store":     func(c *Config) { c.Store = nil },
		"no key":       func(c *Config) { c.Keys = nil },
		"no issuer":    func(c *Config) { c.Issuer = "" },
		"short secret": func(c *Config) { c.Keys[0].Secret = c.Keys[0].Secret[:31] },
		"key ID twice": func(c *Config) { c.Keys = append(c.Keys, c.Keys[0]) },
		"empty key ID": func(c *Config) { c.Keys[0].ID = "" },
		"idle":         func(c *Config) { c.Idle = -1 },
	} {
		cfg := Config{Store: newFakeStore(), Keys: []Key{key("k1")}, Issuer: issuer}
		alter(&cfg)
		if _, err := New(cfg); err == nil {
			t.Errorf("%s: accepted", name)
		}
	}
}

// FuzzToken: only what was issued is admitted, and nothing panics.
func FuzzToken(f *testing.F) {
	w := newWorld(f)
	w.session("alice", "s1")
	secret := key("k1").Secret
	// The same in every process that fuzzes: an issued one has random parts.
	good := forge(goodHeader, w.payload("alice", "s1"), secret)
	f.Add(good, "", "")
	f.Add("", goodHeader, w.payload("alice", "s1"))
	f.Add("a.b.c", `{"alg":"none"}`, `{"exp":1e400}`)
	f.Add(good[:len(good)-1], `{"alg":"HS256","kid":"k1","typ":"mfa-session+jwt","crit":["x"]}`, `{"sub":"alice","Sub":"bob"}`)
	admissible := map[string]bool{w.payload("alice", "s1"): true}
	f.Fuzz(func(t *testing.T, token, header, payload string) {
		if _, err := w.Verify(context.Background(), token, scope); err == nil && token != good {
			t.Errorf("admitted %q", token)
		}
		_, err := w.Verify(context.Background(), forge(header, payload, secret), scope)
		if err != nil && !errors.Is(err, mfa.ErrNoSession) {
			t.Errorf("%q %q: %v", header, payload, err)
		}
		// With the right key a fuzzer can write a good token; but then it is
		// exactly as we write it, but for times and names.
		if err == nil && !admissible[payload] && (header != goodHeader || !strings.HasPrefix(payload, `{"iss":"gateway-1","aud":"app.a.test","sub":"alice","sid":"s1","jti":"`)) {
			t.Errorf("admitted %q %q", header, payload)
		}
	})
}
