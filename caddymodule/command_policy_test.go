package caddymodule

import (
	"encoding/json"
	"regexp"
	"strings"
	"testing"

	"github.com/secondgate/secondgate/mfa"
)

// The policy is shown with where each part of it comes from. What the configuration
// leaves open can be set; what it names cannot.
func TestCommands_Policy(t *testing.T) {
	g := newGateway(t)
	g.mustLoad(g.text("factors passkey totp\n\t\tgrace 7d", "mfa\n\trespond ok"))
	g.bothWays(t, func(t *testing.T) {
		run := func(want int, args ...string) string {
			t.Helper()
			return g.run(t, want, append([]string{"policy"}, args...)...)
		}
		// line returns value and origin of a field.
		line := func(out, field string) string {
			t.Helper()
			_, table, _ := strings.Cut(out, "FIELD ")
			m := regexp.MustCompile(`(?m)^` + field + ` +(.*)$`).FindStringSubmatch(table)
			if m == nil {
				t.Fatalf("there is no %s in\n%s", field, out)
			}
			return strings.Join(strings.Fields(m[1]), " ")
		}
		out := run(0, "show")
		for field, want := range map[string]string{
			"factors": "passkey totp configuration", "require": "on default", "prompt": "- default", "organization_required": "at_sign_in default",
			"enrollment": "open 14d default", "grace": "7d configuration", "remember_device": "0 default", "auto_enroll": "off default", "report_only": "off default",
		} {
			if got := line(out, field); got != want {
				t.Errorf("%s is %q, want %q", field, got, want)
			}
		}
		for _, set := range []string{
			"organization_required at_access", "enrollment pass", "enrollment open 7d", "enrollment open", "remember_device 30d", "remember_device 36h", "report_only on", "auto_enroll off",
		} {
			words := strings.Fields(set)
			out := run(0, append([]string{"set"}, words...)...)
			if got := line(out, words[0]); got != strings.Join(words[1:], " ")+" stored" || !strings.HasPrefix(out, words[0]+" is set; it holds from the next request on.\n\n") {
				t.Errorf("after %s:\n%s", set, out)
			}
		}
		says(t, run(0, "show"), "!! REPORT ONLY: nobody is asked for a second factor")
		var answer adminAnswer
		if err := json.Unmarshal([]byte(run(0, "show", "--json")), &answer); err != nil || answer.Policy == nil {
			t.Fatal(err)
		}
		found := false
		for _, f := range answer.Policy.Fields {
			found = found || f == mfa.FieldInfo{Field: "enrollment", Value: "open", From: "stored", Values: "open, open 14d, confirm or pass"}
		}
		if len(answer.Policy.Fields) != len(mfa.PolicyFields()) || !found || len(answer.Policy.Warnings) != 1 {
			t.Errorf("for programs: %+v", answer.Policy)
		}
		g.refusals(t, exitRefused, "policy", map[string]string{
			"set factors totp":              "factors: not allowed: the configuration says so; change it there",
			"set factors off":               "the configuration says so; change it there",
			"set grace 0":                   "grace: not allowed: the configuration says so; change it there",
			"clear grace":                   "grace: not allowed: the configuration says so; change it there",
			"set require off":               `grace: has a meaning only with "require on"`,
			"set prompt never":              `has a meaning only with "require off"`,
			"set enrollment confirm":        "nothing to send it with; write: pass",
			"set enrollment":                "which field, and what is it to be?",
			"set enrollment sometimes":      "enrollment open 14d",
			"set enrollment open 0":         "no duration above zero",
			"set remember_device 400d":      "365 days or less",
			"set remember_device -1h":       "unknown shorthand flag",
			"set remember_device soon":      "is no duration",
			"set remember_device 1h 2h":     "remember_device: is one word",
			"set auto_enroll on":            "neither email nor sms",
			"set auto_enroll yes":           "neither on nor off",
			"set require maybe":             "neither on nor off",
			"set organization_required off": "neither at_sign_in nor at_access",
			"set domain example.com":        `there is no field "domain"; there are factors, require, prompt`,
			"clear domain":                  `there is no field "domain"`,
			"clear":                         "which field?",
			"clear grace require":           "one word too many",
			"show all":                      "one word too many",
			"nonsense":                      "there is no command",
		})
		for _, field := range []string{"organization_required", "enrollment", "remember_device", "report_only", "auto_enroll"} {
			out := run(0, "clear", field)
			if got := line(out, field); !strings.HasSuffix(got, " default") || !strings.HasPrefix(out, "What was stored for "+field+" is gone.") {
				t.Errorf("after clearing %s:\n%s", field, out)
			}
		}
		says(t, run(0, "clear", "report_only"), "report_only was not set: nothing was changed.")
	})
}

// B2: it is switched off by two words, and what shows the policy shouts it.
func TestCommands_PolicyOff(t *testing.T) {
	g := newGateway(t)
	g.mustLoad(g.text("session {\n\t\t\tidle 1h\n\t\t}", "mfa\n\trespond ok"))
	cookie := g.signIn("alice", 0)
	g.update("alice", func(u *mfa.User) { u.Credentials = nil })
	status := func() int {
		resp, _ := g.get("/", cookie)
		return resp.StatusCode
	}
	if got := status(); got == 200 {
		t.Errorf("without a second factor: %d", got)
	}
	says(t, g.run(t, exitRefused, "policy", "set", "factors", "off"), `needs the words "require off" beside it`)
	g.run(t, 0, "policy", "set", "require", "off")
	out := g.run(t, 0, "policy", "set", "factors", "off")
	says(t, out, "!! 2-STEP VERIFICATION IS OFF: a password alone opens every protected app.")
	if got := status(); got != 200 {
		t.Errorf("with 2-step verification off: %d", got)
	}
	says(t, g.run(t, exitRefused, "policy", "clear", "require"), `needs the words "require off" beside it`)
	g.run(t, 0, "policy", "set", "factors", "totp")
	g.run(t, 0, "policy", "clear", "require")
	if got := status(); got == 200 {
		t.Errorf("with 2-step verification on again: %d", got)
	}
	says(t, g.eventually(t, "mfa_off", "audit", "--event", "mfa_off"), "mfa_off")
	says(t, g.eventually(t, "policy clear require", "audit", "--event", "admin"), "policy set factors off", "policy set require off", "no", "invalid")
}

// B1: what was stored under another configuration is shown as what it is: there, and
// without effect. It can be taken away, though the configuration names the field now.
func TestCommands_PolicyThatDoesNotHold(t *testing.T) {
	g := newGateway(t)
	g.mustLoad(g.text("session {\n\t\t\tidle 1h\n\t\t}", "mfa\n\trespond ok"))
	g.run(t, 0, "policy", "set", "require", "off")
	g.run(t, 0, "policy", "set", "prompt", "never")
	g.mustLoad(g.text("require on", "mfa\n\trespond ok"))
	out := g.run(t, 0, "policy", "show")
	says(t, out, "configuration (stored, without effect: off)", "(stored, without effect: never)", "!! prompt: what is stored (never) does not fit this configuration")
	g.run(t, exitRefused, "policy", "set", "require", "off")
	g.run(t, 0, "policy", "clear", "prompt")
	says(t, g.run(t, 0, "policy", "clear", "require"), "What was stored for require is gone.")
	if out := g.run(t, 0, "policy", "show"); strings.Contains(out, "without effect") || strings.Contains(out, "!!") {
		t.Errorf("after clearing:\n%s", out)
	}
}

// The start speaks of the policy as it holds, with what is stored.
func TestStart_SaysWhatIsStored(t *testing.T) {
	g := newGateway(t)
	text := g.text("session {\n\t\t\tidle 1h\n\t\t}", "mfa\n\trespond ok")
	g.mustLoad(text)
	g.run(t, 0, "policy", "set", "report_only", "on")
	log := g.dir + "/mfa.log"
	g.mustLoad(strings.Replace(text, "\tmfa {", "\tlog test {\n\t\tinclude mfa\n\t\toutput file "+log+"\n\t}\n\tmfa {", 1))
	says(t, readFile(t, log), "report_only: nobody is asked for a second factor")
}

// With something to send codes with, what needs codes can be asked for, and numbers are
// looked at as those are to which codes go.
func TestCommands_WithSenders(t *testing.T) {
	g := newGateway(t)
	trial := " log {\n\t\t\tinsecure_trial\n\t\t}\n\t\t"
	g.mustLoad(g.text("sender email"+trial+"sender sms"+trial+"sms {\n\t\t\tcountries DE\n\t\t}", "mfa\n\trespond ok"))
	says(t, g.run(t, 0, "policy", "set", "factors", "passkey", "totp", "sms", "email"), "passkey totp sms email  stored")
	says(t, g.run(t, 0, "policy", "set", "auto_enroll", "on"), "auto_enroll            on")
	says(t, g.run(t, 0, "policy", "set", "enrollment", "confirm"), "enrollment             confirm")
	says(t, g.run(t, 0, "orgs", "set", "acme", "--enrollment", "confirm", "--factors", "sms"), "confirm")
	says(t, g.run(t, exitRefused, "policy", "set", "factors", "passkey", "email"), "organization acme would not fit: factors: sms is not enabled")

	g.run(t, 0, "users", "invite", "alice", "--phone", "0151 12345678")
	says(t, g.run(t, 0, "users", "show", "alice"), "+4915112345678 (not verified)")
	for number, want := range map[string]string{
		"+12025550123": "no mobile number of a country that text messages may go to",
		"twelve":       "is not a mobile number",
	} {
		says(t, g.run(t, exitRefused, "users", "invite", "bob", "--phone", number), want)
	}
	g.update("alice", func(u *mfa.User) {
		u.Credentials = []mfa.Credential{{ID: "sms", Kind: mfa.SMS, Name: "•••• 78", Address: "+4915112345678"}}
	})
	if out := g.run(t, 0, "users", "show", "alice"); !regexp.MustCompile(`(?m)^sms +•••• 78 `).MatchString(out) {
		t.Errorf("the factor does not show its mask:\n%s", out)
	}
	says(t, g.run(t, 0, "users", "remove-factors", "alice", "--factor", "sms", "--yes"), "The sms of alice is removed",
		"sets a new one up after a code to the address on file", "secondgate mfa users enrollment-pass alice")
}
