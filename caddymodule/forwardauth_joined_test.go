package caddymodule

import (
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/caddyserver/caddy/v2"
)

// What other parts of the gate do, for apps behind other proxies: app tokens, assertions, and
// identities that are established before the gate.

// A program behind another proxy: the token lets it in where the app takes one, is refused
// with a status and never with a page, and never goes on to the app.
func TestForwardAuth_AppTokens_AC016_AC053_AC155(t *testing.T) {
	g := newGateway(t)
	// The plain line stands first: the order in which they are written is not what counts.
	text, at := g.portalText(`mfa
	mfa /git/* {
		app_tokens
	}
	mfa /git/admin/* {
		fresh 5m
	}
	mfa /public/* {
		bypass
	}`, "peers 127.0.0.1")
	g.mustLoad(text)
	token, err := g.appToken("alice", g.host)
	if err != nil {
		t.Fatal(err)
	}
	alice := g.signIn("alice", time.Minute)
	wrong := token[:len(token)-2] + "zz"
	for name, c := range map[string]struct {
		path   string
		lines  []string // of Authorization
		cookie *http.Cookie
		status int
		user   string
		sent   bool   // the proxy is told to keep it from the app
		own    string // what the app may see
	}{
		"a password":                        {"/git/x", []string{basicAuth("alice", token)}, nil, 200, "alice", true, ""},
		"Bearer":                            {"/git/x", []string{"Bearer " + token}, nil, 200, "alice", true, ""},
		"AC-053 on an open path":            {"/public/x", []string{"Bearer " + token}, nil, 200, "", true, ""},
		"AC-053 a bad one on an open path":  {"/public/x", []string{"Bearer " + wrong}, nil, 200, "", true, ""},
		"AC-053 beside a session":           {"/git/x", []string{"Bearer " + token}, alice, 200, "alice", true, ""},
		"AC-053 a bad one beside a session": {"/x", []string{"Bearer " + wrong}, alice, 200, "alice", true, ""},
		"the app's own beside a session":    {"/x", []string{"Basic b3duOm93bg=="}, alice, 200, "alice", false, "Basic b3duOm93bg=="},
		"the app's own on an open path":     {"/public/x", []string{"Digest x"}, nil, 200, "", false, "Digest x"},
		"the app's own opens nothing":       {"/git/x", []string{"Bearer own"}, nil, 401, "", false, ""},
		"a bad one":                         {"/git/x", []string{"Bearer " + wrong}, nil, 401, "", false, ""},
		"a bad one where none is taken":     {"/x", []string{"Bearer " + wrong}, nil, 401, "", false, ""},
		"somebody else's name":              {"/git/x", []string{basicAuth("bob", token)}, nil, 401, "", false, ""},
		"AC-016 a path that takes none":     {"/x", []string{"Bearer " + token}, nil, 403, "", false, ""},
		"AC-155 a path that asks for more":  {"/git/admin/x", []string{"Bearer " + token}, nil, 403, "", false, ""},
		"AC-072 a path with two readings":   {"/git/..;/x", []string{"Bearer " + token}, nil, 403, "", false, ""},
		"beside another line":               {"/git/x", []string{"Bearer " + token, "Basic b3duOm93bg=="}, nil, 400, "", false, ""},
		"two of them":                       {"/git/x", []string{"Bearer " + token, "Bearer " + token}, nil, 400, "", false, ""},
	} {
		t.Run(name, func(t *testing.T) {
			for _, dialect := range proxies {
				target, host, header := g.question(dialect, c.path)
				accept := "text/html"
				if name == "the app's own opens nothing" {
					accept = "*/*" // a person would be sent to sign in
				}
				header = append(header, "Accept", accept)
				for _, line := range c.lines {
					header = append(header, "Authorization", line)
				}
				status, answer := asProxy(t, at, target, host, c.cookie, header...)
				want := c.status
				if dialect == "nginx" && want == 400 {
					want = 403 // it knows no other refusal
				}
				if status != want || strings.Join(answer["Remote-User"], ",") != c.user {
					t.Errorf("%s: %d as %q, want %d as %q", dialect, status, answer["Remote-User"], want, c.user)
				}
				if status != 200 && (answer["Authorization"] != nil || answer["Mfa-App-Token"] != nil) {
					t.Errorf("%s: a refusal says %v", dialect, answer)
				}
				if strings.Contains(name, "bad one") && status == 401 && (answer.Get("Location") != "" || !strings.Contains(strings.Join(answer["Www-Authenticate"], " "), "invalid_token")) {
					t.Errorf("%s: not as to a program: %v", dialect, answer)
				}
				if strings.Contains(name, "bad one") && status == 401 && dialect == "nginx" && answer.Get("X-Mfa-Reason") != "invalid_token" {
					t.Errorf("the reason is %q", answer.Get("X-Mfa-Reason"))
				}
				if status != 200 {
					continue
				}
				if (answer.Get("Mfa-App-Token") == "1") != c.sent {
					t.Errorf("%s: Mfa-App-Token %q", dialect, answer["Mfa-App-Token"])
				}
				own := answer["Authorization"]
				switch dialect {
				case "traefik", "caddy": // they put it in the place of the client's, or nothing
					if strings.Join(own, "|") != c.own {
						t.Errorf("%s: the app is to see %q", dialect, own)
					}
				case "envoy": // leaves the client's own there where nothing is said
					if removed := answer.Get("X-Envoy-Auth-Headers-To-Remove") == "authorization"; removed != c.sent || c.sent != slices.Equal(own, []string{""}) {
						t.Errorf("envoy: removes: %v, writes %q", removed, own)
					}
				default:
					if own != nil {
						t.Errorf("%s: was told %q", dialect, own)
					}
				}
			}
		})
	}
}

// People choose a token's app from those that take tokens, wherever they are served. The
// portal carries no app.
func TestForwardAuth_AppTokens_hosts(t *testing.T) {
	g := newGateway(t)
	portal := "auth.apps.localhost:" + g.port
	g.mustLoad(g.text("require on", "mfa\n\trespond ok") + "\nhttp://" + portal + ", http://:" + freePort(t) + ` {
	mfa_portal {
		protect git.apps.localhost {
			mfa
			mfa /git/* {
				app_tokens
			}
		}
		protect plain.apps.localhost
		protect strict.apps.localhost {
			mfa /x/* {
				fresh 5m
			}
		}
		protect *.apps.localhost {
			mfa {
				app_tokens
			}
		}
	}
}
`)
	running, err := caddy.ActiveContext().AppIfConfigured("mfa")
	if err != nil {
		t.Fatal(err)
	}
	if got := running.(*App).appHosts(portal); !slices.Equal(got, []string{"git.apps.localhost"}) {
		t.Errorf("%q", got)
	}
}

// An app behind another proxy gets the same proof as one behind us, for its own origin, and
// the keys at the portal and at its own host.
func TestForwardAuth_Assertion_AC009(t *testing.T) {
	g := newGateway(t)
	text, at := g.portalText("mfa", "peers 127.0.0.1")
	g.mustLoad(text)
	alice := g.signIn("alice", time.Minute)
	alice.Name = "__Host-mfa-" + g.port // as it is with https
	keys, app := g.keySetAt(), g.host
	_, want := g.get("/.mfa/jwks.json", nil)
	if resp, body := g.rawAnswer("GET /.mfa/jwks.json HTTP/1.1\r\nHost: auth.localhost:" + g.port + "\r\nConnection: close\r\n\r\n"); resp.StatusCode != 200 || body != want {
		t.Fatalf("the keys at the portal: %d %s", resp.StatusCode, body)
	}
	for _, dialect := range proxies {
		target, host, header := g.question(dialect, "/x")
		for i := range header {
			header[i] = strings.Replace(strings.Replace(header[i], "http://", "https://", 1), "http", "https", 1)
			header[i] = strings.Replace(header[i], "httpss", "https", 1)
		}
		status, answer := asProxy(t, at, target, host, alice, append(header, "Mfa-Assertion", "forged")...)
		lines := answer["Mfa-Assertion"]
		if status != 200 || len(lines) != 1 {
			t.Fatalf("%s: %d, %d assertions", dialect, status, len(lines))
		}
		if claims, ok := believes(keys, "https://"+app, lines[0]); !ok || claims["preferred_username"] != "alice" {
			t.Errorf("%s: an app does not believe %v", dialect, claims)
		}
		for _, other := range []string{"http://" + app, "https://auth.localhost:" + g.port, "https://localhost"} {
			if _, ok := believes(keys, other, lines[0]); ok {
				t.Errorf("AC-009 %s: %s believes it, too", dialect, other)
			}
		}
	}
	if status, answer := asProxy(t, at, "/.mfa/jwks.json", "localhost", nil); status != 200 || answer.Get("Content-Type") != "application/jwk-set+json" {
		t.Errorf("the keys at the app's own host, which its proxy hands on: %d %v", status, answer)
	}
}

// A proxy hands on what its clients write. That it may ask does not make it one that says
// who somebody is: that takes "header" and trusted_proxies, and no connection, certificate or
// password of the question counts for the person whom it is about (AC-183, AC-184).
func TestForwardAuth_Established_AC183_AC184(t *testing.T) {
	ask := func(t *testing.T, g *gateway, at, path string, cookie *http.Cookie, header ...string) (statuses []int) {
		t.Helper()
		for _, dialect := range proxies {
			target, host, question := g.question(dialect, path)
			status, _ := asProxy(t, at, target, host, cookie, append(question, append(header, "Accept", "application/json")...)...)
			statuses = append(statuses, status)
		}
		return statuses
	}
	all := func(statuses []int, want int) bool {
		return !slices.ContainsFunc(statuses, func(status int) bool { return status != want })
	}
	configured := func(g *gateway, options, trusted string) (text, at string) {
		text, at = g.portalText("mfa", "peers 127.0.0.1")
		text = strings.Replace(text, "require on", options, 1)
		if trusted != "" {
			text = strings.Replace(text, "\tpersist_config off\n", "\tpersist_config off\n\tservers {\n\t\ttrusted_proxies static "+trusted+"\n\t\ttrusted_proxies_strict\n\t}\n", 1)
		}
		return text, at
	}
	const byHeader = "identity local\nidentity proxied {\nheader X-Auth-User\n}"

	t.Run("a proxy that is trusted with it", func(t *testing.T) {
		g := newGateway(t)
		text, at := configured(g, byHeader, "127.0.0.1/32")
		g.mustLoad(text)
		cookie, id := g.signedInAs("proxied", "alice")
		if got := ask(t, g, at, "/x", cookie, "X-Auth-User", "alice"); !all(got, 200) {
			t.Errorf("alice: %v", got)
		}
		for what, header := range map[string][]string{
			"nobody": nil, "Remote-User": {"Remote-User", "alice"}, "two lines": {"X-Auth-User", "alice", "X-Auth-User", "bob"}, "two in one": {"X-Auth-User", "alice,bob"},
		} {
			if got := ask(t, g, at, "/x", cookie, header...); !all(got, 401) {
				t.Errorf("%s: %v", what, got)
			}
		}
		if !g.lives(id) {
			t.Error("nobody was another, and alice's session has ended")
		}
		if got := ask(t, g, at, "/x", cookie, "X-Auth-User", "bob"); !all(got, 401) || g.lives(id) {
			t.Errorf("B26 bob at alice's browser: %v, lives: %v", got, g.lives(id))
		}
	})
	t.Run("AC-184 a proxy that may only ask", func(t *testing.T) {
		g := newGateway(t)
		text, at := configured(g, byHeader, "10.9.8.7/32")
		g.mustLoad(text)
		cookie, _ := g.signedInAs("proxied", "alice")
		if got := ask(t, g, at, "/x", cookie, "X-Auth-User", "alice"); !all(got, 401) {
			t.Errorf("a question: %v", got)
		}
		// … nor when it hands our pages on, which its clients come to with any header.
		portal := "auth.localhost:" + g.port
		g.host = portal
		own, _ := g.signedInAs("proxied", "alice")
		if status, _ := asProxy(t, at, "/.mfa/account", portal, own, "X-Auth-User", "alice", "Accept", "text/html"); status == 200 {
			t.Error("the account page believes a client's header")
		}
		for _, host := range []string{portal, "localhost"} {
			if status, answer := asProxy(t, at, "/.mfa/sign-in", host, nil, "X-Auth-User", "alice", "Accept", "text/html"); strings.Contains(strings.Join(answer["Set-Cookie"], " "), "mfa-"+g.port+"=") {
				t.Errorf("%s: signed in by a client's header: %d %v", host, status, answer)
			}
		}
	})
	t.Run("AC-183 a password of the question", func(t *testing.T) {
		g := newGateway(t)
		line, alice := basic(t, "alice")
		text, at := configured(g, "identity local\nidentity proxied", "")
		text = strings.Replace(text, "\tmfa_portal {", "\tbasic_auth {\n\t\t"+line+"\n\t}\n\tmfa_portal {", 1)
		g.mustLoad(text)
		cookie, _ := g.signedInAs("proxied", "alice")
		if got := ask(t, g, at, "/x", cookie, "Authorization", alice, "Remote-User", "alice"); slices.Contains(got, 200) {
			t.Errorf("%v", got)
		}
	})
}
