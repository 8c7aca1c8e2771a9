package pages

import (
	"context"
	"errors"
	"html"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/secondgate/secondgate/guard"
	"github.com/secondgate/secondgate/internal/web"
	"github.com/secondgate/secondgate/mfa"
)

// fakeStrangers is what the gate knows of people who have proven nothing yet. The zero
// value offers nothing but the password.
type fakeStrangers struct {
	signIn  mfa.Kinds
	signUp  mfa.SignUp
	forget  bool
	waiting *mfa.Waiting // on its way; nil: none
	again   *mfa.Waiting // what a try that fails leaves
	mailed  string       // the link of the last letter
}

// everything is offered.
func (s *fakeStrangers) everything() {
	s.signIn, s.signUp, s.forget = mfa.KindsOf(mfa.Email, mfa.SMS), mfa.SignUp{Name: true, Channels: mfa.KindsOf(mfa.Email, mfa.SMS)}, true
}

func (g *fakeGate) SignInWays() mfa.Kinds  { return g.signIn }
func (g *fakeGate) SignUpWays() mfa.SignUp { return g.signUp }
func (g *fakeGate) CanForget() bool        { return g.forget }

func (g *fakeGate) SendSignInCode(_ context.Context, at *mfa.Place, typed string) (*mfa.Waiting, error) {
	g.call("SendSignInCode", at, typed)
	if g.err != nil {
		return nil, g.err
	}
	return g.waiting, nil
}

func (g *fakeGate) Waiting(_ context.Context, _ *mfa.Place, id string) (*mfa.Waiting, error) {
	if g.stateOf != nil {
		return nil, g.stateOf
	}
	if g.waiting == nil || g.waiting.ID != id {
		return nil, mfa.ErrExpired
	}
	return g.waiting, nil
}

func (g *fakeGate) FinishWaiting(_ context.Context, at *mfa.Place, id, code string) (*mfa.Outcome, *mfa.Waiting, error) {
	g.call("FinishWaiting", at, id, code)
	if g.err != nil {
		return nil, g.again, g.err
	}
	return g.outcome, nil, nil
}

func (g *fakeGate) BeginSignUp(_ context.Context, at *mfa.Place, in mfa.SignUpInput) (*mfa.Outcome, *mfa.Waiting, error) {
	g.call("BeginSignUp", at, in.Name, in.DisplayName, in.Password)
	if g.err != nil {
		return nil, nil, g.err
	}
	return g.outcome, g.waiting, nil
}

func (g *fakeGate) ForgotPassword(_ context.Context, at *mfa.Place, name string, link func(string) string) error {
	g.call("ForgotPassword", at, name)
	if g.err != nil {
		return g.err
	}
	g.mailed = link("secret-of-the-letter")
	return nil
}

func (g *fakeGate) BeginPasskeySignIn(_ context.Context, at *mfa.Place) (*mfa.Ceremony, error) {
	g.call("BeginPasskeySignIn", at)
	return g.ceremony()
}

func (g *fakeGate) FinishPasskeySignIn(_ context.Context, at *mfa.Place, ceremony string, answer []byte) (*mfa.Outcome, error) {
	g.call("FinishPasskeySignIn", at, ceremony, string(answer))
	return g.out()
}

// fakeWaiting keeps the name of a code on its way in a real cookie.
type fakeWaiting struct{ waitingSet []string }

func (g *fakeGuard) SetWaiting(w http.ResponseWriter, req *guard.Request, id string) {
	g.waitingSet = append(g.waitingSet, id)
	if id == "" {
		req.Cookies.Clear(w, web.WaitingCookie)
		return
	}
	req.Cookies.Set(w, web.WaitingCookie, id, 0)
}

func (g *fakeGuard) Waiting(r *http.Request, req *guard.Request) string {
	id, n := web.Find(r, req.Cookies.Name(web.WaitingCookie))
	if n != 1 {
		return ""
	}
	return id
}

// What the field takes is said as the gateway allows it, and nothing more is shown
// than there is.
func TestSignIn_OffersWhatThereIs(t *testing.T) {
	email, sms := mfa.KindsOf(mfa.Email), mfa.KindsOf(mfa.SMS)
	tests := []struct {
		name         string
		gate         fakeStrangers
		sources      []mfa.SourceInfo
		label        string
		texts, never []string
	}{
		{"nothing", fakeStrangers{}, nil, "User name", []string{"Forgot your password? Ask"}, []string{"code instead", "Make an account", "/.mfa/forgotten"}},
		{"codes by mail", fakeStrangers{signIn: email}, nil, "User name or email address", []string{"Email me a code instead"}, []string{"Make an account"}},
		{"codes by text message", fakeStrangers{signIn: sms}, nil, "User name or phone number", []string{"Text me a code instead"}, nil},
		{"both", fakeStrangers{signIn: email | sms}, nil, "User name, email address or phone number", []string{"Send me a code instead"}, nil},
		{"accounts by name", fakeStrangers{signUp: mfa.SignUp{Name: true}}, nil, "User name", []string{"Make an account"}, []string{"code instead"}},
		{"accounts by mail", fakeStrangers{signUp: mfa.SignUp{Channels: email}}, nil, "User name or email address", []string{"Make an account"}, []string{"code instead"}},
		{"forgotten", fakeStrangers{forget: true}, nil, "User name", []string{"/.mfa/forgotten"}, []string{"Ask help@example.com for a link"}},
		{"forgotten, but the page is for others' accounts", fakeStrangers{forget: true}, []mfa.SourceInfo{directory}, "User name at Acme directory", []string{"Acme directory keeps it"}, []string{"/.mfa/forgotten"}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			w := newWorld(t, acme)
			w.gate.fakeStrangers = tt.gate
			w.gate.sources = tt.sources
			a := w.get("/.mfa/sign-in" + rd)
			for _, text := range append(tt.texts, `<label for="name">`+tt.label+`</label>`) {
				if !strings.Contains(a.body, text) {
					t.Errorf("it does not say %q", text)
				}
			}
			for _, text := range tt.never {
				if strings.Contains(a.body, text) {
					t.Errorf("it says %q", text)
				}
			}
		})
	}
}

// The passkey button is for scripts alone, and only where a passkey can be.
func TestSignIn_B28_PasskeyButton(t *testing.T) {
	w := newWorld(t, acme)
	a := w.get("/.mfa/sign-in" + rd)
	for _, want := range []string{
		`autocomplete="username webauthn"`, `<div data-js hidden><button class="button line" type="button" data-passkey="get"`,
		`data-begin="/.mfa/sign-in/passkey/begin?rd=%2Freports%2F2026"`, `data-finish="/.mfa/sign-in/passkey/finish?rd=%2Freports%2F2026"`,
	} {
		if !strings.Contains(a.body, want) {
			t.Errorf("no %s", want)
		}
	}
	w.guard.place.RPID = ""
	if a = w.get("/.mfa/sign-in"); strings.Contains(a.body, "asskey") || strings.Contains(a.body, "webauthn") {
		t.Error("a passkey is offered where none can be")
	}
	// Whoever has a passkey confirms a change with it, not with the password (B15).
	w = newWorld(t, acme)
	w.signedIn(mfa.Decision{Action: mfa.Allow})
	w.gate.everything()
	if a = w.get("/.mfa/sign-in?for=account"); strings.Contains(a.body, "data-passkey") || strings.Contains(a.body, "Make an account") {
		t.Error("a passkey, or an account, is offered to somebody who confirms their password")
	}
}

func TestSignInPasskey_ScriptIsToldWhatToDo(t *testing.T) {
	tests := []struct {
		name, path string
		prepare    func(*world)
		status     int
		want       string
	}{
		{"begin", "begin", nil, 200, `{"id":"ceremony-1","publicKey":{"challenge":"AAAA"}}`},
		{"too many are begun", "begin", func(w *world) { w.gate.beginOf = &mfa.ThrottledError{RetryAfter: 30 * time.Second} }, 429, "30 seconds"},
		{"no passkeys here", "begin", func(w *world) { w.gate.beginOf = mfa.ErrNotAllowed }, 403, "no passkeys at this address"},
		{"the store is down", "begin", func(w *world) { w.gate.beginOf = errors.New("disk on fire") }, 503, "not answering"},
		{"both factors at once", "finish", func(w *world) { w.gate.outcome = completed() }, 200, `{"next":"/reports/2026"}`},
		{"the first factor alone", "finish", func(w *world) { w.gate.outcome = owing(verifyDecision) }, 200, `{"next":"/.mfa/verify?rd=%2Freports%2F2026&c=1"}`},
		{"rejected", "finish", func(w *world) { w.gate.err = mfa.ErrRejected }, 422, "wasn’t accepted"},
		{"a copy", "finish", func(w *world) { w.gate.err = mfa.ErrCloned }, 422, "suggests a copy"},
		{"the challenge expired", "finish", func(w *world) { w.gate.err = mfa.ErrExpired }, 422, "took too long"},
		{"throttled", "finish", func(w *world) { w.gate.err = &mfa.ThrottledError{RetryAfter: 30 * time.Second} }, 429, "30 seconds"},
		{"a session that cannot be read", "finish", func(w *world) { w.guard.err = errors.New("down") }, 503, "not answering"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			w := newWorld(t, acme)
			if tt.prepare != nil {
				tt.prepare(w)
			}
			a := w.postJSON(t, "/.mfa/sign-in/passkey/"+tt.path+rd, `{"id":"ceremony-1","answer":{"type":"public-key"}}`)
			if a.StatusCode != tt.status || !strings.Contains(strings.ReplaceAll(a.body, `\u0026`, "&"), tt.want) {
				t.Errorf("%d %s", a.StatusCode, a.body)
			}
			if a.Header.Get("Content-Type") != "application/json" || a.Header.Get("Cache-Control") != "no-store" {
				t.Errorf("headers %v", a.Header)
			}
			if tt.status != 200 && w.guard.set != nil {
				t.Error("a session was given out")
			}
		})
	}
	for _, body := range []string{"", "{", "[]", `{"id":1}`, `{"id":"x"}`, `{"answer":{}}`, "null"} {
		w := newWorld(t, acme)
		if a := w.postJSON(t, "/.mfa/sign-in/passkey/finish", body); a.StatusCode != 400 || len(w.gate.calls) != 0 {
			t.Errorf("AC-148 %q: %d", body, a.StatusCode)
		}
	}
}

// Every way to sign in names the session that the browser held, which then ends
// (session fixation), and asks with the visitor's language.
func TestStrangers_ReplaceTheSessionBefore(t *testing.T) {
	for path, do := range map[string]func(*world) answer{
		"sign-in/code/enter":     func(w *world) answer { return w.post(t, "/.mfa/sign-in/code/enter", url.Values{"code": {"12345678"}}) },
		"sign-up":                func(w *world) answer { return w.post(t, "/.mfa/sign-up", url.Values{"name": {"bob"}}) },
		"sign-up/code":           func(w *world) answer { return w.post(t, "/.mfa/sign-up/code", url.Values{"code": {"12345678"}}) },
		"sign-in/passkey/finish": func(w *world) answer { return w.postJSON(t, "/.mfa/sign-in/passkey/finish", `{"id":"x","answer":{}}`) },
	} {
		w := newWorld(t, acme)
		w.signedIn(mfa.Decision{Action: mfa.Allow})
		w.gate.everything()
		w.gate.outcome = completed()
		a := do(w)
		if w.gate.at.Replaces != "full" || w.guard.set == nil {
			t.Errorf("%s replaces %q (%d)", path, w.gate.at.Replaces, a.StatusCode)
		}
		if w.gate.at.Language != "en" {
			t.Errorf("%s: language %q", path, w.gate.at.Language)
		}
	}
}

// Wrong, too late, worn out, throttled, locked, and taken meanwhile: one status, one
// body, and no header that tells them apart.
func TestWaiting_AnswersEveryFailureAlike(t *testing.T) {
	for _, purpose := range []mfa.Purpose{mfa.ForSignInCode, mfa.ForSignUp} {
		path := "/.mfa/sign-in/code/enter"
		if purpose == mfa.ForSignUp {
			path = "/.mfa/sign-up/code"
		}
		var first string
		for _, err := range []error{mfa.ErrRejected, mfa.ErrExpired, &mfa.ThrottledError{RetryAfter: time.Minute}, &mfa.ThrottledError{Locked: true}, mfa.ErrNameTaken, errors.Join(&mfa.ThrottledError{RetryAfter: time.Minute}, nil)} {
			w := newWorld(t, acme)
			a := entering(path, waited(onItsWay(purpose, mfa.Email)), err)(t, w)
			if a.StatusCode != http.StatusUnprocessableEntity || a.Header.Get("Retry-After") != "" {
				t.Errorf("%v: %d, Retry-After %q", err, a.StatusCode, a.Header.Get("Retry-After"))
			}
			body := formToken.ReplaceAllString(a.body, "")
			if first == "" {
				first = body
			}
			if body != first {
				t.Errorf("%v: the page is another", err)
			}
			if strings.Contains(a.body, "12345678") {
				t.Error("the code came back")
			}
		}
	}
}

// The name of a code on its way is set anew after each try, is taken away by the one
// that succeeds and by no other, and is worth nothing where there are two of it.
func TestWaiting_KeepsItsCookie(t *testing.T) {
	w := newWorld(t, acme)
	sent := onItsWay(mfa.ForSignInCode, mfa.Email)
	w.gate.everything()
	w.gate.waiting = sent
	goes(t, w.post(t, "/.mfa/sign-in/code"+rd, url.Values{"address": {"alice@example.com"}}), "/.mfa/sign-in/code/enter?rd=%2Freports%2F2026")
	name := testCookies.Name(web.WaitingCookie)
	try := func(cookies ...string) answer {
		r := w.postRequest(t, "/.mfa/sign-in/code/enter"+rd, url.Values{"code": {"12345678"}})
		for _, c := range cookies {
			r.Header.Add("Cookie", name+"="+c)
		}
		return w.do(r)
	}
	next := *sent
	next.ID = "waiting-2"
	w.gate.err, w.gate.again = mfa.ErrRejected, &next
	try("waiting-1")
	w.gate.err, w.gate.again = mfa.ErrExpired, nil
	try("waiting-2")
	if want := []string{"waiting-1", "waiting-2"}; !slices.Equal(w.guard.waitingSet, want) {
		t.Errorf("set %q, want %q", w.guard.waitingSet, want)
	}
	w.gate.err, w.gate.outcome = nil, completed()
	goes(t, try("waiting-2"), "/reports/2026")
	if w.gate.args[0] != "waiting-2" || w.guard.waitingSet[len(w.guard.waitingSet)-1] != "" {
		t.Errorf("tried %q, set %q", w.gate.args, w.guard.waitingSet)
	}
	try("waiting-1", "waiting-2")
	if w.gate.args[0] != "" {
		t.Errorf("of two cookies it believed %q", w.gate.args[0])
	}
	// A form that went through already: the person is signed in, and goes on.
	w.signedIn(mfa.Decision{Action: mfa.Allow})
	w.gate.err = mfa.ErrExpired
	goes(t, try("waiting-2"), "/reports/2026")
}

// A code for one purpose shows on no page of the other.
func TestWaiting_PagesAreOfOnePurpose(t *testing.T) {
	for path, c := range map[string]struct {
		purpose mfa.Purpose
		to      string
	}{
		"/.mfa/sign-in/code/enter": {mfa.ForSignUp, "/.mfa/sign-in/code?again=late"},
		"/.mfa/sign-up/code":       {mfa.ForSignInCode, "/.mfa/sign-up?again=late"},
	} {
		goes(t, entering(path, onItsWay(c.purpose, mfa.Email), nil)(t, newWorld(t, acme)), c.to)
	}
}

// Whoever is signed in goes on where they stand; a store that cannot tell is no way in.
func TestStrangers_PagesAreForStrangers(t *testing.T) {
	for _, page := range []string{"sign-in/code", "sign-in/code/enter", "sign-up", "sign-up/code"} {
		w := newWorld(t, acme)
		w.gate.everything()
		w.signedIn(mfa.Decision{Action: mfa.Allow})
		goes(t, w.get("/.mfa/"+page+rd), "/reports/2026")
		w.guard.err = errors.New("down")
		if a := w.get("/.mfa/" + page); a.StatusCode != http.StatusServiceUnavailable {
			t.Errorf("%s: %d", page, a.StatusCode)
		}
	}
	// A password can be forgotten by somebody who is signed in.
	w := newWorld(t, acme)
	w.gate.everything()
	w.signedIn(mfa.Decision{Action: mfa.Allow})
	if a := w.get("/.mfa/forgotten"); a.StatusCode != 200 || !strings.Contains(a.body, "Alice Example") {
		t.Errorf("%d", a.StatusCode)
	}
}

// AC-169: the link of a letter begins with an origin of ours, whatever host was asked,
// and its secret stands behind the #.
func TestForgotten_LinkIsOurs(t *testing.T) {
	w := newWorld(t, acme)
	w.gate.forget = true
	goes(t, w.post(t, "/.mfa/forgotten"+rd, url.Values{"name": {"alice"}}), "/.mfa/forgotten?done=sent&rd=%2Freports%2F2026")
	if want := "https://payroll.example.com/.mfa/link#secret-of-the-letter"; w.gate.mailed != want {
		t.Errorf("%q, want %q", w.gate.mailed, want)
	}
	w.guard.place.Origin = "https://evil.test"
	w.pages.origin = func(at *mfa.Place) string {
		if at.Origin != "https://evil.test" {
			t.Errorf("asked about %q", at.Origin)
		}
		return "https://sso.example.com"
	}
	w.post(t, "/.mfa/forgotten", url.Values{"name": {"alice"}})
	if want := "https://sso.example.com/.mfa/link#secret-of-the-letter"; w.gate.mailed != want {
		t.Errorf("%q, want %q", w.gate.mailed, want)
	}
}

// A link for a password changes nothing else, whatever its form is made to send.
func TestLink_PasswordLinksChangeNothingElse(t *testing.T) {
	for _, purpose := range []mfa.Purpose{mfa.ForForgotten, mfa.ForPasswordReset} {
		w := newWorld(t, acme)
		w.gate.link, w.gate.outcome = &mfa.Link{Purpose: purpose, UserName: "alice"}, owing(verifyDecision)
		form := url.Values{"token": {"t"}, "step": {"accept"}, "name": {"bob"}, "display": {"Thief"}, "email": {"thief@example.com"}, "password": {"pw"}}
		goes(t, w.post(t, "/.mfa/link", form), "/.mfa/verify?c=1")
		if w.gate.args[2] != "" || w.gate.args[3] != "" || w.gate.args[4] != "pw" {
			t.Errorf("%s: accepted %q", purpose, w.gate.args)
		}
	}
}

// AC-133, AC-148: whatever is typed or planted is escaped, and breaks nothing.
func TestStrangers_RejectHostileInput(t *testing.T) {
	hostile := []string{
		`"><svg/onload=1>'{{.}}`, "a@b.example\r\nbcc: c@d.example", "\x00", "\xff\xfe@\xfd", "\u202ea@b.example", "{address}", "%s%n", "${jndi:ldap://x}",
		strings.Repeat("a", 20_000) + "@example.com", strings.Repeat("1", 20_000), "", " ", "javascript:alert(1)",
	}
	posts := []struct {
		page string
		err  []error
		form func(s string) url.Values
	}{
		{"sign-in/code", []error{mfa.ErrName, mfa.ErrCountry, &mfa.ThrottledError{RetryAfter: time.Minute}}, func(s string) url.Values { return url.Values{"address": {s}} }},
		{"sign-in/code/enter", []error{mfa.ErrRejected, mfa.ErrExpired}, func(s string) url.Values { return url.Values{"address": {s}, "code": {s}} }},
		{"sign-up", []error{mfa.ErrName, mfa.ErrNameTaken, mfa.ErrCountry, mfa.ErrBusy, &mfa.PasswordError{Rule: mfa.PasswordCommon}}, func(s string) url.Values { return url.Values{"name": {s}, "display": {s}, "password": {s}} }},
		{"sign-up/code", []error{mfa.ErrRejected, mfa.ErrExpired}, func(s string) url.Values { return url.Values{"address": {s}, "code": {s}} }},
		{"forgotten", []error{&mfa.ThrottledError{RetryAfter: time.Minute}}, func(s string) url.Values { return url.Values{"name": {s}} }},
	}
	for _, p := range posts {
		for _, err := range p.err {
			for _, s := range hostile {
				w := newWorld(t, acme)
				w.gate.everything()
				w.gate.err = err
				r := w.postRequest(t, "/.mfa/"+p.page, p.form(s))
				r.Header.Add("Cookie", testCookies.Name(web.WaitingCookie)+"="+strings.Map(func(r rune) rune {
					if r <= ' ' || r == ';' || r >= 0x7f {
						return -1
					}
					return r
				}, s))
				a := w.do(r)
				if a.StatusCode < 400 || a.StatusCode == 500 || strings.Contains(a.body, "<svg/onload") || w.guard.set != nil {
					t.Errorf("%s with %.40q and %v: %d", p.page, s, err, a.StatusCode)
				}
				if body := a.body; a.StatusCode == 422 || a.StatusCode == 429 {
					if strings.TrimSpace(s) != "" {
						body = strings.ReplaceAll(body, html.EscapeString(s), "")
					}
					checkPage(t, answer{a.Response, body})
				}
				for _, location := range a.Header["Location"] {
					t.Errorf("it leads to %q", location)
				}
			}
		}
	}
}
