package e2e

import (
	"strings"
	"testing"
)

// removeFactors is what an administrator does on the machine; it says what is done.
func (g *gateway) removeFactors(t *testing.T, name string, args ...string) {
	t.Helper()
	out := g.mfa(t, append([]string{"users", "remove-factors", name, "--yes"}, args...)...)
	if !strings.Contains(out, "every session of theirs has ended") {
		t.Fatalf("remove-factors: %s", out)
	}
}

// The document's FAQ, scenario 1 (rules B25, B35): an administrator removes all of a
// user's factors, backup codes included. The session ends at once; at the next sign-in
// the password is enough to reach set-up, and set-up only, which cannot be skipped.
func TestFAQ_Scenario1_NoFactorRemains(t *testing.T) {
	t.Parallel()
	g := start(t, localhost)
	b := g.browse(t)
	b.begin("alice")
	b.addApp()
	b.takeCodes()
	b.arrive("alice", "/")

	g.removeFactors(t, "alice")
	b.goTo("/reports")
	b.signIn("alice")
	b.see("Set up a second step")
	if js[bool](b, `[...document.querySelectorAll("button, a")].some((e) => e.innerText.startsWith("Skip"))`) {
		t.Error("what is required can be skipped")
	}
	// Neither the app nor the account is there before.
	for _, path := range []string{"/reports", "/.mfa/account", "/.mfa/verify"} {
		b.goTo(path)
		b.see("Set up a second step")
	}
	b.goTo("/reports")
	b.addPasskey()
	b.takeCodes()
	b.told("Removed: ", "by an administrator")
	b.arrive("alice", "/reports")
	b.signOut()

	b.goTo("/reports")
	b.signIn("alice")
	b.see("Verify it’s you")
	b.button("Use passkey")
	b.told("Added: Passkey") // on the password alone (rule B17)
	b.arrive("alice", "/reports")
}

// The document's FAQ, scenario 2 (rules B23, B24): the primary factors are removed and
// backup codes remain. A code is asked for first; then a new primary factor is set up,
// which cannot be skipped where the policy requires one.
func TestFAQ_Scenario2_BackupCodesRemain(t *testing.T) {
	t.Parallel()
	g := start(t, localhost)
	b := g.browse(t)
	b.begin("alice")
	b.addApp()
	codes := b.takeCodes()
	b.arrive("alice", "/")

	g.removeFactors(t, "alice", "--factor", "totp")
	b.goTo("/reports")
	b.signIn("alice")
	b.see("Use a backup code")
	// The password alone reaches no set-up.
	for _, path := range []string{"/.mfa/set-up", "/.mfa/set-up/totp", "/.mfa/set-up/passkey", "/reports"} {
		b.goTo(path)
		b.see("Use a backup code")
	}
	b.goTo("/reports")
	b.enterCode(codes[0])
	b.see("Set up a new second step")
	if js[bool](b, `[...document.querySelectorAll("button, a")].some((e) => e.innerText.startsWith("Skip"))`) {
		t.Error("what is required can be skipped")
	}
	b.way("Authenticator app")
	b.see("Set up your authenticator app")
	phone := b.scan()
	b.enterCode(phone.code(t))
	b.told("Removed: ", "by an administrator")
	b.arrive("alice", "/reports")
	b.signOut()

	b.goTo("/reports")
	b.signIn("alice")
	b.see("Verify it’s you")
	b.enterCode(phone.code(t))
	b.told("Added: Authenticator app", "A backup code was used")
	b.arrive("alice", "/reports")
}

// Scenario 2 where nothing requires a second factor: set-up after the code may be
// skipped, and is not asked for again.
func TestFAQ_Scenario2_SkippableWhereNothingRequires(t *testing.T) {
	t.Parallel()
	g := start(t, withOptions("require off"))
	b := g.browse(t)
	b.begin("alice")
	b.addApp()
	codes := b.takeCodes()
	b.arrive("alice", "/")

	g.removeFactors(t, "alice", "--factor", "totp")
	b.goTo("/reports")
	b.signIn("alice")
	b.see("Use a backup code")
	b.enterCode(codes[0])
	b.see("Set up a second step")
	b.button("Skip for now")
	b.told("Removed: ", "by an administrator")
	b.arrive("alice", "/reports")
}
