package pages

import (
	"errors"
	"net/http"
	"strings"
	"time"

	"github.com/secondgate/secondgate/mfa"
)

// askCodePage takes the address that a code to sign in with is sent to.
type askCodePage struct {
	frame
	Intro   string
	Label   string
	Typed   string
	Input   string // the keyboard: "email", "tel" or "text"
	Fill    string // what the browser fills in
	Example string // beside the field
}

// waitingPage takes a code that was sent to somebody who is not signed in. It is the
// same for an address that somebody has and for one that nobody has (AC-116, AC-117).
type waitingPage struct {
	frame
	Intro  string // key of the words around the address
	To     string // the address, as it was typed
	Hint   string
	Digits int
	Submit string
	Action string // where the form goes
	// Again is the form that sends another code, and Seconds how long it waits; "":
	// the person starts over at Other, where another address can be entered, too.
	Again   string
	Seconds int
	Other   action
}

// Shown is the address in one line.
func (p waitingPage) Shown() string { return strings.ReplaceAll(p.To, " ", "\u00a0") }

// Here is the address of the form.
func (p waitingPage) Here() string { return p.Action }

// serveSignInCode asks where the code goes.
func (p *Pages) serveSignInCode(v *visit) {
	if !v.offered(mfa.ForSignInCode) || !v.stranger() {
		return
	}
	page := v.askCode()
	// Whoever comes back to mend a typing error finds what was typed.
	if w, err := v.waiting(mfa.ForSignInCode); err == nil {
		page.Typed = w.Masked
	}
	if v.query.Get(paramAgain) == "late" {
		page.Notice = v.T("signin.code.late")
	}
	v.render(http.StatusOK, "signin_code", page)
}

func (v *visit) askCode() askCodePage {
	ways := v.p.gate.SignInWays()
	page := askCodePage{
		frame: v.frame(v.T("signin.code.title")), Intro: v.T("signin.code.intro"), Label: v.who(false, ways),
		Input: "text", Fill: "username",
	}
	switch {
	case !ways.Has(mfa.SMS):
		page.Input, page.Fill = "email", "email"
	case !ways.Has(mfa.Email):
		page.Input, page.Fill, page.Example = "tel", "tel", v.T("signin.code.sms.hint")
	default:
		page.Example = v.T("signin.code.sms.hint")
	}
	return page
}

// postSignInCode has a code sent. Whether there is anybody to send it to shows
// neither in the answer nor in the cookie.
func (p *Pages) postSignInCode(v *visit) {
	if !v.offered(mfa.ForSignInCode) {
		return
	}
	typed := v.form("address")
	// Two presses of the button send one code.
	if w, err := v.waiting(mfa.ForSignInCode); err == nil && w.Masked == strings.TrimSpace(typed) && p.now().Before(w.Again) {
		v.redirect(v.Href("sign-in/code/enter"))
		return
	}
	w, err := p.gate.SendSignInCode(v.r.Context(), &v.at, typed)
	if err == nil {
		p.guard.SetWaiting(v.w, v.req, w.ID)
		v.redirect(v.Href("sign-in/code/enter"))
		return
	}
	page := v.askCode()
	page.Typed = typed
	status := http.StatusUnprocessableEntity
	var throttled *mfa.ThrottledError
	switch {
	case errors.As(err, &throttled):
		// Of the network, whoever it asked for: it tells nothing about anybody.
		status = page.wait(throttled)
	case errors.Is(err, mfa.ErrName), errors.Is(err, mfa.ErrCountry):
		page.FieldError = v.addressRefused(err, typed, false, p.gate.SignInWays())
	case errors.Is(err, mfa.ErrNotAllowed):
		v.notFound()
		return
	default:
		v.fail(err)
		return
	}
	v.render(status, "signin_code", page)
}

// addressRefused says what is wrong with what was typed into a field that who names.
func (v *visit) addressRefused(err error, typed string, name bool, channels mfa.Kinds) string {
	email, sms := channels.Has(mfa.Email), channels.Has(mfa.SMS)
	if errors.Is(err, mfa.ErrCountry) {
		return v.T("who.country")
	}
	letters := strings.ContainsFunc(typed, func(r rune) bool { return r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z' })
	switch {
	case email && strings.Contains(typed, "@"):
		return v.T("who.email.refused")
	case sms && !letters:
		return v.T("who.sms.refused")
	case name:
		return v.T("link.name.refused")
	case email && sms:
		return v.T("who.email_sms.refused")
	case sms:
		return v.T("who.sms.refused")
	}
	return v.T("who.email.refused")
}

// waiting returns the code on its way that this browser has asked for, for that
// purpose; else mfa.ErrExpired, or what the store says.
func (v *visit) waiting(purpose mfa.Purpose) (*mfa.Waiting, error) {
	id := v.p.guard.Waiting(v.r, v.req)
	if id == "" {
		return nil, mfa.ErrExpired
	}
	w, err := v.p.gate.Waiting(v.r.Context(), &v.at, id)
	if err == nil && w.Purpose != purpose {
		return nil, mfa.ErrExpired
	}
	return w, err
}

func (p *Pages) serveSignInEnter(v *visit) {
	v.serveWaiting(mfa.ForSignInCode, "sign-in/code")
}

func (p *Pages) serveSignUpCode(v *visit) {
	v.serveWaiting(mfa.ForSignUp, "sign-up")
}

func (p *Pages) postSignInEnter(v *visit) { v.postWaiting(mfa.ForSignInCode) }

func (p *Pages) postSignUpCode(v *visit) { v.postWaiting(mfa.ForSignUp) }

// offered reports whether codes of that purpose are sent here at all. It has answered
// where it reports false.
func (v *visit) offered(purpose mfa.Purpose) bool {
	ways := v.p.gate.SignInWays()
	if purpose == mfa.ForSignUp {
		ways = v.p.gate.SignUpWays().Channels
	}
	if ways == 0 {
		v.notFound()
	}
	return ways != 0
}

// serveWaiting shows the page for a code on its way, or begins again at the page
// that sends one.
func (v *visit) serveWaiting(purpose mfa.Purpose, begin string) {
	if !v.offered(purpose) || !v.stranger() {
		return
	}
	w, err := v.waiting(purpose)
	switch {
	case errors.Is(err, mfa.ErrExpired):
		v.redirect(v.href(begin, paramAgain, "late"))
	case err != nil:
		v.unavailable(err)
	default:
		v.render(http.StatusOK, "waiting", v.waitingPage(purpose, w))
	}
}

// waitingPage begins the page of one purpose.
func (v *visit) waitingPage(purpose mfa.Purpose, w *mfa.Waiting) waitingPage {
	page := waitingPage{
		frame: v.frame(v.T("waiting.title")), Intro: "waiting.signin", To: w.Masked, Hint: v.T("waiting.hint.email"), Digits: 8,
		Submit: v.T("signin.submit"), Other: action{v.Href("sign-in/code"), v.T("waiting.other")},
	}
	if w.Kind == mfa.SMS {
		page.Intro, page.Hint, page.Digits, page.Other.Label = "waiting.signin.sms", v.T("waiting.hint.sms"), 6, v.T("waiting.other.sms")
	}
	if purpose == mfa.ForSignUp {
		// Another code would need the new password again, which nobody keeps.
		page.Intro, page.Action, page.Submit = "waiting.signup", v.Href("sign-up/code"), v.T("signup.submit")
		page.Other = action{v.Href("sign-up"), v.T("waiting.restart")}
		return page
	}
	page.Action, page.Again = v.Href("sign-in/code/enter"), v.Href("sign-in/code")
	if left := w.Again.Sub(v.p.now()); left > 0 {
		page.Seconds = int((left + time.Second - 1) / time.Second)
	}
	return page
}

// postWaiting tries the code. Wrong, too old, tried too often, and never sent are one
// page with the same words: the tries of an address that nobody has are counted like
// those of one that somebody has, and nothing here tells the two apart.
func (v *visit) postWaiting(purpose mfa.Purpose) {
	if !v.offered(purpose) || !v.replaces() {
		return
	}
	p := v.p
	out, again, err := p.gate.FinishWaiting(v.r.Context(), &v.at, p.guard.Waiting(v.r, v.req), v.form("code"))
	switch {
	case err == nil:
		p.guard.SetWaiting(v.w, v.req, "")
		v.proceed(out)
		return
	case again != nil:
		// Each try takes the code; it waits on under another name.
		p.guard.SetWaiting(v.w, v.req, again.ID)
	}
	if !errors.Is(err, mfa.ErrRejected) && !errors.Is(err, mfa.ErrExpired) && !errors.Is(err, mfa.ErrNameTaken) {
		v.fail(err)
		return
	}
	// A second submission of a form that went through already is no failure: the
	// person is signed in, and goes on.
	if v.view != nil && v.want == "" {
		if st, ok := v.state(); ok {
			v.proceed(&st.Outcome)
		}
		return
	}
	v.view = nil
	if again == nil {
		// Gone. The page stays as it was, so that the person can ask for another.
		to := v.form("address")
		again = &mfa.Waiting{SentTo: mfa.SentTo{Masked: to, Kind: mfa.SMS}}
		if strings.Contains(to, "@") {
			again.Kind = mfa.Email
		}
	}
	page := v.waitingPage(purpose, again)
	if page.FieldError = v.T("waiting.wrong"); purpose == mfa.ForSignUp {
		page.FieldError = v.T("waiting.signup.wrong")
	}
	v.render(http.StatusUnprocessableEntity, "waiting", page)
}
