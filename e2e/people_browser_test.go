package e2e

import (
	"strings"
	"testing"
)

// atProvider gives name and password on the page of the certified provider.
func (b *tab) atProvider(name, password string) {
	b.t.Helper()
	b.until("the provider's page", `document.title === "Login" && document.readyState === "complete"`)
	b.write("#username", name)
	b.write("#password", password)
	b.button("Login")
}

// Three sources on one page: people of each sign in where they are known, set a second
// factor up here at first sight (rules B7, B8, B17), are back at the very address that they
// asked for, and verify the next time.
func TestPeople_ThreeSourcesOnOnePage(t *testing.T) {
	t.Parallel()
	g, p := withCertified(t, "identity local\n", atAcme, atStaff)
	g.withDirectory(t)
	g.launch(t)
	b := g.browse(t)

	b.goTo("/reports?q=a%20b&u=//x")
	b.see("Sign in")
	b.button("Continue with Acme")
	b.atProvider("anna", "anna's own")
	b.see("Set up a second step")
	phone := b.addApp()
	b.takeCodes()
	b.arrive("anna", "/reports?q=a%20b&u=//x")
	g.App.told(t, "anna", "Anna Åberg", "anna@example.test", "staff,ops")
	b.signOut()

	b.goTo("/reports?again")
	b.see("Sign in")
	b.button("Continue with Acme")
	b.atProvider("anna", "anna's own")
	b.see("Verify it’s you")
	b.enterCode(phone.code(t))
	b.told("Added: Authenticator app", "secure your account at Acme")
	b.arrive("anna", "/reports?again")

	// Once the provider renews nothing of hers, she is out within the stated time.
	p.signOut(t)
	g.advance(t, confirm)
	if !soon(func() bool {
		b.goTo("/reports?out")
		b.until("a page", `document.readyState === "complete" && document.querySelector("h1")`)
		return js[string](b, `document.querySelector("h1").textContent`) == "Sign in"
	}) {
		t.Error("signed out at the provider, anna is still in")
	}

	b.goTo("/wiki?page=1")
	b.see("Sign in")
	b.button("Sign in with your Staff directory account")
	b.see("Sign in")
	b.says("User name at Staff directory")
	b.write("#name", "alice@example.test")
	b.write("#password", "alice's own")
	b.button("Sign in")
	b.see("Set up a second step")
	phone = b.addApp()
	b.takeCodes()
	b.arrive("alice", "/wiki?page=1")
	g.App.told(t, "alice", "The alice", "alice@example.test", "admins,staff")
	b.signOut()

	b.goTo("/wiki?page=2")
	b.see("Sign in")
	b.button("Sign in with your Staff directory account")
	b.write("#name", "ALICE")
	b.write("#password", "alice's own")
	b.button("Sign in")
	b.see("Verify it’s you")
	b.enterCode(phone.code(t))
	b.told("Added: Authenticator app")
	b.arrive("alice", "/wiki?page=2")
	b.signOut()

	// The gateway's own accounts are there as ever.
	b.begin("carol")
	b.addPasskey()
	b.takeCodes()
	b.arrive("carol", "/")
	list := g.mfa(t, "users", "list")
	for _, who := range []string{"anna", "alice", "carol"} {
		if !strings.Contains(list, who) {
			t.Errorf("the list of users has no %s:\n%s", who, list)
		}
	}
}
