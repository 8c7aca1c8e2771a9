package pages

import (
	"errors"
	"fmt"
	"html"
	"net/http"
	"net/http/httptest"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/secondgate/secondgate/guard"
	"github.com/secondgate/secondgate/internal/web"
	"github.com/secondgate/secondgate/mfa"
)

// goes fails where the answer is not a 303 to that address.
func goes(t *testing.T, a answer, to string) {
	t.Helper()
	if a.StatusCode != http.StatusSeeOther || a.Header.Get("Location") != to {
		t.Fatalf("%d to %q, want 303 to %q\n%s", a.StatusCode, a.Header.Get("Location"), to, a.body)
	}
	if a.Header.Get("Cache-Control") != "no-store" {
		t.Error("AC-129: a redirect may be cached")
	}
}

func TestPages_GoWhereTheDecisionSays(t *testing.T) {
	tests := []struct {
		name string
		out  *mfa.Outcome
		want string
	}{
		{"nothing owed", completed(), "/reports/2026"},
		{"the second factor", owing(verifyDecision), "/.mfa/verify?rd=%2Freports%2F2026&c=1"},
		{"set-up", owing(forced(mfa.TOTP)), "/.mfa/set-up?rd=%2Freports%2F2026&c=1"},
		{"backup codes", owing(codesOwed), "/.mfa/set-up/backup-codes?rd=%2Freports%2F2026&c=1"},
		{"a refusal", owing(mfa.Decision{}), "/.mfa/verify?rd=%2Freports%2F2026&c=1"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			w := newWorld(t, acme)
			w.gate.outcome = tt.out
			goes(t, w.post(t, "/.mfa/sign-in"+rd, url.Values{"name": {"alice"}, "password": {"pw"}}), tt.want)
			if w.guard.set != tt.out.Session {
				t.Error("the cookie of the new session was not written")
			}
			if want := []string{"local", "alice", "pw"}; !slices.Equal(w.gate.args, want) {
				t.Errorf("signed in with %v", w.gate.args)
			}
		})
	}
}

// A new sign-in ends what the browser held: nothing planted outlives it.
func TestSignIn_ReplacesTheSessionBefore(t *testing.T) {
	w := newWorld(t, acme)
	w.signedIn(mfa.Decision{Action: mfa.Allow})
	w.gate.outcome = completed()
	w.post(t, "/.mfa/sign-in", url.Values{"name": {"alice"}})
	if w.gate.at.Replaces != "full" {
		t.Errorf("replaces %q", w.gate.at.Replaces)
	}
}

// Unknown name, wrong password, locked, disabled and throttled are one answer
// before the first factor is proven (security.md 0.1, 13).
func TestSignIn_AnswersEveryRejectionAlike(t *testing.T) {
	var first string
	for _, err := range []error{mfa.ErrRejected, &mfa.ThrottledError{RetryAfter: time.Minute}, &mfa.ThrottledError{Locked: true}} {
		w := newWorld(t, acme)
		w.gate.err = err
		a := w.post(t, "/.mfa/sign-in", url.Values{"name": {"alice"}, "password": {"secret-word"}})
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
		if strings.Contains(a.body, "secret-word") {
			t.Error("the password came back")
		}
	}
}

// AC-120, AC-121, AC-123: what another site makes a browser send changes nothing.
func TestPages_RefuseCrossSiteRequests(t *testing.T) {
	bend := []struct {
		name string
		how  func(*http.Request)
	}{
		{"another origin", func(r *http.Request) { r.Header.Set("Origin", "https://evil.test"); r.Header.Del("Sec-Fetch-Site") }},
		{"origin null", func(r *http.Request) { r.Header.Set("Origin", "null") }},
		{"cross-site", func(r *http.Request) { r.Header.Set("Sec-Fetch-Site", "cross-site") }},
		{"a sibling host", func(r *http.Request) { r.Header.Set("Sec-Fetch-Site", "same-site") }},
		{"text/plain", func(r *http.Request) { r.Header.Set("Content-Type", "text/plain") }},
		{"multipart", func(r *http.Request) { r.Header.Set("Content-Type", "multipart/form-data; boundary=x") }},
		{"no content type", func(r *http.Request) { r.Header.Del("Content-Type") }},
		{"no token cookie", func(r *http.Request) { r.Header.Del("Cookie") }},
	}
	for name, rt := range newWorld(t, acme).pages.routes {
		if rt.post == nil {
			continue
		}
		for _, b := range bend {
			t.Run(name+" with "+b.name, func(t *testing.T) {
				w := newWorld(t, acme)
				w.signedIn(mfa.Decision{Action: mfa.Allow})
				w.gate.everything()
				r := w.postRequest(t, "/.mfa/"+name, url.Values{"saved": {"yes"}, "do": {"skip"}, "theme": {"dark"}})
				b.how(r)
				a := w.do(r)
				if a.StatusCode != http.StatusForbidden && a.StatusCode != http.StatusUnsupportedMediaType {
					t.Errorf("status %d", a.StatusCode)
				}
				if len(w.gate.calls) != 0 || w.guard.cleared || w.guard.set != nil {
					t.Errorf("it did %v", w.gate.calls)
				}
				for h := range a.Header {
					if strings.HasPrefix(h, "Access-Control-") {
						t.Errorf("AC-125: %s", h)
					}
				}
			})
		}
	}
}

// AC-123: an image or a link signs nobody out.
func TestSignOut_AsksFirst(t *testing.T) {
	w := newWorld(t, acme)
	w.signedIn(mfa.Decision{Action: mfa.Allow})
	a := w.get("/.mfa/sign-out?rd=%2Freports")
	if a.StatusCode != 200 || w.gate.did("SignOut") || w.guard.cleared {
		t.Errorf("%d, asked the gate %v", a.StatusCode, w.gate.calls)
	}
	if !strings.Contains(a.body, `href="/reports"`) {
		t.Error("no way to stay")
	}
	goes(t, w.post(t, "/.mfa/sign-out", nil), "/.mfa/sign-out")
	if !w.gate.did("SignOut") || !w.guard.cleared {
		t.Error("it did not sign out")
	}
}

// AC-040: without a session the cookies go all the same, and nowhere else.
func TestSignOut_WithoutASession(t *testing.T) {
	w := newWorld(t, acme)
	goes(t, w.post(t, "/.mfa/sign-out?rd=https%3A%2F%2Fevil.test", nil), "/.mfa/sign-out")
	if !w.guard.cleared {
		t.Error("the cookies stayed")
	}
}

// AC-125: no answer opens anything to another origin.
func TestPages_AnswerNoPreflight(t *testing.T) {
	for name := range newWorld(t, acme).pages.routes {
		w := newWorld(t, acme)
		r := httptest.NewRequest(http.MethodOptions, "https://payroll.example.com/.mfa/"+name, nil)
		r.Header.Set("Origin", "https://evil.test")
		r.Header.Set("Access-Control-Request-Method", "POST")
		a := w.do(r)
		if a.StatusCode != http.StatusMethodNotAllowed || a.Header.Get("Allow") == "" || a.Header.Get("Access-Control-Allow-Origin") != "" {
			t.Errorf("%q: %d %v", name, a.StatusCode, a.Header)
		}
		if len(w.gate.calls) != 0 {
			t.Errorf("%q asked the gate %v", name, w.gate.calls)
		}
	}
}

// AC-133: nothing from the outside gets into a page unescaped.
func TestPages_RejectMarkupFromOutside(t *testing.T) {
	const probe = `"><svg/onload=1>'{{.}}`
	const marks = "<svg/onload"
	show := map[string]func(w *world) answer{
		"path": func(w *world) answer { return w.get("/.mfa/" + url.PathEscape(probe)) },
		"rd":   func(w *world) answer { return w.get("/.mfa/sign-in?rd=" + url.QueryEscape("/"+probe)) },
		"hints": func(w *world) answer {
			return w.get("/.mfa/sign-in?max_age=" + url.QueryEscape(probe) + "&factors=" + url.QueryEscape(probe) + "&for=" + url.QueryEscape(probe))
		},
		"language": func(w *world) answer {
			return w.get("/.mfa/sign-in", testCookies.Name(web.LanguageCookie)+"="+url.QueryEscape(probe))
		},
		"theme": func(w *world) answer {
			return w.get("/.mfa/sign-in", testCookies.Name(web.ThemeCookie)+`="><svg/onload=1>`)
		},
		"user name typed": func(w *world) answer {
			w.gate.err = mfa.ErrRejected
			return w.post(t, "/.mfa/sign-in", url.Values{"name": {probe}})
		},
		"link fields": func(w *world) answer {
			w.gate.link, w.gate.err = &mfa.Link{Purpose: mfa.ForSetupLink}, mfa.ErrNameTaken
			return w.post(t, "/.mfa/link", url.Values{"step": {"accept"}, "token": {probe}, "name": {probe}, "display": {probe}, "email": {probe}})
		},
		"display name": func(w *world) answer {
			verifying(totpMethod)(w)
			w.guard.half.Subject.DisplayName = probe
			return w.get("/.mfa/verify")
		},
		"host": func(w *world) answer {
			w.guard.place.Host = probe
			return w.get("/.mfa/sign-in")
		},
		"credential names": func(w *world) answer {
			w.signedIn(mfa.Decision{Action: mfa.Allow})
			c := sampleTOTP
			c.Name, c.ID = probe, probe
			w.gate.account = sampleAccount(c)
			w.gate.account.DisplayName, w.gate.account.Email = probe, probe
			w.gate.account.Sessions[1].Agent, w.gate.account.Sessions[1].Host = probe, probe
			return w.get("/.mfa/account")
		},
		"removal": func(w *world) answer {
			w.signedIn(mfa.Decision{Action: mfa.Allow})
			c := sampleTOTP
			c.Name = probe
			w.gate.account = sampleAccount(c)
			return w.get("/.mfa/account/remove?credential=t1")
		},
		"hint of a method": func(w *world) answer {
			verifying(mfa.Method{Kind: mfa.Passkey, Why: mfa.ReasonOtherHost, Hint: probe})(w)
			return w.get("/.mfa/verify/methods")
		},
		"decision": func(w *world) answer {
			rec := httptest.NewRecorder()
			w.pages.Refused(rec, httptest.NewRequest(http.MethodGet, "https://payroll.example.com/x", nil), mfa.Decision{ID: probe})
			return answer{rec.Result(), rec.Body.String()}
		},
	}
	for name, s := range show {
		t.Run(name, func(t *testing.T) {
			a := s(newWorld(t, Brand{Name: probe, Support: probe}))
			if strings.Contains(a.body, marks) {
				t.Errorf("AC-133: %s", a.body)
			}
			if strings.Contains(a.Header.Get("Location"), "evil") || strings.ContainsAny(a.Header.Get("Location"), "<>\"") {
				t.Errorf("location %q", a.Header.Get("Location"))
			}
		})
	}
}

// AC-135: what looks like a placeholder stays what it is.
func TestPages_KeepPlaceholdersLiteral(t *testing.T) {
	for _, name := range []string{"{env.SECRET}", "{{.CSRF}}", "%s%n", "${jndi:ldap://x}", "{place}", "{http.request.header.Cookie}"} {
		w := newWorld(t, acme)
		verifying(totpMethod)(w)
		w.guard.half.Subject.DisplayName = name
		if a := w.get("/.mfa/verify"); !strings.Contains(a.body, "<bdi>"+name+"</bdi>") {
			t.Errorf("%q became something else", name)
		}
	}
}

// AC-131: the account page holds no secret, whatever the core hands over.
func TestAccount_ShowsNoSecret(t *testing.T) {
	w := newWorld(t, acme)
	w.signedIn(mfa.Decision{Action: mfa.Allow})
	c := sampleTOTP
	c.Data, c.Unique = mfa.Secret("TOPSECRET"), "TOPSECRET"
	w.gate.account = sampleAccount(c)
	a := w.get("/.mfa/account")
	for _, never := range []string{"TOPSECRET", "token-of-", "full"} {
		if strings.Contains(a.body, never) {
			t.Errorf("the page holds %q", never)
		}
	}
}

// AC-033…AC-041: the address to return to is judged each time it is read.
func TestPages_RefuseForeignReturnAddresses(t *testing.T) {
	for _, raw := range []string{"https://evil.test", "//evil.test", `/\evil.test`, "/.mfa/sign-out", "javascript:alert(1)", "/%2fevil.test"} {
		w := newWorld(t, acme)
		w.gate.outcome = completed()
		goes(t, w.post(t, "/.mfa/sign-in?rd="+url.QueryEscape(raw), url.Values{"name": {"alice"}}), "/")
	}
}

func TestPreferences(t *testing.T) {
	tests := []struct {
		name  string
		form  url.Values
		to    string
		state string
	}{
		{"a theme", url.Values{"theme": {"dark"}, "back": {"/.mfa/sign-in?rd=%2Fx"}}, "/.mfa/sign-in?rd=%2Fx", "-theme=dark"},
		{"the system's theme", url.Values{"theme": {"auto"}, "back": {"/.mfa/sign-in"}}, "/.mfa/sign-in", "-theme=;"},
		{"a language", url.Values{"language": {"de"}, "back": {"/.mfa/account"}}, "/.mfa/account", "-lang=de"},
		{"no language (AC-133)", url.Values{"language": {"\"><svg>"}, "back": {"/.mfa/account"}}, "/.mfa/account", ""},
		{"a foreign address", url.Values{"back": {"https://evil.test/.mfa/sign-in"}}, "/.mfa/", ""},
		{"a foreign host", url.Values{"back": {"//evil.test/.mfa/sign-in"}}, "/.mfa/", ""},
		{"an address that is no page", url.Values{"back": {"/.mfa/account/end-others"}}, "/.mfa/", ""},
		{"a page of the app's that was refused", url.Values{"language": {"de"}, "back": {"/reports?x=1"}}, "/reports?x=1", "-lang=de"},
		{"an address that a browser reads otherwise", url.Values{"back": {"/\\evil.test"}}, "/.mfa/", ""},
		{"an encoded path", url.Values{"back": {"/.mfa/%2e%2e/x"}}, "/.mfa/", ""},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			a := newWorld(t, acme).post(t, "/.mfa/preferences", tt.form)
			goes(t, a, tt.to)
			if got := strings.Join(a.Header["Set-Cookie"], "\n"); !strings.Contains(got, tt.state) || tt.state == "" && got != "" {
				t.Errorf("cookies %q", got)
			}
		})
	}
}

func TestPages_ServeAssetsForEver(t *testing.T) {
	w := newWorld(t, Brand{Logo: []byte("<svg xmlns='http://www.w3.org/2000/svg'/>"), LogoType: "image/svg+xml"})
	for name, to := range w.pages.assets.urls {
		a := w.get(to)
		if a.StatusCode != 200 || !strings.Contains(a.Header.Get("Cache-Control"), "immutable") || a.Header.Get("X-Content-Type-Options") != "nosniff" || a.Header.Get("Content-Security-Policy") == "" {
			t.Errorf("%s: %d %v", name, a.StatusCode, a.Header)
		}
	}
	if a := w.get("/.mfa/assets/style-000000000000.css"); a.StatusCode != 404 {
		t.Errorf("an old name: %d", a.StatusCode)
	}
}

func TestPages_CapBodies(t *testing.T) {
	w := newWorld(t, acme)
	verifying(bothMethods...)(w)
	w.post(t, "/.mfa/verify/totp", url.Values{"code": {strings.Repeat("1", maxBody)}})
	if a := w.postJSON(t, "/.mfa/verify/passkey/finish", `{"id":"x","answer":"`+strings.Repeat("a", maxBody)+`"}`); a.StatusCode != http.StatusBadRequest {
		t.Errorf("AC-148: %d", a.StatusCode)
	}
	if len(w.gate.calls) != 0 {
		t.Errorf("the gate was asked %v", w.gate.calls)
	}
}

// Situations of somebody who comes at the wrong time, or twice.
func TestPages_AlwaysLeadOn(t *testing.T) {
	tests := []struct {
		name    string
		prepare func(*world)
		do      func(*testing.T, *world) answer
		want    string
	}{
		{"nobody is signed in", nil, func(_ *testing.T, w *world) answer { return w.get("/.mfa/verify" + rd) }, "/.mfa/sign-in?rd=%2Freports%2F2026"},
		{"the sign-in waited too long", nil, func(_ *testing.T, w *world) answer {
			return w.get("/.mfa/verify"+rd, testCookies.Name(web.HalfDoneCookie)+"=old")
		}, "/.mfa/sign-in?again=late&rd=%2Freports%2F2026"},
		{"the session ended while the cookie is fresh", nil, func(_ *testing.T, w *world) answer {
			return w.get("/.mfa/verify?c=1", testCookies.Name(web.HalfDoneCookie)+"=old")
		}, "/.mfa/sign-in?again=late"},
		{"another tab finished (two tabs)", func(w *world) { w.signedIn(mfa.Decision{Action: mfa.Allow}) },
			func(_ *testing.T, w *world) answer { return w.get("/.mfa/verify/totp" + rd) }, "/reports/2026"},
		{"another tab finished while this one posts", func(w *world) {
			w.signedIn(mfa.Decision{Action: mfa.Allow})
			w.gate.err = mfa.ErrNotOwed
		}, func(t *testing.T, w *world) answer {
			return w.post(t, "/.mfa/verify/totp"+rd, url.Values{"code": {"123456"}})
		}, "/.mfa/verify?rd=%2Freports%2F2026"},
		{"the same code twice: the first try went through", func(w *world) {
			w.signedIn(mfa.Decision{Action: mfa.Allow})
			w.gate.err = mfa.ErrRejected
		}, func(t *testing.T, w *world) answer {
			return w.post(t, "/.mfa/verify/totp"+rd, url.Values{"code": {"123456"}})
		}, "/reports/2026"},
		{"back to the sign-in page after signing in", func(w *world) { w.signedIn(mfa.Decision{Action: mfa.Allow}) },
			func(_ *testing.T, w *world) answer { return w.get("/.mfa/sign-in" + rd) }, "/reports/2026"},
		{"back to the sign-in page half-done", func(w *world) { w.halfDone(verifyDecision) },
			func(_ *testing.T, w *world) answer { return w.get("/.mfa/sign-in" + rd) }, "/.mfa/verify?rd=%2Freports%2F2026"},
		{"back to set-up after it was done", func(w *world) { w.signedIn(mfa.Decision{Action: mfa.Allow}) },
			func(_ *testing.T, w *world) answer { return w.get("/.mfa/set-up/totp" + rd) }, "/reports/2026"},
		{"set-up before verifying", func(w *world) { w.halfDone(verifyDecision) },
			func(_ *testing.T, w *world) answer { return w.get("/.mfa/set-up/totp" + rd) }, "/.mfa/verify?rd=%2Freports%2F2026"},
		{"one factor opens its page (B11)", settingUp(forced(mfa.TOTP), bothChoices[1]),
			func(_ *testing.T, w *world) answer { return w.get("/.mfa/set-up") }, "/.mfa/set-up/totp"},
		{"a passkey page where passkeys cannot work", settingUp(forced(mfa.Passkey, mfa.TOTP), mfa.Choice{Kind: mfa.Passkey, Why: mfa.ReasonPlainHTTP}, bothChoices[1]),
			func(_ *testing.T, w *world) answer { return w.get("/.mfa/set-up/passkey") }, "/.mfa/set-up?list=1"},
		{"the new secret waited too long", func(w *world) {
			settingUp(forced(mfa.TOTP), bothChoices[1])(w)
			w.gate.err = mfa.ErrExpired
		}, func(t *testing.T, w *world) answer {
			return w.post(t, "/.mfa/set-up/totp", url.Values{"code": {"123456"}})
		}, "/.mfa/set-up/totp?again=late"},
		{"the codes waited too long", func(w *world) {
			settingUp(codesOwed)(w)
			w.gate.err = mfa.ErrExpired
		}, func(t *testing.T, w *world) answer {
			return w.post(t, "/.mfa/set-up/backup-codes", url.Values{"saved": {"yes"}})
		}, "/.mfa/set-up/backup-codes?again=late"},
		{"adding needs a new proof (B15)", func(w *world) {
			st := w.signedIn(mfa.Decision{Action: mfa.Allow})
			st.ProofOwed, st.Methods = true, bothMethods
		}, func(_ *testing.T, w *world) answer { return w.get("/.mfa/set-up/totp?from=account") },
			"/.mfa/verify?for=set-up%2Ftotp&from=account&prove=passkey+totp+backup_code"},
		{"adding needs the password again (B15)", func(w *world) { w.signedIn(mfa.Decision{Action: mfa.Allow}).ProofOwed = true },
			func(_ *testing.T, w *world) answer { return w.get("/.mfa/set-up/totp?from=account") },
			"/.mfa/sign-in?for=set-up%2Ftotp&from=account"},
		{"removing needs a stronger proof (B15)", func(w *world) {
			w.signedIn(mfa.Decision{Action: mfa.Allow})
			w.gate.err = &mfa.ProofError{Kinds: mfa.KindsOf(mfa.Passkey)}
		}, func(t *testing.T, w *world) answer {
			return w.post(t, "/.mfa/account/remove", url.Values{"credential": {"p1"}})
		}, "/.mfa/verify?for=account&prove=passkey"},
		{"the proof was given: back to what waited", func(w *world) {
			w.signedIn(mfa.Decision{Action: mfa.StepUp})
			w.gate.outcome = completed()
		}, func(t *testing.T, w *world) answer {
			return w.post(t, "/.mfa/verify/totp?for=set-up%2Ftotp&prove=totp&from=account", url.Values{"code": {"123456"}})
		}, "/.mfa/set-up/totp?from=account&c=1"},
		{"the tail of a set-up that a route asked for (B14)", func(w *world) {
			w.signedIn(mfa.Decision{Action: mfa.SetUp, Reason: mfa.ReasonNeedsFactor})
			w.gate.outcome = completed()
			w.gate.outcome.Decision = mfa.Decision{Action: mfa.SetUp, Reason: mfa.ReasonNoCodes, Kinds: mfa.KindsOf(mfa.BackupCode), Skippable: true}
		}, func(t *testing.T, w *world) answer {
			return w.post(t, "/.mfa/set-up/totp"+rd, url.Values{"code": {"123456"}})
		}, "/.mfa/set-up/backup-codes?from=factor&rd=%2Freports%2F2026&c=1"},
		{"skip", func(w *world) {
			w.halfDone(forced(mfa.TOTP))
			w.gate.outcome = completed()
		}, func(t *testing.T, w *world) answer {
			return w.post(t, "/.mfa/set-up"+rd, url.Values{"do": {"skip"}})
		}, "/reports/2026"},
		{"skip where it may not be skipped any more", func(w *world) {
			w.halfDone(forced(mfa.TOTP))
			w.gate.err = mfa.ErrNotAllowed
		}, func(t *testing.T, w *world) answer {
			return w.post(t, "/.mfa/set-up"+rd, url.Values{"do": {"skip"}})
		}, "/.mfa/set-up?rd=%2Freports%2F2026"},
		{"the account before the second factor", func(w *world) {
			w.halfDone(verifyDecision)
			w.gate.acctOf = mfa.ErrNotAllowed
		}, func(_ *testing.T, w *world) answer { return w.get("/.mfa/account") }, "/.mfa/verify?from=account"},
		{"the download after its time", func(w *world) {
			settingUp(codesOwed)(w)
			w.gate.beginOf = mfa.ErrExpired
		}, func(_ *testing.T, w *world) answer { return w.get("/.mfa/set-up/backup-codes.txt") }, "/.mfa/set-up/backup-codes"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			w := newWorld(t, acme)
			if tt.prepare != nil {
				tt.prepare(w)
			}
			goes(t, tt.do(t, w), tt.want)
		})
	}
}

// What the route asks travels along, and is given to the Gate as a hint.
func TestPages_CarryWhatTheRouteAsks(t *testing.T) {
	w := newWorld(t, acme)
	st := w.signedIn(mfa.Decision{Action: mfa.StepUp, Reason: mfa.ReasonTooWeak, Kinds: mfa.KindsOf(mfa.Passkey)})
	st.Methods, st.Preferred = bothMethods, mfa.Passkey
	a := w.get("/.mfa/verify?rd=%2Fdanger&max_age=300&factors=passkey+totp&phr=1")
	want := mfa.Requirement{Fresh: 5 * time.Minute, Factors: mfa.KindsOf(mfa.Passkey, mfa.TOTP), PhishingResistant: true}
	if w.gate.at.Asked != want {
		t.Errorf("asked %+v", w.gate.at.Asked)
	}
	if !strings.Contains(a.body, `data-finish="/.mfa/verify/passkey/finish?factors=passkey&#43;totp&amp;max_age=300&amp;phr=1&amp;rd=%2Fdanger"`) {
		t.Errorf("the hints are lost:\n%s", a.body)
	}
	for _, raw := range []string{"max_age=-1", "max_age=0", "max_age=x", "max_age=99999999999", "factors=nonsense", "phr=yes"} {
		w.get("/.mfa/verify?" + raw)
		if !w.gate.at.Asked.Zero() {
			t.Errorf("%s asks %+v", raw, w.gate.at.Asked)
		}
	}
}

// A change of factors asks for a proof of its own, whatever the route asked.
func TestVerify_ForAChangeAsksForAFreshProof(t *testing.T) {
	w := newWorld(t, acme)
	w.signedIn(mfa.Decision{Action: mfa.StepUp, Kinds: mfa.KindsOf(mfa.Passkey)}).Methods = bothMethods
	w.get("/.mfa/verify?for=account&prove=passkey&max_age=86400")
	if want := (mfa.Requirement{Fresh: mfa.ProofLife, Factors: mfa.KindsOf(mfa.Passkey)}); w.gate.at.Asked != want {
		t.Errorf("asked %+v", w.gate.at.Asked)
	}
}

// A set-up that waited for a newer proof waits no longer once the person goes there.
// Its name went on in every address, and who had set up what was owed was sent back to
// a list of what else there was, which had no way out.
func TestPages_WhatWaitedWaitsNoLonger(t *testing.T) {
	for name, tt := range map[string]struct {
		decision mfa.Decision
		want     string
	}{
		"a factor": {forced(mfa.TOTP), "/.mfa/set-up?rd=%2Freports%2F2026&c=1"},
		"codes":    {codesOwed, "/.mfa/set-up/backup-codes?rd=%2Freports%2F2026&c=1"},
		"nothing":  {mfa.Decision{Action: mfa.Allow}, "/.mfa/set-up?rd=%2Freports%2F2026&c=1"},
	} {
		w := newWorld(t, acme)
		w.halfDone(verifyDecision)
		w.gate.outcome = owing(tt.decision)
		a := w.post(t, "/.mfa/verify/totp"+rd+"&for=set-up&prove=totp", url.Values{"code": {"123456"}})
		t.Run(name, func(t *testing.T) { goes(t, a, tt.want) })
	}
}

func TestPasskeys_ScriptIsToldWhatToDo(t *testing.T) {
	tests := []struct {
		name, path string
		prepare    func(*world)
		status     int
		want       string
	}{
		{"begin", "verify/passkey/begin", nil, 200, `{"id":"ceremony-1","publicKey":{"challenge":"AAAA"}}`},
		{"begin to set up", "set-up/passkey/begin", nil, 200, `{"id":"ceremony-1","publicKey":{"challenge":"AAAA"}}`},
		{"finish", "verify/passkey/finish", func(w *world) { w.gate.outcome = completed() }, 200, `{"next":"/reports/2026"}`},
		{"rejected", "verify/passkey/finish", func(w *world) { w.gate.err = mfa.ErrRejected }, 422, "wasn’t accepted"},
		{"a copy", "verify/passkey/finish", func(w *world) { w.gate.err = mfa.ErrCloned }, 422, "suggests a copy"},
		{"the challenge expired", "verify/passkey/finish", func(w *world) { w.gate.err = mfa.ErrExpired }, 422, "took too long"},
		{"throttled", "verify/passkey/finish", func(w *world) { w.gate.err = &mfa.ThrottledError{RetryAfter: 30 * time.Second} }, 429, "30 seconds"},
		{"locked", "verify/passkey/finish", func(w *world) { w.gate.err = &mfa.ThrottledError{Locked: true} }, 429, "locked"},
		{"no passkey fits here", "verify/passkey/begin", func(w *world) { w.gate.beginOf = mfa.ErrNotAllowed }, 403, `"next":"/.mfa/verify?rd=`},
		{"another tab finished", "verify/passkey/finish", func(w *world) { w.gate.err = mfa.ErrNotOwed }, 409, `"next":"/.mfa/verify?rd=`},
		{"the session is over", "verify/passkey/begin", func(w *world) { w.guard.half = nil }, 401, `"next":"/.mfa/sign-in?again=late`},
		{"the store is down", "verify/passkey/begin", func(w *world) { w.guard.err = errors.New("down") }, 503, "not answering"},
		{"set-up rejected", "set-up/passkey/finish", func(w *world) { w.gate.err = mfa.ErrRejected }, 422, "could not be saved"},
		{"set-up needs a proof", "set-up/passkey/begin", func(w *world) { w.gate.beginOf = &mfa.ProofError{Kinds: mfa.KindsOf(mfa.TOTP)} }, 403, `"next":"/.mfa/verify?for=set-up%2Fpasskey`},
		{"set-up beyond the limit", "set-up/passkey/begin", func(w *world) { w.gate.beginOf = mfa.ErrLimit }, 403, `"next":"/.mfa/set-up?list=1`},
		{"set-up busy", "set-up/passkey/begin", func(w *world) { w.gate.beginOf = mfa.ErrBusy }, 503, "few seconds"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			w := newWorld(t, acme)
			w.halfDone(verifyDecision)
			if tt.prepare != nil {
				tt.prepare(w)
			}
			a := w.postJSON(t, "/.mfa/"+tt.path+rd, `{"id":"ceremony-1","answer":{"type":"public-key"}}`)
			if a.StatusCode != tt.status || !strings.Contains(strings.ReplaceAll(a.body, `\u0026`, "&"), tt.want) {
				t.Errorf("%d %s", a.StatusCode, a.body)
			}
			if a.Header.Get("Content-Type") != "application/json" || a.Header.Get("Cache-Control") != "no-store" {
				t.Errorf("headers %v", a.Header)
			}
		})
	}
}

func TestPasskeys_RejectNonsense(t *testing.T) {
	for _, body := range []string{"", "{", "[]", `{"id":1}`, `{"id":"x"}`, `{"answer":{}}`, "null"} {
		w := newWorld(t, acme)
		w.halfDone(verifyDecision)
		if a := w.postJSON(t, "/.mfa/verify/passkey/finish", body); a.StatusCode != 400 || len(w.gate.calls) != 0 {
			t.Errorf("AC-148 %q: %d", body, a.StatusCode)
		}
	}
}

// A fault is never a way in: no page answers 2xx, none clears a session.
func TestPages_FaultsRefuse(t *testing.T) {
	fault := errors.New("disk on fire: secret details")
	faults := map[string]func(*world){
		"the store": func(w *world) { w.guard.err = fault },
		"the gate": func(w *world) {
			w.gate.err, w.gate.stateOf, w.gate.beginOf, w.gate.acctOf, w.gate.linkOf = fault, fault, fault, fault, fault
		},
		"the cookie": func(w *world) { w.gate.err = fault },
	}
	for name, broken := range faults {
		for page, rt := range newWorld(t, acme).pages.routes {
			if rt.post == nil || page == "preferences" {
				continue
			}
			t.Run(name+" at "+page, func(t *testing.T) {
				w := newWorld(t, acme)
				w.signedIn(mfa.Decision{Action: mfa.Allow})
				w.gate.link = &mfa.Link{Purpose: mfa.ForSetupLink}
				w.gate.everything()
				broken(w)
				if name == "the store" && slices.Contains([]string{"sign-in/code", "sign-in/passkey/begin", "forgotten"}, page) {
					return // it is not asked who is signed in
				}
				var a answer
				if name == "the cookie" && strings.HasSuffix(page, sendAgain) {
					return // nothing failed: nothing is owed that a code would be sent for
				}
				if strings.Contains(page, "/passkey/") {
					a = w.postJSON(t, "/.mfa/"+page, `{"id":"x","answer":{}}`)
					if name == "the cookie" && strings.HasSuffix(page, "begin") {
						return // nothing failed
					}
				} else {
					a = w.post(t, "/.mfa/"+page, url.Values{"saved": {"yes"}, "step": {"accept"}, "last": {"1"}})
				}
				if a.StatusCode < 400 {
					t.Errorf("%d %q", a.StatusCode, a.Header.Get("Location"))
				}
				if strings.Contains(a.body, "disk on fire") {
					t.Error("the cause is shown")
				}
				if w.guard.set != nil {
					t.Error("a session was given out")
				}
			})
		}
	}
}

func TestPages_GuardRejectsFirst(t *testing.T) {
	w := newWorld(t, acme)
	w.guard.parseOf = guard.ErrBadRequest
	if a := w.get("/.mfa/sign-in"); a.StatusCode != 400 || w.guard.rejected != guard.ErrBadRequest {
		t.Errorf("%d", a.StatusCode)
	}
	w.guard.parseOf = guard.ErrPlainHTTP
	a := w.get("/.mfa/sign-in")
	if a.StatusCode != 403 || !strings.Contains(a.body, "https") {
		t.Errorf("%d", a.StatusCode)
	}
	if strings.Contains(a.body, "<form") || a.Header.Get("Set-Cookie") != "" {
		t.Error("something is asked, or kept, over plain http")
	}
	// The page is one of ours, and looks so.
	for _, name := range []string{"style.css", "brand.css", "pages.js", "icon.svg"} {
		at := w.pages.assets.url(name)
		if !strings.Contains(a.body, at) {
			t.Errorf("the page does not load %s", name)
		}
		if f := w.get(at); f.StatusCode != 200 || f.Header.Get("Strict-Transport-Security") != "" {
			t.Errorf("%s over plain http: %d", name, f.StatusCode)
		}
	}
}

// Who reads a link's page in another language goes on with the same link, and
// with what was typed; the secret never stands in an address.
func TestLink_SwitchesKeepIt(t *testing.T) {
	const token = "secret-of-the-link"
	switches := map[string]url.Values{
		"a language": {"language": {"de"}, "step": {"accept"}, "name": {"alice"}, "display": {"Alice Ng"}, "email": {"a@example.com"}, "password": {"never back"}},
		"a theme":    {"theme": {"dark"}, "step": {"accept"}, "name": {"alice"}, "display": {"Alice Ng"}, "email": {"a@example.com"}, "password": {"never back"}},
	}
	for name, form := range switches {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t, acme)
			w.gate.link = &mfa.Link{Purpose: mfa.ForSetupLink}
			form.Set("token", token)
			a := w.post(t, "/.mfa/link", form)
			if a.StatusCode != 200 || w.gate.did("AcceptLink") {
				t.Fatalf("%d, accepted: %t", a.StatusCode, w.gate.did("AcceptLink"))
			}
			for _, want := range []string{`name="token" value="` + token + `"`, `value="alice"`, `value="Alice Ng"`, `value="a@example.com"`, `form="keep" formnovalidate`, `id="keep"`} {
				if !strings.Contains(a.body, want) {
					t.Errorf("the page lost %s", want)
				}
			}
			if strings.Contains(a.body, "never back") {
				t.Error("the password came back")
			}
			if name == "a language" && !strings.Contains(a.body, `<html lang="de"`) || name == "a theme" && !strings.Contains(a.body, `data-theme="dark"`) {
				t.Error("nothing was switched")
			}
			if strings.Contains(a.body, "preferences") || a.Header.Get("Location") != "" {
				t.Error("a switch leads away from the link")
			}
		})
	}
	t.Run("on a page that refuses it", func(t *testing.T) {
		w := newWorld(t, acme)
		w.gate.linkOf = mfa.ErrExpired
		a := w.post(t, "/.mfa/link", url.Values{"token": {token}, "language": {"de"}})
		if a.StatusCode != 410 || !strings.Contains(a.body, "verbraucht") || !strings.Contains(a.body, `id="keep"`) {
			t.Errorf("%d %s", a.StatusCode, a.body)
		}
	})
}

func TestLink_SaysWhichFieldItIs(t *testing.T) {
	tests := []struct{ name, display, email, field string }{
		{"bob smith", "", "", "name"},
		{"bob", "Smith, Bob", "", "display"},
		{"bob", "Bob", "nonsense", "email"},
		{"bob", "", "bob@localhost", "email"},
	}
	for _, tt := range tests {
		w := newWorld(t, acme)
		w.gate.link, w.gate.err = &mfa.Link{Purpose: mfa.ForSetupLink}, mfa.ErrName
		a := w.post(t, "/.mfa/link", url.Values{"token": {"t"}, "step": {"accept"}, "name": {tt.name}, "display": {tt.display}, "email": {tt.email}})
		for _, field := range []string{"name", "display", "email", "password"} {
			if got := strings.Contains(a.body, `id="`+field+`-error"`); got != (field == tt.field) {
				t.Errorf("%v: an error at %s: %t", tt, field, got)
			}
		}
		if n := strings.Count(a.body, " autofocus"); n != 1 {
			t.Errorf("%v: %d fields have the focus", tt, n)
		}
	}
}

// Whom to ask can be clicked where it is an address, and is not said twice.
func TestPages_LinkToWhoCanHelp(t *testing.T) {
	tests := []struct{ support, link string }{
		{"help@example.com", `<a href="mailto:help@example.com">help@example.com</a>`},
		{"https://help.example.com/it?a=1&b=2", `<a href="https://help.example.com/it?a=1&amp;b=2">https://help.example.com/it?a=1&amp;b=2</a>`},
		{"http://help.example.com", ""},
		{"javascript:alert(1)//@example.com", ""},
		{"Bob <bob@example.com>", ""},
		{"the front desk, 555-0100", ""},
	}
	for _, tt := range tests {
		w := newWorld(t, Brand{Support: tt.support})
		for _, page := range []string{"/.mfa/sign-in", "/.mfa/sign-out"} {
			a := w.get(page)
			if n := strings.Count(a.body, html.EscapeString(tt.support)); tt.link == "" && n != 1 {
				t.Errorf("%s says %q %d times", page, tt.support, n)
			}
			if strings.Count(a.body, tt.link) != 1 && tt.link != "" || tt.link == "" && strings.Contains(a.body, "<a ") && strings.Contains(a.body, "alert(1)//@example.com</a>") {
				t.Errorf("%s with %q: %s", page, tt.support, a.body)
			}
		}
	}
}

// From three left the pages say so, once, after one was used (rule B23).
func TestVerify_SaysWhenCodesRunOut(t *testing.T) {
	for _, tt := range []struct {
		left int
		to   string
	}{{9, "/reports/2026"}, {4, "/reports/2026"}, {3, "/.mfa/verify/codes-left?c=1&rd=%2Freports%2F2026"}, {1, "/.mfa/verify/codes-left?c=1&rd=%2Freports%2F2026"}} {
		w := newWorld(t, acme)
		verifying(totpMethod, codeMethod)(w)
		w.gate.outcome = completed()
		w.gate.outcome.Subject = alice(mfa.Held{ID: mfa.BackupCodesID, Kind: mfa.BackupCode, Left: tt.left})
		a := w.post(t, "/.mfa/verify/backup-code"+rd, url.Values{"code": {"x"}})
		goes(t, a, tt.to)
		if w.guard.set == nil {
			t.Errorf("%d left: no session", tt.left)
		}
	}
	w := newWorld(t, acme)
	st := w.signedIn(mfa.Decision{Action: mfa.Allow})
	st.Subject = alice(mfa.Held{ID: mfa.BackupCodesID, Kind: mfa.BackupCode, Left: 1})
	if a := w.get("/.mfa/verify/codes-left" + rd); !strings.Contains(a.body, "1 unused code left.") || !strings.Contains(a.body, `href="/reports/2026"`) || !strings.Contains(a.body, "set-up/backup-codes") {
		t.Error(a.body)
	}
	st.CodesOffered = false
	if a := w.get("/.mfa/verify/codes-left" + rd); strings.Contains(a.body, "set-up/backup-codes") {
		t.Error("codes are offered that the policy does not have")
	}
	st.Subject = alice(mfa.Held{ID: mfa.BackupCodesID, Kind: mfa.BackupCode, Left: 8})
	goes(t, w.get("/.mfa/verify/codes-left"+rd), "/reports/2026")
}

// What the edge calls a browser is said in the visitor's language; what a person
// called a passkey is left alone.
func TestAccount_NamesBrowsersInTheVisitorsLanguage(t *testing.T) {
	w := newWorld(t, acme)
	w.signedIn(mfa.Decision{Action: mfa.Allow})
	own := samplePasskey
	own.Name = "Key on the key ring"
	w.gate.account = sampleAccount(samplePasskey, own, sampleSet)
	a := w.get("/.mfa/account", testCookies.Name(web.LanguageCookie)+"=de")
	for _, want := range []string{"Firefox auf Linux", "Safari auf iPhone", "Key on the key ring", "Ein Browser"} {
		if !strings.Contains(a.body, want) {
			t.Errorf("no %q", want)
		}
	}
	if strings.Contains(a.body, "Firefox on Linux") {
		t.Error("English in a German page")
	}
}

func TestPages_SpeakTheVisitorsLanguage(t *testing.T) {
	w := newWorld(t, acme)
	r := httptest.NewRequest(http.MethodGet, "https://payroll.example.com/.mfa/sign-in", nil)
	r.Header.Set("Accept-Language", "de-CH,de;q=0.9,en;q=0.5")
	if a := w.do(r); !strings.Contains(a.body, `<html lang="de"`) || !strings.Contains(a.body, "Anmelden") {
		t.Error("no German page")
	}
	r.Header.Set("Cookie", testCookies.Name(web.LanguageCookie)+"=en")
	if a := w.do(r); !strings.Contains(a.body, `<html lang="en"`) {
		t.Error("the person's choice was ignored")
	}
	r.Header.Set("Cookie", testCookies.Name(web.ThemeCookie)+"=dark")
	if a := w.do(r); !strings.Contains(a.body, `data-theme="dark"`) {
		t.Error("the theme was ignored")
	}
}

// B21: "try another method" stands on every verification page with more than one and
// on none with one; the list has the backup code last.
func TestVerify_B21_AnotherMethod(t *testing.T) {
	w := newWorld(t, acme)
	for page, methods := range map[string][]mfa.Method{
		"verify/totp": {totpMethod, codeMethod}, "verify/passkey": bothMethods, "verify/backup-code": {totpMethod, codeMethod},
	} {
		verifying(methods...)(w)
		if a := w.get("/.mfa/" + page); !strings.Contains(a.body, "Try another method") {
			t.Errorf("%s with %d methods offers no other", page, len(methods))
		}
	}
	for page, only := range map[string]mfa.Method{
		"verify/totp": totpMethod, "verify/passkey": {Kind: mfa.Passkey, Available: true}, "verify/backup-code": codeMethod,
	} {
		verifying(only)(w)
		if a := w.get("/.mfa/" + page); a.StatusCode != 200 || strings.Contains(a.body, "Try another method") {
			t.Errorf("%s with one method offers another (%d)", page, a.StatusCode)
		}
	}
	verifying(bothMethods...)(w)
	a := w.get("/.mfa/verify/methods")
	passkey, app, code := strings.Index(a.body, "Passkey</b>"), strings.Index(a.body, "Authenticator app</b>"), strings.Index(a.body, "Backup code</b>")
	if passkey < 0 || app < passkey || code < app {
		t.Errorf("the list has passkey, app, code at %d, %d, %d", passkey, app, code)
	}
}

// What happened before a sign-in is shown before the app opens, and put away by the
// button and by nothing else.
func TestNotices(t *testing.T) {
	w := newWorld(t, acme)
	w.halfDone(verifyDecision).Methods = []mfa.Method{totpMethod}
	w.gate.outcome = completed()
	w.gate.outcome.Notices = true
	a := w.post(t, "/.mfa/verify/totp"+rd, url.Values{"code": {"123456"}})
	if got := a.Header.Get("Location"); !strings.HasPrefix(got, "/.mfa/notices?rd=%2Freports%2F2026") {
		t.Fatalf("after the code it goes to %q", got)
	}
	w.signedIn(mfa.Decision{Action: mfa.Allow})
	w.gate.notices = sampleNotices
	a = w.get("/.mfa/notices" + rd)
	if w.gate.did("SeenNotices") || a.StatusCode != 200 {
		t.Error("looking at them has put them away")
	}
	last := sampleNotices[len(sampleNotices)-1].At
	if !strings.Contains(a.body, fmt.Sprintf(`name="last" value="%d"`, last.UnixNano())) {
		t.Error("the form does not name the newest")
	}
	a = w.post(t, "/.mfa/notices"+rd, url.Values{"last": {strconv.FormatInt(last.UnixNano(), 10)}})
	if a.StatusCode != 303 || a.Header.Get("Location") != "/reports/2026" || w.gate.args[1] != last.Format(time.RFC3339Nano) {
		t.Errorf("%d %q %q", a.StatusCode, a.Header.Get("Location"), w.gate.args)
	}
	// Nothing to tell, something owed, a form that is none of ours.
	w.gate.notices = nil
	if a = w.get("/.mfa/notices" + rd); a.Header.Get("Location") != "/reports/2026" {
		t.Errorf("with nothing to tell: %d %q", a.StatusCode, a.Header.Get("Location"))
	}
	if a = w.post(t, "/.mfa/notices"+rd, url.Values{"last": {"x"}}); !strings.HasPrefix(a.Header.Get("Location"), "/.mfa/notices") {
		t.Errorf("a form without its field: %d %q", a.StatusCode, a.Header.Get("Location"))
	}
}

// B32: what a page says no by has an ID that the Gate has recorded.
func TestPages_B32_RefusalsHaveAnID(t *testing.T) {
	for name, c := range map[string]struct {
		path    string
		prepare func(*world)
		why     mfa.Reason
	}{
		"closed": {"/.mfa/set-up", func(w *world) {
			settingUp(forced(mfa.TOTP), bothChoices...)(w)
			w.gate.state.Closed = true
		}, mfa.ReasonClosed},
		"nothing to set up": {"/.mfa/set-up", settingUp(forced(mfa.Passkey), mfa.Choice{Kind: mfa.Passkey, Why: mfa.ReasonIPAddress}), mfa.ReasonCannotBeHere},
		"nothing available": {"/.mfa/verify", verifying(mfa.Method{Kind: mfa.TOTP, Why: mfa.ReasonLocked}), mfa.ReasonNothingAvailable},
		"disabled": {"/.mfa/verify", func(w *world) {
			w.halfDone(verifyDecision)
			w.gate.stateOf = mfa.ErrDisabled
		}, mfa.ReasonDisabled},
		"refused": {"/.mfa/verify", func(w *world) { w.halfDone(mfa.Decision{Reason: mfa.ReasonCannotBeHere}) }, mfa.ReasonCannotBeHere},
	} {
		w := newWorld(t, acme)
		c.prepare(w)
		a := w.get(c.path)
		if a.StatusCode != 403 || !strings.Contains(a.body, "<code>K7PQ2M9XTA</code>") {
			t.Errorf("%s: %d, no ID", name, a.StatusCode)
		}
		if !w.gate.did("NoteRefusal") || w.gate.args[2] != string(c.why) {
			t.Errorf("%s: recorded as %q", name, w.gate.args)
		}
	}
}

// The third bounce of one session for one target within ten seconds says what is the
// matter instead of bouncing on; others, later ones and other targets are none of it.
func TestPages_BreakLoops(t *testing.T) {
	w := newWorld(t, acme)
	now := testNow
	w.pages.now = func() time.Time { return now }
	w.signedIn(mfa.Decision{Action: mfa.Allow})
	visit := func(path string) int { return w.get(path).StatusCode }
	for i, want := range []int{303, 303, 508, 508} {
		if got := visit("/.mfa/sign-in?rd=%2Fa"); got != want {
			t.Errorf("bounce %d: %d, want %d", i+1, got, want)
		}
	}
	if got := visit("/.mfa/sign-in?rd=%2Fb"); got != 303 {
		t.Errorf("another target: %d", got)
	}
	w.gate.state.Session.ID = "another"
	if got := visit("/.mfa/sign-in?rd=%2Fa"); got != 303 {
		t.Errorf("another session: %d", got)
	}
	w.gate.state.Session.ID = "full"
	now = now.Add(loopWindow)
	if got := visit("/.mfa/sign-in?rd=%2Fa"); got != 303 {
		t.Errorf("ten seconds later: %d", got)
	}
	// Strangers fill nothing, and very many sessions do not either.
	for i := range 3 * loopKeys {
		w.pages.loops.closes(bounce{session: mfa.SessionID(strconv.Itoa(i))}, now)
	}
	if n := len(w.pages.loops.seen); n > loopKeys {
		t.Errorf("%d are remembered", n)
	}
}

// AC-013: of two cookies of a name one was planted, by a sibling host or without TLS.
// Neither counts, and both are taken away, or a code that signs in would never find its
// browser again, nor a browser that is remembered be remembered.
func TestPages_AC013_TakeAwayPlantedCookies(t *testing.T) {
	for _, k := range []web.Cookie{web.DevicesCookie, web.RememberCookie, web.WaitingCookie} {
		w := newWorld(t, acme)
		w.gate.everything()
		name := testCookies.Name(k)
		a := w.get("/.mfa/sign-in/code", name+"=planted", name+"=ours")
		taken := 0
		for _, c := range a.Cookies() {
			if c.Name == name && c.MaxAge < 0 {
				taken++
			}
		}
		if a.StatusCode != 200 || taken == 0 {
			t.Errorf("%s: %d, with %v", name, a.StatusCode, a.Header["Set-Cookie"])
		}
		if a = w.get("/.mfa/sign-in/code", name+"=ours"); strings.Contains(strings.Join(a.Header["Set-Cookie"], "\n"), name+"=") {
			t.Errorf("%s: one alone is touched: %v", name, a.Header["Set-Cookie"])
		}
	}
}
