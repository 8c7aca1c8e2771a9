package e2e

import (
	"strings"
	"testing"
	"time"
)

// B37: one line in an app shows people how to protect their account, and another asks for
// a newer proof. The demo app's content security policy allows nothing inline: what the
// script does against it would fail the test.
func TestBrowser_Script_B37(t *testing.T) {
	t.Parallel()
	gw := startDemo(t, func(site string) string {
		return strings.Replace(site, "factors passkey totp backup_code", "factors passkey totp", 1)
	})
	b := gw.browse(t)
	b.begin("alice")
	b.way("Passkey")
	b.button("Create passkey") // one way to verify, and none to fall back on
	const section = `document.querySelector("secondgate-banner")?.shadowRoot.querySelector("section")`
	b.until("the banner", section+`?.getAttribute("aria-label") === "Protect your account"`)
	b.see("You’re in, alice.")

	press := func(selector string) {
		t.Helper()
		js[bool](b, section+`.querySelector(`+quote(selector)+`).click(), true`)
	}
	press("button")
	b.until("no banner", `!document.querySelector("secondgate-banner")`)
	b.goTo("/")
	b.see("You’re in, alice.")
	if !js[bool](b, `Secondgate.banner().then((shown) => shown === null)`) {
		t.Error("what was put away came back")
	}
	js[bool](b, `localStorage.setItem("secondgate-banner", localStorage.getItem("secondgate-banner").split(" ")[0] + " 1"), true`) // some days later
	b.goTo("/some/page?a=b")
	b.see("You’re in, alice.")
	b.until("the banner", section)
	if text := js[string](b, `Secondgate.banner({lang: "de-AT"}).then((shown) => { const t = shown.shadowRoot.textContent; shown.remove(); return t; })`); !strings.Contains(text, "Jetzt schützen") {
		t.Errorf("in German it says %q", text)
	}
	press("a")
	b.see("Your account")
	if path := b.path(); path != "/.mfa/account?rd=%2Fsome%2Fpage%3Fa%3Db" {
		t.Errorf("the account is at %s", path)
	}

	b.goTo("/some/page?a=b")
	b.see("You’re in, alice.")
	const fresh = `Secondgate.stepUp({maxAge: 300}).then(() => true)`
	if !js[bool](b, fresh) {
		t.Error("a fresh proof was not enough")
	}
	gw.advance(t, 6*time.Minute)
	js[bool](b, `void Secondgate.stepUp({maxAge: 300}), true`)
	b.see("Verify it’s you")
	b.button("Use passkey")
	b.see("You’re in, alice.")
	if path := b.path(); path != "/some/page?a=b" {
		t.Errorf("she came back to %s", path)
	}
	if !js[bool](b, fresh) {
		t.Error("the proof of a moment ago was not enough")
	}

	gw.advance(t, 6*time.Minute)
	js[bool](b, `void Secondgate.fetch("/vault/gold", {method: "POST"}), true`)
	b.see("Verify it’s you")
	b.button("Use passkey")
	b.see("You’re in, alice.")
	if path := b.path(); path != "/some/page?a=b" {
		t.Errorf("she came back to %s", path)
	}
	if status := js[int](b, `Secondgate.fetch("/vault/gold", {method: "POST"}).then((answer) => answer.status)`); status != 200 {
		t.Errorf("the vault answers %d", status)
	}

	// Whatever an answer says, nobody is led to another place (AC-035).
	for _, next := range []string{
		"https://evil.test/", "//evil.test/.mfa/verify", `/\\evil.test/.mfa/`, "javascript:alert(1)", "/x", "/.mfa/../x", "/.mfa", "data:text/html,x", "",
	} {
		led := js[string](b, `(async () => {
			const real = window.fetch;
			window.fetch = async () => Object.defineProperty(new Response(JSON.stringify({next: `+quote(next)+`}),
				{status: 401, headers: {"WWW-Authenticate": 'Bearer error="insufficient_user_authentication"'}}), "url", {value: location.href});
			try { return String((await Secondgate.fetch("/x")).status); } catch (e) { return "refused"; } finally { window.fetch = real; }
		})()`)
		if want := map[bool]string{true: "401", false: "refused"}[next == ""]; led != want {
			t.Errorf("%q: %s", next, led)
		}
	}
	b.see("You’re in, alice.")
}
