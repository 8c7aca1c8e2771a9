package caddymodule

import (
	"context"
	"encoding/base64"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/secondgate/secondgate/mfa"
)

// appToken makes an app token of somebody who signed in a moment ago, as the account page
// does.
func (g *gateway) appToken(name, host string) (string, error) {
	g.t.Helper()
	g.signIn(name, time.Minute)
	ctx := context.Background()
	gen := g.generation()
	sessions, err := gen.pooled.store.store.UserSessions(ctx, mfa.UserID("id-"+name))
	if err != nil {
		g.t.Fatal(err)
	}
	req, err := gen.guard.Parse(httptest.NewRequest(http.MethodGet, "http://"+g.host+"/.mfa/account", nil))
	if err != nil {
		g.t.Fatal(err)
	}
	text, _, err := gen.gate.CreateAppToken(ctx, &req.Place, sessions[0].ID, mfa.AppTokenInput{Name: "git", Host: host})
	return text, err
}

// program asks as curl does.
func (g *gateway) program(method, path, authorization string, header ...string) (*http.Response, string) {
	g.t.Helper()
	r, err := http.NewRequest(method, "http://"+g.host+path, nil)
	if err != nil {
		g.t.Fatal(err)
	}
	r.Header.Set("Accept", "*/*")
	if authorization != "" {
		r.Header.Set("Authorization", authorization)
	}
	for i := 0; i+1 < len(header); i += 2 {
		r.Header.Add(header[i], header[i+1])
	}
	resp, err := client.Do(r)
	if err != nil {
		g.t.Fatal(err)
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	if err != nil {
		g.t.Fatal(err)
	}
	return resp, string(body)
}

func basicAuth(user, password string) string {
	return "Basic " + base64.StdEncoding.EncodeToString([]byte(user+":"+password))
}

func tokenSite(a *app) string {
	return `mfa
	mfa /git/* {
		app_tokens
	}
	mfa /git/admin/* {
		fresh 5m
	}
	mfa /public/* {
		bypass
	}
	reverse_proxy ` + strings.TrimPrefix(a.URL, "http://")
}

func TestAppTokens_ThroughAGateway(t *testing.T) {
	a, g := newApp(t), newGateway(t)
	logs := filepath.Join(g.dir, "all.log")
	text := g.text("require on", tokenSite(a)+"\n\tlog {\n\t\toutput file "+filepath.Join(g.dir, "access.log")+"\n\t}")
	text = strings.Replace(text, "\tmfa {", "\tlog {\n\t\tlevel DEBUG\n\t\toutput file "+logs+"\n\t}\n\tmfa {", 1)
	g.mustLoad(text)
	token, err := g.appToken("alice", g.host)
	if err != nil {
		t.Fatal(err)
	}

	t.Run("git and WebDAV are asked for a password, and come in with the token", func(t *testing.T) {
		before := a.hits.Load()
		resp, _ := g.program("PROPFIND", "/git/x", "")
		if list := resp.Header.Values("WWW-Authenticate"); resp.StatusCode != 401 || len(list) != 2 || !strings.HasPrefix(list[0], "Basic ") || a.hits.Load() != before {
			t.Fatalf("status %d, challenges %q", resp.StatusCode, list)
		}
		resp, body := g.program("PROPFIND", "/git/x", basicAuth("alice", token), "Remote-User", "evil")
		if resp.StatusCode != 200 || body != "the app" {
			t.Fatalf("status %d %q", resp.StatusCode, body)
		}
		h := a.seen().Header
		if h.Get("Remote-User") != "alice" || h.Get("Remote-Groups") != "staff" || h.Get("Authorization") != "" {
			t.Errorf("the app got %v", h)
		}
		if len(resp.Cookies()) != 0 {
			t.Error("AC-008: a cookie was set")
		}
	})
	t.Run("a script with Bearer", func(t *testing.T) {
		if resp, _ := g.program("POST", "/git/x", "Bearer "+token); resp.StatusCode != 200 {
			t.Errorf("status %d", resp.StatusCode)
		}
	})
	for name, c := range map[string]struct {
		path, authorization string
		status              int
	}{
		"AC-016 a path that takes none":               {"/other", "Bearer " + token, 403},
		"AC-155 a path that wants a fresh proof":      {"/git/admin/x", "Bearer " + token, 403},
		"AC-072 a path that can be read in two ways":  {"/git/../other", "Bearer " + token, 403},
		"AC-072 … and which the matcher does not see": {"/x%2fgit/x", "Bearer " + token, 403},
		"a revoked one, or one that never was":        {"/git/x", "Bearer " + token[:len(token)-4] + "AAAA", 401},
		"somebody else's name":                        {"/git/x", basicAuth("bob", token), 401},
		"AC-099 a password is none":                   {"/git/x", basicAuth("alice", "none"), 401},
		"AC-008 the account page":                     {"/.mfa/account", "Bearer " + token, 303},
		"AC-008 the account API":                      {"/.mfa/api/account", basicAuth("alice", token), 401},
		"AC-008 the admin API":                        {"/.mfa/api/admin/users", "Bearer " + token, 404},
		"AC-008 making another token":                 {"/.mfa/api/account/app-tokens", "Bearer " + token, 401},
	} {
		t.Run(name, func(t *testing.T) {
			before := a.hits.Load()
			resp, body := g.program("GET", c.path, c.authorization)
			if resp.StatusCode != c.status {
				t.Errorf("status %d, want %d: %.200s", resp.StatusCode, c.status, body)
			}
			if a.hits.Load() != before {
				t.Error("it reached the app")
			}
		})
	}
	t.Run("AC-053 the app's own Authorization reaches it as it is", func(t *testing.T) {
		own := "Bearer abc.def_123=="
		resp, _ := g.get("/git/x", g.signIn("alice", time.Minute), "Authorization", own)
		if got := a.seen().Header["Authorization"]; resp.StatusCode != 200 || !slices.Equal(got, []string{own}) {
			t.Errorf("status %d, the app got %q", resp.StatusCode, got)
		}
	})
	t.Run("the open part is given no token", func(t *testing.T) {
		if resp, _ := g.program("GET", "/public/x", basicAuth("", token)); resp.StatusCode != 200 || a.seen().Header.Get("Authorization") != "" || a.seen().Header.Get("Remote-User") != "" {
			t.Errorf("status %d, the app got %v", resp.StatusCode, a.seen().Header)
		}
	})
	t.Run("two lines of Authorization", func(t *testing.T) {
		if code := g.raw("GET /git/x HTTP/1.1\r\nHost: " + g.host + "\r\nAuthorization: Bearer " + token + "\r\nauthorization: Basic YTpi\r\nConnection: close\r\n\r\n"); code != 400 {
			t.Errorf("status %d", code)
		}
	})
	t.Run("B36 revoking holds on the next request", func(t *testing.T) {
		second, err := g.appToken("alice", g.host)
		if err != nil {
			t.Fatal(err)
		}
		if resp, _ := g.program("GET", "/git/x", "Bearer "+second); resp.StatusCode != 200 {
			t.Fatalf("status %d", resp.StatusCode)
		}
		if err := g.generation().gate.As(mfa.OnMachine()).RevokeAppToken(context.Background(), "id-alice", second[5:21]); err != nil {
			t.Fatal(err)
		}
		if resp, _ := g.program("GET", "/git/x", "Bearer "+second); resp.StatusCode != 401 {
			t.Errorf("status %d", resp.StatusCode)
		}
	})
	t.Run("it outlives a reload", func(t *testing.T) {
		g.mustLoad(strings.Replace(text, "require on", "require on\n\t\tissuer Acme", 1))
		if resp, _ := g.program("GET", "/git/x", "Bearer "+token); resp.StatusCode != 200 {
			t.Errorf("status %d", resp.StatusCode)
		}
	})
	t.Run("no token for a host that takes none", func(t *testing.T) {
		for _, host := range []string{"", "localhost", "app.example.com", g.host + "."} {
			if _, err := g.appToken("alice", host); err == nil {
				t.Errorf("one for %q", host)
			}
		}
	})
	t.Run("disabled", func(t *testing.T) {
		must(t, g.generation().gate.As(mfa.OnMachine()).SetDisabled(context.Background(), "id-alice", true))
		if resp, _ := g.program("GET", "/git/x", "Bearer "+token); resp.StatusCode != 401 {
			t.Errorf("status %d", resp.StatusCode)
		}
	})
	// Caddy's own access log, its debug log of the proxy, and ours (AC-229).
	t.Run("AC-229 no log holds it", func(t *testing.T) {
		for _, file := range []string{"access.log", "all.log"} {
			whole, err := os.ReadFile(filepath.Join(g.dir, file))
			if err != nil {
				t.Fatal(err)
			}
			for what, secret := range map[string]string{"token": token[22:], "password": base64.StdEncoding.EncodeToString([]byte("alice:" + token))} {
				if strings.Contains(string(whole), secret) {
					t.Errorf("%s holds the %s", file, what)
				}
			}
			if file == "access.log" && !strings.Contains(string(whole), `"user_id":"alice"`) {
				t.Error("the access log does not say who it was")
			}
			if file == "all.log" && (!strings.Contains(string(whole), "token_not_here") || !strings.Contains(string(whole), "wrong_user")) {
				t.Error("what was refused is not said")
			}
		}
	})
}

// With the global option every route takes tokens that asks for nothing but a second factor.
func TestAppTokens_Everywhere(t *testing.T) {
	a, g := newApp(t), newGateway(t)
	g.mustLoad(g.text("app_tokens", "mfa\n\tmfa /strict/* {\n\t\tfresh 5m\n\t}\n\treverse_proxy "+strings.TrimPrefix(a.URL, "http://")))
	token, err := g.appToken("alice", g.host)
	if err != nil {
		t.Fatal(err)
	}
	for path, want := range map[string]int{"/": 200, "/x/y": 200, "/strict/x": 403, "/strict": 403} {
		if resp, _ := g.program("GET", path, basicAuth("token", token)); resp.StatusCode != want {
			t.Errorf("%s: %d", path, resp.StatusCode)
		}
	}
}

// A site of which only a part is protected starts, and the rest is not given tokens.
func TestAppTokens_OnlyAPart(t *testing.T) {
	a, g := newApp(t), newGateway(t)
	g.mustLoad(g.text("require on", "mfa /api/* {\n\t\tapp_tokens\n\t}\n\treverse_proxy "+strings.TrimPrefix(a.URL, "http://")))
	token, err := g.appToken("alice", g.host)
	if err != nil {
		t.Fatal(err)
	}
	if resp, _ := g.program("GET", "/api/x", "Bearer "+token); resp.StatusCode != 200 || a.seen().Header.Get("Remote-User") != "alice" {
		t.Errorf("status %d", resp.StatusCode)
	}
	if resp, _ := g.program("GET", "/", "Bearer "+token, "Remote-User", "evil"); resp.StatusCode != 200 || a.seen().Header.Get("Authorization") != "" || a.seen().Header.Get("Remote-User") != "" {
		t.Errorf("status %d, the app got %v", resp.StatusCode, a.seen().Header)
	}
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}
