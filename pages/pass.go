package pages

import (
	"errors"
	"net/http"

	"github.com/secondgate/secondgate/mfa"
)

// passPage takes a secret from an administrator: a bypass, or an enrollment pass.
type passPage struct {
	frame
	Text                 string
	Label, Hint, Submit  string
	OtherHref, OtherText string

	action string
}

// Here is the address of the form.
func (p passPage) Here() string { return p.action }

// mayBypass reports whether an administrator's bypass can stand for the second factor
// now (rule B29).
func mayBypass(st *mfa.State) bool {
	return !st.Session.Complete && st.Decision.Action == mfa.Verify
}

func (p *Pages) serveBypass(v *visit) {
	st, ok := v.verify()
	switch {
	case !ok:
	case !mayBypass(st):
		v.redirect(v.Href("verify"))
	default:
		v.showBypass(http.StatusOK, st, nil)
	}
}

func (v *visit) showBypass(status int, st *mfa.State, err error) {
	page := passPage{
		frame: v.verifyFrame(st, v.T("verify.bypass.title")), Label: v.T("verify.bypass.label"), Hint: v.T("pass.hint"),
		Submit: v.T("verify.submit"), OtherHref: v.Href("verify"), OtherText: v.T("verify.other"), action: v.Href("verify/bypass"),
	}
	if len(st.Methods) > 1 {
		page.OtherHref = v.Href("verify/methods")
	}
	if err != nil {
		status = page.codeFailed(err, "verify.bypass.wrong")
	}
	v.render(status, "pass", page)
}

func (p *Pages) postBypass(v *visit) {
	id, ok := v.id()
	if !ok {
		return
	}
	out, err := p.gate.VerifyBypass(v.r.Context(), &v.at, id, v.form("code"))
	v.afterCode(out, err, v.showBypass)
}

// needsPass reports whether a pass opens the set-up (rule B17). Where a code to the
// address on file does, a pass does as well.
func needsPass(st *mfa.State) bool { return st.Closed || st.Confirm != "" }

func (p *Pages) servePass(v *visit) {
	st, ok := v.state()
	switch {
	case !ok:
	case st.Closed:
		v.closed(st)
	case needsPass(st):
		v.showPass(http.StatusOK, v.newPassPage(st), nil)
	default:
		v.redirect(v.Href("set-up"))
	}
}

// closed answers where a first enrollment needs an administrator (rule B17).
func (v *visit) closed(st *mfa.State) {
	page := v.newPassPage(st)
	page.Decision = v.noted(mfa.ReasonClosed)
	v.showPass(http.StatusForbidden, page, nil)
}

// newPassPage makes the page that takes a pass. st may be nil.
func (v *visit) newPassPage(st *mfa.State) passPage {
	page := passPage{
		frame: v.frame(v.T("closed.title")), Text: v.T("closed.text", "support", v.helper()),
		Label: v.T("pass.label"), Hint: v.T("pass.hint"), Submit: v.T("pass.submit"),
		OtherHref: v.Href("sign-out"), OtherText: v.T("go.signout"), action: v.Href("set-up/pass"),
	}
	switch {
	case st == nil:
		return page
	case st.Confirm != "":
		page.Heading, page.Text = v.T("pass.title"), v.T("pass.text", "support", v.helper())
		page.OtherHref, page.OtherText = v.Href("set-up/confirm"), v.T("pass.confirm", "address", st.Confirm)
	case v.from == fromAccount && st.Session.Complete:
		page.OtherHref, page.OtherText = v.Href("account"), v.T("back.account")
	}
	if st.Decision.Action == mfa.SetUp && st.Decision.Skippable && !st.Session.Complete {
		page.Skip, page.SkipMeans = true, v.T("skip.closed")
		if st.Confirm == "" {
			page.OtherHref = "" // skipping is the way on
		}
	}
	return page
}

func (v *visit) showPass(status int, page passPage, err error) {
	if err != nil {
		status = page.codeFailed(err, "pass.wrong")
	}
	v.render(status, "pass", page)
}

func (p *Pages) postPass(v *visit) {
	id, ok := v.id()
	if !ok {
		return
	}
	out, err := p.gate.UsePass(v.r.Context(), &v.at, id, v.form("code"))
	switch {
	case err == nil:
		v.proceedTo("set-up", out)
	case errors.Is(err, mfa.ErrRejected):
		st, ok := v.state()
		switch {
		case !ok:
		case needsPass(st):
			v.showPass(http.StatusUnprocessableEntity, v.newPassPage(st), err)
		default:
			v.redirect(v.Href("set-up")) // the other press of the button went through
		}
	default:
		v.fail(err)
	}
}
