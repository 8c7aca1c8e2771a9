package caddymodule

import (
	"encoding/json"
	"slices"
	"strings"
	"testing"

	"github.com/secondgate/secondgate/mfa"
)

// Organizations of the store are made, replaced, joined, left and removed by commands;
// those of the configuration are shown.
func TestCommands_Organizations(t *testing.T) {
	g := newGateway(t)
	g.mustLoad(g.text("organization declared {\n\t\t\tname Declared\n\t\t\trequire on\n\t\t\tdomains example.org\n\t\t}", "mfa\n\trespond ok"))
	g.signIn("alice", 0)
	g.bothWays(t, func(t *testing.T) {
		run := func(want int, args ...string) string {
			t.Helper()
			return g.run(t, want, append([]string{"orgs"}, args...)...)
		}
		out := run(0, "set", "acme", "--name", "Acme & Co", "--require", "--factors", "passkey totp", "--fresh", "12h",
			"--enrollment", "open 14d", "--forbid-remembering", "--domain", "example.com", "--domain", "acme.example")
		says(t, out, "The organization acme is made.", "Acme & Co", "required of every member", "passkey totp\n", "12h\n", "open 14d\n", "forbidden", "example.com acme.example")
		var answer adminAnswer
		if err := json.Unmarshal([]byte(run(0, "show", "acme", "--json")), &answer); err != nil {
			t.Fatal(err)
		}
		o := answer.Organization
		if o == nil || o.Declared || !o.Require || !slices.Equal(o.Factors, []mfa.Kind{mfa.Passkey, mfa.TOTP}) || o.Fresh != "12h" ||
			o.Enrollment != "open 14d" || !o.ForbidRemembering || len(o.Domains) != 2 || o.PhishingResistant || o.Created.IsZero() {
			t.Errorf("for programs: %+v", o)
		}
		created := o.Created
		says(t, run(0, "list"), "acme", "declared", "configuration", "a second factor, factors passkey totp, fresh 12h, enrollment open 14d, no remembered devices")

		// What is left out asks nothing, whatever was said before.
		says(t, run(0, "set", "acme", "--phishing-resistant"), "asks this now, and nothing else", "a passkey is required")
		answer = adminAnswer{}
		if err := json.Unmarshal([]byte(run(0, "list", "--json")), &answer); err != nil || len(answer.Organizations) != 2 {
			t.Fatalf("%v, %v", answer.Organizations, err)
		}
		if o := answer.Organizations[0]; o.ID != "acme" || o.Name != "" || o.Require || o.Factors != nil || o.Fresh != "" || o.Enrollment != "" || o.Domains != nil || !o.PhishingResistant || !o.Created.Equal(created) {
			t.Errorf("after it was replaced: %+v", o)
		}

		says(t, run(0, "add", "acme", "alice"), "alice is a member of acme from the next request on.", "Organizations  acme")
		says(t, run(0, "add", "declared", "alice"), "acme, declared")
		says(t, run(0, "drop", "declared", "alice"), "alice is no member of declared by hand any more.")
		says(t, run(0, "drop", "declared", "alice"), "nothing was changed")

		g.refusals(t, exitRefused, "orgs", map[string]string{
			"set declared --require":                     "organization declared: not allowed: the configuration declares it; change it there",
			"remove declared --yes":                      "organization declared: not allowed: the configuration declares it; change it there",
			"set Acme":                                   "lower-case letters, digits and dashes",
			"set acme --factors sms":                     "factors: sms is not enabled by the policy",
			"set acme --factors pigeon":                  "is not a factor",
			"set acme --factors backup_code":             "leaves no primary factor",
			"set acme --fresh 1s":                        "fresh: must be one minute or more",
			"set acme --fresh soon":                      "is no duration above zero",
			"set acme --enrollment confirm":              "there is nothing to send it with; write: pass",
			"set acme --enrollment sometimes":            "enrollment open 14d",
			"set acme --domain @example.com":             "is not a domain",
			"set acme --domain Example.com":              "lower case",
			"set acme --name a;b":                        "cannot be the name of an organization",
			"set acme --name " + strings.Repeat("a", 65): "64 bytes at most",
			"set":                 "which organization?",
			"set acme beta":       "one word too many",
			"show":                "which organization?",
			"show A":              "lower-case letters",
			"add acme":            "and which user?",
			"add acme alice bob":  "one word too many",
			"remove acme":         "Say --yes",
			"list all":            "one word too many",
			"nonsense":            "there is no command",
			"set acme --colour x": "unknown flag",
		})
		g.refusals(t, exitNotFound, "orgs", map[string]string{
			"show nosuch":         "organization nosuch: not found",
			"remove nosuch --yes": "organization nosuch: not found",
			"add nosuch alice":    "organization nosuch: not found",
			"add acme nobody":     `user "nobody": not found`,
			"drop acme nobody":    `user "nobody": not found`,
		})

		says(t, run(0, "remove", "acme", "--yes"), "The organization acme is removed. Its routes refuse everybody.")
		if out := run(0, "list"); strings.Contains(out, "acme") {
			t.Errorf("after it was removed:\n%s", out)
		}
		run(0, "drop", "acme", "alice") // what is left of it
		g.run(t, exitNotFound, "users", "invite", "bob", "--organization", "nosuch")
		g.run(t, 0, "users", "invite", "bob", "--organization", "declared", "--phone", "+49 151 12345678")
		says(t, g.run(t, 0, "users", "show", "bob"), "+4915112345678 (not verified)", "Organizations  declared\n")
	})
}

// B36: what a command makes holds on the next request of the running gateway.
func TestCommands_OrganizationsHoldAtOnce(t *testing.T) {
	g := newGateway(t)
	g.mustLoad(g.text("require on", "mfa {\n\t\torganization acme\n\t}\n\trespond ok"))
	cookie := g.signIn("alice", 0)
	status := func() int {
		resp, _ := g.get("/", cookie)
		return resp.StatusCode
	}
	if got := status(); got != 403 {
		t.Errorf("without the organization: %d", got)
	}
	g.run(t, 0, "orgs", "set", "acme")
	if got := status(); got != 403 {
		t.Errorf("no member: %d", got)
	}
	g.run(t, 0, "orgs", "add", "acme", "alice")
	if got := status(); got != 200 {
		t.Errorf("a member: %d", got)
	}
	g.run(t, 0, "orgs", "set", "acme", "--phishing-resistant")
	if got := status(); got == 200 {
		t.Errorf("a member without a passkey: %d", got)
	}
	g.run(t, 0, "orgs", "set", "acme", "--domain", "example.com")
	g.update("alice", func(u *mfa.User) { u.Email, u.EmailVerified = "alice@example.com", true })
	if out := g.run(t, 0, "orgs", "drop", "acme", "alice"); !strings.Contains(out, "alice is a member all the same, by the verified address alice@example.com.") || !strings.Contains(out, "acme (by the address)") {
		t.Errorf("dropped, with an address of the domain:\n%s", out)
	}
	if got := status(); got != 200 {
		t.Errorf("a member by address: %d", got)
	}
	g.run(t, 0, "orgs", "remove", "acme", "--yes")
	if got := status(); got != 403 {
		t.Errorf("after it was removed: %d", got)
	}
}

// Nobody is a member of more organizations than there may be, and is told so in words.
func TestCommands_OrganizationLimit(t *testing.T) {
	g := newGateway(t)
	g.mustLoad(g.text("require on", "mfa\n\trespond ok"))
	g.signIn("alice", 0)
	g.run(t, 0, "orgs", "set", "acme")
	g.update("alice", func(u *mfa.User) {
		for i := range mfa.MaxOrganizations {
			u.Organizations = append(u.Organizations, mfa.OrganizationID("o"+string(rune('a'+i))))
		}
	})
	says(t, g.run(t, exitRefused, "orgs", "add", "acme", "alice"), "alice is a member of 20 organizations by hand, and that is the most")
}

// The note after a removal follows what holds for this user, and what can be sent.
func TestCommands_WayBack(t *testing.T) {
	g := newGateway(t)
	g.mustLoad(g.text("enrollment open", "mfa\n\trespond ok"))
	g.signIn("alice", 0)
	remove := func() string {
		g.update("alice", func(u *mfa.User) { u.Credentials = []mfa.Credential{{ID: "app", Kind: mfa.TOTP}} })
		return g.run(t, 0, "users", "remove-factors", "alice", "--yes")
	}
	if out := remove(); strings.Contains(out, "Under this policy") {
		t.Errorf("the password alone will do:\n%s", out)
	}
	g.run(t, 0, "orgs", "set", "acme", "--enrollment", "pass")
	g.run(t, 0, "orgs", "add", "acme", "alice")
	says(t, remove(), "Make the pass that lets alice do it: secondgate mfa users enrollment-pass alice")
}

// A whole record comes from a program as it does from the command, and nothing is
// changed where it is missing.
func TestAdmin_OrganizationSet(t *testing.T) {
	g := newGateway(t)
	g.mustLoad(g.text("require on", "mfa\n\trespond ok"))
	answer, err := ask(g.admin, opOrgSet, adminRequest{Organization: "acme", Settings: &mfa.OrganizationSettings{Require: true, Domains: []string{"example.com"}}})
	if err != nil || answer.Organization == nil || !answer.Organization.Require {
		t.Errorf("%+v, %v", answer, err)
	}
	for _, in := range []adminRequest{
		{Organization: "acme"},
		{Organization: "acme", Settings: &mfa.OrganizationSettings{Enrollment: "sometimes"}},
		{Organization: "", Settings: new(mfa.OrganizationSettings)},
	} {
		if _, err := ask(g.admin, opOrgSet, in); err == nil {
			t.Errorf("%+v was taken", in)
		}
	}
	if answer, err := ask(g.admin, opOrgShow, adminRequest{Organization: "acme"}); err != nil || !answer.Organization.Require {
		t.Errorf("%+v, %v", answer, err)
	}
}
