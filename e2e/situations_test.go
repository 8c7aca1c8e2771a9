package e2e

import (
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/chromedp/cdproto/cdp"
	"github.com/chromedp/cdproto/fetch"
	"github.com/chromedp/cdproto/webauthn"
	"github.com/chromedp/chromedp"
)

// What goes wrong for people, and what they are told.

// grown starts a gateway whose first account, alice, is set up with an
// authenticator app and backup codes already.
func grown(t testing.TB, caddyfile string) (*gateway, *account, *phone) {
	t.Helper()
	gw := start(t, caddyfile)
	c := gw.client(t)
	if !strings.Contains(caddyfile, "{$PORT}") {
		c = gw.secureClient(t, "app", true)
	}
	alice := c.signUp("alice")
	c.signOut()
	return gw, alice, &phone{g: gw, Secret: alice.App.Secret, last: alice.App.last}
}

func TestBrowser_WrongCodeAndReplayedStep(t *testing.T) {
	t.Parallel()
	gw, _, phone := grown(t, localhost)
	b := gw.browse(t)
	b.goTo("/reports")
	b.signIn("alice")
	b.see("Verify it’s you")
	code := phone.code(t)
	wrong := "000000"
	if code == wrong {
		wrong = "111111"
	}
	b.enterCode(wrong)
	b.says("That code didn’t match. Codes change every 30 seconds")
	b.see("Verify it’s you")
	if title := js[string](b, "document.title"); !strings.HasPrefix(title, "Error:") {
		t.Errorf("the title %q does not say that something went wrong", title)
	}
	if on := b.focus(); on != "code" {
		t.Errorf("after a wrong code the keyboard is on %q", on)
	}
	// What was wrong once is not sent by itself; the person presses the button.
	b.write("#code", code)
	b.press("\r")
	b.arrive("alice", "/reports")

	// The same step once more: it was used, whoever asks (behaviour.md §5).
	b.signOut()
	b.goTo("/reports")
	b.signIn("alice")
	b.see("Verify it’s you")
	b.enterCode(code)
	b.says("each works once")
	b.write("#code", phone.code(t))
	b.press("\r")
	b.arrive("alice", "/reports")
}

// A phone whose clock is five minutes off: the page says that it is the clock,
// because trying again would never help.
func TestBrowser_ClockOfThePhoneIsOff(t *testing.T) {
	t.Parallel()
	gw, _, phone := grown(t, localhost)
	gw.advance(t, 20*time.Minute) // so that the old step was not used either
	b := gw.browse(t)
	b.goTo("/")
	b.signIn("alice")
	b.see("Verify it’s you")
	b.enterCode(oathtool(t, phone.Secret, gw.now().Add(-5*time.Minute)))
	b.says("The clock of your phone, or ours, is off.")
	b.see("Verify it’s you")
	b.write("#code", phone.code(t))
	b.press("\r")
	b.arrive("alice", "/")
}

// The person was called away between the passkey's question and its answer.
func TestBrowser_ExpiredChallenge(t *testing.T) {
	t.Parallel()
	gw := start(t, localhost)
	b := gw.browse(t)
	b.begin("alice")
	b.addPasskey()
	b.takeCodes()
	b.arrive("alice", "/")
	b.signOut()
	b.goTo("/reports")
	b.signIn("alice")
	b.see("Verify it’s you")

	paused := chromedp.Events(b.ctx, fetch.RequestPaused)
	call(b, fetch.Enable, fetch.EnableParams{Patterns: []*fetch.RequestPattern{{URLPattern: "*/verify/passkey/finish*"}}})
	b.button("Use passkey")
	for event, err := range paused {
		if err != nil {
			t.Fatal(err)
		}
		gw.advance(t, 6*time.Minute)
		call(b, fetch.ContinueRequest, fetch.ContinueRequestParams{RequestID: event.RequestID})
		break
	}
	call(b, fetch.Disable, cdp.Empty{})
	b.says("That took too long. Try again.")
	b.see("Verify it’s you")
	b.button("Use passkey")
	b.arrive("alice", "/reports")
}

// A passkey that another authenticator holds, and a person who says no.
func TestBrowser_PasskeyThatDoesNotComeForth(t *testing.T) {
	t.Parallel()
	gw := start(t, localhost)
	b := gw.browse(t)
	b.begin("alice")
	b.addPasskey()
	codes := b.takeCodes()
	b.arrive("alice", "/")
	b.signOut()

	call(b, webauthn.SetUserVerified, webauthn.SetUserVerifiedParams{AuthenticatorID: b.key, IsUserVerified: false})
	b.goTo("/reports")
	b.signIn("alice")
	b.see("Verify it’s you")
	b.button("Use passkey")
	b.says("That didn’t go through.")
	b.see("Verify it’s you")
	b.button("Try another method")
	b.way("Backup code")
	b.see("Use a backup code")
	b.enterCode(codes[0])
	b.arrive("alice", "/reports")
}

// After ten minutes the first factor no longer counts; the person is told so and
// still arrives at their own address.
func TestBrowser_LateForTheSecondFactor(t *testing.T) {
	t.Parallel()
	gw, _, phone := grown(t, localhost)
	b := gw.browse(t)
	b.goTo("/reports")
	b.signIn("alice")
	b.see("Verify it’s you")
	gw.advance(t, 11*time.Minute)
	b.enterCode(phone.code(t))
	b.says("This sign-in waited too long. Sign in again.")
	b.signIn("alice")
	b.see("Verify it’s you")
	b.enterCode(phone.code(t))
	b.arrive("alice", "/reports")
}

// After sign-out the back button shows nothing of the account, nor of the app
// (AC-129).
func TestBrowser_BackAfterSignOut(t *testing.T) {
	t.Parallel()
	gw, _, phone := grown(t, localhost)
	b := gw.browse(t)
	b.goTo("/secret-report")
	b.signIn("alice")
	b.enterCode(phone.code(t))
	b.arrive("alice", "/secret-report")
	b.goTo("/.mfa/account")
	b.see("Your account")
	b.signOut()
	old := gw.App.Count()

	for range 3 { // the question, the account, the app
		b.back()
		b.until("a page", `document.readyState === "complete" && document.querySelector("h1")`)
		b.until("no trace of the account", `!/alice|Authenticator app|\/secret-report/.test(document.body.innerText)`)
	}
	if n := gw.App.Count(); n != old {
		t.Errorf("going back reached the app %d times", n-old)
	}
}

// Two tabs ask at once: either finishes, and the other lands at its own address.
func TestBrowser_TwoTabs(t *testing.T) {
	t.Parallel()
	gw, alice, phone := grown(t, localhost)
	one := gw.browse(t)
	two := one.second()
	one.goTo("/one")
	one.see("Sign in")
	two.goTo("/two")
	two.see("Sign in")
	one.signIn("alice")
	one.see("Verify it’s you")

	// The second tab still shows the form; loading it again takes it along.
	two.goTo("/two")
	two.see("Verify it’s you")
	two.enterCode(phone.code(t))
	two.arrive("alice", "/two")
	// The first one's form is from before. Its code was not looked at, because
	// nothing is owed any more.
	one.enterCode(phone.code(t))
	one.arrive("alice", "/one")

	// The other way round: the form of the second tab is sent when the first is
	// through already.
	one.signOut()
	one.goTo("/one")
	two.goTo("/two")
	two.see("Sign in")
	one.signIn("alice")
	one.enterCode(phone.code(t))
	one.arrive("alice", "/one")
	two.signIn("alice")
	two.see("Verify it’s you")
	two.button("Try another method")
	two.way("Backup code")
	two.enterCode(alice.Backup[0])
	two.arrive("alice", "/two")
	one.goTo("/one")
	one.arrive("alice", "/one")

	// And one signs out while the other is at work.
	one.signOut()
	two.goTo("/two")
	two.see("Sign in")
}

// Two tabs show the same backup codes; both are confirmed, and they work.
func TestBrowser_TwoTabsSetUp(t *testing.T) {
	t.Parallel()
	gw := start(t, localhost)
	one := gw.browse(t)
	one.begin("alice")
	two := one.second()
	two.goTo("/.mfa/set-up")
	two.see("Set up a second step")
	one.way("Authenticator app")
	two.way("Authenticator app")
	one.see("Set up your authenticator app")
	two.see("Set up your authenticator app")
	phone := one.scan()
	if other := two.scan(); other.Secret != phone.Secret {
		t.Errorf("the tabs show two secrets: a person scans the one and confirms the other")
	}
	two.enterCode(phone.code(t))
	two.see("Save your backup codes")
	one.enterCode(phone.code(t))
	one.see("Save your backup codes")
	codes := one.takeCodes()
	one.arrive("alice", "/")
	two.click("input[name=saved]")
	two.button("Continue")
	two.arrive("alice", "/")

	one.signOut()
	one.goTo("/")
	one.signIn("alice")
	one.see("Verify it’s you")
	one.button("Try another method")
	one.way("Backup code")
	one.enterCode(codes[9])
	one.arrive("alice", "/")
}

// Without scripts: the link's secret is pasted, and authenticator codes and
// backup codes do.
func TestBrowser_WithoutScripts(t *testing.T) {
	t.Parallel()
	gw := start(t, localhost)
	b := gw.browse(t)
	b.noScripts()
	link, token, _ := strings.Cut(gw.firstLink(t), "#")
	b.goTo(link + "#" + token)
	b.see("Open your link")
	b.says("Scripts are off in this browser. Copy everything after the # sign")
	b.write("#token", token)
	b.button("Continue")
	b.see("Create an administrator’s account")
	b.write("#name", "alice")
	b.write("#password", password)
	b.button("Create account")
	b.see("Set up a second step")
	b.way("Passkey")
	b.see("Create a passkey")
	b.says("Passkeys need scripts, and they are off in this browser.")
	b.button("Choose another way")
	b.see("Set up a second step")
	b.way("Authenticator app")
	b.see("Set up your authenticator app")
	b.button("Can’t scan it?")
	phone := b.scan()
	b.enterCode("12345")
	b.says("That code didn’t match.")
	b.enterCode(phone.code(t))
	b.see("Save your backup codes")
	codes := b.takeCodes()
	b.arrive("alice", "/")

	b.signOut()
	b.goTo("/reports")
	b.signIn("alice")
	b.see("Verify it’s you")
	b.enterCode(phone.code(t))
	b.arrive("alice", "/reports")

	b.signOut()
	b.goTo("/reports")
	b.signIn("alice")
	b.see("Verify it’s you")
	b.button("Try another method")
	b.see("Choose how to verify")
	b.way("Backup code")
	b.see("Use a backup code")
	b.enterCode(codes[0])
	b.arrive("alice", "/reports")
	b.goTo("/.mfa/account")
	b.see("Your account")
	b.says("9 unused codes left")
}

// The browser lost our cookies in the middle, or never kept them: the page says
// so and does not send the person round in a circle.
func TestBrowser_CookieLost(t *testing.T) {
	t.Parallel()
	gw, _, phone := grown(t, localhost)
	b := gw.browse(t)
	b.goTo("/reports")
	b.signIn("alice")
	b.see("Verify it’s you")
	b.forgetCookies("")
	b.enterCode(phone.code(t))
	b.see("Your browser didn’t keep our cookie")
	b.button("Try again")
	b.signIn("alice")
	b.see("Verify it’s you")

	// The session's alone: the step cannot be finished, so it begins anew.
	b.forgetCookies("-half")
	b.enterCode(phone.code(t))
	b.signIn("alice")
	b.see("Verify it’s you")
	b.enterCode(phone.code(t))
	b.arrive("alice", "/reports")

	// A browser that keeps nothing from one page to the next.
	b.signOut()
	b.goTo("/.mfa/verify?c=1")
	b.see("Your browser didn’t keep our cookie")
}

// From the link to the app and in again, with nothing but the keyboard.
func TestBrowser_KeyboardOnly(t *testing.T) {
	t.Parallel()
	gw := start(t, localhost)
	b := gw.browse(t)
	b.goTo(gw.firstLink(t))
	b.see("Create an administrator’s account")
	b.tabTo("name")
	b.press("alice\t")
	b.press("Alice Ng")
	b.tabTo("password")
	b.press(password)
	b.tabTo("Create account")
	b.press("\r")
	b.see("Set up a second step")
	b.tabTo("Authenticator app")
	b.press("\r")
	b.see("Set up your authenticator app")
	b.tabTo("Can’t scan it?")
	b.press("\r")
	phone := b.scan()
	b.tabTo("code")
	b.press(phone.code(t))
	b.see("Save your backup codes")
	b.tabTo("saved")
	b.press(" ")
	b.tabTo("Continue")
	b.press("\r")
	b.arrive("alice", "/")

	b.goTo("/.mfa/sign-out")
	b.see("Sign out?")
	b.tabTo("Sign out")
	b.press("\r")
	b.see("You’re signed out")
	b.goTo("/reports")
	b.see("Sign in")
	b.tabTo("name")
	b.press("alice\t")
	b.press(password + "\r")
	b.see("Verify it’s you")
	b.tabTo("code")
	b.press(phone.code(t))
	b.arrive("alice", "/reports")

	// A passkey beside it, and in with that.
	b.goTo("/.mfa/set-up/passkey?from=account")
	b.see("Create a passkey")
	b.tabTo("Create passkey")
	b.press("\r")
	b.see("Your account")
	b.goTo("/.mfa/sign-out")
	b.see("Sign out?")
	b.press("\r") // the button has the keyboard
	b.see("You’re signed out")
	b.goTo("/reports")
	b.see("Sign in")
	b.press("alice\t")
	b.press(password + "\r")
	b.see("Verify it’s you")
	b.tabTo("Use passkey")
	b.press("\r")
	b.told("Added: Passkey") // … by the keyboard, too
	b.arrive("alice", "/reports")
}

// The language is the browser's, until somebody says otherwise.
func TestBrowser_German(t *testing.T) {
	t.Parallel()
	gw := start(t, localhost)
	b := gw.browse(t)
	b.speaks("de-DE,de,en")
	b.goTo(gw.firstLink(t))
	b.see("Administrationskonto anlegen")
	b.write("#name", "alice")
	b.write("#password", password)
	b.button("Konto anlegen")
	b.see("Zweiten Schritt einrichten")
	b.way("Authenticator‑App")
	b.see("Authenticator‑App einrichten")
	phone := b.scan()
	b.enterCode(phone.code(t))
	b.see("Backup‑Codes sichern")
	b.click("input[name=saved]")
	b.button("Weiter")
	b.arrive("alice", "/")
	b.goTo("/.mfa/account")
	b.see("Ihr Konto")
	b.goTo("/.mfa/sign-out")
	b.see("Abmelden?")
	b.button("Abmelden")
	b.see("Sie sind abgemeldet")

	b.goTo("/reports")
	b.see("Anmelden")
	if lang := js[string](b, "document.documentElement.lang"); lang != "de" {
		t.Errorf("the page says that its language is %q", lang)
	}
	b.button("English")
	b.see("Sign in")
	b.button("Deutsch")
	b.see("Anmelden")
	b.write("#name", "alice")
	b.write("#password", password)
	b.button("Anmelden")
	b.see("Zeigen Sie, dass Sie es sind")
	b.enterCode("000001")
	b.says("Dieser Code passte nicht.")
	b.button("English")
	b.see("Verify it’s you")
	b.enterCode(phone.code(t))
	b.arrive("alice", "/reports")
}

// A part that wants a fresh proof asks again, and then shows what was asked for.
func TestBrowser_StepUp(t *testing.T) {
	t.Parallel()
	gw, alice, phone := grown(t, localhost)
	b := gw.browse(t)
	b.goTo("/vault/keys?id=7")
	b.signIn("alice")
	b.enterCode(phone.code(t))
	b.arrive("alice", "/vault/keys?id=7")

	gw.advance(t, 6*time.Minute)
	b.goTo("/reports")
	b.arrive("alice", "/reports")
	b.goTo("/vault/keys?id=7")
	b.see("Verify it’s you")
	b.says("it is a while since you last verified")
	b.enterCode(phone.code(t))
	b.arrive("alice", "/vault/keys?id=7")

	gw.advance(t, 6*time.Minute)
	b.goTo("/vault/keys?id=8")
	b.see("Verify it’s you")
	b.button("Try another method")
	b.way("Backup code")
	b.enterCode(alice.Backup[0])
	b.arrive("alice", "/vault/keys?id=8")

	// A part that wants more than there is: set up what it asks for, and arrive.
	b.goTo("/strong/box")
	b.see("Create a passkey")
	b.says("The page that you want to open needs a passkey.")
	b.button("Create passkey")
	b.arrive("alice", "/strong/box")
}

// A form that was sent after the session had ended is not lost in silence.
func TestBrowser_FormAfterTheSession(t *testing.T) {
	t.Parallel()
	gw, _, phone := grown(t, localhost)
	b := gw.browse(t)
	b.goTo("/edit")
	b.signIn("alice")
	b.enterCode(phone.code(t))
	b.arrive("alice", "/edit")
	b.write("#note", "an hour's work")
	gw.advance(t, 13*time.Hour)
	b.press("\r")
	b.see("Your form was not sent")
	if n := len(gw.App.Hits("/form")); n != 0 {
		t.Errorf("the form reached the app %d times", n)
	}
	other := b.second()
	other.goTo("/")
	other.signIn("alice")
	other.enterCode(phone.code(t))
	other.arrive("alice", "/")
	b.back()
	b.until("the form", `document.readyState === "complete" && document.getElementById("note")`)
	if kept := js[string](b, `document.getElementById("note").value`); kept != "an hour's work" {
		t.Errorf("the form holds %q", kept)
	}
	b.button("Send")
	b.arrive("alice", "/form")
	if hits := gw.App.Hits("/form"); len(hits) != 1 || string(hits[0].Body) != "note=an+hour%27s+work" {
		t.Errorf("the app got %d forms", len(hits))
	}
}

// Ending the other sessions ends them there at once.
func TestBrowser_EndOtherSessions(t *testing.T) {
	t.Parallel()
	gw, alice, phone := grown(t, localhost)
	b := gw.browse(t)
	b.goTo("/")
	b.signIn("alice")
	b.enterCode(phone.code(t))
	b.arrive("alice", "/")
	other := gw.browse(t) // another browser: cookies of its own
	other.goTo("/other")
	other.signIn("alice")
	other.button("Try another method")
	other.way("Backup code")
	other.enterCode(alice.Backup[0])
	other.arrive("alice", "/other")

	b.goTo("/.mfa/account")
	b.see("Your account")
	b.button("Sign out everywhere else")
	b.says("Signed out everywhere else.")
	b.see("Your account")
	other.goTo("/other")
	other.see("Sign in")
	b.goTo("/")
	b.arrive("alice", "/")
}

// Factors are renamed and removed on the account page, and the last one stays.
func TestBrowser_ManageFactors(t *testing.T) {
	t.Parallel()
	gw, _, phone := grown(t, localhost)
	b := gw.browse(t)
	b.goTo("/")
	b.signIn("alice")
	b.enterCode(phone.code(t))
	b.arrive("alice", "/")
	b.goTo("/.mfa/account")
	b.see("Your account")
	b.button("Add a passkey")
	b.see("Create a passkey")
	b.button("Create passkey")
	b.see("Your account")
	b.says("Chrome on Linux Passkey")

	b.button("Rename Chrome on Linux")
	b.see("Rename Chrome on Linux")
	b.write("#name", "My laptop <b>")
	b.press("\r")
	b.says("Renamed.")
	b.says("My laptop <b>")
	b.see("Your account")

	// The weaker factor goes; the proof was a code of the same kind, so a passkey
	// is asked for first (rule B15).
	b.button("Remove Authenticator app")
	b.see("Remove Authenticator app?")
	b.button("Remove")
	b.until("the proof or the account", `["Verify it’s you", "Your account"].includes(document.querySelector("h1")?.textContent)`)
	if js[string](b, `document.querySelector("h1").textContent`) == "Verify it’s you" {
		b.see("Verify it’s you")
		b.button("Use passkey")
		b.see("Your account")
		b.button("Remove Authenticator app")
		b.see("Remove Authenticator app?")
		b.button("Remove")
	}
	b.says("Removed.")
	b.see("Your account")
	if list := gw.mfa(t, "users", "show", "alice"); strings.Contains(list, "totp") {
		t.Errorf("the authenticator app is still there:\n%s", list)
	}

	// The last one: it says so before anything is asked.
	b.button("Remove My laptop <b>")
	b.see("This is your last one")
	if list := gw.mfa(t, "users", "show", "alice"); !strings.Contains(list, "passkey") {
		t.Errorf("the last factor is gone:\n%s", list)
	}
}

// New backup codes kill the old ones, at the moment they are confirmed.
func TestBrowser_NewBackupCodes(t *testing.T) {
	t.Parallel()
	gw, alice, phone := grown(t, localhost)
	b := gw.browse(t)
	b.goTo("/")
	b.signIn("alice")
	b.enterCode(phone.code(t))
	b.arrive("alice", "/")
	b.goTo("/.mfa/account")
	b.see("Your account")
	b.button("Make new ones")
	b.see("Save your backup codes")
	b.says("Your old codes stop working when you continue.")
	fresh := b.takeCodes()
	b.see("Your account")
	if slices.Contains(alice.Backup, fresh[0]) {
		t.Error("the new codes are the old ones")
	}
	b.signOut()
	b.goTo("/")
	b.signIn("alice")
	b.button("Try another method")
	b.way("Backup code")
	b.see("Use a backup code")
	b.enterCode(alice.Backup[0])
	b.says("That code didn’t match.")
	b.enterCode(fresh[0])
	b.told("New backup codes were made")
	b.arrive("alice", "/")
}

// The gateway restarts under a person's hands, and they notice nothing.
func TestBrowser_Restart(t *testing.T) {
	t.Parallel()
	gw, _, phone := grown(t, localhost)
	b := gw.browse(t)
	b.goTo("/reports")
	b.signIn("alice")
	b.see("Verify it’s you")
	gw.restart(t)
	b.enterCode(phone.code(t))
	b.arrive("alice", "/reports")
	gw.kill()
	gw.launch(t)
	b.goTo("/other")
	b.arrive("alice", "/other")
}

// One sign-in, one passkey for two hosts: domain example.test over TLS.
func TestBrowser_TwoHosts(t *testing.T) {
	t.Parallel()
	gw := start(t, secure)
	b := gw.browse(t)
	_, token, _ := strings.Cut(gw.firstLink(t), "#")
	app, wiki := gw.secureBase("app"), gw.secureBase("wiki")
	b.goTo(app + "/.mfa/link#" + token)
	b.see("Create an administrator’s account")
	b.write("#name", "alice")
	b.write("#password", password)
	b.button("Create account")
	b.see("Set up a second step")
	b.addPasskey()
	b.takeCodes()
	b.arrive("alice", "/")
	b.goTo(wiki + "/start")
	b.arrive("alice", "/start")
	if got := b.origin(); got != wiki {
		t.Errorf("that was %s", got)
	}
	if keys := b.passkeys(); len(keys) != 1 || keys[0].RpID != "example.test" {
		t.Errorf("passkeys: %v", keys)
	}

	// Out on one host is out on both, and the passkey opens the other one, too.
	b.goTo(app + "/.mfa/sign-out")
	b.see("Sign out?")
	b.button("Sign out")
	b.see("You’re signed out")
	b.goTo(wiki + "/start")
	b.signIn("alice")
	b.see("Verify it’s you")
	b.button("Use passkey")
	b.arrive("alice", "/start")
	b.goTo(app + "/strong/box")
	b.arrive("alice", "/strong/box")
	for name := range b.cookies() {
		if name == "__Secure-mfa" {
			return
		}
	}
	t.Errorf("the session's cookie is not among %v", b.cookies())
}
