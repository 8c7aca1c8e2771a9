package pages

import (
	"maps"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"testing"

	"github.com/secondgate/secondgate/mfa"
)

// What is typed goes no further than it must: the answer leads to an address that holds
// the ID of the user, and the app's address without query and fragment.
func TestConsole_Access_KeepsSecretsOutOfAddresses(t *testing.T) {
	for typed, want := range map[string]string{
		"https://app.example.com/x":                           "https://app.example.com/x",
		" https://app.example.com/x?token=proberef#proberef ": "https://app.example.com/x",
		"https://app.example.com/x#proberef?y":                "https://app.example.com/x",
		"https://app.example.com?proberef":                    "https://app.example.com",
	} {
		w := newWorld(t, acme)
		f := w.filled(asAuditor)
		a := w.postConsole(t, "/.mfa/"+pageAccess, url.Values{"user": {" bob "}, "at": {typed}})
		goes(t, a, "/.mfa/"+pageAccess+"?at="+url.QueryEscape(want)+"&user=u2")
		if !slices.Equal(f.asked, []string{"u2 " + want}) || len(f.did) > 0 || !slices.Equal(f.changes, []bool{false}) {
			t.Errorf("%q: asked %q, did %v, as a change %v", typed, f.asked, f.did, f.changes)
		}
		// A hand-made address is read the same way.
		f.asked = nil
		a = w.visitConsole("/.mfa/" + pageAccess + "?user=u2&at=" + url.QueryEscape(typed))
		if typed != want {
			goes(t, a, "/.mfa/"+pageAccess+"?at="+url.QueryEscape(want)+"&user=u2")
			a = w.visitConsole(a.Header.Get("Location"))
		}
		if a.StatusCode != http.StatusOK || !slices.Equal(f.asked, []string{"u2 " + want}) || strings.Contains(a.body, "proberef") {
			t.Errorf("%q: %d, asked %q", typed, a.StatusCode, f.asked)
		}
	}
}

// AC-133: an address comes from whoever types it. Where it is shown again it is text, and
// without the password that may stand in it.
func TestConsole_AC133_Access_RejectsAddresses(t *testing.T) {
	refuse := func(reason mfa.RouteReason) func(string) (*mfa.AccessQuery, error) {
		return func(address string) (*mfa.AccessQuery, error) {
			return nil, &mfa.RouteError{Reason: reason, Err: errStore}
		}
	}
	for name, typed := range map[string]string{
		"a password": "https://alice:proberef@app.example.com/x", "a password without a scheme": "alice:proberef@app.example.com", "two at signs": "https://a@b:proberef@app.example.com",
		"another scheme": "javascript:alert(1)", "10 KiB": "https://app.example.com/" + strings.Repeat("proberef", 1280), "control characters": "https://app.example.com/\r\nSet-Cookie: a=b\x00",
		"markup": `"><svg/onload=1>`, "markup in a path": `https://app.example.com/"><svg/onload=1>`, "nothing": "",
	} {
		for _, reason := range slices.Sorted(maps.Keys(routeWords)) {
			w := newWorld(t, acme)
			w.filled(asAdmin)
			w.pages.gates = refuse(reason)
			a := w.postConsole(t, "/.mfa/"+pageAccess, url.Values{"user": {"bob"}, "at": {typed}})
			if a.StatusCode != http.StatusUnprocessableEntity || a.Header.Get("Location") != "" || !strings.Contains(a.body, `id="f-at-error"`) {
				t.Errorf("%s: %d %s", name, a.StatusCode, a.Header.Get("Location"))
			}
			if strings.Contains(a.body, "proberef") || strings.Contains(a.body, "<svg/onload") || a.Header.Get("Set-Cookie") == "a=b" {
				t.Errorf("%s: the page repeats it\n%s", name, a.body)
			}
		}
	}
	// So is a name, which nobody has.
	w := newWorld(t, acme)
	f := w.filled(asAdmin)
	a := w.postConsole(t, "/.mfa/"+pageAccess, url.Values{"user": {`"><svg/onload=1>`}, "at": {"https://app.example.com/"}})
	if a.StatusCode != http.StatusNotFound || strings.Contains(a.body, "<svg/onload") || len(f.asked) > 0 {
		t.Errorf("%d, asked %q", a.StatusCode, f.asked)
	}
	// What the core answers is text as well.
	w = newWorld(t, acme)
	f = w.filled(asAdmin)
	f.access.Steps[4].Gate, f.access.Asks[5].Of, f.access.Notes[1].Text, f.access.Factors[0].Name = "<svg/onload=1>", "<svg/onload=2>", "<svg/onload=3>", "<svg/onload=4>"
	a = w.visitConsole("/.mfa/" + pageAccess + "?user=u2&at=" + url.QueryEscape("https://app.example.com/<svg/onload=5>"))
	if a.StatusCode != http.StatusOK || strings.Contains(a.body, "<svg/onload") || strings.Count(a.body, "svg/onload") < 5 {
		t.Errorf("%d\n%s", a.StatusCode, a.body)
	}
}

// AC-224: who administrates one organization is not offered it, and is not let in by hand;
// neither is anybody where no gateway says what stands where. Users who are not there, or
// not theirs to see, are missing.
func TestConsole_AC224_Access(t *testing.T) {
	for name, who := range map[string]mfa.Administrator{"organization": asOrganization, "both": func() mfa.Administrator {
		both := asAuditor
		both.Actor.Organization = "acme"
		return both
	}()} {
		w := newWorld(t, acme)
		f := w.filled(who)
		if a := w.visitConsole("/.mfa/admin/explain"); a.StatusCode != http.StatusOK || strings.Contains(a.body, pageAccess) {
			t.Errorf("%s: %d, and it is offered", name, a.StatusCode)
		}
		get, post := w.visitConsole(consoleURL(pageAccess)), w.postConsole(t, "/.mfa/"+pageAccess, example[pageAccess].form)
		if get.StatusCode < 400 || post.StatusCode < 400 || len(f.asked) > 0 {
			t.Errorf("%s: %d %d, asked %q", name, get.StatusCode, post.StatusCode, f.asked)
		}
	}
	w := newWorld(t, acme)
	f := w.filled(asAdmin)
	if a := w.visitConsole("/.mfa/" + pageAccess + "?user=u999&at=https%3A%2F%2Fapp.example.com%2F"); a.StatusCode != http.StatusNotFound || len(f.asked) > 0 {
		t.Errorf("somebody who is not there: %d, asked %q", a.StatusCode, f.asked)
	}
	goes(t, w.visitConsole("/.mfa/"+pageAccess+"?user=u2"), "/.mfa/admin/explain")
	w.pages.gates = nil
	if a := w.visitConsole(consoleURL(pageAccess)); a.StatusCode != http.StatusNotFound || len(f.asked) > 0 {
		t.Errorf("without gates: %d", a.StatusCode)
	}
	if a := w.visitConsole("/.mfa/admin/explain"); strings.Contains(a.body, pageAccess) {
		t.Error("without gates it is offered")
	}
}

// The page says every part in the person's language.
func TestConsole_B32_Access_SaysWhatDecides(t *testing.T) {
	w := newWorld(t, acme)
	w.filled(asAuditor)
	a := w.visitConsole(consoleURL(pageAccess))
	for _, want := range []string{
		"Not signed in", "The password and: Passkey", "The newest session, of ", "Safari on iPhone", "Let through", "Asked to verify again", "too_weak · mfa /danger/* /danger (server srv0)",
		"Bob Beispiel has a second step", "fresh 5m", "The organization globex", "Made a member", "By the confirmed e-mail address", "Members of umbrella only", "No such organization",
		"It was made for wiki.example.com.", "It is locked until an administrator unlocks it.", "The configuration", "An administrator", "The default",
	} {
		if !strings.Contains(a.body, want) {
			t.Errorf("%q is missing", want)
		}
	}
	// Every code that the core has is one for which there are words.
	for _, k := range []mfa.Action{mfa.Refuse, mfa.SignIn, mfa.Verify, mfa.SetUp, mfa.StepUp, mfa.Allow} {
		if answerWords[k.String()] == "" {
			t.Errorf("no words for %s", k)
		}
	}
}
