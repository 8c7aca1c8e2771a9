package e2e

import (
	"encoding/json"
	"errors"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"testing"
	"time"

	cdpnetwork "github.com/chromedp/cdproto/network"

	"github.com/secondgate/secondgate/mfa"
	"github.com/secondgate/secondgate/pages"
	"github.com/secondgate/secondgate/store/badger"
)

// managedWith is managed with more global options.
func managedWith(lines ...string) string {
	return strings.Replace(managed, "domain example.test", "domain example.test\n"+strings.Join(lines, "\n"), 1)
}

// openAt opens a path on a host of example.test.
func (b *tab) openAt(host, path string) {
	b.t.Helper()
	b.goTo(b.g.secureBase(host) + path)
}

// administrator opens a browser and makes the first account in it, with a passkey.
func (g *gateway) administrator(t testing.TB, link string) *tab {
	t.Helper()
	b := g.browse(t)
	b.beginWith(link, "alice")
	b.addPasskey()
	b.takeCodes()
	b.arrive("alice", "/")
	b.enterConsole("alice")
	return b
}

// enterConsole signs in at the console, whose sessions are its own, with a passkey.
func (b *tab) enterConsole(name string) {
	b.t.Helper()
	b.openAt("console", "/")
	b.signIn(name)
	b.see("Verify it’s you")
	b.button("Use passkey")
	b.see("People")
}

// find searches the console for somebody and opens their page.
func (b *tab) find(name string) {
	b.t.Helper()
	b.openAt("console", "/.mfa/admin")
	b.see("People")
	b.write("#q", name)
	b.press("\r")
	b.until(name+" alone in the list", `document.readyState === "complete" && new URLSearchParams(location.search).get("q") === `+quote(name)+` && document.querySelectorAll("#users tbody tr").length === 1`)
	b.see("People")
	b.button(name)
	b.see(name)
}

// shown is the secret that the page shows this once.
func (b *tab) shown() string {
	b.t.Helper()
	b.until("the secret", `document.readyState === "complete" && document.getElementById("shown")`)
	return js[string](b, `document.getElementById("shown").textContent`)
}

// cannotSkip complains where the page lets set-up be skipped.
func (b *tab) cannotSkip() {
	b.t.Helper()
	if js[bool](b, `[...document.querySelectorAll("button, a")].some((e) => e.innerText.startsWith("Skip"))`) {
		b.t.Error("what is required can be skipped")
	}
}

// become takes the session of a client into the browser.
func (b *tab) become(c *client) {
	b.t.Helper()
	yes := true
	b.openAt("console", "/.mfa/sign-in")
	b.see("Sign in")
	call(b, cdpnetwork.SetCookie, cdpnetwork.SetCookieParams{
		Name: c.sessionName(), Value: c.cookie(c.sessionName()), URL: c.Base + "/", Path: "/", Secure: &yes, HTTPOnly: &yes,
	})
}

// id is the ID of a user.
func (g *gateway) id(t testing.TB, name string) string {
	t.Helper()
	var a struct {
		User struct {
			ID string `json:"id"`
		} `json:"user"`
	}
	if err := json.Unmarshal([]byte(g.mfa(t, "users", "show", name, "--json")), &a); err != nil || a.User.ID == "" {
		t.Fatalf("the ID of %s: %q %v", name, a.User.ID, err)
	}
	return a.User.ID
}

// B35, B36 and both scenarios of the FAQ (B23 to B25), from the console of a gateway with
// 100,000 users: an administrator invites somebody, finds them among all the others,
// removes everything, and the open session is at sign-in on its very next request.
func TestConsole_OneAmongMany(t *testing.T) {
	t.Parallel()
	g := prepare(t, managed)
	all := fillWith(t, g, 100_000, func(store *badger.Store, u *mfa.User, _ *mfa.Session) error {
		u.DisplayName, u.Groups = "", nil // each word is one write more
		return store.CreateUser(t.Context(), u)
	})
	t.Logf("100,000 users were written in %s", all.took.Round(time.Millisecond))
	g.launch(t)
	var made result
	if err := g.wait(func() error { // so large a store may still be opening
		if made = g.run("mfa", "--config", g.file("Caddyfile"), "setup-link", "--url", g.secureBase("app")); made.Code != 0 {
			return errors.New(made.Stderr)
		}
		return nil
	}); err != nil {
		t.Fatal(err)
	}
	b := g.administrator(t, findLink(t, made.Stdout))

	// Beside an app there is none, for administrators either. Its own host leads to it, and
	// the list goes on.
	b.openAt("app", "/.mfa/admin")
	b.see("This page doesn’t exist")
	b.openAt("console", "/")
	b.see("People")
	b.button("Next page")
	b.until("the second page", `document.readyState === "complete" && new URLSearchParams(location.search).get("after") && document.querySelectorAll("#users tbody tr").length === 25`)
	b.see("People")

	// An invitation, for another browser.
	b.button("Invite")
	b.see("Invite somebody")
	b.write("#f-name", "carol")
	b.write("#f-email", "carol@example.test")
	b.button("Make the invitation")
	b.see("The invitation")
	link := b.shown()
	carol := g.browse(t)
	carol.welcome(link)
	carol.addPasskey()
	codes := carol.takeCodes()
	carol.arrive("carol", "/")

	b.find("carol")
	took := js[float64](b, `performance.getEntriesByType("navigation")[0].responseStart - performance.getEntriesByType("navigation")[0].requestStart`)
	t.Logf("the page of one among many came after %.0f ms", took)
	b.says("carol@example.test")
	b.says("10 unused codes left")

	// Everything goes, and with it the open session.
	hits := g.App.Count()
	carol.openAt("app", "/before")
	carol.arrive("carol", "/before")
	b.button("Remove all")
	b.see("Remove every second step of carol?")
	b.says("This is lost: Chrome on Linux, Backup code.")
	b.button("Remove all")
	b.says("All removed.")
	b.see("carol")
	b.says("by alice remove-factors") // what was done is kept before it is done
	carol.openAt("app", "/reports")
	carol.see("Sign in")
	if g.App.Count() != hits+1 {
		t.Error("the ended session reached the app")
	}

	// Scenario 1: the password is enough to reach set-up, and nothing but set-up.
	carol.signIn("carol")
	carol.see("Set up a second step")
	carol.cannotSkip()
	for _, path := range []string{"/reports", "/.mfa/account", "/.mfa/verify"} {
		carol.openAt("app", path)
		carol.see("Set up a second step")
	}
	if g.App.Count() != hits+1 {
		t.Error("somebody without a second factor reached the app")
	}
	carol.openAt("app", "/reports")
	carol.see("Set up a second step")
	carol.addPasskey()
	codes2 := carol.takeCodes()
	carol.told("Removed: ", "by an administrator")
	carol.arrive("carol", "/reports")
	if slices.Contains(codes2, codes[0]) {
		t.Error("the new codes are the old ones")
	}
	carol.openAt("app", "/.mfa/account")
	carol.see("Your account")
	carol.button("Add an authenticator app")
	carol.see("Set up your authenticator app")
	carol.enterCode(carol.scan().code(t))
	carol.see("Your account")

	// Scenario 2: the primary factors go one by one, and the codes stay.
	b.find("carol")
	for _, name := range []string{"Chrome on Linux", "Authenticator app"} {
		b.button("Remove: " + name)
		b.see("Remove " + name + " of carol?")
		b.button("Remove")
		b.says("Removed. This person is signed out everywhere and gets a notice.")
		b.see("carol")
	}
	carol.openAt("app", "/reports")
	carol.see("Sign in")
	carol.signIn("carol")
	carol.see("Use a backup code")
	for _, path := range []string{"/.mfa/set-up", "/.mfa/set-up/totp", "/.mfa/set-up/passkey", "/reports"} {
		carol.openAt("app", path)
		carol.see("Use a backup code")
	}
	carol.openAt("app", "/reports")
	carol.see("Use a backup code")
	carol.enterCode(codes[1]) // of before the administrator removed everything
	carol.says("That code didn’t match.")
	carol.enterCode(codes2[0])
	carol.see("Set up a new second step")
	carol.cannotSkip()
	carol.way("Authenticator app")
	carol.see("Set up your authenticator app")
	phone := carol.scan()
	carol.enterCode(phone.code(t))
	carol.told("Removed: ", "by an administrator")
	carol.arrive("carol", "/reports")
}

// An enrolment pass and a bypass from the console work at the next sign-in; what changes
// somebody asks for a proof of the last 15 minutes, before the form is filled in and when
// it is sent.
func TestConsole_PassAndBypass(t *testing.T) {
	t.Parallel()
	g := start(t, managedWith("enrollment pass"))
	b := g.administrator(t, g.firstLink(t))
	carol := g.browse(t)
	carol.welcome(g.invite(t, "carol", "--url", g.secureBase("app")))
	carol.addApp()
	carol.takeCodes()
	carol.arrive("carol", "/")

	// Everything goes, after a fresh proof.
	b.find("carol")
	g.advance(t, 16*time.Minute)
	b.button("Remove all")
	b.see("Verify it’s you")
	b.button("Use passkey")
	b.see("Remove every second step of carol?")
	b.says("make an enrolment pass for carol afterwards")
	g.advance(t, 16*time.Minute)
	b.button("Remove all")
	b.see("Verify it’s you")
	if !g.has(t, "carol", "totp") {
		t.Fatal("a proof of 16 minutes ago was enough")
	}
	b.button("Use passkey")
	b.see("Remove every second step of carol?")
	b.button("Remove all")
	b.says("All removed.")
	b.see("carol")

	// The pass.
	b.button("Enrolment pass")
	b.see("Make an enrolment pass for carol")
	b.button("Make the pass")
	b.see("The enrolment pass")
	pass := b.shown()
	b.goTo(js[string](b, "location.href")) // it is shown once
	b.see("Make an enrolment pass for carol")
	if js[bool](b, `document.documentElement.outerHTML.includes(`+quote(pass)+`)`) {
		t.Error("the pass is shown again")
	}
	carol.openAt("app", "/reports")
	carol.signIn("carol")
	carol.see("You need a pass to set this up")
	decision := js[string](carol, `document.querySelector(".decision code").textContent`)
	carol.write("#code", "AAAA-BBBB-CCCC-DDDD\r")
	carol.says("That pass didn’t match.")
	carol.write("#code", strings.ToLower(strings.ReplaceAll(pass, "-", " "))+"\r")
	carol.see("Set up a second step")
	carol.cannotSkip()
	phone := carol.addApp()
	codes := carol.takeCodes()
	carol.told("Removed: ")
	carol.arrive("carol", "/reports")
	carol.openAt("app", "/.mfa/sign-out")
	carol.see("Sign out?")
	carol.button("Sign out")
	carol.see("You’re signed out")

	// The bypass: with a reason, once, and it leads to set-up.
	b.find("carol")
	b.button("Bypass for one sign-in")
	b.see("Make a bypass for carol")
	b.button("Make the bypass")
	b.says("Write why it is needed, in a few words.")
	b.write("#f-why", "left the phone at home")
	b.button("Make the bypass")
	b.see("The bypass")
	bypass := b.shown()
	carol.openAt("app", "/reports")
	carol.signIn("carol")
	carol.see("Verify it’s you")
	carol.button("Try another method")
	carol.see("Choose how to verify")
	carol.button("I have a code from my administrator")
	carol.see("Use an administrator’s code")
	carol.write("#code", pass+"\r") // a pass is no bypass
	carol.says("That code didn’t match.")
	carol.write("#code", bypass+"\r")
	carol.see("Set up a second step of your own")
	carol.way("Passkey")
	carol.see("Create a passkey")
	carol.button("Create passkey") // the backup codes of before are still good
	carol.arrived("carol", "/reports")
	carol.openAt("app", "/.mfa/sign-out")
	carol.see("Sign out?")
	carol.button("Sign out")
	carol.see("You’re signed out")
	carol.openAt("app", "/reports")
	carol.signIn("carol")
	carol.see("Verify it’s you")
	carol.openAt("app", "/.mfa/verify/bypass")
	carol.write("#code", bypass+"\r") // used up
	carol.says("That code didn’t match.")

	b.openAt("console", "/.mfa/admin/explain")
	b.see("Explain")
	b.write("#id", decision)
	b.press("\r")
	b.says("The policy lets nobody set up a first second step with the password alone (enrollment).")
	b.button("Go to this person")
	b.see("carol")
	b.openAt("console", "/.mfa/admin/audit?user=carol")
	b.see("Audit log")
	for _, text := range []string{"left the phone at home", "by alice"} {
		b.says(text)
	}
	for what, secret := range map[string]string{"pass": pass, "bypass": bypass, "secret": phone.Secret, "code": codes[0]} {
		if strings.Contains(g.log(), secret) {
			t.Errorf("the %s is in the log", what)
		}
	}
}

// arrived is arrive where something may be told before.
func (b *tab) arrived(user, path string) {
	b.t.Helper()
	b.until("the app or what is told", `document.readyState === "complete" && (document.getElementById("user") || document.querySelector("h1")?.textContent === "Since you were last here")`)
	if js[bool](b, `!document.getElementById("user")`) {
		b.told()
	}
	b.arrive(user, path)
}

// roles are two organizations and somebody of each role. Everybody is invited; those who
// are named have come and set up an authenticator app.
func roles(t *testing.T, come ...string) (*gateway, map[string]*client) {
	t.Helper()
	g := start(t, managedWith("organization acme {\n\t\t\tname \"Acme Ltd\"\n\t\t}", "organization beta {\n\t\t\tname \"Beta\"\n\t\t}"))
	people := map[string]*client{"alice": g.secureClient(t, "app", true)}
	accounts := map[string]*account{"alice": people["alice"].signUp("alice")}
	for _, p := range [][]string{
		{"olga", "--organization", "acme", "--admin-of", "acme"},
		{"nora", "--organization", "acme", "--admin-of", "acme"},
		{"audra", "--role", "auditor"},
		{"mia", "--organization", "acme"},
		{"bea", "--organization", "beta"},
		{"ben", "--organization", "acme", "--organization", "beta"},
	} {
		link := g.invite(t, p[0], append(p[1:], "--url", g.secureBase("app"))...)
		if slices.Contains(come, p[0]) {
			people[p[0]] = g.secureClient(t, "app", true)
			accounts[p[0]] = people[p[0]].join(link, p[0])
		}
	}
	for name, c := range people {
		c.enterConsole(accounts[name])
	}
	return g, people
}

// postRoutes are the forms of the console.
func postRoutes(t *testing.T) []string {
	t.Helper()
	p, err := pages.New(pages.Config{Gate: struct{ pages.Gate }{}, Guard: struct{ pages.Guard }{}})
	if err != nil {
		t.Fatal(err)
	}
	var list []string
	for _, r := range p.Routes() {
		if name, ok := strings.CutPrefix(r, "POST admin/"); ok {
			list = append(list, "/.mfa/admin/"+name)
		}
	}
	return list
}

// B35, AC-224: an organization's administrator sees its members, helps those who are
// nobody else's, and of everybody else not even that they are there.
func TestConsole_OrganizationAdministrator(t *testing.T) {
	t.Parallel()
	g, people := roles(t, "olga", "mia", "ben")
	olga := people["olga"]
	show := func(name string) string { return g.mfa(t, "users", "show", name) }
	b := g.browse(t)
	b.become(olga)
	b.openAt("console", "/")
	b.see("People")
	b.says("Administrator of acme")
	for name, want := range map[string]bool{"mia": true, "ben": true, "nora": true, "alice": false, "audra": false, "bea": false} {
		if got := b.count(name) == 1; got != want {
			t.Errorf("%s is in the list: %v", name, got)
		}
	}
	for _, section := range []string{"API keys", "Policy", "Audit log"} {
		if b.count(section) != 0 {
			t.Errorf("there is a link to %q", section)
		}
	}
	for _, name := range []string{"bea", "alice", "nobody"} {
		b.write("#q", name)
		b.press("\r")
		b.says("Nobody fits.")
		b.openAt("console", "/.mfa/admin/user?id="+g.idOr(t, name))
		b.see("That is not here")
		b.openAt("console", "/.mfa/admin")
		b.see("People")
	}

	// mia is hers alone: on her very next request she is at sign-in.
	mia := people["mia"]
	if p := mia.get(g.secureBase("app") + "/x"); !p.FromApp() {
		t.Fatalf("mia is not in: %s", p.Text())
	}
	b.find("mia")
	b.button("Remove: Authenticator app")
	b.see("Remove Authenticator app of mia?")
	b.button("Remove")
	b.says("Removed.")
	if p := mia.get(g.secureBase("app") + "/x"); p.FromApp() || p.Title() != "Sign in" {
		t.Errorf("mia's next request led to %d %q", p.Status, p.Title())
	}
	// ben is somebody else's too: he can leave, which is no matter of the others. nora has a
	// role: looking is all.
	for name, want := range map[string][]string{"ben": {"Remove: acme"}, "nora": {}} {
		b.find(name)
		b.says("it takes an administrator of the whole gateway")
		if list := js[[]string](b, `[...document.querySelectorAll(".deeds a, main a[href*='/change']")].map((e) => `+spoken+`(e))`); !slices.Equal(list, want) {
			t.Errorf("what can be done to %s is %q", name, list)
		}
	}
	before := map[string]string{}
	for name, want := range map[string]int{"ben": http.StatusForbidden, "nora": http.StatusForbidden, "bea": http.StatusNotFound, "audra": http.StatusNotFound, "alice": http.StatusNotFound} {
		before[name] = show(name)
		for _, do := range []string{"remove-factors", "pass", "bypass", "disable", "end-sessions", "unlock", "roles", "join", "password"} {
			if do == "remove-factors" && name == "nora" {
				continue // who has none
			}
			p := olga.sendTo("/.mfa/admin/user/change?"+url.Values{"id": {g.id(t, name)}, "do": {do}}.Encode(), "why", "x", "role", "admin", "organization", "acme")
			if p.Status != want {
				t.Errorf("%s of %s: %d, want %d (%q)", do, name, p.Status, want, p.Title())
			}
		}
		if after := show(name); after != before[name] {
			t.Errorf("%s was changed:\n%s\n%s", name, before[name], after)
		}
	}
	if p := olga.sendTo("/.mfa/admin/user/change?" + url.Values{"id": {g.id(t, "nora")}, "do": {"leave"}, "what": {"acme"}}.Encode()); p.Status != http.StatusForbidden {
		t.Errorf("leave of nora: %d (%q)", p.Status, p.Title())
	}
	// What is of the whole gateway is not hers, nor is another organization, by any address.
	for _, path := range []string{"keys", "key/make", "policy", "policy/change?id=require", "organization/edit", "organization/edit?id=beta"} {
		if p := olga.get("/.mfa/admin/" + path); p.Status != http.StatusForbidden {
			t.Errorf("%s: %d %q", path, p.Status, p.Title())
		}
	}
	for _, path := range []string{"organization?id=beta", "?as=beta"} {
		if p := olga.get("/.mfa/admin" + strings.Replace("/"+path, "/?", "?", 1)); p.Status != http.StatusForbidden && p.Status != http.StatusNotFound || p.Has("bea") {
			t.Errorf("%s: %d %q", path, p.Status, p.Title())
		}
	}
	for _, path := range []string{"coverage?of=beta", "forecast?of=beta", "?of=beta"} {
		if p := olga.get("/.mfa/admin" + strings.Replace("/"+path, "/?", "?", 1)); p.Has("bea") || p.Has("Beta") {
			t.Errorf("%s: %d %q shows the other organization", path, p.Status, p.Title())
		}
	}
}

// idOr is the ID of a user, or one that nobody has.
func (g *gateway) idOr(t testing.TB, name string) string {
	t.Helper()
	if r := g.run("mfa", "--config", g.file("Caddyfile"), "users", "show", name); r.Code == 3 {
		return "AAAAAAAAAAAAAAAAAAAAAA"
	}
	return g.id(t, name)
}

// sendTo sends a form of the console with a token of this session, whether or not a page
// of its own offers that form.
func (c *client) sendTo(path string, pairs ...string) *answered {
	c.t.Helper()
	fields := url.Values{"csrf": {c.get("/.mfa/account/password").CSRF()}}
	for i := 0; i+1 < len(pairs); i += 2 {
		fields.Set(pairs[i], pairs[i+1])
	}
	return c.follow(c.formRequest(path, fields))
}

// An auditor sees everybody and everything but keys, has no button, and is refused at
// every form.
func TestConsole_Auditor(t *testing.T) {
	t.Parallel()
	g, people := roles(t, "audra")
	audra := people["audra"]
	b := g.browse(t)
	b.become(audra)
	b.openAt("console", "/")
	b.see("People")
	for _, name := range []string{"alice", "olga", "nora", "audra", "mia", "bea", "ben"} {
		if b.count(name) != 1 {
			t.Errorf("%s is not in the list", name)
		}
	}
	mia := g.id(t, "mia")
	for path, heading := range map[string]string{
		"": "People", "/user?id=" + mia: "mia", "/organizations": "Organizations", "/organization?id=acme": "Acme Ltd", "/coverage": "Coverage",
		"/forecast": "Lock-out forecast", "/policy": "Policy", "/campaigns": "Campaigns", "/audit": "Audit log", "/explain": "Explain",
	} {
		b.openAt("console", "/.mfa/admin"+path)
		b.see(heading)
		if list := js[[]string](b, `[...document.querySelectorAll("main form[method=post] button, .deeds a, main .danger, main a[href*='/change'], main a[href*='/edit'], main a[href*='/remove'], main a[href*='/invite'], main a[href*='/campaign?'], main a[href*='/end']")].map((e) => e.innerText)`); len(list) > 0 && path != "/audit" && (path != "/explain" || !slices.Equal(list, []string{"Explain"})) && (path != "/organization?id=acme" || !slices.Equal(list, []string{"Members", "Coverage", "Lock-out forecast"})) {
			t.Errorf("%q offers %q", path, list)
		}
	}
	b.openAt("console", "/.mfa/admin/user?id="+mia)
	b.see("mia")
	b.says("You can look at everything here and change nothing.")
	b.openAt("console", "/.mfa/admin/keys")
	b.see("This page is for administrators")

	before := g.mfa(t, "users", "list", "--json")
	posts := postRoutes(t)
	if len(posts) < 8 {
		t.Fatalf("the forms of the console are %v", posts)
	}
	for _, path := range posts {
		paths := []string{path + "?id=acme"}
		if strings.HasSuffix(path, "user/change") {
			paths = nil
			for _, do := range []string{"remove-factors", "pass", "bypass", "disable", "end-sessions", "unlock", "reset-skip", "roles", "join", "password"} {
				paths = append(paths, path+"?"+url.Values{"id": {mia}, "do": {do}}.Encode())
			}
		}
		for _, path := range paths {
			p := audra.sendTo(path, "name", "x", "why", "x", "role", "admin", "organization", "acme", "id", "acme", "set", "yes", "value", "off", "deadline", "2030-01-01")
			switch want := http.StatusForbidden; {
			case path == "/.mfa/admin/explain/access?id=acme": // asks, changes nothing
				if p.Status != http.StatusNotFound {
					t.Errorf("%s: %d %s", path, p.Status, p.Text())
				}
			case path == "/.mfa/admin/audit?id=acme": // checks the chain, changes nothing
				if p.Status != http.StatusOK || !p.Has("Nothing was changed") {
					t.Errorf("%s: %d %s", path, p.Status, p.Text())
				}
			case p.Status != want:
				t.Errorf("%s: %d, want %d (%q)", path, p.Status, want, p.Title())
			}
		}
	}
	if after := g.mfa(t, "users", "list", "--json"); after != before {
		t.Errorf("an auditor changed something:\n%s\n%s", before, after)
	}
}

// From the list to the removal of one factor, with nothing but the keyboard.
func TestConsole_KeyboardOnly(t *testing.T) {
	t.Parallel()
	g := start(t, managed)
	b := g.administrator(t, g.firstLink(t))
	carol := g.secureClient(t, "app", true)
	carol.join(g.invite(t, "carol", "--url", g.secureBase("app")), "carol")
	b.openAt("console", "/")
	b.see("People")
	b.tabToNamed("q")
	b.press("carol\r")
	b.until("carol alone in the list", `document.readyState === "complete" && location.search.includes("q=carol") && document.querySelectorAll("#users tbody tr").length === 1`)
	b.tabToNamed("carol")
	b.press("\r")
	b.see("carol")
	// Whoever has to sign in on the way comes back to the page that they wanted.
	page := js[string](b, "location.href")
	b.openAt("console", "/.mfa/sign-out")
	b.see("Sign out?")
	b.press("\r") // the button has the keyboard
	b.see("You’re signed out")
	b.goTo(page)
	b.see("Sign in")
	b.press("alice\t" + password + "\r")
	b.see("Verify it’s you")
	b.tabTo("Use passkey")
	b.press("\r")
	b.see("carol")
	if at := js[string](b, "location.href"); !strings.HasPrefix(at, page) {
		t.Errorf("the way led to %s, not back to %s", at, page)
	}
	b.tabToNamed("Remove: Authenticator app")
	b.press("\r")
	b.see("Remove Authenticator app of carol?")
	if at := b.focus(); at != "Cancel" {
		t.Errorf("the keyboard begins at %q, where Enter alone removes something", at)
	}
	b.tabToNamed("Remove")
	b.press("\r")
	b.says("Removed.")
	b.see("carol")
	if g.has(t, "carol", "totp") {
		t.Error("the authenticator app is still there")
	}
	if p := carol.get("/"); p.FromApp() || p.Title() != "Sign in" {
		t.Errorf("carol's next request led to %d %q", p.Status, p.Title())
	}
}

// Every page of the console that a link leads to fits the screen of a phone and is found
// good by axe, with long names on it.
func TestConsole_Narrow(t *testing.T) {
	t.Parallel()
	g := start(t, managedWith("organization acme {\n\t\t\tname \"Acme Versicherungs- und Vermögensverwaltungsgesellschaft\"\n\t\t}"))
	b := g.administrator(t, g.firstLink(t))
	carol := g.secureClient(t, "app", true)
	carol.join(g.invite(t, "carol-featherstonehaugh-cholmondeley-of-the-northern-department", "--url", g.secureBase("app"), "--organization", "acme",
		"--name", "Carol Featherstonehaugh-Cholmondeley-Wolfeschlegelsteinhausen", "--email", "carol.featherstonehaugh-cholmondeley@mail.subsidiary.example.test", "--group", "staff"), "carol")
	g.mfa(t, "users", "invite", "dora", "--url", g.secureBase("app"))
	g.mfa(t, "orgs", "set", "later", "--name", "Later Ltd", "--require")
	g.mfa(t, "keys", "create", "help desk", "--scope", "users:read", "--scope", "users:write")
	g.mfa(t, "campaigns", "start", "--everybody", "--deadline", "30d")

	// A link is looked at once for each page and each thing that is to be done there, and
	// once for each person, since theirs are not alike.
	var all []string
	// A form leads to one of them.
	access := "/.mfa/admin/explain/access?" + url.Values{"user": {g.id(t, "carol-featherstonehaugh-cholmondeley-of-the-northern-department")}, "at": {g.secureBase("app") + "/reports"}}.Encode()
	todo, known := []string{"/.mfa/admin", access}, map[string]bool{"/.mfa/admin": true}
	visited := map[string]bool{}
	for len(todo) > 0 {
		address := todo[0]
		todo = todo[1:]
		u, err := url.Parse(address)
		if err != nil {
			t.Fatal(err)
		}
		visited[strings.TrimPrefix(u.Path, "/.mfa/")] = true
		all = append(all, address)
		b.fits(g.secureBase("console") + address)
		for _, href := range js[[]string](b, `[...document.querySelectorAll("main a[href], nav a[href]")].map((e) => e.getAttribute("href"))`) {
			u, err := url.Parse(href)
			if err != nil {
				t.Fatal(err)
			}
			key := u.Path + " " + u.Query().Get("do")
			if u.Path == "/.mfa/admin/user" || u.Path == "/.mfa/admin/organization" {
				key += u.Query().Get("id")
			}
			if strings.HasPrefix(u.Path, "/.mfa/admin") && !strings.HasSuffix(u.Path, "/export") && !known[key] {
				known[key] = true
				u.Fragment = ""
				todo = append(todo, u.String())
			}
		}
	}
	b.speaks("de-DE") // whose words are longer
	for _, address := range all {
		b.narrow(g.secureBase("console") + address)
	}
	p, err := pages.New(pages.Config{Gate: struct{ pages.Gate }{}, Guard: struct{ pages.Guard }{}})
	if err != nil {
		t.Fatal(err)
	}
	for _, r := range p.Routes() {
		name, ok := strings.CutPrefix(r, "GET ")
		if ok && strings.HasPrefix(name, "admin") && name != "admin/audit/export" && !visited[name] {
			t.Errorf("no link leads to %s", name)
		}
	}
}

// What an administrator ends in the console has ended on the next request of whoever it is
// about: one browser, all of them, the account; and an invitation that a newer one
// replaces.
func TestConsole_EndsSessions(t *testing.T) {
	t.Parallel()
	g := start(t, managed)
	b := g.administrator(t, g.firstLink(t))
	carol := g.secureClient(t, "app", true)
	who := carol.join(g.invite(t, "carol", "--url", g.secureBase("app")), "carol")
	in := func(c *client) bool {
		t.Helper()
		hits := g.App.Count()
		p := c.get("/x")
		if !p.FromApp() && (p.Title() != "Sign in" || g.App.Count() != hits) {
			t.Errorf("who is out is at %q (%d), %d requests reached the app", p.Title(), p.Status, g.App.Count()-hits)
		}
		return p.FromApp()
	}
	phone := carol.another()
	phone.Header.Set("User-Agent", "Mozilla/5.0 (iPhone; CPU iPhone OS 18_5 like Mac OS X) AppleWebKit/605.1.15 (KHTML, like Gecko) Version/18.5 Mobile/15E148 Safari/604.1")
	phone.enter(who)

	b.find("carol")
	b.button("Sign out: Safari on iPhone")
	b.see("Sign carol out there?")
	b.button("Sign out there") // above it, "Sign out" is the administrator's own
	b.says("Signed out there.")
	b.see("carol")
	if in(phone) || !in(carol) {
		t.Error("one session was to end, and not the other")
	}
	phone.enter(who)
	b.button("Sign out everywhere")
	b.see("Sign carol out everywhere?")
	b.button("Sign out everywhere")
	b.says("Signed out everywhere.")
	b.see("carol")
	if in(phone) || in(carol) {
		t.Error("a session is left")
	}

	carol.enter(who)
	b.button("Disable")
	b.see("Disable carol?")
	b.button("Disable")
	b.says("Disabled, and signed out everywhere.")
	b.see("carol")
	if p := carol.get("/x"); p.FromApp() {
		t.Error("somebody who is disabled came in")
	}
	if p := carol.signIn("carol"); p.FromApp() || p.Title() == "Verify it’s you" {
		t.Errorf("somebody who is disabled is at %q", p.Title())
	}
	b.button("Enable")
	b.see("Enable carol?")
	b.button("Enable")
	b.says("Enabled.")
	b.see("carol")
	carol.enter(who)

	// A newer invitation ends the one before.
	old := g.invite(t, "dora", "--name", "Dora Ng", "--url", g.secureBase("app"))
	b.openAt("console", "/.mfa/admin")
	b.see("People")
	b.button("Dora Ng")
	b.see("Dora Ng")
	b.button("New invitation")
	b.see("Invite somebody")
	if got := js[[]string](b, `[document.getElementById("f-name").value, document.getElementById("f-display").value]`); !slices.Equal(got, []string{"dora", "Dora Ng"}) {
		t.Errorf("the form holds %q", got)
	}
	b.button("Make the invitation")
	b.see("The invitation")
	dora := g.browse(t)
	dora.goTo(old)
	dora.see("This link is used up")
	dora.welcome(b.shown()) // in the same tab
}
