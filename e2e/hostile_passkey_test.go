package e2e

import (
	"bytes"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/secondgate/secondgate/mfa/mfatest"
)

// keyring is a target whose alice has a passkey too, and a browser that has
// proven her password.
type keyring struct {
	*target
	own  *mfatest.Authenticator
	half *client
}

func newKeyring(t *testing.T) *keyring {
	t.Helper()
	w := attack(t)
	k := &keyring{target: w, own: w.browser.newAuthenticator()}
	w.browser.addPasskey(k.own)
	k.half = k.signedIn(t)
	return k
}

// signedIn is a stranger's browser that knows alice's password.
func (k *keyring) signedIn(t *testing.T) *client {
	t.Helper()
	c := k.stranger(t)
	if p := c.signIn("alice"); !strings.Contains(p.URL.Path, "/verify") {
		t.Fatalf("after the password: %s %q", p.URL, p.Title())
	}
	return c
}

// refused complains where the answer is not a refusal, or a session came with it.
func refused(t *testing.T, c *client, what string, a *answered) {
	t.Helper()
	if a.Status < 400 || a.Status >= 500 {
		t.Errorf("%s: %d %s", what, a.Status, a.Body)
	}
	for _, set := range a.Header["Set-Cookie"] {
		if name, value, _ := strings.Cut(set, "="); name == c.sessionName() && !strings.HasPrefix(value, ";") {
			t.Errorf("%s: a session was made", what)
		}
	}
}

// AC-136 to AC-149: an answer that lies about anything is refused, at the wire.
func TestHostile_passkey_answers_AC136_AC145(t *testing.T) {
	k := newKeyring(t)
	bob := k.stranger(t)
	bob.join(k.invite(t, "bob"), "bob")
	theirs := bob.newAuthenticator()
	bob.addPasskey(theirs)
	bobKey := theirs.Keys()[0]
	port := fmt.Sprint(k.TLSPort)
	std := func(text string) string {
		raw, err := base64.RawURLEncoding.DecodeString(text)
		if err != nil {
			t.Fatal(err)
		}
		return base64.StdEncoding.EncodeToString(append(raw[:len(raw)-2], 0xfb, 0xff))
	}
	bends := map[string]func(*mfatest.Bend){
		"AC-139 challenge empty":     func(b *mfatest.Bend) { b.Challenge = "" },
		"AC-139 challenge truncated": func(b *mfatest.Bend) { b.Challenge = b.Challenge[:len(b.Challenge)-4] },
		"AC-139 another challenge":   func(b *mfatest.Bend) { b.Challenge = strings.Repeat("A", 43) },
		"AC-139 standard base64":     func(b *mfatest.Bend) { b.Challenge = std(b.Challenge) },
		"AC-140 bob's key": func(b *mfatest.Bend) {
			b.Key, b.CredentialID, b.UserHandle = bobKey, bobKey.ID, bobKey.UserHandle
		},
		"AC-140 bob's key, alice's handle": func(b *mfatest.Bend) { b.Key, b.CredentialID = bobKey, bobKey.ID },
		"AC-140 bob's key, no handle":      func(b *mfatest.Bend) { b.Key, b.CredentialID, b.UserHandle = bobKey, bobKey.ID, nil },
		"AC-140 alice's ID, bob's key":     func(b *mfatest.Bend) { b.Key = bobKey },
		"AC-140 alice's key, bob's handle": func(b *mfatest.Bend) { b.UserHandle = bobKey.UserHandle },
		"AC-140 unknown ID":                func(b *mfatest.Bend) { b.CredentialID = bytes.Repeat([]byte{7}, 32) },
		"AC-143 user not verified":         func(b *mfatest.Bend) { b.Flags &^= mfatest.FlagUV },
		"AC-144 user not present":          func(b *mfatest.Bend) { b.Flags &^= mfatest.FlagUP },
		"AC-145 create for get":            func(b *mfatest.Bend) { b.Type = "webauthn.create" },
		"AC-145 payment.get":               func(b *mfatest.Bend) { b.Type = "payment.get" },
		"AC-145 no type":                   func(b *mfatest.Bend) { b.Type = "" },
		"AC-149 backed up, but cannot be":  func(b *mfatest.Bend) { b.Flags |= mfatest.FlagBS },
		"AC-149 can be backed up now":      func(b *mfatest.Bend) { b.Flags |= mfatest.FlagBE | mfatest.FlagBS },
		"RP ID of another": func(b *mfatest.Bend) {
			sum := sha256.Sum256([]byte("evil.test"))
			b.RPIDHash = sum[:]
		},
		"cross-origin":       func(b *mfatest.Bend) { b.CrossOrigin = true },
		"top origin":         func(b *mfatest.Bend) { b.CrossOrigin, b.TopOrigin = true, "https://evil.test" },
		"signature of none":  func(b *mfatest.Bend) { b.Signature = func([]byte) []byte { return nil } },
		"signature changed":  func(b *mfatest.Bend) { b.Signature = func(s []byte) []byte { s[len(s)-1] ^= 1; return s } },
		"data after the end": func(b *mfatest.Bend) { b.AuthData = func(d []byte) []byte { return append(d, 1, 2, 3) } },
		"id differs from rawId": func(b *mfatest.Bend) {
			b.Answer = func(a map[string]any) { a["rawId"] = base64.RawURLEncoding.EncodeToString(bobKey.ID) }
		},
		"another kind of credential": func(b *mfatest.Bend) { b.Answer = func(a map[string]any) { a["type"] = "password" } },
	}
	for _, origin := range []string{
		"https://evil.test", "http://app.example.test:" + port, "https://app.example.test", "https://app.example.test:8443", "https://app.example.test:" + port + ".evil.test",
		"https://APP.example.test:" + port, "https://example.test:" + port, "https://wiki.example.test:" + port, "https://app.example.test:" + port + "/", "https://app.example.test.:" + port,
		"android:apk-key-hash:abc", "ios:bundle-id:x", "", "null", "https://app.example.test:" + port + "@evil.test", "https://evil.test#https://app.example.test:" + port,
	} {
		bends["AC-136 origin "+origin] = func(b *mfatest.Bend) { b.Origin = origin }
	}
	for name, bend := range bends {
		t.Run(name, func(t *testing.T) {
			k.unlock(t)
			k.gateway.move(k.half)
			a := k.half.verifyPasskey(k.own, bend)
			refused(t, k.half, name, a)
			if a.Status == http.StatusTooManyRequests {
				t.Error("it was not looked at")
			}
		})
	}
	t.Run("AC-136 each is counted", func(t *testing.T) {
		k.unlock(t)
		k.gateway.move(k.half)
		for range 5 {
			refused(t, k.half, "wrong origin", k.half.verifyPasskey(k.own, bends["AC-136 origin https://evil.test"]))
		}
		p := k.half.get("/.mfa/verify/totp")
		if a := k.half.postJSON("/.mfa/verify/passkey/begin", p.CSRF(), map[string]any{}, nil); a.Status < 400 || a.Status >= 500 {
			t.Errorf("after five failures: %d %s", a.Status, a.Body)
		}
		k.unlock(t)
	})
	t.Run("AC-137 one answer, 32 times at once, and again", func(t *testing.T) {
		k.unlock(t)
		b, csrf := k.half.beginPasskey("/.mfa/verify/passkey")
		answer, err := k.own.Verify(b.options(t), nil)
		if err != nil {
			t.Fatal(err)
		}
		body, err := json.Marshal(b.with(answer))
		if err != nil {
			t.Fatal(err)
		}
		m := message{method: "POST", target: "/.mfa/verify/passkey/finish", body: string(body), header: [][2]string{
			{"Content-Type", "application/json"}, {"X-Csrf-Token", csrf}, {"Origin", k.half.Base}, {"Sec-Fetch-Site", "same-origin"}, {"Cookie", k.half.line()},
		}}
		var (
			wg    sync.WaitGroup
			mu    sync.Mutex
			doors []string
		)
		for i := range 32 {
			wg.Go(func() {
				way := k.wire
				way.from = network()
				send := way.h1
				if i%2 == 0 {
					send = way.h2
				}
				a := send(m)
				mu.Lock()
				defer mu.Unlock()
				if a.status == http.StatusOK {
					doors = append(doors, strings.Join(a.header["Set-Cookie"], "|"))
				} else if a.err != nil || a.status >= 500 {
					t.Errorf("%s", a)
				}
			})
		}
		wg.Wait()
		if len(doors) != 1 || !strings.Contains(doors[0], k.hostCookie()+"=ey") {
			t.Fatalf("%d answers were accepted", len(doors))
		}
		if a := k.h2(m); a.status == http.StatusOK {
			t.Error("it was accepted again")
		}
		// After sign-out, and in the next sign-in, it is worth nothing either.
		c := k.signedIn(t)
		p := c.get("/.mfa/verify/totp")
		refused(t, c, "in another sign-in", c.postJSON("/.mfa/verify/passkey/finish", p.CSRF(), b.with(answer), nil))
		k.half = c
	})
	t.Run("AC-139 a challenge of another session", func(t *testing.T) {
		k.unlock(t)
		other := k.signedIn(t)
		b, _ := other.beginPasskey("/.mfa/verify/passkey")
		answer, err := k.own.Verify(b.options(t), nil)
		if err != nil {
			t.Fatal(err)
		}
		csrf := k.half.get("/.mfa/verify/totp").CSRF()
		refused(t, k.half, "its challenge", k.half.postJSON("/.mfa/verify/passkey/finish", csrf, b.with(answer), nil))
	})
	t.Run("AC-139 a challenge of a set-up", func(t *testing.T) {
		k.unlock(t)
		enrol, csrf := k.browser.beginPasskey("/.mfa/set-up/passkey?from=account")
		var options struct{ PublicKey struct{ Challenge string } }
		if err := json.Unmarshal(enrol.options(t), &options); err != nil {
			t.Fatal(err)
		}
		b, _ := k.half.beginPasskey("/.mfa/verify/passkey")
		answer, err := k.own.Verify(b.options(t), func(b *mfatest.Bend) { b.Challenge = options.PublicKey.Challenge })
		if err != nil {
			t.Fatal(err)
		}
		half := k.half.get("/.mfa/verify/totp").CSRF()
		refused(t, k.half, "the set-up's challenge", k.half.postJSON("/.mfa/verify/passkey/finish", half, map[string]any{"id": enrol.ID, "answer": json.RawMessage(answer)}, nil))
		refused(t, k.browser, "a verification as a set-up", k.browser.postJSON("/.mfa/set-up/passkey/finish?from=account", csrf, b.with(answer), nil))
	})
	t.Run("AC-139 expired", func(t *testing.T) {
		k.unlock(t)
		c := k.signedIn(t)
		b, csrf := c.beginPasskey("/.mfa/verify/passkey")
		answer, err := k.own.Verify(b.options(t), nil)
		if err != nil {
			t.Fatal(err)
		}
		k.advance(t, 301*time.Second)
		refused(t, c, "after 301 s", c.postJSON("/.mfa/verify/passkey/finish", csrf, b.with(answer), nil))
	})
	t.Run("AC-152 removed in the middle", func(t *testing.T) {
		k.unlock(t)
		c := k.signedIn(t)
		b, csrf := c.beginPasskey("/.mfa/verify/passkey")
		answer, err := k.own.Verify(b.options(t), nil)
		if err != nil {
			t.Fatal(err)
		}
		k.mfa(t, "users", "remove-factors", "alice", "--factor", "passkey", "--yes")
		refused(t, c, "after its removal", c.postJSON("/.mfa/verify/passkey/finish", csrf, b.with(answer), nil))
	})
}

// AC-141, AC-142, AC-143, AC-145, AC-147, AC-149: set-ups that lie.
func TestHostile_passkey_set_up_AC141_AC149(t *testing.T) {
	k := newKeyring(t)
	bob := k.stranger(t)
	bob.join(k.invite(t, "bob"), "bob")
	taken := k.own.Keys()[0]
	enrol := func(t *testing.T, bend func(*mfatest.Bend)) *answered {
		t.Helper()
		b, csrf := bob.beginPasskey("/.mfa/set-up/passkey?from=account")
		answer, err := bob.newAuthenticator().Enroll(b.options(t), bend)
		if err != nil {
			t.Fatal(err)
		}
		return bob.postJSON("/.mfa/set-up/passkey/finish?from=account", csrf, b.with(answer), nil)
	}
	bends := map[string]func(*mfatest.Bend){
		"AC-136 origin of another":         func(b *mfatest.Bend) { b.Origin = "https://evil.test" },
		"AC-141 alice's credential ID":     func(b *mfatest.Bend) { b.CredentialID = taken.ID },
		"AC-143 user not verified":         func(b *mfatest.Bend) { b.Flags &^= mfatest.FlagUV },
		"AC-144 user not present":          func(b *mfatest.Bend) { b.Flags &^= mfatest.FlagUP },
		"AC-145 get for create":            func(b *mfatest.Bend) { b.Type = "webauthn.get" },
		"AC-149 backed up, but cannot be":  func(b *mfatest.Bend) { b.Flags |= mfatest.FlagBS },
		"AC-139 challenge":                 func(b *mfatest.Bend) { b.Challenge = "" },
		"no attested data":                 func(b *mfatest.Bend) { b.Flags &^= mfatest.FlagAT },
		"an algorithm that was not wanted": func(b *mfatest.Bend) { b.Algorithm = -47 },
		"an unknown attestation":           func(b *mfatest.Bend) { b.Format = "evil" },
		"data after the object":            func(b *mfatest.Bend) { b.Attestation = func(o []byte) []byte { return append(o, 0xa0) } },
		"half an object":                   func(b *mfatest.Bend) { b.Attestation = func(o []byte) []byte { return o[:len(o)/2] } },
		"a point that is none":             func(b *mfatest.Bend) { b.PublicKey = func(k map[int]any) { k[-2] = make([]byte, 32) } },
		"another curve":                    func(b *mfatest.Bend) { b.PublicKey = func(k map[int]any) { k[-1] = 3 } },
	}
	for _, n := range []int{0, 1, 15, 1024, 65535} {
		bends[fmt.Sprintf("AC-147 an ID of %d bytes", n)] = func(b *mfatest.Bend) { b.CredentialID = make([]byte, n) }
	}
	for name, bend := range bends {
		t.Run(name, func(t *testing.T) {
			k.gateway.move(bob)
			refused(t, bob, name, enrol(t, bend))
		})
	}
	if list := k.mfa(t, "users", "show", "bob"); strings.Contains(list, "passkey") {
		t.Errorf("bob has a passkey:\n%s", list)
	}
	t.Run("AC-147 an ID of 1023 bytes is one", func(t *testing.T) {
		if a := enrol(t, func(b *mfatest.Bend) { b.CredentialID = bytes.Repeat([]byte{9}, 1023) }); a.Status != http.StatusOK {
			t.Errorf("%d %s", a.Status, a.Body)
		}
	})
	t.Run("AC-141 alice is as she was", func(t *testing.T) {
		k.unlock(t)
		if a := k.half.verifyPasskey(k.own, nil); a.Status != http.StatusOK {
			t.Errorf("%d %s", a.Status, a.Body)
		}
	})
	t.Run("AC-142 a counter that goes back", func(t *testing.T) {
		k.unlock(t)
		k.mfa(t, "users", "unlock", "bob")
		counting := bob.newAuthenticator()
		counting.Counts = true
		bob.addPasskey(counting)
		c := k.stranger(t)
		c.signIn("bob")
		if a := c.verifyPasskey(counting, func(b *mfatest.Bend) { b.Counter = 100 }); a.Status != http.StatusOK {
			t.Fatalf("a counter of 100: %d %s", a.Status, a.Body)
		}
		for _, counter := range []uint32{100, 99, 1, 0} {
			c := k.stranger(t)
			c.signIn("bob")
			refused(t, c, fmt.Sprint("a counter of ", counter), c.verifyPasskey(counting, func(b *mfatest.Bend) { b.Counter = counter }))
		}
	})
}

// AC-148: bodies that are no answer are refused without harm.
func TestHostile_passkey_bodies_AC148(t *testing.T) {
	k := newKeyring(t)
	p := k.half.get("/.mfa/verify/totp")
	deep := strings.Repeat(`{"answer":`, 9000) + "1" + strings.Repeat("}", 9000)
	cborDeep := base64.RawURLEncoding.EncodeToString(bytes.Repeat([]byte{0x81}, 20000))
	cborHuge := base64.RawURLEncoding.EncodeToString([]byte{0xa1, 0x63, 'f', 'm', 't', 0x5b, 0x7f, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff})
	doc := func(field, value string) string {
		return `{"id":"ID","answer":{"id":"AAAA","rawId":"AAAA","type":"public-key","response":{"` + field + `":"` + value + `","clientDataJSON":"e30"}}}`
	}
	for name, body := range map[string]string{
		"empty": "", "no JSON": "hello", "null": "null", "a number": "7", "a list": "[]", "a string": `"x"`, "no end": `{"id":"ID"`,
		"members that are no strings": `{"id":7,"answer":{"id":[],"rawId":{},"response":"x"}}`, "answer null": `{"id":"ID","answer":null}`, "answer a string": `{"id":"ID","answer":"x"}`,
		"answer a list": `{"id":"ID","answer":[1,2]}`, "twice the same": `{"id":"ID","id":"other","answer":{},"answer":{}}`, "deep": deep, "two documents": `{"id":"ID","answer":{}}{"id":"x"}`,
		"deep CBOR": doc("attestationObject", cborDeep), "huge lengths in CBOR": doc("attestationObject", cborHuge), "no base64": doc("authenticatorData", "***"),
		"authenticator data too short": doc("authenticatorData", "AAAA"), "NUL": "{\"id\":\"ID\\u0000\",\"answer\":{}}", "invalid UTF-8": "{\"id\":\"\xff\",\"answer\":{}}",
		"a long id": `{"id":"` + strings.Repeat("a", 30<<10) + `","answer":{"id":"x"}}`, "70 kB": `{"id":"ID","answer":"` + strings.Repeat("a", 70<<10) + `"}`, "10 MB": `{"id":"ID","answer":"` + strings.Repeat("a", 10<<20) + `"}`,
		"a BOM": "\xef\xbb\xbf{\"id\":\"ID\",\"answer\":{}}", "HTML": `{"id":"<b>","answer":{"id":"<script>"}}`,
	} {
		t.Run("AC-148 "+name, func(t *testing.T) {
			for _, path := range []string{"/.mfa/verify/passkey/finish", "/.mfa/set-up/passkey/finish"} {
				var b begun
				k.unlock(t)
				k.gateway.move(k.half)
				k.half.postJSON("/.mfa/verify/passkey/begin", p.CSRF(), map[string]any{}, &b)
				r := k.half.request(http.MethodPost, path, strings.NewReader(strings.ReplaceAll(body, "ID", b.ID)))
				r.Header.Set("Content-Type", "application/json")
				r.Header.Set("X-Csrf-Token", p.CSRF())
				r.Header.Set("Origin", k.half.Base)
				r.Header.Set("Sec-Fetch-Site", "same-origin")
				a, err := k.half.try(r)
				if err != nil {
					continue // the gateway stopped reading
				}
				refused(t, k.half, path, a)
				if strings.Contains(a.Body, "<script>") || strings.Contains(a.Body, "goroutine") || strings.Contains(a.Body, "json:") {
					t.Errorf("%s echoes: %s", path, a.Body)
				}
			}
		})
	}
	if a := k.half.verifyPasskey(k.own, nil); a.Status != http.StatusOK {
		t.Errorf("the gateway is not well: %d %s", a.Status, a.Body)
	}
	if strings.Contains(k.log(), "panic") {
		t.Error("a panic is in the log")
	}
}
