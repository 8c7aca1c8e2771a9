package api_test

import (
	"net/http"
	"strings"
	"testing"
)

const accountPath = "/.mfa/api/account"

// B33
func TestAccount_IsRead(t *testing.T) {
	w := newWorld(t)
	b := w.person("alice")
	a := b.ask(http.MethodGet, accountPath, "", http.StatusOK)
	if a.text("status") != "on" || a.body["required"] != true {
		t.Errorf("%s", a.raw)
	}
	factors := a.body["factors"].([]any)
	if len(factors) != 1 || factors[0].(map[string]any)["factor"] != "totp" {
		t.Errorf("factors: %v", factors)
	}
	codes := a.body["backup_codes"].(map[string]any)
	if codes["left"] != 10.0 || codes["offered"] != true {
		t.Errorf("codes: %v", codes)
	}
	if sessions := a.body["sessions"].([]any); len(sessions) != 1 || sessions[0].(map[string]any)["current"] != true {
		t.Errorf("sessions: %v", sessions)
	}
	head := b.do(b.request(http.MethodHead, accountPath, ""))
	if head.StatusCode != http.StatusOK || len(head.raw) != 0 {
		t.Errorf("HEAD: %d, %d bytes", head.StatusCode, len(head.raw))
	}
}

// B31: nobody is signed in.
func TestAccount_NeedsASession(t *testing.T) {
	w := newWorld(t)
	a := w.browser().ask(http.MethodGet, accountPath, "", http.StatusUnauthorized)
	if a.text("next") != "/.mfa/sign-in" || a.reason() != "no_session" || !strings.HasPrefix(a.Header.Get("WWW-Authenticate"), "Bearer realm=") {
		t.Errorf("%v %s", a.Header, a.raw)
	}
}
