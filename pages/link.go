package pages

import (
	"errors"
	"net/http"
	"strings"

	"github.com/secondgate/secondgate/mfa"
)

// linkPage takes the secret of a link: from the fragment, by script, or pasted.
type linkPage struct{ frame }

// linkAccountPage takes what the link is good for. The secret travels on in a
// hidden field, never in an address.
type linkAccountPage struct {
	frame
	Intro, Submit             string
	Name, Display, Email      string
	AskName, AskPerson        bool
	NameError, DisplayError   string
	EmailError, PasswordError string
}

// Focus is the field to begin in: the first one that something is wrong with, or
// the first one.
func (p *linkAccountPage) Focus() string {
	switch {
	case p.NameError != "":
		return "name"
	case p.DisplayError != "":
		return "display"
	case p.EmailError != "":
		return "email"
	case p.PasswordError != "":
		return "password"
	case p.AskName:
		return "name"
	case p.AskPerson:
		return "display"
	}
	return "password"
}

func (p *Pages) serveLink(v *visit) {
	v.render(http.StatusOK, "link_token", linkPage{v.frame(v.T("link.title"))})
}

// postLink opens a link, and then uses it. The answer to a POST is a page here,
// not a redirect: the secret must not get into an address.
func (p *Pages) postLink(v *visit) {
	token := v.form("token")
	// A switch of language or theme is a submission of this form: elsewhere the
	// secret would have to stand in the address that it returns to.
	switched := v.prefer()
	l, err := p.gate.OpenLink(v.r.Context(), &v.at, token)
	if err != nil {
		v.linkFailed(err, token)
		return
	}
	page := v.linkAccount(l, token)
	if v.form("step") != "accept" {
		v.render(http.StatusOK, "link_account", page)
		return
	}
	in := mfa.LinkInput{
		Token: token, Name: v.form("name"), DisplayName: v.form("display"),
		Email: v.form("email"), Password: v.form("password"),
	}
	if !page.AskPerson {
		in.DisplayName, in.Email = "", "" // it is good for a password alone
	}
	page.Display, page.Email = in.DisplayName, in.Email
	if page.AskName {
		page.Name = in.Name
	}
	if switched {
		v.render(http.StatusOK, "link_account", page)
		return
	}
	if !v.replaces() {
		return
	}
	out, err := p.gate.AcceptLink(v.r.Context(), &v.at, in)
	if err == nil {
		v.proceed(out)
		return
	}
	status := http.StatusUnprocessableEntity
	var password *mfa.PasswordError
	switch {
	case errors.As(err, &password):
		page.PasswordError = v.passwordRefused(password)
	case errors.Is(err, mfa.ErrNameTaken):
		page.NameError = v.T("link.name.taken")
	case errors.Is(err, mfa.ErrName):
		page.nameRefused()
	case errors.Is(err, mfa.ErrBusy):
		page.Error = v.T("busy")
		v.busyHeader()
		status = http.StatusServiceUnavailable
	default:
		v.linkFailed(err, token)
		return
	}
	if page.Error == "" {
		page.FieldError = page.NameError + page.DisplayError + page.EmailError + page.PasswordError // for the title
	}
	v.render(status, "link_account", page)
}

// nameRefused says which of the three fields the core would not take. It only
// says that a name or an address cannot be; these are its usual reasons.
func (p *linkAccountPage) nameRefused() {
	email := strings.TrimSpace(p.Email)
	local, domain, _ := strings.Cut(email, "@")
	switch {
	case strings.ContainsAny(p.Display, ",;|"):
		p.DisplayError = p.T("link.display.refused")
	case email != "" && (local == "" || !strings.Contains(domain, ".") || strings.Contains(domain, "@") || strings.ContainsAny(email, ` ,;:<>()[]\"|`)):
		p.EmailError = p.T("link.email.refused")
	case p.AskName:
		p.NameError = p.T("link.name.refused")
	default:
		p.Error = p.T("link.person.refused")
	}
}

func (v *visit) linkAccount(l *mfa.Link, token string) *linkAccountPage {
	page := &linkAccountPage{Name: l.UserName, Display: l.DisplayName, Email: l.Email, AskPerson: true}
	switch l.Purpose {
	case mfa.ForSetupLink:
		page.frame = v.frame(v.T("link.setup.title"))
		page.Intro, page.Submit, page.AskName = v.T("link.setup.intro"), v.T("link.setup.submit"), true
	case mfa.ForPasswordReset:
		page.frame = v.frame(v.T("link.reset.title"))
		page.Intro, page.Submit, page.AskPerson = v.T("link.reset.intro", "name", l.UserName), v.T("link.reset.submit"), false
	case mfa.ForForgotten:
		page.frame = v.frame(v.T("link.reset.title"))
		page.Intro, page.Submit, page.AskPerson = v.T("link.forgotten.intro", "name", l.UserName), v.T("link.reset.submit"), false
	default:
		page.frame = v.frame(v.T("link.invite.title"))
		page.Intro, page.Submit = v.T("link.invite.intro", "name", l.UserName), v.T("link.invite.submit")
	}
	page.Token = token
	// Whoever holds the link is not who was signed in before.
	page.Person = ""
	return page
}

func (v *visit) linkFailed(err error, token string) {
	var throttled *mfa.ThrottledError
	switch {
	case errors.As(err, &throttled):
		page := linkPage{v.frame(v.T("link.title"))}
		page.Token = token // its address forgot it
		status := page.wait(throttled)
		page.Error, page.FieldError = page.FieldError, ""
		v.render(status, "link_token", page)
	case errors.Is(err, mfa.ErrExpired), errors.Is(err, mfa.ErrRejected), errors.Is(err, mfa.ErrNotAllowed):
		m := messagePage{
			Heading: v.T("link.expired.title"), Token: token, Text: []string{v.T("link.expired.text", "support", v.helper())},
			Actions: []action{{Href: v.Href("sign-in"), Label: v.T("go.signin")}},
		}
		if v.p.gate.CanForget() {
			m.Actions = append(m.Actions, action{Href: v.Href("forgotten"), Label: v.T("link.again")})
		}
		v.message(http.StatusGone, m)
	default:
		v.fail(err)
	}
}

// passwordRefused says which rule refused a new password, and what to do.
func (v *visit) passwordRefused(err *mfa.PasswordError) string {
	switch err.Rule {
	case mfa.PasswordTooShort:
		return v.T("password.too_short")
	case mfa.PasswordTooLong:
		return v.T("password.too_long")
	case mfa.PasswordCommon:
		return v.T("password.common")
	case mfa.PasswordHasName:
		return v.T("password.has_name")
	}
	return v.T("password.not_text")
}
