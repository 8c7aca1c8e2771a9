package e2e

import (
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/chromedp/cdproto/cdp"
	"github.com/chromedp/cdproto/webauthn"
	"github.com/chromedp/chromedp"
)

// passText is a pass or a bypass, as it is shown.
var passText = regexp.MustCompile(`\b[A-Z2-7]{4}(-[A-Z2-7]{4}){3}\b`)

// spoken is how a screen reader calls an element e.
const spoken = `((e) => (e.getAttribute("aria-label") || (e.getAttribute("aria-labelledby") || "").split(" ").map((id) => document.getElementById(id)?.textContent || "").join(" ") ||
	e.innerText || e.name || "").replace(/\s+/g, " ").trim())`

// count says how many buttons and links are called so.
func (b *tab) count(name string) int {
	b.t.Helper()
	return js[int](b, `[...document.querySelectorAll("button, a")].filter((e) => e.getClientRects().length && `+spoken+`(e) === `+quote(name)+`).length`)
}

// tabToNamed presses the tab key until the keyboard is on what is called so, and sees
// that it shows there.
func (b *tab) tabToNamed(name string) {
	b.t.Helper()
	var seen []string
	for range 150 {
		at := js[string](b, spoken+`(document.activeElement)`)
		if at == name && js[bool](b, `document.activeElement !== document.body`) {
			if !js[bool](b, `document.activeElement.matches(":focus-visible") && document.activeElement.getClientRects().length > 0`) {
				b.t.Errorf("nothing shows that the keyboard is on %q", name)
			}
			return
		}
		seen = append(seen, at)
		b.press("\t")
	}
	b.t.Fatalf("the keyboard never came to %q, only to %q", name, slices.Compact(seen))
}

// fits opens a page on a phone's screen and sees that nothing is beside it.
func (b *tab) fits(address string) {
	b.t.Helper()
	b.do(chromedp.EmulateViewport(360, 780))
	defer b.do(chromedp.EmulateViewport(1280, 900))
	b.goTo(address)
	_, path, _ := strings.Cut(address, "/.mfa/")
	b.until("the page "+path, `document.readyState === "complete" && location.href.endsWith(`+quote("/.mfa/"+path)+`) && document.querySelector("h1")`)
	heading := js[string](b, `document.querySelector("h1").textContent`)
	if wide := js[int](b, `document.documentElement.scrollWidth`); wide > js[int](b, `innerWidth`) {
		b.t.Errorf("%s (%s) is %d pixels wide, and the screen 360: %v", path, heading, wide,
			js[[]string](b, `[...document.querySelectorAll("main *, header *")].filter((e) => e.getBoundingClientRect().right > innerWidth + 1).slice(0, 5).map((e) => e.tagName + "." + e.className + " " + e.innerText?.slice(0, 40))`))
	}
	b.inspect(heading)
}

// has reports whether somebody holds a factor of that kind.
func (g *gateway) has(t testing.TB, name, kind string) bool {
	t.Helper()
	return strings.Contains(g.mfa(t, "users", "show", name), kind)
}

// newDevice puts another authenticator into the browser, in place of the one before: it
// holds none of the passkeys so far.
func (b *tab) newDevice() {
	b.t.Helper()
	call[webauthn.RemoveVirtualAuthenticatorParams, cdp.Empty](b, webauthn.RemoveVirtualAuthenticator, webauthn.RemoveVirtualAuthenticatorParams{AuthenticatorID: b.key})
	b.addDevice()
}

// welcome opens an invitation and chooses a password; the list of factors is there
// afterwards.
func (b *tab) welcome(link string) {
	b.t.Helper()
	b.goTo(link)
	b.see("Welcome")
	b.write("#password", password)
	b.button("Continue")
	b.see("Set up a second step")
}

// byBackupCode verifies with a backup code in place of what the page offers first.
func (b *tab) byBackupCode(code string) {
	b.t.Helper()
	b.see("Verify it’s you")
	b.button("Try another method")
	b.way("Backup code")
	b.see("Use a backup code")
	b.enterCode(code)
}

// B33, B34: somebody looks after their own account. A second passkey comes and gets a
// name; new backup codes end the old ones; another browser is signed out and is at
// sign-in on its very next request; and the last factor goes, under require, only after a
// warning that says what follows, and that does follow.
func TestAccount_LooksAfterItself(t *testing.T) {
	t.Parallel()
	g := start(t, localhost)
	g.client(t).signUp("alice") // the administrator
	b := g.browse(t)
	b.welcome(g.invite(t, "bob"))
	b.addPasskey()
	codes := b.takeCodes()
	b.arrive("bob", "/")
	g.advance(t, time.Minute)

	// Another browser, on another device.
	other := g.browse(t)
	other.goTo("/reports")
	other.signIn("bob")
	other.byBackupCode(codes[0])
	other.arrive("bob", "/reports")

	// A second passkey, on a new device.
	b.newDevice()
	b.goTo("/.mfa/account")
	b.see("Your account")
	b.says("Add a second passkey and you can lose a phone without worry.")
	b.button("Add a passkey")
	b.see("Create a passkey")
	b.button("Create passkey")
	b.see("Your account")
	if n := b.count("Rename Chrome on Linux"); n != 1 {
		t.Errorf("%d of two passkeys are called alike", n)
	}
	b.button("Rename Chrome on Linux 2")
	b.write("#name", "Blue key")
	b.press("\r")
	b.says("Renamed.")
	b.says("Blue key")
	b.see("Your account")

	// New codes. The old ones die when the new ones are kept.
	b.button("Make new ones")
	b.see("Save your backup codes")
	b.says("Your old codes stop working when you continue.")
	fresh := b.takeCodes()
	b.see("Your account")
	if slices.Contains(codes, fresh[0]) {
		t.Error("the new codes are the old ones")
	}

	// The other browser goes, and nothing of it reaches the app any more.
	other.goTo("/still")
	other.arrive("bob", "/still")
	hits := g.App.Count()
	b.button("Sign out Chrome on Linux")
	b.says("Signed out there.")
	b.see("Your account")
	other.goTo("/reports")
	other.signIn("bob") // it is at sign-in
	if g.App.Count() != hits {
		t.Error("the ended session reached the app")
	}
	other.see("Verify it’s you")
	other.button("Try another method")
	other.way("Backup code")
	other.see("Use a backup code")
	other.enterCode(codes[1])
	other.says("That code didn’t match.")
	other.enterCode(fresh[0])
	other.told("New backup codes were made", "Added: Passkey", "Renamed: ")
	other.arrive("bob", "/reports")

	// The first passkey goes without much ado, for another is left …
	b.goTo("/.mfa/account")
	b.see("Your account")
	b.button("Remove Chrome on Linux")
	b.see("Remove Chrome on Linux?")
	b.button("Remove")
	b.says("Removed.")
	b.see("Your account")
	b.goTo("/")
	b.arrive("bob", "/")
	other.goTo("/reports") // which ends no session
	other.arrive("bob", "/reports")

	// … and the last one with it.
	b.goTo("/.mfa/account")
	b.see("Your account")
	b.button("Remove Blue key")
	b.see("Blue key is your last one")
	for _, text := range []string{"You lose:", "Passkey “Blue key”", "Backup codes", "You are signed out everywhere else.", "your password alone no longer lets you set one up"} {
		b.says(text)
	}
	b.button("Remove it and set up a new one now")
	b.see("Set up a second step")
	hits = g.App.Count()
	for _, path := range []string{"/", "/.mfa/account"} {
		b.goTo(path)
		b.see("Set up a second step")
	}
	other.goTo("/reports")
	other.see("Sign in")

	// Abandoned: the password alone sets nothing up, here or there.
	other.signIn("bob")
	other.see("You need a pass to set this up")
	for _, path := range []string{"/.mfa/set-up", "/.mfa/set-up/passkey", "/.mfa/set-up/totp", "/.mfa/account", "/reports"} {
		other.goTo(path)
		other.see("You need a pass to set this up")
	}
	g.advance(t, 11*time.Minute)
	b.goTo("/")
	b.signIn("bob")
	b.see("You need a pass to set this up")
	if g.App.Count() != hits {
		t.Error("somebody without a second factor reached the app")
	}

	// No dead end: an administrator's pass leads on.
	pass := passText.FindString(g.mfa(t, "users", "enrollment-pass", "bob"))
	if pass == "" {
		t.Fatal("the command printed no pass")
	}
	b.write("#code", pass)
	b.press("\r")
	b.see("Set up a second step")
	b.addPasskey()
	b.takeCodes()
	b.told("Removed: ")
	b.arrive("bob", "/")
}

// The same removal, carried through: what is set up at once needs no pass, and this
// browser goes on.
func TestAccount_LastFactorReplaced(t *testing.T) {
	t.Parallel()
	g := start(t, localhost)
	g.client(t).signUp("alice")
	b := g.browse(t)
	b.welcome(g.invite(t, "bob"))
	b.addPasskey()
	codes := b.takeCodes()
	b.arrive("bob", "/")
	b.goTo("/.mfa/account")
	b.see("Your account")
	b.button("Remove Chrome on Linux")
	b.see("Chrome on Linux is your last one")
	b.button("Keep it") // nothing happened
	b.see("Your account")
	b.button("Remove Chrome on Linux")
	b.see("Chrome on Linux is your last one")
	b.button("Remove it and set up a new one now")
	b.see("Set up a second step")
	phone := b.addApp()
	fresh := b.takeCodes()
	b.see("Your account")
	b.goTo("/")
	b.arrive("bob", "/")
	b.signOut()

	b.goTo("/")
	b.signIn("bob")
	b.see("Verify it’s you")
	b.button("Try another method")
	b.way("Backup code")
	b.enterCode(codes[0])
	b.says("That code didn’t match.")
	b.enterCode(fresh[0])
	b.told("Removed: ", "Added: Authenticator app")
	b.arrive("bob", "/")
	b.signOut()
	b.goTo("/")
	b.signIn("bob")
	b.see("Verify it’s you")
	b.enterCode(phone.code(t))
	b.until("the app or what is told", `document.readyState === "complete" && (document.getElementById("user") || document.querySelector("h1")?.textContent === "Since you were last here")`)
}

// Everything on the account page can be done with the keyboard alone, and it fits a
// narrow phone.
func TestAccount_KeyboardAndNarrow(t *testing.T) {
	t.Parallel()
	g := start(t, localhost)
	g.client(t).signUp("alice")
	b := g.browse(t)
	b.welcome(g.invite(t, "bob", "--name", "Bartholomew Featherstonehaugh-Cholmondeley", "--email", "bartholomew.featherstonehaugh@mail.subsidiary.example.test"))
	phone := b.addApp()
	b.takeCodes()
	b.arrive("bob", "/")
	other := g.client(t)
	other.verifyTOTP(other.signIn("bob"), phone.code(t))

	b.goTo("/.mfa/account")
	b.see("Your account")
	b.tabTo("Add a passkey")
	b.press("\r")
	b.see("Create a passkey")
	b.tabTo("Create passkey")
	b.press("\r")
	b.see("Your account")
	b.tabToNamed("Rename Chrome on Linux")
	b.press("\r")
	b.see("Rename Chrome on Linux")
	b.press("Key\r") // the field has the keyboard
	b.says("Renamed.")
	b.see("Your account")
	b.tabToNamed("Sign out Firefox on Linux")
	b.press("\r")
	b.says("Signed out there.")
	b.see("Your account")
	b.tabToNamed("Remove Authenticator app")
	b.press("\r")
	b.until("the question or the proof", `document.readyState === "complete" && ["Remove Authenticator app?", "Verify it’s you"].includes(document.querySelector("h1")?.textContent)`)
	b.see("Remove Authenticator app?")
	b.tabTo("Remove")
	b.press("\r")
	b.until("the proof or the account", `document.readyState === "complete" && ["Verify it’s you", "Your account"].includes(document.querySelector("h1")?.textContent)`)
	if js[string](b, `document.querySelector("h1").textContent`) == "Verify it’s you" {
		b.tabTo("Use passkey")
		b.press("\r")
		b.see("Your account")
		b.tabToNamed("Remove Authenticator app")
		b.press("\r")
		b.see("Remove Authenticator app?")
		b.tabTo("Remove")
		b.press("\r")
	}
	b.says("Removed.")
	if g.has(t, "bob", "totp") {
		t.Error("the authenticator app is still there")
	}

	for _, path := range []string{"account", "account/activity", "account/name", "account/password", "set-up?from=account", "set-up/backup-codes?from=account"} {
		b.fits("/.mfa/" + path)
	}
}
