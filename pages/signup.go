package pages

import (
	"errors"
	"net/http"
	"strings"

	"github.com/secondgate/secondgate/mfa"
)

// signUpPage makes an account for whoever asks.
type signUpPage struct {
	frame
	Intro                                  string
	Label, Hint, Input, Fill               string // of the field for the name
	Name, Display                          string // as they were typed
	NameError, DisplayError, PasswordError string
}

// Focus is the field to begin in: the first one that something is wrong with, or
// the first one.
func (p *signUpPage) Focus() string {
	switch {
	case p.NameError != "":
		return "name"
	case p.DisplayError != "":
		return "display"
	case p.PasswordError != "":
		return "password"
	}
	return "name"
}

func (p *Pages) serveSignUp(v *visit) {
	if !p.gate.SignUpWays().Open() {
		v.notFound()
		return
	}
	if !v.stranger() {
		return
	}
	page := v.signUp()
	// Whoever comes back to mend a typing error finds what was typed.
	if w, err := v.waiting(mfa.ForSignUp); err == nil {
		page.Name = w.Masked
	}
	if v.query.Get(paramAgain) == "late" {
		page.Notice = v.T("signup.late")
	}
	v.render(http.StatusOK, "signup", page)
}

func (v *visit) signUp() *signUpPage {
	ways := v.p.gate.SignUpWays()
	page := &signUpPage{frame: v.frame(v.T("signup.title")), Label: v.who(ways.Name, ways.Channels), Input: "text", Fill: "username"}
	switch {
	case ways.Channels == 0:
		page.Hint = v.T("link.name.hint")
	case ways.Name:
	case !ways.Channels.Has(mfa.SMS):
		page.Input, page.Fill = "email", "email"
	case !ways.Channels.Has(mfa.Email):
		page.Input, page.Fill, page.Hint = "tel", "tel", v.T("signin.code.sms.hint")
	}
	if ways.Channels != 0 && !ways.Name {
		page.Intro = v.T("signup.intro")
	}
	return page
}

// postSignUp makes the account, or has a code sent to the address that it will have.
// Whether somebody has an account with that address shows nowhere here.
func (p *Pages) postSignUp(v *visit) {
	ways := p.gate.SignUpWays()
	if !ways.Open() {
		v.notFound()
		return
	}
	if !v.replaces() {
		return
	}
	in := mfa.SignUpInput{Name: v.form("name"), DisplayName: v.form("display"), Password: v.form("password")}
	out, w, err := p.gate.BeginSignUp(v.r.Context(), &v.at, in)
	switch {
	case err == nil && out != nil:
		v.proceed(out)
		return
	case err == nil:
		p.guard.SetWaiting(v.w, v.req, w.ID)
		v.redirect(v.Href("sign-up/code"))
		return
	}
	v.view = nil // the account that is made is not who was signed in before
	page := v.signUp()
	page.Name, page.Display = in.Name, in.DisplayName
	status := http.StatusUnprocessableEntity
	var password *mfa.PasswordError
	var throttled *mfa.ThrottledError
	switch {
	case errors.As(err, &throttled):
		status = page.wait(throttled)
		page.Error, page.FieldError = page.FieldError, ""
	case errors.As(err, &password):
		page.PasswordError = v.passwordRefused(password)
	case errors.Is(err, mfa.ErrNameTaken):
		page.NameError = v.T("link.name.taken")
	case errors.Is(err, mfa.ErrName) && strings.ContainsAny(in.DisplayName, ",;|"):
		// The core only says that a name cannot be; this is the usual reason.
		page.DisplayError = v.T("link.display.refused")
	case errors.Is(err, mfa.ErrName), errors.Is(err, mfa.ErrCountry):
		page.NameError = v.addressRefused(err, in.Name, ways.Name, ways.Channels)
	case errors.Is(err, mfa.ErrBusy):
		page.Error = v.T("busy")
		v.busyHeader()
		status = http.StatusServiceUnavailable
	case errors.Is(err, mfa.ErrNotAllowed):
		v.notFound()
		return
	default:
		v.fail(err)
		return
	}
	if page.Error == "" {
		page.FieldError = page.NameError + page.DisplayError + page.PasswordError // for the title
	}
	v.render(status, "signup", page)
}
