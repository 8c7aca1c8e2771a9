package e2e

import (
	"strings"
	"testing"
	"time"
)

// A stranger makes an account with an address, by real mail: the code is typed in the
// browser, the address is pre-verified and becomes a factor by choosing it, one more is
// offered, and the app is told of a verified address. Then they sign in with the
// password and a code by e-mail (rules B12, B22, B27, B38).
func TestLetters_SignUpByEmail(t *testing.T) {
	t.Parallel()
	mail := newMailServer(t)
	g := start(t, withOptions(mail.config(), `
		factors passkey totp email backup_code
		identity local {
			sign_up email
			sign_in password email
		}`))
	b := g.browse(t)
	b.goTo("/reports")
	b.see("Sign in")
	b.goTo("/.mfa/sign-up?rd=%2Freports")
	b.see("Make an account")
	b.write("#name", "Alice@Example.test")
	b.write("#password", password)
	b.button("Continue")
	b.see("Enter your code")
	first := mail.next(t, "alice@example.test", 0)
	if strings.Contains(first.Subject, first.code(t)) {
		t.Errorf("the code stands in the subject: %q", first.Subject)
	}
	if strings.Contains(first.Text, "http://") || strings.Contains(first.HTML, "href") {
		t.Error("there is a link in a letter with a code")
	}
	wrong := "00000000"
	if first.code(t) == wrong {
		wrong = "00000001"
	}
	b.write("#code", wrong)
	b.says("That code didn’t work")
	b.write("#code", first.code(t))
	b.see("Set up a second step")

	b.way("Email code")
	b.see("Get codes by email")
	b.click("button.way")
	b.see("Add another second step")
	b.button("Skip for now")
	codes := b.takeCodes()
	b.arrive("alice@example.test", "/reports")
	if got := g.App.Last(t).Request.Header.Get("Remote-Email"); got != "alice@example.test" {
		t.Errorf("Remote-Email is %q", got)
	}
	if n := len(mail.all("alice@example.test")); n != 2 { // the notice of the new factor is the second
		t.Errorf("%d letters came, want 2", n)
	}
	b.signOut()

	// By password: the e-mail code is the second factor, sent when its page opens.
	b.goTo("/reports")
	b.signIn("alice@example.test")
	b.see("Verify it’s you")
	b.says("al****@example.test")
	code := mail.next(t, "alice@example.test", 2).code(t)
	b.goTo("/.mfa/verify?rd=%2Freports") // a reload sends nothing
	b.see("Verify it’s you")
	time.Sleep(200 * time.Millisecond)
	if n := len(mail.all("alice@example.test")); n != 3 {
		t.Errorf("%d letters came after a reload, want 3", n)
	}
	b.write("#code", code)
	b.arrive("alice@example.test", "/reports")
	b.signOut()

	// By a code: it proves the mailbox, which is then no second factor. A backup code is.
	g.advance(t, time.Hour)
	b.goTo("/reports")
	b.see("Sign in")
	b.goTo("/.mfa/sign-in/code?rd=%2Freports")
	b.see("Sign in with a code")
	b.write("#address", "alice@example.test")
	b.button("Send code")
	b.see("Enter your code")
	b.write("#code", mail.next(t, "alice@example.test", 3).code(t))
	b.see("Use a backup code")
	b.button("Try another method")
	b.see("Choose how to verify")
	b.says("You signed in with")
	b.way("Backup code")
	b.enterCode(codes[0])
	b.arrive("alice@example.test", "/reports")
}

// A forgotten password: the link comes by mail, replaces the password and nothing else,
// and the second factor is asked for all the same (rule B39).
func TestLetters_ForgottenPassword(t *testing.T) {
	t.Parallel()
	mail := newMailServer(t)
	g := start(t, withOptions(mail.config(), `
		factors passkey totp backup_code
		identity local {
			sign_up email
		}`))
	b := g.browse(t)
	b.goTo("/.mfa/sign-up")
	b.write("#name", "bob@example.test")
	b.write("#password", password)
	b.button("Continue")
	b.see("Enter your code")
	b.write("#code", mail.next(t, "bob@example.test", 0).code(t))
	b.see("Set up a second step")
	phone := b.addApp()
	b.takeCodes()
	b.arrive("bob@example.test", "/")
	b.signOut()
	before := len(mail.all("bob@example.test"))

	b.goTo("/.mfa/sign-in")
	b.button("Forgot your password?")
	b.see("Forgot your password?")
	b.write("#name", "nobody@example.test")
	b.button("Send link")
	b.see("Look at your email")
	b.goTo("/.mfa/forgotten")
	b.write("#name", "bob@example.test")
	b.button("Send link")
	b.see("Look at your email")
	letter := mail.next(t, "bob@example.test", before)
	if n := len(mail.all("nobody@example.test")); n != 0 {
		t.Errorf("a stranger got %d letters", n)
	}
	link := linkInLetter.FindString(letter.Text)
	if link == "" {
		t.Fatalf("there is no link in %q", letter.Text)
	}
	const next = "another horse, another battery 9"
	b.goTo(link)
	b.see("Choose a new password")
	b.write("#password", next)
	b.press("\r")
	b.see("Verify it’s you")
	b.enterCode(phone.code(t))
	b.arrive("bob@example.test", "/")
	b.signOut()

	// Once is once.
	b.goTo(link)
	b.see("This link is used up")
	b.goTo("/.mfa/sign-in")
	b.signIn("bob@example.test") // the old one
	b.says("don’t match")
	b.write("#password", next)
	b.press("\r")
	b.see("Verify it’s you")
	b.enterCode(phone.code(t))
	b.told("password") // at the sign-in after the one that it happened in
	b.arrive("bob@example.test", "/")
}

// Codes by text message, through a provider as strict as its documentation: set up by
// typing a number, verified in the browser; a number that is not allowed is refused.
func TestLetters_TextMessage(t *testing.T) {
	t.Parallel()
	sms := newPhoneCompany(t)
	g := start(t, withOptions(sms.config(), "factors passkey sms backup_code"))
	b := g.browse(t)
	b.begin("carol")
	b.way("Text message")
	b.see("Get codes by text message")
	b.write("#address", "+49 900 1234567") // whoever has that number earns by it
	b.button("Send code")
	b.says("No text message")
	b.write("#address", "+49 1512 3456789")
	b.button("Send code")
	b.until("the code's page", `document.querySelector("#code")`)
	text := sms.next(t, "+4915123456789", 0)
	if lines := strings.Split(text.Text, "\n"); !strings.HasPrefix(lines[len(lines)-1], "@localhost #") {
		t.Errorf("the last line is not bound to the domain: %q", text.Text)
	}
	b.write("#code", text.code(t))
	b.see("Save your backup codes")
	b.takeCodes()
	b.arrive("carol", "/")
	b.signOut()
	g.advance(t, 2*time.Hour)
	b.goTo("/reports")
	b.signIn("carol")
	b.see("Verify it’s you")
	b.says("•••• 89")
	before := len(sms.all("+4915123456789"))
	b.write("#code", sms.next(t, "+4915123456789", before-1).code(t))
	b.arrive("carol", "/reports")
}

// A mail server that refuses: the person is told, and another way is one press away.
func TestLetters_NotSent(t *testing.T) {
	t.Parallel()
	mail := newMailServer(t)
	g := start(t, withOptions(mail.config(), `
		factors passkey totp email backup_code
		identity local {
			sign_up email
		}`))
	b := g.browse(t)
	b.goTo("/.mfa/sign-up")
	b.write("#name", "dora@example.test")
	b.write("#password", password)
	b.button("Continue")
	b.see("Enter your code")
	b.write("#code", mail.next(t, "dora@example.test", 0).code(t))
	b.see("Set up a second step")
	b.way("Email code")
	b.click("button.way")
	b.see("Add another second step")
	b.way("Authenticator app")
	phone := b.scan()
	b.enterCode(phone.code(t))
	b.takeCodes()
	b.arrive("dora@example.test", "/")
	b.signOut()

	mail.refuseAll()
	g.advance(t, time.Hour)
	b.goTo("/reports")
	b.signIn("dora@example.test")
	b.see("Choose how to verify") // neither was used before (rule B20)
	b.way("Email code")
	b.says("We couldn’t send the code")
	b.button("Try another method")
	b.way("Authenticator app")
	b.enterCode(phone.code(t))
	b.arrive("dora@example.test", "/reports")
}

// A browser that is remembered is not asked again, but where a route asks (rule B29).
func TestRememberedDevice(t *testing.T) {
	t.Parallel()
	g := start(t, withOptions("remember_device 30d"))
	b := g.browse(t)
	b.begin("alice")
	phone := b.addApp()
	b.takeCodes()
	b.arrive("alice", "/")
	b.signOut()
	b.goTo("/")
	b.signIn("alice")
	b.see("Verify it’s you")
	b.click("input[name=remember]")
	b.enterCode(phone.code(t))
	b.arrive("alice", "/")
	b.signOut()

	b.goTo("/reports")
	b.signIn("alice")
	b.arrive("alice", "/reports") // without a second step
	b.goTo("/vault/x")
	b.see("Verify it’s you")
	b.enterCode(phone.code(t))
	b.arrive("alice", "/vault/x")
	b.goTo("/.mfa/account")
	b.button("Forget")
	b.says("That browser is asked again.")
	b.signOut()
	b.goTo("/reports")
	b.signIn("alice")
	b.see("Verify it’s you")
}

// A passkey signs in by itself: no name, no password (rule B28).
func TestPasskeySignIn(t *testing.T) {
	t.Parallel()
	g := start(t, localhost)
	b := g.browse(t)
	b.begin("alice")
	b.addPasskey()
	b.takeCodes()
	b.arrive("alice", "/")
	b.signOut()
	b.goTo("/reports")
	b.see("Sign in")
	b.button("Sign in with a passkey")
	b.arrive("alice", "/reports")
	b.goTo("/strong/x") // phishing_resistant: it was both factors at once
	b.arrive("alice", "/strong/x")
}
