package pages

import (
	"errors"
	"net/http"

	"github.com/secondgate/secondgate/mfa"
)

type verifyPage struct {
	frame
	Left string // of backup codes
}

type methodsPage struct {
	frame
	Ways []way
}

// verify asks whether this session is to verify now, and has answered where it
// reports false.
func (v *visit) verify() (*mfa.State, bool) {
	v.wantProof()
	st, ok := v.state()
	if !ok {
		return nil, false
	}
	switch {
	case st.Decision.Action == mfa.Verify, st.Decision.Action == mfa.StepUp:
		return st, true
	case st.Decision.Action == mfa.Refuse:
		v.refused(st.Decision)
	case v.want != "" && st.ProofOwed && len(st.Methods) > 0:
		// Nothing else is owed, but the page that waits asks for a newer proof:
		// going back to it without one would go round in circles.
		st.Decision = mfa.Decision{Action: mfa.StepUp, Reason: mfa.ReasonTooOld, Kinds: v.prove}
		return st, true
	default:
		v.proceed(&st.Outcome)
	}
	return nil, false
}

// wantProof makes a verification ask what the waiting page of ours needs, in
// place of what the route asks.
func (v *visit) wantProof() {
	if v.want != "" {
		v.at.Asked = mfa.Requirement{Fresh: mfa.ProofLife, Factors: v.prove}
	}
}

// usable reports whether the method can be used for this decision.
func usable(st *mfa.State, m mfa.Method) bool {
	return m.Available && (st.Decision.Kinds == 0 || st.Decision.Kinds.Has(m.Kind))
}

func method(st *mfa.State, k mfa.Kind) (mfa.Method, bool) {
	for _, m := range st.Methods {
		if m.Kind == k && usable(st, m) {
			return m, true
		}
	}
	return mfa.Method{}, false
}

// verifyFrame begins a page of a verification.
func (v *visit) verifyFrame(st *mfa.State, heading string) frame {
	f := v.frame(heading)
	switch {
	case v.want != "":
		f.Why = v.T("verify.why.change")
	case st.Decision.Action == mfa.StepUp && st.Decision.Reason == mfa.ReasonTooOld:
		f.Why = v.T("verify.why.old")
	case st.Decision.Action == mfa.StepUp:
		f.Why = v.T("verify.why.weak")
	}
	if len(st.Methods) > 1 {
		f.Others = v.Href("verify/methods")
	}
	if mayBypass(st) {
		f.Bypass = v.Href("verify/bypass")
	}
	return f
}

// primaryFrame is verifyFrame for a page of a primary factor, which this browser may
// stand for from then on (rule B29). It is offered at a sign-in, never at a step-up.
func (v *visit) primaryFrame(st *mfa.State, heading string) frame {
	f := v.verifyFrame(st, heading)
	if st.RememberFor > 0 && !st.Session.Complete && st.Decision.Action == mfa.Verify {
		f.Remember = v.T("remember", "time", v.duration(st.RememberFor))
		f.Ticked = v.at.Remember
	}
	return f
}

// remember keeps what was ticked, where it was offered. Call it once the session is
// known.
func (v *visit) remember(ticked bool) {
	v.at.Remember = ticked && v.view != nil && !v.view.Session.Complete
}

// serveVerify opens the page of the method that rule B20 picks.
func (p *Pages) serveVerify(v *visit) {
	st, ok := v.verify()
	if !ok {
		return
	}
	switch _, can := method(st, st.Preferred); {
	case !can:
		v.showMethods(st)
	case st.Preferred == mfa.Passkey:
		v.showVerifyPasskey(st)
	case st.Preferred == mfa.TOTP:
		v.showVerifyTOTP(http.StatusOK, st, nil)
	case st.Preferred == mfa.BackupCode:
		v.showVerifyCode(http.StatusOK, st, nil)
	case st.Preferred == mfa.Email, st.Preferred == mfa.SMS:
		v.openSent(st, st.Preferred, "")
	default:
		v.showMethods(st)
	}
}

// serveMethods is "try another method" (rule B21).
func (p *Pages) serveMethods(v *visit) {
	if st, ok := v.verify(); ok {
		v.showMethods(st)
	}
}

func (v *visit) showMethods(st *mfa.State) {
	var ways []way
	any, same := false, 0
	for _, m := range st.Methods {
		w := way{Icon: string(m.Kind), Name: v.kind(m.Kind), Target: m.Address, What: v.methodWhat(m)}
		switch {
		case usable(st, m):
			w.Href, any = v.href(verifyHref(m.Kind), paramCred, string(m.Credential)), true
			if m.Credential == "" {
				w.Href = v.Href(verifyHref(m.Kind))
			}
		case m.Available:
			w.Why = v.T("why.not_here")
		default:
			w.Why = v.why(m.Why, m.Hint, m.Wait)
			if m.Why == mfa.ReasonSameChannel {
				same++
				w.Help, w.HelpHref = v.T("verify.use_password"), v.Href("sign-out")
			}
		}
		ways = append(ways, w)
	}
	if any {
		page := methodsPage{v.verifyFrame(st, v.T("verify.methods.title")), ways}
		v.render(http.StatusOK, "verify_methods", page)
		return
	}
	// Enrolled, but nothing works here and now: never set-up (rule B16).
	m := messagePage{
		Heading: v.T("stuck.title"), Context: true, ID: v.noted(mfa.ReasonNothingAvailable), Ways: ways,
		Text:    []string{v.T("stuck.text", "support", v.helper())},
		Actions: []action{{Href: v.Href("verify"), Label: v.T("stuck.again")}, {Href: v.Href("sign-out"), Label: v.T("go.signout")}},
	}
	if same == len(ways) {
		// Waiting changes nothing, signing in otherwise does.
		m.Text[0] = v.T("stuck.same_channel", "support", v.helper())
		m.Actions = []action{{Href: v.Href("sign-out"), Label: v.T("verify.use_password")}}
		for i := range m.Ways {
			m.Ways[i].Help = ""
		}
	}
	if mayBypass(st) {
		m.Actions = append(m.Actions, action{Href: v.Href("verify/bypass"), Label: v.T("verify.bypass.have")})
	}
	v.message(http.StatusForbidden, m)
}

func verifyHref(k mfa.Kind) string {
	switch k {
	case mfa.Passkey:
		return "verify/passkey"
	case mfa.TOTP:
		return "verify/totp"
	case mfa.BackupCode:
		return "verify/backup-code"
	case mfa.Email:
		return "verify/email"
	case mfa.SMS:
		return "verify/sms"
	}
	return "verify/methods"
}

// verifyWith is verify for the page of one method; where that method is of no
// use now, the list says why.
func (v *visit) verifyWith(k mfa.Kind) (*mfa.State, bool) {
	st, ok := v.verify()
	if !ok {
		return nil, false
	}
	if _, can := method(st, k); !can {
		v.showMethods(st)
		return nil, false
	}
	return st, true
}

func (p *Pages) serveVerifyPasskey(v *visit) {
	if st, ok := v.verifyWith(mfa.Passkey); ok {
		v.showVerifyPasskey(st)
	}
}

func (v *visit) showVerifyPasskey(st *mfa.State) {
	v.render(http.StatusOK, "verify_passkey", verifyPage{frame: v.primaryFrame(st, v.T("verify.title"))})
}

func (p *Pages) serveVerifyTOTP(v *visit) {
	if st, ok := v.verifyWith(mfa.TOTP); ok {
		v.showVerifyTOTP(http.StatusOK, st, nil)
	}
}

// The form's own address is the method's page, also where /verify shows it.
type verifyCodePage struct {
	verifyPage
	action string
	// Digits is how many digits send the form by themselves; 0: none do.
	Digits int
	Hint   string
}

// Here is the address of the form.
func (p verifyCodePage) Here() string { return p.action }

// codeDigits returns how many digits the codes of the person's authenticator apps have, or
// 0 where they differ: apps that came from another system may show seven or eight, and a
// form that goes off after six of them spends an attempt.
func codeDigits(u *mfa.Subject) int {
	all := -1
	for _, h := range u.Held {
		digits := h.Digits
		if digits == 0 {
			digits = 6
		}
		switch {
		case h.Kind != mfa.TOTP:
		case all < 0:
			all = digits
		case all != digits:
			return 0
		}
	}
	if all < 0 {
		return 6
	}
	return all
}

func (v *visit) showVerifyTOTP(status int, st *mfa.State, err error) {
	page := verifyCodePage{verifyPage: verifyPage{frame: v.primaryFrame(st, v.T("verify.title"))}, action: v.Href("verify/totp")}
	page.Digits, page.Hint = codeDigits(st.Subject), v.T("verify.totp.hint")
	if page.Digits != 6 {
		page.Hint = v.T("verify.totp.hint.any")
	}
	if err != nil {
		status = page.codeFailed(err, "verify.totp.wrong")
	}
	v.render(status, "verify_totp", page)
}

func (p *Pages) serveVerifyCode(v *visit) {
	if st, ok := v.verifyWith(mfa.BackupCode); ok {
		v.showVerifyCode(http.StatusOK, st, nil)
	}
}

// fewCodes is from where the pages say how many are left (rule B23).
const fewCodes = 3

func (v *visit) showVerifyCode(status int, st *mfa.State, err error) {
	page := verifyCodePage{verifyPage: verifyPage{frame: v.verifyFrame(st, v.T("verify.code.title"))}, action: v.Href("verify/backup-code")}
	if m, ok := method(st, mfa.BackupCode); ok && m.Left <= fewCodes {
		page.Left = v.words.count("codes.left", m.Left)
	}
	if err != nil {
		status = page.codeFailed(err, "verify.code.wrong")
	}
	v.render(status, "verify_code", page)
}

func (p *Pages) postVerifyTOTP(v *visit) {
	v.wantProof()
	id, ok := v.id()
	if !ok {
		return
	}
	v.remember(v.form("remember") == "yes")
	out, err := p.gate.VerifyTOTP(v.r.Context(), &v.at, id, v.form("code"))
	v.afterCode(out, err, v.showVerifyTOTP)
}

func (p *Pages) postVerifyCode(v *visit) {
	v.wantProof()
	id, ok := v.id()
	if !ok {
		return
	}
	out, err := p.gate.VerifyBackupCode(v.r.Context(), &v.at, id, v.form("code"))
	if err == nil && out.Decision.Action == mfa.Allow && !out.Notices && v.want == "" && v.from == "" && fewLeft(out.Subject) > 0 {
		if _, ok := v.follow(out); ok {
			v.redirect(v.href("verify/codes-left", paramCookie, "1"))
		}
		return
	}
	v.afterCode(out, err, v.showVerifyCode)
}

// fewLeft returns how many backup codes are left where they are running out, and
// 0 where there are more, or none: then new ones are asked for anyway.
func fewLeft(s *mfa.Subject) int {
	for _, h := range s.Held {
		if h.Kind == mfa.BackupCode && h.Left <= fewCodes {
			return h.Left
		}
	}
	return 0
}

// serveCodesLeft says, after one was used, that codes are running out (rule B23).
// It stands in nobody's way: the app is one click on.
func (p *Pages) serveCodesLeft(v *visit) {
	st, ok := v.state()
	if !ok {
		return
	}
	left := fewLeft(st.Subject)
	if st.Decision.Action != mfa.Allow || left == 0 {
		v.proceed(&st.Outcome)
		return
	}
	m := messagePage{
		Heading: v.T("codes.few.title"), Context: true,
		Text:    []string{v.words.count("codes.left", left), v.T("codes.few.text")},
		Actions: []action{{Href: v.onward(), Label: v.T("go.on", "place", v.place())}},
	}
	if st.CodesOffered {
		m.Actions = append([]action{{Href: v.href("set-up/backup-codes", paramFrom, fromFactor), Label: v.T("codes.few.new")}}, m.Actions...)
	}
	v.message(http.StatusOK, m)
}

// afterCode goes on, or shows the page again with what was wrong.
func (v *visit) afterCode(out *mfa.Outcome, err error, show func(int, *mfa.State, error)) {
	switch {
	case err == nil:
		v.proceed(out)
	case errors.Is(err, mfa.ErrNotAllowed):
		v.redirect(v.Href("verify"))
	case errors.Is(err, mfa.ErrRejected):
		// A second submission of a form that went through already is no failure:
		// then nothing is owed any more, and the person goes on.
		if st, ok := v.verify(); ok {
			show(http.StatusUnprocessableEntity, st, err)
		}
	default:
		v.fail(err)
	}
}
