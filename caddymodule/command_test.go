package caddymodule

import (
	"encoding/json"
	"errors"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/caddyserver/caddy/v2"
	"github.com/pquerna/otp/totp"
	"github.com/spf13/cobra"

	"github.com/secondgate/secondgate/mfa"
)

// The commands work through the running gateway and, while none runs, on its
// store; both say the same.
func TestCommands(t *testing.T) {
	g := newGateway(t)
	text := g.text("require on", "mfa\n\trespond ok")
	g.mustLoad(text)
	g.signIn("taken", 0)
	run := func(t *testing.T, want int, args ...string) string {
		t.Helper()
		out, errs, code := program(t, append(append([]string{"mfa"}, args...), "--config", g.file)...)
		if code != want {
			t.Fatalf("%v: exit code %d, want %d\n%s%s", args, code, want, out, errs)
		}
		if want != 0 {
			return errs
		}
		return out
	}
	all := func(t *testing.T, name string) {
		out := run(t, 0, "users", "invite", name, "--name", "Alice Ng", "--email", "alice@example.com", "--group", "staff", "--group", "ops")
		if !strings.HasPrefix(out, "http://"+g.host+"/.mfa/link#") {
			t.Errorf("the invitation is %q", out)
		}
		again := run(t, 0, "users", "invite", name)
		if again == out {
			t.Error("inviting again gave the same link")
		}
		if out := run(t, 0, "users", "list"); !strings.Contains(out, name) || !strings.Contains(out, "invited") {
			t.Errorf("the list is\n%s", out)
		}
		var answer adminAnswer
		if err := json.Unmarshal([]byte(run(t, 0, "users", "list", "--json", "--search", name)), &answer); err != nil || len(answer.Users) != 1 || answer.Users[0].Name != name {
			t.Errorf("the list for programs: %v, %v", answer.Users, err)
		}
		out = run(t, 0, "users", "show", name)
		for _, want := range []string{"Alice Ng", "alice@example.com (not verified)", "staff, ops", "No second factor."} {
			if !strings.Contains(out, want) {
				t.Errorf("the user does not show %q:\n%s", want, out)
			}
		}
		if out := run(t, 0, "users", "disable", name, "--yes"); !strings.Contains(out, "disabled") {
			t.Errorf("after disabling:\n%s", out)
		}
		if out := run(t, 0, "users", "enable", name); strings.Contains(out, "disabled") {
			t.Errorf("after enabling:\n%s", out)
		}
		if out := run(t, 0, "users", "unlock", name); !strings.HasPrefix(out, "Failed attempts are forgotten: "+name) {
			t.Errorf("after unlocking:\n%s", out)
		}
		if out := run(t, 0, "users", "remove-factors", name, "--yes"); !strings.HasPrefix(out, name+" had no second factor.") {
			t.Errorf("after removing what is not there:\n%s", out)
		}
		if out := run(t, 0, "users", "remove-factors", name, "--factor", "totp", "--yes"); !strings.HasPrefix(out, name+" has no totp: nothing was changed.") {
			t.Errorf("after removing one kind that is not there:\n%s", out)
		}
		for _, factor := range []string{"sms", "email", "passkey", "backup_code"} {
			if out := run(t, 0, "users", "remove-factors", name, "--factor", factor, "--yes"); !strings.HasPrefix(out, name+" has no "+factor) {
				t.Errorf("after removing %s:\n%s", factor, out)
			}
		}
		if out := run(t, 0, "users", "reset-password", name, "--url", "https://other.example.com", "--any-host"); !strings.HasPrefix(out, "https://other.example.com/.mfa/link#") {
			t.Errorf("the link is %q", out)
		}
		if out := run(t, 0, "setup-link"); !strings.Contains(out, "/.mfa/link#") || !strings.Contains(out, "one hour") {
			t.Errorf("the set-up link is %q", out)
		}

		if errs := run(t, exitNotFound, "users", "show", "nobody"); !strings.Contains(errs, "nobody") {
			t.Errorf("an unknown user: %q", errs)
		}
		run(t, exitNotFound, "users", "unlock", "nobody")
		run(t, exitRefused, "users", "invite", "not a name")
		run(t, exitRefused, "users", "remove-factors", name, "--factor", "pigeon", "--yes")
		run(t, exitRefused, "setup-link", "--url", "https://example.com/path")
		if errs := run(t, exitRefused, "setup-link", "--url", "https://localhos"); !strings.Contains(errs, "localhos: not among the protected hosts") {
			t.Errorf("a mistyped host: %q", errs)
		}
		g.refusals(t, exitRefused, "", map[string]string{
			"users invite bob smith":                  "a name has no spaces",
			"users invite a@b":                        "use 1 to 64 of a-z",
			"users invite carol --email nonsense":     "\"nonsense\" is not an e-mail address",
			"users invite carol --group a,b":          "--group once for each",
			"users invite carol --phone 12":           "\"12\" is not a mobile number",
			"users bypass taken":                      "say why, for the record",
			"users bypass taken --why x --for 8d":     "from one minute to 7 days",
			"users enrollment-pass taken --for 10s":   "from one minute to 7 days",
			"users invite carol --name a;b":           "cannot be a display name",
			"users invite taken":                      "secondgate mfa users reset-password taken",
			"users show":                              "which user? Write: ",
			"users list all":                          "one word too many",
			"users list --limit 0":                    "1 to 1000",
			"users list --limit -5":                   "1 to 1000",
			"users list --limit 1001":                 "1 to 1000",
			"users list --sort name":                  "unknown flag",
			"setup-link --url https://evil.localhost": "not among the protected hosts",
		})
		var problem struct {
			Error string
			Exit  int
		}
		if errs := run(t, exitNotFound, "users", "show", "nobody", "--json"); json.Unmarshal([]byte(errs), &problem) != nil || problem.Exit != exitNotFound || problem.Error == "" {
			t.Errorf("an error for programs: %q", errs)
		}
		if out := run(t, 0, "users", "list", "--json", "--search", "nobody"); !strings.Contains(out, `"users": []`) {
			t.Errorf("an empty list for programs: %q", out)
		}
		run(t, 0, "users", "disable", name, "--yes")
		if out := run(t, 0, "users", "reset-password", name); !strings.Contains(out, "is disabled, so the link does not work yet") {
			t.Errorf("a link for somebody who is disabled: %q", out)
		}
		run(t, 0, "users", "enable", name)
		if errs := run(t, exitRefused, "users", "disable", name); !strings.Contains(errs, "--yes") {
			t.Errorf("without --yes: %q", errs)
		}
		run(t, exitRefused, "users", "nonsense")
		run(t, exitRefused, "nonsense")
	}
	t.Run("through the running gateway", func(t *testing.T) {
		all(t, "alice")
		if _, errs, _ := program(t, "mfa", "users", "list", "--config", g.file); errs != "Answered by the gateway at "+g.admin+".\n" {
			t.Errorf("who answered: %q", errs)
		}
	})

	t.Run("with the admin endpoint off", func(t *testing.T) {
		off := strings.Replace(text, "admin "+g.admin, "admin off", 1)
		g.mustLoad(off)
		errs := run(t, exitUnreachable, "users", "list")
		if !strings.Contains(errs, "admin endpoint off") || strings.Count(errs, "opening the store") != 1 {
			t.Errorf("got %q", errs)
		}
	})
	if err := caddy.Stop(); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(g.file, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	t.Run("on the store while no gateway runs", func(t *testing.T) {
		all(t, "bob")
		if _, errs, _ := program(t, "mfa", "users", "list", "--config", g.file); !strings.Contains(errs, "Done on the store badger:"+g.store+", because no gateway answers") {
			t.Errorf("who answered: %q", errs)
		}
	})
	t.Run("with no store yet, none is made", func(t *testing.T) {
		_, errs, code := program(t, "mfa", "users", "list", "--config", "testdata/adapt/default.caddyfiletest", "--adapter", "none")
		if code != exitFailed || !strings.Contains(errs, "adapter") {
			t.Errorf("exit code %d: %s", code, errs)
		}
		g.store += "-elsewhere"
		if err := os.WriteFile(g.file, []byte(g.text("require on", "mfa")), 0o600); err != nil {
			t.Fatal(err)
		}
		if errs := run(t, exitUnreachable, "users", "list"); !strings.Contains(errs, "no store yet") {
			t.Errorf("got %q", errs)
		}
		if _, err := os.Stat(g.store); err == nil {
			t.Error("a store was made")
		}
	})
}

// Under "enrollment pass" the removal of factors alone leads nowhere, so the command
// says what does, and the pass that it names does. The admin endpoint is a socket here,
// as the documents advise.
func TestCommands_EnrollmentPassOverASocket(t *testing.T) {
	g := newGateway(t)
	g.admin = "unix/" + filepath.Join(g.dir, "admin.sock")
	g.mustLoad(g.text("enrollment pass", "mfa\n\trespond ok"))
	command := func(args ...string) string {
		t.Helper()
		out, errs, code := program(t, append(append([]string{"mfa", "users"}, args...), "--config", g.file)...)
		if code != 0 {
			t.Fatalf("%v: exit code %d\n%s%s", args, code, out, errs)
		}
		return out
	}
	gate, place := g.generation().gate, g.place()
	ctx := t.Context()
	link := strings.Fields(command("invite", "jo"))[0]
	_, token, _ := strings.Cut(link, "#")
	_, err := gate.AcceptLink(ctx, place, mfa.LinkInput{Token: token, Password: goodPassword})
	g.must(err)
	g.update("jo", func(u *mfa.User) {
		u.EverEnrolled = true
		u.Credentials = []mfa.Credential{
			{ID: "app", Kind: mfa.TOTP, Name: "Phone", Created: time.Now()},
			{ID: mfa.BackupCodesID, Kind: mfa.BackupCode, Created: time.Now(), Left: 10},
		}
	})
	if out := command("enrollment-pass", "jo"); !strings.Contains(out, "jo has a second factor, and the pass does nothing as long as they have") {
		t.Errorf("a pass for somebody who has a factor:\n%s", out)
	}
	if out := command("remove-factors", "jo", "--factor", "backup_code", "--yes"); !strings.HasPrefix(out, "The backup_code of jo is removed") || strings.Contains(out, "enrollment-pass") {
		t.Errorf("while a factor is left:\n%s", out)
	}
	out := command("remove-factors", "jo", "--yes")
	if !strings.HasPrefix(out, "The second factors of jo are removed") || !strings.Contains(out, "secondgate mfa users enrollment-pass jo") {
		t.Errorf("after the last:\n%s", out)
	}

	signedIn, err := gate.SignIn(ctx, place, mfa.LocalSource, "jo", goodPassword)
	g.must(err)
	if signedIn.Decision.Action != mfa.SetUp {
		t.Fatalf("after the password: %s %s", signedIn.Decision.Action, signedIn.Decision.Reason)
	}
	if _, err := gate.BeginTOTP(ctx, place, signedIn.Session.ID); !errors.Is(err, mfa.ErrEnrollmentClosed) {
		t.Fatalf("set-up with the password alone: %v", err)
	}
	out = command("enrollment-pass", "jo", "--for", "2h")
	pass := strings.Fields(out)[0]
	if until := time.Now().Add(2 * time.Hour).UTC().Format("2006-01-02 15:"); !strings.Contains(out, "until "+until) {
		t.Errorf("the pass does not say until when (%s):\n%s", until, out)
	}
	opened, err := gate.UsePass(ctx, place, signedIn.Session.ID, pass)
	g.must(err)
	g.enroll(place, opened.Session.ID)
	if out := command("show", "jo"); !strings.Contains(out, "Authenticator app") {
		t.Errorf("set up by the pass:\n%s", out)
	}

	if info, err := os.Stat(filepath.Join(g.dir, "admin.sock")); err != nil || runtime.GOOS != "windows" && info.Mode().Perm()&0o077 != 0 {
		t.Errorf("others can use the socket: %v, %v", info, err)
	}
}

// A bypass stands for the second factor of its owner at one sign-in, and leads to
// set-up; why it was made is in the record, and the secret in no log.
func TestCommands_BypassAndNoSecretInLogs(t *testing.T) {
	g := newGateway(t)
	log := filepath.Join(g.dir, "all.log")
	text := g.text("require on", "mfa\n\trespond ok")
	g.mustLoad(strings.Replace(text, "\tmfa {", "\tlog {\n\t\tlevel DEBUG\n\t\toutput file "+log+"\n\t}\n\tmfa {", 1))
	gate, place := g.generation().gate, g.place()
	ctx := t.Context()
	said := ""
	command := func(args ...string) string {
		t.Helper()
		out, errs, code := program(t, append(append([]string{"mfa", "users"}, args...), "--config", g.file)...)
		if code != 0 {
			t.Fatalf("%v: exit code %d\n%s%s", args, code, out, errs)
		}
		said += errs
		return strings.Fields(out)[0]
	}
	_, token, _ := strings.Cut(command("invite", "jopersonal"), "#")
	accepted, err := gate.AcceptLink(ctx, place, mfa.LinkInput{Token: token, Password: goodPassword})
	g.must(err)
	g.enroll(place, accepted.Session.ID)

	code := command("bypass", "jopersonal", "--why", "lost the phone", "--for", "1h")
	signedIn, err := gate.SignIn(ctx, place, mfa.LocalSource, "jopersonal", goodPassword)
	g.must(err)
	if signedIn.Decision.Action != mfa.Verify {
		t.Fatalf("after the password: %s %s", signedIn.Decision.Action, signedIn.Decision.Reason)
	}
	passed, err := gate.VerifyBypass(ctx, place, signedIn.Session.ID, code)
	g.must(err)
	if passed.Decision.Action != mfa.SetUp {
		t.Errorf("after the bypass: %s %s", passed.Decision.Action, passed.Decision.Reason)
	}
	again, err := gate.SignIn(ctx, place, mfa.LocalSource, "jopersonal", goodPassword)
	g.must(err)
	if _, err := gate.VerifyBypass(ctx, place, again.Session.ID, code); !errors.Is(err, mfa.ErrRejected) {
		t.Errorf("a second time: %v", err)
	}
	pass := command("enrollment-pass", "jopersonal")

	raw, err := os.ReadFile(log)
	g.must(err)
	for _, secret := range []string{code, strings.ReplaceAll(code, "-", ""), pass, token} {
		if len(secret) < 16 || strings.Contains(string(raw), secret) || strings.Contains(said, secret) {
			t.Errorf("%q is in a log or on standard error", secret)
		}
	}
	if !strings.Contains(string(raw), `"detail":"bypass: lost the phone"`) {
		t.Error("why the bypass was made is in no log")
	}
	for line := range strings.Lines(string(raw)) {
		if strings.Contains(line, `"logger":"admin.api"`) && strings.Contains(line, "jopersonal") {
			t.Errorf("a name is in the access log of the admin endpoint: %s", line)
		}
	}
}

// A lock is where administrators look for it, with its end. (A lock without one
// ends by command.)
func TestShow_Locks(t *testing.T) {
	at := time.Date(2026, 3, 4, 5, 6, 0, 0, time.FixedZone("", 3600))
	var b strings.Builder
	showUserInfo(&b, &mfa.UserInfo{
		Name: "jo", PasswordLocked: true, PasswordLockedUntil: at,
		Factors: []mfa.FactorInfo{{Kind: mfa.TOTP, Locked: true}, {Kind: mfa.Passkey, Locked: true, LockedUntil: at}},
	})
	for _, want := range []string{
		"Password       locked until 2026-03-04 04:06 UTC", "locked, until: secondgate mfa users unlock", "locked until 2026-03-04 04:06 UTC\n",
	} {
		if !strings.Contains(b.String(), want) {
			t.Errorf("%q is missing:\n%s", want, b.String())
		}
	}
}

// The admin endpoint takes JSON by POST only: nothing that a page of a strange
// site can make a browser send.
func TestAdmin_RejectsWhatBrowsersSend(t *testing.T) {
	g := newGateway(t)
	g.mustLoad(g.text("require on", "mfa\n\trespond ok"))
	for _, c := range []struct {
		name, method, media, origin, body string
		want                              int
	}{
		{"as the command sends it", http.MethodPost, "application/json", "", `{}`, http.StatusOK},
		{"GET", http.MethodGet, "application/json", "", ``, http.StatusMethodNotAllowed},
		{"a form", http.MethodPost, "application/x-www-form-urlencoded", "", `{}`, http.StatusUnsupportedMediaType},
		{"plain text", http.MethodPost, "text/plain", "", `{}`, http.StatusUnsupportedMediaType},
		{"AC-227 an unknown field", http.MethodPost, "application/json", "", `{"is_admin":true}`, http.StatusBadRequest},
		{"another origin", http.MethodPost, "application/json", "https://evil.example", `{}`, http.StatusForbidden},
		{"a body without end", http.MethodPost, "application/json", "", `{"name":"` + strings.Repeat("a", 100<<10) + `"}`, http.StatusBadRequest},
	} {
		t.Run(c.name, func(t *testing.T) {
			r, err := http.NewRequest(c.method, "http://"+g.admin+"/mfa/users/list", strings.NewReader(c.body))
			if err != nil {
				t.Fatal(err)
			}
			r.Header.Set("Content-Type", c.media)
			if c.origin != "" {
				r.Header.Set("Origin", c.origin)
				r.Header.Set("Sec-Fetch-Mode", "cors")
			}
			resp, err := client.Do(r)
			if err != nil {
				t.Fatal(err)
			}
			resp.Body.Close()
			if resp.StatusCode != c.want {
				t.Errorf("got %d, want %d", resp.StatusCode, c.want)
			}
		})
	}
}

const goodPassword = "correct horse battery staple 7"

func (g *gateway) must(err error) {
	g.t.Helper()
	if err != nil {
		g.t.Fatal(err)
	}
}

// place is where a browser stands that has this gateway's page open.
func (g *gateway) place() *mfa.Place {
	g.t.Helper()
	req, err := g.generation().guard.Parse(httptest.NewRequest(http.MethodGet, "http://"+g.host+"/", nil))
	g.must(err)
	return &req.Place
}

// update changes a local user in the store.
func (g *gateway) update(name string, change func(*mfa.User)) {
	g.t.Helper()
	store := g.generation().pooled.store.store
	u, err := store.UserByKey(g.t.Context(), mfa.SubjectKey(mfa.LocalSource, name))
	g.must(err)
	g.must(store.UpdateUser(g.t.Context(), u.ID, func(u *mfa.User) error {
		change(u)
		return nil
	}))
}

// enroll sets an authenticator app up in the session.
func (g *gateway) enroll(place *mfa.Place, id mfa.SessionID) {
	g.t.Helper()
	gate, ctx := g.generation().gate, g.t.Context()
	setup, err := gate.BeginTOTP(ctx, place, id)
	g.must(err)
	code, err := totp.GenerateCode(strings.ReplaceAll(string([]byte(setup.Secret)), " ", ""), time.Now())
	g.must(err)
	_, err = gate.FinishTOTP(ctx, place, id, code, "")
	g.must(err)
}

// run runs a command on the gateway's configuration and returns what it printed: the
// answer, or the error where one is wanted.
func (g *gateway) run(t *testing.T, want int, args ...string) string {
	t.Helper()
	out, errs, code := program(t, append(append([]string{"mfa"}, args...), "--config", g.file)...)
	if code != want {
		t.Fatalf("%q: exit code %d, want %d\n%s%s", args, code, want, out, errs)
	}
	if want != 0 {
		return errs
	}
	return out
}

// refusals runs commands that must end with that exit code, and whose error must have
// these words in it. They run in this process, because there are many.
func (g *gateway) refusals(t *testing.T, exit int, before string, table map[string]string) {
	t.Helper()
	for what, want := range table {
		root := &cobra.Command{Use: "mfa"}
		addCommands(root)
		var out, errs strings.Builder
		root.SetOut(&out)
		root.SetErr(&errs)
		root.SetArgs(append([]string{"--json", "--config", g.file}, strings.Fields(before+" "+what)...))
		err := root.Execute()
		var problem struct {
			Error string
			Exit  int
		}
		if jsonErr := json.Unmarshal([]byte(errs.String()), &problem); err == nil || jsonErr != nil || problem.Exit != exit || !strings.Contains(problem.Error, want) || out.Len() > 0 {
			t.Errorf("%s %s: exit code %d, want %d; %q lacks %q; printed %q", before, what, problem.Exit, exit, errs.String(), want, out.String())
		}
	}
}

// says reports an error for each of the words that the text lacks.
func says(t *testing.T, text string, words ...string) {
	t.Helper()
	for _, word := range words {
		if !strings.Contains(text, word) {
			t.Errorf("%q is missing in:\n%s", word, text)
		}
	}
}

// bothWays runs the test through the running gateway, and then on its store while none
// runs: both say the same.
func (g *gateway) bothWays(t *testing.T, test func(t *testing.T)) {
	t.Helper()
	t.Run("through the running gateway", test)
	text, err := os.ReadFile(g.file)
	g.must(err)
	g.mustLoad(strings.Replace(string(text), "admin "+g.admin, "admin off", 1)) // Stop leaves it to the process
	g.must(caddy.Stop())
	g.must(os.WriteFile(g.file, text, 0o600))
	t.Run("on the store while no gateway runs", test)
}

// eventually runs the command until its answer has the word in it: events are written
// within a second.
func (g *gateway) eventually(t *testing.T, word string, args ...string) string {
	t.Helper()
	var out string
	for range 50 {
		if out, _, _ = program(t, append(append([]string{"mfa"}, args...), "--config", g.file)...); strings.Contains(out, word) {
			return out
		}
		time.Sleep(100 * time.Millisecond)
	}
	t.Fatalf("%q is still missing:\n%s", word, out)
	return ""
}

func readFile(t *testing.T, path string) string {
	t.Helper()
	raw, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return string(raw)
}
