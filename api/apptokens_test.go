package api_test

import (
	"net/http"
	"strings"
	"testing"

	"github.com/secondgate/secondgate/mfa"
)

const tokensPath = accountPath + "/app-tokens"

func TestAppTokens_AreMadeListedAndRevoked(t *testing.T) {
	w := newWorld(t)
	alice, bob := w.person("alice"), w.person("bob")
	if hosts := alice.ask(http.MethodGet, tokensPath, "", http.StatusOK).body["hosts"].([]any); len(hosts) != 1 || hosts[0] != host {
		t.Fatalf("hosts %v", hosts)
	}
	made := alice.ask(http.MethodPost, tokensPath, `{"name":"laptop","host":"`+host+`"}`, http.StatusCreated)
	text := made.text("text")
	id, ok := mfa.AppTokenID(text)
	if !ok || made.body["token"].(map[string]any)["id"] != id {
		t.Fatalf("made %s", made.raw)
	}

	t.Run("AC-131 no answer after it has the text, or what it is checked with", func(t *testing.T) {
		for _, path := range []string{accountPath, tokensPath, accountPath + "/notices", accountPath + "/activity"} {
			if raw := alice.ask(http.MethodGet, path, "", http.StatusOK).raw; strings.Contains(string(raw), text[22:]) || strings.Contains(string(raw), "hash") {
				t.Errorf("%s: %s", path, raw)
			}
		}
	})
	t.Run("no name", func(t *testing.T) {
		alice.ask(http.MethodPost, tokensPath, `{"name":"","host":"`+host+`"}`, http.StatusUnprocessableEntity)
	})
	for name, body := range map[string]string{
		"too long":  `{"name":"x","host":"` + host + `","expires_in":31622401}`,
		"too short": `{"name":"x","host":"` + host + `","expires_in":3599}`,
		"negative":  `{"name":"x","host":"` + host + `","expires_in":-3600}`,
	} {
		t.Run(name, func(t *testing.T) { alice.ask(http.MethodPost, tokensPath, body, http.StatusBadRequest) })
	}
	t.Run("a host that takes none", func(t *testing.T) {
		alice.ask(http.MethodPost, tokensPath, `{"name":"x","host":"other.example.com"}`, http.StatusForbidden)
	})
	t.Run("AC-227 nothing else can be set", func(t *testing.T) {
		alice.ask(http.MethodPost, tokensPath, `{"name":"x","host":"`+host+`","id":"0","hash":"x"}`, http.StatusBadRequest)
	})
	t.Run("AC-131 another person sees and revokes none of it", func(t *testing.T) {
		if list := bob.ask(http.MethodGet, tokensPath, "", http.StatusOK).body["tokens"].([]any); len(list) != 0 {
			t.Errorf("bob sees %v", list)
		}
		bob.ask(http.MethodDelete, tokensPath+"/"+id, "", http.StatusNotFound)
	})
	t.Run("AC-008 AC-016 the token itself opens nothing here", func(t *testing.T) {
		b := w.browser()
		for _, method := range []string{http.MethodGet, http.MethodPost} {
			r := b.request(method, tokensPath, `{"name":"x","host":"`+host+`"}`)
			r.Header.Set("Authorization", "Bearer "+text)
			if a := b.do(r); a.StatusCode != http.StatusUnauthorized {
				t.Errorf("%s: %d", method, a.StatusCode)
			}
		}
		r := b.request(http.MethodDelete, tokensPath+"/"+id, "")
		r.SetBasicAuth("alice", text)
		if a := b.do(r); a.StatusCode != http.StatusUnauthorized {
			t.Errorf("revoking: %d", a.StatusCode)
		}
	})
	t.Run("B15 making one needs a new proof, revoking does not", func(t *testing.T) {
		alice.stale()
		if a := alice.ask(http.MethodPost, tokensPath, `{"name":"x","host":"`+host+`"}`, http.StatusUnauthorized); !strings.Contains(a.Header.Get("WWW-Authenticate"), "insufficient_user_authentication") {
			t.Errorf("%v", a.Header)
		}
		alice.ask(http.MethodDelete, tokensPath+"/"+id, "", http.StatusNoContent)
		alice.ask(http.MethodDelete, tokensPath+"/"+id, "", http.StatusNotFound)
	})
}

func TestAdmin_AppTokens(t *testing.T) {
	o := newOffice(t)
	alice := o.person("alice")
	text := alice.ask(http.MethodPost, tokensPath, `{"name":"laptop","host":"`+host+`"}`, http.StatusCreated).text("text")
	alice.ask(http.MethodPost, tokensPath, `{"name":"phone","host":"`+host+`"}`, http.StatusCreated)
	path := "/.mfa/api/admin/users/" + string(o.user("alice").ID) + "/app-tokens"
	a := o.root.ask(http.MethodGet, path, "", http.StatusOK)
	if list := a.body["tokens"].([]any); len(list) != 2 || strings.Contains(string(a.raw), text[22:]) || strings.Contains(string(a.raw), "hash") {
		t.Fatalf("AC-225: %s", a.raw)
	}
	o.root.ask(http.MethodDelete, path+"/"+text[5:21], "", http.StatusNoContent)
	if list := o.user("alice").AppTokens; len(list) != 1 || list[0].Name != "phone" {
		t.Errorf("left %v", len(list))
	}
	o.root.ask(http.MethodDelete, path, "", http.StatusNoContent)
	if n := len(o.user("alice").AppTokens); n != 0 {
		t.Errorf("left %d", n)
	}
}
