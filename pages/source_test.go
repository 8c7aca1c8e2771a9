package pages

import (
	"errors"
	"net/http"
	"net/http/httptest"
	"net/url"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/secondgate/secondgate/internal/web"
	"github.com/secondgate/secondgate/mfa"
)

const callback = "/.mfa/sign-in/with/acme/callback"

// A name and a password go to the source whose form was seen, and to no other. With
// several sources whoever could choose where a form's password goes, or have it go to the
// first one by leaving the name out, would carry passwords of one source to another.
func TestPostSignIn_GoesToTheSourceOfTheForm(t *testing.T) {
	tests := []struct {
		name    string
		sources []mfa.SourceInfo
		form    string // "": it names none
		want    string // "": nobody is asked
	}{
		{"the gateway's own", []mfa.SourceInfo{ownAccounts, directory}, "local", "local"},
		{"the directory's", []mfa.SourceInfo{ownAccounts, directory}, "ldap", "ldap"},
		{"none named, and one there", []mfa.SourceInfo{acmeID, directory}, "", "ldap"},
		{"none named, and several there", []mfa.SourceInfo{ownAccounts, directory}, "", ""},
		{"one that takes no password", []mfa.SourceInfo{ownAccounts, acmeID}, "acme", ""},
		{"one that takes what is established", []mfa.SourceInfo{ownAccounts, frontDoor}, "proxied", ""},
		{"one that there is not", []mfa.SourceInfo{ownAccounts, directory}, "LDAP", ""},
		{"no password source at all", []mfa.SourceInfo{acmeID, otherID}, "", ""},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			w := newWorld(t, acme)
			w.gate.sources, w.gate.outcome = tt.sources, completed()
			form := url.Values{"name": {"alice"}, "password": {"secret-of-alice"}}
			if tt.form != "" {
				form.Set("source", tt.form)
			}
			a := w.post(t, "/.mfa/sign-in", form)
			if tt.want == "" {
				if w.gate.did("SignIn") || a.StatusCode != http.StatusUnprocessableEntity || strings.Contains(a.body, "secret-of-alice") {
					t.Errorf("%d, asked %v", a.StatusCode, w.gate.calls)
				}
				return
			}
			if !w.gate.did("SignIn") || w.gate.args[0] != tt.want {
				t.Errorf("asked %v of %v, want %s", w.gate.calls, w.gate.args, tt.want)
			}
		})
	}
}

// What the sign-in page offers, and where each way leads with what travels along.
func TestSignIn_OffersEachSource(t *testing.T) {
	w := newWorld(t, acme)
	from(ownAccounts, directory, acmeID, frontDoor)(w)
	w.gate.everything()
	a := w.get("/.mfa/sign-in" + rd)
	for _, text := range []string{
		`name="source" value="local"`, `<a class="button line" href="/.mfa/sign-in/with/acme?rd=%2Freports%2F2026">Continue with Acme ID</a>`,
		`href="/.mfa/sign-in?rd=%2Freports%2F2026&amp;source=ldap">Sign in with your Acme directory account`, "User name at Acme", "data-passkey", "Send me a code instead", "Make an account",
	} {
		if !strings.Contains(a.body, text) {
			t.Errorf("it does not say %s", text)
		}
	}
	if strings.Contains(a.body, "front door") {
		t.Error("a way is offered that nobody established")
	}
	if strings.Count(a.body, `class="button"`) != 1 {
		t.Error("there is more than one thing that the page is for")
	}
	a = w.get("/.mfa/sign-in?source=ldap&rd=%2Freports")
	for _, text := range []string{`name="source" value="ldap"`, "User name at Acme directory", "Acme directory keeps it", `source=local">Sign in with your Acme account`} {
		if !strings.Contains(a.body, text) {
			t.Errorf("the form of the directory does not say %s", text)
		}
	}
	from(directory, acmeID)(w)
	a = w.get("/.mfa/sign-in" + rd)
	for _, never := range []string{"data-passkey", "code instead", "Make an account", "/.mfa/forgotten"} {
		if strings.Contains(a.body, never) {
			t.Errorf("without accounts of its own it says %q", never)
		}
	}
}

// With one source, at which people sign in themselves, there is nothing to choose: the page
// is passed by, but never after a sign-out, an error or a form, and never in a circle.
func TestSignIn_GoesStraightOn(t *testing.T) {
	const straight = "/.mfa/sign-in/with/acme?rd=%2Freports%2F2026"
	tests := []struct {
		name    string
		sources []mfa.SourceInfo
		query   string
		header  http.Header
		on      bool
	}{
		{"one source", []mfa.SourceInfo{acmeID}, rd, nil, true},
		{"one, and one that nobody established", []mfa.SourceInfo{frontDoor, acmeID}, rd, nil, true},
		{"from a page of the app", []mfa.SourceInfo{acmeID}, rd, http.Header{"Referer": {"https://payroll.example.com/reports"}}, true},
		{"two sources", []mfa.SourceInfo{acmeID, otherID}, rd, nil, false},
		{"a source with a form", []mfa.SourceInfo{directory}, rd, nil, false},
		{"after a sign-out", []mfa.SourceInfo{acmeID}, rd + "&again=out", nil, false},
		{"after an error", []mfa.SourceInfo{acmeID}, rd + "&again=other", nil, false},
		{"after a session that ended", []mfa.SourceInfo{acmeID}, rd + "&again=late", nil, false},
		{"from a form of ours, which a browser does not follow to another origin", []mfa.SourceInfo{acmeID}, rd, http.Header{"Referer": {"https://payroll.example.com/.mfa/account"}}, false},
		{"fetched ahead", []mfa.SourceInfo{acmeID}, rd, http.Header{"Sec-Purpose": {"prefetch;prerender"}}, false},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			w := newWorld(t, acme)
			w.gate.sources = tt.sources
			r := httptest.NewRequest(http.MethodGet, "https://payroll.example.com/.mfa/sign-in"+tt.query, nil)
			for name, values := range tt.header {
				r.Header[name] = values
			}
			a := w.do(r)
			if tt.on {
				goes(t, a, straight)
			} else if a.StatusCode != 200 || !strings.Contains(a.body, "<h1>Sign in</h1>") {
				t.Errorf("%d to %q", a.StatusCode, a.Header.Get("Location"))
			}
		})
	}
	t.Run("round and round", func(t *testing.T) {
		w := newWorld(t, acme)
		from(acmeID)(w)
		for i := range 6 {
			a := w.get("/.mfa/sign-in"+rd, redirectCookie)
			if on := a.StatusCode == 303; on != (i < loopBounces-1) {
				t.Errorf("time %d: %d", i+1, a.StatusCode)
			}
		}
	})
}

// The way to a source: what it is asked for, what the browser keeps, what travels along.
func TestSignInWith_Begins(t *testing.T) {
	w := newWorld(t, acme)
	from(acmeID, otherID)(w)
	a := w.get("/.mfa/sign-in/with/acme?rd=%2Freports%3Fx%3D1&max_age=300&phr=1")
	goes(t, a, "https://id.acme.example/authorize?client_id=gate&state=s1")
	if got := a.Header.Get("Referrer-Policy"); got != "no-referrer" {
		t.Errorf("Referrer-Policy %q", got)
	}
	want := []string{"acme", "https://payroll.example.com/.mfa/sign-in/with/acme/callback", "", "max_age=300&phr=1&rd=%2Freports%3Fx%3D1", "false"}
	if !slices.Equal(w.gate.args, want) {
		t.Errorf("asked for %q, want %q", w.gate.args, want)
	}
	if set := a.Header.Get("Set-Cookie"); !strings.Contains(set, redirectCookie+";") || !strings.Contains(set, "HttpOnly") {
		t.Errorf("Set-Cookie %q", set)
	}
	t.Run("two tabs keep one secret", func(t *testing.T) {
		w.get("/.mfa/sign-in/with/other", redirectCookie)
		if w.gate.args[0] != "other" || w.gate.args[2] != "bound-to-this-browser" {
			t.Errorf("asked for %q", w.gate.args)
		}
	})
	t.Run("AC-012 of two secrets neither counts", func(t *testing.T) {
		a := w.get("/.mfa/sign-in/with/acme", testCookies.Name(web.RedirectCookie)+"=planted; "+redirectCookie)
		if w.gate.args[2] != "" {
			t.Errorf("it goes on with %q", w.gate.args[2])
		}
		if sets := a.Header["Set-Cookie"]; len(sets) < 2 || !strings.Contains(sets[0], "Max-Age=0") || !strings.HasPrefix(sets[len(sets)-1], redirectCookie) {
			t.Errorf("the planted one stays: %q", sets)
		}
	})
	t.Run("B15 who must prove themselves anew does so there", func(t *testing.T) {
		w := newWorld(t, acme)
		ofSource("acme", ownAccounts, acmeID)(w)
		a := w.get("/.mfa/sign-in?for=account%2Fremove")
		if strings.Contains(a.body, `name="password"`) || !strings.Contains(a.body, `href="/.mfa/sign-in/with/acme?for=account%2Fremove"`) {
			t.Errorf("the page does not lead there:\n%s", a.body)
		}
		w.get("/.mfa/sign-in/with/acme?for=account%2Fremove")
		if w.gate.args[4] != "true" {
			t.Error("being signed in there would do")
		}
	})
	t.Run("an address to return to that is too long to travel along", func(t *testing.T) {
		w := newWorld(t, acme)
		from(acmeID)(w)
		w.get("/.mfa/sign-in/with/acme?from=account&rd=" + url.QueryEscape("/"+strings.Repeat("%2F", 600)))
		if w.gate.args[3] != "from=account" {
			t.Errorf("it carries %d bytes", len(w.gate.args[3]))
		}
	})
	t.Run("an address that is none", func(t *testing.T) {
		for _, location := range []string{"", "/x", "//evil.test", "javascript:alert(1)", "https:", "data:text/html,x"} {
			if elsewhere(location) == nil {
				t.Errorf("%q is taken", location)
			}
		}
	})
}

// Whatever is no source, or not one of that kind, has no pages (AC-133, AC-155).
func TestSignInWith_UnknownSource(t *testing.T) {
	w := newWorld(t, acme)
	from(ownAccounts, directory, acmeID, frontDoor)(w)
	for _, path := range []string{
		"sign-in/with", "sign-in/with/", "sign-in/with/local", "sign-in/with/ldap", "sign-in/with/proxied", "sign-in/with/ACME", "sign-in/with/acme/", "sign-in/with/acme/callback/",
		"sign-in/with/acme/callback/x", "sign-in/with/{source}", "sign-in/with/none/callback", "sign-in/with//callback", "sign-in/with/none/back-channel", "sign-in/with/" + url.PathEscape(`"><svg/onload=1>`),
	} {
		for _, method := range []string{http.MethodGet, http.MethodPost} {
			a := w.do(fetched(method, "/.mfa/"+path, nil, redirectCookie))
			if a.StatusCode != http.StatusNotFound || strings.Contains(a.body, "<svg/onload") {
				t.Errorf("%s %s: %d", method, path, a.StatusCode)
			}
		}
	}
	if len(w.gate.calls) != 0 {
		t.Errorf("it asked %v", w.gate.calls)
	}
}

// A mail scanner, a link preview or a browser that fetches ahead opens every address that
// it sees. Whoever let it begin or finish a sign-in would spend the person's own.
func TestSignInWith_LookingSpendsNothing(t *testing.T) {
	for _, path := range []string{"/.mfa/sign-in/with/acme", callback + "?code=c&state=s"} {
		for name, r := range map[string]*http.Request{
			"HEAD":             fetched(http.MethodHead, path, nil, redirectCookie),
			"prefetch":         fetched(http.MethodGet, path, map[string]string{"Sec-Purpose": "prefetch"}, redirectCookie),
			"prerender":        fetched(http.MethodGet, path, map[string]string{"Sec-Purpose": "prefetch;prerender"}, redirectCookie),
			"old prefetch":     fetched(http.MethodGet, path, map[string]string{"Purpose": "prefetch"}, redirectCookie),
			"a picture":        fetched(http.MethodGet, path, map[string]string{"Sec-Fetch-Mode": "no-cors", "Sec-Fetch-Dest": "image"}, redirectCookie),
			"a frame":          fetched(http.MethodGet, path, map[string]string{"Sec-Fetch-Mode": "navigate", "Sec-Fetch-Dest": "iframe"}, redirectCookie),
			"a script's fetch": fetched(http.MethodGet, path, map[string]string{"Sec-Fetch-Mode": "cors", "Sec-Fetch-Dest": "empty"}, redirectCookie),
		} {
			t.Run(path+" "+name, func(t *testing.T) {
				w := newWorld(t, acme)
				from(acmeID)(w)
				w.gate.outcome = completed()
				a := w.do(r)
				if len(w.gate.calls) != 0 || len(a.Header["Set-Cookie"]) != 0 || a.Header.Get("Location") != "" || a.Header.Get("Cache-Control") != "no-store" {
					t.Errorf("%d, asked %v, set %v", a.StatusCode, w.gate.calls, a.Header["Set-Cookie"])
				}
			})
		}
	}
	t.Run("going there from the provider's page is no looking", func(t *testing.T) {
		w := newWorld(t, acme)
		from(acmeID)(w)
		w.gate.outcome = completed()
		goes(t, w.do(fetched(http.MethodGet, callback+"?code=c&state=s", map[string]string{"Sec-Fetch-Mode": "navigate", "Sec-Fetch-Dest": "document", "Sec-Fetch-Site": "cross-site"}, redirectCookie)), "/")
	})
}

// AC-041: where the person goes after a sign-in elsewhere is what was kept at its start.
// What the answer's own address says of it is not even read; and what was kept is read
// like any address, should somebody ever get to write it.
func TestCallback_AC041_GoesWhereItWasBegun(t *testing.T) {
	tests := []struct{ name, query, carry, want string }{
		{"kept", "code=c&state=s", "rd=%2Freports%3Fa%3D1%26b%3D2", "/reports?a=1&b=2"},
		{"kept, and another in the address", "code=c&state=s&rd=%2Felsewhere&for=account", "rd=%2Freports", "/reports"},
		{"nothing kept, and one in the address", "code=c&state=s&rd=%2Felsewhere&from=account&for=account", "", "/"},
		{"AC-033 another host", "code=c", "rd=https%3A%2F%2Fevil.test", "/"},
		{"AC-033 another host without a scheme", "code=c", "rd=%2F%2Fevil.test", "/"},
		{"AC-033 a backslash", "code=c", "rd=%2F%5Cevil.test", "/"},
		{"AC-033 a tab", "code=c", "rd=%2F%09%2Fevil.test", "/"},
		{"AC-037 a page of ours", "code=c", "rd=%2F.mfa%2Fsign-out", "/"},
		{"no query at all", "code=c", "%zz;;&=", "/"},
		{"a page of ours that waits", "code=c", "for=account%2Fpassword&rd=%2Freports", "/.mfa/account/password?rd=%2Freports&c=1"},
		{"one that there is not", "code=c", "for=evil&rd=%2Freports", "/reports"},
		{"the console, beside an app", "code=c", "for=admin&to=admin%2Fusers&rd=%2Freports", "/reports"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			w := newWorld(t, acme)
			from(acmeID)(w)
			w.gate.outcome, w.gate.carry = completed(), tt.carry
			goes(t, w.get(callback+"?"+tt.query, redirectCookie), tt.want)
		})
	}
}

// AC-173: whoever comes back without having begun, in another browser, or with a secret
// that may have been planted, gets 400 and no session; and what was sent is not shown
// (AC-133).
func TestCallback_AC173_WithoutAStart(t *testing.T) {
	const probe = `"><svg/onload=1>`
	answer := "?code=" + url.QueryEscape(probe) + "&state=" + url.QueryEscape(probe) + "&error=access_denied&error_description=" + url.QueryEscape(probe) + "&rd=" + url.QueryEscape("/"+probe)
	tests := []struct {
		name    string
		query   string
		cookies []string
		asked   bool
	}{
		{"no cookie", answer, nil, false},
		{"AC-012 two cookies", answer, []string{redirectCookie, redirectCookie}, false},
		{"another browser's", answer, []string{redirectCookie}, true},
		{"nothing in it", "", []string{redirectCookie}, true},
		{"much too long", "?code=" + strings.Repeat("x", maxAnswer), []string{redirectCookie}, false},
		{"AC-008 a session cookie in its place", answer, []string{"__Host-mfa=token-of-full"}, false},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			w := newWorld(t, acme)
			from(ownAccounts, acmeID)(w)
			w.gate.outcome, w.gate.err = completed(), mfa.ErrExpired
			a := w.get(callback+tt.query, tt.cookies...)
			if a.StatusCode != http.StatusBadRequest || w.guard.set != nil || w.gate.did("FinishRedirect") != tt.asked {
				t.Errorf("%d, asked %v", a.StatusCode, w.gate.calls)
			}
			for _, never := range []string{"svg/onload", "access_denied", "code=", "state="} {
				if strings.Contains(a.body, never) {
					t.Errorf("the page says %q", never)
				}
			}
			if a.Header.Get("Referrer-Policy") != "strict-origin" {
				t.Errorf("the app is told the address, with the code in it: %q", a.Header.Get("Referrer-Policy"))
			}
			if !strings.Contains(a.body, `href="/.mfa/sign-in/with/acme"`) {
				t.Error("no way on")
			}
		})
	}
}

// Each way in which a sign-in elsewhere fails: the status, what the page says, and where
// it leads. Disabled is like rejected (AC-179): who has not signed in learns nothing.
func TestCallback_SaysWhatToDo(t *testing.T) {
	tests := []struct {
		name   string
		err    error
		status int
		text   string
	}{
		{"denied", mfa.ErrDenied, 403, "was stopped, by you or by Acme ID"},
		{"rejected", mfa.ErrRejected, 403, "doesn’t let you in here"},
		{"disabled", mfa.ErrDisabled, 403, "doesn’t let you in here"},
		{"no name", mfa.ErrName, 403, "user name that can’t be used here"},
		{"name taken", mfa.ErrNameTaken, 409, "Ask help@example.com to sort this out"},
		{"not reached", errors.New("asking the provider: no route to 10.0.0.7"), 503, "Acme ID can’t be reached now"},
		{"busy", mfa.ErrBusy, 503, "Many people are signing in"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			w := newWorld(t, acme)
			from(ownAccounts, acmeID)(w)
			w.gate.err, w.gate.carry = tt.err, "rd=%2Freports"
			a := w.get(callback+"?code=c&state=s", redirectCookie)
			text := strings.NewReplacer(`<a href="mailto:help@example.com">`, "", "</a>", "").Replace(a.body)
			if a.StatusCode != tt.status || !strings.Contains(text, tt.text) || w.guard.set != nil || strings.Contains(a.body, "10.0.0.7") {
				t.Errorf("%d, want %d and %q:\n%s", a.StatusCode, tt.status, tt.text, a.body)
			}
			if (tt.status == 503) != (a.Header.Get("Retry-After") != "") {
				t.Errorf("Retry-After %q", a.Header.Get("Retry-After"))
			}
			if tt.name != "busy" && (!strings.Contains(a.body, `href="/.mfa/sign-in/with/acme?rd=%2Freports"`) || !strings.Contains(a.body, `href="/.mfa/sign-in?again=other&amp;rd=%2Freports"`)) {
				t.Error("what travels along is lost, or another way")
			}
		})
	}
}

// AC-012: the session that the browser came with is ended by the one that it goes with.
func TestCallback_AC012_ReplacesTheSession(t *testing.T) {
	w := newWorld(t, acme)
	w.signedIn(mfa.Decision{Action: mfa.Allow})
	from(acmeID)(w)
	w.gate.outcome = completed()
	a := w.get(callback+"?code=c&state=s", redirectCookie)
	goes(t, a, "/")
	if w.gate.args[1] != "bound-to-this-browser" || w.gate.args[2] != "full" || w.guard.set == nil || w.guard.set.ID != "next" {
		t.Errorf("asked %q, set %v", w.gate.args, w.guard.set)
	}
	w = newWorld(t, acme)
	from(acmeID)(w)
	w.gate.outcome, w.guard.err = completed(), errors.New("store down")
	if a := w.get(callback+"?code=c&state=s", redirectCookie); a.StatusCode != 503 || w.gate.did("FinishRedirect") {
		t.Errorf("a store that cannot tell: %d, %v", a.StatusCode, w.gate.calls)
	}
}

// Whoever was established before the gate is signed in; nobody is never sent anywhere.
func TestSignIn_Established(t *testing.T) {
	tests := []struct {
		name    string
		sources []mfa.SourceInfo
		claim   mfa.Claim
		path    string
		asked   bool
		status  int
		to      string
	}{
		{"somebody", []mfa.SourceInfo{frontDoor}, mfa.Claim{Source: "proxied", Subject: "alice"}, "/.mfa/sign-in" + rd, true, 303, "/.mfa/sign-in?rd=%2Freports%2F2026&c=1"},
		{"somebody, with other ways", []mfa.SourceInfo{ownAccounts, frontDoor}, mfa.Claim{Source: "proxied", Subject: "alice"}, "/.mfa/sign-in", true, 303, "/.mfa/sign-in?c=1"},
		{"nobody, and no other way", []mfa.SourceInfo{frontDoor}, mfa.Claim{}, "/.mfa/sign-in", false, 403, ""},
		{"AC-183 an empty subject", []mfa.SourceInfo{frontDoor}, mfa.Claim{Source: "proxied", Email: "alice@example.com"}, "/.mfa/sign-in", false, 403, ""},
		{"of a source that there is not", []mfa.SourceInfo{frontDoor}, mfa.Claim{Source: "old", Subject: "alice"}, "/.mfa/sign-in", false, 403, ""},
		{"of a source that takes passwords", []mfa.SourceInfo{ownAccounts}, mfa.Claim{Source: "local", Subject: "alice"}, "/.mfa/sign-in", false, 200, ""},
		{"nobody, and another way", []mfa.SourceInfo{frontDoor, ownAccounts}, mfa.Claim{}, "/.mfa/sign-in", false, 200, ""},
		{"B26 somebody who would be another", []mfa.SourceInfo{frontDoor, directory}, mfa.Claim{Source: "proxied", Subject: "alice"}, "/.mfa/sign-in?source=ldap", true, 303, "/.mfa/sign-in?c=1"},
		{"somebody who has just signed out", []mfa.SourceInfo{frontDoor, ownAccounts}, mfa.Claim{Source: "proxied", Subject: "alice"}, "/.mfa/sign-in?again=out", true, 303, "/.mfa/sign-in?c=1"},
		{"somebody whose browser keeps no cookie", []mfa.SourceInfo{frontDoor}, mfa.Claim{Source: "proxied", Subject: "alice"}, "/.mfa/sign-in?c=1", false, 403, ""},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			w := newWorld(t, acme)
			w.gate.sources, w.guard.place.Established, w.gate.outcome = tt.sources, tt.claim, completed()
			a := w.get(tt.path)
			if a.StatusCode != tt.status || a.Header.Get("Location") != tt.to || w.gate.did("SignInEstablished") != tt.asked {
				t.Errorf("%d to %q, asked %v\n%s", a.StatusCode, a.Header.Get("Location"), w.gate.calls, a.body)
			}
		})
	}
	for _, method := range []string{http.MethodHead, http.MethodGet} {
		w := newWorld(t, acme)
		from(frontDoor)(w)
		established(w)
		w.gate.outcome = completed()
		w.do(fetched(method, "/.mfa/sign-in", map[string]string{"Sec-Purpose": "prefetch"}))
		if w.gate.did("SignInEstablished") {
			t.Errorf("%s ahead of time signs in", method)
		}
	}
	t.Run("B15 established again counts", func(t *testing.T) {
		w := newWorld(t, acme)
		ofSource("proxied", ownAccounts, frontDoor)(w)
		established(w)
		w.gate.outcome = completed()
		goes(t, w.get("/.mfa/sign-in?for=account%2Femail"), "/.mfa/account/email?c=1")
		if w.gate.args[1] != "full" {
			t.Error("the session before lives on")
		}
		// … and not again and again, should the page that waits want something else.
		w.guard.full.Session.First.At = testNow.Add(-time.Second)
		if a := w.get("/.mfa/sign-in?for=account%2Femail"); a.StatusCode != 200 {
			t.Errorf("%d to %q", a.StatusCode, a.Header.Get("Location"))
		}
	})
	t.Run("B15 who is not established any more proves nothing by another source", func(t *testing.T) {
		w := newWorld(t, acme)
		ofSource("proxied", ownAccounts, frontDoor)(w)
		a := w.get("/.mfa/sign-in?for=account")
		if a.StatusCode != 403 || strings.Contains(a.body, `name="password"`) || w.gate.did("SignInEstablished") {
			t.Errorf("%d, asked %v", a.StatusCode, w.gate.calls)
		}
	})
	t.Run("B15 who comes from a directory enters its password", func(t *testing.T) {
		w := newWorld(t, acme)
		ofSource("ldap", ownAccounts, directory, acmeID, frontDoor)(w)
		a := w.get("/.mfa/sign-in?for=account")
		if !strings.Contains(a.body, `name="source" value="ldap"`) || strings.Contains(a.body, "Continue with") || strings.Contains(a.body, "source=local") {
			t.Errorf("it offers other ways:\n%s", a.body)
		}
	})
}

// AC-120, AC-123: a provider calls the back channel without cookies and without the token
// of a form. It changes nothing but what the message proves, and says no more than the
// specification does (OpenID Connect Back-Channel Logout 1.0, §2.8).
func TestBackChannel(t *testing.T) {
	const form = "application/x-www-form-urlencoded"
	tests := []struct {
		name, kind, body string
		err              error
		asked            bool
		status           int
		word             string
	}{
		{"taken", form, "logout_token=a.b.c", nil, true, 200, ""},
		{"taken, with a charset", form + "; charset=UTF-8", "logout_token=a.b.c&x=y", nil, true, 200, ""},
		{"does not hold", form, "logout_token=a.b.c", mfa.ErrRejected, true, 400, "invalid_request"},
		{"a source that has none", form, "logout_token=a.b.c", mfa.ErrNotAllowed, true, 400, "invalid_request"},
		{"too many", form, "logout_token=a.b.c", &mfa.ThrottledError{}, true, 400, "invalid_request"},
		{"a fault of ours", form, "logout_token=a.b.c", errors.New("store down"), true, 400, "server_error"},
		{"no token", form, "token=a.b.c", nil, false, 400, "invalid_request"},
		{"an empty one", form, "logout_token=", nil, false, 400, "invalid_request"},
		{"two", form, "logout_token=a&logout_token=b", nil, false, 400, "invalid_request"},
		{"JSON", "application/json", `{"logout_token":"a.b.c"}`, nil, false, 400, "invalid_request"},
		{"no type", "", "logout_token=a.b.c", nil, false, 400, "invalid_request"},
		{"no form", form, "logout_token=%zz", nil, false, 400, "invalid_request"},
		{"too long", form, "logout_token=" + strings.Repeat("a", maxBody), nil, false, 400, "invalid_request"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			w := newWorld(t, acme)
			from(acmeID)(w)
			w.signedIn(mfa.Decision{Action: mfa.Allow})
			w.gate.err = tt.err
			r := httptest.NewRequest(http.MethodPost, "https://payroll.example.com/.mfa/sign-in/with/acme/back-channel", strings.NewReader(tt.body))
			if tt.kind != "" {
				r.Header.Set("Content-Type", tt.kind)
			}
			a := w.do(r)
			if a.StatusCode != tt.status || w.gate.did("SourceSignedOut") != tt.asked || a.Header.Get("Cache-Control") != "no-store" || len(a.Header["Set-Cookie"]) != 0 {
				t.Errorf("%d, asked %v, %v", a.StatusCode, w.gate.calls, a.Header)
			}
			if tt.asked && !slices.Equal(w.gate.args, []string{"acme", "a.b.c"}) {
				t.Errorf("asked %q", w.gate.args)
			}
			if want := `{"error":"` + tt.word + `"}`; tt.word != "" && (strings.TrimSpace(a.body) != want || a.Header.Get("Content-Type") != "application/json") || tt.word == "" && a.body != "" {
				t.Errorf("it says %q", a.body)
			}
		})
	}
	t.Run("a token in the address is none", func(t *testing.T) {
		w := newWorld(t, acme)
		from(acmeID)(w)
		r := httptest.NewRequest(http.MethodPost, "https://payroll.example.com/.mfa/sign-in/with/acme/back-channel?logout_token=a.b.c", nil)
		r.Header.Set("Content-Type", form)
		if a := w.do(r); a.StatusCode != 400 || len(w.gate.calls) != 0 {
			t.Errorf("%d, asked %v", a.StatusCode, w.gate.calls)
		}
	})
	t.Run("nothing to look at", func(t *testing.T) {
		w := newWorld(t, acme)
		from(acmeID)(w)
		if a := w.get("/.mfa/sign-in/with/acme/back-channel"); a.StatusCode != http.StatusMethodNotAllowed || a.Header.Get("Allow") != "POST" {
			t.Errorf("%d %q", a.StatusCode, a.Header.Get("Allow"))
		}
	})
}

// Signing out here goes on to the source by a page: the cookies are gone by then, and what
// leads on is what the Gate said, never what the address says (AC-040).
func TestSignOut_GoesOnThere(t *testing.T) {
	tests := []struct {
		name, there string
		on          bool
	}{
		{"there", "https://id.acme.example/logout?id_token_hint=h&post_logout_redirect_uri=x", true},
		{"nowhere", "", false},
		{"no web address", "javascript:alert(1)", false},
		{"no host", "https:///x", false},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			w := newWorld(t, acme)
			ofSource("acme", acmeID)(w)
			w.gate.there = tt.there
			a := w.post(t, "/.mfa/sign-out?rd=%2Freports&done=https%3A%2F%2Fevil.test", nil)
			if !w.guard.cleared || a.Header.Get("Clear-Site-Data") == "" {
				t.Error("the browser holds on to what it had")
			}
			if got := w.gate.args; got[1] != "https://payroll.example.com/.mfa/sign-out?done=1" {
				t.Errorf("it is to come back to %q", got)
			}
			if !tt.on {
				goes(t, a, "/.mfa/sign-out?rd=%2Freports")
				return
			}
			escaped := strings.ReplaceAll(tt.there, "&", "&amp;")
			if a.StatusCode != 200 || !strings.Contains(a.body, `<meta http-equiv="refresh" content="0; url=`+escaped+`">`) || !strings.Contains(a.body, `href="`+escaped+`"`) || strings.Contains(a.body, "Alice") {
				t.Errorf("%d\n%s", a.StatusCode, a.body)
			}
		})
	}
	t.Run("back from there", func(t *testing.T) {
		w := newWorld(t, acme)
		from(acmeID)(w)
		a := w.get("/.mfa/sign-out?done=1&state=x")
		if a.StatusCode != 200 || !strings.Contains(a.body, "You’re signed out") || !strings.Contains(a.body, `href="/.mfa/sign-in?again=out"`) {
			t.Errorf("%d\n%s", a.StatusCode, a.body)
		}
	})
}

// The password was right, and the directory calls the person by a name that is somebody
// else's here, or nobody's. That is no fault of ours that goes away by itself: they are told
// whom to ask.
func TestSignIn_NamesOfADirectory(t *testing.T) {
	for err, status := range map[error]int{mfa.ErrNameTaken: 409, mfa.ErrName: 403} {
		w := newWorld(t, acme)
		w.gate.err = err
		a := w.post(t, "/.mfa/sign-in", url.Values{"source": {mfa.LocalSource}, "name": {"finn"}, "password": {"x"}})
		if a.StatusCode != status || !strings.Contains(a.body, "help@example.com") {
			t.Errorf("%v: %d", err, a.StatusCode)
		}
	}
}
