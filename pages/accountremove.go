package pages

import (
	"errors"
	"net/http"
	"slices"

	"github.com/secondgate/secondgate/mfa"
)

// serveRemove asks, with the name of what is lost and what happens next.
func (p *Pages) serveRemove(v *visit) {
	a, ok := v.account()
	if !ok {
		return
	}
	c := named(a, v.query.Get("credential"))
	if c == nil {
		v.redirect(v.Href("account"))
		return
	}
	if a.Required && lastEnabled(a, c) {
		v.showLast(http.StatusOK, a, c)
		return
	}
	name := v.factorRow(c, false).Name
	page := confirmPage{
		frame: v.frame(v.T("remove.title", "name", name)), Submit: v.T("remove.submit"), Credential: c.ID,
		Text: []string{v.T("remove.text")},
	}
	switch c.Kind {
	case mfa.Passkey:
		page.Text[0] = v.T("remove.text.passkey")
	case mfa.TOTP:
		page.Text[0] = v.T("remove.text.totp")
	case mfa.Email:
		page.Text[0] = v.T("remove.text.email")
	case mfa.SMS:
		page.Text[0] = v.T("remove.text.sms")
	}
	if primaries(a) == 1 {
		page.Text = append(page.Text, v.T("remove.last"))
	}
	v.render(http.StatusOK, "account_confirm", page)
}

// lastEnabled reports whether c is the only primary factor that the policy takes.
func lastEnabled(a *mfa.Account, c *mfa.Credential) bool {
	var enabled mfa.Kinds
	for _, choice := range a.Choices {
		enabled |= mfa.KindsOf(choice.Kind)
	}
	return !slices.ContainsFunc(a.Credentials, func(other mfa.Credential) bool {
		return other.ID != c.ID && enabled.Has(other.Kind)
	})
}

// lastPage warns before the last factor goes (rule B34).
type lastPage struct {
	frame
	Credential mfa.CredentialID
	Lost       []lostRow // everything that goes with it
	Abandoned  string    // what happens to those who stop half-way
	Add        string
}

type lostRow struct{ Icon, Name string }

// paramLastOne says that the form of the warning was sent.
const paramLastOne = "last"

// showLast warns before c, the last factor, goes: it names what is lost and what
// happens next. Adding another first is what the page leads to; removing it at once is
// there for those who mean it, where something can come in its place.
func (v *visit) showLast(status int, a *mfa.Account, c *mfa.Credential) {
	if !a.CanReplace {
		v.lastFactor(status)
		return
	}
	page := lastPage{
		frame: v.frame(v.T("last.title", "name", v.factorRow(c, false).Name)), Credential: c.ID, Add: v.addAnother(),
		Abandoned: v.T("last.abandoned", "support", v.helper()),
	}
	for i := range a.Credentials {
		c := &a.Credentials[i]
		name := v.factorRow(c, false).Name
		if c.Kind != mfa.BackupCode && name != v.kind(c.Kind) {
			name = v.T("notice.named", "factor", v.kind(c.Kind), "name", name)
		}
		page.Lost = append(page.Lost, lostRow{rowIcon(c.Kind), name})
	}
	v.render(status, "account_last", page)
}

// addAnother is where another factor is set up on the way back to the account page.
func (v *visit) addAnother() string {
	own := v.returnOnly()
	own.Set(paramFrom, fromAccount)
	own.Set(paramList, "1")
	return join("set-up", own)
}

// lastFactor says that the last factor stays, and what to do instead.
func (v *visit) lastFactor(status int) {
	v.message(status, messagePage{
		Heading: v.T("last.stays"), Text: []string{v.T("last.text")}, Context: true,
		Actions: []action{{Href: v.addAnother(), Label: v.T("last.add")}, {Href: v.Href("account"), Label: v.T("back.account")}},
	})
}

func (p *Pages) postRemove(v *visit) {
	id, ok := v.id()
	if !ok {
		return
	}
	cred := mfa.CredentialID(v.form("credential"))
	if v.form(paramLastOne) != "" {
		p.removeLast(v, id, cred)
		return
	}
	err := p.gate.Remove(v.r.Context(), &v.at, id, cred)
	if errors.Is(err, mfa.ErrLastFactor) {
		// Another tab removed the other one: what was confirmed is not what would happen.
		a, ok := v.account()
		if !ok {
			return
		}
		if c := named(a, string(cred)); c != nil {
			v.showLast(http.StatusConflict, a, c)
			return
		}
		v.lastFactor(http.StatusConflict)
		return
	}
	v.changed(err, "removed", "account")
}

// removeLast removes the last factor and goes on to the set-up that is owed then.
func (p *Pages) removeLast(v *visit, id mfa.SessionID, cred mfa.CredentialID) {
	out, err := p.gate.RemoveLast(v.r.Context(), &v.at, id, cred)
	switch {
	case err == nil:
		v.from = fromAccount
		v.proceed(out)
	case errors.Is(err, mfa.ErrLastFactor):
		v.lastFactor(http.StatusConflict)
	case errors.Is(err, mfa.ErrNotOwed):
		v.redirect(v.href("account/remove", "credential", string(cred))) // it is not the last any more
	default:
		v.changed(err, "removed", "account")
	}
}
