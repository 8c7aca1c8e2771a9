package caddymodule

import (
	"encoding/json"
	"fmt"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/secondgate/secondgate/mfa"
)

// What happened is listed newest first, by user, name and time, page by page.
func TestCommands_Audit(t *testing.T) {
	g := newGateway(t)
	g.mustLoad(g.text("require on", "mfa\n\trespond ok"))
	g.signIn("alice", 0)
	g.run(t, 0, "users", "unlock", "alice")
	g.run(t, 0, "users", "bypass", "alice", "--why", "phone at home")
	g.run(t, exitRefused, "policy", "set", "require", "maybe")
	g.run(t, 0, "orgs", "set", "acme")
	long := mfa.Event{At: time.Now().Add(-48 * time.Hour), Name: mfa.EventSignIn, User: "id-alice", UserName: "alice", Reason: "rejected", Network: "192.0.2.0/24", Host: "app\x1b[31m.example", Detail: "long ago"}
	g.must(g.generation().pooled.store.store.AppendEvents(t.Context(), []mfa.Event{long}))
	g.eventually(t, "set organization acme", "audit")
	g.bothWays(t, func(t *testing.T) {
		out := g.run(t, 0, "audit")
		says(t, out, "TIME", "set organization acme", "bypass: phone at home", "unlock", "long ago", "policy set require", "invalid", "command line")
		if strings.Index(out, "set organization") > strings.Index(out, "bypass: phone") || strings.Index(out, "bypass: phone") > strings.Index(out, "long ago") {
			t.Errorf("not newest first:\n%s", out)
		}
		if strings.Contains(out, "\x1b") || !strings.Contains(out, "app?[31m.example") {
			t.Errorf("a stranger's host gives orders to the terminal: %q", out)
		}
		if out := g.run(t, 0, "audit", "--user", "Alice"); strings.Contains(out, "acme") || strings.Contains(out, "require") || !strings.Contains(out, "bypass") {
			t.Errorf("of one user:\n%s", out)
		}
		if out := g.run(t, 0, "audit", "--event", "sign_in"); strings.Contains(out, "bypass") || !strings.Contains(out, "long ago") {
			t.Errorf("of one name:\n%s", out)
		}
		if out := g.run(t, 0, "audit", "--since", "1d"); strings.Contains(out, "long ago") || !strings.Contains(out, "bypass") {
			t.Errorf("of one day:\n%s", out)
		}
		says(t, g.run(t, 0, "audit", "--event", "sign_up"), "No events.")
		says(t, g.run(t, 0, "audit", "--event", "sign_up", "--json"), `"events": []`)

		var all []string
		after := ""
		for range 20 {
			var page adminAnswer
			args := []string{"audit", "--user", "alice", "--limit", "1", "--json"}
			if after != "" {
				args = append(args, "--after", after)
			}
			if err := json.Unmarshal([]byte(g.run(t, 0, args...)), &page); err != nil || len(page.Events) > 1 {
				t.Fatalf("%+v, %v", page, err)
			}
			for _, e := range page.Events {
				all = append(all, e.Detail)
			}
			if after = page.Next; after == "" {
				break
			}
		}
		if want := []string{"bypass: phone at home", "unlock", "long ago"}; !slices.Equal(all, want) {
			t.Errorf("page by page: %q, want %q", all, want)
		}
		says(t, g.run(t, 0, "audit", "--limit", "1"), "There may be more: --after ")
		g.refusals(t, exitRefused, "", map[string]string{
			"audit --event sign-in": "there are admin, api_key, app_token, campaign, change_password",
			"audit --since soon":    "write how long ago",
			"audit --since -1h":     "write how long ago",
			"audit --limit 0":       "1 to 1000",
			"audit --limit 1001":    "1 to 1000",
			"audit --after nothing": "the cursor is not one of this list",
			"audit all":             "one word too many",
			"explain":               "which decision?",
			"explain a b":           "one word too many",
		})
		says(t, g.run(t, exitNotFound, "audit", "--user", "nobody"), `user "nobody": not found`)
		says(t, g.run(t, exitNotFound, "explain", "NOSUCHID"), `decision "NOSUCHID": not found among the events that are kept`)
	})
}

// B32: the ID that a page shows leads to the rule in plain words, whom it was about,
// where, and what helps.
func TestCommands_B32_Explain(t *testing.T) {
	g := newGateway(t)
	g.mustLoad(g.text("organization acme {\n\t\t\trequire on\n\t\t}", "mfa {\n\t\torganization acme\n\t}\n\trespond ok"))
	resp, body := g.get("/", g.signIn("alice", 0))
	if resp.StatusCode != 403 {
		t.Fatalf("the page answered %d", resp.StatusCode)
	}
	id := regexp.MustCompile(`\b[A-Z2-7]{12}\b`).FindString(body)
	if id == "" {
		t.Fatalf("no ID is on the page:\n%s", body)
	}
	g.eventually(t, id, "explain", id)
	g.bothWays(t, func(t *testing.T) {
		for _, typed := range []string{id, strings.ToLower(id)} {
			says(t, g.run(t, 0, "explain", typed), id, "alice was refused.", "an organization that alice is no member of", "(refuse:not_member)",
				"secondgate mfa orgs add <org> alice", g.host, "127.0.0.0/24")
		}
		var answer adminAnswer
		if err := json.Unmarshal([]byte(g.run(t, 0, "explain", id, "--json")), &answer); err != nil || answer.Explanation == nil {
			t.Fatal(err)
		}
		if x := answer.Explanation; x.Event.Decision != id || x.Event.UserName != "alice" || x.Decided != "alice was refused" || x.Why == "" || x.Help == "" {
			t.Errorf("for programs: %+v", x)
		}
		says(t, g.run(t, 0, "audit", "--event", "decision", "--user", "alice"), id, "refuse:not_member")
	})
}

// What a newer version wrote, or nobody, is no reason to fail, and no order to the
// terminal.
func TestExplain_Unknown(t *testing.T) {
	for _, reason := range []string{"", ":", "refuse", "refuse:\x1b[2J", "teleport:by_magic", "refuse:not_member:more"} {
		var b strings.Builder
		showExplanation(&b, mfa.ExplainEvent(&mfa.Event{Reason: reason, UserName: "al\x1bice", Host: "h\nost"}))
		if strings.Contains(b.String(), "\x1b") || strings.Contains(b.String(), "h\nost") {
			t.Errorf("%q: %q", reason, b.String())
		}
	}
	says(t, fmt.Sprint(mfa.ExplainEvent(&mfa.Event{Reason: "teleport:by_magic"})), "this person got the answer “teleport”", "no such reason: by_magic")
}

// AC-231: in a gateway that runs, what a command did is in the store when it answers, and
// not in a second. Whatever stands between the core and the recorder passes that on.
func TestCommands_AC231_OnTheRecordWhenDone(t *testing.T) {
	g := newGateway(t)
	g.mustLoad(g.text("require on", "mfa\n\trespond ok"))
	for i := range 5 {
		name := "acme" + strconv.Itoa(i)
		g.run(t, 0, "orgs", "set", name)
		list, err := g.generation().pooled.store.store.EventsInOrder(t.Context(), 1, 100)
		g.must(err)
		if !slices.ContainsFunc(list, func(e mfa.Event) bool { return e.OK && e.Detail == "set organization "+name }) {
			t.Fatalf("%s was made, and nothing is on the record: %v", name, list)
		}
	}
}
