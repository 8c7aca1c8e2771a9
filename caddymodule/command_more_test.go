package caddymodule

import (
	"bytes"
	"context"
	"encoding/json"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/secondgate/secondgate/mfa"
)

// answerOf runs a command for programs and returns what it answered.
func (g *gateway) answerOf(t *testing.T, args ...string) *adminAnswer {
	t.Helper()
	answer := new(adminAnswer)
	if err := json.Unmarshal([]byte(g.run(t, 0, append(args, "--json")...)), answer); err != nil {
		t.Fatalf("%q: %v", args, err)
	}
	return answer
}

func (a *adminAnswer) names() string {
	var names []string
	for _, u := range a.Users {
		names = append(names, u.Name)
	}
	return strings.Join(names, " ")
}

// B35: users are listed by what holds of them, numbers say how many, and the forecast says
// who would be stopped.
func TestCommands_B35_ListsAndNumbers(t *testing.T) {
	g := newGateway(t)
	g.mustLoad(g.text("organization acme {\n\t\t\tdomains acme.example\n\t\t}", "mfa\n\trespond ok"))
	for _, name := range []string{"ann", "bob", "cleo", "dan", "eve"} {
		g.signIn(name, 0)
	}
	g.update("bob", func(u *mfa.User) { u.Credentials, u.SkippedPrompt = nil, "at_registration" })
	g.update("cleo", func(u *mfa.User) {
		u.Credentials = []mfa.Credential{{ID: "key", Kind: mfa.Passkey, RPID: "localhost", Created: time.Now()}}
		u.Locked, u.Email, u.EmailVerified = []mfa.Kind{mfa.Password}, "cleo@acme.example", true
	})
	g.update("dan", func(u *mfa.User) { u.OptedOut, u.Organizations = true, []mfa.OrganizationID{"acme"} })
	g.update("eve", func(u *mfa.User) { u.Disabled, u.Credentials = true, nil })
	g.bothWays(t, func(t *testing.T) {
		for args, want := range map[string]string{
			"":                                "ann bob cleo dan eve",
			"--search an":                     "ann",
			"--search the":                    "ann bob cleo dan eve",
			"--no-factor":                     "bob eve",
			"--factor passkey":                "cleo",
			"--factor totp":                   "ann dan",
			"--skipped":                       "bob",
			"--opted-out":                     "dan",
			"--locked":                        "cleo",
			"--disabled":                      "eve",
			"--organization acme":             "cleo dan",
			"--organization acme --no-factor": "",
			"--no-factor --disabled":          "eve",
		} {
			if got := g.answerOf(t, append([]string{"users", "list"}, strings.Fields(args)...)...).names(); got != want {
				t.Errorf("users list %s: %q, want %q", args, got, want)
			}
		}
		if got := g.answerOf(t, "orgs", "members", "acme").names(); got != "cleo dan" {
			t.Errorf("members: %q", got)
		}
		c := g.answerOf(t, "coverage").Coverage
		if c == nil || c.Users != 4 || c.None != 1 || c.Factors[mfa.TOTP] != 2 || c.PhishingResistant != 1 {
			t.Errorf("coverage: %+v", c)
		}
		if c := g.answerOf(t, "coverage", "--organization", "acme").Coverage; c.Users != 2 || c.Factors[mfa.Passkey] != 1 {
			t.Errorf("coverage of acme: %+v", c)
		}
		says(t, g.run(t, 0, "coverage"), "Coverage of everybody", "no factor, or only backup codes  1 (25.0 %)")
		f := g.answerOf(t, "forecast").Forecast
		if f == nil || f.Users != 4 || f.Stopped != 1 || len(f.Page) != 1 || f.Page[0].Name != "bob" {
			t.Errorf("forecast: %+v", f)
		}
		says(t, g.run(t, 0, "forecast"), "of 4 users, 1 (25.0 %) would be stopped", "bob")
		says(t, g.run(t, 0, "forecast", "--organization", "acme"), "of 2 members of acme, 0 (0.0 %) would be stopped")
		g.refusals(t, exitRefused, "", map[string]string{
			"users list --factor pigeon":             "not a factor",
			"users list --factor totp --no-factor":   "one of --factor and --no-factor",
			"users list --locked --disabled":         "takes one of",
			"users list --after nonsense":            "the cursor is not one of this list",
			"users list --organization A":            "is no name for one",
			"orgs members":                           "which organization?",
			"orgs members acme dan":                  "one word too many",
			"coverage acme":                          "one word too many",
			"forecast --limit 0":                     "1 to 1000",
			"users list --search a --after nonsense": "the cursor",
		})
		g.refusals(t, exitNotFound, "", map[string]string{
			"users list --organization none": "organization none: not found",
			"orgs members none":              "not found",
			"coverage --organization none":   "not found",
			"forecast --organization none":   "not found",
		})
	})
}

// B35: sessions are listed and ended, roles given, one factor removed, a skip forgotten.
func TestCommands_B35_OneUser(t *testing.T) {
	g := newGateway(t)
	g.mustLoad(g.text("require on", "mfa\n\trespond ok"))
	first, second := g.signIn("alice", time.Minute), g.signIn("alice", 0)
	status := func(i int) int {
		resp, _ := g.get("/", first)
		if i == 2 {
			resp, _ = g.get("/", second)
		}
		return resp.StatusCode
	}
	list := g.answerOf(t, "users", "sessions", "alice").Sessions
	if len(list) != 2 || list[0].Handle == "" || list[0].Host == "" || list[0].Handle == list[1].Handle {
		t.Fatalf("sessions: %+v", list)
	}
	says(t, g.run(t, 0, "users", "sessions", "alice"), "SESSION", list[0].Handle, g.host)
	out := g.run(t, 0, "users", "end-sessions", "alice", "--session", list[0].Handle)
	if !strings.HasPrefix(out, "That session of alice has ended.") || strings.Contains(out, list[0].Handle) || !strings.Contains(out, list[1].Handle) {
		t.Errorf("after ending one:\n%s", out)
	}
	if (status(1) == 200) == (status(2) == 200) {
		t.Errorf("one of the two goes on: %d, %d", status(1), status(2))
	}
	says(t, g.run(t, exitNotFound, "users", "end-sessions", "alice", "--session", "nonsense"), "secondgate mfa users sessions alice")
	says(t, g.run(t, 0, "users", "end-sessions", "alice"), "Every session of alice has ended", "No sessions.")
	if status(1) == 200 || status(2) == 200 {
		t.Error("a session goes on")
	}
	g.bothWays(t, func(t *testing.T) {
		says(t, g.run(t, 0, "users", "role", "alice", "admin"), "alice is an administrator of the whole gateway", "active, administrator")
		says(t, g.run(t, exitRefused, "users", "role", "alice", "none"), "nobody would be left who can administrate")
		says(t, g.run(t, exitRefused, "users", "disable", "alice", "--yes"), "nobody would be left who can administrate")
		says(t, g.run(t, exitRefused, "users", "role", "alice", "king"), "there are admin, auditor and none")
		g.run(t, 0, "orgs", "set", "acme")
		says(t, g.run(t, 0, "users", "invite", "bob", "--role", "auditor"), "/.mfa/link#")
		says(t, g.run(t, 0, "users", "role", "bob", "none", "--admin-of", "acme"), "bob is neither administrator nor auditor, and an administrator of acme", "administrator of acme")
		says(t, g.run(t, exitNotFound, "users", "role", "bob", "none", "--admin-of", "none"), "not found")
		says(t, g.run(t, exitRefused, "users", "invite", "carl", "--role", "king"), "there are admin, auditor and none")
		says(t, g.run(t, 0, "users", "reset-skip", "bob"), "bob is asked again")
		says(t, g.run(t, exitNotFound, "users", "remove-factors", "alice", "--credential", "none", "--yes"), `alice has no factor "none"`, "secondgate mfa users show alice")
		says(t, g.run(t, exitRefused, "users", "remove-factors", "alice", "--credential", "app", "--factor", "totp", "--yes"), "one of --factor and --credential")
		g.refusals(t, exitRefused, "", map[string]string{
			"users role alice":            "which user, and which role",
			"users role alice admin bob":  "one word too many",
			"users sessions":              "which user?",
			"users end-sessions alice al": "one word too many",
		})
		says(t, g.run(t, exitNotFound, "users", "sessions", "nobody"), "nobody")
	})
	says(t, g.run(t, 0, "users", "show", "alice"), "ID", "app")
	says(t, g.run(t, 0, "users", "remove-factors", "alice", "--credential", "app", "--yes"), "The totp of alice is removed", "backup_code")
}

// A key is shown once, opens what its scopes name, and ends when it is revoked. What it is
// must not be in what lists print.
func TestCommands_Keys(t *testing.T) {
	g := newGateway(t)
	g.mustLoad(g.text("require on", "mfa\n\trespond ok"))
	g.bothWays(t, func(t *testing.T) {
		says(t, g.run(t, 0, "keys", "list"), "No keys.")
		out := g.run(t, 0, "keys", "create", "on boarding", "--scope", "users:read", "--scope", "audit:read", "--for", "30d")
		key := strings.Fields(out)[0]
		if !regexp.MustCompile(`^sg_[0-9a-f]{16}_[A-Za-z0-9_-]{43}$`).MatchString(key) {
			t.Errorf("the key is %q", key)
		}
		id := strings.Split(key, "_")[1]
		says(t, out, "users:read, audit:read until "+time.Now().Add(30*24*time.Hour).UTC().Format("2006-01-02"), "Its ID, to revoke it: "+id)
		list := g.run(t, 0, "keys", "list")
		says(t, list, id, "on boarding", "users:read audit:read", "command line", "never")
		if all := list + g.run(t, 0, "keys", "list", "--json") + g.run(t, 0, "audit", "--event", "admin", "--json"); strings.Contains(all, key[len("sg_")+len(id)+1:]) {
			t.Error("the key is shown again")
		}
		if a := g.answerOf(t, "keys", "create", "x", "--scope", "users:read"); a.Secret == "" || a.Key == nil || a.Key.Name != "x" || len(a.Key.Scopes) != 1 {
			t.Errorf("for programs: %+v", a)
		} else {
			g.run(t, 0, "keys", "revoke", a.Key.ID)
		}
		says(t, g.run(t, 0, "keys", "revoke", id), "The key "+id+" opens nothing any more.")
		says(t, g.run(t, exitNotFound, "keys", "revoke", id), "secondgate mfa keys list")
		says(t, g.run(t, 0, "keys", "list"), "No keys.")
		g.refusals(t, exitRefused, "keys", map[string]string{
			"create x":                               "say what the key is to open",
			"create x --scope everything":            "there are users:read",
			"create x --scope users:read --for 5m":   "from one hour to 366 days",
			"create x --scope users:read --for 400d": "from one hour to 366 days",
			"create":                                 "Give it a name",
			"create x y --scope users:read":          "one word too many",
			"revoke":                                 "which key?",
			"revoke a b":                             "one word too many",
			"nonsense":                               "there is no command",
			"list all":                               "one word too many",
			"create x --scope users:read --scope users": "there are users:read",
		})
	})
}

// What a change of the policy would do is said, and not done.
func TestCommands_PolicyTest(t *testing.T) {
	g := newGateway(t)
	g.mustLoad(g.text("require off\n\t\tenrollment pass", "mfa\n\trespond ok"))
	g.signIn("ann", 0)
	g.signIn("bob", 0)
	g.update("bob", func(u *mfa.User) { u.Credentials = nil })
	g.mustLoad(g.text("enrollment pass", "mfa\n\trespond ok"))
	g.bothWays(t, func(t *testing.T) {
		before := g.run(t, 0, "policy", "show")
		says(t, g.run(t, 0, "policy", "test", "require", "off"), "nothing was changed", "require  on   off", "Of 2 users, 0 (0.0 %) would have to set up", "now it is 1 (50.0 %)")
		says(t, g.run(t, 0, "policy", "test", "factors", "passkey"), "factors  passkey totp backup_code  passkey", "2 (100.0 %) would have to set up", "a pass (enrollment)", "secondgate mfa forecast")
		says(t, g.run(t, 0, "policy", "test", "require", "on"), "Nothing would change.")
		says(t, g.run(t, 0, "policy", "test", "require"), "Nothing would change.")
		says(t, g.run(t, 0, "policy", "test", "enrollment", "open"), "It would be refused: enrollment: not allowed: the configuration says so")
		says(t, g.run(t, 0, "policy", "test", "factors", "sms"), "It would be refused: factors: sms cannot be used without a sender")
		p := g.answerOf(t, "policy", "test", "factors", "passkey").Test
		if p == nil || p.Users != 2 || p.Stopped != 1 || p.WouldStop != 2 || !p.Closed || len(p.Changes) != 1 || p.Changes[0] != (mfa.FieldChange{Field: "factors", Before: "passkey totp backup_code", After: "passkey"}) {
			t.Errorf("for programs: %+v", p)
		}
		if after := g.run(t, 0, "policy", "show"); after != before {
			t.Errorf("a test changed the policy:\n%s", after)
		}
		g.refusals(t, exitRefused, "policy test", map[string]string{
			"": "which field", "domain x": "there is no field", "require maybe": "neither on nor off", "grace soon": "is no duration",
		})
	})
}

// B35: the test says that a change would be refused because nobody could administrate.
func TestCommands_B35_PolicyTestLockout(t *testing.T) {
	g := newGateway(t)
	g.mustLoad(g.text("issuer Acme", "mfa\n\trespond ok"))
	g.administrator()
	says(t, g.run(t, 0, "policy", "test", "enrollment", "pass"), "It would be refused: no administrator could sign in any more: alice", "It could be forced.", "enrollment  open 14d  pass")
	if p := g.answerOf(t, "policy", "test", "enrollment", "pass").Test; !p.Lockout || p.Refused == "" {
		t.Errorf("for programs: %+v", p)
	}
}

// AC-231: the chain is checked in the store and, without a gateway, in an export; whatever
// was done to it is named.
func TestCommands_AC231_AuditChain(t *testing.T) {
	g := newGateway(t)
	g.mustLoad(g.text("require on", "mfa\n\trespond ok"))
	g.signIn("alice", 0)
	for range 3 {
		g.run(t, 0, "users", "unlock", "alice")
	}
	g.run(t, 0, "orgs", "set", "acme", "--name", "A <b> & c")
	g.eventually(t, "set organization acme", "audit")
	out := g.run(t, 0, "audit", "verify")
	m := regexp.MustCompile(`(?m)^Head  ([0-9]+:[0-9a-f]{64})$`).FindStringSubmatch(out)
	if m == nil || !strings.HasPrefix(out, "Whole: ") {
		t.Fatalf("verify says:\n%s", out)
	}
	head := m[1]
	number, _, _ := strings.Cut(head, ":")
	file := filepath.Join(g.dir, "events.jsonl")
	export := g.run(t, 0, "audit", "export")
	g.must(os.WriteFile(file, []byte(export), 0o600))
	lines := strings.SplitAfter(strings.TrimSuffix(export, "\n")+"\n", "\n")
	lines = lines[:len(lines)-1]
	if len(lines) < 5 || strconv.Itoa(len(lines)) != number {
		t.Fatalf("%d lines, %s events:\n%s", len(lines), number, export)
	}
	g.bothWays(t, func(t *testing.T) {
		says(t, g.run(t, 0, "audit", "verify", "--head", head), "Whole: ")
		if v := g.answerOf(t, "audit", "verify").Verified; v == nil || v.Broken != 0 || v.First != 1 || v.Count < len(lines) {
			t.Errorf("for programs: %+v", v)
		}
		says(t, g.run(t, 0, "audit", "verify", file), "Whole: "+number+" events, from number 1 to "+number, "Head  "+head)
		other := number + ":" + strings.Repeat("0", 64)
		says(t, g.run(t, exitBroken, "audit", "verify", "--head", other), "event "+number+" was changed")
		says(t, g.run(t, exitBroken, "audit", "verify", "--head", "999999:"+strings.Repeat("0", 64)), "is missing, and all behind it")
		if part := g.run(t, 0, "audit", "export", "--from", "3"); !strings.HasPrefix(part, lines[2]) {
			t.Errorf("from the third on:\n%s", part)
		}
		tail := g.run(t, 0, "audit", "tail", "-n", "2")
		if n := strings.Count(tail, "\n"); n != 2 {
			t.Errorf("two lines are %d:\n%s", n, tail)
		}
		if out := g.run(t, 0, "audit", "tail", "--json"); !strings.HasPrefix(out, `{"at":`) {
			t.Errorf("for programs: %s", out)
		}
	})
	join := func(list ...string) string { return strings.Join(list, "") }
	swap := append([]string{}, lines...)
	swap[1], swap[2] = swap[2], swap[1]
	last := lines[len(lines)-1]
	for _, c := range []struct {
		name, text, head string
		code             int
		want             string
	}{
		{"whole", export, head, 0, "Whole"},
		{"a letter changed", strings.Replace(export, "unlock", "unlocK", 1), "", exitBroken, "was changed"},
		{"a line removed", join(append(append([]string{}, lines[:2]...), lines[3:]...)...), "", exitBroken, "event 3 is missing"},
		{"two lines swapped", join(swap...), "", exitBroken, "event 2"},
		{"a line twice", join(lines[0], lines[0], lines[1]), "", exitBroken, "event 1 stands in another place"},
		{"the end cut off, and nobody wrote the head down", join(lines[:len(lines)-1]...), "", 0, "Whole"},
		{"the end cut off", join(lines[:len(lines)-1]...), head, exitBroken, "event " + number + " is missing, and all behind it"},
		{"another end", strings.Replace(export, last, strings.Replace(last, "acme", "acne", 1), 1), "", exitBroken, "event " + number + " was changed"},
		{"another chain", export, number + ":" + strings.Repeat("ab", 32), exitBroken, "event " + number + " was changed"},
		{"a field that is hashed nowhere", strings.Replace(export, `{"at":`, `{"verdict":"innocent","at":`, 1), "", exitBroken, "event 1 was changed"},
		{"a field that stands twice", strings.Replace(export, `"name":"admin"`, `"name":"sign_in","name":"admin"`, 1), "", exitBroken, "was changed"},
		{"the beginning is missing", join(lines[2:]...), head, 0, "What stands before event 3 is not in the file"},
		{"empty", "", "", 0, "no events"},
		{"empty, and the head says otherwise", "", head, exitBroken, "is missing"},
		{"something else", "hello\n", "", exitUnreadable, "line 1 is no event"},
		{"a line without number", "{}\n", "", exitUnreadable, "line 1 is no event"},
	} {
		t.Run(c.name, func(t *testing.T) {
			g.must(os.WriteFile(file, []byte(c.text), 0o600))
			args := []string{"mfa", "audit", "verify", file}
			if c.head != "" {
				args = append(args, "--head", c.head)
			}
			out, errs, code := program(t, args...)
			if code != c.code || !strings.Contains(out+errs, c.want) {
				t.Errorf("exit code %d, want %d\n%s%s", code, c.code, out, errs)
			}
		})
	}
	if _, errs, code := program(t, "mfa", "audit", "verify", file+".none"); code != exitUnreadable {
		t.Errorf("no such file: %d %s", code, errs)
	}
	g.refusals(t, exitRefused, "audit", map[string]string{
		"verify a b": "one word too many", "verify --head 12": "is no head", "verify --head x:abc": "is no head", "tail -n 0": "1 to 1000", "tail -n 1001": "1 to 1000",
	})
}

// tail -f shows what comes.
func TestCommands_AuditFollow(t *testing.T) {
	g := newGateway(t)
	g.mustLoad(g.text("require on", "mfa\n\trespond ok"))
	g.signIn("alice", 0)
	root := commands()
	var out safeBuffer
	root.SetOut(&out)
	root.SetErr(&out)
	root.SetArgs([]string{"--config", g.file, "audit", "tail", "-f", "--every", "50ms"})
	done := make(chan error, 1)
	ctx, stop := context.WithCancel(t.Context())
	go func() { done <- root.ExecuteContext(ctx) }()
	waitFor(t, "the first lines", func() bool { return strings.Contains(out.String(), "setup-link") })
	g.run(t, 0, "users", "unlock", "alice")
	g.run(t, 0, "users", "reset-skip", "alice")
	waitFor(t, "what came", func() bool { return strings.Contains(out.String(), "reset-skip") })
	stop()
	if err := <-done; err != nil {
		t.Errorf("after the interrupt: %v", err)
	}
	text := out.String()
	if strings.Count(text, "unlock") != 1 || strings.Index(text, "unlock") > strings.Index(text, "reset-skip") {
		t.Errorf("not once, or not in order:\n%s", text)
	}
}

func TestPrintedEvents_NoOrdersToTheTerminal(t *testing.T) {
	var b bytes.Buffer
	if err := new(flags).printEvent(&b, mfa.Event{Name: mfa.EventSignIn, Host: "a\x1b[2Jb", Detail: "c\nd"}); err != nil || strings.ContainsAny(strings.TrimSpace(b.String()), "\x1b\n") {
		t.Errorf("%q, %v", b.String(), err)
	}
}
