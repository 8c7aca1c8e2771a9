package e2e

import (
	"strings"
	"testing"
	"time"
)

// An administrator's help, as the helped person sees it in a browser.
func TestBrowser_InvitedHelpedDisabled(t *testing.T) {
	t.Parallel()
	gw, _, _ := grown(t, localhost)
	b := gw.browse(t)
	b.goTo(gw.invite(t, "bob", "--name", "Bob Ray", "--group", "staff"))
	b.see("Welcome")
	b.says("Your user name is bob.")
	b.write("#password", "bob")
	b.button("Continue") // the browser itself keeps the form: too short
	b.write("#password", "passwordpassword")
	b.button("Continue")
	b.says("Many people use this password")
	b.see("Welcome")
	b.write("#password", password)
	b.button("Continue")
	b.see("Set up a second step")
	phone := b.addApp()
	b.takeCodes()
	b.arrive("bob", "/")
	if got := gw.App.Last(t).Request.Header.Get("Remote-Groups"); got != "staff" {
		t.Errorf("the app was told of the groups %q", got)
	}

	// A forgotten password: a new one by link; the factors stay.
	b.goTo(findLink(t, gw.mfa(t, "users", "reset-password", "bob")))
	b.see("Choose a new password")
	b.write("#password", "another correct horse")
	b.button("Save password")
	b.see("Verify it’s you")
	b.enterCode(phone.code(t))
	b.arrive("bob", "/")

	// A lost phone: the sessions end, and the next sign-in sets up anew.
	gw.mfa(t, "users", "remove-factors", "bob", "--yes")
	b.goTo("/reports")
	b.see("Sign in")
	b.write("#name", "bob")
	b.write("#password", "another correct horse")
	b.button("Sign in")
	b.see("Set up a second step")
	b.addPasskey()
	b.takeCodes()
	b.told("Removed: all your second steps", "by an administrator")
	b.arrive("bob", "/reports")

	// Shut out: the same answer as to a wrong password.
	gw.mfa(t, "users", "disable", "bob", "--yes")
	old := gw.App.Count()
	b.goTo("/reports")
	b.see("Sign in")
	b.write("#name", "bob")
	b.write("#password", "another correct horse")
	b.button("Sign in")
	b.says("That name and password don’t match.")
	if n := gw.App.Count(); n != old {
		t.Errorf("a disabled user reached the app %d times", n-old)
	}
	gw.mfa(t, "users", "enable", "bob")
	b.goTo("/reports")
	b.see("Sign in")
	b.write("#name", "bob")
	b.write("#password", "another correct horse")
	b.button("Sign in")
	b.see("Verify it’s you")
	b.button("Use passkey")
	b.told("Added: Passkey") // on the password alone, so it is told (B17)
	b.arrive("bob", "/reports")
}

// A link works once, and whoever has it twice is told so.
func TestBrowser_LinkTwice(t *testing.T) {
	t.Parallel()
	gw := start(t, localhost)
	link := gw.firstLink(t)
	gw.client(t).signUp("alice")
	b := gw.browse(t)
	b.goTo(link)
	b.see("This link is used up")
	b.button("Sign in")
	b.see("Sign in")
	b.write("#name", "nobody")
	b.write("#password", password)
	b.button("Sign in")
	b.says("That name and password don’t match.")
	b.see("Sign in")
	b.goTo("/.mfa/nothing")
	b.see("This page doesn’t exist")
	b.button("Go to the start")
	b.see("Sign in")

	// An old link to the same person.
	old := gw.invite(t, "bob")
	gw.advance(t, 25*time.Hour)
	b.goTo(old)
	b.see("This link is used up")
}

// After many wrong codes the page says how long to wait, and counts down; the
// other factor still works.
func TestBrowser_TooManyTries(t *testing.T) {
	t.Parallel()
	gw, alice, phone := grown(t, localhost)
	b := gw.browse(t)
	b.goTo("/reports")
	b.signIn("alice")
	b.see("Verify it’s you")
	right := phone.code(t)
	for range 12 {
		wrong := "000000"
		if right == wrong {
			wrong = "111111"
		}
		b.write("#code", wrong)
		b.press("\r")
		b.until("an answer", `document.readyState === "complete" && document.getElementById("code-error") && !document.getElementById("code").value`)
		if strings.Contains(js[string](b, `document.getElementById("code-error").textContent`), "Too many tries") {
			break
		}
	}
	b.says("Too many tries. Wait")
	b.says("Try again in 0:")
	b.see("Verify it’s you")
	b.button("Try another method")
	b.way("Backup code")
	b.see("Use a backup code")
	b.enterCode(alice.Backup[0])
	b.arrive("alice", "/reports")
}
