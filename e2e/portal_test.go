package e2e

import (
	"fmt"
	"strings"
	"testing"
)

// withPortal is a gateway with a portal, two apps of its domain, and one of another.
const withPortal = `{
	mfa {
		domain example.test
	}
	default_bind 127.0.0.1
	auto_https off
	servers {
		protocols h1 h2
	}
}

https://auth.example.test:{$TLS_PORT} {
	tls {$CERT} {$KEY}
	mfa_portal
}

https://app.example.test:{$TLS_PORT}, https://wiki.example.test:{$TLS_PORT}, https://shop.other.test:{$TLS_PORT} {
	tls {$CERT} {$KEY}
	mfa
	reverse_proxy {$APP}
}
`

// One sign-in at the portal opens the apps of its domain and, by a hand-off, one of another
// domain; each time the person is back at the very address that they asked for. Signing out
// at any of them ends all.
func TestPortal_OneSignIn(t *testing.T) {
	t.Parallel()
	g := start(t, withPortal)
	shop := fmt.Sprintf("https://shop.other.test:%d", g.TLSPort)
	b := g.browse(t)
	link := g.firstLink(t)
	if !strings.HasPrefix(link, g.secureBase("auth")+"/") {
		t.Errorf("the first link leads to %s", link)
	}
	b.beginWith(link, "alice")
	b.addPasskey()
	b.takeCodes()
	b.see("Your account")
	b.signOutAt(g.secureBase("auth"))

	for _, leave := range []string{g.secureBase("auth"), g.secureBase("wiki"), shop} {
		b.goTo(g.secureBase("app") + "/reports?q=a%20b&u=//x")
		b.see("Sign in")
		if at := b.origin(); at != g.secureBase("auth") {
			t.Fatalf("people sign in at %s", at)
		}
		b.says("to app.example.test")
		b.signIn("alice")
		b.see("Verify it’s you")
		b.button("Use passkey")
		b.arriveAt(g.secureBase("app"), "/reports?q=a%20b&u=//x")

		b.goTo(g.secureBase("wiki") + "/page?x=1")
		b.arriveAt(g.secureBase("wiki"), "/page?x=1")
		b.goTo(shop + "/cart?item=7&r")
		b.arriveAt(shop, "/cart?item=7&r")

		// Another tab of the same browser is in as well, and the account page is known.
		other := b.second()
		other.goTo(shop + "/again")
		other.arriveAt(shop, "/again")
		other.goTo(shop + "/.mfa/account")
		other.see("Your account")
		if at := other.origin(); at != g.secureBase("auth") {
			t.Errorf("the account page is at %s", at)
		}

		b.signOutAt(leave)
		for _, address := range []string{g.secureBase("app") + "/x", g.secureBase("wiki") + "/x", shop + "/x", g.secureBase("auth") + "/.mfa/account"} {
			b.goTo(address)
			b.see("Sign in")
		}
	}

	// To the app of the other domain first: the hand-off follows a form of ours here.
	b.goTo(shop + "/first?a=b")
	b.see("Sign in")
	b.says("to shop.other.test")
	b.signIn("alice")
	b.see("Verify it’s you")
	b.button("Use passkey")
	b.arriveAt(shop, "/first?a=b")
	b.signOutAt(shop)

	// The same without scripts, and by a code in a form.
	codes := g.secureClient(t, "auth", true)
	codes.Base = g.secureBase("auth")
	carol := codes.joinAtPortal(g.invite(t, "carol"), "carol")
	plain := g.browse(t)
	plain.noScripts()
	plain.goTo(shop + "/plain?a=b")
	plain.signIn("carol")
	plain.see("Verify it’s you")
	plain.enterCode(carol.App.Code(t))
	plain.until("the app", `location.origin === `+quote(shop)+` && location.pathname === "/plain"`)
}

// signOutAt signs out on the page of a host.
func (b *tab) signOutAt(origin string) {
	b.t.Helper()
	b.goTo(origin + "/.mfa/sign-out")
	b.see("Sign out?")
	b.button("Sign out")
	b.see("You’re signed out")
	if at := b.origin(); at != origin {
		b.t.Errorf("signing out led to %s", at)
	}
}

// arriveAt waits until the app is there as alice, at that very address.
func (b *tab) arriveAt(origin, path string) {
	b.t.Helper()
	b.arrive("alice", path)
	if at := b.origin() + b.path(); at != origin+path {
		b.t.Errorf("arrived at %s, not at %s", at, origin+path)
	}
}

// joinAtPortal is join where the account page is what comes last.
func (c *client) joinAtPortal(link, name string) *account {
	c.t.Helper()
	c.openLink(link, name)
	a := &account{Name: name}
	a.App, a.Backup = c.setUpTOTP(), c.confirmCodes()
	return a
}
