package mfa_test

import (
	"encoding/json"
	"flag"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

// mutation is one rule broken in one place.
type mutation struct {
	rule, what     string
	file, old, new string
}

var mutations = []mutation{
	{"B3", "memberships ask nothing", "policy.go", "case p.OrganizationRequired == AtSignIn:", "case false:"},
	{"B3", "a route's organization asks nothing", "policy.go", "\tp.add(o)\n\t// An organization's factors", "\t// An organization's factors"},
	{"B3", "an organization's factors hold nowhere", "policy.go", "Plus(Requirement{Factors: o.Factors})", "Plus(Requirement{})"},
	{"B3", "a route's factors ask for no proof at all", "policy.go", "return !p.Optional || !p.Need.Zero() }", "return !p.Optional }"},
	{"B4", "an ended sign-in goes on", "decide.go", "case s == nil || u == nil:\n\t\treturn Decision{Action: SignIn, Reason: ReasonNoSession}", "case s == nil || u == nil:\n\t\treturn Decision{Action: Allow}"},
	{"B5", "anybody is a member", "decide.go", "// (rule B5).\n\tif !member {", "// (rule B5).\n\tif false {"},
	{"B5", "strangers are told before they have verified", "decide.go", "if d, owed := verifyOwed(p, u, h); owed {", "if d, owed := verifyOwed(p, u, h); owed && member {"},
	{"B6", "a removed credential still counts", "decide.go", "if !ok || held.Kind != proof.Kind {", "if ok && held.Kind != proof.Kind {"},
	{"B6", "a factor that was switched off still counts", "decide.go", "if !p.Factors.Has(proof.Kind) {", "if false {"},
	{"B7", "what is forced may be skipped", "decide.go", "case p.required() && !graceRuns(p, u, now):\n\t\t\treturn d, true", "case p.required() && !graceRuns(p, u, now):\n\t\t\td.Skippable = true\n\t\t\treturn d, !s.Skipped"},
	{"B7", "at_next_sign_in prompts who registers", "decide.go", "return !s.Registering", "return true"},
	{"B8", "a prompt stops a complete session", "decide.go", "case !s.Complete && !s.Skipped && prompts(", "case !s.Skipped && prompts("},
	{"B9", "a skip is forgotten", "decide.go", "if u.SkippedPrompt == p.String() {", "if false {"},
	{"B9", "a skip holds against require", "decide.go", "case p.required() && !graceRuns(p, u, now):\n\t\t\treturn d, true", "case p.required() && !graceRuns(p, u, now):\n\t\t\treturn d, u.SkippedPrompt == \"\""},
	{"B10", "grace for organizations and routes", "decide.go", "p.Grace <= 0 || !p.Need.Zero() || u.EverEnrolled", "p.Grace <= 0 || u.EverEnrolled"},
	{"B10", "grace for those who had a factor", "decide.go", "p.Grace <= 0 || !p.Need.Zero() || u.EverEnrolled", "p.Grace <= 0 || !p.Need.Zero()"},
	{"B10", "grace without end", "decide.go", "return u.GraceStarted.IsZero() || now.Before(u.GraceStarted.Add(p.Grace))", "return true"},
	{"B11", "a passkey is offered where none can be", "state.go", "case k == Passkey && at.RPID == \"\":", "case false:"},
	{"B12", "the chosen address of the first factor is a proof", "decide.go", "if s.first(held.Kind, held.Address) {", "if false {"},
	{"B12", "no further factor is offered", "decide.go", "s.AddAnother && !s.Skipped && another != 0", "false && another != 0"},
	{"B12", "an address is a factor without a code", "address.go", "if proven, ok := s.verifiedHere(k, address); ok {", "if proven, ok := s.verifiedHere(k, address); ok || true {"},
	{"B13", "who sets up has to verify as well", "enroll.go", "\ts.prove(proof)\n\ts.dropPending(cred.Kind)", "\ts.dropPending(cred.Kind)"},
	{"B14", "the codes of a set-up may be skipped", "decide.go", "tail := s.Enrolled || p.required()", "tail := false"},
	{"B15", "no proof is asked for before a set-up", "enroll.go", "\tkinds := verifiable(p, u)\n\tcounts :=", "\tif true {\n\t\treturn nil\n\t}\n\tkinds := verifiable(p, u)\n\tcounts :="},
	{"B15", "any proof of the session opens set-up", "enroll.go", "p.recent(now, most) &&", "!p.Remembered &&"},
	{"B15", "a password of long ago opens set-up", "enroll.go", "if !s.First.recent(now, ProofLife) {", "if false {"},
	{"B15", "a set-up beside a factor of an unknown kind", "enroll.go", "if kinds != 0 || unknown {", "if kinds != 0 || unknown && false {"},
	{"B16", "set-up instead of verification where all is switched off", "decide.go", "case w.usable == 0 && !w.stands:", "case false:"},
	{"B16", "what is switched off verifies beside what is not", "verify.go", "if usable := enrolled & p.Factors; usable != 0 {", "if usable := enrolled & p.Factors; false {"},
	{"B16", "a passkey of another host is offered", "state.go", "if k == Passkey && !worksHere(u, at) {", "if false {"},
	{"B16", "a locked factor is offered", "state.go", "\t\tif locked {\n", "\t\tif locked && false {\n"},
	{"B17", "the window never closes", "enroll.go", "now.Sub(u.EnrollmentOpened) <= e.Window", "true"},
	{"B17", "no code to the address on file", "enroll.go", "return ErrConfirmFirst", "return nil"},
	{"B17", "no pass", "enroll.go", "return ErrEnrollmentClosed\n}", "return nil\n}"},
	{"B17", "an organization's enrollment mode is none", "policy.go", "func stricter(a, b Enrollment) Enrollment {", "func stricter(a, b Enrollment) Enrollment {\n\tif true {\n\t\treturn a\n\t}"},
	{"B17", "who was let in once sets up for ever", "gate.go", "s.Registering, s.MayEnroll, s.Enrolled, s.Skipped, s.AddAnother = false, false, false, false, false", "s.Registering, s.Enrolled, s.Skipped, s.AddAnother = false, false, false, false"},
	{"B18", "report_only lets refusals through", "decide.go", "if p.ReportOnly && d.Action != Refuse && d.Action != Allow {", "if p.ReportOnly && d.Action != Allow {"},
	{"B18", "report_only lets strangers into an organization", "decide.go", "\t\tif !member {\n\t\t\treturn Decision{Reason: ReasonNotMember} // stands", "\t\tif false {\n\t\t\treturn Decision{Reason: ReasonNotMember} // stands"},
	{"B19", "an opt-out beats a requirement", "decide.go", "case w.enrolled == 0 || u.OptedOut && !p.required():", "case w.enrolled == 0 || u.OptedOut:"},
	{"B19", "verification only where it is required", "decide.go", "case w.enrolled == 0 || u.OptedOut && !p.required():", "case w.enrolled == 0 || !p.required():"},
	{"B23", "used-up codes are a factor", "user.go", "return h.Kind != BackupCode || h.Left > 0 }", "return true }"},
	{"B23", "the last code proves nothing", "enroll.go", "codes != nil && codes.Left == 0 {", "codes != nil && codes.Left == 0 && false {"},
	{"B24", "codes alone are enough", "decide.go", "if (w.usable&PrimaryKinds == 0 || further) &&", "if (w.usable == 0 || further) &&"},
	{"B27", "the channel of the first factor proves the second", "session.go", "return address != \"\" && s.First.Kind == k && s.First.Address == address", "return false"},
	{"B28", "a passkey is one factor", "passkeysignin.go", "start{first: proof, proofs: []Proof{proof}, source: source}", "start{first: proof, source: source}"},
	{"B29", "a remembered device satisfies more than require", "decide.go", "if proof.Remembered && !p.Need.onlyRequired() {", "if false {"},
	{"B29", "a remembered device stands for ever", "policy.go", "p.RememberDevice > 0 && within(now.Sub(proven), p.RememberDevice)", "p.RememberDevice > 0"},
	{"B29", "organizations cannot forbid it", "policy.go", "if o.NoRemembering {", "if false {"},
	{"B29", "a remembered device opens set-up", "session.go", "\tif p.Remembered {\n\t\treturn false", "\tif false {\n\t\treturn false"},
	{"B29", "what a route forgets, its page remembers", "policy.go", "\tdefault:\n\t\tp.bind(o)\n", "\tdefault:\n"},
	{"B29", "a bypass satisfies everything", "decide.go", "w.suffices, w.freshened = p.Need.onlyRequired(), p.Need.onlyRequired()", "w.suffices, w.freshened = true, true"},
	{"B29", "a bypass leads nowhere", "decide.go", "s.Bypassed && !s.Enrolled &&", "false &&"},
	{"B30", "proofs never age", "decide.go", "if p.Need.Fresh == 0 || proof.recent(now, p.Need.Fresh) {", "if true {"},
	{"B30", "any factor is strong enough", "decide.go", "if !p.allowed().Has(proof.Kind) || p.Need.PhishingResistant && !proof.PhishingResistant {", "if false {"},
	{"B30", "who lacks the factor is asked for it", "decide.go", "return Decision{Action: SetUp, Reason: ReasonNeedsFactor,", "return Decision{Action: StepUp, Reason: ReasonNeedsFactor,"},
	{"B34", "who abandons the last factor leaves the window open", "enroll.go", "case e.Open && !u.shut() && (", "case e.Open && ("},
	{"B34", "who replaces the last factor has to sign in again", "enroll.go", "\tif s.replaces(now) {", "\tif false {"},
	{"B34", "the last factor leaves others behind", "remove.go", "\t\tu.Credentials = nil\n\t\tu.endAll()", "\t\tu.endAll()"},
	{"B34", "nothing can come in the place of the last factor", "remove.go", "return can != 0", "return true"},
	{"B39", "the link of a forgotten password opens set-up", "link.go", "begun = start{first: Proof{Kind: Email, Address: address, At: now}}", "begun.first = Proof{Kind: Email, Address: address, At: now}"},
	{"B39", "its mailbox is a second factor as well", "link.go", "if address != \"\" {", "if address != \"\" && false {"},
}

var mutate = flag.Bool("mutate", false, "break each rule once, and see that the walk notices")

// TestWalk_Mutations breaks one rule at a time and shows that the walk fails. Without
// -mutate it only looks whether each can still be broken: a mutation matches the source
// exactly once, so that it cannot rot.
func TestWalk_Mutations(t *testing.T) {
	here, err := filepath.Abs(".")
	must(t, err)
	broken := make([]string, len(mutations))
	for i, m := range mutations {
		source, err := os.ReadFile(m.file)
		must(t, err)
		if n := strings.Count(string(source), m.old); n != 1 {
			t.Fatalf("%s: %s: %d places in %s, want 1: %q", m.rule, m.what, n, m.file, m.old)
		}
		broken[i] = strings.Replace(string(source), m.old, m.new, 1)
	}
	if !*mutate {
		return
	}
	walks, rule := regexp.MustCompile(`(\d+) walks`), regexp.MustCompile(`(?m)^ +walk_test\.go:\d+: (the best|the laziest|a thief), with .*:\n +(.*)$`)
	for i, m := range mutations {
		t.Run(m.rule+" "+m.what, func(t *testing.T) {
			dir := t.TempDir()
			changed, overlay := filepath.Join(dir, m.file), filepath.Join(dir, "overlay.json")
			must(t, os.WriteFile(changed, []byte(broken[i]), 0o600))
			list, err := json.Marshal(map[string]map[string]string{"Replace": {filepath.Join(here, m.file): changed}})
			must(t, err)
			must(t, os.WriteFile(overlay, list, 0o600))
			out, err := exec.CommandContext(t.Context(), "go", "test", "-overlay", overlay, "-run", "^TestWalk$", "-count", "1", "-v", ".", "-walkstop", "1").CombinedOutput()
			text := string(out)
			if err == nil || !strings.Contains(text, "--- FAIL: TestWalk") {
				t.Fatalf("the walk does not notice: %v\n%s", err, text)
			}
			seen := rule.FindStringSubmatch(text)
			if seen == nil {
				t.Fatalf("the walk fails for another reason:\n%s", text)
			}
			after := walks.FindStringSubmatch(text)
			fmt.Printf("| %s | %s | `%s` | %s | %s: %s |\n", m.rule, m.what, m.file, after[1], seen[1], seen[2])
		})
	}
}
