package e2e

import (
	"fmt"
	"strings"
	"testing"
)

// People of a certified provider sign in at the portal, and with that at an app of its
// domain and at one of another domain; signing out at an app ends it everywhere, at the
// provider, too, which sends them back.
func TestPeople_AtThePortal(t *testing.T) {
	t.Parallel()
	g := prepare(t, strings.Replace(withPortal, "domain example.test",
		"domain example.test\n\t\t"+strings.Replace(atAcme, "confirm 1m", "sign_out provider", 1), 1))
	auth, shop := g.secureBase("auth"), fmt.Sprintf("https://shop.other.test:%d", g.TLSPort)
	p := startCertified(t, auth)
	g.env = append(g.env, "ISSUER="+p.Issuer, "OIDC_SECRET="+oidcSecret)
	g.launch(t)
	b := g.browse(t)

	// The only source begins by itself.
	b.goTo(g.secureBase("app") + "/reports?q=a%20b")
	b.atProvider("anna", "anna's own")
	b.see("Set up a second step")
	if at := b.origin(); at != auth {
		t.Errorf("a second step is set up at %s", at)
	}
	phone := b.addApp()
	b.takeCodes()
	b.arrive("anna", "/reports?q=a%20b")
	b.goTo(shop + "/cart?item=7&r")
	b.arrive("anna", "/cart?item=7&r")
	if at := b.origin(); at != shop {
		t.Errorf("the hand-off led to %s", at)
	}

	b.goTo(auth + "/.mfa/sign-out")
	b.see("Sign out?")
	b.button("Sign out")
	b.until("the way back from the provider", `document.readyState === "complete" && location.search.includes("done=1") && document.querySelector("h1")?.textContent === "You’re signed out"`)
	for _, address := range []string{g.secureBase("app") + "/x", shop + "/x"} {
		b.goTo(address)
		b.until("the provider's page", `document.title === "Login"`)
	}

	// To the other domain first.
	b.goTo(shop + "/first?a=b")
	b.atProvider("anna", "anna's own")
	b.see("Verify it’s you")
	b.enterCode(phone.code(t))
	b.told("Added: Authenticator app")
	b.arrive("anna", "/first?a=b")
	if at := b.origin(); at != shop {
		t.Errorf("the hand-off led to %s", at)
	}
}
