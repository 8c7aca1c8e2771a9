package pages

import (
	"errors"
	"net/http"
	"net/http/httptest"
	"net/url"
	"testing"

	"github.com/secondgate/secondgate/internal/web"
	"github.com/secondgate/secondgate/mfa"
)

func from(sources ...mfa.SourceInfo) func(*world) {
	return func(w *world) { w.gate.sources = sources }
}

// redirectCookie is the secret that a sign-in elsewhere was begun with.
var redirectCookie = testCookies.Name(web.RedirectCookie) + "=bound-to-this-browser"

// comingBack shows what an answer of a source leads to.
func comingBack(err error, sources ...mfa.SourceInfo) func(testing.TB, *world) answer {
	return func(_ testing.TB, w *world) answer {
		from(sources...)(w)
		w.gate.carry, w.gate.err = "rd=%2Freports%2F2026", err
		return w.get("/.mfa/sign-in/with/acme/callback?code=c1&state=s1", redirectCookie)
	}
}

// ofSource signs somebody in who comes from a source.
func ofSource(name string, sources ...mfa.SourceInfo) func(*world) {
	return func(w *world) {
		from(sources...)(w)
		w.signedIn(mfa.Decision{Action: mfa.Allow})
		w.guard.full.Subject.Source = name
		w.guard.full.Session.First.At = testNow.Add(-mfa.ProofLife * 2)
	}
}

func established(w *world) {
	w.guard.place.Established = mfa.Claim{Source: frontDoor.Name, Subject: "alice"}
}

func init() {
	scenes = append(scenes, []scene{
		{"source-three", 200, getting("/.mfa/sign-in"+rd, from(ownAccounts, directory, acmeID))},
		{"source-three-everything", 200, getting("/.mfa/sign-in"+rd, func(w *world) {
			from(ownAccounts, directory, acmeID, otherID)(w)
			w.gate.everything()
		})},
		{"source-redirect-first", 200, getting("/.mfa/sign-in"+rd, from(acmeID, otherID, ownAccounts))},
		{"source-ldap-form", 200, getting("/.mfa/sign-in?source=ldap", from(ownAccounts, directory, acmeID))},
		{"source-ldap-alone", 200, getting("/.mfa/sign-in"+rd, from(directory))},
		{"source-ldap-rejected", 422, posting("/.mfa/sign-in"+rd, url.Values{"name": {"alice"}, "password": {"x"}, "source": {"ldap"}}, func(w *world) {
			from(ownAccounts, directory)(w)
			w.gate.err = mfa.ErrRejected
		})},
		{"source-unknown-form", 422, posting("/.mfa/sign-in"+rd, url.Values{"name": {"alice"}, "password": {"x"}, "source": {"acme"}}, from(ownAccounts, acmeID))},
		{"source-redirect-alone", 200, getting("/.mfa/sign-in?again=out&rd=%2Freports", from(acmeID))},
		{"source-redirects", 200, getting("/.mfa/sign-in"+rd, from(acmeID, otherID))},
		{"source-circle", 200, func(_ testing.TB, w *world) answer {
			from(acmeID)(w)
			for range loopBounces - 1 {
				w.get("/.mfa/sign-in"+rd, redirectCookie)
			}
			return w.get("/.mfa/sign-in"+rd, redirectCookie)
		}},
		{"source-confirm-redirect", 200, getting("/.mfa/sign-in?for=account", ofSource("acme", ownAccounts, acmeID))},
		{"source-confirm-ldap", 200, getting("/.mfa/sign-in?for=account", ofSource("ldap", ownAccounts, directory, acmeID))},
		{"source-confirm-claim", 200, getting("/.mfa/sign-in?for=account", func(w *world) {
			ofSource(frontDoor.Name, ownAccounts, frontDoor)(w)
			established(w)
			w.guard.full.Session.First.At = testNow
		})},
		{"source-unreachable", 503, getting("/.mfa/sign-in/with/acme"+rd, func(w *world) {
			from(ownAccounts, acmeID)(w)
			w.gate.beginOf = errors.New("asking the provider: timeout")
		})},
		{"source-throttled", 429, getting("/.mfa/sign-in/with/acme"+rd, func(w *world) {
			from(acmeID)(w)
			w.gate.beginOf = &mfa.ThrottledError{RetryAfter: 90e9}
		})},
		{"callback-expired", 400, comingBack(mfa.ErrExpired, ownAccounts, acmeID)},
		{"callback-expired-signed-in", 400, func(t testing.TB, w *world) answer {
			w.signedIn(mfa.Decision{Action: mfa.Allow})
			return comingBack(mfa.ErrExpired, acmeID)(t, w)
		}},
		{"callback-denied", 403, comingBack(mfa.ErrDenied, ownAccounts, acmeID)},
		{"callback-rejected", 403, comingBack(mfa.ErrRejected, acmeID)},
		{"callback-name", 403, comingBack(mfa.ErrName, acmeID)},
		{"callback-name-taken", 409, comingBack(mfa.ErrNameTaken, acmeID)},
		{"callback-unreachable", 503, comingBack(errors.New("asking the provider: timeout"), ownAccounts, acmeID)},
		{"established-nobody", 403, getting("/.mfa/sign-in"+rd, from(frontDoor))},
		{"established-rejected", 403, getting("/.mfa/sign-in"+rd, func(w *world) {
			from(frontDoor)(w)
			established(w)
			w.gate.err = mfa.ErrRejected
		})},
		{"established-name-taken", 409, getting("/.mfa/sign-in"+rd, func(w *world) {
			from(frontDoor, ownAccounts)(w)
			established(w)
			w.gate.err = mfa.ErrNameTaken
		})},
		{"signed-out-elsewhere", 200, getting("/.mfa/sign-out?done=1", from(acmeID))},
		{"signing-out-there", 200, posting("/.mfa/sign-out"+rd, nil, func(w *world) {
			ofSource("acme", acmeID)(w)
			w.gate.there = "https://id.acme.example/logout?id_token_hint=h&client_id=gate"
		})},
		{"account-of-source", 200, getting("/.mfa/account"+rd, func(w *world) {
			ofSource("acme", ownAccounts, acmeID)(w)
			w.gate.account = sampleAccount(samplePasskey, sampleTOTP, sampleSet)
			w.gate.account.Local, w.gate.account.LocalPassword, w.gate.account.CanEmail = false, false, false
			w.gate.account.Subject = w.guard.full.Subject
		})},
	}...)
}

// fetched is a request for a page as somebody makes it who does not go there.
func fetched(method, path string, headers map[string]string, cookies ...string) *http.Request {
	r := httptest.NewRequest(method, "https://payroll.example.com"+path, nil)
	for name, value := range headers {
		r.Header.Set(name, value)
	}
	for _, c := range cookies {
		r.Header.Add("Cookie", c)
	}
	return r
}
