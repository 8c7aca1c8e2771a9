package pages

import (
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/secondgate/secondgate/mfa"
)

const sampleTokenText = "mfat_0123456789abcdef_c2FtcGxlIHNhbXBsZSBzYW1wbGUgc2FtcGxlIHNhbXA"

var sampleTokens = []mfa.AppToken{
	{ID: "0123456789abcdef", Name: "git on the laptop", Host: "git.example.com", Created: testNow.Add(-24 * time.Hour), Expires: testNow.Add(89 * 24 * time.Hour), LastUsed: testNow.Add(-2 * time.Hour)},
	{ID: "1123456789abcdef", Name: "Calendar", Host: "cloud.example.com", Created: testNow.Add(-time.Hour), Expires: testNow.Add(29 * 24 * time.Hour)},
	{ID: "2123456789abcdef", Name: "Backup script", Host: "git.example.com", Created: testNow.Add(-91 * 24 * time.Hour), Expires: testNow.Add(-24 * time.Hour), LastUsed: testNow.Add(-40 * 24 * time.Hour)},
}

// withTokens is an account at a gateway that takes app tokens.
func withTokens(w *world) {
	w.signedIn(mfa.Decision{Action: mfa.Allow})
	w.gate.account = sampleAccount(samplePasskey, sampleSet)
	w.gate.account.AppTokens = slices.Clone(sampleTokens)
	w.gate.account.AppHosts = []string{"app.example.com", "cloud.example.com", "git.example.com"}
}

func fullTokens(w *world) {
	withTokens(w)
	w.gate.account.AppTokens = nil
	for i := range mfa.MaxAppTokens {
		t := sampleTokens[i%2]
		t.ID, t.Name = fmt.Sprintf("%016x", i), strings.Repeat("A long name ", 5)[:mfa.MaxName-4]
		w.gate.account.AppTokens = append(w.gate.account.AppTokens, t)
	}
}

var makingToken = url.Values{"name": {"git on the laptop"}, "host": {"git.example.com"}, "life": {"720h0m0s"}}

var tokenScenes = []scene{
	{"account-tokens", 200, getting("/.mfa/account/app-tokens"+rd, withTokens)},
	{"account-tokens-none", 200, getting("/.mfa/account/app-tokens", func(w *world) {
		withTokens(w)
		w.gate.account.AppTokens = nil
	})},
	{"account-tokens-full", 200, getting("/.mfa/account/app-tokens", fullTokens)},
	{"account-tokens-revoked", 200, getting("/.mfa/account/app-tokens?done=token", func(w *world) {
		withTokens(w)
		w.gate.account.AppTokens, w.gate.account.AppHosts = sampleTokens[:1], nil
	})},
	{"account-with-tokens", 200, getting("/.mfa/account", withTokens)},
	{"account-token-make", 200, getting("/.mfa/account/app-tokens/new", withTokens)},
	{"account-token-made", 200, posting("/.mfa/account/app-tokens/new", makingToken, withTokens)},
	{"account-token-refused", 422, posting("/.mfa/account/app-tokens/new", makingToken, func(w *world) {
		withTokens(w)
		w.gate.err = mfa.ErrName
	})},
	{"account-token-no-factor", 422, posting("/.mfa/account/app-tokens/new", makingToken, func(w *world) {
		withTokens(w)
		w.gate.err = mfa.ErrNoFactor
	})},
	{"account-token-limit", 422, posting("/.mfa/account/app-tokens/new", makingToken, func(w *world) {
		withTokens(w)
		w.gate.err = mfa.ErrLimit
	})},
	{"account-token-revoke", 200, getting("/.mfa/account/app-tokens/revoke?token=0123456789abcdef", withTokens)},
}

func init() { scenes = append(scenes, tokenScenes...) }

func TestAppTokens_Pages(t *testing.T) {
	t.Run("it is shown once, and the gate is asked for what was filled in", func(t *testing.T) {
		w := newWorld(t, acme)
		withTokens(w)
		a := w.post(t, "/.mfa/account/app-tokens/new", makingToken)
		if a.StatusCode != http.StatusOK || strings.Count(a.body, sampleTokenText) != 1 || a.Header.Get("Cache-Control") != "no-store" {
			t.Errorf("status %d", a.StatusCode)
		}
		if last := len(w.gate.calls) - 1; w.gate.calls[last] != "CreateAppToken" || !slices.Equal(w.gate.args[1:], []string{"git on the laptop", "git.example.com", "720h0m0s"}) {
			t.Errorf("calls %v, %v", w.gate.calls, w.gate.args)
		}
		if again := w.get("/.mfa/account/app-tokens"); strings.Contains(again.body, sampleTokenText[22:]) {
			t.Error("AC-131: it is shown again")
		}
	})
	t.Run("a life that is none of the list is the usual one", func(t *testing.T) {
		w := newWorld(t, acme)
		withTokens(w)
		w.post(t, "/.mfa/account/app-tokens/new", url.Values{"name": {"x"}, "host": {"git.example.com"}, "life": {"87600h0m0s"}})
		if w.gate.args[3] != mfa.DefaultAppTokenLife.String() {
			t.Errorf("args %v", w.gate.args)
		}
	})
	t.Run("B15 a proof that is owed leads to it and back to the form", func(t *testing.T) {
		w := newWorld(t, acme)
		withTokens(w)
		w.gate.err = &mfa.ProofError{Kinds: mfa.KindsOf(mfa.Passkey)}
		a := w.post(t, "/.mfa/account/app-tokens/new", makingToken)
		if to := a.Header.Get("Location"); a.StatusCode != http.StatusSeeOther || !strings.HasPrefix(to, "/.mfa/verify?") || !strings.Contains(to, "for=account%2Fapp-tokens%2Fnew") {
			t.Errorf("status %d to %q", a.StatusCode, to)
		}
	})
	t.Run("revoking asks first, and does what was asked", func(t *testing.T) {
		w := newWorld(t, acme)
		withTokens(w)
		a := w.post(t, "/.mfa/account/app-tokens/revoke", url.Values{"credential": {"0123456789abcdef"}})
		if a.StatusCode != http.StatusSeeOther || w.gate.args[1] != "0123456789abcdef" {
			t.Errorf("status %d, %v", a.StatusCode, w.gate.args)
		}
		if a := w.get("/.mfa/account/app-tokens/revoke?token=none"); a.StatusCode != http.StatusSeeOther {
			t.Errorf("one that is not there: %d", a.StatusCode)
		}
	})
	t.Run("no section where there is nothing to say", func(t *testing.T) {
		w := newWorld(t, acme)
		w.signedIn(mfa.Decision{Action: mfa.Allow})
		w.gate.account = sampleAccount(samplePasskey, sampleSet)
		if a := w.get("/.mfa/account"); strings.Contains(a.body, "app-tokens") {
			t.Error("there is one")
		}
	})
}
