package pages

import (
	"errors"
	"net/http"

	"github.com/secondgate/secondgate/mfa"
)

// changed goes back to the account page, or to the proof that a change needs.
// page is what waits for the proof.
func (v *visit) changed(err error, done, page string) {
	var proof *mfa.ProofError
	switch {
	case err == nil:
		q := v.returnOnly()
		q.Set(paramDone, done)
		v.redirect(join("account", q))
	case errors.As(err, &proof):
		v.redirect(v.proveFor(page, proof.Kinds))
	case errors.Is(err, mfa.ErrNotFound), errors.Is(err, mfa.ErrNotAllowed):
		v.redirect(join("account", v.returnOnly())) // another tab did it; the page shows what is
	default:
		v.fail(err)
	}
}

func (p *Pages) serveRename(v *visit) {
	a, ok := v.account()
	if !ok {
		return
	}
	if c := named(a, v.query.Get("credential")); c != nil && c.Kind != mfa.Email && c.Kind != mfa.SMS {
		v.showRename(http.StatusOK, c, c.Name, "")
		return
	}
	v.redirect(v.Href("account"))
}

// named returns the factor of that ID that has a name, or nil.
func named(a *mfa.Account, id string) *mfa.Credential {
	for i := range a.Credentials {
		if c := &a.Credentials[i]; string(c.ID) == id && c.Kind != mfa.BackupCode {
			return c
		}
	}
	return nil
}

func (v *visit) showRename(status int, c *mfa.Credential, name, fieldError string) {
	page := renamePage{frame: v.frame(v.T("rename.title", "name", v.factorRow(c, false).Name)), Name: name, Credential: c.ID}
	page.FieldError = fieldError
	v.render(status, "account_rename", page)
}

func (p *Pages) postRename(v *visit) {
	id, ok := v.id()
	if !ok {
		return
	}
	cred, name := v.form("credential"), v.form("name")
	err := p.gate.Rename(v.r.Context(), &v.at, id, mfa.CredentialID(cred), name)
	if errors.Is(err, mfa.ErrName) {
		if a, ok := v.account(); ok {
			if c := named(a, cred); c != nil {
				v.showRename(http.StatusUnprocessableEntity, c, name, v.T("rename.text"))
				return
			}
			v.redirect(v.Href("account"))
		}
		return
	}
	v.changed(err, "renamed", "account")
}

func (p *Pages) servePassword(v *visit) {
	a, ok := v.account()
	if !ok {
		return
	}
	if !a.LocalPassword {
		v.redirect(v.Href("account"))
		return
	}
	v.render(http.StatusOK, "account_password", passwordPage{frame: v.frame(v.T("password.title")), Name: a.UserName, Tokens: len(a.AppTokens) > 0})
}

func (p *Pages) postPassword(v *visit) {
	id, ok := v.id()
	if !ok {
		return
	}
	out, err := p.gate.ChangePassword(v.r.Context(), &v.at, id, v.form("old"), v.form("password"))
	if err == nil && out.Changed {
		if err = v.keep(out); err != nil {
			v.unavailable(err)
			return
		}
	}
	page := passwordPage{frame: v.frame(v.T("password.title")), Name: v.view.Subject.Name}
	var refusedPassword *mfa.PasswordError
	var throttled *mfa.ThrottledError
	status := http.StatusUnprocessableEntity
	switch {
	case errors.As(err, &refusedPassword):
		page.PasswordError = v.passwordRefused(refusedPassword)
		page.FieldError = page.PasswordError
	case errors.As(err, &throttled):
		status = page.wait(throttled)
		page.OldError = page.FieldError
	case errors.Is(err, mfa.ErrRejected):
		page.OldError = v.T("password.old.wrong")
		page.FieldError = page.OldError
	case errors.Is(err, mfa.ErrBusy):
		page.Error = v.T("busy")
		v.busyHeader()
		status = http.StatusServiceUnavailable
	default:
		v.changed(err, "password", "account/password")
		return
	}
	v.render(status, "account_password", page)
}

func (p *Pages) serveOptOut(v *visit) {
	a, ok := v.account()
	if !ok {
		return
	}
	if a.Required || a.OptedOut {
		v.redirect(v.Href("account"))
		return
	}
	v.render(http.StatusOK, "account_confirm", confirmPage{
		frame: v.frame(v.T("optout.title")), Submit: v.T("optout.submit"),
		Text: []string{v.T("optout.text"), v.T("optout.stays")},
	})
}

func (p *Pages) postOptOut(v *visit) {
	if id, ok := v.id(); ok {
		v.changed(p.gate.OptOut(v.r.Context(), &v.at, id), "out", "account/opt-out")
	}
}

func (p *Pages) postOptIn(v *visit) {
	if id, ok := v.id(); ok {
		v.changed(p.gate.OptIn(v.r.Context(), &v.at, id), "in", "account")
	}
}

func (p *Pages) postEndSession(v *visit) {
	if id, ok := v.id(); ok {
		v.changed(p.gate.EndSession(v.r.Context(), &v.at, id, v.form("session")), "session", "account")
	}
}

func (p *Pages) postEndOthers(v *visit) {
	id, ok := v.id()
	if !ok {
		return
	}
	out, err := p.gate.EndOtherSessions(v.r.Context(), &v.at, id)
	if err == nil {
		if err = v.keep(out); err != nil {
			v.unavailable(err)
			return
		}
	}
	v.changed(err, "sessions", "account")
}
