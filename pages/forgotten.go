package pages

import (
	"errors"
	"net/http"

	"github.com/secondgate/secondgate/mfa"
)

// forgottenPage asks whose password is forgotten.
type forgottenPage struct {
	frame
	Name string // as it was typed
}

// serveForgotten asks, or says what was done, which is the same for everybody. Whoever
// is signed in may have forgotten their password, too.
func (p *Pages) serveForgotten(v *visit) {
	if !p.gate.CanForget() {
		v.notFound()
		return
	}
	if _, err := v.session(); err != nil && !errors.Is(err, mfa.ErrNoSession) {
		v.unavailable(err)
		return
	}
	if v.query.Get(paramDone) == "sent" {
		v.message(http.StatusOK, messagePage{
			Heading: v.T("forgotten.sent.title"), Context: true,
			Text:    []string{v.T("forgotten.sent.text"), v.T("forgotten.sent.help", "support", v.helper())},
			Actions: []action{{Href: v.Href("sign-in"), Label: v.T("forgotten.back")}},
		})
		return
	}
	v.render(http.StatusOK, "forgotten", forgottenPage{frame: v.frame(v.T("forgotten.title"))})
}

// postForgotten has a link sent, if there is an account to send one to. The secret of
// the link stands in the letter alone: behind the #, which browsers send to nobody.
func (p *Pages) postForgotten(v *visit) {
	name := v.form("name")
	err := p.gate.ForgotPassword(v.r.Context(), &v.at, name, func(token string) string {
		return p.origin(&v.at) + Root + "link#" + token
	})
	var throttled *mfa.ThrottledError
	switch {
	case err == nil:
		v.redirect(v.href("forgotten", paramDone, "sent"))
	case errors.As(err, &throttled):
		// Of the network, whoever it asked for: it tells nothing about anybody.
		page := forgottenPage{frame: v.frame(v.T("forgotten.title")), Name: name}
		v.render(page.wait(throttled), "forgotten", page)
	case errors.Is(err, mfa.ErrNotAllowed):
		v.notFound()
	default:
		v.fail(err)
	}
}
