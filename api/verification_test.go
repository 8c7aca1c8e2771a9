package api_test

import (
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/secondgate/secondgate/mfa"
)

const verificationPath = accountPath + "/verification"

// B30: an app asks how fresh the proof is, and lets the person prove it again in place.
func TestVerification_StepUpInPlace(t *testing.T) {
	w := newWorld(t)
	b := w.person("alice")
	b.addPasskey("Laptop")
	w.clock.Advance(2 * time.Minute)
	needed := func(query, want string) *answer {
		t.Helper()
		a := b.ask(http.MethodGet, verificationPath+query, "", http.StatusOK)
		if a.text("needed") != want {
			t.Errorf("%s: %s", query, a.raw)
		}
		return a
	}
	needed("", "nothing")
	needed("?max_age=300", "nothing")
	needed("?phishing_resistant=true", "nothing")
	needed("?factors=sms", "set_up")
	w.clock.Advance(10 * time.Minute)
	a := needed("?max_age=300", "step_up")
	if a.text("next") != "/.mfa/verify?max_age=300&req=1" || a.text("preferred") != "passkey" || a.text("reason") != "too_old" {
		t.Errorf("%s", a.raw)
	}
	if methods := a.body["methods"].([]any); len(methods) != 3 || methods[2].(map[string]any)["left"] != 10.0 {
		t.Errorf("%s", a.raw)
	}
	old := b.cookies["__Host-mfa"]
	a = b.ask(http.MethodPost, verificationPath+"/totp?max_age=300", `{"code":`+quote(b.code())+`}`, http.StatusOK)
	if a.text("needed") != "nothing" || a.body["proven"].([]any)[0].(map[string]any)["factor"] != "totp" {
		t.Errorf("%s", a.raw)
	}
	if b.cookies["__Host-mfa"] == old {
		t.Error("the session has its old ID after a rise")
	}
	// Whoever had the old cookie has nothing.
	thief := w.browser()
	thief.cookies["__Host-mfa"] = old
	thief.ask(http.MethodGet, verificationPath, "", http.StatusUnauthorized)

	w.clock.Advance(6 * time.Minute)
	needed("?max_age=300&factors=passkey", "step_up")
	b.verifyPasskey()
	needed("?max_age=300&factors=passkey", "nothing")
	// AC-113: a code is accepted once.
	b.ask(http.MethodPost, verificationPath+"/totp", `{"code":`+quote(b.code())+`}`, http.StatusOK)
	b.ask(http.MethodPost, verificationPath+"/totp", `{"code":`+quote(b.code())+`}`, http.StatusUnprocessableEntity)
}

func TestVerification_RefusesOddQueries(t *testing.T) {
	w := newWorld(t)
	b := w.person("alice")
	for _, query := range []string{
		"max_age=59", "max_age=0", "max_age=-1", "max_age=x", "max_age=99999999999999999999", "max_age=", "max_age=60&max_age=600",
		"factors=", "factors=password", "factors=totp%20totp", "phishing_resistant=maybe", "req=0", "x=1", "max_age=%zz",
	} {
		b.ask(http.MethodGet, verificationPath+"?"+query, "", http.StatusBadRequest)
	}
}

func TestVerification_SentCode(t *testing.T) {
	w := newWorld(t)
	b := w.person("alice")
	b.ask(http.MethodPost, factorsPath+"/email/send", `{"address":"mine@example.net"}`, http.StatusOK)
	b.ask(http.MethodPost, factorsPath+"/email/finish", `{"code":`+quote(w.post.Code("mine@example.net"))+`}`, http.StatusCreated)
	b.stale()
	b.ask(http.MethodPost, verificationPath+"/email", `{"code":"12345678"}`, http.StatusConflict) // none is on its way
	a := b.ask(http.MethodPost, verificationPath+"/send", `{"factor":"email"}`, http.StatusOK)
	if strings.Contains(string(a.raw), "mine@") {
		t.Errorf("AC-131: %s", a.raw)
	}
	letters := len(w.post.To("mine@example.net"))
	b.ask(http.MethodPost, verificationPath+"/send", `{"factor":"email","again":true}`, http.StatusOK)
	if len(w.post.To("mine@example.net")) != letters {
		t.Error("a second letter within a minute")
	}
	b.ask(http.MethodPost, verificationPath+"/email", `{"code":"00000000"}`, http.StatusUnprocessableEntity)
	b.ask(http.MethodPost, verificationPath+"/email", `{"code":`+quote(w.post.Code("mine@example.net"))+`}`, http.StatusOK)
	b.ask(http.MethodPost, verificationPath+"/send", `{"factor":"totp"}`, http.StatusBadRequest)
	b.ask(http.MethodPost, verificationPath+"/send", `{"factor":"sms"}`, http.StatusForbidden)
	b.ask(http.MethodPost, verificationPath+"/send", `{"factor":"email","id":"none"}`, http.StatusForbidden)
	// The letter is in the language of the browser.
	r := b.request(http.MethodPost, verificationPath+"/send", `{"factor":"email"}`)
	r.Header.Set("Accept-Language", "de-AT,de;q=0.9")
	b.do(r)
	if all := w.post.All(); all[len(all)-1].Language != "de-AT,de;q=0.9" {
		t.Errorf("language %q", all[len(all)-1].Language)
	}
	w.clock.Advance(2 * time.Minute)
	w.post.Fail(mfa.ErrNotSent)
	if a := b.ask(http.MethodPost, verificationPath+"/send", `{"factor":"email","again":true}`, http.StatusServiceUnavailable); a.reason() != "not_sent" {
		t.Errorf("%s", a.raw)
	}
}

// Guessing is slowed down as on the page, by the same counter (behaviour.md §5).
func TestVerification_IsThrottled(t *testing.T) {
	w := newWorld(t)
	b := w.person("alice")
	for range 30 {
		a := b.do(b.request(http.MethodPost, verificationPath+"/totp", `{"code":"000000"}`))
		if a.StatusCode == http.StatusTooManyRequests {
			if a.Header.Get("Retry-After") == "" || a.body["retry_after"] == nil || a.reason() != "throttled" {
				t.Errorf("%v %s", a.Header, a.raw)
			}
			b.ask(http.MethodPost, verificationPath+"/totp", `{"code":`+quote(b.code())+`}`, http.StatusTooManyRequests)
			return
		}
	}
	t.Error("30 wrong codes were tried")
}
