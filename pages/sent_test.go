package pages

import (
	"net/http"
	"net/http/httptest"
	"net/url"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/secondgate/secondgate/internal/web"
	"github.com/secondgate/secondgate/mfa"
)

// Whoever asks only for the headers of a page opens none: no code goes out (rule B22).
func TestSent_B22_HeadSendsNothing(t *testing.T) {
	for path, prepare := range map[string]func(*world){
		"verify":         verifying(emailMethod),
		"verify/email":   verifying(emailMethod),
		"verify/sms":     verifying(smsMethod),
		"set-up/confirm": confirming(time.Hour, nil),
	} {
		w := newWorld(t, acme)
		prepare(w)
		a := w.do(httptest.NewRequest(http.MethodHead, "https://payroll.example.com/.mfa/"+path, nil))
		if a.StatusCode != 200 || a.body != "" {
			t.Errorf("%s: %d %q", path, a.StatusCode, a.body)
		}
		if w.gate.did("SendCode") || w.gate.did("SendConfirmation") {
			t.Errorf("%s: a code went out: %v", path, w.gate.calls)
		}
	}
}

// Nor does whoever does not see it: a browser that fetches ahead, a picture in an app, a
// frame; and another site has none sent by a link. The page then has a button (rule B22,
// AC-171).
func TestSent_B22_OnlyWhoOpensAPageHasACodeSent(t *testing.T) {
	for name, c := range map[string]struct {
		header map[string]string
		sends  bool
	}{
		"typed":          {map[string]string{"Sec-Fetch-Site": "none", "Sec-Fetch-Mode": "navigate", "Sec-Fetch-Dest": "document"}, true},
		"our own page":   {map[string]string{"Sec-Fetch-Site": "same-origin", "Sec-Fetch-Mode": "navigate", "Sec-Fetch-Dest": "document"}, true},
		"says nothing":   {nil, true},
		"fetched ahead":  {map[string]string{"Sec-Fetch-Site": "same-origin", "Sec-Fetch-Mode": "navigate", "Sec-Fetch-Dest": "document", "Sec-Purpose": "prefetch;prerender"}, false},
		"an old browser": {map[string]string{"X-Moz": "prefetch"}, false},
		"a picture":      {map[string]string{"Sec-Fetch-Site": "same-origin", "Sec-Fetch-Mode": "no-cors", "Sec-Fetch-Dest": "image"}, false},
		"a frame":        {map[string]string{"Sec-Fetch-Site": "same-origin", "Sec-Fetch-Mode": "navigate", "Sec-Fetch-Dest": "iframe"}, false},
		"another site":   {map[string]string{"Sec-Fetch-Site": "cross-site", "Sec-Fetch-Mode": "navigate", "Sec-Fetch-Dest": "document"}, false},
	} {
		for path, prepare := range map[string]func(*world){
			"verify": verifying(emailMethod), "verify/email": verifying(emailMethod), "set-up/confirm": confirming(time.Hour, nil),
		} {
			w := newWorld(t, acme)
			prepare(w)
			w.gate.to = sentTo(emailMethod, 0)
			r := httptest.NewRequest(http.MethodGet, "https://payroll.example.com/.mfa/"+path, nil)
			for key, value := range c.header {
				r.Header.Set(key, value)
			}
			a := w.do(r)
			if a.StatusCode != 200 || !strings.Contains(a.body, "/send") {
				t.Errorf("%s, %s: %d, and no button:\n%s", name, path, a.StatusCode, a.body)
			}
			if sent := w.gate.did("SendCode") || w.gate.did("SendConfirmation"); sent != c.sends {
				t.Errorf("%s, %s: a code is sent: %v", name, path, sent)
			}
		}
	}
}

// What the pages ask the gate for: the page that opens asks once, the button again,
// each for the address that was picked.
func TestSent_AsksForTheAddressThatWasPicked(t *testing.T) {
	two := []mfa.Method{emailMethod, otherEmail, codeMethod}
	tests := []struct {
		name string
		do   func(*world) answer
		args []string
	}{
		{"the page that opens", func(w *world) answer { return w.get("/.mfa/verify") }, []string{"half", "email", "", "false"}},
		{"the page of an address", func(w *world) answer { return w.get("/.mfa/verify/email?cred=e2") }, []string{"half", "email", "e2", "false"}},
		{"the page of none", func(w *world) answer { return w.get("/.mfa/verify/email") }, []string{"half", "email", "", "false"}},
		{"the button", func(w *world) answer { return w.post(t, "/.mfa/verify/email/send?cred=e2", nil) }, []string{"half", "email", "e2", "true"}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			w := newWorld(t, acme)
			verifying(two...)(w)
			w.gate.to = sentTo(otherEmail, 0)
			tt.do(w)
			if !slices.Equal(w.gate.args, tt.args) {
				t.Errorf("asked with %v, want %v", w.gate.args, tt.args)
			}
		})
	}
	for _, cred := range []string{"nonsense", "s1", strings.Repeat("x", 4000)} {
		w := newWorld(t, acme)
		verifying(two...)(w)
		if a := w.get("/.mfa/verify/email?cred=" + cred); a.StatusCode != 200 || w.gate.did("SendCode") || !strings.Contains(a.body, "Choose how to verify") {
			t.Errorf("%.20s: %d %v", cred, a.StatusCode, w.gate.calls)
		}
		if w.post(t, "/.mfa/verify/email/send?cred="+cred, nil); w.gate.did("SendCode") {
			t.Errorf("%.20s: the button sent a code", cred)
		}
	}
}

// The page of a code carries on what the route asks, and its language.
func TestSent_CarriesOn(t *testing.T) {
	w := newWorld(t, acme)
	st := w.signedIn(mfa.Decision{Action: mfa.StepUp, Reason: mfa.ReasonTooOld, Kinds: mfa.KindsOf(mfa.Email)})
	st.Methods, st.Preferred = []mfa.Method{emailMethod, totpMethod}, mfa.Email
	w.gate.to = sentTo(emailMethod, time.Minute)
	a := w.get("/.mfa/verify?rd=%2Fdanger&max_age=300", testCookies.Name(web.LanguageCookie)+"=de")
	for _, want := range []string{`action="/.mfa/verify/email?cred=e1&amp;max_age=300&amp;rd=%2Fdanger"`, `action="/.mfa/verify/email/send?cred=e1&amp;max_age=300&amp;rd=%2Fdanger"`} {
		if !strings.Contains(a.body, want) {
			t.Errorf("no %s in\n%s", want, a.body)
		}
	}
	if w.gate.at.Language != "de" || w.gate.at.Asked.Fresh != 5*time.Minute {
		t.Errorf("the gate was asked at %+v", w.gate.at)
	}
	// The switch of language comes back to the same address.
	if a = w.get("/.mfa/verify/email?cred=e1"); !strings.Contains(a.body, `name="back" value="/.mfa/verify/email?cred=e1"`) {
		t.Errorf("the switch leads elsewhere:\n%s", a.body)
	}
	w.gate.sendOf = mfa.ErrNotSent
	if a = w.post(t, "/.mfa/verify/email/send?cred=e1", nil); !strings.Contains(a.body, `name="back" value="/.mfa/verify/email?cred=e1"`) {
		t.Errorf("after a fault the switch leads elsewhere:\n%s", a.body)
	}
}

// What is ticked reaches the gate from every page of a primary factor at a sign-in,
// and from no other: not from a step-up, and not with a backup code (rule B29).
func TestRemember_OnlyAtASignIn(t *testing.T) {
	posts := map[string]func(*testing.T, *world, bool) answer{
		"verify/totp": func(t *testing.T, w *world, ticked bool) answer {
			return w.post(t, "/.mfa/verify/totp", tick(ticked))
		},
		"verify/email": func(t *testing.T, w *world, ticked bool) answer {
			return w.post(t, "/.mfa/verify/email", tick(ticked))
		},
		"verify/sms": func(t *testing.T, w *world, ticked bool) answer {
			return w.post(t, "/.mfa/verify/sms", tick(ticked))
		},
		"verify/passkey/finish": func(t *testing.T, w *world, ticked bool) answer {
			body := `{"id":"x","answer":{}}`
			if ticked {
				body = `{"id":"x","answer":{},"remember":true}`
			}
			return w.postJSON(t, "/.mfa/verify/passkey/finish", body)
		},
		"verify/backup-code": func(t *testing.T, w *world, ticked bool) answer {
			return w.post(t, "/.mfa/verify/backup-code", tick(ticked))
		},
	}
	for path, post := range posts {
		for _, ticked := range []bool{true, false} {
			for _, stepUp := range []bool{true, false} {
				w := newWorld(t, acme)
				verifying(bothMethods...)(w)
				if stepUp {
					w.signedIn(mfa.Decision{Action: mfa.StepUp}).Methods = bothMethods
				}
				w.gate.outcome = completed()
				post(t, w, ticked)
				want := ticked && !stepUp && path != "verify/backup-code"
				if w.gate.at.Remember != want {
					t.Errorf("%s, ticked %t, step-up %t: remembered %t", path, ticked, stepUp, w.gate.at.Remember)
				}
			}
		}
	}
}

func tick(yes bool) url.Values {
	if yes {
		return url.Values{"code": {"123456"}, "remember": {"yes"}}
	}
	return url.Values{"code": {"123456"}}
}

func TestRemember_IsOfferedWhereItCanBe(t *testing.T) {
	const text = "Don’t ask again on this device"
	for path, want := range map[string]bool{
		"verify/totp": true, "verify/passkey": true, "verify/email": true, "verify/sms": true, "verify/backup-code": false, "verify/methods": false, "verify/bypass": false,
	} {
		w := newWorld(t, acme)
		verifying(mfa.Method{Kind: mfa.Passkey, Available: true}, totpMethod, smsMethod, emailMethod, codeMethod)(w)
		w.gate.to = sentTo(emailMethod, time.Minute)
		if a := w.get("/.mfa/" + path); strings.Contains(a.body, text) {
			t.Errorf("%s offers it where the policy does not", path)
		}
		w.gate.state.RememberFor = 7 * 24 * time.Hour
		if a := w.get("/.mfa/" + path); strings.Contains(a.body, text+" for 7 days") != want {
			t.Errorf("%s offers it: %t", path, !want)
		}
		st := w.signedIn(mfa.Decision{Action: mfa.StepUp, Reason: mfa.ReasonTooOld})
		st.RememberFor, st.Methods = 7*24*time.Hour, []mfa.Method{{Kind: mfa.Passkey, Available: true}, totpMethod, smsMethod, emailMethod, codeMethod}
		if a := w.get("/.mfa/" + path); strings.Contains(a.body, text) {
			t.Errorf("%s offers it at a step-up", path)
		}
	}
}

// What the gate gives the browser to keep, or takes away, reaches it (rule B29).
func TestRemember_ReachesTheBrowser(t *testing.T) {
	for _, value := range []string{"id.secret", "-", ""} {
		w := newWorld(t, acme)
		verifying(totpMethod)(w)
		w.gate.outcome = completed()
		w.gate.outcome.Remember = value
		a := w.post(t, "/.mfa/verify/totp"+rd, tick(true))
		goes(t, a, "/reports/2026")
		if w.guard.remembered != value {
			t.Errorf("kept %q, want %q", w.guard.remembered, value)
		}
	}
}

// Situations of somebody who comes at the wrong time, or twice.
func TestSent_AlwaysLeadsOn(t *testing.T) {
	code := url.Values{"code": {"12345678"}}
	tests := []struct {
		name    string
		prepare func(*world)
		do      func(*testing.T, *world) answer
		want    string
	}{
		{"another tab finished while this one posts", func(w *world) {
			w.signedIn(mfa.Decision{Action: mfa.Allow})
			w.gate.err = mfa.ErrExpired
		}, func(t *testing.T, w *world) answer { return w.post(t, "/.mfa/verify/email"+rd, code) }, "/reports/2026"},
		{"another tab finished while this one asks for a code", func(w *world) { w.signedIn(mfa.Decision{Action: mfa.Allow}) },
			func(t *testing.T, w *world) answer { return w.post(t, "/.mfa/verify/email/send"+rd, nil) }, "/reports/2026"},
		{"the sign-in itself waited too long", func(w *world) {
			verifying(emailMethod)(w)
			w.gate.state.Session.Expires = testNow
			w.gate.err = mfa.ErrExpired
		}, func(t *testing.T, w *world) answer { return w.post(t, "/.mfa/verify/email", code) }, "/.mfa/sign-in"},
		{"the factor is switched off meanwhile", func(w *world) {
			verifying(emailMethod)(w)
			w.gate.err = mfa.ErrNotAllowed
		}, func(t *testing.T, w *world) answer { return w.post(t, "/.mfa/verify/sms", code) }, "/.mfa/verify"},
		{"a code was sent", mailing(2*time.Minute, nil, emailMethod, codeMethod), func(t *testing.T, w *world) answer {
			w.gate.to = sentTo(emailMethod, 0)
			return w.post(t, "/.mfa/verify/email/send"+rd, nil)
		}, "/.mfa/verify/email?cred=e1&rd=%2Freports%2F2026&done=sent"},
		{"the button was pressed too soon", mailing(20*time.Second, nil, emailMethod, codeMethod), func(t *testing.T, w *world) answer {
			return w.post(t, "/.mfa/verify/email/send"+rd, nil)
		}, "/.mfa/verify/email?cred=e1&rd=%2Freports%2F2026"},
		{"a bypass where none stands for anything", func(w *world) {
			w.signedIn(mfa.Decision{Action: mfa.StepUp}).Methods = bothMethods
		}, func(_ *testing.T, w *world) answer { return w.get("/.mfa/verify/bypass" + rd) }, "/.mfa/verify?rd=%2Freports%2F2026"},
		{"a bypass in another tab", func(w *world) {
			verifying(totpMethod)(w)
			w.gate.err = mfa.ErrNotOwed
		}, func(t *testing.T, w *world) answer { return w.post(t, "/.mfa/verify/bypass"+rd, code) }, "/.mfa/verify?rd=%2Freports%2F2026"},

		{"the only way opens its page (B11)", settingUp(forced(mfa.Email), allChoices[3]),
			func(_ *testing.T, w *world) answer { return w.get("/.mfa/set-up") }, "/.mfa/set-up/email"},
		{"an address where no code can go", settingUp(forced(mfa.SMS, mfa.TOTP), mfa.Choice{Kind: mfa.SMS, Why: mfa.ReasonNoSender}, bothChoices[1]),
			func(_ *testing.T, w *world) answer { return w.get("/.mfa/set-up/sms") }, "/.mfa/set-up?list=1"},
		{"a code for an address", func(w *world) {
			settingUp(forced(mfa.Email), allChoices[3])(w)
			w.gate.to = sentTo(emailMethod, 0)
		}, func(t *testing.T, w *world) answer {
			return w.post(t, "/.mfa/set-up/email"+rd, url.Values{"address": {"alice@example.com"}})
		}, "/.mfa/set-up/email/code?rd=%2Freports%2F2026"},
		{"an address that is verified already (B12)", func(w *world) {
			settingUp(forced(mfa.Email), allChoices[3])(w)
			w.gate.outcome = completed()
		}, func(t *testing.T, w *world) answer {
			return w.post(t, "/.mfa/set-up/email"+rd, url.Values{"ref": {"0a1b2c3d4e5f"}})
		}, "/reports/2026"},
		{"the page of a code where none was asked for", func(w *world) {
			settingUp(forced(mfa.Email), allChoices[3])(w)
			w.gate.pendingOf = mfa.ErrExpired
		}, func(_ *testing.T, w *world) answer { return w.get("/.mfa/set-up/email/code") }, "/.mfa/set-up/email"},
		{"the fifth wrong code", func(w *world) {
			settingUp(forced(mfa.Email), allChoices[3])(w)
			w.gate.pendingOf, w.gate.err = mfa.ErrExpired, mfa.ErrRejected
		}, func(t *testing.T, w *world) answer { return w.post(t, "/.mfa/set-up/email/code", code) }, "/.mfa/set-up/email?again=over"},
		{"another code where none was asked for", settingUp(forced(mfa.Email), allChoices[3]),
			func(t *testing.T, w *world) answer { return w.post(t, "/.mfa/set-up/email/send", nil) }, "/.mfa/set-up/email?again=over"},
		{"too many addresses", func(w *world) {
			settingUp(forced(mfa.Email), allChoices[3])(w)
			w.gate.err = mfa.ErrLimit
		}, func(t *testing.T, w *world) answer {
			return w.post(t, "/.mfa/set-up/email", url.Values{"address": {"a@example.com"}})
		}, "/.mfa/set-up?list=1"},
		{"adding an address needs a new proof (B15)", func(w *world) {
			w.signedIn(mfa.Decision{Action: mfa.Allow})
			w.gate.err = &mfa.ProofError{Kinds: mfa.KindsOf(mfa.TOTP)}
		}, func(t *testing.T, w *world) answer {
			return w.post(t, "/.mfa/set-up/sms?from=account", url.Values{"address": {"+4915123456789"}})
		}, "/.mfa/verify?for=set-up%2Fsms&from=account&prove=totp"},
		{"… and so does its code: back to the address", func(w *world) {
			w.signedIn(mfa.Decision{Action: mfa.Allow})
			w.gate.err = &mfa.ProofError{Kinds: mfa.KindsOf(mfa.TOTP)}
		}, func(t *testing.T, w *world) answer { return w.post(t, "/.mfa/set-up/sms/code?from=account", code) },
			"/.mfa/verify?for=set-up%2Fsms&from=account&prove=totp"},
		{"… and so does another code", func(w *world) {
			st := w.signedIn(mfa.Decision{Action: mfa.Allow})
			st.ProofOwed, st.Methods = true, []mfa.Method{totpMethod}
		}, func(t *testing.T, w *world) answer { return w.post(t, "/.mfa/set-up/sms/send?from=account", nil) },
			"/.mfa/verify?for=set-up%2Fsms&from=account&prove=totp"},
		{"a set-up that needs a code to the address on file (B17)", confirming(time.Minute, nil),
			func(_ *testing.T, w *world) answer { return w.get("/.mfa/set-up/totp" + rd) }, "/.mfa/set-up/confirm?rd=%2Freports%2F2026"},
		{"… found out while it posts", func(w *world) {
			settingUp(forced(mfa.TOTP), bothChoices[1])(w)
			w.gate.err = mfa.ErrConfirmFirst
		}, func(t *testing.T, w *world) answer { return w.post(t, "/.mfa/set-up/totp", code) }, "/.mfa/set-up/confirm"},
		{"confirming where it is not owed", settingUp(forced(mfa.TOTP), bothChoices[1]),
			func(_ *testing.T, w *world) answer { return w.get("/.mfa/set-up/confirm" + rd) }, "/.mfa/set-up?rd=%2Freports%2F2026"},
		{"confirmed", func(w *world) {
			confirming(time.Minute, nil)(w)
			w.gate.outcome = owing(forced(mfa.TOTP))
		}, func(t *testing.T, w *world) answer { return w.post(t, "/.mfa/set-up/confirm"+rd, code) }, "/.mfa/set-up?rd=%2Freports%2F2026&c=1"},
		{"confirmed on the way from the account", func(w *world) {
			confirming(time.Minute, nil)(w)
			w.gate.outcome = completed()
		}, func(t *testing.T, w *world) answer { return w.post(t, "/.mfa/set-up/confirm?from=account", code) }, "/.mfa/set-up?from=account&c=1"},
		{"a pass that opens", func(w *world) {
			settingUp(forced(mfa.TOTP), bothChoices[1])(w)
			w.gate.outcome = owing(forced(mfa.TOTP))
		}, func(t *testing.T, w *world) answer { return w.post(t, "/.mfa/set-up/pass"+rd, code) }, "/.mfa/set-up?rd=%2Freports%2F2026&c=1"},
		{"a pass where none is needed", settingUp(forced(mfa.TOTP), bothChoices[1]),
			func(_ *testing.T, w *world) answer { return w.get("/.mfa/set-up/pass" + rd) }, "/.mfa/set-up?rd=%2Freports%2F2026"},
		{"a device was forgotten", func(w *world) { w.signedIn(mfa.Decision{Action: mfa.Allow}) },
			func(t *testing.T, w *world) answer {
				return w.post(t, "/.mfa/account/forget-device", url.Values{"device": {"d1"}})
			}, "/.mfa/account?done=device"},
		{"… by another tab", func(w *world) {
			w.signedIn(mfa.Decision{Action: mfa.Allow})
			w.gate.err = mfa.ErrNotFound
		}, func(t *testing.T, w *world) answer { return w.post(t, "/.mfa/account/forget-device", nil) }, "/.mfa/account"},
		{"no device to list", func(w *world) {
			w.signedIn(mfa.Decision{Action: mfa.Allow})
			w.gate.account = sampleAccount()
		}, func(_ *testing.T, w *world) answer { return w.get("/.mfa/account/devices") }, "/.mfa/account"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			w := newWorld(t, acme)
			tt.prepare(w)
			goes(t, tt.do(t, w), tt.want)
		})
	}
}

// An address that was chosen by its mask is never shown whole to whoever has the
// password alone: not when its code cannot be sent anew, either.
func TestSetUpAddress_StaysMasked(t *testing.T) {
	for _, err := range []error{mfa.ErrNotSent, mfa.ErrBusy, &mfa.ThrottledError{RetryAfter: time.Minute}, mfa.ErrName, mfa.ErrNotOwed} {
		w := newWorld(t, acme)
		settingUpAddress(mfa.Email, "al****@example.com", 2*time.Minute, err)(w)
		for _, a := range []answer{w.post(t, "/.mfa/set-up/email/send", nil), w.post(t, "/.mfa/set-up/email", url.Values{"ref": {"0a1b2c3d4e5f"}})} {
			if a.StatusCode == 200 || strings.Contains(a.body, "alice@example.com") {
				t.Errorf("%v: %d %s", err, a.StatusCode, a.body)
			}
		}
	}
}

// A fault says nothing of its cause, and every way of not sending has its words.
func TestSent_SaysWhyNothingCame(t *testing.T) {
	for _, tt := range []struct {
		err    error
		status int
		says   string
	}{
		{mfa.ErrNotSent, 503, "We couldn’t send the code"},
		{mfa.ErrBusy, 503, "Many codes are being sent right now"},
		{&mfa.ThrottledError{RetryAfter: 90 * time.Second}, 429, "Wait 90 seconds, then ask for another"},
		{&mfa.ThrottledError{Locked: true}, 429, "This is locked now"},
	} {
		for name, do := range map[string]func(*world) answer{
			"verify": func(w *world) answer {
				notSending(tt.err, emailMethod, codeMethod)(w)
				return w.get("/.mfa/verify/email")
			},
			"verify again": func(w *world) answer {
				notSending(tt.err, emailMethod, codeMethod)(w)
				return w.post(t, "/.mfa/verify/email/send?cred=e1", nil)
			},
			"confirm": func(w *world) answer {
				confirming(time.Hour, nil)(w)
				w.gate.sendOf = tt.err
				return w.get("/.mfa/set-up/confirm")
			},
			"confirm again": func(w *world) answer {
				confirming(time.Hour, nil)(w)
				w.gate.sendOf = tt.err
				return w.post(t, "/.mfa/set-up/confirm/send", nil)
			},
			"an address": func(w *world) answer {
				settingUpAddress(mfa.Email, "", time.Hour, tt.err)(w)
				return w.post(t, "/.mfa/set-up/email", url.Values{"address": {"bob@example.com"}})
			},
			"an address again": func(w *world) answer {
				settingUpAddress(mfa.Email, "al****@example.com", 2*time.Minute, tt.err)(w)
				return w.post(t, "/.mfa/set-up/email/send", nil)
			},
		} {
			w := newWorld(t, acme)
			a := do(w)
			if a.StatusCode != tt.status || !strings.Contains(a.body, tt.says) || !strings.Contains(a.body, "<title>Error: ") {
				t.Errorf("%s, %v: %d %s", name, tt.err, a.StatusCode, a.body)
			}
			if tt.status == 503 && a.Header.Get("Retry-After") == "" && tt.err == mfa.ErrBusy {
				t.Errorf("%s, %v: no Retry-After", name, tt.err)
			}
			if name == "an address" && !strings.Contains(a.body, `value="bob@example.com"`) {
				t.Errorf("%v: what was typed is lost", tt.err)
			}
		}
	}
}

// B21: one line for each address, each with its own link, the backup code last; where
// there is one method only, an administrator's code is still one click away.
func TestVerify_B21_OneLineForEachAddress(t *testing.T) {
	w := newWorld(t, acme)
	verifying(totpMethod, smsMethod, emailMethod, otherEmail, codeMethod)(w)
	a := w.get("/.mfa/verify/methods" + rd)
	last := 0
	for _, want := range []string{
		"Authenticator app</b>", `href="/.mfa/verify/sms?cred=s1&amp;rd=%2Freports%2F2026"`, "•••• 42",
		`href="/.mfa/verify/email?cred=e1&amp;rd=%2Freports%2F2026"`, "al****@example.com",
		`href="/.mfa/verify/email?cred=e2&amp;rd=%2Freports%2F2026"`, "ex****@mail.example", "Backup code</b>", "I have a code from my administrator",
	} {
		i := strings.Index(a.body, want)
		if i < last {
			t.Errorf("%s is at %d, after %d", want, i, last)
		}
		last = i
	}
	for page, m := range map[string]mfa.Method{"verify/totp": totpMethod, "verify/passkey": {Kind: mfa.Passkey, Available: true}, "verify/email": emailMethod} {
		w := newWorld(t, acme)
		verifying(m)(w)
		w.gate.to = sentTo(emailMethod, 0)
		if a := w.get("/.mfa/" + page); !strings.Contains(a.body, `href="/.mfa/verify/bypass"`) {
			t.Errorf("%s: nowhere to enter an administrator's code", page)
		}
		w.signedIn(mfa.Decision{Action: mfa.StepUp}).Methods = []mfa.Method{m}
		if a := w.get("/.mfa/" + page); strings.Contains(a.body, "verify/bypass") {
			t.Errorf("%s offers a bypass at a step-up", page)
		}
	}
}

// AC-133: an address, a number, a browser or an organization is text, whatever it
// looks like.
func TestSent_RejectsMarkupFromOutside(t *testing.T) {
	const probe = `"><svg/onload=1>'{{.}}`
	hostile := mfa.Method{Kind: mfa.Email, Available: true, Credential: probe, Address: probe}
	show := map[string]func(w *world) answer{
		"verify": func(w *world) answer {
			mailing(time.Minute, nil, hostile)(w)
			return w.get("/.mfa/verify")
		},
		"wrong code": func(w *world) answer {
			mailing(time.Minute, mfa.ErrRejected, hostile)(w)
			return w.post(t, "/.mfa/verify/email?cred="+url.QueryEscape(probe), url.Values{"code": {probe}})
		},
		"list": func(w *world) answer {
			off := hostile
			off.Available, off.Why = false, mfa.ReasonSameChannel
			verifying(hostile, off)(w)
			return w.get("/.mfa/verify/methods")
		},
		"address typed": func(w *world) answer {
			settingUpAddress(mfa.Email, probe, time.Minute, mfa.ErrName)(w)
			return w.post(t, "/.mfa/set-up/email", url.Values{"address": {probe}})
		},
		"address on file": func(w *world) answer {
			settingUp(forced(mfa.Email), mfa.Choice{Kind: mfa.Email, Available: true, Addresses: []mfa.AddressChoice{{Masked: probe, Ref: probe}}})(w)
			return w.get("/.mfa/set-up/email")
		},
		"code of an address": func(w *world) answer {
			settingUpAddress(mfa.Email, probe, time.Minute, nil)(w)
			return w.get("/.mfa/set-up/email/code")
		},
		"confirm": func(w *world) answer {
			confirming(time.Minute, nil)(w)
			w.gate.state.Confirm, w.gate.to.Masked = probe, probe
			return w.get("/.mfa/set-up/confirm")
		},
		"pass": func(w *world) answer {
			confirming(time.Minute, nil)(w)
			w.gate.state.Confirm = probe
			return w.get("/.mfa/set-up/pass")
		},
		"pass typed": func(w *world) answer {
			confirming(time.Minute, mfa.ErrRejected)(w)
			return w.post(t, "/.mfa/set-up/pass", url.Values{"code": {probe}})
		},
		"bypass typed": func(w *world) answer {
			failing(mfa.ErrRejected, totpMethod)(w)
			return w.post(t, "/.mfa/verify/bypass", url.Values{"code": {probe}})
		},
		"account": func(w *world) answer {
			w.signedIn(mfa.Decision{Action: mfa.Allow})
			c := sampleEmail
			c.Name, c.ID = probe, probe
			w.gate.account = sampleAccount(c)
			a := w.gate.account
			a.Phone, a.Organizations = probe, []string{probe, probe}
			a.Remembered = []mfa.RememberedDevice{{ID: probe, Agent: probe, Proven: testNow}}
			a.Notices = []mfa.Notice{{Kind: mfa.NoticeStolenDevice, Name: probe, Agent: probe, At: testNow}}
			return w.get("/.mfa/account")
		},
		"devices": func(w *world) answer {
			w.signedIn(mfa.Decision{Action: mfa.Allow})
			w.gate.account = sampleAccount()
			w.gate.account.Remembered = []mfa.RememberedDevice{{ID: probe, Agent: probe, Proven: testNow}}
			return w.get("/.mfa/account/devices")
		},
		"removal": func(w *world) answer {
			w.signedIn(mfa.Decision{Action: mfa.Allow})
			c := sampleSMS
			c.Name = probe
			w.gate.account = sampleAccount(samplePasskey, c)
			return w.get("/.mfa/account/remove?credential=s1")
		},
	}
	for name, s := range show {
		t.Run(name, func(t *testing.T) {
			a := s(newWorld(t, Brand{Name: probe, Support: probe}))
			if a.StatusCode == 303 || strings.Contains(a.body, "<svg/onload") {
				t.Errorf("AC-133: %d %s", a.StatusCode, a.body)
			}
			if strings.Contains(a.body, "ZgotmplZ") {
				t.Error("a template refused a value")
			}
		})
	}
}

// B5: a refusal names no organization, and no page knows one but the account's own.
func TestRefused_B5_SaysNothingOfTheOrganization(t *testing.T) {
	w := newWorld(t, acme)
	w.signedIn(mfa.Decision{})
	rec := httptest.NewRecorder()
	w.pages.Refused(rec, httptest.NewRequest(http.MethodGet, "https://payroll.example.com/x", nil), mfa.Decision{Reason: mfa.ReasonNotMember, ID: "K7PQ2M9XTA"})
	for _, want := range []string{"only for some people", "help@example.com", "K7PQ2M9XTA", "/.mfa/account"} {
		if !strings.Contains(rec.Body.String(), want) {
			t.Errorf("no %q", want)
		}
	}
	if strings.Contains(strings.ToLower(rec.Body.String()), "organi") {
		t.Error("the page speaks of an organization")
	}
}

// An address is called by its mask, and has no other name to give.
func TestAccount_AddressesHaveNoName(t *testing.T) {
	w := newWorld(t, acme)
	w.signedIn(mfa.Decision{Action: mfa.Allow})
	w.gate.account = sampleAccount(sampleEmail, sampleSMS)
	w.gate.account.Email = ""
	a := w.get("/.mfa/account")
	for _, never := range []string{"account/rename", "alice@example.com", "+447700900142"} {
		if strings.Contains(a.body, never) {
			t.Errorf("the page holds %q", never)
		}
	}
	for _, id := range []string{"e1", "s1"} {
		goes(t, w.get("/.mfa/account/rename?credential="+id), "/.mfa/account")
	}
}

// The score says of codes that are sent what they are worth.
func TestScore_OfCodesThatAreSent(t *testing.T) {
	for _, tt := range []struct {
		name    string
		creds   []mfa.Credential
		choices []mfa.Choice
		want    string
	}{
		{"beside a passkey to be had", []mfa.Credential{sampleEmail, sampleSet}, allChoices, "Add a passkey: a mailbox"},
		{"beside an app to be had", []mfa.Credential{sampleSMS, sampleSet}, allChoices[1:], "Add an authenticator app: a mailbox"},
		{"where there is nothing else", []mfa.Credential{sampleEmail, sampleSet}, allChoices[2:], "This is as safe as it gets here"},
		{"with no codes", []mfa.Credential{sampleEmail}, allChoices[2:], "Make backup codes"},
		{"nothing", nil, allChoices, "Not protected yet"},
	} {
		w := newWorld(t, acme)
		w.signedIn(mfa.Decision{Action: mfa.Allow})
		w.gate.account = sampleAccount(tt.creds...)
		w.gate.account.Choices = tt.choices
		if a := w.get("/.mfa/account"); !strings.Contains(a.body, tt.want) {
			t.Errorf("%s: no %q", tt.name, tt.want)
		}
	}
}

// What is served of the two files is what they hold, without what only readers of the
// source need.
func TestAssets_AreLean(t *testing.T) {
	for _, tt := range []struct{ name, source, want string }{
		{"a.js", "// Why.\n\"use strict\";\n\n  const a = \"// no comment\"; // but this stays\n", "\"use strict\";\nconst a = \"// no comment\"; // but this stays\n"},
		{"a.css", "/* One\n   two. */\n:root {\n  --a: 1px; --b: 2px;\n}\n/* Three */\n.a, .b { margin: calc(-1 * var(--a)) 0; }\n", ":root{\n--a:1px;--b:2px;\n}\n.a,.b{margin:calc(-1 * var(--a)) 0;}\n"},
	} {
		if got := string(lean(tt.name, []byte(tt.source))); got != tt.want {
			t.Errorf("%s: %q", tt.name, got)
		}
	}
}
