package pages

import (
	"errors"
	"net/http"
	"net/url"

	"github.com/secondgate/secondgate/mfa"
	"github.com/secondgate/secondgate/session"
)

type signOutPage struct {
	frame
	Stay  string // back to where the person came from
	Again string // to the sign-in page
}

// serveSignOut asks: a link or an image must not sign anybody out (AC-123).
func (p *Pages) serveSignOut(v *visit) {
	_, err := v.session()
	if err != nil && !errors.Is(err, mfa.ErrNoSession) {
		v.unavailable(err)
		return
	}
	page := signOutPage{frame: v.frame(v.T("signedout.title")), Stay: v.onward(), Again: v.signInAgain()}
	if err == nil {
		page.Heading = v.T("signout.title")
	}
	v.render(http.StatusOK, "signout", page)
}

// postSignOut ends what this browser holds and takes the cookies away, whether
// or not there was a session (AC-040).
func (p *Pages) postSignOut(v *visit) {
	// Where a source sends the browser back to. It compares the whole address with what it
	// was told of this gateway, so nothing travels along.
	back := v.at.Origin + join("sign-out", url.Values{paramDone: {"1"}})
	there, title := "", ""
	for _, find := range []func() (*session.View, error){
		func() (*session.View, error) { return p.guard.Session(v.r, v.req) },
		func() (*session.View, error) { return p.guard.HalfDone(v.r, v.req) },
		v.sharedSession,
	} {
		view, err := find()
		if errors.Is(err, mfa.ErrNoSession) {
			continue
		}
		if err == nil {
			var address string
			at := v.at
			at.Scope = view.Session.Scope // the portal signs out of the domain's, too
			if address, err = p.gate.SignOut(v.r.Context(), &at, view.Session.ID, back); there == "" {
				there, title = address, v.sourceNamed(view.Subject.Source)
			}
		}
		if err != nil {
			// Say so: whoever signs out on a shared computer must know that it did
			// not work.
			v.unavailable(err)
			return
		}
	}
	p.guard.ClearSession(v.w, v.req)
	// The app's answers are its own, and a browser may keep them whole: without
	// this the back button would show them to whoever sits down next (AC-129).
	// Not "storage" or "cookies": what the app keeps there is not ours. At the portal there
	// is no app; "cookies" would be those of the whole domain even there.
	v.w.Header().Set("Clear-Site-Data", `"cache"`)
	if v.portal {
		v.w.Header().Set("Clear-Site-Data", `"cache", "storage"`)
	}
	v.clearShared()
	if there == "" || elsewhere(there) != nil {
		v.redirect(join("sign-out", v.returnOnly()))
		return
	}
	// A page, and no redirect: a browser takes nobody from a form to another origin than
	// form-action names, and what the policy names must not depend on a configuration.
	v.view = nil
	v.message(http.StatusOK, messagePage{
		Heading: v.T("signedout.here"), Text: []string{v.T("signedout.there", "source", title)}, Refresh: there,
		Actions: []action{{Href: there, Label: v.T("signedout.go", "source", title)}, {Href: join("sign-out", v.returnOnly()), Label: v.T("signedout.stay")}},
	})
}
