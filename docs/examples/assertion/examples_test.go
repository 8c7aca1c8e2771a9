// Package assertion runs the example apps against assertions as the gateway makes them, and
// against whatever else somebody may send.
package assertion

import (
	"bufio"
	"bytes"
	"context"
	"crypto/ed25519"
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/secondgate/secondgate/mfa"
	"github.com/secondgate/secondgate/session"
)

const origin = "https://app.example.com"

// gateway makes assertions with the gateway's own code.
func gateway(t *testing.T, alg session.Algorithm, secret byte, now time.Time, issuer string) *session.Assertions {
	t.Helper()
	a, err := session.NewAssertions(session.AssertionConfig{
		Algorithm: alg, Keys: []session.Key{{ID: "k", Secret: bytes.Repeat([]byte{secret}, 32)}}, Issuer: issuer,
		Passwords: func(string) bool { return true }, Policy: func() *mfa.Policy { return nil }, Now: func() time.Time { return now },
	})
	if err != nil {
		t.Fatal(err)
	}
	return a
}

func sign(t *testing.T, a *session.Assertions, to string) string {
	t.Helper()
	token, err := a.Of(&session.View{
		Session: &mfa.Session{
			ID: "s1", User: "u1", Complete: true, Expires: time.Now().Add(time.Hour), First: mfa.Proof{Kind: mfa.Password, At: time.Now()},
			Proofs: []mfa.Proof{{Kind: mfa.TOTP, Credential: "c", At: time.Now()}},
		},
		Subject: &mfa.Subject{ID: "u1", Name: "alice", Held: []mfa.Held{{ID: "c", Kind: mfa.TOTP}}},
	}, session.ParseAudience(to))
	if err != nil {
		t.Fatal(err)
	}
	return token
}

func enc(b []byte) string { return base64.RawURLEncoding.EncodeToString(b) }

// own is a published key of the test, to sign what the gateway never would.
type own struct {
	private ed25519.PrivateKey
	public  string // as the set has it
}

func newOwn(t *testing.T) own {
	t.Helper()
	public, private, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	return own{private, `{"kty":"OKP","crv":"Ed25519","use":"sig","alg":"EdDSA","kid":"own","x":"` + enc(public) + `"}`}
}

// token signs a good header and good claims with these members changed; nil takes one out.
func (o own) token(t *testing.T, header, claims map[string]any) string {
	t.Helper()
	now := time.Now().Unix()
	h := map[string]any{"alg": "EdDSA", "kid": "own", "typ": "mfa-assertion+jwt"}
	c := map[string]any{"iss": origin, "aud": origin, "sub": "u1", "preferred_username": "alice", "jti": "j", "iat": now, "nbf": now, "exp": now + 60, "amr": []string{"pwd"}}
	part := func(base, changed map[string]any) string {
		for name, value := range changed {
			if base[name] = value; value == nil {
				delete(base, name)
			}
		}
		raw, err := json.Marshal(base)
		if err != nil {
			t.Fatal(err)
		}
		return enc(raw)
	}
	signed := part(h, header) + "." + part(c, claims)
	return signed + "." + enc(ed25519.Sign(o.private, []byte(signed)))
}

type sent struct {
	name  string
	lines []string
	good  bool
}

// table is what an app is sent. Each bad one differs from a good one in one thing.
func table(t *testing.T, o own) (keys string, list []sent) {
	now := time.Now()
	eddsa, es256 := gateway(t, session.EdDSA, 1, now, ""), gateway(t, session.ES256, 1, now, "")
	good := sign(t, eddsa, origin)
	parts := strings.Split(good, ".")
	one := func(name, token string, good bool) { list = append(list, sent{name, []string{token}, good}) }

	one("EdDSA", good, true)
	one("ES256", sign(t, es256, origin), true)
	one("what the test signs", o.token(t, nil, nil), true)
	list = append(list, sent{"none", nil, false}, sent{"two of them", []string{good, good}, false})
	one("nothing", "", false)
	one("no token", "alice", false)
	one("another app's", sign(t, eddsa, "https://other.example.com"), false)
	one("an app's whose name begins alike", sign(t, eddsa, origin+".evil.example"), false)
	one("expired", sign(t, gateway(t, session.EdDSA, 1, now.Add(-2*time.Minute), ""), origin), false)
	one("not good yet", sign(t, gateway(t, session.EdDSA, 1, now.Add(2*time.Minute), ""), origin), false)
	one("another issuer's", sign(t, gateway(t, session.EdDSA, 1, now, "https://other.example.com"), origin), false)
	one("another gateway's key", sign(t, gateway(t, session.EdDSA, 2, now, ""), origin), false)
	one("other claims under its signature", parts[0]+"."+enc([]byte(strings.Replace(decoded(t, parts[1]), "alice", "admin", 1)))+"."+parts[2], false)
	one("another signature", parts[0]+"."+parts[1]+"."+enc(make([]byte, 64)), false)
	one("no signature", parts[0]+"."+parts[1]+".", false)

	none := enc([]byte(`{"alg":"none","typ":"mfa-assertion+jwt"}`)) + "." + parts[1] + "."
	one("alg none", none, false)
	one("alg none with the key's ID", enc([]byte(`{"alg":"none","kid":"own","typ":"mfa-assertion+jwt"}`))+"."+parts[1]+".", false)
	public := o.private.Public().(ed25519.PublicKey)
	for name, secret := range map[string][]byte{"the public key": public, "the published text": []byte(enc(public)), "nothing": {}} {
		signed := enc([]byte(`{"alg":"HS256","kid":"own","typ":"mfa-assertion+jwt"}`)) + "." + parts[1]
		mac := hmac.New(sha256.New, secret)
		mac.Write([]byte(signed))
		one("HS256 with "+name, signed+"."+enc(mac.Sum(nil)), false)
	}

	for name, header := range map[string]map[string]any{
		"no key named": {"kid": nil}, "an unknown key": {"kid": "unknown"}, "a key that is a number": {"kid": 1}, "an empty key": {"kid": ""},
		"a session's type": {"typ": "mfa-session+jwt"}, "the usual type": {"typ": "JWT"}, "no type": {"typ": nil},
		"another algorithm than the key's": {"alg": "ES256"}, "something that must be understood": {"crit": []string{"x"}, "x": 1},
	} {
		one(name, o.token(t, header, nil), false)
	}
	for name, claims := range map[string]map[string]any{
		"no end": {"exp": nil}, "no audience": {"aud": nil}, "no issuer": {"iss": nil}, "nobody": {"sub": nil}, "an end that is long ago": {"exp": 0},
		"no beginning": {"nbf": nil},
	} {
		one(name, o.token(t, nil, claims), false)
	}

	var a, b struct{ Keys []json.RawMessage }
	if json.Unmarshal(eddsa.KeySet(), &a) != nil || json.Unmarshal(es256.KeySet(), &b) != nil {
		t.Fatal("the keys cannot be read")
	}
	return `{"keys":[` + string(a.Keys[0]) + `,` + string(b.Keys[0]) + `,` + o.public + `]}`, list
}

func decoded(t *testing.T, part string) string {
	t.Helper()
	raw, err := base64.RawURLEncoding.DecodeString(part)
	if err != nil {
		t.Fatal(err)
	}
	return string(raw)
}

// Each example takes what the gateway signs for it, and nothing else.
func TestExamples(t *testing.T) {
	for name, prepare := range map[string]func(*testing.T) *exec.Cmd{"go": goApp, "node": nodeApp, "python": pythonApp} {
		t.Run(name, func(t *testing.T) {
			cmd := prepare(t)
			keys, list := table(t, newOwn(t))
			published := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				w.Header().Set("Content-Type", "application/jwk-set+json")
				_, _ = io.WriteString(w, keys)
			}))
			t.Cleanup(published.Close)
			address := start(t, cmd, published.URL)
			for _, s := range list {
				r, err := http.NewRequest(http.MethodGet, address, nil)
				if err != nil {
					t.Fatal(err)
				}
				for _, line := range s.lines {
					r.Header.Add("Mfa-Assertion", line)
				}
				resp, err := http.DefaultClient.Do(r)
				if err != nil {
					t.Fatalf("%s: %v", s.name, err)
				}
				body, _ := io.ReadAll(resp.Body)
				resp.Body.Close()
				want := http.StatusUnauthorized
				if s.good {
					want = http.StatusOK
				}
				if resp.StatusCode != want || strings.Contains(string(body), "alice") != s.good {
					t.Errorf("%s: %d %s", s.name, resp.StatusCode, body)
				}
			}
		})
	}
}

// start runs the app until the test ends, and returns its address.
func start(t *testing.T, cmd *exec.Cmd, keys string) string {
	t.Helper()
	cmd.Env = append(os.Environ(), "APP_ORIGIN="+origin, "JWKS_URL="+keys, "LISTEN=127.0.0.1:0", "NO_PROXY=127.0.0.1", "no_proxy=127.0.0.1")
	var said bytes.Buffer
	cmd.Stderr = &said
	out, err := cmd.StdoutPipe()
	if err == nil {
		err = cmd.Start()
	}
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = cmd.Process.Kill()
		_ = cmd.Wait()
		if t.Failed() {
			t.Logf("the app said:\n%s", said.String())
		}
	})
	line := make(chan string, 1)
	go func() {
		text, _ := bufio.NewReader(out).ReadString('\n')
		line <- text
	}()
	select {
	case text := <-line:
		address, ok := strings.CutPrefix(strings.TrimSpace(text), "listening on ")
		if !ok {
			t.Fatalf("it said %q and %s", text, said.String())
		}
		return address
	case <-time.After(60 * time.Second):
		t.Fatal("it does not start")
	}
	return ""
}

// run runs a step of the preparation and returns what it said.
func run(t *testing.T, dir, name string, args ...string) (string, error) {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), 2*time.Minute)
	defer cancel()
	cmd := exec.CommandContext(ctx, name, args...)
	cmd.Dir = dir
	out, err := cmd.CombinedOutput()
	return string(out), err
}

// missing ends the test of a language that is not on this machine. "make deps" installs
// what there is to install, so CI has no excuse.
func missing(t *testing.T, what string) {
	t.Helper()
	if os.Getenv("CI") == "true" {
		t.Fatalf("%s is missing; make deps installs it", what)
	}
	t.Skipf("NOT TESTED: %s is missing; make deps installs it", what)
}

func goApp(t *testing.T) *exec.Cmd {
	bin := filepath.Join(t.TempDir(), "app")
	if out, err := run(t, "go", "go", "build", "-o", bin, "."); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	return exec.Command(bin)
}

func nodeApp(t *testing.T) *exec.Cmd {
	for _, name := range []string{"node", "npm"} {
		if _, err := exec.LookPath(name); err != nil {
			missing(t, name)
		}
	}
	dir := t.TempDir()
	if err := os.CopyFS(dir, os.DirFS("node")); err != nil {
		t.Fatal(err)
	}
	if out, err := run(t, dir, "npm", "install", "--no-audit", "--no-fund", "--no-package-lock", "--ignore-scripts"); err != nil {
		// A registry that does not answer is no fault of the example, in CI neither.
		t.Skipf("NOT TESTED: its library cannot be installed now: %v\n%s", err, out)
	}
	cmd := exec.Command("node", "app.js")
	cmd.Dir = dir
	return cmd
}

func pythonApp(t *testing.T) *exec.Cmd {
	for _, name := range []string{"python3", "/usr/bin/python3"} {
		if _, err := run(t, ".", name, "-c", "import jwt.algorithms; assert jwt.algorithms.has_crypto"); err == nil {
			return exec.Command(name, filepath.Join("python", "app.py"))
		}
	}
	missing(t, "python3 with PyJWT and cryptography")
	return nil
}
