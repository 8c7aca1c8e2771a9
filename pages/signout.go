package pages

import (
	"errors"
	"net/http"

	"github.com/secondgate/secondgate/mfa"
)

type signOutPage struct {
	frame
	Stay string // back to where the person came from
}

// serveSignOut asks: a link or an image must not sign anybody out (AC-123).
func (p *Pages) serveSignOut(v *visit) {
	_, err := v.session()
	if err != nil && !errors.Is(err, mfa.ErrNoSession) {
		v.unavailable(err)
		return
	}
	page := signOutPage{frame: v.frame(v.T("signedout.title")), Stay: v.onward()}
	if err == nil {
		page.Heading = v.T("signout.title")
	}
	v.render(http.StatusOK, "signout", page)
}

// postSignOut ends what this browser holds and takes the cookies away, whether
// or not there was a session (AC-040).
func (p *Pages) postSignOut(v *visit) {
	for _, find := range []func() (mfa.SessionID, error){
		func() (mfa.SessionID, error) {
			view, err := p.guard.Session(v.r, v.req)
			if err != nil {
				return "", err
			}
			return view.Session.ID, nil
		},
		func() (mfa.SessionID, error) {
			view, err := p.guard.HalfDone(v.r, v.req)
			if err != nil {
				return "", err
			}
			return view.Session.ID, nil
		},
	} {
		id, err := find()
		if errors.Is(err, mfa.ErrNoSession) {
			continue
		}
		if err == nil {
			_, err = p.gate.SignOut(v.r.Context(), &v.at, id, "")
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
	// Not "storage" or "cookies": what the app keeps there is not ours.
	v.w.Header().Set("Clear-Site-Data", `"cache"`)
	v.redirect(join("sign-out", v.returnOnly()))
}
