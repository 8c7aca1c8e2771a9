package oidc_test

import (
	"crypto/rand"
	"crypto/rsa"
	"encoding/base64"
	"encoding/json"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/secondgate/secondgate/identity/oidc"
	"github.com/secondgate/secondgate/internal/oidctest"
	"github.com/secondgate/secondgate/mfa"
)

// payload returns the claims of a token, unverified.
func payload(t *testing.T, token string) map[string]any {
	t.Helper()
	raw, err := base64.RawURLEncoding.DecodeString(strings.Split(token, ".")[1])
	if err != nil {
		t.Fatal(err)
	}
	var all map[string]any
	if err := json.Unmarshal(raw, &all); err != nil {
		t.Fatal(err)
	}
	return all
}

// AC-175, AC-176: whatever does not hold of an ID token, nobody is signed in by it.
func TestSource_AC176_RejectsIDTokens(t *testing.T) {
	w := newWorld(t, nil)
	claim := func(name string, value any) func(*oidctest.Lies) {
		return func(l *oidctest.Lies) {
			l.IDToken = func(c map[string]any) {
				c[name] = value
				if value == nil {
					delete(c, name)
				}
			}
		}
	}
	claims := func(pairs ...any) func(*oidctest.Lies) {
		return func(l *oidctest.Lies) {
			l.IDToken = func(c map[string]any) {
				for i := 0; i < len(pairs); i += 2 {
					c[pairs[i].(string)] = pairs[i+1]
				}
			}
		}
	}
	at := func(name string, d time.Duration) func(*oidctest.Lies) {
		return func(l *oidctest.Lies) { l.IDToken = func(c map[string]any) { c[name] = w.clock.Now().Add(d).Unix() } }
	}
	token := func(f func(string) string) func(*oidctest.Lies) {
		return func(l *oidctest.Lies) { l.Token = f }
	}
	key, stranger := w.provider.Key(), oidctest.NewKey()
	secret := []byte(w.provider.ClientSecret)
	tests := map[string]func(*oidctest.Lies){
		"AC-175 no nonce":                 claim("nonce", nil),
		"AC-175 another nonce":            claim("nonce", "another"),
		"AC-175 a nonce that is a number": claim("nonce", 1),
		"AC-175 a nonce that is a list":   claim("nonce", []string{"x"}),
		"another issuer":                  claim("iss", "https://evil.example"),
		"the issuer with a slash":         claim("iss", w.provider.URL+"/"),
		"no issuer":                       claim("iss", nil),
		"for another client":              claim("aud", "another"),
		"for nobody":                      claim("aud", nil),
		"for an empty list":               claim("aud", []string{}),
		"for us and an unknown client":    claims("aud", []string{"secondgate", "another"}, "azp", "secondgate"),
		"for us and another, no azp":      claim("aud", []string{"secondgate", "trusted"}),
		"for us twice, no azp":            claim("aud", []string{"secondgate", "secondgate"}),
		"for us and another, their azp":   claims("aud", []string{"secondgate", "trusted"}, "azp", "trusted"),
		"for us alone, another's azp":     claim("azp", "trusted"),
		"an azp that is a number":         claim("azp", 7),
		"an empty azp":                    claim("azp", ""),
		"an audience that is an object":   claim("aud", map[string]any{"secondgate": true}),
		"over":                            at("exp", -time.Second),
		"over this second":                at("exp", 0),
		"without an end":                  claim("exp", nil),
		"an end that is a text":           claim("exp", "2099-01-01"),
		"an end that is null":             claim("exp", json.RawMessage("null")),
		"made in the future":              at("iat", 2*time.Minute),
		"made an hour ago":                at("iat", -time.Hour),
		"made just over ten minutes ago":  at("iat", -10*time.Minute-time.Second),
		"made never":                      claim("iat", nil),
		"a negative time":                 claim("iat", -1),
		"good only in an hour":            at("nbf", time.Hour),
		"signed in in the future":         at("auth_time", time.Hour),
		"signed in at a text":             claim("auth_time", "now"),
		"no subject":                      claim("sub", nil),
		"an empty subject":                claim("sub", ""),
		"a subject that is a number":      claim("sub", 7),
		"a subject that is a list":        claim("sub", []string{"sub-alice"}),
		"a long subject":                  claim("sub", strings.Repeat("x", 256)),
		"a subject with a line break":     claim("sub", "alice\nbob"),
		// Libraries that do not mind the case of letters take the last of the two.
		"a second subject in other letters":  claims("sub", "sub-alice", "\u017fub", "sub-bob"),
		"only Sub in other letters":          claims("sub", json.RawMessage("null"), "SUB", "sub-bob"),
		"another access token":               claim("at_hash", "AAAAAAAAAAAAAAAAAAAAAA"),
		"an at_hash that is a number":        claim("at_hash", 7),
		"a session that is a number":         claim("sid", 7),
		"unsigned":                           token(func(s string) string { return oidctest.Unsigned(payload(t, s)) }),
		"unsigned, as it was":                token(func(s string) string { return s[:strings.LastIndex(s, ".")+1] }),
		"signed with the client's secret":    token(func(s string) string { return oidctest.HMAC(secret, key.ID, payload(t, s)) }),
		"signed by a stranger under our kid": token(func(s string) string { stranger.ID = key.ID; return stranger.Sign(nil, payload(t, s)) }),
		"signed by a stranger without a kid": token(func(s string) string { return stranger.Sign(map[string]any{"kid": nil}, payload(t, s)) }),
		"the stranger's key in the header": token(func(s string) string {
			return stranger.Sign(map[string]any{"kid": nil, "jku": "https://evil.example/jwks"}, payload(t, s))
		}),
		"an unknown critical header":           token(func(s string) string { return key.Sign(map[string]any{"crit": []string{"x"}, "x": 1}, payload(t, s)) }),
		"an algorithm that the key is not for": token(func(s string) string { return key.Sign(map[string]any{"alg": "ES384"}, payload(t, s)) }),
		"changed behind the signature": token(func(s string) string {
			parts := strings.Split(s, ".")
			c := payload(t, s)
			c["sub"] = "sub-bob"
			raw, _ := json.Marshal(c)
			return parts[0] + "." + base64.RawURLEncoding.EncodeToString(raw) + "." + parts[2]
		}),
		"two tokens":       token(func(s string) string { return s + "." + s }),
		"no token":         token(func(string) string { return "" }),
		"no JSON":          token(func(string) string { return "a.b.c" }),
		"encrypted":        token(func(s string) string { return s + ".x.y" }),
		"a huge token":     token(func(s string) string { return s + strings.Repeat("x", 70<<10) }),
		"a list of claims": token(func(string) string { return key.Sign(nil, nil) }),
		"an ID token that is no text": func(l *oidctest.Lies) {
			l.Tokens = func(m map[string]any) { m["id_token"] = map[string]any{"sub": "sub-alice"} }
		},
		"no ID token": func(l *oidctest.Lies) { l.Tokens = func(m map[string]any) { delete(m, "id_token") } },
	}
	w.source = w.newSource(func(c *oidc.Config) { c.Audiences = []string{"trusted"} })
	w.mustSignIn("alice") // so that the keys are known
	for name, lie := range tests {
		t.Run(name, func(t *testing.T) {
			// Keys are asked for at most once in a while; then an unknown one is no outage.
			w.clock.Move(10 * time.Second)
			var l oidctest.Lies
			lie(&l)
			w.provider.Lie(l)
			location, kept := w.begin(false)
			id, err := w.source.Finish(t.Context(), kept, w.provider.SignIn(t, location, "alice"))
			if id != nil || !errors.Is(err, mfa.ErrRejected) {
				t.Errorf("%+v, error %v", id, err)
			}
			if err != nil && (strings.Contains(err.Error(), "evil") || strings.Contains(err.Error(), "sub-")) {
				t.Errorf("the error repeats the token: %v", err)
			}
		})
	}
	t.Run("what differs but holds", func(t *testing.T) {
		for name, lie := range map[string]func(*oidctest.Lies){
			"our azp":                     claim("azp", "secondgate"),
			"a list of us":                claim("aud", []string{"secondgate"}),
			"for us and a trusted client": claims("aud", []string{"trusted", "secondgate"}, "azp", "secondgate"),
			"a clock a little ahead": func(l *oidctest.Lies) {
				l.IDToken = func(c map[string]any) { c["iat"] = w.clock.Now().Add(50 * time.Second).Unix() }
			},
			"times with fractions": func(l *oidctest.Lies) {
				l.IDToken = func(c map[string]any) { c["exp"] = float64(w.clock.Now().Unix()) + 60.5 }
			},
			"no at_hash, no auth_time, no sid": func(l *oidctest.Lies) {
				l.IDToken = func(c map[string]any) { delete(c, "at_hash"); delete(c, "auth_time"); delete(c, "sid") }
			},
			"no kid": token(func(s string) string { return key.Sign(map[string]any{"kid": nil, "typ": nil}, payload(t, s)) }),
		} {
			var l oidctest.Lies
			lie(&l)
			w.provider.Lie(l)
			if id, err := w.signIn("alice"); err != nil || id.Subject != "sub-alice" {
				t.Errorf("%s: %+v, error %v", name, id, err)
			}
		}
	})
}

// AC-176: providers change their keys. The new ones are found, the old ones are worth
// nothing any more, and nobody makes us ask for keys all the time.
func TestSource_AC176_KeysChange(t *testing.T) {
	w := newWorld(t, nil)
	w.mustSignIn("alice")
	old := w.provider.Key()
	w.provider.RotateKey()
	w.clock.Move(10 * time.Second)
	w.mustSignIn("alice")
	w.clock.Move(10 * time.Second)
	w.provider.Lie(oidctest.Lies{Token: func(s string) string { return old.Sign(nil, payload(t, s)) }})
	if _, err := w.signIn("alice"); !errors.Is(err, mfa.ErrRejected) {
		t.Errorf("signed with the old key: %v", err)
	}
	before := len(w.provider.Requests("/jwks"))
	for range 20 {
		if _, err := w.signIn("alice"); err == nil {
			t.Fatal("signed in with the old key")
		}
	}
	if n := len(w.provider.Requests("/jwks")) - before; n != 0 {
		t.Errorf("within a moment the keys were asked for %d times", n)
	}
	rsaKey, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		t.Fatal(err)
	}
	w.provider.Lie(oidctest.Lies{})
	w.provider.UseKey(oidctest.Key{ID: "rsa", Signer: rsaKey})
	w.clock.Move(10 * time.Second)
	w.mustSignIn("alice")

	// The public key as the secret of HS256 (algorithm confusion).
	public, _ := json.Marshal(rsaKey.Public())
	w.provider.Lie(oidctest.Lies{Token: func(s string) string { return oidctest.HMAC(public, "rsa", payload(t, s)) }})
	w.clock.Move(10 * time.Second)
	if _, err := w.signIn("alice"); !errors.Is(err, mfa.ErrRejected) {
		t.Errorf("algorithm confusion: %v", err)
	}
}

// A provider that offers RS256 alone does not sign with anything else: whoever does, is
// somebody else.
func TestSource_RejectsAlgorithmsNotOffered(t *testing.T) {
	w := newWorld(t, nil)
	w.provider.Lie(oidctest.Lies{Description: func(d map[string]any) {
		d["id_token_signing_alg_values_supported"] = []string{"RS256", "HS256", "none"}
	}})
	if _, err := w.signIn("alice"); !errors.Is(err, mfa.ErrRejected) {
		t.Errorf("error %v", err)
	}
}

// Two providers may have the same subject: the source keeps them apart.
func TestSource_AC176_TwoProvidersOneSubject(t *testing.T) {
	first, second := newWorld(t, nil), newWorld(t, func(c *oidc.Config) { c.Name = "other" })
	a, b := first.mustSignIn("alice"), second.mustSignIn("alice")
	if a.Subject != b.Subject || a.Source == b.Source {
		t.Errorf("%+v and %+v", a, b)
	}
	// The answer of one at the other.
	location, _ := first.begin(false)
	_, kept := second.begin(false)
	if _, err := second.source.Finish(t.Context(), kept, first.provider.SignIn(t, location, "alice")); !errors.Is(err, mfa.ErrRejected) {
		t.Errorf("AC-177: the other provider's answer: %v", err)
	}
}
