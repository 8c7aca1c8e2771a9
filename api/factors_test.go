package api_test

import (
	"encoding/json"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/secondgate/secondgate/mfa"
)

const factorsPath = accountPath + "/factors"

// factor returns the ID of the first factor of that kind.
func (b *browser) factor(kind mfa.Kind) string {
	b.w.t.Helper()
	a := b.ask(http.MethodGet, factorsPath, "", http.StatusOK)
	for _, f := range a.body["factors"].([]any) {
		if f := f.(map[string]any); f["factor"] == string(kind) {
			return f["id"].(string)
		}
	}
	b.w.t.Fatalf("there is no %s: %s", kind, a.raw)
	return ""
}

// begun returns the ID and the options of a passkey ceremony.
func begun(a *answer) (id string, options []byte) {
	raw, _ := json.Marshal(map[string]any{"publicKey": a.body["publicKey"]})
	return a.text("id"), raw
}

func (b *browser) addPasskey(name string) *answer {
	b.w.t.Helper()
	id, options := begun(b.ask(http.MethodPost, factorsPath+"/passkey/begin", "{}", http.StatusOK))
	reply, err := b.passkey.Enroll(options, nil)
	must(b.w.t, err)
	return b.ask(http.MethodPost, factorsPath+"/passkey/finish", `{"id":`+quote(id)+`,"answer":`+string(reply)+`,"name":`+quote(name)+`}`, http.StatusCreated)
}

// B33: a program does with factors what the account page does.
func TestFactors_AddRenameRemove(t *testing.T) {
	w := newWorld(t)
	b := w.person("alice")
	a := b.addPasskey("Laptop")
	added := a.body["factor"].(map[string]any)
	if added["name"] != "Laptop" || added["host"] != host || a.body["backup_codes_owed"] != false {
		t.Errorf("%s", a.raw)
	}
	one := factorsPath + "/" + added["id"].(string)
	a = b.ask(http.MethodPatch, one, `{"name":" My  laptop "}`, http.StatusOK)
	if a.text("name") != "My laptop" {
		t.Errorf("renamed to %q", a.text("name"))
	}
	b.ask(http.MethodPatch, one, `{"name":""}`, http.StatusUnprocessableEntity)
	b.ask(http.MethodPatch, one, `{"name":`+quote(strings.Repeat("x", 65))+`}`, http.StatusUnprocessableEntity)
	b.ask(http.MethodDelete, one, "", http.StatusNoContent)
	b.ask(http.MethodDelete, one, "", http.StatusNotFound)
	b.ask(http.MethodPatch, one, `{"name":"x"}`, http.StatusNotFound)

	setup := b.ask(http.MethodPost, factorsPath+"/totp/begin", "{}", http.StatusOK)
	if again := b.ask(http.MethodPost, factorsPath+"/totp/begin", "{}", http.StatusOK); again.text("secret") != setup.text("secret") {
		t.Error("a second question has another secret")
	}
	old := b.phone
	b.phone = setup.text("secret")
	if strings.Contains(setup.text("uri"), old) || old == b.phone {
		t.Error("AC-161: the secret of the app that is set up was shown")
	}
	b.ask(http.MethodPost, factorsPath+"/totp/finish", `{"code":"000000"}`, http.StatusUnprocessableEntity)
	a = b.ask(http.MethodPost, factorsPath+"/totp/finish", `{"code":`+quote(b.code())+`,"name":"Tablet"}`, http.StatusCreated)
	if a.body["factor"].(map[string]any)["name"] != "Tablet" {
		t.Errorf("%s", a.raw)
	}
	if n := len(w.events.Named(mfa.EventEnroll)); n < 3 {
		t.Errorf("%d events of set-ups", n)
	}
	notices := b.ask(http.MethodGet, accountPath+"/notices", "", http.StatusOK).body["notices"].([]any)
	if len(notices) < 3 {
		t.Errorf("%d notices", len(notices))
	}
}

// B12: an address is set up with a code, or without one where it is proven already.
func TestFactors_Address(t *testing.T) {
	w := newWorld(t)
	b := w.person("alice")
	for _, c := range []struct{ kind, typed, to string }{{"email", "Alice@Example.com", "Alice@example.com"}, {"sms", "+49 1512 3456789", "+4915123456789"}} {
		t.Run(c.kind, func(t *testing.T) {
			a := b.ask(http.MethodPost, factorsPath+"/"+c.kind+"/send", `{"address":`+quote(c.typed)+`}`, http.StatusOK)
			if !strings.ContainsAny(a.text("masked"), "*•") {
				t.Errorf("%s", a.raw)
			}
			code := ""
			for _, l := range w.post.All() {
				if l.Kind == mfa.LetterSetUp && strings.EqualFold(l.To, c.to) {
					code = string([]byte(l.Code))
				}
			}
			b.ask(http.MethodPost, factorsPath+"/"+c.kind+"/finish", `{"code":"0"}`, http.StatusUnprocessableEntity)
			a = b.ask(http.MethodPost, factorsPath+"/"+c.kind+"/finish", `{"code":`+quote(code)+`}`, http.StatusCreated)
			added := a.body["factor"].(map[string]any)
			if !strings.ContainsAny(added["name"].(string), "*•") {
				t.Errorf("the name is no mask: %s", a.raw)
			}
			a = b.ask(http.MethodPost, factorsPath+"/"+c.kind+"/send", `{"address":`+quote(c.typed)+`}`, http.StatusConflict)
			if a.reason() != "held" {
				t.Errorf("%s", a.raw)
			}
			b.ask(http.MethodPost, factorsPath+"/"+c.kind+"/finish", `{"code":`+quote(code)+`}`, http.StatusConflict)
		})
	}
	b.ask(http.MethodPost, factorsPath+"/email/send", `{}`, http.StatusBadRequest)
	b.ask(http.MethodPost, factorsPath+"/email/send", `{"address":"a@b.example","ref":"x"}`, http.StatusBadRequest)
	b.ask(http.MethodPost, factorsPath+"/email/send", `{"ref":"none"}`, http.StatusUnprocessableEntity)
	b.ask(http.MethodPost, factorsPath+"/email/send", `{"address":"nobody"}`, http.StatusUnprocessableEntity)
	b.ask(http.MethodPost, factorsPath+"/sms/send", `{"address":"+12025550123"}`, http.StatusUnprocessableEntity)
}

// AC-164: a code is good for the address that it was sent to, by whom it was asked for.
func TestFactors_AddressIsProvenByItsOwner_AC164(t *testing.T) {
	w := newWorld(t)
	alice, bob := w.person("alice"), w.person("bob")
	alice.ask(http.MethodPost, factorsPath+"/email/send", `{"address":"mine@example.net"}`, http.StatusOK)
	code := w.post.Code("mine@example.net")
	bob.ask(http.MethodPost, factorsPath+"/email/send", `{"address":"victim@example.net"}`, http.StatusOK)
	bob.ask(http.MethodPost, factorsPath+"/email/finish", `{"code":`+quote(code)+`}`, http.StatusUnprocessableEntity)
	// A code for the address before is worth nothing for the next one.
	alice.ask(http.MethodPost, factorsPath+"/email/send", `{"address":"victim@example.net"}`, http.StatusOK)
	alice.ask(http.MethodPost, factorsPath+"/email/finish", `{"code":`+quote(code)+`}`, http.StatusUnprocessableEntity)
	for _, name := range []string{"alice", "bob"} {
		if n := len(w.user(name).Credentials); n != 2 {
			t.Errorf("%s has %d credentials", name, n)
		}
	}
}

// B15, AC-162, AC-165, RFC 9470: with a proof of more than ten minutes ago nothing is
// added, renamed, removed or replaced. The answer says what would do and where.
func TestFactors_NeedANewerProof_B15(t *testing.T) {
	w := newWorld(t)
	b := w.person("alice")
	app := b.factor(mfa.TOTP)
	b.stale()
	before := len(w.user("alice").Credentials)
	for _, op := range [][3]string{
		{"PATCH", factorsPath + "/" + app, `{"name":"x"}`}, {"DELETE", factorsPath + "/" + app, ""}, {"DELETE", factorsPath + "/backup-codes", ""},
		{"POST", factorsPath + "/passkey/begin", "{}"}, {"POST", factorsPath + "/totp/begin", "{}"},
		{"POST", factorsPath + "/email/send", `{"address":"a@b.example"}`}, {"POST", factorsPath + "/sms/send", `{"address":"+4915123456789"}`},
		{"POST", accountPath + "/backup-codes", "{}"}, {"PUT", accountPath + "/password", `{"old":` + quote(goodPassword) + `,"new":` + quote(nextPassword) + `}`},
	} {
		a := b.ask(op[0], op[1], op[2], http.StatusUnauthorized)
		challenge := a.Header.Get("WWW-Authenticate")
		if !strings.Contains(challenge, `error="insufficient_user_authentication"`) || !strings.Contains(challenge, `max_age="600"`) {
			t.Errorf("%s %s: %s", op[0], op[1], challenge)
		}
		if !strings.HasPrefix(a.text("next"), "/.mfa/verify?for=app&prove=") || a.reason() != "too_old" || len(a.body["factors"].([]any)) == 0 {
			t.Errorf("%s %s: %s", op[0], op[1], a.raw)
		}
		if a.body["secret"] != nil || a.body["codes"] != nil {
			t.Errorf("AC-161 %s %s: %s", op[0], op[1], a.raw)
		}
	}
	if n := len(w.user("alice").Credentials); n != before {
		t.Errorf("there are %d credentials, before %d", n, before)
	}
	// With a new proof it goes on.
	b.ask(http.MethodPost, accountPath+"/verification/totp", `{"code":`+quote(b.code())+`}`, http.StatusOK)
	b.ask(http.MethodPatch, factorsPath+"/"+app, `{"name":"x"}`, http.StatusOK)
}

// B15: a code adds, but does not remove, a passkey.
func TestFactors_RemoveNeedsAStrongProof_B15(t *testing.T) {
	w := newWorld(t)
	b := w.person("alice")
	b.addPasskey("Laptop")
	id := b.factor(mfa.Passkey)
	b.stale()
	b.ask(http.MethodPost, accountPath+"/verification/totp", `{"code":`+quote(b.code())+`}`, http.StatusOK)
	a := b.ask(http.MethodDelete, factorsPath+"/"+id, "", http.StatusUnauthorized)
	if a.text("next") != "/.mfa/verify?for=app&prove=passkey" {
		t.Errorf("%s", a.raw)
	}
	b.verifyPasskey()
	b.ask(http.MethodDelete, factorsPath+"/"+id, "", http.StatusNoContent)
}

func (b *browser) verifyPasskey() *answer {
	b.w.t.Helper()
	id, options := begun(b.ask(http.MethodPost, accountPath+"/verification/passkey/begin", "{}", http.StatusOK))
	reply, err := b.passkey.Verify(options, nil)
	must(b.w.t, err)
	return b.ask(http.MethodPost, accountPath+"/verification/passkey/finish", `{"id":`+quote(id)+`,"answer":`+string(reply)+`}`, http.StatusOK)
}

// AC-160, B17: a thief of a password cannot set up the first factor, where the policy
// asks for more than the password.
func TestFactors_FirstNeedsMoreThanAPassword_AC160(t *testing.T) {
	w := newWorld(t)
	b := w.newcomer("carol")
	w.policy.Optional, w.policy.Prompt = true, mfa.PromptNever
	if a := b.ask(http.MethodGet, accountPath, "", http.StatusOK); a.text("status") != "none" {
		t.Errorf("%s", a.raw)
	}
	w.policy.Enrollment = mfa.Enrollment{}
	for _, path := range []string{"/passkey/begin", "/totp/begin"} {
		a := b.ask(http.MethodPost, factorsPath+path, "{}", http.StatusForbidden)
		if a.reason() != "enrollment_closed" || a.text("next") != "/.mfa/set-up" {
			t.Errorf("%s", a.raw)
		}
	}
	w.policy.Enrollment = mfa.Enrollment{Open: true}
	b.stale()
	a := b.ask(http.MethodPost, factorsPath+"/totp/begin", "{}", http.StatusUnauthorized)
	if a.text("next") != "/.mfa/sign-in?for=app" {
		t.Errorf("%s", a.raw)
	}
	if n := len(w.user("carol").Credentials); n != 0 {
		t.Errorf("%d credentials", n)
	}
}

// B14: the first factor brings backup codes.
func TestFactors_FirstOwesCodes_B14(t *testing.T) {
	w := newWorld(t)
	b := w.newcomer("carol")
	w.policy.Optional, w.policy.Prompt = true, mfa.PromptNever
	if a := b.addPasskey(""); a.body["backup_codes_owed"] != true {
		t.Errorf("%s", a.raw)
	}
}

// AC-166: what was begun is over after a while, or when somebody else begins.
func TestFactors_BegunLongAgo_AC166(t *testing.T) {
	w := newWorld(t)
	b := w.person("alice")
	id, options := begun(b.ask(http.MethodPost, factorsPath+"/passkey/begin", "{}", http.StatusOK))
	reply, err := b.passkey.Enroll(options, nil)
	must(t, err)
	w.clock.Advance(mfa.ChallengeLife + time.Second)
	finish := `{"id":` + quote(id) + `,"answer":` + string(reply) + `}`
	if a := b.ask(http.MethodPost, factorsPath+"/passkey/finish", finish, http.StatusConflict); a.reason() != "expired" {
		t.Errorf("%s", a.raw)
	}
	b.ask(http.MethodPost, factorsPath+"/totp/finish", `{"code":"123456"}`, http.StatusConflict)
	b.ask(http.MethodPost, accountPath+"/backup-codes/confirm", `{}`, http.StatusConflict)
}

// AC-137: an answer of a passkey is tried once; one of another's ceremony is no answer.
func TestFactors_PasskeyAnswerOnce_AC137(t *testing.T) {
	w := newWorld(t)
	alice, bob := w.person("alice"), w.person("bob")
	id, options := begun(alice.ask(http.MethodPost, factorsPath+"/passkey/begin", "{}", http.StatusOK))
	reply, err := alice.passkey.Enroll(options, nil)
	must(t, err)
	finish := `{"id":` + quote(id) + `,"answer":` + string(reply) + `}`
	bob.ask(http.MethodPost, factorsPath+"/passkey/finish", finish, http.StatusUnprocessableEntity)
	alice.ask(http.MethodPost, factorsPath+"/passkey/finish", finish, http.StatusConflict) // bob's try has spent it
	if len(w.user("bob").Credentials) != 2 || len(w.user("alice").Credentials) != 2 {
		t.Error("somebody has a passkey")
	}
}

// AC-167, B34: the last factor stays while one is required, also where two requests remove
// two different ones at once.
func TestFactors_LastOneStays_AC167(t *testing.T) {
	w := newWorld(t)
	b := w.person("alice")
	a := b.ask(http.MethodDelete, factorsPath+"/"+b.factor(mfa.TOTP), "", http.StatusConflict)
	if a.reason() != "last_factor" {
		t.Errorf("%s", a.raw)
	}
	b.addPasskey("Laptop")
	b.verifyPasskey()
	ids := []string{b.factor(mfa.TOTP), b.factor(mfa.Passkey)}
	statuses := make([]int, len(ids))
	var all sync.WaitGroup
	for i, id := range ids {
		r := b.request(http.MethodDelete, factorsPath+"/"+id, "")
		all.Go(func() { statuses[i] = (&browser{w: w, cookies: map[string]string{}}).do(r).StatusCode })
	}
	all.Wait()
	if statuses[0]+statuses[1] != http.StatusNoContent+http.StatusConflict {
		t.Errorf("statuses %v", statuses)
	}
}

// AC-168, B14: codes are in one answer and in no other; the old set is good until the new
// one is confirmed, and dead from then on.
func TestBackupCodes_AC168(t *testing.T) {
	w := newWorld(t)
	b := w.person("alice")
	path := accountPath + "/backup-codes"
	a := b.ask(http.MethodPost, path, "{}", http.StatusOK)
	codes := a.body["codes"].([]any)
	if len(codes) != mfa.CodesPerSet {
		t.Fatalf("%d codes", len(codes))
	}
	fresh := codes[0].(string)
	try := func(code string, status int) {
		t.Helper()
		b.ask(http.MethodPost, accountPath+"/verification/backup-code", `{"code":`+quote(code)+`}`, status)
	}
	try(fresh, http.StatusUnprocessableEntity)
	try(b.codes[0], http.StatusOK)
	// The session goes on, and the set that waits with it.
	a = b.ask(http.MethodPost, path, "{}", http.StatusOK)
	if a.body["codes"].([]any)[0] != fresh {
		t.Error("the set that waited is another one")
	}
	if a = b.ask(http.MethodPost, path+"/confirm", "{}", http.StatusOK); a.body["left"] != 10.0 {
		t.Errorf("%s", a.raw)
	}
	try(b.codes[1], http.StatusUnprocessableEntity)
	try(fresh, http.StatusOK)
	for _, p := range []string{accountPath, path, factorsPath} {
		a = b.ask(http.MethodGet, p, "", http.StatusOK)
		for _, code := range codes {
			if strings.Contains(string(a.raw), code.(string)) {
				t.Errorf("a code is in %s", p)
			}
		}
	}
	if a = b.ask(http.MethodPost, path, "{}", http.StatusOK); a.body["codes"].([]any)[0] == fresh {
		t.Error("a set that is live was shown again")
	}
	used := 0
	for _, n := range w.user("alice").Notices {
		if n.Kind == mfa.NoticeCodeUsed {
			used++
		}
	}
	if used != 2 {
		t.Errorf("%d notices of used codes", used)
	}
}

// Nobody reaches what is another's by its name.
func TestFactors_OfOthersAreNotThere(t *testing.T) {
	w := newWorld(t)
	alice, bob := w.person("alice"), w.person("bob")
	theirs := bob.ask(http.MethodGet, accountPath, "", http.StatusOK)
	session := theirs.body["sessions"].([]any)[0].(map[string]any)["id"].(string)
	app := bob.factor(mfa.TOTP)
	alice.ask(http.MethodPatch, factorsPath+"/"+app, `{"name":"x"}`, http.StatusNotFound)
	alice.ask(http.MethodDelete, factorsPath+"/"+app, "", http.StatusNotFound)
	alice.ask(http.MethodDelete, accountPath+"/sessions/"+session, "", http.StatusNotFound)
	alice.ask(http.MethodDelete, accountPath+"/devices/none", "", http.StatusNotFound)
	if after := bob.ask(http.MethodGet, accountPath, "", http.StatusOK); string(after.raw) != string(theirs.raw) {
		t.Errorf("bob's account was %s\nis %s", theirs.raw, after.raw)
	}
}

// B34: after a warning the last one goes, other sessions end, and this one sets up another.
func TestFactors_LastOneGoesAfterAWarning_B34(t *testing.T) {
	w := newWorld(t)
	b := w.person("alice")
	other := b.again("alice")
	one := factorsPath + "/" + b.factor(mfa.TOTP)
	b.ask(http.MethodDelete, one+"?last=yes", "", http.StatusBadRequest)
	b.ask(http.MethodDelete, one+"?last=true", "", http.StatusNoContent)
	if n := len(w.user("alice").Credentials); n != 0 {
		t.Errorf("%d credentials are left", n)
	}
	other.ask(http.MethodGet, accountPath, "", http.StatusUnauthorized)
	if a := b.ask(http.MethodGet, accountPath, "", http.StatusUnauthorized); a.text("next") != "/.mfa/set-up" {
		t.Errorf("%s", a.raw)
	}
	b.addPasskey("Laptop")
	b.ask(http.MethodGet, accountPath, "", http.StatusOK)
	// Where it is not the last, the warning was about something else.
	b.phone = b.ask(http.MethodPost, factorsPath+"/totp/begin", "{}", http.StatusOK).text("secret")
	b.ask(http.MethodPost, factorsPath+"/totp/finish", `{"code":`+quote(b.code())+`}`, http.StatusCreated)
	b.ask(http.MethodDelete, factorsPath+"/"+b.factor(mfa.Passkey)+"?last=true", "", http.StatusConflict)
}
