package pages

import (
	"errors"
	"net/http"
	"strconv"
	"time"

	"github.com/secondgate/secondgate/mfa"
)

// sendAgain ends the address that sends a code anew, below the page that takes it.
const sendAgain = "/send"

// sentPage takes a code that was sent, or, where none is on its way, sends one.
type sentPage struct {
	setUpFrame
	Masked      string // where it went; "": none is on its way
	Label, Hint string
	Digits      int
	Submit      string
	Intro       string // before the code, on a set-up
	Send        string // where another is asked for
	Resend      int    // seconds until it may be
	In          string // the same in words
	Change      string // label of the link to another address
	ChangeHref  string
	PassHref    string // where an administrator's pass is entered

	action string
}

// Here is the address of the form.
func (p sentPage) Here() string { return p.action }

// newSentPage makes the page of a kind. to is the code on its way, or nil.
func (v *visit) newSentPage(f setUpFrame, k mfa.Kind, to *mfa.SentTo, action, send string) sentPage {
	page := sentPage{setUpFrame: f, Submit: v.T("verify.submit"), Send: send, action: action}
	page.Label, page.Hint, page.Digits = v.T("verify.sms.label"), v.T("waiting.hint.sms"), 6
	if k == mfa.Email {
		page.Label, page.Hint, page.Digits = v.T("verify.email.label"), v.T("waiting.hint.email"), 8
	}
	if to == nil {
		return page
	}
	page.Masked = to.Masked
	page.waitToSend(to.Again.Sub(v.p.now()))
	if v.query.Get(paramDone) == doneSent {
		page.Notice = v.T("sent.done")
	}
	return page
}

// waitToSend says how long it takes until another code can be sent.
func (p *sentPage) waitToSend(d time.Duration) {
	if p.Resend = max(0, int((d+time.Second-1)/time.Second)); p.Resend > 0 {
		p.In = p.T("sent.in", "time", p.v.duration(d))
	}
}

// doneSent is paramDone after another code was sent.
const doneSent = "sent"

// sendFailed says why no code was sent, and returns the status, or 0 where it has no
// words for the error. A code that was sent before may still be good.
func (p *sentPage) sendFailed(err error) int {
	var throttled *mfa.ThrottledError
	switch {
	case errors.As(err, &throttled) && throttled.Locked:
		p.Error = p.T("locked", "support", p.Helper())
		return http.StatusTooManyRequests
	case errors.As(err, &throttled):
		p.Error = p.T("sent.throttled", "time", p.v.duration(throttled.RetryAfter))
		p.waitToSend(throttled.RetryAfter)
		p.v.w.Header().Set("Retry-After", strconv.Itoa(p.Resend))
		return http.StatusTooManyRequests
	case errors.Is(err, mfa.ErrNotSent) && p.Others != "":
		p.Error = p.T("sent.failed")
	case errors.Is(err, mfa.ErrNotSent):
		p.Error = p.T("sent.failed.only", "support", p.Helper())
	case errors.Is(err, mfa.ErrBusy):
		p.Error = p.T("sent.busy")
		p.v.busyHeader()
	default:
		return 0
	}
	return http.StatusServiceUnavailable
}

// tryFailed says what was wrong with a code, and returns the status. Where none is on
// its way any more, because its time or its tries are over, the page offers another.
func (p *sentPage) tryFailed(err error) int {
	status := p.codeFailed(err, "sent.wrong")
	if p.Masked != "" {
		return status
	}
	p.Error, p.FieldError = p.FieldError, ""
	if status == http.StatusUnprocessableEntity {
		p.Error = p.T("sent.over", "time", p.v.duration(mfa.SentCodeLife), "n", mfa.SentCodeTries)
	}
	return status
}

// verifySentPage is the page of a verification by a code that was sent.
func (v *visit) verifySentPage(st *mfa.State, k mfa.Kind, cred mfa.CredentialID, to *mfa.SentTo) sentPage {
	if to != nil {
		cred = to.Credential
	}
	own := func(page string) string {
		if cred == "" {
			return v.Href(page)
		}
		return v.href(page, paramCred, string(cred))
	}
	f := setUpFrame{frame: v.primaryFrame(st, v.T("verify.title"))}
	return v.newSentPage(f, k, to, own(verifyHref(k)), own(verifyHref(k)+sendAgain))
}

// picked is which of the addresses the visitor picked: a name that the gate knows, or
// that fits nothing.
func (v *visit) picked() mfa.CredentialID { return mfa.CredentialID(v.query.Get(paramCred)) }

// canSend reports whether codes of that kind can be sent to that address of the
// user's, or, where cred is empty, to one of them.
func canSend(st *mfa.State, k mfa.Kind, cred mfa.CredentialID) bool {
	for _, m := range st.Methods {
		if m.Kind == k && usable(st, m) && (cred == "" || m.Credential == cred) {
			return true
		}
	}
	return false
}

// onItsWay returns the code of a verification that is on its way, or nil. Nothing is
// sent by looking.
func (v *visit) onItsWay(st *mfa.State, k mfa.Kind) *mfa.SentTo {
	for _, c := range st.Session.Sent {
		if c.Kind != k || c.Purpose != mfa.LetterVerify || !v.p.now().Before(c.Expires) {
			continue
		}
		for _, m := range st.Methods {
			if m.Kind == k && m.Credential == c.Credential {
				return &mfa.SentTo{Kind: k, Masked: m.Address, Credential: c.Credential, At: c.At, Expires: c.Expires, Again: c.At.Add(mfa.SendAgain)}
			}
		}
	}
	return nil
}

// serveVerifySent opens the page of a kind and sends its code, once (rule B22).
func (p *Pages) serveVerifySent(k mfa.Kind) func(*visit) {
	return func(v *visit) {
		if st, ok := v.verify(); ok {
			v.openSent(st, k, v.picked())
		}
	}
}

// opened reports whether somebody opened this page, so that it may send a code by
// itself: not a browser that fetches ahead, not an app's page that has it as a picture or
// in a frame, and not another site's, which could have codes sent at will.
func (v *visit) opened() bool {
	return v.navigates() && v.r.Header.Get("Sec-Fetch-Site") != "cross-site"
}

// navigates reports whether a browser goes to this page, from wherever, and does not only
// look at it ahead of time. Browsers that say nothing of it do.
func (v *visit) navigates() bool {
	h := v.r.Header
	mode, dest := h.Get("Sec-Fetch-Mode"), h.Get("Sec-Fetch-Dest")
	switch {
	case v.r.Method == http.MethodHead,
		h.Get("Sec-Purpose") != "", h.Get("Purpose") != "", h.Get("X-Moz") != "",
		mode != "" && mode != "navigate", dest != "" && dest != "document":
		return false
	}
	return true
}

func (v *visit) openSent(st *mfa.State, k mfa.Kind, cred mfa.CredentialID) {
	if !canSend(st, k, cred) {
		v.showMethods(st) // the list says why
		return
	}
	if !v.opened() {
		v.render(http.StatusOK, "sent", v.verifySentPage(st, k, cred, v.onItsWay(st, k))) // its button sends
		return
	}
	to, err := v.p.gate.SendCode(v.r.Context(), &v.at, st.Session.ID, k, cred, false)
	v.showSending(st, k, cred, to, err)
}

// showSending shows where a code went, or why none did.
func (v *visit) showSending(st *mfa.State, k mfa.Kind, cred mfa.CredentialID, to *mfa.SentTo, err error) {
	page := v.verifySentPage(st, k, cred, to)
	status := http.StatusOK
	if err != nil {
		status = page.sendFailed(err)
	}
	switch {
	case status != 0:
		v.render(status, "sent", page)
	case errors.Is(err, mfa.ErrNotAllowed):
		v.showMethods(st)
	default:
		v.fail(err)
	}
}

// postSendCode sends another code.
func (p *Pages) postSendCode(k mfa.Kind) func(*visit) {
	return func(v *visit) {
		st, ok := v.verify()
		if !ok {
			return
		}
		cred := v.picked()
		if !canSend(st, k, cred) {
			v.showMethods(st)
			return
		}
		to, err := p.gate.SendCode(v.r.Context(), &v.at, st.Session.ID, k, cred, true)
		if err == nil {
			v.redirect(sentHref(v.href(verifyHref(k), paramCred, string(to.Credential)), v.onItsWay(st, k), to))
			return
		}
		// Looked at anew: a code that is replaced is gone, whether the new one went out
		// or not.
		if st, ok = v.verify(); ok {
			v.showSending(st, k, cred, v.onItsWay(st, k), err)
		}
	}
}

// sentHref is the page that takes a code, which says so where another was sent.
func sentHref(page string, before, to *mfa.SentTo) string {
	if before != nil && before.At.Equal(to.At) {
		return page // the button was pressed too soon; the page says how long it takes
	}
	return withQuery(page, paramDone, doneSent)
}

// postVerifySent tries a code that was sent.
func (p *Pages) postVerifySent(k mfa.Kind) func(*visit) {
	return func(v *visit) {
		v.wantProof()
		id, ok := v.id()
		if !ok {
			return
		}
		v.remember(v.form("remember") == "yes")
		out, err := p.gate.VerifySent(v.r.Context(), &v.at, id, k, v.form("code"))
		show := func(_ int, st *mfa.State, err error) {
			page := v.verifySentPage(st, k, v.picked(), v.onItsWay(st, k))
			status := page.tryFailed(err)
			v.render(status, "sent", page)
		}
		if errors.Is(err, mfa.ErrExpired) && v.live() {
			// The code's time is over, not the sign-in's.
			if st, ok := v.verify(); ok {
				show(0, st, err)
			}
			return
		}
		v.afterCode(out, err, show)
	}
}
