package e2e

import (
	"testing"
)

// Link → passkey → codes → app → sign-out → sign-in → passkey → app.
func TestBrowser_Passkey(t *testing.T) {
	t.Parallel()
	gw := start(t, localhost)
	b := gw.browse(t)
	b.begin("alice")
	b.addPasskey()
	b.takeCodes()
	b.arrive("alice", "/")
	b.goTo("/reports?q=1")
	b.arrive("alice", "/reports?q=1")
	b.signOut()

	b.goTo("/reports?q=1")
	b.signIn("alice")
	b.see("Verify it’s you")
	b.button("Use passkey")
	b.arrive("alice", "/reports?q=1")
	if n := len(b.passkeys()); n != 1 {
		t.Errorf("the authenticator holds %d passkeys", n)
	}
}

// The same with an authenticator app whose codes come from oathtool.
func TestBrowser_AuthenticatorApp(t *testing.T) {
	t.Parallel()
	gw := start(t, localhost)
	b := gw.browse(t)
	b.begin("alice")
	phone := b.addApp()
	b.takeCodes()
	b.arrive("alice", "/")
	b.signOut()

	b.goTo("/reports")
	b.signIn("alice")
	b.see("Verify it’s you")
	b.enterCode(phone.code(t))
	b.arrive("alice", "/reports")
}

// And with a backup code, in the way that people write them down.
func TestBrowser_BackupCode(t *testing.T) {
	t.Parallel()
	gw := start(t, localhost)
	b := gw.browse(t)
	b.begin("alice")
	b.addPasskey()
	codes := b.takeCodes()
	b.arrive("alice", "/")
	b.signOut()

	b.goTo("/reports")
	b.signIn("alice")
	b.see("Verify it’s you")
	b.button("Try another method")
	b.see("Choose how to verify")
	b.way("Backup code")
	b.see("Use a backup code")
	b.enterCode("NOT-ONE-OF-THEM")
	b.says("That code didn’t match. Each code works once")
	b.see("Use a backup code")
	b.enterCode(codes[3])
	b.arrive("alice", "/reports")

	// It is used up now.
	b.signOut()
	b.goTo("/")
	b.signIn("alice")
	b.button("Try another method")
	b.way("Backup code")
	b.enterCode(codes[3])
	b.says("That code didn’t match. Each code works once")
	b.enterCode(codes[4])
	b.told("A backup code was used", "Chrome on Linux")
	b.arrive("alice", "/")
}
