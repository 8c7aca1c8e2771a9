package caddymodule

import (
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/secondgate/secondgate/mfa"
)

// access runs "explain USER URL" for programs.
func (g *gateway) access(t *testing.T, user, path string) *mfa.Access {
	t.Helper()
	x := g.answerOf(t, "explain", user, "http://"+g.host+path).Access
	if x == nil {
		t.Fatal("no explanation")
	}
	return x
}

// gateSteps are the answers of an explanation, one for each step.
func gateSteps(x *mfa.Access) string {
	var list []string
	for _, s := range x.Steps {
		word := s.Action
		if s.Reason != "" {
			word += ":" + string(s.Reason)
		}
		list = append(list, word)
	}
	return strings.Join(list, " ")
}

// asked returns where that part of the requirement stands.
func asked(x *mfa.Access, what string) string {
	for _, a := range x.Asks {
		if a.What == what {
			return a.From
		}
	}
	return ""
}

// B4, B32: for a user and an address: which gates stand there, what they ask and where
// that comes from, and what is decided step by step. It is what the gate itself does.
func TestCommands_B32_ExplainAccess(t *testing.T) {
	g := newGateway(t)
	site := `@api path /api/*
	mfa /open/* {
		bypass
	}
	mfa
	mfa /danger/* {
		fresh 5m
		factors passkey
	}
	mfa @api {
		phishing_resistant
	}
	handle /acme/* {
		mfa {
			organization acme
		}
		respond acme
	}
	handle {
		respond ok
	}`
	g.mustLoad(g.text("grace 7d\n\t\torganization acme {\n\t\t\tfresh 12h\n\t\t}", site))
	cookie := g.signIn("alice", time.Minute)
	g.signIn("bob", 0)
	g.update("bob", func(u *mfa.User) { u.Organizations = []mfa.OrganizationID{"acme"} })
	for _, c := range []struct {
		user, path, steps string
		gates             int
	}{
		{"alice", "/", "sign_in:no_session verify:not_verified allow allow allow", 1},
		{"alice", "/open/x", "allow:bypass allow:bypass allow:bypass allow:bypass allow:bypass", 2},
		{"alice", "/danger/x", "sign_in:no_session verify:not_verified set_up:needs_factor set_up:needs_factor set_up:needs_factor", 2},
		{"alice", "/danger", "sign_in:no_session verify:not_verified set_up:needs_factor set_up:needs_factor set_up:needs_factor", 2},
		{"alice", "/api/x", "sign_in:no_session verify:not_verified set_up:needs_factor set_up:needs_factor set_up:needs_factor", 2},
		{"alice", "/acme/x", "sign_in:no_session verify:not_verified refuse:not_member refuse:not_member refuse:not_member", 2},
		{"bob", "/acme/x", "sign_in:no_session verify:not_verified allow allow allow", 2},
	} {
		x := g.access(t, c.user, c.path)
		if got := gateSteps(x); got != c.steps || len(x.Gates) != c.gates {
			t.Errorf("%s at %s: %s with %d gates, want %s with %d", c.user, c.path, got, len(x.Gates), c.steps, c.gates)
		}
		if c.user != "alice" {
			continue
		}
		// The last step is the session that there is: the gate must say the same.
		want := map[string]int{"allow": 200, "set_up": 302, "refuse": 403}[x.Steps[len(x.Steps)-1].Action]
		if resp, _ := g.get(c.path, cookie); resp.StatusCode != want {
			t.Errorf("%s: the gate answers %d, and the explanation ends with %s", c.path, resp.StatusCode, x.Steps[len(x.Steps)-1].Action)
		}
	}
	x := g.access(t, "bob", "/acme/x?token=secret")
	for what, from := range map[string]string{
		"require on": "policy: default", "grace 7d": "policy: configuration", "fresh 12h": "organization acme, of which bob is a member",
		"members of acme only": "route: mfa",
	} {
		if got := asked(x, what); !strings.HasPrefix(got, from) {
			t.Errorf("%s comes from %q, want %q; %+v", what, got, from, x.Asks)
		}
	}
	if strings.Contains(x.URL, "secret") {
		t.Error("the query, which may hold secrets of the app, is kept")
	}
	g.run(t, 0, "policy", "set", "remember_device", "1d")
	if got := asked(g.access(t, "bob", "/"), "remember_device 1d"); got != "policy: stored" {
		t.Errorf("remember_device comes from %q", got)
	}
	x = g.access(t, "alice", "/danger/x")
	if len(x.Factors) != 2 || x.Factors[0].Counts || !strings.Contains(x.Factors[0].Why, "only other factors count") {
		t.Errorf("factors: %+v", x.Factors)
	}
	says(t, g.run(t, 0, "explain", "alice", "http://"+g.host+"/danger/x"),
		"alice at http://"+g.host+"/danger/x", "What is asked there", "factors passkey", "route: mfa /danger/* /danger (server srv0)",
		"What alice has", "does not count", "Step by step", "the password and totp “Phone”", "set_up passkey (needs_factor)", "the newest session, of ")
}

// Rules that are not on the way of a request are not told as if they were.
func TestCommands_B32_ExplainAccess_Routes(t *testing.T) {
	g := newGateway(t)
	g.mustLoad(g.text("require on", `route {
		respond /early early
		mfa /late/*
		mfa /either/* {
			fresh 5m
		}
		rewrite /old/* /new
		mfa /new
		respond ok
	}`))
	g.signIn("alice", 0)
	x := g.access(t, "alice", "/early")
	if len(x.Gates) != 0 || len(x.Notes) == 0 || !strings.Contains(x.Notes[0].Text, "open to everybody") {
		t.Errorf("what answers before the gate: %+v", x)
	}
	if x := g.access(t, "alice", "/late/x"); len(x.Gates) != 1 {
		t.Errorf("%+v", x.Gates)
	}
	x = g.access(t, "alice", "/old/x")
	if len(x.Gates) != 0 || !slices.ContainsFunc(x.Notes, func(n mfa.AccessNote) bool { return strings.Contains(n.Text, "A rewrite stands before mfa") }) {
		t.Errorf("behind a rewrite: %+v", x)
	}
	// An address that two could read differently is taken for what protects most.
	if x := g.access(t, "alice", "/x/..%2feither%2f"); len(x.Gates) == 0 {
		t.Errorf("AC-072: %+v", x)
	}
	g.refusals(t, exitRefused, "", map[string]string{
		"explain alice ftp://localhost/":                 "is no address",
		"explain alice http://user:pw@localhost/":        "is no address",
		"explain alice http://app.example.com/":          "plain http, which is refused",
		"explain alice http://" + g.host + "/.mfa/":      "a page of the gate itself",
		"explain alice localhost":                        "no address",
		"explain alice http://" + g.host + "/ more":      "one word too many",
		"explain alice http://" + g.host + "/.mfa/x%2f":  "a page of the gate itself",
		"explain alice https://" + g.host + "/%zz":       "is no address",
		"explain alice https://-bad-.example.com:1/\x01": "is no address",
	})
	g.refusals(t, exitNotFound, "", map[string]string{"explain nobody http://" + g.host + "/late/": "nobody"})
}

// While no gateway runs, nobody knows the routes, and the words say so.
func TestCommands_ExplainAccess_NeedsTheGateway(t *testing.T) {
	g := newGateway(t)
	g.mustLoad(g.text("require on", "mfa\n\trespond ok"))
	g.signIn("alice", 0)
	text := readFile(t, g.file)
	g.mustLoad(strings.Replace(text, "admin "+g.admin, "admin off", 1))
	g.stopped(text)
	says(t, g.run(t, exitRefused, "explain", "alice", "http://"+g.host+"/"), "is known while the gateway runs")
}
