package e2e

import (
	"encoding/base64"
	"encoding/json"
	"fmt"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"
)

// parts returns the header and payload of a token, and its signature.
func parts(t testing.TB, token string) (header, payload map[string]any, signature string) {
	t.Helper()
	list := strings.Split(token, ".")
	if len(list) != 3 {
		t.Fatalf("%q is no token", token)
	}
	for i, into := range []*map[string]any{&header, &payload} {
		text, err := base64.RawURLEncoding.DecodeString(list[i])
		if err != nil {
			t.Fatal(err)
		}
		if err := json.Unmarshal(text, into); err != nil {
			t.Fatal(err)
		}
	}
	return header, payload, list[2]
}

func segment(v any) string {
	text, err := json.Marshal(v)
	if err != nil {
		panic(err) // maps of strings and numbers
	}
	return base64.RawURLEncoding.EncodeToString(text)
}

// AC-001, AC-003, AC-004, AC-007: no token that the gateway did not write, byte
// for byte and for this host, opens anything. What needs the signing key
// (AC-005, AC-009, AC-020) is tested where the key is: package session.
func TestHostile_tokens_AC001_AC003_AC004(t *testing.T) {
	w := attack(t)
	token := w.browser.cookie(w.hostCookie())
	header, payload, signature := parts(t, token)
	list := strings.Split(token, ".")

	// Whoever follows a reference in a token connects here.
	trap, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer trap.Close()
	fetched := make(chan struct{}, 1)
	go func() {
		for {
			c, err := trap.Accept()
			if err != nil {
				return
			}
			c.Close()
			select {
			case fetched <- struct{}{}:
			default:
			}
		}
	}()

	cases := map[string]string{}
	for _, alg := range []string{"none", "None", "NONE", "nOnE", "", "HS384", "HS512", "RS256", "ES256", "EdDSA", "hs256"} {
		h := clone(header)
		h["alg"] = alg
		cases["AC-001 alg "+alg+" without a signature"] = segment(h) + "." + list[1] + "."
		cases["AC-001 alg "+alg] = segment(h) + "." + list[1] + "." + signature
	}
	h := clone(header)
	delete(h, "alg")
	cases["AC-001 no alg"] = segment(h) + "." + list[1] + "." + signature
	for i, kid := range []any{"../../etc/passwd", "' OR 1=1 --", "unknown", "", strings.Repeat("k", 10<<10), 7, nil, []string{"a"}, "/dev/null", "\x00"} {
		h := clone(header)
		h["kid"] = kid
		cases[fmt.Sprintf("AC-003 kid %d", i)] = segment(h) + "." + list[1] + "." + signature
	}
	for _, name := range []string{"jku", "x5u", "jwk", "x5c", "crit", "b64", "zip", "cty"} {
		h := clone(header)
		h[name] = "http://" + trap.Addr().String() + "/keys"
		cases["AC-003 "+name] = segment(h) + "." + list[1] + "." + signature
	}
	for _, typ := range []string{"JWT", "mfa-half-done+jwt", "at+jwt", ""} {
		h := clone(header)
		h["typ"] = typ
		cases["AC-008 typ "+typ] = segment(h) + "." + list[1] + "." + signature
	}
	for name, value := range map[string]any{"sub": "root", "sid": "x", "aud": "other.test", "exp": 9999999999, "iss": "evil", "admin": true} {
		p := clone(payload)
		p[name] = value
		cases["AC-004 another "+name] = list[0] + "." + segment(p) + "." + signature
	}
	at := 0
	for i, part := range list {
		for _, k := range []int{0, len(part) / 2, len(part) - 1} {
			b := []byte(token)
			b[at+k] ^= 1
			cases[fmt.Sprintf("AC-004 a bit of part %d at %d", i, k)] = string(b)
		}
		at += len(part) + 1
	}
	for n := 1; n <= 8; n++ {
		cases[fmt.Sprintf("AC-004 %d bytes short", n)] = token[:len(token)-n]
	}
	for name, text := range map[string]string{
		"no signature": list[0] + "." + list[1] + ".", "two parts": list[0] + "." + list[1], "two tokens": token + token, "two tokens with a dot": token + "." + token,
		"another part": token + ".x", "padded": token + "=", "padded header": list[0] + "==." + list[1] + "." + list[2], "quoted": `"` + token + `"`,
		"upper case": strings.ToUpper(token), "percent": strings.Replace(token, ".", "%2e", 1), "plus": strings.NewReplacer("-", "+", "_", "/").Replace(token) + "+",
		"a comma": token + ",", "a line end in base64": list[0] + "%0a." + list[1] + "." + list[2], "empty": "", "dots": "..", "one dot": ".", "null": "null",
		"a JWE": token + ".a.b", "unicode": token + "é", "a brace": "{" + token + "}", "JSON serialization": `{"payload":"x"}`,
	} {
		cases["AC-004 "+name] = text
	}
	w.each(t, func(t *testing.T, send func(message) answer, _ string) {
		for name, token := range cases {
			if a, h := w.reaches(send, plainGet("/x").cookie(w.hostCookie()+"="+token)); a.status != http.StatusRequestHeaderFieldsTooLarge {
				if fault := denied(a, h); fault != "" {
					t.Errorf("%s: %s", name, fault)
				} else if a.err == nil && token != "" && a.status == http.StatusFound && !strings.Contains(strings.Join(a.header["Set-Cookie"], ""), w.hostCookie()+"=;") {
					t.Errorf("%s: the cookie stays", name)
				}
			}
		}
		if a, h := w.reaches(send, plainGet("/x").cookie(w.session)); h == nil {
			t.Errorf("the session itself: %s", a)
		}
	})
	select {
	case <-fetched:
		t.Error("AC-003 the gateway fetched a key that a token named")
	case <-time.After(100 * time.Millisecond):
	}
	if !strings.Contains(w.log(), `"session_invalid"`) && !strings.Contains(w.log(), "session.invalid") {
		t.Error("AC-001 no event")
	}
}

func clone(m map[string]any) map[string]any {
	c := map[string]any{}
	for k, v := range m {
		c[k] = v
	}
	return c
}

// twoHosts protects two hosts that share nothing.
var twoHosts = strings.Replace(secure, "\tmfa {\n\t\tdomain example.test\n\t}\n", "\tmfa\n", 1)

// AC-007: a session is good for its own host, unless the domain is shared.
func TestHostile_another_host_AC007(t *testing.T) {
	w := attack(t, twoHosts)
	other := w.wire
	other.host, other.name = strings.Replace(w.host, "app.", "wiki.", 1), "wiki.example.test"
	other.each(t, func(t *testing.T, send func(message) answer, _ string) {
		a, h := w.reaches(send, plainGet("/x").cookie(w.session))
		if fault := denied(a, h); fault != "" {
			t.Errorf("AC-007 %s", fault)
		}
		a, h = w.reaches(send, plainGet("/.mfa/account").cookie(w.session))
		if h != nil || a.status == http.StatusOK {
			t.Errorf("AC-007 the account page: %s", a)
		}
	})
	if a, h := w.reaches(w.h2, plainGet("/x").cookie(w.session)); h == nil {
		t.Errorf("its own host: %s", a)
	}
	// A second installation has keys of its own.
	second := attack(t)
	if a, h := second.reaches(second.h1, plainGet("/x").cookie(w.session)); denied(a, h) != "" {
		t.Errorf("AC-007 another installation: %s", denied(a, h))
	}
}

// AC-008, AC-012, AC-014, AC-015, AC-016: each kind of token is good for one
// thing; a new one comes with each rise, and the old one dies.
func TestHostile_kinds_AC008_AC012_AC014_AC015_AC016(t *testing.T) {
	w := attack(t)
	w.each(t, func(t *testing.T, send func(message) answer, _ string) {
		c := w.stranger(t)
		c.get("/.mfa/sign-in")
		planted := c.line()
		page := c.signIn("alice")
		half := c.cookie(c.halfDoneName())
		if half == "" {
			t.Fatalf("no half-done cookie: %d %s", page.Status, page.Text())
		}
		t.Run("AC-015 a half-done sign-in opens nothing", func(t *testing.T) {
			for _, line := range []string{w.hostCookie() + "-half=" + half, w.hostCookie() + "=" + half, w.hostCookie() + "=" + half + "; " + w.hostCookie() + "-half=" + half} {
				for _, path := range []string{"/x", "/strict/x", "/"} {
					if fault := denied(w.reaches(send, plainGet(path).cookie(line))); fault != "" {
						t.Errorf("%s: %s", path, fault)
					}
				}
				for _, path := range []string{"account", "account/password", "account/remove?credential=x", "set-up", "set-up/totp", "set-up/passkey", "set-up/backup-codes", "set-up/backup-codes.txt", "set-up/totp?from=account"} {
					a, h := w.reaches(send, plainGet("/.mfa/"+path).cookie(line))
					if h != nil || a.status == http.StatusOK || strings.Contains(a.body, w.alice.App.Secret) {
						t.Errorf("AC-161 %s: %s", path, a)
					}
				}
			}
		})
		t.Run("AC-008 other tokens are no session, nor the reverse", func(t *testing.T) {
			for name, line := range map[string]string{
				"csrf as a session":       w.hostCookie() + "=" + c.cookie(w.hostCookie()+"-csrf"),
				"csrf as half-done":       w.hostCookie() + "-half=" + c.cookie(w.hostCookie()+"-csrf"),
				"a session as half-done":  w.hostCookie() + "-half=" + w.browser.cookie(w.hostCookie()),
				"language as a session":   w.hostCookie() + "=de",
				"another name":            "__Host-mfa2=" + w.browser.cookie(w.hostCookie()),
				"the name without prefix": "mfa=" + w.browser.cookie(w.hostCookie()),
				"the name of plain http":  fmt.Sprintf("mfa-%d=%s", w.TLSPort, w.browser.cookie(w.hostCookie())),
				"the name of a domain":    "__Secure-mfa=" + w.browser.cookie(w.hostCookie()),
			} {
				if fault := denied(w.reaches(send, plainGet("/x").cookie(line))); fault != "" {
					t.Errorf("%s: %s", name, fault)
				}
				if a, _ := w.reaches(send, plainGet("/.mfa/account").cookie(line)); a.status == http.StatusOK {
					t.Errorf("%s: the account opens", name)
				}
			}
		})
		t.Run("AC-013 two cookies of one name are none", func(t *testing.T) {
			own := w.hostCookie() + "=" + w.browser.cookie(w.hostCookie())
			for name, lines := range map[string][][2]string{
				"theirs first":   {{"Cookie", w.hostCookie() + "=x; " + own}},
				"theirs last":    {{"Cookie", own + "; " + w.hostCookie() + "=x"}},
				"on two lines":   {{"Cookie", own}, {"Cookie", w.hostCookie() + "=x"}},
				"the same twice": {{"Cookie", own + "; " + own}},
			} {
				a, h := w.reaches(send, plainGet("/x").with(lines...))
				if fault := denied(a, h); fault != "" {
					t.Errorf("%s: %s", name, fault)
				}
			}
		})
		t.Run("AC-016 a token in another place is none", func(t *testing.T) {
			token := w.browser.cookie(w.hostCookie())
			for name, m := range map[string]message{
				"query":  plainGet("/x?token=" + token + "&" + w.hostCookie() + "=" + token + "&access_token=" + token),
				"bearer": plainGet("/x").with([2]string{"Authorization", "Bearer " + token}), "X-Session": plainGet("/x").with([2]string{"X-Session", token}),
				"Cookie2": plainGet("/x").with([2]string{"Cookie2", w.hostCookie() + "=" + token}),
				"form":    {method: "POST", target: "/x", header: [][2]string{{"Content-Type", "application/x-www-form-urlencoded"}}, body: w.hostCookie() + "=" + token},
			} {
				if fault := denied(w.reaches(send, m)); fault != "" {
					t.Errorf("%s: %s", name, fault)
				}
			}
		})
		c.verifyTOTP(page, w.alice.App.Code(t))
		full := c.cookie(c.sessionName())
		t.Run("AC-012 what was planted before never becomes a session", func(t *testing.T) {
			for _, line := range []string{planted, w.hostCookie() + "-half=" + half, w.hostCookie() + "=" + half} {
				if fault := denied(w.reaches(send, plainGet("/x").cookie(line))); fault != "" {
					t.Error(fault)
				}
				if a := send(plainGet("/.mfa/verify").cookie(line)); a.status == http.StatusOK {
					t.Errorf("AC-012 the half-done sign-in outlived its end: %s", a)
				}
			}
		})
		t.Run("AC-012 a new sign-in ends the session before it", func(t *testing.T) {
			p := c.get("/.mfa/sign-in?for=account/password")
			c.submit(p, "/.mfa/sign-in", "name", "alice", "password", password)
			if fault := denied(w.reaches(send, plainGet("/x").cookie(w.hostCookie()+"="+full))); fault != "" {
				t.Error(fault)
			}
		})
		t.Run("AC-014 sign-out is final", func(t *testing.T) {
			c := w.stranger(t)
			c.enter(w.alice)
			line := c.only(c.sessionName())
			if a, h := w.reaches(send, plainGet("/x").cookie(line)); h == nil {
				t.Fatal(a)
			}
			c.signOut()
			if c.cookie(c.sessionName()) != "" {
				t.Error("the cookie stays")
			}
			if fault := denied(w.reaches(send, plainGet("/x").cookie(line))); fault != "" {
				t.Error(fault)
			}
			for _, path := range []string{"/.mfa/account", "/.mfa/verify", "/.mfa/set-up"} {
				if a := send(plainGet(path).cookie(line)); a.status == http.StatusOK {
					t.Errorf("%s opens: %s", path, a)
				}
			}
		})
	})
}
