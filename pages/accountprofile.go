package pages

import (
	"errors"
	"net/http"

	"github.com/secondgate/secondgate/mfa"
)

// fieldPage asks for one thing about the person.
type fieldPage struct {
	frame
	Intro, Label, Value, Submit string
	Email                       bool
}

// local returns the account where its name and address can be changed here, and has
// answered where they cannot.
func (v *visit) local(email bool) (*mfa.Account, bool) {
	a, ok := v.account()
	if ok && (!a.Local || email && !a.CanEmail) {
		v.redirect(v.Href("account"))
		return nil, false
	}
	return a, ok
}

func (p *Pages) serveName(v *visit) {
	if a, ok := v.local(false); ok {
		v.showName(http.StatusOK, a.DisplayName, "")
	}
}

func (v *visit) showName(status int, value, wrong string) {
	page := fieldPage{
		frame: v.frame(v.T("name.title")), Intro: v.T("name.intro"), Label: v.T("account.you.name"), Value: value, Submit: v.T("save"),
	}
	page.FieldError = wrong
	v.render(status, "account_field", page)
}

func (p *Pages) postName(v *visit) {
	id, ok := v.id()
	if !ok {
		return
	}
	value := v.form("value")
	err := p.gate.ChangeName(v.r.Context(), &v.at, id, value)
	if errors.Is(err, mfa.ErrName) {
		if _, ok := v.local(false); ok {
			v.showName(http.StatusUnprocessableEntity, value, v.T("name.refused"))
		}
		return
	}
	v.changed(err, "name", "account")
}

// serveEmail asks for a new address of the account. It becomes that by a code.
func (p *Pages) serveEmail(v *visit) {
	a, ok := v.local(true)
	if !ok {
		return
	}
	page := v.emailPage()
	if a.Email != "" && !a.EmailVerified {
		page.Value = a.Email // which a code would confirm
	}
	if v.query.Get(paramAgain) == againOver {
		page.Notice = v.T("setup.address.over")
	}
	v.render(http.StatusOK, "account_field", page)
}

func (v *visit) emailPage() fieldPage {
	return fieldPage{
		frame: v.frame(v.T("email.title")), Intro: v.T("email.intro"), Label: v.T("email.label"), Submit: v.T("signin.code.submit"), Email: true,
	}
}

func (p *Pages) postEmail(v *visit) {
	id, ok := v.id()
	if !ok {
		return
	}
	typed := v.form("value")
	_, err := p.gate.BeginEmail(v.r.Context(), &v.at, id, typed, false)
	if err == nil {
		v.redirect(v.Href("account/email/code"))
		return
	}
	v.emailFailed(typed, err)
}

// emailFailed says what was wrong with an address, or why no code was sent to it.
func (v *visit) emailFailed(typed string, err error) {
	var throttled *mfa.ThrottledError
	wrong := ""
	switch {
	case errors.Is(err, mfa.ErrName):
		wrong = v.T("who.email.refused")
	case errors.Is(err, mfa.ErrNotOwed):
		wrong = v.T("email.same")
	case errors.As(err, &throttled), errors.Is(err, mfa.ErrNotSent), errors.Is(err, mfa.ErrBusy):
	default:
		v.changed(err, "email", "account/email")
		return
	}
	if _, ok := v.local(true); !ok {
		return
	}
	page := v.emailPage()
	page.Value, page.FieldError = typed, wrong
	status := http.StatusUnprocessableEntity
	if wrong == "" {
		sending := sentPage{setUpFrame: setUpFrame{frame: page.frame}}
		status = sending.sendFailed(err)
		page.frame, page.Wait = sending.frame, sending.Resend
	}
	v.render(status, "account_field", page)
}

func (p *Pages) serveEmailCode(v *visit) {
	if _, ok := v.local(true); ok {
		v.showEmailCode(nil)
	}
}

// showEmailCode shows the page that takes the code of a new address, after what went
// wrong.
func (v *visit) showEmailCode(failed func(*sentPage) int) {
	id, ok := v.id()
	if !ok {
		return
	}
	to, _, err := v.p.gate.PendingEmail(v.r.Context(), &v.at, id)
	switch {
	case errors.Is(err, mfa.ErrExpired) && failed != nil:
		v.redirect(v.href("account/email", paramAgain, againOver))
		return
	case errors.Is(err, mfa.ErrExpired):
		v.redirect(v.Href("account/email"))
		return
	case err != nil:
		v.fail(err)
		return
	}
	page := v.newSentPage(setUpFrame{frame: v.frame(v.T("waiting.title")), FromAccount: true}, mfa.Email, to, v.Href("account/email/code"), v.Href("account/email"+sendAgain))
	page.Submit = v.T("email.submit")
	page.Change, page.ChangeHref = v.T("waiting.other"), v.Href("account/email")
	status := http.StatusOK
	if failed != nil {
		status = failed(&page)
	}
	v.render(status, "sent", page)
}

func (p *Pages) postEmailCode(v *visit) {
	id, ok := v.id()
	if !ok {
		return
	}
	err := p.gate.FinishEmail(v.r.Context(), &v.at, id, v.form("code"))
	switch {
	case errors.Is(err, mfa.ErrNameTaken):
		// They have proven the mailbox, and may know.
		page := v.emailPage()
		page.FieldError = v.T("email.taken", "support", v.helper())
		v.render(http.StatusUnprocessableEntity, "account_field", page)
	case errors.Is(err, mfa.ErrRejected), errors.Is(err, mfa.ErrExpired) && v.live():
		if _, ok := v.local(true); ok {
			v.showEmailCode(func(page *sentPage) int { return page.tryFailed(err) })
		}
	default:
		v.changed(err, "email", "account/email/code")
	}
}

// postEmailSend sends another code to the address that waits for one.
func (p *Pages) postEmailSend(v *visit) {
	id, ok := v.id()
	if !ok {
		return
	}
	before, address, err := p.gate.PendingEmail(v.r.Context(), &v.at, id)
	if err != nil {
		if _, ok := v.local(true); ok {
			v.redirect(v.href("account/email", paramAgain, againOver))
		}
		return
	}
	to, err := p.gate.BeginEmail(v.r.Context(), &v.at, id, address, true)
	var throttled *mfa.ThrottledError
	switch {
	case err == nil:
		v.redirect(sentHref(v.Href("account/email/code"), before, to))
	case errors.As(err, &throttled):
		v.showEmailCode(func(page *sentPage) int { return page.sendFailed(err) })
	default:
		v.emailFailed(address, err) // the code before is gone
	}
}
