package pages

import (
	"net/http"
	"net/url"
	"testing"

	"github.com/secondgate/secondgate/mfa"
)

// An app asked the account API for a change that needs a newer proof (rule B15). The
// person makes it on our page and is back in the app, and nowhere else.
func TestVerify_ForAnApp_LeadsBack_B15(t *testing.T) {
	for _, c := range []struct{ rd, want string }{
		{"/settings?tab=security", "/settings?tab=security"},
		{"", "/"},
		{"https://evil.test/", "/"},
		{"//evil.test", "/"},
		{"/.mfa/sign-out", "/"},
	} {
		t.Run(c.rd, func(t *testing.T) {
			w := newWorld(t, acme)
			w.signedIn(mfa.Decision{Action: mfa.StepUp, Reason: mfa.ReasonTooOld, Kinds: mfa.KindsOf(mfa.TOTP)})
			w.gate.state.Methods = []mfa.Method{{Kind: mfa.TOTP, Available: true}}
			path := "/.mfa/verify/totp?for=app&prove=totp"
			if c.rd != "" {
				path += "&rd=" + url.QueryEscape(c.rd)
			}
			if a := w.get(path); a.StatusCode != http.StatusOK {
				t.Fatalf("status %d", a.StatusCode)
			}
			if w.gate.at.Asked.Fresh != mfa.ProofLife || w.gate.at.Asked.Factors != mfa.KindsOf(mfa.TOTP) {
				t.Errorf("asked for %+v", w.gate.at.Asked)
			}
			w.gate.outcome = completed()
			a := w.post(t, path, url.Values{"code": {"123456"}})
			if got := a.Header.Get("Location"); a.StatusCode != http.StatusSeeOther || got != c.want {
				t.Errorf("%d to %q, want %q", a.StatusCode, got, c.want)
			}
		})
	}
}
