package caddymodule

import (
	"crypto/ed25519"
	"crypto/rand"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"net/http"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/caddyserver/caddy/v2"
	"github.com/golang-jwt/jwt/v5"
)

// keySetAt returns the keys that the gateway publishes, by ID.
func (g *gateway) keySetAt(header ...string) map[string]ed25519.PublicKey {
	g.t.Helper()
	resp, body := g.get("/.mfa/jwks.json", nil, header...)
	if resp.StatusCode != http.StatusOK {
		g.t.Fatalf("the keys: %d %s", resp.StatusCode, body)
	}
	var set struct{ Keys []map[string]string }
	if err := json.Unmarshal([]byte(body), &set); err != nil {
		g.t.Fatal(err)
	}
	keys := map[string]ed25519.PublicKey{}
	for _, k := range set.Keys {
		x, err := base64.RawURLEncoding.DecodeString(k["x"])
		if err != nil || k["d"] != "" {
			g.t.Fatalf("%v: %v", k, err)
		}
		keys[k["kid"]] = x
	}
	return keys
}

// believes reports whether an app with these keys and this origin takes the token.
func believes(keys map[string]ed25519.PublicKey, origin, token string) (jwt.MapClaims, bool) {
	claims := jwt.MapClaims{}
	parsed, err := jwt.ParseWithClaims(token, claims, func(t *jwt.Token) (any, error) {
		kid, _ := t.Header["kid"].(string)
		key, ok := keys[kid]
		if !ok {
			return nil, jwt.ErrTokenUnverifiable
		}
		return key, nil
	}, jwt.WithValidMethods([]string{"EdDSA"}), jwt.WithAudience(origin), jwt.WithIssuer(origin), jwt.WithExpirationRequired())
	return claims, err == nil && parsed.Header["typ"] == "mfa-assertion+jwt"
}

// From the browser's request to the app's own check, with the real store behind it.
func TestAssertion_ToTheApp(t *testing.T) {
	behind := newApp(t)
	g := newGateway(t)
	site := "mfa\n\treverse_proxy " + behind.URL
	g.mustLoad(g.text("require on", site))
	cookie := g.signIn("alice", time.Minute)
	origin := "http://" + g.host
	sent := func(header ...string) string {
		t.Helper()
		if resp, body := g.get("/page", cookie, header...); resp.StatusCode != http.StatusOK {
			t.Fatalf("%d %s", resp.StatusCode, body)
		}
		lines := behind.seen().Header.Values("Mfa-Assertion")
		if len(lines) != 1 {
			t.Fatalf("the app was sent %d assertions", len(lines))
		}
		return lines[0]
	}

	t.Run("AC-043 AC-047 it is ours, whatever the client sends", func(t *testing.T) {
		token := sent("Mfa-Assertion", "evil", "Connection", "Mfa-Assertion")
		claims, ok := believes(g.keySetAt(), origin, token)
		if !ok || claims["sub"] != "id-alice" || claims["preferred_username"] != "alice" || claims["acr"] == "" {
			t.Errorf("%v: %v", ok, claims)
		}
		if _, ok := believes(g.keySetAt(), "http://other.localhost", token); ok {
			t.Error("another app believes it")
		}
		if again := sent(); again != token {
			t.Error("each request pays for a signature")
		}
	})

	t.Run("AC-008 the gate takes it for nothing", func(t *testing.T) {
		token, hits := sent(), behind.hits.Load()
		for _, name := range []string{cookie.Name, cookie.Name + "-half", cookie.Name + "-devices", cookie.Name + "-remember"} {
			if resp, _ := g.get("/page", &http.Cookie{Name: name, Value: token}); resp.StatusCode == http.StatusOK {
				t.Errorf("the cookie %s: %d", name, resp.StatusCode)
			}
		}
		for _, path := range []string{"/page", "/.mfa/account", "/.mfa/api/account", "/.mfa/api/admin/users"} {
			if resp, _ := g.get(path, nil, "Authorization", "Bearer "+token, "Mfa-Assertion", token); resp.StatusCode == http.StatusOK {
				t.Errorf("%s: %d", path, resp.StatusCode)
			}
		}
		if behind.hits.Load() != hits {
			t.Error("the app was reached")
		}
		if _, ok := believes(g.keySetAt(), origin, cookie.Value); ok {
			t.Error("the session's cookie passes for an assertion")
		}
	})

	t.Run("AC-197 rotation", func(t *testing.T) {
		before := sent()
		old := g.keySetAt()
		if err := caddy.Stop(); err != nil {
			t.Fatal(err)
		}
		g.rotateKeys(t)
		g.mustLoad(g.text("require on", site))
		both := g.keySetAt()
		after := sent()
		if _, ok := believes(both, origin, before); !ok || len(old) != 1 || len(both) != 2 {
			t.Errorf("what was signed before is refused; %d keys, then %d", len(old), len(both))
		}
		if _, ok := believes(both, origin, after); !ok {
			t.Error("what the new key signs is refused")
		}
		if _, ok := believes(old, origin, after); ok {
			t.Error("the old key signs still")
		}
	})

	t.Run("another algorithm", func(t *testing.T) {
		g.mustLoad(g.text("require on\n\t\tassertion es256", site))
		if head, _, _ := strings.Cut(sent(), "."); !strings.Contains(decoded(head), `"alg":"ES256"`) {
			t.Error(decoded(head))
		}
	})

	t.Run("off, and the client's own goes all the same", func(t *testing.T) {
		g.mustLoad(g.text("require on\n\t\tassertion off", site))
		g.get("/page", cookie, "Mfa-Assertion", "evil", "mfa_assertion", "evil")
		if lines := behind.seen().Header.Values("Mfa-Assertion"); len(lines) != 0 {
			t.Errorf("%q", lines)
		}
		if _, body := g.get("/.mfa/jwks.json", nil); body != `{"keys":[]}` {
			t.Error(body)
		}
	})

	t.Run("renamed", func(t *testing.T) {
		g.mustLoad(g.text("require on\n\t\theaders {\n\t\t\tassertion X-Proof\n\t\t}", site))
		g.get("/page", cookie, "Mfa-Assertion", "evil", "X-Proof", "evil")
		h := behind.seen().Header
		if _, ok := believes(g.keySetAt(), origin, h.Get("X-Proof")); !ok || h.Get("Mfa-Assertion") != "" {
			t.Errorf("%q, %q", h.Get("X-Proof"), h.Get("Mfa-Assertion"))
		}
	})
}

func decoded(part string) string {
	raw, _ := base64.RawURLEncoding.DecodeString(part)
	return string(raw)
}

// rotateKeys puts a new primary key before those of the key file, one that apps know.
func (g *gateway) rotateKeys(t *testing.T) {
	t.Helper()
	path := g.store + ".keys.json"
	raw, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	var file struct {
		Version int              `json:"version"`
		Keys    []map[string]any `json:"keys"`
	}
	if err := json.Unmarshal(raw, &file); err != nil {
		t.Fatal(err)
	}
	for _, k := range file.Keys {
		k["status"] = "decrypt_only"
	}
	secret, id := make([]byte, 32), make([]byte, 4)
	_, _ = rand.Read(secret)
	_, _ = rand.Read(id)
	file.Keys = append(file.Keys, map[string]any{"id": hex.EncodeToString(id), "created": time.Now().Add(-10 * time.Minute).UTC(), "status": "primary", "key": secret})
	changed, err := json.Marshal(file)
	if err == nil {
		err = os.WriteFile(path, changed, 0o600)
	}
	if err != nil {
		t.Fatal(err)
	}
}

// The keys are the same for everybody, whoever asks with whatever, and nothing beside them
// is read from another origin.
func TestKeySet(t *testing.T) {
	g := newGateway(t)
	text, console := g.console("require on")
	g.mustLoad(text)
	cookie := g.signIn("alice", time.Minute)
	_, want := g.get("/.mfa/jwks.json", nil)
	if !strings.HasPrefix(want, `{"keys":[{"kty":"OKP"`) {
		t.Fatal(want)
	}
	app := g.host
	for _, host := range []string{app, console} {
		g.host = host
		for name, header := range map[string][]string{
			"nobody": nil, "somebody": {"Cookie", cookie.String()}, "a forger": {"Cookie", cookie.Name + "=forged"},
			"a script elsewhere": {"Origin", "https://elsewhere.example", "Sec-Fetch-Mode", "cors", "Sec-Fetch-Site", "cross-site", "Sec-Fetch-Dest", "empty"},
		} {
			resp, body := g.get("/.mfa/jwks.json", nil, header...)
			h := resp.Header
			if resp.StatusCode != http.StatusOK || body != want {
				t.Errorf("%s: %d %s", name, resp.StatusCode, body)
			}
			for field, value := range map[string]string{
				"Content-Type": "application/jwk-set+json", "Cache-Control": "public, max-age=300", "Access-Control-Allow-Origin": "*",
				"X-Content-Type-Options": "nosniff", "Set-Cookie": "", "Access-Control-Allow-Credentials": "", "Vary": "",
			} {
				if h.Get(field) != value {
					t.Errorf("%s: %s: %q", name, field, h.Get(field))
				}
			}
		}
		for _, path := range []string{"/.mfa/health", "/.mfa/sign-in", "/.mfa/api/account", "/.mfa/nothing"} {
			if resp, _ := g.get(path, nil, "Origin", "https://elsewhere.example"); resp.Header.Get("Access-Control-Allow-Origin") != "" {
				t.Errorf("%s may be read from elsewhere", path)
			}
		}
	}
	g.host = app
	for _, method := range []string{"POST", "PUT", "DELETE", "OPTIONS"} {
		if resp, body := g.rawAnswer(method + " /.mfa/jwks.json HTTP/1.1\r\nHost: " + app + "\r\nContent-Length: 0\r\nConnection: close\r\n\r\n"); resp.StatusCode != 405 || body != "" {
			t.Errorf("%s: %d %q", method, resp.StatusCode, body)
		}
	}
	if resp, body := g.rawAnswer("HEAD /.mfa/jwks.json HTTP/1.1\r\nHost: " + app + "\r\nConnection: close\r\n\r\n"); resp.StatusCode != 200 || body != "" {
		t.Errorf("HEAD: %d %q", resp.StatusCode, body)
	}
	for _, path := range []string{"/.mfa/jwks.json/", "/.mfa//jwks.json", "/.mfa/JWKS.json", "/.mfa/jwks.json;x", "/jwks.json", "//.mfa/jwks.json"} {
		if resp, body := g.rawAnswer("GET " + path + " HTTP/1.1\r\nHost: " + app + "\r\nConnection: close\r\n\r\n"); strings.Contains(body, `"kty"`) {
			t.Errorf("%s: %d %q", path, resp.StatusCode, body)
		}
	}
	// Keys that come by plain http could be anybody's: they are given out as pages are.
	if resp, _ := g.rawAnswer("GET /.mfa/jwks.json HTTP/1.1\r\nHost: app.example.com\r\nConnection: close\r\n\r\n"); resp.StatusCode == 200 && resp.Header.Get("Content-Type") == "application/jwk-set+json" {
		t.Error("given out by plain http")
	}
}
