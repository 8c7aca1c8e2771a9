package api_test

import (
	"net/http"
	"testing"

	"github.com/secondgate/secondgate/mfa"
)

func TestName_Change(t *testing.T) {
	w := newWorld(t)
	b := w.person("alice")
	b.ask(http.MethodPatch, accountPath, `{"display_name":"Alice Ng"}`, http.StatusNoContent)
	if u := b.ask(http.MethodGet, accountPath, "", http.StatusOK).body["user"].(map[string]any); u["display_name"] != "Alice Ng" || u["can_rename"] != true {
		t.Errorf("%v", u)
	}
	b.ask(http.MethodPatch, accountPath, `{"display_name":"a,b;c|d"}`, http.StatusUnprocessableEntity)
	b.ask(http.MethodPatch, accountPath, `{"display_name":"A","admin":true}`, http.StatusBadRequest)
	if u := w.user("alice"); u.DisplayName != "Alice Ng" || u.Admin {
		t.Errorf("%q, %v", u.DisplayName, u.Admin)
	}
}

// AC-164, AC-165: an address of the account is proven by a code that was sent to it, and
// changed by somebody who has just proven a second factor.
func TestEmail_Change_AC165(t *testing.T) {
	w := newWorld(t)
	b := w.person("alice")
	path := accountPath + "/email"
	b.ask(http.MethodPost, path+"/send", `{"address":"mine@example.net","verified":true}`, http.StatusBadRequest)
	b.ask(http.MethodPost, path+"/send", `{"address":"mine@example.net"}`, http.StatusOK)
	if u := w.user("alice"); u.Email != "" {
		t.Errorf("the address is %q before it was proven", u.Email)
	}
	b.ask(http.MethodPost, path+"/finish", `{"code":"00000000"}`, http.StatusUnprocessableEntity)
	code := quote(w.post.Code("mine@example.net"))
	// The code of an account's address sets no factor up.
	b.ask(http.MethodPost, factorsPath+"/email/finish", `{"code":`+code+`}`, http.StatusConflict)
	b.ask(http.MethodPost, path+"/finish", `{"code":`+code+`}`, http.StatusNoContent)
	if u := w.user("alice"); u.Email != "mine@example.net" || !u.EmailVerified {
		t.Errorf("%q, %v", u.Email, u.EmailVerified)
	}
	if a := b.ask(http.MethodPost, path+"/send", `{"address":"mine@example.net"}`, http.StatusConflict); a.reason() != "held" {
		t.Errorf("%s", a.raw)
	}
	b.stale()
	b.ask(http.MethodPost, path+"/send", `{"address":"other@example.net"}`, http.StatusUnauthorized)

	// Two accounts cannot have proven one address.
	bob := w.person("bob")
	bob.ask(http.MethodPost, path+"/send", `{"address":"mine@example.net"}`, http.StatusOK)
	letters := w.post.To("mine@example.net")
	last := ""
	for _, l := range letters {
		if l.Kind != mfa.LetterNotice {
			last = string([]byte(l.Code))
		}
	}
	if a := bob.ask(http.MethodPost, path+"/finish", `{"code":`+quote(last)+`}`, http.StatusConflict); a.reason() != "taken" {
		t.Errorf("%s", a.raw)
	}
}
