package api_test

import (
	"fmt"
	"net/http"
	"net/url"
	"testing"
	"time"

	"github.com/secondgate/secondgate/mfa"
)

const sessionsPath = accountPath + "/sessions"

// sessions returns the IDs of the other sessions and of this one.
func (b *browser) sessions() (others []string, own string) {
	b.w.t.Helper()
	for _, s := range b.ask(http.MethodGet, sessionsPath, "", http.StatusOK).body["sessions"].([]any) {
		if s := s.(map[string]any); s["current"] == true {
			own = s["id"].(string)
		} else {
			others = append(others, s["id"].(string))
		}
	}
	return others, own
}

// B33: one session ends another, all others, and itself; each is at sign-in on its next
// request.
func TestSessions_End(t *testing.T) {
	w := newWorld(t)
	b := w.person("alice")
	second, third := b.again("alice"), b.again("alice")
	others, own := b.sessions()
	if len(others) != 2 || own == "" {
		t.Fatalf("others %v, own %q", others, own)
	}
	b.ask(http.MethodDelete, sessionsPath+"/"+others[0], "", http.StatusNoContent)
	b.ask(http.MethodDelete, sessionsPath+"/"+others[0], "", http.StatusNotFound)
	gone := 0
	for _, other := range []*browser{second, third} {
		if a := other.do(other.request(http.MethodGet, accountPath, "")); a.StatusCode == http.StatusUnauthorized {
			gone++
		}
	}
	if gone != 1 {
		t.Errorf("%d sessions have ended, want 1", gone)
	}
	b.ask(http.MethodDelete, sessionsPath, "", http.StatusNoContent)
	second.ask(http.MethodGet, accountPath, "", http.StatusUnauthorized)
	third.ask(http.MethodGet, accountPath, "", http.StatusUnauthorized)
	_, own = b.sessions()
	b.ask(http.MethodDelete, sessionsPath+"/"+own, "", http.StatusNoContent)
	if b.cookies["__Host-mfa"] != "" {
		t.Error("the browser kept the cookie of its own session")
	}
	b.ask(http.MethodGet, accountPath, "", http.StatusUnauthorized)
}

// AC-123, AC-040, AC-129
func TestSignOut(t *testing.T) {
	w := newWorld(t)
	b := w.person("alice")
	b.ask(http.MethodGet, accountPath+"/sign-out", "", http.StatusMethodNotAllowed)
	b.ask(http.MethodGet, accountPath, "", http.StatusOK)
	old := b.cookies["__Host-mfa"]
	a := b.ask(http.MethodPost, accountPath+"/sign-out", "{}", http.StatusNoContent)
	if a.Header.Get("Clear-Site-Data") != `"cache"` || b.cookies["__Host-mfa"] != "" {
		t.Errorf("%v, %v", a.Header, b.cookies)
	}
	b.cookies["__Host-mfa"] = old
	b.ask(http.MethodGet, accountPath, "", http.StatusUnauthorized)
	w.browser().ask(http.MethodPost, accountPath+"/sign-out", "{}", http.StatusNoContent)

	half := w.browser()
	out, err := w.gate.SignIn(t.Context(), half.place(), "local", "alice", goodPassword)
	must(t, err)
	half.hold(out)
	half.ask(http.MethodPost, accountPath+"/sign-out", "{}", http.StatusNoContent)
	if len(half.cookies) != 0 {
		t.Errorf("cookies %v", half.cookies)
	}
	if _, err := w.store.Session(t.Context(), out.Session.ID); err == nil {
		t.Error("the half-done sign-in has not ended")
	}
}

// The person's own session goes on under a new cookie; every other one ends.
func TestPassword_Change(t *testing.T) {
	w := newWorld(t)
	b := w.person("alice")
	other := b.again("alice")
	body := func(old, next string) string { return `{"old":` + quote(old) + `,"new":` + quote(next) + `}` }
	path := accountPath + "/password"
	b.ask(http.MethodPost, verificationPath+"/totp", `{"code":`+quote(nextCode(b))+`}`, http.StatusOK)
	if a := b.ask(http.MethodPut, path, body("wrong wrong wrong", nextPassword), http.StatusUnprocessableEntity); a.reason() != "rejected" {
		t.Errorf("%s", a.raw)
	}
	if a := b.ask(http.MethodPut, path, body(goodPassword, "short"), http.StatusUnprocessableEntity); a.reason() != "password" || a.text("field") != "new" {
		t.Errorf("%s", a.raw)
	}
	b.ask(http.MethodPut, path, body(goodPassword, nextPassword), http.StatusNoContent)
	b.ask(http.MethodGet, accountPath, "", http.StatusOK)
	other.ask(http.MethodGet, accountPath, "", http.StatusUnauthorized)
}

func nextCode(b *browser) string {
	b.w.clock.Advance(30 * time.Second)
	return b.code()
}

// B19
func TestOptOut_B19(t *testing.T) {
	w := newWorld(t)
	b := w.person("alice")
	path := accountPath + "/opt-out"
	if a := b.ask(http.MethodPut, path, "{}", http.StatusForbidden); a.reason() != "not_allowed" {
		t.Errorf("%s", a.raw)
	}
	w.policy.Optional = true
	b.ask(http.MethodPut, path, "{}", http.StatusNoContent)
	if a := b.ask(http.MethodGet, accountPath, "", http.StatusOK); a.text("status") != "opted_out" {
		t.Errorf("%s", a.raw)
	}
	b.ask(http.MethodDelete, path, "", http.StatusNoContent)
	if a := b.ask(http.MethodGet, accountPath, "", http.StatusOK); a.text("status") != "on" {
		t.Errorf("%s", a.raw)
	}
	b.stale()
	b.ask(http.MethodPut, path, "{}", http.StatusUnauthorized)
}

// B29: browsers that stand for a second factor are listed and forgotten, one or all.
func TestDevices_B29(t *testing.T) {
	w := newWorld(t)
	w.policy.RememberDevice = 30 * 24 * time.Hour
	b := w.person("alice")
	var trusted []*browser
	for range 3 {
		other := w.browser()
		other.phone = b.phone
		at := other.place()
		at.Remember = true
		out, err := w.gate.SignIn(t.Context(), at, "local", "alice", goodPassword)
		must(t, err)
		out, err = w.gate.VerifyTOTP(t.Context(), at, out.Session.ID, nextCode(b))
		must(t, err)
		other.hold(out)
		trusted = append(trusted, other)
	}
	path := accountPath + "/devices"
	list := func() []any { return b.ask(http.MethodGet, path, "", http.StatusOK).body["devices"].([]any) }
	devices := list()
	if len(devices) != 3 {
		t.Fatalf("devices %v", devices)
	}
	one := path + "/" + devices[0].(map[string]any)["id"].(string)
	b.ask(http.MethodDelete, one, "", http.StatusNoContent)
	b.ask(http.MethodDelete, one, "", http.StatusNotFound)
	if n := len(list()); n != 2 {
		t.Errorf("%d are left", n)
	}
	b.ask(http.MethodDelete, path, "", http.StatusNoContent)
	if n := len(list()); n != 0 {
		t.Errorf("%d are left", n)
	}
	for _, other := range trusted {
		at := other.place()
		out, err := w.gate.SignIn(t.Context(), at, "local", "alice", goodPassword)
		must(t, err)
		if out.Session.Complete {
			t.Error("a browser that was forgotten stands for a second factor")
		}
	}
}

// Whoever did something cannot take away in the same session that it is told.
func TestNotices_ArePutAway(t *testing.T) {
	w := newWorld(t)
	b := w.person("alice")
	b.addPasskey("Laptop")
	path := accountPath + "/notices"
	newest := func(b *browser) string {
		t.Helper()
		list := b.ask(http.MethodGet, path, "", http.StatusOK).body["notices"].([]any)
		if len(list) == 0 {
			return ""
		}
		return list[0].(map[string]any)["at"].(string)
	}
	until := newest(b)
	b.ask(http.MethodPost, path+"/seen", `{"until":`+quote(until)+`}`, http.StatusNoContent)
	if newest(b) != until {
		t.Error("the notice is gone in the session that caused it")
	}
	w.clock.Advance(time.Minute)
	later := b.again("alice")
	later.ask(http.MethodPost, path+"/seen", `{"until":`+quote(newest(later))+`}`, http.StatusNoContent)
	if at := newest(later); at == until {
		t.Error("the notice is still there")
	}
	later.ask(http.MethodPost, path+"/seen", `{"until":"yesterday"}`, http.StatusBadRequest)
}

// A session that owes something first is told what, as an app would be.
func TestAccount_OwedFirst(t *testing.T) {
	w := newWorld(t)
	b := w.newcomer("carol")
	a := b.ask(http.MethodGet, accountPath, "", http.StatusUnauthorized)
	if a.reason() != "nothing_set_up" || a.text("next") != "/.mfa/set-up" {
		t.Errorf("%s", a.raw)
	}
	// What is owed can be done here: she has just signed in.
	setup := b.ask(http.MethodPost, factorsPath+"/totp/begin", "{}", http.StatusOK)
	b.phone = setup.text("secret")
	b.ask(http.MethodPost, factorsPath+"/totp/finish", `{"code":`+quote(b.code())+`}`, http.StatusCreated)
	b.ask(http.MethodGet, accountPath, "", http.StatusOK)

	u := w.user("carol")
	must(t, w.store.UpdateUser(t.Context(), u.ID, func(u *mfa.User) error { u.Disabled = true; return nil }))
	if a := b.do(b.request(http.MethodGet, accountPath, "")); a.StatusCode != http.StatusForbidden || a.reason() != "disabled" {
		t.Errorf("%d %s", a.StatusCode, a.raw)
	}
}

// AC-131: of what the record holds, nothing secret is in any answer.
func TestAccount_ShowsNoSecrets_AC131(t *testing.T) {
	w := newWorld(t)
	w.policy.RememberDevice = time.Hour
	b := w.person("alice")
	b.addPasskey("Laptop")
	u := w.user("alice")
	for _, path := range []string{accountPath, factorsPath, sessionsPath, accountPath + "/devices", accountPath + "/notices", accountPath + "/backup-codes", verificationPath} {
		a := b.ask(http.MethodGet, path, "", http.StatusOK)
		secrets := []string{string([]byte(u.Password)), string(u.ID), fmt.Sprintf("%q", u.Handle), b.phone, b.cookies["__Host-mfa"]}
		for _, c := range u.Credentials {
			secrets = append(secrets, string([]byte(c.Data)), c.Unique)
		}
		secrets = append(secrets, b.codes...)
		for _, s := range secrets {
			if s != "" && len(s) > 4 && contains(a.raw, s) {
				t.Errorf("%s: %q is in the answer", path, s)
			}
		}
	}
}

// What happened to the account is read in pages, by its owner alone (AC-131).
func TestActivity(t *testing.T) {
	w := newWorld(t)
	w.keepEvents = true
	alice, bob := w.person("alice"), w.person("bob")
	alice.addPasskey("Laptop")
	path := accountPath + "/activity"
	seen, after := 0, ""
	for {
		a := alice.ask(http.MethodGet, path+"?limit=2&after="+url.QueryEscape(after), "", http.StatusOK)
		seen += len(a.body["activity"].([]any))
		if after = a.text("next"); after == "" {
			break
		}
	}
	if seen < 4 {
		t.Errorf("%d things happened", seen)
	}
	if a := bob.ask(http.MethodGet, path, "", http.StatusOK); contains(a.raw, "passkey") {
		t.Errorf("bob reads of alice: %s", a.raw)
	}
	for _, query := range []string{"limit=0", "limit=101", "limit=x", "after=nonsense", "after=%zz"} {
		alice.ask(http.MethodGet, path+"?"+query, "", http.StatusBadRequest)
	}
}

// B33: the score says what would raise it.
// B37: who has not reached the goal of a campaign is told so, and nobody else.
func TestAccount_Campaign_B37(t *testing.T) {
	w := newWorld(t)
	b := w.person("alice")
	campaign := func() any { return b.ask(http.MethodGet, accountPath, "", http.StatusOK).body["campaign"] }
	err := w.gate.As(mfa.OnMachine()).SetCampaign(t.Context(), mfa.CampaignInput{Factors: mfa.KindsOf(mfa.Passkey), Deadline: w.clock.Now().Add(72 * time.Hour)})
	if err != nil {
		t.Fatal(err)
	}
	c, _ := campaign().(map[string]any)
	if c["days_left"] != 3.0 || c["required"] != false || len(c["factors"].([]any)) != 1 {
		t.Errorf("%v", c)
	}
	b.addPasskey("Laptop")
	if c := campaign(); c != nil {
		t.Errorf("told after the goal was reached: %v", c)
	}
}

func TestAccount_Score(t *testing.T) {
	w := newWorld(t)
	b := w.person("alice")
	score := func() (level string, first any) {
		s := b.ask(http.MethodGet, accountPath, "", http.StatusOK).body["score"].(map[string]any)
		if advice := s["advice"].([]any); len(advice) > 0 {
			first = advice[0].(map[string]any)["advice"]
		}
		return s["level"].(string), first
	}
	if level, first := score(); level != "good" || first != "add_passkey" {
		t.Errorf("%s, %v", level, first)
	}
	b.addPasskey("Laptop")
	if _, first := score(); first != "add_second_passkey" {
		t.Errorf("%v", first)
	}
}
